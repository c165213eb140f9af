/* The account of the recorded exchanges: every folder of HOTSPARE_CORPUS, both tiers, each
 * recording read as its door, as its upstream, and carried across; printed as a table. A recording
 * that is neither read nor left out by name (support/left_out.h) fails, and so do a protocol that
 * nobody takes, a file that nobody reads, and a name that no recording has.
 *
 * Whether what is read and carried is right is not asked here: see tests/README.md for where. */
#include "chat/chat.h"
#include "dialect/capability.h"
#include "http/ndjson.h"
#include "relay/cloud.h"
#include "support/check.h"
#include "support/corpus.h"
#include "support/left_out.h"
#include "support/translate.h"

#include <stdlib.h>

#define STREAM_MAX ((size_t)8 << 20)

/* ---- what takes which protocol ---- */

struct protocol {
    const char *name;
    const struct dialect *door;      /* reads its requests */
    bool (*is_request)(struct json); /* ... where they are no conversation */
    const char *no_door;             /* why its requests are not read; NULL: they are */
    const struct dialect *upstream;  /* reads its answers and errors */
    bool (*is_answer)(struct json);  /* ... where they are no conversation */
    const char *request_stays;       /* why its requests go to no other upstream */
    const char *answer_stays;        /* why its answers come from no other door */
    struct span (*asked)(struct arena *a, struct span body); /* at our door; NULL: as recorded */
};

static bool is_count(struct json root)
{
    int64_t n;
    return json_i64(json_get(root, "input_tokens"), &n) == ERR_OK && n > 0;
}

static bool asks_for_vectors(struct json root)
{
    return json_str(json_get(root, "model")).len > 0 && json_present(json_get(root, "input"));
}

static bool is_vectors(struct json root)
{
    struct json data = json_get(root, "data");
    return json_is(data, JSON_ARRAY) && json_len(data) > 0 &&
           json_present(json_get(json_at(data, 0), "embedding"));
}

/* Bedrock has the model in its path; a client of ours has it in the body. */
static struct span with_model(struct arena *a, struct span body)
{
    if (span_search(body, SPAN("bedrock-2023-05-31")) < 0)
        return body;
    return arena_printf(a, "{\"model\":\"m\",%.*s", SPAN_FMT(span_drop(span_trim(body), 1)));
}

static const struct protocol protocols[] = {
    {.name = "anthropic-messages", .door = &dialect_anthropic, .upstream = &dialect_anthropic},
    {.name = "anthropic-count-tokens",
     .door = &dialect_count_tokens,
     .upstream = &dialect_anthropic,
     .is_answer = is_count,
     .request_stays = "a count is asked of Claude or estimated: wire/test_doors.py",
     .answer_stays = "a number"},
    {.name = "openai-chat", .door = &dialect_openai_chat, .upstream = &dialect_openai_chat},
    {.name = "openai-responses",
     .door = &dialect_openai_responses,
     .upstream = &dialect_openai_responses},
    {.name = "openai-completions",
     .door = &dialect_completions,
     .upstream = &dialect_completions,
     .answer_stays = "only its own door asks an upstream for text completions, to pass them"},
    {.name = "openai-embeddings",
     .is_request = asks_for_vectors,
     .upstream = &dialect_openai_chat,
     .is_answer = is_vectors,
     .request_stays = "vectors of another model are other vectors",
     .answer_stays = "vectors"},
    {.name = "gemini", .no_door = "no door speaks Gemini", .upstream = &dialect_gemini},
    {.name = "bedrock-converse",
     .no_door = "no door speaks Converse",
     .upstream = &dialect_bedrock_converse},
    {.name = "bedrock-invoke",
     .door = &dialect_anthropic,
     .upstream = &dialect_anthropic,
     .asked = with_model},
    {.name = "ollama-native",
     .no_door = "no door speaks Ollama's API",
     .upstream = &dialect_ollama},
};

static const struct protocol *protocol_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (strcmp(protocols[i].name, name) == 0)
            return &protocols[i];
    return NULL;
}

