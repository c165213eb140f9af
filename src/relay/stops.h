#pragma once
/* A stop sequence of which one half was given before a cut and the other half comes behind it: no
 * target can see it, since the first half is in its prompt and not in its output.
 *
 * Pure: plain UTF-8 in, plain UTF-8 out; an allocation in the exchange's arena. Knows no dialect
 * and no stream. A sequence that lies on one side of the cut is the target's own business. */
#include "base/arena.h"
#include "base/buf.h"

/* What is looked for; the rest of a longer list, and a longer sequence, is not matched across a
 * cut.
 */
#define STOPS_MAX 64
#define STOPS_BYTES_MAX 256

struct stops;
#define STOPS_NONE SIZE_MAX

/* delivered: the text the client has, of the block that goes on. NULL: it ends with the beginning
 * of no sequence, so there is nothing to look for. Copies what it keeps. */
struct stops *stops_new(struct arena *a, const struct span *sequences, size_t count,
                        struct span delivered);
/* text: in, the next piece of the continuation, cut anywhere; out, what may be given now (perhaps
 * nothing yet; nothing for good once a sequence is complete). ERR_LIMIT from `text`. */
MUST_USE enum err stops_feed(struct stops *s, struct buf *text);
/* The continuation's text is over: text becomes what was held back and completes no sequence. */
MUST_USE enum err stops_end(struct stops *s, struct buf *text);
/* The sequence that is complete, as its place in `sequences`; STOPS_NONE: none (yet). */
size_t stops_hit(const struct stops *s);
/* True when nothing is held back and nothing more is looked for. */
bool stops_settled(const struct stops *s);
