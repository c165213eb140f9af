#pragma once
/* Pictures as SVG text: the few shapes the planner's pictures are made of. Knows no plan, no
 * matrix.
 *
 * A picture brings its own background, light or dark as the viewer prefers, and colours that stay
 * apart for the colour-blind. Widths of text are estimated (there is no font to ask), so text that
 * might be too long is cut and told whole in its tooltip. At the bound of the buffer a picture is
 * cut; callers check buf->len against it. */
#include "base/buf.h"

#define SVG_BLUE "#0072b2"
#define SVG_GREEN "#009e73"
#define SVG_ORANGE "#e69f00"
#define SVG_RED "#d55e00"
#define SVG_FONT 13.0 /* px, unless another size is said */

void svg_put(struct buf *out, const char *format, ...) PRINTF_LIKE(2, 3);
/* s as character data or attribute: markup is escaped, control characters and what is no UTF-8 are
 * left out. */
void svg_escaped(struct buf *out, const char *s);

/* Opens and closes the document. width, height in px. */
void svg_open(struct buf *out, double width, double height, const char *title);
void svg_close(struct buf *out);

/* px a line of text takes, a little more rather than less: Latin by letter, CJK and the like as
 * wide as they are high. */
double svg_text_width(const char *s, double size);

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };
struct svg_text {
    double x, y; /* y: the base line */
    double size; /* 0: SVG_FONT */
    double most; /* px it may take; what is longer is cut with an ellipsis; 0: no bound */
    enum svg_anchor anchor;
    bool muted; /* second to the rest */
};
void svg_text(struct buf *out, const struct svg_text *t, const char *s);

/* A filled rectangle with a tooltip. */
void svg_bar(struct buf *out, double x, double y, double width, double height, const char *fill,
             const char *tooltip);

/* A faint stripe across the picture, to lead the eye along every second line. */
void svg_stripe(struct buf *out, double y, double height);

struct svg_key {
    const char *fill, *name;
};
/* Squares with names in a row from x on; returns where it ends. */
double svg_legend(struct buf *out, double x, double y, const struct svg_key *keys, size_t count);

/* A scale across the picture. */
struct svg_axis {
    double least, most; /* values; of a logarithmic one above 0 */
    double from, to;    /* px */
    bool log;
};
double svg_place(const struct svg_axis *a, double value); /* px, within from .. to */
/* Grid lines from y `top` to `bottom` and numbers (with `unit` behind) below. */
void svg_ticks(struct buf *out, const struct svg_axis *a, double top, double bottom,
               const char *unit);
/* The same of an axis that goes up (from: its lower end): lines from x `left` to `right`, numbers
 * left of them. */
void svg_ticks_up(struct buf *out, const struct svg_axis *a, double left, double right,
                  const char *unit);
