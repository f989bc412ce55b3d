/* What a search may cost, found by playing it without a model: every completion is as long as it may be, every path as deep, nothing is
 * illegal, no two answers agree. Prompts are the task's own, token for token; so is the strategy. */
#include "search/items.h"
#include "search/strategy.h"
#include "search/usage.h"

#include <stdlib.h>
#include <string.h>

struct play {
    struct search_ground g;
    struct search_parameters parameters;
    struct search_prefixes prefixes;
    struct search_estimate *out;
};

static struct search_event *fold(struct play *p, struct search_event *event)
{
    event->number = p->g.tree.event_count;
    search_tree_fold(&p->g.tree, event);
    search_event_release(event); /* the tree keeps it */
    return p->g.tree.events[event->number];
}

/* --- completions and judgements that nobody wrote ------------------------------------------------------------------ */

static struct search_event *completion(struct play *p, int i, int sample, int tokens, struct search_usage usage)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_COMPLETION, -1, p->g.tree.steps - 1);
    event->completion.item = i;
    event->completion.sample = sample;
    event->completion.count = tokens;
    event->completion.tokens = xcalloc((size_t)tokens + 1, sizeof *event->completion.tokens);
    event->completion.text = xstrdup("");
    event->completion.usage = usage;
    /* No two completions begin alike. */
    if (tokens)
        event->completion.tokens[0].id = (int)(p->g.tree.event_count % engine_info(p->g.engine)->vocabulary);
    return fold(p, event);
}

static void thought(struct play *p, int parent, const struct search_event *from, int first, int count)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_THOUGHT, -1, from->step);
    int node = p->g.tree.count, last = p->g.tree.nodes[parent].depth + 1 >= search_task_steps(p->g.task);
    event->thought.node = node;
    event->thought.parent = parent;
    event->thought.text = xasprintf("thought %d", node);
    event->thought.state = xstrdup(p->g.problem.state);
    event->thought.completion = from->number;
    event->thought.first = first;
    event->thought.count = count;
    event->thought.correct = -1;
    event->thought.final = last;
    event->thought.answer = last ? xasprintf("%d", node) : NULL;
    fold(p, event);
}

static void judgement(struct play *p, int i, const struct search_item *item)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_JUDGEMENT, -1, p->g.tree.steps - 1);
    event->judgement.item = i;
    event->judgement.purpose = item->purpose;
    event->judgement.count = item->count;
    event->judgement.nodes = xmalloc((size_t)item->count * sizeof *item->nodes);
    memcpy(event->judgement.nodes, item->nodes, (size_t)item->count * sizeof *item->nodes);
    event->judgement.scores = xcalloc((size_t)item->count, sizeof *event->judgement.scores);
    for (int k = 0; k < item->count; k++)
        event->judgement.scores[k] = 1;
    event->judgement.most = 1;
    event->judgement.labels = xcalloc(1, sizeof *event->judgement.labels);
    fold(p, event);
}

/* --- one step ---------------------------------------------------------------------------------------------------- */

static int sample(struct play *p, int i, int k, const struct engine_tokens *prompt)
{
    const struct search_item *item = &p->g.tree.latest_plan->plan.items[i];
    const struct engine *engine = search_item_engine(&p->g, item->purpose);
    const char *const *words = search_task_words(search_item_task(&p->g, item->purpose), item->purpose);
    int tokens = words ? 1 : search_task_max_tokens(search_item_task(&p->g, item->purpose), item->purpose), node = item->nodes[0];
    int room = engine_info(engine)->context - prompt->count, thoughts = item->purpose == SEARCH_PROPOSE ? SEARCH_ESTIMATE_PROPOSED : 1;
    tokens = tokens < room ? tokens : room > 0 ? room : 0;
    int cached = k ? prompt->count : search_prefixes_find(&p->prefixes, prompt->ids, prompt->count);
    struct search_usage usage = search_usage_of(engine, prompt->count, cached, tokens);
    const struct search_event *made = completion(p, i, k, tokens, usage);
    struct engine_tokens all = {0};
    engine_tokens_append(&all, prompt->ids, prompt->count);
    for (int t = 0; t < tokens; t++)
        engine_tokens_add(&all, made->completion.tokens[t].id);
    search_prefixes_add(&p->prefixes, all.ids, all.count);
    engine_tokens_free(&all);
    p->out->requests++;
    p->out->usage.prompt += usage.prompt;
    p->out->usage.cached += usage.cached;
    p->out->usage.completion += usage.completion;
    p->out->usage.flops += usage.flops;
    for (int t = 0; t < thoughts && search_item_grows(item); t++)
        thought(p, node, made, tokens * t / thoughts, tokens / thoughts);
    return tokens;
}

