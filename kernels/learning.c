/* Products cut into tasks, weights dequantized as they are needed; the optimizer.
 *
 * What is multiplied by is laid into panels first, each number once for all rows, in memory that all threads share; then tasks are
 * a block of rows by some columns. Products whose panels would be too large go piece by piece. */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PANEL = KERNEL_PANEL,    /* columns of a task: whole panels of any set */
    DEPTH = KERNEL_DEPTH,    /* of a panel at most: as much as the second cache holds beside rows */
    PANEL_FLOATS = 2 << 20,  /* of panels at a time: they should stay in the last cache */
    ROW_NUMBERS = 192 << 10, /* of a block of rows: they should stay in the second */
    DEEP = 3 * DEPTH,        /* of deeper rows no fewer go together: a panel must be worth fetching */
    WHOLE_TILES = 12,
    TASKS_A_THREAD = 32,
    FEW_ROWS = 24,           /* so few read b where it is: laying it out would cost more than it saves */
    MOST_PIECES = 16,
    SLICE = 64,              /* of depth, as weights are turned: what weights of any format can be asked for in */
    ROUND_ROWS = 32,         /* of a task that rounds them */
};

int kernel_document_parts(int count)
{
    return count <= 256 ? 1 : count <= 512 ? 2 : 4;
}

/* --- panels ------------------------------------------------------------------------------------------------------ */

struct piece { /* of a product, and how it is cut */
    struct kernel_product p; /* with what is left of it: rows, columns, depth, a, c; b and weights from here: */
    int column, from;
    int depth;     /* of a block; all but the last are whole */
    int in_place;  /* b is read where it is; else */
    float *panels; /* [blocks][units][depth][PANEL] */
    int units;     /* of PANEL columns */
    int rows, row_blocks;
    struct kernel_words words; /* the rows, where they are rounded: those of a group share them */
};
struct work {
    const struct kernel_learning *learning;
    struct piece pieces[MOST_PIECES];
    int count;
    size_t floats; /* of panels */
};

static int is_rounded(const struct kernel_learning *l, const struct kernel_product *p)
{
    return p->rounded && l->product_words && p->depth >= SLICE && (p->a_k == 1 || p->a_row == 1);
}

/* Floats that a column of a panel takes: its numbers, or what they are rounded to and its steps. */
static int column_floats(const struct kernel_learning *l, int rounded, int depth)
{
    return rounded ? kernel_rounded_floats(l->pair, depth) + (depth + KERNEL_ROUND - 1) / KERNEL_ROUND : depth;
}

static int blocks_of(const struct piece *x)
{
    return (x->p.depth + x->depth - 1) / x->depth;
}

/* to[r * stride + c] += scale sum over i of B[row + r][i] A[i][col + c], r < rows, c < n: columns of one panel. */
static void add_low_rank(const struct kernel_learning *l, const struct kernel_product *p, int row, int rows, int col, int n, float *to,
                         ptrdiff_t stride)
{
    const struct kernel_low_rank *plus = p->plus;
    const int cols = p->weights->cols;
    float panel[PANEL * KERNEL_RANK] __attribute__((aligned(64)));
    for (int r = 0; r < plus->rank; r++)
        for (int i = 0; i < l->panel; i++)
            panel[r * l->panel + i] = i < n ? plus->scale * plus->a[(size_t)r * (size_t)cols + (size_t)(col + i)] : 0;
    l->product(&(struct kernel_block){.rows = rows, .columns = n, .depth = plus->rank, .accumulate = 1, .a = plus->b + (ptrdiff_t)row * plus->rank,
                                      .a_row = plus->rank, .a_k = 1, .b = panel, .b_k = l->panel, .c = to, .c_row = stride});
}

/* to[r * stride + c] = W[row + r][col + c], with what is added to it. */
static void weights_block(const struct kernel_learning *l, const struct kernel_product *p, int row, int rows, int col, int n, float *to,
                          ptrdiff_t stride)
{
    for (int r = 0; r < rows; r++)
        l->unpack(p->weights, row + r, col, to + r * stride, n);
    for (int c = 0; c < n && p->plus; c += l->panel)
        add_low_rank(l, p, row, rows, col + c, n - c < l->panel ? n - c : l->panel, to + c, stride);
}

