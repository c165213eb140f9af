#pragma once
/* JSON reader: indexes a document in one pass and copies none of it. RFC 8259, strict.
 *
 * Values are handles into a flat array of nodes in document order; numbers and strings stay raw
 * slices of the input (escapes and digits untouched), so that 20-digit ids, -0, 1e400 and lone
 * surrogate escapes survive a translation. Refused: anything RFC 8259 refuses, invalid UTF-8, a
 * BOM, nesting deeper than limits.depth, more than limits.members object members or limits.values
 * values, keys longer than limits.key_bytes, duplicate keys in one object (compared decoded). Lone
 * surrogate ESCAPES in string values are accepted and kept raw (protocols.md section 7 rule 6).
 *
 * Pure: no I/O, no clock. The document and its nodes live in the caller's arena; the text is
 * borrowed. */
#include "base/arena.h"
#include "base/span.h"

enum json_type {
    JSON_NONE,
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_limits {
    uint32_t depth, members, values, key_bytes;
};
extern const struct json_limits json_limits_default; /* 128, 100000, 1000000, 1024 */

struct json_node {    /* 16 bytes; fields belong to json.c */
    uint32_t at, len; /* raw bytes of the value; strings without their quotes */
    uint32_t next;    /* index of the node behind this value's subtree */
    uint32_t bits;    /* type, "has escapes", child count */
};
struct json_doc {
    struct span text;
    struct json_node *nodes;
    uint32_t count;
};
struct json_error {
    size_t offset;
    uint32_t line, column; /* from 1; column in bytes */
    const char *what;      /* static text, a short sentence for people */
};

/* Indexes `text` (one value with optional blanks around it).
 * limits: NULL = json_limits_default. A failed call leaves nothing in `a`.
 * Returns ERR_OK; ERR_SYNTAX or ERR_LIMIT with *out_error filled (out_error may be NULL).
 * Owns: nodes in `a`; borrows text for the life of the document. text.len must be < 4 GiB. Thread:
 * any. */
MUST_USE enum err json_parse(struct arena *a, struct span text, const struct json_limits *limits,
                             struct json_doc *out, struct json_error *out_error);

/* A handle; JSON_NONE (doc == NULL) stands for "absent" and every function below takes it. */
struct json {
    const struct json_doc *doc;
    uint32_t node;
};
#define JSON_ABSENT ((struct json){NULL, 0})

struct json json_root(const struct json_doc *doc);
enum json_type json_type(struct json v);
bool json_is(struct json v, enum json_type t);
bool json_present(struct json v);    /* not JSON_NONE */
bool json_useful(struct json v);     /* neither JSON_NONE nor null */
struct span json_raw(struct json v); /* exact source bytes, strings with their quotes */
uint32_t json_len(struct json v);    /* elements of an array, members of an object, else 0 */

/* Object member by (decoded) name; JSON_ABSENT when v is no object or has none. Linear in the
 * members. */
struct json json_member(struct json v, struct span name);
static inline struct json json_get(struct json v, const char *name)
{
    return json_member(v, span_from(name));
}
struct json json_path(struct json v, const char *dotted); /* "error.details.error_code" */
struct json json_at(struct json v, uint32_t index);       /* array element */

/* Iteration over an array's elements or an object's member VALUES:
 *   for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) ...   */
struct json json_first(struct json v);
struct json json_next(struct json parent, struct json child);
struct span
json_key(struct json member); /* raw name of a member value got from an object; escapes kept */
bool json_key_is(struct json member, const char *name); /* compares decoded */

/* Anywhere in the document there is a member of this name whose value begins with `prefix`, or
 * might do so behind its escapes. Looks at the index, not at the text: cheap also for large
 * documents. */
bool json_may_hold(const struct json_doc *doc, const char *name, struct span prefix);

/* Strings. json_str: the raw content between the quotes (escapes kept), empty span for other types.
 */
struct span json_str(struct json v);
bool json_str_escaped(struct json v);              /* holds a backslash */
bool json_str_is(struct json v, const char *text); /* compares decoded; false for other types */
struct span
json_str_decode(struct json v,
                struct arena *a); /* UTF-8; lone surrogates become U+FFFD; borrows when it can */

/* Numbers and booleans; other types, fractions (for i64) and overflow are ERR_INVALID. 3.0 and 3e0
 * are integers. */
MUST_USE enum err json_i64(struct json v, int64_t *out);
MUST_USE enum err json_double(struct json v, double *out);
bool json_true(struct json v); /* is literally true */

/* Decodes / escapes string content outside a document. decode: as json_str_decode. */
struct span json_unescape(struct span raw, struct arena *a);

/* Name of the instruction set json_parse uses on this machine: "avx2", "sse2", "neon", "portable".
 * json_force("portable") selects another for tests and benchmarks; ERR_UNSUPPORTED if this machine
 * has it not. */
const char *json_engine(void);
MUST_USE enum err json_force(const char *engine);
