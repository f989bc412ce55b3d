/* Adapters as PEFT saves them: a folder with adapter_config.json and adapter_model.safetensors. What is trained whole
 * (modules_to_save) lies there under the module's own name. */
#include "engine/adapter.h"
#include "engine/draft.h"
#include "engine/safetensors.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* By matrix, as the model's modules are called in transformers. */
static const char *const modules[ENGINE_MATRICES] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
};
/* By norm, where what parts of a layer give is normed too, and where not. */
static const char *const norms[2][ENGINE_NORMS] = {
    {"input_layernorm", "post_attention_layernorm", NULL, NULL, "self_attn.q_norm", "self_attn.k_norm"},
    {"input_layernorm", "pre_feedforward_layernorm", "post_attention_layernorm", "post_feedforward_layernorm", "self_attn.q_norm",
     "self_attn.k_norm"},
};
#define PREFIX "base_model.model."
#define QUANT "espalier_quant" /* a key of ours: PEFT reads past it, with a warning */
/* Of matching one key of a pattern; one that has a sense takes some hundred. */
enum { STEPS_MOST = 100000 };

struct reader {
    const char *folder;
    char *config_path;
    json_t *config;
    struct engine_safetensors *file;
    const struct engine_model *m;
    struct engine_adapter *adapter;
    struct error *e;
};

/* --- adapter_config.json ----------------------------------------------------------------------------------------- */

static int is_off(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) || (json_is_array(value) && !json_array_size(value)) ||
           (json_is_object(value) && !json_object_size(value));
}

/* A value as a person would write it, short. */
static char *shown(const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    char *copy = xasprintf("%.60s", text ? text : "missing");
    free(text);
    return copy;
}

static int refuse(struct reader *r, const char *key, const char *expected)
{
    char *text = shown(json_object_get(r->config, key));
    int code = error_set(r->e, ERROR_INPUT, "%.300s: %s: %s; expected %s", r->config_path, key, text, expected);
    free(text);
    return code;
}

static int one_of(const json_t *value, const char *const *words)
{
    for (; *words; words++)
        if (json_is_string(value) && !strcmp(json_string_value(value), *words))
            return 1;
    return 0;
}

static int check_config(struct reader *r)
{
    static const char *const off[] = {
        "use_dora", "lora_bias", "fan_in_fan_out", "use_qalora", "layer_replication", "trainable_token_indices",
        "target_parameters", "alora_invocation_tokens", "arrow_config", "use_bdlora", "kasa_config", "monteclora_config",
    };
    const json_t *rank = json_object_get(r->config, "r"), *alpha = json_object_get(r->config, "lora_alpha");
    const json_t *init = json_object_get(r->config, "init_lora_weights");
    if (!one_of(json_object_get(r->config, "peft_type"), (const char *const[]){"LORA", NULL}))
        return refuse(r, "peft_type", "\"LORA\", the only kind of adapter that is supported");
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (!is_off(json_object_get(r->config, off[i])))
            return refuse(r, off[i], "it to be off: an adapter with it is not supported; train one without");
    if (!is_off(json_object_get(r->config, "bias")) && !one_of(json_object_get(r->config, "bias"), (const char *const[]){"none", NULL}))
        return refuse(r, "bias", "\"none\": trained biases are not supported");
    /* The others change the base's own weights, so that the adapter is for a model that we do not have. */
    if (!is_off(init) && !json_is_true(init) && !one_of(init, (const char *const[]){"gaussian", "eva", "orthogonal", NULL}))
        return refuse(r, "init_lora_weights", "true, false, \"gaussian\", \"eva\" or \"orthogonal\": the others change the base as well; save it "
                      "converted to plain LoRA");
    if (!json_is_integer(rank) || json_integer_value(rank) < 1 || json_integer_value(rank) > ENGINE_RANK_MOST)
        return refuse(r, "r", "a whole number from 1 to 1024");
    if (!json_is_number(alpha) || !isfinite(json_number_value(alpha)))
        return refuse(r, "lora_alpha", "a number");
    return OK;
}

