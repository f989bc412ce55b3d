/* What the files of the weight formats share: formats.c has the table, quantize.c and nf4.c what is in it, and
 * optimizer.c keeps moments by a map of nf4.c's. Private to kernels/. */
#ifndef ESPALIER_FORMATS_H
#define ESPALIER_FORMATS_H

#include "kernels.h"

#include <math.h>

#define KERNEL_NF4_BLOCK 64

/* Vectors that gcc and clang make of any machine's; left to find them in a search for the nearest value, gcc does not.
 */
typedef float four __attribute__((vector_size(16)));
typedef int32_t mask __attribute__((vector_size(16)));
static inline four all(float x)
{
    return (four){x, x, x, x};
}

/* The greatest |x| of n; NaN where there is one. */
static inline float greatest(const float *x, int n)
{
    float most = 0;
    int unordered = 0;
    for (int i = 0; i < n; i++) {
        float magnitude = fabsf(x[i]);
        unordered |= magnitude != magnitude;
        most = magnitude > most ? magnitude : most;
    }
    return unordered ? NAN : most;
}

/* See struct kernel_format. */
void kernel_quantize_f32(const float *x, void *blocks, int n);
void kernel_quantize_f16(const float *x, void *blocks, int n);
void kernel_quantize_q4_0(const float *x, void *blocks, int n);
void kernel_quantize_q8_0(const float *x, void *blocks, int n);
void kernel_quantize_iq4_nl(const float *x, void *blocks, int n);

/* out[n] = weights [first, first + n) of the matrix, row-major; both are multiples of KERNEL_NF4_BLOCK. */
void kernel_nf4_dequantize(const struct kernel_nf4 *q, size_t first, float *out, int n);
void kernel_nf4_free(struct kernel_nf4 *q);

/* The 8-bit dynamic map, ascending, to the last bit as bitsandbytes has it: for i = 0...6 the midpoints of 2^i + 1 points (2^(i + 1) + 1
 * without signs) from 0.1 to 1, times 10^(i - 6), and with signs their negatives; 0, at 127 or 0; 1 (Dettmers 2015). */
void kernel_dynamic_map(float map[256], int with_signs);

#endif
