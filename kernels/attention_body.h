/* Attention over a tree's cache, for any set: included once by the set's own file, after its vector_*.h.
 *
 * A query is one head of one row. The queries that share a kv head and a chunk's positions, as the heads of a group,
 * the branches of a tree on their common prefix and the tokens of a prompt do, go over the chunk together: its keys and
 * values are turned into floats once for all of them, then each query has its scores, their exponentials and its sum of
 * values. Keys lie transposed, so that LANES positions are scored in one vector and no sum crosses lanes.
 *
 * The cell of a position is its position modulo KERNEL_CELLS, so a position has the same lane of the same vector
 * whichever run it is in, and each lane of each query has its own sums: that is why the numbers depend neither on runs
 * nor on what else is computed beside them. Nothing past a query's own position is multiplied into its sums, not even by zero.
 *
 * The cache of a layer in a block, of each kv head one after the other:
 *   F16   keys [head_dim][KERNEL_CELLS], values [KERNEL_CELLS][head_dim], halves
 *   Q8_0  the same in signed bytes, all heads; then their steps, halves, one for each 32 dimensions of a cell:
 *         of keys [head_dim / 32][KERNEL_CELLS], of values [KERNEL_CELLS][head_dim / 32]
 */
#include "kernels.h"
#include "vector.h"

#include <math.h>
#include <string.h>

enum {
    TILE = 6,          /* queries computed at a time at most */
    MOST_QUERIES = 48, /* gone over together */
    GROUP = 32,        /* dimensions that share a step in Q8_0 */
};

/* Consecutive positions of a chunk in one block. Invariant: they do not straddle a multiple of KERNEL_CELLS. */
struct segment {
    unsigned char *block;
    int first, count; /* positions, from the chunk's begin; first % KERNEL_CELLS is the cell */
};
struct chunk {
    struct segment segments[KERNEL_CHUNK];
    int segments_count, count; /* count: positions */
};

/* What queries that go together need, of head width dim, padded to a multiple of LANES for values. */
struct workspace {
    /* A chunk's keys, [KERNEL_CHUNK / KERNEL_CELLS][dim][KERNEL_CELLS], and when these are done with its values, [KERNEL_CHUNK]
     * [padded]: in the same place, which is in the nearest cache then. */
    float shared[KERNEL_HEAD_DIM * KERNEL_CHUNK];
    float q[MOST_QUERIES * KERNEL_HEAD_DIM];      /* [query][dim] */
    float out[MOST_QUERIES * KERNEL_HEAD_DIM];    /* [query][padded] */
    float scores[MOST_QUERIES * KERNEL_CHUNK];    /* of the chunk at hand; then exp(score - maximum) */
    /* maximum and length are those of the chunks so far: of the scores, and of the sum of exp(score - maximum). The
     * chunk at hand is merged as out = keep * out + sums. */
    float maximum[MOST_QUERIES], length[MOST_QUERIES], keep[MOST_QUERIES];
    int counts[MOST_QUERIES]; /* positions of the chunk at hand that the query sees */
};

/* --- the cache --------------------------------------------------------------------------------------------------- */

static size_t cache_bytes(enum kernel_type type, int kv_heads, int head_dim)
{
    size_t numbers = (size_t)kv_heads * (size_t)head_dim * KERNEL_CELLS;
    if (type == KERNEL_F16)
        return 2 * numbers;
    return type == KERNEL_Q8_0 && head_dim % GROUP == 0 ? numbers + numbers / GROUP * 2 : 0;
}

/* The first of head h's keys (or values) at p; of Q8_0 also of its steps. */
static size_t head_at(const struct kernel_cache *c, int h)
{
    return (size_t)h * (size_t)c->head_dim * KERNEL_CELLS;
}

static uint16_t *steps_at(const struct kernel_cache *c, const unsigned char *p, int h)
{
    size_t numbers = (size_t)c->kv_heads * (size_t)c->head_dim * KERNEL_CELLS;
    return (uint16_t *)(uintptr_t)(p + numbers) + head_at(c, h) / GROUP;
}

