/* How far the token estimate is off, beside the counts that providers told in recorded exchanges.
 *
 * Left out is what no estimate of a request can know: what a provider's own tools fetched, what
 * context management took away, and thinking of the past, which providers drop or keep as they
 * like. HOTSPARE_CORPUS names the recordings; without it this is skipped. */
#include "dialect/tokens.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/translate.h"

#include <stdlib.h>

#define SAMPLES_MAX 400
#define LARGE 100 /* tokens; below that the frame around a request is most of it */

struct sample {
    double off;     /* of what was told */
    int64_t tokens; /* the same in tokens */
    int64_t told, estimated;
};
struct samples {
    struct sample at[SAMPLES_MAX];
    size_t count;
};
static struct samples text_only, with_tools, small, counted, pictures, longest, claude,
    short_claude;

/* Prompts as long as those that matter. Both have features that hide tokens in other recordings;
 * here what was counted is what was sent. */
static const char *const long_ones[] = {
    "anthropic--pydantic--test-anthropic-compaction-usage-with-cache-streaming--0",
    "anthropic--pydantic--test-pause-turn-web-search-streaming-vcr--1",
};

static bool is_long_one(const struct corpus_item *item)
{
    for (size_t i = 0; i < ARRAY_LEN(long_ones); i++)
        if (span_is(span_from(item->id), long_ones[i]))
            return true;
    return false;
}

/* What is told first is the prompt; later a provider's own tools add to it. */
static void hear_usage(void *ctx, const struct chat_event *e)
{
    struct chat_usage *u = ctx;
    if (e->type != CHAT_EV_ERROR && u->input < 0 && e->usage.input + e->usage.cache_read > 0)
        *u = e->usage;
}

static int64_t told_by(struct arena *a, const struct dialect *d, const struct corpus_item *item)
{
    struct json_doc doc; /* count_tokens: the number alone */
    if (!item->streamed && json_parse(a, item->response, NULL, &doc, NULL) == ERR_OK) {
        int64_t n;
        struct json only = json_get(json_root(&doc), "input_tokens");
        if (json_is(only, JSON_NUMBER) && json_i64(only, &n) == ERR_OK)
            return n;
    }
    struct chat_usage u = CHAT_USAGE_UNKNOWN;
    (void)read_answer(a, d, NULL, item->response, item->streamed, FEED_WHOLE, 1,
                      (struct chat_sink){hear_usage, &u}); /* cut ones have told their input, too */
    return u.input + (u.cache_read > 0 ? u.cache_read : 0) +
           (u.cache_write > 0 ? u.cache_write : 0);
}

static bool holds(struct span meta, const char *word)
{
    return span_search(meta, span_from(word)) >= 0;
}

