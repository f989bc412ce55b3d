/* NF4 with double quantization, to the value what bitsandbytes makes of the same weights.
 *
 * A block's weights are scaled by the reciprocal of its absmax, and each takes the nearest of 16 values. Then the mean
 * of all absmax is taken away, and what is left is quantized likewise, in groups of 256, to the 8-bit dynamic map.
 */
#include "formats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = KERNEL_NF4_BLOCK, GROUP = 256, BLOCKS_A_TASK = 1024 /* whole groups */ };
#define LEAST_ABSMAX 1e-38f /* its reciprocal is finite, so that zeros stay zeros */

const float kernel_nf4_values[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

/* --- the dynamic map --------------------------------------------------------------------------------------------- */

/* Point i of n + 1 evenly from 0.1 to 1, counted from the nearer end and rounded once, as torch.linspace has it: the
 * last bit of the map hangs on it. */
static float point(int i, int n)
{
    float step = (1 - 0.1f) / (float)n;
    return i < (n + 1) / 2 ? fmaf(step, (float)i, 0.1f) : fmaf(-step, (float)(n - i), 1);
}

void kernel_dynamic_map(float map[256], int with_signs)
{
    static const float powers[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1};
    float *zero = map + (with_signs ? 127 : 0);
    for (int i = 0; i < 7; i++) {
        const int n = with_signs ? 1 << i : 2 << i;
        for (int j = 0; j < n; j++) {
            const float x = powers[i] * ((point(j, n) + point(j + 1, n)) / 2);
            zero[with_signs ? n + j : n - 1 + j] = x;
            if (with_signs)
                zero[-n - j] = -x;
        }
    }
    *zero = 0;
    map[255] = 1;
}

/* The least index whose midpoint with the next value is not below x. */
static int nearest(const float map[256], float x)
{
    int low = 0, high = 255;
    while (low < high) {
        int middle = (low + high) / 2;
        if (x > (map[middle] + map[middle + 1]) / 2)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- quantizing -------------------------------------------------------------------------------------------------- */

struct work {
    const struct kernel_matrix *m;
    struct kernel_nf4 *q;
    float *absmax; /* [q->blocks] */
};

/* The code of a weight is how many midpoints are below it. */
static float quantize_block(const float *x, unsigned char *codes)
{
    enum { FOURS = BLOCK / 4 };
    union {
        four x[FOURS];
        mask code[FOURS];
        int32_t each[BLOCK];
    } at, sum = {.code = {{0}}};
    float absmax = greatest(x, BLOCK), scale = 1 / fmaxf(absmax, LEAST_ABSMAX);
    memcpy(&at, x, sizeof at);
    for (int i = 0; i < FOURS; i++)
        at.x[i] *= scale;
    for (int j = 0; j < 15; j++) {
        const four middle = all((kernel_nf4_values[j] + kernel_nf4_values[j + 1]) / 2);
        for (int i = 0; i < FOURS; i++)
            sum.code[i] -= at.x[i] > middle; /* where it is so, -1 */
    }
    for (int i = 0; i < BLOCK; i += 2)
        codes[i / 2] = (unsigned char)(sum.each[i] << 4 | sum.each[i + 1]);
    return absmax;
}

static size_t last_block(const struct work *w, int task)
{
    size_t last = (size_t)(task + 1) * BLOCKS_A_TASK;
    return last < w->q->blocks ? last : w->q->blocks;
}

static void quantize_blocks(void *argument, int task)
{
    const struct work *w = argument;
    const size_t a_row = (size_t)w->m->cols / BLOCK;
    float x[BLOCK];
    for (size_t b = (size_t)task * BLOCKS_A_TASK; b < last_block(w, task); b++) {
        kernel_matrix_dequantize(w->m, (int)(b / a_row), (int)(b % a_row) * BLOCK, x, BLOCK);
        w->absmax[b] = quantize_block(x, w->q->codes + b * (BLOCK / 2));
    }
}

static void quantize_absmax(void *argument, int task)
{
    const struct work *w = argument;
    struct kernel_nf4 *q = w->q;
    for (size_t first = (size_t)task * BLOCKS_A_TASK; first < last_block(w, task); first += GROUP) {
        int n = q->blocks - first < GROUP ? (int)(q->blocks - first) : GROUP;
        float *x = w->absmax + first;
        for (int i = 0; i < n; i++)
            x[i] -= q->offset;
        float absmax = greatest(x, n), scale = 1 / fmaxf(absmax, LEAST_ABSMAX);
        q->absmax2[first / GROUP] = absmax;
        for (int i = 0; i < n; i++)
            q->absmax[first + (size_t)i] = (unsigned char)nearest(q->map, x[i] * scale);
    }
}

static size_t bytes_of(size_t blocks)
{
    return blocks * (BLOCK / 2 + 1) + (blocks + GROUP - 1) / GROUP * sizeof(float);
}

size_t kernel_nf4_bytes(const struct kernel_matrix *m)
{
    return bytes_of((size_t)m->rows * (size_t)(m->cols / BLOCK));
}

/* The codes, the 8-bit absmax and the groups' absmax are one allocation, of which codes is the beginning. */
static struct kernel_nf4 *allocate(size_t blocks)
{
    const size_t groups = (blocks + GROUP - 1) / GROUP, floats = (blocks * (BLOCK / 2 + 1) + 63) & ~(size_t)63;
    struct kernel_nf4 *q = xcalloc(1, sizeof *q);
    q->blocks = blocks;
    q->bytes = bytes_of(blocks);
    q->codes = aligned_alloc(64, (floats + groups * sizeof *q->absmax2 + 63) & ~(size_t)63);
    if (!q->codes) {
        free(q);
        return NULL;
    }
    q->absmax = q->codes + blocks * (BLOCK / 2);
    q->absmax2 = (float *)(void *)(q->codes + floats);
    kernel_dynamic_map(q->map, 1);
    return q;
}

int kernel_matrix_to_nf4(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    size_t blocks = (size_t)m->rows * (size_t)(m->cols / BLOCK);
    struct work w = {m, allocate(blocks), input_alloc(blocks, sizeof *w.absmax)};
    if (!w.q || !w.absmax) {
        kernel_nf4_free(w.q);
        free(w.absmax);
        return error_set(e, ERROR_ENGINE, "out of memory quantizing weights to NF4; try a smaller model");
    }
    int tasks = (int)((blocks + BLOCKS_A_TASK - 1) / BLOCKS_A_TASK);
    kernel_pool_run(pool, tasks, quantize_blocks, &w);
    double sum = 0;
    for (size_t b = 0; b < blocks; b++)
        sum += w.absmax[b];
    if (!isfinite(sum)) {
        kernel_nf4_free(w.q);
        free(w.absmax);
        return error_set(e, ERROR_INPUT, "a weight is NaN or infinite, which NF4 cannot hold");
    }
    w.q->offset = blocks ? (float)(sum / (double)blocks) : 0;
    kernel_pool_run(pool, tasks, quantize_absmax, &w);
    free(w.absmax);
    m->type = KERNEL_NF4;
    m->data = NULL;
    m->nf4 = w.q;
    return OK;
}

/* --- and back ---------------------------------------------------------------------------------------------------- */

float kernel_nf4_absmax(const struct kernel_nf4 *q, size_t block)
{
    return q->plain ? q->plain[block] : q->map[q->absmax[block]] * q->absmax2[block / GROUP] + q->offset;
}

void kernel_nf4_dequantize(const struct kernel_nf4 *q, size_t first, float *out, int n)
{
    for (size_t b = first / BLOCK; n > 0; b++, n -= BLOCK, out += BLOCK) {
        const float absmax = kernel_nf4_absmax(q, b);
        const unsigned char *codes = q->codes + b * (BLOCK / 2);
        for (int i = 0; i < BLOCK / 2; i++) {
            out[2 * i] = kernel_nf4_values[codes[i] >> 4] * absmax;
            out[2 * i + 1] = kernel_nf4_values[codes[i] & 15] * absmax;
        }
    }
}

void kernel_nf4_free(struct kernel_nf4 *q)
{
    if (!q || q->lent)
        return;
    free(q->codes);
    free(q);
}
