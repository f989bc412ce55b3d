#include "search/items.h"

#include "search/outside.h"
#include "search/strategy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int search_item_judges(const struct search_ground *g, enum search_purpose purpose)
{
    return g->judge && purpose >= SEARCH_VALUE;
}

struct engine *search_item_engine(const struct search_ground *g, enum search_purpose purpose)
{
    return search_item_judges(g, purpose) ? g->judge : g->engine;
}

const struct search_task *search_item_task(const struct search_ground *g, enum search_purpose purpose)
{
    return search_item_judges(g, purpose) ? g->judge_task : g->task;
}

int search_ground_choose(struct search_ground *g, const struct search_options *o, struct error *e)
{
    int code = search_task_choose(o->task, o->prompts, g->engine, &g->task, e);
    g->judge_task = g->task;
    return !code && g->judge ? search_task_choose(o->task, o->prompts, g->judge, &g->judge_task, e) : code;
}

int search_item_is_outside(const struct search_ground *g, enum search_purpose purpose)
{
    return purpose == SEARCH_VERIFIER && search_task_command(g->task);
}

int search_item_is_ruled(const struct search_ground *g, enum search_purpose purpose)
{
    return purpose >= SEARCH_LIKELIHOOD && !search_item_is_outside(g, purpose);
}

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

/* What was written beyond a node's thought, with which the next one begins: of a reasoning model, "" of others. */
static const char *beyond(const struct search_ground *g, int node)
{
    const struct search_event *completion = node > 0 ? g->tree.nodes[node].completion : NULL;
    if (!completion || !search_task_opening(g->task))
        return "";
    /* The thought is this node's text: what its completion has of it, the rest is beyond. */
    const char *text = completion->completion.text, *thought = search_node_text(&g->tree, node);
    size_t before = strlen(beyond(g, g->tree.nodes[node].parent)), all = strlen(thought), own = all > before ? all - before : 0;
    return text + (own < strlen(text) ? own : strlen(text));
}

const char *search_item_own_rest(const struct search_ground *g, int parent, const char *text)
{
    size_t n = strlen(beyond(g, parent));
    return strncmp(text, beyond(g, parent), n) ? text : text + n;
}

/* What the user wrote: it ends as the model would have ended it, or at its next turn. Where the token at which the thought before it ends
 * says more than that thought, this is not said twice. */
static void append_own(const struct search_ground *g, int node, struct engine_tokens *out)
{
    const char *own = search_node_text(&g->tree, node);
    int stops, parent = g->tree.nodes[node].parent;
    const char *const *stop = search_task_stops(g->task, SEARCH_SAMPLE, &stops);
    const struct search_event *before = parent > 0 ? g->tree.nodes[parent].completion : NULL;
    if (before && search_task_opening(g->task)) {
        const struct search_event *thought = g->tree.nodes[parent].thought;
        int count = thought->thought.first + thought->thought.count;
        size_t *starts = xcalloc((size_t)count + 1, sizeof *starts), n = strlen(before->completion.text) - strlen(beyond(g, parent));
        char *said = search_completion_text(g->engine, before->completion.tokens, count, starts);
        if (strlen(said) > n && !strncmp(own, said + n, strlen(said + n)))
            own += strlen(said + n);
        free(said);
        free(starts);
    }
    char *text = xasprintf("%s%s", own, stops ? stop[0] : "");
    engine_tokenize(g->engine, text, strlen(text), ENGINE_CONTINUES, out);
    free(text);
}

/* The model's own turn so far, token for token: so the cache of the path is shared and no text is tokenized anew. all: with what stands beyond
 * the last thought, which is there for a thought of the model's. */
static void append_path(const struct search_ground *g, int node, int all, struct engine_tokens *out)
{
    if (node <= 0)
        return;
    const struct search_event *completion = g->tree.nodes[node].completion, *thought = g->tree.nodes[node].thought;
    append_path(g, g->tree.nodes[node].parent, completion != NULL, out);
    if (!completion) {
        append_own(g, node, out);
        return;
    }
    int n = all || !search_task_opening(g->task) ? completion->completion.count : thought->thought.first + thought->thought.count;
    for (int i = 0; i < n; i++)
        engine_tokens_add(out, completion->completion.tokens[i].id);
}

