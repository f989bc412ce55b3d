/* The kernels: formats by hand-worked blocks, halves exhaustively, every set against the reference within stated
 * bounds, and, bit for bit, the contract that a row's numbers are a function of that row alone. */
#include "kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NUMBERS_SEED 1
#include "any_numbers.h"
#include "any_blocks.h"

/* --- numbers to test with ---------------------------------------------------------------------------------------- */

/* Activations as a transformer has them: mostly small, now and then one a hundred times larger. */
static float *activations(size_t n)
{
    float *x = normals(n, 1);
    for (size_t i = 0; i < n; i++)
        if (below(200) == 0)
            x[i] *= 100;
    return x;
}

static const struct kernel_set *reference(void)
{
    const struct kernel_set *set;
    assert_int_equal(kernel_set_find("reference", &set, NULL), OK);
    return set;
}

/* A matrix of random blocks. Its data begins at an odd address, as a mapped file's may. NF4 is made of an F32 one,
 * whose width is then a multiple of 64. */
struct matrix {
    struct kernel_matrix m;
    unsigned char *memory;
    float *weights; /* dequantized, [rows][cols] */
};

static struct matrix matrix_make(enum kernel_type wanted, int rows, int cols)
{
    const enum kernel_type type = wanted == KERNEL_NF4 ? KERNEL_F32 : wanted;
    const struct kernel_format *format = kernel_format(type);
    size_t row_bytes = (size_t)(cols / format->block) * (size_t)format->bytes, bytes = (size_t)rows * row_bytes;
    struct matrix x = {.memory = xmalloc(bytes + 1)};
    unsigned char *data = x.memory + 1;
    for (size_t at = 0; at < bytes; at += (size_t)format->bytes)
        any_block(type, data + at, 0.05f);
    x.weights = xmalloc((size_t)rows * (size_t)cols * sizeof(float));
    x.m = (struct kernel_matrix){.type = type, .rows = rows, .cols = cols, .data = data};
    if (wanted == KERNEL_NF4) {
        struct kernel_pool *pool = kernel_pool_create(1);
        assert_int_equal(kernel_matrix_to_nf4(&x.m, pool, NULL), OK);
        kernel_pool_free(pool);
    }
    for (int n = 0; n < rows; n++)
        kernel_matrix_dequantize(&x.m, n, 0, x.weights + (size_t)n * (size_t)cols, cols);
    return x;
}

static void matrix_drop(struct matrix *x)
{
    kernel_matrix_free(&x->m);
    free(x->memory);
    free(x->weights);
}

static void *prepare_rows(const struct kernel_set *set, const float *x, int rows, int cols)
{
    size_t each = set->prepared_bytes(cols);
    assert_int_equal(each % 64, 0);
    unsigned char *prepared = aligned_xmalloc((size_t)rows * each);
    for (int r = 0; r < rows; r++)
        set->prepare(x + (size_t)r * (size_t)cols, cols, 1, prepared + (size_t)r * each);
    return prepared;
}

/* --- formats ----------------------------------------------------------------------------------------------------- */

/* What IEEE 754 says a half is, in powers of two. */
static float half_by_definition(uint16_t h)
{
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double value = exponent == 31 ? (mantissa ? NAN : INFINITY)
                   : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                                  : ldexp(mantissa, -24);
    return (float)(h & 0x8000 ? -value : value);
}

static void test_halves(void **state)
{
    (void)state;
    for (int h = 0; h < 65536; h++) {
        float expected = half_by_definition((uint16_t)h), x = kernel_half_to_float((uint16_t)h);
        if (isnan(expected)) {
            assert_true(isnan(x));
            uint16_t back = kernel_float_to_half(x);
            assert_true((back & 0x7c00) == 0x7c00 && (back & 0x3ff) && (back & 0x8000) == (h & 0x8000));
            continue;
        }
        assert_memory_equal(&x, &expected, sizeof x);
        assert_int_equal(kernel_float_to_half(x), h);
        if ((h & 0x7fff) >= 0x7bff)
            continue;
        /* Half-way to the next goes to the even one, and anything beside it to the nearer. */
        float next = half_by_definition((uint16_t)(h + 1)), middle = (x + next) / 2;
        assert_int_equal(kernel_float_to_half(middle), h & 1 ? h + 1 : h);
        assert_int_equal(kernel_float_to_half(nextafterf(middle, x)), h);
        assert_int_equal(kernel_float_to_half(nextafterf(middle, next)), h + 1);
    }
    assert_int_equal(kernel_float_to_half(65519.99f), 0x7bff);
    assert_int_equal(kernel_float_to_half(65520), 0x7c00);
    assert_int_equal(kernel_float_to_half(-1e30f), 0xfc00);
    assert_int_equal(kernel_float_to_half(-INFINITY), 0xfc00);
    assert_int_equal(kernel_float_to_half(1e-40f), 0);
}

