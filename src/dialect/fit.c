/* The estimate (tokens.c) may be off either way, so there are three answers:
 *
 *        0                     context / 1.1         context / 0.8
 *        |---- it fits ---------------|--- in doubt ---------|---- it does not ---->   estimate
 *
 * What is above the first mark is repaired until it is below. What cannot be brought there, but is
 * below the second mark, is sent as well as it can be: a target that finds it too long says so, and
 * the next one is asked; to be refused by us for a wrong estimate would be worse. (An answer's room
 * is taken from the context first.)
 *
 * Shortening works on a copy of the list of messages; blocks that stay as they are are shared. */
#include "dialect/fit.h"

#include "base/span.h"
#include "dialect/dialect_internal.h"
#include "dialect/tokens.h"

#define SHORT_BY_AT_MOST(tokens) ((tokens) + (tokens) / 10)
#define LONG_BY_AT_MOST(tokens) ((tokens) - (tokens) / 5)
#define MARK_LEAST 200 /* characters: leaving out fewer is not worth the mark */

/* ---- shortening one text ---- */

static size_t char_count(struct chat_text t)
{
    size_t count = 0;
    for (struct span rest = t.at; rest.len > 0; count++)
        rest = span_drop(rest, text_char_len(rest, t.escaped));
    return count;
}

/* Where character `index` begins. */
static size_t char_at(struct chat_text t, size_t index)
{
    struct span rest = t.at;
    for (size_t i = 0; i < index; i++)
        rest = span_drop(rest, text_char_len(rest, t.escaped));
    return t.at.len - rest.len;
}

/* Its head and its tail, `keep` characters together, and a mark between them. False: it is short
 * enough. */
static bool shorten(struct arena *a, struct chat_text t, size_t keep, struct chat_text *out)
{
    if (t.at.len <= keep + MARK_LEAST)
        return false;
    size_t count = char_count(t);
    if (count <= keep + MARK_LEAST)
        return false;
    size_t tail = keep / 3, head = keep - tail;
    const char *line = t.escaped ? "\\n" : "\n";
    *out = (struct chat_text){
        arena_printf(a,
                     "%.*s%s[... %zu characters left out here: the whole was too long for this "
                     "model ...]%s%.*s",
                     SPAN_FMT(span_take(t.at, char_at(t, head))), line, count - keep, line,
                     SPAN_FMT(span_drop(t.at, char_at(t, count - tail)))),
        t.escaped};
    return true;
}

/* ---- shortening a request ---- */

struct repair {
    struct arena *a;
    const struct capability *cap;
    int64_t tokens, enough; /* of the request by now; where to stop */
    size_t keep;
    bool any;
};

static struct chat_block *copy_block(struct repair *p, const struct chat_block *b)
{
    struct chat_block *copy = arena_new(p->a, struct chat_block);
    *copy = *b;
    return copy;
}

/* A tool result with its long texts shortened; NULL: it has none. */
static struct chat_block *short_result(struct repair *p, const struct chat_block *b)
{
    bool any = false;
    struct chat_block *first = NULL, **tail = &first;
    for (const struct chat_block *c = b->content; c; c = c->next) {
        struct chat_block *copy = copy_block(p, c);
        if (c->type == CHAT_TEXT && shorten(p->a, c->text, p->keep, &copy->text)) {
            copy->raw = SPAN_EMPTY;
            any = true;
        }
        *tail = copy;
        tail = &copy->next;
    }
    if (!any)
        return NULL;
    struct chat_block *copy = copy_block(p, b);
    copy->content = first;
    copy->raw = SPAN_EMPTY; /* nobody writes it as it came */
    return copy;
}

/* now: m's blocks as they are by now, beside the original ones: each time it is the original that
 * is shortened. */
static struct chat_block *short_blocks(struct repair *p, const struct chat_block *original,
                                       const struct chat_block *now)
{
    struct chat_block *first = NULL, **tail = &first;
    for (; original; original = original->next, now = now->next) {
        struct chat_block *b = NULL;
        if (p->tokens > p->enough && original->type == CHAT_TOOL_RESULT)
            b = short_result(p, original);
        if (b) {
            p->tokens -= tokens_of_block(now, p->cap) - tokens_of_block(b, p->cap);
            p->any = true;
        } else {
            b = copy_block(p, now);
        }
        b->next = NULL;
        *tail = b;
        tail = &b->next;
    }
    return first;
}

