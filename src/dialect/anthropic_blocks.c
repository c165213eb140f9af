/* Door: the messages of a Messages request and their content blocks (protocols.md 1.3).
 *
 * Each block keeps its raw JSON, so that on the way to Anthropic it travels byte for byte; the
 * other fields are what other dialects need of it. Unknown block and source types are kept, not
 * refused. */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

#define BLOCK_NESTING 3 /* tool_result > document > text is the deepest the API knows */

static enum err read_content(struct a_reading *c, struct json v, unsigned depth,
                             struct chat_block **out);

/* A member that must be a string; absent is an error too. */
static enum err need_text(const struct a_reading *c, struct json block, const char *name,
                          struct chat_text *out)
{
    struct json v = json_get(block, name);
    if (!json_is(v, JSON_STRING))
        return a_refuse(c, name, json_present(v) ? "Must be a string." : "Field required.");
    *out = text_of(v);
    return ERR_OK;
}

static enum err refuse_source(const struct a_reading *c, const char *what)
{
    return a_refuse(c, "source", "Needs %s.", what);
}

static enum err read_source(struct a_reading *c, struct json block, unsigned depth,
                            struct chat_block *out)
{
    struct json v = json_get(block, "source"), type = json_get(v, "type");
    struct chat_source *s = &out->source;
    if (!json_is(v, JSON_OBJECT) || !json_is(type, JSON_STRING))
        return refuse_source(c, "an object with a type: base64, url, file or text");
    s->media_type = text_of(json_get(v, "media_type"));
    if (json_str_is(type, "base64") || json_str_is(type, "text")) {
        s->kind = json_str_is(type, "text") ? CHAT_SOURCE_TEXT : CHAT_SOURCE_BASE64;
        s->data = text_of(json_get(v, "data"));
        return json_is(json_get(v, "data"), JSON_STRING) ? ERR_OK
                                                         : refuse_source(c, "a string \"data\"");
    }
    if (json_str_is(type, "url")) {
        s->kind = CHAT_SOURCE_URL;
        s->data = text_of(json_get(v, "url"));
        return chat_text_empty(s->data) ? refuse_source(c, "a string \"url\"") : ERR_OK;
    }
    if (json_str_is(type, "file")) {
        s->kind = CHAT_SOURCE_FILE;
        s->data = text_of(json_get(v, "file_id"));
        return chat_text_empty(s->data) ? refuse_source(c, "a string \"file_id\"") : ERR_OK;
    }
    if (json_str_is(type, "content")) {
        s->kind = CHAT_SOURCE_BLOCKS;
        return read_content(c, json_get(v, "content"), depth + 1, &out->content);
    }
    return ERR_OK; /* a source of tomorrow: NONE, with the raw block */
}

/* ---- one function per block type ---- */

static enum err read_text(struct a_reading *c, struct json v, unsigned depth,
                          struct chat_block *out)
{
    (void)depth;
    if (json_useful(json_get(v, "citations")))
        out->citations = json_raw(json_get(v, "citations"));
    return need_text(c, v, "text", &out->text);
}

static enum err read_document(struct a_reading *c, struct json v, unsigned depth,
                              struct chat_block *out)
{
    out->name = text_of(json_get(v, "title"));
    if (json_useful(json_get(v, "citations")))
        out->citations = json_raw(json_get(v, "citations"));
    return read_source(c, v, depth, out);
}

static enum err read_search_result(struct a_reading *c, struct json v, unsigned depth,
                                   struct chat_block *out)
{
    out->name = text_of(json_get(v, "title"));
    out->source.kind = CHAT_SOURCE_URL;
    out->source.data = text_of(json_get(v, "source"));
    return read_content(c, json_get(v, "content"), depth + 1, &out->content);
}

static enum err read_thinking(struct a_reading *c, struct json v, unsigned depth,
                              struct chat_block *out)
{
    (void)depth;
    out->signature = text_of(json_get(v, "signature"));
    return need_text(c, v, "thinking", &out->text);
}

static enum err read_redacted(struct a_reading *c, struct json v, unsigned depth,
                              struct chat_block *out)
{
    (void)depth;
    return need_text(c, v, "data", &out->text);
}

