/* The searches of a command line: their task, problem, strategies, and the session on disk that they are kept in or come from. */
#include "tui/options.h"
#include "tui/tui.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What opens when nothing is asked: for the model that comes with the program a problem that it needs a tree for; for any other one that
 * a very small model gets right in most of its paths, and wrong in ways that one can follow. */
void tui_first_search(const struct tui_options *o, const char **task, const char **problem)
{
    const int shipped = tui_model_is_shipped(o);
    *task = shipped ? "game24" : "math-word";
    *problem = shipped ? "4 5 6 10" : "@31";
}

/* --- where a session is ------------------------------------------------------------------------------------------ */

int tui_session_path(const char *name, char **path, struct error *e)
{
    if (strchr(name, '/')) {
        *path = xstrdup(name);
        return OK;
    }
    char *folder = search_journal_folder(e);
    if (!folder)
        return e->code;
    const char *dot = strrchr(name, '.');
    *path = xasprintf("%s/%s%s", folder, name, dot && !strcmp(dot, ".session") ? "" : ".session");
    free(folder);
    return OK;
}

int tui_session_find(const struct tui_options *o, char **path, int *there, struct error *e)
{
    *path = NULL;
    const int code = o->session ? tui_session_path(o->session, path, e) : OK;
    *there = *path && access(*path, F_OK) == 0;
    return code;
}

/* --- strategies -------------------------------------------------------------------------------------------------- */

int tui_strategies_choose(const struct tui_options *o, const struct search_task *task, char ***out, int *count, struct error *e)
{
    int any = 0, code = OK;
    *count = o->strategy_count ? o->strategy_count : 1;
    char **list = *out = xcalloc((size_t)*count, sizeof *list);
    for (int i = 0; i < *count && !code; i++) {
        const char *spec = o->strategy_count ? o->strategies[i] : search_task_strategy(task);
        int judges = 0;
        code = search_strategy_adapted(spec, o->adapters, o->adapter_count, &list[i], e);
        if (!code && o->judge) {
            char *adapted = list[i];
            list[i] = NULL;
            code = search_strategy_judged(adapted, o->judge, &list[i], &judges, e);
            free(adapted);
        }
        any = any || judges;
    }
    if (!code && o->judge && !any)
        code = error_set(e, ERROR_USAGE, "--judge %s: %s asks no judge", o->judge, list[0]);
    return code;
}

int tui_prompts(const struct tui_options *o, enum search_prompts *out, struct error *e)
{
    static const char *const names[] = {[SEARCH_PROMPTS_AUTO] = "auto", [SEARCH_PROMPTS_TRAINED] = "trained", [SEARCH_PROMPTS_PLAIN] = "plain"};
    *out = SEARCH_PROMPTS_AUTO;
    for (int i = 0; o->prompts && i < 3; i++)
        if (!strcmp(o->prompts, names[i])) {
            *out = (enum search_prompts)i;
            return OK;
        }
    return o->prompts ? error_set(e, ERROR_USAGE, "--prompts %s: expected auto, trained or plain", o->prompts) : OK;
}

/* --- a new session ----------------------------------------------------------------------------------------------- */

/* The task with the prompts that the model will be asked with: these have a default strategy of their own. */
static int with_prompts(const struct tui_searches *s, const struct tui_options *o, const struct search_task **out, struct error *e)
{
    enum search_prompts prompts;
    struct engine *engine;
    *out = s->task;
    int code = tui_prompts(o, &prompts, e);
    if (code || o->strategy_count || !search_task_has_trained(s->task) || (code = tui_engine_open_at(o, s->model, TUI_DESCRIPTION, &engine, e)))
        return code;
    code = search_task_choose(s->task, prompts, engine, out, e);
    engine_close(engine);
    return code;
}

