/* Where the panes are: a pure function of the screen's size, of what is open, and of where the user has put the lines between. */
#ifndef ESPALIER_TUI_LAYOUT_H
#define ESPALIER_TUI_LAYOUT_H

#include "tui/canvas.h"

enum { TUI_LEAST_COLUMNS = 40, TUI_LEAST_ROWS = 12, TUI_WIDE_COLUMNS = 80 };
enum { TUI_PANES = 4, TUI_LEAST_WIDTH = 24, TUI_LEAST_HEIGHT = 3 }; /* least: of a pane beside or above another */

/* Pane 0 is the left one; the others stand at the right, from the top. */
struct tui_arrangement {
    int panes;            /* how many are open: 2 .. TUI_PANES */
    int focus;            /* the one that has the keys, < panes: where there is no room for all, it is shown */
    int zoom;             /* it alone is shown */
    int split;            /* how many of a thousand columns are the left pane's */
    int share[TUI_PANES]; /* how the rows at the right are shared beyond the least each needs; [0] is not used, all 0: evenly */
};

/* Invariants, for every size: all rectangles lie on the screen, none overlaps another, those that are shown have w, h > 0.
 * A pane that is not shown has w = h = 0. The row above a shown pane is a rule: its title stands there. */
struct tui_layout {
    int too_small;        /* nothing else is set */
    int wide;             /* there is a frame, and room for panes side by side */
    struct tui_rect header, race, panes[TUI_PANES], now, status, keys;
    int top, middle;      /* rows of the rules above the panes and above `now` */
    int bottom;           /* row of the rule below `now`, -1: none */
    int split;            /* column of the line between left and right, -1: none */
};

/* searches: in a race, a line for each, below the header; none where they would leave less than the least screen. */
struct tui_layout tui_layout(int columns, int rows, const struct tui_arrangement *a, int searches);

/* The pane that has the cell, or -1. */
int tui_layout_pane(const struct tui_layout *l, int x, int y);
/* A line that can be moved: 0, the one between left and right; i, the rule above pane i; -1: there is none at the cell. */
int tui_layout_line(const struct tui_layout *l, int x, int y);
/* Move that line to where the cell is, as far as the least sizes let it. */
void tui_layout_move(struct tui_arrangement *a, const struct tui_layout *l, int line, int x, int y);

#endif
