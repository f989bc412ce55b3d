/* Attention over keys and values in Q8_0, multiplied as whole numbers. Part of attention_body.h.
 *
 * Bytes are widened to 16 bits once for all queries of a chunk. A query is rounded to 16 bits, and so are the weights
 * of its values, which is finer than bytes by 256: what attention costs in accuracy is what the cache's own bytes cost.
 * Sums of products are exact in 32 bits, in any order; the fp32 sums over groups of dimensions, and over chunks, have
 * one order.
 *
 *   score_j = q_step * sum over groups g of key_step[g][j] * (sum over d of q[d] key[d][j]), groups ascending
 *   p_j     = 2^(log2(e) * scale * score_j - m), m the greatest of the chunk that the query sees
 *   w_j     = p_j * value_step[g][j] in units of 1 / MOST of the greatest value_step[g] that the query sees
 *   out[d]  = keep * out[d] + take * unit * (sum over j of w_j value[j][d]), keep and take by whose m is greatest
 *
 * A lane multiplies and adds PAIR numbers at once (vector.h). Keys lie [block][dim / PAIR][KERNEL_CELLS][PAIR]:
 * dimensions beside each other make a pair. Of values positions do that are LANES apart, so that weights are paired
 * lane by lane and no cell has its bytes among another's: [pair][dim][PAIR].
 *
 * A position that the query does not see has weight 0, exactly: whole numbers have no NaN that would come of it.
 */
#include "attention_chunk.h"

enum {
    MOST = 32767,
    /* Vectors of dimensions computed at a time, all in one group. */
    ABREAST = VECTORS * LANES < GROUP ? VECTORS : GROUP / LANES,
};

/* --- the cache --------------------------------------------------------------------------------------------------- */

/* Steps of head h, [group][KERNEL_CELLS]; p is where the keys (or values) of a layer begin. */
static uint16_t *steps_at(const struct kernel_cache *c, const unsigned char *p, int h)
{
    size_t numbers = (size_t)c->kv_heads * (size_t)c->head_dim * KERNEL_CELLS;
    return (uint16_t *)(uintptr_t)(p + numbers) + head_at(c, h) / GROUP;
}

/* GROUP numbers to bytes; returns the step as a half, NaN where one is infinite or NaN. */
static uint16_t round_group(const float *x, int8_t *q)
{
    const uint16_t step = kernel_float_to_half(vec_greatest(x, GROUP) / 127);
    const float by = kernel_half_to_float(step);
    const vec per_step = vec_all(by > 0 ? 1 / by : 0);
    int16_t rounded[GROUP];
    for (int i = 0; i < GROUP; i += LANES) {
        const vec scaled = vec_max(vec_all(-127), vec_min(vec_all(127), vec_mul(vec_load(x + i), per_step)));
        words_store(rounded + i, scaled);
    }
    for (int i = 0; i < GROUP; i++)
        q[i] = (int8_t)rounded[i];
    return step;
}

static void store_bytes(const struct kernel_cache *c, const float *k, const float *v, unsigned char *block, int cell)
{
    const int dim = c->head_dim;
    for (int h = 0; h < c->kv_heads; h++) {
        int8_t *keys = (int8_t *)block + c->keys + head_at(c, h) + cell * PAIR;
        int8_t *values = (int8_t *)block + c->values + head_at(c, h) + cell * dim;
        uint16_t *key_steps = steps_at(c, block + c->keys, h), *value_steps = steps_at(c, block + c->values, h);
        for (int g = 0; g < dim / GROUP; g++) {
            int8_t q[GROUP];
            key_steps[g * KERNEL_CELLS + cell] = round_group(k + h * dim + g * GROUP, q);
            for (int i = 0; i < GROUP; i += PAIR)
                memcpy(keys + (g * GROUP + i) * KERNEL_CELLS, q + i, PAIR);
            value_steps[g * KERNEL_CELLS + cell] = round_group(v + h * dim + g * GROUP, values + g * GROUP);
        }
    }
}

/* --- a chunk as words -------------------------------------------------------------------------------------------- */

/* Keys of a segment go to the lanes of its cells; what lies in lanes after them is overwritten by the next segment or
 * never used. So with steps. */
static void widen_keys(const struct kernel_cache *c, int h, const struct chunk *chunk, struct bytes *b)
{
    const int numbers = c->head_dim * KERNEL_CELLS;
    for (int i = 0; i < chunk->segments_count; i++) {
        const struct segment *s = &chunk->segments[i];
        const int8_t *from = (const int8_t *)s->block + c->keys + head_at(c, h);
        const int first = s->first % KERNEL_CELLS * PAIR;
        int16_t *to = b->keys + s->first / KERNEL_CELLS * numbers;
        for (int n = 0; !first && n < numbers; n += LANES * PAIR)
            words_widen(to + n, from + n);
        for (int n = 0; first && n < numbers; n += KERNEL_CELLS * PAIR)
            for (int j = first; j < KERNEL_CELLS * PAIR; j++)
                to[n + j] = from[n + j];
    }
}

