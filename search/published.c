/* The logs of princeton-nlp/tree-of-thought-llm for Game of 24, as trees: a JSON list of records,
 *
 *   {"steps": [{"step": 0, "x": "4 5 6 10", "ys": [...], "new_ys": [...], "values": [...], "select_new_ys": [...]}, ...], "infos": [{"r": 1}, ...]}
 *   {"idx": 900, "ys": [...], "infos": [{"r": 0}, ...]}                                        (samples: only chains, nothing chosen)
 *
 * A y is the text of a whole path, a line a thought. A record with steps becomes the events our own search would have made: a thought
 * is what a new_y adds to the y it extends, a judgement its value, a decision what was selected. What the log does not hold is
 * left out: prompts, completions, tokens, labels. Every verdict is ours, by the same verifier as for our own searches (the log's own r
 * stands in the result's reason), with one addition: what follows an illegal step is illegal, whatever it says.
 */
#include "search/event.h"
#include "search/schema.h"
#include "search/session.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* One record on its way to a tree. */
struct import {
    const char *path; /* of the file */
    int record;       /* from 1 */
    const struct search_task *task;
    struct search_problem problem;
    struct search_tree *tree;
    struct error *e;
};

/* A node and the text of its whole path. */
struct state {
    const char *y;
    int node;
};

static int refuse(const struct import *in, const char *what)
{
    return error_set(in->e, ERROR_INPUT, "%s: record %d: %s; expected a Game of 24 log of princeton-nlp/tree-of-thought-llm", in->path, in->record, what);
}

/* --- events ------------------------------------------------------------------------------------------------------ */

static struct search_event *make(const struct import *in, enum search_event_kind kind)
{
    return search_event_make(kind, in->tree->event_count, kind == SEARCH_EVENT_PLAN ? in->tree->steps : in->tree->steps - 1);
}

static void fold(const struct import *in, struct search_event *event)
{
    search_tree_fold(in->tree, event);
    search_event_release(event);
}

static void begin(const struct import *in, const char *strategy)
{
    struct search_event *event = make(in, SEARCH_EVENT_SESSION);
    event->session.task = xstrdup("game24");
    event->session.problem = xstrdup(in->problem.text);
    event->session.expected = xstrdup(in->problem.expected);
    event->session.strategy = xstrdup(strategy);
    event->session.model = xstrdup("of a published log");
    event->session.sampling = ENGINE_SAMPLING_DEFAULT;
    fold(in, event);
}

static void add_plan(const struct import *in, enum search_purpose purpose, const struct state *states, int count, int samples, char *why)
{
    struct search_event *event = make(in, SEARCH_EVENT_PLAN);
    event->plan.why = why;
    event->plan.items = xcalloc((size_t)count + 1, sizeof *event->plan.items);
    event->plan.count = count;
    for (int i = 0; i < count; i++) {
        int *node = xmalloc(sizeof *node);
        *node = states[i].node;
        event->plan.items[i] = (struct search_item){.purpose = purpose, .nodes = node, .count = 1, .samples = samples};
    }
    fold(in, event);
}

/* The node after `parent`; `judged` (within text or the same) is what the verifier reads. */
static int add_thought(const struct import *in, int parent, const char *text, const char *judged, int ended)
{
    const struct search_tree *tree = in->tree;
    int depth = tree->nodes[parent].depth, after_illegal = 0;
    const char **thoughts = xcalloc((size_t)depth + 1, sizeof *thoughts);
    for (int node = parent, i = depth; node > 0; node = tree->nodes[node].parent) {
        thoughts[--i] = search_node_text(tree, node);
        after_illegal |= tree->nodes[node].thought->thought.illegal;
    }
    struct search_path path = {.problem = &in->problem, .thoughts = thoughts, .count = depth, .ended = ended};
    path.state = parent ? tree->nodes[parent].thought->thought.state : in->problem.state;
    struct search_verdict verdict;
    search_task_verify(in->task, &path, judged, &verdict);
    if (after_illegal && !verdict.answer) {
        search_verdict_free(&verdict);
        verdict.illegal = 1;
        verdict.why = xstrdup("it follows an illegal step");
    }
    struct search_event *event = make(in, SEARCH_EVENT_THOUGHT);
    event->thought.node = tree->count;
    event->thought.parent = parent;
    event->thought.text = search_text(text, strlen(text), NULL, 0);
    event->thought.completion = -1;
    event->thought.illegal = verdict.illegal;
    event->thought.why = verdict.why;
    event->thought.state = verdict.state;
    event->thought.final = verdict.final;
    event->thought.answer = verdict.answer;
    event->thought.correct = verdict.illegal ? -1 : verdict.correct;
    fold(in, event);
    free(thoughts);
    return tree->count - 1;
}

/* --- fields ------------------------------------------------------------------------------------------------------ */

