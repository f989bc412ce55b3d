/* The weight formats of a GGUF file, dequantized exactly, and the half-precision numbers their scales are written in.
 *
 * A block is read byte by byte: data mapped from a file promises no alignment.
 */
#include "formats.h"

#include <string.h>

/* --- half precision (IEEE 754 binary16) -------------------------------------------------------------------------- */

static float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

float kernel_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    if (exponent == 0) { /* zero or subnormal: mantissa units of 2^-24, which a float holds exactly */
        float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 31) /* infinity, or a NaN: made quiet, as the F16C instructions do */
        return float_of_bits(sign | 0x7f800000 | (mantissa ? 0x400000 | mantissa << 13 : 0));
    return float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t kernel_float_to_half(float x)
{
    uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* 65520, half-way to the first number that is not there, and all above */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude < 0x38800000) { /* below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the last bits, rounded */
        float shifted = float_of_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (bits_of_float(shifted) - 0x3f000000));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

/* --- dequantization ---------------------------------------------------------------------------------------------- */

static void dequantize_f32(const void *blocks, float *out, int n)
{
    memcpy(out, blocks, (size_t)n * sizeof *out);
}

static void dequantize_f16(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (int i = 0; i < n; i++)
        out[i] = half_at(p + 2 * i);
}

/* The upper half of a float. */
static void dequantize_bf16(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (int i = 0; i < n; i++)
        out[i] = float_of_bits((uint32_t)(p[2 * i] | p[2 * i + 1] << 8) << 16);
}

/* Half d, 16 bytes: weight i of the block is the low nibble of byte i, weight i + 16 the high one; d (q - 8). */
static void dequantize_q4_0(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (; n > 0; n -= 32, out += 32, p += 18) {
        float d = half_at(p);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)((p[2 + i] & 15) - 8);
            out[i + 16] = d * (float)((p[2 + i] >> 4) - 8);
        }
    }
}

/* Half d, half m, 16 bytes of nibbles as in Q4_0; d q + m. */
static void dequantize_q4_1(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (; n > 0; n -= 32, out += 32, p += 20) {
        float d = half_at(p), m = half_at(p + 2);
        for (int i = 0; i < 16; i++) {
            out[i] = d * (float)(p[4 + i] & 15) + m;
            out[i + 16] = d * (float)(p[4 + i] >> 4) + m;
        }
    }
}

/* Half d, 20 bytes of 5 bits; d (q - 16). */
static void dequantize_q5_0(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (; n > 0; n -= 32, out += 32, p += 22) {
        unsigned char q[32];
        float d = half_at(p);
        kernel_read_5bit(p + 2, q);
        for (int i = 0; i < 32; i++)
            out[i] = d * (float)(q[i] - 16);
    }
}

/* Half d, half m, 20 bytes of 5 bits; d q + m. */
static void dequantize_q5_1(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (; n > 0; n -= 32, out += 32, p += 24) {
        unsigned char q[32];
        float d = half_at(p), m = half_at(p + 2);
        kernel_read_5bit(p + 4, q);
        for (int i = 0; i < 32; i++)
            out[i] = d * (float)q[i] + m;
    }
}

/* Half d, 32 signed bytes; d q. */
static void dequantize_q8_0(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (; n > 0; n -= 32, out += 32, p += 34) {
        float d = half_at(p);
        for (int i = 0; i < 32; i++)
            out[i] = d * (float)(signed char)p[2 + i];
    }
}

const float kernel_iq4_nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* Half d, 16 bytes of nibbles as in Q4_0; d times the value of the nibble. */
static void dequantize_iq4_nl(const void *blocks, float *out, int n)
{
    const unsigned char *p = blocks;
    for (; n > 0; n -= 32, out += 32, p += 18) {
        float d = half_at(p);
        for (int i = 0; i < 16; i++) {
            out[i] = d * kernel_iq4_nl_values[p[2 + i] & 15];
            out[i + 16] = d * kernel_iq4_nl_values[p[2 + i] >> 4];
        }
    }
}

const struct kernel_format *kernel_format(enum kernel_type type)
{
    static const struct kernel_format formats[KERNEL_TYPES] = {
        [KERNEL_F32] = {"F32", 1, 4, dequantize_f32, kernel_quantize_f32},
        [KERNEL_F16] = {"F16", 1, 2, dequantize_f16, kernel_quantize_f16},
        [KERNEL_BF16] = {"BF16", 1, 2, dequantize_bf16, NULL},
        [KERNEL_Q4_0] = {"Q4_0", 32, 18, dequantize_q4_0, kernel_quantize_q4_0},
        [KERNEL_Q4_1] = {"Q4_1", 32, 20, dequantize_q4_1, NULL},
        [KERNEL_Q5_0] = {"Q5_0", 32, 22, dequantize_q5_0, NULL},
        [KERNEL_Q5_1] = {"Q5_1", 32, 24, dequantize_q5_1, NULL},
        [KERNEL_Q8_0] = {"Q8_0", 32, 34, dequantize_q8_0, kernel_quantize_q8_0},
        [KERNEL_Q2_K] = {"Q2_K", KERNEL_K_BLOCK, 84, kernel_dequantize_q2_k, NULL},
        [KERNEL_Q3_K] = {"Q3_K", KERNEL_K_BLOCK, 110, kernel_dequantize_q3_k, NULL},
        [KERNEL_Q4_K] = {"Q4_K", KERNEL_K_BLOCK, 144, kernel_dequantize_q4_k, NULL},
        [KERNEL_Q5_K] = {"Q5_K", KERNEL_K_BLOCK, 176, kernel_dequantize_q5_k, NULL},
        [KERNEL_Q6_K] = {"Q6_K", KERNEL_K_BLOCK, 210, kernel_dequantize_q6_k, NULL},
        [KERNEL_IQ4_NL] = {"IQ4_NL", 32, 18, dequantize_iq4_nl, kernel_quantize_iq4_nl},
        [KERNEL_IQ4_XS] = {"IQ4_XS", KERNEL_K_BLOCK, 136, kernel_dequantize_iq4_xs, NULL},
        [KERNEL_NF4] = {"NF4", KERNEL_NF4_BLOCK, KERNEL_NF4_BLOCK / 2, NULL, NULL},
    };
    return &formats[type];
}

/* Weights [from, from + n) of one block. */
static void dequantize_part(const struct kernel_format *format, const unsigned char *block, int from, int n, float *out)
{
    float all[KERNEL_K_BLOCK];
    format->dequantize(block, all, format->block);
    memcpy(out, all + from, (size_t)n * sizeof *out);
}

void kernel_matrix_dequantize(const struct kernel_matrix *m, int row, int col, float *out, int n)
{
    if (m->type == KERNEL_NF4) {
        kernel_nf4_dequantize(m->nf4, (size_t)row * (size_t)m->cols + (size_t)col, out, n);
        return;
    }
    const struct kernel_format *format = kernel_format(m->type);
    const size_t bytes = (size_t)format->bytes, row_blocks = (size_t)(m->cols / format->block);
    const unsigned char *at = (const unsigned char *)m->data + ((size_t)row * row_blocks + (size_t)(col / format->block)) * bytes;
    for (int skip = col % format->block, some; skip && n > 0; skip = 0, n -= some, out += some, at += bytes) {
        some = format->block - skip < n ? format->block - skip : n;
        dequantize_part(format, at, skip, some, out);
    }
    const int whole = n / format->block;
    format->dequantize(at, out, whole * format->block);
    if (n % format->block)
        dequantize_part(format, at + (size_t)whole * bytes, 0, n % format->block, out + whole * format->block);
}
