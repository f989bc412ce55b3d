/* Problems by seed, and the tasks that judge each step: what is drawn can be solved, in one split only, and is judged right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "search/task.h"
#include "tests/solver.h"

static struct search_task *open_task(const char *name)
{
    struct search_task *task;
    struct error e;
    if (search_task_open(&task, name, &e))
        fail_msg("%s", e.message);
    return task;
}

static char *make(const char *name, enum search_split split, uint64_t seed, int count)
{
    struct search_task *task = open_task(name);
    struct string text = {0};
    struct error e;
    if (search_task_make(task, split, seed, count, 0, &text, &e))
        fail_msg("%s", e.message);
    search_task_close(task);
    return text.text;
}

static const char *or_none(const char *s)
{
    return s ? s : "-";
}

/* The rows of a made file, one after the other: its first field without quotes, and what is after it. Cuts the text up. */
static char *next_row(char **at, char **rest)
{
    char *row = *at;
    if (!*row)
        return NULL;
    char *end = strchr(row, '\n');
    *end = '\0';
    *at = end + 1;
    char *close = *row == '"' ? strchr(row + 1, '"') : row + strcspn(row, ",");
    *rest = *row == '"' ? close + 2 : *close ? close + 1 : close;
    row += *row == '"';
    *close = '\0';
    return row;
}

static char *first_row(char *text)
{
    return strchr(text, '\n') + 1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_size(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static int read_list(const char *text, int *list)
{
    int count = 0;
    for (char *end; *text && count < 8; text = end + (*end == ' '))
        list[count++] = (int)strtol(text, &end, 10);
    return count;
}

/* --- knights and knaves, judged by hand -------------------------------------------------------------------------- */

/* Is a statement true when the speaker is a knight (or not) and the other one is (or not)? */
static int is_true(const char *says, const char *other, int me, int him)
{
    char with[100];
    struct {
        const char *form;
        int truth;
    } rows[] = {
        {"%s is a knight", him},
        {"%s is a knave", !him},
        {"I am a knight", me},
        {"I am a knave", !me},
        {"we are both knights", me && him},
        {"we are both knaves", !me && !him},
        {"we are of the same kind", me == him},
        {"we are of different kinds", me != him},
        {"at least one of us is a knight", me || him},
        {"at least one of us is a knave", !me || !him},
        {"if I am a knight, %s is a knight", !me || him},
        {"if I am a knight, %s is a knave", !me || !him},
        {"if %s is a knight, so am I", !him || me},
        {"I am a knight and %s is a knave", me && !him},
        {"I am a knave and %s is a knight", !me && him},
        {"%s would call me a knave", him ? !me : me},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *at = strstr(rows[i].form, "%s");
        snprintf(with, sizeof with, "%.*s%s%s", at ? (int)(at - rows[i].form) : (int)strlen(rows[i].form), rows[i].form, at ? other : "", at ? at + 2 : "");
        if (!strcmp(with, says))
            return rows[i].truth;
    }
    fail_msg("'%s' is not known", says);
    return 0;
}

struct puzzle {
    char names[2][20], says[8][80];
    int speaker[8], count;
};

static struct puzzle read_puzzle(const char *text)
{
    struct puzzle p = {.count = 0};
    while (*text) {
        char name[20];
        int read = 0;
        assert_int_equal(sscanf(text, "%19s says: %79[^.].%n", name, p.says[p.count], &read), 2);
        int who = *p.names[0] && strcmp(name, p.names[0]) ? 1 : 0;
        strcpy(p.names[who], name);
        p.speaker[p.count++] = who;
        text += read;
        text += *text == ' ';
    }
    return p;
}

/* Which of the four cases fit, a bit each: 1 both knights, 2 the second a knave, 4 the first, 8 both. */
static int solve_puzzle(const struct puzzle *p)
{
    int fits = 0;
    for (int world = 0; world < 4; world++) {
        int knight[2] = {world < 2, world % 2 == 0}, good = 1;
        for (int i = 0; i < p->count; i++) {
            int who = p->speaker[i];
            good = good && is_true(p->says[i], p->names[!who], knight[who], knight[!who]) == knight[who];
        }
        fits |= good << world;
    }
    return fits;
}

/* The same for all puzzles that differ in names or order alone: the sentences, with names A and B either way round, sorted. */
static char *puzzle_structure(const struct puzzle *p)
{
    char *ways[2];
    for (int first = 0; first < 2; first++) {
        char lines[8][120], *sorted[8];
        struct string all = {0};
        for (int i = 0; i < p->count; i++) {
            const char *other = p->names[!p->speaker[i]], *at = strstr(p->says[i], other);
            snprintf(lines[i], sizeof lines[i], "%c %.*s@%s", "AB"[p->speaker[i] ^ first], at ? (int)(at - p->says[i]) : (int)strlen(p->says[i]),
                     p->says[i], at ? at + strlen(other) : "");
            sorted[i] = lines[i];
        }
        qsort(sorted, (size_t)p->count, sizeof *sorted, by_text);
        for (int i = 0; i < p->count; i++)
            string_addf(&all, "%s/", sorted[i]);
        ways[first] = all.text;
    }
    int swap = strcmp(ways[0], ways[1]) > 0;
    free(ways[!swap]);
    return ways[swap];
}

/* --- draws ------------------------------------------------------------------------------------------------------- */

static const char *const names[] = {"countdown", "game24", "sorting", "knights", "arithmetic-chain"};
enum { NAMES = 5 };

static void test_the_same_seed_draws_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        char *a = make(names[i], SEARCH_SPLIT_TEST, 7, 120), *b = make(names[i], SEARCH_SPLIT_TEST, 7, 120);
        char *start = make(names[i], SEARCH_SPLIT_TEST, 7, 60), *other = make(names[i], SEARCH_SPLIT_TEST, 8, 120);
        assert_string_equal(a, b);
        assert_memory_equal(a, start, strlen(start));
        assert_string_not_equal(a, other);
        free(a);
        free(b);
        free(start);
        free(other);
    }
}

