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
 * splices.
 *
 * The target's events then pass splice_take: its START and prompt are not the client's business,
 * its first text goes on in the client's open block, its thinking is left out when text has been
 * given (nothing may think behind the answer, and a signature made for a prompt with our turn in it
 * would be refused later). Output tokens add up; those of a dead leg that nobody told are
 * estimated. */
#include "relay/exchange_internal.h"

#define HOLD_TOOL_MAX                                                                              \
    ((size_t)192 << 10) /* less than what may be held before the first content                     \
                         */
#define JOINED_MAX ((size_t)16 << 20)
#define BYTES_PER_TOKEN 4 /* the usual rule for English; more is told than used for Chinese */
#define OUTPUT_LEFT_MIN 16

/* ---- may it go on? ---- */

static bool is_open(const struct exchange *x, enum chat_block_type type)
{
    return x->ledger.last.open && x->ledger.last.type == type;
}

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
    return !x->ledger.last.open || is_open(x, CHAT_TEXT) || is_open(x, CHAT_THINKING);
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
    enum chat_block_type type = (enum chat_block_type)(x->ledger.blocks[index] & ~LEDGER_UNSEEN);
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
    int64_t guess = (int64_t)(x->ledger.text.len / BYTES_PER_TOKEN), told = x->ledger.usage.output;
    return told > guess ? told : guess;
}

static void free_joined(void *object)
{
    buf_deinit(&((struct splice *)object)->joined);
}

static void enter(struct exchange *x)
{
    struct splice *s = &x->splice;
    if (!s->active) {
        s->active = true;
        buf_init(&s->joined, JOINED_MAX);
        arena_on_free(x->arena, free_joined, s);
    }
    s->text_open = is_open(x, CHAT_TEXT);
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
    if (is_open(x, CHAT_THINKING)) {
        attempt_deliver(x, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
        answer_flush(x);
    }
    enter(x);
    exchange_go_on(x);
    return true;
}

/* ---- the request ---- */

/* Half a surrogate pair at the end of escaped text is nothing a target could go on from. */
static struct span without_half_pair(struct span escaped)
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
    *text = (struct chat_block){.type = CHAT_TEXT, .text = {without_half_pair(given), true}};
    *m = (struct chat_message){.role = CHAT_ASSISTANT, .blocks = text, .was_string = true};
    CHAT_APPEND(r->messages, m);
    r->message_count++;
    return r;
}

void splice_prepare(struct exchange *x, bool in_words)
{
    struct splice *s = &x->splice;
    s->in_words = in_words;
    s->in_text = s->dropping = false;
    s->drop_thinking = x->ledger.text.len > 0;
    s->text_open = is_open(x, CHAT_TEXT);
    s->seam = NULL;
    x->splices.in_words = in_words;
    bool claude = x->attempt.dialect->id == DIALECT_ANTHROPIC;
    struct seam_how how = {.in_words = in_words, .blanks_cut = claude};
    if (x->ledger.text.len > 0)
        s->seam = seam_new(x->arena, json_unescape(buf_span(&x->ledger.text), x->arena), how);
}

bool splice_ask_in_words(struct exchange *x, const struct failure *f)
{
    struct splice *s = &x->splice;
    bool refused = f->status == 400 || f->status == 422;
    if (!s->active || s->in_words || !refused || x->ledger.text.len == 0 ||
        (s->asked_in_words & BIT(f->link)))
        return false;
    s->asked_in_words |= BIT(f->link);
    return true;
}

/* ---- the target's events ---- */

static void give(struct exchange *x, const struct chat_event *e)
{
    attempt_deliver(x, e);
}

static void give_joined(struct exchange *x, enum err e)
{
    struct splice *s = &x->splice;
    if (e != ERR_OK)
        x->writer_full = true;
    if (s->joined.len > 0)
        give(x, &(struct chat_event){.type = CHAT_EV_DELTA, .text = {buf_span(&s->joined), false}});
    buf_reset(&s->joined);
}

/* What the seam still holds is new after all. */
static void end_seam(struct exchange *x)
{
    struct splice *s = &x->splice;
    if (!s->seam)
        return;
    give_joined(x, seam_end(s->seam, &s->joined));
    x->splices.seam = seam_report(s->seam);
    s->seam = NULL;
}

static void open_text(struct exchange *x)
{
    if (x->splice.text_open)
        return;
    x->splice.text_open = true;
    give(x, &(struct chat_event){.type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT});
}

static void close_text(struct exchange *x)
{
    if (x->splice.in_text)
        end_seam(x);
    x->splice.in_text = false;
    if (x->splice.text_open)
        give(x, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
    x->splice.text_open = false;
}

static void take_block_start(struct exchange *x, const struct chat_event *e)
{
    struct splice *s = &x->splice;
    bool thinks = e->block_type == CHAT_THINKING || e->block_type == CHAT_REDACTED_THINKING;
    if (thinks && s->drop_thinking) {
        s->dropping = true;
    } else if (e->block_type == CHAT_TEXT) {
        s->in_text = true;
        open_text(x);
    } else {
        close_text(x);
        s->seam = NULL; /* text behind another block begins by itself */
        give(x, e);
    }
}

static void take_text(struct exchange *x, const struct chat_event *e)
{
    struct splice *s = &x->splice;
    if (!s->seam) {
        give(x, e);
        return;
    }
    struct span plain = e->text.escaped ? json_unescape(e->text.at, x->arena) : e->text.at;
    give_joined(x, seam_feed(s->seam, plain, &s->joined));
    if (seam_settled(s->seam))
        end_seam(x);
}

static void take_usage(struct exchange *x, const struct chat_event *e)
{
    struct chat_event told = *e;
    told.usage = CHAT_USAGE_UNKNOWN; /* the prompt was the first target's */
    if (e->usage.output >= 0)
        told.usage.output = e->usage.output + x->splice.output_before;
    give(x, &told);
}

void splice_take(struct exchange *x, const struct chat_event *e)
{
    struct splice *s = &x->splice;
    if (ledger_is_content(e)) /* of whatever kind: a sign of life */
        attempt_content(x);
    if (s->dropping && e->type != CHAT_EV_USAGE) {
        s->dropping = e->type != CHAT_EV_BLOCK_STOP;
        return;
    }
    switch (e->type) {
    case CHAT_EV_START:
        return;
    case CHAT_EV_USAGE:
        take_usage(x, e);
        return;
    case CHAT_EV_BLOCK_START:
        take_block_start(x, e);
        return;
    case CHAT_EV_DELTA:
        if (s->in_text)
            take_text(x, e);
        else
            give(x, e);
        return;
    case CHAT_EV_BLOCK_STOP:
        if (s->in_text)
            close_text(x);
        else
            give(x, e);
        return;
    case CHAT_EV_FINISH:
        close_text(x);
        give(x, e);
        return;
    case CHAT_EV_SIGNATURE:
    case CHAT_EV_CITATION:
    case CHAT_EV_ITEM_STOP:
    case CHAT_EV_END:
    case CHAT_EV_ERROR:
    case CHAT_EV_PING:
        give(x, e);
        return;
    }
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
