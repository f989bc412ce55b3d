/* Weights times activations, AVX2.
 *
 * Quantized weights are repacked once, keeping their bits, into strips of 8 output rows interleaved by 4 bytes of K: in a
 * vector of 32 bytes, lane r (32 bits) belongs to row r of the strip. A group of 4 activations is broadcast to all lanes, so
 * that no sum ever crosses lanes. Whole numbers are exact in any order; each block of 32 then adds one product to the
 * output's fp32 sum, blocks in ascending order: this, and not how many rows a tile has, is the order of every sum.
 *
 * F32 and F16 weights are used where they lie, 8 along K in a vector, with the fp32 activations: one vector of partial
 * sums an output, K ascending, then sum8.
 */
#include "avx2.h"

#include <stdlib.h>

/* --- packing ----------------------------------------------------------------------------------------------------- */

/* A strip: for each block of 32 the scales of 8 rows (halves; Q4_1: then 8 minima), padded to 64 bytes; then for each
 * block its quants. 4 bits: 4 vectors, vector j holds byte 4 j ... 4 j + 3 of the row's 16, so that low nibbles are weights
 * 4 j ... and high ones 16 + 4 j .... 8 bits: 8 vectors, vector j holds weights 4 j ... 4 j + 3. Rows past the matrix's
 * last are zeros. Q8_0 has after all strips, for each strip and block, 8 corrections (16 bits): see tile_8bit. They are
 * apart because a single row, which is bound by the bytes it reads, does without them. */
struct layout {
    size_t blocks;              /* of a row */
    size_t block_halves;        /* 16-bit numbers a row has in a block before its quants */
    size_t quant_bytes;         /* of a row's block */
    size_t quants, strip_bytes; /* where in a strip the quants begin, and its end */
    size_t strips;
    size_t corrections, bytes; /* where in the matrix corrections begin, and its end */
};
#define CORRECTION_BYTES (2 * KERNEL_STRIP) /* of a block of a strip */

static int is_quantized(enum kernel_type type)
{
    return type == KERNEL_Q4_0 || type == KERNEL_Q4_1 || type == KERNEL_Q8_0;
}

static struct layout layout_of(const struct kernel_matrix *m)
{
    struct layout l = {.blocks = (size_t)m->cols / 32,
                       .block_halves = m->type == KERNEL_Q4_1 ? 2 : 1,
                       .quant_bytes = m->type == KERNEL_Q8_0 ? 32 : 16,
                       .strips = ((size_t)m->rows + KERNEL_STRIP - 1) / KERNEL_STRIP};
    l.quants = (l.blocks * l.block_halves * 2 * KERNEL_STRIP + 63) & ~(size_t)63;
    l.strip_bytes = (l.quants + l.blocks * l.quant_bytes * KERNEL_STRIP + 63) & ~(size_t)63;
    l.corrections = l.strips * l.strip_bytes;
    l.bytes = l.corrections + (m->type == KERNEL_Q8_0 ? (l.strips * l.blocks * CORRECTION_BYTES + 63) & ~(size_t)63 : 0);
    return l;
}

/* The sum of the magnitudes of a block's negative weights. */
static uint16_t correction_of(const unsigned char *quants)
{
    int sum = 0;
    for (int i = 0; i < 32; i++)
        sum += quants[i] > 127 ? 256 - quants[i] : 0;
    return (uint16_t)sum;
}

