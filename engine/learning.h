/* Learning: gradients of an adapter on frozen weights, or of all weights, and the optimizer's steps. Included by engine.h.
 *
 * A learner is one model with what it learns. One thread drives it. Numbers are fp32 on exactly dequantized weights, and do not
 * depend on the number of threads: the same model, documents and steps give the same bits, also when it was saved and restored
 * between. (Different kernel sets may differ from each other.)
 *
 * Adapters: LoRA (Hu et al. 2021), on NF4: QLoRA (Dettmers et al. 2023). Activation checkpointing: Chen et al. 2016.
 */
#ifndef ESPALIER_ENGINE_LEARNING_H
#define ESPALIER_ENGINE_LEARNING_H

#include "kernels/kernels.h"

struct engine;
struct engine_learner;

/* The matrices of a layer that an adapter can have. */
enum engine_target {
    ENGINE_TARGET_Q, ENGINE_TARGET_K, ENGINE_TARGET_V, ENGINE_TARGET_O, ENGINE_TARGET_GATE, ENGINE_TARGET_UP, ENGINE_TARGET_DOWN,
    ENGINE_TARGETS
};

struct engine_learner_options { /* {0} is a good start; see the comment at each for what 0 means */
    const char *model;   /* path of a GGUF file */
    const char *quant;   /* as in struct engine_options; not with all */
    const char *kernels; /* likewise */
    int threads;         /* 0: as many as the machine has */
    int all;             /* learn all weights (in fp32), not an adapter */
    int rank;            /* 0: 16; at most KERNEL_RANK */
    float alpha;         /* 0: twice the rank. The adapter's scale is alpha / rank, */
    int rslora;          /* or alpha / sqrt(rank) (Kalajdzievski 2023) */
    unsigned targets;    /* bits 1 << ENGINE_TARGET_...; 0: all seven */
    int rows;            /* positions in one pass at most; 0: 1,024 */
    int checkpoints;     /* keep only what enters each layer, and compute the rest of it again on the way back */
    int rounded;         /* products of weights may be of whole numbers (kernels/learning.h): faster, a thousandth off */
    int moments8;        /* the optimizer's moments in 8 bits; parameters of fewer than 4,096 numbers keep theirs in fp32 */
    float beta1, beta2, epsilon; /* 0: 0.9, 0.999, 1e-8 */
    float decay;         /* of matrices, not of norms */
    float clip;          /* the gradient's norm at most; 0: any */
    uint64_t seed;       /* of an adapter's first weights */
};

/* ERROR_INPUT: the model, as engine_open; a rank that is not below a matrix's sides. */
int engine_learner_create(struct engine_learner **out, const struct engine_learner_options *options, struct error *e);
void engine_learner_free(struct engine_learner *learner);
/* The engine its tokens are those of: vocabulary only. Owned by the learner. */
const struct engine *engine_learner_engine(const struct engine_learner *learner);

struct engine_learner_info {
    int64_t parameters, learned; /* of the model; numbers that are learned */
    size_t weight_bytes, kept_bytes, scratch_bytes, optimizer_bytes;
    const char *kernels;
    int threads, context, steps; /* steps: of the optimizer so far */
};
void engine_learner_info(const struct engine_learner *learner, struct engine_learner_info *out);

/* A text of its own: nothing of it sees another. learned[i] != 0: the loss counts how well tokens[0..i) tell tokens[i]; learned[0]
 * means nothing. */
struct engine_document {
    const int *tokens;
    const unsigned char *learned;
    int count; /* up to `rows` */
};
struct engine_loss {
    double sum;    /* of -log p, nats */
    int64_t count; /* of learned tokens */
};
/* Add the gradient of documents, whose counts add up to `rows` at most, to what has been gathered since the last step; *loss is added to. */
void engine_learner_add(struct engine_learner *learner, const struct engine_document *documents, int n, struct engine_loss *loss);
/* Only the loss. */
void engine_learner_loss(struct engine_learner *learner, const struct engine_document *documents, int n, struct engine_loss *loss);
/* One step of AdamW by the gathered gradient over the number of its learned tokens. *norm (may be NULL): of the gradient before it was
 * clipped. ERROR_ENGINE: it is not a number, or infinite; nothing has changed then but that the gradient is dropped. */
int engine_learner_step(struct engine_learner *learner, float rate, double *norm, struct error *e);

/* What is learned, with the optimizer's moments, to a file and back; `note` is bytes of the caller's, malloc'ed when read. A file that
 * is damaged or of another learner is refused (ERROR_INPUT), and nothing is changed. */
int engine_learner_save(const struct engine_learner *learner, const char *path, const struct string *note, struct error *e);
int engine_learner_restore(struct engine_learner *learner, const char *path, struct string *note, struct error *e);

/* A learner of all weights: its model as a GGUF file, matrices in type ("f32", "f16", "q8_0"; those whose width it does not fit stay
 * F32), all else as in the file it began from. */
int engine_learner_export(const struct engine_learner *learner, const char *path, const char *type, struct error *e);
/* A learner of an adapter: it as a GGUF file and as a folder of PEFT's; either may be NULL. */
int engine_learner_export_adapter(const struct engine_learner *learner, const char *gguf, const char *folder, struct error *e);

/* A parameter by its number, for those who look: name ("blk.0.attn_q.lora_a"), shape, weights and gathered gradient. 0 past the last. */
struct engine_parameter {
    const char *name;
    int rows, cols;
    const float *weights, *gradient;
};
int engine_learner_parameter(const struct engine_learner *learner, int i, struct engine_parameter *out);
void engine_learner_set(struct engine_learner *learner, int i, const float *weights);

/* A new model of the llama architecture: a GGUF file of fp32 weights drawn by seed (normal, 0.02; norms 1), whose tokens are a begin and
 * an end token, the 256 bytes and `tokens`, which are found in any text before the bytes are, the longest first. */
struct engine_shape {
    int layers, width, heads, kv_heads, head_dim, ff_width, context; /* head_dim 0: width / heads */
    float rope_base, norm_epsilon;                                   /* 0: 10000, 1e-5 */
    int untied;                                                      /* a head of its own */
    const char *name;
    const char *const *tokens;
    int token_count;
    const char *prompts; /* how it is to be asked (espalier.prompts: "trained"), or NULL */
};
/* ERROR_INPUT: the path cannot be written to, or the shape is none (says what of it). */
int engine_new_model(const char *path, const struct engine_shape *shape, uint64_t seed, struct error *e);

#endif
