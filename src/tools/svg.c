/* Shapes and text. The style sheet is in the picture: nothing is loaded from anywhere. */
#include "tools/svg.h"
#include "base/span.h"
#include "base/utf8.h"
#include <math.h>
#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6"
#define TICKS_APART 34.0 /* px between the numbers of an axis, at least */

void svg_put(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(out, format, args);
    va_end(args);
    (void)e; /* at the bound the picture is cut */
}

/* Bytes of the next character that may stand in a document; what may not is skipped. */
static size_t next_char(struct span *s)
{
    while (s->len) {
        size_t n = utf8_char(*s);
        if (n > 1 || (n == 1 && (unsigned char)s->at[0] >= ' ' && s->at[0] != 0x7f))
            return n;
        *s = span_drop(*s, n ? n : 1);
    }
    return 0;
}

static void put_char(struct buf *out, struct span c)
{
    static const struct {
        char c;
        const char *as;
    } escapes[] = {{'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'"', "&quot;"}};
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++)
        if (c.at[0] == escapes[i].c) {
            svg_put(out, "%s", escapes[i].as);
            return;
        }
    svg_put(out, "%.*s", SPAN_FMT(c));
}

void svg_escaped(struct buf *out, const char *text)
{
    struct span s = span_from(text);
    for (size_t n; (n = next_char(&s)) > 0; s = span_drop(s, n))
        put_char(out, span_take(s, n));
}

void svg_open(struct buf *out, double width, double height, const char *title)
{
    svg_put(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"%g\">\n<title>",
            width, height, width, height, SVG_FONT);
    svg_escaped(out, title);
    svg_put(
        out,
        "</title>\n<style>.bg{fill:#fff}text{fill:#1a1a1a}.m{fill:#555}.z{fill:#f5f5f5}"
        ".grid{stroke:#ddd}.line{stroke:#1a1a1a;fill:none}\n"
        "@media "
        "(prefers-color-scheme:dark){.bg{fill:#1b1b1b}text{fill:#eee}.m{fill:#aaa}.z{fill:#262626}"
        ".grid{stroke:#444}.line{stroke:#eee}}</style>\n"
        "<rect class=\"bg\" width=\"100%%\" height=\"100%%\"/>\n");
}

void svg_close(struct buf *out)
{
    svg_put(out, "</svg>\n");
}

/* Of a sans-serif letter, in shares of its size. */
static double char_width(struct span c)
{
    unsigned char first = (unsigned char)c.at[0];
    if (c.len == 1)
        return strchr(" .,:;'|!()[]ijlt/", first) ? 0.35
               : strchr("MWmw%@", first)          ? 0.95
               : first >= 'A' && first <= 'Z'     ? 0.68
                                                  : 0.60;
    if (c.len == 2)
        return 0.65;
    return c.len == 4 || first >= 0xe3 ? 1.0 : 0.85; /* from U+3000 on: as wide as high */
}

double svg_text_width(const char *text, double size)
{
    double width = 0;
    struct span s = span_from(text);
    for (size_t n; (n = next_char(&s)) > 0; s = span_drop(s, n))
        width += char_width(span_take(s, n));
    return width * size;
}

/* As much as takes `most` px, an ellipsis with it. */
static void put_cut(struct buf *out, const char *text, double size, double most)
{
    struct span s = span_from(text);
    double width = 0.85 * size;
    for (size_t n; (n = next_char(&s)) > 0; s = span_drop(s, n)) {
        width += char_width(span_take(s, n)) * size;
        if (width > most)
            break;
        put_char(out, span_take(s, n));
    }
    svg_put(out, ELLIPSIS "<title>");
    svg_escaped(out, text);
    svg_put(out, "</title>");
}

void svg_text(struct buf *out, const struct svg_text *t, const char *s)
{
    static const char *const anchors[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
    double size = t->size > 0 ? t->size : SVG_FONT;
    svg_put(out, "<text x=\"%.1f\" y=\"%.1f\"%s%s", t->x, t->y, anchors[t->anchor],
            t->muted ? " class=\"m\"" : "");
    if (t->size > 0)
        svg_put(out, " font-size=\"%g\"", t->size);
    svg_put(out, ">");
    if (t->most > 0 && svg_text_width(s, size) > t->most)
        put_cut(out, s, size, t->most);
    else
        svg_escaped(out, s);
    svg_put(out, "</text>\n");
}

void svg_bar(struct buf *out, double x, double y, double width, double height, const char *fill,
             const char *tooltip)
{
    svg_put(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"><title>",
            x, y, fmax(width, 0), height, fill);
    svg_escaped(out, tooltip);
    svg_put(out, "</title></rect>\n");
}

void svg_stripe(struct buf *out, double y, double height)
{
    svg_put(out, "<rect class=\"z\" y=\"%.1f\" width=\"100%%\" height=\"%.1f\"/>\n", y, height);
}

double svg_legend(struct buf *out, double x, double y, const struct svg_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        svg_bar(out, x, y - 10, 12, 12, keys[i].fill, keys[i].name);
        svg_text(out, &(struct svg_text){.x = x + 18, .y = y, .muted = true}, keys[i].name);
        x += 18 + svg_text_width(keys[i].name, SVG_FONT) + 18;
    }
    return x;
}

double svg_place(const struct svg_axis *a, double value)
{
    double share = a->log ? log(value / a->least) / log(a->most / a->least)
                          : (value - a->least) / (a->most - a->least);
    share = isfinite(share) ? fmin(fmax(share, 0), 1) : 0;
    return a->from + (a->to - a->from) * share;
}

/* One line of the grid, and its number where it does not touch the last one. across: the axis goes
 * up, its lines from `from` to `to` to the right. */
static void tick(struct buf *out, const struct svg_axis *a, double v, double from, double to,
                 const char *unit, bool across, double *last)
{
    char number[48];
    double at = svg_place(a, v);
    if (v < a->least * (1 - 1e-9) || v > a->most * (1 + 1e-9))
        return;
    if (across)
        svg_put(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", from, at, to);
    else
        svg_put(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", at, from, to);
    if (fabs(at - *last) < (across ? TICKS_APART / 2 : TICKS_APART))
        return;
    *last = at;
    (void)snprintf(number, sizeof number, "%g%s", v, unit);
    struct svg_text
        below = {.x = at, .y = to + 15, .size = 11, .anchor = SVG_MIDDLE, .muted = true},
        beside = {.x = from - 6, .y = at + 4, .size = 11, .anchor = SVG_END, .muted = true};
    svg_text(out, across ? &beside : &below, number);
}

/* 1, 2, 5, 10 ... of a logarithmic scale; about five steps of a linear one. */
static void ticks(struct buf *out, const struct svg_axis *a, double from, double to,
                  const char *unit, bool across)
{
    double last = -1e9;
    if (!a->log) {
        double step = pow(10, floor(log10((a->most - a->least) / 5)));
        step *= (a->most - a->least) / step > 12 ? 5 : (a->most - a->least) / step > 6 ? 2 : 1;
        for (int i = 0; i <= 20 && a->least + i * step <= a->most * (1 + 1e-9); i++)
            tick(out, a, a->least + i * step, from, to, unit, across, &last);
        return;
    }
    for (int power = -6; power < 9; power++)
        for (int i = 0; i < 3; i++)
            tick(out, a,
                 pow(10, power) * (i == 0   ? 1
                                   : i == 1 ? 2
                                            : 5),
                 from, to, unit, across, &last);
}

void svg_ticks(struct buf *out, const struct svg_axis *a, double top, double bottom,
               const char *unit)
{
    ticks(out, a, top, bottom, unit, false);
}

void svg_ticks_up(struct buf *out, const struct svg_axis *a, double left, double right,
                  const char *unit)
{
    ticks(out, a, left, right, unit, true);
}
