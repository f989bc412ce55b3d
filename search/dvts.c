/* Diverse verifier tree search: n/m trees that know nothing of each other, each going on with the best of its m
 * thoughts; the answers they come to are pooled. */
#include "search/strategy.h"

enum { N, BRANCHES, EVALUATE, AGGREGATE, WEIGHTED, N_EVALUATE };
static const struct search_parameter parameters[] = {
    [N] = {.name = "n", .standard = 16, .least = 1, .most = 1000},
    [BRANCHES] = {.name = "m", .standard = 4, .least = 1, .most = 1000},
    [EVALUATE] = SEARCH_EVALUATE,
    [AGGREGATE] = {.name = "aggregate", .choices = SEARCH_AGGREGATES, .most = 2},
    [WEIGHTED] = {.name = "weighted", .choices = "0|1", .most = 1},
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    int trees = p->value[N] / p->value[BRANCHES];
    struct search_levels levels = {.groups = trees ? trees : 1,
                                   .keep = 1,
                                   .more = p->value[BRANCHES],
                                   .aggregate = p->value[AGGREGATE],
                                   .judge = p->value[EVALUATE],
                                   .judges = p->value[N_EVALUATE],
                                   .weighted = p->value[WEIGHTED]};
    levels.first = levels.groups * levels.more;
    search_levels_next(tree, &levels, spent, plan);
}

const struct search_strategy search_dvts = {.name = "dvts",
                                            .parameters = parameters,
                                            .parameter_count = sizeof parameters / sizeof *parameters,
                                            .samples = 1,
                                            .temperature = -1,
                                            .next = next};
