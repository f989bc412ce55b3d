/* Tasks: verdicts worked by hand, random steps, what completions are read as, problems and data, prompts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search/rational.h"
#include "search/task.h"

static struct search_task *open_task(const char *name)
{
    struct search_task *task;
    struct error e;
    if (search_task_open(&task, name, &e))
        fail_msg("%s", e.message);
    return task;
}

static struct search_problem problem_of(const struct search_task *task, const char *text, const char *expected)
{
    struct search_problem problem;
    struct error e;
    if (search_problem_parse(task, text, expected, &problem, &e))
        fail_msg("%s", e.message);
    return problem;
}

static const char *or_none(const char *s)
{
    return s ? s : "-";
}

/* --- verdicts on numbers ----------------------------------------------------------------------------------------- */

#define TIMES "\xc3\x97"
#define DIVIDED "\xc3\xb7"
#define MINUS "\xe2\x88\x92"
#define ABOUT "\xe2\x89\x88"

/* One thought after a state. outcome: "step", "illegal", "right", "wrong" (an answer), "dead" (an end without answer).
 * what: the state after a step, a right answer, or why for the others. */
struct verdict_row {
    const char *state, *thought, *outcome, *what;
};

static const struct verdict_row game24[] = {
    /* legal, as the task asks for it and as models write it */
    {"4 5 6 10", "10 - 4 = 6 (left: 5 6 6)", "step", "5 6 6"},
    {"4 5 6 10", "4 + 5 = 9 (left: 6 9 10)", "step", "6 9 10"},
    {"4 5 6 10", "4 + 5 = 9 (left: 10 9 6)", "step", "6 9 10"},
    {"4 5 6 10", "5 - 6 = -1 (left: -1 4 10)", "step", "-1 4 10"},
    {"4 5 6 10", "5 - 10 = -5 (left: 4 6 -5)", "step", "-5 4 6"},
    {"4 5 6 10", "  10 - 4 = 6   (left:  5,6, 6 ).  ", "step", "5 6 6"},
    {"4 5 6 10", "10-4=6(Left: 5 6 6)", "step", "5 6 6"},
    {"4 5 6 10", "10 - 4 = 6 (left 5 6 6)", "step", "5 6 6"},
    {"4 5 6 10", "10 - 4 = 6 (check) (left: 5 6 6)", "step", "5 6 6"},
    {"4 5 6 10", "(10) - (4) = (6) (left: 5 6 (6))", "step", "5 6 6"},
    {"4 5 6 10", "10.0 - 4 = 6.00 (left: 5 6 6)", "step", "5 6 6"},
    {"4 5 6 10", "10 " MINUS " 4 = 6 (left: 5 6 6)", "step", "5 6 6"},
    {"4 5 6 10", "4 " TIMES " 5 = 20 (left: 6 10 20)", "step", "6 10 20"},
    {"4 5 6 10", "4 x 5 = 20 (left: 6 10 20)", "step", "6 10 20"},
    {"4 5 6 10", "10 " DIVIDED " 5 = 2 (left: 2 4 6)", "step", "2 4 6"},
    {"3 3 8 8", "3 + 3 = 6 (left: 6 8 8)", "step", "6 8 8"},
    {"3 3 8 8", "8 - 8 = 0 (left: 0 3 3)", "step", "0 3 3"},
    {"0 3 3", "0 / 3 = 0 (left: 0 3)", "step", "0 3"},
    /* fractions and decimals are exact */
    {"3 3 8 8", "8 / 3 = 8/3 (left: 8/3 3 8)", "step", "8/3 3 8"},
    {"8/3 3 8", "3 - 8/3 = 1/3 (left: 1/3 8)", "step", "1/3 8"},
    {"8/3 3 8", "3 - (8/3) = 1/3 (left: 1/3 8)", "step", "1/3 8"},
    {"1/3 8", "8 / 1/3 = 24 (left: 24)", "right", "24"},
    {"4 6 8 9", "6 / 4 = 1.5 (left: 1.5 8 9)", "step", "3/2 8 9"},
    {"4 6 8 9", "6/4 = 3/2 (left: 3/2 8 9)", "step", "3/2 8 9"},
    {"3/2 8 9", "1.5 * 8 = 12 (left: 9 12)", "step", "9 12"},
    {"3/2 8 9", "8 * 3/2 = 12 (left: 9 12)", "step", "9 12"},
    {"3/2 8 9", "3/2 - 8 = -13/2 (left: -6.5 9)", "step", "-13/2 9"},
    {"2/3 2 3", "2/3 = 2/3 (left: 2/3 2/3)", "step", "2/3 2/3"}, /* the step is 2 divided by 3 */
    {"-1 6 10", "6 - -1 = 7 (left: 7 10)", "step", "7 10"},
    {"-1 6 10", "6 - (-1) = 7 (left: 7 10)", "step", "7 10"},
    {"-1 6 10", "-1 * 6 = -6 (left: -6 10)", "step", "-6 10"},
    {"-1 6 10", MINUS "1 + 6 = 5 (left: 5 10)", "step", "5 10"},
    /* the end of a path */
    {"4 6", "4 * 6 = 24 (left: 24)", "right", "24"},
    {"20 4", "20 + 4 = 24.0 (left: 24)", "right", "24"},
    {"4 6", "4 + 6 = 10 (left: 10)", "dead", "10 is not 24"},
    {"9 4", "4 / 9 = 4/9 (left: 4/9)", "dead", "4/9 is not 24"},
    {"4 6", "4 - 6 = -2 (left: -2)", "dead", "-2 is not 24"},
    /* operands */
    {"4 5 10", "10 - 6 = 4 (left: 4 4 5)", "illegal", "6 is not there"},
    {"4 5 10", "7 + 8 = 15 (left: 4 5 10)", "illegal", "7 is not there"},
    {"4 5 10", "5 + 5 = 10 (left: 4 10)", "illegal", "there is only one 5"},
    {"3 3 8", "3 + 3 = 6 (left: 8 6)", "step", "6 8"},
    {"-1 6 10", "1 + 6 = 7 (left: 7 10)", "illegal", "1 is not there"},
    {"2/3 9", "2 / 3 = 2/3 (left: 9 2/3)", "illegal", "2 is not there"},
    {"8/3 3 8", "2.67 + 3 = 5.67 (left: 5.67 8)", "illegal", "267/100 is not there"},
    /* results */
    {"5 6 10", "5 + 6 = 12 (left: 10 12)", "illegal", "5 + 6 is 11, not 12"},
    {"4 6 9", "6 / 9 = 0.667 (left: 0.667 4)", "illegal", "6 / 9 is 2/3, not 0.667"},
    {"4 6 9", "6 / 9 " ABOUT " 0.67 (left: 0.67 4)", "illegal", "6 / 9 is 2/3, not 0.67"},
    {"4 6 9", "6 / 9 = 0.66 (approx.) (left: 0.66 4)", "illegal", "6 / 9 is 2/3, not 0.66"},
    {"4 6 9", "6 / 9 = 1/2 (left: 1/2 4)", "illegal", "6 / 9 is 2/3, not 0.5"},
    {"4 5 10", "4 - 5 = 1 (left: 1 10)", "illegal", "4 - 5 is -1, not 1"},
    {"-1 4", "4 - -1 = 3 (left: 3)", "illegal", "4 - -1 is 5, not 3"},
    {"0 4 6", "4 / 0 = 4 (left: 4 6)", "illegal", "division by zero"},
    {"4 5 10", "4 + 5 = nine (left: 9 10)", "illegal", "what follows = is not one number"},
    {"4 5 10", "4 + 5 = (left: 9 10)", "illegal", "what follows = is not one number"},
    {"4 5 10", "4 + 5 = 3 * 3 (left: 9 10)", "illegal", "what follows = is not one number"},
    {"4 5 10", "4 + 5 = 9 = 9 (left: 9 10)", "illegal", "what follows = is not one number"},
    {"9223372036854775807 2", "9223372036854775807 * 2 = 4 (left: 4)", "illegal", "too large"},
    /* numbers left */
    {"4 5 6 10", "5 + 6 = 11 (left: 4 10)", "illegal", "left should be 4 10 11"},
    {"4 5 6 10", "5 + 6 = 11 (left: 4 10 11 11)", "illegal", "left should be 4 10 11"},
    {"4 5 6 10", "5 + 6 = 11 (left: 4 10 12)", "illegal", "left should be 4 10 11"},
    {"4 5 6 10", "5 + 6 = 11 (left: 4 5 6 10 11)", "illegal", "left should be 4 10 11"},
    {"4 5 6 10", "5 + 6 = 11 (left: four 10 11)", "illegal", "left should be 4 10 11"},
    {"4 5 6 10", "5 + 6 = 11 (left: )", "illegal", "left should be 4 10 11"},
    {"4 6 9", "6 / 9 = 2/3 (left: 0.667 4)", "illegal", "left should be 2/3 4"},
    {"5 6 11", "5 - 6 = -1 (left: 1 11)", "illegal", "left should be -1 11"},
    {"4 5 6 10", "5 + 6 = 11", "illegal", "(left: 4 10 11) is missing"},
    {"4 6", "4 * 6 = 24", "illegal", "(left: 24) is missing"},
    /* form */
    {"4 5 6 10", "", "illegal", "nothing was written"},
    {"4 5 6 10", " \n ", "illegal", "nothing was written"},
    {"4 5 6 10", "Let me think about it.", "illegal", "not a step such as 1 + 2 = 3 (left: 3 4)"},
    {"4 5 6 10", "5 + 6 + 10 = 21 (left: 4 21)", "illegal", "not one operation on two numbers"},
    {"4 5 6 10", "5 = 5 (left: 4 6 10)", "illegal", "not one operation on two numbers"},
    {"4 5 6 10", "x = 5 (left: 4 6 10)", "illegal", "not one operation on two numbers"},
    {"4 5 6 10", "5 plus 6 = 11 (left: 4 10 11)", "illegal", "not one operation on two numbers"},
    {"4 5 6 10", "5 + 6 = 11 (left: 4 10 11", "illegal", "the (left: ...) is not closed"},
    {"4 5 6 10", "5 + 6 = (11 (left: 4 10 11", "illegal", "unbalanced parenthesis"},
    {"4 5 6 10", "5 + 6 = 11 (left: 4 10 11) 4 + 10 = 14 (left: 11 14)", "illegal", "more text follows the step"},
    {"4 5 6 10", "5 + 6 = 11 (left: 4 10 11) as they are", "illegal", "more text follows the step"},
    {"4 5 6 10", "5 + 6 = \xff (left: 4 10 11)", "illegal", "what follows = is not one number"},
    {"4 5 6 10", "1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 = 55 (left: 1)", "illegal", "not one operation on two numbers"},
    {"24", "24 - 0 = 24 (left: 24)", "illegal", "one number is left: an answer line must follow"},
    /* answers, at any depth; the problem is 4 5 6 10 */
    {"24", "Answer: (10 - 4) * (5 - 1) = 24", "wrong", "1 is not among the numbers"},
    {"24", "Answer: 4 * 5 + 10 - 6 = 24", "right", "5 * 4 + 10 - 6 = 24"},
    {"4 5 6 10", "Answer: 4 * 5 + 10 - 6 = 24", "right", "5 * 4 + 10 - 6 = 24"},
    {"4 5 6 10", "answer: 24 = 4 " TIMES " 5 + (10 " MINUS " 6)", "right", "5 * 4 + 10 - 6 = 24"},
    {"4 5 6 10", "**Answer:** (5*(10-4)) - 6 = 24.", "right", "(10 - 4) * 5 - 6 = 24"},
    {"4 5 6 10", "The answer is 24", "illegal", "not a step such as 1 + 2 = 3 (left: 3 4)"},
    {"4 5 6 10", "Answer is 5 * (10 - 4) - 6", "right", "(10 - 4) * 5 - 6 = 24"},
    {"4 5 6 10", "Answer: 5 * (10 - 4) - 6 = 30 - 6 = 24", "right", "(10 - 4) * 5 - 6 = 24"},
    {"4 5 6 10", "Answer: 5 * (10 - 4) - 6 = 30 - 5 = 24", "wrong", "it is 25, not 24"},
    {"4 5 6 10", "Answer: (10 - 4) * 4 = 24", "wrong", "4 is used twice"},
    {"4 5 6 10", "Answer: 4 * 6 = 24", "wrong", "5 is not used"},
    {"4 5 6 10", "Answer: (4 + 5) * 2 + 6 = 24", "wrong", "2 is not among the numbers"},
    {"4 5 6 10", "Answer: 4 + 5 + 6 + 10 = 24", "wrong", "it is 25, not 24"},
    {"4 5 6 10", "Answer: 5 * 4 + 10 - 6 = 25", "wrong", "it is 25, not 24"},
    {"4 5 6 10", "Answer: 10 / (5 - 5) + 4 + 6 = 24", "wrong", "5 is used twice"},
    {"4 5 6 10", "Answer: 4 * 5 + 10 - 6.0 = 24.0", "right", "5 * 4 + 10 - 6 = 24"},
    {"4 5 6 10", "Answer: none", "illegal", "not an expression: not a number"},
    {"4 5 6 10", "Answer: (4 + 5 = 24", "illegal", "not an expression: unbalanced parenthesis"},
    {"4 5 6 10", "Answer: 24 = 24 = 24 = 24 = 24", "illegal", "not an expression: too many = signs"},
};

