/* A plot in cells: a letter for each point with its interval as a bar, the points of a series joined. Pure functions. Private to tui/. */
#ifndef ESPALIER_TUI_PLOT_H
#define ESPALIER_TUI_PLOT_H

#include "tui/canvas.h"

struct tui_plot_point {
    double x;            /* above 0: the axis is logarithmic; less counts as 1 */
    double y, low, high; /* from 0 to 1; shown in per cent */
};
struct tui_plot_series {
    const struct tui_plot_point *points; /* in order of x */
    int count;
    enum tui_role role; /* what it is drawn in; the rest of the plot is TUI_TEXT */
};
char tui_plot_letter(int series); /* a, b, ... z, A, ... Z; '?' for more */
/* On a canvas of at least 24 x 6 cells, and on all of it. Where bars would cover each other one is drawn beside its place, at most four
 * columns away. `caption` stands under the plot. */
void tui_plot_draw(const struct tui_plot_series *series, int count, const char *caption, struct tui_canvas *out);
/* Append the same as so many rows of text, of at most so many columns. */
void tui_plot(const struct tui_plot_series *series, int count, const char *caption, int columns, int rows, int ascii, struct string *out);

#endif
