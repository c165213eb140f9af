/* Counting, and the text a scrape reads. Only pairs that were ever counted are printed, so the
 * series stay few. */
#include "serve/metrics.h"

#include "base/mem.h"

#include <inttypes.h>

/* Seconds: 10 ms to 600 s, wide enough to show an outage (ux.md 4.2 extends the usual buckets). */
static const double bucket_seconds[METRICS_BUCKETS] = {
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 60, 120, 300, 600};

/* All of dialect/capability.h; test_metrics.c fails when one is missing. */
static const char *const loss_names[] = {LOSSY_CACHE_CONTROL,
                                         LOSSY_THINKING,
                                         LOSSY_REDACTED_THINKING,
                                         LOSSY_CITATIONS,
                                         LOSSY_IMAGE,
                                         LOSSY_TOOL_RESULT_IMAGE,
                                         LOSSY_TOOL_ERROR,
                                         LOSSY_SERVER_TOOL,
                                         LOSSY_TOP_K,
                                         LOSSY_SAMPLING,
                                         LOSSY_STOP,
                                         LOSSY_EFFORT,
                                         LOSSY_FORMAT,
                                         LOSSY_SYSTEM_ORDER,
                                         LOSSY_DOCUMENT,
                                         LOSSY_AUDIO,
                                         LOSSY_PREFILL,
                                         LOSSY_LOGPROBS,
                                         LOSSY_SEED,
                                         LOSSY_PENALTIES,
                                         LOSSY_USER_ID,
                                         LOSSY_SERVICE_TIER,
                                         LOSSY_TOOL_NAME,
                                         LOSSY_PARALLEL_TOOLS,
                                         LOSSY_CONTEXT_MANAGEMENT,
                                         LOSSY_TOOL_CHOICE,
                                         LOSSY_STRICT,
                                         LOSSY_FIRST_TURN,
                                         LOSSY_MAX_TOKENS,
                                         LOSSY_TOOL_RESULT_SHORTENED,
                                         LOSSY_TOKEN_COUNT,
                                         LOSSY_OTHER};
static_assert(ARRAY_LEN(loss_names) <= METRICS_LOSSES, "a row in metrics.loss for each");

void metrics_names_init(struct metrics_names *n)
{
    *n = (struct metrics_names){.count = 1};
    n->at[0] = mem_strdup("none");
}

void metrics_names_deinit(struct metrics_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        mem_free(n->at[i]);
}

uint16_t metrics_names_row(struct metrics_names *n, const char *target)
{
    for (size_t i = 1; i < n->count; i++)
        if (strcmp(n->at[i], target) == 0)
            return (uint16_t)i;
    if (n->count == METRICS_TARGETS)
        return METRICS_TARGETS - 1;
    n->at[n->count] = mem_strdup(n->count == METRICS_TARGETS - 1 ? "other" : target);
    return (uint16_t)n->count++;
}

struct metrics *metrics_new(void)
{
    return mem_new(struct metrics);
}

/* ---- counting ---- */

static void add(atomic_ullong *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static void observe(struct metrics_histogram *h, usec value)
{
    size_t i = 0;
    while (i < METRICS_BUCKETS && (double)value > bucket_seconds[i] * 1e6)
        i++;
    add(&h->bucket[i], 1);
    add(&h->sum_us, (uint64_t)value);
}

static void count_tokens(struct metrics *m, uint16_t row, const struct chat_usage *u)
{
    const int64_t n[TOKENS_KINDS] = {[TOKENS_INPUT] = u->input,
                                     [TOKENS_OUTPUT] = u->output,
                                     [TOKENS_CACHE_READ] = u->cache_read,
                                     [TOKENS_CACHE_WRITE] = u->cache_write,
                                     [TOKENS_REASONING] = u->reasoning};
    for (size_t i = 0; i < TOKENS_KINDS; i++)
        if (n[i] > 0)
            add(&m->tokens[row][i], (uint64_t)n[i]);
}

static void count_loss(struct metrics *m, const struct lossy *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < ARRAY_LEN(loss_names); k++)
            if (strcmp(l->names[i], loss_names[k]) == 0)
                add(&m->loss[k], 1);
}

