/* A learner opened: what it learns, its optimizer, and both in a file. */
#include "engine/learner.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANK = 16, ROWS = 1024, MOST_ROWS = 1 << 20, LEAST_8_BITS = 4096, CHUNK = 1 << 16, MOST_THREADS = 256 };

/* --- what is learned --------------------------------------------------------------------------------------------- */

/* The next parameter; its weights are w, or come later. */
static struct parameter *add_parameter(struct engine_learner *l, const char *name, int rows, int cols, float *w, float decay)
{
    l->parameters = xrealloc(l->parameters, (size_t)(l->parameter_count + 1) * sizeof *l->parameters);
    struct parameter *p = &l->parameters[l->parameter_count++];
    *p = (struct parameter){.rows = rows, .cols = cols, .w = w, .decay = decay};
    snprintf(p->name, sizeof p->name, "%s", name);
    l->learned += (size_t)rows * (size_t)cols;
    return p;
}

static size_t numbers_of(const struct parameter *p)
{
    return (size_t)p->rows * (size_t)p->cols;
}

static int check_rank(const struct engine_learner *l, int i, int target, int rank, struct error *e)
{
    const struct kernel_matrix *m = l->layers[i].linears[target].matrix;
    const int most = m->rows < m->cols ? m->rows : m->cols;
    if (rank <= most && rank <= KERNEL_RANK)
        return OK;
    return error_set(e, ERROR_INPUT, "--rank %d: blk.%d.%s is %d x %d; expected at most %d", rank, i, engine_model_matrix_name(target),
                     m->rows, m->cols, most < KERNEL_RANK ? most : KERNEL_RANK);
}

/* A and B of every matrix asked for: parameters 2 j and 2 j + 1, in order of layers and targets. */
static int add_adapter(struct engine_learner *l, struct error *e)
{
    const struct engine_learner_options *o = &l->options;
    const float scale = (float)(o->alpha / (o->rslora ? sqrt(o->rank) : o->rank)); /* as it will be read */
    int code = OK;
    for (int i = 0; i < l->model->layers_count; i++)
        for (int t = 0; t < ENGINE_TARGETS && !code; t++) {
            struct linear *linear = &l->layers[i].linears[t];
            char name[64];
            if (!(o->targets >> t & 1))
                continue;
            code = check_rank(l, i, t, o->rank, e);
            linear->plus = (struct kernel_low_rank){.rank = o->rank, .scale = scale};
            snprintf(name, sizeof name, "blk.%d.%s.lora_a", i, engine_model_matrix_name(t));
            add_parameter(l, name, o->rank, linear->matrix->cols, NULL, o->decay);
            snprintf(name, sizeof name, "blk.%d.%s.lora_b", i, engine_model_matrix_name(t));
            add_parameter(l, name, linear->matrix->rows, o->rank, NULL, o->decay);
        }
    return code;
}

/* A uniform in +-1 / sqrt(cols), which is Kaiming's with sqrt(5); B zero: the adapter begins as nothing. */
static void begin_adapter(struct engine_learner *l)
{
    for (int i = 0; i < l->parameter_count; i += 2) {
        struct parameter *a = &l->parameters[i];
        const double most = 1 / sqrt(a->cols);
        for (size_t j = 0; j < numbers_of(a); j++)
            a->w[j] = (float)(most * (2 * random_uniform(l->options.seed, random_stream(0, 0, (uint64_t)i), j) - 1));
    }
}

static void point_adapter(struct engine_learner *l)
{
    struct parameter *p = l->parameters;
    for (int i = 0; i < l->model->layers_count; i++)
        for (int t = 0; t < ENGINE_TARGETS; t++) {
            struct linear *linear = &l->layers[i].linears[t];
            if (!linear->plus.rank)
                continue;
            linear->plus.a = p[0].w, linear->da = p[0].gradient;
            linear->plus.b = p[1].w, linear->db = p[1].gradient;
            p += 2;
        }
}

