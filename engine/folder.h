/* Folders as Hugging Face's libraries save models: config.json, tokenizer.json, weights in safetensors.
 *
 * A folder is read into what a GGUF of the same model would have: its keys, made here and parsed by file.c as those of any file, and
 * tensors by GGUF's names, whose numbers stay where they lie in the mapped safetensors. So only these rooms know of folders. What a GGUF has
 * otherwise is made so when it is small: vectors are F32 here, and Gemma's norms have their 1 added. The rows of a llama's q and k are not in
 * GGUF's order here; the key espalier.rope.neox says so, and whoever writes a GGUF puts them in order.
 *
 * Weights of bitsandbytes in 4 bits (NF4, absmax quantized or not) are taken as they are, without being rounded again.
 */
#ifndef ESPALIER_ENGINE_FOLDER_H
#define ESPALIER_ENGINE_FOLDER_H

#include "engine/file.h"
#include "engine/file_write.h"
#include "engine/json.h"
#include "engine/safetensors.h"

/* --- folder.c: all of it; for file.c alone ------------------------------------------------------------------------ */

struct engine_folder;
/* ERROR_INPUT names the file in the folder and what is missing, damaged or unknown there. */
int engine_folder_open(struct engine_folder **out, const char *path, struct error *e);
void engine_folder_close(struct engine_folder *f); /* NULL: nothing */
const struct string *engine_folder_keys(const struct engine_folder *f); /* a GGUF without tensors */
const struct engine_tensor *engine_folder_tensors(const struct engine_folder *f, int *count);
size_t engine_folder_bytes(const struct engine_folder *f); /* of the files with weights */
uint64_t engine_folder_sum(const struct engine_folder *f); /* of their bytes */
int engine_folder_maps(const struct engine_folder *f, const void *data); /* they lie in such a file, and not in memory of the folder's own */

/* --- folder_config.c: config.json ---------------------------------------------------------------------------------- */

struct engine_folder_shape {
    const char *architecture; /* as GGUF calls it */
    int vocabulary, layers, head_dim;
    int tied;         /* the head is the embedding, whatever else is in the files */
    int norms_less_1; /* norms are kept as what is to be added to 1 */
    int nf4;          /* matrices may be bitsandbytes' */
    float *rope_factors; /* [head_dim / 2], by which RoPE's frequencies are divided; or NULL; owned */
};
/* Adds the keys of the architecture and says what the weights are. */
int engine_folder_config(const json_t *config, const char *path, struct engine_new_keys *keys, struct engine_folder_shape *out, struct error *e);

/* --- folder_names.c: what tensors are called ------------------------------------------------------------------------ */

/* GGUF's name for the tensor, malloc'ed, NULL where it has none here; "" for one that follows from the configuration. *skip: it belongs to
 * what sees, and the text does without. */
char *engine_folder_name(const char *name, const char *architecture, int *skip);

/* --- folder_nf4.c: weights of bitsandbytes --------------------------------------------------------------------------- */

int engine_folder_is_nf4(const struct engine_safetensors *f, const struct engine_safetensor *t); /* it has the quant_state of such a matrix */
int engine_folder_is_nf4_part(const struct engine_safetensors *f, const struct engine_safetensor *t); /* it is that state, or scales */
/* The matrix, its codes where they lie in the file; t->size is not its shape, which is put in rows and cols. Freed by _free. */
int engine_folder_nf4(struct kernel_nf4 **out, const struct engine_safetensors *f, const struct engine_safetensor *t, int64_t *rows, int64_t *cols,
                      struct error *e);
void engine_folder_nf4_free(struct kernel_nf4 *q);

/* --- folder_tokens.c: tokenizer.json and what stands beside it ------------------------------------------------------- */

struct engine_folder_texts { /* what was read; NULL where there is no such file */
    const char *folder;
    json_t *tokenizer, *tokenizer_config, *generation_config, *config;
    char *template; /* chat_template.jinja */
};
int engine_folder_tokens(const struct engine_folder_texts *texts, int vocabulary, struct engine_new_keys *keys, struct error *e);

#endif
