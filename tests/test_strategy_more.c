/* Best of n, beam and dvts on trees made by hand, with the scores worked out; and every strategy on trees made at
 * random. */
#include "tests/said.h"

#include <math.h>

/* --- best of n --------------------------------------------------------------------------------------------------- */

/* Four paths; node numbers in brackets, then the values that test_best_of_n gives them:
 *   a [1] 4 - =7 [5] 3               last 3   min 3   prod 4 * 3 = 12
 *   b [2] 1 - =8 [6] 9               last 9   min 1   prod 1 * 9 = 9
 *   c [3] illegal
 *   d [4] 3 - e [7] 1 - =8 [8] 2     last 2   min 1   prod 3 * 1 * 2 = 6;  with e 2: min 2, prod 12
 * Summed, last: 8 has 9 + 2 = 11 of 14; prod: 8 has 9 + 6 = 15 of 27; min with e 2: 7 has 3 and 8 has 1 + 2 = 3 of 6, a
 * tie. A path has -1 a token, so 7 has -1 and 8 has -2: 7. */
static void four_paths(struct search_tree *tree)
{
    made_session(tree, "p", 1);
    expect(tree, "best-of-n,n=4", "sample 0 x4", "begin 4 paths");
    GROWN(tree, 0, "a", "b", "!c", "d"); /* 1 2 3 4 */
    expect(tree, "best-of-n,n=4", "sample 1 x1; sample 2 x1; sample 4 x1", "go on with 3 paths");
    GROWN(tree, 1, "=7"); /* 5 */
    GROWN(tree, 2, "=8"); /* 6 */
    GROWN(tree, 4, "e");  /* 7 */
    expect(tree, "best-of-n,n=4", "sample 7 x1", "go on with 1 path");
    made_prune(tree, 7);
    expect(tree, "best-of-n,n=1", "value 5 x3; value 6 x3", "value 2 thoughts, 3 samples each");
    made_undo(tree);
    GROWN(tree, 7, "=8"); /* 8 */
}

static void test_best_of_n(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    four_paths(&tree);
    expect(&tree, "best-of-n,n=1", "value 5 x3; value 6 x3; value 8 x3", "value 3 thoughts, 3 samples each");
    expect(&tree, "best-of-n,n=1,judge=steps,n_evaluate=1",
           "value 5 x1; value 1 x1; value 6 x1; value 2 x1; value 8 x1; value 7 x1; value 4 x1", NULL);
    judge(&tree, 5, 3);
    judge(&tree, 6, 9);
    judge(&tree, 8, 2);
    expect(&tree, "best-of-n,n=1", "keep 6", "the best of 3 answers, last value 9, the next 3: 8");
    expect(&tree, "best-of-n,n=1,weighted=1", "keep 6 8", "summed last value 11 of 14 (2 of 3 answers): 8");
    record_decision(&tree, "best-of-n,n=1", 0);
    expect(&tree, "best-of-n,n=1", "done 6", "the best of 3 answers, last value 9, the next 3");
    /* As if it were not. */
    made_prune(&tree, 2);
    expect(&tree, "best-of-n,n=1", "keep 5", "the best of 2 answers, last value 3, the next 2: 7");
    made_undo(&tree);
    expect(&tree, "best-of-n,n=1", "done 6", NULL);

    judge(&tree, 1, 4);
    judge(&tree, 2, 1);
    judge(&tree, 4, 3);
    /* Only the step between is left, which until then has no part. */
    expect(&tree, "best-of-n,n=1,judge=steps,n_evaluate=1", "value 7 x1", "value 1 thought, 1 sample each");
    judge(&tree, 7, 2);
    expect(&tree, "best-of-n,n=1,judge=steps,aggregate=min", "keep 5",
           "the best of 3 answers, least value 3, the next 2: 7");
    judge(&tree, 7, 1);
    expect(&tree, "best-of-n,n=1,judge=steps,aggregate=prod", "keep 5",
           "the best of 3 answers, product of values 12, the next 9: 7");
    expect(&tree, "best-of-n,n=1,judge=steps,aggregate=prod,weighted=1", "keep 6 8",
           "summed product of values 15 of 27 (2 of 3 answers): 8");
    judge(&tree, 7, 2);
    expect(&tree, "best-of-n,n=1,judge=steps,aggregate=min,weighted=1", "keep 5",
           "summed least value 3 of 6 (1 of 3 answers), a tie broken by log-probability: 7");
    search_tree_free(&tree);
}

