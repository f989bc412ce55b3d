/* What a user does to a search, and what is shown of it meanwhile. */
#include "search/adapters.h"
#include "search/run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- memory ------------------------------------------------------------------------------------------------------ */

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

/* --- acts of the user -------------------------------------------------------------------------------------------- */

static struct search_event *begin_act(struct search *s, enum search_event_kind kind)
{
    return search_event_make(kind, -1, s->g.tree.steps - 1);
}

static int end_act(struct search *s, struct search_event *event, struct error *e)
{
    search_emit(s, event);
    return search_tell(s, e);
}

static int check_node(const struct search *s, int node, const char *what, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    if (node < 0 || node >= tree->count || tree->nodes[node].gone)
        return error_set(e, ERROR_INPUT, "there is no thought %d to %s; there are 0 to %d", node, what, tree->count - 1);
    return OK;
}

int search_prune(struct search *s, int node, struct error *e)
{
    int code = check_node(s, node, "prune", e);
    if (code)
        return code;
    if (node == 0)
        return error_set(e, ERROR_INPUT, "the problem itself cannot be pruned");
    if (search_tree_is_pruned(&s->g.tree, node))
        return error_set(e, ERROR_INPUT, "thought %d is pruned already", node);
    struct search_event *event = begin_act(s, SEARCH_EVENT_PRUNE);
    event->prune.node = node;
    code = end_act(s, event, e);
    forget(s, node);
    return code;
}

int search_restore(struct search *s, int node, struct error *e)
{
    int code = check_node(s, node, "restore", e), above = node;
    if (code)
        return code;
    if (!search_tree_is_pruned(&s->g.tree, node))
        return error_set(e, ERROR_INPUT, "thought %d is not pruned; there is nothing to restore", node);
    while (!s->g.tree.nodes[above].pruned)
        above = s->g.tree.nodes[above].parent;
    if (above != node)
        return error_set(e, ERROR_INPUT, "thought %d is pruned with thought %d above it; restore %d", node, above, above);
    struct search_event *event = begin_act(s, SEARCH_EVENT_RESTORE);
    event->prune.node = node;
    return end_act(s, event, e);
}

static int move_along(struct search *s, enum search_event_kind kind, int64_t target, struct error *e)
{
    struct search_event *event = begin_act(s, kind);
    event->undo.target = target;
    return end_act(s, event, e);
}

int search_undo(struct search *s, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    if (!tree->undo_count)
        return error_set(e, ERROR_INPUT, "there is nothing to undo");
    return move_along(s, SEARCH_EVENT_UNDO, tree->undo[tree->undo_count - 1], e);
}

int search_redo(struct search *s, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    if (!tree->redo_count)
        return error_set(e, ERROR_INPUT, "there is nothing to redo");
    return move_along(s, SEARCH_EVENT_REDO, tree->undo[tree->undo_count], e);
}

int search_back(struct search *s, int64_t target, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    if (target < 0)
        target = search_tree_latest_step(tree);
    if (target < 0)
        return error_set(e, ERROR_INPUT, "there is no step to go back before");
    if (target >= tree->event_count || tree->out[target] ||
        (tree->events[target]->kind != SEARCH_EVENT_PLAN && tree->events[target]->kind != SEARCH_EVENT_DECISION))
        return error_set(e, ERROR_INPUT, "event %lld is not a plan or a decision that holds; there is nothing to go back before",
                         (long long)target);
    struct search_event *event = begin_act(s, SEARCH_EVENT_BACK);
    event->back.target = target;
    return end_act(s, event, e);
}

int search_keep(struct search *s, int node, int on, struct error *e)
{
    int code = check_node(s, node, on ? "keep" : "let go", e);
    if (code)
        return code;
    if (node == 0)
        return error_set(e, ERROR_INPUT, "the problem itself cannot be kept: a path has at least one thought");
    if (s->g.tree.nodes[node].training == (on != 0))
        return error_set(e, ERROR_INPUT, on ? "thought %d is kept already" : "thought %d is not kept", node);
    struct search_event *event = begin_act(s, SEARCH_EVENT_KEEP);
    event->keep.node = node;
    event->keep.on = on != 0;
    return end_act(s, event, e);
}

/* --- thoughts of the user's own ---------------------------------------------------------------------------------- */

