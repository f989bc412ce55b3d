/* Where panes stand at every size, and which row shows which node of trees that grow and fold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "search/event.h"
#include "tui/layout.h"
#include "tui/outline.h"

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

static void test_layout(void **state)
{
    (void)state;
    for (int columns = 1; columns <= 250; columns++)
        for (int rows = 1; rows <= 80; rows++)
            for (int thought = 0; thought < 2; thought++) {
                struct tui_layout l = tui_layout(columns, rows, thought, rows % 5);
                assert_int_equal(l.too_small, columns < 40 || rows < 12);
                if (l.too_small)
                    continue;
                memset(taken, 0, sizeof taken);
                take(l.header, columns, rows);
                take(l.race, columns, rows);
                assert_int_equal(l.race.h, rows % 5 > 1 && rows - rows % 5 >= 12 ? rows % 5 : 0);
                take(l.tree, columns, rows);
                take(l.thought, columns, rows);
                take(l.now, columns, rows);
                take(l.status, columns, rows);
                take(l.keys, columns, rows);
                take((struct tui_rect){0, l.top, columns, 1}, columns, rows);
                take((struct tui_rect){0, l.middle, columns, 1}, columns, rows);
                if (l.bottom >= 0)
                    take((struct tui_rect){0, l.bottom, columns, 1}, columns, rows);
                if (l.split >= 0)
                    take((struct tui_rect){l.split, l.top + 1, 1, l.middle - l.top - 1}, columns, rows);
                assert_int_equal(l.wide, columns >= 80);
                assert_true(l.wide ? l.tree.w && l.thought.w : thought ? l.thought.w && !l.tree.w : l.tree.w && !l.thought.w);
                struct tui_rect shown = l.tree.w ? l.tree : l.thought;
                assert_true(shown.h >= 5);
                assert_int_equal(shown.y, l.top + 1); /* titles stand on the rule above */
            }
}

/* --- outline ----------------------------------------------------------------------------------------------------- */

static void add_node(struct search_tree *tree, struct tui_outline *o, int parent)
{
    struct search_event *e = search_event_make(tree->count ? SEARCH_EVENT_THOUGHT : SEARCH_EVENT_SESSION, tree->event_count, -1);
    if (tree->count) {
        e->thought.node = tree->count;
        e->thought.parent = parent;
        e->thought.text = xstrdup("thought");
        e->thought.completion = -1;
        e->thought.correct = -1;
    }
    search_tree_fold(tree, e);
    search_event_release(e);
    tui_outline_grow(o);
}

/* The rows by walking the whole tree. */
static int walk(const struct tui_outline *o, int node, struct tui_outline_place *rows, int count)
{
    rows[count++] = (struct tui_outline_place){node, -1};
    if (!o->nodes[node].open)
        return count;
    for (int c = o->tree->nodes[node].first_child; c >= 0; c = o->tree->nodes[c].next_sibling)
        count = walk(o, c, rows, count);
    for (int i = 0; i < o->nodes[node].live; i++)
        rows[count++] = (struct tui_outline_place){node, i};
    return count;
}

static void check_outline(const struct tui_outline *o)
{
    struct tui_outline_place *rows = xmalloc((size_t)(o->count * 4 + 4) * sizeof *rows);
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
    for (int node = 0; node < o->count; node++) { /* what is hidden stands where what hides it does */
        int shown = node;
        for (int n = o->tree->nodes[node].parent; n >= 0; n = o->tree->nodes[n].parent)
            shown = o->nodes[n].open ? shown : n;
        assert_int_equal(tui_outline_shown(o, node), shown);
        assert_int_equal(tui_outline_row(o, node), tui_outline_row(o, shown));
    }
    free(rows);
}

/* Trees of three shapes, folded, unfolded and written to at random while they grow. */
static void test_outline(void **state)
{
    (void)state;
    for (uint64_t shape = 0; shape < 3; shape++) {
        struct search_tree tree = {0};
        struct tui_outline o;
        tui_outline_open(&o, &tree);
        add_node(&tree, &o, -1);
        for (uint64_t i = 0; i < 600; i++) {
            double r = random_uniform(shape, i, 0), r1 = random_uniform(shape, i, 1);
            int any = (int)(r1 * tree.count);
            /* bushy; nearly all under the root, so that it becomes a family of many; deep */
            int parent = shape == 0 ? any : shape == 1 ? (r1 < 0.9 ? 0 : any) : r1 < 0.8 ? tree.count - 1 : any;
            if (r < 0.6)
                add_node(&tree, &o, parent);
            else if (r < 0.8)
                tui_outline_set_open(&o, any, !o.nodes[any].open);
            else
                tui_outline_set_live(&o, any, (int)(random_uniform(shape, i, 2) * 4));
            if (i % 10 == 0 || i > 590)
                check_outline(&o);
        }
        tui_outline_free(&o);
        search_tree_free(&tree);
    }
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_outline), cmocka_unit_test(test_last)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
