/* Beam search over thoughts (Snell et al. 2024): n thoughts begin, the best n/m are kept and gone on with m times each,
 * and so on. The paper samples at temperature 0.8; the task's or the user's own holds here. */
#include "search/strategy.h"

enum { N, BRANCHES, EVALUATE, AGGREGATE, N_EVALUATE };
static const struct search_parameter parameters[] = {
    [N] = {.name = "n", .standard = 16, .least = 1, .most = 1000},
    [BRANCHES] = {.name = "m", .standard = 4, .least = 1, .most = 1000},
    [EVALUATE] = SEARCH_EVALUATE,
    [AGGREGATE] = {.name = "aggregate", .choices = SEARCH_AGGREGATES, .most = 2},
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    int keep = p->value[N] / p->value[BRANCHES];
    struct search_levels levels = {.groups = 1,
                                   .keep = keep ? keep : 1,
                                   .first = p->value[N],
                                   .more = p->value[BRANCHES],
                                   .aggregate = p->value[AGGREGATE],
                                   .judge = p->value[EVALUATE],
                                   .judges = p->value[N_EVALUATE]};
    search_levels_next(tree, &levels, spent, plan);
}

const struct search_strategy search_beam = {.name = "beam",
                                            .parameters = parameters,
                                            .parameter_count = sizeof parameters / sizeof *parameters,
                                            .samples = 1,
                                            .temperature = -1,
                                            .next = next};
