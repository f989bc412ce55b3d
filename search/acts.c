/* What a user does to a search, and what is shown of it meanwhile. */
#include "search/run.h"

/* --- acts of the user -------------------------------------------------------------------------------------------- */

/* The tokens of a completion's prompt stand in the event of the first sample of its item. */
static const struct search_event *first_sample(const struct search_tree *tree, int64_t i)
{
    const struct search_event *sample = tree->events[i];
    for (; i >= 0; i--) {
        const struct search_event *event = tree->events[i];
        if (event->kind == SEARCH_EVENT_COMPLETION && event->step == sample->step && event->completion.sample == 0 &&
            event->completion.item == sample->completion.item)
            return event;
    }
    return NULL;
}

/* Free what the engine has cached of the prompts made at or below a pruned node, and of the thought itself. */
static void forget(struct search *s, int pruned)
{
    const struct search_tree *tree = &s->g.tree;
    const struct search_event *plan = NULL;
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *event = tree->events[i];
        if (event->kind == SEARCH_EVENT_PLAN)
            plan = event;
        if (event->kind != SEARCH_EVENT_COMPLETION)
            continue;
        const struct search_item *item = &plan->plan.items[event->completion.item];
        int own = event == tree->nodes[pruned].completion && item->purpose == SEARCH_SAMPLE;
        if (item->purpose == SEARCH_VOTE || (!own && !search_tree_is_pruned(tree, item->nodes[0])))
            continue;
        const struct search_event *first = first_sample(tree, i);
        struct engine_tokens all = {0};
        engine_tokens_append(&all, first->completion.prompt, first->completion.prompt_count);
        for (int k = 0; k < event->completion.count; k++)
            engine_tokens_add(&all, event->completion.tokens[k].id);
        engine_forget(s->g.engine, all.ids, all.count);
        engine_tokens_free(&all);
    }
}

int search_prune(struct search *s, int node, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    if (node < 0 || node >= tree->count)
        return error_set(e, ERROR_INPUT, "there is no node %d to prune; there are 0 to %d", node, tree->count - 1);
    if (node == 0)
        return error_set(e, ERROR_INPUT, "the root cannot be pruned: it is the problem");
    if (search_tree_is_pruned(tree, node))
        return error_set(e, ERROR_INPUT, "node %d is pruned already", node);
    struct search_event *event = search_event_make(SEARCH_EVENT_PRUNE, -1, tree->steps - 1);
    event->prune.node = node;
    search_emit(s, event);
    search_work_cancel(s);
    forget(s, node);
    s->done = 0;
    return OK;
}

static void toggle(struct search *s, enum search_event_kind kind, int64_t target)
{
    struct search_event *event = search_event_make(kind, -1, s->g.tree.steps - 1);
    event->undo.target = target;
    search_emit(s, event);
    search_work_cancel(s);
    s->unsent = 1;
    s->done = 0;
}

int search_undo(struct search *s, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    if (!tree->undo_count)
        return error_set(e, ERROR_INPUT, "there is nothing to undo");
    toggle(s, SEARCH_EVENT_UNDO, tree->undo[tree->undo_count - 1]);
    return OK;
}

int search_redo(struct search *s, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    if (!tree->redo_count)
        return error_set(e, ERROR_INPUT, "there is nothing to redo");
    toggle(s, SEARCH_EVENT_REDO, tree->undo[tree->undo_count]);
    return OK;
}

/* --- what is being written --------------------------------------------------------------------------------------- */

int search_live(const struct search *s, int i, struct search_live *out)
{
    for (int w = 0; w < s->work_count; w++) {
        if (!search_item_open(&s->g.tree, w))
            continue;
        for (int k = s->g.tree.done[w]; k < s->work[w].admitted; k++) {
            const struct search_job *job = &s->work[w].jobs[k];
            *out = (struct search_live){.node = search_work_item(s, w)->nodes[0],
                                        .purpose = search_work_item(s, w)->purpose,
                                        .item = w,
                                        .sample = k};
            if (job->state == SEARCH_JOB_ENDED) {
                out->tokens = job->result.tokens;
                out->count = job->result.count;
            } else if (job->state != SEARCH_JOB_SENT ||
                       !engine_so_far(s->g.engine, job->id, &out->tokens, &out->count)) {
                continue;
            }
            if (i-- == 0)
                return 1;
        }
    }
    return 0;
}
