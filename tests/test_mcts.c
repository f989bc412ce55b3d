/* Monte Carlo tree search on trees worked out by hand, visit by visit; and what must hold of any, at random. */
#include "tests/simulated.h"

/*   a [1] .5   =7 [6] .9, d [7] .2          b [2] .7   e [4] .3 - x [8] illegal, =8 [5] .4          c [3] illegal
 * In brackets the numbers that they get; b is gone down to first. */
static const struct world two_ways =
    WORLD({"", "a", .5, -1}, {"", "b", .7, -.5f}, {"", "!c", 0, -1}, {"a", "=7", .9, -1}, {"a", "d", .2, -1},
          {"b", "e", .3, -2}, {"b", "=8", .4, -1}, {"e", "!x", 0, -1});

/* --- UCT --------------------------------------------------------------------------------------------------------- */

#define UCT "mcts,iterations=6,generate=propose,n_evaluate=1"

/* ln 1 = 0, ln 2 = .69315, ln 3 = 1.09861, ln 4 = 1.38629, ln 5 = 1.60944.
 *  1  N 0: a .5, b .7; below b: e .3, =8 .4. =8: .4, b: (.7 + .4) / 2 = .55
 *  2  N 1: a .5 + 0, b .55 + 0; N_b 1: e .3, =8 .4: the same
 *  3  N 2: a .5 + sqrt(.69315 / 1) = .83255: 1.33255, b .55 + sqrt(.69315 / 2) = .58871: 1.13871. =7: .9, a: (.5 + .9) / 2 = .7
 *  4  N 3: a .7 + sqrt(1.09861 / 1) = 1.04815: 1.74815, b .55 + sqrt(1.09861 / 2) = .74115: 1.29115; N_a 1: =7 .9
 *  5  N 4: a .7 + sqrt(1.38629 / 2) = .83255: 1.53255, b .55 + .83255 = 1.38255; N_a 2: =7 .9 + sqrt(.69315 / 2) = 1.48871,
 *     d .2 + .83255 = 1.03255
 *  6  N 5: a .7 + sqrt(1.60944 / 3) = .73245: 1.43245, b .55 + sqrt(1.60944 / 2) = .89706: 1.44706; N_b 2: e .3 + .83255 = 1.13255,
 *     =8 .4 + .58871 = .98871. e has no legal child: e (.3 + 0) / 2 = .15, b (.7 + .3 + 0) / 3 = .3333
 * The paths: b =8 (.7 + .4) / 2 = .55, a =7 (.5 + .9) / 2 = .7. */
