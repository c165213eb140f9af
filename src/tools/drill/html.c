/* The timeline: one page without a script or a foreign file. For each drill a picture of three
 * strips over one axis of seconds:
 *
 *   good answers and lost ones per quarter second, stacked by who answered   | fault band behind
 *   time to the first token of each streamed conversation, at its plan      |
 *   the lead's circuit                                                       |
 *
 * Every number is drawn from the records themselves; a mouse over a mark tells it in words. */
#include "base/span.h"
#include "tools/drill/report.h"

#define WIDTH 920.0
#define LEFT 46.0
#define RIGHT 10.0
#define BARS_TOP 8.0
#define BARS_HEIGHT 90.0
#define DOTS_TOP 116.0
#define DOTS_HEIGHT 70.0
#define STRIP_TOP 204.0
#define STRIP_HEIGHT 10.0
#define HEIGHT 238.0
#define BIN (250 * USEC_PER_MS)
#define BINS_MAX 2400 /* ten minutes */
#define DOTS_MAX 4000 /* of more conversations, every n-th is drawn */

struct scale {
    usec end;       /* of the time axis */
    usec ttft_most; /* of the dots' axis */
    size_t bin_most;
};

enum mark { MARK_LEAD, MARK_SPARE, MARK_CONTINUED, MARK_EXPECTED, MARK_BAD, MARK_COUNT };
static const char *const mark_class[MARK_COUNT] = {"l", "s", "c", "e", "b"};
static const char *const mark_words[MARK_COUNT] = {"answered by the lead", "answered by the spare",
                                                   "continued in the middle",
                                                   "an error, as expected", "lost or corrupt"};

static enum mark mark_of(const struct record *r, const struct course *c)
{
    switch (record_fate(r, c)) {
    case FATE_HIDDEN:
        return r->by == WHO_LEAD ? MARK_LEAD : MARK_SPARE;
    case FATE_CONTINUED:
        return MARK_CONTINUED;
    case FATE_REFUSED:
    case FATE_HONEST:
        return MARK_EXPECTED;
    default:
        return MARK_BAD;
    }
}

static double x_of(const struct scale *s, usec t)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * (double)t / (double)s->end;
}

static void rect(struct buf *out, const char *class, double x, double y, double w, double h)
{
    report_put(out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"",
               class, x, y, w > 0 ? w : 0, h > 0 ? h : 0);
}

/* ---- the strips ---- */

struct bins {
    size_t count;
    size_t at[BINS_MAX][MARK_COUNT];
};

static void fill(const struct run_result *r, struct bins *b)
{
    memset(b, 0, sizeof *b);
    for (size_t i = 0; i < r->count; i++) {
        size_t slot = (size_t)(r->records[i].ended / BIN);
        if (slot >= BINS_MAX)
            continue;
        b->at[slot][mark_of(&r->records[i], &r->course)]++;
        b->count = slot + 1 > b->count ? slot + 1 : b->count;
    }
}

static size_t height_of(const size_t bin[MARK_COUNT])
{
    size_t all = 0;
    for (int m = 0; m < MARK_COUNT; m++)
        all += bin[m];
    return all;
}

static void put_bars(const struct bins *b, const struct scale *s, struct buf *out)
{
    double width = x_of(s, BIN) - x_of(s, 0);
    for (size_t i = 0; i < b->count; i++) {
        double y = BARS_TOP + BARS_HEIGHT;
        for (int m = 0; m < MARK_COUNT; m++) {
            double h = BARS_HEIGHT * (double)b->at[i][m] / (double)s->bin_most;
            if (b->at[i][m] == 0)
                continue;
            y -= h;
            rect(out, mark_class[m], x_of(s, (usec)i * BIN), y, width - 0.5, h);
            report_put(out, "><title>%.2f s: %zu %s</title></rect>\n", (double)i * BIN / 1e6,
                       b->at[i][m], mark_words[m]);
        }
    }
}

static void put_dots(const struct run_result *r, const struct scale *s, struct buf *out)
{
    for (size_t i = 0; i < r->count; i += r->count / DOTS_MAX + 1) {
        const struct record *rec = &r->records[i];
        if (rec->first < 0)
            continue;
        usec took = rec->first - rec->planned;
        report_put(out,
                   "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2\"><title>%s, planned at "
                   "%.2f s: first token after %.0f ms; %s</title></circle>\n",
                   mark_class[mark_of(rec, &r->course)], x_of(s, rec->planned),
                   DOTS_TOP + DOTS_HEIGHT - DOTS_HEIGHT * (double)took / (double)s->ttft_most,
                   plan_shape_name(rec->shape), (double)rec->planned / 1e6, (double)took / 1e3,
                   mark_words[mark_of(rec, &r->course)]);
    }
}

