/* A wrapper of getopt_long: its table and its switch are one table here. */
#include "tools/options.h"
#include <getopt.h>

#define FIRST 256 /* beyond every character getopt may return */

int tool_options(int argc, char **argv, const struct tool_option *options, size_t count, void *ctx,
                 int (*usage)(FILE *to, int status), const char **out_operand, bool *out_help)
{
    struct option list[TOOL_OPTIONS_MAX + 2] = {0};
    int found;
    assert(count <= TOOL_OPTIONS_MAX);
    for (size_t i = 0; i < count; i++)
        list[i] =
            (struct option){options[i].name, options[i].flag ? no_argument : required_argument,
                            NULL, FIRST + (int)i};
    list[count] = (struct option){"help", no_argument, NULL, 'h'};
    *out_operand = NULL;
    while ((found = getopt_long(argc, argv, "h", list, NULL)) != -1) {
        const struct tool_option *o = found >= FIRST ? &options[found - FIRST] : NULL;
        if (!o && found != 'h')
            return usage(stderr, EXIT_USAGE);
        if (!o)
            *out_help = true;
        else if (o->flag)
            *o->flag = true;
        else if (o->text)
            *o->text = optarg;
        else if (!o->read(ctx, optarg))
            return EXIT_USAGE;
    }
    if (optind < argc)
        *out_operand = argv[optind++];
    return optind < argc ? usage(stderr, EXIT_USAGE) : 0;
}
