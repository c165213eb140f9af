#pragma once
/* One GET at a time, waited for: redirects followed, the token given to its own origin and to no
 * other, silence taken for a cut, Ctrl-C heard.
 *
 * Knows HTTP, nothing of hubs and files. What it does not do: proxies, cookies, content codings. */
#include "base/arena.h"
#include "conn/pool.h"

#define WEB_HOPS_MAX 5u
#define WEB_URL_MAX 8192u

struct web {
    struct loop *loop;
    struct pool *pool;
    struct tls_client *tls;
    struct arena *arena;
    const char *base;  /* "https://host[:port]": the origin the token is for */
    const char *token; /* NULL: none */
    int signal;        /* SIGINT or SIGTERM has come; 0: none */
    const char *why;   /* of the last end that was not WEB_DONE; in the arena or static */
};
/* base: the hub's origin, url_parse's form without a path. Holds base and token. ERR_TLS when the
 * system's certificates cannot be read. */
MUST_USE enum err web_open(struct web *w, struct arena *a, const char *base, const char *token);
void web_close(struct web *w);

struct web_events {
    /* A redirect's head, before it is followed. May be NULL. */
    void (*on_hop)(void *ctx, const struct http_head *head);
    /* The last head; false stops. */
    bool (*on_head)(void *ctx, const struct http_head *head);
    bool (*on_body)(void *ctx, struct span bytes); /* false stops */
};
enum web_end {
    WEB_DONE,    /* the answer is whole by its own framing */
    WEB_STOPPED, /* a callback said false */
    WEB_CUT,     /* no connection, silence, an answer cut short: worth another try */
    WEB_REFUSED, /* a redirect that is not followed, a URL that is none, TLS: another try is not */
    WEB_SIGNAL,  /* w->signal has come */
};
/* url: absolute. fields: header lines as call_request takes them. */
enum web_end web_get(struct web *w, const char *url, struct span fields,
                     const struct web_events *events, void *ctx);
/* What an answer that is no success says of itself. */
struct web_refusal {
    int status;
    usec retry_after; /* 0: not said */
    char code[48];    /* X-Error-Code, a hub's own word: "GatedRepo", "RepoNotFound" */
};
void web_refusal_read(const struct http_head *head, struct web_refusal *out);
/* 408, 425, 429 and 5xx: the same request may succeed later. */
bool web_passing(int status);

/* How often and how long to try again. Zeroed = a fresh one. */
struct web_patience {
    unsigned fruitless, tries;
};
#define WEB_FRUITLESS_MAX 5u /* tries in a row that brought nothing */
#define WEB_TRIES_MAX 100u   /* in all, for one file */
/* Waits before the next try: not at all when the last one brought something, else 1 s, 2 s, 4 s ...
 * or what the server asked for, at most 60 s. False: there is no next one, or a signal has come. */
bool web_again(struct web *w, struct web_patience *p, bool brought, usec asked);
/* Runs the loop until `step` says false, one step a turn, so that a signal is heard between two.
 * False: a signal has come. */
bool web_steps(struct web *w, bool (*step)(void *ctx), void *ctx);
