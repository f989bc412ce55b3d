/* Weights times activations, NEON with dot products.
 *
 * Four vectors hold 4 weights of each of a strip's 16 outputs; one instruction multiplies each output's 4 with the same
 * 4 activations, a lane of a vector of 16, and adds them up. The whole numbers of a block of 32 are exact in any order;
 * each block then adds one product to the output's fp32 sum, blocks in ascending order: this, and not how many rows a
 * tile has, is the order of every sum.
 */
#include "neon.h"
#include "matmul.h"

/* Vectors a strip is wide, and rows a tile has at most: 4 x 4 products, 2 x 4 activations, weights and a table take 29
 * of 32 registers; the sums, which a block needs once, are in memory. */
enum { WIDE = 4, MOST = 4 };
#define TILES TILE(1) TILE(2) TILE(3) TILE(4)
#define NAMED(name) kernel_neon_##name
#define PACKED STRIPS_PLAIN
/* Not yet measured on a machine: sizes that the common ones have room for. */
enum { WEIGHTS_AT_ONCE = 256 << 10, ROWS_AT_ONCE = 32 << 10, PLAIN_ROWS = 4 };

INLINE const struct activation_block *block_of(const struct rows *rows, int r, size_t b)
{
    return (const struct activation_block *)row_of(rows, r) + b;
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

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* The products of groups [from, to) of a block: 16 whole numbers of each row. Two groups at a time: of 4 bits they are in the same
 * vectors. */
INLINE void multiply_groups(const unsigned char *quants, enum kernel_type type, const struct rows *rows, int R, size_t b, int from, int to,
                            int32x4_t products[MOST][WIDE])
{
    const int bits = strips_bits(type), looked_up = strips_table(type) != NULL;
    const int8x16_t table = looked_up ? vld1q_s8(strips_table(type)) : vdupq_n_s8(0);
    int8x16_t a[MOST][2];
    UNROLL for (int r = 0; r < R; r++) {
        UNROLL for (int h = from / 4; h < to / 4; h++)
            a[r][h] = vld1q_s8(block_of(rows, r, b)->q + 16 * h);
        UNROLL for (int v = 0; v < WIDE; v++)
            products[r][v] = vdupq_n_s32(type == KERNEL_Q4_0 ? block_of(rows, r, b)->from_8 : 0); /* in place of a minimum */
    }
    UNROLL for (int two = from; two < to; two += 2)
        UNROLL for (int v = 0; v < WIDE; v++) {
            IN_ORDER;
            UNROLL for (int j = two; j < two + 2; j++) {
                const int8x16_t w = (int8x16_t)numbers_of(quants + 16 * v, bits, j);
                const int8x16_t values = looked_up ? vqtbl1q_s8(table, vreinterpretq_u8_s8(w)) : w;
                UNROLL for (int r = 0; r < R; r++)
                    products[r][v] = dot(products[r][v], values, a[r][j / 4], j % 4);
            }
        }
}

INLINE void tile_blocks(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                        vec sums[MOST][WIDE])
{
    const int bits = strips_bits(type), count = strips_scales(type), scale_bytes = strips_scale_bytes(type);
    const int shared_by = strips_scale_every(type), ahead_bytes = 64 * bits + scale_bytes / shared_by;
    const unsigned char *scales = strip->scales, *quants = strip->quants, *ahead = scales;
    for (size_t b = 0; b < strip->blocks; b++, quants += 64 * bits, ahead += ahead_bytes) {
        const uint16_t *halves = (const uint16_t *)(const void *)scales;
        fetch_ahead(ahead, ahead_bytes);
        UNROLL for (int i = 0; i < count; i++) {
            int32x4_t products[MOST][WIDE];
            multiply_groups(quants, type, rows, R, b, 8 / count * i, 8 / count * (i + 1), products);
            UNROLL for (int v = 0; v < WIDE; v++) {
                const vec scale = vec_load_halves(halves + KERNEL_STRIP * i + LANES * v);
                const int with_minima = i == count - 1 && !strips_signed(type) && type != KERNEL_Q4_0;
                const struct minima minima = with_minima ? minima_of((const unsigned char *)(halves + LANES * v), type) : (struct minima){scale, scale};
                UNROLL for (int r = 0; r < R; r++) {
                    const struct activation_block *a = block_of(rows, r, b);
                    const vec product = vec_mul(vcvtq_f32_s32(products[r][v]), vec_all(a->step));
                    const vec sum = with_minima ? add_minima(minima, type, a->sum, a->first, sums[r][v]) : sums[r][v];
                    sums[r][v] = vec_fma(scale, product, sum);
                }
            }
        }
        scales += (b + 1) % (size_t)shared_by ? 0 : scale_bytes;
    }
}
/* clang-format on */

INLINE void tile(const struct strip *strip, enum kernel_type type, const struct rows *rows, int R,
                 const struct outputs *out)
{
    vec sums[MOST][WIDE];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < WIDE; v++)
            sums[r][v] = vec_all(0);
    tile_blocks(strip, type, rows, R, sums);
    for (int r = 0; r < R; r++)
        for (int v = 0; v < WIDE; v++)
            put_outputs(out, r, LANES * v, type == KERNEL_NF4 ? vec_mul(sums[r][v], vec_all(1 / 127.0f)) : sums[r][v]);
}

#include "matmul_body.h"
