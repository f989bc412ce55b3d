/* What a strategy says of a tree, as text; and trees to ask it of. For the tests of the strategies. */
#ifndef ESPALIER_TESTS_SAID_H
#define ESPALIER_TESTS_SAID_H

#include "search/strategy.h"
#include "tests/made_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define GROW(node, n)                                                                                                  \
    {                                                                                                                  \
        .purpose = SEARCH_SAMPLE, .nodes = (int[]){node}, .count = 1, .samples = n                                     \
    }

/* What a strategy says is next, as text: "propose 0 x1; propose 3 x2", "keep 4 2", "keep 4 | 4 0.5 1 0.4 0 0.4" with what is
 * backed up, "done 4". */
static inline char *say(const struct search_tree *tree, const char *spec, int spent, struct search_plan *plan)
{
    struct search_parameters p;
    struct error e;
    struct string out = {0};
    assert_int_equal(search_parameters_parse(&p, spec, NULL, &e), OK);
    *plan = (struct search_plan){0};
    p.worst = "impossible"; /* as a task with this label would have it */
    p.strategy->next(tree, &p, spent, plan);
    assert_non_null(plan->why);
    if (plan->kind == SEARCH_PLAN_DONE)
        string_addf(&out, "done %d", plan->node);
    if (plan->kind == SEARCH_PLAN_DECISION)
        string_add(&out, "keep");
    for (int i = 0; i < plan->kept_count; i++)
        string_addf(&out, " %d", plan->kept[i]);
    for (int i = 0; i < plan->backup_count; i++)
        string_addf(&out, "%s %d %.4g", i ? "" : " |", plan->backups[i].node, plan->backups[i].reward);
    for (int i = 0; i < plan->count; i++) {
        string_addf(&out, "%s%s", i ? "; " : "", search_purpose_name(plan->items[i].purpose));
        for (int k = 0; k < plan->items[i].count; k++)
            string_addf(&out, " %d", plan->items[i].nodes[k]);
        string_addf(&out, " x%d", plan->items[i].samples);
    }
    return out.text;
}

static inline void expect(const struct search_tree *tree, const char *spec, const char *expected, const char *why)
{
    struct search_plan plan, again;
    char *said = say(tree, spec, 0, &plan), *twice = say(tree, spec, 0, &again);
    assert_string_equal(said, expected);
    assert_string_equal(said, twice); /* it keeps nothing */
    if (why)
        assert_string_equal(plan.why, why);
    search_plan_free(&plan);
    search_plan_free(&again);
    free(said);
    free(twice);
}

/* Record a plan that grows `parent`, with these thoughts; "!" in front is illegal, "=" an answer. */
static inline void grow(struct search_tree *tree, int parent, int count, const char *const *texts)
{
    made_plan(tree, (struct search_item[]){GROW(parent, 1)}, 1);
    int64_t c = made_completion(tree, 0, 0, 1, -1);
    for (int i = 0; i < count; i++) {
        const char *t = texts[i];
        made_thought(tree, parent, c, t, 0, t[0] == '=' ? t + 1 : NULL, t[0] == '!' ? "wrong" : NULL);
    }
}
#define GROWN(tree, parent, ...)                                                                                       \
    grow(tree, parent, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static inline void judge(struct search_tree *tree, int node, double value)
{
    made_plan(tree, (struct search_item[]){{.purpose = SEARCH_VALUE, .nodes = &node, .count = 1, .samples = 1}}, 1);
    made_completion(tree, 0, 0, 1, -1);
    made_value(tree, 0, node, value);
}

static inline void record_decision(struct search_tree *tree, const char *spec, int spent)
{
    struct search_plan plan;
    free(say(tree, spec, spent, &plan));
    struct search_event *event = made(tree, SEARCH_EVENT_DECISION);
    event->decision.kept = plan.kept;
    event->decision.kept_count = plan.kept_count;
    event->decision.tally = plan.tally;
    event->decision.tally_count = plan.tally_count;
    event->decision.tie = plan.tie;
    event->decision.backups = plan.backups;
    event->decision.backup_count = plan.backup_count;
    plan.backups = NULL;
    plan.kept = NULL;
    plan.tally = NULL;
    plan.tally_count = 0;
    search_plan_free(&plan);
    fold(tree, event);
}

#endif
