/* The runner: asks the strategy, does its items with the engine, writes the log. The only one that talks to the engine.
 *
 * A plan's items are sent to the engine in waves. Without a budget one wave is the whole plan; with one, a wave is as many
 * samples, in order, as fit what is left were each to be as long as it may, and the next wave is cut when all of this one is
 * recorded. So what is asked for depends on the log alone, and the budget is never exceeded.
 *
 * Samples are recorded in the order of items whatever the order in which the engine ends them. Whatever is decided here is
 * decided from the tree, so acts of the user may come at any moment: what a prune drops is cancelled, what an undo gives
 * back is asked for again, with the same random numbers. */
#include "search/items.h"
#include "search/strategy.h"
#include "search/usage.h"

#include <stdlib.h>
#include <string.h>

struct job { /* one sample of one item */
    enum { JOB_IDLE, JOB_SENT, JOB_ENDED } state;
    int id;         /* SENT: of the request */
    int max_tokens;
    struct engine_result result; /* ENDED: not recorded yet */
};

struct work { /* one item of the plan in progress */
    struct engine_tokens prompt;
    uint64_t hash;               /* of the prompt */
    uint64_t first_sample;       /* how often this was asked before: no two requests share random numbers */
    struct job *jobs;            /* [samples] */
    struct search_event **completions; /* [samples]: those recorded; the tree keeps them */
    int admitted;                /* samples up to here belong to the present wave or are recorded */
    int free;                    /* in the present wave as one that needs no completion */
};

struct judged { /* a prompt that was judged, and what came of it */
    uint64_t hash;
    enum search_purpose purpose;
    const struct search_event *judgement, *completion; /* its first completion, which has the prompt */
};

struct search {
    struct search_ground g;
    struct search_parameters parameters;
    char *strategy; /* spelled out */
    void (*sink)(void *context, struct search_event *event);
    void *context;
    struct search_prefixes prefixes;
    struct work *work; /* of the plan in progress: work_count == g.tree.done_count */
    int work_count;
    int unsent; /* something admitted has not been sent */
    struct judged *judged;
    int judged_count, judged_capacity;
    int (*asked)[SEARCH_VOTE + 1]; /* by node and purpose: samples planned so far */
    int asked_count;
    int spent;  /* the budget is: nothing more is asked for */
    int done;   /* the result stands; an act of the user takes that back */
};

const struct search_tree *search_tree(const struct search *search)
{
    return &search->g.tree;
}

static void emit(struct search *s, struct search_event *event)
{
    event->number = s->g.tree.event_count;
    search_tree_fold(&s->g.tree, event);
    if (s->sink)
        s->sink(s->context, event);
    search_event_release(event);
}

static const struct search_item *item_at(const struct search *s, int i)
{
    return &s->g.tree.latest_plan->plan.items[i];
}

static int grows(const struct search_item *item)
{
    return item->purpose == SEARCH_SAMPLE || item->purpose == SEARCH_PROPOSE;
}

/* --- the plan's work --------------------------------------------------------------------------------------------- */

