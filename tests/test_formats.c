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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_gguf), cmocka_unit_test(test_parts_of_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
