/* Attention over a tree's cache, for any set: included once by the set's own file, after its vector_*.h.
 *
 * A query is one head of one row. The queries that share a kv head and a chunk's positions, as the heads of a group,
 * the branches of a tree on their common prefix and the tokens of a prompt do, go over the chunk together, as
 * attention_halves.h or attention_bytes.h does it. Keys lie transposed, so that LANES positions are scored in one
 * vector and no sum crosses lanes.
 *
 * The cell of a position is its position modulo KERNEL_CELLS, so a position has the same lane of the same vector
 * whichever run it is in, and each lane of each query has its own sums: that is why the numbers depend neither on runs
 * nor on what else is computed beside them.
 *
 * The cache of a layer in a block, of each kv head one after the other:
 *   F16   keys [head_dim][KERNEL_CELLS], values [KERNEL_CELLS][head_dim], halves
 *   Q8_0  keys [head_dim / PAIR][KERNEL_CELLS][PAIR], values [KERNEL_CELLS][head_dim], signed bytes, all heads; then
 * their steps, halves, one for each 32 dimensions of a cell: [head_dim / 32][KERNEL_CELLS]
 */
#include "attention_bytes.h"
#include "attention_halves.h"

static size_t cache_bytes(enum kernel_type type, int kv_heads, int head_dim)
{
    size_t numbers = (size_t)kv_heads * (size_t)head_dim * KERNEL_CELLS;
    if (type == KERNEL_F16)
        return 2 * numbers;
    return type == KERNEL_Q8_0 && head_dim % GROUP == 0 ? numbers + numbers / GROUP * 2 : 0;
}

static void store(const struct kernel_cache *c, const float *k, const float *v, unsigned char *block, int cell)
{
    (c->type == KERNEL_F16 ? store_halves : store_bytes)(c, k, v, block, cell);
}

/* --- a row's positions ------------------------------------------------------------------------------------------- */

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

/* Whether a walk goes on with just the positions of a chunk: it is past them then. The quick way where rows share a
 * prefix. */
