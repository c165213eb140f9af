#pragma once
/* A wire between the gateway and the lead that lets connections die while they are idle. Bytes pass
 * both ways as they are. */
#include "net/net.h"

enum wire_death {
    WIRE_CLOSES,   /* an idle connection gets an orderly end */
    WIRE_DIES_MUTE /* it looks alive; the next request on it meets a reset */
};
struct wire;
MUST_USE enum err wire_open(struct loop *l, const char *lead_url, enum wire_death death,
                            struct wire **out, const char **out_why);
uint16_t wire_port(const struct wire *w);
uint64_t wire_deaths(const struct wire *w); /* connections that died idle */
void wire_close(struct wire *w);            /* cuts what is open; NULL is fine */