static int own_thought(struct search *s, int parent, int replaces, const char *text, struct error *e)
{
    while (*text == ' ' || *text == '\n' || *text == '\t')
        text++;
    size_t n = strlen(text);
    while (n && strchr(" \n\t", text[n - 1]))
        n--;
    if (!n)
        return error_set(e, ERROR_INPUT, "the thought is empty; expected some words");
    if (s->g.tree.nodes[parent].state == SEARCH_FINAL)
        return error_set(e, ERROR_INPUT, "nothing can follow thought %d: its path has ended", parent);
    struct search_event *event = begin_act(s, SEARCH_EVENT_THOUGHT);
    char *clean = search_text(text, n, NULL, 0);
    search_item_own_thought(&s->g, parent, clean, event);
    event->thought.node = s->g.tree.count;
    event->thought.replaces = replaces;
    event->thought.by_user = 1;
    free(clean);
    return end_act(s, event, e);
}

int search_add(struct search *s, int parent, const char *text, struct error *e)
{
    int code = check_node(s, parent, "add to", e);
    if (!code && search_tree_is_pruned(&s->g.tree, parent))
        return error_set(e, ERROR_INPUT, "thought %d is pruned; nothing is added below it", parent);
    return code ? code : own_thought(s, parent, -1, text, e);
}

int search_edit(struct search *s, int node, const char *text, struct error *e)
{
    int code = check_node(s, node, "edit", e);
    if (code)
        return code;
    if (node == 0)
        return error_set(e, ERROR_INPUT, "the problem itself cannot be edited; begin another search for another problem");
    if (search_tree_is_pruned(&s->g.tree, node))
        return error_set(e, ERROR_INPUT, "thought %d is pruned: restore it first (P, or restore %d)", node, node);
    return own_thought(s, s->g.tree.nodes[node].parent, node, text, e);
}

/* --- more of the model's ----------------------------------------------------------------------------------------- */

static int ask(struct search *s, struct search_item item, int node, struct error *e)
{
    struct search_event *event = begin_act(s, SEARCH_EVENT_ASK);
    item.nodes = &node;
    item.count = item.samples = 1;
    event->ask.item = search_items_copy(&item, 1);
    return end_act(s, event, e);
}

static int check_grows(const struct search *s, int node, struct error *e)
{
    if (search_tree_is_pruned(&s->g.tree, node))
        return error_set(e, ERROR_INPUT, "thought %d is pruned: restore it first (P, or restore %d)", node, node);
    return OK;
}

int search_again(struct search *s, int node, struct error *e)
{
    int code = check_node(s, node, "sample from", e);
    if (!code)
        code = check_grows(s, node, e);
    if (code)
        return code;
    if (s->g.tree.nodes[node].state == SEARCH_FINAL || s->g.tree.nodes[node].state == SEARCH_ILLEGAL)
        return error_set(e, ERROR_INPUT, "nothing can follow thought %d; sample again from the one above it", node);
    int propose = !search_task_has(s->g.task, SEARCH_SAMPLE);
    return ask(s, (struct search_item){.purpose = propose ? SEARCH_PROPOSE : SEARCH_SAMPLE}, node, e);
}

static int is_alternative(const struct engine_token *token, int id)
{
    for (int i = 0; i < ENGINE_TOP; i++)
        if (token->top[i].id == id)
            return id >= 0 && id != token->id;
    return 0;
}

static int no_alternative(const struct engine_token *at, int token, int node, int id, struct error *e)
{
    struct string all = {0};
    for (int i = 0; i < ENGINE_TOP; i++)
        if (is_alternative(at, at->top[i].id))
            string_addf(&all, "%s %d", all.length ? "," : "", at->top[i].id);
    const int status = error_set(e, ERROR_INPUT, "token %d of thought %d has no alternative %d among its most probable; there are:%s", token, node,
                                 id, all.length ? all.text : " none");
    string_free(&all);
    return status;
}

