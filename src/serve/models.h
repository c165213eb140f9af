#pragma once
/* GET /v1/models[/{id}]: the names this gateway answers, in either API's form, and who stands
 * behind each.
 *
 * Pure: from the configuration alone; asks no target. */
#include "serve/config.h"

struct models_fault {
    int status;
    struct span text;
};

/* The list, or the one model `id` (as it stands in the path; empty: the list). query: of the URL;
 * limit, after_id and before_id page the list in Anthropic's form.
 *
 * True: *out_body is the answer, in `a`. False: *out_fault says what the caller did wrong. */
bool models_answer(const struct config *c, bool claude, struct span id, struct span query,
                   struct arena *a, struct span *out_body, struct models_fault *out_fault);

/* The first name of the list; NULL: it is empty. */
const char *models_default(const struct config *c);
