/* Products cut into tasks, weights dequantized as they are needed; the optimizer. */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH = KERNEL_PRODUCT_DEPTH,
    COLUMNS = 128,      /* of a task at most: with DEPTH a quarter of a megabyte of panels */
    LEAST_ROWS = 96,    /* of a task: what it unpacks, it must use */
    TASKS_A_THREAD = 4,
    MOST_PRODUCTS = 8,
    ROW_BLOCK = 64,     /* what weights of any format can be asked for in */
};

int kernel_document_parts(int count)
{
    return count <= 256 ? 1 : count <= 512 ? 2 : 4;
}

/* --- products ---------------------------------------------------------------------------------------------------- */

struct cut { /* of one product: tasks are row pieces of column pieces */
    int columns, rows, column_pieces, row_pieces;
};
struct work {
    const struct kernel_learning *learning;
    const struct kernel_product *products;
    struct cut cuts[MOST_PRODUCTS];
    int count;
};

/* to[k][j] = W[row + k][column + j] for the panels of columns [column, column + n). */
static void weights_as_they_are(const struct kernel_learning *l, const struct kernel_matrix *m, int row, int depth, int column, int n, float *to)
{
    float numbers[COLUMNS + ROW_BLOCK];
    const int panel = l->panel, first = column / ROW_BLOCK * ROW_BLOCK, last = column + n;
    const int until = (last + ROW_BLOCK - 1) / ROW_BLOCK * ROW_BLOCK, end = until < m->cols ? until : m->cols;
    for (int k = 0; k < depth; k++) {
        kernel_matrix_dequantize(m, row + k, first, numbers, end - first);
        for (int j = 0; j < n; j += panel) {
            const int some = n - j < panel ? n - j : panel;
            float *at = to + (size_t)j * (size_t)depth + (size_t)k * (size_t)panel;
            memcpy(at, numbers + (column - first) + j, (size_t)some * sizeof *at);
            memset(at + some, 0, (size_t)(panel - some) * sizeof *at);
        }
    }
}

/* to[k][j] = W[column + j][from + k]. */
static void weights_transposed(const struct kernel_learning *l, const struct kernel_matrix *m, int from, int depth, int column, int n, float *to)
{
    float numbers[32 * DEPTH];
    for (int j = 0; j < n; j += l->panel) {
        const int some = n - j < l->panel ? n - j : l->panel;
        for (int i = 0; i < some; i++)
            kernel_matrix_dequantize(m, column + j + i, from, numbers + (size_t)i * (size_t)depth, depth);
        l->transpose(numbers, depth, some, depth, to + (size_t)j * (size_t)depth);
    }
}

static void numbers_as_they_are(const struct kernel_learning *l, const struct kernel_product *p, int from, int depth, int column, int n, float *to)
{
    for (int j = 0; j < n; j += l->panel)
        for (int k = 0; k < depth; k++) {
            const int some = n - j < l->panel ? n - j : l->panel;
            float *at = to + (size_t)j * (size_t)depth + (size_t)k * (size_t)l->panel;
            memcpy(at, p->b + (from + k) * p->b_k + column + j, (size_t)some * sizeof *at);
            memset(at + some, 0, (size_t)(l->panel - some) * sizeof *at);
        }
}

/* to[k][j] += scale sum over r of B[.][r] A[r][.], where to is a panel of weights as they are, B's row being row + k, or
 * transposed, B's row being column + j. */
static void add_low_rank(const struct kernel_learning *l, const struct kernel_product *p, int from, int depth, int column, int n, float *to)
{
    const struct kernel_low_rank *plus = p->plus;
    const int rank = plus->rank, cols = p->weights->cols;
    float panel[32 * KERNEL_RANK] __attribute__((aligned(64)));
    for (int j = 0; j < n; j += l->panel) {
        const int some = n - j < l->panel ? n - j : l->panel;
        float *at = to + (size_t)j * (size_t)depth;
        for (int r = 0; r < rank; r++)
            for (int i = 0; i < l->panel; i++) {
                const float x = i >= some ? 0 : p->transposed ? plus->b[(size_t)(column + j + i) * (size_t)rank + (size_t)r]
                                                              : plus->a[(size_t)r * (size_t)cols + (size_t)(column + j + i)];
                panel[r * l->panel + i] = plus->scale * x;
            }
        if (p->transposed)
            l->product(plus->a + from, 1, cols, depth, panel, l->panel, rank, at, l->panel, 1);
        else
            l->product(plus->b + (ptrdiff_t)from * rank, rank, 1, depth, panel, l->panel, rank, at, l->panel, 1);
    }
}