/* Upstreams a request is carried to, doors an answer is. */
static const struct {
    const struct dialect *dialect;
    enum target_kind kind;
    const char *model, *name;
    bool door;
} others[] = {
    {&dialect_anthropic, TARGET_ANTHROPIC, "claude-sonnet-4-5", "Messages", true},
    {&dialect_openai_chat, TARGET_OPENAI, "gpt-5.1", "chat", true},
    {&dialect_openai_responses, TARGET_OPENAI, "gpt-5.1", "Responses", true},
    {&dialect_gemini, TARGET_GEMINI, "gemini-3.5-flash", "Gemini", false},
    {&dialect_bedrock_converse, TARGET_BEDROCK, "amazon.nova-pro-v1:0", "Converse", false},
    {&dialect_ollama, TARGET_OLLAMA, "llava", "Ollama", false},
};
#define OTHERS ARRAY_LEN(others)

/* Answers that are read, and hold nothing to say in other words. */
#define REFUSED "refused before the first word"
#define OUT_OF_TOKENS "its tokens were used up by thinking that is not shown"
#define OWN_TOOLS "only calls of its provider's own tools, which its own door alone offers"
static const struct left_out wordless[] = {
    {"anthropic--vercel--anthropic-refusal", REFUSED, NULL},
    {"vertex--pydantic--test-google-model-armor-prompt-template-text-gets-blocked--1", REFUSED,
     NULL},
    {"vertex--pydantic--test-google-model-armor-response-template-real-block--0", REFUSED, NULL},
    {"openai--envoy--chat-multimodal--0", OUT_OF_TOKENS, NULL},
    {"openai--envoy--chat-streaming-detailed-usage--0", OUT_OF_TOKENS, NULL},
    {"openai--vercel--openai-apply-patch-tool-delete.1-stream--0", OWN_TOOLS, NULL},
    {"openai--vercel--openai-apply-patch-tool.1", OWN_TOOLS, NULL},
    {"openai--vercel--openai-client-tool-search.1--0", OWN_TOOLS, NULL},
    {"openai--vercel--openai-local-shell-tool.1-stream--0", OWN_TOOLS, NULL},
    {"openai--vercel--openai-mcp-tool-approval.1-stream--0", OWN_TOOLS, NULL},
    {"openai--vercel--openai-mcp-tool-approval.3--0", OWN_TOOLS, NULL},
    {"openai--vercel--openai-shell-tool.1--0", OWN_TOOLS, NULL},
    {"openai--vercel--openai-shell-tool.1-stream--0", OWN_TOOLS, NULL},
};

static const char *why_wordless(const char *id)
{
    for (size_t i = 0; i < ARRAY_LEN(wordless); i++)
        if (left_out_names(&wordless[i], id))
            return wordless[i].why;
    return NULL;
}

/* ---- the account ---- */

struct account { /* of one protocol and tier */
    size_t recordings;
    size_t no_request, request, request_refused, request_no_door;
    size_t whole, stream, wordless, error, answer_left_out;
    size_t carried[OTHERS], refused[OTHERS];   /* requests, by upstream */
    size_t answered[OTHERS], left_out[OTHERS]; /* answers, by door */
    size_t told[OTHERS];                       /* errors, by door */
};

struct run {
    struct arena *a; /* of one recording */
    const struct protocol *p;
    const struct corpus_item *item;
    struct account *account;
    size_t faults;
};

static void fault(struct run *r, const char *what, struct span detail)
{
    print_message("# NOT ACCOUNTED FOR: %s/%s: %s %.*s\n", r->p->name, r->item->id, what,
                  SPAN_FMT(span_take(detail, 200)));
    r->faults++;
}

static void tell_left_out(const struct run *r, const char *what, struct span why)
{
    print_message("#   left out: %s/%s: %s: %.*s\n", r->p->name, r->item->id, what,
                  SPAN_FMT(span_take(why, 160)));
}

static struct json parsed(struct run *r, struct span text)
{
    struct json_doc *doc = arena_new(r->a, struct json_doc);
    return json_parse(r->a, text, &json_limits_default, doc, NULL) == ERR_OK ? json_root(doc)
                                                                             : JSON_ABSENT;
}

