#pragma once
/* Command lines of the small commands: long options from a table, and at most one operand. */
#include "base/base.h"
#include <stdio.h>

#define TOOL_OPTIONS_MAX 24
#define EXIT_USAGE 64 /* sysexits.h, EX_USAGE */

struct tool_option { /* one of flag, text, read */
    const char *name;
    bool *flag;
    const char **text;
    bool (*read)(void *ctx, const char *value); /* false: refused, and said on stderr */
};

/* Reads the line into what the table points to. usage: prints the command's usage to `to` and
 * returns `status`; called on an option it does not know. --help and -h set *out_help.
 * Returns 0 or EXIT_USAGE. operand: NULL when there was none. */
int tool_options(int argc, char **argv, const struct tool_option *options, size_t count, void *ctx,
                 int (*usage)(FILE *to, int status), const char **out_operand, bool *out_help);