int search_fork(struct search *s, int node, int token, int id, struct error *e)
{
    int code = check_node(s, node, "fork", e);
    if (!code)
        code = check_grows(s, node, e);
    if (code)
        return code;
    const struct search_node *n = &s->g.tree.nodes[node];
    if (!n->completion || !n->tokens)
        return error_set(e, ERROR_INPUT, "thought %d has no tokens of the model's to fork at", node);
    if (token < 0 || token >= n->tokens)
        return error_set(e, ERROR_INPUT, "thought %d has no token %d; it has 0 to %d", node, token, n->tokens - 1);
    int at = n->thought->thought.first + token;
    if (!is_alternative(&n->completion->completion.tokens[at], id))
        return no_alternative(&n->completion->completion.tokens[at], token, node, id, e);
    if (n->completion->completion.tokens[at].cut > 0 && s->g.tree.session->session.grammar)
        return error_set(e, ERROR_INPUT, "token %d of thought %d was held to the grammar; fork there without it", token, node);
    const struct search_event *plan = NULL;
    for (int64_t i = n->completion->number; i >= 0 && !plan; i--)
        if (s->g.tree.events[i]->kind == SEARCH_EVENT_PLAN && s->g.tree.events[i]->step == n->completion->step)
            plan = s->g.tree.events[i];
    enum search_purpose purpose = plan->plan.items[n->completion->completion.item].purpose;
    return ask(s, (struct search_item){.purpose = purpose, .fork = n->completion->number, .token = at, .id = id}, n->parent, e);
}

/* --- a judge's word again ---------------------------------------------------------------------------------------- */

/* What is known without asking comes out the same: copies and ends without an answer are worth 0, rules say what they said. */
static int is_asked(const struct search_tree *tree, const struct search_event *judgement)
{
    if (!judgement->judgement.count)
        return 0;
    const struct search_node *n = &tree->nodes[judgement->judgement.nodes[0]];
    if (judgement->judgement.purpose == SEARCH_VOTE)
        return 1;
    return judgement->judgement.purpose <= SEARCH_PROCESS_REWARD && (n->state != SEARCH_FINAL || n->thought->thought.answer) &&
           search_original(tree, judgement->judgement.nodes[0]) == judgement->judgement.nodes[0];
}

/* The latest that a model was asked for. */
static const struct search_event *latest_judgement(const struct search_tree *tree)
{
    int64_t i = tree->event_count - 1;
    while (i >= 0 && (tree->events[i]->kind != SEARCH_EVENT_JUDGEMENT || tree->out[i] || !is_asked(tree, tree->events[i])))
        i--;
    return i < 0 ? NULL : tree->events[i];
}

int search_revote(struct search *s, int node, float temperature, struct error *e)
{
    const struct search_tree *tree = &s->g.tree;
    int code = node < 0 ? OK : check_node(s, node, "judge again", e);
    if (!code && node >= 0)
        code = check_grows(s, node, e);
    if (code)
        return code;
    const struct search_event *judgement = node < 0 ? latest_judgement(tree) : tree->nodes[node].judgement;
    if (!judgement)
        return node < 0 ? error_set(e, ERROR_INPUT, "no judge was asked yet")
                        : error_set(e, ERROR_INPUT, "no judge was asked about thought %d", node);
    const enum search_purpose judge = judgement->judgement.purpose;
    const int drawn = judge == SEARCH_VALUE || judge == SEARCH_VOTE;
    const int original = node < 0 || judge == SEARCH_VOTE ? node : search_original(tree, node);
    if (original != node)
        return error_set(e, ERROR_INPUT, "it reads as thought %d does, and a copy is given 0: ask about that one", original);
    if (!is_asked(tree, judgement))
        return error_set(e, ERROR_INPUT, "%s would say the same of it again: no model is asked there", search_purpose_name(judge));
    if (temperature >= 0 && !drawn)
        return error_set(e, ERROR_INPUT, "%s is computed, not drawn: a temperature changes nothing of it", search_purpose_name(judge));
    const struct search_item item = {.purpose = judge, .nodes = judgement->judgement.nodes, .count = judgement->judgement.count,
                                     .samples = !drawn ? 2 : judgement->judgement.samples ? judgement->judgement.samples : 1,
                                     .heated = temperature >= 0, .temperature = temperature >= 0 ? temperature : 0};
    struct search_event *event = begin_act(s, SEARCH_EVENT_ASK);
    event->ask.item = search_items_copy(&item, 1);
    return end_act(s, event, e);
}

/* --- votes again ------------------------------------------------------------------------------------------------- */

