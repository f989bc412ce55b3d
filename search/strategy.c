/* The strategies there are; how one is named with its parameters, "tot,b=5,generate=propose"; what they share. */
#include "search/strategy.h"
#include "search/adapters.h"
#include "search/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a person is told of each, in the same order as the strategies below it. */
static const struct search_strategy_about abouts[] = {
    {"greedy", "one path, always the most probable token", ""},
    {"sample", "one path, at the temperature asked for", ""},
    {"self-consistency", "m paths, the answer most of them come to (Wang et al. 2022)",
     "m=16 weight=plurality|normalised adaptive=0|1 threshold=0.95 round=1"},
    {"best-of-n", "n paths, the one whose answer is judged best",
     "n=16 evaluate=" SEARCH_JUDGES " judge=final|steps aggregate=last|min|prod weighted=0|1 n_evaluate_sample=3"},
    {"beam", "n thoughts a step, the best n/m of them go on m times each (Snell et al. 2024)",
     "n=16 m=4 evaluate=" SEARCH_JUDGES " aggregate=last|min|prod n_evaluate_sample=3"},
    {"dvts", "n/m trees side by side, each going on with the best of its m; their answers pooled",
     "n=16 m=4 evaluate=" SEARCH_JUDGES " aggregate=last|min|prod weighted=0|1 n_evaluate_sample=3"},
    {"tot", "tree of thoughts, breadth first: generate, evaluate, keep b (Yao et al. 2023)",
     "b=5 generate=propose|sample evaluate=" SEARCH_JUDGES " select=greedy|sample n_generate_sample=5 n_evaluate_sample=3"},
    {"tot-dfs", "tree of thoughts, depth first: the best thought first, back from what is judged impossible",
     "children=3 limit=100 generate=propose|sample evaluate=" SEARCH_JUDGES " first=1|0 n_generate_sample=5 n_evaluate_sample=3"},
    {"mcts", "Monte Carlo tree search: down by Q + U, back up what was found (UCT: Hao et al. 2023; PUCT: Silver et al. 2017)",
     "iterations=10 depth=5 select=uct|puct w=1 q=max|mean generate=propose|sample evaluate=" SEARCH_JUDGES
     " answer=best|edge n_generate_sample=4 n_evaluate_sample=3"},
    {"ab-mcts", "tree search that draws whether to go wider or deeper (AB-MCTS-A: Inoue et al. 2025)",
     "iterations=16 depth=5 prior=gaussian|beta evaluate=" SEARCH_JUDGES " n_evaluate_sample=3"},
    {"auto", "a few paths to tell how hard the problem is, then the strategy for that (Snell et al. 2024)",
     "probe=4 easy=0.75 medium=0.5 n=16 m=4 evaluate=" SEARCH_JUDGES " n_evaluate_sample=3"},
};
static const struct search_strategy *const strategies[] = {&search_greedy,    &search_sample, &search_self_consistency,
                                                           &search_best_of_n, &search_beam,   &search_dvts,
                                                           &search_tot,       &search_tot_dfs, &search_mcts,
                                                           &search_ab_mcts,   &search_auto};
enum { STRATEGIES = sizeof strategies / sizeof *strategies };
_Static_assert(sizeof abouts / sizeof *abouts == STRATEGIES, "every strategy has its line of help");

const struct search_strategy_about *search_strategies(int *count)
{
    *count = STRATEGIES;
    return abouts;
}

const struct search_strategy *search_strategy_find(const char *name)
{
    for (int i = 0; i < STRATEGIES; i++)
        if (!strcmp(strategies[i]->name, name))
            return strategies[i];
    return NULL;
}

void search_tree_terms_list(const struct search_tree *tree, const int *nodes, int count, struct search_terms *out)
{
    struct search_parameters p;
    const char *spec = tree->session ? tree->session->session.strategy : NULL;
    memset(out, 0, (size_t)count * sizeof *out);
    if (!spec || !count || nodes[0] <= 0 || nodes[0] >= tree->count || search_parameters_parse(&p, spec, NULL, NULL) || !p.strategy->terms)
        return;
    struct search_nodes choices = search_choices(tree, tree->nodes[nodes[0]].parent);
    for (int i = 0; i < count; i++)
        if (!search_tree_is_pruned(tree, nodes[i]))
            out[i].there = p.strategy->terms(tree, &p, &choices, nodes[i], &out[i]);
    free(choices.list);
}

