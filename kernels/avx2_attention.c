/* Attention over a tree's cache, AVX2, with the cache in half precision.
 *
 * A block's keys lie transposed, [kv_heads][head_dim][KERNEL_CELLS], so that 8 positions are scored in one vector and
 * no sum crosses lanes; its values lie as they come, [kv_heads][KERNEL_CELLS][head_dim]. A query is one head of one
 * row; those that share a kv head and a chunk's positions, as the heads of a group and the branches of a tree on their
 * common prefix do, go over its keys and values together, and each is loaded and converted once for several.
 *
 * The cell of a position is its position modulo KERNEL_CELLS, so a position has the same lane of the same vector
 * whichever run it is in, and each lane of each query has its own sums: that is why the numbers depend neither on runs
 * nor on what else is computed beside them.
 */
#include "avx2.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")
#define MOST_QUERIES 48 /* gone over together */
#define TILE 6 /* of which are computed at a time at most: 6 times 2 vectors of sums are 12 of the 16 registers */

/* Consecutive positions of a chunk in one block. Invariant: they do not straddle a multiple of KERNEL_CELLS. */
struct segment {
    const uint16_t *keys;   /* of the block: [head_dim][KERNEL_CELLS] */
    const uint16_t *values; /* of the first position: [count][head_dim] */
    int first, count;       /* positions, from the chunk's begin */
};
struct chunk {
    struct segment segments[KERNEL_CHUNK];
    int segments_count, count; /* count: positions */
};

/* maximum and length are those of the chunks so far: of the scores, and of the sum of exp(score - maximum). The chunk
 * at hand is merged as out = keep * out + take * sums. */
struct query {
    const float *q;
    float *out;
    float maximum, length, keep, take;
    float scores[KERNEL_CHUNK]; /* of the chunk at hand; then exp(score - the chunk's maximum) */
};

/* Where a walk along a row's runs stands: `taken` positions of *run are behind it. */
struct walk {
    const struct kernel_run *run;
    int taken;
};

static void take_chunk(const struct kernel_attention *a, int kv, int count, struct walk *walk, struct chunk *chunk)
{
    const size_t head = (size_t)kv * KERNEL_CELLS * (size_t)a->head_dim;
    chunk->count = count;
    chunk->segments_count = 0;
    for (int j = 0; j < count;) {
        while (walk->taken == walk->run->count)
            walk->run++, walk->taken = 0;
        const struct kernel_run *run = walk->run;
        int some = run->count - walk->taken < count - j ? run->count - walk->taken : count - j;
        chunk->segments[chunk->segments_count++] =
            (struct segment){.keys = (const uint16_t *)(const void *)(run->block + a->keys) + head,
                             .values = (const uint16_t *)(const void *)(run->block + a->values) + head +
                                       (size_t)(run->cell + walk->taken) * (size_t)a->head_dim,
                             .first = j,
                             .count = some};
        walk->taken += some;
        j += some;
    }
}

static int same_chunk(const struct chunk *a, const struct chunk *b)
{
    if (a->count != b->count || a->segments_count != b->segments_count)
        return 0;
    for (int i = 0; i < a->segments_count; i++)
        if (a->segments[i].values != b->segments[i].values || a->segments[i].count != b->segments[i].count)
            return 0;
    return 1;
}

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* sums[n][v] += scalars[n][at] * vectors[v], N scalars by V vectors of the first `count` (at most 8) halves. Whichever
 * are fewer stay in registers while each of the others is loaded once. */
INLINE void add_products(__m256 sums[TILE][8], int N, int V, const float *const *scalars, int at,
                         const uint16_t *const *vectors, int count)
{
    __m256 few[TILE];
    if (N < V) {
        UNROLL for (int n = 0; n < N; n++)
            few[n] = _mm256_set1_ps(scalars[n][at]);
        UNROLL for (int v = 0; v < V; v++) {
            __m256 vector = load_halves(vectors[v], count);
            UNROLL for (int n = 0; n < N; n++)
                sums[n][v] = _mm256_fmadd_ps(few[n], vector, sums[n][v]);
        }
    } else {
        UNROLL for (int v = 0; v < V; v++)
            few[v] = load_halves(vectors[v], count);
        UNROLL for (int n = 0; n < N; n++) {
            __m256 scalar = _mm256_set1_ps(scalars[n][at]);
            UNROLL for (int v = 0; v < V; v++)
                sums[n][v] = _mm256_fmadd_ps(scalar, few[v], sums[n][v]);
        }
    }
}

