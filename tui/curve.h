/* Losses as a plot of text: a curve of means, and marks of what was measured now and then. A pure function. Private to tui/. */
#ifndef ESPALIER_TUI_CURVE_H
#define ESPALIER_TUI_CURVE_H

#include "tui/canvas.h"

struct tui_curve {
    const double *y; /* y[i] at x = (i + 1) * width */
    int count, width;
    const double *mark_x, *mark_y;
    int marks;
};
/* Append so many rows of at most so many columns (at least 24 x 6): the curve in dots, marks as 'v', both axes linear; `caption` below. */
void tui_curve(const struct tui_curve *curve, const char *caption, int columns, int rows, int ascii, struct string *out);

#endif
