/* Quantizing: blocks worked by hand, bounds of the error at random, what is not a number; NF4 against bitsandbytes; files that are
 * written against what they were written from. */
#include "engine/engine.h"
#include "engine/file.h"
#include "gguf_writer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* --- numbers ----------------------------------------------------------------------------------------------------- */

static uint64_t draws; /* each test begins them anew */

static float normal(void)
{
    double u = random_uniform(7, 0, draws++), v = random_uniform(7, 0, draws++);
    return (float)(sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v));
}

/* What a type makes of x[n], dequantized; the blocks stay in `blocks` where it is not NULL. */
static void round_trip(enum kernel_type type, const float *x, float *out, int n, unsigned char *blocks)
{
    const struct kernel_format *format = kernel_format(type);
    size_t bytes = (size_t)(n / format->block) * (size_t)format->bytes;
    unsigned char *own = xmalloc(bytes + 1), *at = own + 1; /* data need not be aligned */
    format->quantize(x, at, n);
    format->dequantize(at, out, n);
    if (blocks)
        memcpy(blocks, at, bytes);
    free(own);
}

static float greatest(const float *x, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

static const enum kernel_type written[] = {KERNEL_F32, KERNEL_F16, KERNEL_Q8_0, KERNEL_Q4_0, KERNEL_IQ4_NL};
enum { WRITTEN = sizeof written / sizeof *written };

/* --- blocks ------------------------------------------------------------------------------------------------------ */

static void test_by_hand(void **state)
{
    (void)state;
    unsigned char b[64];
    float x[32], out[32];
    for (int i = 0; i < 32; i++)
        x[i] = (float)i - 16.5f;
    x[0] = -127; /* so that d is 1; halves go to the even number */
    round_trip(KERNEL_Q8_0, x, out, 32, b);
    assert_int_equal(b[0] | b[1] << 8, 0x3c00);
    assert_int_equal((signed char)b[2], -127);
    assert_int_equal((signed char)b[2 + 1], -16); /* -15.5 */
    assert_int_equal((signed char)b[2 + 2], -14); /* -14.5 */
    assert_int_equal((signed char)b[2 + 31], 14); /* 14.5 */
    assert_true(out[1] == -16 && out[31] == 14);

    /* Values that a block can hold are held: weight i is the low half of byte i, weight i + 16 the high one. */
    for (int i = 0; i < 16; i++) {
        x[i] = 0.5f * (float)(i - 8);
        x[i + 16] = 0.5f * (float)(7 - i);
    }
    round_trip(KERNEL_Q4_0, x, out, 32, b);
    assert_memory_equal(out, x, sizeof x);
    assert_int_equal(b[0] | b[1] << 8, 0x3800);
    for (int i = 0; i < 16; i++)
        assert_int_equal(b[2 + i], i | (15 - i) << 4);
    for (int i = 0; i < 16; i++) {
        x[i] = -0.25f * kernel_iq4_nl_values[i];
        x[i + 16] = -0.25f * kernel_iq4_nl_values[15 - i];
    }
    round_trip(KERNEL_IQ4_NL, x, out, 32, b);
    assert_memory_equal(out, x, sizeof x);
    assert_int_equal(b[0] | b[1] << 8, 0xb400);
    for (int i = 0; i < 16; i++)
        assert_int_equal(b[2 + i], i | (15 - i) << 4);

    const float halves[4] = {1, -1.5f, 1 + 0x1p-11f, 1 + 0x3p-11f}; /* the last two are half-way */
    round_trip(KERNEL_F16, halves, out, 4, b);
    assert_int_equal(b[0] | b[1] << 8, 0x3c00);
    assert_true(out[1] == -1.5f && out[2] == 1 && out[3] == 1 + 0x4p-11f);
    round_trip(KERNEL_F32, halves, out, 4, NULL);
    assert_memory_equal(out, halves, sizeof halves);
    assert_null(kernel_format(KERNEL_Q4_1)->quantize);
    assert_null(kernel_format(KERNEL_NF4)->quantize);
}

/* The error with a weight's importance being the mean square of its block and its own, as the quantizer counts it. */
static double weighted_error(const float *x, const float *y)
{
    double mean = 0, sum = 0;
    for (int i = 0; i < 32; i++)
        mean += (double)x[i] * (double)x[i] / 32;
    for (int i = 0; i < 32; i++)
        sum += (mean + (double)x[i] * (double)x[i]) * ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sum;
}

/* The usual way: the weight of greatest magnitude is -8 (-127) steps, and every weight takes the nearest value. */
static void plain_block(enum kernel_type type, const float *x, float *out)
{
    float signed_most = 0, values[16];
    for (int i = 0; i < 16; i++)
        values[i] = type == KERNEL_Q4_0 ? (float)(i - 8) : kernel_iq4_nl_values[i];
    for (int i = 0; i < 32; i++)
        signed_most = fabsf(x[i]) > fabsf(signed_most) ? x[i] : signed_most;
    float d = kernel_half_to_float(kernel_float_to_half(signed_most / values[0]));
    for (int i = 0; i < 32; i++) {
        int best = 0;
        for (int v = 1; v < 16; v++)
            best = fabsf(x[i] - d * values[v]) < fabsf(x[i] - d * values[best]) ? v : best;
        out[i] = d * values[best];
    }
}

static void test_error_bounds(void **state)
{
    (void)state;
    draws = 0;
    double ours[KERNEL_TYPES] = {0}, usual[KERNEL_TYPES] = {0};
    for (int round = 0; round < 2000; round++) {
        float x[32], y[32], plain[32];
        for (int i = 0; i < 32; i++)
            x[i] = normal() * (round % 3 ? 0.03f : 5) * (i == round % 37 ? 6 : 1);
        float most = greatest(x, 32);
        round_trip(KERNEL_F16, x, y, 32, NULL);
        for (int i = 0; i < 32; i++)
            assert_true(fabsf(x[i] - y[i]) <= fabsf(x[i]) * 0x1p-11f + 0x1p-25f);
        round_trip(KERNEL_Q8_0, x, y, 32, NULL);
        for (int i = 0; i < 32; i++) /* half a step; the step itself is rounded to 11 bits */
            assert_true(fabsf(x[i] - y[i]) <= most / 254 * 1.002f + most * 0x1p-11f);
        for (int t = 3; t < WRITTEN; t++) {
            round_trip(written[t], x, y, 32, NULL);
            plain_block(written[t], x, plain);
            assert_true(weighted_error(x, y) <= 1.001 * weighted_error(x, plain));
            ours[written[t]] += weighted_error(x, y) / most / most / most / most;
            usual[written[t]] += weighted_error(x, plain) / most / most / most / most;
        }
    }
    print_message("weighted squared error of the usual scale: Q4_0 %.3f of it, IQ4_NL %.3f\n", ours[KERNEL_Q4_0] / usual[KERNEL_Q4_0],
                  ours[KERNEL_IQ4_NL] / usual[KERNEL_IQ4_NL]);
    assert_true(ours[KERNEL_Q4_0] < 0.9 * usual[KERNEL_Q4_0]); /* the search is worth its time */
    assert_true(ours[KERNEL_IQ4_NL] < 0.9 * usual[KERNEL_IQ4_NL]);
}

/* Quantizing what was dequantized changes nothing: always with F16 and Q8_0; with 4 bits where the block uses the far values, as
 * a search around the end of the range then finds the step again. */
static void test_again(void **state)
{
    (void)state;
    draws = 1 << 20;
    int used[KERNEL_TYPES] = {0};
    for (int round = 0; round < 2000; round++) {
        float x[32], y[32], z[32];
        for (int i = 0; i < 32; i++)
            x[i] = normal() * 0.1f;
        for (int t = 0; t < WRITTEN; t++) {
            const enum kernel_type type = written[t];
            unsigned char b[128];
            round_trip(type, x, y, 32, b);
            round_trip(type, y, z, 32, NULL);
            if (type == KERNEL_Q4_0 || type == KERNEL_IQ4_NL) {
                float d = kernel_half_to_float((uint16_t)(b[0] | b[1] << 8)), end = type == KERNEL_Q4_0 ? 8 : 127;
                if (greatest(y, 32) < 0.8f * end * fabsf(d))
                    continue;
            }
            used[type]++;
            for (int i = 0; i < 32; i++) /* not bytes: a step below 0 gives -0 */
                assert_true(y[i] == z[i]);
        }
    }
    assert_true(used[KERNEL_Q4_0] > 1900 && used[KERNEL_IQ4_NL] > 1900);
}

static void test_extremes(void **state)
{
    (void)state;
    draws = 2 << 20;
    float x[96], y[96], alone[32];
    for (int t = 0; t < WRITTEN; t++) {
        const enum kernel_type type = written[t];
        for (int i = 0; i < 96; i++)
            x[i] = i < 32 || i >= 64 ? normal() : 0;
        round_trip(type, x, y, 96, NULL);
        for (int i = 32; i < 64; i++)
            assert_true(y[i] == 0); /* zeros stay zeros */
        round_trip(type, x + 64, alone, 32, NULL);
        assert_memory_equal(alone, y + 64, sizeof alone); /* a block is a function of its own weights */

        /* What cannot be held is seen, and only in its own block. */
        const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, 3e38f};
        for (int k = 0; k < 5; k++) {
            float z[96];
            if (type == KERNEL_F32 && k > 2)
                continue;
            x[40] = bad[k];
            round_trip(type, x, z, 96, NULL);
            assert_false(isfinite(z[40]));
            assert_memory_equal(z, y, 32 * sizeof *z);
            assert_memory_equal(z + 64, y + 64, 32 * sizeof *z);
        }

        /* The smallest numbers a half can hold, and below: no error larger than the weights. */
        for (int e = -60; e < -10; e++) {
            for (int i = 0; i < 32; i++)
                x[i] = ldexpf(normal(), e);
            float most = greatest(x, 32);
            round_trip(type, x, y, 32, NULL);
            for (int i = 0; i < 32; i++)
                assert_true(fabsf(x[i] - y[i]) <= most);
        }
        /* One weight that is not zero, of either sign. */
        for (int s = -1; s < 2; s += 2) {
            memset(x, 0, sizeof x);
            x[13] = 0.7f * (float)s;
            round_trip(type, x, y, 32, NULL);
            for (int i = 0; i < 32; i++)
                assert_true(i == 13 ? fabsf(y[i] - x[i]) < 4e-4f : fabsf(y[i]) <= 0.7f / 64);
        }
    }
}

