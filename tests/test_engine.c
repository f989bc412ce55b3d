/* The engine on tiny models: log-probabilities against an independent implementation; the same results, bit for bit,
 * whatever the threads, the batch, the order, the memory, and who joins or leaves; sharing counted; endings; and what
 * must be refused. */
#include "engine/state.h"
#include "reference_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "driven.h"

#define TINY "tests/reference/tiny/"
#define MODEL TINY "tiny-wide-q4_1.gguf"

enum { MANY = 40 };

/* --- driving an engine ------------------------------------------------------------------------------------------- */

static struct engine *open_with(struct engine_options options)
{
    struct error e;
    struct engine *engine = NULL;
    if (!options.model)
        options.model = MODEL;
    if (engine_open(&engine, &options, &e))
        fail_msg("%s", e.message);
    return engine;
}

static struct engine_result result_of(struct engine *engine, const struct engine_request *q)
{
    struct engine_result r;
    int id = submit(engine, q);
    run(engine);
    assert_true(engine_result(engine, &r));
    assert_int_equal(r.id, id);
    return r;
}

static struct engine_statistics statistics(const struct engine *engine)
{
    struct engine_statistics s;
    engine_statistics(engine, &s);
    return s;
}

static void assert_same(const struct engine_result *a, const struct engine_result *b)
{
    assert_int_equal(a->ending, b->ending);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->prompt_count, b->prompt_count);
    if (a->count)
        assert_memory_equal(a->tokens, b->tokens, (size_t)a->count * sizeof *a->tokens);
}

static int prompt[512]; /* ids of no meaning: what a model makes of them is as good as any */

static struct engine_request request(const int *ids, int n, int max_tokens)
{
    return (struct engine_request){.prompt = ids,
                                   .prompt_count = n,
                                   .max_tokens = max_tokens,
                                   .ignore_end = 1,
                                   .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1},
                                   .seed = 3};
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

/* How far log-probabilities may be from exact activations, mean of a text and most in a token; the first row that fits
 * counts. Sets other than the reference keep keys in 16 bits and round activations to 8 where the weights are
 * quantized; random weights show that more than a trained model's do. */
static const struct bound {
    const char *set, *model; /* parts of their names */
    double mean, most;
} bounds[] = {
    {"reference", "", 1e-5, 1e-4},
    {"", "f32", 2e-3, 2e-2},
    {"", "f16", 2e-3, 2e-2},
    {"", "", 0.1, 0.4},
};

static const struct bound *bound_of(const char *set, const char *model)
{
    const struct bound *b = bounds;
    while (!strstr(set, b->set) || !strstr(model, b->model))
        b++;
    return b;
}

static void test_logprobs(void **state)
{
    (void)state;
    struct reference_file file;
    assert_true(reference_load("tests/reference/logprobs_tiny.txt", &file));
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++) {
        if (!(*set)->supported())
            continue;
        double worst[2] = {0, 0};
        for (int i = 0; i < file.count; i++) {
            const struct reference_text *t = &file.texts[i];
            int length = (int)strcspn(t->name, " ");
            char path[256], type[64];
            snprintf(type, sizeof type, "%.*s", length, t->name);
            snprintf(path, sizeof path, TINY "%s.gguf", type);
            const struct bound *bound = bound_of((*set)->name, type);
            struct engine *engine =
                open_with((struct engine_options){.model = path, .kernels = (*set)->name, .threads = 2});
            struct engine_request q = request(t->ids, t->count, 0);
            q.score = 1;
            struct engine_result r = result_of(engine, &q);
            assert_int_equal(r.ending, ENGINE_END_SCORED);
            assert_int_equal(r.count, t->count - 1);
            double sum = 0, most = 0;
            for (int p = 0; p + 1 < t->count; p++) {
                double d = fabs((double)r.tokens[p].logprob - (double)t->logprobs[p + 1]);
                sum += d / (t->count - 1);
                most = fmax(most, d);
                assert_int_equal(r.tokens[p].id, t->ids[p + 1]);
            }
            if (sum > bound->mean || most > bound->most)
                fail_msg("%s, %s: |difference| mean %g, most %g", t->name, (*set)->name, sum, most);
            worst[0] = fmax(worst[0], sum);
            worst[1] = fmax(worst[1], most);
            engine_result_free(&r);
            engine_close(engine);
        }
        print_message("%s: log-probabilities off by %.2g in the mean of a text and %.2g in a token at most\n",
                      (*set)->name, worst[0], worst[1]);
    }
    reference_free(&file);
}

/* --- the same bits ----------------------------------------------------------------------------------------------- */

/* Requests of every kind: one prompt many times, prompts that share a beginning, short and long ones, scores, stops,
 * filters. */
static int make_requests(struct engine_request *q)
{
    static const char *const stops[] = {"e", "zz"};
    int n = 0;
    for (int i = 0; i < 6; i++, n++)
        q[n] = request(prompt, 70, 24);
    for (int i = 0; i < 4; i++, n++)
        q[n] = request(prompt, 41 + 16 * i, 10 + 9 * i);
    q[n++] = request(prompt + 100, 260, 20); /* more rows than a pass takes */
    q[n++] = request(prompt + 100, 259, 20);
    q[n++] = request(prompt + 300, 1, 40);
    q[n++] = request(prompt + 301, 16, 33);
    q[n] = request(prompt, 90, 30), q[n].sampling.temperature = 0, n++;
    q[n] = request(prompt, 90, 30), q[n].sampling.top_k = 5, q[n].sampling.top_p = 0.9f, n++;
    q[n] = request(prompt, 20, 60), q[n].sampling.repetition_penalty = 1.3f, q[n].sampling.min_p = 0.05f, n++;
    q[n] = request(prompt, 20, 60), q[n].stops = stops, q[n].stop_count = 2, n++;
    q[n] = request(prompt, 33, 60), q[n].ignore_end = 0, q[n].sampling.temperature = 3, n++;
    q[n] = request(prompt, 150, 0), q[n].score = 1, n++;
    q[n] = request(prompt + 100, 200, 0), q[n].score = 1, n++;
    q[n] = request(prompt, 2, 0), q[n].score = 1, n++;
    for (int i = 0; i < n; i++)
        q[i].stream = (uint64_t)i;
    return n;
}

