#include "engine/adapter.h"
#include "engine/engine.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct engine_adapter *engine_adapter_new(int layers)
{
    struct engine_adapter *adapter = xcalloc(1, sizeof *adapter);
    adapter->layers = layers;
    adapter->parts = xcalloc((size_t)layers * ENGINE_MATRICES, sizeof *adapter->parts);
    adapter->norms = xcalloc((size_t)layers * ENGINE_NORMS + 1, sizeof *adapter->norms);
    return adapter;
}

void engine_adapter_free(struct engine_adapter *adapter)
{
    if (!adapter)
        return;
    for (int i = 0; i < adapter->layers * ENGINE_MATRICES; i++) {
        free(adapter->parts[i].a);
        free(adapter->parts[i].b);
    }
    for (int i = 0; i < adapter->layers * ENGINE_NORMS + 1; i++)
        free(adapter->norms[i]);
    free(adapter->parts);
    free(adapter->norms);
    free(adapter->embedding);
    free(adapter->head);
    free(adapter->base);
    free(adapter->quant);
    free(adapter);
}

/* The name's last part in small letters and digits, without an ending that says how its weights are kept. */
static void bare_name(const char *name, char out[128])
{
    static const char *const types[] = {"f16", "f32", "bf16", "q", "iq", "nf4", "gguf"};
    size_t n = 0, last = 0;
    for (const char *p = name; *p; p++)
        if (*p == '/' && p[1])
            name = p + 1;
    for (const char *p = name; *p && n < 127; p++) {
        const int letter = isalnum((unsigned char)*p) || (unsigned char)*p >= 0x80;
        for (size_t i = 0; letter && p > name && strchr("-._ :", p[-1]) && i < sizeof types / sizeof *types; i++) {
            const size_t length = strlen(types[i]);
            if (!strncasecmp(p, types[i], length) && (length > 2 ? !isalnum((unsigned char)p[length]) : isdigit((unsigned char)p[length])))
                last = last ? last : n;
        }
        if (letter)
            out[n++] = (char)tolower((unsigned char)*p);
    }
    out[last ? last : n] = '\0';
}

int engine_same_name(const char *a, const char *b)
{
    char bare[2][128];
    bare_name(a, bare[0]);
    bare_name(b, bare[1]);
    return !strcmp(bare[0], bare[1]);
}

static float *zeros(size_t count)
{
    float *x = input_alloc(count, sizeof *x);
    if (x)
        memset(x, 0, count * sizeof *x);
    return x;
}

int engine_adapter_make_part(struct engine_adapter_part *part, int rank, float scale, int rows, int cols)
{
    *part = (struct engine_adapter_part){.rank = rank, .scale = scale};
    part->a = zeros((size_t)rank * (size_t)cols);
    part->b = zeros((size_t)rank * (size_t)rows);
    return part->a && part->b;
}

int64_t engine_adapter_parameters(const struct engine_adapter *adapter, const struct engine_model *m)
{
    int64_t count = (int64_t)m->vocabulary * m->width * (!!adapter->embedding + !!adapter->head);
    for (int i = 0; i < adapter->layers * ENGINE_MATRICES; i++) {
        const struct kernel_matrix *matrix = engine_model_matrix(m, i / ENGINE_MATRICES, i % ENGINE_MATRICES);
        count += (int64_t)adapter->parts[i].rank * (matrix->rows + matrix->cols);
    }
    for (int i = 0; i < adapter->layers * ENGINE_NORMS; i++)
        count += adapter->norms[i] ? engine_model_norm_size(m, i % ENGINE_NORMS) : 0;
    count += adapter->norms[adapter->layers * ENGINE_NORMS] ? m->width : 0;
    return count;
}

void engine_adapter_turn(const struct engine_model *m, int matrix, int from, int to, const float *x, int rows, int cols, float *out)
{
    const int turned = from != to && matrix < 2; /* q and k */
    const int head = m->head_dim, half = head / 2;
    for (int r = 0; r < rows; r++) {
        const int in_head = r % head, other = r - in_head + (turned ? in_head % half * 2 + in_head / half : in_head);
        memcpy(out + (size_t)(to ? r : other) * (size_t)cols, x + (size_t)(to ? other : r) * (size_t)cols, (size_t)cols * sizeof *x);
    }
}

int engine_adapter_check(const struct engine_adapter *adapter, const char *path, struct error *e)
{
    int any = adapter->embedding || adapter->head;
    for (int i = 0; i < adapter->layers * ENGINE_MATRICES; i++) {
        const struct engine_adapter_part *part = &adapter->parts[i];
        if (!part->a != !part->b)
            return error_set(e, ERROR_INPUT, "%.300s: layer %d, %s: there is lora_%s but no lora_%s; the file is damaged: get it anew", path,
                             i / ENGINE_MATRICES, engine_model_matrix_name(i % ENGINE_MATRICES), part->a ? "a" : "b", part->a ? "b" : "a");
        any = any || part->a;
    }
    for (int i = 0; i < adapter->layers * ENGINE_NORMS + 1; i++)
        any = any || adapter->norms[i];
    return any ? OK : error_set(e, ERROR_INPUT, "%.300s: an adapter without any weights; get it anew", path);
}

int engine_adapter_read(struct engine_adapter **out, const char *path, const struct engine_model *m, struct error *e)
{
    struct stat status;
    *out = NULL;
    if (stat(path, &status))
        return error_set(e, ERROR_INPUT, "%.300s: cannot open: %s; name an adapter's GGUF file, or the folder that PEFT saved", path,
                         strerror(errno));
    if (S_ISDIR(status.st_mode))
        return engine_adapter_read_peft(out, path, m, e);
    const char *dot = strrchr(path, '.');
    if (dot && (!strcmp(dot, ".safetensors") || !strcmp(dot, ".json")))
        return error_set(e, ERROR_INPUT, "%.300s: is a part of a PEFT adapter; name the folder it lies in", path);
    return engine_adapter_read_gguf(out, path, m, e);
}
