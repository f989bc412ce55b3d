/* The tree as the fold of its events. Every event is folded in constant time, but for the counts of ancestors (a walk
 * to the root), tombstones (the items of the plan in progress are looked at again) and what changes the past: `back`,
 * and the undoing of anything but a tombstone or a mark, fold the log anew: at once, or in slices (search_refold). */
#include "search/strategy.h"
#include "search/event.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int in_tree(const struct search_tree *tree, int node)
{
    return node >= 0 && node < tree->count;
}

int search_tree_is_pruned(const struct search_tree *tree, int node)
{
    for (; in_tree(tree, node); node = tree->nodes[node].parent)
        if (tree->nodes[node].pruned || tree->nodes[node].gone)
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
 * -1: it is not there. */
static int64_t find_index(const struct search_tree *tree, int64_t number)
{
    int64_t i = number < tree->event_count ? number : tree->event_count - 1;
    while (i >= 0 && tree->events[i]->number > number)
        i--;
    return i >= 0 && tree->events[i]->number == number ? i : -1;
}

static struct search_event *find_event(const struct search_tree *tree, int64_t number)
{
    int64_t i = find_index(tree, number);
    return i < 0 ? NULL : tree->events[i];
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

int search_tree_steps(const struct search_tree *tree)
{
    return tree->made + (tree->done_count && !tree->step_open);
}

static int all_complete(const struct search_tree *tree)
{
    int i = 0;
    while (i < tree->done_count && item_complete(tree, tree->latest_plan->plan.items, i))
        i++;
    return i == tree->done_count;
}

/* What the plan did not come to (pruned, or the budget was spent) is as before, unless it had begun. One that the budget
 * cut short is no step: the decision after it is. Tombstones are not asked: they may be taken off. */
static void close_plan(struct search_tree *tree, int spent)
{
    tree->made += tree->done_count && !(spent && !all_complete(tree));
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
    close_plan(tree, 0);
    tree->latest_plan = event;
    tree->steps++;
    for (int i = 0; i < event->plan.count; i++) {
        const struct search_item *item = &event->plan.items[i];
        ARRAY_RESERVE(tree->done, i, tree->done_capacity);
        tree->done[i] = 0;
        if (!search_item_grows(item))
            continue;
        tree->nodes[item->nodes[0]].state = SEARCH_EXPANDING;
        tree->nodes[item->nodes[0]].sampled += item->samples;
        tree->grown++;
    }
    tree->done_count = event->plan.count;
    count_open(tree);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

static struct search_node *new_node(struct search_tree *tree, int parent)
{
    ARRAY_RESERVE(tree->nodes, tree->count, tree->capacity);
    struct search_node *node = &tree->nodes[tree->count++];
    *node = (struct search_node){
        .parent = parent,
        .first_child = -1,
        .last_child = -1,
        .next_sibling = -1,
        .kept = -1,
        .value = NAN,
        .reward = NAN,
        .same = -1,
    };
    return node;
}

/* --- paths that read the same */

/* The entry of a path in the table: that of the latest node with it, or an empty one. */
static int *path_entry(const struct search_tree *tree, int node)
{
    unsigned mask = (unsigned)tree->paths_capacity - 1;
    unsigned at = (unsigned)tree->nodes[node].path_hash & mask;
    while (tree->paths[at] >= 0 && (tree->nodes[tree->paths[at]].path_hash != tree->nodes[node].path_hash ||
                                    !search_same_path(tree, tree->paths[at], node)))
        at = (at + 1) & mask;
    return &tree->paths[at];
}

static void widen_paths(struct search_tree *tree)
{
    int capacity = tree->paths_capacity ? 2 * tree->paths_capacity : 64;
    free(tree->paths);
    tree->paths = xmalloc((size_t)capacity * sizeof *tree->paths);
    tree->paths_capacity = capacity;
    for (int i = 0; i < capacity; i++)
        tree->paths[i] = -1;
    for (int i = 1; i < tree->count - 1; i++) /* all but the one that is being added */
        if (!tree->nodes[i].gone)
            *path_entry(tree, i) = i;
}

static void add_path(struct search_tree *tree, int node)
{
    const char *text = search_node_text(tree, node);
    uint64_t parts[2] = {tree->nodes[tree->nodes[node].parent].path_hash, hash_bytes(text, strlen(text))};
    tree->nodes[node].path_hash = hash_bytes(parts, sizeof parts);
    if (tree->count > tree->paths_capacity / 2)
        widen_paths(tree);
    int *entry = path_entry(tree, node);
    tree->nodes[node].same = *entry;
    *entry = node;
}

/* Nodes whose thoughts are not in force keep their numbers. */
static void add_gone(struct search_tree *tree, int count)
{
    while (tree->count < count) {
        struct search_node *node = new_node(tree, -1);
        node->state = SEARCH_ILLEGAL;
        node->gone = 1;
    }
}

static void add_node(struct search_tree *tree, int parent, const struct search_event *thought)
{
    int id = tree->count;
    struct search_node *node = new_node(tree, parent);
    node->thought = thought;
    node->depth = parent < 0 ? 0 : tree->nodes[parent].depth + 1;
    if (parent < 0)
        return;
    add_path(tree, id);
    struct search_node *above = &tree->nodes[parent];
    if (above->last_child < 0)
        above->first_child = id;
    else
        tree->nodes[above->last_child].next_sibling = id;
    above->last_child = id;
    above->children++;
    for (int a = parent; a >= 0; a = tree->nodes[a].parent)
        tree->nodes[a].descendants++;
}

/* It has no place in the tree, but a plan that holds may still name it. */
static void add_gone_thought(struct search_tree *tree, const struct search_event *event)
{
    add_gone(tree, event->thought.node + 1);
    struct search_node *node = &tree->nodes[event->thought.node];
    node->thought = event;
    node->parent = event->thought.parent;
    node->depth = tree->nodes[node->parent].depth + 1;
    node->completion = find_event(tree, event->thought.completion);
}

static void add_thought(struct search_tree *tree, const struct search_event *event)
{
    if (!in_tree(tree, event->thought.parent) || event->thought.node < tree->count)
        return;
    if (tree->nodes[event->thought.parent].gone) { /* what is below that is nowhere, either */
        add_gone_thought(tree, event);
        return;
    }
    add_gone(tree, event->thought.node);
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

/* A judgement of other nodes than one's own prompt was about is not looked at: scores are by node, as the event says. */
static void judge(struct search_tree *tree, const struct search_event *event)
{
    for (int i = 0; i < event->judgement.count; i++) {
        struct search_node *node = &tree->nodes[event->judgement.nodes[i]];
        node->judgement = event;
        node->value = event->judgement.scores[i];
        node->reward = event->judgement.most > 0 ? node->value / event->judgement.most : NAN;
    }
    if (event->judgement.item >= 0 && event->judgement.item < tree->done_count)
        set_done(tree, event->judgement.item, tree->latest_plan->plan.items[event->judgement.item].samples + 1);
}

static void keep_nodes(struct search_tree *tree, const int *nodes, int count, const struct search_event *decision)
{
    tree->kept = xrealloc(tree->kept, (size_t)(count > 0 ? count : 1) * sizeof *tree->kept);
    tree->kept_count = count;
    for (int i = 0; i < count; i++) {
        tree->kept[i] = nodes[i];
        if (!decision)
            continue;
        tree->nodes[nodes[i]].kept = decision->step;
        tree->nodes[nodes[i]].decision = decision;
    }
}

int search_node_is_kept(const struct search_node *n)
{
    return n->decision && !n->decision->decision.backup_count;
}

static void set_result(struct search_tree *tree, const struct search_event *event)
{
    for (int node = tree->result ? tree->result->result.node : -1; in_tree(tree, node); node = tree->nodes[node].parent)
        tree->nodes[node].on_best_path = 0;
    for (int node = event->result.node; in_tree(tree, node); node = tree->nodes[node].parent)
        tree->nodes[node].on_best_path = 1;
    tree->result = event;
}

/* --- visits ------------------------------------------------------------------------------------------------------ */

static void back_up(struct search_tree *tree, const struct search_event *decision)
{
    if (!decision->decision.backup_count || search_tree_is_pruned(tree, decision->decision.backups[0].node))
        return;
    tree->visits++;
    for (int i = 0; i < decision->decision.backup_count; i++) {
        const struct search_backup *b = &decision->decision.backups[i];
        struct search_node *node = &tree->nodes[b->node];
        node->reward_best = node->visits && node->reward_best > b->reward ? node->reward_best : b->reward;
        node->reward_sum += b->reward;
        node->reward_squares += b->reward * b->reward;
        node->visits++;
    }
}

/* What was backed up from a leaf that is pruned now is as if it had never been. */
static void recount_visits(struct search_tree *tree)
{
    for (int i = 0; i < tree->count; i++) {
        struct search_node *node = &tree->nodes[i];
        node->visits = 0;
        node->reward_sum = node->reward_squares = node->reward_best = 0;
    }
    tree->visits = 0;
    for (int64_t i = 0; i < tree->event_count; i++)
        if (tree->events[i]->kind == SEARCH_EVENT_DECISION && !tree->out[i])
            back_up(tree, tree->events[i]);
}

/* --- acts of the user -------------------------------------------------------------------------------------------- */

static int is_act(const struct search_event *event)
{
    switch (event->kind) {
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
    case SEARCH_EVENT_KEEP:
    case SEARCH_EVENT_REVOTE:
    case SEARCH_EVENT_BREAK:
    case SEARCH_EVENT_SETTING:
    case SEARCH_EVENT_BACK:
    case SEARCH_EVENT_ASK:
        return 1;
    case SEARCH_EVENT_THOUGHT:
        return event->thought.by_user;
    default:
        return 0;
    }
}

static void push_act(struct search_tree *tree, int64_t number)
{
    ARRAY_RESERVE(tree->undo, tree->undo_count, tree->undo_capacity);
    tree->undo[tree->undo_count++] = number;
    tree->redo_count = 0;
}

static void move_along(struct search_tree *tree, enum search_event_kind kind)
{
    tree->undo_count += kind == SEARCH_EVENT_REDO ? 1 : -1;
    tree->redo_count += kind == SEARCH_EVENT_REDO ? -1 : 1;
}

static void prune(struct search_tree *tree, int node, int by)
{
    tree->nodes[node].pruned += by;
    count_open(tree);
}

static void exclude(struct search_tree *tree, const struct search_event *event, int on)
{
    for (int i = 0; event && i < event->revote.count; i++)
        tree->nodes[event->revote.excluded[i]].excluded = on;
}

/* What the user wrote is gone on with: from what is kept it is one candidate more; from elsewhere it is kept itself. */
static void add_own_thought(struct search_tree *tree, const struct search_event *event)
{
    for (int i = 0; i < tree->kept_count; i++)
        if (tree->kept[i] == event->thought.parent)
            return;
    tree->kept = xrealloc(tree->kept, (size_t)(tree->kept_count + 1) * sizeof *tree->kept);
    tree->kept[tree->kept_count++] = event->thought.node;
}

/* --- folding ----------------------------------------------------------------------------------------------------- */

static void add_usage(struct search_usage *sum, const struct search_usage *u)
{
    sum->prompt += u->prompt;
    sum->cached += u->cached;
    sum->completion += u->completion;
    sum->flops += u->flops;
}

static void remove_ask(struct search_tree *tree, int64_t number)
{
    int left = 0;
    for (int i = 0; i < tree->ask_count; i++)
        if (tree->asks[i] != number)
            tree->asks[left++] = tree->asks[i];
    tree->ask_count = left;
}

static int same_strategy(const struct search_event *a, const struct search_event *b)
{
    const char *x = a->session.strategy ? a->session.strategy : "", *y = b->session.strategy ? b->session.strategy : "";
    size_t n = strcspn(x, ",");
    return n == strcspn(y, ",") && !memcmp(x, y, n);
}

/* What an event in force does. */
static void apply(struct search_tree *tree, const struct search_event *event)
{
    switch (event->kind) {
    case SEARCH_EVENT_SESSION:
        tree->session = event;
        add_node(tree, -1, NULL);
        keep_nodes(tree, (int[]){0}, 1, NULL);
        break;
    case SEARCH_EVENT_PLAN:
        if (event->plan.ask)
            remove_ask(tree, event->plan.ask);
        open_plan(tree, event);
        break;
    case SEARCH_EVENT_ASK:
        ARRAY_RESERVE(tree->asks, tree->ask_count, tree->ask_capacity);
        tree->asks[tree->ask_count++] = event->number;
        break;
    case SEARCH_EVENT_COMPLETION:
        tree->spent = event->completion.clipped;
        set_done(tree, event->completion.item, event->completion.sample + 1);
        break;
    case SEARCH_EVENT_THOUGHT:
        add_thought(tree, event);
        if (event->thought.by_user)
            add_own_thought(tree, event);
        if (event->thought.by_user && event->thought.replaces > 0)
            prune(tree, event->thought.replaces, 1);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        judge(tree, event);
        break;
    case SEARCH_EVENT_DECISION:
        close_plan(tree, event->decision.spent);
        tree->latest_decision = event;
        tree->made++;
        tree->spent = event->decision.spent;
        tree->iterations += event->decision.backup_count > 0;
        keep_nodes(tree, event->decision.kept, event->decision.kept_count, event);
        for (int i = 0; i < event->decision.backup_count; i++)
            tree->nodes[event->decision.backups[i].node].decision = event;
        break;
    case SEARCH_EVENT_PRUNE:
        prune(tree, event->prune.node, 1);
        break;
    case SEARCH_EVENT_RESTORE:
        prune(tree, event->prune.node, -1);
        break;
    case SEARCH_EVENT_KEEP:
        tree->nodes[event->keep.node].training = event->keep.on;
        break;
    case SEARCH_EVENT_REVOTE:
        exclude(tree, tree->revote, 0);
        exclude(tree, event, 1);
        tree->revote = event;
        break;
    case SEARCH_EVENT_BREAK:
        tree->breaks = event;
        break;
    case SEARCH_EVENT_SETTING:
        if (!same_strategy(tree->session, event))
            tree->iterations = 0;
        tree->session = event;
        tree->spent = 0;
        break;
    case SEARCH_EVENT_RESULT:
        close_plan(tree, event->result.spent);
        tree->made++;
        tree->spent = event->result.spent;
        set_result(tree, event);
        break;
    case SEARCH_EVENT_BACK:
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
    case SEARCH_EVENT_KINDS:
        break;
    }
}

/* --- the past changed -------------------------------------------------------------------------------------------- */

static struct search_event *undone_by(const struct search_tree *tree, int64_t i)
{
    return find_event(tree, tree->events[i]->undo.target);
}

/* The latest event before i that undid the same: where its `redo` goes back to. */
static int64_t undo_before(const struct search_tree *tree, int64_t i)
{
    int64_t target = tree->events[i]->undo.target;
    do
        i--;
    while (i >= 0 && (tree->events[i]->kind != SEARCH_EVENT_UNDO || tree->events[i]->undo.target != target));
    return i;
}

/* Breakpoints, and the undoing of them, are not left behind by a `back`. */
static int is_about_breaks(const struct search_tree *tree, int64_t i)
{
    const struct search_event *event = tree->events[i];
    if (event->kind == SEARCH_EVENT_UNDO || event->kind == SEARCH_EVENT_REDO)
        event = undone_by(tree, i);
    return event->kind == SEARCH_EVENT_BREAK;
}

/* Asked from the end to the beginning, leaping over what a `back` left behind. Returns the event before. */
static int64_t find_out_by_back(struct search_tree *tree, int64_t i)
{
    const struct search_event *event = tree->events[i];
    int64_t to = i;
    if (event->kind == SEARCH_EVENT_BACK)
        to = find_index(tree, event->back.target);
    else if (event->kind == SEARCH_EVENT_UNDO && undone_by(tree, i)->kind == SEARCH_EVENT_BACK)
        to = find_index(tree, event->undo.target);
    else if (event->kind == SEARCH_EVENT_REDO && undone_by(tree, i)->kind == SEARCH_EVENT_BACK)
        to = undo_before(tree, i);
    for (tree->out[i] = 0; i > to && to >= 0;) {
        i--;
        tree->out[i] = !is_about_breaks(tree, i);
    }
    return i - 1;
}

/* The stack of acts along what is left, and which of them are undone at its end. */
static void find_out_by_undo(struct search_tree *tree, int64_t i)
{
    const struct search_event *event = tree->events[i];
    int undo = event->kind == SEARCH_EVENT_UNDO, redo = event->kind == SEARCH_EVENT_REDO;
    if (tree->out[i])
        return;
    if (undo && undone_by(tree, i)->kind == SEARCH_EVENT_BACK) {
        push_act(tree, event->undo.target);
        move_along(tree, SEARCH_EVENT_UNDO);
    } else if ((undo || redo) && undone_by(tree, i)->kind != SEARCH_EVENT_BACK) {
        move_along(tree, event->kind);
        tree->out[find_index(tree, event->undo.target)] = (unsigned char)undo;
    } else if (is_act(event)) {
        push_act(tree, event->number);
    }
}

/* What was recorded for a plan of the user's that is undone. */
static void find_out_by_plan(struct search_refold *r, int64_t i)
{
    struct search_tree *tree = &r->tree;
    const struct search_event *event = tree->events[i];
    int recorded = event->kind == SEARCH_EVENT_COMPLETION || event->kind == SEARCH_EVENT_JUDGEMENT ||
                   (event->kind == SEARCH_EVENT_THOUGHT && !event->thought.by_user);
    int64_t ask = event->kind == SEARCH_EVENT_PLAN && event->plan.ask ? find_index(tree, event->plan.ask) : -1;
    if (ask >= 0 && tree->out[ask]) {
        ARRAY_RESERVE(r->undone, r->undone_count, r->undone_capacity);
        r->undone[r->undone_count++] = event->step;
        tree->out[i] = 1;
    }
    for (int k = 0; recorded && k < r->undone_count; k++)
        if (r->undone[k] == event->step)
            tree->out[i] = 1;
}

/* A plan that is not in force was asked for all the same. */
static void count_plan(struct search_tree *tree, const struct search_event *event)
{
    tree->steps++;
    for (int i = 0; i < event->plan.count; i++)
        tree->grown += search_item_grows(&event->plan.items[i]);
}

static void begin_anew(struct search_tree *tree)
{
    tree->count = tree->kept_count = tree->step_open = tree->done_count = tree->items_open = 0;
    tree->illegal = tree->spent = tree->visits = tree->iterations = tree->steps = tree->made = tree->grown = tree->ask_count = 0;
    tree->undo_count = tree->redo_count = 0;
    tree->session = tree->latest_plan = tree->latest_decision = tree->result = tree->revote = tree->breaks = NULL;
}

static void apply_anew(struct search_tree *tree, int64_t i)
{
    const struct search_event *event = tree->events[i];
    if (!tree->out[i])
        apply(tree, event);
    else if (event->kind == SEARCH_EVENT_THOUGHT)
        add_gone_thought(tree, event);
    else if (event->kind == SEARCH_EVENT_PLAN)
        count_plan(tree, event);
}

static void take_event(struct search_tree *tree, struct search_event *event)
{
    ARRAY_RESERVE(tree->out, tree->event_count, tree->out_capacity);
    ARRAY_RESERVE(tree->events, tree->event_count, tree->event_capacity);
    tree->out[tree->event_count] = 0;
    tree->events[tree->event_count++] = search_event_keep(event);
    if (event->kind == SEARCH_EVENT_COMPLETION)
        add_usage(&tree->usage, &event->completion.usage);
    tree->backups += event->kind == SEARCH_EVENT_DECISION && event->decision.backup_count > 0;
}

/* The phases of a refold, each but the first over all events: in order, but for `back`, whose reach is known from the end. */
enum { EMPTY, TAKE, BY_BACK, BY_UNDO, BY_PLAN, APPLY, VISITS, THERE };
enum { EMPTIED = 256 }; /* entries of the table of paths, at a time */

static void refold_next(struct search_refold *r)
{
    struct search_tree *tree = &r->tree;
    int64_t i = r->at++;
    switch (r->phase) {
    case EMPTY:
        for (int k = 0; k < EMPTIED && i * EMPTIED + k < tree->paths_capacity; k++)
            tree->paths[i * EMPTIED + k] = -1;
        break;
    case TAKE:
        take_event(tree, i < r->log->event_count ? r->log->events[i] : r->last);
        break;
    case BY_BACK:
        r->at = r->count - 1 - find_out_by_back(tree, r->count - 1 - i);
        break;
    case BY_UNDO:
        find_out_by_undo(tree, i);
        break;
    case BY_PLAN:
        find_out_by_plan(r, i);
        break;
    case APPLY:
        apply_anew(tree, i);
        break;
    case VISITS:
        if (tree->events[i]->kind == SEARCH_EVENT_DECISION && !tree->out[i])
            back_up(tree, tree->events[i]);
        break;
    default:
        break;
    }
    if (r->at >= (r->phase == EMPTY ? (tree->paths_capacity + EMPTIED - 1) / EMPTIED : r->count)) {
        r->at = 0;
        r->phase++;
    }
}

/* With room for all that will come: an array that grows is copied at once, and the table of paths counted anew. */
void search_refold_begin(struct search_refold *r, const struct search_tree *log, int64_t count, struct search_event *last)
{
    struct search_tree *tree = &r->tree;
    *r = (struct search_refold){.log = log, .count = count, .last = last, .phase = EMPTY};
    tree->capacity = log->count + 1;
    tree->nodes = xmalloc((size_t)tree->capacity * sizeof *tree->nodes);
    tree->event_capacity = tree->out_capacity = count + 1;
    tree->events = xmalloc((size_t)tree->event_capacity * sizeof *tree->events);
    tree->out = xmalloc((size_t)tree->out_capacity);
    for (tree->paths_capacity = 64; tree->paths_capacity / 2 < tree->capacity;)
        tree->paths_capacity *= 2;
    tree->paths = xmalloc((size_t)tree->paths_capacity * sizeof *tree->paths);
}

void search_refold_end(struct search_refold *r)
{
    free(r->undone);
    r->undone = NULL;
}

int search_refold_go_on(struct search_refold *r, int events)
{
    while (r->phase < THERE && events-- > 0)
        refold_next(r);
    if (r->phase < THERE)
        return 1;
    search_refold_end(r);
    return 0;
}

static void fold_anew(struct search_tree *tree)
{
    begin_anew(tree);
    struct search_refold r = {.tree = *tree, .count = tree->event_count, .phase = EMPTY};
    while (r.phase == EMPTY)
        refold_next(&r);
    r.phase = BY_BACK; /* the events it has */
    while (search_refold_go_on(&r, INT_MAX)) {
    }
    *tree = r.tree;
}

/* The latest that is not undone. */
static const struct search_event *find_breaks(const struct search_tree *tree)
{
    int64_t i = tree->event_count - 1;
    while (i >= 0 && (tree->events[i]->kind != SEARCH_EVENT_BREAK || tree->out[i]))
        i--;
    return i < 0 ? NULL : tree->events[i];
}

/* A tombstone, a mark or a breakpoint is taken off, or set again, in its place; anything else is undone from the beginning. */
static void undo_or_redo(struct search_tree *tree, const struct search_event *event)
{
    const struct search_event *target = find_event(tree, event->undo.target);
    int undo = event->kind == SEARCH_EVENT_UNDO;
    const int restore = target->kind == SEARCH_EVENT_RESTORE, breaks = target->kind == SEARCH_EVENT_BREAK;
    if (target->kind != SEARCH_EVENT_PRUNE && !restore && !breaks && target->kind != SEARCH_EVENT_KEEP) {
        fold_anew(tree);
        return;
    }
    move_along(tree, event->kind);
    tree->out[find_index(tree, target->number)] = (unsigned char)undo;
    if (target->kind == SEARCH_EVENT_PRUNE || restore) {
        prune(tree, target->prune.node, undo == restore ? 1 : -1);
        if (tree->backups)
            recount_visits(tree);
    } else if (breaks) {
        tree->breaks = find_breaks(tree);
    } else {
        tree->nodes[target->keep.node].training = undo ? !target->keep.on : target->keep.on;
    }
}

/* --- the fold ---------------------------------------------------------------------------------------------------- */

void search_tree_fold(struct search_tree *tree, struct search_event *event)
{
    take_event(tree, event);
    if (event->kind == SEARCH_EVENT_BACK) {
        fold_anew(tree);
    } else if (event->kind == SEARCH_EVENT_UNDO || event->kind == SEARCH_EVENT_REDO) {
        undo_or_redo(tree, event);
    } else {
        if (is_act(event))
            push_act(tree, event->number);
        apply(tree, event);
        if (event->kind == SEARCH_EVENT_DECISION)
            back_up(tree, event);
        else if (is_act(event) && tree->backups) /* all visits there were may have been pruned, and one of them restored */
            recount_visits(tree);
    }
}

void search_tree_at(const struct search_tree *tree, int64_t count, struct search_tree *out)
{
    if (out->event_count > count)
        search_tree_free(out);
    for (int64_t i = out->event_count; i < count && i < tree->event_count; i++)
        search_tree_fold(out, tree->events[i]);
}

/* Arrays from their ends, too: what is given back at once is given back slowly where there are many pages of it. */
int search_tree_shed(struct search_tree *tree, int steps)
{
    for (int i = 0; i < steps && tree->event_count; i++)
        search_event_release(tree->events[--tree->event_count]);
    if (tree->event_count) {
        tree->events = xrealloc(tree->events, (size_t)tree->event_count * sizeof *tree->events);
        tree->event_capacity = tree->event_count;
    }
    if (tree->capacity > steps) {
        tree->capacity -= steps;
        tree->nodes = xrealloc(tree->nodes, (size_t)tree->capacity * sizeof *tree->nodes);
    }
    if (tree->paths_capacity > steps * 16) {
        tree->paths_capacity -= steps * 16;
        tree->paths = xrealloc(tree->paths, (size_t)tree->paths_capacity * sizeof *tree->paths);
    }
    if (!tree->event_count && tree->capacity <= steps)
        search_tree_free(tree);
    return tree->nodes != NULL || tree->event_count;
}

int64_t search_tree_latest_step(const struct search_tree *tree)
{
    for (int64_t i = tree->event_count - 1; i >= 0; i--) {
        const struct search_event *event = tree->events[i];
        if (!tree->out[i] && ((event->kind == SEARCH_EVENT_PLAN && !event->plan.ask) || event->kind == SEARCH_EVENT_DECISION))
            return event->number;
    }
    return -1;
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
    free(tree->out);
    free(tree->paths);
    free(tree->asks);
    *tree = (struct search_tree){0};
}
