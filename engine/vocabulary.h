/* Tokens of a model: from bytes to ids and back, and the chat template. Immutable once made; safe from any thread.
 *
 * tokenizer.ggml.model picks a row in a table of tokenizers ("gpt2": byte-level BPE; "llama": SentencePiece's BPE), of the
 * former tokenizer.ggml.pre a row in a table of pre-tokenizers (expressions run with PCRE2). What is not in the tables is
 * refused by name.
 */
#ifndef ESPALIER_ENGINE_VOCABULARY_H
#define ESPALIER_ENGINE_VOCABULARY_H

#include "engine/engine.h"
#include "engine/file.h"

struct engine_vocabulary;

int engine_vocabulary_create(struct engine_vocabulary **out, const struct engine_file *f, struct error *e);
void engine_vocabulary_free(struct engine_vocabulary *v);
int engine_vocabulary_count(const struct engine_vocabulary *v);
const char *engine_vocabulary_about(const struct engine_vocabulary *v);    /* "gpt2 (smollm)" */
const char *engine_vocabulary_template(const struct engine_vocabulary *v); /* "chatml"; "none", "unknown" */
int engine_vocabulary_begin(const struct engine_vocabulary *v);            /* -1: none */
int engine_vocabulary_end(const struct engine_vocabulary *v);
int engine_vocabulary_begins(const struct engine_vocabulary *v);   /* the begin token stands before a text */
int engine_vocabulary_turn_end(const struct engine_vocabulary *v); /* of the assistant's, as the template ends it; else the end */

/* As engine_tokenize and its neighbours in engine.h, which call these. */
void engine_vocabulary_tokenize(const struct engine_vocabulary *v, const char *text, size_t n, int how, struct engine_tokens *out);
void engine_vocabulary_detokenize(const struct engine_vocabulary *v, const int *ids, int n, int special, struct string *out);
const char *engine_vocabulary_text(const struct engine_vocabulary *v, int id, size_t *bytes);
int engine_vocabulary_is_control(const struct engine_vocabulary *v, int id);
int engine_vocabulary_ends(const struct engine_vocabulary *v, int id);
void engine_vocabulary_chat(const struct engine_vocabulary *v, const struct engine_message *messages, int n, int how,
                            struct engine_tokens *out);

#endif
