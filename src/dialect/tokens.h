#pragma once
/* How many tokens a request will be, near enough to know whether it fits a target.
 *
 * An estimate: the targets' tokenizers are not ours to run. One scan splits text as byte-pair
 * tokenizers do before they merge and gives each part its usual price (tokens.c has the table and
 * where it comes from). How far it is off is measured beside the counts that providers told in the
 * recorded corpus, by tests/unit/dialect/test_fit_corpus.c, which prints it; tokens.c quotes it.
 * Pure; one pass, no allocation. */
#include "chat/chat.h"
#include "dialect/capability.h"

/* Fixed figures, for what cannot be seen from here. */
#define TOKENS_IMAGE                                                                               \
    1600 /* Claude's most for one picture: 1,568 pixels on the longer side / 750                   \
          */
#define TOKENS_PDF_PAGE 3000         /* Claude: 1,500 to 3,000 of text a page, and its picture */
#define TOKENS_PDF_PAGE_BASE64 65536 /* pages cannot be counted: one for each 64 KiB begun */
#define TOKENS_AUDIO 1000            /* under two minutes at OpenAI's 10 a second */
#define TOKENS_PLACEHOLDER 20        /* what stands for a picture the target cannot take */

int64_t tokens_of_text(struct chat_text t, const struct capability *cap);
/* Raw JSON is text, too. */
int64_t tokens_of_json(struct span raw, const struct capability *cap);
/* One block as it would go to such a target. */
int64_t tokens_of_block(const struct chat_block *b, const struct capability *cap);
/* The whole prompt: system, turns, tools, output format, and what the provider adds for tools. */
int64_t tokens_of_request(const struct chat_request *r, const struct capability *cap);
/* A bound that is cheap: no text is looked at. body_bytes: of the request as it came; no token is
 * less than a byte, and what is linked instead of sent is counted. */
int64_t tokens_at_most(const struct chat_request *r, const struct capability *cap,
                       size_t body_bytes);
