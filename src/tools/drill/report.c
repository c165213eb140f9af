/* See report.h. Whether a drill showed anything is judged first: a fault that was never committed
 * proves nothing, however good the figures. */
#include "tools/drill/report.h"
#include "base/mem.h"
#include "base/span.h"
#include "json/json_write.h"

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {[VERDICT_NOT_RUN] = "NOT RUN",
                                        [VERDICT_PASS] = "PASS",
                                        [VERDICT_FAIL] = "FAIL",
                                        [VERDICT_BROKEN] = "BROKEN"};
    return names[v];
}

/* out is larger than any report. */
void report_put(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(out, format, args);
    va_end(args);
    assert(e == ERR_OK);
}

void report_escape(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        const char *name = c == '&'    ? "&amp;"
                           : c == '<'  ? "&lt;"
                           : c == '>'  ? "&gt;"
                           : c == '"'  ? "&quot;"
                           : c == '\'' ? "&#39;"
                           : c < 0x20  ? " "
                           : c >= 0x7F ? "?" /* may be half a character: texts are cut */
                                       : NULL;
        if (name != NULL)
            report_put(out, "%s", name);
        else
            report_put(out, "%c", *p);
    }
}

/* ---- judging ---- */

#define LAG_MOST (50 * USEC_PER_MS) /* p95, planned to sent: beyond it figures say nothing */

static const char *shows_nothing(const struct run_result *r, const struct drill_variant *v)
{
    const struct figures *f = &r->figures;
    if (f->steady == 0 || f->r0 <= 0)
        return "there was no steady state: nothing was answered before the fault";
    if (f->late_sends.p95 > LAG_MOST)
        return "this machine was too busy: the drill itself sent its requests late";
    if (r->committed == 0 && r->lead_failures == 0)
        return "the fault was never met: no request came to it";
    if (v->expect == EXPECT_CALLERS_ERROR && f->fate[FATE_REFUSED] == 0)
        return "no caller was told its own error";
    if (v->expect == EXPECT_HONEST_ERROR && f->fate[FATE_HONEST] == 0)
        return "somebody could answer all the time";
    return NULL;
}

static void judge(struct variant_report *v)
{
    const char *nothing = v->result.failed ? NULL : shows_nothing(&v->result, v->variant);
    if (nothing != NULL) {
        v->result.failed = true;
        (void)snprintf(v->result.trouble, sizeof v->result.trouble, "%s", nothing);
    }
    v->verdict = VERDICT_BROKEN;
    if (v->result.failed)
        return;
    v->broken_count = limits_broken(&v->result.figures, &v->limits, v->broken);
    v->verdict = v->broken_count > 0 ? VERDICT_FAIL : VERDICT_PASS;
}

void report_add(struct drill_report *r, const struct drill_fault *f, const struct drill_variant *v,
                const struct limits *user, const struct run_result *result)
{
    if (r->count == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->at = mem_realloc(r->at, r->cap * sizeof *r->at);
    }
    struct variant_report *to = &r->at[r->count++];
    *to = (struct variant_report){
        .fault = f, .variant = v, .limits = catalogue_limits(f, user), .verdict = VERDICT_NOT_RUN};
    if (result == NULL)
        return;
    to->result = *result;
    judge(to);
}

void report_free(struct drill_report *r)
{
    for (size_t i = 0; i < r->count; i++)
        run_result_free(&r->at[i].result);
    mem_free(r->at);
    *r = (struct drill_report){0};
}

static bool any(const struct drill_report *r, enum verdict v)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->at[i].verdict == v)
            return true;
    return false;
}

bool report_broken(const struct drill_report *r)
{
    return any(r, VERDICT_BROKEN) || (!any(r, VERDICT_PASS) && !any(r, VERDICT_FAIL));
}

bool report_good(const struct drill_report *r)
{
    return any(r, VERDICT_PASS) && !any(r, VERDICT_BROKEN) && !any(r, VERDICT_FAIL);
}

/* ---- one fault ---- */

static void worst(const struct figures *f, enum limit which, bool *all, double *most)
{
    double value;
    if (!figure_of(f, which, &value))
        *all = false;
    else if (value > *most)
        *most = value;
}

