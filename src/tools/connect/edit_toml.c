/* TOML, as far as setting a key takes: the text as statements (a header, or a key with its value),
 * each with its place and full path. Values are read over, not understood; what is malformed is
 * refused, since the program that owns the file would refuse it too.
 *
 * Source: TOML 1.0.0 (toml.io). Not checked: keys given twice, dates out of range. */
#include "tools/connect/edit_internal.h"

#define PARTS_MAX 16 /* of a dotted key; more is refused */
#define NESTING_MAX 64

struct toml_path {
    struct span part[PARTS_MAX];
    size_t count;
};

struct toml {
    struct span text;
    size_t at;
    struct edit_problem *why;
    /* the statement just read */
    enum { TOML_END, TOML_TABLE, TOML_TABLES, TOML_PAIR } kind;
    struct toml_path path; /* full: with the table's name in front */
    size_t table_count;    /* parts of the path that are the table's */
    size_t from, to;       /* whole lines */
    size_t value_from, value_to;
    struct toml_path table; /* the one we are in */
};

static enum err bad(struct toml *t, const char *what)
{
    return edit_fail(t->why, ERR_SYNTAX, t->text, t->at, "%s", what);
}

static char here(const struct toml *t)
{
    return t->at < t->text.len ? t->text.at[t->at] : '\0';
}

static bool starts(const struct toml *t, const char *word)
{
    return span_starts(span_drop(t->text, t->at), span_from(word));
}

static void skip_blanks(struct toml *t)
{
    while (here(t) == ' ' || here(t) == '\t')
        t->at++;
}

static void skip_comment(struct toml *t)
{
    if (here(t) == '#')
        while (t->at < t->text.len && here(t) != '\n')
            t->at++;
}

static void skip_lines(struct toml *t)
{
    for (size_t before = SIZE_MAX; before != t->at;) {
        before = t->at;
        skip_blanks(t);
        skip_comment(t);
        if (here(t) == '\n' || starts(t, "\r\n"))
            t->at += here(t) == '\n' ? 1 : 2;
    }
}

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* ---- values ---- */

static enum err string(struct toml *t)
{
    char quote = here(t);
    const char *three = quote == '"' ? "\"\"\"" : "'''";
    bool many = starts(t, three);
    for (t->at += many ? 3 : 1; t->at < t->text.len; t->at++) {
        if (many ? starts(t, three) : here(t) == quote) {
            t->at += many ? 3 : 1;
            while (many && here(t) == quote) /* a quote or two right before the end */
                t->at++;
            return ERR_OK;
        }
        if (!many && here(t) == '\n')
            break;
        t->at += quote == '"' && here(t) == '\\';
    }
    return bad(t, "a string does not end");
}

static enum err word(struct toml *t)
{
    size_t from = t->at;
    while (is_bare(here(t)) || here(t) == '+' || here(t) == '.' || here(t) == ':')
        t->at++;
    struct span w = {t->text.at + from, t->at - from};
    bool date = w.len == 10 && w.at[4] == '-' && w.at[7] == '-';
    if (date && here(t) == ' ' && t->at + 1 < t->text.len && t->text.at[t->at + 1] >= '0' &&
        t->text.at[t->at + 1] <= '9') {
        t->at++;
        return word(t); /* the time behind a date; it has no '-' at these places */
    }
    struct span digits = span_drop(w, w.len && (w.at[0] == '+' || w.at[0] == '-'));
    if (span_is(w, "true") || span_is(w, "false") || span_is(digits, "inf") ||
        span_is(digits, "nan") || (digits.len && digits.at[0] >= '0' && digits.at[0] <= '9'))
        return ERR_OK;
    t->at = from;
    return bad(t, "this is no value");
}

static enum err key(struct toml *t, struct toml_path *out);

/* A value within a value; one line's loop serves arrays and inline tables. */
static enum err value(struct toml *t)
{
    char closing[NESTING_MAX];
    size_t depth = 0;
    struct toml_path name;
    enum err e = ERR_OK;
    do {
        if (depth)
            skip_lines(t);
        if (depth && here(t) == closing[depth - 1]) {
            t->at++;
            depth--;
        } else {
            if (depth && closing[depth - 1] == '}') {
                name.count = 0;
                e = key(t, &name);
                skip_blanks(t);
                if (e == ERR_OK && here(t) != '=')
                    e = bad(t, "\"=\" is missing behind a key");
                t->at += e == ERR_OK;
                skip_blanks(t);
            }
            if (e == ERR_OK && (here(t) == '[' || here(t) == '{')) {
                if (depth == NESTING_MAX)
                    return bad(t, "values are nested too deeply");
                closing[depth++] = here(t) == '[' ? ']' : '}';
                t->at++;
                continue;
            }
            if (e == ERR_OK)
                e = here(t) == '"' || here(t) == '\'' ? string(t) : word(t);
        }
        if (depth)
            skip_lines(t);
        if (e == ERR_OK && depth && here(t) == ',')
            t->at++;
        else if (e == ERR_OK && depth && here(t) != closing[depth - 1])
            e = bad(t, "a comma or a closing bracket is missing");
    } while (e == ERR_OK && depth);
    return e;
}

/* ---- keys and statements ---- */

static enum err key(struct toml *t, struct toml_path *out)
{
    for (;; t->at++) {
        skip_blanks(t);
        size_t from = t->at;
        bool quoted = here(t) == '"' || here(t) == '\'';
        if (quoted && string(t) != ERR_OK)
            return ERR_SYNTAX;
        while (!quoted && is_bare(here(t)))
            t->at++;
        if (t->at == from)
            return bad(t, "a key is expected here");
        if (out->count == PARTS_MAX)
            return bad(t, "a key has too many parts");
        out->part[out->count++] =
            (struct span){t->text.at + from + quoted, t->at - from - 2 * (size_t)quoted};
        skip_blanks(t);
        if (here(t) != '.')
            return ERR_OK;
    }
}

