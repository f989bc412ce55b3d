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
    float *out; /* of the layer, or NULL */
    int n;
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

/* Products that go together. */
struct together {
    const struct engine_learner *l;
    struct kernel_product products[16];
    int count;
};

static void add(struct together *t, struct kernel_product p)
{
    t->products[t->count++] = p;
}

static void run(struct together *t)
{
    kernel_products(t->l->set, t->l->pool, t->products, t->count);
    t->count = 0;
}

static const struct kernel_low_rank *plus_of(const struct linear *linear)
{
    return linear->plus.rank ? &linear->plus : NULL;
}

/* y (+)= x W^T. */
static void add_forwards(struct together *t, const struct linear *linear, const float *x, float *y, int accumulate)
{
    const struct kernel_matrix *m = linear->matrix;
    add(t, (struct kernel_product){.rows = t->l->n, .columns = m->rows, .depth = m->cols, .a = x, .a_row = m->cols, .a_k = 1, .weights = m,
                                   .transposed = 1, .plus = plus_of(linear), .c = y, .c_row = m->rows, .accumulate = accumulate,
                                   .rounded = t->l->options.rounded});
}

/* dx (+)= dy W. */
static void add_backwards(struct together *t, const struct linear *linear, const float *dy, float *dx, int accumulate)
{
    const struct kernel_matrix *m = linear->matrix;
    add(t, (struct kernel_product){.rows = t->l->n, .columns = m->cols, .depth = m->rows, .a = dy, .a_row = m->rows, .a_k = 1, .weights = m,
                                   .plus = plus_of(linear), .c = dx, .c_row = m->cols, .accumulate = accumulate,
                                   .rounded = t->l->options.rounded});
}

/* to (+)= dy^T x. */
static struct kernel_product outer(const float *dy, int dy_cols, const float *x, int x_cols, int n, float *to, int accumulate)
{
    return (struct kernel_product){.rows = dy_cols, .columns = x_cols, .depth = n, .a = dy, .a_row = 1, .a_k = dy_cols, .b = x, .b_k = x_cols,
                                   .b_column = 1, .c = to, .c_row = x_cols, .accumulate = accumulate};
}

/* What A and B learn of x and dy goes by low = x A^T and d_low = dy B: dA += scale d_low^T x, dB += scale (low^T dy)^T. The sums of
 * both lie in `learned` as rows of as many numbers as x or dy has, since those are read as they are; take_learned adds them. */
static void add_low(struct together *t, enum engine_target target, const struct linear *linear, const float *x)
{
    const int rank = linear->plus.rank, cols = linear->matrix->cols;
    if (rank)
        add(t, (struct kernel_product){.rows = t->l->n, .columns = rank, .depth = cols, .a = x, .a_row = cols, .a_k = 1, .b = linear->plus.a,
                                       .b_k = 1, .b_column = cols, .c = t->l->low[target], .c_row = rank, .rounded = t->l->options.rounded});
}

static void add_d_low(struct together *t, enum engine_target target, const struct linear *linear, const float *dy)
{
    const int rank = linear->plus.rank, rows = linear->matrix->rows;
    if (rank)
        add(t, (struct kernel_product){.rows = t->l->n, .columns = rank, .depth = rows, .a = dy, .a_row = rows, .a_k = 1, .b = linear->plus.b,
                                       .b_k = rank, .b_column = 1, .c = t->l->d_low[target], .c_row = rank, .rounded = t->l->options.rounded});
}

/* After low and d_low; or of the matrix itself. */
static void add_learned(struct together *t, enum engine_target target, const struct linear *linear, const float *x, const float *dy)
{
    const int rank = linear->plus.rank, rows = linear->matrix->rows, cols = linear->matrix->cols, n = t->l->n;
    if (linear->gradient) {
        struct kernel_product p = outer(dy, rows, x, cols, n, linear->gradient, 1);
        p.rounded = t->l->options.rounded;
        add(t, p);
    }
    if (!rank)
        return;
    add(t, outer(t->l->low[target], rank, dy, rows, n, t->l->learned_b[target], 0));
    add(t, outer(t->l->d_low[target], rank, x, cols, n, t->l->learned_a[target], 0));
}

struct taking {
    const struct engine_learner *l;
    const struct linear *linears;
    int first; /* target */
};

