/* What learning needs beside inference: products of fp32 matrices, attention over whole documents, and what goes backwards.
 * Included by kernels.h.
 *
 * As everywhere here, numbers do not depend on threads or on how work is cut: every output is one sum over k ascending, each
 * step one fused multiply-add, begun from zero or from what it is added to. All of it is fp32; weights are dequantized exactly.
 *
 * But for products that may be rounded: a and b are then whole numbers of 13 bits, times a step for every KERNEL_ROUND of
 * them along k, where the set multiplies such numbers faster (else nothing changes). A number is off by at most 1/6686 of the greatest beside
 * it; one of BF16's by 1/512 of itself.
 */
#ifndef ESPALIER_LEARNING_H
#define ESPALIER_LEARNING_H

#include "base.h"

struct kernel_set;
struct kernel_pool;
struct kernel_matrix;

/* What an adapter adds to a matrix [rows][cols]: scale B A (LoRA: Hu et al. 2021). */
struct kernel_low_rank {
    const float *a, *b; /* [rank][cols], [rows][rank] */
    int rank;           /* up to KERNEL_RANK */
    float scale;
};
#define KERNEL_RANK 512

/* c[i][j] (+)= sum over k of a[i][k] b[k][j], i < rows, j < columns, k < depth.
 * Strides are in numbers. b is numbers, one of whose strides is 1, or weights: of y = x W^T, b[k][j] = W[j][k] (transposed),
 * and of what goes back, dx = dy W, b[k][j] = W[k][j]. */
struct kernel_product {
    int rows, columns, depth;
    const float *a;
    ptrdiff_t a_row, a_k;
    const float *b; /* or NULL: weights */
    ptrdiff_t b_k, b_column;
    const struct kernel_matrix *weights; /* exact: not packed; its columns a multiple of its format's block */
    int transposed;
    const struct kernel_low_rank *plus; /* of weights: W + scale B A in W's place; or NULL */
    float *c;
    ptrdiff_t c_row;
    int accumulate;
    int rounded; /* it may be */
};
/* Several products, none of which reads what another writes; spread over the pool together. Takes the pool's memory. */
void kernel_products(const struct kernel_set *set, struct kernel_pool *pool, const struct kernel_product *products, int count);

/* Causal attention of one document: position i of it attends to positions 0..i, or to the last `window` of these. Rows are positions; heads of a row lie side by
 * side, kv heads likewise, `heads / kv_heads` of the former share one of the latter. Strides of a row in numbers. */
struct kernel_document {
    int count; /* positions */
    int heads, kv_heads, head_dim;
    int window; /* 0: none */
    float scale;
    const float *q, *k, *v; /* rotated */
    float *out;             /* [count][heads * head_dim] with q's stride; read by what goes back */
    float *length;          /* [count][heads]: log of the sum of exp(scale q.k), which what goes back needs */
    ptrdiff_t q_row, kv_row;
    const float *d_out;     /* gradient of out; with q's stride, as dq */
    float *dq;
    float *dk[4], *dv[4];   /* of each part, [count][kv_heads * head_dim] with k's stride: their sum is the gradient; written, as
                               far as a part's queries see, and zeros after */
};
/* A document's queries are cut into so many parts, which follows from its length alone: tasks are a part of a kv head. */
int kernel_document_parts(int count);

#define KERNEL_ROUND 192
#define KERNEL_DEPTH 576 /* of a panel that is rounded, at most */
/* Floats that n numbers of a column take once they are rounded, in whole pairs: its steps come after them, one for every KERNEL_ROUND. */
static inline int kernel_rounded_floats(int pair, int n)
{
    return (n + pair - 1) / pair * pair / 2;
}
struct kernel_words { /* rounded rows: numbers[(r * row + k / pair * this.k) * pair + k % pair], steps[k / KERNEL_ROUND * steps_row + r] */
    int16_t *numbers;
    float *steps;
    ptrdiff_t row, k, steps_row;
};
/* What a set multiplies at a time. b is panels of columns: for each k those of a panel lie together. Of the last panel whole
 * vectors (`lanes`) are read, though columns may end within one; columns of c past the last are not touched. */
