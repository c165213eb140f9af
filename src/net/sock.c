/* See sock.h. Linux has accept4, SOCK_NONBLOCK and SOCK_CLOEXEC; elsewhere two calls more do it. */
#include "net/sock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

bool sock_addr_set(const union sock_addr *a)
{
    return a->any.sa_family == AF_INET || a->any.sa_family == AF_INET6;
}

socklen_t sock_addr_len(const union sock_addr *a)
{
    return a->any.sa_family == AF_INET6 ? (socklen_t)sizeof a->v6 : (socklen_t)sizeof a->v4;
}

void sock_addr_port(union sock_addr *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

uint16_t sock_addr_port_of(const union sock_addr *a)
{
    return ntohs(a->any.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

void sock_addr_text(const union sock_addr *a, char out[SOCK_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "";
    out[0] = '\0';
    if (!sock_addr_set(a))
        return;
    bool v6 = a->any.sa_family == AF_INET6;
    const void *at = v6 ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr;
    if (inet_ntop(a->any.sa_family, at, host, sizeof host) == NULL)
        return;
    (void)snprintf(out, SOCK_ADDR_TEXT, v6 ? "[%s]:%u" : "%s:%u", host,
                   (unsigned)sock_addr_port_of(a));
}

bool sock_addr_numeric(const char *host, union sock_addr *out)
{
    memset(out, 0, sizeof *out);
    if (uv_ip4_addr(host, 0, &out->v4) == 0)
        return true;
    memset(out, 0, sizeof *out);
    if (strchr(host, ':') != NULL && uv_ip6_addr(host, 0, &out->v6) == 0)
        return true;
    memset(out, 0, sizeof *out);
    return false;
}

#ifndef __linux__
static int make_quiet(int fd)
{
    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}
#endif

static int open_socket(int family)
{
#ifdef __linux__
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
#else
    return make_quiet(socket(family, SOCK_STREAM, IPPROTO_TCP));
#endif
}

static void set_flag(int fd, int level, int name)
{
    /* Best effort: a socket without the option still works. */
    (void)setsockopt(fd, level, name, &(int){1}, sizeof(int));
}

int sock_stream(int family)
{
    int fd = open_socket(family);
    if (fd >= 0)
        set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    return fd;
}

int sock_accept(int listener, union sock_addr *out_peer)
{
    memset(out_peer, 0, sizeof *out_peer);
    socklen_t len = sizeof *out_peer;
#ifdef __linux__
    int fd = accept4(listener, &out_peer->any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
    int fd = make_quiet(accept(listener, &out_peer->any, &len));
#endif
    if (fd >= 0)
        set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    return fd;
}

int sock_listen(const union sock_addr *at, int backlog, bool reuse_port)
{
    int fd = open_socket(at->any.sa_family);
    if (fd < 0)
        return -1;
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    bool fine =
        !reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) == 0;
    fine = fine && bind(fd, &at->any, sock_addr_len(at)) == 0 && listen(fd, backlog) == 0;
    if (!fine) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

int sock_connect(int fd, const union sock_addr *to)
{
    int rc;
    do
        rc = connect(fd, &to->any, sock_addr_len(to));
    while (rc != 0 && errno == EINTR);
    return rc != 0 && errno == EINPROGRESS ? 0 : rc;
}

int sock_error(int fd)
{
    int why = 0;
    socklen_t len = sizeof why;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 ? why : errno;
}

void sock_reset_on_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int sock_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

enum err sock_err(int err_no)
{
    switch (err_no) {
    case 0:
        return ERR_OK;
    case EAGAIN:
#if EAGAIN != EWOULDBLOCK
    case EWOULDBLOCK:
#endif
    case EINTR:
        return ERR_AGAIN;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return ERR_RESET;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EACCES:
    case EPERM:
    case EINVAL:
        return ERR_UNREACHABLE;
    default:
        return ERR_IO;
    }
}

const char *sock_text(int err_no)
{
    return uv_strerror(-err_no); /* thread-safe, unlike strerror */
}

bool sock_port_free(uint16_t *port)
{
    union sock_addr at;
    socklen_t len = sizeof at;
    bool numeric = sock_addr_numeric("127.0.0.1", &at);
    assert(numeric);
    sock_addr_port(&at, *port);
    int fd = sock_listen(&at, 1, false);
    if (fd < 0)
        return false;
    bool known = getsockname(fd, &at.any, &len) == 0;
    if (known)
        *port = sock_addr_port_of(&at);
    (void)close(fd); /* nothing was written to it */
    return known;
}
