/* Single values of the configuration, from text to field and back. The type is the key's, never
 * guessed from the text: `no`, `1e3`, `08` and `~` mean nothing but their letters here. */
#include "serve/config_internal.h"

#include "base/utf8.h"

#define TEXT_MAX 1024

static bool no(struct config_complaint *out, const char *what, const char *fix)
{
    *out = (struct config_complaint){what, fix};
    return false;
}

/* ---- words ---- */

#define WORD_MAX 40

static size_t least_of(size_t a, size_t b, size_t c)
{
    size_t n = a < b ? a : b;
    return n < c ? n : c;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b. */
static size_t edits(struct span a, struct span b)
{
    size_t rows[3][WORD_MAX + 1], *before = rows[0], *above = rows[1], *row = rows[2];
    assert(a.len <= WORD_MAX && b.len <= WORD_MAX);
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = a.at[i - 1] == b.at[j - 1];
            row[j] = least_of(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
                row[j] = least_of(row[j], row[j], before[j - 2] + 1);
        }
    }
    return row[b.len];
}

const char *config_nearest(struct span word, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t best_edits = word.len <= 3 ? 2 : 1 + word.len / 3; /* fewer than this */
    if (word.len == 0 || word.len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct span s = span_from(words[i]);
        size_t n = s.len > WORD_MAX ? WORD_MAX : edits(word, s);
        if (n < best_edits) {
            best = words[i];
            best_edits = n;
        }
    }
    return best;
}

bool config_name_ok(struct span name)
{
    if (name.len == 0 || name.len > 64)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return true;
}

static bool read_word(const struct config_row *row, struct arena *a, struct span text,
                      size_t *out_index, struct config_complaint *out)
{
    const char *words[CONFIG_WORDS_MAX];
    size_t count = config_row_words(row, words);
    struct span all = SPAN_EMPTY;
    for (size_t i = 0; i < count; i++) {
        if (span_is(text, words[i])) {
            *out_index = i;
            return true;
        }
        all = arena_printf(a, "%.*s%s%s", SPAN_FMT(all), i ? ", " : "", words[i]);
    }
    const char *near = config_nearest(text, words, count);
    const char *what =
        near ? arena_printf(a, "\"%.*s\" is not one of its words; did you mean \"%s\"?",
                            SPAN_FMT(text), near)
                   .at
             : arena_printf(a, "\"%.*s\" is not one of its words", SPAN_FMT(text)).at;
    return no(out, what, arena_printf(a, "write one of: %.*s", SPAN_FMT(all)).at);
}

/* ---- amounts ---- */

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit durations[] = {
    {"h", 3600000000u}, {"m", 60000000u}, {"s", 1000000u}, {"ms", 1000u}};