/* Numbers [k, k + some) of panels of n columns, `depth` deep: those of column j, i further down, are at from[i * from_k + j * from_column]. */
static void lay(const struct kernel_learning *l, int rounded, const float *from, ptrdiff_t from_k, ptrdiff_t from_column, int n, int k, int some,
                int depth, float *to)
{
    for (int j = 0; j < n; j += l->panel, from += l->panel * from_column) {
        const int columns = n - j < l->panel ? n - j : l->panel;
        float *panel = to + (size_t)j * (size_t)column_floats(l, rounded, depth), *at = panel + (size_t)k * (size_t)l->panel;
        if (rounded) {
            l->round_panel(from, from_k, from_column, columns, k, some, depth, panel);
        } else if (from_k == 1) {
            l->transpose(from, from_column, columns, some, at);
        } else {
            for (int i = 0; i < some; i++, at += l->panel) {
                memcpy(at, from + i * from_k, (size_t)columns * sizeof *at);
                memset(at + columns, 0, (size_t)(l->panel - columns) * sizeof *at);
            }
        }
    }
}

/* The panels of columns [j, j + n) of the piece, from `first` on. */
static void fill_panels(const struct kernel_learning *l, const struct piece *x, int first, int depth, int j, int n, float *to)
{
    const struct kernel_product *p = &x->p;
    const int from = x->from + first, column = x->column + j, slice = p->rounded ? KERNEL_ROUND : SLICE;
    float numbers[PANEL * KERNEL_ROUND];
    for (int k = 0; k < depth; k += slice) {
        const int some = depth - k < slice ? depth - k : slice;
        if (!p->weights) {
            lay(l, p->rounded, p->b + (from + k) * p->b_k + column * p->b_column, p->b_k, p->b_column, n, k, some, depth, to);
        } else if (p->transposed) {
            weights_block(l, p, column, n, from + k, some, numbers, slice);
            lay(l, p->rounded, numbers, 1, slice, n, k, some, depth, to);
        } else if (!p->rounded && l->panel == PANEL && n == PANEL) {
            weights_block(l, p, from + k, some, column, n, to + (size_t)k * PANEL, PANEL);
        } else {
            weights_block(l, p, from + k, some, column, n, numbers, PANEL);
            lay(l, p->rounded, numbers, PANEL, 1, n, k, some, depth, to);
        }
    }
}

static float *panels_at(const struct kernel_learning *l, const struct piece *x, int block, int unit, int depth)
{
    const size_t whole = (size_t)column_floats(l, x->p.rounded, x->depth), own = (size_t)column_floats(l, x->p.rounded, depth);
    return x->panels + ((size_t)block * whole * (size_t)x->units + (size_t)unit * own) * PANEL;
}

static size_t panel_floats(const struct kernel_learning *l, const struct piece *x)
{
    const int last = x->p.depth % x->depth, whole = x->p.depth / x->depth;
    const int column = whole * column_floats(l, x->p.rounded, x->depth) + column_floats(l, x->p.rounded, last);
    return x->in_place ? 0 : (size_t)x->units * PANEL * (size_t)column;
}

static void panel_task(void *argument, int task)
{
    const struct work *w = argument;
    const struct piece *x = w->pieces;
    for (int tasks; task >= (tasks = x->in_place ? 0 : blocks_of(x) * x->units); x++)
        task -= tasks;
    const int k = task / x->units * x->depth, j = task % x->units * PANEL;
    const int depth = x->p.depth - k < x->depth ? x->p.depth - k : x->depth, n = x->p.columns - j < PANEL ? x->p.columns - j : PANEL;
    fill_panels(w->learning, x, k, depth, j, n, panels_at(w->learning, x, task / x->units, task % x->units, depth));
}

/* --- products ---------------------------------------------------------------------------------------------------- */

/* Pieces that multiply the same rows, one after the other: their tasks go together, as these rows are at hand. */
static int beside(const struct work *w, int i)
{
    const struct kernel_product *p = &w->pieces[i].p, *before = &w->pieces[i - 1].p;
    return p->a == before->a && p->rows == before->rows && p->depth == before->depth && p->a_row == before->a_row && p->a_k == before->a_k &&
           p->rounded == before->rounded;
}

static int group_end(const struct work *w, int first)
{
    int last = first + 1;
    while (last < w->count && beside(w, last))
        last++;
    return last;
}

static int units_of(const struct work *w, int first, int last)
{
    int units = 0;
    for (int i = first; i < last; i++)
        units += w->pieces[i].units;
    return units;
}

