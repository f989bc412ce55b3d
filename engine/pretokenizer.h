/* Cutting text into the words that byte-level BPE merges within: expressions, by the file's tokenizer.ggml.pre. */
#ifndef ESPALIER_ENGINE_PRETOKENIZER_H
#define ESPALIER_ENGINE_PRETOKENIZER_H

#include "engine/file.h"

struct engine_pretokenizer;

/* The row of that name, its expressions compiled; ERROR_INPUT names those known. `path` is for the message. */
int engine_pretokenizer_create(struct engine_pretokenizer **out, struct engine_text name, const char *path,
                               struct error *e);
void engine_pretokenizer_free(struct engine_pretokenizer *p);
const char *engine_pretokenizer_name(const struct engine_pretokenizer *p);
/* A word that is a token is that token, whatever the merges would make of it. */
int engine_pretokenizer_whole_words(const struct engine_pretokenizer *p);
/* The begin token stands before a text where the file does not say whether it does. */
int engine_pretokenizer_begins(const struct engine_pretokenizer *p);

/* Calls word(argument, bytes, n) for the words of n bytes of text, in order. Any bytes: where they are not UTF-8, the
 * words are those of the text as llama.cpp reads it, see pretokenizer.c. */
void engine_pretokenizer_split(const struct engine_pretokenizer *p, const char *text, size_t n,
                               void (*word)(void *argument, const char *bytes, size_t n), void *argument);

#endif
