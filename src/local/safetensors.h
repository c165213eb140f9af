#pragma once
/* Safetensors header reader: bytes by part and number type, summed exactly.
 *
 * Pure: fed with the bytes of a file, usually a mapping. The header is JSON behind eight bytes of
 * length. Source: the format's README ("Format": at most 100 MB of header, offsets from its end).
 */
#include "local/facts.h"

#define SAFETENSORS_HEADER_MAX ((uint64_t)100000000)

struct safetensors {
    uint64_t tensors;
    double elements_embed, elements_dense, elements_expert;
    double embed, dense, expert; /* bytes */
    double token_embd;
    char main_type[16]; /* "BF16", "F8_E4M3": of most bytes */
    uint64_t data_bytes;
    bool cut; /* the file ends before its tensors do */
};
/* ERR_SYNTAX or ERR_LIMIT with a sentence in *out_why (static or in the arena). */
MUST_USE enum err safetensors_read(struct arena *a, struct span file, struct safetensors *out,
                                   const char **out_why);
