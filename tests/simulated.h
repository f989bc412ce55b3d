/* Searches without a model: a strategy is asked what is next, and a world made up for the test writes the thoughts and
 * judges them. */
#ifndef ESPALIER_TESTS_SIMULATED_H
#define ESPALIER_TESTS_SIMULATED_H

#include "tests/said.h"

#include <math.h>

/* --- worlds from a table ----------------------------------------------------------------------------------------- */

/* What is written under the thought of that text ("" for the root), in order. "!" in front is illegal, "=" an answer, "#" an
 * end without one. The reward is what a judge would say of it, the logprob that of each of its two tokens. */
struct invented {
    const char *under, *text;
    double reward;
    float logprob;
};
struct world {
    const struct invented *list;
    int count;
};
#define WORLD(...)                                                                                                     \
    {                                                                                                                  \
        .list = (const struct invented[]){__VA_ARGS__},                                                                \
        .count = sizeof((const struct invented[]){__VA_ARGS__}) / sizeof(struct invented)                              \
    }

static inline const struct invented *invented_under(const struct world *world, const char *under, int i)
{
    for (int k = 0; k < world->count; k++)
        if (!strcmp(world->list[k].under, under) && i-- == 0)
            return &world->list[k];
    return NULL;
}

static inline double invented_reward(const struct world *world, const struct search_tree *tree, int node)
{
    for (int k = 0; k < world->count; k++)
        if (!strcmp(world->list[k].text, search_node_text(tree, node)))
            return world->list[k].reward;
    fail_msg("nobody made up %s", search_node_text(tree, node));
    return 0;
}

static inline void begin(struct search_tree *tree, const char *spec, uint64_t seed)
{
    *tree = (struct search_tree){0};
    struct search_event *event = made(tree, SEARCH_EVENT_SESSION);
    event->session.problem = xstrdup("");
    event->session.strategy = xstrdup(spec);
    event->session.seed = seed;
    fold(tree, event);
}

static inline void write_thought(struct search_tree *tree, int parent, int64_t completion, int first, const char *text)
{
    struct search_event *event = made(tree, SEARCH_EVENT_THOUGHT);
    event->thought.node = tree->count;
    event->thought.parent = parent;
    event->thought.text = xstrdup(text);
    event->thought.completion = completion;
    event->thought.first = first;
    event->thought.count = 2;
    event->thought.illegal = text[0] == '!';
    event->thought.answer = text[0] == '=' ? xstrdup(text + 1) : NULL;
    event->thought.final = text[0] == '=' || text[0] == '#';
    event->thought.correct = -1;
    fold(tree, event);
}

/* A completion whose thoughts have two tokens each, of these log-probabilities. */
static inline int64_t write_tokens(struct search_tree *tree, int item, int sample, const float *logprobs, int thoughts)
{
    struct search_event *event = made(tree, SEARCH_EVENT_COMPLETION);
    event->completion.item = item;
    event->completion.sample = sample;
    event->completion.text = xstrdup("made up");
    event->completion.count = 2 * thoughts;
    event->completion.tokens = xcalloc((size_t)event->completion.count + 1, sizeof *event->completion.tokens);
    for (int t = 0; t < event->completion.count; t++)
        event->completion.tokens[t].logprob = logprobs[t / 2];
    fold(tree, event);
    return tree->event_count - 1;
}

/* One score for each of the item's nodes, of at most `most`. */
static inline void write_judgement(struct search_tree *tree, int i, const struct search_item *item, const double *scores,
                                   double most)
{
    struct search_event *event = made(tree, SEARCH_EVENT_JUDGEMENT);
    event->judgement.item = i;
    event->judgement.purpose = item->purpose;
    event->judgement.count = item->count;
    event->judgement.most = most;
    event->judgement.nodes = xcalloc((size_t)item->count, sizeof *event->judgement.nodes);
    event->judgement.scores = xcalloc((size_t)item->count, sizeof *event->judgement.scores);
    memcpy(event->judgement.nodes, item->nodes, (size_t)item->count * sizeof *item->nodes);
    memcpy(event->judgement.scores, scores, (size_t)item->count * sizeof *scores);
    fold(tree, event);
}

