/* One line for each row, as the table has them: cost, time to the end of an answer and speed, each
 * on a logarithmic scale of its own; estimates carry their range. Below it cost against time, with
 * the speed of all conversations as size: rows are known there by their number, as names would lie
 * on each other. What is not known has no mark: no place is invented for it. */
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
#define MAP_GAP 110.0 /* from the rows to the second picture */
#define MAP_HEIGHT 330.0
#define MAP_LEFT 70.0
#define DOT_LEAST 8.0
#define DOT_MOST 30.0

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

static void name_of(const struct matrix *m, size_t i, char name[256])
{
    const struct matrix_row *r = &m->rows[i];
    (void)snprintf(name, 256, "%zu  %s %s%s%s", i + 1, r->provider, r->model,
                   r->hardware ? ", " : "", r->hardware ? r->hardware : "");
}

static double label_width(const struct matrix *m)
{
    char name[256];
    double width = LABEL_LEAST;
    for (size_t i = 0; i < m->count; i++) {
        name_of(m, i, name);
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

/* ---- cost against time ---- */

static bool is_on_map(const struct matrix_row *r)
{
    return r->blended.v > 0 && r->total.v > 0;
}

static double fastest(const struct matrix *m)
{
    double most = 1;
    for (size_t i = 0; i < m->count; i++)
        if (is_on_map(&m->rows[i]) && m->rows[i].all.v > most)
            most = m->rows[i].all.v;
    return most;
}

/* The area is the speed; a row whose speed is not known is a small ring. */
static void dot(struct buf *out, const struct matrix *m, size_t i, double x, double y, double most)
{
    char name[256], number[8];
    const struct matrix_row *r = &m->rows[i];
    bool sized = r->all.v > 0;
    double radius = sized ? fmax(DOT_MOST * sqrt(r->all.v / most), DOT_LEAST) : DOT_LEAST;
    name_of(m, i, name);
    svg_put(out,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"%s\" "
            "stroke=\"%s\"><title>",
            x, y, radius, fill_of(r->total.basis), sized ? "0.35" : "0", fill_of(r->total.basis));
    svg_escaped(out, name);
    svg_put(out, ": %.3g USD, %.3g s", r->blended.v, r->total.v);
    if (sized)
        svg_put(out, ", %.0f tokens/s of all", r->all.v);
    svg_put(out, "</title></circle>\n");
    (void)snprintf(number, sizeof number, "%zu", i + 1);
    svg_text(out, &(struct svg_text){.x = x, .y = y + 4, .size = 11, .anchor = SVG_MIDDLE}, number);
}

static void map(struct buf *out, const struct matrix *m, const struct panel *cost,
                const struct panel *time, double top)
{
    struct svg_axis x = time->axis, y = cost->axis;
    double bottom = top + MAP_HEIGHT, most = fastest(m);
    x.from = MAP_LEFT;
    x.to = WIDTH - MARGIN;
    y.from = bottom;
    y.to = top;
    svg_text(out, &(struct svg_text){.x = MARGIN, .y = top - 38, .size = 17},
             "Cost against latency");
    svg_text(out, &(struct svg_text){.x = MARGIN, .y = top - 18, .muted = true},
             "up: USD per 1M tokens, blended; right: seconds for an answer; area: tokens/s of all "
             "conversations (a ring: not known); rows by number, those with both known");
    svg_ticks(out, &x, top, bottom, "");
    svg_ticks_up(out, &y, x.from, x.to, "");
    for (size_t i = 0; i < m->count; i++)
        if (is_on_map(&m->rows[i]))
            dot(out, m, i, svg_place(&x, m->rows[i].total.v), svg_place(&y, m->rows[i].blended.v),
                most);
}

static bool has_map(const struct matrix *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (is_on_map(&m->rows[i]))
            return true;
    return false;
}

void matrix_svg(const struct matrix *m, struct buf *out)
{
    struct panel panels[PANELS];
    double label = label_width(m), bottom = TOP + (double)m->count * ROW;
    bool mapped = has_map(m);
    lay_out(m, MARGIN + label + 16, panels);
    heading(out, m, bottom + (mapped ? MAP_GAP + MAP_HEIGHT : 0) + 34);
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
        name_of(m, i, name);
        svg_text(out, &(struct svg_text){.x = MARGIN, .y = y + 4, .most = label}, name);
        for (size_t k = 0; k < PANELS; k++)
            if (!isnan(value_at(&m->rows[i], &panels[k])->v))
                mark(out, &panels[k], y, value_at(&m->rows[i], &panels[k]));
    }
    if (mapped)
        map(out, m, &panels[0], &panels[1], bottom + MAP_GAP);
    svg_close(out);
}
