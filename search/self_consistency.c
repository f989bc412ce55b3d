/* Self-consistency (Wang et al. 2022): m paths, each sampled on its own, and the answer that most of them come to.
 *
 * Each path is a chain of nodes from the root; a plan makes every chain one thought longer, so that the chains grow
 * side by side, and no chain sees another. Adaptive: the paths are begun a round at a time, and no more are begun once
 * it is likely enough that the leading answer would stay ahead of the next. */
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { M, WEIGHT, ADAPTIVE, THRESHOLD, ROUND };
enum { PLURALITY, NORMALISED }; /* weight */
static const struct search_parameter parameters[] = {
    [M] = {.name = "m", .standard = 16, .least = 1, .most = 1000000},
    [WEIGHT] = {.name = "weight", .choices = "plurality|normalised", .most = 1, .quiet = 1},
    [ADAPTIVE] = {.name = "adaptive", .choices = "0|1", .most = 1, .quiet = 1},
    [THRESHOLD] = {.name = "threshold", .real = {.95, .5, 1}, .quiet = 1},
    [ROUND] = {.name = "round", .standard = 1, .least = 1, .most = 1000000, .quiet = 1},
};

/* As the strategy says, or the user since. */
static int weight_of(const struct search_tree *tree, const struct search_parameters *p)
{
    const char *weight = tree->revote ? tree->revote->revote.weight : NULL;
    return !weight ? p->value[WEIGHT] : !strcmp(weight, "normalised") ? NORMALISED : PLURALITY;
}

/* --- votes ------------------------------------------------------------------------------------------------------- */

struct votes {
    struct search_ballots ballots;
    struct search_nodes leaves; /* that hold an answer */
    int chains;                 /* that were looked at, with or without an answer */
};

static struct votes count_votes(const struct search_tree *tree, const struct search_parameters *p)
{
    struct votes votes = {0};
    for (int chain = search_next_child(tree, 0, -1); chain >= 0; chain = search_next_child(tree, 0, chain)) {
        int leaf = search_leaf_of(tree, chain);
        votes.chains++;
        if (!search_has_answer(tree, leaf))
            continue;
        search_nodes_add(&votes.leaves, leaf);
        search_ballots_add(&votes.ballots, tree, leaf,
                           weight_of(tree, p) == NORMALISED ? exp(search_path_logprob(tree, leaf)) : 1);
    }
    search_ballots_sort(&votes.ballots);
    return votes;
}

/* --- when to stop ------------------------------------------------------------------------------------------------ */

/* The probability that p > 1/2 where p is distributed as Beta(first + 1, second + 1). For whole numbers it is that of
 * at most `first` heads in first + second + 1 throws. The terms are summed from the middle, the greatest, outward, each
 * in proportion to it: so none overflows, and what underflows is nothing beside it. */
static double beta_posterior(int first, int second)
{
    int n = first + second + 1, middle = n / 2;
    double all = 0, below = 0, term = 1;
    for (int j = middle; j >= 0; term *= (double)j / (n - j + 1), j--) {
        all += term;
        below += j <= first ? term : 0;
    }
    term = (double)(n - middle) / (middle + 1);
    for (int j = middle + 1; j <= n; term *= (double)(n - j) / (j + 1), j++) {
        all += term;
        below += j <= first ? term : 0;
    }
    return below / all;
}

/* Of the answer in front against the one that most others come to, by counts. */
static double posterior_of(const struct votes *votes)
{
    int next = 0;
    for (int i = 1; i < votes->ballots.count; i++)
        if (votes->ballots.list[i].tally.votes > next)
            next = votes->ballots.list[i].tally.votes;
    return beta_posterior(votes->ballots.count ? votes->ballots.list[0].tally.votes : 0, next);
}

/* --- what is next ------------------------------------------------------------------------------------------------ */

/* How many paths to begin when so many were. */
static int next_round(const struct search_parameters *p, int begun)
{
    int left = p->value[M] - begun;
    return p->value[ADAPTIVE] && p->value[ROUND] < left ? p->value[ROUND] : left;
}

/* A path without an answer, or whose vote the user took, is none of the votes. */
static char *counted(const struct search_tree *tree, const struct votes *votes, const struct search_parameters *p)
{
    const struct search_ballots *b = &votes->ballots;
    const int count = votes->leaves.count, without = votes->chains - count;
    struct string out = {0};
    if (weight_of(tree, p) == NORMALISED)
        string_addf(&out, "weight %.4g of %.4g, ", b->list[0].weight, b->weight);
    else
        string_add(&out, "plurality ");
    string_addf(&out, "%d of %d vote%s", b->list[0].tally.votes, count, count == 1 ? "" : "s");
    if (without)
        string_addf(&out, " (%d of %d paths ha%s none)", without, votes->chains, without == 1 ? "s" : "ve");
    if (search_ballots_tie(b))
        string_add(&out, ", a tie broken by log-probability");
    if (p->value[ADAPTIVE])
        string_addf(&out, ", posterior %.4f", posterior_of(votes));
    return out.text;
}

/* The chains that voted for the winner are kept, the first of them in front. */
static void conclude(const struct search_tree *tree, const struct search_parameters *p, const struct votes *votes,
                     struct search_plan *plan)
{
    const struct search_tally *winner = &votes->ballots.list[0].tally;
    char *why = counted(tree, votes, p);
    search_ballots_decide(&votes->ballots, tree, &votes->leaves, plan);
    if (search_decided(tree, plan)) {
        search_plan_free(plan);
        search_plan_done(plan, winner->node, why);
        return;
    }
    plan->why = xasprintf("%s: %s", why, winner->answer);
    free(why);
}

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    if (!spent && search_grow_paths(tree, next_round(p, 0), plan))
        return;
    struct votes votes = count_votes(tree, p);
    int begun = tree->nodes[0].sampled; /* a pruned path is not replaced */
    if (p->value[ADAPTIVE] && !spent && begun < p->value[M] && posterior_of(&votes) < p->real[THRESHOLD]) {
        search_plan_item(plan, SEARCH_SAMPLE, (int[]){0}, 1, next_round(p, begun));
        plan->why = xasprintf("posterior %.4f, below %g, after %d path%s: begin %d more", posterior_of(&votes),
                              p->real[THRESHOLD], begun, begun == 1 ? "" : "s", plan->items[0].samples);
    } else if (!votes.ballots.count) {
        search_plan_done(plan, -1, xasprintf("none of %d paths came to an answer", votes.chains));
    } else {
        conclude(tree, p, &votes, plan);
    }
    free(votes.ballots.list);
    free(votes.leaves.list);
}

const struct search_strategy search_self_consistency = {.name = "self-consistency",
                                                        .parameters = parameters,
                                                        .parameter_count = sizeof parameters / sizeof *parameters,
                                                        .samples = 1,
                                                        .temperature = -1,
                                                        .next = next};
