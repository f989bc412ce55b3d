/* The benchmark: its numbers against counting all there is to count; its runs the same whatever their company and wherever an
 * earlier process was killed. Run from the root of the repository. */
#include "search/bench.h"

#include "tui/plot.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* --- numbers ----------------------------------------------------------------------------------------------------- */

/* All ways in which n coins may fall, counted. */
static double sign_test_by_counting(int wins, int losses)
{
    int n = wins + losses, uneven = 0;
    for (int coins = 0; coins < 1 << n; coins++)
        uneven += abs(2 * __builtin_popcount((unsigned)coins) - n) >= abs(wins - losses);
    return (double)uneven / (1 << n);
}

static void test_sign_test(void **state)
{
    (void)state;
    assert_true(search_sign_test(0, 0) == 1);
    assert_true(fabs(search_sign_test(5, 0) - 2.0 / 32) < 1e-12);    /* all heads or all tails */
    assert_true(fabs(search_sign_test(1, 9) - 22.0 / 1024) < 1e-12); /* 1 + 10 on either side */
    for (int wins = 0; wins <= 9; wins++)
        for (int losses = 0; losses <= 9; losses++)
            assert_true(fabs(search_sign_test(wins, losses) - sign_test_by_counting(wins, losses)) < 1e-12);
    double p = search_sign_test(3000, 3100); /* z = 99 / sqrt(6100) with the correction for continuity: 1.2676 */
    assert_true(p > 0.2046 && p < 0.2053);
}

