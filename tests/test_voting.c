/* Sample, and the weighted and adaptive forms of self-consistency, on trees made by hand with the numbers worked out.
 */
#include "tests/said.h"

#include <math.h>

/* Begin chains of one thought: an answer (NULL: none) and the log-probability of each of its two tokens. */
static void chains(struct search_tree *tree, int count, const char *const *answers, const float *logprobs)
{
    made_plan(tree, (struct search_item[]){GROW(0, count)}, 1);
    for (int i = 0; i < count; i++)
        made_thought(tree, 0, made_completion(tree, 0, i, 2, logprobs[i]), "t", 1, answers[i], NULL);
}

static void test_sample(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    expect(&tree, "sample", "sample 0 x1", "write thought 1");
    GROWN(&tree, 0, "a");
    expect(&tree, "sample", "sample 1 x1", "write thought 2");
    GROWN(&tree, 1, "=7");
    expect(&tree, "sample", "done 2", "the only path, 2 thoughts long");
    assert_true(search_strategy_find("sample")->temperature < 0);
    search_tree_free(&tree);
}

/* Two paths to 7 at ln(1/10) a token, one to 8 at ln(1/2), one to nothing. Plurality: 7 by 2 to 1. Weight: 7 has
 * .1 + .1 = .2, 8 has .5; of all .7. */
static void test_normalised(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    const char *spec = "self-consistency,m=4,weight=normalised";
    made_session(&tree, "p", 1);
    chains(&tree, 4, (const char *[]){"7", "8", NULL, "7"},
           (float[]){logf(.1f), logf(.5f), -1, logf(.1f)}); /* 1 2 3 4 */
    expect(&tree, "self-consistency,m=4", "keep 1 4", "plurality 2 of 3 votes (1 of 4 paths has none): 7");
    expect(&tree, spec, "keep 2", "weight 0.5 of 0.7, 1 of 3 votes (1 of 4 paths has none): 8");
    record_decision(&tree, spec, 0);
    assert_int_equal(tree.latest_decision->decision.tally_count, 2);
    assert_string_equal(tree.latest_decision->decision.tally[0].answer, "8");
    assert_int_equal(tree.latest_decision->decision.tally[0].votes, 1);
    assert_int_equal(tree.latest_decision->decision.tally[1].votes, 2);
    assert_true(fabs(tree.latest_decision->decision.tally[1].logprob - 2 * log(.1)) < 1e-6);
    expect(&tree, spec, "done 2", "weight 0.5 of 0.7, 1 of 3 votes (1 of 4 paths has none)");
    made_prune(&tree, 2);
    expect(&tree, spec, "keep 1 4", "weight 0.2 of 0.2, 2 of 2 votes (1 of 3 paths has none): 7");
    search_tree_free(&tree);

    /* A path of two thoughts: (2 ln .1 + 2 ln .4) / 4 a token, which is the logarithm of sqrt(.04) = .2. */
    made_session(&tree, "p", 1);
    made_plan(&tree, (struct search_item[]){GROW(0, 1)}, 1);
    made_thought(&tree, 0, made_completion(&tree, 0, 0, 2, logf(.1f)), "t", 0, NULL, NULL);
    made_plan(&tree, (struct search_item[]){GROW(1, 1)}, 1);
    made_thought(&tree, 1, made_completion(&tree, 0, 0, 2, logf(.4f)), "u", 0, "9", NULL);
    expect(&tree, "self-consistency,m=1,weight=normalised", "keep 2", "weight 0.2 of 0.2, 1 of 1 vote: 9");
    search_tree_free(&tree);
}

/* The posterior of v against w votes is the probability of at most v heads in v + w + 1 throws:
 *   0:0  1/2          1:0  (1 + 2) / 4 = .75      1:1  (1 + 3) / 8 = .5        2:1  (1 + 4 + 6) / 16 = .6875
 *   3:1  (1 + 5 + 10 + 10) / 32 = .8125            4:1  (64 - 6 - 1) / 64 = .890625
 *   5:1  (128 - 7 - 1) / 128 = .9375               6:1  (256 - 8 - 1) / 256 = .96484375 */
