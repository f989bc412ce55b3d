#include "engine/safetensors.h"
#include "engine/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* HEAD_MOST: the format's own limit of the description. */
enum { LENGTH_BYTES = 8, HEAD_MOST = 100000000, NAME_SHOWN = 200 };

struct engine_safetensors {
    char *path;
    const unsigned char *bytes; /* the mapping */
    size_t size;
    struct engine_safetensor *tensors; /* by name */
    int count;
};

static const struct {
    const char *name;
    size_t bytes;
} types[] = {[ENGINE_SAFETENSORS_F32] = {"F32", 4}, [ENGINE_SAFETENSORS_F16] = {"F16", 2}, [ENGINE_SAFETENSORS_BF16] = {"BF16", 2},
             [ENGINE_SAFETENSORS_U8] = {"U8", 1}};

/* --- the description --------------------------------------------------------------------------------------------- */

static int tensor_error(const struct engine_safetensors *f, const char *name, const char *what, struct error *e)
{
    return error_set(e, ERROR_INPUT, "%.300s: tensor %.*s: %s; the file is damaged: get it anew", f->path, NAME_SHOWN, name, what);
}

static int read_shape(const struct engine_safetensors *f, const json_t *shape, struct engine_safetensor *t, struct error *e)
{
    size_t dimensions = json_array_size(shape);
    if (!json_is_array(shape) || dimensions > ENGINE_SAFETENSORS_DIMENSIONS)
        return tensor_error(f, t->name, "its shape is not a list of at most 4 sizes", e);
    t->dimensions = (int)dimensions;
    t->count = 1;
    for (size_t i = 0; i < ENGINE_SAFETENSORS_DIMENSIONS; i++) {
        const json_t *size = json_array_get(shape, i);
        t->size[i] = size ? json_integer_value(size) : 1;
        if (size && (!json_is_integer(size) || t->size[i] < 0 || __builtin_mul_overflow(t->count, (size_t)t->size[i], &t->count)))
            return tensor_error(f, t->name, "a size of its shape is not a number of numbers", e);
    }
    return OK;
}

