/* AB-MCTS-A (Inoue et al. 2025, as their TreeQuest does it): a tree search that is not told how wide to grow. An
 * iteration goes down from the root. At each node a mean reward is drawn for GEN, a new child, and for CONT, the children
 * there are, taken together. When GEN's is the greater, one thought is sampled here; else a mean is drawn for each
 * child, and the greatest is gone down to. The new thought is judged, and its reward backed up.
 *
 * What each draw goes by:
 *
 *   GEN    the own rewards of the children, each once; 0 for each time that nothing was written
 *   CONT   the rewards of all that came below the children
 *   child  its own reward, and those of all that came below it: the fold's N, and its sums
 *
 * Illegal thoughts, ends without an answer and copies tell GEN what it is worth, and are not gone down to; nor are answers and what
 * is as deep as may be. Where there is nothing to go down to a child is made. */
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>

enum { ITERATIONS, DEPTH, PRIOR, EVALUATE, N_EVALUATE };
static const struct search_parameter parameters[] = {
    [ITERATIONS] = {.name = "iterations", .standard = 16, .least = 1, .most = 100000},
    [DEPTH] = {.name = "depth", .standard = 5, .least = 1, .most = 1000},
    [PRIOR] = {.name = "prior", .choices = "gaussian|beta", .most = 1},
    [EVALUATE] = SEARCH_EVALUATE,
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

/* --- what was seen ----------------------------------------------------------------------------------------------- */

static void see(struct search_seen *seen, double reward)
{
    seen->count++;
    seen->sum += reward;
    seen->squares += reward * reward;
}

static struct search_seen seen_at(const struct search_tree *tree, int node)
{
    const struct search_node *n = &tree->nodes[node];
    return (struct search_seen){n->visits, n->reward_sum, n->reward_squares};
}

/* Of the visits in force that ended at or below the node, which were by a new child of its own, and which further down.
 * A second visit that ends at the same node, or one at the root, is one that wrote nothing there. */
static void see_children(const struct search_tree *tree, int node, struct search_seen *gen, struct search_seen *cont)
{
    unsigned char *made = xcalloc((size_t)tree->count, 1);
    made[0] = 1;
    *gen = *cont = (struct search_seen){0};
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *event = tree->events[i];
        if (event->kind != SEARCH_EVENT_DECISION || tree->out[i] || !event->decision.backup_count)
            continue;
        const struct search_backup *b = event->decision.backups;
        if (search_tree_is_pruned(tree, b->node))
            continue;
        int by = made[b->node] ? b->node : tree->nodes[b->node].parent;
        made[b->node] = 1;
        if (by == node)
            see(gen, b->reward);
        else
            for (; by > 0; by = tree->nodes[by].parent)
                if (tree->nodes[by].parent == node)
                    see(cont, b->reward);
    }
    free(made);
}

/* --- draws ------------------------------------------------------------------------------------------------------- */

/* Requests have a purpose in the second place, below these. */
enum { CHILD = 32, GEN, CONT };

static double draw(const struct search_tree *tree, const struct search_parameters *p, const struct search_seen *seen,
                   int what, int node)
{
    struct search_posterior posterior = search_posterior_of(p->value[PRIOR], seen);
    uint64_t stream = random_stream((uint64_t)tree->iterations, (uint64_t)what, (uint64_t)node);
    return search_posterior_draw(&posterior, tree->session->session.seed, stream);
}

static double draw_child(const struct search_tree *tree, const struct search_parameters *p, int node)
{
    struct search_seen seen = seen_at(tree, node);
    return draw(tree, p, &seen, CHILD, node);
}

static int can_go_to(const struct search_tree *tree, const struct search_parameters *p, int node)
{
    const struct search_node *n = &tree->nodes[node];
    return n->visits && n->state != SEARCH_FINAL && n->depth < p->value[DEPTH];
}

static struct search_nodes arms_of(const struct search_tree *tree, const struct search_parameters *p, int node)
{
    struct search_nodes choices = search_choices(tree, node), arms = {0};
    for (int i = 0; i < choices.count; i++)
        if (can_go_to(tree, p, choices.list[i]))
            search_nodes_add(&arms, choices.list[i]);
    free(choices.list);
    return arms;
}

static int terms(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *choices, int node,
                 struct search_terms *out)
{
    if (!search_nodes_hold(choices, node) || !can_go_to(tree, p, node))
        return 0;
    const struct search_node *n = &tree->nodes[node];
    struct search_seen seen = seen_at(tree, node);
    *out = (struct search_terms){.there = 1, .visits = n->visits, .q = n->reward_sum / n->visits, .total = draw_child(tree, p, node), .form = SEARCH_THOMPSON};
    out->posterior = search_posterior_of(p->value[PRIOR], &seen);
    out->u = out->total - out->q;
    return 1;
}

/* --- the walk ---------------------------------------------------------------------------------------------------- */

/* The child to go down to, or -1: a new one is made. Adds to why. */
static int choose(const struct search_tree *tree, const struct search_parameters *p, int node, struct string *why)
{
    struct search_nodes arms = arms_of(tree, p, node);
    struct search_seen seen_gen, seen_cont;
    int best = -1;
    double most = 0;
    if (!arms.count) {
        string_addf(why, "a new thought at %d", node);
        return -1;
    }
    see_children(tree, node, &seen_gen, &seen_cont);
    double gen = draw(tree, p, &seen_gen, GEN, node), cont = draw(tree, p, &seen_cont, CONT, node);
    for (int i = 0; i < arms.count && cont > gen; i++) {
        double drawn = draw_child(tree, p, arms.list[i]);
        if (best < 0 || drawn > most) {
            best = arms.list[i];
            most = drawn;
        }
    }
    if (best < 0)
        string_addf(why, "a new thought at %d (GEN %.4g, CONT %.4g)", node, gen, cont);
    else
        string_addf(why, "on to %d (GEN %.4g, CONT %.4g; %.4g of %d), ", best, gen, cont, most, arms.count);
    free(arms.list);
    return best;
}

