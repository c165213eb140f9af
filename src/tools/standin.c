/* `hotspare standin`: options, doors, the control door, and the door that closes.
 *
 * `refused` closes the listening socket itself, so that the system refuses; it is opened again when
 * the fault's time (for=DUR) is over. The other faults are standin_answer.c's. */
#include "tools/standin.h"

#include "base/span.h"
#include "http/url.h"
#include "json/json_write.h"
#include "tools/standin_internal.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define EXIT_USAGE 64
#define EXIT_UNAVAILABLE 69
#define LAST_MAX ((size_t)40 << 20)
#define SEEN_MAX ((size_t)256 << 10)
#define THINKING_DEFAULT 6 /* words, where thinking is bound and no number given */
#define REPLAY_MAX ((size_t)64 << 20)

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare standin [options]\n"
        "\n"
        "  --listen HOST:PORT   default 127.0.0.1:0 (any port; it is printed)\n"
        "  --name NAME          default standin\n"
        "  --model NAME         shown when the request names none\n"
        "  --words N            length of an answer: \"w1 w2 ... wN\" (default 40)\n"
        "  --thinking N         words of thinking before it (default 0)\n"
        "  --bind-thinking      sign thinking for exactly what stands before it, and answer 400 to "
        "a history\n"
        "                       with any other, as the newest Claude models do\n"
        "  --preface N          words before a planned tool call (default 0)\n"
        "  --resume STYLE       how an answer that another began is taken up: exact (default),\n"
        "                       echo, restart, repeat[=WORDS], lead-in[=zh], refuse (400 unless\n"
        "                       asked in words)\n"
        "  --rate N             words per second; 0 = as fast as possible (default)\n"
        "  --first-token DUR    wait before the first event (300ms, 2s)\n"
        "  --tool NAME=JSON     call this tool with this input when it is offered and not "
        "yet answered\n"
        "  --fault SPEC         commit a fault; may be repeated, the first that applies is "
        "committed\n"
        "  --lacks LIST         cannot do these, as real servers cannot: tools,images,...\n"
        "  --replay DIR         answer with a recorded exchange: response.json|sse and "
        "meta.json's status\n"
        "  --key ENV            accept only the key in this environment variable\n"
        "  --json               print the line that tells the address as JSON\n"
        "\n"
        "SPEC: NAME[@K][:PERCENT%][,retry-after=SECONDS][,for=DUR][,times=N]\n"
        "control: POST /_standin/faults (specs separated by blanks; none clears), GET "
        "/_standin/stats,\n"
        "         GET /_standin/last (the last request's body)\n"
        "\nfaults:\n",
        to);
    for (size_t i = 0; i < fault_row_count; i++)
        (void)fprintf(to, "  %-18s %s\n", fault_rows[i].name, fault_rows[i].help);
    (void)fputs("\nwhat it can lack, and how that shows:\n", to);
    lacks_show(to);
    return status;
}

/* ---- faults ---- */

static void listen_again(struct timer *t);

static enum err open_server(struct standin *s, const char **out_why);

static void close_server(struct timer *t)
{
    struct standin *s = CONTAINER_OF(t, struct standin, relisten);
    usec until = USEC_NEVER;
    for (size_t i = 0; i < s->fault_count; i++)
        if (s->faults[i].row->kind == FAULT_REFUSED)
            until = s->faults[i].until;
    if (s->server)
        server_free(s->server);
    s->server = NULL;
    if (until != USEC_NEVER)
        loop_timer_at(s->loop, &s->relisten, until, listen_again);
}

static void listen_again(struct timer *t)
{
    struct standin *s = CONTAINER_OF(t, struct standin, relisten);
    const char *why = "";
    if (open_server(s, &why) == ERR_OK)
        return;
    (void)fprintf(stderr, "standin %s: cannot listen again: %s\n", s->name, why);
    loop_timer_in(s->loop, &s->relisten, 100 * USEC_PER_MS, listen_again);
}

static enum err add_fault(struct standin *s, struct span spec, const char **out_why)
{
    if (s->fault_count == STANDIN_FAULTS) {
        *out_why = "too many faults at once";
        return ERR_LIMIT;
    }
    struct fault *f = &s->faults[s->fault_count];
    enum err e = fault_parse(spec, loop_now(s->loop), f, out_why);
    if (e != ERR_OK)
        return e;
    s->fault_count++;
    /* After this turn: the reply that tells of it, and a caller on the stack, come first. */
    if (f->row->kind == FAULT_REFUSED)
        loop_timer_in(s->loop, &s->relisten, 20 * USEC_PER_MS, close_server);
    return ERR_OK;
}

