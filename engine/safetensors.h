/* Safetensors files, mapped (format: huggingface/safetensors): 8 bytes of length, a JSON object that describes the tensors, their
 * bytes. Read: F32, F16 and BF16; written: F32.
 *
 * Invariant after engine_safetensors_open: every tensor lies whole inside the mapping and overlaps no other, its size is that of its
 * shape, names are different, and nothing lies between tensors.
 */
#ifndef ESPALIER_ENGINE_SAFETENSORS_H
#define ESPALIER_ENGINE_SAFETENSORS_H

#include "kernels/kernels.h"

struct engine_safetensors;

enum { ENGINE_SAFETENSORS_DIMENSIONS = 4 };
enum engine_safetensors_type { ENGINE_SAFETENSORS_F32, ENGINE_SAFETENSORS_F16, ENGINE_SAFETENSORS_BF16, ENGINE_SAFETENSORS_U8, ENGINE_SAFETENSORS_OTHER };
struct engine_safetensor {
    const char *name; /* owned by the file */
    enum engine_safetensors_type type; /* OTHER: there, of a type that is not read */
    int dimensions;
    int64_t size[ENGINE_SAFETENSORS_DIMENSIONS]; /* size[0] is the slowest; 1 beyond dimensions */
    const void *data; /* at any alignment */
    size_t bytes, count; /* count: of numbers */
};

/* ERROR_INPUT, with the tensor's name where it is of one: not such a file, truncated, bad JSON, shapes and places that do not fit. */
int engine_safetensors_open(struct engine_safetensors **out, const char *path, struct error *e);
void engine_safetensors_close(struct engine_safetensors *f);
const char *engine_safetensors_path(const struct engine_safetensors *f);
int engine_safetensors_count(const struct engine_safetensors *f);
const struct engine_safetensor *engine_safetensors_at(const struct engine_safetensors *f, int i); /* by name, ascending */
const struct engine_safetensor *engine_safetensors_find(const struct engine_safetensors *f, const char *name); /* NULL when absent */
size_t engine_safetensors_bytes(const struct engine_safetensors *f); /* of the whole file */
int engine_safetensors_maps(const struct engine_safetensors *f, const void *data); /* they are in the file's mapping */
uint64_t engine_safetensors_sum(const struct engine_safetensors *f); /* hash_bytes of the whole file */
/* out[count] = its numbers. ERROR_INPUT: of a type that is not read, or one is NaN or infinite. */
int engine_safetensors_read(const struct engine_safetensors *f, const struct engine_safetensor *t, float *out, struct error *e);

/* What is to be written: F32, row-major. */
struct engine_new_safetensor {
    const char *name;
    int dimensions;
    int64_t size[ENGINE_SAFETENSORS_DIMENSIONS];
    const float *data;
};
/* Until it returns OK nothing has changed under the path. */
int engine_safetensors_write(const char *path, const struct engine_new_safetensor *tensors, int count, struct error *e);
#endif
