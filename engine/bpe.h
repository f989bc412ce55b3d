/* Byte-level byte pair encoding (Sennrich et al. 2016; over bytes: Radford et al. 2019): words to token ids. */
#ifndef ESPALIER_ENGINE_BPE_H
#define ESPALIER_ENGINE_BPE_H

#include "engine/engine.h"
#include "engine/file.h"

struct engine_bpe;

/* The names of n tokens and the merges, best first, each "left right", in GPT-2's alphabet of printable characters for
 * bytes. Names may be empty (such a token is never made); equal names are ERROR_INPUT. Copies what it needs. */
int engine_bpe_create(struct engine_bpe **out, const struct engine_text *names, int n, const struct engine_text *merges,
                      int merge_count, const char *path, struct error *e);
void engine_bpe_free(struct engine_bpe *b);
int engine_bpe_find(const struct engine_bpe *b, struct engine_text name); /* the token of that name, or -1 */

struct engine_bpe_scratch { /* reused from word to word; {0} is an empty one */
    struct engine_bpe_part *parts;
    struct engine_bpe_pair *heap;
    size_t parts_capacity;
    int heap_count, heap_capacity;
};
void engine_bpe_scratch_free(struct engine_bpe_scratch *s);

/* Append the ids of one word. whole: a word that is a token is that token, whatever the merges would make of it. */
void engine_bpe_word(const struct engine_bpe *b, const char *bytes, size_t n, int whole, struct engine_bpe_scratch *s,
                     struct engine_tokens *out);

/* Append the bytes that a name in the alphabet stands for; characters outside of it stand for themselves. */
void engine_bpe_decode(struct engine_text name, struct string *out);

#endif