static int revote(struct search *s, const int *excluded, int count, const char *weight, struct error *e)
{
    struct search_event *event = begin_act(s, SEARCH_EVENT_REVOTE);
    event->revote.excluded = xmalloc((size_t)(count + 1) * sizeof *excluded);
    if (count)
        memcpy(event->revote.excluded, excluded, (size_t)count * sizeof *excluded);
    event->revote.count = count;
    event->revote.weight = xstrdup(weight);
    return end_act(s, event, e);
}

int search_exclude(struct search *s, int node, int on, struct error *e)
{
    const struct search_event *old = s->g.tree.revote;
    int code = check_node(s, node, on ? "exclude" : "include", e), count = 0;
    if (code)
        return code;
    if (s->g.tree.nodes[node].excluded == (on != 0))
        return error_set(e, ERROR_INPUT, on ? "thought %d has no vote already" : "thought %d has its vote", node);
    if (on && (!s->g.tree.nodes[node].thought || !s->g.tree.nodes[node].thought->thought.answer))
        return error_set(e, ERROR_INPUT, "thought %d is no answer: it has no vote to take away", node);
    int *excluded = xmalloc((size_t)((old ? old->revote.count : 0) + 1) * sizeof *excluded);
    for (int i = 0; old && i < old->revote.count; i++)
        if (old->revote.excluded[i] != node)
            excluded[count++] = old->revote.excluded[i];
    if (on)
        excluded[count++] = node;
    code = revote(s, excluded, count, old ? old->revote.weight : NULL, e);
    free(excluded);
    return code;
}

int search_weigh(struct search *s, const char *weight, struct error *e)
{
    const struct search_event *old = s->g.tree.revote;
    if (weight && strcmp(weight, "plurality") && strcmp(weight, "normalised"))
        return error_set(e, ERROR_USAGE, "weight '%s': expected plurality or normalised", weight);
    if (strcmp(s->parameters.strategy->name, search_self_consistency.name))
        return error_set(e, ERROR_INPUT, "%s does not weigh votes so: only self-consistency does; best-of-n and dvts by set weighted=0 or 1",
                         s->parameters.strategy->name);
    return revote(s, old ? old->revote.excluded : NULL, old ? old->revote.count : 0, weight, e);
}

/* --- what holds from here on ------------------------------------------------------------------------------------- */

static int64_t chosen(double new, double old)
{
    return (int64_t)(new < 0 ? 0 : new > 0 ? new : old);
}

int search_set(struct search *s, const struct search_options *o, int with_seed, struct error *e)
{
    const struct search_setting *old = &s->g.tree.session->session;
    const char *spec = o->strategy ? o->strategy : s->strategy;
    struct search_parameters parameters;
    struct search_adapter *adapters = NULL;
    int adapter_count = 0, given, code = search_parameters_parse(&parameters, spec, s->g.task, e);
    if (!code)
        code = search_check_commands(s, &parameters, e);
    if (!code)
        code = search_adapters_of(spec, &adapters, &adapter_count, &given, e);
    if (!code && !given) { /* nothing is said of them: they stay */
        adapters = search_adapters_copy(old->adapters, old->adapter_count);
        adapter_count = old->adapter_count;
    }
    int mix;
    if (!code)
        code = search_adapters_open(adapters, adapter_count, s->g.engine, &mix, e);
    if (code) {
        search_adapters_free(adapters, adapter_count);
        return code;
    }
    struct search_event *event = begin_act(s, SEARCH_EVENT_SETTING);
    event->session = *old;
    event->session.task = xstrdup(old->task);
    event->session.problem = xstrdup(old->problem);
    event->session.expected = xstrdup(old->expected);
    event->session.model = xstrdup(old->model);
    event->session.judge_model = xstrdup(old->judge_model);
    event->session.adapters = adapters;
    event->session.adapter_count = adapter_count;
    event->session.strategy = search_strategy_spelled(&parameters, adapters, adapter_count);
    event->session.seed = with_seed ? o->seed : old->seed;
    event->session.sampling = engine_sampling_choose(o->sampling, old->sampling);
    event->session.budget_tokens = chosen((double)o->budget_tokens, (double)old->budget_tokens);
    event->session.budget_nodes = (int)chosen(o->budget_nodes, old->budget_nodes);
    event->session.budget_flops = o->budget_flops < 0 ? 0 : o->budget_flops > 0 ? o->budget_flops : old->budget_flops;
    event->session.budget_time = o->budget_time < 0 ? 0 : o->budget_time > 0 ? o->budget_time : old->budget_time;
    return end_act(s, event, e);
}

