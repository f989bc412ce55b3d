/* Merging neighbours, the best pair first, until no pair can merge: what every kind of byte pair encoding does to a text. n log n. */
#ifndef ESPALIER_ENGINE_CHAIN_H
#define ESPALIER_ENGINE_CHAIN_H

#include <stddef.h>
#include <stdint.h>

enum { ENGINE_CHAIN_END = -1 };

struct engine_chain_part { /* a stretch of the text */
    uint32_t symbol;       /* what the caller calls it */
    uint32_t at, length;
    int previous, next;    /* ENGINE_CHAIN_END at the ends */
    int alive;
};

/* Reused from text to text; {0} is an empty one. Invariant: the parts that are alive, from part 0 on by next, spell the text. */
struct engine_chain {
    struct engine_chain_part *parts;
    int count, capacity;
    struct engine_chain_pair *heap;
    int heap_count, heap_capacity;
};

/* Whether two neighbours can merge: then 1, what they become, and how early they do (lowest first; of equal ones the leftmost). */
typedef int engine_chain_merges(const void *context, const struct engine_chain_part *left, const struct engine_chain_part *right, uint32_t *rank,
                                uint32_t *symbol);

void engine_chain_clear(struct engine_chain *c);
void engine_chain_add(struct engine_chain *c, uint32_t symbol, uint32_t length); /* one more part at the end */
void engine_chain_merge(struct engine_chain *c, engine_chain_merges *merges, const void *context);
static inline int engine_chain_first(const struct engine_chain *c)
{
    return c->count ? 0 : ENGINE_CHAIN_END;
}
void engine_chain_free(struct engine_chain *c);

#endif
