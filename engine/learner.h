/* What a learner is made of; shared by learner.c, which opens it, has its parameters and steps, and learner_pass.c, which goes
 * forwards and backwards. */
#ifndef ESPALIER_ENGINE_LEARNER_H
#define ESPALIER_ENGINE_LEARNER_H

#include "engine/engine.h"
#include "engine/model.h"

/* Something that is learned. */
struct parameter {
    char name[64];
    int rows, cols;
    float *w, *gradient;
    float decay;
    float *m, *v; /* moments, or NULL: */
    struct kernel_moments8 moments8;
};

/* A matrix of the pass, and what of it is learned: itself, or what is added to it, or neither. */
struct linear {
    struct kernel_matrix *matrix;
    float *gradient;            /* of the matrix, or NULL */
    struct kernel_low_rank plus; /* rank 0: none */
    float *da, *db;
};

/* What going backwards needs of a layer: [rows][...]. */
struct kept {
    float *in;                        /* the residual stream where it enters */
    float *q, *k, *v, *mixed, *length; /* rotated; of attention */
    float *raw_q, *raw_k;             /* before they are normed, where they are */
    float *attention_part, *ff_part;  /* what the two parts give, where it is normed before it is added */
    float *middle;                    /* the residual stream after attention */
    float *gate, *up;
};

struct learned_layer {
    struct linear linears[ENGINE_TARGETS];
    float *d_norms[ENGINE_NORMS], *d_biases[ENGINE_BIASES]; /* or NULL */
    struct kept kept;
};

struct engine_learner {
    struct engine *vocabulary;
    struct engine_file *file;
    const struct kernel_set *set;
    struct kernel_pool *pool;
    struct engine_model *model; /* exact weights: not packed */
    struct engine_learner_options options;
    int rows;

    struct learned_layer *layers;
    struct linear head;
    float *d_output_norm, *d_embedding; /* or NULL */
    void *weights;                      /* of a model that is learned whole: its matrices in fp32 */

    struct parameter *parameters;
    int parameter_count;
    float *gradients; /* of all parameters, one after the other */
    size_t learned;   /* numbers of these */
    void *moments;
    int steps;
    int64_t gathered; /* learned tokens since the last step */

    /* The pass. */
    unsigned char *scratch;
    size_t kept_bytes, scratch_bytes, weight_bytes, optimizer_bytes;
    float *x;                        /* what leaves the last layer, [rows][width] */
    float *normed;                   /* [rows][width] */
    float *wide;                     /* [rows][ff_width]: what enters `down` */
    float *d_x, *d_normed;           /* [rows][width] */
    float *d_part;                   /* [rows][width]: of what a part gives, where it is normed; else d_x */
    float *d_q, *d_k, *d_v, *d_mixed;
    float *d_kv_parts;               /* [parts][2][rows][kv width] */
    float *d_gate, *d_up;
    float *low[ENGINE_TARGETS], *d_low[ENGINE_TARGETS]; /* [rows][rank] */
    float *learned_a[ENGINE_TARGETS], *learned_b[ENGINE_TARGETS]; /* [rank][cols], [rank][rows]: what one layer's A and B learn, unscaled */
    float *logits;                   /* [logits_rows][logits_stride] */
    float *picked, *d_picked;        /* [logits_rows][width] */
    int logits_rows, logits_stride;
    int *positions, *tokens, *targets; /* [rows]: position in its document; token; what is to be told there, or -1 */
    double *losses;                  /* [rows] */
    struct engine_document *documents; /* of the pass: their ranges of rows, [rows] */
    int *firsts;
    int document_count, n;
};

/* Forwards; and with `back` backwards, gradients being added to. */
void engine_learner_pass(struct engine_learner *l, const struct engine_document *documents, int n, int back, struct engine_loss *loss);
/* Sizes of the pass for l->rows; with l->scratch its pointers are set. */
void engine_learner_lay_out(struct engine_learner *l);

#endif
