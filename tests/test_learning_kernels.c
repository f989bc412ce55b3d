/* The kernels of learning: every set against plain sums and central differences in double, and, bit for bit, that numbers
 * depend neither on threads nor on what else is computed. */
#include "kernels/kernels.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NUMBERS_SEED 6
#include "any_numbers.h"
#include "any_blocks.h"

static float *copy(const float *x, size_t n)
{
    return memcpy(xmalloc((n + 1) * sizeof *x), x, n * sizeof *x);
}

static void assert_near(const char *what, size_t i, double x, double expected, double bound)
{
    if (!(fabs(x - expected) <= bound))
        fail_msg("%s, number %zu: %.9g, not %.9g: more than %.2g away", what, i, x, expected, bound);
}

/* --- products ---------------------------------------------------------------------------------------------------- */

/* A product, its memory, and what it must come to; c has room of its own around each row, which must stay as it is. */
struct problem {
    struct kernel_product p;
    struct kernel_matrix weights;
    struct kernel_low_rank plus;
    float *a, *b, *c, *la, *lb, *dequantized;
    void *blocks;
    double *expected, *bound; /* [rows][columns] */
    size_t c_numbers;
};

static void problem_free(struct problem *x)
{
    kernel_matrix_free(&x->weights);
    free(x->a), free(x->b), free(x->c), free(x->la), free(x->lb), free(x->dequantized), free(x->blocks), free(x->expected), free(x->bound);
}

/* b[k][j] as the header says it; *size: of what it is the sum of. */
static double number_of_b(const struct problem *x, int k, int j, double *size)
{
    if (!x->p.weights) {
        const double b = (double)x->b[k * x->p.b_k + j * x->p.b_column];
        *size = fabs(b);
        return b;
    }
    const int row = x->p.transposed ? j : k, col = x->p.transposed ? k : j;
    double sum = (double)x->dequantized[(size_t)row * (size_t)x->weights.cols + (size_t)col];
    *size = fabs(sum);
    for (int r = 0; x->p.plus && r < x->plus.rank; r++) {
        const double low = (double)x->plus.scale * (double)x->lb[(size_t)row * (size_t)x->plus.rank + (size_t)r] *
                           (double)x->la[(size_t)r * (size_t)x->weights.cols + (size_t)col];
        sum += low, *size += fabs(low);
    }
    return sum;
}

/* What double sums come to; c has what is added to. */
static void expect(struct problem *x)
{
    const struct kernel_product *p = &x->p;
    double *b = xmalloc(((size_t)p->depth * (size_t)p->columns + 1) * sizeof *b);
    double *size = xmalloc(((size_t)p->depth * (size_t)p->columns + 1) * sizeof *size);
    x->expected = xmalloc(((size_t)p->rows * (size_t)p->columns + 1) * sizeof *x->expected);
    x->bound = xmalloc(((size_t)p->rows * (size_t)p->columns + 1) * sizeof *x->bound);
    for (int k = 0; k < p->depth; k++)
        for (int j = 0; j < p->columns; j++)
            b[(size_t)k * (size_t)p->columns + (size_t)j] = number_of_b(x, k, j, &size[(size_t)k * (size_t)p->columns + (size_t)j]);
    for (int i = 0; i < p->rows; i++)
        for (int j = 0; j < p->columns; j++) {
            double sum = p->accumulate ? (double)x->c[i * p->c_row + j] : 0, all = fabs(sum);
            for (int k = 0; k < p->depth; k++) {
                const double a = (double)x->a[i * p->a_row + k * p->a_k];
                const size_t at = (size_t)k * (size_t)p->columns + (size_t)j;
                sum += a * b[at], all += fabs(a) * size[at];
            }
            x->expected[(size_t)i * (size_t)p->columns + (size_t)j] = sum;
            x->bound[(size_t)i * (size_t)p->columns + (size_t)j] = 2e-6 * all + 1e-12; /* what is added to may outweigh the terms, and rounds at each */
        }
    free(b), free(size);
}

/* The same where operands may be rounded: by how much is said of numbers by the greatest of those they share a step with. */
static void may_round(struct problem *x)
{
    struct kernel_product *p = &x->p;
    double size;
    p->rounded = 1;
    for (int i = 0; i < p->rows; i++)
        for (int j = 0; j < p->columns; j++)
            for (int from = 0; from < p->depth; from += KERNEL_ROUND) {
                const int n = p->depth - from < KERNEL_ROUND ? p->depth - from : KERNEL_ROUND;
                double most_a = 0, most_b = 0, sum_a = 0, sum_b = 0;
                for (int k = from; k < from + n; k++) {
                    const double a = fabs((double)x->a[i * p->a_row + k * p->a_k]), y = fabs(number_of_b(x, k, j, &size));
                    most_a = a > most_a ? a : most_a, most_b = y > most_b ? y : most_b;
                    sum_a += a, sum_b += y;
                }
                x->bound[(size_t)i * (size_t)p->columns + (size_t)j] +=
                    1.01 / 8190 * (most_b * sum_a + most_a * sum_b + n * most_a * most_b / 8190);
            }
}

static void problem_begin(struct problem *x, int rows, int columns, int depth, int by_columns)
{
    const int room = below(5);
    *x = (struct problem){.p = {.rows = rows, .columns = columns, .depth = depth, .c_row = columns + below(7), .accumulate = below(2)}};
    x->p.a_row = by_columns ? 1 : depth + room;
    x->p.a_k = by_columns ? rows + room : 1;
    x->p.a = x->a = normals((size_t)(rows + room) * (size_t)(depth + room), 1);
    x->c_numbers = (size_t)rows * (size_t)x->p.c_row;
    x->p.c = x->c = normals(x->c_numbers, 1);
}

