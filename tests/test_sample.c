/* From logits to tokens: each filter on a distribution worked by hand, all of them against a plain sort in double
 * precision, frequencies by chi-square, and what must be refused. */
#include "engine/sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t draws;

static double uniform(void)
{
    return random_uniform(7, 1, draws++);
}

static int below(int n)
{
    return (int)(uniform() * n);
}

static const struct engine_sampling plain = {.temperature = 1, .top_p = 1, .repetition_penalty = 1};

/* --- the same by sorting ----------------------------------------------------------------------------------------- */

struct entry {
    int id;
    double logit, weight;
};

static int descending(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->logit != y->logit ? (x->logit < y->logit ? 1 : -1) : x->id - y->id;
}

static int by_id(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->id - y->id;
}

static struct entry *sorted(const float *logits, int n)
{
    struct entry *all = xmalloc((size_t)n * sizeof *all);
    for (int i = 0; i < n; i++)
        all[i] = (struct entry){i, (double)logits[i], 0};
    qsort(all, (size_t)n, sizeof *all, descending);
    return all;
}

static double log_sum(const float *logits, int n)
{
    double max = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        max = fmax(max, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum);
}

/* The token, or -1 when the draw or a filter falls so near a boundary that rounding may decide. */
static int sample_by_sorting(const float *logits, int n, const struct engine_sampling *s, const int *recent,
                             int recent_count, double draw)
{
    float *copy = xmalloc((size_t)n * sizeof *copy);
    memcpy(copy, logits, (size_t)n * sizeof *copy);
    for (int i = 0; i < recent_count; i++) {
        float x = logits[recent[i]];
        copy[recent[i]] = x > 0 ? x / s->repetition_penalty : x * s->repetition_penalty;
    }
    struct entry *all = sorted(copy, n);
    free(copy);
    double total = 0, near = 1e-6, sum = 0;
    int kept = n, chosen = all[0].id;
    if (s->temperature > 0) {
        for (int i = 0; i < n; i++)
            all[i].weight = exp((all[i].logit - all[0].logit) / (double)s->temperature);
        if (s->top_k > 0 && s->top_k < n)
            kept = s->top_k;
        for (int i = 0; i < kept; i++)
            total += all[i].weight;
        if (s->top_p < 1)
            for (int i = 0; i < kept; i++) {
                sum += all[i].weight / total;
                if (fabs(sum - (double)s->top_p) < near)
                    chosen = -1;
                if (sum >= (double)s->top_p)
                    kept = i + 1;
            }
        for (int i = 1; i < kept; i++) {
            if (fabs(all[i].weight - (double)s->min_p) < near * (double)s->min_p)
                chosen = -1;
            if (all[i].weight < (double)s->min_p)
                kept = i;
        }
        if ((s->top_k <= 0 || s->top_k >= n) && s->top_p >= 1 && s->min_p <= 0 && n > ENGINE_TOP) /* no order was needed */
            qsort(all + ENGINE_TOP, (size_t)(n - ENGINE_TOP), sizeof *all, by_id);
        total = sum = 0;
        for (int i = 0; i < kept; i++)
            total += all[i].weight;
        for (int i = 0; i < kept && chosen >= 0; i++) {
            sum += all[i].weight / total;
            if (fabs(sum - draw) < near)
                chosen = -1;
            else if (sum > draw) {
                chosen = all[i].id;
                break;
            }
        }
    }
    free(all);
    return chosen;
}

static struct engine_token sample(float *logits, int n, const struct engine_sampling *s, const int *recent,
                                  int recent_count, double draw)
{
    struct engine_token out;
    struct error e;
    int *scratch = xmalloc(2 * (size_t)n * sizeof *scratch);
    assert_int_equal(engine_sample(logits, n, s, recent, recent_count, draw, scratch, &out, &e), OK);
    free(scratch);
    return out;
}

/* Logits of many characters: normal, heavy with ties, mostly impossible, huge, flat. */
static float *random_logits(int n)
{
    float *x = xmalloc((size_t)n * sizeof *x);
    int kind = below(6);
    for (int i = 0; i < n; i++) {
        double u = uniform() + uniform() + uniform() + uniform() - 2;
        x[i] = (float)(kind == 0   ? 8 * u
                       : kind == 1 ? below(5)
                       : kind == 2 ? 4 * u
                       : kind == 3 ? 1e37 * u
                       : kind == 4 ? 0.01 * u
                                   : 30 * u);
        if (kind == 2 && below(10))
            x[i] = -INFINITY;
    }
    x[below(n)] = 1; /* never all impossible */
    return x;
}

