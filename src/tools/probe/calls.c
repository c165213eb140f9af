/* The conversations as rows: what stands between the common beginning and end of a request, and how
 * long an answer may be. Each asks for something that tells by itself whether the feature worked: a
 * word to be found, numbered words, a call to be made. */
#include "tools/probe/calls.h"

#include "base/buf.h"
#include "base/span.h"
#include "dialect/dialect.h"
#include "dialect/tokens.h"

#define ANSWER 300 /* tokens: room for a short thought before a short answer */
#define THINKING 2048
#define FILLER_WORDS 12 /* of each line of CALL_CONTEXT */

/* 64 x 64 pixels of red. Large enough for servers that want a patch or two. */
#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAS0lEQVR42u3PQQkAAAgAsetfWiP4FgYrsKZeS0BA"     \
    "QEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEDgsqnc8OJg6Ln3AAAAAElFTkSuQmCC"
/* One page: "The word is PELICAN." */
#define PDF                                                                                        \
    "JVBERi0xLjQKMSAwIG9iajw8L1R5cGUvQ2F0YWxvZy9QYWdlcyAyIDAgUj4+ZW5kb2JqCjIgMCBvYmo8PC9UeXBl"     \
    "L1BhZ2VzL0tpZHNbMyAwIFJdL0NvdW50IDE+PmVuZG9iagozIDAgb2JqPDwvVHlwZS9QYWdlL1BhcmVudCAyIDAg"     \
    "Ui9NZWRpYUJveFswIDAgMzAwIDEwMF0vQ29udGVudHMgNCAwIFIvUmVzb3VyY2VzPDwvRm9udDw8L0YgNSAwIFI+"     \
    "Pj4+Pj5lbmRvYmoKNCAwIG9iajw8L0xlbmd0aCA0OT4+c3RyZWFtCkJUIC9GIDI0IFRmIDIwIDQwIFRkIChUaGUg"     \
    "d29yZCBpcyBQRUxJQ0FOLikgVGogRVQKZW5kc3RyZWFtZW5kb2JqCjUgMCBvYmo8PC9UeXBlL0ZvbnQvU3VidHlw"     \
    "ZS9UeXBlMS9CYXNlRm9udC9IZWx2ZXRpY2E+PmVuZG9iagp4cmVmCjAgNgowMDAwMDAwMDAwIDY1NTM1IGYgCjAw"     \
    "MDAwMDAwMDkgMDAwMDAgbiAKMDAwMDAwMDA1MiAwMDAwMCBuIAowMDAwMDAwMTAxIDAwMDAwIG4gCjAwMDAwMDAy"     \
    "MTAgMDAwMDAgbiAKMDAwMDAwMDMwNCAwMDAwMCBuIAp0cmFpbGVyPDwvU2l6ZSA2L1Jvb3QgMSAwIFI+PgpzdGFy"     \
    "dHhyZWYKMzY1CiUlRU9GCg=="

#define TEXT(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define SAID(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define WRITE                                                                                      \
    "Write this line, exactly and nothing else: w1 w2 w3 w4 w5 w6 w7 w8 w9 w10 w11 w12 w13 w14 "   \
    "w15 w16 w17 w18 w19 w20 w21 w22 w23 w24 w25 w26 w27 w28 w29 w30 w31 w32 w33 w34 w35 w36 "     \
    "w37 w38 w39 w40"
#define IMAGE                                                                                      \
    "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"   \
    "\"" PNG "\"}}"
#define TOOLS                                                                                      \
    ",\"tools\":[{\"name\":\"get_weather\",\"description\":\"The weather in a city "               \
    "now.\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}" \
    ","                                                                                            \
    "\"required\":[\"city\"]}},{\"name\":\"get_time\",\"description\":\"The time in a zone "       \
    "now.\",\"input_schema\":{\"type\":\"object\",\"properties\":{\"zone\":{\"type\":\"string\"}}" \
    ","                                                                                            \
    "\"required\":[\"zone\"]}}]"
#define ASK_BOTH                                                                                   \
    TEXT("What is the weather in Oslo, and what time is it in the zone CET? Call both tools now, " \
         "in one turn.")
#define CALLED                                                                                     \
    TEXT("What is the weather in Oslo?")                                                           \
    ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"toolu_probe01\","       \
    "\"name\":\"get_weather\",\"input\":{\"city\":\"Oslo\"}}]},"
#define RESULT(content)                                                                            \
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_probe01\"," \
    "\"content\":[" content "]}]}"
#define SCHEMA                                                                                     \
    ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","    \
    "\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"],"                     \
    "\"additionalProperties\":false}}}"