static struct problem numbers_problem(int rows, int columns, int depth)
{
    struct problem x;
    const int room = below(5), turned = below(2);
    problem_begin(&x, rows, columns, depth, below(2));
    x.p.b = x.b = normals((size_t)(columns + room) * (size_t)(depth + room), 1);
    x.p.b_k = turned ? 1 : columns + room;
    x.p.b_column = turned ? depth + room : 1;
    expect(&x);
    return x;
}

static void *random_blocks(enum kernel_type type, size_t numbers)
{
    const struct kernel_format *format = kernel_format(type);
    const size_t bytes = numbers / (size_t)format->block * (size_t)format->bytes;
    unsigned char *data = xmalloc(bytes + 1);
    for (size_t at = 0; at < bytes; at += (size_t)format->bytes)
        any_block(type, data + at, 0.1f);
    return data;
}

static struct problem weights_problem(enum kernel_type type, int rows, int out, int in, int transposed, int rank)
{
    struct problem x;
    const enum kernel_type stored = type == KERNEL_NF4 ? KERNEL_F32 : type;
    problem_begin(&x, rows, transposed ? out : in, transposed ? in : out, 0);
    x.blocks = random_blocks(stored, (size_t)out * (size_t)in);
    x.weights = (struct kernel_matrix){.type = stored, .rows = out, .cols = in, .data = x.blocks};
    if (type == KERNEL_NF4) {
        struct kernel_pool *pool = kernel_pool_create(1);
        assert_int_equal(kernel_matrix_to_nf4(&x.weights, pool, NULL), OK);
        kernel_pool_free(pool);
    }
    x.dequantized = xmalloc((size_t)out * (size_t)in * sizeof *x.dequantized);
    for (int r = 0; r < out; r++)
        kernel_matrix_dequantize(&x.weights, r, 0, x.dequantized + (size_t)r * (size_t)in, in);
    x.p.transposed = transposed;
    if (rank) {
        x.la = normals((size_t)rank * (size_t)in, 0.2f);
        x.lb = normals((size_t)rank * (size_t)out, 0.2f);
        x.plus = (struct kernel_low_rank){x.la, x.lb, rank, 1.5f};
    }
    return x;
}

/* Products point to what lies in the problem itself, so this is done where it stays. */
static void problem_point(struct problem *x)
{
    x->p.weights = x->dequantized ? &x->weights : NULL;
    x->p.plus = x->plus.rank ? &x->plus : NULL;
    if (!x->expected)
        expect(x);
}

static void run(const struct kernel_set *set, int threads, const struct kernel_product *products, int n)
{
    struct kernel_pool *pool = kernel_pool_create(threads);
    kernel_products(set, pool, products, n);
    kernel_pool_free(pool);
}

/* The problem's c as this set has it with so many threads; free it. */
static float *solved(const struct kernel_set *set, int threads, const struct problem *x)
{
    struct kernel_product p = x->p;
    float *c = p.c = copy(x->c, x->c_numbers);
    run(set, threads, &p, 1);
    return c;
}

static void check_problem(const struct kernel_set *set, struct problem *x)
{
    const struct kernel_product *p = &x->p;
    float *one = solved(set, 1, x);
    for (int i = 0; i < p->rows; i++) {
        for (int j = 0; j < p->columns; j++) {
            const size_t at = (size_t)i * (size_t)p->columns + (size_t)j;
            assert_near(set->name, at, (double)one[i * p->c_row + j], x->expected[at], x->bound[at]);
        }
        assert_same(one + i * p->c_row + p->columns, x->c + i * p->c_row + p->columns, (size_t)(p->c_row - p->columns));
    }
    for (int threads = 2; threads <= 3; threads++) {
        float *c = solved(set, threads, x);
        assert_same(c, one, x->c_numbers);
        free(c);
    }
    /* A row by itself. */
    float *alone = copy(x->c, x->c_numbers);
    for (int some = 0; some < 3 && p->rows; some++) {
        const int i = some == 0 ? 0 : some == 1 ? p->rows - 1 : below(p->rows);
        struct kernel_product row = *p;
        memcpy(alone + i * p->c_row, x->c + i * p->c_row, (size_t)p->columns * sizeof *alone);
        row.rows = 1, row.a = p->a + i * p->a_row, row.c = alone + i * p->c_row;
        run(set, 1, &row, 1);
        assert_same(alone + i * p->c_row, one + i * p->c_row, (size_t)p->columns);
    }
    free(alone);
    free(one);
}

