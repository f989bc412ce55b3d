/* Weights that are no numbers, found where they come from: in a block the scales that are halves, everything else in it being small whole numbers.
 *
 * All of a matrix is gone over, which costs what reading it does.
 */
#include "formats.h"

#include <stdatomic.h>
#include <string.h>

enum { TASK_BYTES = 1 << 16 };

/* Where the halves of a block are. */
struct halves {
    unsigned char count, at[2];
};

static struct halves halves_of(enum kernel_type type)
{
    switch (type) {
    case KERNEL_Q4_1:
    case KERNEL_Q5_1:
    case KERNEL_Q4_K:
    case KERNEL_Q5_K:
        return (struct halves){2, {0, 2}};
    case KERNEL_Q2_K:
        return (struct halves){2, {80, 82}};
    case KERNEL_Q3_K:
        return (struct halves){1, {108}};
    case KERNEL_Q6_K:
        return (struct halves){1, {208}};
    default:
        return (struct halves){1, {0}};
    }
}

/* All bits of the exponent are set in what is NaN or infinite. */
static int any_word(const unsigned char *at, size_t n)
{
    uint32_t any = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t x;
        memcpy(&x, at + 4 * i, sizeof x);
        any |= (x & 0x7f800000) == 0x7f800000;
    }
    return any != 0;
}

static int any_half(const unsigned char *at, size_t n, size_t step, uint16_t exponent)
{
    uint16_t any = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, at + step * i, sizeof x);
        any |= (x & exponent) == exponent;
    }
    return any != 0;
}

static int any_in(enum kernel_type type, const unsigned char *at, size_t n)
{
    const struct halves halves = halves_of(type);
    int any = 0;
    switch (type) {
    case KERNEL_F32:
        return any_word(at, n);
    case KERNEL_F16: /* the step is written out, so that a vector of them is taken at a time */
        return any_half(at, n, 2, 0x7c00);
    case KERNEL_BF16:
        return any_half(at, n, 2, 0x7f80);
    default:
        for (int h = 0; h < halves.count; h++)
            any |= any_half(at + halves.at[h], n, (size_t)kernel_format(type)->bytes, 0x7c00);
        return any;
    }
}

struct search {
    const struct kernel_matrix *m;
    size_t blocks, bytes, a_task; /* in all; of a block; blocks */
    atomic_int any;
};

static void search_some(void *argument, int task)
{
    struct search *s = argument;
    const size_t first = (size_t)task * s->a_task, left = s->blocks - first;
    if (any_in(s->m->type, (const unsigned char *)s->m->data + first * s->bytes, left < s->a_task ? left : s->a_task))
        atomic_store_explicit(&s->any, 1, memory_order_relaxed);
}

/* Of the first block that has one: it is known that there is. */
static void describe(const struct search *s, struct kernel_flaw *out)
{
    const enum kernel_type type = s->m->type;
    const unsigned char *at = s->m->data;
    size_t b = 0;
    for (; !any_in(type, at, 1); b++)
        at += s->bytes;
    float first = 0;
    const struct halves halves = halves_of(type);
    if (kernel_format(type)->block == 1)
        kernel_format(type)->dequantize(at, &first, 1);
    for (int h = 0; kernel_format(type)->block > 1 && h < halves.count && isfinite(first); h++)
        first = half_at(at + halves.at[h]);
    const size_t a_row = (size_t)(s->m->cols / kernel_format(type)->block);
    *out = (struct kernel_flaw){(int)(b / a_row), (int)(b % a_row), isnan(first)};
}

int kernel_matrix_flaw(const struct kernel_matrix *m, struct kernel_pool *pool, struct kernel_flaw *out)
{
    const struct kernel_format *format = kernel_format(m->type);
    struct search s = {.m = m, .blocks = (size_t)m->rows * (size_t)(m->cols / format->block), .bytes = (size_t)format->bytes};
    if (m->type == KERNEL_NF4)
        return 0;
    s.a_task = TASK_BYTES / s.bytes;
    kernel_pool_run(pool, (int)((s.blocks + s.a_task - 1) / s.a_task), search_some, &s);
    if (!atomic_load(&s.any))
        return 0;
    describe(&s, out);
    return 1;
}
