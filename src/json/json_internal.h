#pragma once
/* Shared by the files of src/json only: the engines (what is done per block of bytes, in several
 * instruction sets), the bits of a node, and decoding of escapes. */
#include "json/json.h"

/* One instruction set. Each function reads only at[0..len). */
struct json_engine {
    const char *name;
    bool (*supported)(void);
    /* Index of the first quote, backslash or byte below 0x20; len when there is none. */
    size_t (*special)(const char *at, size_t len);
    /* Bytes of string content at the front that can be skipped with the short escapes in them (all
     * but \u); *out_escapes is set when there are some. Stops at the latest at a quote that
     * ends the string or at anything wrong, never within an escape; may stop anywhere before.
     * NULL: not worth it here. */
    size_t (*content)(const char *at, size_t len, bool *out_escapes);
    /* Bytes at the front that are well-formed UTF-8; len when all of it is. */
    size_t (*utf8)(const char *at, size_t len);
};
extern const struct json_engine json_engine_avx2, json_engine_sse2, json_engine_neon,
    json_engine_portable;

/* The engine in use. Thread: any. */
const struct json_engine *json_engine_now(void);

/* node.bits: type (3 bits), flags, number of children. A member's name is a node of type JSON_NONE
 * right before its value. */
#define NODE_TYPE 7u
#define NODE_ESCAPED BIT(3) /* the string holds a backslash */
#define NODE_COUNT_SHIFT 4

/* How a lone surrogate escape is decoded: for people and peers as U+FFFD; for comparing names as
 * itself (so that two different ones stay different). */
enum json_lone { JSON_LONE_REPLACE, JSON_LONE_KEEP };

/* Takes one unit off the front of *raw: a plain byte, an escape, or two escapes that make a
 * surrogate pair. A malformed escape counts as a plain backslash. raw->len > 0. Returns the number
 * of bytes written, never more than were taken. */
size_t json_take_unit(struct span *raw, enum json_lone lone, char out[4]);

/* Decodes all of raw into out (raw.len bytes are enough). Returns the decoded length. */
size_t json_decode(struct span raw, enum json_lone lone, char *out);

/* raw, decoded, is the same text as `text`. */
bool json_decodes_to(struct span raw, struct span text);
