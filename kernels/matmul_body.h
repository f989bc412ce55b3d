/* Products of any set, from its tiles: included once by the set's own file, which has before it
 *
 *   MOST, TILES           rows a tile has at most; TILE(1) ... TILE(MOST), but above 8 odd numbers may be left out
 *   tile(strip, type, rows, R, out)    one strip times R rows, for each R of TILES; type and R are constants
 *   PACKED, row_bytes(cols)            how weights are packed; bytes of one of a prepared row's two parts
 *   WEIGHTS_AT_ONCE, ROWS_AT_ONCE      bytes gone over again and again: weights by all rows, in the second cache; rows by
 *                                      those weights, in the first
 *   NAMED(name)                        what packed_bytes, pack and matmul of this set are called
 *   PLAIN_ROWS                         with 4 rows of plain weights, PLAIN_ROWS rows of activations are 4 * PLAIN_ROWS sums
 *
 * F32, F16 and BF16 weights are used where they lie, LANES along K in a vector, with the fp32 activations: one vector of
 * partial sums an output, K ascending, then vec_sum.
 */

size_t NAMED(packed_bytes)(const struct kernel_matrix *m)
{
    return kernel_strips_bytes(m, PACKED);
}

int NAMED(pack)(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    return kernel_strips_pack(m, PACKED, pool, e);
}

/* --- quantized weights ------------------------------------------------------------------------------------------- */

/* A strip against rows of any number, cut as evenly as whole rows can be: a tile of few unpacks weights for those
 * alone, and waits for its own products. */
#define TILE(n)                                                                                                        \
    case n:                                                                                                            \
        tile(strip, type, &rows, n, &out);                                                                             \
        break;
INLINE void tiles(const struct strip *strip, enum kernel_type type, struct rows rows, int count, struct outputs out)
{
    for (int left = count, R; left > 0; left -= R) {
        const int tiles_left = (left + MOST - 1) / MOST;
        R = (left + tiles_left - 1) / tiles_left;
        R = R > 8 && R % 2 ? (R + 1) / 2 : R;
        switch (R) {
            TILES
        }
        rows.first += (size_t)R * rows.stride;
        out.y += (size_t)R * (size_t)out.stride;
    }
}

INLINE void matmul_strips(const struct kernel_matrix *m, enum kernel_type type, const unsigned char *prepared, int rows,
                          float *y, int y_stride, int first, int last, int accumulate)
{
    const struct strips s = kernel_strips_of(m, PACKED);
    const size_t part_bytes = row_bytes(m->cols), stride = 2 * part_bytes;
    const int strips = (int)(WEIGHTS_AT_ONCE / s.strip_bytes),
              fit = (int)(ROWS_AT_ONCE / (m->fine ? stride : part_bytes));
    const int wide = (strips > 1 ? strips : 1) * KERNEL_STRIP, pieces = (rows - 1) / (fit > MOST ? fit : MOST) + 1;
    const int tall = ((rows + pieces - 1) / pieces + MOST - 1) / MOST * MOST; /* as even as whole tiles make them */
    for (int from = first; from < last; from += wide)
        for (int r = 0; r < rows; r += tall)
            for (int n = from; n < last && n < from + wide; n += KERNEL_STRIP) {
                const unsigned char *packed = m->packed, *at = packed + (size_t)(n / KERNEL_STRIP) * s.strip_bytes;
                const struct strip strip = {at, at + s.quants,
                                            packed + s.corrections + (size_t)(n / KERNEL_STRIP) * s.correction_bytes,
                                            s.blocks};
                for (int part = 0; part <= m->fine; part++) { /* the rows as rounded, then what that left */
                    const struct rows some = {prepared + (size_t)r * stride + (size_t)part * part_bytes, stride};
                    const struct outputs out = {y + (size_t)r * (size_t)y_stride + n, y_stride, last - n,
                                                accumulate || part};
                    tiles(&strip, type, some, rows - r < tall ? rows - r : tall, out);
                }
            }
}

/* --- plain weights ----------------------------------------------------------------------------------------------- */

/* Rows of weights and of activations. */
struct plain {
    const unsigned char *weights; /* of the first row; at any address */
    size_t row_bytes;
    const float *x;
    size_t cols;
};

/* The first n numbers of a row from the k-th on; n is a constant where it is LANES. */
INLINE vec load_plain(enum kernel_type type, const unsigned char *row, int k, int n)
{
    if (type == KERNEL_F16)
        return vec_load_halves_first((const uint16_t *)(const void *)(row + 2 * (size_t)k), n);
    if (type == KERNEL_BF16)
        return vec_load_upper_first((const uint16_t *)(const void *)(row + 2 * (size_t)k), n);
    return vec_load_first((const float *)(const void *)(row + 4 * (size_t)k), n);
}

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* The n numbers of each of N by R rows from the k-th on. */
INLINE void add_plain(const struct plain *p, enum kernel_type type, int N, int R, int k, int n, vec sums[4][PLAIN_ROWS])
{
    vec a[PLAIN_ROWS];
    UNROLL for (int r = 0; r < R; r++)
        a[r] = vec_load_first(p->x + (size_t)r * p->cols + k, n);
    UNROLL for (int i = 0; i < N; i++) {
        const vec w = load_plain(type, p->weights + (size_t)i * p->row_bytes, k, n);
        UNROLL for (int r = 0; r < R; r++)
            sums[i][r] = vec_fma(w, a[r], sums[i][r]);
    }
}

