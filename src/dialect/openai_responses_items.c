/* The input items of a Responses body, written from messages.
 *
 * Each block is an item or a part of one, in the order they stand in; texts in a row are one
 * message. Outputs of calls may hold pictures here, which chat cannot. Thinking is left out: a
 * model takes back only what it encrypted itself, and that stands in items of this dialect's own,
 * which go on as they came. */
#include "dialect/openai_responses_internal.h"

#include "base/span.h"

static void item(struct oc_writing *c, const char *type)
{
    jw_object(&c->w);
    jw_key(&c->w, "type");
    jw_cstr(&c->w, type);
}

/* ---- parts ---- */

static void text_part_begin(struct oc_writing *c)
{
    item(c, "input_text");
    jw_key(&c->w, "text");
    jw_str_begin(&c->w);
}

static void text_part_end(struct oc_writing *c)
{
    jw_str_end(&c->w);
    jw_object_end(&c->w);
}

static void put_image(struct oc_writing *c, const struct chat_block *b)
{
    item(c, "input_image");
    jw_key(&c->w, "image_url");
    if (b->source.kind == CHAT_SOURCE_BASE64)
        oc_put_data_url(c, &b->source);
    else
        jw_text(&c->w, b->source.data);
    if (b->detail.len) {
        jw_key(&c->w, "detail");
        jw_str_raw(&c->w, b->detail);
    }
    jw_object_end(&c->w);
}