static int open_config(struct reader *r)
{
    json_error_t why;
    struct string bytes = {0};
    r->config_path = xasprintf("%s/adapter_config.json", r->folder);
    struct stat status;
    const int there = !stat(r->config_path, &status), plain = there && S_ISREG(status.st_mode); /* a pipe without a writer must not hang us */
    FILE *file = plain ? fopen(r->config_path, "rb") : NULL;
    if (!file)
        return error_set(r->e, ERROR_INPUT, "%.300s: cannot open: %s; expected a folder that PEFT saved, or an adapter's GGUF file",
                         r->config_path, there && !plain ? "it is not a plain file" : strerror(errno));
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) && bytes.length < (1 << 20);)
        string_append(&bytes, buffer, n);
    fclose(file);
    r->config = json_loadb(string_text(&bytes), bytes.length, JSON_REJECT_DUPLICATES, &why);
    string_free(&bytes);
    if (!r->config)
        return error_set(r->e, ERROR_INPUT, "%.300s:%d:%d: %.200s; expected the JSON that PEFT writes", r->config_path, why.line, why.column,
                         why.text);
    return json_is_object(r->config) ? check_config(r) : error_set(r->e, ERROR_INPUT, "%.300s: is not a JSON object", r->config_path);
}

/* Does this key of a pattern mean the module? All of its name, or what follows a dot in it; keys may be regular expressions. */
static int key_matches(struct reader *r, const char *pattern, const char *key, const char *module, int *matches)
{
    char *whole = xasprintf("^(?:.*\\.)?(?:%s)$", key);
    PCRE2_UCHAR said[120];
    PCRE2_SIZE offset;
    int number, code = OK;
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)whole, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &offset, NULL);
    *matches = 0;
    if (!compiled) {
        pcre2_get_error_message(number, said, sizeof said);
        code = error_set(r->e, ERROR_INPUT, "%.300s: %s: \"%.60s\" is no regular expression: %s", r->config_path, pattern, key, (char *)said);
    } else {
        pcre2_match_data *data = pcre2_match_data_create(1, NULL);
        pcre2_match_context *context = pcre2_match_context_create(NULL);
        pcre2_set_match_limit(context, STEPS_MOST);
        const int found = pcre2_match(compiled, (PCRE2_SPTR)module, strlen(module), 0, 0, data, context);
        *matches = found >= 0;
        if (found < 0 && found != PCRE2_ERROR_NOMATCH)
            code = error_set(r->e, ERROR_INPUT, "%.300s: %s: \"%.60s\" takes too long to match; write the module's name out", r->config_path, pattern, key);
        pcre2_match_context_free(context);
        pcre2_match_data_free(data);
        pcre2_code_free(compiled);
    }
    free(whole);
    return code;
}

/* The value of the first key of rank_pattern or alpha_pattern that means the module; *out stays where there is none. */
static int by_pattern(struct reader *r, const char *pattern, const char *module, double *out)
{
    json_t *keys = json_object_get(r->config, pattern), *value;
    const char *key;
    int code, matches;
    if (is_off(keys))
        return OK;
    if (!json_is_object(keys))
        return refuse(r, pattern, "an object of names and numbers");
    json_object_foreach(keys, key, value)
    {
        if ((code = key_matches(r, pattern, key, module, &matches)))
            return code;
        if (!matches)
            continue;
        if (!json_is_number(value) || !isfinite(json_number_value(value)))
            return refuse(r, pattern, "numbers");
        *out = json_number_value(value);
        return OK;
    }
    return OK;
}

/* The rank that the module has by the configuration, and its scale. */
static int configured(struct reader *r, int layer, int matrix, int *rank, float *scale)
{
    char module[80];
    *rank = 0;
    double of_rank = json_number_value(json_object_get(r->config, "r")), alpha = json_number_value(json_object_get(r->config, "lora_alpha"));
    snprintf(module, sizeof module, "model.layers.%d.%s", layer, modules[matrix]);
    int code = by_pattern(r, "rank_pattern", module, &of_rank);
    if (!code)
        code = by_pattern(r, "alpha_pattern", module, &alpha);
    if (!code && (of_rank < 1 || of_rank > ENGINE_RANK_MOST || of_rank != floor(of_rank)))
        return refuse(r, "rank_pattern", "whole numbers from 1 to 1024");
    *rank = (int)of_rank;
    *scale = (float)(alpha / (json_is_true(json_object_get(r->config, "use_rslora")) ? sqrt(of_rank) : of_rank));
    if (!code && !isfinite(*scale))
        return error_set(r->e, ERROR_INPUT, "%.300s: alpha of %s: %g over rank %d is more than a float holds; get the adapter anew", r->config_path,
                         module, alpha, *rank);
    return code;
}

