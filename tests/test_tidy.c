/* The tidy drawing of trees of many shapes: nobody too near, parents in the middle, the same whatever the slices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "search/event.h"
#include "tests/renew.h"
#include "tui/tidy.h"

#include <stdlib.h>
#include <string.h>

static int alike; /* so many texts there are; 0: each its own */

static void add_node(struct search_tree *tree, struct tui_outline *o, int parent)
{
    struct search_event *e = search_event_make(tree->count ? SEARCH_EVENT_THOUGHT : SEARCH_EVENT_SESSION, tree->event_count, -1);
    if (tree->count) {
        e->thought.node = tree->count;
        e->thought.parent = parent;
        e->thought.text = xasprintf("thought %d", alike ? tree->count % alike : tree->count);
        e->thought.completion = e->thought.correct = -1;
    }
    search_tree_fold(tree, e);
    search_event_release(e);
    tui_outline_grow(o);
}

static int is_shown(const struct tui_outline *o, int node)
{
    for (int n = o->tree->nodes[node].parent; n >= 0; n = o->tree->nodes[n].parent)
        if (!o->nodes[n].open)
            return 0;
    return !o->nodes[node].copy;
}

/* Of the children that have a place the first, or the next. */
static int placed(const struct tui_outline *o, int child)
{
    while (child >= 0 && o->nodes[child].copy)
        child = o->tree->nodes[child].next_sibling;
    return child;
}

static void check(const struct tui_tidy *t)
{
    const struct tui_tidy_shape *s = &t->shape;
    const struct tui_outline *o = t->outline;
    int shown = 0, mapped = 0, copies = 0, lowest = 1 << 30, highest = -1;
    assert_int_equal(s->count, o->count);
    for (int i = 0; i < s->count; i++) {
        const struct search_node *n = &o->tree->nodes[i];
        assert_int_equal(s->y[i] >= 0, is_shown(o, i));
        if (s->y[i] < 0)
            continue;
        shown++;
        copies += tui_outline_copies(o, i);
        lowest = s->y[i] < lowest ? s->y[i] : lowest;
        highest = s->y[i] > highest ? s->y[i] : highest;
        if (n->first_child < 0 || !o->nodes[i].open)
            continue;
        int last = placed(o, n->first_child);
        for (int c = last, next; (next = placed(o, o->tree->nodes[c].next_sibling)) >= 0; last = c = next)
            assert_true(s->y[next] > s->y[c]);
        int middle = s->y[placed(o, n->first_child)] + s->y[last]; /* twice that: whole rows cost it a half at most, and each of the two as much */
        assert_true(abs(2 * s->y[i] - middle) <= 2);
    }
    for (int d = 0; d < s->depth; d++)
        for (int i = 0; i < s->levels[d].count; i++) {
            int node = s->levels[d].nodes[i];
            assert_int_equal(o->tree->nodes[node].depth, d);
            if (i)
                assert_true(s->y[node] > s->y[s->levels[d].nodes[i - 1]]);
            assert_int_equal(tui_tidy_find(s, d, s->y[node]), i);
            shown--;
        }
    for (int y = 0; y < TUI_MAP_ROWS; y++)
        for (int x = 0; x < TUI_MAP_COLUMNS; x++)
            mapped += s->map[y][x];
    assert_int_equal(shown, 0);
    assert_int_equal(mapped, s->shown);
    assert_int_equal(copies, s->copies);
    assert_true(!s->count || (lowest == 0 && highest == s->rows - 1));
}

static void finish(struct tui_tidy *t, int steps)
{
    while (tui_tidy_go_on(t, steps))
        ;
}

static void test_shapes(void **state)
{
    (void)state;
    for (uint64_t shape = 0; shape < 40; shape++) {
        struct search_tree tree = {0};
        struct tui_outline o;
        struct tui_tidy all, slices;
        alike = shape < 4 ? 0 : 3 + (int)(shape % 4);
        tui_outline_open(&o, &tree);
        tui_tidy_open(&all, &o);
        tui_tidy_open(&slices, &o);
        assert_int_equal(tui_tidy_go_on(&all, 100), 0); /* of nothing */
        for (uint64_t i = 0; i < 700; i++) {
            int any = (int)(random_uniform(shape, i, 1) * tree.count);
            int parent = shape % 4 == 0 ? any : shape % 4 == 1 ? (i % 10 ? 0 : any) : shape % 4 == 2 ? (i % 5 ? tree.count - 1 : any) : any / 3;
            add_node(&tree, &o, i ? parent : -1);
            if (i % 7 == 3)
                tui_outline_set_open(&o, any, !o.nodes[any].open);
            if (alike && i % 9 == 4)
                tui_outline_select(&o, any);
            tui_tidy_go_on(&slices, 5); /* overtaken again and again */
            if (i % 50 == 49) {
                finish(&all, 1 << 30);
                finish(&slices, 7);
                check(&all);
                assert_memory_equal(all.shape.y, slices.shape.y, (size_t)tree.count * sizeof(int));
            }
        }
        renew(&o);
        finish(&slices, 1000);
        check(&slices);
        tui_tidy_free(&all);
        tui_tidy_free(&slices);
        tui_outline_free(&o);
        search_tree_free(&tree);
    }
}

/* Equal subtrees are drawn alike, and no wider than they need be: a complete tree has as many rows as leaves. */
static void test_alike(void **state)
{
    (void)state;
    alike = 0;
    struct search_tree tree = {0};
    struct tui_outline o;
    struct tui_tidy t;
    tui_outline_open(&o, &tree);
    tui_tidy_open(&t, &o);
    for (int i = 0; i < 127; i++)
        add_node(&tree, &o, i ? (i - 1) / 2 : -1);
    finish(&t, 100);
    check(&t);
    assert_int_equal(t.shape.rows, 64);
    for (int i = 63; i < 127; i++)
        assert_int_equal(t.shape.y[i], i - 63);
    /* Two long chains between which a bush hangs: the chains lie around it. */
    tui_tidy_free(&t);
    tui_outline_free(&o);
    search_tree_free(&tree);
    tui_outline_open(&o, &tree);
    tui_tidy_open(&t, &o);
    static const int parents[] = {-1, 0, 0, 0, 1, 1, 1, 3, 3, 3}; /* a bush, a leaf, a bush below one */
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++)
        add_node(&tree, &o, parents[i]);
    finish(&t, 100);
    check(&t);
    assert_int_equal(t.shape.rows, 6);
    assert_true(t.shape.y[1] == 1 && t.shape.y[3] == 4 && (t.shape.y[2] == 2 || t.shape.y[2] == 3)); /* the leaf is spread between them */
    tui_tidy_free(&t);
    tui_outline_free(&o);
    search_tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
