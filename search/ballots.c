/* Votes by answer, each with a weight: what self-consistency counts, and the weighted forms of best-of-n and dvts sum.
 */
#include "search/strategy.h"

#include <stdlib.h>
#include <string.h>

void search_ballots_add(struct search_ballots *ballots, const struct search_tree *tree, int leaf, double weight)
{
    char *answer = tree->nodes[leaf].thought->thought.answer;
    double logprob = search_path_logprob(tree, leaf);
    ballots->weight += weight;
    for (int i = 0; i < ballots->count; i++)
        if (!strcmp(ballots->list[i].tally.answer, answer)) {
            ballots->list[i].tally.votes++;
            ballots->list[i].tally.logprob += logprob;
            ballots->list[i].weight += weight;
            return;
        }
    ARRAY_RESERVE(ballots->list, ballots->count, ballots->capacity);
    ballots->list[ballots->count++] = (struct search_ballot){
        .tally = {.answer = answer, .votes = 1, .logprob = logprob, .node = leaf}, .weight = weight};
}

static int by_weight(const void *a, const void *b)
{
    const struct search_ballot *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    if (x->tally.logprob != y->tally.logprob)
        return x->tally.logprob > y->tally.logprob ? -1 : 1;
    return x->tally.node < y->tally.node ? -1 : x->tally.node > y->tally.node;
}

void search_ballots_sort(struct search_ballots *ballots)
{
    if (ballots->count)
        qsort(ballots->list, (size_t)ballots->count, sizeof *ballots->list, by_weight);
}

int search_ballots_tie(const struct search_ballots *ballots)
{
    return ballots->count > 1 && ballots->list[0].weight == ballots->list[1].weight;
}

void search_ballots_decide(const struct search_ballots *ballots, const struct search_tree *tree,
                           const struct search_nodes *leaves, struct search_plan *plan)
{
    for (int i = 0; i < leaves->count; i++)
        if (!strcmp(tree->nodes[leaves->list[i]].thought->thought.answer, ballots->list[0].tally.answer))
            search_plan_keep(plan, leaves->list[i]);
    plan->tally = xmalloc((size_t)ballots->count * sizeof *plan->tally);
    for (int i = 0; i < ballots->count; i++) {
        plan->tally[i] = ballots->list[i].tally;
        plan->tally[i].answer = xstrdup(ballots->list[i].tally.answer);
    }
    plan->tally_count = ballots->count;
    plan->tie = search_ballots_tie(ballots);
}
