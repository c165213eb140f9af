#pragma once
/* What a target can carry: one table by kind and model, so that writers ask a fact instead of
 * knowing providers.
 *
 * Pure. Presets are dated and sourced in capability.c; a probe may overwrite a copy later. */
#include "base/base.h"

enum target_kind {
    TARGET_ANTHROPIC,
    TARGET_OPENAI,
    TARGET_OPENAI_COMPATIBLE,
    TARGET_VLLM,
    TARGET_LLAMA_CPP,
    TARGET_OLLAMA,
    TARGET_MISTRAL,
    TARGET_AZURE_OPENAI,
    TARGET_GEMINI,
    TARGET_BEDROCK,
    TARGET_VERTEX,
    TARGET_STANDIN,
    TARGET_COMMAND, /* an engine of any make that is started by its command line */
    TARGET_KIND_COUNT
};
/* The configuration's word: "llama.cpp". */
const char *target_kind_name(enum target_kind k);
MUST_USE enum err target_kind_parse(struct span word, enum target_kind *out);

/* Words of reasoning effort, weakest first. */
enum effort {
    EFFORT_NONE,
    EFFORT_MINIMAL,
    EFFORT_LOW,
    EFFORT_MEDIUM,
    EFFORT_HIGH,
    EFFORT_XHIGH,
    EFFORT_MAX,
    EFFORT_COUNT
};
const char *effort_name(enum effort e);
MUST_USE enum err effort_parse(struct span word, enum effort *out);
/* The accepted word nearest to the wanted one: itself, else the next weaker, else the next
 * stronger. efforts: BIT(enum effort) of each accepted word, not 0. */
enum effort effort_fit(uint32_t efforts, enum effort wanted);

struct capability {
    /* OpenAI-chat side */
    bool responses_only;        /* answered by /responses, not by /chat/completions */
    bool tools_by_responses;    /* tools are refused by /chat/completions, unless effort is none */
    bool text_completions;      /* answered by /completions, too, or alone */
    bool max_completion_tokens; /* says max_completion_tokens instead of max_tokens */
    bool developer_role;        /* system texts go as role developer */
    bool sampling;              /* temperature / top_p accepted */
    bool top_k;
    bool stop;             /* stop sequences accepted */
    uint32_t stop_max;     /* how many */
    bool reasoning_effort; /* accepts reasoning_effort */
    uint32_t efforts;      /* BIT(enum effort) of the words accepted, on either side; 0 none */
    bool reasoning_replay; /* past thinking goes back as reasoning_content */
    bool images, pdf, audio;
    bool image_urls; /* http(s) image URLs, not only data: */
    bool file_ids;
    bool json_schema;   /* response_format json_schema / output_config.format */
    bool json_strict;   /* `strict` understood in tools and formats */
    bool custom_tools;  /* takes free-text tools as such; else they become functions */
    bool parallel_flag; /* parallel_tool_calls understood */
    bool stream_options;
    bool safety_identifier; /* user id goes as safety_identifier, else user */
    bool tool_id_nine;      /* Mistral: tool ids are nine characters of [a-zA-Z0-9] */
    uint32_t tool_name_max;
    /* Gemini side; thinking_budget and thinking_off, reasoning_effort and efforts hold there, too
     */
    bool signed_calls;    /* refuses the first call of a turn without a thought signature */
    bool json_with_tools; /* takes an output format and tools in one request */
    /* Anthropic side */
    bool thinking_adaptive, thinking_budget, thinking_off, forced_tool_with_thinking, effort,
        top_p_with_temperature;
    const char *body_version; /* Messages in a cloud: the body names no model, but this as
                                 anthropic_version; NULL: Claude's own API */
    bool stream_by_path;      /* ... and whether to stream is told by the path, too */
    /* Bedrock's other models */
    bool converse;         /* spoken to in Converse, not in Messages */
    bool rich_results;     /* a tool's result holds images, and says that it failed */
    bool whole_tools;      /* takes tools only where a whole answer is asked for */
    bool reasoning_config; /* effort is said by Nova's reasoningConfig */
    /* Any side */
    bool forced_tool; /* tool_choice any / required / named accepted at all */
    bool mid_system;  /* role system inside messages */
    bool prefill;     /* a last assistant message is continued */
    /* Lacks that no preset knows of, but a probe may find (probed.h). */
    bool no_stream;     /* asked to stream it answers whole, or does not end its streams */
    bool no_tools;      /* tools are refused, or never called */
    int64_t max_output; /* used where max_tokens is required and none was given, and to clamp; 0
                           unknown */
    int64_t context;    /* tokens; 0 unknown */
    /* What its provider writes into the prompt by itself, in tokens. */
    int64_t tool_prompt;        /* around tools, whatever they are */
    int64_t forced_tool_prompt; /* ... where one must be called; 0 = the same */
    int64_t thinking_prompt;    /* where it is to think */
    int64_t format_prompt;      /* around a JSON Schema for the answer */
    bool single_digits;         /* its tokenizer takes each digit by itself */
    bool claude_prompt; /* Claude's frame around messages, and the blank before a digit counts */
    bool cuts_prompt;   /* a prompt longer than the context is cut without a word */
    const char *source; /* where the preset is from, with its date */
};

