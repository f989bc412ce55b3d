#include "engine/names.h"

#include <stdlib.h>
#include <string.h>

struct engine_text engine_names_text(const struct engine_names *n, uint32_t number)
{
    return (struct engine_text){n->pool.text + n->items[number].at, n->items[number].length};
}

/* The place of the text in the index: its own, or the empty one where it belongs. */
static uint32_t *place_of(const struct engine_names *n, struct engine_text text)
{
    size_t i = (size_t)hash_bytes(text.bytes, text.length) & n->index_mask;
    for (; n->index[i]; i = (i + 1) & n->index_mask) {
        struct engine_text there = engine_names_text(n, n->index[i] - 1);
        if (there.length == text.length && !memcmp(there.bytes, text.bytes, text.length))
            break;
    }
    return &n->index[i];
}

static uint32_t add(struct engine_names *n, struct engine_text text)
{
    ARRAY_RESERVE(n->items, n->count, n->capacity);
    n->items[n->count] = (struct engine_name){n->pool.length, text.length};
    string_append(&n->pool, text.bytes, text.length);
    return n->count++;
}

int64_t engine_names_find(const struct engine_names *n, struct engine_text text)
{
    return text.length ? (int64_t)*place_of(n, text) - 1 : -1;
}

uint32_t engine_names_put(struct engine_names *n, struct engine_text text)
{
    uint32_t *place = place_of(n, text);
    if (!*place)
        *place = add(n, text) + 1;
    return *place - 1;
}

int engine_names_create(struct engine_names *n, const struct engine_text *names, int count, size_t more, const char *path, struct error *e)
{
    size_t places = 64;
    while (places < 2 * ((size_t)count + more))
        places *= 2;
    *n = (struct engine_names){.index_mask = places - 1, .index = input_alloc(places, sizeof *n->index)};
    if (!n->index)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for its %d tokens", path, count);
    for (int i = 0; i < count; i++) {
        uint32_t *place = names[i].length ? place_of(n, names[i]) : NULL;
        if (place && *place)
            return error_set(e, ERROR_INPUT, "%.200s: tokens %u and %d are both \"%.*s\": the file is damaged", path, *place - 1, i,
                             (int)(names[i].length < 80 ? names[i].length : 80), names[i].bytes);
        uint32_t number = add(n, names[i]);
        if (place)
            *place = number + 1;
    }
    return OK;
}

void engine_names_free(struct engine_names *n)
{
    string_free(&n->pool);
    free(n->items);
    free(n->index);
    *n = (struct engine_names){0};
}
