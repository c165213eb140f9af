/* The client: a configuration made ready, and a loop that runs only while the caller waits.
 *
 * The alternative was a worker thread with a loopback port: it would have to be found, guarded with
 * a key and joined, and would pass every byte through HTTP twice. Here the caller's own thread
 * drives the relay: hs_next runs the loop until an event of its reply is there. So a client is as
 * little shared as any C object, and there is nothing to stop when it is freed.
 *
 * Every public function goes through enter and leave. Between them SIGPIPE is blocked (TLS may
 * raise it, and the process's handlers are its own affair) and log lines go to the caller's
 * function or nowhere. While a reply is open, time outside of them does not exist for the loop:
 * deadlines are the targets', and the caller may run a tool for a minute between two events. */
#include "lib/lib_internal.h"

#include "base/mem.h"
#include "serve/load.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#define NO_PING (366 * 24 * 3600 * USEC_PER_SEC) /* nobody is on the line who could hang up */

/* ---- in and out ---- */

struct visit {
    const struct log_sink *log;
    sigset_t mask;
    bool pending; /* a SIGPIPE was there before us */
};

static bool sigpipe_pending(void)
{
    sigset_t set;
    return sigpending(&set) == 0 && sigismember(&set, SIGPIPE) == 1;
}

static struct visit enter(hs_client *c)
{
    struct visit v = {.log = log_divert(&c->sink), .pending = sigpipe_pending()};
    sigset_t pipe;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe, &v.mask); /* cannot fail with these arguments */
    if (c->loop)
        loop_resume(c->loop, c->open == 0 || c->watched);
    c->watched = false;
    return v;
}

static void leave(const struct visit *v)
{
    static const struct timespec at_once;
    sigset_t pipe;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    if (!v->pending && sigpipe_pending())
        (void)sigtimedwait(&pipe, NULL, &at_once); /* ours, and the stream knows already */
    (void)pthread_sigmask(SIG_SETMASK, &v->mask, NULL);
    arena_trim(); /* the thread may end before it comes back */
    (void)log_divert(v->log);
}

static void on_log(void *ctx, enum log_level level, struct span line)
{
    static const int levels[] = {[LOG_ERROR] = 0, [LOG_WARN] = 1, [LOG_INFO] = 2, [LOG_DEBUG] = 2};
    hs_client *c = ctx;
    if (!c->log)
        return;
    char text[4096]; /* as long as the longest line (log.c) */
    (void)snprintf(text, sizeof text, "%.*s", SPAN_FMT(line));
    c->log(c->log_ctx, levels[level], text);
}

/* ---- options ---- */

struct complaint { /* where hs_new's words go */
    char *at;
    size_t size;
};

static void complain(const struct complaint *to, struct span text)
{
    text = span_trim(text);
    if (to->at && to->size > 0)
        (void)snprintf(to->at, to->size, "%.*s", SPAN_FMT(text)); /* may be cut: so it is said */
}

/* A caller built against a newer header may have asked for something that is not known here. */
static bool take_options(const hs_options *from, hs_options *to, const struct complaint *why)
{
    *to = (hs_options){.size = sizeof *to};
    if (!from)
        return true;
    size_t size = from->size;
    if (size < sizeof from->size || size > 4096) {
        complain(why, SPAN("options.size is not set: write hs_options o = { sizeof o };"));
        return false;
    }
    for (size_t i = sizeof *to; i < size; i++)
        if (((const char *)from)[i] != 0) {
            complain(why, SPAN("options hold a field that this libhotspare does not know: it is "
                               "older than the header the program was built with"));
            return false;
        }
    memcpy(to, from, size < sizeof *to ? size : sizeof *to);
    return true;
}

static bool header_value_ok(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            return false;
    return true;
}

/* ---- configuration ---- */

/* Engines belong to the gateway that starts them; here they are targets like any other, if it is
 * known where they are. */
static bool leave_engines_alone(struct config *c, const struct complaint *why)
{
    for (size_t i = 0; i < c->target_count; i++) {
        struct config_target *t = &c->targets[i];
        char text[512];
        if (t->start != ENGINE_NEVER && t->port_open) {
            (void)snprintf(text, sizeof text,
                           "targets.%s: its engine is started by `hotspare serve`, on a port that "
                           "is not known here: give it a url",
                           t->name);
            complain(why, span_from(text));
            return false;
        }
        t->start = ENGINE_NEVER;
    }
    return true;
}

