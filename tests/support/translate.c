#include "support/translate.h"

#include "base/span.h"

#include <stdlib.h>

#define OUTPUT_MAX (64u << 20)

/* ---- lines ---- */

void event_lines_init(struct event_lines *l)
{
    buf_init(&l->text, OUTPUT_MAX);
}

void event_lines_deinit(struct event_lines *l)
{
    buf_deinit(&l->text);
}

static void line(struct event_lines *l, const char *format, ...) PRINTF_LIKE(2, 3);
static void line(struct event_lines *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (buf_vprintf(&l->text, format, args) != ERR_OK || buf_add_char(&l->text, '\n') != ERR_OK)
        abort();
    va_end(args);
}

static void on_line(void *ctx, const struct chat_event *e)
{
    struct event_lines *l = ctx;
    const struct chat_usage *u = &e->usage;
    switch (e->type) {
    case CHAT_EV_START:
        line(l, "start %.*s %.*s", SPAN_FMT(e->id.at), SPAN_FMT(e->model.at));
        break;
    case CHAT_EV_BLOCK_START:
        if (e->block_type == CHAT_TOOL_USE)
            line(l, "open %s %.*s %.*s", chat_block_name(e->block_type), SPAN_FMT(e->id.at),
                 SPAN_FMT(e->name.at));
        else
            line(l, "open %s", chat_block_name(e->block_type));
        break;
    case CHAT_EV_DELTA:
        line(l, "+ %.*s", SPAN_FMT(e->text.at));
        break;
    case CHAT_EV_SIGNATURE:
        line(l, "sign %.*s", SPAN_FMT(e->text.at));
        break;
    case CHAT_EV_CITATION:
        line(l, "cite %.*s", SPAN_FMT(e->raw));
        break;
    case CHAT_EV_BLOCK_STOP:
        line(l, "close");
        break;
    case CHAT_EV_ITEM_STOP:
        line(l, "done");
        break;
    case CHAT_EV_USAGE:
        line(l, "usage in=%lld read=%lld write=%lld out=%lld think=%lld", (long long)u->input,
             (long long)u->cache_read, (long long)u->cache_write, (long long)u->output,
             (long long)u->reasoning);
        break;
    case CHAT_EV_FINISH:
        line(l, "finish %s%s%.*s", chat_stop_name(e->stop), e->stop_sequence.at.len ? " " : "",
             SPAN_FMT(e->stop_sequence.at));
        break;
    case CHAT_EV_END:
        line(l, "end");
        break;
    case CHAT_EV_ERROR:
        line(l, "error %.*s %d %.*s", SPAN_FMT(e->error->type), e->error->status,
             SPAN_FMT(e->error->message));
        break;
    case CHAT_EV_PING:
        line(l, "ping");
        break;
    }
}

struct chat_sink event_lines_sink(struct event_lines *l)
{
    return (struct chat_sink){on_line, l};
}

/* ---- answers ---- */

struct reading {
    const struct dialect *from;
    struct reply_reader *reader;
    enum err err;
};

static bool on_sse(void *ctx, const struct sse_event *e)
{
    struct reading *r = ctx;
    r->err = r->from->read_event(r->reader, e);
    return r->err == ERR_OK;
}

enum err read_answer(struct arena *a, const struct dialect *from, const struct chat_request *asked,
                     struct span body, bool streamed, enum feed_cuts cuts, uint64_t seed,
                     struct chat_sink sink)
{
    struct reader_options options = {.request = asked, .requested_whole = !streamed};
    struct reading r = {from, from->reader_new(a, &options, sink), ERR_OK};
    if (!streamed)
        return from->read_whole(r.reader, body);
    (void)feed_sse(body, cuts, seed, on_sse, &r); /* an unfinished event is the reader's to judge */
    return r.err == ERR_OK ? from->read_eof(r.reader) : r.err;
}

struct writing {
    const struct dialect *to;
    struct reply_writer *writer;
    struct translated *out;
};

static void on_event(void *ctx, const struct chat_event *e)
{
    struct writing *w = ctx;
    w->out->ended = w->out->ended || e->type == CHAT_EV_END;
    w->out->errored = w->out->errored || e->type == CHAT_EV_ERROR;
    if (w->to->write_event(w->writer, e) != ERR_OK)
        abort(); /* the bound is far away */
}

struct translated translate_answer(struct arena *a, const struct dialect *from,
                                   const struct dialect *to, const struct chat_request *asked,
                                   struct span body, bool streamed, bool stream_out,
                                   enum feed_cuts cuts, uint64_t seed)
{
    struct translated t = {0};
    struct chat_request nothing = {.max_tokens = -1, .choices = 1, .include_usage = true};
    struct writer_options options = {.request = asked ? asked : &nothing, .created = 1700000000};
    struct buf bytes;
    buf_init(&bytes, OUTPUT_MAX);
    struct writing w = {to, to->writer_new(a, &options, stream_out, &bytes), &t};
    t.err =
        read_answer(a, from, asked, body, streamed, cuts, seed, (struct chat_sink){on_event, &w});
    t.bytes = arena_copy(a, buf_span(&bytes));
    buf_deinit(&bytes);
    return t;
}

/* ---- requests ---- */

struct request_words translate_request(struct arena *a, const struct dialect *from,
                                       const struct dialect *to, const struct capability *cap,
                                       struct span body)
{
    struct request_words w = {0};
    struct json_doc *doc = arena_new(a, struct json_doc);
    w.read = json_parse(a, body, &json_limits_default, doc, NULL);
    if (w.read == ERR_OK)
        w.read = from->read_request(a, doc, &w.request, &w.problem);
    if (w.read != ERR_OK)
        return w;
    struct dialect_body out = {0};
    pieces_init(&out.body, a);
    w.write = to->write_request(a, &w.request, cap, w.request.model.at, w.request.stream, &out,
                                &w.problem);
    w.body = pieces_flatten(&out.body, a);
    w.lossy = out.lossy;
    return w;
}
