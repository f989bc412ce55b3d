/* What follows from an event: the tree, and what the runner keeps beside it. A search that is opened again is brought
 * here by its log, through the same functions that it went through when the log was made. */
#include "search/adapters.h"
#include "search/run.h"

#include <stdlib.h>
#include <string.h>

/* --- judgements by prompt ---------------------------------------------------------------------------------------- */

static int *judged_entry(const struct search *s, uint64_t hash, enum search_purpose purpose)
{
    unsigned mask = (unsigned)s->judged_table_size - 1, at = (unsigned)(hash >> 7) & mask;
    while (s->judged_table[at] >= 0 &&
           (s->judged[s->judged_table[at]].hash != hash || s->judged[s->judged_table[at]].purpose != purpose))
        at = (at + 1) & mask;
    return &s->judged_table[at];
}

static void widen_judged(struct search *s)
{
    s->judged_table_size = s->judged_table_size ? 2 * s->judged_table_size : 64;
    s->judged_table = xrealloc(s->judged_table, (size_t)s->judged_table_size * sizeof *s->judged_table);
    for (int i = 0; i < s->judged_table_size; i++)
        s->judged_table[i] = -1;
    for (int i = 0; i < s->judged_count; i++)
        *judged_entry(s, s->judged[i].hash, s->judged[i].purpose) = i;
}

static void remember_judged(struct search *s, const struct search_event *judgement)
{
    int item = judgement->judgement.item;
    const struct search_event *first = item < s->first_count ? s->first[item] : NULL;
    if (judgement->judgement.cached || !first || !first->completion.prompt_count)
        return;
    uint64_t hash =
        hash_bytes(first->completion.prompt, (size_t)first->completion.prompt_count * sizeof *first->completion.prompt);
    if (s->judged_table_size <= 2 * s->judged_count)
        widen_judged(s);
    ARRAY_RESERVE(s->judged, s->judged_count, s->judged_capacity);
    s->judged[s->judged_count] = (struct search_judged){
        .hash = hash, .purpose = judgement->judgement.purpose, .judgement = judgement, .completion = first};
    int *entry = judged_entry(s, hash, judgement->judgement.purpose);
    if (*entry < 0)
        *entry = s->judged_count++;
}

const struct search_event *search_judged_before(const struct search *s, const struct search_work *w,
                                                enum search_purpose purpose)
{
    if (!s->judged_count)
        return NULL;
    int entry = *judged_entry(s, w->hash, purpose);
    if (entry < 0)
        return NULL;
    const struct search_event *first = s->judged[entry].completion;
    int same = first->completion.prompt_count == w->prompt.count &&
               !memcmp(first->completion.prompt, w->prompt.ids, (size_t)w->prompt.count * sizeof *w->prompt.ids);
    return same ? s->judged[entry].judgement : NULL;
}

/* --- plans and completions --------------------------------------------------------------------------------------- */

/* Of each node and purpose: so many samples were ever asked for. */
static void count_asked(struct search *s, const struct search_event *plan)
{
    for (int i = 0; i < plan->plan.count; i++) {
        const struct search_item *item = &plan->plan.items[i];
        int node = item->nodes[0];
        if (node >= s->asked_count) {
            int count = 2 * node + 16;
            s->asked = xrealloc(s->asked, (size_t)count * sizeof *s->asked);
            memset(s->asked + s->asked_count, 0, (size_t)(count - s->asked_count) * sizeof *s->asked);
            s->asked_count = count;
        }
        s->asked[node][item->purpose] += item->samples;
    }
    s->first = xrealloc(s->first, (size_t)(plan->plan.count + 1) * sizeof *s->first);
    s->first_count = plan->plan.count;
    memset(s->first, 0, (size_t)plan->plan.count * sizeof *s->first);
}

static void add_prefix(struct search *s, const struct search_event *event)
{
    int item = event->completion.item;
    if (event->completion.sample == 0)
        s->first[item] = event;
    const struct search_event *first = s->first[item];
    if (!first || !first->completion.prompt_count)
        return;
    struct engine_tokens all = {0};
    engine_tokens_append(&all, first->completion.prompt, first->completion.prompt_count);
    for (int i = 0; i < event->completion.count; i++)
        engine_tokens_add(&all, event->completion.tokens[i].id);
    search_prefixes_add(&s->prefixes[event->completion.judge], all.ids, all.count);
    engine_tokens_free(&all);
}

static void note_recorded(struct search *s, struct search_event *event)
{
    if (event->completion.item >= s->work_count)
        return;
    struct search_work *w = &s->work[event->completion.item];
    w->completions[event->completion.sample] = event;
    w->jobs[event->completion.sample].state = SEARCH_JOB_IDLE;
}

/* --- the work that belongs to the plan in progress --------------------------------------------------------------- */

static void make_work(struct search *s)
{
    s->plan = s->g.tree.latest_plan;
    s->starved = 0;
    if (search_work_make(s, &s->failure))
        search_work_drop(s);
}

/* The past has changed, or what requests are made by: the plan in progress is begun again where it stands. */
static void make_work_anew(struct search *s)
{
    const struct search_tree *tree = &s->g.tree;
    search_work_drop(s);
    if (!tree->done_count)
        return;
    make_work(s);
    for (int64_t i = tree->event_count - 1; i >= 0 && tree->events[i] != s->plan; i--)
        if (tree->events[i]->kind == SEARCH_EVENT_COMPLETION && tree->events[i]->step == s->plan->step && !tree->out[i])
            note_recorded(s, tree->events[i]);
}

