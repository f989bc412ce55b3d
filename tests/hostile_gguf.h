/* Hostile GGUF files: every field of a good one at its extremes, every text one that none is, what stands once there twice, tensors over each
 * other, shapes turned over, weights that are no numbers.
 *
 * The good file is walked by the format, not by its reader, and anew: what it is asked about is where its fields are.
 */
#ifndef ESPALIER_TESTS_HOSTILE_GGUF_H
#define ESPALIER_TESTS_HOSTILE_GGUF_H

#include "hostile.h"

enum hostile_kind { HOSTILE_NUMBER, HOSTILE_SHAPE, HOSTILE_LENGTH, HOSTILE_KEY, HOSTILE_TENSOR, HOSTILE_SIZES, HOSTILE_TENSOR_END };
struct hostile_field {
    enum hostile_kind kind;
    /* SHAPE: of a value of four bytes that says what the model is like. LENGTH: of a text, which follows. KEY, TENSOR: where its description
     * begins. SIZES: its dimensions. TENSOR_END: its offset, which is last */
    size_t at;
    int width; /* bytes; SIZES: how many */
};
struct hostile_gguf {
    const struct string *file;
    size_t at, data; /* data: where the tensors' bytes begin */
    struct hostile_field *fields;
    int count, capacity;
};

static inline void hostile_field(struct hostile_gguf *g, enum hostile_kind kind, size_t at, int width)
{
    ARRAY_RESERVE(g->fields, g->count, g->capacity);
    g->fields[g->count++] = (struct hostile_field){kind, at, width};
}

static inline uint64_t hostile_take(struct hostile_gguf *g, int width)
{
    const uint64_t x = hostile_little(g->file->text + g->at, width);
    hostile_field(g, HOSTILE_NUMBER, g->at, width);
    g->at += (size_t)width;
    return x;
}

static inline void hostile_take_text(struct hostile_gguf *g)
{
    hostile_field(g, HOSTILE_LENGTH, g->at, 8);
    const uint64_t length = hostile_take(g, 8);
    g->at += (size_t)length;
}

static inline void hostile_take_value(struct hostile_gguf *g, uint64_t type)
{
    static const int widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) {
        hostile_take_text(g);
    } else if (type == 9) {
        const uint64_t element = hostile_take(g, 4), count = hostile_take(g, 8);
        for (uint64_t i = 0; i < count; i++) {
            const int fields = g->count;
            hostile_take_value(g, element);
            if (i > 1 && i + 1 < count) /* of a long list the first two and the last are enough */
                g->count = fields;
        }
    } else {
        hostile_take(g, widths[type]);
    }
}

static inline void hostile_walk(struct hostile_gguf *g, const struct string *file)
{
    *g = (struct hostile_gguf){.file = file};
    hostile_take(g, 4), hostile_take(g, 4);
    uint64_t tensors = hostile_take(g, 8), keys = hostile_take(g, 8);
    for (uint64_t i = 0; i < keys; i++) {
        hostile_field(g, HOSTILE_KEY, g->at, 0);
        hostile_take_text(g);
        const int of_model = !memcmp(file->text + g->fields[g->count - 1].at + 8, "llama.", 6);
        const uint64_t type = hostile_take(g, 4);
        if (of_model && type >= 4 && type <= 6)
            hostile_field(g, HOSTILE_SHAPE, g->at, 4);
        hostile_take_value(g, type);
    }
    for (uint64_t i = 0; i < tensors; i++) {
        hostile_field(g, HOSTILE_TENSOR, g->at, 0);
        hostile_take_text(g);
        const int dimensions = (int)hostile_take(g, 4);
        hostile_field(g, HOSTILE_SIZES, g->at, dimensions);
        for (int d = 0; d < dimensions; d++)
            hostile_take(g, 8);
        hostile_take(g, 4);
        hostile_field(g, HOSTILE_TENSOR_END, g->at, 8);
        hostile_take(g, 8);
    }
    g->data = g->at + (32 - g->at % 32) % 32; /* the good ones have an alignment of 16 or 32, and keep to 32 */
}

/* A head of another length before the same data. */
static inline void hostile_hand_head(struct corpus *c, const struct hostile_gguf *g, struct string *head)
{
    while (head->length % 32)
        string_append(head, "", 1);
    if (g->data < g->file->length)
        string_append(head, g->file->text + g->data, g->file->length - g->data);
    hostile_hand(c, string_text(head), head->length);
    string_free(head);
}

