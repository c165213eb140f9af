/* One bar for the plan and one for each way that works: weights, cache, engine, against the memory
 * of a card. Plain shapes and text, colours that stay apart for the colour-blind. */
#include "tools/plan/options.h"

#define GIB 1073741824.0
#define WIDTH 900
#define LABEL_AT 12
#define BAR_AT 360
#define BAR_WIDTH 440
#define ROW 34
#define TOP 64

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
        if (*s == '<')
            put(out, "&lt;");
        else if (*s == '&')
            put(out, "&amp;");
        else if ((unsigned char)*s >= ' ')
            put(out, "%c", *s);
    }
}

static double part(struct buf *out, double at, int y, double bytes, double whole, const char *fill,
                   const char *name)
{
    double width = bytes / whole * BAR_WIDTH, left = BAR_AT + BAR_WIDTH + 60 - at;
    width = width > left ? left : width < 0 ? 0 : width; /* what is too long is cut at the edge */
    put(out,
        "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"20\" fill=\"%s\">"
        "<title>%s %.2f GiB</title></rect>\n",
        at, y, width, fill, name, bytes / GIB);
    return at + width;
}

static void row(struct buf *out, int index, const char *name, const struct deployment *d,
                const struct memory *m)
{
    int y = TOP + index * ROW;
    double at = BAR_AT, whole = m->visible > 0 ? m->visible : 1;
    put(out, "<text x=\"%d\" y=\"%d\">", LABEL_AT, y + 15);
    put_text(out, name);
    put(out, "</text>\n");
    at = part(out, at, y, m->weights_here, whole, "#0072b2", "weights");
    at = part(out, at, y, m->kv_sequence * d->sequences, whole, "#009e73", "cache");
    (void)part(out, at, y, m->overhead, whole, "#e69f00", "engine");
    put(out,
        "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"20\" fill=\"none\" "
        "stroke=\"#222\"/>\n",
        BAR_AT, y, m->budget / whole * BAR_WIDTH);
}

void plan_svg(const struct plan *p, struct buf *out)
{
    char verdict[160];
    const struct remedy *ways = p->o.suggest ? p->suggestions.at : p->remedies.at;
    size_t count = p->o.suggest ? p->suggestions.count : p->remedies.count, rows = 1;
    for (size_t i = 0; i < count; i++)
        rows += ways[i].possible;
    put(out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%zu\" "
        "font-family=\"sans-serif\" font-size=\"13\">\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
        WIDTH, TOP + rows * ROW + 10);
    put(out, "<text x=\"%d\" y=\"24\" font-size=\"16\">", LABEL_AT);
    put_text(out, p->o.suggest ? suggest_use_name(p->use) : p->d.model->id);
    put(out, " on ");
    put_text(out, p->d.gpu ? p->d.gpu->name : p->d.host->name);
    put(out, "</text>\n");
    put(out, "<text x=\"%d\" y=\"46\" fill=\"#555\">", LABEL_AT);
    put_text(out, p->o.suggest ? "ways that fit" : plan_verdict(p, verdict));
    put(out, " (blue weights, green cache, orange engine; frame: what may be used)</text>\n");
    int index = 0;
    if (!p->o.suggest)
        row(out, index++, "as asked", &p->d, &p->m);
    for (size_t i = 0; i < count; i++)
        if (ways[i].possible)
            row(out, index++, ways[i].what, &ways[i].d, &ways[i].m);
    put(out, "</svg>\n");
}
