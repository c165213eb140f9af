/* What a target is asked, and what its answers prove.
 *
 * Each feature is asked for natively first, also where its kind is presumed to lack it. Done: it
 * works. Refused or ignored: that is a finding, and the gateway's other way is tried, which is what
 * clients would get. A fact is stored only on evidence: a refusal by itself is none while the other
 * way was not answered (a server may be ill), and an answer is none for what it does not show.
 *
 * What follows from another finding is not asked and not counted again. */
#include "base/span.h"
#include "json/json.h"
#include "tools/probe/probe_internal.h"

#include <math.h>

#define PATIENCE (120 * USEC_PER_SEC)
#define WAIT_DEFAULT (2 * USEC_PER_SEC)
#define WAIT_MOST (20 * USEC_PER_SEC) /* longer than that it is not asked again */
#define RATE_LEAST_TIME (20 * USEC_PER_MS)
#define RATE_LEAST_TOKENS 8
#define ANY_EFFORT (BIT(EFFORT_LOW) | BIT(EFFORT_MEDIUM) | BIT(EFFORT_HIGH))

static const char *const row_names[ROWS] = {
    [ROW_TEXT] = "text",
    [ROW_SYSTEM] = "system",
    [ROW_TURNS] = "multi-turn",
    [ROW_STREAM] = "stream",
    [ROW_STREAM_END] = "stream-end",
    [ROW_STREAM_OPTIONS] = "stream-options",
    [ROW_STREAM_USAGE] = "stream-usage",
    [ROW_TOOLS] = "tools",
    [ROW_TOOL_CALLS] = "tool-calls",
    [ROW_FORCED_TOOL] = "forced-tool",
    [ROW_PARALLEL_TOOLS] = "parallel-tools",
    [ROW_TOOL_RESULTS] = "tool-results",
    [ROW_RESULT_IMAGES] = "tool-result-images",
    [ROW_IMAGES] = "images",
    [ROW_PDF] = "pdf",
    [ROW_SCHEMA] = "json-schema",
    [ROW_STOP] = "stop",
    [ROW_MAX_TOKENS] = "max-tokens",
    [ROW_THINKING] = "thinking",
    [ROW_PREFILL] = "prefill",
    [ROW_CONTEXT] = "long-context",
    [ROW_COUNT_TOKENS] = "count-tokens",
    [ROW_USAGE] = "usage",
    [ROW_ERRORS] = "errors",
    [ROW_LIMITS] = "rate-limits",
    [ROW_FIRST_TOKEN] = "first-token",
    [ROW_SPEED] = "speed",
};

const char *probe_row_name(enum probe_row r)
{
    return row_names[r];
}

const char *probe_state_name(enum probe_state s)
{
    static const char *const names[STATES] = {
        [STATE_SKIPPED] = "skipped",   [STATE_WORKS] = "works",     [STATE_CONVERTED] = "converted",
        [STATE_DEGRADED] = "degraded", [STATE_REFUSED] = "refused", [STATE_BROKEN] = "broken",
        [STATE_UNCLEAR] = "unclear"};
    return names[s];
}

double purse_cost(const struct purse *b, int64_t in, int64_t out)
{
    return b->in_usd ? ((double)in * b->price_in + (double)out * b->price_out) / 1e6
                     : (double)(in + out);
}

/* ---- one conversation's worth of asking ---- */

struct check { /* one door of one probe */
    struct probe *p;
    struct probe_door *d;
    bool facts; /* what is found out here is stored */
    void (*on_row)(void *ctx, const struct probe *p);
    void *ctx;
};

static void say(struct check *k, enum probe_row row, enum probe_state state, bool finding,
                const char *format, ...) PRINTF_LIKE(5, 6);
static void say(struct check *k, enum probe_row row, enum probe_state state, bool finding,
                const char *format, ...)
{
    struct verdict *v = &k->d->rows[row];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(v->why, sizeof v->why, format, args); /* cut where it is too long */
    va_end(args);
    v->state = state;
    v->finding = finding;
    k->on_row(k->ctx, k->p);
}

static void know(struct check *k, enum probed_fact f, bool can)
{
    if (!k->facts)
        return;
    k->p->found.known |= BIT(f);
    if (can)
        k->p->found.can |= BIT(f);
    else
        k->p->found.can &= ~BIT(f);
}

static void spend(struct probe *p, const struct asked *a, int64_t in, int64_t out)
{
    const struct chat_usage *u = &a->usage;
    bool nothing = a->end == ASK_REFUSED || a->end == ASK_UNFIT || a->status == 0;
    if (u->input >= 0)
        in = u->input + (u->cache_read > 0 ? u->cache_read : 0) +
             (u->cache_write > 0 ? u->cache_write : 0);
    if (u->output >= 0)
        out = u->output;
    if (nothing) /* providers do not charge for it */
        in = out = 0;
    p->spent_in += in;
    p->spent_out += out;
    if (!p->budget->free)
        p->budget->spent += purse_cost(p->budget, in, out);
}