/* The preset for a kind and a model name (plain text). Never fails: unknown models get the kind's
 * defaults. */
struct capability capability_preset(enum target_kind kind, struct span model);

/* What is known of a host that serves many models in OpenAI's words, for kind openai-compatible:
 * changes *c. host: plain, with or without a port. False: nothing is known of it. */
bool capability_at_host(struct capability *c, struct span host, struct span model);

#define CAPABILITY_NAME_MAX 64
/* The i-th model that is known by name at this kind, as presets are looked up: '-' for '.', and the
 * beginning of longer names (kind vllm: any part of them). One may stand for all others: "gemini-".
 * False: there is no such. */
bool capability_known(enum target_kind kind, size_t i, char out[CAPABILITY_NAME_MAX]);

/* The vocabulary of x-hotspare-lossy. */
#define LOSSY_CACHE_CONTROL "cache_control"
#define LOSSY_THINKING "thinking"
#define LOSSY_REDACTED_THINKING "redacted_thinking"
#define LOSSY_CITATIONS "citations"
#define LOSSY_IMAGE "image"
#define LOSSY_TOOL_RESULT_IMAGE "tool_result_image" /* moved to a user turn */
#define LOSSY_TOOL_ERROR "tool_result_error"        /* flag became a text mark */
#define LOSSY_SERVER_TOOL "server_tool"
#define LOSSY_TOP_K "top_k"
#define LOSSY_SAMPLING "sampling"
#define LOSSY_STOP "stop_sequences"
#define LOSSY_EFFORT "effort" /* approximated */
#define LOSSY_FORMAT "output_format"
#define LOSSY_SYSTEM_ORDER "system_order"
#define LOSSY_DOCUMENT "document"
#define LOSSY_AUDIO "audio"
#define LOSSY_PREFILL "prefill"
#define LOSSY_LOGPROBS "logprobs"
#define LOSSY_SEED "seed"
#define LOSSY_PENALTIES "penalties"
#define LOSSY_USER_ID "user_id"
#define LOSSY_SERVICE_TIER "service_tier"
#define LOSSY_TOOL_NAME "tool_name" /* shortened, mapped back */
#define LOSSY_PARALLEL_TOOLS "parallel_tools"
#define LOSSY_CONTEXT_MANAGEMENT "context_management"
#define LOSSY_TOOL_CHOICE "tool_choice" /* a forced choice became a free one */
#define LOSSY_STRICT "strict_tools"     /* schema adherence is asked for, not enforced */
#define LOSSY_FIRST_TURN "first_turn"   /* a user turn was put before a leading assistant turn */
#define LOSSY_MAX_TOKENS "max_tokens"   /* lowered to what the target can give */
#define LOSSY_TOOL_RESULT_SHORTENED "tool_result_shortened" /* old ones, to fit the context */
#define LOSSY_TOKEN_COUNT "token_count" /* estimated, not counted by the target */
#define LOSSY_OTHER "other_fields"