void metrics_count(struct metrics *m, const struct exchange_report *r,
                   uint16_t (*row_of)(void *ctx, const char *target), void *ctx)
{
    uint16_t row = r->served_by ? row_of(ctx, r->served_by) : 0;
    add(&m->requests[r->door->id][r->outcome][row], 1);
    for (size_t i = 0; i < r->attempt_count; i++) {
        const struct exchange_attempt *at = &r->attempts[i];
        size_t result = at->outrun ? CAUSE_COUNT + 1 : at->cancelled ? CAUSE_COUNT : at->cause;
        add(&m->attempts[row_of(ctx, at->target)][result], 1);
    }
    add(&m->hedges[r->hedge], 1);
    if (r->switched_from) {
        add(&m->switches[row_of(ctx, r->switched_from)][row][r->switch_cause], 1);
    }
    if (r->outcome == OUTCOME_OK && (r->switched_from || r->splices.count > 0))
        add(&m->rescued[r->splices.count > 0], 1);
    count_tokens(m, row, &r->usage);
    count_loss(m, &r->lossy);
    if (r->first_content)
        observe(&m->ttft[row], r->first_content - r->started);
    if (r->outcome == OUTCOME_OK)
        observe(&m->duration[row], r->ended - r->started);
}

/* ---- writing ---- */

struct scrape {
    struct metrics *const *workers;
    size_t count;
    const struct metrics_names *names;
    struct buf *out;
    enum err err;
};

/* Sums one counter, given by its place in struct metrics, over all workers. */
static uint64_t sum(const struct scrape *s, size_t offset)
{
    uint64_t total = 0;
    for (size_t i = 0; i < s->count; i++) {
        const atomic_ullong *c = (const void *)((const char *)s->workers[i] + offset);
        total += atomic_load_explicit(c, memory_order_relaxed);
    }
    return total;
}
#define SUM(s, member) sum((s), offsetof(struct metrics, member))