static void refuse_by_cap(struct asked *out)
{
    *out = (struct asked){.end = ASK_FAILED, .first = -1, .usage = CHAT_USAGE_UNKNOWN};
    buf_init(&out->text, 1);
    (void)snprintf(out->why, sizeof out->why, "not asked: the spend cap is reached");
}

static bool is_busy(const struct asked *a)
{
    return a->end == ASK_REFUSED &&
           (a->cause == CAUSE_RATE_LIMITED || a->cause == CAUSE_OVERLOADED || a->status == 503);
}

/* Its access token was refused: the next call fetches another. */
static bool lost_its_token(const struct probe *p, const struct asked *a)
{
    return a->status == 401 && p->target->cloud && p->target->cloud->token;
}

/* Asks, once more where the target is busy and says for how long, or where its token had run out.
 */
static void ask_kindly(struct probe *p, const struct ask_order *o, struct asked *out)
{
    ask(p->asker, o, out);
    p->calls++;
    usec wait = out->retry_after > 0 ? out->retry_after : WAIT_DEFAULT;
    bool token = lost_its_token(p, out);
    if (!token && (!is_busy(out) || wait > WAIT_MOST))
        return;
    asked_deinit(out);
    if (!token)
        ask_wait(p->asker, wait);
    ask(p->asker, o, out);
    p->calls++;
}

static void try_call(struct check *k, enum probe_call c, const struct capability *cap, bool stream,
                     struct asked *out)
{
    struct probe *p = k->p;
    struct arena a;
    int64_t in, most;
    arena_init(&a, (size_t)32 << 20);
    struct chat_request *r = call_request(&a, c, p->context);
    call_most(r, cap, &in, &most);
    r->stream = stream;
    if (!p->budget->free && p->budget->spent + purse_cost(p->budget, in, most) > p->budget->cap) {
        refuse_by_cap(out);
    } else {
        struct ask_order o = {.target = p->target,
                              .dialect = k->d->dialect,
                              .path = k->d->path,
                              .model = p->raw_model,
                              .request = r,
                              .cap = cap,
                              .stream = stream,
                              .patience = PATIENCE};
        ask_kindly(p, &o, out);
        spend(p, out, in, most);
    }
    if (out->limits[0])
        memcpy(p->limits, out->limits, sizeof p->limits);
    arena_deinit(&a);
}

static void try_raw(struct check *k, struct span path, struct span body, struct asked *out)
{
    struct ask_order o = {.target = k->p->target,
                          .dialect = k->d->dialect,
                          .path = path,
                          .model = k->p->raw_model,
                          .raw = body,
                          .patience = PATIENCE};
    ask_kindly(k->p, &o, out);
}

/* ---- reading answers ---- */

/* A refusal of what was asked, not of asking: neither a busy target nor a wrong key. */
static bool is_refusal(const struct asked *a)
{
    return a->end == ASK_REFUSED &&
           (a->cause == CAUSE_CALLER_FAULT || a->cause == CAUSE_UNKNOWN_4XX ||
            a->cause == CAUSE_CONTEXT_EXCEEDED || a->cause == CAUSE_THINKING_REFUSED);
}

/* Some servers say 500 to what they cannot do: proof only beside an answer to the other way. */
static bool may_be_refusal(const struct asked *a)
{
    return is_refusal(a) || (a->end == ASK_REFUSED && (a->status == 500 || a->status == 501));
}

static bool has_word(const struct asked *a, const char *word)
{
    return span_isearch(buf_span(&a->text), span_from(word)) >= 0;
}

/* The number of the next numbered word ("w12") from *rest on; 0: there is none. */
static uint64_t next_number(struct span *rest)
{
    while (rest->len > 0) {
        ssize_t at = span_find(*rest, 'w');
        if (at < 0)
            break;
        *rest = span_drop(*rest, (size_t)at + 1);
        size_t len = 0;
        while (len < rest->len && rest->at[len] >= '0' && rest->at[len] <= '9')
            len++;
        uint64_t n;
        if (len > 0 && span_u64(span_take(*rest, len), &n) == ERR_OK)
            return n;
    }
    *rest = SPAN_EMPTY;
    return 0;
}

static uint64_t count_numbers(const struct asked *a)
{
    struct span rest = buf_span(&a->text);
    uint64_t count = 0;
    while (next_number(&rest) > 0)
        count++;
    return count;
}

static bool has_number(const struct asked *a, uint64_t wanted)
{
    struct span rest = buf_span(&a->text);
    uint64_t n;
    while ((n = next_number(&rest)) > 0)
        if (n == wanted)
            return true;
    return false;
}

static bool is_object(const struct asked *a)
{
    struct arena arena;
    struct json_doc doc;
    arena_init(&arena, (size_t)4 << 20);
    bool good = json_parse(&arena, span_trim(buf_span(&a->text)), NULL, &doc, NULL) == ERR_OK &&
                json_is(json_root(&doc), JSON_OBJECT);
    arena_deinit(&arena);
    return good;
}

