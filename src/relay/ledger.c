/* The account of what a client has been given, kept event by event.
 *
 * It believes the readers' grammar (chat.h) but does not depend on it: a delta outside any block is
 * not counted, so that a reader's slip can make the account poorer but never wrong. */
#include "relay/ledger.h"

#include "json/json_write.h"

void ledger_init(struct ledger *l, size_t text_max)
{
    *l = (struct ledger){.usage = CHAT_USAGE_UNKNOWN};
    buf_init(&l->text, text_max);
}

void ledger_deinit(struct ledger *l)
{
    buf_deinit(&l->text);
}

static void merge(int64_t *into, int64_t told)
{
    if (told >= 0)
        *into = told;
}

static void merge_usage(struct chat_usage *into, const struct chat_usage *told)
{
    merge(&into->input, told->input);
    merge(&into->cache_read, told->cache_read);
    merge(&into->cache_write, told->cache_write);
    merge(&into->output, told->output);
    merge(&into->reasoning, told->reasoning);
}

/* What does not fit ends the keeping: the text that is there has no holes. */
static void keep_text(struct ledger *l, struct chat_text t)
{
    if (l->text_full || chat_text_empty(t))
        return;
    if (t.escaped) {
        l->text_full = buf_add(&l->text, t.at) != ERR_OK;
    } else {
        struct json_out w;
        json_out_buf(&w, &l->text);
        jw_part(&w, t.at);
        l->text_full = w.failed;
    }
}

static void note_piece(struct ledger *l, struct chat_text t)
{
    if (!l->last.open)
        return;
    l->last.bytes += t.at.len;
    if (l->last.type == CHAT_TEXT)
        keep_text(l, t);
}

size_t ledger_last_index(const struct ledger *l)
{
    return l->block_count == 0 || l->block_count > LEDGER_BLOCKS_MAX ? SIZE_MAX
                                                                     : l->block_count - 1;
}

bool ledger_is_open(const struct ledger *l, enum chat_block_type type)
{
    return l->last.open && l->last.type == type;
}

struct ledger_mark ledger_mark(const struct ledger *l)
{
    return (struct ledger_mark){*l};
}

void ledger_rewind(struct ledger *l, const struct ledger_mark *m)
{
    struct buf text = l->text; /* its memory may have moved since */
    assert(m->before.text.len <= text.len);
    text.len = m->before.text.len;
    *l = m->before;
    l->text = text;
}

static void note_block_start(struct ledger *l, const struct chat_event *e)
{
    l->block_count++;
    l->last = (struct ledger_block){
        .type = e->block_type, .open = true, .custom = e->custom, .raw = l->raw};
    l->refused = l->refused || e->block_type == CHAT_REFUSAL;
    if (e->block_type == CHAT_TEXT)
        l->text_from = l->text.len;
    size_t at = ledger_last_index(l);
    if (at != SIZE_MAX)
        l->blocks[at] = (uint8_t)e->block_type;
    note_piece(l, e->text);
}

/* Text and thinking of which nothing came are never opened by our own writers. */
static void note_unseen(struct ledger *l)
{
    bool lazy =
        l->last.type == CHAT_TEXT || l->last.type == CHAT_THINKING || l->last.type == CHAT_REFUSAL;
    size_t at = ledger_last_index(l);
    if (lazy && !l->last.raw && l->last.bytes == 0 && at != SIZE_MAX)
        l->blocks[at] |= LEDGER_UNSEEN;
}

static void note_block_stop(struct ledger *l)
{
    if (!l->last.open)
        return;
    note_unseen(l);
    l->last.open = false;
    l->last.complete = true;
    l->tool_calls += l->last.type == CHAT_TOOL_USE;
}

void ledger_note(struct ledger *l, const struct chat_event *e)
{
    l->content = l->content || ledger_is_content(e);
    switch (e->type) {
    case CHAT_EV_START:
        l->started = true;
        merge_usage(&l->usage, &e->usage);
        break;
    case CHAT_EV_BLOCK_START:
        note_block_start(l, e);
        break;
    case CHAT_EV_DELTA:
        note_piece(l, e->text);
        break;
    case CHAT_EV_BLOCK_STOP:
        note_block_stop(l);
        break;
    case CHAT_EV_USAGE:
        merge_usage(&l->usage, &e->usage);
        break;
    case CHAT_EV_FINISH:
        l->finished = true;
        l->stop = e->stop;
        break;
    case CHAT_EV_END:
        l->ended = true;
        break;
    case CHAT_EV_SIGNATURE:
    case CHAT_EV_CITATION:
    case CHAT_EV_ERROR:
    case CHAT_EV_PING:
        break;
    }
}

bool ledger_is_content(const struct chat_event *e)
{
    if (e->type == CHAT_EV_DELTA)
        return !chat_text_empty(e->text);
    if (e->type != CHAT_EV_BLOCK_START)
        return false;
    switch (e->block_type) {
    case CHAT_TEXT:
    case CHAT_THINKING:
    case CHAT_TOOL_USE:
    case CHAT_SERVER_TOOL_USE:
    case CHAT_REFUSAL:
        return !chat_text_empty(e->text); /* these are filled by deltas */
    default:
        return true;
    }
}
