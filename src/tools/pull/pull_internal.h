#pragma once
/* What the files of `hotspare pull` share. */
#include "local/licence.h"
#include "tools/pull/part.h"

#define PULL_NAMES_MAX 64u /* --file, as often */

struct pull {
    struct arena arena;
    struct facts facts;
    struct web web;
    struct progress progress;
    /* as asked for */
    const char *model, *dir, *revision, *sha256, *catalogue;
    const char *names[PULL_NAMES_MAX];
    size_t name_count;
    struct use use;
    bool accept, replace, dry_run, json, help;
    /* the environment's */
    const char *endpoint, *token;
    /* found */
    struct hub_ref ref;
    const char *id;
    const struct fact_licence *licence; /* NULL: not known */
    bool from_card;                     /* the hub's card says so, not our table */
    struct licence_verdict verdict;
    struct hub_model hub;
    struct hub_choice choice;
};

/* The model's licence by our table, or by the card's word. False: not known. */
bool pull_licence_known(struct pull *p);
bool pull_licence_of_card(struct pull *p);
/* Shows it and the verdict, on stderr. False: forbidden, and not accepted. */
bool pull_licence_show(struct pull *p);
/* The document of --json, which is also kept beside the files. In `to`. */
void pull_json(const struct pull *p, struct buf *to);
