/* One pass of a batch of tokens through the model: any positions of any branches, in any order.
 *
 * The pass is a list of phases; each is cut into tasks by cost and run on the pool. Nothing here mixes rows: with the
 * contract of the kernels, what comes out for a token depends on the tokens before it, and on its own mix of adapters, alone.
 */
#ifndef ESPALIER_ENGINE_FORWARD_H
#define ESPALIER_ENGINE_FORWARD_H

#include "engine/mix.h"

struct engine_row { /* one token of a batch */
    int token, position;
    const struct engine_mix *mix;  /* the adapters that it goes through; NULL: none */
    const struct kernel_run *runs; /* its branch: reach at least to position */
    unsigned char
        *block; /* where its keys and values go (cell position % KERNEL_CELLS); NULL: they are there already */
};

struct engine_forward;

/* Bytes that engine_forward_create takes for its scratch. */
size_t engine_forward_scratch_bytes(const struct engine_model *model, const struct kernel_set *set, int rows, int logits);
/* cache: one the set keeps in this shape. rows: the most in one pass; logits: the most rows of logits at once. Everything a
 * pass needs is allocated here. */
int engine_forward_create(struct engine_forward **out, const struct engine_model *model, const struct kernel_set *set,
                          enum kernel_type cache, struct kernel_pool *pool, int rows, int logits, struct error *e);
void engine_forward_free(struct engine_forward *f);

/* Bytes of a block of the cache: KERNEL_CELLS positions of every layer. */
size_t engine_forward_block_bytes(const struct engine_model *model, const struct kernel_set *set, enum kernel_type cache);

/* All layers for rows[0..n), 1 <= n <= rows. Keys and values of a row are stored before any row attends. */
void engine_forward_run(struct engine_forward *f, const struct engine_row *rows, int n);
/* Logits of n rows of the last pass, by their index in it; [n][vocabulary], valid until the next call. n <= logits. */
float *engine_forward_logits(struct engine_forward *f, const int *rows, int n);

#endif
