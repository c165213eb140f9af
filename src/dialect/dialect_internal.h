#pragma once
/* What the dialects' own files share: texts in either form, refusals with a path, tool inputs and
 * ids, inline media, error bodies.
 *
 * Read by src/dialect/ only. Pure like the rest of the layer. */
#include "dialect/capability.h"
#include "dialect/dialect.h"
#include "json/json_write.h"

/* ---- texts ---- */

/* The content of a JSON string, escapes kept; empty for any other type. */
struct chat_text text_of(struct json v);
/* As a JSON string; as a part between jw_str_begin and jw_str_end. */
void jw_text(struct json_out *w, struct chat_text t);
void jw_text_part(struct json_out *w, struct chat_text t);
/* Decoded UTF-8; borrows when there is nothing to decode. */
struct span text_plain(struct arena *a, struct chat_text t);
bool text_is(struct chat_text t, const char *plain);
bool text_eq(struct chat_text x, struct chat_text y);
bool text_blank(struct chat_text t); /* nothing but white space, or nothing */
/* One character of escaped content at *i, as UTF-8 (or one byte of it). Returns its length; 0: cut
 * off. The escapes are whole and valid but for a pair of surrogates, which two pieces may share. */
size_t text_next_char(struct span s, size_t *i, char out[4]);
/* Bytes of the character at the front of s, which is not empty: an escape is one, a surrogate pair
 * written as two escapes as well. Where a text may be cut. */
size_t text_char_len(struct span s, bool escaped);
/* Without the white space at its end; an escaped text may end in \n as two bytes. */
struct chat_text text_rtrim(struct chat_text t);
static inline struct chat_text text_raw(struct span content)
{
    return (struct chat_text){content, true};
}
static inline struct chat_text text_from_plain(struct span plain)
{
    return (struct chat_text){plain, false};
}

/* ---- refusals ---- */

/* Fills *out (param: where, as the caller wrote it; then the sentence) and returns `e`, so that a
 * reader can `return problem(...)`. */
MUST_USE enum err problem(struct arena *a, struct chat_problem *out, enum err e, struct span param,
                          const char *format, ...) PRINTF_LIKE(5, 6);

/* ---- fields without a place ---- */

/* Keeps a member of the body as an extra. A name with a dot is a member of an object the model
 * knows in part: the Anthropic door leaves "thinking.display", "output_config.task_budget",
 * "metadata.NAME". */
void extra_add(struct arena *a, struct chat_request *r, struct span name, struct span value);
/* What it means to leave an extra out: a name of the lossy vocabulary, or NULL where nothing is
 * lost (null, and values that ask for what happens anyway, such as "logprobs": false). */
const char *extra_lossy(const struct chat_extra *e);

/* ---- tools ---- */

/* The key an input that is no JSON object is wrapped under, so that nothing of it is lost. */
#define UNPARSED_INPUT_KEY "unparsed_input"

enum tool_input { TOOL_INPUT_OBJECT, TOOL_INPUT_EMPTY, TOOL_INPUT_BROKEN };
/* Looks at a tool input. OBJECT: *out is its JSON text (transplant it). EMPTY: nothing or blanks,
 * means {}; *out is "{}". BROKEN: not JSON or no object; *out is the plain text as it came. */
enum tool_input tool_input_json(struct arena *a, struct chat_text input, struct span *out);
/* Writes the input as a JSON value: the object, {}, or wrapped. Returns false when it was wrapped.
 */
bool jw_tool_input(struct json_out *w, struct arena *a, struct chat_text input);

/* ---- free-text tools, as functions (free_text.c) ---- */

#define FREE_TEXT_MAX ((size_t)8 << 20) /* bytes of one call */
#define FREE_TEXT_SCHEMA                                                                           \
    "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"                       \
    "\"required\":[\"input\"],\"additionalProperties\":false}"

bool tool_is_free_text(const struct chat_tool *t);
/* The free-text tool of this name that was asked for; NULL: none. r may be NULL. */
const struct chat_tool *free_text_tool(const struct chat_request *r, struct chat_text name);
/* What it is for, with the grammar in words. */
struct chat_text free_text_description(struct arena *a, const struct chat_tool *t);
/* {"input": text}, in `a`. */
struct span free_text_wrap(struct arena *a, struct chat_text input);

struct free_text { /* unwraps one call; embed it */
    int state;
    size_t matched;       /* of what stands before the text */
    struct buf held, out; /* held: what is not (yet) known to be the text */
    char escape[6], half[6];
    size_t escape_len, half_len;
};
void free_text_init(struct free_text *f);
void free_text_deinit(struct free_text *f);
/* A piece of the call's JSON, as chat_block.input has it. *out: what of the text is new, valid
 * until the next call; may be empty. */
MUST_USE enum err free_text_feed(struct free_text *f, struct chat_text piece,
                                 struct chat_text *out);
/* No piece will come: what was not in the usual form, in `a`; usually empty. */
struct chat_text free_text_end(struct free_text *f, struct arena *a);

/* An id of [a-zA-Z0-9_-]+: itself when it fits, else "toolu_" and a hash of its decoded bytes, the
 * same for the same id everywhere. */
struct chat_text tool_id_fit(struct arena *a, struct chat_text id);

/* ---- inline media ---- */

/* "data:image/png;base64,AAAA": fills *out (BASE64) with slices of the URL. False: no such URL. */
bool data_url_split(struct chat_text url, struct chat_source *out);
/* Media type by the first bytes of a base64 text ("image/png", "application/pdf"), NULL: unknown.
 */
const char *media_sniff(struct span base64);
/* Plain bytes of a base64 text (JSON escape of '/' allowed). ERR_SYNTAX: not base64. */
MUST_USE enum err base64_decode(struct arena *a, struct span base64, struct span *out);

/* ---- errors ---- */

/* dialect.read_error of every dialect: reads every provider's envelope (protocols.md 2.5), HTML and
 * plain text. status 0 (inside a stream) or below 400 (a 200 that holds an error): it is taken from
 * the error itself. */
void dialect_read_error(struct arena *a, int status, struct span body, struct chat_error *out);
/* The same from an indexed value: the whole envelope. */
void dialect_error_from_json(struct arena *a, int status, struct json envelope,
                             struct chat_error *out);
/* The status that goes with an error type word ("overloaded_error" -> 529); 0 when unknown. */
int dialect_type_status(struct span type);
