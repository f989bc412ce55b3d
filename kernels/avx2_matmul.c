/* Weights times activations, AVX2.
 *
 * Quantized weights are repacked once, keeping their bits, into strips of 16 output rows interleaved by 4 bytes of K:
 * of a pair of vectors of 32 bytes, each lane (32 bits) belongs to one row of the strip. A group of 4 activations is
 * broadcast to all lanes, so that no sum ever crosses lanes. Whole numbers are exact in any order; each block of 32
 * then adds one product to the output's fp32 sum, blocks in ascending order: this, and not how many rows a tile has, is
 * the order of every sum.
 *
 * F32 and F16 weights are used where they lie, 8 along K in a vector, with the fp32 activations: one vector of partial
 * sums an output, K ascending, then sum8.
 */
#include "avx2.h"
#include "sets.h"

#include <stdlib.h>

/* --- packing ----------------------------------------------------------------------------------------------------- */

/* A strip is read from its begin to its end. For each block of 32 it has the scales of 16 rows (halves; Q4_1: then 16
 * minima), then their quants. 4 bits: 4 pairs of vectors; pair j holds bytes [4 j, 4 j + 4) of each row's 16, whose low
 * nibbles are weights [4 j, 4 j + 4) and high ones 16 further. 8 bits: 8 pairs; pair j holds weights [4 j, 4 j + 4). Rows
 * past the matrix's last are zeros. Q8_0 has after all strips, for each strip and block, 16 corrections (16 bits), for
 * which see tile_8bit: apart because a single row, which is bound by the bytes it reads, does without them. */
