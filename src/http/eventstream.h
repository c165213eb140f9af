#pragma once
/* Reader and writer of application/vnd.amazon.eventstream, the binary framing in which AWS streams
 * answers: length-prefixed messages with typed headers and two CRC-32s. Pure, fed, resumes at any
 * byte.
 *
 * Knows nothing of what the messages are about: that is the business of who reads their payload.
 * Source: AWS, "Event stream encoding" (smithy.io/2.0/aws/amazon-eventstream.html). */
#include "base/buf.h"

#define EVENTSTREAM_FRAME_MIN ((size_t)16)          /* an empty message: two lengths, two CRCs */
#define EVENTSTREAM_HEADERS_MAX ((size_t)128 << 10) /* as the format has it */

struct eventstream_message {
    struct span message_type;  /* :message-type: "event", "exception", "error" */
    struct span name;          /* :event-type, :exception-type or :error-code; "" when none */
    struct span error_message; /* :error-message, of an "error"; "" when none */
    struct span payload;
};

struct eventstream { /* embed it; private to eventstream.c */
    struct buf held; /* the message so far, when it came in parts */
    size_t max_bytes;
    bool given, failed;
};

/* max_bytes: of one whole message. */
void eventstream_init(struct eventstream *s, size_t max_bytes);
void eventstream_deinit(struct eventstream *s);

/* Reads until one message is complete or `in` is used up. ERR_OK with *out_message (borrowed until
 * the next call, from `in` or from s); ERR_AGAIN when all of `in` was used without completing one;
 * ERR_SYNTAX: a CRC or a header is wrong; ERR_LIMIT: longer than max_bytes, told by its prelude.
 * After a failure every call fails: where the next message begins is not known any more. */
MUST_USE enum err eventstream_next(struct eventstream *s, struct span in, size_t *out_used,
                                   struct eventstream_message *out_message);

/* Writes one whole message; kind: "event" or "exception", name: of that. ERR_LIMIT from `to`. */
MUST_USE enum err eventstream_write(struct buf *to, const char *kind, const char *name,
                                    struct span payload);

/* True when bytes of an unfinished message are held: at EOF the stream was cut inside one. */
bool eventstream_pending(const struct eventstream *s);
