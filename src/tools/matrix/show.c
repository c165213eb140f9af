/* The matrix for people, for spreadsheets, for programs and as a picture. Every form says of each
 * value where it is from; what is not known is a dash, an empty cell or null. */
#include "json/json_write.h"
#include "tools/matrix/matrix_internal.h"
#include <math.h>

#define NAME_WIDTH 52

static const struct column {
    const char *name, *title;
    size_t at;
    const char *format;
    int width;
} columns[] = {
#define COLUMN(name, title, format, width)                                                         \
    {                                                                                              \
#name, title, offsetof(struct matrix_row, name), format, width                             \
    }
    COLUMN(speed, "tok/s", "%.0f", 7),   COLUMN(all, "all", "%.0f", 7),
    COLUMN(in, "$/M in", "%.2f", 8),     COLUMN(out, "$/M out", "%.2f", 8),
    COLUMN(cached, "cached", "%.3f", 8), COLUMN(blended, "blended", "%.2f", 9),
    COLUMN(first, "TTFT s", "%.2f", 8),  COLUMN(total, "total s", "%.2f", 8),
    COLUMN(day, "$/day", "%.2f", 9),     COLUMN(quality, "SWE-b.", "%.1f", 7),
#undef COLUMN
};
static const char *const keys[] = {
    "tokens_per_second",   "tokens_per_second_all",  "usd_per_million_in",
    "usd_per_million_out", "usd_per_million_cached", "usd_per_million_blended",
    "first_token_seconds", "total_seconds",          "usd_per_day",
    "swe_bench_verified"};

static const struct matrix_value *value_at(const struct matrix_row *r, size_t column)
{
    return (const void *)((const char *)r + columns[column].at);
}

const char *matrix_basis_name(enum matrix_basis b)
{
    static const char *const names[] = {"unknown", "listed", "estimated", "measured"};
    return names[b];
}

const char *matrix_kind_name(enum matrix_kind k)
{
    static const char *const names[] = {"cloud", "own", "live"};
    return names[k];
}

/* ---- for people ---- */

static void show_cell(FILE *to, const struct matrix_value *v, const struct column *c)
{
    char text[32] = "-";
    if (!isnan(v->v)) {
        char number[24];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* a row of the table above */
        (void)snprintf(number, sizeof number, c->format, v->v);
#pragma GCC diagnostic pop
        (void)snprintf(text, sizeof text, "%s%c", number, " LEM"[v->basis]);
    }
    (void)fprintf(to, "%*s", c->width + 1, text);
}

/* Oldest and newest date of a row's values; NULL: it has none. */
static void dates_of(const struct matrix_row *r, const char **oldest, const char **newest)
{
    for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
        const char *day = value_at(r, c)->as_of;
        if (!day)
            continue;
        *oldest = !*oldest || strcmp(day, *oldest) < 0 ? day : *oldest;
        *newest = !*newest || strcmp(day, *newest) > 0 ? day : *newest;
    }
}

/* What a day costs is told where there is a volume. */
static bool is_shown(const struct matrix *m, size_t column)
{
    return m->tokens_day > 0 || columns[column].at != offsetof(struct matrix_row, day);
}

static void show_row(const struct matrix *m, FILE *to, const struct matrix_row *r)
{
    char name[128], days[32] = "-";
    const char *oldest = NULL, *newest = NULL;
    dates_of(r, &oldest, &newest);
    if (oldest)
        (void)snprintf(days, sizeof days, "%s%s%s", oldest, oldest == newest ? "" : "..",
                       oldest == newest ? "" : newest);
    (void)snprintf(name, sizeof name, "%s %s", r->provider, r->model);
    (void)fprintf(to, "%-*.*s", NAME_WIDTH, NAME_WIDTH, name);
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        if (is_shown(m, c))
            show_cell(to, value_at(r, c), &columns[c]);
    (void)fprintf(to, "  %-20s  %s%s%s%s%s%s\n", days, r->hardware ? r->hardware : "",
                  r->hardware ? "; " : "", r->stands_for[0] ? "[" : "", r->stands_for,
                  r->stands_for[0] ? "] " : "", r->when);
}

/* How far published figures lie from the estimates of each kind that stands in the table. */
static void show_bands(const struct matrix *m, FILE *to)
{
    bool said[SPEED_CLASS_COUNT] = {false};
    for (size_t i = 0; i < m->count; i++) {
        const struct speed_band *b = m->rows[i].band;
        if (!b || said[b->kind])
            continue;
        said[b->kind] = true;
        (void)fprintf(to,
                      "  E of %s: times and costs from %.0f %% less to %.0f %% more hold all %u "
                      "published figures of the kind",
                      b->why, 100 * b->faster, 100 * b->slower, b->rows);
        if (b->half > 0)
            (void)fprintf(to, "; half of them are within %.0f %%", 100 * b->half);
        (void)fputc('\n', to);
    }
}

