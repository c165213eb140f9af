/* Pieces of an OpenAI-chat answer, in whatever order they come, become blocks that never overlap.
 *
 *   no block --piece--> open block --piece of the same--> same block
 *                           |--piece of another kind--> closed; the other opens
 *                           '--an unfinished tool call is open--> the other piece waits
 *
 * Text and thinking can end at any time. A tool call cannot: a later piece of it would have no
 * block to go to. So while the open call's JSON is not complete everything else waits, and is told
 * as soon as it is, or when the answer ends. Calls that come one after another, which is nearly all
 * of them, are streamed; interleaved ones come out one behind the other, whole.
 *
 * Bytes of tool input are scanned, never decoded: half a surrogate pair may end a piece.
 *
 * Stop sequences are matched here as well, since a target may take fewer of them than the client
 * gave: text is cut at the first one, and what might be the beginning of one is kept back. So is
 * what might be the echo of a prefilled answer. */
#include "dialect/openai_chat_internal.h"

#include "base/span.h"

static void tell(struct oc_blocks *b, const struct chat_event *e)
{
    b->sink.event(b->sink.ctx, e);
}

/* ---- is this JSON text complete? ---- */

/* The character an escape stands for, as far as JSON's structure asks; moves *i to its end. */
static char unescaped(struct span s, size_t *i)
{
    char c = s.at[*i];
    if (c != '\\' || *i + 1 >= s.len)
        return c;
    c = s.at[++*i];
    if (c == '"' || c == '\\' || c == '/')
        return c;
    if (c != 'u')
        return ' '; /* \n and its kin */
    char value = 'x';
    if (*i + 4 < s.len && s.at[*i + 1] == '0' && s.at[*i + 2] == '0') {
        static const char hex[] = "0123456789abcdef";
        const char *hi = memchr(hex, s.at[*i + 3], 8), *lo = memchr(hex, s.at[*i + 4] | 0x20, 16);
        if (hi && lo)
            value = (char)((hi - hex) * 16 + (lo - hex));
    }
    *i += 4;
    return value;
}

void oc_json_scan(struct oc_json_scan *s, struct chat_text piece)
{
    for (size_t i = 0; i < piece.at.len; i++) {
        char c = piece.escaped ? unescaped(piece.at, &i) : piece.at.at[i];
        if (s->in_string) {
            if (s->escape)
                s->escape = false;
            else if (c == '\\')
                s->escape = true;
            else
                s->in_string = c != '"';
        } else if (c == '"') {
            s->in_string = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
        } else if ((c == '}' || c == ']') && s->depth > 0) {
            s->depth--;
            s->complete = s->complete || s->depth == 0;
        }
    }
}

/* ---- opening and closing ---- */

static void tell_delta(struct oc_blocks *b, struct chat_text piece)
{
    if (piece.at.len)
        tell(b, &(struct chat_event){.type = CHAT_EV_DELTA, .block_type = b->type, .text = piece});
}

static void delta(struct oc_blocks *b, struct chat_text piece)
{
    if (b->current && b->current->wrapped)
        b->failed = free_text_feed(&b->current->unwrapped, piece, &piece) != ERR_OK || b->failed;
    tell_delta(b, piece);
}

static void close_block(struct oc_blocks *b)
{
    if (!b->open)
        return;
    if (b->current && b->current->wrapped)
        tell_delta(b, free_text_end(&b->current->unwrapped, b->a));
    if (b->current)
        b->current->state = OC_PART_CLOSED;
    b->current = NULL;
    b->open = false;
    tell(b, &(struct chat_event){
                .type = CHAT_EV_BLOCK_STOP, .block_type = b->type, .raw = b->end_raw});
    b->end_raw = SPAN_EMPTY;
}

static void open_block(struct oc_blocks *b, enum chat_block_type type, struct oc_part *part)
{
    close_block(b);
    b->open = true;
    b->type = type;
    b->current = part;
    struct chat_event e = {.type = CHAT_EV_BLOCK_START, .block_type = type};
    if (part) {
        part->state = OC_PART_OPEN;
        if (!part->custom && free_text_tool(b->request, part->name)) {
            part->wrapped = true;
            free_text_init(&part->unwrapped);
        }
        e.id = part->id;
        e.name = part->name;
        e.custom = part->custom || part->wrapped;
    } else {
        e.id = b->next_id;
        b->next_id = (struct chat_text){0};
    }
    b->any_call = b->any_call || type == CHAT_TOOL_USE;
    b->any_refusal = b->any_refusal || type == CHAT_REFUSAL;
    tell(b, &e);
}

static bool must_wait(const struct oc_blocks *b)
{
    return b->open && b->type == CHAT_TOOL_USE && !b->current->scan.complete;
}

static void open_waiting(struct oc_blocks *b, struct oc_part *p)
{
    struct chat_text held = {buf_span(&p->held), !p->plain_input};
    open_block(b, p->type, p);
    oc_json_scan(&p->scan, held);
    delta(b, held);
    buf_deinit(&p->held);
    buf_init(&p->held, OC_HELD_MAX);
}

