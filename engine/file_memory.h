/* The file reader on bytes that are in memory already. Only for file.c, its tests and its fuzzer. */
#ifndef ESPALIER_ENGINE_FILE_MEMORY_H
#define ESPALIER_ENGINE_FILE_MEMORY_H

#include "engine/file.h"

/* As engine_file_open of a file that holds these bytes. They stay the caller's, must outlive *out, and begin at a
 * multiple of 8; `name` takes the path's place in messages. */
int engine_file_open_memory(struct engine_file **out, const char *name, const void *bytes, size_t n, struct error *e);

#endif
