/* The formats of 256 weights: K-quants, in which 16 or 32 weights share a small whole number that scales, and one that is taken
 * away, of the block's two halves; and IQ4_XS, which is IQ4_NL with such scales. Layouts are ggml's.
 */
#include "formats.h"

#include <string.h>

enum { BLOCK = KERNEL_K_BLOCK, GROUPS = BLOCK / 16 };

/* --- numbers of a few bits --------------------------------------------------------------------------------------- */

/* The bits of a byte from `bit` on that are in `kept`, `shift` up. */
static inline unsigned char bits_of(unsigned char byte, int bit, int kept, int shift)
{
    return (unsigned char)((byte >> bit & kept) << shift);
}

/* 64 bytes of 2 bits: of each 128 weights 32 bytes, the first 32 weights in the lowest bits. */
static void add_2bits(const unsigned char *p, int shift, unsigned char q[BLOCK])
{
    for (int g = 0; g < BLOCK / 32; g++)
        for (int i = 0; i < 32; i++)
            q[32 * g + i] |= bits_of(p[g / 4 * 32 + i], 2 * (g % 4), 3, shift);
}

/* 32 bytes of one bit: the first 32 weights in the lowest. */
static void add_1bit(const unsigned char *p, int shift, unsigned char q[BLOCK])
{
    for (int g = 0; g < BLOCK / 32; g++)
        for (int i = 0; i < 32; i++)
            q[32 * g + i] |= bits_of(p[i], g, 1, shift);
}

/* 128 bytes of nibbles: of each 2 * `half` weights `half` bytes, the first in the low ones. */
static void read_4bits(const unsigned char *p, int half, unsigned char q[BLOCK])
{
    for (int g = 0; g < BLOCK; g += 2 * half)
        for (int i = 0; i < half; i++) {
            q[g + i] = p[g / 2 + i] & 15;
            q[g + half + i] = p[g / 2 + i] >> 4;
        }
}

/* --- blocks ------------------------------------------------------------------------------------------------------ */

static void no_minima(struct kernel_k_block *k)
{
    for (int g = 0; g < GROUPS; g++)
        k->minimum[g] = 0;
}

/* 16 bytes, of each 16 weights the scale in the low nibble and the minimum in the high one; 2 bits; half d, half of minima. */
static inline void read_q2_k(const unsigned char *p, struct kernel_k_block *k)
{
    const float d = half_at(p + 80), m = half_at(p + 82);
    for (int g = 0; g < GROUPS; g++) {
        k->scale[g] = d * (float)(p[g] & 15);
        k->minimum[g] = m * (float)(p[g] >> 4);
    }
    memset(k->q, 0, sizeof k->q);
    add_2bits(p + 16, 0, k->q);
}

/* The third bits, the lower two, 12 bytes of 16 scales of 6 bits (the low 4 as nibbles of the first 8 bytes, the high 2 in
 * the last 4), half d. A scale is 32 less, a number 4. */
static inline void read_q3_k(const unsigned char *p, struct kernel_k_block *k)
{
    const unsigned char *s = p + 96;
    const float d = half_at(p + 108);
    for (int g = 0; g < GROUPS; g++) {
        const int low = bits_of(s[g % 8], g / 8 * 4, 15, 0), high = bits_of(s[8 + g % 4], g / 4 * 2, 3, 4);
        k->scale[g] = d * (float)((low | high) - 32);
    }
    no_minima(k);
    memset(k->q, 0, sizeof k->q);
    add_2bits(p + 32, 0, k->q);
    add_1bit(p, 2, k->q);
}

/* Half d, half of minima, and 12 bytes of 8 scales and 8 minima of 6 bits: those of the first 4 groups of 32 are in the low bits
 * of bytes 0-3 and 4-7; the others' low 4 are the nibbles of bytes 8-11, their high 2 the high bits of 0-3 and 4-7. */