static void test_uct(void **state)
{
    (void)state;
    struct search_tree tree;
    begin(&tree, UCT, 1);
    FOLLOW(&tree, UCT, &two_ways, {"propose 0 x1", "iteration 1 of 6: propose from 0"}, {"value 1 x1; value 2 x1", NULL},
           {"propose 2 x1", "iteration 1 of 6: propose from 2"}, {"value 4 x1; value 5 x1", NULL},
           {"keep 5 | 5 0.4 2 0.55 0 0.55",
            "iteration 1 of 6: thoughts 2 > 5, an answer, reward 0.55; Q of 2 now 0.55 after 1 visit"},
           {"keep 5 | 5 0.4 2 0.55 0 0.55", NULL});
    terms_are(&tree, 1, 0, .5, .83255, 0, 1.33255);
    terms_are(&tree, 2, 2, .55, .58871, 0, 1.13871);
    FOLLOW(&tree, UCT, &two_ways, {"propose 1 x1", NULL}, {"value 6 x1; value 7 x1", NULL},
           {"keep 6 | 6 0.9 1 0.7 0 0.7", "iteration 3 of 6: thoughts 1 > 6, an answer, reward 0.7; Q of 1 now 0.7 after 1 visit"});
    terms_are(&tree, 1, 1, .7, 1.04815, 0, 1.74815);
    terms_are(&tree, 2, 2, .55, .74115, 0, 1.29115);
    FOLLOW(&tree, UCT, &two_ways, {"keep 6 | 6 0.9 1 0.7 0 0.7", NULL});
    terms_are(&tree, 6, 2, .9, .58871, 0, 1.48871);
    terms_are(&tree, 7, 0, .2, .83255, 0, 1.03255);
    FOLLOW(&tree, UCT, &two_ways, {"keep 6 | 6 0.9 1 0.7 0 0.7", NULL});
    terms_are(&tree, 1, 3, .7, .73245, 0, 1.43245);
    terms_are(&tree, 2, 2, .55, .89706, 0, 1.44706);
    FOLLOW(&tree, UCT, &two_ways, {"propose 4 x1", NULL},
           {"keep 4 | 4 0.15 2 0.3333 0 0.3333",
            "iteration 6 of 6: thoughts 2 > 4, a dead end, reward 0.3333; Q of 2 now 0.55 after 3 visits"},
           {"keep 6", "the path of greatest mean reward, 0.7, of 2 answers visited, the next 0.55; 6 iterations: 7"},
           {"done 6", NULL});
    assert_int_equal(tree.visits, 6);
    assert_int_equal(tree.nodes[0].visits, 6);
    near(tree.nodes[2].reward_sum / 3, (.55 + .55 + 1 / 3.0) / 3); /* q=mean would have this */
    struct search_terms t;
    assert_false(search_tree_terms(&tree, 3, &t)); /* illegal */
    assert_false(search_tree_terms(&tree, 0, &t));
    /* Without a its three visits are gone from N, but not from what was paid for: it ends with what is left. */
    made_prune(&tree, 1);
    assert_int_equal(tree.nodes[0].visits, 3);
    expect(&tree, UCT, "keep 5", "the only answer visited, mean reward 0.55; 6 iterations: 8");
    /* N_b 3: e .15 + sqrt(1.09861 / 1) = 1.19815, =8 .4 + sqrt(1.09861 / 2) = 1.14115 */
    expect(&tree, "mcts,iterations=7,generate=propose", "keep 4 | 4 0.15 2 0.3333 0 0.3333", NULL);
    made_undo(&tree);
    expect(&tree, UCT, "done 6", NULL);
    search_tree_free(&tree);
}

/* --- PUCT -------------------------------------------------------------------------------------------------------- */

#define PUCT "mcts,iterations=6,select=puct,generate=propose,n_evaluate=1"

/* Priors, of the mean log-probability a token: a e^-1 / (e^-1 + e^-.5) = .36788 / .97441 = .37754, b .62246;
 * e .13534 / .50322 = .26894, =8 .73106; =7 and d .5. c is 1.25 + ln((N + 19653) / 19652): 1.25010 at N 1, 1.25015 at 2, 1.25020, 1.25025, 1.25031.
 *  1  N 0: all 0: the more probable, b, .7
 *  2  N 1: a 1.25010 * .37754 = .47197, b .7 + 1.25010 * .62246 / 2 = 1.08907; e .33620, =8 .91391: .4; b (.7 + .4) / 2 = .55
 *  3  N 2: a 1.25015 * .37754 * 1.41421 = .66749, b .55 + 1.25015 * .62246 * 1.41421 / 3 = .91683; N_b 2: e .47548,
 *     =8 .4 + 1.25015 * .73106 * 1.41421 / 2 = 1.04625: again; b 1.5 / 3 = .5
 *  4  N 3: a .81753, b .5 + 1.25020 * .62246 * 1.73205 / 4 = .83697; e .58238, =8 .4 + .52768 = .92768; b 1.9 / 4 = .475
 *  5  N 4: a 1.25025 * .37754 * 2 = .94404, b .475 + 1.25025 * .62246 * 2 / 5 = .78629: a, .5
 *  6  N 5: a .5 + 1.25031 * .37754 * 2.23607 / 2 = 1.02776, b .475 + .34805 = .82305; =7 and d alike: the earlier */