static const char *status_text(const struct asked *a, char text[16])
{
    text[0] = '\0';
    if (a->status)
        (void)snprintf(text, 16, "%d: ", a->status);
    return text;
}

/* What our writer did to it: carried another way, or with a loss. */
static enum probe_state state_of_lossy(const struct lossy *l)
{
    static const char *const harmless[] = {LOSSY_PREFILL, LOSSY_TOOL_RESULT_IMAGE,
                                           LOSSY_SYSTEM_ORDER, LOSSY_FIRST_TURN};
    enum probe_state state = l->count ? STATE_CONVERTED : STATE_WORKS;
    for (size_t i = 0; i < l->count; i++) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(harmless); k++)
            known |= strcmp(l->names[i], harmless[k]) == 0;
        if (!known)
            state = STATE_DEGRADED;
    }
    return state;
}

/* ---- a feature: natively, then the gateway's other way ---- */

enum proof {
    PROOF_SEEN,     /* the answer shows it */
    PROOF_ACCEPTED, /* nothing speaks against it */
    PROOF_IGNORED,
    PROOF_NONE /* the answer shows nothing */
};

struct feature {
    enum probe_row row;
    enum probed_fact fact;
    enum probe_call call;
    enum proof (*prove)(const struct asked *a);
    const char *seen, *accepted, *ignored; /* sentences */
    bool other_proves;                     /* the other way is to show it, too */
};

static void say_other_way(struct check *k, const struct feature *f, const struct asked *native,
                          const struct asked *other, const char *what)
{
    char lossy[160], status[16];
    bool did =
        other->end == ASK_ANSWERED && (!f->other_proves || f->prove(other) <= PROOF_ACCEPTED);
    lossy_format(&other->lossy, lossy, sizeof lossy);
    bool refused = native->end == ASK_REFUSED;
    if (refused && !is_refusal(native) && other->end != ASK_ANSWERED) {
        say(k, f->row, STATE_UNCLEAR, false, "%s%s", status_text(native, status), native->why);
        return;
    }
    know(k, f->fact, false);
    if (did && (refused || f->other_proves))
        say(k, f->row, state_of_lossy(&other->lossy), true, "%s%s; it is asked another way%s%s",
            refused ? status_text(native, status) : "", what, lossy[0] ? ": " : "", lossy);
    else
        say(k, f->row, refused ? STATE_REFUSED : STATE_BROKEN, true, "%s%s%s%s",
            refused ? status_text(native, status) : "", what,
            other->end == ASK_UNFIT ? "; the gateway asks another target" : "",
            !refused && lossy[0] ? "; once this is stored the gateway leaves it out and says so"
                                 : "");
}

/* False: the answer to it proves a lack. */
static bool prove_native(struct check *k, const struct feature *f, const struct asked *a)
{
    char status[16];
    if (a->end == ASK_ANSWERED) {
        enum proof proof = f->prove(a);
        if (proof == PROOF_IGNORED)
            return false;
        if (proof == PROOF_SEEN &&
            f->fact != PROBED_THINKING) /* which of its forms, a preset says */
            know(k, f->fact, true);
        if (proof == PROOF_NONE)
            say(k, f->row, STATE_UNCLEAR, false, "its answer shows neither");
        else
            say(k, f->row, STATE_WORKS, false, "%s", proof == PROOF_SEEN ? f->seen : f->accepted);
        return true;
    }
    if (may_be_refusal(a))
        return false;
    say(k, f->row, a->end == ASK_BROKEN ? STATE_BROKEN : STATE_UNCLEAR, a->end == ASK_BROKEN,
        "%s%s", status_text(a, status), a->why);
    return true;
}

static void check_feature(struct check *k, const struct feature *f, const struct capability *native,
                          const struct capability *without)
{
    struct asked a, other;
    try_call(k, f->call, native, false, &a);
    if (!prove_native(k, f, &a)) {
        try_call(k, f->call, without, false, &other);
        say_other_way(k, f, &a, &other, a.end == ASK_ANSWERED ? f->ignored : a.why);
        asked_deinit(&other);
    }
    asked_deinit(&a);
}

static enum proof prove_colour(const struct asked *a)
{
    return has_word(a, CALL_COLOUR) ? PROOF_SEEN : PROOF_ACCEPTED;
}

static enum proof prove_word(const struct asked *a)
{
    return has_word(a, CALL_WORD) ? PROOF_SEEN : PROOF_ACCEPTED;
}

static enum proof prove_object(const struct asked *a)
{
    if (a->stop == CHAT_STOP_MAX_TOKENS)
        return PROOF_NONE;
    return is_object(a) ? PROOF_SEEN : PROOF_IGNORED;
}

static enum proof prove_stop(const struct asked *a)
{
    if (has_number(a, CALL_STOP_AT))
        return PROOF_IGNORED;
    return has_number(a, CALL_STOP_AT - 1) ? PROOF_SEEN : PROOF_NONE;
}

