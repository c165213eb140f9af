/* OpenAI Chat Completions: the table of its functions, and the short names of tools. */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

#include <stdio.h>

#define SHORT_NAME_TAIL 9 /* '_' and eight hex digits */

uint64_t oc_hash(uint64_t seed, struct span s)
{
    uint64_t h = seed ^ s.len;
    for (size_t i = 0; i < s.len; i += sizeof h) { /* by words: whole answers are hashed */
        uint64_t word = 0;
        memcpy(&word, s.at + i, s.len - i < sizeof word ? s.len - i : sizeof word);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    return h;
}

struct chat_text oc_tool_name(struct arena *a, struct chat_text name, uint32_t max)
{
    if (max == 0 || name.at.len <= max)
        return name;
    assert(max > SHORT_NAME_TAIL);
    uint64_t h = oc_hash(OC_HASH_SEED, name.at);
    struct span kept = span_take(name.at, max - SHORT_NAME_TAIL);
    return (struct chat_text){
        arena_printf(a, "%.*s_%08x", SPAN_FMT(kept), (unsigned)(h & 0xffffffffu)), name.escaped};
}

/* The short form is exactly as long as the limit was, so its length tells the limit. */
static bool short_form_of(struct chat_text name, struct chat_text tool)
{
    if (tool.at.len <= name.at.len || name.at.len <= SHORT_NAME_TAIL)
        return false;
    size_t kept = name.at.len - SHORT_NAME_TAIL;
    char tail[SHORT_NAME_TAIL + 1];
    uint64_t h = oc_hash(OC_HASH_SEED, tool.at);
    (void)snprintf(tail, sizeof tail, "_%08x", (unsigned)(h & 0xffffffffu)); /* fits by design */
    return memcmp(name.at.at, tool.at.at, kept) == 0 &&
           memcmp(name.at.at + kept, tail, SHORT_NAME_TAIL) == 0;
}

struct chat_text oc_tool_name_back(const struct chat_request *r, struct chat_text name)
{
    for (const struct chat_tool *t = r ? r->tools : NULL; t; t = t->next)
        if (short_form_of(name, t->name))
            return t->name;
    return name;
}

static struct reply_writer *writer_new(struct arena *a, const struct writer_options *o, bool stream,
                                       struct buf *to)
{
    return oc_answer_new(a, o, stream, to, OC_CHAT);
}

const struct dialect dialect_openai_chat = {
    .id = DIALECT_OPENAI_CHAT,
    .name = "openai-chat",
    .path = "/chat/completions",
    .read_request = oc_read_request,
    .write_request = oc_write_request,
    .reader_new = oc_reader_new,
    .read_event = oc_read_event,
    .read_eof = oc_read_eof,
    .read_whole = oc_read_whole,
    .read_error = dialect_read_error,
    .writer_new = writer_new,
    .write_event = oc_write_event,
    .write_ping = oc_write_ping,
    .write_error = oc_write_error,
};

const struct dialect dialect_embeddings = {
    .id = DIALECT_EMBEDDINGS,
    .name = "openai-embeddings",
    .path = "/embeddings",
    .read_error = dialect_read_error,
    .write_error = oc_write_error,
};
