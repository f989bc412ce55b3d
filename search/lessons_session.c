/* Lessons from sessions: the paths that the user keeps, and those that came to a right answer. A lesson is a prompt as the model was
 * sent it and what the model wrote, token for token as the log has both. Of a completion with several thoughts only those on such paths
 * are learned. What the user wrote is a lesson as if the model had.
 */
#include "search/items.h"
#include "search/lessons.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The nodes on paths that are to be learned; how many paths. */
static unsigned char *find_wanted(const struct search_tree *tree, struct search_lessons_about *about)
{
    unsigned char *wanted = xcalloc((size_t)tree->count + 1, 1);
    for (int i = 1; i < tree->count; i++) {
        const struct search_node *node = &tree->nodes[i];
        const int won = node->thought->thought.final && node->thought->thought.correct == 1;
        if ((!won && !node->training) || search_tree_is_pruned(tree, i))
            continue;
        about->won += won;
        about->kept += !won;
        for (int k = i; k > 0 && !wanted[k]; k = tree->nodes[k].parent)
            wanted[k] = 1;
    }
    return wanted;
}

/* --- what the model wrote ---------------------------------------------------------------------------------------- */

/* The samples of an item share the prompt of its first. */
static const struct search_event *with_prompt(const struct search_tree *tree, const struct search_event *completion)
{
    for (int64_t i = completion->number; i >= 0; i--) {
        const struct search_event *event = tree->events[i];
        if (event->kind == SEARCH_EVENT_COMPLETION && event->step == completion->step && event->completion.item == completion->completion.item &&
            event->completion.prompt)
            return event;
    }
    return NULL;
}

static enum search_purpose purpose_of(const struct search_tree *tree, const struct search_event *completion)
{
    for (int64_t i = completion->number; i >= 0; i--)
        if (tree->events[i]->kind == SEARCH_EVENT_PLAN && tree->events[i]->step == completion->step)
            return tree->events[i]->plan.items[completion->completion.item].purpose;
    return SEARCH_SAMPLE;
}

static void keep_lesson(struct search_lesson_reader *r, uint64_t key, const struct engine_tokens *ids, const unsigned char *learned)
{
    r->about->sum = random_stream(r->about->sum, hash_bytes(ids->ids, (size_t)ids->count * sizeof *ids->ids), hash_bytes(learned, (size_t)ids->count));
    search_lesson_keep(r, key, ids, learned);
}

/* The wanted thoughts [first, last] of one completion. */
static void add_completion(struct search_lesson_reader *r, uint64_t key, const struct search_tree *tree, const unsigned char *wanted, int first,
                           int last)
{
    const struct search_event *completion = tree->nodes[first].completion, *asked = with_prompt(tree, completion);
    const int whole = purpose_of(tree, completion) == SEARCH_SAMPLE, end = search_lesson_end(r->options->engine);
    const int before = asked ? asked->completion.prompt_count : 0, count = completion->completion.count;
    struct engine_tokens ids = {0};
    if (!asked)
        return;
    engine_tokens_append(&ids, asked->completion.prompt, before);
    for (int i = 0; i < count; i++)
        engine_tokens_add(&ids, completion->completion.tokens[i].id);
    if (whole && completion->completion.ending == ENGINE_END_TOKEN && end >= 0)
        engine_tokens_add(&ids, end);
    unsigned char *learned = xcalloc((size_t)ids.count + 1, 1);
    memset(learned, r->options->learn_all, (size_t)before);
    memset(learned + before, whole, (size_t)(ids.count - before));
    for (int i = first; i <= last; i++)
        if (wanted[i])
            memset(learned + before + tree->nodes[i].thought->thought.first, 1, (size_t)tree->nodes[i].thought->thought.count);
    keep_lesson(r, key, &ids, learned);
    free(learned);
    engine_tokens_free(&ids);
}

/* --- what the user wrote ----------------------------------------------------------------------------------------- */

/* What the model would have been asked at its parent, and the thought with the end that such a thought has. */
static int add_own(struct search_lesson_reader *r, uint64_t key, const struct search_ground *g, int node, struct error *e)
{
    int parent = g->tree.nodes[node].parent, stops;
    const struct search_item item = {.purpose = SEARCH_SAMPLE, .nodes = &parent, .count = 1, .samples = 1};
    const char *const *stop = search_task_stops(g->task, SEARCH_SAMPLE, &stops);
    struct engine_tokens ids = {0};
    int code = search_item_prompt(g, &item, &ids, e);
    if (!code) {
        const int before = ids.count, end = search_lesson_end(r->options->engine);
        char *text = xasprintf("%s%s", search_item_own_rest(g, parent, search_node_text(&g->tree, node)), stops ? stop[0] : "");
        engine_tokenize(r->options->engine, text, strlen(text), ENGINE_CONTINUES, &ids);
        if (!stops && end >= 0 && (!search_task_opening(g->task) || g->tree.nodes[node].state == SEARCH_FINAL))
            engine_tokens_add(&ids, end);
        unsigned char *learned = xcalloc((size_t)ids.count + 1, 1);
        memset(learned, r->options->learn_all, (size_t)before);
        memset(learned + before, 1, (size_t)(ids.count - before));
        keep_lesson(r, key, &ids, learned);
        free(learned);
        free(text);
    }
    engine_tokens_free(&ids);
    return code;
}