/* Equals, copies, a vote, and the end of the budget. */
static void test_best_of_n_equal(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "=7", "=8", "=7", "=9"); /* 1 2 3 4; 3 reads like 1 */
    expect(&tree, "best-of-n,n=1", "value 1 x3; value 2 x3; value 4 x3", NULL);
    expect(&tree, "best-of-n,n=1,evaluate=vote", "vote 1 2 4 x3", "vote among 3 thoughts, 3 samples");
    struct search_plan plan;
    char *said = say(&tree, "best-of-n,n=1", 1, &plan);
    assert_string_equal(said, "keep 1");
    assert_string_equal(plan.why, "the first of 4 answers, not judged: 7");
    search_plan_free(&plan);
    free(said);
    judge(&tree, 2, 5);
    judge(&tree, 4, 5);
    judge(&tree, 1, 3);
    expect(&tree, "best-of-n,n=1", "keep 2", "the best of 4 answers, last value 5, a tie: the earlier is taken: 8");
    /* A copy has what its original has: 3 + 3 = 6 of 16. */
    expect(&tree, "best-of-n,n=1,weighted=1", "keep 1 3", "summed last value 6 of 16 (2 of 4 answers): 7");
    /* Without the original, the copy is judged itself. */
    made_prune(&tree, 1);
    expect(&tree, "best-of-n,n=1", "value 3 x3", NULL);
    search_tree_free(&tree);

    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "!a", "!b");
    expect(&tree, "best-of-n,n=1", "done -1", "none of 2 paths came to an answer");
    search_tree_free(&tree);
}

/* --- beam -------------------------------------------------------------------------------------------------------- */

#define BEAM "beam,n=4,m=2"

/*   a [1] 3 - e [7] 9   last 9  min 3  prod 27      b [2] 5 - =x [5] 4  last 4  min 4  prod 20
 *           - f [8] 1        1      1        3              -  d [6] 4       4      4       20
 *   c [3] illegal; a [4] reads like 1 */
static void test_beam(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    expect(&tree, BEAM, "sample 0 x4", "begin with 4 thoughts");
    GROWN(&tree, 0, "a", "b", "!c", "a"); /* 1 .. 4 */
    expect(&tree, BEAM, "value 1 x3; value 2 x3", "value 2 thoughts, 3 samples each");
    judge(&tree, 1, 3);
    judge(&tree, 2, 5);
    expect(&tree, BEAM, "keep 2 1", "kept 2 of 2 by last value: 5, 3");
    expect(&tree, "beam,n=2,m=4", "keep 2", "kept 1 of 2 by last value: 5");
    record_decision(&tree, BEAM, 0);
    expect(&tree, BEAM, "sample 2 x2; sample 1 x2", "go on from 2 thoughts, 2 times each");
    made_prune(&tree, 2);
    expect(&tree, BEAM, "keep 1", "kept 1 of 1 by last value: 3");
    made_undo(&tree);
    GROWN(&tree, 2, "=x", "d"); /* 5 6 */
    GROWN(&tree, 1, "e", "f");  /* 7 8 */
    expect(&tree, BEAM, "value 5 x3; value 6 x3; value 7 x3; value 8 x3", NULL);
    judge(&tree, 5, 4);
    judge(&tree, 6, 4);
    judge(&tree, 7, 9);
    judge(&tree, 8, 1);
    expect(&tree, BEAM, "keep 7 5", "kept 2 of 4 by last value: 9, 4; of equals the earlier");
    expect(&tree, BEAM ",aggregate=min", "keep 5 6", "kept 2 of 4 by least value: 4, 4");
    expect(&tree, BEAM ",aggregate=prod", "keep 7 5",
           "kept 2 of 4 by product of values: 27, 20; of equals the earlier");
    record_decision(&tree, BEAM, 0);
    assert_true(tree.latest_decision->decision.tie);
    expect(&tree, BEAM, "sample 7 x2", "go on from 1 thought, 2 times each"); /* 5 holds an answer */
    GROWN(&tree, 7, "=y", "!g");                                              /* 9 10 */
    expect(&tree, BEAM, "value 9 x3", NULL);
    judge(&tree, 9, 2);
    expect(&tree, BEAM, "keep 5 9", "kept 2 of 2 by last value: 4, 2");
    record_decision(&tree, BEAM, 0);
    expect(&tree, BEAM, "done 5", "the best of 2 answers, last value 4, the next 2");
    /* Without 7 the second of its level is 6, which has not been grown. */
    made_prune(&tree, 7);
    expect(&tree, BEAM, "keep 5 6", "kept 2 of 3 by last value: 4, 4");
    record_decision(&tree, BEAM, 0);
    expect(&tree, BEAM, "sample 6 x2", NULL);
    struct search_plan plan;
    char *said = say(&tree, BEAM, 1, &plan);
    assert_string_equal(said, "done 5");
    assert_string_equal(plan.why, "the only answer, last value 4");
    search_plan_free(&plan);
    free(said);
    search_tree_free(&tree);

    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "!a", "!b");
    expect(&tree, BEAM, "done -1", "no path came to an answer");
    search_tree_free(&tree);
}