/* Run them in the order of a permutation; out[i] is the result of q[i]. */
static void run_in_order(struct engine *engine, const struct engine_request *q, int n, int stride,
                         struct engine_result *out)
{
    int of_id[MANY];
    struct engine_result r;
    for (int i = 0; i < n; i++) {
        int which = i * stride % n;
        of_id[submit(engine, &q[which]) % MANY] = which;
    }
    run(engine);
    for (int i = 0; i < n; i++) {
        assert_true(engine_result(engine, &r));
        out[of_id[r.id % MANY]] = r;
    }
    assert_false(engine_result(engine, &r));
}

static void free_results(struct engine_result *r, int n)
{
    for (int i = 0; i < n; i++)
        engine_result_free(&r[i]);
}

/* Bytes for so many tokens of this model in this set's cache. */
static size_t memory_for(const char *kernels, int tokens)
{
    struct engine *engine = open_with((struct engine_options){.kernels = kernels, .threads = 1});
    size_t bytes = engine_info(engine)->kv_bytes_per_token * (size_t)tokens;
    engine_close(engine);
    return bytes;
}

/* all: every combination of threads, batch and memory, and not only some. */
static void same_bits(const char *kernels, int all)
{
    struct engine_request q[MANY];
    struct engine_result alone[MANY], r[MANY];
    int n = make_requests(q);
    assert_true(n % 3 && n % 5 && n % 7); /* the strides below visit all */
    for (int i = 0; i < n; i++) {
        struct engine *engine = open_with((struct engine_options){.kernels = kernels, .threads = 1, .batch = 1});
        alone[i] = result_of(engine, &q[i]);
        assert_int_equal(alone[i].cached, 0);
        engine_close(engine);
    }
    const int threads[] = {1, 2, 3}, batches[] = {1, 4, 16}, strides[] = {1, 5, 7};
    size_t small = memory_for(kernels, 480);
    int64_t evicted = 0, recomputed = 0;
    for (int c = 0; c < 3 * 3 * 2; c++) {
        if (!all && c % 4 != 1)
            continue;
        struct engine_options o = {
            .kernels = kernels, .threads = threads[c % 3], .batch = batches[c / 3 % 3], .kv_memory = c / 9 ? small : 0};
        struct engine *engine = open_with(o);
        for (int round = 0; round < 2; round++) { /* once cold, once with what the first left */
            run_in_order(engine, q, n, strides[(c + round) % 3], r);
            for (int i = 0; i < n; i++)
                assert_same(&alone[i], &r[i]);
            free_results(r, n);
        }
        struct engine_statistics s = statistics(engine);
        assert_int_equal(s.live, 0);
        assert_int_equal(s.waiting, 0);
        assert_true(s.kv_used <= s.kv_limit);
        if (c / 9)
            evicted += s.evicted, recomputed += s.prompt_rows;
        else
            recomputed -= s.prompt_rows;
        engine_close(engine);
    }
    assert_true(evicted > 0 && recomputed > 0);
    free_results(alone, n);
}

static void test_same_bits(void **state)
{
    (void)state;
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++)
        if ((*set)->supported())
            same_bits((*set)->name, set == kernel_sets());
}

/* What a prompt's pass computes for a text is what decoding it token by token computed. */
static void test_decoding_is_prefill(void **state)
{
    (void)state;
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++) {
        if (!(*set)->supported())
            continue;
        struct engine *engine = open_with((struct engine_options){.kernels = (*set)->name, .threads = 2});
        struct engine_request q = request(prompt, 37, 150);
        struct engine_result r = result_of(engine, &q);
        int all[37 + 150];
        memcpy(all, prompt, 37 * sizeof *all);
        for (int i = 0; i < r.count; i++)
            all[37 + i] = r.tokens[i].id;
        struct engine_request score = request(all, 37 + r.count, 0);
        score.score = 1;
        for (int cold = 0; cold < 2; cold++) { /* over cached keys, and over its own */
            struct engine_result s = result_of(engine, &score);
            assert_int_equal(s.count, 36 + r.count);
            assert_memory_equal(s.tokens + 36, r.tokens, (size_t)r.count * sizeof *r.tokens);
            engine_result_free(&s);
            engine_forget(engine, all, 37 + r.count);
            assert_int_equal(statistics(engine).kv_used, 0);
        }
        for (int from = 0; from <= 37 + r.count; from += 17) { /* a part of it, over what is cached of the rest */
            int skipped = from > 1 ? from - 1 : 0;
            score.score_from = from;
            struct engine_result part = result_of(engine, &score);
            assert_int_equal(part.count, 36 + r.count - skipped);
            for (int k = 0; k < part.count; k++)
                if (skipped + k >= 36)
                    assert_memory_equal(&part.tokens[k], &r.tokens[skipped + k - 36], sizeof part.tokens[k]);
            assert_true(from < 40 || part.cached >= from - 1 || !part.count);
            engine_result_free(&part);
        }
        for (int i = 1; i < r.count; i++) { /* each as the first of a request of its own */
            struct engine_request next = request(all, 37 + i, 1);
            next.sampling.temperature = 0;
            struct engine_result s = result_of(engine, &next);
            assert_memory_equal(s.tokens[0].top, r.tokens[i].top, sizeof s.tokens[0].top);
            engine_result_free(&s);
        }
        engine_result_free(&r);
        engine_close(engine);
    }
}

/* Token i of a completion is drawn with random_uniform(seed, stream, i): with top-k 8 the reported top says which it
 * is. */
static void test_draws(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 1});
    struct engine_request q = request(prompt, 12, 100);
    q.sampling.top_k = ENGINE_TOP;
    q.sampling.temperature = 2;
    q.seed = 0x123456789abcdef0, q.stream = 0xfedcba9876543210;
    struct engine_result r = result_of(engine, &q);
    for (int i = 0; i < r.count; i++) {
        const struct engine_token *t = &r.tokens[i];
        double weights[ENGINE_TOP], sum = 0, reached = 0, draw = random_uniform(q.seed, q.stream, (uint64_t)i);
        for (int k = 0; k < ENGINE_TOP; k++)
            sum += weights[k] = exp((double)t->top[k].logprob / 2);
        int k = 0;
        while ((reached += weights[k]) <= draw * sum)
            k++;
        assert_int_equal(t->id, t->top[k].id);
        assert_true(t->logprob == t->top[k].logprob);
    }
    engine_result_free(&r);
    engine_close(engine);
}

/* --- sharing, memory, order -------------------------------------------------------------------------------------- */

