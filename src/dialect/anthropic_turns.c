/* Upstream: `system` and `messages` of a Messages body (protocols.md 1.3, 4.1 and 5.2).
 *
 * The API's rules shape the work: tool results come first in the one user turn behind their calls;
 * no text is blank; the last assistant text does not end in white space; thinking goes back only to
 * who signed it. So consecutive user messages with a tool result among them are written as one
 * turn, in two passes; every other message is written as it stands (the API merges same-role turns
 * itself).
 *
 * Decisions where the API leaves none:
 *   - A conversation of system texts only: the last one becomes the user's turn, as a text for the
 *     model to answer must exist (system_order).
 *   - A conversation that opens with the assistant: a user turn saying so is put before it
 * (first_turn).
 *   - A system text in the middle, for a model without role system there: a marked user text in its
 *     place, so that the order holds (system_order).
 *   - A trailing assistant message the target will not continue: a user turn asks to go on
 * (prefill). */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

#define CACHE_MARKS_MAX 4 /* the API's own */

static const char first_turn[] = "(The assistant opens this conversation.)";
static const char json_rule[] =
    "Answer with one valid JSON object and nothing else: no prose, no code fence.";
static const char schema_rule[] = "Answer with one JSON value that conforms to the following JSON "
                                  "Schema, and nothing else: no prose, no code fence.\n";
static const char system_open[] = "<system-message>\n", system_close[] = "\n</system-message>";

static void lose(struct a_body *b, const char *name)
{
    lossy_add(&b->out->lossy, name);
}

/* ---- what is carried at all ---- */

static bool is_standins(const struct chat_block *block)
{
    return block->type == CHAT_THINKING && span_starts(block->signature.at, SPAN(SIGNATURE_MARK));
}

bool dialect_has_standin_thinking(const struct chat_request *r)
{
    for (const struct chat_message *m = r->messages; m; m = m->next)
        for (const struct chat_block *block = m->blocks; block; block = block->next)
            if (is_standins(block))
                return true;
    return false;
}

bool a_thinking_is_claudes(const struct a_body *b, const struct chat_block *block)
{
    return b->own && !chat_text_empty(block->signature) && !is_standins(block);
}

/* NULL when the block is carried, else what its absence is called ("" when nothing is lost). */
static const char *left_out(const struct a_body *b, const struct chat_block *block)
{
    switch (block->type) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        return text_blank(block->text) ? "" : NULL;
    case CHAT_THINKING:
        return a_thinking_is_claudes(b, block) ? NULL : LOSSY_THINKING;
    case CHAT_REDACTED_THINKING:
        return b->own ? NULL : LOSSY_REDACTED_THINKING;
    case CHAT_SERVER_TOOL_USE:
    case CHAT_SERVER_TOOL_RESULT:
        return b->own ? NULL : LOSSY_SERVER_TOOL;
    case CHAT_SEARCH_RESULT:
        return b->own ? NULL : LOSSY_CITATIONS;
    case CHAT_OTHER:
        return b->own ? NULL : LOSSY_OTHER;
    default:
        return NULL;
    }
}

static size_t carried_count(const struct a_body *b, const struct chat_message *m)
{
    size_t n = 0;
    for (const struct chat_block *block = m->blocks; block; block = block->next)
        n += left_out(b, block) == NULL;
    return n;
}

static const struct chat_message *last_message(const struct chat_request *r)
{
    const struct chat_message *m = r->messages;
    while (m && m->next)
        m = m->next;
    return m;
}

bool a_ends_with_assistant(const struct chat_request *r)
{
    const struct chat_message *last = last_message(r);
    return last && last->role == CHAT_ASSISTANT;
}

