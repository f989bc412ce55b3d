/* Problems: reading what the user typed, and rows of data files (CSV with a header line, or one JSON object a line). */
#include "search/schema.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

enum { MAX_RECORD = 1 << 20, MAX_COLUMNS = 256 };

/* --- problems of numbers ----------------------------------------------------------------------------------------- */

static int is_blank(char c)
{
    return isspace((unsigned char)c) || c == ',' || c == ';';
}

int search_problem_wrong(const struct search_task *task, const char *text, struct error *e, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(e, ERROR_INPUT, "problem '%.100s': %s; %s expects %s", text, what, task->name, task->form);
}

/* Whole numbers with blanks or commas between them. */
static int read_list(const struct search_task *task, const char *text, const char *p, const char *end, int *list, int most, int *count,
                     struct error *e)
{
    for (*count = 0;;) {
        while (p < end && is_blank(*p))
            p++;
        const char *start = p;
        while (p < end && !is_blank(*p))
            p++;
        int n = (int)(p - start), value = 0;
        if (!n)
            return OK;
        for (int i = 0; i < n; i++) {
            if (!isdigit((unsigned char)start[i]) || n > 6)
                return search_problem_wrong(task, text, e, "'%.*s' is not a whole number such as 7", n > 20 ? 20 : n, start);
            value = value * 10 + (start[i] - '0');
        }
        if (*count == most)
            return search_problem_wrong(task, text, e, "more than %d numbers", most);
        list[(*count)++] = value;
    }
}

