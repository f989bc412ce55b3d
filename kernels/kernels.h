/* kernels/: arithmetic. One table of operations (struct kernel_set), filled once for each kind of machine.
 *
 * Every set computes the same functions. `reference` is scalar, always built, exact on the dequantized weights (fp32
 * activations) and is what the others are tested against; the others may round activations to 8 bits.
 *
 * THE CONTRACT every set keeps, and that the determinism of the whole program stands on: the numbers of a row are a
 * function of that row alone. The order in which a row's sums are taken does not depend on how many rows are computed
 * together, on the row's place among them, on the range of columns or heads a call was given, or on the thread that
 * computes it. (Different sets may differ from each other.)
 *
 * Shapes are written [a][b]: a rows of b numbers, row-major, contiguous unless a stride is given.
 */
#ifndef ESPALIER_KERNELS_H
#define ESPALIER_KERNELS_H

#include "base.h"
#include "learning.h"

struct kernel_pool;

/* --- weight formats ---------------------------------------------------------------------------------------------- */

/* How weights lie in a GGUF file (ggml's names and layouts); last NF4, which is made in memory and in no such file. */
enum kernel_type {
    KERNEL_F32,
    KERNEL_F16,
    KERNEL_BF16,
    KERNEL_Q4_0,
    KERNEL_Q4_1,
    KERNEL_Q5_0,
    KERNEL_Q5_1,
    KERNEL_Q8_0,
    KERNEL_Q2_K,
    KERNEL_Q3_K,
    KERNEL_Q4_K,
    KERNEL_Q5_K,
    KERNEL_Q6_K,
    KERNEL_IQ4_NL,
    KERNEL_IQ4_XS,
    KERNEL_NF4,
    KERNEL_TYPES
};

struct kernel_format {
    const char *name; /* "Q4_1" */
    int block;        /* weights in a block */
    int bytes;        /* bytes of a block; of NF4 its codes alone */
    /* out[n] = the n weights at `blocks`; n is a multiple of block. Exact, as ggml defines the format. NULL for NF4,
     * whose scales lie apart: kernel_matrix_dequantize serves every type. */
    void (*dequantize)(const void *blocks, float *out, int n);
    /* The blocks nearest to x[n], block by block: a block depends on its own weights alone. For Q4_0 and IQ4_NL the
     * scale is searched for the least weighted squared error. A block that holds what is not a number, or more than the format
     * can, gives NaN or infinity. NULL for the formats that are only read. */
    void (*quantize)(const float *x, void *blocks, int n);
};
const struct kernel_format *kernel_format(enum kernel_type type); /* never NULL for a type below KERNEL_TYPES */
float kernel_half_to_float(uint16_t half);
uint16_t kernel_float_to_half(float x); /* round to nearest, ties to even */

extern const float kernel_iq4_nl_values[16]; /* whole numbers; a weight is d times one of them */

/* NF4 with double quantization (QLoRA: Dettmers et al. 2023), to the value what bitsandbytes makes. Block b is weights
 * [64 b, 64 b + 64) of the matrix, row-major; cols is a multiple of 64, so that every row begins one. A weight is
 * kernel_nf4_values[code] * s, s the absmax of its block: map[absmax[b]] * absmax2[b / 256] + offset, each operation
 * rounded; or plain[b] where that is not NULL, which is how it is in checkpoints whose absmax were not quantized. */
struct kernel_nf4 {
    size_t blocks;
    unsigned char *codes;  /* [blocks][32]: the even weight in the high half of its byte */
    unsigned char *absmax; /* [blocks] */
    float *absmax2;        /* [(blocks + 255) / 256] */
    float offset;          /* the mean of the blocks' absmax */
    float map[256];        /* ascending, map[127] = 0; the 8-bit dynamic map */
    float *plain;          /* [blocks], then there is no absmax and absmax2; or NULL */
    size_t bytes;          /* of codes and what scales them */
    int lent;              /* all of it belongs to whoever made it, and outlives the matrix: a file */
};
extern const float kernel_nf4_values[16];
float kernel_nf4_absmax(const struct kernel_nf4 *q, size_t block);

