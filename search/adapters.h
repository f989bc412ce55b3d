/* The adapters of a search: how they are written in a strategy's specification and in acts, and what the log says of them. Private to
 * search/. */
#ifndef ESPALIER_SEARCH_ADAPTERS_H
#define ESPALIER_SEARCH_ADAPTERS_H

#include "search/search.h"

/* How far the piece of a specification reaches: to the next comma that no backslash stands before, or to its end. */
size_t search_spec_piece(const char *spec);
/* Those of "tot,b=5,adapter=FILE:0.5,adapter=OTHER", in order; "\," is a comma of a path. *given: it says something of adapters, if only
 * "adapter=none". The list is free'd with search_adapters_free. */
int search_adapters_of(const char *spec, struct search_adapter **out, int *count, int *given, struct error *e);
/* Append ",adapter=FILE:WEIGHT" for each, so that it is read back the same. */
void search_adapters_append(struct string *spec, const struct search_adapter *list, int count);
struct search_adapter *search_adapters_copy(const struct search_adapter *list, int count);
void search_adapters_free(struct search_adapter *list, int count);
int search_adapters_same(const struct search_setting *a, const struct search_setting *b);
/* Open them in the engine, and what they come to together. Where `sum` is not 0 the bytes must be those; where it is, it is set. */
int search_adapters_open(struct search_adapter *list, int count, struct engine *engine, int *mix, struct error *e);

#endif
