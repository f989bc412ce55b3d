/* Tables of rotations (RoPE: Su et al. 2021), and how positions past those trained on are scaled. */
#ifndef ESPALIER_ENGINE_ROPE_H
#define ESPALIER_ENGINE_ROPE_H

#include "kernels/kernels.h"

/* LINEAR: positions divided by the factor (Chen et al. 2023). YARN (Peng et al. 2023): so where a pair turns less than slow times over
 * `original` positions, as they are where it turns more than fast times, and in between between; rotated numbers grow by
 * 1 + 0.1 ln factor. */
enum engine_rope_scaling { ENGINE_ROPE_PLAIN, ENGINE_ROPE_LINEAR, ENGINE_ROPE_YARN, ENGINE_ROPE_SCALINGS };
extern const char *const engine_rope_scalings[ENGINE_ROPE_SCALINGS]; /* as rope.scaling.type has them: "none", "linear", "yarn" */

struct engine_rope {
    float base;
    enum engine_rope_scaling scaling;
    float factor, fast, slow; /* factor 1 when plain */
    int original;
    const float *divisors; /* [head_dim / 2] of the frequencies, or NULL (Llama 3's); not owned */
};

/* out[positions][head_dim / 2][cos, sin], spread over the pool. */
void engine_rope_fill(const struct engine_rope *rope, int head_dim, int positions, struct kernel_pool *pool, float *out);

#endif
