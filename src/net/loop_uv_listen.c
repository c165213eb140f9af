/* Listeners: accepting, greeting (the TLS handshake of an accepted stream), and not spinning when
 * descriptors run out.
 *
 * Out of descriptors, the kernel keeps saying "readable" while accept keeps failing. One descriptor
 * is held in reserve: it is given up to accept one connection and close it at once, so that its
 * client sees an end instead of silence, and then accepting pauses. */
#include "net/loop_uv_internal.h"
#include "base/mem.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

struct greeting {
    struct listener *listener;
    struct stream *stream;
    struct greeting *prev, *next;
    struct timer limit;
};

struct listener {
    struct loop *loop;
    struct listen_watch *watch;
    int fd, reserve;
    uint16_t port;
    bool closed;
    struct tls_server *(*tls)(void *tls_ctx);
    void *tls_ctx;
    void (*on_accept)(void *ctx, struct stream *s);
    void *ctx;
    struct timer pause;
    struct greeting *greetings;
    struct listener *dead_next;
};

/* As struct watch, for a listening socket: outlives the listener in libuv. */
struct listen_watch {
    uv_poll_t poll;
    struct listener *listener;
};

static void on_incoming(uv_poll_t *handle, int status, int events);

static void start_accepting(struct listener *li)
{
    int rc = uv_poll_start(&li->watch->poll, UV_READABLE, on_incoming);
    assert(rc == 0);
}

static void pause_ends(struct timer *t)
{
    struct listener *li = CONTAINER_OF(t, struct listener, pause);
    if (li->reserve < 0)
        li->reserve = sock_reserve();
    start_accepting(li);
}

static void pause_accepting(struct listener *li)
{
    if (li->reserve >= 0) {
        union sock_addr peer;
        close(li->reserve);
        int fd = sock_accept(li->fd, &peer);
        if (fd >= 0)
            close(fd);
        li->reserve = sock_reserve();
    }
    uv_poll_stop(&li->watch->poll);
    loop_timer_in(li->loop, &li->pause, ACCEPT_PAUSE, pause_ends);
}

/* ---- greeting ---- */

void greeting_free(struct stream *s)
{
    struct greeting *g = s->greeting;
    if (g == NULL)
        return;
    loop_timer_cancel(s->loop, &g->limit);
    if (g->prev != NULL)
        g->prev->next = g->next;
    else
        g->listener->greetings = g->next;
    if (g->next != NULL)
        g->next->prev = g->prev;
    mem_free(g);
    s->greeting = NULL;
}

static void greeting_takes_too_long(struct timer *t)
{
    stream_abort(CONTAINER_OF(t, struct greeting, limit)->stream);
}

void greeting_step(struct stream *s)
{
    enum err e = stream_handshake(s);
    if (e == ERR_AGAIN)
        return;
    if (e != ERR_OK) {
        /* OpenSSL has sent its alert; an ordinary close lets the peer read it. */
        stream_close(s);
        return;
    }
    struct listener *li = s->greeting->listener;
    greeting_free(s);
    stream_enter(s, STREAM_OPEN);
    li->on_accept(li->ctx, s);
}

static void greet(struct listener *li, struct stream *s, struct tls_server *tls)
{
    s->tls = tls_conn_server(tls, s->fd);
    if (s->tls == NULL) {
        stream_abort(s);
        return;
    }
    struct greeting *g = mem_new(struct greeting);
    g->listener = li;
    g->stream = s;
    g->next = li->greetings;
    if (g->next != NULL)
        g->next->prev = g;
    li->greetings = g;
    s->greeting = g;
    loop_timer_in(li->loop, &g->limit, GREETING_TIME, greeting_takes_too_long);
    stream_settle(s, 0); /* the client speaks first */
}

/* ---- accepting ---- */

static void welcome(struct listener *li, int fd, const union sock_addr *peer)
{
    struct tls_server *tls = li->tls != NULL ? li->tls(li->tls_ctx) : NULL;
    struct stream *s = stream_new(li->loop);
    s->state =
        tls != NULL ? STREAM_GREETING : STREAM_OPEN; /* its first state: no edge leads here */
    s->peer = *peer;
    if (stream_attach(s, fd) != ERR_OK)
        stream_close(s);
    else if (tls != NULL)
        greet(li, s, tls);
    else
        li->on_accept(li->ctx, s);
}

