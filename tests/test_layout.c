/* Where panes stand at every size, and which row shows which node of trees that grow and fold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "search/event.h"
#include "tests/renew.h"
#include "tui/layout.h"
#include "tui/outline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- layout ------------------------------------------------------------------------------------------------------ */

static char taken[80 * 250];

/* Mark the cells of r; none may lie outside or be marked already. */
static void take(struct tui_rect r, int columns, int rows)
{
    if (!r.w && !r.h)
        return;
    assert_true(r.w > 0 && r.h > 0 && r.x >= 0 && r.y >= 0 && r.x + r.w <= columns && r.y + r.h <= rows);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            assert_int_equal(taken[y * columns + x]++, 0);
}

/* What holds of every layout. */
static void check(const struct tui_layout *l, const struct tui_arrangement *a, int columns, int rows, int searches)
{
    assert_int_equal(l->too_small, columns < 40 || rows < 12);
    if (l->too_small)
        return;
    memset(taken, 0, sizeof taken);
    take(l->header, columns, rows);
    take(l->race, columns, rows);
    assert_int_equal(l->race.h, searches > 1 && rows - searches >= 12 ? searches : 0);
    take(l->now, columns, rows);
    take(l->status, columns, rows);
    take(l->keys, columns, rows);
    take((struct tui_rect){0, l->top, columns, 1}, columns, rows);
    take((struct tui_rect){0, l->middle, columns, 1}, columns, rows);
    if (l->bottom >= 0)
        take((struct tui_rect){0, l->bottom, columns, 1}, columns, rows);
    if (l->split >= 0)
        take((struct tui_rect){l->split, l->top + 1, 1, l->middle - l->top - 1}, columns, rows);
    assert_int_equal(l->wide, columns >= 80);
    int shown = 0, cells = 0;
    for (int i = 0; i < TUI_PANES; i++) {
        struct tui_rect r = l->panes[i];
        take(r, columns, rows);
        if (!r.w)
            continue;
        assert_true(i < a->panes && r.h >= TUI_LEAST_HEIGHT);
        assert_true(r.y - 1 == l->top || (i > 1 && l->panes[i - 1].w && r.y - 1 == l->panes[i - 1].y + l->panes[i - 1].h)); /* a rule for its title */
        assert_int_equal(tui_layout_pane(l, r.x, r.y), i);
        assert_int_equal(tui_layout_pane(l, r.x + r.w - 1, r.y + r.h - 1), i);
        shown++;
        cells += r.w * r.h + (i > 1 && l->panes[i - 1].w ? r.w : 0);
    }
    assert_true(l->panes[a->focus].w); /* whoever has the keys is seen */
    int one = !l->wide || a->zoom, room = columns - 2 * l->wide;
    assert_true(one ? shown == 1 && l->split < 0 : shown > 1 && l->panes[0].w);
    assert_int_equal(cells, (room - (one ? 0 : 1)) * (l->middle - l->top - 1)); /* no cell is nobody's */
}

static void test_layout(void **state)
{
    (void)state;
    for (int columns = 1; columns <= 250; columns++)
        for (int rows = 1; rows <= 80; rows++)
            for (int k = 0; k < 4; k++) {
                uint64_t at = (uint64_t)(columns * 100 + rows);
                struct tui_arrangement a = {.panes = 2 + (int)(3 * random_uniform(1, at, (uint64_t)k)), .zoom = k == 3,
                                            .split = (int)(1000 * random_uniform(2, at, (uint64_t)k))};
                a.focus = (int)(a.panes * random_uniform(3, at, (uint64_t)k));
                for (int i = 1; i < TUI_PANES && k; i++)
                    a.share[i] = (int)(30 * random_uniform(4, at, (uint64_t)(4 * k + i)));
                struct tui_layout l = tui_layout(columns, rows, &a, rows % 5);
                check(&l, &a, columns, rows, rows % 5);
            }
}