static void test_products(void **state)
{
    (void)state;
    static const int shapes[][3] = {{1, 1, 1}, {1, 300, 5}, {7, 33, 513}, {13, 16, 1025}, {97, 129, 64}, {193, 31, 40}, {300, 17, 512}, {24, 200, 700}, {5, 3, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes + 20; i++) {
        const int fixed = i < sizeof shapes / sizeof *shapes;
        draws = 1000000 * i;
        struct problem x = numbers_problem(fixed ? shapes[i][0] : 1 + below(120), fixed ? shapes[i][1] : 1 + below(150), fixed ? shapes[i][2] : 1 + below(150));
        problem_point(&x);
        if (!x.p.depth) /* nothing to add: no pass asks for it */
            x.p.depth = 1, x.p.rows = 0;
        FOR_EACH_SET(set)
            check_problem(set, &x);
        may_round(&x);
        FOR_EACH_SET(set)
            check_problem(set, &x);
        problem_free(&x);
    }
}

/* Only its own row of what is not a number. */
static void test_rounded_not_finite(void **state)
{
    (void)state;
    draws = 0;
    struct problem x = numbers_problem(9, 70, 300);
    problem_point(&x);
    x.p.rounded = 1, x.p.accumulate = 0;
    FOR_EACH_SET(set)
        for (int bad = 0; bad < 2; bad++) {
            float *fine = solved(set, 1, &x), *at = &x.a[4 * x.p.a_row + 299 * x.p.a_k], was = *at;
            *at = bad ? INFINITY : NAN;
            float *c = solved(set, 2, &x);
            *at = was;
            for (int i = 0; i < 9; i++)
                for (int j = 0; j < 70; j++)
                    assert_true(i == 4 ? !isfinite(c[i * x.p.c_row + j]) : c[i * x.p.c_row + j] == fine[i * x.p.c_row + j]);
            free(c), free(fine);
        }
    problem_free(&x);
}

static void test_products_with_weights(void **state)
{
    (void)state;
    for (int type = 0; type < KERNEL_TYPES; type++)
        for (int transposed = 0; transposed < 2; transposed++)
            for (int rank = 0; rank < 2; rank++) {
                const int block = type == KERNEL_NF4 ? 64 : kernel_format((enum kernel_type)type)->block;
                /* in: over a block of depth, and under */
                const int wide = block == 1 ? 577 : block == 256 ? 768 : 576, narrow = block == 1 ? 67 : block == 256 ? 256 : 64;
                draws = 0;
                for (int narrower = 0; narrower < 2; narrower++) {
                    const int out = narrower ? 545 : 37;
                    struct problem x = weights_problem((enum kernel_type)type, narrower ? 14 : 101, out, narrower ? narrow : wide, transposed, rank * 5);
                    problem_point(&x);
                    FOR_EACH_SET(set)
                        check_problem(set, &x);
                    may_round(&x);
                    FOR_EACH_SET(set)
                        check_problem(set, &x);
                    problem_free(&x);
                }
            }
}

/* Together they are cut into other tasks, and have the same numbers. */
static void test_products_together(void **state)
{
    (void)state;
    struct problem x[3];
    draws = 0;
    x[0] = numbers_problem(200, 70, 90);
    x[1] = weights_problem(KERNEL_Q8_0, 50, 96, 64, 1, 3);
    x[2] = weights_problem(KERNEL_F32, 120, 33, 200, 0, 0);
    FOR_EACH_SET(set)
        for (int threads = 1; threads <= 6; threads++) { /* from 4 on, rounded */
            struct kernel_product products[3];
            for (int i = 0; i < 3; i++) {
                problem_point(&x[i]);
                x[i].p.rounded = threads > 3;
                products[i] = x[i].p;
                products[i].c = copy(x[i].c, x[i].c_numbers);
            }
            run(set, threads, products, 3);
            for (int i = 0; i < 3; i++) {
                float *alone = solved(set, 1, &x[i]);
                assert_same(products[i].c, alone, x[i].c_numbers);
                free(alone);
                free(products[i].c);
            }
        }
    for (int i = 0; i < 3; i++)
        problem_free(&x[i]);
}

/* --- attention --------------------------------------------------------------------------------------------------- */

struct shape {
    int heads, kv_heads, dim, count, window;
};

/* Plain attention in double: out, and from d_out the gradients; the rows of both lie close. */
struct naive {
    struct shape s;
    double *q, *k, *v, *out, *length, *d_out, *dq, *dk, *dv;
};

static double *doubles(const float *x, size_t rows, size_t cols, size_t stride)
{
    double *out = xcalloc(rows * cols + 1, sizeof *out);
    for (size_t i = 0; x && i < rows * cols; i++)
        out[i] = (double)x[i / cols * stride + i % cols];
    return out;
}

static double scale_of(struct shape s)
{
    return 1 / sqrt(s.dim);
}

/* Probabilities of row i, head g over 0..i, zero before its window; returns the log of the sum. */
static double naive_row(const struct naive *n, int i, int g, double *p)
{
    const int dim = n->s.dim, h = g / (n->s.heads / n->s.kv_heads), first = n->s.window && i >= n->s.window ? i + 1 - n->s.window : 0;
    double most = -INFINITY, sum = 0;
    for (int j = 0; j < first; j++)
        p[j] = 0;
    for (int j = first; j <= i; j++) {
        p[j] = 0;
        for (int e = 0; e < dim; e++)
            p[j] += n->q[(i * n->s.heads + g) * dim + e] * n->k[(j * n->s.kv_heads + h) * dim + e];
        p[j] *= scale_of(n->s);
        most = p[j] > most ? p[j] : most;
    }
    for (int j = first; j <= i; j++)
        sum += p[j] = exp(p[j] - most);
    for (int j = first; j <= i; j++)
        p[j] /= sum;
    return most + log(sum);
}

static void naive_attend(struct naive *n)
{
    double *p = xmalloc((size_t)n->s.count * sizeof *p);
    const int dim = n->s.dim, group = n->s.heads / n->s.kv_heads;
    for (int i = 0; i < n->s.count; i++)
        for (int g = 0; g < n->s.heads; g++) {
            double *out = n->out + (i * n->s.heads + g) * dim;
            n->length[i * n->s.heads + g] = naive_row(n, i, g, p);
            for (int e = 0; e < dim; e++)
                out[e] = 0;
            for (int j = 0; j <= i; j++)
                for (int e = 0; e < dim; e++)
                    out[e] += p[j] * n->v[(j * n->s.kv_heads + g / group) * dim + e];
        }
    free(p);
}

/* d score_j = p_j (d_out . v_j - sum over t of p_t d_out . v_t). */
static void naive_back(struct naive *n)
{
    double *p = xmalloc((size_t)n->s.count * sizeof *p), *dp = xmalloc((size_t)n->s.count * sizeof *dp);
    const int dim = n->s.dim, group = n->s.heads / n->s.kv_heads;
    for (int i = 0; i < n->s.count; i++)
        for (int g = 0; g < n->s.heads; g++) {
            const int q = (i * n->s.heads + g) * dim, h = g / group;
            double mean = 0;
            naive_row(n, i, g, p);
            for (int j = 0; j <= i; j++) {
                dp[j] = 0;
                for (int e = 0; e < dim; e++)
                    dp[j] += n->d_out[q + e] * n->v[(j * n->s.kv_heads + h) * dim + e];
                mean += p[j] * dp[j];
            }
            for (int j = 0; j <= i; j++)
                for (int e = 0; e < dim; e++) {
                    const int k = (j * n->s.kv_heads + h) * dim + e;
                    const double d = p[j] * (dp[j] - mean) * scale_of(n->s);
                    n->dq[q + e] += d * n->k[k];
                    n->dk[k] += d * n->q[q + e];
                    n->dv[k] += p[j] * n->d_out[q + e];
                }
        }
    free(p), free(dp);
}

/* Buffers of a document with room beside each row, and what they must come to. */
struct attention {
    struct shape s;
    struct kernel_document d;
    struct naive naive;
    float *memory;
    size_t q_numbers, kv_numbers;
};
enum { ROOM = 3 };
static const float untouched = 1234.5f;

static float *take(float **at, size_t n)
{
    float *part = *at;
    *at += n;
    for (size_t i = 0; i < n; i++)
        part[i] = untouched;
    return part;
}

static float *take_normals(float **at, size_t n, float scale)
{
    float *part = take(at, n);
    for (size_t i = 0; i < n; i++)
        part[i] = normal() * scale;
    return part;
}

static void attention_make(struct attention *a, struct shape s)
{
    const size_t n = (size_t)s.count, q_cols = (size_t)(s.heads * s.dim), kv_cols = (size_t)(s.kv_heads * s.dim);
    const size_t q_row = q_cols + ROOM, kv_row = kv_cols + ROOM;
    *a = (struct attention){.s = s, .q_numbers = n * q_row, .kv_numbers = n * kv_row};
    float *at = a->memory = xmalloc((4 * n * q_row + 10 * n * kv_row + n * (size_t)s.heads + 1) * sizeof *at);
    a->d = (struct kernel_document){.count = s.count, .heads = s.heads, .kv_heads = s.kv_heads, .head_dim = s.dim, .window = s.window, .scale = (float)scale_of(s),
                                    .q_row = (ptrdiff_t)q_row, .kv_row = (ptrdiff_t)kv_row};
    /* Sharp enough that far positions matter in some rows and not in others. */
    a->d.q = take_normals(&at, n * q_row, 2);
    a->d.k = take_normals(&at, n * kv_row, 1);
    a->d.v = take_normals(&at, n * kv_row, 1);
    a->d.d_out = take_normals(&at, n * q_row, 1);
    a->d.out = take(&at, n * q_row);
    a->d.dq = take(&at, n * q_row);
    a->d.length = take(&at, n * (size_t)s.heads);
    for (int p = 0; p < 4; p++) {
        a->d.dk[p] = take(&at, n * kv_row);
        a->d.dv[p] = take(&at, n * kv_row);
    }
    a->naive = (struct naive){.s = s, .q = doubles(a->d.q, n, q_cols, q_row), .k = doubles(a->d.k, n, kv_cols, kv_row),
                              .v = doubles(a->d.v, n, kv_cols, kv_row), .d_out = doubles(a->d.d_out, n, q_cols, q_row),
                              .out = doubles(NULL, n, q_cols, 0), .dq = doubles(NULL, n, q_cols, 0), .dk = doubles(NULL, n, kv_cols, 0),
                              .dv = doubles(NULL, n, kv_cols, 0), .length = doubles(NULL, n, (size_t)s.heads, 0)};
    naive_attend(&a->naive);
    naive_back(&a->naive);
}

static void naive_free(struct naive *n)
{
    free(n->q), free(n->k), free(n->v), free(n->out), free(n->length), free(n->d_out), free(n->dq), free(n->dk), free(n->dv);
}

static void attention_free(struct attention *a)
{
    naive_free(&a->naive);
    free(a->memory);
}

static void attention_run(const struct kernel_set *set, const struct attention *a)
{
    for (int back = 0; back < 2; back++)
        for (int part = 0; part < kernel_document_parts(a->s.count); part++)
            for (int h = 0; h < a->s.kv_heads; h++)
                (back ? set->learning->attend_back : set->learning->attend)(&a->d, h, part);
}

/* Rows of x, which lie `row` apart, are the expected ones, which lie close; what is between them is as it was. */
static void assert_rows(const char *what, const float *x, int rows, int cols, ptrdiff_t row, const double *expected)
{
    double most = 0;
    for (int i = 0; i < rows * cols; i++)
        most = fmax(most, fabs(expected[i]));
    for (int i = 0; i < rows; i++) {
        for (int c = 0; c < cols; c++)
            assert_near(what, (size_t)(i * cols + c), (double)x[i * row + c], expected[i * cols + c], 4e-6 * (most + 1));
        for (ptrdiff_t c = cols; c < row; c++)
            assert_true(x[i * row + c] == untouched);
    }
}

static void check_attention(const struct kernel_set *set, struct attention *a)
{
    const struct shape s = a->s;
    const int parts = kernel_document_parts(s.count), kv = s.kv_heads * s.dim;
    attention_run(set, a);
    char *what = xasprintf("%s, %d positions, %d heads over %d of %d, window %d", set->name, s.count, s.heads, s.kv_heads, s.dim, s.window);
    assert_rows(what, a->d.out, s.count, s.heads * s.dim, a->d.q_row, a->naive.out);
    assert_rows(what, a->d.length, s.count, s.heads, s.heads, a->naive.length);
    assert_rows(what, a->d.dq, s.count, s.heads * s.dim, a->d.q_row, a->naive.dq);
    for (int p = 1; p < parts; p++)
        for (int i = 0; i < s.count; i++)
            for (int c = 0; c < kv; c++) {
                a->d.dk[0][i * a->d.kv_row + c] += a->d.dk[p][i * a->d.kv_row + c];
                a->d.dv[0][i * a->d.kv_row + c] += a->d.dv[p][i * a->d.kv_row + c];
            }
    assert_rows(what, a->d.dk[0], s.count, kv, a->d.kv_row, a->naive.dk);
    assert_rows(what, a->d.dv[0], s.count, kv, a->d.kv_row, a->naive.dv);
    for (int p = parts; p < 4; p++)
        for (size_t i = 0; i < a->kv_numbers; i++)
            assert_true(a->d.dk[p][i] == untouched && a->d.dv[p][i] == untouched);
    free(what);
}

static double naive_loss(struct naive *n)
{
    double sum = 0;
    naive_attend(n);
    for (int i = 0; i < n->s.count * n->s.heads * n->s.dim; i++)
        sum += n->d_out[i] * n->out[i];
    return sum;
}

static void assert_differences(struct naive *n, double *x, const double *gradient, int count)
{
    for (int i = 0; i < count; i++) {
        const double h = 1e-5, was = x[i];
        x[i] = was + h;
        double slope = naive_loss(n);
        x[i] = was - h;
        slope = (slope - naive_loss(n)) / (2 * h);
        x[i] = was;
        assert_near("a central difference", (size_t)i, gradient[i], slope, 1e-7 * (1 + fabs(slope)));
    }
}

/* The plain gradient the sets are held against is itself the slope. */
static void test_naive_attention(void **state)
{
    (void)state;
    struct attention a;
    draws = 0;
    attention_make(&a, (struct shape){3, 1, 5, 7, 0});
    assert_differences(&a.naive, a.naive.q, a.naive.dq, 7 * 3 * 5);
    assert_differences(&a.naive, a.naive.k, a.naive.dk, 7 * 5);
    assert_differences(&a.naive, a.naive.v, a.naive.dv, 7 * 5);
    attention_free(&a);
}

static void test_attention(void **state)
{
    (void)state;
    static const struct shape shapes[] = {
        {3, 1, 16, 1, 0}, {3, 1, 16, 2, 0}, {3, 1, 20, 15, 0}, {3, 1, 64, 16, 0}, {3, 1, 96, 17, 0}, {4, 2, 16, 31, 0},
        {3, 1, 20, 63, 0}, {3, 1, 16, 64, 0}, {3, 1, 64, 65, 0}, {3, 1, 96, 100, 0}, {3, 1, 20, 128, 0}, {3, 1, 16, 129, 0},
        {4, 2, 20, 255, 0}, {3, 1, 16, 256, 0}, {2, 2, 16, 257, 0}, {3, 1, 20, 320, 0}, {3, 1, 16, 512, 0}, {2, 1, 16, 513, 0},
        {3, 1, 20, 700, 0}, {3, 1, 16, 2, 1}, {3, 1, 16, 65, 8}, {3, 1, 20, 63, 62}, {4, 2, 20, 255, 64}, {3, 1, 64, 200, 65},
        {3, 1, 16, 257, 1}, {2, 1, 20, 513, 100}, {3, 1, 96, 330, 128}, {3, 1, 16, 320, 400}, {2, 1, 16, 700, 300},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct attention a;
        draws = 10000000 * i;
        attention_make(&a, shapes[i]);
        FOR_EACH_SET(set)
            check_attention(set, &a);
        attention_free(&a);
    }
}

/* What a position has does not depend on how many come after it. */
static void test_attention_of_a_beginning(void **state)
{
    (void)state;
    struct attention a;
    draws = 0;
    attention_make(&a, (struct shape){3, 1, 20, 330, 0});
    FOR_EACH_SET(set) {
        attention_run(set, &a);
        float *out = copy(a.d.out, a.q_numbers), *length = copy(a.d.length, 330 * 3);
        for (int count = 1; count < 330; count += count < 70 ? 7 : 61) {
            struct attention less = a;
            less.s.count = less.d.count = count;
            for (size_t i = 0; i < a.q_numbers; i++)
                a.d.out[i] = untouched;
            attention_run(set, &less);
            for (int i = 0; i < count; i++)
                assert_same(a.d.out + i * a.d.q_row, out + i * a.d.q_row, (size_t)(3 * 20));
            assert_same(a.d.length, length, (size_t)count * 3);
        }
        free(out), free(length);
    }
    attention_free(&a);
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* Of f, the slope where x[i] is moved, in double. */
struct slope {
    double (*f)(const void *of, const double *x);
    const void *of;
    double *x;
};

static double slope_at(const struct slope *s, int i, double h)
{
    const double was = s->x[i];
    s->x[i] = was + h;
    const double more = s->f(s->of, s->x);
    s->x[i] = was - h;
    const double less = s->f(s->of, s->x);
    s->x[i] = was;
    return (more - less) / (2 * h);
}

struct norm { /* x, then the weights, are what moves */
    int cols;
    double epsilon;
    const float *dy;
};

static double norm_loss(const void *of, const double *x)
{
    const struct norm *n = of;
    double squares = 0, sum = 0;
    for (int c = 0; c < n->cols; c++)
        squares += x[c] * x[c];
    for (int c = 0; c < n->cols; c++)
        sum += (double)n->dy[c] * x[n->cols + c] * x[c];
    return sum / sqrt(squares / n->cols + n->epsilon);
}

static void check_norm(const struct kernel_set *set, int cols, float size)
{
    const size_t n = (size_t)cols;
    float *x = normals(n, size), *w = normals(n, 1), *dy = normals(n, 1), *dx = normals(n, 1), *dw = normals(n, 1);
    float *before_x = copy(dx, n), *before_w = copy(dw, n), *without = copy(dx, n);
    double *both = xmalloc(2 * n * sizeof *both);
    for (int c = 0; c < cols; c++)
        both[c] = (double)x[c], both[cols + c] = (double)w[c];
    const struct norm norm = {cols, (double)1e-5f, dy};
    const struct slope slope = {norm_loss, &norm, both};
    set->learning->rms_norm_back(x, w, 1e-5f, cols, dy, dx, dw);
    set->learning->rms_norm_back(x, w, 1e-5f, cols, dy, without, NULL);
    assert_same(dx, without, n);
    for (int c = 0; c < cols; c += cols > 100 ? 1 + below(20) : 1) {
        const double by_x = slope_at(&slope, c, 1e-5 * (double)size), by_w = slope_at(&slope, cols + c, 1e-4);
        assert_near(set->name, (size_t)c, (double)dx[c] - (double)before_x[c], by_x, 2e-6 * (1 + 3 / (double)size));
        assert_near(set->name, (size_t)c, (double)dw[c] - (double)before_w[c], by_w, 3e-6);
    }
    free(x), free(w), free(dy), free(dx), free(dw), free(before_x), free(before_w), free(without), free(both);
}

static void test_rms_norm_back(void **state)
{
    (void)state;
    static const int cols[] = {1, 2, 7, 8, 16, 33, 64, 576, 1000};
    draws = 0;
    FOR_EACH_SET(set)
        for (size_t i = 0; i < sizeof cols / sizeof *cols; i++) {
            check_norm(set, cols[i], 1);
            check_norm(set, cols[i], 0.05f);
        }
}

struct gated { /* gate, then up */
    int n, gelu;
    const float *dy;
};

static double gate_of(int gelu, double x)
{
    return gelu ? x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))) : x / (1 + exp(-x));
}

