/* Models written: one of random weights, and one that has been learned. */
#include "engine/file_write.h"
#include "engine/learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- a new one --------------------------------------------------------------------------------------------------- */

enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, FIRST_BYTE = 2, FIRST_TOKEN = FIRST_BYTE + 256, MOST_TOKENS = 1 << 20 };

static int check(const char *path, const struct engine_shape *s, struct error *e)
{
    const struct {
        const char *name;
        int value, most;
    } sizes[] = {{"layers", s->layers, 1024},     {"width", s->width, 1 << 18},       {"heads", s->heads, s->width},
                 {"kv_heads", s->kv_heads, s->heads}, {"ff_width", s->ff_width, 1 << 18}, {"context", s->context, 1 << 20}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return error_set(e, ERROR_INPUT, "%.300s: %s: %d; expected 1 to %d", path, sizes[i].name, sizes[i].value, sizes[i].most);
    const int head_dim = s->head_dim ? s->head_dim : s->width / s->heads;
    if (s->heads % s->kv_heads)
        return error_set(e, ERROR_INPUT, "%.300s: kv_heads: %d; expected a number that divides the %d heads", path, s->kv_heads, s->heads);
    if (head_dim < 2 || head_dim % 2 || head_dim > KERNEL_HEAD_DIM || (!s->head_dim && s->width % s->heads))
        return error_set(e, ERROR_INPUT, "%.300s: heads: %d of a width of %d; expected heads of an even width up to %d", path, s->heads, s->width,
                         KERNEL_HEAD_DIM);
    for (int i = 0; i < s->token_count; i++) {
        if (!*s->tokens[i] || !s->tokens[i][1])
            return error_set(e, ERROR_INPUT, "%.300s: vocabulary: \"%s\"; expected at least two bytes: the bytes are all tokens already", path, s->tokens[i]);
        for (int j = 0; j < i; j++)
            if (!strcmp(s->tokens[i], s->tokens[j]))
                return error_set(e, ERROR_INPUT, "%.300s: vocabulary: \"%s\" is in it twice", path, s->tokens[i]);
    }
    return OK;
}

/* The letter that stands for a byte in byte-level BPE (Radford et al. 2019): itself where it can be seen, else the next from 256 on. */
static void add_letter(struct string *to, int byte)
{
    int letter = byte, next = 256;
    for (int b = 0; b <= byte; b++) {
        const int seen = (b > 32 && b < 127) || (b > 160 && b < 173) || b > 173;
        letter = seen ? b : next;
        next += !seen;
    }
    if (letter < 128) {
        string_addf(to, "%c", letter);
    } else {
        const char two[2] = {(char)(0xc0 | letter >> 6), (char)(0x80 | (letter & 63))};
        string_append(to, two, 2);
    }
}

static void add_tokenizer(struct engine_new_keys *keys, const struct engine_shape *s)
{
    const int n = FIRST_TOKEN + s->token_count;
    struct engine_text *texts = xcalloc((size_t)n, sizeof *texts);
    int32_t *kinds = xcalloc((size_t)n, sizeof *kinds);
    struct string letters = {0};
    size_t ends[256];
    for (int b = 0; b < 256; b++) {
        add_letter(&letters, b);
        ends[b] = letters.length;
    }
    texts[0] = (struct engine_text){"<s>", 3}, texts[1] = (struct engine_text){"</s>", 4};
    kinds[0] = kinds[1] = CONTROL;
    for (int b = 0; b < 256; b++) {
        const size_t first = b ? ends[b - 1] : 0;
        texts[FIRST_BYTE + b] = (struct engine_text){letters.text + first, ends[b] - first};
        kinds[FIRST_BYTE + b] = NORMAL;
    }
    for (int i = 0; i < s->token_count; i++) {
        texts[FIRST_TOKEN + i] = (struct engine_text){s->tokens[i], strlen(s->tokens[i])};
        kinds[FIRST_TOKEN + i] = USER_DEFINED;
    }
    engine_keys_text(keys, "tokenizer.ggml.model", "gpt2");
    engine_keys_text(keys, "tokenizer.ggml.pre", "gpt-2");
    engine_keys_texts(keys, "tokenizer.ggml.tokens", texts, n);
    engine_keys_integers(keys, "tokenizer.ggml.token_type", kinds, n);
    engine_keys_texts(keys, "tokenizer.ggml.merges", NULL, 0);
    engine_keys_u32(keys, "tokenizer.ggml.bos_token_id", 0);
    engine_keys_u32(keys, "tokenizer.ggml.eos_token_id", 1);
    engine_keys_boolean(keys, "tokenizer.ggml.add_bos_token", 1);
    string_free(&letters);
    free(texts);
    free(kinds);
}

static void add_shape(struct engine_new_keys *keys, const struct engine_shape *s)
{
    const int head_dim = s->head_dim ? s->head_dim : s->width / s->heads;
    engine_keys_text(keys, "general.architecture", "llama");
    engine_keys_text(keys, "general.name", s->name ? s->name : "new");
    engine_keys_u32(keys, "general.file_type", 0);
    if (s->prompts)
        engine_keys_text(keys, "espalier.prompts", s->prompts);
    engine_keys_u32(keys, "llama.block_count", (uint32_t)s->layers);
    engine_keys_u32(keys, "llama.context_length", (uint32_t)s->context);
    engine_keys_u32(keys, "llama.embedding_length", (uint32_t)s->width);
    engine_keys_u32(keys, "llama.feed_forward_length", (uint32_t)s->ff_width);
    engine_keys_u32(keys, "llama.attention.head_count", (uint32_t)s->heads);
    engine_keys_u32(keys, "llama.attention.head_count_kv", (uint32_t)s->kv_heads);
    engine_keys_u32(keys, "llama.attention.key_length", (uint32_t)head_dim);
    engine_keys_u32(keys, "llama.attention.value_length", (uint32_t)head_dim);
    engine_keys_u32(keys, "llama.rope.dimension_count", (uint32_t)head_dim);
    engine_keys_f32(keys, "llama.rope.freq_base", s->rope_base > 0 ? s->rope_base : 10000);
    engine_keys_f32(keys, "llama.attention.layer_norm_rms_epsilon", s->norm_epsilon > 0 ? s->norm_epsilon : 1e-5f);
    engine_keys_u32(keys, "llama.vocab_size", (uint32_t)(FIRST_TOKEN + s->token_count));
}

static void plan(struct engine_new_tensors *t, const struct engine_shape *s)
{
    const int head_dim = s->head_dim ? s->head_dim : s->width / s->heads, vocabulary = FIRST_TOKEN + s->token_count;
    const int q = s->heads * head_dim, kv = s->kv_heads * head_dim;
    engine_tensors_add(t, "token_embd.weight", vocabulary, s->width);
    for (int i = 0; i < s->layers; i++) {
        const struct {
            const char *name;
            int rows, cols;
        } of_layer[] = {{"attn_norm", 0, s->width}, {"attn_q", q, s->width}, {"attn_k", kv, s->width}, {"attn_v", kv, s->width},
                        {"attn_output", s->width, q}, {"ffn_norm", 0, s->width}, {"ffn_gate", s->ff_width, s->width},
                        {"ffn_up", s->ff_width, s->width}, {"ffn_down", s->width, s->ff_width}};
        for (size_t j = 0; j < sizeof of_layer / sizeof *of_layer; j++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, of_layer[j].name);
            engine_tensors_add(t, name, of_layer[j].rows, of_layer[j].cols);
        }
    }
    engine_tensors_add(t, "output_norm.weight", 0, s->width);
    if (s->untied)
        engine_tensors_add(t, "output.weight", vocabulary, s->width);
}

