/* What the lines of an HTTP/1.1 head mean: request line, status line, fields, and the framing they
 * decide together. Each refusal names its section; reliability.md 3.1 is the list.
 *
 * A line is parsed by looking its bytes up in one table (chars.h). Only the names that frame a
 * message or decide the connection's fate are recognised, by length first. */
#include "http/h1_internal.h"

#include "base/mem.h"
#include "http/chars.h"

enum { HAD_HOST = 1, HAD_LENGTH = 2, HAD_CODING = 4, HAD_CLOSE = 8, HAD_KEEP = 16 };

static enum err bad(struct h1 *p, const char *text)
{
    return h1_fail(p, ERR_SYNTAX, 400, text);
}

struct span http_field_find(const struct http_head *h, struct span want)
{
    for (size_t i = 0; i < h->field_count; i++)
        if (h->fields[i].name.len == want.len && span_ieq(h->fields[i].name, want))
            return h->fields[i].value;
    return SPAN_EMPTY;
}

bool h1_may_start(const struct h1 *p, char c)
{
    if (p->role == H1_RESPONSE)
        return c == 'H';
    return (char_class[(unsigned char)c] & CHAR_TOKEN) || c == '\r' || c == '\n';
}

enum err h1_check_line(struct h1 *p, size_t len, size_t bytes)
{
    if (p->state == H1_LINE_FIRST) {
        if (len > p->limits->line_bytes)
            return h1_fail(p, ERR_LIMIT, 414,
                           "the request line is too long (RFC 9110 section 15.5.15)");
    } else if (len > p->limits->field_bytes) {
        return h1_fail(p, ERR_LIMIT, 431, "a header field is too long (RFC 6585 section 5)");
    }
    if (p->line_bytes + bytes > p->limits->head_bytes)
        return h1_fail(p, ERR_LIMIT, 431, "the header fields are too large (RFC 6585 section 5)");
    return ERR_OK;
}

/* ---- the first line ---- */

static bool take_version(struct h1 *p, struct span s)
{
    bool form = s.len == 8 && memcmp(s.at, "HTTP/1.", 7) == 0 && (s.at[7] == '0' || s.at[7] == '1');
    if (form)
        p->head.minor = s.at[7] - '0';
    return form;
}

static enum err refuse_version(struct h1 *p, struct span s)
{
    bool is_version = s.len == 8 && memcmp(s.at, "HTTP/", 5) == 0 && s.at[5] >= '0' &&
                      s.at[5] <= '9' && s.at[6] == '.' && s.at[7] >= '0' && s.at[7] <= '9';
    if (is_version)
        return h1_fail(p, ERR_UNSUPPORTED, 505,
                       "HTTP version not supported (RFC 9110 section 15.6.6)");
    return bad(p, "malformed request line (RFC 9112 section 3)");
}

static size_t run_of(struct span s, uint8_t class)
{
    size_t n = 0;
    while (n < s.len && (char_class[(unsigned char)s.at[n]] & class))
        n++;
    return n;
}

/* method SP request-target SP HTTP-version, one blank each (RFC 9112 section 3). */
static enum err take_request_line(struct h1 *p, struct span line)
{
    size_t n = run_of(line, CHAR_TOKEN);
    if (n == 0 || n == line.len || line.at[n] != ' ')
        return bad(p, "malformed method (RFC 9110 section 9.1)");
    p->head.method = span_take(line, n);
    line = span_drop(line, n + 1);
    n = run_of(line, CHAR_TARGET);
    if (n == 0 || n == line.len || line.at[n] != ' ')
        return bad(p, "malformed request target (RFC 9112 section 3.2)");
    p->head.target = span_take(line, n);
    line = span_drop(line, n + 1);
    return take_version(p, line) ? ERR_OK : refuse_version(p, line);
}

/* HTTP-version SP 3DIGIT [SP reason] (RFC 9112 section 4). The blank in front of an absent reason
 * is left out by enough servers to be taken without it. */
