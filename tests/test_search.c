/* Whole searches with real models: the same seed gives the same log, byte for byte, whatever the threads, the batch,
 * the memory, what is cached already, how often the search is paused; and with the same acts of the user at the same
 * events.
 *
 * The tiny models have random weights and write noise, which makes them hard to repeat by accident. Run from the root
 * of the repository. */
#include "search/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char tiny[] = "tests/reference/tiny/tiny-q8_0.gguf", tiny_f32[] = "tests/reference/tiny/tiny-f32.gguf";

/* Noise has letters and digits: enough for labels and votes. */
static const char noise_task[] =
    "name: noise\nabout: made\nstrategy: greedy\nproblem: {form: any text}\nsteps: 3\nsampling: {temperature: 0.9, "
    "repetition_penalty: 1.1}\n"
    "answer: {pattern: '([0-9])', otherwise: text}\nverifier: {kind: text}\n"
    "sample: {messages: 'Go on: {problem} {path}', max_tokens: 24}\n"
    "propose: {messages: 'List: {problem} {path}', max_tokens: 60}\n"
    "value: {messages: 'Judge: {last}', max_tokens: 20, unreadable: 0.5, pattern: '([aeiou])', labels: {a: 5, e: 3, i: "
    "2, o: 1, u: 0.1}}\n"
    "vote: {messages: 'Choose: {candidates}', max_tokens: 24, candidate: '{number}: {last}; ', pattern: '([1-9])'}\n";

static char *write_task(void)
{
    char *path = xstrdup("/tmp/espalier_test_XXXXXX.yaml");
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, noise_task, sizeof noise_task - 1), sizeof noise_task - 1);
    close(fd);
    return path;
}

/* --- running ----------------------------------------------------------------------------------------------------- */

struct act {
    int64_t at;
    int node;
}; /* when the log has so many events: prune (node > 0), undo (-1), redo (-2) */
struct setting {
    const char *model, *task, *problem, *strategy;
    uint64_t seed;
    int64_t budget;
    int threads, batch;
    size_t kv_memory;
    int pauses; /* look at the tree and at what is live after each call */
    int warm;   /* another search went before on the same engine */
    struct act acts[6];
};

struct sink {
    const struct engine *engine;
    struct string log;
};

static void take_event(void *context, struct search_event *event)
{
    struct sink *sink = context;
    search_event_json(event, sink->engine, &sink->log);
}

static void look(const struct search *search)
{
    struct search_live live = SEARCH_LIVE_NONE;
    while (search_live(search, &live))
        assert_true(live.node >= 0 && live.node < search_tree(search)->count && (live.count == 0 || live.tokens));
}

/* What makes no sense at that moment (a node pruned already) is left out, at every setting alike. */
static void act(struct search *search, const struct act *acts, int *next)
{
    while (*next < 6 && acts[*next].at && search_tree(search)->event_count >= acts[*next].at) {
        int node = acts[(*next)++].node;
        node > 0     ? search_prune(search, node, NULL)
        : node == -1 ? search_undo(search, NULL)
                     : search_redo(search, NULL);
    }
}

static void check_tree(const struct search_tree *tree, int64_t budget)
{
    assert_non_null(tree->result);
    int64_t spent = tree->usage.prompt - tree->usage.cached + tree->usage.completion;
    assert_true(budget == 0 || spent <= budget);
    struct search_tree again = {0};
    for (int64_t i = 0; i < tree->event_count; i++) {
        assert_int_equal(tree->events[i]->number, i);
        search_tree_fold(&again, tree->events[i]);
    }
    assert_int_equal(again.count, tree->count);
    search_tree_free(&again);
}

static char *search_with(struct engine *engine, const struct setting *s, int64_t *events)
{
    struct error e;
    struct search_task *task = NULL;
    struct search *search = NULL;
    struct sink sink = {.engine = engine};
    enum search_status status = SEARCH_WORKING;
    int acts = 0;
    int code = search_task_open(&task, s->task, &e);
    struct search_options options = {.task = task,
                                     .problem = s->problem,
                                     .strategy = s->strategy,
                                     .seed = s->seed,
                                     .sampling = {-1, -1, -1, -1, -1},
                                     .budget_tokens = s->budget,
                                     .sink = take_event,
                                     .context = &sink};
    if (!code)
        code = search_open(&search, engine, &options, &e);
    while (!code && status != SEARCH_DONE) {
        act(search, s->acts, &acts);
        if (s->pauses)
            look(search);
        code = search_advance(search, &status, &e);
    }
    if (code)
        fail_msg("%s", e.message);
    check_tree(search_tree(search), s->budget);
    if (events)
        *events = search_tree(search)->event_count;
    search_close(search);
    search_task_close(task);
    return sink.log.text;
}

