/* For a terminal: bars for memory, lines for the rest. Every figure has its error beside it. */
#include "tools/plan/options.h"
#include <math.h>

#define GIB 1073741824.0
#define LABEL 22
#define BAR_LEAST 10
#define BAR_MOST 60
#define BUSY_LOW 0.2

struct screen {
    FILE *to;
    int columns;
    bool color;
};

static void bar(const struct screen *s, const char *name, double bytes, double whole, int hue,
                const char *note)
{
    int width = s->columns - LABEL - 30;
    width = width < BAR_LEAST ? BAR_LEAST : width > BAR_MOST ? BAR_MOST : width;
    double share = whole > 0 ? bytes / whole : 0;
    int cells = (int)(fmin(fmax(share, 0), 1) * width + 0.5);
    (void)fprintf(s->to, "  %-*s %8.2f  ", LABEL - 4, name, bytes / GIB);
    if (s->color)
        (void)fprintf(s->to, "\033[%dm", hue);
    for (int i = 0; i < cells; i++)
        (void)fputs("\xe2\x96\x88", s->to);
    if (s->color)
        (void)fputs("\033[0m", s->to);
    (void)fprintf(s->to, "%s%s\n", share > 1 ? "> " : cells ? " " : "", note);
}

static void show_memory(const struct screen *s, const struct plan *p)
{
    static const char *const basis[] = {"summed from the file", "by tensor", "by part",
                                        "by the format's average"};
    const struct memory *m = &p->m;
    char note[96];
    double kv = m->kv_sequence * p->d.sequences, whole = m->visible;
    (void)fprintf(s->to, "memory%s, GiB\n",
                  !p->d.gpu               ? " of the host"
                  : p->d.tp * p->d.pp > 1 ? " of each card"
                                          : " of the card");
    (void)snprintf(note, sizeof note, "+-%.2f (%s)", m->weights.error * m->weights_here / GIB,
                   basis[m->weights.basis]);
    bar(s, "weights", m->weights_here, whole, 34, note);
    (void)snprintf(note, sizeof note, "%.0f x %.0f tokens, %s", p->d.sequences, p->d.context,
                   p->d.kv->id);
    bar(s, "cache", kv, whole, 32, note);
    (void)snprintf(note, sizeof note, "+-%.2f", 0.3 * m->overhead / GIB);
    bar(s, "engine", m->overhead, whole, 33, note);
    double used = m->weights_here + kv + m->overhead;
    (void)snprintf(note, sizeof note, "of %.2f that may be used, %.2f there", m->budget / GIB,
                   m->visible / GIB);
    bar(s, "together", used, whole, used > m->budget ? 31 : 36, note);
    if (m->host_needed > 0)
        (void)fprintf(s->to, "  host memory: %.2f of %.2f\n", m->host_needed / GIB,
                      m->host_budget / GIB);
}

const char *plan_verdict(const struct plan *p, char text[160])
{
    const struct memory *m = &p->m;
    if (m->host_needed > m->host_budget)
        (void)snprintf(text, 160, "does not fit: host memory lacks %.1f GiB",
                       (m->host_needed - m->host_budget) / GIB);
    else if (m->kv_room <= 0)
        (void)snprintf(text, 160, "does not fit: weights and engine are %.1f GiB too large",
                       -m->kv_room / GIB);
    else if (!m->fits)
        (void)snprintf(text, 160, "does not fit: room for %.0f of %.0f conversations (%.0f tokens)",
                       m->most_sequences, p->d.sequences, m->tokens);
    else if (m->kv_room - m->kv_sequence * p->d.sequences < m->error)
        (void)snprintf(text, 160, "fits, closer than the error of the estimate: up to %.0f at once",
                       m->most_sequences);
    else
        (void)snprintf(text, 160,
                       "fits: up to %.0f conversations of %.0f tokens at once (%.0f tokens)",
                       m->most_sequences, p->d.context, m->tokens);
    return text;
}

/* A text in lines of the screen's width, indented below its first. */
static void wrapped(const struct screen *s, int indent, const char *text)
{
    int at = indent;
    (void)fprintf(s->to, "%*s", indent, "");
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (at > indent && at + 1 + n > s->columns) {
            (void)fprintf(s->to, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            (void)fputc(' ', s->to);
            at++;
        }
        (void)fprintf(s->to, "%.*s", n, text);
        at += n;
        text += n + (text[n] == ' ');
    }
    (void)fputc('\n', s->to);
}

/* One number with the range it may lie in. */
static void ranged(const struct screen *s, const char *name, double n, struct range r,
                   const char *unit)
{
    int digits = n < 10 ? 2 : 0;
    (void)fprintf(s->to, "  %-*s %8.*f %s  (%.*f to %.*f)\n", LABEL - 4, name, digits, n, unit,
                  digits, r.least, digits, r.most);
}