static void test_adaptive(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    const char *spec = "self-consistency,m=40,adaptive=1";
    static const char *const answers[] = {"7", "8", "7", "7", "7", "7"};
    static const char *const whys[] = {
        "posterior 0.7500, below 0.95, after 1 path: begin 1 more",
        "posterior 0.5000, below 0.95, after 2 paths: begin 1 more",
        "posterior 0.6875, below 0.95, after 3 paths: begin 1 more",
        "posterior 0.8125, below 0.95, after 4 paths: begin 1 more",
        "posterior 0.8906, below 0.95, after 5 paths: begin 1 more",
        "posterior 0.9375, below 0.95, after 6 paths: begin 1 more",
    };
    made_session(&tree, "p", 1);
    expect(&tree, spec, "sample 0 x1", "begin 1 path");
    for (int i = 0; i < 6; i++) {
        chains(&tree, 1, &answers[i], (float[]){-1}); /* 1 .. 6 */
        expect(&tree, spec, "sample 0 x1", whys[i]);
    }
    expect(&tree, "self-consistency,m=40,adaptive=1,threshold=.9375", "keep 1 3 4 5 6",
           "plurality 5 of 6 votes, posterior 0.9375: 7");
    expect(&tree, "self-consistency,m=6,adaptive=1", "keep 1 3 4 5 6", "plurality 5 of 6 votes, posterior 0.9375: 7");
    expect(&tree, "self-consistency,m=9,adaptive=1,round=4", "sample 0 x3", NULL); /* the cap cuts a round */
    chains(&tree, 1, answers, (float[]){-1});
    expect(&tree, spec, "keep 1 3 4 5 6 7", "plurality 6 of 7 votes, posterior 0.9648: 7");
    record_decision(&tree, spec, 0);
    expect(&tree, spec, "done 1", "plurality 6 of 7 votes, posterior 0.9648");
    /* Without the one that voted otherwise it is 6:0, (128 - 1) / 128; without one for the winner 5:1, not enough. */
    made_prune(&tree, 2);
    expect(&tree, spec, "keep 1 3 4 5 6 7", "plurality 6 of 6 votes, posterior 0.9922: 7");
    made_undo(&tree);
    made_prune(&tree, 7);
    expect(&tree, spec, "sample 0 x1", "posterior 0.9375, below 0.95, after 7 paths: begin 1 more");
    /* A pruned path is not replaced beyond the cap. */
    expect(&tree, "self-consistency,m=7,adaptive=1", "keep 1 3 4 5 6", "plurality 5 of 6 votes, posterior 0.9375: 7");
    search_tree_free(&tree);

    /* Paths without an answer are no votes; a path under way is gone on with first. */
    made_session(&tree, "p", 1);
    expect(&tree, "self-consistency,m=2,adaptive=1,round=5", "sample 0 x2", "begin 2 paths");
    chains(&tree, 1, (const char *[]){NULL}, (float[]){-1});
    expect(&tree, spec, "sample 0 x1", "posterior 0.5000, below 0.95, after 1 path: begin 1 more");
    GROWN(&tree, 0, "a");
    expect(&tree, spec, "sample 2 x1", "go on with 1 path");
    search_tree_free(&tree);
}

/* Far from where the terms can be held as they are: 4000 to 3800. The binomial of n = 7801 has mean 3900.5 and
 * deviation sqrt(7801) / 2 = 44.16; at most 4000 is (4000.5 - 3900.5) / 44.16 = 2.2644 deviations: .98823 of a normal.
 */
static void test_posterior_of_many(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    made_plan(&tree, (struct search_item[]){GROW(0, 7800)}, 1);
    for (int i = 0; i < 7800; i++)
        made_thought(&tree, 0, -1, "t", 1, i < 4000 ? "7" : "8", NULL);
    struct search_plan plan;
    free(say(&tree, "self-consistency,m=7800,adaptive=1", 0, &plan));
    assert_string_equal(plan.why, "plurality 4000 of 7800 votes, posterior 0.9882: 7");
    search_plan_free(&plan);
    search_tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_normalised),
        cmocka_unit_test(test_adaptive),
        cmocka_unit_test(test_posterior_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
