#pragma once
/* A model given as a file: config.json, GGUF or safetensors, with all shards of it. Maps files and
 * leaves reading to src/local. */
#include "local/facts.h"

/* Does `name` look like a file of a kind that is read here? */
bool model_file_is(const char *name);
/* The model a file holds. Texts lie in `a`. On error *out_why is a sentence. *out_note: something a
 * person should know although it worked (a download that is cut), or "". */
MUST_USE enum err model_file_read(const struct facts *f, const char *path, struct arena *a,
                                  struct fact_model *out, const char **out_why,
                                  const char **out_note);
