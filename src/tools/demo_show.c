/* What the demo says while it runs, on stderr: on a terminal one line that is redrawn, elsewhere a
 * line per second. Each conversation is one letter: C answered by Claude, O by OpenAI, a dot when
 * it waits for its first token or rests between two turns. */
#include "tools/demo_internal.h"
#include <stdlib.h>
#include <unistd.h>

#define DRAW_LIVE (100 * USEC_PER_MS)
#define DRAW_PLAIN (1 * USEC_PER_SEC)

void show_init(struct show *s)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    *s = (struct show){.to = stderr};
    s->live = isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0;
    s->colour = s->live && (no_color == NULL || no_color[0] == '\0');
    s->colour_result = s->colour && isatty(STDOUT_FILENO) == 1;
}

static void wipe(struct show *s)
{
    if (s->drawn)
        (void)fputs("\r\033[K", s->to);
    s->drawn = false;
}

void show_event(struct show *s, usec since_start, const char *what, bool trouble)
{
    const char *on = !s->colour ? "" : trouble ? "\033[1;33m" : "\033[1m";
    wipe(s);
    (void)fprintf(s->to, "%5.1f s  %s%s%s\n", (double)since_start / 1e6, on, what,
                  s->colour ? "\033[0m" : "");
    (void)fflush(s->to);
}

static char letter(const struct talk *t)
{
    if (t->call == NULL || !t->talked)
        return '.';
    if (t->phase == PHASE_DIRECT || strcmp(t->served_by, "claude") == 0)
        return 'C';
    return strcmp(t->served_by, "openai") == 0 ? 'O' : '?';
}

static void put_letter(struct show *s, char c)
{
    const char *colour = c == 'C' ? "\033[36m" : c == 'O' ? "\033[35m" : "\033[2m";
    if (s->colour)
        (void)fprintf(s->to, "%s%c\033[0m", colour, c);
    else
        (void)fputc(c, s->to);
}

void show_now(struct show *s, const struct demo *d)
{
    usec now = loop_now(d->loop);
    if (now - s->last < (s->live ? DRAW_LIVE : DRAW_PLAIN))
        return;
    s->last = now;
    int claude = 0, openai = 0;
    wipe(s);
    (void)fprintf(s->to, "%5.1f s  ", (double)(now - d->started) / 1e6);
    for (int i = 0; i < TALKS; i++) {
        char c = letter(&d->talks[i]);
        claude += c == 'C';
        openai += c == 'O';
        put_letter(s, c);
    }
    (void)fprintf(s->to, "  Claude %2d  OpenAI %2d  turns %llu  interrupted %llu%s", claude, openai,
                  (unsigned long long)d->score.turns, (unsigned long long)d->score.interrupted,
                  s->live ? "" : "\n");
    s->drawn = s->live;
    (void)fflush(s->to);
}

void show_end(struct show *s)
{
    wipe(s);
    (void)fflush(s->to);
}
