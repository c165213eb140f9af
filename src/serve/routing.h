#pragma once
/* A snapshot made ready for one loop: targets with the origins of its pool, routes with their
 * breakers. And the relay that asks for them.
 *
 * Requests hold a reference for their life, so a reload never pulls a target from under an
 * exchange. Thread: the loop's. */
#include "relay/exchange.h"
#include "serve/service.h"

struct routing;

struct routing *routing_new(struct snapshot *s, struct loop *l,
                            struct pool *pool); /* takes the snapshot reference */
void routing_unref(struct routing *r);
struct routing *routing_ref(struct routing *r);
/* The target at this place of the configuration; never NULL. */
const struct relay_target *routing_target(const struct routing *r, size_t index);
/* ... and as a chain that names `model` (plain) there speaks to it: Gemini at a Vertex target. */
const struct relay_target *routing_target_for(const struct routing *r, size_t index,
                                              const char *model);
const struct relay_route *routing_find(struct routing *r, struct span model);
struct snapshot *routing_snapshot(const struct routing *r);
/* For requests that may leave it out: the first that the configuration names; raw, or empty. */
struct span routing_default_model(const struct routing *r);

/* A relay with what all loops of the service share. Its callbacks are the caller's to set, and
 * relay_init is to be called. */
struct relay routing_relay(struct service *s, struct loop *l, struct pool *pool);
/* Deadlines and what else of the configuration is the relay's. */
void routing_apply(const struct routing *r, struct relay *relay);
