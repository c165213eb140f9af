/*   OFF --(wanted)--> LOADING --(healthy)--> READY
 *    ^                  |  '--(too slow)--,    |  '--(idle, or hung)--,
 *    |                  |                 v    |                      v
 *    |                  |               ENDING <----------------------'
 *    '---(was idle)-----|-----------------'| (was slow or hung)
 *                       '-(exited)--> WAITING / GAVE_UP --(retry_at)--> LOADING
 *
 * Every failure doubles the wait, from 1 s to 60 s; a minute of being ready forgives. After
 * FAILURES_MAX in a row, or at once where no repeat can help (no such model, no such program, a
 * flag it does not know), it is given up: requests no longer wait for it, and it is tried once more
 * every five minutes when somebody asks, since what was missing may be there by then. */
#include "local/engine.h"

#include "base/span.h"

#define BACKOFF_FIRST USEC_PER_SEC
#define BACKOFF_MAX (60 * USEC_PER_SEC)
#define FAILURES_MAX 5
#define FORGIVEN_AFTER (60 * USEC_PER_SEC)
#define GIVEN_UP_FOR (300 * USEC_PER_SEC)
#define PROBE_LOADING (100 * USEC_PER_MS)
#define PROBE_READY (5 * USEC_PER_SEC)
#define PROBE_MISSED USEC_PER_SEC /* after one that was missed */
#define MISSED_MAX 3

static const uint32_t edges[ENGINE_STATES] = {
    [ENGINE_OFF] = BIT(ENGINE_LOADING),
    [ENGINE_LOADING] =
        BIT(ENGINE_READY) | BIT(ENGINE_ENDING) | BIT(ENGINE_WAITING) | BIT(ENGINE_GAVE_UP),
    [ENGINE_READY] = BIT(ENGINE_ENDING) | BIT(ENGINE_WAITING) | BIT(ENGINE_GAVE_UP),
    [ENGINE_ENDING] = BIT(ENGINE_OFF) | BIT(ENGINE_WAITING) | BIT(ENGINE_GAVE_UP),
    [ENGINE_WAITING] = BIT(ENGINE_LOADING),
    [ENGINE_GAVE_UP] = BIT(ENGINE_LOADING),
};

/* The only function that writes e->state. */
static void enter(struct engine *e, enum engine_state next, usec now)
{
    assert(edges[e->state] & BIT(next));
    e->state = next;
    e->since = now;
    e->missed = 0;
    e->probing = false;
}

void engine_init(struct engine *e, const struct engine_config *c, usec now)
{
    *e = (struct engine){.config = *c, .since = now};
}

void engine_use(struct engine *e, usec now)
{
    e->used_at = now > 0 ? now : 1;
}

/* ---- failing ---- */

static bool is_hopeless(enum engine_reason why)
{
    return why == ENGINE_MODEL_MISSING || why == ENGINE_NO_PROGRAM || why == ENGINE_BAD_FLAG ||
           why == ENGINE_CONTEXT;
}

static void failed(struct engine *e, usec now, enum engine_reason why, usec ready_for)
{
    if (ready_for >= FORGIVEN_AFTER)
        e->failures_in_row = 0;
    e->failures_in_row++;
    e->failures++;
    e->reason = why;
    if (is_hopeless(why) || e->failures_in_row >= FAILURES_MAX) {
        e->retry_at = now + GIVEN_UP_FOR;
        e->used_at = 0; /* those who asked go elsewhere; a later one may have it tried again */
        enter(e, ENGINE_GAVE_UP, now);
        return;
    }
    usec wait = BACKOFF_FIRST;
    for (uint32_t i = 1; i < e->failures_in_row && wait < BACKOFF_MAX; i++)
        wait *= 2;
    e->retry_at = now + (wait < BACKOFF_MAX ? wait : BACKOFF_MAX);
    enter(e, ENGINE_WAITING, now);
}

void engine_exited(struct engine *e, usec now, enum engine_reason why)
{
    usec ready_for = e->state == ENGINE_READY ? now - e->since : 0;
    if (e->state != ENGINE_ENDING)
        failed(e, now, why, ready_for);
    else if (e->reason == ENGINE_IDLE || e->reason == ENGINE_CHANGED)
        enter(e, ENGINE_OFF, now);
    else
        failed(e, now, e->reason, ready_for);
}