static int by_size(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The sums of all n^n draws of n problems, ascending; how many. */
static int all_sums(const int *values, int n, int **out)
{
    int count = 1;
    for (int i = 0; i < n; i++)
        count *= n;
    *out = xmalloc((size_t)count * sizeof **out);
    for (int draw = 0; draw < count; draw++) {
        (*out)[draw] = 0;
        for (int i = 0, rest = draw; i < n; i++, rest /= n)
            (*out)[draw] += values[rest % n];
    }
    qsort(*out, (size_t)count, sizeof **out, by_size);
    return count;
}

/* The part of 10,000 draws that lies below a share of 2.5 % strays by 0.16 %: the interval must lie between the exact quantiles four such
 * strays to either side. */
static void check_interval(const int *values, int n, struct search_interval got)
{
    int *sums, count = all_sums(values, n, &sums);
    double stray = 4 * sqrt(0.025 * 0.975 / SEARCH_BENCH_RESAMPLES);
    int low = sums[(int)((0.025 - stray) * count)], low_most = sums[(int)((0.025 + stray) * count)];
    int high = sums[count - 1 - (int)((0.025 + stray) * count)], high_most = sums[count - 1 - (int)((0.025 - stray) * count)];
    if (got.low < low || got.low > low_most || got.high < high || got.high > high_most)
        fail_msg("%g to %g, but %d..%d to %d..%d", got.low, got.high, low, low_most, high, high_most);
    free(sums);
}

static void test_bootstrap(void **state)
{
    (void)state;
    static const int sets[][7] = {{1, 0, 1}, {0, 0, 1}, {5, 1, 0, 2, 3}, {-2, 1, 0, 2, 3, 4}, {9, 1, 0, 0, 0, 0, 1}, {3, 3, 3, 3, 3}};
    static const int sizes[] = {3, 3, 5, 6, 7, 5};
    for (int s = 0; s < 6; s++) {
        struct search_interval got, again;
        search_bootstrap(sets[s], sizes[s], 1, &got);
        search_bootstrap(sets[s], sizes[s], 1, &again);
        assert_memory_equal(&got, &again, sizeof got);
        check_interval(sets[s], sizes[s], got);
    }
    /* 27 draws of 1, 0, 1: no right one in 1 of them, 3.7 %; three in 8. */
    struct search_interval three;
    search_bootstrap(sets[0], 3, 1, &three);
    assert_true(three.low == 0 && three.high == 3);
}

/* Columns are drawn together: what is always one apart stays so. */
static void test_bootstrap_is_paired(void **state)
{
    (void)state;
    enum { PROBLEMS = 6 };
    int counts[PROBLEMS * 4];
    static const int first[PROBLEMS] = {0, 4013, 1009, 17, 3001, 2003}, second[PROBLEMS] = {1, 4014, 1010, 18, 3002, 2004};
    for (int i = 0; i < PROBLEMS; i++) {
        counts[4 * i] = first[i];
        counts[4 * i + 1] = second[i];
        counts[4 * i + 2] = second[i] - first[i];
        counts[4 * i + 3] = 7;
    }
    struct search_interval got[4];
    search_bootstrap(counts, PROBLEMS, 4, got);
    check_interval(first, PROBLEMS, got[0]);
    assert_true(got[1].low == got[0].low + PROBLEMS && got[1].high == got[0].high + PROBLEMS);
    assert_true(got[2].low == PROBLEMS && got[2].high == PROBLEMS && got[3].low == 7 * PROBLEMS);
}

/* --- plot -------------------------------------------------------------------------------------------------------- */

/* 33 x 9 cells, 20 % to 80 %, 100 to 1000: 200 is .301 * 32 = column 9.6, 500 column 22.4; .6 is row .2/.6 * 8 = 2.7, .4 row 5.3. Both series
 * end at the same point, so the second stands one to the left. */
static const char plot_expected[] =
    " 80 % ┤                               │\n"
    "      │                               ││\n"
    "      │                               ││\n"
    " 60 % ┤                        ·······ba\n"
    "      ││       ················       ││\n"
    " 40 % ┤a·······                       │\n"
    "      ││\n"
    "      ││\n"
    " 20 % ┤\n"
    "      └┬─────────┬───────────┬─────────┬\n"
    "      100       200         500       1k\n"
    "       right against tokens\n";
static const char plot_ascii[] =
    " 80 % |                               |\n"
    "      |                               ||\n"
    "      |                               ||\n"
    " 60 % |                        .......ba\n"
    "      ||       ................       ||\n"
    " 40 % |a.......                       |\n"
    "      ||\n"
    "      ||\n"
    " 20 % |\n"
    "      `+---------+-----------+---------+\n"
    "      100       200         500       1k\n"
    "       right against tokens\n";

static void test_plot(void **state)
{
    (void)state;
    static const struct tui_plot_point a[] = {{100, .4, .3, .5}, {1000, .6, .5, .7}}, b[] = {{1000, .6, .4, .8}};
    static const struct tui_plot_series series[] = {{a, 2, TUI_TEXT}, {b, 1, TUI_TEXT}};
    for (int ascii = 0; ascii < 2; ascii++) {
        struct string out = {0};
        tui_plot(series, 2, "right against tokens", 40, 12, ascii, &out);
        assert_string_equal(out.text, ascii ? plot_ascii : plot_expected);
        string_free(&out);
    }
}

/* Whatever the numbers: the size asked for, and every letter there. */
static void test_plot_of_odd_numbers(void **state)
{
    (void)state;
    static const struct tui_plot_point sets[][3] = {
        {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}}, {{1, 1, 1, 1}, {1e15, 1, 1, 1}, {1e15, 0, 0, 1}},
        {{1000, .5, .5, .5}, {1000, .5, .5, .5}, {1000, .5, .5, .5}}, {{.25, .01, 0, .02}, {3, .99, .98, 1}, {2.5, .3, .1, .9}},
    };
    for (int s = 0; s < 4; s++)
        for (int columns = 24; columns <= 120; columns += 12)
            for (int rows = 6; rows <= 30; rows += 4) {
                struct tui_plot_series series[] = {{&sets[s][0], 1, TUI_TEXT}, {&sets[s][1], 1, TUI_TEXT}, {&sets[s][2], 1, TUI_TEXT}};
                struct string out = {0};
                tui_plot(series, 3, "", columns, rows, 1, &out);
                int lines = 0;
                for (char *p = out.text, *end; *p; p = end + 1, lines++) {
                    end = strchr(p, '\n');
                    assert_true(end - p <= columns);
                }
                assert_int_equal(lines, rows);
                assert_true(strchr(out.text, 'a') && strchr(out.text, 'b') && strchr(out.text, 'c'));
                string_free(&out);
            }
}

/* --- a task of noise --------------------------------------------------------------------------------------------- */

