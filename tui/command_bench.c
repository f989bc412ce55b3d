/* bench: strategies over a data set, accuracy against tokens. A table and a plot on stdout, or --json, or --csv. */
#include "tui/command.h"
#include "tui/plain.h"
#include "tui/plot.h"
#include "tui/width.h"

#include <inttypes.h>
#include <langinfo.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INTERRUPTED = 128 + SIGINT, PLOT_COLUMNS = 72, PLOT_ROWS = 16, NOTE_COLUMNS = 100, FAILURES_SHOWN = 5, NAME_COLUMNS = 44 };

/* All that is printed, taken once. */
struct report {
    const struct tui_options *o;
    const struct search_bench *bench;
    const struct search_task *task;
    char *const *names; /* of the strategies, as they were given, with the judge */
    const int64_t *budgets;
    const struct search_bench_run *runs;
    struct search_bench_line *lines;
    int line_count, run_count, finished, unknown, left_out, strategies;
};

/* --- table and plot ---------------------------------------------------------------------------------------------- */

static int name_columns(const struct report *r)
{
    int most = (int)strlen("strategy");
    for (int s = 0; s < r->strategies; s++) {
        int n = tui_width(r->names[s], strlen(r->names[s]));
        most = n > most ? n : most;
    }
    return most < NAME_COLUMNS ? most : NAME_COLUMNS;
}

/* Does a row of it not fit in the terminal, its name and `columns` of numbers beside each other? */
static int is_narrow(const struct report *r, int columns)
{
    return !tui_plain_fits(3 + name_columns(r) + (r->o->budget_count > 1 ? 10 : 0) + columns);
}

/* "a  tot,b=5      4000": what a row of a table begins with. Narrow: in a line of its own. */
static void add_name(const struct report *r, const struct search_bench_line *line, int narrow, struct string *out)
{
    int columns = name_columns(r), used;
    const char *name = r->names[line->strategy];
    struct string clean = {0};
    utf8_sanitize(&clean, name, strlen(name), 0);
    size_t n = tui_width_fit(string_text(&clean), clean.length, columns, &used);
    string_addf(out, "%c  %.*s%*s", tui_plot_letter(line->strategy), (int)n, string_text(&clean), narrow ? 0 : columns - used, "");
    if (r->o->budget_count > 1)
        string_addf(out, narrow ? ", budget %" PRId64 : "  %8" PRId64, r->budgets[line->budget]);
    if (narrow)
        string_add(out, "\n   ");
    string_free(&clean);
}

static void add_header(const struct report *r, const char *first, const char *rest, int narrow, struct string *out)
{
    if (narrow)
        string_addf(out, "%s\n   %s\n", first, rest);
    else
        string_addf(out, "%-*s%s%s\n", 3 + name_columns(r), first, r->o->budget_count > 1 ? "    budget" : "", rest);
}

static double tokens_of(const struct search_bench_line *line)
{
    return line->prompt - line->cached + line->completion;
}

static void add_table(const struct report *r, struct string *out)
{
    static const char numbers[] = "     correct  accuracy            95 %   tokens     FLOPs  thoughts  seconds",
                      against[] = "  difference             95 %  wins  losses       p";
    int narrow = is_narrow(r, (int)strlen(numbers));
    add_header(r, "   strategy", numbers, narrow, out);
    for (int i = 0; i < r->line_count; i++) {
        const struct search_bench_line *l = &r->lines[i];
        char correct[48], interval[48];
        snprintf(correct, sizeof correct, "%d of %d", l->correct, l->runs);
        snprintf(interval, sizeof interval, "%.1f to %.1f", 100 * l->low, 100 * l->high);
        add_name(r, l, narrow, out);
        string_addf(out, "  %10s  %6.1f %%  %14s  %7.0f  %8.2e  %8.1f  %7.3g\n", correct, 100 * l->accuracy, interval, tokens_of(l), l->flops,
                    l->nodes, l->seconds);
    }
    if (r->strategies < 2)
        return;
    string_add(out, "\n");
    narrow = is_narrow(r, (int)strlen(against));
    add_header(r, "against a", against, narrow, out);
    for (int i = 0; i < r->line_count; i++) {
        const struct search_bench_line *l = &r->lines[i];
        char interval[48];
        if (!l->strategy)
            continue;
        snprintf(interval, sizeof interval, "%+.1f to %+.1f", 100 * l->difference_low, 100 * l->difference_high);
        add_name(r, l, narrow, out);
        string_addf(out, "  %+10.1f  %15s  %4d  %6d  %6.4f\n", 100 * l->difference, interval, l->wins, l->losses, l->p);
    }
}

