/* What a running gateway has measured: its /metrics, read once. Time to the first token and whole
 * answers are means over all it has served since it began, as its clients saw them. */
#include "base/span.h"
#include "conn/pool.h"
#include "tools/matrix/matrix_internal.h"
#include <math.h>

#define WAIT (5 * USEC_PER_SEC)
#define ANSWER_MAX ((size_t)4 << 20)
#define TARGETS_MAX 64u

struct fetch {
    struct timer timer;
    struct loop *loop;
    struct call *call;
    struct buf body;
    int status;
    bool whole;
};

static void on_head(void *ctx, const struct http_head *head)
{
    ((struct fetch *)ctx)->status = head->status;
}

static void on_body(void *ctx, struct span bytes)
{
    struct fetch *f = ctx;
    if (buf_add(&f->body, bytes) != ERR_OK)
        f->status = 0; /* no gateway tells that much */
}

static void on_end(void *ctx)
{
    struct fetch *f = ctx;
    f->call = NULL;
    f->whole = true;
    loop_stop(f->loop);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct fetch *f = ctx;
    (void)e, (void)stage, (void)why; /* told as "does not answer" */
    f->call = NULL;
    loop_stop(f->loop);
}

static void out_of_time(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct fetch, timer)->loop);
}

static const struct call_events events = {on_head, on_body, on_end, on_error};

/* ---- the text ---- */

struct seen {
    struct span target;
    double first_sum, first_count, total_sum, total_count, output;
};

static bool label(struct span line, const char *name, struct span *out)
{
    char want[40];
    int n = snprintf(want, sizeof want, "%s=\"", name);
    ssize_t at = span_search(line, (struct span){want, (size_t)n});
    if (at < 0)
        return false;
    struct span rest = span_drop(line, (size_t)at + (size_t)n);
    ssize_t end = span_find(rest, '"');
    *out = span_take(rest, end < 0 ? 0 : (size_t)end);
    return end > 0;
}

static struct seen *seen_of(struct seen *list, size_t *count, struct span target)
{
    for (size_t i = 0; i < *count; i++)
        if (span_eq(list[i].target, target))
            return &list[i];
    if (*count == TARGETS_MAX)
        return NULL;
    list[*count] = (struct seen){.target = target};
    return &list[(*count)++];
}

static void read_line(struct span line, struct seen *list, size_t *count)
{
    static const struct {
        const char *name;
        size_t at;
    } wanted[] = {
        {"hotspare_client_ttft_seconds_sum{", offsetof(struct seen, first_sum)},
        {"hotspare_client_ttft_seconds_count{", offsetof(struct seen, first_count)},
        {"hotspare_client_duration_seconds_sum{", offsetof(struct seen, total_sum)},
        {"hotspare_client_duration_seconds_count{", offsetof(struct seen, total_count)},
        {"hotspare_tokens_total{", offsetof(struct seen, output)},
    };
    struct span target, kind, rest = line;
    ssize_t end = span_find(line, '}');
    double v;
    if (end < 0 || span_double(span_trim(span_drop(rest, (size_t)end + 1)), &v) != ERR_OK)
        return;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        bool tokens = i == ARRAY_LEN(wanted) - 1;
        if (!span_starts(line, span_from(wanted[i].name)) ||
            !label(line, tokens ? "target" : "served_by", &target) ||
            (tokens && (!label(line, "kind", &kind) || !span_is(kind, "output"))))
            continue;
        struct seen *s = seen_of(list, count, target);
        if (s)
            *(double *)((char *)s + wanted[i].at) = v;
    }
}

static struct matrix_value measured(const struct matrix *m, double v)
{
    return (struct matrix_value){.v = v, .basis = MATRIX_MEASURED, .as_of = m->today};
}

void matrix_read_metrics(struct matrix *m, struct span text)
{
    struct seen list[TARGETS_MAX];
    struct span line;
    size_t count = 0;
    while (text.len && span_next(&text, '\n', &line))
        read_line(line, list, &count);
    for (size_t i = 0; i < count; i++) {
        const struct seen *s = &list[i];
        struct matrix_row *r = s->first_count > 0 ? matrix_add(m) : NULL;
        if (!r)
            continue;
        r->kind = MATRIX_LIVE;
        r->provider = "gateway";
        r->model = arena_cstr(&m->arena, s->target);
        r->when = s->output > 0
                      ? arena_printf(&m->arena, "measured here, %.0f answers of %.0f tokens",
                                     s->first_count, s->output / s->first_count)
                            .at
                      : arena_printf(&m->arena, "measured here, %.0f answers", s->first_count).at;
        r->first = measured(m, s->first_sum / s->first_count);
        if (s->total_count > 0)
            r->total = measured(m, s->total_sum / s->total_count);
        double writing = s->total_sum - s->first_sum;
        if (s->output > 0 && writing > 0 && fabs(s->total_count - s->first_count) < 0.5)
            r->speed = measured(m, s->output / writing);
    }
}

bool matrix_live(struct matrix *m, const char **out_why)
{
    static const struct call_request ask = {.method = {"GET", 3}, .target = {"/metrics", 8}};
    struct url url;
    struct fetch f = {0};
    if (url_parse(span_from(m->admin), &url, out_why) != ERR_OK)
        return false;
    if (url.tls) {
        *out_why = "write http://: a gateway's admin address speaks no TLS";
        return false;
    }
    buf_init(&f.body, ANSWER_MAX);
    f.loop = loop_new();
    struct pool *pool = pool_new(f.loop, &pool_limits_default);
    f.call = call_start(pool, pool_origin(pool, &url, NULL), &ask, &events, &f);
    loop_timer_in(f.loop, &f.timer, WAIT, out_of_time);
    loop_run(f.loop);
    call_cancel(f.call);
    bool good = f.whole && f.status == 200;
    if (good)
        matrix_read_metrics(m, arena_copy(&m->arena, buf_span(&f.body)));
    else
        *out_why = arena_printf(&m->arena, "%s/metrics does not answer like a gateway (status %d)",
                                m->admin, f.status)
                       .at;
    loop_timer_cancel(f.loop, &f.timer);
    pool_free(pool);
    loop_free(f.loop);
    buf_deinit(&f.body);
    return good;
}
