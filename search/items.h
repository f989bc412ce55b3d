/* From items to prompts, and from completions to what they mean. Private to search/: pure, but for asking the engine's
 * vocabulary.
 */
#ifndef ESPALIER_SEARCH_ITEMS_H
#define ESPALIER_SEARCH_ITEMS_H

#include "search/event.h"
#include "search/task.h"

/* Where a search stands. */
struct search_ground {
    struct engine *engine, *judge; /* judge: a second model that judges, or NULL */
    const struct search_task *task, *judge_task; /* with the prompts for each; without a second model they are the same */
    struct search_oracle *oracle;
    struct search_problem problem;
    struct search_tree tree;
};

/* The problem that the options name: as it is typed, or a row of the task's data (run.c). */
int search_problem_open(const struct search_options *o, struct search_problem *out, struct error *e);

/* The task with the prompts that the options, or the models' own files, choose: fills task and judge_task. engine and judge are there. */
int search_ground_choose(struct search_ground *g, const struct search_options *o, struct error *e);
/* Is this asked of the judges' model? And whom, then. */
int search_item_judges(const struct search_ground *g, enum search_purpose purpose);
struct engine *search_item_engine(const struct search_ground *g, enum search_purpose purpose);
const struct search_task *search_item_task(const struct search_ground *g, enum search_purpose purpose);
/* It is judged by a rule, from the tree alone: nobody is asked. */
int search_item_is_ruled(const struct search_ground *g, enum search_purpose purpose);
/* It is judged by the task's command; append what that is told. */
int search_item_is_outside(const struct search_ground *g, enum search_purpose purpose);
void search_item_input(const struct search_ground *g, const struct search_item *item, struct string *out);
struct search_event *search_item_ruled(const struct search_ground *g, int i, const struct search_item *item);

/* Append the tokens of an item's prompt. */
int search_item_prompt(const struct search_ground *g, const struct search_item *item, struct engine_tokens *out,
                       struct error *e);

/* What ends a completion of an item. */
const char *const *search_item_stops(const struct search_ground *g, const struct search_item *item, int *count);
/* What is left to be written of the user's own text below a node: a thought of a reasoning model may end with words that it begins with. */
const char *search_item_own_rest(const struct search_ground *g, int parent, const char *text);

/* The task's grammar for what an item grows, filled; malloc'ed, or NULL. */
char *search_item_grammar(const struct search_ground *g, const struct search_item *item);

/* The text of a completion's tokens as events hold it, malloc'ed; starts[count] gets the offset in it at which each
 * token begins. */
char *search_completion_text(const struct engine *engine, const struct engine_token *tokens, int count, size_t *starts);

/* The thoughts that a completion event (of `item`) holds, in order: THOUGHT events without number and node. */
struct search_event **search_item_thoughts(const struct search_ground *g, const struct search_item *item,
                                           const struct search_event *completion, int *count);

/* The same of a thought that the user wrote below a node: fills a THOUGHT event but for its number, node and author. */
void search_item_own_thought(const struct search_ground *g, int parent, const char *text, struct search_event *event);

/* The JUDGEMENT event (without number) of all the completions of a value or vote item. */
struct search_event *search_item_judgement(const struct search_ground *g, int i, const struct search_item *item,
                                           struct search_event *const *completions);
/* The same without completions: the scores of `source`, or 0 for each when it is NULL. */
struct search_event *search_item_known(const struct search_ground *g, int i, const struct search_item *item,
                                       const struct search_event *source);

#endif