static enum err read_tool_use(struct a_reading *c, struct json v, unsigned depth,
                              struct chat_block *out)
{
    (void)depth;
    struct json input = json_get(v, "input");
    if (json_useful(input) && !json_is(input, JSON_OBJECT))
        return a_refuse(c, "input", "Must be an object.");
    if (json_useful(input))
        out->input = (struct chat_text){json_raw(input), false};
    enum err e = need_text(c, v, "id", &out->id);
    return e != ERR_OK ? e : need_text(c, v, "name", &out->name);
}

static enum err read_tool_result(struct a_reading *c, struct json v, unsigned depth,
                                 struct chat_block *out)
{
    struct json content = json_get(v, "content"), is_error = json_get(v, "is_error");
    if (json_useful(is_error) && !json_is(is_error, JSON_TRUE) && !json_is(is_error, JSON_FALSE))
        return a_refuse(c, "is_error", "Must be true or false.");
    out->is_error = json_true(is_error);
    enum err e = need_text(c, v, "tool_use_id", &out->id);
    if (e != ERR_OK || !json_useful(content))
        return e;
    return read_content(c, content, depth + 1, &out->content);
}

static enum err read_server_result(struct a_reading *c, struct json v, unsigned depth,
                                   struct chat_block *out)
{
    (void)c;
    (void)depth;
    out->id = text_of(json_get(v, "tool_use_id"));
    return ERR_OK;
}

/* Kept whole: known to Anthropic only. */
static enum err read_other(struct a_reading *c, struct json v, unsigned depth,
                           struct chat_block *out)
{
    (void)c;
    (void)v;
    (void)depth;
    (void)out;
    return ERR_OK;
}

static const struct block_row {
    const char *name;
    enum chat_block_type type;
    enum err (*read)(struct a_reading *c, struct json v, unsigned depth, struct chat_block *out);
} block_rows[] = {
    {"text", CHAT_TEXT, read_text},
    {"tool_use", CHAT_TOOL_USE, read_tool_use},
    {"tool_result", CHAT_TOOL_RESULT, read_tool_result},
    {"image", CHAT_IMAGE, read_document},
    {"document", CHAT_DOCUMENT, read_document},
    {"thinking", CHAT_THINKING, read_thinking},
    {"redacted_thinking", CHAT_REDACTED_THINKING, read_redacted},
    {"search_result", CHAT_SEARCH_RESULT, read_search_result},
    {"server_tool_use", CHAT_SERVER_TOOL_USE, read_tool_use},
    {"mcp_tool_use", CHAT_SERVER_TOOL_USE, read_tool_use},
};
static const struct block_row server_result = {"*_tool_result", CHAT_SERVER_TOOL_RESULT,
                                               read_server_result};
static const struct block_row other = {"*", CHAT_OTHER, read_other};

static const struct block_row *row_of(struct json type)
{
    for (size_t i = 0; i < ARRAY_LEN(block_rows); i++)
        if (json_str_is(type, block_rows[i].name))
            return &block_rows[i];
    return span_ends(json_str(type), SPAN("_tool_result")) ? &server_result : &other;
}

static enum err read_block(struct a_reading *c, struct json v, unsigned depth,
                           struct chat_block **out)
{
    struct json type = json_get(v, "type");
    if (!json_is(v, JSON_OBJECT) || json_str(type).len == 0)
        return a_refuse(c, "type", "A content block is an object with a type such as \"text\".");
    struct chat_block *b = *out = arena_new(c->a, struct chat_block);
    const struct block_row *row = row_of(type);
    b->type = row->type;
    b->raw = json_raw(v);
    b->cached = json_useful(json_get(v, "cache_control"));
    if (row == &other || row == &server_result)
        b->name = text_of(type);
    return row->read(c, v, depth, b);
}

static struct chat_block *text_block(struct a_reading *c, struct json string)
{
    struct chat_block *b = arena_new(c->a, struct chat_block);
    b->type = CHAT_TEXT;
    b->text = text_of(string);
    return b;
}

