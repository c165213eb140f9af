#pragma once
/* Shared by cause.c (what happened) and cause_wait.c (how long the provider asks us to wait).
 * Nobody else includes it. */
#include "relay/cause.h"

/* Microseconds the head asks for, bounded by CAUSE_WAIT_MAX; 0 = it does not say. The rate limit
 * headers come with every answer and are believed only when `limited`. */
usec cause_wait(const struct http_head *head, bool limited, usec wall_now);

#define CAUSE_WAIT_MAX ((usec)24 * 3600 * USEC_PER_SEC)
