/* Lines are compared in order; where they differ, the nearest pair of equal lines ahead ends the
 * hunk. That is all a change of a few places needs, and it is linear in the text.
 *
 * A settings file is full of secrets beside what we change, and a diff ends in terminals, logs and
 * tickets: so the context is masked as well. */
#include "tools/diff.h"

#define CONTEXT 3
#define LONG_PART 16
#define MIXED_PARTS 4

static size_t line_end(struct span s, size_t at)
{
    while (at < s.len && s.at[at] != '\n')
        at++;
    return at < s.len ? at + 1 : at;
}

static struct span line_at(struct span s, size_t at)
{
    return (struct span){s.at + at, line_end(s, at) - at};
}

/* Places of the next lines, at most DIFF_LOOK + 1; the last is where they end. */
static size_t look_ahead(struct span s, size_t at, size_t places[DIFF_LOOK + 1])
{
    size_t n = 0;
    for (; n < DIFF_LOOK && at < s.len; at = line_end(s, at))
        places[n++] = at;
    places[n] = at;
    return n;
}

/* The same line; an empty one counts only with the line behind it. */
static bool meets(struct span old, size_t x, struct span new, size_t y)
{
    struct span line = line_at(old, x);
    if (!span_eq(line, line_at(new, y)))
        return false;
    return span_trim(line).len || span_eq(line_at(old, x + line.len), line_at(new, y + line.len));
}

bool diff_next(struct span old, struct span new, struct diff_hunk *h)
{
    size_t o = h->old_to, n = h->new_to, os[DIFF_LOOK + 1], ns[DIFF_LOOK + 1];
    while (o < old.len && n < new.len &&span_eq(line_at(old, o), line_at(new, n))) {
        o = line_end(old, o);
        n = line_end(new, n);
    }
    if (o >= old.len && n >= new.len)
        return false;
    size_t no = look_ahead(old, o, os), nn = look_ahead(new, n, ns);
    *h = (struct diff_hunk){o, old.len, n, new.len};
    for (size_t sum = 1; sum <= no + nn; sum++)
        for (size_t i = sum > nn ? sum - nn : 0; i <= sum && i <= no; i++) {
            size_t x = os[i], y = ns[sum - i];
            bool ends = x >= old.len && y >= new.len;
            bool meet = x < old.len && y < new.len &&meets(old, x, new, y);
            if (ends || meet) {
                h->old_to = x;
                h->new_to = y;
                return true;
            }
        }
    return true;
}

/* ---- masking ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-+/=.~", c));
}

static bool names_secret(struct span name)
{
    static const char *const words[] = {"key",  "token",  "secret", "passw",
                                        "auth", "cookie", "cred",   "bearer"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_isearch(name, span_from(words[i])) >= 0)
            return true;
    return false;
}

/* Letters and digits in one. */
static bool is_mixed(struct span part)
{
    bool digit = false, letter = false;
    for (size_t i = 0; i < part.len; i++) {
        digit = digit || (part.at[i] >= '0' && part.at[i] <= '9');
        letter = letter || (part.at[i] | 32) >= 'a';
    }
    return digit && letter;
}

/* A long part that is mixed, or many: names of models and of files have neither. */
static bool looks_random(struct span word)
{
    size_t mixed = 0, from = 0;
    for (size_t i = 0; i <= word.len; i++) {
        if (i < word.len && !strchr("-_/=.+~", word.at[i]))
            continue;
        struct span part = {word.at + from, i - from};
        from = i + 1;
        if (!is_mixed(part))
            continue;
        mixed++;
        if (part.len >= LONG_PART || mixed >= MIXED_PARTS)
            return true;
    }
    return span_istarts(word, SPAN("sk-"));
}

/* Length of the plain text that stands here, or 0. */
static size_t plain_at(struct span here, const char *const *plain)
{
    for (; plain && *plain; plain++)
        if (span_starts(here, span_from(*plain)))
            return strlen(*plain);
    return 0;
}

/* A variable's name, or a reference to one, in place of a secret. */
static bool is_reference(struct span value)
{
    bool name = span_find(value, '_') > 0;
    for (size_t i = 0; i < value.len && name; i++)
        name = (value.at[i] >= 'A' && value.at[i] <= 'Z') || value.at[i] == '_';
    return name || span_starts(value, SPAN("$")) || span_starts(value, SPAN("{env:"));
}

/* The value behind a name's ':' or '=': to its closing quote, else to the next comma, bracket or
 * blank. `from` is behind the separator. */
static struct span value_at(struct span line, size_t from)
{
    while (from < line.len && (line.at[from] == ' ' || line.at[from] == '\t'))
        from++;
    char quote = from < line.len && strchr("\"'", line.at[from]) ? line.at[from] : '\0';
    from += quote != '\0';
    size_t to = from;
    while (to < line.len && (quote ? line.at[to] != quote : !strchr(",]}\r\n", line.at[to])))
        to += quote == '"' && line.at[to] == '\\' ? 2 : 1;
    to = to < line.len ? to : line.len;
    return (struct span){line.at + from, to - from};
}