static int texts_only(const json_t *list)
{
    int texts = json_is_array(list);
    for (size_t i = 0; i < json_array_size(list) && texts; i++)
        texts = json_is_string(json_array_get(list, i));
    return texts;
}

static const char *text_at(const json_t *list, int i)
{
    return json_string_value(json_array_get(list, (size_t)i));
}

static char *trimmed(const char *text, size_t n)
{
    while (n && strchr(" \t\r\n", *text))
        text++, n--;
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    return xstrndup(text, n);
}

/* How many of the infos say that theirs is right; -1 when there are none. */
static int right_by_log(const json_t *record)
{
    const json_t *infos = json_object_get(record, "infos"), *info;
    size_t i;
    int right = json_is_array(infos) ? 0 : -1;
    json_array_foreach(infos, i, info)
        right += json_integer_value(json_object_get(info, "r")) == 1;
    return right;
}

/* --- a record with steps ----------------------------------------------------------------------------------------- */

static int check_step(const struct import *in, const json_t *step, int number)
{
    const json_t *values = json_object_get(step, "values");
    int numbers = json_is_array(values);
    for (size_t i = 0; i < json_array_size(values) && numbers; i++)
        numbers = json_is_number(json_array_get(values, i));
    if (!texts_only(json_object_get(step, "ys")) || !texts_only(json_object_get(step, "new_ys")) || !texts_only(json_object_get(step, "select_new_ys")))
        return refuse(in, "a step without lists of texts called ys, new_ys and select_new_ys");
    if (!numbers || json_array_size(values) != json_array_size(json_object_get(step, "new_ys")))
        return refuse(in, "a step whose values are not one number for each of its new_ys");
    if (json_integer_value(json_object_get(step, "step")) != number)
        return refuse(in, "steps that are not numbered 0, 1, 2, ...");
    return OK;
}

/* The state that a new y extends: the longest that it begins with. */
static const struct state *extended(const struct state *states, int count, const char *y)
{
    const struct state *best = NULL;
    for (int i = 0; i < count; i++) {
        size_t n = strlen(states[i].y);
        if (!strncmp(states[i].y, y, n) && (!best || n > strlen(best->y)))
            best = &states[i];
    }
    return best;
}

/* The first of the candidates with this text that is not taken. */
static int take(struct state *candidates, int count, const char *y)
{
    for (int i = 0; i < count; i++)
        if (candidates[i].y && !strcmp(candidates[i].y, y)) {
            candidates[i].y = NULL;
            return candidates[i].node;
        }
    return -1;
}

static int generate(const struct import *in, const json_t *step, const struct state *states, int count, struct state *candidates)
{
    const json_t *new_ys = json_object_get(step, "new_ys");
    add_plan(in, SEARCH_PROPOSE, states, count, 1, xasprintf("propose from %d state%s", count, count == 1 ? "" : "s"));
    for (int i = 0; i < (int)json_array_size(new_ys); i++) {
        const char *y = text_at(new_ys, i);
        const struct state *state = extended(states, count, y);
        if (!state)
            return refuse(in, "a new_y that extends none of the ys");
        const char *rest = y + strlen(state->y);
        char *text = trimmed(rest, strlen(rest));
        candidates[i] = (struct state){y, add_thought(in, state->node, text, text, 0)};
        free(text);
    }
    return OK;
}

static void evaluate(const struct import *in, const json_t *step, const struct state *candidates, int count)
{
    const json_t *values = json_object_get(step, "values");
    add_plan(in, SEARCH_VALUE, candidates, count, 0, xasprintf("value %d thought%s", count, count == 1 ? "" : "s"));
    for (int i = 0; i < count; i++) {
        struct search_event *event = make(in, SEARCH_EVENT_JUDGEMENT);
        event->judgement.item = i;
        event->judgement.purpose = SEARCH_VALUE;
        event->judgement.nodes = xmalloc(sizeof *event->judgement.nodes);
        event->judgement.nodes[0] = candidates[i].node;
        event->judgement.scores = xmalloc(sizeof *event->judgement.scores);
        event->judgement.scores[0] = json_number_value(json_array_get(values, (size_t)i));
        event->judgement.count = 1;
        fold(in, event);
    }
}

/* Keeps the selected, which become the states. */
static int choose(const struct import *in, const json_t *step, struct state *candidates, int count, struct state *states)
{
    const json_t *selected = json_object_get(step, "select_new_ys");
    int kept = (int)json_array_size(selected);
    struct search_event *event = make(in, SEARCH_EVENT_DECISION);
    struct string why = {0};
    event->decision.kept = xcalloc((size_t)kept + 1, sizeof *event->decision.kept);
    string_addf(&why, "kept %d of %d by value:", kept, count);
    for (int i = 0; i < kept; i++) {
        states[i] = (struct state){text_at(selected, i), take(candidates, count, text_at(selected, i))};
        if (states[i].node < 0) {
            string_free(&why);
            search_event_release(event);
            return refuse(in, "a selected y that is not one of the new_ys");
        }
        event->decision.kept[event->decision.kept_count++] = states[i].node;
        string_addf(&why, "%s %.4g", i ? "," : "", in->tree->nodes[states[i].node].value);
    }
    event->decision.why = why.text;
    fold(in, event);
    return OK;
}

