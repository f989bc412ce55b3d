/* Reading a task: from YAML to struct search_task, with everything that can be wrong found now, at its line and column.
 *
 *   name, about, strategy     text; strategy as on the command line
 *   problem                   form: what one looks like, for people. Problems of numbers also have count: [least, most],
 *                             range: [least, greatest], target: N, or target: [least, greatest] when each names its own;
 *                             numbers to be sorted have no target
 *   continues                 true: thoughts follow one another in one growing answer; false (also when absent): every
 *                             prompt is made anew from the state
 *   steps                     the greatest depth
 *   thinking                  false: a model that can be told not to think before it answers (Qwen 3) is told so; of all sections that do
 *                             not have it themselves
 *   sampling                  temperature, top_k, top_p, min_p, repetition_penalty
 *   sample propose value vote each: messages, finish (instead of messages once one number is left), stops, max_tokens, thinking;
 *                             sample and propose also: grammar (GBNF, with placeholders: what --grammar holds thoughts to);
 *                             value also: labels {word: weight}, unreadable (weight), pattern;
 *                             vote also: pattern, candidate (how one is listed)
 *   thoughts                  between: [what stands before, what closes], cut: words a thought begins with; of one growing answer (turns.c)
 *   thought                   pattern: which lines of a proposal or a sample are thoughts
 *   answer                    pattern: where an answer stands; otherwise: number | text | none, what counts as the answer
 *                             when the last step states none
 *   verifier                  kind: arithmetic | sorting | knights | chain | numeric | text | none; ends: number | answer
 *                             (arithmetic)
 *   data                      file (beside the task), problem, target, answer: names of columns; generator: what draws more
 *   command                   run: [program, argument, ...], seconds, memory (MiB): a program of the user's that judges thoughts;
 *                             checked here, never looked for nor run (search/outside.h)
 *   trained                   strategy, sampling and the sections of prompts, which hold instead for a model trained on them
 *
 * Messages are a text (one user message) or a list of {system|user|assistant: text}. Patterns are PCRE2, ^ and $ match at
 * lines, one or a list: the first that matches decides, by its last match, group 1 of it where it has one. A comment at
 * the top of examples/game24.yaml says the same to the people who write tasks.
 */
#include "search/generate.h"
#include "search/schema.h"

#include <stdlib.h>
#include <string.h>

/* --- parts ------------------------------------------------------------------------------------------------------- */

/* Reading goes on only while nothing is wrong, so a missing optional key and a failure both leave *out as it was. */
static int optional_text(const struct search_yaml *map, const char *key, char **out, struct error *e)
{
    const struct search_yaml *node = search_yaml_get(map, key);
    const char *text;
    int status = node ? search_yaml_string(node, &text, e) : OK;
    if (node && !status) {
        free(*out);
        *out = xstrdup(text);
    }
    return status;
}

static int need_text(const struct search_yaml *map, const char *key, char **out, struct error *e)
{
    const struct search_yaml *node;
    int status = search_yaml_need(map, key, &node, e);
    return status ? status : optional_text(map, key, out, e);
}

static int need_integer(const struct search_yaml *map, const char *key, int low, int high, int *out, struct error *e)
{
    const struct search_yaml *node;
    int status = search_yaml_need(map, key, &node, e);
    return status ? status : search_yaml_integer(node, low, high, out, e);
}

/* [least, greatest] */
static int read_range(const struct search_yaml *node, int low, int high, int *least, int *greatest, struct error *e)
{
    if (node->kind != SEARCH_YAML_LIST || node->count != 2)
        return search_yaml_error(node, e, "expected two numbers, as in [%d, %d]", low, high);
    int status = search_yaml_integer(node->values[0], low, high, least, e);
    return status ? status : search_yaml_integer(node->values[1], *least, high, greatest, e);
}

