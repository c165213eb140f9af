/* Snapshots, breakers that outlive them, and their file.
 *
 * The breaker file: `target/model<TAB>wall time<TAB>cause<TAB>repeats`. */
#include "serve/service.h"

#include "base/mem.h"
#include "base/span.h"
#include "serve/engines.h"
#include "serve/keys.h"
#include "serve/probed_file.h"
#include "serve/state_file.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <sys/stat.h>

struct named_breaker {
    struct named_breaker *next;
    char *name;
    struct breaker breaker;
    struct ttft ttft;
};

void service_init(struct service *s, usec wall)
{
    *s = (struct service){.started_wall = wall};
    pthread_mutex_init(&s->lock, NULL);
    budget_init(&s->budget, 20, 3);
    uint64_t seed[2] = {0}; /* without randomness no snapshot is made, and nothing is served */
    (void)RAND_bytes((uint8_t *)seed, sizeof seed);
    refused_init(&s->refused, seed);
    learned_init(&s->learned);
    metrics_names_init(&s->names);
    s->engines = engines_new();
    fault_board_init(&s->faults, seed);
}

static void free_breakers(struct named_breaker *b)
{
    while (b) {
        struct named_breaker *next = b->next;
        pthread_mutex_destroy(&b->breaker.lock);
        ttft_deinit(&b->ttft);
        mem_free(b->name);
        mem_free(b);
        b = next;
    }
}

void service_deinit(struct service *s)
{
    engines_free(s->engines);
    snapshot_unref(s->current);
    free_breakers(s->breakers);
    learned_deinit(&s->learned);
    metrics_names_deinit(&s->names);
    refused_deinit(&s->refused);
    fault_board_deinit(&s->faults);
    pthread_mutex_destroy(&s->lock);
}

/* ---- snapshots ---- */

static void wipe_span(struct span s)
{
    if (s.at)
        OPENSSL_cleanse((char *)(uintptr_t)s.at, s.len);
    mem_free((char *)(uintptr_t)s.at);
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
        return;
    for (size_t i = 0; i < s->config->target_count; i++) {
        if (s->tls[i])
            tls_client_unref(s->tls[i]);
        wipe_span(s->credentials[i]);
        service_account_free(s->accounts[i]);
    }
    if (s->api_tls)
        tls_server_unref(s->api_tls);
    if (s->admin_tls)
        tls_server_unref(s->admin_tls);
    for (size_t i = 0; i < s->config->route_count; i++)
        affinity_unref(s->affinities[i]);
    client_keys_free(s->keys);
    mem_free(s->breakers);
    mem_free(s->ttfts);
    mem_free(s->affinities);
    mem_free(s->tls);
    mem_free(s->ca_marks);
    mem_free(s->credentials);
    mem_free(s->accounts);
    mem_free(s->target_ids);
    mem_free(s->gates);
    config_unref(s->config);
    arena_deinit(&s->kept);
    mem_free(s);
}

struct snapshot *service_snapshot(struct service *s)
{
    pthread_mutex_lock(&s->lock);
    struct snapshot *now = s->current;
    atomic_fetch_add(&now->refs, 1);
    pthread_mutex_unlock(&s->lock);
    return now;
}

/* The header line that carries a target's key. A key with CR or LF in it cannot be sent;
 * config_load refuses it. */
static struct span credential_lines(const struct config_target *t)
{
    const struct secret *key = &t->key.value;
    if (key->len == 0)
        return SPAN_EMPTY;
    const char *header = config_key_header(t);
    struct buf line;
    buf_init(&line, (size_t)16 << 10);
    enum err e =
        buf_printf(&line, "%s: %s", header ? header : "authorization", header ? "" : "Bearer ");
    if (e == ERR_OK)
        e = buf_add(&line, (struct span){key->at, key->len});
    if (e == ERR_OK)
        e = buf_add_cstr(&line, "\r\n");
    if (e != ERR_OK)
        buf_reset(&line);
    return buf_span(&line); /* the snapshot keeps the memory */
}