static void load_steps(const struct kernel_cache *c, int h, const struct chunk *chunk, size_t offset, float *to)
{
    for (int i = 0; i < chunk->segments_count; i++) {
        const struct segment *s = &chunk->segments[i];
        const uint16_t *steps = steps_at(c, s->block + offset, h);
        const int first = s->first % KERNEL_CELLS;
        for (int g = 0; g < c->head_dim / GROUP; g++, steps += KERNEL_CELLS) {
            float *at = to + g * KERNEL_CHUNK + s->first - first, all[KERNEL_CELLS];
            for (int l = 0; l < KERNEL_CELLS; l += LANES)
                vec_store((first ? all : at) + l, vec_load_halves(steps + l));
            if (first)
                memcpy(at + first, all + first, (size_t)(KERNEL_CELLS - first) * sizeof *at);
        }
    }
}

/* Pairs that have all of `count` positions. */
static int pairs_of(int count)
{
    const int left = count % (LANES * PAIR);
    return count / (LANES * PAIR) * LANES + (left < LANES ? left : LANES);
}

static void pair_values(const struct kernel_cache *c, int h, const struct chunk *chunk, struct bytes *b)
{
    const int8_t *rows[KERNEL_CHUNK];
    const int dim = c->head_dim;
    for (int i = 0; i < chunk->segments_count; i++) {
        const struct segment *s = &chunk->segments[i];
        const int8_t *first = (const int8_t *)s->block + c->values + head_at(c, h) + s->first % KERNEL_CELLS * dim;
        for (int j = 0; j < s->count; j++)
            rows[s->first + j] = first + j * dim;
    }
    for (int j = chunk->count; j < KERNEL_CHUNK; j++)
        rows[j] = rows[0]; /* any bytes: their weights are 0 */
    for (int i = 0; i < pairs_of(chunk->count); i++) {
        const int8_t *const *from = rows + i / LANES * LANES * PAIR + i % LANES;
        for (int d = 0; d < dim; d += LANES)
            words_pair(b->values + (i * dim + d) * PAIR, from, d);
    }
}

/* What the weights of a query that sees positions [begin, count) are rounded by. Steps of others may be anything. */
static void part_steps(struct bytes *b, int groups, int begin, int count)
{
    for (int g = 0; g < groups; g++) {
        const float *steps = b->value_steps + g * KERNEL_CHUNK;
        float some[KERNEL_CHUNK];
        if (begin) {
            memset(some, 0, (size_t)begin * sizeof *some);
            memcpy(some + begin, steps + begin, (size_t)(count - begin) * sizeof *some);
            steps = some;
        }
        const float greatest_step = vec_greatest(steps, count);
        const vec by = vec_all(greatest_step > 0 ? MOST / greatest_step : 0);
        b->units[g] = greatest_step / MOST;
        for (int j = 0; j < KERNEL_CHUNK; j += LANES) /* 0 before begin and past count */
            vec_store(b->parts + g * KERNEL_CHUNK + j,
                      j < count ? vec_mul(by, vec_load_first(steps + j, count - j)) : vec_all(0));
    }
    b->parts_begin = begin, b->parts_count = count;
}

/* --- products ---------------------------------------------------------------------------------------------------- */

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* Products of N queries with V vectors of what they share: sums[n][v] = sum over i < count of a[n][i] b[v][i]. */
INLINE void sum_products(const int16_t *a, int a_stride, const int16_t *b, long b_stride, long b_far, long count, int N, int V,
                         whole sums[TILE][VECTORS])
{
    UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int v = 0; v < V; v++)
            sums[n][v] = whole_zero();
    for (long i = 0; i < count; i++) {
        words shared[VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            shared[v] = words_load(b + i * b_stride + v * b_far);
        UNROLL for (int n = 0; n < N; n++) {
            const words x = words_all(a + n * a_stride + i * PAIR);
            UNROLL for (int v = 0; v < V; v++)
                sums[n][v] = whole_add_products(sums[n][v], x, shared[v]);
        }
    }
}

