/* A pass of documents forwards and backwards: the layers of forward.c over whole texts, with what going back needs kept.
 *
 * Rows of documents lie one after the other; attention is by document, everything else by row. A product of several matrices with
 * the same rows is one job; what two matrices add to the same gradient, they add one after the other. */
#include "engine/learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- rows -------------------------------------------------------------------------------------------------------- */

struct row_job {
    struct engine_learner *l;
    const struct learned_layer *layer;
    const struct engine_layer *weights;
    void (*row)(const struct row_job *job, int r);
    int n;
    int first; /* picked rows: of the logits at hand */
};
enum { ROWS_A_TASK = 16 };

static void row_task(void *argument, int task)
{
    const struct row_job *job = argument;
    const int last = (task + 1) * ROWS_A_TASK < job->n ? (task + 1) * ROWS_A_TASK : job->n;
    for (int r = task * ROWS_A_TASK; r < last; r++)
        job->row(job, r);
}

static void run_rows(struct row_job job, void (*row)(const struct row_job *job, int r), int n)
{
    job.row = row;
    job.n = n;
    kernel_pool_run(job.l->pool, (n + ROWS_A_TASK - 1) / ROWS_A_TASK, row_task, &job);
}

/* --- matrices ---------------------------------------------------------------------------------------------------- */

enum { TOGETHER = 3 };

static const struct kernel_low_rank *plus_of(const struct linear *linear)
{
    return linear->plus.rank ? &linear->plus : NULL;
}

/* y_i (+)= x W_i^T. */
static void forwards(const struct engine_learner *l, const struct linear *linears, int count, int n, const float *x, float *const *y, int accumulate)
{
    struct kernel_product products[TOGETHER];
    for (int i = 0; i < count; i++) {
        const struct kernel_matrix *m = linears[i].matrix;
        products[i] = (struct kernel_product){.rows = n, .columns = m->rows, .depth = m->cols, .a = x, .a_row = m->cols, .a_k = 1, .weights = m,
                                              .transposed = 1, .plus = plus_of(&linears[i]), .c = y[i], .c_row = m->rows, .accumulate = accumulate};
    }
    kernel_products(l->set, l->pool, products, count);
}

/* dW += dy^T x. */
static struct kernel_product outer(const float *dy, int dy_cols, const float *x, int x_cols, int n, float *to)
{
    return (struct kernel_product){.rows = dy_cols, .columns = x_cols, .depth = n, .a = dy, .a_row = 1, .a_k = dy_cols, .b = x, .b_k = x_cols,
                                   .b_column = 1, .c = to, .c_row = x_cols, .accumulate = 1};
}

/* What matrices learn of x and dy_i: W itself, or A and B: low = scale x A^T, dB += dy^T low; d_low = scale dy B, dA += d_low^T x. */
static void learn(const struct engine_learner *l, const struct linear *linears, int count, int n, const float *x, float *const *dy)
{
    struct kernel_product products[2 * TOGETHER];
    int some = 0;
    for (int i = 0; i < count; i++) {
        const struct linear *it = &linears[i];
        const int rank = it->plus.rank, rows = it->matrix->rows, cols = it->matrix->cols;
        float *low = l->low + (size_t)i * (size_t)l->rows * (size_t)rank, *d_low = l->d_low + (size_t)i * (size_t)l->rows * (size_t)rank;
        if (it->gradient)
            products[some++] = outer(dy[i], rows, x, cols, n, it->gradient);
        if (!rank)
            continue;
        products[some++] = (struct kernel_product){.rows = n, .columns = rank, .depth = cols, .a = x, .a_row = cols, .a_k = 1, .b = it->plus.a,
                                                   .b_k = 1, .b_column = cols, .c = low, .c_row = rank};
        products[some++] = (struct kernel_product){.rows = n, .columns = rank, .depth = rows, .a = dy[i], .a_row = rows, .a_k = 1, .b = it->plus.b,
                                                   .b_k = rank, .b_column = 1, .c = d_low, .c_row = rank};
    }
    if (some)
        kernel_products(l->set, l->pool, products, some);
    some = 0;
    for (int i = 0; i < count; i++) {
        const struct linear *it = &linears[i];
        const int rank = it->plus.rank;
        float *low = l->low + (size_t)i * (size_t)l->rows * (size_t)rank, *d_low = l->d_low + (size_t)i * (size_t)l->rows * (size_t)rank;
        if (!rank)
            continue;
        for (size_t j = 0; j < (size_t)n * (size_t)rank; j++)
            low[j] *= it->plus.scale, d_low[j] *= it->plus.scale;
        products[some++] = outer(dy[i], it->matrix->rows, low, rank, n, it->db);
        products[some++] = outer(d_low, rank, x, it->matrix->cols, n, it->da);
    }
    if (some)
        kernel_products(l->set, l->pool, products, some);
}