static inline void read_scales(const unsigned char *p, struct kernel_k_block *k)
{
    const float d = half_at(p), m = half_at(p + 2);
    const unsigned char *s = p + 4;
    for (int g = 0; g < BLOCK / 32; g++) {
        const int scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | bits_of(s[g - 4], 6, 3, 4);
        const int minimum = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | bits_of(s[g], 6, 3, 4);
        k->scale[2 * g] = k->scale[2 * g + 1] = d * (float)scale;
        k->minimum[2 * g] = k->minimum[2 * g + 1] = m * (float)minimum;
    }
}

static inline void read_q4_k(const unsigned char *p, struct kernel_k_block *k)
{
    read_scales(p, k);
    read_4bits(p + 16, 32, k->q);
}

/* As Q4_K, with the fifth bits before the nibbles. */
static inline void read_q5_k(const unsigned char *p, struct kernel_k_block *k)
{
    read_scales(p, k);
    read_4bits(p + 48, 32, k->q);
    add_1bit(p + 16, 4, k->q);
}

/* The low 4 bits, the high 2, a signed byte for each 16 weights, half d; a number is 32 less. */
static inline void read_q6_k(const unsigned char *p, struct kernel_k_block *k)
{
    const float d = half_at(p + 208);
    for (int g = 0; g < GROUPS; g++)
        k->scale[g] = d * (float)(signed char)p[192 + g];
    no_minima(k);
    read_4bits(p, 64, k->q);
    add_2bits(p + 128, 4, k->q);
}

/* Half d, 2 bits of each of 8 scales, 4 bits of each, nibbles as in Q4_0; a scale is 32 less. */
static inline void read_iq4_xs(const unsigned char *p, struct kernel_k_block *k)
{
    const float d = half_at(p);
    for (int g = 0; g < BLOCK / 32; g++) {
        const int low = bits_of(p[4 + g / 2], g % 2 * 4, 15, 0), high = bits_of(p[2 + g / 4], g % 4 * 2, 3, 4);
        k->scale[2 * g] = k->scale[2 * g + 1] = d * (float)((low | high) - 32);
    }
    no_minima(k);
    read_4bits(p + 8, 16, k->q);
}

void kernel_k_read(enum kernel_type type, const unsigned char *block, struct kernel_k_block *out)
{
    switch (type) {
    case KERNEL_Q2_K:
        read_q2_k(block, out);
        break;
    case KERNEL_Q3_K:
        read_q3_k(block, out);
        break;
    case KERNEL_Q4_K:
        read_q4_k(block, out);
        break;
    case KERNEL_Q5_K:
        read_q5_k(block, out);
        break;
    case KERNEL_Q6_K:
        read_q6_k(block, out);
        break;
    case KERNEL_IQ4_XS:
        read_iq4_xs(block, out);
        break;
    default:
        break;
    }
}

/* --- dequantization ---------------------------------------------------------------------------------------------- */

#define DEQUANTIZE(type, bytes, weight)                                                                                \
    void kernel_dequantize_##type(const void *blocks, float *out, int n)                                               \
    {                                                                                                                  \
        const unsigned char *p = blocks;                                                                               \
        for (; n > 0; n -= BLOCK, out += BLOCK, p += (bytes)) {                                                        \
            struct kernel_k_block k;                                                                                   \
            read_##type(p, &k);                                                                                        \
            for (int g = 0; g < GROUPS; g++) {                                                                         \
                const float d = k.scale[g], m = k.minimum[g];                                                          \
                const unsigned char *q = k.q + 16 * g;                                                                 \
                for (int i = 0; i < 16; i++)                                                                           \
                    out[16 * g + i] = (weight);                                                                        \
                (void)m;                                                                                               \
            }                                                                                                          \
        }                                                                                                              \
    }
DEQUANTIZE(q2_k, 84, d * (float)q[i] - m)
DEQUANTIZE(q3_k, 110, d * (float)(q[i] - 4))
DEQUANTIZE(q4_k, 144, d * (float)q[i] - m)
DEQUANTIZE(q5_k, 176, d * (float)q[i] - m)
DEQUANTIZE(q6_k, 210, d * (float)(q[i] - 32))
DEQUANTIZE(iq4_xs, 136, d * kernel_iq4_nl_values[q[i]])