static void put_file(struct oc_writing *c, const struct chat_block *b)
{
    item(c, "input_file");
    if (b->source.kind == CHAT_SOURCE_FILE || b->source.kind == CHAT_SOURCE_URL) {
        jw_key(&c->w, b->source.kind == CHAT_SOURCE_URL ? "file_url" : "file_id");
        jw_text(&c->w, b->source.data);
    } else {
        jw_key(&c->w, "filename");
        jw_text(&c->w, chat_text_empty(b->name) ? text_from_plain(SPAN("document.pdf")) : b->name);
        jw_key(&c->w, "file_data");
        oc_put_data_url(c, &b->source);
    }
    jw_object_end(&c->w);
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

static bool file_fits(const struct oc_writing *c, const struct chat_block *b)
{
    return oc_file_fits(c, b) || (c->cap->pdf && b->source.kind == CHAT_SOURCE_URL);
}

static enum err put_part(struct oc_writing *c, const struct chat_block *b, bool newest);

static enum err put_text_document(struct oc_writing *c, const struct chat_block *b, bool newest)
{
    enum err e = ERR_OK;
    text_part_begin(c);
    oc_put_text_document_part(c, b);
    text_part_end(c);
    for (const struct chat_block *k = b->content; k && e == ERR_OK; k = k->next)
        if (k->type == CHAT_IMAGE)
            e = put_part(c, k, newest);
    return e;
}

/* One block as parts of a user message or of an output. */
static enum err put_part(struct oc_writing *c, const struct chat_block *b, bool newest)
{
    oc_note_losses(c, b);
    switch (b->type) {
    case CHAT_TEXT:
        if (chat_text_empty(b->text))
            return ERR_OK;
        text_part_begin(c);
        jw_text_part(&c->w, b->text);
        text_part_end(c);
        return ERR_OK;
    case CHAT_IMAGE:
        if (!oc_image_fits(c, b))
            return put_unfit(c, b, newest);
        put_image(c, b);
        return ERR_OK;
    case CHAT_DOCUMENT:
    case CHAT_SEARCH_RESULT:
        if (oc_is_text_document(b))
            return put_text_document(c, b, newest);
        if (!file_fits(c, b))
            return put_unfit(c, b, newest);
        put_file(c, b);
        return ERR_OK;
    case CHAT_AUDIO:
        return put_unfit(c, b, newest);
    default:
        oc_lossy(c, b->type == CHAT_OTHER ? LOSSY_OTHER : LOSSY_SERVER_TOOL);
        return ERR_OK;
    }
}

/* ---- outputs of calls ---- */

static enum err put_output_parts(struct oc_writing *c, const struct chat_block *result, bool newest)
{
    enum err e = ERR_OK;
    jw_array(&c->w);
    if (result->is_error) {
        oc_lossy(c, LOSSY_TOOL_ERROR);
        text_part_begin(c);
        jw_part(&c->w, SPAN("Error:"));
        text_part_end(c);
    }
    for (const struct chat_block *k = result->content; k && e == ERR_OK; k = k->next)
        e = put_part(c, k, newest);
    jw_array_end(&c->w);
    return e;
}

static enum err put_output(struct oc_writing *c, const struct chat_block *result, bool newest)
{
    const struct chat_block *call = oc_call_of(c, result->id);
    bool parts = false;
    for (const struct chat_block *k = result->content; k; k = k->next)
        parts = parts || oc_moves_out(k);
    oc_note_losses(c, result);
    item(c,
         call && oc_is_custom_call(c, call) ? "custom_tool_call_output" : "function_call_output");
    jw_key(&c->w, "call_id");
    jw_text(&c->w, oc_fit_tool_id(c, result->id));
    jw_key(&c->w, "output");
    enum err e = ERR_OK;
    if (parts) {
        e = put_output_parts(c, result, newest);
    } else {
        jw_str_begin(&c->w);
        oc_put_result_content(c, result);
        jw_str_end(&c->w);
    }
    jw_object_end(&c->w);
    return e;
}

/* ---- messages ---- */

static void message_begin(struct oc_writing *c, const char *role)
{
    item(c, "message");
    jw_key(&c->w, "role");
    jw_cstr(&c->w, role);
    jw_key(&c->w, "content");
}

static enum err put_user(struct oc_writing *c, const struct chat_message *m)
{
    enum err e = ERR_OK;
    bool any = false, newest = !m->next;
    for (const struct chat_block *b = m->blocks; b && e == ERR_OK; b = b->next) {
        if (b->type == CHAT_TOOL_RESULT)
            e = put_output(c, b, newest);
        else
            any = true;
    }
    if (e != ERR_OK || !any)
        return e;
    message_begin(c, "user");
    jw_array(&c->w);
    for (const struct chat_block *b = m->blocks; b && e == ERR_OK; b = b->next)
        if (b->type != CHAT_TOOL_RESULT)
            e = put_part(c, b, newest);
    jw_array_end(&c->w);
    jw_object_end(&c->w);
    return e;
}

static void put_system(struct oc_writing *c, const struct chat_message *m)
{
    bool any = false;
    for (const struct chat_block *b = m->blocks; b; b = b->next) {
        oc_note_losses(c, b);
        if (b->type != CHAT_TEXT)
            oc_lossy(c, LOSSY_OTHER);
        if (!oc_system_text(b, false))
            continue;
        if (!any) {
            message_begin(c, c->cap->developer_role ? "developer" : "system");
            jw_array(&c->w);
        }
        any = true;
        text_part_begin(c);
        jw_text_part(&c->w, b->text);
        text_part_end(c);
    }
    if (!any)
        return;
    jw_array_end(&c->w);
    jw_object_end(&c->w);
}

static void put_call(struct oc_writing *c, const struct chat_block *b)
{
    bool custom = oc_is_custom_call(c, b);
    item(c, custom ? "custom_tool_call" : "function_call");
    jw_key(&c->w, "call_id");
    jw_text(&c->w, oc_fit_tool_id(c, b->id));
    jw_key(&c->w, "name");
    oc_put_tool_name(c, b->name);
    jw_key(&c->w, custom ? "input" : "arguments");
    jw_text(&c->w, oc_call_input(c, b));
    jw_object_end(&c->w);
}

/* Text blocks in a row are pieces of one text. Returns the last of them. */
static const struct chat_block *put_text(struct oc_writing *c, const struct chat_block *b)
{
    message_begin(c, "assistant");
    jw_str_begin(&c->w);
    for (;; b = b->next) {
        oc_note_losses(c, b);
        jw_text_part(&c->w, oc_spoken(c, b));
        if (!b->next || chat_text_empty(oc_spoken(c, b->next)))
            break;
    }
    jw_str_end(&c->w);
    jw_object_end(&c->w);
    return b;
}

static void put_assistant(struct oc_writing *c, const struct chat_message *m, bool own)
{
    bool speaks = false;
    for (const struct chat_block *b = m->blocks; b; b = b->next) {
        if (b->type == CHAT_TOOL_USE) {
            put_call(c, b);
            speaks = false;
        } else if (!chat_text_empty(oc_spoken(c, b))) {
            b = put_text(c, b);
            speaks = true;
        } else if (own && b->raw.len) {
            jw_raw(&c->w, b->raw);
        } else {
            oc_note_left_out(c, b);
        }
    }
    c->prefilled = !m->next && speaks;
}

/* A last turn of the assistant's is over, to this API: a user turn asks to go on. */
static void put_go_on(struct oc_writing *c)
{
    if (!c->prefilled || c->cap->prefill)
        return;
    oc_lossy(c, LOSSY_PREFILL);
    message_begin(c, "user");
    jw_cstr(&c->w, DIALECT_GO_ON);
    jw_object_end(&c->w);
}

/* A request of system texts alone has input all the same, since it may not be empty. */
const struct chat_message *or_first_of_input(const struct chat_request *r)
{
    const struct chat_message *m = r->messages;
    while (m && m->role == CHAT_SYSTEM)
        m = m->next;
    return m ? m : r->messages;
}

enum err or_write_items(struct oc_writing *c)
{
    enum err e = ERR_OK;
    bool own = c->r->origin && strcmp(c->r->origin, dialect_openai_responses.name) == 0;
    const struct chat_message *m = or_first_of_input(c->r);
    jw_key(&c->w, "input");
    jw_array(&c->w);
    for (enum chat_role before = CHAT_SYSTEM; m && e == ERR_OK; before = m->role, m = m->next) {
        if (m->role == CHAT_ASSISTANT && before != CHAT_ASSISTANT)
            c->last_calls = m;
        if (m->role == CHAT_USER)
            e = put_user(c, m);
        else if (m->role == CHAT_SYSTEM)
            put_system(c, m);
        else
            put_assistant(c, m, own);
    }
    put_go_on(c);
    jw_array_end(&c->w);
    return e;
}
