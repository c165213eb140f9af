/* See demo_score.h. "Added" time is measured, not modelled: the same conversations first ask the
 * Claude stand-in directly, and the median of that is taken off. So it can come out slightly below
 * zero, and is printed so. */
#include "tools/demo_score.h"
#include "base/mem.h"
#include "base/span.h"
#include "json/json_write.h"
#include <stdio.h>
#include <stdlib.h>

const struct phase_facts phase_facts[PHASE_COUNT] = {
    [PHASE_DIRECT] = {"direct", "direct", "none", "none",
                      "asking the stand-in Claude directly, to know what it takes by itself", 6},
    [PHASE_BEFORE] = {"before", "before", "before", "none",
                      "20 conversations go through hotspare; Claude answers", 14},
    [PHASE_CUT] = {"cut", "cut in mid-sentence", "during", "cut@14",
                   "Claude hangs up in the middle of every answer", 16},
    [PHASE_DISABLED] = {"account_disabled", "account disabled", "during", "org-disabled",
                        "Claude: 400 \"This organization has been disabled.\"", 17},
    [PHASE_BACK] = {"back", "Claude is back", "after", "none", "Claude's account is back", 15},
    [PHASE_SILENT] = {"silent", "silent", "during", "silent",
                      "Claude accepts every request and says nothing at all", 15},
    [PHASE_AFTER] = {"after", "after", "after", "none", "Claude speaks again", 17},
};

void score_init(struct score *s)
{
    memset(s, 0, sizeof *s);
}

void score_deinit(struct score *s)
{
    for (int p = 0; p < PHASE_COUNT; p++)
        mem_free(s->phase[p].first.at);
}

void score_first_token(struct score *s, const struct first_token *t)
{
    struct phase_score *p = &s->phase[t->phase];
    struct samples *all = &p->first;
    if (strcmp(t->by, "claude") == 0) {
        p->lead_inside += t->inside;
        if (p->lead_again == 0)
            p->lead_again = t->now - p->began;
    }
    if (all->count == all->cap) {
        all->cap = all->cap == 0 ? 256 : all->cap * 2;
        all->at = mem_realloc(all->at, all->cap * sizeof *all->at);
    }
    all->at[all->count++] = t->took;
}

void score_turn(struct score *s, const struct turn_result *t)
{
    const struct words *w = t->words;
    struct phase_score *p = &s->phase[t->phase];
    if (!(t->whole && words_perfect(w)) && s->first_trouble[0] == '\0')
        (void)snprintf(s->first_trouble, sizeof s->first_trouble, "%s",
                       t->trouble[0] != '\0' ? t->trouble : "an answer had the wrong words");
    p->turns++;
    if (t->phase == PHASE_DIRECT)
        return;
    s->turns++;
    s->interrupted += !t->whole;
    s->failed_over += t->failed_over;
    s->continued += t->cut && t->whole;
    s->words += w->seen;
    s->lost += w->lost;
    s->repeated += w->repeated;
    s->reordered += w->reordered;
    s->strange += w->strange;
    if (strcmp(t->served_by, "claude") == 0)
        p->by_lead++;
    else if (strcmp(t->served_by, "openai") == 0)
        p->by_spare++;
    else
        p->by_unknown++;
}

bool score_perfect(const struct score *s)
{
    return s->turns > 0 && s->interrupted == 0 && s->lost == 0 && s->repeated == 0 &&
           s->reordered == 0 && s->strange == 0;
}

/* A question asked just before Claude comes back may reach it just after. So what counts against
 * the demo is an answer that Claude began while it was certainly gone. */
bool score_means_something(const struct score *s)
{
    for (int p = PHASE_BEFORE; p < PHASE_COUNT; p++) {
        const struct phase_score *one = &s->phase[p];
        bool during = strcmp(phase_facts[p].when, "during") == 0 && p != PHASE_CUT;
        if (during && (one->by_spare == 0 || one->lead_inside > 0))
            return false;
    }
    return s->phase[PHASE_BEFORE].by_lead > 0 && s->continued > 0;
}

static int by_size(const void *a, const void *b)
{
    usec x = *(const usec *)a, y = *(const usec *)b;
    return (x > y) - (x < y);
}

usec samples_percentile(struct samples *s, unsigned percent)
{
    assert(percent >= 1 && percent <= 100);
    if (s->count == 0)
        return -1;
    qsort(s->at, s->count, sizeof *s->at, by_size);
    size_t rank = (s->count * percent + 99) / 100; /* from 1 */
    return s->at[rank - 1];
}

static double ms(usec t)
{
    return (double)t / 1000.0;
}

static double phase_seconds(const struct phase_score *p)
{
    return (double)(p->ended - p->began) / (double)USEC_PER_SEC;
}