static void go_down(const struct search_tree *tree, const struct search_parameters *p, struct search_plan *plan)
{
    struct string why = {0};
    int node = 0;
    string_addf(&why, "iteration %d of %d: ", tree->iterations + 1, p->value[ITERATIONS]);
    for (int child = 0; child >= 0; child = choose(tree, p, node, &why))
        node = child;
    search_plan_item(plan, SEARCH_SAMPLE, &node, 1, 1);
    plan->why = why.text;
}

/* --- visits ------------------------------------------------------------------------------------------------------ */

static void back_up(const struct search_tree *tree, const struct search_parameters *p, int leaf, double reward,
                    const char *ending, struct search_plan *plan)
{
    if (leaf > 0 && !search_is_dead_end(tree, leaf))
        search_plan_keep(plan, leaf);
    for (int node = leaf; node >= 0; node = tree->nodes[node].parent)
        search_plan_back_up(plan, node, reward);
    plan->why = search_visit_why(tree, plan, p->value[ITERATIONS], ending, 0);
}

/* The first thought that no visit has ended at. */
static int new_thought(const struct search_tree *tree)
{
    for (int i = 1; i < tree->count; i++)
        if (!tree->nodes[i].visits && !search_tree_is_pruned(tree, i))
            return i;
    return -1;
}

static int judge(const struct search_tree *tree, const struct search_parameters *p, int node, struct search_plan *plan)
{
    if (search_is_dead_end(tree, node))
        return 0;
    struct search_nodes all = search_choices(tree, tree->nodes[node].parent), one = {.list = &node, .count = 1};
    int vote = p->value[EVALUATE] == SEARCH_VOTE - SEARCH_VALUE;
    int items = search_judge_choices(tree, p->value[EVALUATE], vote ? &all : &one, p->value[N_EVALUATE], plan);
    free(all.list);
    return items;
}

static void visit(const struct search_tree *tree, const struct search_parameters *p, int node, struct search_plan *plan)
{
    if (judge(tree, p, node, plan))
        return;
    struct string ending = {0};
    enum search_state state = tree->nodes[node].state;
    int original = search_original(tree, node);
    string_add(&ending, state == SEARCH_ILLEGAL             ? "illegal"
                        : search_is_dead_end(tree, node)    ? "an end without an answer"
                        : state == SEARCH_FINAL             ? "an answer"
                                                            : "a new thought");
    if (original != node && state != SEARCH_ILLEGAL)
        string_addf(&ending, " that reads like %d", original);
    back_up(tree, p, node, search_reward(tree, node), ending.text, plan);
    string_free(&ending);
}

/* Where the latest plan was to make a thought and nothing was written, which no visit has told yet; -1. */
static int fruitless(const struct search_tree *tree)
{
    const struct search_event *plan = tree->latest_plan, *decision = tree->latest_decision;
    if (!plan || plan->plan.ask || plan->plan.count != 1 || plan->plan.items[0].purpose != SEARCH_SAMPLE ||
        (decision && decision->number > plan->number))
        return -1;
    int node = plan->plan.items[0].nodes[0], last = tree->nodes[node].last_child;
    int wrote = last >= 0 && tree->nodes[last].thought->number > plan->number;
    return wrote || tree->nodes[node].state != SEARCH_EXPANDED || search_tree_is_pruned(tree, node) ? -1 : node;
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static void finish(const struct search_tree *tree, struct search_plan *plan)
{
    struct search_nodes answers = {0};
    int iterations = tree->iterations;
    const char *s = iterations == 1 ? "" : "s";
    for (int i = 1; i < tree->count; i++)
        if (search_has_answer(tree, i))
            search_nodes_add(&answers, i);
    if (!answers.count) {
        search_plan_done(plan, -1, xasprintf("no answer after %d iteration%s", iterations, s));
        return;
    }
    char *chosen;
    int node = search_choose(tree, &answers, SEARCH_LAST, 0, plan, &chosen);
    free(answers.list);
    if (search_decided(tree, plan)) {
        search_plan_free(plan);
        search_plan_done(plan, node, xasprintf("%s; %d iteration%s", chosen, iterations, s));
    } else {
        plan->why = xasprintf("%s; %d iteration%s: %s", chosen, iterations, s, tree->nodes[node].thought->thought.answer);
    }
    free(chosen);
}

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    if (spent || tree->iterations >= p->value[ITERATIONS]) {
        finish(tree, plan);
        return;
    }
    int made = new_thought(tree), nothing = made < 0 ? fruitless(tree) : -1;
    if (made >= 0)
        visit(tree, p, made, plan);
    else if (nothing >= 0)
        back_up(tree, p, nothing, 0, "nothing was written", plan);
    else
        go_down(tree, p, plan);
}

const struct search_strategy search_ab_mcts = {.name = "ab-mcts",
                                               .parameters = parameters,
                                               .parameter_count = sizeof parameters / sizeof *parameters,
                                               .samples = 1,
                                               .temperature = -1,
                                               .next = next,
                                               .terms = terms};