/* A matrix of weights, [rows][cols]: y[n] = sum over k of W[n][k] x[k]. */
struct kernel_matrix {
    enum kernel_type type;
    int rows, cols;   /* cols is a multiple of the format's block */
    int fine;         /* a set that rounds activations takes twice the bits for this matrix, by twice the work: for the
                         few whose outputs everything after depends on */
    const void *data; /* as in the file; not owned; need not be aligned; NULL for NF4 */
    struct kernel_nf4 *nf4; /* of an NF4 matrix that is not packed, else NULL; owned: kernel_matrix_free */
    void *packed;     /* the set's own layout, made by set->pack, or NULL; owned unless lent: kernel_matrix_free */
    size_t packed_bytes;
    int lent;         /* packed is memory of whoever made the matrix, there before set->pack fills it */
};
void kernel_matrix_free(struct kernel_matrix *m); /* frees what was packed and nf4, not data */
void kernel_matrix_drop_nf4(struct kernel_matrix *m); /* of a packed one only what was packed stays; it has no exact weights then */
/* out[n] = weights [col, col + n) of a row, exactly; col and n are multiples of the format's block, or of 64 where that is
 * more, which takes a whole block's time. Any type. */
void kernel_matrix_dequantize(const struct kernel_matrix *m, int row, int col, float *out, int n);
size_t kernel_nf4_bytes(const struct kernel_matrix *m); /* what a matrix of that shape takes as NF4 */
/* Make *m, of any type and not yet packed, the NF4 matrix nearest to it; cols is a multiple of 64. Work is spread over
 * pool. ERROR_ENGINE: no memory; ERROR_INPUT, without saying where: a weight is NaN or infinite. *m is then as it was.
 */
int kernel_matrix_to_nf4(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e);

/* The first block of a matrix that is not packed which dequantizes to something else than numbers, and why. Of F32, F16 and BF16 a block is a
 * weight. Work is spread over pool. 0: there is none. NF4 has none: whoever makes or reads it sees to that. */
struct kernel_flaw {
    int row, block; /* of the row */
    int is_nan;     /* its first scale that is no number, or itself; else infinite */
};
int kernel_matrix_flaw(const struct kernel_matrix *m, struct kernel_pool *pool, struct kernel_flaw *out);

/* --- the pool of workers ----------------------------------------------------------------------------------------- */

/* Threads that stay for the life of an engine. All signals are blocked in them. Workers spin for a short while after a
 * job and then sleep, so that an idle program uses no processor. One job at a time, from one thread. */
struct kernel_pool;
struct kernel_pool *kernel_pool_create(int threads); /* the caller counts as one; threads >= 1 */
void kernel_pool_free(struct kernel_pool *pool);
/* So many bytes that the jobs of a caller share, 64-byte aligned, until the next call; the pool's, and kept for it. Only where no job runs. */
void *kernel_pool_memory(struct kernel_pool *pool, size_t bytes);
int kernel_pool_threads(const struct kernel_pool *pool);
int kernel_pool_processors(void); /* of this machine: how many threads can work at once; 1 where the system does not say */
/* Call task(argument, i) once for each i in [0, tasks), on any thread, in any order; returns when all are done. */
void kernel_pool_run(struct kernel_pool *pool, int tasks, void (*task)(void *argument, int i), void *argument);

/* --- attention over a tree of cached keys and values ------------------------------------------------------------- */

/* The cache is made of blocks of KERNEL_CELLS cells; the cell of position p is cell p % KERNEL_CELLS of some block, so
 * that runs never straddle a multiple of KERNEL_CELLS. Within a block, for each layer: cache_bytes(...) of keys, then as
 * many of values. In what order they lie is known to the set alone. */
#define KERNEL_CELLS 16
#define KERNEL_HEAD_DIM 512 /* the widest head */
/* Softmax partials are taken over absolute positions [0,64), [64,128), ... and merged in that order, whoever stores
 * them and however the positions are spread over runs: score_j = scale * q.k_j; within a chunk m = max (its own, or of those
 * so far), l = sum of exp(score - m) and o = sum of exp(score - m) v, in order of position (l: or as some sums, position j of
 * the chunk in sum j % 4, j % 8 or j % 16, which are then added up, of Q8_0 after the span); chunks merge in order of position
 * within spans of KERNEL_SPAN positions, [0,512), [512,1024), ..., which can be computed apart; spans merge in order likewise. */
#define KERNEL_CHUNK 64
#define KERNEL_SPAN 512