static void test_formats(void **state)
{
    (void)state;
    unsigned char block[40] = {0};
    float out[32];
    put_half(block, 0.5f);
    for (int i = 0; i < 16; i++)
        block[2 + i] = (unsigned char)(i | (15 - i) << 4);
    kernel_format(KERNEL_Q4_0)->dequantize(block, out, 32);
    for (int i = 0; i < 16; i++) {
        assert_true(out[i] == 0.5f * (float)(i - 8));
        assert_true(out[16 + i] == 0.5f * (float)(7 - i));
    }

    put_half(block, 0.25f);
    put_half(block + 2, -1.5f);
    for (int i = 0; i < 16; i++)
        block[4 + i] = (unsigned char)(i | (15 - i) << 4);
    kernel_format(KERNEL_Q4_1)->dequantize(block, out, 32);
    for (int i = 0; i < 16; i++) {
        assert_true(out[i] == 0.25f * (float)i - 1.5f);
        assert_true(out[16 + i] == 0.25f * (float)(15 - i) - 1.5f);
    }

    put_half(block, -2);
    for (int i = 0; i < 32; i++)
        block[2 + i] = (unsigned char)(i * 8 - 128);
    kernel_format(KERNEL_Q8_0)->dequantize(block, out, 32);
    for (int i = 0; i < 32; i++)
        assert_true(out[i] == -2 * (float)(i * 8 - 128));

    static const int nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    put_half(block, 0.5f);
    for (int i = 0; i < 16; i++)
        block[2 + i] = (unsigned char)(i | (15 - i) << 4);
    kernel_format(KERNEL_IQ4_NL)->dequantize(block, out, 32);
    for (int i = 0; i < 16; i++) {
        assert_true(out[i] == 0.5f * (float)nonlinear[i]);
        assert_true(out[16 + i] == 0.5f * (float)nonlinear[15 - i]);
    }

    const float plain[3] = {1, -2.5f, 1e30f};
    kernel_format(KERNEL_F32)->dequantize(plain, out, 3);
    assert_same(out, plain, 3);
    put_half(block, -0.375f);
    put_half(block + 2, 1024);
    kernel_format(KERNEL_F16)->dequantize(block, out, 2);
    assert_true(out[0] == -0.375f && out[1] == 1024);

    const struct {
        enum kernel_type type;
        const char *name;
        int block, bytes;
    } known[] = {
        {KERNEL_F32, "F32", 1, 4},       {KERNEL_F16, "F16", 1, 2},       {KERNEL_BF16, "BF16", 1, 2},       {KERNEL_Q4_0, "Q4_0", 32, 18},
        {KERNEL_Q4_1, "Q4_1", 32, 20},   {KERNEL_Q5_0, "Q5_0", 32, 22},   {KERNEL_Q5_1, "Q5_1", 32, 24},     {KERNEL_Q8_0, "Q8_0", 32, 34},
        {KERNEL_Q2_K, "Q2_K", 256, 84},  {KERNEL_Q3_K, "Q3_K", 256, 110}, {KERNEL_Q4_K, "Q4_K", 256, 144},   {KERNEL_Q5_K, "Q5_K", 256, 176},
        {KERNEL_Q6_K, "Q6_K", 256, 210}, {KERNEL_IQ4_NL, "IQ4_NL", 32, 18}, {KERNEL_IQ4_XS, "IQ4_XS", 256, 136}, {KERNEL_NF4, "NF4", 64, 32},
    };
    assert_int_equal(sizeof known / sizeof *known, KERNEL_TYPES);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_string_equal(kernel_format(known[i].type)->name, known[i].name);
        assert_int_equal(kernel_format(known[i].type)->block, known[i].block);
        assert_int_equal(kernel_format(known[i].type)->bytes, known[i].bytes);
    }
}

/* --- the pool ---------------------------------------------------------------------------------------------------- */

struct counting {
    atomic_int *ran; /* one a task */
};

static void count_task(void *argument, int i)
{
    struct counting *counting = argument;
    atomic_fetch_add(&counting->ran[i], 1);
}

static void test_pool(void **state)
{
    (void)state;
    const int sizes[] = {1, 2, 3, 8}, jobs[] = {0, 1, 2, 3, 7, 64, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct kernel_pool *pool = kernel_pool_create(sizes[s]);
        assert_int_equal(kernel_pool_threads(pool), sizes[s]);
        atomic_int *ran = xcalloc(1000, sizeof *ran);
        struct counting counting = {ran};
        int expected = 0;
        for (int round = 0; round < 300; round++) {
            int tasks = jobs[round % 7];
            kernel_pool_run(pool, tasks, count_task, &counting);
            expected += tasks;
            if (round % 100 == 99)
                usleep(2000); /* the workers fall asleep, and must be woken */
        }
        int total = 0;
        for (int i = 0; i < 1000; i++)
            total += atomic_load(&ran[i]);
        assert_int_equal(total, expected);
        memset(ran, 0, 1000 * sizeof *ran);
        for (int round = 0; round < 20; round++) {
            kernel_pool_run(pool, 1000, count_task, &counting);
            for (int i = 0; i < 1000; i++)
                assert_int_equal(atomic_load(&ran[i]), round + 1);
        }
        free(ran);
        kernel_pool_free(pool);
    }
    kernel_pool_free(kernel_pool_create(4)); /* freed before anything ran */
    kernel_pool_free(NULL);
}

/* --- the sets ---------------------------------------------------------------------------------------------------- */

static void test_find(void **state)
{
    (void)state;
    const struct kernel_set *set = NULL;
    struct error e = {0};
    assert_int_equal(kernel_set_find("auto", &set, &e), OK);
    assert_true(set->supported());
    FOR_EACH_SET(each)
    {
        const struct kernel_set *found = NULL;
        assert_int_equal(kernel_set_find(each->name, &found, &e), OK);
        assert_ptr_equal(found, each);
        assert_true(each->cache == KERNEL_F32 || each->cache == KERNEL_F16);
    }
    assert_int_equal(kernel_set_find("abacus", &set, &e), ERROR_INPUT);
    assert_int_equal(e.code, ERROR_INPUT);
    assert_non_null(strstr(e.message, "abacus"));
    assert_non_null(strstr(e.message, "auto"));
    for (const struct kernel_set *const *s = kernel_sets(); *s; s++)
        assert_non_null(strstr(e.message, (*s)->name));
}

/* --- matmul ------------------------------------------------------------------------------------------------------ */

/* Rounding an activation to 8 bits moves it by at most half a step of its block, 1/254 of the block's largest; but a set may
 * have it rounded up to a whole number of 1/32767 of what the row's largest has. */
static double rounding_bound(const float *w, const float *x, int cols)
{
    double bound = 0, most = 0;
    for (int k = 0; k < cols; k++)
        most = fmax(most, fabs((double)x[k]) / 32767);
    for (int k = 0; k < cols; k += 32) {
        double largest = 0, weights = 0;
        for (int i = k; i < cols && i < k + 32; i++) {
            largest = fmax(largest, fabs((double)x[i]));
            weights += fabs((double)w[i]);
        }
        bound += weights * (largest + most) / 254;
    }
    return bound;
}

/* NF4's codes as whole numbers of 1/127 and its absmax as a half move a weight by at most so much of its block's absmax, which
 * is the block's largest weight. */
static double table_bound(const float *w, const float *x, int cols)
{
    double bound = 0;
    for (int k = 0; k < cols; k += 64) {
        double absmax = 0, sum = 0;
        for (int i = k; i < k + 64; i++) {
            absmax = fmax(absmax, fabs((double)w[i]));
            sum += fabs((double)x[i]);
        }
        bound += absmax * sum * (0.5 / 127 + 0x1p-11);
    }
    return bound;
}

/* The scales and minima of K-quants and IQ4_XS as halves move a weight by at most a part in 2048 of what is scaled and of what is
 * taken away; the first is what its block has with all bits of numbers set, less the second, which is what it has with none set.
 * What scales are made of stays; w is one row. */
