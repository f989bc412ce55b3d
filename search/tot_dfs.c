/* Tree of Thoughts, depth first (Yao et al. 2023): grow a state, judge its thoughts, go on with the best; where nothing
 * is left to go on with, go back to the next best of the state above. A thought that any judge called by the label of
 * least weight ("impossible") is not gone on with.
 *
 * The search is walked anew from the root each time, in the order in which it went, to the first thing not done yet. */
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHILDREN, LIMIT, GENERATE, EVALUATE, FIRST, N_GENERATE, N_EVALUATE };
enum { PROPOSE, SAMPLE }; /* generate */
enum { YES, NO };         /* first */
static const struct search_parameter parameters[] = {
    [CHILDREN] = {.name = "children", .standard = 3, .least = 1, .most = 1000},
    [LIMIT] = {.name = "limit", .standard = 100, .least = 1, .most = 100000},
    [GENERATE] = {.name = "generate", .choices = "propose|sample", .most = 1, .prompts = 2},
    [EVALUATE] = SEARCH_EVALUATE,
    [FIRST] = {.name = "first", .choices = "1|0", .most = 1},
    [N_GENERATE] = {.name = "n_generate_sample", .aliases = "n_generate k", .standard = 5, .least = 1, .most = 1000},
    [N_EVALUATE] = {.name = "n_evaluate_sample", .aliases = "n_evaluate", .standard = 3, .least = 1, .most = 1000},
};

struct walk {
    const struct search_tree *tree;
    const struct search_parameters *p;
    struct search_plan *plan;
    int spent, grown;            /* states grown so far */
    struct search_nodes answers; /* come to, in this order */
};

/* --- the thoughts of a state ------------------------------------------------------------------------------------- */

static double value_of(const struct search_tree *tree, int node)
{
    return search_path_score(tree, node, SEARCH_LAST);
}

static int is_impossible(const struct walk *w, int node)
{
    const struct search_event *judgement = w->tree->nodes[search_original(w->tree, node)].judgement;
    if (judgement && judgement->judgement.purpose > SEARCH_VOTE)
        return value_of(w->tree, node) <= 0;
    for (int i = 0; w->p->worst && judgement && i < judgement->judgement.samples; i++)
        if (judgement->judgement.labels && judgement->judgement.labels[i] &&
            !strcmp(judgement->judgement.labels[i], w->p->worst))
            return 1;
    return 0;
}

/* Legal, not a dead end, and not reading like an earlier one. */
static struct search_nodes thoughts_of(const struct search_tree *tree, int node)
{
    struct search_nodes thoughts = {0};
    for (int child = search_next_child(tree, node, -1); child >= 0; child = search_next_child(tree, node, child)) {
        int left_out = tree->nodes[child].state == SEARCH_ILLEGAL ||
                       (tree->nodes[child].state == SEARCH_FINAL && !search_has_answer(tree, child));
        for (int i = 0; i < thoughts.count && !left_out; i++)
            left_out = !strcmp(search_node_text(tree, thoughts.list[i]), search_node_text(tree, child));
        if (!left_out)
            search_nodes_add(&thoughts, child);
    }
    return thoughts;
}

/* Those to try, best first, the earlier of equals; *impossible: how many of the thoughts are not for that. */
static struct search_nodes thoughts_to_try(const struct walk *w, const struct search_nodes *thoughts, int *impossible)
{
    struct search_nodes out = {0};
    *impossible = 0;
    for (int i = 0; i < thoughts->count; i++)
        *impossible += is_impossible(w, thoughts->list[i]);
    while (out.count < w->p->value[CHILDREN] && out.count < thoughts->count - *impossible) {
        int best = -1;
        for (int i = 0; i < thoughts->count; i++) {
            int node = thoughts->list[i];
            if (is_impossible(w, node) || search_nodes_hold(&out, node))
                continue;
            if (best < 0 || search_is_better(value_of(w->tree, node), value_of(w->tree, best)))
                best = node;
        }
        search_nodes_add(&out, best);
    }
    return out;
}

/* --- the walk ---------------------------------------------------------------------------------------------------- */

/* Keep the node, and say so, unless that was the latest decision: then it is what to grow, or the answer. */
static int already_kept(struct walk *w, int node)
{
    search_plan_keep(w->plan, node);
    if (!search_decided(w->tree, w->plan))
        return 0;
    search_plan_free(w->plan);
    return 1;
}

