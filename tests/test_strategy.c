/* Strategies on trees made by hand: what each says is next, with the numbers worked out. */
#include "tests/said.h"

#include <math.h>

/* --- parameters -------------------------------------------------------------------------------------------------- */

static void test_parameters(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"greedy", "greedy"},
        {"self-consistency", "self-consistency,m=16"},
        {"self-consistency,m=3", "self-consistency,m=3"},
        {"self-consistency,weight=normalised", "self-consistency,m=16,weight=normalised"},
        {"self-consistency,adaptive=1,threshold=0.950,round=4", "self-consistency,m=16,adaptive=1,round=4"},
        {"self-consistency,threshold=.9", "self-consistency,m=16,threshold=0.9"},
        {"tot", "tot,b=5,generate=propose,evaluate=value,select=greedy,n_generate_sample=5,n_evaluate_sample=3"},
        {"tot,n_select_sample=2,k=4,n_evaluate=1,evaluate=vote,select=sample,generate=sample",
         "tot,b=2,generate=sample,evaluate=vote,select=sample,n_generate_sample=4,n_evaluate_sample=1"},
    };
    static const char *const bad[][2] = {
        {"", "unknown strategy ''; there are: greedy, sample, self-consistency, best-of-n, beam, dvts, tot, tot-dfs, mcts, ab-mcts, auto"},
        {"tott", "unknown strategy 'tott'; there are: greedy, sample, self-consistency, best-of-n, beam, dvts, tot, tot-dfs, mcts, ab-mcts, auto"},
        {"greedy,m=3", "greedy: unknown parameter 'm'; there are: none"},
        {"self-consistency,b=3", "self-consistency: unknown parameter 'b'; there are: m=16 weight=plurality|normalised adaptive=0|1 threshold=0.95 round=1"},
        {"self-consistency,m=0", "self-consistency: m=0: expected a whole number from 1 to 1000000"},
        {"self-consistency,m=3x", "self-consistency: m=3x: expected a whole number from 1 to 1000000"},
        {"self-consistency,m=99999999999999999999",
         "self-consistency: m=99999999999999999999: expected a whole number from 1 to 1000000"},
        {"self-consistency,threshold=0.4", "self-consistency: threshold=0.4: expected a number from 0.5 to 1"},
        {"self-consistency,threshold=nan", "self-consistency: threshold=nan: expected a number from 0.5 to 1"},
        {"self-consistency,m", "self-consistency: m=: expected a whole number from 1 to 1000000"},
        {"self-consistency,", "self-consistency: unknown parameter ''; there are: m=16 weight=plurality|normalised adaptive=0|1 threshold=0.95 round=1"},
        {"tot,generate=both", "tot: generate=both: expected one of propose|sample"},
        {"tot,b=2,n_select_sample=3", "tot: b is given twice"},
    };
    struct search_parameters p;
    struct error e;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(search_parameters_parse(&p, good[i][0], NULL, &e), OK);
        char *text = search_parameters_text(&p);
        assert_string_equal(text, good[i][1]);
        assert_int_equal(search_strategy_check(text, &e), OK);
        free(text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(search_strategy_check(bad[i][0], &e), ERROR_USAGE);
        assert_string_equal(e.message, bad[i][1]);
    }
}

/* What help says of the parameters is what there is: the table and the line of help agree. */
static void test_help(void **state)
{
    (void)state;
    int count;
    const struct search_strategy_about *about = search_strategies(&count);
    for (int i = 0; i < count; i++) {
        const struct search_strategy *s = search_strategy_find(about[i].name);
        assert_non_null(s);
        struct string text = {0};
        for (int k = 0; k < s->parameter_count; k++) {
            string_addf(&text, "%s%s=", k ? " " : "", s->parameters[k].name);
            if (s->parameters[k].real.most > 0)
                string_addf(&text, "%g", s->parameters[k].real.standard);
            else if (s->parameters[k].choices)
                string_add(&text, s->parameters[k].choices);
            else
                string_addf(&text, "%d", s->parameters[k].standard);
        }
        assert_string_equal(string_text(&text), about[i].parameters);
        string_free(&text);
    }
}