static inline void write_from_world(struct search_tree *tree, int i, int sample, const struct search_item *item,
                                    const struct world *world)
{
    const struct invented *found[16];
    float logprobs[16];
    int parent = item->nodes[0], from = tree->nodes[parent].children, count = 0;
    int most = item->purpose == SEARCH_PROPOSE ? 16 : 1;
    const char *under = search_node_text(tree, parent);
    while (count < most && (found[count] = invented_under(world, under, from + count))) {
        logprobs[count] = found[count]->logprob;
        count++;
    }
    int64_t completion = write_tokens(tree, i, sample, logprobs, count);
    for (int t = 0; t < count; t++)
        write_thought(tree, parent, completion, 2 * t, found[t]->text);
}

static inline void do_in_world(struct search_tree *tree, const struct search_plan *plan, const struct world *world)
{
    made_plan(tree, plan->items, plan->count);
    for (int i = 0; i < plan->count; i++) {
        const struct search_item *item = &plan->items[i];
        double scores[64];
        for (int s = 0; search_item_grows(item) && s < item->samples; s++)
            write_from_world(tree, i, s, item, world);
        for (int k = 0; !search_item_grows(item) && k < item->count; k++)
            scores[k] = invented_reward(world, tree, item->nodes[k]);
        if (!search_item_grows(item))
            write_judgement(tree, i, item, scores, 1);
    }
}

/* Ask, compare with what is expected, do it. */
struct expected {
    const char *said, *why; /* why NULL: whatever it is */
};
static inline void follow(struct search_tree *tree, const char *spec, const struct world *world,
                          const struct expected *expected, int count)
{
    for (int i = 0; i < count; i++) {
        struct search_plan plan;
        expect(tree, spec, expected[i].said, expected[i].why);
        free(say(tree, spec, 0, &plan));
        if (plan.kind == SEARCH_PLAN_ITEMS)
            do_in_world(tree, &plan, world);
        else if (plan.kind == SEARCH_PLAN_DECISION)
            record_decision(tree, spec, 0);
        search_plan_free(&plan);
    }
}
#define FOLLOW(tree, spec, world, ...)                                                                                 \
    follow(tree, spec, world, (const struct expected[]){__VA_ARGS__},                                                  \
           sizeof((const struct expected[]){__VA_ARGS__}) / sizeof(struct expected))

static inline void near(double a, double b)
{
    if (!(fabs(a - b) < 2e-5))
        fail_msg("%.6f is not %.6f", a, b);
}

static inline void terms_are(const struct search_tree *tree, int node, int visits, double q, double u, double prior,
                             double total)
{
    struct search_terms t;
    assert_true(search_tree_terms(tree, node, &t));
    assert_int_equal(t.visits, visits);
    near(t.q, q);
    near(t.u, u);
    near(t.prior, prior);
    near(t.total, total);
}

/* --- worlds at random -------------------------------------------------------------------------------------------- */

struct dice {
    uint64_t seed, thrown;
};

static inline int throw(struct dice *dice, int sides)
{
    return (int)(random_uniform(dice->seed, 1, dice->thrown++) * sides);
}

/* Nothing, a thought, an answer, an end without one, something illegal; few texts, so that there are copies. */
static inline void write_at_random(struct search_tree *tree, int i, int sample, const struct search_item *item,
                                   struct dice *dice)
{
    static const char *const texts[] = {"a", "b", "c", "d", "a", "b", "=7", "=8", "=9", "!x", "!y", "#"};
    int parent = item->nodes[0], count = item->purpose == SEARCH_PROPOSE ? throw(dice, 4) : throw(dice, 8) > 0;
    float logprobs[4];
    for (int t = 0; t < 4; t++)
        logprobs[t] = -(float)throw(dice, 50) / 10;
    int64_t completion = write_tokens(tree, i, sample, logprobs, count);
    for (int t = 0; t < count; t++) {
        const char *text = texts[throw(dice, 12)];
        write_thought(tree, parent, completion, 2 * t, tree->nodes[parent].depth >= 6 && text[0] >= 'a' ? "#" : text);
    }
}

