/* The runner: asks the strategy, has its items done, writes the log. The only one that talks to the engine.
 *
 * Samples are recorded in the order of items whatever the order in which the engine ends them. */
#include "search/run.h"

#include <stdlib.h>
#include <string.h>

const struct search_tree *search_tree(const struct search *search)
{
    return &search->g.tree;
}

void search_emit(struct search *s, struct search_event *event)
{
    event->number = s->g.tree.event_count;
    search_tree_fold(&s->g.tree, event);
    if (s->sink)
        s->sink(s->context, event);
    search_event_release(event);
}

/* --- recording --------------------------------------------------------------------------------------------------- */

static struct search_event *completion_event(struct search *s, int i, int sample)
{
    struct search_work *w = &s->work[i];
    struct engine_result *result = &w->jobs[sample].result;
    struct search_event *event = search_event_make(SEARCH_EVENT_COMPLETION, -1, s->g.tree.steps - 1);
    size_t *starts = xcalloc((size_t)result->count + 1, sizeof *starts);
    int cached = w->prompt.count;
    if (sample == 0) {
        cached = search_prefixes_find(&s->prefixes, w->prompt.ids, w->prompt.count);
        event->completion.prompt = xmalloc((size_t)w->prompt.count * sizeof *w->prompt.ids);
        memcpy(event->completion.prompt, w->prompt.ids, (size_t)w->prompt.count * sizeof *w->prompt.ids);
    }
    event->completion.item = i;
    event->completion.sample = sample;
    event->completion.prompt_count = w->prompt.count;
    event->completion.text = search_completion_text(s->g.engine, result->tokens, result->count, starts);
    event->completion.tokens = result->tokens;
    event->completion.count = result->count;
    event->completion.ending = result->ending;
    event->completion.usage = search_usage_of(s->g.engine, w->prompt.count, cached, result->count);
    result->tokens = NULL; /* the event's now */
    engine_result_free(result);
    w->jobs[sample].state = SEARCH_JOB_IDLE;
    w->completions[sample] = event;
    free(starts);
    return event;
}

static void add_prefix(struct search *s, const struct search_work *w, const struct search_event *completion)
{
    struct engine_tokens all = {0};
    engine_tokens_append(&all, w->prompt.ids, w->prompt.count);
    for (int i = 0; i < completion->completion.count; i++)
        engine_tokens_add(&all, completion->completion.tokens[i].id);
    search_prefixes_add(&s->prefixes, all.ids, all.count);
    engine_tokens_free(&all);
}

static void remember_judged(struct search *s, int i, const struct search_event *judgement)
{
    ARRAY_RESERVE(s->judged, s->judged_count, s->judged_capacity);
    s->judged[s->judged_count++] = (struct search_judged){
        .hash = s->work[i].hash,
        .purpose = search_work_item(s, i)->purpose,
        .judgement = judgement,
        .completion = s->work[i].completions[0],
    };
}

/* A completion and all that is read from it. No act of the user can come between them. */
static void record_sample(struct search *s, int i)
{
    const struct search_item *item = search_work_item(s, i);
    int sample = s->g.tree.done[i];
    int clipped = s->work[i].jobs[sample].max_tokens < search_task_max_tokens(s->g.task, item->purpose);
    struct search_event *completion = completion_event(s, i, sample);
    add_prefix(s, &s->work[i], completion);
    search_emit(s, completion);
    s->spent = clipped && completion->completion.ending == ENGINE_END_LENGTH; /* it would have gone on */
    if (search_item_grows(item)) {
        int count;
        struct search_event **thoughts = search_item_thoughts(&s->g, item, completion, &count);
        for (int t = 0; t < count; t++) {
            thoughts[t]->thought.node = s->g.tree.count;
            search_emit(s, thoughts[t]);
        }
        free(thoughts);
    } else if (sample + 1 == item->samples) {
        struct search_event *judgement = search_item_judgement(&s->g, i, item, s->work[i].completions);
        remember_judged(s, i, judgement);
        search_emit(s, judgement);
    }
}

static void record_known(struct search *s, int i)
{
    search_emit(s, search_item_known(&s->g, i, search_work_item(s, i), search_work_source(s, i)));
}

