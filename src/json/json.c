/* Reading the index that json_parse.c made. A handle is a node's number; an absent value is a
 * handle without a document, and every question about it has an answer. */
#include "json/json_internal.h"

#include "base/span.h"

static const struct json_node *node_of(struct json v)
{
    assert(v.node < v.doc->count);
    return &v.doc->nodes[v.node];
}

static struct span content(struct json v)
{
    const struct json_node *n = node_of(v);
    return (struct span){v.doc->text.at + n->at, n->len};
}

struct json json_root(const struct json_doc *doc)
{
    return doc && doc->count > 0 ? (struct json){doc, 0} : JSON_ABSENT;
}

enum json_type json_type(struct json v)
{
    return v.doc ? (enum json_type)(node_of(v)->bits & NODE_TYPE) : JSON_NONE;
}

bool json_is(struct json v, enum json_type t)
{
    return json_type(v) == t;
}

bool json_present(struct json v)
{
    return v.doc != NULL;
}

bool json_useful(struct json v)
{
    return v.doc && json_type(v) != JSON_NULL;
}

struct span json_raw(struct json v)
{
    if (!v.doc)
        return SPAN_EMPTY;
    struct span s = content(v);
    if (json_is(v, JSON_STRING))
        s = (struct span){s.at - 1, s.len + 2};
    return s;
}

static bool is_container(struct json v)
{
    return json_type(v) >= JSON_ARRAY;
}

uint32_t json_len(struct json v)
{
    return is_container(v) ? node_of(v)->bits >> NODE_COUNT_SHIFT : 0;
}

struct json json_first(struct json v)
{
    if (json_len(v) == 0)
        return JSON_ABSENT;
    return (struct json){v.doc, v.node + (json_is(v, JSON_OBJECT) ? 2 : 1)};
}

struct json json_next(struct json parent, struct json child)
{
    if (!parent.doc || !child.doc)
        return JSON_ABSENT;
    uint32_t next = node_of(child)->next;
    if (next >= node_of(parent)->next)
        return JSON_ABSENT;
    return (struct json){child.doc, next + (json_is(parent, JSON_OBJECT) ? 1 : 0)};
}

/* The name's node is the one before its value; no other value has one of this type before it. */
static const struct json_node *name_of(struct json member)
{
    if (!member.doc || member.node == 0)
        return NULL;
    const struct json_node *n = node_of(member) - 1;
    return (n->bits & NODE_TYPE) == JSON_NONE ? n : NULL;
}

struct span json_key(struct json member)
{
    const struct json_node *n = name_of(member);
    return n ? (struct span){member.doc->text.at + n->at, n->len} : SPAN_EMPTY;
}

static bool name_is(const struct json_doc *doc, const struct json_node *n, struct span name)
{
    const char *at = doc->text.at + n->at;
    if (n->bits & NODE_ESCAPED)
        return json_decodes_to((struct span){at, n->len}, name);
    return n->len == name.len && (name.len == 0 || memcmp(at, name.at, name.len) == 0);
}

bool json_key_is(struct json member, const char *name)
{
    const struct json_node *n = name_of(member);
    return n && name_is(member.doc, n, span_from(name));
}

bool json_may_hold(const struct json_doc *doc, const char *name, struct span prefix)
{
    struct span wanted = span_from(name);
    for (uint32_t i = 0; i + 1 < doc->count; i++) {
        const struct json_node *n = &doc->nodes[i];
        if ((n->bits & NODE_TYPE) != JSON_NONE || !name_is(doc, n, wanted))
            continue;
        struct span value = content((struct json){doc, i + 1});
        if (span_starts(value, prefix) || n[1].bits & NODE_ESCAPED)
            return true;
    }
    return false;
}

struct json json_member(struct json v, struct span name)
{
    if (!json_is(v, JSON_OBJECT))
        return JSON_ABSENT;
    const struct json_node *nodes = v.doc->nodes;
    uint32_t end = node_of(v)->next;
    for (uint32_t key = v.node + 1; key < end; key = nodes[key + 1].next)
        if (name_is(v.doc, &nodes[key], name))
            return (struct json){v.doc, key + 1};
    return JSON_ABSENT;
}

struct json json_path(struct json v, const char *dotted)
{
    struct span rest = span_from(dotted), part;
    while (json_present(v) && span_next(&rest, '.', &part))
        v = json_member(v, part);
    return v;
}

struct json json_at(struct json v, uint32_t index)
{
    if (!json_is(v, JSON_ARRAY))
        return JSON_ABSENT;
    struct json item = json_first(v);
    for (; index > 0 && json_present(item); index--)
        item = json_next(v, item);
    return item;
}

struct span json_str(struct json v)
{
    return json_is(v, JSON_STRING) ? content(v) : SPAN_EMPTY;
}

bool json_str_escaped(struct json v)
{
    return json_is(v, JSON_STRING) && (node_of(v)->bits & NODE_ESCAPED);
}

bool json_str_is(struct json v, const char *text)
{
    if (!json_is(v, JSON_STRING))
        return false;
    struct span want = span_from(text);
    return json_str_escaped(v) ? json_decodes_to(content(v), want) : span_eq(content(v), want);
}

struct span json_str_decode(struct json v, struct arena *a)
{
    return json_str_escaped(v) ? json_unescape(content(v), a) : json_str(v);
}

bool json_true(struct json v)
{
    return json_is(v, JSON_TRUE);
}
