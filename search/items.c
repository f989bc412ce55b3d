#include "search/items.h"

#include <stdlib.h>
#include <string.h>

/* --- paths ------------------------------------------------------------------------------------------------------- */

/* The path to a node; its list of thoughts is freed by path_free. */
static struct search_path path_to(const struct search_ground *g, int node)
{
    const struct search_node *nodes = g->tree.nodes;
    int depth = nodes[node].depth;
    const char **thoughts = xcalloc((size_t)depth + 1, sizeof *thoughts);
    struct search_path path = {.problem = &g->problem, .thoughts = thoughts, .count = depth, .state = g->problem.state};
    if (node > 0 && nodes[node].thought->thought.state)
        path.state = nodes[node].thought->thought.state;
    for (; node > 0; node = nodes[node].parent)
        thoughts[--depth] = search_node_text(&g->tree, node);
    return path;
}

static void path_free(struct search_path *path)
{
    free((void *)path->thoughts);
}

/* --- prompts ----------------------------------------------------------------------------------------------------- */

/* The model's own turn so far, token for token: so the cache of the path is shared and no text is tokenized anew. */
static void append_path(const struct search_ground *g, int node, struct engine_tokens *out)
{
    if (node <= 0)
        return;
    append_path(g, g->tree.nodes[node].parent, out);
    const struct search_event *completion = g->tree.nodes[node].completion;
    for (int i = 0; completion && i < completion->completion.count; i++)
        engine_tokens_add(out, completion->completion.tokens[i].id);
}

int search_item_prompt(const struct search_ground *g, const struct search_item *item, struct engine_tokens *out,
                       struct error *e)
{
    int vote = item->purpose == SEARCH_VOTE;
    struct search_path path = path_to(g, vote ? 0 : item->nodes[0]);
    struct search_path *candidates = vote ? xcalloc((size_t)item->count, sizeof *candidates) : NULL;
    for (int i = 0; vote && i < item->count; i++)
        candidates[i] = path_to(g, item->nodes[i]);
    struct search_messages messages = {0};
    int code = search_task_messages(g->task, item->purpose, &path, candidates, vote ? item->count : 0, &messages, e);
    if (!code)
        engine_chat(g->engine, messages.list, messages.count, out);
    if (!code && item->purpose == SEARCH_SAMPLE && search_task_continues(g->task))
        append_path(g, item->nodes[0], out);
    search_messages_free(&messages);
    for (int i = 0; vote && i < item->count; i++)
        path_free(&candidates[i]);
    free(candidates);
    path_free(&path);
    return code;
}

/* --- completions ------------------------------------------------------------------------------------------------- */

char *search_completion_text(const struct engine *engine, const struct engine_token *tokens, int count, size_t *starts)
{
    struct string bytes = {0};
    for (int i = 0; i < count; i++) {
        starts[i] = bytes.length;
        engine_detokenize(engine, &tokens[i].id, 1, 0, &bytes);
    }
    char *text = search_text(string_text(&bytes), bytes.length, starts, count);
    string_free(&bytes);
    return text;
}

/* The tokens that have a part in a range of the text. */
static void find_tokens(const size_t *starts, int count, struct search_cut cut, int *first, int *tokens)
{
    int from = 0, to;
    while (from + 1 < count && starts[from + 1] <= cut.first)
        from++;
    for (to = from; to < count && starts[to] < cut.first + cut.length;)
        to++;
    *first = from;
    *tokens = to - from;
}

static struct search_event *make_thought(const struct search_ground *g, int parent,
                                         const struct search_event *completion, struct search_path *path,
                                         struct search_cut cut, const size_t *starts)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_THOUGHT, -1, completion->step);
    event->thought.node = -1;
    event->thought.parent = parent;
    event->thought.text = xstrndup(completion->completion.text + cut.first, cut.length);
    event->thought.completion = completion->number;
    find_tokens(starts, completion->completion.count, cut, &event->thought.first, &event->thought.count);
    struct search_verdict verdict;
    search_task_verify(g->task, path, event->thought.text, &verdict);
    event->thought.illegal = verdict.illegal;
    event->thought.why = xstrdup(verdict.why);
    event->thought.state = xstrdup(verdict.state);
    event->thought.final = verdict.final;
    event->thought.answer = xstrdup(verdict.answer);
    event->thought.correct = verdict.correct;
    search_verdict_free(&verdict);
    return event;
}

