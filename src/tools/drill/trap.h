#pragma once
/* Addresses that fail below HTTP: the gateway's lead is moved to one of these. Loopback only, but
 * for the name, which is one that must not exist (RFC 6761). */
#include "net/net.h"
#include "tools/drill/catalogue.h"

struct trap { /* embed it, zeroed */
    enum trap_kind kind;
    char url[80];
    char ca[160]; /* what the gateway is told to trust for it; "" = nothing but the system's own */
    struct listener *listener;
    struct loop *deaf; /* of the black hole: a loop that never runs, so that nothing is accepted */
    struct tls_server *tls;
    struct stream *held[64]; /* accepted, never answered */
    size_t held_count;
};
/* dir: where certificates are written. out_why: sentence on error. */
MUST_USE enum err trap_open(struct trap *t, enum trap_kind kind, struct loop *l, const char *dir,
                            const char **out_why);
void trap_close(struct trap *t); /* an unopened one is fine */
