#pragma once
/* config.json of a published model: its shape becomes the planner's figures.
 *
 * Pure: fed with text. Knows dense, grouped, latent (MLA), sliding-window and linear attention and
 * mixtures of experts by the names the transformers library gives them. */
#include "local/facts.h"

/* dtype of a model whose quantization has no row in quants.tsv. */
#define HF_CONFIG_UNKNOWN_FORMAT "not known"

/* Texts of *out lie in `a`. ERR_SYNTAX (not JSON), ERR_INVALID (something a plan needs is missing
 * or absurd) or ERR_LIMIT, with a sentence in *out_why (static or in `a`). */
MUST_USE enum err hf_config_read(struct arena *a, struct span text, struct fact_model *out,
                                 const char **out_why);
