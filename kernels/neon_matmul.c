/* Weights times activations, NEON with dot products.
 *
 * Four vectors hold 4 weights of each of a strip's 16 outputs; one instruction multiplies each output's 4 with the same
 * 4 activations, a lane of a vector of 16, and adds them up. The whole numbers of a block of 32 are exact in any order;
 * each block then adds one product to the output's fp32 sum, blocks in ascending order: this, and not how many rows a
 * tile has, is the order of every sum.
 *
 * F32 and F16 weights are used where they lie, 4 along K in a vector, with the fp32 activations: one vector of partial
 * sums an output, K ascending, then vec_sum.
 */
#include "neon.h"
#include "strips.h"
#include "vector.h"

size_t kernel_neon_packed_bytes(const struct kernel_matrix *m)
{
    return kernel_strips_bytes(m, STRIPS_PLAIN);
}

int kernel_neon_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    return kernel_strips_pack(m, STRIPS_PLAIN, pool, e);
}

/* --- tiles of quantized weights ---------------------------------------------------------------------------------- */

/* Vectors a strip is wide, and rows a tile has at most: 4 x 4 products, 2 x 4 activations, weights and a table take 29
 * of 32 registers; the sums, which a block needs once, are in memory. */
enum { WIDE = 4, MOST = 4 };

/* Far enough for memory to answer while a single row goes through what lies between. */
#define AHEAD 4096

/* Rows prepared for matmul, `stride` bytes apart. */
struct rows {
    const unsigned char *first;
    size_t stride;
};

INLINE const struct activation_block *blocks_of(const struct rows *rows, int r)
{
    return (const void *)(rows->first + (size_t)r * rows->stride);
}

/* Strips follow each other in memory, so what is next is always AHEAD of a pointer that moves on as evenly as blocks
 * do. */
INLINE void fetch_ahead(const unsigned char *p, int bytes)
{
    for (int i = 0; i < bytes; i += 64)
        __builtin_prefetch(p + AHEAD + i);
}

/* sums + the products of 4 weights of each lane with activations [4 j, 4 j + 4). The instruction has the lane in
 * itself. */
INLINE int32x4_t dot(int32x4_t sums, int8x16_t w, int8x16_t a, int j)
{
    switch (j) {
    case 0:
        return vdotq_laneq_s32(sums, w, a, 0);
    case 1:
        return vdotq_laneq_s32(sums, w, a, 1);
    case 2:
        return vdotq_laneq_s32(sums, w, a, 2);
    default:
        return vdotq_laneq_s32(sums, w, a, 3);
    }
}

/* gcc would read all weights of a block before it multiplies, and spill many of them. */
#define IN_ORDER __asm__ volatile("" ::: "memory")

/* One strip of a quantized matrix. */
struct strip {
    const unsigned char *scales, *quants;
    size_t blocks;
};

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* The products of a block: 16 whole numbers of each row. */
INLINE void multiply_block(const unsigned char *quants, enum kernel_type type, const struct rows *rows, int R, size_t b,
                           int32x4_t products[MOST][WIDE])
{
    const int bits = type == KERNEL_Q8_0 ? 8 : 4, looked_up = type == KERNEL_NF4 || type == KERNEL_IQ4_NL;
    const int8x16_t table = vld1q_s8(type == KERNEL_NF4 ? kernel_strips_nf4 : kernel_strips_iq4_nl);
    int8x16_t a[MOST][2];
    UNROLL for (int r = 0; r < R; r++) {
        const struct activation_block *block = blocks_of(rows, r) + b;
        a[r][0] = vld1q_s8(block->q);
        a[r][1] = vld1q_s8(block->q + 16);
        UNROLL for (int v = 0; v < WIDE; v++)
            products[r][v] = vdupq_n_s32(type == KERNEL_Q4_0 ? block->from_8 : 0);
    }
    UNROLL for (int j = 0; j < bits; j++)
        UNROLL for (int v = 0; v < WIDE; v++) {
            const uint8x16_t w = vld1q_u8(quants + 64 * j + 16 * v);
            IN_ORDER;
            if (bits == 8) {
                UNROLL for (int r = 0; r < R; r++)
                    products[r][v] = dot(products[r][v], vreinterpretq_s8_u8(w), a[r][j / 4], j % 4);
                continue;
            }
            const uint8x16_t low = vandq_u8(w, vdupq_n_u8(15)), high = vshrq_n_u8(w, 4);
            const int8x16_t first = looked_up ? vqtbl1q_s8(table, low) : vreinterpretq_s8_u8(low);
            const int8x16_t second = looked_up ? vqtbl1q_s8(table, high) : vreinterpretq_s8_u8(high);
            UNROLL for (int r = 0; r < R; r++)
                products[r][v] = dot(dot(products[r][v], first, a[r][0], j), second, a[r][1], j);
        }
}

