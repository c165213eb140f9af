#pragma once
/* What refusals taught about a (target, model), where it contradicts what is known of its kind
 * (dialect/capability.c): so that the same refusal is paid for once, not once per conversation.
 *
 * A fact is learnt from evidence only: asked one way the target refused, asked the other way it
 * answered. It is forgotten after LEARNED_KEEP, since servers are upgraded; then it is tried anew.
 *
 * Pure: the caller passes the wall time. Shared by all workers under its own lock, like a breaker.
 * Knows no file; serve/learned_file.c keeps it over restarts. */
#include "base/base.h"
#include <pthread.h>
#include <stdatomic.h>

enum learned_fact {
    LEARNED_NO_PREFILL, /* a last assistant message is refused: it goes on when asked in words */
    LEARNED_RESPONSES_ONLY,     /* refused at /chat/completions, answered at /responses */
    LEARNED_TOOLS_BY_RESPONSES, /* ... where the request has tools */
    LEARNED_FACTS
};
/* The word in files, logs and /api/status: "no_prefill". */
const char *learned_fact_name(enum learned_fact f);
MUST_USE enum err learned_fact_parse(struct span word, enum learned_fact *out);

#define LEARNED_MAX 128     /* facts; the oldest gives way to a new one */
#define LEARNED_NAME_MAX 96 /* bytes of a name; of what has a longer one nothing is learnt */
#define LEARNED_KEEP ((usec)7 * 24 * 3600 * USEC_PER_SEC)

struct learned_entry {
    char target[LEARNED_NAME_MAX + 1];
    char model[LEARNED_NAME_MAX + 1]; /* raw JSON string content, as requests name it */
    enum learned_fact fact;
    usec until; /* wall time; until then it is believed */
};

struct learned { /* embed it; the fields belong to learned.c */
    pthread_mutex_t lock;
    atomic_bool any; /* was there ever one: read without the lock, as each attempt asks */
    struct learned_entry at[LEARNED_MAX];
    size_t count;
};

void learned_init(struct learned *l);
void learned_deinit(struct learned *l);
/* True when it was not known: worth a line in the log. False too for a name that is empty, too long
 * or has control bytes in it. */
bool learned_note(struct learned *l, const char *target, struct span model, enum learned_fact fact,
                  usec wall);
bool learned_knows(struct learned *l, const char *target, struct span model, enum learned_fact fact,
                   usec wall);
/* Copies what is believed at `wall` to out (room for LEARNED_MAX), the oldest first; how many. */
size_t learned_list(struct learned *l, usec wall, struct learned_entry *out);
/* Takes an entry from before a restart, unless it has expired. A time further ahead than
 * LEARNED_KEEP is cut to that: a clock that jumped must not make a fact last. ERR_SYNTAX: its names
 * are no names. */
MUST_USE enum err learned_restore(struct learned *l, const struct learned_entry *e, usec wall);
