/* Traces: nothing of the other split is asked, every step is legal, labels are true, and the same seed gives the same. What is legal is the
 * verifier's word; what can be made is tests/solver.h's, by brute force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "search/oracle.h"
#include "search/task.h"
#include "tests/solver.h"

enum { NAMES = 3 };
static const char *const names[NAMES] = {"game24", "countdown", "arithmetic-chain"};

static struct search_task *open_task(const char *name)
{
    struct search_task *task;
    struct error e;
    if (search_task_open(&task, name, &e))
        fail_msg("%s", e.message);
    return task;
}

static struct search_traces *open_traces(const struct search_task *task, enum search_split split, uint64_t seed)
{
    struct search_traces *traces;
    struct error e;
    if (search_traces_open(&traces, task, split, seed, NULL, &e))
        fail_msg("%s", e.message);
    return traces;
}

/* --- prompts, read again ----------------------------------------------------------------------------------------- */

enum kind { STEP, PROPOSE, VALUE };
struct asked {
    enum kind kind;
    char target[16], state[80]; /* target "": a chain's */
};

static struct asked read_prompt(const char *prompt)
{
    static const char *const ends[] = {[STEP] = "\n", [PROPOSE] = " steps:\n", [VALUE] = "?\n"};
    struct asked a = {.kind = STEP};
    size_t n = strlen(prompt);
    const char *colon = strstr(prompt, ": "), *state = colon ? colon + 2 : prompt;
    for (enum kind kind = VALUE; kind > STEP && a.kind == STEP; kind--)
        if (n > strlen(ends[kind]) && !strcmp(prompt + n - strlen(ends[kind]), ends[kind]))
            a.kind = kind;
    n -= strlen(ends[a.kind]) + (size_t)(state - prompt);
    assert_true(n < sizeof a.state && !strchr(prompt, '\n')[1]);
    memcpy(a.state, state, n);
    if (colon)
        memcpy(a.target, prompt, (size_t)(colon - prompt));
    return a;
}

static int read_state(const char *text, struct search_rational *list)
{
    int count = search_oracle_read(text, list);
    assert_true(count > 0);
    return count;
}

/* --- splits ------------------------------------------------------------------------------------------------------ */

static int is_held_out(const char *key)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
    return hash % 10 == 0;
}

static char *reported[100];

static int is_of_test(const char *key)
{
    for (int i = 0; i < 100; i++)
        if (!strcmp(reported[i], key))
            return 1;
    return is_held_out(key);
}

static int ascending(const void *a, const void *b)
{
    return search_rational_compare(*(const struct search_rational *)a, *(const struct search_rational *)b);
}

/* All numbers of a prompt but its target, as a sorted list. */
static char *key_of(const struct asked *a, int *count)
{
    struct search_rational list[MOST];
    struct string key = {0};
    *count = 0;
    for (const char *p = a->state + strcspn(a->state, "0123456789"); *p; p += strcspn(p, "0123456789")) {
        assert_true(*count < MOST);
        list[*count] = (struct search_rational){strtol(p, (char **)&p, 10), 1};
        if (*p == '/' && p[1] != ' ') /* not the division of a chain, which a blank stands before */
            list[*count].den = strtol(p + 1, (char **)&p, 10);
        ++*count;
    }
    qsort(list, (size_t)*count, sizeof *list, ascending);
    for (int i = 0; i < *count; i++) {
        string_add(&key, i ? " " : "");
        search_rational_print(&key, list[i], 0);
    }
    return key.text;
}

static void check_split(const char *name, enum search_split split, int items)
{
    struct search_task *task = open_task(name);
    struct search_traces *traces = open_traces(task, split, 5);
    struct search_trace trace;
    int wide = 0;
    for (int i = 0; i < items; i++) {
        int count;
        search_traces_next(traces, &trace);
        struct asked a = read_prompt(trace.prompt);
        char *key = key_of(&a, &count);
        int chain = !*a.target && a.kind == STEP;
        if (count >= 3 && (is_of_test(key) != (split == SEARCH_SPLIT_TEST) || (chain && is_held_out(a.state) != (split == SEARCH_SPLIT_TEST))))
            fail_msg("%s, row %d: %s is of the other split", name, (int)trace.row, trace.prompt);
        wide += count >= 3;
        free(key);
    }
    assert_true(wide > items / 3);
    search_traces_close(traces);
    search_task_close(task);
}