static void multiply(const struct kernel_learning *l, const struct piece *x, int row, int unit)
{
    const struct kernel_product *p = &x->p;
    const int j = unit * PANEL;
    struct kernel_block block = {.rows = p->rows - row < x->rows ? p->rows - row : x->rows, .columns = p->columns - j < PANEL ? p->columns - j : PANEL,
                                 .a_row = p->a_row, .a_k = p->a_k, .c = p->c + row * p->c_row + j, .c_row = p->c_row};
    for (int k = 0; k < p->depth; k += x->depth) {
        block.depth = p->depth - k < x->depth ? p->depth - k : x->depth;
        block.accumulate = p->accumulate || k;
        block.a = p->a + row * p->a_row + k * p->a_k;
        if (!x->in_place)
            block.b = panels_at(l, x, k / x->depth, unit, block.depth), block.b_k = l->panel,
            block.b_panel = block.b_k * column_floats(l, p->rounded, block.depth);
        else
            block.b = p->b + (x->from + k) * p->b_k + x->column + j, block.b_k = p->b_k, block.b_panel = l->panel;
        if (p->rounded) {
            block.words = x->words;
            block.words.numbers += (row * x->words.row + k / l->pair * x->words.k) * l->pair;
            block.words.steps += k / KERNEL_ROUND * x->words.steps_row + row;
            l->product_words(&block);
        } else {
            l->product(&block);
        }
    }
}

/* Rounds rows of each group, which its pieces share. */
static int round_tasks(const struct piece *x)
{
    return x->p.rounded ? (x->p.rows + ROUND_ROWS - 1) / ROUND_ROWS : 0;
}

static void round_task(void *argument, int task)
{
    const struct work *w = argument;
    const struct piece *x = w->pieces;
    for (int i = 0, tasks; task >= (tasks = round_tasks(x)); x = &w->pieces[i = group_end(w, i)])
        task -= tasks;
    const int row = task * ROUND_ROWS, n = x->p.rows - row < ROUND_ROWS ? x->p.rows - row : ROUND_ROWS;
    struct kernel_words to = x->words;
    to.numbers += row * to.row * w->learning->pair;
    to.steps += row;
    w->learning->round_rows(x->p.a + row * x->p.a_row, x->p.a_row, x->p.a_k, n, x->p.depth, &to);
}

/* Where the rows of a group go, in memory from `at` on; NULL: only counts. Returns the floats they take. */
static size_t place_words(struct work *w, int first, int last, float *at)
{
    const struct kernel_product *p = &w->pieces[first].p;
    const int pair = w->learning->pair;
    if (!p->rounded)
        return 0;
    const int pairs = (p->depth + pair - 1) / pair;
    const size_t steps = (size_t)(p->depth + KERNEL_ROUND - 1) / KERNEL_ROUND * (size_t)p->rows, numbers = (size_t)pairs * (size_t)p->rows;
    const struct kernel_words words = {.steps = at, .steps_row = p->rows, .numbers = (int16_t *)(void *)(at ? at + steps : NULL),
                                       .row = p->a_k == 1 ? pairs : 1, .k = p->a_k == 1 ? 1 : p->rows};
    for (int i = first; at && i < last; i++)
        w->pieces[i].words = words;
    return (steps + numbers * (size_t)pair * sizeof(int16_t) / sizeof(float) + 15) & ~(size_t)15;
}

static void product_task(void *argument, int task)
{
    const struct work *w = argument;
    for (int first = 0, last; first < w->count; first = last) {
        last = group_end(w, first);
        const struct piece *x = &w->pieces[first];
        const int units = units_of(w, first, last), tasks = x->row_blocks * units, row = task / units * x->rows;
        if (task >= tasks) {
            task -= tasks;
            continue;
        }
        for (task %= units; task >= x->units; x++)
            task -= x->units;
        multiply(w->learning, x, row, task);
        return;
    }
}

