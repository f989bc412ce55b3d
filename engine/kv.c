#include "engine/kv.h"

#include <stdlib.h>
#include <string.h>

enum { NONE = -1, SLAB_BYTES = 16 << 20 };

/* Where children leave their parent. Of those that leave at one position `children` are there, and `held` of them have
 * a writer in or below them. */
struct fork {
    int position, children, held;
};

/* One stretch of a path. Invariants, outside the functions that change them:
 *  - a root has no parent, no position of its own, and is never removed;
 *  - a child leaves its parent after the parent's first own position (start < child.start <= start + count), except
 * that children of a root leave at 0;
 *  - blocks[i] holds positions of [start, start + count) with p / KERNEL_CELLS == start / KERNEL_CELLS + i; without a
 * writer there are no more blocks than that needs;
 *  - without a writer count > 0: an empty segment is removed, never kept;
 *  - forks are those of its children, ascending; held is its writer and the children that have one in or below them;
 *  - a segment with tokens is in the index under its parent, start and first token;
 *  - it is in the heap when its end can go: neither a writer nor a child stands on it;
 *  - pinned is how many of its blocks no eviction can free: all of a writer's, else those up to its last held fork;
 *  - runs is there only with a writer, and then covers positions 0 .. start + count - 1 of the whole path. */
struct segment {
    int parent, start, count, capacity;
    int *tokens;
    unsigned char **blocks;
    int block_count, block_capacity;
    struct fork *forks;
    int fork_count, fork_capacity, held, pinned;
    int previous, next;     /* in its chain of the index */
    int heap_at;            /* NONE: not in the heap */
    int alive, writer, cut; /* cut: evicted from since it was last left */
    uint64_t made, left;    /* when, on the tree's own clock; left: by its last writer */
    struct kernel_run *runs;
    int run_count, run_capacity;
};

struct engine_kv {
    size_t block_bytes;
    int64_t limit, used, pinned; /* blocks */
    int slab_blocks;
    unsigned char **slabs; /* owned; never given back before the end */
    int slab_count, slab_capacity;
    unsigned char **free; /* a stack of blocks that belong to nobody */
    int free_count, free_capacity;
    struct segment *segments; /* [0] is the first root */
    int count, capacity, alive, roots;
    int *spare; /* ids of dead segments */
    int spare_count, spare_capacity;
    int *chains; /* the index: [chain_mask + 1] first segments, or NONE */
    int chain_mask, indexed;
    int *heap; /* ids, the one left longest ago first; the parent of i is (i - 1) / 2 */
    int heap_count, heap_capacity;
    uint64_t clock;
    int64_t evicted;
};

static int end_of(const struct segment *s)
{
    return s->start + s->count;
}

