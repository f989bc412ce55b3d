/* The oracle: against all of the Game of 24, against brute force over expression trees, and on trees made by hand. */
#include "search/oracle.h"
#include "tests/made_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct search_rational fraction(int num, int den)
{
    struct search_rational value = {0, 1};
    assert_int_equal(search_rational_do((struct search_rational){num, 1}, '/', (struct search_rational){den, 1}, &value), SEARCH_RATIONAL_OK);
    return value;
}

/* --- the Game of 24 ---------------------------------------------------------------------------------------------- */

static void test_all_game24(void **state)
{
    (void)state;
    struct search_oracle *oracle = search_oracle_open();
    struct search_task *task;
    struct error e;
    double start = clock_seconds();
    assert_int_equal(search_task_open(&task, "game24", &e), OK);
    for (int row = 1; row <= 1362; row++) {
        char *text, *answer;
        assert_int_equal(search_task_data(task, NULL, row, &text, &answer, &e), OK);
        if (search_oracle_ask(oracle, text, "24") != SEARCH_MARK_ALIVE)
            fail_msg("row %d: %s", row, text);
        free(text);
        free(answer);
    }
    search_task_close(task);
    /* The data set is all of the 1,820 multisets of 1..13 that have a solution. */
    int alive = 0, all = 0;
    for (int a = 1; a <= 13; a++)
        for (int b = a; b <= 13; b++)
            for (int c = b; c <= 13; c++)
                for (int d = c; d <= 13; d++) {
                    char text[64];
                    snprintf(text, sizeof text, "%d %d %d %d", d, b, c, a);
                    enum search_mark mark = search_oracle_ask(oracle, text, "24");
                    assert_true(mark != SEARCH_MARK_UNKNOWN);
                    alive += mark == SEARCH_MARK_ALIVE;
                    all++;
                }
    assert_int_equal(all, 1820);
    assert_int_equal(alive, 1362);
    print_message("1,820 problems of four numbers in %.2f s\n", clock_seconds() - start);
    search_oracle_close(oracle);
}

static void test_countdown_data(void **state)
{
    (void)state;
    struct search_oracle *oracle = search_oracle_open();
    struct search_task *task;
    struct error e;
    char *text, *answer;
    int row = 1;
    assert_int_equal(search_task_open(&task, "countdown", &e), OK);
    for (; !search_task_data(task, NULL, row, &text, &answer, &e); row++) {
        char *numbers = strchr(text, ':');
        assert_non_null(numbers);
        *numbers = '\0';
        if (search_oracle_ask(oracle, numbers + 1, text) != SEARCH_MARK_ALIVE)
            fail_msg("row %d: %s: %s", row, text, numbers + 1);
        free(text);
        free(answer);
    }
    assert_true(row > 100);
    search_task_close(task);
    search_oracle_close(oracle);
}

/* --- brute force ------------------------------------------------------------------------------------------------- */

/* Every expression tree, by joining any two of the numbers in every way until one is left. */
static int brute_force(const struct search_rational *numbers, int count, struct search_rational target)
{
    if (count == 1)
        return !search_rational_compare(numbers[0], target);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < count; k++) {
            struct search_rational rest[SEARCH_ORACLE_NUMBERS];
            int n = 0;
            for (int m = 0; m < count; m++)
                if (m != i && m != k)
                    rest[n++] = numbers[m];
            for (const char *op = "+*-/"; *op && i != k; op++)
                if ((i < k || *op == '-' || *op == '/') && !search_rational_do(numbers[i], *op, numbers[k], &rest[n]) &&
                    brute_force(rest, n + 1, target))
                    return 1;
        }
    return 0;
}

static void test_brute_force(void **state)
{
    (void)state;
    int found = 0, cases = 0;
    for (uint64_t round = 0; round < 900; round++) {
        /* Fewer of five numbers: they take brute force long. Zeros, negative numbers and fractions are among them. */
        int count = round % 100 == 99 ? 5 : 1 + (int)(round % 4), wild = round % 3 == 0;
        struct search_rational numbers[SEARCH_ORACLE_NUMBERS];
        for (int i = 0; i < count; i++) {
            double at = random_uniform(24, round, (uint64_t)i), under = random_uniform(25, round, (uint64_t)i);
            numbers[i] = wild ? fraction((int)(at * 14) - 4, 1 + (int)(under * 3)) : fraction(1 + (int)(at * 13), 1);
        }
        struct search_rational target = fraction((int)(random_uniform(26, round, 0) * (wild ? 8 : 40)), wild ? 1 + (int)(round % 2) : 1);
        int expected = brute_force(numbers, count, target);
        enum search_mark mark = search_oracle_solve(numbers, count, target);
        if (mark != (expected ? SEARCH_MARK_ALIVE : SEARCH_MARK_LOST))
            fail_msg("round %d: %d numbers, target %lld/%lld: %d, not %d", (int)round, count, (long long)target.num, (long long)target.den, (int)mark, expected);
        found += expected;
        cases++;
    }
    assert_true(found > cases / 10 && found < cases * 9 / 10);
}

/* --- by hand ----------------------------------------------------------------------------------------------------- */

