#include "tui/outline.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { AT_ONCE = 1024 }; /* siblings looked at in one go */
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

/* The node's rows changed by so many: so do those of every ancestor up to the first closed one. Returns of how many nodes that were. */
static int add_rows(struct tui_outline *o, int node, int rows)
{
    int steps = 0;
    for (int open = rows != 0; open; steps++) {
        o->nodes[node].rows += rows;
        int parent = tree_node(o, node)->parent;
        if (parent >= 0 && o->nodes[parent].family >= 0)
            family_add(&o->families[o->nodes[parent].family], o->nodes[node].place, rows);
        open = parent >= 0 && o->nodes[parent].open;
        node = parent;
    }
    return steps;
}

static int rows_when_shown(const struct tui_outline *o, int node)
{
    const struct tui_outline_node *n = &o->nodes[node];
    int rows = 1 + n->live;
    if (!n->open)
        return 1;
    if (n->family >= 0)
        return rows + family_sum(&o->families[n->family], o->families[n->family].count);
    for (int c = tree_node(o, node)->first_child; c >= 0 && c < o->count; c = tree_node(o, c)->next_sibling)
        rows += o->nodes[c].rows;
    return rows;
}

/* Neither a filter nor who stands for it takes its row. */
static int has_row(const struct tui_outline *o, int node)
{
    return !o->nodes[node].hidden && !o->nodes[node].copy;
}

/* --- siblings that read the same --------------------------------------------------------------------------------- */

/* The entry of its parent and text in the table: the first node that has them, or an empty one. */
static int *text_entry(const struct tui_outline *o, int node)
{
    const struct search_node *n = tree_node(o, node);
    unsigned mask = (unsigned)o->texts_capacity - 1, at = (unsigned)(n->path_hash ^ (uint64_t)n->parent * 0x9e3779b97f4a7c15u) & mask;
    for (int other; (other = o->texts[at]) >= 0; at = (at + 1) & mask)
        if (tree_node(o, other)->parent == n->parent && tree_node(o, other)->path_hash == n->path_hash &&
            !strcmp(search_node_text(o->tree, other), search_node_text(o->tree, node)))
            break;
    return &o->texts[at];
}

static void widen_texts(struct tui_outline *o)
{
    o->texts_capacity = o->texts_capacity ? 2 * o->texts_capacity : 64;
    o->texts = xrealloc(o->texts, (size_t)o->texts_capacity * sizeof *o->texts);
    memset(o->texts, -1, (size_t)o->texts_capacity * sizeof *o->texts);
    for (int i = 1; i < o->count; i++)
        if (!tree_node(o, i)->gone && (o->nodes[i].alike < 0 || o->alikes[o->nodes[i].alike].first == i))
            *text_entry(o, i) = i;
}

/* Others may be folded behind it. */
static int can_stand(const struct tui_outline *o, int node)
{
    return !tree_node(o, node)->pruned && !tree_node(o, node)->excluded;
}

/* There is nothing to tell of it that its text does not. */
static int is_plain(const struct tui_outline *o, int node)
{
    const struct search_node *n = tree_node(o, node);
    return n->first_child < 0 && !n->sampled && n->kept < 0 && !n->training && !n->on_best_path && can_stand(o, node) &&
           !(n->thought && n->thought->thought.by_user);
}

int tui_outline_first(const struct tui_outline *o, int node)
{
    int alike = o->nodes[node].alike, stands = alike < 0 ? -1 : o->alikes[alike].stands;
    return !o->unfolded && stands >= 0 && stands < node && is_plain(o, node) ? stands : node;
}

/* Returns whether that changed, but counts no rows. */
static int mark_copy(struct tui_outline *o, int node)
{
    struct tui_outline_node *n = &o->nodes[node];
    int copy = node != o->selected && tui_outline_first(o, node) != node;
    if (n->copy == copy)
        return 0;
    struct tui_outline_alike *a = &o->alikes[n->alike];
    n->copy = copy;
    a->copies += copy ? 1 : -1;
    o->most_copies = a->copies > o->most_copies ? a->copies : o->most_copies;
    return 1;
}

/* Returns of how many nodes the rows changed. */
static int fold_copy(struct tui_outline *o, int node)
{
    if (!mark_copy(o, node))
        return 0;
    o->folded++;
    return o->nodes[node].hidden ? 0 : add_rows(o, node, o->nodes[node].copy ? -o->nodes[node].rows : rows_when_shown(o, node));
}

