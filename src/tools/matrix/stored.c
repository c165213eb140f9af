/* See stored.h. The configuration is read without its secrets. */
#include "tools/matrix/stored.h"

#include "base/span.h"
#include "serve/load.h"
#include "serve/probed_file.h"

static const char *kind_of(const struct config *c, const char *target)
{
    for (size_t i = 0; i < c->target_count; i++)
        if (strcmp(c->targets[i].name, target) == 0)
            return target_kind_name(c->targets[i].kind);
    return "";
}

bool stored_probes(const char *file, struct arena *a, struct stored_probe **out, size_t *out_count,
                   const char **out_why)
{
    struct load_flags flags = {.config = file};
    struct loaded l;
    struct probed *all;
    const char *why = "it has errors; hotspare config check tells them";
    bool good = load_config(&flags, false, false, &l, &why) == ERR_OK;
    if (good && !l.config->state_dir) {
        why = "it has no state_dir, where probes are kept";
        good = false;
    }
    if (good) {
        *out_count = probed_file_load(l.config->state_dir, a, &all);
        *out = arena_array(a, struct stored_probe, *out_count);
        for (size_t i = 0; i < *out_count; i++)
            (*out)[i] = (struct stored_probe){&all[i], kind_of(l.config, all[i].target)};
    } else {
        *out_why = arena_cstr(a, span_from(why));
    }
    loaded_deinit(&l);
    return good;
}
