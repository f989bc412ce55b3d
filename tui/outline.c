#include "tui/outline.h"

#include <stdlib.h>
#include <string.h>

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
    o->renewed++;
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
        int hidden = o->filtered && node > 0;
        *n = (struct tui_outline_node){.rows = !hidden, .family = -1, .open = node >= o->known || n->open, .hidden = hidden};
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
            family_append(&o->families[p->family], node, !hidden);
            o->count++;
        } else {
            for (int c = first; c >= 0 && c != node; c = tree_node(o, c)->next_sibling)
                n->place++;
            o->count++;
            if (n->place + 1 >= MANY)
                p->family = new_family(o, parent);
        }
        if (p->open && !hidden)
            add_rows(o, parent, 1);
    }
}

void tui_outline_set_open(struct tui_outline *o, int node, int open)
{
    if (o->nodes[node].open == open)
        return;
    o->nodes[node].open = open;
    o->folded++;
    if (!o->nodes[node].hidden)
        add_rows(o, node, (open ? rows_when_open(o, node) : 1) - o->nodes[node].rows);
}

void tui_outline_set_live(struct tui_outline *o, int node, int live)
{
    int more = live - o->nodes[node].live;
    o->nodes[node].live = live;
    if (o->nodes[node].open && !o->nodes[node].hidden)
        add_rows(o, node, more);
}

/* --- a filter ---------------------------------------------------------------------------------------------------- */

static void hide_all(struct tui_outline *o)
{
    for (int i = 1; i < o->count; i++) {
        o->nodes[i].hidden = 1;
        o->nodes[i].rows = 0;
    }
    if (o->count)
        o->nodes[0].rows = 1 + (o->nodes[0].open ? o->nodes[0].live : 0);
    for (int i = 0; i < o->family_count; i++)
        memset(o->families[i].sums, 0, (size_t)(o->families[i].count + 1) * sizeof(int));
}

/* Children have greater numbers than those above them. */
static void show_all(struct tui_outline *o)
{
    for (int i = 0; i < o->count; i++) {
        o->nodes[i].hidden = 0;
        o->nodes[i].rows = 1 + (o->nodes[i].open ? o->nodes[i].live : 0);
    }
    for (int i = o->count - 1; i > 0; i--) {
        int parent = tree_node(o, i)->parent;
        if (!tree_node(o, i)->gone && parent >= 0 && o->nodes[parent].open)
            o->nodes[parent].rows += o->nodes[i].rows;
    }
    for (int i = 0; i < o->family_count; i++) {
        struct tui_outline_family *f = &o->families[i];
        int count = f->count;
        for (f->count = 0; f->count < count;)
            family_append(f, f->children[f->count], o->nodes[f->children[f->count]].rows);
    }
}

void tui_outline_filter(struct tui_outline *o, int on)
{
    o->filtered = on;
    o->folded++;
    (on ? hide_all : show_all)(o);
}

void tui_outline_let_through(struct tui_outline *o, int node)
{
    int *path = NULL, count = 0, capacity = 0;
    for (int n = node; n >= 0 && o->nodes[n].hidden; n = tree_node(o, n)->parent) {
        ARRAY_RESERVE(path, count, capacity);
        path[count++] = n;
    }
    while (count) { /* the topmost first: a shown node stands below shown ones */
        int top = path[--count];
        o->nodes[top].hidden = 0;
        o->folded++;
        add_rows(o, top, 1 + (o->nodes[top].open ? o->nodes[top].live : 0));
    }
    free(path);
}

int tui_outline_child(const struct tui_outline *o, int node, int place)
{
    if (o->nodes[node].family >= 0) {
        const struct tui_outline_family *f = &o->families[o->nodes[node].family];
        return place >= 0 && place < f->count ? f->children[place] : -1;
    }
    int child = tree_node(o, node)->first_child;
    while (place-- > 0 && child >= 0 && child < o->count)
        child = tree_node(o, child)->next_sibling;
    return child < o->count ? child : -1;
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
    if (n->parent < 0 || o->nodes[n->parent].live)
        return n->parent < 0;
    if (!o->filtered)
        return n->next_sibling < 0;
    if (o->nodes[n->parent].family >= 0) {
        const struct tui_outline_family *f = &o->families[o->nodes[n->parent].family];
        return family_sum(f, f->count) == family_sum(f, o->nodes[place.node].place + 1);
    }
    for (int c = n->next_sibling; c >= 0 && c < o->count; c = tree_node(o, c)->next_sibling)
        if (!o->nodes[c].hidden)
            return 0;
    return 1;
}
