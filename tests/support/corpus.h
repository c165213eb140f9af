#pragma once
/* Recorded exchanges: enumerates a protocol's folders and loads their files.
 *
 * The corpus is not part of the repository. HOTSPARE_CORPUS names the folder that holds `corpus/`;
 * tests skip, saying so, when corpus_there() is false. */
#include "base/arena.h"

bool corpus_there(void);

struct corpus_item { /* spans live as long as the arena */
    const char *id;  /* folder name: "openai--pydantic--...--0" */
    char tier;       /* 'A' or 'B' */
    int status;
    bool streamed;             /* response is an event stream */
    bool framed;               /* ... of AWS: response.bin */
    bool lines;                /* ... of lines: response.ndjson */
    struct span request;       /* empty when there is none (tier B) */
    struct span response;      /* empty when there is none of .json, .sse, .bin, .ndjson */
    const char *response_file; /* NULL when there is none */
    struct span meta;
};
struct corpus {
    struct corpus_item *items; /* in order of id */
    size_t count;
};
/* protocol: "anthropic-messages". Nothing found gives count 0. */
struct corpus corpus_open(struct arena *a, const char *protocol);

/* The protocols there are recordings of: all that lies in corpus/ but the index,
 * the licences and the README. */
const char **corpus_protocols(struct arena *a, size_t *out_count);
/* A file of a recording that corpus_open did not load; NULL: it loaded all. */
const char *corpus_unread_file(struct arena *a, const char *protocol,
                               const struct corpus_item *item);
