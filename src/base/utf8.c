/* The table of well-formed byte sequences (Unicode standard, table 3-7), as code. Written for being
 * plainly right; the JSON reader has faster ways and is tested against this one. */
#include "base/utf8.h"

static bool is_tail(const unsigned char *at)
{
    return (*at & 0xC0) == 0x80;
}

/* The second byte's range depends on the first: it is what rules out overlong forms, surrogates
 * and values above U+10FFFF. */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xE0:
        return second >= 0xA0;
    case 0xED:
        return second <= 0x9F;
    case 0xF0:
        return second >= 0x90;
    case 0xF4:
        return second <= 0x8F;
    default:
        return true;
    }
}

size_t utf8_char(struct span s)
{
    const unsigned char *at = (const unsigned char *)s.at;
    if (s.len == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xC2 || at[0] > 0xF4)
        return 0;
    size_t len = at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (s.len < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if (!is_tail(at + i))
            return 0;
    return second_fits(at[0], at[1]) ? len : 0;
}

size_t utf8_valid_len(struct span s)
{
    size_t at = 0;
    while (at < s.len) {
        size_t len = utf8_char((struct span){s.at + at, s.len - at});
        if (len == 0)
            break;
        at += len;
    }
    return at;
}

size_t utf8_encode(uint32_t scalar, char out[4])
{
    assert(scalar <= 0x10FFFF);
    assert(scalar < 0xD800 || scalar > 0xDFFF);
    if (scalar < 0x80) {
        out[0] = (char)scalar;
        return 1;
    }
    size_t len = scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (scalar & 0x3F));
        scalar >>= 6;
    }
    out[0] = (char)(lead[len] | scalar);
    return len;
}