static enum err take_status_line(struct h1 *p, struct span line)
{
    if (line.len < 12 || !take_version(p, span_take(line, 8)) || line.at[8] != ' ')
        return bad(p, "malformed status line (RFC 9112 section 4)");
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.at[i] < '0' || line.at[i] > '9')
            return bad(p, "malformed status code (RFC 9112 section 4)");
        status = status * 10 + (line.at[i] - '0');
    }
    struct span rest = span_drop(line, 12);
    if (status < 100 || (rest.len && rest.at[0] != ' ') || !chars_value(rest))
        return bad(p, "malformed status line (RFC 9112 section 4)");
    p->head.status = status;
    p->head.reason = span_drop(rest, 1);
    return ERR_OK;
}

static void need_fields(struct h1 *p)
{
    if (!p->fields)
        p->fields = mem_alloc(p->limits->fields * sizeof(*p->fields));
}

static enum err take_first_line(struct h1 *p, struct span line)
{
    if (line.len == 0) {
        if (p->role == H1_RESPONSE || p->skipped_blank)
            return bad(p, "an empty line instead of a message (RFC 9112 section 2.2)");
        p->skipped_blank = true;
        p->line_bytes = 0;
        return ERR_OK;
    }
    need_fields(p);
    p->head = (struct http_head){.fields = p->fields, .content_length = -1};
    p->fields_had = 0;
    enum err e = p->role == H1_REQUEST ? take_request_line(p, line) : take_status_line(p, line);
    if (e == ERR_OK)
        h1_enter(p, H1_LINE_FIELD);
    return e;
}

/* ---- fields ---- */

static enum err once(struct h1 *p, uint32_t which, const char *text)
{
    if (p->fields_had & which)
        return bad(p, text);
    p->fields_had |= which;
    return ERR_OK;
}

static enum err take_host(struct h1 *p, struct span value)
{
    struct span host;
    int32_t port;
    if (p->role == H1_RESPONSE)
        return ERR_OK;
    if (chars_host_port(value, &host, &port) != ERR_OK || port == 0)
        return bad(p, "the Host field is not a host (RFC 9112 section 3.2)");
    p->head.host = value;
    return once(p, HAD_HOST, "more than one Host field (RFC 9112 section 3.2)");
}

static enum err take_content_length(struct h1 *p, struct span value)
{
    uint64_t n;
    if (span_u64(value, &n) != ERR_OK || n > INT64_MAX)
        return bad(p, "Content-Length is not a number (RFC 9112 section 6.3)");
    p->head.content_length = (int64_t)n;
    return once(p, HAD_LENGTH, "more than one Content-Length (RFC 9112 section 6.3)");
}

static enum err take_transfer_encoding(struct h1 *p, struct span value)
{
    if (!span_iis(value, "chunked"))
        return h1_fail(p, ERR_UNSUPPORTED, 501,
                       "a Transfer-Encoding other than chunked (RFC 9112 section 6.1)");
    p->head.chunked = true;
    return once(p, HAD_CODING, "more than one Transfer-Encoding (RFC 9112 section 6.1)");
}

/* Options other than these two name fields, which are the relay's to drop (RFC 9110 7.6.1). */
static void take_connection(struct h1 *p, struct span value)
{
    struct span part;
    while (span_next(&value, ',', &part)) {
        part = span_trim(part);
        if (span_iis(part, "close"))
            p->fields_had |= HAD_CLOSE;
        else if (span_iis(part, "keep-alive"))
            p->fields_had |= HAD_KEEP;
    }
}

static enum err take_expect(struct h1 *p, struct span value)
{
    if (p->role == H1_RESPONSE || p->head.minor == 0)
        return ERR_OK; /* RFC 9110 section 10.1.1: ignored from HTTP/1.0 */
    if (!span_iis(value, "100-continue"))
        return h1_fail(p, ERR_UNSUPPORTED, 417,
                       "an Expect we cannot meet (RFC 9110 section 10.1.1)");
    p->head.expect_continue = true;
    return ERR_OK;
}