static void test_sharing(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 2});
    struct engine_request q = request(prompt, 200, 8);
    struct engine_result r;
    for (int i = 0; i < 16; i++) {
        q.stream = (uint64_t)i;
        submit(engine, &q);
    }
    assert_int_equal(statistics(engine).waiting, 16);
    step(engine);
    assert_int_equal(statistics(engine).live, 1); /* the others wait for the prompt */
    assert_int_equal(statistics(engine).prompt_rows, ENGINE_PROMPT_ROWS);
    run(engine);
    /* One computed the prompt, the others its last token for their logits. */
    assert_int_equal(statistics(engine).prompt_rows, 200 + 15);
    assert_int_equal(statistics(engine).decode_rows, 16 * 7);
    size_t block = engine_info(engine)->kv_bytes_per_token * KERNEL_CELLS;
    assert_true(statistics(engine).kv_used <= (13 + 16 + 1) * block);
    int cached = 0;
    for (int i = 0; i < 16; i++) {
        assert_true(engine_result(engine, &r));
        cached += r.cached;
        engine_result_free(&r);
    }
    assert_int_equal(cached, 15 * 199);
    engine_close(engine);
}

/* No pass takes more prompt rows or branches than it should, and prompts go in order. */
static void test_limits_of_a_pass(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 2, .batch = 3});
    struct engine_request q[MANY];
    int n = make_requests(q);
    for (int i = 0; i < n; i++)
        submit(engine, &q[i]);
    struct engine_statistics before = statistics(engine), after;
    for (int live = n; live; before = after) {
        live = step(engine);
        after = statistics(engine);
        assert_true(after.prompt_rows - before.prompt_rows <= ENGINE_PROMPT_ROWS);
        assert_true(after.decode_rows - before.decode_rows <= 3);
        assert_true(after.live <= 3);
        assert_true(after.prompt_rows + after.decode_rows > before.prompt_rows + before.decode_rows);
        assert_int_equal(after.passes, before.passes + 1);
        assert_int_equal(after.live + after.waiting, live);
    }
    engine_close(engine);
}

/* Two branches fit when they begin and not when they end: the later gives way, though it is the earlier that asks for
 * the block that is not there, and comes back. */
static void test_preemption(void **state)
{
    (void)state;
    struct engine_request q[2] = {request(prompt, 20, 200), request(prompt + 50, 28, 200)};
    struct engine_result alone[2], r;
    struct engine *engine = open_with((struct engine_options){.threads = 2});
    for (int i = 0; i < 2; i++)
        alone[i] = result_of(engine, &q[i]);
    engine_close(engine);
    engine = open_with((struct engine_options){.threads = 2, .kv_memory = memory_for(NULL, 240)});
    for (int i = 0; i < 2; i++)
        submit(engine, &q[i]);
    step(engine);
    assert_int_equal(statistics(engine).live, 2);
    run(engine);
    assert_true(statistics(engine).prompt_rows > 48);
    for (int i = 0; i < 2; i++) {
        assert_true(engine_result(engine, &r));
        assert_int_equal(r.id, i); /* the earlier one was never put back */
        assert_int_equal(r.cached, 0);
        assert_same(&r, &alone[i]);
        engine_result_free(&r);
    }
    free_results(alone, 2);
    engine_close(engine);
}

/* A path of many small branches may leave no room for its own end; alone it takes the least, and just fits. */
static void test_scattered_path(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 1, .kv_memory = memory_for(NULL, 160)});
    for (int i = 1; i < 9; i++) { /* each leaves the path at another position, so that the next must fork there */
        int ids[72];
        memcpy(ids, prompt, sizeof ids);
        ids[8 * i - 1] = 1;
        struct engine_request q = request(ids, 8 * i + 1, 1);
        struct engine_result r = result_of(engine, &q);
        engine_result_free(&r);
    }
    struct engine_request q = request(prompt, 64, 96);
    struct engine_result r = result_of(engine, &q), alone;
    assert_int_equal(r.count, 96);
    engine_close(engine);
    engine = open_with((struct engine_options){.threads = 1});
    alone = result_of(engine, &q);
    assert_same(&r, &alone);
    engine_result_free(&r);
    engine_result_free(&alone);
    engine_close(engine);
}

static void test_join_and_leave(void **state)
{
    (void)state;
    struct engine_request q[MANY];
    struct engine_result alone[MANY], r;
    int n = make_requests(q);
    struct engine *engine = open_with((struct engine_options){.threads = 1});
    for (int i = 0; i < n; i++)
        alone[i] = result_of(engine, &q[i]);
    engine_close(engine);
    for (uint64_t seed = 0; seed < 4; seed++) {
        engine = open_with(
            (struct engine_options){.threads = 2, .batch = 5, .kv_memory = seed % 2 ? memory_for(NULL, 480) : 0});
        int of_id[512], submitted = 0, ended = 0, cancelled = 0;
        for (uint64_t i = 0; submitted < 3 * n || ended < submitted; i++) {
            double u = random_uniform(seed, 9, i);
            if (u < 0.3 && submitted < 3 * n) {
                int which = (int)(random_uniform(seed, 10, i) * n), id = submit(engine, &q[which]);
                of_id[id] = which;
                submitted++;
            } else if (u < 0.35 && submitted) {
                int id = (int)(random_uniform(seed, 11, i) * submitted);
                const struct engine_token *tokens;
                int count;
                if (engine_so_far(engine, id, &tokens, &count)) {
                    assert_true(count <= alone[of_id[id]].count);
                    if (count)
                        assert_memory_equal(tokens, alone[of_id[id]].tokens, (size_t)count * sizeof *tokens);
                    engine_cancel(engine, id);
                    assert_false(engine_so_far(engine, id, &tokens, &count));
                }
                engine_cancel(engine, id); /* twice does nothing */
            } else if (u < 0.38) {
                engine_forget(engine, prompt, (int)(random_uniform(seed, 12, i) * 100));
            } else {
                step(engine);
            }
            while (engine_result(engine, &r)) {
                ended++;
                const struct engine_result *full = &alone[of_id[r.id]];
                if (r.ending == ENGINE_END_CANCELLED) {
                    cancelled++;
                    assert_true(r.count <= full->count);
                    if (r.count)
                        assert_memory_equal(r.tokens, full->tokens, (size_t)r.count * sizeof *r.tokens);
                } else {
                    assert_same(&r, full);
                }
                engine_result_free(&r);
            }
        }
        assert_true(cancelled > 0 && cancelled < submitted);
        engine_close(engine);
    }
    free_results(alone, n);
}

