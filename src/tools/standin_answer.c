/* One answer: what was asked decides its parts, its fault decides how it fails, and the pace
 * decides when each event goes out. At full speed events are gathered and go out together; with a
 * rate one goes out per tick. */
#include "base/span.h"
#include "json/json_write.h"
#include "tools/standin_internal.h"

#include <stdio.h>

#define GATHER_MAX ((size_t)16 << 20) /* a whole answer of a million words fits */
#define PING_TIME (200 * USEC_PER_MS)

static void on_tick(struct timer *t);

/* ---- what was asked ---- */

struct json answer_turns(struct json root)
{
    struct json messages = json_get(root, "messages");
    return json_present(messages) ? messages : json_get(root, "input");
}

uint64_t answer_count_images(struct json v)
{
    uint64_t n = 0;
    struct json type = json_get(v, "type");
    if (json_str_is(type, "image") || json_str_is(type, "image_url") ||
        json_str_is(type, "input_image"))
        n++;
    for (struct json m = json_first(v); json_present(m); m = json_next(v, m))
        if (json_is(m, JSON_OBJECT) || json_is(m, JSON_ARRAY))
            n += answer_count_images(m);
    return n;
}

static uint64_t count_words(struct span text)
{
    uint64_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.at[i] == ' ';
    return n;
}

/* The last message that is part of the conversation. */
static struct json last_message(struct answer *a, struct json root)
{
    struct json list = answer_turns(root);
    uint32_t count = json_len(list), own = resume_messages(root, request_arena(a->request));
    return count > own ? json_at(list, count - own - 1) : JSON_ABSENT;
}

static bool answers_a_tool(struct json message)
{
    if (json_str_is(json_get(message, "role"), "tool") ||
        span_ends(json_str(json_get(message, "type")), SPAN("_call_output")))
        return true;
    struct json content = json_get(message, "content");
    for (struct json b = json_first(content); json_present(b); b = json_next(content, b))
        if (json_is(b, JSON_OBJECT) && json_str_is(json_get(b, "type"), "tool_result"))
            return true;
    return false;
}

static bool offers(struct json root, const char *name)
{
    struct json tools = json_get(root, "tools");
    for (struct json t = json_first(tools); json_present(t); t = json_next(tools, t))
        if (json_str_is(json_get(t, "name"), name) ||
            json_str_is(json_path(t, "function.name"), name))
            return true;
    return false;
}

static void add_part(struct answer *a, enum part_kind kind, uint64_t pieces,
                     const struct tool_plan *tool)
{
    if (a->part_count < STANDIN_PARTS)
        a->parts[a->part_count++] = (struct part){.kind = kind, .pieces = pieces, .tool = tool};
}

/* Words that stand before a planned call; some of them may have been said by another. */
static void plan_preface(struct answer *a)
{
    uint64_t words = a->standin->preface, said = a->resumes ? a->said : 0;
    uint64_t pieces = (words > said ? words - said : 0) + (a->opening.len > 0);
    if (pieces > 0)
        add_part(a, PART_TEXT, pieces, NULL);
}

static bool forbids_tools(struct json root)
{
    return json_str_is(json_get(root, "tool_choice"), "none") ||
           json_str_is(json_path(root, "tool_choice.type"), "none");
}

static bool calls_tools(struct answer *a, struct json root)
{
    if (forbids_tools(root) || lacks(a->standin, LACK_TOOL_CALLS) ||
        answers_a_tool(last_message(a, root)))
        return false;
    for (size_t i = 0; i < a->standin->tool_count; i++)
        if (offers(root, a->standin->tools[i].name))
            return true;
    return false;
}

static bool plan_tools(struct answer *a, struct json root)
{
    if (!calls_tools(a, root))
        return false;
    plan_preface(a);
    for (size_t i = 0; i < a->standin->tool_count; i++) {
        const struct tool_plan *t = &a->standin->tools[i];
        if (!offers(root, t->name))
            continue;
        add_part(a, PART_TOOL, (t->input.len + 11) / 12, t);
        if (lacks(a->standin, LACK_PARALLEL_TOOLS))
            break;
    }
    return a->part_count > 0 && a->parts[a->part_count - 1].kind == PART_TOOL;
}

