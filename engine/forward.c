#include "engine/forward.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    TASKS_A_THREAD = 4, /* enough that a thread held up elsewhere does not hold up a phase */
    ATTENTION_TASKS_A_THREAD = 3,
    ROWS_TOGETHER = 16, /* that attend in one task at most */
    PARTIAL_BYTES = 32 << 20,
};

/* Scratch is one allocation; the pointers are [rows][...] into it, contiguous by row. */
struct engine_forward {
    const struct engine_model *model;
    const struct kernel_set *set;
    struct kernel_pool *pool;
    int threads, most_rows, most_logits;
    size_t layer_bytes; /* keys and values of one layer in a block */
    unsigned char *scratch;
    float *x;                   /* [rows][width]: the residual stream */
    float *normed;              /* [rows][width] */
    float *q;                   /* [rows][heads * head_dim] */
    float *k, *v;               /* [rows][kv_heads * head_dim] */
    float *mixed;               /* [rows][heads * head_dim]: what attention gives */
    float *gate, *up;           /* [rows][ff_width] */
    float *logits;              /* [most_logits][vocabulary] */
    unsigned char *prepared;    /* [rows][the widest prepared row] */
    struct kernel_row *attends; /* [rows] */
    float *partials;            /* [most_partials][heads][head_dim + 2] */
    int most_partials;
    _Atomic int *parts_done;    /* [rows]: of a group of rows, the spans and kv heads attended to */

    /* The pass under way. */
    const struct engine_row *rows;
    int adapted; /* some row has a mix */
    int n, spans; /* rows; spans of positions that the furthest of them sees */
    int slice_first, slice_rows, together; /* rows that attend at a time; how many of them in one task */
    const struct engine_layer *layer; /* number layer_at */
    int layer_at;
    const int *chosen; /* rows whose logits are wanted */
    struct kernel_attention attention, slice; /* of all rows; of those that attend at a time */
};

/* --- cutting work into tasks ------------------------------------------------------------------------------------- */

/* A phase that treats each row by itself: rows of a task one after the other. */
struct row_phase {
    struct engine_forward *f;
    void (*before)(struct engine_forward *f, int first, int last); /* all rows of a task together, or NULL; then each, or NULL */
    void (*row)(struct engine_forward *f, int r);
    int n, each;
};

static void row_task(void *argument, int i)
{
    struct row_phase *p = argument;
    int last = (i + 1) * p->each < p->n ? (i + 1) * p->each : p->n;
    if (p->before)
        p->before(p->f, i * p->each, last);
    for (int r = i * p->each; r < last && p->row; r++)
        p->row(p->f, r);
}

/* least: rows below which a task is not worth handing over. */
static void run_rows(struct engine_forward *f, void (*before)(struct engine_forward *f, int first, int last),
                     void (*row)(struct engine_forward *f, int r), int n, int least)
{
    int each = (n + f->threads * TASKS_A_THREAD - 1) / (f->threads * TASKS_A_THREAD);
    if (f->threads == 1 || n <= least)
        each = n;
    else if (each < least)
        each = least;
    struct row_phase phase = {f, before, row, n, each};
    int tasks = (n + each - 1) / each;
    if (tasks == 1)
        row_task(&phase, 0);
    else
        kernel_pool_run(f->pool, tasks, row_task, &phase);
}

/* Up to three matrices that take the same rows in: one list of column ranges for all. */
struct product {
    const struct kernel_matrix *m;
    float *y; /* [n][m->rows] */
};
struct product_phase {
    const struct kernel_set *set;
    const float *x;
    const void *prepared;
    int n, accumulate, step;
    struct product products[3];
    int count;
};

static void product_task(void *argument, int i)
{
    const struct product_phase *p = argument;
    for (int j = 0; j < p->count; j++) {
        const struct kernel_matrix *m = p->products[j].m;
        int tasks = (m->rows + p->step - 1) / p->step;
        if (i < tasks) {
            int last = (i + 1) * p->step < m->rows ? (i + 1) * p->step : m->rows;
            p->set->matmul(m, p->x, p->prepared, p->n, p->products[j].y, m->rows, i * p->step, last, p->accumulate);
            return;
        }
        i -= tasks;
    }
}

