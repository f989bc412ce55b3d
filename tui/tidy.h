/* Where the nodes of a tree stand when it is drawn from left to right: depth is the column, and in a column no two are nearer than a row;
 * who is above stands in the middle of its children; equal subtrees are drawn alike. The tidy layout of Reingold and Tilford 1981, in linear
 * time as Buchheim, Jünger and Leipert 2002 have it. Worked out in slices, so a million nodes keep nobody waiting.
 */
#ifndef ESPALIER_TUI_TIDY_H
#define ESPALIER_TUI_TIDY_H

#include "tui/outline.h"

enum { TUI_MAP_COLUMNS = 24, TUI_MAP_ROWS = 8 };

/* The nodes of one depth, in order of their rows. */
struct tui_tidy_level {
    int *nodes, count, capacity;
};

/* What is known of the whole, once it is worked out. Children of closed nodes, and copies, have no place in it. Invariant: y of a level's nodes ascend. */
struct tui_tidy_shape {
    int count;                      /* of nodes that were there then: ids below it */
    int *y;                         /* [count]: the row; -1: it has none */
    struct tui_tidy_level *levels;
    int depth, rows, shown, copies; /* levels, rows; nodes that have a row; those they stand for */
    int map[TUI_MAP_ROWS][TUI_MAP_COLUMNS]; /* how many nodes are in that part of the whole */
};

struct tui_tidy {
    const struct tui_outline *outline;
    struct tui_tidy_shape shape;    /* the latest that is finished; count 0: none */
    struct tui_tidy_work *work;     /* the one in progress, or NULL */
    int64_t renewed, folded;        /* of the outline, when the finished one was begun */
};
void tui_tidy_open(struct tui_tidy *t, const struct tui_outline *outline);
void tui_tidy_free(struct tui_tidy *t);
/* Go on for about so many steps (a handful a node). 0: the shape is the outline's; 1: there is more to do. */
int tui_tidy_go_on(struct tui_tidy *t, int steps);
double tui_tidy_done(const struct tui_tidy *t); /* how far the one in progress is, 0 to 1 */
/* The first index of a level whose node stands at this row or below it; its count where there is none. */
int tui_tidy_find(const struct tui_tidy_shape *shape, int level, int row);

#endif