/* The first word that holds one of the stop sequences ends the text before it. */
static uint64_t stop_before(struct answer *a, struct json stops, uint64_t words)
{
    struct arena *arena = request_arena(a->request);
    for (uint64_t i = 1; i <= words; i++) {
        struct span word = arena_printf(arena, " w%llu", (unsigned long long)i);
        if (json_is(stops, JSON_STRING) && span_search(word, json_str(stops)) >= 0)
            return i - 1;
        for (struct json s = json_first(stops); json_present(s); s = json_next(stops, s))
            if (json_is(s, JSON_STRING) && json_str(s).len && span_search(word, json_str(s)) >= 0) {
                a->stop_sequence = json_str(s);
                return i - 1;
            }
    }
    return words;
}

static void plan_text(struct answer *a, struct json root)
{
    uint64_t words = a->standin->words;
    int64_t most = -1;
    static const char *const limits[] = {"max_completion_tokens", "max_tokens",
                                         "max_output_tokens"};
    for (size_t i = 0; i < ARRAY_LEN(limits) && most < 0; i++)
        if (lacks(a->standin, LACK_MAX_TOKENS) ||
            json_i64(json_get(root, limits[i]), &most) != ERR_OK)
            most = -1;
    if (a->speech == SPEAK_COMPLETIONS && most < 0)
        most = 16;
    struct json stops = json_get(root, a->speech == SPEAK_MESSAGES ? "stop_sequences" : "stop");
    bool heeds = json_present(stops) && a->speech != SPEAK_RESPONSES && /* which has none */
                 !lacks(a->standin, LACK_STOP);
    uint64_t kept = heeds ? stop_before(a, stops, words) : words;
    if (kept < words)
        a->stop = "stop_sequence";
    if (most >= 0 && (uint64_t)most + a->said < kept) {
        kept = (uint64_t)most + a->said;
        a->stop = "max_tokens";
        a->stop_sequence = SPAN_EMPTY;
    }
    a->json_only = !lacks(a->standin, LACK_JSON_SCHEMA) &&
                   (json_present(json_path(root, "output_config.format")) ||
                    json_present(json_get(root, "response_format")) ||
                    json_str_is(json_path(root, "text.format.type"), "json_schema") ||
                    json_str_is(json_path(root, "text.format.type"), "json_object"));
    if (a->json_only)
        kept = 1;
    kept = kept > a->said ? kept - a->said : 0;
    a->output_words = kept;
    bool images = a->images > 0 && !a->json_only;
    uint64_t pieces = kept + images + (a->opening.len > 0);
    if (pieces == 0)
        return;
    add_part(a, PART_TEXT, pieces, NULL);
    a->parts[a->part_count - 1].images = images;
}

static void plan(struct answer *a, struct json root)
{
    struct standin *s = a->standin;
    a->stop = "end_turn";
    a->stream = json_true(json_get(root, "stream")) && !lacks(s, LACK_STREAM);
    a->include_usage =
        !lacks(s, LACK_STREAM_USAGE) && json_true(json_path(root, "stream_options.include_usage"));
    a->images = answer_count_images(answer_turns(root));
    a->prompt_words = count_words(request_body(a->request));
    struct json model = json_get(root, "model");
    a->model = json_is(model, JSON_STRING) ? json_str(model) : span_from(s->model);
    uint64_t thinking = a->speech == SPEAK_COMPLETIONS ? 0 : s->thinking; /* has no place for it */
    if (a->resumes || !bind_thinks(s, root))
        thinking = 0;
    if (thinking > 0)
        add_part(a, PART_THINKING, thinking, NULL);
    if (plan_tools(a, root)) {
        a->stop = "tool_use";
        a->output_words = 10;
    } else {
        plan_text(a, root);
    }
    a->output_words += thinking;
    a->signature = SPAN("c3RhbmRpbi1zaWduYXR1cmU=");
    if (s->binds && thinking > 0)
        bind_sign(a, write_part_text(a, 0));
}

