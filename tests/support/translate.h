#pragma once
/* Runs the dialects the way the relay does, without a relay: requests from one to the other,
 * answers back, and the chat events in between as lines of text. For tests. */
#include "dialect/capability.h"
#include "dialect/dialect.h"
#include "support/feed.h"

/* A sink that writes each event as one line:
 *   start ID MODEL | open TYPE [ID NAME] | + PIECE | sign TEXT | close | usage in=1 read=-1 ... |
 *   finish STOP [SEQUENCE] | end | error TYPE STATUS MESSAGE | ping */
struct event_lines {
    struct buf text;
};
void event_lines_init(struct event_lines *l);
void event_lines_deinit(struct event_lines *l);
struct chat_sink event_lines_sink(struct event_lines *l);

/* Reads `body` with `from` into lines. Returns the reader's last error. */
enum err read_answer(struct arena *a, const struct dialect *from, const struct chat_request *asked,
                     struct span body, bool streamed, enum feed_cuts cuts, uint64_t seed,
                     struct chat_sink sink);

struct translated {
    enum err err;        /* the reader's */
    bool ended, errored; /* END, ERROR were told */
    struct span bytes;   /* what the client gets */
};
/* An upstream's answer in dialect `from` as the client of `to` sees it. */
struct translated translate_answer(struct arena *a, const struct dialect *from,
                                   const struct dialect *to, const struct chat_request *asked,
                                   struct span body, bool streamed, bool stream_out,
                                   enum feed_cuts cuts, uint64_t seed);

struct request_words { /* a request in the words of a target */
    enum err read, write;
    struct chat_problem problem;
    struct chat_request request;
    struct span body;
    struct lossy lossy;
};
struct request_words translate_request(struct arena *a, const struct dialect *from,
                                       const struct dialect *to, const struct capability *cap,
                                       struct span body);
