/* What the fuzzers of files share. */
#ifndef ESPALIER_TESTS_FUZZ_FOLDER_H
#define ESPALIER_TESTS_FUZZ_FOLDER_H

#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The path of a file of no name that has these bytes; the same one every time. */
static inline const char *fuzz_file(const uint8_t *bytes, size_t n)
{
    static int fd = -1;
    static char path[40];
    FILE *file = fd < 0 ? tmpfile() : NULL;
    if (file) {
        fd = fileno(file);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || ftruncate(fd, 0) || (n && pwrite(fd, bytes, n, 0) != (ssize_t)n))
        abort();
    return path;
}

/* Pieces that the bytes are cut into at lines of their own that hold only "%%": out[most], each terminated in its own memory. */
static inline int fuzz_pieces(const uint8_t *bytes, size_t n, char **out, int most)
{
    int count = 0;
    size_t from = 0;
    for (size_t i = 0; i <= n && count < most; i++)
        if (i == n || (n - i >= 4 && !memcmp(bytes + i, "\n%%\n", 4))) {
            out[count++] = xstrndup((const char *)bytes + from, i - from);
            from = i + 4;
            i += i < n ? 3 : 0;
        }
    return count;
}

/* `whole`, which is freed, in the place of an input too short to become anything: bytes[most]. Returns how long it is. */
static inline size_t fuzz_begin(uint8_t *bytes, size_t most, struct string *whole)
{
    const size_t n = whole->length < most ? whole->length : most;
    memcpy(bytes, whole->text, n);
    string_free(whole);
    return n;
}

#endif
