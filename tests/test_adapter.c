/* Adapters: what peft computes with them, from its folders and from GGUF; active = merged into the weights; a list with weights is the
 * sum; mixes side by side in one batch are each as alone, bit for bit, by every kernel set; what is cached of one is not used by another;
 * what we write is what we read; and what must be refused. */
#include "engine/safetensors.h"
#include "engine/state.h"
#include "reference_text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "driven.h"

#define TINY "tests/reference/tiny/"
#define ADAPTERS "tests/reference/adapters/"
#define WITHIN 1e-4

static char folder[64] = "/tmp/espalier-adapter-XXXXXX";

/* --- driving an engine ------------------------------------------------------------------------------------------- */

static struct engine *open_model(const char *model, const char *kernels, int threads)
{
    struct error e;
    struct engine *engine = NULL;
    if (engine_open(&engine, &(struct engine_options){.model = model, .kernels = kernels, .threads = threads}, &e))
        fail_msg("%s", e.message);
    return engine;
}

static int open_adapter(struct engine *engine, const char *path)
{
    struct error e;
    int id;
    if (engine_adapter_open(engine, path, &id, &e))
        fail_msg("%s", e.message);
    return id;
}

static int mix_of(struct engine *engine, int n, const int *adapters, const float *weights)
{
    struct engine_adapter_use uses[4];
    struct error e;
    int mix;
    for (int i = 0; i < n; i++)
        uses[i] = (struct engine_adapter_use){adapters[i], weights[i]};
    if (engine_mix(engine, uses, n, &mix, &e))
        fail_msg("%s", e.message);
    return mix;
}

static int mix_one(struct engine *engine, const char *path, float weight)
{
    return mix_of(engine, 1, (int[]){open_adapter(engine, path)}, &weight);
}

static struct engine_result result_of(struct engine *engine, const struct engine_request *q)
{
    struct engine_result r;
    submit(engine, q);
    run(engine);
    assert_true(engine_result(engine, &r));
    return r;
}

static void assert_same(const struct engine_result *a, const struct engine_result *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->ending, b->ending);
    assert_memory_equal(a->tokens, b->tokens, (size_t)a->count * sizeof *a->tokens);
}

/* The greatest difference of a log-probability. */
static double difference(const struct engine_result *a, const struct engine_result *b)
{
    double most = 0;
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        most = fmax(most, fabs((double)a->tokens[i].logprob - (double)b->tokens[i].logprob));
    return most;
}

static const int text[] = {20, 23, 273, 223, 23, 272, 223, 21, 18, 280, 271, 72, 86, 28, 223, 23, 223, 21, 18, 223, 21, 21, 11, 201};
enum { TEXT = sizeof text / sizeof *text };

static struct engine_result score(struct engine *engine, int mix)
{
    return result_of(engine, &(struct engine_request){.prompt = text, .prompt_count = TEXT, .score = 1, .mix = mix});
}

/* --- what peft says ---------------------------------------------------------------------------------------------- */

static double compare(const char *model, const char *path, const struct reference_text *t)
{
    struct engine *engine = open_model(model, "reference", 1);
    const int mix = mix_one(engine, path, 1);
    struct engine_result r =
        result_of(engine, &(struct engine_request){.prompt = t->ids, .prompt_count = t->count, .score = 1, .mix = mix});
    double most = 0;
    assert_int_equal(r.count, t->count - 1);
    for (int p = 0; p < r.count; p++)
        most = fmax(most, fabs((double)r.tokens[p].logprob - (double)t->logprobs[p + 1]));
    engine_result_free(&r);
    engine_close(engine);
    return most;
}

static void test_peft(void **state)
{
    (void)state;
    struct reference_file file;
    assert_true(reference_load("tests/reference/logprobs_adapters.txt", &file));
    assert_int_equal(file.count, 18);
    double worst = 0;
    for (int i = 0; i < file.count; i++) {
        char base[40], name[40];
        assert_int_equal(sscanf(file.texts[i].name, "%39s %39s", base, name), 2);
        char *model = xasprintf(TINY "%s.gguf", base), *path = xasprintf(ADAPTERS "%s", name), *gguf = xasprintf("%s.gguf", path);
        double d = compare(model, path, &file.texts[i]);
        if (d > WITHIN)
            fail_msg("%s: %g from what peft says", file.texts[i].name, d);
        worst = fmax(worst, d);
        if (!access(gguf, R_OK)) {
            d = compare(model, gguf, &file.texts[i]);
            if (d > WITHIN)
                fail_msg("%s as GGUF: %g from what peft says", file.texts[i].name, d);
        }
        free(model);
        free(path);
        free(gguf);
    }
    print_message("at most %.2g from peft's log-probabilities\n", worst);
    reference_free(&file);
}

