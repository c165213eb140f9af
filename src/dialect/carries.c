/* The probes: one small request for each feature of either door. */
#include "dialect/carries.h"

#include "dialect/dialect_internal.h"

struct probe {
    struct carry_feature feature;
    const char *body; /* behind `{"model":"m",` */
};

#define MINIMAL "\"max_tokens\":2048,\"messages\":"
#define TURN(content) "{\"role\":\"user\",\"content\":" content "}"
#define HI TURN("\"hi\"")
#define ASK "\"max_tokens\":2048,\"messages\":[" HI "]"
#define USER(part) MINIMAL "[" TURN("[" part "]") "]"
#define PNG "iVBORw0KGgo="
#define SOURCE(type, rest) "{\"type\":\"" type "\",\"source\":{" rest "}}"
#define SCHEMA "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}"
#define TOOL(rest) "{\"name\":\"f\",\"input_schema\":" SCHEMA rest "}"
#define TOOLS ASK ",\"tools\":[" TOOL("") "]"
#define CALL "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"
#define ROUND(before, result)                                                                      \
    MINIMAL "[" HI ",{\"role\":\"assistant\",\"content\":[" before CALL                            \
            "]}," TURN("[{\"type\":\"tool_result\",\"tool_use_id\":\"t\"," result                  \
                       "}]") "],"                                                                  \
                             "\"tools\":[" TOOL("") "]"
#define FORMAT "\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":" SCHEMA "}}"