static void drop_work(struct search *s)
{
    for (int i = 0; i < s->work_count; i++) {
        for (int k = 0; k < item_at(s, i)->samples; k++) {
            if (s->work[i].jobs[k].state == JOB_SENT)
                engine_cancel(s->g.engine, s->work[i].jobs[k].id);
            if (s->work[i].jobs[k].state == JOB_ENDED)
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

/* What is to be done of the plan in progress. All of it follows from the log up to that plan. */
static int make_work(struct search *s, struct error *e)
{
    int count = s->g.tree.latest_plan->plan.count;
    s->work = xcalloc((size_t)count, sizeof *s->work);
    s->work_count = count;
    for (int i = 0; i < count; i++) {
        const struct search_item *item = item_at(s, i);
        s->work[i].jobs = xcalloc((size_t)item->samples, sizeof *s->work[i].jobs);
        s->work[i].completions = xcalloc((size_t)item->samples, sizeof *s->work[i].completions);
        s->work[i].first_sample = count_asked(s, item->nodes[0], item->purpose, item->samples);
    }
    for (int i = 0; i < count; i++) {
        struct work *w = &s->work[i];
        int code = search_item_prompt(&s->g, item_at(s, i), &w->prompt, e);
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

static int same_prompt(const struct work *w, const int *ids, int count)
{
    return w->prompt.count == count && !memcmp(w->prompt.ids, ids, (size_t)count * sizeof *ids);
}

static const struct search_event *find_judged(const struct search *s, const struct work *w, enum search_purpose purpose)
{
    for (int i = 0; i < s->judged_count; i++) {
        const struct judged *j = &s->judged[i];
        if (j->hash == w->hash && j->purpose == purpose &&
            same_prompt(w, j->completion->completion.prompt, j->completion->completion.prompt_count))
            return j->judgement;
    }
    return NULL;
}

/* How item i comes to its judgement: by completions; as 0, since it is a copy or a path that ended without an answer; from
 * *source, the judgement of the same prompt; or from the item before it in the plan that asks the same. */
enum way { BY_COMPLETIONS, AS_ZERO, FROM_SOURCE, FROM_EARLIER_ITEM };
static enum way way_of(const struct search *s, int i, const struct search_event **source)
{
    const struct search_item *item = item_at(s, i);
    const struct work *w = &s->work[i];
    if (grows(item) || w->admitted)
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
        if (s->work[k].hash == w->hash && item_at(s, k)->purpose == item->purpose && search_item_open(&s->g.tree, k) &&
            same_prompt(w, s->work[k].prompt.ids, s->work[k].prompt.count))
            return FROM_EARLIER_ITEM;
    return BY_COMPLETIONS;
}

/* --- waves ------------------------------------------------------------------------------------------------------- */

static int64_t budget_left(const struct search *s)
{
    int64_t budget = s->g.tree.session->session.budget_tokens;
    const struct search_usage *u = &s->g.tree.usage;
    return budget > 0 ? budget - (u->prompt - u->cached + u->completion) : INT64_MAX;
}

/* Admit samples of item i while they fit. What stands alone in a wave may be shorter than it would be; returns 0 at the first
 * that does not fit. */
static int admit_item(struct search *s, int i, int64_t *left, int *any)
{
    const struct search_item *item = item_at(s, i);
    struct work *w = &s->work[i];
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

/* Cut the next wave; 0 when nothing fits the budget. */
static int admit(struct search *s)
{
    int64_t left = budget_left(s);
    int any = 0;
    for (int i = 0; i < s->work_count; i++) {
        int done = s->g.tree.done[i];
        s->work[i].free = 0;
        s->work[i].admitted = done < item_at(s, i)->samples ? done : item_at(s, i)->samples;
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

/* The open item of this wave that is to be recorded next, or -1. */
static int next_in_wave(const struct search *s)
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

/* Send what is admitted and was not sent, or was cancelled since. */
static int send_wave(struct search *s, struct error *e)
{
    const struct search_event *session = s->g.tree.session;
    for (int i = 0; i < s->work_count && s->unsent; i++) {
        const struct search_item *item = item_at(s, i);
        struct work *w = &s->work[i];
        if (!search_item_open(&s->g.tree, i))
            continue;
        int stops;
        const char *const *stop = search_task_stops(s->g.task, item->purpose, &stops);
        for (int k = s->g.tree.done[i]; k < w->admitted; k++) {
            if (w->jobs[k].state != JOB_IDLE)
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
                return error_set(e, code, "%s at node %d: %s", search_purpose_name(item->purpose), item->nodes[0], why.message);
            w->jobs[k].state = JOB_SENT;
        }
    }
    s->unsent = 0;
    return OK;
}

/* --- what the engine gives --------------------------------------------------------------------------------------- */

/* Take a result that was asked for here; 0 for one of somebody else, or one no longer wanted. */
static int take_result(struct search *s, const struct engine_result *result)
{
    for (int i = 0; i < s->work_count; i++)
        for (int k = s->g.tree.done[i]; k < s->work[i].admitted; k++) {
            struct job *job = &s->work[i].jobs[k];
            if (job->state == JOB_SENT && job->id == result->id) {
                job->state = JOB_ENDED;
                job->result = *result;
                return 1;
            }
        }
    return 0;
}

static int pass(struct search *s, const struct job *awaited, struct error *e)
{
    int live = 0;
    int code = engine_step(s->g.engine, &live, e);
    struct engine_result result;
    while (!code && engine_result(s->g.engine, &result))
        if (!take_result(s, &result))
            engine_result_free(&result);
    if (!code && !live && awaited->state != JOB_ENDED)
        return error_set(e, ERROR_ENGINE, "the engine has nothing to do, but request %d was not answered", awaited->id);
    return code;
}

/* --- recording --------------------------------------------------------------------------------------------------- */

static struct search_event *completion_event(struct search *s, int i, int sample)
{
    struct work *w = &s->work[i];
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
    w->jobs[sample].state = JOB_IDLE;
    w->completions[sample] = event;
    free(starts);
    return event;
}

static void add_prefix(struct search *s, const struct work *w, const struct search_event *completion)
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
    s->judged[s->judged_count++] = (struct judged){
        .hash = s->work[i].hash,
        .purpose = item_at(s, i)->purpose,
        .judgement = judgement,
        .completion = s->work[i].completions[0],
    };
}

/* A completion and all that is read from it. No act of the user can come between them. */
static void record_sample(struct search *s, int i)
{
    const struct search_item *item = item_at(s, i);
    int sample = s->g.tree.done[i];
    int clipped = s->work[i].jobs[sample].max_tokens < search_task_max_tokens(s->g.task, item->purpose);
    struct search_event *completion = completion_event(s, i, sample);
    add_prefix(s, &s->work[i], completion);
    emit(s, completion);
    s->spent = clipped && completion->completion.ending == ENGINE_END_LENGTH; /* it would have gone on */
    if (grows(item)) {
        int count;
        struct search_event **thoughts = search_item_thoughts(&s->g, item, completion, &count);
        for (int t = 0; t < count; t++) {
            thoughts[t]->thought.node = s->g.tree.count;
            emit(s, thoughts[t]);
        }
        free(thoughts);
    } else if (sample + 1 == item->samples) {
        struct search_event *judgement = search_item_judgement(&s->g, i, item, s->work[i].completions);
        remember_judged(s, i, judgement);
        emit(s, judgement);
    }
}

static void record_known(struct search *s, int i)
{
    const struct search_event *source = NULL;
    enum way way = way_of(s, i, &source);
    emit(s, search_item_known(&s->g, i, item_at(s, i), way == FROM_SOURCE ? source : NULL));
}

/* --- asking the strategy ----------------------------------------------------------------------------------------- */

static int begin_plan(struct search *s, struct search_plan *plan, struct error *e)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_PLAN, -1, s->g.tree.steps);
    drop_work(s);
    event->plan.why = plan->why;
    event->plan.items = search_items_copy(plan->items, plan->count);
    event->plan.count = plan->count;
    plan->why = NULL;
    emit(s, event);
    return make_work(s, e);
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
    plan->kept = NULL;
    plan->why = NULL;
    plan->tally = NULL;
    plan->tally_count = 0;
    drop_work(s);
    emit(s, event);
}

/* The result, unless the one that stands says the same: a search that an act of the user woke may come to its end again. */
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
    drop_work(s);
    emit(s, event);
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

static int advance_plan(struct search *s, enum search_status *status, struct error *e)
{
    int i = next_in_wave(s);
    if (i < 0 && !admit(s)) {
        s->spent = 1;
        return ask_strategy(s, status, e);
    }
    int code = send_wave(s, e);
    if (code || i < 0)
        return code;
    if (s->g.tree.done[i] >= s->work[i].admitted) {
        record_known(s, i);
    } else {
        const struct job *job = &s->work[i].jobs[s->g.tree.done[i]];
        if (job->state != JOB_ENDED)
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
            return error_set(e, ERROR_INPUT, "problem '%s': expected the number of a row after '@', from 1", o->problem);
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
    struct engine_sampling sampling = search_task_sampling(o->task);
    if (o->sampling.temperature >= 0)
        sampling.temperature = o->sampling.temperature;
    if (o->sampling.top_k >= 0)
        sampling.top_k = o->sampling.top_k;
    if (o->sampling.top_p >= 0)
        sampling.top_p = o->sampling.top_p;
    if (o->sampling.min_p >= 0)
        sampling.min_p = o->sampling.min_p;
    if (o->sampling.repetition_penalty >= 0)
        sampling.repetition_penalty = o->sampling.repetition_penalty;
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
                         "the prompt of task %s for this problem has %d tokens, but the context holds %d: shorten the problem or enlarge --context",
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
    int code = search_parameters_parse(&s->parameters, o->strategy ? o->strategy : search_task_strategy(o->task), o->task, e);
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
    drop_work(s);
    search_prefixes_free(&s->prefixes);
    search_problem_free(&s->g.problem);
    search_tree_free(&s->g.tree);
    free(s->strategy);
    free(s->judged);
    free(s->asked);
    free(s);
}

/* --- acts of the user -------------------------------------------------------------------------------------------- */

static void cancel_dropped(struct search *s)
{
    for (int i = 0; i < s->work_count; i++)
        for (int k = s->g.tree.done[i]; k < s->work[i].admitted; k++)
            if (s->work[i].jobs[k].state == JOB_SENT && !search_item_open(&s->g.tree, i)) {
                engine_cancel(s->g.engine, s->work[i].jobs[k].id);
                s->work[i].jobs[k].state = JOB_IDLE;
            }
}

/* Free what the engine has cached of the prompts made at or below a pruned node, and of the thought itself. */
static void forget(struct search *s, int pruned)
{
    const struct search_tree *tree = &s->g.tree;
    const struct search_event *plan = NULL, *first = NULL;
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *event = tree->events[i];
        if (event->kind == SEARCH_EVENT_PLAN)
            plan = event;
        if (event->kind != SEARCH_EVENT_COMPLETION)
            continue;
        const struct search_item *item = &plan->plan.items[event->completion.item];
        if (event->completion.sample == 0)
            first = event;
        int own = event == tree->nodes[pruned].completion && item->purpose == SEARCH_SAMPLE;
        if (item->purpose == SEARCH_VOTE || (!own && !search_tree_is_pruned(tree, item->nodes[0])))
            continue;
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
    emit(s, event);
    cancel_dropped(s);
    forget(s, node);
    s->done = 0;
    return OK;
}

static void toggle(struct search *s, enum search_event_kind kind, int64_t target)
{
    struct search_event *event = search_event_make(kind, -1, s->g.tree.steps - 1);
    event->undo.target = target;
    emit(s, event);
    cancel_dropped(s);
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
            const struct job *job = &s->work[w].jobs[k];
            *out = (struct search_live){.node = item_at(s, w)->nodes[0], .purpose = item_at(s, w)->purpose, .item = w, .sample = k};
            if (job->state == JOB_ENDED) {
                out->tokens = job->result.tokens;
                out->count = job->result.count;
            } else if (job->state != JOB_SENT || !engine_so_far(s->g.engine, job->id, &out->tokens, &out->count)) {
                continue;
            }
            if (i-- == 0)
                return 1;
        }
    }
    return 0;
}