/* dx (+)= sum of dy_i W_i, and what they learn. dx NULL: nobody asks. */
static void backwards(const struct engine_learner *l, const struct linear *linears, int count, int n, const float *x, float *const *dy, float *dx,
                      int accumulate)
{
    for (int i = 0; i < count && dx; i++) {
        const struct kernel_matrix *m = linears[i].matrix;
        kernel_products(l->set, l->pool,
                        &(struct kernel_product){.rows = n, .columns = m->cols, .depth = m->rows, .a = dy[i], .a_row = m->rows, .a_k = 1,
                                                 .weights = m, .plus = plus_of(&linears[i]), .c = dx, .c_row = m->cols,
                                                 .accumulate = accumulate || i},
                        1);
    }
    learn(l, linears, count, n, x, dy);
}

/* --- phases ------------------------------------------------------------------------------------------------------ */

static float *row_at(float *x, int r, int cols)
{
    return x + (size_t)r * (size_t)cols;
}

static void embed_row(const struct row_job *job, int r)
{
    engine_model_embed(job->l->model, job->l->tokens[r], row_at(job->layer->kept.in, r, job->l->model->width));
}

static void attention_norm_row(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int width = l->model->width;
    l->set->rms_norm(row_at(job->layer->kept.in, r, width), job->weights->attention_norm, l->model->norm_epsilon, width, row_at(l->normed, r, width));
}

static void ff_norm_row(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int width = l->model->width;
    l->set->rms_norm(row_at(job->layer->kept.middle, r, width), job->weights->ff_norm, l->model->norm_epsilon, width, row_at(l->normed, r, width));
}

/* by: 1, or -1 to rotate back. */
static void rotate(const struct engine_learner *l, int r, float *q, float *k, float by)
{
    const struct engine_model *m = l->model;
    const float *rope = m->rope + (size_t)l->positions[r] * (size_t)m->head_dim;
    float back[KERNEL_HEAD_DIM];
    for (int i = 0; i < m->head_dim && by < 0; i += 2)
        back[i] = rope[i], back[i + 1] = -rope[i + 1];
    rope = by < 0 ? back : rope;
    l->set->rope(row_at(q, r, m->heads * m->head_dim), m->heads, m->head_dim, rope, m->architecture->neox);
    l->set->rope(row_at(k, r, m->kv_heads * m->head_dim), m->kv_heads, m->head_dim, rope, m->architecture->neox);
}

static void rope_row(const struct row_job *job, int r)
{
    rotate(job->l, r, job->layer->kept.q, job->layer->kept.k, 1);
}

static void rope_back_row(const struct row_job *job, int r)
{
    rotate(job->l, r, job->l->d_q, job->l->d_k, -1);
}

static void swiglu_row(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int ff = l->model->ff_width;
    l->set->swiglu(row_at(job->layer->kept.gate, r, ff), row_at(job->layer->kept.up, r, ff), ff, row_at(l->wide, r, ff));
}

/* d_gate holds the gradient of what entered `down`. */
static void swiglu_back_row(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int ff = l->model->ff_width;
    l->set->learning->swiglu_back(row_at(job->layer->kept.gate, r, ff), row_at(job->layer->kept.up, r, ff), ff, row_at(l->d_gate, r, ff),
                                  row_at(l->d_gate, r, ff), row_at(l->d_up, r, ff));
}

/* Of a norm's rows: x as it entered, its weights, where the gradient of the weights goes. */
struct norm_job {
    struct engine_learner *l;
    const float *x, *weight, *dy;
    float *dx, *d_weights; /* d_weights: [tasks][width], or NULL */
    const int *at;         /* rows of x and dx, or NULL: as those of dy */
    int n;
};