static void pack_strip(void *argument, int s)
{
    struct kernel_matrix *m = argument;
    struct layout l = layout_of(m);
    size_t block_bytes = l.block_halves * 2 + l.quant_bytes;
    unsigned char *scales = (unsigned char *)m->packed + (size_t)s * l.strip_bytes, *quants = scales + l.quants;
    unsigned char *corrections = (unsigned char *)m->packed + l.corrections + (size_t)s * l.blocks * CORRECTION_BYTES;
    memset(scales, 0, l.strip_bytes);
    if (m->type == KERNEL_Q8_0)
        memset(corrections, 0, l.blocks * CORRECTION_BYTES);
    for (int r = 0; r < KERNEL_STRIP && s * KERNEL_STRIP + r < m->rows; r++) {
        const unsigned char *from = (const unsigned char *)m->data + (size_t)(s * KERNEL_STRIP + r) * l.blocks * block_bytes;
        for (size_t b = 0; b < l.blocks; b++, from += block_bytes) {
            const unsigned char *q = from + 2 * l.block_halves;
            for (size_t h = 0; h < l.block_halves; h++)
                memcpy(scales + ((b * l.block_halves + h) * KERNEL_STRIP + (size_t)r) * 2, from + 2 * h, 2);
            for (size_t j = 0; j < l.quant_bytes / 4; j++)
                memcpy(quants + ((b * l.quant_bytes / 4 + j) * KERNEL_STRIP + (size_t)r) * 4, q + 4 * j, 4);
            if (m->type == KERNEL_Q8_0) {
                uint16_t correction = correction_of(q);
                memcpy(corrections + b * CORRECTION_BYTES + 2 * r, &correction, 2);
            }
        }
    }
}

int kernel_avx2_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    m->packed = NULL;
    m->packed_bytes = 0;
    if (!is_quantized(m->type) || m->rows == 0 || m->cols == 0)
        return OK;
    struct layout l = layout_of(m);
    m->packed = aligned_alloc(64, l.bytes);
    if (!m->packed)
        return error_set(e, ERROR_ENGINE, "out of memory laying out weights (asked for %zu bytes); try a smaller model", l.bytes);
    m->packed_bytes = l.bytes;
    kernel_pool_run(pool, (int)l.strips, pack_strip, m);
    return OK;
}

/* --- tiles of quantized weights ---------------------------------------------------------------------------------- */

/* INLINE, with R a constant where it is called, so that loops over it unroll and the sums stay in registers. */
#define INLINE static inline __attribute__((always_inline))
#define PAIR 2 /* strips a tile has: 16 outputs share every broadcast */
#define MOST 4 /* rows a tile has at most: 2 x 4 sums, weights, products and the mask fill the 16 registers */

/* gcc would take a chain of integer additions apart, to add up what it has in any order, and spill most of it. */
#define IN_ORDER(x) __asm__("" : "+x"(x))

/* Strips [n, n + 16) of a matrix, of which the second may be the first again. */
struct strips {
    const unsigned char *scales[PAIR], *quants[PAIR], *corrections[PAIR];
    int minima; /* Q4_1: each block's scales are followed by its minima */
};
/* Rows prepared for matmul, `stride` bytes apart. */
struct rows {
    const unsigned char *first;
    size_t stride;
};

INLINE __m256i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

INLINE __m256i load(const unsigned char *p)
{
    return _mm256_load_si256((const __m256i *)(const void *)p);
}

INLINE __m256 load_8_halves(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)p));
}

INLINE const struct activation_row *row_of(const struct rows *rows, int r)
{
    return (const void *)(rows->first + (size_t)r * rows->stride);
}

/* Add the products of a group of 4 along K to sums of 16 bits, or begin them. */
INLINE void add_4bit(__m256i products[PAIR][MOST], const __m256i w[PAIR], const struct rows *rows, int R, size_t b, int k, int begin)
{
    for (int r = 0; r < R; r++) {
        __m256i a = broadcast4(row_of(rows, r)->blocks[b].q + k);
        for (int s = 0; s < PAIR; s++) {
            __m256i both = _mm256_maddubs_epi16(w[s], a);
            products[s][r] = begin ? both : _mm256_add_epi16(products[s][r], both);
            IN_ORDER(products[s][r]);
        }
    }
}

/* Q4_1, and Q4_0 as a Q4_1 whose minimum is -8 scales. A product of 4 bits and 7 and a sign is at most 15 * 127, maddubs
 * adds two of them, so 8 such sums fit in 16 bits (30,480): the widening is done once a block. */
