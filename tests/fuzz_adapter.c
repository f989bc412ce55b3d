/* libFuzzer: any bytes as an adapter of a small model: a GGUF file, or, with a line "%%" in them, what PEFT saves: adapter_config.json before it,
 * adapter_model.safetensors after it. What is read is laid out, added to a row of every matrix, written in both forms and read again.
 */
#include "engine/file_memory.h"
#include "engine/kv.h"
#include "engine/mix.h"
#include "fuzz_folder.h"
#include "gguf_writer.h"
#include "opened.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t most);

enum { TOKENS = 5, WIDTH = 8, FF = 12, KV = 4, LAYERS = 2, RANK = 2, TARGETS = 7 };

static const struct matrix {
    const char *gguf, *module;
    int rows, cols;
} matrices[TARGETS] = {{"attn_q", "self_attn.q_proj", WIDTH, WIDTH}, {"attn_k", "self_attn.k_proj", KV, WIDTH},
                       {"attn_v", "self_attn.v_proj", KV, WIDTH},    {"attn_output", "self_attn.o_proj", WIDTH, WIDTH},
                       {"ffn_gate", "mlp.gate_proj", FF, WIDTH},     {"ffn_up", "mlp.up_proj", FF, WIDTH},
                       {"ffn_down", "mlp.down_proj", WIDTH, FF}};

/* --- the model ----------------------------------------------------------------------------------------------------- */

static uint64_t put_weights(struct string *s, const char *name, int rows, int cols, uint64_t offset)
{
    const uint64_t sizes[] = {(uint64_t)cols, (uint64_t)rows};
    put_tensor(s, name, rows > 1 ? 2 : 1, sizes, 0, offset);
    offset += (uint64_t)rows * (uint64_t)cols * 4;
    return offset + (32 - offset % 32) % 32;
}

/* Two layers of a llama, all weights zero. */
static void put_model(struct string *s)
{
    uint64_t offset = 0;
    char name[64];
    put_header(s, 3, 2 + LAYERS * (TARGETS + 2), 8);
    put_key_text(s, "general.architecture", "llama");
    put_number(s, "llama.block_count", PUT_U32, LAYERS, 4);
    put_number(s, "llama.embedding_length", PUT_U32, WIDTH, 4);
    put_number(s, "llama.feed_forward_length", PUT_U32, FF, 4);
    put_number(s, "llama.context_length", PUT_U32, 64, 4);
    put_number(s, "llama.attention.head_count", PUT_U32, 2, 4);
    put_number(s, "llama.attention.head_count_kv", PUT_U32, 1, 4);
    put_number(s, "llama.attention.layer_norm_rms_epsilon", PUT_F32, 0x3727c5ac, 4);
    offset = put_weights(s, "token_embd.weight", TOKENS, WIDTH, offset);
    offset = put_weights(s, "output_norm.weight", 1, WIDTH, offset);
    for (int i = 0; i < LAYERS; i++)
        for (int t = 0; t < TARGETS + 2; t++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, t < TARGETS ? matrices[t].gguf : t == TARGETS ? "attn_norm" : "ffn_norm");
            offset = put_weights(s, name, t < TARGETS ? matrices[t].rows : 1, t < TARGETS ? matrices[t].cols : WIDTH, offset);
        }
    for (uint64_t end = s->length + (32 - s->length % 32) % 32 + offset; s->length < end;)
        put(s, 0, 1);
}

static const struct kernel_set *set;
static struct engine_model *model; /* the same for all inputs */
static char folder[] = "/tmp/espalier-fuzz-XXXXXX", *saved, *paths[3];

static void remove_folder(void)
{
    char *written = xasprintf("%s/written.gguf", folder), *config = xasprintf("%s/adapter_config.json", saved),
         *numbers = xasprintf("%s/adapter_model.safetensors", saved);
    unlink(written), unlink(config), unlink(numbers);
    for (int i = 0; i < 2; i++)
        unlink(paths[i]), free(paths[i]);
    rmdir(saved), rmdir(folder);
    free(written), free(config), free(numbers), free(saved);
}

static void begin(void)
{
    static struct string bytes;
    static struct engine_file *file; /* the model is of it */
    put_model(&bytes);
    if (!mkdtemp(folder) || kernel_set_find("reference", &set, NULL) || engine_file_open_memory(&file, "model", bytes.text, bytes.length, NULL) ||
        engine_model_describe(&model, file, TOKENS, 0, ENGINE_QUANT_NONE, set, NULL))
        abort();
    paths[0] = xasprintf("%s/adapter_config.json", folder);
    paths[1] = xasprintf("%s/adapter_model.safetensors", folder);
    saved = xasprintf("%s/saved", folder);
    atexit(remove_folder);
}

/* --- good ones ----------------------------------------------------------------------------------------------------- */

static void put_numbers(struct string *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(s, 0x3d000000 + ((i * 2654435761u) & 0x80ffffff), 4);
}

static void put_gguf(struct string *s)
{
    char name[64];
    uint64_t offset = 0;
    put_header(s, 3, 2 * TARGETS + 1, 4);
    put_key_text(s, "general.type", "adapter");
    put_key_text(s, "general.architecture", "llama");
    put_key_text(s, "adapter.type", "lora");
    put_number(s, "adapter.lora.alpha", PUT_F32, 0x40800000, 4);
    for (int t = 0; t < TARGETS; t++)
        for (int b = 0; b < 2; b++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight.lora_%c", t % LAYERS, matrices[t].gguf, "ab"[b]);
            offset = put_weights(s, name, b ? matrices[t].rows : RANK, b ? RANK : matrices[t].cols, offset);
        }
    offset = put_weights(s, "blk.1.attn_norm.weight", 1, WIDTH, offset);
    put_padding(s, 32);
    put_numbers(s, offset / 4);
}

