/* What the files of the AVX-512 set share. */
#ifndef ESPALIER_AVX512_H
#define ESPALIER_AVX512_H

#include "activations.h"
#include "vector_avx512.h"

size_t kernel_avx512_packed_bytes(const struct kernel_matrix *m);
int kernel_avx512_pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e);
void kernel_avx512_matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
                          int y_stride, int first, int last, int accumulate);

#endif
