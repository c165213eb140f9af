/* Texts in their two forms, tool inputs and tool ids.
 *
 * A chat_text read from JSON stays escaped, and nearly all of them travel to the other side without
 * being looked at. The few functions here that must know the content take the long way only when
 * there is a backslash. */
#include "base/hmap.h"
#include "base/span.h"
#include "dialect/dialect_internal.h"

struct chat_text text_of(struct json v)
{
    return (struct chat_text){json_str(v), true};
}

void jw_text(struct json_out *w, struct chat_text t)
{
    if (t.escaped)
        jw_str_raw(w, t.at);
    else
        jw_str(w, t.at);
}

void jw_text_part(struct json_out *w, struct chat_text t)
{
    if (t.escaped)
        jw_part_raw(w, t.at);
    else
        jw_part(w, t.at);
}

static bool has_escapes(struct chat_text t)
{
    return t.escaped && t.at.len > 0 && memchr(t.at.at, '\\', t.at.len) != NULL;
}

struct span text_plain(struct arena *a, struct chat_text t)
{
    return has_escapes(t) ? json_unescape(t.at, a) : t.at;
}

bool text_eq(struct chat_text x, struct chat_text y)
{
    bool x_escapes = has_escapes(x), y_escapes = has_escapes(y);
    if (!x_escapes && !y_escapes)
        return span_eq(x.at, y.at);
    struct arena scratch;
    arena_init(&scratch, SIZE_MAX);
    bool equal = span_eq(text_plain(&scratch, x), text_plain(&scratch, y));
    arena_deinit(&scratch);
    return equal;
}

bool text_is(struct chat_text t, const char *plain)
{
    return text_eq(t, text_from_plain(span_from(plain)));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_blank_escape(char c)
{
    return c == 'n' || c == 't' || c == 'r' || c == 'f';
}

static unsigned hex4(const char *at)
{
    unsigned v = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned c = (unsigned char)at[i];
        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static size_t utf8_of(unsigned code, char out[4])
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(len == 1 ? code : (lead[len] | code));
    return len;
}

size_t text_next_char(struct span s, size_t *i, char out[4])
{
    const char *at = s.at + *i;
    size_t left = s.len - *i;
    if (*at != '\\') {
        out[0] = *at;
        *i += 1;
        return 1;
    }
    if (left < 2 || (at[1] == 'u' && left < 6))
        return 0;
    if (at[1] != 'u') {
        static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
        const char *known = strchr(from, at[1]);
        out[0] = known ? to[known - from] : at[1];
        *i += 2;
        return 1;
    }
    unsigned code = hex4(at + 2);
    size_t used = 6;
    if (code >= 0xd800 && code < 0xdc00) {
        if (left == 6)
            return 0;
        if (left >= 12 && at[6] == '\\' && at[7] == 'u') {
            code = 0x10000 + ((code - 0xd800) << 10) + (hex4(at + 8) & 0x3ff);
            used = 12;
        }
    }
    *i += used;
    return utf8_of(code, out);
}

size_t text_char_len(struct span s, bool escaped)
{
    if (escaped && s.at[0] == '\\') {
        if (s.len < 6 || s.at[1] != 'u')
            return s.len < 2 ? s.len : 2;
        struct span second = span_drop(s, 6);
        bool high = (s.at[2] | 32) == 'd' && (s.at[3] == '8' || s.at[3] == '9' ||
                                              (s.at[3] | 32) == 'a' || (s.at[3] | 32) == 'b');
        return high && second.len >= 6 && span_starts(second, SPAN("\\u")) ? 12 : 6;
    }
    size_t n = 1;
    while (n < s.len && ((unsigned char)s.at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

bool text_blank(struct chat_text t)
{
    const char *at = t.at.at;
    for (size_t i = 0; i < t.at.len; i++) {
        if (is_blank(at[i]))
            continue;
        if (!t.escaped || at[i] != '\\' || i + 1 >= t.at.len || !is_blank_escape(at[i + 1]))
            return false;
        i++;
    }
    return true;
}

/* True when the byte at `i` is a backslash that opens an escape: an even number stand before it. */
static bool opens_escape(struct span s, size_t i)
{
    size_t before = 0;
    while (before < i && s.at[i - 1 - before] == '\\')
        before++;
    return s.at[i] == '\\' && before % 2 == 0;
}

struct chat_text text_rtrim(struct chat_text t)
{
    struct span *s = &t.at;
    for (;;) {
        if (s->len >= 2 && t.escaped && is_blank_escape(s->at[s->len - 1]) &&
            opens_escape(*s, s->len - 2))
            s->len -= 2;
        else if (s->len >= 1 && is_blank(s->at[s->len - 1]))
            s->len--;
        else
            return t;
    }
}

/* ---- tools ---- */

enum tool_input tool_input_json(struct arena *a, struct chat_text input, struct span *out)
{
    struct span plain = span_trim(text_plain(a, input));
    if (plain.len == 0) {
        *out = SPAN("{}");
        return TOOL_INPUT_EMPTY;
    }
    struct arena_mark mark = arena_mark(a);
    struct json_doc doc;
    bool object = json_parse(a, plain, &json_limits_default, &doc, NULL) == ERR_OK &&
                  json_is(json_root(&doc), JSON_OBJECT);
    arena_rewind(a, mark);
    *out = plain;
    return object ? TOOL_INPUT_OBJECT : TOOL_INPUT_BROKEN;
}

bool jw_tool_input(struct json_out *w, struct arena *a, struct chat_text input)
{
    struct span value;
    if (tool_input_json(a, input, &value) != TOOL_INPUT_BROKEN) {
        jw_raw(w, value);
        return true;
    }
    jw_object(w);
    jw_key(w, UNPARSED_INPUT_KEY);
    jw_str(w, value);
    jw_object_end(w);
    return false;
}

static bool id_fits(struct chat_text id)
{
    for (size_t i = 0; i < id.at.len; i++) {
        char c = id.at.at[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-';
        if (!fits)
            return false;
    }
    return id.at.len > 0;
}

struct chat_text tool_id_fit(struct arena *a, struct chat_text id)
{
    if (id_fits(id))
        return id;
    /* The seeds are fixed: a call and its result must meet in every request of the conversation. */
    static const uint64_t seed_high[2] = {0x686f747370617265u, 1};
    static const uint64_t seed_low[2] = {0x686f747370617265u, 2};
    struct span plain = text_plain(a, id);
    return text_raw(arena_printf(a, "toolu_%016llx%016llx",
                                 (unsigned long long)siphash13(seed_high, plain),
                                 (unsigned long long)siphash13(seed_low, plain)));
}
