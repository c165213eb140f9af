/* What `hotspare plan` reads: GGUF and safetensors headers, config.json, fact tables. The first
 * byte picks the reader. What was accepted must have sums that agree with themselves and must be
 * judgeable: a plan for it with all remedies ends. */
#include "base/span.h"
#include "local/gguf.h"
#include "local/hf_config.h"
#include "local/remedy.h"
#include "local/safetensors.h"
#include "local/table.h"

#include <math.h>
#include <stdlib.h>

#define ARENA_MAX ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static const struct facts *the_facts(void)
{
    static struct facts f;
    static bool loaded;
    const char *why = NULL;
    if (!loaded)
        check(facts_load(&f, NULL, &why) == ERR_OK);
    loaded = true;
    return &f;
}

static bool thorough;

static void plan_it(const struct facts *f, const struct fact_model *m, struct arena *a)
{
    struct fact_quant q = weights_file_format(f, m);
    struct deployment d = {.model = m,
                           .quant = &q,
                           .kv = facts_quant(f, QUANT_KV, SPAN("fp16")),
                           .gpu = facts_gpu(f, SPAN("L4")),
                           .host = facts_gpu(f, SPAN("CPU desktop 2ch")),
                           .engine = q.kind == QUANT_GGUF ? ENGINE_LLAMA_CPP : ENGINE_VLLM,
                           .tp = 1,
                           .pp = 1,
                           .ram = 64e9,
                           .utilization = 0.9,
                           .context = 4096,
                           .sequences = 1,
                           .isl = 1024,
                           .osl = 512,
                           .usd_h = 1,
                           .busy = 1};
    struct memory mem;
    struct speed speed;
    struct remedies *r = malloc(sizeof *r);
    check(r != NULL);
    estimate_memory(f, &d, &mem);
    estimate_speed(&d, &mem, &speed);
    check(mem.weights.total >= 0 && mem.most_sequences >= 0 && !isnan(speed.one));
    r->count = 0;
    if (thorough) /* a hundred plans for one */
        remedies_of(f, &d, a, r);
    for (size_t i = 0; i < r->count; i++)
        check(r->at[i].what != NULL && r->at[i].why != NULL);
    free(r);
}

static void gguf(const struct facts *f, struct span file, struct arena *a)
{
    struct gguf g;
    const char *why = NULL;
    if (gguf_read(f, file, &g, &why) != ERR_OK) {
        check(why != NULL && why[0]);
        return;
    }
    struct fact_model m = gguf_model(&g, a);
    check(m.file_bytes >= 0 && m.file_bytes <= 1.1 * (double)g.tensors * (double)g.data_bytes + 1);
    plan_it(f, &m, a);
}

static void config(const struct facts *f, struct span text, struct arena *a)
{
    struct fact_model m;
    const char *why = NULL;
    if (hf_config_read(a, text, &m, &why) != ERR_OK) {
        check(why != NULL && why[0]);
        return;
    }
    check(m.total >= 0 && m.kv_elems >= 0 && m.layers > 0 && m.heads > 0);
    plan_it(f, &m, a);
}

static void safetensors(struct span file, struct arena *a)
{
    struct safetensors s;
    const char *why = NULL;
    enum err e = safetensors_read(a, file, &s, &why);
    check(e != ERR_OK ? why != NULL && why[0] : s.embed + s.dense + s.expert >= 0);
}

static void table(struct span text, struct arena *a)
{
    struct table t;
    const char *why = NULL;
    if (table_read(a, text, &t, &why) != ERR_OK) {
        check(why != NULL && why[0]);
        return;
    }
    for (size_t i = 0; i < t.rows; i++)
        check(table_cell(&t, i, "id").len <= text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    if (size == 0)
        return 0;
    struct span rest = {(const char *)data + 1, size - 1};
    arena_init(&a, ARENA_MAX);
    thorough = data[0] >= 0xf0;
    switch (data[0] % 4) {
    case 0:
        gguf(the_facts(), rest, &a);
        break;
    case 1:
        safetensors(rest, &a);
        break;
    case 2:
        config(the_facts(), rest, &a);
        break;
    default:
        table(rest, &a);
        break;
    }
    arena_deinit(&a);
    return 0;
}
