/* The cache of keys and values as its rules read, everything looked for in all there is: what engine/kv.c is held to.
 * It has no memory for keys, only counts of blocks. Ids are never used twice, so that elder siblings have lower ones.
 */
#ifndef ESPALIER_TESTS_NAIVE_KV_H
#define ESPALIER_TESTS_NAIVE_KV_H

#include "engine/kv.h"

#include <stdlib.h>

enum { NAIVE_LONGEST = 160 };

struct naive_segment {
    int parent, start, count, blocks, alive, writer, cut;
    int tokens[NAIVE_LONGEST];
    int64_t left;
};

struct naive_kv {
    struct naive_segment *segments; /* [0] is the root */
    int count, capacity;
    int64_t limit, used, evicted, clock;
};

static int naive_make(struct naive_kv *kv, int parent, int start)
{
    ARRAY_RESERVE(kv->segments, kv->count, kv->capacity);
    kv->segments[kv->count] = (struct naive_segment){.parent = parent, .start = start, .alive = 1};
    return kv->count++;
}

static int naive_end(const struct naive_kv *kv, int id)
{
    return kv->segments[id].start + kv->segments[id].count;
}

static int naive_blocks(int start, int end)
{
    return end > start ? (end - 1) / KERNEL_CELLS - start / KERNEL_CELLS + 1 : 0;
}

/* Where the last child leaves; its end when it is written; its start when nobody needs any of it. */
static int naive_needed(const struct naive_kv *kv, int id)
{
    int until = kv->segments[id].writer ? naive_end(kv, id) : kv->segments[id].start;
    for (int c = 1; c < kv->count; c++)
        if (kv->segments[c].alive && kv->segments[c].parent == id && kv->segments[c].start > until)
            until = kv->segments[c].start;
    return until;
}

static int naive_has_child(const struct naive_kv *kv, int id)
{
    for (int c = 1; c < kv->count; c++)
        if (kv->segments[c].alive && kv->segments[c].parent == id)
            return 1;
    return 0;
}

static void naive_cut(struct naive_kv *kv, int id, int end)
{
    struct naive_segment *s = &kv->segments[id], *p = &kv->segments[s->parent];
    s->count = end - s->start;
    kv->used -= s->blocks - naive_blocks(s->start, end);
    s->blocks = naive_blocks(s->start, end);
    if (s->count || s->writer || naive_has_child(kv, id))
        return;
    s->alive = 0;
    if (p->left < s->left)
        p->left = s->left;
}

static void naive_find(const struct naive_kv *kv, int id, const int *tokens, int n, int *best, int *length)
{
    const struct naive_segment *s = &kv->segments[id];
    int at = s->start;
    while (at < n && at < naive_end(kv, id) && s->tokens[at - s->start] == tokens[at])
        at++;
    if (at > *length) {
        *best = id;
        *length = at;
    }
    for (int c = 1; c < kv->count; c++)
        if (kv->segments[c].alive && kv->segments[c].parent == id && kv->segments[c].start <= at)
            naive_find(kv, c, tokens, n, best, length);
}

static int naive_open(struct naive_kv *kv, const int *tokens, int n, int *found)
{
    int id = 0;
    *found = 0;
    naive_find(kv, 0, tokens, n, &id, found);
    if (id == 0 || kv->segments[id].writer || *found < naive_end(kv, id))
        id = naive_make(kv, id, *found);
    kv->segments[id].writer = 1;
    return id;
}

static void naive_close(struct naive_kv *kv, int id)
{
    kv->segments[id].writer = kv->segments[id].cut = 0;
    kv->segments[id].left = ++kv->clock;
    naive_cut(kv, id, naive_end(kv, id));
}

/* The one left longest ago of those whose end nobody needs loses a block of it. */
static int naive_evict(struct naive_kv *kv)
{
    int victim = 0;
    for (int i = 1; i < kv->count; i++)
        if (kv->segments[i].alive && naive_needed(kv, i) < naive_end(kv, i) &&
            (!victim || kv->segments[i].left < kv->segments[victim].left))
            victim = i;
    if (!victim)
        return 0;
    int boundary = (naive_end(kv, victim) - 1) / KERNEL_CELLS * KERNEL_CELLS, floor = naive_needed(kv, victim);
    kv->evicted += !kv->segments[victim].cut;
    kv->segments[victim].cut = 1;
    naive_cut(kv, victim, boundary > floor ? boundary : floor);
    return 1;
}

static int naive_reserve(struct naive_kv *kv, int id, int positions)
{
    while (kv->segments[id].blocks < naive_blocks(kv->segments[id].start, positions)) {
        if (kv->used == kv->limit && !naive_evict(kv))
            return 0;
        if (kv->used == kv->limit)
            continue;
        kv->segments[id].blocks++;
        kv->used++;
    }
    return 1;
}

static void naive_append(struct naive_kv *kv, int id, const int *tokens, int n)
{
    for (int i = 0; i < n; i++)
        kv->segments[id].tokens[kv->segments[id].count++] = tokens[i];
}

static void naive_forget(struct naive_kv *kv, const int *tokens, int n)
{
    int id = 0, at = 0;
    naive_find(kv, 0, tokens, n, &id, &at);
    while (id) {
        int until = naive_needed(kv, id), start = kv->segments[id].start;
        if (at < naive_end(kv, id) || until == naive_end(kv, id))
            return;
        naive_cut(kv, id, until);
        if (until > start)
            return;
        at = start;
        id = kv->segments[id].parent;
    }
}

static void naive_clear(struct naive_kv *kv)
{
    for (int i = kv->count - 1; i > 0; i--) /* children before their parents */
        if (kv->segments[i].alive && naive_needed(kv, i) < naive_end(kv, i))
            naive_cut(kv, i, naive_needed(kv, i));
}

/* Blocks that would be there still if all were evicted that can be. */
static int64_t naive_pinned(const struct naive_kv *kv)
{
    int *until = xcalloc((size_t)kv->count, sizeof *until); /* where somebody held leaves; -1: itself written */
    int64_t pinned = 0;
    for (int i = kv->count - 1; i > 0; i--) {
        const struct naive_segment *s = &kv->segments[i];
        if (!s->alive || (!s->writer && !until[i]))
            continue;
        pinned += s->writer ? s->blocks : naive_blocks(s->start, until[i]);
        if (s->start > until[s->parent])
            until[s->parent] = s->start;
    }
    free(until);
    return pinned;
}

static int naive_alive(const struct naive_kv *kv)
{
    int alive = 0;
    for (int i = 1; i < kv->count; i++)
        alive += kv->segments[i].alive;
    return alive;
}

#endif