/* --- adapter_model.safetensors ----------------------------------------------------------------------------------- */

static int misshapen(struct reader *r, const struct engine_safetensor *t, int rows, int cols, const char *why)
{
    return error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s: %lld x %lld; expected %d x %d by %s", engine_safetensors_path(r->file), t->name,
                     (long long)t->size[0], (long long)t->size[1], rows, cols, why);
}

static int read_numbers(struct reader *r, const struct engine_safetensor *t, float **out)
{
    free(*out); /* of a second tensor that means the same */
    *out = input_alloc(t->count, sizeof **out);
    if (!*out)
        return error_set(r->e, ERROR_ENGINE, "%.300s: tensor %.200s: not enough memory", engine_safetensors_path(r->file), t->name);
    return engine_safetensors_read(r->file, t, *out, r->e);
}

static int read_part(struct reader *r, const struct engine_safetensor *t, int layer, int matrix, int is_b)
{
    const struct kernel_matrix *w = engine_model_matrix(r->m, layer, matrix);
    struct engine_adapter_part *part = engine_adapter_part(r->adapter, layer, matrix);
    int rank, code = configured(r, layer, matrix, &rank, &part->scale);
    if (code)
        return code;
    const int rows = is_b ? w->rows : rank, cols = is_b ? rank : w->cols;
    if (t->dimensions != 2 || t->size[0] != rows || t->size[1] != cols)
        return misshapen(r, t, rows, cols, "adapter_config.json and the model: it is for another model");
    part->rank = rank;
    if (!is_b)
        return read_numbers(r, t, &part->a);
    float *peft = NULL;
    part->b = input_alloc(t->count, sizeof *part->b);
    code = part->b ? read_numbers(r, t, &peft) : error_set(r->e, ERROR_ENGINE, "%.300s: not enough memory", r->folder);
    if (!code)
        engine_adapter_turn(r->m, matrix, 1, r->m->neox, peft, rows, cols, part->b);
    free(peft);
    return code;
}

static int read_whole(struct reader *r, const struct engine_safetensor *t, int rows, int cols, float **out)
{
    const int vector = !rows;
    int code;
    if (t->dimensions != (vector ? 1 : 2) || t->size[vector ? 0 : 1] != cols || (!vector && t->size[0] != rows))
        return vector ? error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s: %lld numbers; the model needs %d: it is for another model",
                                  engine_safetensors_path(r->file), t->name, (long long)t->count, cols)
                      : misshapen(r, t, rows, cols, "the model: it is for another model");
    code = read_numbers(r, t, out);
    for (int i = 0; i < cols && vector && !code; i++)
        (*out)[i] += (float)r->m->architecture->norms_from_one;
    return code;
}

static int unknown(struct reader *r, const struct engine_safetensor *t)
{
    return error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s: not one that an adapter can have here; expected lora_A and lora_B of q_proj, "
                     "k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or lm_head, embed_tokens and norms whole",
                     engine_safetensors_path(r->file), t->name);
}

static int read_layer_tensor(struct reader *r, const struct engine_safetensor *t, const char *name, int layer)
{
    char known[80];
    if (layer < 0 || layer >= r->m->layers_count)
        return error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s: layer %d; the model has %d: it is for another model",
                         engine_safetensors_path(r->file), t->name, layer, r->m->layers_count);
    for (int i = 0; i < ENGINE_MATRICES; i++)
        for (int is_b = 0; is_b < 2; is_b++) {
            snprintf(known, sizeof known, "%s.lora_%c.weight", modules[i], "AB"[is_b]);
            if (!strcmp(name, known))
                return read_part(r, t, layer, i, is_b);
        }
    for (int i = 0; i < ENGINE_NORMS; i++) {
        const int size = engine_model_norm_size(r->m, i);
        snprintf(known, sizeof known, "%s.weight", size ? norms[r->m->architecture->post_norms][i] : "");
        if (!strcmp(name, known))
            return read_whole(r, t, 0, size, &r->adapter->norms[layer * ENGINE_NORMS + i]);
    }
    return unknown(r, t);
}

