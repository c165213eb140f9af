#pragma once
/* Shared by exchange.c (the order of things), attempt.c (one try at one target), splice.c (going on
 * in the middle), clean.c (thinking a target refuses), inject.c (faults on purpose) and answer.c
 * (what the client gets). Nobody else includes it. */
#include "base/span.h"
#include "http/stream.h"
#include "relay/access_token.h"
#include "relay/exchange.h"
#include "relay/identity.h"
#include "relay/pace.h"
#include "relay/seam.h"
#include "relay/stops.h"

#define ATTEMPT_EVENT_MAX ((size_t)8 << 20) /* one event; reliability.md 3.4 */
#define ERROR_BODY_MAX ((size_t)64 << 10)   /* the rest of an error body is not read */
#define LEDGER_TEXT_MAX ((size_t)4 << 20)
#define REQUEST_ID_SIZE 32

enum exchange_state {
    EX_IDLE,    /* between attempts; only while exchange.c decides */
    EX_TRYING,  /* an attempt is under way */
    EX_PAUSING, /* backing off before repeating a target */
    EX_LOADING, /* an engine of ours is being started for it */
    EX_DONE
};

/* What an attempt left behind for the caller, should nobody else do better. All in the exchange's
 * arena. */
struct failure {
    enum cause cause;
    size_t link;
    const struct dialect *dialect; /* what it was told in */
    int status;                    /* upstream's; 0 = no response */
    struct span body;              /* upstream's error body, as it came */
    bool whole;                    /* all of it: it may be passed on */
    struct span content_type;
    const struct http_field *fields; /* those worth relaying */
    size_t field_count;
    struct chat_error error;
    usec retry_after;
    const char *why; /* for logs */
};

/* Hearing the rest of a background response; see resume.c. */
struct resume {
    bool asked;         /* once */
    bool waits;         /* for its first event */
    struct failure cut; /* why; the attempt's own failure, when nothing comes of it */
};

struct attempt {
    const struct relay_link *link;
    const struct dialect *dialect; /* of those its target speaks */
    size_t index;
    size_t line; /* of the exchange's log */
    struct call *call;
    bool open;        /* holds a call and buffers */
    bool passthrough; /* its answer's bytes are given as they come */
    bool rewritten;   /* the request was written by us; else the client's own bytes went out */
    bool reported;    /* its breaker has been told */
    bool entered;     /* its engine knows of it */
    struct pieces body;
    struct span path;        /* with its query */
    struct token_wait token; /* of a cloud */
    struct span access;      /* the token that was used */
    struct span fields;      /* request header lines, credentials last */
    int status;
    bool streaming; /* a 2xx event stream is being read */
    bool whole; /* asked for a whole answer where the client wants a stream: it gets its events */
    bool paused;
    bool ended;      /* the terminal event was seen */
    bool told_error; /* an error event was seen; `failure.error` holds it */
    struct span content_type;
    const struct http_field *reply_fields;
    size_t reply_field_count;
    struct event_stream events;
    struct cloud_stream *frames; /* of AWS, instead of `events`; NULL: none */
    struct buf gathered;         /* whole bodies */
    struct reply_reader *reader;
    usec hedge_at; /* when another may be asked beside it; 0 = not */
    usec started, deadline, last_content, content_since; /* content_since: 0 = none yet */
    struct pace pace;
    struct resume resume;
    struct injection *injection; /* a drill's fault is between us and the target; else NULL */
    uint64_t fault_serial;       /* it was committed, by this order; 0 = not (yet) */
    bool fault_counts;           /* ... and counts for the circuit */
};

/* A tool call's events wait in `out`, from `from` on, until it is complete. */
struct tool_hold {
    bool on;
    size_t from;
    struct ledger_mark *before; /* made when first needed */
};

