/* What a model hub answers, and what is chosen of it. The first byte picks the wish. Whatever was
 * accepted stays in its folder, comes once, has a size in bounds and a sum that is one, and no word
 * of it moves a terminal's cursor. */
#include "base/span.h"
#include "tools/pull/hub.h"

#include <stdlib.h>

#define ARENA_MAX ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool plain(const char *s)
{
    for (; *s; s++)
        if (((unsigned char)*s < 0x20 && *s != '\n') || *s == 0x7f)
            return false;
    return true;
}

static void accepted(const struct hub_model *m)
{
    check(strlen(m->commit) == 40 && m->count <= HUB_FILES_MAX);
    check(!m->licence || (plain(m->licence) && !strchr(m->licence, '\n')));
    for (size_t i = 0; i < m->count; i++) {
        const struct hub_file *f = &m->files[i];
        check(hub_name_safe(span_from(f->name)) && f->size <= HUB_SIZE_MAX);
        check(f->name[0] != '/' && !strstr(f->name, "/../") && strncmp(f->name, "../", 3) != 0);
        check(!f->sum || strlen(f->sum) == 64 || strlen(f->sum) == 40);
        for (size_t k = 0; k < i; k++)
            check(strcmp(f->name, m->files[k].name) != 0);
    }
}

static void choose(struct arena *a, const struct hub_model *m, uint8_t how)
{
    static const char *const levels[] = {"", "Q4_K_M", "Q8_0", "F16"};
    const char *why = NULL, *names[2] = {m->count ? m->files[0].name : "x", HUB_MANIFEST};
    struct hub_wish w = {.quant = span_from(levels[how % 4]),
                         .names = how & 4 ? names : NULL,
                         .name_count = how & 4 ? 1 + (how >> 3) % 2 : 0};
    struct hub_choice *c = arena_new(a, struct hub_choice);
    uint64_t bytes = 0;
    if (hub_choose(a, m, &w, c, &why) != ERR_OK) {
        check(why != NULL && why[0] && plain(why));
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        check(strcmp(c->files[i]->name, HUB_MANIFEST) != 0);
        for (const char *e = hub_escaped(a, c->files[i]->name, true); *e; e++)
            check(strchr("?# \"", *e) == NULL && (unsigned char)*e < 0x80);
        bytes += c->files[i]->size;
    }
    check(bytes == c->bytes);
}

static void words(struct span text)
{
    struct hub_ref ref;
    const char *why = NULL;
    if (hub_ref_read(text, &ref, &why) == ERR_OK)
        check(ref.id.len + ref.quant.len <= text.len && !memchr(text.at, 0, text.len) &&
              span_search(ref.id, SPAN("..")) < 0);
    if (hub_revision_valid(text))
        check(!memchr(text.at, 0, text.len) && text.at[0] != '-');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct hub_model m;
    const char *why = NULL;
    if (size == 0)
        return 0;
    struct span rest = {(const char *)data + 1, size - 1};
    arena_init(&a, ARENA_MAX);
    words(rest);
    if (hub_read(&a, rest, &m, &why) == ERR_OK) {
        accepted(&m);
        choose(&a, &m, data[0]);
    } else {
        check(why != NULL && why[0] && plain(why));
    }
    arena_deinit(&a);
    return 0;
}