static bool adopt(hs_client *c, struct loaded *l, const struct complaint *why)
{
    char reason[256] = "";
    if (!leave_engines_alone(l->config, why))
        return false;
    struct config *config = l->config;
    l->config = NULL;
    if (service_adopt(&c->service, config, reason) == ERR_OK)
        return true;
    complain(why, span_from(reason));
    return false;
}

static void complain_of_file(const struct loaded *l, const char *reason,
                             const struct complaint *why)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    config_report_print(&l->report, &l->source, &text);
    complain(why, text.len ? buf_span(&text) : span_from(reason));
    buf_deinit(&text);
}

static bool configure(hs_client *c, const hs_options *o, const struct complaint *why)
{
    struct loaded l;
    const char *reason = "";
    struct load_flags flags = {.config = o->config_path};
    enum err e = o->config_text
                     ? load_config_text("config_text", span_from(o->config_text), &l, &reason)
                     : load_config(&flags, true, true, &l, &reason);
    bool good = e == ERR_OK && adopt(c, &l, why);
    if (e != ERR_OK)
        complain_of_file(&l, reason, why);
    loaded_deinit(&l);
    return good;
}

/* ---- the relay's side ---- */

static const struct relay_route *route_for(void *ctx, struct request *r, struct span model)
{
    hs_client *c = ctx;
    (void)r; /* routing outlives all replies */
    return routing_find(c->routing, model);
}

static struct hs_reply *reply_of(hs_client *c, const struct request *request)
{
    struct hs_reply *r = c->replies;
    while (r && r->request != request)
        r = r->next;
    return r;
}

static void on_moved(void *ctx, struct request *request, const struct exchange_move *move)
{
    struct hs_reply *r = reply_of(ctx, request);
    if (r)
        reply_moved(r, move);
}

static void on_done(void *ctx, const struct exchange_report *report)
{
    struct hs_reply *r = reply_of(ctx, report->request);
    if (r)
        reply_done(r, report);
}

static void on_wake(void *ctx)
{
    hs_client *c = ctx;
    loop_stop(c->loop);
}

static void make_relay(hs_client *c)
{
    c->pool = pool_new(c->loop, &pool_limits_default);
    c->routing = routing_new(service_snapshot(&c->service), c->loop, c->pool);
    c->relay = routing_relay(&c->service, c->loop, c->pool);
    c->relay.route_for = route_for;
    c->relay.on_done = on_done;
    c->relay.on_moved = on_moved;
    c->relay.ctx = c;
    relay_init(&c->relay);
    routing_apply(c->routing, &c->relay);
    c->relay.deadlines.ping = NO_PING;
    c->relay.reply_headers = true; /* they tell reply.c who answers */
    loop_on_wake(c->loop, on_wake, c);
}

/* ---- life ---- */

static bool build(hs_client *c, const hs_options *o, const struct complaint *why)
{
    c->loop = loop_new_guest();
    if (!c->loop) {
        complain(why, SPAN("the process has no file descriptors left: raise its limit (ulimit -n) "
                           "or close some"));
        return false;
    }
    service_init(&c->service, loop_wall(c->loop));
    if (configure(c, o, why)) {
        make_relay(c);
        return true;
    }
    service_deinit(&c->service);
    loop_free(c->loop);
    return false;
}

hs_client *hs_new(const hs_options *options, char *why, size_t why_size)
{
    struct complaint words = {why, why_size};
    hs_options o;
    if (why && why_size > 0)
        why[0] = 0;
    if (!take_options(options, &o, &words))
        return NULL;
    if (o.beta && !header_value_ok(o.beta)) {
        complain(&words, SPAN("options.beta must be one line of text"));
        return NULL;
    }
    hs_client *c = mem_new(hs_client);
    c->log = o.log;
    c->log_ctx = o.log_ctx;
    c->sink = (struct log_sink){on_log, c};
    struct visit v = enter(c);
    bool good = build(c, &o, &words);
    if (good && o.beta)
        c->beta = mem_strdup(o.beta);
    leave(&v);
    if (good)
        return c;
    mem_free(c);
    return NULL;
}

/* ---- replies ---- */

static void link_reply(hs_client *c, struct hs_reply *r)
{
    r->client = c;
    r->next = c->replies;
    if (r->next)
        r->next->prev = r;
    c->replies = r;
    c->reply_count++;
    c->open++;
}

static void unlink_reply(struct hs_reply *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        r->client->replies = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->client->reply_count--;
}

void client_over(struct hs_reply *r)
{
    assert(!r->over);
    r->over = true;
    r->client->open--;
}

static void on_start_timer(struct timer *t)
{
    struct hs_reply *r = CONTAINER_OF(t, struct hs_reply, start);
    exchange_start(&r->client->relay, r->request, &dialect_anthropic, NULL);
}

