/* Adapters as llama.cpp keeps them: general.type adapter, adapter.type lora, adapter.lora.alpha; blk.N.attn_q.weight.lora_a of ne
 * {in, rank} and .lora_b of ne {rank, out}. Of ours is espalier.quant: what of the base was NF4 as it was trained. */
#include "engine/adapter.h"
#include "engine/file_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const struct engine_file *file;
    const char *path;
    const struct engine_model *m;
    struct engine_adapter *adapter;
    float alpha;
    struct error *e;
};

/* --- reading ----------------------------------------------------------------------------------------------------- */

static int text_is(struct engine_text text, const char *expected)
{
    return text.length == strlen(expected) && !memcmp(text.bytes, expected, text.length);
}

static int expect_text(struct reader *r, const char *key, const char *expected, const char *advice)
{
    struct engine_text text = {"", 0};
    engine_file_text(r->file, key, &text);
    if (text_is(text, expected))
        return OK;
    return error_set(r->e, ERROR_INPUT, "%.300s: metadata %s: \"%.*s\"; expected \"%s\": %s", r->path, key,
                     (int)(text.length < 60 ? text.length : 60), text.bytes, expected, advice);
}

/* malloc'ed; NULL: it is not said. */
static char *read_text(const struct reader *r, const char *key)
{
    struct engine_text text;
    return engine_file_text(r->file, key, &text) && text.length ? xasprintf("%.*s", (int)(text.length < 200 ? text.length : 200), text.bytes) : NULL;
}

static int read_keys(struct reader *r)
{
    double alpha;
    int code;
    if ((code = expect_text(r, "general.type", "adapter", "name the file of an adapter")) ||
        (code = expect_text(r, "adapter.type", "lora", "no other kind of adapter is supported")) ||
        (code = expect_text(r, "general.architecture", r->m->architecture->name, "it is for another model")))
        return code;
    if (engine_file_integers(r->file, "adapter.alora.invocation_tokens") > 0)
        return error_set(r->e, ERROR_INPUT, "%.300s: metadata adapter.alora.invocation_tokens: adapters that wait for tokens (aLoRA) are not "
                         "supported", r->path);
    if (!engine_file_number(r->file, "adapter.lora.alpha", &alpha) || !isfinite((float)alpha))
        return error_set(r->e, ERROR_INPUT, "%.300s: metadata adapter.lora.alpha: missing, or no number that a float holds; expected one", r->path);
    r->alpha = (float)alpha;
    r->adapter->quant = read_text(r, "espalier.quant");
    r->adapter->base = read_text(r, "general.base_model.0.name");
    return OK;
}

static int read_numbers(struct reader *r, const struct engine_tensor *t, const char *name, float **out)
{
    const size_t count = (size_t)t->size[0] * (size_t)t->size[1];
    const struct kernel_format *format = kernel_format(t->type);
    if (!format->dequantize || t->size[0] % format->block)
        return error_set(r->e, ERROR_INPUT, "%.300s: tensor %s: type %s; expected one that is read here, with whole blocks a row", r->path, name, format->name);
    *out = input_alloc(count, sizeof **out);
    if (!*out)
        return error_set(r->e, ERROR_ENGINE, "%.300s: tensor %s: not enough memory", r->path, name);
    for (size_t row = 0; row < (size_t)t->size[1]; row++)
        format->dequantize((const char *)t->data + row * (t->bytes / (size_t)t->size[1]), *out + row * (size_t)t->size[0],
                                           (int)t->size[0]);
    for (size_t i = 0; i < count; i++)
        if (!isfinite((*out)[i]))
            return error_set(r->e, ERROR_INPUT, "%.300s: tensor %s: number %zu is NaN or infinite: the file is damaged, or its training failed",
                             r->path, name, i);
    return OK;
}

static int misshapen(struct reader *r, const struct engine_tensor *t, const char *name, const char *expected)
{
    return error_set(r->e, ERROR_INPUT, "%.300s: tensor %s: %lld x %lld; the model needs %s: it is for another model", r->path, name,
                     (long long)t->size[0], (long long)t->size[1], expected);
}

/* Where the model was not opened from GGUF. */
static int turn(struct reader *r, int matrix, struct engine_adapter_part *part, const struct kernel_matrix *w)
{
    const size_t count = (size_t)w->rows * (size_t)part->rank;
    if (r->m->neox == r->m->architecture->neox)
        return OK;
    float *b = input_alloc(count, sizeof *b);
    if (!b)
        return error_set(r->e, ERROR_ENGINE, "%.300s: not enough memory", r->path);
    engine_adapter_turn(r->m, matrix, r->m->architecture->neox, r->m->neox, part->b, w->rows, part->rank, b);
    free(part->b);
    part->b = b;
    return OK;
}