static const char tiny[] = "tests/reference/tiny/tiny-q8_0.gguf", other_model[] = "tests/reference/tiny/tiny-f32.gguf";
static const char task_text[] =
    "name: noise\nabout: made\nstrategy: greedy\nproblem: {form: any text}\nsteps: 3\nsampling: {temperature: 0.9}\n"
    "answer: {pattern: '([0-9])', otherwise: text}\nverifier: {kind: text}\ncontinues: true\n"
    "data: {file: noise.csv, problem: question, answer: answer}\n"
    "sample: {messages: 'Go on: {problem}', max_tokens: 16}\n"
    "value: {messages: 'Judge: {last}', max_tokens: 8, unreadable: 0.5, pattern: '([aeiou])', labels: {a: 5, e: 3, i: 2, o: 1, u: 0.1}}\n"
    "vote: {messages: 'Choose: {candidates}', max_tokens: 8, candidate: '{number}: {last}; ', pattern: '([1-9])'}\n";

struct place {
    char *folder, *task, *results;
    struct engine *engine;
};

static void write_file(const char *path, const char *text, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    fclose(file);
}

static char *read_file(const char *path, size_t *n)
{
    struct string text = {0};
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    string_add(&text, "");
    for (int c; (c = getc(file)) != EOF;)
        string_append(&text, &(char){(char)c}, 1);
    fclose(file);
    if (n)
        *n = text.length;
    return text.text;
}

/* Rows 1 to 8 are problems; 4 has no answer, 6 no problem the context holds. */
static void write_data(const char *folder)
{
    struct string data = {0};
    char *path = xasprintf("%s/noise.csv", folder);
    string_add(&data, "question,answer\nhow many?,1\nwhat next?,2\nwho is it?,3\nwhy?,\n\"where, then?\",5\n");
    for (int i = 0; i < 3000; i++)
        string_addf(&data, "%d ", i % 10);
    string_add(&data, ",6\nwhen?,7\nwhich?,8\n");
    write_file(path, data.text, data.length);
    string_free(&data);
    free(path);
}

static struct engine *open_engine(const char *model, int threads, int batch)
{
    struct engine *engine;
    struct error e;
    if (engine_open(&engine, &(struct engine_options){.model = model, .threads = threads, .batch = batch}, &e))
        fail_msg("%s", e.message);
    return engine;
}

static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    p->folder = xstrdup("/tmp/espalier_bench_XXXXXX");
    if (!mkdtemp(p->folder))
        return 1;
    p->task = xasprintf("%s/noise.yaml", p->folder);
    p->results = xasprintf("%s/results.jsonl", p->folder);
    write_file(p->task, task_text, sizeof task_text - 1);
    write_data(p->folder);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    char *command = xasprintf("rm -rf '%s'", p->folder);
    int status = system(command);
    free(command);
    free(p->folder);
    free(p->task);
    free(p->results);
    free(p);
    return status;
}

/* --- whole benchmarks -------------------------------------------------------------------------------------------- */

static const char *const strategies[] = {"greedy", "sample", "self-consistency,m=4", "best-of-n,n=3,n_evaluate_sample=1",
                                         "tot,b=2,generate=sample,k=3,evaluate=vote,n_evaluate=2"};
static const int64_t budgets[] = {120, 1000};

struct setting {
    const char *path;
    int together, first, last, strategies;
    float temperature; /* 0: the task's own */
};

static int open_bench(struct search_bench **out, struct search_task **task, struct engine *engine, const struct place *p,
                      const struct setting *s, struct error *e)
{
    if (search_task_open(task, p->task, e))
        fail_msg("%s", e->message);
    struct search_bench_options options = {
        .each = {.task = *task, .seed = 7, .sampling = {s->temperature > 0 ? s->temperature : -1, -1, -1, -1, -1}},
        .strategies = strategies,
        .strategy_count = s->strategies ? s->strategies : 5,
        .budgets = budgets,
        .budget_count = 2,
        .first = s->first,
        .last = s->last,
        .seeds = 2,
        .path = s->path,
        .together = s->together,
    };
    int code = search_bench_open(out, engine, &options, e);
    if (code)
        search_task_close(*task);
    return code;
}

