/* Merging what an adapter has whole, an embedding and a head, over bases whose embedding is in any type: those that are only read cannot be
 * written again, so what is merged becomes Q8_0 there, number by number what the adapter, or the base, has.
 */
#include "engine/adapter.h"
#include "engine/merge.h"
#include "engine/engine.h"
#include "gguf_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NUMBERS_SEED 12
#include "any_numbers.h"
#include "any_blocks.h"

enum { TOKENS = 6, WIDTH = 256, INNER = 32, ALL = TOKENS * WIDTH };

static char folder[] = "/tmp/espalier_merge_XXXXXX", *base, *adapter, *merged;

/* --- the base ------------------------------------------------------------------------------------------------------ */

static const struct type {
    uint32_t number; /* ggml's */
    enum kernel_type type;
} types[] = {{0, KERNEL_F32},   {1, KERNEL_F16},   {30, KERNEL_BF16}, {2, KERNEL_Q4_0},    {3, KERNEL_Q4_1},
             {6, KERNEL_Q5_0},  {7, KERNEL_Q5_1},  {8, KERNEL_Q8_0},  {10, KERNEL_Q2_K},   {11, KERNEL_Q3_K},
             {12, KERNEL_Q4_K}, {13, KERNEL_Q5_K}, {14, KERNEL_Q6_K}, {20, KERNEL_IQ4_NL}, {23, KERNEL_IQ4_XS}};
enum { TYPES = sizeof types / sizeof *types };

/* One layer of a llama in F32, its embedding (and head, where it has one) in the type. */
static void write_base(const struct type *type, int tied)
{
    static const struct {
        const char *name;
        int rows, cols; /* rows 0: a vector */
    } tensors[] = {{"token_embd", TOKENS, WIDTH},  {"output_norm", 0, WIDTH},          {"blk.0.attn_norm", 0, WIDTH},
                   {"blk.0.ffn_norm", 0, WIDTH},   {"blk.0.attn_q", INNER, WIDTH},     {"blk.0.attn_k", INNER, WIDTH},
                   {"blk.0.attn_v", INNER, WIDTH}, {"blk.0.attn_output", WIDTH, INNER}, {"blk.0.ffn_gate", INNER, WIDTH},
                   {"blk.0.ffn_up", INNER, WIDTH}, {"blk.0.ffn_down", WIDTH, INNER},   {"output", TOKENS, WIDTH}};
    const int count = sizeof tensors / sizeof *tensors - (size_t)tied;
    struct string s = {0}, data = {0};
    put_header(&s, 3, (uint64_t)count, 8);
    put_key_text(&s, "general.architecture", "llama");
    put_number(&s, "llama.block_count", PUT_U32, 1, 4);
    put_number(&s, "llama.embedding_length", PUT_U32, WIDTH, 4);
    put_number(&s, "llama.feed_forward_length", PUT_U32, INNER, 4);
    put_number(&s, "llama.context_length", PUT_U32, 64, 4);
    put_number(&s, "llama.attention.head_count", PUT_U32, 1, 4);
    put_number(&s, "llama.attention.key_length", PUT_U32, INNER, 4);
    put_number(&s, "llama.attention.layer_norm_rms_epsilon", PUT_F32, 0x3727c5ac, 4);
    for (int i = 0; i < count; i++) {
        const int whole = tensors[i].rows == TOKENS, blocks = (tensors[i].rows ? tensors[i].rows : 1) * tensors[i].cols;
        const struct kernel_format *format = kernel_format(whole ? type->type : KERNEL_F32);
        const uint64_t sizes[] = {(uint64_t)tensors[i].cols, (uint64_t)tensors[i].rows};
        char name[64];
        snprintf(name, sizeof name, "%s.weight", tensors[i].name);
        put_tensor(&s, name, tensors[i].rows ? 2 : 1, sizes, whole ? type->number : 0, data.length);
        for (int b = 0; b < blocks / format->block; b++) {
            unsigned char block[256];
            any_block(whole ? type->type : KERNEL_F32, block, 0.5f);
            string_append(&data, (const char *)block, (size_t)format->bytes);
        }
        put_padding(&data, 32);
    }
    put_padding(&s, 32);
    string_append(&s, data.text, data.length);
    FILE *f = fopen(base, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(s.text, 1, s.length, f), s.length);
    assert_int_equal(fclose(f), 0);
    string_free(&s), string_free(&data);
}

/* --- the adapter --------------------------------------------------------------------------------------------------- */

static float *any_numbers(void)
{
    float *x = xmalloc(ALL * sizeof *x);
    for (int i = 0; i < ALL; i++)
        x[i] = normal();
    return x;
}