static int read_part(struct reader *r, const struct engine_tensor *t, const char *name, int layer, int matrix, int is_b)
{
    const struct kernel_matrix *w = engine_model_matrix(r->m, layer, matrix);
    struct engine_adapter_part *part = engine_adapter_part(r->adapter, layer, matrix);
    const int64_t rank = t->size[!is_b], width = t->size[is_b];
    char expected[80];
    if (t->dimensions > 2 || width != (is_b ? w->rows : w->cols)) {
        snprintf(expected, sizeof expected, is_b ? "rank x %d" : "%d x rank", is_b ? w->rows : w->cols);
        return misshapen(r, t, name, expected);
    }
    if (rank < 1 || rank > ENGINE_RANK_MOST || (part->rank && part->rank != rank))
        return error_set(r->e, ERROR_INPUT, "%.300s: tensor %s: rank %lld; expected 1 to %d, and the same in lora_a and lora_b", r->path, name,
                         (long long)rank, ENGINE_RANK_MOST);
    part->rank = (int)rank;
    part->scale = r->alpha != 0 ? r->alpha / (float)rank : 1; /* as llama.cpp takes 0 */
    const int code = read_numbers(r, t, name, is_b ? &part->b : &part->a);
    return code || !is_b ? code : turn(r, matrix, part, w);
}

/* "blk.3.attn_norm.weight", "output_norm.weight": its place among the norms; -1. */
static int norm_of(const struct engine_model *m, const char *name)
{
    char known[64];
    for (int i = 0; i < m->layers_count * ENGINE_NORMS; i++) {
        if (!engine_model_norm_size(m, i % ENGINE_NORMS))
            continue;
        snprintf(known, sizeof known, "blk.%d.%s.weight", i / ENGINE_NORMS, engine_model_norm_name(i % ENGINE_NORMS));
        if (!strcmp(known, name))
            return i;
    }
    return strcmp(name, "output_norm.weight") ? -1 : m->layers_count * ENGINE_NORMS;
}

static int read_tensor(struct reader *r, const struct engine_tensor *t)
{
    char name[128], what[64], part;
    int layer, end = 0, norm;
    snprintf(name, sizeof name, "%.*s", (int)(t->name.length < 127 ? t->name.length : 127), t->name.bytes);
    if (sscanf(name, "blk.%d.%31[a-z_].weight.lora_%c%n", &layer, what, &part, &end) == 3 && end && !name[end] && (part == 'a' || part == 'b')) {
        if (layer < 0 || layer >= r->m->layers_count)
            return error_set(r->e, ERROR_INPUT, "%.300s: tensor %s: layer %d; the model has %d: it is for another model", r->path, name, layer,
                             r->m->layers_count);
        for (int i = 0; i < ENGINE_MATRICES; i++)
            if (!strcmp(what, engine_model_matrix_name(i)))
                return read_part(r, t, name, layer, i, part == 'b');
    } else if ((norm = norm_of(r->m, name)) >= 0) {
        const int size = norm < r->m->layers_count * ENGINE_NORMS ? engine_model_norm_size(r->m, norm % ENGINE_NORMS) : r->m->width;
        char expected[16];
        snprintf(expected, sizeof expected, "%d", size);
        if (t->dimensions != 1 || t->size[0] != size)
            return misshapen(r, t, name, expected);
        return read_numbers(r, t, name, &r->adapter->norms[norm]);
    }
    return error_set(r->e, ERROR_INPUT, "%.300s: tensor %s: not one that an adapter can have here; expected blk.N.NAME.weight.lora_a or .lora_b "
                     "of attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down", r->path, name);
}