static void run_products(struct engine_forward *f, struct product_phase *p)
{
    int columns = 0, tasks = 0;
    for (int j = 0; j < p->count; j++)
        columns += p->products[j].m->rows;
    const int strip = KERNEL_STRIP * 4; /* narrower tasks are mostly hand-over */
    int pieces = f->threads == 1 ? 1 : f->threads * TASKS_A_THREAD;
    p->set = f->set;
    p->step = ((columns + pieces - 1) / pieces + strip - 1) / strip * strip;
    for (int j = 0; j < p->count; j++)
        tasks += (p->products[j].m->rows + p->step - 1) / p->step;
    kernel_pool_run(f->pool, tasks, product_task, p);
}

/* --- phases ------------------------------------------------------------------------------------------------------ */

static void prepare(struct engine_forward *f, const float *x, int cols, int fine, int r)
{
    f->set->prepare(x, cols, fine, f->prepared + f->set->prepared_bytes(cols) * (size_t)r);
}

/* What the adapters of rows [first, last) add to y[rows][...] for x[rows][...], the input of that matrix of the layer under way. Where
 * rows are treated by themselves, and x is still warm: the products of the pass stay those of the bare model, which all rows go through
 * together. Rows beside each other with the same mix read it once. */
enum { Q, K, V, O, GATE, UP, DOWN };
static void adapt(struct engine_forward *f, int first, int last, int matrix, const float *x, float *y)
{
    const struct kernel_matrix *m = engine_model_matrix(f->model, f->layer_at, matrix);
    for (int next; first < last; first = next) {
        const struct engine_mix *mix = f->rows[first].mix;
        for (next = first + 1; next < last && f->rows[next].mix == mix; next++)
            ;
        if (mix)
            engine_mix_add(mix, f->set, f->layer_at, matrix, m, x + (size_t)first * (size_t)m->cols, next - first,
                           y + (size_t)first * (size_t)m->rows);
    }
}

/* The weights of a norm for the row: i as engine_mix.norms has it. */
static const float *norm_for(const struct engine_forward *f, int r, int i, const float *own)
{
    const struct engine_mix *mix = f->rows[r].mix;
    return mix && mix->norms && mix->norms[i] ? mix->norms[i] : own;
}

static void normalise(struct engine_forward *f, int from, int to, const float *weight, int fine)
{
    int width = f->model->width;
    float *out = f->normed + (size_t)to * (size_t)width;
    f->set->rms_norm(f->x + (size_t)from * (size_t)width, weight, f->model->norm_epsilon, width, out);
    prepare(f, out, width, fine, to);
}

static void embed_row(struct engine_forward *f, int r)
{
    const size_t width = (size_t)f->model->width;
    const struct engine_mix *mix = f->rows[r].mix;
    if (mix && mix->embedding)
        memcpy(f->x + (size_t)r * width, mix->embedding + (size_t)f->rows[r].token * width, width * sizeof *f->x);
    else
        engine_model_embed(f->model, f->rows[r].token, f->x + (size_t)r * width);
}

static void attention_norm_row(struct engine_forward *f, int r)
{
    normalise(f, r, r, norm_for(f, r, f->layer_at * ENGINE_NORMS, f->layer->attention_norm), 1);
}

static void ff_norm_row(struct engine_forward *f, int r)
{
    normalise(f, r, r, norm_for(f, r, f->layer_at * ENGINE_NORMS + 1, f->layer->ff_norm), 0);
}

static void output_norm_row(struct engine_forward *f, int i)
{
    const int r = f->chosen[i];
    normalise(f, r, i, norm_for(f, r, f->model->layers_count * ENGINE_NORMS, f->model->output_norm), 0);
}

static void adapt_qkv(struct engine_forward *f, int first, int last)
{
    adapt(f, first, last, Q, f->normed, f->q);
    adapt(f, first, last, K, f->normed, f->k);
    adapt(f, first, last, V, f->normed, f->v);
}

