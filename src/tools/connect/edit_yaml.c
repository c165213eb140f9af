/* YAML: adds one item to a list of the top level. libyaml says where the list stands; the lines are
 * put in by hand, at the list's head, so that nothing else of the file moves.
 *
 * Written by its author in flow style ([a, b]), or as several documents, a file is refused: lines
 * for it cannot be told from here. */
#include "tools/connect/edit_internal.h"
#include <yaml.h>

struct yaml_list {
    struct span text;
    const char *name; /* the list; NULL: only to be read */
    const char *item; /* the `name` of our item */
    struct edit_problem *why;
    size_t documents, depth;
    bool root_key;         /* the last event at depth 1 was a key */
    bool is_list, in_list; /* the value to come, or being read, is the list's */
    bool name_next;        /* the next scalar is an item's name */
    bool found, null_value, ends;
    size_t key, indent; /* the list's key's place; the column of its first dash */
};

/* libyaml counts characters, behind a byte order mark. */
static size_t offset_of(struct span text, yaml_mark_t mark)
{
    size_t at = edit_bom(text);
    for (size_t n = mark.index; n > 0 && at < text.len; n--)
        for (at++; at < text.len && (text.at[at] & 0xc0) == 0x80;)
            at++;
    return at;
}

static enum err refuse(struct yaml_list *l, enum err e, yaml_mark_t mark, const char *what)
{
    (void)edit_fail(l->why, e, l->text, 0, "%s", what);
    l->why->line = (uint32_t)mark.line + 1;
    l->why->column = (uint32_t)mark.column + 1;
    return e;
}

static struct span scalar(const yaml_event_t *e)
{
    return (struct span){(const char *)e->data.scalar.value, e->data.scalar.length};
}

/* What stands for a value that was not written. */
static bool is_nothing(const yaml_event_t *e)
{
    return scalar(e).len == 0 && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           !e->data.scalar.anchor && !e->data.scalar.tag;
}

/* A key or a value of the root mapping. */
static enum err at_root(struct yaml_list *l, const yaml_event_t *e)
{
    bool value = l->is_list;
    l->root_key = !l->root_key;
    l->is_list = false;
    if (l->name && l->root_key && e->type == YAML_SCALAR_EVENT && span_is(scalar(e), l->name)) {
        l->is_list = l->found = true;
        l->key = offset_of(l->text, e->start_mark);
    } else if (value && e->type == YAML_SCALAR_EVENT) {
        l->null_value = is_nothing(e);
        if (!l->null_value)
            return refuse(l, ERR_EXISTS, e->start_mark, "a list is expected here");
    } else if (value && (e->type != YAML_SEQUENCE_START_EVENT ||
                         e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE)) {
        return refuse(l, ERR_EXISTS, e->start_mark, "the list is not written with a dash a line");
    } else if (value) {
        l->in_list = true;
        l->indent = e->start_mark.column;
    }
    return ERR_OK;
}

/* Within the list: is there an item of our name? */
static enum err in_item(struct yaml_list *l, const yaml_event_t *e)
{
    if (e->type != YAML_SCALAR_EVENT || l->depth != 3) {
        l->name_next = false;
        return ERR_OK;
    }
    if (l->name_next && span_is(scalar(e), l->item))
        return refuse(l, ERR_EXISTS, e->start_mark, "an item of our name is there already");
    l->name_next = !l->name_next && span_is(scalar(e), "name");
    return ERR_OK;
}

/* What may stand at the top: keys, one a line, or nothing. */
static bool at_most_keys(const yaml_event_t *e)
{
    if (e->type == YAML_MAPPING_START_EVENT)
        return e->start_mark.column == 0 &&
               e->data.mapping_start.style != YAML_FLOW_MAPPING_STYLE &&
               !e->data.mapping_start.anchor && !e->data.mapping_start.tag;
    return e->type == YAML_SCALAR_EVENT
               ? is_nothing(e)
               : e->type != YAML_SEQUENCE_START_EVENT && e->type != YAML_ALIAS_EVENT;
}