bool a_loop_without_thinking(const struct a_body *b)
{
    const struct chat_message *call = NULL;
    bool result = false;
    for (const struct chat_message *m = b->r->messages; m; m = m->next) {
        if (m->role == CHAT_ASSISTANT) {
            call = m;
            result = false;
        }
        for (const struct chat_block *block = m->blocks; block; block = block->next)
            result = result || (m->role == CHAT_USER && block->type == CHAT_TOOL_RESULT);
    }
    if (!call || !result)
        return false;
    for (const struct chat_block *block = call->blocks; block; block = block->next)
        if ((block->type == CHAT_THINKING || block->type == CHAT_REDACTED_THINKING) &&
            !left_out(b, block))
            return false;
    return true;
}

/* ---- blocks ---- */

static void write_cache_mark(struct a_body *b, const struct chat_block *block)
{
    if (!block->cached || b->cache_marks >= CACHE_MARKS_MAX)
        return;
    b->cache_marks++;
    jw_key(&b->w, "cache_control");
    jw_raw(&b->w, SPAN("{\"type\":\"ephemeral\"}"));
}

static void write_text_block(struct a_body *b, const struct chat_block *block,
                             struct chat_text text)
{
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, "text");
    jw_key(&b->w, "text");
    jw_text(&b->w, text);
    write_cache_mark(b, block);
    jw_object_end(&b->w);
}

static void write_plain_text_block(struct a_body *b, const char *text)
{
    static const struct chat_block unmarked = {.type = CHAT_TEXT};
    write_text_block(b, &unmarked, text_from_plain(span_from(text)));
}

static enum err refuse(struct a_body *b, const char *sentence)
{
    return problem(b->a, b->problem, ERR_UNSUPPORTED, SPAN("messages"), "%s", sentence);
}

/* {"type": "base64", "media_type": ..., "data": ...}. The bytes know their type better than the
 * caller, and the API refuses a wrong one. */
static void write_base64(struct a_body *b, const struct chat_source *s, const char *sniffed)
{
    jw_cstr(&b->w, "base64");
    jw_key(&b->w, "media_type");
    if (sniffed)
        jw_cstr(&b->w, sniffed);
    else
        jw_text(&b->w, s->media_type);
    jw_key(&b->w, "data");
    jw_text(&b->w, s->data);
}

static enum err write_image(struct a_body *b, const struct chat_block *block)
{
    static const char *const known[] = {"image/png", "image/jpeg", "image/gif", "image/webp"};
    const struct chat_source *s = &block->source;
    const char *type = s->kind == CHAT_SOURCE_BASE64 ? media_sniff(s->data.at) : NULL;
    if (!b->cap->images)
        return refuse(b, "This target reads no images.");
    for (size_t i = 0; i < ARRAY_LEN(known) && !type; i++)
        if (s->kind == CHAT_SOURCE_BASE64 && text_is(s->media_type, known[i]))
            type = known[i];
    if (s->kind == CHAT_SOURCE_BASE64 && (!type || strncmp(type, "image/", 6) != 0))
        return refuse(b, "Claude reads images as PNG, JPEG, GIF or WebP: convert this one.");
    if (s->kind == CHAT_SOURCE_URL && !b->cap->image_urls)
        return refuse(b, "This target fetches no images: send the bytes instead of a URL.");
    if (s->kind != CHAT_SOURCE_BASE64 && s->kind != CHAT_SOURCE_URL)
        return refuse(b, "An image in another provider's file store cannot be read by Claude: send "
                         "its bytes or a URL.");
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, "image");
    jw_key(&b->w, "source");
    jw_object(&b->w);
    jw_key(&b->w, "type");
    if (s->kind == CHAT_SOURCE_URL) {
        jw_cstr(&b->w, "url");
        jw_key(&b->w, "url");
        jw_text(&b->w, s->data);
    } else {
        write_base64(b, s, type);
    }
    jw_object_end(&b->w);
    write_cache_mark(b, block);
    jw_object_end(&b->w);
    return ERR_OK;
}

/* Text files may come as base64; Claude wants their text. */
static bool is_text_file(const struct chat_source *s)
{
    return span_istarts(s->media_type.at, SPAN("text")) ||
           text_is(s->media_type, "application/json");
}