static void take_learned_task(void *argument, int task)
{
    const struct taking *job = argument;
    const int target = job->first + task / 2;
    const struct linear *linear = &job->linears[target];
    const int rank = linear->plus.rank, rows = linear->matrix->rows, cols = linear->matrix->cols;
    const float scale = linear->plus.scale, *a = job->l->learned_a[target], *b = job->l->learned_b[target];
    for (int j = 0; task % 2 && j < rank * cols; j++)
        linear->da[j] += scale * a[j];
    for (int j = 0; !(task % 2) && j < rows; j++)
        for (int r = 0; r < rank; r++)
            linear->db[j * rank + r] += scale * b[r * rows + j];
}

/* Of targets [first, last]. */
static void take_learned(const struct engine_learner *l, const struct linear *linears, enum engine_target first, enum engine_target last)
{
    struct taking job = {l, linears, (int)first};
    if (l->options.rank)
        kernel_pool_run(l->pool, 2 * (int)(last - first + 1), take_learned_task, &job);
}

/* --- phases ------------------------------------------------------------------------------------------------------ */

static float *row_at(float *x, int r, int cols)
{
    return x + (size_t)r * (size_t)cols;
}

static void embed_row(const struct row_job *job, int r)
{
    const struct engine_model *m = job->l->model;
    float *x = row_at(job->layer->kept.in, r, m->width);
    engine_model_embed(m, job->l->tokens[r], x);
    for (int c = 0; c < m->width && m->embedding_scale != 1; c++)
        x[c] *= m->embedding_scale;
}

static void attention_norm(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int width = l->model->width;
    l->set->rms_norm(row_at(job->layer->kept.in, r, width), job->weights->norms[ENGINE_NORM_ATTENTION], l->model->norm_epsilon, width,
                     row_at(l->normed, r, width));
}

static void ff_norm(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int width = l->model->width;
    l->set->rms_norm(row_at(job->layer->kept.middle, r, width), job->weights->norms[ENGINE_NORM_FF], l->model->norm_epsilon, width,
                     row_at(l->normed, r, width));
}

/* x += what a part of the layer gave, normed. */
static void add_part(const struct row_job *job, int r, enum engine_norm norm, const float *part, float *x)
{
    struct engine_learner *l = job->l;
    const int width = l->model->width;
    float *normed = row_at(l->normed, r, width);
    l->set->rms_norm(row_at((float *)(uintptr_t)part, r, width), job->weights->norms[norm], l->model->norm_epsilon, width, normed);
    for (int c = 0; c < width; c++)
        row_at(x, r, width)[c] += normed[c];
}

/* With the row as it enters, to which what comes of it is added. */
static void enter_attention_row(const struct row_job *job, int r)
{
    const int width = job->l->model->width;
    attention_norm(job, r);
    memcpy(row_at(job->layer->kept.middle, r, width), row_at(job->layer->kept.in, r, width), (size_t)width * sizeof(float));
}

static void enter_ff_row(const struct row_job *job, int r)
{
    const int width = job->l->model->width;
    if (job->weights->norms[ENGINE_NORM_POST_ATTENTION])
        add_part(job, r, ENGINE_NORM_POST_ATTENTION, job->layer->kept.attention_part, job->layer->kept.middle);
    ff_norm(job, r);
    if (job->out)
        memcpy(row_at(job->out, r, width), row_at(job->layer->kept.middle, r, width), (size_t)width * sizeof(float));
}

static void leave_ff_row(const struct row_job *job, int r)
{
    add_part(job, r, ENGINE_NORM_POST_FF, job->layer->kept.ff_part, job->out);
}

/* by: 1, or -1 to rotate back. */
static void rotate(const struct row_job *job, int r, float *q, float *k, float by)
{
    const struct engine_learner *l = job->l;
    const struct engine_model *m = l->model;
    const float *rope = job->weights->rope + (size_t)l->positions[r] * (size_t)m->head_dim;
    float back[KERNEL_HEAD_DIM];
    for (int i = 0; i < m->head_dim && by < 0; i += 2)
        back[i] = rope[i], back[i + 1] = -rope[i + 1];
    rope = by < 0 ? back : rope;
    l->set->rope(row_at(q, r, m->heads * m->head_dim), m->heads, m->head_dim, rope, m->neox);
    l->set->rope(row_at(k, r, m->kv_heads * m->head_dim), m->kv_heads, m->head_dim, rope, m->neox);
}