int search_adapters(struct search *s, const struct search_adapter *list, int count, struct error *e)
{
    char *own = search_strategy_spelled(&s->parameters, list, count), *spec = xasprintf("%s%s", own, count ? "" : ",adapter=none");
    int code = search_set(s, &(struct search_options){.strategy = spec, .sampling = {-1, -1, -1, -1, -1}}, 0, e);
    free(spec);
    free(own);
    return code;
}

int search_adapt(struct search *s, const char *words, struct error *e)
{
    const struct search_setting *now = &s->g.tree.session->session;
    struct search_adapter one = {0}, *list = xcalloc((size_t)now->adapter_count + 1, sizeof *list);
    int count = 0, found = 0, none = !strcmp(words, "none"), code = OK;
    if (!*words)
        code = error_set(e, ERROR_USAGE, "expected an adapter: FILE, FILE:WEIGHT, or none, which takes all off");
    else if (!none)
        code = search_adapter_parse(words, &one.path, &one.weight, e);
    for (int i = 0; i < now->adapter_count && !code && !none; i++) {
        const int same = !strcmp(now->adapters[i].path, one.path);
        list[count] = now->adapters[i];
        list[count].weight = same ? one.weight : list[count].weight;
        found = found || same;
        count += list[count].weight != 0;
    }
    if (!code && !none && !found) {
        list[count] = one;
        count += one.weight != 0;
    }
    if (!code && !count && !now->adapter_count)
        code = error_set(e, ERROR_INPUT, "there is no adapter to leave out");
    if (!code)
        code = search_adapters(s, list, count, e);
    free(one.path);
    free(list);
    return code;
}

int search_break(struct search *s, const char *rule, int on, struct error *e)
{
    const struct search_event *now = s->g.tree.breaks;
    struct search_breakpoints list = {0};
    struct string rules = {0};
    struct error unknown; /* a rule of a later version is left out */
    if (now)
        search_breakpoints_read(&list, now->stops.rules, &unknown);
    int code = (on ? search_breakpoint_add : search_breakpoint_remove)(&list, rule, e);
    if (code)
        return code;
    struct search_event *event = begin_act(s, SEARCH_EVENT_BREAK);
    search_breakpoints_text(&list, &rules);
    event->stops.rules = xstrdup(string_text(&rules));
    string_free(&rules);
    return end_act(s, event, e);
}

/* --- in words ---------------------------------------------------------------------------------------------------- */

/* The next whole number of the words; 0 when there is none. */
static int next_number(const char **words, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(*words, &end, 10);
    if (end == *words || errno || (*end && *end != ' '))
        return 0;
    *words = end + strspn(end, " ");
    return 1;
}

/* "2k", "1.5M", "3e12"; NAN: it is none. */
static double amount(const char *text)
{
    static const char units[] = "kMG";
    char *end;
    double x = strtod(text, &end);
    const char *unit = end != text && *end ? strchr(units, *end) : NULL;
    for (int i = 0; unit && i <= unit - units; i++)
        x *= 1000;
    return end == text || (unit ? end[1] : *end) || !(x >= 0 && x < 9e15 * (1 + 1e6 * !unit)) ? NAN : x;
}

static int set_sampling(struct engine_sampling *sampling, const char *key, double x)
{
    const struct {
        const char *key;
        float *at;
        double most;
    } reals[] = {{"temperature", &sampling->temperature, 100}, {"top_p", &sampling->top_p, 1}, {"min_p", &sampling->min_p, 1}};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (!strcmp(key, reals[i].key) && x <= reals[i].most) {
            *reals[i].at = (float)x;
            return 1;
        }
    if (strcmp(key, "top_k") || !(x <= 1e9))
        return 0;
    sampling->top_k = (int)x;
    return 1;
}

/* A budget of 0 is none. */
static int set_budget(struct search_options *o, const char *key, double x)
{
    if (!strcmp(key, "tokens") && x < 9e15)
        o->budget_tokens = x >= 1 ? (int64_t)x : -1;
    else if (!strcmp(key, "nodes") && x < 2e9)
        o->budget_nodes = x >= 1 ? (int)x : -1;
    else if (!strcmp(key, "flops"))
        o->budget_flops = x > 0 ? x : -1;
    else if (!strcmp(key, "time"))
        o->budget_time = x > 0 ? x : -1;
    else
        return 0;
    return 1;
}

