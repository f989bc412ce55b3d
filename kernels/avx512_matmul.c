/* Weights times activations, AVX-512 with VNNI.
 *
 * A vector holds 4 weights of each of a strip's 16 outputs; four activations are broadcast to all lanes, and one instruction
 * multiplies and adds 64 pairs. The whole numbers of a block of 32 are exact in any order; each block then adds one product to
 * the output's fp32 sum, blocks in ascending order: this, and not how many rows a tile has, is the order of every sum.
 *
 * F32 and F16 weights are used where they lie, 16 along K in a vector, with the fp32 activations: one vector of partial
 * sums an output, K ascending, then vec_sum.
 */
#include "avx512.h"
#include "strips.h"
#include "vector.h"

size_t kernel_avx512_packed_bytes(const struct kernel_matrix *m)
{
    return kernel_strips_bytes(m, STRIPS_UNSIGNED);
}

int kernel_avx512_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    return kernel_strips_pack(m, STRIPS_UNSIGNED, pool, e);
}

/* --- tiles of quantized weights ---------------------------------------------------------------------------------- */

#define MOST 16 /* rows a tile has at most: their products, weights and scales stay in registers; their sums, which a block
                   needs once, mostly do not */

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

INLINE __m512i load(const unsigned char *p)
{
    return _mm512_load_si512((const void *)p);
}

INLINE __m512 load_16_halves(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)p));
}

/* Strips follow each other in memory, so what is next is always AHEAD of a pointer that moves on as evenly as blocks do. */
INLINE void fetch_ahead(const unsigned char *p, int bytes)
{
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch(p + AHEAD + i, _MM_HINT_T0);
}

/* One strip of a quantized matrix. */
struct strip {
    const unsigned char *scales, *quants;
    size_t blocks;
};

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* Add the products of 4 weights of each output with 4 activations of each row. Rows are the inner loop: their sums are
 * chains apart, and as many as hide the time one product takes. */
INLINE void add_products(__m512i sums[MOST], __m512i w, const struct rows *rows, int R, size_t b, int k)
{
    UNROLL for (int r = 0; r < R; r++) {
        int32_t four;
        memcpy(&four, blocks_of(rows, r)[b].q + k, 4);
        sums[r] = _mm512_dpbusd_epi32(sums[r], w, _mm512_set1_epi32(four));
    }
}

/* What sums of a block begin with: what was added to its weights to make them unsigned, times the activations, taken back. */
INLINE int32_t begin_of(enum kernel_type type, const struct activation_block *a)
{
    return type == KERNEL_Q4_1 ? 0 : type == KERNEL_Q4_0 ? a->from_8 : a->from_128;
}

/* The unsigned bytes that nibbles stand for, four times over. */
INLINE __m512i table_of(enum kernel_type type)
{
    const int8_t *values = type == KERNEL_NF4 ? kernel_strips_nf4 : kernel_strips_iq4_nl;
    return _mm512_xor_si512(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)values)),
                            _mm512_set1_epi8((char)0x80));
}

INLINE void tile_blocks(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R, __m512 sums[MOST])
{
    const int bits = type == KERNEL_Q8_0 ? 8 : 4, scale_bytes = type == KERNEL_Q4_1 ? 64 : 32;
    const int looked_up = type == KERNEL_NF4 || type == KERNEL_IQ4_NL;
    const __m512i low = _mm512_set1_epi8(15), table = table_of(type);
    const unsigned char *scales = strip->scales, *quants = strip->quants;
    const unsigned char *ahead = scales;
    const int ahead_bytes = 64 * bits + (type == KERNEL_Q4_1 ? 64 : type == KERNEL_NF4 ? 16 : 32);
    for (size_t b = 0; b < strip->blocks; b++, quants += 64 * bits, ahead += ahead_bytes) {
        __m512i products[MOST];
        fetch_ahead(ahead, ahead_bytes);
        UNROLL for (int r = 0; r < R; r++) {
            const struct activation_block *a = blocks_of(rows, r) + b;
            products[r] = _mm512_set1_epi32(begin_of(type, a));
        }
        UNROLL for (int j = 0; j < bits; j++) {
            __m512i w = load(quants + 64 * j);
            if (bits == 8) {
                add_products(products, w, rows, R, b, 4 * j);
            } else {
                __m512i first = _mm512_and_si512(w, low), second = _mm512_and_si512(_mm512_srli_epi16(w, 4), low);
                add_products(products, looked_up ? _mm512_shuffle_epi8(table, first) : first, rows, R, b, 4 * j);
                add_products(products, looked_up ? _mm512_shuffle_epi8(table, second) : second, rows, R, b, 16 + 4 * j);
            }
        }
        const __m512 scale = load_16_halves(scales);
        const __m512 minimum = type == KERNEL_Q4_1 ? load_16_halves(scales + 32) : scale;
        UNROLL for (int r = 0; r < R; r++) {
            const struct activation_block *a = blocks_of(rows, r) + b;
            __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(products[r]), _mm512_set1_ps(a->step));
            if (type == KERNEL_Q4_1)
                sums[r] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(a->sum), sums[r]);
            sums[r] = _mm512_fmadd_ps(scale, product, sums[r]);
        }
        scales += type != KERNEL_NF4 || b % 2 ? scale_bytes : 0;
    }
}
/* clang-format on */

