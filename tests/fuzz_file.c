/* libFuzzer: any bytes as a model file, and where one opens, all of it read, its vocabulary used on the same bytes, and a token computed.
 */
#include "engine/file_memory.h"
#include "engine/vocabulary.h"
#include "fuzz_folder.h"
#include "gguf_writer.h"
#include "opened.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

enum { LETTERS = 26, TOKENS = LETTERS + 5, TOKENIZER_KEYS = 7 };

static void put_tokenizer(struct string *s, unsigned seed)
{
    static const char *const pres[] = {"smollm", "default", "llama-bpe", "qwen2"};
    static const char *const specials[] = {"<|im_start|>", "<|im_end|>", "user", "ab", "abc"};
    put_key_text(s, "tokenizer.ggml.model", "gpt2");
    put_key_text(s, "tokenizer.ggml.pre", pres[seed % 4]);
    put_number(s, "tokenizer.ggml.eos_token_id", PUT_U32, 27, 4);
    put_key_text(s, "tokenizer.chat_template", "{{ '<|im_start|>system\\nBe.<|im_end|>' }}");
    put_key_array(s, "tokenizer.ggml.tokens", PUT_TEXT, TOKENS);
    for (int i = 0; i < LETTERS; i++)
        put_bytes(s, &"abcdefghijklmnopqrstuvwxyz"[i], 1);
    for (int i = 0; i < 5; i++)
        put_text(s, specials[i]);
    put_key_array(s, "tokenizer.ggml.token_type", PUT_I32, TOKENS);
    for (int i = 0; i < TOKENS; i++)
        put(s, i < LETTERS ? 1 : i < LETTERS + 2 ? 3 : i == LETTERS + 2 ? 4 : 1, 4);
    put_key_array(s, "tokenizer.ggml.merges", PUT_TEXT, 3);
    put_text(s, "a b");
    put_text(s, "ab c");
    put_text(s, "e d");
}

/* Whole small files: what random bytes would take forever to become. This one has weights of every type, but is no model's. */
static void put_file(struct string *s, unsigned seed)
{
    static const uint64_t sizes[] = {256, 2};
    static const uint32_t types[] = {0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30};
    put_header(s, 3, 2, TOKENIZER_KEYS + 1);
    put_number(s, "general.alignment", PUT_U32, 16, 4);
    put_tokenizer(s, seed);
    put_tensor(s, "a", 2, sizes, types[seed / 4 % (sizeof types / sizeof *types)], 0);
    put_tensor(s, "b", 1, sizes, 0, 2048);
    put_padding(s, 16);
    for (int i = 0; i < 2048 + 1024; i++)
        put(s, (uint64_t)i, 1);
}