/* to[lane] = x[lane] for lanes [first, last) of 8. Apart, lest its constants take registers where sums need them. */
static __attribute__((noinline)) void store_lanes(float *to, __m256 x, int first, int last)
{
    __m256i lanes = _mm256_andnot_si256(lanes8(first), lanes8(last));
    _mm256_storeu_ps(to, _mm256_blendv_ps(_mm256_loadu_ps(to), x, _mm256_castsi256_ps(lanes)));
}

/* scores[j] = q . k_j of N queries, products added in order of d; S segments at a time, each two vectors. */
INLINE void score(const struct chunk *chunk, struct query *queries, int N, int S, int dim)
{
    const float *qs[TILE];
    UNROLL for (int n = 0; n < N; n++)
        qs[n] = queries[n].q;
    for (int i = 0; i < chunk->segments_count; i += S) {
        __m256 sums[TILE][8];
        UNROLL for (int n = 0; n < N; n++)
            UNROLL for (int v = 0; v < 2 * S; v++)
                sums[n][v] = _mm256_setzero_ps();
        const uint16_t *keys[8];
        UNROLL for (int v = 0; v < 2 * S; v++)
            keys[v] = chunk->segments[i + v / 2 < chunk->segments_count ? i + v / 2 : i].keys + v % 2 * 8;
        for (int d = 0; d < dim; d++) {
            add_products(sums, N, 2 * S, qs, d, keys, 8);
            UNROLL for (int v = 0; v < 2 * S; v++)
                keys[v] += KERNEL_CELLS;
        }
        UNROLL for (int s = 0; s < S; s++) {
            if (i + s >= chunk->segments_count)
                break;
            const struct segment *segment = &chunk->segments[i + s];
            int first = segment->first % KERNEL_CELLS, group = segment->first - first, last = first + segment->count;
            UNROLL for (int n = 0; n < N; n++) {
                float *to = queries[n].scores + group;
                if (segment->count == KERNEL_CELLS) {
                    _mm256_storeu_ps(to, sums[n][2 * s]);
                    _mm256_storeu_ps(to + 8, sums[n][2 * s + 1]);
                } else {
                    store_lanes(to, sums[n][2 * s], first, last);
                    store_lanes(to + 8, sums[n][2 * s + 1], first - 8, last - 8);
                }
            }
        }
    }
}

/* Scores, scaled, to exp(score - the chunk's maximum); their sum: 8 sums by position mod 8, then sum8. */
static void exponentials(struct query *query, int count, float scale)
{
    float *scores = query->scores;
    __m256 most = _mm256_set1_ps(-INFINITY), sum = _mm256_setzero_ps();
    for (int j = count; j % 8; j++)
        scores[j] = -INFINITY;
    for (int j = 0; j < count; j += 8) {
        __m256 scaled = _mm256_mul_ps(_mm256_set1_ps(scale), _mm256_loadu_ps(scores + j));
        _mm256_storeu_ps(scores + j, scaled);
        most = _mm256_max_ps(most, scaled);
    }
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    float maximum = _mm_cvtss_f32(m), merged = query->maximum > maximum ? query->maximum : maximum;
    for (int j = 0; j < count; j += 8) {
        __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(scores + j), _mm256_set1_ps(maximum)));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
    }
    __m256 both = exp8(_mm256_setr_ps(query->maximum - merged, maximum - merged, 0, 0, 0, 0, 0, 0));
    query->keep = _mm256_cvtss_f32(both), query->take = _mm256_cvtss_f32(_mm256_permute_ps(both, 1));
    query->length = query->keep * query->length + query->take * sum8(sum);
    query->maximum = merged;
}

/* out[d ...] = keep out + take (sum over j of weight_j v_j, in order of j) of N queries, for V vectors of 8 from d on;
 * of a single one (V = 1) only what head_dim leaves. */
INLINE void add_values(const struct chunk *chunk, struct query *queries, int N, int V, int d, int dim)
{
    const float *weights[TILE];
    __m256 sums[TILE][8];
    UNROLL for (int n = 0; n < N; n++) {
        weights[n] = queries[n].scores;
        UNROLL for (int i = 0; i < V; i++)
            sums[n][i] = _mm256_setzero_ps();
    }
    for (int s = 0; s < chunk->segments_count; s++) {
        const struct segment *segment = &chunk->segments[s];
        const uint16_t *values[8];
        UNROLL for (int i = 0; i < V; i++)
            values[i] = segment->values + d + 8 * i;
        for (int j = segment->first; j < segment->first + segment->count; j++) {
            add_products(sums, N, V, weights, j, values, V > 1 ? 8 : dim - d);
            UNROLL for (int i = 0; i < V; i++)
                values[i] += dim;
        }
    }
    UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int i = 0; i < V; i++) {
            float *to = queries[n].out + d + 8 * i;
            __m256 keep = _mm256_set1_ps(queries[n].keep);
            __m256 sum = _mm256_mul_ps(_mm256_set1_ps(queries[n].take), sums[n][i]);
            int first = queries[n].keep == 0; /* the first chunk, when out holds nothing yet */
            if (V > 1) {
                _mm256_storeu_ps(to, first ? sum : _mm256_fmadd_ps(keep, _mm256_loadu_ps(to), sum));
            } else {
                __m256i lanes = lanes8(dim - d);
                _mm256_maskstore_ps(to, lanes, first ? sum : _mm256_fmadd_ps(keep, _mm256_maskload_ps(to, lanes), sum));
            }
        }
}

