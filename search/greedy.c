/* One path, thought by thought. greedy takes the most probable token each time; sample draws at the temperature asked
 * for. */
#include "search/strategy.h"

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    (void)p;
    int node = search_leaf_of(tree, 0);
    const struct search_node *n = &tree->nodes[node];
    if (n->state == SEARCH_FRONTIER && !spent) {
        plan->why = xasprintf("write thought %d", n->depth + 1);
        search_plan_item(plan, SEARCH_SAMPLE, &node, 1, 1);
    } else if (search_has_answer(tree, node)) {
        search_plan_done(plan, node, xasprintf("the only path, %d thought%s long", n->depth, n->depth == 1 ? "" : "s"));
    } else if (n->state == SEARCH_ILLEGAL) {
        search_plan_done(
            plan, -1,
            xasprintf("thought %d is illegal: %s", n->depth, n->thought->thought.why ? n->thought->thought.why : ""));
    } else {
        search_plan_done(
            plan, -1,
            xasprintf("the path ends after %d thought%s without an answer", n->depth, n->depth == 1 ? "" : "s"));
    }
}

const struct search_strategy search_greedy = {.name = "greedy", .samples = 1, .temperature = 0, .next = next};
const struct search_strategy search_sample = {.name = "sample", .samples = 1, .temperature = -1, .next = next};
