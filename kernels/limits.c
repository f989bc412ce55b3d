/* What this machine can do at most: the rates a speed is held against. Each is the best of a few runs, since whatever
 * else the machine does can only make one slower. */
#include "kernels.h"

#include <cblas.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNS 4
#define LEAST_READ ((size_t)256 << 20) /* bytes; more where the caches are large */
#define READ_CACHES 3                  /* a buffer so many times the last cache leaves a third of it there at most */

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

typedef uint64_t wide __attribute__((vector_size(32), may_alias));

struct reading {
    const char *bytes;
    size_t bytes_each; /* of every thread; a multiple of READ_STREAMS lines */
    size_t times;      /* the buffer is gone over so often */
    uint64_t *sums;    /* one a thread: what is read is used, so that no compiler leaves it out */
};
enum { LINE = 64, READ_STREAMS = 4, READ_AHEAD = 1024 };

/* A sum, so the loop must wait for memory and for nothing else: streams in different pages, each with two sums of its own, and lines
 * asked for before the processor's own prefetching, which ends with a page, would. */
static inline __attribute__((always_inline)) uint64_t sum_lines(const char *bytes, size_t n)
{
    wide sums[READ_STREAMS][2] = {0};
    size_t stream = n / READ_STREAMS;
    for (size_t at = 0; at < stream; at += LINE)
        for (int s = 0; s < READ_STREAMS; s++) {
            const char *line = bytes + (size_t)s * stream + at;
            __builtin_prefetch(line + READ_AHEAD); /* beyond the end it does nothing */
            sums[s][0] += ((const wide *)(const void *)line)[0];
            sums[s][1] += ((const wide *)(const void *)line)[1];
        }
    uint64_t sum = 0;
    for (int s = 0; s < READ_STREAMS; s++)
        for (int l = 0; l < 4; l++)
            sum += sums[s][0][l] + sums[s][1][l];
    return sum;
}

static uint64_t sum_plain(const char *bytes, size_t n)
{
    return sum_lines(bytes, n);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint64_t sum_avx2(const char *bytes, size_t n) /* a tenth faster where nobody else is */
{
    return sum_lines(bytes, n);
}
#endif

static void read_bytes(void *argument, int i)
{
    struct reading *reading = argument;
    uint64_t (*sum)(const char *, size_t) = sum_plain;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        sum = sum_avx2;
#endif
    for (size_t time = 0; time < reading->times; time++)
        reading->sums[i] += sum(reading->bytes + (size_t)i * reading->bytes_each, reading->bytes_each);
}

/* Bytes a second at which all threads together go over n bytes, again and again. */
static double read_rate(struct kernel_pool *pool, const char *bytes, size_t n)
{
    size_t threads = (size_t)kernel_pool_threads(pool), unit = LINE * READ_STREAMS;
    struct reading reading = {.bytes = bytes, .bytes_each = n / threads / unit * unit, .times = n < LEAST_READ ? LEAST_READ / n + 1 : 1};
    if (!reading.bytes_each)
        return 0;
    reading.sums = xcalloc(threads, sizeof *reading.sums);
    double seconds = best_seconds(pool, read_bytes, &reading);
    free(reading.sums);
    return (double)(reading.bytes_each * threads * reading.times) / seconds;
}

/* Several times the last cache, which may be that of a server: but not more than a quarter of the machine. */
static size_t memory_bytes(void)
{
    size_t bytes = LEAST_READ, most = SIZE_MAX;
#ifdef _SC_LEVEL3_CACHE_SIZE
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (cache > 0 && (size_t)cache * READ_CACHES > bytes)
        bytes = (size_t)cache * READ_CACHES;
#endif
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0)
        most = (size_t)pages / 4 * (size_t)page;
    return bytes < most ? bytes : most;
}

static void measure_reading(struct kernel_pool *pool, size_t weights, struct kernel_limits *out)
{
    size_t bytes = memory_bytes();
    char *buffer = input_alloc(bytes + LINE, 1);
    if (!buffer)
        return;
    memset(buffer, 1, bytes + LINE); /* or every page would be the same page of zeros */
    const char *aligned = buffer + (LINE - (uintptr_t)buffer % LINE);
    out->memory_read = read_rate(pool, aligned, bytes);
    if (weights)
        out->weights_read = weights < bytes ? read_rate(pool, aligned, weights) : out->memory_read;
    free(buffer);
}

/* --- fp32 -------------------------------------------------------------------------------------------------------- */

/* Rows of activations, outputs, inputs: a small model's prefill, and two that a library has an easier time with. */
static const struct product {
    int m, n, k;
} shapes[] = {{512, 1536, 576}, {1024, 1536, 576}, {1024, 1024, 1024}};
enum { SHAPES = sizeof shapes / sizeof *shapes, LARGEST = 1024 * 1536 };

/* OpenBLAS is loaded when it is measured: with the program it would start threads that spin beside ours for a tenth of a second. */
static struct blas {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(openblas_set_num_threads) *set_threads;
    __typeof__(openblas_get_corename) *core;
} blas;

static int load_blas(void)
{
    void *library = blas.sgemm ? NULL : dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library) { /* its threads stay, and so does it */
        *(void **)&blas.set_threads = dlsym(library, "openblas_set_num_threads");
        *(void **)&blas.core = dlsym(library, "openblas_get_corename");
        *(void **)&blas.sgemm = blas.set_threads && blas.core ? dlsym(library, "cblas_sgemm") : NULL;
    }
    return blas.sgemm != NULL;
}

static double product_seconds(struct product p, const float *a, const float *b, float *c)
{
    double best = 0;
    for (int run = 0; run < 2 * RUNS; run++) { /* the first ones start its threads */
        double start = clock_seconds();
        blas.sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p.m, p.n, p.k, 1, a, p.k, b, p.k, 0, c, p.n);
        double seconds = clock_seconds() - start;
        best = run == 0 || seconds < best ? seconds : best;
    }
    return best;
}

static double sgemm(int threads)
{
    float *a = input_alloc(LARGEST, sizeof *a), *b = input_alloc(LARGEST, sizeof *b), *c = input_alloc(LARGEST, sizeof *c);
    double best = 0;
    if (a && b && c) {
        for (size_t i = 0; i < LARGEST; i++)
            a[i] = b[i] = 1;
        blas.set_threads(threads);
        for (int i = 0; i < SHAPES; i++) {
            double rate = 2.0 * shapes[i].m * shapes[i].n * shapes[i].k / product_seconds(shapes[i], a, b, c);
            best = rate > best ? rate : best;
        }
    }
    free(a);
    free(b);
    free(c);
    return best;
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

void kernel_limits_measure(const struct kernel_set *set, struct kernel_pool *pool, size_t weights, struct kernel_limits *out)
{
    *out = (struct kernel_limits){.sgemm_core = "none"};
    measure_reading(pool, weights, out);
    if (load_blas()) {
        out->sgemm_core = blas.core();
        out->sgemm = sgemm(kernel_pool_threads(pool));
    }
    out->int8 = int8(set, pool);
}