static enum err take_known_field(struct h1 *p, struct span name, struct span value)
{
    switch (name.len) {
    case 4:
        return span_iis(name, "host") ? take_host(p, value) : ERR_OK;
    case 6:
        return span_iis(name, "expect") ? take_expect(p, value) : ERR_OK;
    case 7:
        p->head.upgrade |= span_iis(name, "upgrade");
        return ERR_OK;
    case 10:
        if (span_iis(name, "connection"))
            take_connection(p, value);
        return ERR_OK;
    case 14:
        return span_iis(name, "content-length") ? take_content_length(p, value) : ERR_OK;
    case 17:
        return span_iis(name, "transfer-encoding") ? take_transfer_encoding(p, value) : ERR_OK;
    default:
        return ERR_OK;
    }
}

static enum err refuse_name(struct h1 *p, struct span line, size_t n)
{
    char c = n < line.len ? line.at[n] : '\n';
    if (n == 0 && (c == ' ' || c == '\t'))
        return bad(p, "a folded header line (RFC 9112 section 5.2)");
    if (c == ' ' || c == '\t')
        return bad(p, "a blank between a field name and its colon (RFC 9112 section 5.1)");
    return bad(p, "malformed field name (RFC 9110 section 5.1)");
}

static struct span trim_blanks(struct span s)
{
    while (s.len && (s.at[0] == ' ' || s.at[0] == '\t'))
        s = span_drop(s, 1);
    while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static enum err take_field(struct h1 *p, struct span line)
{
    size_t n = 0;
    uint8_t seen = 0;
    for (; n < line.len; n++) {
        uint8_t class = char_class[(unsigned char)line.at[n]];
        if (!(class & CHAR_TOKEN))
            break;
        seen |= class;
    }
    if (n == 0 || n == line.len || line.at[n] != ':')
        return refuse_name(p, line, n);
    /* CGI-like readers behind us would take "_" for "-" and so mistake one field for another. */
    if ((seen & CHAR_UNDERSCORE) && p->role == H1_REQUEST)
        return bad(p, "an underscore in a field name (RFC 9110 section 5.1, refused by us)");
    struct span value = trim_blanks(span_drop(line, n + 1));
    if (!chars_value(value))
        return bad(p, "a control byte in a field value (RFC 9110 section 5.5)");
    if (p->head.field_count == p->limits->fields)
        return h1_fail(p, ERR_LIMIT, 431, "too many header fields (RFC 6585 section 5)");
    struct span name = span_take(line, n);
    need_fields(p); /* of trailers, behind h1_trim */
    p->fields[p->head.field_count++] = (struct http_field){.name = name, .value = value};
    return p->state == H1_LINE_FIELD ? take_known_field(p, name, value) : ERR_OK;
}

/* ---- the end of a head ---- */

/* "http://host/path" becomes "/path", and the host must be the one of the Host field
 * (RFC 9112 section 3.2.2; stricter: it does not override, it must agree). */
static enum err normalise_absolute(struct h1 *p)
{
    struct http_head *h = &p->head;
    struct span rest = h->target, host;
    int32_t port;
    if (span_istarts(rest, SPAN("http://")))
        rest = span_drop(rest, 7);
    else if (span_istarts(rest, SPAN("https://")))
        rest = span_drop(rest, 8);
    else
        return bad(p, "the request target is not in origin-form (RFC 9112 section 3.2.1)");
    size_t n = 0;
    while (n < rest.len && rest.at[n] != '/' && rest.at[n] != '?')
        n++;
    struct span authority = span_take(rest, n);
    if (chars_host_port(authority, &host, &port) != ERR_OK || (n < rest.len && rest.at[n] == '?'))
        return bad(p, "malformed absolute request target (RFC 9112 section 3.2.2)");
    if (p->fields_had & HAD_HOST && !span_ieq(authority, h->host))
        return bad(p, "the request target's host is not the Host field's (RFC 9112 section 3.2.2)");
    h->host = authority;
    h->target = span_drop(rest, n);
    if (h->target.len == 0)
        h->target = span_is(h->method, "OPTIONS") ? SPAN("*") : SPAN("/");
    return ERR_OK;
}

static enum err check_target(struct h1 *p)
{
    struct http_head *h = &p->head;
    if (span_is(h->method, "CONNECT"))
        return h1_fail(p, ERR_UNSUPPORTED, 501,
                       "CONNECT is not supported (RFC 9110 section 9.3.6)");
    if (h->minor == 1 && !(p->fields_had & HAD_HOST))
        return bad(p, "no Host field (RFC 9112 section 3.2)");
    if (h->target.at[0] == '/' || (span_is(h->target, "*") && span_is(h->method, "OPTIONS")))
        return ERR_OK;
    return normalise_absolute(p);
}

static enum err finish_request(struct h1 *p)
{
    struct http_head *h = &p->head;
    enum err e = check_target(p);
    if (e != ERR_OK)
        return e;
    if (!h->chunked && h->content_length <= 0) {
        h->expect_continue = false; /* there is nothing to continue with */
        h1_enter(p, H1_DONE);
    } else if (h->chunked) {
        h1_enter(p, H1_CHUNK_SIZE);
    } else if ((uint64_t)h->content_length > p->limits->body_bytes) {
        h1_enter(p, H1_BODY_TOO_LARGE);
    } else {
        h1_enter(p, H1_BODY_LENGTH);
    }
    return ERR_OK;
}

static enum err swallow_interim(struct h1 *p)
{
    if (p->head.status == 101)
        return bad(p, "switching protocols unasked (RFC 9110 section 15.2.2)");
    if (++p->interim > H1_INTERIM_MAX)
        return h1_fail(p, ERR_LIMIT, 502, "too many interim responses (RFC 9110 section 15.2)");
    h1_forget_head(p);
    h1_enter(p, H1_LINE_FIRST);
    return ERR_OK;
}

/* RFC 9112 section 6.3, in its order. */
static enum err finish_response(struct h1 *p)
{
    struct http_head *h = &p->head;
    if (h->status < 200)
        return swallow_interim(p);
    if (p->no_body || h->status == 204 || h->status == 304) {
        h1_enter(p, H1_DONE);
    } else if (h->chunked) {
        h1_enter(p, H1_CHUNK_SIZE);
    } else if (h->content_length < 0) {
        h->keep_alive = false;
        h1_enter(p, H1_BODY_CLOSE);
    } else if ((uint64_t)h->content_length > p->limits->body_bytes) {
        h1_enter(p, H1_BODY_TOO_LARGE);
    } else {
        h1_enter(p, h->content_length ? H1_BODY_LENGTH : H1_DONE);
    }
    return ERR_OK;
}

static enum err finish_head(struct h1 *p)
{
    struct http_head *h = &p->head;
    if (h->chunked && h->content_length >= 0)
        return bad(p, "Transfer-Encoding and Content-Length together (RFC 9112 section 6.1)");
    if (h->chunked && h->minor == 0)
        return bad(p, "Transfer-Encoding in an HTTP/1.0 message (RFC 9112 section 6.1)");
    h->keep_alive = !(p->fields_had & HAD_CLOSE) && (h->minor == 1 || (p->fields_had & HAD_KEEP));
    p->left = h->content_length > 0 && !h->chunked ? (uint64_t)h->content_length : 0;
    return p->role == H1_REQUEST ? finish_request(p) : finish_response(p);
}

enum err h1_take_line(struct h1 *p, const char *at, size_t n)
{
    assert(n > 0 && at[n - 1] == '\n');
    bool crlf = n > 1 && at[n - 2] == '\r';
    struct span line = {at, n - (crlf ? 2 : 1)};
    enum err e = h1_check_line(p, line.len, n);
    if (e != ERR_OK)
        return e;
    if (!crlf)
        return bad(p, "a line ends in LF without CR (RFC 9112 section 2.2)");
    p->line_bytes += n;
    if (p->state == H1_LINE_FIRST)
        return take_first_line(p, line);
    if (line.len)
        return take_field(p, line);
    if (p->state == H1_LINE_FIELD)
        return finish_head(p);
    h1_enter(p, H1_DONE);
    return ERR_OK;
}
