/* Models in each weight format a file can have, of random blocks: the reference set computes with exactly what they stand for, the fast
 * ones near it, and other commands' ways through them work. */
#include "engine/file_write.h"
#include "engine/state.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NUMBERS_SEED 12
#include "any_numbers.h"
#include "any_blocks.h"
#include "driven.h"

#define FROM "tests/reference/tiny/tiny-f32.gguf" /* whose vocabulary they have */
enum { WIDTH = 256, FF = 512, HEADS = 8, KV_HEADS = 4, HEAD_DIM = 32, LAYERS = 2, MATRICES = 7 * LAYERS + 1, TOKENS = 64 };

static char folder[] = "/tmp/espalier-test-XXXXXX";

/* --- files ------------------------------------------------------------------------------------------------------- */

static void plan_model(struct engine_new_tensors *t, int vocabulary)
{
    static const struct {
        const char *name;
        int rows, cols;
    } of_layer[] = {
        {"attn_norm", 0, WIDTH}, {"attn_q", HEADS * HEAD_DIM, WIDTH}, {"attn_k", KV_HEADS * HEAD_DIM, WIDTH}, {"attn_v", KV_HEADS * HEAD_DIM, WIDTH},
        {"attn_output", WIDTH, HEADS * HEAD_DIM}, {"ffn_norm", 0, WIDTH}, {"ffn_gate", FF, WIDTH}, {"ffn_up", FF, WIDTH}, {"ffn_down", WIDTH, FF},
    };
    char name[64];
    engine_tensors_add(t, "token_embd.weight", vocabulary, WIDTH);
    for (int l = 0; l < LAYERS; l++)
        for (size_t i = 0; i < sizeof of_layer / sizeof *of_layer; i++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, of_layer[i].name);
            engine_tensors_add(t, name, of_layer[i].rows, of_layer[i].cols);
        }
    engine_tensors_add(t, "output_norm.weight", 0, WIDTH);
}

/* A tensor's bytes: ones in a norm, else random blocks of the type, dequantized where `plain`. */
static void add_tensor(struct engine_writer *w, const struct engine_new_tensor *t, enum kernel_type type, int plain)
{
    const struct kernel_format *format = kernel_format(type);
    const size_t weights = (size_t)(t->size[0] * t->size[1]), bytes = weights / (size_t)format->block * (size_t)format->bytes;
    float *x = xmalloc(weights * sizeof *x);
    unsigned char *blocks = xmalloc(bytes);
    for (size_t i = 0; i < weights; i++)
        x[i] = 1;
    for (size_t at = 0; at < bytes && t->dimensions > 1; at += (size_t)format->bytes)
        any_block(type, blocks + at, 0.05f);
    if (t->dimensions > 1)
        format->dequantize(blocks, x, (int)weights);
    const int floats = plain || t->dimensions == 1;
    assert_int_equal(engine_writer_add(w, floats ? (const void *)x : blocks, floats ? weights * sizeof *x : bytes, NULL), OK);
    free(blocks);
    free(x);
}

static void write_model(const char *path, enum kernel_type type, int plain)
{
    struct engine_file *from;
    struct engine_new_keys keys = {0};
    struct engine_new_tensors tensors = {0};
    struct engine_writer *w;
    struct error e;
    assert_int_equal(engine_file_open(&from, FROM, &e), OK);
    engine_keys_u32(&keys, "llama.embedding_length", WIDTH);
    engine_keys_u32(&keys, "llama.feed_forward_length", FF);
    engine_keys_u32(&keys, "llama.attention.head_count", HEADS);
    engine_keys_u32(&keys, "llama.attention.head_count_kv", KV_HEADS);
    engine_keys_u32(&keys, "llama.attention.key_length", HEAD_DIM);
    engine_keys_u32(&keys, "llama.attention.value_length", HEAD_DIM);
    engine_keys_u32(&keys, "llama.rope.dimension_count", HEAD_DIM);
    plan_model(&tensors, (int)engine_file_tensor(from, "token_embd.weight")->size[1]);
    for (int i = 0; i < tensors.count; i++)
        tensors.list[i].type = tensors.list[i].dimensions == 1 || plain ? KERNEL_F32 : type;
    const struct engine_new_tensor *list = engine_tensors_list(&tensors);
    if (engine_writer_create(&w, path, from, &keys, list, tensors.count, &e))
        fail_msg("%s", e.message);
    draws = 0;
    for (int i = 0; i < tensors.count; i++)
        add_tensor(w, &list[i], type, plain);
    assert_int_equal(engine_writer_finish(w, &e), OK);
    engine_writer_free(w);
    engine_tensors_free(&tensors);
    engine_keys_free(&keys);
    engine_file_close(from);
}

/* --- what they say ----------------------------------------------------------------------------------------------- */

static struct engine *open_model(const char *path, const char *kernels, const char *quant)
{
    struct error e;
    struct engine *engine = NULL;
    const struct engine_options options = {.model = path, .kernels = kernels, .quant = quant, .threads = 2};
    if (engine_open(&engine, &options, &e))
        fail_msg("%s", e.message);
    return engine;
}

/* The log-probabilities of TOKENS - 1 tokens, each after those before it. */
static void score(struct engine *engine, float out[TOKENS - 1])
{
    int ids[TOKENS];
    struct engine_result r;
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (i * 37 + i * i) % 290;
    const struct engine_request q = {
        .prompt = ids, .prompt_count = TOKENS, .score = 1, .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}};
    submit(engine, &q);
    run(engine);
    assert_true(engine_result(engine, &r));
    assert_int_equal(r.count, TOKENS - 1);
    for (int i = 0; i < r.count; i++) {
        out[i] = r.tokens[i].logprob;
        assert_true(isfinite(out[i]));
    }
}

