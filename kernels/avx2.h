/* What the files of the AVX2 set share: the form of a prepared row, and vectors' small change. */
#ifndef ESPALIER_AVX2_H
#define ESPALIER_AVX2_H

#include "kernels.h"

#include <immintrin.h>
#include <string.h>

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
    float sum; /* steps * sum of q, for formats with an offset */
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
void kernel_avx2_attention_rows(const struct kernel_attention *a, int first, int last, int h);

/* --- vectors ----------------------------------------------------------------------------------------------------- */

/* ((x0+x4)+(x2+x6)) + ((x1+x5)+(x3+x7)) */
static inline float sum8(__m256 x)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* All bits set in the first n lanes (n may be over 8, or below 0). */
static inline __m256i lanes8(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The first n (at most 8) halves at p as floats, zeros after. */
static inline __m256 load_halves(const void *p, int n)
{
    if (n >= 8)
        return _mm256_cvtph_ps(_mm_loadu_si128(p));
    uint16_t some[8] = {0};
    memcpy(some, p, (size_t)n * sizeof *some);
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)some));
}

/* e^x within 3e-7 of it; 0 below -87.3, a large number above 88, NaN for NaN. x = n ln 2 + r (Cody & Waite); e^r on
 * |r| <= ln 2 / 2 by the polynomial of degree 5 beginning 1 + r whose relative error is least there, 1.05e-7. */
static inline __m256 exp8(__m256 x)
{
    __m256 tiny = _mm256_cmp_ps(x, _mm256_set1_ps(-87.3f), _CMP_LT_OQ);
    x = _mm256_max_ps(_mm256_set1_ps(-87.3f), _mm256_min_ps(_mm256_set1_ps(88.0f), x)); /* a NaN stays: it is second */
    __m256 n =
        _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
    __m256 p = _mm256_set1_ps(0x1.10627ep-7f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.572a08p-5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.5557aep-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.fffdfcp-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(power)));
}

#endif