int search_tree_terms(const struct search_tree *tree, int node, struct search_terms *out)
{
    search_tree_terms_list(tree, &node, 1, out);
    return out->there;
}

/* --- reading a specification ------------------------------------------------------------------------------------- */

/* Does the word of n bytes stand in a list of words that `separator` divides? Its place, or -1. */
static int word_index(const char *list, char separator, const char *word, size_t n)
{
    for (int i = 0; list && *list; i++) {
        const char *end = strchr(list, separator);
        size_t length = end ? (size_t)(end - list) : strlen(list);
        if (length == n && !memcmp(list, word, n))
            return i;
        list += length + (end != NULL);
    }
    return -1;
}

static char *choice_at(const char *choices, int index)
{
    while (index-- > 0)
        choices = strchr(choices, '|') + 1;
    return xstrndup(choices, strcspn(choices, "|"));
}

static const char *strategy_parameters(const struct search_strategy *s)
{
    for (int i = 0; i < STRATEGIES; i++)
        if (strategies[i] == s && *abouts[i].parameters)
            return abouts[i].parameters;
    return "none";
}

static int unknown_strategy(const char *name, size_t n, struct error *e)
{
    struct string known = {0};
    for (int i = 0; i < STRATEGIES; i++)
        string_addf(&known, "%s%s", i ? ", " : "", strategies[i]->name);
    int code = error_set(e, ERROR_USAGE, "unknown strategy '%.*s'; there are: %s", (int)n, name, string_text(&known));
    string_free(&known);
    return code;
}

static int read_number(const struct search_strategy *s, const struct search_parameter *p, const char *text, size_t n,
                       int *out, struct error *e)
{
    char *copy = xstrndup(text, n), *end;
    errno = 0;
    long value = strtol(copy, &end, 10);
    int bad = end == copy || *end || errno || value < p->least || value > p->most;
    free(copy);
    if (bad)
        return error_set(e, ERROR_USAGE, "%s: %s=%.*s: expected a whole number from %d to %d", s->name, p->name, (int)n,
                         text, p->least, p->most);
    *out = (int)value;
    return OK;
}

static int read_real(const struct search_strategy *s, const struct search_parameter *p, const char *text, size_t n,
                     double *out, struct error *e)
{
    char *copy = xstrndup(text, n), *end;
    double value = strtod(copy, &end);
    int good = end != copy && !*end && value >= p->real.least && value <= p->real.most; /* not so for NaN */
    free(copy);
    if (!good)
        return error_set(e, ERROR_USAGE, "%s: %s=%.*s: expected a number from %g to %g", s->name, p->name, (int)n, text,
                         p->real.least, p->real.most);
    *out = value;
    return OK;
}

static int read_parameter(struct search_parameters *out, unsigned *given, const char *text, size_t n, struct error *e)
{
    const struct search_strategy *s = out->strategy;
    const char *equals = memchr(text, '=', n);
    size_t name = equals ? (size_t)(equals - text) : n;
    for (int i = 0; i < s->parameter_count; i++) {
        const struct search_parameter *p = &s->parameters[i];
        if (word_index(p->name, ' ', text, name) < 0 && word_index(p->aliases, ' ', text, name) < 0)
            continue;
        if (*given & 1u << i)
            return error_set(e, ERROR_USAGE, "%s: %s is given twice", s->name, p->name);
        *given |= 1u << i;
        const char *value = equals ? equals + 1 : text + n;
        size_t length = (size_t)(text + n - value);
        if (p->real.most > 0)
            return read_real(s, p, value, length, &out->real[i], e);
        if (!p->choices)
            return read_number(s, p, value, length, &out->value[i], e);
        out->value[i] = word_index(p->choices, '|', value, length);
        if (out->value[i] < 0)
            return error_set(e, ERROR_USAGE, "%s: %s=%.*s: expected one of %s", s->name, p->name, (int)length, value,
                             p->choices);
        return OK;
    }
    return error_set(e, ERROR_USAGE, "%s: unknown parameter '%.*s'; there are: %s", s->name, (int)name, text,
                     strategy_parameters(s));
}