static void norm_back_task(void *argument, int task)
{
    const struct norm_job *job = argument;
    const int width = job->l->model->width, first = task * ROWS_A_TASK, last = first + ROWS_A_TASK < job->n ? first + ROWS_A_TASK : job->n;
    for (int i = first; i < last; i++) {
        const size_t r = (size_t)(job->at ? job->at[i] : i) * (size_t)width;
        job->l->set->learning->rms_norm_back(job->x + r, job->weight, job->l->model->norm_epsilon, width, job->dy + (size_t)i * (size_t)width,
                                             job->dx + r, job->d_weights ? job->d_weights + (size_t)task * (size_t)width : NULL);
    }
}

/* dx += what goes through the norm; the gradient of its weights is summed by tasks, then these in order. */
static void norm_back(struct engine_learner *l, struct norm_job job, float *d_weight)
{
    const int tasks = (job.n + ROWS_A_TASK - 1) / ROWS_A_TASK, width = l->model->width;
    job.l = l;
    job.d_weights = NULL;
    if (d_weight)
        job.d_weights = xcalloc((size_t)tasks * (size_t)width, sizeof *job.d_weights);
    kernel_pool_run(l->pool, tasks, norm_back_task, &job);
    for (int t = 0; t < tasks && d_weight; t++)
        for (int c = 0; c < width; c++)
            d_weight[c] += job.d_weights[(size_t)t * (size_t)width + (size_t)c];
    free(job.d_weights);
}

/* --- attention --------------------------------------------------------------------------------------------------- */

struct attention_job {
    struct engine_learner *l;
    const struct kept *kept;
    int back;
};

static struct kernel_document document_of(const struct attention_job *job, int i)
{
    const struct engine_learner *l = job->l;
    const struct engine_model *m = l->model;
    const int first = l->firsts[i], heads = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    struct kernel_document d = {.count = l->documents[i].count, .heads = m->heads, .kv_heads = m->kv_heads, .head_dim = m->head_dim,
                                .scale = (float)(1 / sqrt(m->head_dim)), .q = row_at(job->kept->q, first, heads),
                                .k = row_at(job->kept->k, first, kv), .v = row_at(job->kept->v, first, kv),
                                .out = row_at(job->kept->mixed, first, heads), .length = row_at(job->kept->length, first, m->heads),
                                .q_row = heads, .kv_row = kv, .d_out = row_at(l->d_mixed, first, heads), .dq = row_at(l->d_q, first, heads)};
    d.dk[0] = row_at(l->d_k, first, kv), d.dv[0] = row_at(l->d_v, first, kv); /* the first part's place is the sum's */
    for (int p = 1; p < kernel_document_parts(d.count); p++) {
        const size_t part = (size_t)l->rows * (size_t)kv;
        d.dk[p] = row_at(l->d_kv_parts + (size_t)(2 * p - 2) * part, first, kv);
        d.dv[p] = row_at(l->d_kv_parts + (size_t)(2 * p - 1) * part, first, kv);
    }
    return d;
}

/* A task is a part of a kv head of a document; late parts, which see most, first. */
static void attention_task(void *argument, int task)
{
    const struct attention_job *job = argument;
    const int kv_heads = job->l->model->kv_heads;
    int i = 0, parts;
    while (task >= (parts = kernel_document_parts(job->l->documents[i].count)) * kv_heads)
        task -= parts * kv_heads, i++;
    struct kernel_document d = document_of(job, i);
    const int part = parts - 1 - task / kv_heads;
    (job->back ? job->l->set->learning->attend_back : job->l->set->learning->attend)(&d, task % kv_heads, part);
}

static void sum_parts_task(void *argument, int i)
{
    const struct attention_job *job = argument;
    const struct kernel_document d = document_of(job, i);
    const size_t numbers = (size_t)d.count * (size_t)d.kv_row;
    for (int p = 1; p < kernel_document_parts(d.count); p++)
        for (size_t j = 0; j < numbers; j++)
            d.dk[0][j] += d.dk[p][j], d.dv[0][j] += d.dv[p][j];
}

