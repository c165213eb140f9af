/* AWS event streams: one message is
 *
 *   total length | headers length | CRC of these 8 bytes | headers | payload | CRC of all before it
 *
 * in network order. The prelude is checked as soon as it is there, so that a broken length is an
 * error at once and not a wait for gigabytes that never come. A message that lies in one input is
 * read there; one that came in parts is gathered first, never beyond its own length. */
#include "http/eventstream.h"

#include "base/span.h"

#include <zlib.h>

#define PRELUDE ((size_t)12)
#define TRAILER ((size_t)4)

void eventstream_init(struct eventstream *s, size_t max_bytes)
{
    *s = (struct eventstream){.max_bytes = max_bytes};
    buf_init(&s->held, max_bytes);
}

void eventstream_deinit(struct eventstream *s)
{
    buf_deinit(&s->held);
}

bool eventstream_pending(const struct eventstream *s)
{
    return !s->given && s->held.len > 0;
}

static uint32_t u32_at(const char *at)
{
    const uint8_t *b = (const uint8_t *)at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool crc_is(struct span bytes, uint32_t wanted)
{
    return crc32_z(0, (const uint8_t *)bytes.at, bytes.len) == wanted;
}

/* at: PRELUDE bytes. */
static enum err read_prelude(const struct eventstream *s, const char *at, size_t *out_total)
{
    size_t total = u32_at(at), headers = u32_at(at + 4);
    if (!crc_is((struct span){at, 8}, u32_at(at + 8)) || total < EVENTSTREAM_FRAME_MIN ||
        headers > total - EVENTSTREAM_FRAME_MIN)
        return ERR_SYNTAX;
    if (total > s->max_bytes || headers > EVENTSTREAM_HEADERS_MAX)
        return ERR_LIMIT;
    *out_total = total;
    return ERR_OK;
}

/* ---- headers ---- */

enum { HEADER_BYTES = 6, HEADER_STRING = 7, HEADER_TYPES = 10 };

/* Takes n bytes off the front of rest. */
static bool take(struct span *rest, size_t n, struct span *out)
{
    if (n > rest->len)
        return false;
    *out = (struct span){rest->at, n};
    *rest = (struct span){rest->at + n, rest->len - n};
    return true;
}

static bool take_value(struct span *rest, uint8_t type, struct span *out)
{
    /* true, false, byte, short, integer, long, bytes, string, timestamp, UUID */
    static const uint8_t sizes[HEADER_TYPES] = {0, 0, 1, 2, 4, 8, 2, 2, 8, 16};
    if (type >= HEADER_TYPES || !take(rest, sizes[type], out))
        return false;
    if (type != HEADER_BYTES && type != HEADER_STRING)
        return true;
    size_t len = (size_t)(uint8_t)out->at[0] << 8 | (uint8_t)out->at[1];
    return take(rest, len, out);
}

static void keep_header(struct span name, struct span value, struct eventstream_message *m)
{
    if (span_is(name, ":message-type"))
        m->message_type = value;
    else if (span_is(name, ":event-type") || span_is(name, ":exception-type") ||
             span_is(name, ":error-code"))
        m->name = value;
    else if (span_is(name, ":error-message"))
        m->error_message = value;
}

static bool read_headers(struct span rest, struct eventstream_message *m)
{
    while (rest.len > 0) {
        struct span name, type, value;
        size_t name_len = (uint8_t)rest.at[0];
        rest = (struct span){rest.at + 1, rest.len - 1};
        if (name_len == 0 || !take(&rest, name_len, &name) || !take(&rest, 1, &type) ||
            !take_value(&rest, (uint8_t)type.at[0], &value))
            return false;
        if (type.at[0] == HEADER_STRING)
            keep_header(name, value, m);
    }
    return true;
}

/* ---- messages ---- */

static enum err read_message(struct span frame, struct eventstream_message *out)
{
    size_t headers = u32_at(frame.at + 4), end = frame.len - TRAILER;
    *out = (struct eventstream_message){0};
    if (!crc_is(span_take(frame, end), u32_at(frame.at + end)) ||
        !read_headers((struct span){frame.at + PRELUDE, headers}, out))
        return ERR_SYNTAX;
    out->payload = (struct span){frame.at + PRELUDE + headers, end - PRELUDE - headers};
    return ERR_OK;
}

static enum err fail(struct eventstream *s, enum err e)
{
    s->failed = true;
    return e;
}

/* Gathers up to `wanted` bytes of the message. */
static enum err hold(struct eventstream *s, struct span *in, size_t wanted)
{
    struct span more = span_take(*in, wanted - s->held.len);
    *in = span_drop(*in, more.len);
    if (buf_add(&s->held, more) != ERR_OK)
        return ERR_LIMIT;
    return s->held.len < wanted ? ERR_AGAIN : ERR_OK;
}

static enum err next_gathered(struct eventstream *s, struct span *in,
                              struct eventstream_message *out)
{
    size_t total;
    enum err e = s->held.len < PRELUDE ? hold(s, in, PRELUDE) : ERR_OK;
    if (e == ERR_OK)
        e = read_prelude(s, s->held.at, &total);
    if (e == ERR_OK)
        e = hold(s, in, total);
    if (e != ERR_OK)
        return e;
    s->given = true;
    return read_message(buf_span(&s->held), out);
}

enum err eventstream_next(struct eventstream *s, struct span in, size_t *out_used,
                          struct eventstream_message *out_message)
{
    size_t total = 0;
    *out_used = 0;
    if (s->failed)
        return ERR_SYNTAX;
    if (s->given)
        buf_reset(&s->held);
    s->given = false;
    if (in.len == 0)
        return ERR_AGAIN;
    if (s->held.len == 0 && in.len >= PRELUDE) {
        enum err e = read_prelude(s, in.at, &total);
        if (e != ERR_OK)
            return fail(s, e);
        if (in.len >= total) {
            *out_used = total;
            e = read_message(span_take(in, total), out_message);
            return e == ERR_OK ? e : fail(s, e);
        }
    }
    struct span rest = in;
    enum err e = next_gathered(s, &rest, out_message);
    *out_used = in.len - rest.len;
    return e == ERR_OK || e == ERR_AGAIN ? e : fail(s, e);
}

/* ---- writing ---- */

static enum err put_u32(struct buf *to, size_t n)
{
    char bytes[] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    return buf_add(to, (struct span){bytes, sizeof bytes});
}

/* Of all from `from` on. */
static enum err put_crc(struct buf *to, size_t from)
{
    return put_u32(to, crc32_z(0, (const uint8_t *)to->at + from, to->len - from));
}

#define STRING_HEAD ((size_t)4) /* length of the name, type, length of the value */

static enum err put_string(struct buf *to, struct span name, struct span value)
{
    assert(name.len <= UINT8_MAX && value.len <= UINT8_MAX);
    char head[] = {(char)name.len}, type[] = {HEADER_STRING, 0, (char)value.len};
    enum err e = buf_add(to, (struct span){head, sizeof head});
    if (e == ERR_OK)
        e = buf_add(to, name);
    if (e == ERR_OK)
        e = buf_add(to, (struct span){type, sizeof type});
    return e == ERR_OK ? buf_add(to, value) : e;
}

enum err eventstream_write(struct buf *to, const char *kind, const char *name, struct span payload)
{
    bool event = strcmp(kind, "event") == 0;
    struct span fields[][2] = {
        {event ? SPAN(":event-type") : SPAN(":exception-type"), span_from(name)},
        {SPAN(":content-type"), SPAN("application/json")},
        {SPAN(":message-type"), span_from(kind)}};
    size_t from = to->len, headers = 0;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        headers += STRING_HEAD + fields[i][0].len + fields[i][1].len;
    enum err e = put_u32(to, PRELUDE + headers + payload.len + TRAILER);
    if (e == ERR_OK)
        e = put_u32(to, headers);
    if (e == ERR_OK)
        e = put_crc(to, from);
    for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(fields); i++)
        e = put_string(to, fields[i][0], fields[i][1]);
    if (e == ERR_OK)
        e = buf_add(to, payload);
    return e == ERR_OK ? put_crc(to, from) : e;
}