static double gated_loss(const void *of, const double *x)
{
    const struct gated *g = of;
    double sum = 0;
    for (int i = 0; i < g->n; i++)
        sum += (double)g->dy[i] * gate_of(g->gelu, x[i]) * x[g->n + i];
    return sum;
}

static void check_gated(const struct kernel_set *set, int gelu, int n, float size)
{
    void (*const back)(const float *, const float *, int, const float *, float *, float *, float *) =
        gelu ? set->learning->geglu_back : set->learning->swiglu_back;
    const size_t m = (size_t)n;
    float *both = normals(2 * m, size), *dy = normals(m, 1), *gate = copy(both, m), *up = copy(both + n, m), *d = normals(2 * m, 1);
    double *x = doubles(both, 1, 2 * m, 0);
    const struct gated gated = {n, gelu, dy};
    const struct slope slope = {gated_loss, &gated, x};
    float *out = xmalloc((m + 1) * sizeof *out);
    back(gate, up, n, dy, d, d + n, out);
    for (int i = 0; i < n; i++) {
        const double forwards = gate_of(gelu, x[i]) * x[n + i];
        assert_near(set->name, (size_t)i, (double)out[i], forwards, 1e-6 * (1 + fabs(forwards)));
    }
    for (int i = 0; i < 2 * n; i += n > 100 ? 1 + below(9) : 1)
        assert_near(set->name, (size_t)i, (double)d[i], slope_at(&slope, i, 1e-5), 2e-6 * (1 + (double)(size * size)));
    /* Over what it reads: gate and up, and dy. */
    float *over = copy(dy, m), *second = xmalloc((m + 1) * sizeof *second);
    back(gate, up, n, over, over, second, out);
    assert_same(over, d, m);
    assert_same(second, d + n, m);
    float *third = copy(out, m);
    back(gate, up, n, dy, gate, up, out);
    assert_same(gate, d, m);
    assert_same(up, d + n, m);
    assert_same(out, third, m);
    free(out), free(third), free(both), free(dy), free(gate), free(up), free(d), free(x), free(over), free(second);
}

