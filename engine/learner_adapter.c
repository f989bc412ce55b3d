/* What a learner of an adapter has learned, as the files adapters come in. */
#include "engine/adapter.h"
#include "engine/learner.h"

#include <string.h>

/* Parameters are A and B of each matrix in order of layers and targets, as learner.c adds them. */
static int gather(const struct engine_learner *l, struct engine_adapter *adapter, struct error *e)
{
    const struct parameter *p = l->parameters;
    for (int i = 0; i < l->model->layers_count; i++)
        for (int t = 0; t < ENGINE_TARGETS; t++) {
            const struct kernel_low_rank *plus = &l->layers[i].linears[t].plus;
            struct engine_adapter_part *part = engine_adapter_part(adapter, i, t);
            if (!plus->rank)
                continue;
            if (!engine_adapter_make_part(part, plus->rank, plus->scale, p[1].rows, p[0].cols))
                return error_set(e, ERROR_ENGINE, "not enough memory for a copy of the adapter; end other programs");
            memcpy(part->a, p[0].w, (size_t)p[0].rows * (size_t)p[0].cols * sizeof *part->a);
            memcpy(part->b, p[1].w, (size_t)p[1].rows * (size_t)p[1].cols * sizeof *part->b);
            p += 2;
        }
    return OK;
}

int engine_learner_export_adapter(const struct engine_learner *l, const char *gguf, const char *folder, struct error *e)
{
    struct engine_adapter *adapter = engine_adapter_new(l->model->layers_count);
    adapter->base = xstrdup(engine_info(l->vocabulary)->name);
    adapter->quant = l->options.quant ? xstrdup(l->options.quant) : NULL;
    adapter->rslora = l->options.rslora;
    int code = gather(l, adapter, e);
    if (!code && gguf)
        code = engine_adapter_write_gguf(adapter, gguf, l->model, e);
    if (!code && folder)
        code = engine_adapter_write_peft(adapter, folder, l->model, e);
    engine_adapter_free(adapter);
    return code;
}
