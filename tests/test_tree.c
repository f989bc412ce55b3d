/* The log and its fold: by hand, and by random logs whose incremental fold must equal folding them anew. */
#include "tests/made_events.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <jansson.h>

#define SAMPLE(node, n)                                                                                                \
    {                                                                                                                  \
        .purpose = SEARCH_SAMPLE, .nodes = (int[]){node}, .count = 1, .samples = n                                     \
    }
#define VALUE(node, n)                                                                                                 \
    {                                                                                                                  \
        .purpose = SEARCH_VALUE, .nodes = (int[]){node}, .count = 1, .samples = n                                      \
    }

/* --- by hand ----------------------------------------------------------------------------------------------------- */

static void test_nodes(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "the problem", 1);
    assert_int_equal(tree.count, 1);
    assert_string_equal(search_node_text(&tree, 0), "the problem");
    assert_int_equal(tree.kept_count, 1);
    assert_int_equal(tree.kept[0], 0);
    assert_int_equal(tree.nodes[0].state, SEARCH_FRONTIER);

    made_plan(&tree, (struct search_item[]){SAMPLE(0, 2)}, 1);
    assert_int_equal(tree.nodes[0].state, SEARCH_EXPANDING);
    assert_true(tree.step_open);
    int64_t c = made_completion(&tree, 0, 0, 4, -0.5f);
    assert_int_equal(made_thought(&tree, 0, c, "a", 0, NULL, NULL), 1);
    assert_true(tree.step_open);
    c = made_completion(&tree, 0, 1, 2, -1.0f);
    assert_int_equal(made_thought(&tree, 0, c, "b", 0, NULL, "no"), 2);
    assert_false(tree.step_open);
    assert_int_equal(tree.nodes[0].state, SEARCH_EXPANDED);
    assert_int_equal(tree.nodes[1].state, SEARCH_FRONTIER);
    assert_int_equal(tree.nodes[2].state, SEARCH_ILLEGAL);
    assert_int_equal(tree.illegal, 1);
    assert_true(tree.nodes[1].logprob == -2.0 && tree.nodes[1].tokens == 4);
    assert_true(isnan(tree.nodes[1].value));
    /* 10 + 10 prompt tokens, 3 + 10 of them cached; 4 + 2 written. */
    assert_int_equal(tree.usage.prompt, 20);
    assert_int_equal(tree.usage.cached, 13);
    assert_int_equal(tree.usage.completion, 6);

    made_plan(&tree, (struct search_item[]){VALUE(1, 1), SAMPLE(1, 1)}, 2);
    made_completion(&tree, 0, 0, 1, 0);
    assert_int_equal(tree.items_open, 2); /* its samples are there, its judgement is not */
    made_value(&tree, 0, 1, 20.001);
    assert_int_equal(tree.items_open, 1);
    assert_true(tree.nodes[1].value == 20.001);
    c = made_completion(&tree, 1, 0, 3, -1);
    made_thought(&tree, 1, c, "c", 1, "7", NULL);
    assert_false(tree.step_open);
    assert_int_equal(tree.nodes[0].descendants, 3);
    assert_int_equal(tree.nodes[0].children, 2);
    assert_int_equal(tree.nodes[1].descendants, 1);
    assert_int_equal(tree.nodes[3].depth, 2);
    assert_int_equal(tree.nodes[3].state, SEARCH_FINAL);
    made_decision(&tree, (int[]){3}, 1);
    assert_int_equal(tree.nodes[3].kept, 1);
    assert_int_equal(tree.nodes[0].kept, -1);
    made_result(&tree, 3);
    assert_true(tree.nodes[0].on_best_path && tree.nodes[1].on_best_path && tree.nodes[3].on_best_path);
    assert_false(tree.nodes[2].on_best_path);
    search_tree_free(&tree);
}