/* --- NF4 --------------------------------------------------------------------------------------------------------- */

static struct kernel_matrix nf4_of(const float *x, int rows, int cols, int threads)
{
    struct kernel_matrix m = {.type = KERNEL_F32, .rows = rows, .cols = cols, .data = x};
    struct kernel_pool *pool = kernel_pool_create(threads);
    assert_int_equal(kernel_matrix_to_nf4(&m, pool, NULL), OK);
    kernel_pool_free(pool);
    assert_true(m.type == KERNEL_NF4 && !m.data && m.nf4->blocks == (size_t)rows * (size_t)cols / 64);
    return m;
}

enum { ROWS = 96, COLS = 256 };

/* The weights of make_nf4.py, bit for bit. */
static float *reference_weights(void)
{
    float *x = xmalloc(ROWS * COLS * sizeof *x);
    for (uint32_t i = 0; i < ROWS * COLS; i++) {
        uint32_t h = i * 2654435761u + 12345;
        h ^= h >> 15;
        h *= 2246822519u;
        h ^= h >> 13;
        uint32_t total = (h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24);
        x[i] = ((float)total - 510) / 4096 * (float)(1 + i / COLS % 7);
    }
    memset(x + 5 * COLS, 0, 64 * sizeof *x);
    x[6 * COLS + 64] = 3;
    for (int i = 0; i < COLS; i++)
        x[7 * COLS + i] *= 0x1p-20f;
    return x;
}

