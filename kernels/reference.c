/* The reference set: plain C, every product on the exactly dequantized weights with fp32 activations and an fp32 cache.
 *
 * It is what the other sets are held to, so it is written to be read. The one concession to speed is that a long sum is
 * taken in LANES interleaved partial sums, which a compiler turns into vectors without being allowed to reorder
 * anything (and which round less than one running sum would).
 */
#include "sets.h"

#include <math.h>
#include <string.h>

#define LANES 16
#define CHUNK 256 /* weights dequantized at a time; a multiple of LANES and of every format's block */
#define TILE 8    /* activation rows that share them */

/* lanes[k % LANES] += a[k] b[k]. */
static void add_products(const float *a, const float *b, int n, float *lanes)
{
    float sums[LANES];
    memcpy(sums, lanes, sizeof sums);
    int k = 0;
    for (; k + LANES <= n; k += LANES)
        for (int l = 0; l < LANES; l++)
            sums[l] += a[k + l] * b[k + l];
    for (int l = 0; k + l < n; l++)
        sums[l] += a[k + l] * b[k + l];
    memcpy(lanes, sums, sizeof sums);
}

static float sum_lanes(const float *lanes)
{
    double sum = 0;
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    return (float)sum;
}

static float dot(const float *a, const float *b, int n)
{
    float lanes[LANES] = {0};
    add_products(a, b, n, lanes);
    return sum_lanes(lanes);
}

static int supported(void)
{
    return 1;
}

static int pack(struct kernel_matrix *m, struct kernel_pool *pool, struct error *e)
{
    (void)pool, (void)e;
    m->packed = NULL;
    m->packed_bytes = 0;
    return OK;
}

static size_t prepared_bytes(int cols)
{
    (void)cols;
    return 0;
}

static void prepare(const float *x, int cols, int fine, void *prepared)
{
    (void)x, (void)cols, (void)fine, (void)prepared;
}

static void matmul(const struct kernel_matrix *m, const float *x, const void *prepared, int rows, float *y,
                   int y_stride, int first, int last, int accumulate)
{
    (void)prepared;
    float weights[CHUNK], lanes[TILE][LANES];
    for (int n = first; n < last; n++)
        for (int r = 0; r < rows; r += TILE) {
            int tile = rows - r < TILE ? rows - r : TILE;
            memset(lanes, 0, sizeof lanes);
            for (int k = 0; k < m->cols; k += CHUNK) {
                int count = m->cols - k < CHUNK ? m->cols - k : CHUNK;
                kernel_matrix_dequantize(m, n, k, weights, count);
                for (int t = 0; t < tile; t++)
                    add_products(weights, x + (size_t)(r + t) * (size_t)m->cols + k, count, lanes[t]);
            }
            for (int t = 0; t < tile; t++) {
                float *out = y + (size_t)(r + t) * (size_t)y_stride + n;
                *out = (accumulate ? *out : 0) + sum_lanes(lanes[t]);
            }
        }
}

static void rms_norm(const float *x, const float *weight, float epsilon, int cols, float *out)
{
    float scale = 1 / sqrtf(dot(x, x, cols) / (float)cols + epsilon);
    for (int c = 0; c < cols; c++)
        out[c] = weight[c] * (x[c] * scale);
}

static void rope(float *x, int heads, int head_dim, const float *cos_sin, int neox)
{
    int half = head_dim / 2;
    for (int h = 0; h < heads; h++, x += head_dim)
        for (int i = 0; i < half; i++) {
            float *a = neox ? x + i : x + 2 * i, *b = neox ? x + i + half : x + 2 * i + 1;
            float c = cos_sin[2 * i], s = cos_sin[2 * i + 1], a0 = *a, b0 = *b;
            *a = a0 * c - b0 * s;
            *b = a0 * s + b0 * c;
        }
}

/* Where in a block the keys (or values) of head h of a cell begin. */
static float *cell_at(unsigned char *block, size_t offset, int h, int cell, int head_dim)
{
    return (float *)(void *)(block + offset) + (size_t)(h * KERNEL_CELLS + cell) * (size_t)head_dim;
}

static size_t cache_bytes(enum kernel_type type, int kv_heads, int head_dim)
{
    return type == KERNEL_F32 ? (size_t)kv_heads * (size_t)head_dim * KERNEL_CELLS * sizeof(float) : 0;
}

static void store(const struct kernel_cache *c, const float *k, const float *v, unsigned char *block, int cell)
{
    size_t dim = (size_t)c->head_dim;
    for (int h = 0; h < c->kv_heads; h++) {
        memcpy(cell_at(block, c->keys, h, cell, c->head_dim), k + (size_t)h * dim, dim * sizeof *k);
        memcpy(cell_at(block, c->values, h, cell, c->head_dim), v + (size_t)h * dim, dim * sizeof *v);
    }
}

