/* What the files of the weight formats share: formats.c has the table, k_quants.c, quantize.c and nf4.c what is in it, strips.c lays
 * out what they read, and optimizer.c keeps moments by a map of nf4.c's. Private to kernels/. */
#ifndef ESPALIER_FORMATS_H
#define ESPALIER_FORMATS_H

#include "kernels.h"

#include <math.h>
#include <string.h>

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

static inline float half_at(const unsigned char *p)
{
    return kernel_half_to_float((uint16_t)(p[0] | p[1] << 8));
}

typedef unsigned char sixteen __attribute__((vector_size(16)));
typedef uint64_t pair __attribute__((vector_size(16)));

/* 16 where a bit is 1, of 16 bits that follow each other. */
static inline sixteen fifth_bits(const unsigned char *p)
{
    const sixteen bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const pair spread = {p[0] * 0x0101010101010101u, p[1] * 0x0101010101010101u};
    return (sixteen)(((sixteen)spread & bit) == bit) & 16;
}

/* Q5_0, Q5_1: 4 bytes, whose bit i is bit 4 of weight i, and 16 of nibbles as in Q4_0. */
static inline void kernel_read_5bit(const unsigned char *p, unsigned char q[32])
{
    sixteen nibbles, parts[2];
    memcpy(&nibbles, p + 4, sizeof nibbles);
    parts[0] = (nibbles & 15) | fifth_bits(p);
    parts[1] = nibbles >> 4 | fifth_bits(p + 2);
    memcpy(q, parts, sizeof parts);
}

/* A block of 256 weights of a K-quant or IQ4_XS. Those that share a scale, 16 or 32, are scale * q - minimum, each operation
 * rounded; of Q3_K and Q6_K scale * (q - 4) and scale * (q - 32), of IQ4_XS scale times the value of q. */
#define KERNEL_K_BLOCK 256
struct kernel_k_block {
    unsigned char q[KERNEL_K_BLOCK];
    float scale[KERNEL_K_BLOCK / 16], minimum[KERNEL_K_BLOCK / 16]; /* of each 16; minimum: 0 in types that have none */
};
void kernel_k_read(enum kernel_type type, const unsigned char *block, struct kernel_k_block *out);
/* See struct kernel_format. */
void kernel_dequantize_q2_k(const void *blocks, float *out, int n);
void kernel_dequantize_q3_k(const void *blocks, float *out, int n);
void kernel_dequantize_q4_k(const void *blocks, float *out, int n);
void kernel_dequantize_q5_k(const void *blocks, float *out, int n);
void kernel_dequantize_q6_k(const void *blocks, float *out, int n);
void kernel_dequantize_iq4_xs(const void *blocks, float *out, int n);

/* out[n] = weights [first, first + n) of the matrix, row-major; both are multiples of KERNEL_NF4_BLOCK. */
void kernel_nf4_dequantize(const struct kernel_nf4 *q, size_t first, float *out, int n);
void kernel_nf4_free(struct kernel_nf4 *q);

/* The 8-bit dynamic map, ascending, to the last bit as bitsandbytes has it: for i = 0...6 the midpoints of 2^i + 1 points (2^(i + 1) + 1
 * without signs) from 0.1 to 1, times 10^(i - 6), and with signs their negatives; 0, at 127 or 0; 1 (Dettmers 2015). */
void kernel_dynamic_map(float map[256], int with_signs);

#endif