INLINE void tile_4bit(const struct strips *strips, size_t blocks, const struct rows *rows, int R, __m256 sums[PAIR][MOST])
{
    const __m256i low = _mm256_set1_epi8(15);
    for (size_t b = 0; b < blocks; b++) {
        __m256i products[PAIR][MOST];
        for (int j = 0; j < 4; j++) {
            __m256i w[PAIR];
            for (int s = 0; s < PAIR; s++)
                w[s] = _mm256_and_si256(load(strips->quants[s] + 128 * b + 32 * j), low);
            add_4bit(products, w, rows, R, b, 4 * j, j == 0);
            for (int s = 0; s < PAIR; s++)
                w[s] = _mm256_and_si256(_mm256_srli_epi16(load(strips->quants[s] + 128 * b + 32 * j), 4), low);
            add_4bit(products, w, rows, R, b, 16 + 4 * j, 0);
        }
        for (int s = 0; s < PAIR; s++) {
            const unsigned char *scales = strips->scales[s] + (strips->minima ? 32 : 16) * b;
            __m256 d = load_8_halves(scales);
            __m256 minimum = strips->minima ? load_8_halves(scales + 16) : _mm256_mul_ps(d, _mm256_set1_ps(-8));
            for (int r = 0; r < R; r++) {
                const struct activation_block *a = &row_of(rows, r)->blocks[b];
                __m256i scaled = _mm256_madd_epi16(products[s][r], _mm256_set1_epi32(a->steps_pair));
                sums[s][r] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(a->sum), sums[s][r]);
                sums[s][r] = _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(scaled), sums[s][r]);
            }
        }
    }
}

/* Signed times signed is |w| times a with w's sign, whole numbers all: a single row takes the sign by vpsignb, which is
 * as dear as a product; several rows by ~a, which is -a - 1, for a negative w, and the sum of |w| over the negative w of
 * the block, the correction, makes up for the ones. The two products maddubs adds may fill 16 bits (from -32768, by
 * -128 * 128 twice), so each is widened. */
INLINE void tile_8bit(const struct strips *strips, size_t blocks, const struct rows *rows, int R, __m256 sums[PAIR][MOST])
{
    const __m256i ones = _mm256_set1_epi16(1);
    for (size_t b = 0; b < blocks; b++) {
        __m256i totals[PAIR][MOST];
        for (int s = 0; s < PAIR; s++)
            for (int r = 0; r < R; r++)
                totals[s][r] = R == 1 ? _mm256_setzero_si256()
                                      : _mm256_cvtepi16_epi32(_mm_load_si128((const __m128i *)(const void *)(strips->corrections[s] + CORRECTION_BYTES * b)));
        for (int j = 0; j < 8; j++) {
            __m256i w[PAIR], magnitude[PAIR];
            for (int s = 0; s < PAIR; s++) {
                w[s] = load(strips->quants[s] + 256 * b + 32 * j);
                magnitude[s] = _mm256_abs_epi8(w[s]);
                if (R > 1)
                    w[s] = _mm256_cmpgt_epi8(_mm256_setzero_si256(), w[s]);
            }
            for (int r = 0; r < R; r++) {
                __m256i a = broadcast4(row_of(rows, r)->blocks[b].q + 4 * j);
                for (int s = 0; s < PAIR; s++) {
                    __m256i both = _mm256_maddubs_epi16(magnitude[s], R == 1 ? _mm256_sign_epi8(a, w[s]) : _mm256_xor_si256(a, w[s]));
                    totals[s][r] = _mm256_add_epi32(totals[s][r], _mm256_madd_epi16(both, ones));
                    IN_ORDER(totals[s][r]);
                }
            }
        }
        for (int s = 0; s < PAIR; s++) {
            __m256 d = load_8_halves(strips->scales[s] + 16 * b);
            for (int r = 0; r < R; r++) {
                __m256 steps = _mm256_set1_ps(row_of(rows, r)->blocks[b].steps);
                sums[s][r] = _mm256_fmadd_ps(d, _mm256_mul_ps(_mm256_cvtepi32_ps(totals[s][r]), steps), sums[s][r]);
            }
        }
    }
}

