/* Best of n: n paths, each sampled on its own, then judged; the one of greatest score has the answer, or, weighted, the
 * answer whose paths have the greatest sum of scores. */
#include "search/strategy.h"

#include <stdlib.h>

enum { N, EVALUATE, JUDGE, AGGREGATE, WEIGHTED, N_EVALUATE };
enum { FINAL, STEPS }; /* judge */
static const struct search_parameter parameters[] = {
    [N] = {.name = "n", .standard = 16, .least = 1, .most = 1000},
    [EVALUATE] = SEARCH_EVALUATE,
    [JUDGE] = {.name = "judge", .choices = "final|steps", .most = 1},
    [AGGREGATE] = {.name = "aggregate", .choices = SEARCH_AGGREGATES, .most = 2},
    [WEIGHTED] = {.name = "weighted", .choices = "0|1", .most = 1},
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

/* Only paths that came to an answer are worth a judge's time. */
static int judge(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *leaves,
                 struct search_plan *plan)
{
    if (p->value[EVALUATE] == SEARCH_VOTE - SEARCH_VALUE)
        return search_vote(tree, leaves, p->value[N_EVALUATE], plan);
    if (p->value[JUDGE] == FINAL)
        return search_judge(tree, p->value[EVALUATE], leaves, p->value[N_EVALUATE], plan);
    struct search_nodes steps = {0};
    for (int i = 0; i < leaves->count; i++)
        for (int node = leaves->list[i]; node > 0; node = tree->nodes[node].parent)
            search_nodes_add(&steps, node);
    int items = search_judge(tree, p->value[EVALUATE], &steps, p->value[N_EVALUATE], plan);
    free(steps.list);
    return items;
}

static void conclude(const struct search_tree *tree, const struct search_parameters *p,
                     const struct search_nodes *leaves, struct search_plan *plan)
{
    char *why;
    int node = search_choose(tree, leaves, p->value[AGGREGATE], p->value[WEIGHTED], plan, &why);
    if (search_decided(tree, plan)) {
        search_plan_free(plan);
        search_plan_done(plan, node, why);
        return;
    }
    plan->why = xasprintf("%s: %s", why, tree->nodes[node].thought->thought.answer);
    free(why);
}

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    if (!spent && search_grow_paths(tree, p->value[N], plan))
        return;
    struct search_nodes leaves = {0};
    int paths = 0;
    for (int path = search_next_child(tree, 0, -1); path >= 0; path = search_next_child(tree, 0, path), paths++) {
        int leaf = search_leaf_of(tree, path);
        if (search_has_answer(tree, leaf))
            search_nodes_add(&leaves, leaf);
    }
    if (!leaves.count)
        search_plan_done(plan, -1, xasprintf("none of %d paths came to an answer", paths));
    else if (spent || !judge(tree, p, &leaves, plan))
        conclude(tree, p, &leaves, plan);
    free(leaves.list);
}

const struct search_strategy search_best_of_n = {.name = "best-of-n",
                                                 .parameters = parameters,
                                                 .parameter_count = sizeof parameters / sizeof *parameters,
                                                 .samples = 1,
                                                 .temperature = -1,
                                                 .next = next};
