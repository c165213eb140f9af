#pragma once
/* The scorecard: what was counted, and how it is printed. Knows no process and no socket; every
 * figure comes from demo_talk.c, which measured it. */
#include "base/buf.h"
#include "tools/demo_words.h"

enum demo_phase {
    PHASE_DIRECT, /* no gateway: what the stand-in itself takes */
    PHASE_BEFORE,
    PHASE_CUT,
    PHASE_DISABLED,
    PHASE_BACK,
    PHASE_SILENT,
    PHASE_AFTER,
    PHASE_COUNT
};
struct phase_facts {
    const char *id;    /* "account_disabled" */
    const char *label; /* "account disabled" */
    const char *when;  /* "before", "during" or "after" the trouble */
    const char *fault; /* what the Claude stand-in is told; "none" = healthy */
    const char *say;   /* what the terminal says when it begins */
    unsigned percent;  /* of the measured time */
};
extern const struct phase_facts phase_facts[PHASE_COUNT];

struct samples { /* times to first token */
    usec *at;
    size_t count, cap;
};
struct phase_score { /* a turn belongs to the phase in which it began */
    usec began, ended;
    uint64_t lead_inside; /* first tokens from Claude while the phase was still on */
    usec lead_again;      /* from its beginning to the first token from Claude; 0 = none came */
    struct samples first;
    uint64_t turns, by_lead, by_spare, by_unknown;
};
struct score {
    struct phase_score phase[PHASE_COUNT];
    uint64_t conversations, turns, interrupted;
    uint64_t words, lost, repeated, reordered, strange;
    uint64_t failed_over; /* turns for which more than one was asked */
    uint64_t continued;   /* answers begun by Claude, cut, and ended by the other one */
    double seconds;       /* all of it, start and end included */
    char first_trouble[200];
};

void score_init(struct score *s);
void score_deinit(struct score *s);
struct first_token {
    enum demo_phase phase; /* in which its turn began */
    bool inside;           /* that phase is still on, and no change to Claude is under way */
    usec now, took;        /* when it came; since the question was sent */
    const char *by;        /* who answers; "" = not known */
};
void score_first_token(struct score *s, const struct first_token *t);
struct turn_result {
    enum demo_phase phase;
    const struct words *words;
    bool whole;            /* ended by message_stop */
    bool failed_over;      /* more than one was asked */
    bool cut;              /* Claude began it while it was told to cut every answer */
    const char *served_by; /* "" = not known */
    const char *trouble;   /* "" = none */
};
/* One answer, whole or cut. Those of the direct phase are in no total. */
void score_turn(struct score *s, const struct turn_result *t);
/* Claude really was gone, and the other one answered: else the demo has shown nothing. */
bool score_means_something(const struct score *s);
bool score_perfect(const struct score *s);

/* Nearest rank; percent in 1..100. -1 when there is no sample. Sorts. */
usec samples_percentile(struct samples *s, unsigned percent);

void score_print(struct score *s, bool colour, struct buf *out);
void score_print_json(struct score *s, struct buf *out);
