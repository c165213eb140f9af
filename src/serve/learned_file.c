/* `target<TAB>model<TAB>fact<TAB>until (wall time, microseconds)`.
 *
 * The file may be damaged or a later version's: what is not understood is skipped and said once. A
 * fact that is lost costs one refusal, no more. */
#include "serve/learned_file.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "serve/state_file.h"

#include <inttypes.h>

#define FILE_NAME "learned"
#define LINES_MAX (4 * LEARNED_MAX) /* a file with more was not written by us */

struct saving {
    struct learned *learned;
    usec wall;
};

static bool write_all(void *ctx, FILE *to)
{
    const struct saving *at = ctx;
    struct learned_entry *all = mem_alloc(LEARNED_MAX * sizeof *all);
    size_t count = learned_list(at->learned, at->wall, all);
    bool good = true;
    for (size_t i = 0; good && i < count; i++)
        good = fprintf(to, "%s\t%s\t%s\t%" PRId64 "\n", all[i].target, all[i].model,
                       learned_fact_name(all[i].fact), all[i].until) >= 0;
    mem_free(all);
    return good;
}

void learned_file_save(struct learned *l, const char *state_dir, usec wall)
{
    struct saving at = {l, wall};
    state_file_write(state_dir, FILE_NAME, write_all, &at);
}

static bool take_name(struct span name, char out[LEARNED_NAME_MAX + 1])
{
    if (name.len > LEARNED_NAME_MAX)
        return false;
    memcpy(out, name.at, name.len);
    out[name.len] = '\0';
    return true;
}

static bool restore_line(struct learned *l, struct span line, usec wall)
{
    struct learned_entry e = {0};
    struct span target, model, fact, until;
    return span_next(&line, '\t', &target) && span_next(&line, '\t', &model) &&
           span_next(&line, '\t', &fact) && span_next(&line, '\t', &until) && line.len == 0 &&
           take_name(target, e.target) && take_name(model, e.model) &&
           learned_fact_parse(fact, &e.fact) == ERR_OK && span_i64(until, &e.until) == ERR_OK &&
           learned_restore(l, &e, wall) == ERR_OK;
}

void learned_file_load(struct learned *l, const char *state_dir, usec wall)
{
    char line[4 * LEARNED_NAME_MAX];
    int lines = 0, damaged = 0;
    FILE *from = state_file_open(state_dir, FILE_NAME);
    if (!from)
        return; /* none yet */
    for (; lines < LINES_MAX && fgets(line, sizeof line, from); lines++) {
        struct span text = span_from(line);
        if (text.len > 0 && text.at[text.len - 1] == '\n')
            text.len--;
        damaged += !restore_line(l, text, wall);
    }
    bool more = lines == LINES_MAX && fgetc(from) != EOF;
    (void)fclose(from); /* read only */
    if (damaged == 0 && !more)
        return;
    char count[16];
    (void)snprintf(count, sizeof count, "%d", damaged); /* fits */
    log_line(LOG_WARN, "learned_file_damaged", "folder", state_dir, "file", FILE_NAME,
             "lines_left_out", count, "why",
             more ? "it is longer than any that is written here"
                  : "not what is written here; the next save mends it",
             NULL);
}