/* --- merged ------------------------------------------------------------------------------------------------------ */

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    struct string s = {0};
    char part[4096];
    if (!f)
        fail_msg("no %s", path);
    for (size_t got; (got = fread(part, 1, sizeof part, f)) > 0;)
        string_append(&s, part, got);
    fclose(f);
    *n = s.length;
    return s.text;
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* W += weight * scale * B A in the bytes of a model's file, in double. */
static void merge(char *bytes, const struct engine *engine, const struct engine_adapter *a, double weight)
{
    for (int i = 0; i < a->layers * ENGINE_MATRICES; i++) {
        const struct engine_adapter_part *part = &a->parts[i];
        const struct kernel_matrix *w = engine_model_matrix(engine->model, i / ENGINE_MATRICES, i % ENGINE_MATRICES);
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s.weight", i / ENGINE_MATRICES, engine_model_matrix_name(i % ENGINE_MATRICES));
        float *to = (float *)(void *)(bytes + engine_file_tensor(engine->file, name)->offset);
        for (int r = 0; r < w->rows && part->rank; r++)
            for (int c = 0; c < w->cols; c++) {
                double sum = 0;
                for (int k = 0; k < part->rank; k++)
                    sum += (double)part->b[r * part->rank + k] * (double)part->a[k * w->cols + c];
                to[r * w->cols + c] = (float)((double)to[r * w->cols + c] + weight * (double)part->scale * sum);
            }
    }
}

static struct engine_result merged(const struct engine *engine, const char *model, int n, const char *const *paths, const double *weights)
{
    size_t bytes;
    char *file = read_file(model, &bytes), *path = xasprintf("%s/merged.gguf", folder);
    for (int i = 0; i < n; i++) {
        struct engine_adapter *a;
        struct error e;
        if (engine_adapter_read(&a, paths[i], engine->model, &e))
            fail_msg("%s", e.message);
        merge(file, engine, a, weights[i]);
        engine_adapter_free(a);
    }
    write_file(path, file, bytes);
    struct engine *other = open_model(path, engine->set->name, 1);
    struct engine_result r = score(other, 0);
    engine_close(other);
    unlink(path);
    free(file);
    free(path);
    return r;
}

static void test_merged(void **state)
{
    (void)state;
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++) {
        if (!(*set)->supported())
            continue;
        const char *const model = TINY "tiny-f32.gguf", *const paths[] = {ADAPTERS "plain", ADAPTERS "other"};
        /* F32 weights take fp32 activations in every set; a cache of halves rounds a little differently after different sums. */
        const double within = strcmp((*set)->name, "reference") ? 2e-2 : WITHIN;
        struct engine *engine = open_model(model, (*set)->name, 1);
        const int plain = open_adapter(engine, paths[0]), other = open_adapter(engine, paths[1]);
        struct engine_result bare = score(engine, 0), active = score(engine, mix_of(engine, 1, &plain, (float[]){1}));
        struct engine_result as_one = merged(engine, model, 1, paths, (double[]){1});
        assert_true(difference(&active, &as_one) <= within);
        assert_true(difference(&active, &bare) > 1);
        struct engine_result both = score(engine, mix_of(engine, 2, (int[]){plain, other}, (float[]){0.5f, -1.5f}));
        struct engine_result sum = merged(engine, model, 2, paths, (double[]){0.5, -1.5});
        assert_true(difference(&both, &sum) <= within);
        assert_true(difference(&both, &active) > 1);
        struct engine_result again = score(engine, 0);
        assert_same(&again, &bare);
        struct engine *fresh = open_model(model, (*set)->name, 1);
        struct engine_result never = score(fresh, 0);
        assert_same(&never, &bare);
        engine_close(fresh);
        struct engine_result *all[] = {&bare, &active, &as_one, &both, &sum, &again, &never};
        for (int i = 0; i < 7; i++)
            engine_result_free(all[i]);
        engine_close(engine);
    }
}

