#include "engine/kv.h"

#include <stdlib.h>
#include <string.h>

enum { ROOT = 0, NONE = -1, SLAB_BYTES = 16 << 20 };

/* One stretch of a path. Invariants, outside the functions that change them:
 *  - a child leaves its parent after the parent's first own position (start < child.start <= start + count), except
 * that children of the root, which owns no position, leave at 0;
 *  - blocks[i] holds positions of [start, start + count) with p / KERNEL_CELLS == start / KERNEL_CELLS + i; without a
 * writer there are no more blocks than that needs;
 *  - without a writer count > 0: an empty segment is removed, never kept;
 *  - runs is there only with a writer, and then covers positions 0 .. start + count - 1 of the whole path. */
struct segment {
    int parent, first, last, previous, next; /* children first..last; siblings in the order they were made */
    int start, count, capacity;
    int *tokens;
    unsigned char **blocks;
    int block_count, block_capacity;
    int alive, writer, cut; /* cut: evicted from since it was last left */
    uint64_t left;          /* when the last writer left it, on the tree's own clock */
    struct kernel_run *runs;
    int run_count, run_capacity;
};

struct engine_kv {
    size_t block_bytes;
    int64_t limit, used; /* blocks */
    int slab_blocks;
    unsigned char **slabs; /* owned; never given back before the end */
    int slab_count, slab_capacity;
    unsigned char **free; /* a stack of blocks that belong to nobody */
    int free_count, free_capacity;
    struct segment *segments; /* [0] is the root */
    int count, capacity, alive;
    int *spare; /* ids of dead segments */
    int spare_count, spare_capacity;
    uint64_t clock;
    int64_t evicted;
};

static int end_of(const struct segment *s)
{
    return s->start + s->count;
}

static int blocks_for(int start, int end)
{
    return end > start ? (end - 1) / KERNEL_CELLS - start / KERNEL_CELLS + 1 : 0;
}

/* --- blocks ------------------------------------------------------------------------------------------------------ */

static int take_slab(struct engine_kv *kv)
{
    int64_t made = kv->used + kv->free_count;
    int64_t blocks = kv->limit - made < kv->slab_blocks ? kv->limit - made : kv->slab_blocks;
    if (blocks <= 0)
        return 0;
    size_t bytes = ((size_t)blocks * kv->block_bytes + 63) & ~(size_t)63;
    unsigned char *slab = aligned_alloc(64, bytes);
    if (!slab) { /* the machine has less than the limit said: live with what there is */
        kv->limit = made;
        return 0;
    }
    ARRAY_RESERVE(kv->slabs, kv->slab_count, kv->slab_capacity);
    kv->slabs[kv->slab_count++] = slab;
    for (int64_t i = blocks - 1; i >= 0; i--) {
        ARRAY_RESERVE(kv->free, kv->free_count, kv->free_capacity);
        kv->free[kv->free_count++] = slab + (size_t)i * kv->block_bytes;
    }
    return 1;
}

static void give_blocks(struct engine_kv *kv, struct segment *s, int keep)
{
    while (s->block_count > keep) {
        ARRAY_RESERVE(kv->free, kv->free_count, kv->free_capacity);
        kv->free[kv->free_count++] = s->blocks[--s->block_count];
        kv->used--;
    }
}

/* --- segments ---------------------------------------------------------------------------------------------------- */

static int make_segment(struct engine_kv *kv, int parent, int start)
{
    int id;
    if (kv->spare_count) {
        id = kv->spare[--kv->spare_count];
    } else {
        ARRAY_RESERVE(kv->segments, kv->count, kv->capacity);
        id = kv->count++;
    }
    kv->segments[id] = (struct segment){
        .parent = parent, .first = NONE, .last = NONE, .previous = NONE, .next = NONE, .start = start, .alive = 1};
    kv->alive++;
    if (parent != NONE) {
        struct segment *p = &kv->segments[parent];
        kv->segments[id].previous = p->last;
        if (p->last != NONE)
            kv->segments[p->last].next = id;
        else
            p->first = id;
        p->last = id;
    }
    return id;
}

static void remove_segment(struct engine_kv *kv, int id)
{
    struct segment *s = &kv->segments[id], *p = &kv->segments[s->parent];
    if (s->previous != NONE)
        kv->segments[s->previous].next = s->next;
    else
        p->first = s->next;
    if (s->next != NONE)
        kv->segments[s->next].previous = s->previous;
    else
        p->last = s->previous;
    /* Whoever visited the child stood on the parent. */
    if (p->left < s->left)
        p->left = s->left;
    give_blocks(kv, s, 0);
    free(s->tokens);
    free(s->blocks);
    free(s->runs);
    s->alive = 0;
    kv->alive--;
    ARRAY_RESERVE(kv->spare, kv->spare_count, kv->spare_capacity);
    kv->spare[kv->spare_count++] = id;
}

