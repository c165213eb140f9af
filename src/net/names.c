/* See names.h. One entry per host:
 *
 *   age 0 ...... 30 s ............................. 1 h ......
 *       fresh:    kept:                               gone:
 *       answered  asked again, waited for NAMES_      asked again; a failure
 *       at once   PATIENCE, then the old addresses    is a failure
 *
 * While a lookup is under way all queries for that host wait for the same one. An entry is in use
 * while a lookup runs or a query waits; others may be thrown out when the table is full. */
#include "net/names.h"
#include "base/mem.h"
#include "net/net.h"
#include <netdb.h>
#include <stdio.h>

struct name_entry {
    struct names *names;
    struct name_entry *next;
    char *host;
    struct name_addrs addrs; /* the last good ones */
    usec good_at;            /* when they came; meaningful when addrs.count > 0 */
    usec quiet_until;        /* after a failure: do not ask before */
    struct name_query *queries;
    bool asking;
    uv_work_t work;
    int status;             /* written by the pool's thread, read after it is done */
    struct addrinfo *found; /* likewise */
};

static int system_resolve(const char *host, struct addrinfo **out)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    return getaddrinfo(host, NULL, &hints, out);
}

void names_init(struct names *n, struct loop *l, uv_loop_t *uv)
{
    *n = (struct names){.loop = l, .uv = uv, .resolve = system_resolve, .release = freeaddrinfo};
}

static usec present(const struct names *n)
{
    return loop_now(n->loop) + n->ahead;
}

void names_cancel(struct names *n)
{
    for (struct name_entry *e = n->entries; e != NULL; e = e->next) {
        assert(e->queries == NULL);
        if (e->asking)
            (void)uv_cancel((uv_req_t *)&e->work); /* when it runs already, it is waited for */
    }
}

void names_deinit(struct names *n)
{
    while (n->entries != NULL) {
        struct name_entry *e = n->entries;
        assert(!e->asking);
        n->entries = e->next;
        mem_free(e->host);
        mem_free(e);
    }
    n->count = 0;
}

static struct name_entry *find(struct names *n, const char *host)
{
    struct name_entry *e = n->entries;
    while (e != NULL && strcasecmp(e->host, host) != 0)
        e = e->next;
    return e;
}

/* Makes room by dropping the entry nobody uses whose addresses are the oldest. */
static void evict(struct names *n)
{
    struct name_entry **oldest = NULL;
    for (struct name_entry **at = &n->entries; *at != NULL; at = &(*at)->next) {
        if ((*at)->asking || (*at)->queries != NULL)
            continue;
        if (oldest == NULL || (*at)->good_at < (*oldest)->good_at)
            oldest = at;
    }
    if (oldest == NULL)
        return; /* all in use: the number of connections under way bounds it then */
    struct name_entry *e = *oldest;
    *oldest = e->next;
    n->count--;
    mem_free(e->host);
    mem_free(e);
}

static struct name_entry *find_or_add(struct names *n, const char *host)
{
    struct name_entry *e = find(n, host);
    if (e != NULL)
        return e;
    if (n->count >= NAMES_ENTRIES_MAX)
        evict(n);
    e = mem_new(struct name_entry);
    e->names = n;
    e->host = mem_strdup(host);
    e->next = n->entries;
    n->entries = e;
    n->count++;
    return e;
}

static bool is_kept(const struct name_entry *e, usec now)
{
    return e->addrs.count > 0 && now - e->good_at < NAMES_LAST_GOOD;
}

static void unlink_query(struct name_query *q)
{
    loop_timer_cancel(q->names->loop, &q->patience);
    if (q->prev != NULL)
        q->prev->next = q->next;
    else
        q->entry->queries = q->next;
    if (q->next != NULL)
        q->next->prev = q->prev;
    q->prev = q->next = NULL;
    q->entry = NULL;
}

static void answer(struct name_query *q, const struct name_addrs *addrs, const char *why)
{
    unlink_query(q);
    q->done(q, addrs, why);
}

static void take_addresses(struct name_entry *e, usec now)
{
    struct name_addrs got = {0};
    for (struct addrinfo *a = e->found; a != NULL && got.count < NAMES_ADDRS_MAX; a = a->ai_next) {
        bool v4 = a->ai_family == AF_INET && a->ai_addrlen == sizeof(struct sockaddr_in);
        bool v6 = a->ai_family == AF_INET6 && a->ai_addrlen == sizeof(struct sockaddr_in6);
        if (v4 || v6)
            memcpy(&got.list[got.count++], a->ai_addr, a->ai_addrlen);
    }
    if (got.count == 0)
        return;
    e->addrs = got;
    e->good_at = now;
}

/* On the pool's thread: touches nothing but its own entry's status and found. */
static void look_up(uv_work_t *work)
{
    struct name_entry *e = CONTAINER_OF(work, struct name_entry, work);
    e->status = e->names->resolve(e->host, &e->found);
}

static void looked_up(uv_work_t *work, int cancelled)
{
    struct name_entry *e = CONTAINER_OF(work, struct name_entry, work);
    struct names *n = e->names;
    usec now = present(n);
    e->asking = false;
    if (cancelled == 0 && e->status == 0) {
        take_addresses(e, now);
        n->release(e->found);
        e->found = NULL;
    } else {
        e->quiet_until = now + NAMES_RETRY;
    }
    char why[320] = "";
    bool good = is_kept(e, now);
    if (!good)
        (void)snprintf(why, sizeof why, "could not resolve %s: %s", e->host,
                       e->status == 0 ? "it has no address" : gai_strerror(e->status));
    /* An answer may close other connections, which forgets their queries: always take the first. */
    while (e->queries != NULL && !e->asking)
        answer(e->queries, good ? &e->addrs : NULL, why);
}

static void patience_ends(struct timer *t)
{
    struct name_query *q = CONTAINER_OF(t, struct name_query, patience);
    answer(q, &q->entry->addrs, "");
}

static void start_lookup(struct name_entry *e)
{
    e->status = 0;
    e->found = NULL;
    int rc = uv_queue_work(e->names->uv, &e->work, look_up, looked_up);
    assert(rc == 0); /* fails for a missing callback only */
    e->asking = true;
}

bool names_ask(struct names *n, const char *host, struct name_query *q, struct name_addrs *out)
{
    usec now = present(n);
    struct name_entry *e = find_or_add(n, host);
    bool kept = is_kept(e, now);
    bool fresh = kept && now - e->good_at < NAMES_FRESH;
    if (fresh || (kept && !e->asking && now < e->quiet_until)) {
        *out = e->addrs;
        return true;
    }
    q->names = n;
    q->entry = e;
    q->prev = NULL;
    q->next = e->queries;
    if (q->next != NULL)
        q->next->prev = q;
    e->queries = q;
    if (!e->asking)
        start_lookup(e);
    if (kept)
        loop_timer_in(n->loop, &q->patience, NAMES_PATIENCE, patience_ends);
    return false;
}

void names_forget(struct name_query *q)
{
    if (q->entry != NULL)
        unlink_query(q);
}

static bool same_host(const union sock_addr *a, const union sock_addr *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET6)
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

void names_prefer(struct names *n, const char *host, const union sock_addr *worked)
{
    struct name_entry *e = find(n, host);
    for (size_t i = 1; e != NULL && i < e->addrs.count; i++) {
        if (!same_host(&e->addrs.list[i], worked))
            continue;
        union sock_addr first = e->addrs.list[i];
        memmove(&e->addrs.list[1], &e->addrs.list[0], i * sizeof first);
        e->addrs.list[0] = first;
        return;
    }
}