static int need_range(const struct search_yaml *map, const char *key, int low, int high, int *least, int *greatest, struct error *e)
{
    const struct search_yaml *node;
    int status = search_yaml_need(map, key, &node, e);
    return status ? status : read_range(node, low, high, least, greatest, e);
}

/* A list, or one thing that stands for a list of it. */
static int items_of(const struct search_yaml *node)
{
    return node->kind == SEARCH_YAML_LIST ? node->count : 1;
}

static const struct search_yaml *item_of(const struct search_yaml *node, int i)
{
    return node->kind == SEARCH_YAML_LIST ? node->values[i] : node;
}

static int read_pattern(const struct search_yaml *node, struct search_patterns *out, struct error *e)
{
    const char *text;
    int status = search_yaml_string(node, &text, e), number;
    if (status)
        return status;
    if (node->length > 4096)
        return search_yaml_error(node, e, "an expression of %zu bytes; at most 4096", node->length);
    PCRE2_SIZE offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, node->length,
                                     PCRE2_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_MATCH_INVALID_UTF, &number,
                                     &offset, NULL);
    if (!code) {
        char why[160];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
        return search_yaml_error_at(node, offset, e, "not a regular expression: %s; expected PCRE2 syntax", why);
    }
    out->list = xrealloc(out->list, (size_t)(out->count + 1) * sizeof *out->list);
    out->list[out->count++] = code;
    return OK;
}

static int optional_patterns(const struct search_yaml *map, const char *key, struct search_patterns *out, struct error *e)
{
    const struct search_yaml *node = search_yaml_get(map, key);
    int status = OK;
    for (int i = 0; node && i < items_of(node) && !status; i++)
        status = read_pattern(item_of(node, i), out, e);
    return status;
}

/* The first key of a map that only makes sense with another value elsewhere. */
static int refuse(const struct search_yaml *map, const char *key, const char *why, struct error *e)
{
    const struct search_yaml *node = search_yaml_get(map, key);
    return node ? search_yaml_error(node, e, "`%s` %s", key, why) : OK;
}

/* --- sections ---------------------------------------------------------------------------------------------------- */

static int read_message(const struct search_task *task, enum search_place place, const struct search_yaml *node, struct search_prompt *out,
                        struct error *e)
{
    static const char *const roles[] = {"system", "user", "assistant", NULL};
    const char *role = "user", *text;
    int status = OK;
    if (node->kind == SEARCH_YAML_MAP) {
        if ((status = search_yaml_known(node, roles, e)))
            return status;
        if (node->count != 1)
            return search_yaml_error(node, e, "a message has one role; begin each message with its own `-`");
        role = node->keys[0]->text;
        node = node->values[0];
    }
    if ((status = search_yaml_string(node, &text, e)) || (status = search_prompt_check(task, place, node, e)))
        return status;
    size_t n = node->length;
    if (node->block && n && text[n - 1] == '\n')
        n--; /* the line end of the block; one that is wanted is written in quotes: "...\n" */
    out->list = xrealloc(out->list, (size_t)(out->count + 1) * sizeof *out->list);
    out->list[out->count++] = (struct engine_message){xstrdup(role), xstrndup(text, n)};
    return OK;
}

static int read_prompt(const struct search_task *task, enum search_place place, const struct search_yaml *node, struct search_prompt *out,
                       struct error *e)
{
    if (node->kind == SEARCH_YAML_MAP || !items_of(node))
        return search_yaml_error(node, e, "expected a text, or a list of messages such as `- user: ...`");
    int status = OK;
    for (int i = 0; i < items_of(node) && !status; i++)
        status = read_message(task, place, item_of(node, i), out, e);
    return status;
}