/* A line that is moved to a cell stands there afterwards, or as near as the least sizes let it; the others stay. */
static void test_moving(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        int columns = 80 + (int)(150 * random_uniform(5, i, 0)), rows = 20 + (int)(50 * random_uniform(5, i, 1));
        struct tui_arrangement a = {.panes = 2 + (int)(3 * random_uniform(5, i, 2)), .split = (int)(1000 * random_uniform(5, i, 3))};
        struct tui_layout l = tui_layout(columns, rows, &a, 0), before = l;
        int x = (int)(columns * random_uniform(5, i, 4)), y = (int)(rows * random_uniform(5, i, 5)), line = (int)(TUI_PANES * random_uniform(5, i, 6));
        tui_layout_move(&a, &l, line, x, y);
        l = tui_layout(columns, rows, &a, 0);
        check(&l, &a, columns, rows, 0);
        if (!line) {
            assert_int_equal(l.split, x < 25 ? 25 : x > columns - 26 ? columns - 26 : x);
            assert_int_equal(tui_layout_line(&l, l.split, l.top + 1), 0);
            continue;
        }
        assert_int_equal(l.split, before.split);
        if (line < 2 || !before.panes[line].w)
            continue;
        int first = before.panes[line - 1].y + TUI_LEAST_HEIGHT, last = before.panes[line].y + before.panes[line].h - TUI_LEAST_HEIGHT - 1;
        assert_int_equal(l.panes[line].y - 1, y < first ? first : y > last ? last : y);
        assert_int_equal(l.panes[line].y + l.panes[line].h, before.panes[line].y + before.panes[line].h);
        assert_int_equal(l.panes[line - 1].y, before.panes[line - 1].y);
        assert_int_equal(tui_layout_line(&l, columns - 5, l.panes[line].y - 1), line);
    }
}

/* --- outline ----------------------------------------------------------------------------------------------------- */

static void unfold(struct tui_outline *o, int on)
{
    tui_outline_unfold(o, on);
    while (tui_outline_refold(o, 7)) {
    }
}

static void tell(struct search_tree *tree, struct tui_outline *o, struct search_event *e)
{
    int past = e->kind == SEARCH_EVENT_UNDO;
    search_tree_fold(tree, e);
    if (past)
        renew(o);
    else
        tui_outline_take(o, e);
    search_event_release(e);
}

static struct search_event *make(const struct search_tree *tree, enum search_event_kind kind)
{
    return search_event_make(kind, tree->event_count, tree->steps);
}

/* by_user: it stands in for the node before it. */
static void add_thought(struct search_tree *tree, struct tui_outline *o, int parent, const char *text, int by_user)
{
    struct search_event *e = make(tree, tree->count ? SEARCH_EVENT_THOUGHT : SEARCH_EVENT_SESSION);
    if (tree->count) {
        e->thought.node = tree->count;
        e->thought.parent = parent;
        e->thought.text = xstrdup(text);
        e->thought.completion = -1;
        e->thought.correct = -1;
        e->thought.by_user = by_user;
        e->thought.replaces = by_user ? tree->count - 1 : -1;
    }
    tell(tree, o, e);
}

static void add_node(struct search_tree *tree, struct tui_outline *o, int parent)
{
    char text[32];
    snprintf(text, sizeof text, "thought %d", tree->count);
    add_thought(tree, o, parent, text, 0);
}

static int *one(int node)
{
    int *list = xmalloc(sizeof(int));
    list[0] = node;
    return list;
}

/* What the search and the user do with a node. */
static void act(struct search_tree *tree, struct tui_outline *o, int node, int what)
{
    static const enum search_event_kind kinds[] = {SEARCH_EVENT_PLAN, SEARCH_EVENT_DECISION, SEARCH_EVENT_PRUNE, SEARCH_EVENT_KEEP,
                                                   SEARCH_EVENT_REVOTE, SEARCH_EVENT_RESULT, SEARCH_EVENT_UNDO};
    struct search_event *e = make(tree, tree->undo_count || what < 6 ? kinds[what] : SEARCH_EVENT_KEEP);
    if (e->kind == SEARCH_EVENT_PLAN) {
        e->plan.items = xcalloc(1, sizeof *e->plan.items);
        e->plan.items[0] = (struct search_item){.purpose = node % 2 ? SEARCH_SAMPLE : SEARCH_VALUE, .nodes = one(node), .count = 1, .samples = 1};
        e->plan.count = 1;
    } else if (e->kind == SEARCH_EVENT_DECISION) {
        e->decision.kept = one(node);
        e->decision.kept_count = 1;
    } else if (e->kind == SEARCH_EVENT_PRUNE) {
        e->prune.node = node;
    } else if (e->kind == SEARCH_EVENT_KEEP) {
        e->keep.node = node;
        e->keep.on = 1;
    } else if (e->kind == SEARCH_EVENT_REVOTE) {
        e->revote.excluded = one(node);
        e->revote.count = 1;
    } else if (e->kind == SEARCH_EVENT_RESULT) {
        e->result.node = node;
    } else {
        e->undo.target = tree->undo[tree->undo_count - 1];
    }
    tell(tree, o, e);
}

/* Who stands for it, by looking at all its siblings; itself: it is no copy. */
static int stands_for(const struct tui_outline *o, int node)
{
    const struct search_tree *tree = o->tree;
    const struct search_node *n = &tree->nodes[node];
    int plain = n->first_child < 0 && !n->sampled && n->kept < 0 && !n->training && !n->excluded && !n->pruned && !n->on_best_path;
    if (o->unfolded || node == o->selected || n->parent < 0 || !plain || n->thought->thought.by_user)
        return node;
    for (int c = tree->nodes[n->parent].first_child; c != node; c = tree->nodes[c].next_sibling)
        if (!strcmp(search_node_text(tree, c), search_node_text(tree, node)) && !tree->nodes[c].pruned && !tree->nodes[c].excluded)
            return c;
    return node;
}

