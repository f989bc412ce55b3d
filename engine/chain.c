#include "engine/chain.h"
#include "kernels/kernels.h"

#include <stdlib.h>

/* Two neighbours that can merge, as they were when this was noted. Parts only ever grow, so that two which together are as long as then
 * are the same two. */
struct engine_chain_pair {
    uint64_t order; /* rank << 32 | the left part */
    uint32_t length, symbol;
};

void engine_chain_clear(struct engine_chain *c)
{
    c->count = c->heap_count = 0;
}

void engine_chain_free(struct engine_chain *c)
{
    free(c->parts);
    free(c->heap);
    *c = (struct engine_chain){0};
}

void engine_chain_add(struct engine_chain *c, uint32_t symbol, uint32_t length)
{
    int i = c->count;
    ARRAY_RESERVE(c->parts, c->count, c->capacity);
    uint32_t at = i ? c->parts[i - 1].at + c->parts[i - 1].length : 0;
    if (i)
        c->parts[i - 1].next = i;
    c->parts[c->count++] = (struct engine_chain_part){symbol, at, length, i - 1, ENGINE_CHAIN_END, 1};
}

static void push(struct engine_chain *c, struct engine_chain_pair pair)
{
    ARRAY_RESERVE(c->heap, c->heap_count, c->heap_capacity);
    int i = c->heap_count++;
    for (; i && c->heap[(i - 1) / 2].order > pair.order; i = (i - 1) / 2)
        c->heap[i] = c->heap[(i - 1) / 2];
    c->heap[i] = pair;
}

static struct engine_chain_pair pop(struct engine_chain *c)
{
    struct engine_chain_pair top = c->heap[0], last = c->heap[--c->heap_count];
    int i = 0;
    for (int child; (child = 2 * i + 1) < c->heap_count; i = child) {
        child += child + 1 < c->heap_count && c->heap[child + 1].order < c->heap[child].order;
        if (c->heap[child].order >= last.order)
            break;
        c->heap[i] = c->heap[child];
    }
    c->heap[i] = last;
    return top;
}

static void note(struct engine_chain *c, int left, int right, engine_chain_merges *merges, const void *context)
{
    uint32_t rank, symbol;
    if (left == ENGINE_CHAIN_END || right == ENGINE_CHAIN_END)
        return;
    const struct engine_chain_part *l = &c->parts[left], *r = &c->parts[right];
    if (merges(context, l, r, &rank, &symbol))
        push(c, (struct engine_chain_pair){(uint64_t)rank << 32 | (uint32_t)left, l->length + r->length, symbol});
}

void engine_chain_merge(struct engine_chain *c, engine_chain_merges *merges, const void *context)
{
    for (int i = 1; i < c->count; i++)
        note(c, i - 1, i, merges, context);
    while (c->heap_count) {
        struct engine_chain_pair pair = pop(c);
        int at = (int)(uint32_t)pair.order;
        struct engine_chain_part *left = &c->parts[at];
        if (!left->alive || left->next == ENGINE_CHAIN_END || left->length + c->parts[left->next].length != pair.length)
            continue; /* one of the two has merged with another since */
        struct engine_chain_part *right = &c->parts[left->next];
        right->alive = 0;
        left->symbol = pair.symbol;
        left->length = pair.length;
        left->next = right->next;
        if (left->next != ENGINE_CHAIN_END)
            c->parts[left->next].previous = at;
        note(c, left->previous, at, merges, context);
        note(c, at, left->next, merges, context);
    }
}