/* A prune in the middle of a plan drops the items below it; undo gives back both the branch and the items. */
static void test_prune(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    made_plan(&tree, (struct search_item[]){SAMPLE(0, 2)}, 1);
    for (int s = 0; s < 2; s++) {
        made_completion(&tree, 0, s, 1, 0);
        made_thought(&tree, 0, -1, "t", 0, NULL, NULL);
    }
    made_plan(&tree, (struct search_item[]){SAMPLE(1, 2), SAMPLE(2, 1)}, 2);
    made_completion(&tree, 0, 0, 1, 0);
    int grandchild = made_thought(&tree, 1, -1, "tt", 0, NULL, NULL);
    made_prune(&tree, 1);
    assert_true(search_tree_is_pruned(&tree, 1) && search_tree_is_pruned(&tree, grandchild));
    assert_false(tree.nodes[grandchild].pruned);
    assert_int_equal(tree.items_open, 1);
    made_completion(&tree, 1, 0, 1, 0);
    assert_false(tree.step_open);
    assert_int_equal(tree.nodes[1].state, SEARCH_EXPANDING);
    made_undo(&tree);
    assert_true(tree.step_open);
    assert_false(search_tree_is_pruned(&tree, grandchild));
    made_redo(&tree);
    assert_false(tree.step_open);
    made_undo(&tree);
    assert_int_equal(tree.undo_count, 0);
    assert_int_equal(tree.redo_count, 1);
    /* A plan that is cut short leaves what it had begun expanded. */
    made_result(&tree, -1);
    assert_int_equal(tree.nodes[1].state, SEARCH_EXPANDED);
    made_prune(&tree, 2);
    assert_int_equal(tree.redo_count, 0);
    search_tree_free(&tree);
}

/* A vote goes on as long as one of its candidates stands. */
static void test_vote_and_prune(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    made_plan(&tree, (struct search_item[]){SAMPLE(0, 1)}, 1);
    made_completion(&tree, 0, 0, 1, 0);
    made_thought(&tree, 0, -1, "a", 0, NULL, NULL);
    made_thought(&tree, 0, -1, "b", 0, NULL, NULL);
    made_plan(&tree, (struct search_item[]){{.purpose = SEARCH_VOTE, .nodes = (int[]){1, 2}, .count = 2, .samples = 3}},
              1);
    made_prune(&tree, 1);
    assert_true(tree.step_open);
    made_prune(&tree, 2);
    assert_false(tree.step_open);
    made_undo(&tree);
    for (int s = 0; s < 3; s++)
        made_completion(&tree, 0, s, 1, 0);
    made_judgement(&tree, 0, SEARCH_VOTE, (int[]){1, 2}, (double[]){1, 2}, 2);
    assert_false(tree.step_open);
    assert_true(tree.nodes[1].value == 1 && tree.nodes[2].value == 2);
    search_tree_free(&tree);
}

/* --- at random --------------------------------------------------------------------------------------------------- */

static uint64_t draws;
static int below(int n)
{
    return (int)(random_uniform(7, 1, draws++) * n);
}

static int same_real(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void assert_same(const struct search_tree *a, const struct search_tree *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const struct search_node *x = &a->nodes[i], *y = &b->nodes[i];
        assert_int_equal(x->parent, y->parent);
        assert_int_equal(x->first_child, y->first_child);
        assert_int_equal(x->last_child, y->last_child);
        assert_int_equal(x->next_sibling, y->next_sibling);
        assert_int_equal(x->children, y->children);
        assert_int_equal(x->descendants, y->descendants);
        assert_int_equal(x->depth, y->depth);
        assert_int_equal(x->state, y->state);
        assert_int_equal(x->pruned, y->pruned);
        assert_int_equal(x->kept, y->kept);
        assert_int_equal(x->on_best_path, y->on_best_path);
        assert_ptr_equal(x->thought, y->thought);
        assert_ptr_equal(x->completion, y->completion);
        assert_ptr_equal(x->judgement, y->judgement);
        assert_ptr_equal(x->decision, y->decision);
        assert_true(same_real(x->value, y->value));
        assert_true(same_real(x->logprob, y->logprob));
        assert_int_equal(x->tokens, y->tokens);
    }
    assert_int_equal(a->kept_count, b->kept_count);
    assert_memory_equal(a->kept, b->kept, (size_t)a->kept_count * sizeof *a->kept);
    assert_int_equal(a->steps, b->steps);
    assert_int_equal(search_tree_steps(a), search_tree_steps(b));
    assert_int_equal(a->step_open, b->step_open);
    assert_int_equal(a->items_open, b->items_open);
    assert_int_equal(a->done_count, b->done_count);
    for (int i = 0; i < a->done_count; i++)
        assert_int_equal(a->done[i], b->done[i]);
    assert_int_equal(a->undo_count, b->undo_count);
    for (int i = 0; i < a->undo_count; i++)
        assert_int_equal(a->undo[i], b->undo[i]);
    assert_int_equal(a->usage.prompt, b->usage.prompt);
    assert_int_equal(a->usage.cached, b->usage.cached);
    assert_int_equal(a->usage.completion, b->usage.completion);
    assert_true(a->usage.flops == b->usage.flops);
    assert_int_equal(a->illegal, b->illegal);
    assert_ptr_equal(a->session, b->session);
    assert_ptr_equal(a->latest_plan, b->latest_plan);
    assert_ptr_equal(a->latest_decision, b->latest_decision);
    assert_ptr_equal(a->result, b->result);
}

