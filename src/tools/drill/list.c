/* `hotspare drill list`: the catalogue for people and for programs. */
#include "base/span.h"
#include "json/json_write.h"
#include "tools/drill/report.h"

static void put_limits(const struct limits *l, struct buf *out)
{
    report_put(out, "     limits:");
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (l->set[i])
            report_put(out, " %s=%g", limit_rows[i].name, l->most[i]);
    report_put(out, "\n");
}

void catalogue_text(const struct limits *user, struct buf *out)
{
    for (size_t f = 0; f < drill_fault_count; f++) {
        const struct drill_fault *fault = &drill_faults[f];
        struct limits l = catalogue_limits(fault, user);
        report_put(out, "%-4s %s%s\n     %s\n", fault->id, fault->name,
                   fault->quick ? "  [quick]" : "", fault->hypothesis);
        for (size_t v = 0; v < fault->variant_count; v++) {
            const struct drill_variant *one = &fault->variants[v];
            char id[64];
            (void)snprintf(id, sizeof id, "%s.%s", fault->id, one->id);
            report_put(out, "     %-26s %s%s\n", id,
                       one->not_run != NULL ? "not run: " : "expected: ",
                       one->not_run != NULL ? one->not_run : expectation_name(one->expect));
        }
        put_limits(&l, out);
    }
}

static void put_text(struct json_out *w, const char *name, const char *text)
{
    jw_key(w, name);
    jw_cstr(w, text);
}

static void put_variant(struct json_out *w, const struct drill_variant *v)
{
    jw_object(w);
    put_text(w, "id", v->id);
    jw_key(w, "run");
    jw_bool(w, v->not_run == NULL);
    if (v->not_run != NULL)
        put_text(w, "why_not", v->not_run);
    else
        put_text(w, "expected", expectation_name(v->expect));
    jw_object_end(w);
}

static void put_fault(struct json_out *w, const struct drill_fault *f, const struct limits *user)
{
    struct limits l = catalogue_limits(f, user);
    jw_object(w);
    put_text(w, "id", f->id);
    put_text(w, "name", f->name);
    put_text(w, "hypothesis", f->hypothesis);
    jw_key(w, "quick");
    jw_bool(w, f->quick);
    jw_key(w, "variants");
    jw_array(w);
    for (size_t v = 0; v < f->variant_count; v++)
        put_variant(w, &f->variants[v]);
    jw_array_end(w);
    jw_key(w, "limits");
    jw_object(w);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        if (!l.set[i])
            continue;
        jw_key(w, limit_rows[i].name);
        jw_double(w, l.most[i]);
    }
    jw_object_end(w);
    jw_object_end(w);
}

void catalogue_json(const struct limits *user, struct buf *out)
{
    struct json_out w;
    json_out_buf(&w, out);
    jw_object(&w);
    put_text(&w, "schema", "hotspare.drill-list/1");
    jw_key(&w, "faults");
    jw_array(&w);
    for (size_t f = 0; f < drill_fault_count; f++)
        put_fault(&w, &drill_faults[f], user);
    jw_array_end(&w);
    jw_object_end(&w);
    report_put(out, "\n");
}