static int read_stops(const struct search_yaml *node, struct search_section *out, struct error *e)
{
    int status = OK;
    for (int i = 0; i < items_of(node) && !status; i++) {
        const struct search_yaml *item = item_of(node, i);
        const char *text;
        if ((status = search_yaml_string(item, &text, e)))
            break;
        if (!*text)
            return search_yaml_error(item, e, "an empty stop would stop at once; expected text");
        if (out->stop_count == 16)
            return search_yaml_error(item, e, "more than 16 stops");
        out->stops = xrealloc(out->stops, (size_t)(out->stop_count + 1) * sizeof *out->stops);
        out->stops[out->stop_count++] = xstrdup(text);
    }
    return status;
}

static int read_labels(const struct search_yaml *node, struct search_task *task, struct error *e)
{
    int status = search_yaml_expect(node, SEARCH_YAML_MAP, e);
    if (!status && !node->count)
        return search_yaml_error(node, e, "no labels; expected words with their weights, as in sure: 20");
    for (int i = 0; !status && i < node->count; i++) {
        double weight;
        if ((status = search_yaml_number(node->values[i], 0, 1e6, &weight, e)))
            break;
        task->labels = xrealloc(task->labels, (size_t)(i + 1) * sizeof *task->labels);
        task->weights = xrealloc(task->weights, (size_t)(i + 1) * sizeof *task->weights);
        task->labels[i] = xstrdup(node->keys[i]->text);
        task->weights[i] = weight;
        task->label_count = i + 1;
    }
    return status;
}

/* words: [yes, no] */
static int read_words(const struct search_yaml *map, struct search_section *out, struct error *e)
{
    const struct search_yaml *node;
    const char *text;
    int status = search_yaml_need(map, "words", &node, e);
    if (!status && (node->kind != SEARCH_YAML_LIST || node->count != 2))
        return search_yaml_error(node, e, "expected two words, the good one first, as in [yes, no]");
    for (int i = 0; i < 2 && !status; i++) {
        if ((status = search_yaml_string(node->values[i], &text, e)))
            break;
        if (!*text || (i && !strcmp(text, out->words[0])))
            return search_yaml_error(node->values[i], e, "expected another word; their probabilities are compared");
        out->words[i] = xstrdup(text);
    }
    return status;
}

/* Stays as it was where the map does not say it. */
static int read_thinking(const struct search_yaml *map, int *brief, struct error *e)
{
    const struct search_yaml *node = search_yaml_get(map, "thinking");
    int thinks = 1, status = node ? search_yaml_boolean(node, &thinks, e) : OK;
    if (node && !status)
        *brief = !thinks;
    return status;
}

