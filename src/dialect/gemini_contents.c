/* systemInstruction and contents of a generateContent body.
 *
 * Two roles, user and model, in turns. The answers to a turn's calls stand alone in the content
 * behind it: Google counts them against the calls. So a user run with results gives two contents,
 * and what a functionResponse cannot hold (pictures, PDF) follows with the user's own parts.
 *
 * Signatures: Gemini 3 signs the first call of each step and refuses it later without. The
 * signature came to the client as that of a thinking block in front of the part it belongs to;
 * here the block gives it back to that part and is not sent itself. */
#include "dialect/gemini_internal.h"

#include "base/span.h"

static const char first_turn[] = "(The assistant opens this conversation.)";

static void content_begin(struct oc_writing *c, const char *role)
{
    jw_object(&c->w);
    jw_key(&c->w, "role");
    jw_cstr(&c->w, role);
    jw_key(&c->w, "parts");
    jw_array(&c->w);
}

static void content_end(struct oc_writing *c)
{
    jw_array_end(&c->w);
    jw_object_end(&c->w);
}

static void text_begin(struct oc_writing *c)
{
    jw_object(&c->w);
    jw_key(&c->w, "text");
    jw_str_begin(&c->w);
}

static void text_end(struct oc_writing *c)
{
    jw_str_end(&c->w);
    jw_object_end(&c->w);
}

static void put_plain_text(struct oc_writing *c, const char *text)
{
    text_begin(c);
    jw_part(&c->w, span_from(text));
    text_end(c);
}

/* ---- media ---- */

/* MIME type of inlineData; empty: it cannot be sent. */
static struct chat_text inline_type(const struct oc_writing *c, const struct chat_block *b)
{
    static const struct chat_text none = {0};
    if (b->source.kind != CHAT_SOURCE_BASE64)
        return none;
    if (b->type == CHAT_IMAGE)
        return c->cap->images ? b->source.media_type : none;
    if (b->type == CHAT_DOCUMENT)
        return c->cap->pdf && text_is(b->source.media_type, "application/pdf")
                   ? b->source.media_type
                   : none;
    if (!c->cap->audio)
        return none;
    return span_is(b->detail, "mp3") ? CHAT_TEXT_LIT("audio/mp3") : CHAT_TEXT_LIT("audio/wav");
}

static enum err put_media(struct oc_writing *c, const struct chat_block *b, bool newest)
{
    struct chat_text type = inline_type(c, b);
    if (chat_text_empty(type)) {
        enum err e = oc_unfit(c, b, newest);
        if (e != ERR_OK)
            return e;
        text_begin(c);
        oc_put_placeholder_part(c, b);
        text_end(c);
        return ERR_OK;
    }
    jw_object(&c->w);
    jw_key(&c->w, "inlineData");
    jw_object(&c->w);
    jw_key(&c->w, "mimeType");
    jw_text(&c->w, type);
    jw_key(&c->w, "data");
    jw_text(&c->w, b->source.data);
    jw_object_end(&c->w);
    jw_object_end(&c->w);
    return ERR_OK;
}

/* ---- user ---- */

/* One block of a user's as parts; nothing for what has none. */
static enum err put_user_block(struct oc_writing *c, const struct chat_block *b, bool folded,
                               bool newest)
{
    enum err e = ERR_OK;
    oc_note_losses(c, b);
    if (b->type == CHAT_TEXT && !chat_text_empty(b->text)) {
        text_begin(c);
        if (folded) {
            oc_lossy(c, LOSSY_SYSTEM_ORDER);
            jw_part(&c->w, SPAN("[System message] "));
        }
        jw_text_part(&c->w, b->text);
        text_end(c);
    } else if (oc_is_text_document(b)) {
        text_begin(c);
        oc_put_text_document_part(c, b);
        text_end(c);
        for (const struct chat_block *k = b->content; k && e == ERR_OK; k = k->next)
            if (k->type == CHAT_IMAGE)
                e = put_media(c, k, newest);
    } else if (oc_moves_out(b)) {
        e = put_media(c, b, newest);
    } else if (b->type != CHAT_TEXT) {
        oc_lossy(c, b->type == CHAT_OTHER ? LOSSY_OTHER : LOSSY_SERVER_TOOL);
    }
    return e;
}