static struct named_breaker *breaker_named(struct service *s, const char *name,
                                           const struct breaker_config *config)
{
    struct named_breaker *b = s->breakers;
    while (b && strcmp(b->name, name) != 0)
        b = b->next;
    if (!b) {
        b = mem_new(struct named_breaker);
        b->name = mem_strdup(name);
        breaker_init(&b->breaker, config);
        ttft_init(&b->ttft);
        b->next = s->breakers;
        s->breakers = b;
    }
    pthread_mutex_lock(&b->breaker.lock);
    b->breaker.config = *config;
    pthread_mutex_unlock(&b->breaker.lock);
    return b;
}

static void name_breakers(struct service *s, struct snapshot *snap)
{
    const struct config *c = snap->config;
    for (size_t i = 0; i < c->route_count; i++)
        for (size_t k = 0; k < c->routes[i].link_count; k++) {
            const struct config_link *link = &c->routes[i].links[k];
            char name[512];
            (void)snprintf(name, sizeof name, "%s/%s", c->targets[link->target].name,
                           link->model ? link->model : "");
            struct named_breaker *b = breaker_named(s, name, &c->breaker);
            snap->breakers[link->breaker] = &b->breaker;
            snap->ttfts[link->breaker] = &b->ttft;
        }
}

static enum err open_certificate(const struct config_listen *at, const char *key,
                                 struct tls_server **out, char why[256])
{
    const char *reason = "";
    if (!at->cert)
        return ERR_OK;
    enum err e = tls_server_new(at->cert, at->key, out, &reason);
    if (e != ERR_OK)
        (void)snprintf(why, 256, "%s: %s", key, reason);
    return e;
}

static struct ca_mark mark_of(const char *ca)
{
    struct stat s;
    if (!ca || stat(ca, &s) != 0)
        return (struct ca_mark){0};
    return (struct ca_mark){.device = s.st_dev,
                            .inode = s.st_ino,
                            .size = (uint64_t)s.st_size,
                            .changed_ns =
                                s.st_ctim.tv_sec * (int64_t)1000000000 + s.st_ctim.tv_nsec};
}

static bool same_ca(const struct snapshot *a, size_t i, const struct snapshot *b, size_t k)
{
    const char *one = a->config->targets[i].ca, *two = b->config->targets[k].ca;
    const struct ca_mark *m = &a->ca_marks[i], *n = &b->ca_marks[k];
    if (!one || !two)
        return one == two; /* the system's: read once in a process's life */
    return strcmp(one, two) == 0 && m->device == n->device && m->inode == n->inode &&
           m->size == n->size && m->changed_ns == n->changed_ns;
}

/* Targets with the same authorities share a client, also over reloads: the pools know their
 * connections by it, and a new one at each reload would cost every warm connection and pile up. */
static struct tls_client *known_tls(const struct snapshot *snap, size_t i,
                                    const struct snapshot *before)
{
    for (size_t k = 0; k < i; k++)
        if (snap->tls[k] && same_ca(snap, i, snap, k))
            return tls_client_ref(snap->tls[k]);
    for (size_t k = 0; before && k < before->config->target_count; k++)
        if (before->tls[k] && same_ca(snap, i, before, k))
            return tls_client_ref(before->tls[k]);
    return NULL;
}

/* A token endpoint is trusted by the same authorities as the target. */
static bool fetches_by_tls(const struct service_account *a)
{
    return a && service_account_token_url(a)->tls;
}

static enum err open_accounts(struct snapshot *snap, char why[256])
{
    for (size_t i = 0; i < snap->config->target_count; i++) {
        const struct config_target *t = &snap->config->targets[i];
        char reason[256];
        if (t->service_account.value.len == 0)
            continue;
        struct span text = {t->service_account.value.at, t->service_account.value.len};
        enum err e = service_account_new(text, &snap->accounts[i], reason);
        if (e == ERR_OK && !t->project && service_account_project(snap->accounts[i]).len == 0) {
            (void)snprintf(reason, sizeof reason, "add project: the service account names none");
            e = ERR_INVALID;
        }
        if (e != ERR_OK) {
            (void)snprintf(why, 256, "targets.%s: %.180s", t->name, reason);
            return e;
        }
    }
    return ERR_OK;
}