/* The line of nf4.txt that begins with this word; free it. */
static char *reference_line(const char *word)
{
    FILE *f = fopen("tests/reference/nf4.txt", "r");
    assert_non_null(f);
    char *line = NULL;
    size_t capacity = 0, n = strlen(word);
    while (getline(&line, &capacity, f) > 0)
        if (!strncmp(line, word, n) && line[n] == ' ') {
            fclose(f);
            char *value = xstrdup(line + n + 1);
            free(line);
            return value;
        }
    fail_msg("tests/reference/nf4.txt has no %s", word);
    return NULL;
}

static void assert_hex(const char *word, const unsigned char *bytes, size_t n)
{
    char *line = reference_line(word);
    assert_true(strlen(line) >= 2 * n);
    for (size_t i = 0; i < n; i++) {
        const char two[3] = {line[2 * i], line[2 * i + 1]};
        if (strtoul(two, NULL, 16) != bytes[i])
            fail_msg("%s, byte %zu: %02x, not %s", word, i, bytes[i], two);
    }
    free(line);
}

static void assert_floats(const char *word, const float *x, size_t n, size_t stride)
{
    char *line = reference_line(word), *p = line;
    for (size_t i = 0; i < n; i++) {
        float expected = strtof(p, &p);
        if (x[i * stride] != expected)
            fail_msg("%s, number %zu: %a, not %a", word, i, (double)x[i * stride], (double)expected);
    }
    assert_true(*p == '\n');
    free(line);
}