static double scales_bound(const struct matrix *w, int row, const float *x)
{
    const struct kernel_format *format = kernel_format(w->m.type);
    const size_t block_bytes = (size_t)format->bytes;
    double bound = 0;
    for (int k = 0; k < w->m.cols; k += 256) {
        const unsigned char *block = (const unsigned char *)w->m.data + (size_t)row * (size_t)(w->m.cols / 256) * block_bytes +
                                     (size_t)(k / 256) * block_bytes;
        unsigned char bytes[2][256];
        float ends[2][256];
        for (int e = 0; e < 2; e++) {
            memset(bytes[e], e ? 0xff : 0, sizeof bytes[e]);
            const int from = w->m.type == KERNEL_Q2_K ? 0 : w->m.type == KERNEL_Q3_K ? 96 : w->m.type == KERNEL_Q6_K ? 192 : 0;
            const int to = w->m.type == KERNEL_Q2_K ? 16 : w->m.type == KERNEL_IQ4_XS ? 8 : from ? format->bytes : 16;
            memcpy(bytes[e] + from, block + from, (size_t)(to - from));
            memcpy(bytes[e] + scale_at(w->m.type), block + scale_at(w->m.type), 2);
            if (minimum_at(w->m.type) >= 0)
                memcpy(bytes[e] + minimum_at(w->m.type), block + minimum_at(w->m.type), 2);
            format->dequantize(bytes[e], ends[e], 256);
        }
        for (int i = 0; i < 256; i++)
            bound += fabs((double)x[k + i]) * (2 * fabs((double)ends[0][i]) + fabs((double)ends[1][i])) * 0x1p-11;
    }
    return bound;
}

/* Every set's product against one in double precision; the reference within fp32 rounding, the others within that of
 * rounding every activation the worst way, and a fifth of it in the mean. */
static void check_product(const struct kernel_set *set, enum kernel_type type, int rows, int cols, int tokens,
                          const float *x, int fine)
{
    struct matrix w = matrix_make(type, rows, cols);
    w.m.fine = fine;
    struct kernel_pool *pool = kernel_pool_create(2);
    assert_int_equal(set->pack(&w.m, pool, NULL), OK);
    kernel_pool_free(pool);
    void *prepared = prepare_rows(set, x, tokens, cols);
    float *y = xcalloc((size_t)tokens * (size_t)rows, sizeof *y);
    set->matmul(&w.m, x, prepared, tokens, y, rows, 0, rows, 0);
    const int rounded = set != reference() && kernel_format(type)->block > 1, halves = rounded && kernel_format(type)->block == 256;
    double error = 0, bounds = 0;
    for (int r = 0; r < tokens; r++)
        for (int n = 0; n < rows; n++) {
            double sum = 0, magnitude = 0;
            const float *wn = w.weights + (size_t)n * (size_t)cols, *xr = x + (size_t)r * (size_t)cols;
            for (int k = 0; k < cols; k++) {
                sum += (double)wn[k] * (double)xr[k];
                magnitude += fabs((double)wn[k] * (double)xr[k]);
            }
            double exact = 4e-6 * magnitude + 1e-30;
            double bound = exact + (rounded ? 1.02 * rounding_bound(wn, xr, cols) / (fine ? 254 : 1) : 0);
            bound += rounded && type == KERNEL_NF4 ? table_bound(wn, xr, cols) : halves ? scales_bound(&w, n, xr) : 0;
            double off = fabs((double)y[r * rows + n] - sum);
            error += off, bounds += bound;
            if (!(off <= bound))
                fail_msg("%s %s %dx%d, row %d of %d, output %d: %g, not %g (bound %g)", set->name,
                         kernel_format(type)->name, rows, cols, r, tokens, n, (double)y[r * rows + n], sum, bound);
        }
    if (error > bounds * (cols < 256 || type == KERNEL_NF4 ? 1 : 0.2))
        fail_msg("%s %s %dx%d: off by %g of the bound in the mean", set->name, kernel_format(type)->name, rows, cols, error / bounds);
    free(y);
    free(prepared);
    matrix_drop(&w);
}

static const int widths[] = {32, 64, 256, 576, 640, 768, 896, 1536, 1600};
#define WIDTHS (int)(sizeof widths / sizeof *widths)

static void test_matmul_values(void **state)
{
    (void)state;
    draws = 0;
    FOR_EACH_SET(set)
    for (int type = 0; type < KERNEL_TYPES; type++)
        for (int i = 0; i < WIDTHS + 3; i++) {
            int block = kernel_format(type)->block, cols = i < WIDTHS ? widths[i] : block * (1 + below(block == 256 ? 8 : 40));
            if (cols % block)
                continue;
            int rows = 1 + below(70), tokens = 1 + below(9);
            float *x = activations((size_t)tokens * (size_t)cols);
            check_product(set, type, rows, cols, tokens, x, 0);
            check_product(set, type, rows, cols, tokens, x, 1);
            free(x);
        }
}

static void test_matmul_extremes(void **state)
{
    (void)state;
    draws = 1 << 20;
    const int tokens = 6;
    FOR_EACH_SET(set)
    for (int type = 0; type < KERNEL_TYPES; type++) {
        const int cols = kernel_format(type)->block == 256 ? 256 : 128;
        float *x = normals((size_t)tokens * (size_t)cols, 1);
        for (int k = 0; k < cols; k++) {
            x[k] = 0;                                 /* a row of zeros */
            x[cols + k] *= k / 32 == 1 ? 0 : 1e30f;   /* huge, with a block of zeros */
            x[2 * cols + k] *= 1e-25f;                /* tiny */
            x[3 * cols + k] *= k == 5 ? 1e6f : 1e-6f; /* one far above all others */
            x[4 * cols + k] = k % 2 ? 1.0f : -1.0f;   /* every one the largest */
        }
        check_product(set, type, 13, cols, tokens, x, 0);
        check_product(set, type, 13, cols, tokens, x, 1);

        /* What is not a number stays visible and stays in its row. */
        x[cols + 40] = INFINITY;
        x[2 * cols + 41] = NAN;
        struct matrix w = matrix_make(type, 9, cols);
        struct kernel_pool *pool = kernel_pool_create(1);
        assert_int_equal(set->pack(&w.m, pool, NULL), OK);
        void *prepared = prepare_rows(set, x, tokens, cols);
        float y[6 * 9] = {0};
        set->matmul(&w.m, x, prepared, tokens, y, 9, 0, 9, 0);
        for (int n = 0; n < 9; n++) {
            assert_true(y[n] == 0);
            assert_false(isfinite(y[9 + n]));
            assert_true(isnan(y[2 * 9 + n]));
            assert_true(isfinite(y[3 * 9 + n]));
        }
        /* Weights of a broken file: packing says so; anything may come out, but from their own row alone. */
        if (type != KERNEL_F32 && type != KERNEL_NF4) {
            const uint16_t infinity = type == KERNEL_BF16 ? 0x7f80 : 0x7c00;
            memcpy((unsigned char *)w.memory + 1 + scale_at(type), &infinity, sizeof infinity);
            kernel_matrix_free(&w.m);
            assert_int_equal(set->pack(&w.m, pool, NULL), set->packed_bytes && set->packed_bytes(&w.m) ? ERROR_INPUT : OK);
            float z[9] = {0};
            set->matmul(&w.m, x + 3 * cols, (unsigned char *)prepared + 3 * set->prepared_bytes(cols), 1, z, 9, 0, 9,
                        0);
            assert_false(isfinite(z[0]));
            assert_same(z + 1, y + 3 * 9 + 1, 8);
        }
        kernel_pool_free(pool);
        free(prepared);
        matrix_drop(&w);
        free(x);
    }
}

