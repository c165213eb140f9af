/* The access log's line and its buffer. Only spans of the report go in; the request's bytes never
 * do. */
#include "serve/access_log.h"

#include "base/mem.h"
#include "base/span.h"
#include "json/json_write.h"

#include <errno.h>
#include <stdio.h>
#include <time.h> /* gmtime_r: the time itself comes from the loop */
#include <unistd.h>

#define FLUSH_BYTES ((size_t)64 << 10)
#define FLUSH_TIME (200 * USEC_PER_MS)

struct access_log {
    struct loop *loop;
    struct buf buf;
    struct timer timer;
    int fd;
};

static void flush(struct access_log *a)
{
    struct span left = buf_span(&a->buf);
    while (left.len > 0) {
        ssize_t n = write(a->fd, left.at, left.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* a full disk loses log lines, never requests */
        left = span_drop(left, (size_t)n);
    }
    buf_reset(&a->buf);
}

static void on_timer(struct timer *t)
{
    flush(CONTAINER_OF(t, struct access_log, timer));
}

struct access_log *access_log_new(struct loop *l, int fd)
{
    struct access_log *a = mem_new(struct access_log);
    a->loop = l;
    a->fd = fd;
    buf_init(&a->buf, FLUSH_BYTES * 2);
    return a;
}

void access_log_free(struct access_log *a)
{
    if (!a)
        return;
    loop_timer_cancel(a->loop, &a->timer);
    flush(a);
    buf_deinit(&a->buf);
    mem_free(a);
}

static void put_time(struct json_out *w, usec wall)
{
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm utc;
    char text[48];
    size_t at = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &utc));
    (void)snprintf(text + at, sizeof text - at, ".%03dZ",
                   (int)(wall / USEC_PER_MS % 1000)); /* fits */
    jw_cstr(w, text);
}

static void put_key(struct json_out *w, const char *key, const char *value)
{
    jw_key(w, key);
    if (value)
        jw_cstr(w, value);
    else
        jw_null(w);
}

static void put_model(struct json_out *w, const char *key, struct span raw)
{
    jw_key(w, key);
    jw_str_raw(w, span_take(raw, raw.len > 256 ? 0 : raw.len));
}

static void put_ms(struct json_out *w, const char *key, usec from, usec to)
{
    jw_key(w, key);
    if (from == 0 || to == 0)
        jw_null(w);
    else
        jw_i64(w, (to - from) / USEC_PER_MS);
}

static void put_attempts(struct json_out *w, const struct exchange_report *r)
{
    jw_key(w, "attempts");
    jw_array(w);
    for (size_t i = 0; i < r->attempt_count; i++) {
        const struct exchange_attempt *at = &r->attempts[i];
        jw_object(w);
        put_key(w, "target", at->target);
        put_key(w, "result",
                at->outrun                ? "outrun"
                : at->cancelled           ? "cancelled"
                : at->cause == CAUSE_NONE ? "ok"
                                          : cause_facts(at->cause)->name);
        jw_key(w, "status");
        jw_i64(w, at->status);
        put_ms(w, "ms", at->started, at->ended);
        if (at->resumed) {
            jw_key(w, "resumed");
            jw_bool(w, true);
        }
        if (at->injected) /* a drill did it */
            put_key(w, "injected", at->injected);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void put_tokens(struct json_out *w, const char *key, int64_t n)
{
    jw_key(w, key);
    if (n < 0)
        jw_null(w);
    else
        jw_i64(w, n);
}

/* How often the answer was gone on with in its middle, and what the last seam dropped. */
static void put_splices(struct json_out *w, const struct exchange_splices *s)
{
    jw_key(w, "splices");
    jw_i64(w, s->count);
    if (s->count == 0)
        return;
    put_key(w, "splice_style", s->in_words ? "in_words" : "native");
    jw_key(w, "splice_dropped");
    jw_i64(w, (int64_t)s->seam.lead_in + s->seam.repeated + s->seam.blanks);
}

static void put_line(struct access_log *a, struct json_out *w, const struct exchange_report *r)
{
    jw_object(w);
    jw_key(w, "ts");
    put_time(w, loop_wall(a->loop));
    jw_key(w, "id");
    jw_str(w, r->id);
    put_key(w, "client_key", r->client_key);
    put_key(w, "api", r->door->name);
    put_model(w, "req_model", r->model);
    put_key(w, "served_by", r->served_by);
    put_model(w, "model", r->served_model);
    jw_key(w, "stream");
    jw_bool(w, r->stream);
    jw_key(w, "status");
    jw_i64(w, r->status);
    put_key(w, "outcome", exchange_outcome_name(r->outcome));
    put_attempts(w, r);
    put_key(w, "switched_from", r->switched_from);
    put_key(w, "switch_reason", r->switched_from ? exchange_switch_name(r->switch_cause) : NULL);
    put_key(w, "conversation_source", r->conversation_source);
    put_splices(w, &r->splices);
    if (r->hedge != HEDGE_NONE)
        put_key(w, "hedge", exchange_hedge_name(r->hedge));
    put_ms(w, "ttft_ms", r->started, r->first_content);
    put_ms(w, "dur_ms", r->started, r->ended);
    jw_key(w, "stall_ms_max");
    jw_i64(w, r->stall_max / USEC_PER_MS);
    put_tokens(w, "tok_in", r->usage.input);
    put_tokens(w, "tok_out", r->usage.output);
    put_tokens(w, "tok_cache", r->usage.cache_read);
    jw_key(w, "lossy");
    jw_array(w);
    for (size_t i = 0; i < r->lossy.count; i++)
        jw_cstr(w, r->lossy.names[i]);
    jw_array_end(w);
    jw_object_end(w);
}

void access_log_write(struct access_log *a, const struct exchange_report *r)
{
    size_t before = a->buf.len;
    struct json_out w;
    json_out_buf(&w, &a->buf);
    put_line(a, &w, r);
    if (w.failed || buf_add_char(&a->buf, '\n') != ERR_OK)
        a->buf.len = before;
    if (a->buf.len > FLUSH_BYTES)
        flush(a);
    else if (!timer_armed(&a->timer))
        loop_timer_in(a->loop, &a->timer, FLUSH_TIME, on_timer);
}
