/* The engine for any machine: eight bytes at a time in an ordinary register. Also the measure the
 * others are tested against. */
#include "json/json_internal.h"

#include "base/utf8.h"

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (uint64_t)(b))

static uint64_t word_at(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Not zero when some byte of the word is zero (the byte found first may be a false one; the caller
 * looks again byte by byte). */
static uint64_t has_zero(uint64_t word)
{
    return (word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80);
}

static uint64_t has_special(uint64_t word)
{
    uint64_t below_space = (word - EACH_BYTE(0x20)) & ~word & EACH_BYTE(0x80);
    return below_space | has_zero(word ^ EACH_BYTE('"')) | has_zero(word ^ EACH_BYTE('\\'));
}

static bool is_special(char c)
{
    return c == '"' || c == '\\' || (unsigned char)c < 0x20;
}

static size_t portable_special(const char *at, size_t len)
{
    size_t i = 0;
    for (;;) {
        while (len - i >= 8 && !has_special(word_at(at + i)))
            i += 8;
        size_t stop = len - i >= 8 ? i + 8 : len;
        for (; i < stop; i++)
            if (is_special(at[i]))
                return i;
        if (i == len)
            return len;
    }
}

static size_t portable_utf8(const char *at, size_t len)
{
    size_t i = 0;
    while (i < len) {
        while (len - i >= 8 && (word_at(at + i) & EACH_BYTE(0x80)) == 0)
            i += 8;
        if (i == len)
            break;
        size_t taken = utf8_char((struct span){at + i, len - i});
        if (taken == 0)
            return i;
        i += taken;
    }
    return i;
}

static bool portable_supported(void)
{
    return true;
}

const struct json_engine json_engine_portable = {
    "portable", portable_supported, portable_special, NULL, portable_utf8,
};
