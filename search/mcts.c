/* Monte Carlo tree search, by UCT as RAP has it (Hao et al. 2023) or by PUCT (Silver et al. 2017).
 *
 * An iteration goes down from the root, each time to the child of greatest Q + U, and ends with a decision that backs up
 * what was found along the path it took. The walk is made anew each time it is asked what is next. What it goes by, N
 * and Q, changes by that decision alone: so until then it comes to where it was, and nothing need be kept.
 *
 * UCT: Q + w * sqrt(ln N_parent / max(1, N)); the Q of a child that was never visited is its own reward, judged as soon as
 * it is there. Below the first such child N_parent is 0, U is none, and the same rule is the rollout: it follows the
 * greatest reward to an answer, to the depth, or to a dead end, which is a last reward of 0. A node's part in a visit is
 * the mean of the rewards from it down to the leaf.
 *
 * PUCT: Q + c * P * sqrt(N_parent) / (1 + N), where the Q of a child never visited is 0, P is the softmax over the siblings of
 * the mean log-probability of their tokens, and c = w * (ln((N_parent + 19653) / 19652) + 1.25). No rollout: a visit goes
 * down to a child never visited, which is judged, and its reward is everybody's part in the visit. */
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ITERATIONS, DEPTH, SELECT, W, Q, GENERATE, EVALUATE, ANSWER, N_GENERATE, N_EVALUATE };
enum { UCT, PUCT };       /* select */
enum { MAX, MEAN };       /* q, of uct: RAP has the greatest for GSM8K */
enum { PROPOSE, SAMPLE }; /* generate */
enum { BEST, EDGE };      /* answer */
static const struct search_parameter parameters[] = {
    [ITERATIONS] = {.name = "iterations", .aliases = "n_iters", .standard = 10, .least = 1, .most = 100000},
    [DEPTH] = {.name = "depth", .aliases = "depth_limit", .standard = 5, .least = 1, .most = 1000},
    [SELECT] = {.name = "select", .choices = "uct|puct", .most = 1},
    [W] = {.name = "w", .aliases = "w_exp", .real = {1, 0, 1000}},
    [Q] = {.name = "q", .choices = "max|mean", .most = 1},
    [GENERATE] = {.name = "generate", .choices = "propose|sample", .most = 1, .prompts = 2},
    [EVALUATE] = SEARCH_EVALUATE,
    [ANSWER] = {.name = "answer", .choices = "best|edge", .most = 1},
    [N_GENERATE] = {.name = "n_generate_sample", .aliases = "n_generate k", .standard = 4, .least = 1, .most = 1000},
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

/* --- which child ------------------------------------------------------------------------------------------------- */

/* Of a thought without tokens, the user's own, it is 0: as if it had been certain. */
static double mean_logprob(const struct search_node *n)
{
    return n->tokens ? n->logprob / n->tokens : 0;
}

static double prior_of(const struct search_tree *tree, const struct search_nodes *siblings, int node)
{
    double sum = 0, own = mean_logprob(&tree->nodes[node]);
    for (int i = 0; i < siblings->count; i++)
        sum += exp(mean_logprob(&tree->nodes[siblings->list[i]]) - own);
    return 1 / sum;
}

static struct search_terms terms_of(const struct search_tree *tree, const struct search_parameters *p,
                                    const struct search_nodes *siblings, int node)
{
    const struct search_node *n = &tree->nodes[node];
    int above = tree->nodes[n->parent].visits;
    struct search_terms t = {.there = 1, .visits = n->visits, .form = p->value[SELECT] == PUCT ? SEARCH_PUCT : SEARCH_UCT, .above = above};
    if (p->value[SELECT] == PUCT) {
        double c = p->real[W] * (log((above + 19653) / 19652.0) + 1.25);
        t.q = n->visits ? n->reward_sum / n->visits : 0;
        t.prior = prior_of(tree, siblings, node);
        t.weight = c;
        t.u = c * t.prior * sqrt(above) / (1 + n->visits);
    } else {
        double visited = p->value[Q] == MAX ? n->reward_best : n->reward_sum / n->visits;
        t.q = n->visits ? visited : search_reward(tree, node);
        t.weight = p->real[W];
        t.greatest = p->value[Q] == MAX;
        t.u = above > 0 ? p->real[W] * sqrt(log(above) / (n->visits > 1 ? n->visits : 1)) : 0;
    }
    t.total = t.q + t.u;
    return t;
}

/* Of equals the more probable, where it matters (at the first visit of a node's children PUCT has 0 for all), then the
 * earlier. */
static int choose(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *children)
{
    int best = children->list[0];
    struct search_terms most = terms_of(tree, p, children, best);
    for (int i = 1; i < children->count; i++) {
        struct search_terms t = terms_of(tree, p, children, children->list[i]);
        if (t.total > most.total || (t.total == most.total && t.prior > most.prior)) {
            best = children->list[i];
            most = t;
        }
    }
    return best;
}

static int terms(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *siblings, int node,
                 struct search_terms *out)
{
    struct search_plan plan = {0};
    int there = search_nodes_hold(siblings, node) &&
                (p->value[SELECT] == PUCT ||
                 !search_judge_choices(tree, p->value[EVALUATE], siblings, p->value[N_EVALUATE], &plan));
    if (there)
        *out = terms_of(tree, p, siblings, node);
    search_plan_free(&plan);
    return there;
}

/* --- backing up -------------------------------------------------------------------------------------------------- */

/* UCT: each node's part is the mean of the rewards from it down, and of a last 0 where the leaf had no legal child. */
static void back_up_means(const struct search_tree *tree, int leaf, int barren, struct search_plan *plan)
{
    double sum = 0;
    int count = barren;
    for (int node = leaf; node > 0; node = tree->nodes[node].parent) {
        sum += search_reward(tree, node);
        search_plan_back_up(plan, node, sum / ++count);
    }
    search_plan_back_up(plan, 0, sum / count);
}

static void back_up(const struct search_tree *tree, const struct search_parameters *p, int leaf, const char *ending,
                    int barren, struct search_plan *plan)
{
    int puct = p->value[SELECT] == PUCT;
    search_plan_keep(plan, leaf);
    if (puct)
        for (int node = leaf; node >= 0; node = tree->nodes[node].parent)
            search_plan_back_up(plan, node, barren ? 0 : search_reward(tree, leaf));
    else
        back_up_means(tree, leaf, barren, plan);
    plan->why = search_visit_why(tree, plan, p->value[ITERATIONS], ending, !puct && p->value[Q] == MAX);
}

/* --- the walk ---------------------------------------------------------------------------------------------------- */

static void grow(const struct search_tree *tree, const struct search_parameters *p, int node, struct search_plan *plan)
{
    int propose = p->value[GENERATE] == PROPOSE;
    search_plan_item(plan, propose ? SEARCH_PROPOSE : SEARCH_SAMPLE, &node, 1, propose ? 1 : p->value[N_GENERATE]);
    plan->why = xasprintf("iteration %d of %d: %s from %d", tree->iterations + 1, p->value[ITERATIONS],
                          propose ? "propose" : "sample", node);
}

static int judge(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *nodes,
                 struct search_plan *plan)
{
    return search_judge_choices(tree, p->value[EVALUATE], nodes, p->value[N_EVALUATE], plan);
}

/* PUCT judges what it comes to; a vote is among all its siblings. */
static int judge_one(const struct search_tree *tree, const struct search_parameters *p,
                     const struct search_nodes *siblings, int node, struct search_plan *plan)
{
    if (p->value[EVALUATE] == SEARCH_VOTE - SEARCH_VALUE)
        return judge(tree, p, siblings, plan);
    return judge(tree, p, &(struct search_nodes){.list = &node, .count = 1}, plan);
}

/* Where the visit ends that comes to this node, or NULL: it goes on. */
static const char *ending_of(const struct search_tree *tree, const struct search_parameters *p, int node)
{
    const struct search_node *n = &tree->nodes[node];
    if (n->state == SEARCH_FINAL)
        return search_is_dead_end(tree, node) ? "an end without an answer" : "an answer";
    if (node > 0 && n->depth >= p->value[DEPTH])
        return "the depth limit";
    return node > 0 && p->value[SELECT] == PUCT && !n->visits ? "new" : NULL;
}

/* The child the visit goes on to; -1: there is none, or something is to be judged first, and the plan says what. */
static int step(const struct search_tree *tree, const struct search_parameters *p, int node, struct search_plan *plan)
{
    struct search_nodes children = search_choices(tree, node);
    int uct = p->value[SELECT] == UCT, child = -1;
    if (children.count && !(uct && judge(tree, p, &children, plan)))
        child = choose(tree, p, &children);
    if (child >= 0 && !uct && judge_one(tree, p, &children, child, plan))
        child = -1;
    free(children.list);
    return child;
}

/* Down from the root to the first thing not done yet, or to the end of the visit, which is backed up. The plan stays
 * empty where the root has no legal thought: no visit could find any. */
static void visit(const struct search_tree *tree, const struct search_parameters *p, struct search_plan *plan)
{
    int node = 0;
    const char *ending = NULL;
    while (!ending) {
        if (tree->nodes[node].state == SEARCH_FRONTIER) {
            grow(tree, p, node, plan);
            return;
        }
        int child = step(tree, p, node, plan);
        if (plan->why)
            return;
        if (child < 0)
            break;
        node = child;
        ending = ending_of(tree, p, node);
    }
    if (ending)
        back_up(tree, p, node, ending, 0, plan);
    else if (node > 0)
        back_up(tree, p, node, "a dead end", 1, plan);
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static double path_mean(const struct search_tree *tree, int leaf)
{
    double sum = 0;
    for (int node = leaf; node > 0; node = tree->nodes[node].parent)
        sum += search_reward(tree, node);
    return sum / tree->nodes[leaf].depth;
}

static int choose_path(const struct search_tree *tree, const struct search_nodes *leaves, struct search_plan *plan,
                       struct string *why)
{
    int best = leaves->list[0];
    double next = -1;
    for (int i = 1; i < leaves->count; i++)
        if (path_mean(tree, leaves->list[i]) > path_mean(tree, best))
            best = leaves->list[i];
    for (int i = 0; i < leaves->count; i++)
        if (leaves->list[i] != best)
            next = fmax(next, path_mean(tree, leaves->list[i]));
    search_plan_keep(plan, best);
    if (leaves->count == 1) {
        string_addf(why, "the only answer visited, mean reward %.4g", path_mean(tree, best));
        return best;
    }
    plan->tie = next == path_mean(tree, best);
    string_addf(why, "the path of greatest mean reward, %.4g, of %d answers visited", path_mean(tree, best), leaves->count);
    if (plan->tie)
        string_add(why, ", a tie: the earlier is taken");
    else
        string_addf(why, ", the next %.4g", next);
    return best;
}

/* The rewards on the way to the i-th leaf, without those that an earlier leaf of the same answer has brought it. */
static double edge_weight(const struct search_tree *tree, const struct search_nodes *leaves, int i, unsigned char *seen)
{
    const char *answer = tree->nodes[leaves->list[i]].thought->thought.answer;
    double sum = 0;
    memset(seen, 0, (size_t)tree->count);
    for (int k = 0; k < i; k++)
        if (!strcmp(tree->nodes[leaves->list[k]].thought->thought.answer, answer))
            for (int node = leaves->list[k]; node > 0 && !seen[node]; node = tree->nodes[node].parent)
                seen[node] = 1;
    for (int node = leaves->list[i]; node > 0 && !seen[node]; node = tree->nodes[node].parent)
        sum += search_reward(tree, node);
    return sum;
}

static int choose_edge(const struct search_tree *tree, const struct search_nodes *leaves, struct search_plan *plan,
                       struct string *why)
{
    struct search_ballots ballots = {0};
    unsigned char *seen = xmalloc((size_t)tree->count);
    for (int i = 0; i < leaves->count; i++)
        search_ballots_add(&ballots, tree, leaves->list[i], edge_weight(tree, leaves, i, seen));
    free(seen);
    search_ballots_sort(&ballots);
    search_ballots_decide(&ballots, tree, leaves, plan);
    string_addf(why, "summed rewards %.4g of %.4g (%d of %d answers visited)", ballots.list[0].weight, ballots.weight,
                ballots.list[0].tally.votes, leaves->count);
    if (plan->tie)
        string_add(why, ", a tie broken by log-probability");
    int node = ballots.list[0].tally.node;
    free(ballots.list);
    return node;
}

static void conclude(const struct search_tree *tree, const struct search_parameters *p,
                     const struct search_nodes *leaves, int visited, struct search_plan *plan)
{
    struct string why = {0};
    int node, iterations = tree->iterations;
    if (!visited) { /* cut short before a visit came to one */
        char *chosen;
        node = search_choose(tree, leaves, SEARCH_LAST, 0, plan, &chosen);
        string_addf(&why, "%s, none visited", chosen);
        free(chosen);
    } else {
        node = p->value[ANSWER] == EDGE ? choose_edge(tree, leaves, plan, &why) : choose_path(tree, leaves, plan, &why);
    }
    string_addf(&why, "; %d iteration%s", iterations, iterations == 1 ? "" : "s");
    if (search_decided(tree, plan)) {
        search_plan_free(plan);
        search_plan_done(plan, node, why.text);
        return;
    }
    plan->why = xasprintf("%s: %s", why.text, tree->nodes[node].thought->thought.answer);
    string_free(&why);
}

static void finish(const struct search_tree *tree, const struct search_parameters *p, struct search_plan *plan)
{
    struct search_nodes visited = {0}, all = {0};
    for (int i = 1; i < tree->count; i++) {
        if (!search_has_answer(tree, i))
            continue;
        search_nodes_add(&all, i);
        if (tree->nodes[i].visits)
            search_nodes_add(&visited, i);
    }
    int iterations = tree->iterations;
    if (all.count)
        conclude(tree, p, visited.count ? &visited : &all, visited.count, plan);
    else
        search_plan_done(plan, -1,
                         xasprintf("no answer after %d iteration%s", iterations, iterations == 1 ? "" : "s"));
    free(visited.list);
    free(all.list);
}

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    if (!spent && tree->iterations < p->value[ITERATIONS])
        visit(tree, p, plan);
    if (!plan->why)
        finish(tree, p, plan);
}

const struct search_strategy search_mcts = {.name = "mcts",
                                            .parameters = parameters,
                                            .parameter_count = sizeof parameters / sizeof *parameters,
                                            .temperature = -1,
                                            .next = next,
                                            .terms = terms};
