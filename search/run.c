/* The runner: asks the strategy, has its items done, writes the log. The only one that talks to the engine.
 *
 * Samples are recorded in the order of items whatever the order in which the engine ends them. */
#include "search/adapters.h"
#include "search/journal.h"
#include "search/outside.h"
#include "search/run.h"

#include <stdlib.h>
#include <string.h>

const struct search_tree *search_tree(const struct search *search)
{
    return &search->g.tree;
}

/* Take note of it for the journal and the sink. */
static void made(struct search *s, struct search_event *event)
{
    if (s->journal && !s->failure.code)
        search_journal_append(s->journal, s->tree_number, event, &s->failure);
    ARRAY_RESERVE(s->made, s->made_count, s->made_capacity);
    s->made[s->made_count++] = event;
}

void search_emit(struct search *s, struct search_event *event)
{
    event->number = s->g.tree.event_count;
    search_event_round(event);
    search_note(s, event);
    made(s, event);
}

/* --- time -------------------------------------------------------------------------------------------------------- */

static void count_time(struct search *s)
{
    double now = clock_seconds();
    s->worked += s->worked_until > 0 ? now - s->worked_until : 0;
    s->worked_until = now;
}

void search_rest(struct search *s)
{
    if (s->worked_until > 0)
        count_time(s);
    s->worked_until = 0;
}

double search_seconds(const struct search *s)
{
    return s->worked_before + s->worked;
}

/* Beside the events, not in them: the same seed gives the same log. */
static void keep_time(struct search *s)
{
    char *key = xasprintf("seconds %d", s->tree_number), *value = xasprintf("%.3f", search_seconds(s));
    search_journal_set(s->journal, key, value, &s->failure);
    free(key);
    free(value);
}

static void read_time(struct search *s)
{
    char *key = xasprintf("seconds %d", s->tree_number), *kept = s->journal ? search_journal_get(s->journal, key) : NULL;
    const double seconds = kept ? strtod(kept, NULL) : 0;
    s->worked_before = seconds > 0 && seconds < 1e12 ? seconds : 0;
    free(kept);
    free(key);
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

int search_tell(struct search *s, struct error *e)
{
    if (s->journal && s->made_count && !s->failure.code)
        keep_time(s);
    if (s->journal && s->made_count && !s->failure.code)
        search_journal_commit(s->journal, &s->failure);
    for (int i = 0; i < s->made_count; i++) {
        if (s->sink && !s->failure.code) /* what is shown is safe */
            s->sink(s->context, s->made[i]);
        search_event_release(s->made[i]);
    }
    s->made_count = 0;
    if (s->failure.code)
        *e = s->failure;
    return s->failure.code;
}

int search_is_spent(const struct search *s)
{
    double time = s->g.tree.session->session.budget_time;
    return s->g.tree.spent || s->starved || (time > 0 && s->worked >= time);
}

/* --- recording --------------------------------------------------------------------------------------------------- */

/* The tokens of the result; those of a fork stand before them, as they were said of the completion it leaves. */
static void take_tokens(const struct search *s, const struct search_item *item, const struct search_work *w,
                        struct engine_result *result, struct search_event *event)
{
    if (w->forced) {
        const struct engine_token *old = s->g.tree.events[item->fork]->completion.tokens;
        struct engine_token *all = xmalloc((size_t)(w->forced + result->count) * sizeof *all);
        memcpy(all, old, (size_t)w->forced * sizeof *all);
        struct engine_token *other = &all[w->forced - 1];
        other->id = item->id;
        for (int k = 0; k < ENGINE_TOP; k++)
            if (other->top[k].id == item->id)
                other->logprob = other->top[k].logprob;
        if (result->count)
            memcpy(all + w->forced, result->tokens, (size_t)result->count * sizeof *all);
        free(result->tokens);
        result->tokens = all;
    }
    event->completion.tokens = result->tokens;
    event->completion.count = w->forced + result->count;
    result->tokens = NULL; /* the event's now */
    engine_result_free(result);
}

static struct search_event *completion_event(struct search *s, int i, int sample)
{
    const struct search_item *item = search_work_item(s, i);
    struct search_work *w = &s->work[i];
    struct engine_result *result = &w->jobs[sample].result;
    struct engine *engine = search_item_engine(&s->g, item->purpose);
    int judge = search_item_judges(&s->g, item->purpose), cached = w->prompt.count, asked = w->prompt.count - w->forced;
    struct search_event *event = search_event_make(SEARCH_EVENT_COMPLETION, -1, s->plan->step);
    if (sample == 0) {
        cached = search_prefixes_find(&s->prefixes[judge], w->prompt.ids, w->prompt.count);
        event->completion.prompt = xmalloc((size_t)(asked + 1) * sizeof *w->prompt.ids);
        if (asked)
            memcpy(event->completion.prompt, w->prompt.ids, (size_t)asked * sizeof *w->prompt.ids);
    }
    event->completion.item = i;
    event->completion.sample = sample;
    event->completion.prompt_count = asked;
    event->completion.ending = result->ending;
    event->completion.judge = judge;
    event->completion.clipped =
        w->jobs[sample].max_tokens < search_work_most(s, i, sample) && result->ending == ENGINE_END_LENGTH;
    event->completion.usage = search_usage_of(engine, w->prompt.count, cached, result->count);
    take_tokens(s, item, w, result, event);
    event->completion.text = w->jobs[sample].said;
    w->jobs[sample].said = NULL;
    if (event->completion.text)
        return event;
    size_t *starts = xcalloc((size_t)event->completion.count + 1, sizeof *starts);
    event->completion.text = search_completion_text(engine, event->completion.tokens, event->completion.count, starts);
    free(starts);
    return event;
}

/* A completion and all that is read from it. No act of the user can come between them. */
static void record_sample(struct search *s, int i)
{
    const struct search_item *item = search_work_item(s, i);
    int sample = s->g.tree.done[i], most = s->g.tree.session->session.budget_nodes;
    struct search_event *completion = completion_event(s, i, sample);
    search_emit(s, completion);
    if (search_item_grows(item)) {
        int count;
        struct search_event **thoughts = search_item_thoughts(&s->g, item, completion, &count);
        for (int t = 0; t < count; t++) {
            thoughts[t]->thought.node = s->g.tree.count;
            if (most > 0 && s->g.tree.count > most) /* the root is none of them */
                search_event_release(thoughts[t]);
            else
                search_emit(s, thoughts[t]);
        }
        free(thoughts);
    } else if (sample + 1 == item->samples) {
        search_emit(s, search_item_judgement(&s->g, i, item, s->work[i].completions));
    }
}

/* --- asking the strategy ----------------------------------------------------------------------------------------- */

static void begin_plan(struct search *s, const struct search_item *items, int count, char *why, int64_t ask)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_PLAN, -1, s->g.tree.steps);
    event->plan.why = why;
    event->plan.items = search_items_copy(items, count);
    event->plan.count = count;
    event->plan.ask = ask;
    search_emit(s, event);
}