/* What the thoughts of a reasoning model stand after, where its template has not written that. */
static void append_opening(const struct search_ground *g, struct engine_tokens *out)
{
    const char *opening = search_task_opening(g->task);
    struct string end = {0};
    engine_detokenize(g->engine, out->ids + (out->count > 32 ? out->count - 32 : 0), out->count > 32 ? 32 : out->count, 1, &end);
    while (end.length && strchr(" \n", end.text[end.length - 1]))
        end.length--;
    size_t n = strlen(opening);
    if (end.length < n || memcmp(end.text + end.length - n, opening, n)) {
        char *text = xasprintf("%s\n", opening);
        engine_tokenize(g->engine, text, strlen(text), ENGINE_SPECIAL | ENGINE_CONTINUES, out);
        free(text);
    }
    string_free(&end);
}

const char *const *search_item_stops(const struct search_ground *g, const struct search_item *item, int *count)
{
    if (item->purpose != SEARCH_SAMPLE || !search_task_opening(g->task))
        return search_task_stops(search_item_task(g, item->purpose), item->purpose, count);
    struct search_path path = path_to(g, item->nodes[0]);
    int answers = search_task_thought_out(g->task, &path, beyond(g, item->nodes[0])) != SIZE_MAX;
    const char *const *turns = search_task_turns(g->task, count);
    path_free(&path);
    *count = answers ? 0 : *count;
    return answers ? NULL : turns;
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
    int code = search_task_messages(search_item_task(g, item->purpose), item->purpose, &path, candidates, vote ? item->count : 0, &messages, e);
    if (!code)
        engine_chat(search_item_engine(g, item->purpose), messages.list, messages.count,
                    search_task_brief(search_item_task(g, item->purpose), item->purpose) ? ENGINE_BRIEF : 0, out);
    if (!code && item->purpose == SEARCH_SAMPLE && search_task_opening(g->task))
        append_opening(g, out);
    if (!code && item->purpose == SEARCH_SAMPLE && search_task_continues(g->task))
        append_path(g, item->nodes[0], 1, out);
    search_messages_free(&messages);
    for (int i = 0; vote && i < item->count; i++)
        path_free(&candidates[i]);
    free(candidates);
    path_free(&path);
    return code;
}

char *search_item_grammar(const struct search_ground *g, const struct search_item *item)
{
    if (!search_item_grows(item))
        return NULL;
    struct search_path path = path_to(g, item->nodes[0]);
    char *text = search_task_grammar(g->task, item->purpose, &path);
    path_free(&path);
    return text;
}

void search_item_input(const struct search_ground *g, const struct search_item *item, struct string *out)
{
    const struct search_event *thought = g->tree.nodes[item->nodes[0]].thought;
    struct search_path path = path_to(g, thought->thought.parent);
    search_outside_input(g->task, &path, thought->thought.text, thought->thought.state, thought->thought.answer, out);
    path_free(&path);
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

static void judge_thought(const struct search_ground *g, const struct search_path *path, struct search_event *event)
{
    struct search_verdict verdict;
    search_task_verify(g->task, path, event->thought.text, &verdict);
    event->thought.illegal = verdict.illegal;
    event->thought.why = xstrdup(verdict.why);
    event->thought.state = xstrdup(verdict.state);
    event->thought.final = verdict.final;
    event->thought.answer = xstrdup(verdict.answer);
    event->thought.correct = verdict.correct;
    search_verdict_free(&verdict);
}

void search_item_own_thought(const struct search_ground *g, int parent, const char *text, struct search_event *event)
{
    struct search_path path = path_to(g, parent);
    event->thought.parent = parent;
    event->thought.text = xstrdup(text);
    event->thought.completion = -1;
    judge_thought(g, &path, event);
    path_free(&path);
}

static struct search_event *make_thought(const struct search_ground *g, int parent,
                                         const struct search_event *completion, struct search_path *path,
                                         struct search_cut cut, const size_t *starts)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_THOUGHT, -1, completion->step);
    event->thought.node = -1;
    event->thought.parent = parent;
    event->thought.text = xasprintf("%s%.*s", beyond(g, parent), (int)cut.length, completion->completion.text + cut.first);
    event->thought.completion = completion->number;
    find_tokens(starts, completion->completion.count, cut, &event->thought.first, &event->thought.count);
    judge_thought(g, path, event);
    return event;
}

