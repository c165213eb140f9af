/* Upstream: everything of a Messages body but its turns, put as the target's capability allows
 * (protocols.md 1.2, 1.6 and 5.2).
 *
 * a_decide comes first, because the parts hang together: thinking forbids a forced tool and most
 * sampling, a format and thinking forbid a native prefill. Each weakening is named in
 * x-hotspare-lossy; nothing that a Claude model answers with 400 is sent. */
#include "base/span.h"
#include "dialect/anthropic_internal.h"

#define MAX_TOKENS_DEFAULT 4096 /* where the caller gave none and the model's cap is unknown */
#define BUDGET_LEAST 1024       /* the API's own */

static void lose(struct a_body *b, const char *name)
{
    lossy_add(&b->out->lossy, name);
}

static bool thinks(const struct a_body *b)
{
    return b->thinking == CHAT_THINKING_BUDGET || b->thinking == CHAT_THINKING_ADAPTIVE;
}

/* ---- decisions ---- */

/* Budgets of the models that know no effort (protocols.md 5.2), and back (5.1). */
static int64_t effort_budget(enum effort e)
{
    if (e <= EFFORT_LOW)
        return 1024;
    return e == EFFORT_MEDIUM ? 4096 : 16384;
}

static enum effort budget_effort(int64_t budget)
{
    if (budget >= 10000)
        return EFFORT_HIGH;
    return budget >= 5000 ? EFFORT_MEDIUM : EFFORT_LOW;
}

/* Sets the word to send, or says that it is approximated or lost. */
static void decide_effort(struct a_body *b, enum effort wanted)
{
    if (!b->cap->effort || !b->cap->efforts) {
        lose(b, LOSSY_EFFORT);
        return;
    }
    uint32_t accepted = b->cap->efforts;
    if (b->thinking == CHAT_THINKING_OFF) /* opus-5 caps it at high then; high serves everywhere */
        accepted &= BIT(EFFORT_HIGH + 1) - 1;
    enum effort fit = effort_fit(accepted ? accepted : b->cap->efforts, wanted);
    if (fit != wanted)
        lose(b, LOSSY_EFFORT);
    b->effort = text_from_plain(span_from(effort_name(fit)));
}

static void decide_budget(struct a_body *b, int64_t budget)
{
    if (budget < BUDGET_LEAST)
        budget = BUDGET_LEAST;
    if (budget >= b->max_tokens) /* thinking is counted in max_tokens and must leave some of it */
        budget = b->max_tokens - 1;
    if (budget < BUDGET_LEAST || a_loop_without_thinking(b)) {
        lose(b, LOSSY_THINKING);
        return;
    }
    b->thinking = CHAT_THINKING_BUDGET;
    b->thinking_budget = budget;
}

/* Thinking as the target knows it. `effort`: the caller's, EFFORT_COUNT when none was given. */
static void decide_thinking(struct a_body *b, enum chat_thinking wanted, enum effort effort)
{
    const struct capability *cap = b->cap;
    b->thinking = CHAT_THINKING_UNSET;
    if (wanted == CHAT_THINKING_UNSET || (!cap->thinking_adaptive && !cap->thinking_budget)) {
        if (wanted == CHAT_THINKING_BUDGET || wanted == CHAT_THINKING_ADAPTIVE)
            lose(b, LOSSY_THINKING);
    } else if (wanted == CHAT_THINKING_OFF) {
        if (cap->thinking_off)
            b->thinking = CHAT_THINKING_OFF;
        else
            lose(b, LOSSY_THINKING); /* this model always thinks */
    } else if (wanted == CHAT_THINKING_BUDGET && cap->thinking_budget) {
        decide_budget(b, b->r->thinking_budget);
    } else if (cap->thinking_adaptive) {
        b->thinking = CHAT_THINKING_ADAPTIVE;
        if (wanted == CHAT_THINKING_BUDGET && effort == EFFORT_COUNT) {
            lose(b, LOSSY_EFFORT);
            decide_effort(b, budget_effort(b->r->thinking_budget));
        }
    } else {
        lose(b, LOSSY_EFFORT);
        decide_budget(b, effort_budget(effort == EFFORT_COUNT ? EFFORT_MEDIUM : effort));
    }
}

/* A forced tool and thinking exclude each other on most models. The force is what the caller's code
 * relies on, so thinking gives way where it can. */
static void decide_forced(struct a_body *b)
{
    const struct capability *cap = b->cap;
    b->forced = b->r->tools &&
                (b->r->tool_choice == CHAT_CHOICE_ANY || b->r->tool_choice == CHAT_CHOICE_NAMED);
    if (!b->forced || (cap->forced_tool && cap->forced_tool_with_thinking))
        return;
    if (!cap->forced_tool) {
        b->forced = false;
        lose(b, LOSSY_TOOL_CHOICE);
        return;
    }
    if (thinks(b))
        lose(b, LOSSY_THINKING);
    else if (b->own || b->thinking == CHAT_THINKING_OFF)
        return; /* as the caller put it */
    /* Said also where nothing was asked: some adaptive models think by default. */
    b->thinking =
        cap->thinking_off && cap->thinking_adaptive ? CHAT_THINKING_OFF : CHAT_THINKING_UNSET;
}