static enum proof prove_prefill(const struct asked *a)
{
    struct span rest = buf_span(&a->text);
    uint64_t first = next_number(&rest);
    if (first == CALL_SAID + 1)
        return PROOF_SEEN;
    return first == 1 ? PROOF_IGNORED : PROOF_NONE;
}

static enum proof prove_call(const struct asked *a)
{
    return a->calls > 0 ? PROOF_SEEN : PROOF_IGNORED;
}

static enum proof prove_thought(const struct asked *a)
{
    return a->thought || a->usage.reasoning > 0 ? PROOF_SEEN : PROOF_ACCEPTED;
}

/* The target as presumed, and two copies: with one flag set, and with it cleared. */
#define WITH_AND_WITHOUT(k, flag)                                                                  \
    struct capability native = (k)->p->presumed, without = (k)->p->presumed;                       \
    native.flag = true;                                                                            \
    without.flag = false

static void check_images(struct check *k)
{
    static const struct feature f = {.row = ROW_IMAGES,
                                     .fact = PROBED_IMAGES,
                                     .call = CALL_IMAGE,
                                     .prove = prove_colour,
                                     .seen = "the picture's colour was named",
                                     .accepted =
                                         "accepted; its answer does not name the picture's colour"};
    WITH_AND_WITHOUT(k, images);
    check_feature(k, &f, &native, &without);
}

static void check_pdf(struct check *k)
{
    static const struct feature f = {
        .row = ROW_PDF,
        .fact = PROBED_PDF,
        .call = CALL_PDF,
        .prove = prove_word,
        .seen = "the word in the document was named",
        .accepted = "accepted; its answer does not name the word in the document"};
    WITH_AND_WITHOUT(k, pdf);
    check_feature(k, &f, &native, &without);
}

static void check_schema(struct check *k)
{
    static const struct feature f = {.row = ROW_SCHEMA,
                                     .fact = PROBED_JSON_SCHEMA,
                                     .call = CALL_SCHEMA,
                                     .prove = prove_object,
                                     .seen = "an object came",
                                     .ignored = "ignored: the answer is no JSON object",
                                     .other_proves = true};
    WITH_AND_WITHOUT(k, json_schema);
    check_feature(k, &f, &native, &without);
}

static void check_stop(struct check *k)
{
    static const struct feature f = {.row = ROW_STOP,
                                     .fact = PROBED_STOP,
                                     .call = CALL_STOP,
                                     .prove = prove_stop,
                                     .seen = "the answer ended there",
                                     .ignored = "ignored: the answer goes on"};
    WITH_AND_WITHOUT(k, stop);
    if (k->d->dialect->id == DIALECT_OPENAI_RESPONSES) {
        say(k, ROW_STOP, STATE_DEGRADED, false,
            "this format has none: the gateway ends the answer there, and says so");
        return;
    }
    check_feature(k, &f, &native, &without);
}

static void check_prefill(struct check *k)
{
    static const struct feature f = {.row = ROW_PREFILL,
                                     .fact = PROBED_PREFILL,
                                     .call = CALL_PREFILL,
                                     .prove = prove_prefill,
                                     .seen = "the answer went on with what was said",
                                     .ignored = "ignored: the answer begins anew"};
    WITH_AND_WITHOUT(k, prefill);
    check_feature(k, &f, &native, &without);
}

static void check_forced(struct check *k)
{
    static const struct feature f = {.row = ROW_FORCED_TOOL,
                                     .fact = PROBED_FORCED_TOOL,
                                     .call = CALL_FORCED,
                                     .prove = prove_call,
                                     .seen = "a call was made",
                                     .ignored = "ignored: no call was made"};
    WITH_AND_WITHOUT(k, forced_tool);
    check_feature(k, &f, &native, &without);
}

/* Thinking has as many forms as formats; what one of them proves is said of all. */
static void check_thinking(struct check *k)
{
    bool messages = k->d->dialect->id == DIALECT_ANTHROPIC;
    bool adaptive = k->p->presumed.thinking_adaptive && !k->p->presumed.thinking_budget;
    const struct feature f = {.row = ROW_THINKING,
                              .fact = messages ? PROBED_THINKING : PROBED_EFFORT,
                              .call = messages && adaptive ? CALL_THINKING_ADAPTIVE : CALL_THINKING,
                              .prove = prove_thought,
                              .seen = "it thought",
                              .accepted = "accepted; no thinking was shown"};
    struct capability native = k->p->presumed, without = k->p->presumed;
    native.reasoning_effort = true;
    native.efforts = native.efforts ? native.efforts : ANY_EFFORT;
    if (adaptive)
        native.thinking_adaptive = true;
    else
        native.thinking_budget = true;
    without.reasoning_effort = without.thinking_adaptive = without.thinking_budget = false;
    check_feature(k, &f, &native, &without);
}

/* ---- what is asked in one way only ---- */

