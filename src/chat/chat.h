#pragma once
/* The canonical conversation: what every dialect is read into and written from. N dialects cost N
 * translators.
 *
 * Knows no JSON library, no HTTP and no provider. Values that need no understanding stay raw slices
 * of the client's bytes and are passed on byte for byte. Everything lives in the exchange's arena
 * or borrows from the client's body, which lives as long.
 *
 * Shape: messages carry blocks (Anthropic's grain, the finer one). Tool results are blocks of USER
 * messages. System and developer texts are messages of role SYSTEM wherever they stood; the leading
 * ones are the system prompt. */
#include "base/base.h"

/* Text of either kind: `escaped` = the inside of a JSON string as it came (escapes kept), else
 * plain bytes to escape. */
struct chat_text {
    struct span at;
    bool escaped;
};
#define CHAT_TEXT_LIT(literal) ((struct chat_text){SPAN(literal), true})
static inline bool chat_text_empty(struct chat_text t)
{
    return t.at.len == 0;
}

enum chat_tri { CHAT_UNSET, CHAT_NO, CHAT_YES };

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

enum chat_block_type {
    CHAT_TEXT,
    CHAT_IMAGE,
    CHAT_DOCUMENT,
    CHAT_AUDIO,
    CHAT_THINKING,
    CHAT_REDACTED_THINKING,
    CHAT_TOOL_USE,
    CHAT_TOOL_RESULT,
    CHAT_SERVER_TOOL_USE, /* the provider ran it: web search, code execution, MCP ... */
    CHAT_SERVER_TOOL_RESULT,
    CHAT_SEARCH_RESULT,
    CHAT_REFUSAL,
    CHAT_OTHER, /* known to its own dialect only: `name` is its wire type, `raw` all of it */
};

enum chat_source_kind {
    CHAT_SOURCE_NONE,
    CHAT_SOURCE_BASE64,
    CHAT_SOURCE_URL,
    CHAT_SOURCE_FILE,
    CHAT_SOURCE_TEXT,
    CHAT_SOURCE_BLOCKS
};
struct chat_source {
    enum chat_source_kind kind;
    struct chat_text media_type; /* BASE64 */
    struct chat_text data;       /* base64 text, URL, file id, or plain text */
};

struct chat_block {
    struct chat_block *next;
    enum chat_block_type type;
    struct chat_text text; /* TEXT, THINKING, REFUSAL: the text. REDACTED_THINKING: its data */
    struct chat_text id;   /* TOOL_USE: its id; TOOL_RESULT: the id it answers */
    struct chat_text
        name; /* tool name; DOCUMENT: title or file name; SEARCH_RESULT: title; OTHER: wire type */
    struct chat_text input; /* TOOL_USE: JSON text of the input (escaped = as inside a string, else
                               the raw value) */
    struct chat_text signature; /* THINKING */
    struct chat_source source;  /* IMAGE, DOCUMENT, AUDIO; SEARCH_RESULT: URL in data */
    struct chat_block *content; /* TOOL_RESULT, SEARCH_RESULT, DOCUMENT of kind BLOCKS */
    struct span detail;         /* raw: OpenAI image detail ("high"), audio format */
    struct span citations;      /* raw value */
    struct span raw;            /* the block's whole source JSON; empty when there is none */
    bool is_error;              /* TOOL_RESULT */
    bool cached;                /* carried cache_control or a cache breakpoint */
    bool custom; /* TOOL_USE of an OpenAI custom (free text) tool: input is not JSON */
};

struct chat_message {
    struct chat_message *next;
    enum chat_role role;
    struct chat_block *blocks;
    struct chat_text name; /* OpenAI's optional participant name */
    bool was_string;       /* content came as a plain string */
};

struct chat_tool {
    struct chat_tool *next;
    struct chat_text name, description;
    struct span schema; /* raw JSON Schema; empty when none was given */
    enum chat_tri strict;
    struct span wire_type; /* Anthropic typed tool ("web_search_20250305") or OpenAI "custom"; empty
                              = function */
    bool server;           /* runs at its provider: cannot be carried to another one */
    struct chat_text grammar;   /* of an OpenAI "custom" tool's text; empty: any text */
    struct span grammar_syntax; /* "lark" or "regex", raw */
    struct chat_text space;     /* the OpenAI namespace it stands in; `name` begins with it */
    bool cached;
    struct span raw;
};

enum chat_tool_choice {
    CHAT_CHOICE_UNSET,
    CHAT_CHOICE_AUTO,
    CHAT_CHOICE_ANY,
    CHAT_CHOICE_NONE,
    CHAT_CHOICE_NAMED
};
enum chat_format { CHAT_FORMAT_UNSET, CHAT_FORMAT_TEXT, CHAT_FORMAT_JSON, CHAT_FORMAT_SCHEMA };
enum chat_thinking {
    CHAT_THINKING_UNSET,
    CHAT_THINKING_OFF,
    CHAT_THINKING_BUDGET,
    CHAT_THINKING_ADAPTIVE
};

/* A field the canonical model has no place for. A writer of another dialect that does not carry it
 * says so. */
struct chat_extra {
    struct chat_extra *next;
    struct span name;  /* raw key */
    struct span value; /* raw JSON */
};

struct chat_text_list {
    struct chat_text *at;
    size_t count;
};