static enum err write_document_source(struct a_body *b, const struct chat_source *s)
{
    jw_key(&b->w, "type");
    if (s->kind == CHAT_SOURCE_URL) {
        jw_cstr(&b->w, "url");
        jw_key(&b->w, "url");
        jw_text(&b->w, s->data);
        return ERR_OK;
    }
    const char *type = s->kind == CHAT_SOURCE_BASE64 ? media_sniff(s->data.at) : NULL;
    bool pdf = s->kind == CHAT_SOURCE_BASE64 && (type ? strcmp(type, "application/pdf") == 0
                                                      : text_is(s->media_type, "application/pdf"));
    if (pdf && !b->cap->pdf)
        return refuse(b, "This target reads no PDF: send its text.");
    if (pdf) {
        write_base64(b, s, "application/pdf");
        return ERR_OK;
    }
    struct chat_text text = s->data;
    struct span decoded;
    if (s->kind == CHAT_SOURCE_BASE64 && is_text_file(s)) {
        if (base64_decode(b->a, s->data.at, &decoded) != ERR_OK)
            return refuse(b, "A document's data is not valid base64.");
        text = text_from_plain(decoded);
    } else if (s->kind != CHAT_SOURCE_TEXT) {
        return refuse(b, "Claude reads documents as PDF, plain text or a URL: convert this one.");
    }
    jw_cstr(&b->w, "text");
    jw_key(&b->w, "media_type");
    jw_cstr(&b->w, "text/plain");
    jw_key(&b->w, "data");
    jw_text(&b->w, text);
    return ERR_OK;
}

static enum err write_document(struct a_body *b, const struct chat_block *block)
{
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, "document");
    jw_key(&b->w, "source");
    jw_object(&b->w);
    enum err e = write_document_source(b, &block->source);
    if (e != ERR_OK)
        return e;
    jw_object_end(&b->w);
    if (!chat_text_empty(block->name)) {
        jw_key(&b->w, "title");
        jw_text(&b->w, block->name);
    }
    write_cache_mark(b, block);
    jw_object_end(&b->w);
    return ERR_OK;
}

static void write_tool_use(struct a_body *b, const struct chat_block *block)
{
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, "tool_use");
    jw_key(&b->w, "id");
    jw_text(&b->w, tool_id_fit(b->a, block->id));
    jw_key(&b->w, "name");
    jw_text(&b->w, block->name);
    jw_key(&b->w, "input");
    if (block->custom)
        jw_raw(&b->w, free_text_wrap(b->a, block->input));
    else if (!jw_tool_input(&b->w, b->a, block->input))
        b->out->has_unparsed_tool_input = true;
    write_cache_mark(b, block);
    jw_object_end(&b->w);
}

static enum err write_block(struct a_body *b, const struct chat_block *block);

static enum err write_tool_result(struct a_body *b, const struct chat_block *block)
{
    const struct chat_block *only = block->content;
    bool plain = only && !only->next && only->type == CHAT_TEXT && !only->cached;
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, "tool_result");
    jw_key(&b->w, "tool_use_id");
    jw_text(&b->w, tool_id_fit(b->a, block->id));
    if (plain) {
        jw_key(&b->w, "content");
        jw_text(&b->w, only->text);
    } else if (only) {
        jw_key(&b->w, "content");
        jw_array(&b->w);
        for (const struct chat_block *c = only; c; c = c->next) {
            enum err e = write_block(b, c);
            if (e != ERR_OK)
                return e;
        }
        jw_array_end(&b->w);
    }
    if (block->is_error) {
        jw_key(&b->w, "is_error");
        jw_bool(&b->w, true);
    }
    write_cache_mark(b, block);
    jw_object_end(&b->w);
    return ERR_OK;
}

static bool needs_id(const struct chat_block *block)
{
    return block->type == CHAT_TOOL_USE || block->type == CHAT_TOOL_RESULT;
}

