/* The command and its rows: those of the source document, their successors of 2026, and what a
 * running gateway has measured. Prices are the table's, own models the planner's; nothing else is
 * filled in. */
#include "tools/matrix/matrix.h"
#include "base/mem.h"
#include "base/span.h"
#include "net/net.h"
#include "tools/matrix/matrix_internal.h"
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 64
#define EXIT_DATA 65
#define EXIT_NO_GATEWAY 69
#define EXIT_IO 74
#define EXIT_CONFIG 78
#define TEXT_MAX ((size_t)4 << 20)
#define HOURS_DAY 24.0

static const struct cloud {
    const char *provider, *model, *stands_for, *when;
    bool open;
} clouds[] = {
    {"openai", "gpt-4.1", "GPT-4 class", "what the class has become; long prompts", false},
    {"anthropic", "claude-opus-5-5", "", "hardest work; agents", false},
    {"anthropic", "claude-sonnet-5", "", "everyday agent and chat work", false},
    {"anthropic", "claude-haiku-4-5", "", "many short answers", false},
    {"openai", "gpt-6-sol", "", "first fallback for Claude: other owner, same class", false},
    {"openai", "gpt-6-luna", "", "cheap drafts and routing", false},
    {"google", "gemini-3.8-flash", "", "fallback with a third owner", false},
    {"mistral", "mistral-large-2512", "", "hosted in Europe; open weights", true},
    {"deepseek", "deepseek-v4-flash", "", "cheapest of its class; dearer at some hours", true},
    {"groq", "openai/gpt-oss-120b", "", "fast answers of an open model", true},
    {"aws-bedrock", "mistral.mistral-7b-instruct-v0:2", "Mistral 7B", "smoke tests only", true},
};
static const struct own {
    const char *model, *quant, *gpu;
    uint32_t cards;
    const char *stands_for, *when;
} owns[] = {
    {"mistralai/Mistral-7B-Instruct-v0.3", "bf16", "L4", 1, "Mistral 7B",
     "smoke tests; small card"},
    {"meta-llama/Llama-2-13b-chat-hf", "awq", "RTX 4090", 1, "Llama 2 13B",
     "only where it is in use: 4k context, no tools"},
    {"openai/gpt-oss-20b", "mxfp4", "RTX 4090", 1, "", "tool calls on one desktop card"},
    {"Qwen/Qwen3.6-27B", "fp8", "H100", 1, "", "coding on one card"},
    {"Qwen/Qwen3.6-35B-A3B", "fp8", "H100", 1, "", "many conversations on one card"},
    {"openai/gpt-oss-120b", "mxfp4", "H100", 1, "", "best of one card for chat and tools"},
    {"meta-llama/Llama-3.3-70B-Instruct", "fp8", "H100", 2, "", "dense, well known"},
    {"zai-org/GLM-4.7", "fp8", "H200", 4, "", "Claude Code on one host"},
};

static int usage(FILE *to, int status)
{
    (void)fputs(
        "usage: hotspare matrix [--for cost|latency|quality|open-source] [options]\n"
        "\n"
        "  --for WHAT          best first; open-source: only models with open weights, hosted and\n"
        "                      own, by cost\n"
        "  --all               every row of the price table\n"
        "  --tokens-per-day N  your volume, prompts and answers: what each costs\n"
        "                      a day; own cards cost all of it\n"
        "  --in-out-ratio N    prompt tokens for each answer token (2)\n"
        "  --gpu NAME[xN]      own models on these cards\n"
        "  --price-per-gpu-hour USD\n"
        "  --busy S            share of the hour own cards work, without a volume (1.0)\n"
        "  --admin URL         what a running gateway has measured (http://127.0.0.1:8485)\n"
        "  --config FILE       what hotspare probe has measured of this configuration's targets\n"
        "  --json, --csv, --svg FILE, --catalogue DIR\n"
        "\n"
        "Each value: L listed, E estimated, M measured; a dash is not known.\n",
        to);
    return status;
}

/* ---- options ---- */

static int bad(const char *option, const char *value, const char *want)
{
    (void)fprintf(stderr, "hotspare: --%s: \"%s\" is %s\n", option, value, want);
    return EXIT_USAGE;
}

static int set_number(const char *name, const char *value, double least, double most, double *out)
{
    double d;
    if (span_double(span_from(value), &d) != ERR_OK || !(d >= least && d <= most))
        return bad(name, value, "no number that makes sense there");
    *out = d;
    return 0;
}

