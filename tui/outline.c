#include "tui/outline.h"

#include <stdlib.h>

enum { MANY = 32 }; /* children from which a family is worth its memory; below, a walk along the siblings is as fast */

static const struct search_node *tree_node(const struct tui_outline *o, int node)
{
    return &o->tree->nodes[node];
}

/* --- families ---------------------------------------------------------------------------------------------------- */

static int family_sum(const struct tui_outline_family *f, int n)
{
    int sum = 0;
    for (int i = n; i > 0; i -= i & -i)
        sum += f->sums[i];
    return sum;
}

static void family_add(struct tui_outline_family *f, int place, int rows)
{
    for (int i = place + 1; i <= f->count; i += i & -i)
        f->sums[i] += rows;
}

static void family_append(struct tui_outline_family *f, int child, int rows)
{
    if (f->count + 2 > f->capacity) {
        f->capacity = f->capacity ? 2 * f->capacity : 4 * MANY;
        f->children = xrealloc(f->children, (size_t)f->capacity * sizeof *f->children);
        f->sums = xrealloc(f->sums, (size_t)f->capacity * sizeof *f->sums);
    }
    f->children[f->count++] = child;
    int i = f->count, sum = rows;
    for (int below = i - 1, stop = i - (i & -i); below > stop; below -= below & -below)
        sum += f->sums[below];
    f->sums[i] = sum;
}

/* The greatest place whose earlier siblings have at most *row rows; *row becomes the row within that child. */
static int family_find(const struct tui_outline_family *f, int *row)
{
    int at = 0, step = 1;
    while (2 * step <= f->count)
        step *= 2;
    for (; step; step /= 2)
        if (at + step <= f->count && f->sums[at + step] <= *row) {
            at += step;
            *row -= f->sums[at];
        }
    return at;
}

static int new_family(struct tui_outline *o, int parent)
{
    ARRAY_RESERVE(o->families, o->family_count, o->family_capacity);
    struct tui_outline_family *f = &o->families[o->family_count];
    *f = (struct tui_outline_family){0};
    for (int c = tree_node(o, parent)->first_child; c >= 0 && c < o->count; c = tree_node(o, c)->next_sibling)
        family_append(f, c, o->nodes[c].rows);
    return o->family_count++;
}

/* --- counts ------------------------------------------------------------------------------------------------------ */

/* The node's rows changed by so many: so do those of every ancestor up to the first closed one. */
static void add_rows(struct tui_outline *o, int node, int rows)
{
    while (rows) {
        o->nodes[node].rows += rows;
        int parent = tree_node(o, node)->parent;
        if (parent < 0)
            return;
        if (o->nodes[parent].family >= 0)
            family_add(&o->families[o->nodes[parent].family], o->nodes[node].place, rows);
        if (!o->nodes[parent].open)
            return;
        node = parent;
    }
}

static int rows_when_open(const struct tui_outline *o, int node)
{
    const struct tui_outline_node *n = &o->nodes[node];
    int rows = 1 + n->live;
    if (n->family >= 0)
        return rows + family_sum(&o->families[n->family], o->families[n->family].count);
    for (int c = tree_node(o, node)->first_child; c >= 0 && c < o->count; c = tree_node(o, c)->next_sibling)
        rows += o->nodes[c].rows;
    return rows;
}

void tui_outline_open(struct tui_outline *o, const struct search_tree *tree)
{
    *o = (struct tui_outline){.tree = tree};
    tui_outline_grow(o);
}

static void free_families(struct tui_outline *o)
{
    for (int i = 0; i < o->family_count; i++) {
        free(o->families[i].children);
        free(o->families[i].sums);
    }
    o->family_count = 0;
}

void tui_outline_renew(struct tui_outline *o)
{
    free_families(o);
    o->count = 0;
    tui_outline_grow(o);
}