static bool is_pdf(const struct chat_source *s)
{
    return s->kind == CHAT_SOURCE_BASE64 && text_is(s->media_type, "application/pdf");
}

/* An image or a PDF, also in a tool's result, that this target reads none of. */
static bool holds_unread(const struct a_body *b, const struct chat_block *block)
{
    if (block->type == CHAT_IMAGE)
        return !b->cap->images;
    if (block->type == CHAT_DOCUMENT)
        return !b->cap->pdf && is_pdf(&block->source);
    for (const struct chat_block *c = block->content; c; c = c->next)
        if (holds_unread(b, c)) // NOLINT(misc-no-recursion): nests once
            return true;
    return false;
}

/* The raw block can stand as it is: our own dialect's, with an id the API takes, and nothing in it
 * that a probe found the target not to read. */
static bool verbatim(struct a_body *b, const struct chat_block *block)
{
    if (!b->own || block->raw.len == 0 || holds_unread(b, block))
        return false;
    return !needs_id(block) || tool_id_fit(b->a, block->id).at.at == block->id.at.at;
}

static enum err write_block(struct a_body *b, const struct chat_block *block)
{
    const char *lost = left_out(b, block);
    if (lost) {
        if (*lost)
            lose(b, lost);
        return ERR_OK;
    }
    if (verbatim(b, block)) {
        jw_raw(&b->w, block->raw);
        return ERR_OK;
    }
    switch (block->type) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        write_text_block(b, block, block->text);
        return ERR_OK;
    case CHAT_IMAGE:
        return write_image(b, block);
    case CHAT_DOCUMENT:
        return write_document(b, block);
    case CHAT_TOOL_USE:
        write_tool_use(b, block);
        return ERR_OK;
    case CHAT_TOOL_RESULT:
        return write_tool_result(b, block);
    case CHAT_AUDIO:
        return refuse(b, "Claude hears no audio: send a transcript as text.");
    default: /* the rest exists in Anthropic's words only, and those have their raw JSON */
        lose(b, LOSSY_OTHER);
        return ERR_OK;
    }
}

/* ---- system ---- */

/* Where the conversation proper begins. Of system texts only, the last is left to be answered. */
static const struct chat_message *first_turn_of(const struct chat_request *r)
{
    const struct chat_message *m = r->messages, *last = m;
    while (m && m->role == CHAT_SYSTEM) {
        last = m;
        m = m->next;
    }
    return m ? m : last;
}

static bool has_format_rule(const struct a_body *b)
{
    return b->r->format == CHAT_FORMAT_JSON ||
           (b->r->format == CHAT_FORMAT_SCHEMA && !b->native_format);
}

/* The degradation of a response format the model has no switch for: it is asked, and the caller
 * told. */
static void write_format_rule(struct a_body *b)
{
    bool schema = b->r->format == CHAT_FORMAT_SCHEMA;
    lose(b, LOSSY_FORMAT);
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, "text");
    jw_key(&b->w, "text");
    jw_str_begin(&b->w);
    jw_part(&b->w, span_from(schema ? schema_rule : json_rule));
    if (schema)
        jw_part(&b->w, b->r->format_schema);
    jw_str_end(&b->w);
    jw_object_end(&b->w);
}

static enum err write_system(struct a_body *b, const struct chat_message *end)
{
    size_t carried = has_format_rule(b);
    const struct chat_message *head = b->r->messages;
    const struct chat_block *only = NULL;
    for (const struct chat_message *m = head; m != end; m = m->next) {
        carried += carried_count(b, m);
        for (const struct chat_block *block = m->blocks; block; block = block->next)
            if (!left_out(b, block))
                only = block;
    }
    if (carried == 0)
        return ERR_OK;
    jw_key(&b->w, "system");
    if (carried == 1 && only && only->type == CHAT_TEXT && !only->cached &&
        (!b->own || only->raw.len == 0)) {
        jw_text(&b->w, only->text);
        return ERR_OK;
    }
    jw_array(&b->w);
    for (const struct chat_message *m = head; m != end; m = m->next) {
        for (const struct chat_block *block = m->blocks; block; block = block->next) {
            enum err e = write_block(b, block);
            if (e != ERR_OK)
                return e;
        }
    }
    if (has_format_rule(b))
        write_format_rule(b);
    jw_array_end(&b->w);
    return ERR_OK;
}