static void add_variant(struct fault_summary *s, const struct variant_report *v, size_t *bad)
{
    const struct figures *f = &v->result.figures;
    s->limit_interruption =
        v->limits.set[LIMIT_INTERRUPTION] ? v->limits.most[LIMIT_INTERRUPTION] : LIMIT_NONE;
    s->verdict = v->verdict > s->verdict ? v->verdict : s->verdict;
    s->run += v->verdict != VERDICT_NOT_RUN;
    s->not_run += v->verdict == VERDICT_NOT_RUN;
    if (v->verdict == VERDICT_NOT_RUN || v->result.failed)
        return;
    s->count += f->count;
    *bad += (size_t)(f->interruption * (double)f->count / 100 + 0.5);
    for (int i = 0; i < FATE_COUNT; i++)
        s->fate[i] += f->fate[i];
    worst(f, LIMIT_DIP, &s->dipped, &s->dip);
    worst(f, LIMIT_AREA, &s->dipped, &s->area);
    worst(f, LIMIT_DETECT, &s->detected, &s->detect);
    worst(f, LIMIT_RECOVER, &s->recovered, &s->recover);
    worst(f, LIMIT_RETURN, &s->returned, &s->back);
}

struct fault_summary report_summary(const struct drill_report *r, size_t at, size_t *out_next)
{
    struct fault_summary s = {
        .detected = true, .recovered = true, .returned = true, .dipped = true};
    size_t bad = 0, i = at;
    for (; i < r->count && r->at[i].fault == r->at[at].fault; i++)
        add_variant(&s, &r->at[i], &bad);
    s.interruption = s.count > 0 ? 100.0 * (double)bad / (double)s.count : 0;
    *out_next = i;
    return s;
}

static void put_time(struct buf *out, const char *name, bool happened, double seconds, int decimals)
{
    if (happened)
        report_put(out, " %s %.*f s", name, decimals, seconds);
    else
        report_put(out, " %s -", name);
}

static void put_figures(const struct fault_summary *s, struct buf *out)
{
    report_put(out, " interruption %.1f %%", s->interruption);
    if (s->limit_interruption >= 0)
        report_put(out, " (limit %g)", s->limit_interruption);
    put_time(out, "TTD", s->detected, s->detect, 2);
    put_time(out, "TTR", s->recovered, s->recover, 0);
    if (s->dipped)
        report_put(out, " dip %.0f %% area %.0f req", s->dip, s->area);
    else
        report_put(out, " dip - area -");
}

const char *verdict_colour(enum verdict v)
{
    return v == VERDICT_PASS ? "\033[1;32m" : v == VERDICT_NOT_RUN ? "\033[2m" : "\033[1;31m";
}

static void put_broken(const struct variant_report *v, struct buf *out)
{
    for (size_t i = 0; i < v->broken_count; i++) {
        const struct broken *b = &v->broken[i];
        const struct limit_row *row = &limit_rows[b->which];
        report_put(out, "   %s.%s: %s ", v->fault->id, v->variant->id, row->name);
        if (b->happened)
            report_put(out, "%.4g %s (limit %g)\n", b->value, row->unit, b->most);
        else
            report_put(out, "did not happen (limit %g %s)\n", b->most, row->unit);
    }
    if (v->broken_count > 0 && v->result.first_trouble[0] != '\0')
        report_put(out, "   %s.%s: first trouble: %s\n", v->fault->id, v->variant->id,
                   v->result.first_trouble);
}

void report_lines(const struct drill_report *r, size_t at, bool colour, struct buf *out)
{
    size_t next;
    struct fault_summary s = report_summary(r, at, &next);
    report_put(out, "%s %s%s%s", r->at[at].fault->id, colour ? verdict_colour(s.verdict) : "",
               verdict_name(s.verdict), colour ? "\033[0m" : "");
    if (s.count > 0)
        put_figures(&s, out);
    report_put(out, "\n");
    for (size_t i = at; i < next; i++) {
        const struct variant_report *v = &r->at[i];
        put_broken(v, out);
        if (v->verdict == VERDICT_BROKEN)
            report_put(out, "   %s.%s: the drill failed: %s\n", v->fault->id, v->variant->id,
                       v->result.trouble);
        if (v->verdict == VERDICT_NOT_RUN)
            report_put(out, "   %s.%s: not run: %s\n", v->fault->id, v->variant->id,
                       v->variant->not_run != NULL ? v->variant->not_run : "stopped before it");
    }
}

/* ---- JSON ---- */

void report_json_count(struct json_out *w, const char *name, uint64_t n)
{
    jw_key(w, name);
    jw_i64(w, (int64_t)n);
}

