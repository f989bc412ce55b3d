/* What can be wrong in a YAML file is said in one line, with the line and the column where it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search/task.h"

/* --- the layer --------------------------------------------------------------------------------------------------- */

static void test_what_is_not_a_document(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"- a\n- b\n", "f:1:1: expected keys and values, as in `name: ...`, not a list"},
        {"hello\n", "f:1:1: expected keys and values, as in `name: ...`, not bare text"},
        {"a: 1\n---\nb: 2\n", "f:2:1: a second document begins here; one file holds one"},
        {"a: 1\nb: 2\na: 3\n", "f:3:1: `a` is given twice, first at line 1; take one out"},
        {"a:\n  b: 1\n  c: 2\n  b: 3\n", "f:4:3: `b` is given twice, first at line 2; take one out"},
        {"a: {b: 1, b: 2}\n", "f:1:11: `b` is given twice, first at line 1; take one out"},
        {"a: !!int 3\n", "f:1:4: tags such as tag:yaml.org,2002:int have no use here; take it out"},
        {"? [a, b]\n: c\n", "f:1:3: a key must be plain text; put the text of the key here"},
        {"a: *b\n", "f:1:4: nothing above is marked &b"},
        {"a: &b [1, *b]\n", "f:1:11: *b stands inside what it names; that has no end"},
        {"a: \"x\\0y\"\n", "f:1:4: this text holds a NUL character; take out the \\0"},
        {"a: 1\nb: \xff\n", "f:2:4: byte ff is not UTF-8; save the file as UTF-8"},
        {"\xc3\xa9: \xe2\x82\xac \xc3\x28\n", "f:1:6: byte c3 is not UTF-8; save the file as UTF-8"},
        {"a: \x01\n", "f:1:4: not valid YAML: control characters are not allowed"},
        {"a: 1\n\tb: 2\n", "f:2:1: not valid YAML: found a tab character that violates indentation, while scanning a plain scalar that began at line 1"},
        {"a: [1, 2\nb: 3\n", "f:2:2: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence that began at line 1"},
        {"a: b: c\n", "f:1:5: not valid YAML: mapping values are not allowed in this context"},
        {"a: 'x\n", "f:2:1: not valid YAML: found unexpected end of stream, while scanning a quoted scalar that began at line 1"},
        {"a:\n  - 1\n b: 2\n", "f:3:2: not valid YAML: did not find expected key, while parsing a block mapping that began at line 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_yaml_document *d = NULL;
        struct error e;
        assert_int_equal(search_yaml_parse(&d, "f", rows[i].text, strlen(rows[i].text), &e), ERROR_INPUT);
        assert_string_equal(e.message, rows[i].error);
        assert_null(d);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct search_yaml_document *d;
    struct error e;
    struct string text = {0};
    string_add(&text, "a: ");
    for (int i = 0; i < 100000; i++)
        string_add(&text, "[");
    assert_int_equal(search_yaml_parse(&d, "f", text.text, text.length, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:1:35: nested too deep; at most 32 levels");
    string_clear(&text);
    /* each level holds the one before ten times */
    string_add(&text, "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for (int i = 1; i < 20; i++) {
        string_addf(&text, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            string_addf(&text, "%s*a%d", k ? "," : "", i - 1);
        string_add(&text, "]\n");
    }
    assert_int_equal(search_yaml_parse(&d, "f", text.text, text.length, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "too much here; aliases unfold to more than 100000 nodes"));
    string_clear(&text);
    for (int i = 0; i < 2000; i++)
        string_addf(&text, "k%d: 1\n", i);
    assert_int_equal(search_yaml_parse(&d, "f", text.text, text.length, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:1001:1: too many keys; at most 1000 in one map");
    string_clear(&text);
    while (text.length <= 1 << 20)
        string_add(&text, "# comment after comment after comment\n");
    assert_int_equal(search_yaml_parse(&d, "f", text.text, text.length, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "bytes; at most 1048576 are read"));
    string_free(&text);
}

static void test_no_keys(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "---\n# a comment\n", "{}", "null", "~ # nothing\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct search_yaml_document *d;
        struct error e;
        assert_int_equal(search_yaml_parse(&d, "f", texts[i], strlen(texts[i]), &e), OK);
        assert_true(search_yaml_root(d)->kind == SEARCH_YAML_MAP && !search_yaml_root(d)->count);
        search_yaml_close(d);
    }
}

static void test_reading_nodes(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbfname: x\r\n"
                               "number: -0.25\r\n"
                               "quoted: '7'\r\n"
                               "yes: true\r\n"
                               "nothing:\r\n"
                               "list: &l [1, two]\r\n"
                               "again: *l\r\n"
                               "block: |\r\n  one\r\n    two\r\n";
    struct search_yaml_document *d;
    struct error e;
    assert_int_equal(search_yaml_parse(&d, "f", text, sizeof text - 1, &e), OK);
    const struct search_yaml *root = search_yaml_root(d), *node;
    const char *string;
    double number;
    int integer;
    assert_int_equal(root->count, 8);
    assert_int_equal(search_yaml_string(search_yaml_get(root, "name"), &string, &e), OK);
    assert_string_equal(string, "x");
    assert_int_equal(search_yaml_number(search_yaml_get(root, "number"), -1, 1, &number, &e), OK);
    assert_true(number == -0.25);
    assert_int_equal(search_yaml_boolean(search_yaml_get(root, "yes"), &integer, &e), OK);
    assert_int_equal(integer, 1);
    node = search_yaml_get(root, "again");
    assert_true(node == search_yaml_get(root, "list") && node->count == 2 && node->line == 6 && node->column == 7);
    node = search_yaml_get(root, "block");
    assert_string_equal(node->text, "one\n  two\n");
    assert_true(node->block && !node->plain);
    assert_null(search_yaml_get(root, "absent"));
    node = search_yaml_get(root, "nothing");
    assert_true(node && !search_yaml_said(root, "nothing") && search_yaml_said(root, "quoted") == search_yaml_get(root, "quoted"));
    static const char *const words[] = {"a", "b", NULL};
    assert_int_equal(search_yaml_string(search_yaml_get(root, "nothing"), &string, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:5:9: nothing is given; expected text");
    assert_int_equal(search_yaml_number(search_yaml_get(root, "quoted"), 0, 9, &number, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:3:9: `7` is not a number; expected one from 0 to 9");
    assert_int_equal(search_yaml_number(search_yaml_get(root, "name"), 0, 9, &number, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:1:7: `x` is not a number; expected one from 0 to 9");
    assert_int_equal(search_yaml_integer(search_yaml_get(root, "number"), -1, 1, &integer, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:2:9: -0.25 is not whole; expected a whole number from -1 to 1");
    assert_int_equal(search_yaml_number(search_yaml_get(root, "number"), 0, 1, &number, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:2:9: -0.25 is out of range; expected a number from 0 to 1");
    assert_int_equal(search_yaml_boolean(search_yaml_get(root, "name"), &integer, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:1:7: `x` is neither true nor false; expected one of these");
    assert_int_equal(search_yaml_string(search_yaml_get(root, "list"), &string, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:6:7: expected text, not a list");
    assert_int_equal(search_yaml_need(root, "absent", &node, &e), ERROR_INPUT);
    assert_string_equal(e.message, "f:1:1: `absent` is missing; add `absent:` here");
    search_yaml_choice(search_yaml_get(root, "name"), words, &integer, &e);
    assert_string_equal(e.message, "f:1:7: `x` is not known; expected one of: a, b");
    search_yaml_known(root, words, &e);
    assert_string_equal(e.message, "f:1:1: unknown key `name`; known here: a, b");
    search_yaml_close(d);
}

/* A place inside a scalar is found in every style of writing it. */
static void test_places_in_scalars(void **state)
{
    (void)state;
    static const struct {
        const char *text, *find;
        int line, column;
    } rows[] = {
        {"a: one X two\n", "X", 1, 8},
        {"a: 'one X two'\n", "X", 1, 9},
        {"a: 'it''s X two'\n", "X", 1, 11},
        {"a: \"one X two\"\n", "X", 1, 9},
        {"a: \"one\\n X two\"\n", "X", 1, 4}, /* escapes are not followed: the scalar is pointed at */
        {"a: |\n  one\n  X two\n", "X", 3, 3},
        {"a: |\n  one\n\n    X two\n", "X", 4, 5},
        {"a: | # an X here\n  one\n  two X\n", "X", 3, 7},
        {"a: >\n  one\n  two X\n  three\n", "X", 3, 7},
        {"a: one\n  two X\n", "X", 2, 7},
        {"b:\n  - \xc3\xa9\xc3\xa9 X\n", "X", 2, 8},
        {"\xef\xbb\xbf" "a: one X two\n", "X", 1, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_yaml_document *d;
        struct error e;
        char expected[32];
        assert_int_equal(search_yaml_parse(&d, "f", rows[i].text, strlen(rows[i].text), &e), OK);
        const struct search_yaml *node = search_yaml_root(d)->values[0];
        while (node->kind != SEARCH_YAML_SCALAR)
            node = node->values[0];
        search_yaml_error_at(node, (size_t)(strstr(node->text, rows[i].find) - node->text), &e, "here");
        snprintf(expected, sizeof expected, "f:%d:%d: here", rows[i].line, rows[i].column);
        assert_string_equal(e.message, expected);
        search_yaml_close(d);
    }
}

/* --- tasks ------------------------------------------------------------------------------------------------------- */

static const char task_text[] = "name: t\n"                                           /* 1 */
                                "about: a task\n"                                     /* 2 */
                                "strategy: greedy\n"                                  /* 3 */
                                "problem:\n"                                          /* 4 */
                                "  form: two numbers\n"                               /* 5 */
                                "  count: [2, 3]\n"                                   /* 6 */
                                "  range: [1, 9]\n"                                   /* 7 */
                                "  target: 10\n"                                      /* 8 */
                                "steps: 3\n"                                          /* 9 */
                                "sampling: {temperature: 0.5, top_k: 40}\n"           /* 10 */
                                "sample:\n"                                           /* 11 */
                                "  messages:\n"                                       /* 12 */
                                "    - system: be brief\n"                            /* 13 */
                                "    - user: |\n"                                     /* 14 */
                                "        Numbers: {state}\n"                          /* 15 */
                                "        {{braces}}\n"                                /* 16 */
                                "  stops: [\"\\n\"]\n"                                /* 17 */
                                "  max_tokens: 20\n"                                  /* 18 */
                                "value:\n"                                            /* 19 */
                                "  messages: \"{last} of {path}\\n\"\n"               /* 20 */
                                "  max_tokens: 5\n"                                   /* 21 */
                                "  labels: {good: 1, bad: 0}\n"                       /* 22 */
                                "  unreadable: 0.5\n"                                 /* 23 */
                                "vote:\n"                                             /* 24 */
                                "  messages: '{candidates}'\n"                        /* 25 */
                                "  candidate: '{number}: {path}'\n"                   /* 26 */
                                "  pattern: '(\\d+)'\n"                               /* 27 */
                                "  max_tokens: 5\n"                                   /* 28 */
                                "thought: {pattern: '='}\n"                           /* 29 */
                                "answer: {pattern: 'answer (.*)'}\n"                  /* 30 */
                                "verifier:\n"                                         /* 31 */
                                "  kind: arithmetic\n"                                /* 32 */
                                "  ends: number\n"                                    /* 33 */
                                "data: {file: t.csv, problem: numbers}\n";            /* 34 */

static char path[] = "/tmp/espalier-yaml-XXXXXX";

static int open_text(const char *text, size_t n, struct search_task **task, struct error *e)
{
    char *file = xasprintf("%s/t.yaml", path);
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    int status = search_task_open(task, file, e);
    unlink(file);
    free(file);
    return status;
}

static void test_a_task_that_is_right(void **state)
{
    (void)state;
    struct search_task *task;
    struct error e;
    if (open_text(task_text, sizeof task_text - 1, &task, &e))
        fail_msg("%s", e.message);
    struct search_problem problem;
    assert_int_equal(search_problem_parse(task, "2 8", NULL, &problem, &e), OK);
    const char *thoughts[] = {"2 + 8 = 10"};
    struct search_path root = {.problem = &problem}, one = {.problem = &problem, .thoughts = thoughts, .count = 1, .state = "10"};
    struct search_messages m;
    assert_int_equal(search_task_messages(task, SEARCH_SAMPLE, &root, NULL, 0, &m, &e), OK);
    assert_int_equal(m.count, 2);
    assert_string_equal(m.list[0].role, "system");
    assert_string_equal(m.list[1].text, "Numbers: 2 8\n{braces}"); /* the line end of the block is not the prompt's */
    search_messages_free(&m);
    assert_int_equal(search_task_messages(task, SEARCH_VALUE, &one, NULL, 0, &m, &e), OK);
    assert_string_equal(m.list[0].text, "2 + 8 = 10 of 2 + 8 = 10\n"); /* one in quotes is */
    search_messages_free(&m);
    assert_int_equal(search_task_messages(task, SEARCH_VOTE, NULL, &one, 1, &m, &e), OK);
    assert_string_equal(m.list[0].text, "1: 2 + 8 = 10");
    search_messages_free(&m);
    assert_true(search_task_sampling(task).temperature == 0.5f && search_task_sampling(task).top_k == 40);
    assert_int_equal(search_task_steps(task), 3);
    search_problem_free(&problem);
    search_task_close(task);
}

/* The first `find` in the task replaced by `put`, and what is said about it. */
static void test_tasks_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *find, *put, *error;
    } rows[] = {
        {"name: t\n", "", "1:1: `name` is missing; add `name:` here"},
        {"name: t", "name: [t]", "1:7: expected text, not a list"},
        {"name: t", "name:", "1:6: nothing is given; expected text"},
        {"about:", "abuot:",
         "2:1: unknown key `abuot`; known here: name, about, strategy, problem, continues, steps, thinking, sampling, sample, propose, value, vote, self-evaluation, process-reward, thought, thoughts, answer, verifier, data, command, trained"},
        {"strategy: greedy\n", "", "1:1: `strategy` is missing; add `strategy:` here"},
        {"  form: two numbers\n", "", "5:3: `form` is missing; add `form:` here"},
        {"count: [2, 3]", "count: 2", "6:10: expected two numbers, as in [2, 8]"},
        {"count: [2, 3]", "count: [2, 9]", "6:14: 9 is out of range; expected a number from 2 to 8"},
        {"count: [2, 3]", "count: [3, 2]", "6:14: 2 is out of range; expected a number from 3 to 8"},
        {"  count: [2, 3]\n", "", "5:3: `count` is missing; add `count:` here"},
        {"range: [1, 9]", "range: [one, 9]", "7:11: `one` is not a number; expected one from 0 to 9999"},
        {"target: 10", "target: ten", "8:11: `ten` is not a number; expected one from 0 to 9999"},
        {"target: 10", "target: [10]", "8:11: expected two numbers, as in [0, 9999]"},
        {"  target: 10\n", "", "6:10: `count` is for problems of numbers, which have a `target` too"},
        {"steps: 3", "steps: 0", "9:8: 0 is out of range; expected a number from 1 to 64"},
        {"steps: 3", "steps: 2.5", "9:8: 2.5 is not whole; expected a whole number from 1 to 64"},
        {"steps: 3\n", "steps: 3\ncontinues: maybe\n", "10:12: `maybe` is neither true nor false; expected one of these"},
        {"temperature: 0.5", "temperature: -1", "10:25: -1 is out of range; expected a number from 0 to 10"},
        {"top_k: 40", "topk: 40", "10:30: unknown key `topk`; known here: temperature, top_k, top_p, min_p, repetition_penalty"},
        {"top_k: 40", "top_p: 0", "10:37: 0 is out of range; expected a number from 0.001 to 1"},
        {"- system: be brief", "- sytem: be brief", "13:7: unknown key `sytem`; known here: system, user, assistant"},
        {"- system: be brief", "- {system: be, user: brief}", "13:7: a message has one role; begin each message with its own `-`"},
        {"- system: be brief", "- [be, brief]", "13:7: expected text, not a list"},
        {"Numbers: {state}", "Numbers: {stat}",
         "15:18: unknown placeholder `{stat}`; known here: {problem} {numbers} {state} {target} {path} {last} {step} {steps} and {{ for a brace"},
        {"Numbers: {state}", "Numbers: {state", "15:18: unknown placeholder `{state`; known here: {problem} {numbers} {state} {target} {path} {last} {step} {steps} and {{ for a brace"},
        {"{{braces}}", "{ braces }", "16:9: unknown placeholder `{ braces }`; known here: {problem} {numbers} {state} {target} {path} {last} {step} {steps} and {{ for a brace"},
        {"stops: [\"\\n\"]", "stops: [\"\"]", "17:11: an empty stop would stop at once; expected text"},
        {"stops: [\"\\n\"]", "stops: {a: b}", "17:10: expected text, not keys and values"},
        {"max_tokens: 20", "max_tokens: many", "18:15: `many` is not a number; expected one from 1 to 4096"},
        {"  max_tokens: 20\n", "", "12:3: `max_tokens` is missing; add `max_tokens:` here"},
        {"max_tokens: 20", "max_token: 20", "18:3: unknown key `max_token`; known here: messages, finish, stops, max_tokens, thinking, grammar"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: [a]", "19:12: expected text, not a list"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: 'root ::= {lefts}'",
         "19:22: unknown placeholder `{lefts}`; known here: {problem} {numbers} {state} {target} {path} {last} {step} {steps} {left} {others} {moves} and {{ for a brace"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: 'root ::= {left} nosuch'", "19:29: not a grammar: there is no rule `nosuch`"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: 'root ::= {left} {state}'", "19:29: not a grammar: there is no rule `1`"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: 'root ::= \"a\"{{5,2}}'", "19:25: not a grammar: this repetition ends before it begins"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: 'root ::= \"a\"{{5,{others}}}'", "19:25: not a grammar: this repetition ends before it begins"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: |\n    root ::= \"a\"\n    b ::= \"c\n",
         "21:11: not a grammar: the literal is not closed on its line; end it with \", and write a line end as \\n"},
        {"max_tokens: 20", "max_tokens: 20\n  grammar: 'a ::= {moves}'", "19:12: not a grammar: there is no rule `root`; it is where a text begins"},
        {"  unreadable: 0.5\n", "  unreadable: 0.5\n  grammar: 'root ::= .'\n",
         "24:3: unknown key `grammar`; known here: messages, finish, stops, max_tokens, thinking, labels, unreadable, pattern"},
        {"{last} of {path}", "{last} of {candidates}",
         "20:13: unknown placeholder `{candidates}`; known here: {problem} {numbers} {state} {target} {path} {last} {step} {steps} and {{ for a brace"},
        {"labels: {good: 1, bad: 0}", "labels: {}", "22:11: no labels; expected words with their weights, as in sure: 20"},
        {"labels: {good: 1, bad: 0}", "labels: [good, bad]", "22:11: expected keys and values, not a list"},
        {"labels: {good: 1, bad: 0}", "labels: {good: very}", "22:18: `very` is not a number; expected one from 0 to 1e+06"},
        {"  unreadable: 0.5\n", "", "20:3: `unreadable` is missing; add `unreadable:` here"},
        {"'{candidates}'", "'{state}'", "25:14: unknown placeholder `{state}`; known here: {problem} {numbers} {target} {step} {steps} {candidates} and {{ for a brace"},
        {"'{number}: {path}'", "'{number}: {step}'", "26:25: unknown placeholder `{step}`; known here: {state} {path} {last} {number} and {{ for a brace"},
        {"  candidate: '{number}: {path}'\n", "", "25:3: `candidate` is missing; add `candidate:` here"},
        {"'(\\d+)'", "'(\\d+'", "27:12: not a regular expression: missing closing parenthesis; expected PCRE2 syntax"},
        {"'(\\d+)'", "'a**b)'", "27:15: not a regular expression: quantifier does not follow a repeatable item; expected PCRE2 syntax"},
        {"'(\\d+)'", "['a', '[b']", "27:18: not a regular expression: missing terminating ] for character class; expected PCRE2 syntax"},
        {"'(\\d+)'", "'\\Ca'", "27:15: not a regular expression: using \\C is disabled by the application; expected PCRE2 syntax"},
        {"thought: {pattern: '='}", "thought: '='", "29:10: expected keys and values, not text"},
        {"thought: {pattern: '='}", "thought: {regex: '='}", "29:11: unknown key `regex`; known here: pattern"},
        {"answer: {pattern: 'answer (.*)'}\n", "", "1:1: `answer` is missing; add `answer:` here"},
        {"answer: {pattern: 'answer (.*)'}", "answer: {pattern: x, otherwise: text}", "30:33: `otherwise` has no use with a verifier of steps; take it out"},
        {"kind: arithmetic", "kind: arithmetics", "32:9: `arithmetics` is not known; expected one of: none, text, numeric, arithmetic, sorting, knights, chain"},
        {"kind: arithmetic", "kind: numeric", "33:9: `ends` is for kind: arithmetic; take it out"},
        {"kind: arithmetic\n  ends: number", "kind: numeric", "30:9: `otherwise` is missing; add `otherwise:` here"},
        {"ends: number", "ends: never", "33:9: `never` is not known; expected one of: answer, number"},
        {"  ends: number\n", "", "32:3: `ends` is missing; add `ends:` here"},
        {"file: t.csv, problem: numbers", "file: t.csv", "34:7: `problem` is missing; add `problem:` here"},
        {"problem: numbers", "problem: numbers, target: t", "34:47: `target` is for problems that name their own target; take it out"},
        {"data: {file: t.csv, problem: numbers}\n", "trained: all\n", "34:10: expected keys and values, not text"},
        {"data: {file: t.csv, problem: numbers}\n", "trained: {}\n", "34:10: no prompts; expected sections such as sample and value, or no `trained` at all"},
        {"data: {file: t.csv, problem: numbers}\n", "trained:\n  steps: 3\n", "35:3: unknown key `steps`; known here: strategy, sampling, sample, propose, value, vote, self-evaluation, process-reward"},
        {"data: {file: t.csv, problem: numbers}\n", "trained:\n  sampling: {temperature: 11}\n", "35:27: 11 is out of range; expected a number from 0 to 10"},
        {"data: {file: t.csv, problem: numbers}\n", "trained:\n  sample: {messages: '{nosuch}', max_tokens: 9}\n", "35:23: unknown placeholder `{nosuch}`; known here: {problem} {numbers} {state} {target} {path} {last} {step} {steps} and {{ for a brace"},
        {"data: {file: t.csv, problem: numbers}\n", "trained:\n  sample: {messages: x}\n", "35:11: `max_tokens` is missing; add `max_tokens:` here"},
        {"data: {file: t.csv, problem: numbers}\n", "trained:\n  value: {messages: x, max_tokens: 2, unreadable: 0}\n", "35:10: `labels` is missing; add `labels:` here"},
        {"data: {file: t.csv, problem: numbers}\n", "trained:\n  self-evaluation: {messages: x, words: [sure, sure]}\n", "35:48: expected another word; their probabilities are compared"},
        {"sample:\n", "propose:\n  messages: x\nsample:\n", "12:3: `max_tokens` is missing; add `max_tokens:` here"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *at = strstr(task_text, rows[i].find);
        assert_non_null(at);
        struct string text = {0};
        string_append(&text, task_text, (size_t)(at - task_text));
        string_add(&text, rows[i].put);
        string_add(&text, at + strlen(rows[i].find));
        struct search_task *task = NULL;
        struct error e;
        char *expected = xasprintf("%s/t.yaml:%s", path, rows[i].error);
        if (open_text(text.text, text.length, &task, &e) != ERROR_INPUT)
            fail_msg("%s was accepted", rows[i].put);
        assert_string_equal(e.message, expected);
        assert_null(task);
        free(expected);
        string_free(&text);
    }
}

static void test_the_strategy_is_checked(void **state)
{
    (void)state;
    struct string text = {0};
    const char *at = strstr(task_text, "greedy");
    string_append(&text, task_text, (size_t)(at - task_text));
    string_add(&text, "greedily");
    string_add(&text, at + 6);
    struct search_task *task;
    struct error e;
    assert_int_equal(open_text(text.text, text.length, &task, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "/t.yaml:3:11: "));
    assert_non_null(strstr(e.message, "greedily"));
    string_free(&text);
}

/* A shipped file with a few bytes changed is a task or an error with its place, never a crash; `make fuzz` goes on from here. */
static void test_broken_files(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]:-#&*!|>'\"%@`, \n\t?~\\xA0\xc3\xff";
    char *file = search_data_path("examples", "game24.yaml");
    struct string text = {0};
    FILE *f = fopen(file, "rb");
    assert_non_null(f);
    for (int c; (c = getc(f)) != EOF;)
        string_append(&text, &(char){(char)c}, 1);
    fclose(f);
    free(file);
    size_t start = (size_t)(strstr(text.text, "\nname:") + 1 - text.text), n = text.length - start;
    char *copy = malloc(n);
    assert_non_null(copy);
    uint64_t draw = 0;
    int right = 0;
    for (int trial = 0; trial < 1500; trial++) {
        memcpy(copy, text.text + start, n);
        for (int k = 0; k < 1 + trial % 3; k++) {
            size_t at = (size_t)(random_uniform(1, 2, draw++) * (double)n);
            copy[at] = alphabet[(size_t)(random_uniform(1, 2, draw++) * (double)(sizeof alphabet - 1))];
        }
        size_t length = trial % 10 ? n : (size_t)(random_uniform(1, 2, draw++) * (double)n);
        struct search_task *task;
        struct error e;
        int status = open_text(copy, length, &task, &e);
        if (!status) {
            right++;
            search_task_close(task);
            continue;
        }
        assert_int_equal(status, ERROR_INPUT);
        int line, column;
        const char *place = strstr(e.message, "/t.yaml:");
        assert_non_null(place);
        assert_int_equal(sscanf(place, "/t.yaml:%d:%d: ", &line, &column), 2);
        assert_null(strchr(e.message, '\n'));
    }
    assert_true(right > 100);
    free(copy);
    string_free(&text);
}

static int clean_up(void **state)
{
    (void)state;
    return rmdir(path);
}

int main(void)
{
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    if (!mkdtemp(path))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_a_document),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_keys), cmocka_unit_test(test_reading_nodes),
        cmocka_unit_test(test_places_in_scalars),
        cmocka_unit_test(test_a_task_that_is_right),
        cmocka_unit_test(test_tasks_that_are_wrong),
        cmocka_unit_test(test_the_strategy_is_checked),
        cmocka_unit_test(test_broken_files),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