/* Going on in the middle of an answer; see splice.c. */
struct splice {
    bool active;        /* the answer is being gone on with: the target's events pass splice_take */
    bool in_words;      /* this attempt asks in words: the target may repeat itself */
    bool marks;         /* the client asked to be told where models change */
    bool arrived;       /* this attempt's target has given something */
    struct span from;   /* the model of what was given last; raw */
    bool learns;        /* when it answers so, its refusal of the other form is worth remembering */
    bool text_open;     /* the client's open block is text, and the new text goes on in it */
    bool in_text;       /* the target's open block is its text */
    bool dropping;      /* the target's open block is not for the client */
    bool drop_thinking; /* text has been given: thinking cannot come behind it */
    uint32_t asked_in_words; /* BIT(link): its target refused to go on by itself */
    int64_t output_before;   /* tokens given before this attempt; estimated where nobody told */
    struct chat_request *request; /* what the attempt asks; made when first needed */
    struct seam *seam;            /* NULL: there is no text to join to, or the joint is made */
    struct stops
        *stops;   /* NULL: no stop sequence can span the cut, or it is known that none does */
    bool closing; /* the target's text has ended; what is held back is judged with the next event */
    bool stopped; /* one did: the answer has its end, whatever the target still says */
    uint64_t said; /* bytes of content in this attempt */
    struct buf joined;
};

/* A second target, asked beside one that is late; see rival.c. */
struct rival {
    bool on;
    enum hedge_end end;
    struct attempt attempt; /* stays here for its call, also when it has become the exchange's */
    struct lossy lossy;
    struct buf heard;           /* what it has streamed, until it is the exchange's */
    struct reply_reader *probe; /* looks for its first content */
    bool content;
};

/* Asking once more without thinking in the history; see clean.c. */
struct clean {
    bool asked, noted;      /* noted: the memory knows */
    bool off;               /* with thinking switched off */
    struct failure refusal; /* what the target had said: the caller's, when that fails too */
};

struct speech {
    bool asked, noted; /* at /responses what was refused at /chat/completions; the memory knows */
    size_t link;
    enum learned_fact fact; /* what the refusal told */
};

/* What a target said of its context when it refused (room.c). */
struct room {
    int64_t context; /* tokens; 0 = nothing */
    size_t link;
};

struct exchange {
    enum exchange_state state;
    struct relay *relay;
    struct request *request;
    struct arena *arena;
    const struct dialect *door;
    const char *client_key;
    const struct relay_route *route;
    struct json_doc doc;
    struct span model; /* raw */
    bool stream;
    struct chat_request canonical;
    bool canonical_read;
    struct lossy lossy; /* of the last attempt */
    struct chain_walk walk;
    struct identity identity;      /* of its conversation; NONE when there is nothing to choose */
    struct affinity_choice choice; /* unless NONE */
    struct attempt attempt;
    struct failure first, last;
    bool failed_once;
    struct chat_problem unfit; /* why the last unfit target could not carry it */
    bool was_unfit;
    size_t retry_link; /* while EX_PAUSING or EX_LOADING */
    usec load_since;   /* while EX_LOADING */

    struct ledger ledger;
    struct tool_hold hold;
    struct splice splice;
    struct clean clean;
    struct speech speech;
    struct room room;
    struct rival rival;
    struct exchange_splices splices; /* for the report */
    struct span seen_id,
        seen_model;               /* of an answer passed through: plain; raw JSON string content */
    int64_t seen_created;         /* 0: not seen */
    enum chat_tri seen_usage_key; /* do its chunks have one? */
    struct reply_writer *writer;
    struct reply_writer *pinger; /* writes keep-alives into `ping`, beside what is held in `out` */
    struct buf out, ping;
    bool head_sent;   /* status and headers are with the client */
    bool gone;        /* the client is: its request is to be aborted */
    bool holding;     /* bytes stay in `out` until the commit point */
    bool writer_full; /* `out` reached its bound */
    bool error_told;  /* the target's own error event went through: none of ours follows */
    struct chat_error stream_error;
    uint64_t fault_serial; /* of the first fault that was committed on it; 0 = none */
    bool fault_released;   /* the drill ended while it was kept waiting */
    bool forwarded; /* bytes of an answer are with the client: no other target can take over */
    int status_sent;

    struct timer timer;
    usec started, deadline, ping_at, first_content, last_content, stall_max;
    struct exchange_attempt *attempts; /* grows in the arena: most exchanges need one */
    size_t attempt_count, attempt_cap;
    char id[REQUEST_ID_SIZE];
};

/* exchange.c: also for errands */
void request_id_make(struct loop *loop, char out[REQUEST_ID_SIZE]);
struct outline_fault {
    int status;
    struct span text;
};
/* Reads just what routing needs of a body. model: raw, empty where it names none. False: *out_fault
 * says what the caller did wrong. */
bool outline_read(struct arena *a, struct span body, struct json_doc *doc, struct span *out_model,
                  bool *out_stream, struct outline_fault *out_fault);
