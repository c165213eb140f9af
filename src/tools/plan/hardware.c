/* nvidia-smi gets an empty environment and five seconds: a driver that hangs must not hang us. AMD
 * cards tell their memory in sysfs but not their name, so the row of that size is taken and said.
 */
#include "tools/plan/hardware.h"
#include "base/span.h"
#include "net/child.h"
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define ANSWER_TIME (5 * USEC_PER_SEC)
#define CARDS_MOST 64u
#define DRM_CARDS 16
#define GIB 1073741824.0

double hardware_ram(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

/* ---- nvidia-smi ---- */

struct asking {
    struct loop *loop;
    const struct facts *f;
    struct arena *a;
    struct hardware *out;
    struct timer limit;
    const char *unknown; /* a card that is in no table */
};

/* "NVIDIA GeForce RTX 4090, 24564" (MiB). Cards of a second kind are left out. */
static void on_line(void *ctx, struct span line)
{
    struct asking *q = ctx;
    struct span name;
    double mib = 0;
    if (!span_next(&line, ',', &name) || span_double(span_trim(line), &mib) != ERR_OK || mib < 1)
        return;
    name = span_trim(name);
    const struct fact_gpu *g = facts_gpu_reported(q->f, name, mib / 1024);
    if (!g) {
        q->unknown = arena_cstr(q->a, name);
        return;
    }
    if (q->out->cards && strcmp(q->out->gpu.name, g->name) != 0)
        return;
    if (q->out->cards == 0) {
        q->out->gpu = *g;
        q->out->gpu.vram_gib = mib / 1024;
    }
    if (q->out->cards < CARDS_MOST)
        q->out->cards++;
}

static void on_exit_of(void *ctx, int status, int signum)
{
    struct asking *q = ctx;
    (void)status, (void)signum; /* what it printed is all that counts */
    loop_timer_cancel(q->loop, &q->limit);
    loop_stop(q->loop);
}

static void takes_too_long(struct timer *t)
{
    loop_stop(CONTAINER_OF(t, struct asking, limit)->loop);
}

static const char *program_in(const char *path, const char *name, struct arena *a)
{
    struct span rest = span_from(path), folder;
    while (span_next(&rest, ':', &folder)) {
        if (folder.len == 0 || folder.at[0] != '/')
            continue;
        const char *file = arena_printf(a, "%.*s/%s", SPAN_FMT(folder), name).at;
        if (access(file, X_OK) == 0)
            return file;
    }
    return NULL;
}

static bool ask_nvidia(const struct facts *f, const char *path, struct arena *a,
                       struct hardware *out)
{
    const char *program = program_in(path, "nvidia-smi", a), *why = "";
    if (!program)
        return false;
    const char *argv[] = {program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits",
                          NULL};
    struct asking q = {.loop = loop_new(), .f = f, .a = a, .out = out};
    struct child_options o = {.argv = argv, .on_line = on_line, .on_exit = on_exit_of, .ctx = &q};
    struct child *child = NULL;
    if (child_start(q.loop, &o, &child, &why) == ERR_OK) {
        loop_timer_in(q.loop, &q.limit, ANSWER_TIME, takes_too_long);
        loop_run(q.loop);
        loop_timer_cancel(q.loop, &q.limit);
        child_free(child);
    }
    loop_free(q.loop);
    out->how = "nvidia-smi";
    if (out->cards == 0 && q.unknown)
        out->how = arena_printf(a, "nvidia-smi names %s, which is in no table", q.unknown).at;
    return out->cards > 0;
}

/* ---- sysfs ---- */

static bool read_number(const char *path, double *out)
{
    char text[32];
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t n = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    return span_double(span_trim((struct span){text, n}), out) == ERR_OK;
}

static const struct fact_gpu *amd_of_size(const struct facts *f, double gib)
{
    const struct fact_gpu *best = NULL;
    for (size_t i = 0; i < f->gpu_count; i++) {
        const struct fact_gpu *g = &f->gpus[i];
        if (strcmp(g->vendor, "AMD") == 0 && fabs(g->vram_gib - gib) < gib / 10 &&
            (!best || fabs(g->vram_gib - gib) < fabs(best->vram_gib - gib)))
            best = g;
    }
    return best;
}

static bool look_at_sysfs(const struct facts *f, struct arena *a, struct hardware *out)
{
    for (int i = 0; i < DRM_CARDS; i++) {
        double bytes = 0;
        const char *file =
            arena_printf(a, "/sys/class/drm/card%d/device/mem_info_vram_total", i).at;
        if (!read_number(file, &bytes) || bytes < 4 * GIB)
            continue;
        const struct fact_gpu *g = amd_of_size(f, bytes / GIB);
        if (!g || (out->cards && strcmp(out->gpu.name, g->name) != 0))
            continue;
        if (out->cards++ == 0) {
            out->gpu = *g;
            out->gpu.vram_gib = bytes / GIB;
        }
    }
    if (out->cards)
        out->how = "sysfs (an AMD card of that size; name another with --gpu)";
    return out->cards > 0;
}

void hardware_find(const struct facts *f, const char *path, struct arena *a, struct hardware *out)
{
    *out = (struct hardware){.ram = hardware_ram(), .how = "no nvidia-smi, no AMD card in sysfs"};
    if (!ask_nvidia(f, path ? path : "/usr/bin:/usr/local/bin:/usr/lib/wsl/lib", a, out))
        (void)look_at_sysfs(f, a, out);
}
