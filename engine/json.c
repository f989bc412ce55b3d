#include "engine/json.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 256 << 20 }; /* the largest tokenizer.json of today has 33 MB */

int engine_json_parse(json_t **out, const char *path, const void *bytes, size_t n, struct error *e)
{
    json_error_t why = {0};
    *out = json_loadb(bytes ? bytes : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
    if (!*out)
        return error_set(e, ERROR_INPUT, "%.300s:%d:%d: %.200s; the file is damaged: get it anew", path, why.line, why.column, why.text);
    if (json_is_object(*out))
        return OK;
    json_decref(*out);
    *out = NULL;
    return error_set(e, ERROR_INPUT, "%.300s: is not a JSON object; the file is damaged: get it anew", path);
}

int engine_json_read(json_t **out, const char *path, const char *expected, struct error *e)
{
    struct stat status;
    void *bytes = NULL;
    int code = OK, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a pipe without a writer must not hang us */
    *out = NULL;
    if (fd < 0)
        return error_set(e, ERROR_INPUT, "%.300s: cannot open: %s; expected %s", path, strerror(errno), expected);
    if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size > FILE_MOST)
        code = error_set(e, ERROR_INPUT, "%.300s: is not a plain file of at most %d MB; expected %s", path, FILE_MOST >> 20, expected);
    else if (status.st_size && (bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        code = error_set(e, ERROR_INPUT, "%.300s: cannot map its %lld bytes: %s", path, (long long)status.st_size, strerror(errno));
    close(fd);
    if (code)
        return code;
    code = engine_json_parse(out, path, bytes, (size_t)status.st_size, e);
    if (bytes)
        munmap(bytes, (size_t)status.st_size);
    return code;
}

char *engine_json_shown(const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    char *copy = xasprintf("%.80s", text ? text : "missing");
    free(text);
    return copy;
}

int engine_json_refuse(const char *path, const json_t *object, const char *key, const char *expected, struct error *e)
{
    char *text = engine_json_shown(json_object_get(object, key));
    int code = error_set(e, ERROR_INPUT, "%.300s: %s: %s; expected %s", path, key, text, expected);
    free(text);
    return code;
}

int engine_json_whole(const json_t *value, int *out)
{
    const double x = json_number_value(value);
    if (!json_is_number(value) || !(x >= -2147483648.0 && x <= 2147483647.0) || x != floor(x))
        return 0;
    *out = (int)x;
    return 1;
}
