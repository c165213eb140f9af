/* The messages of an OpenAI-chat body, written from canonical ones.
 *
 * Messages of one role in a row are one turn to Anthropic, and strict chat templates refuse them,
 * so a run of them becomes one message. A user run gives, in this order: one tool message per tool
 * result (every call must be answered before any other role speaks), then one user message with
 * what the tool role cannot hold (images, PDF) and the user's own parts. What this format has no
 * form for is degraded and named, or refused when the newest turn depends on it. */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

#define BILLING_LINE SPAN("x-anthropic-billing-header:") /* Claude Code's first system block */
#define TOOL_ID_MAX 40                                   /* OpenAI's limit */
#define LOOKUP_MAX 256 /* blocks; bounds what a body of pictures can cost */
#define TOOL_ID_NINE 9 /* Mistral's length, [a-zA-Z0-9] */

static void put_role(struct oc_writing *c, const char *role)
{
    jw_object(&c->w);
    jw_key(&c->w, "role");
    jw_cstr(&c->w, role);
}

/* A participant's name; a run has one only when it is a single message. */
static void put_name(struct oc_writing *c, struct oc_run run)
{
    if (chat_text_empty(run.first->name) || run.first->role == CHAT_SYSTEM)
        return;
    jw_key(&c->w, "name");
    jw_text(&c->w, run.first->name);
}

/* ---- tool ids ---- */

static bool alphanumeric(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.at[i];
        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')))
            return false;
    }
    return true;
}

/* A call's id and its result's go through here alike, so a function of the id alone will do. */
struct chat_text oc_fit_tool_id(struct oc_writing *c, struct chat_text id)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    uint64_t h = oc_hash(OC_HASH_SEED, id.at);
    if (!c->cap->tool_id_nine) {
        if (id.at.len <= TOOL_ID_MAX)
            return id;
        return text_from_plain(arena_printf(c->a, "call_%016llx%016llx", (unsigned long long)h,
                                            (unsigned long long)oc_hash(h, id.at)));
    }
    if (id.at.len == TOOL_ID_NINE && alphanumeric(id.at))
        return id;
    char *nine = arena_alloc(c->a, TOOL_ID_NINE);
    for (size_t i = 0; i < TOOL_ID_NINE; i++, h /= 62)
        nine[i] = digits[h % 62];
    return text_from_plain((struct span){nine, TOOL_ID_NINE});
}

const struct chat_block *oc_call_of(const struct oc_writing *c, struct chat_text id)
{
    size_t looked_at = 0;
    for (const struct chat_message *m = c->last_calls; m && m->role == CHAT_ASSISTANT; m = m->next)
        for (const struct chat_block *b = m->blocks; b && looked_at < LOOKUP_MAX; b = b->next) {
            looked_at++;
            if (b->type == CHAT_TOOL_USE && text_eq(b->id, id))
                return b;
        }
    return NULL;
}

struct chat_text oc_tool_name_of(const struct oc_writing *c, struct chat_text id)
{
    const struct chat_block *call = oc_call_of(c, id);
    return call ? call->name : text_from_plain(SPAN("unknown"));
}

/* ---- system ---- */

/* Citations of a text are an array; of a document a switch. */
static bool has_citations(const struct chat_block *b)
{
    if (span_starts(b->citations, SPAN("[")))
        return span_search(b->citations, SPAN("{")) >= 0;
    return span_search(b->citations, SPAN("true")) >= 0;
}

void oc_note_losses(struct oc_writing *c, const struct chat_block *b)
{
    if (b->cached)
        oc_lossy(c, LOSSY_CACHE_CONTROL);
    if (has_citations(b) || b->type == CHAT_SEARCH_RESULT) /* one is there to be cited */
        oc_lossy(c, LOSSY_CITATIONS);
}

bool oc_system_text(const struct chat_block *b, bool first)
{
    return b->type == CHAT_TEXT && !chat_text_empty(b->text) &&
           !(first && span_starts(b->text.at, BILLING_LINE));
}

