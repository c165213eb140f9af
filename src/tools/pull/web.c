/* See web.h. A redirect is a new call: which header goes along is decided anew for each, from the
 * origin it goes to. A hub redirects weights to a store with signed links; the token would be a
 * stranger's there. From https there is no way back to http. */
#include "tools/pull/web.h"
#include "base/span.h"
#include <ctype.h>
#include <signal.h>
#include <stdio.h>

#define CONNECT_TIME (15 * USEC_PER_SEC)
#define SILENCE_MAX (60 * USEC_PER_SEC) /* without a head, or a byte of the body */
#define WAIT_MAX (60 * USEC_PER_SEC)
#define BODY_MAX ((uint64_t)1 << 51)

struct get {
    struct web *web;
    const struct web_events *events;
    void *ctx;
    struct call *call;
    struct timer silence;
    enum web_end end;
    const char *next; /* the redirect's address; NULL: none */
};

static void on_signal(void *ctx, int signum)
{
    struct web *w = ctx;
    w->signal = signum;
    loop_stop(w->loop);
}

enum err web_open(struct web *w, struct arena *a, const char *base, const char *token)
{
    struct pool_limits limits = pool_limits_default;
    *w = (struct web){.arena = a, .base = base, .token = token};
    if (tls_client_new(NULL, &w->tls, &w->why) != ERR_OK)
        return ERR_TLS;
    limits.connect_time = CONNECT_TIME;
    limits.http.body_bytes = BODY_MAX;
    limits.http.line_bytes = limits.http.field_bytes = WEB_URL_MAX * 2; /* signed links are long */
    w->loop = loop_new();
    w->pool = pool_new(w->loop, &limits);
    loop_on_signal(w->loop, SIGINT, on_signal, w);
    loop_on_signal(w->loop, SIGTERM, on_signal, w);
    return ERR_OK;
}

void web_close(struct web *w)
{
    if (w->loop == NULL)
        return;
    pool_free(w->pool);
    tls_client_unref(w->tls);
    loop_free(w->loop);
    w->loop = NULL;
}

/* ---- one call ---- */

static void finish(struct get *g, enum web_end end, const char *why)
{
    g->end = end;
    if (why != NULL)
        g->web->why = why;
    call_cancel(g->call);
    g->call = NULL;
    loop_stop(g->web->loop);
}

static void went_silent(struct timer *t)
{
    finish(CONTAINER_OF(t, struct get, silence), WEB_CUT, "nothing has come for 60 s");
}

static void heard(struct get *g)
{
    loop_timer_in(g->web->loop, &g->silence, SILENCE_MAX, went_silent);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct get *g = ctx;
    struct span location = http_field_get(head, "location");
    heard(g);
    if (is_redirect(head->status) && location.len > 0) {
        if (g->events->on_hop != NULL)
            g->events->on_hop(g->ctx, head);
        g->next = arena_cstr(g->web->arena, location);
        finish(g, WEB_DONE, NULL);
        return;
    }
    struct span coding = http_field_get(head, "content-encoding");
    if (coding.len > 0 && !span_iis(coding, "identity"))
        finish(g, WEB_REFUSED, "the answer is compressed, which was not asked for");
    else if (!g->events->on_head(g->ctx, head))
        finish(g, WEB_STOPPED, NULL);
}

static void on_body(void *ctx, struct span bytes)
{
    struct get *g = ctx;
    heard(g);
    if (!g->events->on_body(g->ctx, bytes))
        finish(g, WEB_STOPPED, NULL);
}

static void on_end(void *ctx)
{
    struct get *g = ctx;
    g->call = NULL;
    finish(g, WEB_DONE, NULL);
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct get *g = ctx;
    (void)stage;
    g->call = NULL;
    finish(g, e == ERR_TLS || e == ERR_SYNTAX || e == ERR_LIMIT ? WEB_REFUSED : WEB_CUT,
           arena_printf(g->web->arena, "%s%s%s", why, e == ERR_NAME ? ": " : "",
                        e == ERR_NAME ? "is this machine online, and HF_ENDPOINT right?" : "")
               .at);
}

static const struct call_events call_events = {on_head, on_body, on_end, on_error};

/* ---- addresses ---- */

struct address {
    const char *origin;
    struct url url; /* of the origin; borrows from it */
    const char *target;
};

static bool is_origin_end(char c)
{
    return c == '/' || c == '?' || c == '#';
}

/* Splits an absolute URL. A fragment is for the client alone: dropped. */
static bool split(struct arena *a, const char *text, struct address *out, const char **out_why)
{
    struct span s = span_from(text);
    ssize_t scheme = span_search(s, SPAN("://"));
    *out_why = "an address that is too long, or none";
    if (scheme < 0 || s.len > WEB_URL_MAX)
        return false;
    size_t at = (size_t)scheme + 3;
    while (at < s.len && !is_origin_end(s.at[at]))
        at++;
    ssize_t fragment = span_find(s, '#');
    struct span rest = span_drop(fragment < 0 ? s : span_take(s, (size_t)fragment), at);
    out->origin = arena_cstr(a, span_take(s, at));
    out->target =
        arena_printf(a, "%s%.*s", rest.len && rest.at[0] == '/' ? "" : "/", SPAN_FMT(rest)).at;
    return url_parse(span_from(out->origin), &out->url, out_why) == ERR_OK;
}