/* The matrix as fp32 numbers of our own, at `to`. */
struct copying {
    const struct kernel_matrix *from;
    float *to;
};
static void copy_row(void *argument, int row)
{
    const struct copying *c = argument;
    kernel_matrix_dequantize(c->from, row, 0, c->to + (size_t)row * (size_t)c->from->cols, c->from->cols);
}

static float *own_matrix(struct engine_learner *l, struct kernel_matrix *m, float *to)
{
    struct copying copying = {m, to};
    kernel_pool_run(l->pool, m->rows, copy_row, &copying);
    *m = (struct kernel_matrix){.type = KERNEL_F32, .rows = m->rows, .cols = m->cols, .data = to};
    return to + (size_t)m->rows * (size_t)m->cols;
}

static int own_weights(struct engine_learner *l, struct error *e)
{
    struct engine_model *m = l->model;
    size_t numbers = (size_t)m->vocabulary * (size_t)m->width * (m->tied ? 1 : 2);
    for (int i = 0; i < m->layers_count; i++)
        for (int t = 0; t < ENGINE_TARGETS; t++)
            numbers += (size_t)l->layers[i].linears[t].matrix->rows * (size_t)l->layers[i].linears[t].matrix->cols;
    float *to = l->weights = large_alloc(numbers * sizeof *to);
    if (!to)
        return error_set(e, ERROR_ENGINE, "not enough memory for %zu MiB of weights in fp32; learn an adapter, or use a smaller model",
                         numbers * sizeof *to >> 20);
    l->weight_bytes = numbers * sizeof *to;
    to = own_matrix(l, &m->embedding, to);
    if (m->tied)
        m->head = m->embedding;
    else
        to = own_matrix(l, &m->head, to);
    for (int i = 0; i < m->layers_count; i++)
        for (int t = 0; t < ENGINE_TARGETS; t++)
            to = own_matrix(l, l->layers[i].linears[t].matrix, to);
    return OK;
}

static void add_matrix(struct engine_learner *l, const char *name, struct kernel_matrix *m)
{
    add_parameter(l, name, m->rows, m->cols, (float *)(uintptr_t)m->data, l->options.decay);
}

/* Which the model owns. */
static void add_vector(struct engine_learner *l, const char *name, int size, const float *vector)
{
    add_parameter(l, name, 1, size, (float *)(uintptr_t)vector, 0);
}

static int add_all(struct engine_learner *l, struct error *e)
{
    struct engine_model *m = l->model;
    char name[64];
    int code = own_weights(l, e);
    if (code)
        return code;
    add_matrix(l, "token_embd", &m->embedding);
    if (!m->tied)
        add_matrix(l, "output", &m->head);
    add_vector(l, "output_norm", m->width, m->output_norm);
    for (int i = 0; i < m->layers_count; i++) {
        for (int t = 0; t < ENGINE_TARGETS; t++) {
            snprintf(name, sizeof name, "blk.%d.%s", i, engine_model_matrix_name(t));
            add_matrix(l, name, l->layers[i].linears[t].matrix);
        }
        for (int j = 0; j < ENGINE_NORMS; j++) {
            snprintf(name, sizeof name, "blk.%d.%s", i, engine_model_norm_name(j));
            if (m->layers[i].norms[j])
                add_vector(l, name, engine_model_norm_size(m, j), m->layers[i].norms[j]);
        }
        for (int j = 0; j < ENGINE_BIASES; j++) {
            snprintf(name, sizeof name, "blk.%d.%s.bias", i, engine_model_matrix_name(j));
            if (m->layers[i].biases[j])
                add_vector(l, name, l->layers[i].linears[j].matrix->rows, m->layers[i].biases[j]);
        }
    }
    return OK;
}

