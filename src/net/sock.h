#pragma once
/* Non-blocking TCP sockets: the few system calls that differ between systems, and what errno means
 * to the layers above. Knows no loop. Every descriptor made here is closed on exec. */
#include "base/base.h"
#include <netinet/in.h>
#include <sys/socket.h>

union sock_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
#define SOCK_ADDR_TEXT 64

/* family is zero in an address that is not set. */
bool sock_addr_set(const union sock_addr *a);
socklen_t sock_addr_len(const union sock_addr *a);
void sock_addr_port(union sock_addr *a, uint16_t port);
uint16_t sock_addr_port_of(const union sock_addr *a);
/* "127.0.0.1:80", "[::1]:80" */
void sock_addr_text(const union sock_addr *a, char out[SOCK_ADDR_TEXT]);
/* True when host is an IPv4 or IPv6 address, which is then in *out with port 0. */
bool sock_addr_numeric(const char *host, union sock_addr *out);

/* Descriptor or -1 with errno. TCP_NODELAY is set on streams. */
int sock_stream(int family);
int sock_accept(int listener, union sock_addr *out_peer);
int sock_listen(const union sock_addr *at, int backlog, bool reuse_port);
/* 0, or -1 with errno; EINPROGRESS is 0. */
int sock_connect(int fd, const union sock_addr *to);
/* Could a server listen on 127.0.0.1:*port now? With 0: finds a port that is free, into *port. It
 * may be taken by another program a moment later. */
bool sock_port_free(uint16_t *port);
int sock_error(int fd); /* SO_ERROR, or errno of asking */
void sock_reset_on_close(int fd);
int sock_reserve(void); /* a descriptor kept to be given up when they run out, or -1 */

enum err sock_err(int err_no);
const char *sock_text(int err_no); /* "connection refused"; static */