/* ---- messages ---- */

enum turn_role { TURN_USER, TURN_ASSISTANT, TURN_SYSTEM };

static enum turn_role turn_role(const struct a_body *b, const struct chat_message *m)
{
    if (m->role == CHAT_ASSISTANT)
        return TURN_ASSISTANT;
    return m->role == CHAT_SYSTEM && b->cap->mid_system ? TURN_SYSTEM : TURN_USER;
}

/* Messages [first, end) that become one turn. */
struct run {
    const struct chat_message *first, *end;
    enum turn_role role;
    size_t carried;
    bool results, last, marked; /* marked: system texts stand in it as marked user texts */
};

static bool has_results(const struct chat_message *m)
{
    for (const struct chat_block *block = m->blocks; block; block = block->next)
        if (block->type == CHAT_TOOL_RESULT)
            return true;
    return false;
}

static struct run next_run(const struct a_body *b, const struct chat_message *m)
{
    struct run run = {.first = m, .role = turn_role(b, m), .marked = !b->cap->mid_system};
    const struct chat_message *end = m;
    while (end && turn_role(b, end) == run.role && run.role == TURN_USER) {
        run.results = run.results || has_results(end);
        end = end->next;
    }
    bool as_they_came = b->own && b->cap->mid_system; /* newer models compare what they were sent */
    run.end = run.results && !as_they_came ? end : m->next;
    run.last = run.end == NULL;
    for (; m != run.end; m = m->next)
        run.carried += carried_count(b, m);
    return run;
}

/* A system text standing in a user's turn. */
static void write_marked_system(struct a_body *b, const struct chat_block *block)
{
    lose(b, LOSSY_SYSTEM_ORDER);
    if (block->type != CHAT_TEXT) {
        lose(b, LOSSY_OTHER);
        return;
    }
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, "text");
    jw_key(&b->w, "text");
    jw_str_begin(&b->w);
    jw_part(&b->w, SPAN(system_open));
    jw_text_part(&b->w, block->text);
    jw_part(&b->w, SPAN(system_close));
    jw_str_end(&b->w);
    write_cache_mark(b, block);
    jw_object_end(&b->w);
}