static int by_size(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* The numbers of a problem: as many of them, and as large, as the task has them. */
static int read_all(const struct search_task *task, const char *text, const char *p, const char *end, int *list, int *count, struct error *e)
{
    int status = read_list(task, text, p, end, list, task->count_high, count, e);
    if (status)
        return status;
    if (*count < task->count_low)
        return search_problem_wrong(task, text, e, "only %d number%s", *count, *count == 1 ? "" : "s");
    for (int i = 0; i < *count; i++)
        if (list[i] < task->range_low || list[i] > task->range_high)
            return search_problem_wrong(task, text, e, "%d is not from %d to %d", list[i], task->range_low, task->range_high);
    return OK;
}

static char *list_text(const int *list, int count)
{
    struct string text = {0};
    for (int i = 0; i < count; i++)
        string_addf(&text, "%s%d", i ? " " : "", list[i]);
    return text.text;
}

/* "24: 4 4 10", "4 4 10 = 24", or, where the task has its own target, "4 5 6 10". */
static int parse_numbers(const struct search_task *task, const char *text, struct search_problem *out, struct error *e)
{
    const char *end = text + strlen(text), *first = text, *last = end, *mark = strpbrk(text, ":=");
    int list[SEARCH_MAX_NUMBERS], count, target = task->target_low, target_count = 0, status;
    if (mark) {
        int before = *mark == ':';
        status = read_list(task, text, before ? text : mark + 1, before ? mark : end, &target, 1, &target_count, e);
        if (status)
            return status;
        first = before ? mark + 1 : text;
        last = before ? end : mark;
    }
    if ((mark || task->target_given) && !target_count)
        return search_problem_wrong(task, text, e, "no target is given");
    if (target < task->target_low || target > task->target_high)
        return task->target_given ? search_problem_wrong(task, text, e, "the target %d is not from %d to %d", target, task->target_low, task->target_high)
                                  : search_problem_wrong(task, text, e, "the target here is %d, not %d", task->target_low, target);
    if ((status = read_all(task, text, first, last, list, &count, e)))
        return status;
    qsort(list, (size_t)count, sizeof *list, by_size);
    out->state = list_text(list, count);
    out->target = xasprintf("%d", target);
    out->expected = xstrdup(out->target);
    out->text = task->target_given ? xasprintf("%s: %s", out->target, out->state) : xstrdup(out->state);
    return OK;
}

/* "7 2 9 4": numbers to be sorted, in the order in which they stand. */
static int parse_sorting(const struct search_task *task, const char *text, struct search_problem *out, struct error *e)
{
    int list[SEARCH_MAX_NUMBERS], sorted[SEARCH_MAX_NUMBERS], count, status;
    if ((status = read_all(task, text, text, text + strlen(text), list, &count, e)))
        return status;
    memcpy(sorted, list, (size_t)count * sizeof *list);
    qsort(sorted, (size_t)count, sizeof *sorted, by_size);
    for (int i = 1; i < count; i++)
        if (sorted[i] == sorted[i - 1]) /* "swap 5 and 2" would have two meanings */
            return search_problem_wrong(task, text, e, "%d is there twice", sorted[i]);
    if (!memcmp(list, sorted, (size_t)count * sizeof *list))
        return search_problem_wrong(task, text, e, "the numbers are in order already");
    out->text = list_text(list, count);
    out->state = xstrdup(out->text);
    out->expected = list_text(sorted, count);
    return OK;
}

/* --- any problem ------------------------------------------------------------------------------------------------- */

int search_problem_parse(const struct search_task *task, const char *text, const char *expected, struct search_problem *out, struct error *e)
{
    *out = (struct search_problem){0};
    size_t n = strlen(text);
    if (n > SEARCH_MAX_PROBLEM_BYTES)
        return error_set(e, ERROR_INPUT, "the problem has %zu bytes; at most %d are read", n, SEARCH_MAX_PROBLEM_BYTES);
    for (const char *p = text, *end = text + n; p < end;)
        if (utf8_next(&p, end) < 0)
            return error_set(e, ERROR_INPUT, "the problem is not UTF-8: byte %d; type it in a UTF-8 terminal, or convert its file",
                             (int)(p - text));
    while (n && isspace((unsigned char)*text))
        text++, n--;
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    if (!n)
        return error_set(e, ERROR_INPUT, "the problem is empty; %s expects %s", task->name, task->form);
    char *trimmed = xstrndup(text, n);
    int (*parse)(const struct search_task *, const char *, struct search_problem *, struct error *) =
        task->numbers                                ? parse_numbers
        : task->verifier == SEARCH_VERIFIER_SORTING ? parse_sorting
        : task->verifier == SEARCH_VERIFIER_CHAIN   ? search_chain_parse
        : task->verifier == SEARCH_VERIFIER_KNIGHTS ? search_knights_parse
                                                     : NULL;
    if (parse) {
        int status = parse(task, trimmed, out, e);
        free(trimmed);
        return status;
    }
    out->text = trimmed;
    if (expected) {
        /* data sets give a whole solution that ends in the answer, or the answer alone */
        out->expected = search_answer_stated(task, expected);
        if (!out->expected)
            out->expected = search_answer_canonical(task, expected, strlen(expected));
    }
    return OK;
}

void search_problem_free(struct search_problem *p)
{
    free(p->text);
    free(p->state);
    free(p->expected);
    free(p->target);
    *p = (struct search_problem){0};
}

/* --- records ----------------------------------------------------------------------------------------------------- */

struct table {
    char *path;
    FILE *file;
    int json;                     /* one JSON object a line; else CSV */
    int problem, target, answer;  /* of CSV: which columns these are, or -1 */
    int line; /* of what was read last, from 1 */
    struct string record;
    struct string fields[MAX_COLUMNS]; /* of the latest CSV record */
    int field_count;
};

static int too_long(const struct table *t, struct error *e)
{
    return error_set(e, ERROR_INPUT, "%s:%d: a record of more than %d bytes; is this the right file?", t->path, t->line, MAX_RECORD);
}

/* The next CSV record (RFC 4180: fields in quotes may hold commas, line ends and doubled quotes). *got = 0 at the end. */
static int read_csv(struct table *t, int *got, struct error *e)
{
    int c = getc(t->file), begun = t->line + 1;
    size_t bytes = 0;
    for (; c == '\n' || c == '\r'; c = getc(t->file)) /* empty lines say nothing */
        begun += c == '\n';
    t->line = begun;
    t->field_count = 0;
    *got = c != EOF;
    while (c != EOF && c != '\n') {
        if (t->field_count == MAX_COLUMNS)
            return error_set(e, ERROR_INPUT, "%s:%d: more than %d columns", t->path, begun, MAX_COLUMNS);
        struct string *field = &t->fields[t->field_count++];
        string_clear(field);
        string_add(field, "");
        int quoted = c == '"';
        if (quoted)
            c = getc(t->file);
        for (; c != EOF; c = getc(t->file)) {
            if (quoted && c == '"' && (c = getc(t->file)) != '"') {
                quoted = 0;
            }
            if (!quoted && (c == ',' || c == '\n' || c == EOF))
                break;
            t->line += c == '\n';
            if (++bytes > MAX_RECORD)
                return too_long(t, e);
            if (c && (c != '\r' || quoted))
                string_append(field, &(char){(char)c}, 1);
        }
        if (quoted)
            return error_set(e, ERROR_INPUT, "%s:%d: a quote is opened and never closed", t->path, begun);
        if (c == ',' && (c = getc(t->file), c == '\n' || c == EOF) && t->field_count < MAX_COLUMNS) {
            string_clear(&t->fields[t->field_count]); /* the line ends in a comma: one more field, empty */
            string_add(&t->fields[t->field_count++], "");
        }
    }
    return OK;
}

static int column_of(const struct table *t, const char *name)
{
    for (int i = 0; name && i < t->field_count; i++)
        if (!strcmp(string_text(&t->fields[i]), name))
            return i;
    return -1;
}

static int missing_column(const struct table *t, const char *name, const char *there, struct error *e)
{
    return error_set(e, ERROR_INPUT, "%s:%d: no column `%s`, where the task looks for the problem; there are: %.200s", t->path, t->line, name,
                     there);
}

static int missing_row(const struct table *t, int row, int rows, struct error *e)
{
    if (!rows)
        return error_set(e, ERROR_INPUT, "%s: row %d is asked for, but the file has none", t->path, row);
    return error_set(e, ERROR_INPUT, "%s: there is no row %d; rows are 1 to %d", t->path, row, rows);
}

/* What a row gives; each NULL when there is no such column. */
struct row {
    char *problem, *target, *answer;
};

/* The header line of CSV: which columns hold what. */
static int read_header(const struct search_task *task, struct table *t, struct error *e)
{
    int got = 0, status = read_csv(t, &got, e);
    if (status)
        return status;
    if (t->field_count && t->fields[0].length >= 3 && !memcmp(t->fields[0].text, "\xef\xbb\xbf", 3))
        memmove(t->fields[0].text, t->fields[0].text + 3, (t->fields[0].length -= 3) + 1);
    t->problem = column_of(t, task->column_problem);
    t->target = column_of(t, task->column_target);
    t->answer = column_of(t, task->column_answer);
    if (t->problem >= 0)
        return OK;
    struct string there = {0};
    for (int i = 0; i < t->field_count; i++)
        string_addf(&there, "%s%s", i ? ", " : "", string_text(&t->fields[i]));
    status = missing_column(t, task->column_problem, string_text(&there), e);
    string_free(&there);
    return status;
}

/* What the record just read says. */
static int csv_row(const struct table *t, struct row *out, struct error *e)
{
    if (t->problem >= t->field_count)
        return error_set(e, ERROR_INPUT, "%s:%d: %d field%s, where the header names more", t->path, t->line, t->field_count,
                         t->field_count == 1 ? "" : "s");
    out->problem = xstrdup(string_text(&t->fields[t->problem]));
    out->target = t->target >= 0 && t->target < t->field_count ? xstrdup(string_text(&t->fields[t->target])) : NULL;
    out->answer = t->answer >= 0 && t->answer < t->field_count ? xstrdup(string_text(&t->fields[t->answer])) : NULL;
    return OK;
}

/* A text as it is, a number as it is written, a list with blanks between; NULL for anything else. */
static char *json_words(const json_t *value)
{
    if (json_is_string(value))
        return xstrdup(json_string_value(value));
    if (json_is_array(value)) {
        struct string text = {0};
        string_add(&text, "");
        for (size_t i = 0; i < json_array_size(value); i++) {
            const json_t *item = json_array_get(value, i);
            char *word = json_is_array(item) ? NULL : json_words(item);
            string_addf(&text, "%s%s", i ? " " : "", word ? word : "?");
            free(word);
        }
        return text.text;
    }
    if (!json_is_number(value))
        return NULL;
    char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)), *copy = xstrdup(dumped);
    free(dumped);
    return copy;
}

