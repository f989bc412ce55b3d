/* libFuzzer: a vocabulary made field by field from any bytes: names that repeat or are no text, merges in circles, scores that are no numbers, byte
 * tokens that are not there, templates of every family; then text, conversations and ids of the same bytes.
 */
#include "engine/file_memory.h"
#include "engine/vocabulary.h"
#include "gguf_writer.h"
#include "opened.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct source {
    const uint8_t *bytes;
    size_t left;
};

static unsigned take(struct source *s)
{
    if (!s->left)
        return 0;
    s->left--;
    return *s->bytes++;
}

/* Words that a vocabulary may have, and a template: one by its number, or bytes as they are. */
static void put_word(struct string *out, struct source *s)
{
    static const char *const words[] = {"<s>",
                                        "</s>",
                                        "<unk>",
                                        "<|im_start|>",
                                        "<|im_end|>",
                                        "<start_of_turn>",
                                        "<end_of_turn>",
                                        "[INST]",
                                        "[/INST]",
                                        "[SYSTEM_PROMPT]",
                                        "<|start_header_id|>",
                                        "<|end_header_id|>",
                                        "<|eot_id|>",
                                        "<｜User｜>",
                                        "<｜Assistant｜>",
                                        "<think>",
                                        "</think>",
                                        "bos_token",
                                        "eos_token",
                                        "<|user|>",
                                        "<|assistant|>",
                                        "<|end|>",
                                        "\xe2\x96\x81",
                                        " ",
                                        "\n",
                                        "  ",
                                        "<0x41>",
                                        "<0xE2>",
                                        "split('</think>')[-1].lstrip(",
                                        "enable_thinking",
                                        "<think>\n\n</think>\n\n",
                                        "<<SYS>>",
                                        "'<|im_start|>system\\nBe.<|im_end|>'",
                                        "[INST] ",
                                        "<|im_sep|>",
                                        "a",
                                        "b",
                                        "ab",
                                        "abc",
                                        "\xc4\xa0"};
    unsigned k = take(s);
    if (k < sizeof words / sizeof *words) {
        string_add(out, words[k]);
        return;
    }
    for (unsigned i = k % 5; i; i--) {
        char c = (char)take(s);
        string_append(out, &c, 1);
    }
}

static void put_array_of_words(struct string *s, const char *key, struct source *from, int count, int pairs)
{
    put_key_array(s, key, PUT_TEXT, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        struct string word = {0};
        put_word(&word, from);
        if (pairs) {
            string_add(&word, " ");
            put_word(&word, from);
        }
        put_bytes(s, string_text(&word), word.length);
        string_free(&word);
    }
}

static void put_file(struct string *s, struct source *from)
{
    static const char *const pres[] = {"smollm", "default",      "llama-bpe",      "qwen2",       "tekken",
                                       "gpt-4o", "deepseek-llm", "deepseek-coder", "deepseek-v3", "qwen35"};
    unsigned flags = take(from), pre = take(from);
    int sentencepiece = flags & 1, tokens = (int)(take(from) % 64), fewer = (flags & 2) != 0;
    struct string template = {0};
    for (unsigned i = take(from) % 12; i; i--)
        put_word(&template, from);
    put_header(s, 3, 0, 12);
    put_key_text(s, "tokenizer.ggml.model", sentencepiece ? "llama" : "gpt2");
    put_key_text(s, "tokenizer.ggml.pre", pres[pre % (sizeof pres / sizeof *pres)]);
    put_key_text(s, "general.name", flags & 4 ? "Phi-3" : "x");
    put_number(s, "tokenizer.ggml.bos_token_id", PUT_U32, take(from) % 70, 4);
    put_number(s, "tokenizer.ggml.eos_token_id", PUT_U32, take(from) % 70, 4);
    put_number(s, "tokenizer.ggml.unknown_token_id", PUT_U32, take(from) % 70, 4);
    put_number(s, "tokenizer.ggml.add_bos_token", PUT_BOOL, (flags & 8) != 0, 1);
    put_number(s, "tokenizer.ggml.add_space_prefix", PUT_BOOL, (flags & 16) != 0, 1);
    put_key(s, "tokenizer.chat_template", PUT_TEXT);
    put_bytes(s, string_text(&template), template.length);
    put_array_of_words(s, "tokenizer.ggml.tokens", from, tokens, 0);
    put_key_array(s, "tokenizer.ggml.token_type", PUT_I32, (uint64_t)tokens);
    for (int i = 0; i < tokens; i++)
        put(s, take(from) % 9, 4);
    if (sentencepiece) {
        put_key_array(s, "tokenizer.ggml.scores", PUT_F32, (uint64_t)(tokens - (fewer && tokens)));
        for (int i = 0; i < tokens - (fewer && tokens); i++) {
            uint32_t bits = (uint32_t)take(from) << 24 | take(from) << 16;
            put(s, bits, 4);
        }
    } else {
        put_array_of_words(s, "tokenizer.ggml.merges", from, (int)(take(from) % 64), 1);
    }
    string_free(&template);
}

static void use(const struct engine_vocabulary *v, const char *text, size_t n)
{
    char *copy = xstrndup(text, n);
    const struct engine_message messages[] = {{"system", copy}, {"user", copy}, {"assistant", copy},
                                              {"system", "x"},  {"user", copy}, {"assistant", copy}};
    for (int how = 0; how < 4; how++) {
        struct engine_tokens tokens = {0};
        struct string back = {0};
        engine_vocabulary_tokenize(v, text, n, how, &tokens);
        for (int i = 0; i <= 6; i++)
            engine_vocabulary_chat(v, messages, i, how % 2 * ENGINE_BRIEF, &tokens);
        for (int i = 0; i < tokens.count; i++)
            if (tokens.ids[i] < 0 || tokens.ids[i] >= engine_vocabulary_count(v))
                abort();
        engine_vocabulary_detokenize(v, tokens.ids, tokens.count, how, &back);
        string_free(&back);
        engine_tokens_free(&tokens);
    }
    if (engine_vocabulary_turn_end(v) >= engine_vocabulary_count(v))
        abort();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct source from = {bytes, n};
    struct string file = {0};
    struct engine_file *f;
    struct engine_vocabulary *v;
    struct error e = {0};
    put_file(&file, &from);
    char *copy = xmalloc(file.length); /* with an end that AddressSanitizer watches */
    memcpy(copy, file.text, file.length);
    if (engine_file_open_memory(&f, "fuzz.gguf", copy, file.length, NULL))
        abort(); /* it is well formed */
    if (opened(engine_vocabulary_create(&v, f, &e), &e, "fuzz.gguf")) {
        use(v, (const char *)from.bytes, from.left < 512 ? from.left : 512);
        engine_vocabulary_free(v);
        opened_used++;
    }
    engine_file_close(f);
    free(copy);
    string_free(&file);
    return 0;
}