/* How much of a completion of a reasoning model is its own thought. What stands beyond the thought before may close the thoughts; then all is. */
static size_t own_part(const struct search_ground *g, const struct search_path *path, int parent, const char *text)
{
    if (search_task_thought_out(g->task, path, beyond(g, parent)) != SIZE_MAX)
        return strlen(text);
    return search_task_turn(g->task, path, text);
}

struct search_event **search_item_thoughts(const struct search_ground *g, const struct search_item *item,
                                           const struct search_event *completion, int *count)
{
    int tokens = completion->completion.count, turn = item->purpose == SEARCH_SAMPLE && search_task_continues(g->task);
    enum engine_ending ending = completion->completion.ending;
    size_t *starts = xcalloc((size_t)tokens + 1, sizeof *starts);
    free(search_completion_text(g->engine, completion->completion.tokens, tokens, starts));
    struct search_cut *cuts = NULL, nothing = {0, 0};
    struct search_path path = path_to(g, item->nodes[0]);
    int n = 1;
    if (turn && search_task_opening(g->task)) {
        cuts = xcalloc(1, sizeof *cuts);
        cuts->length = own_part(g, &path, item->nodes[0], completion->completion.text);
    } else {
        n = search_task_cut(g->task, item->purpose, completion->completion.text, &cuts);
    }
    int full = completion->completion.prompt_count + tokens >= engine_info(g->engine)->context;
    path.ended = turn && (ending == ENGINE_END_TOKEN || ending == ENGINE_END_CONTEXT || full);
    /* In a turn that goes on, a completion without a word is a thought too: the path goes on, or ends, with it. */
    *count = turn && n < 1 ? 1 : n;
    struct search_event **list = xcalloc((size_t)*count + 1, sizeof *list);
    int made = 0;
    for (int i = 0; i < *count; i++) {
        list[made] = make_thought(g, item->nodes[0], completion, &path, i < n ? cuts[i] : nothing, starts);
        /* What stands before the token of a fork is there already. */
        const struct search_event *thought = list[made];
        if (item->fork && n > 1 && thought->thought.first + thought->thought.count <= item->token)
            search_event_release(list[made]);
        else
            made++;
    }
    *count = made;
    path_free(&path);
    free(cuts);
    free(starts);
    return list;
}

/* --- judgements -------------------------------------------------------------------------------------------------- */

static struct search_event *empty_judgement(const struct search_ground *g, int i, const struct search_item *item,
                                            int samples)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_JUDGEMENT, -1, g->tree.latest_plan->step);
    int asked = item->purpose == SEARCH_VALUE || item->purpose == SEARCH_VOTE;
    event->judgement.most = asked ? item->samples : 1;
    if (item->purpose == SEARCH_VALUE)
        event->judgement.most *= search_task_most(search_item_task(g, item->purpose));
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

/* The probability of the first word against that of the second; a word that was not scored has none. */
static void compare_words(struct search_event *event, struct search_event *const *completions)
{
    double logprob[2] = {0, 0};
    int scored = 1;
    for (int w = 0; w < 2; w++) {
        const struct search_event *word = completions[w];
        for (int i = 0; i < word->completion.count; i++)
            logprob[w] += word->completion.tokens[i].logprob;
        scored = scored && word->completion.count;
        if (word->completion.count)
            event->judgement.labels[w] = xasprintf("%s %.4g", word->completion.text, exp(logprob[w]));
    }
    event->judgement.scores[0] = scored ? 1 / (1 + exp(logprob[1] - logprob[0])) : 0;
}

/* The first word that a command wrote is its score; where it failed there is no completion to read. */
static void read_command(struct search_event *event, const struct search_event *completion)
{
    double score = 0;
    if (completion->completion.ending == ENGINE_END_TOKEN && search_outside_score(completion->completion.text, &score))
        event->judgement.labels[0] = xstrdup(completion->completion.text);
    event->judgement.scores[0] = score;
}

