/* The engine of every 64-bit x86: 16 bytes at a time. SSE2 cannot look bytes up in a table, so only
 * ASCII is skipped in blocks; other characters are checked one by one. */
#include "json/json_internal.h"

#include "base/utf8.h"

#include <emmintrin.h>

#define SSE2 __attribute__((target("sse2")))

SSE2 static unsigned special_bits(__m128i block)
{
    __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1F)), block);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), control));
}

SSE2 static __m128i load(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

SSE2 static size_t sse2_special(const char *at, size_t len)
{
    size_t i = 0;
    for (; len - i >= 16; i += 16) {
        unsigned bits = special_bits(load(at + i));
        if (bits)
            return i + (size_t)__builtin_ctz(bits);
    }
    return i + json_engine_portable.special(at + i, len - i);
}

SSE2 static size_t sse2_utf8(const char *at, size_t len)
{
    size_t i = 0;
    for (;;) {
        unsigned bits = 0;
        for (; len - i >= 16; i += 16) {
            bits = (unsigned)_mm_movemask_epi8(load(at + i));
            if (bits)
                break;
        }
        if (!bits)
            return i + json_engine_portable.utf8(at + i, len - i);
        i += (size_t)__builtin_ctz(bits);
        while (i < len && (at[i] & 0x80)) {
            size_t taken = utf8_char((struct span){at + i, len - i});
            if (taken == 0)
                return i;
            i += taken;
        }
    }
}

static bool sse2_supported(void)
{
    return __builtin_cpu_supports("sse2");
}

const struct json_engine json_engine_sse2 = {"sse2", sse2_supported, sse2_special, NULL, sse2_utf8};
