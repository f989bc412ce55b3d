/* Weights times activations, AVX-512 with VNNI.
 *
 * A vector holds 4 weights of each of a strip's 16 outputs; four activations are broadcast to all lanes, and one instruction
 * multiplies and adds 64 pairs. The whole numbers of a block of 32 are exact in any order; each block then adds one product to
 * the output's fp32 sum, blocks in ascending order: this, and not how many rows a tile has, is the order of every sum.
 */
#include "avx512.h"
#include "matmul.h"

#define MOST 16 /* rows a tile has at most: their products, weights and scales stay in registers; their sums, which a block
                   needs once, mostly do not */
/* Above 8 even numbers only: each is a kilobyte or two of code. */
#define TILES TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(10) TILE(12) TILE(14) TILE(16)
#define NAMED(name) kernel_avx512_##name
#define PACKED STRIPS_UNSIGNED
enum { WEIGHTS_AT_ONCE = 512 << 10, ROWS_AT_ONCE = 32 << 10, PLAIN_ROWS = 4 };

INLINE const struct activation_block *block_of(const struct rows *rows, int r, size_t b)
{
    return (const struct activation_block *)row_of(rows, r) + b;
}

INLINE __m512 load_16_halves(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_load_si256((const __m256i *)(const void *)p));
}

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* Add the products of 4 weights of each output with 4 activations of each row. Rows are the inner loop: their sums are
 * chains apart, and as many as hide the time one product takes. */
INLINE void add_products(__m512i sums[MOST], __m512i w, const struct rows *rows, int R, size_t b, int k)
{
    UNROLL for (int r = 0; r < R; r++) {
        int32_t four;
        memcpy(&four, block_of(rows, r, b)->q + k, 4);
        sums[r] = _mm512_dpbusd_epi32(sums[r], w, _mm512_set1_epi32(four));
    }
}

/* What sums of a block begin with: what was added to its weights to make them unsigned, times the activations, taken back. Of
 * other types the minima do that. */
INLINE int has_minima(enum kernel_type type)
{
    return !strips_signed(type) && type != KERNEL_Q4_0;
}
INLINE int32_t begin_of(enum kernel_type type, const struct activation_block *a)
{
    return has_minima(type) ? 0 : type == KERNEL_Q4_0 ? a->from_8 : a->from_128;
}

/* The unsigned bytes that numbers stand for, four times over. */
INLINE __m512i table_of(const int8_t *values)
{
    return _mm512_xor_si512(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)values)),
                            _mm512_set1_epi8((char)0x80));
}

INLINE void tile_blocks(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R, __m512 sums[MOST])
{
    const int bits = strips_bits(type), count = strips_scales(type), every = 8 / count;
    const int scale_bytes = strips_scale_bytes(type), shared_by = strips_scale_every(type);
    const int looked_up = strips_table(type) != NULL, ahead_bytes = 64 * bits + scale_bytes / shared_by;
    const __m512i table = looked_up ? table_of(strips_table(type)) : _mm512_setzero_si512();
    const unsigned char *scales = strip->scales, *quants = strip->quants, *ahead = scales;
    for (size_t b = 0; b < strip->blocks; b++, quants += 64 * bits, ahead += ahead_bytes) {
        __m512i products[MOST];
        fetch_ahead(ahead, ahead_bytes);
        UNROLL for (int j = 0; j < 8; j++) {
            const __m512i w = (__m512i)numbers_of(quants, bits, j);
            if (j % every == 0)
                UNROLL for (int r = 0; r < R; r++)
                    products[r] = _mm512_set1_epi32(begin_of(type, block_of(rows, r, b)));
            add_products(products, looked_up ? _mm512_shuffle_epi8(table, w) : w, rows, R, b, 4 * j);
            if ((j + 1) % every)
                continue;
            const __m512 scale = load_16_halves(scales + 32 * (j / every));
            const int with_minima = j == 7 && has_minima(type);
            const struct minima minima = with_minima ? minima_of(scales, type) : (struct minima){scale, scale};
            UNROLL for (int r = 0; r < R; r++) { /* sums are mostly in memory: each is taken from there once */
                const struct activation_block *a = block_of(rows, r, b);
                const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(products[r]), _mm512_set1_ps(a->step));
                const __m512 sum = with_minima ? add_minima(minima, type, a->sum, a->first, sums[r]) : sums[r];
                sums[r] = _mm512_fmadd_ps(scale, product, sum);
            }
        }
        scales += (b + 1) % (size_t)shared_by ? 0 : scale_bytes;
    }
}
/* clang-format on */

INLINE void tile(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R, const struct outputs *out)
{
    __m512 sums[MOST];
    for (int r = 0; r < R; r++)
        sums[r] = _mm512_setzero_ps();
    tile_blocks(strip, type, rows, R, sums);
    for (int r = 0; r < R; r++)
        put_outputs(out, r, 0, type == KERNEL_NF4 ? vec_mul(sums[r], vec_all(1 / 127.0f)) : sums[r]);
}

#include "matmul_body.h"