struct search_event **search_item_thoughts(const struct search_ground *g, const struct search_item *item,
                                           const struct search_event *completion, int *count)
{
    int tokens = completion->completion.count, turn = item->purpose == SEARCH_SAMPLE && search_task_continues(g->task);
    enum engine_ending ending = completion->completion.ending;
    size_t *starts = xcalloc((size_t)tokens + 1, sizeof *starts);
    free(search_completion_text(g->engine, completion->completion.tokens, tokens, starts));
    struct search_cut *cuts = NULL, nothing = {0, 0};
    int n = search_task_cut(g->task, item->purpose, completion->completion.text, &cuts);
    struct search_path path = path_to(g, item->nodes[0]);
    int full = completion->completion.prompt_count + tokens >= engine_info(g->engine)->context;
    path.ended = turn && (ending == ENGINE_END_TOKEN || ending == ENGINE_END_CONTEXT || full);
    /* In a turn that goes on, a completion without a word is a thought too: the path goes on, or ends, with it. */
    *count = turn && n < 1 ? 1 : n;
    struct search_event **list = xcalloc((size_t)*count + 1, sizeof *list);
    for (int i = 0; i < *count; i++)
        list[i] = make_thought(g, item->nodes[0], completion, &path, i < n ? cuts[i] : nothing, starts);
    path_free(&path);
    free(cuts);
    free(starts);
    return list;
}

/* --- judgements -------------------------------------------------------------------------------------------------- */

static struct search_event *empty_judgement(const struct search_ground *g, int i, const struct search_item *item,
                                            int samples)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_JUDGEMENT, -1, g->tree.steps - 1);
    event->judgement.item = i;
    event->judgement.purpose = item->purpose;
    event->judgement.count = item->count;
    event->judgement.nodes = xmalloc((size_t)item->count * sizeof *item->nodes);
    memcpy(event->judgement.nodes, item->nodes, (size_t)item->count * sizeof *item->nodes);
    event->judgement.scores = xcalloc((size_t)item->count, sizeof *event->judgement.scores);
    event->judgement.labels = xcalloc((size_t)samples + 1, sizeof *event->judgement.labels);
    event->judgement.samples = samples;
    return event;
}

struct search_event *search_item_judgement(const struct search_ground *g, int i, const struct search_item *item,
                                           struct search_event *const *completions)
{
    struct search_event *event = empty_judgement(g, i, item, item->samples);
    for (int s = 0; s < item->samples; s++) {
        const char *text = completions[s]->completion.text;
        if (item->purpose == SEARCH_VALUE) {
            double weight = 0;
            event->judgement.labels[s] = xstrdup(search_task_value(g->task, text, &weight));
            event->judgement.scores[0] += weight;
        } else {
            int choice = search_task_vote(g->task, text, item->count);
            if (choice) {
                event->judgement.labels[s] = xasprintf("%d", choice);
                event->judgement.scores[choice - 1] += 1;
            }
        }
    }
    return event;
}

struct search_event *search_item_known(const struct search_ground *g, int i, const struct search_item *item,
                                       const struct search_event *source)
{
    int samples = source ? source->judgement.samples : 0;
    struct search_event *event = empty_judgement(g, i, item, samples);
    event->judgement.cached = 1;
    for (int k = 0; source && k < item->count && k < source->judgement.count; k++)
        event->judgement.scores[k] = source->judgement.scores[k];
    for (int s = 0; s < samples; s++)
        event->judgement.labels[s] = xstrdup(source->judgement.labels[s]);
    return event;
}