static const char *outcome_of(const struct search_verdict *v)
{
    if (v->illegal)
        return "illegal";
    if (!v->final)
        return "step";
    return v->correct == 1 ? "right" : v->answer ? "wrong" : "dead";
}

static void check_rows(const struct search_task *task, const char *problem_text, const struct verdict_row *rows, size_t count)
{
    struct search_problem problem = problem_of(task, problem_text, NULL);
    for (size_t i = 0; i < count; i++) {
        struct search_path path = {.problem = &problem, .state = rows[i].state};
        struct search_verdict v;
        search_task_verify(task, &path, rows[i].thought, &v);
        const char *outcome = outcome_of(&v);
        const char *what = !strcmp(outcome, "step") ? v.state : !strcmp(outcome, "right") ? v.answer : v.why;
        if (strcmp(outcome, rows[i].outcome) || strcmp(or_none(what), rows[i].what))
            fail_msg("%s | %s: %s, %s; not %s, %s", rows[i].state, rows[i].thought, outcome, or_none(what), rows[i].outcome, rows[i].what);
        assert_int_equal(v.correct, v.illegal || !v.final ? -1 : !strcmp(outcome, "right"));
        assert_true(!v.illegal || (!v.state && !v.answer && !v.final));
        search_verdict_free(&v);
    }
    search_problem_free(&problem);
}