/* --- what a task can be asked ------------------------------------------------------------------------------------ */

static int has_prompt(const struct search_task *task, const char *name)
{
    for (int purpose = SEARCH_SAMPLE; purpose < SEARCH_PURPOSES; purpose++)
        if (!strcmp(search_purpose_name(purpose), name))
            return search_task_has(task, purpose);
    return 0;
}

static int no_prompt(const struct search_parameters *p, const struct search_task *task, const char *wanted,
                     struct error *e)
{
    struct string have = {0};
    for (int purpose = SEARCH_SAMPLE; purpose < SEARCH_PURPOSES; purpose++)
        if (search_task_has(task, purpose))
            string_addf(&have, "%s%s", have.length ? ", " : "", search_purpose_name(purpose));
    int asked = strcmp(wanted, search_purpose_name(SEARCH_VERIFIER)) && strcmp(wanted, search_purpose_name(SEARCH_ORACLE));
    int code = error_set(e, ERROR_USAGE, "%s needs %s '%s', which task %s does not have; it has: %s", p->strategy->name,
                         asked ? "the prompt" : "the judge", wanted, search_task_name(task), have.length ? have.text : "none");
    string_free(&have);
    return code;
}

static int match_task(struct search_parameters *out, unsigned given, const struct search_task *task, struct error *e)
{
    out->worst = search_task_worst(task);
    if (out->strategy->samples && !search_task_has(task, SEARCH_SAMPLE))
        return no_prompt(out, task, "sample", e);
    for (int i = 0; i < out->strategy->parameter_count; i++) {
        const struct search_parameter *p = &out->strategy->parameters[i];
        if (!p->prompts)
            continue;
        int found = 0, first = given & 1u << i ? out->value[i] : 0;
        for (int c = first; !found && c <= (given & 1u << i ? first : p->prompts - 1); c++) {
            char *name = choice_at(p->choices, c);
            found = has_prompt(task, name);
            out->value[i] = found ? c : out->value[i];
            free(name);
        }
        if (!found) {
            char *name = choice_at(p->choices, first);
            int code = no_prompt(out, task, name, e);
            free(name);
            return code;
        }
    }
    return OK;
}

int search_parameters_parse(struct search_parameters *out, const char *spec, const struct search_task *task,
                            struct error *e)
{
    unsigned given = 0;
    struct search_adapter *adapters;
    size_t n = strcspn(spec, ",");
    int adapter_count, any, code = search_adapters_of(spec, &adapters, &adapter_count, &any, e);
    search_adapters_free(adapters, adapter_count);
    if (code)
        return code;
    char *name = xstrndup(spec, n);
    *out = (struct search_parameters){.strategy = search_strategy_find(name)};
    free(name);
    if (!out->strategy)
        return unknown_strategy(spec, n, e);
    for (int i = 0; i < out->strategy->parameter_count; i++) {
        out->value[i] = out->strategy->parameters[i].standard;
        out->real[i] = out->strategy->parameters[i].real.standard;
    }
    for (spec += n; *spec == ','; spec += n) {
        n = search_spec_piece(++spec);
        code = !strncmp(spec, "adapter=", 8) ? OK : read_parameter(out, &given, spec, n, e);
        if (code)
            return code;
    }
    return task ? match_task(out, given, task, e) : OK;
}

int search_strategy_check(const char *spec, struct error *e)
{
    struct search_parameters p;
    return search_parameters_parse(&p, spec, NULL, e);
}