/* before: the snapshot in force, or NULL. Thread: main, the only one that replaces it. */
static enum err open_tls(struct snapshot *snap, const struct snapshot *before, char why[256])
{
    enum err e = open_certificate(&snap->config->listen, "tls", &snap->api_tls, why);
    if (e == ERR_OK)
        e = open_certificate(&snap->config->admin, "admin_tls", &snap->admin_tls, why);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < snap->config->target_count; i++) {
        const struct config_target *t = &snap->config->targets[i];
        if (!t->url.tls && !fetches_by_tls(snap->accounts[i]))
            continue;
        const char *reason = "";
        snap->ca_marks[i] = mark_of(t->ca);
        if ((snap->tls[i] = known_tls(snap, i, before)))
            continue;
        e = tls_client_new(t->ca, &snap->tls[i], &reason);
        if (e != ERR_OK) {
            (void)snprintf(why, 256, "targets.%s: %s", t->name, reason);
            return e;
        }
    }
    return ERR_OK;
}

static bool same_chain(const struct config *a, const struct config_route *one,
                       const struct config *b, const struct config_route *two)
{
    if (strcmp(one->match, two->match) != 0 || one->link_count != two->link_count)
        return false;
    for (size_t i = 0; i < one->link_count; i++) {
        const struct config_link *k = &one->links[i], *l = &two->links[i];
        if (strcmp(a->targets[k->target].name, b->targets[l->target].name) != 0 ||
            strcmp(k->model ? k->model : "", l->model ? l->model : "") != 0)
            return false;
    }
    return true;
}

static struct affinity *known_affinity(const struct config *c, const struct config_route *route,
                                       const struct snapshot *before)
{
    for (size_t i = 0; before && i < before->config->route_count; i++)
        if (before->affinities[i] &&
            same_chain(c, route, before->config, &before->config->routes[i]))
            return affinity_ref(before->affinities[i]);
    return NULL;
}

/* A chain that a reload leaves as it was keeps what is known about its conversations: the table
 * speaks of links by their place. */
static void share_affinities(struct snapshot *snap, const struct snapshot *before,
                             const uint64_t seed[2])
{
    const struct config *c = snap->config;
    struct affinity_config config = {.hold = c->breaker.ramp, .sticky = c->sticky};
    for (size_t i = 0; i < c->route_count; i++) {
        if (c->routes[i].link_count < 2)
            continue;
        struct affinity *a = known_affinity(c, &c->routes[i], before);
        if (a)
            affinity_set(a, &config);
        else
            a = affinity_new(&config, seed, c->routes[i].link_count);
        snap->affinities[i] = a;
    }
}

static struct snapshot *snapshot_new(struct config *c)
{
    struct snapshot *snap = mem_new(struct snapshot);
    atomic_store(&snap->refs, 1);
    snap->config = c;
    arena_init(&snap->kept, (size_t)1 << 20);
    snap->probed_count = probed_file_load(c->state_dir, &snap->kept, &snap->probed);
    size_t n = c->target_count ? c->target_count : 1;
    snap->breakers = mem_zalloc((c->breaker_count + 1) * sizeof *snap->breakers);
    snap->ttfts = mem_zalloc((c->breaker_count + 1) * sizeof *snap->ttfts);
    snap->affinities = mem_zalloc((c->route_count + 1) * sizeof *snap->affinities);
    snap->tls = mem_zalloc(n * sizeof *snap->tls);
    snap->ca_marks = mem_zalloc(n * sizeof *snap->ca_marks);
    snap->credentials = mem_zalloc(n * sizeof *snap->credentials);
    snap->accounts = mem_zalloc(n * sizeof *snap->accounts);
    snap->target_ids = mem_zalloc(n * sizeof *snap->target_ids);
    snap->gates = mem_zalloc(n * sizeof *snap->gates);
    for (size_t i = 0; i < c->target_count; i++)
        snap->credentials[i] = credential_lines(&c->targets[i]);
    return snap;
}

