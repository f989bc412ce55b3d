#include "strips.h"

#include <stdlib.h>
#include <string.h>

int kernel_strips_take(enum kernel_type type)
{
    return type == KERNEL_Q4_0 || type == KERNEL_Q4_1 || type == KERNEL_Q8_0;
}

struct strips kernel_strips_of(const struct kernel_matrix *m, enum strips_bytes bytes)
{
    struct strips s = {.blocks = (size_t)m->cols / 32,
                       .scale_bytes = (m->type == KERNEL_Q4_1 ? 4 : 2) * KERNEL_STRIP,
                       .quant_bytes = (m->type == KERNEL_Q8_0 ? 32 : 16) * KERNEL_STRIP,
                       .strips = ((size_t)m->rows + KERNEL_STRIP - 1) / KERNEL_STRIP};
    s.quants = (s.blocks * s.scale_bytes + 63) & ~(size_t)63;
    s.strip_bytes = s.quants + s.blocks * s.quant_bytes;
    s.corrections = s.strips * s.strip_bytes;
    int corrected = bytes == STRIPS_SIGNED && m->type == KERNEL_Q8_0;
    s.bytes = s.corrections + (corrected ? s.strips * s.blocks * CORRECTION_BYTES : 0);
    s.bytes = (s.bytes + 63) & ~(size_t)63; /* as aligned_alloc wants it */
    return s;
}

static uint16_t correction_of(const unsigned char *quants)
{
    int sum = 0;
    for (int i = 0; i < 32; i++)
        sum += quants[i] > 127 ? 256 - quants[i] : 0;
    return (uint16_t)sum;
}

struct packing {
    struct kernel_matrix *m;
    enum strips_bytes bytes;
    struct strips s;
};

static void pack_row(const struct packing *p, int strip, int r)
{
    const struct kernel_matrix *m = p->m;
    const struct strips *s = &p->s;
    const size_t scales = s->scale_bytes / KERNEL_STRIP, quants = s->quant_bytes / KERNEL_STRIP;
    const unsigned char *from =
        (const unsigned char *)m->data + (size_t)(strip * KERNEL_STRIP + r) * s->blocks * (scales + quants);
    unsigned char *to = (unsigned char *)m->packed + (size_t)strip * s->strip_bytes;
    unsigned char *corrections =
        (unsigned char *)m->packed + s->corrections + (size_t)strip * s->blocks * CORRECTION_BYTES;
    for (size_t b = 0; b < s->blocks; b++, from += scales + quants) {
        unsigned char q[32];
        memcpy(q, from + scales, quants);
        if (m->type == KERNEL_Q8_0 && p->bytes == STRIPS_UNSIGNED)
            for (size_t i = 0; i < quants; i++)
                q[i] ^= 0x80;
        for (size_t h = 0; h < scales / 2; h++)
            memcpy(to + b * s->scale_bytes + 2 * (h * KERNEL_STRIP + (size_t)r), from + 2 * h, 2);
        for (size_t j = 0; j < quants / 4; j++)
            memcpy(to + s->quants + b * s->quant_bytes + 4 * (j * KERNEL_STRIP + (size_t)r), q + 4 * j, 4);
        if (m->type == KERNEL_Q8_0 && p->bytes == STRIPS_SIGNED) {
            uint16_t correction = correction_of(q);
            memcpy(corrections + b * CORRECTION_BYTES + 2 * r, &correction, 2);
        }
    }
}

static void pack_strip(void *argument, int strip)
{
    const struct packing *p = argument;
    memset((unsigned char *)p->m->packed + (size_t)strip * p->s.strip_bytes, 0, p->s.strip_bytes);
    if (p->s.bytes > p->s.corrections)
        memset((unsigned char *)p->m->packed + p->s.corrections + (size_t)strip * p->s.blocks * CORRECTION_BYTES, 0,
               p->s.blocks * CORRECTION_BYTES);
    for (int r = 0; r < KERNEL_STRIP && strip * KERNEL_STRIP + r < p->m->rows; r++)
        pack_row(p, strip, r);
}

size_t kernel_strips_bytes(const struct kernel_matrix *m, enum strips_bytes bytes)
{
    return kernel_strips_take(m->type) && m->rows && m->cols ? kernel_strips_of(m, bytes).bytes : 0;
}

int kernel_strips_pack(struct kernel_matrix *m, enum strips_bytes bytes, struct kernel_pool *pool, struct error *e)
{
    struct packing p = {m, bytes, kernel_strips_of(m, bytes)};
    if (!m->lent)
        m->packed = NULL;
    m->packed_bytes = 0;
    if (!kernel_strips_bytes(m, bytes))
        return OK;
    if (!m->lent)
        m->packed = aligned_alloc(64, p.s.bytes);
    if (!m->packed)
        return error_set(e, ERROR_ENGINE, "out of memory laying out weights (asked for %zu bytes); try a smaller model",
                         p.s.bytes);
    m->packed_bytes = p.s.bytes;
    kernel_pool_run(pool, (int)p.s.strips, pack_strip, &p);
    return OK;
}