static void test_verdicts_of_game24(void **state)
{
    (void)state;
    struct search_task *task = open_task("game24");
    check_rows(task, "4 5 6 10", game24, sizeof game24 / sizeof *game24);
    search_task_close(task);
}

static void test_verdicts_of_countdown(void **state)
{
    (void)state;
    static const struct verdict_row rows[] = {
        {"5 25 30", "25 + 5 = 30 (left: 30 30)", "step", "30 30"},
        {"30 30", "30 + 30 = 60 (left: 60)", "right", "60"}, /* the path is not told here, so neither is its expression */
        {"30 30", "30 - 30 = 0 (left: 0)", "dead", "0 is not 60"},
        {"5 25 30", "Answer: 30 + 25 + 5 = 60", "right", "30 + 25 + 5 = 60"},
        {"5 25 30", "Answer: 30 + 25 = 60", "wrong", "5 is not used"},
    };
    struct search_task *task = open_task("countdown");
    check_rows(task, "60: 30 5 25", rows, sizeof rows / sizeof *rows);
    search_task_close(task);
}

/* Follow a path; returns the last verdict, which the caller frees. */
static struct search_verdict follow(const struct search_task *task, const char *text, const char *const *thoughts, int count)
{
    struct search_problem problem = problem_of(task, text, NULL);
    struct search_verdict v = {0};
    char *state = strdup(problem.state ? problem.state : "");
    for (int i = 0; i < count; i++) {
        struct search_path path = {.problem = &problem, .thoughts = thoughts, .count = i, .state = problem.state ? state : NULL};
        search_verdict_free(&v);
        search_task_verify(task, &path, thoughts[i], &v);
        if (v.state) {
            free(state);
            state = strdup(v.state);
        }
    }
    free(state);
    search_problem_free(&problem);
    return v;
}

static void test_answers_are_built_from_the_path(void **unused)
{
    (void)unused;
    static const struct {
        const char *problem, *thoughts[4], *answer;
    } rows[] = {
        {"4 5 6 10", {"10 - 4 = 6 (left: 5 6 6)", "5 * 6 = 30 (left: 6 30)", "30 - 6 = 24 (left: 24)"}, NULL},
        {"1 2 3 4", {"3 * 4 = 12 (left: 1 2 12)", "2 * 12 = 24 (left: 1 24)", "1 * 24 = 24 (left: 24)"}, "4 * 3 * 2 * 1 = 24"},
        {"3 3 8 8", {"8 / 3 = 8/3 (left: 8/3 3 8)", "3 - 8/3 = 1/3 (left: 1/3 8)", "8 / 1/3 = 24 (left: 24)"}, "8 / (3 - 8 / 3) = 24"},
        {"1 5 5 5", {"1 / 5 = 0.2 (left: 0.2 5 5)", "5 - 0.2 = 4.8 (left: 4.8 5)", "4.8 * 5 = 24 (left: 24)"}, "5 * (5 - 1 / 5) = 24"},
        {"4 5 6 10", {"4 * 5 = 20 (left: 6 10 20)", "10 - 6 = 4 (left: 4 20)", "4 + 20 = 24 (left: 24)"}, "5 * 4 + 10 - 6 = 24"},
    };
    struct search_task *task = open_task("game24");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_verdict v = follow(task, rows[i].problem, rows[i].thoughts, 3);
        assert_string_equal(outcome_of(&v), "right");
        assert_string_equal(v.state, "24");
        /* the first: which of the two sixes was meant does not matter, but one of the two expressions it is */
        if (rows[i].answer)
            assert_string_equal(v.answer, rows[i].answer);
        else
            assert_true(!strcmp(v.answer, "(10 - 4) * 5 - 6 = 24") || !strcmp(v.answer, "6 * 5 - (10 - 4) = 24") ||
                        !strcmp(v.answer, "6 * 5 + 4 - 10 = 24"));
        search_verdict_free(&v);
    }
    static const char *const dead[] = {"10 - 4 = 6 (left: 5 6 6)", "6 / 5 = 1.2 (left: 6 1.2)", "6 * 1.2 = 7.2 (left: 7.2)"};
    struct search_verdict v = follow(task, "4 5 6 10", dead, 3);
    assert_string_equal(outcome_of(&v), "dead");
    assert_string_equal(v.why, "36/5 is not 24");
    assert_null(v.answer);
    search_verdict_free(&v);
    search_task_close(task);
}

/* --- random steps ------------------------------------------------------------------------------------------------ */

static uint64_t position;
static int below(int n)
{
    return (int)(random_uniform(3, 5, position++) * n);
}

