/* OpenAI Responses: the table of its functions. */
#include "dialect/openai_responses_internal.h"

const struct dialect dialect_openai_responses = {
    .id = DIALECT_OPENAI_RESPONSES,
    .name = "openai-responses",
    .path = "/responses",
    .read_request = or_read_request,
    .write_request = or_write_request,
    .reader_new = or_reader_new,
    .read_event = or_read_event,
    .read_eof = or_read_eof,
    .read_whole = or_read_whole,
    .read_error = dialect_read_error,
    .writer_new = or_answer_new,
    .write_event = or_write_event,
    .write_ping = or_write_ping,
    .write_error = or_write_error,
};