int engine_adapter_read_gguf(struct engine_adapter **out, const char *path, const struct engine_model *m, struct error *e)
{
    struct engine_file *file;
    *out = NULL;
    int code = engine_file_open(&file, path, e);
    if (code)
        return code;
    struct reader r = {.file = file, .path = path, .m = m, .adapter = engine_adapter_new(m->layers_count), .e = e};
    code = read_keys(&r);
    for (int i = 0; i < engine_file_tensor_count(file) && !code; i++)
        code = read_tensor(&r, engine_file_tensor_at(file, i));
    if (!code)
        code = engine_adapter_check(r.adapter, path, e);
    if (!code)
        r.adapter->sum = engine_file_sum(file);
    engine_file_close(file);
    if (code)
        engine_adapter_free(r.adapter);
    else
        *out = r.adapter;
    return code;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void plan(const struct engine_adapter *adapter, const struct engine_model *m, struct engine_new_tensors *tensors)
{
    for (int i = 0; i < adapter->layers * ENGINE_MATRICES; i++) {
        const int rank = adapter->parts[i].rank;
        const struct kernel_matrix *w = engine_model_matrix(m, i / ENGINE_MATRICES, i % ENGINE_MATRICES);
        for (int is_b = 0; is_b < 2 && rank; is_b++) {
            char name[96];
            snprintf(name, sizeof name, "blk.%d.%s.weight.lora_%c", i / ENGINE_MATRICES, engine_model_matrix_name(i % ENGINE_MATRICES), "ab"[is_b]);
            engine_tensors_add(tensors, name, is_b ? w->rows : rank, is_b ? rank : w->cols);
        }
    }
}

static int add_numbers(struct engine_writer *w, const float *x, size_t count, float factor, struct error *e)
{
    int code = OK;
    for (size_t i = 0; i < count && !code; i++)
        code = engine_writer_add(w, &(float){factor == 1 ? x[i] : x[i] * factor}, sizeof *x, e);
    return code;
}

static int write_parts(struct engine_writer *w, const struct engine_adapter *adapter, const struct engine_model *m, float alpha, struct error *e)
{
    int code = OK;
    for (int i = 0; i < adapter->layers * ENGINE_MATRICES && !code; i++) {
        const struct engine_adapter_part *part = &adapter->parts[i];
        const struct kernel_matrix *matrix = engine_model_matrix(m, i / ENGINE_MATRICES, i % ENGINE_MATRICES);
        if (!part->rank)
            continue;
        const float own = part->scale * (float)part->rank;
        code = add_numbers(w, part->a, (size_t)part->rank * (size_t)matrix->cols, 1, e);
        /* A scale of 0 adds nothing, whatever B is; read back, alpha 0 would mean 1. */
        const size_t count = (size_t)part->rank * (size_t)matrix->rows;
        float *b = code ? NULL : xmalloc(count * sizeof *b);
        if (b) {
            engine_adapter_turn(m, i % ENGINE_MATRICES, m->neox, m->architecture->neox, part->b, matrix->rows, part->rank, b);
            code = add_numbers(w, b, count, own == alpha && alpha != 0 ? 1 : alpha != 0 ? own / alpha : part->scale, e);
        }
        free(b);
    }
    return code;
}

static int refuse(const struct engine_adapter *adapter, const char *path, struct error *e)
{
    const char *what = adapter->embedding ? "an embedding" : adapter->head ? "a head" : NULL;
    for (int i = 0; i < adapter->layers * ENGINE_NORMS + 1 && !what; i++)
        what = adapter->norms[i] ? "a norm" : NULL;
    return what ? error_set(e, ERROR_INPUT, "%.300s: the adapter replaces %s, which an adapter in GGUF cannot say; write a PEFT folder", path, what)
                : OK;
}

int engine_adapter_write_gguf(const struct engine_adapter *adapter, const char *path, const struct engine_model *m, struct error *e)
{
    struct engine_new_keys keys = {0};
    struct engine_new_tensors tensors = {0};
    struct engine_writer *w = NULL;
    int code = refuse(adapter, path, e), first = 0;
    if (code)
        return code;
    while (first < adapter->layers * ENGINE_MATRICES - 1 && !adapter->parts[first].rank)
        first++;
    const float alpha = adapter->parts[first].scale * (float)adapter->parts[first].rank;
    engine_keys_text(&keys, "general.type", "adapter");
    engine_keys_text(&keys, "general.architecture", m->architecture->name);
    engine_keys_text(&keys, "adapter.type", "lora");
    engine_keys_f32(&keys, "adapter.lora.alpha", alpha);
    if (adapter->base) { /* as llama.cpp's converter says it */
        engine_keys_u32(&keys, "general.base_model.count", 1);
        engine_keys_text(&keys, "general.base_model.0.name", adapter->base);
    }
    if (adapter->quant)
        engine_keys_text(&keys, "espalier.quant", adapter->quant);
    plan(adapter, m, &tensors);
    if (!(code = engine_writer_create(&w, path, NULL, &keys, engine_tensors_list(&tensors), tensors.count, e)) &&
        !(code = write_parts(w, adapter, m, alpha, e)))
        code = engine_writer_finish(w, e);
    engine_writer_free(w);
    engine_keys_free(&keys);
    engine_tensors_free(&tensors);
    return code;
}
