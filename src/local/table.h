#pragma once
/* Tab-separated tables with a row of names: the form of every fact file. `#` begins a comment line,
 * `-` is "unknown". Pure; knows nothing of what the columns mean. */
#include "base/arena.h"

#define TABLE_COLUMNS_MAX 64
#define TABLE_ROWS_MAX 20000

struct table { /* cells lie in the text that was read */
    struct span names[TABLE_COLUMNS_MAX];
    size_t columns, rows;
    struct span *cells;
};

/* Reads a whole table. Text without a row of names, a row with another number of cells, a column
 * twice, or more of anything than the bounds allow is ERR_INVALID or ERR_LIMIT with a sentence in
 * *out_why (in the arena). The cells borrow `text`. */
MUST_USE enum err table_read(struct arena *a, struct span text, struct table *out,
                             const char **out_why);
/* A cell; empty when it is `-` or there is no such column. */
struct span table_cell(const struct table *t, size_t row, const char *column);