static void put_circuit(const struct run_result *r, const struct scale *s, struct buf *out)
{
    static const char *const class[] = {"k0", "k0", "k2", "k3"};
    usec from = 0;
    enum circuit now = CIRCUIT_CLOSED;
    for (size_t i = 0; i <= r->circuit_count; i++) {
        usec to = i < r->circuit_count ? r->circuit[i].at : r->course.load_end;
        rect(out, class[now], x_of(s, from), STRIP_TOP, x_of(s, to) - x_of(s, from), STRIP_HEIGHT);
        report_put(out, "><title>the lead's circuit is %s from %.2f to %.2f s</title></rect>\n",
                   circuit_name(now), (double)from / 1e6, (double)to / 1e6);
        from = to;
        now = i < r->circuit_count ? r->circuit[i].to : now;
    }
}

static void put_axis(const struct scale *s, struct buf *out)
{
    usec step = USEC_PER_SEC;
    while (s->end / step > 20)
        step *= 5;
    for (usec t = 0; t <= s->end; t += step)
        report_put(out,
                   "<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/><text "
                   "x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%lld s</text>\n",
                   x_of(s, t), x_of(s, t), BARS_TOP, STRIP_TOP + STRIP_HEIGHT, x_of(s, t),
                   HEIGHT - 8, (long long)(t / USEC_PER_SEC));
    report_put(out,
               "<text x=\"4\" y=\"%.0f\">%zu/s</text><text x=\"4\" y=\"%.0f\">0</text><text "
               "x=\"4\" y=\"%.0f\">%.1f s</text><text x=\"4\" y=\"%.0f\">0</text><text x=\"4\" "
               "y=\"%.0f\">circuit</text>\n",
               BARS_TOP + 9, s->bin_most * (size_t)(USEC_PER_SEC / BIN), BARS_TOP + BARS_HEIGHT,
               DOTS_TOP + 9, (double)s->ttft_most / 1e6, DOTS_TOP + DOTS_HEIGHT, STRIP_TOP + 9);
}

static void put_bands(const struct variant_report *v, const struct scale *s, struct buf *out)
{
    const struct course *c = &v->result.course;
    double x = x_of(s, c->fault_at);
    rect(out, "f", x, BARS_TOP, x_of(s, c->fault_end) - x, STRIP_TOP + STRIP_HEIGHT - BARS_TOP);
    report_put(out, "><title>the fault: %.2f to %.2f s</title></rect>\n", (double)c->fault_at / 1e6,
               (double)c->fault_end / 1e6);
    report_put(out, "<text class=\"ft\" x=\"%.1f\" y=\"%.0f\">", x + 3, BARS_TOP + 9);
    report_escape(out, v->variant->id);
    report_put(out, "</text>\n");
}

static struct scale scale_of(const struct run_result *r, const struct bins *b)
{
    struct scale s = {.end = r->course.load_end, .ttft_most = 200 * USEC_PER_MS, .bin_most = 1};
    for (size_t i = 0; i < r->count; i++) {
        const struct record *rec = &r->records[i];
        s.end = rec->ended > s.end ? rec->ended : s.end;
        if (rec->first >= 0 && rec->first - rec->planned > s.ttft_most)
            s.ttft_most = rec->first - rec->planned;
    }
    for (size_t i = 0; i < b->count; i++)
        s.bin_most = height_of(b->at[i]) > s.bin_most ? height_of(b->at[i]) : s.bin_most;
    return s;
}

static void put_picture(const struct variant_report *v, struct buf *out)
{
    static struct bins bins; /* large; the drill has one thread */
    fill(&v->result, &bins);
    struct scale s = scale_of(&v->result, &bins);
    report_put(out,
               "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"timeline of %s.%s\">\n",
               WIDTH, HEIGHT, v->fault->id, v->variant->id);
    put_bands(v, &s, out);
    put_axis(&s, out);
    put_bars(&bins, &s, out);
    put_dots(&v->result, &s, out);
    put_circuit(&v->result, &s, out);
    report_put(out, "</svg>\n");
}

/* ---- the words around it ---- */

static void put_limits(const struct variant_report *v, struct buf *out)
{
    report_put(out, "<table><tr><th>limit</th><th>measured</th><th>most</th></tr>\n");
    for (int i = 0; i < LIMIT_COUNT; i++) {
        double value = 0;
        bool bad = false, known = figure_of(&v->result.figures, (enum limit)i, &value);
        for (size_t k = 0; k < v->broken_count; k++)
            bad = bad || v->broken[k].which == (enum limit)i;
        report_put(out, "<tr%s><td>%s</td><td>", bad ? " class=\"bad\"" : "", limit_rows[i].name);
        if (known)
            report_put(out, "%.4g %s", value, limit_rows[i].unit);
        else
            report_put(out, "-");
        report_put(out, "</td><td>");
        if (v->limits.set[i])
            report_put(out, "%g", v->limits.most[i]);
        report_put(out, "</td></tr>\n");
    }
    report_put(out, "</table>\n");
}