/* Thousands that wait, some of them given up: what is live, what waits and what has ended are always all there are, and
 * each has the result it has alone, memory or not. */
static void test_long_queue(void **state)
{
    (void)state;
    enum { WAITING = 3000, KINDS = 12 };
    struct engine_request q[KINDS];
    struct engine_result alone[KINDS], r;
    static int ended[WAITING];
    for (int small = 0; small < 2; small++) {
        size_t memory = small ? memory_for(NULL, 320) : 0;
        struct engine *engine = open_with((struct engine_options){.threads = 2, .kv_memory = memory});
        for (int i = 0; i < KINDS; i++) { /* half of them have a beginning in common */
            q[i] = request(i % 2 ? prompt : prompt + 9 * i, 3 + 2 * i, 1 + i % 3);
            if (!small)
                alone[i] = result_of(engine, &q[i]);
        }
        int first = -1, left = WAITING, cancelled = 0;
        memset(ended, 0, sizeof ended);
        for (int i = 0; i < WAITING; i++) {
            int id = submit(engine, &q[i * 7 % KINDS]);
            first = i ? first : id;
            assert_int_equal(id, first + i);
        }
        for (uint64_t i = 0; left; i++) {
            const struct engine_token *tokens;
            int count, which = (int)(random_uniform(17, 0, i) * WAITING);
            assert_int_equal(engine_so_far(engine, first + which, &tokens, &count), !ended[which]);
            if (i % 4 == 0)
                engine_cancel(engine, first + which); /* those that have ended have nothing to give up */
            int live = step(engine);
            struct engine_statistics s = statistics(engine);
            assert_int_equal(s.live + s.waiting, live);
            assert_true(s.live <= 32);
            for (; engine_result(engine, &r); left--) {
                assert_int_equal(ended[r.id - first]++, 0);
                if (r.ending == ENGINE_END_CANCELLED)
                    cancelled++;
                else
                    assert_same(&r, &alone[(r.id - first) * 7 % KINDS]);
                engine_result_free(&r);
            }
            assert_int_equal(live, left);
        }
        assert_true(cancelled > 10);
        assert_true(statistics(engine).evicted > 0 || !small);
        engine_close(engine);
    }
    free_results(alone, KINDS);
}

static void test_forget(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 1});
    struct engine_request q = request(prompt, 100, 40);
    struct engine_result r[2];
    int path[140];
    r[0] = result_of(engine, &q);
    size_t one = statistics(engine).kv_used;
    q.stream = 1;
    r[1] = result_of(engine, &q);
    size_t both = statistics(engine).kv_used;
    assert_true(both > one && both < 2 * one);
    for (int i = 1; i >= 0; i--) {
        memcpy(path, prompt, 100 * sizeof *path);
        for (int j = 0; j < 40; j++)
            path[100 + j] = r[i].tokens[j].id;
        engine_forget(engine, path, 140);
        assert_int_equal(statistics(engine).kv_used, i ? one : 0);
    }
    struct engine_result again = result_of(engine, &q);
    assert_int_equal(again.cached, 0);
    assert_same(&again, &r[1]);
    engine_result_free(&again);
    free_results(r, 2);
    engine_close(engine);
}

/* --- endings ----------------------------------------------------------------------------------------------------- */

static struct string text_of(const struct engine *engine, const struct engine_result *r)
{
    struct string s = {0};
    for (int i = 0; i < r->count; i++)
        engine_detokenize(engine, &r->tokens[i].id, 1, 0, &s);
    return s;
}

static void test_endings(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 1, .context = 64});
    struct engine_request q = request(prompt, 30, 50);
    struct engine_result r = result_of(engine, &q), s;
    assert_int_equal(r.ending, ENGINE_END_CONTEXT);
    assert_int_equal(r.count, 34);
    q.max_tokens = 34;
    s = result_of(engine, &q);
    assert_int_equal(s.ending, ENGINE_END_LENGTH);
    assert_int_equal(s.count, 34);
    engine_result_free(&s);

    /* Every stretch of the text that tokens 3 to 6 touch stops it at the token that completes it, wherever it begins.
     */
    struct string text = text_of(engine, &r);
    size_t begins[40] = {0};
    for (int i = 0; i < r.count; i++) {
        struct string token = {0};
        engine_detokenize(engine, &r.tokens[i].id, 1, 0, &token);
        begins[i + 1] = begins[i] + token.length;
        string_free(&token);
    }
    q.max_tokens = 50;
    for (size_t from = begins[3]; from < begins[5]; from++)
        for (size_t to = from + 1; to <= begins[6]; to++) {
            char *stop = xstrndup(text.text + from, to - from);
            const char *const stops[] = {"never", stop};
            q.stops = stops;
            q.stop_count = 2;
            if (strlen(stop) == to - from) {
                s = result_of(engine, &q);
                assert_int_equal(s.ending, ENGINE_END_STOP);
                struct string kept = text_of(engine, &s);
                size_t at = 0; /* the first place where the whole text has it */
                while (memcmp(text.text + at, stop, to - from))
                    at++;
                assert_int_equal(kept.length, begins[s.count]);
                assert_true(begins[s.count] >= at + to - from && begins[s.count - 1] < at + to - from);
                assert_memory_equal(s.tokens, r.tokens, (size_t)s.count * sizeof *s.tokens);
                string_free(&kept);
                engine_result_free(&s);
            }
            free(stop);
        }
    q.stop_count = 0;
    string_free(&text);
    engine_result_free(&r);

    /* An ending token ends, and is left out; ignored, it is a token like others. */
    int ended = 0;
    q.sampling.temperature = 5;
    for (q.stream = 0; q.stream < 200 && !ended; q.stream++) {
        q.ignore_end = 0;
        r = result_of(engine, &q);
        q.ignore_end = 1;
        s = result_of(engine, &q);
        ended = r.ending == ENGINE_END_TOKEN;
        assert_true(ended || r.count == s.count);
        assert_true(!ended || engine_token_ends(engine, s.tokens[r.count].id));
        for (int i = 0; i < r.count; i++)
            assert_false(engine_token_ends(engine, r.tokens[i].id));
        if (r.count)
            assert_memory_equal(r.tokens, s.tokens, (size_t)r.count * sizeof *r.tokens);
        engine_result_free(&r);
        engine_result_free(&s);
    }
    assert_true(ended);

    q.max_tokens = 0;
    r = result_of(engine, &q);
    assert_int_equal(r.ending, ENGINE_END_LENGTH);
    assert_int_equal(r.count, 0);
    q = request(prompt, 1, 0), q.score = 1;
    r = result_of(engine, &q);
    assert_int_equal(r.ending, ENGINE_END_SCORED);
    assert_int_equal(r.count, 0);
    q = request(prompt, 64, 0), q.score = 1; /* a score may fill the context */
    r = result_of(engine, &q);
    assert_int_equal(r.count, 63);
    engine_result_free(&r);
    assert_int_equal(step(engine), 0);
    submit(engine, &q); /* closing with a result not fetched and requests under way */
    run(engine);
    q = request(prompt, 20, 20);
    for (int i = 0; i < 40; i++)
        submit(engine, &q);
    assert_int_equal(step(engine), 40);
    engine_close(engine);
}