struct layout {
    size_t blocks;       /* of a row */
    size_t block_halves; /* 16-bit numbers a row has in a block before its quants */
    size_t quant_bytes;  /* of a row's block */
    size_t block_bytes;  /* of a strip's block */
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
    l.block_bytes = (2 * l.block_halves + l.quant_bytes) * KERNEL_STRIP;
    l.corrections = l.strips * l.blocks * l.block_bytes;
    l.bytes = l.corrections + (m->type == KERNEL_Q8_0 ? l.strips * l.blocks * CORRECTION_BYTES : 0);
    l.bytes = (l.bytes + 63) & ~(size_t)63; /* as aligned_alloc wants it */
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
    const struct layout l = layout_of(m);
    const size_t from_bytes = 2 * l.block_halves + l.quant_bytes;
    unsigned char *strip = (unsigned char *)m->packed + (size_t)s * l.blocks * l.block_bytes;
    unsigned char *corrections = (unsigned char *)m->packed + l.corrections + (size_t)s * l.blocks * CORRECTION_BYTES;
    memset(strip, 0, l.blocks * l.block_bytes);
    if (m->type == KERNEL_Q8_0)
        memset(corrections, 0, l.blocks * CORRECTION_BYTES);
    for (int r = 0; r < KERNEL_STRIP && s * KERNEL_STRIP + r < m->rows; r++) {
        const unsigned char *from =
            (const unsigned char *)m->data + (size_t)(s * KERNEL_STRIP + r) * l.blocks * from_bytes;
        for (size_t b = 0; b < l.blocks; b++, from += from_bytes) {
            unsigned char *scales = strip + b * l.block_bytes, *quants = scales + 2 * l.block_halves * KERNEL_STRIP;
            const unsigned char *from_quants = from + 2 * l.block_halves;
            for (size_t h = 0; h < l.block_halves; h++)
                memcpy(scales + 2 * (h * KERNEL_STRIP + (size_t)r), from + 2 * h, 2);
            for (size_t j = 0; j < l.quant_bytes / 4; j++)
                memcpy(quants + 4 * (j * KERNEL_STRIP + (size_t)r), from_quants + 4 * j, 4);
            if (m->type == KERNEL_Q8_0) {
                uint16_t correction = correction_of(from_quants);
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
        return error_set(e, ERROR_ENGINE, "out of memory laying out weights (asked for %zu bytes); try a smaller model",
                         l.bytes);
    m->packed_bytes = l.bytes;
    kernel_pool_run(pool, (int)l.strips, pack_strip, m);
    return OK;
}

/* --- tiles of quantized weights ---------------------------------------------------------------------------------- */

/* INLINE, with R a constant where it is called, so that loops over it unroll and the sums stay in registers. */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8") /* gcc by itself stops at 200 instructions, which is less than a block */
#define PAIR 2                         /* vectors a strip is wide: 16 outputs share every broadcast */
#define MOST 4 /* rows a tile has at most: 2 x 4 sums, weights, products and the mask fill the 16 registers */

/* gcc would take a chain of integer additions apart, to add up what it has in any order, and spill most of it. */
#define IN_ORDER(x) __asm__("" : "+x"(x))

/* Far enough for memory to answer while a single row goes through what lies between; a whole number of lines. */
#define AHEAD 4096

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

INLINE void fetch_ahead(const unsigned char *p, int bytes)
{
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch(p + AHEAD + i, _MM_HINT_T0);
}

INLINE const struct activation_row *row_of(const struct rows *rows, int r)
{
    return (const void *)(rows->first + (size_t)r * rows->stride);
}

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* Add the products of a group of 4 along K to sums of 16 bits, or begin them. */
INLINE void add_4bit(__m256i products[PAIR][MOST], const __m256i w[PAIR], const struct rows *rows, int R, size_t b,
                     int k, int begin)
{
    UNROLL for (int r = 0; r < R; r++) {
        __m256i a = broadcast4(row_of(rows, r)->blocks[b].q + k);
        UNROLL for (int s = 0; s < PAIR; s++) {
            __m256i both = _mm256_maddubs_epi16(w[s], a);
            products[s][r] = begin ? both : _mm256_add_epi16(products[s][r], both);
            IN_ORDER(products[s][r]);
        }
    }
}

/* Q4_1, and Q4_0 as a Q4_1 whose minimum is -8 scales. A product of 4 bits and 7 and a sign is at most 15 * 127,
 * maddubs adds two of them, so 8 such sums fit in 16 bits (30,480): the widening is done once a block. */
INLINE void tile_4bit(const unsigned char *strip, int minima, size_t blocks, const struct rows *rows, int R,
                      __m256 sums[PAIR][MOST])
{
    const __m256i low = _mm256_set1_epi8(15);
    const int scale_bytes = minima ? 64 : 32;
    for (size_t b = 0; b < blocks; b++) {
        const unsigned char *scales = strip, *quants = strip + scale_bytes;
        __m256i products[PAIR][MOST];
        strip = quants + 256;
        fetch_ahead(scales, 256 + scale_bytes);
        UNROLL for (int j = 0; j < 4; j++) {
            __m256i w[PAIR];
            UNROLL for (int s = 0; s < PAIR; s++)
                w[s] = _mm256_and_si256(load(quants + 64 * j + 32 * s), low);
            add_4bit(products, w, rows, R, b, 4 * j, j == 0);
            UNROLL for (int s = 0; s < PAIR; s++)
                w[s] = _mm256_and_si256(_mm256_srli_epi16(load(quants + 64 * j + 32 * s), 4), low);
            add_4bit(products, w, rows, R, b, 16 + 4 * j, 0);
        }
        UNROLL for (int s = 0; s < PAIR; s++) {
            __m256 d = load_8_halves(scales + 16 * s);
            __m256 minimum = minima ? load_8_halves(scales + 32 + 16 * s) : _mm256_mul_ps(d, _mm256_set1_ps(-8));
            UNROLL for (int r = 0; r < R; r++) {
                const struct activation_block *a = &row_of(rows, r)->blocks[b];
                __m256i scaled = _mm256_madd_epi16(products[s][r], _mm256_set1_epi32(a->steps_pair));
                sums[s][r] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(a->sum), sums[s][r]);
                sums[s][r] = _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(scaled), sums[s][r]);
            }
        }
    }
}

/* Signed times signed is |w| times a with w's sign, whole numbers all: a single row takes the sign by vpsignb, which is
 * as dear as a product; several rows by ~a, which is -a - 1, for a negative w, and the sum of |w| over the negative w
 * of the block, the correction, makes up for the ones. The two products maddubs adds may fill 16 bits (from -32768, by
 * -128 * 128 twice), so each is widened. */
INLINE void tile_8bit(const unsigned char *strip, const unsigned char *corrections, size_t blocks,
                      const struct rows *rows, int R, __m256 sums[PAIR][MOST])
{
    const __m256i ones = _mm256_set1_epi16(1);
    for (size_t b = 0; b < blocks; b++, strip += 32 + 512, corrections += CORRECTION_BYTES) {
        __m256i totals[PAIR][MOST];
        fetch_ahead(strip, 32 + 512);
        UNROLL for (int s = 0; s < PAIR; s++) {
            const __m128i *correction = (const __m128i *)(const void *)(corrections + 16 * s);
            UNROLL for (int r = 0; r < R; r++)
                totals[s][r] = R == 1 ? _mm256_setzero_si256() : _mm256_cvtepi16_epi32(_mm_load_si128(correction));
        }
        UNROLL for (int j = 0; j < 8; j++) {
            __m256i w[PAIR], magnitude[PAIR];
            UNROLL for (int s = 0; s < PAIR; s++) {
                w[s] = load(strip + 32 + 64 * j + 32 * s);
                magnitude[s] = _mm256_abs_epi8(w[s]);
                if (R > 1)
                    w[s] = _mm256_cmpgt_epi8(_mm256_setzero_si256(), w[s]);
            }
            UNROLL for (int r = 0; r < R; r++) {
                __m256i a = broadcast4(row_of(rows, r)->blocks[b].q + 4 * j);
                UNROLL for (int s = 0; s < PAIR; s++) {
                    __m256i signed_a = R == 1 ? _mm256_sign_epi8(a, w[s]) : _mm256_xor_si256(a, w[s]);
                    __m256i both = _mm256_maddubs_epi16(magnitude[s], signed_a);
                    totals[s][r] = _mm256_add_epi32(totals[s][r], _mm256_madd_epi16(both, ones));
                    IN_ORDER(totals[s][r]);
                }
            }
        }
        UNROLL for (int s = 0; s < PAIR; s++) {
            __m256 d = load_8_halves(strip + 16 * s);
            UNROLL for (int r = 0; r < R; r++) {
                __m256 steps = _mm256_set1_ps(row_of(rows, r)->blocks[b].steps);
                sums[s][r] = _mm256_fmadd_ps(d, _mm256_mul_ps(_mm256_cvtepi32_ps(totals[s][r]), steps), sums[s][r]);
            }
        }
    }
}

/* clang-format on */

/* Where a tile's outputs go: y[r * stride + n] for n in [0, count), count at most 16. */
struct outputs {
    float *y;
    int stride, count, accumulate;
};

/* One strip of a quantized matrix. */
struct strip {
    const unsigned char *weights, *corrections;
    size_t blocks;
    enum kernel_type type;
};

INLINE void tile(const struct strip *strip, int bits, const struct rows *rows, int R, const struct outputs *out)
{
    __m256 sums[PAIR][MOST];
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++)
            sums[s][r] = _mm256_setzero_ps();
    if (bits == 8)
        tile_8bit(strip->weights, strip->corrections, strip->blocks, rows, R, sums);
    else
        tile_4bit(strip->weights, strip->type == KERNEL_Q4_1, strip->blocks, rows, R, sums);
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++) {
            __m256 y = _mm256_mul_ps(sums[s][r], _mm256_set1_ps(row_of(rows, r)->unit));
            float *to = out->y + (size_t)r * (size_t)out->stride + 8 * s;
            int lanes = out->count - 8 * s;
            if (lanes >= 8) /* masked stores are slow on some machines */
                _mm256_storeu_ps(to, out->accumulate ? _mm256_add_ps(_mm256_loadu_ps(to), y) : y);
            else
                _mm256_maskstore_ps(to, lanes8(lanes),
                                    out->accumulate ? _mm256_add_ps(_mm256_maskload_ps(to, lanes8(lanes)), y) : y);
        }
}

