/* See caller.h. What is checked of an answer, besides its words: one start, each block closed, one
 * whole tool call of the right name when tools were offered, the right reason for the end, and the
 * dialect's own last word (message_stop, [DONE]) with nothing behind it. An answer that ends so and
 * fails any of these is corrupt, however small the flaw.
 *
 * The check is written apart from src/dialect on purpose: a drill that read with the gateway's own
 * readers would believe what they believe. */
#include "tools/drill/caller.h"
#include "base/mem.h"
#include "base/span.h"
#include "http/sse.h"
#include "json/json.h"
#include "tools/demo_words.h"

#define BODY_MAX ((size_t)1 << 20)
#define TROUBLE_MAX 200

struct caller {
    struct caller_order order;
    struct record record;
    struct arena arena, scratch; /* of the caller; of one event */
    struct pieces body;
    struct call *call;
    struct timer limit;
    struct sse sse;
    struct words words;
    struct buf tool;  /* the tool's input, as JSON text */
    struct buf whole; /* a body that is no stream */
    usec last_content;
    int starts, blocks_open, tools;
    bool good_end;  /* the reason for the end is the right one */
    bool ended;     /* the dialect's last word came */
    bool told;      /* an error in the dialect came */
    bool crooked;   /* a rule of the frame was broken */
    bool is_stream; /* what came is one */
    bool spoke;     /* there was some text */
    char id[40];
    char trouble[TROUBLE_MAX];
};

static bool has(const struct caller *c, unsigned property)
{
    return (c->order.shape & property) != 0;
}

static usec now(const struct caller *c)
{
    return loop_now(c->order.loop) - c->order.base;
}

static void note(struct caller *c, const char *what, struct span detail)
{
    if (c->trouble[0] == '\0')
        (void)snprintf(c->trouble, sizeof c->trouble, "%s%.*s", what,
                       (int)(detail.len < 120 ? detail.len : 120),
                       detail.at != NULL ? detail.at : "");
}

static void crooked(struct caller *c, const char *what, struct span detail)
{
    c->crooked = true;
    note(c, what, detail);
}

/* ---- content ---- */

static void content_came(struct caller *c)
{
    struct record *r = &c->record;
    usec at = now(c);
    if (r->first < 0)
        r->first = at;
    else if (at - c->last_content > r->gap)
        r->gap = at - c->last_content;
    c->last_content = at;
}

static void take_text(struct caller *c, struct span text)
{
    if (text.len == 0)
        return;
    content_came(c);
    c->spoke = true;
    words_feed(&c->words, text);
}

static void take_tool_piece(struct caller *c, struct span json)
{
    if (json.len == 0)
        return;
    content_came(c);
    if (buf_add(&c->tool, json) != ERR_OK)
        crooked(c, "a tool's input does not end", SPAN_EMPTY);
}

static void tool_opens(struct caller *c, struct json name)
{
    c->tools++;
    if (c->tools > 1 || !json_str_is(name, CALLER_TOOL))
        crooked(c, "a second tool call, or one that was never made: ", json_str(name));
}

/* A tool call counts by its input, which holds the words. */
static void read_tool_words(struct caller *c)
{
    struct json_doc doc;
    arena_reset(&c->scratch);
    if (json_parse(&c->scratch, buf_span(&c->tool), NULL, &doc, NULL) != ERR_OK) {
        crooked(c, "a tool's input is not JSON: ", buf_span(&c->tool));
        return;
    }
    words_feed(&c->words, json_str_decode(json_get(json_root(&doc), "words"), &c->scratch));
}

/* ---- errors ---- */

static void take_error(struct caller *c, struct json root)
{
    struct json error = json_get(root, "error"), message = json_get(error, "message");
    bool envelope = has(c, SHAPE_CHAT) || json_str_is(json_get(root, "type"), "error");
    if (!envelope || !json_is(json_get(error, "type"), JSON_STRING) ||
        !json_is(message, JSON_STRING)) {
        note(c, "an error that is not in the caller's dialect", SPAN_EMPTY);
        return;
    }
    c->told = true;
    if (c->order.expected_words != NULL)
        c->record.as_expected =
            c->record.status == c->order.expected_status &&
            span_search(json_str(message), span_from(c->order.expected_words)) >= 0;
    note(c, "error: ", json_str(message));
}

/* ---- tokens ---- */

static void take_tokens(struct caller *c, struct json usage)
{
    int64_t n;
    if (c->order.own == NULL)
        return;
    struct caller_seen *seen = c->order.own->seen;
    bool chat = has(c, SHAPE_CHAT);
    if (json_i64(json_get(usage, chat ? "prompt_tokens" : "input_tokens"), &n) == ERR_OK)
        seen->input = n;
    if (json_i64(json_get(usage, chat ? "completion_tokens" : "output_tokens"), &n) == ERR_OK)
        seen->output = n;
}

