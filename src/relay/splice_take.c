/* Going on in the middle: what the next target says, as the client gets it.
 *
 * Its START and prompt are not the client's business, its first text goes on in the client's open
 * block, its thinking is left out when text has been given (nothing may think behind the answer,
 * and a signature made for a prompt with our turn in it would be refused later). Output tokens add
 * up; those of a dead leg that nobody told are estimated.
 *
 * Text goes through two sieves while the joint is being made: seam.c drops what the client has
 * already, stops.c looks for a stop sequence of which the client has the beginning. Behind them it
 * passes as it comes. A block is opened by its first text that is given, so that a target with
 * nothing to add leaves no trace. */
#include "base/log.h"
#include "relay/exchange_internal.h"

/* ---- the joint ---- */

/* Stop sequences that the delivered text, of the block that goes on, ends with the beginning of. */
static struct stops *open_stops(struct exchange *x)
{
    const struct chat_text_list *list = &x->canonical.stop;
    const struct ledger *l = &x->ledger;
    if (list->count == 0 || !x->splice.text_open)
        return NULL;
    struct span *plain = arena_array(x->arena, struct span, list->count);
    for (size_t i = 0; i < list->count; i++)
        plain[i] = list->at[i].escaped ? json_unescape(list->at[i].at, x->arena) : list->at[i].at;
    struct span given = splice_whole_characters(span_drop(buf_span(&l->text), l->text_from));
    return stops_new(x->arena, plain, list->count, json_unescape(given, x->arena));
}

void splice_prepare(struct exchange *x, bool in_words)
{
    struct splice *s = &x->splice;
    s->in_words = in_words;
    s->learns = in_words && (s->asked_in_words & BIT(x->attempt.index));
    s->in_text = s->dropping = false;
    s->drop_thinking = x->ledger.text.len > 0;
    s->text_open = ledger_is_open(&x->ledger, CHAT_TEXT);
    s->stopped = s->closing = s->arrived = false;
    s->said = 0;
    s->seam = NULL;
    s->stops = open_stops(x);
    x->splices.in_words = in_words;
    bool claude = x->attempt.dialect->id == DIALECT_ANTHROPIC;
    struct seam_how how = {.in_words = in_words, .blanks_cut = claude};
    if (x->ledger.text.len > 0)
        s->seam = seam_new(x->arena, json_unescape(buf_span(&x->ledger.text), x->arena), how);
}

/* Refused in one form and answered in the other: that is no accident. */
static void learn_from_refusal(struct exchange *x)
{
    if (!x->splice.learns)
        return;
    x->splice.learns = false;
    exchange_learn(x, x->attempt.link, LEARNED_NO_PREFILL);
}

/* ---- the target's events ---- */

static void give(struct exchange *x, const struct chat_event *e)
{
    attempt_deliver(x, e);
}

static void close_open_text(struct exchange *x)
{
    if (x->splice.text_open)
        give(x, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP});
    x->splice.text_open = false;
}

static void tell_moved(struct exchange *x, struct span model)
{
    struct relay *relay = x->relay;
    if (!relay->on_moved || x->route->links[x->last.link].target == x->attempt.link->target)
        return;
    const struct exchange_move move = {.from = x->route->links[x->last.link].target->name,
                                       .to = x->attempt.link->target->name,
                                       .model = model,
                                       .cause = x->last.cause};
    relay->on_moved(relay->ctx, x->request, &move);
}

/* Before the first thing this target gives: where another model begins, a client that asked for it
 * is told with a block of its own, so that the text before it ends and a new one begins. */
static void arrive(struct exchange *x)
{
    struct splice *s = &x->splice;
    struct span to = splice_model(x, x->attempt.link);
    if (s->arrived)
        return;
    s->arrived = true;
    tell_moved(x, to);
    if (s->marks && !span_eq(s->from, to)) {
        close_open_text(x);
        give(x, &(struct chat_event){.type = CHAT_EV_BLOCK_START,
                                     .block_type = CHAT_OTHER,
                                     .name = CHAT_TEXT_LIT(DIALECT_FALLBACK),
                                     .raw = dialect_fallback_block(x->arena, s->from, to)});
        give(x, &(struct chat_event){.type = CHAT_EV_BLOCK_STOP, .block_type = CHAT_OTHER});
    }
    s->from = to;
}

