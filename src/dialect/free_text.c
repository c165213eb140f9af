/* OpenAI's free-text ("custom") tools where only functions are known: a function with one string
 * argument, `input`. Calls of the past are wrapped into it, and the answer's are unwrapped while
 * they come, so that a long text is told as it is written.
 *
 * Knows no dialect: it is given the pieces of a call's JSON and tells those of the text in it. */
#include "dialect/dialect_internal.h"

#include "base/span.h"

bool tool_is_free_text(const struct chat_tool *t)
{
    return span_is(t->wire_type, "custom") && t->schema.len == 0;
}

const struct chat_tool *free_text_tool(const struct chat_request *r, struct chat_text name)
{
    for (const struct chat_tool *t = r ? r->tools : NULL; t; t = t->next)
        if (tool_is_free_text(t) && text_eq(t->name, name))
            return t;
    return NULL;
}

/* A grammar binds only the model it is sent to; others are told of it. */
struct chat_text free_text_description(struct arena *a, const struct chat_tool *t)
{
    if (chat_text_empty(t->grammar))
        return t->description;
    struct span before = text_plain(a, t->description);
    return text_from_plain(
        arena_printf(a, "%.*s%sThe input is plain text that follows this %.*s grammar:\n%.*s",
                     SPAN_FMT(before), before.len ? "\n\n" : "", SPAN_FMT(t->grammar_syntax),
                     SPAN_FMT(text_plain(a, t->grammar))));
}

struct span free_text_wrap(struct arena *a, struct chat_text input)
{
    struct buf to;
    struct json_out w;
    buf_init(&to, FREE_TEXT_MAX);
    json_out_buf(&w, &to);
    jw_object(&w);
    jw_key(&w, "input");
    jw_text(&w, input);
    jw_object_end(&w);
    struct span whole = arena_copy(a, buf_span(&to));
    buf_deinit(&to);
    return whole;
}

/* ---- unwrapping ---- */

enum { BEFORE, TEXT, DONE, OTHER };

void free_text_init(struct free_text *f)
{
    *f = (struct free_text){.state = BEFORE};
    buf_init(&f->held, FREE_TEXT_MAX);
    buf_init(&f->out, FREE_TEXT_MAX);
}

void free_text_deinit(struct free_text *f)
{
    buf_deinit(&f->held);
    buf_deinit(&f->out);
}

/* The JSON as it is nearly always written; any other form is kept until it is whole. */
static enum err before_text(struct free_text *f, char c)
{
    static const char opening[] = "{\"input\":\"";
    size_t at = f->matched;
    bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    bool between = at <= 1 || at == 8 || at == 9; /* tokens */
    if (c == opening[at])
        f->matched++;
    else if (!blank || !between)
        f->state = OTHER;
    if (f->matched < sizeof opening - 1)
        return buf_add_char(&f->held, c);
    f->state = TEXT;
    buf_reset(&f->held);
    return ERR_OK;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static enum err text_byte(struct free_text *f, char c);

/* The escape that was begun, now with c. One that JSON does not know is the model's own text. */
static enum err escape_byte(struct free_text *f, char c)
{
    size_t n = f->escape_len;
    bool fits = n == 1 ? strchr("\"\\/bfnrtu", c) && c : is_hex(c);
    if (!fits) {
        f->escape_len = 0;
        enum err e = buf_add_char(&f->out, '\\');
        if (e == ERR_OK)
            e = buf_add(&f->out, (struct span){f->escape, n});
        return e == ERR_OK ? text_byte(f, c) : e;
    }
    f->escape[n] = c;
    f->escape_len++;
    bool whole = n == 1 ? c != 'u' : n == 5;
    if (!whole)
        return ERR_OK;
    f->escape_len = 0;
    return buf_add(&f->out, (struct span){f->escape, n + 1});
}

static enum err text_byte(struct free_text *f, char c)
{
    if (f->escape_len > 0)
        return escape_byte(f, c);
    if (c == '"') {
        f->state = DONE;
        return ERR_OK;
    }
    if (c == '\\') {
        f->escape[0] = c;
        f->escape_len = 1;
        return ERR_OK;
    }
    if ((unsigned char)c < 0x20) /* models forget to escape a line's end */
        return buf_printf(&f->out, "\\u%04x", (unsigned)(unsigned char)c);
    return buf_add_char(&f->out, c);
}

static enum err take(struct free_text *f, struct span plain)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < plain.len && e == ERR_OK; i++) {
        if (f->state == BEFORE)
            e = before_text(f, plain.at[i]);
        else if (f->state == TEXT)
            e = text_byte(f, plain.at[i]);
        else if (f->state == OTHER)
            e = buf_add_char(&f->held, plain.at[i]);
    }
    return e;
}

/* Escaped pieces, character by character; half of a surrogate pair waits for the other. */
static enum err take_escaped(struct free_text *f, struct span s)
{
    char joined[12], c[4];
    size_t i = 0, n = 0;
    enum err e = ERR_OK;
    if (f->half_len > 0 && s.len > 0) {
        size_t more = s.len < 6 ? s.len : 6, used = 0;
        memcpy(joined, f->half, f->half_len);
        memcpy(joined + f->half_len, s.at, more);
        n = text_next_char((struct span){joined, f->half_len + more}, &used, c);
        i = used > f->half_len ? used - f->half_len : 0;
        f->half_len = 0;
        e = take(f, (struct span){c, n});
    }
    while (i < s.len && e == ERR_OK) {
        n = text_next_char(s, &i, c);
        if (n == 0)
            break;
        e = take(f, (struct span){c, n});
    }
    if (e == ERR_OK && i < s.len && s.len - i <= sizeof f->half) {
        f->half_len = s.len - i;
        memcpy(f->half, s.at + i, f->half_len);
    }
    return e;
}

enum err free_text_feed(struct free_text *f, struct chat_text piece, struct chat_text *out)
{
    buf_reset(&f->out);
    enum err e = piece.escaped ? take_escaped(f, piece.at) : take(f, piece.at);
    *out = text_raw(buf_span(&f->out));
    return e;
}

struct chat_text free_text_end(struct free_text *f, struct arena *a)
{
    struct json_doc doc;
    struct span held = arena_copy(a, buf_span(&f->held));
    buf_reset(&f->held);
    if (f->state == OTHER && json_parse(a, held, &json_limits_default, &doc, NULL) == ERR_OK &&
        json_is(json_get(json_root(&doc), "input"), JSON_STRING))
        return text_of(json_get(json_root(&doc), "input"));
    return text_from_plain(held);
}
