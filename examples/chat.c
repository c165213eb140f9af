/* A small chat with one tool, on libhotspare. Whoever of the configured chain is there answers;
 * when one dies in the middle of a sentence, the next one ends it.
 *
 *     cc chat.c -o chat $(pkg-config --cflags --libs hotspare)
 *     ./chat [hotspare.yaml]
 *
 * One line of input is one turn. Without a file the chain is the one `hotspare serve` would use. */
#include <hotspare.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct text { /* grows; always ends in NUL */
    char *at;
    size_t len, cap;
};

static void add(struct text *t, const char *from, size_t len)
{
    if (t->len + len + 1 > t->cap) {
        t->cap = 2 * (t->len + len + 1);
        t->at = realloc(t->at, t->cap);
        if (!t->at)
            exit(1);
    }
    memcpy(t->at + t->len, from, len);
    t->at[t->len += len] = 0;
}

static void adds(struct text *t, const char *from)
{
    add(t, from, strlen(from));
}

static void add_quoted(struct text *t, const char *from)
{
    size_t size = hs_quote(from, strlen(from), NULL, 0) + 1;
    char *quoted = malloc(size);
    if (!quoted)
        exit(1);
    hs_quote(from, strlen(from), quoted, size);
    adds(t, quoted);
    free(quoted);
}

static void add_message(struct text *history, const char *role, const char *content)
{
    adds(history, history->len ? ",{\"role\":\"" : "{\"role\":\"");
    adds(history, role);
    adds(history, "\",\"content\":");
    adds(history, content);
    adds(history, "}");
}

/* The tool: what it is, and what it does. Its input is e->tool_input, JSON; this one needs none. */
static const char tools[] = "[{\"name\":\"local_time\",\"description\":\"The time here.\","
                            "\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]";

static void run_tool(const hs_event *e, struct text *results)
{
    char said[64] = "no such tool";
    time_t now = time(NULL);
    if (strcmp(e->tool_name, "local_time") == 0)
        strftime(said, sizeof said, "%Y-%m-%d %H:%M", localtime(&now));
    fprintf(stderr, "[%s: %s]\n", e->tool_name, said);
    adds(results, results->len ? "," : "");
    adds(results, "{\"type\":\"tool_result\",\"tool_use_id\":");
    add_quoted(results, e->tool_id);
    adds(results, ",\"content\":");
    add_quoted(results, said);
    adds(results, "}");
}

/* One request. True: tools were called, and their results want an answer. */
static int turn(hs_client *c, struct text *history)
{
    struct text body = {0}, results = {0};
    adds(&body, "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":1024,\"stream\":true,\"tools\":");
    adds(&body, tools);
    adds(&body, ",\"messages\":[");
    adds(&body, history->at);
    adds(&body, "]}");
    hs_reply *r = hs_messages(c, body.at, body.len);
    for (const hs_event *e; (e = hs_next(r, -1));) {
        if (e->type == HS_TEXT)
            fwrite(e->text, 1, e->text_len, stdout);
        else if (e->type == HS_SWITCHED)
            fprintf(stderr, "[%s]\n", e->text);
        else if (e->type == HS_TOOL_CALL)
            run_tool(e, &results);
        else if (e->type == HS_DONE && strcmp(e->content, "[]") != 0)
            add_message(history, "assistant", e->content);
        else if (e->type == HS_ERROR)
            fprintf(stderr, "\n%s %s\n", e->text, e->hint);
        fflush(stdout);
    }
    hs_end(r);
    int again = results.len > 0;
    if (again) {
        struct text content = {0};
        adds(&content, "[");
        adds(&content, results.at);
        adds(&content, "]");
        add_message(history, "user", content.at);
        free(content.at);
    }
    free(body.at);
    free(results.at);
    return again;
}

int main(int argc, char **argv)
{
    char why[2048], line[4096];
    hs_options options = {.size = sizeof options, .config_path = argc > 1 ? argv[1] : NULL};
    hs_client *c = hs_new(&options, why, sizeof why);
    if (!c) {
        fprintf(stderr, "%s\n", why);
        return 1;
    }
    struct text history = {0};
    while (fputs("> ", stderr), fgets(line, sizeof line, stdin)) {
        struct text content = {0};
        line[strcspn(line, "\n")] = 0;
        add_quoted(&content, line);
        add_message(&history, "user", content.at);
        free(content.at);
        while (turn(c, &history))
            ;
        putchar('\n');
    }
    free(history.at);
    hs_free(c);
    return 0;
}
