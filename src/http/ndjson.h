#pragma once
/* Reader of application/x-ndjson: a stream of lines, each a JSON value, as Ollama gives. Pure, fed,
 * resumes at any byte; what a line says is the business of who reads it. */
#include "base/buf.h"

struct ndjson {      /* embed it; private to ndjson.c */
    struct buf held; /* the line so far, when it came in parts */
    size_t max_bytes;
    bool given, failed;
};

/* max_bytes: of one line. */
void ndjson_init(struct ndjson *n, size_t max_bytes);
void ndjson_deinit(struct ndjson *n);

/* Reads until one line that is not blank is complete or `in` is used up. ERR_OK with *out_line,
 * without its line end (borrowed until the next call, from `in` or from n); ERR_AGAIN when all of
 * `in` was used; ERR_LIMIT: longer than max_bytes, and every later call fails, too. */
MUST_USE enum err ndjson_next(struct ndjson *n, struct span in, size_t *out_used,
                              struct span *out_line);
/* A last line without its end; "" when there is none. */
struct span ndjson_rest(const struct ndjson *n);