/* word: that a good answer holds; NULL: any. */
static void say_plain(struct check *k, enum probe_row row, const struct asked *a, const char *word)
{
    char status[16], lossy[160];
    lossy_format(&a->lossy, lossy, sizeof lossy);
    if (a->end == ASK_ANSWERED)
        say(k, row, state_of_lossy(&a->lossy), false, "%s%s",
            lossy[0]                     ? "carried another way: "
            : word && !has_word(a, word) ? "accepted; its answer does not show that it was read"
                                         : "",
            lossy);
    else if (a->end == ASK_UNFIT)
        say(k, row, STATE_REFUSED, false, "%s", a->why);
    else
        say(k, row,
            is_refusal(a)          ? STATE_REFUSED
            : a->end == ASK_BROKEN ? STATE_BROKEN
                                   : STATE_UNCLEAR,
            is_refusal(a) || a->end == ASK_BROKEN, "%s%s", status_text(a, status), a->why);
}

static void check_plain(struct check *k, enum probe_row row, enum probe_call call, const char *word)
{
    struct asked a;
    try_call(k, call, &k->p->presumed, false, &a);
    say_plain(k, row, &a, word);
    asked_deinit(&a);
}

static void check_result_images(struct check *k)
{
    struct asked a;
    WITH_AND_WITHOUT(k, images);
    (void)without; /* where images are refused this is not asked */
    if (k->d->rows[ROW_IMAGES].state != STATE_WORKS) {
        say(k, ROW_RESULT_IMAGES, STATE_SKIPPED, false, "as images");
        return;
    }
    try_call(k, CALL_RESULT_IMAGE, &native, false, &a);
    say_plain(k, ROW_RESULT_IMAGES, &a, NULL);
    asked_deinit(&a);
}

static void check_max_tokens(struct check *k)
{
    struct asked a;
    try_call(k, CALL_MAX_TOKENS, &k->p->presumed, false, &a);
    if (a.end != ASK_ANSWERED)
        say_plain(k, ROW_MAX_TOKENS, &a, NULL);
    else if (count_numbers(&a) > CALL_LEAST_TOKENS)
        say(k, ROW_MAX_TOKENS, STATE_BROKEN, true, "ignored: %llu words for %d tokens",
            (unsigned long long)count_numbers(&a), CALL_LEAST_TOKENS);
    else if (a.stop == CHAT_STOP_MAX_TOKENS)
        say(k, ROW_MAX_TOKENS, STATE_WORKS, false, "%s", "");
    else
        say(k, ROW_MAX_TOKENS, STATE_UNCLEAR, false, "its answer was shorter");
    asked_deinit(&a);
}

static void check_context(struct check *k)
{
    struct asked a;
    long long about = (long long)k->p->context;
    try_call(k, CALL_CONTEXT, &k->p->presumed, false, &a);
    if (a.end != ASK_ANSWERED)
        say_plain(k, ROW_CONTEXT, &a, NULL);
    else if (has_word(&a, CALL_WORD))
        say(k, ROW_CONTEXT, STATE_WORKS, false, "about %lld tokens, read from the first line on",
            about);
    else if (a.usage.input >= 0 && a.usage.input + a.usage.cache_read < about / 2)
        say(k, ROW_CONTEXT, STATE_BROKEN, true,
            "cut without a word: it counts %lld of about %lld tokens", (long long)a.usage.input,
            about);
    else
        say(k, ROW_CONTEXT, STATE_WORKS, false,
            "about %lld tokens accepted; its answer does not show that the first line was read",
            about);
    asked_deinit(&a);
}

/* ---- tools ---- */

static void skip_rows(struct check *k, enum probe_row from, enum probe_row to, const char *why)
{
    for (enum probe_row r = from; r <= to; r++)
        say(k, r, STATE_SKIPPED, false, "%s", why);
}

static void say_calls(struct check *k, const struct asked *a)
{
    if (a->bad_call)
        say(k, ROW_TOOL_CALLS, STATE_BROKEN, true, "a call's input is no JSON object");
    else
        say(k, ROW_TOOL_CALLS, STATE_WORKS, false, "%s", "");
    know(k, PROBED_TOOLS, true);
    if (a->calls >= 2)
        say(k, ROW_PARALLEL_TOOLS, STATE_WORKS, false, "%zu calls in one turn", a->calls);
    else
        say(k, ROW_PARALLEL_TOOLS, STATE_DEGRADED, true,
            "asked for two calls it makes one: a turn more for each");
    check_forced(k);
}

/* None was made: is none ever, or only not by itself? */
static void check_silent_tools(struct check *k)
{
    struct asked a;
    WITH_AND_WITHOUT(k, forced_tool);
    (void)without; /* there is no other way to ask for a call */
    try_call(k, CALL_FORCED, &native, false, &a);
    if (a.end == ASK_ANSWERED && a.calls > 0) {
        say(k, ROW_TOOL_CALLS, STATE_DEGRADED, true, "tools are called only when a call is forced");
        say(k, ROW_FORCED_TOOL, STATE_WORKS, false, "%s", "");
        say(k, ROW_PARALLEL_TOOLS, STATE_SKIPPED, false, "as tool-calls");
    } else {
        know(k, PROBED_TOOLS, false);
        say(k, ROW_TOOL_CALLS, STATE_BROKEN, true,
            "tools are accepted and never called; the gateway asks another target");
        skip_rows(k, ROW_FORCED_TOOL, ROW_PARALLEL_TOOLS, "as tool-calls");
    }
    asked_deinit(&a);
}

