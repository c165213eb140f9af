/* Reads a table in one pass over its lines. */
#include "local/table.h"
#include "base/span.h"

static bool is_skipped(struct span line)
{
    return line.len == 0 || line.at[0] == '#';
}

static struct span without_cr(struct span line)
{
    return line.len && line.at[line.len - 1] == '\r' ? span_take(line, line.len - 1) : line;
}

static size_t count_rows(struct span text)
{
    struct span line;
    size_t n = 0;
    while (span_next(&text, '\n', &line))
        n += !is_skipped(without_cr(line));
    return n;
}

static enum err read_names(struct arena *a, struct table *t, struct span line, const char **out_why)
{
    struct span cell;
    while (span_next(&line, '\t', &cell)) {
        if (t->columns == TABLE_COLUMNS_MAX) {
            *out_why = "more columns than a table may have";
            return ERR_LIMIT;
        }
        for (size_t i = 0; i < t->columns; i++)
            if (span_eq(t->names[i], cell)) {
                *out_why = arena_printf(a, "column %.*s a second time", SPAN_FMT(cell)).at;
                return ERR_INVALID;
            }
        t->names[t->columns++] = cell;
    }
    return ERR_OK;
}

static enum err read_row(struct arena *a, struct table *t, struct span line, size_t number,
                         const char **out_why)
{
    struct span cell, *row = t->cells + t->rows * t->columns;
    size_t n = 0;
    while (span_next(&line, '\t', &cell)) {
        if (n < t->columns)
            row[n] = span_is(cell, "-") ? SPAN_EMPTY : cell;
        n++;
    }
    if (n != t->columns) {
        *out_why = arena_printf(a, "line %zu has %zu cells, the row of names has %zu", number, n,
                                t->columns)
                       .at;
        return ERR_INVALID;
    }
    t->rows++;
    return ERR_OK;
}

enum err table_read(struct arena *a, struct span text, struct table *out, const char **out_why)
{
    size_t rows = count_rows(text), number = 0;
    struct span line;
    enum err e = ERR_OK;
    *out = (struct table){0};
    *out_why = rows ? "more rows than a table may have" : "there is no row of names";
    if (rows == 0 || rows > TABLE_ROWS_MAX)
        return rows ? ERR_LIMIT : ERR_INVALID;
    while (e == ERR_OK && span_next(&text, '\n', &line)) {
        number++;
        line = without_cr(line);
        if (is_skipped(line))
            continue;
        if (out->columns == 0) {
            e = read_names(a, out, line, out_why);
            out->cells = arena_array(a, struct span, out->columns * rows);
        } else {
            e = read_row(a, out, line, number, out_why);
        }
    }
    return e;
}

struct span table_cell(const struct table *t, size_t row, const char *column)
{
    assert(row < t->rows);
    for (size_t i = 0; i < t->columns; i++)
        if (span_is(t->names[i], column))
            return t->cells[row * t->columns + i];
    return SPAN_EMPTY;
}