/* ---- as door ---- */

static struct span asked_of(struct run *r)
{
    return r->p->asked ? r->p->asked(r->a, r->item->request) : r->item->request;
}

static bool door_reads(struct run *r, struct chat_problem *problem)
{
    struct json_doc *doc = arena_new(r->a, struct json_doc);
    struct chat_request request;
    if (json_parse(r->a, asked_of(r), &json_limits_default, doc, NULL) != ERR_OK)
        return false;
    if (r->p->is_request)
        return r->p->is_request(json_root(doc));
    return r->p->door->read_request(r->a, doc, &request, problem) == ERR_OK;
}

static void take_as_door(struct run *r)
{
    struct account *n = r->account;
    const char *why = left_out_request(r->item->id, NULL);
    struct chat_problem problem = {0};
    if (r->item->request.len == 0) {
        n->no_request++;
    } else if (r->p->no_door) {
        n->request_no_door++; /* told once for all */
        if (!json_is(parsed(r, r->item->request), JSON_OBJECT))
            fault(r, "the request is no JSON object", SPAN_EMPTY);
    } else if (door_reads(r, &problem)) {
        n->request++;
    } else if (why) {
        n->request_refused++;
        tell_left_out(r, "request", span_from(why));
    } else {
        fault(r, "its door does not read the request:", problem.text);
    }
}

/* ---- as upstream ---- */

struct heard {
    bool said, ended, errored;
};

static void on_event(void *ctx, const struct chat_event *e)
{
    struct heard *h = ctx;
    h->said |= e->type == CHAT_EV_BLOCK_START;
    h->ended |= e->type == CHAT_EV_END;
    h->errored |= e->type == CHAT_EV_ERROR;
}

/* AWS's frames as server-sent events. */
static bool unframe(const struct corpus_item *item, bool converse, struct buf *out)
{
    struct cloud_stream s;
    enum err e = ERR_OK;
    size_t used;
    cloud_stream_init(&s, converse, STREAM_MAX);
    for (struct span rest = item->response; e == ERR_OK; rest = span_drop(rest, used)) {
        struct sse_event event;
        e = cloud_stream_next(&s, rest, &used, &event);
        if (e == ERR_OK && !event.comment_only)
            assert_int_equal(buf_printf(out, "event: %.*s\ndata: %.*s\n\n", SPAN_FMT(event.name),
                                        SPAN_FMT(event.data)),
                             ERR_OK);
    }
    bool whole = e == ERR_AGAIN && !eventstream_pending(&s.frames);
    cloud_stream_deinit(&s);
    return whole;
}

/* Lines of JSON as server-sent events. */
static bool unline(const struct corpus_item *item, struct buf *out)
{
    struct ndjson n;
    enum err e = ERR_OK;
    size_t used;
    ndjson_init(&n, STREAM_MAX);
    for (struct span rest = item->response; e == ERR_OK; rest = span_drop(rest, used)) {
        struct span line;
        e = ndjson_next(&n, rest, &used, &line);
        if (e == ERR_OK)
            assert_int_equal(buf_printf(out, "data: %.*s\n\n", SPAN_FMT(line)), ERR_OK);
    }
    bool whole = e == ERR_AGAIN && ndjson_rest(&n).len == 0;
    ndjson_deinit(&n);
    return whole;
}

/* The answer, a stream as server-sent events; empty: its framing is broken or not its dialect's. */
static struct span answer_of(struct run *r)
{
    struct buf out;
    if (!r->item->framed && !r->item->lines)
        return r->item->response;
    buf_init(&out, STREAM_MAX);
    bool whole = r->item->lines
                     ? unline(r->item, &out)
                     : unframe(r->item, r->p->upstream == &dialect_bedrock_converse, &out);
    struct span kept = whole ? arena_copy(r->a, buf_span(&out)) : SPAN_EMPTY;
    buf_deinit(&out);
    return kept;
}