static void check_tools(struct check *k)
{
    struct asked a;
    char status[16];
    try_call(k, CALL_TOOLS, &k->p->presumed, false, &a);
    if (a.end != ASK_ANSWERED) {
        bool refusal = may_be_refusal(&a); /* text was answered */
        if (refusal)
            know(k, PROBED_TOOLS, false);
        say(k, ROW_TOOLS,
            refusal               ? STATE_REFUSED
            : a.end == ASK_BROKEN ? STATE_BROKEN
                                  : STATE_UNCLEAR,
            refusal || a.end == ASK_BROKEN, "%s%s%s", status_text(&a, status), a.why,
            refusal ? "; the gateway asks another target" : "");
        skip_rows(k, ROW_TOOL_CALLS, ROW_RESULT_IMAGES, "as tools");
        asked_deinit(&a);
        return;
    }
    say(k, ROW_TOOLS, STATE_WORKS, false, "%s", "");
    if (a.calls > 0 || a.bad_call)
        say_calls(k, &a);
    else
        check_silent_tools(k);
    asked_deinit(&a);
    check_plain(k, ROW_TOOL_RESULTS, CALL_RESULTS, NULL);
    check_result_images(k);
}

/* ---- streams ---- */

static void say_no_stream(struct check *k, enum probe_row row, const char *what)
{
    know(k, PROBED_STREAM, false);
    say(k, row, STATE_CONVERTED, true,
        "%s; it is asked for whole answers, which clients get as streams, late", what);
}

static void say_speed(struct check *k, const struct asked *a)
{
    usec writing = a->last - a->first;
    say(k, ROW_FIRST_TOKEN, STATE_WORKS, false, "%.3f s, one stream", (double)a->first / 1e6);
    if (k->facts)
        k->p->found.first_us = a->first;
    if (a->usage.output < RATE_LEAST_TOKENS || writing < RATE_LEAST_TIME) {
        say(k, ROW_SPEED, STATE_SKIPPED, false,
            a->usage.output < 0 ? "it tells no tokens" : "too short to be measured");
        return;
    }
    double rate = (double)(a->usage.output - 1) / ((double)writing / 1e6);
    say(k, ROW_SPEED, STATE_WORKS, false, "%.1f tokens/s, one stream", rate);
    if (k->facts)
        k->p->found.rate = rate;
}

static void say_stream_usage(struct check *k, const struct asked *a, bool asked)
{
    bool chat = k->d->dialect->id == DIALECT_OPENAI_CHAT;
    bool told = a->usage.input >= 0 && a->usage.output >= 0;
    if (told)
        say(k, ROW_STREAM_USAGE, STATE_WORKS, false, "%s", "");
    else if (chat && !asked)
        say(k, ROW_STREAM_USAGE, STATE_SKIPPED, false, "as stream-options");
    else
        say(k, ROW_STREAM_USAGE, STATE_DEGRADED, true,
            "its streams tell no tokens: budgets and prices are estimated");
}

static void say_stream(struct check *k, const struct asked *a, bool asked)
{
    if (!a->is_stream) {
        say_no_stream(k, ROW_STREAM, "asked for a stream it answers whole");
        say(k, ROW_STREAM_END, STATE_SKIPPED, false, "as stream");
        say(k, ROW_STREAM_USAGE, STATE_SKIPPED, false, "as stream");
        skip_rows(k, ROW_FIRST_TOKEN, ROW_SPEED, "as stream");
        return;
    }
    say(k, ROW_STREAM, STATE_WORKS, false, "%s", "");
    if (a->ended)
        say(k, ROW_STREAM_END, STATE_WORKS, false, "%s", "");
    else if (a->why[0] == '\0')
        say(k, ROW_STREAM_END, STATE_CONVERTED, true,
            "without its last event; the reason to stop is taken for the end");
    else
        say_no_stream(k, ROW_STREAM_END, a->why);
    if (a->ended)
        know(k, PROBED_STREAM, true);
    say_stream_usage(k, a, asked);
    say_speed(k, a);
}