/* --- greedy ------------------------------------------------------------------------------------------------------ */

static void test_greedy(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    expect(&tree, "greedy", "sample 0 x1", "write thought 1");
    GROWN(&tree, 0, "a");
    expect(&tree, "greedy", "sample 1 x1", "write thought 2");
    GROWN(&tree, 1, "=7");
    expect(&tree, "greedy", "done 2", "the only path, 2 thoughts long");
    made_prune(&tree, 2);
    expect(&tree, "greedy", "done -1", "the path ends after 1 thought without an answer");
    search_tree_free(&tree);

    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "!a");
    expect(&tree, "greedy", "done -1", "thought 1 is illegal: wrong");
    search_tree_free(&tree);
}

/* --- self-consistency -------------------------------------------------------------------------------------------- */

/* Chain i of one thought: an answer (NULL: none) and the log-probability of each of its two tokens. */
static void chains(struct search_tree *tree, int count, const char *const *answers, const float *logprobs)
{
    made_plan(tree, (struct search_item[]){GROW(0, count)}, 1);
    for (int i = 0; i < count; i++)
        made_thought(tree, 0, made_completion(tree, 0, i, 2, logprobs[i]), "t", 1, answers[i], NULL);
}

static void test_self_consistency(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    expect(&tree, "self-consistency,m=3", "sample 0 x3", "begin 3 paths");
    made_plan(&tree, (struct search_item[]){GROW(0, 3)}, 1);
    for (int i = 0; i < 3; i++)
        made_thought(&tree, 0, made_completion(&tree, 0, i, 2, -1), "t", 0, i == 1 ? "7" : NULL,
                     NULL); /* nodes 1 2 3 */
    expect(&tree, "self-consistency,m=3", "sample 1 x1; sample 3 x1", "go on with 2 paths");
    made_plan(&tree, (struct search_item[]){GROW(1, 1), GROW(3, 1)}, 2);
    made_thought(&tree, 1, made_completion(&tree, 0, 0, 1, -3), "u", 0, "8", NULL); /* 4 */
    made_thought(&tree, 3, made_completion(&tree, 1, 0, 1, -3), "u", 0, "8", NULL); /* 5 */
    struct search_plan plan;
    free(say(&tree, "self-consistency,m=3", 0, &plan));
    /* 8 has the chains 1-4 and 3-5, each (2 * -1 + -3) / 3 a token; 7 has chain 2. */
    assert_string_equal(plan.why, "plurality 2 of 3 votes: 8");
    assert_int_equal(plan.tally_count, 2);
    assert_string_equal(plan.tally[0].answer, "8");
    assert_int_equal(plan.tally[0].votes, 2);
    assert_true(fabs(plan.tally[0].logprob - 2 * (-5.0 / 3)) < 1e-12);
    assert_int_equal(plan.tally[0].node, 4);
    assert_string_equal(plan.tally[1].answer, "7");
    assert_true(plan.tally[1].logprob == -1);
    assert_false(plan.tie);
    search_plan_free(&plan);
    expect(&tree, "self-consistency,m=3", "keep 4 5", NULL);
    search_tree_free(&tree);
}