/* Where a tile's outputs go: y[r * stride + 8 s + lane], those lanes that there are. */
struct outputs {
    float *y;
    int stride, accumulate;
    __m256i lanes[PAIR];
};

INLINE void tile(const struct strips *strips, int bits, size_t blocks, const struct rows *rows, int R, const struct outputs *out)
{
    __m256 sums[PAIR][MOST];
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++)
            sums[s][r] = _mm256_setzero_ps();
    if (bits == 8)
        tile_8bit(strips, blocks, rows, R, sums);
    else
        tile_4bit(strips, blocks, rows, R, sums);
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++) {
            __m256 y = _mm256_mul_ps(sums[s][r], _mm256_set1_ps(row_of(rows, r)->unit));
            float *to = out->y + (size_t)r * (size_t)out->stride + 8 * s;
            if (out->accumulate)
                y = _mm256_add_ps(_mm256_maskload_ps(to, out->lanes[s]), y);
            _mm256_maskstore_ps(to, out->lanes[s], y);
        }
}

/* Two strips against rows of any number. Five and six rows are 3 + 2 and 3 + 3: a tile of one row unpacks weights for
 * itself alone. */
INLINE void tiles(const struct strips *strips, int bits, size_t blocks, struct rows rows, int count, struct outputs out)
{
    for (int left = count, R; left > 0; left -= R) {
        R = left >= 7 || left == 4 ? 4 : left >= 5 ? 3 : left;
        if (R == 4)
            tile(strips, bits, blocks, &rows, 4, &out);
        else if (R == 3)
            tile(strips, bits, blocks, &rows, 3, &out);
        else if (R == 2)
            tile(strips, bits, blocks, &rows, 2, &out);
        else
            tile(strips, bits, blocks, &rows, 1, &out);
        rows.first += (size_t)R * rows.stride;
        out.y += (size_t)R * (size_t)out.stride;
    }
}

/* How much is gone over again and again: weights by all rows, in the second cache; rows by those weights, in the first. */
enum { WEIGHTS_AT_ONCE = 256 << 10, ROWS_AT_ONCE = 16 << 10 };

static void matmul_quantized(const struct kernel_matrix *m, const unsigned char *prepared, int rows, float *y, int y_stride,
                             int first, int last, int accumulate)
{
    const struct layout l = layout_of(m);
    const unsigned char *packed = m->packed;
    const size_t stride = kernel_avx2_prepared_bytes(m->cols);
    int pairs = (int)(WEIGHTS_AT_ONCE / (PAIR * l.strip_bytes)), fit = (int)(ROWS_AT_ONCE / stride) / MOST * MOST;
    const int wide = (pairs > 1 ? pairs : 1) * PAIR * KERNEL_STRIP;
    const int pieces = fit > MOST ? (rows + fit - 1) / fit : (rows + MOST - 1) / MOST; /* as even as whole tiles make them */
    const int tall = ((rows + pieces - 1) / pieces + MOST - 1) / MOST * MOST;
    for (int from = first; from < last; from += wide)
        for (int r = 0; r < rows; r += tall)
            for (int n = from; n < last && n < from + wide; n += PAIR * KERNEL_STRIP) {
                struct outputs out = {y + (size_t)r * (size_t)y_stride + n, y_stride, accumulate, {lanes8(last - n), lanes8(last - n - 8)}};
                struct strips strips = {.minima = m->type == KERNEL_Q4_1};
                for (int s = 0; s < PAIR; s++) {
                    size_t strip = (size_t)n / KERNEL_STRIP + (n + KERNEL_STRIP * s < last ? (size_t)s : 0);
                    strips.scales[s] = packed + strip * l.strip_bytes;
                    strips.quants[s] = strips.scales[s] + l.quants;
                    strips.corrections[s] = packed + l.corrections + strip * l.blocks * CORRECTION_BYTES;
                }
                struct rows some = {prepared + (size_t)r * stride, stride};
                int count = rows - r < tall ? rows - r : tall;
                if (m->type == KERNEL_Q8_0)
                    tiles(&strips, 8, l.blocks, some, count, out);
                else
                    tiles(&strips, 4, l.blocks, some, count, out);
            }
}

