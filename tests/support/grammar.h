#pragma once
/* Says whether a stream keeps the grammar of its protocol, and how it ended.
 *
 * Messages (protocols.md 1.7, 7.2): one message_start, blocks one after another with contiguous
 * indices, deltas of the block's type, tool input that is a JSON object, one message_delta,
 * message_stop last; or an error event, and nothing behind it.
 * Chat (2.3, 7.3): the role once, one id, created and model, tool indices contiguous, finish_reason
 * once, usage null until its chunk (or never there), [DONE] last; or an error, and nothing behind
 * it.
 * Responses (2.9, 7.4): named events, numbered without a gap, one response.created, items and parts
 * one after another, each repetition equal to the pieces, one terminal event with everything in it;
 * or an error and response.failed, and nothing behind them.
 *
 * For tests of any kind (unit, wire, simulator): pure, fed, independent of src/dialect. */
#include "base/arena.h"
#include "http/sse.h"

enum grammar_end {
    GRAMMAR_CUT,      /* no terminal event yet */
    GRAMMAR_COMPLETE, /* ended as an answer ends */
    GRAMMAR_ERROR,    /* ended with an error event */
};

struct messages_grammar { /* embed it; `why` may be read: empty while all is well */
    char why[160];
    enum grammar_end end;
    bool started, block_open, told_delta;
    int64_t blocks;
    char block_type[48];
    uint32_t deltas;   /* of the open block */
    struct buf input;  /* of the open tool block, decoded */
    bool broken_input; /* some tool input is no JSON object */
};
void messages_grammar_init(struct messages_grammar *g);
void messages_grammar_deinit(struct messages_grammar *g);
/* False when the grammar is broken; g->why says how. */
bool messages_grammar_event(struct messages_grammar *g, const struct sse_event *e);

struct chat_grammar {
    char why[160];
    enum grammar_end end;
    bool started, role, finished, told_usage;
    int usage_key; /* 0 not seen; 1 present on chunks; -1 absent */
    int64_t tools, created;
    struct buf id, model;
};
void chat_grammar_init(struct chat_grammar *g);
void chat_grammar_deinit(struct chat_grammar *g);
bool chat_grammar_event(struct chat_grammar *g, const struct sse_event *e);

struct responses_grammar {
    char why[160];
    enum grammar_end end;
    bool strict; /* our own streams: full objects, no events beyond the table, names */
    bool started, failed, item_open, part_open;
    int64_t sequence, items, parts;
    struct buf id, item_id, item_type, text, items_done;
};
void responses_grammar_init(struct responses_grammar *g);
void responses_grammar_deinit(struct responses_grammar *g);
bool responses_grammar_event(struct responses_grammar *g, const struct sse_event *e);

#define GRAMMAR_WHY_MAX 160
/* A whole stream. why[0] == 0: it keeps the grammar, and *out_end says how it ended. */
void messages_grammar_check(struct span stream, enum grammar_end *out_end,
                            char why[GRAMMAR_WHY_MAX]);
void responses_grammar_check(struct span stream, bool strict, enum grammar_end *out_end,
                             char why[GRAMMAR_WHY_MAX]);
void chat_grammar_check(struct span stream, enum grammar_end *out_end, char why[GRAMMAR_WHY_MAX]);
