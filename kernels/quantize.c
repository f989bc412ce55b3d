/* Quantizers of the weight formats that can be written to a GGUF file.
 *
 * With 4 bits the step that takes the largest weight to the end of the range is rarely the best for the other 31. So
 * steps around it are tried, of both signs (the ranges are not symmetric), each with the nearest values and then the
 * step that fits those best, and the one with the least weighted squared error is kept. Sums of floats are taken in one
 * order: the same blocks on every machine.
 */
#include "formats.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32 };
#define HALF_NAN 0x7e00
#define ZERO 8 /* the code of Q4_0's 0, and for a block that has no step */

static void put_half(unsigned char *p, uint16_t half)
{
    p[0] = (unsigned char)half;
    p[1] = (unsigned char)(half >> 8);
}

void kernel_quantize_f32(const float *x, void *blocks, int n)
{
    memcpy(blocks, x, (size_t)n * sizeof *x);
}

void kernel_quantize_f16(const float *x, void *blocks, int n)
{
    unsigned char *p = blocks;
    for (int i = 0; i < n; i++)
        put_half(p + 2 * i, kernel_float_to_half(x[i]));
}

/* To the nearest whole number, ties to even, of |x| < 2^22. */
static inline float nearest_whole(float x)
{
    return x + 0x1.8p23f - 0x1.8p23f;
}

void kernel_quantize_q8_0(const float *x, void *blocks, int n)
{
    unsigned char *p = blocks;
    for (; n > 0; n -= BLOCK, x += BLOCK, p += 2 + BLOCK) {
        float most = greatest(x, BLOCK);
        uint16_t half = kernel_float_to_half(most / 127);
        float d = kernel_half_to_float(half);
        put_half(p, half);
        for (int i = 0; i < BLOCK; i++) { /* over 127 where d is so small that a half has few bits for it */
            float q = d > 0 && isfinite(d) ? x[i] / d : 0;
            p[2 + i] = (unsigned char)(signed char)nearest_whole(q > 127 ? 127 : q < -127 ? -127 : q);
        }
    }
}

/* --- 4 bits: the search for a step ------------------------------------------------------------------------------- */

#define FOURS (BLOCK / 4)
union block {
    four v[FOURS];
    float x[BLOCK];
};

/* The 16 values of a format, which are whole numbers. */
struct book {
    const float *values;
    float middles[15], gaps[15]; /* between neighbours */
};

static struct book book_of(const float *values)
{
    struct book book = {.values = values};
    for (int i = 0; i < 15; i++) {
        book.middles[i] = (values[i] + values[i + 1]) / 2;
        book.gaps[i] = values[i + 1] - values[i];
    }
    return book;
}

/* value = the value nearest to inverse * x, of two the lower. Sums of whole numbers: exact. */
static void take_nearest(const struct book *book, const union block *x, float inverse, union block *value)
{
    union block at;
    for (int i = 0; i < FOURS; i++) {
        at.v[i] = x->v[i] * inverse;
        value->v[i] = all(book->values[0]);
    }
    for (int j = 0; j < 15; j++) {
        const four middle = all(book->middles[j]);
        const mask gap = (mask)all(book->gaps[j]);
        for (int i = 0; i < FOURS; i++)
            value->v[i] += (four)((at.v[i] > middle) & gap);
    }
}

