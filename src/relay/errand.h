#pragma once
/* Requests whose answer is no conversation, relayed whole: vectors of texts (/v1/embeddings) and a
 * count of tokens (/v1/messages/count_tokens).
 *
 * The little brother of exchange.h: same targets, routes, deadlines and report, but the client's
 * bytes go to one target and its answer comes back as it was. Nothing streams, nothing is gone on
 * with. */
#include "relay/exchange.h"

/* Both take the request over: it will be answered, whatever happens. client_key as exchange_start
 * has it.
 *
 * Embeddings go to the first target of the chain that speaks OpenAI's API. Another is asked only
 * where it is asked for the same model: vectors of different models cannot be compared, and a
 * client that stores them would never know. */
void errand_embeddings(struct relay *relay, struct request *r, const char *client_key);
/* The target that would answer this request now counts its tokens: Claude's own API, vLLM and
 * llama.cpp have a door for that. Otherwise, and when that door fails, the count is estimated
 * (dialect/tokens.h) and x-hotspare-lossy says `token_count`. */
void errand_count_tokens(struct relay *relay, struct request *r, const char *client_key);
/* The server's on_gone for a request given to one of them. */
void errand_client_gone(struct request *r);
