#include "support/corpus.h"

#include "base/span.h"
#include "json/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool corpus_there(void)
{
    const char *root = getenv("HOTSPARE_CORPUS");
    return root && *root;
}

static struct span load(struct arena *a, const char *dir, const char *id, const char *file)
{
    struct span path = arena_printf(a, "%s/%s/%s", dir, id, file);
    FILE *f = fopen(path.at, "rb");
    if (!f)
        return SPAN_EMPTY;
    struct span content = SPAN_EMPTY;
    if (fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        if (size > 0 && fseek(f, 0, SEEK_SET) == 0) {
            char *at = arena_alloc(a, (size_t)size);
            content = (struct span){at, fread(at, 1, (size_t)size, f)};
        }
    }
    (void)fclose(f); /* only read from */
    return content;
}

/* The first of its forms that is there. */
static void load_response(struct arena *a, const char *dir, struct corpus_item *item)
{
    static const struct {
        const char *file;
        bool streamed, framed, lines;
    } forms[] = {
        {"response.sse", true, false, false},
        {"response.json", false, false, false},
        {"response.bin", true, true, false},
        {"response.ndjson", true, false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(forms) && item->response.len == 0; i++) {
        item->response = load(a, dir, item->id, forms[i].file);
        if (item->response.len == 0)
            continue;
        item->response_file = forms[i].file;
        item->streamed = forms[i].streamed;
        item->framed = forms[i].framed;
        item->lines = forms[i].lines;
    }
}

static void load_item(struct arena *a, const char *dir, struct corpus_item *item)
{
    struct json_doc doc;
    int64_t status = 200;
    item->meta = load(a, dir, item->id, "meta.json");
    if (json_parse(a, item->meta, &json_limits_default, &doc, NULL) == ERR_OK) {
        struct json root = json_root(&doc);
        item->tier = json_str_is(json_get(root, "tier"), "B") ? 'B' : 'A';
        if (json_i64(json_get(root, "status"), &status) != ERR_OK)
            status = 200;
    }
    item->status = (int)status;
    item->request = load(a, dir, item->id, "request.json");
    load_response(a, dir, item);
}

/* Names in a folder but for hidden ones, in order; what the caller frees is each and the list. */
static int names_in(const char *dir, struct dirent ***out_names)
{
    int n = scandir(dir, out_names, NULL, alphasort), kept = 0;
    for (int i = 0; i < n; i++) {
        struct dirent *name = (*out_names)[i];
        if (name->d_name[0] == '.')
            free(name);
        else
            (*out_names)[kept++] = name;
    }
    return n < 0 ? -1 : kept;
}

/* What lies beside the protocols. */
static bool is_about(const char *name)
{
    return strcmp(name, "INDEX.tsv") == 0 || strcmp(name, "LICENSES") == 0 ||
           strcmp(name, "README.md") == 0;
}

const char **corpus_protocols(struct arena *a, size_t *out_count)
{
    struct dirent **names;
    *out_count = 0;
    if (!corpus_there())
        return NULL;
    struct span dir = arena_printf(a, "%s/corpus", getenv("HOTSPARE_CORPUS"));
    int n = names_in(dir.at, &names);
    if (n < 0)
        return NULL;
    const char **protocols = arena_array(a, const char *, (size_t)n);
    for (int i = 0; i < n; i++) {
        if (!is_about(names[i]->d_name))
            protocols[(*out_count)++] = arena_cstr(a, span_from(names[i]->d_name));
        free(names[i]);
    }
    free(names);
    return protocols;
}

const char *corpus_unread_file(struct arena *a, const char *protocol,
                               const struct corpus_item *item)
{
    const char *const read[] = {item->meta.len ? "meta.json" : "",
                                item->request.len ? "request.json" : "",
                                item->response_file ? item->response_file : ""};
    struct dirent **names;
    struct span dir =
        arena_printf(a, "%s/corpus/%s/%s", getenv("HOTSPARE_CORPUS"), protocol, item->id);
    const char *unread = NULL;
    int n = names_in(dir.at, &names);
    for (int i = 0; i < n; i++) {
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(read); k++)
            known = known || strcmp(names[i]->d_name, read[k]) == 0;
        if (!known)
            unread = arena_cstr(a, span_from(names[i]->d_name));
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return unread;
}

struct corpus corpus_open(struct arena *a, const char *protocol)
{
    struct corpus c = {0};
    if (!corpus_there())
        return c;
    struct span dir = arena_printf(a, "%s/corpus/%s", getenv("HOTSPARE_CORPUS"), protocol);
    struct dirent **names;
    int n = names_in(dir.at, &names);
    if (n < 0)
        return c;
    c.items = arena_array(a, struct corpus_item, (size_t)n);
    for (int i = 0; i < n; i++) {
        struct corpus_item *item = &c.items[c.count++];
        item->id = arena_cstr(a, span_from(names[i]->d_name));
        load_item(a, dir.at, item);
        free(names[i]);
    }
    free(names);
    return c;
}
