/* Folders as Hugging Face's libraries save models: what transformers computes on them and what tokenizers makes of hard lines, a GGUF written
 * from one, adapters on one; the keys that configurations become; and every way a folder can be wrong, in one line each. */
#include "engine/engine.h"
#include "engine/folder.h"
#include "engine/unicode.h"
#include "reference_text.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/file_memory.h"

#define FOLDERS "tests/reference/folders/"
#define FAST_BOUND 0.08

static char work[64] = "/tmp/espalier-folder-XXXXXX";

/* --- files --------------------------------------------------------------------------------------------------------- */

static void read_file(const char *path, struct string *out)
{
    FILE *f = fopen(path, "rb");
    char part[4096];
    if (!f)
        fail_msg("%s cannot be read", path);
    for (size_t n; f && (n = fread(part, 1, sizeof part, f)) > 0;)
        string_append(out, part, n);
    if (f)
        fclose(f);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void empty_folder(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *at; d && (at = readdir(d));) {
        char *name = xasprintf("%s/%s", path, at->d_name);
        unlink(name);
        free(name);
    }
    if (d)
        closedir(d);
}

/* A folder of the reference copied to where it can be changed: its path, freed by the caller. */
static char *copy_folder(const char *from)
{
    char *source = xasprintf(FOLDERS "%s", from), *to = xasprintf("%s/copy", work);
    empty_folder(to);
    mkdir(to, 0777);
    DIR *d = opendir(source);
    assert_non_null(d);
    for (struct dirent *at; (at = readdir(d));) {
        struct string bytes = {0};
        char *in = xasprintf("%s/%s", source, at->d_name), *out = xasprintf("%s/%s", to, at->d_name);
        if (*at->d_name != '.') {
            read_file(in, &bytes);
            write_file(out, bytes.text, bytes.length);
        }
        string_free(&bytes);
        free(in);
        free(out);
    }
    closedir(d);
    free(source);
    return to;
}

static const char *find_bytes(const struct string *in, const char *what)
{
    const size_t n = strlen(what);
    for (size_t i = 0; i + n <= in->length; i++)
        if (!memcmp(in->text + i, what, n))
            return in->text + i;
    fail_msg("\"%s\" is not there", what);
    return NULL;
}

/* What is first in a file of the folder is put in the other's place. */
static void change(const char *folder, const char *file, const char *from, const char *to)
{
    struct string bytes = {0}, changed = {0};
    char *path = xasprintf("%s/%s", folder, file);
    read_file(path, &bytes);
    const char *at = find_bytes(&bytes, from);
    string_append(&changed, bytes.text, (size_t)(at - bytes.text));
    string_add(&changed, to);
    at += strlen(from);
    string_append(&changed, at, (size_t)(bytes.text + bytes.length - at));
    write_file(path, changed.text, changed.length);
    string_free(&bytes);
    string_free(&changed);
    free(path);
}

/* The same in the description of the folder's safetensors, everywhere. */
static void change_head(const char *folder, const char *from, const char *to)
{
    struct string bytes = {0}, changed = {0};
    char *path = xasprintf("%s/model.safetensors", folder);
    read_file(path, &bytes);
    uint64_t length;
    memcpy(&length, bytes.text, 8);
    const char *end = bytes.text + 8 + length, *at = bytes.text + 8;
    string_append(&changed, bytes.text, 8);
    while (at < end) {
        const int here = (size_t)(end - at) >= strlen(from) && !memcmp(at, from, strlen(from));
        string_append(&changed, here ? to : at, here ? strlen(to) : 1);
        at += here ? strlen(from) : 1;
    }
    length = changed.length - 8;
    memcpy(changed.text, &length, 8);
    string_append(&changed, end, (size_t)(bytes.text + bytes.length - end));
    write_file(path, changed.text, changed.length);
    string_free(&bytes);
    string_free(&changed);
    free(path);
}

/* --- numbers ------------------------------------------------------------------------------------------------------- */

static struct engine *open_engine(const char *path, const char *kernels)
{
    struct engine *engine = NULL;
    struct error e;
    if (engine_open(&engine, &(struct engine_options){.model = path, .kernels = kernels, .threads = 1}, &e))
        fail_msg("%s", e.message);
    return engine;
}

/* Log-probabilities of the tokens after the first; out[count - 1]. */
static void score(struct engine *engine, const int *ids, int count, int mix, float *out)
{
    struct engine_request q = {.prompt = ids, .prompt_count = count, .score = 1, .mix = mix};
    struct engine_result r;
    struct error e;
    int id;
    if (engine_submit(engine, &q, &id, &e))
        fail_msg("%s", e.message);
    for (int live = 1; live;)
        if (engine_step(engine, &live, &e))
            fail_msg("%s", e.message);
    assert_true(engine_result(engine, &r));
    assert_int_equal(r.count, count - 1);
    for (int i = 0; i < r.count; i++)
        out[i] = r.tokens[i].logprob;
    engine_result_free(&r);
}

/* Mean |difference| a token from the reference's texts of that name. */
static double distance(struct engine *engine, const char *name)
{
    struct reference_file file;
    double sum = 0;
    int n = 0;
    assert_true(reference_load("tests/reference/logprobs_folders.txt", &file));
    for (int i = 0; i < file.count; i++) {
        const struct reference_text *t = &file.texts[i];
        float *ours = xcalloc((size_t)t->count, sizeof *ours);
        if (!strncmp(t->name, name, strlen(name)) && t->name[strlen(name)] == ' ') {
            score(engine, t->ids, t->count, 0, ours);
            for (int p = 1; p < t->count; p++, n++)
                sum += fabs((double)ours[p - 1] - (double)t->logprobs[p]);
        }
        free(ours);
    }
    reference_free(&file);
    assert_true(n > 50);
    return sum / n;
}

static void check_numbers(const char *path, const char *name, const char *kernels, double most)
{
    struct engine *engine = open_engine(path, kernels);
    const double mean = distance(engine, name);
    if (!(mean <= most))
        fail_msg("%s by %s: %g from the reference, at most %g", path, kernels, mean, most);
    engine_close(engine);
}

