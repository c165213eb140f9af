#pragma once
/* May this model be used so? Answers for an exact model id from the licence table, a verdict for a
 * declared use, and the text to ship. Not legal advice, and the output says so. Pure. */
#include "local/facts.h"

enum use_kind { USE_RESEARCH, USE_INTERNAL, USE_PRODUCT, USE_API_SERVICE, USE_KIND_COUNT };
const char *use_kind_name(enum use_kind k); /* "api-service" */
/* ERR_INVALID: no such kind. */
MUST_USE enum err use_kind_of(struct span word, enum use_kind *out);

struct use {
    enum use_kind kind;
    double users;       /* monthly active users, company and affiliates; NAN: not said */
    double usd_year;    /* revenue a year, company and affiliates; NAN: not said */
    const char *region; /* "EU", "US" ...; NULL: not said */
    bool train;         /* other models are to be trained on outputs */
};

enum ruling { RULING_ALLOWED, RULING_DUTIES, RULING_ASK, RULING_FORBIDDEN };
const char *ruling_name(enum ruling v); /* "allowed", "allowed with duties", ... */

#define VERDICT_LINES_MAX 16
struct licence_verdict {
    enum ruling verdict;
    const char *reasons[VERDICT_LINES_MAX]; /* why forbidden, or what must be asked */
    const char *duties[VERDICT_LINES_MAX];  /* what must be done */
    size_t reason_count, duty_count;
};
/* l: NULL when the licence is not known: the verdict is RULING_ASK. Texts lie in `a`. */
void licence_judge(const struct fact_licence *l, const struct use *use, struct arena *a,
                   struct licence_verdict *out);
/* The licence of a model; *out_sure false when the table itself doubts it ("apache-2.0?"). */
const struct fact_licence *licence_of(const struct facts *f, const struct fact_model *m,
                                      bool *out_sure);
