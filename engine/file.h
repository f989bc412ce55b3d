/* GGUF files, version 2 and 3, mapped (format: ggml's docs/gguf.md), and folders as Hugging Face's libraries save models, which look the
 * same from here: folder.h. Read-only; of a GGUF nothing is copied but the index.
 *
 * Invariant after engine_file_open: every string, array and tensor handed out lies whole inside the mapping, tensors do not
 * overlap, their offsets keep the alignment, and sizes were computed without overflow. Whoever reads values checks their meaning.
 */
#ifndef ESPALIER_ENGINE_FILE_H
#define ESPALIER_ENGINE_FILE_H

#include "kernels/kernels.h"

struct engine_file;

int engine_file_open(struct engine_file **out, const char *path, struct error *e);
void engine_file_close(struct engine_file *f);
const char *engine_file_path(const struct engine_file *f);
int engine_file_is_folder(const struct engine_file *f);
size_t engine_file_bytes(const struct engine_file *f); /* of all its files */
uint64_t engine_file_sum(const struct engine_file *f); /* hash_bytes of all of it */

struct engine_text { /* bytes in the mapping, not terminated */
    const char *bytes;
    size_t length;
};

/* Metadata by key. Return 1 and the value, or 0 when the key is absent or of another kind (any integer width is taken
 * for integers when the value fits; f32 and f64 for numbers). */
int engine_file_integer(const struct engine_file *f, const char *key, int64_t *out);
int engine_file_number(const struct engine_file *f, const char *key, double *out);
int engine_file_boolean(const struct engine_file *f, const char *key, int *out);
int engine_file_text(const struct engine_file *f, const char *key, struct engine_text *out);
/* Arrays: count, or -1 when absent or not an array of strings / of integers or booleans / of floats. All elements, out[count]. */
int64_t engine_file_texts(const struct engine_file *f, const char *key);
void engine_file_texts_get(const struct engine_file *f, const char *key, struct engine_text *out);
int64_t engine_file_integers(const struct engine_file *f, const char *key);
void engine_file_integers_get(const struct engine_file *f, const char *key, int64_t *out);
int64_t engine_file_numbers(const struct engine_file *f, const char *key);
void engine_file_numbers_get(const struct engine_file *f, const char *key, double *out);

/* The keys in the file's order, for whoever copies them: out[engine_file_key_count]. */
struct engine_key {
    struct engine_text name;
    struct engine_text whole; /* name, type and value as they lie in the file */
};
size_t engine_file_key_count(const struct engine_file *f);
void engine_file_keys(const struct engine_file *f, struct engine_key *out);
size_t engine_file_alignment(const struct engine_file *f);

struct engine_tensor {
    struct engine_text name;
    enum kernel_type type;
    int dimensions;
    int64_t size[4]; /* ggml's ne: size[0] is the contiguous one; 1 beyond dimensions */
    const void *data;
    size_t bytes;
    size_t offset;   /* in the file, for messages */
    struct kernel_nf4 *nf4; /* of NF4, which no GGUF has, all there is to it; data are its codes; else NULL */
};
int engine_tensor_is(const struct engine_tensor *t, const char *name);
int engine_file_tensor_count(const struct engine_file *f);
const struct engine_tensor *engine_file_tensor_at(const struct engine_file *f, int i);
const struct engine_tensor *engine_file_tensor(const struct engine_file *f, const char *name); /* NULL when absent */

/* The bytes of these data are not going to be read soon: whole pages of them leave this process's memory, and come back
 * from the file when they are read all the same. */
void engine_file_release(const struct engine_file *f, const void *data, size_t bytes);
uint32_t engine_file_type_number(enum kernel_type type); /* what a file calls it; not of NF4, which is in none */

#endif