/* The contract: each row alone, whole, gives the bits that any number of rows in any ranges give. */
static void test_matmul_bits(void **state)
{
    (void)state;
    draws = 2 << 20;
    enum { MOST = 40 };
    struct kernel_pool *pool = kernel_pool_create(2);
    FOR_EACH_SET(set)
    for (int type = 0; type < KERNEL_TYPES; type++)
        for (int i = 0; i < WIDTHS; i++) {
            int cols = widths[i], rows = 8 * (1 + below(6)) + below(8);
            if (cols % kernel_format(type)->block)
                continue;
            struct matrix w = matrix_make(type, rows, cols);
            w.m.fine = i % 2;
            assert_int_equal(set->pack(&w.m, pool, NULL), OK);
            float *x = activations((size_t)MOST * (size_t)cols);
            unsigned char *prepared = prepare_rows(set, x, MOST, cols);
            size_t each = set->prepared_bytes(cols), all = (size_t)MOST * (size_t)rows;
            float *alone = xcalloc(all, sizeof *alone), *before = normals(all, 1),
                  *added = xmalloc(all * sizeof *added);
            memcpy(added, before, all * sizeof *added);
            for (int r = 0; r < MOST; r++) {
                set->matmul(&w.m, x + r * cols, prepared + (size_t)r * each, 1, alone + r * rows, rows, 0, rows, 0);
                set->matmul(&w.m, x + r * cols, prepared + (size_t)r * each, 1, added + r * rows, rows, 0, rows, 1);
            }
            for (int tokens = 1; tokens <= MOST; tokens++) {
                int start = below(MOST - tokens + 1), stride = rows + below(5), accumulate = tokens % 2;
                float *y = xcalloc((size_t)tokens * (size_t)stride, sizeof *y);
                for (int r = 0; r < tokens; r++)
                    for (int n = 0; n < stride; n++)
                        y[r * stride + n] = n < rows ? before[(start + r) * rows + n] : 77;
                for (int first = 0; first < rows;) {
                    int last = first + KERNEL_STRIP * (1 + below(4));
                    last = last < rows ? last : rows;
                    set->matmul(&w.m, x + start * cols, prepared + (size_t)start * each, tokens, y, stride, first, last,
                                accumulate);
                    first = last;
                }
                for (int r = 0; r < tokens; r++) {
                    assert_same(y + r * stride, (accumulate ? added : alone) + (start + r) * rows, (size_t)rows);
                    for (int n = rows; n < stride; n++)
                        assert_true(y[r * stride + n] == 77);
                }
                free(y);
            }
            free(alone);
            free(before);
            free(added);
            free(prepared);
            free(x);
            matrix_drop(&w);
        }
    kernel_pool_free(pool);
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

static void test_rows(void **state)
{
    (void)state;
    draws = 3 << 20;
    FOR_EACH_SET(set)
    for (int round = 0; round < 200; round++) {
        int n = round < 70 ? round + 1 : 1 + below(1700);
        float scale = round % 5 == 0 ? 1e-6f : round % 5 == 1 ? 1e6f : 1;
        float *x = normals((size_t)n, scale), *weight = normals((size_t)n, 1), *out = xcalloc((size_t)n, sizeof *out);
        double square = 0;
        for (int c = 0; c < n; c++)
            square += (double)x[c] * (double)x[c];
        set->rms_norm(x, weight, 1e-5f, n, out);
        for (int c = 0; c < n; c++) {
            double expected = (double)weight[c] * (double)x[c] / sqrt(square / n + 1e-5);
            assert_true(fabs((double)out[c] - expected) <= 2e-6 * fabs(expected));
        }

        float *gate = normals((size_t)n, round % 3 ? 3.0f : 60.0f), *in_place = xmalloc((size_t)n * sizeof *in_place);
        memcpy(in_place, gate, (size_t)n * sizeof *gate);
        set->swiglu(gate, weight, n, out);
        set->swiglu(in_place, weight, n, in_place);
        assert_same(in_place, out, (size_t)n);
        for (int c = 0; c < n; c++) {
            double expected = (double)gate[c] / (1 + exp(-(double)gate[c])) * (double)weight[c];
            assert_true(fabs((double)out[c] - expected) <= 1e-6 * fabs(expected) + 1e-35);
            float one; /* a lane is as good as another */
            set->swiglu(&gate[c], &weight[c], 1, &one);
            assert_same(&one, &out[c], 1);
        }
        set->geglu(gate, weight, n, out);
        for (int c = 0; c < n; c++) {
            const double g = (double)gate[c], both = 1 + tanh(0.7978845608028654 * (g + 0.044715 * g * g * g));
            const double expected = g / 2 * both * (double)weight[c];
            assert_true(fabs((double)out[c] - expected) <= 3e-6 * fabs(g * (double)weight[c]) * fmax(both, 1e-7) + 1e-35);
            float one;
            set->geglu(&gate[c], &weight[c], 1, &one);
            assert_same(&one, &out[c], 1);
        }
        free(x);
        free(weight);
        free(out);
        free(gate);
        free(in_place);
    }
    FOR_EACH_SET(set)
    {
        float gate[5] = {-200, 200, NAN, INFINITY, 0}, up[5] = {1, 1, 1, 1, 1}, out[5];
        set->swiglu(gate, up, 5, out);
        assert_true(fabsf(out[0]) < 1e-30f && out[1] == 200 && isnan(out[2]) && out[3] == INFINITY && out[4] == 0);
        set->geglu(gate, up, 5, out);
        assert_true(fabsf(out[0]) < 1e-30f && out[1] == 200 && isnan(out[2]) && out[3] == INFINITY && out[4] == 0);
        float zeros[40] = {0}, ones[40];
        for (int i = 0; i < 40; i++)
            ones[i] = 1;
        set->rms_norm(zeros, ones, 1e-5f, 40, ones);
        for (int i = 0; i < 40; i++)
            assert_true(ones[i] == 0);
    }
}

/* Against a sum in double, from a matrix that lies either way round; a column alone is as one among many, and what is not a
 * number stays in its column. */
static void test_combine(void **state)
{
    (void)state;
    draws = 5 << 20;
    FOR_EACH_SET(set)
    for (int round = 0; round < 100; round++) {
        const int rows = round < 40 ? round + 1 : 1 + below(700), cols = 1 + below(100), turned = round % 2;
        const size_t strips = ((size_t)cols + KERNEL_STRIP - 1) / KERNEL_STRIP, count = (size_t)rows * (size_t)cols;
        const size_t row_step = turned ? 1 : (size_t)cols, column_step = turned ? (size_t)rows : 1;
        float *m = normals(count, 1), *u = normals((size_t)rows, 1), *y = normals((size_t)cols, 1);
        float *was = xmalloc((size_t)cols * sizeof *was), *laid = xmalloc(strips * KERNEL_STRIP * (size_t)rows * sizeof *laid);
        memcpy(was, y, (size_t)cols * sizeof *y);
        kernel_strips_of_columns(m, row_step, column_step, rows, cols, laid);
        set->combine(u, laid, rows, cols, y);
        for (int c = 0; c < cols; c++) {
            double sum = (double)was[c], size = fabs(sum);
            for (int r = 0; r < rows; r++) {
                const double term = (double)u[r] * (double)m[(size_t)r * row_step + (size_t)c * column_step];
                sum += term;
                size += fabs(term);
            }
            assert_true(fabs((double)y[c] - sum) <= 1e-6 * size);
            float one = was[c];
            kernel_strips_of_columns(m + (size_t)c * column_step, row_step, column_step, rows, 1, laid);
            set->combine(u, laid, rows, 1, &one);
            assert_same(&one, &y[c], 1);
        }
        m[(size_t)below(rows) * row_step + (size_t)(cols / 2) * column_step] = NAN;
        kernel_strips_of_columns(m, row_step, column_step, rows, cols, laid);
        memcpy(was, y, (size_t)cols * sizeof *y);
        set->combine(u, laid, rows, cols, y);
        for (int c = 0; c < cols; c++)
            assert_int_equal(isnan(y[c]) != 0, c == cols / 2);
        free(m);
        free(u);
        free(y);
        free(was);
        free(laid);
    }
}

static void test_rope(void **state)
{
    (void)state;
    draws = 4 << 20;
    const int dims[] = {2, 8, 10, 16, 20, 36, 64, 80, 96, 128};
    FOR_EACH_SET(set)
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (int neox = 0; neox < 2; neox++) {
            int dim = dims[i], heads = 1 + below(4);
            float *x = normals((size_t)(heads * dim), 1), *y = xmalloc((size_t)(heads * dim) * sizeof *y);
            float *cos_sin = xmalloc((size_t)dim * sizeof *cos_sin);
            for (int p = 0; p < dim / 2; p++) {
                double angle = uniform() * 700;
                cos_sin[2 * p] = (float)cos(angle);
                cos_sin[2 * p + 1] = (float)sin(angle);
            }
            memcpy(y, x, (size_t)(heads * dim) * sizeof *y);
            set->rope(y, heads, dim, cos_sin, neox);
            for (int h = 0; h < heads; h++)
                for (int p = 0; p < dim / 2; p++) {
                    int a = h * dim + (neox ? p : 2 * p), b = h * dim + (neox ? p + dim / 2 : 2 * p + 1);
                    double c = (double)cos_sin[2 * p], s = (double)cos_sin[2 * p + 1];
                    assert_true(fabs((double)y[a] - ((double)x[a] * c - (double)x[b] * s)) < 2e-6);
                    assert_true(fabs((double)y[b] - ((double)x[a] * s + (double)x[b] * c)) < 2e-6);
                }
            free(x);
            free(y);
            free(cos_sin);
        }
}

/* --- attention --------------------------------------------------------------------------------------------------- */

/* A cache in which every position has its own cell, spread at will over blocks and runs. */
struct cache {
    struct kernel_cache shape;
    struct kernel_run *runs;
    unsigned char **blocks;
    int blocks_count;
};

/* Positions [0, n) of k and v ([n][kv_heads * dim]) stored so that runs end at random with chance 1/`often` at each
 * position, and at the end of each block. Unused cells hold NaN, which nothing may read into a sum. */
static struct cache cache_make(const struct kernel_set *set, enum kernel_type type, const float *k, const float *v, int n,
                               int kv_heads, int dim, int often)
{
    size_t bytes = set->cache_bytes(type, kv_heads, dim);
    assert_true(bytes > 0);
    struct cache c = {.shape = {.type = type, .kv_heads = kv_heads, .head_dim = dim, .keys = 64, .values = 64 + bytes}};
    c.runs = xcalloc((size_t)n, sizeof *c.runs);
    c.blocks = xcalloc((size_t)n, sizeof *c.blocks);
    int run = -1;
    for (int p = 0; p < n; p++) {
        if (p % KERNEL_CELLS == 0 || below(often) == 0) {
            size_t all = 64 + 2 * bytes;
            unsigned char *block = aligned_xmalloc(all);
            memset(block, 0xff, all);
            c.blocks[c.blocks_count++] = block;
            c.runs[++run] = (struct kernel_run){block, p % KERNEL_CELLS, 0};
        }
        set->store(&c.shape, k + p * kv_heads * dim, v + p * kv_heads * dim, c.runs[run].block, p % KERNEL_CELLS);
        c.runs[run].count++;
    }
    return c;
}

static void cache_drop(struct cache *c)
{
    for (int i = 0; i < c->blocks_count; i++)
        free(c->blocks[i]);
    free(c->blocks);
    free(c->runs);
}

/* Number d of a head at x as the cache rounds it. Q8_0: whole numbers of a step, which is a half, for each 32. */
static double cached(enum kernel_type type, const float *x, int d)
{
    if (type == KERNEL_F32)
        return (double)x[d];
    if (type == KERNEL_F16)
        return (double)kernel_half_to_float(kernel_float_to_half(x[d]));
    float most = 0;
    for (int i = d / 32 * 32; i < d / 32 * 32 + 32; i++)
        most = fmaxf(most, fabsf(x[i]));
    float step = kernel_half_to_float(kernel_float_to_half(most / 127));
    float rounded = step > 0 ? nearbyintf(x[d] * (1 / step)) : 0;
    return (double)(fmaxf(-127, fminf(127, rounded)) * step);
}

/* What rounding weights to 16 bits may do to the 32 numbers from d on of an output over Q8_0: half of what 16 bits resolve of the greatest
 * weight and value of a chunk, for each of its positions. */
static double weights_error(const double *weights, const float *v, int stride, int first, int position, int d)
{
    double error = 0;
    for (int end; first <= position; first = end) {
        end = (first / KERNEL_CHUNK + 1) * KERNEL_CHUNK < position + 1 ? (first / KERNEL_CHUNK + 1) * KERNEL_CHUNK : position + 1;
        double most = 0, greatest = 0;
        for (int p = first; p < end; p++) {
            most = weights[p] > most ? weights[p] : most;
            for (int i = d; i < d + 32; i++)
                if (fabs((double)v[p * stride + i]) > greatest)
                    greatest = fabs((double)v[p * stride + i]);
        }
        error += 0.51 / 32767 * most * greatest * (end - first);
    }
    return error;
}

/* Softmax attention over positions [first, position] in double precision, on keys and values as the cache rounds them. */
static void attend_exactly(enum kernel_type type, const float *q, const float *k, const float *v, int first, int position,
                           int heads, int kv_heads, int dim, float scale, double *out, double *bound)
{
    double *weights = xmalloc((size_t)(position + 1) * sizeof *weights);
    for (int h = 0; h < heads; h++) {
        int kv = h / (heads / kv_heads);
        double most = -INFINITY, length = 0, score_error = 0, q_error = 0, rounding = 0;
        for (int d = 0; d < dim && type == KERNEL_Q8_0; d++) /* queries are rounded to 16 bits there */
            q_error = fmax(q_error, 0.51 / 32767 * fabs((double)q[h * dim + d]));
        for (int p = first; p <= position; p++) {
            double sum = 0, magnitude = 0;
            for (int d = 0; d < dim; d++) {
                double key = cached(type, k + (p * kv_heads + kv) * dim, d);
                sum += (double)q[h * dim + d] * key;
                magnitude += (1e-6 * fabs((double)q[h * dim + d]) + q_error) * fabs(key);
            }
            weights[p] = sum * (double)scale;
            score_error = fmax(score_error, magnitude * (double)scale);
            most = fmax(most, weights[p]);
        }
        for (int p = first; p <= position; p++)
            length += weights[p] = exp(weights[p] - most);
        for (int d = 0; d < dim; d++) {
            double sum = 0, magnitude = 0;
            for (int p = first; p <= position; p++) {
                double value = cached(type, v + (p * kv_heads + kv) * dim, d);
                sum += weights[p] * value;
                magnitude += weights[p] * fabs(value);
            }
            out[h * dim + d] = sum / length;
            if (type == KERNEL_Q8_0 && d % 32 == 0)
                rounding = weights_error(weights, v + kv * dim, kv_heads * dim, first, position, d);
            bound[h * dim + d] = ((4e-6 + 2 * score_error) * magnitude + rounding) / length;
        }
    }
    free(weights);
}

/* All of attention for rows [first, last): spans and heads in an odd order, then the merge. rows is how many there are in all. */
static void attend_all(const struct kernel_set *set, struct kernel_attention a, int first, int last, int rows)
{
    int spans = 1;
    for (int r = first; r < last; r++)
        spans = a.rows[r].position / KERNEL_SPAN + 1 > spans ? a.rows[r].position / KERNEL_SPAN + 1 : spans;
    size_t numbers = (size_t)(spans * rows * a.heads * (a.cache.head_dim + 2));
    a.partials = xmalloc(numbers * sizeof *a.partials);
    memset(a.partials, 0xff, numbers * sizeof *a.partials);
    a.partial_rows = rows;
    for (int s = spans - 1; s >= 0; s--)
        for (int h = a.cache.kv_heads - 1; h >= 0; h--)
            for (int from = first, to; from < last; from = to) {
                to = from + 1 + below(last - from);
                set->attention_rows(&a, from, to, h, s);
            }
    for (int r = first; r < last; r++)
        set->attention_merge(&a, r);
    free(a.partials);
}

static void check_attention(const struct kernel_set *set, enum kernel_type type)
{
    const struct {
        int heads, kv_heads, dim;
    } shapes[] = {
        {9, 3, 64}, {14, 2, 64}, {4, 4, 32}, {8, 1, 16}, {2, 1, 128},
        {5, 1, 80}, {3, 3, 20},  {4, 2, 4},  {6, 3, 96}, {50, 1, 8}, {3, 1, 256},
    };
    const int positions[] = {0, 1, 7, 8, 15, 16, 62, 63, 64, 65, 127, 128, 200, 511, 512, 513, 577, 1100};
    const int windows[] = {0, 1, 8, 64, 100, 0, 500, 513, 1024};
    int round = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        enum { N = 1101 };
        int heads = shapes[i].heads, kv_heads = shapes[i].kv_heads, dim = shapes[i].dim, wide = heads * dim;
        if (!set->cache_bytes(type, kv_heads, dim))
            continue;
        float *k = normals((size_t)(N * kv_heads * dim), 1), *v = normals((size_t)(N * kv_heads * dim), 1);
        struct cache whole = cache_make(set, type, k, v, N, kv_heads, dim, 1 << 30);
        for (int often = 1; often <= 27; often *= 3, round++) { /* once with a run for every position */
            struct cache spread = cache_make(set, type, k, v, N, kv_heads, dim, often);
            enum { ROWS = sizeof positions / sizeof *positions };
            struct kernel_row rows[ROWS], alone;
            float *q = normals((size_t)(ROWS * wide), often == 3 ? 12.0f : 1.0f);
            float *out = xmalloc((size_t)(ROWS * wide) * sizeof *out), *one = xmalloc((size_t)wide * sizeof *one);
            for (int r = 0; r < ROWS; r++)
                rows[r] = (struct kernel_row){spread.runs, positions[r]};
            struct kernel_attention a = {.q = q,
                                         .out = out,
                                         .heads = heads,
                                         .window = windows[round % 9],
                                         .scale = 1 / sqrtf((float)dim),
                                         .cache = spread.shape,
                                         .rows = rows};
            memset(out, 0xff, (size_t)(ROWS * wide) * sizeof *out);
            attend_all(set, a, 0, ROWS, ROWS);
            for (int r = 0; r < ROWS; r++) {
                /* Bit for bit what the row gives alone with its positions in as few runs as there can be. */
                alone = (struct kernel_row){whole.runs, positions[r]};
                struct kernel_attention b = a;
                b.q = q + r * wide, b.out = one, b.rows = &alone;
                attend_all(set, b, 0, 1, 1);
                assert_same(out + r * wide, one, (size_t)wide);
                double *expected = xmalloc((size_t)wide * sizeof *expected),
                       *bound = xmalloc((size_t)wide * sizeof *bound);
                attend_exactly(type, b.q, k, v, kernel_first_seen(&b, 0), positions[r], heads, kv_heads, dim, a.scale, expected, bound);
                for (int d = 0; d < wide; d++)
                    if (!(fabs((double)one[d] - expected[d]) <= bound[d]))
                        fail_msg("%s %s, %d heads on %d of %d, position %d, window %d, number %d: %g, not %g (bound %g)", set->name,
                                 kernel_format(type)->name, heads, kv_heads, dim, positions[r], a.window, d, (double)one[d], expected[d], bound[d]);
                free(expected);
                free(bound);
            }
            free(q);
            free(out);
            free(one);
            cache_drop(&spread);
        }
        cache_drop(&whole);
        free(k);
        free(v);
    }
}

