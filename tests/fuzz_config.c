/* libFuzzer: any bytes as a folder's config.json; the keys it becomes must be those of a file that opens, and a shape may come of them.
 */
#include "engine/file_memory.h"
#include "engine/folder.h"
#include "engine/model.h"
#include "fuzz_folder.h"
#include "opened.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    static const char *const types[] = {"llama", "mistral", "qwen2", "qwen3", "gemma3_text"};
    static const char *const ropes[] = {"default", "linear", "llama3", "yarn"};
    if (n < 24) {
        struct string s = {0};
        string_addf(&s,
                    "{\"model_type\":\"%s\",\"num_hidden_layers\":2,\"hidden_size\":32,\"intermediate_size\":64,\"num_attention_heads\":2,"
                    "\"num_key_value_heads\":1,\"vocab_size\":9,\"max_position_embeddings\":64,\"rms_norm_eps\":1e-5,\"head_dim\":16,"
                    "\"sliding_window\":8,\"rope_theta\":1e4,\"tie_word_embeddings\":true,\"layer_types\":[\"full_attention\"],"
                    "\"rope_scaling\":{\"rope_type\":\"%s\",\"factor\":2,\"low_freq_factor\":1,\"high_freq_factor\":4,"
                    "\"original_max_position_embeddings\":32},\"quantization_config\":{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,"
                    "\"bnb_4bit_quant_type\":\"nf4\"}}",
                    types[seed % 5], ropes[seed / 5 % 4]);
        n = fuzz_begin(bytes, most, &s);
    }
    return LLVMFuzzerMutate(bytes, n, most);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct engine_folder_shape shape = {0};
    struct engine_new_keys keys = {0};
    struct string head = {0};
    struct engine_file *f;
    struct engine_model m;
    struct error e = {0};
    json_t *json;
    if (!opened(engine_json_parse(&json, "config.json", bytes, n, &e), &e, "config.json"))
        return 0;
    if (opened(engine_folder_config(json, "config.json", &keys, &shape, &e), &e, "config.json")) {
        engine_keys_head(&keys, &head);
        if (engine_file_open_memory(&f, "keys", head.text, head.length, NULL))
            __builtin_trap();
        opened_used += opened(engine_model_shape(&m, f, 0, &e), &e, "keys");
        engine_file_close(f);
    }
    engine_keys_free(&keys);
    string_free(&head);
    free(shape.rope_factors);
    json_decref(json);
    return 0;
}
