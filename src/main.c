/* Picks the command. Knows every command's name and nothing of what they do. */
#include "net/child_guard.h"
#include "serve/serve.h"
#include "tools/config_cmd.h"
#include "tools/connect/connect.h"
#include "tools/demo.h"
#include "tools/deploy/deploy.h"
#include "tools/drill/drill.h"
#include "tools/licence/licence_cmd.h"
#include "tools/matrix/matrix.h"
#include "tools/options.h"
#include "tools/plan/plan.h"
#include "tools/probe/probe.h"
#include "tools/pull/pull.h"
#include "tools/standin.h"

#include "json/json.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>
#include <yaml.h>

static int version_main(int argc, char **argv);
static int help_main(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *line;
} commands[] = {
    {"serve", serve_main, "the gateway: a Claude endpoint that keeps answering"},
    {"demo", demo_main, "see it work: no key, no network, under 30 seconds"},
    {"drill", drill_main, "outages on purpose: every fault, limits and verdicts"},
    {"probe", probe_main, "what a target can really do, asked of it and remembered"},
    {"plan", plan_main, "what a model of your own needs: memory, speed, price, and what to do"},
    {"deploy", deploy_main,
     "files that start a planned model: compose, systemd, Kubernetes, commands"},
    {"matrix", matrix_main, "which model to take: speed, price and latency, hosted and own"},
    {"licence", licence_main, "may this model be used so, and what its licence asks"},
    {"pull", pull_main, "weights from a model hub: licence first, resumed, verified"},
    {"init", init_main, "print the chain found on this machine as a configuration file"},
    {"config", config_main, "check | show | explain | schema"},
    {"connect", connect_main, "the lines that point a client at the gateway; --write applies them"},
    {"disconnect", disconnect_main,
     "a client's settings as they were, also when the gateway is dead"},
    {"standin", standin_main, "a provider made for tests and drills, with every fault on demand"},
    {"version", version_main, "versions of the program and its libraries"},
    {"help", help_main, "this page"},
    {"engine-guard", child_guard_main, NULL}, /* serve starts it */
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static int version_main(int argc, char **argv)
{
    (void)argv;
    (void)printf("hotspare %s\n", HOTSPARE_VERSION);
    if (argc > 1)
        return 0;
    (void)printf("json engine %s, libuv %s, %s, libyaml %s\n", json_engine(), uv_version_string(),
                 OpenSSL_version(OPENSSL_VERSION), yaml_get_version_string());
    return 0;
}

static int help_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    (void)printf("Hotspare keeps applications answering when the Claude API does not.\n\n"
                 "  hotspare demo                          see it work\n"
                 "  hotspare serve                         start, from ANTHROPIC_API_KEY and "
                 "OPENAI_API_KEY\n"
                 "  hotspare init > hotspare.yaml          write down what serve would do\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].line)
            (void)printf("  %-10s %s\n", commands[i].name, commands[i].line);
    (void)printf("\nhotspare COMMAND --help tells more. Manual: man hotspare\n");
    return 0;
}

/* Distance of two short words (Levenshtein), for "did you mean". */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], lb = strlen(b);
    if (lb >= 31)
        return 31;
    for (size_t k = 0; k <= lb; k++)
        row[k] = k;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= lb; k++) {
            size_t change = diagonal + (a[i - 1] != b[k - 1]),
                   least = row[k] < row[k - 1] ? row[k] : row[k - 1];
            diagonal = row[k];
            row[k] = change < least + 1 ? change : least + 1;
        }
    }
    return row[lb];
}

static int unknown(const char *name)
{
    const char *nearest = NULL;
    size_t best = 3;
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (distance(name, commands[i].name) < best) {
            best = distance(name, commands[i].name);
            nearest = commands[i].name;
        }
    (void)fprintf(stderr, "hotspare: there is no command \"%s\"%s%s%s; hotspare help lists them\n",
                  name, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                  nearest ? "\"?" : "");
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help_main(argc, argv);
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0)
        name = "version";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown(name);
}
