/* A file that is written beside its place, and put there whole. */
#ifndef ESPALIER_ENGINE_DRAFT_H
#define ESPALIER_ENGINE_DRAFT_H

#include "kernels/kernels.h"

/* Invariant: until engine_draft_finish has returned OK nothing has changed under the path; a temporary file beside it has what was
 * added, and is gone once the draft is freed. */
struct engine_draft;
/* An open temporary file beside the path, with the rights a new file has: its descriptor, and *beside, its name, malloc'ed; -1 and NULL
 * where it cannot be made. */
int engine_draft_create(const char *path, char **beside, struct error *e);
/* ERROR_INPUT: the path cannot be written to, or is not a plain file. */
int engine_draft_open(struct engine_draft **out, const char *path, struct error *e);
void engine_draft_add(struct engine_draft *d, const void *bytes, size_t n); /* what goes wrong is said at the end */
int engine_draft_finish(struct engine_draft *d, struct error *e);
void engine_draft_free(struct engine_draft *d);

#endif