static void test_no_item_asks_for_the_other_split(void **state)
{
    (void)state;
    struct search_task *task = open_task("game24");
    struct error e;
    for (int i = 0; i < 100; i++) {
        char *answer;
        assert_int_equal(search_task_data(task, NULL, 901 + i, &reported[i], &answer, &e), OK);
    }
    search_task_close(task);
    for (int i = 0; i < NAMES; i++) {
        check_split(names[i], SEARCH_SPLIT_TRAIN, 100000);
        check_split(names[i], SEARCH_SPLIT_TEST, i < 2 ? 20000 : 500);
    }
    for (int i = 0; i < 100; i++)
        free(reported[i]);
}

/* --- completions ------------------------------------------------------------------------------------------------- */

/* A path that grows by the lines of a completion. */
struct path {
    const struct search_task *task;
    struct search_problem problem;
    const char *thoughts[8];
    char *state;
    int count;
};

static struct search_verdict judge(const struct path *p, const char *line)
{
    struct search_verdict verdict;
    struct search_path path = {.problem = &p->problem, .thoughts = p->thoughts, .count = p->count, .state = p->state};
    search_task_verify(p->task, &path, line, &verdict);
    return verdict;
}

static int alive(const char *state, const char *target, int whole)
{
    struct search_rational list[MOST];
    return solvable(list, read_state(state, list), (struct search_rational){atol(target), 1}, whole);
}

/* Steps to the end and the answer line, or one step alone, which must be one that keeps the target in reach. */
static void check_steps(struct path *p, const struct asked *a, char *completion)
{
    int whole = alive(a->state, a->target, 1), answered = 0;
    for (char *line = strtok(completion, "\n"); line; line = strtok(NULL, "\n")) {
        struct search_verdict v = judge(p, line);
        if (v.illegal || v.correct == 0 || answered)
            fail_msg("%s: %s: %s", a->state, line, v.why ? v.why : "more after the answer");
        if (!strncmp(line, "Answer: ", 8)) {
            assert_int_equal(v.correct, 1);
            assert_string_equal(v.answer, line + 8); /* as the verifier itself would write it */
            answered = 1;
        } else if (!alive(v.state, a->target, whole)) {
            fail_msg("%s: %s: %s can not be made any more", a->state, line, a->target);
        }
        free(p->state);
        p->state = xstrdup(v.state);
        p->thoughts[p->count++] = line;
        search_verdict_free(&v);
    }
    assert_true(answered ? p->count >= 3 : p->count == 1);
}

static void check_proposal(struct path *p, const struct asked *a, char *completion)
{
    int whole = alive(a->state, a->target, 1), good = 1, count = 0;
    char *lines[16];
    for (char *line = strtok(completion, "\n"); line; line = strtok(NULL, "\n")) {
        struct search_verdict v = judge(p, line);
        assert_false(v.illegal);
        int now = alive(v.state, a->target, whole);
        if (now > good)
            fail_msg("%s: %s comes too late: it is a step of a solution", a->state, line);
        good = now;
        for (int i = 0; i < count; i++)
            assert_string_not_equal(lines[i], line);
        lines[count++] = line;
        search_verdict_free(&v);
    }
    assert_true(count >= 1 && count <= 8);
}

static void check_label(const struct asked *a, struct search_oracle *oracle, const char *label)
{
    int whole = alive(a->state, a->target, 1), any = whole || alive(a->state, a->target, 0);
    if (strcmp(label, whole ? "sure" : any ? "likely" : "impossible"))
        fail_msg("%s: %s is called %s", a->target, a->state, label);
    assert_int_equal(search_oracle_ask(oracle, a->state, a->target), any ? SEARCH_MARK_ALIVE : SEARCH_MARK_LOST);
}

static void check_chain(struct path *p, const struct asked *a, const char *completion)
{
    if (a->kind == STEP) {
        char *line = xstrndup(completion, strlen(completion) - 1);
        struct search_verdict v = judge(p, line);
        if (v.illegal)
            fail_msg("%s: %s: %s", a->state, line, v.why);
        search_verdict_free(&v);
        free(line);
        return;
    }
    long x, y, z;
    char op;
    assert_int_equal(sscanf(a->state, "%ld %c %ld = %ld", &x, &op, &y, &z), 4);
    long is = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : x / y;
    assert_string_equal(completion, is == z ? "right" : "wrong");
    assert_true(z >= 0);
}

