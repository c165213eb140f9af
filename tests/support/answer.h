#pragma once
/* What an answer says, in no dialect, so that two answers can be compared: text, thinking, tool
 * calls, stop, usage.
 *
 * Read straight from the JSON, independent of src/dialect, so that a fault there does not hide
 * itself. */
#include "base/arena.h"
#include "json/json.h"

#define ANSWER_TOOLS_MAX 64

struct answer_tool {
    struct span id, name;
    struct span input; /* decoded JSON text; "" counts as {} */
};
struct answer { /* spans are decoded and live in the arena */
    struct span id, model;
    struct span text, thinking, refusal;
    struct answer_tool tools[ANSWER_TOOLS_MAX];
    size_t tool_count;
    struct span stop, stop_sequence; /* the dialect's own word */
    int64_t input;                   /* not from cache; -1 not told, as are the others */
    int64_t cache_read, cache_write, output, reasoning;
    bool error;    /* an error body or event */
    bool complete; /* the terminal mark came (whole answers: always) */
};

/* False: not an answer of that dialect. Gemini's stop is told in chat's words. */
bool answer_of_messages(struct arena *a, struct span body, bool streamed, struct answer *out);
bool answer_of_chat(struct arena *a, struct span body, bool streamed, struct answer *out);
bool answer_of_gemini(struct arena *a, struct span body, bool streamed, struct answer *out);

/* stop: "completed", or why it is incomplete. Streams: from the items when they are done. */
bool answer_of_responses(struct arena *a, struct span body, bool streamed, struct answer *out);

/* Same JSON value: members in any order, numbers by their text or value, strings decoded. */
bool json_same(struct arena *a, struct json x, struct json y);
bool json_text_same(struct arena *a, struct span x, struct span y);
