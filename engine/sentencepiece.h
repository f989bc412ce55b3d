/* SentencePiece's byte pair encoding (Kudo and Richardson 2018), which llama.cpp calls "llama": a text is merged from its characters, the pair
 * first whose token has the greatest score; a blank is U+2581; a character that is no token becomes the tokens of its bytes. */
#ifndef ESPALIER_ENGINE_SENTENCEPIECE_H
#define ESPALIER_ENGINE_SENTENCEPIECE_H

#include "engine/chain.h"
#include "engine/engine.h"
#include "engine/names.h"

struct engine_sentencepiece;

/* scores and mergeable have an entry for each name: a token that is not mergeable (control, unknown, byte) is never made of text. unknown is what
 * stands for a byte that has no token, or -1: nothing does. `names` must outlive this. ERROR_INPUT: a score that is no number. */
int engine_sentencepiece_create(struct engine_sentencepiece **out, const struct engine_names *names, const double *scores,
                                const unsigned char *mergeable, int unknown, const char *path, struct error *e);
void engine_sentencepiece_free(struct engine_sentencepiece *s);

/* Append the ids of a text; blank: as if a blank stood before it. Any bytes. */
void engine_sentencepiece_write(const struct engine_sentencepiece *s, const char *bytes, size_t n, int blank, struct engine_chain *c,
                                struct engine_tokens *out);

/* Append what a name says: its U+2581 are blanks. */
void engine_sentencepiece_decode(struct engine_text name, struct string *out);

#endif