/* The rows by walking the whole tree. */
static int walk(const struct tui_outline *o, int node, struct tui_outline_place *rows, int count)
{
    rows[count++] = (struct tui_outline_place){node, -1};
    if (!o->nodes[node].open)
        return count;
    for (int c = o->tree->nodes[node].first_child; c >= 0; c = o->tree->nodes[c].next_sibling)
        if (!o->nodes[c].hidden && stands_for(o, c) == c)
            count = walk(o, c, rows, count);
    for (int i = 0; i < o->nodes[node].live; i++)
        rows[count++] = (struct tui_outline_place){node, i};
    return count;
}

/* The copies of each node, found anew. */
static void check_copies(const struct tui_outline *o)
{
    int *next = xmalloc(((size_t)o->count + 1) * sizeof *next), *copies = xcalloc((size_t)o->count + 1, sizeof *copies);
    for (int node = 0; node < o->count; node++)
        next[node] = node;
    for (int node = 0; node < o->count; node++) {
        int first = o->tree->nodes[node].gone ? node : stands_for(o, node);
        assert_int_equal(o->nodes[node].copy, first != node);
        if (first == node)
            continue;
        assert_int_equal(tui_outline_first(o, node), first);
        assert_int_equal(tui_outline_next_copy(o, next[first]), node);
        next[first] = node;
        copies[first]++;
    }
    for (int node = 0; node < o->count; node++) {
        assert_int_equal(tui_outline_copies(o, node), copies[node]);
        if (copies[node])
            assert_int_equal(tui_outline_next_copy(o, next[node]), -1);
    }
    free(next);
    free(copies);
}

static void check_outline(const struct tui_outline *o)
{
    int most = o->count + 1;
    for (int i = 0; i < o->count; i++)
        most += o->nodes[i].live;
    struct tui_outline_place *rows = xmalloc((size_t)most * sizeof *rows);
    int count = walk(o, 0, rows, 0);
    assert_int_equal(tui_outline_rows(o), count);
    for (int i = 0; i < count; i++) {
        struct tui_outline_place place = tui_outline_at(o, i);
        assert_int_equal(place.node, rows[i].node);
        assert_int_equal(place.live, rows[i].live);
        if (place.live < 0) {
            assert_int_equal(tui_outline_row(o, place.node), i);
            assert_int_equal(tui_outline_shown(o, place.node), place.node);
        }
    }
    for (int i = 0; i < count; i++) { /* the guides end where no sibling follows */
        int last = 1;
        for (int k = i + 1; k < count; k++) {
            int parent = rows[i].live >= 0 ? rows[i].node : o->tree->nodes[rows[i].node].parent;
            last &= !(rows[k].live >= 0 ? rows[k].node == parent : o->tree->nodes[rows[k].node].parent == parent);
        }
        assert_int_equal(tui_outline_is_last(o, rows[i]), last);
    }
    for (int node = 0; node < o->count; node++) { /* what is folded away stands where what hides it does */
        if (o->nodes[node].hidden || o->tree->nodes[node].gone)
            continue;
        int shown = stands_for(o, node);
        assert_int_equal(tui_outline_child(o, node, 0), o->tree->nodes[node].first_child);
        for (int n = o->tree->nodes[node].parent; n >= 0; n = o->tree->nodes[n].parent)
            shown = o->nodes[n].open ? shown : n;
        assert_int_equal(tui_outline_shown(o, node), shown);
        assert_int_equal(tui_outline_row(o, node), tui_outline_row(o, shown));
    }
    for (int node = 1; node < o->count; node++) {
        const struct search_node *n = &o->tree->nodes[node];
        assert_true(n->gone || !o->nodes[n->parent].hidden || o->nodes[node].hidden);
        assert_true(!o->nodes[node].hidden || node != o->selected);
    }
    check_copies(o);
    free(rows);
}

/* As a filter does, some of it: those below a node before it; or when it is off. */
static void take_away_or_give_back(struct tui_outline *o, int node)
{
    for (int n = o->count - 1; n >= node && o->filtered; n--)
        if (n % 3)
            tui_outline_hide(o, n);
    tui_outline_reveal(o, node);
}