static int read_section(struct search_task *task, enum search_purpose purpose, const struct search_yaml *map, struct error *e)
{
    static const char *const grow[] = {"messages", "finish", "stops", "max_tokens", "thinking", "grammar", NULL};
    static const char *const value[] = {"messages", "finish", "stops", "max_tokens", "thinking", "labels", "unreadable", "pattern", NULL};
    static const char *const vote[] = {"messages", "stops", "max_tokens", "thinking", "candidate", "pattern", NULL};
    static const char *const words[] = {"messages", "finish", "thinking", "words", NULL};
    const struct search_yaml *node;
    struct search_section *section = &task->sections[purpose];
    enum search_place place = purpose == SEARCH_VOTE ? SEARCH_PLACE_VOTE : SEARCH_PLACE_GROW;
    const char *const *known = purpose == SEARCH_VALUE ? value : purpose == SEARCH_VOTE ? vote : purpose > SEARCH_VOTE ? words : grow;
    int status = search_yaml_known(map, known, e);
    if (status || (status = search_yaml_need(map, "messages", &node, e)) ||
        (status = read_prompt(task, place, node, &section->messages, e)) ||
        (status = known == words ? read_words(map, section, e) : need_integer(map, "max_tokens", 1, 4096, &section->max_tokens, e)))
        return status;
    section->brief = task->brief;
    if ((status = read_thinking(map, &section->brief, e)))
        return status;
    if (!task->numbers && (status = refuse(map, "finish", "is for problems of numbers; take it out", e)))
        return status;
    if ((node = search_yaml_get(map, "finish")) && (status = read_prompt(task, place, node, &section->finish, e)))
        return status;
    if ((node = search_yaml_get(map, "stops")) && (status = read_stops(node, section, e)))
        return status;
    if ((node = search_yaml_get(map, "grammar")) && ((status = optional_text(map, "grammar", &section->grammar, e)) ||
                                                     (status = search_grammar_check(task, node, e))))
        return status;
    if (purpose == SEARCH_VALUE) {
        if ((status = search_yaml_need(map, "labels", &node, e)) || (status = read_labels(node, task, e)) ||
            (status = search_yaml_need(map, "unreadable", &node, e)) ||
            (status = search_yaml_number(node, 0, 1e6, &task->unreadable, e)))
            return status;
        return optional_patterns(map, "pattern", &task->value, e);
    }
    if (purpose == SEARCH_VOTE) {
        if ((status = search_yaml_need(map, "pattern", &node, e)) || (status = optional_patterns(map, "pattern", &task->vote, e)) ||
            (status = search_yaml_need(map, "candidate", &node, e)) || (status = need_text(map, "candidate", &task->candidate, e)))
            return status;
        return search_prompt_check(task, SEARCH_PLACE_CANDIDATE, node, e);
    }
    return OK;
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

/* What the verifier asks of the problem: a target, none, or numbers without one. Its kind has been read already. */
static int check_problem(const struct search_task *task, const struct search_yaml *root, const struct search_yaml *map, struct error *e)
{
    int status = OK;
    if (task->verifier > SEARCH_VERIFIER_ARITHMETIC)
        status = refuse(map, "target", "has no meaning with this kind of verifier; take it out", e);
    if (status || task->verifier == SEARCH_VERIFIER_SORTING || search_yaml_get(map, "target"))
        return status;
    if ((status = refuse(map, "count", "is for problems of numbers, which have a `target` too", e)) ||
        (status = refuse(map, "range", "is for problems of numbers, which have a `target` too", e)))
        return status;
    if (task->verifier == SEARCH_VERIFIER_ARITHMETIC)
        return search_yaml_error(search_yaml_get(search_yaml_get(root, "verifier"), "kind"), e,
                                 "arithmetic needs problems of numbers; give `problem` its count, range and target");
    return OK;
}

static int read_problem(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const known[] = {"form", "count", "range", "target", NULL};
    const struct search_yaml *map, *target;
    int status = search_yaml_need(root, "problem", &map, e);
    if (status || (status = search_yaml_known(map, known, e)) || (status = need_text(map, "form", &task->form, e)) ||
        (status = check_problem(task, root, map, e)))
        return status;
    target = search_yaml_get(map, "target");
    if (!target && task->verifier != SEARCH_VERIFIER_SORTING)
        return OK;
    task->numbers = target != NULL;
    task->target_given = target && target->kind == SEARCH_YAML_LIST;
    if (task->target_given)
        status = read_range(target, 0, 9999, &task->target_low, &task->target_high, e);
    else if (target && !(status = search_yaml_integer(target, 0, 9999, &task->target_low, e)))
        task->target_high = task->target_low;
    if (!status)
        status = need_range(map, "count", 2, SEARCH_MAX_NUMBERS, &task->count_low, &task->count_high, e);
    return status ? status : need_range(map, "range", 0, 9999, &task->range_low, &task->range_high, e);
}

static int read_sampling(struct search_task *task, const struct search_yaml *map, struct error *e)
{
    static const char *const known[] = {"temperature", "top_k", "top_p", "min_p", "repetition_penalty", NULL};
    struct engine_sampling *s = &task->sampling;
    *s = ENGINE_SAMPLING_DEFAULT;
    if (!map)
        return OK;
    const struct {
        const char *key;
        double low, high;
        float *out;
    } numbers[] = {{"temperature", 0, 10, &s->temperature},
                   {"top_p", 0.001, 1, &s->top_p},
                   {"min_p", 0, 1, &s->min_p},
                   {"repetition_penalty", 0.1, 10, &s->repetition_penalty}};
    int status = search_yaml_known(map, known, e);
    for (int i = 0; !status && i < 4; i++) {
        const struct search_yaml *node = search_yaml_get(map, numbers[i].key);
        double value;
        if (node && !(status = search_yaml_number(node, numbers[i].low, numbers[i].high, &value, e)))
            *numbers[i].out = (float)value;
    }
    const struct search_yaml *top_k = search_yaml_get(map, "top_k");
    return top_k && !status ? search_yaml_integer(top_k, 0, 1000000, &s->top_k, e) : status;
}

static int read_thought(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const known[] = {"pattern", NULL};
    const struct search_yaml *map = search_yaml_get(root, "thought"), *node;
    if (!map)
        return OK;
    int status = search_yaml_known(map, known, e);
    if (status || (status = search_yaml_need(map, "pattern", &node, e)))
        return status;
    return optional_patterns(map, "pattern", &task->thought, e);
}

const char *const search_verifiers[] = {"none", "text", "numeric", "arithmetic", "sorting", "knights", "chain", NULL};

static int read_verifier(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const ends[] = {"answer", "number", NULL};
    static const char *const known[] = {"kind", "ends", NULL};
    const struct search_yaml *map, *node;
    int kind, status = search_yaml_need(root, "verifier", &map, e);
    if (status || (status = search_yaml_known(map, known, e)) || (status = search_yaml_need(map, "kind", &node, e)) ||
        (status = search_yaml_choice(node, search_verifiers, &kind, e)))
        return status;
    task->verifier = (enum search_verifier)kind;
    if (task->verifier != SEARCH_VERIFIER_ARITHMETIC)
        return refuse(map, "ends", "is for kind: arithmetic; take it out", e);
    status = search_yaml_need(map, "ends", &node, e);
    return status ? status : search_yaml_choice(node, ends, &task->ends_at_number, e);
}

static int read_answer(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const words[] = {"none", "number", "text", NULL}, *const known[] = {"pattern", "otherwise", NULL};
    const struct search_yaml *map, *node;
    int otherwise = SEARCH_OTHERWISE_NONE, status = search_yaml_need(root, "answer", &map, e);
    if (status || (status = search_yaml_known(map, known, e)) || (status = search_yaml_need(map, "pattern", &node, e)) ||
        (status = optional_patterns(map, "pattern", &task->answer, e)))
        return status;
    if (task->verifier >= SEARCH_VERIFIER_ARITHMETIC)
        return refuse(map, "otherwise", "has no use with a verifier of steps; take it out", e);
    if ((status = search_yaml_need(map, "otherwise", &node, e)) || (status = search_yaml_choice(node, words, &otherwise, e)))
        return status;
    task->otherwise = (enum search_otherwise)otherwise;
    if (task->verifier == SEARCH_VERIFIER_NUMERIC && task->otherwise == SEARCH_OTHERWISE_TEXT)
        return search_yaml_error(node, e, "a numeric answer cannot be a text; expected one of: none, number");
    return OK;
}

static int read_data(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const known[] = {"file", "problem", "target", "answer", "generator", NULL};
    const struct search_yaml *map = search_yaml_get(root, "data"), *generator;
    if (!map)
        return OK;
    int which, status = search_yaml_known(map, known, e);
    if (status || (status = need_text(map, "problem", &task->column_problem, e)) ||
        (status = optional_text(map, "file", &task->data_file, e)) ||
        (status = optional_text(map, "answer", &task->column_answer, e)))
        return status;
    if ((generator = search_yaml_get(map, "generator"))) {
        if ((status = search_yaml_choice(generator, search_generators, &which, e)))
            return status;
        task->generator = search_generators[which];
    }
    if (!task->target_given)
        return refuse(map, "target", "is for problems that name their own target; take it out", e);
    return optional_text(map, "target", &task->column_target, e);
}

/* The program and its arguments. A text alone is refused: somebody would write a line for a shell. */
static int read_run(const struct search_yaml *node, struct search_command *out, struct error *e)
{
    if (node->kind != SEARCH_YAML_LIST || !node->count)
        return search_yaml_error(node, e, "expected a list, the program and its arguments, as in [python3, check.py]");
    if (node->count > 64)
        return search_yaml_error(node, e, "%d arguments; at most 64", node->count);
    out->argv = xcalloc((size_t)node->count + 1, sizeof *out->argv);
    for (int i = 0; i < node->count; i++) {
        const char *text;
        int status = search_yaml_string(node->values[i], &text, e);
        if (status)
            return status;
        if (!i && !*text)
            return search_yaml_error(node->values[i], e, "an empty name; expected a program, as in ./check.sh");
        out->argv[i] = xstrdup(text);
    }
    return OK;
}

static int read_command(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const known[] = {"run", "seconds", "memory", NULL};
    const struct search_yaml *map = search_yaml_get(root, "command"), *run, *seconds, *memory;
    int status, mebibytes = 256;
    if (!map)
        return OK;
    struct search_command *command = task->command = xcalloc(1, sizeof *command);
    command->seconds = 2;
    if ((status = search_yaml_known(map, known, e)) || (status = search_yaml_need(map, "run", &run, e)) || (status = read_run(run, command, e)))
        return status;
    if ((seconds = search_yaml_get(map, "seconds")) && (status = search_yaml_number(seconds, 0.1, 60, &command->seconds, e)))
        return status;
    if ((memory = search_yaml_get(map, "memory")) && (status = search_yaml_integer(memory, 16, 65536, &mebibytes, e)))
        return status;
    command->memory = (size_t)mebibytes << 20;
    const char *slash = strrchr(task->path, '/');
    command->folder = slash ? xstrndup(task->path, slash > task->path ? (size_t)(slash - task->path) : 1) : xstrdup(".");
    return OK;
}

static void free_command(struct search_command *command)
{
    if (!command)
        return;
    for (int i = 0; command->argv && command->argv[i]; i++)
        free(command->argv[i]);
    free(command->argv);
    free(command->folder);
    free(command);
}

/* Of the file, or of its `trained` where that has one. */
static int read_strategy(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    const struct search_yaml *node;
    struct error wrong;
    int status = search_yaml_need(root, "strategy", &node, e);
    if (status || (status = need_text(root, "strategy", &task->strategy, e)))
        return status;
    return search_strategy_check(task->strategy, &wrong) ? search_yaml_error(node, e, "%s", wrong.message) : OK;
}

/* Of `trained` where that has it, else of the file. */
static const struct search_yaml *section_of(const struct search_yaml *root, const struct search_yaml *trained, const char *key)
{
    const struct search_yaml *map = trained ? search_yaml_get(trained, key) : NULL;
    return map ? map : search_yaml_get(root, key);
}

/* trained: NULL for the file's own prompts. */
static int read_task(struct search_task *task, const struct search_yaml *root, const struct search_yaml *trained, struct error *e)
{
    static const char *const known[] = {"name",    "about",    "strategy", "problem", "continues",       "steps",    "thinking",
                                        "sampling", "sample",  "propose",  "value",   "vote",            "self-evaluation",
                                        "process-reward", "thought", "thoughts", "answer", "verifier", "data", "command", "trained", NULL};
    const struct search_yaml *continues = search_yaml_get(root, "continues");
    int status = search_yaml_known(root, known, e);
    if (status || (status = need_text(root, "name", &task->name, e)) || (status = need_text(root, "about", &task->about, e)) ||
        (status = read_strategy(task, trained && search_yaml_get(trained, "strategy") ? trained : root, e)) || (status = read_verifier(task, root, e)) ||
        (status = read_problem(task, root, e)) || (status = need_integer(root, "steps", 1, 64, &task->steps, e)) || 
        (status = read_sampling(task, section_of(root, trained, "sampling"), e)))
        return status;
    if ((continues && (status = search_yaml_boolean(continues, &task->continues, e))) || (status = read_thinking(root, &task->brief, e)))
        return status;
    for (int i = 0; i < SEARCH_SECTIONS; i++) {
        const struct search_yaml *map = section_of(root, trained, search_purpose_name((enum search_purpose)i));
        if (map && (status = read_section(task, (enum search_purpose)i, map, e)))
            return status;
    }
    if (!search_task_has(task, SEARCH_SAMPLE) && !search_task_has(task, SEARCH_PROPOSE))
        return search_yaml_error(root, e, "nothing makes thoughts; add a `sample:` or a `propose:` section");
    if ((status = read_thought(task, root, e)) || (status = read_answer(task, root, e)) || (status = read_command(task, root, e)))
        return status;
    return (status = search_turns_read(task, root, e)) ? status : read_data(task, root, e);
}

/* The task with its other prompts is read as a task of its own, so that all who ask a task for prompts need not know which. */
static int read_trained(struct search_task *task, const struct search_yaml *root, struct error *e)
{
    static const char *const known[] = {"strategy", "sampling", "sample", "propose", "value", "vote", "self-evaluation", "process-reward", NULL};
    const struct search_yaml *trained = search_yaml_get(root, "trained");
    int status = trained ? search_yaml_known(trained, known, e) : OK;
    if (!trained || status)
        return status;
    if (!trained->count)
        return search_yaml_error(trained, e, "no prompts; expected sections such as sample and value, or no `trained` at all");
    task->trained = xcalloc(1, sizeof *task->trained);
    task->trained->path = xstrdup(task->path);
    task->trained->sum = task->sum;
    return read_task(task->trained, root, trained, e);
}

/* A recipe says what a model's vocabulary is; what cannot be read may be meant as a task. */
static int is_recipe(const char *name)
{
    struct search_yaml_document *document = NULL;
    struct error e;
    char *file = xasprintf("%s.yaml", name), *path = search_data_path("examples", file);
    int is = path && !search_yaml_open(&document, path, &e) && search_yaml_get(search_yaml_root(document), "vocabulary");
    search_yaml_close(document);
    free(path);
    free(file);
    return is;
}

char **search_task_names(void)
{
    char **names = search_data_names("examples");
    int kept = 0;
    for (int i = 0; names[i]; i++)
        if (is_recipe(names[i]))
            free(names[i]);
        else
            names[kept++] = names[i];
    names[kept] = NULL;
    return names;
}

/* The file of a task: a path as it is, a name where tasks are kept. */
static int find_task(const char *name, char **path, struct error *e)
{
    size_t n = strlen(name);
    if (strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml"))) {
        *path = xstrdup(name);
        return OK;
    }
    char *file = xasprintf("%s.yaml", name);
    *path = search_data_path("examples", file);
    free(file);
    if (*path)
        return OK;
    struct string there = {0};
    char **names = search_task_names();
    for (int i = 0; names[i]; i++) {
        string_addf(&there, "%s%s", i ? ", " : "", names[i]);
        free(names[i]);
    }
    free(names);
    int status = error_set(e, ERROR_INPUT, "no task '%.60s'; there are: %.300s; or give the path of a file, as in ./mine.yaml", name,
                           there.length ? there.text : "none (examples/ was not found)");
    string_free(&there);
    return status;
}

int search_task_open(struct search_task **out, const char *name, struct error *e)
{
    char *path;
    int status = find_task(name, &path, e);
    if (status)
        return status;
    struct search_yaml_document *document = NULL;
    struct search_task *task = xcalloc(1, sizeof *task);
    task->path = path;
    status = search_yaml_open(&document, path, e);
    if (!status) {
        task->sum = search_yaml_sum(document);
        status = read_task(task, search_yaml_root(document), NULL, e);
    }
    if (!status)
        status = read_trained(task, search_yaml_root(document), e);
    search_yaml_close(document);
    if (status) {
        search_task_close(task);
        return status;
    }
    *out = task;
    return OK;
}

static void free_prompt(struct search_prompt *p)
{
    for (int i = 0; i < p->count; i++) {
        free((char *)p->list[i].role);
        free((char *)p->list[i].text);
    }
    free(p->list);
}

static void free_patterns(struct search_patterns *p)
{
    for (int i = 0; i < p->count; i++)
        pcre2_code_free(p->list[i]);
    free(p->list);
}

void search_task_close(struct search_task *task)
{
    if (!task)
        return;
    for (int i = 0; i < SEARCH_SECTIONS; i++) {
        struct search_section *s = &task->sections[i];
        free_prompt(&s->messages);
        free_prompt(&s->finish);
        free(s->grammar);
        for (int k = 0; k < s->stop_count; k++)
            free(s->stops[k]);
        free(s->stops);
        free(s->words[0]);
        free(s->words[1]);
    }
    free_patterns(&task->thought);
    free_patterns(&task->answer);
    free_patterns(&task->value);
    free_patterns(&task->vote);
    for (int i = 0; i < task->label_count; i++)
        free(task->labels[i]);
    free(task->labels);
    free(task->weights);
    free_command(task->command);
    search_turns_free(task);
    search_task_close(task->trained);
    char *texts[] = {task->path,      task->name,           task->about,         task->strategy,     task->form,
                     task->candidate, task->data_file,      task->column_problem, task->column_target, task->column_answer};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    free(task);
}

int search_task_has_trained(const struct search_task *task)
{
    return task->trained != NULL;
}

int search_task_choose(const struct search_task *task, enum search_prompts prompts, const struct engine *engine, const struct search_task **out,
                       struct error *e)
{
    const char *says = engine_info(engine)->prompts;
    int trained = prompts == SEARCH_PROMPTS_TRAINED || (prompts == SEARCH_PROMPTS_AUTO && says && !strcmp(says, "trained") && task->trained);
    if (trained && !task->trained)
        return error_set(e, ERROR_USAGE, "task %s has no prompts for trained models; add a `trained:` section to %s, or choose --prompts plain",
                         task->name, task->path);
    *out = trained ? task->trained : task;
    return OK;
}

/* --- what it says ------------------------------------------------------------------------------------------------ */

const char *search_task_path(const struct search_task *task)
{
    return task->path;
}

uint64_t search_task_sum(const struct search_task *task)
{
    return task->sum;
}

const char *search_task_name(const struct search_task *task)
{
    return task->name;
}

const char *search_task_about(const struct search_task *task)
{
    return task->about;
}

const char *search_task_strategy(const struct search_task *task)
{
    return task->strategy;
}

const char *search_task_problem_form(const struct search_task *task)
{
    return task->form;
}

const struct search_task *search_task_trained(const struct search_task *task)
{
    return task->trained;
}

int search_task_continues(const struct search_task *task)
{
    return task->continues;
}

int search_task_steps(const struct search_task *task)
{
    return task->steps;
}

int search_task_brief(const struct search_task *task, enum search_purpose purpose)
{
    return task->sections[purpose].brief;
}

int search_task_max_tokens(const struct search_task *task, enum search_purpose purpose)
{
    return task->sections[purpose].max_tokens;
}

const char *const *search_task_stops(const struct search_task *task, enum search_purpose purpose, int *count)
{
    *count = task->sections[purpose].stop_count;
    return (const char *const *)task->sections[purpose].stops;
}

struct engine_sampling search_task_sampling(const struct search_task *task)
{
    return task->sampling;
}

const struct search_command *search_task_command(const struct search_task *task)
{
    return task->command;
}
