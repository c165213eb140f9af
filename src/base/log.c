/* One line per event, built on the stack and given to the kernel with one write, so that lines of
 * several threads and processes do not mix. Too long a line is cut, and says so with "...".
 *
 *   level=warn event=reload_refused file=/etc/hotspare.yaml why="line 3: unknown key" */
#include "base/log.h"

#include "base/mem.h"
#include "base/span.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)4096)
#define TAIL_BYTES ((size_t)8) /* kept free for the closing quote, "..." and the newline */

struct line {
    char at[LINE_MAX_BYTES];
    size_t len;
    bool full;
};

static _Atomic int level_most = LOG_INFO;
static _Thread_local const struct log_sink *diverted; /* NULL: to stderr */

void log_set_level(enum log_level most)
{
    atomic_store_explicit(&level_most, (int)most, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_most, memory_order_relaxed);
}

const struct log_sink *log_divert(const struct log_sink *to)
{
    const struct log_sink *before = diverted;
    diverted = to;
    return before;
}

static void add(struct line *l, struct span s)
{
    if (s.len > sizeof l->at - TAIL_BYTES - l->len)
        l->full = true;
    if (l->full || s.len == 0)
        return;
    memcpy(l->at + l->len, s.at, s.len);
    l->len += s.len;
}

/* Well-formed text other than blanks, quotes, controls (also the C1 ones, which some terminals
 * obey). Returns the character's length, 0 when it must be escaped. */
static size_t plain_char(struct span s)
{
    unsigned char c = (unsigned char)s.at[0];
    size_t len = utf8_char(s);
    if (len == 1)
        return c > 0x20 && c != 0x7F && c != '"' && c != '\\' && c != '=';
    if (len == 2 && c == 0xC2 && (unsigned char)s.at[1] < 0xA0)
        return 0;
    return len;
}

static bool is_plain(struct span s)
{
    if (s.len == 0)
        return false;
    while (s.len > 0) {
        size_t len = plain_char(s);
        if (len == 0)
            return false;
        s = span_drop(s, len);
    }
    return true;
}

static void add_escaped(struct line *l, unsigned char c)
{
    char hex[8];
    if (c == ' ' || c == '=')
        add(l, (struct span){(const char *)&c, 1});
    else if (c == '"')
        add(l, SPAN("\\\""));
    else if (c == '\\')
        add(l, SPAN("\\\\"));
    else if (c == '\n')
        add(l, SPAN("\\n"));
    else
        add(l, (struct span){hex, (size_t)snprintf(hex, sizeof hex, "\\x%02x", c)});
}

static void add_value(struct line *l, struct span s)
{
    if (is_plain(s)) {
        add(l, s);
        return;
    }
    add(l, SPAN("\""));
    while (s.len > 0 && !l->full) {
        size_t len = plain_char(s);
        if (len > 0)
            add(l, span_take(s, len));
        else
            add_escaped(l, (unsigned char)s.at[0]);
        s = span_drop(s, len > 0 ? len : 1);
    }
    if (l->full)
        return; /* finish() closes it */
    add(l, SPAN("\""));
}

static void finish(struct line *l, enum log_level level)
{
    const char *tail = l->full ? "...\"\n" : "\n";
    size_t len = strlen(tail);
    assert(len <= sizeof l->at - l->len);
    memcpy(l->at + l->len, tail, len);
    l->len += len;
    if (diverted) {
        diverted->line(diverted->ctx, level, (struct span){l->at, l->len - 1});
        return;
    }
    /* Nobody is left to be told when stderr is gone. */
    ssize_t written = write(STDERR_FILENO, l->at, l->len);
    (void)written;
}

void log_line(enum log_level level, const char *event, ...)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    if (!log_wants(level))
        return;
    struct line l;
    l.len = 0;
    l.full = false;
    add(&l, SPAN("level="));
    add(&l, span_from(names[level]));
    add(&l, SPAN(" event="));
    add_value(&l, span_from(event));
    va_list args;
    va_start(args, event);
    for (const char *key = va_arg(args, const char *); key; key = va_arg(args, const char *)) {
        struct span value = span_from(va_arg(args, const char *));
        if (value.len == 0)
            continue; /* a pair that says nothing is left out */
        add(&l, SPAN(" "));
        add(&l, span_from(key));
        add(&l, SPAN("="));
        add_value(&l, value);
    }
    va_end(args);
    finish(&l, level);
}

struct secret secret_copy(struct span s)
{
    char *at = mem_alloc(s.len + 1);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    at[s.len] = 0;
    return (struct secret){at, s.len};
}

void secret_wipe(struct secret *s)
{
    if (s->at)
        explicit_bzero(s->at, s->len);
    mem_free(s->at);
    *s = (struct secret){0};
}

void secret_hint(const struct secret *s, char out[24])
{
    if (s->len == 0)
        (void)snprintf(out, 24, "empty");
    else if (s->len < 12)
        (void)snprintf(out, 24, "set");
    else
        (void)snprintf(out, 24, "set, ...%.4s", s->at + s->len - 4);
}
