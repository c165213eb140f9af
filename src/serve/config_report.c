/* Problems as a person reads them: place, sentence, the line with a caret, and what to do. Lines
 * are shown without the secrets somebody may have written into them. */
#include "serve/config_internal.h"

#define SHOWN_MAX 140u

static struct span line_of(struct span text, int number)
{
    struct span line = SPAN_EMPTY;
    for (int i = 0; i < number; i++)
        if (!span_next(&text, '\n', &line))
            return SPAN_EMPTY;
    return span_ends(line, SPAN("\r")) ? span_take(line, line.len - 1) : line;
}

static bool is_reference(struct span word)
{
    return span_starts(word, SPAN("env:")) || span_starts(word, SPAN("file:")) ||
           span_starts(word, SPAN("cred:"));
}

static size_t word_len(struct span s)
{
    size_t n = 0;
    while (n < s.len && !memchr(" ,{}[]\"'\t", s.at[n], 9))
        n++;
    return n;
}

/* From how many bytes on a value under this name is taken for a secret: always under `key` and
 * its like, never under another key of the table, and when it is long under a name that nobody
 * knows, which may be a misspelled key or a client's name. */
static size_t secret_from(struct span word)
{
    while (word.len && memchr(":\"'", word.at[word.len - 1], 3))
        word.len--;
    if (span_is(word, "key")) /* also a TLS key's, whose path is no secret */
        return 1;
    for (size_t i = 0; i < config_row_count; i++) {
        const char *dot = strrchr(config_rows[i].path, '.');
        if (span_is(word, dot ? dot + 1 : config_rows[i].path))
            return config_rows[i].type == CONFIG_SECRET ? 1 : SIZE_MAX;
    }
    return 16;
}

static bool is_name(const char *at, size_t end, size_t len)
{
    bool quoted = end + 1 < len && (at[end] == '"' || at[end] == '\'') && at[end + 1] == ':';
    return quoted || at[end - 1] == ':';
}

/* Puts stars in the place of what may be a secret. all: every value of the line (it is about client
 * keys). A name where a value should be (the line may be no good YAML) is taken for a value. */
static void mask(char *at, size_t len, bool all)
{
    size_t from = all ? 1 : SIZE_MAX;
    bool value_next = false;
    for (size_t i = 0; i < len;) {
        struct span word = {at + i, word_len((struct span){at + i, len - i})};
        if (word.len == 0) {
            if (memchr(",{[", at[i], 3))
                value_next = false;
            i++;
            continue;
        }
        if (!value_next && is_name(at, i + word.len, len)) {
            all |= span_is(word, "keys:");
            from = all ? 1 : secret_from(word);
            value_next = true;
        } else if (!is_reference(word) && (word.len >= from || span_starts(word, SPAN("sk-")))) {
            memset(at + i, '*', word.len);
        }
        i += word.len;
    }
}

/* Byte index of the column-th character. */
static size_t byte_of_column(struct span line, int column)
{
    size_t i = 0;
    for (int c = 1; c < column && i < line.len; c++) {
        i++;
        while (i < line.len && ((unsigned char)line.at[i] & 0xc0) == 0x80)
            i++;
    }
    return i;
}

static void print_caret(struct span line, size_t from, size_t caret, struct buf *out)
{
    config_put(out, "       | ");
    for (size_t i = from; i < caret; i++)
        if (((unsigned char)line.at[i] & 0xc0) != 0x80)
            config_put(out, " ");
    config_put(out, "^\n");
}

static void print_line(struct span text, const struct config_problem *p, struct buf *out)
{
    struct span line = line_of(text, p->line);
    size_t caret = byte_of_column(line, p->column), from = 0;
    struct buf shown;
    if (line.len == 0)
        return;
    buf_init(&shown, line.len);
    enum err e = buf_add(&shown, line);
    assert(e == ERR_OK);
    mask(shown.at, shown.len, span_starts(span_from(p->text), SPAN("keys.")));
    for (size_t i = 0; i < shown.len; i++)
        if ((unsigned char)shown.at[i] < ' ' || shown.at[i] == 0x7f)
            shown.at[i] = ' ';
    if (caret > SHOWN_MAX / 2)
        from = caret - SHOWN_MAX / 2;
    while (from && from < line.len && ((unsigned char)line.at[from] & 0xc0) == 0x80)
        from++;
    struct span part = span_take(span_drop(buf_span(&shown), from), SHOWN_MAX);
    config_put(out, "%6d | %.*s\n", p->line, SPAN_FMT(part));
    print_caret(line, from, caret, out);
    buf_deinit(&shown);
}

void config_report_print(const struct config_report *r, const struct config_source *s,
                         struct buf *out)
{
    const char *file = !s->text.at ? "environment" : s->path ? s->path : "configuration";
    for (size_t i = 0; i < r->count; i++) {
        const struct config_problem *p = &r->at[i];
        config_put(out, "%s", file);
        if (p->line)
            config_put(out, ":%d:%d", p->line, p->column);
        config_put(out, ": %s: %s\n", p->warning ? "warning" : "error", p->text);
        if (p->line && s->text.at)
            print_line(s->text, p, out);
        if (p->fix)
            config_put(out, "         fix: %s\n", p->fix);
    }
}
