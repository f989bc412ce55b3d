#include "search/generate.h"
#include "search/knights.h"
#include "search/oracle.h"
#include "search/schema.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

double search_draw_uniform(struct search_draws *d)
{
    return random_uniform(d->seed, d->row, d->index++);
}

int search_draw_below(struct search_draws *d, int below)
{
    return (int)(search_draw_uniform(d) * below);
}

/* --- splits ------------------------------------------------------------------------------------------------------ */

/* Ranks 901 to 1000 of the Game of 24, on which results are reported; a hexadecimal digit is a number: 0x456a is 4 5 6 10. */
static const unsigned short reported[] = {
    0x456a, 0x1247, 0x258b, 0x344d, 0x6789, 0x1bbd, 0x18ab, 0x2369, 0x1359, 0x337c, 0x4579, 0x128d, 0x4669, 0x1448, 0x15ab, 0x346b, 0x2489,
    0x145d, 0x227c, 0x3367, 0x159d, 0x567d, 0x558a, 0x246c, 0x678b, 0x799d, 0x369c, 0x69cd, 0x479d, 0x568c, 0x2467, 0x25aa, 0x667c, 0x699b,
    0x58bc, 0x568a, 0x6bcd, 0x2288, 0x27cd, 0x268c, 0x349d, 0x45ac, 0x127b, 0x4568, 0x6acd, 0x1399, 0x144b, 0x239a, 0x123d, 0x1666, 0x1229,
    0x136b, 0x5acd, 0x2366, 0x67ac, 0x788c, 0x3468, 0x179b, 0x236d, 0x225c, 0x268d, 0x88ac, 0x138d, 0x447a, 0x17ad, 0x19ad, 0x334b, 0x2577,
    0x39ad, 0x2347, 0x448c, 0x126a, 0x15cc, 0x5668, 0x778b, 0x137a, 0x339c, 0x357a, 0x4acd, 0x23ac, 0x3466, 0x5888, 0x688c, 0x2349, 0x267b,
    0x59cc, 0x127c, 0x2456, 0x558d, 0x233a, 0x348c, 0x246b, 0x2289, 0x1567, 0x58ab, 0x449c, 0x2566, 0x249c, 0x48bd, 0x49ad,
};

enum search_split search_split_of(const char *key)
{
    if (hash_bytes(key, strlen(key)) % 10 == 0)
        return SEARCH_SPLIT_TEST;
    unsigned a, b, c, d;
    int read = 0;
    if (key[strspn(key, "0123456789 ")] || sscanf(key, "%2u %2u %2u %2u%n", &a, &b, &c, &d, &read) != 4 || key[read] || (a | b | c | d) > 15)
        return SEARCH_SPLIT_TRAIN; /* not four numbers up to 15 */
    for (size_t i = 0; i < sizeof reported / sizeof *reported; i++)
        if (reported[i] == (a << 12 | b << 8 | c << 4 | d))
            return SEARCH_SPLIT_TEST;
    return SEARCH_SPLIT_TRAIN;
}

