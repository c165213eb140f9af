/* The listening side of a server: listeners, the set of connections, draining, the date.
 *
 * Connections are in one of two lists: `live` ones have a stream; `gone` ones are only waiting for
 * the handler to let go of their request. Memory for parsing belongs to the server, not to the
 * connections: reads go through one scratch buffer, and codecs are lent while a request is being
 * read. So an idle connection is little more than struct conn and its stream. */
#include "conn/server_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <time.h>

const struct server_limits server_limits_default = {
    .http = {.line_bytes = 8 * 1024,
             .field_bytes = 16 * 1024,
             .head_bytes = 64 * 1024,
             .fields = 100,
             .body_bytes = 32 * 1024 * 1024},
    .head_time = 10 * USEC_PER_SEC,
    .body_gap = 30 * USEC_PER_SEC,
    .keep_alive = 75 * USEC_PER_SEC,
    .write_stall = 60 * USEC_PER_SEC,
    .body_rate_grace = 10 * USEC_PER_SEC,
    .body_rate = 1024,
    .connections_max = 16384,
    .body_memory_max = (size_t)256 << 20,
    .arena_max = (size_t)64 << 20,
};

struct server *server_new(struct loop *l, const struct server_limits *limits,
                          const struct server_handler *handler)
{
    assert(handler->on_request && handler->on_gone);
    struct server *s = mem_new(struct server);
    s->loop = l;
    s->limits = *limits;
    s->handler = *handler;
    s->date_second = -1;
    return s;
}

static void on_accept(void *ctx, struct stream *stream)
{
    struct server *s = ctx;
    conn_accept(s, stream);
}

enum err server_listen(struct server *s, struct span host, uint16_t port,
                       const struct listen_options *o, const char **out_why)
{
    if (s->listener_count == LISTENERS_MAX) {
        *out_why = "too many addresses to listen on";
        return ERR_LIMIT;
    }
    struct listener **slot = &s->listeners[s->listener_count];
    enum err e = net_listen(s->loop, host, port, o, on_accept, s, slot, out_why);
    if (e == ERR_OK)
        s->listener_count++;
    return e;
}

uint16_t server_port(const struct server *s)
{
    return s->listener_count ? listener_port(s->listeners[0]) : 0;
}

struct server_stats server_stats(const struct server *s)
{
    return s->stats;
}

/* ---- the end ---- */

static void close_listeners(struct server *s)
{
    while (s->listener_count)
        listener_close(s->listeners[--s->listener_count]);
}

static void empty_fired(struct timer *t)
{
    struct server *s = CONTAINER_OF(t, struct server, empty_timer);
    void (*on_empty)(void *) = s->on_empty;
    s->on_empty = NULL;
    if (on_empty)
        on_empty(s->empty_ctx);
}

void server_check_empty(struct server *s)
{
    if (s->draining && s->on_empty && s->stats.connections == 0)
        loop_timer_in(s->loop, &s->empty_timer, 0, empty_fired);
}

void server_drain(struct server *s, void (*on_empty)(void *ctx), void *ctx)
{
    s->draining = true;
    s->on_empty = on_empty;
    s->empty_ctx = ctx;
    close_listeners(s);
    for (struct conn *c = s->live, *next; c; c = next) {
        next = c->next;
        c->keep_alive = false;
        if (c->state != CONN_IDLE)
            continue;
        conn_close(c, false);
        conn_settle(c);
    }
    server_check_empty(s);
}

/* A connection that has just ended by itself tells its handler from the loop's next turn on, which
 * a server that is freed now has not. Telling one may end others: the list is gone through anew. */
static void tell_those_gone(struct server *s)
{
    for (struct conn *c = s->gone; c;) {
        if (!c->gone_due) {
            c = c->next;
            continue;
        }
        c->busy++;
        conn_tell_gone(c);
        c->busy--;
        conn_settle(c);
        c = s->gone;
    }
}

void server_cut(struct server *s)
{
    struct conn *c;
    while ((c = s->live)) {
        c->busy++;
        conn_close(c, true); /* moves it out of `live` */
        conn_tell_gone(c);
        c->busy--;
        conn_settle(c);
    }
    tell_those_gone(s);
}

void server_free(struct server *s)
{
    if (!s)
        return;
    s->on_empty = NULL;
    close_listeners(s);
    server_cut(s);
    /* on_gone's contract: the handler has aborted all replies by now, or before. */
    assert(!s->gone && s->stats.connections == 0 && s->stats.body_bytes_held == 0);
    loop_timer_cancel(s->loop, &s->empty_timer);
    while (s->spare_count) {
        struct h1 *codec = s->spares[--s->spare_count];
        h1_deinit(codec);
        mem_free(codec);
    }
    mem_free(s);
}

/* ---- what connections share ---- */

void conn_link(struct conn **list, struct conn *c)
{
    c->prev = NULL;
    c->next = *list;
    if (*list)
        (*list)->prev = c;
    *list = c;
}

void conn_unlink(struct conn **list, struct conn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        *list = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->prev = c->next = NULL;
}

struct h1 *server_codec_take(struct server *s)
{
    if (s->spare_count)
        return s->spares[--s->spare_count];
    struct h1 *codec = mem_new(struct h1);
    h1_init(codec, H1_REQUEST, &s->limits.http);
    return codec;
}

void server_codec_give(struct server *s, struct h1 *codec)
{
    if (s->spare_count < SPARE_CODECS) {
        h1_reset(codec);
        s->spares[s->spare_count++] = codec;
        return;
    }
    h1_deinit(codec);
    mem_free(codec);
}

/* IMF-fixdate (RFC 9110 section 5.6.7), written once a second. Not strftime: its names follow the
 * locale. */
struct span server_date(struct server *s)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    usec second = loop_wall(s->loop) / USEC_PER_SEC;
    if (second != s->date_second) {
        time_t at = (time_t)second;
        struct tm tm = {0};
        gmtime_r(&at, &tm);
        (void)snprintf(s->date, sizeof(s->date), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                       days[tm.tm_wday % 7], tm.tm_mday % 100, months[tm.tm_mon % 12],
                       (1900 + tm.tm_year) % 10000, tm.tm_hour % 100, tm.tm_min % 100,
                       tm.tm_sec % 100);
        s->date_second = second;
    }
    return span_from(s->date);
}
