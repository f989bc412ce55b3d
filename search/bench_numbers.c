/* What the runs of a benchmark come to: accuracies with their intervals, strategies compared problem by problem. */
#include "search/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- bootstrap (Efron 1979) -------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

void search_bootstrap(const int *counts, int problems, int columns, struct search_interval *out)
{
    enum { OUTSIDE = SEARCH_BENCH_RESAMPLES / 40 }; /* 2.5 % on either side */
    int *sums = xcalloc((size_t)columns * SEARCH_BENCH_RESAMPLES, sizeof *sums);
    for (int r = 0; r < SEARCH_BENCH_RESAMPLES && problems; r++)
        for (int i = 0; i < problems; i++) {
            int drawn = (int)(random_uniform(1, (uint64_t)r, (uint64_t)i) * problems);
            for (int c = 0; c < columns; c++)
                sums[c * SEARCH_BENCH_RESAMPLES + r] += counts[drawn * columns + c];
        }
    for (int c = 0; c < columns; c++) {
        int *sorted = sums + c * SEARCH_BENCH_RESAMPLES;
        qsort(sorted, SEARCH_BENCH_RESAMPLES, sizeof *sorted, by_size);
        out[c] = (struct search_interval){sorted[OUTSIDE], sorted[SEARCH_BENCH_RESAMPLES - 1 - OUTSIDE]};
    }
    free(sums);
}

double search_sign_test(int wins, int losses)
{
    int n = wins + losses, few = wins < losses ? wins : losses;
    double tail = 0, choices = 0; /* choices: the logarithm of n over i */
    for (int i = 0; i <= few; i++) {
        tail += exp(choices - n * log(2));
        choices += log(n - i) - log(i + 1);
    }
    return 2 * few >= n ? 1 : fmin(1, 2 * tail);
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

/* The runs of a problem stand together: seeds x budgets x strategies of them. */
static int runs_of_problem(const struct search_bench *b)
{
    return b->seeds * b->budget_count * b->strategy_count;
}

static int counts_at_all(const struct search_bench *b, int problem, int *unknown, int *left_out)
{
    int n = runs_of_problem(b), failed = 0, known = 1;
    for (int i = 0; i < n; i++) {
        const struct search_bench_run *run = &b->runs[problem * n + i];
        if (!run->finished)
            return 0;
        failed += run->failed != NULL;
        known = known && run->correct >= 0;
    }
    *left_out += failed == n;
    *unknown += !known;
    return failed < n;
}

static void add_run(struct search_bench_line *line, const struct search_bench_run *run)
{
    line->runs++;
    line->correct += run->correct == 1;
    line->failed += run->failed != NULL;
    if (run->failed)
        return;
    line->prompt += (double)run->usage.prompt;
    line->cached += (double)run->usage.cached;
    line->completion += (double)run->usage.completion;
    line->flops += run->usage.flops;
    line->seconds += run->seconds;
    line->nodes += run->nodes;
}

static void take_means(struct search_bench_line *line)
{
    double n = line->runs - line->failed;
    double *sums[] = {&line->prompt, &line->cached, &line->completion, &line->flops, &line->seconds, &line->nodes};
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        *sums[i] = n > 0 ? *sums[i] / n : 0;
}

/* counts has two columns for each line: right runs, and how many more these are than the first strategy's. */
static void compare(struct search_bench_line *line, const int *counts, int columns, const struct search_interval *intervals)
{
    double runs = line->runs > 0 ? line->runs : 1;
    int difference = 0;
    for (int p = 0; p < line->problems; p++) {
        difference += counts[p * columns + 1];
        line->wins += counts[p * columns + 1] > 0;
        line->losses += counts[p * columns + 1] < 0;
    }
    line->accuracy = line->correct / runs;
    line->low = intervals[0].low / runs;
    line->high = intervals[0].high / runs;
    line->difference = difference / runs;
    line->difference_low = intervals[1].low / runs;
    line->difference_high = intervals[1].high / runs;
    line->p = search_sign_test(line->wins, line->losses);
}

struct search_bench_line *search_bench_lines(const struct search_bench *b, int *count, int *unknown, int *left_out)
{
    int n = runs_of_problem(b), problems = 0, columns = 2 * b->budget_count * b->strategy_count;
    struct search_bench_line *lines = xcalloc((size_t)columns / 2, sizeof *lines);
    int *counts = xcalloc((size_t)(b->last - b->first + 1) * (size_t)columns, sizeof *counts);
    struct search_interval *intervals = xcalloc((size_t)columns, sizeof *intervals);
    *count = columns / 2;
    *unknown = *left_out = 0;
    for (int problem = 0; problem <= b->last - b->first; problem++) {
        if (!counts_at_all(b, problem, unknown, left_out))
            continue;
        int *row = counts + (size_t)problems++ * (size_t)columns;
        for (int i = 0; i < n; i++) {
            const struct search_bench_run *run = &b->runs[problem * n + i];
            add_run(&lines[run->budget * b->strategy_count + run->strategy], run);
            row[2 * (run->budget * b->strategy_count + run->strategy)] += run->correct == 1;
        }
        for (int l = 0; l < *count; l++)
            row[2 * l + 1] = row[2 * l] - row[2 * (l - l % b->strategy_count)];
    }
    search_bootstrap(counts, problems, columns, intervals);
    for (int l = 0; l < *count; l++) {
        lines[l].strategy = l % b->strategy_count;
        lines[l].budget = l / b->strategy_count;
        lines[l].problems = problems;
        take_means(&lines[l]);
        compare(&lines[l], counts + 2 * l, columns, intervals + 2 * l);
    }
    free(counts);
    free(intervals);
    return lines;
}