struct span outline_no_route(struct arena *a, struct span model); /* what a 404 says; decoded */

/* attempt.c: headers that pass on; also for errands */
bool attempt_forwards_field(struct span name, bool rewritten); /* of the client's */
/* Of the upstream's head, which ends with its call-back: copies. Returns how many. */
size_t attempt_keep_fields(struct arena *a, const struct http_head *head,
                           const struct http_field **out);

/* attempt.c */
void attempt_begin(struct exchange *x, size_t link);
void attempt_leave(struct exchange *x, struct attempt *at); /* its engine is told */
void attempt_drop(struct exchange *x); /* cancels the call and frees what is not in the arena */
bool attempt_overdue(struct exchange *x,
                     usec now); /* a deadline of the attempt passed: it has been failed */
usec attempt_next_check(const struct exchange *x);
void attempt_resume(struct exchange *x); /* the client reads again: so do we */

/* attempt_write.c */
#define ATTEMPT_FIELDS_TOO_LARGE SPAN("The request's headers are too large to pass on.")
MUST_USE enum err attempt_write(struct exchange *x, struct chat_problem *problem);
/* Of attempt_write, where the target needs a token: once it is there. ERR_LIMIT: too large. */
MUST_USE enum err attempt_write_fields(struct exchange *x);
/* Of the target; a client that streams may be given a whole answer as a stream. */
bool attempt_asks_stream(const struct exchange *x);
/* Its fields are written when the token is there. */
static inline bool attempt_needs_token(const struct relay_target *target)
{
    return target->cloud && target->cloud->token;
}
static inline bool attempt_is_converse(const struct attempt *at)
{
    return at->dialect->id == DIALECT_BEDROCK_CONVERSE;
}

/* For rival.c: the parts of an attempt that it begins and hears by itself. */
void attempt_open(struct exchange *x, size_t link, usec now); /* x->attempt anew, with its line */
void attempt_call(struct exchange *x, struct attempt *at, const struct call_events *events);
void attempt_head(struct exchange *x, struct attempt *at, const struct http_head *head);
void attempt_adopted(struct exchange *x, struct span heard); /* x->attempt has a past */
struct failure attempt_failure(struct exchange *x, struct attempt *at, enum err err,
                               enum call_stage stage, bool deadline, const char *why);
extern const struct call_events attempt_events;

size_t attempt_line(struct exchange *x, const struct relay_link *link,
                    usec now); /* a line of the exchange's log: its place */

/* The digits behind this name, in an event or a sentence nobody has parsed. False: there are none.
 */
bool attempt_number(struct span data, struct span name, int64_t *out);

/* resume.c */
/* The attempt broke off. True: its target was asked for the rest of the same answer, and the
 * attempt goes on. */
bool resume_begin(struct exchange *x, const struct failure *f);
/* Is this event, the data of one that came, what must come next? */
bool resume_fits(struct exchange *x, struct span data);

/* rival.c */
usec rival_next_check(const struct exchange *x);
void rival_check(struct exchange *x, usec now); /* is one due, or late itself? */
/* The exchange's own attempt has given content, failed for the caller, or nobody waits any more. */
void rival_drop(struct exchange *x, enum hedge_end end);
/* The exchange's own attempt is gone: the rival goes on in its place. False: there is none. */
bool rival_take_over(struct exchange *x);

/* inject.c: faults that a drill commits. Asked only while an order is in force. True: this attempt
 * is met, and its events come from there. */
bool inject_begin(struct exchange *x, const struct call_request *request);
void inject_drop(struct injection *j);

/* exchange.c */
void exchange_log_failure(struct exchange *x, const struct failure *f);
void exchange_attempt_failed(struct exchange *x, const struct failure *f); /* decides what now */
void exchange_attempt_works(struct exchange *x);                           /* it gives content */
/* Of the link's target and model; with a line in the log when it is news. */
void exchange_learn(struct exchange *x, const struct relay_link *link, enum learned_fact fact);
void exchange_attempt_unfit(struct exchange *x, size_t link, const struct chat_problem *why);
void exchange_completed(struct exchange *x); /* the answer is with the client */
void exchange_finish(struct exchange *x,
                     enum exchange_outcome outcome); /* reports and ends the reply; x is gone */