static void test_shipped_rows_are_what_is_drawn(void **state)
{
    (void)state;
    static const char *const shipped[] = {"countdown", "sorting", "knights", "arithmetic-chain"};
    for (int i = 0; i < 4; i++) {
        char *expected = make(shipped[i], SEARCH_SPLIT_TEST, 24, 100), *name = xasprintf("%s.csv", shipped[i]);
        char *path = search_data_path("examples", name), *found = xcalloc(1, strlen(expected) + 2);
        FILE *f = fopen(path, "rb");
        assert_non_null(f);
        assert_int_equal(fread(found, 1, strlen(expected) + 1, f), strlen(expected));
        assert_string_equal(found, expected);
        fclose(f);
        free(found);
        free(path);
        free(name);
        free(expected);
    }
}

static void check_solved(const char *name, const char *problem, char *rest)
{
    int list[8], count;
    if (!strcmp(name, "countdown") || !strcmp(name, "game24")) {
        int whole = *name == 'c';
        assert_true(!whole || (atoi(rest) >= 10 && atoi(rest) <= 99));
        if (!solvable_text(problem, whole ? rest : "24", whole))
            fail_msg("%s: %s has no solution", name, problem);
    } else if (!strcmp(name, "sorting")) {
        count = read_list(problem, list);
        assert_in_range(count, 5, 8);
        for (int i = 0; i < count; i++)
            for (int k = 0; k < i; k++)
                assert_int_not_equal(list[i], list[k]);
    } else if (!strcmp(name, "knights")) {
        struct puzzle p = read_puzzle(problem);
        int fits = solve_puzzle(&p);
        char answer[80];
        snprintf(answer, sizeof answer, "\"%s %s, %s %s\"", p.names[0], fits == 1 || fits == 2 ? "knight" : "knave", p.names[1],
                 fits == 1 || fits == 4 ? "knight" : "knave");
        if (fits != 1 && fits != 2 && fits != 4 && fits != 8)
            fail_msg("%s: not one solution", problem);
        assert_string_equal(rest, answer);
    } else {
        char *p;
        long value = strtol(problem, &p, 10);
        for (int n = 0; *p; n++) {
            char op = p[1];
            long by = strtol(p + 2, &p, 10);
            assert_true(op != '/' || value % by == 0);
            value = op == '+' ? value + by : op == '-' ? value - by : op == '*' ? value * by : value / by;
            assert_in_range(value, 0, 200);
            assert_in_range(n, 0, 4);
        }
        assert_int_equal(value, atol(rest));
    }
}

static void test_what_is_drawn_can_be_solved(void **state)
{
    (void)state;
    static const int rows[NAMES] = {300, 200, 2000, 2000, 2000};
    for (int i = 0; i < NAMES; i++)
        for (int split = 0; split < 2; split++) {
            char *text = make(names[i], (enum search_split)split, 11, rows[i]), *at = first_row(text), *rest;
            int count = 0;
            for (char *row; (row = next_row(&at, &rest)); count++)
                check_solved(names[i], row, rest);
            assert_int_equal(count, rows[i]);
            free(text);
        }
}

/* --- splits ------------------------------------------------------------------------------------------------------ */

/* FNV-1a, written out again. */
static int is_held_out(const char *text)
{
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++) {
        hash ^= (unsigned char)*text;
        hash *= 1099511628211u;
    }
    return hash % 10 == 0;
}

static char *reported[100];
static int is_reported(const char *key)
{
    for (int i = 0; i < 100; i++)
        if (!strcmp(reported[i], key))
            return 1;
    return 0;
}

static char *key_of(const char *name, const char *problem)
{
    if (!strcmp(name, "knights")) {
        struct puzzle p = read_puzzle(problem);
        return puzzle_structure(&p);
    }
    if (!strcmp(name, "arithmetic-chain"))
        return xstrdup(problem);
    int list[8], count = read_list(problem, list);
    struct string key = {0};
    qsort(list, (size_t)count, sizeof *list, by_size);
    for (int i = 0; i < count; i++)
        string_addf(&key, "%s%d", i ? " " : "", list[i]);
    return key.text;
}

