/* What probes have measured: one row for each model in the state folder's `capabilities`, with the
 * day it was measured on. A probe times one stream, so the figures are one sample each. */
#include "base/span.h"
#include "tools/matrix/matrix_internal.h"
#include "tools/matrix/stored.h"
#include <time.h>

static const char *day_of(struct matrix *m, usec wall)
{
    time_t at = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;
    char text[16] = "";
    if (gmtime_r(&at, &tm))
        (void)strftime(text, sizeof text, "%Y-%m-%d", &tm);
    return arena_cstr(&m->arena, span_from(text));
}

static void add_probed(struct matrix *m, const struct stored_probe *stored)
{
    const struct probed *p = stored->probed;
    struct matrix_row *r = matrix_add(m);
    if (!r)
        return;
    const char *day = day_of(m, p->at);
    /* Listed prices belong to a row only where its target is that provider's own API. */
    const struct fact_price *price =
        stored->kind[0] ? facts_price(&m->facts, stored->kind, p->model) : NULL;
    r->kind = MATRIX_LIVE;
    r->provider = arena_cstr(&m->arena, span_from(p->target));
    r->model = arena_cstr(&m->arena, span_from(p->model));
    r->when = arena_printf(&m->arena, "probed on %s, one stream; total counted from it", day).at;
    if (p->first_us >= 0)
        r->first = (struct matrix_value){
            .v = (double)p->first_us / 1e6, .basis = MATRIX_MEASURED, .as_of = day};
    if (p->rate > 0)
        r->speed = (struct matrix_value){.v = p->rate, .basis = MATRIX_MEASURED, .as_of = day};
    if (p->first_us >= 0 && p->rate > 0)
        r->total = (struct matrix_value){
            .v = r->first.v + m->osl / p->rate, .basis = MATRIX_ESTIMATED, .as_of = day};
    if (price)
        matrix_listed(m, price, r);
}

bool matrix_probed(struct matrix *m, const char **out_why)
{
    struct stored_probe *all;
    size_t count;
    if (!stored_probes(m->config, &m->arena, &all, &count, out_why))
        return false;
    for (size_t i = 0; i < count; i++)
        if (all[i].probed->first_us >= 0)
            add_probed(m, &all[i]);
    return true;
}
