/* Tree of Thoughts depth first, on a tree made by hand: what is gone on with, what is gone back from, where it ends. */
#include "tests/said.h"

#include <math.h>

/* Judge a node by three labels, of weights sure 20, likely 1, impossible 0.001. */
static void labelled(struct search_tree *tree, int node, const char *a, const char *b, const char *c)
{
    const char *labels[] = {a, b, c};
    made_plan(tree, (struct search_item[]){{.purpose = SEARCH_VALUE, .nodes = &node, .count = 1, .samples = 3}}, 1);
    struct search_event *event = made(tree, SEARCH_EVENT_JUDGEMENT);
    for (int s = 0; s < 3; s++)
        made_completion(tree, 0, s, 1, -1);
    event->number = tree->event_count;
    event->judgement.purpose = SEARCH_VALUE;
    event->judgement.count = 1;
    event->judgement.nodes = xcalloc(1, sizeof *event->judgement.nodes);
    event->judgement.nodes[0] = node;
    event->judgement.scores = xcalloc(1, sizeof *event->judgement.scores);
    event->judgement.labels = xcalloc(3, sizeof *event->judgement.labels);
    event->judgement.samples = 3;
    for (int s = 0; s < 3; s++) {
        event->judgement.labels[s] = xstrdup(labels[s]);
        event->judgement.scores[0] += labels[s][0] == 's' ? 20 : labels[s][0] == 'l' ? 1 : .001;
    }
    fold(tree, event);
}

static void keep(struct search_tree *tree, int node)
{
    made_decision(tree, &node, 1);
}

/*   a [1] 1 + 1 + 1 = 3         =7 [9] 1 + 1 + 1 = 3
 *   b [2] 20 + 20 + 1 = 41      e [6] 20 + 20 + .001: impossible, f [7] illegal, g [8] 1 + 1 + .001: impossible
 *   c [3] 20 + 20 + .001 = 40.001: impossible
 *   a [4] a copy,  d [5] 1 + 1 + 20 = 22 */
static void test_backtracking(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    const char *spec = "tot-dfs";
    made_session(&tree, "p", 1);
    expect(&tree, spec, "propose 0 x1", "propose from state 1 of at most 100");
    expect(&tree, "tot-dfs,generate=sample,k=4", "sample 0 x4", "sample from state 1 of at most 100");
    GROWN(&tree, 0, "a", "b", "c", "a", "d"); /* 1 .. 5 */
    expect(&tree, spec, "value 1 x3; value 2 x3; value 3 x3; value 5 x3", NULL);
    labelled(&tree, 1, "likely", "likely", "likely");
    labelled(&tree, 2, "sure", "sure", "likely");
    labelled(&tree, 3, "sure", "sure", "impossible");
    labelled(&tree, 5, "likely", "likely", "sure");
    expect(&tree, spec, "keep 2", "on at depth 1: thought 1 of 3, of value 41; 1 impossible");
    keep(&tree, 2);
    expect(&tree, spec, "propose 2 x1", "propose from state 2 of at most 100");
    GROWN(&tree, 2, "e", "!f", "g"); /* 6 7 8 */
    labelled(&tree, 6, "sure", "sure", "impossible");
    labelled(&tree, 8, "likely", "likely", "impossible");
    /* Below b nothing is left: back to the second, d; with one child a state there is none. */
    expect(&tree, spec, "keep 5", "back at depth 1: thought 2 of 3, of value 22; 1 impossible");
    expect(&tree, "tot-dfs,children=1", "done -1", "no answer after 2 states grown");
    expect(&tree, "tot-dfs,limit=2", "done -1", "no answer after 2 states grown, the limit");
    keep(&tree, 5);
    made_prune(&tree, 5);
    expect(&tree, spec, "keep 1", "back at depth 1: thought 2 of 2, of value 3; 1 impossible");
    keep(&tree, 1);
    expect(&tree, spec, "propose 1 x1", "propose from state 3 of at most 100");
    GROWN(&tree, 1, "=7"); /* 9 */
    labelled(&tree, 9, "likely", "likely", "likely");
    expect(&tree, spec, "keep 9", "an answer after 3 states grown, thought 1 of 1, of value 3");
    keep(&tree, 9);
    expect(&tree, spec, "done 9", "the only answer, last value 3; 3 states grown");
    /* Given back, d comes before the answer, as it would have. */
    made_undo(&tree);
    expect(&tree, spec, "keep 5", NULL);
    struct search_plan plan;
    char *said = say(&tree, spec, 1, &plan);
    assert_string_equal(said, "done 9"); /* not when all is spent */
    search_plan_free(&plan);
    free(said);
    search_tree_free(&tree);
}

/* first=0 goes on, and takes the best: =7 of value 3 is come to after e, under the better b; =8 of value 22 after it.
 */
static void test_not_the_first(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    const char *spec = "tot-dfs,first=0";
    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "a", "b"); /* 1 2 */
    labelled(&tree, 1, "likely", "likely", "likely");
    labelled(&tree, 2, "sure", "sure", "likely");
    keep(&tree, 2);
    GROWN(&tree, 2, "=7"); /* 3 */
    labelled(&tree, 3, "likely", "likely", "likely");
    expect(&tree, "tot-dfs", "keep 3", NULL);
    expect(&tree, spec, "keep 1", "back at depth 1: thought 2 of 2, of value 3");
    keep(&tree, 1);
    GROWN(&tree, 1, "=8"); /* 4 */
    labelled(&tree, 4, "likely", "likely", "sure");
    expect(&tree, spec, "done 4", "the best of 2 answers, last value 22, the next 3; 3 states grown");
    search_tree_free(&tree);
}

/* What is impossible is the label of least weight that the task has: tiny.yaml has good: 20 and bad: 0.001. */
static void test_worst_label(void **state)
{
    (void)state;
    struct search_task *task;
    struct search_parameters p;
    struct error e;
    assert_int_equal(search_task_open(&task, "tests/tiny.yaml", &e), OK);
    assert_int_equal(search_parameters_parse(&p, "tot-dfs", task, &e), OK);
    assert_string_equal(p.worst, "bad");
    search_task_close(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backtracking),
        cmocka_unit_test(test_not_the_first),
        cmocka_unit_test(test_worst_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
