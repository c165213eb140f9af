/* Prints what a client needs to reach the gateway. The facts are one table: which variable or key,
 * the base URL with or without /v1, and where that was read. No key of anybody is printed or read:
 * the shell that runs the lines keeps its own. */
#include "tools/connect/connect.h"
#include "base/buf.h"
#include "json/json_write.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define EXIT_USAGE 64
#define EXIT_OSERR 71
#define TEXT_MAX ((size_t)64 << 10)
#define URL_MAX 512
#define DEFAULT_URL "http://127.0.0.1:8484"

/* In the lines, '@' stands for the base URL without /v1 and '~' for the model's name. */
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

static const struct client {
    const char *name, *where, *lines, *source;
} clients[] = {
    {"claude-code", "the shell that starts claude", ANTHROPIC_ENV "claude --model ~\n",
     "code.claude.com, llm-gateway-connect"},
    {"opencode", "opencode.json, version 1",
     "{\n"
     "  \"$schema\": \"https://opencode.ai/config.json\",\n"
     "  \"provider\": {\n"
     "    \"anthropic\": {\n"
     "      \"options\": { \"baseURL\": \"@/v1\" }\n"
     "    }\n"
     "  },\n"
     "  \"model\": \"anthropic/~\"\n"
     "}\n",
     "opencode.ai/v1/docs/providers, read 2026-11-26"},
    {"anthropic-python", "the shell that starts your program", ANTHROPIC_ENV, ANTHROPIC_SOURCE},
    {"anthropic-typescript", "the shell that starts your program", ANTHROPIC_ENV, ANTHROPIC_SOURCE},
    {"anthropic-go", "the shell that starts your program", ANTHROPIC_ENV, ANTHROPIC_SOURCE},
    {"anthropic-java", "the shell that starts your program", ANTHROPIC_ENV, ANTHROPIC_SOURCE},
    {"openai-python", "the shell that starts your program", OPENAI_ENV, OPENAI_SOURCE},
    {"openai-typescript", "the shell that starts your program", OPENAI_ENV, OPENAI_SOURCE},
    {"openai-go", "the shell that starts your program", OPENAI_ENV, OPENAI_SOURCE},
    {"openai-java", "the shell that starts your program", OPENAI_ENV, OPENAI_SOURCE},
    {"curl", "a shell",
     "curl -sS @/v1/messages -H 'content-type: application/json' \\\n"
     "  -H 'anthropic-version: 2023-06-01' -H \"x-api-key: ${ANTHROPIC_API_KEY:-any}\" \\\n"
     "  -d '{\"model\":\"~\",\"max_tokens\":64,"
     "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n",
     "platform.claude.com, API reference"},
};
#define CLIENT_COUNT (sizeof clients / sizeof clients[0])

struct connect_cmd {
    const char *name, *model;
    char url[URL_MAX];
    bool json, list, help;
};

static int usage(FILE *to, int status)
{
    (void)fputs("usage: hotspare connect CLIENT [--url URL] [--model NAME] [--json]\n"
                "       hotspare connect --list\n"
                "\n"
                "  --url URL     where the gateway listens (" DEFAULT_URL ")\n"
                "  --model NAME  as the gateway's configuration or GET /v1/models has it\n"
                "\n"
                "Prints the lines; changes no file.\n",
                to);
    return status;
}

/* What may stand unquoted in a shell, and inside quotes in JSON. */
static bool plain(const char *text, const char *also)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (; *text; text++)
        if (!strchr(letters, *text) && !strchr(also, *text))
            return false;
    return true;
}

/* Takes the base URL in either form: a last / and a last /v1 go. */
static bool set_url(struct connect_cmd *c, const char *text)
{
    size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
                    : strncmp(text, "https://", 8) == 0 ? 8
                                                        : 0,
           len = strlen(text);
    bool good = scheme && plain(text, ".:/-_") && len < URL_MAX;
    while (good && len > scheme && text[len - 1] == '/')
        len--;
    if (good && len > scheme + 3 && memcmp(text + len - 3, "/v1", 3) == 0)
        len -= 3;
    if (!good || len <= scheme || text[scheme] == '/') {
        (void)fprintf(stderr, "hotspare: --url: \"%s\" is no plain address like %s\n", text,
                      DEFAULT_URL);
        return false;
    }
    memcpy(c->url, text, len);
    c->url[len] = '\0';
    return true;
}