static void attend(struct engine_learner *l, const struct kept *kept, int back)
{
    struct attention_job job = {l, kept, back};
    int tasks = 0;
    for (int i = 0; i < l->document_count; i++)
        tasks += kernel_document_parts(l->documents[i].count) * l->model->kv_heads;
    kernel_pool_run(l->pool, tasks, attention_task, &job);
    if (back)
        kernel_pool_run(l->pool, l->document_count, sum_parts_task, &job);
}

/* --- layers ------------------------------------------------------------------------------------------------------ */

/* From kept.in to `out`, which may be the next layer's; without out only what is kept. */
static void layer_forwards(struct engine_learner *l, int i, float *out)
{
    struct learned_layer *layer = &l->layers[i];
    const struct kept *kept = &layer->kept;
    const struct row_job job = {.l = l, .layer = layer, .weights = &l->model->layers[i]};
    const size_t bytes = (size_t)l->n * (size_t)l->model->width * sizeof(float);
    run_rows(job, attention_norm_row, l->n);
    forwards(l, layer->linears + ENGINE_TARGET_Q, 3, l->n, l->normed, (float *[]){kept->q, kept->k, kept->v}, 0);
    run_rows(job, rope_row, l->n);
    attend(l, kept, 0);
    memcpy(kept->middle, kept->in, bytes);
    forwards(l, layer->linears + ENGINE_TARGET_O, 1, l->n, kept->mixed, (float *[]){kept->middle}, 1);
    run_rows(job, ff_norm_row, l->n);
    forwards(l, layer->linears + ENGINE_TARGET_GATE, 2, l->n, l->normed, (float *[]){kept->gate, kept->up}, 0);
    if (!out)
        return;
    run_rows(job, swiglu_row, l->n);
    memcpy(out, kept->middle, bytes);
    forwards(l, layer->linears + ENGINE_TARGET_DOWN, 1, l->n, l->wide, (float *[]){out}, 1);
}

/* d_x: of what leaves the layer, then of what enters it. */
static void layer_backwards(struct engine_learner *l, int i)
{
    struct learned_layer *layer = &l->layers[i];
    const struct engine_layer *weights = &l->model->layers[i];
    const struct kept *kept = &layer->kept;
    const struct row_job job = {.l = l, .layer = layer, .weights = weights};
    const int below = i > 0 || l->d_embedding; /* does anything learn from what enters */
    run_rows(job, swiglu_row, l->n);
    backwards(l, layer->linears + ENGINE_TARGET_DOWN, 1, l->n, l->wide, (float *[]){l->d_x}, l->d_gate, 0);
    run_rows(job, swiglu_back_row, l->n);
    run_rows(job, ff_norm_row, l->n);
    backwards(l, layer->linears + ENGINE_TARGET_GATE, 2, l->n, l->normed, (float *[]){l->d_gate, l->d_up}, l->d_normed, 0);
    norm_back(l, (struct norm_job){.x = kept->middle, .weight = weights->ff_norm, .dy = l->d_normed, .dx = l->d_x, .n = l->n}, layer->d_ff_norm);
    backwards(l, layer->linears + ENGINE_TARGET_O, 1, l->n, kept->mixed, (float *[]){l->d_x}, l->d_mixed, 0);
    attend(l, kept, 1);
    run_rows(job, rope_back_row, l->n);
    run_rows(job, attention_norm_row, l->n);
    const int through = below || layer->d_attention_norm;
    backwards(l, layer->linears + ENGINE_TARGET_Q, 3, l->n, l->normed, (float *[]){l->d_q, l->d_k, l->d_v}, through ? l->d_normed : NULL, 0);
    if (through)
        norm_back(l, (struct norm_job){.x = kept->in, .weight = weights->attention_norm, .dy = l->d_normed, .dx = l->d_x, .n = l->n},
                  layer->d_attention_norm);
}

/* --- the head ---------------------------------------------------------------------------------------------------- */

struct head_job {
    struct engine_learner *l;
    const int *at; /* rows whose next token is to be told */
    int n, back;
};

static void picked_norm_task(void *argument, int i)
{
    const struct head_job *job = argument;
    const struct engine_learner *l = job->l;
    const int width = l->model->width;
    l->set->rms_norm(row_at(l->x, job->at[i], width), l->model->output_norm, l->model->norm_epsilon, width, row_at(l->picked, i, width));
}