static void add_bias(const struct row_job *job, int r, int bias, int n, float *x)
{
    const float *own = job->weights->biases[bias];
    for (int i = 0; i < n && own; i++)
        row_at(x, r, n)[i] += own[i];
}

/* Heads of a row of q or k, which stay in `raw` as they were. */
static void norm_heads(const struct row_job *job, int r, enum engine_norm norm, int heads, float *x, float *raw)
{
    const struct engine_model *m = job->l->model;
    const float *own = job->weights->norms[norm];
    if (!own)
        return;
    memcpy(row_at(raw, r, heads * m->head_dim), row_at(x, r, heads * m->head_dim), (size_t)heads * (size_t)m->head_dim * sizeof *x);
    for (int h = 0; h < heads; h++) {
        float *head = row_at(x, r, heads * m->head_dim) + h * m->head_dim;
        job->l->set->rms_norm(head, own, m->norm_epsilon, m->head_dim, head);
    }
}

static void rope_row(const struct row_job *job, int r)
{
    const struct engine_model *m = job->l->model;
    const struct kept *kept = &job->layer->kept;
    add_bias(job, r, ENGINE_TARGET_Q, m->heads * m->head_dim, kept->q);
    add_bias(job, r, ENGINE_TARGET_K, m->kv_heads * m->head_dim, kept->k);
    add_bias(job, r, ENGINE_TARGET_V, m->kv_heads * m->head_dim, kept->v);
    norm_heads(job, r, ENGINE_NORM_Q, m->heads, kept->q, kept->raw_q);
    norm_heads(job, r, ENGINE_NORM_K, m->kv_heads, kept->k, kept->raw_k);
    rotate(job, r, kept->q, kept->k, 1);
}

static void attention_back_row(const struct row_job *job, int r)
{
    rotate(job, r, job->l->d_q, job->l->d_k, -1);
    attention_norm(job, r);
}

static void gate_row(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int ff = l->model->ff_width;
    (l->model->architecture->gelu ? l->set->geglu : l->set->swiglu)(row_at(job->layer->kept.gate, r, ff), row_at(job->layer->kept.up, r, ff), ff,
                                                                    row_at(l->wide, r, ff));
}

/* d_gate holds the gradient of what entered `down`, which is made again too. */
static void ff_back_row(const struct row_job *job, int r)
{
    const struct engine_learner *l = job->l;
    const int ff = l->model->ff_width;
    const struct kernel_learning *learning = l->set->learning;
    (l->model->architecture->gelu ? learning->geglu_back : learning->swiglu_back)(
        row_at(job->layer->kept.gate, r, ff), row_at(job->layer->kept.up, r, ff), ff, row_at(l->d_gate, r, ff), row_at(l->d_gate, r, ff),
        row_at(l->d_up, r, ff), row_at(l->wide, r, ff));
    ff_norm(job, r);
}

/* Of a norm's rows: x as it entered, its weights, where the gradient of the weights goes. */
struct norm_job {
    struct engine_learner *l;
    const float *x, *weight, *dy;
    float *dx, *d_weights; /* d_weights: [tasks][width], or NULL */
    const int *at;         /* rows of x and dx, or NULL: as those of dy */
    int n, width;
};

static void norm_back_task(void *argument, int task)
{
    const struct norm_job *job = argument;
    const int width = job->width, first = task * ROWS_A_TASK, last = first + ROWS_A_TASK < job->n ? first + ROWS_A_TASK : job->n;
    for (int i = first; i < last; i++) {
        const size_t r = (size_t)(job->at ? job->at[i] : i) * (size_t)width;
        job->l->set->learning->rms_norm_back(job->x + r, job->weight, job->l->model->norm_epsilon, width, job->dy + (size_t)i * (size_t)width,
                                             job->dx + r, job->d_weights ? job->d_weights + (size_t)task * (size_t)width : NULL);
    }
}