/* The first position of the segment's end that nobody needs: neither a writer nor a child stands on it. */
static int needed_until(const struct engine_kv *kv, const struct segment *s)
{
    if (s->writer)
        return end_of(s);
    int until = s->start;
    for (int c = s->first; c != NONE; c = kv->segments[c].next)
        if (kv->segments[c].start > until)
            until = kv->segments[c].start;
    return until;
}

/* Drop positions from `end` on; the segment itself goes when that leaves nothing. */
static void cut_segment(struct engine_kv *kv, int id, int end)
{
    struct segment *s = &kv->segments[id];
    s->count = end - s->start;
    give_blocks(kv, s, blocks_for(s->start, end));
    if (!s->count && !s->writer && s->first == NONE)
        remove_segment(kv, id);
}

/* Free at most one block of the segment left longest ago; 0 when all that is there is in use. */
static int evict_block(struct engine_kv *kv)
{
    int victim = NONE, floor = 0;
    for (int i = ROOT + 1; i < kv->count; i++) {
        const struct segment *s = &kv->segments[i];
        if (!s->alive || s->writer || (victim != NONE && s->left >= kv->segments[victim].left))
            continue;
        int until = needed_until(kv, s);
        if (until < end_of(s)) {
            victim = i;
            floor = until;
        }
    }
    if (victim == NONE)
        return 0;
    struct segment *s = &kv->segments[victim];
    int boundary = (end_of(s) - 1) / KERNEL_CELLS * KERNEL_CELLS;
    kv->evicted += !s->cut;
    s->cut = 1;
    cut_segment(kv, victim, boundary > floor ? boundary : floor);
    return 1;
}

/* --- the tree ---------------------------------------------------------------------------------------------------- */

struct engine_kv *engine_kv_create(size_t block_bytes, size_t limit)
{
    struct engine_kv *kv = xcalloc(1, sizeof *kv);
    kv->block_bytes = block_bytes;
    kv->limit = limit > block_bytes ? (int64_t)(limit / block_bytes) : 1;
    kv->slab_blocks = block_bytes < SLAB_BYTES ? (int)(SLAB_BYTES / block_bytes) : 1;
    make_segment(kv, NONE, 0);
    return kv;
}

void engine_kv_free(struct engine_kv *kv)
{
    if (!kv)
        return;
    for (int i = 0; i < kv->count; i++)
        if (kv->segments[i].alive) {
            free(kv->segments[i].tokens);
            free(kv->segments[i].blocks);
            free(kv->segments[i].runs);
        }
    for (int i = 0; i < kv->slab_count; i++)
        free(kv->slabs[i]);
    free(kv->slabs);
    free(kv->free);
    free(kv->segments);
    free(kv->spare);
    free(kv);
}

struct place {
    int segment, position;
};

/* Longest match among the segment and everything below it. The first found of equal ones stays: parents before
 * children, elder siblings before younger. */
static void find_below(const struct engine_kv *kv, int id, const int *tokens, int n, struct place *best)
{
    const struct segment *s = &kv->segments[id];
    int position = s->start;
    while (position < n && position < end_of(s) && s->tokens[position - s->start] == tokens[position])
        position++;
    if (position > best->position)
        *best = (struct place){id, position};
    for (int c = s->first; c != NONE; c = kv->segments[c].next) {
        const struct segment *child = &kv->segments[c];
        if (child->start <= position && child->start < n && child->count && child->tokens[0] == tokens[child->start])
            find_below(kv, c, tokens, n, best);
    }
}

static struct place find(const struct engine_kv *kv, const int *tokens, int n)
{
    struct place best = {ROOT, 0};
    find_below(kv, ROOT, tokens, n, &best);
    return best;
}

int engine_kv_find(const struct engine_kv *kv, const int *tokens, int n)
{
    return find(kv, tokens, n).position;
}

static void add_position(struct segment *s, int position)
{
    unsigned char *block = s->blocks[position / KERNEL_CELLS - s->start / KERNEL_CELLS];
    struct kernel_run *last = s->run_count ? &s->runs[s->run_count - 1] : NULL;
    if (last && last->block == block) {
        last->count++;
        return;
    }
    ARRAY_RESERVE(s->runs, s->run_count, s->run_capacity);
    s->runs[s->run_count++] = (struct kernel_run){block, position % KERNEL_CELLS, 1};
}

/* The runs of a whole path, gathered from its end and turned round. */
static void gather_runs(struct engine_kv *kv, int id)
{
    struct segment *tip = &kv->segments[id];
    int end = end_of(tip);
    for (int i = id; i != NONE; i = kv->segments[i].parent) {
        const struct segment *s = &kv->segments[i];
        while (end > s->start) {
            int block = (end - 1) / KERNEL_CELLS, first = block * KERNEL_CELLS;
            if (first < s->start)
                first = s->start;
            ARRAY_RESERVE(tip->runs, tip->run_count, tip->run_capacity);
            tip->runs[tip->run_count++] =
                (struct kernel_run){s->blocks[block - s->start / KERNEL_CELLS], first % KERNEL_CELLS, end - first};
            end = first;
        }
    }
    for (int a = 0, b = tip->run_count - 1; a < b; a++, b--) {
        struct kernel_run swap = tip->runs[a];
        tip->runs[a] = tip->runs[b];
        tip->runs[b] = swap;
    }
}