static void point_all(struct engine_learner *l)
{
    struct parameter *p = l->parameters;
    l->d_embedding = l->head.gradient = p++->gradient;
    if (!l->model->tied)
        l->head.gradient = p++->gradient;
    l->d_output_norm = p++->gradient;
    for (int i = 0; i < l->model->layers_count; i++) {
        for (int t = 0; t < ENGINE_TARGETS; t++)
            l->layers[i].linears[t].gradient = p++->gradient;
        for (int j = 0; j < ENGINE_NORMS; j++)
            if (l->model->layers[i].norms[j])
                l->layers[i].d_norms[j] = p++->gradient;
        for (int j = 0; j < ENGINE_BIASES; j++)
            if (l->model->layers[i].biases[j])
                l->layers[i].d_biases[j] = p++->gradient;
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

/* The next n numbers of `size` bytes; with no memory yet they are only counted. */
static void *take(unsigned char *memory, size_t *at, size_t n, size_t size)
{
    void *part = memory ? memory + *at : NULL;
    *at += (n * size + 7) & ~(size_t)7;
    return part;
}

static size_t lay_out_moments(struct engine_learner *l, unsigned char *memory)
{
    size_t at = 0;
    for (int i = 0; i < l->parameter_count; i++) {
        struct parameter *p = &l->parameters[i];
        const size_t n = numbers_of(p), blocks = (n + KERNEL_ADAM_BLOCK - 1) / KERNEL_ADAM_BLOCK;
        if (!l->options.moments8 || n < LEAST_8_BITS) {
            p->m = take(memory, &at, n, sizeof *p->m);
            p->v = take(memory, &at, n, sizeof *p->v);
        } else {
            p->moments8.m_scale = take(memory, &at, blocks, sizeof *p->moments8.m_scale);
            p->moments8.v_scale = take(memory, &at, blocks, sizeof *p->moments8.v_scale);
            p->moments8.m = take(memory, &at, n, 1);
            p->moments8.v = take(memory, &at, n, 1);
        }
    }
    return at;
}

static int allocate(struct engine_learner *l, struct error *e)
{
    const int own = !l->options.all;
    l->optimizer_bytes = lay_out_moments(l, NULL);
    l->moments = large_alloc(l->optimizer_bytes);
    l->gradients = large_alloc((own ? 2 : 1) * l->learned * sizeof *l->gradients);
    engine_learner_lay_out(l);
    l->scratch = large_alloc(l->kept_bytes + l->scratch_bytes);
    if (!l->moments || !l->gradients || !l->scratch)
        return error_set(e, ERROR_ENGINE, "not enough memory: %zu MiB for passes of %d tokens and %zu MiB for the optimizer; use fewer --rows, or --checkpoints",
                         (l->kept_bytes + l->scratch_bytes) >> 20, l->rows, l->optimizer_bytes >> 20);
    engine_learner_lay_out(l);
    lay_out_moments(l, l->moments);
    memset(l->moments, 0, l->optimizer_bytes); /* in 8 bits too: a scale of zero makes every byte zero */
    memset(l->gradients, 0, (own ? 2 : 1) * l->learned * sizeof *l->gradients);
    float *gradient = l->gradients, *w = l->gradients + l->learned;
    for (int i = 0; i < l->parameter_count; i++) {
        struct parameter *p = &l->parameters[i];
        p->gradient = gradient;
        gradient += numbers_of(p);
        if (own)
            p->w = w, w += numbers_of(p);
    }
    return OK;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static int check_options(struct engine_learner_options *o, struct error *e)
{
    if (!o->model)
        return error_set(e, ERROR_USAGE, "no model given; expected the path of a GGUF file");
    if (o->quant && !engine_quant_of(o->quant))
        return error_set(e, ERROR_USAGE, "--quant %s: expected nf4 or nf4+head, or leave it out for the file's own weights", o->quant);
    if (o->quant && o->all)
        return error_set(e, ERROR_USAGE, "--quant %s: all weights are learned in fp32; learn an adapter, or leave --quant out", o->quant);
    if (o->threads < 0 || o->threads > MOST_THREADS)
        return error_set(e, ERROR_USAGE, "--threads %d: expected 1 to %d, or 0 for all there are", o->threads, MOST_THREADS);
    if (o->rank < 0 || o->rank > KERNEL_RANK)
        return error_set(e, ERROR_USAGE, "--rank %d: expected 1 to %d", o->rank, KERNEL_RANK);
    if (o->rows < 0 || o->rows > MOST_ROWS)
        return error_set(e, ERROR_USAGE, "--rows %d: expected 1 to %d", o->rows, MOST_ROWS);
    o->rank = o->all ? 0 : o->rank ? o->rank : RANK;
    o->alpha = o->alpha != 0 ? o->alpha : 2 * (float)o->rank;
    o->targets = o->targets ? o->targets : (1u << ENGINE_TARGETS) - 1;
    o->rows = o->rows ? o->rows : ROWS;
    o->beta1 = o->beta1 != 0 ? o->beta1 : 0.9f;
    o->beta2 = o->beta2 != 0 ? o->beta2 : 0.999f;
    o->epsilon = o->epsilon != 0 ? o->epsilon : 1e-8f;
    return OK;
}

static size_t exact_bytes(const struct engine_model *m)
{
    size_t bytes = 0;
    for (int t = 0; t < KERNEL_TYPES; t++)
        bytes += (size_t)m->bytes_by_type[t];
    return bytes;
}

static int open_model(struct engine_learner *l, struct error *e)
{
    const struct engine_learner_options *o = &l->options;
    int code;
    if ((code = engine_open(&l->vocabulary, &(struct engine_options){.model = o->model, .vocabulary_only = 1}, e)) ||
        (code = kernel_set_find(o->kernels ? o->kernels : "auto", &l->set, e)) || (code = engine_file_open(&l->file, o->model, e)))
        return code;
    const int machine = kernel_pool_processors();
    l->pool = kernel_pool_create(o->threads ? o->threads : machine > MOST_THREADS ? MOST_THREADS : machine);
    code = engine_model_open(&l->model, l->file, engine_info(l->vocabulary)->vocabulary, o->rows, engine_quant_of(o->quant), NULL, l->pool, e);
    if (code)
        return code;
    l->weight_bytes = exact_bytes(l->model);
    l->rows = o->rows;
    l->layers = xcalloc((size_t)l->model->layers_count, sizeof *l->layers);
    l->head.matrix = &l->model->head;
    for (int i = 0; i < l->model->layers_count; i++)
        for (int t = 0; t < ENGINE_TARGETS; t++)
            l->layers[i].linears[t].matrix = engine_layer_matrix(&l->model->layers[i], (enum engine_target)t);
    return OK;
}

int engine_learner_create(struct engine_learner **out, const struct engine_learner_options *options, struct error *e)
{
    struct engine_learner *l = xcalloc(1, sizeof *l);
    l->options = *options;
    int code = check_options(&l->options, e);
    if (!code && !(code = open_model(l, e)) && !(code = l->options.all ? add_all(l, e) : add_adapter(l, e)) && !(code = allocate(l, e))) {
        if (l->options.all) {
            point_all(l);
        } else {
            begin_adapter(l);
            point_adapter(l);
        }
        *out = l;
        return OK;
    }
    engine_learner_free(l);
    return code;
}

void engine_learner_free(struct engine_learner *l)
{
    if (!l)
        return;
    engine_model_close(l->model);
    if (l->file)
        engine_file_close(l->file);
    if (l->pool)
        kernel_pool_free(l->pool);
    engine_close(l->vocabulary);
    free(l->layers);
    free(l->weights);
    free(l->parameters);
    free(l->gradients);
    free(l->moments);
    free(l->scratch);
    free(l);
}

const struct engine *engine_learner_engine(const struct engine_learner *l)
{
    return l->vocabulary;
}

void engine_learner_info(const struct engine_learner *l, struct engine_learner_info *out)
{
    *out = (struct engine_learner_info){.parameters = l->model->parameters,
                                        .learned = (int64_t)l->learned,
                                        .weight_bytes = l->weight_bytes,
                                        .kept_bytes = l->kept_bytes,
                                        .scratch_bytes = l->scratch_bytes,
                                        .optimizer_bytes = l->optimizer_bytes + l->learned * sizeof(float) * (l->options.all ? 1 : 2),
                                        .kernels = l->set->name,
                                        .threads = kernel_pool_threads(l->pool),
                                        .context = l->model->context,
                                        .steps = l->steps};
}

int engine_learner_parameter(const struct engine_learner *l, int i, struct engine_parameter *out)
{
    if (i < 0 || i >= l->parameter_count)
        return 0;
    const struct parameter *p = &l->parameters[i];
    *out = (struct engine_parameter){p->name, p->rows, p->cols, p->w, p->gradient};
    return 1;
}

void engine_learner_set(struct engine_learner *l, int i, const float *weights)
{
    memcpy(l->parameters[i].w, weights, numbers_of(&l->parameters[i]) * sizeof *weights);
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

void engine_learner_add(struct engine_learner *l, const struct engine_document *documents, int n, struct engine_loss *loss)
{
    struct engine_loss own = {0};
    engine_learner_pass(l, documents, n, 1, &own);
    l->gathered += own.count;
    loss->sum += own.sum, loss->count += own.count;
}

void engine_learner_loss(struct engine_learner *l, const struct engine_document *documents, int n, struct engine_loss *loss)
{
    engine_learner_pass(l, documents, n, 0, loss);
}

/* Parameters in chunks, so that one large one is not one task: sums are by chunk, then in order. */
struct chunk {
    struct parameter *p;
    size_t first, count;
    double squares;
};
struct stepping {
    struct chunk *chunks;
    int count;
    struct kernel_adamw adamw;
};

static void squares_task(void *argument, int i)
{
    struct chunk *c = &((struct stepping *)argument)->chunks[i];
    c->squares = kernel_squares(c->p->gradient + c->first, c->count);
}

static void step_task(void *argument, int i)
{
    const struct stepping *s = argument;
    const struct chunk *c = &s->chunks[i];
    struct parameter *p = c->p;
    struct kernel_adamw o = s->adamw;
    o.decay = p->decay;
    if (p->m) {
        kernel_adamw_step(&o, c->count, p->w + c->first, p->gradient + c->first, p->m + c->first, p->v + c->first);
        return;
    }
    const size_t block = c->first / KERNEL_ADAM_BLOCK; /* chunks begin at blocks */
    const struct kernel_moments8 moments = {p->moments8.m + c->first, p->moments8.v + c->first, p->moments8.m_scale + block,
                                            p->moments8.v_scale + block};
    kernel_adamw8_step(&o, c->count, p->w + c->first, p->gradient + c->first, &moments);
}

static struct stepping cut_parameters(struct engine_learner *l)
{
    struct stepping s = {.chunks = xcalloc(l->learned / CHUNK + (size_t)l->parameter_count + 1, sizeof *s.chunks)};
    for (int i = 0; i < l->parameter_count; i++)
        for (size_t first = 0, n = numbers_of(&l->parameters[i]); first < n; first += CHUNK)
            s.chunks[s.count++] = (struct chunk){&l->parameters[i], first, n - first < CHUNK ? n - first : CHUNK, 0};
    return s;
}

int engine_learner_step(struct engine_learner *l, float rate, double *norm, struct error *e)
{
    struct stepping s = cut_parameters(l);
    int code = OK;
    double squares = 0;
    kernel_pool_run(l->pool, s.count, squares_task, &s);
    for (int i = 0; i < s.count; i++)
        squares += s.chunks[i].squares;
    const double length = l->gathered ? sqrt(squares) / (double)l->gathered : 0;
    if (norm)
        *norm = length;
    if (!isfinite(length)) {
        code = error_set(e, ERROR_ENGINE, "the gradient is not finite after %d steps; use a lower --rate, or --clip", l->steps);
    } else if (l->gathered) {
        const struct engine_learner_options *o = &l->options;
        const double clip = o->clip > 0 && length > o->clip ? o->clip / length : 1;
        l->steps++;
        s.adamw = (struct kernel_adamw){.rate = rate, .beta1 = o->beta1, .beta2 = o->beta2, .epsilon = o->epsilon,
                                        .scale = (float)(clip / (double)l->gathered),
                                        .correct1 = (float)(1 - pow(o->beta1, l->steps)),
                                        .correct2 = (float)(1 - pow(o->beta2, l->steps))};
        kernel_pool_run(l->pool, s.count, step_task, &s);
    }
    memset(l->gradients, 0, l->learned * sizeof *l->gradients);
    l->gathered = 0;
    free(s.chunks);
    return code;
}

/* --- in a file --------------------------------------------------------------------------------------------------- */

/* magic; then of each, as the machine has them: numbers of the header, the note, for each parameter its weights and moments; at the
 * end a hash of all before it. A file for this machine and this program, so it is refused elsewhere, not converted. */
static const char magic[24] = "espalier learner 1\n";

struct header {
    char magic[24];
    uint64_t shape; /* a hash of what is learned, how, and on what */
    uint64_t numbers, moment_bytes, note_bytes, steps;
};

/* The weights that an adapter stands on, told from others of their shape by some of each matrix. */
static uint64_t base_of(const struct engine_learner *l)
{
    float some[64]; /* what any format can be asked for */
    uint64_t hash = 0;
    for (int i = 0; i < l->model->layers_count; i++)
        for (int t = 0; t < ENGINE_TARGETS; t++) {
            const struct kernel_matrix *m = l->layers[i].linears[t].matrix;
            const int n = m->cols < 64 ? m->cols : 64;
            kernel_matrix_dequantize(m, 0, 0, some, n);
            hash = random_stream(hash, hash_bytes(some, (size_t)n * sizeof *some), (uint64_t)m->type);
        }
    return hash;
}

static uint64_t shape_of(const struct engine_learner *l)
{
    uint64_t hash = random_stream((uint64_t)l->options.moments8, (uint64_t)l->options.all, (uint64_t)l->options.rslora);
    hash = random_stream(hash, hash_bytes(&l->options.alpha, sizeof l->options.alpha), hash_bytes(l->options.quant ? l->options.quant : "", l->options.quant ? strlen(l->options.quant) : 0));
    for (int i = 0; i < l->parameter_count; i++) {
        const struct parameter *p = &l->parameters[i];
        hash = random_stream(hash, hash_bytes(p->name, strlen(p->name)), random_stream((uint64_t)p->rows, (uint64_t)p->cols, 0));
    }
    return l->options.all ? hash : random_stream(hash, base_of(l), 0);
}

struct writing {
    FILE *file;
    uint64_t hash;
    int failed;
};

static void put(struct writing *w, const void *bytes, size_t n)
{
    w->hash = random_stream(w->hash, hash_bytes(bytes, n), n);
    w->failed |= n && fwrite(bytes, 1, n, w->file) != n;
}

static int not_written(const char *path, int why, struct error *e)
{
    return error_set(e, ERROR_INPUT, "%.300s: %s; expected a place that can be written to", path, strerror(why));
}

int engine_learner_save(const struct engine_learner *l, const char *path, const struct string *note, struct error *e)
{
    char *draft = xasprintf("%s.draft", path);
    struct writing w = {.file = fopen(draft, "wb")};
    if (!w.file) {
        const int why = errno;
        free(draft);
        return not_written(path, why, e);
    }
    struct header header = {.shape = shape_of(l), .numbers = l->learned, .moment_bytes = l->optimizer_bytes, .note_bytes = note->length,
                            .steps = (uint64_t)l->steps};
    memcpy(header.magic, magic, sizeof magic);
    put(&w, &header, sizeof header);
    put(&w, string_text(note), note->length);
    for (int i = 0; i < l->parameter_count; i++)
        put(&w, l->parameters[i].w, numbers_of(&l->parameters[i]) * sizeof(float));
    put(&w, l->moments, l->optimizer_bytes);
    const uint64_t hash = w.hash;
    put(&w, &hash, sizeof hash);
    w.failed |= fflush(w.file) != 0 || fsync(fileno(w.file)) != 0;
    int why = errno;
    w.failed |= fclose(w.file) != 0;
    if (!w.failed && rename(draft, path)) {
        w.failed = 1;
        why = errno;
    }
    int code = OK;
    if (w.failed) {
        unlink(draft);
        code = not_written(path, why, e);
    }
    free(draft);
    return code;
}

struct reading {
    FILE *file;
    uint64_t hash;
};

static int get(struct reading *r, void *bytes, size_t n)
{
    if (n && fread(bytes, 1, n, r->file) != n)
        return 0;
    r->hash = random_stream(r->hash, hash_bytes(bytes, n), n);
    return 1;
}

static int read_state(const struct engine_learner *l, const char *path, struct header *header, struct string *note, float *w, void *moments,
                      struct reading *r, struct error *e)
{
    enum { MOST_NOTE = 1 << 24 };
    if (!get(r, header, sizeof *header) || memcmp(header->magic, magic, sizeof magic))
        return error_set(e, ERROR_INPUT, "%.300s: is not a checkpoint of this program's; expected one that `espalier train` wrote", path);
    if (header->shape != shape_of(l) || header->numbers != l->learned || header->moment_bytes != l->optimizer_bytes || header->note_bytes > MOST_NOTE)
        return error_set(e, ERROR_INPUT, "%.300s: is of another model, adapter or optimizer; give the options it was made with, or begin anew", path);
    char *text = xmalloc(header->note_bytes + 1);
    uint64_t hash = 0, own = 0;
    int whole = get(r, text, header->note_bytes);
    string_append(note, text, whole ? header->note_bytes : 0);
    free(text);
    size_t at = 0;
    for (int i = 0; i < l->parameter_count && whole; i++) {
        const size_t n = numbers_of(&l->parameters[i]);
        whole = get(r, w + at, n * sizeof *w);
        at += n;
    }
    whole = whole && get(r, moments, l->optimizer_bytes);
    hash = r->hash;
    whole = whole && get(r, &own, sizeof own) && own == hash && fgetc(r->file) == EOF;
    return whole ? OK : error_set(e, ERROR_INPUT, "%.300s: is damaged or cut short; use an earlier checkpoint", path);
}

int engine_learner_restore(struct engine_learner *l, const char *path, struct string *note, struct error *e)
{
    struct reading r = {.file = fopen(path, "rb")};
    if (!r.file)
        return error_set(e, ERROR_INPUT, "%.300s: %s; expected a checkpoint that `espalier train` wrote", path, strerror(errno));
    struct header header;
    struct string text = {0};
    float *w = xmalloc(l->learned * sizeof *w);
    void *moments = xmalloc(l->optimizer_bytes + 1);
    int code = read_state(l, path, &header, &text, w, moments, &r, e);
    size_t at = 0;
    for (int i = 0; i < l->parameter_count && !code; i++) {
        memcpy(l->parameters[i].w, w + at, numbers_of(&l->parameters[i]) * sizeof *w);
        at += numbers_of(&l->parameters[i]);
    }
    if (!code) {
        memcpy(l->moments, moments, l->optimizer_bytes);
        memset(l->gradients, 0, l->learned * sizeof *l->gradients);
        l->gathered = 0;
        l->steps = (int)header.steps;
        string_clear(note);
        string_append(note, string_text(&text), text.length);
    }
    string_free(&text);
    fclose(r.file);
    free(w);
    free(moments);
    return code;
}
