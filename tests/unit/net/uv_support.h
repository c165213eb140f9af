#pragma once
/* What the tests of the libuv loop share: an end of a connection that records what happens to it,
 * and raw sockets for peers that misbehave. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/buf.h"
#include "net/loop_uv_internal.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <netdb.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* One end. It reads all it can into `got` while it wants to. */
struct end {
    struct loop *loop;
    struct stream *s;
    struct buf got;
    enum err connected; /* ERR_AGAIN until told */
    enum err over;      /* ERR_OK until EOF or an error was read */
    int connects, reads, writables;
    bool echo, stop_at_connect, stop_at_over, close_at_over;
    size_t stop_at_bytes;
};

static inline void end_readable(void *ctx)
{
    struct end *e = ctx;
    char some[4096];
    size_t n = 0;
    enum err r;
    e->reads++;
    while ((r = stream_read(e->s, some, sizeof some, &n)) == ERR_OK) {
        struct span in = {some, n};
        assert_int_equal(buf_add(&e->got, in), ERR_OK);
        size_t put = 0;
        if (e->echo)
            assert_int_equal(stream_write(e->s, &in, 1, &put), ERR_OK);
    }
    if (e->stop_at_bytes > 0 && e->got.len >= e->stop_at_bytes)
        loop_stop(e->loop);
    if (r == ERR_AGAIN)
        return;
    e->over = r;
    stream_want(e->s, 0);
    if (e->stop_at_over)
        loop_stop(e->loop);
    if (e->close_at_over) {
        stream_close(e->s);
        e->s = NULL;
    }
}

static inline void end_connect(void *ctx, enum err result)
{
    struct end *e = ctx;
    e->connected = result;
    e->connects++;
    if (result == ERR_OK)
        stream_want(e->s, STREAM_READ);
    if (e->stop_at_connect)
        loop_stop(e->loop);
}

static inline void end_writable(void *ctx)
{
    struct end *e = ctx;
    e->writables++;
    stream_want(e->s, STREAM_READ);
}

static const struct stream_events end_events = {
    .on_connect = end_connect, .on_readable = end_readable, .on_writable = end_writable};

static inline void end_init(struct end *e, struct loop *l)
{
    *e = (struct end){.loop = l, .connected = ERR_AGAIN};
    buf_init(&e->got, 64 * 1024 * 1024);
}

static inline void end_deinit(struct end *e)
{
    stream_close(e->s);
    e->s = NULL;
    buf_deinit(&e->got);
}

/* For net_listen: the first stream accepted becomes ctx's; more are refused by the test. */
static inline void end_accept(void *ctx, struct stream *s)
{
    struct end *e = ctx;
    assert_null(e->s);
    e->s = s;
    e->connected = ERR_OK;
    stream_set_events(s, &end_events, e);
    stream_want(s, STREAM_READ);
}

static inline void end_dial(struct end *e, const char *host, uint16_t port, struct tls_client *tls)
{
    struct net_dest dest = {.host = {host, strlen(host)}, .port = port, .tls = tls};
    net_connect(e->loop, &dest, &end_events, e, &e->s);
    assert_int_equal(e->connects, 0);
}

static inline void end_say(struct end *e, const char *text)
{
    struct span piece = {text, strlen(text)};
    size_t put = 0;
    assert_int_equal(stream_write(e->s, &piece, 1, &put), ERR_OK);
    assert_int_equal(put, piece.len);
}

static inline void end_got(const struct end *e, const char *text)
{
    assert_int_equal(e->got.len, strlen(text));
    assert_memory_equal(e->got.at, text, e->got.len);
}

static inline void stop_loop(struct timer *t);
struct stopper {
    struct timer timer;
    struct loop *loop;
    bool fired;
};
static inline void stop_loop(struct timer *t)
{
    struct stopper *s = CONTAINER_OF(t, struct stopper, timer);
    s->fired = true;
    loop_stop(s->loop);
}

/* Runs until somebody stops the loop or the time is up; true when it was the time. */
static inline bool run_for(struct loop *l, int64_t ms)
{
    struct stopper s = {.loop = l};
    loop_timer_in(l, &s.timer, ms * USEC_PER_MS, stop_loop);
    loop_run(l);
    loop_timer_cancel(l, &s.timer);
    return s.fired;
}

/* ---- raw sockets, blocking ---- */

static inline int raw_listen(const char *host, uint16_t *port, int backlog)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    assert_int_equal(inet_pton(AF_INET, host, &at.sin_addr), 1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, backlog), 0);
    socklen_t len = sizeof at;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static inline int raw_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void raw_reset(int fd)
{
    struct linger now = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

static inline int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL)
        return -1;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}