static void test_lists(void **state)
{
    (void)state;
    struct engine *engine = open_model(TINY "tiny-untied-f32.gguf", "reference", 1);
    const int a = open_adapter(engine, ADAPTERS "patterns"), b = open_adapter(engine, ADAPTERS "saved");
    struct error e;
    int mix;
    assert_int_equal(open_adapter(engine, ADAPTERS "patterns"), a);
    assert_int_not_equal(a, b);
    assert_int_equal(engine_adapters(engine), 2);
    assert_int_equal(mix_of(engine, 0, NULL, NULL), 0);
    assert_int_equal(mix_of(engine, 2, (int[]){a, b}, (float[]){0, 0}), 0);
    mix = mix_of(engine, 2, (int[]){a, b}, (float[]){2, 1});
    assert_int_equal(mix_of(engine, 3, (int[]){a, b, a}, (float[]){3, 1, -1}), mix);
    assert_int_not_equal(mix_of(engine, 1, &b, (float[]){1}), mix);
    assert_int_equal(engine_mix(engine, &(struct engine_adapter_use){b, 0.5f}, 1, &mix, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "weight"));
    assert_int_equal(engine_mix(engine, &(struct engine_adapter_use){9, 1}, 1, &mix, &e), ERROR_USAGE);
    assert_int_equal(engine_mix(engine, &(struct engine_adapter_use){a, NAN}, 1, &mix, &e), ERROR_USAGE);
    assert_int_equal(engine_submit(engine, &(struct engine_request){.prompt = text, .prompt_count = 3, .max_tokens = 1, .mix = 77}, &mix, &e),
                     ERROR_USAGE);
    const struct engine_adapter_about *about = engine_adapter_about(engine, b);
    assert_true(about->replaces_embedding && about->replaces_head && about->replaces_norms == 5);
    assert_true(about->rank_least == 2 && about->rank_most == 2 && about->matrices == 4);
    assert_true(engine_adapter_about(engine, a)->rank_least == 2 && engine_adapter_about(engine, a)->rank_most == 6);
    engine_close(engine);
}

/* --- side by side ------------------------------------------------------------------------------------------------ */

enum { REQUESTS = 24, WRITTEN = 20, MIXES = 5 };

static int make_mix(struct engine *engine, int which)
{
    const int a = open_adapter(engine, ADAPTERS "patterns"), b = open_adapter(engine, ADAPTERS "saved");
    switch (which) {
    case 1:
        return mix_of(engine, 1, &a, (float[]){1});
    case 2:
        return mix_of(engine, 1, &a, (float[]){-0.5f});
    case 3:
        return mix_of(engine, 1, &b, (float[]){1});
    case 4:
        return mix_of(engine, 2, (int[]){b, a}, (float[]){1, 0.25f});
    default:
        return 0;
    }
}

/* All begin alike, so that whoever takes another's keys and values shows. */
static struct engine_request request(struct engine *engine, int i)
{
    return (struct engine_request){.prompt = text, .prompt_count = 8 + i % 3 * 8, .max_tokens = WRITTEN, .ignore_end = 1,
                                   .sampling = {.temperature = 1, .top_p = 1, .repetition_penalty = 1}, .seed = 5, .stream = (uint64_t)i / MIXES,
                                   .mix = make_mix(engine, i % MIXES)};
}

