/* Attention over keys and values in F16, multiplied as floats. Part of attention_body.h.
 *
 * The keys and values of a chunk are turned into floats once for all its queries, then each query has its scores, their
 * exponentials and its sum of values. Nothing that a query does not see is multiplied into its sums, not even by
 * zero.
 */
#include "attention_chunk.h"

/* --- the cache --------------------------------------------------------------------------------------------------- */

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

/* --- a chunk as floats ------------------------------------------------------------------------------------------- */

/* n halves to floats. */
INLINE void halves_to_floats(const uint16_t *from, int n, float *to)
{
    int i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (int j = 0; j < 4; j++) vec_store(to + i + LANES * j, vec_load_halves(from + i + LANES * j));
    for (; i < n; i += LANES)
        vec_store_first(to + i, n - i, vec_load_halves_first(from + i, n - i));
}

/* Keys of a segment go to the lanes of its cells; what lies in lanes after them is overwritten by the next segment or
 * never used. */
static void load_keys(const struct kernel_cache *c, int h, const struct chunk *chunk, float *to)
{
    const int numbers = c->head_dim * KERNEL_CELLS;
    float all[KERNEL_HEAD_DIM * KERNEL_CELLS];
    for (int i = 0; i < chunk->segments_count; i++) {
        const struct segment *s = &chunk->segments[i];
        const int cell = s->first % KERNEL_CELLS;
        float *at = to + s->first / KERNEL_CELLS * numbers;
        halves_to_floats((const uint16_t *)(const void *)(s->block + c->keys) + head_at(c, h), numbers,
                         cell ? all : at);
        for (int d = 0; cell && d < numbers; d += KERNEL_CELLS)
            memcpy(at + d + cell, all + d + cell, (size_t)(KERNEL_CELLS - cell) * sizeof *at);
    }
}

static void load_values(const struct kernel_cache *c, int h, const struct chunk *chunk, float *to, int padded)
{
    const int dim = c->head_dim;
    for (int i = 0; i < chunk->segments_count; i++) {
        const struct segment *s = &chunk->segments[i];
        const uint16_t *halves =
            (const uint16_t *)(const void *)(s->block + c->values) + head_at(c, h) + s->first % KERNEL_CELLS * dim;
        float *row = to + s->first * padded;
        if (padded == dim)
            halves_to_floats(halves, s->count * dim, row);
        for (int j = 0; padded != dim && j < s->count; j++)
            halves_to_floats(halves + j * dim, dim, row + j * padded);
    }
}

/* --- products ---------------------------------------------------------------------------------------------------- */

/* One product of N queries with what they share: sums[n] = sum over i < counts[n] of a[n][i] b[i], i ascending. It goes
 * to c, or with keep is merged into it. b[i] is `width` numbers, in groups of KERNEL_CELLS that lie b_far apart. */
struct product {
    const float *a, *b; /* [N][a_stride]; b[i] begins i * b_stride further */
    int a_stride, b_stride, b_far, width, c_stride;
    float *c; /* [N][c_stride] */
    const int *counts;
    const float *keep; /* [N], or NULL */
};

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
        b[v] = p->b + vector_at(first + v, p->b_far, 1);
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

static void run_product(struct product p, int queries, struct ahead *ahead)
{
    const int lines = ahead->left * TILE / queries + 1; /* a tile */
    for (int left = queries, N; left > 0; left -= N) {
        ahead_fetch(ahead, lines);
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

/* Scores of query n, scaled, to exp(score - the greatest so far); their sum: LANES sums by position mod LANES, then
 * vec_sum. Mostly an earlier chunk has the greatest score, and then nothing of what was summed so far changes. */
static void exponentials(struct workspace *w, int n, float scale)
{
    float *scores = w->scores + n * KERNEL_CHUNK;
    const int count = w->counts[n], from = w->begins[n] / LANES * LANES;
    vec most = vec_all(-INFINITY), sum = vec_all(0);
    for (int j = from; j < w->begins[n]; j++)
        scores[j] = -INFINITY;
    for (int j = count; j % LANES; j++)
        scores[j] = -INFINITY;
    for (int j = from; j < count; j += LANES) {
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
    for (int j = from; j < count; j += LANES) {
        vec e = vec_exp(vec_sub(vec_load(scores + j), vec_all(w->maximum[n])));
        vec_store(scores + j, e);
        sum = vec_add(sum, e);
    }
    w->length[n] = w->keep[n] * w->length[n] + vec_sum(sum);
}

/* Queries [first, first + count) against a chunk that has all their positions. */
static void attend_halves(struct workspace *w, const struct kernel_attention *a, int h, const struct chunk *chunk,
                          int first, int count)
{
    const int dim = a->cache.head_dim, padded = (dim + LANES - 1) / LANES * LANES;
    int dims[MOST_QUERIES], seen[MOST_QUERIES];
    for (int n = 0; n < count; n++)
        dims[n] = dim, seen[n] = w->counts[first + n] - w->begins[first + n];
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
                count, &w->ahead);
    for (int n = first; n < first + count; n++)
        exponentials(w, n, a->scale);
    load_values(&a->cache, h, chunk, w->shared, padded);
    for (int n = 0, alike; n < count; n += alike) { /* whose windows begin at the same position of it: mostly all, at none */
        const int begin = w->begins[first + n];
        for (alike = 1; n + alike < count && w->begins[first + n + alike] == begin; alike++)
            ;
        run_product((struct product){.a = w->scores + (first + n) * KERNEL_CHUNK + begin,
                                     .a_stride = KERNEL_CHUNK,
                                     .b = w->shared + begin * padded,
                                     .b_stride = padded,
                                     .b_far = KERNEL_CELLS,
                                     .width = padded,
                                     .c = w->out + (first + n) * padded,
                                     .c_stride = padded,
                                     .counts = seen + n,
                                     .keep = w->keep + first + n},
                    alike, &w->ahead);
    }
}