struct chat_request {
    struct chat_text model;
    bool stream;
    bool include_usage; /* OpenAI stream_options.include_usage; always true for Anthropic */
    int64_t max_tokens; /* -1 unset */
    struct chat_message *messages;
    struct chat_tool *tools;
    enum chat_tool_choice tool_choice;
    struct chat_text tool_choice_name;
    enum chat_tri parallel_tools;
    struct chat_text_list stop;
    struct span temperature, top_p, top_k; /* raw numbers, empty = unset */
    enum chat_format format;
    struct span format_schema; /* raw */
    struct chat_text format_name;
    enum chat_tri format_strict;
    enum chat_thinking thinking;
    int64_t thinking_budget;
    struct chat_text
        effort; /* "low" "medium" "high" "xhigh" "max" "minimal" "none"; empty = unset */
    struct chat_text user_id;
    int64_t choices;       /* OpenAI n; 1 unless asked otherwise */
    bool legacy_functions; /* asked with OpenAI's old `functions`: answered with function_call */
    bool cached;           /* cache_control at the top level */
    struct chat_extra *extras;
    size_t message_count, tool_count;
    const char *origin; /* name of the dialect whose words raw, citations and extras are in
                           ("anthropic-messages"): its own writer may transplant them; NULL: none */
};

/* Appends at the tail of a list whose link member is `next`. */
#define CHAT_APPEND(head, item)                                                                    \
    do {                                                                                           \
        __typeof__(&(head)) chat_append_at = &(head);                                              \
        while (*chat_append_at)                                                                    \
            chat_append_at = &(*chat_append_at)->next;                                             \
        *chat_append_at = (item);                                                                  \
    } while (0)

/* ---- the answer: one sequence of events, whole or streamed ---- */

enum chat_stop {
    CHAT_STOP_NONE,
    CHAT_STOP_END_TURN,
    CHAT_STOP_MAX_TOKENS,
    CHAT_STOP_SEQUENCE,
    CHAT_STOP_TOOL_USE,
    CHAT_STOP_PAUSE_TURN,
    CHAT_STOP_REFUSAL,
    CHAT_STOP_CONTEXT, /* model_context_window_exceeded */
    CHAT_STOP_COMPACTION,
};

/* -1 = not told. input excludes cached tokens (Anthropic's counting). */
struct chat_usage {
    int64_t input, cache_read, cache_write, output, reasoning;
};
#define CHAT_USAGE_UNKNOWN ((struct chat_usage){-1, -1, -1, -1, -1})
/* Fields that are told replace those of `into`. */
void chat_usage_merge(struct chat_usage *into, const struct chat_usage *told);

/* What went wrong, in no dialect. type is Anthropic's error type word ("overloaded_error"), the
 * richest vocabulary. */
struct chat_error {
    int status;          /* HTTP status that goes with it */
    struct span type;    /* plain */
    struct span code;    /* plain; OpenAI's code or Anthropic's details.error_code; may be empty */
    struct span param;   /* plain; may be empty */
    struct span message; /* plain UTF-8 */
    struct span request_id; /* plain; may be empty */
};

enum chat_event_type {
    CHAT_EV_START,       /* once, first: id, model, usage (what is known) */
    CHAT_EV_BLOCK_START, /* block_type; TOOL_USE: id, name; whole-in-start blocks: raw; id of other
                            blocks: their item's, where the client has seen it */
    CHAT_EV_DELTA,      /* text: a piece of the open block (tool input: a piece of its JSON text) */
    CHAT_EV_SIGNATURE,  /* text: the open thinking block's signature */
    CHAT_EV_CITATION,   /* raw: one citation of the open text block */
    CHAT_EV_BLOCK_STOP, /* raw: all of a block whose start could not bring it */
    CHAT_EV_ITEM_STOP,  /* the item the last block belongs to is done; told only where the client
                           has seen it (chat_event.id) */
    CHAT_EV_USAGE,      /* usage: replaces the fields that are not -1 */
    CHAT_EV_FINISH,     /* stop, stop_sequence, raw = stop_details; all blocks are closed */
    CHAT_EV_END,        /* the provider's own terminal mark: the answer is complete */
    CHAT_EV_ERROR,      /* error: an error told inside a stream; nothing follows */
    CHAT_EV_PING,
};

/* Readers keep this grammar: START (BLOCK_START (DELTA|SIGNATURE|CITATION)* BLOCK_STOP
 * ITEM_STOP?)* FINISH END, with PING and USAGE anywhere after START and ERROR anywhere. Blocks
 * never overlap. Spans live until the sink returns. */
struct chat_event {
    enum chat_event_type type;
    enum chat_block_type block_type;
    struct chat_text id, model, name;
    struct chat_text text;
    struct span raw;
    struct chat_usage usage;
    enum chat_stop stop;
    struct chat_text stop_sequence;
    const struct chat_error *error;
    bool custom; /* TOOL_USE of a custom tool */
    /* DELTA without text: the part that the block is was announced, where the client sees such
     * things (chat_event.id). */
    bool part;
};

struct chat_sink {
    void (*event)(void *ctx, const struct chat_event *e);
    void *ctx;
};

const char *chat_stop_name(enum chat_stop s); /* Anthropic's word: "end_turn" ... */
const char *chat_block_name(enum chat_block_type t);