/* Everything but seconds, as text. */
static char *results_of(const struct search_bench *bench)
{
    struct string out = {0};
    int count, finished, unknown, left_out;
    const struct search_bench_run *runs = search_bench_runs(bench, &count, &finished);
    string_addf(&out, "%d of %d\n", finished, count);
    for (int i = 0; i < count; i++) {
        const struct search_bench_run *r = &runs[i];
        string_addf(&out, "%d %d %d %d %d | %s | %s | %s | %s | %d %d %d %d %d %.17g\n", r->strategy, r->budget, r->row, (int)r->seed, r->finished,
                    r->problem ? r->problem : "-", r->answer ? r->answer : "-", r->why ? r->why : "-", r->failed ? r->failed : "-", r->correct,
                    r->nodes, (int)r->usage.prompt, (int)r->usage.cached, (int)r->usage.completion, r->usage.flops);
    }
    struct search_bench_line *lines = search_bench_lines(bench, &count, &unknown, &left_out);
    for (int i = 0; i < count; i++) {
        struct search_bench_line *l = &lines[i];
        string_addf(&out, "%d %d %d %d %d %d %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g %d %d %.17g\n", l->strategy, l->budget,
                    l->problems, l->runs, l->correct, l->failed, l->accuracy, l->low, l->high, l->prompt, l->cached, l->completion, l->flops,
                    l->nodes, l->difference, l->difference_low, l->difference_high, l->wins, l->losses, l->p);
    }
    string_addf(&out, "%d %d\n", unknown, left_out);
    free(lines);
    return out.text;
}

/* To the end; what it came to. */
static char *bench_with(struct engine *engine, const struct place *p, const struct setting *s)
{
    struct search_bench *bench;
    struct search_task *task;
    struct error e;
    int done = 0, code = open_bench(&bench, &task, engine, p, s, &e);
    while (!code && !done)
        code = search_bench_advance(bench, &done, &e);
    if (code)
        fail_msg("%s", e.message);
    char *results = results_of(bench);
    search_bench_close(bench);
    search_task_close(task);
    return results;
}

static void check_equal(const char *a, const char *b, const char *what, int number)
{
    size_t at = 0;
    while (a[at] && a[at] == b[at])
        at++;
    if (a[at] != b[at])
        fail_msg("%s %d: they part at byte %zu: %.100s | %.100s", what, number, at, a + (at > 40 ? at - 40 : 0), b + (at > 40 ? at - 40 : 0));
}

/* The same search alone. */
static void check_alone(struct engine *engine, const struct place *p, const struct search_bench_run *run)
{
    struct search_task *task;
    struct search *search;
    struct error e;
    char problem[16];
    snprintf(problem, sizeof problem, "@%d", run->row);
    assert_int_equal(search_task_open(&task, p->task, &e), OK);
    struct search_options options = {.task = task, .problem = problem, .strategy = strategies[run->strategy], .seed = run->seed,
                                     .budget_tokens = budgets[run->budget], .sampling = {-1, -1, -1, -1, -1}};
    enum search_status status = SEARCH_WORKING;
    int code = search_open(&search, engine, &options, &e);
    while (!code && status != SEARCH_DONE)
        code = search_advance(search, &status, &e);
    if (code) {
        assert_string_equal(run->failed, e.message);
    } else {
        const struct search_event *event = search_tree(search)->result;
        assert_null(run->failed);
        assert_string_equal(run->why, event->result.why);
        assert_int_equal(run->usage.completion, event->result.usage.completion);
        assert_true(run->usage.flops == event->result.usage.flops);
        assert_int_equal(run->correct, event->result.answer ? event->result.correct : 0);
        if (event->result.answer)
            assert_string_equal(run->answer, event->result.answer);
    }
    search_close(search);
    search_task_close(task);
}

static void test_company_changes_nothing(void **state)
{
    const struct place *p = *state;
    static const struct {
        int threads, batch, together;
    } ways[] = {{1, 16, 1}, {1, 16, 0}, {2, 3, 0}, {2, 16, 3}, {1, 1, 0}, {1, 64, 40}};
    char *first = NULL;
    for (int w = 0; w < 6; w++) {
        struct engine *engine = open_engine(tiny, ways[w].threads, ways[w].batch);
        unlink(p->results);
        char *got = bench_with(engine, p, &(struct setting){.path = p->results, .together = ways[w].together});
        if (first)
            check_equal(first, got, "way", w);
        else
            first = xstrdup(got);
        free(got);
        engine_close(engine);
    }
    assert_non_null(strstr(first, "160 of 160\n"));
    assert_non_null(strstr(first, "the context holds")); /* row 6 */
    assert_non_null(strstr(first, "\n1 1\n"));           /* row 4 has no known answer, row 6 failed throughout */
    free(first);

    struct engine *engine = open_engine(tiny, 1, 16);
    struct search_bench *bench;
    struct search_task *task;
    struct error e;
    int count, finished;
    assert_int_equal(open_bench(&bench, &task, engine, p, &(struct setting){.path = p->results}, &e), OK); /* all is in the file */
    const struct search_bench_run *runs = search_bench_runs(bench, &count, &finished);
    assert_int_equal(count, finished);
    for (int i = 0; i < count; i += 7)
        check_alone(engine, p, &runs[i]);
    search_bench_close(bench);
    search_task_close(task);
    engine_close(engine);
}

