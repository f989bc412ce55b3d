/* GGUF files: a header, keys with values, tensor descriptions, then the tensors' bytes. One pass reads and checks all
 * of it; nothing read later can lie outside the mapping.
 *
 * Every count and length in the file is compared with the bytes that are left before it is used, so that a hostile file
 * can neither make the reader allocate more than a small multiple of its own size nor walk off its end.
 */
#include "engine/file.h"
#include "engine/file_memory.h"
#include "engine/folder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- what a GGUF is made of -------------------------------------------------------------------------------------- */

enum value_type { U8, I8, U16, I16, U32, I32, F32, BOOLEAN, TEXT, ARRAY, U64, I64, F64, VALUE_TYPES };

/* Bytes of a value; for texts and arrays the least they take (a length; a type and a count). */
static const unsigned value_bytes[VALUE_TYPES] = {
    [U8] = 1,      [I8] = 1,   [U16] = 2,    [I16] = 2, [U32] = 4, [I32] = 4, [F32] = 4,
    [BOOLEAN] = 1, [TEXT] = 8, [ARRAY] = 12, [U64] = 8, [I64] = 8, [F64] = 8,
};

enum {
    KEY_LEAST = 8 + 4 + 1,            /* an empty name, a type, one byte */
    TENSOR_LEAST = 8 + 4 + 8 + 4 + 8, /* an empty name, one dimension */
    NAME_MOST = 65535,                /* the format's own limit for keys */
    ARRAY_DEPTH = 4,
    ALIGNMENT_LEAST = 8, /* the format's own, and what makes reading floats in place sound */
    ALIGNMENT_DEFAULT = 32,
    NAME_SHOWN = 80, /* bytes of a name in a message */
};

/* ggml's names by number, those it has dropped too: a file is refused by the name its owner knows. */
static const char *const ggml_types[] = {
    "F32",        "F16",        "Q4_0",       "Q4_1",  "Q4_2",     "Q4_3",     "Q5_0",     "Q5_1",    "Q8_0",
    "Q8_1",       "Q2_K",       "Q3_K",       "Q4_K",  "Q5_K",     "Q6_K",     "Q8_K",     "IQ2_XXS", "IQ2_XS",
    "IQ3_XXS",    "IQ1_S",      "IQ4_NL",     "IQ3_S", "IQ2_S",    "IQ4_XS",   "I8",       "I16",     "I32",
    "I64",        "F64",        "IQ1_M",      "BF16",  "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",   "TQ2_0",
    "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4", "NVFP4",    "Q1_0",     "Q2_0",
};
enum { GGML_TYPES = sizeof ggml_types / sizeof *ggml_types };

/* Invariant: bytes is where the value begins in the mapping and all of it lies inside. For an array it is the first
 * element, element and count are set, and every text and inner array in it lies inside too. */
struct value {
    struct engine_text key;
    enum value_type type, element;
    uint64_t count;
    const unsigned char *bytes, *end; /* end: of the value */
};

/* Invariant: values are sorted by key, by_name holds the tensors' indices sorted by name, neither has equals. */
struct engine_file {
    char *path;
    const unsigned char *bytes;
    size_t size;
    int mapped;
    struct value *values;
    size_t value_count, alignment;
    struct engine_tensor *tensors; /* in the order of the file */
    int tensor_count;
    int *by_name;
    struct engine_folder *folder; /* then bytes are keys that it has made, tensors its own; else NULL */
};

static uint64_t little(const unsigned char *p, unsigned n)
{
    uint64_t x = 0;
    for (unsigned i = 0; i < n; i++)
        x |= (uint64_t)p[i] << 8 * i;
    return x;
}

static int text_compare(struct engine_text a, struct engine_text b)
{
    size_t n = a.length < b.length ? a.length : b.length;
    int order = n ? memcmp(a.bytes, b.bytes, n) : 0;
    return order ? order : a.length < b.length ? -1 : a.length > b.length;
}

/* --- reading with bounds ----------------------------------------------------------------------------------------- */

struct reader {
    struct engine_file *f;
    size_t at;
    char name[208]; /* the path, its beginning cut where it is long: the message after it must fit */
    struct error *e;
};