struct kernel_run { /* consecutive positions in one block */
    unsigned char *block;
    int cell, count;
};
struct kernel_row { /* one token of a batch */
    const struct kernel_run *runs; /* positions 0, 1, ... in order; they reach at least to `position` */
    int position;                  /* attends to positions 0..position, or to the last of these: kernel_attention.window */
};
struct kernel_cache { /* one layer's keys and values in a block */
    enum kernel_type type;
    int kv_heads, head_dim;
    size_t keys, values; /* byte offsets in the block, multiples of 2 */
};
struct kernel_attention {
    const float *q; /* [n][heads * head_dim], rotated */
    float *out;     /* [n][heads * head_dim] */
    int heads;      /* a multiple of cache.kv_heads */
    int window;     /* a row sees so many positions, its own among them; 0: all up to its own */
    float scale;
    struct kernel_cache cache;
    const struct kernel_row *rows; /* [n] */
    float *partials;  /* [spans of the furthest row][partial_rows][heads][head_dim + 2]: o, m and l of a span */
    int partial_rows; /* n at least */
};
/* The first position that the row sees: chunks and spans before it are not gone over, and have no partial. */
static inline int kernel_first_seen(const struct kernel_attention *a, int row)
{
    const int first = a->rows[row].position + 1 - a->window;
    return a->window && first > 0 ? first : 0;
}
static inline int kernel_sees(const struct kernel_attention *a, int row, int span) /* anything of the span */
{
    return a->rows[row].position >= span * KERNEL_SPAN && kernel_first_seen(a, row) < (span + 1) * KERNEL_SPAN;
}
static inline float *kernel_partial(const struct kernel_attention *a, int span, int row, int head)
{
    const size_t rows = (size_t)span * (size_t)a->partial_rows + (size_t)row;
    return a->partials + (rows * (size_t)a->heads + (size_t)head) * ((size_t)a->cache.head_dim + 2);
}

/* --- the table --------------------------------------------------------------------------------------------------- */

struct kernel_set {
    const char *name;        /* "reference", "avx2", "avx512", "neon" */
    const char *about;       /* one line for `espalier info` and the log */
    int (*supported)(void);  /* can this machine run it */
    enum kernel_type cache;  /* type of cached keys and values where none is asked for: KERNEL_F32 or KERNEL_F16 */

    /* Bytes that pack takes for the matrix; 0, as where this is NULL: none, matmul uses m->data. */
    size_t (*packed_bytes)(const struct kernel_matrix *m);
    /* Lay the weights out as matmul wants them (may leave m->packed NULL and use m->data): in memory of its own, or, when
     * m->lent, in the packed_bytes(m) that m->packed has, 64-byte aligned. Work is spread over pool. ERROR_ENGINE: no
     * memory; ERROR_INPUT, without saying where: it is packed, but a scale is NaN, infinite, or more than the layout holds. */
    int (*pack)(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e);

    /* What in the weights of this type is not as in the file once they are packed, or NULL: "scales rounded to 16 bits". NULL
     * where nothing ever is. */
    const char *(*laid_out)(enum kernel_type type);

    /* An activation row prepared for matmul: what it holds is the set's affair (int8 with scales, or nothing). One
     * prepared with fine != 0 serves every matrix, any other only those that are not fine. */
    size_t (*prepared_bytes)(int cols); /* a multiple of 64 */
    void (*prepare)(const float *x, int cols, int fine, void *prepared);

    /* y[r][n] (+)= sum over k of m[n][k] x[r][k] for r in [0, rows), n in [first, last); accumulate != 0 adds to y.
     * x [rows][cols]; prepared [rows][prepared_bytes(cols)] made from it; y [rows][y_stride]. first and last are
     * multiples of KERNEL_STRIP or the matrix's last row. */
    void (*matmul)(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y, int y_stride,
                   int first, int last, int accumulate);