/* What the tree says of a node has changed. Where very many read the same, most of them are looked at by tui_outline_refold. */
static void look_again(struct tui_outline *o, int node)
{
    if (o->nodes[node].alike < 0)
        return;
    struct tui_outline_alike *a = &o->alikes[o->nodes[node].alike];
    if (can_stand(o, node) ? a->stands < 0 || node < a->stands : node == a->stands) {
        for (a->stands = a->first; a->stands >= 0 && !can_stand(o, a->stands);)
            a->stands = o->nodes[a->stands].next_alike;
        int n = a->first;
        for (int i = 0; n >= 0 && i < AT_ONCE; i++, n = o->nodes[n].next_alike)
            fold_copy(o, n);
        if (n >= 0 && n < o->refolded)
            o->refolded = n;
    }
    fold_copy(o, node);
}

/* A new node, which has no rows yet, comes to those it reads the same as. */
static void join(struct tui_outline *o, int node)
{
    if (o->count >= o->texts_capacity / 2)
        widen_texts(o);
    int *entry = text_entry(o, node), first = *entry;
    if (first < 0) {
        *entry = node;
        return;
    }
    if (o->nodes[first].alike < 0) {
        ARRAY_RESERVE(o->alikes, o->alike_count, o->alike_capacity);
        o->nodes[first].alike = o->alike_count;
        o->alikes[o->alike_count++] = (struct tui_outline_alike){first, first, can_stand(o, first) ? first : -1, 0};
    }
    struct tui_outline_alike *a = &o->alikes[o->nodes[first].alike];
    o->nodes[node].alike = o->nodes[first].alike;
    o->nodes[a->last].next_alike = node;
    a->last = node;
    if (a->stands < 0 && can_stand(o, node))
        a->stands = node;
    mark_copy(o, node);
}

static void look_at_votes(struct tui_outline *o, const struct search_event *revote)
{
    for (int i = 0; revote && i < revote->revote.count; i++)
        look_again(o, revote->revote.excluded[i]);
}

static void look_at_path(struct tui_outline *o, const struct search_event *result)
{
    for (int n = result && result->result.node < o->count ? result->result.node : -1; n >= 0; n = tree_node(o, n)->parent)
        look_again(o, n);
}

void tui_outline_take(struct tui_outline *o, const struct search_event *event)
{
    tui_outline_grow(o);
    switch (event->kind) {
    case SEARCH_EVENT_PLAN:
        for (int i = 0; i < event->plan.count; i++)
            if (event->plan.items[i].count)
                look_again(o, event->plan.items[i].nodes[0]);
        break;
    case SEARCH_EVENT_THOUGHT:
        if (event->thought.by_user && event->thought.replaces > 0)
            look_again(o, event->thought.replaces);
        break;
    case SEARCH_EVENT_DECISION:
        for (int i = 0; i < event->decision.kept_count; i++)
            look_again(o, event->decision.kept[i]);
        break;
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
        look_again(o, event->prune.node);
        break;
    case SEARCH_EVENT_KEEP:
        look_again(o, event->keep.node);
        break;
    case SEARCH_EVENT_REVOTE:
        look_at_votes(o, o->revote);
        look_at_votes(o, event);
        break;
    case SEARCH_EVENT_RESULT:
        look_at_path(o, o->result);
        look_at_path(o, event);
        break;
    default:
        break;
    }
    o->result = o->tree->result;
    o->revote = o->tree->revote;
}

void tui_outline_unfold(struct tui_outline *o, int on)
{
    o->unfolded = on;
    o->refolded = 1;
    if (o->heir)
        tui_outline_unfold(o->heir, on);
}

int tui_outline_refold(struct tui_outline *o, int steps)
{
    for (; o->refolded < o->count && steps > 0; o->refolded++, steps--)
        if (o->nodes[o->refolded].alike >= 0)
            steps -= fold_copy(o, o->refolded);
    if (o->refolded >= o->count)
        o->refolded = INT_MAX;
    return o->refolded < o->count;
}

int tui_outline_copies(const struct tui_outline *o, int node)
{
    int alike = o->nodes[node].alike;
    return alike >= 0 && o->alikes[alike].stands == node ? o->alikes[alike].copies : 0;
}

