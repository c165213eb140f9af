#pragma once
/* For the tests of src/json: cmocka, a repeatable generator, and exact-size copies (so that the
 * address sanitizer sees one byte read too many). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/span.h"
#include "json/json_internal.h"

static const char *const all_engines[] = {"portable", "sse2", "avx2", "neon"};

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline size_t random_below(uint64_t *state, size_t n)
{
    return (size_t)(random_next(state) % n);
}

static inline struct span exact_copy(struct span s)
{
    char *at = mem_alloc(s.len > 0 ? s.len : 1);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    return (struct span){at, s.len};
}

static inline void exact_free(struct span s)
{
    mem_free((void *)(uintptr_t)s.at);
}

/* One parse with one engine, kept for comparing. */
struct parsed {
    struct arena arena;
    struct json_doc doc;
    struct json_error error;
    enum err err;
};

static inline void parse_with(struct parsed *p, struct span text, const struct json_limits *limits)
{
    *p = (struct parsed){0};
    arena_init(&p->arena, (size_t)256 << 20);
    p->err = json_parse(&p->arena, text, limits, &p->doc, &p->error);
}

static inline void parsed_free(struct parsed *p)
{
    arena_deinit(&p->arena);
}

/* Parses with every engine of this machine and demands the same nodes or the same error. Returns
 * the verdict. */
static inline enum err parse_all_engines(struct span text)
{
    struct parsed first, other;
    struct span copy = exact_copy(text);
    const char *usual = json_engine();
    assert_int_equal(json_force("portable"), ERR_OK);
    parse_with(&first, copy, NULL);
    for (size_t i = 1; i < ARRAY_LEN(all_engines); i++) {
        if (json_force(all_engines[i]) != ERR_OK)
            continue;
        parse_with(&other, copy, &json_limits_default);
        assert_int_equal(other.err, first.err);
        if (first.err == ERR_OK) {
            assert_int_equal(other.doc.count, first.doc.count);
            assert_memory_equal(other.doc.nodes, first.doc.nodes,
                                first.doc.count * sizeof(struct json_node));
        } else {
            assert_int_equal(other.error.offset, first.error.offset);
            assert_string_equal(other.error.what, first.error.what);
        }
        parsed_free(&other);
    }
    assert_int_equal(json_force(usual), ERR_OK);
    parsed_free(&first);
    exact_free(copy);
    return first.err;
}
