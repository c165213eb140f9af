/* Going on in the middle: an answer that has begun, and whose target is gone, is finished by the
 * next.
 *
 * What the client has is in the ledger. Where it stands decides:
 *
 *   finished, only the end is missing    the end is written: the target itself told why it stopped
 *   behind a complete tool call          the turn ends there; the client runs it and asks again
 *   in a tool call                       its events were held back: nothing of it was given, and
 * the next target starts that step afresh in a text, or behind one             the next target goes
 * on from the exact text (its request ends in an assistant message with it), joined by seam.c in a
 * thinking block                  it is closed, signed by nobody; the next target starts at the
 *                                        answer
 *   in a structured output, a refusal,   nobody can go on: an honest error
 *   a tool call too large to hold,
 *   several choices, logprobs
 *
 * The client's stream is one message throughout. The writer of its dialect is put where the stream
 * stands by writing the story so far once more, shortened, into nothing: START, each block with one
 * letter in it. So a writer can take over behind bytes that passed through, and no writer knows of
 * splices. What the target then says passes splice_take.c. */
#include "relay/exchange_internal.h"

#define HOLD_TOOL_MAX                                                                              \
    ((size_t)192 << 10) /* less than what may be held before the first content                     \
                         */
#define JOINED_MAX ((size_t)16 << 20)
#define OUTPUT_LEFT_MIN 16

/* ---- may it go on? ---- */

bool splice_possible(const struct exchange *x)
{
    const struct ledger *l = &x->ledger;
    return x->stream && !x->error_told && !l->text_full && !l->refused &&
           l->block_count <= LEDGER_BLOCKS_MAX;
}

static bool asks_for_logprobs(const struct exchange *x)
{
    return json_true(json_get(json_root(&x->doc), "logprobs"));
}

/* Needs the canonical request. */
static bool request_allows(const struct exchange *x)
{
    const struct chat_request *r = &x->canonical;
    bool structured = r->format == CHAT_FORMAT_JSON || r->format == CHAT_FORMAT_SCHEMA;
    return r->choices <= 1 && !asks_for_logprobs(x) && !(structured && x->ledger.text.len > 0);
}

/* Of the open block only text and thinking can be left as they are. */
static bool block_allows(const struct exchange *x)
{
    return !x->ledger.last.open || ledger_is_open(&x->ledger, CHAT_TEXT) ||
           ledger_is_open(&x->ledger, CHAT_THINKING);
}

/* ---- the writer, put where the stream stands ---- */

static void retell(struct exchange *x, const struct chat_event *e)
{
    if (x->door->write_event(x->writer, e) != ERR_OK)
        x->writer_full = true;
}

/* What was said in it; a letter where nobody kept that, since the last event does not say it again.
 */