static bool same_origin(const struct url *a, const struct url *b)
{
    return a->tls == b->tls && a->port == b->port && span_ieq(a->host, b->host);
}

/* Where a redirect from `from` leads: absolute, //host/..., or /path. */
static const char *resolve(struct arena *a, const struct address *from, const char *location)
{
    struct span to = span_from(location);
    if (span_starts(to, SPAN("//")))
        return arena_printf(a, "%s%s", from->url.tls ? "https:" : "http:", location).at;
    if (span_starts(to, SPAN("/")))
        return arena_printf(a, "%s%s", from->origin, location).at;
    return location;
}

/* ---- the chain of calls ---- */

static enum web_end call_once(struct get *g, const struct address *to, struct span fields)
{
    struct web *w = g->web;
    struct origin *o = pool_origin(w->pool, &to->url, to->url.tls ? w->tls : NULL);
    struct call_request ask = {
        .method = SPAN("GET"), .target = span_from(to->target), .fields = fields};
    g->next = NULL;
    g->call = call_start(w->pool, o, &ask, &call_events, g);
    heard(g);
    loop_run(w->loop);
    loop_timer_cancel(w->loop, &g->silence);
    call_cancel(g->call);
    g->call = NULL;
    pool_origin_release(o);
    return w->signal ? WEB_SIGNAL : g->end;
}

static enum web_end refused(struct web *w, const char *why)
{
    w->why = why;
    return WEB_REFUSED;
}

enum web_end web_get(struct web *w, const char *url, struct span fields,
                     const struct web_events *events, void *ctx)
{
    struct get g = {.web = w, .events = events, .ctx = ctx};
    struct address base, to;
    const char *why = "";
    if (w->signal)
        return WEB_SIGNAL;
    if (!split(w->arena, w->base, &base, &why) || !split(w->arena, url, &to, &why))
        return refused(w, why);
    for (unsigned hop = 0; hop <= WEB_HOPS_MAX; hop++) {
        bool ours = w->token != NULL && same_origin(&to.url, &base.url);
        struct span lines =
            arena_printf(w->arena, "%s%s%s%.*s", ours ? "Authorization: Bearer " : "",
                         ours ? w->token : "", ours ? "\r\n" : "", SPAN_FMT(fields));
        bool tls = to.url.tls;
        enum web_end end = call_once(&g, &to, lines);
        if (end != WEB_DONE || g.next == NULL)
            return end;
        const char *next = resolve(w->arena, &to, g.next);
        if (!split(w->arena, next, &to, &why))
            return refused(
                w, arena_printf(w->arena, "it redirects to an address that is none: %s", why).at);
        if (tls && !to.url.tls)
            return refused(w, "it redirects from https to http");
    }
    return refused(w, "it redirects for ever");
}

void web_refusal_read(const struct http_head *head, struct web_refusal *out)
{
    struct span code = span_take(http_field_get(head, "x-error-code"), sizeof out->code - 1);
    uint64_t seconds = 0;
    *out = (struct web_refusal){.status = head->status};
    for (size_t i = 0; i < code.len; i++)
        out->code[i] = isalnum((unsigned char)code.at[i]) ? code.at[i] : '?';
    if (span_u64(http_field_get(head, "retry-after"), &seconds) == ERR_OK)
        out->retry_after =
            seconds > WAIT_MAX / USEC_PER_SEC ? WAIT_MAX : (usec)seconds * USEC_PER_SEC;
}

bool web_passing(int status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* ---- between calls ---- */

struct pause {
    struct timer timer;
    struct web *web;
    bool (*step)(void *ctx);
    void *ctx;
};

static void pause_over(struct timer *t)
{
    struct pause *p = CONTAINER_OF(t, struct pause, timer);
    if (p->step != NULL && p->step(p->ctx))
        loop_timer_in(p->web->loop, t, 0, pause_over);
    else
        loop_stop(p->web->loop);
}

static bool run_pause(struct pause *p, usec delay)
{
    struct web *w = p->web;
    if (w->signal)
        return false;
    loop_timer_in(w->loop, &p->timer, delay, pause_over);
    loop_run(w->loop);
    loop_timer_cancel(w->loop, &p->timer);
    return w->signal == 0;
}

bool web_again(struct web *w, struct web_patience *p, bool brought, usec asked)
{
    struct pause pause = {.web = w};
    p->fruitless = brought ? 0 : p->fruitless + 1;
    if (p->fruitless >= WEB_FRUITLESS_MAX || ++p->tries >= WEB_TRIES_MAX)
        return false;
    usec wait = brought ? 0 : USEC_PER_SEC << (p->fruitless - 1);
    wait = asked > wait ? asked : wait;
    return wait == 0 ? w->signal == 0 : run_pause(&pause, wait);
}

bool web_steps(struct web *w, bool (*step)(void *ctx), void *ctx)
{
    struct pause pause = {.web = w, .step = step, .ctx = ctx};
    return run_pause(&pause, 0);
}