static void test_measure(void **state)
{
    (void)state;
    const int sizes[] = {1, 2, 3, 4, 7, 8, 9, 31, 257, 1000, 49152};
    for (int round = 0; round < 440; round++) {
        int n = sizes[round % 11];
        float *logits = random_logits(n);
        struct entry *all = sorted(logits, n);
        double shift = log_sum(logits, n);
        int id = below(n);
        struct engine_token t;
        assert_int_equal(engine_measure(logits, n, id, &t, NULL), OK);
        assert_int_equal(t.id, id);
        for (int i = 0; i < ENGINE_TOP; i++) {
            int expected = i < n ? all[i].id : -1;
            assert_int_equal(t.top[i].id, expected);
            if (i < n && all[i].logit > -1e30) {
                double d = all[i].logit - shift;
                assert_true(fabs((double)t.top[i].logprob - d) <= 2e-6 * fmax(1, fabs(d)));
            }
        }
        double d = (double)logits[id] - shift;
        assert_true(isinf(d) ? isinf(t.logprob) : fabs((double)t.logprob - d) <= 2e-6 * fmax(1, fabs(d)));
        free(all);
        free(logits);
    }
}

static void test_against_sorting(void **state)
{
    (void)state;
    int compared = 0;
    for (int round = 0; round < 6000; round++) {
        int n = round % 100 ? 1 + below(300) : 49152, recent[ENGINE_RECENT], recent_count = below(ENGINE_RECENT + 1);
        float *logits = random_logits(n), *copy = xmalloc((size_t)n * sizeof *copy);
        memcpy(copy, logits, (size_t)n * sizeof *copy);
        for (int i = 0; i < recent_count; i++)
            recent[i] = below(n);
        struct engine_sampling s = plain;
        const float temperatures[] = {0, 0.3f, 0.7f, 1, 1, 1.5f, 50};
        s.temperature = temperatures[below(7)];
        if (!below(2))
            s.top_k = below(2 * n);
        if (!below(2))
            s.top_p = 1 - (float)uniform() * (float)uniform();
        if (!below(2))
            s.min_p = (float)(uniform() * uniform());
        if (!below(2))
            s.repetition_penalty = 1 + (float)uniform();
        else
            recent_count = below(2) ? recent_count : 0;
        double draw = uniform();
        int expected = sample_by_sorting(logits, n, &s, recent, recent_count, draw);
        struct engine_token t = sample(logits, n, &s, recent, recent_count, draw), raw;
        if (expected >= 0) {
            assert_int_equal(t.id, expected);
            compared++;
        }
        assert_memory_equal(logits, copy, (size_t)n * sizeof *copy);
        assert_int_equal(engine_measure(logits, n, t.id, &raw, NULL), OK);
        assert_memory_equal(&t, &raw, sizeof t); /* raw, whatever the filters were */
        free(copy);
        free(logits);
    }
    assert_true(compared > 5900);
}

/* --- by hand ----------------------------------------------------------------------------------------------------- */

/* The token as the draw goes through [0, 1): expected probabilities in the order in which tokens come, and their ids.
 */
static void check_distribution(float *logits, int n, const struct engine_sampling *s, const int *recent,
                               int recent_count, const double *p, const int *ids, int kept)
{
    double sum = 0;
    for (int i = 0; i < kept; i++) {
        assert_int_equal(sample(logits, n, s, recent, recent_count, sum + 1e-6).id, ids[i]);
        sum += p[i];
        assert_int_equal(sample(logits, n, s, recent, recent_count, sum - 1e-6).id, ids[i]);
    }
    assert_true(fabs(sum - 1) < 1e-9);
    assert_int_equal(sample(logits, n, s, recent, recent_count, 0).id, ids[0]);
    assert_int_equal(sample(logits, n, s, recent, recent_count, 1 - 0x1p-53).id, ids[kept - 1]);
}

#define CHECK(sampling, recent, count, kept, ...)                                                                      \
    check_distribution(x, 5, &(sampling), recent, count, (const double[]){__VA_ARGS__}, ids, kept)