static void check_words(struct run *r, bool said)
{
    const char *why = why_wordless(r->item->id);
    if (said && why)
        fault(r, "it has words, but is named as an answer without:", span_from(why));
    else if (!said && !why)
        fault(r, "nothing is read from the answer", SPAN_EMPTY);
    else if (!said)
        tell_left_out(r, "read, without a word", span_from(why));
    r->account->wordless += !said;
}

static bool upstream_reads(struct run *r)
{
    struct heard h = {0};
    struct span body = answer_of(r);
    if (r->p->is_answer)
        return r->p->is_answer(parsed(r, body));
    enum err e = read_answer(r->a, r->p->upstream, NULL, body, r->item->streamed, FEED_RANDOM, 1,
                             (struct chat_sink){on_event, &h});
    if (e != ERR_OK || !(h.ended || h.errored))
        return false;
    check_words(r, h.said || h.errored);
    return true;
}

/* What the caller is to be told, read without the dialect. */
static struct span message_of(struct run *r, struct span body)
{
    struct json root = parsed(r, body);
    struct span nested = json_str_decode(json_path(root, "error.message"), r->a);
    return nested.len ? nested : json_str_decode(json_get(root, "message"), r->a); /* Bedrock */
}

static void take_error(struct run *r)
{
    struct chat_error error = {0};
    struct span message = message_of(r, r->item->response);
    r->p->upstream->read_error(r->a, r->item->status, r->item->response, &error);
    if (message.len == 0 || error.status != r->item->status ||
        span_search(error.message, message) < 0)
        fault(r, "the error is not read:", r->item->response);
    r->account->error++;
}

static void take_as_upstream(struct run *r)
{
    struct account *n = r->account;
    const char *why = left_out_answer(r->item->id, NULL);
    if (r->item->response.len == 0)
        fault(r, "no answer", SPAN_EMPTY);
    else if (r->item->status != 200)
        take_error(r);
    else if (upstream_reads(r)) {
        (*(r->item->streamed ? &n->stream : &n->whole))++;
        if (why)
            fault(r, "an answer that is left out, but is read:", span_from(why));
    } else if (why) {
        n->answer_left_out++;
        tell_left_out(r, "answer", span_from(why));
    } else
        fault(r, "its upstream's reader does not read the answer", SPAN_EMPTY);
}

/* ---- across ---- */

/* Gemini, Converse and Ollama say by themselves what they cannot carry; the first three are held to
 * the names. */
static void carry(struct run *r, size_t to)
{
    const struct dialect *d = others[to].dialect;
    struct capability cap = capability_preset(others[to].kind, span_from(others[to].model));
    struct request_words w = translate_request(r->a, r->p->door, d, &cap, asked_of(r));
    const char *why = left_out_request(r->item->id, d);
    if (w.read == ERR_OK && w.write == ERR_OK) {
        r->account->carried[to]++;
        if (why)
            fault(r, "a request that is left out, but goes through:", span_from(why));
        return;
    }
    r->account->refused[to]++;
    tell_left_out(r, others[to].name, w.problem.text);
    bool refused = w.read == ERR_INVALID || w.write == ERR_UNSUPPORTED;
    if (!refused || w.problem.text.len < 10 || (others[to].door && !why))
        fault(r, "the request does not go across:", w.problem.text);
}

static void carry_back(struct run *r, size_t to)
{
    struct span body = answer_of(r);
    const struct dialect *d = others[to].dialect;
    struct translated t = translate_answer(r->a, r->p->upstream, d, NULL, body, r->item->streamed,
                                           r->item->streamed, FEED_WHOLE, 0);
    const char *why = left_out_answer(r->item->id, d);
    if (why) {
        r->account->left_out[to]++;
        tell_left_out(r, others[to].name, span_from(why));
    } else if (t.err == ERR_OK && (t.ended || t.errored) && t.bytes.len > 0) {
        r->account->answered[to]++;
    } else {
        fault(r, "the answer does not go across to", span_from(others[to].name));
    }
}