/* What is secret at or behind `at`: its place, or an empty span at the line's end. */
static struct span next_secret(struct span line, size_t at, const char *const *plain)
{
    while (at < line.len) {
        size_t to = at, shown = plain_at(span_drop(line, at), plain);
        if (shown) {
            at += shown;
            continue;
        }
        while (to < line.len && is_word(line.at[to]))
            to++;
        struct span word = {line.at + at, to - at};
        size_t behind = to;
        while (behind < line.len && strchr("\"' \t", line.at[behind]))
            behind++;
        bool named = behind < line.len && (line.at[behind] == ':' || line.at[behind] == '=') &&
                     names_secret(word);
        struct span value = named ? value_at(line, behind + 1) : SPAN_EMPTY;
        if (value.len && !strchr("{[", value.at[0]) && !is_reference(value) &&
            !plain_at(value, plain))
            return value;
        if (looks_random(word))
            return word;
        struct span rest = span_drop(line, to);
        ssize_t user = span_starts(rest, SPAN("://")) ? span_find(rest, '@') : -1;
        if (user > 3)
            return (struct span){rest.at + 3, (size_t)user - 3};
        at = to + (to == at);
    }
    return (struct span){line.at + line.len, 0};
}

/* Control characters would act on the terminal; a CR of a line end is harmless and the text's. */
static enum err add_shown(struct span text, struct buf *out)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < text.len && e == ERR_OK; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool acts = (c < ' ' && c != '\t' && c != '\r') || c == 0x7f;
        e = buf_add_char(out, acts ? '?' : text.at[i]);
    }
    return e;
}

static enum err add_line(char sign, struct span line, const char *const *plain, struct buf *out)
{
    bool ended = span_ends(line, SPAN("\n"));
    size_t at = 0;
    line = span_take(line, line.len - ended);
    enum err e = buf_add_char(out, sign);
    while (e == ERR_OK && at < line.len) {
        struct span secret = next_secret(line, at, plain);
        size_t to = (size_t)(secret.at - line.at);
        e = add_shown((struct span){line.at + at, to - at}, out);
        if (e == ERR_OK && secret.len)
            e = buf_add_cstr(out, "***");
        at = to + secret.len;
    }
    if (e == ERR_OK)
        e = buf_add_cstr(out, ended ? "\n" : "\n\\ No newline at end of file\n");
    return e;
}

static enum err add_lines(char sign, struct span text, size_t from, size_t to,
                          const char *const *plain, struct buf *out)
{
    enum err e = ERR_OK;
    for (; from < to && e == ERR_OK; from = line_end(text, from))
        e = add_line(sign, line_at(text, from), plain, out);
    return e;
}

/* ---- the unified form ---- */

static size_t lines_in(struct span s, size_t from, size_t to)
{
    size_t n = 0;
    for (; from < to; from = line_end(s, from))
        n++;
    return n;
}

static size_t lines_back(struct span s, size_t at, size_t n, size_t least)
{
    while (n-- && at > least) {
        at--;
        while (at > least && s.at[at - 1] != '\n')
            at--;
    }
    return at;
}

static size_t lines_on(struct span s, size_t at, size_t n)
{
    while (n-- && at < s.len)
        at = line_end(s, at);
    return at;
}

/* Hunks whose contexts meet are shown as one. *h: the first; becomes the one behind the last. */
static enum err add_group(struct span old, struct span new, struct diff_hunk *h, bool *more,
                          const char *const *plain, struct buf *out)
{
    struct diff_hunk last;
    size_t from = lines_back(old, h->old_from, CONTEXT, 0), at = from, count_old = 0, count_new = 0;
    struct buf body;
    buf_init(&body, out->max);
    size_t new_from = h->new_from - (h->old_from - from);
    enum err e = ERR_OK;
    do {
        last = *h;
        e = add_lines(' ', old, at, last.old_from, plain, &body);
        e = e == ERR_OK ? add_lines('-', old, last.old_from, last.old_to, plain, &body) : e;
        e = e == ERR_OK ? add_lines('+', new, last.new_from, last.new_to, plain, &body) : e;
        count_new += lines_in(old, at, last.old_from) + lines_in(new, last.new_from, last.new_to);
        at = last.old_to;
        *more = diff_next(old, new, h);
    } while (e == ERR_OK && *more && h->old_from <= lines_on(old, at, 2 * CONTEXT));
    size_t to = lines_on(old, at, CONTEXT);
    e = e == ERR_OK ? add_lines(' ', old, at, to, plain, &body) : e;
    count_new += lines_in(old, at, to);
    count_old = lines_in(old, from, to);
    if (e == ERR_OK)
        e = buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", lines_in(old, 0, from) + (count_old > 0),
                       count_old, lines_in(new, 0, new_from) + (count_new > 0), count_new);
    e = e == ERR_OK ? buf_add(out, buf_span(&body)) : e;
    buf_deinit(&body);
    return e;
}

enum err diff_unified(struct span old, struct span new, const char *name, const char *const *plain,
                      struct buf *out)
{
    struct diff_hunk h = {0};
    bool more = diff_next(old, new, &h);
    enum err e = more ? buf_printf(out, "--- %s\n+++ %s\n", name, name) : ERR_OK;
    while (more && e == ERR_OK)
        e = add_group(old, new, &h, &more, plain, out);
    return e;
}
