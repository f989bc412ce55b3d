/* Self-consistency (Wang et al. 2022): m paths, each sampled on its own, and the answer that most of them come to.
 *
 * Each path is a chain of nodes from the root; a plan makes every chain one thought longer, so that the m chains grow
 * side by side, and no chain sees another. */
#include "search/strategy.h"

#include <stdlib.h>
#include <string.h>

enum { M };
static const struct search_parameter parameters[] = {[M] = {.name = "m", .standard = 16, .least = 1, .most = 10000}};

static int leaf_of(const struct search_tree *tree, int node)
{
    for (int child; (child = search_next_child(tree, node, -1)) >= 0;)
        node = child;
    return node;
}

/* Log-probability of the whole path for each of its tokens: what Wang et al. call normalised by length. */
static double path_logprob(const struct search_tree *tree, int node)
{
    double sum = 0;
    int tokens = 0;
    for (; node > 0; node = tree->nodes[node].parent) {
        sum += tree->nodes[node].logprob;
        tokens += tree->nodes[node].tokens;
    }
    return tokens ? sum / tokens : 0;
}

/* --- the tally --------------------------------------------------------------------------------------------------- */

struct tally {
    struct search_tally
        *list; /* by votes, then summed log-probability, then the earliest node; answers are the tree's */
    int count, capacity;
    int chains; /* that were looked at, with or without an answer */
};

static int by_votes(const void *a, const void *b)
{
    const struct search_tally *x = a, *y = b;
    if (x->votes != y->votes)
        return x->votes > y->votes ? -1 : 1;
    if (x->logprob != y->logprob)
        return x->logprob > y->logprob ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static void add_vote(struct tally *tally, const struct search_tree *tree, int leaf)
{
    char *answer = tree->nodes[leaf].thought->thought.answer;
    for (int i = 0; i < tally->count; i++)
        if (!strcmp(tally->list[i].answer, answer)) {
            tally->list[i].votes++;
            tally->list[i].logprob += path_logprob(tree, leaf);
            return;
        }
    ARRAY_RESERVE(tally->list, tally->count, tally->capacity);
    tally->list[tally->count++] =
        (struct search_tally){.answer = answer, .votes = 1, .logprob = path_logprob(tree, leaf), .node = leaf};
}

static struct tally count_votes(const struct search_tree *tree)
{
    struct tally tally = {0};
    for (int chain = search_next_child(tree, 0, -1); chain >= 0; chain = search_next_child(tree, 0, chain)) {
        int leaf = leaf_of(tree, chain);
        tally.chains++;
        if (search_has_answer(tree, leaf))
            add_vote(&tally, tree, leaf);
    }
    if (tally.count)
        qsort(tally.list, (size_t)tally.count, sizeof *tally.list, by_votes);
    return tally;
}

static int is_tie(const struct tally *tally)
{
    return tally->count > 1 && tally->list[0].votes == tally->list[1].votes;
}

/* Has this very tally been decided on? Not when chains were pruned or restored since. */
static int decided(const struct search_tree *tree, const struct tally *tally)
{
    const struct search_event *decision = tree->latest_decision;
    if (!decision || decision->decision.tally_count != tally->count)
        return 0;
    for (int i = 0; i < tally->count; i++)
        if (decision->decision.tally[i].node != tally->list[i].node ||
            decision->decision.tally[i].votes != tally->list[i].votes)
            return 0;
    return 1;
}

/* The chains that voted for the winner are kept, the first of them in front. */
static void decide(const struct search_tree *tree, const struct tally *tally, struct search_plan *plan)
{
    for (int chain = search_next_child(tree, 0, -1); chain >= 0; chain = search_next_child(tree, 0, chain)) {
        int leaf = leaf_of(tree, chain);
        if (search_has_answer(tree, leaf) && !strcmp(tree->nodes[leaf].thought->thought.answer, tally->list[0].answer))
            search_plan_keep(plan, leaf);
    }
    plan->tally = xmalloc((size_t)tally->count * sizeof *plan->tally);
    for (int i = 0; i < tally->count; i++) {
        plan->tally[i] = tally->list[i];
        plan->tally[i].answer = xstrdup(tally->list[i].answer);
    }
    plan->tally_count = tally->count;
    plan->tie = is_tie(tally);
    plan->why = xasprintf("plurality %d of %d%s: %s", tally->list[0].votes, tally->chains,
                          plan->tie ? ", a tie broken by log-probability" : "", tally->list[0].answer);
}

/* --- what is next ------------------------------------------------------------------------------------------------ */

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    if (tree->nodes[0].state == SEARCH_FRONTIER && !spent) {
        plan->why = xasprintf("begin %d paths", p->value[M]);
        search_plan_item(plan, SEARCH_SAMPLE, (int[]){0}, 1, p->value[M]);
        return;
    }
    for (int chain = search_next_child(tree, 0, -1); chain >= 0 && !spent; chain = search_next_child(tree, 0, chain)) {
        int leaf = leaf_of(tree, chain);
        if (tree->nodes[leaf].state == SEARCH_FRONTIER)
            search_plan_item(plan, SEARCH_SAMPLE, &leaf, 1, 1);
    }
    if (plan->count) {
        plan->why = xasprintf("go on with %d path%s", plan->count, plan->count == 1 ? "" : "s");
        return;
    }
    struct tally tally = count_votes(tree);
    if (!tally.count)
        search_plan_done(plan, -1, xasprintf("none of %d paths came to an answer", tally.chains));
    else if (!decided(tree, &tally))
        decide(tree, &tally, plan);
    else
        search_plan_done(plan, tally.list[0].node,
                         xasprintf("plurality %d of %d%s", tally.list[0].votes, tally.chains,
                                   is_tie(&tally) ? ", a tie broken by log-probability" : ""));
    free(tally.list);
}

const struct search_strategy search_self_consistency = {.name = "self-consistency",
                                                        .parameters = parameters,
                                                        .parameter_count = 1,
                                                        .samples = 1,
                                                        .temperature = -1,
                                                        .next = next};