static int begin(struct tui_searches *s, const struct tui_options *o, struct error *e)
{
    const char *first_task, *first_problem;
    const struct search_task *asked;
    tui_first_search(o, &first_task, &first_problem);
    int code = search_task_open(&s->task, o->task ? o->task : o->word_count ? "ask" : first_task, e);
    if (!code && !o->word_count && o->task)
        code = error_set(e, ERROR_USAGE, "no problem: task %s expects %s, or @ROW of its data", search_task_name(s->task),
                         search_task_problem_form(s->task));
    if (!code)
        code = tui_model_path(o, s->task, &s->model, e);
    if (!code)
        code = with_prompts(s, o, &asked, e);
    if (!code)
        code = tui_strategies_choose(o, asked, &s->strategies, &s->count, e);
    if (code)
        return code;
    struct string text = {0};
    for (int i = 0; i < o->word_count; i++)
        string_addf(&text, "%s%s", i ? " " : "", o->words[i]);
    s->problem = o->word_count ? text.text : xstrdup(first_problem);
    return search_problem_check(&(struct search_options){.task = s->task, .problem = s->problem, .data = o->data}, e);
}

/* Each set of kernels has last digits of its own. A session is gone on with on any machine, and it is said that it moved. */
static int note_kernels(struct tui_searches *s, const struct tui_options *o, struct error *e)
{
    const struct kernel_set *set;
    int code = kernel_set_find(o->kernels ? o->kernels : "auto", &set, e);
    char *had = !code && s->loaded.journal ? search_journal_get(s->loaded.journal, "kernels") : NULL;
    if (had && strcmp(had, set->name))
        snprintf(s->notice, sizeof s->notice, "begun with kernels %.20s; with %.20s what is computed from here on may differ from there", had, set->name);
    if (!code && s->journal)
        code = search_journal_set(s->journal, "kernels", set->name, e);
    free(had);
    return code;
}

const char *tui_searches_asked(const struct tui_searches *s, int i)
{
    return s->resumed ? s->loaded.list[i].asked : s->strategies[i];
}

/* What a session needs to be gone on with, beside its events. */
static int describe(struct tui_searches *s, const char *model, const struct tui_options *o, struct error *e)
{
    char *paths[2] = {realpath(model, NULL), realpath(search_task_path(s->task), NULL)};
    char *sum = xasprintf("%016llx", (unsigned long long)search_task_sum(s->task));
    int code = search_journal_set(s->journal, "model", paths[0] ? paths[0] : model, e);
    if (!code)
        code = search_journal_set(s->journal, "task", paths[1] ? paths[1] : search_task_path(s->task), e);
    if (!code)
        code = search_journal_set(s->journal, "task_sum", sum, e);
    if (!code)
        code = search_journal_set(s->journal, "quant", o->quant ? o->quant : "", e);
    if (!code)
        code = search_journal_set(s->journal, "kv_type", o->kv_type ? o->kv_type : "", e);
    for (int i = 0; i < s->count && !code; i++) {
        char *key = xasprintf("strategy %d", i);
        code = search_journal_set(s->journal, key, tui_searches_asked(s, i) ? tui_searches_asked(s, i) : "", e);
        free(key);
    }
    free(sum);
    free(paths[0]);
    free(paths[1]);
    return code;
}

/* --- a session that is there ------------------------------------------------------------------------------------- */

/* The same searches up to an event, in a session of their own: the one they come from stays as it is. */
static int fork_session(struct tui_searches *s, int64_t at, struct error *e)
{
    if (s->loaded.count != 1)
        return error_set(e, ERROR_USAGE, "--at goes with a session of one search; this is a race of %d", s->loaded.count);
    if (at < 1 || at > s->loaded.list[0].tree.event_count)
        return error_set(e, ERROR_USAGE, "--at %lld: the session has the events 1 to %lld", (long long)at,
                         (long long)s->loaded.list[0].tree.event_count);
    char *folder = search_journal_folder(e);
    if (!folder)
        return e->code;
    struct search_tree *tree = &s->loaded.list[0].tree;
    struct search_tree past = {0};
    search_tree_at(tree, at, &past);
    search_tree_free(tree);
    *tree = past;
    int code = search_journal_begin(&s->journal, folder, tree->session->session.task, time(NULL), e);
    free(folder);
    s->forked = 1;
    return code;
}