static int set_option(struct matrix *m, int c, const char *v)
{
    switch (c) {
    case 'f':
        m->order = v;
        return strcmp(v, "cost") == 0 || strcmp(v, "latency") == 0 || strcmp(v, "quality") == 0 ||
                       strcmp(v, "open-source") == 0
                   ? 0
                   : bad("for", v, "none of cost, latency, quality, open-source");
    case 't':
        return set_number("tokens-per-day", v, 1, 1e15, &m->tokens_day);
    case 'r':
        return set_number("in-out-ratio", v, 0.01, 1000, &m->ratio);
    case 'p':
        return set_number("price-per-gpu-hour", v, 0, 1e5, &m->usd_h);
    case 'b':
        return set_number("busy", v, 0.001, 1, &m->busy);
    case 'g':
        m->gpu = v;
        return 0;
    case 's':
        m->svg = v;
        return 0;
    case 'a':
        m->admin = v;
        return 0;
    case 'C':
        m->config = v;
        return 0;
    case 'd':
        m->catalogue = v;
        return 0;
    default:
        return usage(stderr, EXIT_USAGE);
    }
}

static int read_options(int argc, char **argv, struct matrix *m)
{
    static const struct option options[] = {{"for", required_argument, NULL, 'f'},
                                            {"tokens-per-day", required_argument, NULL, 't'},
                                            {"in-out-ratio", required_argument, NULL, 'r'},
                                            {"price-per-gpu-hour", required_argument, NULL, 'p'},
                                            {"busy", required_argument, NULL, 'b'},
                                            {"gpu", required_argument, NULL, 'g'},
                                            {"svg", required_argument, NULL, 's'},
                                            {"admin", required_argument, NULL, 'a'},
                                            {"config", required_argument, NULL, 'C'},
                                            {"catalogue", required_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"csv", no_argument, NULL, 'c'},
                                            {"all", no_argument, NULL, 'A'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int c, e = 0;
    while (!e && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        m->json = m->json || c == 'j';
        m->csv = m->csv || c == 'c';
        m->all = m->all || c == 'A';
        m->help = m->help || c == 'h';
        if (c != 'j' && c != 'c' && c != 'A' && c != 'h')
            e = set_option(m, c, optarg);
    }
    if (!e && optind < argc)
        e = bad("", argv[optind], "no option of matrix");
    return e;
}

/* ---- rows ---- */

static struct matrix_value value(double v, enum matrix_basis basis, const char *as_of)
{
    bool known = v > 0 && isfinite(v);
    return (struct matrix_value){.v = known ? v : NAN,
                                 .basis = known ? basis : MATRIX_UNKNOWN,
                                 .as_of = known ? as_of : NULL};
}

static struct matrix_value estimated(double v, const char *as_of, struct range range)
{
    struct matrix_value e = value(v, MATRIX_ESTIMATED, as_of);
    if (!isnan(e.v))
        e.range = range;
    return e;
}

struct matrix_row *matrix_add(struct matrix *m)
{
    static const struct matrix_value unknown = {.v = NAN};
    if (m->count == MATRIX_ROWS_MAX)
        return NULL;
    struct matrix_row *r = &m->rows[m->count++];
    *r = (struct matrix_row){.stands_for = "", .when = "", .provider = "", .model = ""};
    r->speed = r->all = r->in = r->out = r->cached = r->blended = r->first = r->total = r->day =
        r->quality = unknown;
    return r;
}

void matrix_listed(struct matrix *m, const struct fact_price *p, struct matrix_row *r)
{
    double blended = (p->input * m->isl + p->output * m->osl) / (m->isl + m->osl);
    r->in = value(p->input, MATRIX_LISTED, p->as_of);
    r->out = value(p->output, MATRIX_LISTED, p->as_of);
    r->cached = value(p->cached_input, MATRIX_LISTED, p->as_of);
    r->blended = value(blended, MATRIX_LISTED, p->as_of);
    r->day = value(blended * m->tokens_day / 1e6, MATRIX_LISTED, p->as_of);
}

/* c: its place in the table above, or one of the price table that stands there nowhere. */
static void add_price(struct matrix *m, const struct fact_price *p, const struct cloud *c)
{
    struct matrix_row *r = p ? matrix_add(m) : NULL;
    const char *near = NULL;
    if (!r)
        return;
    r->open = c->open || facts_model(&m->facts, span_from(p->model), &m->arena, &near) != NULL;
    r->kind = MATRIX_CLOUD;
    r->provider = p->provider;
    r->model = p->model;
    r->stands_for = c->stands_for;
    r->when = c->when;
    matrix_listed(m, p, r);
}

static void add_clouds(struct matrix *m)
{
    static const struct cloud other = {.stands_for = "", .when = ""};
    for (size_t i = 0; i < ARRAY_LEN(clouds); i++)
        add_price(m, facts_price(&m->facts, clouds[i].provider, clouds[i].model), &clouds[i]);
    for (size_t i = 0; m->all && i < m->facts.price_count; i++) {
        const struct fact_price *p = &m->facts.prices[i];
        bool shown = false;
        for (size_t k = 0; k < ARRAY_LEN(clouds); k++)
            shown = shown || (strcmp(p->provider, clouds[k].provider) == 0 &&
                              strcmp(p->model, clouds[k].model) == 0);
        if (!shown)
            add_price(m, p, &other);
    }
}

/* "H100x2" */
static bool cards_of(struct matrix *m, const char *text, const struct fact_gpu **out_gpu,
                     uint32_t *out_cards)
{
    struct span name = span_trim(span_from(text));
    uint64_t n = 1;
    size_t x = name.len;
    while (x > 1 && name.at[x - 1] >= '0' && name.at[x - 1] <= '9')
        x--;
    if (x > 1 && x < name.len && name.at[x - 1] == 'x' &&
        span_u64(span_drop(name, x), &n) == ERR_OK)
        name = span_trim(span_take(name, x - 1));
    *out_gpu = facts_gpu(&m->facts, name);
    *out_cards = (uint32_t)n;
    return *out_gpu && (*out_gpu)->ram_share <= 0 && n >= 1 && n <= 1024;
}

/* What own cards cost when they give `all` tokens/s; blended, and by answers alone. With a volume
 * they cost the whole day, and as many sets of them as the answers need. */
struct own_price {
    double blended, output, day;
};

static struct own_price own_price(const struct matrix *m, const struct deployment *d, double all)
{
    double share = m->osl / (m->isl + m->osl);
    struct own_price p = {.output = d->usd_h * 1e6 / (3600 * all * d->busy)};
    if (m->tokens_day > 0) {
        double answers = m->tokens_day * share, sets = ceil(answers / (all * 86400));
        p.day = d->usd_h * HOURS_DAY * fmax(sets, 1);
        p.output = p.day / answers * 1e6;
    }
    p.blended = p.output * share;
    return p;
}

static void price_own(struct matrix *m, const struct deployment *d, const struct speed *s,
                      struct matrix_row *r)
{
    struct range all = estimate_rate_range(s->all, s->band);
    const char *as_of = m->usd_h >= 0 ? m->today : d->gpu->price_as_of;
    struct own_price p = own_price(m, d, s->all), dear = own_price(m, d, all.least),
                     cheap = own_price(m, d, all.most);
    r->blended = estimated(p.blended, as_of, (struct range){cheap.blended, dear.blended});
    r->out = estimated(p.output, as_of, (struct range){cheap.output, dear.output});
    r->day = estimated(p.day, as_of, (struct range){cheap.day, dear.day});
}

static void fill_own(struct matrix *m, const struct deployment *d, struct matrix_row *r)
{
    struct memory mem;
    struct speed s;
    estimate_memory(&m->facts, d, &mem);
    if (!mem.fits) {
        r->when = "does not fit these cards (hotspare plan says what would)";
        return;
    }
    estimate_speed(d, &mem, &s);
    const char *as_of = d->model->as_of;
    const struct speed_band *b = s.band;
    double total = s.first_token + (d->osl - 1) / s.one;
    r->band = b;
    r->speed = estimated(s.one, as_of, estimate_rate_range(s.one, b));
    r->all = estimated(s.all, as_of, estimate_rate_range(s.all, b));
    struct range first = estimate_time_range(s.first_token, s.first_band);
    struct range rest = estimate_time_range(total - s.first_token, b);
    r->first = estimated(s.first_token, as_of, first);
    r->total =
        estimated(total, as_of, (struct range){first.least + rest.least, first.most + rest.most});
    price_own(m, d, &s, r);
}

static int add_own(struct matrix *m, const struct own *o)
{
    const struct fact_gpu *gpu = NULL;
    uint32_t cards = 0;
    const struct fact_model *model = facts_model_exact(&m->facts, span_from(o->model));
    struct matrix_row *r = model ? matrix_add(m) : NULL;
    if (!r)
        return 0;
    if (!cards_of(m, m->gpu ? m->gpu : o->gpu, &gpu, &cards))
        return bad("gpu", m->gpu ? m->gpu : o->gpu, "no accelerator known here: write NAMExN");
    cards = m->gpu ? cards : o->cards;
    double rent = gpu->usd_h_high > 0 ? gpu->usd_h_high : gpu->usd_h_low;
    struct deployment d = {.model = model,
                           .quant = facts_quant(&m->facts, QUANT_FORMAT, span_from(o->quant)),
                           .kv = facts_quant(&m->facts, QUANT_KV, SPAN("fp16")),
                           .gpu = gpu,
                           .host = facts_gpu(&m->facts, SPAN("CPU desktop 2ch")),
                           .engine = ENGINE_VLLM,
                           .tp = cards,
                           .pp = 1,
                           .ram = 256.0 * 1073741824.0,
                           .utilization = 0.92,
                           .context = fmin(fmax(8192, m->isl + m->osl), model->context),
                           .sequences = 1,
                           .isl = m->isl,
                           .osl = m->osl,
                           .usd_h = (m->usd_h >= 0 ? m->usd_h : rent) * cards,
                           .busy = m->busy};
    r->kind = MATRIX_OWN;
    r->open = true;
    r->provider = "own";
    r->model = arena_printf(&m->arena, "%s %s", model->id, o->quant).at;
    r->hardware = arena_printf(&m->arena, "%ux %s", cards, gpu->name).at;
    r->stands_for = o->stands_for;
    r->when = o->when;
    r->quality = value(model->swe_bench, MATRIX_LISTED, model->as_of);
    const char *refused = estimate_split_refused(&d);
    if (!d.quant || !estimate_card_has(d.quant, gpu))
        r->when = "these cards do not run the format";
    else if (refused)
        r->when = refused;
    else if (m->isl + m->osl > model->context)
        r->when = "prompt and answer are longer than its context";
    else
        fill_own(m, &d, r);
    return 0;
}

/* ---- order ---- */

static const char *order_by; /* of the one sort this program does */

static double key_of(const struct matrix_row *r)
{
    const struct matrix_value *v = strcmp(order_by, "latency") == 0   ? &r->total
                                   : strcmp(order_by, "quality") == 0 ? &r->quality
                                                                      : &r->blended;
    return isnan(v->v) ? INFINITY : strcmp(order_by, "quality") == 0 ? -v->v : v->v;
}

static int compare(const void *a, const void *b)
{
    double x = key_of(a), y = key_of(b);
    return x < y ? -1 : x > y ? 1 : 0;
}

static void sort(struct matrix *m)
{
    if (!m->order)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->order, "open-source") != 0 || m->rows[i].open)
            m->rows[kept++] = m->rows[i];
    m->count = kept;
    order_by = m->order;
    qsort(m->rows, m->count, sizeof m->rows[0], compare);
}

