/* Anthropic Messages: the table of its functions. The wire is described in protocols.md section 1,
 * the translation in section 5; each file of the dialect says which part it does. */
#include "dialect/anthropic_internal.h"

const struct dialect dialect_anthropic = {
    .id = DIALECT_ANTHROPIC,
    .claude_api = true,
    .name = ANTHROPIC_NAME,
    .path = "/v1/messages",
    .read_request = anthropic_read_request,
    .write_request = anthropic_write_request,
    .reader_new = anthropic_reader_new,
    .read_event = anthropic_read_event,
    .read_eof = anthropic_read_eof,
    .read_whole = anthropic_read_whole,
    .read_error = dialect_read_error,
    .writer_new = anthropic_writer_new,
    .write_event = anthropic_write_event,
    .write_ping = anthropic_write_ping,
    .write_error = anthropic_write_error,
};

const struct dialect dialect_count_tokens = {
    .id = DIALECT_COUNT_TOKENS,
    .claude_api = true,
    .name = "anthropic-count-tokens",
    .path = "/v1/messages/count_tokens",
    .read_request = anthropic_read_request,
    .read_error = dialect_read_error,
    .write_error = anthropic_write_error,
};
