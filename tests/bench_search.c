/* What a search costs beside the model: time and memory a node, the journal, and opening a large session.
 *   make build/tests/bench_search && build/tests/bench_search [NODES...]      (from the root of the repository)
 *
 * A tiny model writes one token a thought; what the engine takes is subtracted. */
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
    int steps = nodes >= 100000 ? 64 : 10;
    char *path = task_file(steps), strategy[64];
    snprintf(strategy, sizeof strategy, "self-consistency,m=%d", nodes / steps > 10000 ? 10000 : nodes / steps);
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

int main(int argc, char **argv)
{
    static const int sizes[] = {1000, 10000, 100000};
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