/* Claude takes a schema only where every object in it is closed, which is OpenAI's strict subset.
 */
static bool schema_closed(struct json schema)
{
    if (json_is(schema, JSON_OBJECT) && json_is(json_get(schema, "properties"), JSON_OBJECT) &&
        !json_is(json_get(schema, "additionalProperties"), JSON_FALSE))
        return false;
    if (!json_is(schema, JSON_OBJECT) && !json_is(schema, JSON_ARRAY))
        return true;
    for (struct json m = json_first(schema); json_present(m); m = json_next(schema, m))
        if (!schema_closed(m)) /* depth is bounded by the reader's */
            return false;
    return true;
}

static bool format_is_native(const struct a_body *b)
{
    const struct chat_request *r = b->r;
    if (r->format != CHAT_FORMAT_SCHEMA || !b->cap->json_schema)
        return false;
    if (b->own)
        return true;
    struct arena_mark mark = arena_mark(b->a);
    struct json_doc doc;
    bool closed = json_parse(b->a, r->format_schema, &json_limits_default, &doc, NULL) == ERR_OK &&
                  json_is(json_root(&doc), JSON_OBJECT) && schema_closed(json_root(&doc));
    arena_rewind(b->a, mark);
    return closed;
}

static void decide_known_effort(struct a_body *b, enum effort effort)
{
    bool can_think = b->cap->thinking_adaptive || b->cap->thinking_budget;
    if (effort == EFFORT_NONE && (b->thinking == CHAT_THINKING_OFF || !can_think))
        return; /* said already, or so anyway */
    if (b->thinking == CHAT_THINKING_BUDGET && !b->cap->effort)
        lose(b, LOSSY_EFFORT); /* the budget stands for it */
    else
        decide_effort(b, effort);
}

void a_decide(struct a_body *b)
{
    const struct chat_request *r = b->r;
    b->max_tokens = r->max_tokens;
    if (b->max_tokens < 0)
        b->max_tokens = b->cap->max_output > 0 ? b->cap->max_output : MAX_TOKENS_DEFAULT;
    if (b->cap->max_output > 0 && b->max_tokens > b->cap->max_output)
        b->max_tokens = b->cap->max_output;

    enum effort effort = EFFORT_COUNT;
    bool known =
        !chat_text_empty(r->effort) && effort_parse(text_plain(b->a, r->effort), &effort) == ERR_OK;
    enum chat_thinking wanted = r->thinking;
    if (!b->own && wanted == CHAT_THINKING_UNSET && known)
        wanted = effort == EFFORT_NONE ? CHAT_THINKING_OFF : CHAT_THINKING_ADAPTIVE;
    decide_thinking(b, wanted, known ? effort : EFFORT_COUNT);
    decide_forced(b);
    if (known)
        decide_known_effort(b, effort);
    else if (!chat_text_empty(r->effort) && b->own && b->cap->effort)
        b->effort = r->effort; /* a word of tomorrow, in its own dialect */
    else if (!chat_text_empty(r->effort))
        lose(b, LOSSY_EFFORT);
    b->native_format = format_is_native(b);
}

bool a_native_prefill(const struct a_body *b)
{
    return b->cap->prefill && !thinks(b) && !b->native_format;
}

/* ---- extras in their own dialect: "thinking.display" goes into thinking ---- */

static void write_inner_extras(struct a_body *b, const char *prefix)
{
    for (const struct chat_extra *e = b->own ? b->r->extras : NULL; e; e = e->next) {
        if (!span_starts(e->name, span_from(prefix)) || span_is(e->name, "thinking.type"))
            continue;
        jw_key_raw(&b->w, span_drop(e->name, strlen(prefix)));
        jw_raw(&b->w, e->value);
    }
}

static const struct chat_extra *find_extra(const struct a_body *b, const char *name, bool prefix)
{
    struct span wanted = span_from(name);
    for (const struct chat_extra *e = b->own ? b->r->extras : NULL; e; e = e->next)
        if (prefix ? span_starts(e->name, wanted) : span_eq(e->name, wanted))
            return e;
    return NULL;
}

/* context_management that clears old thinking is answered with 400 where thinking is off. */
static bool clears_thinking_in_vain(const struct a_body *b, const struct chat_extra *e)
{
    return b->r->thinking != CHAT_THINKING_UNSET && !thinks(b) &&
           span_is(e->name, "context_management") &&
           span_search(e->value, SPAN("\"clear_thinking_")) >= 0;
}

