/* Tree of Thoughts, breadth first (Yao et al. 2023): from every state kept generate thoughts, evaluate them, keep b;
 * and so on, a level at a time. One level is two plans and a decision; which of the three is next can be read off the
 * tree:
 *
 *   a kept node that has not been grown            -> generate
 *   a candidate (its child) that has not been judged -> evaluate
 *   neither                                        -> keep b of the candidates
 *   all that is kept is final                      -> done
 *
 * An answer found above the last level keeps its place among the candidates with the value it has. Whether an answer is
 * correct is never looked at, except to say so in the end. */
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B, GENERATE, EVALUATE, SELECT, N_GENERATE, N_EVALUATE };
enum { PROPOSE, SAMPLE }; /* generate */
enum { GREEDY, DRAW };    /* select */
static const struct search_parameter parameters[] = {
    [B] = {.name = "b", .aliases = "n_select_sample", .standard = 5, .least = 1, .most = 1000},
    [GENERATE] = {.name = "generate", .choices = "propose|sample", .most = 1, .prompts = 2},
    [EVALUATE] = SEARCH_EVALUATE,
    [SELECT] = {.name = "select", .choices = "greedy|sample", .most = 1},
    [N_GENERATE] = {.name = "n_generate_sample", .aliases = "n_generate k", .standard = 5, .least = 1, .most = 1000},
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static double value_of(const struct search_tree *tree, int node)
{
    return isnan(tree->nodes[node].value) ? 0 : tree->nodes[node].value;
}

static int is_final(const struct search_tree *tree, int node)
{
    return tree->nodes[node].state == SEARCH_FINAL;
}

/* The nodes kept that are not pruned, each once. */
static struct search_nodes kept_nodes(const struct search_tree *tree)
{
    struct search_nodes kept = {0};
    for (int i = 0; i < tree->kept_count; i++)
        if (!search_nodes_hold(&kept, tree->kept[i]) && !search_tree_is_pruned(tree, tree->kept[i]))
            search_nodes_add(&kept, tree->kept[i]);
    return kept;
}

/* What the next decision is among: the legal children of what is kept, and what is kept and final. */
static struct search_nodes candidates_of(const struct search_tree *tree, const struct search_nodes *kept)
{
    struct search_nodes candidates = {0};
    for (int i = 0; i < kept->count; i++) {
        int node = kept->list[i];
        if (is_final(tree, node))
            search_nodes_add(&candidates, node);
        for (int child = search_next_child(tree, node, -1); child >= 0; child = search_next_child(tree, node, child))
            if (tree->nodes[child].state != SEARCH_ILLEGAL)
                search_nodes_add(&candidates, child);
    }
    return candidates;
}

/* --- generate ---------------------------------------------------------------------------------------------------- */

static int generate(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *kept,
                    struct search_plan *plan)
{
    int propose = p->value[GENERATE] == PROPOSE;
    for (int i = 0; i < kept->count; i++) {
        int node = kept->list[i], times = 0;
        if (tree->nodes[node].state != SEARCH_FRONTIER)
            continue;
        /* A state that was drawn twice is grown twice as much. */
        for (int k = 0; k < tree->kept_count; k++)
            times += tree->kept[k] == node;
        search_plan_item(plan, propose ? SEARCH_PROPOSE : SEARCH_SAMPLE, &node, 1,
                         times * (propose ? 1 : p->value[N_GENERATE]));
    }
    if (plan->count)
        plan->why =
            xasprintf("%s from %d state%s", propose ? "propose" : "sample", plan->count, plan->count == 1 ? "" : "s");
    return plan->count;
}

/* --- evaluate ---------------------------------------------------------------------------------------------------- */

static int votes(const struct search_parameters *p)
{
    return p->value[EVALUATE] == SEARCH_VOTE - SEARCH_VALUE;
}

/* --- select ------------------------------------------------------------------------------------------------------ */

/* A candidate drawn in proportion to value; all alike when none has any. */
static int draw(const struct search_tree *tree, const struct search_nodes *candidates, int index)
{
    double sum = 0;
    for (int i = 0; i < candidates->count; i++)
        sum += value_of(tree, candidates->list[i]);
    /* Requests have a node and one of the purposes in the first two places: none has this. */
    uint64_t stream = random_stream((uint64_t)tree->steps, SEARCH_VOTE + 1, 0);
    double at = random_uniform(tree->session->session.seed, stream, (uint64_t)index);
    if (sum <= 0)
        return candidates->list[(int)(at * candidates->count)];
    at *= sum;
    int last = candidates->list[0];
    for (int i = 0; i < candidates->count; i++) {
        double v = value_of(tree, candidates->list[i]);
        if (v <= 0)
            continue;
        last = candidates->list[i];
        if (at < v)
            break;
        at -= v;
    }
    return last;
}

/* The b of greatest value, the earlier first among equals. */
static void keep_best(const struct search_tree *tree, const struct search_nodes *candidates, int b,
                      struct search_plan *plan)
{
    struct search_nodes left = {0};
    for (int i = 0; i < candidates->count; i++)
        search_nodes_add(&left, candidates->list[i]);
    while (plan->kept_count < b && left.count) {
        int best = 0;
        for (int i = 1; i < left.count; i++)
            if (value_of(tree, left.list[i]) > value_of(tree, left.list[best]))
                best = i;
        search_plan_keep(plan, left.list[best]);
        memmove(left.list + best, left.list + best + 1, (size_t)(--left.count - best) * sizeof *left.list);
    }
    free(left.list);
}

static void select_nodes(const struct search_tree *tree, const struct search_parameters *p,
                         const struct search_nodes *candidates, struct search_plan *plan)
{
    if (p->value[SELECT] == GREEDY)
        keep_best(tree, candidates, p->value[B], plan);
    else
        for (int i = 0; i < p->value[B]; i++)
            search_plan_keep(plan, draw(tree, candidates, i));
    if (candidates->count == 1) {
        plan->why = xstrdup("kept the only thought there was");
        return;
    }
    struct string why = {0};
    string_addf(&why,
                p->value[SELECT] == GREEDY ? "kept %d of %d by %s:" : "drew %d times from %d by %s:", plan->kept_count,
                candidates->count, votes(p) ? "votes" : "value");
    for (int i = 0; i < plan->kept_count; i++)
        string_addf(&why, "%s %.4g", i ? "," : "", value_of(tree, plan->kept[i]));
    plan->why = why.text;
}

/* --- done -------------------------------------------------------------------------------------------------------- */

/* The answer of greatest value among these; beside it, how many of all answers are right, where that is known. */
static void finish(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *among,
                   struct search_plan *plan)
{
    int best = -1, answers = 0, known = 0, right = 0;
    for (int i = 0; i < among->count; i++) {
        int node = among->list[i];
        if (!search_has_answer(tree, node))
            continue;
        answers++;
        known += tree->nodes[node].thought->thought.correct >= 0;
        right += tree->nodes[node].thought->thought.correct == 1;
        if (best < 0 || value_of(tree, node) > value_of(tree, best))
            best = node;
    }
    if (best < 0) {
        search_plan_done(plan, -1, xasprintf("no path came to an answer"));
        return;
    }
    struct string why = {0};
    string_addf(&why, answers == 1 ? "the only answer" : "the best of %d answers", answers);
    if (!isnan(tree->nodes[best].value))
        string_addf(&why, votes(p) ? ", with %.4g votes" : ", of value %.4g",
                    tree->nodes[best].value);
    if (known)
        string_addf(&why, "; %d of %d right", right, answers);
    search_plan_done(plan, best, why.text);
}

static void finish_with_all(const struct search_tree *tree, const struct search_parameters *p, struct search_plan *plan)
{
    struct search_nodes all = {0};
    for (int i = 1; i < tree->count; i++)
        search_nodes_add(&all, i);
    finish(tree, p, &all, plan);
    free(all.list);
}

/* --- what is next ------------------------------------------------------------------------------------------------ */

/* Everything that was kept has been pruned: keep others of the same level, if there are any, rather than end. */
static struct search_nodes level_again(const struct search_tree *tree)
{
    struct search_nodes others = {0};
    for (int i = 1; i < tree->count && tree->kept_count; i++) {
        const struct search_node *n = &tree->nodes[i];
        if (n->depth == tree->nodes[tree->kept[0]].depth && n->state != SEARCH_ILLEGAL && n->judgement &&
            !search_tree_is_pruned(tree, i))
            search_nodes_add(&others, i);
    }
    return others;
}

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    if (spent) {
        finish_with_all(tree, p, plan);
        return;
    }
    struct search_nodes kept = kept_nodes(tree);
    struct search_nodes candidates = kept.count ? candidates_of(tree, &kept) : level_again(tree);
    int open = 0;
    for (int i = 0; i < kept.count; i++)
        open += !is_final(tree, kept.list[i]);
    if (kept.count && !open)
        finish(tree, p, &kept, plan);
    else if (generate(tree, p, &kept, plan))
        ;
    else if (!candidates.count)
        search_plan_done(
            plan, -1, xasprintf("no thought was left to go on from after step %d", tree->nodes[tree->kept[0]].depth));
    else if (kept.count && search_judge_copies(tree, p->value[EVALUATE], &candidates, p->value[N_EVALUATE], plan))
        ;
    else
        select_nodes(tree, p, &candidates, plan);
    free(kept.list);
    free(candidates.list);
}

const struct search_strategy search_tot = {.name = "tot",
                                           .parameters = parameters,
                                           .parameter_count = sizeof parameters / sizeof *parameters,
                                           .temperature = -1,
                                           .next = next};
