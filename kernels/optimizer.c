/* AdamW, with moments of 32 bits or of 8. */
#include "formats.h"

#include <math.h>
#include <string.h>

static float moved(const struct kernel_adamw *o, float w, float gradient, float *m, float *v)
{
    const float g = gradient * o->scale;
    *m = o->beta1 * *m + (1 - o->beta1) * g;
    *v = o->beta2 * *v + (1 - o->beta2) * g * g;
    const float by = *m / o->correct1 / (sqrtf(*v / o->correct2) + o->epsilon);
    return w - o->rate * (by + o->decay * w);
}

void kernel_adamw_step(const struct kernel_adamw *o, size_t n, float *w, const float *gradient, float *m, float *v)
{
    for (size_t i = 0; i < n; i++)
        w[i] = moved(o, w[i], gradient[i], &m[i], &v[i]);
}

/* --- moments of 8 bits ------------------------------------------------------------------------------------------- */

struct map {
    float values[256], middles[255];
};

static void fill_map(struct map *map, int with_signs)
{
    kernel_dynamic_map(map->values, with_signs);
    for (int i = 0; i < 255; i++)
        map->middles[i] = (map->values[i] + map->values[i + 1]) / 2;
}

static unsigned char nearest(const struct map *map, float x)
{
    int at = 0;
    for (int half = 128; half; half /= 2) /* how many middles are below it */
        at += x > map->middles[at + half - 1] ? half : 0;
    return (unsigned char)at;
}

static float round_block(const struct map *map, const float *x, int n, unsigned char *q)
{
    const float scale = greatest(x, n), by = scale > 0 ? 1 / scale : 0;
    for (int i = 0; i < n; i++)
        q[i] = nearest(map, x[i] * by);
    return scale;
}

void kernel_adamw8_step(const struct kernel_adamw *o, size_t n, float *w, const float *gradient, const struct kernel_moments8 *moments)
{
    struct map with, without;
    fill_map(&with, 1);
    fill_map(&without, 0);
    for (size_t first = 0; first < n; first += KERNEL_ADAM_BLOCK) {
        const int some = n - first < KERNEL_ADAM_BLOCK ? (int)(n - first) : KERNEL_ADAM_BLOCK;
        const size_t block = first / KERNEL_ADAM_BLOCK;
        float m[KERNEL_ADAM_BLOCK], v[KERNEL_ADAM_BLOCK];
        for (int i = 0; i < some; i++) {
            m[i] = with.values[moments->m[first + (size_t)i]] * moments->m_scale[block];
            v[i] = without.values[moments->v[first + (size_t)i]] * moments->v_scale[block];
            w[first + (size_t)i] = moved(o, w[first + (size_t)i], gradient[first + (size_t)i], &m[i], &v[i]);
        }
        moments->m_scale[block] = round_block(&with, m, some, moments->m + first);
        moments->v_scale[block] = round_block(&without, v, some, moments->v + first);
    }
}

double kernel_squares(const float *x, size_t n)
{
    double sums[8] = {0};
    for (size_t i = 0; i < n; i++)
        sums[i % 8] += (double)x[i] * x[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}
