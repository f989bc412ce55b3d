/* The tree as the fold of its events. Every event is folded in constant time, but for the counts of ancestors (a walk
 * to the root) and tombstones (the items of the plan in progress are looked at again). */
#include "search/event.h"

#include <math.h>
#include <stdlib.h>

static int in_tree(const struct search_tree *tree, int node)
{
    return node >= 0 && node < tree->count;
}

int search_tree_is_pruned(const struct search_tree *tree, int node)
{
    for (; in_tree(tree, node); node = tree->nodes[node].parent)
        if (tree->nodes[node].pruned)
            return 1;
    return 0;
}

const char *search_node_text(const struct search_tree *tree, int node)
{
    if (!in_tree(tree, node))
        return "";
    const struct search_event *thought = tree->nodes[node].thought;
    if (thought)
        return thought->thought.text;
    return tree->session ? tree->session->session.problem : "";
}

/* Numbers are indexes unless events were left out (a fold without the undone): then the event stands a little before.
 */
static struct search_event *find_event(const struct search_tree *tree, int64_t number)
{
    int64_t i = number < tree->event_count ? number : tree->event_count - 1;
    while (i >= 0 && tree->events[i]->number > number)
        i--;
    return i >= 0 && tree->events[i]->number == number ? tree->events[i] : NULL;
}

/* --- the items of the plan in progress --------------------------------------------------------------------------- */

int search_item_grows(const struct search_item *item)
{
    return item->purpose == SEARCH_SAMPLE || item->purpose == SEARCH_PROPOSE;
}

static int item_complete(const struct search_tree *tree, const struct search_item *items, int i)
{
    return tree->done[i] >= items[i].samples + !search_item_grows(&items[i]);
}

/* An item is dropped when all it is about is pruned: a vote goes on among the candidates that are left. */
static int item_pruned(const struct search_tree *tree, const struct search_item *item)
{
    for (int i = 0; i < item->count; i++)
        if (!search_tree_is_pruned(tree, item->nodes[i]))
            return 0;
    return 1;
}

int search_item_open(const struct search_tree *tree, int i)
{
    const struct search_item *items = tree->latest_plan->plan.items;
    return !item_complete(tree, items, i) && !item_pruned(tree, &items[i]);
}

/* Which items are open depends on the tombstones that stand now, not on when they were set: undo gives back what prune
 * dropped. */
static void count_open(struct search_tree *tree)
{
    tree->items_open = 0;
    for (int i = 0; i < tree->done_count; i++)
        tree->items_open += search_item_open(tree, i);
    tree->step_open = tree->items_open > 0;
}

static void set_done(struct search_tree *tree, int i, int done)
{
    if (i < 0 || i >= tree->done_count)
        return;
    const struct search_item *item = &tree->latest_plan->plan.items[i];
    tree->done[i] = done;
    if (!item_complete(tree, tree->latest_plan->plan.items, i))
        return;
    if (search_item_grows(item))
        tree->nodes[item->nodes[0]].state = SEARCH_EXPANDED;
    if (!item_pruned(tree, item))
        tree->items_open--;
    tree->step_open = tree->items_open > 0;
}

/* What the plan did not come to (pruned, or the budget was spent) is as before, unless it had begun. */
static void close_plan(struct search_tree *tree)
{
    for (int i = 0; i < tree->done_count; i++) {
        const struct search_item *item = &tree->latest_plan->plan.items[i];
        if (search_item_grows(item) && tree->nodes[item->nodes[0]].state == SEARCH_EXPANDING)
            tree->nodes[item->nodes[0]].state =
                tree->done[i] || tree->nodes[item->nodes[0]].children ? SEARCH_EXPANDED : SEARCH_FRONTIER;
    }
    tree->done_count = tree->items_open = tree->step_open = 0;
}