/* Where a tile's outputs go: y[r * stride + n] for n in [0, count), count at most 16. */
struct outputs {
    float *y;
    int stride, count, accumulate;
};

INLINE void tile(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R, const struct outputs *out)
{
    __m512 sums[MOST];
    for (int r = 0; r < R; r++)
        sums[r] = _mm512_setzero_ps();
    tile_blocks(strip, type, rows, R, sums);
    const __mmask16 lanes = vec_mask(out->count);
    for (int r = 0; r < R; r++) {
        float *to = out->y + (size_t)r * (size_t)out->stride;
        __m512 y = type == KERNEL_NF4 ? _mm512_mul_ps(sums[r], _mm512_set1_ps(1 / 127.0f)) : sums[r];
        y = out->accumulate ? _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, to), y) : y;
        _mm512_mask_storeu_ps(to, lanes, y);
    }
}

/* A strip against rows of any number, cut as evenly as whole rows can be: a tile of few unpacks weights for those alone, and
 * waits for its own products. Above 8 there are tiles of even numbers only, each is a kilobyte or two of code. */
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
            TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(10) TILE(12) TILE(14) TILE(16)
        }
        rows.first += (size_t)R * rows.stride;
        out.y += (size_t)R * (size_t)out.stride;
    }
}

/* How much is gone over again and again: weights by all rows, in the second cache; rows by those weights, in the first.
 */
enum { WEIGHTS_AT_ONCE = 512 << 10, ROWS_AT_ONCE = 32 << 10 };

INLINE void matmul_strips(const struct kernel_matrix *m, enum kernel_type type, const unsigned char *prepared, int rows,
                          float *y, int y_stride, int first, int last, int accumulate)
{
    const struct strips l = kernel_strips_of(m, STRIPS_UNSIGNED);
    const size_t row_bytes = kernel_avx512_row_bytes(m->cols), stride = 2 * row_bytes,
                 strip_bytes = l.strip_bytes;
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

/* The first n (at most 16) weights from the k-th of a row. */
INLINE __m512 load_weights(enum kernel_type type, const unsigned char *row, int k, int n)
{
    if (type == KERNEL_F16)
        return vec_load_halves_first((const uint16_t *)(const void *)(row + 2 * (size_t)k), n);
    return vec_load_first((const float *)(const void *)(row + 4 * (size_t)k), n);
}

/* N rows of weights against R rows of activations. */
INLINE void tile_plain(const struct kernel_matrix *m, enum kernel_type type, int n, int N, const float *x, int R, float *y,
                       int y_stride, int accumulate)
{
    size_t row_bytes = (size_t)m->cols * (type == KERNEL_F16 ? 2 : 4);
    const unsigned char *weights = (const unsigned char *)m->data + (size_t)n * row_bytes;
    __m512 sums[4][4];
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int r = 0; r < R; r++)
            sums[i][r] = _mm512_setzero_ps();
    for (int k = 0; k < m->cols; k += 16) {
        __m512 a[4];
        UNROLL for (int r = 0; r < R; r++)
            a[r] = vec_load_first(x + (size_t)r * (size_t)m->cols + k, m->cols - k);
        UNROLL for (int i = 0; i < N; i++) {
            __m512 w = load_weights(type, weights + (size_t)i * row_bytes, k, m->cols - k);
            UNROLL for (int r = 0; r < R; r++)
                sums[i][r] = _mm512_fmadd_ps(w, a[r], sums[i][r]);
        }
    }
    UNROLL for (int i = 0; i < N; i++)
        UNROLL for (int r = 0; r < R; r++) {
            float *to = y + (size_t)r * (size_t)y_stride + n + i;
            *to = (accumulate ? *to : 0) + vec_sum(sums[i][r]);
        }
}

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

void kernel_avx512_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
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
