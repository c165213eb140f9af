/* One bar for the plan and one for each way that works: weights, cache, engine, as shares of the
 * memory of a card, beside what each way gives. */
#include "tools/plan/options.h"
#include "tools/svg.h"
#include <math.h>

#define GIB 1073741824.0
#define WIDTH 1080.0
#define MARGIN 14.0
#define LABEL_MOST 400.0
#define BAR_TO 790.0 /* the end of a card's memory; what does not fit goes a little on */
#define OVER 24.0
#define ROW 30.0
#define BAR_HEIGHT 18.0
#define TOP 86.0

static const struct svg_key keys[] = {
    {SVG_BLUE, "weights"}, {SVG_GREEN, "cache"}, {SVG_ORANGE, "engine"}};

static double part(struct buf *out, const struct svg_axis *a, double at, double y, double share,
                   const struct svg_key *key, double bytes)
{
    char tooltip[64];
    double end = fmin(at + (a->to - a->from) * fmax(share, 0), a->to + OVER);
    (void)snprintf(tooltip, sizeof tooltip, "%s %.2f GiB", key->name, bytes / GIB);
    svg_bar(out, at, y, end - at, BAR_HEIGHT, key->fill, tooltip);
    return end;
}

/* What is said on the right: of what fits its speed, of the rest how much it is too large. */
static void outcome(char text[96], const struct deployment *d, const struct memory *m,
                    const struct speed *s)
{
    double used = m->weights_here + m->kv_sequence * d->sequences + m->overhead;
    if (m->fits)
        (void)snprintf(text, 96, "%.1f of %.1f GiB; %.3g tok/s", used / GIB, m->visible / GIB,
                       s->one);
    else
        (void)snprintf(text, 96, "%.1f of %.1f GiB: too large", used / GIB, m->visible / GIB);
}

static void row(struct buf *out, const struct svg_axis *a, double y, const char *name,
                const struct deployment *d, const struct memory *m, const struct speed *s)
{
    char text[96];
    double whole = m->visible > 0 ? m->visible : 1, at = a->from;
    const double bytes[] = {m->weights_here, m->kv_sequence * d->sequences, m->overhead};
    svg_text(out, &(struct svg_text){.x = MARGIN, .y = y + 14, .most = a->from - MARGIN - 10},
             name);
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++)
        at = part(out, a, at, y, bytes[i] / whole, &keys[i], bytes[i]);
    svg_put(out, "<rect class=\"line\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%g\"/>\n",
            a->from, y, (a->to - a->from) * fmin(m->budget / whole, 1), BAR_HEIGHT);
    outcome(text, d, m, s);
    svg_text(out,
             &(struct svg_text){.x = a->to + OVER + 10,
                                .y = y + 14,
                                .most = WIDTH - a->to - OVER - 10 - MARGIN,
                                .muted = !m->fits},
             text);
}

/* A way by what is done; a suggestion by what is run. */
static void name_of(const struct plan *p, const struct remedy *r, char name[256])
{
    if (p->o.suggest)
        (void)snprintf(name, 256, "%s, %s, %s", r->d.model->id, r->d.quant->id,
                       engine_name(r->d.engine));
    else
        (void)snprintf(name, 256, "%s", r->what);
}

/* Room for the longest name, within bounds. */
static double label_width(const struct plan *p, const struct remedy *ways, size_t count)
{
    char name[256];
    double width = 120;
    for (size_t i = 0; i < count; i++) {
        name_of(p, &ways[i], name);
        if (ways[i].possible)
            width = fmax(width, svg_text_width(name, SVG_FONT));
    }
    return fmin(width, LABEL_MOST);
}

static void heading(struct buf *out, const struct plan *p, double height)
{
    char title[200], verdict[160];
    const struct fact_gpu *g = p->d.gpu ? p->d.gpu : p->d.host;
    double most = WIDTH - 2 * MARGIN;
    if (p->o.suggest)
        (void)snprintf(title, sizeof title, "%s on %u x %s", suggest_use_name(p->use),
                       p->cards ? p->cards : 1, g->name);
    else
        (void)snprintf(title, sizeof title, "%s, %s, on %u x %s", p->d.model->id, p->d.quant->id,
                       p->d.tp * p->d.pp, g->name);
    svg_open(out, WIDTH, height, title);
    svg_text(out, &(struct svg_text){.x = MARGIN, .y = 26, .size = 17, .most = most}, title);
    svg_text(out, &(struct svg_text){.x = MARGIN, .y = 47, .most = most, .muted = true},
             p->o.suggest ? "models that fit, best first" : plan_verdict(p, verdict));
    double end = svg_legend(out, MARGIN, 70, keys, ARRAY_LEN(keys));
    svg_text(out,
             &(struct svg_text){.x = end, .y = 70, .most = WIDTH - end - MARGIN, .muted = true},
             "frame: what may be used; tok/s: estimates for one conversation");
}

void plan_svg(const struct plan *p, struct buf *out)
{
    const struct remedy *ways = p->o.suggest ? p->suggestions.at : p->remedies.at;
    size_t count = p->o.suggest ? p->suggestions.count : p->remedies.count, rows = !p->o.suggest;
    for (size_t i = 0; i < count; i++)
        rows += ways[i].possible;
    double bottom = TOP + (double)rows * ROW, y = TOP;
    struct svg_axis a = {0, 100, MARGIN + label_width(p, ways, count) + 10, BAR_TO, false};
    heading(out, p, bottom + 30);
    svg_ticks(out, &a, TOP - 6, bottom, " %");
    if (!p->o.suggest) {
        row(out, &a, y, "as asked", &p->d, &p->m, &p->s);
        y += ROW;
    }
    for (size_t i = 0; i < count; i++) {
        char name[256];
        name_of(p, &ways[i], name);
        if (!ways[i].possible)
            continue;
        row(out, &a, y, name, &ways[i].d, &ways[i].m, &ways[i].s);
        y += ROW;
    }
    svg_close(out);
}
