#pragma once
/* What the client has already been given: fed with every event delivered, asked when an attempt
 * dies.
 *
 * Pure; lives in the exchange's arena. Text and the list of blocks are kept bounded; splice.c goes
 * on from them. */
#include "base/buf.h"
#include "chat/chat.h"

#define LEDGER_BLOCKS_MAX 64 /* of one answer; more are counted, not listed */

struct ledger_block {
    enum chat_block_type type;
    bool open, complete;
    bool custom;    /* TOOL_USE of a custom tool */
    bool done;      /* and so is its item, where the client sees items end */
    bool raw;       /* began while the client saw the target's own events */
    uint64_t bytes; /* of text / input delivered */
};
struct ledger {           /* embed it; readable */
    bool started;         /* CHAT_EV_START seen */
    bool content;         /* any content delta seen: the commit point */
    bool finished, ended; /* FINISH, END seen */
    size_t block_count;
    struct ledger_block last; /* the current or most recent block */
    size_t tool_calls;        /* completed TOOL_USE blocks */
    enum chat_stop stop;
    struct chat_usage usage; /* merged */
    struct buf text;         /* escaped text of all text blocks delivered, up to its bound */
    bool text_full;
    size_t text_from;  /* where in `text` the last text block begins */
    bool keep;         /* set by the owner: everything is kept, for a door that says it all again */
    struct buf said;   /* what was kept: for each block its id, name and content, escaped */
    struct buf rows;   /* and where each begins there: struct ledger_row */
    uint64_t sequence; /* of numbered events (Responses): the next one's number */
    bool refused;      /* a refusal was given */
    bool raw; /* set by the owner: the client sees the target's own events, empty blocks too */
    uint8_t blocks[LEDGER_BLOCKS_MAX]; /* the types of those behind us, and what was seen of them */
};
#define LEDGER_UNSEEN 0x80 /* the client saw nothing of it */
#define LEDGER_PART 0x40   /* it saw its part announced (chat_event.part) */
#define LEDGER_TYPE 0x3f
struct ledger_row {
    size_t at, id, name; /* where in `said`; lengths of its id and name, the content follows */
};
/* What was said in the block at `index`; false when it was not kept. Escaped, in `said`. */
bool ledger_said(const struct ledger *l, size_t index, struct chat_text *out_id,
                 struct chat_text *out_name, struct chat_text *out_content);
/* How the account stood before some events, to go back to when they were never delivered. */
struct ledger_mark {
    struct ledger before; /* its buffers borrow: only their lengths count */
};
void ledger_init(struct ledger *l, size_t text_max);
void ledger_deinit(struct ledger *l);
void ledger_note(struct ledger *l, const struct chat_event *e);
struct ledger_mark ledger_mark(const struct ledger *l);
void ledger_rewind(struct ledger *l, const struct ledger_mark *m);
/* Is a block of this type open? */
bool ledger_is_open(const struct ledger *l, enum chat_block_type type);
/* The open or last block's place in `blocks`; SIZE_MAX: none, or past the bound. */
size_t ledger_last_index(const struct ledger *l);
/* Does this event carry content (text, thinking, tool input, or a block that is complete in its
 * start)? A tool_use or text block's bare start does not; a block that is whole in its start does.
 */
bool ledger_is_content(const struct chat_event *e);
