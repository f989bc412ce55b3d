#include "strips.h"

#include <stdlib.h>
#include <string.h>

const int8_t kernel_strips_iq4_nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t kernel_strips_nf4[16] = {-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127};

struct strips kernel_strips_of(const struct kernel_matrix *m, enum strips_bytes bytes)
{
    const enum kernel_type type = m->type;
    struct strips s = {.blocks = (size_t)m->cols / 32, .strips = ((size_t)m->rows + KERNEL_STRIP - 1) / KERNEL_STRIP};
    s.quants = (s.blocks / (size_t)strips_scale_every(type) * (size_t)strips_scale_bytes(type) + 63) & ~(size_t)63;
    s.strip_bytes = s.quants + s.blocks * 64 * (size_t)strips_bits(type);
    s.corrections = s.strips * s.strip_bytes;
    if (bytes == STRIPS_SIGNED && (type == KERNEL_Q8_0 || strips_table(type)))
        s.correction_bytes = s.blocks * CORRECTION_BYTES;
    s.bytes = (s.corrections + s.strips * s.correction_bytes + 63) & ~(size_t)63; /* as aligned_alloc wants it */
    return s;
}

static uint16_t correction_of(enum kernel_type type, const unsigned char *q)
{
    const int8_t *table = strips_table(type);
    int sum = 0;
    for (int i = 0; i < 32; i++) {
        int w = table ? table[q[i % 16] >> i / 16 * 4 & 15] : (int8_t)q[i];
        sum += w < 0 ? -w : 0;
    }
    return (uint16_t)sum;
}

struct packing {
    struct kernel_matrix *m;
    enum strips_bytes bytes;
    struct strips s;
};

/* Block b of 32 of a row: its scale, and minimum, as in the file, and its quants in the file's order, which is that of Q4_0
 * for nibbles. */
static void read_block(const struct packing *p, int row, size_t b, uint16_t scales[2], unsigned char q[32])
{
    const struct kernel_matrix *m = p->m;
    if (m->type == KERNEL_NF4) { /* pairs of neighbours, the first in the high half */
        const size_t block = (size_t)row * ((size_t)m->cols / 64) + b / 2;
        const unsigned char *codes = m->nf4->codes + block * 32 + b % 2 * 16;
        scales[0] = kernel_float_to_half(kernel_nf4_absmax(m->nf4, block));
        for (int i = 0; i < 16; i++) {
            const int shift = i % 2 ? 0 : 4;
            q[i] = (unsigned char)((codes[i / 2] >> shift & 15) | (codes[8 + i / 2] >> shift & 15) << 4);
        }
        return;
    }
    const size_t halves = (size_t)strips_scale_bytes(m->type) / KERNEL_STRIP, quants = 4 * (size_t)strips_bits(m->type);
    const unsigned char *from = (const unsigned char *)m->data + ((size_t)row * p->s.blocks + b) * (halves + quants);
    memcpy(scales, from, halves);
    memcpy(q, from + halves, quants);
}

static void pack_row(const struct packing *p, int strip, int r)
{
    const struct strips *s = &p->s;
    unsigned char *to = (unsigned char *)p->m->packed + (size_t)strip * s->strip_bytes;
    unsigned char *corrections = (unsigned char *)p->m->packed + s->corrections + (size_t)strip * s->correction_bytes;
    const enum kernel_type type = p->m->type;
    const size_t scale_bytes = (size_t)strips_scale_bytes(type), bits = (size_t)strips_bits(type);
    for (size_t b = 0; b < s->blocks; b++) {
        uint16_t scales[2];
        unsigned char q[32];
        read_block(p, strip * KERNEL_STRIP + r, b, scales, q);
        if (s->correction_bytes) {
            uint16_t correction = correction_of(type, q);
            memcpy(corrections + b * CORRECTION_BYTES + 2 * r, &correction, 2);
        }
        for (int i = 0; type == KERNEL_Q8_0 && p->bytes == STRIPS_UNSIGNED && i < 32; i++)
            q[i] ^= 0x80;
        for (size_t h = 0; h < scale_bytes / KERNEL_STRIP / 2; h++)
            memcpy(to + b / (size_t)strips_scale_every(type) * scale_bytes + 2 * (h * KERNEL_STRIP + (size_t)r), scales + h, 2);
        for (size_t j = 0; j < bits; j++)
            memcpy(to + s->quants + b * 64 * bits + 4 * (j * KERNEL_STRIP + (size_t)r), q + 4 * j, 4);
    }
}

static void pack_strip(void *argument, int strip)
{
    const struct packing *p = argument;
    memset((unsigned char *)p->m->packed + (size_t)strip * p->s.strip_bytes, 0, p->s.strip_bytes);
    memset((unsigned char *)p->m->packed + p->s.corrections + (size_t)strip * p->s.correction_bytes, 0, p->s.correction_bytes);
    for (int r = 0; r < KERNEL_STRIP && strip * KERNEL_STRIP + r < p->m->rows; r++)
        pack_row(p, strip, r);
}

size_t kernel_strips_bytes(const struct kernel_matrix *m, enum strips_bytes bytes)
{
    const int taken = m->type != KERNEL_F32 && m->type != KERNEL_F16 && m->rows && m->cols;
    return taken ? kernel_strips_of(m, bytes).bytes : 0;
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

/* --- for combine ------------------------------------------------------------------------------------------------- */

void kernel_strips_of_columns(const float *from, size_t row_step, size_t column_step, int rows, int cols, float *out)
{
    for (int c = 0; c < cols; c += KERNEL_STRIP)
        for (int r = 0; r < rows; r++)
            for (int l = 0; l < KERNEL_STRIP; l++)
                *out++ = c + l < cols ? from[(size_t)r * row_step + (size_t)(c + l) * column_step] : 0;
}