/* NULL when the request is fine; else what the provider would say. */
static const char *complaint(struct answer *a, struct json root)
{
    int64_t max;
    if (!json_is(root, JSON_OBJECT))
        return "The request body must be a JSON object";
    if (!json_is(json_get(root, "model"), JSON_STRING))
        return "model: Field required";
    if (a->speech == SPEAK_COMPLETIONS)
        return json_present(json_get(root, "prompt")) ? NULL : "prompt: Field required";
    if (a->speech == SPEAK_MESSAGES && json_i64(json_get(root, "max_tokens"), &max) != ERR_OK)
        return "max_tokens: Field required";
    struct json turns = answer_turns(root);
    if (a->speech == SPEAK_RESPONSES)
        return json_len(turns) > 0 || json_str(turns).len > 0 ? NULL : "input: Field required";
    if (json_len(turns) == 0)
        return "messages: at least one message is required";
    return NULL;
}

/* ---- ending ---- */

void answer_over(struct answer *a)
{
    loop_timer_cancel(a->standin->loop, &a->timer);
    request_set_data(a->request, NULL);
    a->standin->stats.in_flight--;
}

static void end_answer(struct answer *a)
{
    answer_over(a);
    if (a->fault && a->fault->row->kind == FAULT_HANG_UP)
        reply_end_close(a->request);
    else
        reply_end(a->request);
}

static void cut_answer(struct answer *a, bool reset)
{
    answer_over(a);
    if (reset)
        reply_abort(a->request);
    else
        reply_cut(a->request);
}

static void reply_json(struct answer *a, int status, struct span body, int64_t retry_after)
{
    char seconds[24];
    int len = 0;
    struct http_field fields[3] = {
        {SPAN("content-type"), SPAN("application/json")},
        {a->speech == SPEAK_MESSAGES ? SPAN("request-id") : SPAN("x-request-id"),
         write_request_id(a)}};
    if (retry_after >= 0)
        len = snprintf(seconds, sizeof seconds, "%lld", (long long)retry_after);
    fields[2] = (struct http_field){SPAN("retry-after"), {seconds, (size_t)len}};
    answer_over(a);
    reply_whole(a->request, status, fields, len ? 3 : 2, body);
}

static void reply_error(struct answer *a, int status, const struct fault_row *row, const char *type,
                        const char *message, int64_t retry_after)
{
    struct buf body;
    buf_init(&body, 65536);
    write_error(a->speech, status, row, type, message, write_request_id(a), &body);
    struct span kept = arena_copy(request_arena(a->request), buf_span(&body));
    buf_deinit(&body);
    reply_json(a, status, kept, retry_after);
}

static void reply_html(struct answer *a, int status)
{
    struct http_field type = {SPAN("content-type"), SPAN("text/html; charset=utf-8")};
    answer_over(a);
    reply_whole(a->request, status, &type, 1,
                SPAN("<!doctype html><html><head><title>Attention "
                     "required</title></head><body>blocked</body></html>"));
}

/* ---- streaming ---- */

static void start_stream(struct answer *a)
{
    struct http_field fields[] = {
        {SPAN("content-type"), SPAN("text/event-stream; charset=utf-8")},
        {SPAN("cache-control"), SPAN("no-cache")},
        {a->speech == SPEAK_MESSAGES ? SPAN("request-id") : SPAN("x-request-id"),
         write_request_id(a)}};
    if (reply_started(a->request))
        return;
    reply_start(a->request, 200, fields, ARRAY_LEN(fields), REPLY_CHUNKED);
}

static bool fault_is(const struct answer *a, enum fault_kind kind)
{
    return a->fault && a->fault->row->kind == kind;
}

/* The fault's place in the stream is reached. out: bytes to send before it. True: nothing more is
 * to be said. */
