/* How a drill against one's own chain is told: lines, the plan, JSON, JUnit, one page. Pure. */
#include "base/span.h"
#include "json/json_write.h"
#include "tools/drill/own.h"

static const char not_measurable[] =
    "words lost, doubled or reordered within an answer, the dip in good answers per second, the "
    "times to recover and to return: real models do not answer in numbered words, and the end of a "
    "drill undoes its trace";

static const char *unit_of(const struct own_order *o)
{
    return o->in_usd ? "USD" : "tokens";
}

static const char *variant_name(const struct own_result *res, char out[80])
{
    (void)snprintf(out, 80, "%s.%s", res->fault->id, res->variant->id);
    return out;
}

static void put_spent(struct buf *out, const struct own_order *o, double spent)
{
    report_put(out, o->in_usd ? "%.4f %s" : "%.0f %s", spent, unit_of(o));
}

/* ---- lines ---- */

static void put_figures(const struct own_result *res, const struct own_order *o, struct buf *out)
{
    const struct own_counts *c = &res->counts;
    report_put(out, " met %llu: hidden %llu continued %llu lost %llu", (unsigned long long)c->met,
               (unsigned long long)c->hidden, (unsigned long long)c->continued,
               (unsigned long long)c->lost);
    if (c->told > 0)
        report_put(out, " told %llu", (unsigned long long)c->told);
    uint64_t unjudged = c->client_left + c->released + c->open;
    if (unjudged > 0)
        report_put(out, " without a verdict %llu", (unsigned long long)unjudged);
    report_put(out, "; interruption %.1f %%", own_interruption(c));
    if (o->limits.set[LIMIT_INTERRUPTION])
        report_put(out, " (limit %g)", o->limits.most[LIMIT_INTERRUPTION]);
    if (c->detect >= 0)
        report_put(out, " TTD %.2f s", (double)c->detect / 1e6);
    report_put(out, " slowest first word %.1f s", (double)c->first / 1e6);
    report_put(out, " longest gap %.1f s; own callers %llu of %llu good", (double)c->gap / 1e6,
               (unsigned long long)res->good, (unsigned long long)res->asked);
}

static void put_broken(const struct own_result *res, struct buf *out)
{
    for (size_t i = 0; i < res->broken_count; i++) {
        const struct broken *b = &res->broken[i];
        const struct limit_row *row = &limit_rows[b->which];
        if (b->happened)
            report_put(out, "   %s %.4g %s (limit %g)\n", row->name, b->value, row->unit, b->most);
        else
            report_put(out, "   %s did not happen (limit %g %s)\n", row->name, b->most, row->unit);
    }
}

void own_lines(const struct own_report *r, size_t index, bool colour, struct buf *out)
{
    const struct own_result *res = &r->at[index];
    char name[80];
    report_put(out, "%s %s%s%s", variant_name(res, name),
               colour ? verdict_colour(res->verdict) : "", verdict_name(res->verdict),
               colour ? "\033[0m" : "");
    if (res->verdict == VERDICT_NOT_RUN) {
        report_put(out, " %s\n", res->why);
        return;
    }
    put_figures(res, r->order, out);
    report_put(out, "\n");
    if (res->why[0] != '\0')
        report_put(out, "   %s\n", res->why);
    put_broken(res, out);
    if (res->first_trouble[0] != '\0' && !res->aborted) /* else `why` holds it */
        report_put(out, "   first trouble: %s\n", res->first_trouble);
}

void own_summary(const struct own_report *r, struct buf *out)
{
    report_put(out, "target %s; the drill's own %llu conversations used %llu + %llu tokens, ",
               r->target[0] ? r->target : "-", (unsigned long long)r->asked,
               (unsigned long long)r->input, (unsigned long long)r->output);
    put_spent(out, r->order, r->spent);
    report_put(out, " of at most ");
    put_spent(out, r->order, r->order->cap);
    report_put(out, " counted\n");
    if (r->ended_early[0] != '\0')
        report_put(out, "ended early: %s\n", r->ended_early);
    report_put(out, "not measurable on real models: %s\n", not_measurable);
}

/* ---- the plan ---- */

static void plan_faults(const struct own_report *r, struct buf *out)
{
    char name[80];
    for (size_t i = 0; i < r->count; i++) {
        const struct own_result *res = &r->at[i];
        if (res->why[0] != '\0')
            report_put(out, "  %-24s not run: %s\n", variant_name(res, name), res->why);
        else
            report_put(out, "  %-24s %s\n", variant_name(res, name), res->variant->steps[0].lead);
    }
}

static uint64_t runs_of(const struct own_report *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->at[i].why[0] == '\0';
    return n;
}

static void plan_rule(const struct own_order *o, struct buf *out)
{
    if (o->abort_lost >= 0)
        report_put(out, "abort      when more than %g conversations are lost or wrong\n",
                   o->abort_lost);
    if (o->abort_interruption >= 0)
        report_put(out,
                   "abort      when more than %g %% of those that met it (%d at least) are "
                   "lost\n",
                   o->abort_interruption, OWN_ABORT_LEAST);
}

