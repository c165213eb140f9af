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

/* Bytes of the whole characters at the front of a text that is longer than `most` bytes. */
static size_t whole_chars(struct chat_text t, size_t most)
{
    size_t kept = 0, next = 0;
    while (next <= most) {
        kept = next;
        next += text_char_len(span_drop(t.at, kept), t.escaped);
    }
    return kept;
}

struct chat_text oc_tool_name(struct arena *a, struct chat_text name, uint32_t max)
{
    if (max == 0 || name.at.len <= max)
        return name;
    assert(max > SHORT_NAME_TAIL);
    size_t most = max - SHORT_NAME_TAIL, kept = whole_chars(name, most);
    char *out = arena_alloc(a, (size_t)max + 1);
    memcpy(out, name.at.at, kept);
    memset(out + kept, '_', most - kept);
    (void)snprintf(out + most, SHORT_NAME_TAIL + 1, "_%08x", /* fits by design */
                   (unsigned)(oc_hash(OC_HASH_SEED, name.at) & 0xffffffffu));
    return (struct chat_text){{out, max}, name.escaped};
}

/* The short form is exactly as long as the limit was, so its length tells the limit. */
struct chat_text oc_tool_name_back(struct arena *a, const struct chat_request *r,
                                   struct chat_text name)
{
    if (name.at.len <= SHORT_NAME_TAIL || name.at.len > UINT32_MAX)
        return name;
    for (const struct chat_tool *t = r ? r->tools : NULL; t; t = t->next)
        if (t->name.at.len > name.at.len &&
            span_eq(oc_tool_name(a, t->name, (uint32_t)name.at.len).at, name.at))
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
