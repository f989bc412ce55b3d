/* Step by step, side by side: what beam and dvts do. The thoughts of a level are judged, the best of each group kept,
 * and those grown; and so on until all that is kept holds an answer.
 *
 * The levels are walked anew from the root each time, choosing again at each by what is there. What was chosen before
 * and is pruned now is simply not among it, and the next best is caught up with. */
#include "search/strategy.h"

#include <stdlib.h>

struct level {
    struct search_nodes nodes, groups; /* a candidate, and its group beside it */
};

static void level_free(struct level *level)
{
    free(level->nodes.list);
    free(level->groups.list);
    *level = (struct level){0};
}

/* What cannot come to an answer, and what reads like an earlier one of its group, is no candidate. */
static void add_candidate(struct level *level, const struct search_tree *tree, int node, int group)
{
    enum search_state state = tree->nodes[node].state;
    if (state == SEARCH_ILLEGAL || (state == SEARCH_FINAL && !search_has_answer(tree, node)))
        return;
    for (int i = 0; i < level->nodes.count; i++)
        if (level->groups.list[i] == group && search_same_path(tree, level->nodes.list[i], node))
            return;
    search_nodes_add(&level->nodes, node);
    search_nodes_add(&level->groups, group);
}

/* The root's samples are dealt to the groups in order, as many to each. */
static struct level first_level(const struct search_tree *tree, const struct search_levels *levels)
{
    struct level level = {0};
    int each = levels->first / levels->groups;
    for (int child = search_next_child(tree, 0, -1); child >= 0; child = search_next_child(tree, 0, child)) {
        const struct search_event *completion = tree->nodes[child].completion;
        int group = completion ? completion->completion.sample / each : 0;
        add_candidate(&level, tree, child, group < levels->groups ? group : levels->groups - 1);
    }
    return level;
}

/* An answer above the last level keeps its place by its score. */
static struct level next_level(const struct search_tree *tree, const struct level *kept)
{
    struct level level = {0};
    for (int i = 0; i < kept->nodes.count; i++) {
        int node = kept->nodes.list[i], group = kept->groups.list[i];
        if (tree->nodes[node].state == SEARCH_FINAL)
            add_candidate(&level, tree, node, group);
        for (int child = search_next_child(tree, node, -1); child >= 0; child = search_next_child(tree, node, child))
            add_candidate(&level, tree, child, group);
    }
    return level;
}

/* --- choosing ---------------------------------------------------------------------------------------------------- */