static const struct probe messages[] = {
    {{"text", "`text`"}, ASK},
    {{"system prompt", "`system`"}, ASK ",\"system\":\"s\""},
    {{"system text between turns", "role `system`"},
     MINIMAL "[" HI ",{\"role\":\"system\",\"content\":\"s\"}," HI "]"},
    {{"picture", "`image`, base64"},
     USER(
         SOURCE("image", "\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"" PNG "\""))},
    {{"picture by URL", "`image`, url"},
     USER(SOURCE("image", "\"type\":\"url\",\"url\":\"https://example.com/a.png\""))},
    {{"picture by file id", "`image`, file"},
     USER(SOURCE("image", "\"type\":\"file\",\"file_id\":\"f\""))},
    {{"PDF", "`document`, base64"},
     USER(SOURCE(
         "document",
         "\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"JVBERi0xLjQ=\""))},
    {{"document that is text", "`document`, text"},
     USER(SOURCE("document", "\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"d\""))},
    {{"citations", "`citations` of a document"},
     USER("{\"type\":\"document\",\"citations\":{\"enabled\":true},\"source\":{\"type\":\"text\","
          "\"media_type\":\"text/plain\",\"data\":\"d\"}}")},
    {{"search result", "`search_result`"},
     USER("{\"type\":\"search_result\",\"source\":\"https://example.com\",\"title\":\"t\","
          "\"content\":[{\"type\":\"text\",\"text\":\"r\"}]}")},
    {{"tools and their results", "`tools`, `tool_use`, `tool_result`"},
     ROUND("", "\"content\":\"r\"")},
    {{"failed result", "`is_error`"}, ROUND("", "\"is_error\":true,\"content\":\"r\"")},
    {{"picture in a result", "`image` in `tool_result`"},
     ROUND("", "\"content\":[" SOURCE("image", "\"type\":\"base64\",\"media_type\":\"image/png\","
                                               "\"data\":\"" PNG "\"") "]")},
    {{"a tool must be called", "`tool_choice` any, tool"},
     TOOLS ",\"tool_choice\":{\"type\":\"any\"}"},
    {{"one call at a time", "`disable_parallel_tool_use`"},
     TOOLS ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"},
    {{"strict tool", "`strict`"}, ASK ",\"tools\":[" TOOL(",\"strict\":true") "]"},
    {{"Anthropic's own tools at the client", "`bash_20250124`, `text_editor_*`, `memory_*`"},
     ASK ",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"}]"},
    {{"tools that run at Anthropic", "`web_search_20250305`"},
     ASK ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]"},
    {{"adaptive thinking", "`thinking` adaptive"}, ASK ",\"thinking\":{\"type\":\"adaptive\"}"},
    {{"thinking by budget", "`thinking` enabled"},
     ASK ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"},
    {{"no thinking", "`thinking` disabled"}, ASK ",\"thinking\":{\"type\":\"disabled\"}"},
    {{"effort", "`output_config.effort`"}, ASK ",\"output_config\":{\"effort\":\"high\"}"},
    {{"past thinking", "`thinking` block"},
     ROUND("{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},", "\"content\":\"r\"")},
    {{"answer by JSON Schema", "`output_config.format`"}, ASK "," FORMAT},
    {{"JSON Schema beside tools", "`output_config.format`, `tools`"}, TOOLS "," FORMAT},
    {{"answer begun by the client", "last message `assistant`"},
     MINIMAL "[" HI ",{\"role\":\"assistant\",\"content\":\"a\"}]"},
    {{"temperature", "`temperature`"}, ASK ",\"temperature\":0.5"},
    {{"top_p", "`top_p`"}, ASK ",\"top_p\":0.5"},
    {{"top_k", "`top_k`"}, ASK ",\"top_k\":5"},
    {{"stop sequence", "`stop_sequences`"}, ASK ",\"stop_sequences\":[\"a\"]"},
    {{"six stop sequences", "`stop_sequences`"},
     ASK ",\"stop_sequences\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]"},
    {{"cache marks", "`cache_control`"},
     USER("{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{\"type\":\"ephemeral\"}}")},
    {{"the user's id", "`metadata.user_id`"}, ASK ",\"metadata\":{\"user_id\":\"u\"}"},
    {{"service tier", "`service_tier`"}, ASK ",\"service_tier\":\"standard_only\""},
    {{"context management", "`context_management`"},
     ASK ",\"context_management\":{\"edits\":[{\"type\":\"clear_tool_uses_20250919\"}]}"},
};

#define IMAGE_URL(url) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"
#define FUNCTION(rest)                                                                             \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":" SCHEMA rest "}}"
#define FUNCTIONS ASK ",\"tools\":[" FUNCTION("") "]"

static const struct probe chat[] = {
    {{"text", "`content`"}, ASK},
    {{"system text between turns", "role `system`, `developer`"},
     MINIMAL "[" HI ",{\"role\":\"system\",\"content\":\"s\"}," HI "]"},
    {{"picture", "`image_url`, data:"}, USER(IMAGE_URL("data:image/png;base64," PNG))},
    {{"picture by URL", "`image_url`"}, USER(IMAGE_URL("https://example.com/a.png"))},
    {{"PDF", "`file`"},
     USER("{\"type\":\"file\",\"file\":{\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
          "pdf;base64,JVBERi0xLjQ=\"}}")},
    {{"file by id", "`file_id`"}, USER("{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}")},
    {{"audio", "`input_audio`"},
     USER("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklGRg==\",\"format\":\"wav\"}}")},
    {{"tools and their results", "`tools`, `tool_calls`"},
     MINIMAL "[" HI ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"t\",\"type\":\"function\","
             "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\","
             "\"tool_call_id\":\"t\",\"content\":\"r\"}],\"tools\":[" FUNCTION("") "]"},
    {{"free-text tool", "`custom`"},
     ASK ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"p\"}}]"},
    {{"free-text tool with a grammar", "`custom.format`"},
     ASK ",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"p\",\"format\":{\"type\":"
         "\"grammar\",\"grammar\":{\"syntax\":\"regex\",\"definition\":\"a\"}}}}]"},
    {{"a tool must be called", "`tool_choice` required"},
     FUNCTIONS ",\"tool_choice\":\"required\""},
    {{"one call at a time", "`parallel_tool_calls`"}, FUNCTIONS ",\"parallel_tool_calls\":false"},
    {{"strict tool", "`strict`"}, ASK ",\"tools\":[" FUNCTION(",\"strict\":true") "]"},
    {{"effort", "`reasoning_effort`"}, ASK ",\"reasoning_effort\":\"high\""},
    {{"any JSON", "`response_format` json_object"},
     ASK ",\"response_format\":{\"type\":\"json_object\"}"},
    {{"answer by JSON Schema", "`response_format` json_schema"},
     ASK ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\","
         "\"schema\":" SCHEMA "}}"},
    {{"answer begun by the client", "last message `assistant`"},
     MINIMAL "[" HI ",{\"role\":\"assistant\",\"content\":\"a\"}]"},
    {{"temperature", "`temperature`"}, ASK ",\"temperature\":0.5"},
    {{"stop sequence", "`stop`"}, ASK ",\"stop\":\"a\""},
    {{"penalties", "`presence_penalty`"}, ASK ",\"presence_penalty\":0.5"},
    {{"seed", "`seed`"}, ASK ",\"seed\":7"},
    {{"log probabilities", "`logprobs`"}, ASK ",\"logprobs\":true"},
    {{"several answers", "`n`"}, ASK ",\"n\":2"},
    {{"the user's id", "`user`"}, ASK ",\"user\":\"u\""},
};

static const struct probe *probes_of(const struct dialect *door, size_t *count)
{
    bool claude = door == &dialect_anthropic;
    assert(claude || door == &dialect_openai_chat);
    *count = claude ? ARRAY_LEN(messages) : ARRAY_LEN(chat);
    return claude ? messages : chat;
}

size_t carry_features(const struct dialect *door)
{
    size_t count;
    (void)probes_of(door, &count);
    return count;
}

const struct carry_feature *carry_feature(const struct dialect *door, size_t i)
{
    size_t count;
    const struct probe *all = probes_of(door, &count);
    assert(i < count);
    return &all[i].feature;
}

#define PROBE_ARENA_MAX ((size_t)1 << 20)

struct carried carries(const struct dialect *door, size_t i, const struct dialect *to,
                       const struct capability *cap)
{
    size_t count;
    const struct probe *all = probes_of(door, &count);
    struct arena a;
    struct json_doc doc;
    struct chat_request r = {.max_tokens = -1, .choices = 1};
    struct chat_problem problem = {0};
    struct dialect_body out = {0};
    assert(i < count);
    if (door == to)
        return (struct carried){.how = CARRY_AS_IS};
    arena_init(&a, PROBE_ARENA_MAX);
    pieces_init(&out.body, &a);
    struct span body = arena_printf(&a, "{\"model\":\"m\",%s}", all[i].body);
    enum err e = json_parse(&a, body, &json_limits_default, &doc, NULL);
    if (e == ERR_OK)
        e = door->read_request(&a, &doc, &r, &problem);
    assert(e == ERR_OK); /* test_carries.c */
    e = to->write_request(&a, &r, cap, SPAN("m"), false, &out, &problem);
    arena_deinit(&a);
    return (struct carried){.how = e != ERR_OK           ? CARRY_REFUSED
                                   : out.lossy.count > 0 ? CARRY_DEGRADED
                                                         : CARRY_CONVERTED,
                            .lossy = out.lossy};
}
