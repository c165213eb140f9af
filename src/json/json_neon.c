/* The engine of 64-bit ARM: 16 bytes at a time. */
#include "json/json_internal.h"

#include "base/utf8.h"

#include <arm_neon.h>

/* NEON has no movemask. Narrowing each 16-bit pair by a shift of four leaves four bits per byte in
 * one 64-bit word, in order. */
static uint64_t nibbles(uint8x16_t mask)
{
    uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(mask), 4);
    return vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
}

static uint8x16_t load(const char *at)
{
    return vld1q_u8((const uint8_t *)at);
}

static size_t neon_special(const char *at, size_t len)
{
    size_t i = 0;
    for (; len - i >= 16; i += 16) {
        uint8x16_t block = load(at + i);
        uint8x16_t text =
            vorrq_u8(vceqq_u8(block, vdupq_n_u8('"')), vceqq_u8(block, vdupq_n_u8('\\')));
        uint64_t bits = nibbles(vorrq_u8(text, vcltq_u8(block, vdupq_n_u8(0x20))));
        if (bits)
            return i + (size_t)__builtin_ctzll(bits) / 4;
    }
    return i + json_engine_portable.special(at + i, len - i);
}

static size_t neon_utf8(const char *at, size_t len)
{
    size_t i = 0;
    for (;;) {
        uint64_t bits = 0;
        for (; len - i >= 16; i += 16) {
            bits = nibbles(vcgeq_u8(load(at + i), vdupq_n_u8(0x80)));
            if (bits)
                break;
        }
        if (!bits)
            return i + json_engine_portable.utf8(at + i, len - i);
        i += (size_t)__builtin_ctzll(bits) / 4;
        while (i < len && (at[i] & 0x80)) {
            size_t taken = utf8_char((struct span){at + i, len - i});
            if (taken == 0)
                return i;
            i += taken;
        }
    }
}

static bool neon_supported(void)
{
    return true; /* part of every AArch64 */
}

const struct json_engine json_engine_neon = {"neon", neon_supported, neon_special, NULL, neon_utf8};
