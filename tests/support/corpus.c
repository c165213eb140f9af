#include "support/corpus.h"

#include "base/span.h"
#include "json/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

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
    item->response = load(a, dir, item->id, "response.sse");
    item->streamed = item->response.len > 0;
    if (!item->streamed)
        item->response = load(a, dir, item->id, "response.json");
    if (item->response.len == 0) {
        item->response = load(a, dir, item->id, "response.bin");
        item->streamed = item->framed = item->response.len > 0;
    }
}

struct corpus corpus_open(struct arena *a, const char *protocol)
{
    struct corpus c = {0};
    if (!corpus_there())
        return c;
    struct span dir = arena_printf(a, "%s/corpus/%s", getenv("HOTSPARE_CORPUS"), protocol);
    struct dirent **names;
    int n = scandir(dir.at, &names, NULL, alphasort);
    if (n < 0)
        return c;
    c.items = arena_array(a, struct corpus_item, (size_t)n);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            struct corpus_item *item = &c.items[c.count++];
            item->id = arena_cstr(a, span_from(names[i]->d_name));
            load_item(a, dir.at, item);
        }
        free(names[i]);
    }
    free(names);
    return c;
}