static double per_second(uint64_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

/* ---- the three summaries ---- */

/* All phases of one kind as one. The samples are the caller's to free. */
static struct phase_score merged(const struct score *s, const char *when)
{
    struct phase_score all = {0};
    for (int p = PHASE_BEFORE; p < PHASE_COUNT; p++) {
        const struct phase_score *one = &s->phase[p];
        if (strcmp(phase_facts[p].when, when) != 0)
            continue;
        all.ended += one->ended - one->began;
        all.turns += one->turns;
        all.by_lead += one->by_lead;
        all.by_spare += one->by_spare;
        all.by_unknown += one->by_unknown;
        size_t count = all.first.count + one->first.count;
        if (count == all.first.count)
            continue;
        all.first.at = mem_realloc(all.first.at, count * sizeof *all.first.at);
        memcpy(all.first.at + all.first.count, one->first.at,
               one->first.count * sizeof *all.first.at);
        all.first.count = all.first.cap = count;
    }
    return all;
}

static const char *const whens[] = {"before", "during", "after"};

/* ---- for people ---- */

/* out is larger than any scorecard. */
static void add(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(out, format, args);
    va_end(args);
    assert(e == ERR_OK);
}

static void print_row(const char *label, struct phase_score *p, usec direct, struct buf *out)
{
    usec median = samples_percentile(&p->first, 50), p99 = samples_percentile(&p->first, 99);
    add(out, "  %-18s %5.1f %5.1f", label, phase_seconds(p),
        per_second(p->turns, phase_seconds(p)));
    if (median < 0)
        add(out, "  %6s %7s  %6s %7s", "-", "-", "-", "-");
    else if (direct < 0)
        add(out, "  %6.1f %7.1f  %6s %7s", ms(median), ms(p99), "-", "-");
    else
        add(out, "  %6.1f %7.1f  %+6.1f %+7.1f", ms(median), ms(p99), ms(median - direct),
            ms(p99 - direct));
    add(out, "  %6llu %6llu\n", (unsigned long long)p->by_lead, (unsigned long long)p->by_spare);
}

static void print_again(const struct score *s, struct buf *out)
{
    add(out, "\n");
    for (int p = PHASE_BEFORE + 1; p < PHASE_COUNT; p++) {
        const struct phase_score *one = &s->phase[p];
        if (strcmp(phase_facts[p].when, "after") != 0)
            continue;
        if (one->lead_again > 0)
            add(out, "  %s: it answered again %.1f s later\n", phase_facts[p].say,
                (double)one->lead_again / 1e6);
        else
            add(out, "  %s: it did not answer again before the end\n", phase_facts[p].say);
    }
}

static void print_table(struct score *s, struct buf *out)
{
    usec direct = samples_percentile(&s->phase[PHASE_DIRECT].first, 50);
    add(out, "  %-18s %5s %5s  %14s  %14s  %13s\n", "", "", "turns", "first token, ms", "added, ms",
        "answered by");
    add(out, "  %-18s %5s %5s  %6s %7s  %6s %7s  %6s %6s\n", "phase", "secs", "/ s", "median",
        "p99", "median", "p99", "claude", "openai");
    for (int p = PHASE_BEFORE; p < PHASE_COUNT; p++)
        print_row(phase_facts[p].label, &s->phase[p], direct, out);
    add(out, "\n");
    for (size_t i = 0; i < ARRAY_LEN(whens); i++) {
        struct phase_score all = merged(s, whens[i]);
        char label[40];
        (void)snprintf(label, sizeof label, "all %s", whens[i]);
        print_row(label, &all, direct, out);
        mem_free(all.first.at);
    }
    print_again(s, out);
    if (direct < 0)
        return;
    add(out,
        "\n  Asked directly, without hotspare, the stand-in took %.1f ms (median of %zu).\n"
        "  \"added\" is the time beyond that. A request that meets a silent Claude waits\n"
        "  for the first-token deadline (0.7 s here) and is then answered elsewhere.\n",
        ms(direct), s->phase[PHASE_DIRECT].first.count);
}

void score_print(struct score *s, bool colour, struct buf *out)
{
    bool good = score_perfect(s);
    const char *on = !colour ? "" : good ? "\033[1;32m" : "\033[1;31m";
    const char *off = colour ? "\033[0m" : "";
    add(out, "\n%s%s%s\n\n", on,
        good ? "Claude hung up in mid-sentence and was gone twice. Nothing was lost."
             : "Something was lost.",
        off);
    add(out, "  conversations %6llu   turns %10llu   interrupted %4llu   failed over %5llu\n",
        (unsigned long long)s->conversations, (unsigned long long)s->turns,
        (unsigned long long)s->interrupted, (unsigned long long)s->failed_over);
    add(out, "  words         %6llu   lost  %10llu   repeated    %4llu   reordered   %5llu\n",
        (unsigned long long)s->words, (unsigned long long)s->lost, (unsigned long long)s->repeated,
        (unsigned long long)s->reordered);
    add(out, "  answers begun by Claude and ended by OpenAI %4llu\n\n",
        (unsigned long long)s->continued);
    if (s->strange > 0)
        add(out, "  words that were never sent: %llu\n", (unsigned long long)s->strange);
    if (s->first_trouble[0] != '\0')
        add(out, "  first trouble: %s\n\n", s->first_trouble);
    print_table(s, out);
    add(out,
        "\n  %.1f seconds in all. Next, with your own keys:\n\n"
        "    ANTHROPIC_API_KEY=... OPENAI_API_KEY=... hotspare serve\n"
        "    ANTHROPIC_BASE_URL=http://127.0.0.1:8484 claude\n\n",
        s->seconds);
}

/* ---- for programs ---- */

static void json_usec(struct json_out *w, const char *name, usec t, bool known)
{
    jw_key(w, name);
    if (known)
        jw_double(w, (double)t / 1000.0);
    else
        jw_null(w);
}

static void json_phase(struct json_out *w, const char *id, struct phase_score *p, usec direct)
{
    usec median = samples_percentile(&p->first, 50), p99 = samples_percentile(&p->first, 99);
    bool known = median >= 0, added = known && direct >= 0;
    jw_object(w);
    jw_key(w, "id");
    jw_cstr(w, id);
    jw_key(w, "seconds");
    jw_double(w, phase_seconds(p));
    jw_key(w, "turns");
    jw_i64(w, (int64_t)p->turns);
    jw_key(w, "turns_per_second");
    jw_double(w, per_second(p->turns, phase_seconds(p)));
    json_usec(w, "first_token_ms_median", median, known);
    json_usec(w, "first_token_ms_p99", p99, known);
    json_usec(w, "added_ms_median", median - direct, added);
    json_usec(w, "added_ms_p99", p99 - direct, added);
    json_usec(w, "claude_answers_after_ms", p->lead_again, p->lead_again > 0);
    jw_key(w, "answered_by");
    jw_object(w);
    jw_key(w, "claude");
    jw_i64(w, (int64_t)p->by_lead);
    jw_key(w, "openai");
    jw_i64(w, (int64_t)p->by_spare);
    jw_key(w, "unknown");
    jw_i64(w, (int64_t)p->by_unknown);
    jw_object_end(w);
    jw_object_end(w);
}

static void json_count(struct json_out *w, const char *name, uint64_t n)
{
    jw_key(w, name);
    jw_i64(w, (int64_t)n);
}

static void json_counts(struct json_out *w, const struct score *s)
{
    json_count(w, "conversations", s->conversations);
    json_count(w, "turns", s->turns);
    json_count(w, "interrupted", s->interrupted);
    json_count(w, "failed_over", s->failed_over);
    json_count(w, "continued", s->continued);
    json_count(w, "words", s->words);
    json_count(w, "lost", s->lost);
    json_count(w, "repeated", s->repeated);
    json_count(w, "reordered", s->reordered);
    json_count(w, "strange", s->strange);
}

void score_print_json(struct score *s, struct buf *out)
{
    struct json_out w;
    struct samples *straight = &s->phase[PHASE_DIRECT].first;
    usec direct = samples_percentile(straight, 50);
    json_out_buf(&w, out);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_cstr(&w, "hotspare.demo/1");
    jw_key(&w, "ok");
    jw_bool(&w, score_perfect(s));
    json_counts(&w, s);
    jw_key(&w, "seconds");
    jw_double(&w, s->seconds);
    json_usec(&w, "direct_first_token_ms_median", direct, direct >= 0);
    json_count(&w, "direct_turns", straight->count);
    jw_key(&w, "summary");
    jw_array(&w);
    for (size_t i = 0; i < ARRAY_LEN(whens); i++) {
        struct phase_score all = merged(s, whens[i]);
        json_phase(&w, whens[i], &all, direct);
        mem_free(all.first.at);
    }
    jw_array_end(&w);
    jw_key(&w, "phases");
    jw_array(&w);
    for (int p = PHASE_BEFORE; p < PHASE_COUNT; p++)
        json_phase(&w, phase_facts[p].id, &s->phase[p], direct);
    jw_array_end(&w);
    jw_key(&w, "first_trouble");
    jw_cstr(&w, s->first_trouble);
    jw_object_end(&w);
    assert(!w.failed);
    add(out, "\n");
}
