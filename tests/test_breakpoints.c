/* Where a search is to stop by itself: rules in words, and which events they stop at. */
#include "tests/made_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void add(struct search_breakpoints *list, const char *rule)
{
    struct error e;
    if (search_breakpoint_add(list, rule, &e))
        fail_msg("%s", e.message);
}

static void check_text(const struct search_breakpoints *list, const char *expected)
{
    struct string text = {0};
    search_breakpoints_text(list, &text);
    assert_string_equal(string_text(&text), expected);
    string_free(&text);
}

static void test_rules(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "wrongly", "value", "value<", "value<x", "value<1 2x", "value=1", "depth=0", "depth=1.5", "depth=-1", "value<nan",
                                        "value>inf", "all", "wrong,right"};
    struct search_breakpoints list = {0}, again = {0};
    struct error e;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(search_breakpoint_add(&list, wrong[i], &e), ERROR_USAGE);
        assert_non_null(strstr(e.message, "expected wrong, right"));
    }
    add(&list, "wrong");
    add(&list, "value < .25");
    add(&list, "value>.25");
    add(&list, "depth = 3");
    assert_int_equal(search_breakpoint_add(&list, "value<0.250", &e), ERROR_INPUT);
    check_text(&list, "wrong, value<0.25, value>0.25, depth=3");
    assert_int_equal(search_breakpoints_read(&again, "wrong, value<0.25, value>0.25, depth=3", &e), OK);
    check_text(&again, "wrong, value<0.25, value>0.25, depth=3");
    assert_int_equal(search_breakpoint_remove(&list, "answer", &e), ERROR_INPUT);
    assert_int_equal(search_breakpoint_remove(&list, "nothing", &e), ERROR_USAGE);
    assert_int_equal(search_breakpoint_remove(&list, "wrong", &e), OK);
    check_text(&list, "value<0.25, value>0.25, depth=3");
    assert_int_equal(search_breakpoint_remove(&list, "all", &e), OK);
    check_text(&list, "");
    assert_int_equal(search_breakpoints_read(&again, "wrong, of a later version", &e), ERROR_USAGE);
    for (int i = 0; i < SEARCH_BREAKPOINTS; i++) {
        char rule[32];
        snprintf(rule, sizeof rule, "depth=%d", i + 1);
        add(&list, rule);
    }
    assert_int_equal(search_breakpoint_add(&list, "wrong", &e), ERROR_INPUT);
}

/* Does the tree's latest event stop it, at that node, for a reason with these words? words NULL: it does not. */
static void check(const struct search_tree *tree, struct search_breakpoints *list, int node, const char *words)
{
    int at = -1;
    char *why = search_breakpoints_hit(list, tree, tree->events[tree->event_count - 1], &at);
    if (words && (!why || !strstr(why, words)))
        fail_msg("'%s' instead of '%s'", why ? why : "nothing", words);
    if (words)
        assert_int_equal(at, node);
    else
        assert_null(why);
    free(why);
}

static void test_hits(void **state)
{
    (void)state;
    struct search_tree tree = {0};
    struct search_breakpoints wrong = {0}, answer = {0}, below = {0}, depth = {0}, none = {0}, all = {0};
    add(&wrong, "wrong");
    add(&answer, "answer");
    add(&below, "value<0.5");
    add(&depth, "depth=2");
    add(&all, "right");
    add(&all, "value>0.5");
    add(&all, "wrong");
    made_session(&tree, "a problem", 1);
    const struct search_item sample = {.purpose = SEARCH_SAMPLE, .nodes = (int[]){0}, .count = 1, .samples = 2};
    made_plan(&tree, &sample, 1);
    check(&tree, &all, 0, NULL);
    int64_t c = made_completion(&tree, 0, 0, 3, -1);
    check(&tree, &all, 0, NULL);
    const int a = made_thought(&tree, 0, c, "one", 0, NULL, NULL);
    check(&tree, &all, 0, NULL);
    check(&tree, &depth, 0, NULL);
    const int b = made_thought(&tree, 0, c, "two", 0, NULL, "6 is not there");
    check(&tree, &wrong, b, "wrong: thought 2 is illegal: 6 is not there");
    check(&tree, &all, b, "wrong");
    check(&tree, &none, 0, NULL);
    made_judgement(&tree, 0, SEARCH_VALUE, (int[]){a, b}, (double[]){0.5, 0.25}, 2);
    check(&tree, &below, b, "value<0.5: thought 2 has value 0.25");
    check(&tree, &all, 0, NULL);
    made_judgement(&tree, 0, SEARCH_VALUE, (int[]){a}, (double[]){0.0 / 0.0}, 1); /* it could not be read */
    check(&tree, &below, 0, NULL);
    made_judgement(&tree, 0, SEARCH_VOTE, (int[]){a, b}, (double[]){0, 3}, 2);
    check(&tree, &below, 0, NULL);
    check(&tree, &all, 0, NULL);
    made_judgement(&tree, 0, SEARCH_VERIFIER, (int[]){a}, (double[]){0}, 1);
    check(&tree, &wrong, a, "says the verifier");
    const struct search_item deeper = {.purpose = SEARCH_SAMPLE, .nodes = (int[]){1}, .count = 1, .samples = 2};
    made_plan(&tree, &deeper, 1);
    c = made_completion(&tree, 0, 0, 3, -1);
    const int d = made_thought(&tree, a, c, "three", 0, NULL, NULL);
    check(&tree, &depth, d, "depth=2: thought 3 is the first of step 2");
    const int last = made_thought(&tree, a, c, "four", 1, "24", NULL);
    check(&tree, &depth, 0, NULL); /* one of a plan stops it */
    check(&tree, &answer, last, "answers 24");
    check(&tree, &all, 0, NULL); /* nobody knows whether it is right */
    made_plan(&tree, &deeper, 1);
    c = made_completion(&tree, 0, 0, 3, -1);
    made_thought(&tree, a, c, "five", 0, NULL, NULL);
    check(&tree, &depth, 5, "depth=2");
    search_tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules), cmocka_unit_test(test_hits)};
    return cmocka_run_group_tests_name("breakpoints", tests, NULL, NULL);
}