static void add_plot(const struct report *r, struct string *out)
{
    int budgets = r->line_count / r->strategies;
    struct tui_plot_series *series = xcalloc((size_t)r->strategies, sizeof *series);
    struct tui_plot_point *points = xcalloc((size_t)r->line_count, sizeof *points);
    for (int i = 0; i < r->line_count; i++) {
        const struct search_bench_line *l = &r->lines[i];
        points[l->strategy * budgets + l->budget] = (struct tui_plot_point){tokens_of(l), l->accuracy, l->low, l->high};
    }
    for (int s = 0; s < r->strategies; s++)
        series[s] = (struct tui_plot_series){points + s * budgets, budgets, TUI_TEXT};
    string_add(out, "\n");
    tui_plot(series, r->strategies, "accuracy against tokens a problem; bars: 95 % intervals", tui_plain_columns(PLOT_COLUMNS), PLOT_ROWS,
             r->o->ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0, out);
    free(series);
    free(points);
}

/* What a reader of the numbers must know. */
static void add_notes(const struct report *r, struct string *out)
{
    const int columns = tui_plain_columns(NOTE_COLUMNS);
    int problems = r->lines[0].problems, failed = 0, shown = 0, flat = 0;
    for (int i = 0; i < r->line_count; i++) {
        failed += r->lines[i].failed;
        flat = flat || r->lines[i].low == r->lines[i].high;
    }
    struct string notes = {0};
    string_add(out, "\n");
    const int seeds = r->o->seeds > 1 ? r->o->seeds : 1;
    string_addf(&notes, "correct: of all runs, of %d problem%s each with %d seed%s. ", problems, problems == 1 ? "" : "s", seeds, seeds == 1 ? "" : "s");
    string_add(&notes, "tokens (prompt - cached + completion), FLOPs, thoughts, seconds: means of a run; seconds of the engine, each pass shared "
                       "by the requests in it. 95 %: bootstrap over problems, 10,000 resamples. difference: in points, on the same problems and "
                       "seeds. p: exact two-sided sign test over problems won and lost.");
    tui_plain_wrap(out, string_text(&notes), 0, 0, columns);
    string_add(out, "\n");
    string_clear(&notes);
    if (flat) { /* the rule of three: Hanley and Lippman-Hand 1983 */
        string_addf(&notes, "An interval without width only says that all problems came out alike: of %d, the truth may still be %.0f points away "
                            "(rule of three: 3/%d).", problems, fmin(100, 300.0 / problems), problems);
        tui_plain_wrap(out, string_text(&notes), 0, 0, columns);
        string_add(out, "\n");
    }
    string_free(&notes);
    if (r->unknown)
        string_addf(out, "%d of %d problems %s no known answer: what was answered there counts as wrong\n", r->unknown, problems,
                    r->unknown == 1 ? "has" : "have");
    if (failed)
        string_addf(out, "%d run%s failed and count%s as wrong\n", failed, failed == 1 ? "" : "s", failed == 1 ? "s" : "");
    if (r->left_out)
        string_addf(out, "%d problem%s failed in every run and %s left out\n", r->left_out, r->left_out == 1 ? "" : "s", r->left_out == 1 ? "is" : "are");
    for (int i = 0; i < r->run_count && shown < FAILURES_SHOWN; i++) {
        const struct search_bench_run *run = &r->runs[i];
        if (!run->failed || (i && r->runs[i - 1].failed && r->runs[i - 1].row == run->row && !strcmp(run->failed, r->runs[i - 1].failed)))
            continue;
        struct string clean = {0};
        utf8_sanitize(&clean, run->failed, strlen(run->failed), 0);
        string_addf(out, "  row %d: %s\n", run->row, string_text(&clean));
        string_free(&clean);
        shown++;
    }
}