static char *text_of(struct search_rational value, int decimal)
{
    struct string s = {0};
    search_rational_print(&s, value, decimal);
    return s.text;
}

/* Legal steps are accepted, with the state they lead to; any one number of them changed, they are not. */
static void test_random_steps(void **unused)
{
    (void)unused;
    struct search_task *task = open_task("countdown");
    struct search_problem problem = problem_of(task, "99: 1 2 3 4 5 6", NULL);
    for (int trial = 0; trial < 5000; trial++) {
        struct search_rational list[6], result;
        int count = 2 + below(5), decimal = below(2);
        for (int i = 0; i < count; i++)
            list[i] = (struct search_rational){1 + below(20), 1};
        if (below(3) == 0)
            search_rational_do(list[0], '/', (struct search_rational){1 + below(9), 1}, &list[0]);
        struct string state = {0};
        for (int i = 0; i < count; i++) {
            char *s = text_of(list[i], 0);
            string_addf(&state, "%s%s", i ? " " : "", s);
            free(s);
        }
        int i = below(count), j = below(count - 1);
        j += j >= i;
        char op = "+-*/"[below(4)];
        assert_int_equal(search_rational_do(list[i], op, list[j], &result), 0);
        struct search_rational parts[8] = {list[i], list[j], result};
        int n = 3;
        for (int k = 0; k < count; k++)
            if (k != i && k != j)
                parts[n++] = list[k];
        parts[n++] = result;
        int changed = below(2) ? -1 : below(n);
        if (changed >= 0)
            search_rational_do(parts[changed], '+', (struct search_rational){1 + below(3), 1 + below(2)}, &parts[changed]);
        struct string thought = {0};
        char *a = text_of(parts[0], decimal), *b = text_of(parts[1], decimal), *c = text_of(parts[2], decimal);
        string_addf(&thought, "(%s) %c (%s) = %s (left:", a, op, b, c);
        for (int k = 3; k < n; k++) {
            char *s = text_of(parts[k], decimal);
            string_addf(&thought, " %s", s);
            free(s);
        }
        string_add(&thought, ")");
        struct search_path path = {.problem = &problem, .state = state.text};
        struct search_verdict v;
        search_task_verify(task, &path, thought.text, &v);
        if (v.illegal != (changed >= 0))
            fail_msg("%s | %s: %s", state.text, thought.text, or_none(v.why));
        if (!v.illegal) {
            /* the state after is a state: every number once, ascending */
            struct search_path next = {.problem = &problem, .state = v.state};
            assert_non_null(next.state);
            int blanks = 0;
            for (const char *p = v.state; *p; p++)
                blanks += *p == ' ';
            assert_int_equal(blanks, count - 2);
        }
        search_verdict_free(&v);
        string_free(&thought);
        string_free(&state);
        free(a);
        free(b);
        free(c);
    }
    search_problem_free(&problem);
    search_task_close(task);
}

/* --- verdicts on words ------------------------------------------------------------------------------------------- */

static void test_verdicts_of_word_problems(void **unused)
{
    (void)unused;
    static const struct {
        const char *task, *expected, *thought;
        int ended, final;
        const char *answer;
        int correct;
    } rows[] = {
        {"math-word", "15", "The answer is 15.", 0, 1, "15", 1},
        {"math-word", "15", "So the answer is $15.00", 0, 1, "15", 1},
        {"math-word", "1234", "The answer is 1,234.0 apples.", 0, 1, "1234", 1},
        {"math-word", "15", "the ANSWER: **16**", 0, 1, "16", 0},
        {"math-word", "15", "Answer = 30 / 2 = 15", 0, 1, "15", 1},
        {"math-word", "72", "#### 72", 0, 1, "72", 1},
        {"math-word", "0.75", "So it is \\boxed{3/4}.", 0, 1, "0.75", 1},
        {"math-word", "-3", "The answer is -3 degrees", 0, 1, "-3", 1},
        {"math-word", "-3", "The answer is \xe2\x88\x92" "3", 0, 1, "-3", 1},
        {"math-word", "3.5", "The answer is 3 1/2 litres", 0, 1, "3.5", 1},
        {"math-word", "12.5", "The answer is 25/2.", 0, 1, "12.5", 1},
        {"math-word", "-5.5", "The answer is -$5.50", 0, 1, "-5.5", 1},
        {"math-word", "15", "24 - 9 = 15 are left", 0, 0, NULL, -1},
        {"math-word", "15", "24 - 9 = 15 are left", 1, 1, "15", 1},
        {"math-word", "15", "The answer is unknown.", 0, 0, NULL, -1},
        {"math-word", "15", "Nothing can be said.", 1, 1, NULL, 0},
        {"math-word", NULL, "The answer is 15.", 0, 1, "15", -1},
        {"math-word", "She has 24. 24 - 9 = 15\n#### 15", "The answer is 15.", 0, 1, "15", 1},
        {"math-word", "10000000", "The answer is 10,000,000", 0, 1, "10000000", 1},
        {"math-word", "1", "The answer is 1,23", 0, 1, "1", 1},
        {"ask", NULL, "Let me think.", 0, 0, NULL, -1},
        {"ask", NULL, "Answer: Paris", 0, 1, "paris", -1},
        {"ask", "Paris", "**Answer:** PARIS!", 0, 1, "paris", 1},
        {"ask", "paris.", "The final answer is: \"Paris\"", 0, 1, "paris", 1},
        {"ask", "56", "8 * 7 is equal to 56.", 1, 1, "56", 1},
        {"ask", NULL, "It is 8 * 7. That makes 56 of them", 1, 1, "56", -1},
        {"ask", NULL, "So, the answer is **54**.", 0, 1, "54", -1},
        {"ask", "56", "The answer is 8 * 7 = 56.", 0, 1, "56", 1},
        {"ask", NULL, "First comes the sun; then the air scatters its light, the short waves more than the long\n ones, and so the sky is Blue.", 1, 1,
         "First comes the sun; then the air scatters its light, the short waves more than the long ones, and so the sky is Blue.", -1},
        {"ask", NULL, "?!", 1, 1, NULL, -1},
        {"ask", NULL, "Hamlet, of course.", 1, 1, "hamlet of course", -1},
        {"ask", NULL, "Answer: \xc3\x89" "COLE  normale", 0, 1, "\xc3\xa9" "cole normale", -1},
        {"ask", NULL, "Answer: e\xcc\x81" "cole normale", 0, 1, "\xc3\xa9" "cole normale", -1},
        {"ask", "5", "Answer: 5 apples", 0, 1, "5", 1},
        {"ask", NULL, "Answer: from 3 to 5", 0, 1, "from 3 to 5", -1},
        {"ask", NULL, "Answer: -5", 0, 1, "-5", -1},
        {"ask", NULL, "   ", 1, 0, NULL, -1}, /* illegal: nothing was written */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task = open_task(rows[i].task);
        struct search_problem problem = problem_of(task, "How many?", rows[i].expected);
        struct search_path path = {.problem = &problem, .ended = rows[i].ended};
        struct search_verdict v;
        search_task_verify(task, &path, rows[i].thought, &v);
        if (v.final != rows[i].final || strcmp(or_none(v.answer), or_none(rows[i].answer)) || v.correct != rows[i].correct)
            fail_msg("%s: final %d, answer %s, correct %d", rows[i].thought, v.final, or_none(v.answer), v.correct);
        search_verdict_free(&v);
        search_problem_free(&problem);
        search_task_close(task);
    }
}

