/* The account of what a client has been given, kept event by event.
 *
 * It believes the readers' grammar (chat.h) but does not depend on it: a delta outside any block is
 * not counted, so that a reader's slip can make the account poorer but never wrong. */
#include "relay/ledger.h"

#include "base/span.h"
#include "json/json_write.h"

void ledger_init(struct ledger *l, size_t text_max)
{
    *l = (struct ledger){.usage = CHAT_USAGE_UNKNOWN};
    buf_init(&l->text, text_max);
    buf_init(&l->said, text_max);
    buf_init(&l->rows, LEDGER_BLOCKS_MAX * sizeof(struct ledger_row));
}

void ledger_deinit(struct ledger *l)
{
    buf_deinit(&l->text);
    buf_deinit(&l->said);
    buf_deinit(&l->rows);
}

/* What does not fit ends the keeping: what is there has no holes. */
static void keep_text(struct ledger *l, struct buf *to, struct chat_text t)
{
    if (l->text_full || chat_text_empty(t))
        return;
    if (t.escaped) {
        l->text_full = buf_add(to, t.at) != ERR_OK;
    } else {
        struct json_out w;
        json_out_buf(&w, to);
        jw_part(&w, t.at);
        l->text_full = w.failed;
    }
}

/* A block that only its own dialect has is kept whole when it ends; its pieces say it works. */
static void note_piece(struct ledger *l, struct chat_text t)
{
    if (!l->last.open)
        return;
    l->last.bytes += t.at.len;
    if (l->last.type == CHAT_TEXT)
        keep_text(l, &l->text, t);
    if (l->keep && l->last.type != CHAT_OTHER)
        keep_text(l, &l->said, t);
}

static void note_row(struct ledger *l, const struct chat_event *e)
{
    struct ledger_row row = {.at = l->said.len};
    if (!l->keep || l->text_full)
        return;
    keep_text(l, &l->said, e->id);
    row.id = l->said.len - row.at;
    keep_text(l, &l->said, e->name);
    row.name = l->said.len - row.at - row.id;
    if (buf_add(&l->rows, (struct span){(const char *)&row, sizeof row}) != ERR_OK)
        l->text_full = true;
}

bool ledger_said(const struct ledger *l, size_t index, struct chat_text *out_id,
                 struct chat_text *out_name, struct chat_text *out_content)
{
    struct ledger_row rows[2];
    size_t count = l->rows.len / sizeof rows[0];
    if (index >= count)
        return false;
    memcpy(&rows[0], l->rows.at + index * sizeof rows[0], sizeof rows[0]);
    rows[1].at = l->said.len;
    if (index + 1 < count)
        memcpy(&rows[1], l->rows.at + (index + 1) * sizeof rows[0], sizeof rows[1]);
    struct span all = span_take(buf_span(&l->said), rows[1].at);
    struct span id = span_drop(all, rows[0].at), name = span_drop(id, rows[0].id);
    *out_content = (struct chat_text){span_drop(name, rows[0].name), true};
    *out_id = (struct chat_text){span_take(id, rows[0].id), true};
    *out_name = (struct chat_text){span_take(name, rows[0].name), true};
    return true;
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
    struct buf text = l->text, said = l->said, rows = l->rows; /* their memory may have moved */
    assert(m->before.text.len <= text.len);
    text.len = m->before.text.len;
    said.len = m->before.said.len;
    rows.len = m->before.rows.len;
    *l = m->before;
    l->text = text;
    l->said = said;
    l->rows = rows;
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
    note_row(l, e);
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

static void note_block_stop(struct ledger *l, struct span whole)
{
    if (!l->last.open)
        return;
    if (l->keep)
        keep_text(l, &l->said, (struct chat_text){whole, true});
    note_unseen(l);
    l->last.open = false;
    l->last.complete = true;
    l->tool_calls += l->last.type == CHAT_TOOL_USE;
}

static void note_part(struct ledger *l)
{
    size_t at = ledger_last_index(l);
    if (l->last.open && at != SIZE_MAX)
        l->blocks[at] |= LEDGER_PART;
}

void ledger_note(struct ledger *l, const struct chat_event *e)
{
    l->content = l->content || ledger_is_content(e);
    switch (e->type) {
    case CHAT_EV_START:
        l->started = true;
        chat_usage_merge(&l->usage, &e->usage);
        break;
    case CHAT_EV_BLOCK_START:
        note_block_start(l, e);
        break;
    case CHAT_EV_DELTA:
        if (e->part)
            note_part(l);
        note_piece(l, e->text);
        break;
    case CHAT_EV_BLOCK_STOP:
        note_block_stop(l, e->raw);
        break;
    case CHAT_EV_ITEM_STOP:
        l->last.done = true;
        break;
    case CHAT_EV_USAGE:
        chat_usage_merge(&l->usage, &e->usage);
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
