#include "tui/tidy.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT = 256, NONE = -1 }; /* a row, in the units places are reckoned in: spreading what lies between leaves fractions */

/* Of each node, in the paper's words; sons are those that are shown. */
struct son {
    int there, prelim, mod, shift, change, thread, ancestor, number, first, last; /* there: it has been come to */
};

/* A node whose sons are being placed. */
struct frame {
    int node, son, left, eldest;    /* the son at hand, the one before it, the default ancestor */
    enum { PLACE, TOTAL, SHIFT, CLOSE } phase;
    int64_t shift, change;
};

struct tui_tidy_work {
    enum { FIRST, SECOND, MAP, DONE } walk;
    struct tui_tidy_shape shape;
    struct son *sons;
    struct frame *stack;
    int depth, stack_capacity;
    int node, at, *offsets, offsets_capacity; /* of the second walk: where it is, how deep, and the sums of `mod` above each depth */
    int low, high;
    int64_t renewed, folded, steps;
};

static const struct search_node *tree_node(const struct tui_tidy *t, int node)
{
    return &t->outline->tree->nodes[node];
}

/* The next that is shown and was there when this began, from `node` on among its siblings. */
static int shown_from(const struct tui_tidy *t, int node)
{
    while (node >= 0 && node < t->work->shape.count && !t->outline->nodes[node].rows)
        node = tree_node(t, node)->next_sibling;
    return node < t->work->shape.count ? node : NONE;
}

static int first_son(const struct tui_tidy *t, int node)
{
    return t->outline->nodes[node].open ? shown_from(t, tree_node(t, node)->first_child) : NONE;
}

static int next_son(const struct tui_tidy *t, int node)
{
    return shown_from(t, tree_node(t, node)->next_sibling);
}

/* --- the first walk: sons before their parents ------------------------------------------------------------------------ */

static int upper(const struct son *sons, int node)
{
    return sons[node].first >= 0 ? sons[node].first : sons[node].thread;
}

static int lower(const struct son *sons, int node)
{
    return sons[node].last >= 0 ? sons[node].last : sons[node].thread;
}

static void move(struct son *sons, int from, int to, int shift)
{
    int between = sons[to].number - sons[from].number, each = shift / (between > 0 ? between : 1);
    sons[to].change -= each;
    sons[to].shift += shift;
    sons[from].change += each;
    sons[to].prelim += shift;
    sons[to].mod += shift;
}

/* Put the subtree of v below those of its elder siblings. Returns how many steps that took. */
static int apportion(const struct tui_tidy *t, struct frame *f, int v)
{
    struct son *sons = t->work->sons;
    int inner = v, outer = v, left = f->left, leftmost = sons[f->node].first, steps = 0;
    int s_inner = sons[v].mod, s_outer = sons[v].mod, s_left = sons[left].mod, s_leftmost = sons[leftmost].mod;
    while (lower(sons, left) >= 0 && upper(sons, inner) >= 0) {
        left = lower(sons, left);
        inner = upper(sons, inner);
        leftmost = upper(sons, leftmost);
        outer = lower(sons, outer);
        sons[outer].ancestor = v;
        int shift = sons[left].prelim + s_left - sons[inner].prelim - s_inner + UNIT;
        if (shift > 0) {
            int above = sons[left].ancestor;
            move(sons, tree_node(t, above)->parent == f->node ? above : f->eldest, v, shift);
            s_inner += shift;
            s_outer += shift;
        }
        s_left += sons[left].mod;
        s_inner += sons[inner].mod;
        s_leftmost += sons[leftmost].mod;
        s_outer += sons[outer].mod;
        steps++;
    }
    if (lower(sons, left) >= 0 && lower(sons, outer) < 0) {
        sons[outer].thread = lower(sons, left);
        sons[outer].mod += s_left - s_outer;
    }
    if (upper(sons, inner) >= 0 && upper(sons, leftmost) < 0) {
        sons[leftmost].thread = upper(sons, inner);
        sons[leftmost].mod += s_inner - s_leftmost;
        f->eldest = v;
    }
    return steps;
}

static void enter(struct tui_tidy *t, int node, int number)
{
    struct tui_tidy_work *w = t->work;
    w->sons[node] = (struct son){.there = 1, .thread = NONE, .ancestor = node, .number = number, .first = NONE, .last = NONE};
    if (w->depth == w->stack_capacity) {
        w->stack_capacity = w->stack_capacity ? 2 * w->stack_capacity : 64;
        w->stack = xrealloc(w->stack, (size_t)w->stack_capacity * sizeof *w->stack);
    }
    int first = first_son(t, node);
    w->sons[node].first = first;
    w->stack[w->depth++] = (struct frame){.node = node, .son = first, .left = NONE, .eldest = first};
}

