/* The work of a plan: what is sent to the engine, when, and what of it is recorded next.
 *
 * Items are sent in waves. Without a budget one wave is the whole plan; with one, a wave is as many samples, in order,
 * as fit what is left were each to be as long as it may, and the next wave is cut when all of this one is recorded. So
 * what is asked for depends on the log alone, and the budget is never exceeded.
 *
 * Whatever is decided here is decided from the tree, so tombstones may come and go at any moment: what a prune drops is
 * cancelled, what an undo gives back is asked for again, with the same random numbers. */
#include "search/run.h"

#include <stdlib.h>
#include <string.h>

const struct search_item *search_work_item(const struct search *s, int i)
{
    return &s->g.tree.latest_plan->plan.items[i];
}

/* --- the plan's work --------------------------------------------------------------------------------------------- */

void search_work_drop(struct search *s)
{
    for (int i = 0; i < s->work_count; i++) {
        for (int k = 0; k < search_work_item(s, i)->samples; k++) {
            if (s->work[i].jobs[k].state == SEARCH_JOB_SENT)
                engine_cancel(s->g.engine, s->work[i].jobs[k].id);
            if (s->work[i].jobs[k].state == SEARCH_JOB_ENDED)
                engine_result_free(&s->work[i].jobs[k].result);
        }
        engine_tokens_free(&s->work[i].prompt);
        free(s->work[i].jobs);
        free(s->work[i].completions);
    }
    free(s->work);
    s->work = NULL;
    s->work_count = 0;
}

/* How often `purpose` was asked at this node before, and count these samples. */
static uint64_t count_asked(struct search *s, int node, enum search_purpose purpose, int samples)
{
    if (node >= s->asked_count) {
        int count = s->g.tree.count;
        s->asked = xrealloc(s->asked, (size_t)count * sizeof *s->asked);
        memset(s->asked + s->asked_count, 0, (size_t)(count - s->asked_count) * sizeof *s->asked);
        s->asked_count = count;
    }
    uint64_t before = (uint64_t)s->asked[node][purpose];
    s->asked[node][purpose] += samples;
    return before;
}

int search_work_make(struct search *s, struct error *e)
{
    int count = s->g.tree.latest_plan->plan.count;
    s->work = xcalloc((size_t)count, sizeof *s->work);
    s->work_count = count;
    for (int i = 0; i < count; i++) {
        const struct search_item *item = search_work_item(s, i);
        s->work[i].jobs = xcalloc((size_t)item->samples, sizeof *s->work[i].jobs);
        s->work[i].completions = xcalloc((size_t)item->samples, sizeof *s->work[i].completions);
        s->work[i].first_sample = count_asked(s, item->nodes[0], item->purpose, item->samples);
    }
    for (int i = 0; i < count; i++) {
        struct search_work *w = &s->work[i];
        int code = search_item_prompt(&s->g, search_work_item(s, i), &w->prompt, e);
        if (code)
            return code;
        w->hash = hash_bytes(w->prompt.ids, (size_t)w->prompt.count * sizeof *w->prompt.ids);
    }
    return OK;
}

/* --- judgements that need no completion -------------------------------------------------------------------------- */

/* An earlier thought reads the same, path and all. */
static int is_copy(const struct search_tree *tree, int node)
{
    for (int other = 1; other < node; other++)
        if (tree->nodes[other].depth == tree->nodes[node].depth && tree->nodes[other].state != SEARCH_ILLEGAL &&
            !search_tree_is_pruned(tree, other) && search_same_path(tree, other, node))
            return 1;
    return 0;
}

static int same_prompt(const struct search_work *w, const int *ids, int count)
{
    return w->prompt.count == count && !memcmp(w->prompt.ids, ids, (size_t)count * sizeof *ids);
}

static const struct search_event *find_judged(const struct search *s, const struct search_work *w,
                                              enum search_purpose purpose)
{
    for (int i = 0; i < s->judged_count; i++) {
        const struct search_judged *j = &s->judged[i];
        if (j->hash == w->hash && j->purpose == purpose &&
            same_prompt(w, j->completion->completion.prompt, j->completion->completion.prompt_count))
            return j->judgement;
    }
    return NULL;
}

/* How item i comes to its judgement: by completions; as 0, since it is a copy or a path that ended without an answer;
 * from *source, the judgement of the same prompt; or from the item before it in the plan that asks the same. */
enum way { BY_COMPLETIONS, AS_ZERO, FROM_SOURCE, FROM_EARLIER_ITEM };
static enum way way_of(const struct search *s, int i, const struct search_event **source)
{
    const struct search_item *item = search_work_item(s, i);
    const struct search_work *w = &s->work[i];
    if (search_item_grows(item) || w->admitted)
        return BY_COMPLETIONS;
    if (item->purpose == SEARCH_VALUE) {
        const struct search_node *node = &s->g.tree.nodes[item->nodes[0]];
        if (node->state == SEARCH_FINAL && !node->thought->thought.answer)
            return AS_ZERO;
        if (is_copy(&s->g.tree, item->nodes[0]))
            return AS_ZERO;
    }
    *source = find_judged(s, w, item->purpose);
    if (*source)
        return FROM_SOURCE;
    for (int k = 0; k < i; k++)
        if (s->work[k].hash == w->hash && search_work_item(s, k)->purpose == item->purpose &&
            search_item_open(&s->g.tree, k) && same_prompt(w, s->work[k].prompt.ids, s->work[k].prompt.count))
            return FROM_EARLIER_ITEM;
    return BY_COMPLETIONS;
}

