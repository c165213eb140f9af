/* See hub.h. The rules by which files are chosen are rows (beside) and three questions: is it a
 * GGUF of that level, is it weights in safetensors, is it a licence. A repository that holds the
 * same weights twice (model-*.safetensors and consolidated.safetensors) is taken once. */
#include "tools/pull/hub.h"
#include "base/span.h"
#include "json/json.h"
#include <ctype.h>

#define PART_MAX 255u /* bytes of one part of a name: what file systems take */
#define ID_PART_MAX 96u
#define LISTED_MAX 40u
#define REVISION_MAX 200u
#define WORD_MAX 100u /* bytes of a hub's word that are repeated to a person */

/* ---- names ---- */

static bool one_of(char c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool id_part(struct span s)
{
    if (s.len == 0 || s.len > ID_PART_MAX || s.at[0] == '.' || s.at[0] == '-' ||
        span_search(s, SPAN("..")) >= 0)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.at[i]) && !one_of(s.at[i], "._-"))
            return false;
    return true;
}

enum err hub_ref_read(struct span text, struct hub_ref *out, const char **out_why)
{
    struct span id, org, name = SPAN_EMPTY, rest = text;
    if (!span_next(&rest, ':', &id))
        id = SPAN_EMPTY;
    bool quant = id.len < text.len;
    struct span parts = id;
    *out_why = "write ORGANISATION/NAME, or ORGANISATION/NAME:QUANTIZATION";
    if (!span_next(&parts, '/', &org) || !id_part(org) || !span_next(&parts, '/', &name) ||
        !id_part(name) || org.len + 1 + name.len != id.len || (quant && !id_part(rest)))
        return ERR_INVALID;
    *out = (struct hub_ref){id, quant ? rest : SPAN_EMPTY};
    return ERR_OK;
}

bool hub_revision_valid(struct span s)
{
    if (s.len == 0 || s.len > REVISION_MAX || s.at[0] == '-' || span_search(s, SPAN("..")) >= 0)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.at[i]) && !one_of(s.at[i], "._-/"))
            return false;
    return true;
}

bool hub_name_safe(struct span name)
{
    struct span part, rest = name;
    size_t parts = 0;
    if (name.len == 0 || name.len > HUB_NAME_MAX || name.at[name.len - 1] == '/')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.at[i] < 0x20 || name.at[i] == 0x7f || name.at[i] == '\\')
            return false;
    while (span_next(&rest, '/', &part))
        if (part.len == 0 || part.len > PART_MAX || span_is(part, ".") || span_is(part, "..") ||
            ++parts > HUB_FOLDERS_MAX)
            return false;
    return true;
}

const char *hub_escaped(struct arena *a, const char *text, bool path)
{
    size_t len = strlen(text), n = 0;
    char *out = arena_alloc(a, len * 3 + 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (isalnum(c) || strchr("._-~", c) || (path && c == '/'))
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, 4, "%%%02X", c);
    }
    out[n] = 0;
    return out;
}

static bool is_hex(struct span s, size_t digits)
{
    if (s.len != digits)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!isdigit((unsigned char)s.at[i]) && (s.at[i] < 'a' || s.at[i] > 'f'))
            return false;
    return true;
}

/* ---- the hub's answer ---- */

/* A stranger's word for a person's terminal: control bytes would move its cursor or worse. */
static const char *shown(struct arena *a, struct span s)
{
    char *out = arena_alloc(a, WORD_MAX + 1);
    size_t n = 0;
    for (; n < s.len && n < WORD_MAX; n++) {
        unsigned char c = (unsigned char)s.at[n];
        out[n] = c < 0x20 || c == 0x7f ? '?' : s.at[n];
    }
    out[n] = 0;
    return out;
}

static const char *decoded(struct arena *a, struct json v)
{
    return json_is(v, JSON_STRING) ? shown(a, json_str_decode(v, a)) : NULL;
}

static enum err read_file(struct arena *a, struct json sibling, struct hub_file *out,
                          const char **out_why)
{
    struct json lfs = json_get(sibling, "lfs"), name = json_get(sibling, "rfilename");
    bool large = json_useful(lfs);
    struct json sum = json_get(large ? lfs : sibling, large ? "sha256" : "blobId");
    struct span text = json_is(name, JSON_STRING) ? json_str_decode(name, a) : SPAN_EMPTY;
    int64_t size = -1;
    if (!hub_name_safe(text)) {
        *out_why =
            arena_printf(a, "it lists a file whose name would leave its folder: %s", shown(a, text))
                .at;
        return ERR_INVALID;
    }
    if (json_i64(json_get(sibling, "size"), &size) != ERR_OK || size < 0 || size > HUB_SIZE_MAX) {
        *out_why = arena_printf(a, "it tells no size of %.*s", SPAN_FMT(text)).at;
        return ERR_INVALID;
    }
    struct span hex = json_is(sum, JSON_STRING) ? json_str(sum) : SPAN_EMPTY;
    if (json_useful(sum) && !is_hex(hex, large ? 64 : 40)) {
        *out_why = arena_printf(a, "its checksum of %.*s is none", SPAN_FMT(text)).at;
        return ERR_INVALID;
    }
    *out =
        (struct hub_file){arena_cstr(a, text), (uint64_t)size, hex.len ? arena_cstr(a, hex) : NULL};
    return ERR_OK;
}