/* All sons have their places among each other: the node gets its own, in their middle or below its elder sibling. */
static void close(struct tui_tidy *t, struct frame *f)
{
    struct son *sons = t->work->sons, *v = &sons[f->node];
    int middle = v->first >= 0 ? (sons[v->first].prelim + sons[v->last].prelim) / 2 : 0;
    const struct frame *above = t->work->depth > 1 ? f - 1 : NULL;
    if (above && above->left >= 0) {
        v->prelim = sons[above->left].prelim + UNIT;
        v->mod = v->first >= 0 ? v->prelim - middle : 0;
    } else {
        v->prelim = middle;
    }
}

/* The shifts that `move` noted at the ends of a stretch are spread over it, in the paper from the last son to the first. Here from the first:
 * with the sums of all it can be taken back step by step. */
static void begin_shifts(struct frame *f, const struct son *sons)
{
    f->phase = sons[f->node].first < 0 ? CLOSE : TOTAL;
    f->son = sons[f->node].first;
    f->shift = f->change = 0;
}

static int first_walk(struct tui_tidy *t)
{
    struct tui_tidy_work *w = t->work;
    struct son *sons = w->sons;
    struct frame *f = &w->stack[w->depth - 1];
    if (f->phase == PLACE) {
        if (f->son >= 0)
            enter(t, f->son, f->left >= 0 ? sons[f->left].number + 1 : 0);
        else
            begin_shifts(f, sons);
        return 1;
    }
    if (f->phase == TOTAL) {
        struct son *son = &sons[f->son];
        f->change += son->change;
        f->shift += son->shift + (int64_t)son->change * (son->number + 1);
        f->son = f->son == sons[f->node].last ? NONE : next_son(t, f->son);
        if (f->son < 0) {
            f->phase = SHIFT;
            f->son = sons[f->node].first;
        }
        return 1;
    }
    if (f->phase == SHIFT) {
        struct son *son = &sons[f->son];
        f->shift -= son->shift + f->change;
        f->change -= son->change;
        son->prelim += (int)f->shift;
        son->mod += (int)f->shift;
        f->son = f->son == sons[f->node].last ? NONE : next_son(t, f->son);
        if (f->son < 0)
            f->phase = CLOSE;
        return 1;
    }
    int node = f->node, steps = 1;
    close(t, f);
    if (!--w->depth) {
        w->walk = SECOND;
        return 1;
    }
    f = &w->stack[w->depth - 1];
    if (f->left >= 0)
        steps += apportion(t, f, node);
    f->left = sons[f->node].last = node;
    f->son = next_son(t, node);
    return steps;
}

/* --- the second walk: parents before their sons ------------------------------------------------------------------------ */

static void add_to_level(struct tui_tidy_shape *shape, int depth, int node)
{
    if (depth == shape->depth) {
        shape->levels = xrealloc(shape->levels, (size_t)(depth + 1) * sizeof *shape->levels);
        shape->levels[shape->depth++] = (struct tui_tidy_level){0};
    }
    struct tui_tidy_level *l = &shape->levels[depth];
    ARRAY_RESERVE(l->nodes, l->count, l->capacity);
    l->nodes[l->count++] = node;
}

static void second_walk(struct tui_tidy *t)
{
    struct tui_tidy_work *w = t->work;
    if (w->offsets_capacity < w->at + 2) {
        w->offsets_capacity = 2 * w->at + 64;
        w->offsets = xrealloc(w->offsets, (size_t)w->offsets_capacity * sizeof *w->offsets);
    }
    if (!w->at)
        w->offsets[0] = 0;
    const struct son *son = &w->sons[w->node];
    int y = son->prelim + w->offsets[w->at];
    if (w->at < w->shape.depth) { /* what was spread in fractions may have lost one: a level's nodes stay a row apart */
        const struct tui_tidy_level *l = &w->shape.levels[w->at];
        const int least = l->count ? w->shape.y[l->nodes[l->count - 1]] + UNIT : y;
        y = y < least ? least : y;
    }
    w->shape.y[w->node] = y;
    w->shape.shown++;
    w->shape.copies += tui_outline_copies(t->outline, w->node);
    w->low = y < w->low ? y : w->low;
    w->high = y > w->high ? y : w->high;
    add_to_level(&w->shape, w->at, w->node);
    if (son->first >= 0) {
        w->offsets[w->at + 1] = w->offsets[w->at] + son->mod;
        w->at++;
        w->node = son->first;
        return;
    }
    while (w->at > 0 && w->sons[tree_node(t, w->node)->parent].last == w->node) {
        w->node = tree_node(t, w->node)->parent;
        w->at--;
    }
    if (!w->at) {
        w->shape.rows = (w->high - w->low + UNIT / 2) / UNIT + 1;
        w->walk = MAP;
        w->node = 0;
    } else {
        w->node = next_son(t, w->node);
    }
}