/* --- trees ------------------------------------------------------------------------------------------------------- */

/* The task the session names, for prompts that are not in the log. */
static int open_ground(struct search_lesson_reader *r, const struct search_tree *tree, const char *task_path, struct search_task **task,
                       struct search_ground *g, struct error *e)
{
    const struct search_setting *s = &tree->events[0]->session;
    struct error why;
    int code = task_path ? search_task_open(task, task_path, &why) : ERROR_INPUT;
    if (code && (code = search_task_open(task, s->task, e)))
        return code;
    g->engine = (struct engine *)(uintptr_t)r->options->engine; /* it is only asked for tokens */
    g->task = g->judge_task = s->trained && search_task_trained(*task) ? search_task_trained(*task) : *task;
    g->tree = *tree;
    return search_problem_parse(*task, s->problem, s->expected, &g->problem, e);
}

static int read_tree(struct search_lesson_reader *r, const struct search_tree *tree, const char *task_path, struct error *e)
{
    unsigned char *wanted = find_wanted(tree, r->about);
    const char *problem = tree->events[0]->session.problem;
    const uint64_t key = hash_bytes(problem, strlen(problem));
    struct search_task *task = NULL;
    struct search_ground g = {0};
    int code = OK;
    for (int i = 1, last; i < tree->count && !code; i = last + 1) {
        last = i;
        if (!tree->nodes[i].completion) {
            if (wanted[i] && !task)
                code = open_ground(r, tree, task_path, &task, &g, e);
            if (wanted[i] && !code)
                code = add_own(r, key, &g, i, e);
            continue;
        }
        int any = wanted[i];
        while (last + 1 < tree->count && tree->nodes[last + 1].completion == tree->nodes[i].completion)
            any |= wanted[++last];
        if (any)
            add_completion(r, key, tree, wanted, i, last);
    }
    search_problem_free(&g.problem);
    search_task_close(task);
    free(wanted);
    return code;
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static char *task_of(const char *path)
{
    struct search_journal *journal;
    struct error e;
    if (search_journal_open(&journal, path, 0, &e))
        return NULL;
    char *task = search_journal_get(journal, "task");
    search_journal_close(journal);
    return task;
}

/* *others: trees of other models, whose tokens are not ours. */
static int read_file(struct search_lesson_reader *r, const char *path, int *others, char **other, struct error *e)
{
    struct search_sessions sessions;
    int code = search_sessions_load(&sessions, path, e);
    if (code)
        return code;
    char *task = task_of(path);
    if (sessions.imported)
        code = error_set(e, ERROR_INPUT, "%s: is a %s, which has no tokens; expected a session of espalier's", path, sessions.form);
    for (int i = 0; i < sessions.count && !code; i++) {
        const struct search_tree *tree = &sessions.list[i].tree;
        const char *model = tree->events[0]->session.model;
        if (!strcmp(model, engine_info(r->options->engine)->name)) {
            r->about->sessions++;
            code = read_tree(r, tree, task, e);
            continue;
        }
        ++*others;
        r->about->others++;
        free(*other);
        *other = xstrdup(model);
    }
    free(task);
    search_sessions_free(&sessions);
    return code;
}

int search_lessons_read_sessions(struct search_lesson_reader *r, const char *path, struct error *e)
{
    struct stat about;
    struct search_journal_entry *list = NULL;
    const int before = r->to->count + r->validation->count;
    int count = 0, others = 0, folder = !stat(path, &about) && S_ISDIR(about.st_mode);
    char *other = NULL;
    int code = folder ? search_journal_list(&list, &count, path, e) : read_file(r, path, &others, &other, e);
    for (int i = count - 1; i >= 0 && !code; i--) /* the oldest first: a new one changes no order before it */
        code = read_file(r, list[i].path, &others, &other, e);
    search_journal_list_free(list, count);
    if (!code && others && r->to->count + r->validation->count == before)
        code = error_set(e, ERROR_INPUT, "%s: was made with the model %s, and this is %s, which has other tokens; give its file with -m", path, other,
                         engine_info(r->options->engine)->name);
    else if (!code && r->to->count + r->validation->count == before)
        code = error_set(e, ERROR_INPUT, "%s: nothing to learn from: no path is kept (K in the explorer; run --act 'keep THOUGHT'), and none came to a right answer", path);
    free(other);
    return code;
}