/* The stream as it is presumed to be asked for; without options where they are refused. */
static void check_stream(struct check *k)
{
    bool chat = k->d->dialect->id == DIALECT_OPENAI_CHAT;
    WITH_AND_WITHOUT(k, stream_options);
    bool asked = chat && k->p->presumed.stream_options;
    struct asked a, other;
    char status[16];
    try_call(k, CALL_STREAM, asked ? &native : &without, true, &a);
    if (!chat || !asked)
        say(k, ROW_STREAM_OPTIONS, STATE_SKIPPED, false,
            chat ? "its kind takes none" : "this format has none");
    else if (a.end == ASK_ANSWERED)
        say(k, ROW_STREAM_OPTIONS, STATE_WORKS, false, "%s", "");
    if (asked && may_be_refusal(&a)) {
        try_call(k, CALL_STREAM, &without, true, &other);
        if (other.end == ASK_ANSWERED) {
            know(k, PROBED_STREAM_OPTIONS, false);
            say(k, ROW_STREAM_OPTIONS, STATE_DEGRADED, true,
                "%s%s; they are left out, and tokens are estimated", status_text(&a, status),
                a.why);
            asked = false;
        }
        asked_deinit(&a);
        a = other;
    }
    if (a.end == ASK_ANSWERED) {
        say_stream(k, &a, asked);
    } else {
        if (is_refusal(&a)) /* text was answered */
            know(k, PROBED_STREAM, false);
        say_plain(k, ROW_STREAM, &a, NULL);
        skip_rows(k, ROW_STREAM_END, ROW_STREAM_END, "as stream");
        skip_rows(k, ROW_STREAM_USAGE, ROW_STREAM_USAGE, "as stream");
        skip_rows(k, ROW_FIRST_TOKEN, ROW_SPEED, "as stream");
    }
    asked_deinit(&a);
}

/* ---- beside the conversation ---- */

/* The door that counts, as the gateway asks it; empty: none is known of this kind. */
static struct span counting_path(const struct check *k, struct arena *a)
{
    struct span base = k->p->target->path;
    if (k->p->target->cloud)
        return SPAN_EMPTY;
    if (k->p->target->dialect->claude_api && k->p->target->dialect == k->d->dialect)
        return arena_printf(a, "%.*s/count_tokens", SPAN_FMT(base));
    if (!span_ends(base, SPAN("/chat/completions")))
        return SPAN_EMPTY;
    base.len -= strlen("/chat/completions");
    if (k->p->target->kind == TARGET_LLAMA_CPP)
        return arena_printf(a, "%.*s/messages/count_tokens", SPAN_FMT(base));
    if (k->p->target->kind != TARGET_VLLM)
        return SPAN_EMPTY;
    if (span_ends(base, SPAN("/v1")))
        base.len -= 3;
    return arena_printf(a, "%.*s/tokenize", SPAN_FMT(base));
}

static void check_count(struct check *k)
{
    struct arena a;
    struct asked got;
    struct json_doc doc;
    char status[16];
    int64_t n = -1;
    arena_init(&a, (size_t)8 << 20);
    struct span path = counting_path(k, &a);
    if (path.len == 0) {
        say(k, ROW_COUNT_TOKENS, STATE_CONVERTED, false, "estimated by the gateway");
        arena_deinit(&a);
        return;
    }
    struct span body = arena_printf(
        &a, "{\"model\":\"%.*s\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello, world\"}]}",
        SPAN_FMT(k->p->raw_model));
    try_raw(k, path, body, &got);
    if (got.end == ASK_ANSWERED &&
        json_parse(&a, buf_span(&got.text), NULL, &doc, NULL) == ERR_OK &&
        json_i64(json_get(json_root(&doc), "input_tokens"), &n) != ERR_OK &&
        json_i64(json_get(json_root(&doc), "count"), &n) != ERR_OK)
        n = -1;
    if (n > 0)
        say(k, ROW_COUNT_TOKENS, STATE_WORKS, false, "%s", "");
    else
        say(k, ROW_COUNT_TOKENS, STATE_CONVERTED, false, "%s%s; estimated by the gateway",
            status_text(&got, status), got.end == ASK_ANSWERED ? "no count" : got.why);
    asked_deinit(&got);
    arena_deinit(&a);
}

/* Without messages, in everything else as it should be. */
static struct span wrong_body(const struct check *k, struct arena *a)
{
    enum dialect_id id = k->d->dialect->id;
    const char *version = k->p->presumed.body_version;
    if (version && id == DIALECT_ANTHROPIC)
        return arena_printf(a, "{\"anthropic_version\":\"%s\",\"max_tokens\":16,\"messages\":7}",
                            version);
    if (id == DIALECT_GEMINI)
        return SPAN("{\"contents\":7}");
    if (id == DIALECT_BEDROCK_CONVERSE)
        return SPAN("{\"messages\":7}");
    return arena_printf(a, "{\"model\":\"%.*s\",\"%s\":7}", SPAN_FMT(k->p->raw_model),
                        id == DIALECT_OPENAI_RESPONSES ? "input" : "messages");
}

/* What is wrong must be told as wrong: a gateway takes any other answer for an outage, or for
 * success. */
