/* What the files of the NEON set share: the form of a prepared row. */
#ifndef ESPALIER_NEON_H
#define ESPALIER_NEON_H

#include "kernels.h"
#include "vector_neon.h"

/* An activation row rounded to 8 bits, in blocks of 32 that each have a step of their own. The instruction multiplies
 * signed bytes by signed ones. Q4_0's nibbles stand for 8 less than they are: `from_8` is what sums begin with to take
 * that back.
 *
 * Invariants: x[32 b + i] is about step * q[i], off by at most step / 2; |q[i]| <= 127; step is 0 where the block is
 * all zeros, and infinite or NaN where the block holds an infinity or a NaN, with q zero. */
struct activation_block {
    int8_t q[32];
    float step;
    float sum;      /* step * sum of q, for formats with an offset */
    int32_t from_8; /* -8 * sum of q */
    int32_t unused; /* q begins at multiples of 16 bytes */
};
/* A prepared row is `blocks` of these and, where it was to be fine, as many again: what rounding took away, in steps
 * 254 times as small. */
size_t kernel_neon_row_bytes(int cols); /* of one of the two */
size_t kernel_neon_prepared_bytes(int cols);

size_t kernel_neon_packed_bytes(const struct kernel_matrix *m);
int kernel_neon_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e);
void kernel_neon_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
                        int y_stride, int first, int last, int accumulate);

#endif