static const struct search_parameter *find_parameter(const struct search_strategy *s, const char *name)
{
    for (int i = 0; i < s->parameter_count; i++)
        if (word_index(s->parameters[i].name, ' ', name, strlen(name)) >= 0 ||
            word_index(s->parameters[i].aliases, ' ', name, strlen(name)) >= 0)
            return &s->parameters[i];
    return NULL;
}

/* Does the specification give this parameter, by any of its names? */
static int gives(const char *spec, const struct search_parameter *p)
{
    while (p && (spec = strchr(spec, ','))) {
        size_t n = strcspn(++spec, "=,");
        if (word_index(p->name, ' ', spec, n) >= 0 || word_index(p->aliases, ' ', spec, n) >= 0)
            return 1;
    }
    return 0;
}

int search_strategy_judged(const char *spec, const char *judge, char **out, int *judges, struct error *e)
{
    struct search_parameters p;
    int code = search_parameters_parse(&p, spec, NULL, e);
    if (code)
        return code;
    const struct search_parameter *evaluate = find_parameter(p.strategy, "evaluate");
    const struct search_parameter *samples = find_parameter(p.strategy, "n_evaluate_sample");
    size_t name = strcspn(judge, ",");
    const char *rest = judge + name;
    if (word_index(SEARCH_JUDGES, '|', judge, name) < 0)
        return error_set(e, ERROR_USAGE, "unknown judge '%.*s'; there are: %s", (int)name, judge, SEARCH_JUDGES);
    if (*rest && (strncmp(rest, ",samples=", 9) || strchr(rest + 1, ',')))
        return error_set(e, ERROR_USAGE, "judge '%s': expected NAME or NAME,samples=N", judge);
    struct string text = {0};
    string_add(&text, spec);
    *judges = evaluate != NULL;
    if (evaluate && !gives(spec, evaluate))
        string_addf(&text, ",%s=%.*s", evaluate->name, (int)name, judge);
    if (samples && *rest && !gives(spec, samples))
        string_addf(&text, ",%s=%s", samples->name, rest + 9);
    *out = text.text;
    return search_parameters_parse(&p, text.text, NULL, e);
}

int search_strategy_judged_as(const char *spec, const char *other, char **out, struct error *e)
{
    struct search_parameters p;
    int judges, code = search_parameters_parse(&p, other, NULL, e);
    *out = NULL;
    if (code)
        return code;
    const struct search_parameter *evaluate = find_parameter(p.strategy, "evaluate");
    char *judge = evaluate ? choice_at(evaluate->choices, p.value[evaluate - p.strategy->parameters]) : NULL;
    if (judge)
        code = search_strategy_judged(spec, judge, out, &judges, e);
    else
        *out = xstrdup(spec);
    free(judge);
    return code;
}

int search_strategy_with(const char *spec, const char *name, const char *value, char **out, struct error *e)
{
    struct search_parameters p;
    struct string text = {0};
    int code = search_parameters_parse(&p, spec, NULL, e);
    if (code)
        return code;
    const struct search_parameter *parameter = find_parameter(p.strategy, name);
    if (!strcmp(name, "judge") && (!parameter || word_index(SEARCH_JUDGES, '|', value, strlen(value)) >= 0)) /* best-of-n has one of its own */
        parameter = find_parameter(p.strategy, "evaluate");
    if (!parameter)
        return error_set(e, ERROR_USAGE, "%s: unknown parameter '%s'; there are: %s", p.strategy->name, name, strategy_parameters(p.strategy));
    size_t n = strcspn(spec, ",");
    string_append(&text, spec, n);
    for (spec += n; *spec == ','; spec += n) { /* all but what gave it until now */
        n = search_spec_piece(++spec);
        const size_t key = strcspn(spec, "=,");
        if (word_index(parameter->name, ' ', spec, key) < 0 && word_index(parameter->aliases, ' ', spec, key) < 0)
            string_addf(&text, ",%.*s", (int)n, spec);
    }
    string_addf(&text, ",%s=%s", parameter->name, value);
    *out = text.text;
    return OK;
}