static const struct unit sizes[] = {
    {"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1}};

static const struct unit *units_of(enum config_type type)
{
    return type == CONFIG_DURATION ? durations : sizes;
}

static bool read_digits(struct span *text, uint64_t *out)
{
    size_t n = 0;
    while (n < text->len && text->at[n] >= '0' && text->at[n] <= '9')
        n++;
    if (n == 0 || n > 15 || (n > 1 && text->at[0] == '0'))
        return false;
    enum err e = span_u64(span_take(*text, n), out);
    *text = span_drop(*text, n);
    return e == ERR_OK;
}

static bool in_range(const struct config_row *row, struct arena *a, uint64_t n,
                     struct config_complaint *out)
{
    if (n >= row->least && n <= row->most)
        return true;
    struct buf range;
    buf_init(&range, 256);
    config_put(&range, "write a value from ");
    config_write_amount(row->type, row->least, &range);
    config_put(&range, " to ");
    config_write_amount(row->type, row->most, &range);
    no(out, "out of range", arena_cstr(a, buf_span(&range)));
    buf_deinit(&range);
    return false;
}

static bool read_amount(const struct config_row *row, struct arena *a, struct span text,
                        uint64_t *out_amount, struct config_complaint *out)
{
    bool is_duration = row->type == CONFIG_DURATION;
    const char *units = is_duration ? "ms, s, m or h" : "B, KiB, MiB or GiB";
    uint64_t n;
    struct span rest = text;
    if (!read_digits(&rest, &n))
        return no(out, is_duration ? "not a duration" : "not a size",
                  is_duration ? "write a whole number and its unit: 500ms, 8s, 5m, 1h"
                              : "write a whole number and its unit: 512KiB, 32MiB");
    for (size_t i = 0; i < 4; i++) {
        const struct unit *u = &units_of(row->type)[i];
        if (!span_is(rest, u->name))
            continue;
        *out_amount = n > UINT64_MAX / u->factor ? UINT64_MAX : n * u->factor;
        return in_range(row, a, *out_amount, out);
    }
    if (rest.len == 0)
        return no(out, arena_printf(a, "a %s without a unit", is_duration ? "duration" : "size").at,
                  arena_printf(a, "add one of %s: %llu%s", units, (unsigned long long)n,
                               is_duration ? "s" : "B")
                      .at);
    return no(out, arena_printf(a, "\"%.*s\" is not a unit", SPAN_FMT(rest)).at,
              arena_printf(a, "the units are %s", units).at);
}

void config_write_amount(enum config_type type, uint64_t n, struct buf *out)
{
    static const struct unit none = {"", 1};
    const struct unit *u = &none;
    if (type == CONFIG_DURATION || type == CONFIG_SIZE) {
        u = units_of(type);
        for (int i = 0; i < 3 && (n == 0 ? i < 2 : n % u->factor != 0); i++)
            u++;
    }
    config_put(out, "%llu%s", (unsigned long long)(n / u->factor), u->name);
}

/* ---- scalars ---- */

/* What neither a line of YAML nor a terminal shows as it is: controls, line breaks of other worlds,
 * the byte order mark, what is no character. */
static bool is_odd(const char *at, size_t len)
{
    static const char *const odd[] = {"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf",
                                      "\xef\xbf\xbe", "\xef\xbf\xbf"};
    unsigned char c = (unsigned char)at[0];
    if (len == 1)
        return c < 0x20 || c == 0x7f;
    if (len == 2)
        return c == 0xc2 && (unsigned char)at[1] < 0xa0;
    for (size_t i = 0; len == 3 && i < ARRAY_LEN(odd); i++)
        if (memcmp(at, odd[i], 3) == 0)
            return true;
    return false;
}

bool config_check_text(struct span text, struct config_complaint *out)
{
    if (text.len == 0)
        return no(out, "empty", "give it a value, or remove the key");
    if (text.len > TEXT_MAX)
        return no(out, "longer than 1024 bytes", NULL);
    for (size_t i = 0, n; i < text.len; i += n) {
        n = utf8_char(span_drop(text, i));
        if (n == 0 || is_odd(text.at + i, n))
            return no(out, "holds a control character or is no UTF-8",
                      "remove it; line breaks count");
    }
    return true;
}

static bool read_text(struct arena *a, struct span text, const char **out_text,
                      struct config_complaint *out)
{
    if (!config_check_text(text, out))
        return false;
    *out_text = arena_cstr(a, text);
    return true;
}

static bool read_listen(struct arena *a, struct span text, struct config_listen *to,
                        struct config_complaint *out)
{
    struct span host;
    if (url_host_port(text, &host, &to->port) != ERR_OK)
        return no(out, "not an address", "write host:port, as in 127.0.0.1:8484 or [::1]:8484");
    to->host = arena_cstr(a, host);
    return true;
}

static bool read_url(struct arena *a, struct span text, const char **out_text,
                     struct config_complaint *out)
{
    struct url url;
    const char *why;
    if (url_parse(text, &url, &why) != ERR_OK)
        return no(out, why, "write a base URL, as in https://api.example.com/v1");
    *out_text = arena_cstr(a, text);
    return true;
}

static bool read_secret(struct arena *a, struct span text, struct config_secret *to,
                        struct config_complaint *out)
{
    static const struct {
        const char *prefix;
        enum secret_form form;
    } forms[] = {{"env:", SECRET_ENV}, {"file:", SECRET_FILE}, {"cred:", SECRET_CRED}};
    if (!config_check_text(text, out))
        return false;
    *to = (struct config_secret){.form = SECRET_LITERAL};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct span prefix = span_from(forms[i].prefix);
        if (!span_starts(text, prefix))
            continue;
        to->form = forms[i].form;
        to->source = arena_copy(a, span_drop(text, prefix.len));
        if (to->source.len == 0)
            return no(out, "names no source", "write env:NAME, file:/path or cred:ID");
        if (to->form == SECRET_CRED && span_find(to->source, '/') >= 0)
            return no(out, "a credential's id holds no slash", "write cred:ID, or file:/path");
        return true;
    }
    if (text.at[0] == '$')
        return no(out, "variables are not expanded", "write env:NAME for a variable");
    to->value = secret_copy(text);
    return true;
}

bool config_read_value(const struct config_row *row, struct arena *a, struct span text, void *base,
                       struct config_complaint *out)
{
    void *at = (char *)base + row->offset;
    size_t word;
    uint64_t n;
    switch (row->type) {
    case CONFIG_LISTEN:
        return read_listen(a, text, at, out);
    case CONFIG_TEXT:
    case CONFIG_FILE:
        return read_text(a, text, at, out);
    case CONFIG_URL:
        return read_url(a, text, at, out);
    case CONFIG_SECRET:
        return read_secret(a, text, at, out);
    case CONFIG_KIND:
    case CONFIG_SPEAKS:
    case CONFIG_API:
    case CONFIG_AUTH:
    case CONFIG_USE:
    case CONFIG_START:
    case CONFIG_BOOL:
        if (!read_word(row, a, text, &word, out))
            return false;
        if (row->type == CONFIG_KIND)
            *(enum target_kind *)at = (enum target_kind)word;
        else if (row->type == CONFIG_START)
            *(enum engine_start *)at = (enum engine_start)word;
        else if (row->type == CONFIG_SPEAKS)
            *(enum dialect_id *)at = word ? DIALECT_OPENAI_CHAT : DIALECT_ANTHROPIC;
        else if (row->type == CONFIG_USE)
            *(unsigned *)at = (unsigned)word + 1;
        else if (row->type == CONFIG_API)
            *(enum config_api *)at = (enum config_api)word;
        else
            *(bool *)at = word != 0;
        return true;
    case CONFIG_DURATION:
        if (!read_amount(row, a, text, &n, out))
            return false;
        *(usec *)at = (usec)n;
        return true;
    case CONFIG_SIZE:
        if (!read_amount(row, a, text, &n, out))
            return false;
        *(size_t *)at = (size_t)n;
        return true;
    default:
        assert(row->type == CONFIG_COUNT);
        if (!read_digits(&text, &n) || text.len)
            return no(out, "not a whole number", "write decimal digits without quotes");
        if (!in_range(row, a, n, out))
            return false;
        *(uint32_t *)at = (uint32_t)n;
        return true;
    }
}

/* ---- writing ---- */

static bool is_safe_plain(struct span s)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/"
                               "_.:+@%=~-*";
    if (s.len == 0 || s.at[s.len - 1] == ':' || !memchr(safe, s.at[0], 63))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!memchr(safe, s.at[i], sizeof(safe) - 1))
            return false;
    return true;
}