/* --- refusals ---------------------------------------------------------------------------------------------------- */

static void refuses_request(struct engine *engine, struct engine_request q, int code, const char *const *parts)
{
    struct error e = {0};
    int id;
    assert_int_equal(engine_submit(engine, &q, &id, &e), code);
    for (; *parts; parts++)
        if (!strstr(e.message, *parts))
            fail_msg("\"%s\" does not say \"%s\"", e.message, *parts);
}

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_bad_requests(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 1, .context = 64});
    int bad[3] = {5, 6, 299};
    refuses_request(engine, request(prompt, 64, 5), ERROR_INPUT, PARTS("64 tokens", "context 64", "--context"));
    refuses_request(engine, request(prompt, 0, 5), ERROR_INPUT, PARTS("empty"));
    refuses_request(engine, request(bad, 3, 5), ERROR_INPUT, PARTS("token 2", "299", "298"));
    bad[1] = -1;
    refuses_request(engine, request(bad, 3, 5), ERROR_INPUT, PARTS("token 1", "-1"));
    refuses_request(engine, request(prompt, 3, -1), ERROR_INPUT, PARTS("-1"));
    struct engine_request q = request(prompt, 5, 5);
    q.sampling.temperature = NAN;
    refuses_request(engine, q, ERROR_INPUT, PARTS("temperature"));
    q = request(prompt, 5, 5), q.sampling.top_p = 0;
    refuses_request(engine, q, ERROR_INPUT, PARTS("top-p"));
    q = request(prompt, 5, 5), q.sampling.top_k = -1;
    refuses_request(engine, q, ERROR_INPUT, PARTS("top-k"));
    q = request(prompt, 5, 5), q.sampling.min_p = 2;
    refuses_request(engine, q, ERROR_INPUT, PARTS("min-p"));
    q = request(prompt, 5, 5), q.sampling.repetition_penalty = 0;
    refuses_request(engine, q, ERROR_INPUT, PARTS("repetition"));
    q = request(prompt, 5, 5), q.stops = PARTS(""), q.stop_count = 1;
    refuses_request(engine, q, ERROR_INPUT, PARTS("stop 0"));
    assert_int_equal(step(engine), 0);
    engine_close(engine);

    engine = open_with((struct engine_options){.vocabulary_only = 1});
    struct engine_tokens ids = {0};
    engine_tokenize(engine, "left", 4, 0, &ids);
    assert_true(ids.count > 0);
    assert_int_equal(engine_info(engine)->vocabulary, 299);
    refuses_request(engine, request(ids.ids, ids.count, 5), ERROR_USAGE, PARTS("without its weights"));
    engine_forget(engine, ids.ids, ids.count);
    assert_int_equal(step(engine), 0);
    engine_tokens_free(&ids);
    engine_close(engine);
}

/* A branch that cannot fit even alone fails by itself; the others go on. */
static void test_memory_too_small(void **state)
{
    (void)state;
    struct engine *engine = open_with((struct engine_options){.threads = 1, .kv_memory = memory_for(NULL, 64)});
    struct engine_request large = request(prompt, 100, 50), growing = request(prompt, 20, 100),
                          small = request(prompt, 20, 20);
    int ids[3] = {submit(engine, &large), submit(engine, &growing), submit(engine, &small)}, live = 1, errors = 0,
        results = 0;
    while (live) {
        struct error e = {0};
        int code = engine_step(engine, &live, &e);
        if (code) {
            errors++;
            assert_int_equal(code, ERROR_ENGINE);
            assert_non_null(strstr(e.message, "--kv-memory"));
        }
    }
    assert_int_equal(errors, 2);
    struct engine_result r;
    while (engine_result(engine, &r)) {
        results++;
        if (r.id == ids[2]) {
            assert_int_equal(r.ending, ENGINE_END_LENGTH);
            assert_int_equal(r.count, 20);
        } else {
            assert_int_equal(r.ending, ENGINE_END_CANCELLED);
            assert_int_equal(r.count > 0, r.id == ids[1]);
        }
        engine_result_free(&r);
    }
    assert_int_equal(results, 3);
    engine_close(engine);
}

struct bytes {
    char *data;
    size_t size;
};

static struct bytes read_bytes(const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    struct bytes b = {xmalloc(1 << 20), 0};
    b.size = fread(b.data, 1, 1 << 20, f);
    fclose(f);
    return b;
}

static char *find_bytes(const struct bytes *b, const char *what, size_t n)
{
    for (size_t i = 0; i + n <= b->size; i++)
        if (!memcmp(b->data + i, what, n))
            return b->data + i;
    return NULL;
}

/* Opens the changed bytes as a file; the error, or "" when it opens. */
static struct error open_bytes(const struct bytes *b, struct engine **out)
{
    char path[] = "/tmp/espalier-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->data, b->size), (ssize_t)b->size);
    close(fd);
    struct error e = {0};
    struct engine_options o = {.model = path, .threads = 1};
    *out = NULL;
    int code = engine_open(out, &o, &e);
    unlink(path);
    assert_int_equal(code, e.code);
    return e;
}

/* A key of text, and one more to keep the tensors aligned, before the others. */
static void insert_text(struct bytes *b, const char *key, const char *text)
{
    struct string s = {0};
    uint64_t n;
    uint32_t type = 8;
    const char *const pairs[2][2] = {{key, text}, {"test.padding", ""}};
    for (int i = 0; i < 2; i++) {
        n = strlen(pairs[i][0]);
        string_append(&s, (char *)&n, 8);
        string_add(&s, pairs[i][0]);
        string_append(&s, (char *)&type, 4);
        n = i ? (32 - (s.length + 8) % 32) % 32 : strlen(text);
        string_append(&s, (char *)&n, 8);
        if (i)
            string_append(&s, "                                ", n);
        else
            string_add(&s, text);
    }
    memmove(b->data + 24 + s.length, b->data + 24, b->size - 24);
    memcpy(b->data + 24, s.text, s.length);
    b->size += s.length;
    b->data[16] = (char)(b->data[16] + 2);
    string_free(&s);
}