/* Tells what waited, as far as the open block allows. */
static void pump(struct oc_blocks *b)
{
    for (struct oc_part *p = b->parts; p && !must_wait(b); p = p->next)
        if (p->state == OC_PART_WAITING && (p->type != CHAT_TOOL_USE || p->name.at.len))
            open_waiting(b, p);
}

static struct oc_part *part_new(struct oc_blocks *b, enum chat_block_type type)
{
    if (b->part_count == OC_CALLS_MAX)
        return NULL;
    struct oc_part *p = arena_new(b->a, struct oc_part);
    p->type = type;
    p->index = OC_NO_INDEX;
    buf_init(&p->held, OC_HELD_MAX);
    *b->parts_tail = p;
    b->parts_tail = &p->next;
    b->part_count++;
    return p;
}

static struct oc_part *last_part(const struct oc_blocks *b)
{
    struct oc_part *last = b->parts;
    while (last && last->next)
        last = last->next;
    return last;
}

static enum err put_piece(struct oc_blocks *b, enum chat_block_type type, struct chat_text piece)
{
    if (must_wait(b)) {
        struct oc_part *p = last_part(b);
        if (p->type != type || p->state != OC_PART_WAITING)
            p = part_new(b, type);
        return p ? buf_add(&p->held, piece.at) : ERR_LIMIT;
    }
    if (!b->open || b->type != type)
        open_block(b, type, NULL);
    delta(b, piece);
    return ERR_OK;
}

/* ---- stop sequences ---- */

enum match { MATCH_NO, MATCH_PARTIAL, MATCH_FULL };

/* Does `stop` (plain) stand in `s` (escaped content) at `i`? *end: behind it. */
static enum match match_at(struct span s, size_t i, struct span stop, size_t *end)
{
    size_t done = 0;
    while (done < stop.len) {
        char c[4];
        size_t n = i < s.len ? text_next_char(s, &i, c) : 0;
        if (n == 0)
            return MATCH_PARTIAL;
        if (n > stop.len - done || memcmp(c, stop.at + done, n) != 0)
            return MATCH_NO;
        done += n;
    }
    *end = i;
    return MATCH_FULL;
}

/* Where the text must stop or be kept back: *at; s.len when neither. */
static enum match find_stop(struct oc_blocks *b, struct span s, size_t *at)
{
    for (size_t i = 0; i < s.len;) {
        for (size_t k = 0; k < b->stop_count; k++) {
            size_t end;
            enum match m = match_at(s, i, b->stops[k], &end);
            if (m == MATCH_NO)
                continue;
            *at = i;
            b->cut_at = m == MATCH_FULL ? b->stops[k] : b->cut_at;
            return m;
        }
        char c[4];
        if (text_next_char(s, &i, c) == 0)
            break;
    }
    *at = s.len;
    return MATCH_NO;
}

/* The beginning of the answer may repeat what the client had the answer begin with. False: more is
 * needed to tell. */
static bool drop_echo(struct oc_blocks *b)
{
    size_t end = 0;
    enum match m = match_at(buf_span(&b->tail), 0, b->echo, &end);
    if (m == MATCH_PARTIAL)
        return false;
    if (m == MATCH_FULL)
        buf_consume(&b->tail, end);
    b->echo = SPAN_EMPTY;
    return true;
}

static enum err text_held_back(struct oc_blocks *b, struct chat_text piece)
{
    enum err e = buf_add(&b->tail, piece.at);
    if (e != ERR_OK || (b->echo.len && !drop_echo(b)))
        return e;
    size_t keep;
    enum match m = find_stop(b, buf_span(&b->tail), &keep);
    if (keep)
        e = put_piece(b, CHAT_TEXT, (struct chat_text){span_take(buf_span(&b->tail), keep), true});
    buf_consume(&b->tail, keep);
    if (m == MATCH_FULL) {
        b->cut = true;
        buf_reset(&b->tail);
    }
    return e;
}

/* The text is over: what was kept back was neither echo nor stop sequence. */
static enum err settle_text(struct oc_blocks *b)
{
    if (b->tail.len == 0)
        return ERR_OK;
    b->echo = SPAN_EMPTY;
    enum err e = put_piece(b, CHAT_TEXT, (struct chat_text){buf_span(&b->tail), true});
    buf_reset(&b->tail);
    return e;
}

/* ---- what the reader calls ---- */

static void take_stops(struct oc_blocks *b)
{
    const struct chat_text_list *stop = &b->request->stop;
    b->stops = arena_array(b->a, struct span, OC_STOPS_MAX);
    for (size_t i = 0; i < stop->count && b->stop_count < OC_STOPS_MAX; i++) {
        struct span plain = text_plain(b->a, stop->at[i]);
        if (plain.len && plain.len <= OC_STOP_MAX)
            b->stops[b->stop_count++] = plain;
    }
}

/* The text of a last assistant message; empty when the answer begins by itself. */
static struct span prefilled_text(struct arena *a, const struct chat_request *r)
{
    const struct chat_message *last = r->messages;
    while (last && last->next)
        last = last->next;
    if (!last || last->role != CHAT_ASSISTANT)
        return SPAN_EMPTY;
    const struct chat_block *b = last->blocks;
    while (b && b->next)
        b = b->next;
    return b && b->type == CHAT_TEXT ? text_plain(a, b->text) : SPAN_EMPTY;
}

