/* What the files of the NEON set share. */
#ifndef ESPALIER_NEON_H
#define ESPALIER_NEON_H

#include "activations.h"
#include "vector_neon.h"

size_t kernel_neon_packed_bytes(const struct kernel_matrix *m);
int kernel_neon_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e);
void kernel_neon_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
                        int y_stride, int first, int last, int accumulate);

#endif
