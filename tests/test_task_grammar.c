/* The grammars of tasks: how they are filled from a state, every legal step, and that the shipped ones let through each
 * legal step and nothing of another form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "naive_grammar.h"
#include "search/task.h"

static struct search_task *open_task(const char *name)
{
    struct search_task *task;
    struct error e;
    if (search_task_open(&task, name, &e))
        fail_msg("%s", e.message);
    return task;
}

static char *grammar_of(const struct search_task *task, enum search_purpose purpose, const char *problem, const char *state,
                        const char *last)
{
    struct search_problem p;
    struct error e;
    if (search_problem_parse(task, problem, NULL, &p, &e))
        fail_msg("%s", e.message);
    struct search_path path = {.problem = &p, .thoughts = &last, .count = last != NULL, .state = state};
    char *text = search_task_grammar(task, purpose, &path);
    search_problem_free(&p);
    return text;
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *state, *moves;
} all_moves[] = {
    {"4 5", "4 + 5 = 9 (left: 9)\n4 - 5 = -1 (left: -1)\n4 * 5 = 20 (left: 20)\n4 / 5 = 4/5 (left: 4/5)\n"
            "5 + 4 = 9 (left: 9)\n5 - 4 = 1 (left: 1)\n5 * 4 = 20 (left: 20)\n5 / 4 = 5/4 (left: 5/4)"},
    {"4 4", "4 + 4 = 8 (left: 8)\n4 - 4 = 0 (left: 0)\n4 * 4 = 16 (left: 16)\n4 / 4 = 1 (left: 1)"},
    {"3 0", "0 + 3 = 3 (left: 3)\n0 - 3 = -3 (left: -3)\n0 * 3 = 0 (left: 0)\n0 / 3 = 0 (left: 0)\n"
            "3 + 0 = 3 (left: 3)\n3 - 0 = 3 (left: 3)\n3 * 0 = 0 (left: 0)"},
    {"-1 2/3", "-1 + 2/3 = -1/3 (left: -1/3)\n-1 - 2/3 = -5/3 (left: -5/3)\n-1 * 2/3 = -2/3 (left: -2/3)\n-1 / 2/3 = -3/2 (left: -3/2)\n"
               "2/3 + -1 = -1/3 (left: -1/3)\n2/3 - -1 = 5/3 (left: 5/3)\n2/3 * -1 = -2/3 (left: -2/3)\n2/3 / -1 = -2/3 (left: -2/3)"},
    {"2 2 1", "1 + 2 = 3 (left: 2 3)\n1 - 2 = -1 (left: -1 2)\n1 * 2 = 2 (left: 2 2)\n1 / 2 = 1/2 (left: 1/2 2)\n"
              "2 + 1 = 3 (left: 2 3)\n2 - 1 = 1 (left: 1 2)\n2 * 1 = 2 (left: 2 2)\n2 / 1 = 2 (left: 2 2)\n"
              "2 + 2 = 4 (left: 1 4)\n2 - 2 = 0 (left: 0 1)\n2 * 2 = 4 (left: 1 4)\n2 / 2 = 1 (left: 1 1)"},
    {"24", ""},
    {"9223372036854775807 2", NULL}, /* what is too large is left out */
};

static void test_moves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all_moves / sizeof *all_moves; i++) {
        char *moves = search_step_moves(all_moves[i].state);
        if (all_moves[i].moves)
            assert_string_equal(moves, all_moves[i].moves);
        else
            assert_true(strstr(moves, " - ") && !strstr(moves, " * "));
        free(moves);
    }
}

/* A state of `count` numbers, with fractions and negative ones among them. */
static void random_state(uint64_t seed, int count, char *out, size_t size)
{
    static const char *const numbers[] = {"1", "2", "3", "4", "10", "13", "-1", "-7", "0", "1/2", "2/3", "-5/4", "99", "24"};
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "", numbers[(int)(random_uniform(seed, 1, (uint64_t)i) * 14)]);
}

