/* Google's generateContent, as an upstream only: nobody asks us in these words. The model's name
 * and whether to stream stand in the path (relay/cloud.c), not in the body. */
#include "dialect/gemini_internal.h"

const struct dialect dialect_gemini = {
    .id = DIALECT_GEMINI,
    .name = "gemini",
    .path = "/models/",
    .write_request = gemini_write_request,
    .reader_new = gemini_reader_new,
    .read_event = gemini_read_event,
    .read_eof = gemini_read_eof,
    .read_whole = gemini_read_whole,
    .read_error = dialect_read_error,
    .write_error = oc_write_error, /* for drills: in a form that every reader of ours takes */
};
