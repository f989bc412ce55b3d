/* A llama of random weights, to measure a shape that no small model at hand has: heads of width 64, 2 for keys and values, ff 4,864; Q4_1, its
 * tied head Q8_0. Of width 896 and 24 layers about 225 MB and the vocabulary.
 *   make build/tests/make_model && build/tests/make_model VOCABULARY.gguf OUT.gguf WIDTH LAYERS      (from the root of the repository)
 *
 * The tokenizer is that of the first file, byte for byte, so that whoever opens one opens the other. The same file comes out on every
 * machine: random numbers are a function of (tensor, row, column), and only exact arithmetic makes weights of them. */
#include "engine/file.h"
#include "gguf_writer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { KV_HEADS = 2, HEAD_DIM = 64, FF = 4864, MOST_LAYERS = 64, CONTEXT = 8192, ALIGNMENT = 32, BLOCK = 32 };
enum { TYPE_F32 = 0, TYPE_Q4_1 = 3, TYPE_Q8_0 = 8 }; /* ggml's numbers; file_type has its own for "mostly Q4_1" */

struct tensor {
    char name[64];
    int type, rows, cols; /* rows == 0: a norm */
};
struct shape {
    int width, layers, tokens, tensors;
};

static size_t row_bytes(const struct tensor *t)
{
    size_t blocks = (size_t)t->cols / BLOCK;
    return t->type == TYPE_F32 ? (size_t)t->cols * 4 : blocks * (t->type == TYPE_Q4_1 ? 20 : 34);
}

static size_t tensor_bytes(const struct tensor *t)
{
    size_t bytes = row_bytes(t) * (size_t)(t->rows ? t->rows : 1);
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void list_tensors(struct tensor *t, const struct shape *s)
{
    const int width = s->width;
    const struct {
        const char *name;
        int rows, cols;
    } of_layer[] = {
        {"attn_norm", 0, width}, {"attn_q", width, width}, {"attn_k", KV_HEADS * HEAD_DIM, width}, {"attn_v", KV_HEADS * HEAD_DIM, width},
        {"attn_output", width, width}, {"ffn_norm", 0, width}, {"ffn_gate", FF, width}, {"ffn_up", FF, width}, {"ffn_down", width, FF},
    };
    *t++ = (struct tensor){"token_embd.weight", TYPE_Q8_0, s->tokens, width};
    for (int layer = 0; layer < s->layers; layer++)
        for (size_t i = 0; i < sizeof of_layer / sizeof *of_layer; i++, t++) {
            *t = (struct tensor){"", of_layer[i].rows ? TYPE_Q4_1 : TYPE_F32, of_layer[i].rows, of_layer[i].cols};
            snprintf(t->name, sizeof t->name, "blk.%d.%s.weight", layer, of_layer[i].name);
        }
    *t = (struct tensor){"output_norm.weight", TYPE_F32, 0, width};
}

/* --- metadata ---------------------------------------------------------------------------------------------------- */

static uint64_t take(const char **at, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)(unsigned char)*(*at)++ << 8 * i;
    return x;
}

static const int sizes[] = {[PUT_U8] = 1, [PUT_I8] = 1, [PUT_U16] = 2, [PUT_I16] = 2, [PUT_U32] = 4, [PUT_I32] = 4, [PUT_F32] = 4, [PUT_BOOL] = 1,
                            [PUT_TEXT] = 0, [PUT_ARRAY] = 0, [PUT_U64] = 8, [PUT_I64] = 8, [PUT_F64] = 8};

static void skip_value(const char **at, uint64_t type)
{
    if (type == PUT_TEXT) {
        uint64_t n = take(at, 8);
        *at += n;
    } else if (type == PUT_ARRAY) {
        uint64_t element = take(at, 4), count = take(at, 8);
        if (sizes[element])
            *at += count * (uint64_t)sizes[element];
        else
            for (uint64_t i = 0; i < count; i++)
                skip_value(at, element);
    } else {
        *at += sizes[type];
    }
}

/* Append the keys of the tokenizer as they are. The file has been opened, so its metadata are known to lie whole inside it. */
static int copy_tokenizer(struct string *out, const char *file)
{
    const char *at = file + 16;
    uint64_t keys = take(&at, 8);
    int copied = 0;
    for (uint64_t i = 0; i < keys; i++) {
        const char *begin = at, *name = at + 8;
        uint64_t length = take(&at, 8);
        at += length;
        uint64_t type = take(&at, 4);
        skip_value(&at, type);
        if (length > 10 && !memcmp(name, "tokenizer.", 10)) {
            string_append(out, begin, (size_t)(at - begin));
            copied++;
        }
    }
    return copied;
}