const struct search_event *search_work_source(const struct search *s, int i)
{
    const struct search_event *source = NULL;
    return way_of(s, i, &source) == FROM_SOURCE ? source : NULL;
}

/* --- waves ------------------------------------------------------------------------------------------------------- */

static int64_t budget_left(const struct search *s)
{
    int64_t budget = s->g.tree.session->session.budget_tokens;
    const struct search_usage *u = &s->g.tree.usage;
    return budget > 0 ? budget - (u->prompt - u->cached + u->completion) : INT64_MAX;
}

/* Admit samples of item i while they fit. What stands alone in a wave may be shorter than it would be; returns 0 at the
 * first that does not fit. */
static int admit_item(struct search *s, int i, int64_t *left, int *any)
{
    const struct search_item *item = search_work_item(s, i);
    struct search_work *w = &s->work[i];
    int most = search_task_max_tokens(s->g.task, item->purpose);
    for (int k = w->admitted; k < item->samples; k++) {
        int64_t prompt = k ? 0 : w->prompt.count - search_prefixes_find(&s->prefixes, w->prompt.ids, w->prompt.count);
        int64_t room = *left - prompt;
        if (room < 1 || (*any && room < most))
            return 0;
        w->jobs[k].max_tokens = room < most ? (int)room : most;
        w->admitted = k + 1;
        *left -= prompt + w->jobs[k].max_tokens;
        *any = 1;
    }
    return 1;
}

int search_work_admit(struct search *s)
{
    int64_t left = budget_left(s);
    int any = 0;
    for (int i = 0; i < s->work_count; i++) {
        int done = s->g.tree.done[i];
        s->work[i].free = 0;
        s->work[i].admitted = done < search_work_item(s, i)->samples ? done : search_work_item(s, i)->samples;
    }
    for (int i = 0; i < s->work_count; i++) {
        const struct search_event *source;
        if (!search_item_open(&s->g.tree, i))
            continue;
        if (way_of(s, i, &source) != BY_COMPLETIONS)
            s->work[i].free = any = 1;
        else if (!admit_item(s, i, &left, &any))
            break;
    }
    s->unsent = any;
    return any;
}

int search_work_next(const struct search *s)
{
    for (int i = 0; i < s->work_count; i++) {
        const struct search_event *source;
        if (!search_item_open(&s->g.tree, i))
            continue;
        if (s->g.tree.done[i] < s->work[i].admitted)
            return i;
        if (s->work[i].free) {
            enum way way = way_of(s, i, &source);
            if (way == AS_ZERO || way == FROM_SOURCE)
                return i;
        }
    }
    return -1;
}

int search_work_send(struct search *s, struct error *e)
{
    const struct search_event *session = s->g.tree.session;
    for (int i = 0; i < s->work_count && s->unsent; i++) {
        const struct search_item *item = search_work_item(s, i);
        struct search_work *w = &s->work[i];
        if (!search_item_open(&s->g.tree, i))
            continue;
        int stops;
        const char *const *stop = search_task_stops(s->g.task, item->purpose, &stops);
        for (int k = s->g.tree.done[i]; k < w->admitted; k++) {
            if (w->jobs[k].state != SEARCH_JOB_IDLE)
                continue;
            struct engine_request request = {
                .prompt = w->prompt.ids,
                .prompt_count = w->prompt.count,
                .max_tokens = w->jobs[k].max_tokens,
                .stops = stop,
                .stop_count = stops,
                .sampling = session->session.sampling,
                .seed = session->session.seed,
                .stream = random_stream((uint64_t)item->nodes[0], item->purpose, w->first_sample + (uint64_t)k),
            };
            struct error why;
            int code = engine_submit(s->g.engine, &request, &w->jobs[k].id, &why);
            if (code)
                return error_set(e, code, "%s at node %d: %s", search_purpose_name(item->purpose), item->nodes[0],
                                 why.message);
            w->jobs[k].state = SEARCH_JOB_SENT;
        }
    }
    s->unsent = 0;
    return OK;
}

/* --- what the engine gives --------------------------------------------------------------------------------------- */

int search_work_take(struct search *s, const struct engine_result *result)
{
    for (int i = 0; i < s->work_count; i++)
        for (int k = s->g.tree.done[i]; k < s->work[i].admitted; k++) {
            struct search_job *job = &s->work[i].jobs[k];
            if (job->state == SEARCH_JOB_SENT && job->id == result->id) {
                job->state = SEARCH_JOB_ENDED;
                job->result = *result;
                return 1;
            }
        }
    return 0;
}

void search_work_cancel(struct search *s)
{
    for (int i = 0; i < s->work_count; i++)
        for (int k = s->g.tree.done[i]; k < s->work[i].admitted; k++)
            if (s->work[i].jobs[k].state == SEARCH_JOB_SENT && !search_item_open(&s->g.tree, i)) {
                engine_cancel(s->g.engine, s->work[i].jobs[k].id);
                s->work[i].jobs[k].state = SEARCH_JOB_IDLE;
            }
}
