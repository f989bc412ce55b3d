/* A model's file with its matrices in another type, tensor by tensor and a slab of rows at a time: memory stays small.
 */
#include "engine/engine.h"
#include "engine/file_write.h"
#include "engine/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SLAB_BYTES = 8 << 20, /* of a slab's rows as they will be written */
    ROWS_A_TASK = 8,
    CHUNK = 256,              /* weights at a time; a multiple of every block */
    QUANTIZATION_VERSION = 2, /* ggml's number for how its blocks are laid out */
};

/* What llama.cpp calls a file whose matrices are mostly of that type, general.file_type. */
static const struct target {
    enum kernel_type type;
    uint32_t file_type;
    int few_bits; /* then the embedding and the head have more */
} targets[] = {
    {KERNEL_F16, 1, 0},
    {KERNEL_Q8_0, 7, 0},
    {KERNEL_Q4_0, 2, 1},
    {KERNEL_IQ4_NL, 25, 1},
};
enum { TARGETS = sizeof targets / sizeof *targets };

static const struct target *find_target(const char *name)
{
    for (int i = 0; i < TARGETS; i++)
        if (!strcasecmp(name, kernel_format(targets[i].type)->name))
            return &targets[i];
    return NULL;
}

/* --- what becomes of each tensor --------------------------------------------------------------------------------- */

static double bits_of(enum kernel_type type)
{
    const struct kernel_format *format = kernel_format(type);
    return 8.0 * format->bytes / format->block;
}

/* merging: the tensor's weights may be others than the file's. *narrow: its rows are no whole blocks of what it should have become. */
static enum kernel_type type_for(const struct engine_tensor *t, const struct target *target, int merging, int *narrow)
{
    *narrow = 0;
    if (t->dimensions < 2)
        return t->type;
    enum kernel_type type = target->type;
    if (target->few_bits && (engine_tensor_is(t, "token_embd.weight") || engine_tensor_is(t, "output.weight"))) {
        const int stays = bits_of(t->type) < bits_of(KERNEL_Q8_0) && t->type != KERNEL_NF4 && (!merging || kernel_format(t->type)->quantize);
        type = stays ? t->type : KERNEL_Q8_0;
    }
    if (t->size[0] % kernel_format(type)->block == 0)
        return type;
    *narrow = 1;
    return KERNEL_F16;
}

/* Of (new - old)^2, of old^2, of (old - without adapters)^2, of what is without^2. */
enum { SUMS = 4 };

struct job {
    const struct engine_quantize_options *options;
    struct engine_quantized *said;
    struct engine_file *file;
    struct engine_writer *writer;
    struct engine_tensor *tensors;  /* those of the file, and a head where adapters part it from the embedding; [count] */
    struct engine_new_tensor *plan; /* what becomes of each */
    int count;
    struct kernel_pool *pool;
    unsigned char *slab; /* rows as they will be written */
    double *sums;        /* [rows of a slab][SUMS] */
    struct engine_merge *merge; /* or NULL */
    struct engine_model shape;  /* {0} where the architecture is not known */
    size_t written;      /* bytes of tensors */
    struct error *e;

    /* The tensor under way. */
    struct engine_merged from;
    int turned; /* its rows are not in the order that GGUF has them in */
    enum kernel_type to;
    size_t row_bytes;
    int first, rows; /* of the slab */
};

static int64_t rows_of(const struct engine_tensor *t)
{
    return t->size[1] * t->size[2] * t->size[3];
}

static int list_tensors(struct job *job)
{
    const int count = engine_file_tensor_count(job->file);
    const struct engine_tensor *embedding = engine_file_tensor(job->file, "token_embd.weight");
    job->tensors = input_alloc((size_t)count + 1, sizeof *job->tensors);
    job->plan = input_alloc((size_t)count + 1, sizeof *job->plan);
    if (!job->tensors || !job->plan)
        return error_set(job->e, ERROR_ENGINE, "%s: not enough memory for its %d tensors", job->options->in, count);
    for (int i = 0; i < count; i++)
        job->tensors[job->count++] = *engine_file_tensor_at(job->file, i);
    if (job->merge && engine_merge_unties(job->merge)) {
        struct engine_tensor *head = &job->tensors[job->count++];
        *head = *embedding;
        head->name = (struct engine_text){"output.weight", strlen("output.weight")};
    }
    return OK;
}

/* Types and shapes of the new file. */
static int plan_tensors(struct job *job, const struct target *target)
{
    for (int i = 0; i < job->count; i++) {
        const struct engine_tensor *t = &job->tensors[i];
        struct engine_new_tensor *plan = &job->plan[i];
        int narrow;
        *plan = (struct engine_new_tensor){.name = t->name, .dimensions = t->dimensions};
        memcpy(plan->size, t->size, sizeof plan->size);
        plan->type = type_for(t, target, job->merge != NULL, &narrow);
        job->said->narrow += narrow;
        if (rows_of(t) > INT32_MAX || t->size[0] > INT32_MAX)
            return error_set(job->e, ERROR_INPUT, "%s: tensor %.*s is too large to be quantized here", job->options->in,
                             (int)(t->name.length < 64 ? t->name.length : 64), t->name.bytes);
    }
    return OK;
}

