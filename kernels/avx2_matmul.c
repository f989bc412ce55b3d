/* Weights times activations, AVX2.
 *
 * A pair of vectors holds 4 weights of each of a strip's 16 outputs; a group of 4 activations is broadcast to all lanes.
 * Whole numbers are exact in any order; each block of 32 then adds one product to the output's fp32 sum, blocks in
 * ascending order: this, and not how many rows a tile has, is the order of every sum.
 *
 * F32 and F16 weights are used where they lie, 8 along K in a vector, with the fp32 activations: one vector of partial
 * sums an output, K ascending, then vec_sum.
 */
#include "avx2.h"
#include "strips.h"
#include "vector.h"

size_t kernel_avx2_packed_bytes(const struct kernel_matrix *m)
{
    return kernel_strips_bytes(m, STRIPS_SIGNED);
}

int kernel_avx2_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    return kernel_strips_pack(m, STRIPS_SIGNED, pool, e);
}

/* --- tiles of quantized weights ---------------------------------------------------------------------------------- */

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

/* One strip of a quantized matrix. */
struct strip {
    const unsigned char *scales, *quants, *corrections;
    size_t blocks;
};

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
INLINE void tile_4bit(const struct strip *strip, int minima, const struct rows *rows, int R, __m256 sums[PAIR][MOST])
{
    const __m256i low = _mm256_set1_epi8(15);
    const int scale_bytes = minima ? 64 : 32;
    const unsigned char *scales = strip->scales, *quants = strip->quants;
    for (size_t b = 0; b < strip->blocks; b++, scales += scale_bytes, quants += 256) {
        __m256i products[PAIR][MOST];
        fetch_ahead(quants, 256);
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

/* Q8_0, and what nibbles stand for in IQ4_NL and NF4. Signed times signed is |w| times a with w's sign, whole numbers all: a single row takes the sign by vpsignb, which is
 * as dear as a product; several rows by ~a, which is -a - 1, for a negative w, and the sum of |w| over the negative w
 * of the block, the correction, makes up for the ones. The two products maddubs adds may fill 16 bits (from -32768, by
 * -128 * 128 twice), so each is widened. */
INLINE void tile_8bit(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                      __m256 sums[PAIR][MOST])
{
    const int bits = type == KERNEL_Q8_0 ? 8 : 4;
    const int8_t *values = type == KERNEL_NF4 ? kernel_strips_nf4 : kernel_strips_iq4_nl;
    const __m256i table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)values));
    const __m256i ones = _mm256_set1_epi16(1);
    const unsigned char *scales = strip->scales, *quants = strip->quants, *corrections = strip->corrections;
    for (size_t b = 0; b < strip->blocks; b++, quants += 64 * bits, corrections += CORRECTION_BYTES) {
        __m256i totals[PAIR][MOST];
        fetch_ahead(quants, 64 * bits);
        UNROLL for (int s = 0; s < PAIR; s++) {
            const __m128i *correction = (const __m128i *)(const void *)(corrections + 16 * s);
            UNROLL for (int r = 0; r < R; r++)
                totals[s][r] = R == 1 ? _mm256_setzero_si256() : _mm256_cvtepi16_epi32(_mm_load_si128(correction));
        }
        UNROLL for (int j = 0; j < 8; j++) {
            __m256i w[PAIR], magnitude[PAIR];
            UNROLL for (int s = 0; s < PAIR; s++) {
                w[s] = load(quants + 64 * (j % bits) + 32 * s);
                if (bits == 4)
                    w[s] = _mm256_shuffle_epi8(
                        table, _mm256_and_si256(j < 4 ? w[s] : _mm256_srli_epi16(w[s], 4), _mm256_set1_epi8(15)));
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
            __m256 d = load_8_halves(scales + 16 * s);
            UNROLL for (int r = 0; r < R; r++) {
                __m256 steps = _mm256_set1_ps(row_of(rows, r)->blocks[b].steps);
                sums[s][r] = _mm256_fmadd_ps(d, _mm256_mul_ps(_mm256_cvtepi32_ps(totals[s][r]), steps), sums[s][r]);
            }
        }
        scales += type != KERNEL_NF4 || b % 2 ? 32 : 0;
    }
}

