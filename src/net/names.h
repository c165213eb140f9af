#pragma once
/* Host names to addresses, for one loop: asked in libuv's thread pool, kept for 30 s, and for up to
 * an hour when the resolver fails or is slow, because a dead resolver must not take a working
 * upstream down. Numeric hosts never come here. Knows no sockets and no streams. */
#include "base/timers.h"
#include "net/sock.h"
#include <uv.h>

#define NAMES_ADDRS_MAX 8
#define NAMES_ENTRIES_MAX 256
#define NAMES_FRESH (30 * USEC_PER_SEC)
#define NAMES_LAST_GOOD (3600 * USEC_PER_SEC)
/* With last good addresses at hand the resolver is waited for this long, and after it failed it is
 * left alone this long. */
#define NAMES_PATIENCE (500 * USEC_PER_MS)
#define NAMES_RETRY (5 * USEC_PER_SEC)

struct loop;
struct addrinfo;
struct name_entry;

struct name_addrs { /* in the order in which they should be tried; ports are not set */
    size_t count;
    union sock_addr list[NAMES_ADDRS_MAX];
};

struct name_query { /* embed it, zeroed; the fields belong to names.c but for done */
    /* addrs is NULL when there is no answer; why is then a sentence. Called once. */
    void (*done)(struct name_query *q, const struct name_addrs *addrs, const char *why);
    struct names *names;
    struct name_entry *entry;
    struct name_query *prev, *next;
    struct timer patience;
};

struct names { /* embedded in the loop */
    struct loop *loop;
    uv_loop_t *uv;
    struct name_entry *entries;
    size_t count;
    int (*resolve)(const char *host, struct addrinfo **out); /* a test's own; else getaddrinfo */
    void (*release)(struct addrinfo *list);
    usec ahead; /* tests: how much later than the loop's it is here */
};

void names_init(struct names *n, struct loop *l, uv_loop_t *uv);
/* No query may be open. Lookups under way are waited for: run the uv loop after it, then deinit. */
void names_cancel(struct names *n);
void names_deinit(struct names *n);

/* True: *out is the answer. False: q->done will be called, unless names_forget comes first. */
bool names_ask(struct names *n, const char *host, struct name_query *q, struct name_addrs *out);
void names_forget(struct name_query *q); /* fine when not asked */
/* This address worked: it is tried first from now on. */
void names_prefer(struct names *n, const char *host, const union sock_addr *worked);