static enum err one_event(struct yaml_list *l, const yaml_event_t *e)
{
    enum err err = ERR_OK;
    bool opens = e->type == YAML_MAPPING_START_EVENT || e->type == YAML_SEQUENCE_START_EVENT,
         closes = e->type == YAML_MAPPING_END_EVENT || e->type == YAML_SEQUENCE_END_EVENT;
    if (e->type == YAML_DOCUMENT_START_EVENT && ++l->documents > 1)
        err = refuse(l, ERR_EXISTS, e->start_mark, "there is more than one document in the file");
    l->ends = l->ends || (e->type == YAML_DOCUMENT_END_EVENT && !e->data.document_end.implicit);
    if (l->depth == 0 && !at_most_keys(e))
        err = refuse(l, ERR_EXISTS, e->start_mark, "the file is not a list of keys, one a line");
    l->depth -= closes;
    if (closes && l->depth == 1)
        l->in_list = false;
    if (err == ERR_OK && l->depth == 1 && !closes)
        err = at_root(l, e);
    else if (err == ERR_OK && l->in_list)
        err = in_item(l, e);
    l->depth += opens;
    return err;
}

static enum err read_list(struct yaml_list *l)
{
    yaml_parser_t p;
    enum err e = ERR_OK;
    if (!yaml_parser_initialize(&p))
        return refuse(l, ERR_LIMIT, (yaml_mark_t){0, 0, 0}, "out of memory");
    yaml_parser_set_input_string(&p, (const unsigned char *)l->text.at, l->text.len);
    for (bool more = true; more && e == ERR_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&p, &event)) {
            e = p.error == YAML_READER_ERROR
                    ? edit_fail(l->why, ERR_SYNTAX, l->text, p.problem_offset, "%s", p.problem)
                    : refuse(l, ERR_SYNTAX, p.problem_mark, p.problem ? p.problem : "not YAML");
            break;
        }
        e = one_event(l, &event);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&p);
    return e;
}

enum err edit_yaml_check(struct span text, struct edit_problem *why)
{
    struct yaml_list l = {.text = text, .why = why};
    return read_list(&l);
}

enum err edit_yaml_add(struct span text, const struct edit_want *wants, size_t count,
                       const char *preamble, struct arena *a, struct span *out,
                       struct edit_problem *why)
{
    struct yaml_list l = {
        .text = text, .name = wants[0].path[0], .item = wants[0].value, .why = why};
    enum err e = read_list(&l);
    if (e == ERR_OK && (l.ends || (l.documents && !l.found && l.depth)))
        e = edit_fail(why, ERR_EXISTS, text, text.len, "the document is ended by hand");
    if (e != ERR_OK)
        return e;
    bool list = l.found && !l.null_value;
    size_t at = l.found ? edit_line_end(text, l.key) : text.len, indent = list ? l.indent : 2;
    const char *eol = edit_eol(text);
    bool open = at > edit_bom(text) && text.at[at - 1] != '\n', fresh = l.documents == 0;
    struct span lines = arena_printf(a, "%s", open ? eol : "");
    if (fresh)
        for (struct span rest = span_from(preamble), line; span_next(&rest, '\n', &line);)
            lines = arena_printf(a, "%.*s%.*s%s", SPAN_FMT(lines), SPAN_FMT(line), eol);
    if (!l.found)
        lines = arena_printf(a, "%.*s%s:%s", SPAN_FMT(lines), l.name, eol);
    for (size_t i = 0; i < count; i++)
        lines = arena_printf(a, "%.*s%*s%s%s: \"%s\"%s", SPAN_FMT(lines), (int)indent, "",
                             i ? "  " : "- ", wants[i].path[1], wants[i].value, eol);
    struct edit_problem seen;
    struct span made = edit_splice(a, text, at, 0, lines);
    struct yaml_list now = {.text = made, .name = l.name, .item = l.item, .why = &seen};
    if (read_list(&now) != ERR_EXISTS || !now.in_list) /* it must find our item, where it belongs */
        return edit_fail(why, ERR_EXISTS, text, at, "an item cannot be added here");
    *out = made;
    return ERR_OK;
}