static void test_no_problem_is_in_both_splits(void **state)
{
    (void)state;
    static const int rows[2][NAMES] = {{20000, 220, 20000, 20000, 20000}, {20000, 1142, 20000, 20000, 20000}};
    struct search_task *task = open_task("game24");
    struct error e;
    for (int i = 0; i < 100; i++) {
        char *answer;
        assert_int_equal(search_task_data(task, NULL, 901 + i, &reported[i], &answer, &e), OK);
    }
    search_task_close(task);
    for (int i = 0; i < NAMES; i++) {
        char **keys[2];
        for (int split = 0; split < 2; split++) {
            char *text = make(names[i], (enum search_split)split, 5, rows[split][i]), *at = first_row(text), *rest;
            int count = 0;
            keys[split] = xcalloc((size_t)rows[split][i], sizeof **keys);
            for (char *row; (row = next_row(&at, &rest)); count++) {
                char *key = keys[split][count] = key_of(names[i], row);
                int numbers = i < 3, test = is_held_out(key) || (numbers && is_reported(key));
                if (strcmp(names[i], "knights") && test != (split == SEARCH_SPLIT_TEST))
                    fail_msg("%s: %s is in the wrong split", names[i], row);
            }
            assert_int_equal(count, rows[split][i]);
            qsort(keys[split], (size_t)count, sizeof **keys, by_text);
            free(text);
        }
        for (int a = 0, b = 0; a < rows[0][i] && b < rows[1][i];) {
            int order = strcmp(keys[0][a], keys[1][b]);
            if (!order)
                fail_msg("%s: %s is in both splits", names[i], keys[0][a]);
            if (order < 0)
                a++;
            else
                b++;
        }
        for (int split = 0; split < 2; split++) {
            for (int k = 0; k < rows[split][i]; k++)
                free(keys[split][k]);
            free(keys[split]);
        }
    }
    for (int i = 0; i < 100; i++)
        free(reported[i]);
}

static void test_the_last_game_of_24_is_the_last(void **state)
{
    (void)state;
    struct search_task *task = open_task("game24");
    struct string text = {0};
    struct error e;
    assert_int_equal(search_task_make(task, SEARCH_SPLIT_TEST, 1, 221, 0, &text, &e), ERROR_INPUT);
    assert_string_equal(e.message, "game24 has only 220 different problems in its test split; ask for fewer");
    string_free(&text);
    search_task_close(task);
}

/* --- verdicts ---------------------------------------------------------------------------------------------------- */

/* One thought after a state. outcome: "step", "illegal", "right", "wrong". what: the state after a step, a right answer, or why. */
struct verdict_row {
    const char *state, *thought, *outcome, *what;
};

static const struct verdict_row sorting[] = {
    {"7 2 9 4", "swap 7 and 2", "step", "2 7 9 4"},
    {"7 2 9 4", "Swap 7 and 2.", "step", "2 7 9 4"},
    {"7 2 9 4", "swap 2 and 7", "step", "2 7 9 4"},
    {"7 2 9 4", "swap 9 with 4", "step", "7 2 4 9"},
    {"7 2 9 4", "swap 7, 4", "step", "4 2 9 7"},
    {"7 2 9 4", "swap 7 and 2 (now: 2 7 9 4)", "step", "2 7 9 4"},
    {"7 2 9 4", "swap 7 and 2: 2, 7, 9, 4", "step", "2 7 9 4"},
    {"7 2 9 4", "swap 7 and 2 -> 2 7 9 4.", "step", "2 7 9 4"},
    {"2 7 4", "swap 7 and 4", "right", "2 4 7"},
    {"2 7 4", "swap 7 and 4 (now: 2 4 7)", "right", "2 4 7"},
    {"7 2 9 4", "swap 7 and 2 (now: 7 2 9 4)", "illegal", "now should be 2 7 9 4"},
    {"7 2 9 4", "swap 7 and 2 (now: 2 7 9)", "illegal", "now should be 2 7 9 4"},
    {"7 2 9 4", "swap 7 and 2 (now: 2 7 9 4 5)", "illegal", "now should be 2 7 9 4"},
    {"7 2 9 4", "swap 7 and 2 (now: 1 2 3 4 5 6 7 8 9)", "illegal", "now should be 2 7 9 4"},
    {"7 2 9 4", "swap 7 and 2 (now: 2 7 9 4) and so on", "illegal", "more text follows the step"},
    {"7 2 9 4", "swap 7 and 2 because it is smaller", "illegal", "more text follows the step"},
    {"7 2 9 4", "swap 7 and 2, swap 9 and 4", "illegal", "more text follows the step"},
    {"7 2 9 4", "swap 7 and 3", "illegal", "3 is not there"},
    {"7 2 9 4", "swap 72 and 9", "illegal", "72 is not there"},
    {"7 2 9 4", "swap 7 and 7", "illegal", "7 cannot be swapped with itself"},
    {"7 2 9 4", "swap 2 and 9", "illegal", "2 and 9 are in order already"},
    {"7 2 9 4", "swap 9 and 7", "illegal", "9 and 7 are in order already"},
    {"7 2 9 4", "swap 7", "illegal", "not a step such as swap 7 and 2"},
    {"7 2 9 4", "swap seven and two", "illegal", "not a step such as swap 7 and 2"},
    {"7 2 9 4", "move 2 to the front", "illegal", "not a step such as swap 7 and 2"},
    {"7 2 9 4", "swap 7 and 2.5", "illegal", "more text follows the step"},
    {"7 2 9 4", "swap 1234567 and 2", "illegal", "not a step such as swap 7 and 2"},
    {"7 2 9 4", "", "illegal", "nothing was written"},
    {"7 2 9 4", "Answer: 2 4 7 9", "right", "2 4 7 9"},
    {"7 2 9 4", "answer is 2, 4, 7, 9.", "right", "2 4 7 9"},
    {"7 2 9 4", "Answer: 2 7 4 9", "wrong", "it does not ascend"},
    {"7 2 9 4", "Answer: 2 4 7", "wrong", "9 is missing"},
    {"7 2 9 4", "Answer: 2 4 7 8 9", "wrong", "8 is not among the numbers"},
    {"7 2 9 4", "Answer: 2 4 4 7 9", "wrong", "a number is there twice"},
    {"7 2 9 4", "Answer: none", "illegal", "not a list of numbers"},
};

