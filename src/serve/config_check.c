/* Checks that need more than one key: who may reach the listeners, pairs of certificate and key,
 * deadlines that contain each other. */
#include "serve/config_internal.h"

#include <stdio.h>

/* The node of a path of two words at most. */
static struct config_mark mark_of(const struct config_reader *r, const char *path)
{
    struct span rest = span_from(path), word;
    const struct config_node *n = r->root;
    const struct config_row *row = config_row(rest);
    if (row && r->c->origins[row - config_rows].from == CONFIG_FROM_ENV)
        return (struct config_mark){0, 0};
    while (n && span_next(&rest, '.', &word)) {
        const struct config_node *child = n->type == NODE_MAP ? n->first : NULL;
        while (child && !span_eq(child->key, word))
            child = child->next;
        n = child;
    }
    return config_mark_of(n);
}

static bool is_any_address(struct span host)
{
    return span_is(host, "0.0.0.0") || span_is(host, "::");
}

static bool is_same_address(const struct config_listen *l, struct span host, uint16_t port)
{
    struct span own = span_from(l->host);
    if (l->port == 0 || l->port != port)
        return false;
    if (span_ieq(own, host))
        return true;
    return url_host_is_loopback(host) && (url_host_is_loopback(own) || is_any_address(own));
}

bool config_is_own_address(const struct config *c, struct span host, uint16_t port)
{
    return is_same_address(&c->listen, host, port) || is_same_address(&c->admin, host, port);
}

static void check_listen(struct config_reader *r, const char *name, const struct config_listen *l)
{
    if (r->c->key_count == 0 && !url_host_is_loopback(span_from(l->host)))
        config_complain(r, mark_of(r, name), false,
                        "add keys: { team-a: env:TEAM_A_KEY }, or listen on 127.0.0.1",
                        "%s: %s can be reached from other machines, and there are no client keys",
                        name, l->host);
}

static void check_pem(struct config_reader *r, const char *path, const char *file)
{
    (void)snprintf(r->path, sizeof(r->path), "%s", path);
    if (file)
        config_check_file(r, mark_of(r, path), file);
    r->path[0] = '\0';
}

static void check_pair(struct config_reader *r, const char *section, const struct config_listen *l)
{
    const char *cert = config_printf(r, "%s.cert", section).at;
    const char *key = config_printf(r, "%s.key", section).at;
    if (l->cert && !l->key)
        config_complain(r, mark_of(r, cert), false, "add key: and the file of its private key",
                        "%s: has a cert but no key", section);
    if (l->key && !l->cert)
        config_complain(r, mark_of(r, key), false, "add cert: and the file of its certificate",
                        "%s: has a key but no cert", section);
    check_pem(r, cert, l->cert);
    check_pem(r, key, l->key);
}

/* part must not outlast whole. */
static void check_within(struct config_reader *r, const char *part_path, usec part,
                         const char *whole_path, usec whole)
{
    if (part > whole)
        config_complain(r, mark_of(r, part_path), false,
                        config_printf(r, "make it shorter, or %s longer", whole_path).at,
                        "%s: longer than %s", part_path, whole_path);
}

void config_check(struct config_reader *r)
{
    const struct config *c = r->c;
    check_listen(r, "listen", &c->listen);
    check_listen(r, "admin", &c->admin);
    if (is_same_address(&c->listen, span_from(c->admin.host), c->admin.port))
        config_complain(r, mark_of(r, "admin"), false, "give it another port",
                        "admin: the same address as listen");
    check_pair(r, "tls", &c->listen);
    check_pair(r, "admin_tls", &c->admin);
    check_within(r, "deadlines.connect", c->deadlines.connect, "deadlines.total",
                 c->deadlines.total);
    check_within(r, "deadlines.first_token", c->deadlines.first_token, "deadlines.total",
                 c->deadlines.total);
    check_within(r, "deadlines.stall", c->deadlines.stall, "deadlines.total", c->deadlines.total);
    check_within(r, "breaker.open", c->breaker.open, "breaker.max_open", c->breaker.open_max);
    if (!c->use.kind && (c->use.users || c->use.revenue_million || c->use.region))
        config_complain(r, mark_of(r, "use"), false,
                        "add kind: research, internal, product or api-service",
                        "use: says for how many or where, and not what for");
    if (c->body_max > c->body_memory)
        config_complain(r, mark_of(r, "body_max"), false, "make it smaller, or body_memory larger",
                        "body_max: larger than body_memory");
}
