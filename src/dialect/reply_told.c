/* How far an answer was told, and how every answer ends: usage, the reason, the end.
 *
 * It knows chat events only: no provider's format, nor what follows from a provider's words. */
#include "dialect/reply_told.h"

#define SCRATCH_MAX (256u << 20) /* a whole answer's index; the relay bounds the body itself */

static void told_free(void *object)
{
    struct reply_told *t = object;
    oc_blocks_deinit(&t->blocks);
    arena_deinit(&t->scratch);
}

void reply_told_init(struct reply_told *t, struct arena *a, const struct chat_request *request,
                     struct chat_sink sink)
{
    *t = (struct reply_told){.a = a, .sink = sink, .usage = CHAT_USAGE_UNKNOWN};
    arena_init(&t->scratch, SCRATCH_MAX);
    oc_blocks_init(&t->blocks, a, request, sink);
    arena_on_free(a, told_free, t);
}

void reply_tell(struct reply_told *t, const struct chat_event *e)
{
    t->sink.event(t->sink.ctx, e);
}

bool reply_is_news(struct reply_told *t, const struct sse_event *e)
{
    if (t->state == REPLY_STARTED && e->comment_only)
        reply_tell(t, &(struct chat_event){.type = CHAT_EV_PING});
    return t->state != REPLY_ENDED && !e->comment_only;
}

static void tell_usage(struct reply_told *t)
{
    if (t->usage.input >= 0 || t->usage.output >= 0)
        reply_tell(t, &(struct chat_event){.type = CHAT_EV_USAGE, .usage = t->usage});
}

void reply_tell_end(struct reply_told *t, enum chat_stop stop, struct chat_text sequence)
{
    struct chat_event finish = {.type = CHAT_EV_FINISH, .stop = stop};
    if (t->blocks.cut) {
        finish.stop = CHAT_STOP_SEQUENCE;
        finish.stop_sequence = text_from_plain(t->blocks.cut_at);
    } else if (stop == CHAT_STOP_SEQUENCE) {
        finish.stop_sequence = sequence;
    }
    tell_usage(t);
    reply_tell(t, &finish);
    reply_tell(t, &(struct chat_event){.type = CHAT_EV_END});
    t->state = REPLY_ENDED;
}

void reply_tell_error(struct reply_told *t, const struct chat_error *error)
{
    tell_usage(t);
    reply_tell(t, &(struct chat_event){.type = CHAT_EV_ERROR, .error = error});
    t->state = REPLY_ENDED;
}

int64_t reply_count(struct json usage, const char *path)
{
    int64_t n;
    return json_i64(json_path(usage, path), &n) == ERR_OK && n >= 0 ? n : -1;
}