static const struct verdict_row chain[] = {
    {"7 +5 *3 -4", "7 + 5 = 12", "step", "12 *3 -4"},
    {"7 +5 *3 -4", "7+5=12.", "step", "12 *3 -4"},
    {"7 +5 *3 -4", "5 + 7 = 12", "step", "12 *3 -4"},
    {"12 *3 -4", "12 \xc3\x97 3 = 36", "step", "36 -4"},
    {"12 *3 -4", "12 x 3 = 36.0", "step", "36 -4"},
    {"12 *3 -4", "3 * 12 = 36", "step", "36 -4"},
    {"36 -4", "36 - 4 = 32", "right", "32"},
    {"36 -4", "36 \xe2\x88\x92 4 = 32", "right", "32"},
    {"7 /2 +1", "7 / 2 = 7/2", "step", "7/2 +1"},
    {"7 /2 +1", "7 / 2 = 3.5", "step", "7/2 +1"},
    {"7/2 +1", "7/2 + 1 = 9/2", "right", "32"}, /* of another problem: only its own path leads to the answer of a chain */
    {"7/2 +1", "3.5 + 1 = 4.5", "right", "32"},
    {"-4 +1 +2", "-4 + 1 = -3", "step", "-3 +2"},
    {"3 -7 +9", "3 - 7 = -4", "step", "-4 +9"},
    {"7 +5 *3 -4", "7 + 5 = 13", "illegal", "7 + 5 is 12, not 13"},
    {"7 /2 +1", "7 / 2 = 3", "illegal", "7 / 2 is 7/2, not 3"},
    {"7 +5 *3 -4", "5 * 3 = 15", "illegal", "the next step is 7 + 5"},
    {"7 +5 *3 -4", "7 + 5 * 3 = 22", "illegal", "the next step is 7 + 5"},
    {"7 +5 *3 -4", "7 - 5 = 2", "illegal", "the next step is 7 + 5"},
    {"36 -4", "4 - 36 = -32", "illegal", "the next step is 36 - 4"},
    {"12 *3 -4", "7 + 5 = 12", "illegal", "the next step is 12 * 3"},
    {"7 +5 *3 -4", "12", "illegal", "not a step such as 7 + 5 = 12"},
    {"7 +5 *3 -4", "7 + 5", "illegal", "not a step such as 7 + 5 = 12"},
    {"7 +5 *3 -4", "7 + 5 =", "illegal", "what follows = is not one number"},
    {"7 +5 *3 -4", "7 + 5 = twelve", "illegal", "what follows = is not one number"},
    {"7 +5 *3 -4", "7 + 5 = 12 * 3", "illegal", "what follows = is not one number"},
    {"7 +5 *3 -4", "7 + 5 = 12, then 36", "illegal", "what follows = is not one number"},
    {"32", "32 + 0 = 32", "illegal", "no operation is left: an answer line must follow"},
    {"7 +5 *3 -4", " ", "illegal", "nothing was written"},
    {"7 +5 *3 -4", "Answer: 32", "right", "32"},
    {"7 +5 *3 -4", "The answer is 32", "illegal", "not a step such as 7 + 5 = 12"},
    {"7 +5 *3 -4", "Answer: 12 * 3 - 4 = 32.", "right", "32"},
    {"7 +5 *3 -4", "Answer: 31", "wrong", "31 is not the value"},
    {"7 +5 *3 -4", "Answer: unknown", "illegal", "no number is given"},
};