static void test_puct(void **state)
{
    (void)state;
    struct search_tree tree;
    begin(&tree, PUCT, 1);
    FOLLOW(&tree, PUCT, &two_ways, {"propose 0 x1", NULL}, {"value 2 x1", NULL},
           {"keep 2 | 2 0.7 0 0.7", "iteration 1 of 6: thought 2, new, reward 0.7; Q of 2 now 0.7 after 1 visit"},
           {"propose 2 x1", NULL}, {"value 5 x1", NULL});
    terms_are(&tree, 1, 0, 0, .47197, .37754, .47197);
    terms_are(&tree, 2, 1, .7, .38907, .62246, 1.08907);
    terms_are(&tree, 4, 0, 0, .33620, .26894, .33620);
    terms_are(&tree, 5, 0, 0, .91391, .73106, .91391);
    FOLLOW(&tree, PUCT, &two_ways,
           {"keep 5 | 5 0.4 2 0.4 0 0.4",
            "iteration 2 of 6: thoughts 2 > 5, an answer, reward 0.4; Q of 2 now 0.55 after 2 visits"},
           {"keep 5 | 5 0.4 2 0.4 0 0.4", NULL});
    terms_are(&tree, 2, 3, .5, .33697, .62246, .83697);
    FOLLOW(&tree, PUCT, &two_ways, {"keep 5 | 5 0.4 2 0.4 0 0.4", NULL}, {"value 1 x1", NULL},
           {"keep 1 | 1 0.5 0 0.5", NULL}, {"propose 1 x1", NULL}, {"value 6 x1", NULL},
           {"keep 6 | 6 0.9 1 0.9 0 0.9", NULL}, {"done 6", NULL});
    search_tree_free(&tree);
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

/* a .5 with =7 .6 and =9 .9; b .4 with =7 .6. Best: 9, (.5 + .9) / 2 = .7. Edge: 7 has a once, b, and both leaves: .5 + .6 + .4 + .6 =
 * 2.1; 9 has .5 + .9 = 1.4; of 3.5. Were a to count twice for 7 it would still have its one leaf there. */
static const struct world edges = WORLD({"", "a", .5, -1}, {"", "b", .4, -1}, {"a", "=7", .6, -1}, {"a", "=9", .9, -1},
                                        {"b", "=7", .6, -1});
static void test_edge(void **state)
{
    (void)state;
    struct search_tree tree;
    begin(&tree, "mcts,iterations=3,w=10,generate=propose,answer=edge,n_evaluate=1", 1);
    const char *spec = tree.session->session.strategy;
    /* w = 10: after =9 at N 1 a again (U 0), =9; at N 2 b, which was never visited: .4 + 8.3 against .7 + 5.9. */
    FOLLOW(&tree, spec, &edges, {"propose 0 x1", NULL}, {"value 1 x1; value 2 x1", NULL}, {"propose 1 x1", NULL},
           {"value 3 x1; value 4 x1", NULL}, {"keep 4 | 4 0.9 1 0.7 0 0.7", NULL}, {"keep 4 | 4 0.9 1 0.7 0 0.7", NULL},
           {"propose 2 x1", NULL}, {"value 5 x1", NULL}, {"keep 5 | 5 0.6 2 0.5 0 0.5", NULL});
    made_decision(&tree, (int[]){0}, 0);
    tree.nodes[3].visits = 1; /* as if it had been visited too */
    expect(&tree, spec, "keep 3 5", "summed rewards 2.1 of 3.5 (2 of 3 answers visited); 3 iterations: 7");
    expect(&tree, "mcts,iterations=3,generate=propose", "keep 4",
           "the path of greatest mean reward, 0.7, of 3 answers visited, the next 0.55; 3 iterations: 9");
    search_tree_free(&tree);
}

/* --- at random --------------------------------------------------------------------------------------------------- */

/* Everything the fold counts, counted again from the decisions. */
static void check_counts(const struct search_tree *tree)
{
    int *visits = xcalloc((size_t)tree->count, sizeof *visits), all = 0;
    double *sums = xcalloc((size_t)tree->count, sizeof *sums);
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *e = tree->events[i];
        if (e->kind != SEARCH_EVENT_DECISION || !e->decision.backup_count ||
            search_tree_is_pruned(tree, e->decision.backups[0].node))
            continue;
        all++;
        for (int k = 0; k < e->decision.backup_count; k++) {
            visits[e->decision.backups[k].node]++;
            sums[e->decision.backups[k].node] += e->decision.backups[k].reward;
        }
    }
    assert_int_equal(tree->nodes[0].visits, all);
    for (int i = 0; i < tree->count; i++) {
        int below = 0;
        assert_int_equal(tree->nodes[i].visits, visits[i]);
        assert_true(fabs(tree->nodes[i].reward_sum - sums[i]) < 1e-9);
        for (int c = tree->nodes[i].first_child; c >= 0; c = tree->nodes[c].next_sibling)
            below += visits[c];
        assert_true(visits[i] >= below);
    }
    free(visits);
    free(sums);
}