INLINE void tile_blocks(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                        vec sums[MOST][WIDE])
{
    const int bits = type == KERNEL_Q8_0 ? 8 : 4, scale_bytes = type == KERNEL_Q4_1 ? 64 : 32;
    const unsigned char *scales = strip->scales, *quants = strip->quants, *ahead = scales;
    const int ahead_bytes = 64 * bits + (type == KERNEL_NF4 ? 16 : scale_bytes);
    for (size_t b = 0; b < strip->blocks; b++, quants += 64 * bits, ahead += ahead_bytes) {
        int32x4_t products[MOST][WIDE];
        fetch_ahead(ahead, ahead_bytes);
        multiply_block(quants, type, rows, R, b, products);
        const uint16_t *halves = (const uint16_t *)(const void *)scales;
        UNROLL for (int v = 0; v < WIDE; v++) {
            const vec scale = vec_load_halves(halves + LANES * v);
            const vec minimum = type == KERNEL_Q4_1 ? vec_load_halves(halves + KERNEL_STRIP + LANES * v) : scale;
            UNROLL for (int r = 0; r < R; r++) {
                const struct activation_block *a = blocks_of(rows, r) + b;
                if (type == KERNEL_Q4_1)
                    sums[r][v] = vec_fma(minimum, vec_all(a->sum), sums[r][v]);
                sums[r][v] = vec_fma(scale, vec_mul(vcvtq_f32_s32(products[r][v]), vec_all(a->step)), sums[r][v]);
            }
        }
        scales += type != KERNEL_NF4 || b % 2 ? scale_bytes : 0;
    }
}
/* clang-format on */

/* Where a tile's outputs go: y[r * stride + n] for n in [0, count); of count the first 16. */
struct outputs {
    float *y;
    int stride, count, accumulate;
};

INLINE void tile(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                 const struct outputs *out)
{
    vec sums[MOST][WIDE];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < WIDE; v++)
            sums[r][v] = vec_all(0);
    tile_blocks(strip, type, rows, R, sums);
    for (int r = 0; r < R; r++)
        for (int v = 0; v < WIDE; v++) {
            float *to = out->y + (size_t)r * (size_t)out->stride + LANES * v;
            const int left = out->count - LANES * v;
            vec y = type == KERNEL_NF4 ? vec_mul(sums[r][v], vec_all(1 / 127.0f)) : sums[r][v];
            y = out->accumulate ? vec_add(vec_load_first(to, left), y) : y;
            vec_store_first(to, left, y);
        }
}

/* A strip against rows of any number, cut as evenly as whole rows can be: a tile of few unpacks weights for those
 * alone, and waits for its own products. */
INLINE void tiles(const struct strip *strip, enum kernel_type type, struct rows rows, int count, struct outputs out)
{
    for (int left = count, R; left > 0; left -= R) {
        const int tiles_left = (left + MOST - 1) / MOST;
        R = (left + tiles_left - 1) / tiles_left;
        if (R == 4)
            tile(strip, type, &rows, 4, &out);
        else if (R == 3)
            tile(strip, type, &rows, 3, &out);
        else if (R == 2)
            tile(strip, type, &rows, 2, &out);
        else
            tile(strip, type, &rows, 1, &out);
        rows.first += (size_t)R * rows.stride;
        out.y += (size_t)R * (size_t)out.stride;
    }
}

/* How much is gone over again and again: weights by all rows, in the second cache; rows by those weights, in the first.
 * Not yet measured on a machine: sizes that the common ones have room for. */
enum { WEIGHTS_AT_ONCE = 256 << 10, ROWS_AT_ONCE = 32 << 10 };

