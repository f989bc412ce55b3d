/* Hostile files made from good ones: what every format has in common. A corpus hands each of its cases on, to be tried or written down; where
 * a case comes from is its name, so that one that fails can be found again.
 */
#ifndef ESPALIER_TESTS_HOSTILE_H
#define ESPALIER_TESTS_HOSTILE_H

#include "kernels/kernels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct corpus {
    void (*hand)(struct corpus *c, const char *bytes, size_t n); /* a case; its name is in c->name */
    char name[160];
    int cases, every; /* every so many-th is handed on, from the first */
    /* Around what is varied: the case is before + it + after, with its length in eight bytes before it where the format has that. */
    struct string before, after;
    int with_length;
};

static inline void hostile_name(struct corpus *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void hostile_name(struct corpus *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->name, sizeof c->name, format, args);
    va_end(args);
}

static inline void hostile_hand(struct corpus *c, const char *bytes, size_t n)
{
    struct string whole = {0};
    if (c->cases++ % c->every)
        return;
    string_append(&whole, string_text(&c->before), c->before.length);
    for (int i = 0; i < 8 && c->with_length; i++)
        string_append(&whole, &(char){(char)((uint64_t)n >> 8 * i)}, 1);
    string_append(&whole, bytes, n);
    string_append(&whole, string_text(&c->after), c->after.length);
    c->hand(c, string_text(&whole), whole.length);
    string_free(&whole);
}

/* With `remove` bytes at `at` replaced by others. */
static inline void hostile_splice(struct string *out, const struct string *in, size_t at, size_t remove, const void *bytes, size_t n)
{
    string_append(out, string_text(in), at);
    string_append(out, bytes, n);
    string_append(out, in->text + at + remove, in->length - at - remove);
}

/* Cut at every byte up to `dense`, and then at every `step`-th, and one before the end. */
static inline void hostile_cuts(struct corpus *c, const struct string *good, size_t dense, size_t step)
{
    for (size_t n = 0; n < good->length; n += n < dense ? 1 : step) {
        hostile_name(c, "cut-%zu", n);
        hostile_hand(c, string_text(good), n);
    }
    hostile_name(c, "cut-last");
    hostile_hand(c, string_text(good), good->length - 1);
    struct string longer = {0};
    string_append(&longer, string_text(good), good->length);
    string_append(&longer, "\xff", 1);
    hostile_name(c, "one-more");
    hostile_hand(c, longer.text, longer.length);
    string_free(&longer);
}

static inline uint64_t hostile_little(const char *bytes, int width)
{
    uint64_t x = 0;
    for (int i = 0; i < width; i++)
        x |= (uint64_t)(unsigned char)bytes[i] << 8 * i;
    return x;
}

static inline void hostile_put(char *bytes, int width, uint64_t x)
{
    for (int i = 0; i < width; i++)
        bytes[i] = (char)(x >> 8 * i);
}

/* A number of so many bytes at its extremes, as a count, an offset, an id or a float may be. */
static inline void hostile_number(struct corpus *c, const struct string *good, size_t at, int width)
{
    const uint64_t was = hostile_little(good->text + at, width), top = width < 8 ? ((uint64_t)1 << 8 * width) - 1 : UINT64_MAX;
    const uint64_t one = 1, values[] = {
        0, 1, 2, 3, 9, 255, 65535, 65536, was - 1, was + 1, was * 2, was + (one << 32), INT32_MAX, one << 31, UINT32_MAX, one << 32, one << 61,
        one << 62, INT64_MAX, one << 63, top, top - 7, top - 31, /* and floats: NaN, infinities, the greatest, the least, -1 */
        0x7fc00000, 0x7f800000, 0xff800000, 0x7f7fffff, 0x00000001, 0xbf800000};
    char *copy = xmalloc(good->length);
    memcpy(copy, good->text, good->length);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (values[i] > top || values[i] == was)
            continue;
        hostile_put(copy + at, width, values[i]);
        hostile_name(c, "at-%zu-is-%llx", at, (unsigned long long)values[i]);
        hostile_hand(c, copy, good->length);
    }
    free(copy);
}

/* Bits turned in the first `within` bytes: one to four of them, by a seed. */
static inline void hostile_flips(struct corpus *c, const struct string *good, size_t within, int count)
{
    char *copy = xmalloc(good->length);
    for (int i = 0; i < count; i++) {
        memcpy(copy, good->text, good->length);
        for (int j = 0; j <= i % 4; j++) {
            const uint64_t at = (uint64_t)(random_uniform(31, (uint64_t)i, (uint64_t)j) * 8 * (double)within);
            copy[at / 8] = (char)(copy[at / 8] ^ 1 << at % 8);
        }
        hostile_name(c, "flip-%d", i);
        hostile_hand(c, copy, good->length);
    }
    free(copy);
}

/* Texts that no vocabulary and no name has. */
static const struct hostile_text {
    const char *bytes;
    size_t n;
} hostile_texts[] = {
#define TEXT_(s) {s, sizeof s - 1}
    TEXT_(""), TEXT_("\0"), TEXT_("a\0b"), TEXT_("\xff"), TEXT_("\xc0\x80"), TEXT_("\xed\xa0\x80"), TEXT_("\xf4\x90\x80\x80"), TEXT_("\xe2\x96"),
    TEXT_("\x80"), TEXT_("\n"), TEXT_("\x1b[2J\x07"), TEXT_("\xe2\x80\xae"), TEXT_("\xc2\x9b"), TEXT_("%n%s%s"), TEXT_(" "), TEXT_("  "),
    TEXT_("\xc4\xa0"), TEXT_("<0xGG>"), TEXT_("<0x-1>"), TEXT_("a b"), TEXT_("{%{{%}}"), TEXT_("../../etc/passwd"),
#undef TEXT_
};
enum { HOSTILE_TEXTS = sizeof hostile_texts / sizeof *hostile_texts };

#endif
