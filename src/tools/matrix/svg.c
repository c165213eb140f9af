/* Cost against latency, speed of all conversations as size. Both axes are logarithmic. Hosted
 * models whose latency nobody has measured here stand in a column of their own, not at an invented
 * place. */
#include "tools/matrix/matrix_internal.h"
#include <math.h>

#define WIDTH 1000
#define HEIGHT 640
#define LEFT 300.0
#define RIGHT 960.0
#define TOP 60.0
#define BOTTOM 570.0
#define COLUMN_AT 70.0
#define LABEL_GAP 14.0

static void put(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);

static void put(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(out, format, args);
    va_end(args);
    (void)e; /* at the bound the picture is cut */
}

static void put_text(struct buf *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '<' || *s == '&')
            put(out, *s == '<' ? "&lt;" : "&amp;");
        else if ((unsigned char)*s >= ' ')
            put(out, "%c", *s);
    }
}

struct axis {
    double least, most, from, to;
};

static double place(const struct axis *a, double v)
{
    double span = log(a->most / a->least);
    return a->from + (a->to - a->from) * (span > 0 ? log(v / a->least) / span : 0.5);
}

static void widen(struct axis *a, double v)
{
    if (isnan(v))
        return;
    a->least = fmin(a->least, v / 1.3);
    a->most = fmax(a->most, v * 1.3);
}

static void ticks(struct buf *out, const struct axis *a, bool across)
{
    for (int power = -4; power < 5; power++)
        for (int i = 0; i < 3; i++) {
            double v = pow(10, power) * (i == 0 ? 1 : i == 1 ? 2 : 5), at = place(a, v);
            if (v < a->least || v > a->most)
                continue;
            if (across)
                put(out,
                    "<path d=\"M%.1f %.0fV%.0f\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%.0f\" "
                    "text-anchor=\"middle\">%g</text>\n",
                    at, TOP, BOTTOM, at, BOTTOM + 18, v);
            else
                put(out,
                    "<path d=\"M%.0f %.1fH%.0f\" stroke=\"#ddd\"/><text x=\"%.0f\" y=\"%.1f\" "
                    "text-anchor=\"end\">%g</text>\n",
                    COLUMN_AT, at, RIGHT, COLUMN_AT - 8, at + 4, v);
        }
}

/* Labels keep apart: each takes the first free line at or below the place it wants. */
struct labels {
    double x[MATRIX_ROWS_MAX], y[MATRIX_ROWS_MAX];
    size_t count;
};

static double free_line(struct labels *l, double x, double y)
{
    for (size_t i = 0; i < l->count; i++)
        if (fabs(l->x[i] - x) < 220 && fabs(l->y[i] - y) < LABEL_GAP - 0.5) {
            y = l->y[i] + LABEL_GAP;
            i = (size_t)-1; /* the new place may touch an earlier one */
        }
    l->x[l->count] = x;
    l->y[l->count++] = y;
    return y;
}

static void point(struct buf *out, const struct matrix_row *r, double x, double y, double most,
                  struct labels *l)
{
    const char *fill = r->kind == MATRIX_OWN ? "#009e73" : "#0072b2";
    bool sized = !isnan(r->all.v);
    double radius = sized ? 4 + 16 * sqrt(r->all.v / most) : 4;
    double line = free_line(l, x, y + 4);
    bool flip = x > RIGHT - 230;
    put(out,
        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"%s\" "
        "stroke=\"%s\"><title>",
        x, y, radius, fill, sized ? "0.45" : "0", fill);
    put_text(out, r->model);
    put(out, " %s: %.3g USD/M, %.3g s, %.0f tok/s</title></circle>\n<text x=\"%.1f\" y=\"%.1f\"%s>",
        r->hardware ? r->hardware : r->provider, r->blended.v, r->total.v, r->all.v,
        flip ? x - radius - 5 : x + radius + 5, line, flip ? " text-anchor=\"end\"" : "");
    put_text(out, strchr(r->model, '/') ? strchr(r->model, '/') + 1 : r->model);
    put(out, "</text>\n");
}

static void frame(struct buf *out, const struct axis *x, const struct axis *y)
{
    put(out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "font-family=\"sans-serif\" font-size=\"11\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
        "<text x=\"12\" y=\"24\" font-size=\"16\">Cost against latency</text>\n"
        "<text x=\"12\" y=\"42\">USD per million tokens, prompt and answer blended. Filled: own "
        "cards, estimated, area = tokens/s of all. Open: hosted, or measured here, speed of all "
        "not known.</text>\n",
        WIDTH, HEIGHT);
    ticks(out, x, true);
    ticks(out, y, false);
    put(out,
        "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">seconds to the end of the "
        "answer</text>\n<text x=\"%.0f\" y=\"%.0f\">latency not known here</text>\n"
        "<path d=\"M%.0f %.0fV%.0f\" stroke=\"#888\" stroke-dasharray=\"4 4\"/>\n",
        (LEFT + RIGHT) / 2, BOTTOM + 38, COLUMN_AT + 20, BOTTOM + 18, LEFT - 5, TOP, BOTTOM);
}

void matrix_svg(const struct matrix *m, struct buf *out)
{
    struct axis x = {1, 10, LEFT, RIGHT}, y = {0.1, 10, BOTTOM, TOP};
    struct labels labels = {.count = 0};
    double most = 1;
    for (size_t i = 0; i < m->count; i++) {
        widen(&x, m->rows[i].total.v);
        widen(&y, m->rows[i].blended.v);
        most = fmax(most, isnan(m->rows[i].all.v) ? 0 : m->rows[i].all.v);
    }
    frame(out, &x, &y);
    for (size_t i = 0; i < m->count; i++) {
        const struct matrix_row *r = &m->rows[i];
        if (!isnan(r->blended.v))
            point(out, r, isnan(r->total.v) ? COLUMN_AT + 20 : place(&x, r->total.v),
                  place(&y, r->blended.v), most, &labels);
    }
    put(out, "</svg>\n");
}