static void print_text(const struct report *r)
{
    struct string out = {0};
    add_table(r, &out);
    add_plot(r, &out);
    add_notes(r, &out);
    fwrite(out.text, 1, out.length, stdout);
    string_free(&out);
}

/* --- for machines ------------------------------------------------------------------------------------------------ */

static json_t *line_json(const struct report *r, const struct search_bench_line *l)
{
    json_t *value = json_pack(
        "{s:s, s:I, s:i, s:i, s:i, s:f, s:[f, f], s:{s:f, s:f, s:f}, s:f, s:f, s:f, s:i, s:{s:s, s:f, s:[f, f], s:i, s:i, s:f}}", "strategy",
        search_bench_strategy(r->bench, l->strategy), "budget_tokens", (json_int_t)r->budgets[l->budget], "problems", l->problems, "runs", l->runs,
        "correct", l->correct, "accuracy", l->accuracy, "interval", l->low, l->high, "tokens", "prompt", l->prompt, "cached", l->cached,
        "completion", l->completion, "flops", l->flops, "seconds", l->seconds, "nodes", l->nodes, "failed", l->failed, "against", "strategy",
        search_bench_strategy(r->bench, 0), "difference", l->difference, "interval", l->difference_low, l->difference_high, "wins", l->wins,
        "losses", l->losses, "p", l->p);
    if (!r->budgets[l->budget])
        json_object_set_new(value, "budget_tokens", json_null());
    return value;
}

static void print_json(const struct report *r)
{
    json_t *lines = json_array(), *failures = json_array();
    for (int i = 0; i < r->line_count; i++)
        json_array_append_new(lines, line_json(r, &r->lines[i]));
    for (int i = 0; i < r->run_count; i++)
        if (r->runs[i].failed)
            json_array_append_new(failures, json_pack("{s:s, s:i, s:o}", "strategy", search_bench_strategy(r->bench, r->runs[i].strategy), "row",
                                                      r->runs[i].row, "message", tui_json_text(r->runs[i].failed, strlen(r->runs[i].failed))));
    const char *path = search_bench_path(r->bench);
    tui_print_json(json_pack("{s:s, s:[i, i], s:i, s:i, s:{s:i, s:i}, s:i, s:i, s:o, s:o, s:o}", "task", search_task_name(r->task), "rows",
                             r->runs[0].row, r->runs[r->run_count - 1].row, "seeds", r->o->seeds ? r->o->seeds : 1, "resamples", 10000, "runs", "done",
                             r->finished, "all", r->run_count, "unknown", r->unknown, "left_out", r->left_out, "strategies", lines, "failures",
                             failures, "results", tui_json_text(path, strlen(path))));
}

static void add_field(struct string *out, const char *text)
{
    struct string clean = {0};
    if (text)
        utf8_sanitize(&clean, text, strlen(text), 0);
    string_add(out, ",");
    if (!strpbrk(string_text(&clean), ",\"")) {
        string_add(out, string_text(&clean));
    } else {
        string_add(out, "\"");
        for (const char *p = clean.text; *p; p++)
            string_addf(out, "%s%c", *p == '"' ? "\"" : "", *p);
        string_add(out, "\"");
    }
    string_free(&clean);
}

static void print_csv(const struct report *r)
{
    struct string out = {0};
    string_add(&out, "row,seed,budget_tokens,strategy,problem,answer,correct,prompt,cached,completion,flops,seconds,nodes,why,failed\n");
    for (int i = 0; i < r->run_count; i++) {
        const struct search_bench_run *run = &r->runs[i];
        if (!run->finished)
            continue;
        string_addf(&out, "%d,%" PRIu64 ",", run->row, run->seed);
        if (r->budgets[run->budget])
            string_addf(&out, "%" PRId64, r->budgets[run->budget]);
        add_field(&out, search_bench_strategy(r->bench, run->strategy));
        add_field(&out, run->problem);
        add_field(&out, run->answer);
        string_addf(&out, ",%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%.9g,%.3f,%d", run->correct < 0 ? "" : run->correct ? "1" : "0", run->usage.prompt,
                    run->usage.cached, run->usage.completion, run->usage.flops, run->seconds, run->nodes);
        add_field(&out, run->why);
        add_field(&out, run->failed);
        string_add(&out, "\n");
    }
    fwrite(out.text, 1, out.length, stdout);
    string_free(&out);
}

