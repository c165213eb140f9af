#pragma once
/* Rows of the matrix, and what fills, reads and shows them. A value that is not known stays NAN. */
#include "base/buf.h"
#include "local/estimate.h"
#include <stdio.h>

#define MATRIX_ROWS_MAX 400u

enum matrix_basis { MATRIX_UNKNOWN, MATRIX_LISTED, MATRIX_ESTIMATED, MATRIX_MEASURED };
struct matrix_value {
    double v; /* NAN: not known */
    enum matrix_basis basis;
    const char *as_of;
    struct range range; /* of an estimate: published figures of its kind lie within; else 0 */
};
enum matrix_kind { MATRIX_CLOUD, MATRIX_OWN, MATRIX_LIVE };
struct matrix_row {
    enum matrix_kind kind;
    const char *provider, *model, *hardware; /* hardware: NULL for hosted ones */
    const char *stands_for;                  /* a row of the source's matrix, or "" */
    const char *when;
    bool open;                      /* its weights are */
    struct matrix_value speed, all; /* tokens/s of one conversation, of all together */
    struct matrix_value in, out, cached, blended; /* USD per million tokens */
    struct matrix_value first, total;             /* seconds */
    struct matrix_value day;                      /* USD a day, of the volume given */
    struct matrix_value quality;                  /* SWE-bench Verified, not comparable */
    const struct speed_band *band;                /* of its estimates; NULL: there are none */
};
struct matrix {
    struct facts facts;
    struct arena arena;
    struct matrix_row rows[MATRIX_ROWS_MAX];
    size_t count;
    const char *order, *gpu, *svg, *admin, *config, *catalogue, *today;
    double tokens_day, ratio, usd_h, busy;
    bool json, csv, all, help;
    double isl, osl;
};

struct matrix_row *matrix_add(struct matrix *m); /* all values unknown; NULL: no room */
void matrix_listed(struct matrix *m, const struct fact_price *p, struct matrix_row *r);
/* Rows of a running gateway, from /metrics at its admin address. false: a sentence in *out_why. */
bool matrix_live(struct matrix *m, const char **out_why);
/* Rows of what `hotspare probe` measured for the targets of m->config. As above. */
bool matrix_probed(struct matrix *m, const char **out_why);
/* As matrix_live, from the text of /metrics. */
void matrix_read_metrics(struct matrix *m, struct span text);

const char *matrix_basis_name(enum matrix_basis b);
const char *matrix_kind_name(enum matrix_kind k);
void matrix_show(const struct matrix *m, FILE *to);
void matrix_csv(const struct matrix *m, FILE *to);
void matrix_json(const struct matrix *m, struct buf *out);
void matrix_svg(const struct matrix *m, struct buf *out);
