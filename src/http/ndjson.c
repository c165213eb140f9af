/* Lines of a stream. */
#include "http/ndjson.h"

#include "base/span.h"

void ndjson_init(struct ndjson *n, size_t max_bytes)
{
    *n = (struct ndjson){.max_bytes = max_bytes};
    buf_init(&n->held, max_bytes);
}

void ndjson_deinit(struct ndjson *n)
{
    buf_deinit(&n->held);
}

struct span ndjson_rest(const struct ndjson *n)
{
    return n->given ? SPAN_EMPTY : span_trim(buf_span(&n->held));
}

static enum err fail(struct ndjson *n)
{
    n->failed = true;
    return ERR_LIMIT;
}

/* in: up to the end of the line, or all there is. */
static enum err hold(struct ndjson *n, struct span in)
{
    return buf_add(&n->held, in) == ERR_OK ? ERR_OK : fail(n);
}

enum err ndjson_next(struct ndjson *n, struct span in, size_t *out_used, struct span *out_line)
{
    *out_used = 0;
    if (n->failed)
        return ERR_LIMIT;
    if (n->given)
        buf_reset(&n->held);
    n->given = false;
    while (*out_used < in.len) {
        struct span rest = span_drop(in, *out_used);
        ssize_t end = span_find(rest, '\n');
        struct span line = end < 0 ? rest : span_take(rest, (size_t)end);
        *out_used += line.len + (end >= 0);
        if (line.len > n->max_bytes)
            return fail(n);
        if ((end < 0 || n->held.len > 0) && hold(n, line) != ERR_OK)
            return ERR_LIMIT;
        if (end < 0)
            break;
        *out_line = span_trim(n->held.len > 0 ? buf_span(&n->held) : line);
        n->given = n->held.len > 0;
        if (out_line->len > 0)
            return ERR_OK;
        buf_reset(&n->held); /* a blank line */
        n->given = false;
    }
    return ERR_AGAIN;
}