/* ---- control ---- */

static void reply_text(struct request *r, int status, const char *type, struct span body)
{
    struct http_field field = {SPAN("content-type"), span_from(type)};
    reply_whole(r, status, &field, 1, body);
}

static void set_faults(struct standin *s, struct request *r)
{
    struct span rest = request_body(r), spec;
    const char *why = NULL;
    s->fault_count = 0;
    while (!why && span_next(&rest, ' ', &spec)) {
        spec = span_trim(spec);
        if (spec.len == 0 || span_is(spec, "none"))
            continue;
        if (add_fault(s, spec, &why) == ERR_OK)
            why = NULL;
    }
    reply_text(r, why ? 400 : 200, "text/plain", why ? span_from(why) : SPAN("ok\n"));
}

static void count(struct json_out *w, const char *key, uint64_t n)
{
    jw_key(w, key);
    jw_i64(w, (int64_t)n);
}

static void tell_stats(struct standin *s, struct request *r)
{
    struct pieces text;
    struct json_out w;
    pieces_init(&text, request_arena(r));
    json_out_pieces(&w, &text);
    jw_object(&w);
    jw_key(&w, "name");
    jw_cstr(&w, s->name);
    count(&w, "requests", s->stats.requests);
    count(&w, "streams", s->stats.streams);
    count(&w, "aborted_by_client", s->stats.aborted);
    count(&w, "in_flight", s->stats.in_flight);
    count(&w, "told_again", s->stats.told_again);
    jw_key(&w, "faults");
    jw_object(&w);
    for (size_t i = 0; i < s->fault_count; i++)
        count(&w, s->faults[i].row->name, s->faults[i].committed);
    jw_object_end(&w);
    jw_key(&w, "last_request");
    jw_raw(&w, s->seen.len ? buf_span(&s->seen) : SPAN("null"));
    jw_object_end(&w);
    reply_text(r, 200, "application/json", pieces_flatten(&text, request_arena(r)));
}

static bool control(struct standin *s, struct request *r, struct span path)
{
    bool post = span_is(request_head(r)->method, "POST");
    if (span_is(path, "/_standin/faults") && post)
        set_faults(s, r);
    else if (span_is(path, "/_standin/stats"))
        tell_stats(s, r);
    else if (span_is(path, "/_standin/last"))
        reply_text(r, 200, "application/octet-stream", buf_span(&s->last));
    else
        return false;
    return true;
}

/* ---- doors ---- */

static bool key_accepted(const struct standin *s, const struct http_head *h)
{
    if (!s->key)
        return true;
    struct span bearer = http_field_get(h, "authorization");
    return span_is(http_field_get(h, "x-api-key"), s->key) ||
           (span_istarts(bearer, SPAN("bearer ")) &&
            span_is(span_trim(span_drop(bearer, 7)), s->key));
}

static void refuse(struct request *r, enum speech speech, int status, const char *type,
                   const char *message)
{
    struct buf body;
    buf_init(&body, 4096);
    write_error(speech, status, NULL, type, message, SPAN("req_standin"), &body);
    reply_text(r, status, "application/json", arena_copy(request_arena(r), buf_span(&body)));
    buf_deinit(&body);
}

static void replay(struct standin *s, struct request *r)
{
    s->stats.requests++;
    buf_reset(&s->last);
    if (buf_add(&s->last, request_body(r)) != ERR_OK)
        buf_reset(&s->last);
    struct http_field type = {SPAN("content-type"), s->replay_stream
                                                        ? SPAN("text/event-stream; charset=utf-8")
                                                        : SPAN("application/json")};
    reply_start(r, s->replay_status, &type, 1,
                s->replay_stream ? REPLY_CHUNKED : (int64_t)s->replay_body.len);
    reply_body(r, s->replay_body);
    reply_end(r);
}

static void tell_models(const struct standin *s, struct request *r)
{
    struct span body = arena_printf(
        request_arena(r),
        "{\"object\":\"list\",\"data\":[{\"id\":\"%s\",\"object\":\"model\",\"created\":0,"
        "\"owned_by\":\"standin\"}]}",
        s->model);
    reply_text(r, 200, "application/json", body);
}

static void tell_again(struct standin *s, struct request *r)
{
    const char *why = "There is nothing here.";
    bool get = span_is(request_head(r)->method, "GET");
    if (!get || !kept_tell(s, r, &why))
        refuse(r, SPEAK_RESPONSES, 404, "invalid_request_error", why);
}

