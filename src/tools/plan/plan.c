/* The command: reads what is asked for, judges it, and tells it in one of three forms. */
#include "tools/plan/plan.h"
#include "base/mem.h"
#include "tools/plan/options.h"
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define EXIT_MISSED 1
#define EXIT_IO 74
#define TEXT_MAX ((size_t)4 << 20)
#define COLUMNS_DEFAULT 100
#define TARGET_CHAT 10.0 /* tokens/s below which reading along is no pleasure */
#define TARGET_AGENT 20.0

static int columns_of(FILE *to)
{
    struct winsize size;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return COLUMNS_DEFAULT;
}

static int write_svg(const struct plan *p)
{
    struct buf text;
    int status = 0;
    FILE *file = fopen(p->o.svg, "we");
    buf_init(&text, TEXT_MAX);
    plan_svg(p, &text);
    if (!file || fwrite(text.at, 1, text.len, file) != text.len)
        status = EXIT_IO;
    if (file && fclose(file) != 0)
        status = EXIT_IO;
    if (status)
        (void)fprintf(stderr, "hotspare: %s could not be written\n", p->o.svg);
    buf_deinit(&text);
    return status;
}

static void tell(const struct plan *p)
{
    if (p->o.json) {
        struct buf text;
        buf_init(&text, TEXT_MAX);
        plan_json(p, &text);
        (void)fwrite(text.at, 1, text.len, stdout);
        (void)putchar('\n');
        buf_deinit(&text);
        return;
    }
    const char *no_color = getenv("NO_COLOR");
    bool color = isatty(STDOUT_FILENO) && !(no_color && no_color[0]);
    plan_show(p, stdout, columns_of(stdout), color);
}

static int judge(struct plan *p)
{
    estimate_memory(&p->facts, &p->d, &p->m);
    estimate_speed(&p->d, &p->m, &p->s);
    bool slow = p->o.target_tps > 0 && p->s.one < p->o.target_tps;
    if (!p->m.fits || slow)
        remedies_of(&p->facts, &p->d, &p->arena, &p->remedies);
    return p->m.fits && !slow ? 0 : EXIT_MISSED;
}

static int look_for_models(struct plan *p)
{
    bool agent = p->use == SUGGEST_CLAUDE_CODE || p->use == SUGGEST_TOOLS;
    double target = p->o.target_tps > 0 ? p->o.target_tps : agent ? TARGET_AGENT : TARGET_CHAT;
    p->o.target_tps = target;
    p->d.tp = 1;
    p->d.pp = p->cards ? p->cards : 1;
    if (p->o.context <= 0)
        p->d.context = suggest_context(p->use);
    suggest(&p->facts, &p->d, p->use, target, &p->arena, &p->suggestions);
    return p->suggestions.count ? 0 : EXIT_MISSED;
}

int plan_main(int argc, char **argv)
{
    struct plan *p = mem_new(struct plan);
    int status = plan_options_read(argc, argv, &p->o);
    bool asked = status == 0 && !p->o.help;
    arena_init(&p->arena, SIZE_MAX);
    if (status == 0 && p->o.help)
        status = plan_usage(stdout, 0);
    else if (asked)
        status = plan_prepare(p);
    if (asked && status == 0) {
        status = p->o.suggest ? look_for_models(p) : judge(p);
        tell(p);
        int written = p->o.svg ? write_svg(p) : 0;
        status = written ? written : status;
    }
    facts_deinit(&p->facts);
    arena_deinit(&p->arena);
    mem_free(p);
    return status;
}