/* As many of the plan's samples as `cut` says (-1: all); a judgement is one. */
static inline void do_at_random(struct search_tree *tree, const struct search_plan *plan, struct dice *dice, int cut)
{
    made_plan(tree, plan->items, plan->count);
    for (int i = 0; i < plan->count; i++) {
        const struct search_item *item = &plan->items[i];
        double scores[64];
        for (int s = 0; search_item_grows(item) && s < item->samples; s++)
            if (cut-- != 0)
                write_at_random(tree, i, s, item, dice);
            else
                return;
        if (search_item_grows(item))
            continue;
        if (cut-- == 0)
            return;
        for (int k = 0; k < item->count; k++)
            scores[k] = throw(dice, 21);
        write_judgement(tree, i, item, scores, 20);
    }
}

/* An act of the user between two steps: a prune, an undo or a redo. */
static inline int act(struct search_tree *tree, struct dice *dice)
{
    int kind = throw(dice, 12), node = 1 + throw(dice, tree->count);
    if (kind == 0 && node < tree->count && !search_tree_is_pruned(tree, node))
        made_prune(tree, node);
    else if (kind == 1 && tree->undo_count)
        made_undo(tree);
    else if (kind == 2 && tree->redo_count)
        made_redo(tree);
    else
        return 0;
    return 1;
}

/* Asks until it is done, with acts and perhaps the end of the budget, at any moment; `check` sees every plan first. */
static inline void run_at_random(const char *spec, uint64_t seed,
                                 void (*check)(const struct search_tree *, const char *, const struct search_plan *))
{
    struct dice dice = {.seed = seed};
    struct search_tree tree;
    int done = 0, acts = 0, spent = 0, step;
    begin(&tree, spec, seed);
    for (step = 0; !done && step < 5000; step++) {
        struct search_plan plan, again;
        if (acts < 20 && act(&tree, &dice)) {
            acts++;
            continue;
        }
        char *said = say(&tree, spec, spent, &plan), *twice = say(&tree, spec, spent, &again);
        assert_string_equal(said, twice);
        assert_string_equal(plan.why, again.why);
        assert_false(spent && plan.kind == SEARCH_PLAN_ITEMS);
        for (int i = 0; i < plan.kept_count; i++)
            assert_false(search_tree_is_pruned(&tree, plan.kept[i]));
        for (int i = 0; i < plan.count; i++)
            for (int k = 0; k < plan.items[i].count; k++) {
                assert_false(search_tree_is_pruned(&tree, plan.items[i].nodes[k]));
                assert_int_not_equal(tree.nodes[plan.items[i].nodes[k]].state, SEARCH_ILLEGAL);
            }
        check(&tree, spec, &plan);
        if (plan.kind == SEARCH_PLAN_ITEMS) {
            spent = seed % 3 == 0 && !throw(&dice, 25); /* in the middle of it */
            do_at_random(&tree, &plan, &dice, spent ? throw(&dice, 3) : -1);
        } else if (plan.kind == SEARCH_PLAN_DECISION) {
            record_decision(&tree, spec, spent);
        } else {
            assert_true(plan.node < 0 || search_has_answer(&tree, plan.node));
            done = acts >= 20 || !act(&tree, &dice); /* an act wakes it */
        }
        search_plan_free(&plan);
        search_plan_free(&again);
        free(said);
        free(twice);
    }
    if (!done)
        fail_msg("%s, seed %d: no end after %d steps", spec, (int)seed, step);
    search_tree_free(&tree);
}

#endif