/* --- killed ------------------------------------------------------------------------------------------------------ */

static void be_killed(const struct place *p, const struct setting *s, long bytes)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) { /* an engine of its own: threads do not survive a fork */
        struct engine *engine = open_engine(tiny, 1, 16);
        free(bench_with(engine, p, s));
        _exit(0);
    }
    struct stat about;
    while (!waitpid(child, NULL, WNOHANG))
        if (!stat(s->path, &about) && about.st_size > bytes) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
            return;
        }
}

static void test_killed_and_run_again(void **state)
{
    const struct place *p = *state;
    struct setting s = {.path = p->results};
    struct stat about;
    unlink(p->results);
    for (long kill_at = 0; kill_at < 25000; kill_at += 2500)
        be_killed(p, &s, kill_at);
    assert_int_equal(stat(p->results, &about), 0);
    struct engine *engine = open_engine(tiny, 1, 16);
    char *again = bench_with(engine, p, &s);
    unlink(p->results);
    char *whole = bench_with(engine, p, &s);
    check_equal(whole, again, "killed", 0);
    free(again);
    free(whole);
    engine_close(engine);
}

/* A file that ends at any byte is gone on with, and what was whole in it is not run again. */
static void test_cut_anywhere(void **state)
{
    const struct place *p = *state;
    struct engine *engine = open_engine(tiny, 1, 16);
    struct setting s = {.path = p->results, .last = 2, .strategies = 2};
    size_t n, after;
    unlink(p->results);
    char *whole = bench_with(engine, p, &s), *file = read_file(p->results, &n);
    for (size_t cut = 0; cut <= n; cut += cut < 800 ? 61 : 37) {
        write_file(p->results, file, cut);
        char *again = bench_with(engine, p, &s);
        check_equal(whole, again, "cut at", (int)cut);
        free(again);
        char *text = read_file(p->results, &after);
        size_t kept = cut;
        while (kept && file[kept - 1] != '\n')
            kept--;
        assert_memory_equal(text, file, kept);
        int lines = 0;
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        assert_int_equal(lines, 1 + 2 * 2 * 2 * 2);
        free(text);
        free(bench_with(engine, p, &s)); /* and what it wrote after the cut can be read */
    }
    free(whole);
    free(file);
    engine_close(engine);
}

/* Fewer rows or strategies are read from the file; more are added to it. */
static void test_more_of_the_same_file(void **state)
{
    const struct place *p = *state;
    struct engine *engine = open_engine(tiny, 1, 16);
    struct engine_statistics before, after;
    unlink(p->results);
    free(bench_with(engine, p, &(struct setting){.path = p->results, .first = 2, .last = 3, .strategies = 3}));
    char *more = bench_with(engine, p, &(struct setting){.path = p->results, .last = 3});
    engine_statistics(engine, &before);
    char *again = bench_with(engine, p, &(struct setting){.path = p->results, .last = 3});
    engine_statistics(engine, &after);
    assert_int_equal(before.passes, after.passes);
    check_equal(more, again, "again", 0);
    unlink(p->results);
    char *fresh = bench_with(engine, p, &(struct setting){.path = p->results, .last = 3});
    check_equal(fresh, more, "more", 0);
    free(fresh);
    free(more);
    free(again);
    engine_close(engine);
}

/* --- refused ----------------------------------------------------------------------------------------------------- */

static void refuses(struct engine *engine, const struct place *p, const struct setting *s, int code, const char *part)
{
    struct search_bench *bench = NULL;
    struct search_task *task;
    struct error e;
    int got = open_bench(&bench, &task, engine, p, s, &e);
    if (got != code || !strstr(e.message, part))
        fail_msg("%d, '%s'; expected %d and '%s'", got, got ? e.message : "", code, part);
    assert_null(bench);
}