/* Scores of queries [first, first + N) in units of their steps, of vectors [at, at + V) of positions. */
INLINE void score_vectors(struct workspace *w, int dim, int first, int at, int N, int V)
{
    const struct bytes *b = &w->bytes;
    const int far = LANES == KERNEL_CELLS ? dim * KERNEL_CELLS : LANES * PAIR;
    const int16_t *keys = b->keys + vector_at(at, dim * KERNEL_CELLS, PAIR);
    for (int g = 0; g < dim / GROUP; g++) {
        whole sums[TILE][VECTORS];
        sum_products(b->q + (g * MOST_QUERIES + first) * GROUP, GROUP, keys + g * GROUP * KERNEL_CELLS, KERNEL_CELLS * PAIR, far,
                     GROUP / PAIR, N, V, sums);
        const float *steps = b->key_steps + g * KERNEL_CHUNK + at * LANES;
        UNROLL for (int n = 0; n < N; n++)
            UNROLL for (int v = 0; v < V; v++) {
                float *to = w->scores + (first + n) * KERNEL_CHUNK + (at + v) * LANES;
                const vec step = vec_load(steps + v * LANES), sum = whole_to_floats(sums[n][v]);
                vec_store(to, g ? vec_fma(step, sum, vec_load(to)) : vec_mul(step, sum));
            }
    }
}

/* The values of queries [first, first + N), weighted, summed and merged: V vectors of dimensions from d, in one group. */
INLINE void value_vectors(struct workspace *w, int dim, int first, int d, int pairs, int N, int V)
{
    const struct bytes *b = &w->bytes;
    const int g = d / GROUP;
    whole sums[TILE][VECTORS];
    sum_products(b->weights + g * TILE * KERNEL_CHUNK, KERNEL_CHUNK, b->values + d * PAIR, dim * PAIR, LANES * PAIR, pairs, N,
                 V, sums);
    UNROLL for (int n = 0; n < N; n++) {
        const float keep = w->keep[first + n];
        const vec take = vec_all(b->takes[n] * b->units_of[n * MOST_GROUPS + g]);
        UNROLL for (int v = 0; v < V; v++) {
            float *to = w->out + (first + n) * dim + d + v * LANES;
            const vec part = vec_mul(take, whole_to_floats(sums[n][v]));
            vec_store(to, keep == 0 ? part : vec_fma(vec_all(keep), vec_load(to), part)); /* 0: there is nothing yet */
        }
    }
}

/* --- a chunk ----------------------------------------------------------------------------------------------------- */

/* The greatest score of query n, in powers of 2; what it does not see is -INFINITY then. */
static float greatest_score(struct workspace *w, int n)
{
    float *scores = w->scores + n * KERNEL_CHUNK;
    const int from = w->begins[n] / LANES * LANES;
    vec most = vec_all(-INFINITY);
    for (int j = from; j < w->begins[n]; j++)
        scores[j] = -INFINITY;
    for (int j = w->counts[n]; j % LANES; j++)
        scores[j] = -INFINITY;
    for (int j = from; j < w->counts[n]; j += LANES)
        most = vec_max(most, vec_load(scores + j));
    return vec_most(most) * w->bytes.q_steps[n];
}

/* The weights of query first + n, n of its tile, from its scores, of which m is the greatest; returns its lengths. */
INLINE vec weigh(struct workspace *w, int groups, int first, int n, float m)
{
    struct bytes *b = &w->bytes;
    const int begin = w->begins[first + n], count = w->counts[first + n];
    _Alignas(64) float p[KERNEL_CHUNK];
    const float *scores = w->scores + (first + n) * KERNEL_CHUNK;
    const vec step = vec_all(b->q_steps[first + n]), most = vec_all(m);
    vec sum = vec_all(0);
    int j = 0;
    for (; j + LANES <= begin; j += LANES)
        vec_store(p + j, vec_all(0));
    for (; j < count; j += LANES) {
        const vec power = vec_power(vec_fms(vec_load(scores + j), step, most));
        vec_store(p + j, power);
        sum = vec_add(sum, power);
    }
    for (; j < KERNEL_CHUNK; j += LANES)
        vec_store(p + j, vec_all(0));
    if (b->parts_count != count || b->parts_begin != begin)
        part_steps(b, groups, begin, count);
    for (int g = 0; g < groups; g++) {
        const float *parts = b->parts + g * KERNEL_CHUNK;
        int16_t *to = b->weights + (g * TILE + n) * KERNEL_CHUNK;
        UNROLL for (j = 0; j < KERNEL_CHUNK; j += PAIR * LANES) {
            vec some[PAIR];
            UNROLL for (int i = 0; i < PAIR; i++)
                some[i] = vec_mul(vec_load(p + j + i * LANES), vec_load(parts + j + i * LANES));
            words_round(to + j, some);
        }
        b->units_of[n * MOST_GROUPS + g] = b->units[g];
    }
    return sum;
}

