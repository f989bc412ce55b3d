/* AB-MCTS-A: posteriors worked out, draws against their means and variances, visits on a tree made by hand. */
#include "tests/simulated.h"

/* Gaussian, after .5 and .7: n 2, sum 1.2, squares .74, mean .6, scatter .74 - 1.2 * .6 = .02. kappa 3, nu 3, m 1.2 / 3 = .4,
 * tau^2 (.1 + .02 + 2 * 1 * .36 / 3) / 3 = .36 / 3 = .12. Beta: a .5 + 1.2 = 1.7, b .5 + 2 - 1.2 = 1.3. */
static void test_posterior(void **state)
{
    (void)state;
    struct search_seen seen = {2, 1.2, .74}, none = {0};
    struct search_posterior g = search_posterior_of(0, &seen), b = search_posterior_of(1, &seen);
    near(g.kappa, 3);
    near(g.nu, 3);
    near(g.m, .4);
    near(g.tau_squared, .12);
    near(b.a, 1.7);
    near(b.b, 1.3);
    g = search_posterior_of(0, &none);
    near(g.m, 0);
    near(g.kappa, 1);
    near(g.nu, 1);
    near(g.tau_squared, .1);
}

/* Mean and variance of 40,000 draws within five deviations of what they should be. Of the mean: m, variance nu tau^2 / ((nu - 2) kappa);
 * of Beta: a / (a + b), a b / ((a + b)^2 (a + b + 1)). */
static void check_draws(int beta, struct search_seen seen, double mean, double variance)
{
    enum { DRAWS = 40000 };
    struct search_posterior p = search_posterior_of(beta, &seen);
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = search_posterior_draw(&p, 7, random_stream((uint64_t)i, 32, 1));
        assert_true(x == search_posterior_draw(&p, 7, random_stream((uint64_t)i, 32, 1)));
        sum += x;
        squares += (x - mean) * (x - mean);
    }
    assert_true(fabs(sum / DRAWS - mean) < 5 * sqrt(variance / DRAWS));
    assert_true(fabs(squares / DRAWS / variance - 1) < 5 * sqrt(3.0 / DRAWS)); /* kurtosis below 4 in what follows */
}

static void test_draws(void **state)
{
    (void)state;
    /* n 19, all .5: kappa 20, nu 20, m 9.5 / 20 = .475, nu tau^2 = .1 + 19 * .25 / 20 = .3375; / 18 / 20 = .0009375 */
    check_draws(0, (struct search_seen){19, 9.5, 4.75}, .475, .0009375);
    /* a 1.7, b 1.3: .56667, 1.7 * 1.3 / (9 * 4) = .0613889; and Beta(.5, .5): .5, .25 / 2 = .125 */
    check_draws(1, (struct search_seen){2, 1.2, .74}, 1.7 / 3, .0613889);
    check_draws(1, (struct search_seen){0}, .5, .125);
}

/* Root: a [1] .5 made first. Then GEN has .5, CONT nothing, and a's arm .5: the draws say which is next. */
static const struct world small = WORLD({"", "a", .5, -1}, {"", "!b", 0, -1}, {"a", "=7", .9, -1});
static void test_visits(void **state)
{
    (void)state;
    int wider = 0, deeper = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        const char *spec = "ab-mcts,iterations=2,n_evaluate=1";
        struct search_tree tree;
        struct search_seen seen = {1, .5, .25}, none = {0};
        begin(&tree, spec, seed);
        FOLLOW(&tree, spec, &small, {"sample 0 x1", "iteration 1 of 2: a new thought at 0"}, {"value 1 x1", NULL},
               {"keep 1 | 1 0.5 0 0.5", "iteration 1 of 2: thought 1, a new thought, reward 0.5; Q of 1 now 0.5 after 1 visit"});
        struct search_posterior after = search_posterior_of(0, &seen), before = search_posterior_of(0, &none);
        double gen = search_posterior_draw(&after, seed, random_stream(1, 33, 0));
        double cont = search_posterior_draw(&before, seed, random_stream(1, 34, 0));
        double arm = search_posterior_draw(&after, seed, random_stream(1, 32, 1));
        terms_are(&tree, 1, 1, .5, arm - .5, 0, arm);
        if (cont > gen) {
            FOLLOW(&tree, spec, &small, {"sample 1 x1", NULL}, {"value 2 x1", NULL}, {"keep 2 | 2 0.9 1 0.9 0 0.9", NULL},
                   {"done 2", NULL});
            deeper++;
        } else {
            FOLLOW(&tree, spec, &small, {"sample 0 x1", NULL}, {"keep | 2 0 0 0", NULL},
                   {"done -1", "no answer after 2 iterations"});
            wider++;
        }
        search_tree_free(&tree);
    }
    assert_true(wider && deeper);
}

static void check(const struct search_tree *tree, const char *spec, const struct search_plan *plan)
{
    (void)spec;
    for (int i = 0, node = plan->backup_count ? plan->backups[0].node : -1; i < plan->backup_count;
         i++, node = tree->nodes[node].parent) {
        assert_int_equal(plan->backups[i].node, node);
        assert_true(plan->backups[i].reward == plan->backups[0].reward);
    }
}

static void test_at_random(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 150; seed++) {
        run_at_random("ab-mcts,iterations=12,depth=3", seed, check);
        run_at_random("ab-mcts,iterations=12,prior=beta", seed, check);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posterior),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_visits),
        cmocka_unit_test(test_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