/* GROUP numbers to bytes; returns the step as a half. */
static uint16_t round_group(const float *x, int8_t *q)
{
    vec most = vec_all(0);
    for (int i = 0; i < GROUP; i += LANES)
        most = vec_max(most, vec_max(vec_load(x + i), vec_sub(vec_all(0), vec_load(x + i))));
    uint16_t step = kernel_float_to_half(vec_most(most) / 127);
    float by = kernel_half_to_float(step), rounded[GROUP];
    by = by > 0 ? 1 / by : 0;
    for (int i = 0; i < GROUP; i += LANES) {
        vec scaled = vec_round(vec_mul(vec_load(x + i), vec_all(by)));
        vec_store(rounded + i, vec_max(vec_all(-127), vec_min(vec_all(127), scaled)));
    }
    for (int i = 0; i < GROUP; i++)
        q[i] = (int8_t)rounded[i];
    return step;
}

static void store_bytes(const struct kernel_cache *c, const float *k, const float *v, unsigned char *block, int cell)
{
    const int groups = c->head_dim / GROUP;
    for (int h = 0; h < c->kv_heads; h++) {
        int8_t *keys = (int8_t *)block + c->keys + head_at(c, h) + cell;
        int8_t *values = (int8_t *)block + c->values + head_at(c, h) + cell * c->head_dim;
        uint16_t *key_steps = steps_at(c, block + c->keys, h), *value_steps = steps_at(c, block + c->values, h);
        for (int g = 0; g < groups; g++) {
            int8_t q[GROUP];
            key_steps[g * KERNEL_CELLS + cell] = round_group(k + h * c->head_dim + g * GROUP, q);
            for (int i = 0; i < GROUP; i++)
                keys[(g * GROUP + i) * KERNEL_CELLS] = q[i];
            value_steps[cell * groups + g] = round_group(v + h * c->head_dim + g * GROUP, values + g * GROUP);
        }
    }
}

static void store_halves(const struct kernel_cache *c, const float *k, const float *v, unsigned char *block, int cell)
{
    const int dim = c->head_dim;
    for (int h = 0; h < c->kv_heads; h++) {
        uint16_t *keys = (uint16_t *)(void *)(block + c->keys) + head_at(c, h) + cell;
        uint16_t *values = (uint16_t *)(void *)(block + c->values) + head_at(c, h) + cell * dim;
        for (int d = 0; d < dim; d += LANES) {
            uint16_t key[LANES], value[LANES];
            int n = dim - d < LANES ? dim - d : LANES;
            vec_store_halves(key, vec_load_first(k + h * dim + d, n));
            vec_store_halves(value, vec_load_first(v + h * dim + d, n));
            for (int i = 0; i < n; i++)
                keys[(d + i) * KERNEL_CELLS] = key[i];
            memcpy(values + d, value, (size_t)n * sizeof *value);
        }
    }
}

static void store(const struct kernel_cache *c, const float *k, const float *v, unsigned char *block, int cell)
{
    (c->type == KERNEL_F16 ? store_halves : store_bytes)(c, k, v, block, cell);
}

/* --- a chunk as floats ------------------------------------------------------------------------------------------- */

/* Where a walk along a row's runs stands: `taken` positions of *run are behind it. */
struct walk {
    const struct kernel_run *run;
    int taken;
};

static void take_chunk(int count, struct walk *walk, struct chunk *chunk)
{
    chunk->count = count;
    chunk->segments_count = 0;
    for (int j = 0; j < count;) {
        while (walk->taken == walk->run->count)
            walk->run++, walk->taken = 0;
        int left = walk->run->count - walk->taken, some = left < count - j ? left : count - j;
        chunk->segments[chunk->segments_count++] = (struct segment){walk->run->block, j, some};
        walk->taken += some;
        j += some;
    }
}

/* Whether all positions of one are positions of the other. */
static int begins_alike(const struct chunk *a, const struct chunk *b)
{
    const struct chunk *less = a->count < b->count ? a : b, *more = less == a ? b : a;
    const int last = less->segments_count - 1;
    if (less->segments_count > more->segments_count)
        return 0;
    for (int i = 0; i <= last; i++) {
        const struct segment *s = &less->segments[i], *t = &more->segments[i];
        if (s->block != t->block || (i < last ? s->count != t->count : s->count > t->count))
            return 0;
    }
    return 1;
}

/* n halves, or bytes of one step, to floats. */
INLINE void halves_to_floats(const uint16_t *from, int n, float *to)
{
    int i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (int j = 0; j < 4; j++)
            vec_store(to + i + LANES * j, vec_load_halves(from + i + LANES * j));
    for (; i < n; i += LANES)
        vec_store_first(to + i, n - i, vec_load_halves_first(from + i, n - i));
}