static void on_request(void *ctx, struct request *r)
{
    struct standin *s = ctx;
    struct span path = request_path(r);
    enum speech speech = span_ends(path, SPAN("/messages"))           ? SPEAK_MESSAGES
                         : span_ends(path, SPAN("/chat/completions")) ? SPEAK_CHAT
                         : span_search(path, SPAN("/responses")) >= 0 ? SPEAK_RESPONSES
                                                                      : SPEAK_COMPLETIONS;
    request_set_data(r, NULL);
    if (control(s, r, path))
        return;
    if (span_is(path, "/health"))
        reply_text(r, 200, "application/json", SPAN("{\"status\":\"ok\"}\n"));
    else if (!key_accepted(s, request_head(r)))
        refuse(r, speech, 401, "authentication_error", "invalid x-api-key");
    else if (span_is(path, "/v1/models"))
        tell_models(s, r);
    else if (span_search(path, SPAN("/responses/")) >= 0)
        tell_again(s, r);
    else if (!span_is(request_head(r)->method, "POST") ||
             !(speech != SPEAK_COMPLETIONS || span_ends(path, SPAN("/completions"))))
        refuse(r, speech, 404, "not_found_error", "There is nothing here.");
    else if (s->replaying)
        replay(s, r);
    else
        answer_request(s, r, speech);
}

static void on_gone(void *ctx, struct request *r)
{
    (void)ctx;
    if (request_data(r))
        answer_gone(request_data(r));
    reply_abort(r);
}

static void on_drained(void *ctx, struct request *r)
{
    (void)ctx;
    if (request_data(r))
        answer_drained(request_data(r));
}

/* ---- start ---- */

static enum err open_server(struct standin *s, const char **out_why)
{
    struct server_handler handler = {
        .on_request = on_request, .on_gone = on_gone, .on_drained = on_drained, .ctx = s};
    struct listen_options o = {.reuse_port = false};
    s->server = server_new(s->loop, &server_limits_default, &handler);
    enum err e = server_listen(s->server, span_from(s->host), s->port, &o, out_why);
    if (e == ERR_OK) {
        s->port = server_port(s->server);
    } else {
        server_free(s->server);
        s->server = NULL;
    }
    return e;
}

static enum err read_whole_file(struct arena *a, const char *dir, const char *name,
                                struct span *out)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return ERR_NOT_FOUND;
    char *at = arena_alloc(a, REPLAY_MAX);
    size_t len = fread(at, 1, REPLAY_MAX, file);
    (void)fclose(file); /* read only */
    *out = (struct span){at, len};
    return ERR_OK;
}

static enum err load_replay(struct standin *s, const char *dir)
{
    struct span meta;
    struct json_doc doc;
    int64_t status = 200;
    s->replay_stream = read_whole_file(&s->arena, dir, "response.sse", &s->replay_body) == ERR_OK;
    if (!s->replay_stream &&
        read_whole_file(&s->arena, dir, "response.json", &s->replay_body) != ERR_OK)
        return ERR_NOT_FOUND;
    if (read_whole_file(&s->arena, dir, "meta.json", &meta) == ERR_OK &&
        json_parse(&s->arena, meta, NULL, &doc, NULL) == ERR_OK &&
        json_i64(json_get(json_root(&doc), "status"), &status) != ERR_OK)
        status = 200;
    s->replay_status = (int)status;
    s->replaying = true;
    return ERR_OK;
}

static bool number(const char *text, uint64_t *out)
{
    return span_u64(span_from(text), out) == ERR_OK && *out <= 1000000;
}

static bool add_tool(struct standin *s, const char *text)
{
    struct span input = span_from(text), name;
    struct json_doc doc;
    if (s->tool_count == STANDIN_TOOLS || !span_next(&input, '=', &name) || !input.at)
        return false;
    if (json_parse(&s->arena, input, NULL, &doc, NULL) != ERR_OK)
        return false;
    s->tools[s->tool_count++] = (struct tool_plan){arena_cstr(&s->arena, name), input};
    return true;
}

static bool set_listen(struct standin *s, const char *text)
{
    struct span host;
    if (url_host_port(span_from(text), &host, &s->port) != ERR_OK)
        return false;
    s->host = arena_cstr(&s->arena, host);
    return true;
}

