/* Attention over a tree's cache, AVX2: keys and values in half precision, converted once for the heads that share them.
 *
 * A chunk's keys and values are first found, one pointer a position; from there on nothing knows of runs, so the numbers
 * cannot depend on them. Nor do they depend on how many heads are taken together.
 */
#include "avx2.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))
#define MOST_HEADS 3 /* taken together: 3 heads x 4 positions (or x 4 vectors of values) are 12 of the 16 registers */

/* The keys and values of a chunk's positions, for one kv head. */
struct chunk {
    const uint16_t *keys[KERNEL_CHUNK], *values[KERNEL_CHUNK];
    int count;
};

/* Sums of 4 vectors, each as sum8 takes it. */
INLINE __m128 sum8x4(__m256 a, __m256 b, __m256 c, __m256 d)
{
    __m128 x0 = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 x1 = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    __m128 x2 = _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
    __m128 x3 = _mm_add_ps(_mm256_castps256_ps128(d), _mm256_extractf128_ps(d, 1));
    _MM_TRANSPOSE4_PS(x0, x1, x2, x3);
    return _mm_add_ps(_mm_add_ps(x0, x2), _mm_add_ps(x1, x3));
}

/* scores[h][j] = scale q_h . k_j, for 4 positions at a time; past the last, the last is taken again and then cut off by
 * minus infinity, up to a multiple of 8. */
INLINE void score(const struct chunk *chunk, const float *q, int dim, int H, float scale, float scores[][KERNEL_CHUNK])
{
    for (int j = 0; j < chunk->count; j += 4) {
        const uint16_t *keys[4];
        __m256 sums[MOST_HEADS][4];
        for (int i = 0; i < 4; i++)
            keys[i] = chunk->keys[j + i < chunk->count ? j + i : chunk->count - 1];
        for (int h = 0; h < H; h++)
            for (int i = 0; i < 4; i++)
                sums[h][i] = _mm256_setzero_ps();
        int d = 0;
        for (; d + 8 <= dim; d += 8)
            for (int i = 0; i < 4; i++) {
                __m256 k = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(keys[i] + d)));
                for (int h = 0; h < H; h++)
                    sums[h][i] = _mm256_fmadd_ps(_mm256_loadu_ps(q + h * dim + d), k, sums[h][i]);
            }
        if (d < dim)
            for (int i = 0; i < 4; i++) {
                __m256 k = load_halves(keys[i] + d, dim - d);
                for (int h = 0; h < H; h++)
                    sums[h][i] = _mm256_fmadd_ps(_mm256_maskload_ps(q + h * dim + d, lanes8(dim - d)), k, sums[h][i]);
            }
        for (int h = 0; h < H; h++)
            _mm_storeu_ps(scores[h] + j, _mm_mul_ps(_mm_set1_ps(scale), sum8x4(sums[h][0], sums[h][1], sums[h][2], sums[h][3])));
    }
    for (int h = 0; h < H; h++)
        for (int j = chunk->count; j < ((chunk->count + 7) & ~7); j++)
            scores[h][j] = -INFINITY;
}

/* scores = exp(scores - maximum), in place; returns the maximum, *length = their sum: 8 sums by position mod 8, then sum8. */
static float exponentials(float *scores, int count, float *length)
{
    __m256 most = _mm256_set1_ps(-INFINITY), sum = _mm256_setzero_ps();
    for (int j = 0; j < count; j += 8)
        most = _mm256_max_ps(most, _mm256_loadu_ps(scores + j));
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    float maximum = _mm_cvtss_f32(m);
    for (int j = 0; j < count; j += 8) {
        __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(scores + j), _mm256_set1_ps(maximum)));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
    }
    *length = sum8(sum);
    return maximum;
}