void oc_blocks_init(struct oc_blocks *b, struct arena *a, const struct chat_request *request,
                    struct chat_sink sink)
{
    *b = (struct oc_blocks){.a = a, .sink = sink, .request = request};
    b->parts_tail = &b->parts;
    buf_init(&b->tail, OC_HELD_MAX);
    if (request && request->stop.count)
        take_stops(b);
    if (request)
        b->echo = prefilled_text(a, request);
}

void oc_blocks_deinit(struct oc_blocks *b)
{
    buf_deinit(&b->tail);
    for (struct oc_part *p = b->parts; p; p = p->next) {
        buf_deinit(&p->held);
        free_text_deinit(&p->unwrapped);
    }
}

enum err oc_blocks_text(struct oc_blocks *b, enum chat_block_type type, struct chat_text piece)
{
    if (piece.at.len == 0 || b->cut)
        return ERR_OK;
    if (type == CHAT_TEXT && (b->stop_count || b->echo.len))
        return text_held_back(b, piece);
    enum err e = settle_text(b);
    return e == ERR_OK ? put_piece(b, type, piece) : e;
}

enum err oc_blocks_begin(struct oc_blocks *b, enum chat_block_type type, struct chat_text id,
                         bool now)
{
    enum err e = oc_blocks_end(b);
    if (e != ERR_OK || b->cut)
        return e;
    b->next_id = id;
    if (now && !must_wait(b))
        open_block(b, type, NULL);
    return ERR_OK;
}

enum err oc_blocks_end(struct oc_blocks *b)
{
    enum err e = settle_text(b);
    b->next_id = (struct chat_text){0};
    if (e == ERR_OK && !must_wait(b))
        close_block(b);
    return e;
}

enum err oc_blocks_sign(struct oc_blocks *b, struct chat_text signature)
{
    enum err e = b->cut ? ERR_OK : settle_text(b);
    if (e != ERR_OK || b->cut || must_wait(b))
        return e;
    if (!b->open || b->type != CHAT_THINKING)
        open_block(b, CHAT_THINKING, NULL);
    tell(b, &(struct chat_event){
                .type = CHAT_EV_SIGNATURE, .block_type = CHAT_THINKING, .text = signature});
    close_block(b);
    return ERR_OK;
}

/* The call a piece belongs to: by index; without one by id; without both the latest. A reused index
 * with another id, or with a name behind complete input, is another call. */
static struct oc_part *find_call(struct oc_blocks *b, int64_t index, struct span id,
                                 struct span name, bool has_input)
{
    struct oc_part *found = NULL, *latest = NULL;
    for (struct oc_part *p = b->parts; p; p = p->next) {
        if (p->type != CHAT_TOOL_USE)
            continue;
        latest = p;
        if (index != OC_NO_INDEX ? p->index == index : id.len && span_eq(p->id.at, id))
            found = p;
    }
    if (!found && index == OC_NO_INDEX && id.len == 0 && name.len == 0)
        return latest;
    bool other_id = found && id.len && found->told_id && !span_eq(found->id.at, id);
    bool starts_again = found && name.len && has_input && found->scan.complete;
    return (other_id && name.len) || starts_again ? NULL : found;
}

struct oc_part *oc_blocks_call(struct oc_blocks *b, int64_t index, struct span id, struct span name,
                               bool has_input)
{
    struct oc_part *p = find_call(b, index, id, name, has_input);
    if (!p) {
        p = part_new(b, CHAT_TOOL_USE);
        if (!p)
            return NULL;
        p->index = index;
    }
    if (id.len && p->id.at.len == 0) {
        p->id = text_raw(arena_copy(b->a, id));
        p->told_id = true;
    }
    if (name.len && p->name.at.len == 0)
        p->name = oc_tool_name_back(b->a, b->request, text_raw(arena_copy(b->a, name)));
    return p;
}

enum err oc_blocks_input(struct oc_blocks *b, struct oc_part *p, struct chat_text piece)
{
    if (b->cut)
        return ERR_OK;
    enum err e = settle_text(b);
    if (e != ERR_OK || p->state == OC_PART_CLOSED)
        return e;
    if (p->state == OC_PART_OPEN) {
        oc_json_scan(&p->scan, piece);
        delta(b, piece);
    } else {
        p->plain_input = piece.at.len ? !piece.escaped : p->plain_input;
        e = buf_add(&p->held, piece.at);
    }
    if (e == ERR_OK)
        pump(b);
    return e == ERR_OK && b->failed ? ERR_LIMIT : e;
}

enum err oc_blocks_finish(struct oc_blocks *b)
{
    enum err e = settle_text(b);
    for (struct oc_part *p = b->parts; p && e == ERR_OK; p = p->next) {
        if (p->state != OC_PART_WAITING)
            continue;
        if (p->type == CHAT_TOOL_USE && p->name.at.len == 0)
            e = ERR_SYNTAX;
        else
            open_waiting(b, p);
    }
    close_block(b);
    return e;
}
