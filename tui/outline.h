/* The rows of a tree pane: which nodes are open, and so which row a node stands on and which node a row shows. Every question is
 * answered from counts kept along the way, never by a walk over the tree: a million nodes scroll as ten do.
 *
 * A node's rows, while it is open: itself, its children's rows in order, then a row for each thought being written below it.
 */
#ifndef ESPALIER_TUI_OUTLINE_H
#define ESPALIER_TUI_OUTLINE_H

#include "search/search.h"

/* Invariants: rows = 0 when hidden or a copy, 1 when closed, else 1 + the children's rows + live. `rows` is right for every node, shown or not.
 * What is below a hidden node is hidden; nothing is below a copy. */
struct tui_outline_node {
    int rows;
    int live;       /* thoughts being written below it now */
    int place;      /* which child of its parent it is, from 0 */
    int family;     /* index of its family, -1: few children */
    int open;
    int hidden;     /* by a filter, and so is all below it: rows = 0 */
    int shown;      /* children that are not hidden */
    int copy;       /* an earlier sibling reads the same and stands for it: rows = 0 */
    int alike, next_alike; /* index of those it reads the same as, -1: none; the next of them, -1 */
};

/* Siblings that read the same, in order. A copy is who comes after `stands` and of which nothing else is to be told: nothing is below it nor was
 * asked for there, no decision kept it, it is not on the way to the answer, and the user left it alone. */
struct tui_outline_alike {
    int first, last;
    int stands;     /* the first that is not pruned and has a vote; -1: none */
    int copies;     /* how many it stands for, beside itself */
};

/* Children of one node that has many of them: found by place, and their rows summed, in logarithmic time (Fenwick 1994). */
struct tui_outline_family {
    int *children, *sums; /* sums[i]: rows of the children (i - (i & -i), i], counted from 1; sums[0] is not used */
    int count, capacity;
};

struct tui_outline {
    const struct search_tree *tree;
    struct tui_outline_node *nodes;
    int count, capacity;
    int known;      /* nodes whose `open` is right, also where the tree has fewer now */
    struct tui_outline *heir, *from; /* who will stand in its place, and in whose place it will: NULL unless that is being made */
    struct tui_outline_family *families;
    int family_count, family_capacity;
    struct tui_outline_alike *alikes;
    int alike_count, alike_capacity;
    int *texts, texts_capacity; /* hash table: of each parent and text the first node, -1: empty; a power of two, at most half full */
    int emptied;    /* of an heir: as many of the table's entries are right */
    int filtered, revealed; /* nodes that come are hidden; else: none before this one is, INT_MAX: none */
    int unfolded, refolded; /* copies have their rows, too; that is so, or no longer so, of the nodes before this one: INT_MAX: of all */
    int most_copies; /* that one stood for so far */
    int selected;   /* has a row even as a copy, -1: none */
    const struct search_event *result, *revote; /* the tree's, when it was last looked at */
    int64_t renewed, folded; /* how often it became another tree; how often a node was opened, closed, hidden or let through, or was a copy no longer */
};

/* Where a row is. */
struct tui_outline_place {
    int node; /* the node, or the one a thought is being written below */
    int live; /* which of those thoughts; -1: the row is the node's own */
};

void tui_outline_open(struct tui_outline *o, const struct search_tree *tree);
void tui_outline_free(struct tui_outline *o);
void tui_outline_grow(struct tui_outline *o); /* take in the nodes the tree has got since; new ones are open */
/* The same, after the event that the tree folded last and that left its past alone: copies it spoke of may be no more. */
void tui_outline_take(struct tui_outline *o, const struct search_event *event);
/* Another tree (another moment of the same search) is to be shown in its place: `heir`, {0} before, is made for that so many nodes at a time, until
 * the second of these returns 0. Folds and filter stay, also what changes meanwhile; nothing is live and nothing selected. The third puts it there,
 * with another address of its tree, and leaves the one before in *old, to be given back so many nodes at a time (1: there is more of it). */
void tui_outline_begin_heir(struct tui_outline *o, struct tui_outline *heir, const struct search_tree *tree);
int tui_outline_grow_heir(struct tui_outline *heir, int nodes);
void tui_outline_inherit(struct tui_outline *o, const struct search_tree *tree, struct tui_outline *old);
void tui_outline_disinherit(struct tui_outline *o, struct tui_outline *old); /* it will not be: what was made of it is in *old */
int tui_outline_shed(struct tui_outline *o, int nodes);
void tui_outline_set_open(struct tui_outline *o, int node, int open);
void tui_outline_set_live(struct tui_outline *o, int node, int live);
/* While a filter is on, nodes that come are hidden; those there are become so one by one, those below a node first. When it is off, what was
 * hidden is revealed, so many steps at a time (1: there is more). A step is a node whose rows are counted anew: tui_outline_hide and
 * _let_through say how many they took. The root is never hidden, nor is the selected node, nor what stands above one that is not. */
void tui_outline_filter(struct tui_outline *o, int on);
int tui_outline_hide(struct tui_outline *o, int node);
int tui_outline_let_through(struct tui_outline *o, int node);
int tui_outline_reveal(struct tui_outline *o, int steps);
/* Copies have rows, or (at first) none; those there are get or lose them so many steps at a time (1: there is more). */
void tui_outline_unfold(struct tui_outline *o, int on);
int tui_outline_refold(struct tui_outline *o, int steps);
/* It has a row as long as no other is selected: what stands above it is opened, a filter lets it through, and it is no copy. */
void tui_outline_select(struct tui_outline *o, int node);
/* Who stands for the node when it is not selected: often itself. */
int tui_outline_first(const struct tui_outline *o, int node);
/* How many copies the node stands for, and which is the next one after `copy` (after itself: the first), -1: none. */
int tui_outline_copies(const struct tui_outline *o, int node);
int tui_outline_next_copy(const struct tui_outline *o, int copy);
/* The child at a place, from 0; -1: there are not so many. */
int tui_outline_child(const struct tui_outline *o, int node, int place);
int tui_outline_rows(const struct tui_outline *o);
/* The row of a node; of the one that stands for it, or the closed one that hides it, if one does. */
int tui_outline_row(const struct tui_outline *o, int node);
/* The node itself, or the one that stands for it, or the topmost closed one that hides it. */
int tui_outline_shown(const struct tui_outline *o, int node);
/* The place of row 0 .. rows - 1. */
struct tui_outline_place tui_outline_at(const struct tui_outline *o, int row);
/* Is it the last row among its siblings (the guides end there)? */
int tui_outline_is_last(const struct tui_outline *o, struct tui_outline_place place);

#endif