static const char *card_licence(struct arena *a, struct json root)
{
    struct json card = json_get(root, "cardData");
    const char *word = decoded(a, json_get(card, "license"));
    const char *name = decoded(a, json_get(card, "license_name"));
    return word && strcmp(word, "other") == 0 && name ? name : word;
}

/* Of two with one name, which would be the one that is verified? */
static const char *listed_twice(const struct hub_model *m)
{
    for (size_t i = 0; i < m->count; i++)
        for (size_t k = i + 1; k < m->count; k++)
            if (strcmp(m->files[i].name, m->files[k].name) == 0)
                return m->files[i].name;
    return NULL;
}

enum err hub_read(struct arena *a, struct span text, struct hub_model *out, const char **out_why)
{
    struct json_doc *doc = arena_new(a, struct json_doc);
    *out_why = "its answer is not JSON";
    if (json_parse(a, text, NULL, doc, NULL) != ERR_OK)
        return ERR_INVALID;
    struct json root = json_root(doc), list = json_get(root, "siblings");
    struct json commit = json_get(root, "sha");
    *out_why = "its answer has no `sha` and `siblings`: is it a model hub?";
    if (!json_is(commit, JSON_STRING) || !is_hex(json_str(commit), 40) ||
        !json_is(list, JSON_ARRAY))
        return ERR_INVALID;
    *out_why = "it lists more files than a model has";
    if (json_len(list) > HUB_FILES_MAX)
        return ERR_LIMIT;
    out->commit = arena_cstr(a, json_str(commit));
    out->licence = card_licence(a, root);
    out->files = arena_array(a, struct hub_file, json_len(list) + 1);
    out->count = 0;
    for (struct json s = json_first(list); json_present(s); s = json_next(list, s)) {
        enum err e = read_file(a, s, &out->files[out->count], out_why);
        if (e != ERR_OK)
            return e;
        out->count++;
    }
    const char *twice = listed_twice(out);
    if (twice)
        *out_why = arena_printf(a, "it lists %s twice", twice).at;
    return twice ? ERR_INVALID : ERR_OK;
}

/* ---- choosing ---- */

static struct span base_name(struct span name)
{
    for (size_t i = name.len; i > 0; i--)
        if (name.at[i - 1] == '/')
            return span_drop(name, i);
    return name;
}

static bool word_byte(struct span s, size_t at)
{
    return at < s.len && (isalnum((unsigned char)s.at[at]) || s.at[at] == '_');
}

/* `level` stands in the name as a whole: Q4_K is not in "x-Q4_K_M.gguf". */
static bool has_level(struct span name, struct span level)
{
    for (size_t i = 0; i + level.len <= name.len; i++)
        if (span_ieq((struct span){name.at + i, level.len}, level) &&
            !(i > 0 && word_byte(name, i - 1)) && !word_byte(name, i + level.len))
            return true;
    return false;
}

static bool is_gguf(struct span name)
{
    return span_ends(name, SPAN(".gguf")) && span_isearch(base_name(name), SPAN("mmproj")) < 0;
}

static bool is_licence(struct span name)
{
    static const char *const begin[] = {"LICENSE", "LICENCE", "NOTICE", "USE_POLICY"};
    for (size_t i = 0; i < ARRAY_LEN(begin); i++)
        if (span_istarts(name, span_from(begin[i])) && span_find(name, '/') < 0)
            return true;
    return false;
}

/* What vLLM and its like read beside the weights. No code: a model that brings its own is for a
 * person to look at first. */
static bool is_beside(struct span name)
{
    static const char *const ends[] = {".json", ".txt", ".model", ".tiktoken", ".jinja"};
    if (span_find(name, '/') >= 0 || span_is(name, HUB_MANIFEST))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (span_ends(name, span_from(ends[i])))
            return true;
    return false;
}

static bool is_consolidated(struct span name)
{
    return span_istarts(name, SPAN("consolidated"));
}

static bool is_tensors(struct span name)
{
    return span_ends(name, SPAN(".safetensors")) && span_find(name, '/') < 0;
}

/* "x-00002-of-00003.gguf" -> "x": the parts of one file share it. */
static struct span stem(struct span name)
{
    static const char shape[] = "-ddddd-of-ddddd.gguf";
    size_t n = sizeof shape - 1;
    if (name.len <= n)
        return name;
    const char *tail = name.at + name.len - n;
    for (size_t i = 0; i < n; i++)
        if (shape[i] == 'd' ? !isdigit((unsigned char)tail[i]) : tail[i] != shape[i])
            return name;
    return span_take(name, name.len - n);
}

static void take(struct hub_choice *c, const struct hub_file *f)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->files[i]->name, f->name) == 0)
            return;
    c->files[c->count++] = f;
    c->bytes += f->size;
}