/* Texts with a blank line between them. */
void oc_put_system_text(struct oc_writing *c, struct oc_run run, bool leading)
{
    const char *gap = "";
    jw_str_begin(&c->w);
    EACH_BLOCK(run, m, b)
    {
        oc_note_losses(c, b);
        if (b->type != CHAT_TEXT)
            oc_lossy(c, LOSSY_OTHER);
        if (!oc_system_text(b, leading && b == run.first->blocks))
            continue;
        jw_part_raw(&c->w, span_from(gap));
        jw_text_part(&c->w, b->text);
        gap = "\\n\\n";
    }
    if (leading && c->schema_in_system) {
        jw_part_raw(&c->w, span_from(gap));
        jw_part(&c->w, SPAN("Answer with one JSON object that conforms to this JSON Schema, and "
                            "with nothing else: "));
        jw_part(&c->w, c->r->format_schema);
        c->schema_in_system = false; /* once */
    }
    jw_str_end(&c->w);
}

bool oc_has_system_text(const struct oc_writing *c, struct oc_run run, bool leading)
{
    bool any = leading && c->schema_in_system;
    EACH_BLOCK(run, m, b)
    any = any || oc_system_text(b, leading && b == run.first->blocks);
    return any;
}

static void put_system(struct oc_writing *c, struct oc_run run, bool leading)
{
    if (!oc_has_system_text(c, run, leading)) {
        EACH_BLOCK(run, m, b)
        if (b->type != CHAT_TEXT)
            oc_lossy(c, LOSSY_OTHER);
        return;
    }
    put_role(c, c->cap->developer_role ? "developer" : "system");
    jw_key(&c->w, "content");
    oc_put_system_text(c, run, leading);
    jw_object_end(&c->w);
}

/* ---- parts of a user message ---- */

static void text_part_begin(struct oc_writing *c)
{
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, "text");
    jw_key(&c->w, "text");
    jw_str_begin(&c->w);
}

static void text_part_end(struct oc_writing *c)
{
    jw_str_end(&c->w);
    jw_object_end(&c->w);
}

static const char *media_word(const struct chat_block *b)
{
    return b->type == CHAT_IMAGE ? "image" : b->type == CHAT_AUDIO ? "audio" : "document";
}

void oc_put_placeholder_part(struct oc_writing *c, const struct chat_block *b)
{
    jw_part(&c->w, SPAN("["));
    jw_part(&c->w, span_from(media_word(b)));
    if (!chat_text_empty(b->name)) {
        jw_part(&c->w, SPAN(" "));
        jw_text_part(&c->w, b->name);
    }
    jw_part(&c->w, SPAN(" was here; it cannot be shown to this model]"));
}

/* data:MEDIA;base64,DATA without ever copying DATA. */
void oc_put_data_url(struct oc_writing *c, const struct chat_source *s)
{
    jw_str_begin(&c->w);
    jw_part(&c->w, SPAN("data:"));
    jw_text_part(&c->w, s->media_type);
    jw_part(&c->w, SPAN(";base64,"));
    jw_text_part(&c->w, s->data);
    jw_str_end(&c->w);
}

bool oc_image_fits(const struct oc_writing *c, const struct chat_block *b)
{
    return c->cap->images && (b->source.kind == CHAT_SOURCE_BASE64 ||
                              (b->source.kind == CHAT_SOURCE_URL && c->cap->image_urls));
}

static void put_image(struct oc_writing *c, const struct chat_block *b)
{
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, "image_url");
    jw_key(&c->w, "image_url");
    jw_object(&c->w);
    jw_key(&c->w, "url");
    if (b->source.kind == CHAT_SOURCE_BASE64)
        oc_put_data_url(c, &b->source);
    else
        jw_text(&c->w, b->source.data);
    if (b->detail.len) {
        jw_key(&c->w, "detail");
        jw_str_raw(&c->w, b->detail);
    }
    jw_object_end(&c->w);
    jw_object_end(&c->w);
}