/* The types of cache a set may be asked for. */
static const enum kernel_type cache_types[] = {KERNEL_F32, KERNEL_F16, KERNEL_Q8_0};
#define FOR_EACH_CACHE(set, type)                                                                                      \
    for (const enum kernel_type *type = cache_types; type < cache_types + 3; type++)                                   \
        if ((set)->cache_bytes(*type, 1, 32))

static void test_attention(void **state)
{
    (void)state;
    draws = 5 << 20;
    FOR_EACH_SET(set)
    {
        assert_true(set->cache_bytes(set->cache, 3, 20) > 0);
        FOR_EACH_CACHE(set, type)
        check_attention(set, *type);
    }
}

/* A tree: branches that leave a common prefix at different places, also within a block, and rows of them in any order
 * give together what each gives alone. */
static void test_attention_tree(void **state)
{
    (void)state;
    draws = 6 << 20;
    enum {
        N = 640,
        BRANCHES = 7,
        HEADS = 6,
        KV_HEADS = 2,
        DIM = 32,
        WIDE = HEADS * DIM,
        KV = KV_HEADS * DIM,
        ROWS = 40
    };
    FOR_EACH_SET(set)
    FOR_EACH_CACHE(set, type)
    {
        struct cache caches[BRANCHES];
        float *k = normals(N * KV, 1), *v = normals(N * KV, 1);
        for (int b = 0; b < BRANCHES;
             b++) { /* branch b shares the runs of branch b - 1 before `fork`, and its keys and values */
            int fork = b ? below(N) : 0, shared = 0;
            float *own_k = normals(N * KV, 1), *own_v = normals(N * KV, 1);
            memcpy(own_k, k, (size_t)(fork * KV) * sizeof *k);
            memcpy(own_v, v, (size_t)(fork * KV) * sizeof *v);
            caches[b] = cache_make(set, *type, own_k, own_v, N, KV_HEADS, DIM, 40);
            if (b) {
                struct kernel_run *runs = xcalloc(2 * N, sizeof *runs);
                int count = 0, position = 0;
                for (; shared < fork; shared += runs[count++].count) {
                    runs[count] = caches[b - 1].runs[count];
                    if (shared + runs[count].count > fork)
                        runs[count].count = fork - shared;
                }
                for (struct kernel_run *own = caches[b].runs; position < N; position += own++->count)
                    if (position + own->count > fork) {
                        int skip = fork > position ? fork - position : 0;
                        runs[count++] = (struct kernel_run){own->block, own->cell + skip, own->count - skip};
                    }
                free(caches[b].runs);
                caches[b].runs = runs;
            }
            free(k);
            free(v);
            k = own_k, v = own_v;
        }
        struct kernel_row rows[ROWS];
        float *q = normals(ROWS * WIDE, 1), *together = xcalloc(ROWS * WIDE, sizeof *q),
              *alone = xcalloc(ROWS * WIDE, sizeof *q);
        for (int r = 0; r < ROWS; r++)
            rows[r] = (struct kernel_row){caches[r < 20 ? r % BRANCHES : below(BRANCHES)].runs,
                                          r < 20 ? N - 1 - r / 10 : below(N)};
        struct kernel_attention a = {.q = q,
                                     .out = together,
                                     .heads = HEADS,
                                     .scale = 0.2f,
                                     .cache = caches[0].shape,
                                     .rows = rows};
        for (int window = 0; window <= 600; window += 75) {
            a.window = window;
            a.out = together;
            attend_all(set, a, 0, ROWS, ROWS);
            a.out = alone;
            for (int r = 0; r < ROWS; r++)
                attend_all(set, a, r, r + 1, ROWS);
            assert_same(together, alone, ROWS * WIDE);
        }
        for (int b = 0; b < BRANCHES; b++)
            cache_drop(&caches[b]);
        free(k);
        free(v);
        free(q);
        free(together);
        free(alone);
    }
}

