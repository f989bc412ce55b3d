/* A benchmark: its plan of runs, and having them done side by side. Which searches keep each other company changes nothing in any of
 * them, so results depend neither on how many run at a time nor on where an earlier process was killed. */
#include "search/adapters.h"
#include "search/bench.h"

#include "search/schema.h"
#include "search/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PROBLEMS = 100, MOST_RUNS = 10000000 };

/* --- the plan ---------------------------------------------------------------------------------------------------- */

static int add_strategies(struct search_bench *b, const struct search_bench_options *o, struct error *e)
{
    const struct search_task *task;
    int count = o->strategy_count ? o->strategy_count : 1, code = search_task_choose(o->each.task, o->each.prompts, b->engine, &task, e);
    b->strategies = xcalloc((size_t)count, sizeof *b->strategies);
    for (int i = 0; i < count && !code; i++) {
        struct search_parameters parameters;
        const char *spec = o->strategy_count ? o->strategies[i] : search_task_strategy(task);
        code = search_parameters_parse(&parameters, spec, task, e);
        if (code)
            return code;
        struct search_adapter *adapters;
        int adapter_count, given;
        if ((code = search_adapters_of(spec, &adapters, &adapter_count, &given, e)))
            return code;
        b->strategies[b->strategy_count++] = search_strategy_spelled(&parameters, adapters, adapter_count);
        search_adapters_free(adapters, adapter_count);
        for (int k = 0; k < i; k++)
            if (!strcmp(b->strategies[k], b->strategies[i]))
                return error_set(e, ERROR_USAGE, "--strategy %s: given twice; spelled out both are %s", spec, b->strategies[i]);
    }
    return code;
}

static int add_budgets(struct search_bench *b, const struct search_bench_options *o, struct error *e)
{
    b->budget_count = o->budget_count ? o->budget_count : 1;
    b->budgets = xcalloc((size_t)b->budget_count, sizeof *b->budgets);
    for (int i = 0; i < o->budget_count; i++) {
        b->budgets[i] = o->budgets[i];
        for (int k = 0; k < i; k++)
            if (b->budgets[k] == b->budgets[i])
                return error_set(e, ERROR_USAGE, "--budget-tokens %lld: given twice", (long long)b->budgets[i]);
    }
    return OK;
}

static int choose_rows(struct search_bench *b, const struct search_bench_options *o, struct error *e)
{
    int rows, code = search_data_count(o->each.task, o->each.data, &rows, e);
    if (code)
        return code;
    b->first = o->first > 0 ? o->first : 1;
    b->last = o->last > 0 ? o->last : rows < MOST_PROBLEMS ? rows : MOST_PROBLEMS;
    char *path = search_data_file(o->each.task, o->each.data);
    if (!rows)
        code = error_set(e, ERROR_INPUT, "%s: the file has no rows", path);
    else if (b->last > rows)
        code = error_set(e, ERROR_INPUT, "%s: there is no row %d; rows are 1 to %d", path, b->last, rows);
    else if (b->first > b->last)
        code = error_set(e, ERROR_USAGE, "rows %d to %d: the first must not come after the last", b->first, b->last);
    free(path);
    return code;
}

static int make_plan(struct search_bench *b, struct error *e)
{
    double count = (double)(b->last - b->first + 1) * b->seeds * b->budget_count * b->strategy_count;
    if (count > MOST_RUNS)
        return error_set(e, ERROR_USAGE, "%.0f runs are asked for; at most %d at a time: take fewer rows, seeds or budgets", count, MOST_RUNS);
    b->count = (int)count;
    b->runs = xcalloc((size_t)b->count, sizeof *b->runs);
    for (int i = 0; i < b->count; i++) {
        struct search_bench_run *run = &b->runs[i];
        int at = i / b->strategy_count / b->budget_count;
        run->strategy = i % b->strategy_count;
        run->budget = i / b->strategy_count % b->budget_count;
        run->seed = b->each.seed + (uint64_t)(at % b->seeds);
        run->row = b->first + at / b->seeds;
    }
    return OK;
}