/* A strip against rows of any number. Five and six rows are 3 + 2 and 3 + 3: a tile of one row unpacks weights for
 * itself alone. */
INLINE void tiles(const struct strip *strip, int bits, struct rows rows, int count, struct outputs out)
{
    for (int left = count, R; left > 0; left -= R) {
        R = left >= 7 || left == 4 ? 4 : left >= 5 ? 3 : left;
        if (R == 4)
            tile(strip, bits, &rows, 4, &out);
        else if (R == 3)
            tile(strip, bits, &rows, 3, &out);
        else if (R == 2)
            tile(strip, bits, &rows, 2, &out);
        else
            tile(strip, bits, &rows, 1, &out);
        rows.first += (size_t)R * rows.stride;
        out.y += (size_t)R * (size_t)out.stride;
    }
}

/* How much is gone over again and again: weights by all rows, in the second cache; rows by those weights, in the first.
 */
enum { WEIGHTS_AT_ONCE = 256 << 10, ROWS_AT_ONCE = 16 << 10 };

static void matmul_quantized(const struct kernel_matrix *m, const unsigned char *prepared, int rows, float *y,
                             int y_stride, int first, int last, int accumulate)
{
    const struct layout l = layout_of(m);
    const size_t stride = kernel_avx2_prepared_bytes(m->cols), row_bytes = kernel_avx2_row_bytes(m->cols),
                 strip_bytes = l.blocks * l.block_bytes;
    const int strips = (int)(WEIGHTS_AT_ONCE / strip_bytes), fit = (int)(ROWS_AT_ONCE / (m->fine ? stride : row_bytes));
    const int wide = (strips > 1 ? strips : 1) * KERNEL_STRIP;
    const int pieces = (rows + (fit > MOST ? fit : MOST) - 1) / (fit > MOST ? fit : MOST);
    const int tall = ((rows + pieces - 1) / pieces + MOST - 1) / MOST * MOST; /* as even as whole tiles make them */
    for (int from = first; from < last; from += wide)
        for (int r = 0; r < rows; r += tall)
            for (int n = from; n < last && n < from + wide; n += KERNEL_STRIP) {
                const size_t s = (size_t)n / KERNEL_STRIP;
                const struct strip strip = {
                    (unsigned char *)m->packed + s * strip_bytes,
                    (unsigned char *)m->packed + l.corrections + s * l.blocks * CORRECTION_BYTES, l.blocks, m->type};
                for (int part = 0; part <= m->fine; part++) { /* the rows as rounded, then what that left */
                    const struct rows some = {prepared + (size_t)r * stride + (size_t)part * row_bytes, stride};
                    const struct outputs out = {y + (size_t)r * (size_t)y_stride + n, y_stride, last - n,
                                                accumulate || part};
                    if (m->type == KERNEL_Q8_0)
                        tiles(&strip, 8, some, rows - r < tall ? rows - r : tall, out);
                    else
                        tiles(&strip, 4, some, rows - r < tall ? rows - r : tall, out);
                }
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

/* N rows of weights against R rows of activations. As many bytes of weights as are used at each step are asked for
 * where the next tile's lie, `ahead` rows further. */
INLINE void tile_plain(const struct kernel_matrix *m, enum kernel_type type, int n, int N, int ahead, const float *x,
                       int R, float *y, int y_stride, int accumulate)
{
    size_t row_bytes = (size_t)m->cols * (type == KERNEL_F16 ? 2 : 4);
    const unsigned char *weights = (const unsigned char *)m->data + (size_t)n * row_bytes;
    __m256 sums[4][2];
    for (int i = 0; i < N; i++)
        for (int r = 0; r < R; r++)
            sums[i][r] = _mm256_setzero_ps();
    const unsigned char *next = weights + (size_t)ahead * row_bytes;
    int k = 0;
    for (; k + 8 <= m->cols; k += 8) {
        __m256 a[2];
        for (int i = 0; i < N * (type == KERNEL_F16 ? 16 : 32); i += 64, next += 64)
            _mm_prefetch(next, _MM_HINT_T0);
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
                sums[i][r] = _mm256_fmadd_ps(
                    load_weights(type, weights + (size_t)i * row_bytes, k, m->cols - k),
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
    for (int n = first, N; n < last; n += N) {
        N = n + 4 <= last ? 4 : 1;
        for (int r = 0, R; r < rows; r += R) {
            const float *from = x + (size_t)r * (size_t)m->cols;
            float *to = y + (size_t)r * (size_t)y_stride;
            int ahead = r ? 0 : N; /* once for all rows */
            R = N == 4 && r + 2 <= rows ? 2 : 1;
            if (R == 2)
                tile_plain(m, type, n, 4, ahead, from, 2, to, y_stride, accumulate);
            else if (N == 4)
                tile_plain(m, type, n, 4, ahead, from, 1, to, y_stride, accumulate);
            else
                tile_plain(m, type, n, 1, ahead, from, 1, to, y_stride, accumulate);
        }
    }
}

/* Formats without a product of their own: the exact one. */
static void matmul_exact(const struct kernel_matrix *m, const float *x, int rows, float *y, int y_stride, int first,
                         int last, int accumulate)
{
    kernel_set_reference.matmul(m, x, NULL, rows, y, y_stride, first, last, accumulate);
}

void kernel_avx2_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
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
    case KERNEL_Q4_1:
    case KERNEL_Q8_0:
        matmul_quantized(m, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_IQ4_NL:
    case KERNEL_NF4:
        matmul_exact(m, x, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_TYPES:
        break;
    }
}