static void score_file(const char *path, const char *kernels, const char *quant, float out[TOKENS - 1])
{
    struct engine *engine = open_model(path, kernels, quant);
    score(engine, out);
    engine_close(engine);
}

static double distance(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < TOKENS - 1; i++)
        sum += fabs((double)(a[i] - b[i]));
    return sum / (TOKENS - 1);
}

#define FOR_EACH_FILE_TYPE(type) for (enum kernel_type type = KERNEL_F32; type < KERNEL_NF4; type++)

static const char *path_of(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s.gguf", folder, name);
    return path;
}

static void test_exact_with_reference(void **state)
{
    (void)state;
    char a[128], b[128];
    FOR_EACH_FILE_TYPE(type)
    {
        float x[TOKENS - 1], y[TOKENS - 1];
        write_model(path_of(a, "blocks"), type, 0);
        write_model(path_of(b, "plain"), type, 1);
        struct engine *engine = open_model(a, "reference", NULL);
        const struct engine_info *info = engine_info(engine);
        assert_int_equal(info->tensors_by_type[type], MATRICES + (type == KERNEL_F32 ? 2 * LAYERS + 1 : 0));
        assert_null(info->laid_out[type]);
        score(engine, x);
        engine_close(engine);
        score_file(b, "reference", NULL, y);
        assert_same(x, y, TOKENS - 1);
    }
}

/* What rounding activations to 8 bits takes is about the same of every type, and what else a set rounds adds nothing to it. */
static void test_near_with_fast_sets(void **state)
{
    (void)state;
    enum { MOST_SETS = 4 };
    char path[128];
    double off[MOST_SETS][KERNEL_TYPES] = {{0}};
    FOR_EACH_FILE_TYPE(type)
    {
        float exact[TOKENS - 1], x[TOKENS - 1];
        int i = 0;
        write_model(path_of(path, "blocks"), type, 0);
        score_file(path, "reference", NULL, exact);
        FOR_EACH_SET(set)
        {
            assert_true(i < MOST_SETS);
            score_file(path, set->name, NULL, x);
            off[i++][type] = distance(x, exact);
        }
    }
    int i = 0;
    FOR_EACH_SET(set)
    {
        const double most = fmax(off[i][KERNEL_Q4_1], off[i][KERNEL_Q8_0]);
        FOR_EACH_FILE_TYPE(type)
        {
            print_message("%s, %s: mean |difference of log-probability| %.5f\n", set->name, kernel_format(type)->name, off[i][type]);
            if (off[i][type] > (kernel_format(type)->block > 1 ? 2 * most : 2e-3))
                fail_msg("%s, %s: off by %.5f; Q4_1 and Q8_0 at most by %.5f", set->name, kernel_format(type)->name, off[i][type], most);
        }
        i++;
    }
}

/* What is said of a model before it is opened holds then, and it says what is laid out otherwise. */
static void test_described(void **state)
{
    (void)state;
    char path[128];
    FOR_EACH_SET(set)
    FOR_EACH_FILE_TYPE(type)
    {
        write_model(path_of(path, "blocks"), type, 0);
        struct engine *opened = open_model(path, set->name, NULL), *described;
        struct error e;
        assert_int_equal(engine_open(&described, &(struct engine_options){.model = path, .kernels = set->name, .threads = 2, .describe = 1}, &e), OK);
        const struct engine_info *a = engine_info(opened), *b = engine_info(described);
        assert_int_equal(a->packed_bytes, b->packed_bytes);
        assert_int_equal(a->in_place_bytes, b->in_place_bytes);
        assert_int_equal(a->bytes_by_type[type], b->bytes_by_type[type]);
        assert_int_equal(a->laid_out[type] != NULL, set->packed_bytes && kernel_format(type)->block == 256);
        assert_ptr_equal(a->laid_out[type], b->laid_out[type]);
        engine_close(opened);
        engine_close(described);
    }
}

/* To a type that is written, and to NF4 at load. */
static void test_quantized(void **state)
{
    (void)state;
    static const char *const targets[] = {"f16", "q8_0"};
    char path[128], to[128];
    FOR_EACH_FILE_TYPE(type)
    {
        float x[TOKENS - 1], y[TOKENS - 1];
        struct error e;
        write_model(path_of(path, "blocks"), type, 0);
        score_file(path, NULL, NULL, x);
        for (int i = 0; i < 2; i++) {
            struct engine_quantized said;
            const struct engine_quantize_options o = {.in = path, .out = path_of(to, "quantized"), .type = targets[i], .threads = 2};
            if (engine_quantize(&o, &said, &e))
                fail_msg("%s", e.message);
            score_file(to, NULL, NULL, y);
            const double off = distance(x, y);
            if (off > 0.1)
                fail_msg("%s to %s: off by %g", kernel_format(type)->name, targets[i], off);
        }
        struct engine *engine = open_model(path, NULL, "nf4");
        assert_int_equal(engine_info(engine)->quantized, 7 * LAYERS);
        score(engine, y);
        engine_close(engine);
        assert_true(distance(x, y) < 1);
    }
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    static const char *const names[] = {"blocks", "plain", "quantized"};
    char path[128];
    for (int i = 0; i < 3; i++)
        unlink(path_of(path, names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_with_reference),
        cmocka_unit_test(test_near_with_fast_sets),
        cmocka_unit_test(test_described),
        cmocka_unit_test(test_quantized),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
