/* Every format of a GGUF file against the gguf package, bit for bit; parts of rows, and NF4 of any of them. */
#include "kernels/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NUMBERS_SEED 11
#include "any_numbers.h"
#include "any_blocks.h"

enum { MOST_BYTES = 256, MOST_WEIGHTS = 256, BF16_WEIGHTS = 128 /* are a block in formats.txt */ };

static enum kernel_type type_named(const char *name)
{
    int t = 0;
    while (t < KERNEL_TYPES && strcmp(kernel_format((enum kernel_type)t)->name, name))
        t++;
    assert_true(t < KERNEL_TYPES);
    return (enum kernel_type)t;
}

/* The blocks of make_formats.py. */
static void make_block(enum kernel_type type, int number, int block, unsigned char *to, int bytes)
{
    static const uint16_t scales[12] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xfbff, 0x8001, 0x2e66, 0xa8c3, 0x1234, 0x9abc};
    for (int i = 0; i < bytes; i++) {
        uint32_t h = (uint32_t)(number * 65536 + block * 1024 + i) * 2654435761u + 12345;
        h ^= h >> 15;
        h *= 2246822519u;
        h ^= h >> 13;
        to[i] = (unsigned char)h;
    }
    if (type != KERNEL_BF16)
        memcpy(to + scale_at(type), &scales[block % 12], 2);
    if (minimum_at(type) >= 0)
        memcpy(to + minimum_at(type), &scales[(block + 5) % 12], 2);
}

static void test_as_gguf(void **state)
{
    (void)state;
    /* ggml's numbers, which the blocks were made from. */
    static const int numbers[KERNEL_TYPES] = {
        [KERNEL_BF16] = 30, [KERNEL_Q4_0] = 2,  [KERNEL_Q4_1] = 3,  [KERNEL_Q5_0] = 6,  [KERNEL_Q5_1] = 7,  [KERNEL_Q8_0] = 8,   [KERNEL_Q2_K] = 10,
        [KERNEL_Q3_K] = 11, [KERNEL_Q4_K] = 12, [KERNEL_Q5_K] = 13, [KERNEL_Q6_K] = 14, [KERNEL_IQ4_NL] = 20, [KERNEL_IQ4_XS] = 23,
    };
    FILE *f = fopen("tests/reference/formats.txt", "r");
    assert_non_null(f);
    char line[200], name[16];
    int block, seen[KERNEL_TYPES] = {0};
    unsigned long long hash;
    unsigned first, last;
    while (fgets(line, sizeof line, f)) {
        if (*line == '#')
            continue;
        assert_int_equal(sscanf(line, "%15s %d %llx %x %x", name, &block, &hash, &first, &last), 5);
        const enum kernel_type type = type_named(name);
        const struct kernel_format *format = kernel_format(type);
        const int blocks = type == KERNEL_BF16 ? BF16_WEIGHTS : 1, n = blocks * format->block;
        unsigned char bytes[MOST_BYTES + 1];
        float weights[MOST_WEIGHTS];
        uint32_t bits[MOST_WEIGHTS];
        make_block(type, numbers[type], block, bytes + 1, blocks * format->bytes); /* at an odd address, as in a file it may be */
        format->dequantize(bytes + 1, weights, n);
        memcpy(bits, weights, sizeof bits);
        if (bits[0] != first || bits[n - 1] != last || hash_bytes(weights, (size_t)n * sizeof *weights) != hash)
            fail_msg("%s, block %d: weights from %08x to %08x, not from %08x to %08x, or others between", name, block, bits[0], bits[n - 1], first,
                     last);
        seen[type]++;
    }
    fclose(f);
    for (int t = 0; t < KERNEL_TYPES; t++)
        assert_int_equal(seen[t], t == KERNEL_F32 || t == KERNEL_F16 || t == KERNEL_NF4 ? 0 : 12);
}