static void test_gated_back(void **state)
{
    (void)state;
    static const int sizes[] = {1, 7, 8, 17, 96, 577};
    draws = 0;
    FOR_EACH_SET(set)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (int gelu = 0; gelu < 2; gelu++) {
                check_gated(set, gelu, sizes[i], 1);
                check_gated(set, gelu, sizes[i], 15);
            }
        }
}

struct told {
    int n, target;
};

static double told_loss(const void *of, const double *x)
{
    const struct told *t = of;
    double most = x[0], sum = 0;
    for (int i = 1; i < t->n; i++)
        most = fmax(most, x[i]);
    for (int i = 0; i < t->n; i++)
        sum += exp(x[i] - most);
    return most + log(sum) - x[t->target];
}

static void check_cross_entropy(const struct kernel_set *set, int n, float size, float weight)
{
    const struct told told = {n, below(n)};
    float *logits = normals((size_t)n, size);
    double *x = doubles(logits, 1, (size_t)n, 0);
    const struct slope slope = {told_loss, &told, x};
    const double loss = told_loss(&told, x);
    assert_near(set->name, 0, (double)set->learning->cross_entropy(logits, n, told.target, weight), loss, 1e-6 * (1 + loss));
    for (int i = 0; i < n; i += n > 100 && i != told.target - 1 ? 1 + below(told.target > i && told.target - i < 20 ? 1 : 19) : 1)
        assert_near(set->name, (size_t)i, (double)logits[i], (double)weight * slope_at(&slope, i, 1e-5), 1e-6);
    free(logits), free(x);
}

