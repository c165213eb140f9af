/* A licence is a row of answers; a use is a kind, a number of users, a revenue and a region. The
 * verdict is the worst of what the questions give: a limit that is passed forbids until the owner
 * has agreed, a limit whose side is not known is a question, a duty is listed. */
#include "local/licence.h"
#include "base/span.h"
#include <math.h>
#include <stdio.h>

static const char *const kind_names[USE_KIND_COUNT] = {"research", "internal", "product",
                                                       "api-service"};

const char *use_kind_name(enum use_kind k)
{
    assert((unsigned)k < USE_KIND_COUNT);
    return kind_names[k];
}

enum err use_kind_of(struct span word, enum use_kind *out)
{
    for (size_t i = 0; i < USE_KIND_COUNT; i++)
        if (span_is(word, kind_names[i])) {
            *out = (enum use_kind)i;
            return ERR_OK;
        }
    return ERR_INVALID;
}

const char *ruling_name(enum ruling v)
{
    static const char *const names[] = {"allowed", "allowed with duties", "ask a lawyer",
                                        "forbidden"};
    return names[v];
}

static void worsen(struct licence_verdict *v, enum ruling to)
{
    v->verdict = to > v->verdict ? to : v->verdict;
}

static void reason(struct licence_verdict *v, enum ruling to, const char *text)
{
    worsen(v, to);
    if (v->reason_count < VERDICT_LINES_MAX)
        v->reasons[v->reason_count++] = text;
}

static void duty(struct licence_verdict *v, const char *text)
{
    worsen(v, RULING_DUTIES);
    if (text && v->duty_count < VERDICT_LINES_MAX)
        v->duties[v->duty_count++] = text;
}

static bool is_word(const char *answer, const char *word)
{
    return answer && strcmp(answer, word) == 0;
}

static bool is_listed(const char *list, const char *word)
{
    struct span rest = span_from(list), one;
    while (span_next(&rest, ',', &one))
        if (span_iis(one, word))
            return true;
    return false;
}

static bool is_eu_member(const char *region)
{
    return is_listed("AT,BE,BG,HR,CY,CZ,DK,EE,FI,FR,DE,GR,HU,IE,IT,LV,LT,LU,MT,NL,PL,PT,RO,SK,SI,"
                     "ES,SE",
                     region);
}

static void judge_region(const struct fact_licence *l, const struct use *u, struct arena *a,
                         struct licence_verdict *v)
{
    if (!l->not_in)
        return;
    if (!u->region) {
        reason(v, RULING_ASK,
               arena_printf(a, "no licence is granted in %s: say your region", l->not_in).at);
        return;
    }
    const char *region = is_eu_member(u->region)      ? "EU"
                         : is_listed("GB", u->region) ? "UK"
                                                      : u->region;
    if (is_listed(l->not_in, region))
        reason(v, RULING_FORBIDDEN, arena_printf(a, "no licence is granted in %s", region).at);
}

static void judge_commercial(const struct fact_licence *l, const struct use *u,
                             struct licence_verdict *v)
{
    if (u->kind == USE_RESEARCH)
        return;
    if (is_word(l->commercial, "no"))
        reason(v, RULING_FORBIDDEN, "commercial use needs another licence from the owner");
    else if (!l->commercial || is_word(l->commercial, "?"))
        reason(v, RULING_ASK, "whether commercial use is allowed is not known here");
    else if (!is_word(l->commercial, "yes"))
        duty(v, l->commercial);
}

/* One limit: over it forbids, an unknown side asks. */
static void judge_limit(double limit, double value, const char *what, const char *over,
                        struct arena *a, struct licence_verdict *v)
{
    if (limit <= 0)
        return;
    if (isnan(value))
        reason(
            v, RULING_ASK,
            arena_printf(a, "above %.0f %s: %s; say yours", limit, what, over ? over : "ask").at);
    else if (value > limit)
        reason(v, RULING_FORBIDDEN,
               arena_printf(a, "above %.0f %s this licence does not cover you: %s", limit, what,
                            over ? over : "ask the owner")
                   .at);
}