static const struct call_row {
    const char *name;
    int64_t max_tokens;
    const char *messages, *more;
} rows[CALLS] = {
    [CALL_TEXT] = {"text", ANSWER, TEXT(WRITE), ""},
    [CALL_SYSTEM] = {"system", ANSWER, TEXT("What is the code word?"),
                     ",\"system\":\"The code word is " CALL_WORD ". Tell it when asked.\""},
    [CALL_TURNS] = {"multi-turn", ANSWER,
                    TEXT("The code word is " CALL_WORD
                         ".") "," SAID("I will remember it.") "," TEXT("What is the code word?"),
                    ""},
    [CALL_STREAM] = {"stream", ANSWER, TEXT(WRITE), ""},
    [CALL_TOOLS] = {"tools", ANSWER, ASK_BOTH, TOOLS},
    [CALL_FORCED] = {"forced-tool", ANSWER, ASK_BOTH, TOOLS ",\"tool_choice\":{\"type\":\"any\"}"},
    [CALL_RESULTS] = {"tool-results", ANSWER,
                      CALLED RESULT("{\"type\":\"text\",\"text\":\"22 degrees\"}"), TOOLS},
    [CALL_RESULT_IMAGE] = {"tool-result-images", ANSWER, CALLED RESULT(IMAGE), TOOLS},
    [CALL_IMAGE] = {"images", ANSWER,
                    "{\"role\":\"user\",\"content\":[" IMAGE
                    ",{\"type\":\"text\",\"text\":\"Which colour is this picture? One word.\"}]}",
                    ""},
    [CALL_PDF] = {"pdf", ANSWER,
                  "{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
                  "\"base64\",\"media_type\":\"application/pdf\",\"data\":\"" PDF "\"}},"
                  "{\"type\":\"text\",\"text\":\"Which word does the document name? One word.\"}]}",
                  ""},
    [CALL_SCHEMA] = {"json-schema", ANSWER, TEXT("Where does the Eiffel tower stand?"), SCHEMA},
    [CALL_STOP] = {"stop", ANSWER, TEXT(WRITE), ",\"stop_sequences\":[\"w7\"]"},
    [CALL_MAX_TOKENS] = {"max-tokens", CALL_LEAST_TOKENS, TEXT(WRITE), ""},
    [CALL_THINKING] = {"thinking", THINKING, TEXT("What is 17 times 23?"),
                       ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"},
    [CALL_THINKING_ADAPTIVE] = {"thinking", THINKING, TEXT("What is 17 times 23?"),
                                ",\"thinking\":{\"type\":\"adaptive\"}"},
    [CALL_PREFILL] = {"prefill", ANSWER, TEXT(WRITE) "," SAID("w1 w2 w3"), ""},
    [CALL_CONTEXT] = {"long-context", ANSWER, NULL, ""},
};

const char *call_name(enum probe_call c)
{
    return rows[c].name;
}

/* The word first, then lines of nothing, then the question. */
static struct span long_message(struct arena *a, int64_t context)
{
    struct buf text;
    buf_init(&text, (size_t)16 << 20);
    enum err e = buf_add_cstr(&text, "{\"role\":\"user\",\"content\":\"The code word is " CALL_WORD
                                     ". What follows does not matter.");
    for (int64_t n = 0; e == ERR_OK && n < context; n += FILLER_WORDS)
        e = buf_add_cstr(&text, "\\nthe old river ran on past the mill and into the sea");
    if (e == ERR_OK)
        e = buf_add_cstr(&text, "\\nWhat is the code word, in the first line?\"}");
    struct span kept = e == ERR_OK ? arena_copy(a, buf_span(&text)) : SPAN_EMPTY;
    buf_deinit(&text);
    return kept;
}

struct chat_request *call_request(struct arena *a, enum probe_call c, int64_t context)
{
    struct chat_request *r = arena_new(a, struct chat_request);
    struct chat_problem problem;
    struct json_doc *doc = arena_new(a, struct json_doc);
    struct span messages =
        rows[c].messages ? span_from(rows[c].messages) : long_message(a, context);
    struct span text =
        arena_printf(a, "{\"model\":\"probe\",\"max_tokens\":%lld,\"messages\":[%.*s]%s}",
                     (long long)rows[c].max_tokens, SPAN_FMT(messages), rows[c].more);
    *r = (struct chat_request){.max_tokens = -1, .choices = 1};
    enum err e = json_parse(a, text, NULL, doc, NULL);
    if (e == ERR_OK)
        e = dialect_anthropic.read_request(a, doc, r, &problem);
    assert(e == ERR_OK); /* the rows above are ours */
    return r;
}

void call_most(const struct chat_request *r, const struct capability *cap, int64_t *out_in,
               int64_t *out_out)
{
    *out_in = tokens_of_request(r, cap);
    *out_out = r->max_tokens;
}
