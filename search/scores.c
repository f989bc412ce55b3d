/* What judges said of nodes, of whole paths, and which answer is best by it. */
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>

/* --- judging ----------------------------------------------------------------------------------------------------- */

int search_original(const struct search_tree *tree, int node)
{
    int first = node;
    for (int other = tree->nodes[node].same; other > 0; other = tree->nodes[other].same)
        if (tree->nodes[other].state != SEARCH_ILLEGAL && !search_tree_is_pruned(tree, other))
            first = other;
    return first;
}

static const char *judged_by(enum search_purpose judge)
{
    return judge == SEARCH_PROCESS_REWARD ? "process reward" : search_purpose_name(judge);
}

static void judge_each(const struct search_tree *tree, enum search_purpose judge, const struct search_nodes *nodes,
                       int samples, int copies, struct search_plan *plan)
{
    struct search_nodes asked = {0};
    samples = judge == SEARCH_VALUE ? samples : judge <= SEARCH_PROCESS_REWARD ? 2 : 1;
    for (int i = 0; i < nodes->count; i++) {
        int node = copies ? nodes->list[i] : search_original(tree, nodes->list[i]);
        if (!isnan(tree->nodes[node].value) || (!copies && search_nodes_hold(&asked, node)))
            continue;
        if (!copies)
            search_nodes_add(&asked, node);
        search_plan_item(plan, judge, &node, 1, samples);
    }
    free(asked.list);
    const char *s = plan->count == 1 ? "" : "s";
    if (plan->count && judge == SEARCH_VALUE)
        plan->why = xasprintf("value %d thought%s, %d sample%s each", plan->count, s, samples, samples == 1 ? "" : "s");
    else if (plan->count)
        plan->why = xasprintf("judge %d thought%s by %s", plan->count, s, judged_by(judge));
}

/* Those that read alike have one place. */
static struct search_nodes distinct_of(const struct search_tree *tree, const struct search_nodes *candidates)
{
    struct search_nodes distinct = {0};
    for (int i = 0; i < candidates->count; i++) {
        int copy = 0;
        for (int k = 0; k < distinct.count && !copy; k++)
            copy = search_same_path(tree, distinct.list[k], candidates->list[i]);
        if (!copy)
            search_nodes_add(&distinct, candidates->list[i]);
    }
    return distinct;
}

static void add_vote(const struct search_nodes *among, int samples, struct search_plan *plan)
{
    search_plan_item(plan, SEARCH_VOTE, among->list, among->count, samples);
    plan->why = xasprintf("vote among %d thoughts, %d sample%s", among->count, samples, samples == 1 ? "" : "s");
}

int search_vote(const struct search_tree *tree, const struct search_nodes *candidates, int samples,
                struct search_plan *plan)
{
    struct search_nodes distinct = distinct_of(tree, candidates);
    int voted = 1;
    for (int i = 0; i < distinct.count; i++) {
        const struct search_event *judgement = tree->nodes[distinct.list[i]].judgement;
        voted = voted && judgement && judgement == tree->nodes[distinct.list[0]].judgement;
    }
    if (!voted && distinct.count > 1)
        add_vote(&distinct, samples, plan);
    free(distinct.list);
    return plan->count;
}

/* Nobody is voted on twice for the sake of others, but where one alone is new: that one is held against them all. */
static void vote_on_new(const struct search_tree *tree, const struct search_nodes *candidates, int samples,
                        struct search_plan *plan)
{
    struct search_nodes distinct = distinct_of(tree, candidates), new = {0};
    for (int i = 0; i < distinct.count; i++)
        if (isnan(tree->nodes[distinct.list[i]].value))
            search_nodes_add(&new, distinct.list[i]);
    if (new.count > 1)
        add_vote(&new, samples, plan);
    else if (new.count && distinct.count > 1)
        add_vote(&distinct, samples, plan);
    free(distinct.list);
    free(new.list);
}

int search_judge(const struct search_tree *tree, int judge, const struct search_nodes *nodes, int samples,
                 struct search_plan *plan)
{
    enum search_purpose purpose = (enum search_purpose)(SEARCH_VALUE + judge);
    if (purpose == SEARCH_VOTE)
        vote_on_new(tree, nodes, samples, plan);
    else
        judge_each(tree, purpose, nodes, samples, 0, plan);
    return plan->count;
}

