/* What a task's YAML says, as the runner asks for it: prompts, how to read completions, verdicts. Private to search/.
 * The schema is at the top of examples/game24.yaml. All functions are pure; strings returned are malloc'ed unless said.
 */
#ifndef ESPALIER_SEARCH_TASK_H
#define ESPALIER_SEARCH_TASK_H

#include "search/search.h"

/* A problem the task understood. */
struct search_problem {
    char *text;     /* canonical: "4 5 6 10" */
    char *state;    /* what is left at the root: "4 5 6 10", or NULL for tasks without a state */
    char *expected; /* known answer, or NULL; for countdown the target */
    char *target;   /* "24", or NULL */
};
int search_problem_parse(const struct search_task *task, const char *text, const char *expected, struct search_problem *out, struct error *e);
void search_problem_free(struct search_problem *p);

/* A path from the root to a node, as prompts see it. */
struct search_path {
    const struct search_problem *problem;
    const char *const *thoughts; /* texts, root's first child first */
    int count;
    const char *state;           /* after the last thought: its state, or the problem's */
    int ended;                   /* search_task_verify: the model ended its turn with the thought, so nothing can follow it */
};

/* The messages that ask for `purpose` at this path (sample: the thoughts so far are the open assistant turn's, and are NOT in the
 * messages: the runner appends their tokens). candidates: paths to vote on. Texts are malloc'ed in *out. */
struct search_messages {
    struct engine_message *list;
    int count;
};
int search_task_messages(const struct search_task *task, enum search_purpose purpose, const struct search_path *path,
                         const struct search_path *candidates, int candidate_count, struct search_messages *out, struct error *e);
void search_messages_free(struct search_messages *m);
int search_task_has(const struct search_task *task, enum search_purpose purpose); /* does the task have such a prompt, or judge */
/* The words whose probabilities are compared where a thought is judged by self-evaluation or process reward: the good one, the bad one. */
const char *const *search_task_words(const struct search_task *task, enum search_purpose purpose);
int search_task_brief(const struct search_task *task, enum search_purpose purpose); /* it is asked for without thoughts: `thinking: false` */
/* The greatest weight of a value label. */
double search_task_most(const struct search_task *task);
/* The grammar (GBNF) of what is asked for at this path, filled from its state; malloc'ed. NULL where the task gives none, and once one
 * number is left: what follows then is an answer, not a step. */
char *search_task_grammar(const struct search_task *task, enum search_purpose purpose, const struct search_path *path);
/* 1: thoughts are appended to one growing assistant turn (ask, math-word); 0: each prompt is made anew from the state (game24) */
int search_task_continues(const struct search_task *task);

const struct search_task *search_task_trained(const struct search_task *task); /* with its prompts for trained models; NULL: none */
int search_task_steps(const struct search_task *task);      /* greatest depth */
int search_task_max_tokens(const struct search_task *task, enum search_purpose purpose);
const char *const *search_task_stops(const struct search_task *task, enum search_purpose purpose, int *count);
struct engine_sampling search_task_sampling(const struct search_task *task);
/* The program of its own that judges thoughts (search/outside.h), or NULL. Opening a task neither looks for it nor runs it. */
const struct search_command *search_task_command(const struct search_task *task);

/* Cut a completion into thoughts: sample gives one, propose one a line that looks like a thought. Byte ranges of text. */
struct search_cut {
    size_t first, length; /* trimmed */
};
int search_task_cut(const struct search_task *task, enum search_purpose purpose, const char *text, struct search_cut **cuts);

/* A reasoning model's thoughts (`thoughts:` in the file): what they stand after, which a prompt ends with; NULL: the task has no such rule. */
const char *search_task_opening(const struct search_task *task);
/* The words that begin a next thought, owned by the task; the first of them closes the thoughts. */
const char *const *search_task_turns(const struct search_task *task, int *count);
/* Where in a text that follows the path the thoughts are closed: the byte after the closing word; 0: the path has it; SIZE_MAX: not yet. */
size_t search_task_thought_out(const struct search_task *task, const struct search_path *path, const char *text);
/* How much of what was written after the path is its next thought: what follows belongs to the one after. */
size_t search_task_turn(const struct search_task *task, const struct search_path *path, const char *text);

/* The verdict on a thought that follows `path`. */
struct search_verdict {
    int illegal;
    char *why, *state, *answer; /* or NULL */
    int final;
    int correct; /* 1, 0, -1 */
};
void search_task_verify(const struct search_task *task, const struct search_path *path, const char *thought, struct search_verdict *out);
void search_verdict_free(struct search_verdict *v);

/* The numbers that the operation of a step leaves, whatever the step itself says of them: "12 / 5 = 2.5 (left: 2.5)" after 5 10 12 leaves
 * 12/5 10. malloc'ed; NULL when it is not an operation on numbers that are there. */
char *search_step_meant(const char *state, const char *thought);

/* Every legal step of arithmetic from these numbers, one a line, as the verifier reads them: "4 + 5 = 9 (left: 6 9 10)". malloc'ed. */
char *search_step_moves(const char *state);

/* Value: the label of a completion (owned by the task) and its weight, or NULL: unreadable (weight: what the task says for it).
 * Vote: the candidate's number 1..candidates, or 0: unreadable. */
const char *search_task_value(const struct search_task *task, const char *completion, double *weight);
/* The one value label of least weight, owned by the task: "impossible". NULL: no label weighs less than all others. */
const char *search_task_worst(const struct search_task *task);
int search_task_vote(const struct search_task *task, const char *completion, int candidates);

#endif