enum err service_adopt(struct service *s, struct config *c, char why[256])
{
    engines_choose_ports(s->engines, c);
    struct snapshot *snap = snapshot_new(c);
    for (size_t i = 0; i < c->target_count; i++)
        snap->gates[i] = engines_gate(s->engines, &c->targets[i]);
    enum err e = open_accounts(snap, why);
    if (e == ERR_OK)
        e = open_tls(snap, s->current, why);
    if (e != ERR_OK) {
        snapshot_unref(snap);
        return e;
    }
    uint8_t pepper[32];
    uint64_t seed[2];
    if (RAND_bytes(pepper, sizeof pepper) != 1 || RAND_bytes((uint8_t *)seed, sizeof seed) != 1) {
        (void)snprintf(why, 256, "no randomness for the keys' pepper");
        snapshot_unref(snap);
        return ERR_INTERNAL;
    }
    snap->keys = client_keys_new(c, pepper);
    OPENSSL_cleanse(pepper, sizeof pepper);
    share_affinities(snap, s->current, seed);
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < c->target_count; i++)
        snap->target_ids[i] = metrics_names_row(&s->names, c->targets[i].name);
    name_breakers(s, snap);
    struct snapshot *old = s->current;
    if (!old) /* the workers read it without a lock: a reload changes nothing of it */
        hedge_init(&s->hedge, c->hedge.budget, c->hedge.after);
    s->current = snap;
    pthread_mutex_unlock(&s->lock);
    snapshot_unref(old);
    (void)fault_board_clear(&s->faults, SPAN_EMPTY);
    service_undo_drill(s, "the configuration was reloaded");
    return ERR_OK;
}

/* ---- drills ---- */

void service_undo_drill(struct service *s, const char *why)
{
    if (!fault_board_undo_owed(&s->faults))
        return;
    pthread_mutex_lock(&s->lock);
    for (struct named_breaker *b = s->breakers; b; b = b->next)
        breaker_undo_drill(&b->breaker);
    pthread_mutex_unlock(&s->lock);
    log_line(LOG_WARN, "drill_ends", "why", why, NULL);
}

/* ---- breakers over restarts ---- */

struct saving {
    struct service *service;
    usec now, wall;
};

static bool write_breakers(void *ctx, FILE *to)
{
    const struct saving *at = ctx;
    bool good = true;
    pthread_mutex_lock(&at->service->lock);
    for (struct named_breaker *b = at->service->breakers; good && b; b = b->next) {
        struct breaker_saved saved;
        if (!breaker_save(&b->breaker, at->now, at->wall, &saved))
            continue;
        good = fprintf(to, "%s\t%" PRId64 "\t%u\t%u\n", b->name, saved.retry_at_wall, saved.cause,
                       saved.opened_in_row) >= 0;
    }
    pthread_mutex_unlock(&at->service->lock);
    return good;
}

void service_save_breakers(struct service *s, const char *state_dir, usec now, usec wall)
{
    struct saving at = {s, now, wall};
    state_file_write(state_dir, "breakers", write_breakers, &at);
}

static void restore_line(struct service *s, struct span line, usec now, usec wall)
{
    struct span name, at, cause, repeats;
    uint64_t c, n;
    int64_t retry;
    if (!span_next(&line, '\t', &name) || !span_next(&line, '\t', &at) ||
        !span_next(&line, '\t', &cause) || !span_next(&line, '\t', &repeats) ||
        span_i64(at, &retry) != ERR_OK || span_u64(cause, &c) != ERR_OK ||
        span_u64(repeats, &n) != ERR_OK || c >= CAUSE_COUNT || n > 1000)
        return; /* a damaged line costs one probe, no more */
    struct breaker_saved saved = {
        .retry_at_wall = retry, .cause = (uint32_t)c, .opened_in_row = (uint32_t)n};
    for (struct named_breaker *b = s->breakers; b; b = b->next)
        if (span_is(name, b->name))
            breaker_restore(&b->breaker, now, wall, &saved);
}

void service_load_breakers(struct service *s, const char *state_dir, usec now, usec wall)
{
    char line[2048];
    FILE *from = state_file_open(state_dir, "breakers");
    if (!from)
        return; /* none yet */
    pthread_mutex_lock(&s->lock);
    while (fgets(line, sizeof line, from))
        restore_line(s, span_trim(span_from(line)), now, wall);
    pthread_mutex_unlock(&s->lock);
    (void)fclose(from); /* read only */
}
