/* Logs made by hand, for the tests of the tree and of the strategies. Each function folds one event into the tree. */
#ifndef ESPALIER_TESTS_MADE_EVENTS_H
#define ESPALIER_TESTS_MADE_EVENTS_H

#include "search/event.h"

#include <stdlib.h>
#include <string.h>

static inline struct search_event *made(struct search_tree *tree, enum search_event_kind kind)
{
    return search_event_make(kind, tree->event_count, kind == SEARCH_EVENT_PLAN ? tree->steps : tree->steps - 1);
}

static inline void fold(struct search_tree *tree, struct search_event *event)
{
    search_tree_fold(tree, event);
    search_event_release(event);
}

static inline void made_session(struct search_tree *tree, const char *problem, uint64_t seed)
{
    struct search_event *event = made(tree, SEARCH_EVENT_SESSION);
    event->session.problem = xstrdup(problem);
    event->session.seed = seed;
    fold(tree, event);
}

static inline void made_plan(struct search_tree *tree, const struct search_item *items, int count)
{
    struct search_event *event = made(tree, SEARCH_EVENT_PLAN);
    event->plan.why = xstrdup("made");
    event->plan.items = search_items_copy(items, count);
    event->plan.count = count;
    fold(tree, event);
}

/* A completion of `count` tokens, each of log-probability `each`. */
static inline int64_t made_completion(struct search_tree *tree, int item, int sample, int count, float each)
{
    struct search_event *event = made(tree, SEARCH_EVENT_COMPLETION);
    event->completion.item = item;
    event->completion.sample = sample;
    event->completion.prompt_count = 10;
    event->completion.tokens = xcalloc((size_t)count + 1, sizeof *event->completion.tokens);
    for (int i = 0; i < count; i++)
        event->completion.tokens[i].logprob = each;
    event->completion.count = count;
    event->completion.text = xstrdup("made");
    event->completion.usage =
        (struct search_usage){.prompt = 10, .cached = sample ? 10 : 3, .completion = count, .flops = 7};
    fold(tree, event);
    return tree->event_count - 1;
}

/* A thought of all the tokens of a completion event (-1: of none). Give answer or final = 1 to end the path, why to
 * make it illegal. */
static inline int made_thought(struct search_tree *tree, int parent, int64_t completion, const char *text, int final,
                               const char *answer, const char *why)
{
    struct search_event *event = made(tree, SEARCH_EVENT_THOUGHT);
    event->thought.node = tree->count;
    event->thought.parent = parent;
    event->thought.text = xstrdup(text);
    event->thought.completion = completion;
    event->thought.count = completion < 0 ? 0 : tree->events[completion]->completion.count;
    event->thought.final = final || answer;
    event->thought.answer = xstrdup(answer);
    event->thought.why = xstrdup(why);
    event->thought.illegal = why != NULL;
    event->thought.correct = -1;
    fold(tree, event);
    return tree->count - 1;
}

static inline void made_judgement(struct search_tree *tree, int item, enum search_purpose purpose, const int *nodes,
                                  const double *scores, int count)
{
    struct search_event *event = made(tree, SEARCH_EVENT_JUDGEMENT);
    event->judgement.item = item;
    event->judgement.purpose = purpose;
    event->judgement.count = count;
    event->judgement.nodes = xcalloc((size_t)count, sizeof *nodes);
    event->judgement.scores = xcalloc((size_t)count, sizeof *scores);
    memcpy(event->judgement.nodes, nodes, (size_t)count * sizeof *nodes);
    memcpy(event->judgement.scores, scores, (size_t)count * sizeof *scores);
    fold(tree, event);
}

static inline void made_value(struct search_tree *tree, int item, int node, double score)
{
    made_judgement(tree, item, SEARCH_VALUE, &node, &score, 1);
}

static inline void made_decision(struct search_tree *tree, const int *kept, int count)
{
    struct search_event *event = made(tree, SEARCH_EVENT_DECISION);
    event->decision.kept = xcalloc((size_t)count + 1, sizeof *kept);
    memcpy(event->decision.kept, kept, (size_t)count * sizeof *kept);
    event->decision.kept_count = count;
    event->decision.why = xstrdup("made");
    fold(tree, event);
}

static inline void made_prune(struct search_tree *tree, int node)
{
    struct search_event *event = made(tree, SEARCH_EVENT_PRUNE);
    event->prune.node = node;
    fold(tree, event);
}

static inline void made_undo(struct search_tree *tree)
{
    struct search_event *event = made(tree, SEARCH_EVENT_UNDO);
    event->undo.target = tree->undo[tree->undo_count - 1];
    fold(tree, event);
}

static inline void made_redo(struct search_tree *tree)
{
    struct search_event *event = made(tree, SEARCH_EVENT_REDO);
    event->undo.target = tree->undo[tree->undo_count];
    fold(tree, event);
}

static inline void made_result(struct search_tree *tree, int node)
{
    struct search_event *event = made(tree, SEARCH_EVENT_RESULT);
    event->result.node = node;
    event->result.why = xstrdup("made");
    fold(tree, event);
}

#endif