static void carry_error(struct run *r, size_t to)
{
    struct chat_error error = {0};
    struct buf body;
    buf_init(&body, STREAM_MAX);
    r->p->upstream->read_error(r->a, r->item->status, r->item->response, &error);
    enum err e = others[to].dialect->write_error(&body, NULL, &error);
    struct span told = message_of(r, arena_copy(r->a, buf_span(&body)));
    struct span message = message_of(r, r->item->response);
    buf_deinit(&body);
    if (e != ERR_OK || message.len == 0 || span_search(told, message) < 0)
        fault(r, "the error does not go across to", span_from(others[to].name));
    else
        r->account->told[to]++;
}

static void take_across(struct run *r)
{
    for (size_t i = 0; i < OTHERS; i++) {
        if (r->item->request.len > 0 && !r->p->no_door && !r->p->request_stays &&
            others[i].dialect != r->p->door)
            carry(r, i);
        if (r->p->answer_stays || !others[i].door || others[i].dialect == r->p->upstream)
            continue;
        if (r->item->status == 200)
            carry_back(r, i);
        else
            carry_error(r, i);
    }
}

/* ---- the tables ---- */

#define TIERS 2
struct accounts {
    struct account of[ARRAY_LEN(protocols)][TIERS];
};

static void tell_here(const struct accounts *all)
{
    print_message("# %-24s %5s | %8s %7s %7s %5s | %5s %6s %5s %8s %8s\n", "as door, as upstream",
                  "", "requests", "refused", "no door", "none", "whole", "stream", "error",
                  "left out", "wordless");
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        for (size_t t = 0; t < TIERS; t++) {
            const struct account *n = &all->of[i][t];
            if (n->recordings)
                print_message("# %-22s %c %5zu | %8zu %7zu %7zu %5zu | %5zu %6zu %5zu %8zu %8zu\n",
                              protocols[i].name, t ? 'B' : 'A', n->recordings, n->request,
                              n->request_refused, n->request_no_door, n->no_request, n->whole,
                              n->stream, n->error, n->answer_left_out, n->wordless);
        }
}

/* "195 (6)": done, and left out; "" when there is nothing of the kind. */
static void tell_cell(size_t done, size_t not_done)
{
    char cell[32] = "";
    if (not_done)
        (void)snprintf(cell, sizeof cell, "%zu (%zu)", done, not_done);
    else if (done)
        (void)snprintf(cell, sizeof cell, "%zu", done);
    print_message(" %9s", cell);
}

/* not_done may be NULL: none. */
static void tell_row(size_t p, size_t tier, const char *what, const size_t *done,
                     const size_t *not_done)
{
    size_t sum = 0;
    for (size_t k = 0; k < OTHERS; k++)
        sum += done[k] + (not_done ? not_done[k] : 0);
    if (sum == 0)
        return;
    print_message("# %-22s %c", protocols[p].name, tier ? 'B' : 'A');
    for (size_t k = 0; k < OTHERS; k++)
        tell_cell(done[k], not_done ? not_done[k] : 0);
    print_message("  %s\n", what);
}

static void tell_across(const struct accounts *all)
{
    print_message("# %-24s", "across (left out)");
    for (size_t k = 0; k < OTHERS; k++)
        print_message(" %9s", others[k].name);
    print_message("\n");
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        for (size_t t = 0; t < TIERS; t++) {
            const struct account *n = &all->of[i][t];
            tell_row(i, t, "requests", n->carried, n->refused);
            tell_row(i, t, "answers", n->answered, n->left_out);
            tell_row(i, t, "errors", n->told, NULL);
        }
}

static void tell_reasons(const struct protocol *p)
{
    if (p->no_door)
        print_message("# %s: requests are not read: %s\n", p->name, p->no_door);
    if (p->request_stays)
        print_message("# %s: requests go to no other: %s\n", p->name, p->request_stays);
    if (p->answer_stays)
        print_message("# %s: answers go to no other: %s\n", p->name, p->answer_stays);
}

static void tell(const struct accounts *all)
{
    tell_here(all);
    tell_across(all);
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        tell_reasons(&protocols[i]);
}