static void test_bad_models(void **state)
{
    (void)state;
#define CHANGE(from, to) from, to, sizeof(from) - 1
    static const struct {
        const char *file, *from, *to; /* the first occurrence of from becomes to */
        size_t size;
        const char *says[3];
    } cases[] = {
        {"tiny-f32",
         CHANGE("\5\0\0\0\0\0\0\0llama", "\5\0\0\0\0\0\0\0llamb"),
         {"general.architecture", "llamb", "known are: llama"}},
        {"tiny-f32", CHANGE("blk.1.attn_v.weight", "blk.1.attn_w.weight"), {"blk.1.attn_v.weight", "missing", NULL}},
        {"tiny-f32",
         CHANGE("blk.1.ffn_norm.weight", "blk.1.fff_norm.weight"),
         {"blk.1.ffn_norm.weight", "missing", NULL}},
        {"tiny-f32", CHANGE("token_embd.weight", "token_emld.weight"), {"token_embd.weight", "missing", NULL}},
        {"tiny-untied-f32",
         CHANGE("\15\0\0\0\0\0\0\0output.weight", "\15\0\0\0\0\0\0\0outpot.weight"),
         {"outpot.weight", "not one", "not supported"}},
        {"tiny-f32", CHANGE("llama.block_count", "llama.block_coumt"), {"llama.block_count", "missing", NULL}},
        {"tiny-f32",
         CHANGE("feed_forward_length\4\0\0\0\100", "feed_forward_length\4\0\0\0\101"),
         {"ffn_", "shape", "65"}},
        {"tiny-f32",
         CHANGE("head_count_kv\4\0\0\0\1", "head_count_kv\4\0\0\0\3"),
         {"attention.head_count_kv", "3", "from 1 to 2"}},
        {"tiny-f32",
         CHANGE("embedding_length\4\0\0\0\40\0\0\0", "embedding_length\4\0\0\0\40\0\0\377"),
         {"llama.embedding_length", "expected", NULL}},
        {"tiny-f32",
         CHANGE("dimension_count\4\0\0\0\20", "dimension_count\4\0\0\0\10"),
         {"rope.dimension_count", "8", "16"}},
        {"tiny-f32", CHANGE("general.architecture", "general.architexture"), {"general.architecture", "missing", NULL}},
        {"tiny-keylength-f32",
         CHANGE("head_count\4\0\0\0\4", "head_count\4\0\0\0\3"),
         {"attention.head_count_kv", "2", "3 heads"}},
        {"tiny-f32", CHANGE("key_length\4\0\0\0\20", "key_length\4\0\0\0\17"), {"attention.key_length", "15", "even"}},
        {"tiny-f32",
         CHANGE("rms_epsilon\6\0\0\0\254\305\47\67", "rms_epsilon\6\0\0\0\0\0\300\177"),
         {"rms_epsilon", "nan", "expected"}},
        {"tiny-f32", CHANGE("rms_epsilon", "rmx_epsilon"), {"rms_epsilon", "missing", NULL}},
        {"tiny-f32",
         CHANGE("token_embd.weight\2\0\0\0\40\0\0\0\0\0\0\0\53\1", "token_embd.weight\2\0\0\0\40\0\0\0\0\0\0\0\52\1"),
         {"token_embd.weight", "298", "299"}},
        {"tiny-f32",
         CHANGE("output_norm.weight\1\0\0\0\40\0\0\0\0\0\0\0\0", "output_norm.weight\1\0\0\0\40\0\0\0\0\0\0\0\1"),
         {"output_norm.weight", "F16", "F32"}},
        {"tiny-f32",
         CHANGE("attention.key_length", "attention.kex_length"),
         {NULL, NULL, NULL}}, /* falls back to width / heads */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[256];
        snprintf(path, sizeof path, TINY "%s.gguf", cases[i].file);
        struct bytes b = read_bytes(path);
        char *at = find_bytes(&b, cases[i].from, cases[i].size);
        assert_non_null(at);
        memcpy(at, cases[i].to, cases[i].size);
        struct engine *engine;
        struct error e = open_bytes(&b, &engine);
        assert_int_equal(e.code, cases[i].says[0] ? ERROR_INPUT : OK);
        for (int j = 0; j < 3 && cases[i].says[j]; j++)
            if (!strstr(e.message, cases[i].says[j]))
                fail_msg("case %zu: \"%s\" does not say \"%s\"", i, e.message, cases[i].says[j]);
        engine_close(engine);
        free(b.data);
    }
    const char *const scalings[] = {"longrope", "linear", "none"}, *const keys[] = {"llama.rope.scaling.type", "llama.rope.scaling.factor"};
    for (int i = 0; i < 3; i++) {
        struct bytes b = read_bytes(TINY "tiny-f32.gguf");
        insert_text(&b, "llama.rope.scaling.type", scalings[i]);
        struct engine *engine;
        struct error e = open_bytes(&b, &engine);
        assert_int_equal(e.code, i < 2 ? ERROR_INPUT : OK);
        assert_true(i == 2 || (strstr(e.message, keys[i]) && strstr(e.message, i ? "missing" : scalings[i])));
        engine_close(engine);
        free(b.data);
    }
    struct engine *engine;
    struct error e = {0};
    struct engine_options options[] = {
        {.model = MODEL, .kernels = "quantum"}, {.model = MODEL, .kv_memory = 100}, {.model = MODEL, .threads = -1},
        {.model = MODEL, .quant = "nf5"},       {.model = MODEL, .quant = ""},
        {.model = MODEL, .batch = 5000},        {.model = TINY "none.gguf"},        {.model = NULL}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        assert_int_not_equal(engine_open(&engine, &options[i], &e), OK);
        assert_true(e.message[0]);
    }
}

