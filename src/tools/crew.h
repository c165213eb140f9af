#pragma once
/* The processes of the demo and of a drill: a stand-in lead, a stand-in spare and a gateway, with a
 * directory and a configuration of their own. They are this same program, with an empty
 * environment, and leave with their owner on every path. */
#include "base/buf.h"
#include "net/child.h"

enum crew_member { CREW_LEAD, CREW_SPARE, CREW_GATEWAY, CREW_COUNT };
#define CREW_LINES 8

/* All of it static text. */
struct crew_plan {
    const char *purpose;           /* in the directory's name: "drill" */
    const char *label[CREW_COUNT]; /* for messages: "the stand-in lead" */
    const char *lead, *spare;      /* what the stand-ins and their targets are called */
    const char *spare_model;
    int words;               /* in each answer of a stand-in, */
    const char *rate;        /* so many a second, */
    const char *first_token; /* after this time: "50ms" */
    const char *tool;        /* called with all their words when it is offered; NULL: none */
    const char *settings;    /* the rest of the gateway's configuration, in lines */
};

struct crew;
struct crew_process {
    struct crew *crew;
    const char *label; /* of the plan */
    struct child *child;
    bool started, gone;
    char url[80], admin[80]; /* "" until it said where it listens */
    char lines[CREW_LINES][200];
    size_t line_count; /* all of them; the last CREW_LINES are kept */
};

/* Embed it; plan, loop, callbacks and ctx are the owner's to set, the rest is crew.c's. The three
 * that only a drill wants may be NULL. */
struct crew {
    const struct crew_plan *plan;
    struct loop *loop;
    void (*on_ready)(void *ctx); /* all are listening */
    /* A process could not start, ended by itself or refused its configuration. what: a sentence. */
    void (*on_trouble)(void *ctx, const char *what);
    void (*on_empty)(void *ctx);                    /* after crew_stop: all have ended */
    void (*on_reloaded)(void *ctx);                 /* the gateway has its new configuration */
    void (*on_log)(void *ctx, struct span line);    /* a JSON line of the gateway's access log */
    void (*on_failure)(void *ctx, const char *why); /* the gateway says why an attempt failed */
    void *ctx;
    bool stopping;
    char dir[120]; /* "" = none */
    char config[160];
    char own_path[1024];
    struct crew_process process[CREW_COUNT];
};

void crew_open(struct crew *c);
/* The gateway's lead is another address from now on: the file is written anew and read again. ca: a
 * file that is trusted for it, or NULL. */
void crew_move_lead(struct crew *c, const char *url, const char *ca);
void crew_stop(struct crew *c);  /* asks all to end */
void crew_close(struct crew *c); /* kills what is left, removes the directory */
/* The child's side of a start: ends the process with the drill, then becomes `hotspare argv[0]...`.
 * Returns an exit code when that is not possible. */
int crew_child_main(int argc, char **argv);
