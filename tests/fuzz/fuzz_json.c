/* The JSON reader and writer. Every instruction set must come to the same nodes or the same error;
 * what was accepted is written anew through the writer (strings decoded and escaped again) and must
 * read back with the same shape; pieces of the input go through json_unescape, which takes
 * anything.
 */
#include "base/span.h"
#include "json/json.h"
#include "json/json_write.h"

#include <stdlib.h>

#define ARENA_MAX ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void compare_engines(struct span text, enum err err, const struct json_doc *doc)
{
    static const char *const engines[] = {"portable", "sse2", "avx2", "neon"};
    const char *usual = json_engine();
    for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
        if (json_force(engines[i]) != ERR_OK)
            continue;
        struct arena arena;
        struct json_doc other;
        struct json_error error;
        arena_init(&arena, ARENA_MAX);
        check(json_parse(&arena, text, &json_limits_default, &other, &error) == err);
        if (err == ERR_OK) {
            check(other.count == doc->count);
            check(memcmp(other.nodes, doc->nodes, doc->count * sizeof *doc->nodes) == 0);
        } else {
            check(error.offset <= text.len && error.line > 0 && error.column > 0 && error.what);
        }
        arena_deinit(&arena);
    }
    check(json_force(usual) == ERR_OK);
}

/* Writes v and all below it. The writer's nesting is bounded, so deep things are transplanted. */
static void rewrite(struct json_out *w, struct json v, struct arena *a, int depth)
{
    if (depth == 40 || json_type(v) < JSON_STRING) {
        jw_raw(w, json_raw(v));
        return;
    }
    if (json_is(v, JSON_STRING)) {
        jw_str(w, json_str_decode(v, a));
        return;
    }
    bool object = json_is(v, JSON_OBJECT);
    object ? jw_object(w) : jw_array(w);
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        if (object)
            jw_key_raw(w, json_key(m));
        rewrite(w, m, a, depth + 1);
    }
    object ? jw_object_end(w) : jw_array_end(w);
}

static void round_trip(const struct json_doc *doc, struct arena *a)
{
    struct pieces pieces;
    struct json_out w;
    struct json_doc again;
    pieces_init(&pieces, a);
    json_out_pieces(&w, &pieces);
    rewrite(&w, json_root(doc), a, 0);
    struct span text = pieces_flatten(&pieces, a);
    check(json_parse(a, text, &json_limits_default, &again, NULL) == ERR_OK);
    check(again.count == doc->count);
    for (uint32_t i = 0; i < doc->count; i++) {
        struct json old = {doc, i}, new = {&again, i};
        check(json_type(old) == json_type(new) && json_len(old) == json_len(new));
        if (json_is(old, JSON_STRING))
            check(span_eq(json_str_decode(old, a), json_str_decode(new, a)));
        else if (json_is(old, JSON_NUMBER))
            check(span_eq(json_raw(old), json_raw(new)));
    }
}

static void read_numbers(const struct json_doc *doc)
{
    for (uint32_t i = 0; i < doc->count; i++) {
        struct json v = {doc, i};
        int64_t integer;
        double number;
        bool whole = json_i64(v, &integer) == ERR_OK, read = json_double(v, &number) == ERR_OK;
        check(json_is(v, JSON_NUMBER) || (!whole && !read));
        /* An integer that fits is the number, up to the precision of a double. */
        if (whole && read)
            check((double)integer - number < 1025 && number - (double)integer < 1025);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct arena arena;
    struct json_doc doc = {0};
    arena_init(&arena, ARENA_MAX);
    enum err err = json_parse(&arena, text, &json_limits_default, &doc, NULL);
    compare_engines(text, err, &doc);
    if (err == ERR_OK) {
        round_trip(&doc, &arena);
        read_numbers(&doc);
    }
    check(json_unescape(text, &arena).len <= size);
    arena_deinit(&arena);
    return 0;
}
