#pragma once
/* What the client has already been given: fed with every event delivered, asked when an attempt
 * dies.
 *
 * Pure; lives in the exchange's arena; text is kept bounded (the splice of a later issue continues
 * from it). */
#include "base/buf.h"
#include "chat/chat.h"

struct ledger_block {
    enum chat_block_type type;
    bool open, complete;
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
};
void ledger_init(struct ledger *l, size_t text_max);
void ledger_deinit(struct ledger *l);
void ledger_note(struct ledger *l, const struct chat_event *e);
/* Does this event carry content (text, thinking, tool input, or a block that is complete in its
 * start)? A tool_use or text block's bare start does not; a block that is whole in its start does.
 */
bool ledger_is_content(const struct chat_event *e);
