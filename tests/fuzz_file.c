/* libFuzzer: any bytes as a model file, and where one opens, all of it read and its vocabulary used on the same bytes. */
#include "engine/file_memory.h"
#include "engine/vocabulary.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

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
            sum += hash_bytes(engine_file_tensor_at(f, i)->data, engine_file_tensor_at(f, i)->bytes);
        if (sum != 1 && !engine_vocabulary_create(&v, f, NULL)) {
            use(v, copy, n < 4096 ? n : 4096);
            engine_vocabulary_free(v);
        }
        engine_file_close(f);
    }
    free(copy);
    return 0;
}
