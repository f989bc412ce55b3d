/* A vector of floats on AVX-512, for the bodies that all sets share (vector.h says what each function is). */
#ifndef ESPALIER_VECTOR_AVX512_H
#define ESPALIER_VECTOR_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef __m512 vec;
typedef __m512i words;
typedef int32_t whole __attribute__((vector_size(64))); /* of __m512i, which is 64-bit numbers to gcc, sums would be moved about */
enum { LANES = 16, VECTORS = 4, PAIR = 2 };

static inline __mmask16 vec_mask(int n)
{
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

static inline vec vec_all(float x)
{
    return _mm512_set1_ps(x);
}
static inline vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline vec vec_load_first(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(vec_mask(n), p);
}
static inline void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}
static inline void vec_store_first(float *p, int n, vec v)
{
    _mm512_mask_storeu_ps(p, vec_mask(n), v);
}
static inline vec vec_load_halves(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vec vec_load_halves_first(const uint16_t *p, int n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vec_mask(n), p));
}
static inline vec vec_load_upper_first(const uint16_t *p, int n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(vec_mask(n), p)), 16));
}
static inline void vec_store_halves(uint16_t *p, vec v)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline vec vec_fms(vec a, vec b, vec c)
{
    return _mm512_fmsub_ps(a, b, c);
}
static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}
static inline vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}
static inline vec vec_round(vec a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vec vec_times_power(vec a, vec n)
{
    return _mm512_scalef_ps(a, n);
}
static inline vec vec_zero_below(vec a, vec x, float least)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(least), _CMP_NLT_UQ), a);
}
static inline float vec_sum(vec v)
{
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float vec_most(vec v)
{
    return _mm512_reduce_max_ps(v);
}
static inline vec vec_max_bits(vec most, vec v)
{
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(most), _mm512_castps_si512(_mm512_abs_ps(v))));
}
static inline float vec_most_bits(vec most)
{
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(_mm512_castps_si512(most)))));
}
static inline vec vec_rotate_pairs(vec v, vec cos_sin)
{
    vec c = _mm512_moveldup_ps(cos_sin), s = _mm512_movehdup_ps(cos_sin);
    return _mm512_fmaddsub_ps(v, c, _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), s));
}
static inline void vec_unzip(const float *p, vec *even, vec *odd)
{
    const __m512i index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    __m512 low = _mm512_loadu_ps(p), high = _mm512_loadu_ps(p + 16);
    *even = _mm512_permutex2var_ps(low, index, high);
    *odd = _mm512_permutex2var_ps(low, _mm512_add_epi32(index, _mm512_set1_epi32(1)), high);
}
static inline void vec_turn(vec r[LANES])
{
    __m512d pairs[16];
    for (int i = 0; i < 16; i += 2) { /* columns c and c + 1 of two rows, then of four, in each quarter */
        pairs[i] = _mm512_castps_pd(_mm512_unpacklo_ps(r[i], r[i + 1]));
        pairs[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(r[i], r[i + 1]));
    }
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs[i + j], pairs[i + 2 + j]));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs[i + j], pairs[i + 2 + j]));
        }
    for (int c = 0; c < 4; c++) { /* then quarters */
        const vec low = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88), high = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);
        const vec low2 = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88), high2 = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
        r[c] = _mm512_shuffle_f32x4(low, low2, 0x88);
        r[4 + c] = _mm512_shuffle_f32x4(high, high2, 0x88);
        r[8 + c] = _mm512_shuffle_f32x4(low, low2, 0xdd);
        r[12 + c] = _mm512_shuffle_f32x4(high, high2, 0xdd);
    }
}
static inline void vec_look_up(const unsigned char *codes, const float *values, float by, float *to)
{
    const vec table = _mm512_mul_ps(_mm512_loadu_ps(values), _mm512_set1_ps(by));
    const __m128i low = _mm_set1_epi8(15);
    for (int i = 0; i < 4; i++) {
        const __m128i eight = _mm_loadl_epi64((const __m128i *)(const void *)(codes + 8 * i));
        const __m128i each = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(eight, 4), low), _mm_and_si128(eight, low));
        _mm512_storeu_ps(to + 16 * i, _mm512_permutexvar_ps(_mm512_cvtepu8_epi32(each), table));
    }
}
static inline words words_all(const int16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}
static inline words words_load(const int16_t *p)
{
    return _mm512_loadu_si512(p);
}
static inline void words_widen(int16_t *to, const int8_t *from)
{
    _mm512_storeu_si512(to, _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)from)));
}
static inline void words_pair(int16_t *to, const int8_t *const *from, int at)
{
    __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(from[0] + at));
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(from[LANES] + at));
    __m256i pairs = _mm256_set_m128i(_mm_unpackhi_epi8(a, b), _mm_unpacklo_epi8(a, b));
    _mm512_storeu_si512(to, _mm512_cvtepi8_epi16(pairs));
}
static inline void words_store(int16_t *to, vec v)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
}
static inline void words_round(int16_t *to, const vec from[PAIR])
{
    __m512i a = _mm512_cvtps_epi32(from[0]), b = _mm512_slli_epi32(_mm512_cvtps_epi32(from[1]), 16);
    _mm512_storeu_si512(to, _mm512_mask_blend_epi16(0xaaaaaaaa, a, b));
}
static inline whole whole_zero(void)
{
    return (whole){0};
}
static inline whole whole_add_products(whole sum, words a, words b)
{
    return (whole)_mm512_dpwssd_epi32((__m512i)sum, a, b);
}
static inline vec whole_to_floats(whole a)
{
    return _mm512_cvtepi32_ps((__m512i)a);
}

#endif
