#pragma once
/* The part of URLs we need: base URLs of targets and request targets. Pure. Strict: no user info,
 * no fragment, no backslash, no control bytes. */
#include "base/base.h"

struct url {
    bool tls;         /* https */
    struct span host; /* without brackets */
    uint16_t port;
    struct span path; /* "" or starts with '/', without a trailing '/' */
};
/* "https://api.anthropic.com", "http://127.0.0.1:8000/v1/". Borrows from text. *out_why: static
 * sentence on error. */
MUST_USE enum err url_parse(struct span text, struct url *out, const char **out_why);

/* "/v1/messages?beta=true" -> path and query (without '?'). ERR_SYNTAX for anything but an
 * origin-form target. */
MUST_USE enum err url_split_target(struct span target, struct span *out_path,
                                   struct span *out_query);

/* "127.0.0.1:8484", "[::1]:8484", "localhost:80"; port 0 (the system picks one) is taken. */
MUST_USE enum err url_host_port(struct span text, struct span *out_host, uint16_t *out_port);
/* 127.0.0.0/8, ::1 and the name localhost. */
bool url_host_is_loopback(struct span host);
