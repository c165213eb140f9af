/* System and messages of a Converse body, written from canonical ones.
 *
 * Converse wants turns that alternate and begin with the user's, no empty list and no blank text,
 * and a text beside every document. So a run of messages of one role becomes one turn; in a user's
 * the results of tools come first, then what they cannot hold, then the user's own blocks. */
#include "dialect/bedrock_converse_internal.h"

#include "base/span.h"

#define TOOL_ID_MAX 64
#define DOCUMENT_NAME_MAX 200

struct turn { /* of the user, while it is written */
    struct oc_writing *c;
    bool newest, any, any_text;
    uint32_t documents;
};

/* ---- blocks ---- */

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

static void put_words(struct oc_writing *c, const char *words)
{
    text_begin(c);
    jw_part(&c->w, span_from(words));
    text_end(c);
}

/* {"KEY": {"format": ..., left open for a name; media_end closes it. */
static void media_begin(struct oc_writing *c, const char *key, const char *format)
{
    jw_object(&c->w);
    jw_key(&c->w, key);
    jw_object(&c->w);
    jw_key(&c->w, "format");
    jw_cstr(&c->w, format);
}

static void media_end(struct oc_writing *c, const struct chat_block *b)
{
    jw_key(&c->w, "source");
    jw_object(&c->w);
    jw_key(&c->w, "bytes");
    jw_text(&c->w, b->source.data);
    jw_object_end(&c->w);
    jw_object_end(&c->w);
    jw_object_end(&c->w);
}

