/* The benchmark: its plan of runs, its file of results, its numbers. Private to search/. */
#ifndef ESPALIER_SEARCH_BENCH_H
#define ESPALIER_SEARCH_BENCH_H

#include "search/search.h"

struct search_bench_member { /* a run in progress */
    struct search *search;
    int run;
    double seconds;
};

/* Invariant: runs are in the order of the plan: row, then seed, then budget, then strategy. Those finished are in the file, those of
 * `members` are not; all before `next` are one or the other. */
struct search_bench {
    struct engine *engine;
    struct search_options each;
    char **strategies; /* spelled out */
    int strategy_count;
    int64_t *budgets; /* at least one; 0: without */
    int budget_count;
    int first, last, seeds;
    struct search_bench_run *runs;
    int count, finished, next;
    struct search_group *group;
    struct search_bench_member *members;
    int member_count, member_capacity;
    int together, room; /* room: one more search may begin before the next pass */
    double busy;        /* seconds of the engines, when they were shared out last */
    char *path;
    int file;
    const char *trees;
};

/* --- bench_file.c: a line of JSON with the settings, then one for each run */
/* Open the file and read the runs that are in it; a last line that was cut off is dropped. ERROR_INPUT: somebody else's file, one of
 * other settings, one that another process writes. */
int search_bench_file_open(struct search_bench *bench, const char *path, struct error *e);
int search_bench_file_append(struct search_bench *bench, const struct search_bench_run *run, struct error *e);
/* What must be equal for results to be put side by side, as a line; malloc'ed. */
char *search_bench_settings(const struct search_bench *bench, struct error *e);

/* --- bench_numbers.c */
enum { SEARCH_BENCH_RESAMPLES = 10000 };
struct search_interval {
    double low, high;
};
/* 95 % intervals, by percentiles, of the sums over `problems` of each of the columns of counts[problems][columns], the problems drawn with
 * replacement. The same draws serve all columns, and are the same on every call. */
void search_bootstrap(const int *counts, int problems, int columns, struct search_interval *out);
/* The probability that fair coins fall at least as unevenly as this, either way. */
double search_sign_test(int wins, int losses);

#endif
