/* auto: how hard it is by the probes, and what takes over. */
#include "tests/simulated.h"

#define AUTO "auto,n=6,m=2,n_evaluate=1"

static void probed(struct search_tree *tree, const char *a, const char *b, const char *c, const char *d)
{
    begin(tree, AUTO, 1);
    expect(tree, AUTO, "sample 0 x4", "probe with 4 paths");
    made_plan(tree, (struct search_item[]){GROW(0, 4)}, 1);
    const char *texts[] = {a, b, c, d};
    for (int s = 0; s < 4; s++)
        write_thought(tree, 0, write_tokens(tree, 0, s, (float[]){-1}, 1), 0, texts[s]);
}

/* 3 of 4 is .75: easy. Beta(4, 2): 1 - 6/32 = .8125, below .95, so one path more; 2 of 4 medium; 1 of 4 hard; none, hard. */
static void test_bins(void **state)
{
    (void)state;
    struct search_tree tree;
    probed(&tree, "=7", "=7", "=8", "=7");
    expect(&tree, AUTO, "keep", "easy: 3 of 4 probes agree; on with self-consistency,m=6,adaptive=1");
    record_decision(&tree, AUTO, 0);
    expect(&tree, AUTO, "sample 0 x1", NULL);
    made_prune(&tree, 1); /* not another problem: 2 against 1, Beta(3, 2) is .6875 */
    made_prune(&tree, 2);
    expect(&tree, AUTO, "sample 0 x1", NULL);
    search_tree_free(&tree);

    probed(&tree, "=7", "=7", "=8", "#");
    expect(&tree, AUTO, "keep",
           "medium: 2 of 4 probes agree; on with best-of-n,n=6,evaluate=value,weighted=1,n_evaluate_sample=1");
    record_decision(&tree, AUTO, 0);
    expect(&tree, AUTO, "sample 0 x2", "begin 2 more paths, 6 in all");
    search_tree_free(&tree);

    probed(&tree, "a", "=7", "!b", "#");
    expect(&tree, AUTO, "sample 1 x1", "go on with 1 probe");
    made_plan(&tree, (struct search_item[]){GROW(1, 1)}, 1);
    write_thought(&tree, 1, write_tokens(&tree, 0, 0, (float[]){-1}, 1), 0, "#"); /* 5 */
    expect(&tree, AUTO, "keep", "hard: 1 of 4 probes agree; on with beam,n=6,m=2,evaluate=value,n_evaluate_sample=1");
    record_decision(&tree, AUTO, 0);
    expect(&tree, AUTO, "sample 0 x2", "begin with 2 more, 6 thoughts");
    made_plan(&tree, (struct search_item[]){GROW(0, 2)}, 1);
    expect(&tree, AUTO, "value 1 x1; value 2 x1", NULL);
    judge(&tree, 1, 5);
    judge(&tree, 2, 3);
    expect(&tree, AUTO, "keep 1 2", NULL);
    record_decision(&tree, AUTO, 0);
    expect(&tree, AUTO, "sample 1 x1", NULL); /* m = 2 thoughts, one of which the probe made */
    search_tree_free(&tree);
}

static void check(const struct search_tree *tree, const char *spec, const struct search_plan *plan)
{
    (void)tree, (void)spec, (void)plan;
}

static void test_at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++)
        run_at_random(AUTO, seed, check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bins), cmocka_unit_test(test_at_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