/* The keys of a block, [dim][KERNEL_CELLS]. */
static void block_keys(const struct kernel_cache *c, int h, const unsigned char *block, float *to)
{
    const int dim = c->head_dim;
    if (c->type == KERNEL_F16) {
        halves_to_floats((const uint16_t *)(const void *)(block + c->keys) + head_at(c, h), dim * KERNEL_CELLS, to);
        return;
    }
    const int8_t *bytes = (const int8_t *)block + c->keys + head_at(c, h);
    const uint16_t *steps = steps_at(c, block + c->keys, h);
    for (int g = 0; g < dim / GROUP; g++)
        for (int l = 0; l < KERNEL_CELLS; l += LANES) {
            const vec step = vec_load_halves(steps + g * KERNEL_CELLS + l);
            for (int d = g * GROUP; d < (g + 1) * GROUP; d++)
                vec_store(to + d * KERNEL_CELLS + l, vec_mul(step, vec_load_bytes(bytes + d * KERNEL_CELLS + l)));
        }
}

/* Keys of a segment go to the lanes of its cells; what lies in lanes after them is overwritten by the next segment or
 * never used. */
static void load_keys(const struct kernel_cache *c, int h, const struct chunk *chunk, float *to)
{
    const int numbers = c->head_dim * KERNEL_CELLS;
    float whole[KERNEL_HEAD_DIM * KERNEL_CELLS];
    for (int i = 0; i < chunk->segments_count; i++) {
        const struct segment *s = &chunk->segments[i];
        const int cell = s->first % KERNEL_CELLS;
        float *at = to + s->first / KERNEL_CELLS * numbers;
        block_keys(c, h, s->block, cell ? whole : at);
        for (int d = 0; cell && d < numbers; d += KERNEL_CELLS)
            memcpy(at + d + cell, whole + d + cell, (size_t)(KERNEL_CELLS - cell) * sizeof *at);
    }
}

static void load_values(const struct kernel_cache *c, int h, const struct chunk *chunk, float *to, int padded)
{
    const int dim = c->head_dim, groups = dim / GROUP;
    for (int i = 0; i < chunk->segments_count; i++) {
        const struct segment *s = &chunk->segments[i];
        const size_t at = head_at(c, h) + (size_t)(s->first % KERNEL_CELLS * dim);
        float *row = to + s->first * padded;
        if (c->type == KERNEL_F16) {
            const uint16_t *halves = (const uint16_t *)(const void *)(s->block + c->values) + at;
            if (padded == dim)
                halves_to_floats(halves, s->count * dim, row);
            for (int j = 0; padded != dim && j < s->count; j++)
                halves_to_floats(halves + j * dim, dim, row + j * padded);
            continue;
        }
        const int8_t *bytes = (const int8_t *)s->block + c->values + at;
        const uint16_t *steps = steps_at(c, s->block + c->values, h) + s->first % KERNEL_CELLS * groups;
        for (int g = 0; g < s->count * groups; g++) {
            const vec step = vec_all(kernel_half_to_float(steps[g]));
            for (int d = g * GROUP; d < (g + 1) * GROUP; d += LANES)
                vec_store(row + d, vec_mul(step, vec_load_bytes(bytes + d)));
        }
    }
}

/* --- products ---------------------------------------------------------------------------------------------------- */

/* One product of N queries with what they share: sums[n] = sum over i < counts[n] of a[n][i] b[i], i ascending. It goes to c,
 * or with keep is merged into it. b[i] is `width` numbers, in groups of KERNEL_CELLS that lie b_far apart. */
struct product {
    const float *a, *b; /* [N][a_stride]; b[i] begins i * b_stride further */
    int a_stride, b_stride, b_far, width, c_stride;
    float *c; /* [N][c_stride] */
    const int *counts;
    const float *keep; /* [N], or NULL */
};

INLINE const float *vector_at(const struct product *p, int v)
{
    return p->b + v * LANES / KERNEL_CELLS * p->b_far + v * LANES % KERNEL_CELLS;
}

/* It would set the loops after UNROLL apart. */
/* clang-format off */

