/* Quantized weights as matmul reads them: repacked once, keeping the bits of their numbers, into strips of 16 output rows interleaved
 * by 4 numbers along K, so that each 32-bit lane of a vector belongs to one output and no sum ever crosses lanes.
 *
 * A strip has, for each block of weights that share one, the scales of its 16 rows (halves), where each 16 weights have one of
 * their own those of the first and then those of the second, and likewise the minima of types that have some; then, from a
 * multiple of 64 bytes on, the numbers of each 32. These are cut into parts of 8, 4, 2 or 1 bits, the lowest first (6 bits: 4 and
 * 2); a part of n bits is n vectors of 64 bytes, 4 bytes a row. Group j, weights [4 j, 4 j + 4) of a row, is in vector j n / 8, a weight
 * a byte, from bit j n % 8 on. Rows past the matrix's last are zeros.
 *
 * Of IQ4_NL and NF4 a number is that of one of 16 signed bytes. NF4's scale is its block's absmax, rounded to a half, and
 * its bytes are 127 times the code's value, rounded. The products that are the scales and minima of K-quants are rounded to halves
 * too: by a part in 2048 at most, also the least of them, since a whole number of halves' least steps is none the finer; one over
 * 65504, which no model has, is refused. What both cost is measured by tests/bench_quality.c. */
#ifndef ESPALIER_STRIPS_H
#define ESPALIER_STRIPS_H

#include "kernels.h"

extern const int8_t kernel_strips_iq4_nl[16], kernel_strips_nf4[16]; /* those bytes */

/* Whose strips a type has: K-quants and IQ4_XS differ from others in the file only. What follows is asked of those. */
static inline enum kernel_type strips_type(enum kernel_type type)
{
    return type == KERNEL_Q4_K ? KERNEL_Q4_1 : type == KERNEL_Q5_K ? KERNEL_Q5_1 : type == KERNEL_IQ4_XS ? KERNEL_IQ4_NL : type;
}

/* Of a block of 32; constants where the type is one. Bits of a number; those of its parts' first; how many scales. */
static inline int strips_bits(enum kernel_type type)
{
    switch (type) {
    case KERNEL_Q8_0:
        return 8;
    case KERNEL_Q6_K:
        return 6;
    case KERNEL_Q5_0:
    case KERNEL_Q5_1:
        return 5;
    case KERNEL_Q3_K:
        return 3;
    case KERNEL_Q2_K:
        return 2;
    default:
        return 4;
    }
}
static inline int strips_part(int bits)
{
    return bits >= 8 ? 8 : bits >= 4 ? 4 : bits >= 2 ? 2 : bits;
}
static inline int strips_scales(enum kernel_type type)
{
    return type == KERNEL_Q2_K || type == KERNEL_Q3_K || type == KERNEL_Q6_K ? 2 : 1;
}
/* Whether minima are stored; and where none are, what is taken from a number: the minimum is so many scales below 0. */
static inline int strips_minima(enum kernel_type type)
{
    return type == KERNEL_Q4_1 || type == KERNEL_Q5_1 || type == KERNEL_Q2_K;
}
static inline int strips_offset(enum kernel_type type)
{
    return type == KERNEL_Q4_0 ? 8 : type == KERNEL_Q5_0 ? 16 : type == KERNEL_Q6_K ? 32 : type == KERNEL_Q3_K ? 4 : 0;
}
static inline int strips_scale_bytes(enum kernel_type type) /* of the 16 rows' scales and minima */
{
    return 2 * KERNEL_STRIP * strips_scales(type) * (1 + strips_minima(type));
}
static inline int strips_scale_every(enum kernel_type type) /* how many blocks share them */
{
    return type == KERNEL_NF4 ? 2 : 1;
}
static inline const int8_t *strips_table(enum kernel_type type) /* the bytes that numbers stand for, or NULL */
{
    return type == KERNEL_NF4 ? kernel_strips_nf4 : type == KERNEL_IQ4_NL ? kernel_strips_iq4_nl : NULL;
}
/* Whether numbers, or the bytes they stand for, are signed; all others are from 0 on. */
static inline int strips_signed(enum kernel_type type)
{
    return type == KERNEL_Q8_0 || strips_table(type);
}

struct strips {
    size_t blocks; /* of 32 weights in a row */
    size_t quants; /* where in a strip they begin */
    size_t strip_bytes;
    size_t strips;
    size_t corrections, correction_bytes; /* where in the matrix they begin; of a strip, 0 where there are none */
    size_t bytes;                         /* of the matrix; a multiple of 64 */
};
#define CORRECTION_BYTES (2 * KERNEL_STRIP) /* of a block of a strip */

/* How a set wants signed weights: signed, with corrections after all strips (for each strip and block of 32, 16 numbers of 16
 * bits: the sum of the magnitudes of the row's negative weights; apart, because a single row, which is bound by the bytes it
 * reads, does without them); unsigned, 128 added, which for nibbles that are numbers of a table the set does itself; or plain:
 * signed, and nothing beside them. Those that are from 0 on are so in every set. */
enum strips_bytes { STRIPS_SIGNED, STRIPS_UNSIGNED, STRIPS_PLAIN };

struct strips kernel_strips_of(const struct kernel_matrix *m, enum strips_bytes bytes);
/* As kernel_set's packed_bytes and pack. */
size_t kernel_strips_bytes(const struct kernel_matrix *m, enum strips_bytes bytes);
int kernel_strips_pack(struct kernel_matrix *m, enum strips_bytes bytes, struct kernel_pool *pool, struct error *e);
const char *kernel_strips_about(enum kernel_type type); /* as kernel_set's laid_out */

#endif