/* A wait, in ms or seconds. */
static void waited(const struct screen *s, const char *name, double seconds,
                   const struct speed_band *b)
{
    double scale = seconds < 10 ? 1000 : 1;
    ranged(s, name, seconds * scale, estimate_time_range(seconds * scale, b),
           scale > 1 ? "ms" : "s");
}

/* What the ranges mean. */
static void show_band(const struct screen *s, const char *what, const struct speed_band *b)
{
    char text[320];
    if (b->half > 0)
        (void)snprintf(text, sizeof text,
                       "range of %s: holds every one of %u published figures of this kind (%s); "
                       "half are within %.0f %% of an estimate that was fitted without their model",
                       what, b->rows, b->why, 100 * b->half);
    else if (b->rows > 0)
        (void)snprintf(text, sizeof text,
                       "range of %s: holds the %u published figures there are of this kind (%s)",
                       what, b->rows, b->why);
    else
        (void)snprintf(text, sizeof text,
                       "range of %s: a guess, no published figure was compared (%s)", what, b->why);
    wrapped(s, 2, text);
}

/* Seconds to the first token of a prompt that fills the context. */
static double first_of_full(const struct deployment *d, const struct memory *m)
{
    struct deployment full = *d;
    struct speed v;
    full.isl = fmax(d->context - d->osl, 1);
    estimate_speed(&full, m, &v);
    return v.first_token;
}

static void show_speed(const struct screen *s, const struct plan *p)
{
    const struct speed *v = &p->s;
    (void)fprintf(s->to, "speed, prompts of %.0f tokens, answers of %.0f: estimates\n", p->d.isl,
                  p->d.osl);
    waited(s, "first token, alone", v->first_token, v->first_band);
    waited(s, "of a full context", first_of_full(&p->d, &p->m), v->first_band);
    ranged(s, "one conversation", v->one, estimate_rate_range(v->one, v->band), "tokens/s");
    char name[32];
    (void)snprintf(name, sizeof name, "%.0f together", v->batch);
    if (v->batch > 1)
        ranged(s, name, v->all, estimate_rate_range(v->all, v->band), "tokens/s");
    show_band(s, "first tokens", v->first_band);
    show_band(s, "tokens/s and prices", v->band);
    if (p->o.target_tps > 0 && v->one < p->o.target_tps)
        (void)fprintf(s->to, "  slower than the %.3g tokens/s asked for\n", p->o.target_tps);
    if (!p->d.gpu)
        (void)fputs("  a processor reads prompts 10 to 50 times slower than a card\n", s->to);
}

static void show_price(const struct screen *s, const struct plan *p)
{
    const struct speed *v = &p->s;
    const struct fact_price *api = facts_price(&p->facts, "anthropic", "claude-sonnet-5");
    if (v->usd_output <= 0) {
        (void)fputs("price: the rent is not known; say it with --usd-h\n", s->to);
        return;
    }
    bool table = p->o.usd_h < 0;
    (void)fprintf(s->to, "price, %.2f USD an hour, busy %.0f %% of it", p->d.usd_h,
                  100 * p->d.busy);
    if (table && p->d.gpu)
        (void)fprintf(s->to, " (rents of %.2f to %.2f a card were seen %s)", p->d.gpu->usd_h_low,
                      p->d.gpu->usd_h_high, p->d.gpu->price_as_of);
    (void)fputc('\n', s->to);
    ranged(s, "1M output tokens", v->usd_output, estimate_time_range(v->usd_output, v->band),
           "USD");
    ranged(s, "1M tokens, both", v->usd_blended, estimate_time_range(v->usd_blended, v->band),
           "USD");
    if (api)
        (void)fprintf(s->to,
                      "  %s: %.2f in, %.2f out (%s); busy below %.0f %%, an API is "
                      "almost always cheaper\n",
                      api->model, api->input, api->output, api->as_of, 100 * BUSY_LOW);
}

static void show_remedy(const struct screen *s, const struct plan *p, const struct remedy *r)
{
    if (!r->possible) {
        (void)fprintf(s->to, "  no   %s\n", r->what);
        wrapped(s, 9, r->why);
        return;
    }
    struct range one = estimate_rate_range(r->s.one, r->s.band);
    (void)fprintf(s->to,
                  "  %s  %s\n         up to %.0f at once, %.3g tokens/s each alone (%.3g to %.3g; "
                  "x%.2f), %.3g together",
                  s->color ? "\033[32mfits\033[0m" : "fits", r->what, r->m.most_sequences, r->s.one,
                  one.least, one.most, r->s.one / p->s.one, r->s.all);
    if (r->s.usd_output > 0)
        (void)fprintf(s->to, ", %.2f USD/1M", r->s.usd_output);
    (void)fputc('\n', s->to);
    wrapped(s, 9, r->why);
}