/* The next line that is not blank. */
static int read_line(struct table *t, int *got, struct error *e)
{
    int c = 0, blank = 1;
    while (c != EOF && blank) {
        string_clear(&t->record);
        t->line++;
        while ((c = getc(t->file)) != EOF && c != '\n') {
            if (t->record.length >= MAX_RECORD)
                return too_long(t, e);
            blank = blank && isspace(c);
            string_append(&t->record, &(char){(char)c}, 1);
        }
    }
    *got = !blank;
    return OK;
}

static int jsonl_row(const struct search_task *task, const struct table *t, struct row *out, struct error *e)
{
    json_error_t wrong;
    json_t *object = json_loadb(string_text(&t->record), t->record.length, JSON_REJECT_DUPLICATES, &wrong);
    if (!object)
        return error_set(e, ERROR_INPUT, "%s:%d:%d: not valid JSON: %s", t->path, t->line, wrong.column > 0 ? wrong.column : 1, wrong.text);
    out->problem = json_words(json_object_get(object, task->column_problem));
    out->target = task->column_target ? json_words(json_object_get(object, task->column_target)) : NULL;
    out->answer = task->column_answer ? json_words(json_object_get(object, task->column_answer)) : NULL;
    int status = OK;
    if (!out->problem) {
        struct string there = {0};
        const char *key;
        json_t *value;
        json_object_foreach(object, key, value)
            string_addf(&there, "%s%s", there.length ? ", " : "", key);
        status = missing_column(t, task->column_problem, json_is_object(object) ? string_text(&there) : "(not an object)", e);
        string_free(&there);
    }
    json_decref(object);
    return status;
}