/* N rows of weights, the n-th and on, against R rows of activations. As many bytes of weights as are used at each step are
 * asked for where the next tile's lie, `ahead` rows further. */
INLINE void tile_plain(const struct kernel_matrix *m, enum kernel_type type, int n, int N, int ahead, const float *x, int R,
                       float *y, int y_stride, int accumulate)
{
    const int bytes = type == KERNEL_F32 ? 4 : 2;
    const size_t a_row = (size_t)m->cols * (size_t)bytes;
    const struct plain p = {(const unsigned char *)m->data + (size_t)n * a_row, a_row, x, (size_t)m->cols};
    const unsigned char *next = p.weights + (size_t)ahead * a_row;
    vec sums[4][PLAIN_ROWS];
    int k = 0;
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int r = 0; r < R; r++)
            sums[i][r] = vec_all(0);
    for (; k + LANES <= m->cols; k += LANES) {
        for (int i = 0; i < N * LANES * bytes; i += 64, next += 64)
            __builtin_prefetch(next);
        add_plain(&p, type, N, R, k, LANES, sums);
    }
    if (k < m->cols)
        add_plain(&p, type, N, R, k, m->cols - k, sums);
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int r = 0; r < R; r++) {
            float *to = y + (size_t)r * (size_t)y_stride + n + i;
            *to = (accumulate ? *to : 0) + vec_sum(sums[i][r]);
        }
}
/* clang-format on */

INLINE void matmul_plain(const struct kernel_matrix *m, enum kernel_type type, const float *x, int rows, float *y,
                         int y_stride, int first, int last, int accumulate)
{
    for (int n = first, N; n < last; n += N) {
        N = n + 4 <= last ? 4 : 1;
        for (int r = 0, R; r < rows; r += R) {
            const float *from = x + (size_t)r * (size_t)m->cols;
            float *to = y + (size_t)r * (size_t)y_stride;
            const int ahead = r ? 0 : N; /* once for all rows */
            R = N == 4 && r + PLAIN_ROWS <= rows ? PLAIN_ROWS : 1;
            if (R == PLAIN_ROWS)
                tile_plain(m, type, n, 4, ahead, from, PLAIN_ROWS, to, y_stride, accumulate);
            else if (N == 4)
                tile_plain(m, type, n, 4, ahead, from, 1, to, y_stride, accumulate);
            else
                tile_plain(m, type, n, 1, ahead, from, 1, to, y_stride, accumulate);
        }
    }
}

/* --- any weights ------------------------------------------------------------------------------------------------- */

#define PLAIN(type)                                                                                                    \
    case type:                                                                                                         \
        matmul_plain(m, type, x, rows, y, y_stride, first, last, accumulate);                                          \
        break;
#define STRIPS(type)                                                                                                   \
    case type:                                                                                                         \
        strips_of_##type(m, prepared, rows, y, y_stride, first, last, accumulate);                                     \
        break;

/* A function for each type: gcc takes twice as long over all of them in one. */
#define STRIPS_OF(type)                                                                                                \
    static __attribute__((noinline)) void strips_of_##type(const struct kernel_matrix *m, const unsigned char *prepared, int rows, float *y, \
                                                           int y_stride, int first, int last, int accumulate)          \
    {                                                                                                                  \
        matmul_strips(m, type, prepared, rows, y, y_stride, first, last, accumulate);                                  \
    }
STRIPS_OF(KERNEL_Q4_0)
STRIPS_OF(KERNEL_Q4_1)
STRIPS_OF(KERNEL_Q5_0)
STRIPS_OF(KERNEL_Q5_1)
STRIPS_OF(KERNEL_Q8_0)
STRIPS_OF(KERNEL_Q2_K)
STRIPS_OF(KERNEL_Q3_K)
STRIPS_OF(KERNEL_Q6_K)
STRIPS_OF(KERNEL_IQ4_NL)
STRIPS_OF(KERNEL_NF4)

void NAMED(matmul)(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
                   int y_stride, int first, int last, int accumulate)
{
    switch (strips_type(m->type)) {
        PLAIN(KERNEL_F32)
        PLAIN(KERNEL_F16)
        PLAIN(KERNEL_BF16)
        STRIPS(KERNEL_Q4_0)
        STRIPS(KERNEL_Q4_1)
        STRIPS(KERNEL_Q5_0)
        STRIPS(KERNEL_Q5_1)
        STRIPS(KERNEL_Q8_0)
        STRIPS(KERNEL_Q2_K)
        STRIPS(KERNEL_Q3_K)
        STRIPS(KERNEL_Q6_K)
        STRIPS(KERNEL_IQ4_NL)
        STRIPS(KERNEL_NF4)
    default:
        break;
    }
}
