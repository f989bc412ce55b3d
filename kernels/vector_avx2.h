/* A vector of floats on AVX2 (with FMA and F16C), for the bodies that all sets share (vector.h says what each is). */
#ifndef ESPALIER_VECTOR_AVX2_H
#define ESPALIER_VECTOR_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

typedef __m256 vec;
typedef __m256i words;
typedef int32_t whole __attribute__((vector_size(32))); /* __m256i is 64-bit numbers to gcc: it would move sums about */
enum { LANES = 8, VECTORS = 2, PAIR = 2 };

/* All bits set in the first n lanes (n may be over 8, or below 0). */
static inline __m256i lanes8(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vec vec_all(float x)
{
    return _mm256_set1_ps(x);
}
static inline vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
static inline vec vec_load_first(const float *p, int n)
{
    return n >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, lanes8(n));
}
static inline void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}
static inline void vec_store_first(float *p, int n, vec v)
{
    if (n >= 8) /* masked stores are slow on some machines */
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, lanes8(n), v);
}
static inline vec vec_load_halves(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vec vec_load_halves_first(const uint16_t *p, int n)
{
    uint16_t some[8] = {0};
    if (n >= 8)
        return vec_load_halves(p);
    memcpy(some, p, (size_t)n * sizeof *some);
    return vec_load_halves(some);
}
static inline vec vec_load_upper_first(const uint16_t *p, int n)
{
    uint16_t some[8] = {0};
    if (n < 8)
        p = memcpy(some, p, (size_t)n * sizeof *some);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)), 16));
}
static inline void vec_store_halves(uint16_t *p, vec v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}
static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}
static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}
static inline vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline vec vec_fms(vec a, vec b, vec c)
{
    return _mm256_fmsub_ps(a, b, c);
}
static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}
static inline vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}
static inline vec vec_round(vec a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vec vec_times_power(vec a, vec n)
{
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(power));
}
static inline vec vec_zero_below(vec a, vec x, float least)
{
    return _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(least), _CMP_LT_OQ), a);
}
static inline float vec_sum(vec v)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
static inline float vec_most(vec v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
static inline vec vec_max_bits(vec most, vec v)
{
    const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(most), magnitude));
}
static inline float vec_most_bits(vec most)
{
    const __m256i bits = _mm256_castps_si256(most);
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    m = _mm_max_epi32(m, _mm_unpackhi_epi64(m, m));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_max_epi32(m, _mm_shuffle_epi32(m, 1))));
}
static inline vec vec_rotate_pairs(vec v, vec cos_sin)
{
    vec c = _mm256_moveldup_ps(cos_sin), s = _mm256_movehdup_ps(cos_sin);
    return _mm256_fmaddsub_ps(v, c, _mm256_mul_ps(_mm256_permute_ps(v, 0xb1), s));
}
static inline void vec_unzip(const float *p, vec *even, vec *odd)
{
    __m256 low = _mm256_loadu_ps(p), high = _mm256_loadu_ps(p + 8);
    __m256 e = _mm256_shuffle_ps(low, high, 0x88), o = _mm256_shuffle_ps(low, high, 0xdd); /* 0 1 4 5 2 3 6 7 */
    *even = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(e), 0xd8));
    *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(o), 0xd8));
}
static inline void vec_turn(vec r[LANES])
{
    __m256 t[8];
    for (int i = 0; i < 8; i += 2) { /* columns c and c + 1 of two rows, then of four, in each half */
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
            r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
        }
    for (int c = 0; c < 4; c++) { /* then halves */
        const vec low = _mm256_permute2f128_ps(r[c], r[4 + c], 0x20);
        r[4 + c] = _mm256_permute2f128_ps(r[c], r[4 + c], 0x31);
        r[c] = low;
    }
}
static inline void vec_look_up(const unsigned char *codes, const float *values, float by, float *to)
{
    const vec first = _mm256_mul_ps(_mm256_loadu_ps(values), _mm256_set1_ps(by)), second = _mm256_mul_ps(_mm256_loadu_ps(values + 8), _mm256_set1_ps(by));
    const __m128i low = _mm_set1_epi8(15);
    for (int i = 0; i < 4; i++) {
        const __m128i eight = _mm_loadl_epi64((const __m128i *)(const void *)(codes + 8 * i));
        const __m128i each = _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(eight, 4), low), _mm_and_si128(eight, low));
        for (int j = 0; j < 2; j++) {
            const __m256i at = _mm256_cvtepu8_epi32(j ? _mm_srli_si128(each, 8) : each);
            const vec over = _mm256_castsi256_ps(_mm256_slli_epi32(at, 28)); /* 8 and more: its sign */
            _mm256_storeu_ps(to + 16 * i + 8 * j, _mm256_blendv_ps(_mm256_permutevar8x32_ps(first, at), _mm256_permutevar8x32_ps(second, at), over));
        }
    }
}
static inline words words_all(const int16_t *p)
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
}
static inline words words_load(const int16_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void words_widen(int16_t *to, const int8_t *from)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_cvtepi8_epi16(bytes));
}
static inline void words_pair(int16_t *to, const int8_t *const *from, int at)
{
    __m128i a = _mm_loadl_epi64((const __m128i *)(const void *)(from[0] + at));
    __m128i b = _mm_loadl_epi64((const __m128i *)(const void *)(from[LANES] + at));
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b)));
}
static inline void words_store(int16_t *to, vec v)
{
    __m256i eight = _mm256_cvtps_epi32(v);
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packs_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1)));
}
static inline void words_round(int16_t *to, const vec from[PAIR])
{
    __m256i a = _mm256_cvtps_epi32(from[0]), b = _mm256_slli_epi32(_mm256_cvtps_epi32(from[1]), 16);
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_blend_epi16(a, b, 0xaa));
}
static inline whole whole_zero(void)
{
    return (whole){0};
}
static inline whole whole_add_products(whole sum, words a, words b)
{
    return sum + (whole)_mm256_madd_epi16(a, b);
}
static inline vec whole_to_floats(whole a)
{
    return _mm256_cvtepi32_ps((__m256i)a);
}

#endif
