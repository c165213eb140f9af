#pragma once
/* What a target can carry for a model: what is presumed of its kind, and over it what a probe found
 * there. Pure. */
#include "dialect/probed.h"

struct relay_target;

/* What is presumed: of its kind, and of its host. model: plain. */
struct capability capable_presumed(const struct relay_target *t, struct span model);
/* ... and over it what a probe found. */
struct capability capable_of(const struct relay_target *t, struct span model);
/* What was found out by a probe; NULL: that model was not probed there. */
const struct probed *capable_probed(const struct relay_target *t, struct span model);
/* A body of the target's own dialect (Messages, or one of OpenAI's) may ask for what a probe found
 * missing: it is written anew instead of passed on byte for byte. */
bool capable_narrows(const struct relay_target *t, struct span model, bool messages);