/* --- asking the strategy ----------------------------------------------------------------------------------------- */

static int begin_plan(struct search *s, struct search_plan *plan, struct error *e)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_PLAN, -1, s->g.tree.steps);
    search_work_drop(s);
    event->plan.why = plan->why;
    event->plan.items = search_items_copy(plan->items, plan->count);
    event->plan.count = plan->count;
    plan->why = NULL;
    search_emit(s, event);
    return search_work_make(s, e);
}

static void record_decision(struct search *s, struct search_plan *plan)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_DECISION, -1, s->g.tree.steps - 1);
    event->decision.kept = plan->kept;
    event->decision.kept_count = plan->kept_count;
    event->decision.why = plan->why;
    event->decision.tally = plan->tally;
    event->decision.tally_count = plan->tally_count;
    event->decision.tie = plan->tie;
    event->decision.backups = plan->backups;
    event->decision.backup_count = plan->backup_count;
    plan->kept = NULL;
    plan->why = NULL;
    plan->tally = NULL;
    plan->tally_count = 0;
    plan->backups = NULL;
    search_work_drop(s);
    search_emit(s, event);
}

/* The result, unless the one that stands says the same: a search that an act of the user woke may come to its end
 * again. */
static void record_result(struct search *s, struct search_plan *plan)
{
    const struct search_tree *tree = &s->g.tree;
    char *why = s->spent ? xasprintf("budget spent: %s", plan->why) : xstrdup(plan->why);
    s->done = 1;
    if (tree->result && tree->result->result.node == plan->node && !strcmp(tree->result->result.why, why)) {
        free(why);
        return;
    }
    struct search_event *event = search_event_make(SEARCH_EVENT_RESULT, -1, tree->steps - 1);
    event->result.strategy = xstrdup(s->strategy);
    event->result.node = plan->node;
    event->result.correct = -1;
    if (plan->node >= 0) {
        event->result.answer = xstrdup(tree->nodes[plan->node].thought->thought.answer);
        event->result.correct = tree->nodes[plan->node].thought->thought.correct;
    }
    event->result.why = why;
    event->result.usage = tree->usage;
    event->result.nodes = tree->count;
    event->result.illegal = tree->illegal;
    search_work_drop(s);
    search_emit(s, event);
}

static int ask_strategy(struct search *s, enum search_status *status, struct error *e)
{
    struct search_plan plan = {0};
    int code = OK;
    s->parameters.strategy->next(&s->g.tree, &s->parameters, s->spent, &plan);
    switch (plan.kind) {
    case SEARCH_PLAN_ITEMS:
        code = begin_plan(s, &plan, e);
        *status = SEARCH_WORKING;
        break;
    case SEARCH_PLAN_DECISION:
        record_decision(s, &plan);
        *status = SEARCH_BETWEEN;
        break;
    case SEARCH_PLAN_DONE:
        record_result(s, &plan);
        *status = SEARCH_DONE;
        break;
    }
    search_plan_free(&plan);
    return code;
}

static int pass(struct search *s, const struct search_job *awaited, struct error *e)
{
    int live = 0;
    int code = engine_step(s->g.engine, &live, e);
    struct engine_result result;
    while (!code && engine_result(s->g.engine, &result))
        if (!search_work_take(s, &result))
            engine_result_free(&result);
    if (!code && !live && awaited->state != SEARCH_JOB_ENDED)
        return error_set(e, ERROR_ENGINE, "the engine has nothing to do, but request %d was not answered", awaited->id);
    return code;
}

static int advance_plan(struct search *s, enum search_status *status, struct error *e)
{
    int i = search_work_next(s);
    if (i < 0 && !search_work_admit(s)) {
        s->spent = 1;
        return ask_strategy(s, status, e);
    }
    int code = search_work_send(s, e);
    if (code || i < 0)
        return code;
    if (s->g.tree.done[i] >= s->work[i].admitted) {
        record_known(s, i);
    } else {
        const struct search_job *job = &s->work[i].jobs[s->g.tree.done[i]];
        if (job->state != SEARCH_JOB_ENDED)
            return pass(s, job, e);
        record_sample(s, i);
    }
    if (!s->g.tree.step_open)
        *status = SEARCH_BETWEEN;
    return OK;
}