static void dequantize_all(const struct kernel_matrix *m, float *out)
{
    for (int r = 0; r < m->rows; r++)
        kernel_matrix_dequantize(m, r, 0, out + (size_t)r * (size_t)m->cols, m->cols);
}

static void test_nf4_is_bitsandbytes(void **state)
{
    (void)state;
    float *x = reference_weights(), *y = xmalloc(ROWS * COLS * sizeof *y);
    struct kernel_matrix m = nf4_of(x, ROWS, COLS, 2);
    const struct kernel_nf4 *q = m.nf4;
    assert_floats("map", q->map, 256, 1);
    assert_true(q->map[127] == 0 && q->map[255] == 1 && q->map[0] == -0.99296875f);
    assert_hex("codes", q->codes, q->blocks * 32);
    assert_floats("offset", &q->offset, 1, 1);
    assert_floats("absmax2", q->absmax2, 2, 1);
    assert_hex("absmax", q->absmax, q->blocks);
    dequantize_all(&m, y);
    assert_floats("some", y, (ROWS * COLS + 96) / 97, 97);
    for (int i = 0; i < 64; i++)
        assert_true(y[5 * COLS + i] == 0);
    assert_int_equal(q->bytes, q->blocks * 33 + 2 * 4);

    /* Any part of a row, as the whole. */
    float part[128];
    kernel_matrix_dequantize(&m, 3, 64, part, 128);
    assert_memory_equal(part, y + 3 * COLS + 64, sizeof part);
    kernel_matrix_free(&m);
    assert_null(m.nf4);
    free(x);
    free(y);
}

/* Half-way between two values is the lower one's; anything above is the upper one's. */
static void test_nf4_ties(void **state)
{
    (void)state;
    float x[64] = {1};
    for (int i = 0; i < 15; i++) {
        float middle = (kernel_nf4_values[i] + kernel_nf4_values[i + 1]) / 2;
        x[1 + i] = middle;
        x[16 + i] = nextafterf(middle, 2);
    }
    struct kernel_matrix m = nf4_of(x, 1, 64, 1);
    const unsigned char *codes = m.nf4->codes;
    for (int i = 0; i < 31; i++) {
        int code = i % 2 ? codes[i / 2] & 15 : codes[i / 2] >> 4;
        assert_int_equal(code, i == 0 ? 15 : i < 16 ? i - 1 : i - 15);
    }
    kernel_matrix_free(&m);
}