static void test_cross_entropy(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 15, 16, 17, 299, 1003};
    draws = 0;
    FOR_EACH_SET(set)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            check_cross_entropy(set, sizes[i], 1, 1);
            check_cross_entropy(set, sizes[i], 8, 0.25f);
            check_cross_entropy(set, sizes[i], 100, 1); /* exp of most of them is nothing */
        }
}

/* A logit that is not a number is seen, wherever it stands, in the loss and in the gradient. */
static void test_cross_entropy_of_nan(void **state)
{
    (void)state;
    FOR_EACH_SET(set)
        for (int at = 0; at < 37; at++) {
            float logits[37];
            for (int i = 0; i < 37; i++)
                logits[i] = (float)(i % 5);
            logits[at] = NAN;
            assert_true(isnan(set->learning->cross_entropy(logits, 37, 3, 1)));
            assert_true(isnan(logits[0]) && isnan(logits[36]));
        }
}

/* --- the optimizer ----------------------------------------------------------------------------------------------- */

static void test_adamw(void **state)
{
    (void)state;
    enum { N = 999, STEPS = 20 };
    const struct kernel_adamw o = {.rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.98f, .epsilon = 1e-8f, .decay = 0.05f, .scale = 0.5f};
    float *w = normals(N, 1), *m = xcalloc(N, sizeof *m), *v = xcalloc(N, sizeof *v);
    double *exact = doubles(w, 1, N, 0), *em = xcalloc(N, sizeof *em), *ev = xcalloc(N, sizeof *ev);
    draws = 0;
    for (int step = 1; step <= STEPS; step++) {
        float *g = normals(N, 0.3f);
        struct kernel_adamw now = o;
        const double b1 = (double)o.beta1, b2 = (double)o.beta2, correct1 = 1 - pow(b1, step), correct2 = 1 - pow(b2, step);
        now.correct1 = (float)correct1, now.correct2 = (float)correct2;
        kernel_adamw_step(&now, N, w, g, m, v);
        for (int i = 0; i < N; i++) {
            const double scaled = (double)g[i] * (double)o.scale;
            em[i] = b1 * em[i] + (1 - b1) * scaled;
            ev[i] = b2 * ev[i] + (1 - b2) * scaled * scaled;
            exact[i] -= (double)o.rate * (em[i] / correct1 / (sqrt(ev[i] / correct2) + (double)o.epsilon) + (double)o.decay * exact[i]);
            assert_near("w", (size_t)i, (double)w[i], exact[i], 1e-6 * step);
        }
        free(g);
    }
    free(w), free(m), free(v), free(exact), free(em), free(ev);
}