#define SAY(r, ...) error_set((r)->e, ERROR_INPUT, __VA_ARGS__)
#define FAIL(r, ...) (SAY(r, __VA_ARGS__), ERROR_INPUT) /* so that the compiler sees it never returns OK */
#define AGAIN "; download or copy it again"
#define DAMAGED ": the file is damaged"
#define SHOWN(text) (int)((text).length < NAME_SHOWN ? (text).length : NAME_SHOWN), (text).bytes

static size_t left(const struct reader *r)
{
    return r->f->size - r->at;
}

/* The next n bytes, which are `what`, or NULL and the error. */
static const unsigned char *take(struct reader *r, size_t n, const char *what)
{
    if (n > left(r)) {
        SAY(r, "%s: truncated: it has %zu bytes, and %s at byte %zu takes %zu" AGAIN, r->name, r->f->size, what, r->at,
            n);
        return NULL;
    }
    const unsigned char *p = r->f->bytes + r->at;
    r->at += n;
    return p;
}

static int take_number(struct reader *r, unsigned bytes, const char *what, uint64_t *out)
{
    const unsigned char *p = take(r, bytes, what);
    if (!p)
        return ERROR_INPUT;
    *out = little(p, bytes);
    return OK;
}

/* A text: a 64-bit length and as many bytes. */
static int take_text(struct reader *r, const char *what, struct engine_text *out)
{
    size_t start = r->at;
    uint64_t length;
    if (take_number(r, 8, what, &length))
        return ERROR_INPUT;
    if (length > left(r))
        return FAIL(r, "%s: truncated or damaged: %s at byte %zu says it has %llu bytes, but %zu are left" AGAIN,
                    r->name, what, start, (unsigned long long)length, left(r));
    out->bytes = (const char *)r->f->bytes + r->at;
    out->length = (size_t)length;
    r->at += out->length;
    return OK;
}

static int take_name(struct reader *r, const char *what, struct engine_text *out)
{
    size_t start = r->at;
    if (take_text(r, what, out))
        return ERROR_INPUT;
    if (out->length > NAME_MOST)
        return FAIL(r, "%s: %s at byte %zu is %zu bytes long; GGUF allows %d" DAMAGED, r->name, what, start,
                    out->length, NAME_MOST);
    return OK;
}

/* --- keys and values --------------------------------------------------------------------------------------------- */

static int known_value_type(struct reader *r, struct engine_text key, uint64_t type)
{
    if (type >= VALUE_TYPES)
        return FAIL(r, "%s: the value of %.*s at byte %zu is of type %llu; GGUF defines 0 to %d" DAMAGED, r->name,
                    SHOWN(key), r->at - 4, (unsigned long long)type, VALUE_TYPES - 1);
    return OK;
}

/* The elements' type and number, checked against the bytes that are left. */
static int take_array_head(struct reader *r, struct engine_text key, enum value_type *element, uint64_t *count)
{
    uint64_t type;
    if (take_number(r, 4, "the element type of an array", &type) || known_value_type(r, key, type) ||
        take_number(r, 8, "the length of an array", count))
        return ERROR_INPUT;
    *element = (enum value_type)type;
    if (*count > left(r) / value_bytes[type])
        return FAIL(r, "%s: truncated or damaged: array %.*s at byte %zu says it has %llu elements in %zu bytes" AGAIN,
                    r->name, SHOWN(key), r->at - 12, (unsigned long long)*count, left(r));
    return OK;
}

static int skip_elements(struct reader *r, struct engine_text key, enum value_type element, uint64_t count, int depth)
{
    if (element != TEXT && element != ARRAY) {
        r->at += (size_t)(count * value_bytes[element]);
        return OK;
    }
    if (element == ARRAY && depth >= ARRAY_DEPTH)
        return FAIL(r, "%s: the array %.*s at byte %zu has arrays within arrays more than %d deep" DAMAGED, r->name,
                    SHOWN(key), r->at, ARRAY_DEPTH);
    for (uint64_t i = 0; i < count; i++) {
        struct engine_text text;
        enum value_type inner;
        uint64_t inner_count;
        if (element == TEXT
                ? take_text(r, "a text in an array", &text)
                : take_array_head(r, key, &inner, &inner_count) || skip_elements(r, key, inner, inner_count, depth + 1))
            return ERROR_INPUT;
    }
    return OK;
}