int search_strategy_adapted(const char *spec, const char *const *adapters, int count, char **out, struct error *e)
{
    struct search_adapter *list;
    struct string text = {0};
    int have, given, code = search_adapters_of(spec, &list, &have, &given, e);
    search_adapters_free(list, have);
    string_add(&text, spec);
    for (int i = 0; i < count && !code && !given; i++) {
        struct search_adapter one = {0};
        code = search_adapter_parse(adapters[i], &one.path, &one.weight, e);
        if (!code)
            search_adapters_append(&text, &one, 1);
        free(one.path);
    }
    *out = text.text;
    return code;
}

/* In as few digits as read back as the same number. */
static void add_real(struct string *out, double value)
{
    char text[32];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    string_add(out, text);
}

char *search_parameters_text(const struct search_parameters *p)
{
    struct string out = {0};
    string_add(&out, p->strategy->name);
    for (int i = 0; i < p->strategy->parameter_count; i++) {
        const struct search_parameter *parameter = &p->strategy->parameters[i];
        if (parameter->quiet && p->value[i] == parameter->standard && p->real[i] == parameter->real.standard)
            continue;
        if (parameter->real.most > 0) {
            string_addf(&out, ",%s=", parameter->name);
            add_real(&out, p->real[i]);
        } else if (parameter->choices) {
            char *choice = choice_at(parameter->choices, p->value[i]);
            string_addf(&out, ",%s=%s", parameter->name, choice);
            free(choice);
        } else {
            string_addf(&out, ",%s=%d", parameter->name, p->value[i]);
        }
    }
    return out.text;
}

char *search_strategy_spelled(const struct search_parameters *p, const struct search_adapter *adapters, int count)
{
    struct string text = {0};
    char *own = search_parameters_text(p);
    string_add(&text, own);
    free(own);
    search_adapters_append(&text, adapters, count);
    return text.text;
}

/* --- plans ------------------------------------------------------------------------------------------------------- */

void search_plan_item(struct search_plan *plan, enum search_purpose purpose, const int *nodes, int count, int samples)
{
    ARRAY_RESERVE(plan->items, plan->count, plan->capacity);
    struct search_item *item = &plan->items[plan->count++];
    *item = (struct search_item){.purpose = purpose, .count = count, .samples = samples};
    item->nodes = xmalloc((size_t)count * sizeof *nodes);
    memcpy(item->nodes, nodes, (size_t)count * sizeof *nodes);
    plan->kind = SEARCH_PLAN_ITEMS;
}

void search_plan_keep(struct search_plan *plan, int node)
{
    ARRAY_RESERVE(plan->kept, plan->kept_count, plan->kept_capacity);
    plan->kept[plan->kept_count++] = node;
    plan->kind = SEARCH_PLAN_DECISION;
}

void search_plan_back_up(struct search_plan *plan, int node, double reward)
{
    ARRAY_RESERVE(plan->backups, plan->backup_count, plan->backup_capacity);
    plan->backups[plan->backup_count++] = (struct search_backup){node, reward};
    plan->kind = SEARCH_PLAN_DECISION;
}

void search_plan_done(struct search_plan *plan, int node, char *why)
{
    plan->kind = SEARCH_PLAN_DONE;
    plan->node = node;
    plan->why = why;
}

struct search_event *search_plan_decision(struct search_plan *plan, int step)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_DECISION, -1, step);
    event->decision.kept = plan->kept;
    event->decision.kept_count = plan->kept_count;
    event->decision.why = plan->why;
    event->decision.tally = plan->tally;
    event->decision.tally_count = plan->tally_count;
    event->decision.tie = plan->tie;
    event->decision.backups = plan->backups;
    event->decision.backup_count = plan->backup_count;
    search_items_free(plan->items, plan->count);
    *plan = (struct search_plan){0};
    return event;
}

void search_plan_free(struct search_plan *plan)
{
    search_items_free(plan->items, plan->count);
    for (int i = 0; i < plan->tally_count; i++)
        free(plan->tally[i].answer);
    free(plan->tally);
    free(plan->backups);
    free(plan->kept);
    free(plan->why);
    *plan = (struct search_plan){0};
}

