/* Whatever names the conversation best is hashed: what the client says itself, else how the
 * conversation began, which every later turn sends again.
 *
 * Of the opening the texts are taken and not the raw JSON around them: clients move their
 * cache_control marks from turn to turn. Long system prompts have much in common, so each text
 * gives its length, its beginning and its end, and the system's texts cannot use up the room of
 * the first user message. A text is hashed as it is written, escapes and all: a client writes the
 * same text the same way. */
#include "relay/identity.h"

#include "base/hmap.h"
#include "base/span.h"

#define TEXTS_MAX 16   /* in each of the two parts */
#define TEXT_EDGE 64   /* bytes of a text's beginning, and of its end */
#define MESSAGES_MAX 8 /* looked at for the first of the user */

_Static_assert(2 * TEXTS_MAX * 2 * TEXT_EDGE <= IDENTITY_BYTES_MAX, "the bound in the header");

const char *identity_source_name(enum identity_source s)
{
    static const char *const names[IDENTITY_SOURCES] = {[IDENTITY_SESSION] = "session",
                                                        [IDENTITY_USER] = "user",
                                                        [IDENTITY_CACHE_KEY] = "cache_key",
                                                        [IDENTITY_OPENING] = "opening"};
    assert((unsigned)s < IDENTITY_SOURCES);
    return names[s];
}

struct opening {
    const uint64_t *seed;
    uint64_t hash;
    size_t system_texts, user_texts;
};

static void mix(struct opening *o, struct span s, size_t text_len)
{
    uint64_t seed[2] = {o->seed[0] ^ o->hash, o->seed[1] ^ text_len};
    o->hash = siphash13(seed, s);
}

static void take_text(struct opening *o, size_t *count, struct json v)
{
    if (*count == TEXTS_MAX || !json_is(v, JSON_STRING))
        return;
    struct span text = json_str(v);
    (*count)++;
    mix(o, span_take(text, TEXT_EDGE), text.len);
    if (text.len > TEXT_EDGE)
        mix(o, span_drop(text, text.len - TEXT_EDGE), text.len);
}

/* A string, or blocks with a `text` in them. */
static void take_content(struct opening *o, size_t *count, struct json content)
{
    take_text(o, count, content);
    if (!json_is(content, JSON_ARRAY))
        return;
    size_t looked = 0;
    for (struct json b = json_first(content); json_present(b) && looked < TEXTS_MAX;
         b = json_next(content, b), looked++) {
        take_text(o, count, b);
        take_text(o, count, json_get(b, "text"));
    }
}

static void take_messages(struct opening *o, struct json list)
{
    size_t looked = 0;
    for (struct json m = json_first(list); json_present(m) && looked < MESSAGES_MAX;
         m = json_next(list, m), looked++) {
        struct json role = json_get(m, "role"), content = json_get(m, "content");
        if (json_str_is(role, "user")) {
            take_content(o, &o->user_texts, content);
            return;
        }
        if (json_str_is(role, "system") || json_str_is(role, "developer"))
            take_content(o, &o->system_texts, content);
    }
}

static bool hash_opening(struct opening *o, struct json root)
{
    take_content(o, &o->system_texts, json_get(root, "system"));
    take_messages(o, json_get(root, "messages"));
    take_content(o, &o->user_texts, json_get(root, "prompt")); /* the completions doors */
    return o->system_texts + o->user_texts > 0;
}

struct identity identity_of(const uint64_t seed[2], const char *owner, const struct http_head *head,
                            const struct json_doc *doc)
{
    struct json root = json_root(doc);
    struct span named[] = {
        [IDENTITY_SESSION] = http_field_get(head, "x-claude-code-session-id"),
        [IDENTITY_USER] = json_str(json_path(root, "metadata.user_id")),
        [IDENTITY_CACHE_KEY] = json_str(json_get(root, "prompt_cache_key")),
    };
    uint64_t own[2] = {seed[0], seed[1] ^ siphash13(seed, span_from(owner))};
    for (size_t i = IDENTITY_SESSION; i < ARRAY_LEN(named); i++)
        if (named[i].len > 0)
            return (struct identity){siphash13(own, span_take(named[i], IDENTITY_BYTES_MAX)),
                                     (enum identity_source)i};
    struct opening o = {.seed = own};
    if (!hash_opening(&o, root))
        return (struct identity){.source = IDENTITY_NONE};
    return (struct identity){o.hash, IDENTITY_OPENING};
}