static int take_value(struct reader *r, struct value *v)
{
    uint64_t type;
    struct engine_text text;
    if (take_name(r, "the name of a key", &v->key) || take_number(r, 4, "the type of a value", &type) ||
        known_value_type(r, v->key, type))
        return ERROR_INPUT;
    v->type = (enum value_type)type;
    if (v->type == ARRAY) {
        if (take_array_head(r, v->key, &v->element, &v->count))
            return ERROR_INPUT;
        v->bytes = r->f->bytes + r->at;
        return skip_elements(r, v->key, v->element, v->count, 1);
    }
    v->bytes = r->f->bytes + r->at;
    if (v->type == TEXT)
        return take_text(r, "a text", &text);
    if (!take(r, value_bytes[v->type], "a value"))
        return ERROR_INPUT;
    if (v->type == BOOLEAN && *v->bytes > 1)
        return FAIL(r, "%s: the boolean %.*s at byte %zu is %d; expected 0 or 1" DAMAGED, r->name, SHOWN(v->key),
                    r->at - 1, *v->bytes);
    return OK;
}

static int value_order(const void *a, const void *b)
{
    return text_compare(((const struct value *)a)->key, ((const struct value *)b)->key);
}

static int read_values(struct reader *r, uint64_t count)
{
    struct engine_file *f = r->f;
    f->values = input_alloc((size_t)count, sizeof *f->values);
    if (!f->values)
        return FAIL(r, "%s: not enough memory for its %llu keys", r->name, (unsigned long long)count);
    f->value_count = (size_t)count;
    for (size_t i = 0; i < f->value_count; i++) {
        if (take_value(r, &f->values[i]))
            return ERROR_INPUT;
        f->values[i].end = f->bytes + r->at;
    }
    qsort(f->values, f->value_count, sizeof *f->values, value_order);
    for (size_t i = 1; i < f->value_count; i++)
        if (!value_order(&f->values[i - 1], &f->values[i]))
            return FAIL(r, "%s: the key %.*s is there twice" DAMAGED, r->name, SHOWN(f->values[i].key));
    return OK;
}

static const struct value *find(const struct engine_file *f, const char *key)
{
    struct value wanted = {.key = {key, strlen(key)}};
    return f->value_count ? bsearch(&wanted, f->values, f->value_count, sizeof wanted, value_order) : NULL;
}

/* --- tensors ----------------------------------------------------------------------------------------------------- */

static int unknown_type(struct reader *r, struct engine_text name, uint64_t number)
{
    struct string known = {0};
    for (int t = 0; t < KERNEL_TYPES; t++)
        if (t != KERNEL_NF4)
            string_addf(&known, "%s%s", t ? ", " : "", kernel_format((enum kernel_type)t)->name);
    if (number < GGML_TYPES)
        SAY(r, "%s: tensor %.*s is %s; this version reads %s: take a file quantized to one of these", r->name,
            SHOWN(name), ggml_types[number], string_text(&known));
    else
        SAY(r, "%s: tensor %.*s is of type %llu, which ggml does not define; this version reads %s" DAMAGED, r->name,
            SHOWN(name), (unsigned long long)number, string_text(&known));
    string_free(&known);
    return ERROR_INPUT;
}

static int take_type(struct reader *r, struct engine_tensor *t)
{
    uint64_t number;
    if (take_number(r, 4, "the type of a tensor", &number))
        return ERROR_INPUT;
    for (int i = 0; number < GGML_TYPES && i < KERNEL_TYPES; i++)
        if (!strcmp(ggml_types[number], kernel_format((enum kernel_type)i)->name)) {
            t->type = (enum kernel_type)i;
            return OK;
        }
    return unknown_type(r, t->name, number);
}

uint32_t engine_file_type_number(enum kernel_type type)
{
    uint32_t number = 0;
    while (number < GGML_TYPES && strcmp(ggml_types[number], kernel_format(type)->name))
        number++;
    return number;
}