static void fill_panels(const struct kernel_learning *l, const struct kernel_product *p, int from, int depth, int column, int n, float *to)
{
    if (p->weights && p->transposed)
        weights_transposed(l, p->weights, from, depth, column, n, to);
    else if (p->weights)
        weights_as_they_are(l, p->weights, from, depth, column, n, to);
    else if (p->b_column == 1)
        numbers_as_they_are(l, p, from, depth, column, n, to);
    else
        for (int j = 0; j < n; j += l->panel)
            l->transpose(p->b + (column + j) * p->b_column + from, p->b_column, n - j < l->panel ? n - j : l->panel, depth,
                         to + (size_t)j * (size_t)depth);
    if (p->weights && p->plus)
        add_low_rank(l, p, from, depth, column, n, to);
}

static void product_task(void *argument, int task)
{
    const struct work *w = argument;
    float panels[(COLUMNS + 32) * DEPTH] __attribute__((aligned(64)));
    int i = 0;
    while (task >= w->cuts[i].column_pieces * w->cuts[i].row_pieces)
        task -= w->cuts[i].column_pieces * w->cuts[i].row_pieces, i++;
    const struct kernel_product *p = &w->products[i];
    const struct cut *cut = &w->cuts[i];
    const int column = task / cut->row_pieces * cut->columns, row = task % cut->row_pieces * cut->rows;
    const int n = p->columns - column < cut->columns ? p->columns - column : cut->columns;
    const int rows = p->rows - row < cut->rows ? p->rows - row : cut->rows;
    for (int k = 0; k < p->depth; k += DEPTH) {
        const int depth = p->depth - k < DEPTH ? p->depth - k : DEPTH;
        fill_panels(w->learning, p, k, depth, column, n, panels);
        w->learning->product(p->a + row * p->a_row + k * p->a_k, p->a_row, p->a_k, rows, panels, n, depth, p->c + row * p->c_row + column,
                             p->c_row, p->accumulate || k);
    }
}

static struct cut cut_of(const struct kernel_learning *l, const struct kernel_product *p, int tasks)
{
    struct cut c;
    const int pieces = (p->columns + COLUMNS - 1) / COLUMNS, panels = (p->columns + l->panel - 1) / l->panel;
    c.columns = (panels + pieces - 1) / pieces * l->panel;
    c.column_pieces = (p->columns + c.columns - 1) / c.columns;
    int most = p->rows / LEAST_ROWS, wanted = (tasks + c.column_pieces - 1) / c.column_pieces;
    c.row_pieces = wanted < most ? wanted : most;
    c.row_pieces = c.row_pieces < 1 ? 1 : c.row_pieces;
    c.rows = (p->rows + c.row_pieces - 1) / c.row_pieces;
    c.rows = (c.rows + 11) / 12 * 12; /* whole tiles */
    c.row_pieces = (p->rows + c.rows - 1) / c.rows;
    return c;
}

void kernel_products(const struct kernel_set *set, struct kernel_pool *pool, const struct kernel_product *products, int count)
{
    struct work w = {.learning = set->learning, .products = products, .count = count};
    int tasks = 0;
    for (int i = 0; i < count; i++) {
        w.cuts[i] = products[i].rows && products[i].columns
                        ? cut_of(w.learning, &products[i], (kernel_pool_threads(pool) * TASKS_A_THREAD + count - 1) / count)
                        : (struct cut){0};
        tasks += w.cuts[i].column_pieces * w.cuts[i].row_pieces;
    }
    kernel_pool_run(pool, tasks, product_task, &w);
}