static int follows(struct walk *walk, const struct chunk *chunk)
{
    struct walk on = *walk;
    const int last = chunk->segments_count - 1;
    for (int i = 0; i <= last; i++, on.taken += chunk->segments[i - 1].count) {
        while (on.taken == on.run->count)
            on.run++, on.taken = 0;
        const int left = on.run->count - on.taken, count = chunk->segments[i].count;
        if (on.run->block != chunk->segments[i].block || (i < last ? left != count : left < count))
            return 0;
    }
    *walk = on;
    return 1;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* What the rows of a task have in common: heads [head, head + heads), which share kv head h. */
struct task {
    const struct kernel_attention *a;
    int h, head, heads, first, rows;
};

/* Let memory bring a chunk while another is computed. */
static void plan_chunk(struct ahead *ahead, const struct kernel_cache *c, int h, const struct chunk *chunk)
{
    const size_t bytes = (size_t)c->head_dim * KERNEL_CELLS * (c->type == KERNEL_F16 ? 2 : 1);
    ahead->count = ahead->at = ahead->line = ahead->left = 0;
    for (int i = 0; i < chunk->segments_count; i++) {
        const unsigned char *keys = chunk->segments[i].block + c->keys, *values = chunk->segments[i].block + c->values;
        ahead_add(ahead, keys + (size_t)h * bytes, bytes);
        ahead_add(ahead, values + (size_t)h * bytes, bytes);
        if (c->type == KERNEL_F16)
            continue;
        ahead_add(ahead, (unsigned char *)steps_at(c, keys, h), bytes / GROUP * 2);
        ahead_add(ahead, (unsigned char *)steps_at(c, values, h), bytes / GROUP * 2);
    }
}

/* Where the first chunk begins that a row sees anything of. */
static int first_chunk(const struct kernel_attention *a, int row)
{
    return kernel_first_seen(a, row) / KERNEL_CHUNK * KERNEL_CHUNK;
}

/* The chunk that the first row has at `from`, where `walk` stands: what comes next on a path that rows share. */
static void plan_from(struct ahead *ahead, const struct task *t, struct walk walk, int from, int end)
{
    struct chunk next = {.count = 0};
    const int last = t->a->rows[t->first].position + 1, until = last < end ? last : end;
    if (from < until && from >= first_chunk(t->a, t->first)) /* where a window begins later the walk stands later */
        take_chunk(until - from < KERNEL_CHUNK ? until - from : KERNEL_CHUNK, &walk, &next);
    plan_chunk(ahead, &t->a->cache, t->h, &next);
}

/* Rows that see positions of the chunk that begins at `from`, and see them in the same cells, go together. */
static void attend_from(struct workspace *w, const struct task *t, struct walk *walks, int from, int end)
{
    struct chunk chunks[2];
    int leader = 0, now = 0; /* rows [leader, r) are within chunks[now] */
    chunks[now].count = 0;
    for (int r = 0; r <= t->rows; r++) {
        struct chunk *next = &chunks[!now];
        const int seen = r < t->rows ? kernel_first_seen(t->a, t->first + r) - from : KERNEL_CHUNK;
        int count = r < t->rows && seen < KERNEL_CHUNK ? t->a->rows[t->first + r].position + 1 - from : 0;
        count = count < 0 ? 0 : count < KERNEL_CHUNK ? count : KERNEL_CHUNK;
        for (int n = r * t->heads; r < t->rows && n < (r + 1) * t->heads; n++)
            w->counts[n] = count, w->begins[n] = seen > 0 ? seen : 0;
        if (count && count == chunks[now].count && follows(&walks[r], &chunks[now]))
            continue;
        next->count = next->segments_count = 0;
        if (count)
            take_chunk(count, &walks[r], next);
        if (count && chunks[now].count && begins_alike(&chunks[now], next)) {
            if (count > chunks[now].count)
                now = !now;
            continue;
        }
        if (r == t->rows)
            plan_from(&w->ahead, t, walks[0], from + KERNEL_CHUNK, end);
        else if (r > 0) /* that of the first row was asked for as what comes next */
            plan_chunk(&w->ahead, &t->a->cache, t->h, next);
        if (chunks[now].count)
            (t->a->cache.type == KERNEL_F16 ? attend_halves : attend_bytes)(w, t->a, t->h, &chunks[now],
                                                                            leader * t->heads, (r - leader) * t->heads);
        ahead_fetch(&w->ahead, w->ahead.left);
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

/* The queries of row r of a task, as they are multiplied. */
static void begin_row(struct workspace *w, const struct task *t, int r)
{
    const struct kernel_attention *a = t->a;
    const int dim = a->cache.head_dim, first = r * t->heads;
    const float *q = a->q + ((size_t)(t->first + r) * (size_t)a->heads + (size_t)t->head) * (size_t)dim;
    if (a->cache.type == KERNEL_F16)
        memcpy(w->q + first * dim, q, (size_t)(t->heads * dim) * sizeof *q);
    for (int n = first; n < first + t->heads; n++, q += dim) {
        w->maximum[n] = -INFINITY, w->length[n] = 0;
        if (a->cache.type == KERNEL_Q8_0)
            begin_bytes(w, n, q, dim, a->scale);
    }
}

static void attend_rows(const struct task *t, int span)
{
    struct workspace w; /* large, and of it only what head_dim and the queries need is touched */
    struct walk walks[MOST_QUERIES];
    const struct kernel_attention *a = t->a;
    const int dim = a->cache.head_dim, padded = (dim + LANES - 1) / LANES * LANES;
    int begin = (span + 1) * KERNEL_SPAN, end = 0; /* of the positions that any row sees here */
    for (int r = 0; r < t->rows; r++) {
        const struct kernel_row *row = &a->rows[t->first + r];
        const int from = first_chunk(a, t->first + r), own = from > span * KERNEL_SPAN ? from : span * KERNEL_SPAN;
        walks[r] = (struct walk){row->runs, 0};
        if (!kernel_sees(a, t->first + r, span))
            continue;
        skip_positions(&walks[r], own);
        begin = own < begin ? own : begin;
        end = row->position >= end ? row->position + 1 : end;
    }
    plan_from(&w.ahead, t, walks[0], begin, end);
    ahead_fetch(&w.ahead, w.ahead.left);
    for (int r = 0; r < t->rows; r++)
        begin_row(&w, t, r);
    end = end < (span + 1) * KERNEL_SPAN ? end : (span + 1) * KERNEL_SPAN;
    for (int from = begin; from < end; from += KERNEL_CHUNK)
        attend_from(&w, t, walks, from, end);
    for (int n = 0; n < t->rows * t->heads; n++) {
        const int r = t->first + n / t->heads;
        float *to = kernel_partial(a, span, r, t->head + n % t->heads);
        if (!kernel_sees(a, r, span))
            continue;
        if (a->cache.type == KERNEL_Q8_0)
            end_bytes(&w, n);
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
    const int dim = a->cache.head_dim, first = kernel_first_seen(a, r) / KERNEL_SPAN, spans = a->rows[r].position / KERNEL_SPAN + 1;
    for (int g = 0; g < a->heads; g++) {
        float *to = a->out + ((size_t)r * (size_t)a->heads + (size_t)g) * (size_t)dim, maximum = -INFINITY, length = 0;
        for (int s = first; s < spans; s++) {
            const float most = kernel_partial(a, s, r, g)[dim];
            maximum = most > maximum || isnan(most) ? most : maximum;
        }
        for (int s = first; s < spans; s++) {
            const float *from = kernel_partial(a, s, r, g);
            float power[LANES];
            vec_store(power, vec_exp(vec_all(from[dim] - maximum)));
            const vec take = vec_all(power[0]);
            length += power[0] * from[dim + 1];
            for (int d = 0; d < dim; d += LANES) {
                vec part = vec_mul(take, vec_load_first(from + d, dim - d));
                vec_store_first(to + d, dim - d, s > first ? vec_add(vec_load_first(to + d, dim - d), part) : part);
            }
        }
        for (int d = 0; d < dim; d += LANES)
            vec_store_first(to + d, dim - d, vec_div(vec_load_first(to + d, dim - d), vec_all(length)));
    }
}