static const char *const names[] = {"f32", "f16", "bf16-sharded", "nf4", "nf4-nested"};
enum { NAMES = sizeof names / sizeof *names };

static void test_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        char *path = xasprintf(FOLDERS "%s", names[i]);
        check_numbers(path, names[i], "reference", 1e-4);
        check_numbers(path, names[i], "auto", FAST_BOUND);
        free(path);
    }
}

/* Safetensors that lie at odd bytes: a blank more in the description. */
static void test_unaligned(void **state)
{
    (void)state;
    static const char *const of[] = {"f32", "f16", "nf4-nested"};
    for (int i = 0; i < 3; i++) {
        struct string bytes = {0};
        char *folder = copy_folder(of[i]), *path = xasprintf("%s/model.safetensors", folder);
        read_file(path, &bytes);
        struct string moved = {0};
        uint64_t length;
        memcpy(&length, bytes.text, 8);
        const size_t head = 8 + (size_t)length;
        length++;
        string_append(&moved, (const char *)&length, 8);
        string_append(&moved, bytes.text + 8, head - 8);
        string_append(&moved, " ", 1);
        string_append(&moved, bytes.text + head, bytes.length - head);
        write_file(path, moved.text, moved.length);
        check_numbers(folder, of[i], "reference", 1e-4);
        check_numbers(folder, of[i], "auto", FAST_BOUND);
        string_free(&moved);
        string_free(&bytes);
        free(path);
        free(folder);
    }
}

/* Text's part of a model that also sees, as transformers names it from version 5 and before; frequencies that follow from the configuration. */
static void test_text_part(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"\"model.language_model.", "\"language_model.model."};
    for (int i = 0; i < 2; i++) {
        char *folder = copy_folder("f32");
        struct engine *engine;
        change_head(folder, "\"model.", prefixes[i]);
        engine = open_engine(folder, "reference");
        assert_true(distance(engine, "f32") < 1e-4);
        assert_int_equal(engine_info(engine)->left_out, 0);
        assert_string_equal(engine_info(engine)->format, "folder");
        engine_close(engine);
        free(folder);
    }
    int skip;
    char *name = engine_folder_name("vision_tower.encoder.layers.0.self_attn.q_proj.weight", "gemma3", &skip);
    assert_true(skip);
    free(name);
    name = engine_folder_name("model.layers.3.post_attention_layernorm.weight", "gemma3", &skip);
    assert_string_equal(name, "blk.3.post_attention_norm.weight");
    free(name);
    name = engine_folder_name("model.layers.0.self_attn.rotary_emb.inv_freq", "llama", &skip);
    assert_string_equal(name, "");
    free(name);
}

/* --- tokens -------------------------------------------------------------------------------------------------------- */

static void test_tokens(void **state)
{
    (void)state;
    struct engine *engine = open_engine(FOLDERS "f32", "reference");
    char *all = reference_read("tests/reference/tokens_folders.txt"), *save = NULL;
    assert_non_null(all);
    int lines = 0;
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *tab = strchr(line, '\t');
        if (*line == '#' || !tab)
            continue;
        struct string text = {0};
        struct engine_tokens tokens = {0};
        for (const char *p = line; p < tab; p += 2) {
            unsigned byte = 0;
            sscanf(p, "%2x", &byte);
            string_append(&text, &(char){(char)byte}, 1);
        }
        int count, *ids = reference_integers(tab + 1, &count);
        engine_tokenize(engine, string_text(&text), text.length, 1, &tokens);
        if (tokens.count != count || (count && memcmp(tokens.ids, ids, (size_t)count * sizeof *ids)))
            fail_msg("other tokens of %.*s", (int)(tab - line), line);
        engine_tokens_free(&tokens);
        string_free(&text);
        free(ids);
        lines++;
    }
    assert_true(lines > 600);
    const struct engine_info *info = engine_info(engine);
    assert_int_equal(info->begin_token, 1);
    assert_int_equal(info->end_token, 2);
    assert_string_equal(info->chat_template, "chatml");
    assert_string_equal(info->name, "f32");
    engine_close(engine);
    free(all);
}

static void refused(const char *path, const char *said);

/* --- a GGUF from one ----------------------------------------------------------------------------------------------- */

static void quantize(const char *in, const char *out, const char *type)
{
    struct engine_quantized said;
    struct error e;
    if (engine_quantize(&(struct engine_quantize_options){.in = in, .out = out, .type = type, .threads = 1}, &said, &e))
        fail_msg("%s", e.message);
}

static void test_quantize(void **state)
{
    (void)state;
    char *out = xasprintf("%s/out.gguf", work);
    for (int i = 0; i < NAMES; i++) {
        char *path = xasprintf(FOLDERS "%s", names[i]);
        struct engine_file *f;
        int neox;
        quantize(path, out, "f16");
        check_numbers(out, names[i], "reference", i == 1 ? 1e-4 : 3e-3);
        assert_int_equal(engine_file_open(&f, out, NULL), OK);
        assert_false(engine_file_boolean(f, "espalier.rope.neox", &neox));
        engine_file_close(f);
        free(path);
    }
    unlink(out);
    free(out);
}

/* What tokenizers makes of a text, special tokens parsed. */
struct tokenized {
    const char *text;
    int count, ids[16];
};

static void check_tokens(const char *path, const struct tokenized *of, size_t n)
{
    struct engine *engine = open_engine(path, "reference");
    for (size_t i = 0; i < n; i++) {
        struct engine_tokens tokens = {0};
        engine_tokenize(engine, of[i].text, strlen(of[i].text), 1, &tokens);
        if (tokens.count != of[i].count || memcmp(tokens.ids, of[i].ids, (size_t)of[i].count * sizeof *of[i].ids))
            fail_msg("%s: other tokens of \"%s\"", path, of[i].text);
        engine_tokens_free(&tokens);
    }
    engine_close(engine);
}

/* The form NFC, between special tokens; a GGUF from such a folder does the same. The last is not UTF-8: what stands around such a byte is
 * composed, and nothing across it. */
