/* The configuration's reader: whatever the text, it ends with problems or with a configuration;
 * what it shows reads back as the same; and no report or show holds what was given as a secret. */
#include "base/span.h"
#include "serve/config.h"

#define CANARY "canary0123456789"

static const char *env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "K") == 0 ? CANARY : NULL;
}

static struct config_source source_of(struct span text)
{
    /* Secrets are not kept, so that the text cannot make us wait for a pipe or a terminal. */
    return (struct config_source){.path = "f.yaml", .text = text, .env = env};
}

static void check_show(const struct config *c)
{
    struct arena a;
    struct config *again;
    struct config_report report;
    struct buf one, two;
    arena_init(&a, 1 << 26);
    buf_init(&one, 1 << 24);
    buf_init(&two, 1 << 24);
    config_show(c, false, &one);
    struct config_source s = source_of(buf_span(&one));
    enum err e = config_load(&s, &a, &again, &report);
    assert(e == ERR_OK);
    config_show(again, false, &two);
    assert(span_eq(buf_span(&one), buf_span(&two)));
    config_show(c, true, &two);
    assert(span_search(buf_span(&two), SPAN(CANARY)) < 0);
    config_unref(again);
    arena_deinit(&a);
    buf_deinit(&one);
    buf_deinit(&two);
}

static void check_report(const struct config_report *report, const struct config_source *s)
{
    struct buf text;
    buf_init(&text, 1 << 24);
    config_report_print(report, s, &text);
    for (size_t i = 0; i < text.len; i++)
        assert((unsigned char)text.at[i] >= ' ' || text.at[i] == '\n');
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct config_source s = source_of(text);
    struct arena a;
    struct config *c;
    struct config_report report;
    if (size > 1 << 16 || span_search(text, SPAN("file:")) >= 0 ||
        span_search(text, SPAN(CANARY)) >= 0)
        return 0;
    if (!text.at)
        s.text.at = "";
    arena_init(&a, 1 << 26);
    enum err e = config_load(&s, &a, &c, &report);
    assert((e == ERR_OK) == (c != NULL) && (e == ERR_OK) == (report.errors == 0));
    check_report(&report, &s);
    if (c)
        check_show(c);
    config_unref(c);
    arena_deinit(&a);
    return 0;
}
