/* From words to a deployment: every option is checked here, with a sentence that says what to write
 * instead. */
#include "tools/plan/options.h"
#include "base/span.h"
#include "local/hf_config.h"
#include "tools/plan/hardware.h"
#include "tools/plan/model_file.h"
#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define EXIT_DATA 65
#define EXIT_NO_CARD 69
#define GIB 1073741824.0
#define CONTEXT_DEFAULT 8192.0
#define UTILIZATION_DEFAULT 0.92 /* vLLM's own */
#define CARDS_MOST 4096u
#define HOST_DEFAULT "CPU desktop 2ch"

int plan_usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare plan MODEL [--gpu NAME[xN] | --cpu] [options]\n"
        "       hotspare plan --suggest [--use chat|tools|claude-code|chinese] [options]\n"
        "\n"
        "  MODEL             a name of the catalogue, or a file: config.json, *.gguf, "
        "*.safetensors\n"
        "  --gpu NAME[xN]    accelerator and how many (without it: what this machine has)\n"
        "  --cpu             no accelerator;  --ram GIB  host memory (without it: this machine's)\n"
        "  --tp N, --pp N    how the cards are used (without them: the engine's best)\n"
        "  --context N       tokens of a conversation (8192, or the model's most if that is less)\n"
        "  --concurrency N   conversations at once (1)\n"
        "  --quant Q         bf16 fp8 int8 awq gptq nvfp4 mxfp4, or Q8_0 ... Q2_K, IQ4_XS ...\n"
        "  --kv TYPE         fp16 fp8 (vLLM), q8_0 q5_1 q5_0 q4_1 q4_0 (llama.cpp)\n"
        "  --engine E        vllm, llama.cpp\n"
        "  --eager           without CUDA graphs;  --text-only  without a vision tower's share\n"
        "  --utilization S   share of a card vLLM takes (0.92)\n"
        "  --target-tps N    tokens/s one conversation must get\n"
        "  --isl N --osl N   tokens of a prompt and an answer, for speed and price (1024, 512)\n"
        "  --usd-h N         rent of one card an hour (without it: the table's upper end)\n"
        "  --busy S          share of the hour it works, for the price (1.0)\n"
        "  --catalogue DIR   fact tables of yours, as in share/catalogue\n"
        "  --json            one document;  --svg FILE  a picture of the memory\n"
        "\n"
        "Exit code 1: it does not fit, or is slower than --target-tps.\n",
        to);
    return status;
}

static int complain(const char *what, const char *word, const char *more)
{
    (void)fprintf(stderr, "hotspare: %s \"%s\"%s%s\n", what, word, more[0] ? ": " : "", more);
    return EXIT_USAGE;
}

enum { OPT_TEXT, OPT_NUMBER, OPT_FLAG };
struct option_row {
    const char *name;
    int kind;
    size_t offset;
    double least, most;
};
#define AT(field) offsetof(struct plan_options, field)
static const struct option_row rows[] = {
    {"gpu", OPT_TEXT, AT(gpu), 0, 0},
    {"quant", OPT_TEXT, AT(quant), 0, 0},
    {"kv", OPT_TEXT, AT(kv), 0, 0},
    {"engine", OPT_TEXT, AT(engine), 0, 0},
    {"use", OPT_TEXT, AT(use), 0, 0},
    {"catalogue", OPT_TEXT, AT(catalogue), 0, 0},
    {"svg", OPT_TEXT, AT(svg), 0, 0},
    {"context", OPT_NUMBER, AT(context), 1, 1e8},
    {"concurrency", OPT_NUMBER, AT(concurrency), 1, 1e5},
    {"target-tps", OPT_NUMBER, AT(target_tps), 0.01, 1e6},
    {"ram", OPT_NUMBER, AT(ram_gib), 1, 1e6},
    {"usd-h", OPT_NUMBER, AT(usd_h), 0, 1e5},
    {"busy", OPT_NUMBER, AT(busy), 0.001, 1},
    {"utilization", OPT_NUMBER, AT(utilization), 0.1, 1},
    {"isl", OPT_NUMBER, AT(isl), 1, 1e8},
    {"osl", OPT_NUMBER, AT(osl), 1, 1e8},
    {"tp", OPT_NUMBER, AT(tp), 1, 1024},
    {"pp", OPT_NUMBER, AT(pp), 1, 1024},
    {"cpu", OPT_FLAG, AT(cpu), 0, 0},
    {"json", OPT_FLAG, AT(json), 0, 0},
    {"suggest", OPT_FLAG, AT(suggest), 0, 0},
    {"eager", OPT_FLAG, AT(eager), 0, 0},
    {"text-only", OPT_FLAG, AT(text_only), 0, 0},
    {"help", OPT_FLAG, AT(help), 0, 0},
};

