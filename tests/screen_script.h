/* Searches written by hand for the tests of the screen: the model's words, its doubts, what the judge said. */
#ifndef ESPALIER_TESTS_SCREEN_SCRIPT_H
#define ESPALIER_TESTS_SCREEN_SCRIPT_H

#include "search/event.h"
#include "tui/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A vocabulary that learns each token as it is first used. */
static char **script_words;
static int script_word_count, script_word_capacity;

static inline const char *script_token_text(const void *owner, int id, size_t *bytes)
{
    (void)owner;
    if (id < 0 || id >= script_word_count)
        return NULL;
    *bytes = strlen(script_words[id]);
    return script_words[id];
}

static inline int script_word(const char *text, size_t n)
{
    for (int i = 0; i < script_word_count; i++)
        if (strlen(script_words[i]) == n && !memcmp(script_words[i], text, n))
            return i;
    ARRAY_RESERVE(script_words, script_word_count, script_word_capacity);
    script_words[script_word_count] = xstrndup(text, n);
    return script_word_count++;
}

/* Cut a text into tokens, a word with the blank before it each, and make up a probability for each. */
static inline struct engine_token *script_tokens(const char *text, int *count)
{
    struct engine_token *tokens = NULL;
    int capacity = 0;
    *count = 0;
    for (const char *p = text; *p;) {
        const char *start = p++;
        while (*p && *p != ' ' && *p != '\n')
            p++;
        ARRAY_RESERVE(tokens, *count, capacity);
        struct engine_token *t = &tokens[(*count)++];
        t->id = script_word(start, (size_t)(p - start));
        double p1 = 0.05 + 0.94 * random_uniform(24, (uint64_t)t->id, (uint64_t)*count);
        t->logprob = (float)log(p1);
        int at = p1 > 0.3 ? 0 : 1; /* an unlikely one is not the most likely */
        for (int i = 0; i < ENGINE_TOP; i++) {
            static const char *const others[] = {" =", "10", "5", " left", "6", " (", " 4", "\n"};
            double rest = p1 > 0.3 ? (1 - p1) / 2 : 0.35;
            int id = script_word(others[i], strlen(others[i]));
            if (id == t->id && i != at)
                id = script_word("and", 3);
            t->top[i] = i == at ? (struct engine_choice){t->id, t->logprob}
                                : (struct engine_choice){id, (float)log(rest * pow(0.55, i) + 1e-5)};
        }
    }
    return tokens;
}

static int64_t script_number;
static int script_step, script_nodes;

static inline struct search_event *script_make(enum search_event_kind kind)
{
    return search_event_make(kind, script_number++, script_step);
}

static inline void script_emit(struct tui_screen *s, struct search_event *event)
{
    tui_screen_event(s, event);
    search_event_release(event);
}

/* On a screen that is open. */
static inline void script_session(struct tui_screen *s, const char *task, const char *problem, const char *strategy)
{
    script_number = script_nodes = 0;
    script_step = -1;
    s->token_text = script_token_text;
    struct search_event *e = script_make(SEARCH_EVENT_SESSION);
    e->session.task = xstrdup(task);
    e->session.problem = xstrdup(problem);
    e->session.strategy = xstrdup(strategy);
    e->session.model = xstrdup("SmolLM2 135M Instruct");
    e->session.seed = 7;
    e->session.sampling = ENGINE_SAMPLING_DEFAULT;
    e->session.budget_tokens = 10000;
    script_emit(s, e);
    script_nodes = 1;
}

static inline void script_begin(struct tui_screen *s, const char *task, const char *problem, const char *strategy)
{
    tui_screen_open(s);
    script_session(s, task, problem, strategy);
}

/* One item a node; `samples` each. */
static inline void script_plan(struct tui_screen *s, const char *why, enum search_purpose purpose, const int *nodes, int count, int samples)
{
    script_step++;
    struct search_event *e = script_make(SEARCH_EVENT_PLAN);
    struct search_item *items = xcalloc((size_t)count, sizeof *items);
    for (int i = 0; i < count; i++) {
        items[i] = (struct search_item){.purpose = purpose, .nodes = xmalloc(sizeof(int)), .count = 1, .samples = samples};
        items[i].nodes[0] = nodes[i];
    }
    e->plan.why = xstrdup(why);
    e->plan.items = items;
    e->plan.count = count;
    script_emit(s, e);
}

static inline int64_t script_completion(struct tui_screen *s, int item, int sample, const char *text)
{
    struct search_event *e = script_make(SEARCH_EVENT_COMPLETION);
    e->completion.item = item;
    e->completion.sample = sample;
    e->completion.tokens = script_tokens(text, &e->completion.count);
    e->completion.text = xstrdup(text);
    e->completion.usage = (struct search_usage){.prompt = 120, .cached = sample ? 120 : 90, .completion = e->completion.count, .flops = 3e9};
    script_emit(s, e);
    return script_number - 1;
}