#define KNAVES "Liz knight, Max knight; Liz knight, Max knave; Liz knave, Max knight; Liz knave, Max knave"
static const struct verdict_row knights[] = {
    /* Liz says: we are both knaves. Max says: Liz is a knave. */
    {KNAVES, "Liz knight, Max knight: impossible", "step", "Liz knight, Max knave; Liz knave, Max knight; Liz knave, Max knave"},
    {KNAVES, "Liz knight, Max knight: impossible, Liz would lie", "step", "Liz knight, Max knave; Liz knave, Max knight; Liz knave, Max knave"},
    {KNAVES, "Max knight, Liz knight: impossible, Max would lie.", "step", "Liz knight, Max knave; Liz knave, Max knight; Liz knave, Max knave"},
    {KNAVES, "If Liz is a knight and Max is a knave: Impossible, Liz, a knight, would lie", "step",
     "Liz knight, Max knight; Liz knave, Max knight; Liz knave, Max knave"},
    {KNAVES, "Liz knave, Max knave: impossible, Max would tell the truth", "step", "Liz knight, Max knight; Liz knight, Max knave; Liz knave, Max knight"},
    {KNAVES, "Liz knave, Max knave: impossible, Liz, a knave, would tell the truth", "step",
     "Liz knight, Max knight; Liz knight, Max knave; Liz knave, Max knight"},
    {KNAVES, "Liz knave, Max knight: possible", "right", "Liz knave, Max knight"},
    {KNAVES, "Max knight and Liz knave: possible.", "right", "Liz knave, Max knight"},
    {KNAVES, "Liz knight, Max knight: possible", "illegal", "Liz, a knight, would lie"},
    {KNAVES, "Liz knave, Max knave: possible", "illegal", "Liz, a knave, would tell the truth"},
    {KNAVES, "Liz knave, Max knight: impossible, Liz would tell the truth", "illegal", "it is possible: what both say fits"},
    {KNAVES, "Liz knave, Max knight: impossible", "illegal", "it is possible: what both say fits"},
    {KNAVES, "Liz knight, Max knave: impossible, Liz would tell the truth", "illegal", "Liz is a knight in this case"},
    {KNAVES, "Liz knight, Max knave: impossible, Max would lie", "illegal", "Max is a knave in this case"},
    {KNAVES, "Liz knight, Max knave: impossible, Liz, a knave, would lie", "illegal", "Liz is a knight in this case"},
    {KNAVES, "Liz knight, Max knave: impossible, Max would tell the truth", "illegal", "Max would not tell the truth"},
    {KNAVES, "Liz knight, Max knave: impossible, Tom would lie", "illegal", "not a reason such as Liz would lie"},
    {KNAVES, "Liz knight, Max knave: impossible, Liz would lie to Max", "illegal", "not a reason such as Liz would lie"},
    {KNAVES, "Liz knave, Max knight: possible, Liz would lie", "illegal", "more text follows the step"},
    {KNAVES, "Liz knight, Max knave: perhaps", "illegal", "neither possible nor impossible is said"},
    {"Liz knave, Max knight; Liz knave, Max knave", "Liz knight, Max knight: impossible, Liz would lie", "illegal", "this case has been judged already"},
    {KNAVES, "Liz knight: impossible", "illegal", "not a step such as Liz knight, Max knave: impossible, Liz would lie"},
    {KNAVES, "Liz knight, Liz knave: impossible", "illegal", "not a step such as Liz knight, Max knave: impossible, Liz would lie"},
    {KNAVES, "Liz knight, Tom knave: impossible", "illegal", "not a step such as Liz knight, Max knave: impossible, Liz would lie"},
    {KNAVES, "Liz lies, so it is impossible", "illegal", "not a step such as Liz knight, Max knave: impossible, Liz would lie"},
    {KNAVES, "  ", "illegal", "nothing was written"},
    {KNAVES, "Answer: Liz is a knave and Max is a knight", "right", "Liz knave, Max knight"},
    {KNAVES, "answer: Max knight, Liz knave.", "right", "Liz knave, Max knight"},
    {KNAVES, "Answer: Liz knight, Max knave", "wrong", "Liz, a knight, would lie"},
    {KNAVES, "Answer: Liz knave, Max knave", "wrong", "Liz, a knave, would tell the truth"},
    {KNAVES, "Answer: both are knaves", "illegal", "not an answer such as Liz knight, Max knave"},
};

static const char *outcome_of(const struct search_verdict *v)
{
    return v->illegal ? "illegal" : !v->final ? "step" : v->correct == 1 ? "right" : "wrong";
}

static void check_rows(const char *name, const char *text, const struct verdict_row *rows, size_t count)
{
    struct search_task *task = open_task(name);
    struct search_problem problem;
    struct error e;
    if (search_problem_parse(task, text, NULL, &problem, &e))
        fail_msg("%s", e.message);
    for (size_t i = 0; i < count; i++) {
        struct search_path path = {.problem = &problem, .state = rows[i].state};
        struct search_verdict v;
        search_task_verify(task, &path, rows[i].thought, &v);
        const char *outcome = outcome_of(&v), *what = !strcmp(outcome, "step") ? v.state : !strcmp(outcome, "right") ? v.answer : v.why;
        if (strcmp(outcome, rows[i].outcome) || strcmp(or_none(what), rows[i].what))
            fail_msg("%s | %s: %s, %s; not %s, %s", rows[i].state, rows[i].thought, outcome, or_none(what), rows[i].outcome, rows[i].what);
        assert_true(!v.illegal || (!v.state && !v.answer && !v.final && v.correct == -1));
        search_verdict_free(&v);
    }
    search_problem_free(&problem);
    search_task_close(task);
}