static void test_nf4_bounds(void **state)
{
    (void)state;
    enum { SIDE = 1024 };
    draws = 3 << 20;
    float *x = xmalloc(SIDE * SIDE * sizeof *x), *y = xmalloc(SIDE * SIDE * sizeof *y);
    for (int i = 0; i < SIDE * SIDE; i++)
        x[i] = normal();
    struct kernel_matrix one = nf4_of(x, SIDE, SIDE, 1), three = nf4_of(x, SIDE, SIDE, 3);
    assert_memory_equal(one.nf4->codes, three.nf4->codes, one.nf4->blocks * 33);
    assert_memory_equal(one.nf4->absmax2, three.nf4->absmax2, one.nf4->blocks / 256 * sizeof(float));
    dequantize_all(&one, y);
    double error = 0, relative = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        double off = fabs((double)x[i] - (double)y[i]);
        error += off;
        relative += off / (fabs((double)x[i]) + 1e-8);
    }
    error /= SIDE * SIDE;
    relative /= SIDE * SIDE;
    print_message("NF4 of N(0,1): mean error %.5f, relative %.4f, %.3f bits a weight\n", error, relative, 8.0 * (double)one.nf4->bytes / SIDE / SIDE);
    assert_true(error < 0.0733 && relative < 0.206); /* bitsandbytes' own bounds */
    assert_true(8.0 * (double)one.nf4->bytes / SIDE / SIDE < 4.1275);
    kernel_matrix_free(&one);
    kernel_matrix_free(&three);
    free(x);
    free(y);
}

static void test_nf4_of_any_type(void **state)
{
    (void)state;
    enum { N = 3 * 192 };
    draws = 4 << 20;
    float x[N], y[N], z[N];
    for (int i = 0; i < N; i++)
        x[i] = normal();
    struct kernel_pool *pool = kernel_pool_create(1);
    for (int t = 0; t < WRITTEN; t++) {
        unsigned char blocks[N * 4];
        round_trip(written[t], x, y, N, blocks);
        struct kernel_matrix m = {.type = written[t], .rows = 3, .cols = 192, .data = blocks}, plain = nf4_of(y, 3, 192, 1);
        assert_int_equal(kernel_matrix_to_nf4(&m, pool, NULL), OK);
        dequantize_all(&plain, y);
        dequantize_all(&m, z);
        assert_memory_equal(y, z, sizeof y);
        kernel_matrix_free(&m);
        kernel_matrix_free(&plain);
    }
    /* All zeros; and what is not a number is refused, the matrix left as it was. */
    memset(x, 0, sizeof x);
    struct kernel_matrix m = nf4_of(x, 3, 192, 1);
    dequantize_all(&m, y);
    assert_memory_equal(y, x, sizeof x);
    kernel_matrix_free(&m);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 3; k++) {
        struct error e = {0};
        x[200] = bad[k];
        m = (struct kernel_matrix){.type = KERNEL_F32, .rows = 3, .cols = 192, .data = x};
        assert_int_equal(kernel_matrix_to_nf4(&m, pool, &e), ERROR_INPUT);
        assert_true(m.type == KERNEL_F32 && m.data == x && !m.nf4);
    }
    kernel_pool_free(pool);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/espalier_quantize_XXXXXX";

static char *path_of(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static void write_file(const char *name, const struct string *s)
{
    char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(s->text, 1, s->length, f), s->length);
    assert_int_equal(fclose(f), 0);
    free(path);
}

