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
 * last are zeros. */
struct layout {
    size_t block_halves; /* 16-bit numbers a row has in a block before its quants */
    size_t quant_bytes;  /* of a row's block */
    size_t scales, bytes; /* of a strip, in bytes */
};

static int is_quantized(enum kernel_type type)
{
    return type == KERNEL_Q4_0 || type == KERNEL_Q4_1 || type == KERNEL_Q8_0;
}

static struct layout layout_of(const struct kernel_matrix *m)
{
    size_t blocks = (size_t)m->cols / 32;
    struct layout l = {.block_halves = m->type == KERNEL_Q4_1 ? 2 : 1, .quant_bytes = m->type == KERNEL_Q8_0 ? 32 : 16};
    l.scales = (blocks * l.block_halves * 2 * KERNEL_STRIP + 63) & ~(size_t)63;
    l.bytes = (l.scales + blocks * l.quant_bytes * KERNEL_STRIP + 63) & ~(size_t)63;
    return l;
}

static void pack_strip(void *argument, int s)
{
    struct kernel_matrix *m = argument;
    struct layout l = layout_of(m);
    size_t blocks = (size_t)m->cols / 32, block_bytes = l.block_halves * 2 + l.quant_bytes;
    unsigned char *scales = (unsigned char *)m->packed + (size_t)s * l.bytes, *quants = scales + l.scales;
    memset(scales, 0, l.bytes);
    for (int r = 0; r < KERNEL_STRIP && s * KERNEL_STRIP + r < m->rows; r++) {
        const unsigned char *from = (const unsigned char *)m->data + (size_t)(s * KERNEL_STRIP + r) * blocks * block_bytes;
        for (size_t b = 0; b < blocks; b++, from += block_bytes) {
            for (size_t h = 0; h < l.block_halves; h++)
                memcpy(scales + ((b * l.block_halves + h) * KERNEL_STRIP + (size_t)r) * 2, from + 2 * h, 2);
            for (size_t j = 0; j < l.quant_bytes / 4; j++)
                memcpy(quants + ((b * l.quant_bytes / 4 + j) * KERNEL_STRIP + (size_t)r) * 4, from + 2 * l.block_halves + 4 * j, 4);
        }
    }
}

int kernel_avx2_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    m->packed = NULL;
    m->packed_bytes = 0;
    if (!is_quantized(m->type) || m->rows == 0 || m->cols == 0)
        return OK;
    int strips = (m->rows + KERNEL_STRIP - 1) / KERNEL_STRIP;
    m->packed_bytes = (size_t)strips * layout_of(m).bytes;
    m->packed = aligned_alloc(64, m->packed_bytes);
    if (!m->packed)
        return error_set(e, ERROR_ENGINE, "out of memory laying out weights (asked for %zu bytes); try a smaller model",
                         m->packed_bytes);
    kernel_pool_run(pool, strips, pack_strip, m);
    return OK;
}

/* --- tiles of quantized weights ---------------------------------------------------------------------------------- */

/* One strip against R rows. INLINE, with R a constant where it is called, so that the sums stay in registers. */
#define INLINE static inline __attribute__((always_inline))

INLINE __m256i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

INLINE const struct activation_block *block_of(const unsigned char *prepared, size_t stride, int r, size_t b)
{
    return &((const struct activation_row *)(const void *)(prepared + (size_t)r * stride))->blocks[b];
}

/* Q4_1, and Q4_0 as a Q4_1 whose minimum is -8 scales. A product of 4 bits and 7 and a sign is at most 15 * 127, maddubs
 * adds two of them, so 8 such sums fit in 16 bits (30,480): the widening is done once a block. */
INLINE void tile_4bit(const unsigned char *strip, const struct layout *l, enum kernel_type type, size_t blocks,
                      const unsigned char *prepared, size_t stride, int R, __m256 *sums)
{
    const __m256i low = _mm256_set1_epi8(15);
    const unsigned char *scales = strip, *quants = strip + l->scales;
    for (int r = 0; r < R; r++)
        sums[r] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b++, quants += 128) {
        __m256 d = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)scales)), minimum;
        if (type == KERNEL_Q4_1)
            minimum = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)(scales + 16)));
        else
            minimum = _mm256_mul_ps(d, _mm256_set1_ps(-8));
        scales += type == KERNEL_Q4_1 ? 32 : 16;
        __m256i w[8];
        for (int j = 0; j < 4; j++) {
            __m256i both = _mm256_load_si256((const __m256i *)(const void *)(quants + 32 * j));
            w[j] = _mm256_and_si256(both, low);
            w[j + 4] = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
        }
        for (int r = 0; r < R; r++) {
            const struct activation_block *a = block_of(prepared, stride, r, b);
            __m256i products = _mm256_maddubs_epi16(w[0], broadcast4(a->q));
            for (int j = 1; j < 8; j++)
                products = _mm256_add_epi16(products, _mm256_maddubs_epi16(w[j], broadcast4(a->q + 4 * j)));
            __m256i scaled = _mm256_madd_epi16(products, _mm256_set1_epi32(a->steps_pair));
            sums[r] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(a->sum), sums[r]);
            sums[r] = _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(scaled), sums[r]);
        }
    }
}