/* Any part of a row is as in the whole row, also where it is no whole block. */
static void test_parts_of_rows(void **state)
{
    (void)state;
    enum { ROWS = 3, COLS = 768 };
    draws = 0;
    struct kernel_pool *pool = kernel_pool_create(2);
    for (int t = 0; t < KERNEL_TYPES; t++) {
        const enum kernel_type type = t == KERNEL_NF4 ? KERNEL_F32 : (enum kernel_type)t;
        const struct kernel_format *format = kernel_format(type);
        const size_t bytes = ROWS * COLS / (size_t)format->block * (size_t)format->bytes;
        unsigned char *data = xmalloc(bytes);
        float *whole = xmalloc(ROWS * COLS * sizeof *whole), *part = xmalloc(COLS * sizeof *part);
        for (size_t at = 0; at < bytes; at += (size_t)format->bytes)
            any_block(type, data + at, 0.1f);
        struct kernel_matrix m = {.type = type, .rows = ROWS, .cols = COLS, .data = data};
        if (t == KERNEL_NF4)
            assert_int_equal(kernel_matrix_to_nf4(&m, pool, NULL), OK);
        for (int r = 0; r < ROWS; r++)
            kernel_matrix_dequantize(&m, r, 0, whole + r * COLS, COLS);
        for (int round = 0; round < 200; round++) {
            const int row = below(ROWS), from = 64 * below(COLS / 64), n = 64 * below(COLS / 64 - from / 64 + 1);
            float *own = xmalloc((size_t)(n + !n) * sizeof *own); /* no larger, so that a sanitizer sees */
            kernel_matrix_dequantize(&m, row, from, own, n);
            assert_same(own, whole + row * COLS + from, (size_t)n);
            free(own);
        }
        kernel_matrix_free(&m);

        /* NF4 of it is NF4 of its weights. */
        struct kernel_matrix a = {.type = type, .rows = ROWS, .cols = COLS, .data = data}, b = {.rows = ROWS, .cols = COLS, .data = whole};
        if (t != KERNEL_NF4) {
            assert_int_equal(kernel_matrix_to_nf4(&a, pool, NULL), OK);
            assert_int_equal(kernel_matrix_to_nf4(&b, pool, NULL), OK);
            for (int r = 0; r < ROWS; r++) {
                kernel_matrix_dequantize(&a, r, 0, part, COLS);
                kernel_matrix_dequantize(&b, r, 0, whole, COLS);
                assert_same(part, whole, COLS);
            }
            kernel_matrix_free(&a);
            kernel_matrix_free(&b);
        }
        free(data);
        free(whole);
        free(part);
    }
    kernel_pool_free(pool);
}

/* The scale of a block, or its minimum, or the weight that it is. */
static void put_value(enum kernel_type type, unsigned char *block, int minimum, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (type == KERNEL_F32)
        memcpy(block, &x, sizeof x);
    else if (type == KERNEL_BF16)
        memcpy(block, &(uint16_t){(uint16_t)(bits >> 16)}, 2);
    else
        put_half(block + (minimum && minimum_at(type) >= 0 ? minimum_at(type) : scale_at(type)), x);
}

/* What sets that pack this type say of it. */
static void check_packed(const struct kernel_matrix *m, struct kernel_pool *pool, int expected)
{
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++) {
        struct kernel_matrix own = *m;
        if (!(*set)->supported() || !(*set)->packed_bytes || !(*set)->packed_bytes(m))
            continue;
        assert_int_equal((*set)->pack(&own, pool, NULL), expected);
        kernel_matrix_free(&own);
    }
}

/* The first of what is no number is found wherever it is, whatever comes after; the largest numbers are numbers. */
static void test_flaws(void **state)
{
    (void)state;
    enum { ROWS = 19, COLS = 2048, ROUNDS = 30 };
    const float values[] = {NAN, INFINITY, -INFINITY};
    draws = 0;
    struct kernel_pool *pool = kernel_pool_create(2);
    for (int t = 0; t < KERNEL_NF4; t++) {
        const enum kernel_type type = (enum kernel_type)t;
        const struct kernel_format *format = kernel_format(type);
        const int a_row = COLS / format->block, blocks = ROWS * a_row;
        unsigned char *whole = xmalloc((size_t)(blocks * format->bytes) + 1), *data = whole + 1, was[2][256]; /* at an odd address */
        const struct kernel_matrix m = {.type = type, .rows = ROWS, .cols = COLS, .data = data};
        struct kernel_flaw flaw;
        for (int i = 0; i < blocks; i++)
            any_block(type, data + i * format->bytes, 0.1f);
        put_value(type, data, 0, type == KERNEL_F32 ? 3.4e38f : type == KERNEL_BF16 ? -3.3e38f : 65504);
        assert_false(kernel_matrix_flaw(&m, pool, &flaw));
        put_value(type, data, 0, 1);
        check_packed(&m, pool, OK);
        for (int i = 0; i < ROUNDS; i++) {
            const int first = i < 6 ? 0 : i < 12 ? blocks - 1 : below(blocks), other = first + below(blocks - first);
            unsigned char *const at[] = {data + other * format->bytes, data + first * format->bytes};
            for (int j = 0; j < 2; j++) {
                memcpy(was[j], at[j], (size_t)format->bytes);
                put_value(type, at[j], i % 2, values[(i + j) % 3]);
            }
            assert_true(kernel_matrix_flaw(&m, pool, &flaw));
            assert_int_equal(flaw.row, first / a_row);
            assert_int_equal(flaw.block, first % a_row);
            assert_int_equal(flaw.is_nan, (i + 1) % 3 == 0);
            check_packed(&m, pool, ERROR_INPUT);
            for (int j = 1; j >= 0; j--)
                memcpy(at[j], was[j], (size_t)format->bytes);
        }
        free(whole);
    }
    kernel_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_gguf), cmocka_unit_test(test_parts_of_rows), cmocka_unit_test(test_flaws)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
