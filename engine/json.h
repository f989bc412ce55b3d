/* JSON that others wrote, read whole; and what messages say of it. */
#ifndef ESPALIER_ENGINE_JSON_H
#define ESPALIER_ENGINE_JSON_H

#include "kernels/kernels.h"

#include <jansson.h>

/* *out = the object in the file, all its numbers as reals: some writers mean "no limit" by integers that no type holds. ERROR_INPUT says
 * where it is none; `expected` is said of a file that cannot be opened. */
int engine_json_read(json_t **out, const char *path, const char *expected, struct error *e);
/* The same of bytes; `path` is for messages. */
int engine_json_parse(json_t **out, const char *path, const void *bytes, size_t n, struct error *e);
/* A value as a person would write it, short; "missing" for NULL. malloc'ed. */
char *engine_json_shown(const json_t *value);
/* PATH: KEY: what is there; expected ... */
int engine_json_refuse(const char *path, const json_t *object, const char *key, const char *expected, struct error *e);
/* 1 and the whole number, when that is what the value is and an int holds it. */
int engine_json_whole(const json_t *value, int *out);

#endif
