/* Tables become structs. The built-in text is read first, then the user's: rows of the same id are
 * replaced where they stand, so that an order that means something (formats, from large to small)
 * stays as it is. */
#include "local/facts.h"
#include <ctype.h>
#include "base/buf.h"
#include "base/span.h"
#include "local/facts_data.h"
#include "local/table.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX ((size_t)16 << 20)
#define FACTS_MAX ((size_t)128 << 20)
#define BILLION 1e9
#define NEAR_MAX 8

struct row {
    struct facts *f;
    const struct table *t;
    size_t at;
};

static const char *text(struct row r, const char *column)
{
    struct span s = table_cell(r.t, r.at, column);
    return s.len ? arena_cstr(&r.f->arena, s) : NULL;
}

static double number_or(struct row r, const char *column, double unknown)
{
    double d = 0;
    struct span s = table_cell(r.t, r.at, column);
    return s.len && span_double(s, &d) == ERR_OK && d >= 0 && d < 1e18 ? d : unknown;
}

static double number(struct row r, const char *column)
{
    return number_or(r, column, 0);
}

static uint32_t count(struct row r, const char *column)
{
    double d = number(r, column);
    return d < 4e9 ? (uint32_t)d : 0;
}

static void read_model(struct row r, void *out)
{
    *(struct fact_model *)out = (struct fact_model){
        .id = text(r, "id"),
        .total = number(r, "total_b") * BILLION,
        .active = number(r, "active_b") * BILLION,
        .embed = number(r, "embed_b") * BILLION,
        .dense = number(r, "dense_b") * BILLION,
        .expert = number(r, "expert_b") * BILLION,
        .layers = count(r, "layers") <= FACT_LAYERS_MAX ? count(r, "layers") : 0,
        .hidden = count(r, "hidden"),
        .heads = count(r, "heads"),
        .kv_heads = count(r, "kv_heads"),
        .head_dim = count(r, "head_dim"),
        .attention = text(r, "attention"),
        .kv_elems = number(r, "kv_elems"),
        .window_elems = number(r, "window_elems"),
        .window = number(r, "window"),
        .state_bytes = number(r, "state_bytes"),
        .experts = count(r, "experts"),
        .experts_per_token = count(r, "experts_per_token"),
        .vocab = count(r, "vocab"),
        .context = count(r, "context"),
        .dtype = text(r, "dtype"),
        .licence = text(r, "licence"),
        .released = text(r, "released"),
        .tool_parser = text(r, "tool_parser"),
        .reasoning_parser = text(r, "reasoning_parser"),
        .needs = text(r, "needs"),
        .quantized_as = text(r, "quantized_as"),
        .min_vllm = text(r, "min_vllm"),
        .checkpoint_bytes = number(r, "checkpoint_gb") * BILLION,
        .draft_layers = number(r, "draft_layers"),
        .swe_bench = number(r, "swe_bench"),
        .as_of = text(r, "as_of"),
        .source = text(r, "source"),
    };
}

static void read_gpu(struct row r, void *out)
{
    *(struct fact_gpu *)out = (struct fact_gpu){
        .name = text(r, "name"),
        .vendor = text(r, "vendor"),
        .klass = text(r, "class"),
        .arch = text(r, "arch"),
        .vram_gib = number(r, "vram_gib"),
        .ram_share = number(r, "ram_share"),
        .bandwidth = number(r, "bandwidth_gbs") * BILLION,
        .bf16 = number(r, "bf16_tflops") * 1e12,
        .fp8 = number(r, "fp8_tflops") * 1e12,
        .fp4 = number(r, "fp4_tflops") * 1e12,
        .watts = number(r, "watts"),
        .link = number(r, "link_gbs") * BILLION,
        .usd_h_low = number(r, "usd_h_low"),
        .usd_h_high = number(r, "usd_h_high"),
        .price_as_of = text(r, "price_as_of"),
        .source = text(r, "source"),
    };
}