/* A thought of all the tokens of the latest completion, or of `first` and `count` of them. */
static inline int script_thought(struct tui_screen *s, int parent, int64_t completion, int first, int count, const char *text, const char *state,
                          const char *answer, int correct, const char *illegal)
{
    struct search_event *e = script_make(SEARCH_EVENT_THOUGHT);
    e->thought.node = script_nodes++;
    e->thought.parent = parent;
    e->thought.text = xstrdup(text);
    e->thought.completion = completion;
    e->thought.first = first;
    e->thought.count = count;
    e->thought.state = xstrdup(state);
    e->thought.answer = xstrdup(answer);
    e->thought.final = answer != NULL;
    e->thought.correct = correct;
    e->thought.illegal = illegal != NULL;
    e->thought.why = xstrdup(illegal);
    script_emit(s, e);
    return script_nodes - 1;
}

/* The lines of one completion, each a thought: "text|state" or "text!why it is illegal". */
static inline void script_propose(struct tui_screen *s, int item, int parent, const char *const *lines)
{
    struct string text = {0};
    for (int i = 0; lines[i]; i++)
        string_addf(&text, "%s%.*s", i ? "\n" : "", (int)strcspn(lines[i], "|!"), lines[i]);
    int64_t completion = script_completion(s, item, 0, text.text);
    string_free(&text);
    for (int i = 0, first = 0; lines[i]; i++) {
        size_t n = strcspn(lines[i], "|!");
        char *line = xstrndup(lines[i], n);
        int count;
        free(script_tokens(line, &count));
        script_thought(s, parent, completion, first, count, line, lines[i][n] == '|' ? lines[i] + n + 1 : NULL, NULL, -1,
                       lines[i][n] == '!' ? lines[i] + n + 1 : NULL);
        first += count;
        free(line);
    }
}

static inline void script_judge(struct tui_screen *s, int item, int node, const char *const labels[3], double score)
{
    for (int i = 0; i < 3; i++)
        script_completion(s, item, i, labels[i] ? labels[i] : "perhaps it is");
    struct search_event *e = script_make(SEARCH_EVENT_JUDGEMENT);
    e->judgement.item = item;
    e->judgement.purpose = SEARCH_VALUE;
    e->judgement.nodes = xmalloc(sizeof(int));
    e->judgement.nodes[0] = node;
    e->judgement.scores = xmalloc(sizeof(double));
    e->judgement.scores[0] = score;
    e->judgement.count = 1;
    e->judgement.samples = 3;
    e->judgement.most = 60;
    e->judgement.labels = xcalloc(3, sizeof(char *));
    for (int i = 0; i < 3; i++)
        e->judgement.labels[i] = xstrdup(labels[i]);
    script_emit(s, e);
}

static inline void script_decide(struct tui_screen *s, const char *why, const int *kept, int count)
{
    struct search_event *e = script_make(SEARCH_EVENT_DECISION);
    e->decision.kept = xmalloc((size_t)(count + 1) * sizeof(int));
    if (count)
        memcpy(e->decision.kept, kept, (size_t)count * sizeof(int));
    e->decision.kept_count = count;
    e->decision.why = xstrdup(why);
    script_emit(s, e);
}

static inline void script_result(struct tui_screen *s, const char *answer, int node, int correct, const char *why)
{
    struct search_event *e = script_make(SEARCH_EVENT_RESULT);
    e->result.strategy = xstrdup("tot");
    e->result.answer = xstrdup(answer);
    e->result.node = node;
    e->result.correct = correct;
    e->result.why = xstrdup(why);
    script_emit(s, e);
}

static inline void script_live(struct tui_snapshot *snapshot, int node, enum search_purpose purpose, int item, int sample, const char *text)
{
    struct tui_lives *lives = &snapshot->live;
    int count, before = 0;
    struct engine_token *tokens = script_tokens(text, &count);
    for (int i = 0; i < lives->count; i++)
        before += lives->list[i].count;
    lives->list = xrealloc(lives->list, (size_t)(lives->count + 1) * sizeof *lives->list);
    lives->tokens = xrealloc(lives->tokens, (size_t)(before + count + 1) * sizeof *tokens);
    if (count)
        memcpy(lives->tokens + before, tokens, (size_t)count * sizeof *tokens);
    lives->list[lives->count++] = (struct tui_live){.node = node, .purpose = purpose, .item = item, .sample = sample, .count = count};
    for (int i = 0, at = 0; i < lives->count; at += lives->list[i++].count)
        lives->list[i].tokens = lives->tokens + at;
    free(tokens);
}

