#pragma once
/* Engines that others start (vllm, llama.cpp, ollama without `start`): while the breaker of one is
 * open its health endpoint is asked, each second. One that was seen to be away, or loading, and
 * answers again may be tried at once instead of when the breaker's time is over.
 *
 * Health never closes a breaker: only an answer does. One that is healthy all the while and fails
 * requests all the same waits its time. Main thread. */
#include "net/net.h"

struct health;
struct service;

struct health *health_new(struct loop *l, struct service *s);
void health_free(struct health *h);