static int has_legal_child(const struct search_tree *tree, int node)
{
    for (int c = search_next_child(tree, node, -1); c >= 0; c = search_next_child(tree, node, c))
        if (tree->nodes[c].state != SEARCH_ILLEGAL)
            return 1;
    return 0;
}

/* What a node's own path was judged to be, found by its words. */
static double own_reward(const struct search_tree *tree, int node)
{
    if (tree->nodes[node].thought->thought.text[0] == '#')
        return 0;
    for (int i = 1; i < tree->count; i++)
        if (!search_tree_is_pruned(tree, i) && tree->nodes[i].state != SEARCH_ILLEGAL && search_same_path(tree, i, node))
            return tree->nodes[i].judgement ? tree->nodes[i].value / 20 : NAN;
    return NAN;
}

/* A visit goes from a leaf to the root without a gap; UCT's goes on until it must end; each node has its own rewards. */
static void check_visit(const struct search_tree *tree, const char *spec, const struct search_plan *plan)
{
    int puct = strstr(spec, "puct") != NULL, vote = strstr(spec, "vote") != NULL;
    check_counts(tree);
    if (!plan->backup_count)
        return;
    int leaf = plan->backups[0].node, count = 0, node = leaf;
    int final = tree->nodes[leaf].state == SEARCH_FINAL, barren = !final && tree->nodes[leaf].depth < 3 &&
                tree->nodes[leaf].state == SEARCH_EXPANDED && !has_legal_child(tree, leaf);
    assert_false(search_tree_is_pruned(tree, leaf));
    if (!puct)
        assert_true(final || barren || tree->nodes[leaf].depth == 3);
    if (puct && tree->nodes[leaf].visits == 0)
        barren = 0;
    double sum = 0;
    int terms = barren;
    for (int i = 0; i < plan->backup_count; i++, node = tree->nodes[node].parent, count++) {
        assert_int_equal(plan->backups[i].node, node);
        if (node > 0) {
            sum += vote ? 0 : own_reward(tree, node);
            terms++;
        }
        double expected = puct ? (barren ? 0 : own_reward(tree, leaf)) : sum / terms;
        if (!vote)
            assert_true(fabs(plan->backups[i].reward - expected) < 1e-9);
    }
    assert_int_equal(node, -1);
}

static void test_at_random(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "mcts,iterations=8,depth=3",
        "mcts,iterations=8,depth=3,q=mean,w=0.3,generate=sample,answer=edge",
        "mcts,iterations=8,depth=3,select=puct",
        "mcts,iterations=8,depth=3,evaluate=vote",
    };
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (uint64_t seed = 0; seed < 150; seed++)
            run_at_random(specs[i], seed, check_visit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uct),
        cmocka_unit_test(test_puct),
        cmocka_unit_test(test_edge),
        cmocka_unit_test(test_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