/* Vectors [first, first + V) of what is shared. */
INLINE void tile(const struct product *p, int N, int first, int V)
{
    vec sums[TILE][VECTORS];
    UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int v = 0; v < V; v++)
            sums[n][v] = vec_all(0);
    int common = p->counts[0];
    UNROLL for (int n = 1; n < N; n++)
        common = p->counts[n] < common ? p->counts[n] : common;
    const float *a = p->a, *b[VECTORS];
    UNROLL for (int v = 0; v < V; v++)
        b[v] = vector_at(p, first + v);
    const long stride = p->b_stride, a_stride = p->a_stride;
    for (long i = 0; i < common; i++) {
        vec shared[VECTORS];
        UNROLL for (int v = 0; v < V; v++)
            shared[v] = vec_load(b[v] + i * stride);
        UNROLL for (int n = 0; n < N; n++) {
            vec x = vec_all(a[n * a_stride + i]);
            UNROLL for (int v = 0; v < V; v++)
                sums[n][v] = vec_fma(x, shared[v], sums[n][v]);
        }
    }
    UNROLL for (int n = 0; n < N; n++)
        for (long i = common; i < p->counts[n]; i++)
            UNROLL for (int v = 0; v < V; v++)
                sums[n][v] = vec_fma(vec_all(a[n * a_stride + i]), vec_load(b[v] + i * stride), sums[n][v]);
    UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int v = 0; v < V; v++) {
            float *to = p->c + n * p->c_stride + LANES * (first + v);
            if (!p->keep)
                vec_store(to, sums[n][v]);
            else if (p->keep[n] == 0) /* the first chunk, when there is nothing yet */
                vec_store(to, sums[n][v]);
            else
                vec_store(to, vec_fma(vec_all(p->keep[n]), vec_load(to), sums[n][v]));
        }
}
/* clang-format on */

INLINE void tile_vectors(const struct product *p, int N)
{
    const int vectors = (p->width + LANES - 1) / LANES;
    int v = 0;
    for (; v + VECTORS <= vectors; v += VECTORS)
        tile(p, N, v, VECTORS);
    for (; v + 2 <= vectors; v += 2)
        tile(p, N, v, 2);
    for (; v < vectors; v++)
        tile(p, N, v, 1);
}

static void run_product(struct product p, int queries)
{
    for (int left = queries, N; left > 0; left -= N) {
        N = left <= TILE ? left : left < 2 * TILE ? (left + 1) / 2 : TILE;
        switch (N) {
        case 6:
            tile_vectors(&p, 6);
            break;
        case 5:
            tile_vectors(&p, 5);
            break;
        case 4:
            tile_vectors(&p, 4);
            break;
        case 3:
            tile_vectors(&p, 3);
            break;
        case 2:
            tile_vectors(&p, 2);
            break;
        default:
            tile_vectors(&p, 1);
        }
        p.a += N * p.a_stride, p.c += N * p.c_stride, p.counts += N;
        if (p.keep)
            p.keep += N;
    }
}

/* Scores of query n, scaled, to exp(score - the greatest so far); their sum: LANES sums by position mod LANES, then vec_sum.
 * Mostly an earlier chunk has the greatest score, and then nothing of what was summed so far changes. */
static void exponentials(struct workspace *w, int n, float scale)
{
    float *scores = w->scores + n * KERNEL_CHUNK;
    const int count = w->counts[n];
    vec most = vec_all(-INFINITY), sum = vec_all(0);
    for (int j = count; j % LANES; j++)
        scores[j] = -INFINITY;
    for (int j = 0; j < count; j += LANES) {
        vec scaled = vec_mul(vec_all(scale), vec_load(scores + j));
        vec_store(scores + j, scaled);
        most = vec_max(most, scaled);
    }
    const float maximum = vec_most(most);
    w->keep[n] = w->maximum[n] == -INFINITY ? 0 : 1;
    if (!(maximum <= w->maximum[n])) {
        float power[LANES];
        vec_store(power, vec_exp(vec_all(w->maximum[n] - maximum)));
        w->keep[n] *= power[0];
        w->maximum[n] = maximum;
    }
    for (int j = 0; j < count; j += LANES) {
        vec e = vec_exp(vec_sub(vec_load(scores + j), vec_all(w->maximum[n])));
        vec_store(scores + j, e);
        sum = vec_add(sum, e);
    }
    w->length[n] = w->keep[n] * w->length[n] + vec_sum(sum);
}