static inline struct tui_snapshot script_snapshot(enum tui_state state, double time)
{
    return (struct tui_snapshot){.state = state, .time = time, .worked = time / 4, .statistics = {.decode_rows = (int64_t)(412 * time), .live = 3,
                                 .kv_used = 3100000, .kv_limit = 64000000}};
}

/* Game of 24 by Tree of Thoughts, in the middle of its second step: three branches being grown. */
static inline void script_game24(struct tui_screen *s)
{
    static const char *const first[] = {"10 - 4 = 6 (left: 5 6 6)|5 6 6",  "4 * 6 = 24 (left: 5 10 24)|5 10 24", "5 + 6 = 11 (left: 4 10 11)|4 10 11",
                                        "5 + 6 = 12 (left: 4 10 12)!5 + 6 is 11, not 12", "6 + 10 = 16 (left: 4 5 16)|4 5 16", NULL};
    static const char *const second[] = {"5 * 6 = 30 (left: 6 30)|6 30", "6 - 5 = 1 (left: 1 6)|1 6", "6 + 6 = 12 (left: 5 12)|5 12", NULL};
    static const char *const sure[] = {"sure", "sure", "likely"}, *const likely[] = {"likely", "likely", "impossible"},
                             *const hardly[] = {"impossible", NULL, "impossible"};
    script_begin(s, "game24", "4 5 6 10", "tot,b=3,generate=propose,evaluate=value,select=greedy,n_generate_sample=1,n_evaluate_sample=3");
    script_plan(s, "propose from 1 state", SEARCH_PROPOSE, (int[]){0}, 1, 1);
    script_propose(s, 0, 0, first);
    script_plan(s, "value 4 states", SEARCH_VALUE, (int[]){1, 2, 3, 5}, 4, 3);
    script_judge(s, 0, 1, sure, 41);
    script_judge(s, 1, 2, likely, 2.001);
    script_judge(s, 2, 3, hardly, 0.002);
    script_judge(s, 3, 5, likely, 2.001);
    script_decide(s, "kept 3 of 4 by value: 41, 2.001, 2.001", (int[]){1, 2, 5}, 3);
    script_plan(s, "propose from 3 states", SEARCH_PROPOSE, (int[]){1, 2, 5}, 3, 1);
    script_propose(s, 0, 1, second);
    struct tui_snapshot old = script_snapshot(TUI_RUNNING, 10), now = script_snapshot(TUI_RUNNING, 11);
    tui_screen_snapshot(s, &old);
    script_live(&now, 2, SEARCH_PROPOSE, 1, 0, "24 - 10 = 14 (left: 5 14)\n24 + 10 = 34 (le");
    script_live(&now, 5, SEARCH_PROPOSE, 2, 0, "");
    tui_screen_snapshot(s, &now);
}

/* The same, at its end. */
static inline void script_game24_done(struct tui_screen *s)
{
    static const char *const third[] = {"30 - 6 = 24 (left: 24)|24", "30 + 6 = 36 (left: 36)|36", NULL};
    static const char *const sure[] = {"sure", "sure", "sure"}, *const no[] = {"impossible", "impossible", "impossible"};
    script_game24(s);
    struct tui_snapshot now = script_snapshot(TUI_DONE, 12);
    tui_screen_snapshot(s, &now);
    script_decide(s, "kept 1 of 3 by value: 60", (int[]){6}, 1);
    script_plan(s, "propose from 1 state", SEARCH_PROPOSE, (int[]){6}, 1, 1);
    script_propose(s, 0, 6, third);
    script_plan(s, "value 2 states", SEARCH_VALUE, (int[]){9, 10}, 2, 3);
    script_judge(s, 0, 9, sure, 60);
    script_judge(s, 1, 10, no, 0.003);
    int64_t c = script_completion(s, 0, 0, "Answer: 5 * (10 - 4) - 6 = 24");
    int node = script_thought(s, 9, c, 0, 10, "Answer: 5 * (10 - 4) - 6 = 24", NULL, "5*(10-4)-6", 1, NULL);
    script_decide(s, "kept 1 of 1: it holds an answer", &node, 1);
    script_result(s, "5*(10-4)-6", node, 1, "an answer of the best state");
}