/* Rows are whole from here on; what was a row apart stays so. */
static void map(struct tui_tidy *t)
{
    struct tui_tidy_work *w = t->work;
    struct tui_tidy_shape *s = &w->shape;
    if (w->sons[w->node].there) {
        int y = (s->y[w->node] - w->low + UNIT / 2) / UNIT, depth = tree_node(t, w->node)->depth;
        s->y[w->node] = y;
        int row = (int)((int64_t)y * TUI_MAP_ROWS / s->rows), column = depth * TUI_MAP_COLUMNS / s->depth;
        s->map[row][column < TUI_MAP_COLUMNS ? column : TUI_MAP_COLUMNS - 1]++;
    } else {
        s->y[w->node] = NONE;
    }
    if (++w->node == s->count)
        w->walk = DONE;
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static void free_shape(struct tui_tidy_shape *s)
{
    for (int i = 0; i < s->depth; i++)
        free(s->levels[i].nodes);
    free(s->levels);
    free(s->y);
    *s = (struct tui_tidy_shape){0};
}

static void free_work(struct tui_tidy *t)
{
    if (!t->work)
        return;
    free_shape(&t->work->shape);
    free(t->work->sons);
    free(t->work->stack);
    free(t->work->offsets);
    free(t->work);
    t->work = NULL;
}

void tui_tidy_open(struct tui_tidy *t, const struct tui_outline *outline)
{
    *t = (struct tui_tidy){.outline = outline};
}

void tui_tidy_free(struct tui_tidy *t)
{
    free_work(t);
    free_shape(&t->shape);
}

static void begin(struct tui_tidy *t)
{
    const struct tui_outline *o = t->outline;
    struct tui_tidy_work *w = t->work = xcalloc(1, sizeof *t->work);
    w->renewed = o->renewed;
    w->folded = o->folded;
    w->low = INT_MAX;
    w->high = INT_MIN;
    w->shape.count = o->count;
    w->shape.y = xmalloc((size_t)o->count * sizeof *w->shape.y);
    w->sons = xcalloc((size_t)o->count, sizeof *w->sons);
    enter(t, 0, 0);
}

/* What stands for another tree is nothing to draw from; what has other folds, or grew, still is. */
static int is_current(struct tui_tidy *t)
{
    const struct tui_outline *o = t->outline;
    if (t->shape.count && t->renewed != o->renewed)
        free_shape(&t->shape);
    if (t->work && (t->work->renewed != o->renewed || t->work->folded != o->folded))
        free_work(t);
    return t->shape.count == o->count && (!o->count || t->folded == o->folded);
}

int tui_tidy_go_on(struct tui_tidy *t, int steps)
{
    if (is_current(t))
        return 0;
    if (!t->work)
        begin(t);
    struct tui_tidy_work *w = t->work;
    for (int left = steps; left > 0 && w->walk != DONE; w->steps++) {
        if (w->walk == FIRST) {
            left -= first_walk(t);
        } else {
            (w->walk == SECOND ? second_walk : map)(t);
            left--;
        }
    }
    if (w->walk != DONE)
        return 1;
    free_shape(&t->shape);
    t->shape = w->shape;
    t->renewed = w->renewed;
    t->folded = w->folded;
    w->shape = (struct tui_tidy_shape){0};
    free_work(t);
    return !is_current(t);
}

double tui_tidy_done(const struct tui_tidy *t)
{
    enum { STEPS = 6 }; /* of a node, in all walks */
    double part = t->work && t->work->shape.count ? (double)t->work->steps / STEPS / t->work->shape.count : t->shape.count ? 1 : 0;
    return part > 1 ? 1 : part;
}

int tui_tidy_find(const struct tui_tidy_shape *shape, int level, int row)
{
    const struct tui_tidy_level *l = &shape->levels[level];
    int low = 0, high = l->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (shape->y[l->nodes[middle]] < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