/* One KEY=VALUE. What is no word of ours is a parameter of the strategy. */
static int set_one(struct search *s, const char *key, const char *value, struct search_options *o, char **strategy, int *with_seed, struct error *e)
{
    static const char *const ours[] = {"seed", "temperature", "top_k", "top_p", "min_p", "tokens", "nodes", "flops", "time"};
    const double x = amount(value);
    char *end;
    if (!strcmp(key, "strategy")) {
        char *judged = NULL; /* who judges stays, unless that is said, too */
        int code = search_strategy_judged_as(value, *strategy ? *strategy : s->g.tree.session->session.strategy, &judged, e);
        free(*strategy);
        *strategy = judged;
        return code;
    }
    if (!strcmp(key, "seed")) {
        errno = 0;
        o->seed = strtoull(value, &end, 10);
        *with_seed = 1;
        if (*value >= '0' && *value <= '9' && !*end && !errno)
            return OK;
    }
    if (x >= 0 && (set_sampling(&o->sampling, key, x) || set_budget(o, key, x)))
        return OK;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcmp(key, ours[i]))
            return error_set(e, ERROR_USAGE, "set %s=%s: expected a number, as in seed=7, temperature=0.8, tokens=20k (0: no budget)", key, value);
    char *other = NULL;
    int code = search_strategy_with(*strategy ? *strategy : s->g.tree.session->session.strategy, key, value, &other, e);
    if (!code) {
        free(*strategy);
        *strategy = other;
    }
    return code;
}

static int set_in_words(struct search *s, const char *words, struct error *e)
{
    struct search_options o = {.sampling = {-1, -1, -1, -1, -1}};
    char *strategy = NULL;
    int with_seed = 0, code = OK;
    if (!*words)
        code = error_set(e, ERROR_USAGE, "set: expected strategy=..., judge=..., seed=..., temperature=..., tokens=..., or a parameter of the strategy");
    while (*words && !code) {
        size_t n = strcspn(words, " "), name = strcspn(words, "= ");
        if (words[name] != '=') {
            code = error_set(e, ERROR_USAGE, "set %.*s: expected KEY=VALUE, as in judge=vote or tokens=20k", (int)n, words);
            break;
        }
        char *key = xstrndup(words, name), *value = xstrndup(words + name + 1, n - name - 1);
        code = set_one(s, key, value, &o, &strategy, &with_seed, e);
        free(key);
        free(value);
        words += n + strspn(words + n, " ");
    }
    o.strategy = strategy;
    if (!code)
        code = search_set(s, &o, with_seed, e);
    free(strategy);
    return code;
}

static int revote_in_words(struct search *s, const char *words, struct error *e)
{
    static const char key[] = "temperature=";
    int64_t node = -1;
    double temperature = -1;
    const char *rest = words;
    int right = !(*rest >= '0' && *rest <= '9') || (next_number(&rest, &node) && node <= INT32_MAX);
    if (right && !strncmp(rest, key, sizeof key - 1)) {
        temperature = amount(rest + sizeof key - 1);
        right = temperature >= 0 && temperature <= 100;
    } else {
        right = right && !*rest;
    }
    if (!right)
        return error_set(e, ERROR_USAGE, "'revote %.60s': expected revote [THOUGHT] [temperature=X], X from 0 to 100", words);
    return search_revote(s, (int)node, (float)temperature, e);
}

