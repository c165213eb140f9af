#ifndef HOTSPARE_H
#define HOTSPARE_H
/* libhotspare: ask Claude from C, with retry and failover inside.
 *
 *     hs_client *c = hs_new(NULL, why, sizeof why);
 *     hs_reply *r = hs_messages(c, json, strlen(json));
 *     for (const hs_event *e; (e = hs_next(r, -1));)
 *         if (e->type == HS_TEXT)
 *             fwrite(e->text, 1, e->text_len, stdout);
 *     hs_end(r);
 *     hs_free(c);
 *
 * A request is a body of Anthropic's Messages API. Who answers it is the chain of a hotspare.yaml,
 * tried by the same code as in the gateway: a target that fails is left for the next one, also in
 * the middle of an answer.
 *
 * Nothing runs between two calls: there is no port, and no thread but libuv's for looking up names.
 * A client with its replies is used by one thread at a time; different clients by as many as you
 * like. Signal handlers are left alone, and nothing is written to stderr. Exhausted memory ends the
 * process, as in the gateway, and so does a bug of the library's that its own assertions find.
 *
 * No promise is made yet about the ABI: build against the header you installed. libhotspare(3) is
 * the manual. C99 and C++. */
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HS_API __attribute__((visibility("default")))
#else
#define HS_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hs_client hs_client; /* a configuration, its connections, what is known of targets */
typedef struct hs_reply hs_reply;   /* one request under way */

typedef struct hs_options {
    size_t size;             /* sizeof(hs_options): which fields the caller knows */
    const char *config_path; /* a hotspare.yaml; NULL: found as `hotspare serve` finds it */
    const char *config_text; /* the YAML itself, instead; its keys must be env:NAME or file:/path */
    const char *beta;        /* value of the anthropic-beta header; NULL: none */
    /* Told what the gateway would log, one line without its end; never a key or a prompt. level: 0
     * error, 1 warning, 2 info. Must not call back into the client. NULL: nobody. */
    void (*log)(void *ctx, int level, const char *line);
    void *log_ctx;
} hs_options;

typedef enum hs_event_type {
    HS_WAITING = 1, /* the timeout passed, or hs_wake was called; the reply goes on */
    HS_START,       /* served_by, model, lossy */
    HS_TEXT,        /* text: the next piece */
    HS_THINKING,    /* text: the next piece of its thinking */
    HS_TOOL_CALL,   /* tool_id, tool_name, tool_input: a whole call */
    HS_SWITCHED,    /* from, served_by, model, cause; text: the same as a sentence */
    HS_USAGE,       /* usage: of the whole answer; told once, before HS_DONE */
    HS_DONE,        /* stop_reason, content, served_by, model; the last event */
    HS_ERROR        /* text, hint, error_type, status, retry_after; the last event */
} hs_event_type;

typedef struct hs_usage { /* tokens; -1: nobody told. input is without the cached ones */
    int64_t input, output, cache_read, cache_write;
} hs_usage;

/* What an event does not say is "" or 0, never NULL. Strings are UTF-8 and end in NUL; those with a
 * length may hold one within. */
typedef struct hs_event {
    hs_event_type type;
    const char *text;
    size_t text_len;
    const char *tool_id, *tool_name;
    const char *tool_input; /* a JSON object */
    size_t tool_input_len;
    const char *served_by; /* the target's name in the configuration */
    const char *model;     /* as it was asked of that target */
    const char *lossy;     /* what of the request the target could not be told: "thinking,top_k" */
    const char *from;      /* HS_SWITCHED: the target that would have answered, or did so far */
    const char *cause;     /* and why it does not: "overloaded", "broken_stream" ... */
    const char *stop_reason; /* "end_turn", "tool_use", "max_tokens" ... */
    const char *content;     /* the answer's blocks as a JSON array: the next request's
                                {"role":"assistant","content":...} */
    size_t content_len;
    hs_usage usage;
    const char *error_type; /* "overloaded_error", "invalid_request_error" ... */
    const char *hint;       /* what to do about it; "" where text says it */
    int status;             /* the HTTP status that goes with it */
    int retry_after;        /* seconds until asking again is worthwhile; 0: not known */
} hs_event;

/* "0.1.0" */
HS_API const char *hs_version(void);

/* Reads the configuration. options: NULL = all defaults: the file that `hotspare serve` would read,
 * else ANTHROPIC_API_KEY, OPENAI_API_KEY and the engines found on this machine (half a second).
 *
 * NULL: why says what is wrong and how to mend it, in why_size bytes, NUL included. why may be
 * NULL. */
HS_API hs_client *hs_new(const hs_options *options, char *why, size_t why_size);

/* Ends its replies, too. NULL is fine. */
HS_API void hs_free(hs_client *c);

/* Begins a request: a Messages API body with "model", "max_tokens" and "messages"; streamed when it
 * has "stream":true, whole else. Copies it. Never NULL: what is wrong with it is its HS_ERROR. */
HS_API hs_reply *hs_messages(hs_client *c, const char *json, size_t len);

/* The next event; waits for it at most timeout_ms (-1: as long as it takes, 0: not at all). Several
 * replies of a client go on together, whichever is asked. The event and its strings are valid until
 * the next call with this reply.
 *
 * NULL when all is told: after HS_DONE or HS_ERROR. The time between two calls does not count as
 * the target's: a tool may take its time. */
HS_API const hs_event *hs_next(hs_reply *r, int timeout_ms);

/* Ends a reply: cancels it where it is under way, and frees it. NULL is fine. */
HS_API void hs_end(hs_reply *r);

/* Has the hs_next under way, or else the next one, return HS_WAITING at once. From any thread, and
 * from a signal handler. */
HS_API void hs_wake(hs_client *c);

/* For programs with an event loop of their own: wait until the descriptor is readable, at most
 * *timeout_ms (-1: no limit); then call hs_next(r, 0) for each reply until it says HS_WAITING, and
 * ask again. The time from this call to the next one is time spent waiting, and counts. Leave the
 * descriptor open. */
HS_API int hs_fd(hs_client *c, int *timeout_ms);

/* "text", for an event's type; "unknown" for others. */
HS_API const char *hs_event_name(hs_event_type type);

/* Writes text as a JSON string, quotes included, and a NUL behind it: at most size bytes. Returns
 * the length it has without NUL; where that is not below size, the result was cut and is to be
 * thrown away. What is no UTF-8 becomes U+FFFD. */
HS_API size_t hs_quote(const char *text, size_t len, char *to, size_t size);

#ifdef __cplusplus
}
#endif
#endif
