/* Real models against an independent implementation in fp32: log-probabilities of texts by every kernel set, and of the small one greedy
 * continuations by the exact one, decoded token by token over the cache. Skipped where a model or a reference is not there.
 *
 *   test_reference          SmolLM2
 *   test_reference gemma    Gemma 3 270M, which the exact set takes minutes for */
#include "engine/engine.h"
#include "engine/forward.h"
#include "reference_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* Mean |difference| a token over the texts. That of the fast sets is what llama.cpp has on the same texts and model. */
#define EXACT_BOUND 1e-3
#define FAST_BOUND 0.053
/* Where the runner-up is nearer than this, rounding may choose. */
#define NEAR_TIE 2e-3f

static char *in_cache(const char *file)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    return cache && *cache ? xasprintf("%s/espalier/models/%s", cache, file) : xasprintf("%s/.cache/espalier/models/%s", home ? home : "", file);
}

static char *model_path(void)
{
    const char *named = getenv("ESPALIER_MODEL");
    return named && *named ? xstrdup(named) : in_cache("SmolLM2-135M-Instruct.Q4_1.gguf");
}

static struct engine *open_model(const char *kernels)
{
    char *path = model_path();
    struct engine *engine = NULL;
    struct error e;
    if (access(path, R_OK))
        print_message("no model at %s: run `make model`\n", path);
    else if (engine_open(&engine, &(struct engine_options){.model = path, .kernels = kernels}, &e))
        fail_msg("%s", e.message);
    free(path);
    return engine;
}

static void run(struct engine *engine)
{
    struct error e;
    for (int live = 1; live;)
        if (engine_step(engine, &live, &e))
            fail_msg("%s", e.message);
}

struct difference {
    double mean, most;
    int same_top, tokens; /* how often the most probable token is the reference's */
};

static struct difference compare(struct engine *engine, const struct reference_file *file)
{
    struct difference d = {0};
    struct engine_result r;
    int first = 0, id;
    for (int i = 0; i < file->count; i++) {
        struct engine_request q = {.prompt = file->texts[i].ids, .prompt_count = file->texts[i].count, .score = 1};
        assert_int_equal(engine_submit(engine, &q, &id, NULL), OK);
        first = i ? first : id;
    }
    run(engine);
    while (engine_result(engine, &r)) {
        const struct reference_text *t = &file->texts[r.id - first];
        assert_int_equal(r.count, t->count - 1);
        for (int p = 0; p < r.count; p++) {
            double delta = fabs((double)r.tokens[p].logprob - (double)t->logprobs[p + 1]);
            d.mean += delta;
            d.most = fmax(d.most, delta);
            d.same_top += r.tokens[p].top[0].id == t->top[p];
            d.tokens++;
        }
        engine_result_free(&r);
    }
    d.mean /= d.tokens;
    return d;
}

static void test_logprobs(void **state)
{
    (void)state;
    struct reference_file file;
    struct engine *engine = open_model("auto");
    if (!engine || !reference_load("tests/reference/logprobs_smollm2.txt", &file)) {
        print_message("skipped: log-probabilities of the model\n");
        engine_close(engine);
        skip();
    }
    engine_close(engine);
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++) {
        if (!(*set)->supported())
            continue;
        engine = open_model((*set)->name);
        struct difference d = compare(engine, &file);
        print_message("%s: mean |difference| of a log-probability %.3g, most %.3g, same top token %.1f %% of %d\n",
                      (*set)->name, d.mean, d.most, 100.0 * d.same_top / d.tokens, d.tokens);
        assert_true(d.mean <= (strcmp((*set)->name, "reference") ? FAST_BOUND : EXACT_BOUND));
        engine_close(engine);
    }
    reference_free(&file);
}

/* Each token of each continuation is asked for by itself, after those of the reference: a request extends the path that
 * the one before it left in the cache by one position. */
static void test_continuations(void **state)
{
    (void)state;
    struct reference_file file;
    struct engine *engine = open_model("reference");
    if (!engine || !reference_load("tests/reference/continuations_smollm2.txt", &file)) {
        print_message("skipped: continuations of the model\n");
        engine_close(engine);
        skip();
    }
    int agree = 0, near = 0, total = 0;
    double sum = 0;
    struct engine_tokens *paths = xcalloc((size_t)file.count, sizeof *paths);
    for (int i = 0; i < file.count; i++)
        engine_tokens_append(&paths[i], file.texts[i].ids, file.texts[i].count);
    for (int step = 0; step < file.texts[0].next_count; step++) {
        struct engine_result r;
        int first = 0, id;
        for (int i = 0; i < file.count; i++) {
            struct engine_request q = {.prompt = paths[i].ids,
                                       .prompt_count = paths[i].count,
                                       .max_tokens = 1,
                                       .ignore_end = 1,
                                       .sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1}};
            assert_int_equal(engine_submit(engine, &q, &id, NULL), OK);
            first = i ? first : id;
        }
        run(engine);
        while (engine_result(engine, &r)) {
            int i = r.id - first;
            const struct reference_text *t = &file.texts[i];
            assert_int_equal(r.count, 1);
            assert_true(!step || r.cached == paths[i].count - 1);
            if (r.tokens[0].id == t->next[step]) {
                agree++;
                sum += fabs((double)r.tokens[0].logprob - (double)t->logprobs[step]);
            } else if (t->margins[step] < NEAR_TIE) {
                near++;
            } else {
                fail_msg("prompt %s, token %d: %d, expected %d (margin %g)", t->name, step, r.tokens[0].id,
                         t->next[step], (double)t->margins[step]);
            }
            engine_tokens_add(&paths[i], t->next[step]);
            total++;
            engine_result_free(&r);
        }
    }
    print_message("reference: %d of %d greedy tokens, %d near ties chosen otherwise; mean |difference| of a "
                  "log-probability %.2g\n",
                  agree, total, near, sum / agree);
    assert_true(sum / agree < EXACT_BOUND);
    for (int i = 0; i < file.count; i++)
        engine_tokens_free(&paths[i]);
    free(paths);
    engine_close(engine);
    reference_free(&file);
}

