/* What a set's products are made of: its file includes this, says how it multiplies a tile, and then includes
 * matmul_body.h. After one of vector_*.h. */
#ifndef ESPALIER_MATMUL_H
#define ESPALIER_MATMUL_H

#include "strips.h"
#include "vector.h"

/* Rows prepared for matmul, `stride` bytes apart. */
struct rows {
    const unsigned char *first;
    size_t stride;
};
INLINE const void *row_of(const struct rows *rows, int r)
{
    return rows->first + (size_t)r * rows->stride;
}

/* As many outputs as a vector has lanes: 4 numbers of each, a byte each. */
typedef uint32_t quads __attribute__((vector_size(sizeof(vec))));

/* Of a part of n bits that begins at `at`, group j, `shift` bits up in its bytes. */
INLINE quads part_of(const unsigned char *at, int n, int j, int shift)
{
    quads w;
    const int from = j * n % 8;
    memcpy(&w, at + 64 * (j * n / 8), sizeof w);
    w = from > shift ? w >> (from - shift) : w << (shift - from);
    return w & (0x01010101u * (((1u << n) - 1) << shift));
}
/* Group j of the numbers of a block; `at` is where those of these outputs begin. See strips.h. */
INLINE quads numbers_of(const unsigned char *at, int bits, int j)
{
    const int low = strips_part(bits), high = bits - low;
    const quads w = part_of(at, low, j, 0);
    return high ? w | part_of(at + 64 * low, high, j, low) : w;
}

/* The minima of a block, or what offsets make of its scales: of the last 16 weights, or all, and what those of the first are more. `scales`
 * are halves, where those of these outputs begin. */
struct minima {
    vec last, more;
};
INLINE struct minima minima_of(const unsigned char *scales, enum kernel_type type)
{
    const int count = strips_scales(type), bytes = 2 * KERNEL_STRIP;
    vec m[2];
    UNROLL for (int i = 0; i < count; i++)
        m[i] = strips_minima(type)
                   ? vec_load_halves((const uint16_t *)(const void *)(scales + bytes * (count + i)))
                   : vec_mul(vec_load_halves((const uint16_t *)(const void *)(scales + bytes * i)), vec_all((float)-strips_offset(type)));
    return (struct minima){m[count - 1], vec_sub(m[0], m[count - 1])};
}
/* all, first: steps times the sum of the row's numbers in the block, and in its first half. */
INLINE vec add_minima(struct minima m, enum kernel_type type, float all, float first, vec sum)
{
    sum = vec_fma(m.last, vec_all(all), sum);
    return strips_scales(type) > 1 ? vec_fma(m.more, vec_all(first), sum) : sum;
}

/* One strip of a quantized matrix. */
struct strip {
    const unsigned char *scales, *quants, *corrections; /* corrections: where STRIPS_SIGNED has them */
    size_t blocks;
};

/* Far enough for memory to answer while a single row goes through what lies between. Strips follow each other in
 * memory, so what is next is always AHEAD of a pointer that begins with the strip and moves on as evenly as blocks do.
 */
#define AHEAD 4096
INLINE void fetch_ahead(const unsigned char *p, int bytes)
{
    for (int i = 0; i < bytes; i += 64)
        __builtin_prefetch(p + AHEAD + i);
}

/* Where a tile's outputs go: y[r * stride + n] for n in [0, count); of count the first KERNEL_STRIP. */
struct outputs {
    float *y;
    int stride, count, accumulate;
};
/* Outputs [n, n + LANES) of row r. */
INLINE void put_outputs(const struct outputs *out, int r, int n, vec y)
{
    float *to = out->y + (size_t)r * (size_t)out->stride + n;
    const int left = out->count - n;
    vec_store_first(to, left, out->accumulate ? vec_add(vec_load_first(to, left), y) : y);
}

#endif