/* Equal keys make a mean of the values; one key far above the others makes its value. */
static void test_attention_by_hand(void **state)
{
    (void)state;
    enum { N = 130, DIM = 8 };
    FOR_EACH_SET(set)
    {
        float k[N * DIM] = {0}, v[N * DIM], q[DIM], out[DIM];
        for (int p = 0; p < N; p++)
            for (int d = 0; d < DIM; d++)
                v[p * DIM + d] = (float)(p + d);
        for (int d = 0; d < DIM; d++)
            q[d] = 1;
        struct cache c = cache_make(set, set->cache, k, v, N, 1, DIM, 5);
        struct kernel_row row = {c.runs, N - 1};
        struct kernel_attention a = {.q = q,
                                     .out = out,
                                     .heads = 1,
                                     .scale = 1,
                                     .cache = c.shape,
                                     .rows = &row};
        attend_all(set, a, 0, 1, 1);
        for (int d = 0; d < DIM; d++)
            assert_true(fabsf(out[d] - ((N - 1) / 2.0f + (float)d)) < 1e-4f);
        cache_drop(&c);
        for (int d = 0; d < DIM; d++)
            k[70 * DIM + d] = 100;
        c = cache_make(set, set->cache, k, v, N, 1, DIM, 5);
        row.runs = c.runs;
        attend_all(set, a, 0, 1, 1);
        for (int d = 0; d < DIM; d++)
            assert_true(out[d] == (float)(70 + d));
        cache_drop(&c);
    }
}