static void test_questions(void **state)
{
    (void)state;
    static const struct { const char *numbers, *target; enum search_mark mark; } cases[] = {
        {"24", "24", SEARCH_MARK_ALIVE},
        {"23", "24", SEARCH_MARK_LOST},
        {"8/3 9", "24", SEARCH_MARK_ALIVE},
        {"1.5 16", "24", SEARCH_MARK_ALIVE},
        {"-4 28", "24", SEARCH_MARK_ALIVE},
        {"-4 -6", "24", SEARCH_MARK_ALIVE},
        {"3 3 8 8", "24", SEARCH_MARK_ALIVE},       /* 8 / (3 - 8/3) */
        {"1 1 1 1 1 1", "9", SEARCH_MARK_ALIVE},    /* (1+1+1) * (1+1+1) */
        {"1 1 1 1 1 1", "10", SEARCH_MARK_LOST},
        {"1 1 1 1 1", "6", SEARCH_MARK_ALIVE},
        {"1 1 1 1 1", "7", SEARCH_MARK_LOST},
        {"0 5", "0", SEARCH_MARK_ALIVE},
        {"0 0 0", "1", SEARCH_MARK_LOST},
        {"99 97 89 83 79 73", "97", SEARCH_MARK_ALIVE},
        {"1 2 3 4 5 6 7", "24", SEARCH_MARK_UNKNOWN}, /* more than six */
        {"four five", "24", SEARCH_MARK_UNKNOWN},
        {"3+4 5", "24", SEARCH_MARK_UNKNOWN},
        {"1/2/3 5", "24", SEARCH_MARK_UNKNOWN},
        {"", "24", SEARCH_MARK_UNKNOWN},
        {"4 6", "", SEARCH_MARK_UNKNOWN},
        {"4 6", "24 25", SEARCH_MARK_UNKNOWN},
        {"9223372036854775807 9223372036854775807", "24", SEARCH_MARK_UNKNOWN}, /* their product may be it for all we know */
    };
    struct search_oracle *oracle = search_oracle_open();
    for (int again = 0; again < 2; again++) /* solved, then remembered */
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            if (search_oracle_ask(oracle, cases[i].numbers, cases[i].target) != cases[i].mark)
                fail_msg("'%s' -> '%s'", cases[i].numbers, cases[i].target);
    search_oracle_close(oracle);
}

/* Enough questions to make the memory grow several times. */
static void test_memory(void **state)
{
    (void)state;
    struct search_oracle *oracle = search_oracle_open();
    for (int again = 0; again < 2; again++)
        for (int a = 0; a < 3000; a++) {
            char text[64];
            snprintf(text, sizeof text, "%d 7", a);
            assert_int_equal(search_oracle_ask(oracle, text, "24"), a == 17 || a == 31 || a == 168 ? SEARCH_MARK_ALIVE : SEARCH_MARK_LOST);
        }
    search_oracle_close(oracle);
}

static int add_step(struct search_tree *tree, int parent, const char *state, int illegal, int correct)
{
    struct search_event *event = made(tree, SEARCH_EVENT_THOUGHT);
    event->thought.node = tree->count;
    event->thought.parent = parent;
    event->thought.text = xstrdup("made");
    event->thought.completion = -1;
    event->thought.state = xstrdup(state);
    event->thought.illegal = illegal;
    event->thought.final = correct >= 0;
    event->thought.correct = correct;
    fold(tree, event);
    return tree->count - 1;
}

static void test_marks(void **state)
{
    (void)state;
    struct search_oracle *oracle = search_oracle_open();
    struct search_tree tree = {0};
    assert_int_equal(search_oracle_mark(oracle, &tree, 0), SEARCH_MARK_UNKNOWN);
    struct search_event *event = made(&tree, SEARCH_EVENT_SESSION);
    event->session.problem = xstrdup("24: 4 4 11");
    event->session.expected = xstrdup("24");
    fold(&tree, event);
    assert_int_equal(search_oracle_mark(oracle, &tree, 0), SEARCH_MARK_LOST);
    search_tree_free(&tree);

    event = made(&tree, SEARCH_EVENT_SESSION);
    event->session.problem = xstrdup("24: 4 4 10");
    event->session.expected = xstrdup("24");
    fold(&tree, event);
    int good = add_step(&tree, 0, "4 6", 0, -1), bad = add_step(&tree, 0, "8 10", 0, -1), illegal = add_step(&tree, 0, "4 6", 1, -1);
    int below = add_step(&tree, illegal, "24", 0, -1), right = add_step(&tree, illegal, "24", 0, 1), wrong = add_step(&tree, good, "24", 0, 0);
    int stateless = add_step(&tree, 0, NULL, 0, -1);
    assert_int_equal(search_oracle_mark(oracle, &tree, 0), SEARCH_MARK_ALIVE);
    assert_int_equal(search_oracle_mark(oracle, &tree, good), SEARCH_MARK_ALIVE);
    assert_int_equal(search_oracle_mark(oracle, &tree, bad), SEARCH_MARK_LOST);
    assert_int_equal(search_oracle_mark(oracle, &tree, illegal), SEARCH_MARK_LOST);
    assert_int_equal(search_oracle_mark(oracle, &tree, below), SEARCH_MARK_LOST);
    assert_int_equal(search_oracle_mark(oracle, &tree, right), SEARCH_MARK_LOST); /* a right answer, on a path that is not legal */
    assert_int_equal(search_oracle_mark(oracle, &tree, wrong), SEARCH_MARK_LOST);
    assert_int_equal(search_oracle_mark(oracle, &tree, stateless), SEARCH_MARK_UNKNOWN);
    assert_int_equal(search_oracle_mark(oracle, &tree, add_step(&tree, good, "24", 0, 1)), SEARCH_MARK_ALIVE);
    assert_int_equal(search_oracle_mark(oracle, &tree, 99), SEARCH_MARK_UNKNOWN);
    search_tree_free(&tree);
    search_oracle_close(oracle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_game24), cmocka_unit_test(test_countdown_data), cmocka_unit_test(test_brute_force),
        cmocka_unit_test(test_questions),  cmocka_unit_test(test_memory),         cmocka_unit_test(test_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