static void test_verdicts(void **state)
{
    (void)state;
    check_rows("sorting", "7 2 9 4", sorting, sizeof sorting / sizeof *sorting);
    check_rows("arithmetic-chain", "7 + 5 * 3 - 4", chain, sizeof chain / sizeof *chain);
    check_rows("knights", "Liz says: we are both knaves. Max says: Liz is a knave.", knights, sizeof knights / sizeof *knights);
}

/* --- whole solutions --------------------------------------------------------------------------------------------- */

static uint64_t position;
static int below(int n)
{
    return (int)(random_uniform(9, 1, position++) * n);
}

/* A right next step for a state, and a wrong one that is near it. */
static void steps_for(const char *name, const char *problem, const char *state, char *right, char *wrong, size_t size)
{
    if (!strcmp(name, "sorting")) {
        int list[8], count = read_list(state, list), i, k;
        do {
            i = below(count);
            k = below(count);
        } while (i >= k || list[i] < list[k]);
        struct string now = {0};
        int given = below(2);
        for (int n = 0; n < count; n++)
            string_addf(&now, "%s%d", n ? " " : "", list[n == i ? k : n == k ? i : n]);
        snprintf(right, size, given ? "swap %d and %d (now: %s)" : "swap %d and %d", list[i], list[k], now.text);
        snprintf(wrong, size, below(2) ? "swap %d and %d (now: %s 1)" : "swap %d and 10%d", list[i], list[k], now.text);
        string_free(&now);
    } else if (!strcmp(name, "arithmetic-chain")) {
        char *p;
        long value = strtol(state, &p, 10), by = strtol(p + 2, NULL, 10);
        long result = p[1] == '+' ? value + by : p[1] == '-' ? value - by : p[1] == '*' ? value * by : value / by;
        snprintf(right, size, "%ld %c %ld = %ld", value, p[1], by, result);
        snprintf(wrong, size, "%ld %c %ld = %ld", value, p[1], by + below(2), result + 1 + below(9));
    } else {
        static const char *const kinds[] = {"knight", "knave"};
        struct puzzle p = read_puzzle(problem);
        int world;
        char text[80];
        do {
            world = below(4);
            snprintf(text, sizeof text, "%s %s, %s %s", p.names[0], kinds[world / 2], p.names[1], kinds[world % 2]);
        } while (!strstr(state, text));
        int fits = solve_puzzle(&p) >> world & 1;
        snprintf(right, size, "%s: %s", text, fits ? "possible" : "impossible");
        snprintf(wrong, size, "%s: %s", text, fits ? "impossible" : "possible");
    }
}

static void test_solutions_are_accepted_and_others_refused(void **unused)
{
    (void)unused;
    for (int i = 2; i < NAMES; i++) {
        struct search_task *task = open_task(names[i]);
        char *text = make(names[i], SEARCH_SPLIT_TRAIN, 3, 400), *at = first_row(text), *rest;
        for (char *row; (row = next_row(&at, &rest));) {
            struct search_problem problem;
            struct search_verdict v = {.correct = -1};
            struct error e;
            assert_int_equal(search_problem_parse(task, row, NULL, &problem, &e), OK);
            assert_string_equal(problem.text, row);
            char *state = xstrdup(problem.state), right[200], wrong[200];
            for (int depth = 0; !v.final; depth++) {
                struct search_path path = {.problem = &problem, .count = depth, .state = state};
                steps_for(names[i], row, state, right, wrong, sizeof right);
                search_verdict_free(&v);
                search_task_verify(task, &path, wrong, &v);
                if (!v.illegal)
                    fail_msg("%s | %s: not refused", state, wrong);
                search_verdict_free(&v);
                search_task_verify(task, &path, right, &v);
                if (v.illegal)
                    fail_msg("%s | %s: %s", state, right, v.why);
                free(state);
                state = xstrdup(v.state);
            }
            assert_int_equal(v.correct, 1);
            assert_string_equal(v.answer, problem.expected);
            free(state);
            search_verdict_free(&v);
            search_problem_free(&problem);
        }
        free(text);
        search_task_close(task);
    }
}

/* --- problems and tasks that are wrong --------------------------------------------------------------------------- */

