/* A canvas: a grid of cells that panes draw on. It knows no terminal, so a screen can be dumped as text, compared and tested.
 * All text becomes cells here and passes tui_cluster_next on the way: no pane can let a control byte through. */
#ifndef ESPALIER_TUI_CANVAS_H
#define ESPALIER_TUI_CANVAS_H

#include "kernels/kernels.h"
#include "tui/theme.h"
#include "tui/width.h"

/* Invariant: a cell of width 2 is followed, in its row, by one of width 0, which shows nothing of its own. */
struct tui_cell {
    int32_t scalars[TUI_CLUSTER]; /* 0 after the last */
    uint8_t width;
    struct tui_style style;
};

struct tui_rect {
    int x, y, w, h;
};

struct tui_canvas {
    int w, h, capacity;     /* capacity: in cells */
    int ascii;              /* every cell drawn is ASCII: our own signs by a table, other text as '?' */
    struct tui_cell *cells; /* [h][w] */
};

void tui_canvas_size(struct tui_canvas *c, int w, int h); /* and clear; {0} is a canvas of no cells */
void tui_canvas_rows(struct tui_canvas *c, int h);        /* more or fewer rows; what stands in the others stays */
void tui_canvas_free(struct tui_canvas *c);

/* Draw text from (x, y) to the right, in at most `limit` columns, all clipped to the canvas. Returns the columns used. */
int tui_canvas_text(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text);
int tui_canvas_bytes(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text, size_t n);
/* The same, and when it does not fit the last column shows that by an ellipsis. */
int tui_canvas_cut(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text);
/* Right-aligned in `limit` columns. */
int tui_canvas_right(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text);
int tui_canvas_cluster(struct tui_canvas *c, int x, int y, struct tui_style style, const struct tui_cluster *cluster);
void tui_canvas_fill(struct tui_canvas *c, struct tui_rect r, struct tui_style style, int32_t scalar);
/* A bar of `columns` cells, filled to `part` (0..1) in steps of half a cell; the rest stays blank. */
void tui_canvas_bar(struct tui_canvas *c, int x, int y, int columns, struct tui_style style, double part);
/* Put the cells of a row on another ground (a selection); those on the cursor's stay there. */
void tui_canvas_ground(struct tui_canvas *c, int x, int y, int w, enum tui_ground ground);
/* Copy rows of another canvas, from its row `from` on, into r. */
void tui_canvas_paste(struct tui_canvas *c, struct tui_rect r, const struct tui_canvas *source, int from);

void tui_cell_text(const struct tui_cell *cell, struct string *out); /* append its characters; those of a second half are none */
/* Terminals agree on how wide these are: letters of the alphabets without marks, and the signs that we draw with. Of all else (marks, what is two
 * cells wide, what is newer than the terminal) they may think otherwise, and what follows would stand elsewhere. */
int tui_cell_is_settled(const struct tui_cell *cell);

/* Append the canvas as lines of UTF-8, blanks at the end of a line left out; or a letter for each cell's role. */
void tui_canvas_dump(const struct tui_canvas *c, struct string *out);
void tui_canvas_dump_roles(const struct tui_canvas *c, struct string *out);

#endif
