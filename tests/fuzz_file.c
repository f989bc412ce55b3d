/* libFuzzer: any bytes as a model file, and where one opens, all of it read and its vocabulary used on the same bytes.
 */
#include "engine/file_memory.h"
#include "engine/vocabulary.h"
#include "gguf_writer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

/* A whole small file: what random bytes would take forever to become. */
static void put_file(struct string *s, unsigned seed)
{
    static const char *const pres[] = {"smollm", "default", "llama-bpe", "qwen2"};
    static const char *const specials[] = {"<|im_start|>", "<|im_end|>", "user", "ab", "abc"};
    static const uint64_t sizes[] = {256, 2};
    static const uint32_t types[] = {0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 23, 30};
    enum { LETTERS = 26 };
    put_header(s, 3, 2, 8);
    put_key_text(s, "tokenizer.ggml.model", "gpt2");
    put_key_text(s, "tokenizer.ggml.pre", pres[seed % 4]);
    put_number(s, "general.alignment", PUT_U32, 16, 4);
    put_number(s, "tokenizer.ggml.eos_token_id", PUT_U32, 27, 4);
    put_key_text(s, "tokenizer.chat_template", "{{ '<|im_start|>system\\nBe.<|im_end|>' }}");
    put_key_array(s, "tokenizer.ggml.tokens", PUT_TEXT, LETTERS + 5);
    for (int i = 0; i < LETTERS; i++)
        put_bytes(s, &"abcdefghijklmnopqrstuvwxyz"[i], 1);
    for (int i = 0; i < 5; i++)
        put_text(s, specials[i]);
    put_key_array(s, "tokenizer.ggml.token_type", PUT_I32, LETTERS + 5);
    for (int i = 0; i < LETTERS + 5; i++)
        put(s, i < LETTERS ? 1 : i < LETTERS + 2 ? 3 : i == LETTERS + 2 ? 4 : 1, 4);
    put_key_array(s, "tokenizer.ggml.merges", PUT_TEXT, 3);
    put_text(s, "a b");
    put_text(s, "ab c");
    put_text(s, "e d");
    put_tensor(s, "a", 2, sizes, types[seed / 4 % (sizeof types / sizeof *types)], 0);
    put_tensor(s, "b", 1, sizes, 0, 2048);
    put_padding(s, 16);
    for (int i = 0; i < 2048 + 1024; i++)
        put(s, (uint64_t)i, 1);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    if (n < 24) {
        struct string s = {0};
        put_file(&s, seed);
        n = s.length < most ? s.length : most;
        memcpy(bytes, s.text, n);
        string_free(&s);
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
    engine_vocabulary_chat(v, messages, 2, &tokens);
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
    if (n)
        memcpy(copy, bytes, n);
    if (!engine_file_open_memory(&f, "fuzz.gguf", copy, n, NULL)) {
        uint64_t sum = 0;
        for (int i = 0; i < engine_file_tensor_count(f); i++)
            sum += hash_weights(engine_file_tensor_at(f, i));
        if (sum != 1 && !engine_vocabulary_create(&v, f, NULL)) {
            use(v, copy, n < 4096 ? n : 4096);
            engine_vocabulary_free(v);
        }
        engine_file_close(f);
    }
    free(copy);
    return 0;
}