/* What one head of row r sees of a span, its keys and values being those of head kv: out [dim], then maximum and length. */
static void attend(const struct kernel_attention *a, int r, const float *q, int kv, int span, float *out)
{
    const int dim = a->cache.head_dim, seen = kernel_first_seen(a, r), begin = seen > span * KERNEL_SPAN ? seen : span * KERNEL_SPAN;
    const int end = a->rows[r].position < (span + 1) * KERNEL_SPAN ? a->rows[r].position + 1 : (span + 1) * KERNEL_SPAN;
    const struct kernel_run *run = a->rows[r].runs;
    int cell = begin; /* how many of the run's positions were taken */
    float maximum = -INFINITY, length = 0;
    while (cell >= run->count)
        cell -= run++->count;
    for (int d = 0; d < dim; d++)
        out[d] = 0;
    for (int first = begin, next; first < end; first = next) {
        next = (first / KERNEL_CHUNK + 1) * KERNEL_CHUNK < end ? (first / KERNEL_CHUNK + 1) * KERNEL_CHUNK : end;
        const int count = next - first;
        const float *values[KERNEL_CHUNK];
        float scores[KERNEL_CHUNK], chunk_maximum = -INFINITY, chunk_length = 0;
        for (int j = 0; j < count; j++, cell++) {
            while (cell == run->count)
                run++, cell = 0;
            scores[j] = a->scale * dot(q, cell_at(run->block, a->cache.keys, kv, run->cell + cell, dim), dim);
            values[j] = cell_at(run->block, a->cache.values, kv, run->cell + cell, dim);
            chunk_maximum = fmaxf(chunk_maximum, scores[j]);
        }
        float merged = fmaxf(maximum, chunk_maximum);
        float keep = first > begin ? expf(maximum - merged) : 0, take = expf(chunk_maximum - merged);
        for (int j = 0; j < count; j++) {
            scores[j] = expf(scores[j] - chunk_maximum);
            chunk_length += scores[j];
        }
        for (int d = 0; d < dim; d += LANES) {
            int lanes = dim - d < LANES ? dim - d : LANES;
            float sums[LANES] = {0};
            for (int j = 0; j < count; j++)
                for (int l = 0; l < lanes; l++)
                    sums[l] += scores[j] * values[j][d + l];
            for (int l = 0; l < lanes; l++)
                out[d + l] = keep * out[d + l] + take * sums[l];
        }
        length = keep * length + take * chunk_length;
        maximum = merged;
    }
    out[dim] = maximum, out[dim + 1] = length;
}

static void attention_rows(const struct kernel_attention *a, int first, int last, int h, int span)
{
    int group = a->heads / a->cache.kv_heads;
    for (int r = first; r < last; r++)
        for (int g = h * group; g < (h + 1) * group && kernel_sees(a, r, span); g++) {
            size_t at = ((size_t)r * (size_t)a->heads + (size_t)g) * (size_t)a->cache.head_dim;
            attend(a, r, a->q + at, h, span, kernel_partial(a, span, r, g));
        }
}

static void attention_merge(const struct kernel_attention *a, int r)
{
    const int dim = a->cache.head_dim, first = kernel_first_seen(a, r) / KERNEL_SPAN, spans = a->rows[r].position / KERNEL_SPAN + 1;
    for (int g = 0; g < a->heads; g++) {
        float *out = a->out + ((size_t)r * (size_t)a->heads + (size_t)g) * (size_t)dim, maximum = -INFINITY, length = 0;
        for (int s = first; s < spans; s++)
            maximum = fmaxf(maximum, kernel_partial(a, s, r, g)[dim]);
        for (int s = first; s < spans; s++) {
            const float *from = kernel_partial(a, s, r, g);
            const float take = expf(from[dim] - maximum);
            length += take * from[dim + 1];
            for (int d = 0; d < dim; d++)
                out[d] = (s > first ? out[d] : 0) + take * from[d];
        }
        for (int d = 0; d < dim; d++)
            out[d] /= length;
    }
}

static void swiglu(const float *gate, const float *up, int n, float *out)
{
    for (int c = 0; c < n; c++)
        out[c] = gate[c] / (1 + expf(-gate[c])) * up[c];
}

/* x / 2 (1 + tanh(y)) is x / (1 + e^-2y). */
static void geglu(const float *gate, const float *up, int n, float *out)
{
    for (int c = 0; c < n; c++)
        out[c] = gate[c] / (1 + expf(-gate[c] * (KERNEL_GELU + KERNEL_GELU_CUBE * gate[c] * gate[c]))) * up[c];
}

static void combine(const float *u, const float *m, int rows, int cols, float *y)
{
    for (int c = 0; c < cols; c += KERNEL_STRIP, m += (size_t)rows * KERNEL_STRIP) {
        float sums[4][KERNEL_STRIP] = {{0}};
        for (int r = 0; r < rows; r++)
            for (int l = 0; l < KERNEL_STRIP; l++)
                sums[r % 4][l] += u[r] * m[r * KERNEL_STRIP + l];
        for (int l = 0; l < KERNEL_STRIP && c + l < cols; l++)
            y[c + l] += (sums[0][l] + sums[1][l]) + (sums[2][l] + sums[3][l]);
    }
}

const struct kernel_set kernel_set_reference = {
    .name = "reference",
    .about = "scalar C on exact weights and fp32 activations, fp32 cache",
    .supported = supported,
    .cache = KERNEL_F32,
    .pack = pack,
    .prepared_bytes = prepared_bytes,
    .prepare = prepare,
    .matmul = matmul,
    .rms_norm = rms_norm,
    .rope = rope,
    .cache_bytes = cache_bytes,
    .store = store,
    .attention_rows = attention_rows,
    .attention_merge = attention_merge,
    .swiglu = swiglu,
    .geglu = geglu,
    .learning = &kernel_learning_reference,
    .combine = combine,
};
