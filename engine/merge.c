#include "engine/merge.h"

#include <stdlib.h>
#include <string.h>

struct engine_merge {
    struct engine_model model; /* its shape alone */
    enum engine_quant quant;
    struct engine_adapter **adapters;
    float *weights;
    int count;
};

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* What is replaced whole can be replaced once, and not by half. */
static int check_whole(const struct engine_merge *m, const struct engine_merge_use *uses, struct error *e)
{
    int embedding = 0, head = 0, norms = 0;
    for (int i = 0; i < m->count; i++) {
        const struct engine_adapter *a = m->adapters[i];
        int own = 0;
        for (int j = 0; j < a->layers * ENGINE_NORMS + 1; j++)
            own |= a->norms[j] != NULL;
        if ((embedding && a->embedding) || (head && a->head) || (norms && own))
            return error_set(e, ERROR_INPUT, "%.300s: replaces what an adapter before it replaces; merge one of them", uses[i].path);
        embedding |= a->embedding != NULL, head |= a->head != NULL, norms |= own;
        if ((a->embedding || a->head || own) && uses[i].weight != 1)
            return error_set(e, ERROR_INPUT, "%.300s:%g: replaces weights whole, which has no half; give it the weight 1", uses[i].path,
                             (double)uses[i].weight);
    }
    return OK;
}

/* What the adapters say that they were trained on, where nobody says it. */
static int choose_quant(struct engine_merge *m, const struct engine_merge_use *uses, const char *quant, struct error *e)
{
    m->quant = engine_quant_of(quant ? quant : m->count ? m->adapters[0]->quant : NULL);
    for (int i = 1; i < m->count && !quant; i++)
        if (engine_quant_of(m->adapters[i]->quant) != m->quant)
            return error_set(e, ERROR_INPUT, "%.300s: was not trained on the same weights as %.300s, as is, nf4 or nf4+head; say which to take with --quant",
                             uses[i].path, uses[0].path);
    return OK;
}

int engine_merge_open(struct engine_merge **out, const struct engine_file *file, const struct engine_merge_use *uses, int count, const char *quant,
                      struct error *e)
{
    const struct engine_tensor *embedding = engine_file_tensor(file, "token_embd.weight");
    struct engine_model *described;
    int code;
    *out = NULL;
    if (quant && !engine_quant_of(quant) && strcmp(quant, "none"))
        return error_set(e, ERROR_USAGE, "--quant %s: expected nf4, nf4+head or none, what the adapter was trained on", quant);
    const struct kernel_set *set;
    if ((code = kernel_set_find("reference", &set, e)) ||
        (code = engine_model_describe(&described, file, embedding ? (int)embedding->size[1] : 0, 0, ENGINE_QUANT_NONE, set, e)))
        return code;
    struct engine_merge *m = xcalloc(1, sizeof *m);
    m->adapters = xcalloc((size_t)count + 1, sizeof *m->adapters);
    m->weights = xcalloc((size_t)count + 1, sizeof *m->weights);
    for (int i = 0; i < count && !code; i++) {
        m->weights[i] = uses[i].weight;
        if (!(code = engine_adapter_read(&m->adapters[i], uses[i].path, described, e)))
            m->count++;
    }
    m->model = *described;
    engine_model_close(described);
    if (!code)
        code = choose_quant(m, uses, quant, e);
    if (!code)
        code = check_whole(m, uses, e);
    if (code) {
        engine_merge_close(m);
        return code;
    }
    *out = m;
    return OK;
}

void engine_merge_close(struct engine_merge *m)
{
    if (!m)
        return;
    for (int i = 0; i < m->count; i++)
        engine_adapter_free(m->adapters[i]);
    free(m->adapters);
    free(m->weights);
    free(m);
}

const char *engine_merge_quant(const struct engine_merge *m)
{
    return engine_quants[m->quant];
}

const char *engine_merge_stranger(const struct engine_merge *m, const char *name)
{
    for (int i = 0; i < m->count; i++)
        if (m->adapters[i]->base && !engine_same_name(m->adapters[i]->base, name))
            return m->adapters[i]->base;
    return NULL;
}

int engine_merge_unties(const struct engine_merge *m)
{
    const size_t bytes = (size_t)m->model.vocabulary * (size_t)m->model.width * sizeof(float);
    const float *embedding = NULL, *head = NULL;
    for (int i = 0; i < m->count; i++) {
        embedding = m->adapters[i]->embedding ? m->adapters[i]->embedding : embedding;
        head = m->adapters[i]->head ? m->adapters[i]->head : head;
    }
    return m->model.tied && (embedding || head) && !(embedding && head && !memcmp(embedding, head, bytes));
}

