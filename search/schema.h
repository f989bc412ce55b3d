/* What task.c read from a task's YAML, for the rooms that use it: prompt.c, verify.c, answer.c, data.c. Private to these. */
#ifndef ESPALIER_SEARCH_SCHEMA_H
#define ESPALIER_SEARCH_SCHEMA_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "search/outside.h"
#include "search/rational.h"
#include "search/task.h"

enum {
    SEARCH_SECTIONS = SEARCH_PROCESS_REWARD + 1, /* purposes that have a prompt */
    SEARCH_MAX_NUMBERS = 8,             /* that a problem of numbers may have */
    SEARCH_MAX_PROBLEM_BYTES = 1 << 16,
};

/* Expressions tried in order; the first that matches decides, by its last match; group 1 of it, where it has one. */
struct search_patterns {
    pcre2_code **list;
    int count;
};
/* The part of text that the patterns ask for; 0 when none matches, or when matching took too many steps.
 * `from`: the first pattern to try; set to the one that matched. */
int search_patterns_find(const struct search_patterns *patterns, const char *text, size_t n, int *from, struct search_cut *out);

/* Texts with {placeholders}, already checked. */
struct search_prompt {
    struct engine_message *list;
    int count; /* 0: there is no such prompt */
};

struct search_section { /* a purpose that has a prompt */
    struct search_prompt messages, finish; /* finish: instead, once one number is left */
    char *grammar; /* of thoughts, with {placeholders}, or NULL */
    char **stops;
    int stop_count;
    int max_tokens;
    int brief; /* `thinking: false` */
    char *words[2]; /* self-evaluation, process-reward: the good one and the bad one */
};

enum search_verifier {
    SEARCH_VERIFIER_NONE, SEARCH_VERIFIER_TEXT, SEARCH_VERIFIER_NUMERIC, /* answers alone */
    SEARCH_VERIFIER_ARITHMETIC, SEARCH_VERIFIER_SORTING, SEARCH_VERIFIER_KNIGHTS, SEARCH_VERIFIER_CHAIN, /* each step, exactly */
};
extern const char *const search_verifiers[]; /* their names, NULL at the end */
enum search_otherwise { SEARCH_OTHERWISE_NONE, SEARCH_OTHERWISE_NUMBER, SEARCH_OTHERWISE_TEXT };

struct search_task {
    char *path; /* of the file */
    uint64_t sum; /* of its bytes */
    char *name, *about, *strategy, *form;

    int numbers;                         /* a problem is a list of whole numbers with a target */
    int count_low, count_high, range_low, range_high; /* of these, and of the numbers to be sorted; else 0 */
    int target_low, target_high;         /* equal and target_given == 0: the task's own target */
    int target_given;                    /* each problem names its target: "24: 4 4 10" */

    int continues, steps;
    int brief;                           /* of sections that do not say it themselves */
    char *opening, **turns;              /* of a reasoning model: what its thoughts stand after; the words a next one begins with, the first
                                            of them what closes the thoughts; or NULL */
    int turn_count;
    struct engine_sampling sampling;
    struct search_section sections[SEARCH_SECTIONS];
    struct search_patterns thought, answer, value, vote;
    enum search_otherwise otherwise;     /* what is read as the answer when the last step holds none */
    char *candidate;                     /* how one is listed in a vote */

    char **labels;
    double *weights;
    int label_count;
    double unreadable;

    enum search_verifier verifier;
    int ends_at_number;                  /* arithmetic: one number left ends the path; else an answer line must follow */

    char *data_file;                     /* as written: relative to the task's file; or NULL */
    char *column_problem, *column_target, *column_answer; /* or NULL */
    const char *generator;               /* one of search_generators, or NULL */

    struct search_command *command;      /* the user's own program that judges thoughts, or NULL */

    struct search_task *trained;         /* the same task with the prompts of its `trained:`, or NULL */
};

/* --- data.c */
/* "problem '...': what is wrong; <task> expects <form>": ERROR_INPUT. */
int search_problem_wrong(const struct search_task *task, const char *text, struct error *e, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Is every row of the task's data file a problem of the task? Errors carry the file and the line; *rows is how many there are. */
int search_task_rows(const struct search_task *task, int *rows, struct error *e);
/* The path of the data: of the file `data`, or of the task's own when that is NULL; malloc'ed, NULL where there is none. How many rows it has. */
char *search_data_file(const struct search_task *task, const char *data);
int search_data_count(const struct search_task *task, const char *data, int *rows, struct error *e);

/* --- sorting.c, chain.c, knights.c: the verdict on n bytes of a thought, trimmed and not empty; the text of a problem, trimmed */
void search_sorting_verify(const struct search_task *task, const struct search_path *path, const char *text, size_t n,
                           struct search_verdict *out);
void search_chain_verify(const struct search_task *task, const struct search_path *path, const char *text, size_t n,
                         struct search_verdict *out);
void search_knights_verify(const struct search_task *task, const struct search_path *path, const char *text, size_t n,
                           struct search_verdict *out);
int search_chain_parse(const struct search_task *task, const char *text, struct search_problem *out, struct error *e);
int search_knights_parse(const struct search_task *task, const char *text, struct search_problem *out, struct error *e);

/* --- turns.c: `thoughts`, when all else has been read */
int search_turns_read(struct search_task *task, const struct search_yaml *root, struct error *e);
void search_turns_free(struct search_task *task);

/* --- prompt.c */
/* OK when every {placeholder} of the text is one that is known there; else an error at the brace. */
enum search_place { SEARCH_PLACE_GROW, SEARCH_PLACE_VOTE, SEARCH_PLACE_CANDIDATE, SEARCH_PLACE_GRAMMAR };
int search_prompt_check(const struct search_task *task, enum search_place place, const struct search_yaml *node, struct error *e);
/* The same of a grammar, which must also be one when it is filled. */
int search_grammar_check(const struct search_task *task, const struct search_yaml *node, struct error *e);

/* --- answer.c */
/* The number in a text: $1,234.50 or -3 1/2, the first or the last; 0 when there is none. */
int search_answer_number(const char *text, size_t n, int last, struct search_rational *out);
/* The canonical form of an answer's text as this task compares answers, malloc'ed; NULL where it holds none. */
char *search_answer_canonical(const struct search_task *task, const char *text, size_t n);
/* The answer that a thought states, by the task's patterns; or NULL. */
char *search_answer_stated(const struct search_task *task, const char *thought);
/* What counts as the answer of a path that ends without stating one; or NULL. */
char *search_answer_otherwise(const struct search_task *task, const struct search_path *path, const char *thought);

#endif
