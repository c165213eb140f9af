/* First line: `hotspare capabilities 1`. Then
 * `target<TAB>model<TAB>url<TAB>wall time (microseconds)<TAB>facts<TAB>first token (microseconds,
 * -1)<TAB>tokens/s`, with facts as `images=no,stop=yes`.
 *
 * The file may be damaged or a later version's: what is not understood is skipped and said once. A
 * model that is lost is taken for what its kind presumes, as before it was probed. */
#include "serve/probed_file.h"

#include "base/log.h"
#include "base/span.h"
#include "serve/state_file.h"

#include <inttypes.h>

#define FILE_NAME "capabilities"
#define HEAD "hotspare capabilities 1"
#define LINE_MAX_BYTES 2048

/* ---- writing ---- */

struct saving {
    const struct probed *all;
    size_t count;
};

static bool write_facts(const struct probed *p, FILE *to)
{
    const char *comma = "";
    bool good = true;
    for (enum probed_fact f = 0; f < PROBED_FACTS; f++) {
        if (!(p->known & BIT(f)))
            continue;
        good = good && fprintf(to, "%s%s=%s", comma, probed_fact_name(f),
                               p->can & BIT(f) ? "yes" : "no") >= 0;
        comma = ",";
    }
    return good;
}

static bool write_all(void *ctx, FILE *to)
{
    const struct saving *s = ctx;
    bool good = fputs(HEAD "\n", to) >= 0;
    for (size_t i = 0; good && i < s->count; i++) {
        const struct probed *p = &s->all[i];
        good = fprintf(to, "%s\t%s\t%s\t%" PRId64 "\t", p->target, p->model, p->url, p->at) >= 0 &&
               write_facts(p, to) &&
               fprintf(to, "\t%" PRId64 "\t%.3f\n", p->first_us, p->rate) >= 0;
    }
    return good;
}

/* ---- reading ---- */

static bool take_name(struct span name, char *out, size_t max)
{
    if (name.len == 0 || name.len > max)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.at[i] < 0x20 || name.at[i] == 0x7F)
            return false;
    memcpy(out, name.at, name.len);
    out[name.len] = '\0';
    return true;
}

/* A fact that a later version knows is none of ours, and no damage. */
static bool read_facts(struct span text, struct probed *p)
{
    struct span one, name;
    while (text.len > 0 && span_next(&text, ',', &one)) {
        enum probed_fact f;
        if (!span_next(&one, '=', &name) || (!span_is(one, "yes") && !span_is(one, "no")))
            return false;
        if (probed_fact_parse(name, &f) != ERR_OK)
            continue;
        p->known |= BIT(f);
        p->can |= span_is(one, "yes") ? BIT(f) : 0;
    }
    return true;
}

static bool read_line(struct span line, struct probed *p)
{
    struct span target, model, url, at, facts, first, rate;
    *p = (struct probed){0};
    return span_next(&line, '\t', &target) && span_next(&line, '\t', &model) &&
           span_next(&line, '\t', &url) && span_next(&line, '\t', &at) &&
           span_next(&line, '\t', &facts) && span_next(&line, '\t', &first) &&
           span_next(&line, '\t', &rate) && line.len == 0 &&
           take_name(target, p->target, PROBED_NAME_MAX) &&
           take_name(model, p->model, PROBED_NAME_MAX) && take_name(url, p->url, PROBED_URL_MAX) &&
           span_i64(at, &p->at) == ERR_OK && p->at > 0 && read_facts(facts, p) &&
           span_i64(first, &p->first_us) == ERR_OK && p->first_us >= -1 &&
           span_double(rate, &p->rate) == ERR_OK && p->rate >= 0;
}

static void say_damaged(const char *state_dir, int lines, bool version)
{
    char count[16];
    (void)snprintf(count, sizeof count, "%d", lines); /* fits */
    log_line(LOG_WARN, "capabilities_file_damaged", "folder", state_dir, "file", FILE_NAME,
             "lines_left_out", count, "why",
             version ? "it does not begin with \"" HEAD "\": damaged, or of another version"
                     : "not what is written here; the next probe of these models mends it",
             NULL);
}

static struct span without_newline(const char *line)
{
    struct span text = span_from(line);
    return text.len > 0 && text.at[text.len - 1] == '\n' ? span_take(text, text.len - 1) : text;
}

size_t probed_file_load(const char *state_dir, struct arena *a, struct probed **out)
{
    char line[LINE_MAX_BYTES];
    size_t count = 0;
    int damaged = 0;
    FILE *from = state_dir ? state_file_open(state_dir, FILE_NAME) : NULL;
    *out = NULL;
    if (!from)
        return 0; /* none yet */
    bool ours = fgets(line, sizeof line, from) && span_is(without_newline(line), HEAD);
    if (ours)
        *out = arena_array(a, struct probed, PROBED_MAX);
    while (ours && fgets(line, sizeof line, from)) {
        bool good = count < PROBED_MAX && read_line(without_newline(line), &(*out)[count]);
        count += good;
        damaged += !good;
    }
    (void)fclose(from); /* read only */
    if (!ours || damaged > 0)
        say_damaged(state_dir, damaged, !ours);
    return count;
}

/* ---- both ---- */

static bool is_kept(const struct probed *p)
{
    char scratch[PROBED_URL_MAX + 1];
    return take_name(span_from(p->target), scratch, PROBED_NAME_MAX) &&
           take_name(span_from(p->model), scratch, PROBED_NAME_MAX) &&
           take_name(span_from(p->url), scratch, PROBED_URL_MAX);
}

/* Its place: that of an older word on the same model, a free one, or the oldest's. */
static size_t place(const struct probed *all, size_t count, const struct probed *p)
{
    size_t oldest = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].target, p->target) == 0 && strcmp(all[i].model, p->model) == 0)
            return i;
        if (all[i].at < all[oldest].at)
            oldest = i;
    }
    return count < PROBED_MAX ? count : oldest;
}

bool probed_file_add(const char *state_dir, const struct probed *fresh, size_t count)
{
    struct arena a;
    struct probed *all;
    bool good = true;
    arena_init(&a, (size_t)1 << 20);
    struct saving s = {.count = probed_file_load(state_dir, &a, &all)};
    if (!all)
        all = arena_array(&a, struct probed, PROBED_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!is_kept(&fresh[i])) {
            good = false;
            continue;
        }
        size_t at = place(all, s.count, &fresh[i]);
        all[at] = fresh[i];
        s.count += at == s.count;
    }
    s.all = all;
    state_file_write(state_dir, FILE_NAME, write_all, &s);
    arena_deinit(&a);
    return good;
}