/* At the last step the answer is looked for from the end; a thought that only says "so that is it" sends the search back. */
static void test_the_last_step_ends_a_path(void **unused)
{
    (void)unused;
    struct search_task *task = open_task("math-word");
    const char *thoughts[64] = {"4 * 6 = 24", "24 - 9 = 15"};
    int steps = search_task_steps(task);
    for (int i = 2; i < steps; i++)
        thoughts[i] = "And so on.";
    struct search_verdict v = follow(task, "How many?", thoughts, steps);
    assert_true(v.final && !v.illegal);
    assert_string_equal(v.answer, "15");
    search_verdict_free(&v);
    search_task_close(task);
}

/* --- completions ------------------------------------------------------------------------------------------------- */

static char *cuts_text(const struct search_task *task, enum search_purpose purpose, const char *text)
{
    struct search_cut *cuts;
    int n = search_task_cut(task, purpose, text, &cuts);
    struct string out = {0};
    string_add(&out, "");
    for (int i = 0; i < n; i++) {
        string_add(&out, i ? "|" : "");
        string_append(&out, text + cuts[i].first, cuts[i].length);
    }
    free(cuts);
    return out.text;
}

static void test_cutting(void **unused)
{
    (void)unused;
    static const struct {
        const char *task;
        enum search_purpose purpose;
        const char *text, *cuts;
    } rows[] = {
        {"game24", SEARCH_PROPOSE, "4 + 5 = 9 (left: 6 9 10)\n10 - 4 = 6 (left: 5 6 6)\n", "4 + 5 = 9 (left: 6 9 10)|10 - 4 = 6 (left: 5 6 6)"},
        {"game24", SEARCH_PROPOSE, "Here are some:\n\n1. 4 + 5 = 9 (left: 6)\n2) 1 + 1 = 2\n- 5 - 4 = 1\n* 3 = 3\n\xe2\x80\xa2 2 = 2\nThat is all.\n\n",
         "4 + 5 = 9 (left: 6)|1 + 1 = 2|5 - 4 = 1|3 = 3|2 = 2"},
        {"game24", SEARCH_PROPOSE, "-1 + 5 = 4 (left: 4)\r\n - -1 + 5 = 4", "-1 + 5 = 4 (left: 4)|-1 + 5 = 4"},
        {"game24", SEARCH_PROPOSE, "Answer: 4 * 6\nI cannot say.", "Answer: 4 * 6"},
        {"game24", SEARCH_PROPOSE, "Sorry.\n", ""},
        {"game24", SEARCH_PROPOSE, "", ""},
        {"game24", SEARCH_PROPOSE, "6 / 4 \xe2\x89\x88 1.5", "6 / 4 \xe2\x89\x88 1.5"},
        {"game24", SEARCH_SAMPLE, " 4 + 5 = 9 (left: 6 9 10)\n", "4 + 5 = 9 (left: 6 9 10)"},
        {"game24", SEARCH_SAMPLE, "Next step:\n4 + 5 = 9 (left: 6 9 10)\n", "4 + 5 = 9 (left: 6 9 10)"},
        {"game24", SEARCH_SAMPLE, "\nI think it is hard\n", "I think it is hard"},
        {"game24", SEARCH_SAMPLE, "", ""},
        {"math-word", SEARCH_SAMPLE, " 4 * 6 = 24.\nShe has 24.\n\n", "4 * 6 = 24.\nShe has 24."},
        {"math-word", SEARCH_SAMPLE, "First.\n\nSecond.", "First."},
        {"math-word", SEARCH_PROPOSE, "1. 4 * 6 = 24\n2. 9 + 6 = 15\n\n3. The answer is 15.", "4 * 6 = 24|9 + 6 = 15|The answer is 15."},
        {"ask", SEARCH_SAMPLE, "Paris is the capital.", "Paris is the capital."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task = open_task(rows[i].task);
        char *cuts = cuts_text(task, rows[i].purpose, rows[i].text);
        assert_string_equal(cuts, rows[i].cuts);
        free(cuts);
        search_task_close(task);
    }
}

static void test_values_are_read_from_the_last_line(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *label;
        double weight;
    } rows[] = {
        {"3 * 8 = 24\nsure", "sure", 20},
        {"sure", "sure", 20},
        {"10 + 14\nSure.\n\n", "sure", 20},
        {"...\n**likely**", "likely", 1},
        {"too small\nimpossible\n", "impossible", 0.001},
        {"Judgement: impossible", "impossible", 0.001},
        {"so: what: \"Likely\".", "likely", 1},
        {"sure\nbut then again", NULL, 0},
        {"not sure", NULL, 0},
        {"It is likely", NULL, 0},
        {"surely", NULL, 0},
        {"sure/likely/impossible", NULL, 0},
        {"", NULL, 0},
        {"\n\n", NULL, 0},
    };
    struct search_task *task = open_task("game24");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double weight = -1;
        const char *label = search_task_value(task, rows[i].text, &weight);
        if (strcmp(or_none(label), or_none(rows[i].label)) || weight != rows[i].weight)
            fail_msg("%s: %s, %g", rows[i].text, or_none(label), weight);
    }
    search_task_close(task);
}

