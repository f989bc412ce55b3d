/* Learning, for any set: included once by the set's own file, after its vector_*.h, which also has
 *
 *   PRODUCT_ROWS, PRODUCT_VECTORS      a tile of c in registers: 6 rows, vectors
 *   PRODUCT_WORDS                      where products of whole numbers are faster than those of fp32
 *
 * A tile is rows of `a`, a number of each broadcast at a time, by a panel: PRODUCT_VECTORS * LANES columns of b that lie
 * together for each k. A wide tile of few rows loads least for what it multiplies. A panel of a task stays in the second cache,
 * where it is asked for ahead, and a tile's rows in the first, whose lines are used whole.
 */
#include "formats.h"
#include "vector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PANEL = PRODUCT_VECTORS * LANES,
    NARROW = PRODUCT_VECTORS / 2, /* vectors up to which a tile has twice the rows */
    AHEAD = 16,                   /* k's for which b is fetched before it is used */
    A_LINE = 16,                  /* floats */
    QUERIES = 64,                 /* of a head that go together */
};

/* --- products ---------------------------------------------------------------------------------------------------- */

/* It would set the loops after UNROLL apart. */
/* clang-format off */

INLINE void product_tile(const struct kernel_block *b, const float *a, const float *panel, float *c, int columns, int R, int V)
{
    vec sums[2 * PRODUCT_ROWS][PRODUCT_VECTORS];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            sums[r][v] = b->accumulate ? vec_load_first(c + r * b->c_row + v * LANES, columns - v * LANES) : vec_all(0);
    /* Of three rows one pointer: their addresses are it, and once and twice the stride further. */
    const float *at[2 * PRODUCT_ROWS / 3];
    const ptrdiff_t row = b->a_row, step = b->a_k, next = b->b_k;
    UNROLL for (int r = 0; r < R; r += 3)
        at[r / 3] = a + r * row;
    if (LANES > 1) /* where it goes is far away, and is fetched before it is written */
        UNROLL for (int r = 0; r < R; r++)
            UNROLL for (int i = 0; i < V * LANES; i += A_LINE)
                __builtin_prefetch(c + r * b->c_row + i, 1);
    for (int k = b->depth; k > 0; k--) {
        vec shared[PRODUCT_VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            shared[v] = vec_load(panel + v * LANES);
        if (LANES > 1)
            UNROLL for (int i = 0; i < V * LANES; i += A_LINE)
                __builtin_prefetch(panel + AHEAD * next + i);
        UNROLL for (int r = 0; r < R; r++) {
            const vec x = vec_all(at[r / 3][r % 3 * row]);
            UNROLL for (int v = 0; v < V; v++)
                sums[r][v] = vec_fma(x, shared[v], sums[r][v]);
        }
        UNROLL for (int r = 0; r < R; r += 3)
            at[r / 3] += step;
        panel += next;
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < V; v++)
            vec_store_first(c + r * b->c_row + v * LANES, columns - v * LANES, sums[r][v]);
}

#define TILE_OF_ROWS(n, V)                                                                                             \
    case n:                                                                                                            \
        product_tile(b, a, panel, c, columns, n, V);                                                                   \
        break;
#define TILES(V, more)                                                                                                 \
    static void product_tiles_##V(const struct kernel_block *b, const float *a, const float *panel, float *c, int columns, int R) \
    {                                                                                                                  \
        switch (R) {                                                                                                   \
            TILE_OF_ROWS(1, V)                                                                                         \
            TILE_OF_ROWS(2, V)                                                                                         \
            TILE_OF_ROWS(3, V)                                                                                         \
            TILE_OF_ROWS(4, V)                                                                                         \
            TILE_OF_ROWS(5, V)                                                                                         \
            TILE_OF_ROWS(6, V)                                                                                         \
            more                                                                                                       \
        }                                                                                                              \
    }
#define TALL(V) TILE_OF_ROWS(8, V) TILE_OF_ROWS(10, V) TILE_OF_ROWS(12, V)
/* clang-format on */

#if PRODUCT_VECTORS == 4
TILES(1, TALL(1))
TILES(2, TALL(2))
TILES(3, )
TILES(4, )
#else
TILES(1, TALL(1))
TILES(2, )
#endif

static void product_tiles(const struct kernel_block *b, const float *a, const float *panel, float *c, int columns, int R)
{
    switch ((columns + LANES - 1) / LANES) {
    case 1: product_tiles_1(b, a, panel, c, columns, R); break;
    case 2: product_tiles_2(b, a, panel, c, columns, R); break;
#if PRODUCT_VECTORS == 4
    case 3: product_tiles_3(b, a, panel, c, columns, R); break;
    case 4: product_tiles_4(b, a, panel, c, columns, R); break;
#endif
    }
}

/* Of so many rows that are left: tiles of `most`, the last two as even as these are. */
static int tile_rows(int left, int most)
{
    const int even = left >= 2 * most ? most : left > most ? (left + 1) / 2 : left, R = even > 6 ? (even + 1) & ~1 : even;
    return R < left ? R : left > 6 && left % 2 ? left - 1 : left;
}

/* Columns [first, first + columns) of all rows. */
static void product_rows(const struct kernel_block *b, int first, int columns, int most)
{
    const float *a = b->a;
    float *c = b->c + first;
    for (int left = b->rows, R; left > 0; left -= R, a += R * b->a_row, c += R * b->c_row) {
        R = tile_rows(left, most);
        for (int j = 0; j < columns; j += PANEL)
            product_tiles(b, a, b->b + (first + j) / PANEL * b->b_panel, c + j, columns - j < PANEL ? columns - j : PANEL, R);
    }
}

static void product(const struct kernel_block *b)
{
    const int full = b->columns / PANEL * PANEL, rest = b->columns - full;
    product_rows(b, 0, full, PRODUCT_ROWS);
    product_rows(b, full, rest, rest <= NARROW * LANES ? 2 * PRODUCT_ROWS : PRODUCT_ROWS);
}

static void transpose(const float *from, ptrdiff_t stride, int columns, int depth, float *to)
{
    for (int k = 0; k < depth; k += LANES)
        for (int j = 0; j < PANEL; j += LANES) {
            vec square[LANES];
            UNROLL for (int i = 0; i < LANES; i++)
                square[i] = j + i < columns ? vec_load_first(from + (j + i) * stride + k, depth - k) : vec_all(0);
            vec_turn(square);
            UNROLL for (int i = 0; i < LANES; i++)
                if (k + i < depth)
                    vec_store(to + (size_t)(k + i) * PANEL + j, square[i]);
        }
}

#ifdef PRODUCT_WORDS
#include "learning_words.h"
#define WORDS .round_rows = round_rows, .round_panel = round_panel, .product_words = product_words, .pair = PAIR,
#else
#define WORDS
#endif

static void unpack(const struct kernel_matrix *m, int row, int col, float *out, int n)
{
    enum { EIGHT = 32 };
    if (m->type == KERNEL_NF4) {
        const size_t first = ((size_t)row * (size_t)m->cols + (size_t)col) / KERNEL_NF4_BLOCK;
        for (size_t b = 0; b < (size_t)n / KERNEL_NF4_BLOCK; b++)
            vec_look_up(m->nf4->codes + (first + b) * (KERNEL_NF4_BLOCK / 2), kernel_nf4_values, kernel_nf4_absmax(m->nf4, first + b),
                        out + b * KERNEL_NF4_BLOCK);
    } else if (m->type == KERNEL_Q8_0) {
        const size_t bytes = EIGHT + 2, first = ((size_t)row * (size_t)m->cols + (size_t)col) / EIGHT;
        const unsigned char *p = (const unsigned char *)m->data + first * bytes;
        for (int b = 0; b < n / EIGHT; b++, p += bytes, out += EIGHT) {
            const float d = kernel_half_to_float((uint16_t)(p[0] | p[1] << 8));
            for (int i = 0; i < EIGHT; i++)
                out[i] = d * (float)(signed char)p[2 + i];
        }
    } else {
        kernel_matrix_dequantize(m, row, col, out, n);
    }
}

/* --- attention over a document ----------------------------------------------------------------------------------- */

static size_t panels_of(int columns)
{
    return ((size_t)columns + PANEL - 1) / PANEL;
}

/* What attention multiplies by: panels of columns. */
struct panels {
    const float *b;
    ptrdiff_t b_k, b_panel;
};

static void multiply(const float *a, ptrdiff_t a_row, ptrdiff_t a_k, int rows, struct panels by, int columns, int depth, float *c, ptrdiff_t c_row,
                     int accumulate)
{
    product(&(struct kernel_block){.rows = rows, .columns = columns, .depth = depth, .accumulate = accumulate, .a = a, .a_row = a_row, .a_k = a_k,
                                   .b = by.b, .b_k = by.b_k, .b_panel = by.b_panel, .c = c, .c_row = c_row});
}

/* Rows [0, count) of width dim as panels over positions (transposed), of depth dim. */
static struct panels panels_by_position(const float *from, ptrdiff_t row, int count, int dim, float *to)
{
    for (int j = 0; j < count; j += PANEL)
        transpose(from + j * row, row, count - j < PANEL ? count - j : PANEL, dim, to + (size_t)j * (size_t)dim);
    return (struct panels){to, PANEL, (ptrdiff_t)dim * PANEL};
}

/* The same rows as panels over dimensions, of depth count: where they are, if vectors end where they do. */
static struct panels panels_by_dimension(const float *from, ptrdiff_t row, int count, int dim, float *to)
{
    const ptrdiff_t panel = (ptrdiff_t)count * PANEL;
    if (dim % LANES == 0)
        return (struct panels){from, row, PANEL};
    for (int d = 0; d < dim; d += PANEL)
        for (int i = 0; i < count; i++)
            for (int l = 0; l < PANEL; l += LANES)
                vec_store(to + d / PANEL * panel + (ptrdiff_t)i * PANEL + l, vec_load_first(from + i * row + d + l, dim - d - l));
    return (struct panels){to, PANEL, panel};
}

/* Rows of scores are a line longer than their panels: those in one place of every page would push each other out of the first cache. */
static void part_range(const struct kernel_document *d, int part, int *first, int *last)
{
    const int parts = kernel_document_parts(d->count), blocks = (d->count + QUERIES - 1) / QUERIES;
    *first = blocks * part / parts * QUERIES;
    *last = blocks * (part + 1) / parts * QUERIES;
    *last = *last < d->count ? *last : d->count;
}

/* Where the positions begin that the queries of a block, the first of which is `from`, go over: a panel's beginning. */
static int window_begin(const struct kernel_document *d, int from)
{
    const int first = from + 1 - d->window;
    return d->window && first > 0 ? first / PANEL * PANEL : 0;
}

/* How many of them query i does not see. */
static int unseen(const struct kernel_document *d, int i, int begin)
{
    const int first = i + 1 - d->window;
    return d->window && first > begin ? first - begin : 0;
}

static struct panels from_position(struct panels p, int begin)
{
    return (struct panels){p.b + begin / PANEL * p.b_panel, p.b_k, p.b_panel};
}

static struct panels from_row(struct panels p, int begin)
{
    return (struct panels){p.b + begin * p.b_k, p.b_k, p.b_panel};
}

/* scores[0, seen) to exp(scale * score - length), zeros up to n; or, with first, to exp(scale * score - the greatest) and the
 * logarithm of their sum to *length: returns 1 / sum. */
static float softmax_row(float *scores, int seen, int n, float scale, float *length, int first)
{
    float less = *length, by = 1;
    if (first) {
        vec most = vec_all(-INFINITY);
        for (int j = 0; j < seen; j += LANES)
            most = vec_max(most, j + LANES <= seen ? vec_load(scores + j)
                                                   : vec_max(vec_all(scores[seen - 1]), vec_load(scores + (seen > LANES ? seen - LANES : 0))));
        if (seen < LANES) {
            float greatest = scores[0];
            for (int j = 1; j < seen; j++)
                greatest = scores[j] > greatest ? scores[j] : greatest;
            most = vec_all(greatest);
        }
        less = scale * vec_most(most);
    }
    vec sum = vec_all(0);
    for (int j = 0; j < seen; j += LANES) {
        vec e = vec_exp(vec_fma(vec_all(scale), vec_load_first(scores + j, seen - j), vec_all(-less)));
        vec_store_first(scores + j, seen - j, e);
        sum = vec_add(sum, vec_load_first(scores + j, seen - j));
    }
    memset(scores + seen, 0, (size_t)(n - seen) * sizeof *scores);
    if (first) {
        const float total = vec_sum(sum);
        by = 1 / total;
        *length = less + logf(total);
    }
    return by;
}

static void attend(const struct kernel_document *d, int h, int part)
{
    const int group = d->heads / d->kv_heads, dim = d->head_dim;
    int first, last;
    part_range(d, part, &first, &last);
    if (first == last)
        return;
    const size_t by_position = panels_of(last) * PANEL * (size_t)dim, by_dimension = panels_of(dim) * PANEL * (size_t)last;
    const size_t padded = panels_of(last) * PANEL + A_LINE;
    float *memory = aligned_xmalloc((by_position + by_dimension + QUERIES * padded) * sizeof *memory);
    float *scores = memory + by_position + by_dimension;
    const struct panels keys = panels_by_position(d->k + h * dim, d->kv_row, last, dim, memory);
    const struct panels values = panels_by_dimension(d->v + h * dim, d->kv_row, last, dim, memory + by_position);
    for (int from = first; from < last; from += QUERIES) {
        const int rows = last - from < QUERIES ? last - from : QUERIES, begin = window_begin(d, from), seen = from + rows - begin;
        for (int g = h * group; g < (h + 1) * group; g++) {
            float *out = d->out + from * d->q_row + g * dim, by[QUERIES];
            multiply(d->q + from * d->q_row + g * dim, d->q_row, 1, rows, from_position(keys, begin), seen, dim, scores, (ptrdiff_t)padded, 0);
            for (int r = 0; r < rows; r++) {
                const int not = unseen(d, from + r, begin);
                float *row = scores + (size_t)r * padded;
                memset(row, 0, (size_t)not * sizeof *row);
                by[r] = softmax_row(row + not, from + r + 1 - begin - not, seen - not, d->scale, &d->length[(from + r) * d->heads + g], 1);
            }
            multiply(scores, (ptrdiff_t)padded, 1, rows, from_row(values, begin), dim, seen, out, d->q_row, 0);
            for (int r = 0; r < rows; r++)
                for (int e = 0; e < dim; e++)
                    out[r * d->q_row + e] *= by[r];
        }
    }
    free(memory);
}

/* scores (probabilities) and d_scores (gradients of probabilities) to gradients of q.k. */
static void softmax_back_row(const float *p, float *dp, int seen, float mean, float scale)
{
    for (int j = 0; j < seen; j += LANES) {
        const vec d = vec_mul(vec_all(scale), vec_sub(vec_load_first(dp + j, seen - j), vec_all(mean)));
        vec_store_first(dp + j, seen - j, vec_mul(vec_load_first(p + j, seen - j), d));
    }
}

static float dot(const float *a, const float *b, int n)
{
    vec sum = vec_all(0);
    for (int i = 0; i < n; i += LANES)
        sum = vec_fma(vec_load_first(a + i, n - i), vec_load_first(b + i, n - i), sum);
    return vec_sum(sum);
}

static void attend_back(const struct kernel_document *d, int h, int part)
{
    const int group = d->heads / d->kv_heads, dim = d->head_dim;
    int first, last;
    part_range(d, part, &first, &last);
    float *dk = d->dk[part] + h * dim, *dv = d->dv[part] + h * dim;
    for (int j = 0; j < d->count; j++) {
        memset(dk + j * d->kv_row, 0, (size_t)dim * sizeof *dk);
        memset(dv + j * d->kv_row, 0, (size_t)dim * sizeof *dv);
    }
    if (first == last)
        return;
    const size_t by_position = panels_of(last) * PANEL * (size_t)dim, by_dimension = panels_of(dim) * PANEL * (size_t)last;
    const size_t padded = panels_of(last) * PANEL + A_LINE, block = panels_of(dim) * PANEL * QUERIES;
    float *memory = aligned_xmalloc((2 * by_position + by_dimension + 2 * QUERIES * padded + block) * sizeof *memory);
    float *p = memory + 2 * by_position + by_dimension, *dp = p + QUERIES * padded, *some = dp + QUERIES * padded;
    const struct panels keys = panels_by_position(d->k + h * dim, d->kv_row, last, dim, memory);
    const struct panels values = panels_by_position(d->v + h * dim, d->kv_row, last, dim, memory + by_position);
    const struct panels key_rows = panels_by_dimension(d->k + h * dim, d->kv_row, last, dim, memory + 2 * by_position);
    for (int from = first; from < last; from += QUERIES) {
        const int rows = last - from < QUERIES ? last - from : QUERIES, begin = window_begin(d, from), seen = from + rows - begin;
        const ptrdiff_t kv_at = begin * d->kv_row;
        for (int g = h * group; g < (h + 1) * group; g++) {
            const ptrdiff_t at = from * d->q_row + g * dim;
            multiply(d->q + at, d->q_row, 1, rows, from_position(keys, begin), seen, dim, p, (ptrdiff_t)padded, 0);
            multiply(d->d_out + at, d->q_row, 1, rows, from_position(values, begin), seen, dim, dp, (ptrdiff_t)padded, 0);
            for (int r = 0; r < rows; r++) {
                const int not = unseen(d, from + r, begin), own = from + r + 1 - begin - not;
                float *row = p + (size_t)r * padded, *d_row = dp + (size_t)r * padded;
                memset(row, 0, (size_t)not * sizeof *row);
                memset(d_row, 0, (size_t)not * sizeof *d_row);
                softmax_row(row + not, own, seen - not, d->scale, &d->length[(from + r) * d->heads + g], 0);
                const float mean = dot(d->d_out + at + r * d->q_row, d->out + at + r * d->q_row, dim);
                softmax_back_row(row + not, d_row + not, own, mean, d->scale);
                memset(d_row + not + own, 0, (size_t)(rows - r - 1) * sizeof *dp);
            }
            multiply(dp, (ptrdiff_t)padded, 1, rows, from_row(key_rows, begin), dim, seen, d->dq + at, d->q_row, 0);
            multiply(p, 1, (ptrdiff_t)padded, seen, panels_by_dimension(d->d_out + at, d->q_row, rows, dim, some), dim, rows, dv + kv_at,
                     d->kv_row, 1);
            multiply(dp, 1, (ptrdiff_t)padded, seen, panels_by_dimension(d->q + at, d->q_row, rows, dim, some), dim, rows, dk + kv_at,
                     d->kv_row, 1);
        }
    }
    free(memory);
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

static void rms_norm_back(const float *x, const float *weight, float epsilon, int cols, const float *dy, float *dx, float *d_weight)
{
    vec squares = vec_all(0), products = vec_all(0);
    for (int c = 0; c < cols; c += LANES) {
        const vec v = vec_load_first(x + c, cols - c);
        squares = vec_fma(v, v, squares);
        products = vec_fma(vec_mul(vec_load_first(weight + c, cols - c), vec_load_first(dy + c, cols - c)), v, products);
    }
    const float scale = 1 / sqrtf(vec_sum(squares) / (float)cols + epsilon);
    const float by = scale * scale * scale * vec_sum(products) / (float)cols;
    for (int c = 0; c < cols; c += LANES) {
        const int n = cols - c;
        const vec v = vec_load_first(x + c, n), y = vec_load_first(dy + c, n);
        const vec d = vec_sub(vec_mul(vec_all(scale), vec_mul(vec_load_first(weight + c, n), y)), vec_mul(vec_all(by), v));
        if (d_weight)
            vec_store_first(d_weight + c, n, vec_fma(vec_mul(y, v), vec_all(scale), vec_load_first(d_weight + c, n)));
        vec_store_first(dx + c, n, vec_add(vec_load_first(dx + c, n), d));
    }
}

static void swiglu_back(const float *gate, const float *up, int n, const float *dy, float *d_gate, float *d_up, float *out)
{
    const vec one = vec_all(1);
    for (int c = 0; c < n; c += LANES) {
        const vec g = vec_load_first(gate + c, n - c), u = vec_load_first(up + c, n - c), y = vec_load_first(dy + c, n - c);
        const vec s = vec_div(one, vec_add(one, vec_exp(vec_sub(vec_all(0), g))));
        const vec silu = vec_mul(g, s);
        /* (g s)' = s + g s (1 - s) */
        vec_store_first(d_gate + c, n - c, vec_mul(vec_mul(y, u), vec_fma(silu, vec_sub(one, s), s)));
        vec_store_first(d_up + c, n - c, vec_mul(y, silu));
        vec_store_first(out + c, n - c, vec_mul(silu, u));
    }
}

static void geglu_back(const float *gate, const float *up, int n, const float *dy, float *d_gate, float *d_up, float *out)
{
    const vec one = vec_all(1), first = vec_all(KERNEL_GELU), cube = vec_all(KERNEL_GELU_CUBE);
    for (int c = 0; c < n; c += LANES) {
        const vec g = vec_load_first(gate + c, n - c), u = vec_load_first(up + c, n - c), y = vec_load_first(dy + c, n - c);
        const vec square = vec_mul(g, g), inner = vec_mul(g, vec_fma(square, cube, first));
        const vec s = vec_div(one, vec_add(one, vec_exp(vec_sub(vec_all(0), inner))));
        const vec gelu = vec_mul(g, s), slope = vec_fma(square, vec_mul(vec_all(3), cube), first);
        /* (g s)' = s + g s (1 - s) inner' */
        vec_store_first(d_gate + c, n - c, vec_mul(vec_mul(y, u), vec_fma(vec_mul(gelu, slope), vec_sub(one, s), s)));
        vec_store_first(d_up + c, n - c, vec_mul(y, gelu));
        vec_store_first(out + c, n - c, vec_mul(gelu, u));
    }
}

static float cross_entropy(float *logits, int n, int target, float weight)
{
    vec most = vec_all(logits[0]), sum = vec_all(0);
    int c = 0;
    for (; c + LANES <= n; c += LANES)
        most = vec_max(most, vec_load(logits + c));
    float greatest = vec_most(most);
    for (; c < n; c++)
        greatest = logits[c] > greatest || isnan(logits[c]) ? logits[c] : greatest;
    const float own = logits[target] - greatest;
    for (c = 0; c < n; c += LANES) {
        vec_store_first(logits + c, n - c, vec_exp(vec_sub(vec_load_first(logits + c, n - c), vec_all(greatest))));
        sum = vec_add(sum, vec_load_first(logits + c, n - c));
    }
    const float total = vec_sum(sum), by = weight / total;
    for (c = 0; c < n; c += LANES)
        vec_store_first(logits + c, n - c, vec_mul(vec_all(by), vec_load_first(logits + c, n - c)));
    logits[target] -= weight;
    return logf(total) - own;
}

#define LEARNING                                                                                                       \
    {                                                                                                                  \
        WORDS .panel = PANEL, .lanes = LANES, .product = product, .transpose = transpose, .unpack = unpack,                  \
        .attend = attend, .attend_back = attend_back,                                                                  \
        .rms_norm_back = rms_norm_back, .swiglu_back = swiglu_back, .geglu_back = geglu_back, .cross_entropy = cross_entropy,                    \
    }
