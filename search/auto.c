/* Compute-optimal (Snell et al. 2024): a few paths tell how hard the problem is, and what that is best done with takes
 * over. The share of the probes that agree on the answer in front:
 *
 *   at least `easy`     self-consistency, adaptive: it often ends with the probes
 *   at least `medium`   best-of-n, weighted
 *   less, or none       beam
 *
 * The probes are the first samples of what takes over, and n counts them. How hard it was is said in a decision that
 * keeps nothing, as no other does; what is pruned or restored after it does not make the problem another. */
#include "search/strategy.h"

#include <stdlib.h>

enum { PROBE, EASY, MEDIUM, N, BRANCHES, EVALUATE, N_EVALUATE };
static const struct search_parameter parameters[] = {
    [PROBE] = {.name = "probe", .standard = 4, .least = 1, .most = 1000},
    [EASY] = {.name = "easy", .real = {.75, 0, 1}},
    [MEDIUM] = {.name = "medium", .real = {.5, 0, 1}},
    [N] = {.name = "n", .standard = 16, .least = 1, .most = 1000},
    [BRANCHES] = {.name = "m", .standard = 4, .least = 1, .most = 1000},
    [EVALUATE] = SEARCH_EVALUATE,
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

/* --- the probes -------------------------------------------------------------------------------------------------- */

/* Where the first paths that the model began end, pruned or not. */
static struct search_nodes probes_of(const struct search_tree *tree, const struct search_parameters *p)
{
    struct search_nodes leaves = {0};
    for (int child = tree->nodes[0].first_child; child >= 0 && leaves.count < p->value[PROBE];
         child = tree->nodes[child].next_sibling) {
        int leaf = child;
        if (tree->nodes[child].thought->thought.by_user)
            continue;
        while (tree->nodes[leaf].first_child >= 0)
            leaf = tree->nodes[leaf].first_child;
        search_nodes_add(&leaves, leaf);
    }
    return leaves;
}

static int probe(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *leaves,
                 struct search_plan *plan)
{
    int begun = tree->nodes[0].sampled, missing = p->value[PROBE] - begun;
    if (missing > 0) {
        search_plan_item(plan, SEARCH_SAMPLE, (int[]){0}, 1, missing);
        plan->why = xasprintf("probe with %d path%s", missing, missing == 1 ? "" : "s");
        return 1;
    }
    for (int i = 0; i < leaves->count; i++)
        if (tree->nodes[leaves->list[i]].state == SEARCH_FRONTIER && !search_tree_is_pruned(tree, leaves->list[i]))
            search_plan_item(plan, SEARCH_SAMPLE, &leaves->list[i], 1, 1);
    if (plan->count)
        plan->why = xasprintf("go on with %d probe%s", plan->count, plan->count == 1 ? "" : "s");
    return plan->count;
}

/* --- how hard it is ---------------------------------------------------------------------------------------------- */

enum bin { EASIEST, BETWEEN, HARDEST };

static enum bin bin_of(const struct search_parameters *p, int votes)
{
    double share = (double)votes / p->value[PROBE];
    if (votes && share >= p->real[EASY])
        return EASIEST;
    return votes && share >= p->real[MEDIUM] ? BETWEEN : HARDEST;
}

/* What takes over, as a user would name it. */
static char *spec_of(const struct search_parameters *p, enum bin bin)
{
    const char *judge = search_purpose_name((enum search_purpose)(SEARCH_VALUE + p->value[EVALUATE]));
    if (bin == EASIEST)
        return xasprintf("self-consistency,m=%d,adaptive=1", p->value[N]);
    if (bin == BETWEEN)
        return xasprintf("best-of-n,n=%d,evaluate=%s,weighted=1,n_evaluate_sample=%d", p->value[N], judge,
                         p->value[N_EVALUATE]);
    return xasprintf("beam,n=%d,m=%d,evaluate=%s,n_evaluate_sample=%d", p->value[N], p->value[BRANCHES], judge,
                     p->value[N_EVALUATE]);
}

/* The decision that said it; NULL: it was not said yet. */
static const struct search_event *said(const struct search_tree *tree)
{
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *event = tree->events[i];
        if (event->kind == SEARCH_EVENT_DECISION && !tree->out[i] && !event->decision.kept_count &&
            !event->decision.backup_count)
            return event;
    }
    return NULL;
}