static enum err write_run_blocks(struct a_body *b, const struct run *run, bool results)
{
    for (const struct chat_message *m = run->first; m != run->end; m = m->next) {
        bool marked = run->marked && m->role == CHAT_SYSTEM;
        bool trimmed = run->last && run->role == TURN_ASSISTANT;
        for (const struct chat_block *block = m->blocks; block; block = block->next) {
            if ((block->type == CHAT_TOOL_RESULT) != results)
                continue;
            enum err e = ERR_OK;
            if (marked && !left_out(b, block))
                write_marked_system(b, block);
            else if (trimmed && !block->next && block->type == CHAT_TEXT && !left_out(b, block) &&
                     text_rtrim(block->text).at.len < block->text.at.len)
                write_text_block(b, block, text_rtrim(block->text));
            else
                e = write_block(b, block);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

/* The content of a turn of one plain text may be a string. */
static const struct chat_block *only_text(const struct a_body *b, const struct run *run)
{
    const struct chat_message *m = run->first;
    if (run->carried != 1 || m->next != run->end || (run->marked && m->role == CHAT_SYSTEM))
        return NULL;
    for (const struct chat_block *block = m->blocks; block; block = block->next)
        if (!left_out(b, block))
            return block->type == CHAT_TEXT && !block->cached && (!b->own || block->raw.len == 0)
                       ? block
                       : NULL;
    return NULL;
}

static void note_dropped(struct a_body *b, const struct run *run)
{
    for (const struct chat_message *m = run->first; m != run->end; m = m->next)
        for (const struct chat_block *block = m->blocks; block; block = block->next) {
            const char *lost = left_out(b, block);
            if (lost && *lost)
                lose(b, lost);
        }
}

static void open_turn(struct a_body *b, enum turn_role role)
{
    static const char *const roles[] = {"user", "assistant", "system"};
    jw_object(&b->w);
    jw_key(&b->w, "role");
    jw_cstr(&b->w, roles[role]);
    jw_key(&b->w, "content");
}

static enum err write_run(struct a_body *b, const struct run *run)
{
    note_dropped(b, run);
    if (!chat_text_empty(run->first->name))
        lose(b, LOSSY_OTHER);
    open_turn(b, run->role);
    const struct chat_block *text = only_text(b, run);
    if (text) {
        bool trimmed = run->last && run->role == TURN_ASSISTANT;
        jw_text(&b->w, trimmed ? text_rtrim(text->text) : text->text);
    } else {
        enum err e = ERR_OK;
        jw_array(&b->w);
        if (run->results)
            e = write_run_blocks(b, run, true);
        if (e == ERR_OK)
            e = write_run_blocks(b, run, false);
        if (e != ERR_OK)
            return e; /* in the middle of a block: the body is not used */
        jw_array_end(&b->w);
    }
    jw_object_end(&b->w);
    return ERR_OK;
}

static void write_our_turn(struct a_body *b, const char *text)
{
    open_turn(b, TURN_USER);
    jw_array(&b->w);
    write_plain_text_block(b, text);
    jw_array_end(&b->w);
    jw_object_end(&b->w);
}

/* A turn whose last block is a tool's is no prefill: a paused turn resent, or a call without its
 * result, which the API will judge. Nor is a refused turn replayed with a credit token. */
static bool wants_go_on(const struct a_body *b)
{
    if (!a_ends_with_assistant(b->r) || a_native_prefill(b))
        return false;
    for (const struct chat_extra *e = b->r->extras; e; e = e->next)
        if (span_is(e->name, "fallback_credit_token"))
            return false;
    const struct chat_block *last = last_message(b->r)->blocks;
    while (last && last->next)
        last = last->next;
    return !last || (last->type != CHAT_TOOL_USE && last->type != CHAT_SERVER_TOOL_USE &&
                     last->type != CHAT_SERVER_TOOL_RESULT);
}

enum err a_write_turns(struct a_body *b)
{
    const struct chat_message *first = first_turn_of(b->r);
    bool only_system = first && first->role == CHAT_SYSTEM;
    enum err e = write_system(b, first);
    if (e != ERR_OK)
        return e;
    jw_key(&b->w, "messages");
    jw_array(&b->w);
    size_t written = 0;
    for (const struct chat_message *m = first; m;) {
        struct run run = next_run(b, m);
        if (only_system) {
            lose(b, LOSSY_SYSTEM_ORDER);
            run = (struct run){
                .first = m, .role = TURN_USER, .carried = carried_count(b, m), .last = true};
        }
        m = run.end;
        if (run.carried == 0) { /* an empty turn is answered with 400 */
            note_dropped(b, &run);
            continue;
        }
        if (written++ == 0 && run.role == TURN_ASSISTANT && !b->own) {
            lose(b, LOSSY_FIRST_TURN);
            write_our_turn(b, first_turn);
        }
        e = write_run(b, &run);
        if (e != ERR_OK)
            return e;
    }
    if (written == 0)
        return refuse(b,
                      "No message holds anything for Claude to answer: send a text or an image.");
    if (wants_go_on(b)) {
        lose(b, LOSSY_PREFILL);
        write_our_turn(b, DIALECT_GO_ON);
    }
    jw_array_end(&b->w);
    return ERR_OK;
}