static void cross_entropy_task(void *argument, int i)
{
    const struct head_job *job = argument;
    const struct engine_learner *l = job->l;
    const int r = job->at[i];
    l->losses[r] = l->set->learning->cross_entropy(row_at(l->logits, i, l->logits_stride), l->model->vocabulary, l->targets[r], 1);
}

/* The loss of rows at[0..n), and with `back` d_x of these. */
static void head_rows(struct engine_learner *l, const int *at, int n, int back)
{
    struct head_job job = {l, at, n, back};
    const struct kernel_matrix *m = l->head.matrix;
    kernel_pool_run(l->pool, n, picked_norm_task, &job);
    kernel_products(l->set, l->pool,
                    &(struct kernel_product){.rows = n, .columns = m->rows, .depth = m->cols, .a = l->picked, .a_row = m->cols, .a_k = 1, .weights = m,
                                             .transposed = 1, .c = l->logits, .c_row = l->logits_stride},
                    1);
    kernel_pool_run(l->pool, n, cross_entropy_task, &job);
    if (!back)
        return;
    struct kernel_product products[2] = {{.rows = n, .columns = m->cols, .depth = m->rows, .a = l->logits, .a_row = l->logits_stride, .a_k = 1,
                                          .weights = m, .c = l->d_picked, .c_row = m->cols}};
    if (l->head.gradient) {
        products[1] = outer(l->logits, m->rows, l->picked, m->cols, n, l->head.gradient);
        products[1].a_k = l->logits_stride;
    }
    kernel_products(l->set, l->pool, products, l->head.gradient ? 2 : 1);
    norm_back(l, (struct norm_job){.x = l->x, .weight = l->model->output_norm, .dy = l->d_picked, .dx = l->d_x, .at = at, .n = n}, l->d_output_norm);
}

static void run_head(struct engine_learner *l, int back)
{
    int *at = xcalloc((size_t)l->n + 1, sizeof *at), count = 0;
    for (int r = 0; r < l->n; r++)
        if (l->targets[r] >= 0)
            at[count++] = r;
    for (int first = 0; first < count; first += l->logits_rows)
        head_rows(l, at + first, count - first < l->logits_rows ? count - first : l->logits_rows, back);
    free(at);
}

/* --- the pass ---------------------------------------------------------------------------------------------------- */

static void take_documents(struct engine_learner *l, const struct engine_document *documents, int n)
{
    l->document_count = l->n = 0;
    for (int i = 0; i < n; i++) {
        const struct engine_document *d = &documents[i];
        if (!d->count)
            continue;
        l->documents[l->document_count] = *d;
        l->firsts[l->document_count++] = l->n;
        for (int j = 0; j < d->count; j++, l->n++) {
            l->tokens[l->n] = d->tokens[j];
            l->positions[l->n] = j;
            l->targets[l->n] = j + 1 < d->count && d->learned[j + 1] ? d->tokens[j + 1] : -1;
        }
    }
}

/* In order of rows, whatever the threads. */
static void embedding_back(struct engine_learner *l)
{
    const int width = l->model->width;
    for (int r = 0; r < l->n; r++) {
        float *to = row_at(l->d_embedding, l->tokens[r], width);
        const float *from = row_at(l->d_x, r, width);
        for (int c = 0; c < width; c++)
            to[c] += from[c];
    }
}