/* The tensor's dimensions and what follows from them; t->offset is still relative to the data. */
static int take_tensor(struct reader *r, struct engine_tensor *t)
{
    uint64_t dimensions, offset;
    if (take_name(r, "the name of a tensor", &t->name) || take_number(r, 4, "a number of dimensions", &dimensions))
        return ERROR_INPUT;
    if (dimensions < 1 || dimensions > 4)
        return FAIL(r, "%s: tensor %.*s at byte %zu has %llu dimensions; GGUF allows 1 to 4" DAMAGED, r->name,
                    SHOWN(t->name), r->at - 4, (unsigned long long)dimensions);
    t->dimensions = (int)dimensions;
    int64_t weights = 1;
    for (int i = 0; i < 4; i++) {
        uint64_t size = 1;
        if (i < t->dimensions && take_number(r, 8, "a dimension of a tensor", &size))
            return ERROR_INPUT;
        t->size[i] = (int64_t)size;
        if (!size || size > INT64_MAX || __builtin_mul_overflow(weights, t->size[i], &weights))
            return FAIL(r, "%s: dimension %d of tensor %.*s at byte %zu is %llu: no tensor has such a shape", r->name,
                        i, SHOWN(t->name), r->at - 8, (unsigned long long)size);
    }
    if (take_type(r, t))
        return ERROR_INPUT;
    const struct kernel_format *format = kernel_format(t->type);
    if (t->size[0] % format->block)
        return FAIL(r, "%s: rows of tensor %.*s have %lld weights, not a multiple of the %d in a block of %s" DAMAGED,
                    r->name, SHOWN(t->name), (long long)t->size[0], format->block, format->name);
    if (__builtin_mul_overflow((size_t)(weights / format->block), (size_t)format->bytes, &t->bytes))
        return FAIL(r, "%s: tensor %.*s has %lld weights, more than memory can address" DAMAGED, r->name,
                    SHOWN(t->name), (long long)weights);
    if (take_number(r, 8, "the offset of a tensor", &offset))
        return ERROR_INPUT;
    t->offset = (size_t)offset;
    return OK;
}

static int read_alignment(struct reader *r, size_t *out)
{
    const struct value *v = find(r->f, "general.alignment");
    int64_t alignment = ALIGNMENT_DEFAULT;
    if (v && !engine_file_integer(r->f, "general.alignment", &alignment))
        return FAIL(r, "%s: general.alignment is not an integer" DAMAGED, r->name);
    if (alignment < ALIGNMENT_LEAST || alignment & (alignment - 1))
        return FAIL(r, "%s: general.alignment is %lld; expected a power of two from %d up" DAMAGED, r->name,
                    (long long)alignment, ALIGNMENT_LEAST);
    *out = (size_t)alignment;
    return OK;
}

/* Turns the offset from relative to absolute and finds the bytes. */
static int place_tensor(struct reader *r, struct engine_tensor *t, size_t data, size_t alignment)
{
    size_t end, relative = t->offset;
    if (relative % alignment)
        return FAIL(r, "%s: tensor %.*s begins %zu after byte %zu, not a multiple of the alignment %zu" DAMAGED,
                    r->name, SHOWN(t->name), relative, data, alignment);
    if (__builtin_add_overflow(relative, data, &t->offset) || __builtin_add_overflow(t->offset, t->bytes, &end))
        return FAIL(r, "%s: tensor %.*s begins %zu after byte %zu, beyond any file" DAMAGED, r->name, SHOWN(t->name),
                    relative, data);
    if (end > r->f->size)
        return FAIL(r, "%s: truncated: the data of tensor %.*s end at byte %zu, but the file has %zu bytes" AGAIN,
                    r->name, SHOWN(t->name), end, r->f->size);
    t->data = r->f->bytes + t->offset;
    return OK;
}

static int tensor_name_order(const void *a, const void *b)
{
    return text_compare((*(struct engine_tensor *const *)a)->name, (*(struct engine_tensor *const *)b)->name);
}

static int tensor_offset_order(const void *a, const void *b)
{
    size_t x = (*(struct engine_tensor *const *)a)->offset, y = (*(struct engine_tensor *const *)b)->offset;
    return x < y ? -1 : x > y;
}