/* clang-format on */

/* Where a tile's outputs go: y[r * stride + n] for n in [0, count), count at most 16. */
struct outputs {
    float *y;
    int stride, count, accumulate;
};

INLINE void tile(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                 const struct outputs *out)
{
    __m256 sums[PAIR][MOST];
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++)
            sums[s][r] = _mm256_setzero_ps();
    if (type == KERNEL_Q4_0 || type == KERNEL_Q4_1)
        tile_4bit(strip, type == KERNEL_Q4_1, rows, R, sums);
    else
        tile_8bit(strip, type, rows, R, sums);
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++) {
            const float unit = row_of(rows, r)->unit * (type == KERNEL_NF4 ? 1 / 127.0f : 1);
            __m256 y = _mm256_mul_ps(sums[s][r], _mm256_set1_ps(unit));
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
INLINE void tiles(const struct strip *strip, enum kernel_type type, struct rows rows, int count, struct outputs out)
{
    for (int left = count, R; left > 0; left -= R) {
        R = left >= 7 || left == 4 ? 4 : left >= 5 ? 3 : left;
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
 */
enum { WEIGHTS_AT_ONCE = 256 << 10, ROWS_AT_ONCE = 16 << 10 };

INLINE void matmul_quantized(const struct kernel_matrix *m, enum kernel_type type, const unsigned char *prepared, int rows, float *y,
                             int y_stride, int first, int last, int accumulate)
{
    const struct strips l = kernel_strips_of(m, STRIPS_SIGNED);
    const size_t stride = kernel_avx2_prepared_bytes(m->cols), row_bytes = kernel_avx2_row_bytes(m->cols),
                 strip_bytes = l.strip_bytes;
    const int strips = (int)(WEIGHTS_AT_ONCE / strip_bytes), fit = (int)(ROWS_AT_ONCE / (m->fine ? stride : row_bytes));
    const int wide = (strips > 1 ? strips : 1) * KERNEL_STRIP;
    const int pieces = (rows + (fit > MOST ? fit : MOST) - 1) / (fit > MOST ? fit : MOST);
    const int tall = ((rows + pieces - 1) / pieces + MOST - 1) / MOST * MOST; /* as even as whole tiles make them */
    for (int from = first; from < last; from += wide)
        for (int r = 0; r < rows; r += tall)
            for (int n = from; n < last && n < from + wide; n += KERNEL_STRIP) {
                const size_t s = (size_t)n / KERNEL_STRIP;
                const unsigned char *packed = m->packed;
                const struct strip strip = {packed + s * strip_bytes, packed + s * strip_bytes + l.quants,
                                            packed + l.corrections + s * l.blocks * CORRECTION_BYTES, l.blocks};
                for (int part = 0; part <= m->fine; part++) { /* the rows as rounded, then what that left */
                    const struct rows some = {prepared + (size_t)r * stride + (size_t)part * row_bytes, stride};
                    const struct outputs out = {y + (size_t)r * (size_t)y_stride + n, y_stride, last - n,
                                                accumulate || part};
                    tiles(&strip, type, some, rows - r < tall ? rows - r : tall, out);
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
        matmul_quantized(m, KERNEL_Q4_0, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q4_1:
        matmul_quantized(m, KERNEL_Q4_1, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_Q8_0:
        matmul_quantized(m, KERNEL_Q8_0, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_IQ4_NL:
        matmul_quantized(m, KERNEL_IQ4_NL, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_NF4:
        matmul_quantized(m, KERNEL_NF4, prepared, rows, y, y_stride, first, last, accumulate);
        break;
    case KERNEL_TYPES:
        break;
    }
}
