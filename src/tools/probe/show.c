/* A probe told to a person, as a table, and to a program, as JSON (hotspare.probe/1). */
#include "base/span.h"
#include "json/json_write.h"
#include "tools/probe/probe_internal.h"

#include <math.h>

static const char *colour_of(enum probe_state s)
{
    switch (s) {
    case STATE_WORKS:
        return "\033[32m";
    case STATE_REFUSED:
    case STATE_BROKEN:
        return "\033[31m";
    case STATE_CONVERTED:
    case STATE_DEGRADED:
        return "\033[33m";
    default:
        return "\033[2m";
    }
}

static void show_row(const struct verdict *v, enum probe_row row, bool colour, FILE *to)
{
    if (v->state == STATE_SKIPPED && v->why[0] == '\0')
        return; /* not reached */
    (void)fprintf(to, "  %-19s %s%-*s%s%s%s\n", probe_row_name(row),
                  colour ? colour_of(v->state) : "", v->why[0] ? 9 : 0, probe_state_name(v->state),
                  colour ? "\033[0m" : "", v->why[0] ? "  " : "", v->why);
}

static void show_native(const struct probe *p, bool colour, FILE *to)
{
    const struct probe_door *d = &p->doors[1];
    enum probe_row worse = probe_native_worse(p);
    if (!d->spoken) {
        (void)fprintf(to, "  its own Messages door is not spoken: Messages are translated\n");
    } else if (worse == ROWS) {
        (void)fprintf(to,
                      "  its own Messages door does the same: Messages go there untranslated\n");
    } else {
        (void)fprintf(to, "  its own Messages door is worse, so Messages are translated:\n");
        for (enum probe_row r = 0; r < ROWS; r++)
            if (d->rows[r].finding)
                show_row(&d->rows[r], r, colour, to);
    }
}

void probe_show(const struct probe *p, bool colour, FILE *to)
{
    (void)fprintf(to, "%s/%s  (%s, %s)\n", p->name, p->model, target_kind_name(p->target->kind),
                  p->doors[0].dialect->name);
    if (!p->answers) {
        (void)fprintf(to, "  %s: %s\n\n", p->not_asked[0] ? "not probed" : "no answer",
                      p->not_asked[0] ? p->not_asked : p->trouble);
        return;
    }
    for (enum probe_row r = 0; r < ROWS; r++)
        show_row(&p->doors[0].rows[r], r, colour, to);
    if (p->door_count > 1)
        show_native(p, colour, to);
    size_t count = probe_findings(p);
    (void)fprintf(to, "  %zu finding%s in %lld calls; %lld tokens in, %lld out%s\n\n", count,
                  count == 1 ? "" : "s", (long long)p->calls, (long long)p->spent_in,
                  (long long)p->spent_out, p->stored ? "; stored" : "");
}

/* ---- JSON ---- */

static void text(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    jw_cstr(w, value);
}

static void number(struct json_out *w, const char *key, double value, bool known)
{
    jw_key(w, key);
    if (known)
        jw_double(w, value);
    else
        jw_null(w);
}

static void write_door(struct json_out *w, const struct probe_door *d)
{
    jw_object(w);
    text(w, "format", d->dialect->name);
    jw_key(w, "spoken");
    jw_bool(w, d->spoken);
    jw_key(w, "rows");
    jw_array(w);
    for (enum probe_row r = 0; r < ROWS && d->spoken; r++) {
        jw_object(w);
        text(w, "name", probe_row_name(r));
        text(w, "state", probe_state_name(d->rows[r].state));
        jw_key(w, "finding");
        jw_bool(w, d->rows[r].finding);
        text(w, "reason", d->rows[r].why);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static void write_facts(struct json_out *w, const struct probed *p)
{
    jw_key(w, "facts");
    jw_object(w);
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++) {
        if (!(p->known & BIT(f)))
            continue;
        jw_key(w, probed_fact_name(f));
        jw_bool(w, p->can & BIT(f));
    }
    jw_object_end(w);
}

static void write_plan(struct json_out *w, const struct probe *p, const struct purse *b)
{
    struct probe_plan plan = probe_plan(p);
    jw_key(w, "at_most");
    jw_object(w);
    number(w, "calls", (double)plan.calls, true);
    number(w, "tokens_in", (double)plan.in, true);
    number(w, "tokens_out", (double)plan.out, true);
    double usd =
        b->free ? 0 : ((double)plan.in * b->price_in + (double)plan.out * b->price_out) / 1e6;
    number(w, "usd", usd, b->free || !isnan(b->price_in));
    jw_object_end(w);
}

static void write_probe(struct json_out *w, const struct probe *p, bool dry)
{
    jw_object(w);
    text(w, "target", p->name);
    text(w, "model", p->model);
    text(w, "kind", target_kind_name(p->target->kind));
    text(w, "state",
         p->not_asked[0] ? "not probed"
         : dry           ? "planned"
         : p->answers    ? "probed"
                         : "no answer");
    text(w, "reason", p->not_asked[0] ? p->not_asked : p->trouble);
    write_plan(w, p, p->budget);
    if (p->answers) {
        number(w, "findings", (double)probe_findings(p), true);
        number(w, "calls", (double)p->calls, true);
        number(w, "tokens_in", (double)p->spent_in, true);
        number(w, "tokens_out", (double)p->spent_out, true);
        number(w, "first_token_seconds", (double)p->found.first_us / 1e6, p->found.first_us >= 0);
        number(w, "tokens_per_second", p->found.rate, p->found.rate > 0);
        write_facts(w, &p->found);
        jw_key(w, "stored");
        jw_bool(w, p->stored);
        jw_key(w, "doors");
        jw_array(w);
        for (size_t i = 0; i < p->door_count; i++)
            write_door(w, &p->doors[i]);
        jw_array_end(w);
    }
    jw_object_end(w);
}

void probe_json(const struct probe *all, size_t count, bool dry, struct buf *out)
{
    struct json_out w;
    json_out_buf(&w, out);
    jw_object(&w);
    text(&w, "schema", "hotspare.probe/1");
    jw_key(&w, "targets");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_probe(&w, &all[i], dry);
    jw_array_end(&w);
    jw_object_end(&w);
}