static void rope_and_store_row(struct engine_forward *f, int r)
{
    const struct engine_model *m = f->model;
    const struct engine_row *row = &f->rows[r];
    const float *rope = m->rope + (size_t)row->position * (size_t)m->head_dim;
    size_t kv_width = (size_t)m->kv_heads * (size_t)m->head_dim;
    float *k = f->k + (size_t)r * kv_width;
    f->set->rope(f->q + (size_t)r * (size_t)m->heads * (size_t)m->head_dim, m->heads, m->head_dim, rope, m->neox);
    if (!row->block)
        return;
    f->set->rope(k, m->kv_heads, m->head_dim, rope, m->neox);
    f->set->store(&f->attention.cache, k, f->v + (size_t)r * kv_width, row->block, row->position % KERNEL_CELLS);
}

static void prepare_mixed_row(struct engine_forward *f, int r)
{
    int cols = f->model->heads * f->model->head_dim;
    prepare(f, f->mixed + (size_t)r * (size_t)cols, cols, 0, r);
}

/* Rows beside each other have much of their past in common, and what is common is read once for those of a task: a task
 * is a span of positions and a kv head of as many rows as leave a few tasks for every thread. Whoever finishes the last
 * part of some rows merges their spans and prepares what comes of it, where it is still warm. */
static void attend_task(void *argument, int i)
{
    struct engine_forward *f = argument;
    const int parts = f->spans * f->model->kv_heads, group = i / parts, part = i % parts, first = group * f->together;
    const int last = first + f->together < f->slice_rows ? first + f->together : f->slice_rows;
    f->set->attention_rows(&f->slice, first, last, part % f->model->kv_heads, part / f->model->kv_heads);
    if (atomic_fetch_add(&f->parts_done[group], 1) < parts - 1)
        return;
    for (int r = first; r < last; r++) {
        f->set->attention_merge(&f->slice, r);
        prepare_mixed_row(f, f->slice_first + r);
    }
    adapt(f, f->slice_first + first, f->slice_first + last, O, f->mixed, f->x); /* before the product, which adds to it */
}

/* Rows [first, first + n). */
static void attend_slice(struct engine_forward *f, int first, int n)
{
    const size_t numbers = (size_t)f->model->heads * (size_t)f->model->head_dim * (size_t)first;
    const int tasks = f->threads == 1 ? 1 : f->threads * ATTENTION_TASKS_A_THREAD;
    f->slice = f->attention;
    f->slice.q += numbers, f->slice.out += numbers, f->slice.rows += first, f->slice.partial_rows = n;
    f->slice_first = first, f->slice_rows = n;
    const int parts = f->spans * f->model->kv_heads, groups = (tasks + parts - 1) / parts;
    f->together = (n + groups - 1) / groups;
    f->together = f->together < ROWS_TOGETHER ? f->together : ROWS_TOGETHER;
    const int count = (n + f->together - 1) / f->together;
    for (int g = 0; g < count; g++)
        atomic_store_explicit(&f->parts_done[g], 0, memory_order_relaxed);
    kernel_pool_run(f->pool, count * parts, attend_task, f);
}

/* As many rows at a time as there is memory for their partials. */
static void attend(struct engine_forward *f)
{
    const int most = f->most_partials / f->spans;
    for (int first = 0; first < f->n; first += most)
        attend_slice(f, first, f->n - first < most ? f->n - first : most);
}

static void swiglu_row(struct engine_forward *f, int r)
{
    int cols = f->model->ff_width;
    float *gate = f->gate + (size_t)r * (size_t)cols;
    f->set->swiglu(gate, f->up + (size_t)r * (size_t)cols, cols, gate);
    prepare(f, gate, cols, 0, r);
}

/* With adapters its rows are a task's own from end to end: what comes of gate and up is what down takes. */
static void adapt_ff(struct engine_forward *f, int first, int last)
{
    adapt(f, first, last, GATE, f->normed, f->gate);
    adapt(f, first, last, UP, f->normed, f->up);
    for (int r = first; r < last; r++)
        swiglu_row(f, r);
    adapt(f, first, last, DOWN, f->gate, f->x);
}