static void open_text(struct exchange *x)
{
    arrive(x);
    if (x->splice.text_open)
        return;
    x->splice.text_open = true;
    give(x, &(struct chat_event){.type = CHAT_EV_BLOCK_START, .block_type = CHAT_TEXT});
}

static void give_text(struct exchange *x, struct chat_text text)
{
    if (chat_text_empty(text))
        return;
    open_text(x);
    give(x, &(struct chat_event){.type = CHAT_EV_DELTA, .block_type = CHAT_TEXT, .text = text});
}

/* Tokens of this leg, of a target that cannot be asked any more. */
static int64_t output_so_far(const struct exchange *x)
{
    const struct splice *s = &x->splice;
    uint64_t guess = (s->said + SPLICE_BYTES_PER_TOKEN - 1) / SPLICE_BYTES_PER_TOKEN;
    int64_t all = s->output_before + (int64_t)guess, told = x->ledger.usage.output;
    return told > all ? told : all;
}

/* The client's stop sequence is complete across the cut: the answer ends here. Its first half is
 * with the client and stays; of the rest nothing is given. The attempt is ended by who reads it. */
static void stop_here(struct exchange *x, size_t which)
{
    struct splice *s = &x->splice;
    struct chat_usage usage = CHAT_USAGE_UNKNOWN;
    usage.output = output_so_far(x);
    close_open_text(x);
    s->in_text = false;
    give(x, &(struct chat_event){.type = CHAT_EV_USAGE, .usage = usage});
    give(x, &(struct chat_event){.type = CHAT_EV_FINISH,
                                 .stop = CHAT_STOP_SEQUENCE,
                                 .stop_sequence = x->canonical.stop.at[which]});
    give(x, &(struct chat_event){.type = CHAT_EV_END});
    s->stopped = x->attempt.ended = true;
}

/* What is in `joined` is new text. over: the target's text ends with it. */
static void give_joined(struct exchange *x, enum err e, bool over)
{
    struct splice *s = &x->splice;
    size_t hit = STOPS_NONE;
    if (s->stops && e == ERR_OK) {
        e = stops_feed(s->stops, &s->joined);
        if (over && e == ERR_OK && !stops_settled(s->stops))
            e = stops_end(s->stops, &s->joined);
        hit = stops_hit(s->stops);
        if (stops_settled(s->stops))
            s->stops = NULL;
    }
    if (e != ERR_OK)
        x->writer_full = true;
    give_text(x, (struct chat_text){buf_span(&s->joined), false});
    buf_reset(&s->joined);
    if (hit != STOPS_NONE)
        stop_here(x, hit);
}

/* What the seam still holds is new after all. */
static void end_seam(struct exchange *x, bool over)
{
    struct splice *s = &x->splice;
    enum err e = ERR_OK;
    if (s->seam) {
        e = seam_end(s->seam, &s->joined);
        x->splices.seam = seam_report(s->seam);
        s->seam = NULL;
    }
    give_joined(x, e, over);
}

static void close_text(struct exchange *x)
{
    struct splice *s = &x->splice;
    if (s->stopped)
        return;
    if (s->in_text && (s->seam || s->stops))
        end_seam(x, true);
    if (s->stopped)
        return;
    s->in_text = false;
    close_open_text(x);
}

static void take_block_start(struct exchange *x, const struct chat_event *e)
{
    struct splice *s = &x->splice;
    bool thinks = e->block_type == CHAT_THINKING || e->block_type == CHAT_REDACTED_THINKING;
    if (thinks && s->drop_thinking) {
        s->dropping = true;
    } else if (e->block_type == CHAT_TEXT) {
        s->in_text = true;
    } else {
        close_text(x);
        s->seam = NULL; /* text behind another block begins by itself */
        s->stops = NULL;
        if (s->stopped)
            return;
        arrive(x);
        give(x, e);
    }
}

static void take_text(struct exchange *x, const struct chat_event *e)
{
    struct splice *s = &x->splice;
    if (!s->seam && !s->stops) {
        give_text(x, e->text);
        return;
    }
    struct span plain = e->text.escaped ? json_unescape(e->text.at, x->arena) : e->text.at;
    enum err err = s->seam ? seam_feed(s->seam, plain, &s->joined) : buf_add(&s->joined, plain);
    if (err == ERR_OK && s->seam && seam_settled(s->seam))
        end_seam(x, false);
    else
        give_joined(x, err, false);
}