/* The tally is all of it: the votes of the answer in front are the first there. */
static void say_difficulty(const struct search_tree *tree, const struct search_parameters *p,
                           const struct search_nodes *leaves, struct search_plan *plan)
{
    static const char *const names[] = {[EASIEST] = "easy", [BETWEEN] = "medium", [HARDEST] = "hard"};
    struct search_ballots ballots = {0};
    struct search_nodes nobody = {0};
    for (int i = 0; i < leaves->count; i++) {
        const struct search_node *n = &tree->nodes[leaves->list[i]];
        if (n->state == SEARCH_FINAL && n->thought->thought.answer)
            search_ballots_add(&ballots, tree, leaves->list[i], 1);
    }
    int votes = 0;
    if (ballots.count) {
        search_ballots_sort(&ballots);
        search_ballots_decide(&ballots, tree, &nobody, plan);
        votes = ballots.list[0].tally.votes;
    }
    free(ballots.list);
    plan->kind = SEARCH_PLAN_DECISION;
    enum bin bin = bin_of(p, votes);
    char *spec = spec_of(p, bin);
    plan->why = votes ? xasprintf("%s: %d of %d probes agree; on with %s", names[bin], votes, p->value[PROBE], spec)
                      : xasprintf("%s: none of %d probes came to an answer; on with %s", names[bin], p->value[PROBE], spec);
    free(spec);
}

/* --- taking over ------------------------------------------------------------------------------------------------- */

static void hand_to(const struct search_tree *tree, const struct search_parameters *p, enum bin bin, int spent,
                    struct search_plan *plan)
{
    struct search_parameters other;
    char *spec = spec_of(p, bin);
    if (!search_parameters_parse(&other, spec, NULL, NULL)) {
        other.worst = p->worst;
        other.strategy->next(tree, &other, spent, plan);
    }
    free(spec);
}

/* As beam does it, but what the probes have grown is grown on to as many samples as anything else. */
static void beam(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    int keep = p->value[N] / p->value[BRANCHES];
    struct search_levels levels = {.groups = 1,
                                   .keep = keep ? keep : 1,
                                   .first = p->value[N],
                                   .more = p->value[BRANCHES],
                                   .aggregate = SEARCH_LAST,
                                   .judge = p->value[EVALUATE],
                                   .judges = p->value[N_EVALUATE],
                                   .widen = 1};
    search_levels_next(tree, &levels, spent, plan);
}

static void go_on(const struct search_tree *tree, const struct search_parameters *p, int votes, int spent,
                  struct search_plan *plan)
{
    enum bin bin = bin_of(p, votes);
    int begun = tree->nodes[0].sampled;
    if (bin == HARDEST) {
        beam(tree, p, spent, plan);
    } else if (bin == BETWEEN && !spent && begun < p->value[N]) { /* best-of-n begins its paths only once */
        search_plan_item(plan, SEARCH_SAMPLE, (int[]){0}, 1, p->value[N] - begun);
        plan->why = xasprintf("begin %d more paths, %d in all", p->value[N] - begun, p->value[N]);
    } else {
        hand_to(tree, p, bin, spent, plan);
    }
}

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    const struct search_event *difficulty = said(tree);
    if (difficulty) {
        go_on(tree, p, difficulty->decision.tally_count ? difficulty->decision.tally[0].votes : 0, spent, plan);
        return;
    }
    struct search_nodes leaves = probes_of(tree, p);
    if (spent)
        hand_to(tree, p, EASIEST, spent, plan); /* the plurality of what there is */
    else if (!probe(tree, p, &leaves, plan))
        say_difficulty(tree, p, &leaves, plan);
    free(leaves.list);
}

const struct search_strategy search_auto = {.name = "auto",
                                            .parameters = parameters,
                                            .parameter_count = sizeof parameters / sizeof *parameters,
                                            .samples = 1,
                                            .temperature = -1,
                                            .next = next};