static void plan_cost(const struct own_report *r, struct buf *out)
{
    const struct own_order *o = r->order;
    uint64_t runs = runs_of(r), asked = 1 + runs * (o->seconds * o->rate + 1);
    double most = (double)asked * own_most_of_one(o);
    uint64_t seconds = runs * o->seconds;
    report_put(out, "time       about %llu s and the last answers; at most %llu min\n",
               (unsigned long long)seconds, (unsigned long long)o->minutes);
    report_put(out, "own calls  at most %llu (%llu/s), ", (unsigned long long)asked,
               (unsigned long long)o->rate);
    put_spent(out, o, most < o->cap ? most : o->cap);
    report_put(out, " at most (cap ");
    put_spent(out, o, o->cap);
    report_put(out, ")\nyour users ");
    if (o->only_mine)
        report_put(out, "are not met: only the drill's own calls are\n");
    else
        report_put(out,
                   "%llu %% of their conversations meet each fault; one that does costs up to "
                   "one more upstream request, which no cap here counts\n",
                   (unsigned long long)o->percent);
    report_put(out, "circuits   %s\n",
               o->circuit ? "count these failures: all conversations may be moved, until the end"
                          : "do not count these failures: nobody else is moved");
}

void own_plan(const struct own_report *r, struct buf *out)
{
    const struct own_order *o = r->order;
    report_put(out, "gateway    %s, admin %s, model %s\n", o->gateway, o->admin, o->model);
    report_put(out, "target     %s\n",
               o->target != NULL ? o->target : "whoever answers the first question: the lead");
    report_put(out, "share      %llu %% of %s\n", (unsigned long long)o->percent,
               o->only_mine ? "the drill's own conversations" : "all conversations");
    plan_cost(r, out);
    plan_rule(o, out);
    report_put(out, "faults, %llu s each:\n", (unsigned long long)o->seconds);
    plan_faults(r, out);
}

/* ---- JSON ---- */

static void put_flag(struct json_out *w, const char *name, bool value)
{
    jw_key(w, name);
    jw_bool(w, value);
}

static void json_counts(struct json_out *w, const struct own_result *res)
{
    const struct own_counts *c = &res->counts;
    jw_key(w, "conversations");
    jw_object(w);
    report_json_count(w, "met", c->met);
    report_json_count(w, "hidden", c->hidden);
    report_json_count(w, "continued", c->continued);
    report_json_count(w, "told", c->told);
    report_json_count(w, "lost", c->lost);
    report_json_count(w, "client_left", c->client_left);
    report_json_count(w, "released", c->released);
    report_json_count(w, "open", c->open);
    report_json_count(w, "asked_elsewhere", c->elsewhere);
    jw_object_end(w);
    report_json_number(w, "interruption_percent", own_judged(c) > 0, own_interruption(c));
    report_json_number(w, "detect_s", c->detect >= 0, (double)c->detect / 1e6);
    report_json_number(w, "longest_gap_s", true, (double)c->gap / 1e6);
    report_json_number(w, "longest_first_content_s", true, (double)c->first / 1e6);
    report_json_number(w, "upstream_per_client", own_judged(c) > 0, own_billing(c));
    jw_key(w, "own_callers");
    jw_object(w);
    report_json_count(w, "asked", res->asked);
    report_json_count(w, "good", res->good);
    report_json_count(w, "lost_or_wrong", res->wrong);
    report_json_count(w, "corrupt", res->corrupt);
    report_json_number(w, "longest_gap_s", true, (double)res->gap / 1e6);
    jw_object_end(w);
    put_flag(w, "restored", res->restored);
    put_flag(w, "aborted", res->aborted);
    report_json_text(w, "first_trouble", res->first_trouble);
}