static void test_problems(void **state)
{
    (void)state;
    static const struct {
        const char *task, *text, *canonical; /* or "!" and what the message says */
    } rows[] = {
        {"sorting", "7, 2,9 4", "7 2 9 4"},
        {"sorting", "7 2 7", "!7 is there twice"},
        {"sorting", "1 2 3", "!the numbers are in order already"},
        {"sorting", "7", "!only 1 number"},
        {"sorting", "9 8 7 6 5 4 3 2 1", "!more than 8 numbers"},
        {"sorting", "100 1", "!100 is not from 1 to 99"},
        {"arithmetic-chain", "7 + 5 * 3", "7 +5 *3"},
        {"arithmetic-chain", "7, +5, \xc3\x97""3", "7 +5 *3"},
        {"arithmetic-chain", "7+5", "7 +5"},
        {"arithmetic-chain", "7", "!'' is not an operation such as +5"},
        {"arithmetic-chain", "7 +5 6", "!'6' is not an operation such as +5"},
        {"arithmetic-chain", "+5", "!it does not begin with a whole number"},
        {"arithmetic-chain", "7 -7 /0", "!it divides by zero"},
        {"arithmetic-chain", "999999 *999999 *999999 *999999", "!its numbers grow too large"},
        {"arithmetic-chain", "1 +1 +1 +1 +1 +1 +1 +1 +1 +1 +1 +1 +1 +1", "!13 operations, where 12 steps are allowed"},
        {"knights", "ann says: Bob is a Knave.  Bob: we are both knaves", "ann says: Bob is a knave. Bob says: we are both knaves."},
        {"knights", "Ann: Bob is wise. Bob: I am a knight.", "!'Bob is wise' is not understood"},
        {"knights", "Ann: we are both knaves. Bob says: \"Ann is a knave\".", "Ann says: we are both knaves. Bob says: Ann is a knave."},
        {"knights", "A: B is a knave. B: we are both knaves.", "A says: B is a knave. B says: we are both knaves."},
        {"knights", "Ann says: Bob is a knave. Bob says: Ann is a knave.", "!it has more than one solution"},
        {"knights", "Ann says: I am a knave. Bob says: Ann is a knave.", "!it has no solution"},
        {"knights", "Ann says: Bob is a knave.", "!two people must speak"},
        {"knights", "Ann says: I am a knight. Bob says: I am a knight. Cleo says: I am a knight.", "!more than two people speak"},
        {"knights", "Who is a knight?", "!does not begin as in Ann says:"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task = open_task(rows[i].task);
        struct search_problem problem;
        struct error e = {0};
        int status = search_problem_parse(task, rows[i].text, NULL, &problem, &e);
        if (status && (rows[i].canonical[0] != '!' || !strstr(e.message, rows[i].canonical + 1)))
            fail_msg("%s: %s", rows[i].text, e.message);
        if (!status)
            assert_string_equal(problem.text, rows[i].canonical);
        search_problem_free(&problem);
        search_task_close(task);
    }
}

static char folder[] = "/tmp/test_generate.XXXXXX";

/* The shipped task with `from` changed to `to`, opened and checked: what is wrong with it, after its path; or "fine". */
static char *changed(const char *name, const char *from, const char *to)
{
    char *file = xasprintf("%s.yaml", name), *shipped = search_data_path("examples", file), *path = xasprintf("%s/t.yaml", folder);
    struct string text = {0}, about = {0};
    char buffer[4096];
    FILE *f = fopen(shipped, "rb");
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        string_append(&text, buffer, n);
    fclose(f);
    char *at = strstr(text.text, from);
    assert_non_null(at);
    f = fopen(path, "wb");
    fprintf(f, "%.*s%s%s", (int)(at - text.text), text.text, to, at + strlen(from));
    fclose(f);
    struct search_task *task = NULL;
    struct error e;
    int status = search_task_open(&task, path, &e);
    if (!status)
        status = search_task_check(task, &about, &e);
    assert_true(!status || status == ERROR_INPUT);
    char *wrong = xstrdup(!status ? "fine" : !strncmp(e.message, path, strlen(path)) ? e.message + strlen(path) : e.message);
    search_task_close(task);
    unlink(path);
    string_free(&text);
    string_free(&about);
    free(path);
    free(shipped);
    free(file);
    return wrong;
}

static void test_tasks_that_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *task, *from, *to, *wrong;
    } rows[] = {
        {"sorting", "  file: sorting.csv", "  ", "fine"},
        {"sorting", "generator: sorting", "generator: chess",
         ":21:14: `chess` is not known; expected one of: countdown, game24, sorting, knights, arithmetic-chain"},
        {"sorting", "  range: [1, 99]", "  range: [1, 99]\n  target: 7", ":10:11: `target` has no meaning with this kind of verifier; take it out"},
        {"sorting", "  count: [2, 8]\n", "", ":7:3: `count` is missing; add `count:` here"},
        {"sorting", "{state}", "{target}", "unknown placeholder `{target}`"},
        {"arithmetic-chain", "{state}", "{numbers}", "unknown placeholder `{numbers}`"},
        {"arithmetic-chain", "steps: 12", "steps: 12\n\nthought: {pattern: x}", "`thought` is given twice"},
        {"knights", "  form: ", "  count: [2, 3]\n  form: ", ":7:10: `count` is for problems of numbers, which have a `target` too"},
        {"knights", "kind: knights", "kind: knights\n  ends: number", "`ends` is for kind: arithmetic; take it out"},
        /* found only when the parts meet */
        {"arithmetic-chain", "evaluate=value", "evaluate=vote", "vote"},
        {"knights", "  file: knights.csv", "  file: none.csv", "none.csv: cannot be read"},
        {"sorting", "  file: sorting.csv # espalier task make sorting --seed 24 -n 100 --split test\n  generator: sorting", "  generator: knights",
         ": generator knights does not fit this task: "},
        {"sorting", "  file: sorting.csv # espalier task make sorting --seed 24 -n 100 --split test\n  generator: sorting", "  file: ../../../../../dev/null.csv",
         "null.csv: cannot be read"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *wrong = changed(rows[i].task, rows[i].from, rows[i].to);
        if (!strstr(wrong, rows[i].wrong))
            fail_msg("%s, %s: %s", rows[i].task, rows[i].to, wrong);
        free(wrong);
    }
}

