/* Speed of the JSON reader: GB/s per instruction set on generated Messages requests of about 100
 * KB. Prints the best of several rounds; the machine decides the rest.
 *
 *   json_bench [ROUNDS]      build: ninja -C build/release json_bench */
#include "base/mem.h"
#include "base/span.h"
#include "json/json.h"
#include "json/json_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BODY_BYTES ((size_t)100 * 1000)
#define REPEATS 200

enum flavour { CODE, PROSE, CHINESE, SCHEMAS };
static const char *const flavour_names[] = {"code", "prose", "chinese", "schemas"};

/* One line of a turn's text; its newline and quotes become escapes. */
static struct span line_of(enum flavour flavour)
{
    switch (flavour) {
    case CODE:
        return SPAN("    if (strcmp(name, \"claude\") == 0) return answer(request, \"ok\");\n");
    case CHINESE:
        return SPAN("当主要的提供商停止回答时，对话会继续进行，没有人会注意到任何变化。\n");
    default:
        return SPAN("When the provider stops answering the conversation goes on, and nobody who is "
                    "in the middle of a sentence has any reason to notice that something changed; "
                    "that is the whole point.\n");
    }
}

static void write_tool(struct json_out *w, int number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "tool_%d", number);
    jw_object(w);
    jw_key(w, "name");
    jw_cstr(w, name);
    jw_key(w, "description");
    jw_cstr(w, "Reads a file from the workspace and returns its text with line numbers.");
    jw_key(w, "input_schema");
    jw_raw(w, SPAN("{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\","
                   "\"description\":\"The file\"},\"offset\":{\"type\":\"integer\",\"minimum\":0},"
                   "\"limit\":{\"type\":\"integer\",\"maximum\":2000}},\"required\":[\"path\"],"
                   "\"additionalProperties\":false}"));
    jw_object_end(w);
}

static void write_turn(struct json_out *w, bool user, enum flavour flavour, int lines)
{
    jw_object(w);
    jw_key(w, "role");
    jw_cstr(w, user ? "user" : "assistant");
    jw_key(w, "content");
    jw_array(w);
    jw_object(w);
    jw_key(w, "type");
    jw_cstr(w, "text");
    jw_key(w, "text");
    jw_str_begin(w);
    for (int i = 0; i < lines; i++)
        jw_part(w, line_of(flavour));
    jw_str_end(w);
    jw_object_end(w);
    jw_array_end(w);
    jw_object_end(w);
}

static void write_request(struct buf *to, enum flavour flavour)
{
    struct json_out w;
    json_out_buf(&w, to);
    jw_object(&w);
    jw_key(&w, "model");
    jw_cstr(&w, "claude-sonnet-5");
    jw_key(&w, "max_tokens");
    jw_i64(&w, 4096);
    jw_key(&w, "tools");
    jw_array(&w);
    for (int i = 0; i < 15 || (flavour == SCHEMAS && to->len < BODY_BYTES); i++)
        write_tool(&w, i);
    jw_array_end(&w);
    jw_key(&w, "messages");
    jw_array(&w);
    for (int i = 0; to->len < BODY_BYTES; i++)
        write_turn(&w, i % 2 == 0, flavour, 40);
    jw_array_end(&w);
    jw_object_end(&w);
    assert(!w.failed);
}

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Best time of one parse, in seconds. */
static double measure(struct span text, int rounds, uint32_t *out_nodes)
{
    double best = 1e9;
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    for (int round = 0; round < rounds; round++) {
        double from = seconds();
        for (int i = 0; i < REPEATS; i++) {
            struct json_doc doc;
            arena_reset(&arena);
            if (json_parse(&arena, text, &json_limits_default, &doc, NULL) != ERR_OK)
                abort();
            *out_nodes = doc.count;
        }
        double took = (seconds() - from) / REPEATS;
        if (took < best)
            best = took;
    }
    arena_deinit(&arena);
    return best;
}

int main(int argc, char **argv)
{
    static const char *const engines[] = {"avx2", "sse2", "neon", "portable"};
    uint64_t rounds = 20;
    if (argc > 1 && (span_u64(span_from(argv[1]), &rounds) != ERR_OK || rounds == 0)) {
        (void)fprintf(stderr, "usage: json_bench [ROUNDS]\n");
        return 64;
    }
    for (enum flavour f = CODE; f <= SCHEMAS; f++) {
        struct buf text;
        buf_init(&text, BODY_BYTES * 2);
        write_request(&text, f);
        for (size_t i = 0; i < ARRAY_LEN(engines); i++) {
            uint32_t nodes = 0;
            if (json_force(engines[i]) != ERR_OK)
                continue;
            double took = measure(buf_span(&text), (int)rounds, &nodes);
            printf("%-8s %-8s %6zu bytes %5u nodes %8.1f us %6.2f GB/s\n", flavour_names[f],
                   engines[i], text.len, nodes, took * 1e6, (double)text.len / took / 1e9);
        }
        buf_deinit(&text);
    }
    return 0;
}
