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
        if (!o->nodes[c].hidden)
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
    for (int i = 0; i < count; i++) { /* the guides end where no sibling follows */
        int last = 1;
        for (int k = i + 1; k < count; k++) {
            int parent = rows[i].live >= 0 ? rows[i].node : o->tree->nodes[rows[i].node].parent;
            last &= !(rows[k].live >= 0 ? rows[k].node == parent : o->tree->nodes[rows[k].node].parent == parent);
        }
        assert_int_equal(tui_outline_is_last(o, rows[i]), last);
    }
    for (int node = 0; node < o->count; node++) { /* what is folded away stands where what hides it does */
        int shown = node;
        if (o->nodes[node].hidden)
            continue;
        assert_int_equal(tui_outline_child(o, node, 0), o->tree->nodes[node].first_child);
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
            else if (r < 0.83)
                tui_outline_filter(&o, !o.filtered);
            else if (r < 0.9)
                tui_outline_let_through(&o, any);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layout), cmocka_unit_test(test_moving), cmocka_unit_test(test_outline), cmocka_unit_test(test_last)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
