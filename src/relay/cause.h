#pragma once
/* Why an attempt failed: status, headers, body and stage go in, one cause comes out, and with it
 * what to do.
 *
 * Pure table work: no clock, no socket. "Cause, not status" (DESIGN.md): a 400 may be the
 * provider's fault and a 200 a failure. The rows and where each was seen are in cause.c. */
#include "chat/chat.h"
#include "conn/pool.h"
#include "http/h1.h"

enum cause {
    CAUSE_NONE,
    CAUSE_TRANSIENT,    /* 500, 502, 503, 504, 408, 409: again, here once or elsewhere */
    CAUSE_OVERLOADED,   /* 529, overloaded_error also inside a 200 stream */
    CAUSE_RATE_LIMITED, /* 429 with a way back (retry-after, reset header, or a plain rate limit) */
    CAUSE_QUOTA_GONE,   /* insufficient_quota, credit too low, spend limit: hours to weeks */
    CAUSE_ACCOUNT_GONE, /* organisation disabled, 402, 403: until somebody acts */
    CAUSE_KEY_BAD,      /* 401 */
    CAUSE_MODEL_GONE,   /* 404 model not found, deployment not found, model deprecated */
    CAUSE_CONTEXT_EXCEEDED, /* prompt too long for this target */
    CAUSE_CONTENT_REFUSED,  /* the provider's policy */
    CAUSE_CALLER_FAULT,     /* the request is wrong wherever it goes */
    CAUSE_UNKNOWN_4XX,      /* not understood: tried once elsewhere, what happens there teaches */
    CAUSE_UNREACHABLE,      /* name, refused, unreachable, connect timeout, TLS */
    CAUSE_STALLED,          /* a deadline of ours: first token, stall, total of the attempt */
    CAUSE_BROKEN_STREAM,    /* cut, reset, malformed, HTML with 200, wrong content type */
    CAUSE_THINKING_REFUSED, /* thinking in the history that this target did not sign so, or that it
                               misses: asked once more without any (clean.c) */
    CAUSE_OTHER_FORMAT, /* not in this format: OpenAI's models that want /responses (speech.c) */
    CAUSE_NOT_READY, /* an engine of ours that is still loading, or was given up: nothing was sent
                      */
    CAUSE_COUNT
};

enum reaction {
    REACT_ELSEWHERE,      /* next target now; the same one at most once more if there is no other */
    REACT_CALLER,         /* give the caller this error, unchanged where dialects match */
    REACT_ELSEWHERE_ONCE, /* one other target may show whether it is the caller's fault */
};

struct cause_facts {  /* one row per cause; see cause_facts() */
    const char *name; /* "account_gone": logs, metrics, x-hotspare-switched */
    enum reaction reaction;
    bool counts;      /* counts for the breaker */
    bool trips;       /* one is enough to open it (account, key, quota, model) */
    bool repeat_here; /* worth one repeat on the same target when no other is left */
    usec horizon; /* how long the target is likely to stay like this; 0 = the breaker's own time */
    const char *advice; /* what an operator should do, for the log and status; NULL = nothing */
};
const struct cause_facts *cause_facts(enum cause c);

struct cause_evidence {
    enum err err; /* ERR_OK when a response came */
    enum call_stage stage;
    int status;                     /* 0 = no response head */
    const struct http_head *head;   /* may be NULL */
    const struct chat_error *error; /* the parsed error body or stream error; may be NULL */
    bool in_stream;                 /* the error came inside a 200 stream */
    bool deadline;                  /* one of our deadlines passed */
};
/* out_retry_after: microseconds the provider asked us to wait (Retry-After, retry-after-ms,
 * anthropic/x-ratelimit reset headers), 0 = did not say. wall_now: loop_wall, for HTTP dates and
 * RFC 3339. */
enum cause cause_of(const struct cause_evidence *e, usec wall_now, usec *out_retry_after);
/* Of a THINKING_REFUSED: the target misses thinking in front of the last tool call, or finds some
 * where thinking is off. Both end only when thinking is switched off for the request. */
bool cause_wants_thinking_off(const struct chat_error *e);
/* Of an OTHER_FORMAT: it is for the tools in the request. */
bool cause_is_about_tools(const struct chat_error *e);