/* Other weights, or another cache, would go on with other numbers. */
static int same_as_begun(struct tui_searches *s, const char *path, const char *key, const char *option, const char *now, struct error *e)
{
    char *kept = search_journal_get(s->loaded.journal, key);
    const char *had = kept ? kept : "", *has = now ? now : "";
    int code = OK;
    if (strcmp(had, has))
        code = error_set(e, ERROR_USAGE, "%s: the session was begun %s %s%s%s; go on with it so", path, *had ? "with" : "without", option,
                         *had ? " " : "", had);
    free(kept);
    return code;
}

static int same_prompts(const struct tui_searches *s, const struct tui_options *o, const char *path, struct error *e)
{
    const char *had = s->loaded.list[0].tree.session->session.trained ? "trained" : "plain";
    if (!o->prompts || !strcmp(o->prompts, "auto") || !strcmp(o->prompts, had))
        return OK;
    return error_set(e, ERROR_USAGE, "%s: the session was begun with the task's %s prompts and goes on with them; leave out --prompts", path, had);
}

static int load(struct tui_searches *s, const struct tui_options *o, const char *path, struct error *e)
{
    int code = search_sessions_open(&s->loaded, path, e);
    if (code)
        return code;
    if (!s->loaded.count) { /* it was killed before it began */
        s->journal = s->loaded.journal;
        s->loaded.journal = NULL;
        s->resumed = 0;
        return begin(s, o, e);
    }
    char *task = search_journal_get(s->loaded.journal, "task"), *sum = search_journal_get(s->loaded.journal, "task_sum");
    if (o->word_count || o->strategy_count || o->judge || o->adapter_count)
        code = error_set(e, ERROR_USAGE, "%s is there and has its problem, strategies and adapters; take those out, or give another name", path);
    if (!code)
        code = search_task_open(&s->task, o->task ? o->task : task ? task : s->loaded.list[0].tree.events[0]->session.task, e);
    char *now = xasprintf("%016llx", code ? 0ULL : (unsigned long long)search_task_sum(s->task));
    const char *of = s->loaded.list[0].tree.session->session.task;
    if (!code && strcmp(of, search_task_name(s->task)))
        code = error_set(e, ERROR_INPUT, "%s: the session is of task %s, not %s; leave out -t", path, of, search_task_name(s->task));
    if (!code && sum && strcmp(sum, now))
        code = error_set(e, ERROR_INPUT, "%s: its task file %s is not as it was; the session can be looked at (espalier show) but not gone on with",
                         path, search_task_path(s->task));
    if (!code)
        code = same_as_begun(s, path, "quant", "--quant", o->quant, e);
    if (!code)
        code = same_as_begun(s, path, "kv_type", "--kv-type", o->kv_type, e);
    if (!code)
        code = same_prompts(s, o, path, e);
    s->count = s->loaded.count;
    s->model = search_journal_get(s->loaded.journal, "model");
    s->strategies = xcalloc((size_t)s->count, sizeof *s->strategies);
    for (int i = 0; i < s->count; i++)
        s->strategies[i] = xstrdup(s->loaded.list[i].tree.session->session.strategy);
    s->problem = xstrdup(s->loaded.list[0].tree.session->session.problem);
    if (!code && o->at >= 0)
        code = fork_session(s, o->at, e);
    free(task);
    free(sum);
    free(now);
    return code;
}

/* --- both -------------------------------------------------------------------------------------------------------- */

static int open_session(struct tui_searches *s, const struct tui_options *o, struct error *e)
{
    char *path;
    int there, code = tui_session_find(o, &path, &there, e);
    if (!code && !path && o->at >= 0)
        code = error_set(e, ERROR_USAGE, "--at is of a session; name it with --session");
    s->resumed = there;
    if (!code && there)
        code = load(s, o, path, e);
    else if (!code)
        code = begin(s, o, e);
    if (!code && path && !there)
        code = search_journal_create(&s->journal, path, e);
    free(path);
    return code;
}

/* A session of its own for what nobody named: the search goes on without one, and says so. */
static void keep_anyway(struct tui_searches *s)
{
    struct error e = {0};
    char *folder = search_journal_folder(&e);
    if (!folder || search_journal_begin(&s->journal, folder, search_task_name(s->task), time(NULL), &e))
        snprintf(s->notice, sizeof s->notice, "not kept: %.180s", e.message);
    free(folder);
}