static bool fault_strikes(struct answer *a, struct buf *out)
{
    if (!a->fault)
        return false;
    uint64_t k = a->fault->at;
    switch (a->fault->row->kind) {
    case FAULT_ERROR:
        if (a->deltas < k)
            return false;
        write_stream_error(a, out);
        return true;
    case FAULT_ERROR_AFTER_START:
        if (a->events < 1)
            return false;
        write_stream_error(a, out);
        return true;
    case FAULT_GARBAGE:
        if (a->events < k)
            return false;
        if (buf_add_cstr(out, "event: content_block_delta\ndata: {\"type\":\"content_block_\n\n") !=
            ERR_OK)
            return true;
        return true;
    case FAULT_CUT:
    case FAULT_RST:
    case FAULT_STALL:
        return a->events >= k;
    case FAULT_CUT_LINE:
    case FAULT_CUT_CHAR:
        return a->events >= k && odd_cut_event(a, out);
    case FAULT_CUT_TOOL:
        return odd_inside_tool(a);
    case FAULT_UNKNOWN_EVENT:
    case FAULT_LONG_LINE:
        if (a->events >= k && !a->was_odd)
            odd_write(a, out);
        return false;
    case FAULT_CUT_BYTES:
        if (a->bytes + out->len < k)
            return false;
        out->len = (size_t)(k - a->bytes);
        return true;
    default:
        return false;
    }
}

static void strike(struct answer *a)
{
    switch (a->fault->row->kind) {
    case FAULT_CUT:
    case FAULT_CUT_BYTES:
    case FAULT_CUT_LINE:
    case FAULT_CUT_CHAR:
    case FAULT_CUT_TOOL:
        cut_answer(a, false);
        break;
    case FAULT_RST:
        cut_answer(a, true);
        break;
    case FAULT_STALL:
        break; /* nothing more, connection open */
    default:
        end_answer(a);
    }
}

bool answer_add_event(struct answer *a, struct buf *out)
{
    if (a->stage == STAGE_LAST && lacks(a->standin, LACK_STREAM_END))
        return false;
    if (!write_next_event(a, out))
        return false;
    a->events++;
    a->deltas += a->is_delta;
    return true;
}

static usec pace(const struct answer *a)
{
    if (fault_is(a, FAULT_SLOW))
        return a->fault->delay;
    return a->standin->rate ? USEC_PER_SEC / (usec)a->standin->rate : 0;
}

/* Gives what is due now: one delta (with whatever stands before it) at a pace, else all there is
 * room for. */
static void give(struct answer *a)
{
    struct buf out;
    bool struck = false, more = true;
    buf_init(&out, GATHER_MAX);
    do {
        struck = fault_strikes(a, &out);
        if (!struck)
            more = answer_add_event(a, &out);
    } while (!struck && more && (pace(a) ? !a->is_delta : out.len < REPLY_HIGH_WATER));
    if (fault_is(a, FAULT_CUT_BYTES) && !struck)
        struck = fault_strikes(a, &out);
    start_stream(a);
    a->bytes += out.len;
    odd_send(a, buf_span(&out));
    buf_deinit(&out);
    if (struck)
        strike(a);
    else if (!more)
        end_answer(a);
    else if (reply_pending(a->request) > REPLY_HIGH_WATER)
        a->waiting = true;
    else
        loop_timer_in(a->standin->loop, &a->timer, pace(a), on_tick);
}

static void give_gathered(struct answer *a)
{
    struct buf out;
    buf_init(&out, GATHER_MAX);
    while (answer_add_event(a, &out))
        continue;
    struct span all = arena_copy(request_arena(a->request), buf_span(&out));
    buf_deinit(&out);
    odd_reply(a, all);
}

static void on_tick(struct timer *t)
{
    struct answer *a = CONTAINER_OF(t, struct answer, timer);
    if (odd_is_gathered(a)) {
        give_gathered(a);
        return;
    }
    if (!fault_is(a, FAULT_PINGS_ONLY)) {
        give(a);
        return;
    }
    struct buf out;
    buf_init(&out, 1024);
    write_ping(a, &out);
    start_stream(a);
    reply_body(a->request, buf_span(&out));
    buf_deinit(&out);
    loop_timer_in(a->standin->loop, &a->timer, PING_TIME, on_tick);
}

void answer_drained(struct answer *a)
{
    if (!a->waiting)
        return;
    a->waiting = false;
    loop_timer_in(a->standin->loop, &a->timer, 0, on_tick);
}

void answer_gone(struct answer *a)
{
    a->standin->stats.aborted++;
    answer_over(a);
}

/* ---- whole ---- */

