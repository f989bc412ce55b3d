/* What attention over every type of cache shares: how the positions of a chunk lie in blocks, and what the queries that
 * go over it together need. Part of attention_body.h.
 */
#ifndef ESPALIER_ATTENTION_CHUNK_H
#define ESPALIER_ATTENTION_CHUNK_H

#include "kernels.h"
#include "vector.h"

#include <math.h>
#include <string.h>

enum {
    TILE = 6,          /* queries computed at a time at most */
    MOST_QUERIES = 48, /* gone over together */
    GROUP = 32,        /* dimensions that share a step in Q8_0 */
    MOST_GROUPS = KERNEL_HEAD_DIM / GROUP,
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

/* Memory of the chunk that comes next. It is asked for line by line between the tiles of this one: asked for at once,
 * so many lines are waited for. */
struct ahead {
    const unsigned char *from[4 * KERNEL_CHUNK];
    int lines[4 * KERNEL_CHUNK];
    int count, at, line, left; /* parts; the part and line that are next; lines left in all */
};

static inline void ahead_add(struct ahead *a, const unsigned char *from, size_t bytes)
{
    const int lines = (int)((bytes + 63) / 64);
    a->from[a->count] = from, a->lines[a->count++] = lines;
    a->left += lines;
}

static inline void ahead_fetch(struct ahead *a, int lines)
{
    lines = lines < a->left ? lines : a->left;
    a->left -= lines;
    for (int some; lines > 0; lines -= some) {
        const int there = a->lines[a->at] - a->line;
        const unsigned char *from = a->from[a->at] + 64 * a->line;
        some = there < lines ? there : lines;
        for (int i = 0; i < some; i++)
            __builtin_prefetch(from + 64 * i, 0, 2);
        a->line += some;
        if (a->line == a->lines[a->at])
            a->at++, a->line = 0;
    }
}

/* A chunk of Q8_0, and what its weights are rounded by; attention_bytes.h says how. What vectors are loaded from comes first
 * here and below, so that each begins a line of the cache: a vector that straddles two costs twice. */
struct bytes {
    int16_t keys[KERNEL_HEAD_DIM * KERNEL_CHUNK], values[KERNEL_HEAD_DIM * KERNEL_CHUNK];
    float key_steps[MOST_GROUPS * KERNEL_CHUNK], value_steps[MOST_GROUPS * KERNEL_CHUNK]; /* [group][position] */
    float parts[MOST_GROUPS * KERNEL_CHUNK];
    int16_t q[MOST_QUERIES * KERNEL_HEAD_DIM], weights[TILE * MOST_GROUPS * KERNEL_CHUNK];
    float lengths[MOST_QUERIES * LANES];
    float q_steps[MOST_QUERIES], units[MOST_GROUPS], takes[TILE], units_of[TILE * MOST_GROUPS];
    int parts_begin, parts_count; /* positions of the chunk that parts and units are for: [begin, count) */
};

/* What queries that go together need, of head width dim, padded to a multiple of LANES for values. */
struct workspace {
    _Alignas(64) union {
        /* F16: a chunk's keys, [KERNEL_CHUNK / KERNEL_CELLS][dim][KERNEL_CELLS], and when these are done with its
         * values, [KERNEL_CHUNK][padded]: in the same place, which is in the nearest cache then. */
        float shared[KERNEL_HEAD_DIM * KERNEL_CHUNK];
        struct bytes bytes;
    };
    _Alignas(64) float q[MOST_QUERIES * KERNEL_HEAD_DIM]; /* [query][dim] */
    float out[MOST_QUERIES * KERNEL_HEAD_DIM];            /* [query][padded] */
    float scores[MOST_QUERIES * KERNEL_CHUNK];            /* of the chunk at hand; then exp(score - maximum) */
    /* maximum and length are those of the chunks so far: of the scores, and of the sum of exp(score - maximum). The
     * chunk at hand is merged as out = keep * out + sums. */
    float maximum[MOST_QUERIES + LANES], length[MOST_QUERIES], keep[MOST_QUERIES + LANES];
    int begins[MOST_QUERIES], counts[MOST_QUERIES]; /* positions of the chunk at hand that the query sees: [begin, count), or none */
    struct ahead ahead;
};

/* The first of head h's keys (or values) in a block, as a count of numbers. */
static inline size_t head_at(const struct kernel_cache *c, int h)
{
    return (size_t)h * (size_t)c->head_dim * KERNEL_CELLS;
}

/* Where vector v of a chunk's positions begins, in blocks that are `far` numbers long: of LANES cells, each `each`
 * numbers. */
INLINE int vector_at(int v, int far, int each)
{
    return v * LANES / KERNEL_CELLS * far + v * LANES % KERNEL_CELLS * each;
}

#endif