static void record_decision(struct search *s, struct search_plan *plan)
{
    struct search_event *event = search_plan_decision(plan, s->g.tree.steps - 1);
    event->decision.spent = search_is_spent(s);
    search_emit(s, event);
}

/* Nothing was written and nothing added since the result that stands, which says the same. */
static int says_the_same(const struct search_tree *tree, int node, const char *why)
{
    const struct search_event *old = tree->result;
    return old && old->result.node == node && !strcmp(old->result.why, why) && old->result.nodes == tree->count &&
           old->result.usage.prompt == tree->usage.prompt && old->result.usage.completion == tree->usage.completion;
}

/* The result, unless the one that stands says the same: a search that an act of the user woke may come to its end
 * again. */
static void record_result(struct search *s, struct search_plan *plan)
{
    const struct search_tree *tree = &s->g.tree;
    char *why = search_is_spent(s) ? xasprintf("budget spent: %s", plan->why) : xstrdup(plan->why);
    s->done = 1;
    if (says_the_same(tree, plan->node, why)) {
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
    event->result.spent = search_is_spent(s);
    search_emit(s, event);
}

static void ask_strategy(struct search *s, enum search_status *status)
{
    struct search_plan plan = {0};
    s->parameters.strategy->next(&s->g.tree, &s->parameters, search_is_spent(s), &plan);
    switch (plan.kind) {
    case SEARCH_PLAN_ITEMS:
        begin_plan(s, plan.items, plan.count, plan.why, 0);
        plan.why = NULL;
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
}

/* What the user asked for meanwhile; at a node that was pruned since it is done all the same, and not seen. */
static void do_ask(struct search *s)
{
    int64_t number = s->g.tree.asks[0];
    const struct search_item *item = s->g.tree.events[number]->ask.item;
    begin_plan(s, item, 1, xstrdup(item->fork ? "fork, as you asked" : search_item_grows(item) ? "sample again, as you asked" : "judge again, as you asked"), number);
}

/* --- a little at a time ------------------------------------------------------------------------------------------ */

static int try_plan(struct search *s, enum search_status *status, const struct search_job **waits, struct error *e)
{
    int i = search_work_next(s), code = search_work_send(s, e);
    if (code || i < 0)
        return code;
    const struct search_job *job = &s->work[i].jobs[s->g.tree.done[i]];
    if (s->g.tree.done[i] >= s->work[i].admitted)
        search_emit(s, search_work_known(s, i));
    else if (job->state == SEARCH_JOB_ENDED)
        record_sample(s, i);
    else
        *waits = job;
    if (!s->g.tree.step_open)
        *status = SEARCH_BETWEEN;
    return OK;
}

int search_try(struct search *s, enum search_status *status, const struct search_job **waits, struct error *e)
{
    int code = OK;
    *status = SEARCH_WORKING;
    *waits = NULL;
    if (s->done) {
        s->worked_until = 0;
        *status = SEARCH_DONE;
        return OK;
    }
    count_time(s);
    search_settle(s);
    if (s->g.tree.step_open && !search_is_spent(s))
        code = try_plan(s, status, waits, e);
    else if (!search_is_spent(s) && s->g.tree.ask_count)
        do_ask(s);
    else
        ask_strategy(s, status);
    int told = search_tell(s, e);
    return code ? code : told;
}

static int pass(struct search *s, struct engine *engine, int *live, struct error *e)
{
    int code = engine_step(engine, live, e);
    struct engine_result result;
    while (!code && engine_result(engine, &result))
        if (!search_work_take(s, engine, &result))
            engine_result_free(&result);
    return code;
}

int search_advance(struct search *s, enum search_status *status, struct error *e)
{
    const struct search_job *waits;
    int live = 0, judging = 0, code = search_try(s, status, &waits, e);
    if (!code && waits && waits->outside)
        judging = search_work_poll(s, .005);
    if (!code && waits)
        code = pass(s, s->g.engine, &live, e);
    if (!code && waits && !judging && s->g.judge)
        code = pass(s, s->g.judge, &judging, e);
    if (!code && waits && !live && !judging && waits->state != SEARCH_JOB_ENDED)
        return error_set(e, ERROR_ENGINE, "the engine has nothing to do, but request %d was not answered", waits->id);
    return code;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

int search_problem_open(const struct search_options *o, struct search_problem *out, struct error *e)
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
        code = search_problem_parse(o->task, text ? text : o->problem, answer, out, e);
    free(text);
    free(answer);
    return code;
}

int search_problem_check(const struct search_options *o, struct error *e)
{
    struct search_problem problem = {0};
    const int code = search_problem_open(o, &problem, e);
    search_problem_free(&problem);
    return code;
}

static struct engine_sampling choose_sampling(const struct search *s, const struct search_options *o)
{
    const struct search_strategy *strategy = s->parameters.strategy;
    struct engine_sampling sampling = engine_sampling_choose(o->sampling, search_task_sampling(s->g.task));
    if (strategy->temperature >= 0)
        sampling.temperature = (float)strategy->temperature;
    return sampling;
}

static struct search_event *session_event(const struct search *s, const struct search_options *o, const struct search_adapter *adapters,
                                          int adapter_count)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_SESSION, 0, -1);
    event->session.task = xstrdup(search_task_name(o->task));
    event->session.problem = xstrdup(s->g.problem.text);
    event->session.expected = xstrdup(s->g.problem.expected);
    event->session.strategy = xstrdup(s->strategy);
    event->session.model = xstrdup(engine_info(s->g.engine)->name);
    event->session.seed = o->seed;
    event->session.sampling = choose_sampling(s, o);
    event->session.budget_tokens = o->budget_tokens > 0 ? o->budget_tokens : 0;
    event->session.budget_flops = o->budget_flops;
    event->session.budget_nodes = o->budget_nodes;
    event->session.budget_time = o->budget_time;
    event->session.judge_model = o->judge ? xstrdup(engine_info(o->judge)->name) : NULL;
    event->session.grammar = o->grammar;
    event->session.adapters = search_adapters_copy(adapters, adapter_count);
    event->session.adapter_count = adapter_count;
    event->session.trained = s->g.task != o->task;
    event->session.judge_trained = o->judge && s->g.judge_task != o->task;
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

int search_check_commands(const struct search *s, const struct search_parameters *p, struct error *e)
{
    for (int i = 0; i < p->strategy->parameter_count && !s->commands && search_task_command(s->g.task); i++)
        if (!strcmp(p->strategy->parameters[i].name, "evaluate") && p->value[i] == SEARCH_VERIFIER - SEARCH_VALUE)
            return error_set(e, ERROR_USAGE, "the judge 'verifier' of task %s runs the program %s; allow that with --allow-commands",
                             search_task_name(s->g.task), search_task_command(s->g.task)->argv[0]);
    return OK;
}

static struct search *new_search(struct engine *engine, const struct search_options *o)
{
    struct search *s = xcalloc(1, sizeof *s);
    s->g.engine = engine;
    s->g.judge = o->judge;
    s->g.task = s->g.judge_task = o->task;
    s->g.oracle = search_oracle_open();
    s->commands = o->commands;
    s->journal = o->journal;
    s->tree_number = o->tree;
    s->sink = o->sink;
    s->context = o->context;
    return s;
}

int search_open(struct search **out, struct engine *engine, const struct search_options *o, struct error *e)
{
    struct search *s = new_search(engine, o);
    struct search_adapter *adapters = NULL;
    int adapter_count = 0, given;
    *out = NULL;
    int code = search_ground_choose(&s->g, o, e);
    const char *spec = code || o->strategy ? o->strategy : search_task_strategy(s->g.task);
    if (!code)
        code = search_parameters_parse(&s->parameters, spec, s->g.task, e);
    if (!code)
        code = search_adapters_of(spec, &adapters, &adapter_count, &given, e);
    if (!code)
        code = search_adapters_open(adapters, adapter_count, engine, &s->mix, e);
    if (!code)
        code = search_check_commands(s, &s->parameters, e);
    if (!code)
        code = search_problem_open(o, &s->g.problem, e);
    if (!code) {
        s->strategy = search_strategy_spelled(&s->parameters, adapters, adapter_count);
        struct search_event *event = session_event(s, o, adapters, adapter_count);
        search_event_round(event);
        search_note(s, event); /* nothing is written before the problem is known to fit */
        code = s->failure.code ? search_tell(s, e) : check_first_prompt(s, e);
        if (!code)
            made(s, event);
        else
            search_event_release(event);
    }
    search_adapters_free(adapters, adapter_count);
    if (!code)
        code = search_tell(s, e);
    if (code)
        search_close(s);
    else
        *out = s;
    return code;
}

/* Is this the task and are these the models that the log was made with? */
static int check_session(const struct search *s, const struct search_event *event, struct error *e)
{
    const char *judge = s->g.judge ? engine_info(s->g.judge)->name : NULL;
    if (event->kind != SEARCH_EVENT_SESSION)
        return error_set(e, ERROR_INPUT, "the log does not begin with a session; expected one that espalier made");
    if (strcmp(event->session.task, search_task_name(s->g.task)))
        return error_set(e, ERROR_INPUT, "the session is of task %s, not %s; give it with -t", event->session.task,
                         search_task_name(s->g.task));
    if (strcmp(event->session.model, engine_info(s->g.engine)->name))
        return error_set(e, ERROR_INPUT, "the session was made with the model %s, this is %s; give its file with -m",
                         event->session.model, engine_info(s->g.engine)->name);
    if (!event->session.judge_model != !judge || (judge && strcmp(event->session.judge_model, judge)))
        return error_set(e, ERROR_INPUT, "the session was judged by the model %s; give its file with --judge-model",
                         event->session.judge_model ? event->session.judge_model : "itself: leave out --judge-model");
    return OK;
}

/* The prompts that the log was made with, whatever the models' files say now. */
static int choose_again(struct search *s, const struct search_options *o, const struct search_event *event, struct error *e)
{
    const struct search_setting *setting = &event->session;
    const struct search_task *trained = search_task_trained(o->task);
    if ((setting->trained || setting->judge_trained) && !trained)
        return error_set(e, ERROR_INPUT, "the session was made with prompts for trained models, and task %s has none: its `trained:` is gone",
                         search_task_name(o->task));
    s->g.task = setting->trained ? trained : o->task;
    s->g.judge_task = !s->g.judge ? s->g.task : setting->judge_trained ? trained : o->task;
    return OK;
}

int search_open_again(struct search **out, struct engine *engine, const struct search_options *o,
                      struct search_event *const *events, int64_t count, struct error *e)
{
    struct search *s = new_search(engine, o);
    *out = NULL;
    int code = count > 0 ? check_session(s, events[0], e) : error_set(e, ERROR_INPUT, "the session is empty");
    if (!code)
        code = choose_again(s, o, events[0], e);
    if (!code)
        code = search_problem_parse(o->task, events[0]->session.problem, events[0]->session.expected, &s->g.problem, e);
    if (!code)
        code = search_replay(s, events, count, e);
    read_time(s);
    if (!code)
        code = search_check_commands(s, &s->parameters, e);
    for (int64_t i = 0; i < count && !code && s->sink; i++)
        s->sink(s->context, events[i]);
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
    for (int i = 0; i < s->made_count; i++)
        search_event_release(s->made[i]);
    search_prefixes_free(&s->prefixes[0]);
    search_prefixes_free(&s->prefixes[1]);
    search_problem_free(&s->g.problem);
    search_tree_free(&s->g.tree);
    search_oracle_close(s->g.oracle);
    free(s->strategy);
    free(s->made);
    free(s->sent[0]);
    free(s->sent[1]);
    free(s->judged);
    free(s->judged_table);
    free(s->first);
    free(s->asked);
    free(s);
}
