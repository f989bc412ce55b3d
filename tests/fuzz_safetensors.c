/* libFuzzer: any bytes as a safetensors file, and where one opens, every number in it read, and as bitsandbytes' where they say they are.
 */
#include "engine/folder.h"
#include "fuzz_folder.h"
#include "opened.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

/* A matrix of 64 weights in NF4 and a vector: what random bytes would take forever to become. */
static void put_file(struct string *s, unsigned seed)
{
    static const char state[] = "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [2, 64], \"nested_blocksize\": 256, \"nested_offset\": 0.5}";
    static const char *const types[] = {"F32", "F16", "BF16", "U8", "I64"};
    static const size_t widths[] = {4, 2, 2, 1, 8};
    const size_t sizes[] = {8, 64, 64, 2, 1024, 4, sizeof state - 1};
    static const char *const names[] = {"b", "w.weight", "w.weight.quant_map", "w.weight.absmax", "w.weight.nested_quant_map", "w.weight.nested_absmax",
                                        "w.weight.quant_state.bitsandbytes__nf4"};
    struct string head = {0};
    size_t at = 0;
    for (int i = 0; i < 7; i++) {
        const int wide = i == 2 || i == 4 || i == 5;
        string_addf(&head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]}", i ? "," : "{", names[i],
                    i ? wide ? "F32" : "U8" : types[seed % 5], i ? sizes[i] / (wide ? 4 : 1) : 8 / widths[seed % 5], at, at + sizes[i]);
        at += sizes[i];
    }
    string_add(&head, "}");
    uint64_t length = head.length;
    string_append(s, (const char *)&length, 8);
    string_append(s, head.text, head.length);
    for (int i = 0; i < 72; i++)
        string_append(s, &(char){(char)i}, 1);
    string_append(s, (const char *)kernel_nf4_values, 64);
    for (int i = 0; i < 2 + 1024 + 4; i++)
        string_append(s, &(char){(char)(i & 63)}, 1);
    string_append(s, state, sizeof state - 1);
    string_free(&head);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    if (n < 24) {
        struct string s = {0};
        put_file(&s, seed);
        n = fuzz_begin(bytes, most, &s);
    }
    return LLVMFuzzerMutate(bytes, n, most);
}

static void use(const struct engine_safetensors *f, const char *path)
{
    struct error e = {0};
    for (int i = 0; i < engine_safetensors_count(f); i++) {
        const struct engine_safetensor *t = engine_safetensors_at(f, i);
        struct kernel_nf4 *q = NULL;
        int64_t rows, cols;
        float *x = t->type < ENGINE_SAFETENSORS_U8 ? input_alloc(t->count, sizeof *x) : NULL;
        if (x)
            opened(engine_safetensors_read(f, t, x, &e), &e, path);
        free(x);
        engine_folder_is_nf4_part(f, t);
        if (!engine_folder_is_nf4(f, t) || !opened(engine_folder_nf4(&q, f, t, &rows, &cols, &e), &e, path))
            continue;
        struct kernel_matrix m = {.type = KERNEL_NF4, .rows = (int)rows, .cols = (int)cols, .nf4 = q};
        float out[64];
        for (int r = 0; r < m.rows; r++)
            for (int c = 0; c < m.cols; c += 64)
                kernel_matrix_dequantize(&m, r, c, out, 64);
        engine_folder_nf4_free(q);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const char *path = fuzz_file(bytes, n);
    struct engine_safetensors *f;
    struct error e = {0};
    if (opened(engine_safetensors_open(&f, path, &e), &e, path)) {
        use(f, path);
        engine_safetensors_close(f);
        opened_used++;
    }
    return 0;
}