static void check_errors(struct check *k)
{
    struct arena a;
    struct asked got;
    arena_init(&a, (size_t)1 << 20);
    struct span body = wrong_body(k, &a);
    try_raw(k, k->d->path, body, &got);
    if (got.end == ASK_ANSWERED)
        say(k, ROW_ERRORS, STATE_BROKEN, true, "a request without messages is answered with %d",
            got.status);
    else if (got.end != ASK_REFUSED || is_busy(&got))
        say(k, ROW_ERRORS, STATE_UNCLEAR, false, "%s", got.why);
    else if (got.status >= 500)
        say(k, ROW_ERRORS, STATE_DEGRADED, true,
            "a caller's mistake is told as %d, which the gateway takes for an outage", got.status);
    else
        say(k, ROW_ERRORS, STATE_WORKS, false, "%d: %s", got.status, got.why);
    asked_deinit(&got);
    arena_deinit(&a);
}

static void say_usage(struct check *k, const struct asked *a)
{
    if (a->usage.input >= 0 && a->usage.output >= 0)
        say(k, ROW_USAGE, STATE_WORKS, false, "%s", "");
    else
        say(k, ROW_USAGE, STATE_DEGRADED, true,
            "its answers tell no tokens: budgets and prices are estimated");
}

/* ---- all of it ---- */

static bool answers(struct check *k)
{
    struct asked a;
    char status[16];
    try_call(k, CALL_TEXT, &k->p->presumed, false, &a);
    bool good = a.end == ASK_ANSWERED;
    if (good) {
        k->d->spoken = true;
        say(k, ROW_TEXT, STATE_WORKS, false, "%s", "");
        say_usage(k, &a);
    } else if (k->facts) {
        (void)snprintf(k->p->trouble, sizeof k->p->trouble, "%s%s", status_text(&a, status), a.why);
    }
    asked_deinit(&a);
    return good;
}

static void check_door(struct check *k)
{
    if (!answers(k))
        return;
    check_plain(k, ROW_SYSTEM, CALL_SYSTEM, CALL_WORD);
    check_plain(k, ROW_TURNS, CALL_TURNS, CALL_WORD);
    check_stream(k);
    check_images(k);
    check_tools(k);
    check_pdf(k);
    check_schema(k);
    check_stop(k);
    check_max_tokens(k);
    check_thinking(k);
    check_prefill(k);
    check_context(k);
    check_count(k);
    check_errors(k);
    if (k->p->limits[0])
        say(k, ROW_LIMITS, STATE_WORKS, false, "%s", k->p->limits);
    else
        say(k, ROW_LIMITS, STATE_SKIPPED, false, "no headers tell any");
}

static int rank(const struct verdict *v)
{
    static const int ranks[STATES] = {[STATE_CONVERTED] = 1,
                                      [STATE_DEGRADED] = 2,
                                      [STATE_UNCLEAR] = 2,
                                      [STATE_REFUSED] = 3,
                                      [STATE_BROKEN] = 3};
    return ranks[v->state];
}

enum probe_row probe_native_worse(const struct probe *p)
{
    for (enum probe_row r = 0; r <= ROW_CONTEXT; r++)
        if (rank(&p->doors[1].rows[r]) > rank(&p->doors[0].rows[r]))
            return r;
    return ROWS;
}

size_t probe_findings(const struct probe *p)
{
    size_t count = 0;
    for (enum probe_row r = 0; r < ROWS; r++)
        count += p->doors[0].rows[r].finding;
    return count;
}

void probe_run(struct probe *p, void (*on_row)(void *ctx, const struct probe *p), void *ctx)
{
    struct check k = {.p = p, .d = &p->doors[0], .facts = true, .on_row = on_row, .ctx = ctx};
    p->found.first_us = -1;
    check_door(&k);
    p->answers = p->doors[0].spoken && !p->asker->stopped;
    if (p->door_count < 2 || !p->answers)
        return;
    struct check native = {.p = p, .d = &p->doors[1], .on_row = on_row, .ctx = ctx};
    check_door(&native);
    know(&k, PROBED_MESSAGES, p->doors[1].spoken && probe_native_worse(p) == ROWS);
}

/* ---- what it may come to ---- */

struct probe_plan probe_plan(const struct probe *p)
{
    static const enum probe_call twice[] = {CALL_STREAM, CALL_FORCED, CALL_IMAGE,    CALL_PDF,
                                            CALL_SCHEMA, CALL_STOP,   CALL_THINKING, CALL_PREFILL};
    struct probe_plan plan = {.calls = 2}; /* errors and counts cost nothing */
    struct arena a;
    arena_init(&a, (size_t)64 << 20);
    for (enum probe_call c = 0; c < CALLS + ARRAY_LEN(twice); c++) {
        enum probe_call call = c < CALLS ? c : twice[c - CALLS];
        int64_t in, out;
        if (call == CALL_THINKING_ADAPTIVE)
            continue; /* instead of the other form */
        call_most(call_request(&a, call, p->context), &p->presumed, &in, &out);
        plan.calls++;
        plan.in += in;
        plan.out += out;
    }
    arena_deinit(&a);
    plan.calls *= (int64_t)p->door_count;
    plan.in *= (int64_t)p->door_count;
    plan.out *= (int64_t)p->door_count;
    return plan;
}