/* --- one tensor -------------------------------------------------------------------------------------------------- */

/* The matrix of a layer, or the norm (from ENGINE_MATRICES on), that a tensor is; 0: neither. */
static int find_in_layers(const struct engine_merge *m, const struct engine_tensor *t, int *layer, int *target)
{
    char name[64];
    for (*layer = 0; *layer < m->model.layers_count; ++*layer)
        for (*target = 0; *target < ENGINE_MATRICES + ENGINE_NORMS; ++*target) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", *layer,
                     *target < ENGINE_MATRICES ? engine_model_matrix_name(*target) : engine_model_norm_name(*target - ENGINE_MATRICES));
            if (engine_tensor_is(t, name))
                return 1;
        }
    return 0;
}

/* The numbers that an adapter has in the tensor's place, or NULL. */
static const float *replaced(const struct engine_merge *m, const struct engine_tensor *t, int layer, int target)
{
    for (int i = 0; i < m->count; i++) {
        const struct engine_adapter *a = m->adapters[i];
        const float *x = engine_tensor_is(t, "token_embd.weight")    ? a->embedding
                         : engine_tensor_is(t, "output.weight")      ? a->head
                         : engine_tensor_is(t, "output_norm.weight") ? a->norms[a->layers * ENGINE_NORMS]
                         : layer >= 0 && target >= ENGINE_MATRICES ? a->norms[layer * ENGINE_NORMS + target - ENGINE_MATRICES]
                                                                   : NULL;
        if (x)
            return x;
    }
    return NULL;
}

static int has_part(const struct engine_merge *m, int layer, int target)
{
    for (int i = 0; i < m->count; i++)
        if (layer >= 0 && target < ENGINE_MATRICES && engine_adapter_part(m->adapters[i], layer, target)->rank && m->weights[i] != 0)
            return 1;
    return 0;
}

int engine_merged_make(struct engine_merged *out, const struct engine_merge *m, const struct engine_tensor *t, struct kernel_pool *pool, struct error *e)
{
    *out = (struct engine_merged){.merge = m, .layer = -1, .matrix = {.type = t->type, .rows = (int)(t->size[1] * t->size[2] * t->size[3]),
                                                                      .cols = (int)t->size[0], .data = t->nf4 ? NULL : t->data, .nf4 = t->nf4}};
    if (!m)
        return OK;
    int layer, target;
    if (!find_in_layers(m, t, &layer, &target))
        layer = -1;
    const float *instead = replaced(m, t, layer, target);
    if (instead)
        out->matrix.type = KERNEL_F32, out->matrix.data = instead, out->matrix.nf4 = NULL;
    else if (has_part(m, layer, target))
        out->layer = layer, out->target = target;
    out->changed = instead || out->layer >= 0;
    const int linear = layer >= 0 && target < ENGINE_MATRICES && m->quant >= ENGINE_QUANT_NF4;
    const int head = m->quant >= ENGINE_QUANT_NF4_HEAD && engine_tensor_is(t, "output.weight"); /* a tied one's embedding stays as it was */
    if (instead || !(linear || head) || t->nf4 || t->size[0] % kernel_format(KERNEL_NF4)->block)
        return OK;
    out->changed = 1;
    const int code = kernel_matrix_to_nf4(&out->matrix, pool, e);
    if (code == ERROR_INPUT)
        return error_set(e, code, "tensor %.*s: a weight is NaN or infinite: the file is damaged", (int)(t->name.length < 64 ? t->name.length : 64),
                         t->name.bytes);
    return code;
}

void engine_merged_free(struct engine_merged *merged)
{
    kernel_matrix_drop_nf4(&merged->matrix);
}

void engine_merged_row(const struct engine_merged *merged, int row, int col, int n, float *out, float *base)
{
    const struct engine_merge *m = merged->merge;
    kernel_matrix_dequantize(&merged->matrix, row, col, out, n);
    if (base)
        memcpy(base, out, (size_t)n * sizeof *out);
    for (int i = 0; merged->layer >= 0 && i < m->count; i++) {
        const struct engine_adapter_part *part = engine_adapter_part(m->adapters[i], merged->layer, merged->target);
        for (int r = 0; r < part->rank; r++) {
            const float by = m->weights[i] * part->scale * part->b[(size_t)row * (size_t)part->rank + (size_t)r];
            const float *a = part->a + (size_t)r * (size_t)merged->matrix.cols + col;
            for (int j = 0; j < n; j++)
                out[j] += by * a[j];
        }
    }
}
