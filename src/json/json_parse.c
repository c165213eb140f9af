/* Building the index: one walk over the text, no recursion, no stack.
 *
 * UTF-8 is checked first, for the whole text at once; afterwards every byte from 0x80 up can only
 * be string content or an error of syntax. The walk itself looks at each byte between strings, and
 * lets the engine run through the strings, which are nearly all of a request. Classifying all
 * blocks into bitmaps first (as simdjson does) was rejected: conversations are few long strings,
 * where skipping costs less than mapping.
 *
 * Nodes stand in document order. While a container is open its `next` holds its parent's index, so
 * the way up needs no stack and depth costs no memory; closing puts the real `next`.
 *
 *   {"a":[1,2]}   0: object, 1: name a, 2: array, 3: number 1, 4: number 2
 *                 next of 0 is 5, of 2 is 5, of 3 is 4 */
#include "json/json_internal.h"

#include "base/span.h"

#define NO_NODE UINT32_MAX
#define NODES_FIRST 64u
#define VALUES_MOST (1u << 27)  /* what fits node.bits and leaves room for names in a uint32_t */
#define MEMBERS_COMPARED_RAW 16 /* up to here each plain name is compared with each */

const struct json_limits json_limits_default = {128, 100000, 1000000, 1024};

enum step { STEP_FAILED, STEP_VALUE_DUE, STEP_VALUE_DONE, STEP_ALL_DONE };

struct walk {
    const struct json_engine *engine;
    struct arena *arena;
    struct json_limits limits;
    const char *start, *at, *end;
    struct json_node *nodes;
    uint32_t count, cap;
    uint32_t open; /* innermost open container or NO_NODE */
    uint32_t depth, members, values;
    enum err err;
    const char *what;
};

static enum step fail_at(struct walk *w, const char *at, enum err err, const char *what)
{
    w->at = at;
    w->err = err;
    w->what = what;
    return STEP_FAILED;
}

static enum step fail(struct walk *w, const char *what)
{
    return fail_at(w, w->at, ERR_SYNTAX, w->at == w->end ? "the document ends too early" : what);
}

static void skip_blanks(struct walk *w)
{
    while (w->at < w->end && (*w->at == ' ' || *w->at == '\n' || *w->at == '\r' || *w->at == '\t'))
        w->at++;
}

static bool is_next(const struct walk *w, char c)
{
    return w->at < w->end && *w->at == c;
}

static struct json_node *push(struct walk *w, uint32_t bits, const char *at, size_t len)
{
    if (w->count == w->cap) {
        uint32_t cap = w->cap ? w->cap * 2 : NODES_FIRST;
        struct json_node *nodes = arena_alloc(w->arena, cap * sizeof *nodes);
        if (w->count > 0)
            memcpy(nodes, w->nodes, w->count * sizeof *nodes);
        w->nodes = nodes;
        w->cap = cap;
    }
    struct json_node *node = &w->nodes[w->count++];
    *node = (struct json_node){(uint32_t)(at - w->start), (uint32_t)len, w->count, bits};
    return node;
}

/* Counts a value against the limit and as a child of the open container. */
static bool count_value(struct walk *w)
{
    if (++w->values > w->limits.values) {
        fail_at(w, w->at, ERR_LIMIT, "too many values");
        return false;
    }
    if (w->open != NO_NODE)
        w->nodes[w->open].bits += 1u << NODE_COUNT_SHIFT;
    return true;
}

static bool is_hex(char c)
{
    char folded = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (folded >= 'a' && folded <= 'f');
}