static void test_votes_are_whole_numbers(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int candidates, vote;
    } rows[] = {
        {"The best choice is 2", 5, 2},
        {"The best choice is 10", 12, 10},
        {"The best choice is 3. It has 4 steps", 5, 3},
        {"choice 10", 10, 10},
        {"choice 3. It has 4 steps", 5, 3},
        {"Choice 1 is long. Choice 2 is wrong.\nThe best choice is: **1**.", 2, 1},
        {"The best choice is 3. Choice 2 is worse.", 3, 3},
        {"The best choice is 1. No: the best choice is 2", 3, 2},
        {"The best choice is Choice 4", 4, 4},
        {"Best choice: 2", 2, 2},
        {"2", 3, 2},
        {" 2.\n", 3, 2},
        {"The best choice is 6", 5, 0},
        {"The best choice is 0", 5, 0},
        {"The best choice is 99999999999999999999", 5, 0},
        {"I like them all", 3, 0},
        {"There are 3 of them and 2 are good", 3, 0},
        {"", 3, 0},
    };
    static const char *const names[] = {"math-word", "ask"};
    for (int t = 0; t < 2; t++) {
        struct search_task *task = open_task(names[t]);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (search_task_vote(task, rows[i].text, rows[i].candidates) != rows[i].vote)
                fail_msg("%s: %d", rows[i].text, search_task_vote(task, rows[i].text, rows[i].candidates));
        search_task_close(task);
    }
}

/* --- problems and data ------------------------------------------------------------------------------------------- */