/* Normal, of mean 0 (Box & Muller 1958). */
static float normal(uint64_t seed, uint64_t stream, uint64_t i)
{
    const double u = 1 - random_uniform(seed, stream, 2 * i), v = random_uniform(seed, stream, 2 * i + 1);
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

static int write_random(struct engine_writer *w, const struct engine_new_tensors *t, uint64_t seed, struct error *e)
{
    int code = OK;
    for (int i = 0; i < t->count && !code; i++) {
        const size_t n = (size_t)t->list[i].size[0] * (size_t)t->list[i].size[1];
        float *x = xmalloc(n * sizeof *x);
        for (size_t j = 0; j < n; j++)
            x[j] = t->list[i].dimensions == 1 ? 1 : 0.02f * normal(seed, random_stream(1, 0, (uint64_t)i), j);
        code = engine_writer_add(w, x, n * sizeof *x, e);
        free(x);
    }
    return code;
}

int engine_new_model(const char *path, const struct engine_shape *s, uint64_t seed, struct error *e)
{
    struct engine_new_keys keys = {0};
    struct engine_new_tensors tensors = {0};
    struct engine_writer *w = NULL;
    int code = check(path, s, e);
    if (code)
        return code;
    add_shape(&keys, s);
    add_tokenizer(&keys, s);
    plan(&tensors, s);
    if (!(code = engine_writer_create(&w, path, NULL, &keys, engine_tensors_list(&tensors), tensors.count, e)) && !(code = write_random(w, &tensors, seed, e)))
        code = engine_writer_finish(w, e);
    engine_writer_free(w);
    engine_keys_free(&keys);
    engine_tensors_free(&tensors);
    return code;
}

/* --- a learned one ----------------------------------------------------------------------------------------------- */

static const struct parameter *find_parameter(const struct engine_learner *l, struct engine_text name)
{
    for (int i = 0; i < l->parameter_count; i++) {
        const size_t n = strlen(l->parameters[i].name);
        if (name.length >= n && !memcmp(name.bytes, l->parameters[i].name, n) &&
            (name.length == n || (name.length == n + 7 && !memcmp(name.bytes + n, ".weight", 7)))) /* a bias's is whole */
            return &l->parameters[i];
    }
    return NULL;
}

/* turned: the model whose rows these are, in another order than GGUF has them in, or NULL. */
static int write_parameter(struct engine_writer *w, const struct parameter *p, const struct engine_model *turned, enum kernel_type type, struct error *e)
{
    const struct kernel_format *format = kernel_format(type);
    const size_t row = (size_t)(p->cols / format->block) * (size_t)format->bytes;
    void *bytes = xmalloc(row);
    int code = OK;
    for (int r = 0; r < p->rows && !code; r++) {
        format->quantize(p->w + (size_t)(turned ? engine_model_row_of(turned, r) : r) * (size_t)p->cols, bytes, p->cols);
        code = engine_writer_add(w, bytes, row, e);
    }
    free(bytes);
    return code;
}

static int is_turned(const struct engine_learner *l, const struct parameter *p)
{
    const size_t n = strlen(p->name);
    return engine_model_turned(l->model) && n > 6 && (!strcmp(p->name + n - 6, "attn_q") || !strcmp(p->name + n - 6, "attn_k"));
}

/* Or what is not learned, as it was: divisors of RoPE's frequencies. */
static int write_learned(struct engine_writer *w, const struct engine_learner *l, const struct engine_tensor *from, enum kernel_type type, struct error *e)
{
    const struct parameter *p = find_parameter(l, from->name);
    return p ? write_parameter(w, p, is_turned(l, p) ? l->model : NULL, type, e) : engine_writer_add(w, from->data, from->bytes, e);
}

int engine_learner_export(const struct engine_learner *l, const char *path, const char *type, struct error *e)
{
    static const struct {
        const char *name;
        enum kernel_type type;
        uint32_t file_type;
    } types[] = {{"f32", KERNEL_F32, 0}, {"f16", KERNEL_F16, 1}, {"q8_0", KERNEL_Q8_0, 7}};
    const int count = engine_file_tensor_count(l->file);
    struct engine_new_keys keys = {0};
    struct engine_writer *w = NULL;
    int t = 0;
    while (t < 3 && strcmp(types[t].name, type))
        t++;
    if (t == 3)
        return error_set(e, ERROR_USAGE, "--type %s: expected f32, f16 or q8_0", type);
    struct engine_new_tensor *plan = xcalloc((size_t)count, sizeof *plan);
    for (int i = 0; i < count; i++) {
        const struct engine_tensor *from = engine_file_tensor_at(l->file, i);
        plan[i] = (struct engine_new_tensor){.name = from->name, .dimensions = from->dimensions};
        memcpy(plan[i].size, from->size, sizeof plan[i].size);
        plan[i].type = from->dimensions > 1 && from->size[0] % kernel_format(types[t].type)->block == 0 ? types[t].type : KERNEL_F32;
    }
    engine_keys_u32(&keys, "general.file_type", types[t].file_type);
    engine_keys_u32(&keys, "general.quantization_version", 2);
    engine_keys_drop(&keys, "espalier.rope.neox"); /* rows are in GGUF's order then */
    engine_keys_drop(&keys, "espalier.left_out");
    int code = engine_writer_create(&w, path, l->file, &keys, plan, count, e);
    for (int i = 0; i < count && !code; i++)
        code = write_learned(w, l, engine_file_tensor_at(l->file, i), plan[i].type, e);
    if (!code)
        code = engine_writer_finish(w, e);
    engine_writer_free(w);
    engine_keys_free(&keys);
    free(plan);
    return code;
}