static void check_item(const struct search_task *task, const struct search_trace *trace, struct search_oracle *oracle)
{
    struct asked a = read_prompt(trace->prompt);
    char *completion = xstrdup(trace->completion);
    struct path p = {.task = task, .problem = {.text = a.state, .state = a.state, .expected = a.target, .target = a.target}, .state = xstrdup(a.state)};
    assert_true(a.kind == VALUE || completion[strlen(completion) - 1] == '\n');
    if (!*a.target)
        check_chain(&p, &a, completion);
    else if (a.kind == STEP)
        check_steps(&p, &a, completion);
    else if (a.kind == PROPOSE)
        check_proposal(&p, &a, completion);
    else
        check_label(&a, oracle, completion);
    free(p.state);
    free(completion);
}

static void test_every_completion_is_right(void **state)
{
    (void)state;
    struct search_oracle *oracle = search_oracle_open();
    for (int i = 0; i < NAMES; i++) {
        struct search_task *task = open_task(names[i]);
        struct search_traces *traces = open_traces(task, SEARCH_SPLIT_TRAIN, 11);
        struct search_trace trace;
        for (search_traces_next(traces, &trace); trace.row < (i ? 1200 : 2500); search_traces_next(traces, &trace))
            check_item(task, &trace, oracle);
        search_traces_close(traces);
        search_task_close(task);
    }
    search_oracle_close(oracle);
}

/* --- how much of what -------------------------------------------------------------------------------------------- */

/* Of all items of some rows: [kind], and of values by label and by how many numbers they are asked of. */
struct counts {
    int kinds[3], solutions, three;
    int sure[MOST + 1], impossible[MOST + 1];
};

static struct counts count_items(const char *name, uint64_t rows, const struct search_trace_weights *weights)
{
    struct search_task *task = open_task(name);
    struct search_traces *traces;
    struct search_trace trace;
    struct error e;
    struct counts c = {0};
    assert_int_equal(search_traces_open(&traces, task, SEARCH_SPLIT_TRAIN, 3, weights, &e), OK);
    for (search_traces_next(traces, &trace); trace.row < rows; search_traces_next(traces, &trace)) {
        struct search_rational list[MOST];
        struct asked a = read_prompt(trace.prompt);
        int n = *a.target ? read_state(a.state, list) : 0;
        c.kinds[a.kind]++;
        c.solutions += strstr(trace.completion, "Answer: ") != NULL;
        c.three += n == 3 && strstr(trace.completion, "Answer: ");
        c.sure[n] += !strcmp(trace.completion, "sure");
        c.impossible[n] += !strcmp(trace.completion, "impossible");
    }
    search_traces_close(traces);
    search_task_close(task);
    return c;
}

static void test_there_is_so_much_of_each(void **state)
{
    (void)state;
    struct counts c = count_items("countdown", 4000, NULL);
    assert_int_equal(c.solutions, 4000);
    assert_in_range(c.three, 4000 * 26 / 100, 4000 * 32 / 100);
    assert_in_range(c.kinds[PROPOSE], 4000 * 24 / 100, 4000 * 33 / 100); /* some states are of the other split */
    assert_in_range(c.kinds[STEP], 4000 * 14 / 10, 4000 * 15 / 10 + 60);
    for (int n = 1; n <= 4; n++)
        assert_in_range(100 * c.sure[n] / (c.sure[n] + c.impossible[n]), 42, 58);
    assert_true(c.sure[3] > 2 * c.sure[2]);
    /* nothing but whole solutions, of four numbers */
    c = count_items("countdown", 500, &(struct search_trace_weights){.three = 0});
    assert_int_equal(c.kinds[STEP], 500);
    assert_int_equal(c.solutions - c.three, 500);
    assert_int_equal(c.kinds[VALUE] + c.kinds[PROPOSE], 0);
    c = count_items("arithmetic-chain", 500, &(struct search_trace_weights){.chain = 2});
    assert_in_range(c.kinds[VALUE], c.kinds[STEP] * 3 / 2, c.kinds[STEP] * 5 / 2);
}

/* --- the same again ---------------------------------------------------------------------------------------------- */

