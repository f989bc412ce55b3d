/* Matrices that bitsandbytes keeps in 4 bits: codes under the matrix's own name, and beside them absmax, the values of the codes, and what
 * is needed beyond that as a JSON text; where absmax are quantized themselves, also what theirs are. */
#include "engine/folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, GROUP = 256, CODES = 16, MAP = 256, STATE_MOST = 1 << 16 };
#define STATE ".quant_state.bitsandbytes__nf4"

struct reader {
    const struct engine_safetensors *f;
    const struct engine_safetensor *t;
    json_t *state;
    char *state_name; /* for messages: file and tensor */
    struct kernel_nf4 *q;
    size_t per_block; /* blocks of 64 that share an absmax */
    struct error *e;
};

static const struct engine_safetensor *part(const struct engine_safetensors *f, const char *name, const char *suffix)
{
    char *whole = xasprintf("%s%s", name, suffix);
    const struct engine_safetensor *found = engine_safetensors_find(f, whole);
    free(whole);
    return found;
}

int engine_folder_is_nf4(const struct engine_safetensors *f, const struct engine_safetensor *t)
{
    return part(f, t->name, STATE) != NULL;
}

int engine_folder_is_nf4_part(const struct engine_safetensors *f, const struct engine_safetensor *t)
{
    static const char *const suffixes[] = {".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", STATE};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        const size_t n = strlen(t->name), m = strlen(suffixes[i]);
        if (n <= m || strcmp(t->name + n - m, suffixes[i]))
            continue;
        char *owner = xstrndup(t->name, n - m);
        const struct engine_safetensor *of = engine_safetensors_find(f, owner);
        const int is = of && engine_folder_is_nf4(f, of);
        free(owner);
        return is;
    }
    return 0;
}

static int refuse(const struct reader *r, const char *what)
{
    return error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s: %s", engine_safetensors_path(r->f), r->t->name, what);
}

/* The numbers of a part, of which there are to be `count`. */
static int read_part(const struct reader *r, const char *suffix, size_t count, float **out)
{
    const struct engine_safetensor *t = part(r->f, r->t->name, suffix);
    if (!t || t->type != ENGINE_SAFETENSORS_F32 || t->count != count)
        return error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s%s: %s; expected F32 and %zu numbers: the file is damaged, get it anew",
                         engine_safetensors_path(r->f), r->t->name, suffix, t ? "of another type or number" : "missing", count);
    *out = input_alloc(count, sizeof **out);
    if (!*out)
        return error_set(r->e, ERROR_ENGINE, "%.300s: tensor %.200s%s: not enough memory", engine_safetensors_path(r->f), r->t->name, suffix);
    return engine_safetensors_read(r->f, t, *out, r->e);
}

/* --- the JSON ------------------------------------------------------------------------------------------------------ */

static int open_state(struct reader *r)
{
    const struct engine_safetensor *t = part(r->f, r->t->name, STATE);
    r->state_name = xasprintf("%.200s: %.200s", engine_safetensors_path(r->f), t->name);
    if (t->type != ENGINE_SAFETENSORS_U8 || t->bytes > STATE_MOST)
        return error_set(r->e, ERROR_INPUT, "%s: is not a text of at most %d bytes; the file is damaged: get it anew", r->state_name, STATE_MOST);
    return engine_json_parse(&r->state, r->state_name, t->data, t->bytes, r->e);
}

/* That there are as many codes as the shape says is what makes all later products small enough. */
static int read_shape(struct reader *r, int64_t *rows, int64_t *cols)
{
    const json_t *shape = json_object_get(r->state, "shape"), *type = json_object_get(r->state, "quant_type");
    int height, width, block;
    if (!json_is_string(type) || strcmp(json_string_value(type), "nf4"))
        return engine_json_refuse(r->state_name, r->state, "quant_type", "\"nf4\"", r->e);
    if (json_array_size(shape) != 2 || !engine_json_whole(json_array_get(shape, 0), &height) ||
        !engine_json_whole(json_array_get(shape, 1), &width) || height < 1 || width < 1 || ((uint64_t)height * (uint64_t)width + 1) / 2 != r->t->bytes)
        return engine_json_refuse(r->state_name, r->state, "shape", "[rows, columns] with as many weights as there are codes", r->e);
    if (width % BLOCK)
        return engine_json_refuse(r->state_name, r->state, "shape", "rows of whole blocks, a multiple of 64 weights: others are not supported", r->e);
    if (!engine_json_whole(json_object_get(r->state, "blocksize"), &block) || block < BLOCK || block > 1 << 16 || block % BLOCK)
        return engine_json_refuse(r->state_name, r->state, "blocksize", "64, or a multiple of it", r->e);
    *rows = height;
    *cols = width;
    r->per_block = (size_t)(block / BLOCK);
    r->q->blocks = (size_t)height * (size_t)(width / BLOCK);
    return OK;
}

