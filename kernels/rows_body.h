/* What works on one row of numbers, for any set: included once by the set's own file, after its vector_*.h. */
#include "kernels.h"
#include "vector.h"

#include <math.h>

static void rms_norm(const float *x, const float *weight, float epsilon, int cols, float *out)
{
    vec sums[4] = {vec_all(0), vec_all(0), vec_all(0), vec_all(0)};
    int c = 0;
    for (; c + 4 * LANES <= cols; c += 4 * LANES)
        for (int i = 0; i < 4; i++) {
            vec v = vec_load(x + c + LANES * i);
            sums[i] = vec_fma(v, v, sums[i]);
        }
    for (; c < cols; c += LANES) {
        vec v = vec_load_first(x + c, cols - c);
        sums[0] = vec_fma(v, v, sums[0]);
    }
    float sum = vec_sum(vec_add(vec_add(sums[0], sums[1]), vec_add(sums[2], sums[3])));
    float scale = 1 / sqrtf(sum / (float)cols + epsilon);
    for (c = 0; c + LANES <= cols; c += LANES)
        vec_store(out + c, vec_mul(vec_load(weight + c), vec_mul(vec_load(x + c), vec_all(scale))));
    for (; c < cols; c++)
        out[c] = weight[c] * (x[c] * scale);
}

static void rope(float *x, int heads, int head_dim, const float *cos_sin, int neox)
{
    int half = head_dim / 2;
    for (int h = 0; h < heads; h++, x += head_dim) {
        int i = 0; /* pairs done */
        if (neox)
            for (; i + LANES <= half; i += LANES) {
                vec c, s, a = vec_load(x + i), b = vec_load(x + half + i);
                vec_unzip(cos_sin + 2 * i, &c, &s);
                vec_store(x + i, vec_fma(a, c, vec_sub(vec_all(0), vec_mul(b, s))));
                vec_store(x + half + i, vec_fma(a, s, vec_mul(b, c)));
            }
        else
            for (; i + LANES / 2 <= half; i += LANES / 2)
                vec_store(x + 2 * i, vec_rotate_pairs(vec_load(x + 2 * i), vec_load(cos_sin + 2 * i)));
        for (; i < half; i++) {
            float *a = neox ? x + i : x + 2 * i, *b = neox ? x + i + half : x + 2 * i + 1;
            float c = cos_sin[2 * i], s = cos_sin[2 * i + 1], a0 = *a, b0 = *b;
            *a = fmaf(a0, c, -(b0 * s));
            *b = fmaf(a0, s, b0 * c);
        }
    }
}

static void swiglu(const float *gate, const float *up, int n, float *out)
{
    for (int c = 0; c < n; c += LANES) {
        vec g = vec_load_first(gate + c, n - c), u = vec_load_first(up + c, n - c);
        vec e = vec_exp(vec_sub(vec_all(0), g));
        vec_store_first(out + c, n - c, vec_mul(vec_div(g, vec_add(vec_all(1), e)), u));
    }
}

/* x / 2 (1 + tanh(y)) is x / (1 + e^-2y). */
static void geglu(const float *gate, const float *up, int n, float *out)
{
    for (int c = 0; c < n; c += LANES) {
        const vec g = vec_load_first(gate + c, n - c), u = vec_load_first(up + c, n - c);
        const vec y = vec_mul(g, vec_fma(vec_mul(g, g), vec_all(KERNEL_GELU_CUBE), vec_all(KERNEL_GELU)));
        const vec e = vec_exp(vec_sub(vec_all(0), y));
        vec_store_first(out + c, n - c, vec_mul(vec_div(g, vec_add(vec_all(1), e)), u));
    }
}

static void combine(const float *u, const float *m, int rows, int cols, float *y)
{
    enum { PARTS = KERNEL_STRIP / LANES };
    for (int c = 0; c < cols; c += KERNEL_STRIP, m += (size_t)rows * KERNEL_STRIP, y += KERNEL_STRIP) {
        vec sums[4][PARTS];
        for (int i = 0; i < 4; i++)
            for (int p = 0; p < PARTS; p++)
                sums[i][p] = vec_all(0);
        for (int r = 0; r < rows; r += 4)
            for (int i = 0; i < 4 && r + i < rows; i++)
                for (int p = 0; p < PARTS; p++)
                    sums[i][p] = vec_fma(vec_all(u[r + i]), vec_load(m + (r + i) * KERNEL_STRIP + p * LANES), sums[i][p]);
        for (int p = 0; p < PARTS && c + p * LANES < cols; p++) {
            const int left = cols - c - p * LANES;
            const vec sum = vec_add(vec_add(sums[0][p], sums[1][p]), vec_add(sums[2][p], sums[3][p]));
            vec_store_first(y + p * LANES, left, vec_add(vec_load_first(y + p * LANES, left), sum));
        }
    }
}