static enum target_kind kind_of(const struct corpus_item *item)
{
    static const struct {
        const char *word;
        enum target_kind kind;
    } rows[] = {
        {"\"provider\": \"anthropic\"", TARGET_ANTHROPIC},
        {"\"provider\": \"openai\"", TARGET_OPENAI},
        {"\"provider\": \"azure-openai\"", TARGET_OPENAI},
        {"\"provider\": \"mistral\"", TARGET_MISTRAL},
        {"\"model\": \"claude", TARGET_ANTHROPIC}, /* by way of others */
        {"\"model\": \"anthropic/claude", TARGET_ANTHROPIC},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (holds(item->meta, rows[i].word))
            return rows[i].kind;
    return TARGET_OPENAI_COMPATIBLE;
}

static bool can_be_known(const struct corpus_item *item, const struct chat_request *r)
{
    static const char *const hidden[] = {
        "\"server_tool\"",     "\"compaction\"", "\"citations\"", "\"context_management\"",
        "\"thinking_replay\"", "\"document\"",   "-search",       "compound"};
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        if (holds(item->meta, hidden[i]))
            return false;
    for (const struct chat_tool *t = r->tools; t; t = t->next)
        if (t->server)
            return false;
    for (const struct chat_message *m = r->messages; m; m = m->next)
        for (const struct chat_block *b = m->blocks; b; b = b->next)
            if (b->type == CHAT_THINKING || b->type == CHAT_OTHER)
                return false;
    return true;
}

static void keep(struct samples *s, int64_t told, int64_t estimated)
{
    assert_true(s->count < SAMPLES_MAX);
    int64_t tokens = estimated > told ? estimated - told : told - estimated;
    s->at[s->count++] = (struct sample){(double)tokens / (double)told, tokens, told, estimated};
}

static void take(struct arena *a, const struct dialect *d, const struct corpus_item *item)
{
    struct json_doc doc;
    struct chat_request r = {.max_tokens = -1, .choices = 1};
    struct chat_problem problem;
    if (item->request.len == 0 || item->response.len == 0 || item->status != 200 ||
        json_parse(a, item->request, NULL, &doc, NULL) != ERR_OK ||
        d->read_request(a, &doc, &r, &problem) != ERR_OK ||
        !(is_long_one(item) || can_be_known(item, &r)))
        return;
    int64_t told = told_by(a, d, item);
    if (told <= 0)
        return;
    struct capability cap = capability_preset(kind_of(item), json_unescape(r.model.at, a));
    cap.images = true;
    int64_t estimated = tokens_of_request(&r, &cap);
    if (kind_of(item) == TARGET_ANTHROPIC && told >= LARGE && !holds(item->meta, "\"image\""))
        keep(&claude, told, estimated);
    if (kind_of(item) == TARGET_ANTHROPIC && told < LARGE && !r.tools && r.format_schema.len == 0)
        keep(&short_claude, told, estimated);
    if (is_long_one(item))
        keep(&longest, told, estimated);
    else if (holds(item->meta, "\"image\""))
        keep(&pictures, told, estimated);
    else if (holds(item->meta, "count-tokens\""))
        keep(&counted, told, estimated);
    else if (told < LARGE)
        keep(&small, told, estimated);
    else
        keep(r.tools || r.format_schema.len ? &with_tools : &text_only, told, estimated);
}

static void take_all(void *arena, const char *protocol, const struct dialect *d)
{
    struct corpus c = corpus_open(arena, protocol);
    for (size_t i = 0; i < c.count; i++) {
        struct arena a;
        arena_init(&a, SIZE_MAX);
        take(&a, d, &c.items[i]);
        arena_deinit(&a);
    }
}

struct figures {
    double median, p90; /* of what was told */
    int64_t tokens_median, tokens_p90;
};

static int by_off(const void *a, const void *b)
{
    double x = ((const struct sample *)a)->off, y = ((const struct sample *)b)->off;
    return (x > y) - (x < y);
}

static int by_tokens(const void *a, const void *b)
{
    int64_t x = ((const struct sample *)a)->tokens, y = ((const struct sample *)b)->tokens;
    return (x > y) - (x < y);
}

static struct figures tell(struct samples *s, const char *what)
{
    assert_true(s->count > 0);
    struct figures f;
    size_t shorter = 0, middle = s->count / 2, nine = s->count * 9 / 10;
    for (size_t i = 0; i < s->count; i++)
        shorter += s->at[i].estimated < s->at[i].told;
    qsort(s->at, s->count, sizeof s->at[0], by_off);
    f.median = s->at[middle].off;
    f.p90 = s->at[nine].off;
    const struct sample worst = s->at[s->count - 1];
    qsort(s->at, s->count, sizeof s->at[0], by_tokens);
    f.tokens_median = s->at[middle].tokens;
    f.tokens_p90 = s->at[nine].tokens;
    print_message("# %-32s %3zu: off by %.0f %% (p90 %.0f %%), %lld tokens (p90 %lld); %zu counted "
                  "short; worst: %lld for %lld\n",
                  what, s->count, f.median * 100, f.p90 * 100, (long long)f.tokens_median,
                  (long long)f.tokens_p90, shorter, (long long)worst.estimated,
                  (long long)worst.told);
    return f;
}

static void tokens_are_near_what_providers_counted(void **state)
{
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: the estimate is not measured\n");
        skip();
    }
    take_all(*state, "anthropic-messages", &dialect_anthropic);
    take_all(*state, "anthropic-count-tokens", &dialect_anthropic);
    take_all(*state, "openai-chat", &dialect_openai_chat);
    print_message("# requests; medians beside what the provider counted\n");
    struct figures f = tell(&text_only, "text, 100 tokens and more");
    assert_true(f.median <= 0.15 && f.p90 <= 0.50);
    f = tell(&with_tools, "with tools, 100 tokens and more");
    assert_true(f.median <= 0.35 && f.tokens_median <= 120 && f.tokens_p90 <= 600);
    f = tell(&small, "under 100 tokens");
    assert_true(f.tokens_median <= 15 && f.tokens_p90 <= 120);
    (void)tell(&pictures, "with pictures (a fixed figure)");
    f = tell(&longest, "50,000 tokens and more");
    assert_true(f.p90 <= 0.10); /* fit.c counts on it */
    f = tell(&counted, "count_tokens");
    assert_true(f.p90 <= 0.10); /* three of them: all */
    f = tell(&claude, "Claude, 100 tokens and more");
    assert_true(f.median <= 0.10);
    f = tell(&short_claude, "Claude, short texts"); /* the frame is half of them */
    assert_true(f.median <= 0.10 && f.tokens_median <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(tokens_are_near_what_providers_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
