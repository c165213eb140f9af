/* The writers of HTTP/1.1 heads and chunks. Last line of defence against response splitting:
 * whatever a peer said, a name or value with a control byte is refused here (reliability.md 3.3).
 */
#include "http/h1.h"

#include "base/span.h"
#include "http/chars.h"

#define STATUS_LIST(X)                                                                             \
    X(100, "Continue")                                                                             \
    X(101, "Switching Protocols")                                                                  \
    X(200, "OK")                                                                                   \
    X(201, "Created")                                                                              \
    X(202, "Accepted")                                                                             \
    X(204, "No Content")                                                                           \
    X(206, "Partial Content")                                                                      \
    X(301, "Moved Permanently")                                                                    \
    X(302, "Found")                                                                                \
    X(303, "See Other")                                                                            \
    X(304, "Not Modified")                                                                         \
    X(307, "Temporary Redirect")                                                                   \
    X(308, "Permanent Redirect")                                                                   \
    X(400, "Bad Request")                                                                          \
    X(401, "Unauthorized")                                                                         \
    X(402, "Payment Required")                                                                     \
    X(403, "Forbidden")                                                                            \
    X(404, "Not Found")                                                                            \
    X(405, "Method Not Allowed")                                                                   \
    X(406, "Not Acceptable")                                                                       \
    X(408, "Request Timeout")                                                                      \
    X(409, "Conflict")                                                                             \
    X(410, "Gone")                                                                                 \
    X(411, "Length Required")                                                                      \
    X(413, "Content Too Large")                                                                    \
    X(414, "URI Too Long")                                                                         \
    X(415, "Unsupported Media Type")                                                               \
    X(417, "Expectation Failed")                                                                   \
    X(421, "Misdirected Request")                                                                  \
    X(422, "Unprocessable Content")                                                                \
    X(424, "Failed Dependency")                                                                    \
    X(425, "Too Early")                                                                            \
    X(426, "Upgrade Required")                                                                     \
    X(428, "Precondition Required")                                                                \
    X(429, "Too Many Requests")                                                                    \
    X(431, "Request Header Fields Too Large")                                                      \
    X(451, "Unavailable For Legal Reasons")                                                        \
    X(499, "Client Closed Request")                                                                \
    X(500, "Internal Server Error")                                                                \
    X(501, "Not Implemented")                                                                      \
    X(502, "Bad Gateway")                                                                          \
    X(503, "Service Unavailable")                                                                  \
    X(504, "Gateway Timeout")                                                                      \
    X(505, "HTTP Version Not Supported")                                                           \
    X(529, "Overloaded")

const char *http_reason(int status)
{
#define STATUS_CASE(code, text)                                                                    \
    case code:                                                                                     \
        return text;
    switch (status) {
        STATUS_LIST(STATUS_CASE)
    default:
        return "Unknown";
    }
#undef STATUS_CASE
}

/* All parts in one append: a buffer at its bound is left as it was. */
static enum err add_parts(struct buf *to, const struct span *parts, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].len;
    enum err e = buf_reserve(to, bytes);
    if (e != ERR_OK)
        return e;
    char *at = to->at + to->len;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len)
            memcpy(at, parts[i].at, parts[i].len);
        at += parts[i].len;
    }
    buf_grew(to, bytes);
    return ERR_OK;
}

enum err h1_write_request_line(struct buf *to, struct span method, struct span target)
{
    if (method.len == 0 || target.len == 0 || !chars_all(method, CHAR_TOKEN) ||
        !chars_all(target, CHAR_TARGET))
        return ERR_INVALID;
    return add_parts(to, (struct span[]){method, SPAN(" "), target, SPAN(" HTTP/1.1\r\n")}, 4);
}

enum err h1_write_status_line(struct buf *to, int status)
{
    if (status < 100 || status > 999)
        return ERR_INVALID;
    char code[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10)};
    struct span parts[] = {
        SPAN("HTTP/1.1 "), {code, 3}, SPAN(" "), span_from(http_reason(status)), SPAN("\r\n")};
    return add_parts(to, parts, ARRAY_LEN(parts));
}

enum err h1_write_field(struct buf *to, struct span name, struct span value)
{
    if (name.len == 0 || !chars_all(name, CHAR_TOKEN) || !chars_value(value))
        return ERR_INVALID;
    return add_parts(to, (struct span[]){name, SPAN(": "), value, SPAN("\r\n")}, 4);
}

enum err h1_write_field_u64(struct buf *to, const char *name, uint64_t value)
{
    char text[SPAN_DIGITS];
    return h1_write_field(to, span_from(name), span_digits(text, value, 10));
}

enum err h1_write_head_end(struct buf *to)
{
    return buf_add(to, SPAN("\r\n"));
}

enum err h1_write_chunk_start(struct buf *to, size_t bytes)
{
    assert(bytes > 0); /* a chunk of none would end the body */
    char text[SPAN_DIGITS];
    return add_parts(to, (struct span[]){span_digits(text, bytes, 16), SPAN("\r\n")}, 2);
}

enum err h1_write_chunk_end(struct buf *to)
{
    return buf_add(to, SPAN("\r\n"));
}

enum err h1_write_last_chunk(struct buf *to)
{
    return buf_add(to, SPAN("0\r\n\r\n"));
}
