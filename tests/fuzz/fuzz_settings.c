/* Settings files of other programs: whatever is set in a text can be read again, is there when it
 * is set again, and is out again when it is taken out; lines come back byte for byte. The first
 * byte chooses the format; a NUL in what follows separates the file from what is added to it later.
 */
#include "tools/diff.h"
#include "tools/connect/edit.h"

static const struct edit_want json_wants[] = {{{"env", "URL"}, "http://x", 0}, {{"model"}, "m", 0}};
static const struct edit_want toml_wants[] = {
    {{"provider"}, "h", 0}, {{"p", "h", "url"}, "http://x", 0}, {{"p", "h", "name"}, "n", 0}};
static const struct edit_want yaml_wants[] = {{{"models", "name"}, "H", 0},
                                              {{"models", "url"}, "http://x", 0}};

static enum err set(enum edit_format f, struct span text, struct arena *a, struct span *out)
{
    struct edit_problem why;
    const struct edit_want *wants = f == EDIT_TOML   ? toml_wants
                                    : f == EDIT_YAML ? yaml_wants
                                                     : json_wants;
    size_t count = f == EDIT_TOML ? ARRAY_LEN(toml_wants) : 2;
    return edit_set(f, text, wants, count, "name: x\n", a, out, &why);
}

/* Applied to the old text, the hunks give the new one. */
static void check_diff(struct span old, struct span new, struct arena *a)
{
    struct diff_hunk h = {0};
    struct buf made, shown;
    size_t at = 0;
    buf_init(&made, 1 << 20);
    buf_init(&shown, 1 << 22);
    while (diff_next(old, new, &h)) {
        assert(buf_add(&made, (struct span){old.at + at, h.old_from - at}) == ERR_OK);
        assert(buf_add(&made, (struct span){new.at + h.new_from, h.new_to - h.new_from}) == ERR_OK);
        at = h.old_to;
    }
    assert(buf_add(&made, span_drop(old, at)) == ERR_OK);
    assert(span_eq(buf_span(&made), new));
    assert(diff_unified(old, new, "f", NULL, &shown) == ERR_OK);
    buf_deinit(&made);
    buf_deinit(&shown);
    (void)a;
}

static void check_unset(enum edit_format f, struct span before, struct span after, struct arena *a)
{
    struct edit_problem why;
    struct span back, again;
    size_t kept;
    enum err e = edit_unset(f, before, after, after, a, &back, &kept, &why);
    if (f == EDIT_TOML || f == EDIT_YAML) {
        /* our lines may stand there twice already; otherwise every byte is back */
        assert(e == ERR_NOT_FOUND || (e == ERR_OK && span_eq(back, before)));
        return;
    }
    assert(e == ERR_OK && kept == 0);
    assert(set(f, back, a, &again) == ERR_OK); /* it is still readable, and takes the values */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum edit_format formats[] = {EDIT_JSON, EDIT_JSONC, EDIT_TOML, EDIT_YAML};
    if (size < 1 || size > 1 << 14)
        return 0;
    enum edit_format f = formats[data[0] & 3];
    struct span text = {(const char *)data + 1, size - 1}, after, again, back;
    ssize_t cut = span_find(text, '\0');
    struct span later = cut >= 0 ? span_drop(text, (size_t)cut + 1) : SPAN_EMPTY;
    text = cut >= 0 ? span_take(text, (size_t)cut) : text;
    struct arena a;
    struct edit_problem why;
    size_t kept;
    arena_init(&a, SIZE_MAX);
    check_diff(text, later, &a);
    if (set(f, text, &a, &after) == ERR_OK) {
        enum err e = set(f, after, &a, &again);
        assert(f == EDIT_YAML ? e == ERR_EXISTS : e == ERR_OK && span_eq(after, again));
        check_diff(text, after, &a);
        check_unset(f, text, after, &a);
        (void)edit_unset(f, text, after, later, &a, &back, &kept, &why); /* anything at all */
    }
    arena_deinit(&a);
    return 0;
}