static enum err header(struct toml *t)
{
    bool tables = starts(t, "[[");
    t->at += tables ? 2 : 1;
    t->table.count = 0;
    enum err e = key(t, &t->table);
    if (e == ERR_OK && !starts(t, tables ? "]]" : "]"))
        e = bad(t, "a table's name does not end with \"]\"");
    t->at += tables ? 2 : 1;
    t->kind = tables ? TOML_TABLES : TOML_TABLE;
    t->path = t->table;
    return e;
}

static enum err pair(struct toml *t)
{
    t->path = t->table;
    enum err e = key(t, &t->path);
    if (e == ERR_OK && here(t) != '=')
        e = bad(t, "\"=\" is missing behind a key");
    if (e != ERR_OK)
        return e;
    t->at++;
    skip_blanks(t);
    t->value_from = t->at;
    e = value(t);
    t->value_to = t->at;
    t->kind = TOML_PAIR;
    return e;
}

/* Reads the next statement; kind is TOML_END behind the last. */
static enum err next(struct toml *t)
{
    skip_lines(t);
    t->from = edit_line_start(t->text, t->at);
    t->table_count = t->table.count;
    t->kind = TOML_END;
    if (t->at >= t->text.len)
        return ERR_OK;
    enum err e = here(t) == '[' ? header(t) : pair(t);
    if (e != ERR_OK)
        return e;
    skip_blanks(t);
    skip_comment(t);
    if (t->at < t->text.len && here(t) != '\n' && !starts(t, "\r\n"))
        return bad(t, "something stands behind the end of a value");
    t->to = edit_line_end(t->text, t->at);
    return ERR_OK;
}

static void open_text(struct toml *t, struct span text, struct edit_problem *why)
{
    *t = (struct toml){.text = text, .at = edit_bom(text), .why = why};
}

enum err edit_toml_check(struct span text, struct edit_problem *why)
{
    struct toml t;
    enum err e;
    open_text(&t, text, why);
    do
        e = next(&t);
    while (e == ERR_OK && t.kind != TOML_END);
    return e;
}

/* ---- setting ---- */

/* How many parts at the front are the same. */
static size_t common(const struct toml_path *p, const struct edit_want *w)
{
    size_t n = 0;
    while (n < p->count && n < edit_depth(w) && span_is(p->part[n], w->path[n]))
        n++;
    return n;
}

struct place { /* where a new key goes */
    size_t at;
    bool found; /* our table is there */
};

/* Looks at one statement: replaces the value, notes the place, or finds something in the way. */
static enum err look(struct toml *t, const struct edit_want *w, struct place *place, bool *out_here)
{
    size_t depth = edit_depth(w), n = common(&t->path, w);
    bool whole = n == t->path.count;
    *out_here = false;
    if (t->kind == TOML_PAIR && whole && n == depth)
        *out_here = true;
    else if ((t->kind == TOML_PAIR && whole) || (t->kind == TOML_TABLES && whole) ||
             (t->kind == TOML_TABLE && whole && n == depth) ||
             (t->kind == TOML_PAIR && depth > 1 && n >= depth - 1 && t->table_count != depth - 1))
        return edit_fail(t->why, ERR_EXISTS, t->text, t->from,
                         "\"%s\" is there already, written in another way", w->path[n - 1]);
    else if ((t->kind == TOML_TABLE && whole && n == depth - 1) ||
             (t->kind == TOML_PAIR && t->table_count == depth - 1 && n >= depth - 1))
        *place = (struct place){t->to, true};
    return ERR_OK;
}

static struct span add(struct span text, const struct edit_want *w, struct place place,
                       struct arena *a)
{
    const char *eol = edit_eol(text);
    size_t depth = edit_depth(w);
    bool open = place.at > edit_bom(text) && text.at[place.at - 1] != '\n';
    struct span line =
        arena_printf(a, "%s%s = \"%s\"%s", open ? eol : "", w->path[depth - 1], w->value, eol);
    if (place.found || depth == 1)
        return edit_splice(a, text, place.at, 0, line);
    struct span name = span_from(w->path[0]);
    for (size_t i = 1; i + 1 < depth; i++)
        name = arena_printf(a, "%.*s.%s", SPAN_FMT(name), w->path[i]);
    bool first = text.len == edit_bom(text);
    open = !first && text.at[text.len - 1] != '\n';
    line = arena_printf(a, "%s%s[%.*s]%s%s = \"%s\"%s", open ? eol : "", first ? "" : eol,
                        SPAN_FMT(name), eol, w->path[depth - 1], w->value, eol);
    return edit_splice(a, text, text.len, 0, line);
}

enum err edit_toml_set(struct span text, const struct edit_want *want, struct arena *a,
                       struct span *out, struct edit_problem *why)
{
    struct toml t;
    struct place place = {edit_bom(text), false};
    bool is_here = false;
    open_text(&t, text, why);
    struct span quoted = arena_printf(a, "\"%s\"", want->value), result = text;
    for (;;) {
        enum err e = next(&t);
        if (e == ERR_OK && t.kind != TOML_END && !is_here) {
            e = look(&t, want, &place, &is_here);
            if (e == ERR_OK && is_here)
                result = edit_splice(a, text, t.value_from, t.value_to - t.value_from, quoted);
        }
        if (e != ERR_OK)
            return e;
        if (t.kind == TOML_END)
            break;
    }
    *out = result.at != text.at ? result : add(text, want, place, a);
    return ERR_OK;
}