static void head(struct scrape *s, const char *name, const char *type, const char *help)
{
    if (s->err == ERR_OK)
        s->err = buf_printf(s->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void line(struct scrape *s, uint64_t value, const char *format, ...) PRINTF_LIKE(3, 4);
static void line(struct scrape *s, uint64_t value, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (s->err == ERR_OK)
        s->err = buf_vprintf(s->out, format, args);
    va_end(args);
    if (s->err == ERR_OK)
        s->err = buf_printf(s->out, " %" PRIu64 "\n", value);
}

static const char *result_name(size_t cause)
{
    if (cause >= CAUSE_COUNT)
        return cause == CAUSE_COUNT ? "cancelled" : "outrun";
    return cause == CAUSE_NONE ? "ok" : cause_facts((enum cause)cause)->name;
}

static void write_requests(struct scrape *s)
{
    head(s, "hotspare_requests_total", "counter",
         "Client requests by door, outcome and who answered.");
    for (size_t d = 0; d < DIALECT_COUNT; d++)
        for (size_t o = 0; o < OUTCOME_COUNT; o++)
            for (size_t t = 0; t < s->names->count; t++) {
                uint64_t n = SUM(s, requests[d][o][t]);
                if (n)
                    line(s, n,
                         "hotspare_requests_total{api=\"%s\",outcome=\"%s\",served_by=\"%s\"}",
                         dialect_by_id((enum dialect_id)d)->name,
                         exchange_outcome_name((enum exchange_outcome)o), s->names->at[t]);
            }
}

static void write_attempts(struct scrape *s)
{
    head(s, "hotspare_attempts_total", "counter", "Attempts at targets by result.");
    for (size_t t = 0; t < s->names->count; t++)
        for (size_t c = 0; c <= CAUSE_COUNT + 1; c++) {
            uint64_t n = SUM(s, attempts[t][c]);
            if (n)
                line(s, n, "hotspare_attempts_total{target=\"%s\",result=\"%s\"}", s->names->at[t],
                     result_name(c));
        }
}

static void write_switches(struct scrape *s)
{
    head(s, "hotspare_switches_total", "counter",
         "Answers given by another target than the lead, by reason.");
    for (size_t f = 0; f < s->names->count; f++)
        for (size_t t = 0; t < s->names->count; t++)
            for (size_t c = 0; c < CAUSE_COUNT; c++) {
                uint64_t n = SUM(s, switches[f][t][c]);
                if (n)
                    line(s, n,
                         "hotspare_switches_total{from=\"%s\",to=\"%s\",reason=\"%s\",mode="
                         "\"auto\"}",
                         s->names->at[f], s->names->at[t], exchange_switch_name((enum cause)c));
            }
    head(s, "hotspare_rescues_total", "counter",
         "Complete answers after the lead had failed or was skipped.");
    line(s, SUM(s, rescued[0]),
         "hotspare_rescues_total{phase=\"before_first_token\",result=\"ok\"}");
    line(s, SUM(s, rescued[1]), "hotspare_rescues_total{phase=\"mid_stream\",result=\"ok\"}");
}

static void write_hedges(struct scrape *s)
{
    head(s, "hotspare_hedges_total", "counter",
         "Requests asked at a second target because the first was late; both may be billed.");
    for (size_t e = HEDGE_WON; e < HEDGE_ENDS; e++)
        line(s, SUM(s, hedges[e]), "hotspare_hedges_total{result=\"%s\"}",
             exchange_hedge_name((enum hedge_end)e));
}

static void write_tokens(struct scrape *s)
{
    static const char *const kinds[TOKENS_KINDS] = {"input", "output", "cache_read", "cache_write",
                                                    "reasoning"};
    head(s, "hotspare_tokens_total", "counter", "Tokens as the targets counted them.");
    for (size_t t = 0; t < s->names->count; t++)
        for (size_t k = 0; k < TOKENS_KINDS; k++) {
            uint64_t n = SUM(s, tokens[t][k]);
            if (n)
                line(s, n, "hotspare_tokens_total{target=\"%s\",kind=\"%s\"}", s->names->at[t],
                     kinds[k]);
        }
    head(s, "hotspare_translation_loss_total", "counter",
         "Requests that lost a feature on the way to their target.");
    for (size_t i = 0; i < ARRAY_LEN(loss_names); i++) {
        uint64_t n = SUM(s, loss[i]);
        if (n)
            line(s, n, "hotspare_translation_loss_total{feature=\"%s\"}", loss_names[i]);
    }
}

static void write_histogram(struct scrape *s, const char *name, const char *target, size_t offset)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= METRICS_BUCKETS; i++)
        total +=
            sum(s, offset + offsetof(struct metrics_histogram, bucket) + i * sizeof(atomic_ullong));
    if (total == 0)
        return;
    uint64_t below = 0;
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        below +=
            sum(s, offset + offsetof(struct metrics_histogram, bucket) + i * sizeof(atomic_ullong));
        line(s, below, "%s_bucket{served_by=\"%s\",le=\"%g\"}", name, target, bucket_seconds[i]);
    }
    line(s, total, "%s_bucket{served_by=\"%s\",le=\"+Inf\"}", name, target);
    if (s->err == ERR_OK)
        s->err =
            buf_printf(s->out, "%s_sum{served_by=\"%s\"} %.6f\n", name, target,
                       (double)sum(s, offset + offsetof(struct metrics_histogram, sum_us)) / 1e6);
    line(s, total, "%s_count{served_by=\"%s\"}", name, target);
}

static void write_histograms(struct scrape *s)
{
    head(s, "hotspare_client_ttft_seconds", "histogram",
         "Request to first content, as the client saw it.");
    for (size_t t = 0; t < s->names->count; t++)
        write_histogram(s, "hotspare_client_ttft_seconds", s->names->at[t],
                        offsetof(struct metrics, ttft[t]));
    head(s, "hotspare_client_duration_seconds", "histogram", "Complete answers: request to end.");
    for (size_t t = 0; t < s->names->count; t++)
        write_histogram(s, "hotspare_client_duration_seconds", s->names->at[t],
                        offsetof(struct metrics, duration[t]));
}

enum err metrics_write(struct metrics *const *workers, size_t count,
                       const struct metrics_names *names, struct buf *out)
{
    struct scrape s = {workers, count, names, out, ERR_OK};
    write_requests(&s);
    write_attempts(&s);
    write_hedges(&s);
    write_switches(&s);
    write_tokens(&s);
    write_histograms(&s);
    return s.err;
}