/* Tensors of every shape there is to treat, their weights at random (one of them `odd`), among keys of every kind. */
static void make_file(const char *name, float odd)
{
    static const struct {
        const char *name;
        int dimensions;
        uint64_t sizes[3];
        uint32_t type;
    } tensors[] = {{"token_embd.weight", 2, {64, 20}, 0}, {"norm", 1, {64}, 0},          {"matrix", 2, {64, 40}, 0},
                   {"narrow", 2, {48, 3}, 0},             {"halves", 2, {96, 5}, 1},     {"narrow halves", 2, {40, 2}, 1},
                   {"cube", 3, {32, 3, 2}, 0},            {"output.weight", 2, {64, 20}, 8}};
    struct string s = {0};
    draws = 5 << 20;
    put_header(&s, 2, 8, 6);
    put_key_text(&s, "general.name", "some");
    put_number(&s, "general.file_type", PUT_U32, 0, 4);
    put_key_array(&s, "z.list", PUT_TEXT, 2);
    put_text(&s, "one");
    put_text(&s, "");
    put_number(&s, "general.alignment", PUT_U32, 64, 4);
    put_number(&s, "a.double", PUT_F64, 0x3ff0000000000001, 8);
    put_number(&s, "m.flag", PUT_BOOL, 1, 1);
    uint64_t offset = 0;
    for (int i = 0; i < 8; i++) {
        put_tensor(&s, tensors[i].name, tensors[i].dimensions, tensors[i].sizes, tensors[i].type, offset);
        uint64_t weights = tensors[i].sizes[0] * (tensors[i].dimensions > 1 ? tensors[i].sizes[1] : 1) * (tensors[i].dimensions > 2 ? tensors[i].sizes[2] : 1);
        offset += (tensors[i].type == 0 ? weights * 4 : tensors[i].type == 1 ? weights * 2 : weights / 32 * 34) + 63;
        offset -= offset % 64;
    }
    put_padding(&s, 64);
    for (int i = 0; i < 8; i++) {
        int n = (int)(tensors[i].sizes[0] * (tensors[i].dimensions > 1 ? tensors[i].sizes[1] : 1) * (tensors[i].dimensions > 2 ? tensors[i].sizes[2] : 1));
        float *x = xmalloc((size_t)n * sizeof *x);
        for (int j = 0; j < n; j++)
            x[j] = i == 2 && j == 777 ? odd : normal() * 0.05f;
        const struct kernel_format *format = kernel_format(tensors[i].type == 0 ? KERNEL_F32 : tensors[i].type == 1 ? KERNEL_F16 : KERNEL_Q8_0);
        size_t bytes = (size_t)(n / format->block) * (size_t)format->bytes;
        unsigned char *blocks = xmalloc(bytes);
        format->quantize(x, blocks, n);
        string_append(&s, (const char *)blocks, bytes);
        put_padding(&s, 64);
        free(blocks);
        free(x);
    }
    write_file(name, &s);
    string_free(&s);
}

struct made {
    struct engine_quantized said;
    struct error e;
    int code;
};

static int after; /* stop after so many calls; -1: never */
static int stop(void *context, size_t bytes, size_t of)
{
    (void)context;
    assert_true(bytes > 0 && bytes <= of);
    return after >= 0 && after-- == 0;
}

static struct made quantize(const char *in, const char *out, const char *type)
{
    struct made made = {0};
    char *from = path_of(in), *to = path_of(out);
    made.code = engine_quantize(&(struct engine_quantize_options){.in = from, .out = to, .type = type, .threads = 2, .progress = stop}, &made.said, &made.e);
    free(from);
    free(to);
    return made;
}

static struct engine_file *open_file(const char *name)
{
    struct engine_file *f;
    struct error e;
    char *path = path_of(name);
    if (engine_file_open(&f, path, &e))
        fail_msg("%s", e.message);
    free(path);
    return f;
}