static int is_undone(const struct search_tree *tree, const struct search_event *prune)
{
    for (int i = 0; i < tree->undo_count; i++)
        if (tree->undo[i] == prune->number)
            return 0;
    return 1;
}

/* Fold anew all events but the prunes that are undone, and the undoing. */
static struct search_tree refold(const struct search_tree *tree)
{
    struct search_tree again = {0};
    for (int64_t i = 0; i < tree->event_count; i++) {
        struct search_event *event = tree->events[i];
        if (event->kind == SEARCH_EVENT_UNDO || event->kind == SEARCH_EVENT_REDO ||
            (event->kind == SEARCH_EVENT_PRUNE && is_undone(tree, event)))
            continue;
        search_tree_fold(&again, event);
    }
    return again;
}

static int find_node(const struct search_tree *tree, enum search_state state)
{
    for (int tries = 0; tries < 20; tries++) {
        int node = below(tree->count);
        if (tree->nodes[node].state == state && !search_tree_is_pruned(tree, node))
            return node;
    }
    return -1;
}

/* Grow some nodes, each once, and judge some. */
static void random_plan(struct search_tree *tree)
{
    static const enum search_purpose judges[] = {SEARCH_VALUE, SEARCH_VOTE},
                                     growers[] = {SEARCH_SAMPLE, SEARCH_PROPOSE};
    struct search_item items[4];
    int nodes[4][2], count = 0;
    for (int wanted = 1 + below(4); wanted > 0; wanted--) {
        int node = find_node(tree, SEARCH_FRONTIER), grow = node >= 0 && below(3);
        for (int i = 0; i < count; i++)
            grow = grow && nodes[i][0] != node;
        if (!grow && tree->count < 2)
            continue;
        nodes[count][0] = grow ? node : 1 + below(tree->count - 1);
        nodes[count][1] = grow ? node : 1 + below(tree->count - 1);
        enum search_purpose purpose = grow ? growers[below(2)] : judges[below(2)];
        items[count] = (struct search_item){
            .purpose = purpose, .nodes = nodes[count], .count = 1 + (purpose == SEARCH_VOTE), .samples = 1 + below(3)};
        count++;
    }
    if (count)
        made_plan(tree, items, count);
}

static void random_record(struct search_tree *tree)
{
    int i = 0;
    while (!search_item_open(tree, i))
        i++;
    const struct search_item *item = &tree->latest_plan->plan.items[i];
    int judge = item->purpose >= SEARCH_VALUE;
    if (judge && tree->done[i] == item->samples) {
        double scores[2] = {below(9), below(9)};
        made_judgement(tree, i, item->purpose, item->nodes, scores, item->count);
        return;
    }
    int64_t c = made_completion(tree, i, tree->done[i], 1 + below(4), -0.25f * (float)below(9));
    for (int t = judge ? 0 : below(4); t > 0; t--)
        made_thought(tree, item->nodes[0], c, "thought", 0, below(5) ? NULL : "9", below(5) ? NULL : "wrong");
}

static void random_act(struct search_tree *tree)
{
    int what = below(3), node = below(tree->count);
    if (what == 0 && node > 0 && !search_tree_is_pruned(tree, node))
        made_prune(tree, node);
    else if (what == 1 && tree->undo_count)
        made_undo(tree);
    else if (what == 2 && tree->redo_count)
        made_redo(tree);
}

static void random_event(struct search_tree *tree)
{
    int what = below(12);
    if (what < 4) {
        random_act(tree);
    } else if (tree->step_open && what < 11) {
        random_record(tree);
    } else if (what < 10) {
        random_plan(tree);
    } else if (what == 10) {
        int kept[3] = {below(tree->count), below(tree->count), below(tree->count)};
        made_decision(tree, kept, below(4));
    } else if (below(4) == 0) {
        made_result(tree, below(tree->count + 1) - 1);
    }
}

static void test_fold_is_refold(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        struct search_tree tree = {0};
        made_session(&tree, "p", 1);
        for (int n = 0; n < 80; n++) {
            random_event(&tree);
            struct search_tree again = refold(&tree);
            assert_same(&tree, &again);
            search_tree_free(&again);
        }
        search_tree_free(&tree);
    }
}