static void write_extras(struct a_body *b)
{
    static const char *const inner[] = {"thinking.", "output_config.", "metadata."};
    for (const struct chat_extra *e = b->r->extras; e; e = e->next) {
        bool nested = false;
        for (size_t i = 0; i < ARRAY_LEN(inner); i++)
            nested = nested || span_starts(e->name, span_from(inner[i]));
        if (b->own && clears_thinking_in_vain(b, e)) {
            lose(b, LOSSY_CONTEXT_MANAGEMENT);
            continue;
        }
        if (b->own && !nested) {
            jw_key_raw(&b->w, e->name);
            jw_raw(&b->w, e->value);
        } else if (!b->own && extra_lossy(e)) {
            lose(b, extra_lossy(e));
        }
    }
}

/* ---- sampling ---- */

static void write_number(struct a_body *b, const char *name, struct span raw)
{
    jw_key(&b->w, name);
    jw_raw(&b->w, raw);
}

static void write_sampling(struct a_body *b)
{
    const struct chat_request *r = b->r;
    bool free_choice = b->cap->sampling && !thinks(b), wrote_temperature = false;
    double value = 1;
    if (r->temperature.len > 0 && span_double(r->temperature, &value) == ERR_OK) {
        wrote_temperature = free_choice;
        if (free_choice)
            write_number(b, "temperature", value > 1 ? SPAN("1") : r->temperature);
        if (value > 1 || (!free_choice && value != 1)) /* 1 is the default: nothing is lost */
            lose(b, LOSSY_SAMPLING);
    }
    if (r->top_p.len > 0 && span_double(r->top_p, &value) == ERR_OK) {
        bool fits = free_choice && (!wrote_temperature || b->cap->top_p_with_temperature);
        if (fits)
            write_number(b, "top_p", r->top_p);
        else if (value != 1)
            lose(b, LOSSY_SAMPLING);
    }
    if (r->top_k.len > 0) {
        if (free_choice && b->cap->top_k)
            write_number(b, "top_k", r->top_k);
        else
            lose(b, LOSSY_TOP_K);
    }
}

static void write_stop(struct a_body *b)
{
    const struct chat_text_list *stop = &b->r->stop;
    size_t carried = 0;
    for (size_t i = 0; i < stop->count; i++)
        if (b->cap->stop && !text_blank(stop->at[i])) /* blank ones are answered with 400 */
            carried++;
    if (carried < stop->count)
        lose(b, LOSSY_STOP);
    if (carried == 0)
        return;
    jw_key(&b->w, "stop_sequences");
    jw_array(&b->w);
    for (size_t i = 0; i < stop->count; i++)
        if (!text_blank(stop->at[i]))
            jw_text(&b->w, stop->at[i]);
    jw_array_end(&b->w);
}

/* ---- thinking, output, metadata ---- */

static void write_thinking(struct a_body *b)
{
    if (b->thinking == CHAT_THINKING_UNSET)
        return;
    jw_key(&b->w, "thinking");
    jw_object(&b->w);
    jw_key(&b->w, "type");
    if (b->thinking == CHAT_THINKING_OFF) {
        jw_cstr(&b->w, "disabled");
        jw_object_end(&b->w);
        return;
    }
    const struct chat_extra *type = find_extra(b, "thinking.type", false);
    if (b->thinking == CHAT_THINKING_BUDGET) {
        jw_cstr(&b->w, "enabled");
        jw_key(&b->w, "budget_tokens");
        jw_i64(&b->w, b->thinking_budget);
    } else if (type) {
        jw_raw(&b->w, type->value);
    } else {
        jw_cstr(&b->w, "adaptive");
    }
    write_inner_extras(b, "thinking.");
    jw_object_end(&b->w);
}

static void write_output_config(struct a_body *b)
{
    if (chat_text_empty(b->effort) && !b->native_format && !find_extra(b, "output_config.", true))
        return;
    jw_key(&b->w, "output_config");
    jw_object(&b->w);
    if (!chat_text_empty(b->effort)) {
        jw_key(&b->w, "effort");
        jw_text(&b->w, b->effort);
    }
    if (b->native_format) {
        jw_key(&b->w, "format");
        jw_object(&b->w);
        jw_key(&b->w, "type");
        jw_cstr(&b->w, "json_schema");
        jw_key(&b->w, "schema");
        jw_raw(&b->w, b->r->format_schema);
        jw_object_end(&b->w);
    }
    write_inner_extras(b, "output_config.");
    jw_object_end(&b->w);
}