static void test_plurality_with_a_tie(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    /* 9 and 5 have two votes each. Summed mean log-probability: 9: -2 + -1 = -3; 5: -0.5 + -2 = -2.5: 5 wins, by a tie.
     */
    chains(&tree, 6, (const char *[]){"9", "5", "9", NULL, "5", "3"}, (float[]){-2, -0.5f, -1, 0, -2, 0});
    expect(&tree, "self-consistency,m=6", "keep 2 5", "plurality 2 of 5 votes (1 of 6 paths has none), a tie broken by log-probability: 5");
    record_decision(&tree, "self-consistency,m=6", 0);
    assert_true(tree.latest_decision->decision.tie);
    assert_string_equal(tree.latest_decision->decision.tally[1].answer, "9");
    assert_string_equal(tree.latest_decision->decision.tally[2].answer, "3");
    expect(&tree, "self-consistency,m=6", "done 2", "plurality 2 of 5 votes (1 of 6 paths has none), a tie broken by log-probability");
    /* A vote less, and it is decided anew; restored, and again. */
    made_prune(&tree, 5);
    expect(&tree, "self-consistency,m=6", "keep 1 3", "plurality 2 of 4 votes (1 of 5 paths has none): 9");
    record_decision(&tree, "self-consistency,m=6", 0);
    expect(&tree, "self-consistency,m=6", "done 1", "plurality 2 of 4 votes (1 of 5 paths has none)");
    made_undo(&tree);
    expect(&tree, "self-consistency,m=6", "keep 2 5", NULL);
    search_tree_free(&tree);

    made_session(&tree, "p", 1);
    chains(&tree, 2, (const char *[]){NULL, NULL}, (float[]){-2, -1});
    expect(&tree, "self-consistency,m=2", "done -1", "none of 2 paths came to an answer");
    expect(&tree, "self-consistency,m=5", "sample 0 x3", "begin 3 more paths"); /* m was raised meanwhile */
    search_tree_free(&tree);
}

/* Cut short by the budget: the plurality of the chains that came to their end. */
static void test_self_consistency_spent(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    struct search_plan plan;
    made_session(&tree, "p", 1);
    made_plan(&tree, (struct search_item[]){GROW(0, 3)}, 1);
    made_thought(&tree, 0, made_completion(&tree, 0, 0, 1, -1), "t", 0, NULL, NULL);
    made_thought(&tree, 0, made_completion(&tree, 0, 1, 1, -1), "t", 0, "7", NULL);
    char *said = say(&tree, "self-consistency,m=3", 1, &plan);
    assert_string_equal(said, "keep 2");
    assert_string_equal(plan.why, "plurality 1 of 1 vote (1 of 2 paths has none): 7");
    search_plan_free(&plan);
    free(said);
    search_tree_free(&tree);
}

/* --- tree of thoughts -------------------------------------------------------------------------------------------- */

#define TOT "tot,b=2,generate=propose"

/* Two levels by hand. Level 1: a=1, b=21, c illegal, d=1, and a again, a copy, which the runner values 0. Kept: b, a
 * (the earlier of two equals). */
static void first_level(struct search_tree *tree)
{
    made_session(tree, "p", 11);
    expect(tree, TOT, "propose 0 x1", "propose from 1 state");
    GROWN(tree, 0, "a", "b", "!c", "d", "a"); /* 1 .. 5 */
    expect(tree, TOT, "value 1 x3; value 2 x3; value 4 x3; value 5 x3", "value 4 thoughts, 3 samples each");
    judge(tree, 1, 1);
    judge(tree, 2, 21);
    judge(tree, 4, 1);
    expect(tree, TOT, "value 5 x3", "value 1 thought, 3 samples each");
    judge(tree, 5, 0);
}