static void show_dates(const struct matrix *m, FILE *to)
{
    (void)fprintf(
        to, "\nL listed, E estimated, M measured (by the gateway, or by a probe), each on the "
            "day its row says; --json has the day and range of each value.\n");
    show_bands(m, to);
    (void)fprintf(to,
                  "Prompt %.0f and answer %.0f tokens. Own cards: %s; $/M out lets answers bear "
                  "all of it. SWE-bench figures are their "
                  "makers' and not comparable.\n",
                  m->isl, m->osl,
                  m->tokens_day > 0
                      ? "rented all day for the volume given"
                      : "rented by the hour and busy as --busy says; below a fifth of "
                        "the hour a hosted model is nearly always cheaper");
}

void matrix_show(const struct matrix *m, FILE *to)
{
    (void)fprintf(to, "%-*s", NAME_WIDTH, "provider model");
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        if (is_shown(m, c))
            (void)fprintf(to, "%*s", columns[c].width + 1, columns[c].title);
    (void)fprintf(to, "  %-22swhen\n", "as of");
    for (size_t i = 0; i < m->count; i++)
        show_row(m, to, &m->rows[i]);
    show_dates(m, to);
}

/* ---- CSV: a cell that a spreadsheet could take for a formula is none of ours ---- */

static void csv_text(FILE *to, const char *s)
{
    (void)fputc('"', to);
    for (; *s; s++) {
        if (*s == '"')
            (void)fputc('"', to);
        (void)fputc(*s, to);
    }
    (void)fputs("\",", to);
}

void matrix_csv(const struct matrix *m, FILE *to)
{
    (void)fputs("kind,provider,model,hardware,stands_for,", to);
    for (size_t c = 0; c < ARRAY_LEN(columns); c++)
        (void)fprintf(to, "%s,%s_basis,%s_as_of,", keys[c], keys[c], keys[c]);
    (void)fputs("when\n", to);
    for (size_t i = 0; i < m->count; i++) {
        const struct matrix_row *r = &m->rows[i];
        csv_text(to, matrix_kind_name(r->kind));
        csv_text(to, r->provider);
        csv_text(to, r->model);
        csv_text(to, r->hardware ? r->hardware : "");
        csv_text(to, r->stands_for);
        for (size_t c = 0; c < ARRAY_LEN(columns); c++) {
            const struct matrix_value *v = value_at(r, c);
            if (isnan(v->v))
                (void)fputs(",,,", to);
            else
                (void)fprintf(to, "%.6g,%s,%s,", v->v, matrix_basis_name(v->basis),
                              v->as_of ? v->as_of : "");
        }
        (void)fprintf(to, "\"%s\"\n", r->when);
    }
}

/* ---- JSON ---- */

static void json_value(struct json_out *w, const char *key, const struct matrix_value *v)
{
    jw_key(w, key);
    if (isnan(v->v)) {
        jw_null(w);
        return;
    }
    jw_object(w);
    jw_key(w, "value");
    jw_double(w, v->v);
    jw_key(w, "basis");
    jw_cstr(w, matrix_basis_name(v->basis));
    jw_key(w, "as_of");
    if (v->as_of)
        jw_cstr(w, v->as_of);
    else
        jw_null(w);
    if (v->range.most > 0) {
        jw_key(w, "least");
        jw_double(w, v->range.least);
        jw_key(w, "most");
        jw_double(w, v->range.most);
    }
    jw_object_end(w);
}

static void json_text(struct json_out *w, const char *key, const char *text)
{
    jw_key(w, key);
    if (text && text[0])
        jw_cstr(w, text);
    else
        jw_null(w);
}

void matrix_json(const struct matrix *m, struct buf *out)
{
    struct json_out w;
    json_out_buf(&w, out);
    jw_object(&w);
    json_text(&w, "schema", "hotspare.matrix/1");
    json_text(&w, "for", m->order);
    jw_key(&w, "prompt_tokens");
    jw_double(&w, m->isl);
    jw_key(&w, "answer_tokens");
    jw_double(&w, m->osl);
    jw_key(&w, "rows");
    jw_array(&w);
    for (size_t i = 0; i < m->count; i++) {
        const struct matrix_row *r = &m->rows[i];
        jw_object(&w);
        json_text(&w, "kind", matrix_kind_name(r->kind));
        json_text(&w, "provider", r->provider);
        json_text(&w, "model", r->model);
        json_text(&w, "hardware", r->hardware);
        json_text(&w, "stands_for", r->stands_for);
        json_text(&w, "when", r->when);
        for (size_t c = 0; c < ARRAY_LEN(columns); c++)
            json_value(&w, keys[c], value_at(r, c));
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
}