/* ---- all of it ---- */

static void check_files(struct run *r)
{
    struct json meta = parsed(r, r->item->meta);
    const char *unread = corpus_unread_file(r->a, r->p->name, r->item);
    if (!json_str_is(json_get(meta, "protocol"), r->p->name) ||
        !(json_str_is(json_get(meta, "tier"), "A") || json_str_is(json_get(meta, "tier"), "B")))
        fault(r, "meta.json is missing, or tells another protocol or tier", SPAN_EMPTY);
    if (unread)
        fault(r, "a file that nobody reads:", span_from(unread));
}

static size_t take(const struct protocol *p, const struct corpus_item *item,
                   struct account *account)
{
    struct arena a;
    struct run r = {.a = &a, .p = p, .item = item, .account = account};
    arena_init(&a, SIZE_MAX);
    account->recordings++;
    check_files(&r);
    take_as_door(&r);
    take_as_upstream(&r);
    take_across(&r);
    arena_deinit(&a);
    return r.faults;
}

/* INDEX.tsv has a heading and a line for each. */
static size_t indexed(struct arena *a)
{
    struct span path = arena_printf(a, "%s/corpus/INDEX.tsv", getenv("HOTSPARE_CORPUS"));
    FILE *f = fopen(path.at, "rb");
    size_t lines = 0;
    assert_non_null(f);
    for (int c = getc(f); c != EOF; c = getc(f))
        lines += c == '\n';
    (void)fclose(f); /* only read from */
    return lines - 1;
}

/* Row n of all names, those above behind the others. */
static const struct left_out *name_at(size_t n)
{
    size_t behind = 0;
    while (left_out_at(behind))
        behind++;
    if (n < behind)
        return left_out_at(n);
    return n - behind < ARRAY_LEN(wordless) ? &wordless[n - behind] : NULL;
}

static void mark_named(const struct corpus *c, bool *named)
{
    const struct left_out *row;
    for (size_t n = 0; (row = name_at(n)); n++)
        for (size_t i = 0; i < c->count; i++)
            named[n] = named[n] || left_out_names(row, c->items[i].id);
}

static void assert_all_named(const bool *named)
{
    const struct left_out *row;
    for (size_t n = 0; (row = name_at(n)); n++)
        if (!named[n])
            fail_msg("%s: left out, but no recording has that name", row->id);
}

/* Returns how much is not accounted for. */
static size_t take_protocol(const char *name, const struct corpus *c, struct accounts *all)
{
    const struct protocol *p = protocol_of(name);
    size_t faults = 0;
    if (!p) {
        print_message("# NOT ACCOUNTED FOR: %s: a protocol that no test takes\n", name);
        return c->count > 0 ? c->count : 1;
    }
    for (size_t i = 0; i < c->count; i++)
        faults += take(p, &c->items[i], &all->of[p - protocols][c->items[i].tier == 'B']);
    return faults;
}

static void every_recording_is_read_or_left_out_by_name(void **state)
{
    struct arena *arena = *state;
    size_t count, faults = 0, recordings = 0, rows = 0;
    if (!corpus_there()) {
        print_message("# HOTSPARE_CORPUS is not set: recorded exchanges are not counted\n");
        skip();
    }
    const char **names = corpus_protocols(arena, &count);
    while (name_at(rows))
        rows++;
    bool *named = arena_array(arena, bool, rows);
    struct accounts *all = arena_new(arena, struct accounts);
    if (count < ARRAY_LEN(protocols))
        fail_msg("%zu protocols are recorded, %zu are taken", count, ARRAY_LEN(protocols));
    for (size_t i = 0; i < count; i++) {
        struct corpus c = corpus_open(arena, names[i]);
        faults += take_protocol(names[i], &c, all);
        mark_named(&c, named);
        recordings += c.count;
    }
    tell(all);
    print_message("# %zu recordings, %zu not accounted for\n", recordings, faults);
    assert_int_equal(faults, 0);
    assert_int_equal(recordings, indexed(arena));
    assert_all_named(named);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(every_recording_is_read_or_left_out_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