/* ---- health ---- */

void engine_probed(struct engine *e, usec now, bool healthy)
{
    e->probing = false;
    if (e->state == ENGINE_LOADING && healthy) {
        e->reason = ENGINE_FINE;
        enter(e, ENGINE_READY, now);
        engine_use(e, now); /* the idle time begins when it could be used */
    }
    e->missed = healthy ? 0 : e->missed + 1;
    e->probe_at = now + (e->state == ENGINE_LOADING ? PROBE_LOADING
                         : e->missed > 0            ? PROBE_MISSED
                                                    : PROBE_READY);
}

static enum engine_action end(struct engine *e, usec now, enum engine_reason why)
{
    e->reason = why;
    if (why == ENGINE_IDLE || why == ENGINE_CHANGED)
        e->used_at = 0;
    enter(e, ENGINE_ENDING, now);
    return ENGINE_DO_END;
}

bool engine_unload(struct engine *e, usec now)
{
    if (e->state != ENGINE_LOADING && e->state != ENGINE_READY)
        return false;
    return end(e, now, ENGINE_CHANGED) == ENGINE_DO_END;
}

static enum engine_action probe(struct engine *e, usec now)
{
    if (e->probing || now < e->probe_at)
        return ENGINE_DO_NOTHING;
    e->probing = true;
    return ENGINE_DO_PROBE;
}

/* ---- stepping ---- */

static enum engine_action start(struct engine *e, usec now)
{
    enter(e, ENGINE_LOADING, now);
    e->starts++;
    e->probe_at = now;
    return ENGINE_DO_START;
}

static bool is_wanted(const struct engine *e)
{
    return e->config.start == ENGINE_ALWAYS || (e->config.start != ENGINE_NEVER && e->used_at > 0);
}

/* When it will have been idle for too long; USEC_NEVER: never. */
static usec idle_at(const struct engine *e)
{
    bool unloads = e->config.start != ENGINE_ALWAYS && e->config.idle > 0;
    return unloads ? e->used_at + e->config.idle : USEC_NEVER; /* READY: used_at is not 0 */
}

enum engine_action engine_step(struct engine *e, usec now)
{
    switch (e->state) {
    case ENGINE_OFF:
        return is_wanted(e) ? start(e, now) : ENGINE_DO_NOTHING;
    case ENGINE_LOADING:
        if (now - e->since >= e->config.load_max)
            return end(e, now, ENGINE_TOO_SLOW);
        return probe(e, now);
    case ENGINE_READY:
        if (e->missed >= MISSED_MAX)
            return end(e, now, ENGINE_HUNG);
        if (now >= idle_at(e))
            return end(e, now, ENGINE_IDLE);
        return probe(e, now);
    case ENGINE_WAITING:
    case ENGINE_GAVE_UP:
        return now >= e->retry_at && is_wanted(e) ? start(e, now) : ENGINE_DO_NOTHING;
    default:
        return ENGINE_DO_NOTHING;
    }
}

static usec sooner(usec a, usec b)
{
    return a < b ? a : b;
}

usec engine_next(const struct engine *e)
{
    usec probe_at = e->probing ? USEC_NEVER : e->probe_at;
    switch (e->state) {
    case ENGINE_LOADING:
        return sooner(probe_at, e->since + e->config.load_max);
    case ENGINE_READY:
        return sooner(probe_at, idle_at(e));
    case ENGINE_WAITING:
    case ENGINE_GAVE_UP:
        return is_wanted(e) ? e->retry_at : USEC_NEVER;
    default:
        return USEC_NEVER;
    }
}

/* ---- words ---- */

const char *engine_state_name(enum engine_state s)
{
    static const char *const names[ENGINE_STATES] = {"off",    "loading", "ready",
                                                     "ending", "waiting", "gave_up"};
    assert(s < ENGINE_STATES);
    return names[s];
}

