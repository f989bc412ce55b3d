/* What the engine's queue and its cache cost beside the model, as more waits and more is cached.
 *   make build/tests/bench_queue && build/tests/bench_queue [MOST]      (from the root of the repository; MOST: 100000)
 * Times are the processor's, for a machine that others use too.
 *
 * A step is that of 32 branches of a tiny model, which takes the same time however many requests wait; the cache is used by itself. */
#include "engine/engine.h"
#include "engine/kv.h"

#include <stdlib.h>
#include <time.h>

static const char model[] = "tests/reference/tiny/tiny-q8_0.gguf";
enum { STEPS = 50, CANCELS = 200, BRANCHES = 64, PROMPT = 64, OWN = 8, BLOCK_BYTES = 256 };

static double seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void check(int code, const struct error *e)
{
    if (code) {
        fprintf(stderr, "%s\n", e->message);
        abort();
    }
}

/* n requests; prompts have their first half in common and differ in the rest. */
static void queue(int n)
{
    struct error e;
    struct engine *engine;
    int ids[16], id = 0, live;
    check(engine_open(&engine, &(struct engine_options){.model = model, .threads = 1}, &e), &e);
    double start = seconds();
    for (int i = 0; i < n; i++) {
        for (int p = 0; p < 16; p++)
            ids[p] = p < 8 ? 10 + p : 3 + (int)(random_uniform(1, (uint64_t)i, (uint64_t)p) * 250);
        struct engine_request q = {.prompt = ids, .prompt_count = 16, .max_tokens = 4, .ignore_end = 1, .seed = 1, .stream = (uint64_t)i,
                                   .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}};
        check(engine_submit(engine, &q, &id, &e), &e);
    }
    double submitted = seconds() - start;
    check(engine_step(engine, &live, &e), &e);
    start = seconds();
    int steps = 0;
    for (; steps < STEPS && live >= 32; steps++)
        check(engine_step(engine, &live, &e), &e);
    double stepped = seconds() - start;
    struct engine_result r;
    while (engine_result(engine, &r))
        engine_result_free(&r);
    int cancels = CANCELS < live ? CANCELS : live;
    start = seconds();
    for (int i = 0; i < cancels; i++)
        engine_cancel(engine, id - i);
    double cancelled = seconds() - start;
    printf("%8d waiting: %8.2f us a submission, %9.1f us a step, %8.2f us a cancellation\n", n, submitted / n * 1e6, stepped / steps * 1e6,
           cancelled / (cancels ? cancels : 1) * 1e6);
    engine_close(engine);
}

/* One of n paths that share a prompt. */
static void fill_path(int *ids, int path)
{
    for (int p = 0; p < PROMPT; p++)
        ids[p] = p;
    for (int p = 0; p < OWN; p++)
        ids[PROMPT + p] = (int)(random_uniform(2, (uint64_t)path, (uint64_t)p) * 50000);
}

static int open_path(struct engine_kv *kv, int path)
{
    int ids[PROMPT + OWN], found, branch;
    fill_path(ids, path);
    branch = engine_kv_open(kv, 0, ids, PROMPT + OWN, &found);
    if (!engine_kv_reserve(kv, branch, PROMPT + OWN))
        abort();
    engine_kv_append(kv, branch, ids + found, PROMPT + OWN - found);
    return branch;
}

/* n paths cached under one prompt, while some branches are written: coming and going, and then with the memory full. */
static void cache(int n)
{
    int64_t blocks = PROMPT / KERNEL_CELLS + n + BRANCHES;
    struct engine_kv *kv = engine_kv_create(BLOCK_BYTES, (size_t)blocks * BLOCK_BYTES);
    struct engine_kv_usage usage;
    int ids[PROMPT + OWN], open[BRANCHES], found = 0;
    double start = seconds();
    for (int i = 0; i < n; i++)
        engine_kv_close(kv, open_path(kv, i));
    double filled = seconds() - start;
    for (int i = 0; i < BRANCHES; i++)
        open[i] = open_path(kv, n + i);
    start = seconds();
    for (int i = 0; i < CANCELS; i++) {
        fill_path(ids, i * (n / CANCELS + 1) % n);
        found += engine_kv_find(kv, 0, ids, PROMPT + OWN);
    }
    double searched = seconds() - start;
    start = seconds();
    for (int i = 0; i < CANCELS; i++)
        engine_kv_usage(kv, &usage);
    double used = seconds() - start;
    start = seconds();
    for (int i = 0; i < CANCELS; i++)
        engine_kv_close(kv, open_path(kv, n + BRANCHES + i));
    double evicted = seconds() - start;
    engine_kv_usage(kv, &usage);
    if (found != CANCELS * (PROMPT + OWN) || usage.evicted < CANCELS)
        abort();
    for (int i = 0; i < BRANCHES; i++)
        engine_kv_close(kv, open[i]);
    printf("%8d cached:  %8.2f us a path, %9.2f us a search, %9.2f us a count, %9.2f us a path that evicts another\n", n, filled / n * 1e6,
           searched / CANCELS * 1e6, used / CANCELS * 1e6, evicted / CANCELS * 1e6);
    engine_kv_free(kv);
}

int main(int argc, char **argv)
{
    int most = argc > 1 ? atoi(argv[1]) : 100000;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int n = 100; n <= most; n *= 10)
        queue(n);
    for (int n = 100; n <= most; n *= 10)
        cache(n);
    return 0;
}