/* What is said of the file with `with` at `at`: as it opens, or as a token after `prompted` is computed. It is as it was afterwards. */
static struct error said_of_changed(const struct bytes *b, size_t at, const void *with, size_t n, int prompted, const char *kernels, const char *quant)
{
    struct engine *engine = NULL;
    struct error e = {0};
    char path[] = "/tmp/espalier-test-XXXXXX", was[8];
    int fd = mkstemp(path), live = 1;
    assert_true(fd >= 0);
    memcpy(was, b->data + at, n);
    memcpy(b->data + at, with, n);
    assert_int_equal(write(fd, b->data, b->size), b->size);
    memcpy(b->data + at, was, n);
    close(fd);
    const struct engine_options o = {.model = path, .threads = 2, .context = 128, .kernels = kernels, .quant = quant};
    int code = engine_open(&engine, &o, &e);
    if (!code) {
        const int ids[] = {1, prompted};
        struct engine_request q = request(ids, 2, 1);
        submit(engine, &q);
        while (live && !code)
            code = engine_step(engine, &live, &e);
    }
    assert_int_equal(code, e.code);
    engine_close(engine);
    struct engine_learner *learner = NULL; /* which has no token to see it by, looks before it begins */
    struct error of_learner = {0};
    assert_int_equal(engine_learner_create(&learner, &(struct engine_learner_options){.model = path, .threads = 1}, &of_learner), ERROR_INPUT);
    assert_string_equal(of_learner.message, e.message);
    unlink(path);
    return e;
}

/* Weights that are no numbers are told by name and place, as they are packed or as nothing comes of them. */
static void test_flaws(void **state)
{
    (void)state;
    static const char *const files[] = {"tiny-f32",     "tiny-f16",       "tiny-q4_0",      "tiny-q4_1", "tiny-q8_0",
                                        "tiny-qwen2",   "tiny-untied-f32", "tiny-wide-q4_0", "tiny-wide-q8_0"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256], says[128];
        snprintf(path, sizeof path, TINY "%s.gguf", files[i]);
        struct bytes b = read_bytes(path);
        struct engine_file *f;
        assert_int_equal(engine_file_open(&f, path, NULL), OK);
        for (int j = 0; j < engine_file_tensor_count(f); j++) {
            const struct engine_tensor *t = engine_file_tensor_at(f, j);
            const struct kernel_format *format = kernel_format(t->type);
            const int blocks = (int)(t->bytes / (size_t)format->bytes), block = (j * 7 + blocks / 2) % blocks, a_row = (int)t->size[0] / format->block;
            const int is_f32 = t->type == KERNEL_F32, row = block / a_row;
            const uint32_t infinite = 0xff800000, half = 0x7e01;
            if (t->dimensions < 2)
                continue;
            snprintf(says, sizeof says, "tensor %.*s: row %d, %s %d: %s is %s:", (int)t->name.length, t->name.bytes, row,
                     format->block > 1 ? "block" : "column", block % a_row, format->block > 1 ? "a scale" : "the weight", is_f32 ? "infinite" : "NaN");
            for (int k = 0; k < 4; k++) {
                const struct error e = said_of_changed(&b, t->offset + (size_t)block * (size_t)format->bytes, is_f32 ? &infinite : &half, is_f32 ? 4 : 2,
                                                       engine_tensor_is(t, "token_embd.weight") ? row : 2, k & 1 ? "reference" : "auto",
                                                       k & 2 ? "nf4+head" : NULL);
                assert_int_equal(e.code, ERROR_INPUT);
                if (!strstr(e.message, says) || !strstr(e.message, "/tmp/espalier-test-"))
                    fail_msg("%s: \"%s\" does not say \"%s\"", files[i], e.message, says);
            }
        }
        engine_file_close(f);
        free(b.data);
    }
}

/* Norms that are not numbers are refused; weights so large that what comes of them is none end the requests that meet them, with an error, and
 * nothing else. */
static void test_nan(void **state)
{
    (void)state;
    enum { OUTPUT_NORM = 32, HUGE_ONES = 96 }; /* the last tensor, and the end of the matrix before it */
    struct bytes b = read_bytes(TINY "tiny-f32.gguf");
    const float nan = NAN, one = 1, huge = 3e38f;
    struct engine *engine;
    memcpy(b.data + b.size - 8, &nan, sizeof nan);
    struct error e = open_bytes(&b, &engine);
    assert_int_equal(e.code, ERROR_INPUT);
    assert_non_null(strstr(e.message, "tensor output_norm.weight: number 30 is NaN"));
    memcpy(b.data + b.size - 8, &one, sizeof one);
    for (int i = 0; i < HUGE_ONES; i++)
        memcpy(b.data + b.size - (size_t)(OUTPUT_NORM + 1 + i) * sizeof huge, &huge, sizeof huge);
    e = open_bytes(&b, &engine);
    assert_int_equal(e.code, OK);
    struct engine_request q = request(prompt, 40, 5);
    for (int i = 0; i < 3; i++) {
        q.score = i == 2;
        submit(engine, &q);
    }
    int live = 1, errors = 0, results = 0;
    while (live && errors < 10)
        if (engine_step(engine, &live, &e)) {
            errors++;
            assert_int_equal(e.code, ERROR_ENGINE);
            assert_non_null(strstr(e.message, "NaN"));
        }
    assert_true(errors > 0 && errors < 10);
    struct engine_result r;
    for (; engine_result(engine, &r); results++) {
        assert_int_equal(r.ending, ENGINE_END_CANCELLED);
        assert_int_equal(r.count, 0);
        engine_result_free(&r);
    }
    assert_int_equal(results, 3);
    engine_close(engine);
    free(b.data);
}

/* --- figures ----------------------------------------------------------------------------------------------------- */

static void test_info(void **state)
{
    (void)state;
    struct engine *engine = open_with(
        (struct engine_options){.model = TINY "tiny-keylength-f32.gguf", .kernels = "reference", .threads = 2});
    const struct engine_info *i = engine_info(engine);
    assert_string_equal(i->name, "tiny-keylength-f32");
    assert_string_equal(i->architecture, "llama");
    assert_string_equal(i->kernels, "reference");
    assert_int_equal(i->layers, 2);
    assert_int_equal(i->width, 32);
    assert_int_equal(i->heads, 4);
    assert_int_equal(i->kv_heads, 2);
    assert_int_equal(i->head_dim, 16);
    assert_int_equal(i->context, 512);
    assert_int_equal(i->tied, 1);
    assert_int_equal(i->threads, 2);
    assert_int_equal(i->batch, 32);
    /* A layer: q 64x32, k and v 32x32, o 32x64, gate, up and down 64x32, two norms; embedding 299x32, norm. */
    int layer = 64 * 32 + 2 * 32 * 32 + 32 * 64 + 3 * 64 * 32;
    assert_int_equal(i->parameters, 2 * (layer + 2 * 32) + 299 * 32 + 32);
    assert_int_equal(i->tensors_by_type[KERNEL_F32], 20);
    assert_int_equal(i->bytes_by_type[KERNEL_F32], 4 * i->parameters);
    assert_int_equal(i->kv_bytes_per_token, 2 * 2 * 2 * 16 * 4);
    /* Three tokens after ten: they attend to 11, 12 and 13 keys. */
    assert_true(engine_flops(engine, 10, 3, 1) == 3.0 * 2 * 2 * layer + 4 * 2 * 64 * 36 + 2 * 299 * 32);
    struct kernel_limits limits;
    engine_limits(engine, &limits);
    assert_true(limits.memory_read > 0 && limits.weights_read > 0);
    engine_close(engine);
}