/* What the joint holds back is judged with the next event, which may tell more. */
static void take_block_stop(struct exchange *x, const struct chat_event *e)
{
    struct splice *s = &x->splice;
    if (!s->in_text)
        give(x, e);
    else if (s->seam || s->stops)
        s->closing = true;
    else
        close_text(x);
}

/* A target that retold what the client has may have stopped at the very sequence in which the lead
 * was cut: its text is a repetition when it is read with that sequence, which it does not say. */
static void end_seam_at(struct exchange *x, struct chat_text sequence)
{
    struct splice *s = &x->splice;
    struct span plain = sequence.escaped ? json_unescape(sequence.at, x->arena) : sequence.at;
    enum err e = seam_feed(s->seam, plain, &s->joined);
    if (e == ERR_OK)
        e = seam_end(s->seam, &s->joined);
    x->splices.seam = seam_report(s->seam);
    s->seam = NULL;
    buf_truncate(&s->joined, s->joined.len > plain.len ? s->joined.len - plain.len : 0);
    give_joined(x, e, true);
}

static void close_waiting(struct exchange *x, const struct chat_event *next)
{
    struct splice *s = &x->splice;
    if (!s->closing || next->type == CHAT_EV_USAGE || next->type == CHAT_EV_PING)
        return;
    s->closing = false;
    if (next->type == CHAT_EV_FINISH && next->stop == CHAT_STOP_SEQUENCE && s->seam)
        end_seam_at(x, next->stop_sequence);
    close_text(x);
}

/* The prompt is the first target's. Where that died before it told (chat targets tell at their end)
 * it is this one's, without the text it was shown beside it. */
static struct chat_usage prompt_of(const struct exchange *x, const struct chat_usage *told)
{
    struct chat_usage u = CHAT_USAGE_UNKNOWN;
    if (x->ledger.usage.input >= 0 || told->input < 0)
        return u;
    int64_t shown = x->ledger.text.len > 0 ? x->splice.output_before : 0;
    u.input = told->input > shown ? told->input - shown : 0;
    u.cache_read = told->cache_read;
    u.cache_write = told->cache_write;
    return u;
}

static void take_prompt(struct exchange *x, const struct chat_usage *told)
{
    struct chat_usage prompt = prompt_of(x, told);
    if (prompt.input >= 0)
        give(x, &(struct chat_event){.type = CHAT_EV_USAGE, .usage = prompt});
}

static void take_usage(struct exchange *x, const struct chat_event *e)
{
    struct chat_event told = *e;
    told.type = CHAT_EV_USAGE;
    told.usage = prompt_of(x, &e->usage);
    if (e->usage.output >= 0)
        told.usage.output = e->usage.output + x->splice.output_before;
    give(x, &told);
}

void splice_take(struct exchange *x, const struct chat_event *e)
{
    struct splice *s = &x->splice;
    if (!s->stopped)
        close_waiting(x, e);
    if (s->stopped)
        return;
    if (e->type == CHAT_EV_DELTA)
        s->said += e->text.at.len;
    if (ledger_is_content(e)) { /* of whatever kind: a sign of life */
        attempt_content(x);
        learn_from_refusal(x);
    }
    if (s->dropping && e->type != CHAT_EV_USAGE) {
        s->dropping = e->type != CHAT_EV_BLOCK_STOP;
        return;
    }
    switch (e->type) {
    case CHAT_EV_START:
        take_prompt(x, &e->usage);
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
        take_block_stop(x, e);
        return;
    case CHAT_EV_FINISH:
        close_text(x);
        if (!s->stopped)
            give(x, e);
        return;
    case CHAT_EV_CITATION:
        if (s->in_text)
            open_text(x);
        give(x, e);
        return;
    case CHAT_EV_SIGNATURE:
    case CHAT_EV_ITEM_STOP:
    case CHAT_EV_END:
    case CHAT_EV_ERROR:
    case CHAT_EV_PING:
        give(x, e);
        return;
    }
}