/* A whole answer that fails in its middle: half of the body, then the fault's own end. */
static void reply_half(struct answer *a, struct span body)
{
    struct http_field type = {SPAN("content-type"), SPAN("application/json")};
    size_t half = fault_is(a, FAULT_CUT_BYTES) && a->fault->at < body.len ? (size_t)a->fault->at
                                                                          : body.len / 2;
    struct span part = fault_is(a, FAULT_CUT_CHAR) || fault_is(a, FAULT_CUT_TOOL)
                           ? odd_cut_whole(a, body)
                           : span_take(body, fault_is(a, FAULT_HEADERS_ONLY) ? 0 : half);
    reply_start(a->request, 200, &type, 1,
                (int64_t)(body.len > part.len ? body.len : part.len + 1));
    reply_body(a->request, part);
    reply_flush(a->request);
    if (fault_is(a, FAULT_CUT) || fault_is(a, FAULT_CUT_BYTES) || fault_is(a, FAULT_CUT_LINE) ||
        fault_is(a, FAULT_CUT_CHAR) || fault_is(a, FAULT_CUT_TOOL))
        cut_answer(a, false);
    else if (fault_is(a, FAULT_RST))
        cut_answer(a, true);
}

/* Faults that a whole answer does not show, or only in its time. */
static bool is_shown_whole(enum fault_kind k)
{
    return k == FAULT_SLOW_FIRST || k == FAULT_SLOW || k == FAULT_UNKNOWN_EVENT ||
           k == FAULT_LONG_LINE || k == FAULT_CRLF;
}

static void give_whole(struct answer *a)
{
    struct buf body;
    buf_init(&body, GATHER_MAX);
    write_whole(a, &body);
    struct span text = arena_copy(request_arena(a->request), buf_span(&body));
    buf_deinit(&body);
    if (fault_is(a, FAULT_GARBAGE))
        reply_json(a, 200, span_take(text, text.len / 2), -1);
    else if (odd_is_gathered(a) || fault_is(a, FAULT_ONE_BYTE) || fault_is(a, FAULT_HANG_UP))
        odd_reply(a, text);
    else if (a->fault && !is_shown_whole(a->fault->row->kind))
        reply_half(a, text);
    else
        reply_json(a, 200, text, -1);
}

static void on_whole(struct timer *t)
{
    give_whole(CONTAINER_OF(t, struct answer, timer));
}

/* ---- beginning ---- */

/* Faults that answer, or do not answer, before any event. True: done. */
static bool fail_early(struct answer *a)
{
    const struct fault_row *row = a->fault ? a->fault->row : NULL;
    if (!row)
        return false;
    switch (row->kind) {
    case FAULT_RESET:
        answer_over(a);
        reply_abort(a->request);
        return true;
    case FAULT_SILENT:
        return true;
    case FAULT_STATUS:
        reply_error(a, row->status, row, row->type, row->message, a->fault->retry_after);
        return true;
    case FAULT_HTML:
    case FAULT_HTML_STATUS:
        reply_html(a, row->status);
        return true;
    case FAULT_ERROR_200:
        reply_error(a, row->status, row, row->type, row->message, -1);
        return true;
    case FAULT_EMPTY:
        if (!a->stream) {
            reply_json(a, 200, SPAN_EMPTY, -1);
            return true;
        }
        start_stream(a);
        end_answer(a);
        return true;
    case FAULT_ERROR_FIRST:
    case FAULT_ERROR_AFTER_START:
    case FAULT_ERROR:
        if (a->stream && row->kind != FAULT_ERROR_FIRST)
            return false;
        if (!a->stream) {
            reply_error(a, row->status, row, row->type, row->message, -1);
            return true;
        }
        start_stream(a);
        struct buf out;
        buf_init(&out, 4096);
        write_stream_error(a, &out);
        reply_body(a->request, buf_span(&out));
        buf_deinit(&out);
        end_answer(a);
        return true;
    case FAULT_HEADERS_ONLY:
        if (!a->stream)
            return false;
        start_stream(a);
        reply_flush(a->request);
        return true;
    case FAULT_PINGS_ONLY:
        return !a->stream;
    default:
        return false;
    }
}