struct kernel_block {
    int rows, columns, depth, accumulate;
    const float *a;
    ptrdiff_t a_row, a_k;
    const float *b;
    ptrdiff_t b_k, b_panel; /* from one k to the next, from one panel to the next */
    float *c;
    ptrdiff_t c_row;
    struct kernel_words words; /* a, where the block is rounded */
};

#define KERNEL_PANEL 64
struct kernel_learning {
    int panel, lanes; /* columns of a panel, which KERNEL_PANEL is a multiple of; floats of a vector */
    void (*product)(const struct kernel_block *b);
    /* Rounded products; NULL where there is nothing to gain by them. Rows of a, one of whose strides is 1, to where `to` says; numbers
     * [k, k + n), up to KERNEL_ROUND, of a panel that has `depth` of them a column, those of column j at from[i * from_k + j * from_column], one of which
     * is 1; and the product of such rows by such panels. pair: numbers that lie together. */
    int pair;
    void (*round_rows)(const float *a, ptrdiff_t a_row, ptrdiff_t a_k, int rows, int depth, const struct kernel_words *to);
    void (*round_panel)(const float *from, ptrdiff_t from_k, ptrdiff_t from_column, int columns, int k, int n, int depth, float *panel);
    void (*product_words)(const struct kernel_block *b);
    /* to[k * panel + j] = from[j * stride + k], j < columns (zeros up to panel), k < depth. */
    void (*transpose)(const float *from, ptrdiff_t stride, int columns, int depth, float *to);
    /* As kernel_matrix_dequantize, to the bit. */
    void (*unpack)(const struct kernel_matrix *m, int row, int col, float *out, int n);
    void (*attend)(const struct kernel_document *d, int kv_head, int part);
    void (*attend_back)(const struct kernel_document *d, int kv_head, int part);
    /* Of out = rms_norm(x): dx += its gradient by dy; d_weight += too, unless NULL. */
    void (*rms_norm_back)(const float *x, const float *weight, float epsilon, int cols, const float *dy, float *dx, float *d_weight);
    /* Of out = silu(gate) * up: out, and by dy to d_gate and d_up; each of which may be gate, up or dy. */
    void (*swiglu_back)(const float *gate, const float *up, int n, const float *dy, float *d_gate, float *d_up, float *out);
    void (*geglu_back)(const float *gate, const float *up, int n, const float *dy, float *d_gate, float *d_up, float *out);
    /* -log softmax(logits)[target]; logits become its gradient times `weight` (softmax less one at the target). */
    float (*cross_entropy)(float *logits, int n, int target, float weight);
};

/* AdamW (Loshchilov & Hutter 2019), bias corrected, decay decoupled: w -= rate (m' / (sqrt(v') + epsilon) + decay w). */
struct kernel_adamw {
    float rate, beta1, beta2, epsilon, decay;
    float scale;               /* of the gradient, before all else */
    float correct1, correct2;  /* 1 - beta^t */
};
void kernel_adamw_step(const struct kernel_adamw *o, size_t n, float *w, const float *gradient, float *m, float *v);
/* The same with moments of 8 bits in blocks of KERNEL_ADAM_BLOCK (Dettmers et al. 2022): m by the signed dynamic map, v by the
 * unsigned; a scale for each block, [blocks]. n of any size. */
#define KERNEL_ADAM_BLOCK 256
struct kernel_moments8 {
    unsigned char *m, *v; /* [n] */
    float *m_scale, *v_scale; /* [(n + 255) / 256] */
};
void kernel_adamw8_step(const struct kernel_adamw *o, size_t n, float *w, const float *gradient, const struct kernel_moments8 *moments);
double kernel_squares(const float *x, size_t n); /* sum of squares, in one order */

#endif