static void test_composed(void **state)
{
    (void)state;
    static const struct tokenized composed[] = {
        {"cafe\xcc\x81", 4, {69, 67, 72, 295}},
        {"cafe\xcc\x81<|im_end|>e\xcc\x81", 6, {69, 67, 72, 295, 2, 295}},
        {"e<|im_end|>\xcc\x81", 4, {71, 2, 139, 226}},
        {"\xe2\x84\xab \xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8 q\xcc\x87\xcc\xa3", 12, {130, 230, 223, 169, 111, 226, 223, 83, 139, 99, 139, 232}},
        {"\xe0\xa5\x98 \xe2\x84\xa6\xcd\x84", 13, {159, 100, 246, 159, 100, 123, 223, 141, 105, 139, 233, 139, 226}},
    }, plain = {"cafe\xcc\x81", 6, {69, 67, 72, 71, 139, 226}};
    char *copy = copy_folder("f32"), *out = xasprintf("%s/out.gguf", work);
    check_tokens(copy, &plain, 1);
    change(copy, "tokenizer.json", "\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}");
    quantize(copy, out, "f16");
    check_tokens(copy, composed, sizeof composed / sizeof *composed);
    check_tokens(out, composed, sizeof composed / sizeof *composed);
    struct string text = {0};
    engine_unicode_compose("e\xff\xcc\x81" "e\xcc\x81\xcc", 8, &text);
    assert_string_equal(text.text, "e\xff\xcc\x81\xc3\xa9\xcc");
    string_free(&text);
    unlink(out);
    free(out);
    free(copy);
}

/* White space that an added token takes along, before it, after it, or both: the property White_Space, which U+1C and U+180E have not. */
static void test_stripped(void **state)
{
    (void)state;
    static const char end[] = "\"<|im_end|>\",\n      \"single_word\": false,\n      \"lstrip\": false,\n      \"rstrip\": false";
    static const char *const flags[] = {"\"<|im_end|>\", \"lstrip\": true, \"rstrip\": false", "\"<|im_end|>\", \"lstrip\": false, \"rstrip\": true",
                                        "\"<|im_end|>\", \"lstrip\": true, \"rstrip\": true"};
    enum { TEXTS = 5 };
    static const struct tokenized of[3][TEXTS] = {
        {{"a \xc2\xa0\n<|im_end|>\xe3\x80\x80\t b", 8, {67, 2, 162, 225, 225, 200, 223, 68}},
         {"<|im_end|>  <|im_end|>", 2, {2, 2}},
         {"<|im_start|> <|im_end|> <|im_start|>", 4, {1, 2, 223, 1}},
         {"a\xe2\x80\x8b<|im_end|>\xc2\x85" "b\x1c" "c", 10, {67, 161, 225, 236, 2, 129, 230, 68, 219, 69}},
         {"a\x1c<|im_end|>\xe1\xa0\x8e" "b", 7, {67, 219, 2, 160, 257, 239, 68}}},
        {{"a \xc2\xa0\n<|im_end|>\xe3\x80\x80\t b", 7, {67, 223, 129, 257, 201, 2, 68}},
         {"<|im_end|>  <|im_end|>", 2, {2, 2}},
         {"<|im_start|> <|im_end|> <|im_start|>", 4, {1, 223, 2, 1}},
         {"a\xe2\x80\x8b<|im_end|>\xc2\x85" "b\x1c" "c", 8, {67, 161, 225, 236, 2, 68, 219, 69}},
         {" <|im_end|> ", 2, {223, 2}}},
        {{"a \xc2\xa0\n<|im_end|>\xe3\x80\x80\t b", 3, {67, 2, 68}},
         {"<|im_end|>  <|im_end|>", 2, {2, 2}},
         {"<|im_start|> <|im_end|> <|im_start|>", 3, {1, 2, 1}},
         {"a\x1c<|im_end|>\xe1\xa0\x8e" "b", 7, {67, 219, 2, 160, 257, 239, 68}},
         {" <|im_end|> ", 1, {2}}},
    };
    char *out = xasprintf("%s/out.gguf", work);
    for (int i = 0; i < 3; i++) {
        char *copy = copy_folder("f32");
        change(copy, "tokenizer.json", end, flags[i]);
        check_tokens(copy, of[i], TEXTS);
        quantize(copy, out, "f16");
        check_tokens(out, of[i], TEXTS);
        free(copy);
    }
    unlink(out);
    free(out);
}

/* Mistral's, as Nemo has it: a GGUF has the name that llama.cpp knows, and ours beside it. */
static void test_tekken(void **state)
{
    (void)state;
    static const char split[] =
        "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*"
        "[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+[\\\\p{Ll}\\\\p{Lm}"
        "\\\\p{Lo}\\\\p{M}]*|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, "
        "\"behavior\": \"Isolated\", \"invert\": false}";
    char *copy = copy_folder("f32"), *out = xasprintf("%s/out.gguf", work);
    struct engine_file *f;
    struct engine_text pre = {0}, own = {0};
    change(copy, "tokenizer.json", "{\n        \"type\": \"Digits\",\n        \"individual_digits\": true\n      }", split);
    change(copy, "tokenizer.json", "\"use_regex\": true", "\"use_regex\": false");
    refused(copy, "pre_tokenizer"); /* merges are ignored there */
    change(copy, "tokenizer.json", "\"ignore_merges\": false", "\"ignore_merges\": true");
    quantize(copy, out, "f16");
    for (int i = 0; i < 2; i++) {
        struct engine *engine = open_engine(i ? out : copy, "reference");
        assert_string_equal(engine_info(engine)->tokenizer, "gpt2 (tekken-exact)");
        engine_close(engine);
    }
    assert_int_equal(engine_file_open(&f, out, NULL), OK);
    assert_true(engine_file_text(f, "tokenizer.ggml.pre", &pre) && pre.length == strlen("tekken") && !memcmp(pre.bytes, "tekken", pre.length));
    assert_true(engine_file_text(f, "espalier.pre", &own));
    engine_file_close(f);
    unlink(out);
    free(out);
    free(copy);
}

