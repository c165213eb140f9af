#pragma once
/* One file of a model: NAME.part grows until it is whole and its checksum right, then it is renamed
 * to NAME. What is under NAME was verified, always. NAME.part.tag keeps what it is a part of.
 *
 * Never leaves its folder, not by a name and not by a symbolic link in it. Knows HTTP's ranges and
 * validators (RFC 9110 sections 13 and 14), nothing of hubs' lists. */
#include "tools/pull/hub.h"
#include "tools/pull/progress.h"
#include "tools/pull/web.h"

enum part_end {
    PART_DONE,
    PART_THERE,   /* it was there, and is right */
    PART_WRONG,   /* checksum or size; or NAME is another file */
    PART_REFUSED, /* the server said no: see refusal */
    PART_FAILED,  /* the network; what came is kept */
    PART_IO,      /* the disk; what came is kept */
    PART_SIGNAL,
};
struct part_job {
    struct web *web;
    struct arena *arena;
    struct progress *progress;
    int folder; /* descriptor of the model's folder */
    const char *url;
    const struct hub_file *file;
    const char *sum; /* 64 or 40 hex digits (hub.h); NULL: X-Linked-Etag must tell */
    bool replace;    /* NAME may be overwritten by the right one */
    /* out */
    uint64_t have;    /* bytes in NAME.part */
    uint64_t fetched; /* bytes that came over the wire, this run */
    struct web_refusal refusal;
    const char *why; /* a sentence; not for PART_DONE, PART_THERE and PART_SIGNAL */
};
enum part_end part_get(struct part_job *j);
/* Bytes of NAME or NAME.part that need not come again, as far as sizes tell. */
uint64_t part_present(int folder, const struct hub_file *f);