static int read_tensor(struct reader *r, const struct engine_safetensor *t)
{
    const char *name = t->name;
    int layer, end = 0;
    if (strncmp(name, PREFIX, strlen(PREFIX)))
        return unknown(r, t);
    name += strlen(PREFIX);
    if (!strcmp(name, "lm_head.weight"))
        return read_whole(r, t, r->m->vocabulary, r->m->width, &r->adapter->head);
    if (!strcmp(name, "model.embed_tokens.weight"))
        return read_whole(r, t, r->m->vocabulary, r->m->width, &r->adapter->embedding);
    if (!strcmp(name, "model.norm.weight"))
        return read_whole(r, t, 0, r->m->width, &r->adapter->norms[r->m->layers_count * ENGINE_NORMS]);
    if (sscanf(name, "model.layers.%d.%n", &layer, &end) == 1 && end)
        return read_layer_tensor(r, t, name + end, layer);
    return unknown(r, t);
}

static float *copy_of(const float *x, size_t count)
{
    float *copy = input_alloc(count, sizeof *copy);
    if (copy)
        memcpy(copy, x, count * sizeof *copy);
    return copy;
}

/* One stands for both when they are tied and the folder says that they stay so. */
static int tie(struct reader *r)
{
    struct engine_adapter *a = r->adapter;
    if (!r->m->tied || !json_is_true(json_object_get(r->config, "ensure_weight_tying")) || !a->head == !a->embedding)
        return OK;
    float **missing = a->head ? &a->embedding : &a->head;
    *missing = copy_of(a->head ? a->head : a->embedding, (size_t)r->m->vocabulary * (size_t)r->m->width);
    return *missing ? OK : error_set(r->e, ERROR_ENGINE, "%.300s: not enough memory", r->folder);
}

/* malloc'ed; NULL: it is not said. */
static char *text_of(const json_t *config, const char *key)
{
    const char *text = json_string_value(json_object_get(config, key));
    return text && *text ? xasprintf("%.200s", text) : NULL;
}

static int read_folder(struct reader *r)
{
    char *path = xasprintf("%s/adapter_model.safetensors", r->folder);
    int code = open_config(r);
    if (!code)
        code = engine_safetensors_open(&r->file, path, r->e);
    for (int i = 0; !code && i < engine_safetensors_count(r->file); i++)
        code = read_tensor(r, engine_safetensors_at(r->file, i));
    if (!code)
        code = engine_adapter_check(r->adapter, path, r->e);
    if (!code)
        code = tie(r);
    free(path);
    if (code)
        return code;
    r->adapter->base = text_of(r->config, "base_model_name_or_path");
    r->adapter->quant = text_of(r->config, QUANT);
    r->adapter->rslora = json_is_true(json_object_get(r->config, "use_rslora"));
    char *config = json_dumps(r->config, JSON_COMPACT | JSON_SORT_KEYS);
    r->adapter->sum = engine_safetensors_sum(r->file) ^ hash_bytes(config, strlen(config)) * 31;
    free(config);
    return OK;
}