/* No two tensors of one name, none over another's bytes; fills by_name. sorted is scratch: pointers to all tensors. */
static int compare_tensors(struct reader *r, struct engine_tensor **sorted)
{
    struct engine_file *f = r->f;
    size_t n = (size_t)f->tensor_count;
    qsort(sorted, n, sizeof *sorted, tensor_offset_order);
    for (size_t i = 1; i < n && !f->folder; i++)
        if (sorted[i]->offset - sorted[i - 1]->offset < sorted[i - 1]->bytes)
            return FAIL(r, "%s: tensor %.*s at byte %zu overlaps tensor %.*s, at byte %zu and of %zu bytes" DAMAGED,
                        r->name, SHOWN(sorted[i]->name), sorted[i]->offset, SHOWN(sorted[i - 1]->name),
                        sorted[i - 1]->offset, sorted[i - 1]->bytes);
    qsort(sorted, n, sizeof *sorted, tensor_name_order);
    for (size_t i = 0; i < n; i++) {
        if (i && !tensor_name_order(&sorted[i - 1], &sorted[i]))
            return FAIL(r, "%s: tensor %.*s is there twice" DAMAGED, r->name, SHOWN(sorted[i]->name));
        f->by_name[i] = (int)(sorted[i] - f->tensors);
    }
    return OK;
}