/* The result is what was selected first, as the one of greatest value, be it an answer or not: so their top-1 counts. The reason says how many of all
 * are right. */
static void finish(const struct import *in, const json_t *record, const struct state *states, int count, const char *strategy)
{
    struct search_event *event = make(in, SEARCH_EVENT_RESULT);
    int answers = 0, right = 0, by_log = right_by_log(record);
    for (int i = 0; i < count; i++) {
        const struct search_event *thought = in->tree->nodes[states[i].node].thought;
        answers += thought && thought->thought.answer;
        right += thought && thought->thought.answer && thought->thought.correct == 1;
    }
    const struct search_event *first = count ? in->tree->nodes[states[0].node].thought : NULL;
    event->result.node = first ? states[0].node : -1;
    event->result.answer = first ? xstrdup(first->thought.answer) : NULL;
    event->result.correct = event->result.answer ? first->thought.correct : -1;
    event->result.strategy = xstrdup(strategy);
    event->result.why = by_log < 0 ? xasprintf("%d of %d answers right", right, answers)
                                   : xasprintf("%d of %d answers right; the log itself counts %d", right, answers, by_log);
    event->result.nodes = in->tree->count;
    event->result.illegal = in->tree->illegal;
    fold(in, event);
}

static int read_steps(const struct import *in, const json_t *record)
{
    const json_t *steps = json_object_get(record, "steps"), *step;
    size_t number;
    struct state *states = xcalloc(1, sizeof *states), *candidates = NULL;
    int count = 1, code = OK, b = (int)json_array_size(json_object_get(json_array_get(steps, 0), "select_new_ys"));
    char *strategy = xasprintf("tot,b=%d", b);
    states[0] = (struct state){"", 0};
    begin(in, strategy);
    json_array_foreach(steps, number, step) {
        if ((code = check_step(in, step, (int)number)))
            break;
        const json_t *ys = json_object_get(step, "ys");
        int same = (int)json_array_size(ys) == count;
        for (int i = 0; i < count && same; i++)
            same = !strcmp(text_at(ys, i), states[i].y);
        int new_count = (int)json_array_size(json_object_get(step, "new_ys")), kept = (int)json_array_size(json_object_get(step, "select_new_ys"));
        candidates = xcalloc((size_t)new_count + 1, sizeof *candidates);
        code = same ? generate(in, step, states, count, candidates) : refuse(in, "a step whose ys are not those selected before");
        if (!code) {
            evaluate(in, step, candidates, new_count);
            states = xrealloc(states, (size_t)(kept + 1) * sizeof *states);
            code = choose(in, step, candidates, new_count, states);
            count = kept;
        }
        free(candidates);
        if (code)
            break;
    }
    if (!code)
        finish(in, record, states, count, strategy);
    free(states);
    free(strategy);
    return code;
}

/* --- a record of samples ----------------------------------------------------------------------------------------- */

/* A chain's lines, the heading left out, each below the one before; the answer line takes what follows it. */
static void add_chain(const struct import *in, const char *y)
{
    int node = 0;
    for (const char *p = y; *p;) {
        size_t n = strcspn(p, "\n");
        char *line = trimmed(p, n), *text = NULL;
        const char *next = p + n + (p[n] == '\n');
        int empty = !*line || !strcmp(line, "Steps:");
        struct search_cut cut;
        if (!empty && search_patterns_find(&in->task->answer, line, strlen(line), NULL, &cut)) {
            text = trimmed(p, strlen(p));
            next = p + strlen(p);
        }
        if (!empty)
            node = add_thought(in, node, text ? text : line, line, !next[strspn(next, " \t\r\n")]);
        free(text);
        free(line);
        p = next;
    }
}