/* The first message of the newest turn: what the user said, or the results that came back, last. */
static const struct chat_message *newest_turn(const struct chat_request *r)
{
    const struct chat_message *turn = NULL;
    bool behind_assistant = true;
    for (const struct chat_message *m = r->messages; m; m = m->next) {
        if (m->role == CHAT_USER && behind_assistant)
            turn = m;
        behind_assistant = m->role == CHAT_ASSISTANT || (behind_assistant && m->role != CHAT_USER);
    }
    return turn;
}

static struct chat_request *copy_request(struct arena *a, const struct chat_request *r)
{
    struct chat_request *copy = arena_new(a, struct chat_request);
    *copy = *r;
    struct chat_message **tail = &copy->messages;
    for (const struct chat_message *m = r->messages; m; m = m->next) {
        struct chat_message *one = arena_new(a, struct chat_message);
        *one = *m;
        *tail = one;
        tail = &one->next;
    }
    return copy;
}

/* Until it is `enough`, or nothing is left to shorten. */
static void shorten_results(struct repair *p, const struct chat_request *r,
                            struct chat_request *copy)
{
    static const size_t keeps[] = {FIT_KEEP, FIT_KEEP_LEAST};
    const struct chat_message *end = newest_turn(r);
    for (size_t i = 0; i < ARRAY_LEN(keeps); i++) {
        p->keep = keeps[i];
        struct chat_message *now = copy->messages;
        for (const struct chat_message *m = r->messages; m != end && p->tokens > p->enough;
             m = m->next, now = now->next)
            if (m->role == CHAT_USER)
                now->blocks = short_blocks(p, m->blocks, now->blocks);
    }
}

/* ---- the verdict ---- */

/* -1: the request leaves it to the target. */
static int64_t output_wanted(const struct chat_request *r, const struct capability *cap)
{
    bool above = cap->max_output > 0 && r->max_tokens > cap->max_output;
    return above ? cap->max_output : r->max_tokens;
}

static enum err too_long(struct arena *a, const struct capability *cap, int64_t tokens,
                         int64_t least, struct chat_problem *out)
{
    *out = (struct chat_problem){
        .context = cap->context,
        .text = arena_printf(a,
                             "prompt is too long: %lld tokens > %lld maximum (estimated; of %lld "
                             "tokens of context %lld are kept for the answer)",
                             (long long)tokens, (long long)(cap->context - least),
                             (long long)cap->context, (long long)least)};
    return ERR_UNSUPPORTED;
}

/* The answer gets what is left. */
static void lower_output(struct arena *a, int64_t wanted, int64_t room, struct fit *out)
{
    if (wanted <= room)
        return;
    struct chat_request *copy = arena_new(a, struct chat_request);
    *copy = *out->request;
    copy->max_tokens = room;
    out->request = copy;
    lossy_add(&out->lossy, LOSSY_MAX_TOKENS);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

enum err fit_request(struct arena *a, const struct chat_request *r, const struct capability *cap,
                     size_t body_bytes, struct fit *out, struct chat_problem *out_problem)
{
    *out = (struct fit){.request = r};
    int64_t wanted = output_wanted(r, cap), least = FIT_OUTPUT_LEAST;
    if (wanted != r->max_tokens)
        lossy_add(&out->lossy, LOSSY_MAX_TOKENS); /* the writers lower it */
    if (least > cap->context / 4)
        least = cap->context / 4;
    if (wanted >= 0 && wanted < least)
        least = wanted;
    int64_t room = cap->context - larger(wanted, least); /* for the prompt */
    if (cap->context == 0 || tokens_at_most(r, cap, body_bytes) <= room)
        return ERR_OK;

    out->tokens = tokens_of_request(r, cap);
    room = cap->context - least;
    if (SHORT_BY_AT_MOST(out->tokens) > room) {
        struct chat_request *copy = copy_request(a, r);
        struct repair p = {.a = a, .cap = cap, .tokens = out->tokens, .enough = room * 10 / 11};
        shorten_results(&p, r, copy);
        out->tokens = p.tokens;
        if (p.any) {
            out->request = copy;
            lossy_add(&out->lossy, LOSSY_TOOL_RESULT_SHORTENED);
        }
    }
    if (LONG_BY_AT_MOST(out->tokens) > room)
        return too_long(a, cap, out->tokens, least, out_problem);
    if (SHORT_BY_AT_MOST(out->tokens) > room && cap->cuts_prompt)
        return too_long(a, cap, SHORT_BY_AT_MOST(out->tokens), least, out_problem);
    lower_output(a, wanted, larger(cap->context - SHORT_BY_AT_MOST(out->tokens), least), out);
    return ERR_OK;
}