static int add_shape(struct string *out, const struct shape *s)
{
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"llama.block_count", (uint32_t)s->layers}, {"llama.embedding_length", (uint32_t)s->width}, {"llama.feed_forward_length", FF}, {"llama.context_length", CONTEXT},
        {"llama.attention.head_count", (uint32_t)(s->width / HEAD_DIM)}, {"llama.attention.head_count_kv", KV_HEADS}, {"llama.rope.dimension_count", HEAD_DIM},
        {"general.file_type", 3}, {"general.quantization_version", 2}, {"general.alignment", ALIGNMENT},
    };
    int count = sizeof numbers / sizeof *numbers;
    float epsilon = 1e-5f;
    uint32_t bits;
    memcpy(&bits, &epsilon, sizeof bits);
    put_key_text(out, "general.architecture", "llama");
    char name[32];
    snprintf(name, sizeof name, "random %d", s->width);
    put_key_text(out, "general.name", name);
    for (int i = 0; i < count; i++)
        put_number(out, numbers[i].key, PUT_U32, numbers[i].value, 4);
    put_number(out, "llama.vocab_size", PUT_U32, (uint64_t)s->tokens, 4);
    put_number(out, "llama.attention.layer_norm_rms_epsilon", PUT_F32, bits, 4);
    return count + 4;
}

static void make_head(struct string *out, const char *vocabulary, const struct tensor *tensors, const struct shape *s)
{
    struct string keys = {0};
    int count = copy_tokenizer(&keys, vocabulary) + add_shape(&keys, s);
    put_header(out, 3, (uint64_t)s->tensors, (uint64_t)count);
    string_append(out, keys.text, keys.length);
    string_free(&keys);
    uint64_t offset = 0;
    for (int i = 0; i < s->tensors; i++) {
        uint64_t size[2] = {(uint64_t)tensors[i].cols, (uint64_t)tensors[i].rows};
        put_tensor(out, tensors[i].name, tensors[i].rows ? 2 : 1, size, (uint32_t)tensors[i].type, offset);
        offset += tensor_bytes(&tensors[i]);
    }
    put_padding(out, ALIGNMENT);
}

/* --- weights ----------------------------------------------------------------------------------------------------- */

/* Nearly normal, of variance 1 / cols: each is the sum of four random bytes. No call of a mathematics library, whose last bit differs. */
static void random_row(float *x, int tensor, int row, int cols)
{
    float scale = (float)(1 / sqrt((65536 - 1) / 3.0 * cols)); /* a byte's variance is (256^2 - 1) / 12 */
    uint32_t key[2] = {896, (uint32_t)tensor}, random[4];
    for (int c = 0; c < cols; c++) {
        if (c % 4 == 0)
            random_block(key, (uint32_t[4]){(uint32_t)row, (uint32_t)c / 4, 0, 0}, random);
        uint32_t r = random[c % 4];
        int sum = (int)((r & 255) + (r >> 8 & 255) + (r >> 16 & 255) + (r >> 24)) - 510;
        x[c] = (float)sum * scale;
    }
}

static void put_half(struct string *out, float x)
{
    put(out, kernel_float_to_half(x), 2);
}

