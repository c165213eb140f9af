#include "tools/drill/errand.h"
#include "base/span.h"

#define ERRAND_TIME (2 * USEC_PER_SEC)

static void over(struct errand *e, int status)
{
    e->call = NULL;
    loop_timer_cancel(e->loop, &e->limit);
    e->on_done(e->ctx, status, buf_span(&e->reply));
}

static void on_head(void *ctx, const struct http_head *head)
{
    ((struct errand *)ctx)->status = head->status;
}

static void on_body(void *ctx, struct span bytes)
{
    struct errand *e = ctx;
    if (buf_add(&e->reply, bytes) != ERR_OK)
        e->status = 0; /* larger than any answer of ours */
}

static void on_end(void *ctx)
{
    struct errand *e = ctx;
    over(e, e->status);
}

static void on_error(void *ctx, enum err err, enum call_stage stage, const char *why)
{
    (void)err;
    (void)stage;
    (void)why;
    over(ctx, 0);
}

static void takes_too_long(struct timer *t)
{
    struct errand *e = CONTAINER_OF(t, struct errand, limit);
    call_cancel(e->call);
    over(e, 0);
}

static void run(struct errand *e, struct loop *l, struct pool *p, struct origin *o,
                struct span method, const char *target, struct span body)
{
    static const struct call_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    assert(e->call == NULL);
    if (!e->open) {
        arena_init(&e->arena, ERRAND_REPLY_MAX);
        buf_init(&e->reply, ERRAND_REPLY_MAX);
    }
    e->open = true;
    e->loop = l;
    arena_reset(&e->arena);
    buf_reset(&e->reply);
    pieces_init(&e->body, &e->arena);
    pieces_copy(&e->body, body);
    e->status = 0;
    struct call_request request = {.method = method,
                                   .target = span_from(target),
                                   .fields = SPAN("content-type: text/plain\r\n"),
                                   .body = body.at != NULL ? &e->body : NULL};
    loop_timer_in(l, &e->limit, ERRAND_TIME, takes_too_long);
    e->call = call_start(p, o, &request, &events, e);
}

void errand_run(struct errand *e, struct loop *l, struct pool *p, struct origin *o,
                const char *target, struct span body)
{
    run(e, l, p, o, body.at != NULL ? SPAN("POST") : SPAN("GET"), target, body);
}

void errand_delete(struct errand *e, struct loop *l, struct pool *p, struct origin *o,
                   const char *target)
{
    run(e, l, p, o, SPAN("DELETE"), target, SPAN_EMPTY);
}

void errand_deinit(struct errand *e)
{
    if (!e->open)
        return;
    call_cancel(e->call);
    e->call = NULL;
    loop_timer_cancel(e->loop, &e->limit);
    buf_deinit(&e->reply);
    arena_deinit(&e->arena);
    e->open = false;
}