/* Signed times signed: |w| times a with w's sign; the two products maddubs adds may fill 16 bits, so each is widened. */
INLINE void tile_8bit(const unsigned char *strip, const struct layout *l, size_t blocks, const unsigned char *prepared,
                      size_t stride, int R, __m256 *sums)
{
    const __m256i ones = _mm256_set1_epi16(1);
    const unsigned char *scales = strip, *quants = strip + l->scales;
    for (int r = 0; r < R; r++)
        sums[r] = _mm256_setzero_ps();
    for (size_t b = 0; b < blocks; b++, scales += 16, quants += 256) {
        __m256 d = _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)scales));
        __m256i total[8];
        for (int r = 0; r < R; r++)
            total[r] = _mm256_setzero_si256();
        for (int j = 0; j < 8; j++) {
            __m256i w = _mm256_load_si256((const __m256i *)(const void *)(quants + 32 * j)), magnitude = _mm256_abs_epi8(w);
            for (int r = 0; r < R; r++) {
                __m256i a = broadcast4(block_of(prepared, stride, r, b)->q + 4 * j);
                __m256i products = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(a, w));
                total[r] = _mm256_add_epi32(total[r], _mm256_madd_epi16(products, ones));
            }
        }
        for (int r = 0; r < R; r++) {
            __m256 steps = _mm256_set1_ps(block_of(prepared, stride, r, b)->steps);
            sums[r] = _mm256_fmadd_ps(d, _mm256_mul_ps(_mm256_cvtepi32_ps(total[r]), steps), sums[r]);
        }
    }
}

INLINE void tile_quantized(const unsigned char *strip, const struct layout *l, enum kernel_type type, size_t blocks,
                           const unsigned char *prepared, size_t stride, int R, float *y, int y_stride, __m256i lanes,
                           int accumulate)
{
    __m256 sums[8];
    if (type == KERNEL_Q8_0)
        tile_8bit(strip, l, blocks, prepared, stride, R, sums);
    else
        tile_4bit(strip, l, type, blocks, prepared, stride, R, sums);
    for (int r = 0; r < R; r++) {
        const struct activation_row *row = (const void *)(prepared + (size_t)r * stride);
        __m256 out = _mm256_mul_ps(sums[r], _mm256_set1_ps(row->unit));
        float *to = y + (size_t)r * (size_t)y_stride;
        if (accumulate)
            out = _mm256_add_ps(_mm256_maskload_ps(to, lanes), out);
        _mm256_maskstore_ps(to, lanes, out);
    }
}

INLINE void matmul_quantized(const struct kernel_matrix *m, enum kernel_type type, const unsigned char *prepared, int rows,
                             float *y, int y_stride, int first, int last, int accumulate)
{
    struct layout l = layout_of(m);
    size_t blocks = (size_t)m->cols / 32, stride = kernel_avx2_prepared_bytes(m->cols);
    for (int n = first; n < last; n += KERNEL_STRIP) {
        const unsigned char *strip = (const unsigned char *)m->packed + (size_t)(n / KERNEL_STRIP) * l.bytes;
        __m256i lanes = lanes8(last - n);
        int r = 0;
        for (; r + 4 <= rows; r += 4)
            tile_quantized(strip, &l, type, blocks, prepared + (size_t)r * stride, stride, 4,
                           y + (size_t)r * (size_t)y_stride + n, y_stride, lanes, accumulate);
        for (; r < rows; r++)
            tile_quantized(strip, &l, type, blocks, prepared + (size_t)r * stride, stride, 1,
                           y + (size_t)r * (size_t)y_stride + n, y_stride, lanes, accumulate);
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
        matmul_quantized(m, KERNEL_Q4_0, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q4_1:
        matmul_quantized(m, KERNEL_Q4_1, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q8_0:
        matmul_quantized(m, KERNEL_Q8_0, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_TYPES:
        break;
    }
}