/* The line of learning.txt that begins with this word, without it; free it. */
static char *stored_line(const char *word)
{
    FILE *f = fopen("tests/reference/learning.txt", "r");
    assert_non_null(f);
    char *line = NULL, *value = NULL;
    size_t capacity = 0;
    const size_t n = strlen(word);
    while (!value && getline(&line, &capacity, f) > 0)
        if (!strncmp(line, word, n) && line[n] == ' ')
            value = xstrdup(line + n + 1);
    free(line);
    fclose(f);
    assert_non_null(value);
    return value;
}

static float *stored_numbers(const char *word, size_t n)
{
    char *line = stored_line(word), *p = line;
    float *x = xmalloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = strtof(p, &p);
    assert_true(*p == '\n');
    free(line);
    return x;
}

enum { CODES = 256 };
struct moments {
    unsigned char m[CODES], v[CODES];
    float m_scale[1], v_scale[1];
};

static void adamw8(const struct kernel_adamw *o, size_t n, float *w, const float *g, struct moments *x)
{
    const struct kernel_moments8 moments = {x->m, x->v, x->m_scale, x->v_scale};
    kernel_adamw8_step(o, n, w, g, &moments);
}

/* What each code of a moment stands for, read from what a step by it does to a weight of zero: with betas of 1 a moment stays. */
static void test_maps_are_bitsandbytes(void **state)
{
    (void)state;
    float *with = stored_numbers("map_signed", CODES), *without = stored_numbers("map_unsigned", CODES), g[CODES] = {0}, w[CODES] = {0};
    struct kernel_adamw o = {.rate = -1, .beta1 = 1, .beta2 = 1, .epsilon = 1, .scale = 1, .correct1 = 1, .correct2 = 1};
    struct moments x = {.m_scale = {1}, .v_scale = {0}};
    for (int i = 0; i < CODES; i++)
        x.m[i] = (unsigned char)i, x.v[i] = 0;
    adamw8(&o, CODES, w, g, &x);
    assert_same(w, with, CODES); /* m / (0 + 1) */
    for (int i = 0; i < CODES; i++)
        assert_int_equal(x.m[i], i); /* and each value is nearest to itself */
    assert_true(x.m_scale[0] == 1);
    memset(w, 0, sizeof w);
    x.v_scale[0] = 1;
    for (int i = 0; i < CODES; i++)
        x.m[i] = 255, x.v[i] = (unsigned char)i;
    o.epsilon = 1e-8f;
    adamw8(&o, CODES, w, g, &x);
    for (int i = 0; i < CODES; i++) {
        assert_true(w[i] == 1 / (sqrtf(without[i]) + o.epsilon));
        assert_int_equal(x.v[i], i);
    }
    free(with), free(without);
}