/* Undoing all and doing all again comes back to the same tree. */
static void test_undo_all_redo_all(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct search_tree tree = {0};
        made_session(&tree, "p", 1);
        for (int n = 0; n < 100; n++)
            random_event(&tree);
        struct search_tree before = {0};
        for (int64_t i = 0; i < tree.event_count; i++)
            search_tree_fold(&before, tree.events[i]);
        int undone = tree.undo_count;
        while (tree.undo_count)
            made_undo(&tree);
        for (int i = 0; i < tree.count; i++)
            assert_false(search_tree_is_pruned(&tree, i));
        for (; undone > 0; undone--)
            made_redo(&tree);
        assert_same(&before, &tree);
        search_tree_free(&before);
        search_tree_free(&tree);
    }
}

/* --- text and JSON ----------------------------------------------------------------------------------------------- */

static void test_text(void **state)
{
    (void)state;
    /* "é" in two tokens, a stray byte, a zero byte, an escape: offsets move as the text grows. */
    const char bytes[] = "a\xc3\xa9\xff\0\x1b[0m";
    size_t starts[] = {0, 1, 2, 3, 4, 5};
    char *text = search_text(bytes, sizeof bytes - 1, starts, 6);
    assert_string_equal(text, "a\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\x1b[0m");
    const size_t expected[] = {0, 1, 1, 3, 6, 9};
    for (int i = 0; i < 6; i++)
        assert_int_equal(starts[i], expected[i]);
    free(text);
    text = search_text("", 0, starts, 1);
    assert_string_equal(text, "");
    assert_int_equal(starts[0], 0);
    free(text);
}

static char *json_of(const struct search_tree *tree, int64_t i)
{
    struct string out = {0};
    search_event_json(tree->events[i], NULL, &out);
    return out.text;
}

static void test_json(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "4 \x1b]0;x\x07 \x7f \xe2\x80\xae 6", UINT64_MAX);
    made_plan(&tree, (struct search_item[]){SAMPLE(0, 1)}, 1);
    made_completion(&tree, 0, 0, 1, -0.1f);
    made_thought(&tree, 0, 2, "t", 0, NULL, NULL);
    made_decision(&tree, (int[]){1}, 1);
    made_prune(&tree, 1);
    made_undo(&tree);
    made_result(&tree, -1);
    char *line = json_of(&tree, 0);
    /* No byte that a terminal acts on, one line, and a seed beyond 2^63 as digits. */
    assert_null(strpbrk(line, "\x1b\x07\x7f\xe2"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_t *json = json_loads(line, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(json, "problem")), "4 \x1b]0;x\x07 \x7f \xe2\x80\xae 6");
    assert_string_equal(json_string_value(json_object_get(json, "seed")), "18446744073709551615");
    json_decref(json);
    free(line);
    const char *expected[] = {
        "{\"event\":\"plan\",\"number\":1,\"step\":0,\"why\":\"made\",\"items\":[{\"purpose\":\"sample\",\"nodes\":[0],"
        "\"samples\":1}]}\n",
        NULL, /* below */
        "{\"event\":\"thought\",\"number\":3,\"step\":0,\"node\":1,\"parent\":0,\"text\":\"t\",\"completion\":2,"
        "\"first\":0,\"count\":1,"
        "\"illegal\":false,\"why\":null,\"state\":null,\"final\":false,\"answer\":null,\"correct\":null}\n",
        "{\"event\":\"decision\",\"number\":4,\"step\":0,\"kept\":[1],\"why\":\"made\",\"tally\":[],\"tie\":false}\n",
        "{\"event\":\"prune\",\"number\":5,\"step\":0,\"node\":1}\n",
        "{\"event\":\"undo\",\"number\":6,\"step\":0,\"target\":5}\n",
        "{\"event\":\"result\",\"number\":7,\"step\":0,\"strategy\":null,\"answer\":null,\"correct\":false,\"tokens\":{"
        "\"prompt\":0,"
        "\"cached\":0,\"completion\":0},\"flops\":0.0,\"node\":null,\"why\":\"made\",\"nodes\":0,\"illegal\":0}\n",
    };
    for (int i = 0; i < 7; i++) {
        if (!expected[i])
            continue;
        line = json_of(&tree, i + 1);
        assert_string_equal(line, expected[i]);
        free(line);
    }
    /* A float comes back as it was; minus infinity is null. */
    line = json_of(&tree, 2);
    json = json_loads(line, 0, NULL);
    json_t *token = json_array_get(json_object_get(json, "tokens"), 0);
    assert_true((float)json_real_value(json_object_get(token, "logprob")) == -0.1f);
    json_decref(json);
    free(line);
    search_tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_vote_and_prune),
        cmocka_unit_test(test_fold_is_refold),
        cmocka_unit_test(test_undo_all_redo_all),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