/* --- scales -------------------------------------------------------------------------------------------------------- */

static int check_values(struct reader *r)
{
    float *values = NULL;
    int code = read_part(r, ".quant_map", CODES, &values);
    if (!code && memcmp(values, kernel_nf4_values, CODES * sizeof *values))
        code = refuse(r, "its quant_map is not NF4's 16 values; the file is damaged, or of another format");
    free(values);
    return code;
}

/* As many absmax as blocks, each for one of ours. */
static float *spread(const float *absmax, const struct reader *r)
{
    float *all = input_alloc(r->q->blocks, sizeof *all);
    for (size_t b = 0; all && b < r->q->blocks; b++)
        all[b] = absmax[b / r->per_block];
    return all;
}

/* Blocks of more than 64 weights have their absmax written out, each for as many of ours as it has. */
static int take_plain(struct reader *r, float *absmax)
{
    r->q->plain = r->per_block == 1 ? absmax : spread(absmax, r);
    if (r->per_block != 1)
        free(absmax);
    r->q->bytes = r->q->blocks * (BLOCK / 2 + sizeof(float));
    return r->q->plain ? OK : error_set(r->e, ERROR_ENGINE, "%s: not enough memory", r->state_name);
}

static int read_nested_head(struct reader *r, size_t blocks, size_t *groups)
{
    const json_t *offset = json_object_get(r->state, "nested_offset");
    int group;
    if (!engine_json_whole(json_object_get(r->state, "nested_blocksize"), &group) || group != GROUP)
        return engine_json_refuse(r->state_name, r->state, "nested_blocksize", "256", r->e);
    r->q->offset = (float)json_number_value(offset);
    if (!json_is_number(offset) || !isfinite(r->q->offset))
        return engine_json_refuse(r->state_name, r->state, "nested_offset", "a number", r->e);
    *groups = (blocks + GROUP - 1) / GROUP;
    return OK;
}

static int read_nested(struct reader *r, const struct engine_safetensor *absmax, size_t blocks)
{
    struct kernel_nf4 *q = r->q;
    float *map = NULL, most = 0;
    size_t groups = 0;
    int code = read_nested_head(r, blocks, &groups);
    if (code || (code = read_part(r, ".nested_quant_map", MAP, &map)) || (code = read_part(r, ".nested_absmax", groups, &q->absmax2))) {
        free(map);
        return code;
    }
    memcpy(q->map, map, sizeof q->map);
    free(map);
    for (int i = 0; i < MAP; i++)
        most = fmaxf(most, fabsf(q->map[i]));
    for (size_t g = 0; g < groups; g++)
        if (!isfinite(most * fabsf(q->absmax2[g]) + fabsf(q->offset)))
            return refuse(r, "its scales multiply to what is no number; the file is damaged: get it anew");
    q->absmax = (unsigned char *)(uintptr_t)absmax->data;
    q->bytes = q->blocks * (BLOCK / 2 + 1) + groups * sizeof *q->absmax2;
    if (r->per_block == 1)
        return OK;
    float *plain = input_alloc(blocks, sizeof *plain);
    for (size_t b = 0; plain && b < blocks; b++)
        plain[b] = kernel_nf4_absmax(q, b);
    return plain ? take_plain(r, plain) : error_set(r->e, ERROR_ENGINE, "%s: not enough memory", r->state_name);
}

static int read_scales(struct reader *r)
{
    const struct engine_safetensor *absmax = part(r->f, r->t->name, ".absmax");
    const size_t blocks = (r->q->blocks + r->per_block - 1) / r->per_block;
    float *plain = NULL;
    if (absmax && absmax->type == ENGINE_SAFETENSORS_U8 && absmax->count == blocks)
        return read_nested(r, absmax, blocks);
    int code = read_part(r, ".absmax", blocks, &plain);
    if (code)
        free(plain);
    return code ? code : take_plain(r, plain);
}

int engine_folder_nf4(struct kernel_nf4 **out, const struct engine_safetensors *f, const struct engine_safetensor *t, int64_t *rows, int64_t *cols,
                      struct error *e)
{
    struct reader r = {.f = f, .t = t, .q = xcalloc(1, sizeof *r.q), .e = e};
    int code;
    r.q->lent = 1;
    r.q->codes = (unsigned char *)(uintptr_t)t->data;
    if (!(code = open_state(&r)) && !(code = read_shape(&r, rows, cols)) && !(code = check_values(&r)))
        code = read_scales(&r);
    if (code)
        engine_folder_nf4_free(r.q);
    *out = code ? NULL : r.q;
    json_decref(r.state);
    free(r.state_name);
    return code;
}

void engine_folder_nf4_free(struct kernel_nf4 *q)
{
    if (!q)
        return;
    free(q->absmax2);
    free(q->plain);
    free(q);
}
