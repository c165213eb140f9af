/* The engine of newer x86: 32 bytes at a time, UTF-8 included.
 *
 * UTF-8 is checked after Keiser and Lemire, "Validating UTF-8 In Less Than One Instruction Per
 * Byte" (2021): every error shows in two neighbouring bytes, so three 16-entry tables (high and low
 * half of the first byte, high half of the second) each give the set of errors the byte allows; a
 * bit that is in all three is an error. Only whether two continuation bytes in a row are due (after
 * E0..FF two and three bytes back) needs another look. Blocks of pure ASCII skip all of it. */
#include "json/json_internal.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* The kinds of error, one bit each; CONT2 is none by itself: it says "continuation after a
 * continuation", which is right exactly where a third or fourth byte is due. */
enum {
    TOO_SHORT = 1 << 0,  /* a lead byte without its continuation */
    TOO_LONG = 1 << 1,   /* ASCII followed by a continuation */
    OVERLONG_3 = 1 << 2, /* E0 80..9F */
    TOO_LARGE = 1 << 3,  /* F4 90..BF, F5..FF */
    SURROGATE = 1 << 4,  /* ED A0..BF */
    OVERLONG_2 = 1 << 5, /* C0, C1 */
    TOO_LARGE_1000 = 1 << 6,
    OVERLONG_4 = 1 << 6, /* F0 80..8F; shares its bit: both show as F0/F5.. with 80..8F */
    CONT2 = 1 << 7,
    CARRY = TOO_SHORT | TOO_LONG | CONT2,
};

static const unsigned char first_high[16] = {
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    TOO_LONG,
    CONT2,
    CONT2,
    CONT2,
    CONT2,
    TOO_SHORT | OVERLONG_2,
    TOO_SHORT,
    TOO_SHORT | OVERLONG_3 | SURROGATE,
    TOO_SHORT | TOO_LARGE | TOO_LARGE_1000 | OVERLONG_4,
};
static const unsigned char first_low[16] = {
    CARRY | OVERLONG_3 | OVERLONG_2 | OVERLONG_4,
    CARRY | OVERLONG_2,
    CARRY,
    CARRY,
    CARRY | TOO_LARGE,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000 | SURROGATE,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
    CARRY | TOO_LARGE | TOO_LARGE_1000,
};
#define SECOND_ANY (TOO_LONG | OVERLONG_2 | CONT2)
static const unsigned char second_high[16] = {
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    SECOND_ANY | OVERLONG_3 | TOO_LARGE_1000 | OVERLONG_4,
    SECOND_ANY | OVERLONG_3 | TOO_LARGE,
    SECOND_ANY | SURROGATE | TOO_LARGE,
    SECOND_ANY | SURROGATE | TOO_LARGE,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
    TOO_SHORT,
};

AVX2 static __m256i load(const char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

AVX2 static __m256i look_up(const unsigned char table[16], __m256i index)
{
    __m128i half = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(half), index);
}

AVX2 static __m256i high_half(__m256i bytes)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
}

/* The block as it was `by` bytes earlier; what is missing comes from the end of the one before. */
#define EARLIER(block, before, by)                                                                 \
    _mm256_alignr_epi8((block), _mm256_permute2x128_si256((before), (block), 0x21), 16 - (by))

/* Not zero where the block, behind `before`, is ill-formed. */
AVX2 static __m256i utf8_errors(__m256i block, __m256i before)
{
    __m256i first = EARLIER(block, before, 1);
    __m256i low = _mm256_and_si256(first, _mm256_set1_epi8(0x0F));
    __m256i kinds = _mm256_and_si256(
        look_up(first_high, high_half(first)),
        _mm256_and_si256(look_up(first_low, low), look_up(second_high, high_half(block))));
    /* Bytes E0.. two back and F0.. three back keep their top bit, all others lose it. */
    __m256i third = _mm256_subs_epu8(EARLIER(block, before, 2), _mm256_set1_epi8(0xE0 - 0x80));
    __m256i fourth = _mm256_subs_epu8(EARLIER(block, before, 3), _mm256_set1_epi8(0xF0 - 0x80));
    __m256i due = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(due, kinds);
}

/* A character begins in the last three bytes of the block and does not end there. */
AVX2 static bool is_open_at_end(__m256i block)
{
    const __m256i most = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, (char)(0xF0 - 1), (char)(0xE0 - 1), (char)(0xC0 - 1));
    __m256i over = _mm256_subs_epu8(block, most);
    return !_mm256_testz_si256(over, over);
}

AVX2 static bool is_ascii(__m256i block)
{
    return _mm256_movemask_epi8(block) == 0;
}

/* Goes on byte by byte from a character's start at or before i (a character is cut by i at most
 * three bytes behind its start). */
