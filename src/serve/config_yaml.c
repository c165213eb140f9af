/* YAML text to a small tree of scalars, maps and lists, by libyaml's events. What makes YAML
 * treacherous is refused here: anchors, aliases, tags, directives, several documents, duplicate
 * keys, tabs. Types are not guessed: a scalar stays text, and config_value.c reads it by its key's
 * type. */
#include "serve/config_internal.h"

#include <yaml.h>

#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define DEPTH_MAX 8
#define NODES_MAX 8192

struct yaml {
    struct config_reader *r;
    yaml_parser_t parser;
    size_t nodes;
    bool failed; /* the syntax is broken: nothing more can be read */
};

struct config_mark config_mark_of(const struct config_node *n)
{
    return n ? (struct config_mark){n->line, n->column} : (struct config_mark){0, 0};
}

struct config_mark config_mark_key(const struct config_node *n)
{
    return n ? (struct config_mark){n->key_line, n->key_column} : (struct config_mark){0, 0};
}

struct config_node *config_node_get(const struct config_node *map, const char *key)
{
    if (!map || map->type != NODE_MAP)
        return NULL;
    for (struct config_node *n = map->first; n; n = n->next)
        if (span_is(n->key, key))
            return n;
    return NULL;
}

static struct config_mark mark(yaml_mark_t m)
{
    return (struct config_mark){(int)m.line + 1, (int)m.column + 1};
}

/* ---- events ---- */

/* Where the byte at `offset` is; for errors of the reader, which knows no line. */
static struct config_mark mark_of_offset(struct span text, size_t offset)
{
    struct config_mark m = {1, 1};
    for (size_t i = 0; i < offset && i < text.len; i++) {
        bool line_end = text.at[i] == '\n';
        m.line += line_end;
        m.column = line_end ? 1 : m.column + 1;
    }
    return m;
}

static void syntax_error(struct yaml *y)
{
    const yaml_parser_t *p = &y->parser;
    bool reader = p->error == YAML_READER_ERROR;
    struct config_mark at =
        reader ? mark_of_offset(y->r->s->text, p->problem_offset) : mark(p->problem_mark);
    const char *what = p->problem ? p->problem : "not YAML";
    config_complain(y->r, at, false,
                    reader ? "the file must be UTF-8 text without control characters"
                           : "check indentation, colons, quotes and brackets here and just above",
                    "YAML: %s%s%s", p->context ? p->context : "", p->context ? ": " : "", what);
    y->failed = true;
}

static bool next_event(struct yaml *y, yaml_event_t *e)
{
    if (y->failed)
        return false;
    if (yaml_parser_parse(&y->parser, e))
        return true;
    syntax_error(y);
    return false;
}

static struct config_node *new_node(struct yaml *y, enum config_node_type type, yaml_mark_t at)
{
    struct config_node *n = arena_new(y->r->arena, struct config_node);
    struct config_mark m = mark(at);
    n->type = type;
    n->line = m.line;
    n->column = m.column;
    if (++y->nodes == NODES_MAX) {
        config_complain(y->r, m, false, NULL, "more than %d values", NODES_MAX);
        y->failed = true;
    }
    return n;
}

/* Anchors and tags say more than this file may. */
static bool is_bare(struct yaml *y, yaml_mark_t at, const yaml_char_t *anchor,
                    const yaml_char_t *tag)
{
    if (anchor)
        config_complain(y->r, mark(at), false, "write the value out where it is used",
                        "an anchor (&%s); anchors are not allowed", (const char *)anchor);
    if (tag)
        config_complain(y->r, mark(at), false, "remove it: a key's type is known",
                        "a tag (%s); tags are not allowed", (const char *)tag);
    return !anchor && !tag;
}

static struct config_node *build(struct yaml *y, yaml_event_t *e, int depth);

static struct config_node *build_scalar(struct yaml *y, const yaml_event_t *e)
{
    struct config_node *n = new_node(y, NODE_SCALAR, e->start_mark);
    struct span text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    n->text = arena_copy(y->r->arena, text);
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (!is_bare(y, e->start_mark, e->data.scalar.anchor, e->data.scalar.tag))
        n->type = NODE_BAD;
    return n;
}

