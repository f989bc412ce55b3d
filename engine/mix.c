#include "engine/mix.h"
#include "engine/kv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct engine_mixes {
    const struct engine_model *m;
    struct engine_lora **adapters;
    int adapter_count, adapter_capacity;
    struct engine_mix **mixes; /* mix i + 1 */
    int mix_count, mix_capacity;
};

struct engine_mixes *engine_mixes_create(const struct engine_model *m)
{
    struct engine_mixes *mixes = xcalloc(1, sizeof *mixes);
    mixes->m = m;
    return mixes;
}

static void free_lora(struct engine_lora *lora)
{
    if (!lora)
        return;
    free(lora->memory);
    free(lora->parts);
    engine_adapter_free(lora->whole);
    free(lora->path);
    free(lora);
}

static void free_mix(struct engine_mix *mix)
{
    free(mix->uses);
    free(mix->norms);
    free(mix);
}

void engine_mixes_free(struct engine_mixes *mixes)
{
    if (!mixes)
        return;
    for (int i = 0; i < mixes->adapter_count; i++)
        free_lora(mixes->adapters[i]);
    for (int i = 0; i < mixes->mix_count; i++)
        free_mix(mixes->mixes[i]);
    free(mixes->adapters);
    free(mixes->mixes);
    free(mixes);
}

/* --- adapters ---------------------------------------------------------------------------------------------------- */

/* Numbers of a part as it is laid out, A and B. */
static size_t laid_out(int rank, int cols)
{
    return (size_t)rank * (((size_t)cols + KERNEL_STRIP - 1) / KERNEL_STRIP * KERNEL_STRIP);
}

/* One piece of memory, in large pages, that a pass goes through from its beginning to its end. */
static int lay_out(struct engine_lora *lora, const struct engine_adapter *adapter, const struct engine_model *m)
{
    size_t all = 0;
    for (int round = 0; round < 2; round++) {
        float *at = lora->memory;
        for (int i = 0; i < m->layers_count * ENGINE_MATRICES; i++) {
            const struct engine_adapter_part *from = &adapter->parts[i];
            const struct kernel_matrix *w = engine_model_matrix(m, i / ENGINE_MATRICES, i % ENGINE_MATRICES);
            const size_t down = from->rank ? laid_out(w->cols, from->rank) : 0, up = laid_out(from->rank, w->rows);
            all += round ? 0 : down + up;
            if (!round || !from->rank)
                continue;
            lora->parts[i] = (struct engine_lora_part){.rank = from->rank, .scale = from->scale, .down = at, .up = at + down};
            kernel_strips_of_columns(from->a, 1, (size_t)w->cols, w->cols, from->rank, at);
            kernel_strips_of_columns(from->b, 1, (size_t)from->rank, from->rank, w->rows, at + down);
            at += down + up;
        }
        if (!round && all && !(lora->memory = large_alloc(all * sizeof *lora->memory)))
            return ERROR_ENGINE;
    }
    lora->about.bytes = all * sizeof *lora->memory;
    return OK;
}

static void describe(struct engine_lora *lora, const struct engine_adapter *adapter, const struct engine_model *m)
{
    struct engine_adapter_about *about = &lora->about;
    about->path = lora->path;
    about->sum = lora->sum;
    about->base = adapter->base;
    about->quant = adapter->quant;
    about->replaces_embedding = adapter->embedding != NULL;
    about->replaces_head = adapter->head != NULL;
    about->parameters = engine_adapter_parameters(adapter, m);
    for (int i = 0; i < m->layers_count * ENGINE_MATRICES; i++) {
        const struct engine_lora_part *part = &lora->parts[i];
        if (!part->rank)
            continue;
        about->matrices++;
        about->rank_least = about->rank_least && about->rank_least < part->rank ? about->rank_least : part->rank;
        about->rank_most = about->rank_most > part->rank ? about->rank_most : part->rank;
    }
    about->bytes += (size_t)m->vocabulary * (size_t)m->width * sizeof(float) * (size_t)(about->replaces_embedding + about->replaces_head);
    for (int i = 0; i < m->layers_count * ENGINE_NORMS + 1; i++)
        about->replaces_norms += adapter->norms[i] != NULL;
}

