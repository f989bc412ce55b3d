/* Blocks of random bits in any weight format, with scales of a chosen size. After any_numbers.h. */
#ifndef ESPALIER_TESTS_ANY_BLOCKS_H
#define ESPALIER_TESTS_ANY_BLOCKS_H

#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* Where in a block the half that scales it is, and that of its minima; -1: none. */
static inline int scale_at(enum kernel_type type)
{
    return type == KERNEL_Q2_K ? 80 : type == KERNEL_Q3_K ? 108 : type == KERNEL_Q6_K ? 208 : 0;
}
static inline int minimum_at(enum kernel_type type)
{
    return type == KERNEL_Q4_1 || type == KERNEL_Q5_1 || type == KERNEL_Q4_K || type == KERNEL_Q5_K ? 2 : type == KERNEL_Q2_K ? 82 : -1;
}

static inline void put_half(unsigned char *p, float x)
{
    const uint16_t half = kernel_float_to_half(x);
    memcpy(p, &half, sizeof half);
}

/* The root of the mean square of what a block stands for. */
static inline float block_size(enum kernel_type type, const unsigned char *block)
{
    const struct kernel_format *format = kernel_format(type);
    float weights[256];
    double sum = 0;
    format->dequantize(block, weights, format->block);
    for (int i = 0; i < format->block; i++)
        sum += (double)weights[i] * (double)weights[i];
    return (float)sqrt(sum / format->block);
}

/* A block whose weights are about `size`, whatever its format; not NF4. */
static inline void any_block(enum kernel_type type, unsigned char *block, float size)
{
    const struct kernel_format *format = kernel_format(type);
    const int scale = scale_at(type), minimum = minimum_at(type);
    const float weight = normal() * size;
    if (format->block == 1) {
        uint32_t bits;
        memcpy(&bits, &weight, sizeof bits);
        const uint16_t upper = (uint16_t)(bits >> 16), half = type == KERNEL_BF16 ? upper : kernel_float_to_half(weight);
        memcpy(block, type == KERNEL_F32 ? (const void *)&weight : &half, (size_t)format->bytes);
        return;
    }
    for (int i = 0; i < format->bytes; i++)
        block[i] = (unsigned char)below(256);
    if (minimum >= 0)
        put_half(block + minimum, 0);
    put_half(block + scale, 1);
    const float scaled = block_size(type, block);
    if (minimum >= 0) {
        put_half(block + scale, 0);
        put_half(block + minimum, 1);
        put_half(block + minimum, normal() * size / block_size(type, block));
    }
    put_half(block + scale, weight / scaled);
}

#endif