static void test_tot_greedy(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    first_level(&tree);
    expect(&tree, TOT, "keep 2 1", "kept 2 of 4 by value: 21, 1");
    expect(&tree, "tot,b=9", "keep 2 1 4 5", "kept 4 of 4 by value: 21, 1, 1, 0");
    made_decision(&tree, (int[]){2, 1}, 2);
    expect(&tree, TOT, "propose 2 x1; propose 1 x1", "propose from 2 states");
    expect(&tree, "tot,b=2,generate=sample,k=4", "sample 2 x4; sample 1 x4", "sample from 2 states");
    GROWN(&tree, 2, "=x", "e"); /* 6, 7 */
    GROWN(&tree, 1, "f");       /* 8 */
    judge(&tree, 6, 50);
    judge(&tree, 7, 60);
    judge(&tree, 8, 40);
    /* An answer above the last level keeps its place by its value, and is not judged again. */
    expect(&tree, TOT, "keep 7 6", "kept 2 of 3 by value: 60, 50");
    made_decision(&tree, (int[]){7, 6}, 2);
    expect(&tree, TOT, "propose 7 x1", NULL);
    GROWN(&tree, 7, "=y", "!g"); /* 9 */
    expect(&tree, TOT, "value 9 x3", NULL);
    judge(&tree, 9, 20.001);
    expect(&tree, TOT, "keep 6 9", "kept 2 of 2 by value: 50, 20");
    made_decision(&tree, (int[]){6, 9}, 2);
    expect(&tree, TOT, "done 6", "the best of 2 answers, of value 50");
    search_tree_free(&tree);
}

/* All that is kept is pruned: others of the level take its place. One of two pruned: the other goes on alone. */
static void test_tot_pruned(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    first_level(&tree);
    made_prune(&tree, 2);
    expect(&tree, TOT, "keep 1 4", "kept 2 of 3 by value: 1, 1");
    made_undo(&tree);
    made_decision(&tree, (int[]){2, 1}, 2);
    made_prune(&tree, 2);
    expect(&tree, TOT, "propose 1 x1", NULL);
    made_prune(&tree, 1);
    expect(&tree, TOT, "keep 4 5", "kept 2 of 2 by value: 1, 0");
    made_prune(&tree, 4);
    made_prune(&tree, 5);
    expect(&tree, TOT, "done -1", "no thought was left to go on from after step 1");
    search_tree_free(&tree);
}

static void test_tot_dies(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "!a", "!b");
    expect(&tree, TOT, "done -1", "no thought was left to go on from after step 0");
    search_tree_free(&tree);
    /* A last step without an answer. */
    made_session(&tree, "p", 1);
    made_plan(&tree, (struct search_item[]){GROW(0, 1)}, 1);
    made_thought(&tree, 0, made_completion(&tree, 0, 0, 1, 0), "t", 1, NULL, NULL);
    judge(&tree, 1, 0);
    made_decision(&tree, (int[]){1}, 1);
    expect(&tree, TOT, "done -1", "no path came to an answer");
    search_tree_free(&tree);
}

/* Drawing by value, worked out beside it from the same random numbers: 1, 21, 1, 0 of 23. */
static void test_tot_draw(void **state)
{
    (void)state;
    const char *spec = "tot,b=2,select=sample";
    int hits[6] = {0}, rounds = 400;
    for (int seed = 0; seed < rounds; seed++) {
        struct search_tree tree = {0};
        struct search_plan plan;
        made_session(&tree, "p", (uint64_t)seed);
        GROWN(&tree, 0, "a", "b", "!c", "d", "a");
        judge(&tree, 1, 1);
        judge(&tree, 2, 21);
        judge(&tree, 4, 1);
        judge(&tree, 5, 0);
        free(say(&tree, spec, 0, &plan));
        assert_int_equal(plan.kept_count, 2);
        for (int i = 0; i < 2; i++) {
            double at = 23 * random_uniform((uint64_t)seed, random_stream((uint64_t)tree.steps, 4, 0), (uint64_t)i);
            assert_int_equal(plan.kept[i], at < 1 ? 1 : at < 22 ? 2 : 4);
            hits[plan.kept[i]]++;
        }
        search_plan_free(&plan);
        search_tree_free(&tree);
    }
    /* 21 of 23 of 800 is 730; the deviation is sqrt(800 * 21/23 * 2/23) = 8: three of them. */
    assert_in_range(hits[2], 706, 754);
    assert_int_equal(hits[5], 0);

    /* Nothing of any value: all alike. A state drawn twice is grown twice. */
    struct search_tree tree = {0};
    made_session(&tree, "p", 3);
    GROWN(&tree, 0, "a", "b");
    judge(&tree, 1, 0);
    judge(&tree, 2, 0);
    struct search_plan plan;
    free(say(&tree, spec, 0, &plan));
    assert_int_equal(plan.kept_count, 2);
    search_plan_free(&plan);
    made_decision(&tree, (int[]){2, 2}, 2);
    expect(&tree, spec, "propose 2 x2", NULL);
    expect(&tree, "tot,select=sample,generate=sample,k=3", "sample 2 x6", NULL);
    search_tree_free(&tree);
}

