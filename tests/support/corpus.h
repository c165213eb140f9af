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
    bool streamed;        /* response is an event stream */
    bool framed;          /* ... of AWS: response.bin */
    struct span request;  /* empty when there is none (tier B) */
    struct span response; /* empty when there is none of .json, .sse, .bin */
    struct span meta;
};
struct corpus {
    struct corpus_item *items; /* in order of id */
    size_t count;
};
/* protocol: "anthropic-messages". Nothing found gives count 0. */
struct corpus corpus_open(struct arena *a, const char *protocol);