/* What a model will need is known before it is taken, and is what is taken then. */
static void test_described(void **state)
{
    (void)state;
    static const char *const files[] = {TINY "tiny-f32.gguf", TINY "tiny-q8_0.gguf", TINY "tiny-wide-q4_1.gguf", TINY "tiny-untied-f32.gguf"};
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++)
        for (size_t i = 0; i < sizeof files / sizeof *files && (*set)->supported(); i++) {
            struct engine_options o = {.model = files[i], .kernels = (*set)->name, .threads = 2, .batch = 7};
            struct engine *opened = open_with(o);
            o.describe = 1;
            struct engine *described = open_with(o);
            const struct engine_info *a = engine_info(described), *b = engine_info(opened);
            size_t weights = 0;
            for (int t = 0; t < KERNEL_TYPES; t++)
                weights += (size_t)b->bytes_by_type[t];
            assert_int_equal(a->packed_bytes, b->packed_bytes);
            assert_int_equal(a->in_place_bytes, b->in_place_bytes);
            assert_int_equal(a->scratch_bytes, b->scratch_bytes);
            assert_int_equal(a->kv_bytes_per_token, b->kv_bytes_per_token);
            assert_int_equal(a->parameters, b->parameters);
            assert_int_equal(a->batch, 7);
            assert_true(a->scratch_bytes > (size_t)a->vocabulary * sizeof(float));
            if (!a->packed_bytes) /* all but the norms are used where they lie */
                assert_int_equal(a->in_place_bytes, weights - sizeof(float) * (size_t)a->width * (2 * (size_t)a->layers + 1));
            refuses_request(described, request(prompt, 5, 5), ERROR_USAGE, PARTS("without its weights"));
            assert_int_equal(step(described), 0);
            assert_int_equal(statistics(described).kv_limit, 0);
            engine_close(described);
            engine_close(opened);
        }
    struct error e;
    struct engine *engine;
    struct engine_options o = {.model = MODEL, .kv_memory = 100, .describe = 1};
    assert_int_equal(engine_open(&engine, &o, &e), ERROR_USAGE); /* what would be refused is */
    assert_true(memory_peak() > (1 << 20));
}

/* --quant: the matrices are those of the file, quantized; what does not allow it, and the embedding, stay. */
static void test_quant(void **state)
{
    (void)state;
    static const char *const quants[] = {"nf4", "nf4+head"};
    struct engine *plain = open_with((struct engine_options){.model = TINY "tiny-f16.gguf", .threads = 2});
    assert_string_equal(engine_info(plain)->quant, "");
    for (int h = 0; h < 2; h++) {
        struct engine *engine =
            open_with((struct engine_options){.model = TINY "tiny-f16.gguf", .threads = 2, .kernels = "reference", .quant = quants[h]});
        const struct engine_info *info = engine_info(engine);
        assert_string_equal(info->quant, quants[h]);
        assert_int_equal(info->quantized, 12 + h);
        assert_int_equal(info->kept, 2); /* down is 96 wide */
        assert_int_equal(info->tensors_by_type[KERNEL_NF4], 12 + h);
        assert_int_equal(info->tensors_by_type[KERNEL_F16], 3);
        assert_int_equal(info->parameters, engine_info(plain)->parameters);
        assert_true(engine->model->embedding.type == KERNEL_F16 && !engine->model->embedding.nf4);
        assert_true(engine->model->head.type == (h ? KERNEL_NF4 : KERNEL_F16));
        for (int l = 0; l < 2; l++) {
            const struct engine_layer *a = &engine->model->layers[l], *b = &plain->model->layers[l];
            const struct kernel_matrix *is[] = {&a->q, &a->k, &a->v, &a->o, &a->gate, &a->up};
            const struct kernel_matrix *was[] = {&b->q, &b->k, &b->v, &b->o, &b->gate, &b->up};
            assert_true(a->down.type == KERNEL_F16 && a->down.data != NULL);
            for (int i = 0; i < 6; i++) {
                struct kernel_matrix m = *was[i];
                float x[64], y[64];
                m.packed = NULL;
                assert_int_equal(kernel_matrix_to_nf4(&m, plain->pool, NULL), OK);
                assert_true(is[i]->type == KERNEL_NF4 && is[i]->fine == was[i]->fine);
                for (int r = 0; r < m.rows; r++) {
                    kernel_matrix_dequantize(&m, r, 0, x, 64);
                    kernel_matrix_dequantize(is[i], r, 0, y, 64);
                    assert_memory_equal(x, y, sizeof x);
                }
                kernel_matrix_free(&m);
            }
        }
        struct engine_request q = request(prompt, 40, 0);
        q.score = 1;
        struct engine_result r = result_of(engine, &q), s = result_of(plain, &q);
        double delta = 0;
        assert_int_equal(r.count, s.count);
        for (int i = 0; i < r.count; i++)
            delta += fabs((double)r.tokens[i].logprob - (double)s.tokens[i].logprob) / r.count;
        assert_true(delta > 1e-3 && delta < 1.5);
        engine_result_free(&r);
        engine_result_free(&s);
        engine_close(engine);
    }
    engine_close(plain);
}

int main(void)
{
    for (int i = 0; i < 512; i++)
        prompt[i] = 3 + (int)(random_uniform(1, 2, (uint64_t)i) * 290);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_decoding_is_prefill),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_limits_of_a_pass),
        cmocka_unit_test(test_preemption),
        cmocka_unit_test(test_scattered_path),
        cmocka_unit_test(test_join_and_leave),
        cmocka_unit_test(test_long_queue),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_memory_too_small),
        cmocka_unit_test(test_bad_models),
        cmocka_unit_test(test_flaws),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_described),
        cmocka_unit_test(test_quant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