static int index_tensors(struct reader *r)
{
    const size_t n = (size_t)r->f->tensor_count;
    struct engine_tensor **sorted = input_alloc(n, sizeof *sorted);
    if (!sorted)
        return FAIL(r, "%s: not enough memory for its %zu tensors", r->name, n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &r->f->tensors[i];
    int code = compare_tensors(r, sorted);
    free(sorted);
    return code;
}

/* Those of the folder, which has checked them, in the place of those the keys come without. */
static int take_tensors(struct reader *r)
{
    struct engine_file *f = r->f;
    const struct engine_tensor *tensors = engine_folder_tensors(f->folder, &f->tensor_count);
    const size_t n = (size_t)f->tensor_count;
    free(f->tensors);
    free(f->by_name);
    f->tensors = xcalloc(n, sizeof *f->tensors);
    f->by_name = xcalloc(n, sizeof *f->by_name);
    if (n)
        memcpy(f->tensors, tensors, n * sizeof *tensors);
    return index_tensors(r);
}

static int read_tensors(struct reader *r, uint64_t count)
{
    struct engine_file *f = r->f;
    size_t n = (size_t)count, alignment;
    f->tensors = input_alloc(n, sizeof *f->tensors);
    f->by_name = input_alloc(n, sizeof *f->by_name);
    if (!f->tensors || !f->by_name)
        return FAIL(r, "%s: not enough memory for its %zu tensors", r->name, n);
    f->tensor_count = (int)count;
    for (size_t i = 0; i < n; i++)
        if (take_tensor(r, &f->tensors[i]))
            return ERROR_INPUT;
    if (read_alignment(r, &alignment))
        return ERROR_INPUT;
    f->alignment = alignment;
    size_t data = r->at + (alignment - r->at % alignment) % alignment;
    for (size_t i = 0; i < n; i++)
        if (place_tensor(r, &f->tensors[i], data, alignment))
            return ERROR_INPUT;
    return index_tensors(r);
}

/* --- the beginning of the file ----------------------------------------------------------------------------------- */

/* What people hand over in a GGUF's place, told by its first bytes. */
static const char *resembles(const unsigned char *p, size_t n)
{
    static const struct {
        const char *magic;
        size_t bytes;
        const char *what;
    } kinds[] = {
        {"lmgg", 4, "it looks like a GGML file from before GGUF: convert it anew from the original model"},
        {"fmgg", 4, "it looks like a GGMF file from before GGUF: convert it anew from the original model"},
        {"tjgg", 4, "it looks like a GGJT file from before GGUF: convert it anew from the original model"},
        {"algg", 4, "it looks like a LoRA adapter from before GGUF: convert it anew"},
        {"PK\3\4", 4, "it looks like a PyTorch checkpoint or another zip archive: convert the model to GGUF"},
        {"\x80\2", 2, "it looks like a PyTorch checkpoint: convert the model to GGUF"},
        {"version https://git-lfs", 23, "it is a Git LFS pointer, not the file itself: fetch it with git lfs pull"},
        {"\x1f\x8b", 2, "it is compressed with gzip: unpack it first"},
        {"\x28\xb5\x2f\xfd", 4, "it is compressed with zstd: unpack it first"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (n >= kinds[i].bytes && !memcmp(p, kinds[i].magic, kinds[i].bytes))
            return kinds[i].what;
    if (n >= 9 && p[8] == '{' && little(p, 8) < (uint64_t)1 << 32)
        return "it looks like a safetensors file: name the folder it lies in";
    while (n && isspace(*p))
        p++, n--;
    if (n && *p == '<')
        return "it looks like a web page: the download went wrong, download it again";
    if (n && *p == '{')
        return "it looks like JSON: name the model's GGUF file, or the folder it lies in";
    return "name a model's GGUF file";
}

static int read_magic(struct reader *r)
{
    const unsigned char *p = r->f->bytes;
    size_t n = r->f->size;
    struct string found = {0};
    if (!n)
        return FAIL(r, "%s: the file is empty; expected a GGUF file" AGAIN, r->name);
    if (n >= 4 && !memcmp(p, "GGUF", 4)) {
        r->at = 4;
        return OK;
    }
    for (size_t i = 0; i < n && i < 4; i++)
        string_addf(&found, isprint(p[i]) ? "%c" : "\\x%02x", p[i]);
    SAY(r, "%s: not a GGUF file: it begins with \"%s\", expected \"GGUF\"; %s", r->name, string_text(&found),
        resembles(p, n));
    string_free(&found);
    return ERROR_INPUT;
}

static int read_version(struct reader *r)
{
    uint64_t number;
    if (take_number(r, 4, "the version", &number))
        return ERROR_INPUT;
    unsigned version = (unsigned)number;
    if (version && !(version & 0xffff))
        return FAIL(r, "%s: a big-endian GGUF file (version %u); convert it to little-endian: gguf_convert_endian.py",
                    r->name, __builtin_bswap32(version));
    if (version < 2)
        return FAIL(r, "%s: GGUF version %u; this version reads 2 and 3: convert it anew from the original model",
                    r->name, version);
    if (version > 3)
        return FAIL(r, "%s: GGUF version %u; this version reads 2 and 3: take an older file or a newer espalier",
                    r->name, version);
    return OK;
}

static int read_count(struct reader *r, const char *of, size_t least, uint64_t most, uint64_t *out)
{
    size_t start = r->at;
    if (take_number(r, 8, "a count", out))
        return ERROR_INPUT;
    if (*out > left(r) / least || *out > most)
        return FAIL(r, "%s: truncated or damaged: the number of %s at byte %zu is %llu, more than %zu bytes hold" AGAIN,
                    r->name, of, start, (unsigned long long)*out, r->f->size);
    return OK;
}

static int read_all(struct engine_file *f, struct error *e)
{
    struct reader r = {.f = f, .e = e};
    size_t length = strlen(f->path), most = sizeof r.name - 1;
    snprintf(r.name, sizeof r.name, "%s%s", length > most ? "..." : "",
             f->path + (length > most ? length - most + 3 : 0));
    uint64_t tensors, values;
    if (read_magic(&r) || read_version(&r) || read_count(&r, "tensors", TENSOR_LEAST, INT_MAX, &tensors) ||
        read_count(&r, "keys", KEY_LEAST, SIZE_MAX, &values) || read_values(&r, values))
        return ERROR_INPUT;
    int code = read_tensors(&r, tensors);
    return code || !f->folder ? code : take_tensors(&r);
}

/* --- opening and closing ----------------------------------------------------------------------------------------- */

static int open_bytes(struct engine_file **out, const char *path, const void *bytes, size_t n, int mapped,
                      struct engine_folder *folder, struct error *e)
{
    struct engine_file *f = xcalloc(1, sizeof *f);
    f->path = xstrdup(path);
    f->bytes = bytes;
    f->size = n;
    f->mapped = mapped;
    f->folder = folder;
    int code = read_all(f, e);
    if (code) {
        engine_file_close(f);
        f = NULL;
    }
    *out = f;
    return code;
}

int engine_file_open_memory(struct engine_file **out, const char *name, const void *bytes, size_t n, struct error *e)
{
    return open_bytes(out, name, bytes, n, 0, NULL, e);
}

static int open_folder(struct engine_file **out, const char *path, struct error *e)
{
    struct engine_folder *folder;
    int code = engine_folder_open(&folder, path, e);
    if (code)
        return code;
    const struct string *keys = engine_folder_keys(folder);
    return open_bytes(out, path, keys->text, keys->length, 0, folder, e);
}

static const char *kind_of(mode_t mode)
{
    return S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static int open_failed(const char *path, int why, struct error *e)
{
    const char *advice = why == ENOENT   ? "check the path, or get a model first"
                         : why == EACCES ? "make it readable"
                                         : "name a model's GGUF file";
    return error_set(e, ERROR_INPUT, "%.200s: cannot open: %s; %s", path, strerror(why), advice);
}

int engine_file_open(struct engine_file **out, const char *path, struct error *e)
{
    *out = NULL;
    if (!path || !*path)
        return error_set(e, ERROR_INPUT, "no model file was named; name a model's GGUF file or its folder");
    struct stat status;
    if (!stat(path, &status) && S_ISDIR(status.st_mode))
        return open_folder(out, path, e);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a pipe without a writer must not hang us */
    if (fd < 0)
        return open_failed(path, errno, e);
    int code = OK;
    void *bytes = NULL;
    if (fstat(fd, &status))
        code = open_failed(path, errno, e);
    else if (!S_ISREG(status.st_mode))
        code = error_set(e, ERROR_INPUT, "%.200s: is %s; expected a GGUF file", path, kind_of(status.st_mode));
    else if (status.st_size &&
             (bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        code = error_set(e, ERROR_INPUT, "%.200s: cannot map its %lld bytes: %s", path, (long long)status.st_size,
                         strerror(errno));
    close(fd);
    return code ? code : open_bytes(out, path, bytes, (size_t)status.st_size, 1, NULL, e);
}

void engine_file_close(struct engine_file *f)
{
    if (!f)
        return;
    if (f->mapped && f->size)
        munmap((void *)f->bytes, f->size);
    engine_folder_close(f->folder);
    free(f->path);
    free(f->values);
    free(f->tensors);
    free(f->by_name);
    free(f);
}

const char *engine_file_path(const struct engine_file *f)
{
    return f->path;
}

int engine_file_is_folder(const struct engine_file *f)
{
    return f->folder != NULL;
}

uint64_t engine_file_sum(const struct engine_file *f)
{
    const uint64_t own = hash_bytes(f->bytes, f->size);
    return f->folder ? random_stream(own, engine_folder_sum(f->folder), 0) : own;
}

size_t engine_file_bytes(const struct engine_file *f)
{
    return f->folder ? engine_folder_bytes(f->folder) : f->size;
}

/* --- looking values up ------------------------------------------------------------------------------------------- */

/* 1 and the number when the type is an integer's and the value fits. */
static int integer_at(enum value_type type, const unsigned char *p, int64_t *out)
{
    uint64_t x = little(p, value_bytes[type]);
    switch (type) {
    case U8:
    case U16:
    case U32:
    case I64:
        *out = (int64_t)x;
        return 1;
    case U64:
        *out = (int64_t)x;
        return x <= INT64_MAX;
    case I8:
        *out = (int8_t)x;
        return 1;
    case I16:
        *out = (int16_t)x;
        return 1;
    case I32:
        *out = (int32_t)x;
        return 1;
    default:
        return 0;
    }
}

int engine_file_integer(const struct engine_file *f, const char *key, int64_t *out)
{
    const struct value *v = find(f, key);
    int64_t x;
    if (!v || v->type == TEXT || v->type == ARRAY || !integer_at(v->type, v->bytes, &x))
        return 0;
    *out = x;
    return 1;
}

/* 1 and the number when the type is a float's. */
static int number_at(enum value_type type, const unsigned char *p, double *out)
{
    if (type == F32) {
        uint32_t bits = (uint32_t)little(p, 4);
        float x;
        memcpy(&x, &bits, sizeof x);
        *out = (double)x;
        return 1;
    }
    if (type == F64) {
        uint64_t bits = little(p, 8);
        memcpy(out, &bits, sizeof *out);
        return 1;
    }
    return 0;
}

int engine_file_number(const struct engine_file *f, const char *key, double *out)
{
    const struct value *v = find(f, key);
    return v && number_at(v->type, v->bytes, out);
}

int engine_file_boolean(const struct engine_file *f, const char *key, int *out)
{
    const struct value *v = find(f, key);
    if (!v || v->type != BOOLEAN)
        return 0;
    *out = *v->bytes;
    return 1;
}

static const unsigned char *text_at(const unsigned char *p, struct engine_text *out)
{
    out->length = (size_t)little(p, 8);
    out->bytes = (const char *)p + 8;
    return p + 8 + out->length;
}

int engine_file_text(const struct engine_file *f, const char *key, struct engine_text *out)
{
    const struct value *v = find(f, key);
    if (!v || v->type != TEXT)
        return 0;
    text_at(v->bytes, out);
    return 1;
}

int64_t engine_file_texts(const struct engine_file *f, const char *key)
{
    const struct value *v = find(f, key);
    return v && v->type == ARRAY && v->element == TEXT ? (int64_t)v->count : -1;
}

void engine_file_texts_get(const struct engine_file *f, const char *key, struct engine_text *out)
{
    const struct value *v = find(f, key);
    const unsigned char *p = v->bytes;
    for (uint64_t i = 0; i < v->count; i++)
        p = text_at(p, &out[i]);
}

int64_t engine_file_integers(const struct engine_file *f, const char *key)
{
    const struct value *v = find(f, key);
    int64_t x;
    if (!v || v->type != ARRAY || v->element == TEXT || v->element == ARRAY || v->element == F32 || v->element == F64)
        return -1;
    for (uint64_t i = 0; i < v->count && v->element != BOOLEAN; i++)
        if (!integer_at(v->element, v->bytes + i * value_bytes[v->element], &x))
            return -1;
    return (int64_t)v->count;
}

void engine_file_integers_get(const struct engine_file *f, const char *key, int64_t *out)
{
    const struct value *v = find(f, key);
    for (uint64_t i = 0; i < v->count; i++)
        if (v->element == BOOLEAN)
            out[i] = v->bytes[i];
        else
            integer_at(v->element, v->bytes + i * value_bytes[v->element], &out[i]);
}

int64_t engine_file_numbers(const struct engine_file *f, const char *key)
{
    const struct value *v = find(f, key);
    return v && v->type == ARRAY && (v->element == F32 || v->element == F64) ? (int64_t)v->count : -1;
}

void engine_file_numbers_get(const struct engine_file *f, const char *key, double *out)
{
    const struct value *v = find(f, key);
    for (uint64_t i = 0; i < v->count; i++)
        number_at(v->element, v->bytes + i * value_bytes[v->element], &out[i]);
}

/* --- looking tensors up ------------------------------------------------------------------------------------------ */

int engine_tensor_is(const struct engine_tensor *t, const char *name)
{
    return t->name.length == strlen(name) && !memcmp(t->name.bytes, name, t->name.length);
}

int engine_file_tensor_count(const struct engine_file *f)
{
    return f->tensor_count;
}

const struct engine_tensor *engine_file_tensor_at(const struct engine_file *f, int i)
{
    return &f->tensors[i];
}

const struct engine_tensor *engine_file_tensor(const struct engine_file *f, const char *name)
{
    struct engine_text wanted = {name, strlen(name)};
    for (int low = 0, high = f->tensor_count; low < high;) {
        int middle = low + (high - low) / 2;
        const struct engine_tensor *t = &f->tensors[f->by_name[middle]];
        int order = text_compare(wanted, t->name);
        if (!order)
            return t;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void engine_file_release(const struct engine_file *f, const void *data, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)data + page - 1) / page * page, last = ((uintptr_t)data + bytes) / page * page;
    const uintptr_t own = (uintptr_t)f->bytes;
    const int maps = f->folder ? engine_folder_maps(f->folder, data) : f->mapped && (uintptr_t)data >= own && (uintptr_t)data - own < f->size;
    if (maps && first < last) /* what was made from the file is memory like any other */
        madvise((void *)first, last - first, MADV_DONTNEED); /* a private mapping nobody has written: only a copy goes */
}

/* --- for copies -------------------------------------------------------------------------------------------------- */

static int key_place(const void *a, const void *b)
{
    const char *x = ((const struct engine_key *)a)->whole.bytes, *y = ((const struct engine_key *)b)->whole.bytes;
    return x < y ? -1 : x > y;
}

size_t engine_file_key_count(const struct engine_file *f)
{
    return f->value_count;
}

void engine_file_keys(const struct engine_file *f, struct engine_key *out)
{
    for (size_t i = 0; i < f->value_count; i++) {
        const struct value *v = &f->values[i];
        const char *begin = v->key.bytes - 8; /* its length */
        out[i] = (struct engine_key){v->key, {begin, (size_t)((const char *)v->end - begin)}};
    }
    if (f->value_count)
        qsort(out, f->value_count, sizeof *out, key_place);
}

size_t engine_file_alignment(const struct engine_file *f)
{
    return f->alignment;
}
