#pragma once
/* Which bytes may stand where in HTTP: one table of classes, looked up by readers and writers.
 *
 * Pure. Sources: RFC 9110 sections 5.6.2 (token) and 5.5 (field-value), RFC 9112 section 3.2
 * (request-target), RFC 3986 section 3.2.2 (host). */
#include "base/base.h"

enum {
    CHAR_TOKEN = 1,       /* tchar */
    CHAR_VALUE = 2,       /* field-vchar, SP, HTAB, obs-text */
    CHAR_TARGET = 4,      /* visible ASCII but '#' and backslash */
    CHAR_HOST = 8,        /* what we take in a registered name or an IPv4 address */
    CHAR_UNDERSCORE = 16, /* '_': a token, but refused in the names of request fields */
};
extern const uint8_t char_class[256];

/* Every byte is in `class`. An empty span is. */
bool chars_all(struct span s, uint8_t class);
/* chars_all(s, CHAR_VALUE), eight bytes at a time. */
bool chars_value(struct span s);
/* The value of a hex digit, or -1. */
int chars_hex(unsigned char c);
/* host [":" port], as a Host field must say it: a name, an IPv4 address or a bracketed IPv6
 * address, and a port. Stricter than RFC 3986: no percent-encoding, no sub-delims. *out_host is
 * without brackets; *out_port is -1 where none was given. */
MUST_USE enum err chars_host_port(struct span s, struct span *out_host, int32_t *out_port);