/* What is laid out anew is not kept twice. */
static struct engine_lora *make_lora(struct engine_adapter *adapter, const char *path, const struct engine_model *m)
{
    struct engine_lora *lora = xcalloc(1, sizeof *lora);
    lora->path = xstrdup(path);
    lora->sum = adapter->sum;
    lora->parts = xcalloc((size_t)m->layers_count * ENGINE_MATRICES, sizeof *lora->parts);
    lora->whole = adapter;
    if (lay_out(lora, adapter, m)) {
        free_lora(lora);
        return NULL;
    }
    describe(lora, adapter, m);
    for (int i = 0; i < m->layers_count * ENGINE_MATRICES; i++) {
        free(adapter->parts[i].a);
        free(adapter->parts[i].b);
        adapter->parts[i] = (struct engine_adapter_part){0};
    }
    lora->head = (struct kernel_matrix){.type = KERNEL_F32, .rows = m->vocabulary, .cols = m->width, .data = adapter->head};
    return lora;
}

int engine_mixes_open(struct engine_mixes *mixes, const char *path, int *id, struct error *e)
{
    struct engine_adapter *adapter;
    int code = engine_adapter_read(&adapter, path, mixes->m, e);
    if (code)
        return code;
    for (int i = 0; i < mixes->adapter_count; i++)
        if (mixes->adapters[i]->sum == adapter->sum && !strcmp(mixes->adapters[i]->path, path)) {
            engine_adapter_free(adapter);
            *id = i;
            return OK;
        }
    struct engine_lora *lora = make_lora(adapter, path, mixes->m);
    if (!lora)
        return error_set(e, ERROR_ENGINE, "%.300s: not enough memory for the adapter", path);
    ARRAY_RESERVE(mixes->adapters, mixes->adapter_count, mixes->adapter_capacity);
    *id = mixes->adapter_count;
    mixes->adapters[mixes->adapter_count++] = lora;
    return OK;
}

int engine_mixes_adapters(const struct engine_mixes *mixes)
{
    return mixes->adapter_count;
}

int engine_mixes_count(const struct engine_mixes *mixes)
{
    return mixes->mix_count + 1;
}

const struct engine_lora *engine_mixes_adapter(const struct engine_mixes *mixes, int id)
{
    return mixes->adapters[id];
}

const struct engine_mix *engine_mixes_at(const struct engine_mixes *mixes, int mix)
{
    return mix ? mixes->mixes[mix - 1] : NULL;
}

/* --- mixes ------------------------------------------------------------------------------------------------------- */

/* The list without what weighs nothing; an adapter that stands there twice has the sum. Returns how many are left, -1: *e says why. */
static int simplify(const struct engine_mixes *mixes, const struct engine_adapter_use *uses, int n, struct engine_mix_use *out, struct error *e)
{
    int count = 0, kept = 0;
    for (int i = 0; i < n; i++) {
        int at = 0;
        if (uses[i].adapter < 0 || uses[i].adapter >= mixes->adapter_count) {
            error_set(e, ERROR_USAGE, "adapter %d: there are %d", uses[i].adapter, mixes->adapter_count);
            return -1;
        }
        if (!isfinite(uses[i].weight) || fabsf(uses[i].weight) > 1e6f) {
            error_set(e, ERROR_USAGE, "%.300s: weight %g; expected a number from -1000000 to 1000000", mixes->adapters[uses[i].adapter]->path,
                      (double)uses[i].weight);
            return -1;
        }
        while (at < count && out[at].adapter != uses[i].adapter)
            at++;
        if (at == count)
            out[count++] = (struct engine_mix_use){mixes->adapters[uses[i].adapter], uses[i].adapter, 0};
        out[at].weight += uses[i].weight;
    }
    for (int i = 0; i < count; i++)
        if (out[i].weight != 0)
            out[kept++] = out[i];
    return kept;
}