static int mix_of(struct engine *engine, const char *adapter)
{
    struct engine_adapter_use use = {.weight = 1};
    struct error e;
    int mix = 0;
    if (engine_adapter_open(engine, adapter, &use.adapter, &e) || engine_mix(engine, &use, 1, &mix, &e))
        fail_msg("%s", e.message);
    return mix;
}

/* An adapter does to the folder's model what it does to the GGUF written from it, whatever form the adapter is in. */
static void test_adapters(void **state)
{
    (void)state;
    static const char *const adapters[] = {"tests/reference/adapters/plain", "tests/reference/adapters/plain.gguf"};
    enum { COUNT = 40 };
    int ids[COUNT];
    float bare[COUNT], scores[4][COUNT];
    char *out = xasprintf("%s/out.gguf", work);
    quantize(FOLDERS "f16", out, "f16");
    for (int i = 0; i < COUNT; i++)
        ids[i] = 3 + i * 37 % 290;
    for (int i = 0; i < 4; i++) {
        struct engine *engine = open_engine(i % 2 ? out : FOLDERS "f16", "reference");
        score(engine, ids, COUNT, 0, bare);
        score(engine, ids, COUNT, mix_of(engine, adapters[i / 2]), scores[i]);
        engine_close(engine);
    }
    double moved = 0;
    for (int p = 0; p < COUNT - 1; p++) {
        moved += fabs((double)scores[0][p] - (double)bare[p]);
        for (int i = 1; i < 4; i++)
            assert_true(fabs((double)scores[i][p] - (double)scores[0][p]) < 1e-4);
    }
    assert_true(moved / COUNT > 1e-2);
    unlink(out);
    free(out);
}

/* --- configurations ------------------------------------------------------------------------------------------------ */

#define SIZES "\"num_hidden_layers\": 4, \"hidden_size\": 64, \"intermediate_size\": 96, \"num_attention_heads\": 4, \"vocab_size\": 300, " \
              "\"max_position_embeddings\": 4096, \"rms_norm_eps\": 1e-5"

static int read_config(const char *text, struct engine_file **f, struct string *bytes, struct engine_folder_shape *shape, struct error *e)
{
    struct engine_new_keys keys = {0};
    json_t *json;
    assert_int_equal(engine_json_parse(&json, "config.json", text, strlen(text), e), OK);
    int code = engine_folder_config(json, "config.json", &keys, shape, e);
    engine_keys_head(&keys, bytes);
    engine_keys_free(&keys);
    json_decref(json);
    if (!code)
        code = engine_file_open_memory(f, "config.json", bytes->text, bytes->length, e);
    return code;
}

