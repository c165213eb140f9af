/* Shards ("-00001-of-00004") are added up; a missing one is an error, because the sum would be a
 * lie. A safetensors file has no shape, so config.json is looked for beside it. */
#include "tools/plan/model_file.h"
#include "base/span.h"
#include "local/gguf.h"
#include "local/hf_config.h"
#include "local/safetensors.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARDS_MOST 1000u
#define CONFIG_MOST ((size_t)16 << 20)

struct mapping {
    void *at;
    size_t len;
};

static enum err map(const char *path, struct mapping *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *out = (struct mapping){NULL, 0};
    if (fd < 0)
        return ERR_NOT_FOUND;
    bool usable = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (usable && st.st_size > 0) {
        out->len = (size_t)st.st_size;
        out->at = mmap(NULL, out->len, PROT_READ, MAP_PRIVATE, fd, 0);
        if (out->at == MAP_FAILED)
            *out = (struct mapping){NULL, 0};
    }
    (void)close(fd);
    return out->at ? ERR_OK : ERR_IO;
}

static void unmap(struct mapping *m)
{
    if (m->at)
        (void)munmap(m->at, m->len);
}

static struct span bytes(const struct mapping *m)
{
    return (struct span){m->at, m->len};
}

bool model_file_is(const char *name)
{
    struct span s = span_from(name);
    return span_ends(s, SPAN(".json")) || span_ends(s, SPAN(".gguf")) ||
           span_ends(s, SPAN(".safetensors"));
}

/* ---- shards ---- */

struct shards {
    struct span before, after; /* around "00001-of-00004" */
    uint64_t count;
};

static bool is_number(struct span s, uint64_t *out)
{
    return s.len == 5 && span_u64(s, out) == ERR_OK;
}

static struct shards shards_of(struct span path)
{
    struct shards one = {path, SPAN_EMPTY, 1};
    ssize_t at = span_search(path, SPAN("-of-"));
    uint64_t first = 0, count = 0;
    if (at < 5 || !is_number((struct span){path.at + at - 5, 5}, &first) ||
        !is_number(span_take(span_drop(path, (size_t)at + 4), 5), &count) || count < 1 ||
        count > SHARDS_MOST)
        return one;
    return (struct shards){span_take(path, (size_t)at - 5), span_drop(path, (size_t)at + 9), count};
}

static const char *shard_path(const struct shards *s, uint64_t index, struct arena *a)
{
    if (s->after.len == 0)
        return arena_cstr(a, s->before);
    return arena_printf(a, "%.*s%05u-of-%05u%.*s", SPAN_FMT(s->before), (unsigned)index + 1,
                        (unsigned)s->count, SPAN_FMT(s->after))
        .at;
}

/* ---- the three kinds ---- */

struct reading {
    const struct facts *f;
    struct arena *a;
    struct fact_model *out;
    const char *why, *note;
};

static enum err read_config(struct reading *r, const char *path)
{
    struct mapping m;
    enum err e = map(path, &m);
    if (e != ERR_OK) {
        r->why = "it cannot be read, or is no file";
        return e;
    }
    if (m.len > CONFIG_MOST) {
        r->why = "too large for a config.json";
        e = ERR_LIMIT;
    } else {
        e = hf_config_read(r->a, arena_copy(r->a, bytes(&m)), r->out, &r->why);
    }
    unmap(&m);
    return e;
}

static void add_gguf(struct gguf *sum, const struct gguf *g)
{
    sum->elements_embed += g->elements_embed;
    sum->elements_dense += g->elements_dense;
    sum->elements_expert += g->elements_expert;
    sum->embed += g->embed;
    sum->dense += g->dense;
    sum->expert += g->expert;
    sum->token_embd += g->token_embd;
    sum->cut |= g->cut;
}

static enum err read_gguf(struct reading *r, const struct shards *s)
{
    struct gguf sum = {0};
    for (uint64_t i = 0; i < s->count; i++) {
        struct mapping m;
        struct gguf g;
        const char *path = shard_path(s, i, r->a);
        enum err e = map(path, &m);
        r->why = arena_printf(r->a, "%s cannot be read, or is no file", path).at;
        if (e == ERR_OK)
            e = gguf_read(r->f, bytes(&m), &g, &r->why);
        if (e == ERR_OK && i == 0) { /* the first shard has the metadata */
            sum = g;
            *r->out = gguf_model(&sum, r->a);
            sum.main_type = SPAN_EMPTY;
        } else if (e == ERR_OK) {
            add_gguf(&sum, &g);
        }
        unmap(&m);
        if (e != ERR_OK)
            return e;
    }
    struct fact_model first = *r->out;
    sum.name = span_from(first.id);
    sum.main_type = span_from(first.dtype);
    *r->out = gguf_model(&sum, r->a);
    if (r->out->layers == 0 || r->out->hidden == 0) {
        r->why =
            "its header does not say how many layers there are, or how wide: no language model?";
        return ERR_INVALID;
    }
    r->note = sum.cut ? "the file ends before its tensors do: an unfinished download?" : "";
    return ERR_OK;
}

static enum err add_safetensors(struct reading *r, const char *path, struct safetensors *sum)
{
    struct mapping m;
    struct safetensors one;
    enum err e = map(path, &m);
    r->why = arena_printf(r->a, "%s cannot be read, or is no file", path).at;
    if (e == ERR_OK)
        e = safetensors_read(r->a, bytes(&m), &one, &r->why);
    unmap(&m);
    if (e != ERR_OK)
        return e;
    sum->elements_embed += one.elements_embed;
    sum->elements_dense += one.elements_dense;
    sum->elements_expert += one.elements_expert;
    sum->embed += one.embed;
    sum->dense += one.dense;
    sum->expert += one.expert;
    sum->token_embd += one.token_embd;
    sum->cut |= one.cut;
    return ERR_OK;
}

static enum err read_safetensors(struct reading *r, const struct shards *s, struct span path)
{
    struct safetensors sum = {0};
    for (uint64_t i = 0; i < s->count; i++) {
        enum err e = add_safetensors(r, shard_path(s, i, r->a), &sum);
        if (e != ERR_OK)
            return e;
    }
    size_t folder = path.len;
    while (folder > 0 && path.at[folder - 1] != '/')
        folder--;
    const char *config = arena_printf(r->a, "%.*sconfig.json", (int)folder, path.at).at;
    enum err e = read_config(r, config);
    if (e != ERR_OK) {
        r->why =
            arena_printf(r->a, "%s: %s; the shape of a safetensors model is there", config, r->why)
                .at;
        return e;
    }
    r->out->file_embed = sum.embed;
    r->out->file_dense = sum.dense;
    r->out->file_expert = sum.expert;
    r->out->file_token_embd = sum.token_embd;
    r->out->file_bytes = sum.embed + sum.dense + sum.expert;
    r->note = sum.cut ? "the file ends before its tensors do: an unfinished download?" : "";
    return ERR_OK;
}

enum err model_file_read(const struct facts *f, const char *path, struct arena *a,
                         struct fact_model *out, const char **out_why, const char **out_note)
{
    struct reading r = {.f = f, .a = a, .out = out, .why = "", .note = ""};
    struct span s = span_from(path);
    struct shards shards = shards_of(s);
    enum err e = span_ends(s, SPAN(".json"))   ? read_config(&r, path)
                 : span_ends(s, SPAN(".gguf")) ? read_gguf(&r, &shards)
                                               : read_safetensors(&r, &shards, s);
    *out_why = r.why;
    *out_note = r.note;
    return e;
}