static int do_items(struct play *p, struct search_plan *plan, struct error *e)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_PLAN, -1, p->g.tree.steps);
    event->plan.why = plan->why;
    plan->why = NULL;
    event->plan.items = search_items_copy(plan->items, plan->count);
    event->plan.count = plan->count;
    fold(p, event);
    int code = OK;
    for (int i = 0; i < plan->count && !code; i++) {
        const struct search_item *item = &plan->items[i];
        struct engine_tokens prompt = {0};
        int ruled = search_item_is_ruled(&p->g, item->purpose) || search_item_is_outside(&p->g, item->purpose);
        if (!ruled)
            code = search_item_prompt(&p->g, item, &prompt, e);
        for (int k = 0; k < item->samples && !code && !ruled; k++)
            sample(p, i, k, &prompt);
        if (!search_item_grows(item) && !code)
            judgement(p, i, item);
        engine_tokens_free(&prompt);
    }
    return code;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static int within(const struct search_options *o, const struct search_estimate *e)
{
    int64_t tokens = e->usage.prompt - e->usage.cached + e->usage.completion;
    return (o->budget_tokens <= 0 || tokens <= o->budget_tokens) && (o->budget_flops <= 0 || e->usage.flops <= o->budget_flops) &&
           (o->budget_nodes <= 0 || e->nodes <= o->budget_nodes);
}

static int play(struct play *p, const struct search_options *o, struct error *e)
{
    int code = OK, done = 0;
    struct search_event *session = search_event_make(SEARCH_EVENT_SESSION, 0, -1);
    session->session.problem = xstrdup(p->g.problem.text);
    session->session.strategy = search_parameters_text(&p->parameters);
    session->session.seed = o->seed;
    fold(p, session);
    while (!code && !done) {
        struct search_plan plan = {0};
        p->parameters.strategy->next(&p->g.tree, &p->parameters, 0, &plan);
        if (plan.kind == SEARCH_PLAN_ITEMS)
            code = do_items(p, &plan, e);
        else if (plan.kind == SEARCH_PLAN_DECISION)
            fold(p, search_plan_decision(&plan, p->g.tree.steps - 1));
        else
            done = 1;
        search_plan_free(&plan);
        p->out->nodes = p->g.tree.count - 1;
        p->out->cut = !within(o, p->out);
        done = done || p->out->cut;
    }
    return code;
}

int search_estimate(struct search_estimate *out, struct engine *engine, const struct search_options *o, struct error *e)
{
    struct play p = {.g = {.engine = engine, .judge = o->judge}, .out = out};
    *out = (struct search_estimate){0};
    if (!engine_info(engine)->layers)
        return error_set(e, ERROR_INPUT, "%s: its shape is not known, so neither is what it costs", engine_info(engine)->path);
    int code = search_ground_choose(&p.g, o, e);
    if (!code)
        code = search_parameters_parse(&p.parameters, o->strategy ? o->strategy : search_task_strategy(p.g.task), p.g.task, e);
    if (!code)
        code = search_problem_open(o, &p.g.problem, e);
    if (!code)
        code = play(&p, o, e);
    search_problem_free(&p.g.problem);
    search_prefixes_free(&p.prefixes);
    search_tree_free(&p.g.tree);
    return code;
}
