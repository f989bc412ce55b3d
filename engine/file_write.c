#include "engine/file_write.h"
#include "engine/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 3, BUFFER = 1 << 16, ALIGNMENT = 32 };
enum { VALUE_U32 = 4, VALUE_I32 = 5, VALUE_F32 = 6, VALUE_BOOLEAN = 7, VALUE_TEXT = 8, VALUE_ARRAY = 9 };

/* Invariants: `at` counts all bytes handed over, those in the buffer included; `tensor` is the one whose bytes come
 * next and `left` how many of them; the temporary file is there while `draft` is not NULL. */
struct engine_writer {
    char *path, *draft;
    int fd;
    size_t alignment, at, total;
    size_t *sizes; /* [count]: bytes of each tensor */
    int count, tensor;
    size_t left;
    size_t buffered;
    unsigned char buffer[BUFFER];
};

static size_t padded(const struct engine_writer *w, size_t n)
{
    return (n + w->alignment - 1) / w->alignment * w->alignment;
}

/* --- bytes ------------------------------------------------------------------------------------------------------- */

static int not_written(const struct engine_writer *w, int why, struct error *e)
{
    const char *advice =
        why == ENOSPC || why == EDQUOT || why == EFBIG ? "make room, or choose another place" : "choose another place";
    return error_set(e, ERROR_INPUT, "%.300s: cannot be written: %s; it takes %.1f MB: %s", w->path, strerror(why),
                     (double)w->total / 1e6, advice);
}