/* A data file with a row that is no problem of the task is named with the line. */
static void test_rows_are_checked(void **state)
{
    (void)state;
    char *data = xasprintf("%s/rows.csv", folder);
    FILE *f = fopen(data, "wb");
    fputs("numbers\n3 1 2\n\n5 5\n", f);
    fclose(f);
    char *wrong = changed("sorting", "file: sorting.csv", "file: rows.csv");
    assert_non_null(strstr(wrong, "rows.csv:4: problem '5 5': 5 is there twice"));
    unlink(data);
    free(wrong);
    free(data);
}

static void test_tables_are_as_the_task_names_them(void **state)
{
    (void)state;
    struct search_task *task = open_task("knights");
    struct string text = {0};
    struct error e;
    assert_int_equal(search_task_make(task, SEARCH_SPLIT_TEST, 24, 1, 1, &text, &e), OK);
    assert_non_null(strstr(text.text, "{\"puzzle\": \""));
    assert_non_null(strstr(text.text, "\", \"answer\": \""));
    string_free(&text);
    search_task_close(task);
    task = open_task("ask");
    assert_int_equal(search_task_make(task, SEARCH_SPLIT_TEST, 24, 1, 1, &text, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "the task names no generator of problems; add `generator:` to its `data:`, one of: countdown, "));
    search_task_close(task);
}

/* --- prompts ----------------------------------------------------------------------------------------------------- */

/* The text between a mark and the end of its line, or NULL. */
static const char *after(const char *text, const char *mark, char *out, size_t size)
{
    const char *at = strstr(text, mark);
    if (at)
        snprintf(out, size, "%.*s", (int)strcspn(at + strlen(mark), "\n"), at + strlen(mark));
    return at;
}

/* Every step that a prompt shows is legal, and no puzzle it shows is a problem of the data. */
static void test_examples_in_prompts_are_legal(void **unused)
{
    (void)unused;
    static const char *const marks[] = {"Numbers: ", "Cases: ", "Chain: "}, *const asked[] = {"3 1 2", "A: B is a knave. B: we are both knaves.", "1 +1"};
    for (int t = 0; t < 3; t++) {
        struct search_task *task = open_task(names[t + 2]);
        int steps = 0;
        for (enum search_purpose purpose = SEARCH_SAMPLE; purpose <= SEARCH_PROPOSE; purpose++) {
            struct search_problem root, problem = {0};
            struct search_messages m;
            struct error e;
            char state[200] = "", puzzle[200] = "";
            assert_int_equal(search_problem_parse(task, asked[t], NULL, &root, &e), OK);
            struct search_path start = {.problem = &root};
            if (!search_task_has(task, purpose)) {
                search_problem_free(&root);
                continue;
            }
            assert_int_equal(search_task_messages(task, purpose, &start, NULL, 0, &m, &e), OK);
            for (int i = 0; i < m.count; i++) {
                if (strcmp(m.list[i].role, "assistant")) {
                    assert_non_null(after(m.list[i].text, marks[t], state, sizeof state));
                    const char *says = strstr(m.list[i].text, " says: ");
                    while (says && says > m.list[i].text && says[-1] != '\n')
                        says--;
                    if (t == 1)
                        snprintf(puzzle, sizeof puzzle, "%.*s", (int)strcspn(says, "\n"), says);
                    search_problem_free(&problem);
                    if (search_problem_parse(task, t == 1 ? puzzle : t == 0 ? "3 1 2" : state, NULL, &problem, &e))
                        fail_msg("%s", e.message);
                    continue;
                }
                char *text = xstrdup(m.list[i].text), *save;
                for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), steps++) {
                    struct search_path path = {.problem = &problem, .state = state};
                    struct search_verdict v;
                    search_task_verify(task, &path, line, &v);
                    if (v.illegal)
                        fail_msg("%s | %s: %s", state, line, v.why);
                    search_verdict_free(&v);
                }
                free(text);
            }
            search_messages_free(&m);
            search_problem_free(&problem);
            search_problem_free(&root);
        }
        assert_true(steps >= 5);
        search_task_close(task);
    }
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
        cmocka_unit_test(test_the_same_seed_draws_the_same),
        cmocka_unit_test(test_shipped_rows_are_what_is_drawn),
        cmocka_unit_test(test_what_is_drawn_can_be_solved),
        cmocka_unit_test(test_no_problem_is_in_both_splits),
        cmocka_unit_test(test_the_last_game_of_24_is_the_last),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_solutions_are_accepted_and_others_refused),
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_tasks_that_are_wrong),
        cmocka_unit_test(test_rows_are_checked),
        cmocka_unit_test(test_tables_are_as_the_task_names_them),
        cmocka_unit_test(test_examples_in_prompts_are_legal),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