static void put_response(struct oc_writing *c, const struct chat_block *result)
{
    struct json_out *w = &c->w;
    oc_note_losses(c, result);
    jw_object(w);
    jw_key(w, "functionResponse");
    jw_object(w);
    jw_key(w, "id");
    jw_text(w, result->id);
    jw_key(w, "name");
    oc_put_tool_name(c, oc_tool_name_of(c, result->id));
    jw_key(w, "response");
    jw_object(w);
    jw_key(w, result->is_error ? "error" : "output");
    jw_str_begin(w);
    oc_put_result_text(c, result);
    jw_str_end(w);
    jw_object_end(w);
    jw_object_end(w);
    jw_object_end(w);
}

/* What the results could not hold, behind a line that says whose it is. */
static enum err put_moved(struct oc_writing *c, const struct chat_block *result, bool newest)
{
    enum err e = ERR_OK;
    bool named = false;
    for (const struct chat_block *k = result->content; k && e == ERR_OK; k = k->next) {
        if (!oc_moves_out(k))
            continue;
        if (!named) {
            text_begin(c);
            oc_put_whose_part(c, result);
            text_end(c);
        }
        named = true;
        if (k->type == CHAT_IMAGE)
            oc_lossy(c, LOSSY_TOOL_RESULT_IMAGE);
        e = put_media(c, k, newest);
    }
    return e;
}

struct shape {
    size_t results, parts;
};

static struct shape user_shape(struct oc_run run)
{
    struct shape s = {0};
    EACH_BLOCK(run, m, b)
    {
        bool result = b->type == CHAT_TOOL_RESULT;
        s.results += result;
        s.parts += (b->type == CHAT_TEXT && !chat_text_empty(b->text)) || oc_moves_out(b) ||
                   oc_is_text_document(b);
        for (const struct chat_block *k = result ? b->content : NULL; k; k = k->next)
            s.parts += oc_moves_out(k);
    }
    return s;
}

static enum err put_user(struct oc_writing *c, struct oc_run run)
{
    struct shape s = user_shape(run);
    enum err e = ERR_OK;
    if (s.results) {
        content_begin(c, "user");
        EACH_BLOCK(run, m, b)
        if (b->type == CHAT_TOOL_RESULT)
            put_response(c, b);
        content_end(c);
    }
    if (s.parts == 0 && s.results)
        return ERR_OK;
    content_begin(c, "user");
    EACH_BLOCK(run, m, b)
    if (b->type == CHAT_TOOL_RESULT && e == ERR_OK)
        e = put_moved(c, b, !run.end);
    EACH_BLOCK(run, m, b)
    if (b->type != CHAT_TOOL_RESULT && e == ERR_OK)
        e = put_user_block(c, b, m->role == CHAT_SYSTEM, !run.end);
    if (s.parts == 0)
        put_plain_text(c, "");
    content_end(c);
    return e;
}

/* ---- model ---- */

static bool signs(const struct chat_block *b, struct chat_text *out)
{
    if (b->type != CHAT_THINKING || !span_starts(b->signature.at, SPAN(GEMINI_SIGNATURE)))
        return false;
    *out = (struct chat_text){span_drop(b->signature.at, strlen(GEMINI_SIGNATURE)),
                              b->signature.escaped};
    return true;
}

static void put_signature(struct oc_writing *c, struct chat_text *signature)
{
    if (chat_text_empty(*signature))
        return;
    jw_key(&c->w, "thoughtSignature");
    jw_text(&c->w, *signature);
    *signature = (struct chat_text){0};
}