static void put_counts(const struct figures *f, struct buf *out)
{
    report_put(out, "<p>%zu conversations from the fault on:", f->count);
    for (int i = 0; i < FATE_COUNT; i++)
        if (f->fate[i] > 0)
            report_put(out, " %zu %s,", f->fate[i], fate_names[i]);
    report_put(out, " %zu by the lead, %zu by the spare.</p>\n", f->by_lead, f->by_spare);
}

static void put_variant(const struct variant_report *v, struct buf *out)
{
    report_put(out, "<h3>%s.%s <span class=\"v%d\">%s</span></h3>\n", v->fault->id, v->variant->id,
               (int)v->verdict, verdict_name(v->verdict));
    if (v->verdict == VERDICT_NOT_RUN || v->verdict == VERDICT_BROKEN) {
        report_put(out, "<p>");
        report_escape(out, v->verdict == VERDICT_BROKEN  ? v->result.trouble
                           : v->variant->not_run != NULL ? v->variant->not_run
                                                         : "stopped before it");
        report_put(out, "</p>\n");
        return;
    }
    put_picture(v, out);
    put_counts(&v->result.figures, out);
    if (v->result.first_trouble[0] != '\0') {
        report_put(out, "<p>First trouble: ");
        report_escape(out, v->result.first_trouble);
        report_put(out, "</p>\n");
    }
    put_limits(v, out);
}

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 "
    "1em;color:#1c1c1e;background:#fff}h1{font-size:1.5em}h2{font-size:1.2em;margin-top:2.2em;"
    "border-top:1px solid #8884;padding-top:1em}h3{font-size:1em;margin:1.6em 0 .4em}"
    "svg{width:100%;height:auto}text{font:10px system-ui,sans-serif;fill:currentColor}"
    ".g{stroke:#8883}.f{fill:#e5484d22}.ft{fill:#c62a2f}.l{fill:#3e63dd}.s{fill:#8e4ec6}"
    ".c{fill:#d6a800}.e{fill:#8b8d98}.b{fill:#e5484d}.k0{fill:#30a46c66}.k2{fill:#e5484d99}"
    ".k3{fill:#d6a80099}table{border-collapse:collapse;font-size:13px}td,th{padding:1px 14px 1px "
    "0;text-align:left}.bad{color:#e5484d;font-weight:600}.v1{color:#30a46c}.v2,.v3{color:#e5484d}"
    ".v0{color:#8b8d98}pre{background:#8881;padding:.8em;overflow:auto}i.k{display:inline-block;"
    "width:.8em;height:.8em;margin:0 .3em 0 1em}@media(prefers-color-scheme:dark){body{color:"
    "#eee;background:#111}}i.l{background:#3e63dd}i.s{background:#8e4ec6}i.c{background:#d6a800}"
    "i.e{background:#8b8d98}i.b{background:#e5484d}";

static void put_legend(struct buf *out)
{
    report_put(out, "<p>");
    for (int m = 0; m < MARK_COUNT; m++)
        report_put(out, "<i class=\"k %s\"></i>%s", mark_class[m], mark_words[m]);
    report_put(out, "</p>\n<p>Each picture: answers per second by when they ended; time to first "
                    "token of the streamed ones by when they were planned; the lead's circuit. The "
                    "red band is the fault.</p>\n");
}

static void put_verdicts(const struct drill_report *r, struct buf *out)
{
    struct buf lines;
    buf_init(&lines, REPORT_MAX);
    for (size_t at = 0, next; at < r->count; at = next) {
        (void)report_summary(r, at, &next);
        report_lines(r, at, false, &lines);
    }
    report_put(&lines, "%c", '\0');
    report_put(out, "<pre>");
    report_escape(out, lines.at);
    report_put(out, "</pre>\n");
    buf_deinit(&lines);
}

void report_html(const struct drill_report *r, struct buf *out)
{
    report_put(out,
               "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
               "name=\"viewport\" content=\"width=device-width\"><title>Hotspare drill</title>"
               "<style>%s</style></head><body>\n<h1>Hotspare drill</h1>\n<p>hotspare %s, seed "
               "%llu, %u conversations a second, fault window %.1f s%s.</p>\n",
               style, HOTSPARE_VERSION, (unsigned long long)r->seed, r->rate,
               (double)r->fault_time / 1e6, r->stopped ? ", stopped before its end" : "");
    put_legend(out);
    put_verdicts(r, out);
    for (size_t at = 0, next; at < r->count; at = next) {
        (void)report_summary(r, at, &next);
        report_put(out, "<h2>%s ", r->at[at].fault->id);
        report_escape(out, r->at[at].fault->name);
        report_put(out, "</h2>\n<p>");
        report_escape(out, r->at[at].fault->hypothesis);
        report_put(out, "</p>\n");
        for (size_t i = at; i < next; i++)
            put_variant(&r->at[i], out);
    }
    report_put(out, "</body></html>\n");
}