/* ---- the command ---- */

static int fill(struct matrix *m)
{
    const char *why = "";
    if (facts_load(&m->facts, facts_folder(m->catalogue, &m->arena), &why) != ERR_OK) {
        (void)fprintf(stderr, "hotspare: %s\n", why);
        return EXIT_DATA;
    }
    if (m->admin && !matrix_live(m, &why)) {
        (void)fprintf(stderr, "hotspare: --admin: %s\n", why);
        return EXIT_NO_GATEWAY;
    }
    if (m->config && !matrix_probed(m, &why)) {
        (void)fprintf(stderr, "hotspare: --config: %s\n", why);
        return EXIT_CONFIG;
    }
    add_clouds(m);
    int e = 0;
    for (size_t i = 0; i < ARRAY_LEN(owns) && !e; i++)
        e = add_own(m, &owns[i]);
    sort(m);
    return e;
}

static int write_svg(const struct matrix *m)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    matrix_svg(m, &text);
    FILE *f = fopen(m->svg, "we");
    bool good = f && fwrite(text.at, 1, text.len, f) == text.len;
    good = f && fclose(f) == 0 && good;
    if (!good)
        (void)fprintf(stderr, "hotspare: %s could not be written\n", m->svg);
    buf_deinit(&text);
    return good ? 0 : EXIT_IO;
}