/* A moment is kept as the value of the map nearest to it beside the greatest of its block; of which each has its own. */
static void test_moments_of_8_bits_are_nearest(void **state)
{
    (void)state;
    enum { N = 2 * KERNEL_ADAM_BLOCK + 77 };
    float *with = stored_numbers("map_signed", CODES), *without = stored_numbers("map_unsigned", CODES);
    unsigned char m[N], v[N];
    float m_scale[3] = {0}, v_scale[3] = {0}, w8[N] = {0}, w32[N] = {0}, m32[N] = {0}, v32[N] = {0};
    const struct kernel_adamw o = {.rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-8f, .scale = 1, .correct1 = 0.1f, .correct2 = 0.01f};
    const struct kernel_moments8 moments = {m, v, m_scale, v_scale};
    memset(m, 0, sizeof m), memset(v, 0, sizeof v);
    draws = 0;
    float *g = normals(N, 1);
    for (int i = 0; i < KERNEL_ADAM_BLOCK; i++)
        g[i] *= 1e-3f;
    kernel_adamw8_step(&o, N, w8, g, &moments);
    kernel_adamw_step(&o, N, w32, g, m32, v32);
    assert_same(w8, w32, N); /* from nothing, the first step is the same */
    for (int i = 0; i < N; i++) {
        const int b = i / KERNEL_ADAM_BLOCK;
        const float x = m32[i] / m_scale[b], y = v32[i] / v_scale[b];
        for (int c = 0; c < CODES; c++) {
            assert_true(fabsf(with[m[i]] - x) <= fabsf(with[c] - x) + 1e-7f);
            assert_true(fabsf(without[v[i]] - y) <= fabsf(without[c] - y) + 1e-7f);
        }
    }
    for (int b = 0; b < 3; b++) {
        float most = 0;
        for (int i = b * KERNEL_ADAM_BLOCK; i < N && i < (b + 1) * KERNEL_ADAM_BLOCK; i++)
            most = fmaxf(most, fabsf(m32[i]));
        assert_true(m_scale[b] == most);
    }
    free(g), free(with), free(without);
}

/* learning.py's numbers(stream, ...). */
static float number(int stream, size_t i)
{
    uint64_t h = (((uint64_t)i + (uint64_t)stream * 1000003) * 2654435761u + 12345) & 0xffffffff;
    h ^= h >> 15;
    h = h * 2246822519u & 0xffffffff;
    h ^= h >> 13;
    return ((float)((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)) - 510) / 1024;
}

/* How many codes are not the stored ones, which are then neighbours: see learning.py. */
static int other_codes(const char *word, const unsigned char *codes, size_t n)
{
    char *line = stored_line(word);
    int others = 0;
    for (size_t i = 0; i < n; i++) {
        const char two[3] = {line[2 * i], line[2 * i + 1]};
        const int away = abs((int)strtoul(two, NULL, 16) - codes[i]);
        if (away > 1)
            fail_msg("%s, number %zu: %d, not %s", word, i, codes[i], two);
        others += away;
    }
    free(line);
    return others;
}

static void stored_codes(const char *word, unsigned char *codes, size_t n)
{
    char *line = stored_line(word);
    for (size_t i = 0; i < n; i++) {
        const char two[3] = {line[2 * i], line[2 * i + 1]};
        codes[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    free(line);
}

static void test_adamw8_is_bitsandbytes(void **state)
{
    (void)state;
    enum { N = 600, STEP = 5, BLOCKS = 3 };
    unsigned char m[N], v[N];
    float w[N] = {0}, g[N], *before = stored_numbers("w_before", N / 5), *after = stored_numbers("w_after", N / 5);
    float *m_scale = stored_numbers("m_scale_before", BLOCKS), *v_scale = stored_numbers("v_scale_before", BLOCKS);
    float *m_after = stored_numbers("m_scale_after", BLOCKS), *v_after = stored_numbers("v_scale_after", BLOCKS);
    struct kernel_adamw o = {.rate = 0.01f, .beta1 = 0.9f, .beta2 = 0.98f, .epsilon = 1e-8f, .decay = 0.05f, .scale = 1};
    o.correct1 = (float)(1 - pow(0.9, STEP)), o.correct2 = (float)(1 - pow(0.98, STEP));
    stored_codes("m_before", m, N), stored_codes("v_before", v, N);
    for (size_t i = 0; i < N; i++)
        g[i] = number(500 + STEP, i) / (i >= 256 && i < 512 ? 1024 : 1);
    for (size_t i = 0; i < N / 5; i++)
        w[5 * i] = before[i];
    kernel_adamw8_step(&o, N, w, g, &(struct kernel_moments8){m, v, m_scale, v_scale});
    for (size_t i = 0; i < N / 5; i++)
        assert_near("w", i, (double)w[5 * i], (double)after[i], 1e-7);
    for (size_t b = 0; b < BLOCKS; b++) {
        assert_near("m_scale", b, (double)m_scale[b], (double)m_after[b], 3e-7 * (double)m_after[b]);
        assert_near("v_scale", b, (double)v_scale[b], (double)v_after[b], 3e-7 * (double)v_after[b]);
    }
    const int other_m = other_codes("m_after", m, N), other_v = other_codes("v_after", v, N);
    print_message("of %d codes, %d of m and %d of v are neighbours\n", N, other_m, other_v);
    assert_true(other_m <= 6 && other_v <= 6);
    free(before), free(after), free(m_scale), free(v_scale), free(m_after), free(v_after);
}

static void test_squares(void **state)
{
    (void)state;
    float x[1001];
    double sum = 0;
    draws = 0;
    for (int i = 0; i < 1001; i++)
        x[i] = normal(), sum += (double)x[i] * (double)x[i];
    assert_near("squares", 0, kernel_squares(x, 1001), sum, 1e-9);
    assert_true(kernel_squares(x, 0) == 0);
    x[1000] = NAN;
    assert_true(isnan(kernel_squares(x, 1001)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_rounded_not_finite),
        cmocka_unit_test(test_products_with_weights),
        cmocka_unit_test(test_products_together),
        cmocka_unit_test(test_naive_attention),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_of_a_beginning),
        cmocka_unit_test(test_rms_norm_back),
        cmocka_unit_test(test_gated_back),
        cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_cross_entropy_of_nan),
        cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_maps_are_bitsandbytes),
        cmocka_unit_test(test_moments_of_8_bits_are_nearest),
        cmocka_unit_test(test_adamw8_is_bitsandbytes),
        cmocka_unit_test(test_squares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
