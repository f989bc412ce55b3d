/* libFuzzer: any bytes as a folder's tokenizer.json and, after a line "%%", tokenizer_config.json and generation_config.json; the keys they become
 * must be those of a file that opens, and a vocabulary that comes of them is used on the same bytes.
 */
#include "engine/file_memory.h"
#include "engine/folder.h"
#include "engine/vocabulary.h"
#include "fuzz_folder.h"
#include "opened.h"

enum { VOCABULARY = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

static void put_tokenizer(struct string *s, unsigned seed)
{
    static const char *const pres[] = {
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]}", "null"};
    const int kind = (int)(seed % 3);
    string_addf(s, "{\"added_tokens\":[{\"id\":30,\"content\":\"<|im_start|>\",\"special\":true},{\"id\":31,\"content\":\"<|im_end|>\",\"special\":true},"
                   "{\"id\":32,\"content\":\"user\",\"special\":false}],\"normalizer\":null,\"pre_tokenizer\":%s,\"post_processor\":{\"type\":"
                   "\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|im_start|>\"}}]},\"model\":{\"type\":\"BPE\",\"byte_fallback\":%s,\"vocab\":{",
                pres[kind], kind == 2 ? "true" : "false");
    for (int i = 0; i < 26; i++)
        string_addf(s, "%s\"%c\":%d", i ? "," : "", 'a' + i, i);
    string_add(s, ",\"ab\":26,\"abc\":27,\"<0x41>\":28},\"merges\":[\"a b\",[\"ab\",\"c\"]]}}\n%%\n{\"bos_token\":{\"content\":\"<|im_start|>\"},\"eos_token\":\"<|im_end|>\","
                  "\"chat_template\":[{\"name\":\"default\",\"template\":\"<|im_start|>system\\nBe.<|im_end|>\"}]}\n%%\n{\"eos_token_id\":[31,3]}");
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    if (n < 24) {
        struct string s = {0};
        put_tokenizer(&s, seed);
        n = fuzz_begin(bytes, most, &s);
    }
    return LLVMFuzzerMutate(bytes, n, most);
}

static void use(const struct engine_file *f, const uint8_t *bytes, size_t n)
{
    struct engine_vocabulary *v;
    struct engine_tokens tokens = {0};
    struct string back = {0};
    struct error e = {0};
    if (!opened(engine_vocabulary_create(&v, f, &e), &e, "keys"))
        return;
    engine_vocabulary_tokenize(v, (const char *)bytes, n < 2048 ? n : 2048, 1, &tokens);
    engine_vocabulary_detokenize(v, tokens.ids, tokens.count, 1, &back);
    engine_tokens_free(&tokens);
    string_free(&back);
    engine_vocabulary_free(v);
    opened_used++;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *pieces[3] = {NULL};
    struct engine_folder_texts texts = {.folder = "folder"};
    json_t **const into[] = {&texts.tokenizer, &texts.tokenizer_config, &texts.generation_config};
    struct engine_new_keys keys = {0};
    struct string head = {0};
    struct engine_file *f;
    struct error e = {0};
    int count = fuzz_pieces(bytes, n, pieces, 3), read = count > 0;
    for (int i = 0; i < count; i++) {
        read = read && opened(engine_json_parse(into[i], "tokenizer.json", pieces[i], strlen(pieces[i]), &e), &e, "tokenizer.json");
        free(pieces[i]);
    }
    if (read && opened(engine_folder_tokens(&texts, VOCABULARY, &keys, &e), &e, "folder/")) {
        engine_keys_head(&keys, &head);
        if (engine_file_open_memory(&f, "keys", head.text, head.length, NULL))
            __builtin_trap();
        use(f, bytes, n);
        engine_file_close(f);
    }
    engine_keys_free(&keys);
    string_free(&head);
    json_decref(texts.tokenizer);
    json_decref(texts.tokenizer_config);
    json_decref(texts.generation_config);
    return 0;
}