static int read_tensor(const struct engine_safetensors *f, const json_t *about, size_t head, struct engine_safetensor *t, struct error *e)
{
    const json_t *type = json_object_get(about, "dtype"), *offsets = json_object_get(about, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    const size_t data = f->size - head;
    if (!json_is_string(type) || !json_is_integer(first) || !json_is_integer(last) || json_array_size(offsets) != 2)
        return tensor_error(f, t->name, "expected dtype, shape and data_offsets", e);
    int code = read_shape(f, json_object_get(about, "shape"), t, e);
    if (code)
        return code;
    t->type = ENGINE_SAFETENSORS_F32;
    while (t->type < ENGINE_SAFETENSORS_OTHER && strcmp(types[t->type].name, json_string_value(type)))
        t->type++;
    json_int_t from = json_integer_value(first), to = json_integer_value(last);
    if (from < 0 || to < from || (uint64_t)to > data)
        return error_set(e, ERROR_INPUT, "%.300s: tensor %.*s: lies at bytes %lld to %lld of %zu; the file is cut short or damaged: get it anew",
                         f->path, NAME_SHOWN, t->name, (long long)from, (long long)to, data);
    t->data = f->bytes + head + from;
    t->bytes = (size_t)(to - from);
    size_t needed;
    if (t->type < ENGINE_SAFETENSORS_OTHER && (__builtin_mul_overflow(t->count, types[t->type].bytes, &needed) || needed != t->bytes))
        return tensor_error(f, t->name, "its bytes are not as many as its shape needs", e);
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct engine_safetensor *)a)->name, ((const struct engine_safetensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const struct engine_safetensor *x = *(const struct engine_safetensor *const *)a, *y = *(const struct engine_safetensor *const *)b;
    const uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    return p != q ? (p > q) - (p < q) : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* One after the other, from the first byte after the description to the last of the file. */
static int check_places(const struct engine_safetensors *f, size_t head, struct error *e)
{
    const unsigned char *at = f->bytes + head;
    const struct engine_safetensor **sorted = xcalloc((size_t)f->count + 1, sizeof *sorted);
    int code = OK;
    for (int i = 0; i < f->count; i++)
        sorted[i] = &f->tensors[i];
    qsort(sorted, (size_t)f->count, sizeof *sorted, by_place);
    for (int i = 0; i < f->count && !code; i++) {
        const unsigned char *data = sorted[i]->data;
        if (data != at)
            code = tensor_error(f, sorted[i]->name, data < at ? "overlaps another" : "bytes that belong to no tensor lie before it", e);
        at = data + sorted[i]->bytes;
    }
    free(sorted);
    if (!code && at != f->bytes + f->size)
        return error_set(e, ERROR_INPUT, "%.300s: %zu bytes follow the last tensor; the file is damaged: get it anew", f->path,
                         (size_t)(f->bytes + f->size - at));
    return code;
}

static int read_tensors(struct engine_safetensors *f, const json_t *all, size_t head, struct error *e)
{
    const char *name;
    json_t *about;
    f->tensors = input_alloc(json_object_size(all) + 1, sizeof *f->tensors);
    if (!f->tensors)
        return error_set(e, ERROR_ENGINE, "%.300s: not enough memory for the list of its tensors", f->path);
    json_object_foreach((json_t *)all, name, about)
    {
        if (!strcmp(name, "__metadata__"))
            continue;
        struct engine_safetensor *t = &f->tensors[f->count];
        *t = (struct engine_safetensor){.name = xstrdup(name)};
        f->count++;
        int code = read_tensor(f, about, head, t, e);
        if (code)
            return code;
    }
    qsort(f->tensors, (size_t)f->count, sizeof *f->tensors, by_name);
    return check_places(f, head, e);
}

static int read_head(struct engine_safetensors *f, struct error *e)
{
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0 && f->size >= LENGTH_BYTES; i--)
        length = length << 8 | f->bytes[i];
    if (f->size < LENGTH_BYTES + 2 || length > HEAD_MOST || f->bytes[LENGTH_BYTES] != '{')
        return error_set(e, ERROR_INPUT, "%.300s: is not a safetensors file (%zu bytes); get it anew", f->path, f->size);
    if (length > f->size - LENGTH_BYTES)
        return error_set(e, ERROR_INPUT, "%.300s: its description takes %llu bytes, the file has %zu: it is cut short, get it anew", f->path,
                         (unsigned long long)length, f->size);
    json_error_t why;
    json_t *all = json_loadb((const char *)f->bytes + LENGTH_BYTES, (size_t)length, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(all)) {
        json_decref(all);
        return error_set(e, ERROR_INPUT, "%.300s: its description cannot be read: %.200s; the file is damaged: get it anew", f->path,
                         all ? "it is no object" : why.text);
    }
    int code = read_tensors(f, all, LENGTH_BYTES + (size_t)length, e);
    json_decref(all);
    return code;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

int engine_safetensors_open(struct engine_safetensors **out, const char *path, struct error *e)
{
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a pipe without a writer must not hang us */
    if (fd < 0)
        return error_set(e, ERROR_INPUT, "%.300s: cannot open: %s; check the path", path, strerror(errno));
    struct stat status;
    void *bytes = NULL;
    int code = OK;
    if (fstat(fd, &status) || !S_ISREG(status.st_mode))
        code = error_set(e, ERROR_INPUT, "%.300s: is not a plain file; expected a safetensors file", path);
    else if (status.st_size && (bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        code = error_set(e, ERROR_INPUT, "%.300s: cannot map its %lld bytes: %s", path, (long long)status.st_size, strerror(errno));
    close(fd);
    if (code)
        return code;
    struct engine_safetensors *f = xcalloc(1, sizeof *f);
    *f = (struct engine_safetensors){.path = xstrdup(path), .bytes = bytes, .size = (size_t)status.st_size};
    code = read_head(f, e);
    if (code)
        engine_safetensors_close(f);
    else
        *out = f;
    return code;
}

void engine_safetensors_close(struct engine_safetensors *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->count; i++)
        free((char *)f->tensors[i].name);
    if (f->size)
        munmap((void *)f->bytes, f->size);
    free(f->tensors);
    free(f->path);
    free(f);
}

const char *engine_safetensors_path(const struct engine_safetensors *f)
{
    return f->path;
}

int engine_safetensors_count(const struct engine_safetensors *f)
{
    return f->count;
}

const struct engine_safetensor *engine_safetensors_at(const struct engine_safetensors *f, int i)
{
    return &f->tensors[i];
}

const struct engine_safetensor *engine_safetensors_find(const struct engine_safetensors *f, const char *name)
{
    const struct engine_safetensor key = {.name = name};
    return f->count ? bsearch(&key, f->tensors, (size_t)f->count, sizeof key, by_name) : NULL;
}

size_t engine_safetensors_bytes(const struct engine_safetensors *f)
{
    return f->size;
}

int engine_safetensors_maps(const struct engine_safetensors *f, const void *data)
{
    return (uintptr_t)data >= (uintptr_t)f->bytes && (uintptr_t)data - (uintptr_t)f->bytes < f->size;
}

uint64_t engine_safetensors_sum(const struct engine_safetensors *f)
{
    return hash_bytes(f->bytes, f->size);
}

static float number_at(const struct engine_safetensor *t, size_t i)
{
    const unsigned char *p = (const unsigned char *)t->data + i * types[t->type].bytes;
    uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    float x;
    if (t->type == ENGINE_SAFETENSORS_F16)
        return kernel_half_to_float((uint16_t)bits);
    bits = t->type == ENGINE_SAFETENSORS_BF16 ? bits << 16 : bits | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    memcpy(&x, &bits, sizeof x);
    return x;
}

int engine_safetensors_read(const struct engine_safetensors *f, const struct engine_safetensor *t, float *out, struct error *e)
{
    if (t->type >= ENGINE_SAFETENSORS_U8)
        return error_set(e, ERROR_INPUT, "%.300s: tensor %.*s: its type is not read here; expected F32, F16 or BF16", f->path, NAME_SHOWN, t->name);
    for (size_t i = 0; i < t->count; i++) {
        out[i] = number_at(t, i);
        if (!isfinite(out[i]))
            return error_set(e, ERROR_INPUT, "%.300s: tensor %.*s: number %zu is NaN or infinite: the file is damaged, or its training failed",
                             f->path, NAME_SHOWN, t->name, i);
    }
    return OK;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static size_t bytes_of(const struct engine_new_safetensor *t)
{
    size_t bytes = sizeof(float);
    for (int i = 0; i < t->dimensions; i++)
        bytes *= (size_t)t->size[i];
    return bytes;
}

/* Filled up with blanks, so that the numbers begin at a multiple of 8. */
static char *describe(const struct engine_new_safetensor *tensors, int count)
{
    json_t *all = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    json_int_t at = 0;
    for (int i = 0; i < count; i++) {
        json_t *shape = json_array();
        for (int j = 0; j < tensors[i].dimensions; j++)
            json_array_append_new(shape, json_integer((json_int_t)tensors[i].size[j]));
        json_int_t end = at + (json_int_t)bytes_of(&tensors[i]);
        json_object_set_new(all, tensors[i].name, json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets", at, end));
        at = end;
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    size_t n = strlen(text), whole = (n + 7) / 8 * 8;
    char *padded = xasprintf("%s%*s", text, (int)(whole - n), "");
    free(text);
    return padded;
}

static void add_floats(struct engine_draft *d, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        const unsigned char little[4] = {(unsigned char)bits, (unsigned char)(bits >> 8), (unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
        engine_draft_add(d, little, sizeof little);
    }
}

int engine_safetensors_write(const char *path, const struct engine_new_safetensor *tensors, int count, struct error *e)
{
    struct engine_draft *d;
    int code = engine_draft_open(&d, path, e);
    if (code)
        return code;
    char *head = describe(tensors, count);
    unsigned char length[LENGTH_BYTES];
    for (int i = 0; i < LENGTH_BYTES; i++)
        length[i] = (unsigned char)((uint64_t)strlen(head) >> 8 * i);
    engine_draft_add(d, length, sizeof length);
    engine_draft_add(d, head, strlen(head));
    for (int i = 0; i < count; i++)
        add_floats(d, tensors[i].data, bytes_of(&tensors[i]) / sizeof(float));
    code = engine_draft_finish(d, e);
    engine_draft_free(d);
    free(head);
    return code;
}