/* --- progress ---------------------------------------------------------------------------------------------------- */

struct progress {
    int shown, before, strategies; /* before: runs that were done when it began */
    double start, last;
};

/* "137 of 400 runs, 12.3 a minute, 0:21:20 left; right: a 24 % b 40 %", rewriting itself four times a second. */
static void show_progress(struct progress *p, const struct search_bench *bench)
{
    double now = clock_seconds();
    if (now - p->last < 0.25 || now - p->start < 1)
        return;
    p->last = now;
    p->shown = 1;
    int count, finished;
    const struct search_bench_run *runs = search_bench_runs(bench, &count, &finished);
    struct string line = {0};
    string_addf(&line, "%d of %d runs", finished, count);
    if (finished > p->before) {
        double rate = (finished - p->before) / (now - p->start);
        long left = lround((count - finished) / rate);
        string_addf(&line, ", %.3g a minute, %ld:%02ld:%02ld left; right:", 60 * rate, left / 3600, left / 60 % 60, left % 60);
        for (int s = 0; s < p->strategies; s++) {
            int right = 0, all = 0;
            for (int i = s; i < count; i += p->strategies) {
                all += runs[i].finished;
                right += runs[i].finished && runs[i].correct == 1;
            }
            if (all)
                string_addf(&line, " %c %.0f %%", tui_plot_letter(s), 100.0 * right / all);
        }
    }
    fprintf(stderr, "\r\033[K%.*s", 79, line.text);
    string_free(&line);
}

/* --- the command ------------------------------------------------------------------------------------------------- */

