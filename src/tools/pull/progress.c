/* See progress.h. The speed is that of this run: bytes that were there before count for the bar,
 * not for the speed. */
#include "tools/pull/progress.h"
#include "tools/pull/hub.h"
#include <stdarg.h>
#include <unistd.h>

#define BAR_EVERY (200 * USEC_PER_MS)
#define LINE_EVERY (10 * USEC_PER_SEC)
#define BAR_CELLS 24u
#define LINE_MAX_BYTES 2048u

void progress_init(struct progress *p, bool quiet)
{
    const char *term = getenv("TERM");
    *p = (struct progress){.quiet = quiet};
    p->bar = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

void progress_begin(struct progress *p, const char *name, uint64_t size, uint64_t start, usec now)
{
    char all[HUB_BYTES_TEXT], had[HUB_BYTES_TEXT];
    p->name = name;
    p->size = size;
    p->start = start;
    p->began = p->told = now;
    if (start > 0)
        progress_say(p, "%zu/%zu %s, %s: goes on from %s", p->index, p->count, name,
                     hub_bytes(all, (double)size), hub_bytes(had, (double)start));
    else
        progress_say(p, "%zu/%zu %s, %s", p->index, p->count, name, hub_bytes(all, (double)size));
}

static void left_text(char text[24], double seconds)
{
    if (seconds < 90)
        (void)snprintf(text, 24, "%.0f s left", seconds);
    else if (seconds < 5400)
        (void)snprintf(text, 24, "%.0f min left", seconds / 60);
    else
        (void)snprintf(text, 24, "%.1f h left", seconds / 3600);
}

static void figures(const struct progress *p, uint64_t done, usec now, char *text, size_t cap)
{
    char have[HUB_BYTES_TEXT], rate[HUB_BYTES_TEXT], left[24];
    double seconds = (double)(now - p->began) / 1e6,
           speed = seconds > 0 ? (double)(done - p->start) / seconds : 0;
    if (speed > 0)
        left_text(left, (double)(p->size - done) / speed);
    (void)snprintf(text, cap, "%3.0f %%  %s  %s/s%s%s",
                   p->size ? 100.0 * (double)done / (double)p->size : 100.0,
                   hub_bytes(have, (double)done), hub_bytes(rate, speed), speed > 0 ? "  " : "",
                   speed > 0 ? left : "");
}

static void draw(struct progress *p, uint64_t done, const char *text)
{
    char cells[BAR_CELLS + 1];
    size_t full = p->size ? (size_t)((double)done / (double)p->size * BAR_CELLS) : BAR_CELLS;
    memset(cells, '.', BAR_CELLS);
    memset(cells, '#', full > BAR_CELLS ? BAR_CELLS : full);
    cells[BAR_CELLS] = 0;
    (void)fprintf(stderr, "\r[%s] %s\x1b[K", cells, text);
    (void)fflush(stderr);
    p->drawn = true;
}

void progress_at(struct progress *p, uint64_t done, usec now)
{
    char text[128];
    if (p->quiet || now - p->told < (p->bar ? BAR_EVERY : LINE_EVERY))
        return;
    p->told = now;
    figures(p, done, now, text, sizeof text);
    if (p->bar)
        draw(p, done, text);
    else
        (void)fprintf(stderr, "  %s\n", text);
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        (void)fputs("\r\x1b[K", stderr);
    p->drawn = false;
}

void progress_say(struct progress *p, const char *format, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args); /* a longer line is cut */
    va_end(args);
    if (p->quiet)
        return;
    progress_end(p);
    (void)fprintf(stderr, "%s\n", text);
}