static void on_incoming(uv_poll_t *handle, int status, int events)
{
    struct listener *li = CONTAINER_OF(handle, struct listen_watch, poll)->listener;
    (void)status; /* an error of the listening socket comes back from accept */
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN && li != NULL && !li->closed; i++) {
        union sock_addr peer;
        int fd = sock_accept(li->fd, &peer);
        if (fd >= 0) {
            welcome(li, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(li);
        else if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
            continue; /* this one has gone; the next may be fine */
        return;
    }
}

/* ---- opening and closing ---- */

static int listen_on_first(struct addrinfo *list, const struct listen_options *o,
                           union sock_addr *out_at)
{
    int backlog = o->backlog > 0 ? o->backlog : 511;
    for (struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        if (a->ai_addrlen > sizeof *out_at)
            continue;
        memset(out_at, 0, sizeof *out_at);
        memcpy(out_at, a->ai_addr, a->ai_addrlen);
        int fd = sock_listen(out_at, backlog, o->reuse_port);
        if (fd >= 0 || a->ai_next == NULL)
            return fd;
    }
    errno = EADDRNOTAVAIL;
    return -1;
}

static _Thread_local char listen_why[400];

static enum err open_listener(struct span host, uint16_t port, const struct listen_options *o,
                              int *out_fd)
{
    char name[256] = "", service[8];
    if (host.len >= sizeof name)
        return ERR_NAME;
    memcpy(name, host.len > 0 ? host.at : "", host.len);
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                             .ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(name[0] != '\0' ? name : NULL, service, &hints, &list);
    if (rc != 0) {
        (void)snprintf(listen_why, sizeof listen_why, "could not resolve %s: %s", name,
                       gai_strerror(rc));
        return ERR_NAME;
    }
    union sock_addr at;
    int fd = listen_on_first(list, o, &at);
    int err_no = errno;
    freeaddrinfo(list);
    if (fd < 0) {
        (void)snprintf(listen_why, sizeof listen_why, "could not listen on %s:%s: %s", name,
                       service, sock_text(err_no));
        return err_no == EADDRINUSE ? ERR_EXISTS : err_no == EACCES ? ERR_PERMISSION : ERR_IO;
    }
    *out_fd = fd;
    return ERR_OK;
}

static void free_listen_watch(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF((uv_poll_t *)(void *)handle, struct listen_watch, poll));
}

enum err net_listen(struct loop *l, struct span host, uint16_t port, const struct listen_options *o,
                    void (*on_accept)(void *ctx, struct stream *s), void *ctx,
                    struct listener **out, const char **out_why)
{
    int fd = -1;
    (void)snprintf(listen_why, sizeof listen_why, "the host name is too long");
    *out_why = listen_why;
    enum err e = open_listener(host, port, o, &fd);
    if (e != ERR_OK)
        return e;
    struct listen_watch *w = mem_new(struct listen_watch);
    if (uv_poll_init_socket(&l->uv, &w->poll, fd) != 0) {
        (void)snprintf(listen_why, sizeof listen_why, "the listening socket could not be polled");
        close(fd);
        mem_free(w);
        return ERR_IO;
    }
    struct listener *li = mem_new(struct listener);
    union sock_addr bound = {0};
    socklen_t len = sizeof bound;
    (void)getsockname(fd, &bound.any, &len);
    *li = (struct listener){.loop = l,
                            .watch = w,
                            .fd = fd,
                            .reserve = sock_reserve(),
                            .port = sock_addr_port_of(&bound),
                            .tls = o->tls,
                            .tls_ctx = o->tls_ctx,
                            .on_accept = on_accept,
                            .ctx = ctx};
    w->listener = li;
    l->listeners++;
    start_accepting(li);
    *out = li;
    return ERR_OK;
}

uint16_t listener_port(const struct listener *li)
{
    return li->port;
}

void listener_close(struct listener *li)
{
    if (li == NULL)
        return;
    assert(!li->closed);
    while (li->greetings != NULL)
        stream_abort(li->greetings->stream);
    li->closed = true;
    loop_timer_cancel(li->loop, &li->pause);
    li->watch->listener = NULL;
    uv_close((uv_handle_t *)&li->watch->poll, free_listen_watch);
    close(li->fd);
    if (li->reserve >= 0)
        close(li->reserve);
    li->dead_next = li->loop->dead_listeners;
    li->loop->dead_listeners = li;
    li->loop->listeners--;
}

void listener_free_dead(struct loop *l)
{
    while (l->dead_listeners != NULL) {
        struct listener *li = l->dead_listeners;
        l->dead_listeners = li->dead_next;
        mem_free(li);
    }
}