/* The key of a problem of the other split: this draw came to nothing. */
static int is_other(const struct search_draws *d, const struct search_drawn *drawn)
{
    return search_split_of(drawn->key) != d->split;
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static char *list_text(const int64_t *list, int count)
{
    struct string text = {0};
    for (int i = 0; i < count; i++)
        string_addf(&text, "%s%d", i ? " " : "", (int)list[i]);
    return text.text;
}

static char *sorted_text(int64_t *list, int count)
{
    qsort(list, (size_t)count, sizeof *list, by_size);
    return list_text(list, count);
}

/* One result in non-negative whole numbers of two drawn numbers, with an operation drawn among those there are. */
static int64_t combine(struct search_draws *d, int64_t *list, int *count)
{
    int i = search_draw_below(d, *count), j = search_draw_below(d, *count - 1);
    j += j >= i;
    int64_t a = list[i], b = list[j], results[4];
    int n = 0;
    results[n++] = a + b;
    results[n++] = a * b;
    if (a >= b)
        results[n++] = a - b;
    if (b && a % b == 0)
        results[n++] = a / b;
    int64_t result = results[search_draw_below(d, n)];
    list[i] = result;
    list[j] = list[--*count];
    return result;
}

/* Numbers from 1 to 99, and a target from 10 to 99 that some operations on them gave. Of a hundred rows, 40 have three numbers, 40
 * four, 10 five, 10 six. */
static int draw_countdown(struct search_draws *d, struct search_drawn *out)
{
    int64_t list[6], target = 0;
    int row = (int)(d->row % 100), count = row < 40 ? 3 : row < 80 ? 4 : row < 90 ? 5 : 6;
    for (int i = 0; i < count; i++)
        list[i] = 1 + search_draw_below(d, 99);
    out->problem = sorted_text(list, count);
    out->key = xstrdup(out->problem);
    if (is_other(d, out))
        return 0;
    while (count > 1)
        if ((target = combine(d, list, &count)) > 1000000)
            return 0;
    out->target = xasprintf("%d", (int)target);
    return target >= 10 && target <= 99;
}

void search_draw_four(struct search_draws *d, int out[4])
{
    int left = search_draw_below(d, 1820), a = 1, b = 1, c = 1, e = 1;
    while (left--) /* the next one in ascending order */
        if (e < 13)
            e++;
        else if (c < 13)
            e = ++c;
        else if (b < 13)
            e = c = ++b;
        else
            e = c = b = ++a;
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = e;
}

/* Four numbers from 1 to 13 that make 24. */
static int draw_game24(struct search_draws *d, struct search_drawn *out)
{
    int list[4];
    search_draw_four(d, list);
    int a = list[0], b = list[1], c = list[2], e = list[3];
    const struct search_rational numbers[] = {{a, 1}, {b, 1}, {c, 1}, {e, 1}};
    out->problem = xasprintf("%d %d %d %d", a, b, c, e);
    out->key = xstrdup(out->problem);
    return !is_other(d, out) && search_oracle_solve(numbers, 4, (struct search_rational){24, 1}) == SEARCH_MARK_ALIVE;
}

/* Five to eight different numbers from 1 to 99. */
static int draw_sorting(struct search_draws *d, struct search_drawn *out)
{
    int64_t list[8];
    int count = 5 + search_draw_below(d, 4);
    for (int i = 0; i < count; i++) {
        list[i] = 1 + search_draw_below(d, 99);
        for (int k = 0; k < i; k++)
            if (list[k] == list[i])
                return 0;
    }
    out->problem = list_text(list, count);
    out->answer = sorted_text(list, count);
    out->key = xstrdup(out->answer);
    return !is_other(d, out) && strcmp(out->problem, out->answer);
}

/* From a number up to 20, three to five operations that stay within 0 and 200. */
static int draw_chain(struct search_draws *d, struct search_drawn *out)
{
    struct string text = {0};
    int value = 1 + search_draw_below(d, 20), count = 3 + search_draw_below(d, 3), fits = 1;
    string_addf(&text, "%d", value);
    for (int i = 0; i < count && fits; i++) {
        char op = "+-*/"[search_draw_below(d, 4)];
        int by = op == '+' || op == '-' ? 1 + search_draw_below(d, 20) : 2 + search_draw_below(d, 4);
        fits = op != '/' || (value && value % by == 0);
        value = op == '+' ? value + by : op == '-' ? value - by : op == '*' ? value * by : value / by;
        fits = fits && value >= 0 && value <= 200;
        string_addf(&text, " %c%d", op, by);
    }
    out->problem = text.text;
    out->key = xstrdup(text.text);
    out->answer = xasprintf("%d", value);
    return fits && !is_other(d, out);
}

/* --- knights and knaves ------------------------------------------------------------------------------------------ */

/* What both say, each with its sentences in a fixed order, `first` being A. */
static char *structure(const struct search_knights *k, int first)
{
    struct search_knights plain = {.names = {"A", "B"}};
    for (int person = 0; person < 2; person++)
        for (int form = 0; form < SEARCH_KNIGHTS_FORMS; form++)
            for (int i = 0; i < k->count; i++)
                if (k->said[i].form == form && k->said[i].speaker == (first ^ person)) {
                    plain.said[plain.count].speaker = person;
                    plain.said[plain.count++].form = form;
                }
    return search_knights_text(&plain);
}

static int draw_knights(struct search_draws *d, struct search_drawn *out)
{
    static const char *const names[] = {"Ann",  "Bob",  "Cleo", "Dan",  "Eva",  "Finn", "Gina", "Hugo", "Iris", "Jack",
                                        "Kate", "Leo",  "Mona", "Ned",  "Olga", "Paul", "Rosa", "Sam",  "Tina", "Walt"};
    enum { NAMES = sizeof names / sizeof *names };
    struct search_knights k = {.count = 0};
    int first = search_draw_below(d, NAMES), second = search_draw_below(d, NAMES - 1);
    second += second >= first;
    strcpy(k.names[0], names[first]);
    strcpy(k.names[1], names[second]);
    for (int person = 0; person < 2; person++)
        for (int n = 1 + search_draw_below(d, 2), i = 0; i < n; i++) {
            k.said[k.count].speaker = person;
            k.said[k.count++].form = search_draw_below(d, SEARCH_KNIGHTS_FORMS);
            if (i && k.said[k.count - 1].form == k.said[k.count - 2].form)
                return 0;
        }
    unsigned possible = search_knights_solve(&k);
    if (!possible || possible & (possible - 1))
        return 0;
    char *one = structure(&k, 0), *other = structure(&k, 1);
    int swap = strcmp(one, other) > 0;
    out->key = swap ? other : one;
    free(swap ? one : other);
    out->problem = search_knights_text(&k);
    out->answer = search_knights_case(&k, possible == 1 ? 0 : possible == 2 ? 1 : possible == 4 ? 2 : 3);
    return !is_other(d, out);
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

const char *const search_generators[] = {"countdown", "game24", "sorting", "knights", "arithmetic-chain", NULL};
static int (*const draws[])(struct search_draws *, struct search_drawn *) = {draw_countdown, draw_game24, draw_sorting, draw_knights, draw_chain};

int search_draw(const char *generator, struct search_draws *d, struct search_drawn *out)
{
    int i = 0;
    *out = (struct search_drawn){0};
    while (strcmp(search_generators[i], generator))
        i++;
    return draws[i](d, out);
}

void search_drawn_free(struct search_drawn *drawn)
{
    free(drawn->key);
    free(drawn->problem);
    free(drawn->target);
    free(drawn->answer);
    *drawn = (struct search_drawn){0};
}

/* --- files ------------------------------------------------------------------------------------------------------- */

/* What has been written, by 64-bit hash: open addressing, at most half full; 0 is an empty place. */
struct seen {
    uint64_t *list;
    size_t size;
};

static int add_if_new(struct seen *seen, const struct search_drawn *drawn)
{
    char *text = xasprintf("%s:%s", drawn->problem, drawn->target ? drawn->target : "");
    uint64_t hash = hash_bytes(text, strlen(text)) | 1;
    free(text);
    size_t at = (hash >> 1) % seen->size;
    while (seen->list[at] && seen->list[at] != hash)
        at = (at + 1) % seen->size;
    int is_new = !seen->list[at];
    seen->list[at] = hash;
    return is_new;
}

/* The next problem of the split that was not there yet; row r is the same however many are asked for. */
static int draw_new(const struct search_task *task, struct search_draws *d, struct seen *seen, struct search_drawn *out, struct error *e)
{
    enum { ATTEMPTS = 100000 }; /* the rarest, the last of the Game of 24, is drawn once in 1,820 attempts */
    for (int i = 0; i < ATTEMPTS; i++) {
        if (search_draw(task->generator, d, out) && add_if_new(seen, out))
            return OK;
        search_drawn_free(out);
    }
    return error_set(e, ERROR_INPUT, "%s has only %d different problems in its %s split; ask for fewer", task->generator, (int)d->row,
                     d->split == SEARCH_SPLIT_TEST ? "test" : "train");
}

/* A field of CSV, in quotes where it needs them. */
static void add_field(struct string *out, const char *text, int first)
{
    string_add(out, first ? "" : ",");
    if (!strpbrk(text, ",\"\r\n")) {
        string_add(out, text);
        return;
    }
    string_add(out, "\"");
    for (; *text; text++)
        string_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    string_add(out, "\"");
}

/* A number where it is one: what reads the file may be somebody else's program. */
static json_t *json_field(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits && !text[digits] ? json_integer(atoll(text)) : json_string(text);
}

static void add_row(struct string *out, const struct search_task *task, const struct search_drawn *drawn, int json)
{
    const char *columns[] = {task->column_problem, task->column_target, task->column_answer};
    char *inline_target = drawn->target && task->target_given && !task->column_target ? xasprintf("%s: %s", drawn->target, drawn->problem) : NULL;
    const char *values[] = {inline_target ? inline_target : drawn->problem, drawn->target, drawn->answer};
    json_t *object = json ? json_object() : NULL;
    for (int i = 0; i < 3; i++)
        if (columns[i] && values[i] && json)
            json_object_set_new(object, columns[i], i ? json_field(values[i]) : json_string(values[i]));
        else if (columns[i] && values[i])
            add_field(out, values[i], !i);
    if (json) {
        char *line = json_dumps(object, 0);
        string_add(out, line);
        free(line);
        json_decref(object);
    }
    string_add(out, "\n");
    free(inline_target);
}

static void add_header(struct string *out, const struct search_task *task, const struct search_drawn *drawn)
{
    add_field(out, task->column_problem, 1);
    if (drawn->target && task->column_target)
        add_field(out, task->column_target, 0);
    if (drawn->answer && task->column_answer)
        add_field(out, task->column_answer, 0);
    string_add(out, "\n");
}

int search_task_make(const struct search_task *task, enum search_split split, uint64_t seed, int count, int json, struct string *out,
                     struct error *e)
{
    if (!task->generator) {
        struct string known = {0};
        for (int i = 0; search_generators[i]; i++)
            string_addf(&known, "%s%s", i ? ", " : "", search_generators[i]);
        error_set(e, ERROR_INPUT, "%s: the task names no generator of problems; add `generator:` to its `data:`, one of: %s", task->path, known.text);
        string_free(&known);
        return ERROR_INPUT;
    }
    struct seen seen = {.size = 2 * (size_t)count + 1};
    seen.list = xcalloc(seen.size, sizeof *seen.list);
    int status = OK;
    for (int row = 0; row < count && !status; row++) {
        struct search_draws d = {.split = split, .seed = seed, .row = (uint64_t)row};
        struct search_drawn drawn = {0};
        struct search_problem problem = {0};
        struct error wrong;
        if (!(status = draw_new(task, &d, &seen, &drawn, e))) {
            char *text = drawn.target && task->target_given ? xasprintf("%s: %s", drawn.target, drawn.problem) : xstrdup(drawn.problem);
            if (search_problem_parse(task, text, drawn.answer, &problem, &wrong))
                status = error_set(e, ERROR_INPUT, "%s: generator %s does not fit this task: %s", task->path, task->generator, wrong.message);
            free(text);
        }
        if (!status && !row && !json)
            add_header(out, task, &drawn);
        if (!status)
            add_row(out, task, &drawn, json);
        search_problem_free(&problem);
        search_drawn_free(&drawn);
    }
    free(seen.list);
    return status;
}
