/* Numbers to test kernels with, of the stream NUMBERS_SEED that each test begins anew; bits compared; every set there is. Included
 * after cmocka. */
#ifndef ESPALIER_TESTS_ANY_NUMBERS_H
#define ESPALIER_TESTS_ANY_NUMBERS_H

#include "kernels/kernels.h"

static uint64_t draws; /* the one stream of all tests; each begins it anew */

static inline double uniform(void)
{
    return random_uniform(NUMBERS_SEED, 0, draws++);
}

static inline int below(int n)
{
    return (int)(uniform() * n);
}

/* Normal, by the sum of twelve. */
static inline float normal(void)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return (float)sum;
}

static inline float *normals(size_t n, float scale)
{
    float *x = xmalloc((n + !n) * sizeof *x); /* no larger: a sanitizer sees what is read past it */
    for (size_t i = 0; i < n; i++)
        x[i] = normal() * scale;
    return x;
}

static inline void assert_same(const float *a, const float *b, size_t n)
{
    if (memcmp(a, b, n * sizeof *a) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a))
            fail_msg("number %zu of %zu: %a is not %a", i, n, (double)a[i], (double)b[i]);
}

#define FOR_EACH_SET(set)                                                                                              \
    for (const struct kernel_set *const *s_ = kernel_sets(), *set; (set = *s_) != NULL; s_++)                          \
        if (set->supported())

#endif
