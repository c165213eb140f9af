#pragma once
/* Shared by the demo's files: demo.c (options, the order of events), demo_talk.c (the
 * conversations), demo_show.c (the terminal). */
#include "base/arena.h"
#include "conn/pool.h"
#include "http/sse.h"
#include "tools/crew.h"
#include "tools/demo_score.h"
#include <stdio.h>

#define TALKS 20
#define TALK_WORDS 24
#define TALK_WORDS_TEXT "24"
#define TALK_RATE_TEXT "60"          /* words per second */
#define TALK_FIRST_TOKEN_TEXT "80ms" /* both stand-ins think this long */
#define TALK_HISTORY_MAX ((size_t)1 << 20)
#define TALK_TURN_TIME (10 * USEC_PER_SEC)

/* ---- conversations ---- */

struct demo;

struct talk {
    struct demo *demo;
    struct timer next, limit; /* before the next turn; for this one */
    struct arena arena;       /* of the turn */
    struct pieces body;
    struct call *call; /* NULL between turns */
    struct sse sse;
    struct words words;
    struct buf history; /* JSON of the finished messages, each followed by a comma */
    struct buf answer;
    enum demo_phase phase; /* in which the turn began */
    usec started;
    uint64_t turn;
    int status;
    bool talked, stopped; /* first token seen; message_stop seen */
    bool failed_over, cut;
    char served_by[16];
    char trouble[160];
};

void talk_init(struct talk *t, struct demo *d);
void talk_deinit(struct talk *t); /* cancels */
void talk_start_in(struct talk *t, usec delay);
void talk_hurry(struct talk *t, usec most); /* a turn under way has this long left */

/* ---- terminal ---- */

struct show {
    FILE *to;
    bool live;          /* a terminal: one line is redrawn */
    bool colour;        /* a terminal, and NO_COLOR is not set */
    bool colour_result; /* and stdout is one too */
    bool drawn;
    usec last;
};
void show_init(struct show *s);
void show_event(struct show *s, usec since_start, const char *what, bool trouble);
void show_now(struct show *s, const struct demo *d);
void show_end(struct show *s);

/* ---- all of it ---- */

struct demo {
    struct loop *loop;
    struct pool *pool;
    struct origin *claude, *gateway; /* the pool's */
    struct origin *to;               /* whom the conversations ask at present */
    struct crew crew;
    struct talk talks[TALKS];
    struct score score;
    struct show show;
    struct arena scratch; /* for one event */
    struct timer step, draw, limit, over;
    struct call *order; /* to the stand-in's control door */
    struct pieces order_body;
    struct arena order_arena;
    int order_status;
    enum demo_phase phase, next_phase;
    usec started, measured; /* when the demo began; how long the phases take together */
    bool winding_down, ending, json;
    int result; /* exit code */
    char trouble[400];
};

/* A conversation has ended a turn. */
void demo_turn_over(struct demo *d);