struct search_event *search_item_judgement(const struct search_ground *g, int i, const struct search_item *item,
                                           struct search_event *const *completions)
{
    struct search_event *event = empty_judgement(g, i, item, item->samples);
    if (search_task_words(search_item_task(g, item->purpose), item->purpose))
        compare_words(event, completions);
    if (search_item_is_outside(g, item->purpose))
        read_command(event, completions[0]);
    for (int s = 0; s < item->samples && item->purpose <= SEARCH_VOTE; s++) {
        const char *text = completions[s]->completion.text;
        if (item->purpose == SEARCH_VALUE) {
            double weight = 0;
            event->judgement.labels[s] = xstrdup(search_task_value(search_item_task(g, item->purpose), text, &weight));
            event->judgement.scores[0] += weight;
        } else {
            int choice = search_task_vote(search_item_task(g, item->purpose), text, item->count);
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

/* --- rules ------------------------------------------------------------------------------------------------------- */

static double likelihood(const struct search_node *node, char **label)
{
    if (!node->tokens)
        return .5; /* of the user's own words nothing is known */
    double p = exp(node->logprob / node->tokens);
    *label = xasprintf("%.4g a token", p);
    return p;
}

/* Do two nodes come to the same: answer, or state, or words. */
static int agree(const struct search_tree *tree, int a, int b)
{
    const struct search_event *x = tree->nodes[a].thought, *y = tree->nodes[b].thought;
    if (x->thought.answer || y->thought.answer)
        return x->thought.answer && y->thought.answer && !strcmp(x->thought.answer, y->thought.answer);
    if (x->thought.state && y->thought.state)
        return !strcmp(x->thought.state, y->thought.state);
    return !strcmp(x->thought.text, y->thought.text);
}

/* An answer is held against all answers, a thought against its siblings. */
static double agreement(const struct search_tree *tree, int node, char **label)
{
    int same = 0, all = 0, answer = search_has_answer(tree, node);
    int first = answer ? 1 : tree->nodes[tree->nodes[node].parent].first_child;
    for (int i = first; i >= 0 && i < tree->count; i = answer ? i + 1 : tree->nodes[i].next_sibling) {
        if (tree->nodes[i].state == SEARCH_ILLEGAL || search_tree_is_pruned(tree, i) || (answer && !search_has_answer(tree, i)))
            continue;
        all++;
        same += agree(tree, node, i);
    }
    *label = xasprintf("%d of %d", same, all);
    return all ? (double)same / all : 0;
}

static double verdict(const struct search_event *thought, char **label)
{
    int correct = thought->thought.correct, judged = correct >= 0 || thought->thought.state;
    *label = xstrdup(correct == 1 ? "right" : correct == 0 ? "wrong" : thought->thought.state ? "legal" : NULL);
    return !judged ? .5 : correct == 0 ? 0 : 1;
}

static double oracle(const struct search_ground *g, int node, char **label)
{
    enum search_mark mark = search_oracle_mark(g->oracle, &g->tree, node);
    *label = xstrdup(mark == SEARCH_MARK_ALIVE ? "alive" : mark == SEARCH_MARK_LOST ? "lost" : NULL);
    return mark == SEARCH_MARK_ALIVE ? 1 : mark == SEARCH_MARK_LOST ? 0 : .5;
}

struct search_event *search_item_ruled(const struct search_ground *g, int i, const struct search_item *item)
{
    struct search_event *event = empty_judgement(g, i, item, 1);
    const struct search_node *node = &g->tree.nodes[item->nodes[0]];
    char **label = &event->judgement.labels[0];
    double *score = &event->judgement.scores[0];
    if (item->purpose == SEARCH_LIKELIHOOD)
        *score = likelihood(node, label);
    else if (item->purpose == SEARCH_AGREEMENT)
        *score = agreement(&g->tree, item->nodes[0], label);
    else if (item->purpose == SEARCH_VERIFIER)
        *score = verdict(node->thought, label);
    else
        *score = oracle(g, item->nodes[0], label);
    return event;
}