/* ---- Messages ---- */

static void messages_delta(struct caller *c, struct json delta)
{
    struct json type = json_get(delta, "type");
    if (json_str_is(type, "text_delta"))
        take_text(c, json_str_decode(json_get(delta, "text"), &c->scratch));
    else if (json_str_is(type, "input_json_delta"))
        take_tool_piece(c, json_str_decode(json_get(delta, "partial_json"), &c->scratch));
}

/* A real model may stop where it likes, but says why. */
static void messages_end_reason(struct caller *c, struct json reason)
{
    if (c->order.own != NULL)
        c->good_end |= json_is(reason, JSON_STRING);
    else if (json_is(reason, JSON_STRING))
        c->good_end = json_str_is(reason, has(c, SHAPE_TOOLS) ? "tool_use" : "end_turn");
}

static void messages_event(struct caller *c, struct json root)
{
    struct json type = json_get(root, "type");
    take_tokens(c, json_get(root, "usage")); /* of a message_delta */
    if (json_str_is(type, "message_start")) {
        c->starts++;
        take_tokens(c, json_path(root, "message.usage"));
    } else if (json_str_is(type, "content_block_start")) {
        struct json block = json_get(root, "content_block");
        c->blocks_open++;
        if (json_str_is(json_get(block, "type"), "tool_use"))
            tool_opens(c, json_get(block, "name"));
    } else if (json_str_is(type, "content_block_delta")) {
        messages_delta(c, json_get(root, "delta"));
    } else if (json_str_is(type, "content_block_stop")) {
        c->blocks_open--;
    } else if (json_str_is(type, "message_delta")) {
        messages_end_reason(c, json_path(root, "delta.stop_reason"));
    } else if (json_str_is(type, "message_stop")) {
        c->ended = true;
        if (c->starts != 1 || c->blocks_open != 0)
            crooked(c, "the stream's frame is broken", SPAN_EMPTY);
    } else if (json_str_is(type, "error")) {
        take_error(c, root);
    }
    if (c->blocks_open < 0 || c->blocks_open > 1)
        crooked(c, "blocks overlap", SPAN_EMPTY);
}

static void messages_whole(struct caller *c, struct json root)
{
    struct json content = json_get(root, "content");
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b)) {
        if (json_str_is(json_get(b, "type"), "text")) {
            take_text(c, json_str_decode(json_get(b, "text"), &c->scratch));
        } else if (json_str_is(json_get(b, "type"), "tool_use")) {
            tool_opens(c, json_get(b, "name"));
            take_tool_piece(c, json_raw(json_get(b, "input")));
        }
    }
    messages_end_reason(c, json_get(root, "stop_reason"));
    take_tokens(c, json_get(root, "usage"));
    c->ended = json_str_is(json_get(root, "type"), "message");
}

/* ---- Chat Completions ---- */

static void chat_tools(struct caller *c, struct json calls)
{
    for (struct json t = json_first(calls); json_present(t); t = json_next(calls, t)) {
        struct json name = json_path(t, "function.name");
        if (json_useful(name))
            tool_opens(c, name);
        take_tool_piece(c, json_str_decode(json_path(t, "function.arguments"), &c->scratch));
    }
}

/* message: the delta of a chunk, or the message of a whole answer. */
static void chat_choice(struct caller *c, struct json choice, struct json message)
{
    struct json reason = json_get(choice, "finish_reason");
    struct json content = json_get(message, "content");
    if (json_is(content, JSON_STRING))
        take_text(c, json_str_decode(content, &c->scratch));
    chat_tools(c, json_get(message, "tool_calls"));
    if (c->order.own != NULL)
        c->good_end |= json_is(reason, JSON_STRING);
    else if (json_is(reason, JSON_STRING))
        c->good_end = json_str_is(reason, has(c, SHAPE_TOOLS) ? "tool_calls" : "stop");
}

static void chat_event(struct caller *c, struct json root)
{
    struct json choice = json_at(json_get(root, "choices"), 0);
    take_tokens(c, json_get(root, "usage"));
    if (json_useful(json_get(root, "error")))
        take_error(c, root);
    else if (json_present(choice))
        chat_choice(c, choice, json_get(choice, "delta"));
}

static void chat_whole(struct caller *c, struct json root)
{
    struct json choice = json_at(json_get(root, "choices"), 0);
    chat_choice(c, choice, json_get(choice, "message"));
    take_tokens(c, json_get(root, "usage"));
    c->ended = json_str_is(json_get(root, "object"), "chat.completion");
}

/* ---- the answer ---- */

