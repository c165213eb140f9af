/* URLs as a configuration and a request line may have them. One parser for both, and what it
 * checked is what is used: no second reading of the same text elsewhere (reliability.md, section
 * 2). */
#include "http/url.h"

#include "base/span.h"
#include "http/chars.h"

static enum err no(const char **out_why, const char *why)
{
    *out_why = why;
    return ERR_SYNTAX;
}

static bool has_scheme(struct span text, const char *scheme, struct span *out_rest)
{
    struct span s = span_from(scheme);
    if (!span_istarts(text, s))
        return false;
    *out_rest = span_drop(text, s.len);
    return true;
}

/* "." and ".." segments would be resolved by some readers and not by others. */
static bool has_dot_segment(struct span path)
{
    struct span part;
    while (span_next(&path, '/', &part))
        if (span_is(part, ".") || span_is(part, ".."))
            return true;
    return false;
}

enum err url_parse(struct span text, struct url *out, const char **out_why)
{
    struct url u = {0};
    struct span rest;
    int32_t port;
    if (has_scheme(text, "https://", &rest))
        u.tls = true;
    else if (!has_scheme(text, "http://", &rest))
        return no(out_why, "a URL starts with https:// or http://");
    ssize_t slash = span_find(rest, '/');
    struct span authority = slash < 0 ? rest : span_take(rest, (size_t)slash);
    u.path = span_drop(rest, authority.len);
    if (!chars_all(rest, CHAR_TARGET))
        return no(out_why, "a URL holds no blank, control byte, backslash, '#' or non-ASCII byte");
    if (span_find(authority, '@') >= 0)
        return no(out_why, "a URL holds no user name or password");
    if (span_find(rest, '?') >= 0)
        return no(out_why, "a base URL holds no query");
    if (chars_host_port(authority, &u.host, &port) != ERR_OK || port == 0)
        return no(out_why, "the host or port of the URL is not valid");
    if (has_dot_segment(u.path))
        return no(out_why, "a base URL's path holds no \".\" or \"..\" part");
    while (u.path.len && u.path.at[u.path.len - 1] == '/')
        u.path.len--;
    u.port = port > 0 ? (uint16_t)port : u.tls ? 443 : 80;
    *out = u;
    return ERR_OK;
}

enum err url_split_target(struct span target, struct span *out_path, struct span *out_query)
{
    if (target.len == 0 || target.at[0] != '/' || !chars_all(target, CHAR_TARGET))
        return ERR_SYNTAX;
    ssize_t mark = span_find(target, '?');
    *out_path = mark < 0 ? target : span_take(target, (size_t)mark);
    *out_query = mark < 0 ? SPAN_EMPTY : span_drop(target, (size_t)mark + 1);
    return ERR_OK;
}

enum err url_host_port(struct span text, struct span *out_host, uint16_t *out_port)
{
    struct span host;
    int32_t port;
    if (chars_host_port(text, &host, &port) != ERR_OK || port < 0)
        return ERR_SYNTAX;
    *out_host = host;
    *out_port = (uint16_t)port;
    return ERR_OK;
}

/* Four numbers of 0 to 255 without leading zeros: "0127.0.0.1" and "127.1" mean different things to
 * different resolvers. */
static bool is_ipv4(struct span s)
{
    struct span part;
    int parts = 0;
    if (span_ends(s, SPAN(".")))
        return false;
    while (span_next(&s, '.', &part)) {
        uint64_t n;
        if (span_u64(part, &n) != ERR_OK || n > 255 || (part.len > 1 && part.at[0] == '0'))
            return false;
        parts++;
    }
    return parts == 4;
}

bool url_host_is_loopback(struct span host)
{
    if (span_iis(host, "localhost") || span_is(host, "::1"))
        return true;
    return span_starts(host, SPAN("127.")) && is_ipv4(host);
}
