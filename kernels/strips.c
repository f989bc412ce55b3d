#include "strips.h"
#include "formats.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

const int8_t kernel_strips_iq4_nl[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
const int8_t kernel_strips_nf4[16] = {-127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127};

struct strips kernel_strips_of(const struct kernel_matrix *m, enum strips_bytes bytes)
{
    const enum kernel_type type = strips_type(m->type);
    struct strips s = {.blocks = (size_t)m->cols / 32, .strips = ((size_t)m->rows + KERNEL_STRIP - 1) / KERNEL_STRIP};
    s.quants = (s.blocks / (size_t)strips_scale_every(type) * (size_t)strips_scale_bytes(type) + 63) & ~(size_t)63;
    s.strip_bytes = s.quants + s.blocks * 64 * (size_t)strips_bits(type);
    s.corrections = s.strips * s.strip_bytes;
    if (bytes == STRIPS_SIGNED && strips_signed(type))
        s.correction_bytes = s.blocks * CORRECTION_BYTES;
    s.bytes = (s.corrections + s.strips * s.correction_bytes + 63) & ~(size_t)63; /* as aligned_alloc wants it */
    return s;
}

const char *kernel_strips_about(enum kernel_type type)
{
    switch (type) {
    case KERNEL_Q4_K:
        return "repacked to Q4_1, scales rounded to 16 bits";
    case KERNEL_Q5_K:
        return "repacked to Q5_1, scales rounded to 16 bits";
    case KERNEL_IQ4_XS:
        return "repacked to IQ4_NL, scales rounded to 16 bits";
    case KERNEL_Q2_K:
    case KERNEL_Q3_K:
    case KERNEL_Q6_K:
        return "scales rounded to 16 bits";
    case KERNEL_NF4:
        return "values rounded to 8 bits, scales to 16";
    default:
        return NULL;
    }
}

struct packing {
    struct kernel_matrix *m;
    enum strips_bytes bytes;
    struct strips s;
    atomic_int infinite; /* a scale is that, or NaN */
};

typedef uint32_t lines __attribute__((vector_size(4 * KERNEL_STRIP))); /* four numbers of each row */

/* --- blocks of 32 as they are in the file ------------------------------------------------------------------------ */

struct block {
    uint16_t scales[4]; /* halves, as in a strip: of a block, or of its two 16; then the minima */
    unsigned char q[32];
};

static void read_nibbles(const unsigned char *p, unsigned char q[32])
{
    for (int i = 0; i < 16; i++) {
        q[i] = p[i] & 15;
        q[i + 16] = p[i] >> 4;
    }
}

static void read_nf4(const struct packing *p, int row, size_t b, struct block *out)
{
    const size_t block = (size_t)row * ((size_t)p->m->cols / 64) + b / 2;
    const unsigned char *codes = p->m->nf4->codes + block * 32 + b % 2 * 16;
    out->scales[0] = kernel_float_to_half(kernel_nf4_absmax(p->m->nf4, block));
    for (int i = 0; i < 16; i++) { /* pairs of neighbours, the first in the high half */
        out->q[2 * i] = codes[i] >> 4;
        out->q[2 * i + 1] = codes[i] & 15;
    }
}

/* k: the block of 256 that block b of a row is in, read when its first is asked for. */
static void read_k(const struct packing *p, int row, size_t b, struct kernel_k_block *k, struct block *out)
{
    const struct kernel_matrix *m = p->m;
    const enum kernel_type type = strips_type(m->type);
    const size_t a_row = (size_t)(m->cols / KERNEL_K_BLOCK), eighth = b % 8;
    const size_t scales = (size_t)strips_scales(type);
    if (eighth == 0)
        kernel_k_read(m->type, (const unsigned char *)m->data + ((size_t)row * a_row + b / 8) * (size_t)kernel_format(m->type)->bytes, k);
    memcpy(out->q, k->q + 32 * eighth, 32);
    for (size_t i = 0; i < scales; i++) {
        out->scales[i] = kernel_float_to_half(k->scale[2 * eighth + i]);
        if (strips_minima(type))
            out->scales[scales + i] = kernel_float_to_half(-k->minimum[2 * eighth + i]);
    }
}

static void read_block(const struct packing *p, int row, size_t b, struct kernel_k_block *k, struct block *out)
{
    const struct kernel_matrix *m = p->m;
    const struct kernel_format *format = kernel_format(m->type);
    if (m->type == KERNEL_NF4) {
        read_nf4(p, row, b, out);
        return;
    }
    if (format->block == KERNEL_K_BLOCK) {
        read_k(p, row, b, k, out);
        return;
    }
    const size_t halves = (size_t)strips_scale_bytes(m->type) / KERNEL_STRIP;
    const unsigned char *from = (const unsigned char *)m->data + ((size_t)row * p->s.blocks + b) * (size_t)format->bytes;
    memcpy(out->scales, from, halves);
    switch (strips_bits(m->type)) {
    case 8:
        memcpy(out->q, from + halves, 32);
        break;
    case 5:
        kernel_read_5bit(from + halves, out->q);
        break;
    default:
        read_nibbles(from + halves, out->q);
    }
}

/* --- and in strips ----------------------------------------------------------------------------------------------- */

/* The same block of a strip's rows; of rows past the matrix's last zeros. */
struct blocks {
    lines numbers[8];
    uint16_t scales[4][KERNEL_STRIP], corrections[KERNEL_STRIP];
};

static uint16_t correction_of(enum kernel_type type, const unsigned char *q)
{
    const int8_t *table = strips_table(type);
    int sum = 0;
    for (int i = 0; i < 32; i++) {
        int w = table ? table[q[i]] : (int8_t)q[i];
        sum += w < 0 ? -w : 0;
    }
    return (uint16_t)sum;
}

static inline __attribute__((always_inline)) void put_bits(unsigned char *to, int bits, const lines numbers[8])
{
    for (int shift = 0, n; shift < bits; shift += n) {
        n = strips_part(bits - shift);
        const uint32_t lowest = 0x01010101u * ((1u << n) - 1);
        for (int j = 0; j < 8; to += sizeof(lines)) {
            lines line = {0};
            for (int at = 0; at < 8; at += n, j++)
                line |= (numbers[j] >> shift & lowest) << at;
            memcpy(to, &line, sizeof line);
        }
    }
}

static void put_numbers(unsigned char *to, int bits, const lines numbers[8])
{
    switch (bits) { /* constants: a shift by what is known is one instruction */
    case 2:
        put_bits(to, 2, numbers);
        break;
    case 3:
        put_bits(to, 3, numbers);
        break;
    case 4:
        put_bits(to, 4, numbers);
        break;
    case 5:
        put_bits(to, 5, numbers);
        break;
    case 6:
        put_bits(to, 6, numbers);
        break;
    default:
        put_bits(to, 8, numbers);
    }
}

/* Block b of a strip; returns whether all its scales are numbers. All 16 rows at once: whole lines are written then, and rows' words gone over as a
 * vector. */
static int pack_blocks(const struct packing *p, int strip, size_t b, struct kernel_k_block k[KERNEL_STRIP], struct blocks *out)
{
    const enum kernel_type type = strips_type(p->m->type);
    const int scales = strips_scale_bytes(type) / KERNEL_STRIP / 2;
    int finite = 1;
    for (int r = 0; r < KERNEL_STRIP && strip * KERNEL_STRIP + r < p->m->rows; r++) {
        struct block block;
        read_block(p, strip * KERNEL_STRIP + r, b, k + r, &block);
        if (p->s.correction_bytes)
            out->corrections[r] = correction_of(type, block.q);
        for (int h = 0; h < scales; h++) {
            out->scales[h][r] = block.scales[h];
            finite &= (block.scales[h] & 0x7c00) != 0x7c00;
        }
        for (int j = 0; j < 8; j++)
            memcpy((unsigned char *)&out->numbers[j] + 4 * r, block.q + 4 * j, 4);
    }
    for (int j = 0; type == KERNEL_Q8_0 && p->bytes == STRIPS_UNSIGNED && j < 8; j++)
        out->numbers[j] ^= 0x80808080u;
    return finite;
}

/* A strip's rows follow each other in the file, and their blocks are not read in that order: each line of it first, so that memory is not waited
 * for line by line. Not prefetched, as that does nothing where a mapped page has not been read yet. */
static void touch_strip(const struct packing *p, int strip)
{
    const struct kernel_matrix *m = p->m;
    const struct kernel_format *format = kernel_format(m->type);
    const size_t row = m->nf4 ? (size_t)m->cols / 2 : (size_t)(m->cols / format->block) * (size_t)format->bytes;
    const int first = strip * KERNEL_STRIP, rows = m->rows - first < KERNEL_STRIP ? m->rows - first : KERNEL_STRIP;
    const volatile unsigned char *from = (m->nf4 ? m->nf4->codes : (const unsigned char *)m->data) + (size_t)first * row;
    for (size_t i = 0; i < (size_t)rows * row; i += 64)
        (void)from[i];
}

static void pack_strip(void *argument, int strip)
{
    struct packing *p = argument;
    const struct strips *s = &p->s;
    const enum kernel_type type = strips_type(p->m->type);
    const size_t scale_bytes = (size_t)strips_scale_bytes(type), bits = (size_t)strips_bits(type);
    unsigned char *to = (unsigned char *)p->m->packed + (size_t)strip * s->strip_bytes;
    unsigned char *corrections = (unsigned char *)p->m->packed + s->corrections + (size_t)strip * s->correction_bytes;
    struct kernel_k_block k[KERNEL_STRIP];
    struct blocks blocks;
    touch_strip(p, strip);
    memset(&blocks, 0, sizeof blocks);
    memset(to, 0, s->quants); /* up to where numbers begin it may be more than the scales are */
    for (size_t b = 0; b < s->blocks; b++) {
        if (!pack_blocks(p, strip, b, k, &blocks))
            atomic_store_explicit(&p->infinite, 1, memory_order_relaxed);
        memcpy(to + b / (size_t)strips_scale_every(type) * scale_bytes, blocks.scales, scale_bytes);
        put_numbers(to + s->quants + b * 64 * bits, (int)bits, blocks.numbers);
        if (s->correction_bytes)
            memcpy(corrections + b * CORRECTION_BYTES, blocks.corrections, CORRECTION_BYTES);
    }
}

size_t kernel_strips_bytes(const struct kernel_matrix *m, enum strips_bytes bytes)
{
    const int taken = kernel_format(m->type)->block > 1 && m->rows && m->cols;
    return taken ? kernel_strips_of(m, bytes).bytes : 0;
}

int kernel_strips_pack(struct kernel_matrix *m, enum strips_bytes bytes, struct kernel_pool *pool, struct error *e)
{
    struct packing p = {.m = m, .bytes = bytes, .s = kernel_strips_of(m, bytes)};
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
    return !atomic_load(&p.infinite) ? OK : error_set(e, ERROR_INPUT, "a scale is NaN or infinite, or over 65504, which halves do not hold");
}

/* --- for combine ------------------------------------------------------------------------------------------------- */

void kernel_strips_of_columns(const float *from, size_t row_step, size_t column_step, int rows, int cols, float *out)
{
    for (int c = 0; c < cols; c += KERNEL_STRIP)
        for (int r = 0; r < rows; r++)
            for (int l = 0; l < KERNEL_STRIP; l++)
                *out++ = c + l < cols ? from[(size_t)r * row_step + (size_t)(c + l) * column_step] : 0;
}
