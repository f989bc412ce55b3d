/* What a search costs beside the model: time and memory a node, the journal, and opening a large session.
 *   make build/tests/bench_search && build/tests/bench_search [NODES...]      (from the root of the repository)
 *
 * A tiny model writes one token a thought; what the engine takes is subtracted. */
#include "search/event.h"
#include "search/search.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char model[] = "tests/reference/tiny/tiny-q8_0.gguf";

static char *task_file(int steps)
{
    char *path = xstrdup("/tmp/espalier_bench_XXXXXX.yaml"), *text;
    int fd = mkstemps(path, 5);
    text = xasprintf("name: bench\nabout: b\nstrategy: greedy\nproblem: {form: any}\nsteps: %d\nsampling: {temperature: 1}\n"
                     "answer: {pattern: 'ANSWER (.*)', otherwise: text}\nverifier: {kind: none}\ncontinues: false\n"
                     "sample: {messages: '{step}', max_tokens: 1}\n", steps);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        abort();
    close(fd);
    free(text);
    return path;
}

static void check(int code, const struct error *e)
{
    if (code) {
        fprintf(stderr, "%s\n", e->message);
        abort();
    }
}

static void measure(int nodes, const char *journal_path)
{
    struct error e;
    struct engine *engine;
    struct search_task *task;
    struct search *search;
    struct search_journal *journal = NULL;
    enum search_status status = SEARCH_WORKING;
    int steps = 10;
    char *path = task_file(steps), strategy[64];
    snprintf(strategy, sizeof strategy, "self-consistency,m=%d", nodes / steps);
    check(engine_open(&engine, &(struct engine_options){.model = model, .batch = 64}, &e), &e);
    check(search_task_open(&task, path, &e), &e);
    if (journal_path)
        check(search_journal_create(&journal, journal_path, &e), &e);
    size_t before = mallinfo2().uordblks;
    double start = clock_seconds();
    struct search_options options = {.task = task, .problem = "p", .strategy = strategy, .seed = 1, .sampling = {-1, -1, -1, -1, -1}, .journal = journal};
    check(search_open(&search, engine, &options, &e), &e);
    while (status != SEARCH_DONE)
        check(search_advance(search, &status, &e), &e);
    double wall = clock_seconds() - start;
    struct engine_statistics s;
    engine_statistics(engine, &s);
    const struct search_tree *tree = search_tree(search);
    double own = wall - s.busy_seconds;
    printf("%8d nodes%s: %7.2f us a node beside the engine (%.2f s of %.2f), %6.0f bytes a node, %.0f events/s\n", tree->count,
           journal ? ", journal" : "", own / tree->count * 1e6, own, wall, ((double)(mallinfo2().uordblks - before) - (double)s.kv_used) / tree->count,
           (double)tree->event_count / own);
    search_close(search);
    search_journal_close(journal);
    search_task_close(task);
    engine_close(engine);
    unlink(path);
    free(path);
}

static void reopen(const char *path)
{
    struct error e;
    struct search_sessions sessions;
    struct stat info;
    double start = clock_seconds();
    check(search_sessions_load(&sessions, path, &e), &e);
    double seconds = clock_seconds() - start;
    stat(path, &info);
    const struct search_tree *tree = &sessions.list[0].tree;
    printf("%8d nodes: opened in %.2f s, %.0f events/s, %.0f MB on disk\n", tree->count, seconds, (double)tree->event_count / seconds,
           (double)info.st_size / 1e6);
    search_sessions_free(&sessions);
}

/* A session of so many nodes that no model wrote: a bushy tree, a completion of eight tokens for each thought. */
static void synthesise(const char *path, int nodes)
{
    struct error e;
    struct search_journal *journal;
    struct search_event *made[4000];
    struct search_tree tree = {0};
    int64_t number = 0, count = 0;
    double folded = 0, written = 0;
    check(search_journal_create(&journal, path, &e), &e);
    size_t before = mallinfo2().uordblks;
    for (int node = 0; node < nodes; node++) {
        struct search_event *event = search_event_make(node ? SEARCH_EVENT_COMPLETION : SEARCH_EVENT_SESSION, number++, node ? 0 : -1);
        made[count++] = event;
        if (node) {
            event->completion.sample = node;
            event->completion.text = xstrdup("10 - 4 = 6 (left: 5 6 6)");
            event->completion.count = 8;
            event->completion.tokens = xcalloc(8, sizeof *event->completion.tokens);
            event = made[count++] = search_event_make(SEARCH_EVENT_THOUGHT, number++, 0);
            event->thought.node = node;
            event->thought.parent = (int)(random_uniform(5, 0, (uint64_t)node) * node) / 3;
            event->thought.text = xasprintf("10 - 4 = %d (left: 5 6 6)", node);
            event->thought.completion = number - 2;
            event->thought.count = 8;
            event->thought.correct = -1;
        } else {
            event->session.task = xstrdup("game24");
            event->session.problem = xstrdup("4 5 6 10");
            event->session.strategy = xstrdup("greedy");
            event->session.model = xstrdup("none");
            event = made[count++] = search_event_make(SEARCH_EVENT_PLAN, number++, 0);
            event->plan.why = xstrdup("all of it");
            event->plan.items = search_items_copy(&(struct search_item){.purpose = SEARCH_SAMPLE, .nodes = (int[]){0}, .count = 1, .samples = nodes}, 1);
            event->plan.count = 1;
        }
        if (count < 3990 && node + 1 < nodes)
            continue;
        double start = clock_seconds();
        check(search_journal_copy(journal, 0, made, count, &e), &e);
        written += clock_seconds() - start;
        start = clock_seconds();
        for (int64_t i = 0; i < count; i++) {
            search_tree_fold(&tree, made[i]);
            search_event_release(made[i]);
        }
        folded += clock_seconds() - start;
        count = 0;
    }
    printf("%8d nodes that nobody wrote: folded in %.2f us a node, %.0f bytes a node with its events; written at %.0f events/s\n", nodes,
           folded / nodes * 1e6, (double)(mallinfo2().uordblks - before) / nodes, (double)number / written);
    search_tree_free(&tree);
    search_journal_close(journal);
    reopen(path);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {1000, 10000, 100000};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int nodes = 1000; nodes <= 1000000; nodes *= 10) {
        char path[] = "/tmp/espalier_bench_XXXXXX";
        int fd = mkstemp(path);
        close(fd);
        unlink(path);
        synthesise(path, nodes);
        unlink(path);
    }
    for (int i = 0; i < (argc > 1 ? argc - 1 : 3); i++) {
        char folder[] = "/tmp/espalier_bench_XXXXXX";
        int nodes = argc > 1 ? atoi(argv[i + 1]) : sizes[i];
        if (!mkdtemp(folder))
            abort();
        char *path = xasprintf("%s/s.session", folder);
        measure(nodes, NULL);
        measure(nodes, path);
        reopen(path);
        unlink(path);
        rmdir(folder);
        free(path);
    }
    return 0;
}