void report_json_text(struct json_out *w, const char *name, const char *text)
{
    jw_key(w, name);
    if (text != NULL && text[0] != '\0')
        jw_str(w, span_from(text)); /* may hold what a peer said */
    else
        jw_null(w);
}

void report_json_number(struct json_out *w, const char *name, bool known, double n)
{
    jw_key(w, name);
    if (known)
        jw_double(w, n);
    else
        jw_null(w);
}

static void put_usec(struct json_out *w, const char *name, usec t)
{
    report_json_number(w, name, t >= 0, (double)t / 1e6);
}

static void put_ms(struct json_out *w, const char *name, usec t)
{
    report_json_number(w, name, t >= 0, (double)t / 1e3);
}

static void json_spread(struct json_out *w, const char *name, const struct spread *s)
{
    jw_key(w, name);
    jw_object(w);
    report_json_count(w, "count", s->count);
    put_ms(w, "p50", s->p50);
    put_ms(w, "p95", s->p95);
    if (s->p99 >= 0)
        put_ms(w, "p99", s->p99);
    put_ms(w, "max", s->max);
    jw_object_end(w);
}

static void json_added(struct json_out *w, const char *name, const struct spread *steady,
                       const struct spread *over)
{
    bool known = steady->count > 0 && over->count > 0;
    jw_key(w, name);
    jw_object(w);
    report_json_number(w, "p50", known, (double)(over->p50 - steady->p50) / 1e3);
    report_json_number(w, "p95", known, (double)(over->p95 - steady->p95) / 1e3);
    report_json_number(w, "max", known, (double)(over->max - steady->max) / 1e3);
    jw_object_end(w);
}

static void json_fates(struct json_out *w, const size_t fate[FATE_COUNT])
{
    for (int i = 0; i < FATE_COUNT; i++)
        report_json_count(w, fate_names[i], fate[i]);
}

static void json_times(struct json_out *w, const struct figures *f)
{
    put_usec(w, "detect_s", f->detect);
    put_usec(w, "open_s", f->open);
    put_usec(w, "recover_s", f->recover);
    put_usec(w, "return_s", f->back);
    report_json_count(w, "flaps", f->flaps);
    jw_key(w, "rps");
    jw_object(w);
    report_json_number(w, "steady", true, f->r0);
    report_json_number(w, "dip_percent", f->dip >= 0, f->dip);
    report_json_number(w, "area_requests", f->area >= 0, f->area);
    report_json_number(w, "full_outage_s", f->area >= 0 && f->r0 > 0,
                       f->r0 > 0 ? f->area / f->r0 : 0);
    jw_object_end(w);
}

static void json_latency(struct json_out *w, const struct figures *f)
{
    jw_key(w, "latency_ms");
    jw_object(w);
    json_spread(w, "ttft_steady", &f->ttft_steady);
    json_spread(w, "ttft_failed_over", &f->ttft_over);
    json_added(w, "ttft_added", &f->ttft_steady, &f->ttft_over);
    json_spread(w, "e2e_steady", &f->e2e_steady);
    json_spread(w, "e2e_failed_over", &f->e2e_over);
    json_added(w, "e2e_added", &f->e2e_steady, &f->e2e_over);
    json_spread(w, "send_lag", &f->late_sends);
    put_ms(w, "longest_gap", f->gap);
    jw_object_end(w);
}

static void json_conversations(struct json_out *w, const struct figures *f)
{
    jw_key(w, "conversations");
    jw_object(w);
    report_json_count(w, "steady", f->steady);
    report_json_count(w, "count", f->count);
    json_fates(w, f->fate);
    report_json_count(w, "spliced", f->spliced);
    report_json_count(w, "gap_over_10_s", f->gaps);
    report_json_count(w, "by_lead", f->by_lead);
    report_json_count(w, "by_spare", f->by_spare);
    report_json_count(w, "asked_elsewhere", f->elsewhere);
    jw_key(w, "lost_by");
    jw_object(w);
    report_json_count(w, "error_told", f->told);
    report_json_count(w, "error_in_no_dialect", f->rude);
    report_json_count(w, "cut", f->cut);
    report_json_count(w, "no_end_in_time", f->late);
    jw_object_end(w);
    jw_object_end(w);
}