static int is_root(const struct segment *s)
{
    return s->parent == NONE;
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
    unsigned char *slab = large_alloc((size_t)blocks * kv->block_bytes);
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

/* --- the index: children by where they leave their parent, and with which token ---------------------------------- */

static int *chain_of(const struct engine_kv *kv, int parent, int start, int token)
{
    uint64_t mixed = random_stream((uint64_t)parent, (uint64_t)start, (uint64_t)token);
    return &kv->chains[mixed & (uint64_t)kv->chain_mask];
}

static void link_segment(struct engine_kv *kv, int id)
{
    struct segment *s = &kv->segments[id];
    int *chain = chain_of(kv, s->parent, s->start, s->tokens[0]);
    s->previous = NONE;
    s->next = *chain;
    if (*chain != NONE)
        kv->segments[*chain].previous = id;
    *chain = id;
}

static void grow_index(struct engine_kv *kv)
{
    int chains = kv->chains ? 2 * (kv->chain_mask + 1) : 64;
    kv->chain_mask = chains - 1;
    kv->chains = xrealloc(kv->chains, (size_t)chains * sizeof *kv->chains);
    for (int i = 0; i < chains; i++)
        kv->chains[i] = NONE;
    for (int i = 0; i < kv->count; i++)
        if (kv->segments[i].alive && kv->segments[i].count)
            link_segment(kv, i);
}

/* The segment has its first token. */
static void index_segment(struct engine_kv *kv, int id)
{
    if (++kv->indexed > kv->chain_mask)
        grow_index(kv); /* links it with the others */
    else
        link_segment(kv, id);
}

/* Its first token is about to go. */
static void unindex_segment(struct engine_kv *kv, int id)
{
    struct segment *s = &kv->segments[id];
    kv->indexed--;
    if (s->next != NONE)
        kv->segments[s->next].previous = s->previous;
    if (s->previous != NONE)
        kv->segments[s->previous].next = s->next;
    else
        *chain_of(kv, s->parent, s->start, s->tokens[0]) = s->next;
}

/* --- the heap: segments whose end can go ------------------------------------------------------------------------- */

static void place_in_heap(struct engine_kv *kv, int i, int id)
{
    kv->heap[i] = id;
    kv->segments[id].heap_at = i;
}

/* The segment belongs at place i or above it, or below it: `left` is without equals among the living. */
static void settle_in_heap(struct engine_kv *kv, int i, int id)
{
    const struct segment *s = kv->segments;
    for (; i && s[kv->heap[(i - 1) / 2]].left > s[id].left; i = (i - 1) / 2)
        place_in_heap(kv, i, kv->heap[(i - 1) / 2]);
    for (int child; (child = 2 * i + 1) < kv->heap_count; i = child) {
        child += child + 1 < kv->heap_count && s[kv->heap[child + 1]].left < s[kv->heap[child]].left;
        if (s[kv->heap[child]].left > s[id].left)
            break;
        place_in_heap(kv, i, kv->heap[child]);
    }
    place_in_heap(kv, i, id);
}

static void leave_heap(struct engine_kv *kv, int id)
{
    int at = kv->segments[id].heap_at, last = kv->heap[--kv->heap_count];
    kv->segments[id].heap_at = NONE;
    if (last != id)
        settle_in_heap(kv, at, last);
}

/* --- segments ---------------------------------------------------------------------------------------------------- */

/* The first position of the segment's end that nobody needs: neither a writer nor a child stands on it. */
static int needed_until(const struct segment *s)
{
    return s->writer ? end_of(s) : s->fork_count ? s->forks[s->fork_count - 1].position : s->start;
}

/* The first position of its end that no writer stands on. */
static int held_until(const struct segment *s)
{
    int i = s->fork_count - 1;
    while (i >= 0 && !s->forks[i].held)
        i--;
    return s->writer ? end_of(s) : i >= 0 ? s->forks[i].position : s->start;
}

/* What follows from a segment's own fields: called after each change of them. */
static void update(struct engine_kv *kv, int id)
{
    struct segment *s = &kv->segments[id];
    int pinned = s->writer ? s->block_count : blocks_for(s->start, held_until(s));
    kv->pinned += pinned - s->pinned;
    s->pinned = pinned;
    if (is_root(s) || needed_until(s) == end_of(s)) {
        if (s->heap_at != NONE)
            leave_heap(kv, id);
        return;
    }
    if (s->heap_at == NONE) {
        ARRAY_RESERVE(kv->heap, kv->heap_count, kv->heap_capacity);
        s->heap_at = kv->heap_count++;
    }
    settle_in_heap(kv, s->heap_at, id);
}

/* The fork at that position, or where it belongs among the others. */
static int find_fork(const struct segment *s, int position)
{
    int low = 0, high = s->fork_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (s->forks[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_child(struct segment *s, int position)
{
    int i = find_fork(s, position);
    if (i == s->fork_count || s->forks[i].position != position) {
        ARRAY_RESERVE(s->forks, s->fork_count, s->fork_capacity);
        memmove(s->forks + i + 1, s->forks + i, (size_t)(s->fork_count++ - i) * sizeof *s->forks);
        s->forks[i] = (struct fork){.position = position};
    }
    s->forks[i].children++;
}

static void drop_child(struct segment *s, int position)
{
    int i = find_fork(s, position);
    if (--s->forks[i].children == 0)
        memmove(s->forks + i, s->forks + i + 1, (size_t)(--s->fork_count - i) * sizeof *s->forks);
}

/* A writer comes (1) or goes (-1), and those above are held by it as long as they were not by another. */
static void hold(struct engine_kv *kv, int id, int change)
{
    for (;;) {
        struct segment *s = &kv->segments[id];
        int was = s->held > 0;
        s->held += change;
        update(kv, id);
        if (is_root(s) || (s->held > 0) == was)
            return;
        struct segment *parent = &kv->segments[s->parent];
        parent->forks[find_fork(parent, s->start)].held += change;
        id = s->parent;
    }
}

/* Whoever calls makes it a writer's, which is what updates its parent. */
static int make_segment(struct engine_kv *kv, int parent, int start)
{
    int id;
    if (kv->spare_count) {
        id = kv->spare[--kv->spare_count];
    } else {
        ARRAY_RESERVE(kv->segments, kv->count, kv->capacity);
        id = kv->count++;
    }
    kv->segments[id] =
        (struct segment){.parent = parent, .start = start, .heap_at = NONE, .alive = 1, .made = ++kv->clock};
    kv->alive++;
    if (parent != NONE)
        add_child(&kv->segments[parent], start);
    return id;
}

/* It is empty, and nobody stands on it. */
static void remove_segment(struct engine_kv *kv, int id)
{
    struct segment *s = &kv->segments[id], *p = &kv->segments[s->parent];
    drop_child(p, s->start);
    /* Whoever visited the child stood on the parent. */
    if (p->left < s->left)
        p->left = s->left;
    free(s->tokens);
    free(s->blocks);
    free(s->runs);
    free(s->forks);
    s->alive = 0;
    kv->alive--;
    ARRAY_RESERVE(kv->spare, kv->spare_count, kv->spare_capacity);
    kv->spare[kv->spare_count++] = id;
    update(kv, s->parent);
}

/* Drop positions from `end` on; the segment itself goes when that leaves nothing. */
static void cut_segment(struct engine_kv *kv, int id, int end)
{
    struct segment *s = &kv->segments[id];
    if (s->count && end == s->start)
        unindex_segment(kv, id);
    s->count = end - s->start;
    give_blocks(kv, s, blocks_for(s->start, end));
    update(kv, id);
    if (!s->count && !s->writer && !s->fork_count)
        remove_segment(kv, id);
}

/* Free at most one block of the segment left longest ago; 0 when all that is there is in use. */
static int evict_block(struct engine_kv *kv)
{
    if (!kv->heap_count)
        return 0;
    int victim = kv->heap[0], floor = needed_until(&kv->segments[victim]);
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
    grow_index(kv);
    engine_kv_root(kv);
    return kv;
}

int engine_kv_root(struct engine_kv *kv)
{
    kv->roots++;
    return make_segment(kv, NONE, 0);
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
            free(kv->segments[i].forks);
        }
    for (int i = 0; i < kv->slab_count; i++)
        free(kv->slabs[i]);
    free(kv->slabs);
    free(kv->free);
    free(kv->segments);
    free(kv->spare);
    free(kv->chains);
    free(kv->heap);
    free(kv);
}

struct place {
    int segment, position;
};

/* Longest match among the segment and everything below it. Of equal ones a parent goes before its children, an elder
 * sibling before a younger one. */
static struct place find_below(const struct engine_kv *kv, int id, const int *tokens, int n)
{
    const struct segment *s = &kv->segments[id];
    int position = s->start;
    while (position < n && position < end_of(s) && s->tokens[position - s->start] == tokens[position])
        position++;
    struct place best = {id, position};
    uint64_t made = 0; /* of the child that best is in or below; 0: none */
    for (int i = 0; i < s->fork_count; i++) {
        int at = s->forks[i].position;
        if (at > position || at >= n)
            break;
        for (int c = *chain_of(kv, id, at, tokens[at]); c != NONE; c = kv->segments[c].next) {
            const struct segment *child = &kv->segments[c];
            if (child->parent != id || child->start != at || child->tokens[0] != tokens[at])
                continue;
            struct place below = find_below(kv, c, tokens, n);
            if (below.position > best.position || (below.position == best.position && child->made < made)) {
                best = below;
                made = child->made;
            }
        }
    }
    return best;
}

int engine_kv_find(const struct engine_kv *kv, int root, const int *tokens, int n)
{
    return find_below(kv, root, tokens, n).position;
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

int engine_kv_open(struct engine_kv *kv, int root, const int *tokens, int n, int *found)
{
    struct place at = find_below(kv, root, tokens, n);
    int id = at.segment;
    const struct segment *s = &kv->segments[id];
    /* Going on where somebody stopped needs no new segment: a path written a token at a time is one segment, not many.
     */
    if (is_root(s) || s->writer || at.position < end_of(s))
        id = make_segment(kv, at.segment, at.position);
    kv->segments[id].writer = 1;
    hold(kv, id, 1);
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
    hold(kv, branch, -1);
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
            break;
        if (!kv->free_count)
            continue;
        ARRAY_RESERVE(s->blocks, s->block_count, s->block_capacity);
        s->blocks[s->block_count++] = kv->free[--kv->free_count];
        kv->used++;
    }
    update(kv, branch);
    return s->block_count >= need;
}

void engine_kv_append(struct engine_kv *kv, int branch, const int *tokens, int n)
{
    struct segment *s = &kv->segments[branch];
    for (int i = 0; i < n; i++) {
        add_position(s, end_of(s));
        ARRAY_RESERVE(s->tokens, s->count, s->capacity);
        s->tokens[s->count++] = tokens[i];
        if (s->count == 1)
            index_segment(kv, branch);
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

void engine_kv_forget(struct engine_kv *kv, int root, const int *tokens, int n)
{
    struct place at = find_below(kv, root, tokens, n);
    /* Only the end of a segment can go; a segment that goes whole uncovers the end of its parent. */
    while (at.segment != root) {
        const struct segment *s = &kv->segments[at.segment];
        int until = needed_until(s);
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
    while (kv->heap_count) /* what a segment that is removed uncovers comes into it */
        cut_segment(kv, kv->heap[0], needed_until(&kv->segments[kv->heap[0]]));
}

void engine_kv_usage(const struct engine_kv *kv, struct engine_kv_usage *out)
{
    *out = (struct engine_kv_usage){.block_bytes = kv->block_bytes,
                                    .blocks = kv->used,
                                    .limit = kv->limit,
                                    .available = kv->limit - kv->pinned,
                                    .evicted = kv->evicted,
                                    .segments = kv->alive - kv->roots};
}