/* N queries against a chunk, S segments and V vectors of values at a time: N S 2 and N V are about a dozen. */
INLINE void tile(const struct chunk *chunk, struct query *queries, int N, int S, int V, int dim, float scale)
{
    int d = 0;
    score(chunk, queries, N, S, dim);
    for (int n = 0; n < N; n++)
        exponentials(&queries[n], chunk->count, scale);
    for (; d + 8 * V <= dim; d += 8 * V)
        add_values(chunk, queries, N, V, d, dim);
    for (; d < dim; d += 8)
        add_values(chunk, queries, N, 1, d, dim);
}

/* clang-format on */

static void attend(const struct chunk *chunk, struct query *queries, int count, int dim, float scale)
{
    for (int left = count, N; left > 0; left -= N, queries += N) {
        N = left >= 6 ? 6 : left >= 5 ? 3 : left == 4 ? 2 : left;
        if (N == 6)
            tile(chunk, queries, 6, 1, 2, dim, scale);
        else if (N == 3)
            tile(chunk, queries, 3, 2, 4, dim, scale);
        else if (N == 2)
            tile(chunk, queries, 2, 2, 4, dim, scale);
        else
            tile(chunk, queries, 1, 4, 8, dim, scale);
    }
}

/* Rows [first, last), at most MOST_QUERIES of queries, and heads [head, head + heads) of them, which share kv head kv.
 */
static void attend_rows(const struct kernel_attention *a, int first, int last, int kv, int head, int heads)
{
    struct query queries[MOST_QUERIES];
    struct walk walks[MOST_QUERIES];
    struct chunk chunks[2];
    const int dim = a->head_dim, rows = last - first;
    int furthest = 0;
    for (int r = 0; r < rows; r++) {
        walks[r] = (struct walk){a->rows[first + r].runs, 0};
        furthest = a->rows[first + r].position > furthest ? a->rows[first + r].position : furthest;
        for (int h = 0; h < heads; h++) {
            size_t at = ((size_t)(first + r) * (size_t)a->heads + (size_t)(head + h)) * (size_t)dim;
            struct query *query = &queries[r * heads + h];
            query->q = a->q + at, query->out = a->out + at;
            query->maximum = -INFINITY, query->length = 0;
        }
    }
    for (int from = 0; from <= furthest; from += KERNEL_CHUNK) {
        int leader = 0, now = 0; /* rows [leader, r) have the chunk chunks[now] */
        chunks[now].count = 0;
        for (int r = 0; r < rows; r++) {
            int count = a->rows[first + r].position + 1 - from;
            struct chunk *next = &chunks[!now];
            next->count = next->segments_count = 0;
            if (count > 0)
                take_chunk(a, kv, count < KERNEL_CHUNK ? count : KERNEL_CHUNK, &walks[r], next);
            if (r > leader && same_chunk(&chunks[now], next))
                continue;
            if (chunks[now].count)
                attend(&chunks[now], queries + leader * heads, (r - leader) * heads, dim, a->scale);
            leader = r, now = !now;
        }
        if (chunks[now].count)
            attend(&chunks[now], queries + leader * heads, (rows - leader) * heads, dim, a->scale);
    }
    for (int i = 0; i < rows * heads; i++)
        for (int d = 0; d < dim; d++)
            queries[i].out[d] /= queries[i].length;
}

void kernel_avx2_attention_rows(const struct kernel_attention *a, int first, int last, int h)
{
    const int group = a->heads / a->kv_heads, end = (h + 1) * group;
    for (int head = h * group, heads; head < end; head += heads) {
        heads = end - head < MOST_QUERIES ? end - head : MOST_QUERIES;
        for (int r = first, most = MOST_QUERIES / heads; r < last; r += most)
            attend_rows(a, r, r + most < last ? r + most : last, h, head, heads);
    }
}