static size_t finish_utf8(const char *at, size_t len, size_t i)
{
    size_t back = 0;
    while (back < 3 && i > 0 && ((unsigned char)at[i - 1] & 0xC0) == 0x80) {
        i--;
        back++;
    }
    if (i > 0 && (unsigned char)at[i - 1] >= 0xC0)
        i--;
    return i + json_engine_portable.utf8(at + i, len - i);
}

AVX2 static size_t avx2_utf8(const char *at, size_t len)
{
    size_t i = 0;
    __m256i before = _mm256_setzero_si256();
    for (; len - i >= 32; i += 32) {
        __m256i block = load(at + i);
        if (is_ascii(block)) {
            if (is_open_at_end(before))
                break;
        } else {
            __m256i errors = utf8_errors(block, before);
            if (!_mm256_testz_si256(errors, errors))
                break;
        }
        before = block;
    }
    return finish_utf8(at, len, i);
}

AVX2 static unsigned special_bits(__m256i block)
{
    __m256i quote = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(block, _mm256_set1_epi8('\\'));
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(block, _mm256_set1_epi8(0x1F)), block);
    __m256i any = _mm256_or_si256(_mm256_or_si256(quote, backslash), control);
    return (unsigned)_mm256_movemask_epi8(any);
}

AVX2 static size_t avx2_special(const char *at, size_t len)
{
    size_t i = 0;
    for (; len - i >= 32; i += 32) {
        unsigned bits = special_bits(load(at + i));
        if (bits)
            return i + (size_t)__builtin_ctz(bits);
    }
    return i + json_engine_portable.special(at + i, len - i);
}

AVX2 static unsigned bits_of(__m256i block, char c)
{
    return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, _mm256_set1_epi8(c)));
}

/* The bytes that may follow a backslash, \u aside: " / \ b f n r t, found as a bit that both halves
 * of the byte allow. A byte from 0x80 up looks up nothing. */
AVX2 static unsigned short_escapes(__m256i block)
{
    enum { HIGH_2 = 1, HIGH_5 = 2, HIGH_6 = 4, HIGH_7 = 8 };
    static const unsigned char highs[16] = {[2] = HIGH_2, [5] = HIGH_5, [6] = HIGH_6, [7] = HIGH_7};
    static const unsigned char lows[16] = {[0x2] = HIGH_2 | HIGH_6 | HIGH_7, /* " b r */
                                           [0x4] = HIGH_7,                   /* t */
                                           [0x6] = HIGH_6,                   /* f */
                                           [0xC] = HIGH_5,                   /* \ */
                                           [0xE] = HIGH_6,                   /* n */
                                           [0xF] = HIGH_2};                  /* / */
    __m256i both = _mm256_and_si256(look_up(lows, block), look_up(highs, high_half(block)));
    return ~bits_of(both, 0);
}

/* Which bytes are escaped, given where the backslashes are: in each run of them every second one,
 * and the byte behind a run of odd length. *carry: the first byte is escaped by the block before;
 * on return, the same for the next block.
 *
 * A run that begins at an odd place is added to itself, so that it turns into the bit behind its
 * end: then a bit differs from "even" exactly behind such runs, and within a run even and odd
 * places tell escaping from escaped bytes. (The idea is Langdale and Lemire's, 2019.) */
static unsigned escaped_bits(unsigned backslashes, unsigned *carry)
{
    const unsigned even = 0x55555555u;
    unsigned escaping = backslashes & ~*carry; /* an escaped backslash begins nothing */
    unsigned behind = escaping << 1 | *carry;
    unsigned odd_starts = escaping & ~even & ~behind, sums = 0;
    *carry = __builtin_add_overflow(odd_starts, escaping, &sums);
    return (even ^ sums << 1) & behind;
}

AVX2 static size_t avx2_content(const char *at, size_t len, bool *out_escapes)
{
    unsigned carry = 0;
    size_t i = 0;
    for (; len - i >= 32; i += 32) {
        __m256i block = load(at + i);
        unsigned stops = special_bits(block), bad = 0;
        if (!(stops | carry))
            continue;
        unsigned backslashes = bits_of(block, '\\');
        if (backslashes | carry) {
            unsigned escaped = escaped_bits(backslashes, &carry);
            bad = escaped & ~short_escapes(block);
            stops = (stops & ~backslashes & ~escaped) | bad;
        }
        unsigned stop = stops ? (unsigned)__builtin_ctz(stops) : 32;
        if (backslashes & (unsigned)((UINT64_C(1) << stop) - 1))
            *out_escapes = true;
        if (stop == 32)
            continue;
        return i + stop - (bad >> stop & 1); /* a bad escape: at its backslash */
    }
    return i - carry;
}

static bool avx2_supported(void)
{
    return __builtin_cpu_supports("avx2");
}

const struct json_engine json_engine_avx2 = {"avx2", avx2_supported, avx2_special, avx2_content,
                                             avx2_utf8};
