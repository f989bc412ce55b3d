/* Best of n on trees made by hand, with the scores worked out; and every strategy on trees made at random. */
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
    expect(tree, "best-of-n", "value 5 x3; value 6 x3", "value 2 thoughts, 3 samples each");
    made_undo(tree);
    GROWN(tree, 7, "=8"); /* 8 */
}

static void test_best_of_n(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    four_paths(&tree);
    expect(&tree, "best-of-n", "value 5 x3; value 6 x3; value 8 x3", "value 3 thoughts, 3 samples each");
    expect(&tree, "best-of-n,judge=steps,n_evaluate=1",
           "value 5 x1; value 1 x1; value 6 x1; value 2 x1; value 8 x1; value 7 x1; value 4 x1", NULL);
    judge(&tree, 5, 3);
    judge(&tree, 6, 9);
    judge(&tree, 8, 2);
    expect(&tree, "best-of-n", "keep 6", "the best of 3 answers, last value 9, the next 3: 8");
    expect(&tree, "best-of-n,weighted=1", "keep 6 8", "summed last value 11 of 14 (2 of 3 answers): 8");
    record_decision(&tree, "best-of-n");
    expect(&tree, "best-of-n", "done 6", "the best of 3 answers, last value 9, the next 3");
    /* As if it were not. */
    made_prune(&tree, 2);
    expect(&tree, "best-of-n", "keep 5", "the best of 2 answers, last value 3, the next 2: 7");
    made_undo(&tree);
    expect(&tree, "best-of-n", "done 6", NULL);

    judge(&tree, 1, 4);
    judge(&tree, 2, 1);
    judge(&tree, 4, 3);
    /* Only the step between is left, which until then has no part. */
    expect(&tree, "best-of-n,judge=steps,n_evaluate=1", "value 7 x1", "value 1 thought, 1 sample each");
    judge(&tree, 7, 2);
    expect(&tree, "best-of-n,judge=steps,aggregate=min", "keep 5",
           "the best of 3 answers, least value 3, the next 2: 7");
    judge(&tree, 7, 1);
    expect(&tree, "best-of-n,judge=steps,aggregate=prod", "keep 5",
           "the best of 3 answers, product of values 12, the next 9: 7");
    expect(&tree, "best-of-n,judge=steps,aggregate=prod,weighted=1", "keep 6 8",
           "summed product of values 15 of 27 (2 of 3 answers): 8");
    judge(&tree, 7, 2);
    expect(&tree, "best-of-n,judge=steps,aggregate=min,weighted=1", "keep 5",
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
    expect(&tree, "best-of-n", "value 1 x3; value 2 x3; value 4 x3", NULL);
    expect(&tree, "best-of-n,evaluate=vote", "vote 1 2 4 x3", "vote among 3 thoughts, 3 samples");
    struct search_plan plan;
    char *said = say(&tree, "best-of-n", 1, &plan);
    assert_string_equal(said, "keep 1");
    assert_string_equal(plan.why, "the first of 4 answers, not judged: 7");
    search_plan_free(&plan);
    free(said);
    judge(&tree, 2, 5);
    judge(&tree, 4, 5);
    judge(&tree, 1, 3);
    expect(&tree, "best-of-n", "keep 2", "the best of 4 answers, last value 5, a tie: the earlier is taken: 8");
    /* A copy has what its original has: 3 + 3 = 6 of 16. */
    expect(&tree, "best-of-n,weighted=1", "keep 1 3", "summed last value 6 of 16 (2 of 4 answers): 7");
    /* Without the original, the copy is judged itself. */
    made_prune(&tree, 1);
    expect(&tree, "best-of-n", "value 3 x3", NULL);
    search_tree_free(&tree);

    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "!a", "!b");
    expect(&tree, "best-of-n", "done -1", "none of 2 paths came to an answer");
    search_tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best_of_n),
        cmocka_unit_test(test_best_of_n_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