static void put_q4_1(struct string *out, const float *x)
{
    float least = x[0], most = x[0];
    for (int i = 1; i < BLOCK; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    float step = (most - least) / 15;
    int q[BLOCK];
    for (int i = 0; i < BLOCK; i++)
        q[i] = step > 0 ? (int)((x[i] - least) / step + 0.5f) : 0;
    put_half(out, step);
    put_half(out, least);
    for (int i = 0; i < BLOCK / 2; i++)
        put(out, (uint64_t)(q[i] | q[i + BLOCK / 2] << 4), 1);
}

static void put_q8_0(struct string *out, const float *x)
{
    float most = 0;
    for (int i = 0; i < BLOCK; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    float step = most / 127;
    put_half(out, step);
    for (int i = 0; i < BLOCK; i++)
        put(out, (uint64_t)(int64_t)(step > 0 ? roundf(x[i] / step) : 0), 1);
}

static void make_row(struct string *out, const struct tensor *t, int index, int row)
{
    float x[FF];
    string_clear(out);
    if (t->type == TYPE_F32) {
        for (int c = 0; c < t->cols; c++)
            put(out, 0x3f800000, 4); /* 1 */
        return;
    }
    random_row(x, index, row, t->cols);
    for (int c = 0; c < t->cols; c += BLOCK)
        (t->type == TYPE_Q4_1 ? put_q4_1 : put_q8_0)(out, x + c);
}

static int write_tensor(FILE *f, const struct tensor *t, int index)
{
    struct string row = {0};
    int rows = t->rows ? t->rows : 1, whole = 1;
    for (int r = 0; r < rows && whole; r++) {
        make_row(&row, t, index, r);
        whole = fwrite(row.text, 1, row.length, f) == row.length;
    }
    for (size_t n = row_bytes(t) * (size_t)rows; n < tensor_bytes(t) && whole; n++)
        whole = fputc(0, f) != EOF;
    string_free(&row);
    return whole;
}

/* --- files ------------------------------------------------------------------------------------------------------- */

/* Under another name until it is whole. */
static int write_model(const char *path, const struct string *head, const struct tensor *tensors, int count, struct error *e)
{
    char *unfinished = xasprintf("%s.unfinished", path);
    FILE *f = fopen(unfinished, "wb");
    int whole = f && fwrite(head->text, 1, head->length, f) == head->length;
    for (int i = 0; i < count && whole; i++)
        whole = write_tensor(f, &tensors[i], i);
    int reason = errno;
    if (f && fclose(f)) {
        reason = errno;
        whole = 0;
    }
    int code = OK;
    if (!whole || rename(unfinished, path)) {
        code = error_set(e, ERROR_INPUT, "%s: cannot be written: %s; choose a place with 300 MB of room", path, strerror(whole ? errno : reason));
        unlink(unfinished);
    }
    free(unfinished);
    return code;
}

static char *read_whole(const char *path, struct error *e)
{
    struct string s = {0};
    char part[1 << 16];
    FILE *f = fopen(path, "rb");
    for (size_t n; f && (n = fread(part, 1, sizeof part, f)) > 0;)
        string_append(&s, part, n);
    if (!f || ferror(f)) {
        error_set(e, ERROR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
        string_free(&s);
    }
    if (f)
        fclose(f);
    return s.text;
}

/* Its tensors, then the file. */
static int make(const char *from, const char *to, struct shape *s, struct error *e)
{
    struct engine_file *file;
    int code = engine_file_open(&file, from, e);
    if (code)
        return code;
    int64_t tokens = engine_file_texts(file, "tokenizer.ggml.tokens");
    engine_file_close(file);
    if (tokens < 1 || tokens > 1 << 20)
        return error_set(e, ERROR_INPUT, "%s: tokenizer.ggml.tokens: expected 1 to 1,048,576 tokens", from);
    char *vocabulary = read_whole(from, e);
    if (!vocabulary)
        return ERROR_INPUT;
    s->tokens = (int)tokens;
    s->tensors = 2 + 9 * s->layers;
    struct string head = {0};
    struct tensor *tensors = xcalloc((size_t)s->tensors, sizeof *tensors);
    list_tensors(tensors, s);
    make_head(&head, vocabulary, tensors, s);
    code = write_model(to, &head, tensors, s->tensors, e);
    string_free(&head);
    free(tensors);
    free(vocabulary);
    return code;
}

int main(int argc, char **argv)
{
    struct shape s = {.width = argc == 5 ? atoi(argv[3]) : 0, .layers = argc == 5 ? atoi(argv[4]) : 0};
    if (s.width < HEAD_DIM || s.width > FF || s.width % (KV_HEADS * HEAD_DIM) || s.layers < 1 || s.layers > MOST_LAYERS) {
        fprintf(stderr, "usage: make_model VOCABULARY.gguf OUT.gguf WIDTH LAYERS\n    WIDTH: a multiple of %d up to %d; LAYERS: 1 to %d\n", KV_HEADS * HEAD_DIM,
                FF, MOST_LAYERS);
        return ERROR_USAGE;
    }
    struct error e;
    int code = make(argv[1], argv[2], &s, &e);
    if (code)
        fprintf(stderr, "make_model: %s\n", e.message);
    return code;
}