/* As even as blocks of rows can be that the second cache holds, and that are enough for all threads; of all pieces of a group. */
static int cut_rows(struct work *w, int first, int last, int tasks)
{
    const int rows = w->pieces[first].p.rows, units = units_of(w, first, last);
    const int depth = w->pieces[first].p.depth, a_float = w->pieces[first].p.rounded ? 2 : 1;
    const int fit = a_float * ROW_NUMBERS / (depth < DEEP ? depth : DEEP);
    const int by_cache = (rows + fit) / (fit + 1), by_tasks = (tasks + units - 1) / units;
    const int blocks = by_cache > by_tasks ? by_cache : by_tasks;
    const int each = ((rows + blocks - 1) / blocks + WHOLE_TILES - 1) / WHOLE_TILES * WHOLE_TILES;
    for (int i = first; i < last; i++) {
        w->pieces[i].rows = each;
        w->pieces[i].row_blocks = (rows + each - 1) / each;
    }
    return w->pieces[first].row_blocks * units;
}

static void run(struct work *w, struct kernel_pool *pool)
{
    int panels = 0, tasks = 0, rounding = 0;
    size_t words = 0;
    for (int first = 0, last; first < w->count; first = last) {
        last = group_end(w, first);
        tasks += cut_rows(w, first, last, (kernel_pool_threads(pool) * TASKS_A_THREAD + w->count - 1) / w->count);
        rounding += round_tasks(&w->pieces[first]);
        words += place_words(w, first, last, NULL);
    }
    float *memory = kernel_pool_memory(pool, (w->floats + words) * sizeof *memory), *at = memory + w->floats;
    for (int first = 0, last; words && first < w->count; first = last) {
        last = group_end(w, first);
        at += place_words(w, first, last, at);
    }
    for (int i = 0; i < w->count; i++) {
        struct piece *x = &w->pieces[i];
        if (x->in_place)
            continue;
        x->panels = memory;
        memory += panel_floats(w->learning, x);
        panels += blocks_of(x) * x->units;
    }
    if (rounding)
        kernel_pool_run(pool, rounding, round_task, w);
    kernel_pool_run(pool, panels, panel_task, w);
    kernel_pool_run(pool, tasks, product_task, w);
    w->count = 0;
    w->floats = 0;
}

/* As much of the product from (from, column) on as has its panels in memory at a time: all of it, or a part of the greater of its
 * depth and its columns. */
static struct piece piece_of(const struct kernel_learning *l, const struct kernel_product *p, int from, int column)
{
    struct piece x = {.p = *p, .from = from, .column = column};
    const int blocks = (p->depth + DEPTH - 1) / DEPTH, units = (p->columns + PANEL - 1) / PANEL, slice = is_rounded(l, p) ? KERNEL_ROUND : SLICE;
    x.depth = blocks == 1 ? p->depth : ((p->depth + blocks - 1) / blocks + slice - 1) / slice * slice;
    x.p.rounded = is_rounded(l, p);
    x.p.depth -= from;
    x.p.columns -= column;
    if (!x.p.rounded && !p->weights && p->b_column == 1 && p->rows <= FEW_ROWS && p->columns % l->lanes == 0) {
        x.in_place = 1;
    } else if (p->depth > p->columns) {
        const int most = PANEL_FLOATS / (units * PANEL) / column_floats(l, x.p.rounded, x.depth) * x.depth;
        x.p.depth = x.p.depth < most ? x.p.depth : most > x.depth ? most : x.p.depth < x.depth ? x.p.depth : x.depth;
    } else {
        const int most = PANEL_FLOATS / column_floats(l, x.p.rounded, p->depth) / PANEL * PANEL;
        x.p.columns = x.p.columns < most ? x.p.columns : most > PANEL ? most : x.p.columns < PANEL ? x.p.columns : PANEL;
    }
    x.units = (x.p.columns + PANEL - 1) / PANEL;
    x.p.a += from * p->a_k;
    x.p.c += column;
    x.p.accumulate |= from > 0;
    return x;
}

void kernel_products(const struct kernel_set *set, struct kernel_pool *pool, const struct kernel_product *products, int count)
{
    struct work w = {.learning = set->learning};
    for (int i = 0; i < count; i++) {
        const struct kernel_product *p = &products[i];
        int from = 0, column = 0;
        while (p->rows && from < p->depth && column < p->columns) {
            const struct piece x = piece_of(w.learning, p, from, column);
            const size_t floats = panel_floats(w.learning, &x);
            if (w.count == MOST_PIECES || from || (w.count && w.floats + floats > PANEL_FLOATS))
                run(&w, pool); /* what adds to the same numbers comes after */
            w.pieces[w.count++] = x;
            w.floats += floats;
            if (p->depth > p->columns)
                from += x.p.depth;
            else
                column += x.p.columns;
        }
    }
    if (w.count)
        run(&w, pool);
}
