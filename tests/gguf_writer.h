/* GGUF files made in memory for tests: a struct string, field after field, little-endian as the format has it. */
#ifndef ESPALIER_TESTS_GGUF_WRITER_H
#define ESPALIER_TESTS_GGUF_WRITER_H

#include "kernels/kernels.h"

#include <string.h>

enum {
    PUT_U8,
    PUT_I8,
    PUT_U16,
    PUT_I16,
    PUT_U32,
    PUT_I32,
    PUT_F32,
    PUT_BOOL,
    PUT_TEXT,
    PUT_ARRAY,
    PUT_U64,
    PUT_I64,
    PUT_F64
};

static inline void put(struct string *s, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        char byte = (char)(x >> 8 * i);
        string_append(s, &byte, 1);
    }
}

static inline void put_bytes(struct string *s, const char *bytes, size_t n)
{
    put(s, n, 8);
    string_append(s, bytes, n);
}

static inline void put_text(struct string *s, const char *text)
{
    put_bytes(s, text, strlen(text));
}

static inline void put_header(struct string *s, uint32_t version, uint64_t tensors, uint64_t keys)
{
    string_append(s, "GGUF", 4);
    put(s, version, 4);
    put(s, tensors, 8);
    put(s, keys, 8);
}

static inline void put_key(struct string *s, const char *key, int type)
{
    put_text(s, key);
    put(s, (uint64_t)type, 4);
}

static inline void put_number(struct string *s, const char *key, int type, uint64_t x, int bytes)
{
    put_key(s, key, type);
    put(s, x, bytes);
}

static inline void put_key_text(struct string *s, const char *key, const char *text)
{
    put_key(s, key, PUT_TEXT);
    put_text(s, text);
}

static inline void put_key_array(struct string *s, const char *key, int element, uint64_t count)
{
    put_key(s, key, PUT_ARRAY);
    put(s, (uint64_t)element, 4);
    put(s, count, 8);
}

static inline void put_tensor(struct string *s, const char *name, int dimensions, const uint64_t *sizes, uint32_t type,
                              uint64_t offset)
{
    put_text(s, name);
    put(s, (uint64_t)dimensions, 4);
    for (int i = 0; i < dimensions; i++)
        put(s, sizes[i], 8);
    put(s, type, 4);
    put(s, offset, 8);
}

static inline void put_padding(struct string *s, size_t alignment)
{
    while (s->length % alignment)
        put(s, 0, 1);
}

#endif