static struct engine *open_engine(int threads, int batch, size_t kv_memory)
{
    struct engine *engine;
    struct error e;
    struct engine_options options = {.model = tiny, .threads = threads, .batch = batch, .kv_memory = kv_memory};
    if (engine_open(&engine, &options, &e))
        fail_msg("%s", e.message);
    return engine;
}

static char *run(const struct setting *s, int64_t *events)
{
    struct error e;
    struct engine *engine;
    struct engine_options options = {
        .model = s->model, .threads = s->threads, .batch = s->batch, .kv_memory = s->kv_memory};
    if (engine_open(&engine, &options, &e))
        fail_msg("%s", e.message);
    if (s->warm) {
        struct setting other = *s;
        other.seed++;
        free(search_with(engine, &other, NULL));
    }
    char *log = search_with(engine, s, events);
    engine_close(engine);
    return log;
}

/* The log of a setting must not depend on how it is run. Returns how many events it has. */
static int64_t check_same(struct setting s)
{
    static const struct {
        int threads, batch, pauses, warm;
        size_t memory;
    } ways[] = {
        {2, 0, 0, 0, 0}, {1, 1, 0, 0, 0}, {2, 16, 1, 0, 0}, {1, 3, 1, 1, 0}, {1, 0, 0, 0, 600 * 1024},
    };
    int64_t events;
    s.threads = 1;
    s.batch = 16;
    int noise = s.model == tiny || s.model == tiny_f32; /* a real model takes its time: it goes only the first ways */
    char *first = run(&s, &events);
    for (size_t i = 0; i < (noise ? sizeof ways / sizeof *ways : 3); i++) {
        s.threads = ways[i].threads;
        s.batch = ways[i].batch;
        s.pauses = ways[i].pauses;
        s.warm = ways[i].warm;
        s.kv_memory = ways[i].memory;
        char *other = run(&s, NULL);
        if (strcmp(first, other)) {
            size_t at = 0;
            while (first[at] == other[at])
                at++;
            fail_msg("way %zu of %s: the logs part at byte %zu: %.60s | %.60s", i, s.strategy, at, first + at,
                     other + at);
        }
        free(other);
    }
    free(first);
    return events;
}

/* --- tests ------------------------------------------------------------------------------------------------------- */

static const char *const strategies[] = {
    "greedy",
    "self-consistency,m=9",
    "tot,b=2,generate=sample,k=4,n_evaluate=2",
    "tot,b=3,generate=propose,n_evaluate=1,select=sample",
    "tot,b=2,generate=sample,k=3,evaluate=vote,n_evaluate=5",
    "self-consistency,m=5,weight=normalised,adaptive=1,round=2",
    "best-of-n,n=3,judge=steps,aggregate=prod,weighted=1,n_evaluate=1",
    "beam,n=4,m=2,n_evaluate=1",
    "tot-dfs,limit=4,generate=sample,k=2,n_evaluate=1",
    "mcts,iterations=3,generate=sample,k=2,n_evaluate=1",
    "ab-mcts,iterations=5,n_evaluate=1",
    "auto,probe=2,n=4,m=2,n_evaluate=1",
};
enum { STRATEGIES = sizeof strategies / sizeof *strategies };

static void test_same_seed_same_log(void **state)
{
    struct setting s = {.model = tiny, .task = *state, .problem = "what grows here?"};
    for (int i = 0; i < STRATEGIES; i++) {
        s.strategy = strategies[i];
        s.seed = (uint64_t)i + 3;
        assert_true(check_same(s) > 5);
    }
    s.model = tiny_f32;
    s.strategy = strategies[2];
    check_same(s);
}