/* out[h][d ...] = keep[h] out + take[h] sum over j of weights[h][j] v_j, for D vectors of 8 (the last may be short). */
INLINE void add_values(const struct chunk *chunk, float weights[][KERNEL_CHUNK], int H, int d, int D, int dim, const float *keep,
                       const float *take, float *out)
{
    __m256 sums[MOST_HEADS][4];
    for (int h = 0; h < H; h++)
        for (int i = 0; i < D; i++)
            sums[h][i] = _mm256_setzero_ps();
    for (int j = 0; j < chunk->count; j++)
        for (int i = 0; i < D; i++) {
            __m256 v = load_halves(chunk->values[j] + d + 8 * i, D > 1 ? 8 : dim - d);
            for (int h = 0; h < H; h++)
                sums[h][i] = _mm256_fmadd_ps(_mm256_set1_ps(weights[h][j]), v, sums[h][i]);
        }
    for (int h = 0; h < H; h++)
        for (int i = 0; i < D; i++) {
            float *to = out + h * dim + d + 8 * i;
            __m256i lanes = lanes8(dim - d - 8 * i);
            __m256 sum = _mm256_mul_ps(_mm256_set1_ps(take[h]), sums[h][i]);
            if (keep[h] != 0) /* 0 at the first chunk, when out holds nothing yet */
                sum = _mm256_fmadd_ps(_mm256_set1_ps(keep[h]), _mm256_maskload_ps(to, lanes), sum);
            _mm256_maskstore_ps(to, lanes, sum);
        }
}

static float exp1(float x)
{
    return _mm256_cvtss_f32(exp8(_mm256_set1_ps(x)));
}

INLINE void attend(const struct kernel_attention *a, const struct kernel_row *row, int kv, int H, const float *q, float *out)
{
    const struct kernel_run *run = row->runs;
    int dim = a->head_dim, taken = 0; /* of the run's positions */
    float maximum[MOST_HEADS], length[MOST_HEADS], scores[MOST_HEADS][KERNEL_CHUNK];
    for (int h = 0; h < H; h++)
        maximum[h] = -INFINITY, length[h] = 0;
    for (int first = 0; first <= row->position; first += KERNEL_CHUNK) {
        struct chunk chunk;
        chunk.count = row->position + 1 - first < KERNEL_CHUNK ? row->position + 1 - first : KERNEL_CHUNK;
        for (int j = 0; j < chunk.count; j++, taken++) {
            while (taken == run->count)
                run++, taken = 0;
            size_t at = (size_t)(kv * KERNEL_CELLS + run->cell + taken) * (size_t)dim * sizeof(uint16_t);
            chunk.keys[j] = (const uint16_t *)(const void *)(run->block + a->keys + at);
            chunk.values[j] = (const uint16_t *)(const void *)(run->block + a->values + at);
        }
        score(&chunk, q, dim, H, a->scale, scores);
        float keep[MOST_HEADS], take[MOST_HEADS];
        for (int h = 0; h < H; h++) {
            float chunk_length, chunk_maximum = exponentials(scores[h], chunk.count, &chunk_length);
            float merged = maximum[h] > chunk_maximum ? maximum[h] : chunk_maximum;
            keep[h] = exp1(maximum[h] - merged), take[h] = exp1(chunk_maximum - merged);
            length[h] = keep[h] * length[h] + take[h] * chunk_length;
            maximum[h] = merged;
        }
        int d = 0;
        for (; d + 32 <= dim; d += 32)
            add_values(&chunk, scores, H, d, 4, dim, keep, take, out);
        for (; d < dim; d += 8)
            add_values(&chunk, scores, H, d, 1, dim, keep, take, out);
    }
    for (int h = 0; h < H; h++)
        for (int d = 0; d < dim; d++)
            out[h * dim + d] /= length[h];
}

void kernel_avx2_attention(const struct kernel_attention *a, int r, int h)
{
    int group = a->heads / a->kv_heads, last = (h + 1) * group;
    for (int g = h * group; g < last;) {
        size_t at = ((size_t)r * (size_t)a->heads + (size_t)g) * (size_t)a->head_dim;
        int H = last - g;
        if (H >= 3)
            attend(a, &a->rows[r], h, 3, a->q + at, a->out + at), g += 3;
        else if (H == 2)
            attend(a, &a->rows[r], h, 2, a->q + at, a->out + at), g += 2;
        else
            attend(a, &a->rows[r], h, 1, a->q + at, a->out + at), g += 1;
    }
}