int tui_outline_next_copy(const struct tui_outline *o, int copy)
{
    do
        copy = o->nodes[copy].next_alike;
    while (copy >= 0 && !o->nodes[copy].copy);
    return copy;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

void tui_outline_open(struct tui_outline *o, const struct search_tree *tree)
{
    *o = (struct tui_outline){.tree = tree, .selected = -1, .revealed = INT_MAX, .refolded = INT_MAX};
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

void tui_outline_free(struct tui_outline *o)
{
    free_families(o);
    free(o->families);
    free(o->alikes);
    free(o->texts);
    free(o->nodes);
    *o = (struct tui_outline){0};
}

/* Was it open the last time, here or in the one before? */
static int was_open(const struct tui_outline *o, int node)
{
    const struct tui_outline *from = o->from;
    return !from || node >= from->known || from->nodes[node].open;
}

/* Children come in order of their ids: the one before has the greatest place so far. */
static void join_family(struct tui_outline *o, int node, int parent)
{
    struct tui_outline_node *n = &o->nodes[node], *p = &o->nodes[parent];
    if (p->family >= 0) {
        n->place = o->families[p->family].count;
        family_append(&o->families[p->family], node, n->rows);
        o->count++;
        return;
    }
    for (int c = tree_node(o, parent)->first_child; c >= 0 && c != node; c = tree_node(o, c)->next_sibling)
        n->place++;
    o->count++;
    if (n->place + 1 >= MANY)
        p->family = new_family(o, parent);
}

static void grow_one(struct tui_outline *o)
{
    ARRAY_RESERVE(o->nodes, o->count, o->capacity);
    int node = o->count, parent = tree_node(o, node)->parent;
    struct tui_outline_node *n = &o->nodes[node];
    int hidden = node > 0 && (o->filtered || (parent >= 0 && o->nodes[parent].hidden)), open = node < o->known ? n->open : was_open(o, node);
    *n = (struct tui_outline_node){.family = -1, .open = open, .hidden = hidden, .alike = -1, .next_alike = -1};
    if (node >= o->known)
        o->known = node + 1;
    if (parent < 0 || tree_node(o, node)->gone) {
        n->rows = !hidden;
        o->count++;
        return;
    }
    join(o, node);
    n->rows = has_row(o, node);
    if (o->nodes[parent].copy) /* it is none from here on: before there is a child to be counted */
        fold_copy(o, parent);
    o->nodes[parent].shown += !hidden;
    join_family(o, node, parent);
    if (o->nodes[parent].open)
        add_rows(o, parent, n->rows);
}

void tui_outline_grow(struct tui_outline *o)
{
    while (o->count < o->tree->count)
        grow_one(o);
}

void tui_outline_set_open(struct tui_outline *o, int node, int open)
{
    struct tui_outline *heir = o->heir;
    if (o->nodes[node].open == open)
        return;
    if (heir && node < heir->count)
        tui_outline_set_open(heir, node, open);
    else if (heir && node < heir->known)
        heir->nodes[node].open = open;
    o->nodes[node].open = open;
    o->folded++;
    if (has_row(o, node))
        add_rows(o, node, rows_when_shown(o, node) - o->nodes[node].rows);
}

void tui_outline_set_live(struct tui_outline *o, int node, int live)
{
    int more = live - o->nodes[node].live;
    o->nodes[node].live = live;
    if (o->nodes[node].open && has_row(o, node))
        add_rows(o, node, more);
}

/* --- another tree in its place ------------------------------------------------------------------------------------ */

void tui_outline_begin_heir(struct tui_outline *o, struct tui_outline *heir, const struct search_tree *tree)
{
    int capacity = 64;
    while (capacity / 2 <= tree->count) /* else all would be put in anew each time it grows */
        capacity *= 2;
    *heir = (struct tui_outline){.tree = tree, .from = o, .selected = -1, .filtered = o->filtered, .unfolded = o->unfolded, .refolded = INT_MAX,
                                 .revealed = INT_MAX, .most_copies = o->most_copies, .renewed = o->renewed, .folded = o->folded};
    heir->capacity = tree->count > o->known ? tree->count : o->known;
    heir->texts_capacity = capacity;
    heir->nodes = xmalloc((size_t)(heir->capacity + 1) * sizeof *heir->nodes); /* one that grows is copied at once */
    heir->texts = xmalloc((size_t)capacity * sizeof *heir->texts);
    o->heir = heir;
}

/* Beyond the tree's own nodes are those of another moment: they are as open as they were once they are there again. */
int tui_outline_grow_heir(struct tui_outline *heir, int nodes)
{
    for (; nodes > 0 && heir->emptied < heir->texts_capacity; heir->emptied += 64, nodes--)
        memset(heir->texts + heir->emptied, -1, 64 * sizeof *heir->texts);
    for (; nodes > 0 && heir->count < heir->tree->count; nodes--)
        grow_one(heir);
    for (; nodes > 0 && heir->known < heir->from->known; nodes--) {
        ARRAY_RESERVE(heir->nodes, heir->known, heir->capacity);
        heir->nodes[heir->known].open = was_open(heir, heir->known);
        heir->known++;
    }
    return heir->emptied < heir->texts_capacity || heir->count < heir->tree->count || heir->known < heir->from->known;
}

void tui_outline_inherit(struct tui_outline *o, const struct search_tree *tree, struct tui_outline *old)
{
    struct tui_outline *heir = o->heir;
    *old = *o;
    *o = *heir;
    *heir = (struct tui_outline){0};
    old->heir = o->from = NULL;
    o->tree = tree;
    o->renewed++;
    o->folded++;
    o->result = tree->result;
    o->revote = tree->revote;
}

void tui_outline_disinherit(struct tui_outline *o, struct tui_outline *old)
{
    *old = *o->heir;
    *o->heir = (struct tui_outline){0};
    o->heir = old->from = NULL;
}

int tui_outline_shed(struct tui_outline *o, int nodes)
{
    for (int i = 0; i < nodes && o->family_count; i++) {
        struct tui_outline_family *f = &o->families[--o->family_count];
        free(f->children);
        free(f->sums);
    }
    if (o->texts_capacity > 16 * nodes) {
        o->texts_capacity -= 16 * nodes;
        o->texts = xrealloc(o->texts, (size_t)o->texts_capacity * sizeof *o->texts);
    }
    if (o->capacity > nodes) {
        o->capacity -= nodes;
        o->nodes = xrealloc(o->nodes, (size_t)o->capacity * sizeof *o->nodes);
    } else if (!o->family_count) {
        tui_outline_free(o);
    }
    return o->nodes != NULL;
}

/* --- a filter ---------------------------------------------------------------------------------------------------- */

void tui_outline_filter(struct tui_outline *o, int on)
{
    o->filtered = on;
    o->revealed = on ? INT_MAX : 1;
    if (o->heir)
        tui_outline_filter(o->heir, on);
}

int tui_outline_hide(struct tui_outline *o, int node)
{
    struct tui_outline_node *n = &o->nodes[node];
    const int parent = tree_node(o, node)->parent;
    if (parent < 0 || tree_node(o, node)->gone || n->hidden || n->shown || node == o->selected)
        return 0;
    o->folded++;
    o->nodes[parent].shown--;
    n->hidden = 1;
    return add_rows(o, node, -n->rows);
}

/* What it stands below is not hidden. */
static int show(struct tui_outline *o, int node)
{
    o->folded++;
    o->nodes[node].hidden = 0;
    o->nodes[tree_node(o, node)->parent].shown++;
    return has_row(o, node) ? add_rows(o, node, rows_when_shown(o, node)) : 0;
}

int tui_outline_let_through(struct tui_outline *o, int node)
{
    int *path = NULL, count = 0, capacity = 0, steps = 0;
    for (int n = node; n >= 0 && o->nodes[n].hidden; n = tree_node(o, n)->parent) {
        ARRAY_RESERVE(path, count, capacity);
        path[count++] = n;
    }
    while (count) /* the topmost first */
        steps += show(o, path[--count]);
    free(path);
    return steps;
}

int tui_outline_reveal(struct tui_outline *o, int steps)
{
    for (; o->revealed < o->count && steps > 0; o->revealed++, steps--)
        if (o->nodes[o->revealed].hidden && !tree_node(o, o->revealed)->gone)
            steps -= show(o, o->revealed);
    if (o->revealed >= o->count)
        o->revealed = INT_MAX;
    return o->revealed < o->count;
}

void tui_outline_select(struct tui_outline *o, int node)
{
    int before = o->selected;
    for (int n = tree_node(o, node)->parent; n >= 0; n = tree_node(o, n)->parent)
        tui_outline_set_open(o, n, 1);
    tui_outline_let_through(o, node);
    o->selected = node;
    if (before >= 0)
        fold_copy(o, before);
    fold_copy(o, node);
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
    int shown = o->nodes[node].copy ? tui_outline_first(o, node) : node;
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
    if (o->nodes[n->parent].family >= 0) {
        const struct tui_outline_family *f = &o->families[o->nodes[n->parent].family];
        return family_sum(f, f->count) == family_sum(f, o->nodes[place.node].place + 1);
    }
    for (int c = n->next_sibling; c >= 0 && c < o->count; c = tree_node(o, c)->next_sibling)
        if (o->nodes[c].rows)
            return 0;
    return 1;
}