/* Queries [first, first + count) against a chunk that has all their positions. */
static void attend_chunk(struct workspace *w, const struct kernel_attention *a, int h, const struct chunk *chunk,
                         int first, int count)
{
    const int dim = a->cache.head_dim, padded = (dim + LANES - 1) / LANES * LANES;
    int dims[MOST_QUERIES];
    for (int n = 0; n < count; n++)
        dims[n] = dim;
    load_keys(&a->cache, h, chunk, w->shared);
    run_product((struct product){.a = w->q + first * dim,
                                 .a_stride = dim,
                                 .b = w->shared,
                                 .b_stride = KERNEL_CELLS,
                                 .b_far = dim * KERNEL_CELLS,
                                 .width = chunk->count,
                                 .c = w->scores + first * KERNEL_CHUNK,
                                 .c_stride = KERNEL_CHUNK,
                                 .counts = dims},
                count);
    for (int n = first; n < first + count; n++)
        exponentials(w, n, a->scale);
    load_values(&a->cache, h, chunk, w->shared, padded);
    run_product((struct product){.a = w->scores + first * KERNEL_CHUNK,
                                 .a_stride = KERNEL_CHUNK,
                                 .b = w->shared,
                                 .b_stride = padded,
                                 .b_far = KERNEL_CELLS,
                                 .width = padded,
                                 .c = w->out + first * padded,
                                 .c_stride = padded,
                                 .counts = w->counts + first,
                                 .keep = w->keep + first},
                count);
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* What the rows of a task have in common: heads [head, head + heads), which share kv head h. */
struct task {
    const struct kernel_attention *a;
    int h, head, heads, first, rows;
};

/* Let memory bring a chunk while another is computed. */
static void fetch_chunk(const struct kernel_cache *c, int h, const struct chunk *chunk)
{
    const size_t bytes = (size_t)c->head_dim * KERNEL_CELLS * (c->type == KERNEL_F16 ? 2 : 1);
    for (int i = 0; i < chunk->segments_count; i++) {
        const unsigned char *keys = chunk->segments[i].block + c->keys + (size_t)h * bytes;
        const unsigned char *values = chunk->segments[i].block + c->values + (size_t)h * bytes;
        for (size_t b = 0; b < bytes; b += 64) {
            __builtin_prefetch(keys + b, 0, 2);
            __builtin_prefetch(values + b, 0, 2);
        }
    }
}

/* The chunk the first row has after this one: what follows on a path that rows share. */
static void fetch_next(const struct task *t, struct walk walk, int from, int end)
{
    struct chunk next;
    const int last = t->a->rows[t->first].position + 1, until = last < end ? last : end;
    if (from >= until)
        return;
    take_chunk(until - from < KERNEL_CHUNK ? until - from : KERNEL_CHUNK, &walk, &next);
    fetch_chunk(&t->a->cache, t->h, &next);
}

/* Rows that see positions of the chunk that begins at `from`, and see them in the same cells, go together. */
static void attend_from(struct workspace *w, const struct task *t, struct walk *walks, int from, int end)
{
    struct chunk chunks[2];
    int leader = 0, now = 0; /* rows [leader, r) are within chunks[now] */
    chunks[now].count = 0;
    for (int r = 0; r <= t->rows; r++) {
        struct chunk *next = &chunks[!now];
        int count = r < t->rows ? t->a->rows[t->first + r].position + 1 - from : 0;
        next->count = next->segments_count = 0;
        if (count > 0)
            take_chunk(count < KERNEL_CHUNK ? count : KERNEL_CHUNK, &walks[r], next);
        for (int n = r * t->heads; r < t->rows && n < (r + 1) * t->heads; n++)
            w->counts[n] = next->count;
        if (r < t->rows && r > leader && next->count && chunks[now].count && begins_alike(&chunks[now], next)) {
            if (next->count > chunks[now].count)
                now = !now;
            continue;
        }
        if (r < t->rows)
            fetch_chunk(&t->a->cache, t->h, next);
        else
            fetch_next(t, walks[0], from + KERNEL_CHUNK, end);
        if (chunks[now].count)
            attend_chunk(w, t->a, t->h, &chunks[now], leader * t->heads, (r - leader) * t->heads);
        leader = r, now = !now;
    }
}

static void skip_positions(struct walk *walk, int positions)
{
    while (positions > 0) {
        int left = walk->run->count - walk->taken, some = left < positions ? left : positions;
        positions -= some;
        walk->taken += some;
        if (walk->taken == walk->run->count && positions > 0)
            walk->run++, walk->taken = 0;
    }
}

/* Row r, head g of it: where its partial of a span lies. */
static float *partial_at(const struct kernel_attention *a, int span, int r, int g)
{
    return a->partials + (((size_t)span * (size_t)a->partial_rows + (size_t)r) * (size_t)a->heads + (size_t)g) *
                             ((size_t)a->cache.head_dim + 2);
}

static void attend_rows(const struct task *t, int span)
{
    struct workspace w; /* large, and of it only what head_dim and the queries need is touched */
    struct walk walks[MOST_QUERIES];
    const struct kernel_attention *a = t->a;
    const int dim = a->cache.head_dim, padded = (dim + LANES - 1) / LANES * LANES, begin = span * KERNEL_SPAN;
    int end = 0; /* of the positions that any row sees here */
    for (int r = 0; r < t->rows; r++) {
        const struct kernel_row *row = &a->rows[t->first + r];
        walks[r] = (struct walk){row->runs, 0};
        if (row->position >= begin)
            skip_positions(&walks[r], begin);
        end = row->position >= end ? row->position + 1 : end;
        memcpy(w.q + r * t->heads * dim,
               a->q + ((size_t)(t->first + r) * (size_t)a->heads + (size_t)t->head) * (size_t)dim,
               (size_t)(t->heads * dim) * sizeof *w.q);
        for (int n = r * t->heads; n < (r + 1) * t->heads; n++)
            w.maximum[n] = -INFINITY, w.length[n] = 0;
    }
    end = end < begin + KERNEL_SPAN ? end : begin + KERNEL_SPAN;
    for (int from = begin; from < end; from += KERNEL_CHUNK)
        attend_from(&w, t, walks, from, end);
    for (int n = 0; n < t->rows * t->heads; n++) {
        const int r = t->first + n / t->heads;
        float *to = partial_at(a, span, r, t->head + n % t->heads);
        if (a->rows[r].position < begin)
            continue;
        memcpy(to, w.out + n * padded, (size_t)dim * sizeof *to);
        to[dim] = w.maximum[n], to[dim + 1] = w.length[n];
    }
}

static void attention_rows(const struct kernel_attention *a, int first, int last, int h, int span)
{
    const int group = a->heads / a->cache.kv_heads, end = (h + 1) * group;
    for (int head = h * group, heads; head < end; head += heads) {
        heads = end - head < MOST_QUERIES ? end - head : MOST_QUERIES;
        for (int r = first, most = MOST_QUERIES / heads; r < last; r += most)
            attend_rows(&(struct task){a, h, head, heads, r, r + most < last ? most : last - r}, span);
    }
}

/* Spans in order: the greatest score of all, then each span's part of the sum. */
static void attention_merge(const struct kernel_attention *a, int r)
{
    const int dim = a->cache.head_dim, spans = a->rows[r].position / KERNEL_SPAN + 1;
    for (int g = 0; g < a->heads; g++) {
        float *to = a->out + ((size_t)r * (size_t)a->heads + (size_t)g) * (size_t)dim, maximum = -INFINITY, length = 0;
        for (int s = 0; s < spans; s++) {
            const float most = partial_at(a, s, r, g)[dim];
            maximum = most > maximum || isnan(most) ? most : maximum;
        }
        for (int s = 0; s < spans; s++) {
            const float *from = partial_at(a, s, r, g);
            float power[LANES];
            vec_store(power, vec_exp(vec_all(from[dim] - maximum)));
            const vec take = vec_all(power[0]);
            length += power[0] * from[dim + 1];
            for (int d = 0; d < dim; d += LANES) {
                vec part = vec_mul(take, vec_load_first(from + d, dim - d));
                vec_store_first(to + d, dim - d, s ? vec_add(vec_load_first(to + d, dim - d), part) : part);
            }
        }
        for (int d = 0; d < dim; d += LANES)
            vec_store_first(to + d, dim - d, vec_div(vec_load_first(to + d, dim - d), vec_all(length)));
    }
}