static void judge_limits(const struct fact_licence *l, const struct use *u, struct arena *a,
                         struct licence_verdict *v)
{
    if (u->kind == USE_RESEARCH || (l->limit_api_only && u->kind != USE_API_SERVICE))
        return;
    /* A tool for the company itself has no users by the million; say --users to have it judged. */
    double users = u->kind == USE_INTERNAL && isnan(u->users) ? 0 : u->users;
    judge_limit(l->mau_limit, users, "monthly users", l->over_limit, a, v);
    judge_limit(l->usd_year_limit, u->usd_year, "USD revenue a year", l->over_limit, a, v);
}

static void judge_service(const struct fact_licence *l, const struct use *u, struct arena *a,
                          struct licence_verdict *v)
{
    if (u->kind != USE_API_SERVICE)
        return;
    if (is_word(l->api, "no"))
        reason(v, RULING_FORBIDDEN, "offering it as a service to others is excluded");
    else if (!l->api || is_word(l->api, "?"))
        reason(v, RULING_ASK, "whether it may be offered as a service is not known here");
    else if (!is_word(l->api, "yes"))
        duty(v, arena_printf(a, "as a service: %s", l->api).at);
}

static void judge_training(const struct fact_licence *l, const struct use *u, struct arena *a,
                           struct licence_verdict *v)
{
    if (!u->train)
        return;
    if (is_word(l->train, "no"))
        reason(v, RULING_FORBIDDEN, "outputs may not be used to improve other models");
    else if (!l->train || is_word(l->train, "?"))
        reason(v, RULING_ASK, "whether other models may be trained on outputs is not known here");
    else if (!is_word(l->train, "yes"))
        duty(v, arena_printf(a, "training on outputs: %s", l->train).at);
}

static void judge_display(const struct fact_licence *l, const struct use *u, struct arena *a,
                          struct licence_verdict *v)
{
    if (!l->show || u->kind == USE_RESEARCH)
        return;
    bool over = (!isnan(l->show_mau) && u->users >= l->show_mau) ||
                (!isnan(l->show_usd_year) && u->usd_year >= l->show_usd_year);
    bool always = is_word(l->commercial, "no") || l->show_mau <= 0;
    bool known = !isnan(u->users) && !isnan(u->usd_year);
    if (over || always)
        duty(v, l->show);
    else if (!known)
        duty(v, arena_printf(a, "above %.0f monthly users or %.0f USD revenue a year: %s",
                             l->show_mau, l->show_usd_year, l->show)
                    .at);
}

/* Copies and products carry the licence's words. Inside the house nobody gets a copy, and
 * open-source licences ask for nothing else; the others may ask for more than that. */
static bool carries_words(const struct fact_licence *l, const struct use *u)
{
    bool open = is_word(l->family, "OSI") || is_word(l->family, "permissive");
    return u->kind != USE_RESEARCH && !(open && u->kind == USE_INTERNAL);
}

void licence_judge(const struct fact_licence *l, const struct use *use, struct arena *a,
                   struct licence_verdict *out)
{
    *out = (struct licence_verdict){.verdict = RULING_ALLOWED};
    if (!l) {
        reason(out, RULING_ASK, "the licence is not known here: read the model's page");
        return;
    }
    judge_region(l, use, a, out);
    judge_commercial(l, use, out);
    judge_limits(l, use, a, out);
    judge_service(l, use, a, out);
    judge_training(l, use, a, out);
    judge_display(l, use, a, out);
    if (l->attribution && carries_words(l, use))
        duty(out, l->attribution);
    if (l->policy)
        duty(out, arena_printf(a, "follow %s", l->policy).at);
}

const struct fact_licence *licence_of(const struct facts *f, const struct fact_model *m,
                                      bool *out_sure)
{
    struct span id = span_from(m->licence);
    *out_sure = id.len > 0 && id.at[id.len - 1] != '?';
    return facts_licence(f, id.len && !*out_sure ? span_take(id, id.len - 1) : id);
}
