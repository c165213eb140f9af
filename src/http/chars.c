/* The table is spelled by the preprocessor from the grammar's own words, so that it can be checked
 * by reading; nothing is computed at start-up. */
#include "http/chars.h"

#include "base/span.h"

#define IS_ALNUM(c)                                                                                \
    (((c) >= '0' && (c) <= '9') || ((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_TOKEN(c)                                                                                \
    (IS_ALNUM(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' ||          \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' ||          \
     (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_VALUE(c) ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))
#define IS_TARGET(c) ((c) > ' ' && (c) < 0x7f && (c) != '#' && (c) != '\\')
#define IS_HOST(c) (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_')
#define CLASS(c)                                                                                   \
    ((IS_TOKEN(c) ? CHAR_TOKEN : 0) | (IS_VALUE(c) ? CHAR_VALUE : 0) |                             \
     (IS_TARGET(c) ? CHAR_TARGET : 0) | (IS_HOST(c) ? CHAR_HOST : 0) |                             \
     ((c) == '_' ? CHAR_UNDERSCORE : 0))
#define CLASS4(c) CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS16(c) CLASS4(c), CLASS4((c) + 4), CLASS4((c) + 8), CLASS4((c) + 12)
#define CLASS64(c) CLASS16(c), CLASS16((c) + 16), CLASS16((c) + 32), CLASS16((c) + 48)

const uint8_t char_class[256] = {CLASS64(0), CLASS64(64), CLASS64(128), CLASS64(192)};

bool chars_all(struct span s, uint8_t class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(char_class[(unsigned char)s.at[i]] & class))
            return false;
    return true;
}

/* True when none of the eight bytes is a control character or DEL (HTAB counts as one). */
static bool eight_plain(const char *at)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t x;
    memcpy(&x, at, sizeof(x));
    uint64_t del = x ^ (ones * 0x7f);
    uint64_t below_space = (x - ones * 0x20) & ~x & highs;
    uint64_t is_del = (del - ones) & ~del & highs;
    return (below_space | is_del) == 0;
}

bool chars_value(struct span s)
{
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8)
        if (!eight_plain(s.at + i) && !chars_all((struct span){s.at + i, 8}, CHAR_VALUE))
            return false;
    return i == s.len || chars_all((struct span){s.at + i, s.len - i}, CHAR_VALUE);
}

int chars_hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Enough to keep anything but an address out; whether it is a good one is the resolver's to say. */
static bool is_ipv6_text(struct span s)
{
    size_t colons = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == ':')
            colons++;
        else if (s.at[i] != '.' && chars_hex((unsigned char)s.at[i]) < 0)
            return false;
    }
    return colons >= 2 && colons <= 7 && s.len <= 45;
}

static bool parse_port(struct span s, int32_t *out)
{
    uint64_t n;
    if (s.len > 5 || span_u64(s, &n) != ERR_OK || n > 65535)
        return false;
    *out = (int32_t)n;
    return true;
}

enum err chars_host_port(struct span s, struct span *out_host, int32_t *out_port)
{
    struct span host, rest;
    int32_t port = -1;
    if (s.len && s.at[0] == '[') {
        ssize_t close = span_find(s, ']');
        if (close < 0)
            return ERR_SYNTAX;
        host = (struct span){s.at + 1, (size_t)close - 1};
        rest = span_drop(s, (size_t)close + 1);
        if (!is_ipv6_text(host))
            return ERR_SYNTAX;
    } else {
        ssize_t colon = span_find(s, ':');
        host = colon < 0 ? s : span_take(s, (size_t)colon);
        rest = span_drop(s, host.len);
        if (host.len == 0 || host.len > 255 || !chars_all(host, CHAR_HOST))
            return ERR_SYNTAX;
    }
    if (rest.len && (rest.at[0] != ':' || !parse_port(span_drop(rest, 1), &port)))
        return ERR_SYNTAX;
    *out_host = host;
    *out_port = port;
    return ERR_OK;
}
