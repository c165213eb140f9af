/* JSON, and JSON with comments and trailing commas. A copy of the text in which those and a byte
 * order mark are blanked out goes through the strict reader: every offset and every line:column
 * stays that of the text itself, and no second parser is needed.
 *
 * A new member goes behind the last one, on a line of its own when the object has lines. */
#include "json/json.h"
#include "tools/connect/edit_internal.h"

#define STEPS_MAX 64 /* of taking out; each removes or restores one value */

struct json_text {
    struct span text;
    char *clean;
    bool comments, empty;
    struct json_doc doc;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Behind the comment that begins at `at`; `at` itself when none does, or it never ends. */
static size_t comment_end(struct span t, size_t at)
{
    if (at + 1 >= t.len || t.at[at] != '/' || (t.at[at + 1] != '/' && t.at[at + 1] != '*'))
        return at;
    bool line = t.at[at + 1] == '/';
    for (size_t i = at + 2; i < t.len; i++) {
        if (line && t.at[i] == '\n')
            return i;
        if (!line && t.at[i] == '*' && i + 1 < t.len && t.at[i + 1] == '/')
            return i + 2;
    }
    return line ? t.len : at;
}

static size_t string_end(struct span t, size_t at)
{
    for (at++; at < t.len && t.at[at] != '"'; at++)
        at += t.at[at] == '\\';
    return at < t.len ? at + 1 : t.len;
}

/* Blanks comments, and a comma with only blanks between it and a closing bracket. */
static void clean_up(const struct json_text *j)
{
    const size_t none = SIZE_MAX;
    size_t comma = none;
    char last = '\0';
    for (size_t i = 0; i < j->text.len;) {
        char c = j->text.at[i];
        size_t end = comment_end(j->text, i);
        for (size_t k = i; k < end; k++)
            if (!blank(j->clean[k]))
                j->clean[k] = ' ';
        if (end > i || blank(c)) {
            i = end > i ? end : i + 1;
            continue;
        }
        if ((c == '}' || c == ']') && comma != none)
            j->clean[comma] = ' ';
        comma = c == ',' && last != '{' && last != '[' && last != ',' ? i : none;
        last = c;
        i = c == '"' ? string_end(j->text, i) : i + 1;
    }
}

static enum err load(struct json_text *j, bool comments, struct span text, struct arena *a,
                     struct edit_problem *why)
{
    struct json_error bad;
    struct span copy = arena_copy(a, text);
    *j =
        (struct json_text){.text = text, .clean = (char *)(uintptr_t)copy.at, .comments = comments};
    memset(j->clean, ' ', edit_bom(text));
    if (comments)
        clean_up(j);
    j->empty = span_trim(copy).len == 0;
    if (j->empty)
        return ERR_OK;
    if (json_parse(a, copy, NULL, &j->doc, &bad) != ERR_OK)
        return edit_fail(why, ERR_SYNTAX, text, bad.offset, "%s", bad.what);
    if (!json_is(json_root(&j->doc), JSON_OBJECT))
        return edit_fail(why, ERR_SYNTAX, text, edit_bom(text), "the file holds no object");
    return ERR_OK;
}

static size_t offset(const struct json_text *j, const char *at)
{
    return (size_t)(at - j->clean);
}

static size_t start_of(const struct json_text *j, struct json v)
{
    return offset(j, json_raw(v).at);
}

static size_t end_of(const struct json_text *j, struct json v)
{
    return start_of(j, v) + json_raw(v).len;
}

static size_t key_of(const struct json_text *j, struct json member)
{
    return offset(j, json_key(member).at) - 1; /* its quote */
}

/* The first byte behind `at` that is neither blank nor within a comment. */
static size_t skip(const struct json_text *j, size_t at)
{
    for (; at < j->text.len; at++) {
        size_t end = j->comments ? comment_end(j->text, at) : at;
        if (end == at && !blank(j->text.at[at]))
            break;
        at = end > at ? end - 1 : at;
    }
    return at;
}

/* ---- style ---- */

/* The blanks in front of what stands first on the line of `at`. */
static struct span indent_at(struct span text, size_t at)
{
    size_t from = edit_line_start(text, at), n = from;
    n += n == 0 ? edit_bom(text) : 0;
    from = n;
    while (n < text.len && (text.at[n] == ' ' || text.at[n] == '\t'))
        n++;
    return (struct span){text.at + from, n - from};
}

static bool first_on_line(struct span text, size_t at)
{
    struct span indent = indent_at(text, at);
    return text.at + at == indent.at + indent.len;
}

static struct json last_member(struct json object)
{
    struct json last = JSON_ABSENT;
    for (struct json m = json_first(object); json_present(m); m = json_next(object, m))
        last = m;
    return last;
}

/* What one level is indented by. */
static struct span unit_of(const struct json_text *j)
{
    struct json member = last_member(json_root(&j->doc));
    size_t at = json_present(member) ? key_of(j, member) : 0;
    if (json_present(member) && first_on_line(j->text, at) && indent_at(j->text, at).len)
        return indent_at(j->text, at);
    return SPAN("  ");
}

/* ---- setting ---- */

static bool holds_newline(struct span s)
{
    return span_find(s, '\n') >= 0;
}

/* "a": { "b": "value" } for what is missing of a path, on one line or on several. */
static struct span member_text(const struct edit_want *w, size_t depth, const char *eol,
                               struct span indent, struct span unit, bool lines, struct arena *a)
{
    struct span inner = arena_printf(a, "\"%s\"", w->value);
    for (size_t i = edit_depth(w); i-- > depth;) {
        struct span at = indent;
        for (size_t k = depth; k < i; k++)
            at = arena_printf(a, "%.*s%.*s", SPAN_FMT(at), SPAN_FMT(unit));
        inner = arena_printf(a, "\"%s\": %.*s", w->path[i], SPAN_FMT(inner));
        if (i == depth)
            break;
        struct span out = span_take(at, at.len - unit.len);
        inner = lines ? arena_printf(a, "{%s%.*s%.*s%s%.*s}", eol, SPAN_FMT(at), SPAN_FMT(inner),
                                     eol, SPAN_FMT(out))
                      : arena_printf(a, "{ %.*s }", SPAN_FMT(inner));
    }
    return inner;
}

/* Adds what is missing of the path, from `depth` on, to `object`. */
static struct span insert(const struct json_text *j, struct json object, const struct edit_want *w,
                          size_t depth, struct arena *a)
{
    struct json last = last_member(object);
    struct span text = j->text, unit = unit_of(j), base = indent_at(text, start_of(j, object));
    const char *eol = edit_eol(text);
    size_t open = start_of(j, object), close = end_of(j, object) - 1, at = close;
    bool any = json_present(last);
    while (at > open + 1 && blank(text.at[at - 1]))
        at--;
    bool lines = !any || holds_newline((struct span){text.at + open, close - open});
    bool own_line = any && first_on_line(text, key_of(j, last));
    struct span indent = own_line ? indent_at(text, key_of(j, last))
                                  : arena_printf(a, "%.*s%.*s", SPAN_FMT(base), SPAN_FMT(unit));
    bool trailing = any && text.at[skip(j, end_of(j, last))] == ',';
    struct span member = member_text(w, depth, eol, indent, unit, lines, a);
    bool closes = lines && !holds_newline((struct span){text.at + at, close - at});
    member = lines ? arena_printf(a, "%s%.*s%.*s%s", eol, SPAN_FMT(indent), SPAN_FMT(member),
                                  trailing ? "," : "")
                   : arena_printf(a, " %.*s%s", SPAN_FMT(member), trailing ? "," : "");
    if (closes)
        member = arena_printf(a, "%.*s%s%.*s", SPAN_FMT(member), eol, SPAN_FMT(base));
    text = edit_splice(a, text, at, closes ? close - at : 0, member);
    return any && !trailing ? edit_splice(a, text, end_of(j, last), 0, SPAN(",")) : text;
}

enum err edit_json_set(bool comments, struct span text, const struct edit_want *want,
                       struct arena *a, struct span *out, struct edit_problem *why)
{
    struct json_text j;
    enum err e = load(&j, comments, text, a, why);
    if (e == ERR_OK && j.empty) {
        const char *eol = edit_eol(text);
        bool open = text.len > edit_bom(text) && text.at[text.len - 1] != '\n';
        text = edit_splice(a, text, text.len, 0, arena_printf(a, "%s{}%s", open ? eol : "", eol));
        e = load(&j, comments, text, a, why);
    }
    if (e != ERR_OK)
        return e;
    struct json at = json_root(&j.doc);
    for (size_t i = 0; i < edit_depth(want); i++) {
        if (!json_is(at, JSON_OBJECT))
            return edit_fail(why, ERR_EXISTS, text, start_of(&j, at),
                             "\"%s\" is there and is no object", want->path[i - 1]);
        struct json next = json_get(at, want->path[i]);
        if (!json_present(next) && i < want->there)
            return edit_fail(why, ERR_NOT_FOUND, text, start_of(&j, at), "\"%s\" is missing here",
                             want->path[i]);
        if (!json_present(next)) {
            *out = insert(&j, at, want, i, a);
            return ERR_OK;
        }
        at = next;
    }
    *out = json_str_is(at, want->value) ? text
                                        : edit_splice(a, text, start_of(&j, at), json_raw(at).len,
                                                      arena_printf(a, "\"%s\"", want->value));
    return ERR_OK;
}

/* ---- taking out ---- */

struct taking {
    const struct json_text *now;
    struct arena *a;
    size_t kept;
    struct span text; /* the result of one step */
};

/* Cuts one member with the comma that belongs to it, and its line when nothing else is on it. */
static struct span remove_member(const struct json_text *j, struct json object, struct json member,
                                 struct arena *a)
{
    struct span text = j->text;
    size_t from = key_of(j, member), to = end_of(j, member), comma = skip(j, to);
    struct json before = JSON_ABSENT;
    for (struct json m = json_first(object); m.node != member.node; m = json_next(object, m))
        before = m;
    bool behind = comma < text.len && text.at[comma] == ',';
    if (behind && comma == to)
        to++;
    else if (behind)
        text = edit_splice(a, text, comma, 1, SPAN_EMPTY);
    while (from > 0 && (text.at[from - 1] == ' ' || text.at[from - 1] == '\t'))
        from--;
    while (to < text.len && (text.at[to] == ' ' || text.at[to] == '\t'))
        to++;
    size_t end = edit_line_end(text, to);
    if ((from == 0 || text.at[from - 1] == '\n') &&
        span_trim((struct span){text.at + to, end - to}).len == 0)
        to = end;
    text = edit_splice(a, text, from, to - from, SPAN_EMPTY);
    if (!behind && json_present(before) && text.at[skip(j, end_of(j, before))] == ',')
        text = edit_splice(a, text, skip(j, end_of(j, before)), 1, SPAN_EMPTY);
    return text;
}

static bool same(struct json x, struct json y)
{
    return json_type(x) == json_type(y) && span_eq(json_raw(x), json_raw(y));
}

/* Nothing stands between its braces, no comment either. */
static bool bare(const struct json_text *j, struct json object)
{
    size_t from = start_of(j, object) + 1, to = end_of(j, object) - 1;
    return json_is(object, JSON_OBJECT) &&
           span_trim((struct span){j->text.at + from, to - from}).len == 0;
}

/* Looks for one value that is still ours and puts back what was there. True when it did. */
static bool take_one(struct taking *t, struct json before, struct json after, struct json now)
{
    for (struct json m = json_first(after); json_present(m); m = json_next(after, m)) {
        struct json b = json_member(before, json_key(m)), n = json_member(now, json_key(m));
        bool inside = json_is(m, JSON_OBJECT) && (!json_present(b) || json_is(b, JSON_OBJECT));
        if (!json_present(n) || (json_present(b) && same(b, m)))
            continue;
        if (inside && json_is(n, JSON_OBJECT) && take_one(t, b, m, n))
            return true;
        if (inside ? !json_present(b) && bare(t->now, n) : same(n, m)) {
            t->text = json_present(b) ? edit_splice(t->a, t->now->text, start_of(t->now, n),
                                                    json_raw(n).len, json_raw(b))
                                      : remove_member(t->now, now, n, t->a);
            return true;
        }
        t->kept += !inside && !(json_present(b) && same(n, b));
    }
    return false;
}

enum err edit_json_unset(bool comments, struct span before, struct span after, struct span now,
                         struct arena *a, struct span *out, size_t *out_kept,
                         struct edit_problem *why)
{
    struct json_text b, f, n;
    enum err e = load(&b, comments, before, a, why);
    e = e == ERR_OK ? load(&f, comments, after, a, why) : e;
    for (int step = 0; e == ERR_OK && step < STEPS_MAX; step++) {
        e = load(&n, comments, now, a, why);
        if (e != ERR_OK)
            return e;
        struct taking t = {&n, a, 0, now};
        bool took = !n.empty && take_one(&t, b.empty ? JSON_ABSENT : json_root(&b.doc),
                                         json_root(&f.doc), json_root(&n.doc));
        *out_kept = t.kept;
        now = t.text;
        if (!took)
            break;
    }
    if (e == ERR_OK)
        *out = now;
    return e;
}