/* What was summed before a chunk, and what it adds, is taken by which of the two has the greatest score: mostly the former. */
INLINE void weigh_chunk(struct workspace *w, int n, float m, vec sum, float *take)
{
    const float before = w->maximum[n];
    float *lengths = w->bytes.lengths + n * LANES, power[LANES];
    if (m <= before) {
        vec_store(power, vec_power(vec_all(m - before)));
        w->keep[n] = 1, *take = power[0];
    } else {
        vec_store(power, vec_power(vec_all(before - m)));
        w->keep[n] = before - m < -126 ? 0 : power[0], *take = 1;
        w->maximum[n] = m;
    }
    sum = vec_mul(vec_all(*take), sum);
    vec_store(lengths, w->keep[n] == 0 ? sum : vec_fma(vec_all(w->keep[n]), vec_load(lengths), sum));
}

/* Queries [first, first + N) against a chunk. */
INLINE void attend_tile(struct workspace *w, int dim, int first, int count, int N)
{
    const int vectors = (count + LANES - 1) / LANES, pairs = pairs_of(count);
    float most[TILE];
    vec sums[TILE];
    int v = 0;
    for (; v + VECTORS <= vectors; v += VECTORS)
        score_vectors(w, dim, first, v, N, VECTORS);
    for (; v + 2 <= vectors; v += 2)
        score_vectors(w, dim, first, v, N, 2);
    for (; v < vectors; v++)
        score_vectors(w, dim, first, v, N, 1);
    /* One step for all queries, then the next: their chains of operations are long, and apart. */
    UNROLL for (int n = 0; n < N; n++)
        most[n] = greatest_score(w, first + n);
    for (int n = 0; n < N; n++)
        sums[n] = weigh(w, dim / GROUP, first, n, most[n]);
    for (int n = 0; n < N; n++)
        weigh_chunk(w, first + n, most[n], sums[n], &w->bytes.takes[n]);
    for (int d = 0; d < dim; d += ABREAST * LANES)
        value_vectors(w, dim, first, d, pairs, N, ABREAST);
}
/* clang-format on */

/* Queries [first, first + count) against a chunk that has all their positions. */
static void attend_bytes(struct workspace *w, const struct kernel_attention *a, int h, const struct chunk *chunk,
                         int first, int count)
{
    const int dim = a->cache.head_dim;
    widen_keys(&a->cache, h, chunk, &w->bytes);
    load_steps(&a->cache, h, chunk, a->cache.keys, w->bytes.key_steps);
    pair_values(&a->cache, h, chunk, &w->bytes);
    load_steps(&a->cache, h, chunk, a->cache.values, w->bytes.value_steps);
    w->bytes.parts_count = 0;
    const int lines = w->ahead.left * TILE / count + 1; /* a tile */
    for (int left = count, N; left > 0; left -= N, first += N) {
        ahead_fetch(&w->ahead, lines);
        N = left <= TILE ? left : left < 2 * TILE ? (left + 1) / 2 : TILE;
        switch (N) {
        case 6:
            attend_tile(w, dim, first, chunk->count, 6);
            break;
        case 5:
            attend_tile(w, dim, first, chunk->count, 5);
            break;
        case 4:
            attend_tile(w, dim, first, chunk->count, 4);
            break;
        case 3:
            attend_tile(w, dim, first, chunk->count, 3);
            break;
        case 2:
            attend_tile(w, dim, first, chunk->count, 2);
            break;
        default:
            attend_tile(w, dim, first, chunk->count, 1);
        }
    }
}

/* Query n, of the numbers q, in whole ones; its step also takes scores to powers of 2. */
static void begin_bytes(struct workspace *w, int n, const float *q, int dim, float scale)
{
    /* Below 1e-30 its products would leave the normal numbers: taken for zero, and then any step is right. */
    const float most = vec_greatest(q, dim);
    const vec by = vec_all(most < 1e-30f ? 0 : MOST / most);
    for (int g = 0; g < dim / GROUP; g++)
        for (int i = 0; i < GROUP; i += LANES)
            words_store(w->bytes.q + (g * MOST_QUERIES + n) * GROUP + i, vec_mul(by, vec_load(q + g * GROUP + i)));
    w->bytes.q_steps[n] = most < 1e-30f ? 1 : most / MOST * scale * 1.44269504f;
}

/* The partial of query n is of natural powers. */
static void end_bytes(struct workspace *w, int n)
{
    w->maximum[n] *= 0.693147181f;
    w->length[n] = vec_sum(vec_load(w->bytes.lengths + n * LANES));
}
