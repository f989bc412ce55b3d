/* Weights times activations, AVX2.
 *
 * A pair of vectors holds 4 weights of each of a strip's 16 outputs; a group of 4 activations is broadcast to all lanes.
 * Whole numbers are exact in any order; each block of 32 then adds one product to the output's fp32 sum, blocks in
 * ascending order: this, and not how many rows a tile has, is the order of every sum.
 */
#include "avx2.h"
#include "matmul.h"

#define PAIR 2 /* vectors a strip is wide: 16 outputs share every broadcast */
#define MOST 4 /* rows a tile has at most: 2 x 4 sums, weights, products and the mask fill the 16 registers */
#define TILES TILE(1) TILE(2) TILE(3) TILE(4)
#define NAMED(name) kernel_avx2_##name
#define PACKED STRIPS_SIGNED
#define row_bytes kernel_avx2_row_bytes
enum { WEIGHTS_AT_ONCE = 256 << 10, ROWS_AT_ONCE = 16 << 10, PLAIN_ROWS = 2 };

/* gcc would take a chain of integer additions apart, to add up what it has in any order, and spill most of it. */
#define IN_ORDER(x) __asm__("" : "+x"(x))

INLINE const struct activation_block *block_of(const struct rows *rows, int r, size_t b)
{
    return ((const struct activation_row *)row_of(rows, r))->blocks + b;
}

INLINE __m256i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, 4);
    return _mm256_set1_epi32(four);
}

INLINE __m256 load_8_halves(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)(const void *)p));
}

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* Add the products of a group of 4 along K to sums of 16 bits, or begin them. */
INLINE void add_group(__m256i products[PAIR][MOST], const __m256i w[PAIR], const struct rows *rows, int R, size_t b,
                      int k, int begin)
{
    UNROLL for (int r = 0; r < R; r++) {
        __m256i a = broadcast4(block_of(rows, r, b)->q + k);
        UNROLL for (int s = 0; s < PAIR; s++) {
            __m256i both = _mm256_maddubs_epi16(w[s], a);
            products[s][r] = begin ? both : _mm256_add_epi16(products[s][r], both);
            IN_ORDER(products[s][r]);
        }
    }
}

/* Numbers from 0 on. A product of 4 bits and 7 and a sign is at most 15 * 127, maddubs adds two of them, so 8 such sums fit in 16
 * bits (30,480): the widening is done once a block. With 5 bits 4 (31,496), with 6 bits 2 (32,004): twice, and four times. */
INLINE void tile_unsigned(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                          __m256 sums[PAIR][MOST])
{
    const int bits = strips_bits(type), count = strips_scales(type), scale_bytes = strips_scale_bytes(type);
    const int fit = bits == 6 ? 2 : bits == 5 ? 4 : 8, every = fit < 8 / count ? fit : 8 / count;
    const int ahead_bytes = 64 * bits + scale_bytes;
    const unsigned char *scales = strip->scales, *quants = strip->quants, *ahead = scales;
    for (size_t b = 0; b < strip->blocks; b++, scales += scale_bytes, quants += 64 * bits, ahead += ahead_bytes) {
        __m256i products[PAIR][MOST];
        fetch_ahead(ahead, ahead_bytes);
        UNROLL for (int j = 0; j < 8; j++) {
            __m256i w[PAIR];
            UNROLL for (int s = 0; s < PAIR; s++)
                w[s] = (__m256i)numbers_of(quants + 32 * s, bits, j);
            add_group(products, w, rows, R, b, 4 * j, j % every == 0);
            if ((j + 1) % every)
                continue;
            UNROLL for (int s = 0; s < PAIR; s++) {
                const __m256 d = load_8_halves(scales + 32 * (j * count / 8) + 16 * s);
                const struct minima minima = j == 7 ? minima_of(scales + 16 * s, type) : (struct minima){d, d};
                UNROLL for (int r = 0; r < R; r++) {
                    const struct activation_block *a = block_of(rows, r, b);
                    const __m256i scaled = _mm256_madd_epi16(products[s][r], _mm256_set1_epi32(a->steps_pair));
                    const __m256 sum = j == 7 ? add_minima(minima, type, a->sum, a->first, sums[s][r]) : sums[s][r];
                    sums[s][r] = _mm256_fmadd_ps(d, _mm256_cvtepi32_ps(scaled), sum);
                }
            }
        }
    }
}

/* Q8_0, and what numbers stand for in IQ4_NL and NF4. Signed times signed is |w| times a with w's sign, whole numbers
 * all: a single row takes the sign by vpsignb, which is as dear as a product; several rows by ~a, which is -a - 1, for a
 * negative w, and the sum of |w| over the negative w of the block, the correction, makes up for the ones. The two products maddubs adds may fill 16 bits (from -32768, by
 * -128 * 128 twice), so each is widened. */
INLINE void tile_signed(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                      __m256 sums[PAIR][MOST])
{
    const int bits = strips_bits(type), every = strips_scale_every(type), scale_bytes = strips_scale_bytes(type);
    const int8_t *values = strips_table(type);
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i table =
        values ? _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)values)) : ones;
    const unsigned char *scales = strip->scales, *quants = strip->quants, *corrections = strip->corrections, *ahead = scales;
    const int ahead_bytes = 64 * bits + scale_bytes / every;
    for (size_t b = 0; b < strip->blocks;
         b++, quants += 64 * bits, corrections += CORRECTION_BYTES, ahead += ahead_bytes) {
        __m256i totals[PAIR][MOST];
        fetch_ahead(ahead, ahead_bytes);
        UNROLL for (int s = 0; s < PAIR; s++) {
            const __m128i *correction = (const __m128i *)(const void *)(corrections + 16 * s);
            UNROLL for (int r = 0; r < R; r++)
                totals[s][r] = R == 1 ? _mm256_setzero_si256() : _mm256_cvtepi16_epi32(_mm_load_si128(correction));
        }
        UNROLL for (int j = 0; j < 8; j++) {
            __m256i w[PAIR], magnitude[PAIR];
            UNROLL for (int s = 0; s < PAIR; s++) {
                w[s] = (__m256i)numbers_of(quants + 32 * s, bits, j);
                w[s] = values ? _mm256_shuffle_epi8(table, w[s]) : w[s];
                magnitude[s] = _mm256_abs_epi8(w[s]);
                if (R > 1)
                    w[s] = _mm256_cmpgt_epi8(_mm256_setzero_si256(), w[s]);
            }
            UNROLL for (int r = 0; r < R; r++) {
                __m256i a = broadcast4(block_of(rows, r, b)->q + 4 * j);
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
                __m256 steps = _mm256_set1_ps(block_of(rows, r, b)->steps);
                sums[s][r] = _mm256_fmadd_ps(d, _mm256_mul_ps(_mm256_cvtepi32_ps(totals[s][r]), steps), sums[s][r]);
            }
        }
        scales += (b + 1) % (size_t)every ? 0 : scale_bytes;
    }
}

/* clang-format on */

INLINE void tile(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                 const struct outputs *out)
{
    __m256 sums[PAIR][MOST];
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++)
            sums[s][r] = _mm256_setzero_ps();
    if (strips_signed(type))
        tile_signed(strip, type, rows, R, sums);
    else
        tile_unsigned(strip, type, rows, R, sums);
    for (int s = 0; s < PAIR; s++)
        for (int r = 0; r < R; r++) {
            const struct activation_row *row = row_of(rows, r);
            put_outputs(out, r, 8 * s, vec_mul(sums[s][r], vec_all(row->unit * (type == KERNEL_NF4 ? 1 / 127.0f : 1))));
        }
}

#include "matmul_body.h"
