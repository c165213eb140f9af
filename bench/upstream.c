/* The provider behind both proxies of the bench: answers from memory, as cheaply as one thread can.
 *
 *     bench_upstream whole              one answer of about 600 bytes to each request
 *     bench_upstream stream N HZ        N events to each request, HZ a second, then the end of the
 * stream
 *
 * Prints "port N" and serves on 127.0.0.1 until killed. /v1/messages is answered in Anthropic's
 * format, /v1/chat/completions in OpenAI's, GET /stats with what was sent. Requests need a
 * Content-Length, which every proxy here sends. It is no part of Hotspare and shares no code with
 * it, so that the bench does not measure us with ourselves; `hotspare standin` is the provider for
 * everything else.
 *
 * Streams are paced by one timer of a millisecond: connection fd sends when its turn, fd modulo the
 * period, comes up, so that the events of 1,000 streams are spread evenly over the period. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { FD_MAX = 65536, HEAD_MAX = 8192, READ_MAX = 256 * 1024, TIMER_SLOTS_MAX = 1000 };

struct text {
    char at[2048];
    size_t len;
};
struct dialect {
    struct text whole, start, event, end;
};
struct conn { /* by file descriptor; all zero = idle between requests */
    char head[HEAD_MAX];
    size_t head_len;
    uint64_t body_left;
    const struct dialect *dialect; /* of the request being read or answered; NULL: /stats */
    bool in_body;
    uint32_t events_left; /* > 0: a stream is on its way */
};

static struct dialect anthropic, chat;
static struct conn *conns[FD_MAX];
static int streaming[FD_MAX], streaming_count; /* file descriptors with events_left > 0 */
static uint64_t requests, events, cut;
static uint32_t stream_events, slots;
static int poll_fd, timer_fd;
static char read_buf[READ_MAX];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* One HTTP chunk. */
static void chunk(struct text *t, const char *payload)
{
    int n =
        snprintf(t->at + t->len, sizeof t->at - t->len, "%zx\r\n%s\r\n", strlen(payload), payload);
    assert(n > 0 && (size_t)n < sizeof t->at - t->len);
    t->len += (size_t)n;
}

static void whole(struct text *t, const char *before, const char *after)
{
    char body[1024];
    int n =
        snprintf(body, sizeof body, "%s%.*s%s", before, (int)(600 - strlen(before) - strlen(after)),
                 "Continuity is the quiet promise that the next sentence arrives. A spare that is "
                 "warm, tested and watched takes over before anybody has to ask, keeps the thread "
                 "of what was said, and steps back when the one who was away returns. Nothing is "
                 "lost, nothing is said twice, and the reader never learns that anything happened "
                 "at all. That is what the word hot means in a hot spare: not fast, but ready. It "
                 "has the history, the tools and the budget at hand, and it has been tried out on "
                 "a calm day. What is never tried is only hoped for.",
                 after);
    assert(n > 0 && (size_t)n < sizeof body);
    int m = snprintf(
        t->at, sizeof t->at,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", n,
        body);
    assert(m > 0 && (size_t)m < sizeof t->at);
    t->len = (size_t)m;
}

static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Transfer-Encoding: chunked\r\nCache-Control: no-cache\r\n\r\n";

