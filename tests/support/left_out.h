#pragma once
/* The recordings that cannot be translated, each by name and with its reason: what may be left out
 * of a test, and nothing else may. */
#include "dialect/dialect.h"

struct left_out {
    const char *id; /* its beginning */
    const char *why;
    const struct dialect *only; /* towards this dialect; NULL: any */
};

/* Why the request of recording `id` must be refused on its way to `to` (or by its own door, to
 * NULL); NULL: it must go through. */
const char *left_out_request(const char *id, const struct dialect *to);
/* The same for its answer, on its way to a client of `to`; to NULL: the recording holds no answer
 * to what we ask at all. */
const char *left_out_answer(const char *id, const struct dialect *to);

bool left_out_names(const struct left_out *row, const char *id);
/* Row n of all lists, NULL behind the last: so that a row that names nothing can be found. */
const struct left_out *left_out_at(size_t n);