void tui_outline_free(struct tui_outline *o)
{
    free_families(o);
    free(o->families);
    free(o->nodes);
    *o = (struct tui_outline){0};
}

void tui_outline_grow(struct tui_outline *o)
{
    while (o->count < o->tree->count) {
        ARRAY_RESERVE(o->nodes, o->count, o->capacity);
        int node = o->count, parent = tree_node(o, node)->parent;
        struct tui_outline_node *n = &o->nodes[node];
        *n = (struct tui_outline_node){.rows = 1, .family = -1, .open = node >= o->known || n->open};
        if (node >= o->known)
            o->known = node + 1;
        if (parent < 0 || tree_node(o, node)->gone) {
            o->count++;
            continue;
        }
        struct tui_outline_node *p = &o->nodes[parent];
        int first = tree_node(o, parent)->first_child;
        /* Children come in order of their ids: the one before has the greatest place so far. */
        if (p->family >= 0) {
            n->place = o->families[p->family].count;
            family_append(&o->families[p->family], node, 1);
            o->count++;
        } else {
            for (int c = first; c >= 0 && c != node; c = tree_node(o, c)->next_sibling)
                n->place++;
            o->count++;
            if (n->place + 1 >= MANY)
                p->family = new_family(o, parent);
        }
        if (p->open)
            add_rows(o, parent, 1);
    }
}

void tui_outline_set_open(struct tui_outline *o, int node, int open)
{
    if (o->nodes[node].open == open)
        return;
    o->nodes[node].open = open;
    add_rows(o, node, (open ? rows_when_open(o, node) : 1) - o->nodes[node].rows);
}

void tui_outline_set_live(struct tui_outline *o, int node, int live)
{
    int more = live - o->nodes[node].live;
    o->nodes[node].live = live;
    if (o->nodes[node].open)
        add_rows(o, node, more);
}

int tui_outline_rows(const struct tui_outline *o)
{
    return o->count ? o->nodes[0].rows : 0;
}

/* --- rows and nodes ---------------------------------------------------------------------------------------------- */

int tui_outline_shown(const struct tui_outline *o, int node)
{
    int shown = node;
    for (int n = tree_node(o, node)->parent; n >= 0; n = tree_node(o, n)->parent)
        if (!o->nodes[n].open)
            shown = n;
    return shown;
}

int tui_outline_row(const struct tui_outline *o, int node)
{
    int row = 0;
    node = tui_outline_shown(o, node);
    for (int parent; (parent = tree_node(o, node)->parent) >= 0; node = parent) {
        row += 1;
        if (o->nodes[parent].family >= 0) {
            row += family_sum(&o->families[o->nodes[parent].family], o->nodes[node].place);
            continue;
        }
        for (int c = tree_node(o, parent)->first_child; c != node; c = tree_node(o, c)->next_sibling)
            row += o->nodes[c].rows;
    }
    return row;
}

struct tui_outline_place tui_outline_at(const struct tui_outline *o, int row)
{
    int node = 0;
    while (row > 0) {
        int child = -1;
        row--;
        if (o->nodes[node].family >= 0) {
            const struct tui_outline_family *f = &o->families[o->nodes[node].family];
            int place = family_find(f, &row);
            if (place < f->count)
                child = f->children[place];
        } else {
            child = tree_node(o, node)->first_child;
            while (child >= 0 && row >= o->nodes[child].rows) {
                row -= o->nodes[child].rows;
                child = tree_node(o, child)->next_sibling;
            }
        }
        if (child < 0)
            return (struct tui_outline_place){node, row};
        node = child;
    }
    return (struct tui_outline_place){node, -1};
}

int tui_outline_is_last(const struct tui_outline *o, struct tui_outline_place place)
{
    if (place.live >= 0)
        return place.live == o->nodes[place.node].live - 1;
    const struct search_node *n = tree_node(o, place.node);
    return n->next_sibling < 0 && (n->parent < 0 || !o->nodes[n->parent].live);
}