static void test_together(void **state)
{
    (void)state;
    for (const struct kernel_set *const *set = kernel_sets(); *set; set++) {
        if (!(*set)->supported())
            continue;
        struct engine *together = open_model(TINY "tiny-untied-f32.gguf", (*set)->name, 3);
        struct engine_result r, alone[REQUESTS];
        int first = 0, differ = 0;
        for (int i = 0; i < REQUESTS; i++) {
            struct engine *engine = open_model(TINY "tiny-untied-f32.gguf", (*set)->name, 1);
            struct engine_request q = request(engine, i);
            alone[i] = result_of(engine, &q);
            engine_close(engine);
            q = request(together, i);
            const int id = submit(together, &q);
            first = i ? first : id;
        }
        run(together);
        for (int i = 0; i < REQUESTS; i++) {
            assert_true(engine_result(together, &r));
            assert_same(&r, &alone[r.id - first]);
            engine_result_free(&r);
        }
        for (int i = 1; i < MIXES; i++) /* the same draws, other numbers */
            differ += memcmp(alone[i].tokens, alone[0].tokens, sizeof *alone[0].tokens) != 0;
        assert_int_equal(differ, MIXES - 1);
        for (int i = 0; i < REQUESTS; i++)
            engine_result_free(&alone[i]);
        struct engine_statistics s;
        engine_statistics(together, &s);
        assert_int_equal(s.adapters, 2);
        assert_int_equal(s.mixes, MIXES);
        engine_close(together);
    }
}

static void test_cache(void **state)
{
    (void)state;
    struct engine *engine = open_model(TINY "tiny-f32.gguf", "auto", 1);
    const int plain = mix_one(engine, ADAPTERS "plain", 1);
    struct engine_request q = {.prompt = text, .prompt_count = TEXT, .max_tokens = 4, .ignore_end = 1, .sampling = {.top_p = 1, .repetition_penalty = 1}};
    struct engine_result bare = result_of(engine, &q), again = result_of(engine, &q);
    assert_int_equal(bare.cached, 0);
    assert_int_equal(again.cached, TEXT - 1);
    q.mix = plain;
    struct engine_result other = result_of(engine, &q), other_again = result_of(engine, &q);
    assert_int_equal(other.cached, 0);
    assert_int_equal(other_again.cached, TEXT - 1);
    assert_same(&other, &other_again);
    q.mix = 0;
    struct engine_result back = result_of(engine, &q); /* both are kept */
    assert_int_equal(back.cached, TEXT - 1);
    assert_same(&back, &bare);
    engine_forget(engine, text, TEXT);
    struct engine_result *all[] = {&bare, &again, &other, &other_again, &back};
    for (int i = 0; i < 5; i++)
        engine_result_free(all[i]);
    engine_close(engine);
}

/* --- what is written --------------------------------------------------------------------------------------------- */

static void check_written(const char *model, const char *name, int gguf)
{
    struct engine *engine = open_model(model, "reference", 1);
    char *from = xasprintf(ADAPTERS "%s", name), *to = xasprintf("%s/%s%s", folder, name, gguf ? ".gguf" : "");
    struct engine_adapter *a, *b;
    struct error e;
    if (engine_adapter_read(&a, from, engine->model, &e))
        fail_msg("%s", e.message);
    int code = gguf ? engine_adapter_write_gguf(a, to, engine->model, &e) : engine_adapter_write_peft(a, to, engine->model, &e);
    if (gguf && !strncmp(name, "saved", 5)) {
        assert_int_equal(code, ERROR_INPUT);
        assert_non_null(strstr(e.message, "PEFT folder"));
        assert_int_not_equal(access(to, F_OK), 0);
    } else {
        if (code || engine_adapter_read(&b, to, engine->model, &e))
            fail_msg("%s", e.message);
        assert_int_equal(engine_adapter_parameters(b, engine->model), engine_adapter_parameters(a, engine->model));
        struct engine_result first = score(engine, mix_one(engine, from, 1)), second = score(engine, mix_one(engine, to, 1));
        if (gguf)
            assert_true(difference(&first, &second) <= WITHIN);
        else
            assert_same(&first, &second);
        engine_result_free(&first);
        engine_result_free(&second);
        engine_adapter_free(b);
    }
    engine_adapter_free(a);
    engine_close(engine);
    free(from);
    free(to);
}

