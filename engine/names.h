/* Texts with numbers: the names of a vocabulary's tokens, numbered by their ids, and what else merging makes of them. */
#ifndef ESPALIER_ENGINE_NAMES_H
#define ESPALIER_ENGINE_NAMES_H

#include "engine/file.h"

/* Invariant: index is an open-addressed table of number + 1 by the hash of the text (0: an empty place), with a power of two of places, at
 * least half of them empty. Two numbers never have the same text, but for the empty one, which is never found. */
struct engine_names {
    struct string pool; /* the texts, one after another */
    struct engine_name {
        size_t at, length;
    } *items;
    uint32_t count, capacity;
    uint32_t *index;
    size_t index_mask;
};

/* The names of n tokens, with room for `more` others. Copied. ERROR_INPUT where two are equal, or memory is short; `path` is for the message. */
int engine_names_create(struct engine_names *n, const struct engine_text *names, int count, size_t more, const char *path, struct error *e);
void engine_names_free(struct engine_names *n);
struct engine_text engine_names_text(const struct engine_names *n, uint32_t number); /* valid until one is added */
int64_t engine_names_find(const struct engine_names *n, struct engine_text text);    /* its number, or -1 */
uint32_t engine_names_put(struct engine_names *n, struct engine_text text);          /* its number; added where it is not there */

#endif