static int ends_in(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && !strcasecmp(text + n - m, ending);
}

static int next_record(struct table *t, int *got, struct error *e)
{
    return t->json ? read_line(t, got, e) : read_csv(t, got, e);
}

/* The problem and the answer of the record just read; malloc'ed. */
static int read_row(const struct search_task *task, const struct table *t, char **text, char **answer, struct error *e)
{
    struct row row = {0};
    int status = t->json ? jsonl_row(task, t, &row, e) : csv_row(t, &row, e);
    if (!status) {
        *text = row.target && task->target_given ? xasprintf("%s: %s", row.target, row.problem) : xstrdup(row.problem);
        *answer = xstrdup(row.answer);
    }
    free(row.problem);
    free(row.target);
    free(row.answer);
    return status;
}

/* The file of the data: `data`, or the task's own, which lies where the task lies. */
static char *data_path(const struct search_task *task, const char *data)
{
    const char *name = data ? data : task->data_file, *slash = strrchr(task->path, '/');
    if (!name || data || *name == '/' || !slash)
        return xstrdup(name);
    return xasprintf("%.*s/%s", (int)(slash - task->path), task->path, name);
}

/* What is opened, and how far, is closed by close_table, whatever this returns. */
static int open_table(const struct search_task *task, const char *data, struct table *t, struct error *e)
{
    *t = (struct table){0};
    if (!task->column_problem)
        return error_set(e, ERROR_INPUT, "%s: the task names no data columns; add `data:` to it, or give the problem itself", task->path);
    if (!(t->path = data_path(task, data)))
        return error_set(e, ERROR_INPUT, "%s: the task names no data file; choose one with --data, or give the problem itself", task->path);
    t->json = ends_in(t->path, ".jsonl") || ends_in(t->path, ".json");
    if (!t->json && !ends_in(t->path, ".csv"))
        return error_set(e, ERROR_INPUT, "%s: not a data file by its name; expected NAME.csv or NAME.jsonl", t->path);
    if (!(t->file = fopen(t->path, "rb")))
        return data ? error_set(e, ERROR_INPUT, "%s: cannot be read: %s", t->path, strerror(errno))
                    : error_set(e, ERROR_INPUT, "%s: cannot be read: %s; `data:` in %s names it: put it there, or take `data:` out", t->path,
                                strerror(errno), task->path);
    return t->json ? OK : read_header(task, t, e);
}

static void close_table(struct table *t)
{
    if (t->file)
        fclose(t->file);
    for (int i = 0; i < MAX_COLUMNS; i++)
        string_free(&t->fields[i]);
    string_free(&t->record);
    free(t->path);
}

int search_task_data(const struct search_task *task, const char *data, int row, char **text, char **answer, struct error *e)
{
    struct table t;
    *text = *answer = NULL;
    int got = 1, rows = 0, status = open_table(task, data, &t, e);
    if (!status && row < 1)
        status = error_set(e, ERROR_INPUT, "%s: there is no row %d; rows are counted from 1", t.path, row);
    while (!status && rows < row) {
        status = next_record(&t, &got, e);
        if (!status && !got)
            status = missing_row(&t, row, rows, e);
        rows++;
    }
    if (!status)
        status = read_row(task, &t, text, answer, e);
    close_table(&t);
    return status;
}

int search_task_rows(const struct search_task *task, int *rows, struct error *e)
{
    struct table t;
    int got = 1, status = open_table(task, NULL, &t, e);
    for (*rows = 0; !status && !(status = next_record(&t, &got, e)) && got; ++*rows) {
        char *text = NULL, *answer = NULL;
        struct search_problem problem = {0};
        struct error wrong;
        status = read_row(task, &t, &text, &answer, e);
        if (!status && search_problem_parse(task, text, answer, &problem, &wrong))
            status = error_set(e, ERROR_INPUT, "%s:%d: %s", t.path, t.line, wrong.message);
        search_problem_free(&problem);
        free(text);
        free(answer);
        if (status)
            break;
    }
    close_table(&t);
    return status;
}

char *search_data_file(const struct search_task *task, const char *data)
{
    return data_path(task, data);
}

int search_data_count(const struct search_task *task, const char *data, int *rows, struct error *e)
{
    struct table t;
    int got = 1, status = open_table(task, data, &t, e);
    for (*rows = 0; !status && !(status = next_record(&t, &got, e)) && got;)
        ++*rows;
    close_table(&t);
    return status;
}
