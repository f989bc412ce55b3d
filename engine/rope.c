#include "engine/rope.h"

#include <math.h>

const char *const engine_rope_scalings[ENGINE_ROPE_SCALINGS] = {"none", "linear", "yarn"};

enum { POSITIONS = 256 }; /* of a task */

struct filling {
    const struct engine_rope *rope;
    int head_dim, positions;
    float *out;
};

/* The pair that turns so many times over the positions trained on: a fraction, as if pairs were dense. */
static double pair_of(const struct engine_rope *rope, int head_dim, double turns)
{
    return head_dim * log(rope->original / (turns * 6.283185307179586)) / (2 * log((double)rope->base));
}

static double frequency_of(const struct engine_rope *rope, int head_dim, int pair)
{
    const double plain = pow((double)rope->base, -2.0 * pair / head_dim) / (rope->divisors ? (double)rope->divisors[pair] : 1);
    const double scaled = plain / (double)rope->factor;
    if (rope->scaling != ENGINE_ROPE_YARN)
        return scaled;
    const double first = fmax(floor(pair_of(rope, head_dim, (double)rope->fast)), 0);
    const double last = fmin(ceil(pair_of(rope, head_dim, (double)rope->slow)), head_dim - 1);
    const double part = fmin(fmax((pair - first) / fmax(last - first, 0.001), 0), 1);
    return scaled * part + plain * (1 - part);
}

static void fill_task(void *argument, int task)
{
    const struct filling *f = argument;
    const int half = f->head_dim / 2, first = task * POSITIONS, last = first + POSITIONS < f->positions ? first + POSITIONS : f->positions;
    const double grown = f->rope->scaling == ENGINE_ROPE_YARN ? 1 + 0.1 * log((double)f->rope->factor) : 1;
    for (int i = 0; i < half; i++) {
        const double frequency = frequency_of(f->rope, f->head_dim, i);
        for (int p = first; p < last; p++) {
            float *pair = f->out + ((size_t)p * (size_t)half + (size_t)i) * 2;
            pair[0] = (float)(grown * cos(p * frequency));
            pair[1] = (float)(grown * sin(p * frequency));
        }
    }
}

void engine_rope_fill(const struct engine_rope *rope, int head_dim, int positions, struct kernel_pool *pool, float *out)
{
    struct filling f = {rope, head_dim, positions, out};
    kernel_pool_run(pool, (positions + POSITIONS - 1) / POSITIONS, fill_task, &f);
}
