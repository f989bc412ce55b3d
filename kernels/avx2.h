/* What the files of the AVX2 set share: the form of a prepared row, and vectors' small change. */
#ifndef ESPALIER_AVX2_H
#define ESPALIER_AVX2_H

#include "kernels.h"
#include "vector_avx2.h"

/* An activation row rounded to 8 bits. A block of 32 has the step `unit * steps`: the unit is one for the whole row,
 * steps a whole number up to 32767. So the products of a block are scaled in integers, by the instruction that widens
 * them from 16 to 32 bits anyway (pmaddwd with the pair of steps), and `unit` is applied once to each output.
 *
 * Invariants: x[32 b + i] is about unit * steps * q[i], off by at most unit * steps / 2; |q[i]| <= 127; steps is 0
 * where the block is all zeros. A row that holds an infinity or a NaN has unit NaN and zeros, so that every output is
 * NaN. */
struct activation_block {
    int8_t q[32];
    int32_t steps_pair; /* steps | steps << 16 */
    float steps;
    float sum, first; /* steps * sum of q, and of its first 16, for formats with a minimum or an offset */
};
/* A prepared row is one of these and, where it was to be fine, a second: what rounding took away, in steps 254 times as
 * small. */
struct activation_row {
    float unit;
    float unused[15];
    struct activation_block blocks[];
};
#define MOST_STEPS 32767

size_t kernel_avx2_packed_bytes(const struct kernel_matrix *m);
int kernel_avx2_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e);
size_t kernel_avx2_prepared_bytes(int cols);
size_t kernel_avx2_row_bytes(int cols); /* of one of the two */
void kernel_avx2_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
                        int y_stride, int first, int last, int accumulate);

#endif
