#pragma once
/* Shared by errand.c (one call at a time, and what the client gets), errand_embeddings.c and
 * errand_count.c (whom to ask, and what to make of the answer). Nobody else includes it. */
#include "relay/errand.h"
#include "relay/exchange_internal.h"

struct errand;

struct errand_kind {
    const struct dialect *door;
    void (*begin)(struct errand *e); /* the route is known: asks somebody, or ends it */
    /* The call failed; its line is written. Asks another, or ends it. */
    void (*failed)(struct errand *e, const struct failure *f);
    /* A whole 2xx body. False: it holds no answer, and nothing was done. */
    bool (*answered)(struct errand *e, struct span body);
    void (*left)(struct errand *e); /* the client did, while a call was open; NULL: no matter */
};
extern const struct errand_kind errand_embeddings_kind, errand_count_kind;

struct errand { /* in the request's arena */
    const struct errand_kind *kind;
    struct relay *relay;
    struct request *request;
    struct arena *arena;
    const char *client_key;
    const struct relay_route *route;
    struct json_doc doc;
    struct span model; /* raw */
    bool done;

    size_t link; /* being asked */
    struct call *call;
    bool waits;    /* ... for its engine to be loaded */
    bool entered;  /* its engine knows of us */
    usec patience; /* how long it waits for that, at most; set by those that do */
    usec time;     /* ... and for the answer */
    usec asked;    /* when it began to */
    struct pieces body;
    struct span path, fields;
    struct buf gathered;
    int status;
    struct span content_type;
    const struct http_field *reply_fields;
    size_t reply_field_count;

    struct chain_walk walk; /* embeddings */
    struct failure first;
    struct span same_model; /* the model of the first that can; raw */
    struct lossy lossy;
    struct exchange_attempt attempts[CHAIN_MAX]; /* each link once at most */
    size_t attempt_count;
    int status_sent;
    bool served; /* by the link that was asked last */
    struct timer timer;
    usec started, deadline;
    char id[REQUEST_ID_SIZE];
};

/* Below the target's base URL: "/v1" + "/embeddings". */
struct span errand_path(struct errand *e, const struct relay_target *target, const char *door);
struct span errand_model(const struct errand *e, size_t link); /* asked for there; raw */
/* The client's own body, but for the model's name. */
void errand_pass_body(struct errand *e, size_t link);
/* Sends e->body to e->path of that link, and waits `time` at most. An engine of ours is started
 * first, and waited for as long as e->patience. */
void errand_ask(struct errand *e, size_t link, usec time);

/* The ends. The reply is ended, and e gone. */
void errand_reply(struct errand *e, struct span body); /* 200; of e->link where e->served */
void errand_reply_upstream(struct errand *e, const struct failure *f); /* its error, as it came */
void errand_refuse(struct errand *e, int status, struct span message);
