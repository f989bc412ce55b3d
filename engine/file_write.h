/* GGUF files, version 3, written from a plan: keys, then the tensors' descriptions, then their bytes one after the
 * other.
 *
 * Invariant: until engine_writer_finish has returned OK nothing has changed under the path; a temporary file beside it
 * has what was written, and is gone once the writer is freed.
 */
#ifndef ESPALIER_ENGINE_FILE_WRITE_H
#define ESPALIER_ENGINE_FILE_WRITE_H

#include "engine/file.h"

struct engine_writer;

/* Keys to be written, in order. {0} has none. Names are copied. */
struct engine_new_keys {
    struct string bytes; /* each as it lies in a file */
    char **names;
    int count, capacity;
    int dropped; /* of the names: those that nothing is written for */
};
void engine_keys_u32(struct engine_new_keys *k, const char *name, uint32_t value);
void engine_keys_f32(struct engine_new_keys *k, const char *name, float value);
void engine_keys_boolean(struct engine_new_keys *k, const char *name, int value);
void engine_keys_text(struct engine_new_keys *k, const char *name, const char *text);
void engine_keys_texts(struct engine_new_keys *k, const char *name, const struct engine_text *texts, int n);
void engine_keys_integers(struct engine_new_keys *k, const char *name, const int32_t *values, int n);
void engine_keys_floats(struct engine_new_keys *k, const char *name, const float *values, int n);
void engine_keys_drop(struct engine_new_keys *k, const char *name); /* one that is not to be copied from another file */
void engine_keys_head(const struct engine_new_keys *k, struct string *out); /* append them as a whole file without tensors */
void engine_keys_free(struct engine_new_keys *k);

struct engine_new_tensor {
    struct engine_text name;
    enum kernel_type type; /* not NF4 */
    int dimensions;
    int64_t size[4]; /* as in struct engine_tensor; size[0] is a multiple of the type's block */
};

/* Tensors to be written, with their names. {0} has none. */
struct engine_new_tensors {
    struct engine_new_tensor *list; /* with names once engine_tensors_list was called */
    int count, capacity;
    struct string names; /* NUL after each */
};
void engine_tensors_add(struct engine_new_tensors *t, const char *name, int rows, int cols); /* F32; rows 0: a vector */
const struct engine_new_tensor *engine_tensors_list(struct engine_new_tensors *t); /* until more are added */
void engine_tensors_free(struct engine_new_tensors *t);

/* Begin the file: all keys of `from` in their order, but those of `keys`, which follow; the alignment is from's. from NULL:
 * keys alone. The names need to last only as long as this call. ERROR_INPUT: the path cannot be written to, is from's own
 * file, or has no room. */
int engine_writer_create(struct engine_writer **out, const char *path, const struct engine_file *from,
                         const struct engine_new_keys *keys, const struct engine_new_tensor *tensors, int tensor_count,
                         struct error *e);
size_t engine_writer_bytes(const struct engine_writer *w); /* of the whole file to be */
/* The next bytes of the tensors, in their order; what lies between two of them is put there. */
int engine_writer_add(struct engine_writer *w, const void *bytes, size_t n, struct error *e);
/* To disk, and then under its name. All bytes of all tensors have been added. */
int engine_writer_finish(struct engine_writer *w, struct error *e);
void engine_writer_free(struct engine_writer *w);

#endif
