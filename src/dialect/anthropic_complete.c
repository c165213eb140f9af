/* Claude's legacy prompt door (/v1/complete), and beside it the plain form that needs no more than
 * a prompt (protocols.md 1.9).
 *
 *   Claude's   {"model", "prompt": "\n\nHuman: ...\n\nAssistant:", "max_tokens_to_sample", ...}
 *   plain      {"prompt", "max_tokens": 100, "temperature": 0.7}, and a model where one is wanted
 *
 * A body that says max_tokens_to_sample, or whose prompt has a Human turn, is Claude's. Either is
 * put into the words of a Messages request and read as one, so that every field is checked in one
 * place; what stands before the first Human turn is the system prompt, and what stands behind the
 * last "Assistant:" is to be gone on with. A door only: no target is spoken to like this. */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

#define PLAIN_MAX_TOKENS 100
#define PLAIN_TEMPERATURE SPAN("0.7")
#define PLAIN_TEMPERATURE_MOST 2.0
#define HUMAN SPAN("\n\nHuman:")
#define ASSISTANT SPAN("\n\nAssistant:")

/* ---- request ---- */

struct completing { /* one read_request call */
    struct arena *a;
    struct json root;
    struct chat_problem *problem;
    struct json_out w; /* the Messages body */
};

static enum err refuse(struct completing *c, const char *param, const char *text)
{
    return problem(c->a, c->problem, ERR_INVALID, span_from(param), "%s", text);
}

struct mark { /* where a turn begins */
    bool found, assistant;
    size_t at, len;
};

static struct mark next_mark(struct span text)
{
    ssize_t human = span_search(text, HUMAN), assistant = span_search(text, ASSISTANT);
    if (human < 0 && assistant < 0)
        return (struct mark){.at = text.len};
    if (human < 0 || (assistant >= 0 && assistant < human))
        return (struct mark){true, true, (size_t)assistant, ASSISTANT.len};
    return (struct mark){true, false, (size_t)human, HUMAN.len};
}

static void write_turn(struct completing *c, bool assistant, struct span text)
{
    jw_object(&c->w);
    jw_key(&c->w, "role");
    jw_cstr(&c->w, assistant ? "assistant" : "user");
    jw_key(&c->w, "content");
    jw_str(&c->w, text);
    jw_object_end(&c->w);
}

static enum err write_turns(struct completing *c, struct span prompt)
{
    struct mark m = next_mark(prompt);
    struct span system = span_trim(span_take(prompt, m.at)), rest = prompt;
    bool asked = false, assistant = false;
    if (!m.found || m.assistant)
        return refuse(c, "prompt",
                      "Must begin with a turn \"\\n\\nHuman: ...\": two line feeds, the word, a "
                      "colon. (Without max_tokens_to_sample any prompt will do.)");
    if (system.len > 0) {
        jw_key(&c->w, "system");
        jw_str(&c->w, system);
    }
    jw_key(&c->w, "messages");
    jw_array(&c->w);
    while (m.found) {
        rest = span_drop(rest, m.at + m.len);
        assistant = m.assistant;
        m = next_mark(rest);
        struct span text = span_trim(span_take(rest, m.at));
        asked |= !assistant && text.len > 0;
        if (text.len > 0)
            write_turn(c, assistant, text);
    }
    jw_array_end(&c->w);
    if (!asked)
        return refuse(c, "prompt", "The Human turn is empty.");
    return assistant ? ERR_OK
                     : refuse(c, "prompt",
                              "Must end with a turn \"\\n\\nAssistant:\", empty or "
                              "with the beginning of the answer.");
}

static void copy_member(struct completing *c, struct json m)
{
    jw_key_raw(&c->w, json_key(m));
    jw_raw(&c->w, json_raw(m));
}

static enum err write_claude(struct completing *c, struct span prompt)
{
    int64_t most;
    struct json v = json_get(c->root, "max_tokens_to_sample");
    if (json_i64(v, &most) != ERR_OK || most < 1)
        return refuse(c, "max_tokens_to_sample",
                      json_useful(v) ? "Must be a whole number, 1 or more." : "Field required.");
    jw_key(&c->w, "max_tokens");
    jw_i64(&c->w, most);
    return write_turns(c, prompt);
}