static int same(const struct engine_mix *mix, const struct engine_mix_use *uses, int n)
{
    for (int i = 0; i < n; i++)
        if (mix->count != n || mix->uses[i].adapter != uses[i].adapter || mix->uses[i].weight != uses[i].weight)
            return 0;
    return mix->count == n;
}

static int replace(const struct engine_mix_use *use, const char *what, const void *taken, struct error *e)
{
    if (taken)
        return error_set(e, ERROR_INPUT, "%.300s: replaces %s, and so does an adapter before it; use only one of them", use->lora->path, what);
    if (use->weight != 1)
        return error_set(e, ERROR_INPUT, "%.300s: replaces %s whole, so its weight can only be 1, not %g", use->lora->path, what,
                         (double)use->weight);
    return OK;
}

static int take_whole(struct engine_mix *mix, const struct engine_mix_use *use, const struct engine_model *m, struct error *e)
{
    const struct engine_adapter *whole = use->lora->whole;
    const int norms = m->layers_count * ENGINE_NORMS + 1;
    int code = OK;
    if (whole->embedding && !(code = replace(use, "the embedding", mix->embedding, e)))
        mix->embedding = whole->embedding;
    if (!code && whole->head && !(code = replace(use, "the head", mix->head, e)))
        mix->head = &use->lora->head;
    for (int i = 0; i < norms && !code; i++) {
        if (!whole->norms[i])
            continue;
        mix->norms = mix->norms ? mix->norms : xcalloc((size_t)norms, sizeof *mix->norms);
        if (!(code = replace(use, "a norm", mix->norms[i], e)))
            mix->norms[i] = whole->norms[i];
    }
    return code;
}

int engine_mixes_mix(struct engine_mixes *mixes, const struct engine_adapter_use *uses, int n, struct engine_kv *kv, int *out, struct error *e)
{
    struct engine_mix_use *list = xcalloc((size_t)n + 1, sizeof *list);
    int count = simplify(mixes, uses, n, list, e), code = OK;
    *out = 0;
    for (int i = 0; i < mixes->mix_count && count > 0 && !*out; i++)
        *out = same(mixes->mixes[i], list, count) ? i + 1 : 0;
    if (count <= 0 || *out) {
        free(list);
        return count < 0 ? ERROR_USAGE : OK;
    }
    struct engine_mix *mix = xcalloc(1, sizeof *mix);
    mix->uses = list;
    mix->count = count;
    for (int i = 0; i < count && !code; i++)
        code = take_whole(mix, &list[i], mixes->m, e);
    if (code) {
        free_mix(mix);
        return code;
    }
    mix->root = engine_kv_root(kv);
    ARRAY_RESERVE(mixes->mixes, mixes->mix_count, mixes->mix_capacity);
    mixes->mixes[mixes->mix_count++] = mix;
    *out = mixes->mix_count;
    return OK;
}

enum { ROWS = 16 }; /* that go through an adapter together at most */

void engine_mix_add(const struct engine_mix *mix, const struct kernel_set *set, int layer, int matrix, const struct kernel_matrix *of,
                    const float *x, int n, float *y)
{
    for (int i = 0; i < mix->count; i++) {
        const struct engine_lora_part *part = &mix->uses[i].lora->parts[layer * ENGINE_MATRICES + matrix];
        const float by = mix->uses[i].weight * part->scale;
        float low[ROWS * ENGINE_RANK_MOST];
        for (int first = 0, count; first < n && part->rank; first += count) {
            count = n - first < ROWS ? n - first : ROWS;
            memset(low, 0, (size_t)(count * part->rank) * sizeof *low);
            for (int r = 0; r < count; r++)
                set->combine(x + (size_t)(first + r) * (size_t)of->cols, part->down, of->cols, part->rank, low + r * part->rank);
            for (int k = 0; k < count * part->rank; k++)
                low[k] *= by;
            for (int r = 0; r < count; r++)
                set->combine(low + r * part->rank, part->up, part->rank, of->rows, y + (size_t)(first + r) * (size_t)of->rows);
        }
    }
}