void engine_learner_pass(struct engine_learner *l, const struct engine_document *documents, int n, int back, struct engine_loss *loss)
{
    const int layers = l->model->layers_count;
    take_documents(l, documents, n);
    run_rows((struct row_job){.l = l, .layer = &l->layers[0]}, embed_row, l->n);
    for (int i = 0; i < layers; i++)
        layer_forwards(l, i, i + 1 < layers ? l->layers[i + 1].kept.in : l->x);
    if (back)
        memset(l->d_x, 0, (size_t)l->n * (size_t)l->model->width * sizeof *l->d_x);
    run_head(l, back);
    for (int r = 0; r < l->n; r++)
        if (l->targets[r] >= 0)
            loss->sum += l->losses[r], loss->count++;
    for (int i = layers - 1; i >= 0 && back; i--) {
        if (l->options.checkpoints && i < layers - 1)
            layer_forwards(l, i, NULL);
        layer_backwards(l, i);
    }
    if (back && l->d_embedding)
        embedding_back(l);
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static void *carve(const struct engine_learner *l, size_t *at, size_t count, size_t bytes)
{
    void *part = l->scratch ? l->scratch + *at : NULL;
    *at += (count * bytes + 63) & ~(size_t)63;
    return part;
}

static void lay_out_layer(struct engine_learner *l, struct kept *kept, size_t *at)
{
    const struct engine_model *m = l->model;
    const size_t n = (size_t)l->rows, heads = (size_t)m->heads * (size_t)m->head_dim, kv = (size_t)m->kv_heads * (size_t)m->head_dim;
    kept->q = carve(l, at, n * heads, sizeof(float));
    kept->k = carve(l, at, n * kv, sizeof(float));
    kept->v = carve(l, at, n * kv, sizeof(float));
    kept->mixed = carve(l, at, n * heads, sizeof(float));
    kept->length = carve(l, at, n * (size_t)m->heads, sizeof(float));
    kept->middle = carve(l, at, n * (size_t)m->width, sizeof(float));
    kept->gate = carve(l, at, n * (size_t)m->ff_width, sizeof(float));
    kept->up = carve(l, at, n * (size_t)m->ff_width, sizeof(float));
}

void engine_learner_lay_out(struct engine_learner *l)
{
    enum { LOGITS_BYTES = 64 << 20, LEAST_LOGITS = 64 };
    const struct engine_model *m = l->model;
    const size_t n = (size_t)l->rows, width = (size_t)m->width, ff = (size_t)m->ff_width, f = sizeof(float);
    const size_t heads = (size_t)m->heads * (size_t)m->head_dim, kv = (size_t)m->kv_heads * (size_t)m->head_dim;
    size_t at = 0;
    struct kept shared;
    for (int i = 0; i < m->layers_count; i++) {
        struct kept *kept = &l->layers[i].kept;
        if (!l->options.checkpoints || !i)
            lay_out_layer(l, kept, &at);
        shared = i ? shared : *kept;
        if (l->options.checkpoints)
            *kept = shared;
        kept->in = carve(l, &at, n * width, f);
    }
    l->kept_bytes = at;
    /* Rows of logits in one place of every page would push each other out of the first cache. */
    l->logits_stride = (m->vocabulary + 15) / 16 * 16 + 16;
    size_t logits = LOGITS_BYTES / ((size_t)l->logits_stride * f);
    logits = logits < LEAST_LOGITS ? LEAST_LOGITS : logits;
    l->logits_rows = (int)(logits < n ? logits : n);
    l->x = carve(l, &at, n * width, f);
    l->normed = carve(l, &at, n * width, f);
    l->wide = carve(l, &at, n * ff, f);
    l->d_x = carve(l, &at, n * width, f);
    l->d_normed = carve(l, &at, n * width, f);
    l->d_q = carve(l, &at, n * heads, f);
    l->d_k = carve(l, &at, n * kv, f);
    l->d_v = carve(l, &at, n * kv, f);
    l->d_mixed = carve(l, &at, n * heads, f);
    l->d_kv_parts = carve(l, &at, (size_t)(kernel_document_parts(l->rows) - 1) * 2 * n * kv, f);
    l->d_gate = carve(l, &at, n * ff, f);
    l->d_up = carve(l, &at, n * ff, f);
    l->low = carve(l, &at, 3 * n * (size_t)l->options.rank, f);
    l->d_low = carve(l, &at, 3 * n * (size_t)l->options.rank, f);
    l->logits = carve(l, &at, (size_t)l->logits_rows * (size_t)l->logits_stride, f);
    l->picked = carve(l, &at, (size_t)l->logits_rows * width, f);
    l->d_picked = carve(l, &at, (size_t)l->logits_rows * width, f);
    l->losses = carve(l, &at, n, sizeof *l->losses);
    l->positions = carve(l, &at, n, sizeof *l->positions);
    l->tokens = carve(l, &at, n, sizeof *l->tokens);
    l->targets = carve(l, &at, n, sizeof *l->targets);
    l->firsts = carve(l, &at, n, sizeof *l->firsts);
    l->documents = carve(l, &at, n, sizeof *l->documents);
    l->scratch_bytes = at - l->kept_bytes;
}