/* Content inside a block: a string, or blocks of their own. */
static enum err read_content(struct a_reading *c, struct json v, unsigned depth,
                             struct chat_block **out)
{
    if (json_is(v, JSON_STRING)) {
        *out = text_block(c, v);
        return ERR_OK;
    }
    if (!json_is(v, JSON_ARRAY))
        return a_refuse(c, "content", "Must be a string or an array of content blocks.");
    if (depth > BLOCK_NESTING)
        return a_refuse(c, "content", "Content blocks are nested too deeply.");
    uint32_t outer = c->inner;
    c->inner = 0;
    for (struct json b = json_first(v); json_present(b); b = json_next(v, b)) {
        enum err e = read_block(c, b, depth, out);
        if (e != ERR_OK)
            return e;
        out = &(*out)->next;
        c->inner++;
    }
    c->inner = outer;
    return ERR_OK;
}

/* ---- messages ---- */

static struct chat_message *message_add(struct a_reading *c, enum chat_role role)
{
    struct chat_message *m = arena_new(c->a, struct chat_message);
    m->role = role;
    *c->message_tail = m;
    c->message_tail = &m->next;
    c->out->message_count++;
    return m;
}

/* A turn's blocks. mid_conv_system inside it cuts the turn in two: the canonical model has system
 * texts as messages of their own. `turn` is NULL behind such a cut, until another block comes. */
static enum err read_blocks(struct a_reading *c, struct json content, struct chat_message *turn)
{
    enum chat_role role = turn->role;
    struct chat_block **tail = &turn->blocks;
    c->block = 0;
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
        enum err e;
        if (json_str_is(json_get(b, "type"), "mid_conv_system")) {
            struct chat_message *system =
                turn && !turn->blocks ? turn : message_add(c, CHAT_SYSTEM);
            system->role = CHAT_SYSTEM;
            e = read_content(c, json_get(b, "content"), 1, &system->blocks);
            turn = NULL;
        } else {
            if (!turn) {
                turn = message_add(c, role);
                tail = &turn->blocks;
            }
            e = read_block(c, b, 0, tail);
            tail = e == ERR_OK ? &(*tail)->next : tail;
        }
        if (e != ERR_OK)
            return e;
        c->block++;
    }
    c->block = A_NOWHERE;
    return ERR_OK;
}

static enum err read_message(struct a_reading *c, struct json v)
{
    struct json role = json_get(v, "role"), content = json_get(v, "content");
    if (!json_is(v, JSON_OBJECT))
        return a_refuse(c, "", "A message is an object with role and content.");
    enum chat_role r = CHAT_USER;
    if (json_str_is(role, "assistant"))
        r = CHAT_ASSISTANT;
    else if (json_str_is(role, "system"))
        r = CHAT_SYSTEM;
    else if (!json_str_is(role, "user"))
        return a_refuse(c, "role", "Must be \"user\", \"assistant\" or \"system\".");
    if (!json_is(content, JSON_STRING) && !json_is(content, JSON_ARRAY))
        return a_refuse(c, "content",
                        json_present(content) ? "Must be a string or an array of content blocks."
                                              : "Field required.");
    struct chat_message *m = message_add(c, r);
    if (json_is(content, JSON_ARRAY))
        return read_blocks(c, content, m);
    m->was_string = true;
    m->blocks = text_block(c, content);
    return ERR_OK;
}

enum err a_read_messages(struct a_reading *c, struct json v)
{
    if (!json_is(v, JSON_ARRAY) || json_len(v) == 0)
        return a_refuse(c, "messages", "Must be an array with at least one message.");
    c->list = "messages";
    c->item = 0;
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m)) {
        enum err e = read_message(c, m);
        if (e != ERR_OK)
            return e;
        c->item++;
    }
    c->list = NULL;
    c->item = A_NOWHERE;
    return ERR_OK;
}

enum err a_read_system(struct a_reading *c, struct json v)
{
    if (!json_is(v, JSON_STRING) && !json_is(v, JSON_ARRAY))
        return a_refuse(c, "system", "Must be a string or an array of text blocks.");
    if (json_len(v) == 0 && !json_is(v, JSON_STRING)) /* [] says nothing */
        return ERR_OK;
    c->system = arena_new(c->a, struct chat_message);
    c->system->role = CHAT_SYSTEM;
    c->system->was_string = json_is(v, JSON_STRING);
    c->list = "system";
    enum err e = read_content(c, v, 0, &c->system->blocks);
    c->list = NULL;
    return e;
}
