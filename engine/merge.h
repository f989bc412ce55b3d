/* A model's tensors with adapters in them: what each is, before it is written in some type. */
#ifndef ESPALIER_ENGINE_MERGE_H
#define ESPALIER_ENGINE_MERGE_H

#include "engine/adapter.h"
#include "engine/engine.h"

struct engine_merge;
/* Read the adapters, checked against the model of the file. quant: what they were trained on, as in engine_options, "none", or NULL: what
 * they say. */
int engine_merge_open(struct engine_merge **out, const struct engine_file *file, const struct engine_merge_use *uses, int count, const char *quant,
                      struct error *e);
void engine_merge_close(struct engine_merge *merge);
const char *engine_merge_quant(const struct engine_merge *merge); /* as what the base is taken: "", "nf4", "nf4+head" */
/* The name of the model that an adapter says it was trained on, where that is not this one; NULL. */
const char *engine_merge_stranger(const struct engine_merge *merge, const char *name);
/* Of a model whose head is its embedding only one is replaced: the new file needs a head of its own. */
int engine_merge_unties(const struct engine_merge *merge);

/* A tensor as rows of numbers. */
struct engine_merged {
    struct kernel_matrix matrix;           /* of the file, or NF4 made from it, or what replaces it */
    const struct engine_merge *merge;
    int layer, target;                     /* whose parts are added; -1: nobody's */
    int changed;                           /* not what is in the file */
};
/* merge NULL: the tensor as it is. To be freed with engine_merged_free. */
int engine_merged_make(struct engine_merged *out, const struct engine_merge *merge, const struct engine_tensor *t, struct kernel_pool *pool, struct error *e);
void engine_merged_free(struct engine_merged *merged);
/* out[n] = numbers [col, col + n) of a row; base (may be NULL): without what adapters add. */
void engine_merged_row(const struct engine_merged *merged, int row, int col, int n, float *out, float *base);

#endif