/* The first fault that applies now. A copy: the control door may change the list while the answer
 * goes on. */
static const struct fault *choose_fault(struct answer *a)
{
    struct standin *s = a->standin;
    bool calls = a->stop && strcmp(a->stop, "tool_use") == 0;
    usec now = loop_now(s->loop);
    for (size_t i = 0; i < s->fault_count; i++) {
        struct fault *f = &s->faults[i];
        if (f->times == 0 || now > f->until || f->row->kind == FAULT_REFUSED ||
            (f->row->kind == FAULT_CUT_TOOL && !calls))
            continue;
        if (f->percent < 100 && loop_random_below(s->loop, 100) >= f->percent)
            continue;
        if (f->times > 0)
            f->times--;
        f->committed++;
        struct fault *copy = arena_new(request_arena(a->request), struct fault);
        *copy = *f;
        return copy;
    }
    return NULL;
}

static void begin(struct answer *a)
{
    struct standin *s = a->standin;
    usec first = s->first_token + (fault_is(a, FAULT_SLOW_FIRST) ? a->fault->delay : 0);
    if (a->stream)
        loop_timer_in(s->loop, &a->timer, first, on_tick);
    else
        loop_timer_in(s->loop, &a->timer, first + (usec)a->output_words * pace(a), on_whole);
}

/* For the control door. Names of headers only: a test must not be able to read a key here. */
static void remember(const struct answer *a)
{
    struct standin *s = a->standin;
    const struct http_head *h = request_head(a->request);
    struct json_out w;
    buf_reset(&s->last);
    if (buf_add(&s->last, request_body(a->request)) != ERR_OK)
        buf_reset(&s->last);
    buf_reset(&s->seen);
    json_out_buf(&w, &s->seen);
    jw_object(&w);
    jw_key(&w, "model");
    jw_str_raw(&w, a->model);
    jw_key(&w, "stream");
    jw_bool(&w, a->stream);
    jw_key(&w, "headers");
    jw_array(&w);
    for (size_t i = 0; i < h->field_count; i++)
        jw_str(&w, h->fields[i].name);
    jw_array_end(&w);
    jw_object_end(&w);
}

static struct answer *open_answer(struct standin *s, struct request *r, enum speech speech)
{
    struct answer *a = arena_new(request_arena(r), struct answer);
    a->standin = s;
    a->request = r;
    a->speech = speech;
    a->serial = ++s->serial;
    request_set_data(r, a);
    s->stats.in_flight++;
    return a;
}

/* NULL, or why a request in good order is refused all the same. */
static const char *refusal(struct answer *a, struct json root)
{
    struct standin *s = a->standin;
    const char *wrong = lacks_complaint(s, root);
    if (!wrong)
        wrong = resume_plan(a, root, calls_tools(a, root) ? s->preface : s->words);
    if (!wrong && s->binds && a->speech == SPEAK_MESSAGES)
        wrong = bind_thinking(a, root);
    return wrong;
}

void answer_again(struct standin *s, struct request *r, struct span events, uint64_t number)
{
    struct answer *a = open_answer(s, r, SPEAK_RESPONSES);
    a->stream = a->tells_again = true;
    a->again = events;
    a->sequence = number;
    a->fault = choose_fault(a);
    s->stats.told_again++;
    if (!fail_early(a))
        begin(a);
}

void answer_request(struct standin *s, struct request *r, enum speech speech)
{
    struct answer *a = open_answer(s, r, speech);
    s->stats.requests++;
    bool good = json_parse(request_arena(r), request_body(r), NULL, &a->doc, NULL) == ERR_OK;
    const char *wrong =
        good ? complaint(a, json_root(&a->doc)) : "The request body is not valid JSON";
    if (!wrong)
        wrong = refusal(a, json_root(&a->doc));
    if (!wrong) {
        plan(a, json_root(&a->doc));
        kept_add(a);
    }
    a->fault = choose_fault(a);
    remember(a);
    s->stats.streams += a->stream;
    if (fail_early(a))
        return;
    if (wrong)
        reply_error(a, 400, NULL, "invalid_request_error", wrong, -1);
    else
        begin(a);
}