INLINE void matmul_strips(const struct kernel_matrix *m, enum kernel_type type, const unsigned char *prepared, int rows,
                          float *y, int y_stride, int first, int last, int accumulate)
{
    const struct strips l = kernel_strips_of(m, STRIPS_PLAIN);
    const size_t row_bytes = kernel_neon_row_bytes(m->cols), stride = 2 * row_bytes, strip_bytes = l.strip_bytes;
    const int strips = (int)(WEIGHTS_AT_ONCE / strip_bytes), fit = (int)(ROWS_AT_ONCE / row_bytes) / MOST * MOST;
    const int wide = (strips > 1 ? strips : 1) * KERNEL_STRIP, tall = fit > MOST ? fit : MOST;
    for (int from = first; from < last; from += wide)
        for (int r = 0; r < rows; r += tall)
            for (int n = from; n < last && n < from + wide; n += KERNEL_STRIP) {
                const unsigned char *at = (unsigned char *)m->packed + (size_t)(n / KERNEL_STRIP) * strip_bytes;
                const struct strip strip = {at, at + l.quants, l.blocks};
                for (int part = 0; part <= m->fine; part++) { /* the rows as rounded, then what that left */
                    const struct rows some = {prepared + (size_t)r * stride + (size_t)part * row_bytes, stride};
                    const struct outputs out = {y + (size_t)r * (size_t)y_stride + n, y_stride, last - n,
                                                accumulate || part};
                    tiles(&strip, type, some, rows - r < tall ? rows - r : tall, out);
                }
            }
}

/* --- tiles of plain weights -------------------------------------------------------------------------------------- */

/* The first n (at most 4) weights from the k-th of a row, at any address. */
INLINE vec load_weights(enum kernel_type type, const unsigned char *row, int k, int n)
{
    if (type == KERNEL_F16)
        return vec_load_halves_first((const uint16_t *)(const void *)(row + 2 * (size_t)k), n);
    return vec_load_first((const float *)(const void *)(row + 4 * (size_t)k), n);
}

/* clang-format off */

/* N rows of weights against R rows of activations. */
struct plain {
    const unsigned char *weights; /* of the first */
    size_t row_bytes;
    const float *x;
    size_t cols;
};

/* The n numbers of each from the k-th on. */
INLINE void add_plain(const struct plain *p, enum kernel_type type, int N, int R, int k, int n, vec sums[4][4])
{
    vec a[4];
    UNROLL for (int r = 0; r < R; r++)
        a[r] = vec_load_first(p->x + (size_t)r * p->cols + k, n);
    UNROLL for (int i = 0; i < N; i++) {
        const vec w = load_weights(type, p->weights + (size_t)i * p->row_bytes, k, n);
        UNROLL for (int r = 0; r < R; r++)
            sums[i][r] = vec_fma(w, a[r], sums[i][r]);
    }
}

INLINE void tile_plain(const struct kernel_matrix *m, enum kernel_type type, int n, int N, const float *x, int R, float *y,
                       int y_stride, int accumulate)
{
    const size_t row_bytes = (size_t)m->cols * (type == KERNEL_F16 ? 2 : 4);
    const struct plain p = {(const unsigned char *)m->data + (size_t)n * row_bytes, row_bytes, x, (size_t)m->cols};
    vec sums[4][4];
    int k = 0;
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int r = 0; r < R; r++)
            sums[i][r] = vec_all(0);
    for (; k + LANES <= m->cols; k += LANES)
        add_plain(&p, type, N, R, k, LANES, sums);
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
            R = r + 4 <= rows ? 4 : 1;
            if (N == 4 && R == 4)
                tile_plain(m, type, n, 4, from, 4, to, y_stride, accumulate);
            else if (N == 4)
                tile_plain(m, type, n, 4, from, 1, to, y_stride, accumulate);
            else if (R == 4)
                tile_plain(m, type, n, 1, from, 4, to, y_stride, accumulate);
            else
                tile_plain(m, type, n, 1, from, 1, to, y_stride, accumulate);
        }
    }
}

void kernel_neon_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
                        int y_stride, int first, int last, int accumulate)
{
    switch (m->type) {
    case KERNEL_F32:
        matmul_plain(m, KERNEL_F32, x, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_F16:
        matmul_plain(m, KERNEL_F16, x, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q4_0:
        matmul_strips(m, KERNEL_Q4_0, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q4_1:
        matmul_strips(m, KERNEL_Q4_1, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q8_0:
        matmul_strips(m, KERNEL_Q8_0, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_IQ4_NL:
        matmul_strips(m, KERNEL_IQ4_NL, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_NF4:
        matmul_strips(m, KERNEL_NF4, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_TYPES:
        break;
    }
}