static bool set_option(struct connect_cmd *c, int option, const char *value)
{
    switch (option) {
    case 'u':
        return set_url(c, value);
    case 'm':
        c->model = value;
        if (value[0] && plain(value, "._:/-"))
            return true;
        (void)fprintf(stderr, "hotspare: --model: \"%s\" is no name of a model\n", value);
        return false;
    case 'j':
        c->json = true;
        return true;
    case 'l':
        c->list = true;
        return true;
    default:
        c->help = option == 'h';
        return c->help;
    }
}

static int read_options(int argc, char **argv, struct connect_cmd *c)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'}, {"model", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},      {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0}};
    int option;
    (void)set_url(c, DEFAULT_URL);
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
        if (!set_option(c, option, optarg))
            return option == '?' ? usage(stderr, EXIT_USAGE) : EXIT_USAGE;
    if (optind < argc)
        c->name = argv[optind++];
    if (optind < argc || (!c->name && !c->list && !c->help))
        return usage(stderr, EXIT_USAGE);
    return 0;
}

static const struct client *find(const char *name)
{
    for (size_t i = 0; i < CLIENT_COUNT; i++)
        if (strcmp(clients[i].name, name) == 0)
            return &clients[i];
    (void)fprintf(stderr,
                  "hotspare: no client is called \"%s\"; hotspare connect --list has them\n", name);
    return NULL;
}

static enum err fill(const struct connect_cmd *c, const char *lines, struct buf *out)
{
    enum err added = ERR_OK;
    for (; *lines && added == ERR_OK; lines++) {
        const char *value = *lines == '@' ? c->url : *lines == '~' ? c->model : NULL;
        added = value ? buf_add_cstr(out, value) : buf_add_char(out, *lines);
    }
    return added;
}

static void show_json(const struct connect_cmd *c, const struct client *client, struct span lines)
{
    struct buf text;
    struct json_out w;
    buf_init(&text, TEXT_MAX);
    json_out_buf(&w, &text);
    jw_object(&w);
    jw_key(&w, "schema");
    jw_cstr(&w, "hotspare.connect/1");
    jw_key(&w, "client");
    jw_cstr(&w, client->name);
    jw_key(&w, "url");
    jw_cstr(&w, c->url);
    jw_key(&w, "where");
    jw_cstr(&w, client->where);
    jw_key(&w, "lines");
    jw_str(&w, lines);
    jw_key(&w, "source");
    jw_cstr(&w, client->source);
    jw_object_end(&w);
    (void)fwrite(text.at, 1, text.len, stdout);
    (void)putchar('\n');
    buf_deinit(&text);
}

static int run(struct connect_cmd *c)
{
    struct buf lines;
    for (size_t i = 0; c->list && i < CLIENT_COUNT; i++)
        (void)printf("%-22s %s\n", clients[i].name, clients[i].where);
    if (c->list)
        return 0;
    const struct client *client = find(c->name);
    if (!client)
        return EXIT_USAGE;
    bool named = c->model || !strchr(client->lines, '~');
    if (!c->model)
        c->model = "MODEL";
    buf_init(&lines, TEXT_MAX);
    if (fill(c, client->lines, &lines) != ERR_OK) {
        (void)fputs("hotspare: out of memory\n", stderr);
        buf_deinit(&lines);
        return EXIT_OSERR;
    }
    if (c->json)
        show_json(c, client, (struct span){lines.at, lines.len});
    else
        (void)fwrite(lines.at, 1, lines.len, stdout);
    buf_deinit(&lines);
    (void)fprintf(stderr, "for %s; source: %s\n", client->where, client->source);
    if (!named)
        (void)fprintf(stderr, "MODEL: take one that %s/v1/models lists, or give --model\n", c->url);
    return 0;
}

int connect_main(int argc, char **argv)
{
    struct connect_cmd c = {0};
    int status = read_options(argc, argv, &c);
    return status ? status : c.help ? usage(stdout, 0) : run(&c);
}
