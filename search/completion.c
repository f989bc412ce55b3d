/* Completions: cut into thoughts, read as a judge's word. */
#include "search/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_CUTS = 256 };

/* --- cutting ----------------------------------------------------------------------------------------------------- */

static struct search_cut trim(const char *text, struct search_cut cut)
{
    while (cut.length && isspace((unsigned char)text[cut.first]))
        cut.first++, cut.length--;
    while (cut.length && isspace((unsigned char)text[cut.first + cut.length - 1]))
        cut.length--;
    return cut;
}

/* The bytes before the first stop: what a completion ends with is not part of its thought. */
static size_t before_stops(const struct search_section *section, const char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < section->stop_count; i++) {
        const char *stop = strstr(text, section->stops[i]);
        if (stop && (size_t)(stop - text) < n)
            n = (size_t)(stop - text);
    }
    return n;
}

/* Lists come with marks that are not part of the thought: "1. ", "2) ", "- ", "* ", and a bullet. A dash is one only with a blank
 * after it, so that -1 + 5 keeps its sign. */
static struct search_cut without_mark(const char *text, struct search_cut line)
{
    const char *p = text + line.first, *end = p + line.length;
    const char *s = p;
    while (s < end && isdigit((unsigned char)*s))
        s++;
    if (s > p && s < end && (*s == '.' || *s == ')'))
        s++;
    else if (p < end && (*p == '-' || *p == '*'))
        s = p + 1;
    else if (line.length > 3 && !memcmp(p, "\xe2\x80\xa2", 3))
        s = p + 3;
    else
        return line;
    if (s >= end || !isspace((unsigned char)*s))
        return line;
    return trim(text, (struct search_cut){line.first + (size_t)(s - p), line.length - (size_t)(s - p)});
}

static int cut_line(const struct search_task *task, const char *text, struct search_cut line, struct search_cut *out)
{
    line = without_mark(text, trim(text, line));
    *out = line;
    if (!line.length || !task->thought.count)
        return line.length > 0;
    struct search_cut part;
    if (!search_patterns_find(&task->thought, text + line.first, line.length, NULL, &part))
        return 0;
    part.first += line.first;
    *out = trim(text, part);
    return out->length > 0;
}

static int cut_lines(const struct search_task *task, const char *text, size_t n, int most, struct search_cut *cuts)
{
    int count = 0;
    for (size_t at = 0; at < n && count < most;) {
        const char *line_end = memchr(text + at, '\n', n - at);
        size_t length = line_end ? (size_t)(line_end - text) - at : n - at;
        count += cut_line(task, text, (struct search_cut){at, length}, &cuts[count]);
        at += length + 1;
    }
    return count;
}

int search_task_cut(const struct search_task *task, enum search_purpose purpose, const char *text, struct search_cut **cuts)
{
    struct search_cut found[MAX_CUTS];
    int count;
    if (purpose == SEARCH_PROPOSE) {
        /* A stop may be no more than the blank line that ends the list, which a model may also begin with. */
        count = cut_lines(task, text, strlen(text), MAX_CUTS, found);
    } else {
        struct search_cut whole = trim(text, (struct search_cut){0, strlen(text)});
        whole.length = before_stops(&task->sections[SEARCH_SAMPLE], text + whole.first) < whole.length
                           ? before_stops(&task->sections[SEARCH_SAMPLE], text + whole.first)
                           : whole.length;
        found[0] = trim(text, whole);
        count = 1;
        /* Where thoughts are lines, it is the first that looks like one; if none does, what was written is shown as it is. */
        if (!task->continues && task->thought.count)
            cut_lines(task, text, strlen(text), 1, found);
    }
    *cuts = xcalloc((size_t)(count ? count : 1), sizeof **cuts);
    memcpy(*cuts, found, (size_t)count * sizeof *found);
    return count;
}

/* --- judging ----------------------------------------------------------------------------------------------------- */

static struct search_cut last_line(const char *text)
{
    struct search_cut all = trim(text, (struct search_cut){0, strlen(text)});
    size_t start = all.first + all.length;
    while (start > all.first && text[start - 1] != '\n')
        start--;
    return (struct search_cut){start, all.first + all.length - start};
}

/* The label that the bytes are, but for letters' case and the marks around it (**Sure.**); or -1. */
static int label_of(const struct search_task *task, const char *text, struct search_cut cut)
{
    const char *p = text + cut.first, *end = p + cut.length;
    while (p < end && strchr(" \t*_`\"'([", *p))
        p++;
    while (end > p && strchr(" \t*_`\"')].!", end[-1]))
        end--;
    for (int i = 0; i < task->label_count; i++)
        if (strlen(task->labels[i]) == (size_t)(end - p) && !strncasecmp(task->labels[i], p, (size_t)(end - p)))
            return i;
    return -1;
}

const char *search_task_value(const struct search_task *task, const char *completion, double *weight)
{
    struct search_cut cut;
    int label = -1;
    if (task->value.count) {
        if (search_patterns_find(&task->value, completion, strlen(completion), NULL, &cut))
            label = label_of(task, completion, cut);
    } else {
        /* The last line is the label, or ends in it after a colon; "not sure" is not sure. */
        cut = last_line(completion);
        label = label_of(task, completion, cut);
        size_t colon = cut.first + cut.length;
        while (colon > cut.first && completion[colon - 1] != ':')
            colon--;
        if (label < 0 && colon > cut.first)
            label = label_of(task, completion, (struct search_cut){colon, cut.first + cut.length - colon});
    }
    *weight = label < 0 ? task->unreadable : task->weights[label];
    return label < 0 ? NULL : task->labels[label];
}

double search_task_most(const struct search_task *task)
{
    double most = task->unreadable;
    for (int i = 0; i < task->label_count; i++)
        most = task->weights[i] > most ? task->weights[i] : most;
    return most;
}

const char *search_task_worst(const struct search_task *task)
{
    int least = 0, equals = 0;
    for (int i = 1; i < task->label_count; i++)
        if (task->weights[i] < task->weights[least])
            least = i;
    for (int i = 0; i < task->label_count; i++)
        equals += task->weights[i] == task->weights[least];
    return task->label_count > 1 && equals == 1 ? task->labels[least] : NULL;
}

int search_task_vote(const struct search_task *task, const char *completion, int candidates)
{
    struct search_cut cut;
    if (!search_patterns_find(&task->vote, completion, strlen(completion), NULL, &cut))
        return 0;
    int number = 0;
    for (size_t i = 0; i < cut.length; i++) {
        char c = completion[cut.first + i];
        if (!isdigit((unsigned char)c) || number > candidates)
            return 0;
        number = number * 10 + (c - '0');
    }
    return number <= candidates ? number : 0;
}