/* keys: "name=integer" or "name=text" of what must be there, "name" of what must not, until NULL. */
static void check_config(const char *text, const char *const *keys)
{
    struct engine_folder_shape shape;
    struct engine_file *f = NULL;
    struct string bytes = {0};
    struct error e;
    if (read_config(text, &f, &bytes, &shape, &e))
        fail_msg("%s", e.message);
    for (; *keys; keys++) {
        char *key = xstrdup(*keys), *value = strchr(key, '=');
        int64_t integer = -1;
        double number = -1;
        struct engine_text got = {"", 0};
        if (value)
            *value++ = 0;
        const int there = engine_file_integer(f, key, &integer) || engine_file_number(f, key, &number) || engine_file_text(f, key, &got);
        const int same = value && (integer == strtoll(value, NULL, 10) || fabs(number - strtod(value, NULL)) < 1e-9 * fabs(number) + 1e-12 ||
                                   (strlen(value) == got.length && !memcmp(got.bytes, value, got.length)));
        if (value ? !there || !same : there)
            fail_msg("%s in %s", *keys, text);
        free(key);
    }
    engine_file_close(f);
    string_free(&bytes);
    free(shape.rope_factors);
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_configurations(void **state)
{
    (void)state;
    check_config("{\"model_type\": \"llama\", " SIZES "}",
                 KEYS("general.architecture=llama", "llama.block_count=4", "llama.attention.key_length=16", "llama.attention.head_count_kv=4",
                      "llama.rope.freq_base=10000", "llama.rope.scaling.type", "llama.attention.sliding_window", "llama.context_length=4096"));
    check_config("{\"model_type\": \"llama\", \"rope_theta\": 500000, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, " SIZES "}",
                 KEYS("llama.rope.freq_base=500000", "llama.rope.scaling.type=linear", "llama.rope.scaling.factor=4"));
    check_config("{\"model_type\": \"mistral\", \"sliding_window\": 1024, \"num_key_value_heads\": 2, " SIZES "}",
                 KEYS("general.architecture=llama", "llama.attention.sliding_window=1024", "llama.attention.head_count_kv=2"));
    check_config("{\"model_type\": \"mistral\", \"sliding_window\": 4096, " SIZES "}", KEYS("llama.attention.sliding_window"));
    check_config("{\"model_type\": \"qwen2\", \"sliding_window\": 1024, \"use_sliding_window\": false, " SIZES "}",
                 KEYS("general.architecture=qwen2", "qwen2.attention.sliding_window", "espalier.rope.neox"));
    check_config("{\"model_type\": \"qwen3\", \"head_dim\": 32, \"rope_parameters\": {\"rope_theta\": 1000000.0, \"rope_type\": \"yarn\", \"factor\": 2, "
                 "\"original_max_position_embeddings\": 2048}, " SIZES "}",
                 KEYS("qwen3.attention.key_length=32", "qwen3.rope.freq_base=1000000", "qwen3.rope.scaling.type=yarn",
                      "qwen3.rope.scaling.original_context_length=2048"));
    check_config("{\"model_type\": \"gemma3_text\", \"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\", "
                 "\"full_attention\"], \"rope_parameters\": {\"full_attention\": {\"rope_theta\": 1000000.0, \"rope_type\": \"linear\", \"factor\": 8}, "
                 "\"sliding_attention\": {\"rope_theta\": 20000.0}}, \"query_pre_attn_scalar\": 256, " SIZES "}",
                 KEYS("gemma3.attention.sliding_window=4096", "gemma3.attention.sliding_window_pattern=2", "gemma3.attention.key_length=256",
                      "gemma3.rope.freq_base=1000000", "gemma3.rope.freq_base_swa=20000", "gemma3.rope.scaling.factor=8",
                      "gemma3.attention.scale=0.0625"));
    check_config("{\"model_type\": \"gemma3_text\", \"head_dim\": 128, \"query_pre_attn_scalar\": 168, " SIZES "}",
                 KEYS("gemma3.attention.scale=0.0771516785026", "gemma3.attention.key_length=128"));
    check_config("{\"model_type\": \"gemma3\", \"text_config\": {\"model_type\": \"gemma3_text\", \"hidden_size\": 64, \"intermediate_size\": 96, "
                 "\"num_hidden_layers\": 7, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0}, \"sliding_window\": 1024}}",
                 KEYS("gemma3.vocab_size=262208", "gemma3.attention.head_count=8", "gemma3.attention.head_count_kv=4", "gemma3.attention.sliding_window=1024",
                      "gemma3.attention.sliding_window_pattern", "gemma3.context_length=131072"));
}

/* By transformers: the plain frequencies over those of rope_type llama3. */
static void test_llama3_factors(void **state)
{
    (void)state;
    static const float expected[16] = {1.0f, 0.9999999f, 1.01463f, 2.93475f, 8.0f, 8.0f, 8.0f, 8.0f, 8.000001f, 8.0f, 8.0f, 8.0f, 8.0f, 8.0f, 8.0f, 8.0f};
    struct engine_folder_shape shape;
    struct engine_file *f = NULL;
    struct string bytes = {0};
    assert_int_equal(read_config("{\"model_type\": \"llama\", \"head_dim\": 32, \"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 500000.0, "
                                 "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 128}, " SIZES "}",
                                 &f, &bytes, &shape, NULL), OK);
    assert_non_null(shape.rope_factors);
    for (int i = 0; i < 16; i++)
        assert_true(fabsf(shape.rope_factors[i] / expected[i] - 1) < 1e-5f);
    engine_file_close(f);
    string_free(&bytes);
    free(shape.rope_factors);
}

/* --- tokenizers ---------------------------------------------------------------------------------------------------- */

/* Of Llama 2: as bytes of a file, kept in *bytes. */
static void test_sentencepiece(void **state)
{
    (void)state;
    static const char text[] =
        "{\"added_tokens\": [{\"id\": 0, \"content\": \"<unk>\", \"special\": true}, {\"id\": 1, \"content\": \"<s>\", \"special\": true}, "
        "{\"id\": 9, \"content\": \"\xe2\x96\x81\xe2\x96\x81\", \"special\": false}, {\"id\": 99, \"content\": \"<image>\", \"special\": true}],"
        "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\xe2\x96\x81\"}, {\"type\": \"Replace\", "
        "\"pattern\": {\"String\": \" \"}, \"content\": \"\xe2\x96\x81\"}]}, \"pre_tokenizer\": null, \"post_processor\": {\"type\": "
        "\"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}]}, \"model\": {\"type\": \"BPE\", "
        "\"byte_fallback\": true, \"vocab\": {\"<unk>\": 0, \"<s>\": 1, \"<0x41>\": 2, \"a\": 3, \"b\": 4, \"\xe2\x96\x81\": 5, \"ab\": 6, "
        "\"\xe2\x96\x81" "ab\": 7, \"\xe2\x96\x81" "a\": 8}, \"merges\": [\"a b\", [\"\xe2\x96\x81\", \"a\"], \"\xe2\x96\x81 ab\", \"\xe2\x96\x81" "a b\"]}}";
    static const char beside[] = "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"b\", \"unk_token\": \"<unk>\", \"chat_template\": [{\"name\": "
                                 "\"tools\", \"template\": \"no\"}, {\"name\": \"default\", \"template\": \"yes\"}]}";
    struct engine_folder_texts texts = {.folder = "."};
    struct engine_new_keys keys = {0};
    struct string bytes = {0};
    struct engine_file *f;
    struct engine_text token[11], template = {0};
    struct error e;
    int64_t kinds[11], id;
    int prefix = 0, begins = 0, ends = 1;
    assert_int_equal(engine_json_parse(&texts.tokenizer, "t", text, strlen(text), &e), OK);
    assert_int_equal(engine_json_parse(&texts.tokenizer_config, "c", beside, strlen(beside), &e), OK);
    if (engine_folder_tokens(&texts, 11, &keys, &e))
        fail_msg("%s", e.message);
    engine_keys_head(&keys, &bytes);
    assert_int_equal(engine_file_open_memory(&f, "keys", bytes.text, bytes.length, &e), OK);
    assert_int_equal(engine_file_texts(f, "tokenizer.ggml.tokens"), 11);
    engine_file_texts_get(f, "tokenizer.ggml.tokens", token);
    engine_file_integers_get(f, "tokenizer.ggml.token_type", kinds);
    static const int64_t expected[11] = {2, 3, 6, 1, 1, 1, 1, 1, 1, 4, 5};
    for (int i = 0; i < 11; i++)
        assert_int_equal(kinds[i], expected[i]);
    assert_memory_equal(token[9].bytes, "  ", 2);
    assert_int_equal(token[9].length, 2);
    assert_true(engine_file_boolean(f, "tokenizer.ggml.add_space_prefix", &prefix) && prefix);
    assert_true(engine_file_boolean(f, "tokenizer.ggml.add_bos_token", &begins) && begins);
    assert_true(engine_file_boolean(f, "tokenizer.ggml.add_eos_token", &ends) && !ends);
    assert_true(engine_file_integer(f, "tokenizer.ggml.eos_token_id", &id) && id == 4);
    assert_true(engine_file_text(f, "tokenizer.chat_template", &template) && template.length == 3);
    struct engine_key *all = xcalloc(engine_file_key_count(f), sizeof *all);
    engine_file_keys(f, all);
    static const float scores[11] = {-4, -4, -4, -4, -4, -4, 0, -2, -1, -4, -4}; /* ab was made first, then _a, then _ab */
    int found = 0;
    for (size_t i = 0; i < engine_file_key_count(f); i++)
        if (all[i].name.length == strlen("tokenizer.ggml.scores") && !memcmp(all[i].name.bytes, "tokenizer.ggml.scores", all[i].name.length)) {
            assert_memory_equal(all[i].whole.bytes + all[i].whole.length - sizeof scores, scores, sizeof scores);
            found = 1;
        }
    assert_true(found);
    free(all);
    engine_file_close(f);
    engine_keys_free(&keys);
    string_free(&bytes);
    json_decref(texts.tokenizer);
    json_decref(texts.tokenizer_config);
}

/* --- bad input ----------------------------------------------------------------------------------------------------- */

static void refused(const char *path, const char *said)
{
    struct engine *engine = NULL;
    struct error e = {0};
    int code = engine_open(&engine, &(struct engine_options){.model = path, .kernels = "reference", .threads = 1}, &e);
    if (code != ERROR_INPUT || !strstr(e.message, said))
        fail_msg("%s: code %d, \"%s\"; expected \"%s\" in it", path, code, e.message, said);
    assert_null(strchr(e.message, '\n'));
}

/* A folder with one thing in it changed. */
static void refused_with(const char *folder, const char *file, const char *from, const char *to, const char *said)
{
    char *copy = copy_folder(folder);
    change(copy, file, from, to);
    refused(copy, said);
    free(copy);
}

static void refused_without(const char *folder, const char *file, const char *said)
{
    char *copy = copy_folder(folder), *path = xasprintf("%s/%s", copy, file);
    unlink(path);
    refused(copy, said);
    free(path);
    free(copy);
}

static void test_refused_files(void **state)
{
    (void)state;
    refused_without("f32", "config.json", "there is no config.json");
    refused_without("f32", "tokenizer.json", "there is no tokenizer.json");
    refused_without("f32", "model.safetensors", "there is no model.safetensors");
    refused_without("bf16-sharded", "model-00002-of-00004.safetensors", "model-00002-of-00004.safetensors: cannot open");
    refused("tests/reference/adapters/plain", "--adapter");
    refused_with("f32", "config.json", "{", "[", "config.json:");
    refused_with("f32", "model.safetensors", "\"F32\"", "\"I64\"", "of a type that is not read here");
    refused_with("f32", "model.safetensors", "\"dtype\"", "\"dtipe\"", "expected dtype");
    refused_with("f32", "model.safetensors", "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.z_proj", "z_proj.weight: not one that");
    refused_with("f32", "model.safetensors", "model.layers.0.self_attn.q_proj", "model.layers.7.self_attn.q_proj", "blk.0.attn_q.weight: missing");
    refused_with("f32", "model.safetensors", "\"shape\":[32,32]", "\"shape\":[16,64]", "shape");
    refused_with("f32", "model.safetensors", "\"data_offsets\":[0,", "\"data_offsets\":[4,", "tensor");
}

static void test_refused_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {0, 1, 100, 1 << 20, UINT64_MAX, (uint64_t)1 << 62};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct string bytes = {0};
        char *copy = copy_folder("f32"), *path = xasprintf("%s/model.safetensors", copy);
        read_file(path, &bytes);
        memcpy(bytes.text, &lengths[i], 8);
        write_file(path, bytes.text, bytes.length);
        refused(copy, "model.safetensors");
        memcpy(bytes.text, &(uint64_t){4000}, 8);
        write_file(path, bytes.text, i * 1000);
        refused(copy, "model.safetensors");
        string_free(&bytes);
        free(path);
        free(copy);
    }
}