/* A file id means something at the provider that gave it only; OpenAI's begin so. */
bool oc_file_fits(const struct oc_writing *c, const struct chat_block *b)
{
    if (b->source.kind == CHAT_SOURCE_FILE)
        return c->cap->file_ids && span_starts(b->source.data.at, SPAN("file-"));
    return b->source.kind == CHAT_SOURCE_BASE64 && c->cap->pdf &&
           text_is(b->source.media_type, "application/pdf");
}

static void put_file(struct oc_writing *c, const struct chat_block *b)
{
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, "file");
    jw_key(&c->w, "file");
    jw_object(&c->w);
    if (b->source.kind == CHAT_SOURCE_FILE) {
        jw_key(&c->w, "file_id");
        jw_text(&c->w, b->source.data);
    } else {
        jw_key(&c->w, "filename");
        jw_text(&c->w, chat_text_empty(b->name) ? text_from_plain(SPAN("document.pdf")) : b->name);
        jw_key(&c->w, "file_data");
        oc_put_data_url(c, &b->source);
    }
    jw_object_end(&c->w);
    jw_object_end(&c->w);
}

static void put_audio(struct oc_writing *c, const struct chat_block *b)
{
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, "input_audio");
    jw_key(&c->w, "input_audio");
    jw_object(&c->w);
    jw_key(&c->w, "data");
    jw_text(&c->w, b->source.data);
    jw_key(&c->w, "format");
    jw_str_raw(&c->w, b->detail);
    jw_object_end(&c->w);
    jw_object_end(&c->w);
}

/* Title, address, content, a line apart. */
void oc_put_text_document_part(struct oc_writing *c, const struct chat_block *b)
{
    if (!chat_text_empty(b->name)) {
        jw_text_part(&c->w, b->name);
        jw_part_raw(&c->w, SPAN("\\n"));
    }
    if (b->type == CHAT_SEARCH_RESULT && !chat_text_empty(b->source.data)) {
        jw_text_part(&c->w, b->source.data);
        jw_part_raw(&c->w, SPAN("\\n"));
    }
    if (b->type == CHAT_DOCUMENT && b->source.kind == CHAT_SOURCE_TEXT)
        jw_text_part(&c->w, b->source.data);
    const char *gap = "";
    for (const struct chat_block *k = b->content; k; k = k->next) {
        if (k->type != CHAT_TEXT)
            continue; /* images of it follow as parts */
        jw_part_raw(&c->w, span_from(gap));
        jw_text_part(&c->w, k->text);
        gap = "\\n";
    }
}

bool oc_is_text_document(const struct chat_block *b)
{
    return b->type == CHAT_SEARCH_RESULT ||
           (b->type == CHAT_DOCUMENT &&
            (b->source.kind == CHAT_SOURCE_TEXT || b->source.kind == CHAT_SOURCE_BLOCKS));
}

enum err oc_unfit(struct oc_writing *c, const struct chat_block *b, bool newest)
{
    if (newest) {
        const char *by = b->source.kind == CHAT_SOURCE_FILE  ? " given by file id"
                         : b->source.kind == CHAT_SOURCE_URL ? " given by URL"
                                                             : "";
        return problem(c->a, c->problem, ERR_UNSUPPORTED, SPAN("messages"),
                       "This target cannot take a part of type %s%s.", media_word(b), by);
    }
    oc_lossy(c, b->type == CHAT_IMAGE   ? LOSSY_IMAGE
                : b->type == CHAT_AUDIO ? LOSSY_AUDIO
                                        : LOSSY_DOCUMENT);
    return ERR_OK;
}

static enum err put_unfit(struct oc_writing *c, const struct chat_block *b, bool newest)
{
    enum err e = oc_unfit(c, b, newest);
    if (e != ERR_OK)
        return e;
    text_part_begin(c);
    oc_put_placeholder_part(c, b);
    text_part_end(c);
    return ERR_OK;
}

