/* A vector of one float in plain C, for what the reference has of the bodies that all sets share (vector.h says what each is). */
#ifndef ESPALIER_VECTOR_PLAIN_H
#define ESPALIER_VECTOR_PLAIN_H

#include <math.h>

typedef float vec;
enum { LANES = 1 };

static inline vec vec_all(float x)
{
    return x;
}
static inline vec vec_load(const float *p)
{
    return *p;
}
static inline vec vec_load_first(const float *p, int n)
{
    return n > 0 ? *p : 0;
}
static inline void vec_store(float *p, vec v)
{
    *p = v;
}
static inline void vec_store_first(float *p, int n, vec v)
{
    if (n > 0)
        *p = v;
}
static inline vec vec_add(vec a, vec b)
{
    return a + b;
}
static inline vec vec_sub(vec a, vec b)
{
    return a - b;
}
static inline vec vec_mul(vec a, vec b)
{
    return a * b;
}
static inline vec vec_div(vec a, vec b)
{
    return a / b;
}
static inline vec vec_fma(vec a, vec b, vec c)
{
    return a * b + c; /* rounded twice: fmaf without the instruction is a call that costs fifty times as much */
}
static inline vec vec_max(vec a, vec b)
{
    return a > b ? a : b;
}
static inline vec vec_min(vec a, vec b)
{
    return a < b ? a : b;
}
static inline vec vec_round(vec a)
{
    return rintf(a);
}
static inline vec vec_times_power(vec a, vec n)
{
    return ldexpf(a, (int)n);
}
static inline vec vec_zero_below(vec a, vec x, float least)
{
    return x < least ? 0 : a;
}
static inline float vec_sum(vec v)
{
    return v;
}
static inline float vec_most(vec v)
{
    return v;
}
static inline vec vec_max_bits(vec most, vec v)
{
    return isnan(most) || fabsf(v) <= most ? most : fabsf(v);
}
static inline float vec_most_bits(vec most)
{
    return most;
}
static inline void vec_turn(vec r[LANES])
{
    (void)r;
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

#endif
