/* The facts, each with where and when it was read. Keys are never among the values: a client takes
 * its key from its own login, or from the environment, which `key` says. */
#include "tools/connect/clients.h"
#include "base/buf.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ "read 2026-11-26"

#define ANTHROPIC_ENV                                                                              \
    "export ANTHROPIC_BASE_URL=@\n"                                                                \
    "export ANTHROPIC_API_KEY=\"${ANTHROPIC_API_KEY:-any}\"\n"
#define OPENAI_ENV                                                                                 \
    "export OPENAI_BASE_URL=@/v1\n"                                                                \
    "export OPENAI_API_KEY=\"${OPENAI_API_KEY:-any}\"\n"
#define ANTHROPIC_SOURCE                                                                           \
    "github.com/anthropics, the SDKs' source: -python @009b0353, -go @0006a889, -java @1b418230"
#define OPENAI_SOURCE                                                                              \
    "github.com/openai, the SDKs' source: -python @e43b4224, -go @06619bb6, -java @0f394802"
#define SHELL "the shell that starts your program"
#define ANTHROPIC_UNDO "unset ANTHROPIC_BASE_URL; and ANTHROPIC_API_KEY where it is \"any\""
#define OPENAI_UNDO "unset OPENAI_BASE_URL; and OPENAI_API_KEY where it is \"any\""
#define CODE_UNDO "take the base URL out of your program again"

/* Rows of SDKs that read the same variables. */
#define ANTHROPIC_SDK(language)                                                                    \
    {                                                                                              \
        .name = "anthropic-" language, .where = SHELL, .lines = ANTHROPIC_ENV,                     \
        .undo = ANTHROPIC_UNDO, .source = ANTHROPIC_SOURCE                                         \
    }
#define OPENAI_SDK(language)                                                                       \
    {                                                                                              \
        .name = "openai-" language, .where = SHELL, .lines = OPENAI_ENV, .undo = OPENAI_UNDO,      \
        .source = OPENAI_SOURCE                                                                    \
    }