int search_bench_open(struct search_bench **out, struct engine *engine, const struct search_bench_options *o, struct error *e)
{
    struct search_bench *b = xcalloc(1, sizeof *b);
    *out = NULL;
    b->engine = engine;
    b->each = o->each;
    b->each.sink = NULL;
    b->seeds = o->seeds > 0 ? o->seeds : 1;
    b->together = o->together;
    b->trees = o->trees;
    b->room = 1;
    b->group = search_group_open();
    b->file = -1;
    int code = add_strategies(b, o, e);
    if (!code)
        code = add_budgets(b, o, e);
    if (!code)
        code = choose_rows(b, o, e);
    if (!code)
        code = make_plan(b, e);
    if (!code)
        code = search_bench_file_open(b, o->path, e);
    if (code)
        search_bench_close(b);
    else
        *out = b;
    return code;
}

/* --- a run ------------------------------------------------------------------------------------------------------- */

static int finish(struct search_bench *b, struct search_bench_run *run, struct error *e)
{
    run->finished = 1;
    b->finished++;
    return search_bench_file_append(b, run, e);
}

static int fail(struct search_bench *b, struct search_bench_run *run, const struct error *why, struct error *e)
{
    run->failed = xstrdup(why->message);
    return finish(b, run, e);
}

static void take_result(struct search_bench_run *run, const struct search_tree *tree)
{
    const struct search_event *event = tree->result;
    run->problem = xstrdup(tree->session->session.problem);
    run->answer = event->result.answer ? xstrdup(event->result.answer) : NULL;
    run->why = xstrdup(event->result.why);
    run->correct = event->result.answer ? event->result.correct : 0;
    run->nodes = event->result.nodes;
    run->usage = event->result.usage;
}

/* Before the run counts as finished: what is killed in between is there twice rather than not at all. */
static int keep_tree(const struct search_bench *b, const struct search_tree *tree, struct error *e)
{
    struct string lines = {0};
    if (!b->trees)
        return OK;
    for (int64_t i = 0; i < tree->event_count; i++)
        search_event_json(tree->events[i], NULL, &lines);
    FILE *file = fopen(b->trees, "ab");
    int failed = !file || fwrite(lines.text, 1, lines.length, file) != lines.length;
    failed = (file && fclose(file)) || failed;
    string_free(&lines);
    return failed ? error_set(e, ERROR_INPUT, "%s: %s; expected a file that can be appended to", b->trees, strerror(errno)) : OK;
}

static struct search_bench_member *member_of(struct search_bench *b, const struct search *search)
{
    struct search_bench_member *m = b->members;
    while (m->search != search)
        m++;
    return m;
}

static void drop(struct search_bench *b, struct search_bench_member *m)
{
    search_group_remove(b->group, m->search);
    search_close(m->search);
    *m = b->members[--b->member_count];
}

/* Begin the next run that is not done. Room is made by a pass; a run that fails at once takes none. */
static int begin(struct search_bench *b, struct error *e)
{
    while (b->next < b->count && b->runs[b->next].finished)
        b->next++;
    if (b->next == b->count)
        return OK;
    struct search_bench_run *run = &b->runs[b->next];
    struct search_options options = b->each;
    struct search *search = NULL;
    struct error why;
    char problem[24];
    snprintf(problem, sizeof problem, "@%d", run->row);
    options.problem = problem;
    options.strategy = b->strategies[run->strategy];
    options.seed = run->seed;
    options.budget_tokens = b->budgets[run->budget];
    int code = search_open(&search, b->engine, &options, &why);
    if (code == ERROR_ENGINE || code == ERROR_USAGE) { /* not of this row: none would fare better */
        *e = why;
        return code;
    }
    if (code) {
        b->next++;
        return fail(b, run, &why, e);
    }
    ARRAY_RESERVE(b->members, b->member_count, b->member_capacity);
    b->members[b->member_count++] = (struct search_bench_member){.search = search, .run = b->next++};
    search_group_add(b->group, search);
    b->room = 0;
    return OK;
}