static float product(const union block *a, const union block *b)
{
    four sum = a->v[0] * b->v[0];
    for (int i = 1; i < FOURS; i++)
        sum += a->v[i] * b->v[i];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* A block of |x| <= 1, and what an error counts: the mean square and the weight's own, halfway between the least
 * squared error and one that spares the large weights, which matter more to what the model says. */
struct weighted {
    union block x, importance;
};

/* Of weights x, values v and importances w: the best step is xwv / vwv, and the error xwx - xwv^2 / vwv. */
struct fit {
    float xwv, vwv;
};

static struct fit fit_of(const struct weighted *block, const union block *value)
{
    union block wv;
    for (int i = 0; i < FOURS; i++)
        wv.v[i] = block->importance.v[i] * value->v[i];
    return (struct fit){product(&block->x, &wv), product(value, &wv)};
}

/* The best step, before it is rounded to a half. */
static float search_step(const struct book *book, const struct weighted *block)
{
    enum { TRIES = 10 };
    const float end = -book->values[0];
    float best = 0, step = 0;
    union block value;
    for (int i = 0; i < 2 * TRIES; i++) {
        float inverse = end * (0.75f + 0.05f * (float)(i / 2));
        take_nearest(book, &block->x, i % 2 ? inverse : -inverse, &value);
        struct fit fit = fit_of(block, &value);
        if (fit.xwv * fit.xwv > best * fit.vwv) {
            best = fit.xwv * fit.xwv / fit.vwv;
            step = fit.xwv / fit.vwv;
        }
    }
    return step;
}

static float error_of(const struct weighted *block, const union block *value, float d)
{
    union block off, woff;
    for (int i = 0; i < FOURS; i++) {
        off.v[i] = block->x.v[i] - d * value->v[i];
        woff.v[i] = block->importance.v[i] * off.v[i];
    }
    return product(&off, &woff);
}

static struct weighted weigh(const float *weights, float most)
{
    struct weighted block;
    for (int i = 0; i < BLOCK; i++)
        block.x.x[i] = weights[i] / most;
    float mean = product(&block.x, &block.x) / BLOCK;
    for (int i = 0; i < FOURS; i++)
        block.importance.v[i] = mean + block.x.v[i] * block.x.v[i];
    return block;
}

/* The half d of 32 weights whose greatest magnitude is `most`, and the values where d is neither 0 nor infinite. The
 * step is tried as it will be stored, then the one that fits the values which that has given, while this gains
 * anything. */
static uint16_t quantize_block(const struct book *book, const float *weights, float most, union block *values)
{
    const struct weighted block = weigh(weights, most);
    float step = search_step(book, &block), least = INFINITY;
    uint16_t chosen = 0;
    for (int round = 0; round < 3; round++) {
        union block value;
        uint16_t half = kernel_float_to_half(step * most);
        float d = kernel_half_to_float(half) / most;
        if (d == 0 || !isfinite(d))
            return round ? chosen : half;
        take_nearest(book, &block.x, 1 / d, &value);
        float error = error_of(&block, &value, d);
        if (!(error < least))
            break;
        least = error;
        chosen = half;
        *values = value;
        struct fit fit = fit_of(&block, &value);
        step = fit.vwv > 0 ? fit.xwv / fit.vwv : 0;
    }
    return chosen;
}

static unsigned code_of(const struct book *book, float value)
{
    unsigned code = 0;
    while (book->values[code] < value)
        code++;
    return code;
}

static void quantize_4bit(const struct book *book, const float *x, unsigned char *p, int n)
{
    for (; n > 0; n -= BLOCK, x += BLOCK, p += 2 + BLOCK / 2) {
        union block values;
        float most = greatest(x, BLOCK);
        for (int i = 0; i < BLOCK; i++)
            values.x[i] = book->values[ZERO];
        put_half(p, !isfinite(most) ? HALF_NAN : most == 0 ? 0 : quantize_block(book, x, most, &values));
        for (int i = 0; i < BLOCK / 2; i++)
            p[2 + i] = (unsigned char)(code_of(book, values.x[i]) | code_of(book, values.x[i + BLOCK / 2]) << 4);
    }
}

void kernel_quantize_q4_0(const float *x, void *blocks, int n)
{
    static const float values[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    struct book book = book_of(values);
    quantize_4bit(&book, x, blocks, n);
}

void kernel_quantize_iq4_nl(const float *x, void *blocks, int n)
{
    struct book book = book_of(kernel_iq4_nl_values);
    quantize_4bit(&book, x, blocks, n);
}
