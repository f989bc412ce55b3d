/* Adapters laid out for passes, and mixes of them: what a row of a batch adds to the model.
 *
 * An adapter is laid out once; a mix is a short list of (adapter, weight) that points to those. Mix 0 is the bare model. The same list
 * is the same mix, so that what was cached under it is found again; none is ever taken away.
 */
#ifndef ESPALIER_ENGINE_MIX_H
#define ESPALIER_ENGINE_MIX_H

#include "engine/adapter.h"
#include "engine/engine.h"

struct engine_kv;

struct engine_lora_part { /* rank 0: none */
    int rank;
    float scale;
    const float *down; /* A as kernel_set.combine takes it: as many rows as the matrix has columns, of `rank` */
    const float *up;   /* B: `rank` rows of the matrix's outputs */
};
struct engine_lora {
    char *path;
    uint64_t sum;
    struct engine_lora_part *parts; /* [layers][ENGINE_MATRICES] */
    float *memory;                  /* of all of them, in the order of a pass */
    struct engine_adapter *whole;   /* what it replaces whole; without parts */
    struct kernel_matrix head;      /* whole->head, where there is one */
    struct engine_adapter_about about;
};

struct engine_mix { /* invariant: weights are not 0; at most one replaces the same thing, and that with weight 1 */
    int count;
    struct engine_mix_use {
        const struct engine_lora *lora;
        int adapter; /* its id */
        float weight;
    } *uses;
    const float *embedding;           /* NULL: the model's; so the others */
    const struct kernel_matrix *head;
    const float **norms;              /* [layers * ENGINE_NORMS + 1], or NULL when it replaces none */
    int root;                         /* of the cache */
};

struct engine_mixes;
struct engine_mixes *engine_mixes_create(const struct engine_model *m);
void engine_mixes_free(struct engine_mixes *mixes);
/* As engine.h has them. root: makes a root of the cache for a mix that is new. */
int engine_mixes_open(struct engine_mixes *mixes, const char *path, int *id, struct error *e);
int engine_mixes_mix(struct engine_mixes *mixes, const struct engine_adapter_use *uses, int n, struct engine_kv *kv, int *mix, struct error *e);
int engine_mixes_adapters(const struct engine_mixes *mixes);
int engine_mixes_count(const struct engine_mixes *mixes); /* with the bare model */
const struct engine_lora *engine_mixes_adapter(const struct engine_mixes *mixes, int id);
const struct engine_mix *engine_mixes_at(const struct engine_mixes *mixes, int mix); /* NULL: the bare model */

/* What the mix adds to y[n][rows of the matrix] for x[n][its columns]: in the order of its uses, weight * scale * B (A x). As
 * with all kernels a row's numbers are its own; rows together only read the adapter once. */
void engine_mix_add(const struct engine_mix *mix, const struct kernel_set *set, int layer, int matrix, const struct kernel_matrix *of,
                    const float *x, int n, float *y);

#endif