static void read_samples(const struct import *in, const json_t *record)
{
    const json_t *ys = json_object_get(record, "ys");
    int count = (int)json_array_size(ys);
    char *strategy = xasprintf("self-consistency,m=%d", count);
    begin(in, strategy);
    add_plan(in, SEARCH_SAMPLE, &(struct state){"", 0}, 1, count, xasprintf("sample %d paths", count));
    for (int i = 0; i < count; i++)
        add_chain(in, text_at(ys, i));
    int answers = 0, right = 0;
    for (int i = 1; i < in->tree->count; i++) {
        answers += in->tree->nodes[i].thought->thought.answer != NULL;
        right += in->tree->nodes[i].thought->thought.correct == 1;
    }
    struct search_event *event = make(in, SEARCH_EVENT_RESULT);
    event->result.strategy = strategy;
    event->result.node = -1;
    event->result.correct = -1;
    event->result.why = xasprintf("samples only, nothing was chosen; %d of %d answers right; the log itself counts %d", right, answers, right_by_log(record));
    event->result.nodes = in->tree->count;
    event->result.illegal = in->tree->illegal;
    fold(in, event);
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

/* The task as these logs have it: an answer line must follow the steps, and a puzzle may hold any numbers. It is made here, so that what a log says
 * does not depend on anybody's own game24.yaml. */
static int make_task(struct search_task *task, struct error *e)
{
    static const char pattern[] = "^\\W*[Aa]nswer(?:\\s+is\\b)?[\\s:*]*(.+)$";
    int number;
    PCRE2_SIZE at;
    *task = (struct search_task){
        .name = "game24", .form = "four numbers, as in 4 5 6 10", .numbers = 1, .count_low = 2, .count_high = SEARCH_MAX_NUMBERS,
        .range_high = 999999, .target_low = 24, .target_high = 24, .verifier = SEARCH_VERIFIER_ARITHMETIC,
    };
    task->answer.list = xcalloc(1, sizeof *task->answer.list);
    task->answer.list[0] = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_MULTILINE, &number, &at, NULL);
    task->answer.count = task->answer.list[0] != NULL;
    return task->answer.count ? OK : error_set(e, ERROR_ENGINE, "out of memory");
}

/* The puzzle of a record of samples is not in the log: idx counts the rows of game24.csv from 0. */
static int find_puzzle(const struct import *in, const json_t *record, char **text)
{
    const json_t *idx = json_object_get(record, "idx"), *ys = json_object_get(record, "ys"), *infos = json_object_get(record, "infos");
    int steps = 0;
    if (!json_is_integer(idx) || !texts_only(ys) || !json_array_size(ys) || json_array_size(infos) != json_array_size(ys))
        return refuse(in, "neither steps, nor idx, ys and infos");
    for (size_t i = 0; i < json_array_size(ys); i++)
        steps += strstr(text_at(ys, (int)i), "(left:") != NULL;
    if (!steps)
        return refuse(in, "samples that are not of the Game of 24: none has a (left: ...)");
    struct search_task *shipped;
    char *answer = NULL;
    json_int_t row = json_integer_value(idx) + 1;
    if (row < 1 || row > 1 << 20)
        return refuse(in, "an idx out of range");
    int code = search_task_open(&shipped, "game24", in->e);
    if (code)
        return code;
    code = search_task_data(shipped, NULL, (int)row, text, &answer, in->e);
    search_task_close(shipped);
    free(answer);
    return code;
}

static int read_record(struct import *in, struct search_task *task, const json_t *record, struct search_sessions *out)
{
    const json_t *steps = json_object_get(record, "steps");
    const char *x = json_string_value(json_object_get(json_array_get(steps, 0), "x"));
    char *text = NULL;
    int code = OK;
    if (!json_is_object(record) || (steps && !x))
        code = refuse(in, json_is_object(record) ? "a first step without a puzzle x" : "not an object");
    else if (x)
        text = xstrdup(x);
    else
        code = find_puzzle(in, record, &text);
    if (!code)
        code = search_problem_parse(task, text, NULL, &in->problem, in->e);
    if (!code) {
        out->form = x ? "published Tree of Thoughts log" : "published samples";
        /* A chain may be as long as it likes, and is over where its text is; with steps, the fourth is the last. */
        task->steps = x ? (int)json_array_size(steps) : 1 << 20;
        task->continues = !x;
        in->tree = &search_sessions_add(out, in->problem.text)->tree;
        if (x)
            code = read_steps(in, record);
        else
            read_samples(in, record);
        search_problem_free(&in->problem);
    }
    free(text);
    return code;
}

int search_published_read(struct search_sessions *out, const char *text, size_t n, const char *path, struct error *e)
{
    json_error_t where;
    json_t *root = json_loadb(text, n, 0, &where), *record;
    struct search_task task;
    struct import in = {.path = path, .task = &task, .e = e};
    size_t i;
    if (!root)
        return error_set(e, ERROR_INPUT, "%s:%d:%d: not JSON: %s", path, where.line, where.column, where.text);
    out->imported = 1;
    int code = make_task(&task, e);
    json_array_foreach(root, i, record) {
        in.record = (int)i + 1;
        if (!code)
            code = read_record(&in, &task, record, out);
    }
    if (!code && !out->count)
        code = error_set(e, ERROR_INPUT, "%s: an empty list; expected records of a published Tree of Thoughts log", path);
    pcre2_code_free(task.answer.list[0]);
    free(task.answer.list);
    json_decref(root);
    return code;
}
