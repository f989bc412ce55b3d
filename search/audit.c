/* Where a search lost the answer, level by level, by the oracle's marks.
 *
 * The definition. A node is alive when every step of its path is exactly legal (operands there, exact rational result, numbers left
 * exactly right, nothing after it; a rounded decimal is illegal) and the target can still be reached from what is left, or it is a right answer.
 * A level is a depth. Something alive was *generated* there when a node of that depth is alive; it was *selected* when one of these was gone on
 * with: kept by a decision, grown, or never up for one. An answer found early stays alive at the levels below. A search is
 * *right* when one of the answers kept at the end is, by the answer alone: an illegal path that ends in a right answer is right, not alive.
 *
 * The cause of a loss is that of the first level at which nothing alive was generated or selected.
 */
#include "search/oracle.h"

#include "search/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *search_cause_name(enum search_cause cause)
{
    static const char *const names[] = {"right",      "never generated", "illegal step", "misjudged",
                                        "unselected", "pruned",          "unfinished",   "unsolvable"};
    return names[cause];
}

struct audit {
    struct search_oracle *oracle;
    const struct search_tree *tree;
    char *alive;             /* by node */
    char *on;                /* by node: gone on with */
    struct search_audit *out;
};

static const struct search_event *thought_of(const struct audit *a, int node)
{
    return a->tree->nodes[node].thought;
}

/* The first decision made after the node was there, or NULL. */
static const struct search_event *decision_after(const struct search_tree *tree, int node)
{
    for (int64_t i = tree->nodes[node].thought->number; i < tree->event_count; i++)
        if (tree->events[i]->kind == SEARCH_EVENT_DECISION && tree->events[i]->number > tree->nodes[node].thought->number)
            return tree->events[i];
    return NULL;
}

static int is_right(const struct audit *a, int node)
{
    return node > 0 && thought_of(a, node)->thought.answer && thought_of(a, node)->thought.correct == 1;
}

/* How a candidate counts in a choice: as the strategies see it, not judged is worth nothing. */
static double value_of(const struct search_tree *tree, int node)
{
    return isnan(tree->nodes[node].value) ? 0 : tree->nodes[node].value;
}

static int cut_off(const struct audit *a, int node)
{
    return search_tree_is_pruned(a->tree, node);
}

/* --- where it was lost ------------------------------------------------------------------------------------------- */

static void lose(struct audit *a, enum search_cause cause, int level, int node)
{
    a->out->cause = cause;
    a->out->level = level;
    a->out->node = node;
}

/* These were alive, and none was kept by the decision: were they valued below all that was kept? */
static void lose_choice(struct audit *a, int level, const int *nodes, int count, const struct search_event *decision)
{
    int best = -1;
    for (int i = 0; i < count; i++)
        if (!cut_off(a, nodes[i]) && (best < 0 || value_of(a->tree, nodes[i]) > value_of(a->tree, best)))
            best = nodes[i];
    if (best < 0) {
        lose(a, SEARCH_CAUSE_PRUNED, level, nodes[0]);
        return;
    }
    double least = INFINITY;
    for (int i = 0; decision && i < decision->decision.kept_count; i++)
        least = fmin(least, value_of(a->tree, decision->decision.kept[i]));
    int below = isfinite(least) && value_of(a->tree, best) < least;
    lose(a, below ? SEARCH_CAUSE_MISJUDGED : SEARCH_CAUSE_UNSELECTED, level, best);
}

/* An illegal child whose operation would have left numbers that still reach the target, or -1. */
static int well_meant(const struct audit *a, int parent)
{
    const char *state, *target;
    if (!search_oracle_problem(a->tree, &state, &target))
        return -1;
    if (parent > 0)
        state = thought_of(a, parent)->thought.state;
    for (int child = a->tree->nodes[parent].first_child; child >= 0 && state; child = a->tree->nodes[child].next_sibling) {
        if (!thought_of(a, child)->thought.illegal)
            continue;
        char *after = search_step_meant(state, thought_of(a, child)->thought.text);
        int found = after && search_oracle_ask(a->oracle, after, target) == SEARCH_MARK_ALIVE;
        free(after);
        if (found)
            return child;
    }
    return -1;
}