/* dx += what goes through the norm; the gradient of its weights is summed by tasks, then these in order. */
static void norm_back(struct engine_learner *l, struct norm_job job, float *d_weight)
{
    job.width = job.width ? job.width : l->model->width;
    const int tasks = (job.n + ROWS_A_TASK - 1) / ROWS_A_TASK, width = job.width;
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

/* d: of q or k as they are normed, then of them as they were. */
static void norm_heads_back(struct engine_learner *l, const float *raw, const float *weight, int heads, float *d, float *d_weight)
{
    const int dim = l->model->head_dim;
    const size_t bytes = (size_t)l->n * (size_t)heads * (size_t)dim * sizeof *d;
    float *dx = l->d_mixed; /* which attention is done with */
    memset(dx, 0, bytes);
    norm_back(l, (struct norm_job){.x = raw, .weight = weight, .dy = d, .dx = dx, .n = l->n * heads, .width = dim}, d_weight);
    memcpy(d, dx, bytes);
}

/* d_part: of what a part gave, by d_x; where it is not normed they are the same. */
static void post_norm_back(struct engine_learner *l, const struct row_job *job, enum engine_norm norm, const float *part)
{
    if (!job->weights->norms[norm])
        return;
    memset(l->d_part, 0, (size_t)l->n * (size_t)l->model->width * sizeof *l->d_part);
    norm_back(l, (struct norm_job){.x = part, .weight = job->weights->norms[norm], .dy = l->d_x, .dx = l->d_part, .n = l->n},
              job->layer->d_norms[norm]);
}

struct bias_job {
    const struct engine_learner *l;
    const struct learned_layer *layer;
};

/* In order of rows, whatever the threads. */
static void bias_back_task(void *argument, int bias)
{
    const struct bias_job *job = argument;
    const float *dy[ENGINE_BIASES] = {job->l->d_q, job->l->d_k, job->l->d_v};
    const int n = job->layer->linears[bias].matrix->rows;
    for (int r = 0; r < job->l->n; r++)
        for (int i = 0; i < n; i++)
            job->layer->d_biases[bias][i] += dy[bias][(size_t)r * (size_t)n + (size_t)i];
}

/* --- attention --------------------------------------------------------------------------------------------------- */

struct attention_job {
    struct engine_learner *l;
    const struct kept *kept;
    int window, back;
};

static struct kernel_document document_of(const struct attention_job *job, int i)
{
    const struct engine_learner *l = job->l;
    const struct engine_model *m = l->model;
    const int first = l->firsts[i], heads = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    struct kernel_document d = {.count = l->documents[i].count, .heads = m->heads, .kv_heads = m->kv_heads, .head_dim = m->head_dim,
                                .window = job->window, .scale = m->attention_scale, .q = row_at(job->kept->q, first, heads),
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

static void attend(struct engine_learner *l, int layer, int back)
{
    struct attention_job job = {l, &l->layers[layer].kept, l->model->layers[layer].window, back};
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
    const struct linear *linears = layer->linears;
    const struct kept *kept = &layer->kept;
    const struct row_job job = {.l = l, .layer = layer, .weights = &l->model->layers[i], .out = out};
    struct together t = {.l = l};
    run_rows(job, enter_attention_row, l->n);
    add_forwards(&t, &linears[ENGINE_TARGET_Q], l->normed, kept->q, 0);
    add_forwards(&t, &linears[ENGINE_TARGET_K], l->normed, kept->k, 0);
    add_forwards(&t, &linears[ENGINE_TARGET_V], l->normed, kept->v, 0);
    run(&t);
    run_rows(job, rope_row, l->n);
    attend(l, i, 0);
    const int post = l->model->architecture->post_norms;
    add_forwards(&t, &linears[ENGINE_TARGET_O], kept->mixed, post ? kept->attention_part : kept->middle, !post);
    run(&t);
    run_rows(job, enter_ff_row, l->n);
    add_forwards(&t, &linears[ENGINE_TARGET_GATE], l->normed, kept->gate, 0);
    add_forwards(&t, &linears[ENGINE_TARGET_UP], l->normed, kept->up, 0);
    run(&t);
    if (!out && !post)
        return;
    run_rows(job, gate_row, l->n);
    add_forwards(&t, &linears[ENGINE_TARGET_DOWN], l->wide, post ? kept->ff_part : out, !post);
    run(&t);
    if (out && post)
        run_rows(job, leave_ff_row, l->n);
}

/* d_x: of what leaves the layer, then of what entered the feed-forward part. */
static void ff_backwards(struct engine_learner *l, int i)
{
    struct learned_layer *layer = &l->layers[i];
    const struct linear *gate = &layer->linears[ENGINE_TARGET_GATE], *up = &layer->linears[ENGINE_TARGET_UP];
    const struct linear *down = &layer->linears[ENGINE_TARGET_DOWN];
    const struct row_job job = {.l = l, .layer = layer, .weights = &l->model->layers[i]};
    struct together t = {.l = l};
    post_norm_back(l, &job, ENGINE_NORM_POST_FF, layer->kept.ff_part);
    add_backwards(&t, down, l->d_part, l->d_gate, 0);
    add_d_low(&t, ENGINE_TARGET_DOWN, down, l->d_part);
    run(&t);
    run_rows(job, ff_back_row, l->n);
    add_backwards(&t, gate, l->d_gate, l->d_normed, 0);
    add_d_low(&t, ENGINE_TARGET_GATE, gate, l->d_gate);
    add_low(&t, ENGINE_TARGET_GATE, gate, l->normed);
    add_low(&t, ENGINE_TARGET_UP, up, l->normed);
    add_low(&t, ENGINE_TARGET_DOWN, down, l->wide);
    run(&t);
    add_backwards(&t, up, l->d_up, l->d_normed, 1);
    add_d_low(&t, ENGINE_TARGET_UP, up, l->d_up);
    add_learned(&t, ENGINE_TARGET_DOWN, down, l->wide, l->d_part);
    run(&t);
    norm_back(l, (struct norm_job){.x = layer->kept.middle, .weight = job.weights->norms[ENGINE_NORM_FF], .dy = l->d_normed, .dx = l->d_x,
                                 .n = l->n}, layer->d_norms[ENGINE_NORM_FF]);
}

/* d_q, d_k and d_v: of heads before they are rotated, then of what the matrices give. */
static void norms_and_biases_back(struct engine_learner *l, const struct row_job *job)
{
    const struct engine_model *m = l->model;
    const struct learned_layer *layer = job->layer;
    if (m->architecture->head_norms) {
        norm_heads_back(l, layer->kept.raw_q, job->weights->norms[ENGINE_NORM_Q], m->heads, l->d_q, layer->d_norms[ENGINE_NORM_Q]);
        norm_heads_back(l, layer->kept.raw_k, job->weights->norms[ENGINE_NORM_K], m->kv_heads, l->d_k, layer->d_norms[ENGINE_NORM_K]);
    }
    struct bias_job biases = {l, layer};
    if (layer->d_biases[0])
        kernel_pool_run(l->pool, ENGINE_BIASES, bias_back_task, &biases);
}

/* d_x: then of what enters the layer. */
static void attention_backwards(struct engine_learner *l, int i)
{
    struct learned_layer *layer = &l->layers[i];
    const struct linear *linears = layer->linears;
    const struct kept *kept = &layer->kept;
    const struct row_job job = {.l = l, .layer = layer, .weights = &l->model->layers[i]};
    const float *dy[3] = {l->d_q, l->d_k, l->d_v};
    const int through = i > 0 || l->d_embedding || layer->d_norms[ENGINE_NORM_ATTENTION]; /* does anything learn from what enters */
    struct together t = {.l = l};
    post_norm_back(l, &job, ENGINE_NORM_POST_ATTENTION, kept->attention_part);
    add_backwards(&t, &linears[ENGINE_TARGET_O], l->d_part, l->d_mixed, 0);
    add_d_low(&t, ENGINE_TARGET_O, &linears[ENGINE_TARGET_O], l->d_part);
    add_low(&t, ENGINE_TARGET_O, &linears[ENGINE_TARGET_O], kept->mixed);
    add_learned(&t, ENGINE_TARGET_GATE, &linears[ENGINE_TARGET_GATE], l->normed, l->d_gate); /* by now there is all it takes */
    add_learned(&t, ENGINE_TARGET_UP, &linears[ENGINE_TARGET_UP], l->normed, l->d_up);
    run(&t);
    take_learned(l, linears, ENGINE_TARGET_GATE, ENGINE_TARGET_DOWN);
    attend(l, i, 1);
    run_rows(job, attention_back_row, l->n);
    norms_and_biases_back(l, &job);
    if (through)
        add_backwards(&t, &linears[ENGINE_TARGET_Q], dy[0], l->d_normed, 0);
    for (int j = 0; j < 3; j++)
        add_d_low(&t, (enum engine_target)(ENGINE_TARGET_Q + j), &linears[ENGINE_TARGET_Q + j], dy[j]);
    for (int j = 0; j < 3; j++)
        add_low(&t, (enum engine_target)(ENGINE_TARGET_Q + j), &linears[ENGINE_TARGET_Q + j], l->normed);
    run(&t);
    if (through)
        add_backwards(&t, &linears[ENGINE_TARGET_K], dy[1], l->d_normed, 1);
    add_learned(&t, ENGINE_TARGET_Q, &linears[ENGINE_TARGET_Q], l->normed, dy[0]);
    add_learned(&t, ENGINE_TARGET_O, &linears[ENGINE_TARGET_O], kept->mixed, l->d_part);
    run(&t);
    if (through)
        add_backwards(&t, &linears[ENGINE_TARGET_V], dy[2], l->d_normed, 1);
    add_learned(&t, ENGINE_TARGET_K, &linears[ENGINE_TARGET_K], l->normed, dy[1]);
    add_learned(&t, ENGINE_TARGET_V, &linears[ENGINE_TARGET_V], l->normed, dy[2]);
    run(&t);
    take_learned(l, linears, ENGINE_TARGET_Q, ENGINE_TARGET_O);
    if (!through)
        return;
    norm_back(l, (struct norm_job){.x = kept->in, .weight = job.weights->norms[ENGINE_NORM_ATTENTION], .dy = l->d_normed, .dx = l->d_x, .n = l->n},
              layer->d_norms[ENGINE_NORM_ATTENTION]);
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
                                             .transposed = 1, .c = l->logits, .c_row = l->logits_stride, .rounded = l->options.rounded},
                    1);
    kernel_pool_run(l->pool, n, cross_entropy_task, &job);
    if (!back)
        return;
    struct kernel_product products[2] = {{.rows = n, .columns = m->cols, .depth = m->rows, .a = l->logits, .a_row = l->logits_stride, .a_k = 1,
                                          .weights = m, .c = l->d_picked, .c_row = m->cols, .rounded = l->options.rounded}};
    if (l->head.gradient) {
        products[1] = outer(l->logits, m->rows, l->picked, m->cols, n, l->head.gradient, 1);
        products[1].a_k = l->logits_stride;
        products[1].rounded = l->options.rounded;
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
            to[c] += from[c] * l->model->embedding_scale;
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
        ff_backwards(l, i);
        attention_backwards(l, i);
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
    kept->raw_q = carve(l, at, m->architecture->head_norms ? n * heads : 0, sizeof(float));
    kept->raw_k = carve(l, at, m->architecture->head_norms ? n * kv : 0, sizeof(float));
    kept->attention_part = carve(l, at, m->architecture->post_norms ? n * (size_t)m->width : 0, sizeof(float));
    kept->ff_part = carve(l, at, m->architecture->post_norms ? n * (size_t)m->width : 0, sizeof(float));
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
    l->d_part = m->architecture->post_norms ? carve(l, &at, n * width, f) : l->d_x;
    l->d_normed = carve(l, &at, n * width, f);
    l->d_q = carve(l, &at, n * heads, f);
    l->d_k = carve(l, &at, n * kv, f);
    l->d_v = carve(l, &at, n * kv, f);
    l->d_mixed = carve(l, &at, n * heads, f);
    l->d_kv_parts = carve(l, &at, (size_t)(kernel_document_parts(l->rows) - 1) * 2 * n * kv, f);
    l->d_gate = carve(l, &at, n * ff, f);
    l->d_up = carve(l, &at, n * ff, f);
    for (int t = 0; t < ENGINE_TARGETS; t++) {
        const struct kernel_matrix *matrix = l->layers[0].linears[t].matrix;
        const size_t rank = (size_t)l->layers[0].linears[t].plus.rank;
        l->low[t] = carve(l, &at, n * rank, f);
        l->d_low[t] = carve(l, &at, n * rank, f);
        l->learned_a[t] = carve(l, &at, rank * (size_t)matrix->cols, f);
        l->learned_b[t] = carve(l, &at, rank * (size_t)matrix->rows, f);
    }
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
