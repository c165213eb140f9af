/* The plan as one JSON document, "hotspare.plan/1": bytes, seconds, USD, tokens/s. */
#include "json/json_write.h"
#include "tools/plan/options.h"
#include <math.h>

#define BYTES_MOST 9e18 /* what fits an integer; more is nobody's model */

static void text(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    if (value)
        jw_cstr(w, value);
    else
        jw_null(w);
}

static void number(struct json_out *w, const char *key, double n)
{
    jw_key(w, key);
    if (isfinite(n))
        jw_double(w, n);
    else
        jw_null(w);
}

static void bytes(struct json_out *w, const char *key, double n)
{
    jw_key(w, key);
    if (fabs(n) < BYTES_MOST)
        jw_i64(w, (int64_t)n);
    else
        jw_null(w);
}

static void json_deployment(struct json_out *w, const struct deployment *d)
{
    text(w, "model", d->model->id);
    text(w, "quant", d->quant->id);
    text(w, "kv", d->kv->id);
    text(w, "engine", engine_name(d->engine));
    text(w, "hardware", d->gpu ? d->gpu->name : d->host->name);
    bytes(w, "tensor_parallel", d->tp);
    bytes(w, "pipeline_parallel", d->pp);
    bytes(w, "context", d->context);
    bytes(w, "concurrency", d->sequences);
    bytes(w, "cpu_offload_bytes", d->offload);
    bytes(w, "cpu_layers", d->cpu_layers);
    bytes(w, "cpu_moe_layers", d->cpu_moe);
}

static void json_memory(struct json_out *w, const struct memory *m)
{
    jw_key(w, "memory");
    jw_object(w);
    bytes(w, "weights_model", m->weights.total);
    bytes(w, "draft_layers", m->weights.draft);
    bytes(w, "weights", m->weights_here);
    bytes(w, "weights_error", m->weights.error * m->weights_here);
    bytes(w, "cache_per_conversation", m->kv_sequence);
    bytes(w, "overhead", m->overhead);
    bytes(w, "budget", m->budget);
    bytes(w, "visible", m->visible);
    bytes(w, "host_needed", m->host_needed);
    bytes(w, "host_budget", m->host_budget);
    bytes(w, "cache_tokens", m->tokens);
    bytes(w, "most_conversations", m->most_sequences);
    jw_key(w, "fits");
    jw_bool(w, m->fits);
    jw_object_end(w);
}

/* Factors of an estimated time or price; a rate is divided by them. */
static void json_band(struct json_out *w, const char *key, const struct speed_band *b)
{
    jw_key(w, key);
    jw_object(w);
    number(w, "time_least", 1 - b->faster);
    number(w, "time_most", 1 + b->slower);
    number(w, "half_within", b->half > 0 ? b->half : NAN);
    bytes(w, "published_rows", b->rows);
    text(w, "basis", b->why);
    jw_object_end(w);
}

static void json_speed(struct json_out *w, const struct speed *s, double usd_h)
{
    jw_key(w, "speed");
    jw_object(w);
    number(w, "first_token_s", s->first_token);
    number(w, "tokens_s_one", s->one);
    number(w, "tokens_s_all", s->all);
    bytes(w, "conversations", s->batch);
    json_band(w, "band", s->band);
    json_band(w, "first_token_band", s->first_band);
    number(w, "usd_per_hour", usd_h > 0 ? usd_h : NAN);
    number(w, "usd_per_1m_output", s->usd_output > 0 ? s->usd_output : NAN);
    number(w, "usd_per_1m_both", s->usd_blended > 0 ? s->usd_blended : NAN);
    jw_object_end(w);
}

static void json_way(struct json_out *w, const struct remedy *r)
{
    jw_object(w);
    text(w, "kind", remedy_name(r->kind));
    text(w, "what", r->what);
    text(w, "why", r->why);
    jw_key(w, "fits");
    jw_bool(w, r->possible);
    json_deployment(w, &r->d);
    json_memory(w, &r->m);
    json_speed(w, &r->s, r->d.usd_h);
    jw_object_end(w);
}

static void json_ways(struct json_out *w, const char *key, const struct remedy *at, size_t count)
{
    jw_key(w, key);
    jw_array(w);
    for (size_t i = 0; i < count; i++)
        json_way(w, &at[i]);
    jw_array_end(w);
}

void plan_json(const struct plan *p, struct buf *out)
{
    struct json_out w;
    char verdict[160];
    json_out_buf(&w, out);
    jw_object(&w);
    text(&w, "schema", "hotspare.plan/1");
    if (p->o.suggest) {
        text(&w, "use", suggest_use_name(p->use));
        text(&w, "hardware", p->d.gpu ? p->d.gpu->name : p->d.host->name);
        bytes(&w, "context", p->d.context);
        number(&w, "target_tokens_s", p->o.target_tps);
        json_ways(&w, "suggestions", p->suggestions.at, p->suggestions.count);
    } else {
        json_deployment(&w, &p->d);
        text(&w, "licence", p->d.model->licence);
        text(&w, "verdict", plan_verdict(p, verdict));
        json_memory(&w, &p->m);
        json_speed(&w, &p->s, p->d.usd_h);
        json_ways(&w, "remedies", p->remedies.at, p->remedies.count);
        text(&w, "note", p->note[0] ? p->note : NULL);
    }
    text(&w, "hardware_found", p->hardware);
    jw_object_end(&w);
}