/* --- one tensor -------------------------------------------------------------------------------------------------- */

static void quantize_row(struct job *job, int row)
{
    const struct kernel_format *format = kernel_format(job->to);
    unsigned char *to = job->slab + (size_t)row * job->row_bytes;
    double *sums = job->sums + SUMS * row;
    const int cols = job->from.matrix.cols;
    const int from = job->turned ? engine_model_row_of(&job->shape, job->first + row) : job->first + row;
    memset(sums, 0, SUMS * sizeof *sums);
    for (int k = 0; k < cols; k += CHUNK) {
        int n = cols - k < CHUNK ? cols - k : CHUNK;
        float old[CHUNK], new[CHUNK], base[CHUNK];
        engine_merged_row(&job->from, from, k, n, old, base);
        format->quantize(old, to, n);
        format->dequantize(to, new, n);
        to += (size_t)(n / format->block) * (size_t)format->bytes;
        for (int i = 0; i < n; i++) {
            double off = (double)new[i] - (double)old[i];
            sums[0] += off * off;
            sums[1] += (double)old[i] * (double)old[i];
            sums[2] += ((double)old[i] - (double)base[i]) * ((double)old[i] - (double)base[i]);
            sums[3] += (double)base[i] * (double)base[i];
        }
    }
}

static void quantize_rows(void *argument, int task)
{
    struct job *job = argument;
    int last = (task + 1) * ROWS_A_TASK < job->rows ? (task + 1) * ROWS_A_TASK : job->rows;
    for (int row = task * ROWS_A_TASK; row < last; row++)
        quantize_row(job, row);
}

/* Hand over n bytes, and say how far this is. */
static int write_slab(struct job *job, const void *bytes, size_t n)
{
    int code = engine_writer_add(job->writer, bytes, n, job->e);
    job->written += n;
    if (!code && job->options->progress &&
        job->options->progress(job->options->context, job->written, engine_writer_bytes(job->writer)))
        code = error_set(job->e, ERROR_INPUT, "%s: interrupted: nothing is written", job->options->out);
    return code;
}

static int convert(struct job *job, const struct engine_tensor *t, double error[SUMS])
{
    const struct kernel_format *format = kernel_format(job->to);
    const int rows = (int)rows_of(t);
    job->row_bytes = (size_t)(t->size[0] / format->block) * (size_t)format->bytes;
    int most = (int)(SLAB_BYTES / job->row_bytes), code = OK;
    most = most < 1 ? 1 : most < rows ? most : rows;
    job->slab = input_alloc((size_t)most, job->row_bytes);
    job->sums = input_alloc((size_t)most, SUMS * sizeof *job->sums);
    if (!job->slab || !job->sums)
        code = error_set(job->e, ERROR_ENGINE, "%s: not enough memory for rows of %zu bytes", job->options->in,
                         job->row_bytes);
    for (job->first = 0; job->first < rows && !code; job->first += job->rows) {
        job->rows = rows - job->first < most ? rows - job->first : most;
        kernel_pool_run(job->pool, (job->rows + ROWS_A_TASK - 1) / ROWS_A_TASK, quantize_rows, job);
        for (int r = 0; r < job->rows * SUMS; r++)
            error[r % SUMS] += job->sums[r];
        if (!isfinite(error[0]))
            code = error_set(job->e, ERROR_INPUT, "%s: tensor %.*s: a weight is no number, or one that %s cannot hold",
                             job->options->in, (int)(t->name.length < 64 ? t->name.length : 64), t->name.bytes,
                             format->name);
        else
            code = write_slab(job, job->slab, (size_t)job->rows * job->row_bytes);
    }
    free(job->slab);
    free(job->sums);
    return code;
}

static int copy(struct job *job, const struct engine_tensor *t)
{
    int code = OK;
    for (size_t at = 0, n; at < t->bytes && !code; at += n) {
        n = t->bytes - at < SLAB_BYTES ? t->bytes - at : SLAB_BYTES;
        code = write_slab(job, (const unsigned char *)t->data + at, n);
    }
    return code;
}

/* A llama's q and k from a folder. */
static int is_turned(const struct job *job, const struct engine_tensor *t)
{
    int layer, end = 0;
    char name[64], what;
    snprintf(name, sizeof name, "%.*s", (int)(t->name.length < 63 ? t->name.length : 63), t->name.bytes);
    return engine_model_turned(&job->shape) && sscanf(name, "blk.%d.attn_%c.weight%n", &layer, &what, &end) == 2 && end && !name[end] &&
           (what == 'q' || what == 'k');
}