static enum quant_kind kind_of(struct span s)
{
    return span_is(s, "block")  ? QUANT_BLOCK
           : span_is(s, "gguf") ? QUANT_GGUF
           : span_is(s, "kv")   ? QUANT_KV
                                : QUANT_FORMAT;
}

static void read_quant(struct row r, void *out)
{
    *(struct fact_quant *)out = (struct fact_quant){
        .id = text(r, "id"),
        .kind = kind_of(table_cell(r.t, r.at, "kind")),
        .bits_embed = number(r, "bits_embed"),
        .bits_dense = number(r, "bits_dense"),
        .bits_expert = number(r, "bits_expert"),
        .block_elems = count(r, "block_elems"),
        .block_bytes = count(r, "block_bytes"),
        .compute = text(r, "compute"),
        .ppl_pct = number_or(r, "ppl_pct", NAN),
        .tasks_pct = number_or(r, "tasks_pct", NAN),
        .ppl_on = text(r, "ppl_on"),
        .effect = text(r, "effect"),
        .decode_eff = number(r, "decode_eff"),
        .min_sm = text(r, "min_sm"),
        .engines = text(r, "engines"),
        .source = text(r, "source"),
    };
}

static void read_licence(struct row r, void *out)
{
    *(struct fact_licence *)out = (struct fact_licence){
        .id = text(r, "id"),
        .name = text(r, "name"),
        .family = text(r, "family"),
        .commercial = text(r, "commercial"),
        .mau_limit = number(r, "mau_limit"),
        .usd_year_limit = number(r, "usd_year_limit"),
        .limit_api_only = span_is(table_cell(r.t, r.at, "limit_scope"), "api"),
        .over_limit = text(r, "over_limit"),
        .show_mau = number_or(r, "show_mau", NAN),
        .show_usd_year = number_or(r, "show_usd_year", NAN),
        .show = text(r, "show"),
        .attribution = text(r, "attribution"),
        .notice = text(r, "notice"),
        .modify = text(r, "modify"),
        .redistribute = text(r, "redistribute"),
        .api = text(r, "api"),
        .train = text(r, "train"),
        .policy = text(r, "policy"),
        .not_in = text(r, "not_in"),
        .verified = text(r, "verified"),
        .as_of = text(r, "as_of"),
        .source = text(r, "source"),
    };
}

static void read_price(struct row r, void *out)
{
    *(struct fact_price *)out = (struct fact_price){
        .provider = text(r, "provider"),
        .model = text(r, "model"),
        .input = number_or(r, "input", NAN),
        .output = number_or(r, "output", NAN),
        .cached_input = number_or(r, "cached_input", NAN),
        .cache_write = number_or(r, "cache_write", NAN),
        .as_of = text(r, "as_of"),
        .source = text(r, "source"),
        .note = text(r, "note"),
    };
}

/* One fact file: where its rows go, and which columns tell two rows apart. */
struct kind {
    const char *name, *key, *second_key;
    size_t size, rows_at, count_at;
    void (*read)(struct row r, void *out);
};
#define IN(field) offsetof(struct facts, field)
static const struct kind kinds[] = {
    {"models", "id", NULL, sizeof(struct fact_model), IN(models), IN(model_count), read_model},
    {"gpus", "name", NULL, sizeof(struct fact_gpu), IN(gpus), IN(gpu_count), read_gpu},
    {"quants", "id", "kind", sizeof(struct fact_quant), IN(quants), IN(quant_count), read_quant},
    {"licences", "id", NULL, sizeof(struct fact_licence), IN(licences), IN(licence_count),
     read_licence},
    {"prices", "model", "provider", sizeof(struct fact_price), IN(prices), IN(price_count),
     read_price},
};

static struct span cell_or_empty(const struct table *t, size_t row, const char *column)
{
    return column ? table_cell(t, row, column) : SPAN_EMPTY;
}