static void add_row(struct search_traces *traces, uint64_t row, struct string *out)
{
    struct search_trace trace;
    search_traces_seek(traces, row);
    for (search_traces_next(traces, &trace); trace.row == row; search_traces_next(traces, &trace))
        string_addf(out, "%s%s\n", trace.prompt, trace.completion);
    assert_true(trace.row == row + 1);
}

static void test_the_same_seed_gives_the_same(void **unused)
{
    (void)unused;
    enum { ROWS = 60 };
    for (int i = 0; i < NAMES; i++) {
        struct search_task *task = open_task(names[i]);
        struct search_traces *a = open_traces(task, SEARCH_SPLIT_TRAIN, 7), *b = open_traces(task, SEARCH_SPLIT_TRAIN, 7),
                             *c = open_traces(task, SEARCH_SPLIT_TRAIN, 8);
        struct string forth = {0}, other = {0}, rows[ROWS] = {{0}};
        struct search_trace trace;
        for (search_traces_next(a, &trace); trace.row < ROWS; search_traces_next(a, &trace))
            string_addf(&forth, "%s%s\n", trace.prompt, trace.completion);
        struct string back = {0};
        for (int row = ROWS - 1; row >= 0; row--) /* whatever was asked for before */
            add_row(b, (uint64_t)row, &rows[row]);
        for (int row = 0; row < ROWS; row++) {
            string_append(&back, string_text(&rows[row]), rows[row].length);
            add_row(c, (uint64_t)row, &other);
            string_free(&rows[row]);
        }
        assert_string_equal(forth.text, back.text);
        assert_string_not_equal(forth.text, other.text);
        string_free(&forth);
        string_free(&back);
        string_free(&other);
        search_traces_close(a);
        search_traces_close(b);
        search_traces_close(c);
        search_task_close(task);
    }
}

/* The recipe lists what traces are made of: each of its tokens is in some of them, as a model would see them one after the other. */
static void test_the_recipe_knows_the_traces(void **state)
{
    (void)state;
    struct search_yaml_document *recipe;
    struct error e;
    const struct search_yaml *list, *data;
    struct string seen = {0};
    double sum = 0, weight;
    assert_int_equal(search_yaml_open(&recipe, "examples/steps.yaml", &e), OK);
    assert_int_equal(search_yaml_need(search_yaml_root(recipe), "vocabulary", &list, &e), OK);
    assert_int_equal(search_yaml_need(search_yaml_root(recipe), "data", &data, &e), OK);
    for (int i = 0; i < data->count; i++) {
        struct search_task *task = open_task(search_yaml_get(data->values[i], "task")->text);
        struct search_traces *traces = open_traces(task, SEARCH_SPLIT_TRAIN, 1);
        struct search_trace trace;
        for (search_traces_next(traces, &trace); trace.row < 2000; search_traces_next(traces, &trace))
            string_addf(&seen, "%s%s", trace.prompt, trace.completion);
        search_traces_close(traces);
        search_task_close(task);
        assert_int_equal(search_yaml_number(search_yaml_get(data->values[i], "weight"), 0, 1, &weight, &e), OK);
        sum += weight;
    }
    assert_true(sum > .999 && sum < 1.001);
    assert_true(list->count >= 16);
    for (int i = 0; i < list->count; i++)
        if (!strstr(seen.text, list->values[i]->text))
            fail_msg("`%s` is in no trace", list->values[i]->text);
    string_free(&seen);
    search_yaml_close(recipe);
}

static void test_tasks_without_traces(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"sorting", "the task has no `trained:` section"}, {"ask", "the task has no `trained:` section"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task = open_task(rows[i][0]);
        struct search_traces *traces;
        struct error e;
        assert_int_equal(search_traces_open(&traces, task, SEARCH_SPLIT_TRAIN, 1, NULL, &e), ERROR_INPUT);
        assert_non_null(strstr(e.message, rows[i][1]));
        assert_null(traces);
        search_task_close(task);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_item_asks_for_the_other_split),
        cmocka_unit_test(test_every_completion_is_right),
        cmocka_unit_test(test_there_is_so_much_of_each),
        cmocka_unit_test(test_the_same_seed_gives_the_same),
        cmocka_unit_test(test_the_recipe_knows_the_traces),
        cmocka_unit_test(test_tasks_without_traces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
