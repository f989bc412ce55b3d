/* A real model against an independent implementation in fp32: log-probabilities of eight texts by every kernel set, and
 * greedy continuations by the exact one, decoded token by token over the cache. Skipped where the model or a reference
 * is not there. */
#include "engine/engine.h"
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

static char *model_path(void)
{
    const char *named = getenv("ESPALIER_MODEL"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (named && *named)
        return xstrdup(named);
    const char *file = "espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    return cache && *cache ? xasprintf("%s/%s", cache, file) : xasprintf("%s/.cache/%s", home ? home : "", file);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_continuations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