static inline void hostile_gguf_texts(struct corpus *c, const struct hostile_gguf *g, const struct hostile_field *f)
{
    const size_t was = (size_t)hostile_little(g->file->text + f->at, 8);
    const struct string head_was = {.text = g->file->text, .length = g->at};
    for (int i = 0; i < HOSTILE_TEXTS; i++) {
        struct string text = {0}, head = {0};
        char length[8];
        hostile_put(length, 8, hostile_texts[i].n);
        string_append(&text, length, 8);
        string_append(&text, hostile_texts[i].bytes, hostile_texts[i].n);
        hostile_splice(&head, &head_was, f->at, 8 + was, text.text, text.length);
        hostile_name(c, "text-%zu-%d", f->at, i);
        hostile_hand_head(c, g, &head);
        string_free(&text);
    }
}

/* A part of the head once more, and left out, counted: a key or a tensor of a name that is there, or is missed. */
static inline void hostile_gguf_twice(struct corpus *c, const struct hostile_gguf *g, size_t from, size_t to, size_t count_at)
{
    const struct string head_was = {.text = g->file->text, .length = g->at};
    struct string head = {0};
    hostile_splice(&head, &head_was, to, 0, g->file->text + from, to - from);
    hostile_put(head.text + count_at, 8, hostile_little(head.text + count_at, 8) + 1);
    hostile_name(c, "twice-%zu", from);
    hostile_hand_head(c, g, &head);
    hostile_splice(&head, &head_was, from, to - from, "", 0);
    hostile_put(head.text + count_at, 8, hostile_little(head.text + count_at, 8) - 1);
    hostile_name(c, "without-%zu", from);
    hostile_hand_head(c, g, &head);
}

static inline void hostile_gguf_structure(struct corpus *c, const struct hostile_gguf *g, int i)
{
    const struct hostile_field *f = &g->fields[i];
    int next = i + 1;
    while (next < g->count && g->fields[next].kind != HOSTILE_KEY && g->fields[next].kind != HOSTILE_TENSOR)
        next++;
    const size_t end = next < g->count ? g->fields[next].at : g->at;
    hostile_gguf_twice(c, g, f->at, end, f->kind == HOSTILE_KEY ? 16 : 8);
}

/* Shapes turned over, and as many dimensions more or less. */
static inline void hostile_gguf_sizes(struct corpus *c, const struct hostile_gguf *g, const struct hostile_field *f)
{
    const struct string head_was = {.text = g->file->text, .length = g->at};
    if (f->width >= 2) {
        struct string turned = {0};
        string_append(&turned, g->file->text, g->file->length);
        memcpy(turned.text + f->at, g->file->text + f->at + 8, 8);
        memcpy(turned.text + f->at + 8, g->file->text + f->at, 8);
        hostile_name(c, "turned-%zu", f->at);
        hostile_hand(c, turned.text, turned.length);
        string_free(&turned);
    }
    for (int dimensions = 0; dimensions <= 5; dimensions++) {
        struct string head = {0};
        char sizes[4 + 8 * 5] = {0};
        hostile_put(sizes, 4, (uint64_t)dimensions);
        for (int d = 0; d < dimensions; d++)
            hostile_put(sizes + 4 + 8 * d, 8, d < f->width ? hostile_little(g->file->text + f->at + 8 * d, 8) : d == 4 ? UINT64_MAX : 1);
        hostile_splice(&head, &head_was, f->at - 4, 4 + 8 * (size_t)f->width, sizes, 4 + 8 * (size_t)dimensions);
        hostile_name(c, "dimensions-%zu-%d", f->at, dimensions);
        hostile_hand_head(c, g, &head);
    }
}

/* Every tensor where every other is, a byte, an alignment and half of it beside that. */
static inline void hostile_gguf_overlaps(struct corpus *c, const struct hostile_gguf *g)
{
    static const uint64_t by[] = {0, 1, 16, 32};
    struct string copy = {0};
    string_append(&copy, g->file->text, g->file->length);
    for (int i = 0; i < g->count; i++)
        for (int j = 0; j < g->count; j++)
            for (size_t k = 0; k < sizeof by / sizeof *by && i != j; k++) {
                const size_t at = g->fields[i].at, other = g->fields[j].at;
                if (g->fields[i].kind != HOSTILE_TENSOR_END || g->fields[j].kind != HOSTILE_TENSOR_END)
                    break;
                hostile_put(copy.text + at, 8, hostile_little(g->file->text + other, 8) + by[k]);
                hostile_name(c, "over-%zu-%zu-%zu", at, other, k);
                hostile_hand(c, copy.text, copy.length);
                memcpy(copy.text, g->file->text, g->file->length);
            }
    string_free(&copy);
}