static void begin(struct hs_reply *r, struct span json)
{
    hs_client *c = r->client;
    struct http_field fields[] = {
        {SPAN("content-type"), SPAN("application/json")},
        {SPAN("anthropic-version"), SPAN("2023-06-01")},
        {SPAN("user-agent"), SPAN("libhotspare/" HOTSPARE_VERSION)},
        {SPAN("anthropic-beta"), c->beta ? span_from(c->beta) : SPAN_EMPTY},
    };
    struct local_request what = {.method = SPAN("POST"),
                                 .path = SPAN("/v1/messages"),
                                 .fields = fields,
                                 .field_count = ARRAY_LEN(fields) - (c->beta ? 0 : 1),
                                 .body = json};
    struct local_reply to = reply_sink;
    to.ctx = r;
    r->request = request_local(c->loop, &what, &to);
    loop_timer_in(c->loop, &r->start, 0, on_start_timer); /* when the caller waits for it */
}

hs_reply *hs_messages(hs_client *c, const char *json, size_t len)
{
    struct visit v = enter(c);
    struct hs_reply *r = mem_new(struct hs_reply);
    bool crowded = c->reply_count >= REPLIES_MAX;
    reply_init(r);
    link_reply(c, r);
    if (len > BODY_MAX)
        reply_refuse(r, 413, "The request is larger than 32 MiB.", "Send less of the history.");
    else if (crowded)
        reply_refuse(r, 429, "This client has 1024 replies already.",
                     "End those that are over with hs_end.");
    else
        begin(r, (struct span){json, len});
    leave(&v);
    return r;
}

static void on_limit(struct timer *t)
{
    hs_client *c = CONTAINER_OF(t, hs_client, limit);
    c->timed_out = true;
    loop_stop(c->loop);
}

static void run(struct hs_reply *r, int timeout_ms)
{
    hs_client *c = r->client;
    c->awaited = r;
    c->timed_out = false;
    if (r->was_high && r->pending == 0) {
        r->was_high = false;
        if (r->request)
            exchange_client_drained(r->request);
    }
    if (timeout_ms >= 0)
        loop_timer_in(c->loop, &c->limit, timeout_ms * USEC_PER_MS, on_limit);
    while (!r->first && !r->over && !c->timed_out && !atomic_exchange(&c->woken, false))
        loop_run(c->loop);
    loop_timer_cancel(c->loop, &c->limit);
    c->awaited = NULL;
}

static const hs_event *take(struct hs_reply *r)
{
    struct told *t = r->first;
    if (!t)
        return NULL;
    r->first = t->next;
    if (!r->first)
        r->last = NULL;
    r->pending -= t->bytes + sizeof *t;
    r->current = t;
    return &t->event;
}

const hs_event *hs_next(hs_reply *r, int timeout_ms)
{
    told_free(r->current);
    r->current = NULL;
    if (!r->first && !r->over) {
        struct visit v = enter(r->client);
        run(r, timeout_ms);
        leave(&v);
    }
    if (r->first || r->over)
        return take(r);
    r->current = told_new(HS_WAITING);
    return &r->current->event;
}

static void end(struct hs_reply *r)
{
    r->dropped = true;
    bool started = r->request && !timer_armed(&r->start);
    loop_timer_cancel(r->client->loop, &r->start);
    if (started)
        exchange_client_gone(r->request);
    else if (r->request)
        reply_abort(r->request);
    assert(!r->request);
    if (!r->over)
        client_over(r);
    unlink_reply(r);
    reply_deinit(r);
    mem_free(r);
}

void hs_end(hs_reply *r)
{
    if (!r)
        return;
    struct visit v = enter(r->client);
    end(r);
    leave(&v);
}

int hs_fd(hs_client *c, int *timeout_ms)
{
    struct visit v = enter(c);
    int fd = loop_fd(c->loop, timeout_ms);
    c->watched = true;
    for (struct hs_reply *r = c->replies; r; r = r->next)
        if (r->first)
            *timeout_ms = 0; /* there is something to take already */
    leave(&v);
    return fd;
}

void hs_wake(hs_client *c)
{
    atomic_store(&c->woken, true);
    loop_wake(c->loop);
}

void hs_free(hs_client *c)
{
    if (!c)
        return;
    struct visit v = enter(c);
    while (c->replies)
        end(c->replies);
    routing_unref(c->routing);
    relay_deinit(&c->relay);
    pool_free(c->pool);
    loop_free(c->loop);
    c->loop = NULL;
    service_deinit(&c->service);
    mem_free(c->beta);
    leave(&v);
    mem_free(c);
}
