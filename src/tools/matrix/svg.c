/* One line for each row, as the table has them: cost, time to the end of an answer and speed, each
 * on a logarithmic scale of its own. Estimates carry their range. What is not known has no mark: no
 * place is invented for it. */
#include "tools/matrix/matrix_internal.h"
#include "tools/svg.h"
#include <math.h>

#define WIDTH 1240.0
#define MARGIN 14.0
#define LABEL_LEAST 200.0
#define LABEL_MOST 470.0
#define GAP 46.0
#define ROW 22.0
#define TOP 96.0

struct panel {
    const char *title;
    size_t at; /* of the value in a row */
    struct svg_axis axis;
};
#define PANELS 3

static const struct {
    const char *title;
    size_t at;
} columns[PANELS] = {
    {"USD per 1M tokens, blended", offsetof(struct matrix_row, blended)},
    {"seconds for an answer", offsetof(struct matrix_row, total)},
    {"tokens/s, one alone", offsetof(struct matrix_row, speed)},
};

static const struct svg_key keys[] = {
    {SVG_BLUE, "listed"}, {SVG_ORANGE, "estimated, with its range"}, {SVG_GREEN, "measured"}};

static const char *fill_of(enum matrix_basis b)
{
    return b == MATRIX_LISTED ? SVG_BLUE : b == MATRIX_MEASURED ? SVG_GREEN : SVG_ORANGE;
}

static const struct matrix_value *value_at(const struct matrix_row *r, const struct panel *p)
{
    return (const void *)((const char *)r + p->at);
}

/* The scale holds each value with its range, and a little more. */
static struct svg_axis scale_of(const struct matrix *m, const struct panel *p)
{
    struct svg_axis a = {INFINITY, 0, 0, 0, true};
    for (size_t i = 0; i < m->count; i++) {
        const struct matrix_value *v = value_at(&m->rows[i], p);
        if (!(v->v > 0))
            continue;
        a.least = fmin(a.least, v->range.most > 0 ? v->range.least : v->v);
        a.most = fmax(a.most, fmax(v->range.most, v->v));
    }
    if (a.most <= 0)
        a.least = a.most = 1;
    a.least /= 1.3;
    a.most *= 1.3;
    return a;
}

static void lay_out(const struct matrix *m, double left, struct panel panels[PANELS])
{
    double width = (WIDTH - MARGIN - left - GAP * (PANELS - 1)) / PANELS;
    for (size_t i = 0; i < PANELS; i++) {
        panels[i] = (struct panel){.title = columns[i].title, .at = columns[i].at};
        panels[i].axis = scale_of(m, &panels[i]);
        panels[i].axis.from = left + (double)i * (width + GAP);
        panels[i].axis.to = panels[i].axis.from + width;
    }
}

static void mark(struct buf *out, const struct panel *p, double y, const struct matrix_value *v)
{
    const char *fill = fill_of(v->basis);
    double x = svg_place(&p->axis, v->v);
    if (v->range.most > 0)
        svg_put(out,
                "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\" stroke-width=\"3\" "
                "stroke-opacity=\"0.45\"/>\n",
                svg_place(&p->axis, v->range.least), y, svg_place(&p->axis, v->range.most), fill);
    svg_put(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"><title>%.3g %s, %s", x, y,
            fill, v->v, p->title, matrix_basis_name(v->basis));
    if (v->as_of) {
        svg_put(out, " ");
        svg_escaped(out, v->as_of);
    }
    svg_put(out, "</title></circle>\n");
}

static void name_of(const struct matrix_row *r, char name[256])
{
    (void)snprintf(name, 256, "%s %s%s%s", r->provider, r->model, r->hardware ? ", " : "",
                   r->hardware ? r->hardware : "");
}

static double label_width(const struct matrix *m)
{
    char name[256];
    double width = LABEL_LEAST;
    for (size_t i = 0; i < m->count; i++) {
        name_of(&m->rows[i], name);
        width = fmax(width, svg_text_width(name, SVG_FONT));
    }
    return fmin(width, LABEL_MOST);
}

static void heading(struct buf *out, const struct matrix *m, double height)
{
    char text[160];
    svg_open(out, WIDTH, height, "Cost, latency and speed");
    svg_text(out, &(struct svg_text){.x = MARGIN, .y = 26, .size = 17}, "Cost, latency and speed");
    (void)snprintf(text, sizeof text, "prompt %.0f, answer %.0f tokens; no mark: not known%s%s",
                   m->isl, m->osl, m->order ? "; best first for " : "", m->order ? m->order : "");
    double end = svg_legend(out, MARGIN, 50, keys, ARRAY_LEN(keys));
    svg_text(out,
             &(struct svg_text){.x = end, .y = 50, .most = WIDTH - end - MARGIN, .muted = true},
             text);
}

void matrix_svg(const struct matrix *m, struct buf *out)
{
    struct panel panels[PANELS];
    double label = label_width(m), bottom = TOP + (double)m->count * ROW;
    lay_out(m, MARGIN + label + 16, panels);
    heading(out, m, bottom + 34);
    for (size_t i = 1; i < m->count; i += 2)
        svg_stripe(out, TOP + (double)i * ROW, ROW);
    for (size_t i = 0; i < PANELS; i++) {
        const struct svg_axis *a = &panels[i].axis;
        svg_text(out, &(struct svg_text){.x = a->from, .y = TOP - 14, .most = a->to - a->from},
                 panels[i].title);
        svg_ticks(out, a, TOP - 4, bottom, "");
    }
    for (size_t i = 0; i < m->count; i++) {
        char name[256];
        double y = TOP + (double)i * ROW + ROW / 2;
        name_of(&m->rows[i], name);
        svg_text(out, &(struct svg_text){.x = MARGIN, .y = y + 4, .most = label}, name);
        for (size_t k = 0; k < PANELS; k++)
            if (!isnan(value_at(&m->rows[i], &panels[k])->v))
                mark(out, &panels[k], y, value_at(&m->rows[i], &panels[k]));
    }
    svg_close(out);
}