/* NULL: Converse has no word for it. */
static const char *image_format(const struct chat_block *b)
{
    static const struct {
        const char *type, *format;
    } rows[] = {{"image/png", "png"},
                {"image/jpeg", "jpeg"},
                {"image/jpg", "jpeg"},
                {"image/gif", "gif"},
                {"image/webp", "webp"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (text_is(b->source.media_type, rows[i].type))
            return rows[i].format;
    return NULL;
}

static bool image_fits(const struct oc_writing *c, const struct chat_block *b)
{
    return b->type == CHAT_IMAGE && oc_image_fits(c, b) && image_format(b);
}

/* Letters, digits, single blanks, hyphens and brackets are allowed in a document's name, and no
 * name may come twice: its number is in front. */
static struct span document_name(struct turn *t, const struct chat_block *b)
{
    struct oc_writing *c = t->c;
    struct span given = span_take(text_plain(c->a, b->name), DOCUMENT_NAME_MAX / 2);
    char *kept = arena_alloc(c->a, given.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < given.len; i++) {
        char ch = given.at[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                      (ch >= '0' && ch <= '9') || strchr("-()[]", ch ? ch : ' ');
        if (letter)
            kept[len++] = ch;
        else if (len > 0 && kept[len - 1] != ' ')
            kept[len++] = ' ';
    }
    struct span name = span_trim((struct span){kept, len});
    return arena_printf(c->a, "Document %u%s%.*s", ++t->documents, name.len ? " " : "",
                        SPAN_FMT(name));
}

static void put_document(struct turn *t, const struct chat_block *b)
{
    media_begin(t->c, "document", "pdf");
    jw_key(&t->c->w, "name");
    jw_str(&t->c->w, document_name(t, b));
    media_end(t->c, b);
    t->any = true;
}

static void put_image(struct turn *t, const struct chat_block *b)
{
    media_begin(t->c, "image", image_format(b));
    media_end(t->c, b);
    t->any = true;
}

static void put_text_document(struct turn *t, const struct chat_block *b)
{
    text_begin(t->c);
    jw_part(&t->c->w, SPAN("[Document]\n")); /* an empty one is no blank text */
    oc_put_text_document_part(t->c, b);
    text_end(t->c);
    t->any = t->any_text = true;
}

static enum err put_unfit(struct turn *t, const struct chat_block *b)
{
    enum err e = oc_unfit(t->c, b, t->newest);
    if (e != ERR_OK)
        return e;
    text_begin(t->c);
    oc_put_placeholder_part(t->c, b);
    text_end(t->c);
    t->any = t->any_text = true;
    return ERR_OK;
}

/* An image, document or recording; not a text. */
static enum err put_medium(struct turn *t, const struct chat_block *b)
{
    enum err e = ERR_OK;
    oc_note_losses(t->c, b);
    if (image_fits(t->c, b)) {
        put_image(t, b);
    } else if (b->type == CHAT_DOCUMENT && oc_file_fits(t->c, b)) {
        put_document(t, b);
    } else if (oc_is_text_document(b)) {
        put_text_document(t, b);
        for (const struct chat_block *k = b->content; k && e == ERR_OK; k = k->next)
            if (k->type == CHAT_IMAGE)
                e = put_medium(t, k);
    } else if (oc_moves_out(b)) {
        return put_unfit(t, b);
    } else if (b->type != CHAT_TEXT) {
        oc_lossy(t->c, b->type == CHAT_OTHER ? LOSSY_OTHER : LOSSY_SERVER_TOOL);
    }
    return e;
}

/* ---- results of tools ---- */

static struct chat_text tool_id(struct oc_writing *c, struct chat_text id)
{
    struct chat_text fits = tool_id_fit(c->a, id);
    return fits.at.len <= TOOL_ID_MAX ? fits : oc_fit_tool_id(c, fits);
}

/* Only what a result may hold stays in it: texts, and images where the model takes them there. */
static bool stays_inside(const struct oc_writing *c, const struct chat_block *b)
{
    return b->type == CHAT_TEXT || oc_is_text_document(b) ||
           (c->cap->rich_results && image_fits(c, b));
}

static void put_result_block(struct turn *t, const struct chat_block *b)
{
    struct oc_writing *c = t->c;
    oc_note_losses(c, b);
    if (b->type == CHAT_IMAGE)
        put_image(t, b);
    else if (oc_is_text_document(b))
        put_text_document(t, b);
    else if (!text_blank(b->text)) {
        text_begin(c);
        jw_text_part(&c->w, b->text);
        text_end(c);
        t->any = true;
    }
}

static void put_result(struct turn *turn, const struct chat_block *result)
{
    struct oc_writing *c = turn->c;
    struct turn inside = {.c = c, .newest = turn->newest};
    bool tells = result->is_error && c->cap->rich_results;
    oc_note_losses(c, result);
    jw_object(&c->w);
    jw_key(&c->w, "toolResult");
    jw_object(&c->w);
    jw_key(&c->w, "toolUseId");
    jw_text(&c->w, tool_id(c, result->id));
    jw_key(&c->w, "content");
    jw_array(&c->w);
    if (result->is_error && !tells) {
        oc_lossy(c, LOSSY_TOOL_ERROR);
        put_words(c, "Error:");
        inside.any = true;
    }
    for (const struct chat_block *k = result->content; k; k = k->next) {
        if (stays_inside(c, k))
            put_result_block(&inside, k);
        else if (k->type == CHAT_OTHER)
            oc_lossy(c, LOSSY_OTHER);
    }
    if (!inside.any)
        put_words(c, "(no output)");
    jw_array_end(&c->w);
    if (tells) {
        jw_key(&c->w, "status");
        jw_cstr(&c->w, "error");
    }
    jw_object_end(&c->w);
    jw_object_end(&c->w);
    turn->any = true;
}

/* What a result could not hold follows the results. */
static enum err put_moved(struct turn *t, const struct chat_block *result)
{
    enum err e = ERR_OK;
    for (const struct chat_block *k = result->content; k && e == ERR_OK; k = k->next) {
        if (stays_inside(t->c, k) || !oc_moves_out(k))
            continue;
        if (k->type == CHAT_IMAGE)
            oc_lossy(t->c, LOSSY_TOOL_RESULT_IMAGE);
        e = put_medium(t, k);
    }
    return e;
}

/* ---- the user's turn ---- */

static void put_user_text(struct turn *t, const struct chat_block *b, bool folded)
{
    struct oc_writing *c = t->c;
    oc_note_losses(c, b);
    if (text_blank(b->text))
        return;
    text_begin(c);
    if (folded)
        jw_part(&c->w, SPAN("[System message] "));
    jw_text_part(&c->w, b->text);
    text_end(c);
    t->any = t->any_text = true;
}

static void turn_begin(struct oc_writing *c, const char *role)
{
    jw_object(&c->w);
    jw_key(&c->w, "role");
    jw_cstr(&c->w, role);
    jw_key(&c->w, "content");
    jw_array(&c->w);
}

static void turn_end(struct oc_writing *c)
{
    jw_array_end(&c->w);
    jw_object_end(&c->w);
}

static enum err put_user(struct oc_writing *c, struct oc_run run)
{
    struct turn t = {.c = c, .newest = !run.end};
    enum err e = ERR_OK;
    turn_begin(c, "user");
    EACH_BLOCK(run, m, b)
    if (b->type == CHAT_TOOL_RESULT)
        put_result(&t, b);
    EACH_BLOCK(run, m, b)
    if (b->type == CHAT_TOOL_RESULT && e == ERR_OK)
        e = put_moved(&t, b);
    EACH_BLOCK(run, m, b)
    {
        if (m->role == CHAT_SYSTEM) /* one in the middle */
            oc_lossy(c, LOSSY_SYSTEM_ORDER);
        if (b->type == CHAT_TEXT)
            put_user_text(&t, b, m->role == CHAT_SYSTEM);
        else if (b->type != CHAT_TOOL_RESULT && e == ERR_OK)
            e = put_medium(&t, b);
    }
    if (t.documents > 0 && !t.any_text)
        put_words(c, "The document is attached.");
    else if (!t.any)
        put_words(c, "(empty)");
    turn_end(c);
    return e;
}

/* ---- the assistant's turn ---- */

static bool is_signed(const struct chat_block *b)
{
    return b->type == CHAT_THINKING && !chat_text_empty(b->text) &&
           span_starts(b->signature.at, SPAN(CONVERSE_SIGNATURE));
}

/* What a model of this format signed it wants to see again; unsigned thinking it does not take. */
static void put_thinking(struct oc_writing *c, const struct chat_block *b)
{
    struct json_out *w = &c->w;
    struct chat_text mine = {span_drop(b->signature.at, strlen(CONVERSE_SIGNATURE)),
                             b->signature.escaped};
    jw_object(w);
    jw_key(w, "reasoningContent");
    jw_object(w);
    jw_key(w, "reasoningText");
    jw_object(w);
    jw_key(w, "text");
    jw_text(w, b->text);
    jw_key(w, "signature");
    jw_text(w, mine);
    jw_object_end(w);
    jw_object_end(w);
    jw_object_end(w);
}

static void put_call(struct oc_writing *c, const struct chat_block *b)
{
    struct json_out *w = &c->w;
    jw_object(w);
    jw_key(w, "toolUse");
    jw_object(w);
    jw_key(w, "toolUseId");
    jw_text(w, tool_id(c, b->id));
    jw_key(w, "name");
    oc_put_tool_name(c, b->name);
    jw_key(w, "input");
    if (!jw_tool_input(w, c->a, oc_call_input(c, b)))
        c->out->has_unparsed_tool_input = true;
    jw_object_end(w);
    jw_object_end(w);
}

static bool speaks(struct oc_writing *c, const struct chat_block *b)
{
    return b->type == CHAT_TOOL_USE || !text_blank(oc_spoken(c, b));
}

/* False: the run holds nothing that this format could. */
static bool put_assistant(struct oc_writing *c, struct oc_run run)
{
    bool any = false, calls = false;
    EACH_BLOCK(run, m, b)
    {
        any = any || speaks(c, b);
        calls = calls || b->type == CHAT_TOOL_USE;
    }
    if (!any)
        return false;
    c->prefilled = !run.end && !calls;
    turn_begin(c, "assistant");
    EACH_BLOCK(run, m, b)
    {
        oc_note_losses(c, b);
        if (b->type == CHAT_TOOL_USE) {
            put_call(c, b);
        } else if (is_signed(b)) {
            put_thinking(c, b);
        } else if (speaks(c, b)) {
            text_begin(c);
            jw_text_part(&c->w, oc_spoken(c, b));
            text_end(c);
        } else {
            oc_note_left_out(c, b);
        }
    }
    turn_end(c);
    return true;
}

/* ---- all of them ---- */

static void put_own_turn(struct oc_writing *c, const char *words)
{
    turn_begin(c, "user");
    put_words(c, words);
    turn_end(c);
}

static void system_begin(struct oc_writing *c, bool *any)
{
    if (!*any) {
        jw_key(&c->w, "system");
        jw_array(&c->w);
    }
    *any = true;
}

/* The leading system texts. Returns what comes behind them. */
static const struct chat_message *put_system(struct oc_writing *c)
{
    bool any = false;
    const struct chat_message *m = c->r->messages;
    for (; m && m->role == CHAT_SYSTEM; m = m->next)
        for (const struct chat_block *b = m->blocks; b; b = b->next) {
            oc_note_losses(c, b);
            if (b->type != CHAT_TEXT)
                oc_lossy(c, LOSSY_OTHER);
            if (!oc_system_text(b, b == c->r->messages->blocks) || text_blank(b->text))
                continue;
            system_begin(c, &any);
            text_begin(c);
            jw_text_part(&c->w, b->text);
            text_end(c);
        }
    if (c->schema_in_system) {
        system_begin(c, &any);
        text_begin(c);
        jw_part(&c->w, SPAN("Answer with one JSON object that conforms to this JSON Schema, and "
                            "with nothing else: "));
        jw_part(&c->w, c->r->format_schema);
        text_end(c);
    }
    if (any)
        jw_array_end(&c->w);
    return m;
}

/* There are no participants with names here, so nothing divides a run. */
static struct oc_run next_run(const struct oc_writing *c, const struct chat_message *from)
{
    const struct chat_message *end = from->next;
    while (end && oc_role_here(c, end, false) == oc_role_here(c, from, false))
        end = end->next;
    return (struct oc_run){from, end};
}

/* Turns alternate: an assistant's run that holds nothing would leave two of the user's side by
 * side, so it is said to be empty. */
static enum err put_run(struct oc_writing *c, struct oc_run run, bool first)
{
    if (run.first->role != CHAT_ASSISTANT)
        return put_user(c, run);
    if (first) {
        oc_lossy(c, LOSSY_FIRST_TURN);
        put_own_turn(c, "(The assistant opens this conversation.)");
    }
    c->last_calls = run.first;
    if (!put_assistant(c, run) && run.end) {
        turn_begin(c, "assistant");
        put_words(c, "(empty)");
        turn_end(c);
    }
    return ERR_OK;
}

enum err bc_write_messages(struct oc_writing *c)
{
    enum err e = ERR_OK;
    const struct chat_message *m = put_system(c);
    jw_key(&c->w, "messages");
    jw_array(&c->w);
    if (!m) /* system texts alone */
        put_own_turn(c, "(empty)");
    for (bool first = true; m && e == ERR_OK; first = false) {
        struct oc_run run = next_run(c, m);
        e = put_run(c, run, first);
        m = run.end;
    }
    if (c->prefilled && !c->cap->prefill) {
        oc_lossy(c, LOSSY_PREFILL);
        put_own_turn(c, DIALECT_GO_ON);
    }
    jw_array_end(&c->w);
    return e;
}