int search_judge_copies(const struct search_tree *tree, int judge, const struct search_nodes *nodes, int samples,
                        struct search_plan *plan)
{
    if (SEARCH_VALUE + judge == SEARCH_VOTE)
        return search_vote(tree, nodes, samples, plan);
    judge_each(tree, (enum search_purpose)(SEARCH_VALUE + judge), nodes, samples, 1, plan);
    return plan->count;
}

/* --- scores of paths --------------------------------------------------------------------------------------------- */

double search_path_score(const struct search_tree *tree, int node, int aggregate)
{
    double score = NAN;
    for (; node > 0; node = tree->nodes[node].parent) {
        double value = tree->nodes[search_original(tree, node)].value;
        if (aggregate == SEARCH_LAST)
            return value;
        if (isnan(value))
            continue;
        if (isnan(score))
            score = value;
        else
            score = aggregate == SEARCH_PROD ? score * value : fmin(score, value);
    }
    return score;
}

int search_is_better(double a, double b)
{
    return isnan(b) ? !isnan(a) : a > b;
}

const char *search_aggregate_name(int aggregate)
{
    return aggregate == SEARCH_LAST ? "last value" : aggregate == SEARCH_MIN ? "least value" : "product of values";
}

/* --- the best answer --------------------------------------------------------------------------------------------- */

static int choose_one(const struct search_tree *tree, const struct search_nodes *leaves, int aggregate,
                      struct search_plan *plan, struct string *why)
{
    int best = leaves->list[0], judged = 0, next = -1;
    for (int i = 0; i < leaves->count; i++) {
        double score = search_path_score(tree, leaves->list[i], aggregate);
        judged += !isnan(score);
        if (search_is_better(score, search_path_score(tree, best, aggregate)))
            best = leaves->list[i];
    }
    double score = search_path_score(tree, best, aggregate);
    for (int i = 0; i < leaves->count; i++)
        if (leaves->list[i] != best &&
            (next < 0 || search_is_better(search_path_score(tree, leaves->list[i], aggregate),
                                          search_path_score(tree, next, aggregate))))
            next = leaves->list[i];
    search_plan_keep(plan, best);
    if (leaves->count == 1)
        string_add(why, "the only answer");
    else
        string_addf(why, "the %s of %d answers", judged ? "best" : "first", leaves->count);
    if (!judged) {
        string_add(why, ", not judged");
        return best;
    }
    const struct search_event *judgement = tree->nodes[search_original(tree, best)].judgement;
    int votes = aggregate == SEARCH_LAST && judgement && judgement->judgement.purpose == SEARCH_VOTE;
    string_addf(why, ", %s %.4g", votes ? "votes" : search_aggregate_name(aggregate), score);
    if (next >= 0 && search_path_score(tree, next, aggregate) == score) {
        plan->tie = 1;
        string_add(why, ", a tie: the earlier is taken");
    } else if (next >= 0 && !isnan(search_path_score(tree, next, aggregate))) {
        string_addf(why, ", the next %.4g", search_path_score(tree, next, aggregate));
    }
    return best;
}

/* What was not judged weighs nothing. */
static int choose_weighted(const struct search_tree *tree, const struct search_nodes *leaves, int aggregate,
                           struct search_plan *plan, struct string *why)
{
    struct search_ballots ballots = {0};
    for (int i = 0; i < leaves->count; i++) {
        double score = search_path_score(tree, leaves->list[i], aggregate);
        search_ballots_add(&ballots, tree, leaves->list[i], isnan(score) ? 0 : score);
    }
    search_ballots_sort(&ballots);
    search_ballots_decide(&ballots, tree, leaves, plan);
    string_addf(why, "summed %s %.4g of %.4g (%d of %d answers)", search_aggregate_name(aggregate),
                ballots.list[0].weight, ballots.weight, ballots.list[0].tally.votes, leaves->count);
    if (plan->tie)
        string_add(why, ", a tie broken by log-probability");
    int node = ballots.list[0].tally.node;
    free(ballots.list);
    return node;
}

int search_choose(const struct search_tree *tree, const struct search_nodes *leaves, int aggregate, int weighted,
                  struct search_plan *plan, char **why)
{
    struct string text = {0};
    int node = weighted ? choose_weighted(tree, leaves, aggregate, plan, &text)
                        : choose_one(tree, leaves, aggregate, plan, &text);
    *why = text.text;
    return node;
}