/* Those of the command line are set, of a session that is there too; those of a file of options are of new sessions only. */
static void choose_budgets(struct tui_searches *s, const struct tui_options *o)
{
    static const char *const names[] = {"budget-tokens", "budget-flops", "budget-nodes", "budget-time"};
    for (int i = 0; i < 4; i++)
        s->budgets |= tui_options_given(o, names[i]) << i;
}

int tui_searches_open(struct tui_searches *s, const struct tui_options *o, int keep, struct error *e)
{
    *s = (struct tui_searches){0};
    enum search_prompts prompts;
    int code = tui_prompts(o, &prompts, e);
    if (!code)
        code = open_session(s, o, e);
    if (!code && (!s->model || o->model)) { /* of a session that is there: the one it was begun with, unless another is given */
        free(s->model);
        code = tui_model_path(o, s->task, &s->model, e);
    }
    if (!code && keep && !o->session)
        keep_anyway(s);
    if (!code && s->journal)
        code = describe(s, s->model, o, e);
    if (!code)
        code = note_kernels(s, o, e);
    s->options = (struct search_options){
        .task = s->task, .problem = s->problem, .data = o->data, .seed = o->seed, .sampling = o->sampling,
        .budget_tokens = o->budget_tokens, .budget_flops = o->budget_flops, .budget_nodes = o->budget_nodes, .budget_time = o->budget_time,
        .grammar = o->grammar, .prompts = prompts, .commands = o->allow_commands,
    };
    choose_budgets(s, o);
    if (code)
        tui_searches_close(s);
    return code;
}

/* A fork's journal gets the events it begins with, too. */
static int copy_past(struct tui_searches *s, int i, struct error *e)
{
    const struct search_tree *tree = &s->loaded.list[i].tree;
    return search_journal_copy(s->journal, i, tree->events, tree->event_count, e);
}

static int set_budgets(const struct tui_searches *s, struct search *search, struct error *e)
{
    const struct search_setting *now = &search_tree(search)->session->session;
    const struct search_options new = {
        .budget_tokens = s->budgets & 1 ? s->options.budget_tokens : 0, .budget_flops = s->budgets & 2 ? s->options.budget_flops : 0,
        .budget_nodes = s->budgets & 4 ? s->options.budget_nodes : 0, .budget_time = s->budgets & 8 ? s->options.budget_time : 0,
        .sampling = {-1, -1, -1, -1, -1}};
    const int same = (new.budget_tokens <= 0 || new.budget_tokens == now->budget_tokens) && (new.budget_nodes <= 0 || new.budget_nodes == now->budget_nodes) &&
                     (new.budget_flops <= 0 || new.budget_flops == now->budget_flops) && (new.budget_time <= 0 || new.budget_time == now->budget_time);
    return same ? OK : search_set(search, &new, 0, e);
}

int tui_searches_start(struct tui_searches *s, int i, struct engine *engine, struct engine *judge,
                       void (*sink)(void *context, struct search_event *event), void *context, struct search **out, struct error *e)
{
    struct search_options options = s->options;
    options.strategy = s->strategies[i];
    options.judge = judge;
    options.sink = sink;
    options.context = context;
    options.journal = s->journal ? s->journal : s->loaded.journal;
    options.tree = i;
    int code = s->forked ? copy_past(s, i, e) : OK;
    if (code || !s->resumed)
        return code ? code : search_open(out, engine, &options, e);
    code = search_open_again(out, engine, &options, s->loaded.list[i].tree.events, s->loaded.list[i].tree.event_count, e);
    if (!code && (code = set_budgets(s, *out, e))) {
        search_close(*out);
        *out = NULL;
    }
    return code;
}

void tui_searches_close(struct tui_searches *s)
{
    search_journal_close(s->journal);
    search_sessions_free(&s->loaded);
    search_task_close(s->task);
    free(s->problem);
    free(s->model);
    for (int i = 0; i < s->count && s->strategies; i++)
        free(s->strategies[i]);
    free(s->strategies);
    *s = (struct tui_searches){0};
}