static int write_all(struct engine_writer *w, const unsigned char *p, size_t n, struct error *e)
{
    while (n) {
        ssize_t written = write(w->fd, p, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return not_written(w, errno, e);
        p += written;
        n -= (size_t)written;
    }
    return OK;
}

static int flush(struct engine_writer *w, struct error *e)
{
    int code = write_all(w, w->buffer, w->buffered, e);
    w->buffered = 0;
    return code;
}

static int put(struct engine_writer *w, const void *bytes, size_t n, struct error *e)
{
    int code = OK;
    w->at += n;
    if (w->buffered + n > BUFFER)
        code = flush(w, e);
    if (!code && n > BUFFER)
        return write_all(w, bytes, n, e);
    if (!code && n) {
        memcpy(w->buffer + w->buffered, bytes, n);
        w->buffered += n;
    }
    return code;
}

static int put_number(struct engine_writer *w, uint64_t x, int bytes, struct error *e)
{
    unsigned char little[8];
    for (int i = 0; i < bytes; i++)
        little[i] = (unsigned char)(x >> 8 * i);
    return put(w, little, (size_t)bytes, e);
}

static int put_text(struct engine_writer *w, struct engine_text text, struct error *e)
{
    int code = put_number(w, text.length, 8, e);
    return code ? code : put(w, text.bytes, text.length, e);
}

static int put_padding(struct engine_writer *w, struct error *e)
{
    int code = OK;
    for (size_t n = padded(w, w->at) - w->at; n && !code; n--)
        code = put_number(w, 0, 1, e);
    return code;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static void add_number(struct string *to, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        const char byte = (char)(x >> 8 * i);
        string_append(to, &byte, 1);
    }
}

static void add_text(struct string *to, const char *bytes, size_t n)
{
    add_number(to, n, 8);
    string_append(to, bytes, n);
}

static void begin_key(struct engine_new_keys *k, const char *name, int kind)
{
    ARRAY_RESERVE(k->names, k->count, k->capacity);
    k->names[k->count++] = xstrdup(name);
    add_text(&k->bytes, name, strlen(name));
    add_number(&k->bytes, (uint64_t)kind, 4);
}

void engine_keys_drop(struct engine_new_keys *k, const char *name)
{
    ARRAY_RESERVE(k->names, k->count, k->capacity);
    k->names[k->count++] = xstrdup(name);
    k->dropped++;
}

void engine_keys_u32(struct engine_new_keys *k, const char *name, uint32_t value)
{
    begin_key(k, name, VALUE_U32);
    add_number(&k->bytes, value, 4);
}

static void add_float(struct string *to, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    add_number(to, bits, 4);
}

void engine_keys_f32(struct engine_new_keys *k, const char *name, float value)
{
    begin_key(k, name, VALUE_F32);
    add_float(&k->bytes, value);
}

void engine_keys_boolean(struct engine_new_keys *k, const char *name, int value)
{
    begin_key(k, name, VALUE_BOOLEAN);
    add_number(&k->bytes, value != 0, 1);
}

void engine_keys_text(struct engine_new_keys *k, const char *name, const char *text)
{
    begin_key(k, name, VALUE_TEXT);
    add_text(&k->bytes, text, strlen(text));
}

static void begin_array(struct engine_new_keys *k, const char *name, int kind, int n)
{
    begin_key(k, name, VALUE_ARRAY);
    add_number(&k->bytes, (uint64_t)kind, 4);
    add_number(&k->bytes, (uint64_t)n, 8);
}

void engine_keys_texts(struct engine_new_keys *k, const char *name, const struct engine_text *texts, int n)
{
    begin_array(k, name, VALUE_TEXT, n);
    for (int i = 0; i < n; i++)
        add_text(&k->bytes, texts[i].bytes, texts[i].length);
}

void engine_keys_integers(struct engine_new_keys *k, const char *name, const int32_t *values, int n)
{
    begin_array(k, name, VALUE_I32, n);
    for (int i = 0; i < n; i++)
        add_number(&k->bytes, (uint32_t)values[i], 4);
}

void engine_keys_floats(struct engine_new_keys *k, const char *name, const float *values, int n)
{
    begin_array(k, name, VALUE_F32, n);
    for (int i = 0; i < n; i++)
        add_float(&k->bytes, values[i]);
}

void engine_keys_head(const struct engine_new_keys *k, struct string *out)
{
    string_append(out, "GGUF", 4);
    add_number(out, VERSION, 4);
    add_number(out, 0, 8);
    add_number(out, (uint64_t)(k->count - k->dropped), 8);
    string_append(out, string_text(&k->bytes), k->bytes.length);
}

void engine_keys_free(struct engine_new_keys *k)
{
    for (int i = 0; i < k->count; i++)
        free(k->names[i]);
    string_free(&k->bytes);
    free(k->names);
    *k = (struct engine_new_keys){0};
}

/* --- tensors ----------------------------------------------------------------------------------------------------- */

void engine_tensors_add(struct engine_new_tensors *t, const char *name, int rows, int cols)
{
    ARRAY_RESERVE(t->list, t->count, t->capacity);
    t->list[t->count++] = (struct engine_new_tensor){.type = KERNEL_F32, .dimensions = rows ? 2 : 1, .size = {cols, rows ? rows : 1, 1, 1}};
    string_append(&t->names, name, strlen(name) + 1);
}

const struct engine_new_tensor *engine_tensors_list(struct engine_new_tensors *t)
{
    const char *at = t->names.text;
    for (int i = 0; i < t->count; i++, at += strlen(at) + 1)
        t->list[i].name = (struct engine_text){at, strlen(at)};
    return t->list;
}

void engine_tensors_free(struct engine_new_tensors *t)
{
    string_free(&t->names);
    free(t->list);
    *t = (struct engine_new_tensors){0};
}

/* --- the head of the file ---------------------------------------------------------------------------------------- */

static int is_new(struct engine_text name, const struct engine_new_keys *keys)
{
    for (int i = 0; i < keys->count; i++)
        if (name.length == strlen(keys->names[i]) && !memcmp(name.bytes, keys->names[i], name.length))
            return 1;
    return 0;
}

/* What is to be copied of from's keys, and counted. */
static struct engine_key *kept_keys(const struct engine_file *from, const struct engine_new_keys *keys, size_t *count)
{
    size_t all = from ? engine_file_key_count(from) : 0;
    struct engine_key *kept = input_alloc(all + 1, sizeof *kept);
    *count = 0;
    if (!kept)
        return NULL;
    if (from)
        engine_file_keys(from, kept);
    for (size_t i = 0; i < all; i++)
        if (!is_new(kept[i].name, keys))
            kept[(*count)++] = kept[i];
    return kept;
}

static int put_keys(struct engine_writer *w, const struct engine_key *kept, size_t kept_count, const struct engine_new_keys *keys,
                    struct error *e)
{
    int code = OK;
    for (size_t i = 0; i < kept_count && !code; i++)
        code = put(w, kept[i].whole.bytes, kept[i].whole.length, e);
    return code ? code : put(w, string_text(&keys->bytes), keys->bytes.length, e);
}

static int put_tensors(struct engine_writer *w, const struct engine_new_tensor *tensors, struct error *e)
{
    int code = OK;
    size_t offset = 0;
    for (int i = 0; i < w->count && !code; i++) {
        const struct engine_new_tensor *t = &tensors[i];
        code = put_text(w, t->name, e);
        if (!code)
            code = put_number(w, (uint64_t)t->dimensions, 4, e);
        for (int j = 0; j < t->dimensions && !code; j++)
            code = put_number(w, (uint64_t)t->size[j], 8, e);
        if (!code)
            code = put_number(w, engine_file_type_number(t->type), 4, e);
        if (!code)
            code = put_number(w, offset, 8, e);
        offset += padded(w, w->sizes[i]);
    }
    return code ? code : put_padding(w, e);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* Whether the path may be replaced: nothing is there, or a plain file that is not the one read from. */
static int check_target(const char *path, const struct engine_file *from, struct error *e)
{
    struct stat to, own;
    if (stat(path, &to))
        return OK; /* making the temporary file beside it says what is wrong with the folder */
    if (!S_ISREG(to.st_mode))
        return error_set(e, ERROR_INPUT, "%.300s: is not a plain file; expected the name of a file to write", path);
    if (from && !stat(engine_file_path(from), &own) && own.st_dev == to.st_dev && own.st_ino == to.st_ino)
        return error_set(e, ERROR_INPUT, "%.300s: is the file that is read; give the new one another name", path);
    return OK;
}

static int open_draft(struct engine_writer *w, struct error *e)
{
    w->fd = engine_draft_create(w->path, &w->draft, e);
    if (w->fd < 0)
        return ERROR_INPUT;
    int why = posix_fallocate(w->fd, 0, (off_t)w->total); /* a full disk is said now, not after minutes of work */
    return why == ENOSPC || why == EFBIG || why == EDQUOT ? not_written(w, why, e) : OK;
}

/* Sizes of everything; 0 when they are beyond what a file can have. */
static int plan(struct engine_writer *w, const struct engine_key *kept, size_t kept_count, const struct engine_new_keys *keys,
                const struct engine_new_tensor *tensors)
{
    size_t head = 24 + keys->bytes.length, data = 0;
    for (size_t i = 0; i < kept_count; i++)
        head += kept[i].whole.length;
    for (int i = 0; i < w->count; i++) {
        const struct engine_new_tensor *t = &tensors[i];
        const struct kernel_format *format = kernel_format(t->type);
        size_t blocks = (size_t)(t->size[0] / format->block);
        for (int j = 1; j < 4; j++)
            if (__builtin_mul_overflow(blocks, (size_t)t->size[j], &blocks))
                return 0;
        if (__builtin_mul_overflow(blocks, (size_t)format->bytes, &w->sizes[i]) || w->sizes[i] > SIZE_MAX / 4 - data)
            return 0;
        head += 8 + t->name.length + 4 + 8 * (size_t)t->dimensions + 4 + 8;
        data += padded(w, w->sizes[i]);
    }
    w->total = padded(w, head) + data;
    return 1;
}

int engine_writer_create(struct engine_writer **out, const char *path, const struct engine_file *from,
                         const struct engine_new_keys *keys, const struct engine_new_tensor *tensors, int tensor_count,
                         struct error *e)
{
    *out = NULL;
    int code = check_target(path, from, e);
    if (code)
        return code;
    struct engine_writer *w = xcalloc(1, sizeof *w);
    w->path = xstrdup(path);
    w->fd = -1;
    w->alignment = from ? engine_file_alignment(from) : ALIGNMENT;
    w->count = tensor_count;
    size_t kept_count;
    struct engine_key *kept = kept_keys(from, keys, &kept_count);
    w->sizes = input_alloc((size_t)tensor_count, sizeof *w->sizes);
    if (!kept || !w->sizes)
        code = error_set(e, ERROR_ENGINE, "%.300s: not enough memory for its keys and tensors", path);
    else if (!plan(w, kept, kept_count, keys, tensors))
        code = error_set(e, ERROR_INPUT, "%.300s: would have more bytes than a file can", path);
    if (!code)
        code = open_draft(w, e);
    if (!code && !(code = put(w, "GGUF", 4, e)) && !(code = put_number(w, VERSION, 4, e)) &&
        !(code = put_number(w, (uint64_t)tensor_count, 8, e)) &&
        !(code = put_number(w, kept_count + (size_t)(keys->count - keys->dropped), 8, e)) &&
        !(code = put_keys(w, kept, kept_count, keys, e)))
        code = put_tensors(w, tensors, e);
    free(kept);
    if (code) {
        engine_writer_free(w);
        return code;
    }
    w->left = tensor_count ? w->sizes[0] : 0;
    *out = w;
    return OK;
}

/* --- the rest of the file ---------------------------------------------------------------------------------------- */

size_t engine_writer_bytes(const struct engine_writer *w)
{
    return w->total;
}

int engine_writer_add(struct engine_writer *w, const void *bytes, size_t n, struct error *e)
{
    const unsigned char *p = bytes;
    int code = OK;
    while (n && !code) {
        size_t part = n < w->left ? n : w->left;
        code = put(w, p, part, e);
        p += part;
        n -= part;
        w->left -= part;
        if (!code && !w->left) {
            code = put_padding(w, e);
            w->tensor++;
            w->left = w->tensor < w->count ? w->sizes[w->tensor] : SIZE_MAX;
        }
    }
    return code;
}

int engine_writer_finish(struct engine_writer *w, struct error *e)
{
    int code = flush(w, e);
    if (!code && w->at != w->total)
        code =
            error_set(e, ERROR_ENGINE, "%.300s: %zu bytes were to be written, and %zu were", w->path, w->total, w->at);
    if (!code && fsync(w->fd))
        code = not_written(w, errno, e);
    if (code)
        return code;
    int closed = close(w->fd);
    w->fd = -1;
    if (closed || rename(w->draft, w->path))
        return not_written(w, errno, e);
    free(w->draft);
    w->draft = NULL;
    return OK;
}

void engine_writer_free(struct engine_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    if (w->draft)
        unlink(w->draft);
    free(w->draft);
    free(w->path);
    free(w->sizes);
    free(w);
}