static void grow(struct walk *w, int node)
{
    int propose = w->p->value[GENERATE] == PROPOSE;
    search_plan_item(w->plan, propose ? SEARCH_PROPOSE : SEARCH_SAMPLE, &node, 1,
                     propose ? 1 : w->p->value[N_GENERATE]);
    w->plan->why =
        xasprintf("%s from state %d of at most %d", propose ? "propose" : "sample", w->grown + 1, w->p->value[LIMIT]);
}

/* Why the i-th of the thoughts to try is next. */
static char *why_next(const struct walk *w, const struct search_nodes *try, int i, int impossible)
{
    struct string why = {0};
    if (w->tree->nodes[try->list[i]].state == SEARCH_FINAL)
        string_addf(&why, "an answer after %d states grown, thought %d of %d", w->grown, i + 1, try->count);
    else
        string_addf(&why, i ? "back at depth %d: thought %d of %d" : "on at depth %d: thought %d of %d",
                    w->tree->nodes[try->list[i]].depth, i + 1, try->count);
    if (!isnan(value_of(w->tree, try->list[i])))
        string_addf(&why, ", of value %.4g", value_of(w->tree, try->list[i]));
    if (impossible)
        string_addf(&why, "; %d %s", impossible, w->p->worst ? w->p->worst : "impossible");
    return why.text;
}

/* Something is to be done now: the plan has its why. */
static void visit_thoughts(struct walk *w, int node);
static void visit(struct walk *w, const struct search_nodes *try, int i, int impossible)
{
    int node = try->list[i];
    enum search_state state = w->tree->nodes[node].state;
    int grows = state == SEARCH_FRONTIER && !w->spent && w->grown < w->p->value[LIMIT];
    if (state == SEARCH_FINAL)
        search_nodes_add(&w->answers, node);
    if ((grows || (state == SEARCH_FINAL && w->p->value[FIRST] == YES)) && !already_kept(w, node))
        w->plan->why = why_next(w, try, i, impossible);
    else if (grows)
        grow(w, node);
    else if (state != SEARCH_FINAL && state != SEARCH_FRONTIER)
        visit_thoughts(w, node);
}

static void visit_thoughts(struct walk *w, int node)
{
    struct search_nodes thoughts = thoughts_of(w->tree, node);
    if (w->spent || !search_judge(w->tree, w->p->value[EVALUATE], &thoughts, w->p->value[N_EVALUATE], w->plan)) {
        int impossible, ended = 0;
        struct search_nodes try = thoughts_to_try(w, &thoughts, &impossible);
        for (int i = 0; i < try.count && !ended; i++) {
            visit(w, &try, i, impossible);
            ended = w->plan->why || (w->answers.count && w->p->value[FIRST] == YES);
        }
        free(try.list);
    }
    free(thoughts.list);
}

static void finish(struct walk *w)
{
    if (!w->answers.count) {
        search_plan_done(w->plan, -1,
                         xasprintf("no answer after %d state%s grown%s", w->grown, w->grown == 1 ? "" : "s",
                                   w->grown >= w->p->value[LIMIT] ? ", the limit" : ""));
        return;
    }
    char *best;
    int node = search_choose(w->tree, &w->answers, SEARCH_LAST, 0, w->plan, &best);
    search_plan_free(w->plan);
    search_plan_done(w->plan, node, xasprintf("%s; %d state%s grown", best, w->grown, w->grown == 1 ? "" : "s"));
    free(best);
}

static void next(const struct search_tree *tree, const struct search_parameters *p, int spent, struct search_plan *plan)
{
    struct walk w = {.tree = tree, .p = p, .plan = plan, .spent = spent, .grown = tree->grown};
    if (tree->nodes[0].state == SEARCH_FRONTIER && !spent)
        grow(&w, 0);
    else
        visit_thoughts(&w, 0);
    if (!plan->why)
        finish(&w);
    free(w.answers.list);
}

const struct search_strategy search_tot_dfs = {.name = "tot-dfs",
                                               .parameters = parameters,
                                               .parameter_count = sizeof parameters / sizeof *parameters,
                                               .temperature = -1,
                                               .next = next};