static void test_filters(void **state)
{
    (void)state;
    /* 1/16, 1/2, 1/8, 1/4, 1/16: in descending order ids 1, 3, 2, 0, 4 */
    float x[5];
    const double p[5] = {0.0625, 0.5, 0.125, 0.25, 0.0625};
    for (int i = 0; i < 5; i++)
        x[i] = (float)log(p[i]) + 3;
    const int ids[] = {1, 3, 2, 0, 4};
    struct engine_sampling s = plain;
    CHECK(s, NULL, 0, 5, 0.5, 0.25, 0.125, 0.0625, 0.0625);
    s.temperature = 0.5f; /* squares: 64 16 4 1 1 of 86 */
    CHECK(s, NULL, 0, 5, 64.0 / 86, 16.0 / 86, 4.0 / 86, 1.0 / 86, 1.0 / 86);
    s = plain, s.top_k = 2;
    CHECK(s, NULL, 0, 2, 2.0 / 3, 1.0 / 3);
    s = plain, s.top_k = 4; /* of the two with 1/16 the lower id */
    CHECK(s, NULL, 0, 4, 8.0 / 15, 4.0 / 15, 2.0 / 15, 1.0 / 15);
    s = plain, s.top_p = 0.7f;
    CHECK(s, NULL, 0, 2, 2.0 / 3, 1.0 / 3);
    s = plain, s.top_p = 0.8f;
    CHECK(s, NULL, 0, 3, 4.0 / 7, 2.0 / 7, 1.0 / 7);
    s = plain, s.top_p = 1e-9f; /* never nothing */
    CHECK(s, NULL, 0, 1, 1);
    s = plain, s.top_p = 0.8f, s.top_k = 3; /* 0.8 of the three's 7/8: 1/2 + 1/4 reach it */
    CHECK(s, NULL, 0, 2, 2.0 / 3, 1.0 / 3);
    s = plain, s.min_p = 0.2f; /* at least a tenth */
    CHECK(s, NULL, 0, 3, 4.0 / 7, 2.0 / 7, 1.0 / 7);
    s = plain, s.min_p = 1;
    CHECK(s, NULL, 0, 1, 1);
    s = plain, s.min_p = 0.2f, s.temperature = 0.5f; /* after the temperature: 1/4 of the greatest stays, 1/16 goes */
    CHECK(s, NULL, 0, 2, 0.8, 0.2);
    s = plain, s.temperature = 0;
    CHECK(s, NULL, 0, 1, 1);

    /* Penalty 2: 4 becomes 2 once, however often it came; -1 becomes -2. */
    float y[5] = {4, 3, 0, -1, -1};
    const int recent[] = {0, 3, 0, 0}, order[] = {1, 0, 2, 4, 3};
    double e[5] = {exp(3), exp(2), exp(0), exp(-1), exp(-2)}, sum = e[0] + e[1] + e[2] + e[3] + e[4];
    s = plain, s.repetition_penalty = 2;
    check_distribution(y, 5, &s, recent, 4,
                       (const double[]){e[0] / sum, e[1] / sum, e[2] / sum, e[3] / sum, e[4] / sum}, order, 5);
    s.temperature = 0;
    assert_int_equal(sample(y, 5, &s, recent, 4, 0.9).id, 1);
    assert_true(fabs((double)sample(y, 5, &s, recent, 4, 0.9).logprob - (3 - log_sum(y, 5))) < 1e-6);
}