int engine_kv_open(struct engine_kv *kv, const int *tokens, int n, int *found)
{
    struct place at = find(kv, tokens, n);
    int id = at.segment;
    const struct segment *s = &kv->segments[id];
    /* Going on where somebody stopped needs no new segment: a path written a token at a time is one segment, not many.
     */
    if (id == ROOT || s->writer || at.position < end_of(s))
        id = make_segment(kv, at.segment, at.position);
    kv->segments[id].writer = 1;
    gather_runs(kv, id);
    *found = at.position;
    return id;
}

void engine_kv_close(struct engine_kv *kv, int branch)
{
    struct segment *s = &kv->segments[branch];
    s->writer = 0;
    s->cut = 0;
    s->left = ++kv->clock;
    free(s->runs);
    s->runs = NULL;
    s->run_count = s->run_capacity = 0;
    cut_segment(kv, branch, end_of(s));
}

int engine_kv_length(const struct engine_kv *kv, int branch)
{
    return end_of(&kv->segments[branch]);
}

int engine_kv_reserve(struct engine_kv *kv, int branch, int positions)
{
    struct segment *s = &kv->segments[branch]; /* evicting moves no segment */
    int need = blocks_for(s->start, positions);
    while (s->block_count < need) {
        if (!kv->free_count && !take_slab(kv) && !evict_block(kv))
            return 0;
        if (!kv->free_count)
            continue;
        ARRAY_RESERVE(s->blocks, s->block_count, s->block_capacity);
        s->blocks[s->block_count++] = kv->free[--kv->free_count];
        kv->used++;
    }
    return 1;
}

void engine_kv_append(struct engine_kv *kv, int branch, const int *tokens, int n)
{
    struct segment *s = &kv->segments[branch];
    for (int i = 0; i < n; i++) {
        add_position(s, end_of(s));
        ARRAY_RESERVE(s->tokens, s->count, s->capacity);
        s->tokens[s->count++] = tokens[i];
    }
}

const struct kernel_run *engine_kv_runs(const struct engine_kv *kv, int branch, int *count)
{
    *count = kv->segments[branch].run_count;
    return kv->segments[branch].runs;
}

unsigned char *engine_kv_block(const struct engine_kv *kv, int branch, int position)
{
    const struct segment *s = &kv->segments[branch];
    return s->blocks[position / KERNEL_CELLS - s->start / KERNEL_CELLS];
}

void engine_kv_forget(struct engine_kv *kv, const int *tokens, int n)
{
    struct place at = find(kv, tokens, n);
    /* Only the end of a segment can go; a segment that goes whole uncovers the end of its parent. */
    while (at.segment != ROOT) {
        const struct segment *s = &kv->segments[at.segment];
        int until = needed_until(kv, s);
        if (at.position < end_of(s) || until == end_of(s))
            return;
        struct place up = {s->parent, s->start};
        int whole = until == s->start;
        cut_segment(kv, at.segment, until);
        if (!whole)
            return;
        at = up;
    }
}

void engine_kv_clear(struct engine_kv *kv)
{
    int cut;
    do { /* as long as removing a segment uncovers another */
        cut = 0;
        for (int i = ROOT + 1; i < kv->count; i++) {
            const struct segment *s = &kv->segments[i];
            int until = s->alive ? needed_until(kv, s) : 0;
            if (s->alive && until < end_of(s)) {
                cut_segment(kv, i, until);
                cut = 1;
            }
        }
    } while (cut);
}

/* Blocks under a branch cannot be freed; all others can. */
static int64_t pinned_blocks(const struct engine_kv *kv)
{
    int *until = xcalloc((size_t)kv->count, sizeof *until);
    int64_t pinned = 0;
    for (int i = ROOT + 1; i < kv->count; i++) {
        if (!kv->segments[i].alive || !kv->segments[i].writer)
            continue;
        const struct segment *s = &kv->segments[i];
        pinned += s->block_count;
        for (int end = s->start, j = s->parent; j != ROOT && end > until[j]; j = s->parent) {
            s = &kv->segments[j];
            if (!s->writer)
                pinned += blocks_for(s->start, end) - blocks_for(s->start, until[j]);
            until[j] = end;
            end = s->start;
        }
    }
    free(until);
    return pinned;
}

void engine_kv_usage(const struct engine_kv *kv, struct engine_kv_usage *out)
{
    *out = (struct engine_kv_usage){.block_bytes = kv->block_bytes,
                                    .blocks = kv->used,
                                    .limit = kv->limit,
                                    .available = kv->limit - pinned_blocks(kv),
                                    .evicted = kv->evicted,
                                    .segments = kv->alive - 1};
}