/* Three sizes in the metadata that are as great as they may be, together: what is taken before the tensors are looked at would be their product. */
static inline void hostile_gguf_shapes(struct corpus *c, const struct hostile_gguf *g)
{
    enum { MOST = 32, MANY = 1024, WIDE = 1 << 18 };
    size_t at[MOST];
    int n = 0;
    struct string copy = {0};
    string_append(&copy, g->file->text, g->file->length);
    for (int i = 0; i < g->count && n < MOST; i++)
        if (g->fields[i].kind == HOSTILE_SHAPE)
            at[n++] = g->fields[i].at;
    for (int i = 0; i < n * n * n; i++) {
        const size_t many = at[i % n], more = at[i / n % n], wide = at[i / n / n];
        hostile_put(copy.text + many, 4, MANY);
        hostile_put(copy.text + more, 4, MANY);
        hostile_put(copy.text + wide, 4, WIDE);
        hostile_name(c, "great-%zu-%zu-%zu", many, more, wide);
        if (many <= more)
            hostile_hand(c, copy.text, copy.length);
        memcpy(copy.text, g->file->text, g->file->length);
    }
    string_free(&copy);
}

/* Arrays within arrays. */
static inline void hostile_gguf_nested(struct corpus *c, const struct hostile_gguf *g)
{
    static const int depths[] = {1, 3, 4, 5, 6, 100, 100000};
    const struct string head_was = {.text = g->file->text, .length = g->at};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        struct string key = {0}, head = {0};
        char number[12] = {9, 0, 0, 0, 1};
        string_append(&key, "\4\0\0\0\0\0\0\0deep\11\0\0\0", 16);
        for (int d = 1; d < depths[i]; d++)
            string_append(&key, number, 12);
        number[0] = 0;
        string_append(&key, number, 12);
        string_append(&key, "\1", 1);
        hostile_splice(&head, &head_was, 24, 0, key.text, key.length);
        hostile_put(head.text + 16, 8, hostile_little(head.text + 16, 8) + 1);
        hostile_name(c, "nested-%d", depths[i]);
        hostile_hand_head(c, g, &head);
        string_free(&key);
    }
}

/* Weights, norms and scales that are no numbers, or huge: at the beginning of each 32 bytes of data, one after the other and all at once. */
static inline void hostile_gguf_weights(struct corpus *c, const struct hostile_gguf *g, size_t step)
{
    static const char values[][5] = {"\x00\x00\xc0\x7f", "\x00\x00\x80\x7f", "\x00\x7c\x00\x7c",
                                     "\x00\x7e\xff\xff", "\xff\xff\x7f\x7f", "\xff\x7b\xff\x7b"};
    struct string copy = {0};
    string_append(&copy, g->file->text, g->file->length);
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        for (size_t at = g->data; at + 4 <= copy.length; at += step) {
            memcpy(copy.text + at, values[v], 4);
            hostile_name(c, "weight-%zu-%zu", at, v);
            hostile_hand(c, copy.text, copy.length);
            memcpy(copy.text + at, g->file->text + at, 4);
        }
        for (size_t at = g->data; at + 4 <= copy.length; at += 4)
            memcpy(copy.text + at, values[v], 4);
        hostile_name(c, "weights-%zu", v);
        hostile_hand(c, copy.text, copy.length);
        memcpy(copy.text, g->file->text, g->file->length);
    }
    string_free(&copy);
}

static inline void hostile_gguf(struct corpus *c, const struct string *good)
{
    struct hostile_gguf g;
    hostile_walk(&g, good);
    hostile_name(c, "good");
    hostile_hand(c, good->text, good->length);
    hostile_cuts(c, good, g.data + 64, 61);
    hostile_flips(c, good, g.at, 400);
    hostile_flips(c, good, good->length, 100);
    for (int i = 0; i < g.count; i++) {
        const struct hostile_field *f = &g.fields[i];
        if (f->kind == HOSTILE_NUMBER)
            hostile_number(c, good, f->at, f->width);
        else if (f->kind == HOSTILE_LENGTH)
            hostile_gguf_texts(c, &g, f);
        else if (f->kind == HOSTILE_KEY || f->kind == HOSTILE_TENSOR)
            hostile_gguf_structure(c, &g, i);
        else if (f->kind == HOSTILE_SIZES)
            hostile_gguf_sizes(c, &g, f);
    }
    hostile_gguf_overlaps(c, &g);
    hostile_gguf_shapes(c, &g);
    hostile_gguf_nested(c, &g);
    hostile_gguf_weights(c, &g, 32 * 7);
    free(g.fields);
}

#endif