/* Nothing alive stands at this level, though these above it were alive and gone on with. */
static void lose_generation(struct audit *a, int level, const int *nodes, int count)
{
    int illegal = -1, growing = -1, standing = 0;
    for (int i = 0; i < count; i++) {
        const struct search_node *node = &a->tree->nodes[nodes[i]];
        if (cut_off(a, nodes[i]))
            continue;
        standing++;
        if (!node->children && (node->state == SEARCH_FRONTIER || node->state == SEARCH_EXPANDING)) {
            /* Left behind by a later decision, it had its turn. */
            int kept = a->tree->latest_decision == NULL;
            for (int k = 0; k < a->tree->kept_count; k++)
                kept |= a->tree->kept[k] == nodes[i];
            if (kept)
                growing = nodes[i];
        } else if (illegal < 0) {
            illegal = well_meant(a, nodes[i]);
        }
    }
    if (!standing)
        lose(a, SEARCH_CAUSE_PRUNED, level - 1, nodes[0]);
    else if (growing >= 0)
        lose(a, SEARCH_CAUSE_UNFINISHED, level, growing);
    else
        lose(a, illegal >= 0 ? SEARCH_CAUSE_ILLEGAL_STEP : SEARCH_CAUSE_NEVER_GENERATED, level, illegal);
}

/* --- level by level ---------------------------------------------------------------------------------------------- */

static void mark_nodes(struct audit *a, int most)
{
    const struct search_event *latest = a->tree->latest_decision;
    for (int node = 0; node < a->tree->count; node++) {
        const struct search_node *n = &a->tree->nodes[node];
        a->alive[node] = search_oracle_mark(a->oracle, a->tree, node) == SEARCH_MARK_ALIVE;
        a->on[node] = !node || n->kept >= 0 || n->children || !latest || latest->number < n->thought->number;
        if (n->depth > a->out->levels && n->depth <= most) /* whatever goes on below that is not legal */
            a->out->levels = n->depth;
    }
}

/* The alive nodes of a depth, those gone on with or (on == 0) all. */
static int alive_at(const struct audit *a, int depth, int on, int *list)
{
    int count = 0;
    for (int node = 0; node < a->tree->count; node++)
        if (a->tree->nodes[node].depth == depth && a->alive[node] && (!on || a->on[node]))
            list[count++] = node;
    return count;
}

static void count_right(struct audit *a)
{
    const struct search_tree *tree = a->tree;
    int chosen = tree->latest_decision != NULL;
    for (int i = 0; i < (chosen ? tree->kept_count : tree->count); i++) {
        int node = chosen ? tree->kept[i] : i;
        if (!is_right(a, node) || cut_off(a, node))
            continue;
        a->out->right = 1;
        a->out->right_alive |= a->alive[node];
    }
    if (tree->result && (chosen || tree->result->result.node >= 0))
        a->out->right_first = tree->result->result.correct == 1;
    if (a->out->right_first == 1 && !a->out->right) {
        a->out->right = 1;
        a->out->right_alive = tree->result->result.node > 0 && a->alive[tree->result->result.node];
    }
}

/* All levels, and the first at which the answer was lost. */
static void walk(struct audit *a)
{
    size_t n = (size_t)a->tree->count;
    int *before = xcalloc(n, sizeof *before), *here = xcalloc(n, sizeof *here), *carried = xcalloc(n, sizeof *carried);
    int before_count = 1, carried_count = 0; /* before: the root; carried: right answers gone on with */
    for (int level = 1; level <= a->out->levels + 1; level++) {
        int count = alive_at(a, level, 0, here);
        if (!count && !carried_count) {
            lose_generation(a, level, before, before_count);
            break;
        }
        if (level <= a->out->levels)
            a->out->generated[level] = 1;
        int on = alive_at(a, level, 1, before);
        if (!on && !carried_count) {
            lose_choice(a, level, here, count, decision_after(a->tree, here[0]));
            break;
        }
        if (level <= a->out->levels)
            a->out->selected[level] = 1;
        before_count = on;
        for (int i = 0; i < on; i++)
            if (is_right(a, before[i]))
                carried[carried_count++] = before[i];
        if (level > a->out->levels) /* a right answer was kept once, and is not among those kept at the end */
            lose_choice(a, level - 1, carried, carried_count, a->tree->latest_decision);
    }
    free(before);
    free(here);
    free(carried);
}

void search_audit_tree(struct search_oracle *oracle, const struct search_tree *tree, struct search_audit *out)
{
    const char *numbers, *target;
    int count = search_oracle_problem(tree, &numbers, &target);
    *out = (struct search_audit){.node = -1, .right_first = -1};
    if (!count)
        return;
    out->known = 1;
    struct audit a = {.oracle = oracle, .tree = tree, .out = out};
    a.alive = xcalloc((size_t)tree->count, 1);
    a.on = xcalloc((size_t)tree->count, 1);
    mark_nodes(&a, count); /* one step less than there are numbers, and an answer line */
    count_right(&a);
    if (a.alive[0])
        walk(&a);
    else
        lose(&a, SEARCH_CAUSE_UNSOLVABLE, 0, 0);
    if (out->right)
        lose(&a, SEARCH_CAUSE_RIGHT, 0, -1);
    free(a.alive);
    free(a.on);
}