/* Each is legal; they are as many as the different ways of choosing; each fits both shipped grammars' form. */
static void check_moves(const struct search_task *task, const char *problem, const char *state)
{
    struct search_problem p;
    struct error e;
    assert_int_equal(search_problem_parse(task, problem, NULL, &p, &e), OK);
    struct search_path path = {.problem = &p, .state = state};
    char *sample = search_task_grammar(task, SEARCH_SAMPLE, &path), *propose = search_task_grammar(task, SEARCH_PROPOSE, &path);
    char *moves = search_step_moves(state), *save, *before = NULL;
    for (char *line = strtok_r(moves, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct search_verdict v;
        int complete;
        search_task_verify(task, &path, line, &v);
        if (v.illegal)
            fail_msg("%s: %s: %s", state, line, v.why);
        search_verdict_free(&v);
        if (!naive_begins(sample, line, strlen(line), &complete) || !complete)
            fail_msg("%s: %s is not of the form\n%s", state, line, sample);
        if (before && strlen(before) + strlen(line) < 120) {
            char *two = xasprintf("%s\n%s", before, line);
            if (!naive_begins(propose, two, strlen(two), &complete) || !complete)
                fail_msg("%s: %s is not of the form\n%s", state, two, propose);
            assert_false(naive_begins(sample, two, strlen(two), &complete));
            free(two);
        }
        before = line;
    }
    free(moves);
    free(sample);
    free(propose);
    search_problem_free(&p);
}

static void test_moves_are_legal_and_of_the_form(void **unused)
{
    (void)unused;
    struct search_task *game = open_task("examples/game24.yaml"), *countdown = open_task("examples/countdown.yaml");
    for (uint64_t i = 0; i < 60; i++) {
        char state[100];
        random_state(i, 2 + (int)(i % 3), state, sizeof state);
        check_moves(game, "4 5 6 10", state);
        random_state(i, 2 + (int)(i % 4), state, sizeof state);
        check_moves(countdown, "24: 1 2 3 4 5", state);
    }
    search_task_close(game);
    search_task_close(countdown);
}

/* --- the shipped ones -------------------------------------------------------------------------------------------- */

static void test_form(void **unused)
{
    (void)unused;
    static const struct {
        const char *state, *text;
        char is; /* as in test_grammar.c */
    } rows[] = {
        {"4 5 6 10", "4 + 5 = 9 (left: 6 9 10)", 'y'},
        {"4 5 6 10", "4 + 5 = 8 (left: 1 2 3)", 'y'}, /* the form is all it holds */
        {"4 5 6 10", "4 + 5 = 9 (left: 6 9", 'b'},
        {"4 5 6 10", "10 - 4 = 6 (left: 5 6)", 'n'},
        {"4 5 6 10", "10 - 4 = 6 (left: 5 6 6 6)", 'n'},
        {"4 5 6 10", "1", 'b'},
        {"4 5 6 10", "1 ", 'n'},
        {"4 5 6 10", "7 + 4", 'n'},
        {"4 5 6 10", "4 + 5 = 09", 'n'},
        {"4 5 6 10", "The", 'n'},
        {"6 9 10", "6 * 9 = 54 (left: 10 54)", 'y'},
        {"6 9 10", "6 * 9 = 54 (left: 10 54) ", 'n'},
        {"4/5 6", "6 * 4/5 = 24/5 (left: 24/5)", 'y'},
        {"4/5 6", "6 - 4/5 = -1/5 (left: 1 2)", 'n'},
        {"4 5 6 10", "", 'b'},
    };
    struct search_task *task = open_task("examples/game24.yaml");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int complete;
        char *text = grammar_of(task, SEARCH_SAMPLE, "4 5 6 10", rows[i].state, NULL);
        int begins = naive_begins(text, rows[i].text, strlen(rows[i].text), &complete);
        char is = complete ? 'y' : begins ? 'b' : 'n';
        if (is != rows[i].is)
            fail_msg("%s: `%s` is %c", rows[i].state, rows[i].text, is);
        free(text);
    }
    /* At the root the state is the problem's; once one number is left there is none; judges have none. */
    char *root = grammar_of(task, SEARCH_SAMPLE, "4 5 6 10", NULL, NULL), *same = grammar_of(task, SEARCH_SAMPLE, "4 5 6 10", "4 5 6 10", NULL);
    assert_string_equal(root, same);
    assert_non_null(strstr(root, "number ::= (\"4\" | \"5\" | \"6\" | \"10\")\n"));
    assert_non_null(strstr(root, "(\" \" value){2} \")\""));
    free(root);
    free(same);
    assert_null(grammar_of(task, SEARCH_SAMPLE, "4 5 6 10", "24", NULL));
    assert_null(grammar_of(task, SEARCH_PROPOSE, "4 5 6 10", "24", NULL));
    assert_null(grammar_of(task, SEARCH_VALUE, "4 5 6 10", NULL, NULL));
    assert_null(grammar_of(task, SEARCH_VOTE, "4 5 6 10", NULL, NULL));
    search_task_close(task);
}