static bool same_key(const struct kind *k, const struct table *a, size_t i, const struct table *b,
                     size_t j)
{
    return span_eq(table_cell(a, i, k->key), table_cell(b, j, k->key)) &&
           span_eq(cell_or_empty(a, i, k->second_key), cell_or_empty(b, j, k->second_key));
}

/* The user's row for a built-in one, or `rows` of the user's table. */
static size_t replacement(const struct kind *k, const struct table *own, const struct table *user,
                          size_t row)
{
    size_t i = 0;
    while (i < user->rows && !same_key(k, own, row, user, i))
        i++;
    return i;
}

static void fill(struct facts *f, const struct kind *k, const struct table *own,
                 const struct table *user)
{
    char *rows = arena_zalloc(&f->arena, k->size * (own->rows + user->rows + 1));
    size_t n = 0;
    for (size_t i = 0; i < own->rows; i++) {
        size_t other = replacement(k, own, user, i);
        struct row r = other < user->rows ? (struct row){f, user, other} : (struct row){f, own, i};
        k->read(r, rows + k->size * n++);
    }
    for (size_t i = 0; i < user->rows; i++)
        if (table_cell(user, i, k->key).len && replacement(k, user, own, i) == own->rows)
            k->read((struct row){f, user, i}, rows + k->size * n++);
    *(void **)(void *)((char *)f + k->rows_at) = rows;
    *(size_t *)(void *)((char *)f + k->count_at) = n;
}

/* ERR_NOT_FOUND: there is no such file, which is fine. */
static enum err read_file(struct facts *f, const char *path, struct span *out)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return ERR_NOT_FOUND;
    struct buf b;
    buf_init(&b, FILE_MAX);
    enum err e = ERR_OK;
    while (e == ERR_OK && !feof(file)) {
        e = buf_reserve(&b, 65536);
        if (e != ERR_OK)
            break;
        buf_grew(&b, fread(b.at + b.len, 1, 65536, file));
        if (ferror(file))
            e = ERR_IO;
    }
    if (e == ERR_OK)
        *out = arena_copy(&f->arena, buf_span(&b));
    buf_deinit(&b);
    (void)fclose(file);
    return e;
}

static enum err read_users(struct facts *f, const struct kind *k, const char *folder,
                           struct table *out, const char **out_why)
{
    struct span s;
    const char *path = arena_printf(&f->arena, "%s/%s.tsv", folder, k->name).at, *why = "";
    enum err e = read_file(f, path, &s);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    if (e == ERR_OK)
        e = table_read(&f->arena, s, out, &why);
    else
        why = e == ERR_LIMIT ? "larger than 16 MiB" : "could not be read";
    if (e == ERR_OK && out->rows && !table_cell(out, 0, k->key).len) {
        why = arena_printf(&f->arena, "it has no column \"%s\"", k->key).at;
        e = ERR_INVALID;
    }
    if (e != ERR_OK)
        *out_why = arena_printf(&f->arena, "%s: %s", path, why).at;
    return e;
}

static const struct facts_data *data_of(const char *name)
{
    for (size_t i = 0; i < facts_data_count; i++)
        if (strcmp(facts_data[i].name, name) == 0)
            return &facts_data[i];
    return NULL;
}

enum err facts_load(struct facts *f, const char *folder, const char **out_why)
{
    *f = (struct facts){0};
    *out_why = "";
    arena_init(&f->arena, FACTS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct facts_data *data = data_of(kinds[i].name);
        struct table own, user = {0};
        assert(data);
        enum err e = table_read(&f->arena, data->text, &own, out_why);
        assert(e == ERR_OK); /* tests/unit/local reads each of them */
        if (folder)
            e = read_users(f, &kinds[i], folder, &user, out_why);
        if (e != ERR_OK)
            return e;
        fill(f, &kinds[i], &own, &user);
    }
    return arena_over(&f->arena) ? ERR_LIMIT : ERR_OK;
}

void facts_deinit(struct facts *f)
{
    arena_deinit(&f->arena);
}