/* --- side by side ------------------------------------------------------------------------------------------------ */

/* Requests that a search has at the engine; at least the one it is about to have. */
static int requests(const struct search *search)
{
    int count = 0;
    for (int i = 0; i < search->work_count; i++)
        for (int k = 0; k < search_work_item(search, i)->samples; k++)
            count += search->work[i].jobs[k].state == SEARCH_JOB_SENT && !search->work[i].jobs[k].outside;
    return count ? count : 1;
}

static double busy(const struct search_bench *b)
{
    struct engine_statistics s, judge = {0};
    engine_statistics(b->engine, &s);
    if (b->each.judge && b->each.judge != b->engine)
        engine_statistics(b->each.judge, &judge);
    return s.busy_seconds + judge.busy_seconds;
}

/* After a pass: its time is shared out, and there is room for one more while the batch is not full. One a pass, because what a search asks
 * for is known only once it has begun. */
static void settle(struct search_bench *b)
{
    double now = busy(b);
    int all = 0;
    for (int i = 0; i < b->member_count; i++)
        all += requests(b->members[i].search);
    for (int i = 0; i < b->member_count; i++)
        b->members[i].seconds += (now - b->busy) * requests(b->members[i].search) / all;
    b->busy = now;
    b->room = all < engine_info(b->engine)->batch && (!b->together || b->member_count < b->together);
}

static int take_moved(struct search_bench *b, struct search *moved, enum search_status status, int code, struct error *why, struct error *e)
{
    struct search_bench_member *m = member_of(b, moved);
    struct search_bench_run *run = &b->runs[m->run];
    if (!code && status != SEARCH_DONE)
        return OK;
    run->seconds = m->seconds;
    int kept = OK;
    if (!code) {
        take_result(run, search_tree(moved));
        kept = keep_tree(b, search_tree(moved), e);
    }
    drop(b, m);
    if (kept)
        return kept;
    return code ? fail(b, run, why, e) : finish(b, run, e);
}

int search_bench_advance(struct search_bench *b, int *done, struct error *e)
{
    struct search *moved;
    struct error why;
    enum search_status status;
    *done = 0;
    if (!b->member_count && !b->room) { /* nothing was in the pass that would make room */
        b->busy = busy(b);
        b->room = 1;
    }
    if (b->room && b->next < b->count)
        return begin(b, e);
    if (!b->member_count) {
        *done = 1;
        return OK;
    }
    int code = search_group_advance(b->group, &moved, &status, &why);
    if (code == ERROR_ENGINE || (code && !moved)) {
        *e = why;
        return code;
    }
    if (moved)
        return take_moved(b, moved, status, code, &why, e);
    settle(b);
    return OK;
}

/* --- what there is ----------------------------------------------------------------------------------------------- */

const struct search_bench_run *search_bench_runs(const struct search_bench *b, int *count, int *finished)
{
    *count = b->count;
    *finished = b->finished;
    return b->runs;
}

const char *search_bench_strategy(const struct search_bench *b, int strategy)
{
    return b->strategies[strategy];
}

const char *search_bench_path(const struct search_bench *b)
{
    return b->path;
}

void search_bench_close(struct search_bench *b)
{
    if (!b)
        return;
    while (b->member_count)
        drop(b, &b->members[b->member_count - 1]);
    search_group_close(b->group);
    for (int i = 0; i < b->count; i++) {
        free(b->runs[i].problem);
        free(b->runs[i].answer);
        free(b->runs[i].why);
        free(b->runs[i].failed);
    }
    for (int i = 0; i < b->strategy_count; i++)
        free(b->strategies[i]);
    free(b->strategies);
    free(b->budgets);
    free(b->runs);
    free(b->members);
    free(b->path);
    if (b->file >= 0)
        close(b->file);
    free(b);
}