static void test_another_seed_another_log(void **state)
{
    struct setting s = {
        .model = tiny, .task = *state, .problem = "p", .strategy = strategies[1], .seed = 1, .threads = 1};
    char *one = run(&s, NULL);
    s.seed = 2;
    char *two = run(&s, NULL);
    /* The session line differs by the seed alone, so look at what follows it. */
    assert_string_not_equal(strchr(one, '\n'), strchr(two, '\n'));
    free(one);
    free(two);
}

static void test_same_acts_same_log(void **state)
{
    struct setting s = {.model = tiny, .task = *state, .problem = "what grows here?", .seed = 5};
    static const struct act acts[][6] = {
        {{9, 1}, {12, -1}, {14, -2}, {30, -1}},
        {{14, 2}, {20, 3}, {25, 5}, {33, -1}, {34, -1}, {40, -2}},
        {{7, 1}, {8, 2}, {40, -1}},
    };
    for (int i = 1; i < STRATEGIES; i++)
        for (int a = 0; a < 3; a++) {
            s.strategy = strategies[i];
            memcpy(s.acts, acts[a], sizeof acts[a]);
            check_same(s);
        }
}

static void test_same_budget_same_log(void **state)
{
    struct setting s = {.model = tiny, .task = *state, .problem = "what grows here?", .seed = 7};
    for (int i = 0; i < STRATEGIES; i++)
        for (s.budget = 40; s.budget < 2000; s.budget = s.budget * 5 / 2) {
            s.strategy = strategies[i];
            check_same(s);
        }
}

/* Thousands of nodes in a memory that holds a few dozen: the coldest branches are dropped, computed anew when they are
 * come back to, and nobody can tell. */
static void test_small_memory(void **state)
{
    static const struct {
        const char *strategy;
        int nodes, evicted;
    } cases[] = {
        {"self-consistency,m=1200", 2000, 1500},
        {"mcts,iterations=150,generate=sample,n_generate_sample=24,n_evaluate_sample=1", 500, 800},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct setting s = {.task = *state, .problem = "what grows here?", .strategy = cases[i].strategy, .seed = 11};
        char *logs[2];
        for (int small = 0; small < 2; small++) {
            struct engine *engine = open_engine(2, 0, small ? 512 * 1024 : 0);
            struct engine_statistics statistics;
            int thoughts = 0;
            logs[small] = search_with(engine, &s, NULL);
            for (const char *at = logs[small]; (at = strstr(at, "\"event\":\"thought\"")); at++)
                thoughts++;
            engine_statistics(engine, &statistics);
            assert_true(thoughts > cases[i].nodes);
            assert_true(small ? statistics.evicted > cases[i].evicted : statistics.evicted == 0);
            assert_true(statistics.kv_used <= statistics.kv_limit);
            engine_close(engine);
        }
        assert_string_equal(logs[0], logs[1]);
        free(logs[0]);
        free(logs[1]);
    }
}

/* --- in company, and interrupted --------------------------------------------------------------------------------- */

/* Advance the group until all are done, or have this many events between them. */
static void advance_all(struct search_group *group, struct search **searches, int64_t most)
{
    enum search_status status = SEARCH_WORKING;
    struct search *moved = NULL;
    struct error e;
    int64_t events = 0;
    while ((moved || status != SEARCH_DONE) && events < most) {
        if (search_group_advance(group, &moved, &status, &e))
            fail_msg("%s", e.message);
        events = 0;
        for (int i = 0; i < STRATEGIES; i++)
            events += search_tree(searches[i])->event_count;
    }
}