/* One option; false: its value is no good. */
static bool take_option(struct standin *s, int c, const char *value)
{
    const char *why;
    switch (c) {
    case 'l':
        return set_listen(s, value);
    case 'n':
        s->name = value;
        return true;
    case 'm':
        s->model = value;
        return true;
    case 'w':
        return number(value, &s->words);
    case 't':
        return number(value, &s->thinking);
    case 'i':
        s->binds = true;
        s->thinking = s->thinking ? s->thinking : THINKING_DEFAULT;
        return true;
    case 'b':
        return number(value, &s->preface);
    case 'g':
        return resume_parse(span_from(value), s) == ERR_OK;
    case 'r':
        return number(value, &s->rate);
    case 'd':
        return duration_parse(span_from(value), &s->first_token) == ERR_OK;
    case 'o':
        return add_tool(s, value);
    case 'f':
        return add_fault(s, span_from(value), &why) == ERR_OK;
    case 'x':
        return lacks_parse(span_from(value), &s->lacks) == ERR_OK;
    case 'p':
        return load_replay(s, value) == ERR_OK;
    default:
        s->key = getenv(value);
        return s->key != NULL;
    }
}

static void on_leave(void *ctx, int signum)
{
    struct standin *s = ctx;
    (void)signum;
    loop_timer_cancel(s->loop, &s->relisten);
    if (s->server)
        server_free(s->server);
    s->server = NULL;
    loop_stop(s->loop);
}

static int run(struct standin *s, bool json)
{
    const char *why = "";
    if (open_server(s, &why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare standin: %s:%u: %s\n", s->host, s->port, why);
        return EXIT_UNAVAILABLE;
    }
    loop_on_signal(s->loop, SIGTERM, on_leave, s); /* before anybody is told that we are there */
    loop_on_signal(s->loop, SIGINT, on_leave, s);
    (void)printf(
        json ? "{\"schema\":\"hotspare.standin/1\",\"name\":\"%s\",\"url\":\"http://%s:%u\"}\n"
             : "standin %s listening on http://%s:%u\n",
        s->name, s->host, s->port);
    (void)fflush(stdout);
    loop_run(s->loop);
    return 0;
}

static const char *why_no_fault(const char *spec)
{
    struct fault ignored;
    const char *why;
    bool good = fault_parse(span_from(spec), 0, &ignored, &why) == ERR_OK;
    return good ? "too many faults at once" : why;
}

int standin_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},   {"name", required_argument, NULL, 'n'},
        {"model", required_argument, NULL, 'm'},    {"words", required_argument, NULL, 'w'},
        {"thinking", required_argument, NULL, 't'}, {"bind-thinking", no_argument, NULL, 'i'},
        {"preface", required_argument, NULL, 'b'},  {"resume", required_argument, NULL, 'g'},
        {"rate", required_argument, NULL, 'r'},     {"first-token", required_argument, NULL, 'd'},
        {"tool", required_argument, NULL, 'o'},     {"fault", required_argument, NULL, 'f'},
        {"lacks", required_argument, NULL, 'x'},    {"replay", required_argument, NULL, 'p'},
        {"key", required_argument, NULL, 'k'},      {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},           {NULL, 0, NULL, 0}};
    struct standin s = {.loop = loop_new(),
                        .name = "standin",
                        .model = "standin",
                        .words = 40,
                        .host = "127.0.0.1"};
    bool json = false;
    int c, at, status = -1;
    arena_init(&s.arena, (size_t)256 << 20);
    buf_init(&s.last, LAST_MAX);
    buf_init(&s.seen, SEEN_MAX);
    while (status < 0 && (c = getopt_long(argc, argv, "h", options, &at)) != -1) {
        if (c == 'j')
            json = true;
        else if (c == 'h')
            status = usage(stdout, 0);
        else if (c == '?')
            status = usage(stderr, EXIT_USAGE);
        else if (!take_option(&s, c, optarg)) {
            (void)fprintf(stderr, "hotspare standin: --%s %s: %s\n", options[at].name, optarg,
                          c == 'f' ? why_no_fault(optarg)
                                   : "not a value this option takes; see --help");
            status = EXIT_USAGE;
        }
    }
    if (status < 0 && optind < argc) {
        (void)fprintf(stderr, "hotspare standin: %s: not an option; see --help\n", argv[optind]);
        status = EXIT_USAGE;
    }
    if (status < 0)
        status = run(&s, json);
    loop_timer_cancel(s.loop, &s.relisten);
    buf_deinit(&s.last);
    buf_deinit(&s.seen);
    kept_free(&s);
    arena_deinit(&s.arena);
    loop_free(s.loop);
    return status;
}