/* --- dvts -------------------------------------------------------------------------------------------------------- */

#define DVTS "dvts,n=4,m=2"

/* First tree: a [1] 4.5, b [2] 5, under b =x [5] 1 and =y [6] 2. Second tree: c [3] 4, d [4] 4, under c =y [7] 1.5.
 * Both thoughts of the first are better than the second's: a beam would keep none of these. Pooled: y 2 and y 1.5. */
static void test_dvts(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    expect(&tree, DVTS, "sample 0 x4", "begin with 4 thoughts");
    expect(&tree, "dvts,n=7,m=3", "sample 0 x6", "begin with 6 thoughts");
    made_plan(&tree, (struct search_item[]){GROW(0, 4)}, 1);
    for (int i = 0; i < 4; i++)
        made_thought(&tree, 0, made_completion(&tree, 0, i, 1, -1), (const char *[]){"a", "b", "c", "d"}[i], 0, NULL,
                     NULL);
    expect(&tree, DVTS, "value 1 x3; value 2 x3; value 3 x3; value 4 x3", NULL);
    judge(&tree, 1, 4.5);
    judge(&tree, 2, 5);
    judge(&tree, 3, 4);
    judge(&tree, 4, 4);
    expect(&tree, BEAM, "keep 2 1", NULL);
    expect(&tree, DVTS, "keep 2 3", "kept the best of each of 2 trees by last value: 5, 4; of equals the earlier");
    record_decision(&tree, DVTS, 0);
    expect(&tree, DVTS, "sample 2 x2; sample 3 x2", "go on from 2 thoughts, 2 times each");
    GROWN(&tree, 2, "=x", "=y"); /* 5 6 */
    GROWN(&tree, 3, "=y", "!z"); /* 7 8 */
    judge(&tree, 5, 1);
    judge(&tree, 6, 2);
    expect(&tree, DVTS, "value 7 x3", NULL);
    judge(&tree, 7, 1.5);
    expect(&tree, DVTS, "keep 6 7", "kept the best of each of 2 trees by last value: 2, 1.5");
    record_decision(&tree, DVTS, 0);
    expect(&tree, DVTS, "done 6", "the best of 2 answers, last value 2, the next 1.5");
    expect(&tree, DVTS ",weighted=1", "done 6", "summed last value 3.5 of 3.5 (2 of 2 answers)");
    /* A tree that has nothing left drops out. */
    made_prune(&tree, 2);
    made_prune(&tree, 1);
    expect(&tree, DVTS, "keep 7", "kept the best of each of 1 trees by last value: 1.5");
    search_tree_free(&tree);
}

/* --- every strategy, at random ----------------------------------------------------------------------------------- */

struct dice {
    uint64_t seed, thrown;
};

static int throw(struct dice * dice, int sides)
{
    return (int)(random_uniform(dice->seed, 1, dice->thrown++) * sides);
}

static void answer_growth(struct search_tree *tree, const struct search_item *item, int64_t completion,
                          struct dice *dice)
{
    int parent = item->nodes[0], propose = item->purpose == SEARCH_PROPOSE;
    int thoughts = propose ? throw(dice, 4) : throw(dice, 10) > 0;
    for (int t = 0; t < thoughts; t++) {
        int kind = throw(dice, 10), deep = tree->nodes[parent].depth >= 3;
        const char *text = (const char *[]){"a", "b", "c", "d"}[throw(dice, 4)];
        const char *answer = (const char *[]){"7", "8", "9"}[throw(dice, 3)];
        made_thought(tree, parent, completion, text, deep, kind == 1 || kind == 2 ? answer : NULL,
                     kind == 0 ? "wrong" : NULL);
    }
}

static void answer_judge(struct search_tree *tree, int i, const struct search_item *item, struct dice *dice)
{
    struct search_event *event = made(tree, SEARCH_EVENT_JUDGEMENT);
    event->judgement.item = i;
    event->judgement.purpose = item->purpose;
    event->judgement.count = item->count;
    event->judgement.nodes = xcalloc((size_t)item->count, sizeof *event->judgement.nodes);
    event->judgement.scores = xcalloc((size_t)item->count, sizeof *event->judgement.scores);
    event->judgement.labels = xcalloc((size_t)item->samples, sizeof *event->judgement.labels);
    event->judgement.samples = item->samples;
    for (int k = 0; k < item->count; k++) {
        event->judgement.nodes[k] = item->nodes[k];
        event->judgement.scores[k] = throw(dice, 4);
    }
    for (int s = 0; s < item->samples; s++)
        event->judgement.labels[s] = xstrdup((const char *[]){"sure", "impossible", "likely", NULL}[throw(dice, 4)]);
    fold(tree, event);
}