const char *facts_folder(const char *given, struct arena *a)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (given)
        return given;
    if (config && config[0])
        return arena_printf(a, "%s/hotspare/catalogue", config).at;
    return home ? arena_printf(a, "%s/.config/hotspare/catalogue", home).at : NULL;
}

/* ---- looking up ---- */

static struct span base_name(struct span id)
{
    for (size_t i = id.len; i > 0; i--)
        if (id.at[i - 1] == '/')
            return span_drop(id, i);
    return id;
}

/* What repositories of quantized copies put behind a model's name. */
static struct span without_format(struct span name)
{
    static const struct span endings[] = {
        SPAN_INIT("-awq"),   SPAN_INIT("-gptq"),  SPAN_INIT("-gguf"),      SPAN_INIT("-fp8"),
        SPAN_INIT("-nvfp4"), SPAN_INIT("-mxfp4"), SPAN_INIT("-int4"),      SPAN_INIT("-int8"),
        SPAN_INIT("-bf16"),  SPAN_INIT("-hf"),    SPAN_INIT("-dynamic"),   SPAN_INIT("-block"),
        SPAN_INIT("-fp4"),   SPAN_INIT("-w4a16"), SPAN_INIT("-quantized"), SPAN_INIT(".gguf"),
        SPAN_INIT(".w4a16"), SPAN_INIT(".w8a8"),
    };
    for (bool cut = true; cut;) {
        cut = false;
        for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
            size_t n = endings[i].len;
            if (name.len > n && span_ieq(span_drop(name, name.len - n), endings[i])) {
                name = span_take(name, name.len - n);
                cut = true;
            }
        }
    }
    return name;
}

static bool same_name(struct span a, struct span b)
{
    return span_ieq(without_format(base_name(a)), without_format(base_name(b)));
}

const struct fact_model *facts_model_exact(const struct facts *f, struct span name)
{
    for (size_t i = 0; i < f->model_count; i++)
        if (span_ieq(name, span_from(f->models[i].id)))
            return &f->models[i];
    const struct fact_model *found = NULL;
    for (size_t i = 0; i < f->model_count; i++)
        if (same_name(name, span_from(f->models[i].id))) {
            if (found)
                return NULL;
            found = &f->models[i];
        }
    return found;
}

const struct fact_model *facts_model(const struct facts *f, struct span name, struct arena *a,
                                     const char **out_near)
{
    const struct fact_model *found = facts_model_exact(f, name);
    struct span near = SPAN_EMPTY, part = without_format(base_name(name));
    size_t n = 0;
    *out_near = "";
    if (found || part.len == 0)
        return found;
    for (size_t i = 0; i < f->model_count; i++) {
        if (span_isearch(base_name(span_from(f->models[i].id)), part) < 0)
            continue;
        found = &f->models[i];
        if (n++ < NEAR_MAX)
            near = arena_printf(a, "%.*s%s%s", SPAN_FMT(near), near.len ? ", " : "", found->id);
    }
    *out_near = near.len ? near.at : "";
    return n == 1 ? found : NULL;
}

static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* `word` stands in `s` and is not the middle of a longer word ("L4" is not in "L40S"). */
static bool has_word(struct span s, struct span word)
{
    for (size_t i = 0; i + word.len <= s.len; i++) {
        if (!span_ieq((struct span){s.at + i, word.len}, word))
            continue;
        bool starts = i == 0 || !is_word_char(s.at[i - 1]);
        bool ends = i + word.len == s.len || !is_word_char(s.at[i + word.len]);
        if (starts && ends)
            return true;
    }
    return false;
}

static bool has_words(struct span s, struct span words)
{
    struct span word;
    bool any = false;
    while (words.len) {
        size_t n = 0, skip = 0;
        while (skip < words.len && !is_word_char(words.at[skip]))
            skip++;
        words = span_drop(words, skip);
        while (n < words.len && (is_word_char(words.at[n]) || words.at[n] == '-'))
            n++;
        word = span_take(words, n);
        words = span_drop(words, n);
        bool maker = span_iis(word, "NVIDIA") || span_iis(word, "GeForce") ||
                     span_iis(word, "AMD") || span_iis(word, "Tesla");
        if (word.len == 0 || maker)
            continue;
        if (!has_word(s, word))
            return false;
        any = true;
    }
    return any;
}