static void test_problems(void **unused)
{
    (void)unused;
    static const struct {
        const char *task, *text, *canonical, *state, *target; /* or the end of the error in `canonical` */
    } rows[] = {
        {"game24", "4 5 6 10", "4 5 6 10", "4 5 6 10", "24"},
        {"game24", " 10, 6,5 4 ", "4 5 6 10", "4 5 6 10", "24"},
        {"game24", "4 5 6 10 = 24", "4 5 6 10", "4 5 6 10", "24"},
        {"game24", "24: 4 5 6 10", "4 5 6 10", "4 5 6 10", "24"},
        {"game24", "4 5 6 10 = 25", "!problem '4 5 6 10 = 25': the target here is 24, not 25; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "4 5 6", "!problem '4 5 6': only 3 numbers; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "1 2 3 4 5", "!problem '1 2 3 4 5': more than 4 numbers; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "4 5 six 10", "!problem '4 5 six 10': 'six' is not a whole number such as 7; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "4 5 6 -1", "!problem '4 5 6 -1': '-1' is not a whole number such as 7; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "0 5 6 1", "!problem '0 5 6 1': 0 is not from 1 to 99; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "1 5 6 99999999999", "!problem '1 5 6 99999999999': '99999999999' is not a whole number such as 7; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "  ", "!the problem is empty; game24 expects four numbers, as in 4 5 6 10", 0, 0},
        {"game24", "4 5 6 \xff", "!the problem is not UTF-8: byte 7; type it in a UTF-8 terminal, or convert its file", 0, 0},
        {"countdown", "33: 30 5 25", "33: 5 25 30", "5 25 30", "33"},
        {"countdown", "30 5 25 = 33", "33: 5 25 30", "5 25 30", "33"},
        {"countdown", "24: 4 4 10", "24: 4 4 10", "4 4 10", "24"},
        {"countdown", "4 4 10", "!problem '4 4 10': no target is given; countdown expects a target and its numbers, as in 33: 5 25 30", 0, 0},
        {"countdown", ": 4 4 10", "!problem ': 4 4 10': no target is given; countdown expects a target and its numbers, as in 33: 5 25 30", 0, 0},
        {"countdown", "100: 4 4", "!problem '100: 4 4': the target 100 is not from 10 to 99; countdown expects a target and its numbers, as in 33: 5 25 30", 0, 0},
        {"countdown", "24: 4", "!problem '24: 4': only 1 number; countdown expects a target and its numbers, as in 33: 5 25 30", 0, 0},
        {"countdown", "24: 100 4", "!problem '24: 100 4': 100 is not from 1 to 99; countdown expects a target and its numbers, as in 33: 5 25 30", 0, 0},
        {"countdown", "24: 1 2 3 4 5 6 7", "!problem '24: 1 2 3 4 5 6 7': more than 6 numbers; countdown expects a target and its numbers, as in 33: 5 25 30", 0, 0},
        {"ask", " What is\n8 * 7? ", "What is\n8 * 7?", NULL, NULL},
        {"ask", "", "!the problem is empty; ask expects any question", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task = open_task(rows[i].task);
        struct search_problem p;
        struct error e;
        int status = search_problem_parse(task, rows[i].text, NULL, &p, &e);
        if (rows[i].canonical[0] == '!') {
            assert_int_equal(status, ERROR_INPUT);
            assert_string_equal(e.message, rows[i].canonical + 1);
            assert_null(p.text);
        } else {
            if (status)
                fail_msg("%s", e.message);
            assert_string_equal(p.text, rows[i].canonical);
            assert_string_equal(or_none(p.state), or_none(rows[i].state));
            assert_string_equal(or_none(p.target), or_none(rows[i].target));
        }
        search_problem_free(&p);
        search_task_close(task);
    }
    struct search_task *task = open_task("ask");
    struct search_problem p;
    struct error e;
    char *long_text = calloc(1, 100001);
    assert_non_null(long_text);
    memset(long_text, 'a', 100000);
    assert_int_equal(search_problem_parse(task, long_text, NULL, &p, &e), ERROR_INPUT);
    assert_string_equal(e.message, "the problem has 100000 bytes; at most 65536 are read");
    free(long_text);
    search_task_close(task);
}

static char folder[] = "/tmp/espalier-task-XXXXXX";
static char *write_file(const char *name, const char *text, size_t n)
{
    char *path = xasprintf("%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    return path;
}

static void test_data(void **unused)
{
    (void)unused;
    static const struct {
        const char *task, *file, *text; /* file: NULL for the task's own */
        int row;
        const char *problem, *answer; /* or "!" and the error after the path */
    } rows[] = {
        {"game24", NULL, NULL, 1, "1 1 4 6", NULL},
        {"game24", NULL, NULL, 901, "4 5 6 10", NULL},
        {"game24", NULL, NULL, 1362, "2 3 5 12", NULL},
        {"countdown", NULL, NULL, 1, "66: 13 15 94", NULL},
        {"math-word", NULL, NULL, 8, "Lena is 9 years old. Her brother is twice as old as she is. How old are the two together?", "27"},
        {"math-word", "q.csv", "answer,question\n5,\"How, \"\"well\"\",\nmany?\"\n\n7,two\n", 1, "How, \"well\",\nmany?", "5"},
        {"math-word", "q.csv", "answer,question\n5,\"How\"\n\n7,two", 2, "two", "7"},
        {"math-word", "q.csv", "\xef\xbb\xbfquestion,answer\r\none,1\r\ntwo,2\r\n", 2, "two", "2"},
        {"math-word", "q.csv", "question\none\n", 1, "one", NULL},
        {"math-word", "q.csv", "question,answer\none,\n", 1, "one", ""},
        {"math-word", "q.csv", "question,answer\none,1\n", 2, "!: there is no row 2; rows are 1 to 1", NULL},
        {"math-word", "q.csv", "question,answer\n", 1, "!: row 1 is asked for, but the file has none", NULL},
        {"math-word", "q.csv", "question,answer\none,1\n", 0, "!: there is no row 0; rows are counted from 1", NULL},
        {"math-word", "q.csv", "frage,antwort\none,1\n", 1, "!:1: no column `question`, where the task looks for the problem; there are: frage, antwort", NULL},
        {"math-word", "q.csv", "answer,question\none\n", 1, "!:2: 1 field, where the header names more", NULL},
        {"math-word", "q.csv", "question,answer\n\n\"one,1\ntwo,2\n", 1, "!:3: a quote is opened and never closed", NULL},
        {"math-word", "q.jsonl", "{\"question\": \"one\", \"answer\": 1.5}\n\n{\"question\": \"two\"}\n", 1, "one", "1.5"},
        {"math-word", "q.jsonl", "{\"question\": \"one\", \"answer\": 1.5}\n\n{\"question\": \"two\"}\n", 2, "two", NULL},
        {"math-word", "q.jsonl", "{\"question\": \"one\"}\n{\"question\": \"two\"", 2, "!:2:18: not valid JSON: '}' expected near end of file", NULL},
        {"math-word", "q.jsonl", "{\"q\": \"one\", \"a\": 1}\n", 1, "!:1: no column `question`, where the task looks for the problem; there are: q, a", NULL},
        {"math-word", "q.jsonl", "[1]\n", 1, "!:1: no column `question`, where the task looks for the problem; there are: (not an object)", NULL},
        {"math-word", "q.jsonl", "\n", 1, "!: row 1 is asked for, but the file has none", NULL},
        {"math-word", "q.txt", "", 1, "!: not a data file by its name; expected NAME.csv or NAME.jsonl", NULL},
        {"game24", "q.jsonl", "{\"numbers\": [4, 5, 6, 10]}\n", 1, "4 5 6 10", NULL},
        {"countdown", "q.jsonl", "{\"numbers\": [4, 5], \"target\": 20}\n", 1, "20: 4 5", NULL},
        {"countdown", "q.csv", "numbers\n20: 4 5\n", 1, "20: 4 5", NULL},
        {"ask", "q.csv", "question,answer\nwho?,me\n", 1, "who?", "me"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task = open_task(rows[i].task);
        char *path = rows[i].file ? write_file(rows[i].file, rows[i].text, strlen(rows[i].text)) : NULL, *text, *answer;
        struct error e;
        int status = search_task_data(task, path, rows[i].row, &text, &answer, &e);
        if (rows[i].problem[0] == '!') {
            assert_int_equal(status, ERROR_INPUT);
            assert_memory_equal(e.message, path, strlen(path));
            assert_string_equal(e.message + strlen(path), rows[i].problem + 1);
        } else {
            if (status)
                fail_msg("%s", e.message);
            assert_string_equal(text, rows[i].problem);
            assert_string_equal(or_none(answer), or_none(rows[i].answer));
        }
        free(text);
        free(answer);
        if (path)
            unlink(path);
        free(path);
        search_task_close(task);
    }
    struct search_task *task = open_task("ask");
    struct error e;
    char *text, *answer;
    assert_int_equal(search_task_data(task, NULL, 1, &text, &answer, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "ask.yaml: the task names no data file; choose one with --data, or give the problem itself"));
    assert_int_equal(search_task_data(task, "/nonexistent/x.csv", 1, &text, &answer, &e), ERROR_INPUT);
    assert_string_equal(e.message, "/nonexistent/x.csv: cannot be read: No such file or directory");
    search_task_close(task);
}

/* --- prompts ----------------------------------------------------------------------------------------------------- */

static char *messages_text(const struct search_task *task, enum search_purpose purpose, const struct search_path *path, int candidates)
{
    struct search_messages m;
    struct error e;
    struct string out = {0};
    if (search_task_messages(task, purpose, path, path, candidates, &m, &e))
        string_add(&out, e.message);
    for (int i = 0; i < m.count; i++)
        string_addf(&out, "[%s]%s", m.list[i].role, m.list[i].text);
    search_messages_free(&m);
    return out.text;
}

static int ends_in(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

static void test_prompts_are_filled(void **unused)
{
    (void)unused;
    struct search_task *task = open_task("game24");
    struct search_problem problem = problem_of(task, "4 5 6 10", NULL);
    const char *thoughts[] = {"10 - 4 = 6 (left: 5 6 6)", "5 * 6 = 30 (left: 6 30)", "30 - 6 = 24 (left: 24)"};
    struct search_path root = {.problem = &problem}, two = {&problem, thoughts, 2, "6 30", 0}, three = {&problem, thoughts, 3, "24", 0};
    char *text = messages_text(task, SEARCH_PROPOSE, &root, 0);
    assert_true(ends_in(text, "[user]Numbers: 4 5 6 10"));
    free(text);
    text = messages_text(task, SEARCH_VALUE, &two, 0);
    assert_true(ends_in(text, "[user]Numbers: 6 30"));
    free(text);
    text = messages_text(task, SEARCH_SAMPLE, &three, 0);
    assert_true(ends_in(text, "[user]Numbers: 4 5 6 10\n10 - 4 = 6 (left: 5 6 6)\n5 * 6 = 30 (left: 6 30)\n30 - 6 = 24 (left: 24)"));
    free(text);
    text = messages_text(task, SEARCH_VALUE, &three, 0);
    assert_true(ends_in(text, "[user]Numbers: 4 5 6 10\nLast line: 30 - 6 = 24 (left: 24)"));
    free(text);
    text = messages_text(task, SEARCH_VOTE, &two, 1);
    assert_true(ends_in(text, "game24.yaml: the task has no `vote` prompt; add a `vote:` section or choose a strategy that asks for none"));
    free(text);
    assert_false(search_task_has(task, SEARCH_VOTE));
    search_problem_free(&problem);
    search_task_close(task);

    task = open_task("math-word");
    problem = problem_of(task, "How {many}?", NULL);
    const char *first[] = {"one", "two"}, *second[] = {"three"};
    struct search_path candidates[] = {{.problem = &problem, .thoughts = first, .count = 2}, {.problem = &problem, .thoughts = second, .count = 1}};
    text = messages_text(task, SEARCH_VOTE, candidates, 2);
    assert_true(ends_in(text, "[user]Problem: How {many}?\n\nChoice 1:\none\ntwo\nChoice 2:\nthree\n"));
    free(text);
    text = messages_text(task, SEARCH_SAMPLE, candidates, 0); /* a task that continues: the thoughts are not in the prompt */
    assert_true(ends_in(text, "[user]How {many}?"));
    free(text);
    search_problem_free(&problem);
    search_task_close(task);
}

/* Every step that a shipped prompt shows is a legal one, and every line of a judge's example is true. */
static void test_examples_in_prompts_are_legal(void **unused)
{
    (void)unused;
    static const char *const names[] = {"game24", "countdown"}, *const problems[] = {"1 1 1 1", "42: 1 1"};
    for (int t = 0; t < 2; t++) {
        struct search_task *task = open_task(names[t]);
        struct search_problem problem = problem_of(task, problems[t], NULL);
        for (int p = 0; p < 2; p++) {
            enum search_purpose purpose = p ? SEARCH_PROPOSE : SEARCH_SAMPLE;
            struct search_path root = {.problem = &problem};
            struct search_messages m;
            struct error e;
            char numbers[64] = "";
            int steps = 0;
            assert_int_equal(search_task_messages(task, purpose, &root, NULL, 0, &m, &e), OK);
            for (int i = 0; i < m.count; i++) {
                const char *shown = strstr(m.list[i].text, "Numbers: ");
                if (shown)
                    snprintf(numbers, sizeof numbers, "%.*s", (int)strcspn(shown + 9, "\n"), shown + 9);
                if (strcmp(m.list[i].role, "assistant"))
                    continue;
                char *text = strdup(m.list[i].text), *save;
                for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), steps++) {
                    struct search_path path = {.problem = &problem, .state = numbers};
                    struct search_verdict v;
                    search_task_verify(task, &path, line, &v);
                    if (v.illegal)
                        fail_msg("%s: %s | %s: %s", names[t], numbers, line, v.why);
                    search_verdict_free(&v);
                }
                free(text);
            }
            assert_true(steps >= 3);
            search_messages_free(&m);
        }
        search_problem_free(&problem);
        search_task_close(task);
    }
}

static void test_shipped_tasks(void **unused)
{
    (void)unused;
    static const char *const expected[] = {"arithmetic-chain", "ask", "countdown", "game24", "knights", "math-word", "reason", "sorting"};
    char **names = search_task_names();
    enum { TASKS = sizeof expected / sizeof *expected };
    for (int i = 0; i < TASKS; i++) {
        assert_string_equal(names[i], expected[i]);
        struct search_task *task = open_task(names[i]);
        assert_string_equal(search_task_name(task), names[i]);
        assert_true(*search_task_about(task) && *search_task_problem_form(task));
        assert_int_equal(search_strategy_check(search_task_strategy(task), NULL), OK);
        const int thinks = search_task_opening(task) != NULL;
        assert_int_equal(search_task_continues(task), i == 1 || i == 5 || thinks);
        assert_int_equal(thinks, i == 6);
        assert_true(search_task_has(task, SEARCH_SAMPLE) && search_task_has(task, SEARCH_VALUE));
        assert_true(search_task_sampling(task).temperature == (thinks ? 0.6f : 0.7f) && search_task_sampling(task).top_p == (thinks ? 0.95f : 1.0f));
        int stops;
        search_task_stops(task, SEARCH_SAMPLE, &stops);
        assert_int_equal(stops, !thinks);
        assert_true(search_task_max_tokens(task, SEARCH_SAMPLE) > 0);
        search_task_close(task);
        free(names[i]);
    }
    assert_null(names[TASKS]);
    free(names);
    struct search_task *task;
    struct error e;
    assert_int_equal(search_task_open(&task, "chess", &e), ERROR_INPUT);
    assert_string_equal(e.message, "no task 'chess'; there are: arithmetic-chain, ask, countdown, game24, knights, math-word, reason, sorting; or give the path of a file, as in ./mine.yaml");
    assert_int_equal(search_task_open(&task, "./chess", &e), ERROR_INPUT);
    assert_string_equal(e.message, "./chess: cannot be read: No such file or directory");
    assert_int_equal(search_task_open(&task, "chess.yaml", &e), ERROR_INPUT);
    assert_string_equal(e.message, "chess.yaml: cannot be read: No such file or directory");
}

static void test_the_users_own_files_come_first(void **unused)
{
    (void)unused;
    char *examples = xasprintf("%s/espalier/examples", folder), *parent = xasprintf("%s/espalier", folder);
    char *command = xasprintf("mkdir -p %s", examples);
    assert_int_equal(system(command), 0);
    free(command);
    setenv("XDG_CONFIG_HOME", folder, 1);
    char *own = write_file("espalier/examples/ask.yaml", "name: mine\n", 11), *other = write_file("espalier/examples/zebra.yaml", "a: b\n", 5);
    char *path = search_data_path("examples", "ask.yaml"), **names = search_task_names();
    assert_string_equal(path, own);
    assert_string_equal(names[1], "ask");
    assert_string_equal(names[8], "zebra");
    assert_null(names[9]);
    for (int i = 0; i < 9; i++)
        free(names[i]);
    free(names);
    free(path);
    assert_null(search_data_path("examples", "nothing.yaml"));
    unlink(own);
    unlink(other);
    rmdir(examples);
    rmdir(parent);
    free(own);
    free(other);
    free(examples);
    free(parent);
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

static int clean_up(void **unused)
{
    (void)unused;
    return rmdir(folder);
}

int main(void)
{
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    if (!mkdtemp(folder))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts_of_game24),
        cmocka_unit_test(test_verdicts_of_countdown),
        cmocka_unit_test(test_answers_are_built_from_the_path),
        cmocka_unit_test(test_random_steps),
        cmocka_unit_test(test_verdicts_of_word_problems),
        cmocka_unit_test(test_the_last_step_ends_a_path),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_values_are_read_from_the_last_line),
        cmocka_unit_test(test_votes_are_whole_numbers),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_prompts_are_filled),
        cmocka_unit_test(test_examples_in_prompts_are_legal),
        cmocka_unit_test(test_shipped_tasks),
        cmocka_unit_test(test_the_users_own_files_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