/* --- Gemma 3: the model alone, by ids --------------------------------------------------------------------------- */

/* That of llama.cpp in one batch on the same texts and model: see reference/README.md. */
#define GEMMA_BOUND 0.0655
enum { PASS = 64 };

struct passes { /* a model with a cache of one path */
    struct engine_file *file;
    struct engine_model *model;
    struct engine_forward *forward;
    struct kernel_pool *pool;
    struct kernel_run *runs;
    int blocks;
};

static void open_passes(struct passes *p, const char *path, const struct kernel_set *set, int positions)
{
    struct error e;
    *p = (struct passes){.pool = kernel_pool_create(2), .blocks = (positions + KERNEL_CELLS - 1) / KERNEL_CELLS};
    if (engine_file_open(&p->file, path, &e) ||
        engine_model_open(&p->model, p->file, (int)engine_file_tensor(p->file, "token_embd.weight")->size[1], positions, ENGINE_QUANT_NONE, set,
                          p->pool, &e) ||
        engine_forward_create(&p->forward, p->model, set, set->cache, p->pool, PASS, PASS, &e))
        fail_msg("%s", e.message);
    p->runs = xcalloc((size_t)p->blocks, sizeof *p->runs);
    for (int i = 0; i < p->blocks; i++)
        p->runs[i] = (struct kernel_run){aligned_xmalloc(engine_forward_block_bytes(p->model, set, set->cache)), 0, KERNEL_CELLS};
}

static void close_passes(struct passes *p)
{
    for (int i = 0; i < p->blocks; i++)
        free(p->runs[i].block);
    free(p->runs);
    engine_forward_free(p->forward);
    engine_model_close(p->model);
    engine_file_close(p->file);
    kernel_pool_free(p->pool);
}

static double logprob_of(const float *logits, int n, int token)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    return (double)logits[token] - most - log(sum);
}

static void compare_text(struct passes *p, const struct reference_text *t, struct difference *d)
{
    for (int first = 0; first < t->count - 1; first += PASS) {
        struct engine_row rows[PASS];
        int n = t->count - 1 - first < PASS ? t->count - 1 - first : PASS, all[PASS];
        for (int i = 0; i < n; i++) {
            const int at = first + i;
            rows[i] = (struct engine_row){.token = t->ids[at], .position = at, .runs = p->runs, .block = p->runs[at / KERNEL_CELLS].block};
            all[i] = i;
        }
        engine_forward_run(p->forward, rows, n);
        const float *logits = engine_forward_logits(p->forward, all, n);
        for (int i = 0; i < n; i++, logits += p->model->vocabulary) {
            const double delta = fabs(logprob_of(logits, p->model->vocabulary, t->ids[first + i + 1]) - (double)t->logprobs[first + i + 1]);
            int top = 0;
            for (int j = 1; j < p->model->vocabulary; j++)
                top = logits[j] > logits[top] ? j : top;
            d->mean += delta, d->most = fmax(d->most, delta), d->tokens++;
            d->same_top += top == t->top[first + i];
        }
    }
}

static void test_gemma(void **state)
{
    (void)state;
    struct reference_file file;
    char *path = in_cache("gemma-3-270m-q4_k_m.gguf");
    if (access(path, R_OK) || !reference_load("tests/reference/logprobs_gemma3_270m.txt", &file)) {
        print_message("skipped: no model at %s\n", path);
        free(path);
        skip();
    }
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++) {
        struct difference d = {0};
        struct passes p;
        if (!(*set)->supported())
            continue;
        open_passes(&p, path, *set, 1024);
        for (int i = 0; i < file.count; i++)
            compare_text(&p, &file.texts[i], &d);
        d.mean /= d.tokens;
        print_message("gemma, %s: mean |difference| of a log-probability %.3g, most %.3g, same top token %.1f %% of %d\n", (*set)->name, d.mean,
                      d.most, 100.0 * d.same_top / d.tokens, d.tokens);
        assert_true(d.mean <= (strcmp((*set)->name, "reference") ? GEMMA_BOUND : EXACT_BOUND));
        close_passes(&p);
    }
    reference_free(&file);
    free(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_continuations),
    };
    const struct CMUnitTest gemma[] = {cmocka_unit_test(test_gemma)};
    return argc > 1 && !strcmp(argv[1], "gemma") ? cmocka_run_group_tests(gemma, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
