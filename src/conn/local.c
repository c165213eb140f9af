/* Requests without a connection. What server_reply.c does for a client far away is done here for
 * one in the same process: there is no framing, no queue and no deadline, since nobody is slow but
 * the caller itself. */
#include "conn/local.h"

#include "base/mem.h"
#include "conn/server_internal.h"

struct request *request_local(struct loop *l, const struct local_request *what,
                              const struct local_reply *to)
{
    struct request *r = mem_new(struct request);
    arena_init(&r->arena, server_limits_default.arena_max);
    struct http_field *fields = arena_array(&r->arena, struct http_field, what->field_count + 1);
    for (size_t i = 0; i < what->field_count; i++)
        fields[i] = (struct http_field){arena_copy(&r->arena, what->fields[i].name),
                                        arena_copy(&r->arena, what->fields[i].value)};
    r->path = arena_copy(&r->arena, what->path);
    r->head = (struct http_head){.method = arena_copy(&r->arena, what->method),
                                 .target = r->path,
                                 .minor = 1,
                                 .fields = fields,
                                 .field_count = what->field_count,
                                 .content_length = (int64_t)what->body.len,
                                 .keep_alive = true};
    r->body = mem_alloc(what->body.len + 1);
    if (what->body.len > 0)
        memcpy(r->body, what->body.at, what->body.len);
    r->body_len = r->body_cap = what->body.len;
    r->started = loop_now(l);
    r->peer = "";
    r->loop = l;
    r->local = *to;
    return r;
}

void local_start(struct request *r, int status, const struct http_field *fields, size_t count)
{
    r->local.on_start(r->local.ctx, status, fields, count);
}

void local_body(struct request *r, struct span bytes)
{
    r->local.on_body(r->local.ctx, bytes);
}

void local_end(struct request *r, bool whole)
{
    struct local_reply to = r->local;
    mem_free(r->body);
    arena_deinit(&r->arena);
    mem_free(r);
    to.on_end(to.ctx, whole);
}
