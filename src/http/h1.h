#pragma once
/* HTTP/1.1 codec, one for both sides: strict reader of requests and of responses, and the writers
 * of heads and chunks.
 *
 * Sans I/O: it is fed bytes and answers events; it resumes at any byte and never blocks. It does
 * not know sockets, time, or what a request means. Rules and their RFC 9110/9112 sections: h1.c;
 * the limits: reliability.md sections 3.1 and 5. Reject and close beats repair. HTTP/2 will be a
 * sibling (h2.h) with the same struct http_head. */
#include "base/buf.h"
#include "base/span.h"

struct http_field {
    struct span name, value; /* name as received; compare with span_iis */
};
struct http_limits {
    size_t line_bytes, field_bytes, head_bytes, fields;
    uint64_t body_bytes;
};
extern const struct http_limits http_limits_default; /* 8 KiB, 16 KiB, 64 KiB, 100 fields, 32 MiB */

/* A request's or a response's head. Spans borrow from the codec and hold until the next h1_feed. */
struct http_head {
    struct span method, target; /* requests. target: origin-form, or "*" */
    struct span host;           /* requests: the one Host value (empty for HTTP/1.0 without) */
    int status;                 /* responses */
    struct span reason;
    int minor; /* HTTP/1.minor */
    const struct http_field *fields;
    size_t field_count;
    int64_t content_length; /* -1: not given */
    bool chunked;
    bool keep_alive;      /* what the message's own Connection/version allow */
    bool expect_continue; /* requests */
    bool upgrade;         /* asked for; we never do */
};
/* First field of that name, or an empty span with at == NULL. */
struct span http_field_find(const struct http_head *h, struct span name);
static inline struct span http_field_get(const struct http_head *h, const char *name)
{
    return http_field_find(h, span_from(name));
}

enum h1_role { H1_REQUEST, H1_RESPONSE }; /* what is being READ */
enum h1_event_type {
    H1_MORE, /* everything given was used; feed more */
    H1_HEAD, /* event.head is ready (event.head is written for this type only) */
    H1_BODY, /* event.body: some content bytes, borrowed from the input */
    H1_END,  /* the message is complete; the next h1_feed starts the next message */
};
struct h1_event {
    enum h1_event_type type;
    struct http_head head;
    struct span body;
};
struct h1 { /* embed it; private to h1*.c but for the three below */
    enum h1_role role;
    const struct http_limits *limits;
    int error_status; /* on error: what a server should answer (400, 413, 414, 417, 431, 501, 505);
                         502 when a response was being read */
    const char *error_text; /* on error: static sentence naming what and the RFC section */
    /* private */
    unsigned state; /* enum h1_state */
    enum err error;
    struct buf lines;          /* the head (or trailers) gathered so far, when it came in parts */
    struct http_field *fields; /* limits->fields entries, allocated with the first head */
    struct http_head head;     /* the one being read */
    size_t line_start;         /* in `lines`: where the unfinished line begins */
    size_t line_bytes;         /* of this head or these trailers, in finished lines */
    uint64_t left, body_seen;
    uint32_t chunk_overhead, chunk_digits, chunk_extension;
    uint32_t interim;    /* 1xx heads swallowed in front of the final one */
    uint32_t fields_had; /* which of the fields that frame a message were there */
    bool no_body;        /* the response to HEAD */
    bool skipped_blank;  /* the one empty line allowed in front of a request */
};
#define H1_INTERIM_MAX 8

void h1_init(struct h1 *p, enum h1_role role, const struct http_limits *limits);
void h1_deinit(struct h1 *p);
void h1_reset(struct h1 *p); /* forget everything, ready for a new connection */

/* Reads on. Call it until it answers H1_MORE (then all of `in` is used) or an error.
 *
 * Interim (1xx) responses are swallowed: the first H1_HEAD is the final one. A Content-Length past
 * limits->body_bytes is refused behind the head: H1_HEAD first, ERR_LIMIT with 413 from the next
 * call, so that the refusal can be worded for the path.
 *
 * in         bytes received; *out_used says how many were consumed by this call
 * Returns    ERR_OK with *out_event; ERR_SYNTAX, ERR_LIMIT or ERR_UNSUPPORTED with
 * error_status/error_text set: the connection cannot go on. Spans in the event borrow from `in` or
 * from p until the next call. */
MUST_USE enum err h1_feed(struct h1 *p, struct span in, size_t *out_used,
                          struct h1_event *out_event);

/* The peer closed. ERR_OK when the codec was between messages, or when a response whose body runs
 * until close is thereby complete (*out_event is then H1_END, else H1_MORE); ERR_EOF when a message
 * was cut. */
MUST_USE enum err h1_feed_eof(struct h1 *p, struct h1_event *out_event);

/* Responses only, before the head is fed: the request was HEAD, so no body follows. */
void h1_expect_no_body(struct h1 *p);
/* Within a body that may last long: gives back what only heads need (the field table). Spans of the
 * head end with it. */
void h1_trim(struct h1 *p);
/* Between messages, nothing buffered: a connection in this state may be reused. */
bool h1_idle(const struct h1 *p);

/* Writers. Names and values with CR, LF or NUL are refused (ERR_INVALID): nothing a peer said can
 * split a message. */
MUST_USE enum err h1_write_request_line(struct buf *to, struct span method, struct span target);
MUST_USE enum err h1_write_status_line(struct buf *to, int status);
MUST_USE enum err h1_write_field(struct buf *to, struct span name, struct span value);
MUST_USE enum err h1_write_field_u64(struct buf *to, const char *name, uint64_t value);
MUST_USE enum err h1_write_head_end(struct buf *to);
/* "1f\r\n" before and "\r\n" behind a chunk; the last chunk is "0\r\n\r\n". */
MUST_USE enum err h1_write_chunk_start(struct buf *to, size_t bytes);
MUST_USE enum err h1_write_chunk_end(struct buf *to);
MUST_USE enum err h1_write_last_chunk(struct buf *to);

const char *http_reason(int status); /* "Too Many Requests"; "Unknown" for others */