static void on_event(struct caller *c, struct span data)
{
    struct json_doc doc;
    if (c->ended) {
        crooked(c, "something came behind the end: ", data);
        return;
    }
    if (has(c, SHAPE_CHAT) && span_is(data, "[DONE]")) {
        c->ended = true;
        return;
    }
    arena_reset(&c->scratch);
    if (json_parse(&c->scratch, data, NULL, &doc, NULL) != ERR_OK)
        crooked(c, "an event is not JSON: ", data);
    else if (has(c, SHAPE_CHAT))
        chat_event(c, json_root(&doc));
    else
        messages_event(c, json_root(&doc));
}

static void take_stream(struct caller *c, struct span bytes)
{
    while (bytes.len > 0) {
        struct sse_event event;
        size_t used = 0;
        enum err e = sse_next(&c->sse, bytes, &used, &event);
        bytes = span_drop(bytes, used);
        if (e == ERR_OK)
            on_event(c, event.data);
        else if (e != ERR_AGAIN)
            crooked(c, "an event is too long", SPAN_EMPTY);
        if (e != ERR_OK)
            return;
    }
}

static void take_whole(struct caller *c)
{
    struct json_doc doc;
    struct arena *a = &c->arena; /* not scratch: reading the tool's words needs that */
    if (json_parse(a, buf_span(&c->whole), NULL, &doc, NULL) != ERR_OK) {
        note(c, "the body is not JSON: ", buf_span(&c->whole));
        return;
    }
    struct json root = json_root(&doc);
    if (c->record.status != 200 || json_useful(json_get(root, "error")))
        take_error(c, root);
    else if (has(c, SHAPE_CHAT))
        chat_whole(c, root);
    else
        messages_whole(c, root);
    c->record.first = -1; /* there is no first token of a whole answer */
}

static void note_target(struct caller *c, const struct http_head *head)
{
    struct caller_seen *seen = c->order.own->seen;
    uint64_t attempts = 0;
    (void)snprintf(seen->by, sizeof seen->by, "%.*s",
                   SPAN_FMT(http_field_get(head, "x-hotspare-served-by")));
    seen->switched = http_field_get(head, "x-hotspare-switched").len > 0;
    if (span_u64(http_field_get(head, "x-hotspare-attempts"), &attempts) == ERR_OK)
        seen->attempts = (uint32_t)attempts;
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct caller *c = ctx;
    if (c->order.own != NULL)
        note_target(c, head);
    struct record *r = &c->record;
    struct span by = http_field_get(head, "x-hotspare-served-by");
    struct span id = http_field_get(head, "x-hotspare-request-id");
    r->status = head->status;
    r->by = span_is(by, "lead") ? WHO_LEAD : span_is(by, "spare") ? WHO_SPARE : WHO_NOBODY;
    (void)snprintf(c->id, sizeof c->id, "%.*s", SPAN_FMT(id));
    c->is_stream = span_istarts(http_field_get(head, "content-type"), SPAN("text/event-stream"));
    if (c->is_stream && has(c, SHAPE_WHOLE))
        crooked(c, "a stream came that was not asked for", SPAN_EMPTY);
}

static void on_body(void *ctx, struct span bytes)
{
    struct caller *c = ctx;
    if (c->is_stream)
        take_stream(c, bytes);
    else if (buf_add(&c->whole, bytes) != ERR_OK)
        note(c, "the body does not end", SPAN_EMPTY);
}

/* ---- over ---- */

static void release(struct caller *c)
{
    loop_timer_cancel(c->order.loop, &c->limit);
    sse_deinit(&c->sse);
    buf_deinit(&c->tool);
    buf_deinit(&c->whole);
    arena_deinit(&c->scratch);
    arena_deinit(&c->arena);
    mem_free(c);
}

/* Of a real model: a whole frame with some text in it. What was lost or doubled nobody can tell. */
static void judge_frame(struct caller *c)
{
    c->record.right = !c->crooked && c->good_end && c->spoke && c->tools == 0;
    if (c->ended && !c->record.right)
        note(c, "an answer ended well and is wrong or empty", SPAN_EMPTY);
}

static void count_words(struct caller *c)
{
    struct record *r = &c->record;
    if (c->order.own != NULL) {
        judge_frame(c);
        return;
    }
    if (has(c, SHAPE_TOOLS) && c->tools > 0 && c->ended)
        read_tool_words(c);
    words_end(&c->words);
    r->lost = c->words.lost;
    r->repeated = c->words.repeated;
    r->reordered = c->words.reordered;
    r->strange = c->words.strange;
    r->right = !c->crooked && c->good_end && words_perfect(&c->words) &&
               c->tools == (has(c, SHAPE_TOOLS) ? 1 : 0);
    if (c->ended && !r->right)
        note(c, "an answer ended well and is wrong", SPAN_EMPTY);
}