void exchange_rearm(struct exchange *x);
void exchange_go_on(struct exchange *x); /* tries the next target */
/* The canonical conversation, read when first needed. */
MUST_USE enum err exchange_read(struct exchange *x, struct chat_problem *out_problem);
struct exchange_attempt *exchange_log(struct exchange *x); /* the current attempt's line */

/* attempt.c: an event for the client: into the ledger and, unless bytes pass through, its writer */
void attempt_deliver(struct exchange *x, const struct chat_event *e);
void attempt_content(struct exchange *x); /* the target gave content: its clocks begin anew */

/* splice.c */
#define SPLICE_BYTES_PER_TOKEN                                                                     \
    4 /* the usual rule for English; more is told than used for Chinese */
/* Could the answer go on elsewhere if it died now? Cheap; the last word is splice_begin's. */
bool splice_possible(const struct exchange *x);
/* An answer of which the client has a part has lost its target. True: it is taken care of, the
 * exchange goes on or has ended. False: nobody can go on from here. */
bool splice_begin(struct exchange *x);
/* The request of an attempt that goes on; x->canonical where it does not. */
const struct chat_request *splice_request(struct exchange *x);
/* Escaped text without half a surrogate pair at its end, which is nothing one could go on from. */
struct span splice_whole_characters(struct span escaped);
/* The model a link's target is asked for; raw. */
struct span splice_model(const struct exchange *x, const struct relay_link *link);
/* The failed target refused to go on by itself: true, when it may be asked in words. */
bool splice_ask_in_words(struct exchange *x, const struct failure *f);
/* Is it known that this link's target does not go on by itself? Of this exchange or an earlier. */
bool splice_known_to_refuse(const struct exchange *x, size_t link);
/* One event of a stream was taken: begins or ends holding a tool call back. before, from: the
 * ledger and x->out before it. */
void splice_hold(struct exchange *x, const struct ledger_mark *before, size_t from);
/* What is held back will not come: drops it, as if it had never been said. False: nothing was held.
 */
bool splice_let_go(struct exchange *x);

/* clean.c */
/* Must the request be written anew for this target, though it speaks the client's dialect? */
bool clean_needed(struct exchange *x, const struct relay_target *target);
/* What of `r` this target can be sent: itself, or a copy without thinking. */
const struct chat_request *clean_request(struct exchange *x, const struct relay_target *target,
                                         const struct chat_request *r);
/* The failed target refused thinking: true, when it may be asked once more without any. */
bool clean_ask_again(struct exchange *x, const struct failure *f);
/* It was asked so and refuses that, too: the caller hears the first refusal. */
bool clean_in_vain(const struct exchange *x, const struct failure *f);
void clean_worked(struct exchange *x); /* it gives an answer: later requests are cleaned at once */

/* speech.c */
/* What the link's model can there: presumed, probed. */
struct capability speech_capable(const struct exchange *x, const struct relay_link *link);
struct relay_speech speech_choose(const struct exchange *x, const struct relay_link *link);
/* The failed target named another of its formats: true, when it may be asked once more in that. */
bool speech_ask_again(struct exchange *x, const struct failure *f);
void speech_worked(struct exchange *x); /* it gives an answer: later requests go there at once */

/* room.c */
/* Tokens of a link's context, as its operator gave it or as it told us; 0 = not known. */
int64_t room_context(const struct exchange *x, size_t link);
/* The failed target has less room than the answer may take, and told how much: true, when it may be
 * asked once more for less. */
bool room_ask_again(struct exchange *x, const struct failure *f);

/* splice_take.c */
/* The attempt's request is written: how its text will be joined. in_words: it was asked to go on.
 */
void splice_prepare(struct exchange *x, bool in_words);
/* One event of a target that goes on. */
void splice_take(struct exchange *x, const struct chat_event *e);

/* answer.c: writes replies, never ends them */
void answer_stream_begin(struct exchange *x); /* 200 and the stream's headers */
void answer_flush(struct exchange *x); /* gives the client what is in `out`, unless holding */
void answer_whole(struct exchange *x, struct span body);
void answer_upstream_error(struct exchange *x, const struct failure *f); /* as it came */
void answer_error(struct exchange *x, const struct chat_error *e, usec retry_after);
void answer_writer_new(struct exchange *x);
struct chat_error
answer_nobody_left(struct exchange *x); /* the error that tells that all targets failed */
struct chat_error answer_caller_error(struct exchange *x, const struct failure *f);