/* All keys of `from` are in `to` in their order and byte for byte, but for the two that tell the types, which come last. */
static void check_keys(const struct engine_file *from, const struct engine_file *to, int64_t file_type)
{
    struct engine_key a[16], b[16];
    size_t n = engine_file_key_count(from), m = engine_file_key_count(to), at = 0;
    int64_t x;
    engine_file_keys(from, a);
    engine_file_keys(to, b);
    for (size_t i = 0; i < n; i++) {
        if (a[i].name.length == 17 && !memcmp(a[i].name.bytes, "general.file_type", 17))
            continue;
        assert_int_equal(a[i].whole.length, b[at].whole.length);
        assert_memory_equal(a[i].whole.bytes, b[at].whole.bytes, a[i].whole.length);
        at++;
    }
    assert_int_equal(at + 2, m);
    assert_true(engine_file_integer(to, "general.file_type", &x) && x == file_type);
    assert_true(engine_file_integer(to, "general.quantization_version", &x) && x == 2);
}

static void check_tensor(const struct engine_file *from, const struct engine_file *to, const char *name, enum kernel_type type)
{
    const struct engine_tensor *a = engine_file_tensor(from, name), *b = engine_file_tensor(to, name);
    assert_true(b && b->type == type && a->dimensions == b->dimensions);
    assert_memory_equal(a->size, b->size, sizeof a->size);
    assert_int_equal(b->offset % 64, 0);
    if (a->type == type) {
        assert_int_equal(a->bytes, b->bytes);
        assert_memory_equal(a->data, b->data, a->bytes);
        return;
    }
    int n = (int)(a->size[0] * a->size[1] * a->size[2]);
    float *x = xmalloc((size_t)n * sizeof *x);
    unsigned char *blocks = xmalloc(b->bytes);
    kernel_format(a->type)->dequantize(a->data, x, n);
    kernel_format(type)->quantize(x, blocks, n);
    assert_memory_equal(blocks, b->data, b->bytes);
    free(blocks);
    free(x);
}

static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum kernel_type type, embedding, output;
        int64_t file_type;
    } cases[] = {{"f16", KERNEL_F16, KERNEL_F16, KERNEL_F16, 1},
                 {"Q8_0", KERNEL_Q8_0, KERNEL_Q8_0, KERNEL_Q8_0, 7},
                 {"q4_0", KERNEL_Q4_0, KERNEL_Q8_0, KERNEL_Q8_0, 2},
                 {"iq4_nl", KERNEL_IQ4_NL, KERNEL_Q8_0, KERNEL_Q8_0, 25}};
    after = -1;
    make_file("a.gguf", 0.5f);
    struct engine_file *from = open_file("a.gguf");
    for (int i = 0; i < 4; i++) {
        struct made made = quantize("a.gguf", "b.gguf", cases[i].name);
        if (made.code)
            fail_msg("%s", made.e.message);
        struct engine_file *to = open_file("b.gguf");
        check_keys(from, to, cases[i].file_type);
        assert_int_equal(engine_file_tensor_count(to), 8);
        assert_int_equal(engine_file_alignment(to), 64);
        check_tensor(from, to, "token_embd.weight", cases[i].embedding);
        check_tensor(from, to, "output.weight", cases[i].output);
        check_tensor(from, to, "norm", KERNEL_F32);
        check_tensor(from, to, "matrix", cases[i].type);
        check_tensor(from, to, "narrow", KERNEL_F16);
        check_tensor(from, to, "halves", cases[i].type);
        check_tensor(from, to, "narrow halves", KERNEL_F16);
        check_tensor(from, to, "cube", cases[i].type);
        assert_int_equal(made.said.narrow, i ? 2 : 0);
        assert_int_equal(made.said.bytes_in, engine_file_bytes(from));
        assert_int_equal(made.said.bytes_out, engine_file_bytes(to));
        assert_int_equal(made.said.types[KERNEL_F32].tensors, 1);
        assert_int_equal(made.said.types[KERNEL_F32].converted, 0);
        double error = made.said.types[cases[i].type].error;
        assert_true(error > 0 && error < (i == 0 ? 1e-6 : i == 1 ? 1e-4 : 1e-2));
        int tensors = 0;
        int64_t weights = 0;
        for (int t = 0; t < KERNEL_TYPES; t++) {
            tensors += made.said.types[t].tensors;
            weights += made.said.types[t].weights;
        }
        assert_int_equal(tensors, 8);
        assert_int_equal(weights, made.said.weights);
        engine_file_close(to);
    }
    engine_file_close(from);
}

