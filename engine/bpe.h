/* Byte-level byte pair encoding (Sennrich et al. 2016; over bytes: Radford et al. 2019): words to token ids. */
#ifndef ESPALIER_ENGINE_BPE_H
#define ESPALIER_ENGINE_BPE_H

#include "engine/chain.h"
#include "engine/engine.h"
#include "engine/names.h"

struct engine_bpe;

/* The merges, best first, each "left right", of names in GPT-2's alphabet of printable characters for bytes. `names` are those of the tokens;
 * what merges make without being a token is added to them; it must outlive this. */
int engine_bpe_create(struct engine_bpe **out, struct engine_names *names, const struct engine_text *merges, int merge_count, const char *path,
                      struct error *e);
void engine_bpe_free(struct engine_bpe *b);

/* Append the ids of one word. whole: a word that is a token is that token, whatever the merges would make of it. */
void engine_bpe_word(const struct engine_bpe *b, const char *bytes, size_t n, int whole, struct engine_chain *c, struct engine_tokens *out);

/* Append the bytes that a name in the alphabet stands for; characters outside of it stand for themselves. */
void engine_bpe_decode(struct engine_text name, struct string *out);

#endif