static void append(struct config_node *parent, struct config_node *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

/* The next node, or NULL at the end of its parent or of everything. */
static struct config_node *build_next(struct yaml *y, int depth)
{
    yaml_event_t e;
    if (!next_event(y, &e))
        return NULL;
    struct config_node *n = build(y, &e, depth);
    yaml_event_delete(&e);
    return n;
}

static struct config_node *build_list(struct yaml *y, const yaml_event_t *e, int depth)
{
    struct config_node *list = new_node(y, NODE_LIST, e->start_mark), *n;
    bool bare =
        is_bare(y, e->start_mark, e->data.sequence_start.anchor, e->data.sequence_start.tag);
    while ((n = build_next(y, depth + 1)))
        append(list, n);
    if (!bare)
        list->type = NODE_BAD;
    return list;
}

/* false: the pair is left out, with its complaint made. */
static bool key_is_good(struct yaml *y, const struct config_node *map,
                        const struct config_node *key)
{
    if (key->type == NODE_BAD)
        return false;
    if (key->type != NODE_SCALAR || key->text.len == 0 || key->text.len > 256) {
        config_complain(y->r, config_mark_of(key), false, "write a name, a colon and a blank",
                        "this is not a key");
        return false;
    }
    for (const struct config_node *n = map->first; n; n = n->next) {
        if (!span_eq(n->key, key->text))
            continue;
        config_complain(y->r, config_mark_of(key), false, "remove one of the two",
                        "%.*s: a second time; the first is in line %d", SPAN_FMT(key->text),
                        n->key_line);
        return false;
    }
    return true;
}

static struct config_node *build_map(struct yaml *y, const yaml_event_t *e, int depth)
{
    struct config_node *map = new_node(y, NODE_MAP, e->start_mark), *key;
    bool bare = is_bare(y, e->start_mark, e->data.mapping_start.anchor, e->data.mapping_start.tag);
    while ((key = build_next(y, depth + 1))) {
        struct config_node *value = build_next(y, depth + 1);
        if (!value)
            break;
        value->key = key->text;
        value->key_line = key->line;
        value->key_column = key->column;
        if (key_is_good(y, map, key))
            append(map, value);
    }
    if (!bare)
        map->type = NODE_BAD;
    return map;
}

static struct config_node *build(struct yaml *y, yaml_event_t *e, int depth)
{
    bool opens = e->type == YAML_MAPPING_START_EVENT || e->type == YAML_SEQUENCE_START_EVENT;
    if (opens && depth == DEPTH_MAX) {
        config_complain(y->r, mark(e->start_mark), false, NULL, "nested too deep");
        y->failed = true;
        return NULL;
    }
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return build_scalar(y, e);
    case YAML_SEQUENCE_START_EVENT:
        return build_list(y, e, depth);
    case YAML_MAPPING_START_EVENT:
        return build_map(y, e, depth);
    case YAML_ALIAS_EVENT:
        config_complain(y->r, mark(e->start_mark), false,
                        "write the value out; quote a * that is "
                        "meant as a letter: \"*\"",
                        "an alias (*%s); aliases are not allowed",
                        (const char *)e->data.alias.anchor);
        return new_node(y, NODE_BAD, e->start_mark);
    default:
        return NULL; /* the end of a map, list or document */
    }
}

/* ---- documents ---- */

static void check_directives(struct yaml *y, const yaml_event_t *e)
{
    if (e->data.document_start.version_directive ||
        e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
        config_complain(y->r, mark(e->start_mark), false, "remove the line that starts with %",
                        "a YAML directive; directives are not allowed");
}

static void read_stream(struct yaml *y)
{
    size_t documents = 0;
    for (bool more = true; more && !y->failed;) {
        yaml_event_t e;
        if (!next_event(y, &e))
            return;
        if (e.type == YAML_DOCUMENT_START_EVENT && ++documents == 1) {
            check_directives(y, &e);
            y->r->root = build_next(y, 0);
        } else if (e.type == YAML_DOCUMENT_START_EVENT) {
            config_complain(y->r, mark(e.start_mark), false, "keep one document in the file",
                            "a second YAML document");
            more = false;
        }
        more = more && e.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    if (documents == 0 && !y->failed)
        config_complain(y->r, (struct config_mark){1, 1}, false,
                        "`hotspare init` writes one for this machine", "the file is empty");
}

/* Tabs outside of comments, one complaint for each line. false: one indents, so that YAML would
 * misread all that follows. */
static bool check_tabs(struct config_reader *r)
{
    struct span text = r->s->text, line;
    bool readable = true;
    for (int number = 1; span_next(&text, '\n', &line); number++) {
        ssize_t tab = span_find(line, '\t'), comment = span_find(line, '#');
        if (tab < 0 || (comment >= 0 && comment < tab))
            continue;
        config_complain(r, (struct config_mark){number, (int)tab + 1}, false,
                        "put blanks in its place", "a tab; only blanks separate and indent");
        if (span_trim(span_take(line, (size_t)tab)).len == 0)
            readable = false;
    }
    return readable;
}

void config_parse_yaml(struct config_reader *r)
{
    if (r->s->text.len > TEXT_BYTES_MAX) {
        config_complain(r, (struct config_mark){0, 0}, false, NULL,
                        "the file is larger than 1 MiB");
        return;
    }
    if (!check_tabs(r))
        return;
    struct yaml y = {.r = r};
    int good = yaml_parser_initialize(&y.parser);
    assert(good);
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)r->s->text.at, r->s->text.len);
    read_stream(&y);
    yaml_parser_delete(&y.parser);
    if (r->root && r->root->type == NODE_SCALAR && r->root->text.len == 0)
        config_complain(r, config_mark_of(r->root), false,
                        "`hotspare init` writes one for this machine", "the file is empty");
    else if (r->root && r->root->type != NODE_MAP && r->root->type != NODE_BAD)
        config_complain(r, config_mark_of(r->root), false, "start with a key, as in \"targets:\"",
                        "the file is not a mapping of keys");
    if (y.failed || (r->root && r->root->type != NODE_MAP))
        r->root = NULL;
}
