/* What the tree searches share: the thoughts there are to choose among, what one is worth, and visits, which are
 * decisions that back up what they found, from the leaf to the root. */
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct search_nodes search_choices(const struct search_tree *tree, int node)
{
    struct search_nodes choices = {0};
    for (int child = search_next_child(tree, node, -1); child >= 0; child = search_next_child(tree, node, child)) {
        int left_out = tree->nodes[child].state == SEARCH_ILLEGAL;
        for (int i = 0; i < choices.count && !left_out; i++)
            left_out = !strcmp(search_node_text(tree, choices.list[i]), search_node_text(tree, child));
        if (!left_out)
            search_nodes_add(&choices, child);
    }
    return choices;
}

int search_is_dead_end(const struct search_tree *tree, int node)
{
    const struct search_node *n = &tree->nodes[node];
    return n->state == SEARCH_ILLEGAL || (n->state == SEARCH_FINAL && !n->thought->thought.answer);
}

double search_reward(const struct search_tree *tree, int node)
{
    if (search_is_dead_end(tree, node))
        return 0;
    const struct search_node *judged = &tree->nodes[search_original(tree, node)];
    double reward = isnan(judged->reward) ? judged->value : judged->reward;
    return isnan(reward) ? 1 : fmin(fmax(reward, 0), 1);
}

int search_judge_choices(const struct search_tree *tree, int judge, const struct search_nodes *choices, int samples,
                         struct search_plan *plan)
{
    struct search_nodes alive = {0};
    for (int i = 0; i < choices->count; i++)
        if (!search_is_dead_end(tree, choices->list[i]))
            search_nodes_add(&alive, choices->list[i]);
    int items = search_judge(tree, judge, &alive, samples, plan);
    free(alive.list);
    return items;
}

/* --- visits ------------------------------------------------------------------------------------------------------ */

static void add_path(struct string *out, const struct search_tree *tree, int node)
{
    if (tree->nodes[node].parent > 0) {
        add_path(out, tree, tree->nodes[node].parent);
        string_add(out, " > ");
    }
    string_addf(out, "%d", node);
}

char *search_visit_why(const struct search_tree *tree, const struct search_plan *visit, int of, const char *ending,
                       int greatest)
{
    struct string why = {0};
    int count = visit->backup_count;
    string_addf(&why, "iteration %d of %d: thought%s ", tree->iterations + 1, of, tree->nodes[visit->backups[0].node].parent > 0 ? "s" : "");
    add_path(&why, tree, visit->backups[0].node);
    string_addf(&why, ", %s, reward %.4g", ending, visit->backups[count - 1].reward);
    if (count < 2) /* the root's alone */
        return why.text;
    const struct search_backup *top = &visit->backups[count - 2];
    const struct search_node *n = &tree->nodes[top->node];
    double q = greatest ? n->visits ? fmax(n->reward_best, top->reward) : top->reward
                        : (n->reward_sum + top->reward) / (n->visits + 1);
    string_addf(&why, "; Q of %d now %.4g after %d visit%s", top->node, q, n->visits + 1, n->visits ? "s" : "");
    return why.text;
}
