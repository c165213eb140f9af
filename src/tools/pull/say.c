/* What `hotspare pull` tells: the licence before anything is loaded, and what was loaded. */
#include "base/span.h"
#include "json/json_write.h"
#include "tools/pull/pull_internal.h"

bool pull_licence_known(struct pull *p)
{
    const struct fact_model *m = facts_model_exact(&p->facts, span_from(p->id));
    bool sure = true;
    p->licence = m ? licence_of(&p->facts, m, &sure) : NULL;
    licence_judge(p->licence, &p->use, &p->arena, &p->verdict);
    if (p->licence && !sure && p->verdict.verdict < RULING_ASK) {
        p->verdict.verdict = RULING_ASK;
        p->verdict.reasons[0] = "that this model has this licence is not confirmed";
        p->verdict.reason_count = 1;
    }
    return p->licence != NULL;
}

bool pull_licence_of_card(struct pull *p)
{
    if (p->hub.licence == NULL)
        return false;
    p->licence = facts_licence(&p->facts, span_from(p->hub.licence));
    p->from_card = true;
    licence_judge(p->licence, &p->use, &p->arena, &p->verdict);
    return p->licence != NULL;
}

static void lines(const char *title, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)fprintf(stderr, "  %-9s%s\n", i ? "" : title, list[i]);
}

bool pull_licence_show(struct pull *p)
{
    const struct licence_verdict *v = &p->verdict;
    const char *name = p->licence ? p->licence->name : p->hub.licence;
    (void)fprintf(stderr, "licence of %s: %s%s\n", p->id, name ? name : "not known here",
                  p->from_card ? " (the hub's card says so)" : "");
    (void)fprintf(stderr, "  %s use: %s\n", use_kind_name(p->use.kind), ruling_name(v->verdict));
    lines("because", v->reasons, v->reason_count);
    lines("duties", v->duties, v->duty_count);
    (void)fprintf(stderr,
                  "  Not legal advice. hotspare licence tells more; read the LICENSE file "
                  "at %s/%s\n",
                  p->endpoint, p->id);
    if (v->verdict != RULING_FORBIDDEN || p->accept)
        return true;
    (void)fprintf(stderr,
                  "hotspare: not loaded: the licence forbids %s use. Another use is declared with "
                  "--use; who has another agreement with the owner gives --accept-licence\n",
                  use_kind_name(p->use.kind));
    return false;
}

static void text(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    if (value)
        jw_cstr(w, value);
    else
        jw_null(w);
}

void pull_json(const struct pull *p, struct buf *to)
{
    struct json_out w;
    json_out_buf(&w, to);
    jw_object(&w);
    text(&w, "schema", "hotspare.pull/1");
    text(&w, "model", p->id);
    text(&w, "revision", p->revision);
    text(&w, "commit", p->hub.commit);
    text(&w, "licence", p->licence ? p->licence->id : p->hub.licence);
    text(&w, "use", use_kind_name(p->use.kind));
    text(&w, "verdict", ruling_name(p->verdict.verdict));
    text(&w, "folder", p->dir);
    jw_key(&w, "files");
    jw_array(&w);
    for (size_t i = 0; i < p->choice.count; i++) {
        const struct hub_file *f = p->choice.files[i];
        bool git = f->sum && strlen(f->sum) == 40;
        jw_object(&w);
        text(&w, "name", f->name);
        jw_key(&w, "bytes");
        jw_i64(&w, (int64_t)f->size);
        text(&w, git ? "git_blob" : "sha256", f->sum);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
}
