/* What the bodies shared by all sets are written in: a vector of LANES floats. Included after one of vector_*.h, which
 * defines, for its instruction set:
 *
 *   vec, LANES                        KERNEL_CELLS is a multiple of LANES
 *   VECTORS                           with TILE queries, what attention keeps in registers: TILE * VECTORS + VECTORS + 1
 *   vec_all(x)                        x in every lane
 *   vec_load(p), vec_store(p, v)      LANES floats at any address
 *   vec_load_first(p, n)              the first n, zeros after; nothing past them is read; n may be over LANES and below 0, for floats
 *   vec_store_first(p, n, v)          the first n; nothing past them is written
 *   vec_load_halves(p), vec_load_halves_first(p, n), vec_store_halves(p, v)    halves to floats and back, ties to even
 *   vec_load_upper_first(p, n)        the upper halves of n floats, as BF16 has them
 *   vec_add sub mul div max min       max and min give the second where one is NaN
 *   vec_fma(a, b, c), vec_fms         a * b + c, a * b - c, rounded once
 *   vec_round(a)                      to the nearest whole number, ties to even
 *   vec_times_power(a, n)             a * 2^n for whole n from -126 to 127
 *   vec_zero_below(a, x, least)       a, but 0 in lanes where x < least
 *   vec_sum(v), vec_most(v)           across the lanes, in one fixed order
 *   vec_max_bits(most, v)             the greater of most and |v| by their bits, among which an infinity is above all numbers and a NaN above it
 *   vec_most_bits(most)               across the lanes
 *   vec_rotate_pairs(v, cos_sin)      each pair (a, b) to (a c - b s, a s + b c)
 *   vec_turn(r)                       r[i] of LANES vectors becomes lane i of each: a square turned over
 *   vec_look_up(codes, values, by, to)    64 codes of four bits, the even in the high half of its byte: to[i] = values[code i] * by
 *   vec_unzip(p, &even, &odd)         2 * LANES floats: those at even places, those at odd ones
 *
 * And whole numbers of 16 bits, PAIR of them in a lane:
 *
 *   words, PAIR                       a vector of LANES * PAIR
 *   words_all(p)                      the PAIR at p in every lane
 *   words_load(p)                     those at p
 *   words_widen(to, p)                as many bytes, stored as words
 *   words_pair(to, rows, at)          LANES bytes of each of rows[0], rows[LANES], ... (PAIR in all), from `at` on: lane by lane,
 *                                     stored as words
 *   words_store(to, v)                LANES floats as the nearest words
 *   words_round(to, v)                so v[0], v[1], ... (PAIR of them), lane by lane
 *   whole                             LANES sums of 32 bits
 *   whole_zero()
 *   whole_add_products(sum, a, b)     the products of each lane's PAIR, added; what a sum may come to is the caller's affair
 *   whole_to_floats(sum)
 */
#ifndef ESPALIER_VECTOR_H
#define ESPALIER_VECTOR_H

/* INLINE, with counts that are constants where it is called, so that loops over them unroll and sums stay in registers. */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32") /* gcc by itself stops at 200 instructions, which is less than a tile */

/* The greatest magnitude of n numbers; NaN where one is infinite or NaN. */
static inline float vec_greatest(const float *x, int n)
{
    vec most = vec_all(0);
    for (int i = 0; i < n; i += LANES)
        most = vec_max_bits(most, vec_load_first(x + i, n - i));
    const float greatest = vec_most_bits(most);
    return greatest + 0 * greatest;
}

/* e^x within 3e-7 of it; 0 below -87.3, a large number above 88, NaN for NaN. x = n ln 2 + r (Cody & Waite); e^r on
 * |r| <= ln 2 / 2 by the polynomial of degree 5 beginning 1 + r whose relative error is least there, 1.05e-7. */
static inline vec vec_exp(vec x)
{
    const vec most = vec_all(88.0f), least = vec_all(-87.3f);
    vec inside = vec_max(least, vec_min(most, x)); /* a NaN stays: it is second */
    vec n = vec_round(vec_mul(inside, vec_all(1.44269504f)));
    vec r = vec_fma(n, vec_all(-0x1.62e4p-1f), inside);
    r = vec_fma(n, vec_all(-0x1.7f7d1cp-20f), r);
    vec p = vec_all(0x1.10627ep-7f);
    p = vec_fma(p, r, vec_all(0x1.572a08p-5f));
    p = vec_fma(p, r, vec_all(0x1.5557aep-3f));
    p = vec_fma(p, r, vec_all(0x1.fffdfcp-2f));
    p = vec_fma(p, r, vec_all(1.0f));
    p = vec_fma(p, r, vec_all(1.0f));
    return vec_zero_below(vec_times_power(p, n), x, -87.3f);
}

/* 2^x for x up to 127, by the same polynomial; 2^-126 below that, NaN for NaN. */
static inline vec vec_power(vec x)
{
    const vec inside = vec_max(vec_all(-126.0f), x), n = vec_round(inside), r = vec_sub(inside, n);
    vec p = vec_all(0x1.5ca888p-10f);
    p = vec_fma(p, r, vec_all(0x1.3cdb7cp-7f));
    p = vec_fma(p, r, vec_all(0x1.c6b3aep-5f));
    p = vec_fma(p, r, vec_all(0x1.ebf9f0p-3f));
    p = vec_fma(p, r, vec_all(0x1.62e430p-1f));
    p = vec_fma(p, r, vec_all(1.0f));
    return vec_times_power(p, n);
}

#endif