static void write_metadata(struct a_body *b)
{
    bool has_user = !chat_text_empty(b->r->user_id);
    if (!has_user && !find_extra(b, "metadata.", true))
        return;
    jw_key(&b->w, "metadata");
    jw_object(&b->w);
    if (has_user) {
        jw_key(&b->w, "user_id");
        jw_text(&b->w, b->r->user_id);
    }
    write_inner_extras(b, "metadata.");
    jw_object_end(&b->w);
}

/* ---- tools ---- */

static bool tool_carried(const struct a_body *b, const struct chat_tool *t)
{
    return b->own || t->wire_type.len == 0 || tool_is_free_text(t);
}

/* OpenAI takes {} for "no arguments"; Claude wants type object said. */
static void write_schema(struct a_body *b, struct span schema)
{
    static const char none[] = "{\"type\":\"object\",\"properties\":{}}";
    struct arena_mark mark = arena_mark(b->a);
    struct json_doc doc;
    bool parsed = schema.len > 0 &&
                  json_parse(b->a, schema, &json_limits_default, &doc, NULL) == ERR_OK &&
                  json_is(json_root(&doc), JSON_OBJECT);
    bool typed = parsed && json_present(json_get(json_root(&doc), "type"));
    bool empty = parsed && json_len(json_root(&doc)) == 0;
    struct span inside = parsed ? span_drop(json_raw(json_root(&doc)), 1) : SPAN_EMPTY;
    arena_rewind(b->a, mark);
    if (typed)
        jw_raw(&b->w, schema);
    else if (!parsed || empty)
        jw_raw(&b->w, SPAN(none));
    else
        jw_raw(&b->w, arena_printf(b->a, "{\"type\":\"object\",%.*s", SPAN_FMT(inside)));
}

static void write_tool(struct a_body *b, const struct chat_tool *t)
{
    if (b->own && t->raw.len > 0) {
        jw_raw(&b->w, t->raw);
        return;
    }
    jw_object(&b->w);
    jw_key(&b->w, "name");
    jw_text(&b->w, t->name);
    struct chat_text description = free_text_description(b->a, t);
    if (!chat_text_empty(description)) {
        jw_key(&b->w, "description");
        jw_text(&b->w, description);
    }
    if (!chat_text_empty(t->grammar))
        lose(b, LOSSY_STRICT); /* nothing holds the model to it */
    jw_key(&b->w, "input_schema");
    if (tool_is_free_text(t))
        jw_raw(&b->w, SPAN(FREE_TEXT_SCHEMA));
    else
        write_schema(b, t->schema);
    if (t->strict == CHAT_YES && b->cap->json_strict) {
        jw_key(&b->w, "strict");
        jw_bool(&b->w, true);
    } else if (t->strict == CHAT_YES) {
        lose(b, LOSSY_STRICT);
    }
    jw_object_end(&b->w);
}

static void write_tool_choice(struct a_body *b)
{
    static const char *const words[] = {
        [CHAT_CHOICE_UNSET] = "auto", [CHAT_CHOICE_AUTO] = "auto",  [CHAT_CHOICE_ANY] = "any",
        [CHAT_CHOICE_NONE] = "none",  [CHAT_CHOICE_NAMED] = "tool",
    };
    const struct chat_request *r = b->r;
    enum chat_tool_choice choice = r->tool_choice;
    if (!b->forced && (choice == CHAT_CHOICE_ANY || choice == CHAT_CHOICE_NAMED))
        choice = CHAT_CHOICE_AUTO;
    bool alone = r->parallel_tools == CHAT_NO;
    bool said = alone || (b->own && r->parallel_tools == CHAT_YES);
    if (choice == CHAT_CHOICE_UNSET && !said)
        return;
    jw_key(&b->w, "tool_choice");
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_cstr(&b->w, words[choice]);
    if (choice == CHAT_CHOICE_NAMED) {
        jw_key(&b->w, "name");
        jw_text(&b->w, r->tool_choice_name);
    }
    if (said && choice != CHAT_CHOICE_NONE) {
        jw_key(&b->w, "disable_parallel_tool_use");
        jw_bool(&b->w, alone);
    }
    jw_object_end(&b->w);
}

static void write_tools(struct a_body *b)
{
    size_t carried = 0;
    for (const struct chat_tool *t = b->r->tools; t; t = t->next) {
        if (!tool_carried(b, t)) {
            lose(b, LOSSY_SERVER_TOOL); /* it runs at its provider, or is unknown here */
            continue;
        }
        if (carried++ == 0) {
            jw_key(&b->w, "tools");
            jw_array(&b->w);
        }
        write_tool(b, t);
    }
    if (carried == 0)
        return; /* a choice without tools is answered with 400 */
    jw_array_end(&b->w);
    write_tool_choice(b);
}

void a_write_params(struct a_body *b)
{
    write_tools(b);
    write_thinking(b);
    write_output_config(b);
    write_sampling(b);
    write_stop(b);
    write_metadata(b);
    write_extras(b);
}