/* What it has whole; NULL: not. */
static void write_adapter(const struct engine_file *file, const float *embedding, const float *head)
{
    const struct kernel_set *set;
    struct engine_model *m;
    struct error e;
    struct engine_adapter *a = engine_adapter_new(1);
    a->embedding = embedding ? memcpy(xmalloc(ALL * sizeof *embedding), embedding, ALL * sizeof *embedding) : NULL;
    a->head = head ? memcpy(xmalloc(ALL * sizeof *head), head, ALL * sizeof *head) : NULL;
    if (kernel_set_find("reference", &set, &e) || engine_model_describe(&m, file, TOKENS, 0, ENGINE_QUANT_NONE, set, &e) ||
        engine_adapter_write_peft(a, adapter, m, &e))
        fail_msg("%s", e.message);
    engine_model_close(m);
    engine_adapter_free(a);
}

/* --- what becomes of them ------------------------------------------------------------------------------------------ */

/* What a base's type becomes where an embedding or a head is to have more bits than the rest; `to` is the rest's. */
static enum kernel_type expected_type(enum kernel_type from, enum kernel_type to)
{
    if (to != KERNEL_Q4_0 && to != KERNEL_IQ4_NL)
        return to;
    return from == KERNEL_Q4_0 || from == KERNEL_IQ4_NL ? from : KERNEL_Q8_0;
}

/* instead: the adapter's numbers, or NULL: those of `was`. */
static void check_tensor(const struct engine_file *file, const char *name, const struct engine_tensor *was, const float *instead, enum kernel_type to)
{
    const struct engine_tensor *t = engine_file_tensor(file, name);
    const struct kernel_format *format = kernel_format(to), *before = kernel_format(was->type);
    unsigned char *blocks = xmalloc(ALL * sizeof(float));
    float *x = xmalloc(ALL * sizeof *x);
    if (!t)
        fail_msg("%s: missing", name);
    if (t->type != to)
        fail_msg("%s: over %s it is %s, not %s", name, before->name, kernel_format(t->type)->name, format->name);
    before->dequantize(was->data, x, ALL);
    if (!instead && to == was->type)
        memcpy(blocks, was->data, was->bytes);
    else
        format->quantize(instead ? instead : x, blocks, ALL);
    if (memcmp(t->data, blocks, t->bytes))
        fail_msg("%s: over %s it has other numbers than %s", name, before->name, instead ? "the adapter" : "the base");
    free(blocks), free(x);
}

/* embedding, head: what the adapter has, or NULL. */
static void check_merge(const struct engine_file *file, const char *type, enum kernel_type to, const float *embedding, const float *head)
{
    const struct engine_tensor *was = engine_file_tensor(file, "token_embd.weight"), *was_head = engine_file_tensor(file, "output.weight");
    const struct engine_merge_use one = {adapter, 1};
    const struct engine_quantize_options o = {.in = base, .out = merged, .type = type, .threads = 1, .adapters = &one, .adapter_count = 1};
    const enum kernel_type expected = expected_type(was->type, to);
    struct engine_quantized said;
    struct engine_file *out;
    struct error e;
    if (engine_quantize(&o, &said, &e) || engine_file_open(&out, merged, &e))
        fail_msg("%s", e.message);
    check_tensor(out, "token_embd.weight", was, embedding, expected);
    if (was_head || embedding != head)
        check_tensor(out, "output.weight", was_head ? was_head : was, head, expected);
    else
        assert_null(engine_file_tensor(out, "output.weight"));
    assert_int_equal(engine_file_tensor_count(out), engine_file_tensor_count(file) + (!was_head && embedding != head));
    engine_file_close(out);
}

static void test_whole(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum kernel_type type;
    } targets[] = {{"q4_0", KERNEL_Q4_0}, {"iq4_nl", KERNEL_IQ4_NL}, {"q8_0", KERNEL_Q8_0}, {"f16", KERNEL_F16}};
    draws = 0;
    for (int i = 0; i < TYPES; i++)
        for (int tied = 0; tied < 2; tied++) {
            struct engine_file *file;
            struct error e;
            float *a = any_numbers(), *b = any_numbers();
            const float *const whole[][2] = {{a, NULL}, {NULL, a}, {a, b}, {a, a}};
            write_base(&types[i], tied);
            if (engine_file_open(&file, base, &e))
                fail_msg("%s", e.message);
            for (int k = 0; k < 4; k++) {
                write_adapter(file, whole[k][0], whole[k][1]);
                check_merge(file, targets[(i + k) % 4].name, targets[(i + k) % 4].type, whole[k][0], whole[k][1]);
                check_merge(file, targets[k % 2].name, targets[k % 2].type, whole[k][0], whole[k][1]);
            }
            engine_file_close(file);
            free(a), free(b);
        }
}

/* ------------------------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    base = xasprintf("%s/base.gguf", folder);
    adapter = xasprintf("%s/adapter", folder);
    merged = xasprintf("%s/merged.gguf", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char *config = xasprintf("%s/adapter_config.json", adapter), *numbers = xasprintf("%s/adapter_model.safetensors", adapter);
    unlink(config), unlink(numbers), unlink(base), unlink(merged);
    free(config), free(numbers);
    const int code = rmdir(adapter) || rmdir(folder);
    free(base), free(adapter), free(merged);
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