static void note_act(struct search *s)
{
    const struct search_tree *tree = &s->g.tree;
    s->done = 0;
    if (tree->done_count != s->work_count || (s->work_count && tree->latest_plan != s->plan)) {
        make_work_anew(s);
        return;
    }
    search_work_cancel(s);
    s->closed = s->starved = 0;
}

/* What the strategy is follows from the latest setting. */
static void note_setting(struct search *s)
{
    char *strategy = s->g.tree.session->session.strategy;
    struct search_parameters parameters;
    s->done = 0;
    if (search_parameters_parse(&parameters, strategy, s->g.task, &s->failure))
        return;
    s->parameters = parameters;
    const struct search_setting *now = &s->g.tree.session->session;
    if (search_adapters_open(now->adapters, now->adapter_count, s->g.engine, &s->mix, &s->failure))
        return;
    s->parameters.worst = search_task_worst(s->g.judge_task);
    free(s->strategy);
    s->strategy = xstrdup(strategy);
    make_work_anew(s);
}

static void after_act(struct search *s, const struct search_event *session)
{
    if (s->g.tree.session != session)
        note_setting(s);
    note_act(s);
}

/* Another mix of adapters is another model: what was cached of the one before, and how it judged, is nothing to it. */
static void fold(struct search *s, struct search_event *event)
{
    const struct search_event *before = s->g.tree.session;
    search_tree_fold(&s->g.tree, event);
    const struct search_event *now = s->g.tree.session;
    if (!before || now == before || search_adapters_same(&before->session, &now->session))
        return;
    search_prefixes_free(&s->prefixes[0]);
    if (s->g.judge)
        return;
    s->judged_count = 0;
    for (int i = 0; i < s->judged_table_size; i++)
        s->judged_table[i] = -1;
}

/* --- events ------------------------------------------------------------------------------------------------------ */

void search_note(struct search *s, struct search_event *event)
{
    const struct search_event *session = s->g.tree.session;
    if (event->kind == SEARCH_EVENT_PLAN || event->kind == SEARCH_EVENT_DECISION || event->kind == SEARCH_EVENT_RESULT)
        search_work_drop(s);
    fold(s, event);
    switch (event->kind) {
    case SEARCH_EVENT_PLAN:
        count_asked(s, event);
        s->done = 0;
        make_work(s);
        break;
    case SEARCH_EVENT_COMPLETION:
        add_prefix(s, event);
        note_recorded(s, event);
        break;
    case SEARCH_EVENT_JUDGEMENT:
        remember_judged(s, event);
        break;
    case SEARCH_EVENT_RESULT:
        s->done = 1;
        break;
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
        note_setting(s);
        break;
    case SEARCH_EVENT_THOUGHT:
        if (event->thought.by_user)
            note_act(s);
        break;
    case SEARCH_EVENT_UNDO:
    case SEARCH_EVENT_REDO:
        if (s->g.tree.events[event->undo.target]->kind == SEARCH_EVENT_BREAK)
            break; /* as the act itself: whoever is stopped comes to what they would have come to */
        after_act(s, session);
        break;
    case SEARCH_EVENT_PRUNE:
    case SEARCH_EVENT_RESTORE:
    case SEARCH_EVENT_KEEP:
    case SEARCH_EVENT_REVOTE:
    case SEARCH_EVENT_BACK:
    case SEARCH_EVENT_ASK:
        after_act(s, session);
        break;
    case SEARCH_EVENT_BREAK:
    case SEARCH_EVENT_DECISION:
    case SEARCH_EVENT_KINDS:
        break;
    }
}

void search_settle(struct search *s)
{
    if (!s->g.tree.step_open || s->failure.code || search_is_spent(s) || search_work_next(s) >= 0)
        return;
    if (!search_work_admit(s))
        s->starved = 1;
}

/* --- a log made before ------------------------------------------------------------------------------------------- */

/* Before the latest plan only what outlives a plan is kept: no prompt is made anew. */
static void note_past(struct search *s, struct search_event *event)
{
    fold(s, event);
    if (event->kind == SEARCH_EVENT_PLAN)
        count_asked(s, event);
    else if (event->kind == SEARCH_EVENT_COMPLETION)
        add_prefix(s, event);
    else if (event->kind == SEARCH_EVENT_JUDGEMENT)
        remember_judged(s, event);
}

/* A wave has been cut before anything of it is recorded; but not between the last completion of an item and its
 * judgement. */
static int comes_after_a_wave(const struct search *s, const struct search_event *event)
{
    if (event->kind == SEARCH_EVENT_JUDGEMENT) {
        int item = event->judgement.item;
        return item < s->work_count && s->g.tree.done[item] < search_work_item(s, item)->samples;
    }
    return event->kind == SEARCH_EVENT_COMPLETION;
}

int search_replay(struct search *s, struct search_event *const *events, int64_t count, struct error *e)
{
    int64_t latest = count;
    while (latest > 0 && events[latest - 1]->kind != SEARCH_EVENT_PLAN)
        latest--;
    for (int64_t i = 0; i < latest - 1; i++)
        note_past(s, events[i]);
    if (latest > 1)
        note_setting(s);
    for (int64_t i = latest > 0 ? latest - 1 : 0; i < count && !s->failure.code; i++) {
        if (comes_after_a_wave(s, events[i]))
            search_settle(s);
        search_note(s, events[i]);
    }
    if (s->failure.code)
        *e = s->failure;
    return s->failure.code;
}