static void test_refused(void **state)
{
    const struct place *p = *state;
    struct engine *engine = open_engine(tiny, 1, 16), *other = open_engine(other_model, 1, 16);
    struct setting s = {.path = p->results, .last = 1, .strategies = 2}, hot = s;
    size_t n, after;
    hot.temperature = 0.5f;
    unlink(p->results);
    free(bench_with(engine, p, &s));
    char *file = read_file(p->results, &n);
    refuses(engine, p, &hot, ERROR_INPUT, "its sampling is");
    refuses(other, p, &s, ERROR_INPUT, "its model is");
    refuses(engine, p, &(struct setting){.path = p->folder}, ERROR_INPUT, "not a file");
    refuses(engine, p, &(struct setting){.path = "/nowhere/at/all"}, ERROR_INPUT, "/nowhere/at/all: cannot be opened");
    refuses(engine, p, &(struct setting){.path = p->results, .last = 9}, ERROR_INPUT, "there is no row 9; rows are 1 to 8");
    refuses(engine, p, &(struct setting){.path = p->results, .first = 5, .last = 4}, ERROR_USAGE, "must not come after");
    char *text = read_file(p->results, &after);
    assert_int_equal(after, n); /* what was refused was not touched */
    assert_memory_equal(text, file, n);
    free(text);

    static const char *const strange[] = {"somebody's notes", "somebody's notes\nand more\n", "{\"espalier\":\"bench\",\"form\":2", "{\"event\":\"session\"}\n", "[]\n"};
    for (int i = 0; i < 5; i++) {
        write_file(p->results, strange[i], strlen(strange[i]));
        refuses(engine, p, &s, ERROR_INPUT, "not a file of results");
        text = read_file(p->results, NULL);
        assert_string_equal(text, strange[i]);
        free(text);
    }
    char *wrong = xasprintf("%.*s{\"strategy\":\"greedy\"}\n", (int)n, file);
    write_file(p->results, wrong, strlen(wrong));
    refuses(engine, p, &s, ERROR_INPUT, "results.jsonl: line 10: not a run");
    wrong[n / 2] = '\0';
    write_file(p->results, wrong, n);
    refuses(engine, p, &s, ERROR_INPUT, "a byte 0");
    write_file(p->results, file, n);
    int held = open(p->results, O_RDWR);
    assert_int_equal(flock(held, LOCK_EX), 0);
    refuses(engine, p, &s, ERROR_INPUT, "another espalier is writing");
    close(held);
    free(bench_with(engine, p, &s));
    free(wrong);
    free(file);
    engine_close(engine);
    engine_close(other);
}

