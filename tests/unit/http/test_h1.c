/* The HTTP/1.1 reader and writers. Each rule is a row with the section it comes from; each row is
 * also fed whole, byte by byte, cut once at every place and cut at random, and must come out the
 * same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "feed.h"

static const struct http_limits small = {
    .line_bytes = 64, .field_bytes = 96, .head_bytes = 256, .fields = 5, .body_bytes = 32};

struct row {
    const char *rule; /* what, and where it is written */
    enum h1_role role;
    struct span in;
    const char *out; /* the transcript of feed.h */
};
#define ROW(rule, role, in, out)                                                                   \
    {                                                                                              \
        rule, role, {in, sizeof(in) - 1}, out                                                      \
    }
#define REQ(rule, in, out) ROW(rule, H1_REQUEST, in, out)
#define RES(rule, in, out) ROW(rule, H1_RESPONSE, in, out)
#define BAD "<ERR_SYNTAX 400>"
#define H "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_HEAD "[POST / host=a 1.1 length=-1 chunked keep|Host=a|Transfer-Encoding=chunked]"
#define OK200 "HTTP/1.1 200 OK\r\n"

static const struct row requests[] = {
    REQ("9112 3: a request without a body", "GET /a?b HTTP/1.1\r\nHost: x:80\r\n\r\n",
        "[GET /a?b host=x:80 1.1 length=-1 keep|Host=x:80]<END><EOF>"),
    REQ("9112 9.3: two requests in one go, in order",
        "GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
        "[GET /1 host=a 1.1 length=-1 keep|Host=a]<END>"
        "[GET /2 host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 2.2: one empty line in front is forgiven", "\r\nGET / HTTP/1.1\r\n" H "\r\n",
        "[GET / host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 2.2: but not two", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 2.2: nor one that is a bare LF", "\nGET / HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 2.2: first line starting with a blank", " GET / HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 2.2: bare LF", "GET / HTTP/1.1\n" H "\r\n", BAD),
    REQ("9112 2.2: bare LF ends a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", BAD),
    REQ("9112 2.2: bare LF ends the head", "GET / HTTP/1.1\r\n" H "\n", BAD),
    REQ("9112 2.2: bare CR in a value", "GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", BAD),
    REQ("9112 2.2: CR CR LF", "GET / HTTP/1.1\r\n" H "A: b\r\r\n\r\n", BAD),
    REQ("9112 2.2: bare CR in the request line", "GET /\r HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9110 5.5: NUL in a value", "GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n", BAD),
    REQ("9110 5.5: control byte in a long value",
        "GET / HTTP/1.1\r\n" H "A: 0123456789abcdef\x01g\r\n\r\n", BAD),
    REQ("9110 5.5: DEL in a value", "GET / HTTP/1.1\r\n" H "A: 01234567\x7f\r\n\r\n", BAD),
    REQ("9110 5.5: tabs and obs-text are values",
        "GET / HTTP/1.1\r\n" H "A: \t0\t1234567\xc3\xa9 \t\r\n\r\n",
        "[GET / host=a 1.1 length=-1 keep|Host=a|A=0\t1234567\xc3\xa9]<END><EOF>"),
    REQ("9110 5.5: empty values", "GET / HTTP/1.1\r\n" H "A:\r\nB: \r\n\r\n",
        "[GET / host=a 1.1 length=-1 keep|Host=a|A=|B=]<END><EOF>"),
    REQ("9112 5.2: obs-fold", "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", BAD),
    REQ("9112 5.2: obs-fold with a tab", "GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n", BAD),
    REQ("9112 5.1: blank before the colon", "GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", BAD),
    REQ("9112 5.1: blank before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
    REQ("9110 5.1: empty name", "GET / HTTP/1.1\r\n" H ": b\r\n\r\n", BAD),
    REQ("9110 5.1: no colon", "GET / HTTP/1.1\r\n" H "Abc\r\n\r\n", BAD),
    REQ("9110 5.1: byte that is no token", "GET / HTTP/1.1\r\n" H "A(b: c\r\n\r\n", BAD),
    REQ("9110 5.1: non-ASCII name", "GET / HTTP/1.1\r\n" H "\xc3\xa9: c\r\n\r\n", BAD),
    REQ("9110 5.1, ours: underscore in a name", "GET / HTTP/1.1\r\n" H "Content_Length: 1\r\n\r\n",
        BAD),
    REQ("9110 9.1: method that is no token", "G(T / HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9110 9.1: any token is a method", "brew /x HTTP/1.1\r\n" H "\r\n",
        "[brew /x host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 3: two blanks", "GET  / HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3: tab for blank", "GET\t/ HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3: blank behind", "GET / HTTP/1.1 \r\n" H "\r\n", BAD),
    REQ("9112 3: no version", "GET /\r\n\r\n", BAD),
    REQ("9112 2.3: lower case version", "GET / http/1.1\r\n" H "\r\n", BAD),
    REQ("9112 2.3: version with more digits", "GET / HTTP/1.10\r\n" H "\r\n", BAD),
    REQ("9110 15.6.6: HTTP/2 without a preface", "GET / HTTP/2.0\r\n" H "\r\n",
        "<ERR_UNSUPPORTED 505>"),
    REQ("9110 15.6.6: the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "<ERR_UNSUPPORTED 505>"),
    REQ("9112 2.1: a TLS hello", "\x16\x03\x01\x02\x00\x01", BAD),
    REQ("9112 3.2: '#' in the target", "GET /a#b HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2: backslash in the target", "GET /a\\b HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2: control byte in the target", "GET /a\x01 HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2: non-ASCII target", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2.1: target without a slash", "GET a HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2.2: absolute-form", "GET http://A/b?c HTTP/1.1\r\n" H "\r\n",
        "[GET /b?c host=A 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 3.2.2: absolute-form without a path", "GET https://a HTTP/1.1\r\n" H "\r\n",
        "[GET / host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 3.2.2: absolute-form that differs from Host", "GET http://b/ HTTP/1.1\r\n" H "\r\n",
        BAD),
    REQ("9112 3.2.2: ... by the port", "GET http://a:1/ HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2.2: ... by a user name", "GET http://u@a/ HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2.2: absolute-form with a query only", "GET http://a?b HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2.2: another scheme", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9112 3.2.2: absolute-form still needs a Host", "GET http://a/ HTTP/1.1\r\n\r\n", BAD),
    REQ("9112 3.2.2: in HTTP/1.0 it is the host", "GET http://a/ HTTP/1.0\r\n\r\n",
        "[GET / host=a 1.0 length=-1 close]<END><EOF>"),
    REQ("9112 3.2.4: OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n",
        "[OPTIONS * host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 3.2.4: OPTIONS of the host", "OPTIONS http://a HTTP/1.1\r\n" H "\r\n",
        "[OPTIONS * host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 3.2.4: * for GET", "GET * HTTP/1.1\r\n" H "\r\n", BAD),
    REQ("9110 9.3.6: CONNECT", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", "<ERR_UNSUPPORTED 501>"),
    REQ("9112 3.2: no Host", "GET / HTTP/1.1\r\n\r\n", BAD),
    REQ("9112 3.2: two Hosts", "GET / HTTP/1.1\r\n" H "host: a\r\n\r\n", BAD),
    REQ("9112 3.2: empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", BAD),
    REQ("9110 7.2: Host with a path (CVE-2026-48710)", "GET / HTTP/1.1\r\nHost: a/#@x\r\n\r\n",
        BAD),
    REQ("9110 7.2: Host with a comma", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", BAD),
    REQ("9110 7.2: Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD),
    REQ("9110 7.2: Host with a bad port", "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", BAD),
    REQ("9110 7.2: Host in brackets", "GET / HTTP/1.1\r\nHost: [::1]:8484\r\n\r\n",
        "[GET / host=[::1]:8484 1.1 length=-1 keep|Host=[::1]:8484]<END><EOF>"),
    REQ("9112 9.3: HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\n",
        "[GET / host= 1.0 length=-1 close]<END><EOF>"),
    REQ("9112 9.3: HTTP/1.0 that asks to stay", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
        "[GET / host= 1.0 length=-1 keep|Connection=Keep-Alive]<END><EOF>"),
    REQ("9112 9.3: close wins", "GET / HTTP/1.1\r\n" H "Connection: keep-alive, x ,close\r\n\r\n",
        "[GET / host=a 1.1 length=-1 close|Host=a|Connection=keep-alive, x ,close]<END><EOF>"),
    REQ("9112 9.3: close in a second field",
        "GET / HTTP/1.1\r\n" H "Connection: te\r\nConnection: CLOSE\r\n\r\n",
        "[GET / host=a 1.1 length=-1 close|Host=a|Connection=te|Connection=CLOSE]<END><EOF>"),
    REQ("9110 7.8: Upgrade is seen, not done", "GET / HTTP/1.1\r\n" H "Upgrade: h2c\r\n\r\n",
        "[GET / host=a 1.1 length=-1 keep upgrade|Host=a|Upgrade=h2c]<END><EOF>"),
    REQ("9112 6.3: Content-Length", POST "Content-Length: 05\r\n\r\nhello",
        "[POST / host=a 1.1 length=5 keep|Host=a|Content-Length=05]hello<END><EOF>"),
    REQ("9112 6.3: a body of none", POST "Content-Length: 0\r\n\r\n",
        "[POST / host=a 1.1 length=0 keep|Host=a|Content-Length=0]<END><EOF>"),
    REQ("9112 8: a body that is cut", POST "Content-Length: 5\r\n\r\nhell",
        "[POST / host=a 1.1 length=5 keep|Host=a|Content-Length=5]hell<EOF cut>"),
    REQ("9112 8: a head that is cut", "GET / HTTP/1.1\r\nHo", "<EOF cut>"),
    REQ("9112 6.3: two lengths", POST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", BAD),
    REQ("9112 6.3: two equal lengths", POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", BAD),
    REQ("9112 6.3: a list of lengths", POST "Content-Length: 1, 1\r\n\r\nx", BAD),
    REQ("9110 8.6: sign", POST "Content-Length: +1\r\n\r\nx", BAD),
    REQ("9110 8.6: negative", POST "Content-Length: -1\r\n\r\nx", BAD),
    REQ("9110 8.6: hex", POST "Content-Length: 0x1\r\n\r\nx", BAD),
    REQ("9110 8.6: blank inside", POST "Content-Length: 1 0\r\n\r\nx", BAD),
    REQ("9110 8.6: empty", POST "Content-Length:\r\n\r\n", BAD),
    REQ("9110 8.6: past 2^63", POST "Content-Length: 9223372036854775808\r\n\r\nx", BAD),
    REQ("9110 8.6: past 2^64", POST "Content-Length: 18446744073709551617\r\n\r\nx", BAD),
    REQ("9110 15.5.14: announced too large, refused behind the head",
        POST "Content-Length: 33554433\r\n\r\n",
        "[POST / host=a 1.1 length=33554433 keep|Host=a|Content-Length=33554433]<ERR_LIMIT 413>"),
    REQ("9112 6.1: length and coding together",
        POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    REQ("9112 6.1: in the other order",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", BAD),
    REQ("9112 6.1: coding twice",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    REQ("9112 6.1: coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    REQ("9112 6.1: gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "<ERR_UNSUPPORTED 501>"),
    REQ("9112 6.1: chunked, chunked", POST "Transfer-Encoding: chunked, chunked\r\n\r\n",
        "<ERR_UNSUPPORTED 501>"),
    REQ("9112 6.1: identity", POST "Transfer-Encoding: identity\r\n\r\n", "<ERR_UNSUPPORTED 501>"),
    REQ("9112 6.1: xchunked", POST "Transfer-Encoding: xchunked\r\n\r\n", "<ERR_UNSUPPORTED 501>"),
    REQ("9112 6.1: chunked behind a vertical tab", POST "Transfer-Encoding: \vchunked\r\n\r\n",
        BAD),
    REQ("9110 10.1.1: Expect", POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
        "[POST / host=a 1.1 length=1 keep expect|Host=a|Expect=100-Continue|Content-Length=1]x"
        "<END><EOF>"),
    REQ("9110 10.1.1: Expect with nothing to come", POST "Expect: 100-continue\r\n\r\n",
        "[POST / host=a 1.1 length=-1 keep|Host=a|Expect=100-continue]<END><EOF>"),
    REQ("9110 10.1.1: another Expect", POST "Expect: 200-ok\r\n\r\n", "<ERR_UNSUPPORTED 417>"),
    REQ("9110 10.1.1: Expect in HTTP/1.0 is ignored",
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
        "[POST / host= 1.0 length=1 close|Expect=100-continue|Content-Length=1]x<END><EOF>"),
};

static const struct row chunks[] = {
    REQ("9112 7.1: chunks", CHUNKED "5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n",
        CHUNKED_HEAD "hello0123456789<END><EOF>"),
    REQ("9112 7.1: 16 digits", CHUNKED "0000000000000001\r\nx\r\n0000000000000000\r\n\r\n",
        CHUNKED_HEAD "x<END><EOF>"),
    REQ("9112 7.1: 17 digits", CHUNKED "00000000000000001\r\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: no digit", CHUNKED "\r\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: 0x", CHUNKED "0x1\r\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: underscore", CHUNKED "1_0\r\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: sign", CHUNKED "+1\r\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: blank in front", CHUNKED " 1\r\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: blank behind", CHUNKED "1 \r\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: bare LF behind the size", CHUNKED "1\nx\r\n0\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1: bare LF behind the data", CHUNKED "1\r\nx\n0\r\n\r\n", CHUNKED_HEAD "x" BAD),
    REQ("9112 7.1: more data than announced", CHUNKED "1\r\nxy\r\n0\r\n\r\n", CHUNKED_HEAD "x" BAD),
    REQ("9112 7.1: size past any limit", CHUNKED "ffffffffffffffff\r\nx",
        CHUNKED_HEAD "<ERR_LIMIT 413>"),
    REQ("9112 8: cut inside a chunk", CHUNKED "5\r\nhel", CHUNKED_HEAD "hel<EOF cut>"),
    REQ("9112 8: cut before the last chunk", CHUNKED "1\r\nx\r\n", CHUNKED_HEAD "x<EOF cut>"),
    REQ("9112 8: cut inside the end", CHUNKED "0\r\n\r", CHUNKED_HEAD "<EOF cut>"),
    REQ("9112 7.1.1: extensions", CHUNKED "1;a=\"b\"\r\nx\r\n0;c\r\n\r\n",
        CHUNKED_HEAD "x<END><EOF>"),
    REQ("9112 7.1.1: control byte in an extension", CHUNKED "1;a\x01\r\nx\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1.1: bare LF in an extension (CVE-2025-55315)", CHUNKED "1;a\nx\r\n0\r\n\r\n",
        CHUNKED_HEAD BAD),
    REQ("9112 7.1.1: bare CR in an extension", CHUNKED "1;a\rb\r\nx\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1.2: trailers are read and dropped",
        CHUNKED "1\r\nx\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
        CHUNKED_HEAD "x<END>[GET / host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("9112 7.1.2: a malformed trailer", CHUNKED "0\r\nA : b\r\n\r\n", CHUNKED_HEAD BAD),
    REQ("9112 7.1.2: bare LF behind a trailer", CHUNKED "0\r\nA: b\n\r\n", CHUNKED_HEAD BAD),
    RES("9112 7.1: chunks of a response",
        OK200 "Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "[200 OK 1.1 length=-1 chunked keep|Transfer-Encoding=Chunked]x<END><EOF>"),
    RES("9112 8: a response cut inside its chunks",
        OK200 "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        "[200 OK 1.1 length=-1 chunked keep|Transfer-Encoding=chunked]x<EOF cut>"),
};

#define FAILED_RES "<ERR_SYNTAX 502>"
static const struct row responses[] = {
    RES("9112 4: a response with a length", OK200 "Content-Length: 2\r\n\r\nhi",
        "[200 OK 1.1 length=2 keep|Content-Length=2]hi<END><EOF>"),
    RES("9112 4: no reason", "HTTP/1.1 529 \r\nContent-Length: 0\r\n\r\n",
        "[529  1.1 length=0 keep|Content-Length=0]<END><EOF>"),
    RES("9112 4: nor the blank before it", "HTTP/1.1 529\r\nContent-Length: 0\r\n\r\n",
        "[529  1.1 length=0 keep|Content-Length=0]<END><EOF>"),
    RES("9112 4: a status of two digits", "HTTP/1.1 99\r\n\r\n", FAILED_RES),
    RES("9112 4: a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", FAILED_RES),
    RES("9112 4: a status below 100", "HTTP/1.1 099 OK\r\n\r\n", FAILED_RES),
    RES("9112 4: a status with a sign", "HTTP/1.1 +20 OK\r\n\r\n", FAILED_RES),
    RES("9112 4: NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n", FAILED_RES),
    RES("9112 2.3: another version", "HTTP/2 200\r\n\r\n", FAILED_RES),
    RES("9112 2.1: no HTTP at all", "<html>", FAILED_RES),
    RES("9112 2.2: an empty line in front", "\r\nHTTP/1.1 200 OK\r\n\r\n", FAILED_RES),
    RES("9112 6.3: until close", OK200 "A: b\r\n\r\nhello",
        "[200 OK 1.1 length=-1 close|A=b]hello"
        "<END><EOF>"),
    RES("9112 6.3: until close, with nothing", OK200 "\r\n",
        "[200 OK 1.1 length=-1 close]<END><EOF>"),
    RES("9112 9.3: HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "[200 OK 1.0 length=0 close|Content-Length=0]<END><EOF>"),
    RES("9112 6.3: 204 has no body",
        "HTTP/1.1 204 No Content\r\n\r\n" OK200 "Content-Length: 0\r\n\r\n",
        "[204 No Content 1.1 length=-1 keep]<END>[200 OK 1.1 length=0 keep|Content-Length=0]<END>"
        "<EOF>"),
    RES("9112 6.3: 304 has no body", "HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n",
        "[304 X 1.1 length=9 keep|Content-Length=9]<END><EOF>"),
    RES("9110 15.2: interim responses are swallowed",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" OK200
        "Content-Length: 1\r\n\r\nx",
        "[200 OK 1.1 length=1 keep|Content-Length=1]x<END><EOF>"),
    RES("9110 15.2: only interim ones is none", "HTTP/1.1 100 Continue\r\n\r\n", "<EOF cut>"),
    RES("9110 15.2.2: 101 unasked", "HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n", FAILED_RES),
    RES("9112 6.3: length and coding together",
        OK200 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", FAILED_RES),
    RES("9112 6.3: two lengths", OK200 "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        FAILED_RES),
    RES("9112 6.1: another coding", OK200 "Transfer-Encoding: gzip\r\n\r\n",
        "<ERR_UNSUPPORTED 502>"),
    RES("9112 8: cut short of its length", OK200 "Content-Length: 5\r\n\r\nhell",
        "[200 OK 1.1 length=5 keep|Content-Length=5]hell<EOF cut>"),
    RES("9112 5.2: obs-fold", OK200 "A: b\r\n c\r\n\r\n", FAILED_RES),
    RES("9112 5.1: blank before the colon", OK200 "A : b\r\n\r\n", FAILED_RES),
    RES("9112 2.2: bare LF", "HTTP/1.1 200 OK\n\n", FAILED_RES),
    RES("9110 5.1: an upstream may use underscores", OK200 "a_b: c\r\nContent-Length: 0\r\n\r\n",
        "[200 OK 1.1 length=0 keep|a_b=c|Content-Length=0]<END><EOF>"),
    RES("9112 9.3: close", OK200 "Connection: close\r\nContent-Length: 0\r\n\r\n",
        "[200 OK 1.1 length=0 close|Connection=close|Content-Length=0]<END><EOF>"),
};

/* With the limits of `small`. */
#define A64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
static const struct row limited[] = {
    REQ("request line at its limit", "GET /aaaaaaaaaaaaaaaaaa" A32 " HTTP/1.1\r\n" H "\r\n",
        "[GET /aaaaaaaaaaaaaaaaaa" A32 " host=a 1.1 length=-1 keep|Host=a]<END><EOF>"),
    REQ("request line past it", "GET /aaaaaaaaaaaaaaaaaaa" A32 " HTTP/1.1\r\n" H "\r\n",
        "<ERR_LIMIT 414>"),
    REQ("request line past it without an end", "GET /" A64 A64, "<ERR_LIMIT 414>"),
    REQ("field at its limit",
        "GET / HTTP/1.1\r\n" H "A:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" A64 "\r\n\r\n",
        "[GET / host=a 1.1 length=-1 keep|Host=a|A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" A64
        "]<END><EOF>"),
    REQ("field past it", "GET / HTTP/1.1\r\n" H "A:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" A64 "\r\n\r\n",
        "<ERR_LIMIT 431>"),
    REQ("field past it without an end", "GET / HTTP/1.1\r\n" H "A:" A64 A64, "<ERR_LIMIT 431>"),
    REQ("head past its limit",
        "GET / HTTP/1.1\r\n" H "A:" A64 "\r\nB:" A64 "\r\nC:" A64 "\r\nD:" A64 "\r\n\r\n",
        "<ERR_LIMIT 431>"),
    REQ("fields at their limit", "GET / HTTP/1.1\r\n" H "A:\r\nB:\r\nC:\r\nD:\r\n\r\n",
        "[GET / host=a 1.1 length=-1 keep|Host=a|A=|B=|C=|D=]<END><EOF>"),
    REQ("fields past it", "GET / HTTP/1.1\r\n" H "A:\r\nB:\r\nC:\r\nD:\r\nE:\r\n\r\n",
        "<ERR_LIMIT 431>"),
    REQ("trailers past it", CHUNKED "0\r\nA:\r\nB:\r\nC:\r\nD:\r\nE:\r\nF:\r\n\r\n",
        CHUNKED_HEAD "<ERR_LIMIT 431>"),
    REQ("trailers too large",
        CHUNKED "0\r\nA:" A64 "\r\nB:" A64 "\r\nC:" A64 "\r\nD:" A64 "\r\n\r\n",
        CHUNKED_HEAD "<ERR_LIMIT 431>"),
    REQ("body at its limit", POST "Content-Length: 32\r\n\r\n" A32,
        "[POST / host=a 1.1 length=32 keep|Host=a|Content-Length=32]" A32 "<END><EOF>"),
    REQ("chunks at the body's limit",
        CHUNKED "1f\r\n0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n1\r\nx\r\n0\r\n\r\n",
        CHUNKED_HEAD "0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaax<END><EOF>"),
    REQ("chunks past it", CHUNKED "1f\r\n0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n2\r\nxy\r\n0\r\n\r\n",
        CHUNKED_HEAD "0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa<ERR_LIMIT 413>"),
    RES("until close at the body's limit", OK200 "\r\n" A32,
        "[200 OK 1.1 length=-1 close]" A32 "<END><EOF>"),
    RES("until close past it", OK200 "\r\n" A32 "a",
        "[200 OK 1.1 length=-1 close]" A32 "<ERR_LIMIT 502>"),
    RES("length past the body's limit", OK200 "Content-Length: 33\r\n\r\n" A32 "a",
        "[200 OK 1.1 length=33 keep|Content-Length=33]<ERR_LIMIT 502>"),
};

static const struct {
    const struct row *rows;
    size_t count;
    const struct http_limits *limits;
} tables[] = {
    {requests, ARRAY_LEN(requests), &http_limits_default},
    {chunks, ARRAY_LEN(chunks), &http_limits_default},
    {responses, ARRAY_LEN(responses), &http_limits_default},
    {limited, ARRAY_LEN(limited), &small},
};

static void expect(const struct row *r, const struct http_limits *limits, struct cuts cuts)
{
    struct buf log;
    buf_init(&log, 1 << 20);
    feed_h1(r->role, limits, false, r->in, cuts, &log);
    if (!span_is(buf_span(&log), r->out))
        fail_msg("%s (cut %d at %zu)\n want %s\n got  %.*s", r->rule, (int)cuts.how, cuts.at,
                 r->out, SPAN_FMT(buf_span(&log)));
    buf_deinit(&log);
}

static void each_rule_holds(size_t table)
{
    for (size_t i = 0; i < tables[table].count; i++)
        expect(&tables[table].rows[i], tables[table].limits, (struct cuts){.how = CUT_NOWHERE});
}

static void requests_follow_the_rules(void **state)
{
    (void)state;
    each_rule_holds(0);
}

static void chunks_follow_the_rules(void **state)
{
    (void)state;
    each_rule_holds(1);
}

static void responses_follow_the_rules(void **state)
{
    (void)state;
    each_rule_holds(2);
}

static void limits_are_exact(void **state)
{
    (void)state;
    each_rule_holds(3);
}

static void cutting_the_bytes_changes_nothing(void **state)
{
    (void)state;
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct row *r = &tables[t].rows[i];
            expect(r, tables[t].limits, (struct cuts){.how = CUT_BYTES});
            for (size_t at = 1; at < r->in.len; at++)
                expect(r, tables[t].limits, (struct cuts){.how = CUT_ONCE, .at = at});
            for (uint64_t seed = 1; seed <= 20; seed++)
                expect(r, tables[t].limits, (struct cuts){.how = CUT_RANDOM, .seed = seed});
        }
}

static void a_cut_inside_the_limits_stays_inside(void **state)
{
    (void)state;
    struct http_limits l = http_limits_default;
    struct row r = {"a long head survives growing", H1_REQUEST, SPAN_EMPTY, NULL};
    struct buf in, want;
    buf_init(&in, 1 << 20);
    buf_init(&want, 1 << 20);
    say(&in, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 90; i++)
        assert_int_equal(buf_printf(&in, "Name-%d: %0*d\r\n", i, 1 + 7 * i, i), ERR_OK);
    say(&in, "\r\n");
    feed_h1(H1_REQUEST, &l, false, buf_span(&in), (struct cuts){.how = CUT_NOWHERE}, &want);
    assert_true(span_ends(buf_span(&want), SPAN("<END><EOF>")));
    assert_int_equal(buf_add_char(&want, '\0'), ERR_OK);
    r.in = buf_span(&in);
    r.out = want.at;
    expect(&r, &l, (struct cuts){.how = CUT_BYTES});
    for (uint64_t seed = 1; seed < 200; seed++)
        expect(&r, &l, (struct cuts){.how = CUT_RANDOM, .seed = seed});
    buf_deinit(&in);
    buf_deinit(&want);
}

static void the_ninth_interim_response_is_one_too_many(void **state)
{
    (void)state;
    for (int count = 8; count <= 9; count++) {
        struct buf in, log;
        buf_init(&in, 4096);
        buf_init(&log, 4096);
        for (int i = 0; i < count; i++)
            say(&in, "HTTP/1.1 102 Processing\r\n\r\n");
        say(&in, OK200 "Content-Length: 0\r\n\r\n");
        feed_h1(H1_RESPONSE, &http_limits_default, false, buf_span(&in),
                (struct cuts){.how = CUT_RANDOM, .seed = 7}, &log);
        assert_true(span_is(buf_span(&log),
                            count == 8 ? "[200 OK 1.1 length=0 keep|Content-Length=0]<END><EOF>"
                                       : "<ERR_LIMIT 502>"));
        buf_deinit(&in);
        buf_deinit(&log);
    }
}

static void head_has_no_body_whatever_it_says(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {OK200 "Content-Length: 5\r\n\r\n",
         "[200 OK 1.1 length=5 keep|Content-Length=5]<END><EOF>"},
        {OK200 "Transfer-Encoding: chunked\r\n\r\n",
         "[200 OK 1.1 length=-1 chunked keep|Transfer-Encoding=chunked]<END><EOF>"},
        {"HTTP/1.1 103 X\r\n\r\n" OK200 "\r\n", "[200 OK 1.1 length=-1 keep]<END><EOF>"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf log;
        buf_init(&log, 4096);
        feed_h1(H1_RESPONSE, &http_limits_default, true, span_from(rows[i][0]),
                (struct cuts){.how = CUT_BYTES}, &log);
        assert_true(span_is(buf_span(&log), rows[i][1]));
        buf_deinit(&log);
    }
}

/* Feeds one head and `chunks` chunks of one byte, each with an extension of `extension` bytes. */
static enum err feed_chunk_flood(size_t count, size_t extension)
{
    static const char dots[] = ";" A64 A64 A64 A64;
    struct h1 p;
    struct h1_event e;
    struct buf in;
    size_t used;
    h1_init(&p, H1_REQUEST, &http_limits_default);
    buf_init(&in, 1024);
    enum err r = h1_feed(&p, SPAN(CHUNKED), &used, &e);
    for (size_t i = 0; r == ERR_OK && i < count; i++) {
        buf_reset(&in);
        assert_int_equal(buf_printf(&in, "1%.*s\r\nx\r\n", (int)extension, dots), ERR_OK);
        struct span left = buf_span(&in);
        do {
            r = h1_feed(&p, left, &used, &e);
            left = span_drop(left, used);
        } while (r == ERR_OK && e.type != H1_MORE);
    }
    buf_deinit(&in);
    h1_deinit(&p);
    return r;
}

static void tiny_chunks_pass_and_floods_of_extensions_do_not(void **state)
{
    (void)state;
    assert_int_equal(feed_chunk_flood(100000, 0), ERR_OK);
    assert_int_equal(feed_chunk_flood(10, 257), ERR_OK);
    assert_int_equal(feed_chunk_flood(1000, 200), ERR_LIMIT);
}

static void an_extension_of_256_bytes_is_the_longest(void **state)
{
    (void)state;
    for (size_t n = 256; n <= 257; n++) {
        struct buf in, log;
        buf_init(&in, 4096);
        buf_init(&log, 4096);
        assert_int_equal(buf_printf(&in, CHUNKED "0;%0*d\r\n\r\n", (int)n, 0), ERR_OK);
        feed_h1(H1_REQUEST, &http_limits_default, false, buf_span(&in),
                (struct cuts){.how = CUT_RANDOM, .seed = n}, &log);
        assert_true(
            span_ends(buf_span(&log), n == 256 ? SPAN("<END><EOF>") : SPAN("<ERR_LIMIT 413>")));
        buf_deinit(&in);
        buf_deinit(&log);
    }
}

static bool lies_in(struct span part, struct span whole)
{
    return part.at >= whole.at && part.at + part.len <= whole.at + whole.len;
}

static void a_head_that_arrives_whole_is_not_copied(void **state)
{
    (void)state;
    struct span in = SPAN("GET /x HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n");
    struct h1 p;
    struct h1_event e;
    size_t used;
    h1_init(&p, H1_REQUEST, &http_limits_default);
    assert_int_equal(h1_feed(&p, in, &used, &e), ERR_OK);
    assert_int_equal(e.type, H1_HEAD);
    assert_int_equal(used, in.len);
    assert_true(lies_in(e.head.target, in) && lies_in(e.head.fields[1].value, in));
    assert_int_equal(p.lines.cap, 0);
    assert_true(span_is(http_field_get(&e.head, "a"), "b"));
    assert_null(http_field_get(&e.head, "c").at);
    h1_deinit(&p);
}

static void an_error_is_final_and_says_why(void **state)
{
    (void)state;
    struct h1 p;
    struct h1_event e;
    size_t used;
    h1_init(&p, H1_REQUEST, &http_limits_default);
    assert_int_equal(h1_feed(&p, SPAN("GET / HTTP/1.1\r\n\r\n"), &used, &e), ERR_SYNTAX);
    assert_non_null(strstr(p.error_text, "RFC 9112 section 3.2"));
    assert_int_equal(h1_feed(&p, SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &used, &e), ERR_SYNTAX);
    assert_int_equal(h1_feed_eof(&p, &e), ERR_EOF);
    assert_false(h1_idle(&p));
    h1_reset(&p);
    assert_true(h1_idle(&p));
    assert_int_equal(h1_feed(&p, SPAN("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &used, &e), ERR_OK);
    assert_int_equal(e.type, H1_HEAD);
    h1_deinit(&p);
}

static void idle_means_between_messages(void **state)
{
    (void)state;
    struct h1 p;
    struct h1_event e;
    size_t used;
    h1_init(&p, H1_RESPONSE, &http_limits_default);
    assert_true(h1_idle(&p));
    assert_int_equal(h1_feed(&p, SPAN("H"), &used, &e), ERR_OK);
    assert_false(h1_idle(&p));
    assert_int_equal(h1_feed(&p, SPAN("TTP/1.1 204 X\r\n\r\n"), &used, &e), ERR_OK);
    assert_int_equal(e.type, H1_HEAD);
    assert_false(h1_idle(&p));
    assert_int_equal(h1_feed(&p, SPAN_EMPTY, &used, &e), ERR_OK);
    assert_int_equal(e.type, H1_END);
    assert_true(h1_idle(&p));
    h1_deinit(&p);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    struct buf out, log;
    buf_init(&out, 4096);
    buf_init(&log, 4096);
    assert_int_equal(h1_write_request_line(&out, SPAN("POST"), SPAN("/v1/messages?a")), ERR_OK);
    assert_int_equal(h1_write_field(&out, SPAN("Host"), SPAN("a:1")), ERR_OK);
    assert_int_equal(h1_write_field(&out, SPAN("Transfer-Encoding"), SPAN("chunked")), ERR_OK);
    assert_int_equal(h1_write_field_u64(&out, "X", UINT64_MAX), ERR_OK);
    assert_int_equal(h1_write_head_end(&out), ERR_OK);
    assert_int_equal(h1_write_chunk_start(&out, 26), ERR_OK);
    say(&out, "abcdefghijklmnopqrstuvwxyz");
    assert_int_equal(h1_write_chunk_end(&out), ERR_OK);
    assert_int_equal(h1_write_last_chunk(&out), ERR_OK);
    feed_h1(H1_REQUEST, &http_limits_default, false, buf_span(&out),
            (struct cuts){.how = CUT_NOWHERE}, &log);
    assert_true(span_is(buf_span(&log),
                        "[POST /v1/messages?a host=a:1 1.1 length=-1 chunked keep|Host=a:1|"
                        "Transfer-Encoding=chunked|X=18446744073709551615]"
                        "abcdefghijklmnopqrstuvwxyz<END><EOF>"));
    buf_reset(&out);
    assert_int_equal(h1_write_status_line(&out, 529), ERR_OK);
    assert_true(span_is(buf_span(&out), "HTTP/1.1 529 Overloaded\r\n"));
    buf_deinit(&out);
    buf_deinit(&log);
}

static void nothing_a_peer_says_can_split_a_message(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(h1_write_field(&out, SPAN("A"), SPAN("b\r\nC: d")), ERR_INVALID);
    assert_int_equal(h1_write_field(&out, SPAN("A"), SPAN("b\nC: d")), ERR_INVALID);
    assert_int_equal(h1_write_field(&out, SPAN("A"), SPAN("b\0")), ERR_INVALID);
    assert_int_equal(h1_write_field(&out, SPAN("A\r\nB"), SPAN("b")), ERR_INVALID);
    assert_int_equal(h1_write_field(&out, SPAN("A:"), SPAN("b")), ERR_INVALID);
    assert_int_equal(h1_write_field(&out, SPAN(""), SPAN("b")), ERR_INVALID);
    assert_int_equal(h1_write_request_line(&out, SPAN("GET /x"), SPAN("/")), ERR_INVALID);
    assert_int_equal(h1_write_request_line(&out, SPAN("GET"), SPAN("/ HTTP/1.0\r\n")), ERR_INVALID);
    assert_int_equal(h1_write_request_line(&out, SPAN("GET"), SPAN("")), ERR_INVALID);
    assert_int_equal(h1_write_status_line(&out, 99), ERR_INVALID);
    assert_int_equal(out.len, 0);
    buf_deinit(&out);
    buf_init(&out, 8);
    assert_int_equal(h1_write_field(&out, SPAN("Name"), SPAN("value")), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_follow_the_rules),
        cmocka_unit_test(chunks_follow_the_rules),
        cmocka_unit_test(responses_follow_the_rules),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(cutting_the_bytes_changes_nothing),
        cmocka_unit_test(a_cut_inside_the_limits_stays_inside),
        cmocka_unit_test(the_ninth_interim_response_is_one_too_many),
        cmocka_unit_test(head_has_no_body_whatever_it_says),
        cmocka_unit_test(tiny_chunks_pass_and_floods_of_extensions_do_not),
        cmocka_unit_test(an_extension_of_256_bytes_is_the_longest),
        cmocka_unit_test(a_head_that_arrives_whole_is_not_copied),
        cmocka_unit_test(an_error_is_final_and_says_why),
        cmocka_unit_test(idle_means_between_messages),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(nothing_a_peer_says_can_split_a_message),
    };
    return cmocka_run_group_tests_name("h1", tests, NULL, NULL);
}