static void over(struct caller *c, enum ending ending)
{
    struct record *r = &c->record;
    c->call = NULL;
    r->ended = now(c);
    r->ending = ending;
    count_words(c);
    c->order.on_over(c->order.ctx, r, span_from(c->id), c->trouble);
    release(c);
}

/* How the bytes say that it ended; orderly: by their framing. */
static enum ending ending_of(const struct caller *c, bool orderly)
{
    if (c->told)
        return ENDING_TOLD;
    if (c->ended && orderly)
        return ENDING_WHOLE;
    return c->record.status >= 400 && orderly ? ENDING_RUDE : ENDING_CUT;
}

static void on_end(void *ctx)
{
    struct caller *c = ctx;
    if (!c->is_stream)
        take_whole(c);
    if (!c->ended && !c->told)
        note(c, "the answer ended without its end", SPAN_EMPTY);
    over(c, ending_of(c, true));
}

static void on_error(void *ctx, enum err e, enum call_stage stage, const char *why)
{
    struct caller *c = ctx;
    (void)e;
    (void)stage;
    note(c, "the connection failed: ", span_from(why));
    over(c, ending_of(c, false));
}

static void patience_ends(struct timer *t)
{
    struct caller *c = CONTAINER_OF(t, struct caller, limit);
    note(c, "no end within the deadline and a second", SPAN_EMPTY);
    call_cancel(c->call);
    over(c, ENDING_LATE);
}

void caller_cancel(struct caller *c)
{
    call_cancel(c->call);
    release(c);
}

/* ---- the question ---- */

static const char *tools_json(const struct caller *c)
{
    if (!has(c, SHAPE_TOOLS))
        return "";
    return has(c, SHAPE_CHAT)
               ? "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"" CALLER_TOOL
                 "\",\"description\":\"Takes the words.\",\"parameters\":{\"type\":\"object\","
                 "\"properties\":{\"words\":{\"type\":\"string\"}}}}}],"
               : "\"tools\":[{\"name\":\"" CALLER_TOOL "\",\"description\":\"Takes the words.\","
                 "\"input_schema\":{\"type\":\"object\",\"properties\":{\"words\":{\"type\":"
                 "\"string\"}}}}],";
}

static void write_question(struct caller *c)
{
    const struct caller_own *own = c->order.own;
    bool whole = has(c, SHAPE_WHOLE);
    pieces_init(&c->body, &c->arena);
    if (own != NULL) {
        pieces_printf(&c->body,
                      "{\"model\":\"%s\",\"max_tokens\":%d,\"stream\":%s,%s\"messages\":[{"
                      "\"role\":\"user\",\"content\":\"Conversation %u of a drill. Describe the "
                      "sea in about a hundred plain words.\"}]}",
                      own->model, CALLER_TOKENS_MOST, whole ? "false" : "true",
                      has(c, SHAPE_CHAT) && !whole ? "\"stream_options\":{\"include_usage\":true},"
                                                   : "",
                      own->number);
        return;
    }
    pieces_printf(&c->body,
                  "{\"model\":\"claude-drill\",\"max_tokens\":1024,\"stream\":%s,%s\"messages\":[{"
                  "\"role\":\"user\",\"content\":\"Count to %d for me, please.\"}]}",
                  whole ? "false" : "true", tools_json(c), CALLER_WORDS);
}

static void ask(struct caller *c)
{
    static const struct call_events events = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_error = on_error};
    write_question(c);
    struct call_request request = {
        .method = SPAN("POST"),
        .target = has(c, SHAPE_CHAT) ? SPAN("/v1/chat/completions") : SPAN("/v1/messages"),
        .fields = arena_printf(&c->arena,
                               "content-type: application/json\r\nanthropic-version: 2023-06-01\r\n"
                               "%sx-hotspare-drill: %s\r\n",
                               c->order.own != NULL ? c->order.own->fields : "x-api-key: drill\r\n",
                               c->order.fault),
        .body = &c->body};
    c->call = call_start(c->order.pool, c->order.gateway, &request, &events, c);
}

struct caller *caller_start(const struct caller_order *o)
{
    struct caller *c = mem_new(struct caller);
    c->order = *o;
    arena_init(&c->arena, BODY_MAX);
    arena_init(&c->scratch, BODY_MAX);
    buf_init(&c->tool, BODY_MAX);
    buf_init(&c->whole, BODY_MAX);
    sse_init(&c->sse, BODY_MAX, false);
    words_begin(&c->words, CALLER_WORDS);
    c->record = (struct record){
        .planned = o->planned, .sent = now(c), .first = -1, .away = -1, .shape = o->shape};
    loop_timer_in(o->loop, &c->limit, o->patience, patience_ends);
    ask(c);
    return c;
}