static void vote(struct search_tree *tree, const int *nodes, const double *votes, int count)
{
    int samples = 3;
    made_plan(
        tree,
        (struct search_item[]){{.purpose = SEARCH_VOTE, .nodes = (int *)nodes, .count = count, .samples = samples}}, 1);
    for (int s = 0; s < samples; s++)
        made_completion(tree, 0, s, 1, 0);
    made_judgement(tree, 0, SEARCH_VOTE, nodes, votes, count);
}

static void test_tot_vote(void **state)
{
    (void)state;
    const char *spec = "tot,b=1,generate=sample,evaluate=vote";
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "a", "b", "!c", "a", "d"); /* 4 is a copy of 1: it does not stand for election */
    expect(&tree, spec, "vote 1 2 5 x3", "vote among 3 thoughts, 3 samples");
    vote(&tree, (int[]){1, 2, 5}, (double[]){1, 0, 2}, 3);
    expect(&tree, spec, "keep 5", "kept 1 of 4 by votes: 2");
    expect(&tree, "tot,b=2,generate=sample,evaluate=vote", "keep 5 1", NULL);
    /* A candidate that was not in the vote calls for another; one that has gone does not. */
    made_prune(&tree, 2);
    expect(&tree, spec, "keep 5", "kept 1 of 3 by votes: 2");
    made_undo(&tree);
    made_decision(&tree, (int[]){5}, 1);
    GROWN(&tree, 5, "=x"); /* a single candidate is not voted on */
    expect(&tree, spec, "keep 6", "kept the only thought there was");
    made_decision(&tree, (int[]){6}, 1);
    expect(&tree, spec, "done 6", "the only answer");
    search_tree_free(&tree);
}

static void test_tot_vote_after_restoring(void **state)
{
    (void)state;
    const char *spec = "tot,b=1,generate=sample,evaluate=vote";
    struct search_tree tree = {0};
    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "a", "b", "c");
    made_prune(&tree, 2);
    vote(&tree, (int[]){1, 3}, (double[]){1, 2}, 2);
    expect(&tree, spec, "keep 3", NULL);
    made_undo(&tree);
    expect(&tree, spec, "vote 1 2 3 x3", NULL);
    search_tree_free(&tree);
}

/* Spent: the best of all answers there are, judged or not, wherever they are. */
static void test_tot_spent(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    struct search_plan plan;
    made_session(&tree, "p", 1);
    GROWN(&tree, 0, "=x", "=y", "=z", "a");
    judge(&tree, 2, 3);
    judge(&tree, 3, 9);
    made_prune(&tree, 3);
    char *said = say(&tree, TOT, 1, &plan);
    assert_string_equal(said, "done 2");
    assert_string_equal(plan.why, "the best of 2 answers, of value 3");
    search_plan_free(&plan);
    free(said);
    search_tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_self_consistency),
        cmocka_unit_test(test_plurality_with_a_tie),
        cmocka_unit_test(test_self_consistency_spent),
        cmocka_unit_test(test_tot_greedy),
        cmocka_unit_test(test_tot_pruned),
        cmocka_unit_test(test_tot_dies),
        cmocka_unit_test(test_tot_draw),
        cmocka_unit_test(test_tot_vote),
        cmocka_unit_test(test_tot_vote_after_restoring),
        cmocka_unit_test(test_tot_spent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