static void test_refused_shards(void **state)
{
    (void)state;
    static const char index[] = "model.safetensors.index.json", first[] = "\"model.embed_tokens.weight\": \"";
    refused_with("bf16-sharded", index, first, "\"model.embed_tokens.weight\": \"../", "expected the name of a file in the folder");
    refused_with("bf16-sharded", index, first, "\"model.embed_tokens.weight\": \"/etc/", "expected the name of a file in the folder");
    refused_with("bf16-sharded", index, "00001-of", "00003-of", "is not in the file that it is said to be in");
    refused_with("bf16-sharded", index, "\"weight_map\"", "\"weights\"", "weight_map");
    refused_with("bf16-sharded", index, first, "\"model.norm.bias\": 3, \"model.embed_tokens.weight\": \"", "expected the name of a file in the folder");
    char *copy = copy_folder("bf16-sharded"); /* a tensor in two files */
    change(copy, "model-00002-of-00004.safetensors", "model.layers.1.self_attn.q_proj", "model.layers.0.self_attn.q_proj");
    refused(copy, "model.layers.1.self_attn.q_proj.weight: is not in the file");
    change(copy, index, "\"model.layers.1.self_attn.q_proj.weight\": \"model-00002-of-00004.safetensors\",", "");
    refused(copy, "model.layers.0.self_attn.q_proj.weight: is in model-00001-of-00004.safetensors as well");
    free(copy);
}