static void put_safetensor(struct string *head, const char *name, int rows, int cols, size_t *at)
{
    const size_t bytes = 4 * (size_t)cols * (size_t)(rows ? rows : 1);
    string_addf(head, "%s\"base_model.model.%s.weight\":{\"dtype\":\"F32\",\"shape\":[", head->length > 1 ? "," : "", name);
    if (rows)
        string_addf(head, "%d,", rows);
    string_addf(head, "%d],\"data_offsets\":[%zu,%zu]}", cols, *at, *at + bytes);
    *at += bytes;
}

static void put_peft(struct string *s)
{
    struct string head = {0};
    size_t at = 0;
    char name[96];
    string_add(s, "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"bias\":\"none\",\"use_dora\":false,\"use_rslora\":true,"
                  "\"init_lora_weights\":true,\"target_modules\":[\"q_proj\"],\"rank_pattern\":{\"layers.1.self_attn.k_proj\":2},"
                  "\"alpha_pattern\":{\"v_.*\":1.5},"
                  "\"ensure_weight_tying\":true,\"modules_to_save\":[\"lm_head\"]}\n%%\n");
    string_add(&head, "{");
    for (int t = 0; t < TARGETS; t++)
        for (int b = 0; b < 2; b++) {
            snprintf(name, sizeof name, "model.layers.%d.%s.lora_%c", t % LAYERS, matrices[t].module, "AB"[b]);
            put_safetensor(&head, name, b ? matrices[t].rows : RANK, b ? RANK : matrices[t].cols, &at);
        }
    put_safetensor(&head, "lm_head", TOKENS, WIDTH, &at);
    put_safetensor(&head, "model.norm", 0, WIDTH, &at);
    string_add(&head, "}");
    put(s, head.length, 8);
    string_append(s, head.text, head.length);
    put_numbers(s, at / 4);
    string_free(&head);
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t most, unsigned seed)
{
    if (n < 24) {
        struct string s = {0};
        (seed % 2 ? put_gguf : put_peft)(&s);
        n = fuzz_begin(bytes, most, &s);
    }
    return LLVMFuzzerMutate(bytes, n, most);
}

/* --- using one ----------------------------------------------------------------------------------------------------- */

/* All numbers of a mix, and what it adds to a row. */
static void use(const struct engine_mix *mix)
{
    float x[FF], y[FF];
    for (int i = 0; i < FF; i++)
        x[i] = 1;
    for (int i = 0; i < LAYERS * TARGETS; i++) {
        const int layer = i / TARGETS, target = i % TARGETS;
        for (int u = 0; u < mix->count; u++)
            if (!isfinite(mix->uses[u].lora->parts[i].scale))
                __builtin_trap();
        memset(y, 0, sizeof y);
        engine_mix_add(mix, set, layer, target, engine_model_matrix(model, layer, target), x, 1, y);
    }
    double sum = 0;
    for (int i = 0; i < TOKENS * WIDTH; i++)
        sum += (mix->embedding ? (double)mix->embedding[i] : 0) + (mix->head ? (double)((const float *)mix->head->data)[i] : 0);
    for (int i = 0; i < LAYERS * ENGINE_NORMS + 1 && mix->norms; i++)
        for (int c = 0; mix->norms[i] && c < (i % ENGINE_NORMS < ENGINE_NORM_Q ? WIDTH : WIDTH / 2); c++)
            sum += (double)mix->norms[i][c];
    if (!isfinite(sum))
        __builtin_trap();
}

/* What we write of it is an adapter, too. */
static void write_again(const char *path)
{
    struct engine_adapter *a, *again;
    struct error e = {0};
    char *written = xasprintf("%s/written.gguf", folder);
    if (engine_adapter_read(&a, path, model, &e))
        opened_fail("an adapter is refused at the second time", e.code, &e);
    for (int gguf = 0; gguf < 2; gguf++) {
        const char *to = gguf ? written : saved;
        if (!opened(gguf ? engine_adapter_write_gguf(a, to, model, &e) : engine_adapter_write_peft(a, to, model, &e), &e, to))
            continue;
        if (engine_adapter_read(&again, to, model, &e))
            opened_fail("what was written is refused", e.code, &e);
        if (engine_adapter_parameters(a, model) != engine_adapter_parameters(again, model))
            __builtin_trap();
        engine_adapter_free(again);
    }
    engine_adapter_free(a);
    free(written);
}

static void write_bytes(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f))
        abort();
}

/* The path of what the bytes are. */
static const char *lay_down(const uint8_t *bytes, size_t n)
{
    static const char between[] = "\n%%\n";
    for (size_t i = 0; i + sizeof between - 1 <= n; i++)
        if (!memcmp(bytes + i, between, sizeof between - 1)) {
            write_bytes(paths[0], bytes, i);
            write_bytes(paths[1], bytes + i + sizeof between - 1, n - i - (sizeof between - 1));
            return folder;
        }
    return fuzz_file(bytes, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct error e = {0};
    int id, mix;
    if (!model)
        begin();
    const char *path = lay_down(bytes, n);
    struct engine_mixes *mixes = engine_mixes_create(model);
    struct engine_kv *kv = engine_kv_create(64, 1024);
    if (opened(engine_mixes_open(mixes, path, &id, &e), &e, path)) {
        const struct engine_adapter_use one = {id, 1};
        if (engine_mixes_mix(mixes, &one, 1, kv, &mix, &e))
            opened_fail("an adapter that opened is of no use", e.code, &e);
        use(engine_mixes_at(mixes, mix));
        write_again(path);
        opened_used++;
    }
    engine_mixes_free(mixes);
    engine_kv_free(kv);
    return 0;
}