    /* out[c] = weight[c] * x[c] / sqrt(mean(x^2) + epsilon). (Zhang & Sennrich 2019) */
    void (*rms_norm)(const float *x, const float *weight, float epsilon, int cols, float *out);
    /* Rotate pairs of `heads` heads of one row in place. cos_sin [head_dim/2][2] for the row's position. Pairs are (2i, 2i+1),
     * llama's order in GGUF, or (i, i + head_dim/2) when neox != 0. (Su et al. 2021) */
    void (*rope)(float *x, int heads, int head_dim, const float *cos_sin, int neox);
    /* Bytes of one layer's keys (or values) in a block; 0: the set cannot keep this type in this shape. Q8_0 takes heads
     * whose width is a multiple of 32. */
    size_t (*cache_bytes)(enum kernel_type type, int kv_heads, int head_dim);
    /* Store one row's keys and values, each [kv_heads][head_dim], in cell `cell` of a block. */
    void (*store)(const struct kernel_cache *cache, const float *k, const float *v, unsigned char *block, int cell);
    /* The heads that share kv head h, of rows [first, last): partials of the positions they see that are in a span, as
     * KERNEL_CHUNK says; nothing for a row that sees none there. Rows beside each other that have chunks in common (the branches of a tree, the tokens of a prompt)
     * go over those together, which is faster and gives the same numbers; some 16 rows at a time have most of the gain. */
    void (*attention_rows)(const struct kernel_attention *a, int first, int last, int h, int span);
    /* When the partials of all its spans and heads are there: a row's out = softmax(scale q.K) V over the positions it sees. */
    void (*attention_merge)(const struct kernel_attention *a, int row);
    /* out[c] = silu(gate[c]) * up[c] (SwiGLU), or gelu(gate[c]) * up[c] (GEGLU: both Shazeer 2020), gelu by its approximation with
     * tanh (Hendrycks & Gimpel 2016); out may be gate. */
    void (*swiglu)(const float *gate, const float *up, int n, float *out);
    void (*geglu)(const float *gate, const float *up, int n, float *out);
    /* y[c] += sum over r of u[r] m[r][c] for r in [0, rows), c in [0, cols), in fp32, as sums of r % 4 that are then added up. m is
     * laid out by kernel_strips_of_columns. What a low-rank adapter adds to a row (LoRA: Hu et al. 2021) is two of these. */
    void (*combine)(const float *u, const float *m, int rows, int cols, float *y);

    /* Multiplies and adds 8-bit numbers held in registers, by the instruction matmul uses, for some tens of milliseconds;
     * returns how many products those were. NULL where matmul uses none. For kernel_limits_measure. */
    double (*int8_products)(void);

    const struct kernel_learning *learning; /* never NULL */
};
/* gelu(x) = x / 2 (1 + tanh(y)), 2 y = x (KERNEL_GELU + KERNEL_GELU_CUBE x^2): 2 sqrt(2 / pi), and that times 0.044715. */
#define KERNEL_GELU 1.5957691216f
#define KERNEL_GELU_CUBE 0.0713548163f
#define KERNEL_STRIP 16 /* ranges of output rows are cut at multiples of this */

/* A matrix for kernel_set.combine, m[r][c] = from[r * row_step + c * column_step]: KERNEL_STRIP columns of all rows, then the next
 * ones; the last filled up with zeros. out has room for rows * (cols rounded up to a strip). */
void kernel_strips_of_columns(const float *from, size_t row_step, size_t column_step, int rows, int cols, float *out);

/* The set of that name, or the best this machine runs for "auto"; fails with ERROR_INPUT naming those there are. */
int kernel_set_find(const char *name, const struct kernel_set **set, struct error *e);
const struct kernel_set *const *kernel_sets(void); /* all that are built, NULL at the end, best first */

/* --- the machine's own limits, for `espalier speed` -------------------------------------------------------------- */

struct kernel_limits {
    double memory_read;     /* bytes a second, all threads reading a buffer several times larger than the last cache */
    double weights_read;    /* the same of `weights` bytes again and again, as a stream reads a model's: one that stays in a large cache
                               is read faster than memory; 0 where weights is */
    double sgemm;           /* FLOP a second, OpenBLAS cblas_sgemm, all threads, the best of a few shapes; 0 where OpenBLAS is not there */
    const char *sgemm_core; /* whose kernels OpenBLAS took, as in "Haswell": an old one does not know a new machine; or "none" */
    double int8;            /* multiply-accumulates a second of the best 8-bit product instruction of `set`; 0 where it has none */
};
/* A second or two, and for that long a few times the last cache of memory. */
void kernel_limits_measure(const struct kernel_set *set, struct kernel_pool *pool, size_t weights, struct kernel_limits *out);

#endif