/* All strategies in one batch; with `interrupt` they are closed after so many events, engine and all, and opened again from their logs. */
static void race(const char *task_path, int threads, int batch, int64_t interrupt, char *const *alone)
{
    struct engine *engine = open_engine(threads, batch, 0);
    struct search_task *task;
    struct search *searches[STRATEGIES];
    struct sink sinks[STRATEGIES] = {{0}};
    struct search_tree logs[STRATEGIES] = {{0}};
    struct search_group *group = search_group_open();
    struct error e;
    assert_int_equal(search_task_open(&task, task_path, &e), OK);
    struct search_options options = {.task = task, .problem = "what grows here?", .seed = 11, .sampling = {-1, -1, -1, -1, -1}};
    for (int i = 0; i < STRATEGIES; i++) {
        options.strategy = strategies[i];
        if (search_open(&searches[i], engine, &options, &e))
            fail_msg("%s", e.message);
        search_group_add(group, searches[i]);
    }
    advance_all(group, searches, interrupt ? interrupt : INT64_MAX);
    for (int i = 0; i < STRATEGIES; i++) {
        search_tree_at(search_tree(searches[i]), search_tree(searches[i])->event_count, &logs[i]);
        search_close(searches[i]);
    }
    search_group_close(group);
    engine_close(engine);
    engine = open_engine(threads, batch, 0);
    group = search_group_open();
    for (int i = 0; i < STRATEGIES; i++) {
        sinks[i].engine = engine;
        options.sink = take_event;
        options.context = &sinks[i];
        if (search_open_again(&searches[i], engine, &options, logs[i].events, logs[i].event_count, &e))
            fail_msg("%s", e.message);
        search_group_add(group, searches[i]);
    }
    advance_all(group, searches, INT64_MAX);
    for (int i = 0; i < STRATEGIES; i++) {
        if (strcmp(sinks[i].log.text, alone[i]))
            fail_msg("%s: %d threads, batch %d, interrupted at %d: not the log of the search alone", strategies[i], threads, batch, (int)interrupt);
        string_free(&sinks[i].log);
        search_close(searches[i]);
        search_tree_free(&logs[i]);
    }
    search_group_close(group);
    search_task_close(task);
    engine_close(engine);
}

/* Threads, batch, company, interruption: none of them changes a bit. */
static void test_race(void **state)
{
    char *alone[STRATEGIES];
    for (int i = 0; i < STRATEGIES; i++)
        alone[i] = run(&(struct setting){.model = tiny, .task = *state, .problem = "what grows here?", .strategy = strategies[i], .seed = 11,
                                         .threads = 1, .batch = 16}, NULL);
    for (int threads = 1; threads <= 2; threads++)
        for (int batch = 1; batch <= 25; batch += 8)
            for (int64_t interrupt = 0; interrupt <= 400; interrupt += 130)
                race(*state, threads, batch, interrupt, alone);
    for (int i = 0; i < STRATEGIES; i++)
        free(alone[i]);
}

static void test_shipped_tasks(void **state)
{
    (void)state;
    /* Those whose prompts a tiny model's context holds. */
    static const struct {
        const char *task, *problem;
    } tasks[] = {{"examples/ask.yaml", "What is 8 * 7?"}, {"examples/math-word.yaml", "@1"}};
    for (int i = 0; i < 2; i++) {
        struct setting s = {
            .model = tiny, .task = tasks[i].task, .problem = tasks[i].problem, .seed = 1, .budget = 4000};
        check_same(s);
    }
}

/* --- the model that comes with espalier -------------------------------------------------------------------------- */

static char *find_model(void)
{
    const char *given = getenv("ESPALIER_MODEL"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = given ? xstrdup(given)
                 : cache && *cache
                     ? xasprintf("%s/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf", cache)
                     : xasprintf("%s/.cache/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf", home ? home : "");
    if (access(path, R_OK)) {
        print_message("skipped: no model at %s\n", path);
        free(path);
        skip();
    }
    return path;
}

static void test_model(void **state)
{
    (void)state;
    char *model = find_model();
    check_same((struct setting){.model = model,
                                .task = "examples/ask.yaml",
                                .problem = "What is 8 * 7?",
                                .strategy = "self-consistency,m=6",
                                .seed = 1,
                                .budget = 400,
                                .acts = {{7, 2}, {11, -1}}});
    check_same((struct setting){.model = model,
                                .task = "examples/game24.yaml",
                                .problem = "@901",
                                .strategy = "tot,b=2,n_evaluate=1",
                                .seed = 1,
                                .budget = 1500});
    free(model);
}

int main(void)
{
    char *task = write_task();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_same_seed_same_log, task),
        cmocka_unit_test_prestate(test_another_seed_another_log, task),
        cmocka_unit_test_prestate(test_same_acts_same_log, task),
        cmocka_unit_test_prestate(test_same_budget_same_log, task),
        cmocka_unit_test_prestate(test_small_memory, task),
        cmocka_unit_test_prestate(test_race, task),
        cmocka_unit_test(test_shipped_tasks),
        cmocka_unit_test(test_model),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(task);
    free(task);
    return failed;
}
