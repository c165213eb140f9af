#pragma once
/* Writes AWS event stream messages, and feeds the reader with bytes cut in a chosen way while
 * writing down what it says. Shared by the unit test and the fuzz driver. */
#include "feed.h"
#include "http/eventstream.h"

#include <zlib.h>

static inline void put_u32(struct buf *to, uint32_t n)
{
    const char bytes[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    assert(buf_add(to, (struct span){bytes, 4}) == ERR_OK);
}

static inline void put_header(struct buf *to, const char *name, const char *value)
{
    size_t n = strlen(value);
    assert(buf_printf(to, "%c%s%c", (char)strlen(name), name, 7) == ERR_OK);
    assert(buf_add_char(to, (char)(n >> 8)) == ERR_OK && buf_add_char(to, (char)n) == ERR_OK);
    assert(buf_add_cstr(to, value) == ERR_OK);
}

/* A message with these header bytes and this payload, both CRCs right. */
static inline void put_frame(struct buf *to, struct span headers, struct span payload)
{
    size_t from = to->len;
    put_u32(to, (uint32_t)(16 + headers.len + payload.len));
    put_u32(to, (uint32_t)headers.len);
    put_u32(to, (uint32_t)crc32_z(0, (const uint8_t *)to->at + from, 8));
    assert(buf_add(to, headers) == ERR_OK && buf_add(to, payload) == ERR_OK);
    put_u32(to, (uint32_t)crc32_z(0, (const uint8_t *)to->at + from, to->len - from));
}

static inline void put_event(struct buf *to, const char *type_name, const char *type,
                             const char *message_type, struct span payload)
{
    struct buf headers;
    buf_init(&headers, 4096);
    put_header(&headers, type_name, type);
    put_header(&headers, ":content-type", "application/json");
    put_header(&headers, ":message-type", message_type);
    put_frame(to, buf_span(&headers), payload);
    buf_deinit(&headers);
}

/* "{event|chunk|payload}" for each message; at the end <SYNTAX>, <LIMIT>, <CUT> or nothing. */
static inline void feed_eventstream(size_t max_bytes, struct span in, struct cuts cuts,
                                    struct buf *log)
{
    struct eventstream s;
    eventstream_init(&s, max_bytes);
    enum err e = ERR_AGAIN;
    for (size_t done = 0; done < in.len && (e == ERR_OK || e == ERR_AGAIN);) {
        size_t n = next_piece(&cuts, done, in.len - done);
        char *own = mem_alloc(n);
        memcpy(own, in.at + done, n);
        struct span rest = {own, n};
        done += n;
        do {
            struct eventstream_message m;
            size_t used;
            e = eventstream_next(&s, rest, &used, &m);
            assert(used <= rest.len && (e != ERR_AGAIN || used == rest.len));
            rest = span_drop(rest, used);
            if (e != ERR_OK)
                break;
            say_span(log, "{", m.message_type);
            say_span(log, "|", m.name);
            say_span(log, "|", m.error_message);
            say_span(log, "|", m.payload);
            say(log, "}");
        } while (rest.len > 0);
        mem_free(own);
    }
    if (e == ERR_SYNTAX)
        say(log, "<SYNTAX>");
    else if (e == ERR_LIMIT)
        say(log, "<LIMIT>");
    else if (eventstream_pending(&s))
        say(log, "<CUT>");
    eventstream_deinit(&s);
}