/* One block of a user message as parts; blocks of tool results are not for here. */
static enum err put_part(struct oc_writing *c, const struct chat_block *b, bool newest)
{
    oc_note_losses(c, b);
    if (b->type == CHAT_IMAGE && oc_image_fits(c, b)) {
        put_image(c, b);
    } else if (b->type == CHAT_DOCUMENT && oc_file_fits(c, b)) {
        put_file(c, b);
    } else if (b->type == CHAT_AUDIO && c->cap->audio) {
        put_audio(c, b);
    } else if (oc_is_text_document(b)) {
        text_part_begin(c);
        oc_put_text_document_part(c, b);
        text_part_end(c);
        for (const struct chat_block *k = b->content; k; k = k->next) {
            if (k->type != CHAT_IMAGE)
                continue;
            enum err e = put_part(c, k, newest);
            if (e != ERR_OK)
                return e;
        }
    } else if (b->type == CHAT_IMAGE || b->type == CHAT_DOCUMENT || b->type == CHAT_AUDIO) {
        return put_unfit(c, b, newest);
    }
    return ERR_OK;
}

static void put_text_block_part(struct oc_writing *c, const struct chat_block *b, bool folded)
{
    oc_note_losses(c, b);
    text_part_begin(c);
    if (folded)
        jw_part(&c->w, SPAN("[System message] "));
    jw_text_part(&c->w, b->text);
    text_part_end(c);
}

/* ---- tool results ---- */

/* Cannot stand in a tool message; follows in the user message. */
bool oc_moves_out(const struct chat_block *b)
{
    return b->type == CHAT_IMAGE || b->type == CHAT_AUDIO ||
           (b->type == CHAT_DOCUMENT && !oc_is_text_document(b));
}

void oc_put_result_text(struct oc_writing *c, const struct chat_block *result)
{
    const char *gap = "";
    for (const struct chat_block *k = result->content; k; k = k->next) {
        oc_note_losses(c, k);
        if (k->type == CHAT_OTHER)
            oc_lossy(c, LOSSY_OTHER);
        if (k->type != CHAT_TEXT && !oc_is_text_document(k) && !oc_moves_out(k))
            continue;
        jw_part_raw(&c->w, span_from(gap));
        gap = "\\n";
        if (k->type == CHAT_TEXT)
            jw_text_part(&c->w, k->text);
        else if (oc_moves_out(k))
            jw_part(&c->w, SPAN("[attached to the next user message]"));
        else
            oc_put_text_document_part(c, k);
    }
}

void oc_put_result_content(struct oc_writing *c, const struct chat_block *result)
{
    if (result->is_error) {
        oc_lossy(c, LOSSY_TOOL_ERROR);
        jw_part(&c->w, result->content ? SPAN("Error: ") : SPAN("Error"));
    }
    oc_put_result_text(c, result);
}

static void put_tool_message(struct oc_writing *c, const struct chat_block *result)
{
    oc_note_losses(c, result);
    put_role(c, "tool");
    jw_key(&c->w, "tool_call_id");
    jw_text(&c->w, oc_fit_tool_id(c, result->id));
    jw_key(&c->w, "content");
    jw_str_begin(&c->w);
    oc_put_result_content(c, result);
    jw_str_end(&c->w);
    jw_object_end(&c->w);
}

void oc_put_whose_part(struct oc_writing *c, const struct chat_block *result)
{
    jw_part(&c->w, SPAN("From the result of tool "));
    jw_text_part(&c->w, oc_tool_name_of(c, result->id));
    jw_part(&c->w, SPAN(":"));
}