/* The place of the best candidate of the group that is not kept, the earlier of equals; -1: none is left. */
static int best_of(const struct search_tree *tree, const struct search_levels *levels, const struct level *level,
                   int group, const struct search_nodes *kept)
{
    int best = -1;
    double best_score = 0;
    for (int i = 0; i < level->nodes.count; i++) {
        int node = level->nodes.list[i];
        if (level->groups.list[i] != group || search_nodes_hold(kept, node))
            continue;
        double score = search_path_score(tree, node, levels->aggregate);
        if (best < 0 || score > best_score || (score == best_score && node < level->nodes.list[best])) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

/* Best first, group by group. *tie: one that was left out scores the same as one kept. */
static struct level keep_best(const struct search_tree *tree, const struct search_levels *levels,
                              const struct level *level, int *tie)
{
    struct level kept = {0};
    *tie = 0;
    for (int group = 0; group < levels->groups; group++) {
        double least = 0;
        for (int i = 0; i <= levels->keep; i++) {
            int best = best_of(tree, levels, level, group, &kept.nodes);
            if (best < 0)
                break;
            double score = search_path_score(tree, level->nodes.list[best], levels->aggregate);
            if (i == levels->keep) {
                *tie = *tie || score == least;
                break;
            }
            search_nodes_add(&kept.nodes, level->nodes.list[best]);
            search_nodes_add(&kept.groups, group);
            least = score;
        }
    }
    return kept;
}

static char *why_kept(const struct search_tree *tree, const struct search_levels *levels, const struct level *level,
                      const struct level *kept, int tie)
{
    struct string why = {0};
    if (levels->groups > 1)
        string_addf(&why, "kept the best of each of %d trees by %s:", kept->nodes.count,
                    search_aggregate_name(levels->aggregate));
    else
        string_addf(&why, "kept %d of %d by %s:", kept->nodes.count, level->nodes.count,
                    search_aggregate_name(levels->aggregate));
    for (int i = 0; i < kept->nodes.count; i++)
        string_addf(&why, "%s %.4g", i ? "," : "", search_path_score(tree, kept->nodes.list[i], levels->aggregate));
    if (tie)
        string_add(&why, "; of equals the earlier");
    return why.text;
}

/* --- growing ----------------------------------------------------------------------------------------------------- */

/* How many more samples a state needs that is to be grown by so many. */
static int samples_missing(const struct search_tree *tree, const struct search_levels *levels, int node, int samples)
{
    const struct search_node *n = &tree->nodes[node];
    if (n->state == SEARCH_FRONTIER)
        return samples;
    return levels->widen && n->state == SEARCH_EXPANDED && n->sampled < samples ? samples - n->sampled : 0;
}

/* --- what is next ------------------------------------------------------------------------------------------------ */

static void finish(const struct search_tree *tree, const struct search_levels *levels,
                   const struct search_nodes *leaves, struct search_plan *plan)
{
    char *why;
    int node = search_choose(tree, leaves, levels->aggregate, levels->weighted, plan, &why);
    search_plan_free(plan);
    search_plan_done(plan, node, why);
}

/* Nothing can be gone on with: of all answers there are, wherever they were left. */
static void finish_early(const struct search_tree *tree, const struct search_levels *levels, struct search_plan *plan)
{
    struct search_nodes all = {0};
    for (int i = 1; i < tree->count; i++)
        if (search_has_answer(tree, i))
            search_nodes_add(&all, i);
    if (all.count)
        finish(tree, levels, &all, plan);
    else
        search_plan_done(plan, -1, xasprintf("no path came to an answer"));
    free(all.list);
}

/* Record what is kept; then grow what of it can be; then, when that is nothing, finish. */
static void go_on(const struct search_tree *tree, const struct search_levels *levels, const struct level *level,
                  const struct level *kept, int tie, struct search_plan *plan)
{
    for (int i = 0; i < kept->nodes.count; i++)
        search_plan_keep(plan, kept->nodes.list[i]);
    plan->tie = tie;
    if (!search_decided(tree, plan)) {
        plan->why = why_kept(tree, levels, level, kept, tie);
        return;
    }
    search_plan_free(plan);
    for (int i = 0; i < kept->nodes.count; i++) {
        int missing = samples_missing(tree, levels, kept->nodes.list[i], levels->more);
        if (missing)
            search_plan_item(plan, SEARCH_SAMPLE, &kept->nodes.list[i], 1, missing);
    }
    if (plan->count)
        plan->why =
            xasprintf("go on from %d thought%s, %d times each", plan->count, plan->count == 1 ? "" : "s", levels->more);
    else
        finish(tree, levels, &kept->nodes, plan);
}

void search_levels_next(const struct search_tree *tree, const struct search_levels *levels, int spent,
                        struct search_plan *plan)
{
    if (spent) {
        finish_early(tree, levels, plan);
        return;
    }
    int missing = samples_missing(tree, levels, 0, levels->first);
    if (missing) {
        search_plan_item(plan, SEARCH_SAMPLE, (int[]){0}, 1, missing);
        plan->why = missing < levels->first ? xasprintf("begin with %d more, %d thoughts", missing, levels->first)
                                            : xasprintf("begin with %d thought%s", missing, missing == 1 ? "" : "s");
        return;
    }
    struct level level = first_level(tree, levels);
    while (!plan->why) {
        if (!level.nodes.count) {
            finish_early(tree, levels, plan);
            break;
        }
        if (search_judge(tree, levels->judge, &level.nodes, levels->judges, plan))
            break;
        int tie, growing = 0, final = 0;
        struct level kept = keep_best(tree, levels, &level, &tie);
        for (int i = 0; i < kept.nodes.count; i++) {
            growing += samples_missing(tree, levels, kept.nodes.list[i], levels->more) > 0;
            final += tree->nodes[kept.nodes.list[i]].state == SEARCH_FINAL;
        }
        if (growing || final == kept.nodes.count)
            go_on(tree, levels, &level, &kept, tie, plan);
        struct level below = plan->why ? (struct level){0} : next_level(tree, &kept);
        level_free(&kept);
        level_free(&level);
        level = below;
    }
    level_free(&level);
}
