#pragma once
/* JSON writer: puts commas, colons and quotes; transplants raw slices without looking into them.
 *
 * Writes either into struct pieces (request bodies: long slices are borrowed) or into a struct buf
 * (replies: copied). A buf that reaches its bound sets `failed`; later calls do nothing. Pure.
 * Nesting is bounded by JSON_WRITE_DEPTH. */
#include "base/buf.h"
#include "base/pieces.h"

#define JSON_WRITE_DEPTH 64

struct json_out { /* embed it; `failed` may be read */
    struct pieces *pieces;
    struct buf *buf;
    uint8_t depth;
    bool need_comma[JSON_WRITE_DEPTH];
    bool after_key;
    bool failed;
};

void json_out_pieces(struct json_out *w, struct pieces *to);
void json_out_buf(struct json_out *w, struct buf *to);

void jw_object(struct json_out *w);
void jw_object_end(struct json_out *w);
void jw_array(struct json_out *w);
void jw_array_end(struct json_out *w);
void jw_key(struct json_out *w, const char *name);    /* a plain ASCII name of ours */
void jw_key_raw(struct json_out *w, struct span raw); /* an escaped name from a document */
void jw_raw(struct json_out *w, struct span value);   /* a whole JSON value, as it is */
void jw_str(struct json_out *w,
            struct span text); /* UTF-8 to be escaped (invalid bytes become U+FFFD) */
void jw_cstr(struct json_out *w, const char *text);
void jw_str_raw(struct json_out *w,
                struct span raw); /* content already escaped: quotes are put around it */
void jw_i64(struct json_out *w, int64_t n);
void jw_double(struct json_out *w, double n);
void jw_bool(struct json_out *w, bool b);
void jw_null(struct json_out *w);

/* A string value put together from parts: jw_str_begin, then jw_part (to be escaped) and
 * jw_part_raw (escaped already) in any order, then jw_str_end. */
void jw_str_begin(struct json_out *w);
void jw_part(struct json_out *w, struct span text);
void jw_part_raw(struct json_out *w, struct span raw);
void jw_str_end(struct json_out *w);