static const struct reason {
    const char *name, *text, *fix;
} reasons[ENGINE_REASONS] = {
    [ENGINE_FINE] = {"none", "", ""},
    [ENGINE_IDLE] = {"idle", "unloaded: nobody used it", ""},
    [ENGINE_CHANGED] = {"changed", "ended: its configuration changed", ""},
    [ENGINE_CRASHED] = {"crashed", "it ended by itself",
                        "its log has the reason; run the command by hand to see it"},
    [ENGINE_HUNG] = {"hung", "it no longer answered its health check and was killed",
                     "its log has the last thing it did; fewer parallel requests may help"},
    [ENGINE_TOO_SLOW] = {"too_slow", "it was not ready in time and was killed",
                         "raise the target's load:, or put the model on a faster disk"},
    [ENGINE_OUT_OF_MEMORY] = {"out_of_memory", "it ran out of memory",
                              "a smaller context: or a smaller quantisation of the model; or raise "
                              "the target's memory:"},
    [ENGINE_PORT_TAKEN] = {"port_taken", "its port is in use by another program",
                           "give the target another port in url:, or leave url: out and a free one "
                           "is chosen; if the engine there is yours, remove start:"},
    [ENGINE_MODEL_MISSING] = {"model_missing", "its model file is not there",
                              "correct the target's model:, or download the file; then reload"},
    [ENGINE_MODEL_BAD] = {"model_bad", "it could not load the model",
                          "check that the file is whole and that this version of the engine knows "
                          "its format"},
    [ENGINE_CONTEXT] = {"context", "its model has not so long a context",
                        "lower the target's context: to what its log names; then reload"},
    [ENGINE_NO_PROGRAM] =
        {"no_program", "its program could not be run",
         "install it, or name it by its whole path in the target's command:; then "
         "reload"},
    [ENGINE_BAD_FLAG] = {"bad_flag", "it does not know one of its flags",
                         "write the target's command: as this version of the engine wants it"},
};

const char *engine_reason_name(enum engine_reason r)
{
    assert(r < ENGINE_REASONS);
    return reasons[r].name;
}

const char *engine_reason_text(enum engine_reason r)
{
    assert(r < ENGINE_REASONS);
    return reasons[r].text;
}

const char *engine_reason_fix(enum engine_reason r)
{
    assert(r < ENGINE_REASONS);
    return reasons[r].fix;
}

/* As llama.cpp, vLLM (PyTorch, CUDA), Ollama and the C++ runtime word it. */
enum engine_reason engine_reason_of(struct span line)
{
    static const struct {
        struct span words;
        enum engine_reason reason;
    } known[] = {
        {SPAN_INIT("out of memory"), ENGINE_OUT_OF_MEMORY},
        {SPAN_INIT("OutOfMemoryError"), ENGINE_OUT_OF_MEMORY},
        {SPAN_INIT("bad_alloc"), ENGINE_OUT_OF_MEMORY},
        {SPAN_INIT("MemoryError"), ENGINE_OUT_OF_MEMORY},
        {SPAN_INIT("cannot allocate memory"), ENGINE_OUT_OF_MEMORY},
        {SPAN_INIT("failed to allocate"), ENGINE_OUT_OF_MEMORY},
        {SPAN_INIT("address already in use"), ENGINE_PORT_TAKEN},
        {SPAN_INIT("couldn't bind"), ENGINE_PORT_TAKEN},
        {SPAN_INIT("failed to open GGUF file"), ENGINE_MODEL_MISSING},
        {SPAN_INIT("HFValidationError: Repo id must be"), ENGINE_MODEL_MISSING}, /* vLLM 0.32 */
        {SPAN_INIT("LocalEntryNotFoundError: "), ENGINE_MODEL_MISSING},          /* the same */
        {SPAN_INIT("greater than the derived max_model_len"), ENGINE_CONTEXT},   /* vLLM */
        {SPAN_INIT("failed to load model"), ENGINE_MODEL_BAD},
        {SPAN_INIT("error loading model"), ENGINE_MODEL_BAD},
        {SPAN_INIT("unrecognized arguments"), ENGINE_BAD_FLAG},
        {SPAN_INIT("invalid argument:"), ENGINE_BAD_FLAG},
        {SPAN_INIT("unknown flag"), ENGINE_BAD_FLAG},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (span_isearch(line, known[i].words) >= 0)
            return known[i].reason;
    return ENGINE_FINE;
}
