/* Legacy text completions (/v1/completions) as a door: a text prompt becomes one user message, and
 * what a chat-speaking target answers comes back as `text`. A target that has this door itself
 * (capability.text_completions) gets the body as it is, and all of it means what it says there.
 *
 * Only what that can honestly mean is accepted. Token prompts, several prompts, suffix, echo and
 * best_of need a completion engine and are refused by name; logprobs are left out and said. */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

#define MAX_TOKENS_DEFAULT 16 /* OpenAI's */

static enum err refuse(struct oc_reading *c, const char *param, const char *text)
{
    return problem(c->a, c->problem, ERR_INVALID, span_from(param), "%s", text);
}

static enum err read_prompt(struct oc_reading *c, struct json v)
{
    if (json_is(v, JSON_ARRAY) && json_len(v) == 1)
        v = json_at(v, 0);
    else if (json_is(v, JSON_ARRAY) && json_is(json_at(v, 0), JSON_STRING))
        return refuse(c, "prompt",
                      "Several prompts in one request are not supported here: send "
                      "one request each.");
    if (!json_is(v, JSON_STRING))
        return refuse(c, "prompt",
                      "Only a text prompt is supported here: a string, or an array "
                      "of one string. Prompts of tokens are not.");
    struct chat_message *m = oc_message_new(c, CHAT_USER);
    m->was_string = true;
    if (json_str(v).len)
        oc_block_new(c, CHAT_TEXT)->text = text_of(v);
    return ERR_OK;
}

static enum err read_suffix(struct oc_reading *c, struct json v)
{
    if (json_str(v).len == 0 && json_is(v, JSON_STRING))
        return ERR_OK;
    return refuse(c, "suffix", "suffix is not supported here: the target answers chats.");
}

static enum err read_echo(struct oc_reading *c, struct json v)
{
    if (json_is(v, JSON_FALSE))
        return ERR_OK;
    return refuse(c, "echo", "echo is not supported here: the prompt is yours already.");
}

static enum err read_best_of(struct oc_reading *c, struct json v)
{
    int64_t n;
    if (json_i64(v, &n) == ERR_OK && n <= 1)
        return ERR_OK;
    return refuse(c, "best_of", "best_of above 1 is not supported here.");
}

static enum err read_one(struct oc_reading *c, struct json v)
{
    int64_t n;
    if (json_i64(v, &n) == ERR_OK && n == 1)
        return ERR_OK;
    return refuse(c, "n", "n other than 1 is not supported here: send one request each.");
}

static const struct oc_field fields[] = {
    {"prompt", read_prompt},   {"suffix", read_suffix}, {"echo", read_echo},
    {"best_of", read_best_of}, {"n", read_one},         {NULL, NULL},
};

static enum err read_request(struct arena *a, const struct json_doc *doc, struct chat_request *out,
                             struct chat_problem *out_problem)
{
    struct oc_reading c;
    oc_reading_init(&c, a, out, out_problem);
    out->origin = dialect_completions.name;
    out->max_tokens = MAX_TOKENS_DEFAULT;
    struct json root = json_root(doc);
    if (!json_is(root, JSON_OBJECT))
        return refuse(&c, "", "The body is a JSON object.");
    for (struct json m = json_first(root); json_present(m); m = json_next(root, m)) {
        enum err e = oc_read_member(&c, fields, m);
        if (e != ERR_OK)
            return e;
    }
    if (!out->messages)
        return refuse(&c, "prompt", "prompt is missing.");
    return oc_read_finish(&c);
}

static struct reply_writer *writer_new(struct arena *a, const struct writer_options *o, bool stream,
                                       struct buf *to)
{
    return oc_answer_new(a, o, stream, to, OC_TEXT);
}

const struct dialect dialect_completions = {
    .id = DIALECT_COMPLETIONS,
    .name = "openai-completions",
    .path = "/completions",
    .read_request = read_request,
    .write_request = oc_write_request,
    .reader_new = oc_reader_new,
    .read_event = oc_read_event,
    .read_eof = oc_read_eof,
    .read_whole = oc_read_whole,
    .read_error = dialect_read_error,
    .writer_new = writer_new,
    .write_event = oc_write_event,
    .write_ping = oc_write_ping,
    .write_error = oc_write_error,
};