static void json_shapes(struct json_out *w, const struct figures *f)
{
    jw_key(w, "shapes");
    jw_array(w);
    for (unsigned i = 0; i < SHAPE_COUNT; i++) {
        jw_object(w);
        report_json_text(w, "shape", plan_shape_name(i));
        json_fates(w, f->shape[i]);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* From the fault on: "at_s" counts as the times above do. */
static void json_circuit(struct json_out *w, const struct run_result *r)
{
    jw_key(w, "circuit");
    jw_array(w);
    for (size_t i = 0; i < r->circuit_count; i++) {
        jw_object(w);
        report_json_number(w, "at_s", true, (double)(r->circuit[i].at - r->course.fault_at) / 1e6);
        report_json_text(w, "state", circuit_name(r->circuit[i].to));
        jw_object_end(w);
    }
    jw_array_end(w);
    put_usec(w, "fault_end_s", r->course.fault_end - r->course.fault_at);
}

static void json_figures(struct json_out *w, const struct run_result *r)
{
    const struct figures *f = &r->figures;
    report_json_number(w, "interruption_percent", true, f->interruption);
    report_json_number(w, "silent_corruption_percent", f->count > 0,
                       f->count > 0 ? 100.0 * (double)f->fate[FATE_CORRUPT] / (double)f->count : 0);
    json_conversations(w, f);
    jw_key(w, "words");
    jw_object(w);
    report_json_count(w, "lost", f->lost);
    report_json_count(w, "duplicate", f->repeated);
    report_json_count(w, "reordered", f->reordered);
    report_json_count(w, "never_sent", f->strange);
    jw_object_end(w);
    json_times(w, f);
    json_circuit(w, r);
    json_latency(w, f);
    jw_key(w, "requests");
    jw_object(w);
    report_json_count(w, "client", r->course.client);
    report_json_count(w, "upstream", r->course.upstream);
    report_json_count(w, "lead", r->lead_requests);
    report_json_count(w, "spare", r->spare_requests);
    report_json_number(w, "upstream_per_client", true, f->billing);
    report_json_count(w, "faults_committed", r->committed);
    report_json_count(w, "lead_attempts_failed", r->lead_failures);
    jw_object_end(w);
    report_json_text(w, "gateway_said", r->why);
    report_json_text(w, "first_trouble", r->first_trouble);
    json_shapes(w, f);
}

static void json_limits(struct json_out *w, const struct variant_report *v)
{
    jw_key(w, "limits");
    jw_object(w);
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (v->limits.set[i])
            report_json_number(w, limit_rows[i].name, true, v->limits.most[i]);
    jw_object_end(w);
    jw_key(w, "broken");
    jw_array(w);
    for (size_t i = 0; i < v->broken_count; i++) {
        const struct broken *b = &v->broken[i];
        jw_object(w);
        report_json_text(w, "limit", limit_rows[b->which].name);
        report_json_text(w, "unit", limit_rows[b->which].unit);
        report_json_number(w, "value", b->happened, b->value);
        report_json_number(w, "most", true, b->most);
        jw_object_end(w);
    }
    jw_array_end(w);
}

const char *verdict_key(enum verdict v)
{
    static const char *const names[] = {[VERDICT_NOT_RUN] = "not_run",
                                        [VERDICT_PASS] = "pass",
                                        [VERDICT_FAIL] = "fail",
                                        [VERDICT_BROKEN] = "broken"};
    return names[v];
}

static void json_variant(struct json_out *w, const struct variant_report *v)
{
    jw_object(w);
    report_json_text(w, "id", v->variant->id);
    report_json_text(w, "verdict", verdict_key(v->verdict));
    if (v->verdict == VERDICT_NOT_RUN) {
        report_json_text(w, "why",
                         v->variant->not_run != NULL ? v->variant->not_run : "stopped before it");
    } else if (v->result.failed) {
        report_json_text(w, "why", v->result.trouble);
    } else {
        report_json_text(w, "expected", expectation_name(v->variant->expect));
        json_limits(w, v);
        json_figures(w, &v->result);
    }
    jw_object_end(w);
}

static void json_fault(struct json_out *w, const struct drill_report *r, size_t at, size_t *next)
{
    const struct drill_fault *f = r->at[at].fault;
    struct fault_summary s = report_summary(r, at, next);
    jw_object(w);
    report_json_text(w, "id", f->id);
    report_json_text(w, "name", f->name);
    report_json_text(w, "hypothesis", f->hypothesis);
    report_json_text(w, "verdict", verdict_key(s.verdict));
    if (s.count > 0) {
        report_json_number(w, "interruption_percent", true, s.interruption);
        report_json_number(w, "detect_s", s.detected, s.detect);
        report_json_number(w, "recover_s", s.recovered, s.recover);
        report_json_number(w, "return_s", s.returned, s.back);
        report_json_number(w, "dip_percent", s.dipped, s.dip);
        report_json_number(w, "area_requests", s.dipped, s.area);
        report_json_count(w, "conversations", s.count);
        json_fates(w, s.fate);
    }
    jw_key(w, "variants");
    jw_array(w);
    for (size_t i = at; i < *next; i++)
        json_variant(w, &r->at[i]);
    jw_array_end(w);
    jw_object_end(w);
}

void report_json(const struct drill_report *r, struct buf *out)
{
    struct json_out w;
    json_out_buf(&w, out);
    jw_object(&w);
    report_json_text(&w, "schema", "hotspare.drill/1");
    report_json_text(&w, "version", HOTSPARE_VERSION);
    jw_key(&w, "ok");
    jw_bool(&w, report_good(r) && !r->stopped);
    jw_key(&w, "stopped");
    jw_bool(&w, r->stopped);
    report_json_count(&w, "seed", r->seed);
    report_json_count(&w, "rate", r->rate);
    put_usec(&w, "fault_s", r->fault_time);
    jw_key(&w, "faults");
    jw_array(&w);
    for (size_t at = 0; at < r->count;)
        json_fault(&w, r, at, &at);
    jw_array_end(&w);
    jw_object_end(&w);
    report_put(out, "\n");
}

/* ---- JUnit ---- */

static double run_seconds(const struct variant_report *v)
{
    return v->verdict == VERDICT_NOT_RUN ? 0 : (double)v->result.course.load_end / 1e6;
}

static void junit_broken(const struct variant_report *v, struct buf *out)
{
    struct buf text;
    buf_init(&text, 65536);
    put_broken(v, &text);
    report_put(&text, "%c", '\0');
    report_put(out, "<failure message=\"%zu limit%s broken\">", v->broken_count,
               v->broken_count > 1 ? "s" : "");
    report_escape(out, text.at);
    report_put(out, "</failure>");
    buf_deinit(&text);
}

static void junit_case(const struct variant_report *v, struct buf *out)
{
    report_put(out, "    <testcase classname=\"drill.%s\" name=\"%s.%s\" time=\"%.1f\">",
               v->fault->id, v->fault->id, v->variant->id, run_seconds(v));
    if (v->verdict == VERDICT_NOT_RUN) {
        report_put(out, "<skipped message=\"");
        report_escape(out, v->variant->not_run != NULL ? v->variant->not_run : "stopped before it");
        report_put(out, "\"/>");
    } else if (v->verdict == VERDICT_FAIL) {
        junit_broken(v, out);
    } else if (v->verdict == VERDICT_BROKEN) {
        report_put(out, "<error message=\"");
        report_escape(out, v->result.trouble);
        report_put(out, "\"/>");
    }
    report_put(out, "</testcase>\n");
}

static size_t count_of(const struct drill_report *r, size_t from, size_t to, enum verdict v)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++)
        n += r->at[i].verdict == v;
    return n;
}

static void junit_counts(const struct drill_report *r, size_t from, size_t to, struct buf *out)
{
    report_put(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\"", to - from,
               count_of(r, from, to, VERDICT_FAIL), count_of(r, from, to, VERDICT_BROKEN),
               count_of(r, from, to, VERDICT_NOT_RUN));
}

void report_junit(const struct drill_report *r, struct buf *out)
{
    report_put(out,
               "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"hotspare drill\"");
    junit_counts(r, 0, r->count, out);
    report_put(out, ">\n");
    for (size_t at = 0, next; at < r->count; at = next) {
        (void)report_summary(r, at, &next);
        report_put(out, "  <testsuite name=\"%s ", r->at[at].fault->id);
        report_escape(out, r->at[at].fault->name);
        report_put(out, "\"");
        junit_counts(r, at, next, out);
        report_put(out, ">\n");
        for (size_t i = at; i < next; i++)
            junit_case(&r->at[i], out);
        report_put(out, "  </testsuite>\n");
    }
    report_put(out, "</testsuites>\n");
}