/* All tensors in their order, and what is to be said of them. */
static int write_tensors(struct job *job)
{
    double all[KERNEL_TYPES][SUMS] = {{0}}, merged[KERNEL_TYPES][SUMS] = {{0}};
    int code = OK;
    for (int i = 0; i < job->count && !code; i++) {
        const struct engine_tensor *t = &job->tensors[i];
        const enum kernel_type to = job->to = job->plan[i].type;
        double sums[SUMS] = {0};
        if ((code = engine_merged_make(&job->from, job->merge, t, job->pool, job->e)))
            return code;
        job->turned = is_turned(job, t);
        const int converted = to != t->type || job->from.changed || job->turned, has_adapter = job->from.layer >= 0;
        code = converted ? convert(job, t, sums) : copy(job, t);
        engine_merged_free(&job->from);
        for (int j = 0; j < SUMS; j++) {
            all[to][j] += sums[j];
            merged[to][j] += has_adapter ? sums[j] : 0;
        }
        const struct kernel_format *format = kernel_format(to);
        int64_t weights = t->size[0] * rows_of(t);
        job->said->weights += weights;
        job->said->types[to].tensors++;
        job->said->types[to].converted += converted;
        job->said->types[to].merged += has_adapter;
        job->said->types[to].weights += weights;
        job->said->types[to].bytes += weights / format->block * format->bytes;
    }
    for (int t = 0; t < KERNEL_TYPES; t++) {
        job->said->types[t].error = all[t][1] > 0 ? all[t][0] / all[t][1] : 0;
        job->said->types[t].change = merged[t][3] > 0 ? merged[t][2] / merged[t][3] : 0;
        job->said->types[t].merged_error = merged[t][1] > 0 ? merged[t][0] / merged[t][1] : 0;
    }
    return code;
}

/* --- the whole file ---------------------------------------------------------------------------------------------- */

static int read_shape(struct job *job)
{
    struct error ignored;
    if (!engine_model_shape(&job->shape, job->file, 0, &ignored))
        return OK;
    job->shape = (struct engine_model){0}; /* of an architecture that only llama.cpp knows: no folder is */
    return engine_file_is_folder(job->file) ? error_set(job->e, ERROR_INPUT, "%s", ignored.message) : OK;
}

static int refuse_parts(const struct job *job)
{
    int64_t parts;
    if (engine_file_integer(job->file, "split.count", &parts) && parts > 1)
        return error_set(job->e, ERROR_INPUT,
                         "%s: is one of %lld parts of a model; merge them first (llama-gguf-split --merge)",
                         job->options->in, (long long)parts);
    return OK;
}

/* Where the model has a name. */
static void note_stranger(struct job *job)
{
    struct engine_text text;
    if (!engine_file_text(job->file, "general.name", &text) || !text.length)
        return;
    char *name = xstrndup(text.bytes, text.length);
    const char *other = engine_merge_stranger(job->merge, name);
    snprintf(job->said->base, sizeof job->said->base, "%s", other ? other : "");
    free(name);
}

static int run(struct job *job, const struct target *target)
{
    int code = refuse_parts(job);
    if (!code)
        code = read_shape(job);
    if (!code && (job->options->adapter_count || job->options->quant))
        code = engine_merge_open(&job->merge, job->file, job->options->adapters, job->options->adapter_count, job->options->quant, job->e);
    job->said->quant = !code && job->merge ? engine_merge_quant(job->merge) : "";
    if (!code && job->merge)
        note_stranger(job);
    if (!code)
        code = list_tensors(job);
    if (!code)
        code = plan_tensors(job, target);
    struct engine_new_keys keys = {0};
    engine_keys_u32(&keys, "general.file_type", target->file_type);
    engine_keys_u32(&keys, "general.quantization_version", QUANTIZATION_VERSION);
    engine_keys_drop(&keys, "espalier.rope.neox"); /* rows are in GGUF's order then */
    engine_keys_drop(&keys, "espalier.left_out");
    if (!code)
        code = engine_writer_create(&job->writer, job->options->out, job->file, &keys, job->plan, job->count, job->e);
    engine_keys_free(&keys);
    if (!code)
        code = write_tensors(job);
    if (!code)
        code = engine_writer_finish(job->writer, job->e);
    if (!code)
        job->said->bytes_out = engine_writer_bytes(job->writer);
    return code;
}

int engine_quantize(const struct engine_quantize_options *options, struct engine_quantized *out, struct error *e)
{
    const struct target *target = find_target(options->type);
    *out = (struct engine_quantized){0};
    struct job job = {.options = options, .said = out, .e = e};
    if (!target)
        return error_set(e, ERROR_USAGE, "--type %s: expected f16, q8_0, q4_0 or iq4_nl", options->type);
    int code = engine_file_open(&job.file, options->in, e);
    if (code)
        return code;
    out->bytes_in = engine_file_bytes(job.file);
    job.pool = kernel_pool_create(options->threads > 0 ? options->threads : kernel_pool_processors());
    code = run(&job, target);
    kernel_pool_free(job.pool);
    engine_merge_close(job.merge);
    engine_writer_free(job.writer);
    engine_file_close(job.file);
    free(job.tensors);
    free(job.plan);
    return code;
}