int engine_adapter_read_peft(struct engine_adapter **out, const char *path, const struct engine_model *m, struct error *e)
{
    struct reader r = {.folder = path, .m = m, .adapter = engine_adapter_new(m->layers_count), .e = e};
    int code = read_folder(&r);
    *out = code ? NULL : r.adapter;
    if (code)
        engine_adapter_free(r.adapter);
    engine_safetensors_close(r.file);
    json_decref(r.config);
    free(r.config_path);
    return code;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

struct writer {
    const struct engine_adapter *adapter;
    const struct engine_model *m;
    struct engine_new_safetensor *tensors;
    float **turned; /* owned copies of B in PEFT's order and of norms as it has them; NULL for the others */
    int count, capacity;
};

static void add(struct writer *w, char *name, int rows, int cols, const float *data, float *turned)
{
    if (w->count >= w->capacity) {
        w->capacity = w->capacity ? 2 * w->capacity : 64;
        w->tensors = xrealloc(w->tensors, (size_t)w->capacity * sizeof *w->tensors);
        w->turned = xrealloc(w->turned, (size_t)w->capacity * sizeof *w->turned);
    }
    w->turned[w->count] = turned;
    w->tensors[w->count++] = (struct engine_new_safetensor){
        .name = name, .dimensions = rows ? 2 : 1, .size = {rows ? rows : cols, cols}, .data = data};
}

static int add_part(struct writer *w, int layer, int matrix, struct error *e)
{
    const struct engine_adapter_part *part = engine_adapter_part(w->adapter, layer, matrix);
    const struct kernel_matrix *of = engine_model_matrix(w->m, layer, matrix);
    if (!part->rank)
        return OK;
    float *b = input_alloc((size_t)of->rows * (size_t)part->rank, sizeof *b);
    if (!b)
        return error_set(e, ERROR_ENGINE, "not enough memory to write the adapter");
    engine_adapter_turn(w->m, matrix, w->m->neox, 1, part->b, of->rows, part->rank, b);
    add(w, xasprintf(PREFIX "model.layers.%d.%s.lora_A.weight", layer, modules[matrix]), part->rank, of->cols, part->a, NULL);
    add(w, xasprintf(PREFIX "model.layers.%d.%s.lora_B.weight", layer, modules[matrix]), of->rows, part->rank, b, b);
    return OK;
}

static void add_norm(struct writer *w, char *name, int size, const float *norm)
{
    float *own = xmalloc((size_t)size * sizeof *own);
    for (int i = 0; i < size; i++)
        own[i] = norm[i] - (float)w->m->architecture->norms_from_one;
    add(w, name, 0, size, own, own);
}

static int collect(struct writer *w, struct error *e)
{
    const struct engine_adapter *a = w->adapter;
    const int width = w->m->width, outputs = a->layers * ENGINE_NORMS;
    int code = OK;
    for (int i = 0; i < a->layers * ENGINE_MATRICES && !code; i++)
        code = add_part(w, i / ENGINE_MATRICES, i % ENGINE_MATRICES, e);
    for (int i = 0; i < outputs; i++)
        if (a->norms[i])
            add_norm(w, xasprintf(PREFIX "model.layers.%d.%s.weight", i / ENGINE_NORMS, norms[w->m->architecture->post_norms][i % ENGINE_NORMS]),
                     engine_model_norm_size(w->m, i % ENGINE_NORMS), a->norms[i]);
    if (a->norms[outputs])
        add_norm(w, xstrdup(PREFIX "model.norm.weight"), width, a->norms[outputs]);
    if (a->embedding)
        add(w, xstrdup(PREFIX "model.embed_tokens.weight"), w->m->vocabulary, width, a->embedding, NULL);
    if (a->head)
        add(w, xstrdup(PREFIX "lm_head.weight"), w->m->vocabulary, width, a->head, NULL);
    return code;
}

static void add_word(json_t *list, const char *word)
{
    json_array_append_new(list, json_string(word));
}

/* A scale is alpha in fp32 over something: the whole number it came from, where it is one. */
static double alpha_of(const struct engine_adapter_part *part, int rslora)
{
    const double own = part->scale * (rslora ? sqrt(part->rank) : part->rank), whole = round(own);
    return fabs(own - whole) <= 2e-7 * fabs(own) ? whole : own;
}

/* Where the parts are of one rank and alpha, only that is said; else what each has beside the first's. */
static json_t *make_config(const struct engine_adapter *a, const struct engine_model *m)
{
    json_t *targets = json_array(), *saved = json_array(), *ranks = json_object(), *alphas = json_object();
    int used[ENGINE_MATRICES] = {0}, rank = 0, any_norm[ENGINE_NORMS + 1] = {0};
    double alpha = 0;
    for (int i = 0; i < a->layers * ENGINE_MATRICES; i++) {
        const struct engine_adapter_part *part = &a->parts[i];
        const double own = alpha_of(part, a->rslora);
        if (!part->rank)
            continue;
        if (!rank)
            rank = part->rank, alpha = own;
        char name[80];
        snprintf(name, sizeof name, "model.layers.%d.%s", i / ENGINE_MATRICES, modules[i % ENGINE_MATRICES]);
        if (part->rank != rank)
            json_object_set_new(ranks, name, json_integer(part->rank));
        if (own != alpha)
            json_object_set_new(alphas, name, json_real(own));
        used[i % ENGINE_MATRICES]++;
    }
    for (int i = 0; i < ENGINE_MATRICES; i++)
        if (used[i] == a->layers)
            add_word(targets, strchr(modules[i], '.') + 1);
    for (int i = 0; i < a->layers * ENGINE_MATRICES; i++) /* matrices that only some layers adapt, each by its whole name */
        if (a->parts[i].rank && used[i % ENGINE_MATRICES] < a->layers) {
            char name[80];
            snprintf(name, sizeof name, "model.layers.%d.%s", i / ENGINE_MATRICES, modules[i % ENGINE_MATRICES]);
            add_word(targets, name);
        }
    for (int i = 0; i < a->layers * ENGINE_NORMS; i++)
        any_norm[i % ENGINE_NORMS] |= a->norms[i] != NULL;
    for (int i = 0; i < ENGINE_NORMS; i++)
        if (any_norm[i])
            add_word(saved, norms[m->architecture->post_norms][i]);
    if (a->norms[a->layers * ENGINE_NORMS])
        add_word(saved, "model.norm");
    if (a->embedding)
        add_word(saved, "embed_tokens");
    if (a->head)
        add_word(saved, "lm_head");
    if (!json_array_size(saved)) {
        json_decref(saved);
        saved = json_null();
    }
    json_t *config = json_pack("{s:s, s:s, s:o, s:i, s:o, s:f, s:s, s:b, s:b, s:o, s:o, s:o, s:b, s:b, s:o}", "peft_type", "LORA", "task_type", "CAUSAL_LM",
                     "base_model_name_or_path", a->base ? json_string(a->base) : json_null(), "r", rank ? rank : 1, "lora_alpha",
                     alpha == floor(alpha) && fabs(alpha) < 1e9 ? json_integer((json_int_t)alpha) : json_real(alpha), "lora_dropout", 0.0,
                     "bias", "none", "fan_in_fan_out", 0, "use_rslora", a->rslora, "target_modules", targets, "rank_pattern", ranks, "alpha_pattern",
                     alphas, "inference_mode", 1, "use_dora", 0, "modules_to_save", saved);
    if (a->quant)
        json_object_set_new(config, QUANT, json_string(a->quant));
    return config;
}

static int write_config(const struct engine_adapter *a, const struct engine_model *m, const char *folder, struct error *e)
{
    json_t *config = make_config(a, m);
    char *text = json_dumps(config, JSON_INDENT(2) | JSON_SORT_KEYS), *path = xasprintf("%s/adapter_config.json", folder);
    struct engine_draft *d;
    int code = engine_draft_open(&d, path, e);
    if (!code) {
        engine_draft_add(d, text, strlen(text));
        engine_draft_add(d, "\n", 1);
        code = engine_draft_finish(d, e);
        engine_draft_free(d);
    }
    json_decref(config);
    free(text);
    free(path);
    return code;
}

int engine_adapter_write_peft(const struct engine_adapter *adapter, const char *path, const struct engine_model *m, struct error *e)
{
    struct writer w = {.adapter = adapter, .m = m};
    if (mkdir(path, 0777) && errno != EEXIST)
        return error_set(e, ERROR_INPUT, "%.300s: the folder cannot be made: %s; choose another place", path, strerror(errno));
    char *file = xasprintf("%s/adapter_model.safetensors", path);
    int code = collect(&w, e);
    if (!code)
        code = engine_safetensors_write(file, w.tensors, w.count, e);
    if (!code)
        code = write_config(adapter, m, path, e);
    for (int i = 0; i < w.count; i++) {
        free((char *)w.tensors[i].name);
        free(w.turned[i]);
    }
    free(w.tensors);
    free(w.turned);
    free(file);
    return code;
}