static void open_plan(struct search_tree *tree, const struct search_event *event)
{
    close_plan(tree);
    tree->latest_plan = event;
    tree->steps++;
    for (int i = 0; i < event->plan.count; i++) {
        const struct search_item *item = &event->plan.items[i];
        ARRAY_RESERVE(tree->done, i, tree->done_capacity);
        tree->done[i] = 0;
        if (search_item_grows(item))
            tree->nodes[item->nodes[0]].state = SEARCH_EXPANDING;
    }
    tree->done_count = event->plan.count;
    count_open(tree);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static void add_node(struct search_tree *tree, int parent, const struct search_event *thought)
{
    int id = tree->count;
    ARRAY_RESERVE(tree->nodes, tree->count, tree->capacity);
    struct search_node *node = &tree->nodes[tree->count++];
    *node = (struct search_node){
        .parent = parent,
        .first_child = -1,
        .last_child = -1,
        .next_sibling = -1,
        .kept = -1,
        .value = NAN,
        .thought = thought,
    };
    if (parent < 0)
        return;
    struct search_node *above = &tree->nodes[parent];
    node->depth = above->depth + 1;
    if (above->last_child < 0)
        above->first_child = id;
    else
        tree->nodes[above->last_child].next_sibling = id;
    above->last_child = id;
    above->children++;
    for (int a = parent; a >= 0; a = tree->nodes[a].parent)
        tree->nodes[a].descendants++;
}

static void add_thought(struct search_tree *tree, const struct search_event *event)
{
    if (!in_tree(tree, event->thought.parent) || event->thought.node != tree->count)
        return;
    add_node(tree, event->thought.parent, event);
    struct search_node *node = &tree->nodes[event->thought.node];
    node->state = event->thought.illegal ? SEARCH_ILLEGAL : event->thought.final ? SEARCH_FINAL : SEARCH_FRONTIER;
    tree->illegal += event->thought.illegal != 0;
    node->completion = find_event(tree, event->thought.completion);
    if (!node->completion)
        return;
    node->tokens = event->thought.count;
    for (int i = event->thought.first; i < event->thought.first + event->thought.count; i++)
        node->logprob += node->completion->completion.tokens[i].logprob;
}

static void keep_nodes(struct search_tree *tree, const int *nodes, int count, int step)
{
    tree->kept = xrealloc(tree->kept, (size_t)(count > 0 ? count : 1) * sizeof *tree->kept);
    tree->kept_count = count;
    for (int i = 0; i < count; i++) {
        tree->kept[i] = nodes[i];
        if (step >= 0)
            tree->nodes[nodes[i]].kept = step;
    }
}

static void set_result(struct search_tree *tree, const struct search_event *event)
{
    for (int i = 0; i < tree->count; i++)
        tree->nodes[i].on_best_path = 0;
    for (int node = event->result.node; in_tree(tree, node); node = tree->nodes[node].parent)
        tree->nodes[node].on_best_path = 1;
    tree->result = event;
}

/* --- tombstones -------------------------------------------------------------------------------------------------- */

static void prune(struct search_tree *tree, const struct search_event *event)
{
    ARRAY_RESERVE(tree->undo, tree->undo_count, tree->undo_capacity);
    tree->undo[tree->undo_count++] = event->number;
    tree->redo_count = 0;
    tree->nodes[event->prune.node].pruned = 1;
}

static void set_tombstone(struct search_tree *tree, int64_t target, int standing)
{
    tree->nodes[find_event(tree, target)->prune.node].pruned = standing;
    tree->undo_count += standing ? 1 : -1;
    tree->redo_count += standing ? -1 : 1;
}

/* --- folding ----------------------------------------------------------------------------------------------------- */

static void add_usage(struct search_usage *sum, const struct search_usage *u)
{
    sum->prompt += u->prompt;
    sum->cached += u->cached;
    sum->completion += u->completion;
    sum->flops += u->flops;
}

void search_tree_fold(struct search_tree *tree, struct search_event *event)
{
    ARRAY_RESERVE(tree->events, tree->event_count, tree->event_capacity);
    tree->events[tree->event_count++] = search_event_keep(event);
    switch (event->kind) {
    case SEARCH_EVENT_SESSION:
        tree->session = event;
        add_node(tree, -1, NULL);
        keep_nodes(tree, (int[]){0}, 1, -1);
        break;
    case SEARCH_EVENT_PLAN:
        open_plan(tree, event);
        break;
    case SEARCH_EVENT_COMPLETION:
        add_usage(&tree->usage, &event->completion.usage);
        set_done(tree, event->completion.item, event->completion.sample + 1);
        break;
    case SEARCH_EVENT_THOUGHT:
        add_thought(tree, event);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        for (int i = 0; i < event->judgement.count; i++) {
            tree->nodes[event->judgement.nodes[i]].judgement = event;
            tree->nodes[event->judgement.nodes[i]].value = event->judgement.scores[i];
        }
        if (event->judgement.item >= 0 && event->judgement.item < tree->done_count)
            set_done(tree, event->judgement.item, tree->latest_plan->plan.items[event->judgement.item].samples + 1);
        break;
    case SEARCH_EVENT_DECISION:
        close_plan(tree);
        tree->latest_decision = event;
        keep_nodes(tree, event->decision.kept, event->decision.kept_count, event->step);
        break;
    case SEARCH_EVENT_PRUNE:
        prune(tree, event);
        count_open(tree);
        break;
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
        set_tombstone(tree, event->undo.target, event->kind == SEARCH_EVENT_REDO);
        count_open(tree);
        break;
    case SEARCH_EVENT_RESULT:
        close_plan(tree);
        set_result(tree, event);
        break;
    }
}

void search_tree_free(struct search_tree *tree)
{
    for (int64_t i = 0; i < tree->event_count; i++)
        search_event_release(tree->events[i]);
    free(tree->events);
    free(tree->nodes);
    free(tree->kept);
    free(tree->undo);
    free(tree->done);
    *tree = (struct search_tree){0};
}