static void put_call(struct oc_writing *c, const struct chat_block *b, struct chat_text *signature,
                     bool first)
{
    struct json_out *w = &c->w;
    if (first && chat_text_empty(*signature) && c->cap->signed_calls) {
        *signature = text_from_plain(SPAN(GEMINI_UNSIGNED));
        oc_lossy(c, LOSSY_THINKING);
    }
    jw_object(w);
    jw_key(w, "functionCall");
    jw_object(w);
    jw_key(w, "id");
    jw_text(w, b->id);
    jw_key(w, "name");
    oc_put_tool_name(c, b->name);
    jw_key(w, "args");
    if (!jw_tool_input(w, c->a, oc_call_input(c, b)))
        c->out->has_unparsed_tool_input = true;
    jw_object_end(w);
    put_signature(c, signature);
    jw_object_end(w);
}

static size_t model_parts(struct oc_writing *c, struct oc_run run)
{
    size_t n = 0;
    EACH_BLOCK(run, m, b)
    n += b->type == CHAT_TOOL_USE || !chat_text_empty(oc_spoken(c, b));
    return n;
}

/* A turn with a signature of Gemini's is Gemini's: its thoughts are in there. */
static bool is_geminis(struct oc_run run)
{
    struct chat_text signature;
    EACH_BLOCK(run, m, b)
    if (signs(b, &signature))
        return true;
    return false;
}

static void put_model(struct oc_writing *c, struct oc_run run)
{
    struct chat_text signature = {0};
    size_t calls = 0, parts = model_parts(c, run);
    bool own = is_geminis(run);
    if (parts > 0)
        content_begin(c, "model");
    EACH_BLOCK(run, m, b)
    {
        struct chat_text text = oc_spoken(c, b);
        oc_note_losses(c, b);
        if (signs(b, &signature))
            continue;
        if (b->type == CHAT_TOOL_USE) {
            put_call(c, b, &signature, calls++ == 0);
            continue;
        }
        if (b->type != CHAT_THINKING || !own)
            oc_note_left_out(c, b);
        if (chat_text_empty(text))
            continue;
        jw_object(&c->w);
        jw_key(&c->w, "text");
        jw_text(&c->w, text);
        put_signature(c, &signature);
        jw_object_end(&c->w);
    }
    if (parts > 0)
        content_end(c);
    c->prefilled = !run.end && parts > 0 && calls == 0;
}

/* ---- all of them ---- */

/* A model turn at the end is refused by Gemini 3 and no beginning to older ones: a user turn asks
 * to go on. */
static void put_go_on(struct oc_writing *c)
{
    if (!c->prefilled)
        return;
    oc_lossy(c, LOSSY_PREFILL);
    content_begin(c, "user");
    put_plain_text(c, DIALECT_GO_ON);
    content_end(c);
}

/* The leading system texts; returns what follows them. */
static const struct chat_message *put_system(struct oc_writing *c)
{
    const struct chat_message *m = c->r->messages;
    struct oc_run run = {m, m};
    if (m && m->role == CHAT_SYSTEM)
        run = oc_next_run(c, m, true);
    if (oc_has_system_text(c, run, true)) {
        jw_key(&c->w, "systemInstruction");
        jw_object(&c->w);
        jw_key(&c->w, "parts");
        jw_array(&c->w);
        jw_object(&c->w);
        jw_key(&c->w, "text");
        oc_put_system_text(c, run, true);
        jw_object_end(&c->w);
        jw_array_end(&c->w);
        jw_object_end(&c->w);
    }
    return run.end;
}

enum err gemini_write_contents(struct oc_writing *c)
{
    enum err e = ERR_OK;
    const struct chat_message *m = put_system(c);
    jw_key(&c->w, "contents");
    jw_array(&c->w);
    if (!m || m->role == CHAT_ASSISTANT) {
        oc_lossy(c, LOSSY_FIRST_TURN);
        content_begin(c, "user");
        put_plain_text(c, first_turn);
        content_end(c);
    }
    while (m && e == ERR_OK) {
        struct oc_run run = oc_next_run(c, m, false);
        if (oc_role_here(c, m, false) == CHAT_ASSISTANT) {
            c->last_calls = m;
            put_model(c, run);
        } else {
            e = put_user(c, run);
        }
        m = run.end;
    }
    put_go_on(c);
    jw_array_end(&c->w);
    return e;
}