/* Trees of three shapes, folded, unfolded, filtered, acted and written on at random while they grow; of each node there may be copies. */
static void test_outline(void **state)
{
    (void)state;
    static const char *const texts[] = {"4 * 6", "10 - 4", "5 + 5", "6 - 5"};
    int most = 0;
    for (uint64_t shape = 0; shape < 6; shape++) {
        struct search_tree tree = {0};
        struct tui_outline o;
        tui_outline_open(&o, &tree);
        add_node(&tree, &o, -1);
        for (uint64_t i = 0; i < 800; i++) {
            double r = random_uniform(shape, i, 0), r1 = random_uniform(shape, i, 1), r2 = random_uniform(shape, i, 2);
            int any = (int)(r1 * tree.count);
            while (tree.nodes[any].gone)
                any--;
            /* bushy; nearly all under the root, so that it becomes a family of many; deep */
            int parent = shape % 3 == 0 ? any / 4 : shape % 3 == 1 ? (r1 < 0.9 ? 0 : any) : r1 < 0.8 ? tree.count - 1 : any;
            while (tree.nodes[parent].gone)
                parent--;
            if (r < 0.2)
                add_node(&tree, &o, parent);
            else if (r < 0.6)
                add_thought(&tree, &o, parent, texts[(int)(r2 * 4)], i % 50 == 49);
            else if (r < 0.72)
                tui_outline_set_open(&o, any, !o.nodes[any].open);
            else if (r < 0.74)
                tui_outline_filter(&o, !o.filtered);
            else if (r < 0.78)
                tui_outline_let_through(&o, any);
            else if (r < 0.8)
                take_away_or_give_back(&o, any / 2);
            else if (r < 0.81)
                unfold(&o, !o.unfolded);
            else if (r < 0.85)
                tui_outline_select(&o, any);
            else if (r < 0.93)
                act(&tree, &o, any, (int)(r2 * 7));
            else
                tui_outline_set_live(&o, any, (int)(r2 * 4));
            if (i % 10 == 0 || i > 790)
                check_outline(&o);
        }
        most = o.most_copies > most ? o.most_copies : most;
        tui_outline_free(&o);
        search_tree_free(&tree);
    }
    assert_true(most > 10); /* or it has tried little */
}

/* A copy has no row until something is to be told of it; it goes where the one that stands for it is set apart. */
static void test_copies(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    struct tui_outline o;
    tui_outline_open(&o, &tree);
    add_node(&tree, &o, -1);
    add_thought(&tree, &o, 0, "a", 0);
    add_thought(&tree, &o, 0, "b", 0);
    for (int i = 3; i < 7; i++)
        add_thought(&tree, &o, 0, "a", 0);
    assert_int_equal(tui_outline_rows(&o), 3);
    assert_int_equal(tui_outline_copies(&o, 1), 4);
    assert_int_equal(tui_outline_row(&o, 5), 1);
    tui_outline_select(&o, 5); /* as long as one is at it */
    assert_int_equal(tui_outline_rows(&o), 4);
    assert_int_equal(tui_outline_copies(&o, 1), 3);
    assert_int_equal(tui_outline_first(&o, 5), 1);
    tui_outline_select(&o, 0);
    assert_int_equal(tui_outline_rows(&o), 3);
    add_node(&tree, &o, 4); /* below one of them: it has a row, and so has what is below */
    assert_int_equal(tui_outline_rows(&o), 5);
    assert_int_equal(tui_outline_row(&o, 7), 4);
    act(&tree, &o, 1, 2); /* pruned: the next one stands for the rest */
    assert_int_equal(tui_outline_copies(&o, 1), 0);
    assert_int_equal(tui_outline_copies(&o, 3), 2);
    assert_int_equal(tui_outline_rows(&o), 6);
    unfold(&o, 1);
    assert_int_equal(tui_outline_rows(&o), 8);
    renew(&o);
    assert_int_equal(tui_outline_rows(&o), 8);
    unfold(&o, 0);
    assert_int_equal(tui_outline_rows(&o), 6);
    tui_outline_free(&o);
    search_tree_free(&tree);
}

static void test_last(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    struct tui_outline o;
    tui_outline_open(&o, &tree);
    assert_int_equal(tui_outline_rows(&o), 0);
    for (int parent = -1; parent < 2; parent++)
        add_node(&tree, &o, parent); /* a chain of three */
    add_node(&tree, &o, 0);
    assert_false(tui_outline_is_last(&o, (struct tui_outline_place){1, -1}));
    assert_true(tui_outline_is_last(&o, (struct tui_outline_place){3, -1}));
    tui_outline_set_live(&o, 0, 2);
    assert_false(tui_outline_is_last(&o, (struct tui_outline_place){3, -1}));
    assert_false(tui_outline_is_last(&o, (struct tui_outline_place){0, 0}));
    assert_true(tui_outline_is_last(&o, (struct tui_outline_place){0, 1}));
    tui_outline_free(&o);
    search_tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_moving), cmocka_unit_test(test_outline),
                                       cmocka_unit_test(test_copies), cmocka_unit_test(test_last)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