static void prepare_anthropic(struct dialect *d)
{
    whole(
        &d->whole,
        "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-bench\","
        "\"content\":[{\"type\":\"text\",\"text\":\"",
        "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":250,"
        "\"output_tokens\":80}}");
    d->start.len = (size_t)snprintf(d->start.at, sizeof d->start.at, "%s", STREAM_HEAD);
    chunk(&d->start,
          "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\","
          "\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-bench\",\"content\":[],"
          "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":250,"
          "\"output_tokens\":1}}}\n\n");
    chunk(&d->start,
          "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
          "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
    chunk(&d->event,
          "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
          "\"delta\":{\"type\":\"text_delta\",\"text\":\" continuity\"}}\n\n");
    chunk(&d->end,
          "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    chunk(&d->end,
          "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
          "\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":80}}\n\n");
    chunk(&d->end, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    chunk(&d->end, "");
}

#define CHAT_CHUNK(delta, reason)                                                                  \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1780000000,"    \
    "\"model\":\"gpt-bench\",\"choices\":[{\"index\":0,\"delta\":" delta                           \
    ",\"finish_reason\":" reason "}]}\n\n"

static void prepare_chat(struct dialect *d)
{
    whole(&d->whole,
          "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1780000000,\"model\":"
          "\"gpt-bench\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
          "\"",
          "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":250,\"completion_tokens\":"
          "80,"
          "\"total_tokens\":330}}");
    d->start.len = (size_t)snprintf(d->start.at, sizeof d->start.at, "%s", STREAM_HEAD);
    chunk(&d->start, CHAT_CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null"));
    chunk(&d->event, CHAT_CHUNK("{\"content\":\" continuity\"}", "null"));
    chunk(&d->end, CHAT_CHUNK("{}", "\"stop\""));
    chunk(
        &d->end,
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1780000000,"
        "\"model\":\"gpt-bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":250,"
        "\"completion_tokens\":80,\"total_tokens\":330}}\n\n");
    chunk(&d->end, "data: [DONE]\n\n");
    chunk(&d->end, "");
}

static void end_stream(int fd)
{
    conns[fd]->events_left = 0;
    for (int i = 0; i < streaming_count; i++)
        if (streaming[i] == fd) {
            streaming[i] = streaming[--streaming_count];
            return;
        }
}

static void drop(int fd)
{
    if (conns[fd]->events_left > 0)
        end_stream(fd);
    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}

/* Everything here fits a socket buffer unless the proxy has stopped reading; then the bench is
 * void. */
static bool put(int fd, const char *at, size_t len)
{
    if (send(fd, at, len, MSG_NOSIGNAL) == (ssize_t)len)
        return true;
    cut++;
    drop(fd);
    return false;
}

static void answer_stats(int fd)
{
    char body[256], out[512];
    int n = snprintf(body, sizeof body,
                     "{\"requests\":%llu,\"events\":%llu,\"cut\":%llu,\"streams\":%d}\n",
                     (unsigned long long)requests, (unsigned long long)events,
                     (unsigned long long)cut, streaming_count);
    n = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body);
    (void)put(fd, out, (size_t)n); /* a failed put has dropped the connection */
}

static void answer(int fd)
{
    struct conn *c = conns[fd];
    c->head_len = 0;
    c->in_body = false;
    if (c->dialect == NULL) {
        answer_stats(fd);
        return;
    }
    requests++;
    if (stream_events == 0) {
        (void)put(fd, c->dialect->whole.at, c->dialect->whole.len);
        return;
    }
    if (!put(fd, c->dialect->start.at, c->dialect->start.len))
        return;
    c->events_left = stream_events;
    streaming[streaming_count++] = fd;
}

static void tick(uint32_t slot)
{
    for (int i = streaming_count - 1; i >= 0;
         i--) { /* backwards: a finished one is replaced by the last */
        int fd = streaming[i];
        struct conn *c = conns[fd];
        if ((uint32_t)fd % slots != slot || !put(fd, c->dialect->event.at, c->dialect->event.len))
            continue;
        events++;
        if (--c->events_left == 0) {
            end_stream(fd);
            (void)put(fd, c->dialect->end.at, c->dialect->end.len);
        }
    }
}

/* A whole head is in c->head: which dialect, and how long is the body? */
static void read_head(struct conn *c, const char *head_end)
{
    c->dialect = memmem(c->head, 64, "/v1/messages", 12) != NULL           ? &anthropic
                 : memmem(c->head, 64, "/v1/chat/completions", 20) != NULL ? &chat
                                                                           : NULL;
    c->body_left = 0;
    for (const char *line = c->head; line < head_end; line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, "content-length:", 15) == 0)
            c->body_left = strtoull(line + 15, NULL, 10);
    c->in_body = true;
}

/* Feeds what was read; nobody pipelines here, so a request ends where the input ends. */
static void feed(int fd, const char *at, size_t len)
{
    struct conn *c = conns[fd];
    if (!c->in_body) {
        size_t room = HEAD_MAX - 1 - c->head_len, take = len < room ? len : room;
        memcpy(c->head + c->head_len, at, take);
        c->head[c->head_len + take] = '\0';
        const char *end = strstr(c->head, "\r\n\r\n");
        if (end == NULL) {
            c->head_len += take;
            return;
        }
        size_t used = (size_t)(end + 4 - c->head) - c->head_len;
        read_head(c, end);
        len -= used;
    }
    c->body_left -= len < c->body_left ? len : c->body_left;
    if (c->body_left == 0)
        answer(fd);
}

static void readable(int fd)
{
    ssize_t n = recv(fd, read_buf, sizeof read_buf, 0);
    if (n > 0)
        feed(fd, read_buf, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        drop(fd);
}

static void watch(int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void accept_all(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= FD_MAX)
            die("too many connections");
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                         sizeof one); /* slower without, no worse */
        conns[fd] = calloc(1, sizeof *conns[fd]);
        if (conns[fd] == NULL)
            die("calloc");
        watch(fd);
    }
}

static int listen_somewhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("listen");
    printf("port %d\n", ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

static void start_timer(void)
{
    struct itimerspec each_ms = {{0, 1000000}, {0, 1000000}};
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (timer_fd < 0 || timerfd_settime(timer_fd, 0, &each_ms, NULL) != 0)
        die("timerfd");
    watch(timer_fd);
}

static void timer_passed(void)
{
    static uint32_t slot;
    uint64_t passed = 0;
    if (read(timer_fd, &passed, sizeof passed) != (ssize_t)sizeof passed)
        return;
    for (; passed > 0; passed--) {
        tick(slot);
        slot = (slot + 1) % slots;
    }
}

int main(int argc, char **argv)
{
    bool stream = argc == 4 && strcmp(argv[1], "stream") == 0;
    if (!stream && !(argc == 2 && strcmp(argv[1], "whole") == 0)) {
        fprintf(stderr, "usage: bench_upstream whole | stream EVENTS HZ\n");
        return 64;
    }
    if (stream) {
        long count = strtol(argv[2], NULL, 10), hz = strtol(argv[3], NULL, 10);
        if (count < 1 || count > 1000000 || hz < 1 || hz > TIMER_SLOTS_MAX)
            return 64;
        stream_events = (uint32_t)count;
        slots = (uint32_t)(TIMER_SLOTS_MAX / hz);
    }
    prepare_anthropic(&anthropic);
    prepare_chat(&chat);
    poll_fd = epoll_create1(0);
    int listener = listen_somewhere();
    watch(listener);
    if (stream)
        start_timer();
    for (;;) {
        struct epoll_event ready[256];
        int n = epoll_wait(poll_fd, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener)
                accept_all(listener);
            else if (stream && fd == timer_fd)
                timer_passed();
            else if (conns[fd] != NULL) /* dropped earlier in this round */
                readable(fd);
        }
    }
}
