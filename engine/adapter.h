/* Low-rank adapters (LoRA: Hu et al. 2021): what they add to the matrices of a model, and the two forms they come in.
 *
 * A matrix W with a part computes y = W x + scale * B (A x). Rows of B are in the order of the model's own rows in memory: where
 * a file has the rows of q and k in the order of another RoPE (a PEFT folder those of a llama in GGUF), they are turned on their way
 * in and out.
 */
#ifndef ESPALIER_ENGINE_ADAPTER_H
#define ESPALIER_ENGINE_ADAPTER_H

#include "engine/model.h"

enum { ENGINE_RANK_MOST = 1024 };

struct engine_adapter_part { /* of one matrix of one layer; rank 0: it has none */
    int rank;
    float scale; /* alpha / rank, or alpha / sqrt(rank) as rsLoRA has it (Kalajdzievski 2023) */
    float *a;    /* [rank][columns of the matrix] */
    float *b;    /* [rows of the matrix][rank] */
};

/* Invariants, for a model: as many layers, every part in the shape of its matrix, all numbers finite. Owns its memory. */
struct engine_adapter {
    int layers;
    struct engine_adapter_part *parts; /* [layers][ENGINE_MATRICES] */
    /* Trained whole, in place of the model's (modules_to_save); NULL: the model's own. */
    float *embedding, *head; /* [vocabulary][width] */
    float **norms;           /* [layers][ENGINE_NORMS], then the output's: [width] each */
    uint64_t sum;            /* of the bytes it was read from */
    char *base, *quant;      /* the model's name, and what of it was NF4 as it was trained ("nf4"), as far as that is said; NULL */
    int rslora;              /* its configuration has alpha over the root of the rank */
};

/* Without parts or replacements. */
struct engine_adapter *engine_adapter_new(int layers);
void engine_adapter_free(struct engine_adapter *adapter);
static inline struct engine_adapter_part *engine_adapter_part(const struct engine_adapter *adapter, int layer, int matrix)
{
    return &adapter->parts[layer * ENGINE_MATRICES + matrix];
}
/* Give it a part with all of a and b zero; 0 when there is no memory. rows and cols: of the matrix. */
int engine_adapter_make_part(struct engine_adapter_part *part, int rank, float scale, int rows, int cols);
int64_t engine_adapter_parameters(const struct engine_adapter *adapter, const struct engine_model *m);

/* A GGUF file, or a folder as PEFT saves it (adapter_config.json, adapter_model.safetensors), checked against the model.
 * ERROR_INPUT in one line: what of it does not fit the model, is damaged, or would change the result and is not computed here. */
int engine_adapter_read(struct engine_adapter **out, const char *path, const struct engine_model *m, struct error *e);
int engine_adapter_read_gguf(struct engine_adapter **out, const char *path, const struct engine_model *m, struct error *e);
int engine_adapter_read_peft(struct engine_adapter **out, const char *path, const struct engine_model *m, struct error *e);
/* Write it. GGUF has one alpha for all: where scale * rank differs, the difference goes into B. What GGUF cannot say (a replaced head,
 * embedding or norm) is refused by name. The folder is made where it is missing. Until a
 * file is whole there is nothing of it under its name. */
int engine_adapter_write_gguf(const struct engine_adapter *adapter, const char *path, const struct engine_model *m, struct error *e);
int engine_adapter_write_peft(const struct engine_adapter *adapter, const char *path, const struct engine_model *m, struct error *e);

/* --- for its readers and writers --------------------------------------------------------------------------------- */

/* Rows of q and k in the order that one RoPE takes from those of another, both as engine_model.neox has it (PEFT: always 1; GGUF: the
 * architecture's); those of other matrices as they are. x: [rows][cols]. */
void engine_adapter_turn(const struct engine_model *m, int matrix, int from, int to, const float *x, int rows, int cols, float *out);
/* Every part has both of a and b, or neither; there is anything at all. */
int engine_adapter_check(const struct engine_adapter *adapter, const char *path, struct error *e);

#endif
