#pragma once
/* Server-sent events: reader after the WHATWG rules (HTML Living Standard 9.2.6) and the one
 * writer.
 *
 * Pure, fed, resumes at any byte. LF, CR and CRLF line ends, a leading BOM, comments, several data
 * lines. A line or an event's data past max_bytes is ERR_LIMIT. */
#include "base/buf.h"

struct sse_event {
    struct span name; /* "" when no event: line came (the standard's "message") */
    struct span data; /* data lines joined with LF; without the last LF */
    struct span id;   /* last event id */
    struct span
        raw; /* exact source bytes of this event, with what preceded it (comments, blank lines) and
                the line end that dispatched it: all raws joined are the stream */
    bool comment_only; /* see sse_init */
};
struct sse {               /* embed it; private to sse.c */
    struct buf raw;        /* what came of the event so far, when it came in parts */
    struct buf data, name; /* used where offsets into the event's text do not do */
    struct buf id;         /* last event id */
    size_t max_bytes;
    size_t line_start; /* in the event's text: where the unfinished line begins */
    size_t data_at, data_len, name_at, name_len;   /* in the event's text, while not in the bufs */
    bool has_data, data_held, has_name, name_held; /* _held: in the buf of that name */
    bool report_comments, past_bom, skip_lf, failed;
    bool given; /* the last call gave out what `raw` holds */
    bool ended; /* ... and it was a whole event */
};

/* report_comments: a comment line also yields an event with comment_only set and data = the
 * comment's text (relays need to see keep-alives); its raw holds the comment line. */
void sse_init(struct sse *s, size_t max_bytes, bool report_comments);
void sse_deinit(struct sse *s);

/* Reads until one event is complete or `in` is used up. A line end of CR LF cut between two calls
 * ends the line at once; its LF then opens the next raw.
 * Returns ERR_OK with *out_event (borrowed until the next call), ERR_AGAIN when all of `in` was
 * used without completing one, ERR_LIMIT. An event not closed by a blank line is never delivered
 * (the standard says so). */
MUST_USE enum err sse_next(struct sse *s, struct span in, size_t *out_used,
                           struct sse_event *out_event);

/* True when bytes of an unfinished event are held: at EOF the stream was cut inside an event. */
bool sse_pending(const struct sse *s);
/* The bytes no event's raw has covered yet; at EOF: all raws and this, joined, are the stream. */
struct span sse_held(const struct sse *s);

/* name may be NULL. name must hold no CR, LF, NUL (ERR_INVALID); data is split at CR, LF and CRLF
 * into data lines. */
MUST_USE enum err sse_write(struct buf *to, const char *name, struct span data);
MUST_USE enum err sse_write_comment(struct buf *to, const char *text);