/* A model of one layer that computes tokens, narrow with matrices in F32, or in any quantized type, with Q4_0 where rows are too short for it. */
static void put_model(struct string *s, unsigned seed)
{
    enum { VECTOR, TOKEN, WIDE, INNER };
    static const struct {
        const char *name;
        int rows, cols;
    } tensors[] = {{"token_embd", TOKEN, WIDE},     {"output_norm", VECTOR, WIDE}, {"blk.0.attn_norm", VECTOR, WIDE},
                   {"blk.0.ffn_norm", VECTOR, WIDE}, {"blk.0.attn_q", INNER, WIDE}, {"blk.0.attn_k", INNER, WIDE},
                   {"blk.0.attn_v", INNER, WIDE},   {"blk.0.attn_output", WIDE, INNER}, {"blk.0.ffn_gate", INNER, WIDE},
                   {"blk.0.ffn_up", INNER, WIDE},   {"blk.0.ffn_down", WIDE, INNER}};
    static const struct type {
        uint32_t number, block, bytes;
    } f32 = {0, 1, 4}, q4_0 = {2, 32, 18},
      types[] = {{2, 32, 18},   {3, 32, 20},    {6, 32, 22},    {7, 32, 24},    {8, 32, 34},  {10, 256, 84},
                 {11, 256, 110}, {12, 256, 144}, {13, 256, 176}, {14, 256, 210}, {20, 32, 18}, {23, 256, 136}};
    enum { TENSORS = sizeof tensors / sizeof *tensors, ALIGNMENT = 32 };
    const unsigned type = seed / 2 % (sizeof types / sizeof *types);
    const uint64_t inner = seed & 1 ? 32 : 8, width = seed & 1 ? types[type].block : 8;
    const uint64_t sizes_of[] = {[VECTOR] = 1, [TOKEN] = TOKENS, [WIDE] = width, [INNER] = inner};
    uint64_t offset = 0;
    put_header(s, 3, TENSORS, TOKENIZER_KEYS + 11);
    put_key_text(s, "general.architecture", "llama");
    put_number(s, "general.alignment", PUT_U32, ALIGNMENT, 4);
    put_number(s, "llama.block_count", PUT_U32, 1, 4);
    put_number(s, "llama.embedding_length", PUT_U32, width, 4);
    put_number(s, "llama.feed_forward_length", PUT_U32, inner, 4);
    put_number(s, "llama.context_length", PUT_U32, 64, 4);
    put_number(s, "llama.attention.head_count", PUT_U32, 1, 4);
    put_number(s, "llama.attention.key_length", PUT_U32, inner, 4);
    put_number(s, "llama.attention.layer_norm_rms_epsilon", PUT_F32, 0x3727c5ac, 4);
    put_key_text(s, "llama.rope.scaling.type", "yarn");
    put_number(s, "llama.rope.scaling.factor", PUT_F32, 0x40000000, 4);
    put_tokenizer(s, seed / 2);
    for (int i = 0; i < TENSORS; i++) {
        const uint64_t sizes[] = {sizes_of[tensors[i].cols], sizes_of[tensors[i].rows]};
        const int matrix = tensors[i].rows != VECTOR;
        const struct type *t = !matrix || !(seed & 1) ? &f32 : sizes[0] % types[type].block ? &q4_0 : &types[type];
        char name[64];
        snprintf(name, sizeof name, "%s.weight", tensors[i].name);
        put_tensor(s, name, matrix ? 2 : 1, sizes, t->number, offset);
        offset += sizes[1] * (sizes[0] / t->block) * t->bytes;
        offset += (ALIGNMENT - offset % ALIGNMENT) % ALIGNMENT;
    }
    put_padding(s, ALIGNMENT);
    for (uint64_t i = 0; i < offset; i++)
        put(s, 0x3c, 1); /* a number near 1 in F16, a small one in F32 */
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    if (n < 24) {
        struct string s = {0};
        (seed % 3 ? put_model : put_file)(&s, seed / 3);
        n = fuzz_begin(bytes, most, &s);
    }
    return LLVMFuzzerMutate(bytes, n, most);
}

static void use(const struct engine_vocabulary *v, const char *text, size_t n)
{
    const struct engine_message messages[] = {{"user", "hello <|im_start|>"}, {"assistant", "yes"}};
    struct engine_tokens tokens = {0};
    struct string back = {0};
    size_t length;
    engine_vocabulary_tokenize(v, text, n, 1, &tokens);
    engine_vocabulary_chat(v, messages, 2, ENGINE_BRIEF, &tokens);
    engine_vocabulary_detokenize(v, tokens.ids, tokens.count, 1, &back);
    for (int i = -1; i <= engine_vocabulary_count(v); i++)
        if (engine_vocabulary_text(v, i, &length))
            string_append(&back, engine_vocabulary_text(v, i, &length), length);
    string_free(&back);
    engine_tokens_free(&tokens);
}

/* All weights of a tensor, dequantized. */
static uint64_t hash_weights(const struct engine_tensor *t)
{
    const struct kernel_format *format = kernel_format(t->type);
    uint64_t hash = 0;
    for (size_t at = 0; at < t->bytes; at += (size_t)format->bytes) {
        float weights[256];
        format->dequantize((const unsigned char *)t->data + at, weights, format->block);
        hash = random_stream(hash, hash_bytes(weights, (size_t)format->block * sizeof *weights), at);
    }
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *copy = xmalloc(n); /* aligned as a mapping is, and with an end that AddressSanitizer watches */
    struct engine_file *f;
    struct engine_vocabulary *v;
    struct error e = {0};
    if (n)
        memcpy(copy, bytes, n);
    if (opened(engine_file_open_memory(&f, "fuzz.gguf", copy, n, &e), &e, "fuzz.gguf")) {
        uint64_t sum = 0;
        for (int i = 0; i < engine_file_tensor_count(f); i++)
            sum += hash_weights(engine_file_tensor_at(f, i));
        if (sum != 1 && opened(engine_vocabulary_create(&v, f, &e), &e, "fuzz.gguf")) {
            use(v, copy, n < 4096 ? n : 4096);
            engine_vocabulary_free(v);
        }
        engine_file_close(f);
    }
    use_model(fuzz_file(bytes, n));
    free(copy);
    return 0;
}
