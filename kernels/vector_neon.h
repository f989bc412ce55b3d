/* A vector of floats on NEON, for the bodies that all sets share (vector.h says what each function is). */
#ifndef ESPALIER_VECTOR_NEON_H
#define ESPALIER_VECTOR_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vec;
typedef int16x4_t words;
typedef int32x4_t whole;
enum { LANES = 4, VECTORS = 4, PAIR = 1 };

static inline vec vec_all(float x)
{
    return vdupq_n_f32(x);
}
static inline vec vec_load(const float *p)
{
    vec v; /* vld1q_f32 is for floats at their own alignment */
    memcpy(&v, p, sizeof v);
    return v;
}
static inline vec vec_load_first(const float *p, int n)
{
    float some[4] = {0};
    if (n >= 4)
        return vec_load(p);
    if (n > 0)
        memcpy(some, p, (size_t)n * sizeof *some);
    return vec_load(some);
}
static inline void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}
static inline void vec_store_first(float *p, int n, vec v)
{
    if (n >= 4)
        vec_store(p, v);
    else if (n > 0)
        memcpy(p, &v, (size_t)n * sizeof *p);
}
static inline vec vec_load_halves(const uint16_t *p)
{
    float16x4_t v;
    memcpy(&v, p, sizeof v);
    return vcvt_f32_f16(v);
}
static inline vec vec_load_halves_first(const uint16_t *p, int n)
{
    uint16_t some[4] = {0};
    if (n >= 4)
        return vec_load_halves(p);
    if (n > 0)
        memcpy(some, p, (size_t)n * sizeof *some);
    return vec_load_halves(some);
}
static inline vec vec_load_upper_first(const uint16_t *p, int n)
{
    uint16x4_t v = vdup_n_u16(0);
    memcpy(&v, p, n >= 4 ? sizeof v : (size_t)n * sizeof *p);
    return vreinterpretq_f32_u32(vshll_n_u16(v, 16));
}
static inline void vec_store_halves(uint16_t *p, vec v)
{
    float16x4_t halves = vcvt_f16_f32(v);
    memcpy(p, &halves, sizeof halves);
}
static inline vec vec_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}
static inline vec vec_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}
static inline vec vec_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}
static inline vec vec_div(vec a, vec b)
{
    return vdivq_f32(a, b);
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}
static inline vec vec_fms(vec a, vec b, vec c)
{
    return vfmaq_f32(vnegq_f32(c), a, b);
}
/* Not fmax and fmin, which give a NaN whichever of the two it is. */
static inline vec vec_max(vec a, vec b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline vec vec_min(vec a, vec b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline vec vec_round(vec a)
{
    return vrndnq_f32(a);
}
static inline vec vec_times_power(vec a, vec n)
{
    int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    return vmulq_f32(a, vreinterpretq_f32_s32(power));
}
static inline vec vec_zero_below(vec a, vec x, float least)
{
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a), vcltq_f32(x, vdupq_n_f32(least))));
}
static inline float vec_sum(vec v)
{
    return vaddvq_f32(v); /* (0 + 1) + (2 + 3) */
}
static inline float vec_most(vec v)
{
    return vmaxvq_f32(v);
}
static inline vec vec_max_bits(vec most, vec v)
{
    return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(most), vreinterpretq_u32_f32(vabsq_f32(v))));
}
static inline float vec_most_bits(vec most)
{
    const uint32_t bits = vmaxvq_u32(vreinterpretq_u32_f32(most));
    float greatest;
    memcpy(&greatest, &bits, sizeof greatest);
    return greatest;
}
static inline vec vec_rotate_pairs(vec v, vec cos_sin)
{
    static const uint32_t signs[4] = {0x80000000, 0, 0x80000000, 0};
    vec c = vtrn1q_f32(cos_sin, cos_sin), s = vtrn2q_f32(cos_sin, cos_sin), crossed = vmulq_f32(vrev64q_f32(v), s);
    crossed = vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(crossed), vld1q_u32(signs)));
    return vfmaq_f32(crossed, v, c);
}
static inline void vec_unzip(const float *p, vec *even, vec *odd)
{
    vec low = vec_load(p), high = vec_load(p + 4);
    *even = vuzp1q_f32(low, high);
    *odd = vuzp2q_f32(low, high);
}
static inline void vec_turn(vec r[LANES])
{
    const float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}
static inline void vec_look_up(const unsigned char *codes, const float *values, float by, float *to)
{
    float table[16];
    for (int i = 0; i < 16; i++)
        table[i] = values[i] * by;
    for (int i = 0; i < 32; i++) {
        to[2 * i] = table[codes[i] >> 4];
        to[2 * i + 1] = table[codes[i] & 15];
    }
}
static inline words words_all(const int16_t *p)
{
    return vdup_n_s16(*p);
}
static inline words words_load(const int16_t *p)
{
    return vld1_s16(p);
}
static inline void words_widen(int16_t *to, const int8_t *from)
{
    int32_t four;
    memcpy(&four, from, sizeof four);
    vst1_s16(to, vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)))));
}
static inline void words_pair(int16_t *to, const int8_t *const *from, int at)
{
    words_widen(to, from[0] + at);
}
static inline void words_store(int16_t *to, vec v)
{
    vst1_s16(to, vqmovn_s32(vcvtnq_s32_f32(v)));
}
static inline void words_round(int16_t *to, const vec from[PAIR])
{
    words_store(to, from[0]);
}
static inline whole whole_zero(void)
{
    return vdupq_n_s32(0);
}
static inline whole whole_add_products(whole sum, words a, words b)
{
    return vmlal_s16(sum, a, b);
}
static inline vec whole_to_floats(whole a)
{
    return vcvtq_f32_s32(a);
}

#endif