/* What is zero, very large or not a number: it stays so for who sees it, and nobody else is touched, be it before or behind a window. */
static void test_attention_extremes(void **state)
{
    (void)state;
    draws = 10 << 20;
    enum { N = 100, DIM = 64, AT = 37, ROWS = 3 };
    const int positions[ROWS] = {AT - 1, AT, N - 1};
    enum { ZERO_QUERY, ZERO_KEYS, ZERO_VALUES, LARGE, BAD_QUERY, BAD_KEY, BAD_VALUE, CASES };
    FOR_EACH_SET(set)
    FOR_EACH_CACHE(set, type)
    for (int kind = 0, window = 0; kind < CASES; kind += window > 0, window = window ? 0 : N - 1 - AT) { /* that just does not see AT from the end */
        float *k = normals(N * DIM, 1), *v = normals(N * DIM, 1), *q = normals(ROWS * DIM, 1), out[ROWS * DIM];
        for (int i = 0; i < N * DIM; i++) {
            k[i] *= kind == ZERO_KEYS ? 0 : kind == LARGE ? 1000 : 1;
            v[i] *= kind == ZERO_VALUES || (kind == LARGE && i / DIM % 2) ? 0 : kind == LARGE ? 10000 : 1;
        }
        for (int i = 0; i < ROWS * DIM; i++)
            q[i] *= kind == ZERO_QUERY ? 0 : kind == LARGE ? 1000 : 1;
        if (kind == BAD_QUERY)
            q[DIM + 5] = NAN;
        if (kind == BAD_KEY)
            for (int d = 0; d < DIM; d++) /* as they come of a row that is not a number */
                k[AT * DIM + d] = NAN;
        if (kind == BAD_VALUE)
            v[AT * DIM + DIM - 1] = INFINITY;
        struct cache c = cache_make(set, *type, k, v, N, 1, DIM, 9);
        struct kernel_row rows[ROWS];
        for (int r = 0; r < ROWS; r++)
            rows[r] = (struct kernel_row){c.runs, positions[r]};
        struct kernel_attention a = {.q = q, .out = out, .heads = 1, .window = window, .scale = 0.125f, .cache = c.shape, .rows = rows};
        attend_all(set, a, 0, ROWS, ROWS);
        for (int r = 0; r < ROWS; r++)
            for (int d = 0; d < DIM; d++) {
                const int first = kernel_first_seen(&a, r), sees = first <= AT && AT <= positions[r];
                const int bad = (kind == BAD_QUERY && r == 1) || (kind == BAD_KEY && sees), x = r * DIM + d;
                double mean = 0;
                for (int p = first; p <= positions[r]; p++)
                    mean += cached(*type, v + p * DIM, d) / (positions[r] + 1 - first);
                if (kind == BAD_VALUE && sees)
                    assert_true(d < DIM - 1 || !isfinite(out[x]));
                else
                    assert_int_equal(!isfinite(out[x]), bad);
                if (kind == BAD_VALUE && sees && d < 32)
                    assert_true(isfinite(out[x]));
                if (kind == ZERO_QUERY || kind == ZERO_KEYS)
                    assert_true(fabs((double)out[x] - mean) < 1e-4);
                if (kind == ZERO_VALUES)
                    assert_true(out[x] == 0);
            }
        cache_drop(&c);
        free(k);
        free(v);
        free(q);
    }
}