/* --- filling ----------------------------------------------------------------------------------------------------- */

/* The example with another grammar for sample. */
static struct search_task *task_with(const char *grammar)
{
    struct string text = {0};
    char bytes[1 << 16], path[] = "/tmp/espalier-task-grammar-XXXXXX.yaml";
    FILE *f = fopen("examples/game24.yaml", "rb");
    size_t n = fread(bytes, 1, sizeof bytes - 1, f);
    fclose(f);
    bytes[n] = 0;
    char *sample = strstr(bytes, "\nsample:\n"), *key = strstr(sample, "  grammar: |\n"), *end = strstr(key, "\n\n");
    string_append(&text, bytes, (size_t)(key - bytes));
    string_addf(&text, "  grammar: %s", grammar);
    string_add(&text, end);
    int file = mkstemps(path, 5);
    assert_true(file >= 0 && write(file, text.text, text.length) == (ssize_t)text.length);
    close(file);
    string_free(&text);
    struct search_task *task = open_task(path);
    unlink(path);
    return task;
}

static void test_filling(void **unused)
{
    (void)unused;
    static const struct {
        const char *grammar, *state, *last, *text;
    } rows[] = {
        {"'root ::= {left}'", "4 4 10 4", NULL, "root ::= (\"4\" | \"10\")"},
        {"'root ::= {left}'", "-1 2/3 7", NULL, "root ::= (\"-1\" | \"2/3\" | \"7\")"},
        {"'root ::= \"a\"{{{others}}} \"b\"{{0,{steps}}}'", "1 2 3 4", NULL, "root ::= \"a\"{2} \"b\"{0,4}"},
        {"'root ::= \"a\"{{{others}}}'", "1 2", NULL, "root ::= \"a\"{0}"},
        {"'root ::= {moves}'", "4 4", NULL,
         "root ::= (\"4 + 4 = 8 (left: 8)\" | \"4 - 4 = 0 (left: 0)\" | \"4 * 4 = 16 (left: 16)\" | \"4 / 4 = 1 (left: 1)\")"},
        {"'root ::= \"{target} of {numbers} in {state}, {step}\" # {problem}'", "1 2", "x", "root ::= \"24 of 4 5 6 10 in 1 2, 2\" # 4 5 6 10"},
        {"'root ::= \"{last}\" | [x{path}]'", "1 2", "a \"b\" \\ [c]\nd\x1b\xc3\xa9",
         "root ::= \"a \\\"b\\\" \\\\ \\[c\\]\\x0Ad\\x1B\xc3\xa9\" | [xa \\\"b\\\" \\\\ \\[c\\]\\x0Ad\\x1B\xc3\xa9]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task = task_with(rows[i].grammar);
        char *text = grammar_of(task, SEARCH_SAMPLE, "4 5 6 10", rows[i].state, rows[i].last);
        struct error e;
        assert_string_equal(text, rows[i].text);
        if (engine_grammar_check(text, NULL, &e))
            fail_msg("%s: %s", text, e.message);
        free(text);
        search_task_close(task);
    }
    /* {moves} lets through the legal steps and no other text. */
    struct search_task *task = task_with("'root ::= {moves}'");
    char *text = grammar_of(task, SEARCH_SAMPLE, "4 5 6 10", "4 5 6 10", NULL);
    int complete;
    assert_true(naive_begins(text, "10 - 4 = 6 (left: 5 6 6)", 24, &complete) && complete);
    assert_false(naive_begins(text, "10 - 4 = 5", 10, &complete));
    free(text);
    search_task_close(task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_moves_are_legal_and_of_the_form),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_filling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
