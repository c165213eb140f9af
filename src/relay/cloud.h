#pragma once
/* Targets whose paths name the model: models behind another cloud's door (Amazon Bedrock, Google
 * Vertex AI), Gemini, and Azure OpenAI's deployments. What is said is the dialect's matter; where
 * the model's name stands, how a request is authorised and how a stream is framed is the cloud's.
 * This module is that difference and nothing else.
 *
 * Pure but for OpenSSL's hashing; the time is handed in. Knows no exchange, no socket.
 * Sources: AWS, "InvokeModel", "InvokeModelWithResponseStream", "ConverseStream"; Google Cloud,
 * "Claude models"; Google, "Generate content"; Microsoft, "Azure OpenAI in Azure AI Foundry Models
 * REST API". */
#include "base/pieces.h"
#include "dialect/capability.h"
#include "http/eventstream.h"
#include "http/stream.h"
#include "http/h1.h"
#include "http/sse.h"
#include "relay/sigv4.h"

struct access_token; /* relay/access_token.h */

struct cloud {                    /* immutable; part of a target */
    enum target_kind kind;        /* TARGET_BEDROCK, _VERTEX, _GEMINI or _AZURE_OPENAI */
    struct span base;             /* before the model's name: ".../model/", ".../deployments/" */
    struct span api_version;      /* Azure: a date */
    struct span host;             /* as the Host field has it: it is signed */
    struct span region;           /* Bedrock */
    struct sigv4_credentials aws; /* Bedrock; access_key empty: the target's credentials do */
    struct access_token *token;   /* Vertex, Gemini there; NULL: the target's credentials do */
};

/* Claude's Messages format in that cloud's envelope; false: the dialect's own format. */
static inline bool cloud_is_claudes(const struct cloud *c)
{
    return c->kind == TARGET_BEDROCK || c->kind == TARGET_VERTEX;
}
/* Its streams are AWS's frames. c may be NULL: no cloud. */
static inline bool cloud_frames(const struct cloud *c)
{
    return c && c->kind == TARGET_BEDROCK;
}

/* The path that names model (plain) and whether to stream; in `a`. converse: Bedrock's format for
 * all models instead of Messages. ERR_UNSUPPORTED: no model that speaks this target's format there.
 */
MUST_USE enum err cloud_path(const struct cloud *c, struct span model, bool converse, bool stream,
                             struct arena *a, struct span *out);

/* What the answer to such a request must be. */
const char *cloud_accepts(const struct cloud *c, bool stream);

/* Appends the lines that authorise this request (Bedrock with keys; nothing else). */
MUST_USE enum err cloud_sign(const struct cloud *c, struct span path, const struct pieces *body,
                             usec wall, struct buf *to);

/* An anthropic-beta field as a JSON array for the body, in `a`; empty: none of them is known to
 * Bedrock, which refuses requests that name others. *out_left_out: a flag that may have unlocked
 * something in the body was left out. */
struct span cloud_betas(struct span field, struct arena *a, bool *out_left_out);

/* The word that a cloud puts beside its error body: x-amzn-errortype without its address. */
struct span cloud_error_word(const struct http_field *fields, size_t count);

/* ---- Bedrock's streams ---- */

struct cloud_stream { /* embed it; private to cloud.c */
    struct eventstream frames;
    bool converse;
    struct arena scratch; /* of one event */
    struct buf raw;       /* the event as Claude's own API would have sent it */
};
/* converse: its messages are the events themselves; else each holds one of Claude's in base64. */
void cloud_stream_init(struct cloud_stream *s, bool converse, size_t max_bytes);
void cloud_stream_deinit(struct cloud_stream *s);
/* In `a`; the caller calls cloud_stream_deinit all the same. */
struct cloud_stream *cloud_stream_new(struct arena *a, bool converse, size_t max_bytes);
/* As sse_next: each message becomes the server-sent event it stands for, raw bytes included (but
 * for Converse, which no client speaks). An exception becomes Claude's error event, with its own
 * name as details.error_code. ERR_SYNTAX: a damaged frame or one that holds no event. */
MUST_USE enum err cloud_stream_next(struct cloud_stream *s, struct span in, size_t *out_used,
                                    struct sse_event *out_event);
/* The next event of a stream: of its frames, else (NULL) of `events`. */
MUST_USE static inline enum err cloud_event_next(struct cloud_stream *frames,
                                                 struct event_stream *events, struct span in,
                                                 size_t *out_used, struct sse_event *out_event)
{
    return frames ? cloud_stream_next(frames, in, out_used, out_event)
                  : event_stream_next(events, in, out_used, out_event);
}
