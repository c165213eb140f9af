#pragma once
/* Joins a continuation to the text a client already has, so that the two read as one answer.
 *
 * Pure: plain UTF-8 in, plain UTF-8 out; the rules are told at the top of seam.c. Knows no dialect,
 * no stream and no target. One seam joins one continuation; it lives in the exchange's arena. */
#include "base/arena.h"
#include "base/buf.h"

struct seam;

struct seam_how {
    bool in_words;   /* the target was asked in words to go on: it may repeat, restart or comment.
                        false: it continues by itself; only an echo of the whole is looked for */
    bool blanks_cut; /* it was not shown the blanks the text ends with, and may give them again */
};
/* delivered: the text of the turn so far; the arena keeps a copy of what is needed of it. */
struct seam *seam_new(struct arena *a, struct span delivered, struct seam_how how);
/* Takes a piece of the continuation, cut anywhere, and appends to `out` what the client is to get
 * now (perhaps nothing yet). ERR_LIMIT from `out`. */
MUST_USE enum err seam_feed(struct seam *s, struct span piece, struct buf *out);
/* The continuation's text is over: appends what was held back and is no repetition. */
MUST_USE enum err seam_end(struct seam *s, struct buf *out);
/* True when nothing more is held back: what is fed goes through as it is. */
bool seam_settled(const struct seam *s);

struct seam_report { /* bytes of the continuation that were dropped */
    uint32_t lead_in, repeated, blanks;
    bool restarted; /* the whole answer came again */
};
struct seam_report seam_report(const struct seam *s);
