/* The form of a prepared row in the sets whose instruction adds up the products of 8-bit numbers in 32 bits, AVX-512 with
 * VNNI and NEON with dot products, and what becomes of a block's step. How vectors are rounded is each set's own. */
#ifndef ESPALIER_ACTIVATIONS_H
#define ESPALIER_ACTIVATIONS_H

#include "kernels.h"

#include <math.h>
#include <string.h>

/* An activation row rounded to 8 bits, in blocks of 32 that each have a step of their own. Weights may be stored with 8
 * added, as Q4_0's nibbles are, or 128, where the instruction multiplies unsigned by signed bytes: `from_8` and `from_128`
 * are what sums begin with to take that back. Whole numbers all: exact.
 *
 * Invariants: x[32 b + i] is about step * q[i], off by at most step / 2; |q[i]| <= 127; step is 0 where the block is all
 * zeros, and infinite or NaN where the block holds an infinity or a NaN, with q zero. q begins at a multiple of 4 bytes, so
 * that no group of 4 is in two lines. */
struct activation_block {
    int8_t q[32];
    float step;
    float sum, first; /* step * sum of q, and of its first 16, for formats with a minimum or an offset */
    int32_t from_128; /* -128 * sum of q */
    int32_t from_8;   /* -8 * sum of q */
};

/* A prepared row is `blocks` of these and, where it was to be fine, as many again: what rounding took away, in steps 254
 * times as small. */
static inline size_t row_bytes(int cols) /* of one of the two */
{
    const size_t blocks = ((size_t)cols + 31) / 32;
    return (blocks * sizeof(struct activation_block) + 63) & ~(size_t)63;
}
static inline size_t prepared_bytes(int cols)
{
    return 2 * row_bytes(cols);
}

/* The step of a block, and what its numbers are multiplied by to be rounded. */
struct rounding {
    float step, per_step;
};

/* most_bits: the greatest of the bits of a block's magnitudes. As whole numbers these are in the order of the magnitudes: an
 * infinity above every number, a NaN above that. */
static inline struct rounding rounding_of(uint32_t most_bits)
{
    float most;
    memcpy(&most, &most_bits, sizeof most);
    /* Below 1e-30 the step's products would leave the normal numbers: taken for zero. */
    const float step = most < 1e-30f ? 0 : most / 127;
    return (struct rounding){step, step > 0 && isfinite(step) ? 1 / step : 0};
}

/* Of what rounding took away, in steps of the block: at most a half. */
static inline struct rounding rounding_of_rest(struct rounding block)
{
    return (struct rounding){block.step / 254, 254};
}

/* All of a block but q, the sums of whose halves are given. */
static inline void fill_sums(struct activation_block *block, float step, int first, int second)
{
    block->step = step;
    block->sum = step * (float)(first + second);
    block->first = step * (float)first;
    block->from_128 = -128 * (first + second);
    block->from_8 = -8 * (first + second);
}

#endif