/* How many files there are in the folder. */
static int files(void)
{
    char *command = xasprintf("ls %s | wc -l", folder);
    FILE *f = popen(command, "r");
    int n = -1;
    assert_int_equal(fscanf(f, "%d", &n), 1);
    pclose(f);
    free(command);
    return n;
}

static void refused(struct made made, int code, const char *part)
{
    assert_int_equal(made.code, code);
    if (!strstr(made.e.message, part) || strchr(made.e.message, '\n'))
        fail_msg("no '%s' in: %s", part, made.e.message);
}

static void test_refusals(void **state)
{
    (void)state;
    after = -1;
    make_file("a.gguf", 0.5f);
    make_file("nan.gguf", NAN);
    make_file("huge.gguf", 1e9f);
    struct string old = {0};
    string_add(&old, "what was there");
    write_file("old", &old);
    int before = files();
    refused(quantize("a.gguf", "b", "q5_k"), ERROR_USAGE, "--type q5_k: expected f16, q8_0, q4_0 or iq4_nl");
    refused(quantize("a.gguf", "b", "nf4"), ERROR_USAGE, "--type nf4");
    refused(quantize("none.gguf", "b", "q8_0"), ERROR_INPUT, "none.gguf: cannot open");
    refused(quantize("old", "b", "q8_0"), ERROR_INPUT, "not a GGUF file");
    refused(quantize("a.gguf", "a.gguf", "q8_0"), ERROR_INPUT, "a.gguf: is the file that is read");
    refused(quantize("a.gguf", ".", "q8_0"), ERROR_INPUT, "is not a plain file");
    refused(quantize("a.gguf", "no/such/b", "q8_0"), ERROR_INPUT, "no/such/b: No such file or directory");
    refused(quantize("a.gguf", "old/b", "q8_0"), ERROR_INPUT, "old/b: Not a directory");
    refused(quantize("nan.gguf", "old", "q8_0"), ERROR_INPUT, "nan.gguf: tensor matrix: a weight is no number, or one that Q8_0 cannot hold");
    refused(quantize("huge.gguf", "old", "f16"), ERROR_INPUT, "huge.gguf: tensor matrix: a weight is no number, or one that F16 cannot hold");
    after = 2;
    refused(quantize("a.gguf", "old", "q8_0"), ERROR_INPUT, "interrupted");
    after = -1;
    char *other = path_of("link"), *path = path_of("a.gguf");
    assert_int_equal(symlink(path, other), 0);
    refused(quantize("a.gguf", "link", "q8_0"), ERROR_INPUT, "is the file that is read");
    unlink(other);
    assert_int_equal(files(), before); /* nothing new, and no temporary file */
    free(other);
    free(path);
    path = path_of("old");
    char text[64] = {0};
    FILE *f = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_string_equal(text, "what was there");
    assert_int_equal(quantize("a.gguf", "old", "q8_0").code, OK); /* and it is replaced by what is whole */
    engine_file_close(open_file("old"));
    assert_int_equal(files(), before);
    free(path);
    string_free(&old);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char *command = xasprintf("rm -rf %s", folder);
    int code = system(command);
    free(command);
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),         cmocka_unit_test(test_error_bounds),
        cmocka_unit_test(test_again),           cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_nf4_is_bitsandbytes), cmocka_unit_test(test_nf4_ties),
        cmocka_unit_test(test_nf4_bounds),
        cmocka_unit_test(test_nf4_of_any_type), cmocka_unit_test(test_files),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