const struct client clients[] = {
    {.name = "claude-code",
     .where = "the shell that starts claude; --write: ~/.claude/settings.json",
     .lines = ANTHROPIC_ENV "claude --model ~\n",
     .undo = ANTHROPIC_UNDO,
     .key = "claude keeps its login, or takes ANTHROPIC_API_KEY from the shell: none is written",
     .source = "code.claude.com, llm-gateway-connect and settings, " READ "; run with 2.1.330",
     .file = {.format = EDIT_JSON,
              .dir_env = "CLAUDE_CONFIG_DIR",
              .dir = ".claude",
              .name = "settings.json",
              .settings = {{{"env", "ANTHROPIC_BASE_URL"}, "@", 0}, {{"model"}, "~", 0}}}},
    {.name = "codex",
     .where = "~/.codex/config.toml",
     .undo = "remove model_provider and [model_providers.hotspare] from ~/.codex/config.toml",
     .key = "Codex takes the key from OPENAI_API_KEY and stops when it is not set: export it, or "
            "the word any where the gateway asks for none",
     .source = "github.com/openai/codex, docs/config.md (wire_api takes responses alone), " READ
               "; run with 0.171.0",
     .file = {.format = EDIT_TOML,
              .dir_env = "CODEX_HOME",
              .dir = ".codex",
              .name = "config.toml",
              .settings = {{{"model_provider"}, "hotspare", 0},
                           {{"model"}, "~", 0},
                           {{"model_providers", "hotspare", "name"}, "Hotspare", 0},
                           {{"model_providers", "hotspare", "base_url"}, "@/v1", 0},
                           {{"model_providers", "hotspare", "env_key"}, "OPENAI_API_KEY", 0},
                           {{"model_providers", "hotspare", "wire_api"}, "responses", 0}}}},
    {.name = "cursor",
     .where = "Cursor Settings > Models > API Keys; it keeps them in a database, so by hand",
     .lines = "OpenAI API Key:            on; your gateway's key, or the word any\n"
              "Override OpenAI Base URL:  on; @/v1\n"
              "Add Custom Model:          ~\n",
     .undo = "turn off \"Override OpenAI Base URL\" in Cursor Settings > Models > API Keys",
     .key = "the requests come from Cursor's servers: the address must be reachable from the "
            "Internet, 127.0.0.1 is not; Tab completion does not use it",
     .source = "developers.cloudflare.com/ai-gateway and ngrok.com/docs, pages on Cursor, " READ},
    {.name = "cline",
     .where =
         "Cline's settings, provider Anthropic; --write: ~/.cline/data/settings/providers.json",
     .lines = "API Provider:          Anthropic\n"
              "Use custom base URL:   on; @\n"
              "Model:                 ~\n",
     .undo = "turn off \"Use custom base URL\" in Cline's settings",
     .key = "Cline keeps its own key: none is written",
     .source = "github.com/cline/cline, core: provider settings schema version 1; docs.cline.bot, "
               "cli/configuration, " READ "; run with the command line's 3.0.65",
     .file = {.format = EDIT_JSON,
              .dir = ".cline/data/settings",
              .name = "providers.json",
              .settings = {{{"providers", "anthropic", "settings", "baseUrl"}, "@", 3},
                           {{"providers", "anthropic", "settings", "model"}, "~", 3}}}},
    {.name = "continue",
     .where = "~/.continue/config.yaml",
     .undo = "remove the model called Hotspare from ~/.continue/config.yaml",
     .key = "Continue takes ANTHROPIC_API_KEY from ~/.continue/.env; where the gateway asks for no "
            "key, put the word any there",
     .source = "github.com/continuedev/continue, core/llm/llms/Anthropic.ts @007e4f52 and "
               "docs/reference, " READ "; run with the command line's 1.5.47",
     .file = {.format = EDIT_YAML,
              .dir_env = "CONTINUE_GLOBAL_DIR",
              .dir = ".continue",
              .name = "config.yaml",
              .preamble = "name: Local Config\nversion: 1.0.0\nschema: v1",
              .settings = {{{"models", "name"}, "Hotspare", 0},
                           {{"models", "provider"}, "anthropic", 0},
                           {{"models", "model"}, "~", 0},
                           {{"models", "apiBase"}, "@/v1/", 0},
                           {{"models", "apiKey"}, "${{ secrets.ANTHROPIC_API_KEY }}", 0}},
              .needs_model = true}},
    {.name = "opencode",
     .where = "~/.config/opencode/opencode.json",
     .undo = "remove provider.anthropic.options.baseURL and model from opencode.json",
     .key = "OpenCode keeps its own key (/connect): none is written",
     .source =
         "opencode.ai/v1/docs/providers and docs/migrate-v1 (version 2 reads it as well), " READ
         "; run with 1.18.33",
     .file = {.format = EDIT_JSONC,
              .dir_env = "XDG_CONFIG_HOME",
              .dir = ".config",
              .name = "opencode/opencode.json",
              .other_name = "opencode/opencode.jsonc",
              .settings = {{{"provider", "anthropic", "options", "baseURL"}, "@/v1", 0},
                           {{"model"}, "anthropic/~", 0}}}},
    {.name = "zed",
     .where = "~/.config/zed/settings.json",
     .undo = "remove language_models.anthropic.api_url from Zed's settings.json",
     .key =
         "Zed keeps its key in the system's keychain, or takes ANTHROPIC_API_KEY: none is written",
     .source = "github.com/zed-industries/zed, default settings; docs/src/ai/use-api-access.md "
               "@03560fd4, " READ,
     .file = {.format = EDIT_JSONC,
              .dir_env = "XDG_CONFIG_HOME",
              .dir = ".config",
              .name = "zed/settings.json",
              .settings = {{{"language_models", "anthropic", "api_url"}, "@", 0}}}},
    {.name = "langchain",
     .where = "your program, Python",
     .lines = "from langchain_anthropic import ChatAnthropic\n"
              "llm = ChatAnthropic(model=\"~\", base_url=\"@\")\n",
     .undo = CODE_UNDO,
     .key = "it takes ANTHROPIC_API_KEY from the environment",
     .source = "langchain-anthropic 1.7.7"},
    {.name = "llamaindex",
     .where = "your program, Python",
     .lines = "from llama_index.llms.anthropic import Anthropic\n"
              "llm = Anthropic(model=\"~\", base_url=\"@\")\n",
     .undo = CODE_UNDO,
     .key = "it takes ANTHROPIC_API_KEY from the environment",
     .source = "github.com/run-llama/llama_index, llms-anthropic, base.py, " READ},
    {.name = "vercel-ai-sdk",
     .where = "your program, TypeScript",
     .lines = "import { createAnthropic } from \"@@ai-sdk/anthropic\";\n"
              "const anthropic = createAnthropic({ baseURL: \"@/v1\" });\n"
              "const model = anthropic(\"~\");\n",
     .undo = CODE_UNDO,
     .key = "it takes ANTHROPIC_API_KEY from the environment",
     .source = "@ai-sdk/anthropic 4.0.105"},
    ANTHROPIC_SDK("python"),
    ANTHROPIC_SDK("typescript"),
    ANTHROPIC_SDK("go"),
    ANTHROPIC_SDK("java"),
    {.name = "anthropic-csharp",
     .where = SHELL,
     .lines = ANTHROPIC_ENV,
     .undo = ANTHROPIC_UNDO,
     .source = "github.com/anthropics/anthropic-sdk-csharp, examples/MessagesExample, " READ},
    OPENAI_SDK("python"),
    OPENAI_SDK("typescript"),
    OPENAI_SDK("go"),
    OPENAI_SDK("java"),
    {.name = "openai-csharp",
     .where = "your program, C#",
     .lines = "using OpenAI;\n"
              "using System.ClientModel;\n"
              "var key = Environment.GetEnvironmentVariable(\"OPENAI_API_KEY\") ?? \"any\";\n"
              "var client = new OpenAIClient(new ApiKeyCredential(key),\n"
              "    new OpenAIClientOptions { Endpoint = new Uri(\"@/v1\") });\n"
              "var chat = client.GetChatClient(\"~\");\n",
     .undo = CODE_UNDO,
     .source = "github.com/openai/openai-dotnet, OpenAIClientOptions.Endpoint, " READ},
    {.name = "curl",
     .where = "a shell",
     .lines =
         "curl -sS @/v1/messages -H 'content-type: application/json' \\\n"
         "  -H 'anthropic-version: 2023-06-01' -H \"x-api-key: ${ANTHROPIC_API_KEY:-any}\" \\\n"
         "  -d '{\"model\":\"~\",\"max_tokens\":64,"
         "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n",
     .undo = "nothing is kept",
     .source = "platform.claude.com, API reference"},
};
const size_t client_count = ARRAY_LEN(clients);