/* What may follow a backslash, \u aside. A table: text full of \n and \" comes here often. */
static const bool is_escape[256] = {['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                    ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true};

/* At the backslash. Surrogates are not paired here: a lone one is accepted and kept. */
static bool skip_escape(struct walk *w)
{
    const char *at = w->at + 1;
    if (at == w->end)
        return false;
    if (*at != 'u') {
        if (!is_escape[(unsigned char)*at])
            return false;
        w->at = at + 1;
        return true;
    }
    if (w->end - at < 5)
        return false;
    for (int i = 1; i <= 4; i++)
        if (!is_hex(at[i]))
            return false;
    w->at = at + 5;
    return true;
}

/* At the opening quote. Makes a node of the given type from what is between the quotes. */
static enum step read_string(struct walk *w, uint32_t bits)
{
    const char *from = ++w->at;
    bool escapes = false;
    if (w->engine->content)
        w->at += w->engine->content(w->at, (size_t)(w->end - w->at), &escapes);
    bits |= escapes ? NODE_ESCAPED : 0;
    for (;;) {
        if (!is_next(w, '"'))
            w->at += w->engine->special(w->at, (size_t)(w->end - w->at));
        if (w->at == w->end)
            return fail_at(w, from - 1, ERR_SYNTAX, "a string does not end");
        if (*w->at == '"')
            break;
        if (*w->at != '\\')
            return fail(w, "a control character in a string must be escaped");
        if (!skip_escape(w))
            return fail(w, "not an escape that JSON knows");
        bits |= NODE_ESCAPED;
    }
    push(w, bits, from, (size_t)(w->at - from));
    w->at++;
    return STEP_VALUE_DONE;
}

static bool skip_digits(struct walk *w)
{
    const char *from = w->at;
    while (w->at < w->end && *w->at >= '0' && *w->at <= '9')
        w->at++;
    return w->at > from;
}

static enum step read_number(struct walk *w)
{
    const char *from = w->at;
    if (is_next(w, '-'))
        w->at++;
    if (is_next(w, '0'))
        w->at++;
    else if (!skip_digits(w))
        return fail(w, "a digit is due");
    if (is_next(w, '.')) {
        w->at++;
        if (!skip_digits(w))
            return fail(w, "a digit is due after the point");
    }
    if (is_next(w, 'e') || is_next(w, 'E')) {
        w->at++;
        if (is_next(w, '+') || is_next(w, '-'))
            w->at++;
        if (!skip_digits(w))
            return fail(w, "a digit is due in the exponent");
    }
    push(w, JSON_NUMBER, from, (size_t)(w->at - from));
    return STEP_VALUE_DONE;
}

static enum step read_word(struct walk *w, struct span word, enum json_type type)
{
    struct span left = {w->at, (size_t)(w->end - w->at)};
    if (!span_starts(left, word))
        return fail(w, "not a JSON value");
    push(w, type, w->at, word.len);
    w->at += word.len;
    return STEP_VALUE_DONE;
}

/* ---- duplicate names ---- */

struct name {
    struct span text; /* decoded */
    uint32_t at;      /* where it stands, to name the later one */
};

static int compare_names(const struct name *a, const struct name *b)
{
    if (a->text.len != b->text.len)
        return a->text.len < b->text.len ? -1 : 1;
    int order = a->text.len > 0 ? memcmp(a->text.at, b->text.at, a->text.len) : 0;
    if (order != 0)
        return order;
    return a->at < b->at ? -1 : 1;
}

/* Bottom-up merge sort: n log n whatever a peer sends. A hash set would want a secret seed, and
 * this layer has no source of one. Returns the array the result is in. */
static struct name *sort_names(struct name *from, struct name *to, size_t n)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t left = 0; left < n; left += run * 2) {
            size_t middle = left + run < n ? left + run : n;
            size_t right = middle + run < n ? middle + run : n;
            size_t i = left, j = middle;
            for (size_t k = left; k < right; k++) {
                bool take_left =
                    i < middle && (j == right || compare_names(&from[i], &from[j]) < 0);
                to[k] = take_left ? from[i++] : from[j++];
            }
        }
        struct name *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

static struct name decoded_name(struct walk *w, const struct json_node *node)
{
    struct span raw = {w->start + node->at, node->len};
    if (node->bits & NODE_ESCAPED) {
        char *out = arena_alloc(w->arena, raw.len);
        raw = (struct span){out, json_decode(raw, JSON_LONE_KEEP, out)};
    }
    return (struct name){raw, node->at};
}

/* Where the first name stands that repeats an earlier one (in sorting order); NO_NODE if none. */
static uint32_t find_duplicate_sorted(struct walk *w, uint32_t object, uint32_t members)
{
    struct arena_mark mark = arena_mark(w->arena);
    struct name *names = arena_alloc(w->arena, 2 * members * sizeof *names);
    uint32_t n = 0, found = NO_NODE;
    for (uint32_t key = object + 1; key < w->count; key = w->nodes[key + 1].next)
        names[n++] = decoded_name(w, &w->nodes[key]);
    assert(n == members);
    names = sort_names(names, names + members, members);
    for (uint32_t i = 1; i < members && found == NO_NODE; i++)
        if (span_eq(names[i - 1].text, names[i].text))
            found = names[i].at;
    arena_rewind(w->arena, mark);
    return found;
}

/* Few members with plain names, the usual case, need no memory. */
static bool is_small(const struct walk *w, uint32_t object, uint32_t members)
{
    if (members > MEMBERS_COMPARED_RAW)
        return false;
    for (uint32_t key = object + 1; key < w->count; key = w->nodes[key + 1].next)
        if (w->nodes[key].bits & NODE_ESCAPED)
            return false;
    return true;
}

static bool same_raw(const struct walk *w, const struct json_node *a, const struct json_node *b)
{
    return a->len == b->len && memcmp(w->start + a->at, w->start + b->at, a->len) == 0;
}

static uint32_t find_duplicate_small(const struct walk *w, uint32_t object)
{
    uint32_t keys[MEMBERS_COMPARED_RAW], n = 0;
    for (uint32_t key = object + 1; key < w->count; key = w->nodes[key + 1].next) {
        for (uint32_t i = 0; i < n; i++)
            if (same_raw(w, &w->nodes[keys[i]], &w->nodes[key]))
                return w->nodes[key].at;
        assert(n < MEMBERS_COMPARED_RAW);
        keys[n++] = key;
    }
    return NO_NODE;
}

static bool names_differ(struct walk *w, uint32_t object)
{
    uint32_t members = w->nodes[object].bits >> NODE_COUNT_SHIFT;
    if (members < 2)
        return true;
    uint32_t found = is_small(w, object, members) ? find_duplicate_small(w, object)
                                                  : find_duplicate_sorted(w, object, members);
    if (found == NO_NODE)
        return true;
    fail_at(w, w->start + found - 1, ERR_SYNTAX, "this name was given before in the same object");
    return false;
}

/* ---- containers ---- */

/* At the closing bracket of the open container. */
static enum step close_container(struct walk *w)
{
    uint32_t index = w->open;
    struct json_node *node = &w->nodes[index];
    if ((node->bits & NODE_TYPE) == JSON_OBJECT && !names_differ(w, index))
        return STEP_FAILED;
    w->at++;
    node->len = (uint32_t)(w->at - w->start) - node->at;
    w->open = node->next;
    node->next = w->count;
    assert(w->depth > 0);
    w->depth--;
    return STEP_VALUE_DONE;
}

/* A member's name and its colon. */
static enum step read_name(struct walk *w)
{
    skip_blanks(w);
    if (!is_next(w, '"'))
        return fail(w, "a member's name in quotes is due");
    if (++w->members > w->limits.members)
        return fail_at(w, w->at, ERR_LIMIT, "too many object members");
    const char *from = w->at;
    if (read_string(w, JSON_NONE) == STEP_FAILED)
        return STEP_FAILED;
    if (w->nodes[w->count - 1].len > w->limits.key_bytes)
        return fail_at(w, from, ERR_LIMIT, "a member's name is too long");
    skip_blanks(w);
    if (!is_next(w, ':'))
        return fail(w, "a colon is due");
    w->at++;
    return STEP_VALUE_DUE;
}

static enum step open_container(struct walk *w, enum json_type type)
{
    if (w->depth == w->limits.depth)
        return fail_at(w, w->at, ERR_LIMIT, "nested too deeply");
    push(w, type, w->at, 0)->next = w->open;
    w->open = w->count - 1;
    w->depth++;
    w->at++;
    skip_blanks(w);
    if (is_next(w, type == JSON_OBJECT ? '}' : ']'))
        return close_container(w);
    return type == JSON_OBJECT ? read_name(w) : STEP_VALUE_DUE;
}

static enum step read_value(struct walk *w)
{
    skip_blanks(w);
    if (w->at == w->end)
        return fail(w, "");
    if (!count_value(w))
        return STEP_FAILED;
    switch (*w->at) {
    case '"':
        return read_string(w, JSON_STRING);
    case '{':
        return open_container(w, JSON_OBJECT);
    case '[':
        return open_container(w, JSON_ARRAY);
    case 't':
        return read_word(w, SPAN("true"), JSON_TRUE);
    case 'f':
        return read_word(w, SPAN("false"), JSON_FALSE);
    case 'n':
        return read_word(w, SPAN("null"), JSON_NULL);
    default:
        if (*w->at != '-' && (*w->at < '0' || *w->at > '9'))
            return fail(w, "a value is due");
        return read_number(w);
    }
}

/* Behind a value: the next one of its container, its container's end, or the end of all. */
static enum step after_value(struct walk *w)
{
    skip_blanks(w);
    if (w->open == NO_NODE) {
        if (w->at < w->end)
            return fail(w, "something follows the document's value");
        return STEP_ALL_DONE;
    }
    bool in_object = (w->nodes[w->open].bits & NODE_TYPE) == JSON_OBJECT;
    if (is_next(w, in_object ? '}' : ']'))
        return close_container(w);
    if (!is_next(w, ','))
        return fail(w, in_object ? "a comma or } is due" : "a comma or ] is due");
    w->at++;
    return in_object ? read_name(w) : STEP_VALUE_DUE;
}

static enum err walk(struct walk *w)
{
    struct span all = {w->start, (size_t)(w->end - w->start)};
    if (span_starts(all, SPAN("\xEF\xBB\xBF"))) {
        fail(w, "a byte order mark is not JSON");
        return w->err;
    }
    w->at += w->engine->utf8(all.at, all.len);
    if (w->at < w->end) {
        fail(w, "not UTF-8");
        return w->err;
    }
    w->at = w->start;
    enum step step = STEP_VALUE_DUE;
    while (step == STEP_VALUE_DUE || step == STEP_VALUE_DONE)
        step = step == STEP_VALUE_DUE ? read_value(w) : after_value(w);
    return w->err;
}

static void describe(const struct walk *w, struct json_error *out)
{
    *out = (struct json_error){(size_t)(w->at - w->start), 1, 1, w->what};
    for (const char *at = w->start; at < w->at; at++) {
        out->column++;
        if (*at != '\n')
            continue;
        out->line++;
        out->column = 1;
    }
}

static bool fits(const struct walk *w, struct span text)
{
    return text.len < UINT32_MAX && w->limits.values <= VALUES_MOST;
}

enum err json_parse(struct arena *a, struct span text, const struct json_limits *limits,
                    struct json_doc *out, struct json_error *out_error)
{
    if (!text.at)
        text.at = "";
    struct walk w = {.engine = json_engine_now(),
                     .arena = a,
                     .limits = limits ? *limits : json_limits_default,
                     .start = text.at,
                     .at = text.at,
                     .end = text.at + text.len,
                     .open = NO_NODE};
    struct arena_mark mark = arena_mark(a);
    if (!fits(&w, text))
        fail_at(&w, text.at, ERR_LIMIT, "the document is too large");
    else if (walk(&w) == ERR_OK && arena_over(a))
        fail_at(&w, text.at, ERR_LIMIT, "the document needs too much memory");
    if (w.err != ERR_OK) {
        if (out_error)
            describe(&w, out_error);
        arena_rewind(a, mark);
        return w.err;
    }
    *out = (struct json_doc){text, w.nodes, w.count};
    return ERR_OK;
}