/* --- what several strategies ask of a tree ------------------------------------------------------------------------ */

void search_nodes_add(struct search_nodes *nodes, int node)
{
    ARRAY_RESERVE(nodes->list, nodes->count, nodes->capacity);
    nodes->list[nodes->count++] = node;
}

int search_nodes_hold(const struct search_nodes *nodes, int node)
{
    for (int i = 0; i < nodes->count; i++)
        if (nodes->list[i] == node)
            return 1;
    return 0;
}

int search_next_child(const struct search_tree *tree, int node, int after)
{
    int child = after < 0 ? tree->nodes[node].first_child : tree->nodes[after].next_sibling;
    while (child >= 0 && tree->nodes[child].pruned)
        child = tree->nodes[child].next_sibling;
    return child;
}

int search_leaf_of(const struct search_tree *tree, int node)
{
    for (int child; (child = search_next_child(tree, node, -1)) >= 0;)
        node = child;
    return node;
}

int search_grow_paths(const struct search_tree *tree, int count, struct search_plan *plan)
{
    if (tree->nodes[0].state == SEARCH_FRONTIER) {
        search_plan_item(plan, SEARCH_SAMPLE, (int[]){0}, 1, count);
        plan->why = xasprintf("begin %d path%s", count, count == 1 ? "" : "s");
        return 1;
    }
    for (int path = search_next_child(tree, 0, -1); path >= 0; path = search_next_child(tree, 0, path)) {
        int leaf = search_leaf_of(tree, path);
        if (tree->nodes[leaf].state == SEARCH_FRONTIER)
            search_plan_item(plan, SEARCH_SAMPLE, &leaf, 1, 1);
    }
    const int more = count - tree->nodes[0].sampled; /* of those asked for since; a pruned path is not replaced */
    if (plan->count) {
        plan->why = xasprintf("go on with %d path%s", plan->count, plan->count == 1 ? "" : "s");
    } else if (more > 0) {
        search_plan_item(plan, SEARCH_SAMPLE, (int[]){0}, 1, more);
        plan->why = xasprintf("begin %d more path%s", more, more == 1 ? "" : "s");
    }
    return plan->count;
}

double search_path_logprob(const struct search_tree *tree, int node)
{
    double sum = 0;
    int tokens = 0;
    for (; node > 0; node = tree->nodes[node].parent) {
        sum += tree->nodes[node].logprob;
        tokens += tree->nodes[node].tokens;
    }
    return tokens ? sum / tokens : 0;
}

int search_decided(const struct search_tree *tree, const struct search_plan *plan)
{
    const struct search_event *d = tree->latest_decision;
    if (!d || d->decision.tally_count != plan->tally_count || d->decision.kept_count != plan->kept_count)
        return 0;
    for (int i = 0; i < plan->kept_count; i++)
        if (d->decision.kept[i] != plan->kept[i])
            return 0;
    for (int i = 0; i < plan->tally_count; i++)
        if (d->decision.tally[i].node != plan->tally[i].node || d->decision.tally[i].votes != plan->tally[i].votes)
            return 0;
    return 1;
}

/* The user has taken its vote. */
static int is_excluded(const struct search_tree *tree, int node)
{
    for (; tree->revote && tree->revote->revote.count && node >= 0; node = tree->nodes[node].parent)
        if (tree->nodes[node].excluded)
            return 1;
    return 0;
}

int search_has_answer(const struct search_tree *tree, int node)
{
    const struct search_node *n = &tree->nodes[node];
    return n->state == SEARCH_FINAL && n->thought->thought.answer && !search_tree_is_pruned(tree, node) &&
           !is_excluded(tree, node);
}

int search_same_path(const struct search_tree *tree, int a, int b)
{
    for (; a != b; a = tree->nodes[a].parent, b = tree->nodes[b].parent)
        if (tree->nodes[a].depth != tree->nodes[b].depth ||
            strcmp(search_node_text(tree, a), search_node_text(tree, b)))
            return 0;
    return 1;
}