/* Whatever a byte of the file became: it is read, or refused with its name. */
static void test_damaged(void **state)
{
    const struct place *p = *state;
    struct engine *engine = open_engine(tiny, 1, 16);
    struct setting s = {.path = p->results, .last = 2, .strategies = 2};
    size_t n;
    int refused = 0;
    unlink(p->results);
    free(bench_with(engine, p, &s));
    char *file = read_file(p->results, &n);
    for (int i = 0; i < 1500; i++) {
        size_t at = (size_t)(random_uniform(3, 1, (uint64_t)i) * (double)n);
        char was = file[at];
        file[at] = "\"{}[],:-9etn\n\xff\\u \0"[(int)(random_uniform(3, 2, (uint64_t)i) * 18)];
        write_file(p->results, file, n);
        struct search_bench *bench;
        struct search_task *task;
        struct error e;
        int code = open_bench(&bench, &task, engine, p, &s, &e);
        if (code) {
            refused++;
            if (code != ERROR_INPUT || !strstr(e.message, p->results))
                fail_msg("byte %zu: %d, %s", at, code, e.message);
        } else {
            free(results_of(bench));
            search_bench_close(bench);
            search_task_close(task);
        }
        file[at] = was;
    }
    assert_true(refused > 300);
    free(file);
    engine_close(engine);
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static void add_run(struct string *out, const char *strategy, int row, int seed, const char *correct, const char *failed)
{
    string_addf(out,
                "{\"strategy\":\"%s\",\"budget_tokens\":0,\"row\":%d,\"seed\":%d,\"problem\":\"p\",\"answer\":\"1\",\"correct\":%s,"
                "\"tokens\":{\"prompt\":%d,\"cached\":1,\"completion\":2},\"flops\":8.0,\"seconds\":0.5,\"nodes\":%d,\"why\":null,\"failed\":%s}\n",
                strategy, row, seed, correct, failed[0] == 'n' ? 10 * row : 0, row, failed);
}

/* Five rows, two seeds, two strategies, as a file says:
 *   row   greedy   sample
 *    1     1 1      1 1      no difference
 *    2     0 0      1 0      +1
 *    3     1 0      0 failed -1
 *    4     failed throughout: left out
 *    5     1 -      - -      not finished
 * and a row 2 whose first greedy run has no known answer. */
static void test_lines(void **state)
{
    const struct place *p = *state;
    struct engine *engine = open_engine(tiny, 1, 16);
    struct search_task *task;
    struct search_bench *bench;
    struct error e;
    static const char *const two[] = {"greedy", "sample"};
    assert_int_equal(search_task_open(&task, p->task, &e), OK);
    struct search_bench_options options = {.each = {.task = task, .seed = 1, .sampling = {-1, -1, -1, -1, -1}}, .strategies = two,
                                           .strategy_count = 2, .last = 5, .seeds = 2, .path = p->results};
    unlink(p->results);
    assert_int_equal(search_bench_open(&bench, engine, &options, &e), OK);
    search_bench_close(bench);
    char *header = read_file(p->results, NULL);
    struct string file = {0};
    string_add(&file, header);
    static const char *const said[5][4] = {{"true", "true", "true", "true"}, {"null", "true", "false", "false"}, {"true", "false", "false", "F"},
                                           {"F", "F", "F", "F"}, {"true", NULL, NULL, NULL}};
    for (int i = 19; i >= 0; i--) { /* in any order: row, seed, strategy */
        const char *correct = said[i / 4][i % 4];
        if (correct)
            add_run(&file, two[i % 2], i / 4 + 1, i / 2 % 2 + 1, *correct == 'F' ? "false" : correct, *correct == 'F' ? "\"too long\"" : "null");
    }
    add_run(&file, "dvts", 1, 1, "true", "null");    /* of other strategies, rows and seeds: left alone */
    add_run(&file, "greedy", 6, 1, "true", "null");
    add_run(&file, "greedy", 1, 3, "true", "null");
    add_run(&file, "greedy", 1, 1, "false", "null"); /* a second time: the first stands */
    write_file(p->results, file.text, file.length);
    if (search_bench_open(&bench, engine, &options, &e))
        fail_msg("%s", e.message);
    int count, unknown, left_out;
    struct search_bench_line *lines = search_bench_lines(bench, &count, &unknown, &left_out);
    assert_int_equal(count, 2);
    assert_int_equal(unknown, 1);
    assert_int_equal(left_out, 1);
    const struct search_bench_line *a = &lines[0], *b = &lines[1];
    assert_int_equal(a->problems, 3);
    assert_int_equal(a->runs, 6);
    assert_int_equal(a->correct, 3);  /* 2 + 0 + 1 */
    assert_int_equal(b->correct, 3);  /* 2 + 1 + 0 */
    assert_int_equal(b->failed, 1);
    assert_true(a->accuracy == 0.5 && b->accuracy == 0.5 && b->difference == 0 && a->difference == 0);
    assert_true(a->p == 1 && b->p == 1 && b->wins == 1 && b->losses == 1 && a->wins == 0);
    /* 27 draws of three problems. a: 2, 0, 1 right: 0 in 1 of them (3.7 %), 6 in 1. b - a: 0, 1, -1: 3 in 1, -3 in 1. */
    assert_true(a->low == 0 && a->high == 1 && b->low == 0 && b->high == 1);
    assert_true(b->difference_low == -0.5 && b->difference_high == 0.5);
    assert_true(fabs(a->prompt - 20) < 1e-12 && a->cached == 1 && a->nodes == 2); /* (10 + 20 + 30) / 3 */
    assert_true(fabs(b->prompt - 90 / 5.0) < 1e-12 && b->flops == 8 && b->seconds == 0.5); /* the failed one has no part */
    free(lines);
    search_bench_close(bench);
    string_free(&file);
    free(header);
    search_task_close(task);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_test),
        cmocka_unit_test(test_bootstrap),
        cmocka_unit_test(test_bootstrap_is_paired),
        cmocka_unit_test(test_plot),
        cmocka_unit_test(test_plot_of_odd_numbers),
        cmocka_unit_test(test_company_changes_nothing),
        cmocka_unit_test(test_killed_and_run_again),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_more_of_the_same_file),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