static void retell_block(struct exchange *x, size_t index, bool open)
{
    enum chat_block_type type = (enum chat_block_type)(x->ledger.blocks[index] & LEDGER_TYPE);
    bool last = index + 1 == x->ledger.block_count;
    bool opened = type == CHAT_TEXT || type == CHAT_THINKING || type == CHAT_TOOL_USE ||
                  type == CHAT_SERVER_TOOL_USE || (x->ledger.keep && type == CHAT_REFUSAL);
    struct chat_text id = CHAT_TEXT_LIT("x"), name = id, content = id;
    bool kept = ledger_said(&x->ledger, index, &id, &name, &content);
    retell(x, &(struct chat_event){.type = CHAT_EV_BLOCK_START,
                                   .block_type = type,
                                   .id = id,
                                   .name = name,
                                   .text = opened ? (struct chat_text){0} : content,
                                   .raw = opened                   ? SPAN_EMPTY
                                          : kept && content.at.len ? content.at
                                                                   : SPAN("{}"),
                                   .custom = last && x->ledger.last.custom});
    if (x->ledger.blocks[index] & LEDGER_PART)
        retell(x, &(struct chat_event){.type = CHAT_EV_DELTA, .part = true});
    if (opened && content.at.len)
        retell(x, &(struct chat_event){.type = CHAT_EV_DELTA, .text = content});
    if (!open)
        retell(x, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
}

static void retell_all(struct exchange *x)
{
    const struct ledger *l = &x->ledger;
    uint64_t sequence = l->sequence; /* the numbers of what was sent are gone */
    answer_writer_new(x);
    retell(x, &(struct chat_event){.type = CHAT_EV_START, .usage = l->usage});
    for (size_t i = 0; i < l->block_count; i++) {
        bool last = i + 1 == l->block_count, open = last && l->last.open;
        bool unseen = open ? !l->last.raw && l->last.bytes == 0 : l->blocks[i] & LEDGER_UNSEEN;
        if (!unseen)
            retell_block(x, i, open);
        else if (open) /* announced, as it is */
            retell(x,
                   &(struct chat_event){.type = CHAT_EV_BLOCK_START, .block_type = l->last.type});
    }
    if (l->last.done)
        retell(x, &(struct chat_event){.type = CHAT_EV_ITEM_STOP});
    buf_reset(&x->out); /* the client has had all this */
    x->ledger.sequence = sequence;
    x->ledger.raw = x->attempt.passthrough = false; /* from here on the writer speaks */
}

/* ---- ends that need nobody ---- */

static void finish_ok(struct exchange *x)
{
    x->splices.count++;
    answer_flush(x);
    exchange_finish(x, OUTCOME_OK);
}

/* The turn ends with the tool calls that were given. */
static void end_with_tools(struct exchange *x)
{
    retell_all(x);
    if (x->ledger.last.open)
        attempt_deliver(x, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
    attempt_deliver(x, &(struct chat_event){.type = CHAT_EV_FINISH, .stop = CHAT_STOP_TOOL_USE});
    attempt_deliver(x, &(struct chat_event){.type = CHAT_EV_END});
    finish_ok(x);
}

/* The last event of what is in x->out stays. */
static void keep_last_event(struct exchange *x)
{
    size_t at = x->out.len > 2 ? x->out.len - 2 : 0;
    while (at >= 2 && !(x->out.at[at - 1] == '\n' && x->out.at[at - 2] == '\n'))
        at--;
    buf_consume(&x->out, at < 2 ? 0 : at);
}

/* The target told why it stopped; the stream lacks its end only. Messages tells the reason with the
 * end, so where we write, both are due; a chat client had it before, but not its usage. Where bytes
 * passed through, the client has all but the last event. */
static void end_finished(struct exchange *x)
{
    bool raw = x->ledger.raw;
    enum chat_stop stop = x->ledger.stop;
    retell_all(x);
    uint64_t sequence = x->ledger.sequence;
    retell(x, &(struct chat_event){.type = CHAT_EV_FINISH, .stop = stop});
    if (x->door->id != DIALECT_ANTHROPIC) {
        buf_reset(&x->out);
        x->ledger.sequence = sequence;
    }
    retell(x, &(struct chat_event){.type = CHAT_EV_END});
    if (raw)
        keep_last_event(x);
    finish_ok(x);
}

/* ---- beginning ---- */

static int64_t delivered_tokens(const struct exchange *x)
{
    int64_t guess = (int64_t)(x->ledger.text.len / SPLICE_BYTES_PER_TOKEN),
            told = x->ledger.usage.output;
    return told > guess ? told : guess;
}

static void free_joined(void *object)
{
    buf_deinit(&((struct splice *)object)->joined);
}

/* Only a client that says so knows what to do with a block of this type. */
static bool client_takes_marks(const struct exchange *x)
{
    const struct http_head *head = request_head(x->request);
    for (size_t i = 0; x->door->id == DIALECT_ANTHROPIC && i < head->field_count; i++)
        if (span_iis(head->fields[i].name, "anthropic-beta") &&
            dialect_beta_has_fallback(head->fields[i].value))
            return true;
    return false;
}

static void enter(struct exchange *x)
{
    struct splice *s = &x->splice;
    if (!s->active) {
        s->active = true;
        s->marks = client_takes_marks(x);
        s->from = splice_model(x, x->attempt.link);
        buf_init(&s->joined, JOINED_MAX);
        arena_on_free(x->arena, free_joined, s);
    }
    s->text_open = ledger_is_open(&x->ledger, CHAT_TEXT);
    s->in_text = s->dropping = false;
    s->seam = NULL;
    s->output_before = delivered_tokens(x);
    x->splices.count++;
    x->state = EX_IDLE;
}

/* A chat target tells why it stopped before its last mark: one that died between the two had
 * finished. Its reader knows, and tells the end. */
static bool had_finished(struct exchange *x)
{
    struct attempt *at = &x->attempt;
    if (x->ledger.finished || !at->streaming)
        return x->ledger.finished;
    if (at->dialect->read_eof(at->reader) != ERR_OK || !x->ledger.finished)
        return false;
    x->hold.on = false;
    return true;
}

bool splice_begin(struct exchange *x)
{
    x->holding = false;
    if (had_finished(x) && x->ledger.ended && !x->ledger.raw) { /* the writer has written it */
        finish_ok(x);
        return true;
    }
    answer_flush(x);
    (void)splice_let_go(x);
    buf_reset(&x->out);
    struct chat_problem ignored = {0};
    if (!splice_possible(x) || x->writer_full)
        return false;
    if (exchange_read(x, &ignored) != ERR_OK)
        return false;
    if (x->ledger.finished) {
        end_finished(x);
        return true;
    }
    if (!block_allows(x))
        return false;
    if (x->ledger.tool_calls > 0) {
        end_with_tools(x);
        return true;
    }
    if (!request_allows(x))
        return false;
    retell_all(x);
    if (ledger_is_open(&x->ledger, CHAT_THINKING)) {
        attempt_deliver(x, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
        answer_flush(x);
    }
    enter(x);
    exchange_go_on(x);
    return true;
}

/* ---- the request ---- */

struct span splice_whole_characters(struct span escaped)
{
    struct span end = escaped.len >= 6 ? span_drop(escaped, escaped.len - 6) : SPAN_EMPTY;
    bool high = span_istarts(end, SPAN("\\ud8")) || span_istarts(end, SPAN("\\ud9")) ||
                span_istarts(end, SPAN("\\uda")) || span_istarts(end, SPAN("\\udb"));
    return high ? span_take(escaped, escaped.len - 6) : escaped;
}

static struct chat_message *copy_messages(struct exchange *x)
{
    struct chat_message *first = NULL, **tail = &first;
    for (const struct chat_message *m = x->canonical.messages; m; m = m->next) {
        struct chat_message *copy = arena_new(x->arena, struct chat_message);
        *copy = *m;
        copy->next = NULL;
        *tail = copy;
        tail = &copy->next;
    }
    return first;
}

static int64_t output_left(const struct exchange *x)
{
    int64_t left = x->canonical.max_tokens - x->splice.output_before;
    return left > OUTPUT_LEFT_MIN ? left : OUTPUT_LEFT_MIN;
}

const struct chat_request *splice_request(struct exchange *x)
{
    if (!x->splice.active)
        return &x->canonical;
    if (!x->splice.request)
        x->splice.request = arena_new(x->arena, struct chat_request);
    struct chat_request *r = x->splice.request;
    *r = x->canonical;
    if (r->max_tokens >= 0)
        r->max_tokens = output_left(x);
    if (x->ledger.text.len == 0)
        return r;
    r->messages = copy_messages(x);
    r->thinking = CHAT_THINKING_UNSET; /* a model that thinks does not go on by itself */
    struct chat_block *text = arena_new(x->arena, struct chat_block);
    struct chat_message *m = arena_new(x->arena, struct chat_message);
    struct span given = arena_copy(x->arena, buf_span(&x->ledger.text));
    *text = (struct chat_block){.type = CHAT_TEXT, .text = {splice_whole_characters(given), true}};
    *m = (struct chat_message){.role = CHAT_ASSISTANT, .blocks = text, .was_string = true};
    CHAT_APPEND(r->messages, m);
    r->message_count++;
    return r;
}

bool splice_ask_in_words(struct exchange *x, const struct failure *f)
{
    struct splice *s = &x->splice;
    bool refused = (f->status == 400 || f->status == 422) &&
                   x->attempt.fault_serial == 0; /* a drill teaches nothing of its target */
    if (!s->active || s->in_words || !refused || x->ledger.text.len == 0 ||
        (s->asked_in_words & BIT(f->link)))
        return false;
    s->asked_in_words |= BIT(f->link);
    return true;
}

struct span splice_model(const struct exchange *x, const struct relay_link *link)
{
    return link->model.len ? link->model : x->model;
}

bool splice_known_to_refuse(const struct exchange *x, size_t link)
{
    const struct relay_link *l = &x->route->links[link];
    struct relay *relay = x->relay;
    return (x->splice.asked_in_words & BIT(link)) ||
           (relay->learned && learned_knows(relay->learned, l->target->name, splice_model(x, l),
                                            LEARNED_NO_PREFILL, loop_wall(relay->loop)));
}

/* ---- tool calls are given whole ---- */

bool splice_let_go(struct exchange *x)
{
    if (!x->hold.on)
        return false;
    ledger_rewind(&x->ledger, x->hold.before);
    buf_truncate(&x->out, x->hold.from);
    x->hold.on = false;
    return true;
}

/* The client could do nothing with what it has of the last block: a call without all of its input,
 * a provider's own tool without its result, a block that is whole or nothing. */
static bool ends_in_a_half(const struct exchange *x)
{
    const struct ledger_block *last = &x->ledger.last;
    if (last->type == CHAT_SERVER_TOOL_USE)
        return x->ledger.block_count > 0;
    return last->open && last->type != CHAT_TEXT && last->type != CHAT_THINKING &&
           last->type != CHAT_REFUSAL;
}

static void begin_hold(struct exchange *x, const struct ledger_mark *before, size_t from)
{
    if (!x->hold.before)
        x->hold.before = arena_new(x->arena, struct ledger_mark);
    *x->hold.before = *before;
    x->hold.from = from;
    x->hold.on = true;
}

void splice_hold(struct exchange *x, const struct ledger_mark *before, size_t from)
{
    bool open = ends_in_a_half(x);
    if (!x->hold.on) {
        usec now = x->attempt.last_content;
        if (open && splice_possible(x) && chain_has_other(&x->walk, x->attempt.index, now))
            begin_hold(x, before, from);
        return;
    }
    if (!open || x->out.len - x->hold.from > HOLD_TOOL_MAX)
        x->hold.on = false;
}