/* --- limits ------------------------------------------------------------------------------------------------------ */

static void test_limits(void **state)
{
    (void)state;
    struct kernel_pool *pool = kernel_pool_create(2);
    const struct kernel_set *set;
    assert_int_equal(kernel_set_find("auto", &set, NULL), OK);
    struct kernel_limits limits;
    kernel_limits_measure(set, pool, 1 << 20, &limits);
    assert_true(limits.memory_read > 1e8 && limits.weights_read > 1e8 && limits.sgemm > 1e8);
    assert_true(limits.sgemm_core && *limits.sgemm_core);
    assert_true(set->int8_products ? limits.int8 > 1e8 : limits.int8 == 0);
    kernel_limits_measure(reference(), pool, 0, &limits);
    assert_true(limits.int8 == 0 && limits.weights_read == 0);
    kernel_limits_measure(reference(), pool, 1, &limits); /* less than a line for each thread */
    assert_true(limits.weights_read == 0);
    kernel_pool_free(pool);
}

static void test_int8_products(void **state)
{
    (void)state;
    FOR_EACH_SET(set)
    if (set->int8_products)
        assert_true(set->int8_products() >= 1e6);
}

/* A matrix takes as many bytes packed as was said before, and lies in memory lent to it as it does in its own. */
static void test_packing(void **state)
{
    (void)state;
    draws = 9 << 20;
    struct kernel_pool *pool = kernel_pool_create(2);
    FOR_EACH_SET(set)
    for (int type = 0; type < KERNEL_TYPES; type++)
        for (int rows = 1; rows < 70; rows += 17) {
            enum { GUARD = 64 };
            struct matrix own = matrix_make(type, rows, kernel_format(type)->block == 256 ? 512 : 192), lent = own;
            size_t bytes = set->packed_bytes ? set->packed_bytes(&own.m) : 0;
            assert_int_equal(set->pack(&own.m, pool, NULL), OK);
            assert_int_equal(own.m.packed_bytes, bytes);
            assert_int_equal(own.m.packed != NULL, bytes > 0);
            if (bytes) {
                unsigned char *memory = aligned_xmalloc(bytes + GUARD);
                memset(memory, 0xa5, bytes + GUARD);
                lent.m.packed = memory;
                lent.m.lent = 1;
                assert_int_equal(set->pack(&lent.m, pool, NULL), OK);
                assert_ptr_equal(lent.m.packed, memory);
                assert_int_equal(lent.m.packed_bytes, bytes);
                assert_memory_equal(memory, own.m.packed, bytes - 63); /* the last line need not be full */
                for (int i = 0; i < GUARD; i++)
                    assert_int_equal(memory[bytes + (size_t)i], 0xa5);
                lent.m.nf4 = NULL; /* of own */
                kernel_matrix_free(&lent.m);
                assert_null(lent.m.packed);
                free(memory); /* it was not freed with the matrix */
            }
            matrix_drop(&own);
        }
    kernel_pool_free(pool);
}

/* A test named as argument is left out: under emulation the limits take many minutes, and mean nothing. */
int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_skip_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_halves),         cmocka_unit_test(test_formats),
        cmocka_unit_test(test_pool),           cmocka_unit_test(test_find),
        cmocka_unit_test(test_matmul_values),  cmocka_unit_test(test_matmul_extremes),
        cmocka_unit_test(test_matmul_bits),    cmocka_unit_test(test_rows),
        cmocka_unit_test(test_combine),
        cmocka_unit_test(test_rope),           cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_tree), cmocka_unit_test(test_attention_by_hand),
        cmocka_unit_test(test_attention_extremes),
        cmocka_unit_test(test_packing),        cmocka_unit_test(test_int8_products),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