void config_put(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(out, format, args);
    va_end(args);
    (void)e; /* see the header */
}

void config_write_text(struct span text, struct buf *out)
{
    if (is_safe_plain(text)) {
        config_put(out, "%.*s", SPAN_FMT(text));
        return;
    }
    config_put(out, "\"");
    for (size_t i = 0; i < text.len; i++)
        config_put(out, "%s%c", text.at[i] == '"' || text.at[i] == '\\' ? "\\" : "", text.at[i]);
    config_put(out, "\"");
}

static bool write_optional(const char *text, struct buf *out)
{
    if (text)
        config_write_text(span_from(text), out);
    return text != NULL;
}

static void write_listen(const struct config_listen *l, struct buf *out)
{
    if (strchr(l->host, ':'))
        config_put(out, "\"[%s]:%u\"", l->host, l->port);
    else
        config_put(out, "%s:%u", l->host, l->port);
}

static bool write_secret(const struct config_secret *s, struct buf *out)
{
    static const char *const forms[] = {[SECRET_ENV] = "env:",
                                        [SECRET_FILE] = "file:",
                                        [SECRET_CRED] = "cred:",
                                        [SECRET_LITERAL] = "not-shown"};
    struct buf text;
    if (s->form == SECRET_NONE)
        return false;
    buf_init(&text, TEXT_MAX + 16);
    config_put(&text, "%s%.*s", forms[s->form], SPAN_FMT(s->source));
    config_write_text(buf_span(&text), out);
    buf_deinit(&text);
    return true;
}

/* [ one, two ] */
static bool write_list(const char *const *words, struct buf *out)
{
    for (size_t i = 0; words && words[i]; i++) {
        config_put(out, i ? ", " : "[ ");
        config_write_text(span_from(words[i]), out);
    }
    if (words)
        config_put(out, " ]");
    return words != NULL;
}

bool config_write_value(const struct config_row *row, const void *base, struct buf *out)
{
    const void *at = (const char *)base + row->offset;
    const char *words[CONFIG_WORDS_MAX];
    uint64_t n;
    (void)config_row_words(row, words);
    switch (row->type) {
    case CONFIG_LISTEN:
        write_listen(at, out);
        return true;
    case CONFIG_TEXT:
    case CONFIG_FILE:
    case CONFIG_URL:
        return write_optional(*(const char *const *)at, out);
    case CONFIG_SECRET:
        return write_secret(at, out);
    case CONFIG_KIND:
        return write_optional(words[*(const enum target_kind *)at], out);
    case CONFIG_SPEAKS:
        return write_optional(words[*(const enum dialect_id *)at != DIALECT_ANTHROPIC], out);
    case CONFIG_USE:
        n = *(const unsigned *)at;
        return write_optional(n ? words[n - 1] : NULL, out);
    case CONFIG_API:
        return write_optional(words[*(const enum config_api *)at], out);
    case CONFIG_START:
        return write_optional(words[*(const enum engine_start *)at], out);
    case CONFIG_WORDS:
        return write_list(*(const char *const *const *)at, out);
    case CONFIG_AUTH:
    case CONFIG_BOOL:
        return write_optional(words[*(const bool *)at], out);
    case CONFIG_DURATION:
        memcpy(&n, at, sizeof(n)); /* a usec that is not negative */
        config_write_amount(row->type, n, out);
        return true;
    case CONFIG_SIZE:
        config_write_amount(row->type, *(const size_t *)at, out);
        return true;
    default:
        assert(row->type == CONFIG_COUNT);
        config_write_amount(row->type, *(const uint32_t *)at, out);
        return true;
    }
}