static int set_option(struct plan_options *o, const struct option_row *row, const char *value)
{
    void *field = (char *)o + row->offset;
    double d = 0;
    if (row->kind == OPT_FLAG) {
        *(bool *)field = true;
    } else if (row->kind == OPT_TEXT) {
        *(const char **)field = value;
    } else {
        if (span_double(span_from(value), &d) != ERR_OK || !(d >= row->least && d <= row->most)) {
            (void)fprintf(stderr, "hotspare: --%s: \"%s\" is no number from %g to %g\n", row->name,
                          value, row->least, row->most);
            return EXIT_USAGE;
        }
        *(double *)field = d;
    }
    return 0;
}

int plan_options_read(int argc, char **argv, struct plan_options *out)
{
    struct option options[ARRAY_LEN(rows) + 1] = {{0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        options[i] = (struct option){
            rows[i].name, rows[i].kind == OPT_FLAG ? no_argument : required_argument, NULL, 0};
    *out = (struct plan_options){.concurrency = 1,
                                 .busy = 1,
                                 .utilization = UTILIZATION_DEFAULT,
                                 .isl = 1024,
                                 .osl = 512,
                                 .usd_h = -1};
    int c, index = 0;
    while ((c = getopt_long(argc, argv, "h", options, &index)) != -1) {
        if (c == 'h')
            out->help = true;
        else if (c != 0)
            return plan_usage(stderr, EXIT_USAGE);
        int e = c == 0 ? set_option(out, &rows[index], optarg) : 0;
        if (e)
            return e;
    }
    if (optind < argc)
        out->model = argv[optind++];
    if (optind < argc)
        return complain("one MODEL at a time; too much:", argv[optind], "");
    if (!out->help && !out->model && !out->suggest)
        return plan_usage(stderr, EXIT_USAGE);
    return 0;
}

/* ---- hardware ---- */

/* "RTX 4090x2", "2x RTX 4090", "H100": the count is cut off *name. 0: absurd. */
static uint32_t cut_count(struct span *name)
{
    uint64_t n = 0;
    size_t digits = 0;
    while (digits < name->len && name->at[name->len - 1 - digits] >= '0' &&
           name->at[name->len - 1 - digits] <= '9')
        digits++;
    if (digits && digits < name->len && name->at[name->len - 1 - digits] == 'x' &&
        span_u64(span_drop(*name, name->len - digits), &n) == ERR_OK) {
        *name = span_trim(span_take(*name, name->len - digits - 1));
        return n <= CARDS_MOST ? (uint32_t)n : 0;
    }
    ssize_t x = span_find(*name, 'x');
    if (x > 0 && span_u64(span_take(*name, (size_t)x), &n) == ERR_OK) {
        *name = span_trim(span_drop(*name, (size_t)x + 1));
        return n <= CARDS_MOST ? (uint32_t)n : 0;
    }
    return 1;
}

static int named_gpu(struct plan *p)
{
    struct span name = span_trim(span_from(p->o.gpu));
    p->cards = cut_count(&name);
    if (p->cards == 0)
        return complain("how many cards is", p->o.gpu, "write NAMExN with N from 1 to 4096");
    const struct fact_gpu *g = facts_gpu(&p->facts, name);
    if (!g)
        return complain("no accelerator is called", arena_cstr(&p->arena, name),
                        "gpus.tsv in share/catalogue lists them; add yours with --catalogue");
    if (strcmp(g->klass, "cpu") == 0) {
        p->d.host = g;
        p->cards = 0;
    } else {
        p->d.gpu = g;
    }
    p->hardware = "as named";
    return 0;
}

static int find_hardware(struct plan *p)
{
    struct hardware h;
    p->d.host = facts_gpu(&p->facts, SPAN(HOST_DEFAULT));
    assert(p->d.host);
    p->d.ram = p->o.ram_gib > 0 ? p->o.ram_gib * GIB : hardware_ram();
    if (p->o.gpu)
        return named_gpu(p);
    p->hardware = "the processor; its memory is taken for two channels of DDR5 (--gpu \"CPU EPYC "
                  "9004\" names another)";
    if (p->o.cpu)
        return 0;
    hardware_find(&p->facts, getenv("PATH"), &p->arena, &h);
    if (h.cards == 0) {
        (void)fprintf(stderr,
                      "hotspare: no accelerator found (%s); name one with --gpu, or plan "
                      "for the processor with --cpu\n",
                      h.how);
        return EXIT_NO_CARD;
    }
    p->gpu = h.gpu;
    p->d.gpu = &p->gpu;
    p->cards = h.cards;
    p->hardware = h.how;
    return 0;
}

/* ---- model and formats ---- */

static int find_model(struct plan *p)
{
    const char *name = p->o.model, *near = "", *why = "";
    p->note = "";
    if (model_file_is(name) && (strchr(name, '/') || access(name, F_OK) == 0)) {
        if (model_file_read(&p->facts, name, &p->arena, &p->model, &why, &p->note) != ERR_OK) {
            (void)fprintf(stderr, "hotspare: %s: %s\n", name, why);
            return EXIT_DATA;
        }
        p->d.model = &p->model;
        if (p->model.file_bytes <= 0 && strcmp(p->model.dtype, HF_CONFIG_UNKNOWN_FORMAT) == 0)
            p->note = "its quantization is not known here and counted as 16 bit: say --quant";
        return 0;
    }
    p->d.model = facts_model(&p->facts, span_from(name), &p->arena, &near);
    if (p->d.model)
        return 0;
    return complain(near[0] ? "several models are called" : "no model is called", name,
                    near[0] ? near
                            : "models.tsv in share/catalogue lists them; a config.json or "
                              "GGUF file is taken too");
}

/* Where vLLM is at home: cards with memory of their own, formats it has. */
static int find_engine(struct plan *p)
{
    const char *e = p->o.engine;
    bool own = p->d.gpu && p->d.gpu->ram_share <= 0;
    if (e && strcmp(e, "vllm") != 0 && strcmp(e, "llama.cpp") != 0)
        return complain("no engine is called", e, "write vllm or llama.cpp");
    if (e && strcmp(e, "vllm") == 0 && !own)
        return complain("vLLM is not planned for this hardware; engine", e, "write llama.cpp");
    if (e)
        p->d.engine = strcmp(e, "vllm") == 0 ? ENGINE_VLLM : ENGINE_LLAMA_CPP;
    else if (p->d.quant)
        p->d.engine =
            own && estimate_engine_has(p->d.quant, ENGINE_VLLM) ? ENGINE_VLLM : ENGINE_LLAMA_CPP;
    else
        p->d.engine = own ? ENGINE_VLLM : ENGINE_LLAMA_CPP;
    return 0;
}

static int find_quant(struct plan *p)
{
    if (p->o.quant) {
        p->d.quant = facts_quant(&p->facts, QUANT_GGUF, span_from(p->o.quant));
        if (!p->d.quant)
            return complain("no format is called", p->o.quant,
                            "quants.tsv in share/catalogue lists them");
    } else if (p->model.file_bytes > 0) {
        p->format = weights_file_format(&p->facts, &p->model);
        p->d.quant = &p->format;
        p->native = true;
    }
    int e = find_engine(p);
    if (e || p->d.quant)
        return e;
    p->d.quant = weights_native(&p->facts, p->d.model);
    p->native = true;
    if (p->d.engine == ENGINE_LLAMA_CPP && !estimate_engine_has(p->d.quant, ENGINE_LLAMA_CPP)) {
        p->d.quant = facts_quant(&p->facts, QUANT_GGUF, SPAN("Q4_K_M")); /* llama.cpp's own */
        p->native = false;
    }
    return 0;
}

static int check_formats(struct plan *p)
{
    const char *kv = p->o.kv ? p->o.kv : "fp16";
    p->d.kv = facts_quant(&p->facts, QUANT_KV, span_from(kv));
    if (!p->d.kv)
        return complain("no cache format is called", kv,
                        "write fp16, fp8, q8_0, q5_1, q5_0, q4_1 "
                        "or q4_0");
    if (!estimate_engine_has(p->d.kv, p->d.engine))
        return complain(engine_name(p->d.engine), kv, "it has no cache of that format");
    if (p->o.quant && !estimate_engine_has(p->d.quant, p->d.engine))
        return complain(engine_name(p->d.engine), p->o.quant, "it does not run this format here");
    if (p->o.quant && p->d.gpu && !estimate_card_has(p->d.quant, p->d.gpu))
        return complain(p->d.gpu->name, p->o.quant,
                        "the card is too old for it; awq, gptq or a GGUF format run there");
    return 0;
}

/* All cards in one group where the heads allow it; what is left becomes stages. */
static int split_cards(struct plan *p)
{
    struct deployment *d = &p->d;
    uint32_t cards = p->cards ? p->cards : 1, tp = 1;
    if (d->engine == ENGINE_VLLM)
        for (tp = cards; tp > 1 && (d->model->heads % tp || cards % tp); tp--)
            ;
    d->tp = p->o.tp > 0 ? (uint32_t)p->o.tp : p->o.pp > 0 ? cards / (uint32_t)p->o.pp : tp;
    d->pp = p->o.pp > 0 ? (uint32_t)p->o.pp : cards / (d->tp ? d->tp : 1);
    if (d->tp * d->pp != cards || d->tp == 0) {
        (void)fprintf(stderr, "hotspare: --tp %u times --pp %u is not the %u cards there are\n",
                      d->tp, d->pp, cards);
        return EXIT_USAGE;
    }
    const char *refused = estimate_split_refused(d);
    if (refused) {
        (void)fprintf(stderr, "hotspare: --tp %u: %s (%u)\n", d->tp, refused, d->model->heads);
        return EXIT_USAGE;
    }
    return 0;
}

static int find_use(struct plan *p)
{
    p->use = SUGGEST_CHAT;
    for (int u = 0; p->o.use && u < SUGGEST_COUNT; u++)
        if (strcmp(p->o.use, suggest_use_name((enum suggest_use)u)) == 0) {
            p->use = (enum suggest_use)u;
            return 0;
        }
    return p->o.use
               ? complain("no use is called", p->o.use, "write chat, tools, claude-code or chinese")
               : 0;
}

static void set_load(struct plan *p)
{
    struct deployment *d = &p->d;
    double most = d->model ? d->model->context : 0;
    d->context = p->o.use ? suggest_context(p->use) : CONTEXT_DEFAULT;
    if (p->o.context > 0)
        d->context = p->o.context;
    else if (most > 0 && most < d->context)
        d->context = most;
    d->sequences = p->o.concurrency;
    d->isl = p->o.isl;
    d->osl = p->o.osl;
    d->utilization = p->o.utilization;
    d->eager = p->o.eager;
    d->text_only = p->o.text_only;
    d->busy = p->o.busy;
    double rent = d->gpu ? (d->gpu->usd_h_high > 0 ? d->gpu->usd_h_high : d->gpu->usd_h_low) : 0;
    d->usd_h = (p->o.usd_h >= 0 ? p->o.usd_h : rent) * (p->cards ? p->cards : 1);
}

int plan_prepare(struct plan *p)
{
    const char *why = "";
    if (p->o.catalogue && access(p->o.catalogue, R_OK | X_OK) != 0)
        return complain("no catalogue is in", p->o.catalogue, "");
    if (facts_load(&p->facts, facts_folder(p->o.catalogue, &p->arena), &why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare: %s\n", why);
        return EXIT_DATA;
    }
    int e = find_use(p);
    e = e ? e : find_hardware(p);
    if (!e && !p->o.suggest) {
        e = find_model(p);
        e = e ? e : find_quant(p);
        e = e ? e : check_formats(p);
        e = e ? e : split_cards(p);
    }
    if (!e)
        set_load(p);
    if (!e && p->d.model && p->d.model->context && p->d.context > p->d.model->context) {
        (void)fprintf(stderr, "hotspare: %s has %u tokens of context, --context asks for %.0f\n",
                      p->d.model->id, p->d.model->context, p->d.context);
        e = EXIT_USAGE;
    }
    return e;
}
