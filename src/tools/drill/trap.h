#pragma once
/* Addresses that fail below HTTP: the gateway's lead is moved to one of these. Loopback only, but
 * for the name, which is one that must not exist (RFC 6761). */
#include "net/net.h"
#include "tools/drill/catalogue.h"
#include "tools/drill/wire.h"

struct trap { /* embed it, zeroed */
    enum trap_kind kind;
    char url[80];
    char ca[160]; /* what the gateway is told to trust for it; "" = nothing but the system's own */
    struct listener *listener;
    struct loop *deaf; /* of the black hole: a loop that never runs, so that nothing is accepted */
    struct tls_server *tls;
    struct wire *wire;
    struct stream *held[64]; /* accepted, never answered */
    size_t held_count;
};
struct trap_place {
    struct loop *loop;
    const char *dir;  /* where certificates are written */
    const char *lead; /* the real lead's address */
};
/* out_why: sentence on error. */
MUST_USE enum err trap_open(struct trap *t, enum trap_kind kind, const struct trap_place *at,
                            const char **out_why);
uint64_t trap_struck(const struct trap *t); /* faults it counted itself; the others it cannot */
void trap_close(struct trap *t);            /* an unopened one is fine */
