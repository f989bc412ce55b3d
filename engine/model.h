/* The weights of a model and what its metadata says of its shape, checked by name.
 *
 * An architecture is a row in a table: the key prefix in the file, which tensors it has, and where its pass differs from the
 * others'. Its forward pass is the one in forward.c.
 */
#ifndef ESPALIER_ENGINE_MODEL_H
#define ESPALIER_ENGINE_MODEL_H

#include "engine/file.h"
#include "engine/learning.h"
#include "engine/rope.h"

struct engine_architecture {
    const char *name; /* general.architecture, and the prefix of its keys */
    int neox;         /* pairs that RoPE rotates, unless the file says otherwise: see kernel_set.rope */
    int rope_divisors;    /* the file may have rope_freqs.weight, which divides frequencies */
    int biases;           /* q, k and v have one */
    int head_norms;       /* heads of q and k are normed before they are rotated */
    int post_norms;       /* what attention gives, and the feed-forward part, is normed before it is added */
    int norms_from_one;   /* folders that it is trained in have norms less 1 (GGUF has them whole) */
    int gelu;             /* gates by GELU, not SiLU */
    int scaled_embedding; /* by the square root of the width */
    int windows;          /* layers may see only a window of positions: where the file does not say which, */
    int window_period;    /* all but every so many-th; 0: all */
    float window_base;    /* RoPE of those with a window, where the file does not say it, and never scaled; 0: as the others' */
    int coarse_layers;    /* with just so many layers scores are scaled by the width over the heads: the file does not say it */
};

/* What is quantized at load: each includes what is before it. */
enum engine_quant { ENGINE_QUANT_NONE, ENGINE_QUANT_NF4, ENGINE_QUANT_NF4_HEAD, ENGINE_QUANTS };
extern const char *const engine_quants[ENGINE_QUANTS]; /* "", "nf4", "nf4+head" */
enum engine_quant engine_quant_of(const char *name);   /* NONE for what is none of these, and for NULL */

enum engine_norm {
    ENGINE_NORM_ATTENTION, ENGINE_NORM_FF,           /* of what enters the two parts of a layer: [width] */
    ENGINE_NORM_POST_ATTENTION, ENGINE_NORM_POST_FF, /* of what they give: [width] */
    ENGINE_NORM_Q, ENGINE_NORM_K,                    /* [head_dim] */
    ENGINE_NORMS
};
enum { ENGINE_BIASES = 3 }; /* of q, k and v, as enum engine_target has them */

/* Shapes of matrices are [rows][cols] = [out][in]. */
struct engine_layer {
    const float *norms[ENGINE_NORMS], *biases[ENGINE_BIASES]; /* NULL: the architecture has none */
    int window;                            /* positions that a row sees, as kernel_attention.window */
    const float *rope;                     /* [context][head_dim / 2][cos, sin] */
    struct kernel_matrix q;                /* [heads * head_dim][width] */
    struct kernel_matrix k, v;             /* [kv_heads * head_dim][width] */
    struct kernel_matrix o;                /* [width][heads * head_dim] */
    struct kernel_matrix gate, up;         /* [ff_width][width] */
    struct kernel_matrix down;             /* [width][ff_width] */
};

struct kernel_matrix *engine_layer_matrix(struct engine_layer *layer, enum engine_target target);
/* The matrices of a layer that rows are multiplied by, in the order above. */
enum { ENGINE_MATRICES = ENGINE_TARGETS, ENGINE_LAYERS_MOST = 1024 };

/* Immutable once open. Invariants: heads is a multiple of kv_heads, head_dim is even, every matrix has the shape above.
 */
struct engine_model {
    const struct engine_architecture *architecture;
    int layers_count, width, heads, kv_heads, head_dim, ff_width, vocabulary;
    int context_trained, context; /* context: rows of rope */
    float norm_epsilon, attention_scale, embedding_scale;
    struct engine_rope rope, window_rope; /* of layers that see all; of those with a window */
    int window;                           /* of the layers that have one; 0: none has */
    unsigned char windowed[ENGINE_LAYERS_MOST];
    int neox;                       /* the architecture's, or the file's espalier.rope.neox: rows of q and k as they were trained */
    int tied;                       /* the file has no head of its own */
    struct engine_layer *layers;    /* [layers_count] */
    struct kernel_matrix embedding; /* [vocabulary][width]; never packed: rows are looked up in the file's own format */
    struct kernel_matrix head;      /* [vocabulary][width]; the embedding's data when tied */
    float *vectors;                 /* all norms and biases: owned */
    const float *output_norm;       /* [width] */
    float *rotations;               /* what layers' rope points into: owned */
    void *memory;                   /* that packed weights are in: owned */
    size_t packed_bytes, in_place_bytes; /* weights laid out anew; weights used where they lie in the file */
    int quantized, kept; /* matrices made NF4 here, and those whose width does not allow it */
    int64_t parameters;
    int tensors_by_type[KERNEL_TYPES]; /* as they are used */
    int64_t bytes_by_type[KERNEL_TYPES];
};

/* Reads the model of the file and lays its weights out for the set. context: positions wanted, 0: the model's own, at
 * most 8,192. tokens: how many the tokenizer has. The file must stay open as long as the model. ERROR_INPUT names what
 * is missing, misshapen, unknown or beyond what can be computed. set NULL: weights stay exact, where they are. */
int engine_model_open(struct engine_model **out, const struct engine_file *file, int tokens, int context,
                      enum engine_quant quant, const struct kernel_set *set, struct kernel_pool *pool, struct error *e);
/* The same model, checked and counted as that one would be, but with nothing quantized or laid out and no rope: its numbers
 * can be read, nothing be computed. */
int engine_model_describe(struct engine_model **out, const struct engine_file *file, int tokens, int context,
                          enum engine_quant quant, const struct kernel_set *set, struct error *e);
/* ERROR_INPUT names the first weight that is no number, of those that are used where they lie in the file. Packing has looked at all others, and
 * so has opening without a set at all; with one these would have to be read once more than they are used, so it is asked when nothing came of them. */
int engine_model_check(struct engine_model *m, const struct engine_file *file, struct kernel_pool *pool, struct error *e);
/* Only what the metadata says of the architecture and its shape: *m has no weights, and nothing to close. */
int engine_model_shape(struct engine_model *m, const struct engine_file *file, int context, struct error *e);
void engine_model_close(struct engine_model *m);

/* Whether rows of q and k are in another order than GGUF has them in, and which of them is to be row i there. Only the shape is needed. */
int engine_model_turned(const struct engine_model *m);
int engine_model_row_of(const struct engine_model *m, int i);

const char *engine_model_matrix_name(int i); /* "attn_q", ... as in a file's blk.N.attn_q.weight */
const char *engine_model_norm_name(int i);   /* "attn_norm", ... */
int engine_model_norm_size(const struct engine_model *m, int i); /* numbers; 0: the architecture has none */
const struct kernel_matrix *engine_model_matrix(const struct engine_model *m, int layer, int i);

int engine_model_rotations(const struct engine_model *m); /* tables of [context][head_dim / 2][cos, sin] */

/* out[width] = the embedding of token `id`, before it is scaled. */
void engine_model_embed(const struct engine_model *m, int id, float *out);

#endif
