/* Where the panes are: a pure function of the screen's size and of what is open. */
#ifndef ESPALIER_TUI_LAYOUT_H
#define ESPALIER_TUI_LAYOUT_H

#include "tui/canvas.h"

enum { TUI_LEAST_COLUMNS = 40, TUI_LEAST_ROWS = 12, TUI_WIDE_COLUMNS = 80 };

/* Invariants, for every size: all rectangles lie on the screen, none overlaps another, those that are shown have w, h > 0.
 * A pane that is not shown has w = h = 0. */
struct tui_layout {
    int too_small;       /* nothing else is set */
    int wide;            /* tree and thought side by side; else one at a time */
    struct tui_rect header, race, tree, thought, now, status, keys;
    int top, middle;     /* rows of the rules above the panes and above `now` */
    int bottom;          /* row of the rule below `now`, -1: none */
    int split;           /* column of the line between tree and thought, -1: none */
};

/* thought: the thought pane has the keys (it is the one shown where there is room for one). searches: in a race, a line for each, below
 * the header; none where they would leave less than the least screen. */
struct tui_layout tui_layout(int columns, int rows, int thought, int searches);

#endif