const struct fact_gpu *facts_gpu(const struct facts *f, struct span name)
{
    const struct fact_gpu *found = NULL;
    for (size_t i = 0; i < f->gpu_count; i++) {
        const struct fact_gpu *g = &f->gpus[i];
        if (span_iis(name, g->name))
            return g;
        if (has_words(span_from(g->name), name) &&
            (!found || strlen(g->name) < strlen(found->name)))
            found = g;
    }
    return found;
}

static bool next_word(struct span *rest, struct span *out)
{
    size_t skip = 0, n = 0;
    while (skip < rest->len && !is_word_char(rest->at[skip]))
        skip++;
    *rest = span_drop(*rest, skip);
    while (n < rest->len && is_word_char(rest->at[n]))
        n++;
    *out = span_take(*rest, n);
    *rest = span_drop(*rest, n);
    return n > 0;
}

static bool has_digit(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] >= '0' && s.at[i] <= '9')
            return true;
    return false;
}

/* Words in common; 0 when the first word with a digit, the model's number, is not among them. */
static int words_shared(struct span reported, struct span known)
{
    struct span word;
    int shared = 0;
    bool number_seen = false;
    while (next_word(&reported, &word)) {
        /* Modules are called SXM4 or SXM5, and H100 modules by their memory alone. */
        if (span_istarts(word, SPAN("SXM")) || span_istarts(word, SPAN("HBM")))
            word = SPAN("SXM");
        bool both = has_word(known, word);
        if (has_digit(word) && !number_seen && !both)
            return 0;
        number_seen |= has_digit(word);
        shared += both;
    }
    return number_seen ? shared : 0;
}

const struct fact_gpu *facts_gpu_reported(const struct facts *f, struct span name, double gib)
{
    const struct fact_gpu *found = NULL;
    int most = 0;
    for (size_t i = 0; i < f->gpu_count; i++) {
        const struct fact_gpu *g = &f->gpus[i];
        int shared = words_shared(name, span_from(g->name));
        if (shared > most && fabs(g->vram_gib - gib) <= 0.15 * gib) {
            most = shared;
            found = g;
        }
    }
    return found;
}

const struct fact_quant *facts_quant(const struct facts *f, enum quant_kind kind, struct span id)
{
    bool file = kind == QUANT_GGUF || kind == QUANT_FORMAT;
    for (size_t i = 0; i < f->quant_count; i++) {
        const struct fact_quant *q = &f->quants[i];
        bool q_file = q->kind == QUANT_GGUF || q->kind == QUANT_FORMAT;
        if ((q->kind == kind || (file && q_file)) && span_iis(id, q->id))
            return q;
    }
    if (kind == QUANT_KV && (span_iis(id, "bf16") || span_iis(id, "f16")))
        return facts_quant(f, kind, SPAN("fp16"));
    if (file && (span_iis(id, "fp16") || span_iis(id, "fp32")))
        return facts_quant(f, kind, SPAN("bf16"));
    return NULL;
}

const struct fact_licence *facts_licence(const struct facts *f, struct span id)
{
    for (size_t i = 0; i < f->licence_count; i++)
        if (span_iis(id, f->licences[i].id))
            return &f->licences[i];
    return NULL;
}

const struct fact_price *facts_price(const struct facts *f, const char *provider, const char *model)
{
    for (size_t i = 0; i < f->price_count; i++)
        if (strcmp(f->prices[i].model, model) == 0 &&
            (!provider || strcmp(f->prices[i].provider, provider) == 0))
            return &f->prices[i];
    return NULL;
}

bool fact_is_word(const char *s)
{
    if (!s || !*s)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-')
            return false;
    return true;
}