/* 40,000 draws of 50 tokens; 85.4 is the 0.999 quantile of chi-square with 49 degrees of freedom. */
static void test_frequencies(void **state)
{
    (void)state;
    enum { TOKENS = 50, DRAWS = 40000 };
    float x[TOKENS];
    int counts[TOKENS] = {0};
    for (int i = 0; i < TOKENS; i++)
        x[i] = (float)(2 * uniform());
    struct engine_sampling s = plain;
    s.temperature = 0.8f;
    for (int i = 0; i < DRAWS; i++)
        counts[sample(x, TOKENS, &s, NULL, 0, random_uniform(11, 5, (uint64_t)i)).id]++;
    double total = 0, chi = 0;
    for (int i = 0; i < TOKENS; i++)
        total += exp((double)x[i] / 0.8);
    for (int i = 0; i < TOKENS; i++) {
        double expected = DRAWS * exp((double)x[i] / 0.8) / total;
        chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    assert_true(chi < 85.4);
}

static void test_extremes(void **state)
{
    (void)state;
    const float temperatures[] = {1e-45f, 1e-30f, 1e-3f, 1e3f, 1e30f, 3e38f};
    for (int t = 0; t < 6; t++) {
        struct engine_sampling s = plain;
        s.temperature = temperatures[t];
        float x[6] = {-3e38f, 2, 2, 3, -INFINITY, 1};
        struct engine_token out = sample(x, 6, &s, NULL, 0, 0.999999);
        assert_true(out.id >= 0 && out.id != 4);
        assert_int_equal(t < 3 ? out.id : 3, 3);
        assert_int_equal(sample(x, 6, &s, NULL, 0, 0).id, 3);
        float huge[5] = {3e38f, -3e38f, 3e38f, 0, 1};
        out = sample(huge, 5, &s, NULL, 0, 0.75);
        assert_true(out.id == 2 || (t == 0 && out.id == 0) || t >= 4);
    }
    struct engine_sampling s = plain;
    float one[1] = {5};
    assert_int_equal(sample(one, 1, &s, NULL, 0, 0.5).id, 0);
    assert_true(sample(one, 1, &s, NULL, 0, 0.5).logprob == 0);
}

static void test_refusals(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -NAN};
    int scratch[80];
    struct engine_token out;
    for (int n = 1; n < 40; n++)
        for (int at = 0; at < n; at++)
            for (int k = 0; k < 3; k++) {
                float x[40] = {0};
                struct error e;
                x[at] = bad[k];
                assert_int_equal(engine_sample(x, n, &plain, NULL, 0, 0.5, scratch, &out, &e), ERROR_ENGINE);
                assert_non_null(strstr(e.message, "NaN"));
                assert_int_equal(engine_measure(x, n, 0, &out, &e), ERROR_ENGINE);
            }
    float many[200]; /* where most are passed over */
    for (int at = 0; at < 200; at++)
        for (int k = 0; k < 3; k++) {
            for (int i = 0; i < 200; i++)
                many[i] = (float)(i * 7 % 31);
            many[at] = bad[k];
            assert_int_equal(engine_measure(many, 200, 0, &out, NULL), ERROR_ENGINE);
        }
    float none[9];
    for (int i = 0; i < 9; i++)
        none[i] = -INFINITY;
    assert_int_equal(engine_sample(none, 9, &plain, NULL, 0, 0.5, scratch, &out, NULL), ERROR_ENGINE);
}

/* What is drawn from these logits, and what a mask cuts away to the last bit, on every machine and however it is compiled:
 * the hash is of the plainest code there was. Nothing here comes of the C library's mathematics. */
static void test_same_everywhere(void **state)
{
    (void)state;
    enum { MOST = 3000 };
    static float logits[MOST];
    static int scratch[2 * MOST];
    static uint64_t mask[MOST / 64 + 1];
    static const float temperatures[] = {1, 0.7f, 0, 2.5f};
    uint64_t hash = 0;
    draws = 1 << 20;
    for (int round = 0; round < 1500; round++) {
        struct engine_sampling s = {.temperature = temperatures[round % 4],
                                    .top_k = round % 3 ? 0 : 1 + below(50),
                                    .top_p = round % 5 ? 1 : (float)(1 - uniform()),
                                    .min_p = round % 7 ? 0 : (float)uniform() / 4,
                                    .repetition_penalty = round % 6 ? 1 : 1.25f};
        int n = round % 50 ? 1 + below(300) : MOST - below(70), recent[8];
        double width = 1 << round % 6;
        for (int i = 0; i < n; i++) {
            logits[i] = (float)((uniform() + uniform() + uniform() + uniform() - 2) * width);
            logits[i] = round % 9 ? logits[i] : (float)(int)logits[i];
        }
        for (int i = 0; i < 8; i++)
            recent[i] = below(n);
        for (size_t i = 0; i < sizeof mask / sizeof *mask; i++)
            mask[i] = round % 4 == 1 ? (uint64_t)(uniform() * 0x1p32) << 20 | 1 : UINT64_MAX;
        struct engine_token out;
        assert_int_equal(engine_sample_masked(logits, n, mask, &s, recent, 8, uniform(), scratch, &out, NULL), OK);
        struct {
            int id, first;
            float cut;
        } came = {out.id, out.top[0].id, out.cut};
        hash = random_stream(hash, hash_bytes(&came, sizeof came), 0);
        s.temperature = 1;
        assert_int_equal(engine_sample(logits, n, &s, recent, 8, uniform(), scratch, &out, NULL), OK);
        hash = random_stream(hash, (uint64_t)out.id, 1);
    }
    if (hash != UINT64_C(0xb23390f858efc2b9))
        fail_msg("the hash of what is drawn is %016llx", (unsigned long long)hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measure),     cmocka_unit_test(test_against_sorting), cmocka_unit_test(test_filters),
        cmocka_unit_test(test_frequencies), cmocka_unit_test(test_extremes),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_same_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