static void show_remedies(const struct screen *s, const struct plan *p)
{
    enum remedy_kind last = REMEDY_KIND_COUNT;
    if (p->remedies.count)
        (void)fputs("\nwhat to do, in this order (x: speed of one conversation against the plan "
                    "above, had it room)\n",
                    s->to);
    for (size_t i = 0; i < p->remedies.count; i++) {
        const struct remedy *r = &p->remedies.at[i];
        if (r->kind != last)
            (void)fprintf(s->to, " %s\n", remedy_name(r->kind));
        if (r->kind == REMEDY_QUANT && r->kind != last)
            (void)fputs("  (\"AWQ loses 5 %, GPTQ 2 %, GGUF 10 %\" is often said: a loss needs a "
                        "metric, AWQ loses\n   a little less than GPTQ, and GGUF files go from 0 % "
                        "to over 50 %. docs/planning.md)\n",
                        s->to);
        last = r->kind;
        show_remedy(s, p, r);
    }
}

static void show_suggestions(const struct screen *s, const struct plan *p)
{
    (void)fprintf(s->to, "for %s: %.0f tokens of context, %.0f at once, %.3g tokens/s or more\n",
                  suggest_use_name(p->use), p->d.context, p->d.sequences, p->o.target_tps);
    if (p->suggestions.count == 0)
        (void)fputs("nothing of the catalogue fits; ask for a shorter --context or a lower "
                    "--target-tps, or plan with more cards\n",
                    s->to);
    for (size_t i = 0; i < p->suggestions.count; i++) {
        const struct remedy *r = &p->suggestions.at[i];
        const struct fact_model *m = r->d.model;
        struct range one = estimate_rate_range(r->s.one, r->s.band);
        (void)fprintf(s->to,
                      "%zu. %s\n   %s in %s, cache %s: %.1f of %.1f GiB, up to %.0f at once\n"
                      "   %.3g tokens/s alone (%.3g to %.3g), first token of a full context after "
                      "%.2g s",
                      i + 1, m->id, r->d.quant->id, engine_name(r->d.engine), r->d.kv->id,
                      (r->m.weights_here + r->m.overhead + r->m.kv_sequence * p->d.sequences) / GIB,
                      r->m.visible / GIB, r->m.most_sequences, r->s.one, one.least, one.most,
                      first_of_full(&r->d, &r->m));
        if (r->s.usd_output > 0)
            (void)fprintf(s->to, ", %.2f USD/1M", r->s.usd_output);
        (void)fprintf(s->to, "\n   %s; licence %s%s%s\n", r->why, m->licence,
                      m->tool_parser ? "; --tool-call-parser " : "; no tool calls",
                      m->tool_parser ? m->tool_parser : "");
    }
}

static void show_facts(const struct screen *s, const struct plan *p)
{
    const struct fact_model *m = p->d.model;
    (void)fprintf(s->to, "\nfacts: model %s%s%s; card %s; hardware %s\n",
                  m->source ? m->source : "?", m->as_of ? ", " : "", m->as_of ? m->as_of : "",
                  p->d.gpu ? p->d.gpu->source : p->d.host->source, p->hardware);
    if (p->note[0])
        (void)fprintf(s->to, "note: %s\n", p->note);
    if (p->m.weights.draft > 0)
        (void)fprintf(
            s->to,
            "note: %.1f GiB of draft layers are in the checkpoint on top; they are loaded "
            "for speculative decoding alone\n",
            p->m.weights.draft / GIB);
    if (p->d.engine == ENGINE_VLLM && p->m.kv_room > 0 && !p->d.eager &&
        (p->m.visible - p->m.budget < GIB || p->m.weights_here > 0.75 * p->m.visible))
        (void)fputs("note: CUDA graphs are captured outside the share vLLM takes, and little is "
                    "left for them: --enforce-eager if it does not start\n",
                    s->to);
}

void plan_show(const struct plan *p, FILE *to, int columns, bool color)
{
    struct screen s = {to, columns, color};
    char text[160];
    const struct deployment *d = &p->d;
    const struct fact_gpu *g = d->gpu ? d->gpu : d->host;
    if (p->o.suggest) {
        (void)fprintf(to, "%u x %s, ", p->cards ? p->cards : 1, g->name);
        show_suggestions(&s, p);
        return;
    }
    (void)fprintf(to, "%s, %s%s, in %s on %u x %s", d->model->id, d->quant->id,
                  p->native ? " as published" : "", engine_name(d->engine), d->tp * d->pp, g->name);
    if (d->tp * d->pp > 1)
        (void)fprintf(to, " (tensor parallel %u, stages %u)", d->tp, d->pp);
    (void)fputs("\n\n", to);
    show_memory(&s, p);
    (void)fprintf(to, "%s%s%s\n\n", color ? (p->m.fits ? "\033[32m" : "\033[31m") : "",
                  plan_verdict(p, text), color ? "\033[0m" : "");
    show_speed(&s, p);
    show_price(&s, p);
    show_remedies(&s, p);
    show_facts(&s, p);
}