int search_advance(struct search *s, enum search_status *status, struct error *e)
{
    *status = SEARCH_WORKING;
    if (s->done) {
        *status = SEARCH_DONE;
        return OK;
    }
    return s->g.tree.step_open && !s->spent ? advance_plan(s, status, e) : ask_strategy(s, status, e);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static int open_problem(struct search *s, const struct search_options *o, struct error *e)
{
    char *text = NULL, *answer = NULL, *end;
    int code = OK;
    if (o->problem[0] == '@') {
        long row = strtol(o->problem + 1, &end, 10);
        if (*end || end == o->problem + 1 || row < 1 || row > INT32_MAX)
            return error_set(e, ERROR_INPUT, "problem '%s': expected the number of a row after '@', from 1",
                             o->problem);
        code = search_task_data(o->task, o->data, (int)row, &text, &answer, e);
    }
    if (!code)
        code = search_problem_parse(o->task, text ? text : o->problem, answer, &s->g.problem, e);
    free(text);
    free(answer);
    return code;
}

static struct engine_sampling choose_sampling(const struct search_options *o, const struct search_strategy *strategy)
{
    struct engine_sampling sampling = engine_sampling_choose(o->sampling, search_task_sampling(o->task));
    if (strategy->temperature >= 0)
        sampling.temperature = (float)strategy->temperature;
    return sampling;
}

static struct search_event *session_event(const struct search *s, const struct search_options *o)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_SESSION, 0, -1);
    event->session.task = xstrdup(search_task_name(o->task));
    event->session.problem = xstrdup(s->g.problem.text);
    event->session.expected = xstrdup(s->g.problem.expected);
    event->session.strategy = xstrdup(s->strategy);
    event->session.model = xstrdup(engine_info(s->g.engine)->name);
    event->session.seed = o->seed;
    event->session.sampling = choose_sampling(o, s->parameters.strategy);
    event->session.budget_tokens = o->budget_tokens > 0 ? o->budget_tokens : 0;
    return event;
}

/* The first prompt tells whether the problem fits the model at all. */
static int check_first_prompt(struct search *s, struct error *e)
{
    struct search_plan plan = {0};
    struct engine_tokens prompt = {0};
    int context = engine_info(s->g.engine)->context;
    s->parameters.strategy->next(&s->g.tree, &s->parameters, 0, &plan);
    int code = plan.count ? search_item_prompt(&s->g, &plan.items[0], &prompt, e) : OK;
    if (!code && prompt.count >= context)
        code = error_set(e, ERROR_INPUT,
                         "the prompt of task %s for this problem has %d tokens, but the context holds %d: shorten the "
                         "problem or enlarge --context",
                         search_task_name(s->g.task), prompt.count, context);
    engine_tokens_free(&prompt);
    search_plan_free(&plan);
    return code;
}

int search_open(struct search **out, struct engine *engine, const struct search_options *o, struct error *e)
{
    *out = NULL;
    struct search *s = xcalloc(1, sizeof *s);
    s->g.engine = engine;
    s->g.task = o->task;
    s->sink = o->sink;
    s->context = o->context;
    int code =
        search_parameters_parse(&s->parameters, o->strategy ? o->strategy : search_task_strategy(o->task), o->task, e);
    if (!code)
        code = open_problem(s, o, e);
    if (!code) {
        s->strategy = search_parameters_text(&s->parameters);
        struct search_event *event = session_event(s, o);
        search_tree_fold(&s->g.tree, event);
        code = check_first_prompt(s, e);
        if (!code && s->sink)
            s->sink(s->context, event);
        search_event_release(event);
    }
    if (code)
        search_close(s);
    else
        *out = s;
    return code;
}

void search_close(struct search *s)
{
    if (!s)
        return;
    search_work_drop(s);
    search_prefixes_free(&s->prefixes);
    search_problem_free(&s->g.problem);
    search_tree_free(&s->g.tree);
    free(s->strategy);
    free(s->judged);
    free(s->asked);
    free(s);
}