/* --- tiles of plain weights -------------------------------------------------------------------------------------- */

/* The first n (at most 8) weights from the k-th of a row. */
INLINE __m256 load_weights(enum kernel_type type, const unsigned char *row, int k, int n)
{
    if (type == KERNEL_F16)
        return load_halves(row + 2 * (size_t)k, n);
    if (n >= 8)
        return _mm256_loadu_ps((const float *)(const void *)(row + 4 * (size_t)k));
    return _mm256_maskload_ps((const float *)(const void *)(row + 4 * (size_t)k), lanes8(n));
}

/* N rows of weights against R rows of activations. */
INLINE void tile_plain(const struct kernel_matrix *m, enum kernel_type type, int n, int N, const float *x, int R, float *y,
                       int y_stride, int accumulate)
{
    size_t row_bytes = (size_t)m->cols * (type == KERNEL_F16 ? 2 : 4);
    const unsigned char *weights = (const unsigned char *)m->data + (size_t)n * row_bytes;
    __m256 sums[4][3];
    for (int i = 0; i < N; i++)
        for (int r = 0; r < R; r++)
            sums[i][r] = _mm256_setzero_ps();
    int k = 0;
    for (; k + 8 <= m->cols; k += 8) {
        __m256 a[3];
        for (int r = 0; r < R; r++)
            a[r] = _mm256_loadu_ps(x + (size_t)r * (size_t)m->cols + k);
        for (int i = 0; i < N; i++) {
            __m256 w = load_weights(type, weights + (size_t)i * row_bytes, k, 8);
            for (int r = 0; r < R; r++)
                sums[i][r] = _mm256_fmadd_ps(w, a[r], sums[i][r]);
        }
    }
    if (k < m->cols)
        for (int i = 0; i < N; i++)
            for (int r = 0; r < R; r++)
                sums[i][r] = _mm256_fmadd_ps(load_weights(type, weights + (size_t)i * row_bytes, k, m->cols - k),
                                             _mm256_maskload_ps(x + (size_t)r * (size_t)m->cols + k, lanes8(m->cols - k)), sums[i][r]);
    for (int i = 0; i < N; i++)
        for (int r = 0; r < R; r++) {
            float *to = y + (size_t)r * (size_t)y_stride + n + i;
            *to = (accumulate ? *to : 0) + sum8(sums[i][r]);
        }
}

INLINE void matmul_plain(const struct kernel_matrix *m, enum kernel_type type, const float *x, int rows, float *y,
                         int y_stride, int first, int last, int accumulate)
{
    for (int n = first; n < last;) {
        int four = n + 4 <= last, r = 0;
        for (; r + 3 <= rows; r += 3) {
            const float *from = x + (size_t)r * (size_t)m->cols;
            float *to = y + (size_t)r * (size_t)y_stride;
            if (four)
                tile_plain(m, type, n, 4, from, 3, to, y_stride, accumulate);
            else
                tile_plain(m, type, n, 1, from, 3, to, y_stride, accumulate);
        }
        for (; r < rows; r++) {
            const float *from = x + (size_t)r * (size_t)m->cols;
            float *to = y + (size_t)r * (size_t)y_stride;
            if (four)
                tile_plain(m, type, n, 4, from, 1, to, y_stride, accumulate);
            else
                tile_plain(m, type, n, 1, from, 1, to, y_stride, accumulate);
        }
        n += four ? 4 : 1;
    }
}

void kernel_avx2_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y, int y_stride,
                        int first, int last, int accumulate)
{
    switch (m->type) {
    case KERNEL_F32:
        matmul_plain(m, KERNEL_F32, x, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_F16:
        matmul_plain(m, KERNEL_F16, x, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q4_0:
    case KERNEL_Q4_1:
    case KERNEL_Q8_0:
        matmul_quantized(m, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_TYPES:
        break;
    }
}