static void tell(const struct matrix *m)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (m->json) {
        matrix_json(m, &text);
        (void)printf("%.*s\n", SPAN_FMT(buf_span(&text)));
    } else if (m->csv) {
        matrix_csv(m, stdout);
    } else {
        matrix_show(m, stdout);
    }
    buf_deinit(&text);
}

static const char *today(struct arena *a)
{
    struct loop *l = loop_new();
    time_t now = (time_t)(loop_wall(l) / USEC_PER_SEC);
    loop_free(l);
    struct tm tm;
    char text[16] = "";
    if (gmtime_r(&now, &tm))
        (void)strftime(text, sizeof text, "%Y-%m-%d", &tm);
    return arena_cstr(a, span_from(text));
}

int matrix_main(int argc, char **argv)
{
    struct matrix *m = mem_new(struct matrix);
    *m = (struct matrix){.ratio = 2, .usd_h = -1, .busy = 1, .osl = 512};
    arena_init(&m->arena, SIZE_MAX);
    int e = read_options(argc, argv, m);
    m->isl = m->osl * m->ratio;
    m->today = today(&m->arena);
    if (!e && m->help)
        e = usage(stdout, 0);
    else if (!e && (e = fill(m)) == 0) {
        tell(m);
        e = m->svg ? write_svg(m) : 0;
    }
    facts_deinit(&m->facts);
    arena_deinit(&m->arena);
    mem_free(m);
    return e;
}
