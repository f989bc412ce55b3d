/* Quantized weights as matmul reads them: repacked once, keeping their bits, into strips of 16 output rows interleaved by
 * 4 bytes of K, so that each 32-bit lane of a vector belongs to one output and no sum ever crosses lanes.
 *
 * A strip has, for each block of weights that share one, the scales of its 16 rows (halves) and for Q4_1 their 16 minima; then,
 * from a multiple of 64 bytes on, the quants of each 32, in groups of 64 bytes: 4 bytes of each row. 4 bits: 4 groups; group j
 * holds bytes [4 j, 4 j + 4) of each row's 16, whose low nibbles are weights [4 j, 4 j + 4) and high ones 16 further. 8 bits: 8
 * groups; group j holds weights [4 j, 4 j + 4). Rows past the matrix's last are zeros.
 *
 * Of IQ4_NL and NF4 a nibble is the number of one of 16 signed bytes. NF4's scale is its block's absmax, rounded to a half, and
 * its bytes are 127 times the code's value, rounded: what this costs is measured by tests/bench_quality.c. */
#ifndef ESPALIER_STRIPS_H
#define ESPALIER_STRIPS_H

#include "kernels.h"

extern const int8_t kernel_strips_iq4_nl[16], kernel_strips_nf4[16]; /* those bytes */

/* What follows from the type alone; constants where it is one. Of a strip's block of 32: the bits of a quant, of which the 16
 * rows have 64 bytes a bit; the bytes of a scale, and a minimum, for each row; how many blocks share them; the bytes that
 * nibbles stand for, or NULL. */
static inline int strips_bits(enum kernel_type type)
{
    return type == KERNEL_Q8_0 ? 8 : 4;
}
static inline int strips_scale_bytes(enum kernel_type type)
{
    return (type == KERNEL_Q4_1 ? 4 : 2) * KERNEL_STRIP;
}
static inline int strips_scale_every(enum kernel_type type)
{
    return type == KERNEL_NF4 ? 2 : 1;
}
static inline const int8_t *strips_table(enum kernel_type type)
{
    return type == KERNEL_NF4 ? kernel_strips_nf4 : type == KERNEL_IQ4_NL ? kernel_strips_iq4_nl : NULL;
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
 * signed, and nothing beside them. */
enum strips_bytes { STRIPS_SIGNED, STRIPS_UNSIGNED, STRIPS_PLAIN };

struct strips kernel_strips_of(const struct kernel_matrix *m, enum strips_bytes bytes);
/* As kernel_set's packed_bytes and pack. */
size_t kernel_strips_bytes(const struct kernel_matrix *m, enum strips_bytes bytes);
int kernel_strips_pack(struct kernel_matrix *m, enum strips_bytes bytes, struct kernel_pool *pool, struct error *e);

#endif
