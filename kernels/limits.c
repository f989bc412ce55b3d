/* What this machine can do at most: the rates a speed is held against. Each is the best of a few runs, since whatever
 * else the machine does can only make one slower. */
#include "kernels.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#define RUNS 4
#define READ_BYTES ((size_t)256 << 20) /* well above any cache */

/* The best seconds of RUNS calls of task for each of the pool's threads. */
static double best_seconds(struct kernel_pool *pool, void (*task)(void *argument, int i), void *argument)
{
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        double start = clock_seconds();
        kernel_pool_run(pool, kernel_pool_threads(pool), task, argument);
        double seconds = clock_seconds() - start;
        best = run == 0 || seconds < best ? seconds : best;
    }
    return best;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

struct reading {
    const uint64_t *words;
    size_t words_each; /* of every thread; a multiple of 8 */
    uint64_t *sums;    /* one a thread: what is read is used, so that no compiler leaves it out */
};

static void read_words(void *argument, int i)
{
    struct reading *reading = argument;
    const uint64_t *words = reading->words + (size_t)i * reading->words_each;
    uint64_t sums[8] = {0};
    for (size_t w = 0; w < reading->words_each; w += 8)
        for (int l = 0; l < 8; l++)
            sums[l] += words[w + (size_t)l];
    for (int l = 0; l < 8; l++)
        reading->sums[i] += sums[l];
}

static double memory_read(struct kernel_pool *pool)
{
    size_t threads = (size_t)kernel_pool_threads(pool);
    struct reading reading = {.words_each = READ_BYTES / 8 / threads & ~(size_t)7};
    uint64_t *words = input_alloc(READ_BYTES, 1);
    if (!words)
        return 0;
    memset(words, 1, READ_BYTES); /* or every page would be the same page of zeros */
    reading.words = words;
    reading.sums = xcalloc(threads, sizeof *reading.sums);
    double seconds = best_seconds(pool, read_words, &reading);
    free(reading.sums);
    free(words);
    return (double)(reading.words_each * 8 * threads) / seconds;
}

/* --- fp32 -------------------------------------------------------------------------------------------------------- */

/* Shapes of a small model's prefill: rows of activations, outputs, inputs. */
enum { SGEMM_M = 512, SGEMM_N = 1536, SGEMM_K = 576 };

static double sgemm(int threads)
{
    float *a = input_alloc(SGEMM_M * SGEMM_K, sizeof *a), *b = input_alloc(SGEMM_N * SGEMM_K, sizeof *b);
    float *c = input_alloc(SGEMM_M * SGEMM_N, sizeof *c);
    double best = 0;
    int before = openblas_get_num_threads();
    if (a && b && c) {
        openblas_set_num_threads(threads);
        for (int run = 0; run < 2 * RUNS; run++) { /* the first ones start OpenBLAS's threads */
            double start = clock_seconds();
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, SGEMM_M, SGEMM_N, SGEMM_K, 1, a, SGEMM_K, b, SGEMM_K,
                        0, c, SGEMM_N);
            double seconds = clock_seconds() - start;
            best = run == 0 || seconds < best ? seconds : best;
        }
        openblas_set_num_threads(before);
    }
    free(a);
    free(b);
    free(c);
    return best > 0 ? 2.0 * SGEMM_M * SGEMM_N * SGEMM_K / best : 0;
}

/* --- 8-bit products ---------------------------------------------------------------------------------------------- */

struct multiplying {
    const struct kernel_set *set;
    double *products; /* one a thread */
};

static void multiply(void *argument, int i)
{
    struct multiplying *multiplying = argument;
    multiplying->products[i] = multiplying->set->int8_products();
}

static double int8(const struct kernel_set *set, struct kernel_pool *pool)
{
    if (!set->int8_products)
        return 0;
    int threads = kernel_pool_threads(pool);
    struct multiplying multiplying = {set, xcalloc((size_t)threads, sizeof(double))};
    double seconds = best_seconds(pool, multiply, &multiplying), products = 0;
    for (int i = 0; i < threads; i++)
        products += multiplying.products[i];
    free(multiplying.products);
    return products / seconds;
}

void kernel_limits_measure(const struct kernel_set *set, struct kernel_pool *pool, struct kernel_limits *out)
{
    out->memory_read = memory_read(pool);
    out->sgemm = sgemm(kernel_pool_threads(pool));
    out->int8 = int8(set, pool);
}