static void json_result(struct json_out *w, const struct own_result *res)
{
    char name[80];
    jw_object(w);
    report_json_text(w, "id", variant_name(res, name));
    report_json_text(w, "name", res->fault->name);
    report_json_text(w, "hypothesis", res->fault->hypothesis);
    report_json_text(w, "verdict", verdict_key(res->verdict));
    report_json_text(w, "why", res->why);
    if (res->verdict != VERDICT_NOT_RUN)
        json_counts(w, res);
    jw_key(w, "broken");
    jw_array(w);
    for (size_t i = 0; i < res->broken_count; i++) {
        jw_object(w);
        report_json_text(w, "limit", limit_rows[res->broken[i].which].name);
        report_json_number(w, "value", res->broken[i].happened, res->broken[i].value);
        report_json_number(w, "most", true, res->broken[i].most);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static void json_spending(struct json_out *w, const struct own_report *r)
{
    jw_key(w, "spending");
    jw_object(w);
    report_json_count(w, "own_conversations", r->asked);
    report_json_count(w, "input_tokens", r->input);
    report_json_count(w, "output_tokens", r->output);
    report_json_count(w, "answers_without_usage", r->untold);
    report_json_text(w, "unit", unit_of(r->order));
    report_json_number(w, "counted", true, r->spent);
    report_json_number(w, "cap", true, r->order->cap);
    jw_object_end(w);
}

void own_json(const struct own_report *r, struct buf *out)
{
    struct json_out w;
    json_out_buf(&w, out);
    jw_object(&w);
    report_json_text(&w, "schema", "hotspare.drill-own/1");
    report_json_text(&w, "version", HOTSPARE_VERSION);
    put_flag(&w, "ok", own_exit_code(r) == 0);
    put_flag(&w, "stopped", r->stopped);
    report_json_text(&w, "ended_early", r->ended_early);
    report_json_text(&w, "gateway", r->order->gateway);
    report_json_text(&w, "target", r->target);
    report_json_text(&w, "model", r->order->model);
    report_json_count(&w, "percent", r->order->percent);
    put_flag(&w, "only_mine", r->order->only_mine);
    put_flag(&w, "circuit", r->order->circuit);
    report_json_count(&w, "rate", r->order->rate);
    report_json_count(&w, "fault_s", r->order->seconds);
    json_spending(&w, r);
    report_json_text(&w, "not_measurable", not_measurable);
    jw_key(&w, "faults");
    jw_array(&w);
    for (size_t i = 0; i < r->count; i++)
        json_result(&w, &r->at[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    report_put(out, "\n");
}

/* ---- JUnit ---- */

static size_t count_of(const struct own_report *r, enum verdict v)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += r->at[i].verdict == v;
    return n;
}

static void junit_counts(const struct own_report *r, struct buf *out)
{
    report_put(out,
               " name=\"hotspare drill\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
               "skipped=\"%zu\">\n",
               r->count, count_of(r, VERDICT_FAIL), count_of(r, VERDICT_BROKEN),
               count_of(r, VERDICT_NOT_RUN));
}

void own_junit(const struct own_report *r, struct buf *out)
{
    static const char *const tags[] = {
        [VERDICT_NOT_RUN] = "skipped", [VERDICT_FAIL] = "failure", [VERDICT_BROKEN] = "error"};
    char name[80];
    report_put(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    junit_counts(r, out);
    report_put(out, "  <testsuite");
    junit_counts(r, out);
    for (size_t i = 0; i < r->count; i++) {
        const struct own_result *res = &r->at[i];
        report_put(out, "    <testcase classname=\"drill.own.%s\" name=\"%s\" time=\"%.1f\">",
                   res->fault->id, variant_name(res, name), (double)res->time / 1e6);
        if (res->verdict != VERDICT_PASS) {
            report_put(out, "<%s message=\"", tags[res->verdict]);
            report_escape(out, res->why);
            report_put(out, "\"/>");
        }
        report_put(out, "</testcase>\n");
    }
    report_put(out, "  </testsuite>\n</testsuites>\n");
}

/* ---- one page ---- */

static void html_row(const struct own_result *res, struct buf *out)
{
    const struct own_counts *c = &res->counts;
    char name[80];
    report_put(out, "<tr class=\"%s\"><td>%s</td><td>", verdict_key(res->verdict),
               variant_name(res, name));
    report_escape(out, res->fault->name);
    report_put(out, "</td><td>%s</td>", verdict_name(res->verdict));
    if (res->verdict == VERDICT_NOT_RUN)
        report_put(out, "<td colspan=\"7\"></td>");
    else
        report_put(out,
                   "<td>%llu</td><td>%llu</td><td>%llu</td><td>%llu</td><td>%.1f %%</td>"
                   "<td>%.1f s</td><td>%llu of %llu</td>",
                   (unsigned long long)c->met, (unsigned long long)c->hidden,
                   (unsigned long long)c->continued, (unsigned long long)c->lost,
                   own_interruption(c), (double)c->gap / 1e6, (unsigned long long)res->good,
                   (unsigned long long)res->asked);
    report_put(out, "<td>");
    report_escape(out, res->why);
    report_put(out, "</td></tr>\n");
}

void own_html(const struct own_report *r, struct buf *out)
{
    struct buf text;
    buf_init(&text, 65536);
    own_summary(r, &text);
    report_put(&text, "%c", '\0');
    report_put(out,
               "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>hotspare "
               "drill</title><style>body{font:15px sans-serif;margin:2em}td,th{padding:.3em "
               ".7em;text-align:left;border-bottom:1px solid #ccc}.pass td:nth-child(3){color:"
               "#060}.fail td:nth-child(3),.broken td:nth-child(3){color:#a00}.not_run{color:"
               "#666}</style></head><body><h1>Drill against ");
    report_escape(out, r->order->gateway);
    report_put(out, "</h1><p>");
    report_escape(out, text.at);
    report_put(out, "</p><table><tr><th>fault</th><th></th><th>verdict</th><th>met</th><th>hidden"
                    "</th><th>continued</th><th>lost</th><th>interruption</th><th>longest gap</th>"
                    "<th>own callers good</th><th>why</th></tr>\n");
    for (size_t i = 0; i < r->count; i++)
        html_row(&r->at[i], out);
    report_put(out, "</table></body></html>\n");
    buf_deinit(&text);
}
