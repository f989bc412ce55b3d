/* Reasoning models: one long text between two tags, then the answer. It is cut where such a model turns, before the words with which it begins
 * anew, so that each thought begins with its own; all thoughts of a path, one after another, are what was written, byte for byte.
 */
#include "search/schema.h"

#include <stdlib.h>
#include <string.h>

const char *search_task_opening(const struct search_task *task)
{
    return task->opening;
}

const char *const *search_task_turns(const struct search_task *task, int *count)
{
    *count = task->turn_count;
    return (const char *const *)task->turns;
}

size_t search_task_thought_out(const struct search_task *task, const struct search_path *path, const char *text)
{
    struct string all = {0};
    for (int i = 0; i < path->count; i++)
        string_add(&all, path->thoughts[i]);
    size_t before = all.length, out = SIZE_MAX;
    string_add(&all, text);
    const char *closing = task->turns[0], *found = strstr(string_text(&all), closing);
    if (found) {
        size_t end = (size_t)(found - all.text) + strlen(closing);
        out = end > before ? end - before : 0;
    }
    string_free(&all);
    return out;
}

size_t search_task_turn(const struct search_task *task, const struct search_path *path, const char *text)
{
    size_t n = strlen(text);
    if (search_task_thought_out(task, path, "") == 0)
        return n;
    for (int i = 0; i < task->turn_count; i++) {
        const char *turn = strstr(text, task->turns[i]);
        if (turn && (size_t)(turn - text) < n)
            n = (size_t)(turn - text);
    }
    return n;
}

/* --- reading the rule -------------------------------------------------------------------------------------------- */

static int read_word(const struct search_yaml *node, const char **out, struct error *e)
{
    int status = search_yaml_string(node, out, e);
    return !status && !**out ? search_yaml_error(node, e, "an empty text is everywhere; expected words") : status;
}

static int read_cuts(struct search_task *task, const struct search_yaml *node, struct error *e)
{
    enum { MOST = 15 };
    if (node->kind != SEARCH_YAML_LIST || !node->count)
        return search_yaml_error(node, e, "expected a list of the words with which a thought begins, as in [\"\\n\\nWait\", \"\\n\\nBut\"]");
    if (node->count > MOST)
        return search_yaml_error(node->values[MOST], e, "more than %d words to cut at", MOST);
    for (int i = 0; i < node->count; i++) {
        const char *text;
        int status = read_word(node->values[i], &text, e);
        if (status)
            return status;
        task->turns[task->turn_count++] = xstrdup(text);
    }
    return OK;
}

int search_turns_read(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const known[] = {"between", "cut", NULL};
    const struct search_yaml *map = search_yaml_get(root, "thoughts"), *between, *cut;
    const char *opening, *closing;
    int status;
    if (!map)
        return OK;
    if ((status = search_yaml_known(map, known, e)) || (status = search_yaml_need(map, "between", &between, e)) ||
        (status = search_yaml_need(map, "cut", &cut, e)))
        return status;
    if (between->kind != SEARCH_YAML_LIST || between->count != 2)
        return search_yaml_error(between, e, "expected the words before and after the thoughts, as in [<think>, </think>]");
    if ((status = read_word(between->values[0], &opening, e)) || (status = read_word(between->values[1], &closing, e)))
        return status;
    if (!task->continues)
        return search_yaml_error(map, e, "`thoughts` is for one growing answer; add `continues: true`");
    if (task->verifier >= SEARCH_VERIFIER_ARITHMETIC)
        return search_yaml_error(map, e, "`thoughts` is not for verifiers of steps; expected one of: none, text, numeric");
    if (!search_task_has(task, SEARCH_SAMPLE) || search_task_has(task, SEARCH_PROPOSE) || task->sections[SEARCH_SAMPLE].stop_count ||
        task->sections[SEARCH_SAMPLE].grammar)
        return search_yaml_error(map, e, "`thoughts` cuts what is sampled; expected a `sample:` without stops and grammar, and no `propose:`");
    if (task->sections[SEARCH_SAMPLE].brief)
        return search_yaml_error(map, e, "`thoughts` cuts what is thought, and with `thinking: false` nothing is; take one of them out");
    task->opening = xstrdup(opening);
    task->turns = xcalloc((size_t)cut->count + 2, sizeof *task->turns);
    task->turns[task->turn_count++] = xstrdup(closing);
    return read_cuts(task, cut, e);
}

void search_turns_free(struct search_task *task)
{
    for (int i = 0; i < task->turn_count; i++)
        free(task->turns[i]);
    free(task->turns);
    free(task->opening);
}