/* What may be asked: to grow what can be grown and was not, but for the root, where paths may be begun again; to judge
 * what is legal and was not judged. */
static void check_items(const struct search_tree *tree, const struct search_plan *plan)
{
    for (int i = 0; i < plan->count; i++) {
        const struct search_item *item = &plan->items[i];
        assert_true(item->samples > 0 && item->count > 0);
        for (int k = 0; k < item->count; k++) {
            assert_in_range(item->nodes[k], 0, tree->count - 1);
            assert_false(search_tree_is_pruned(tree, item->nodes[k]));
            assert_int_not_equal(tree->nodes[item->nodes[k]].state, SEARCH_ILLEGAL);
        }
        if (item->purpose == SEARCH_SAMPLE || item->purpose == SEARCH_PROPOSE)
            assert_true(tree->nodes[item->nodes[0]].state == SEARCH_FRONTIER || item->nodes[0] == 0);
        if (item->purpose == SEARCH_VALUE)
            assert_true(isnan(tree->nodes[item->nodes[0]].value));
    }
}

static void do_plan(struct search_tree *tree, const struct search_plan *plan, struct dice *dice)
{
    made_plan(tree, plan->items, plan->count);
    for (int i = 0; i < plan->count; i++) {
        const struct search_item *item = &plan->items[i];
        int grows = search_item_grows(item);
        for (int s = 0; s < item->samples; s++) {
            int64_t completion = made_completion(tree, i, s, 1 + throw(dice, 3), -(float) throw(dice, 4));
            if (grows)
                answer_growth(tree, item, completion, dice);
        }
        if (!grows)
            answer_judge(tree, i, item, dice);
    }
}

/* An act of the user between two steps: a prune, or an undo. */
static int act(struct search_tree *tree, struct dice *dice)
{
    int kind = throw(dice, 12), node = 1 + throw(dice, tree->count);
    if (kind == 0 && node < tree->count && !search_tree_is_pruned(tree, node)) {
        made_prune(tree, node);
        return 1;
    }
    if (kind == 1 && tree->undo_count) {
        made_undo(tree);
        return 1;
    }
    return 0;
}

static void run_at_random(const char *spec, uint64_t seed)
{
    struct dice dice = {.seed = seed};
    struct search_tree tree = {0};
    int done = 0, acts = 0, spent_at = throw(&dice, 2) ? throw(&dice, 30) : 10000, step;
    made_session(&tree, "p", seed);
    for (step = 0; !done && step < 2000; step++) {
        struct search_plan plan, again;
        int spent = step >= spent_at;
        if (acts < 20 && act(&tree, &dice)) {
            acts++;
            continue;
        }
        char *said = say(&tree, spec, spent, &plan), *twice = say(&tree, spec, spent, &again);
        assert_string_equal(said, twice);
        assert_string_equal(plan.why, again.why);
        check_items(&tree, &plan);
        assert_false(spent && plan.kind == SEARCH_PLAN_ITEMS);
        for (int i = 0; i < plan.kept_count; i++)
            assert_false(search_tree_is_pruned(&tree, plan.kept[i]));
        if (plan.kind == SEARCH_PLAN_ITEMS)
            do_plan(&tree, &plan, &dice);
        else if (plan.kind == SEARCH_PLAN_DECISION)
            record_decision(&tree, spec, spent);
        else
            assert_true(plan.node < 0 || search_has_answer(&tree, plan.node));
        done = plan.kind == SEARCH_PLAN_DONE;
        search_plan_free(&plan);
        search_plan_free(&again);
        free(said);
        free(twice);
    }
    if (!done)
        fail_msg("%s, seed %d: no end after %d steps", spec, (int)seed, step);
    search_tree_free(&tree);
}

static void test_at_random(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "greedy",
        "sample",
        "self-consistency,m=7",
        "self-consistency,m=20,weight=normalised,adaptive=1,threshold=0.8,round=3",
        "best-of-n,n=6",
        "best-of-n,n=6,judge=steps,aggregate=prod,weighted=1",
        "best-of-n,n=6,evaluate=vote",
        "beam,n=6,m=2",
        "beam,n=4,m=3,aggregate=min",
        "dvts,n=6,m=2,weighted=1",
        "dvts,n=9,m=3,aggregate=prod",
        "tot,b=2",
        "tot-dfs",
        "tot-dfs,children=2,limit=9,generate=sample,k=3,first=0",
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (uint64_t seed = 0; seed < 200; seed++)
            run_at_random(specs[i], seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_of_n), cmocka_unit_test(test_best_of_n_equal), cmocka_unit_test(test_beam),
        cmocka_unit_test(test_dvts),      cmocka_unit_test(test_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