static void run_layer(struct engine_forward *f, int i)
{
    const struct engine_layer *layer = &f->model->layers[i];
    f->layer = layer;
    f->layer_at = i;
    f->attention.cache.keys = (size_t)i * f->layer_bytes;
    f->attention.cache.values = f->attention.cache.keys + f->layer_bytes / 2;

    run_rows(f, NULL, attention_norm_row, f->n, 4);
    run_products(f, &(struct product_phase){.x = f->normed,
                                            .prepared = f->prepared,
                                            .n = f->n,
                                            .count = 3,
                                            .products = {{&layer->q, f->q}, {&layer->k, f->k}, {&layer->v, f->v}}});
    run_rows(f, f->adapted ? adapt_qkv : NULL, rope_and_store_row, f->n, 8);
    attend(f);
    run_products(f, &(struct product_phase){.x = f->mixed,
                                            .prepared = f->prepared,
                                            .n = f->n,
                                            .count = 1,
                                            .accumulate = 1,
                                            .products = {{&layer->o, f->x}}});
    run_rows(f, NULL, ff_norm_row, f->n, 4);
    run_products(f, &(struct product_phase){.x = f->normed,
                                            .prepared = f->prepared,
                                            .n = f->n,
                                            .count = 2,
                                            .products = {{&layer->gate, f->gate}, {&layer->up, f->up}}});
    if (f->adapted)
        run_rows(f, adapt_ff, NULL, f->n, 8);
    else
        run_rows(f, NULL, swiglu_row, f->n, 2);
    run_products(f, &(struct product_phase){.x = f->gate,
                                            .prepared = f->prepared,
                                            .n = f->n,
                                            .count = 1,
                                            .accumulate = 1,
                                            .products = {{&layer->down, f->x}}});
}

void engine_forward_run(struct engine_forward *f, const struct engine_row *rows, int n)
{
    f->rows = rows;
    f->n = n;
    f->spans = 1;
    f->adapted = 0;
    for (int r = 0; r < n; r++) {
        f->spans = rows[r].position / KERNEL_SPAN + 1 > f->spans ? rows[r].position / KERNEL_SPAN + 1 : f->spans;
        f->adapted = f->adapted || rows[r].mix;
        f->attends[r] = (struct kernel_row){.runs = rows[r].runs, .position = rows[r].position};
    }
    run_rows(f, NULL, embed_row, n, 8);
    for (int i = 0; i < f->model->layers_count; i++)
        run_layer(f, i);
}

static const struct kernel_matrix *head_for(const struct engine_forward *f, int r)
{
    const struct engine_mix *mix = f->rows[r].mix;
    return mix && mix->head ? mix->head : &f->model->head;
}

float *engine_forward_logits(struct engine_forward *f, const int *rows, int n)
{
    f->chosen = rows;
    run_rows(f, NULL, output_norm_row, n, 4);
    for (int first = 0, last; first < n; first = last) { /* rows beside each other with the same head go through it together */
        const struct kernel_matrix *head = head_for(f, rows[first]);
        for (last = first + 1; last < n && head_for(f, rows[last]) == head; last++)
            ;
        run_products(f, &(struct product_phase){.x = f->normed + (size_t)first * (size_t)f->model->width,
                                                .prepared = f->prepared + f->set->prepared_bytes(f->model->width) * (size_t)first,
                                                .n = last - first,
                                                .count = 1,
                                                .products = {{head, f->logits + (size_t)first * (size_t)f->model->vocabulary}}});
    }
    return f->logits;
}

/* --- scratch ----------------------------------------------------------------------------------------------------- */

size_t engine_forward_block_bytes(const struct engine_model *m, const struct kernel_set *set, enum kernel_type cache)
{
    size_t layer = 2 * set->cache_bytes(cache, m->kv_heads, m->head_dim);
    return (layer * (size_t)m->layers_count + 63) & ~(size_t)63;
}