static enum err write_plain(struct completing *c, struct span prompt)
{
    int64_t most = PLAIN_MAX_TOKENS;
    double warmth = 0;
    struct json v = json_get(c->root, "max_tokens"), t = json_get(c->root, "temperature");
    if (json_useful(v) && (json_i64(v, &most) != ERR_OK || most < 1))
        return refuse(c, "max_tokens", "Must be a whole number, 1 or more.");
    if (json_useful(t) &&
        (!json_is(t, JSON_NUMBER) || span_double(json_raw(t), &warmth) != ERR_OK || warmth < 0 ||
         warmth > PLAIN_TEMPERATURE_MOST))
        return refuse(c, "temperature", "Must be a number from 0 to 2.");
    jw_key(&c->w, "max_tokens");
    jw_i64(&c->w, most);
    if (!json_useful(t)) {
        jw_key(&c->w, "temperature");
        jw_raw(&c->w, PLAIN_TEMPERATURE);
    }
    jw_key(&c->w, "messages");
    jw_array(&c->w);
    write_turn(c, false, prompt);
    jw_array_end(&c->w);
    return ERR_OK;
}

/* What is neither written anew nor of this door alone means the same in both APIs. */
static bool is_rewritten(struct json m)
{
    static const char *const names[] = {
        "prompt", "max_tokens_to_sample", "max_tokens", "model", "messages", "system"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (json_key_is(m, names[i]))
            return true;
    return false;
}

static enum err write_body(struct completing *c)
{
    struct json v = json_get(c->root, "prompt"), model = json_get(c->root, "model");
    struct span prompt = json_is(v, JSON_STRING) ? json_str_decode(v, c->a) : SPAN_EMPTY;
    if (span_trim(prompt).len == 0)
        return refuse(c, "prompt",
                      json_is(v, JSON_STRING) ? "Must not be empty."
                      : json_useful(v)        ? "Must be a string."
                                              : "Field required: the text to answer.");
    jw_object(&c->w);
    jw_key(&c->w, "model");
    jw_str_raw(&c->w, json_useful(model) ? json_str(model) : SPAN("-")); /* the relay has one */
    for (struct json m = json_first(c->root); json_present(m); m = json_next(c->root, m))
        if (!is_rewritten(m) && json_useful(m))
            copy_member(c, m);
    bool claudes =
        json_useful(json_get(c->root, "max_tokens_to_sample")) || span_search(prompt, HUMAN) >= 0;
    enum err e = claudes ? write_claude(c, prompt) : write_plain(c, prompt);
    jw_object_end(&c->w);
    return e;
}

static enum err read_request(struct arena *a, const struct json_doc *doc, struct chat_request *out,
                             struct chat_problem *out_problem)
{
    struct pieces body;
    struct completing c = {.a = a, .root = json_root(doc), .problem = out_problem};
    pieces_init(&body, a);
    json_out_pieces(&c.w, &body);
    if (!json_is(c.root, JSON_OBJECT))
        return refuse(&c, "", "The body must be a JSON object.");
    enum err e = write_body(&c);
    if (e != ERR_OK)
        return e;
    struct json_doc *written = arena_new(a, struct json_doc);
    if (json_parse(a, pieces_flatten(&body, a), NULL, written, NULL) != ERR_OK)
        return refuse(&c, "", "The request is too large.");
    e = anthropic_read_request(a, written, out, out_problem);
    out->origin = dialect_complete.name; /* fields it has not are not Claude's */
    return e;
}

/* ---- answer ---- */

struct reply_writer {
    struct arena *a;
    struct writer_options o;
    struct buf *to;
    bool stream;
    enum chat_block_type type; /* of the open block */
    struct chat_text id, model;
    struct buf text; /* of a whole answer: the inside of a JSON string */
    enum chat_stop stop;
    struct chat_text stop_sequence;
};

static void writer_free(void *object)
{
    struct reply_writer *w = object;
    buf_deinit(&w->text);
}

static struct reply_writer *writer_new(struct arena *a, const struct writer_options *o, bool stream,
                                       struct buf *to)
{
    struct reply_writer *w = arena_new(a, struct reply_writer);
    w->a = a;
    w->o = *o;
    w->to = to;
    w->stream = stream;
    buf_init(&w->text, to->max);
    arena_on_free(a, writer_free, w);
    return w;
}

static struct chat_text kept(struct arena *a, struct chat_text t)
{
    return (struct chat_text){arena_copy(a, t.at), t.escaped};
}

static void on_start(struct reply_writer *w, const struct chat_event *e)
{
    struct span id = e->id.at;
    if (span_starts(id, SPAN("msg_")))
        id = span_drop(id, 4);
    w->id = w->o.id.len > 0
                ? text_from_plain(w->o.id)
                : (struct chat_text){arena_printf(w->a, "compl_%.*s", SPAN_FMT(id)), e->id.escaped};
    w->model = w->o.model.len > 0 ? text_raw(w->o.model) : kept(w->a, e->model);
}

/* A turn that simply ended was, to this API, one that would have gone on with the next Human. */
static void put_stop(struct json_out *out, const struct reply_writer *w)
{
    bool length = w->stop == CHAT_STOP_MAX_TOKENS || w->stop == CHAT_STOP_CONTEXT;
    bool refused = w->stop == CHAT_STOP_REFUSAL;
    jw_key(out, "stop_reason");
    jw_cstr(out, length ? "max_tokens" : refused ? "refusal" : "stop_sequence");
    jw_key(out, "stop");
    if (w->stop == CHAT_STOP_SEQUENCE && !chat_text_empty(w->stop_sequence))
        jw_text(out, w->stop_sequence);
    else if (length || refused)
        jw_null(out);
    else
        jw_str(out, HUMAN);
}

/* One object has it all; in a stream each holds the next piece, and the last one why it ended. */
static enum err write_object(struct reply_writer *w, struct chat_text piece, bool last)
{
    struct json_out out;
    if (w->stream && buf_add(w->to, SPAN("event: completion\ndata: ")) != ERR_OK)
        return ERR_LIMIT;
    json_out_buf(&out, w->to);
    jw_object(&out);
    jw_key(&out, "type");
    jw_cstr(&out, "completion");
    jw_key(&out, "id");
    jw_text(&out, w->id);
    jw_key(&out, "completion");
    jw_text(&out, piece);
    if (last) {
        put_stop(&out, w);
    } else {
        jw_key(&out, "stop_reason");
        jw_null(&out);
        jw_key(&out, "stop");
        jw_null(&out);
    }
    jw_key(&out, "model");
    jw_text(&out, w->model);
    jw_key(&out, "log_id");
    jw_text(&out, w->id);
    jw_object_end(&out);
    if (out.failed)
        return ERR_LIMIT;
    return w->stream ? buf_add(w->to, SPAN("\n\n")) : ERR_OK;
}

/* Thinking and tools have no form here; a refusal's words are the answer. */
static enum err on_delta(struct reply_writer *w, struct chat_text piece)
{
    if ((w->type != CHAT_TEXT && w->type != CHAT_REFUSAL) || chat_text_empty(piece))
        return ERR_OK;
    if (w->stream)
        return write_object(w, piece, false);
    struct json_out out;
    json_out_buf(&out, &w->text);
    if (piece.escaped)
        return buf_add(&w->text, piece.at);
    jw_part(&out, piece.at);
    return out.failed ? ERR_LIMIT : ERR_OK;
}

static enum err on_finish(struct reply_writer *w, const struct chat_event *e)
{
    w->stop = e->stop;
    w->stop_sequence = kept(w->a, e->stop_sequence);
    return w->stream ? write_object(w, (struct chat_text){0}, true) : ERR_OK;
}

static enum err write_ping(struct reply_writer *w)
{
    return w->stream ? buf_add(w->to, SPAN("event: ping\ndata: {\"type\": \"ping\"}\n\n")) : ERR_OK;
}

static enum err write_error(struct buf *to, struct reply_writer *w, const struct chat_error *e)
{
    bool stream = w && w->stream;
    enum err err = stream ? buf_add(to, SPAN("event: error\ndata: ")) : ERR_OK;
    if (err == ERR_OK)
        err = anthropic_write_error(to, NULL, e);
    return err == ERR_OK && stream ? buf_add(to, SPAN("\n\n")) : err;
}

static enum err write_event(struct reply_writer *w, const struct chat_event *e)
{
    switch (e->type) {
    case CHAT_EV_START:
        on_start(w, e);
        return ERR_OK;
    case CHAT_EV_BLOCK_START:
        w->type = e->block_type;
        return ERR_OK;
    case CHAT_EV_DELTA:
        return on_delta(w, e->text);
    case CHAT_EV_FINISH:
        return on_finish(w, e);
    case CHAT_EV_END:
        return w->stream ? ERR_OK : write_object(w, text_raw(buf_span(&w->text)), true);
    case CHAT_EV_ERROR:
        return write_error(w->to, w, e->error);
    case CHAT_EV_PING:
        return write_ping(w);
    default:
        return ERR_OK; /* usage, signatures, citations: no place for them */
    }
}

const struct dialect dialect_complete = {
    .id = DIALECT_COMPLETE,
    .claude_api = true,
    .model_optional = true,
    .name = "anthropic-complete",
    .path = "/v1/complete",
    .read_request = read_request,
    .write_request = anthropic_write_request,
    .reader_new = anthropic_reader_new,
    .read_event = anthropic_read_event,
    .read_eof = anthropic_read_eof,
    .read_whole = anthropic_read_whole,
    .read_error = dialect_read_error,
    .writer_new = writer_new,
    .write_event = write_event,
    .write_ping = write_ping,
    .write_error = write_error,
};
