#pragma once
/* What the command line of `hotspare plan` says, and the deployment it amounts to. */
#include "base/buf.h"
#include "local/remedy.h"
#include <stdio.h>

struct plan_options {
    const char *model, *gpu, *quant, *kv, *engine, *use, *catalogue, *svg;
    double context, concurrency, target_tps, ram_gib, usd_h, busy, utilization, isl, osl;
    double tp, pp;
    bool cpu, json, suggest, eager, text_only, help;
};
/* 0, or an exit code after a sentence on stderr. */
int plan_options_read(int argc, char **argv, struct plan_options *out);
int plan_usage(FILE *to, int status);

struct plan {
    struct facts facts;
    struct arena arena;
    struct plan_options o;
    struct fact_model model;  /* when it is from a file */
    struct fact_quant format; /* of that file */
    struct fact_gpu gpu;      /* when it was found */
    struct deployment d;
    struct memory m;
    struct speed s;
    uint32_t cards;
    const char *hardware, *note; /* how the hardware was found; something to know of the file */
    bool native;                 /* the format is the published one, not chosen */
    struct remedies remedies;
    struct suggestions suggestions;
    enum suggest_use use;
};
/* Fills in facts, hardware, model and the deployment. 0, or an exit code after a sentence. */
int plan_prepare(struct plan *p);

void plan_show(const struct plan *p, FILE *to, int columns, bool color);
void plan_json(const struct plan *p, struct buf *out);
/* A picture of the memory: the plan, and each remedy that works. */
void plan_svg(const struct plan *p, struct buf *out);
/* "does not fit: the weights alone are 3.6 GiB too large". */
const char *plan_verdict(const struct plan *p, char text[160]);