/* "the GGUF files there: a (4 GB), b (5 GB)" */
static const char *listing(struct arena *a, const struct hub_model *m, const char *begin,
                           bool (*wanted)(struct span name))
{
    struct span s = arena_printf(a, "%s", begin);
    char text[HUB_BYTES_TEXT];
    size_t shown = 0, more = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct hub_file *f = &m->files[i];
        if (!wanted(span_from(f->name)))
            continue;
        if (shown == LISTED_MAX)
            more++;
        else
            s = arena_printf(a, "%.*s\n  %s (%s)", SPAN_FMT(s), f->name,
                             hub_bytes(text, (double)f->size)),
            shown++;
    }
    return more ? arena_printf(a, "%.*s\n  and %zu more", SPAN_FMT(s), more).at : s.at;
}

static enum err by_names(struct arena *a, const struct hub_model *m, const struct hub_wish *w,
                         struct hub_choice *out, const char **out_why)
{
    for (size_t n = 0; n < w->name_count; n++) {
        const struct hub_file *found = NULL;
        for (size_t i = 0; i < m->count && !found; i++)
            found = strcmp(m->files[i].name, w->names[n]) == 0 ? &m->files[i] : NULL;
        if (found && strcmp(found->name, HUB_MANIFEST) == 0) {
            *out_why = HUB_MANIFEST " is what a pull writes itself: it cannot come from a hub";
            return ERR_INVALID;
        }
        if (!found) {
            *out_why =
                listing(a, m, arena_printf(a, "it has no file \"%s\"; there are:", w->names[n]).at,
                        hub_name_safe);
            return ERR_NOT_FOUND;
        }
        take(out, found);
    }
    return ERR_OK;
}

static enum err gguf_of(struct arena *a, const struct hub_model *m, struct span level,
                        struct hub_choice *out, const char **out_why)
{
    struct span first = SPAN_EMPTY;
    for (size_t i = 0; i < m->count; i++) {
        struct span name = span_from(m->files[i].name);
        if (!is_gguf(name) || (level.len && !has_level(name, level)))
            continue;
        if (first.at && !span_eq(stem(name), first)) {
            *out_why = listing(a, m,
                               level.len ? "several GGUF files are of that level; name one with "
                                           "--file:"
                                         : "it has several GGUF files; name a level "
                                           "(MODEL:Q4_K_M) or one with --file:",
                               is_gguf);
            return ERR_INVALID;
        }
        first = stem(name);
        take(out, &m->files[i]);
    }
    if (out->count > 0)
        return ERR_OK;
    *out_why = listing(
        a, m, arena_printf(a, "it has no GGUF file of level %.*s; there are:", SPAN_FMT(level)).at,
        is_gguf);
    return ERR_NOT_FOUND;
}

static bool any(const struct hub_model *m, bool (*is)(struct span name))
{
    for (size_t i = 0; i < m->count; i++)
        if (is(span_from(m->files[i].name)))
            return true;
    return false;
}

static bool is_plain_tensors(struct span name)
{
    return is_tensors(name) && !is_consolidated(name);
}

static void tensors_of(const struct hub_model *m, struct hub_choice *out)
{
    bool (*weights)(struct span) = any(m, is_plain_tensors) ? is_plain_tensors : is_tensors;
    bool plain = weights == is_plain_tensors;
    for (size_t i = 0; i < m->count; i++) {
        struct span name = span_from(m->files[i].name);
        if (weights(name) || (is_beside(name) && !(plain && is_consolidated(name))))
            take(out, &m->files[i]);
    }
}

enum err hub_choose(struct arena *a, const struct hub_model *m, const struct hub_wish *w,
                    struct hub_choice *out, const char **out_why)
{
    enum err e = ERR_OK;
    *out = (struct hub_choice){.count = 0};
    if (w->name_count)
        return by_names(a, m, w, out, out_why);
    if (w->quant.len || !any(m, is_tensors)) {
        if (!any(m, is_gguf)) {
            *out_why = w->quant.len
                           ? "it has no GGUF files: leave the level out, or name another model"
                           : "it has weights neither as safetensors nor as GGUF. Pickled weights "
                             "run code when they are read and are not taken by rule: --file NAME "
                             "takes what you name";
            return ERR_NOT_FOUND;
        }
        e = gguf_of(a, m, w->quant, out, out_why);
    } else {
        tensors_of(m, out);
    }
    for (size_t i = 0; i < m->count && e == ERR_OK; i++)
        if (is_licence(span_from(m->files[i].name)))
            take(out, &m->files[i]);
    return e;
}

const char *hub_bytes(char text[HUB_BYTES_TEXT], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t u = 0;
    while (bytes >= 999.5 && u + 1 < ARRAY_LEN(units)) {
        bytes /= 1000;
        u++;
    }
    (void)snprintf(text, HUB_BYTES_TEXT, u == 0 || bytes >= 99.95 ? "%.0f %s" : "%.3g %s", bytes,
                   units[u]);
    return text;
}