static void test_refused_configurations(void **state)
{
    (void)state;
    static const char c[] = "config.json";
    refused_with("f32", c, "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", "model_type: \"mamba\"; expected one of llama");
    refused_with("f32", c, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1e308", "num_hidden_layers: 1");
    refused_with("f32", c, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 99999999999999999999999999", "num_hidden_layers");
    refused_with("f32", c, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1e400", "config.json:");
    refused_with("f32", c, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 2.5", "num_hidden_layers: 2.5");
    refused_with("f32", c, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": -2", "num_hidden_layers: -2");
    refused_with("f32", c, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "");
    refused_with("f32", c, "\"hidden_size\": 32", "\"hidden_size\": 64", "expected 64");
    refused_with("f32", c, "\"num_attention_heads\": 2", "\"num_attention_heads\": \"2\"", "num_attention_heads: \"2\"");
    refused_with("f32", c, "\"vocab_size\": 299", "\"vocab_size\": 300", "vocab_size: 300; the embedding has 299 rows");
    refused_with("f32", c, "\"vocab_size\": 299", "\"vocab_size\": 298", "vocab_size: 298; the embedding has 299 rows");
    refused_with("f32", c, "\"hidden_act\": \"silu\"", "\"hidden_act\": \"relu\"", "hidden_act: \"relu\"");
    refused_with("f32", c, "\"rope_type\": \"default\"", "\"rope_type\": \"longrope\"", "rope_type: \"longrope\"");
    refused_with("f32", c, "\"rope_theta\": 10000.0", "\"rope_theta\": -1", "rope_theta: -1");
    refused_with("f32", c, "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": null", "rms_norm_eps: null");
    refused_with("f32", c, "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false", "lm_head.weight");
    refused_with("f32", c, "\"use_cache\"", "\"partial_rotary_factor\": 0.5, \"use_cache\"", "partial_rotary_factor: 0.5");
    refused_with("f32", c, "\"use_cache\"", "\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}, \"use_cache\"", "quant_method: \"gptq\"");
    refused_with("f32", c, "\"use_cache\"", "\"quantization_config\": {\"quant_method\": \"fp8\"}, \"use_cache\"", "quant_method: \"fp8\"");
    refused_with("f32", c, "\"use_cache\"", "\"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_8bit\": true}, \"use_cache\"", "load_in_8bit: true");
    refused_with("nf4", c, "\"bnb_4bit_quant_type\": \"nf4\"", "\"bnb_4bit_quant_type\": \"fp4\"", "bnb_4bit_quant_type: \"fp4\"");
    refused_with("nf4", c, "\"quantization_config\"", "\"no_config\"", "has no quantization_config");
}

static size_t place_of(const struct string *in, const void *bytes, size_t n)
{
    size_t at = 0;
    while (at + n <= in->length && memcmp(in->text + at, bytes, n))
        at++;
    assert_true(at + n <= in->length);
    return at;
}

static void test_refused_nf4(void **state)
{
    (void)state;
    static const char s[] = "model.safetensors";
    refused_with("nf4", s, "\"quant_type\": \"nf4\"", "\"quant_type\": \"fp4\"", "quant_type: \"fp4\"");
    refused_with("nf4", s, "\"blocksize\": 64", "\"blocksize\": 48", "blocksize: 48");
    refused_with("nf4", s, "{\"quant_type\"", "[\"quant_type\"", "quant_state");
    refused_with("nf4", s, "\"shape\": [64, 128]", "\"shape\": [63, 128]", "shape: [63");
    refused_with("nf4", s, "\"shape\": [64, 128]", "\"shape\": [-4, 128]", "shape: [-4");
    refused_with("nf4", s, "q_proj.weight.absmax", "q_proj.weight.abzmax", "q_proj.weight.absmax: missing");
    refused_with("nf4-nested", s, "q_proj.weight.nested_absmax", "q_proj.weight.nested_abzmax", "q_proj.weight.nested_absmax: missing");
    refused_with("nf4-nested", s, "\"nested_blocksize\": 256", "\"nested_blocksize\": 128", "nested_blocksize: 128");
    refused_with("nf4-nested", s, "\"nested_offset\"", "\"nezted_offset\"", "nested_offset: missing");
    char *copy = copy_folder("nf4"), *path = xasprintf("%s/%s", copy, s);
    change_head(copy, "model.embed_tokens", "model.zembed_tokens");
    change_head(copy, "model.layers.0.mlp.up_proj", "model.embed_tokens");
    refused(copy, "expected an embedding in BF16, F16 or F32");
    free(copy);
    copy = copy_folder("nf4");
    /* The first absmax is no number. */
    struct engine_safetensors *f;
    assert_int_equal(engine_safetensors_open(&f, path, NULL), OK);
    const struct engine_safetensor *t = engine_safetensors_find(f, "model.layers.0.self_attn.q_proj.weight.absmax");
    const struct engine_safetensor *map = engine_safetensors_find(f, "model.layers.0.self_attn.q_proj.weight.quant_map");
    struct string bytes = {0};
    read_file(path, &bytes);
    const size_t places[] = {place_of(&bytes, t->data, t->bytes), place_of(&bytes, map->data, map->bytes)};
    engine_safetensors_close(f);
    static const char *const says[] = {"NaN", "16 values"};
    for (int i = 0; i < 2; i++) {
        float was;
        memcpy(&was, bytes.text + places[i], sizeof was);
        memcpy(bytes.text + places[i], &(float){i ? -0.9f : NAN}, sizeof(float));
        write_file(path, bytes.text, bytes.length);
        refused(copy, says[i]);
        memcpy(bytes.text + places[i], &was, sizeof was);
    }
    string_free(&bytes);
    free(path);
    free(copy);
}

/* A weight that is no number, in each type a folder has them in: used where it lies, so told when nothing comes of it. */
static void test_refused_weights(void **state)
{
    (void)state;
    static const struct {
        const char *folder;
        unsigned char bytes[4];
        size_t n;
        const char *says;
    } cases[] = {{"f32", {0, 0, 0x80, 0xff}, 4, "infinite"},
                 {"f16", {1, 0x7c}, 2, "NaN"},
                 {"bf16-sharded", {0x80, 0x7f}, 2, "infinite"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *copy = copy_folder(cases[i].folder), *path = NULL, *said;
        const struct engine_safetensor *t = NULL;
        struct engine_safetensors *f = NULL;
        struct string bytes = {0};
        DIR *d = opendir(copy);
        for (struct dirent *at; !t && (at = readdir(d));) { /* which of the files has it */
            const size_t n = strlen(at->d_name);
            if (n < 12 || strcmp(at->d_name + n - 12, ".safetensors"))
                continue;
            engine_safetensors_close(f);
            free(path);
            path = xasprintf("%s/%s", copy, at->d_name);
            assert_int_equal(engine_safetensors_open(&f, path, NULL), OK);
            t = engine_safetensors_find(f, "model.layers.1.mlp.up_proj.weight");
        }
        closedir(d);
        assert_non_null(t);
        read_file(path, &bytes);
        const size_t cols = (size_t)t->size[1];
        memcpy(bytes.text + place_of(&bytes, t->data, t->bytes) + (5 * cols + 7) * cases[i].n, cases[i].bytes, cases[i].n);
        said = xasprintf("%s: tensor blk.1.ffn_up.weight: row 5, column 7: the weight is %s:", copy, cases[i].says);
        engine_safetensors_close(f);
        write_file(path, bytes.text, bytes.length);
        struct engine *engine = open_engine(copy, "auto");
        const struct engine_request q = {.prompt = (int[]){1, 2}, .prompt_count = 2, .max_tokens = 1,
                                         .sampling = {.top_p = 1, .repetition_penalty = 1}};
        struct error e = {0};
        int id, live;
        assert_int_equal(engine_submit(engine, &q, &id, &e), OK);
        assert_int_equal(engine_step(engine, &live, &e), ERROR_INPUT);
        if (!strstr(e.message, said))
            fail_msg("\"%s\" does not say \"%s\"", e.message, said);
        engine_close(engine);
        string_free(&bytes);
        free(said), free(path), free(copy);
    }
}

static void test_refused_tokenizers(void **state)
{
    (void)state;
    static const char t[] = "tokenizer.json";
    refused_with("f32", t, "\"type\": \"BPE\"", "\"type\": \"Unigram\"", "type: \"Unigram\"");
    refused_with("f32", t, "\"individual_digits\": true", "\"individual_digits\": false", "pre_tokenizer");
    refused_with("f32", t, "\"normalizer\": null", "\"normalizer\": {\"type\": \"Lowercase\"}", "normalizer: {");
    refused_with("f32", t, "\"vocab\": {", "\"vocab\": {\"zz\": 4, ", "have both the id 4");
    refused_with("f32", t, "\"vocab\": {", "\"vocab\": {\"zz\": 299, ", "zz: 299");
    refused_with("f32", t, "\"vocab\": {", "\"vocab\": {\"zz\": -1, ", "zz: -1");
    refused_with("f32", t, "\"vocab\": {", "\"vocab\": {\"zz\": \"a\", ", "zz: \"a\"");
    refused_with("f32", t, "\"vocab\": {", "\"vocab\": {\"\xff\": 4, ", "tokenizer.json:");
    refused_with("f32", t, "\"vocab\": {", "\"vocab\": {\"a\": 4, ", "duplicate");
    refused_with("f32", t, "\"merges\": [", "\"merges\": [[\"zz\", \"a\"], ", "\"zz\" and \"a\"");
    refused_with("f32", t, "\"merges\": [", "\"merges\": [[\"a\"], ", "number 0");
    refused_with("f32", t, "\"merges\": [", "\"merges\": [7, ", "number 0");
    refused_with("f32", t, "\"added_tokens\": [", "\"added_tokens\": [{\"id\": 7, \"content\": \"other\"}, ", "has the id 7");
    refused_with("f32", t, "\"added_tokens\": [", "\"added_tokens\": [{\"id\": -7, \"content\": \"other\"}, ", "number 0");
    refused_with("f32", t, "\"single_word\": false", "\"single_word\": true", "number 0: single_word");
    refused_with("f32", t, "\"ignore_merges\": false", "\"ignore_merges\": true", "pre_tokenizer");
    struct string deep = {0};
    for (int i = 0; i < 100000; i++)
        string_add(&deep, "[");
    refused_with("f32", t, "\"version\": \"1.0\"", deep.text, "tokenizer.json:");
    refused_with("f32", "config.json", "\"use_cache\": true", deep.text, "config.json:");
    refused_with("f32", "tokenizer_config.json", "\"unk_token\"", deep.text, "tokenizer_config.json:");
    string_free(&deep);
}

/* A hole is a row that no token has. */
static void test_holes(void **state)
{
    (void)state;
    char *copy = copy_folder("f32");
    struct engine *engine;
    change(copy, "tokenizer.json", "\"0\": 18,", "");
    engine = open_engine(copy, "reference");
    size_t n;
    engine_token_text(engine, 18, &n);
    assert_int_equal(n, 0);
    engine_close(engine);
    free(copy);
}

/* Any byte of the small files changed, and some of the description: it opens or says one line. */
static void test_damage(void **state)
{
    (void)state;
    static const char *const files[] = {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "generation_config.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *copy = copy_folder("nf4-nested"), *path = xasprintf("%s/%s", copy, files[i]);
        struct string bytes = {0};
        read_file(path, &bytes);
        const size_t step = bytes.length > 4000 ? bytes.length / 150 : 17;
        for (size_t at = 0; at < bytes.length; at += step) {
            struct engine_file *f;
            struct error e = {0};
            const char was = bytes.text[at];
            bytes.text[at] = (char)(was ^ (1 << at % 8));
            write_file(path, bytes.text, bytes.length);
            if (!engine_file_open(&f, copy, &e))
                engine_file_close(f);
            else
                assert_true(*e.message && !strchr(e.message, '\n'));
            bytes.text[at] = was;
        }
        string_free(&bytes);
        free(path);
        free(copy);
    }
}

static int open_work(void **state)
{
    (void)state;
    return mkdtemp(work) ? 0 : -1;
}

static int close_work(void **state)
{
    (void)state;
    char *copy = xasprintf("%s/copy", work);
    empty_folder(copy);
    rmdir(copy);
    free(copy);
    return rmdir(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_unaligned),      cmocka_unit_test(test_tokens), cmocka_unit_test(test_text_part),
        cmocka_unit_test(test_quantize),        cmocka_unit_test(test_adapters),       cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_llama3_factors),  cmocka_unit_test(test_sentencepiece),  cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_refused_lengths), cmocka_unit_test(test_refused_shards), cmocka_unit_test(test_refused_configurations),
        cmocka_unit_test(test_refused_nf4),     cmocka_unit_test(test_refused_weights), cmocka_unit_test(test_refused_tokenizers),
        cmocka_unit_test(test_holes),           cmocka_unit_test(test_composed),        cmocka_unit_test(test_stripped),
        cmocka_unit_test(test_tekken),          cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, open_work, close_work);
}