static void test_written(void **state)
{
    (void)state;
    for (int gguf = 0; gguf < 2; gguf++) {
        check_written(TINY "tiny-f32.gguf", "plain", gguf);
        check_written(TINY "tiny-f32.gguf", "other", gguf);
        check_written(TINY "tiny-f32.gguf", "saved-tied", gguf);
        check_written(TINY "tiny-keylength-f32.gguf", "rslora", gguf);
        check_written(TINY "tiny-untied-f32.gguf", "patterns", gguf);
        check_written(TINY "tiny-untied-f32.gguf", "saved", gguf);
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_true(engine_same_name("HuggingFaceTB/SmolLM2-135M-Instruct", "SmolLM2 135M Instruct"));
    assert_true(engine_same_name("/models/SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct-f16"));
    assert_true(engine_same_name("Qwen3-0.6B-IQ4_XS/", "qwen3-0.6b"));
    assert_false(engine_same_name("SmolLM2-135M", "SmolLM2-135M-Instruct"));
    assert_false(engine_same_name("Qwen2.5-1.5B", "Qwen3-1.7B"));
}

/* --- bad input --------------------------------------------------------------------------------------------------- */

static struct engine *bad_engine;

static void refused_by(struct engine *engine, const char *path, const char *said)
{
    struct error e;
    int id, code = engine_adapter_open(engine, path, &id, &e);
    if (code != ERROR_INPUT || !strstr(e.message, said))
        fail_msg("%s: code %d, \"%s\"; expected \"%s\" in it", path, code, code ? e.message : "", said);
    assert_null(strchr(e.message, '\n'));
}

/* The folder `plain` with its configuration changed, and its numbers replaced (NULL: as they are). */
static void refused(const char *from, const char *to, const struct string *numbers, const char *said)
{
    size_t n, m;
    char *config = read_file(ADAPTERS "plain/adapter_config.json", &n), *file = read_file(ADAPTERS "plain/adapter_model.safetensors", &m);
    char *bad = xasprintf("%s/bad", folder), *path = xasprintf("%s/adapter_config.json", bad), *model = xasprintf("%s/adapter_model.safetensors", bad);
    struct string changed = {0};
    char *at = from ? strstr(config, from) : NULL;
    assert_true(!from || at);
    string_append(&changed, config, at ? (size_t)(at - config) : n);
    if (at) {
        string_add(&changed, to);
        string_add(&changed, at + strlen(from));
    }
    mkdir(bad, 0777);
    write_file(path, string_text(&changed), changed.length);
    write_file(model, numbers ? string_text(numbers) : file, numbers ? numbers->length : m);
    refused_by(bad_engine, bad, said);
    unlink(path);
    unlink(model);
    rmdir(bad);
    string_free(&changed);
    free(config);
    free(file);
    free(bad);
    free(path);
    free(model);
}

static char *find_bytes(char *in, size_t n, const char *what)
{
    const size_t length = strlen(what);
    for (size_t i = 0; i + length <= n; i++)
        if (!memcmp(in + i, what, length))
            return in + i;
    return NULL;
}

/* The numbers of `plain` with a piece of the description changed for one as long. */
static void refused_file(const char *from, const char *to, size_t cut, const char *said)
{
    struct string s = {0};
    size_t n;
    char *file = read_file(ADAPTERS "plain/adapter_model.safetensors", &n);
    char *at = from ? find_bytes(file, n, from) : NULL;
    assert_true(!from || (at && strlen(from) == strlen(to)));
    if (at)
        memcpy(at, to, strlen(to));
    string_append(&s, file, n - cut);
    refused(NULL, NULL, &s, said);
    string_free(&s);
    free(file);
}

/* Which layers it has the tensors say. */
static void test_layers(void **state)
{
    (void)state;
    static const char from[] = "\"layers_to_transform\": null";
    struct engine *engine = open_model(TINY "tiny-f32.gguf", "reference", 1);
    char *path = xasprintf("%s/layers", folder), *config = xasprintf("%s/adapter_config.json", path), *model = xasprintf("%s/adapter_model.safetensors", path);
    struct string changed = {0};
    struct error e;
    size_t n, m;
    int id;
    char *file = read_file(ADAPTERS "plain/adapter_config.json", &n), *numbers = read_file(ADAPTERS "plain/adapter_model.safetensors", &m);
    char *at = strstr(file, from);
    assert_non_null(at);
    string_append(&changed, file, (size_t)(at - file));
    string_add(&changed, "\"layers_to_transform\": [0, 1]");
    string_add(&changed, at + strlen(from));
    mkdir(path, 0777);
    write_file(config, string_text(&changed), changed.length);
    write_file(model, numbers, m);
    if (engine_adapter_open(engine, path, &id, &e))
        fail_msg("%s", e.message);
    engine_close(engine);
    unlink(config), unlink(model), rmdir(path);
    string_free(&changed);
    free(file), free(numbers), free(path), free(config), free(model);
}

static void test_refused(void **state)
{
    (void)state;
    bad_engine = open_model(TINY "tiny-f32.gguf", "reference", 1);
    refused("\"use_dora\": false", "\"use_dora\": true", NULL, "use_dora: true");
    refused("\"bias\": \"none\"", "\"bias\": \"lora_only\"", NULL, "bias: \"lora_only\"");
    refused("\"peft_type\": \"LORA\"", "\"peft_type\": \"IA3\"", NULL, "peft_type: \"IA3\"");
    refused("\"fan_in_fan_out\": false", "\"fan_in_fan_out\": true", NULL, "fan_in_fan_out");
    refused("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", NULL, "init_lora_weights: \"pissa\"");
    refused("\"r\": 4", "\"r\": 3", NULL, "expected 3 x 64");
    refused("\"r\": 4", "\"r\": 0", NULL, "r: 0");
    refused("\"r\": 4", "\"r\": 4.5", NULL, "r: 4.5");
    refused("\"lora_alpha\": 8", "\"lora_alpha\": \"8\"", NULL, "lora_alpha: \"8\"");
    refused("\"lora_alpha\": 8", "\"lora_alpha\": 1e308", NULL, "1e+308 over rank 4 is more than a float holds");
    refused("\"alpha_pattern\": {}", "\"alpha_pattern\": {\"v_proj\": -1e308}", NULL, "alpha of model.layers.0.self_attn.v_proj: -1e+308");
    refused("\"rank_pattern\": {}", "\"rank_pattern\": {\"q_proj\": 9}", NULL, "expected 9 x 32");
    refused("\"rank_pattern\": {}", "\"rank_pattern\": {\"(\": 9}", NULL, "no regular expression");
    refused("\"rank_pattern\": {}", "\"rank_pattern\": {\"([a-z0-9_.]+)+[0-9]\": 9}", NULL, "takes too long to match");
    refused("\"rank_pattern\": {}", "\"rank_pattern\": 7", NULL, "rank_pattern: 7");
    refused("\"r\": 4,", "\"r\": 4", NULL, "adapter_config.json:");
    refused_file(NULL, NULL, 5, "cut short");
    refused_file(NULL, NULL, 19000, "it is cut short");
    refused_file(NULL, NULL, 19848, "not a safetensors file");
    refused_file("layers.1.self_attn.q_proj.lora_A", "layers.7.self_attn.q_proj.lora_A", 0, "layer 7; the model has 2");
    refused_file("layers.1.self_attn.q_proj.lora_A", "layers.0.self_attn.q_proj.lora_A", 0, "duplicate");
    refused_file("layers.1.self_attn.q_proj.lora_A", "layers.1.self_attn.z_proj.lora_A", 0, "z_proj");
    refused_file("\"F32\"", "\"I32\"", 0, "its type is not read here");
    refused_file("\"F32\"", "\"F16\"", 0, "its bytes are not as many");
    refused_file("\"shape\":[4,", "\"shape\":[9,", 0, "its bytes are not as many");
    refused_file("\"data_offsets\":[0,", "\"data_offsets\":[8,", 0, "its bytes are not as many");
    refused_file("\"dtype\"", "\"dtipe\"", 0, "expected dtype");
    struct string s = {0};
    size_t n;
    char *file = read_file(ADAPTERS "plain/adapter_model.safetensors", &n);
    memcpy(file + n - 4, "\0\0\300\177", 4);
    string_append(&s, file, n);
    refused(NULL, NULL, &s, "is NaN or infinite");
    string_append(&s, "more", 4);
    refused(NULL, NULL, &s, "4 bytes follow");
    string_free(&s);
    free(file);
    refused_by(bad_engine, ADAPTERS "plain/adapter_config.json", "name the folder");
    refused_by(bad_engine, ADAPTERS "none", "cannot open");
    char *pipes = xasprintf("%s/pipes", folder), *pipe = xasprintf("%s/adapter_config.json", pipes);
    assert_int_equal(mkdir(pipes, 0777) || mkfifo(pipe, 0666), 0);
    refused_by(bad_engine, pipes, "cannot open: it is not a plain file");
    assert_int_equal(unlink(pipe) || rmdir(pipes), 0);
    free(pipes), free(pipe);
    refused_by(bad_engine, "tests", "adapter_config.json: cannot open");
    refused_by(bad_engine, TINY "tiny-f32.gguf", "general.type");
    engine_close(bad_engine);
    bad_engine = open_model(TINY "tiny-q8_0.gguf", "reference", 1);
    refused_by(bad_engine, ADAPTERS "plain", "for another model");
    refused_by(bad_engine, ADAPTERS "plain.gguf", "for another model");
    refused_by(bad_engine, ADAPTERS "saved", "for another model");
    engine_close(bad_engine);
}

/* Bytes changed anywhere: refused, or read, but nothing worse. */
static void test_damaged(void **state)
{
    (void)state;
    struct engine *engine = open_model(TINY "tiny-f32.gguf", "reference", 1);
    const char *const files[] = {ADAPTERS "plain.gguf", ADAPTERS "plain/adapter_model.safetensors"};
    for (int f = 0; f < 2; f++) {
        size_t n, m;
        char *good = read_file(files[f], &n), *bad = xmalloc(n), *config = read_file(ADAPTERS "plain/adapter_config.json", &m);
        char *place = xasprintf("%s/damaged", folder), *path = f ? xasprintf("%s/adapter_model.safetensors", place) : xstrdup(place);
        char *beside = xasprintf("%s/adapter_config.json", place);
        int refusals = 0;
        if (f) {
            mkdir(place, 0777);
            write_file(beside, config, m);
        }
        for (uint64_t i = 0; i < 300; i++) {
            struct engine_adapter *a = NULL;
            struct error e;
            memcpy(bad, good, n);
            for (uint64_t k = 0; k <= i % 4; k++)
                bad[(size_t)(random_uniform(i, 1 + (uint64_t)f, k) * 3000)] = (char)(random_uniform(i, 3 + (uint64_t)f, k) * 256);
            const size_t left = i % 5 ? n : (size_t)(random_uniform(i, 9, 0) * (double)n);
            write_file(path, bad, left);
            const int code = engine_adapter_read(&a, place, engine->model, &e);
            assert_true(code == OK || code == ERROR_INPUT);
            assert_true(left == n || code == ERROR_INPUT);
            refusals += code != OK;
            engine_adapter_free(a);
        }
        assert_true(refusals > 150);
        unlink(path);
        unlink(beside);
        rmdir(place);
        free(good);
        free(bad);
        free(config);
        free(place);
        free(path);
        free(beside);
    }
    engine_close(engine);
}

/* A folder that cannot be written to has nothing of it. */
static void test_not_written(void **state)
{
    (void)state;
    struct engine *engine = open_model(TINY "tiny-f32.gguf", "reference", 1);
    struct engine_adapter *a;
    struct error e;
    assert_int_equal(engine_adapter_read(&a, ADAPTERS "other", engine->model, &e), OK);
    assert_int_equal(engine_adapter_write_gguf(a, "/nowhere/x.gguf", engine->model, &e), ERROR_INPUT);
    assert_int_equal(engine_adapter_write_gguf(a, folder, engine->model, &e), ERROR_INPUT);
    assert_int_equal(engine_adapter_write_peft(a, "/nowhere/x", engine->model, &e), ERROR_INPUT);
    engine_adapter_free(a);
    engine_close(engine);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

/* ESPALIER_KEEP: what was written is left to be looked at by other programs. */
static int remove_folder(void **state)
{
    (void)state;
    if (getenv("ESPALIER_KEEP")) {
        print_message("kept: %s\n", folder);
        return 0;
    }
    char *command = xasprintf("rm -rf '%s'", folder);
    int code = system(command);
    free(command);
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peft),     cmocka_unit_test(test_merged),  cmocka_unit_test(test_lists),
        cmocka_unit_test(test_together), cmocka_unit_test(test_cache),   cmocka_unit_test(test_written),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_layers),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_damaged), cmocka_unit_test(test_not_written),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
