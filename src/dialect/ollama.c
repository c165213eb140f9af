/* Ollama's own chat format: the table of its functions. */
#include "dialect/ollama_internal.h"

const struct dialect dialect_ollama = {
    .id = DIALECT_OLLAMA,
    .name = "ollama-chat",
    .path = "/api/chat",
    .lines = true,
    .write_request = ol_write_request,
    .reader_new = ol_reader_new,
    .read_event = ol_read_event,
    .read_eof = ol_read_eof,
    .read_whole = ol_read_whole,
    .read_error = dialect_read_error,
    .write_error = oc_write_error, /* for drills: in a form that every reader of ours takes */
};