int search_do(struct search *s, const char *words, struct error *e)
{
    static const struct {
        const char *verb, *form;
        int numbers, text;
    } verbs[] = {
        {"prune", "prune THOUGHT", 1, 0},  {"restore", "restore THOUGHT", 1, 0},
        {"undo", "undo", 0, 0},            {"redo", "redo", 0, 0},
        {"back", "back [EVENT]", 0, 1},    {"keep", "keep THOUGHT", 1, 0},      {"unkeep", "unkeep THOUGHT", 1, 0},
        {"add", "add THOUGHT TEXT", 1, 1}, {"edit", "edit THOUGHT TEXT", 1, 1}, {"again", "again THOUGHT", 1, 0},
        {"fork", "fork THOUGHT TOKEN ID", 3, 0}, {"exclude", "exclude THOUGHT", 1, 0}, {"include", "include THOUGHT", 1, 0},
        {"weight", "weight plurality|normalised", 0, 1}, {"set", "set KEY=VALUE ...", 0, 1},
        {"adapter", "adapter FILE[:WEIGHT]|none", 0, 1}, {"break", "break RULE", 0, 1}, {"unbreak", "unbreak RULE|all", 0, 1},
        {"revote", "revote [THOUGHT] [temperature=X]", 0, 1},
    };
    enum { PRUNE, RESTORE, UNDO, REDO, BACK, KEEP, UNKEEP, ADD, EDIT, AGAIN, FORK, EXCLUDE, INCLUDE, WEIGHT, SET, ADAPTER, BREAK, UNBREAK, REVOTE, VERBS };
    words += strspn(words, " ");
    size_t n = strcspn(words, " ");
    int verb = 0, read = 0;
    int64_t x[3] = {0}, event;
    while (verb < VERBS && (strlen(verbs[verb].verb) != n || strncmp(verbs[verb].verb, words, n)))
        verb++;
    if (verb == VERBS) {
        struct string all = {0};
        for (int i = 0; i < VERBS; i++)
            string_addf(&all, "%s%s", i ? ", " : "", verbs[i].verb);
        int code = error_set(e, ERROR_USAGE, "'%.*s' is no act; there are: %s", n > 40 ? 40 : (int)n, words, all.text);
        string_free(&all);
        return code;
    }
    const char *rest = words + n + strspn(words + n, " ");
    while (read < verbs[verb].numbers && next_number(&rest, &x[read]) && x[read] >= 0 && x[read] <= INT32_MAX)
        read++;
    if (read < verbs[verb].numbers || (*rest && !verbs[verb].text))
        return error_set(e, ERROR_USAGE, "'%.60s': expected %s", words, verbs[verb].form);
    int node = (int)x[0];
    switch (verb) {
    case PRUNE:
        return search_prune(s, node, e);
    case RESTORE:
        return search_restore(s, node, e);
    case UNDO:
        return search_undo(s, e);
    case REDO:
        return search_redo(s, e);
    case BACK:
        if (*rest && (!next_number(&rest, &event) || *rest || event < 0))
            return error_set(e, ERROR_USAGE, "'%.60s': expected %s", words, verbs[verb].form);
        return search_back(s, words[n] && words[n + strspn(words + n, " ")] ? event : -1, e);
    case KEEP:
    case UNKEEP:
        return search_keep(s, node, verb == KEEP, e);
    case ADD:
        return search_add(s, node, rest, e);
    case EDIT:
        return search_edit(s, node, rest, e);
    case AGAIN:
        return search_again(s, node, e);
    case FORK:
        return search_fork(s, node, (int)x[1], (int)x[2], e);
    case EXCLUDE:
    case INCLUDE:
        return search_exclude(s, node, verb == EXCLUDE, e);
    case WEIGHT:
        return search_weigh(s, rest, e);
    case BREAK:
    case UNBREAK:
        return search_break(s, rest, verb == BREAK, e);
    case REVOTE:
        return revote_in_words(s, rest, e);
    case ADAPTER:
        return search_adapt(s, rest, e);
    default:
        return set_in_words(s, rest, e);
    }
}

/* --- what is being written --------------------------------------------------------------------------------------- */

int search_live(const struct search *s, struct search_live *live)
{
    for (int w = live->item, after = live->sample; w < s->work_count; w++, after = -1) {
        if (!search_item_open(&s->g.tree, w))
            continue;
        for (int k = after + 1 > s->g.tree.done[w] ? after + 1 : s->g.tree.done[w]; k < s->work[w].admitted; k++) {
            const struct search_job *job = &s->work[w].jobs[k];
            const struct search_item *item = search_work_item(s, w);
            *live = (struct search_live){.node = item->nodes[0], .purpose = item->purpose, .item = w, .sample = k};
            if (job->state == SEARCH_JOB_ENDED) {
                live->tokens = job->result.tokens;
                live->count = job->result.count;
                return 1;
            }
            if (job->state == SEARCH_JOB_SENT && engine_so_far(s->g.engine, job->id, &live->tokens, &live->count))
                return 1;
        }
    }
    return 0;
}