const struct client *client_named(const char *name)
{
    for (size_t i = 0; i < client_count; i++)
        if (strcmp(clients[i].name, name) == 0)
            return &clients[i];
    (void)fprintf(stderr,
                  "hotspare: no client is called \"%s\"; hotspare connect --list has them\n", name);
    return NULL;
}

struct span client_fill(const char *text, const char *url, const char *model, struct arena *a)
{
    struct span out = SPAN_EMPTY;
    for (size_t n; *text; text += n) {
        n = strcspn(text, "@~");
        const char *value = n ? NULL : *text == '@' ? url : model;
        if (span_starts(span_from(text), SPAN("@@"))) {
            value = "@";
            text++;
        }
        out = arena_printf(a, "%.*s%.*s%s", SPAN_FMT(out), (int)n, text, value ? value : "");
        n += !n;
    }
    return out;
}

size_t client_wants(const struct client *c, const char *url, const char *model, struct arena *a,
                    struct edit_want out[EDIT_WANTS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < EDIT_WANTS_MAX && c->file.settings[i].value; i++) {
        const struct edit_want *w = &c->file.settings[i];
        if (!model && strchr(w->value, '~'))
            continue;
        out[count] = *w;
        out[count++].value = client_fill(w->value, url, model, a).at;
    }
    return count;
}

const char *client_path(const struct client *c, struct arena *a)
{
    const struct client_file *f = &c->file;
    const char *home = getenv("HOME"), *dir = f->dir_env ? getenv(f->dir_env) : NULL;
    if (!(dir && dir[0]) && !(home && home[0]))
        return NULL;
    if (!dir || !dir[0])
        dir = arena_printf(a, "%s/%s", home, f->dir).at;
    const char *other = f->other_name ? arena_printf(a, "%s/%s", dir, f->other_name).at : NULL;
    const char *path = arena_printf(a, "%s/%s", dir, f->name).at;
    return other && access(path, F_OK) != 0 && access(other, F_OK) == 0 ? other : path;
}