/* The parts of one result that had to move, behind a line that says whose they are. */
static enum err put_moved_parts(struct oc_writing *c, const struct chat_block *result, bool newest)
{
    bool named = false;
    for (const struct chat_block *k = result->content; k; k = k->next) {
        if (!oc_moves_out(k))
            continue;
        if (!named) {
            text_part_begin(c);
            oc_put_whose_part(c, result);
            text_part_end(c);
        }
        named = true;
        if (k->type == CHAT_IMAGE)
            oc_lossy(c, LOSSY_TOOL_RESULT_IMAGE);
        enum err e = put_part(c, k, newest);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* ---- user ---- */

struct user_shape {                /* what a user run will come to */
    const struct chat_block *text; /* the last text block */
    size_t results, texts, others;
    bool folded; /* holds a system message that had to be folded in */
};

static struct user_shape user_shape(struct oc_writing *c, struct oc_run run)
{
    struct user_shape s = {0};
    EACH_BLOCK(run, m, b)
    {
        if (b->type == CHAT_TOOL_RESULT) {
            s.results++;
            for (const struct chat_block *k = b->content; k; k = k->next)
                s.others += oc_moves_out(k);
        } else if (b->type == CHAT_TEXT && !chat_text_empty(b->text)) {
            s.texts++;
            s.text = b;
            s.folded = s.folded || m->role == CHAT_SYSTEM;
        } else if (oc_moves_out(b) || oc_is_text_document(b)) {
            s.others++;
        } else if (b->type != CHAT_TEXT) {
            oc_lossy(c, b->type == CHAT_OTHER ? LOSSY_OTHER : LOSSY_SERVER_TOOL);
        }
    }
    return s;
}

static enum err put_user_parts(struct oc_writing *c, struct oc_run run)
{
    bool newest = !run.end;
    enum err e = ERR_OK;
    jw_array(&c->w);
    EACH_BLOCK(run, m, b)
    if (b->type == CHAT_TOOL_RESULT && e == ERR_OK)
        e = put_moved_parts(c, b, newest);
    EACH_BLOCK(run, m, b)
    {
        if (e != ERR_OK || b->type == CHAT_TOOL_RESULT)
            continue;
        if (b->type == CHAT_TEXT && !chat_text_empty(b->text))
            put_text_block_part(c, b, m->role == CHAT_SYSTEM);
        else
            e = put_part(c, b, newest);
    }
    jw_array_end(&c->w);
    return e;
}

static enum err put_user(struct oc_writing *c, struct oc_run run)
{
    struct user_shape s = user_shape(c, run);
    EACH_BLOCK(run, m, b)
    if (b->type == CHAT_TOOL_RESULT)
        put_tool_message(c, b);
    if (s.texts + s.others == 0 && s.results)
        return ERR_OK;
    if (s.results && c->cap->tool_id_nine) { /* Mistral: after tool speaks the assistant */
        put_role(c, "assistant");
        jw_key(&c->w, "content");
        jw_cstr(&c->w, "OK");
        jw_object_end(&c->w);
    }
    put_role(c, "user");
    put_name(c, run);
    jw_key(&c->w, "content");
    enum err e = ERR_OK;
    if (s.texts + s.others == 0) {
        jw_cstr(&c->w, "");
    } else if (s.texts == 1 && s.others == 0 && !s.folded) {
        oc_note_losses(c, s.text);
        jw_text(&c->w, s.text->text);
    } else {
        e = put_user_parts(c, run);
    }
    jw_object_end(&c->w);
    return e;
}

/* ---- assistant ---- */

/* Where models changed in the middle of a text it goes on as if they had not. */
static bool stands_for_nothing(const struct chat_block *b)
{
    return b->type == CHAT_OTHER && text_is(b->name, DIALECT_FALLBACK);
}

/* What a block says in words; empty when nothing. A compaction of Anthropic's stands for the
 * conversation before it, so its summary is said, not dropped. */
struct chat_text oc_spoken(struct oc_writing *c, const struct chat_block *b)
{
    struct json_doc doc;
    if (b->type == CHAT_TEXT || b->type == CHAT_REFUSAL)
        return b->text;
    if (b->type != CHAT_OTHER || !text_is(b->name, "compaction") ||
        json_parse(c->a, b->raw, &json_limits_default, &doc, NULL) != ERR_OK)
        return (struct chat_text){0};
    return text_of(json_get(json_root(&doc), "content"));
}

void oc_note_left_out(struct oc_writing *c, const struct chat_block *b)
{
    switch (b->type) {
    case CHAT_TEXT:
    case CHAT_REFUSAL:
        break;
    case CHAT_THINKING:
        if (!chat_text_empty(b->text)) /* else only its signature travelled */
            oc_lossy(c, LOSSY_THINKING);
        break;
    case CHAT_REDACTED_THINKING:
        oc_lossy(c, LOSSY_REDACTED_THINKING);
        break;
    case CHAT_SERVER_TOOL_USE: /* with their results, so no call is left without answer */
    case CHAT_SERVER_TOOL_RESULT:
        oc_lossy(c, LOSSY_SERVER_TOOL);
        break;
    default:
        oc_lossy(c, LOSSY_OTHER);
    }
}

/* Neighbouring text blocks are pieces of one text (citations cut it); a blank line stands where
 * something else stood, or another message began. */
static void put_assistant_text(struct oc_writing *c, struct oc_run run)
{
    const struct chat_block *last = NULL, *joins = NULL; /* joins: goes on behind such a mark */
    jw_str_begin(&c->w);
    EACH_BLOCK(run, m, b)
    {
        struct chat_text text = oc_spoken(c, b);
        oc_note_losses(c, b);
        if (stands_for_nothing(b) && last && last->next == b && last->type != CHAT_OTHER)
            joins = b->next;
        if (chat_text_empty(text))
            continue;
        if (last && b != joins && (last->next != b || last->type == CHAT_OTHER))
            jw_part_raw(&c->w, SPAN("\\n\\n"));
        jw_text_part(&c->w, text);
        last = b;
    }
    jw_str_end(&c->w);
}

static void put_reasoning(struct oc_writing *c, struct oc_run run)
{
    const char *gap = "";
    jw_key(&c->w, "reasoning_content");
    jw_str_begin(&c->w);
    EACH_BLOCK(run, m, b)
    {
        if (b->type != CHAT_THINKING || chat_text_empty(b->text))
            continue;
        jw_part_raw(&c->w, span_from(gap));
        jw_text_part(&c->w, b->text);
        gap = "\\n\\n";
    }
    jw_str_end(&c->w);
}

bool oc_is_custom_call(const struct oc_writing *c, const struct chat_block *b)
{
    return b->custom && c->cap->custom_tools;
}

struct chat_text oc_call_input(struct oc_writing *c, const struct chat_block *b)
{
    if (b->custom)
        return c->cap->custom_tools ? b->input : text_from_plain(free_text_wrap(c->a, b->input));
    return chat_text_empty(b->input) ? text_from_plain(SPAN("{}")) : b->input;
}

/* Arguments are the input's JSON text inside a string: raw is escaped, escaped goes as it is. */
static void put_tool_call(struct oc_writing *c, const struct chat_block *b)
{
    struct json_out *w = &c->w;
    bool custom = oc_is_custom_call(c, b);
    const char *kind = custom ? "custom" : "function";
    struct chat_text name = oc_tool_name(c->a, b->name, c->cap->tool_name_max);
    if (name.at.len != b->name.at.len)
        oc_lossy(c, LOSSY_TOOL_NAME);
    jw_object(w);
    jw_key(w, "id");
    jw_text(w, oc_fit_tool_id(c, b->id));
    jw_key(w, "type");
    jw_cstr(w, kind);
    jw_key(w, kind);
    jw_object(w);
    jw_key(w, "name");
    jw_text(w, name);
    jw_key(w, custom ? "input" : "arguments");
    jw_text(w, oc_call_input(c, b));
    jw_object_end(w);
    jw_object_end(w);
}

struct assistant_shape {
    size_t texts, calls, thoughts;
};

static struct assistant_shape assistant_shape(struct oc_writing *c, struct oc_run run)
{
    struct assistant_shape s = {0};
    EACH_BLOCK(run, m, b)
    {
        switch (b->type) {
        case CHAT_TEXT:
        case CHAT_REFUSAL:
            s.texts += !chat_text_empty(b->text);
            break;
        case CHAT_TOOL_USE:
            s.calls++;
            break;
        case CHAT_THINKING:
            if (c->cap->reasoning_replay)
                s.thoughts += !chat_text_empty(b->text);
            else
                oc_note_left_out(c, b);
            break;
        default:
            s.texts += !chat_text_empty(oc_spoken(c, b));
            if (!stands_for_nothing(b))
                oc_note_left_out(c, b);
        }
    }
    return s;
}

static void put_assistant(struct oc_writing *c, struct oc_run run)
{
    struct assistant_shape s = assistant_shape(c, run);
    if (s.texts + s.calls == 0)
        return; /* nothing is left that this format could hold */
    c->prefilled = !run.end && s.calls == 0;
    if (c->prefilled && !c->cap->prefill)
        oc_lossy(c, LOSSY_PREFILL);
    put_role(c, "assistant");
    if (c->prefilled && c->cap->prefill && c->cap->tool_id_nine) {
        jw_key(&c->w, "prefix"); /* Mistral refuses a last assistant message without it */
        jw_bool(&c->w, true);
    }
    put_name(c, run);
    if (s.thoughts)
        put_reasoning(c, run);
    jw_key(&c->w, "content");
    if (s.texts)
        put_assistant_text(c, run);
    else
        jw_null(&c->w);
    if (s.calls) {
        jw_key(&c->w, "tool_calls");
        jw_array(&c->w);
        EACH_BLOCK(run, m, b)
        if (b->type == CHAT_TOOL_USE)
            put_tool_call(c, b);
        jw_array_end(&c->w);
    }
    jw_object_end(&c->w);
}

/* A trailing assistant message is a closed turn to a target that does not continue it: a user turn
 * asks it to go on. */
static void put_go_on(struct oc_writing *c)
{
    if (!c->prefilled || c->cap->prefill)
        return;
    put_role(c, "user");
    jw_key(&c->w, "content");
    jw_cstr(&c->w, DIALECT_GO_ON);
    jw_object_end(&c->w);
}

/* ---- all of them ---- */

/* A system text in the middle goes into the user turn where the target's template has no place for
 * it. */
enum chat_role oc_role_here(const struct oc_writing *c, const struct chat_message *m, bool leading)
{
    return m->role == CHAT_SYSTEM && !leading && !c->cap->mid_system ? CHAT_USER : m->role;
}

struct oc_run oc_next_run(const struct oc_writing *c, const struct chat_message *from, bool leading)
{
    enum chat_role role = oc_role_here(c, from, leading);
    const struct chat_message *end = from->next;
    /* A participant's name belongs to its own message. */
    while (end && oc_role_here(c, end, leading && end->role == CHAT_SYSTEM) == role &&
           chat_text_empty(from->name) && chat_text_empty(end->name))
        end = end->next;
    return (struct oc_run){from, end};
}

enum err oc_write_messages(struct oc_writing *c)
{
    enum err e = ERR_OK;
    bool leading = true;
    jw_key(&c->w, "messages");
    jw_array(&c->w);
    if (c->schema_in_system && c->r->messages->role != CHAT_SYSTEM)
        put_system(c, (struct oc_run){NULL, NULL}, true);
    for (const struct chat_message *m = c->r->messages; m && e == ERR_OK;) {
        leading = leading && m->role == CHAT_SYSTEM;
        struct oc_run run = oc_next_run(c, m, leading);
        switch (oc_role_here(c, m, leading)) {
        case CHAT_SYSTEM:
            put_system(c, run, leading);
            break;
        case CHAT_USER:
            if (m->role == CHAT_SYSTEM)
                oc_lossy(c, LOSSY_SYSTEM_ORDER);
            e = put_user(c, run);
            break;
        case CHAT_ASSISTANT:
            c->last_calls = m;
            put_assistant(c, run);
            break;
        }
        m = run.end;
    }
    put_go_on(c);
    jw_array_end(&c->w);
    return e;
}