/* The next part of the scratch; with no scratch yet, only its size is counted. */
static void *carve(const struct engine_forward *f, size_t *at, size_t count, size_t bytes)
{
    void *part = f->scratch ? f->scratch + *at : NULL;
    *at += (count * bytes + 63) & ~(size_t)63;
    return part;
}

static size_t lay_out(struct engine_forward *f)
{
    const struct engine_model *m = f->model;
    size_t n = (size_t)f->most_rows, width = (size_t)m->width, ff = (size_t)m->ff_width, at = 0, widest = 0;
    size_t heads = (size_t)m->heads * (size_t)m->head_dim, kv = (size_t)m->kv_heads * (size_t)m->head_dim;
    int cols[3] = {m->width, m->heads * m->head_dim, m->ff_width};
    for (int i = 0; i < 3; i++)
        if (f->set->prepared_bytes(cols[i]) > widest)
            widest = f->set->prepared_bytes(cols[i]);
    f->x = carve(f, &at, n * width, sizeof *f->x);
    f->normed = carve(f, &at, n * width, sizeof *f->normed);
    f->q = carve(f, &at, n * heads, sizeof *f->q);
    f->k = carve(f, &at, n * kv, sizeof *f->k);
    f->v = carve(f, &at, n * kv, sizeof *f->v);
    f->mixed = carve(f, &at, n * heads, sizeof *f->mixed);
    f->gate = carve(f, &at, n * ff, sizeof *f->gate);
    f->up = carve(f, &at, n * ff, sizeof *f->up);
    f->logits = carve(f, &at, (size_t)f->most_logits * (size_t)m->vocabulary, sizeof *f->logits);
    f->attends = carve(f, &at, n, sizeof *f->attends);
    f->parts_done = carve(f, &at, n, sizeof *f->parts_done);
    const size_t spans = ((size_t)m->context + KERNEL_SPAN - 1) / KERNEL_SPAN;
    const size_t partial = (size_t)m->heads * ((size_t)m->head_dim + 2) * sizeof *f->partials;
    size_t partials = PARTIAL_BYTES / partial < n * spans ? PARTIAL_BYTES / partial : n * spans;
    partials = partials < spans ? spans : partials;
    f->most_partials = (int)partials;
    f->partials = carve(f, &at, partials, partial);
    f->prepared = carve(f, &at, n, widest);
    return at;
}

size_t engine_forward_scratch_bytes(const struct engine_model *m, const struct kernel_set *set, int rows, int logits)
{
    struct engine_forward f = {.model = m, .set = set, .most_rows = rows, .most_logits = logits};
    return lay_out(&f);
}

int engine_forward_create(struct engine_forward **out, const struct engine_model *m, const struct kernel_set *set,
                          enum kernel_type cache, struct kernel_pool *pool, int rows, int logits, struct error *e)
{
    struct engine_forward *f = xcalloc(1, sizeof *f);
    *f = (struct engine_forward){.model = m,
                                 .set = set,
                                 .pool = pool,
                                 .threads = kernel_pool_threads(pool),
                                 .most_rows = rows,
                                 .most_logits = logits};
    f->layer_bytes = 2 * set->cache_bytes(cache, m->kv_heads, m->head_dim);
    size_t bytes = lay_out(f);
    f->scratch = large_alloc(bytes);
    if (!f->scratch) {
        free(f);
        return error_set(e, ERROR_ENGINE, "not enough memory for %zu MiB of scratch; use a smaller --batch",
                         bytes >> 20);
    }
    lay_out(f);
    f->attention = (struct kernel_attention){.q = f->q,
                                             .out = f->mixed,
                                             .heads = m->heads,
                                             .scale = (float)(1 / sqrt(m->head_dim)),
                                             .cache = {.type = cache, .kv_heads = m->kv_heads, .head_dim = m->head_dim},
                                             .rows = f->attends,
                                             .partials = f->partials};
    *out = f;
    return OK;
}

void engine_forward_free(struct engine_forward *f)
{
    if (!f)
        return;
    free(f->scratch);
    free(f);
}
