/* Amazon Bedrock's Converse format, which all chat models of Bedrock speak: the table of its
 * functions. Claude is spoken to in its own words instead (relay/cloud.c). */
#include "dialect/bedrock_converse_internal.h"

const struct dialect dialect_bedrock_converse = {
    .id = DIALECT_BEDROCK_CONVERSE,
    .name = "bedrock-converse",
    .path = "/converse",
    .write_request = bc_write_request,
    .reader_new = bc_reader_new,
    .read_event = bc_read_event,
    .read_eof = bc_read_eof,
    .read_whole = bc_read_whole,
    .read_error = dialect_read_error,
    .write_error = oc_write_error, /* for drills: in a form that every reader of ours takes */
};
