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

INLINE __m512i load(const unsigned char *p)
{
    return _mm512_load_si512((const void *)p);
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

/* What sums of a block begin with: what was added to its weights to make them unsigned, times the activations, taken back. */
INLINE int32_t begin_of(enum kernel_type type, const struct activation_block *a)
{
    return type == KERNEL_Q4_1 ? 0 : type == KERNEL_Q4_0 ? a->from_8 : a->from_128;
}

/* The unsigned bytes that nibbles stand for, four times over. */
INLINE __m512i table_of(const int8_t *values)
{
    return _mm512_xor_si512(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)values)),
                            _mm512_set1_epi8((char)0x80));
}

INLINE void tile_blocks(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R, __m512 sums[MOST])
{
    const int bits = strips_bits(type), scale_bytes = strips_scale_bytes(type), every = strips_scale_every(type);
    const int looked_up = strips_table(type) != NULL, ahead_bytes = 64 * bits + scale_bytes / every;
    const __m512i low = _mm512_set1_epi8(15), table = looked_up ? table_of(strips_table(type)) : low;
    const unsigned char *scales = strip->scales, *quants = strip->quants, *ahead = scales;
    for (size_t b = 0; b < strip->blocks; b++, quants += 64 * bits, ahead += ahead_bytes) {
        __m512i products[MOST];
        fetch_ahead(ahead, ahead_bytes);
        UNROLL for (int r = 0; r < R; r++) {
            const struct activation_block *a = block_of(rows, r, b);
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
            const struct activation_block *a = block_of(rows, r, b);
            __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(products[r]), _mm512_set1_ps(a->step));
            if (type == KERNEL_Q4_1)
                sums[r] = _mm512_fmadd_ps(minimum, _mm512_set1_ps(a->sum), sums[r]);
            sums[r] = _mm512_fmadd_ps(scale, product, sums[r]);
        }
        scales += (b + 1) % (size_t)every ? 0 : scale_bytes;
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