static int parse_rows(const struct tui_options *o, struct search_bench_options *options, struct error *e)
{
    options->last = o->n;
    if (!o->rows)
        return OK;
    if (o->n)
        return error_set(e, ERROR_USAGE, "choose one of -n and --rows");
    char end;
    int read = sscanf(o->rows, "%9d-%9d%c", &options->first, &options->last, &end);
    if (read == 1 && strspn(o->rows, "0123456789") == strlen(o->rows))
        options->last = options->first;
    else if (read != 2)
        options->first = 0;
    if (options->first < 1 || options->last < options->first)
        return error_set(e, ERROR_USAGE, "--rows %s: rows from 1 on were expected, as in 901-1000 or 17", o->rows);
    return OK;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int read_options(const struct tui_options *o, struct search_task **task, struct search_bench_options *out, struct error *e)
{
    if (o->word_count)
        return error_set(e, ERROR_USAGE, "'%s': bench takes no problem; it runs rows of a task's data (-n, --rows, --data)", o->words[0]);
    if (!o->task)
        return error_set(e, ERROR_USAGE, "bench needs a task with data: -t NAME, one of `espalier task list`");
    if (o->json && o->csv)
        return error_set(e, ERROR_USAGE, "choose one of --json and --csv");
    int code = parse_rows(o, out, e);
    enum search_prompts prompts = SEARCH_PROMPTS_AUTO;
    if (!code)
        code = tui_prompts(o, &prompts, e);
    if (!code)
        code = search_task_open(task, o->task, e);
    out->each = (struct search_options){
        .task = *task, .data = o->data, .seed = o->seed, .sampling = o->sampling, .budget_flops = o->budget_flops,
        .budget_nodes = o->budget_nodes, .budget_time = o->budget_time, .grammar = o->grammar, .prompts = prompts, .commands = o->allow_commands,
    };
    if (o->budget_count)
        qsort(o->budgets, (size_t)o->budget_count, sizeof *o->budgets, by_size);
    out->budgets = o->budgets;
    out->budget_count = o->budget_count;
    out->seeds = o->seeds;
    out->path = o->out;
    out->trees = o->trees;
    return code;
}

/* Everything to its end, or as far as the user lets it. */
static int work(struct search_bench *bench, int strategies, struct error *e)
{
    int done = 0, code = OK, count;
    struct progress progress = {.strategies = strategies, .start = clock_seconds()};
    search_bench_runs(bench, &count, &progress.before);
    while (!code && !done && !tui_interrupted()) {
        code = search_bench_advance(bench, &done, e);
        if (isatty(STDERR_FILENO))
            show_progress(&progress, bench);
    }
    if (progress.shown)
        fputs("\r\033[K", stderr);
    return code;
}

/* What there is, printed; the exit code. */
static int report(struct report *r)
{
    int code = OK;
    struct error e;
    r->runs = search_bench_runs(r->bench, &r->run_count, &r->finished);
    r->lines = search_bench_lines(r->bench, &r->line_count, &r->unknown, &r->left_out);
    if (r->o->json)
        print_json(r);
    else if (r->o->csv)
        print_csv(r);
    else if (r->lines[0].problems)
        print_text(r);
    if (r->finished < r->run_count) {
        error_set(&e, INTERRUPTED, "interrupted: %d of %d runs are done, in %s%s; the same command goes on from there", r->finished, r->run_count,
                  search_bench_path(r->bench), r->lines[0].problems ? "" : ", but no problem with all its runs");
        code = tui_fail(&e);
    } else if (!r->lines[0].problems) {
        error_set(&e, ERROR_INPUT, "every run failed; row %d: %s", r->runs[0].row, r->runs[0].failed);
        code = tui_fail(&e);
    }
    free(r->lines);
    return code;
}

static int bench_all(const struct tui_options *o, struct search_bench_options *options, struct engine *engine, struct error *e)
{
    static const int64_t none = 0;
    char **names = NULL;
    const struct search_task *asked;
    int count = 0, code = search_task_choose(options->each.task, options->each.prompts, engine, &asked, e);
    if (!code)
        code = tui_strategies_choose(o, asked, &names, &count, e);
    struct search_bench *bench = NULL;
    options->strategies = (const char *const *)names;
    options->strategy_count = count;
    if (!code)
        code = search_bench_open(&bench, engine, options, e);
    if (!code) {
        tui_interrupts_listen((const int[]){SIGINT, 0}); /* after the pass under way */
        code = work(bench, count, e);
    }
    if (code) {
        tui_fail(e);
    } else {
        tui_adapters_warn(engine);
        struct report r = {.o = o, .bench = bench, .task = options->each.task, .names = names,
                           .budgets = o->budget_count ? o->budgets : &none, .strategies = count};
        code = report(&r);
    }
    search_bench_close(bench);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return code;
}

static int run(const struct tui_options *o)
{
    struct error e;
    struct search_task *task = NULL;
    struct engine *engine = NULL;
    struct search_bench_options options = {0};
    int code = read_options(o, &task, &options, &e);
    if (!code)
        code = tui_engine_open(o, task, TUI_MODEL, &engine, &e);
    if (!code)
        code = tui_judge_open(o, &options.each.judge, &e);
    if (code)
        tui_fail(&e);
    else
        code = bench_all(o, &options, engine, &e);
    engine_close(options.each.judge);
    engine_close(engine);
    search_task_close(task);
    return code;
}

const struct tui_command tui_command_bench = {
    .name = "bench",
    .summary = "strategies over a data set: accuracy against tokens",
    .usage = "bench -t TASK [OPTIONS] -s STRATEGY [-s STRATEGY ...] [--budget-tokens N ...]",
    .example = "espalier bench -t math-word -s greedy -s self-consistency,m=8 -s best-of-n,n=8 --budget-tokens 4k -n 20",
    .options = "model adapter task strategy judge judge-model allow-commands grammar prompts data n rows seed seeds temperature top-k top-p min-p "
               "repetition-penalty budget-tokens budget-flops budget-nodes budget-time out trees threads batch context kv-memory kv-type kernels quant ascii csv json",
    .run = run,
};