/* Self-consistency: eight paths and their vote. */
static inline void script_votes(struct tui_screen *s)
{
    static const struct { const char *text, *answer; } paths[] = {
        {"Eight times seven is 56. The answer is 56.", "56"},
        {"8 * 7 is seven eights: 8, 16, 24, 32, 40, 48, 56. The answer is 56.", "56"},
        {"Seven and eight make fifteen.\nThe answer is 15.", "15"},
        {"We know that 8 * 7 = 54. The answer is 54.", "54"},
        {"It is 56.", "56"},
        {"I am not sure what is asked here", NULL},
    };
    script_begin(s, "ask", "What is 8 * 7?", "self-consistency,m=6");
    script_plan(s, "begin 6 paths", SEARCH_SAMPLE, (int[]){0}, 1, 6);
    for (int i = 0; i < 6; i++) {
        int64_t c = script_completion(s, 0, i, paths[i].text);
        int count;
        free(script_tokens(paths[i].text, &count));
        script_thought(s, 0, c, 0, count, paths[i].text, NULL, paths[i].answer, -1, NULL);
    }
    struct search_event *e = script_make(SEARCH_EVENT_DECISION);
    e->decision.kept = xmalloc(3 * sizeof(int));
    memcpy(e->decision.kept, (int[]){1, 2, 5}, 3 * sizeof(int));
    e->decision.kept_count = 3;
    e->decision.why = xstrdup("plurality 3 of 5 votes (1 of 6 paths has none): 56");
    e->decision.tally_count = 3;
    e->decision.tally = xcalloc(3, sizeof *e->decision.tally);
    e->decision.tally[0] = (struct search_tally){xstrdup("56"), 3, -12, 1};
    e->decision.tally[1] = (struct search_tally){xstrdup("15"), 1, -9, 3};
    e->decision.tally[2] = (struct search_tally){xstrdup("54"), 1, -11, 4};
    script_emit(s, e);
    script_result(s, "56", 1, -1, "plurality 3 of 5 votes (1 of 6 paths has none)");
    struct tui_snapshot now = script_snapshot(TUI_DONE, 3);
    tui_screen_snapshot(s, &now);
}

/* Three visits of a tree search: a decision each, with what it backed up. */
static inline void script_visit(struct tui_screen *s, const int *path, int count, double reward)
{
    struct search_event *e = script_make(SEARCH_EVENT_DECISION);
    e->decision.kept = xmalloc(sizeof(int));
    e->decision.kept[0] = path[0];
    e->decision.kept_count = 1;
    e->decision.why = xasprintf("visit %d: reward %g", path[0], reward);
    e->decision.backups = xcalloc((size_t)count, sizeof *e->decision.backups);
    e->decision.backup_count = count;
    for (int i = 0; i < count; i++)
        e->decision.backups[i] = (struct search_backup){path[i], reward};
    script_emit(s, e);
}

/* Monte Carlo tree search: four thoughts, judged, and three visits to two of them. */
static inline void script_mcts(struct tui_screen *s, const char *strategy)
{
    static const char *const first[] = {"10 - 4 = 6 (left: 5 6 6)|5 6 6",  "4 * 6 = 24 (left: 5 10 24)|5 10 24", "5 + 6 = 11 (left: 4 10 11)|4 10 11",
                                        "5 + 6 = 12 (left: 4 10 12)!5 + 6 is 11, not 12", NULL};
    static const char *const second[] = {"5 * 6 = 30 (left: 6 30)|6 30", "6 - 5 = 1 (left: 1 6)|1 6", NULL};
    static const char *const sure[] = {"sure", "sure", "likely"}, *const likely[] = {"likely", "likely", "impossible"};
    script_begin(s, "game24", "4 5 6 10", strategy);
    script_plan(s, "visit 1: grow the problem", SEARCH_PROPOSE, (int[]){0}, 1, 1);
    script_propose(s, 0, 0, first);
    script_plan(s, "value 3 states", SEARCH_VALUE, (int[]){1, 2, 3}, 3, 3);
    script_judge(s, 0, 1, sure, 41);
    script_judge(s, 1, 2, likely, 2.001);
    script_judge(s, 2, 3, likely, 2.001);
    script_visit(s, (int[]){1, 0}, 2, 0.7);
    script_plan(s, "visit 2: grow 1", SEARCH_PROPOSE, (int[]){1}, 1, 1);
    script_propose(s, 0, 1, second);
    script_plan(s, "value 2 states", SEARCH_VALUE, (int[]){5, 6}, 2, 3);
    script_judge(s, 0, 5, sure, 60);
    script_judge(s, 1, 6, likely, 2.001);
    script_visit(s, (int[]){5, 1, 0}, 3, 0.9);
    script_visit(s, (int[]){2, 0}, 2, 0.1);
    struct tui_snapshot now = script_snapshot(TUI_PAUSED, 5);
    tui_screen_snapshot(s, &now);
}

static inline void script_own(struct tui_screen *s, int parent, int replaces, const char *text)
{
    struct search_event *e = script_make(SEARCH_EVENT_THOUGHT);
    e->thought.node = script_nodes++;
    e->thought.parent = parent;
    e->thought.text = xstrdup(text);
    e->thought.completion = e->thought.correct = -1;
    e->thought.by_user = 1;
    e->thought.replaces = replaces;
    script_emit(s, e);
}

static inline void script_prune(struct tui_screen *s, int node)
{
    struct search_event *e = script_make(SEARCH_EVENT_PRUNE);
    e->prune.node = node;
    script_emit(s, e);
}

#endif
