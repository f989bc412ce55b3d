/* config.json: which architecture it is, its sizes as GGUF's keys, and what is in it that we do not compute. */
#include "engine/folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A kind of model by its model_type. What configurations of it may leave out has a value here; 0: they may not. */
static const struct kind {
    const char *model_type, *architecture, *activation;
    int neox; /* 1: GGUF has the rows of q and k in another order than the folder */
    int tied, norms_less_1;
    int heads, kv_heads, head_dim, vocabulary, context, window;
    double epsilon;
} kinds[] = {
    {.model_type = "llama", .architecture = "llama", .activation = "silu", .neox = 1},
    {.model_type = "mistral", .architecture = "llama", .activation = "silu", .neox = 1},
    {.model_type = "qwen2", .architecture = "qwen2", .activation = "silu"},
    {.model_type = "qwen3", .architecture = "qwen3", .activation = "silu"},
    {.model_type = "gemma3_text", .architecture = "gemma3", .activation = "gelu_pytorch_tanh", .tied = 1, .norms_less_1 = 1, .heads = 8,
     .kv_heads = 4, .head_dim = 256, .vocabulary = 262208, .context = 131072, .window = 4096, .epsilon = 1e-6},
};
enum { KINDS = sizeof kinds / sizeof *kinds, LAYERS_MOST = 1024, SIZE_MOST = 1 << 24, GEMMA_PERIOD = 6, GEMMA_SCALAR = 256 };

struct reader {
    const json_t *config; /* of the text's part */
    const json_t *whole;  /* with what is around it */
    const char *path;
    const struct kind *kind;
    struct engine_new_keys *keys;
    struct engine_folder_shape *out;
    struct error *e;
    int width, heads, kv_heads, head_dim, context;
};

/* --- values -------------------------------------------------------------------------------------------------------- */

static const json_t *get(const struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->config, key);
    value = value ? value : json_object_get(r->whole, key);
    return json_is_null(value) ? NULL : value;
}

static int refuse(const struct reader *r, const char *key, const char *expected)
{
    return engine_json_refuse(r->path, json_object_get(r->config, key) ? r->config : r->whole, key, expected, r->e);
}

/* A whole number from 1 to most; the default, where there is one, when it is not there. */
static int whole(const struct reader *r, const char *key, int most, int fallback, int *out)
{
    const json_t *value = get(r, key);
    char expected[64];
    *out = fallback;
    if ((!value && fallback) || (engine_json_whole(value, out) && *out >= 1 && *out <= most))
        return OK;
    snprintf(expected, sizeof expected, "a whole number from 1 to %d", most);
    return refuse(r, key, expected);
}

static int number(const struct reader *r, const json_t *object, const char *key, double fallback, double *out)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value) && !(fallback > 0 && (!value || json_is_null(value))))
        return engine_json_refuse(r->path, object, key, "a number above 0", r->e);
    *out = value && !json_is_null(value) ? json_number_value(value) : fallback;
    return *out > 0 && *out < 1e30 ? OK : engine_json_refuse(r->path, object, key, "a number above 0", r->e);
}

static int is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static const char *key_of(const struct reader *r, const char *name, char out[96])
{
    snprintf(out, 96, "%s.%s", r->kind->architecture, name);
    return out;
}

static void put_whole(const struct reader *r, const char *name, int value)
{
    char key[96];
    engine_keys_u32(r->keys, key_of(r, name, key), (uint32_t)value);
}

static void put_number(const struct reader *r, const char *name, double value)
{
    char key[96];
    engine_keys_f32(r->keys, key_of(r, name, key), (float)value);
}

/* --- what is not computed here ------------------------------------------------------------------------------------- */

static int check_quantization(const struct reader *r)
{
    const json_t *about = get(r, "quantization_config"), *method = json_object_get(about, "quant_method");
    const json_t *type = json_object_get(about, "bnb_4bit_quant_type");
    static const char advice[] = "weights in bf16, f16 or f32, or bitsandbytes' nf4: take the model as it was before it was quantized";
    r->out->nf4 = about != NULL;
    if (!about)
        return OK;
    if (method && !is_text(method, "bitsandbytes"))
        return engine_json_refuse(r->path, about, "quant_method", advice, r->e);
    const int in_8 = json_is_true(json_object_get(about, "load_in_8bit"));
    if (!json_is_true(json_object_get(about, "load_in_4bit")))
        return engine_json_refuse(r->path, about, in_8 ? "load_in_8bit" : "load_in_4bit", advice, r->e);
    return is_text(type, "nf4") ? OK : engine_json_refuse(r->path, about, "bnb_4bit_quant_type", advice, r->e);
}

/* All layers attend alike, or, of Gemma's, each sixth to everything and the others within a window. */
static int check_layer_types(const struct reader *r, int period)
{
    const json_t *types = get(r, "layer_types"), *type;
    size_t i;
    json_array_foreach(types, i, type)
    {
        const int windowed = period && ((int)i + 1) % period;
        if (!is_text(type, windowed ? "sliding_attention" : "full_attention"))
            return refuse(r, "layer_types", period ? "windows in all layers but each of sliding_window_pattern"
                                                   : "\"full_attention\" in every layer");
    }
    return OK;
}

static int check_unknown(const struct reader *r)
{
    const json_t *act = get(r, "hidden_act"), *gelu = get(r, "hidden_activation"), *partial = get(r, "partial_rotary_factor");
    const char *key = gelu ? "hidden_activation" : "hidden_act";
    char expected[64];
    snprintf(expected, sizeof expected, "\"%s\", as a %s has it", r->kind->activation, r->kind->model_type);
    act = gelu ? gelu : act;
    if (act && !is_text(act, r->kind->activation))
        return refuse(r, key, expected);
    if (partial && json_number_value(partial) != 1)
        return refuse(r, "partial_rotary_factor", "1: a rotation of a part of each head is not supported");
    static const char *const off[] = {"attn_logit_softcapping", "final_logit_softcapping", "use_bidirectional_attention"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (get(r, off[i]) && !json_is_false(get(r, off[i])))
            return refuse(r, off[i], "it to be off: it is not supported");
    return OK;
}

/* --- RoPE ---------------------------------------------------------------------------------------------------------- */

/* Llama 3.1's: frequencies whose waves are long beside the context it was first trained on are divided by the factor, short ones stay, and
 * between them the two are mixed. */
static int llama3_factors(const struct reader *r, const json_t *rope, double base)
{
    double factor, low, high, context;
    int code;
    if ((code = number(r, rope, "factor", 0, &factor)) || (code = number(r, rope, "low_freq_factor", 0, &low)) ||
        (code = number(r, rope, "high_freq_factor", 0, &high)) ||
        (code = number(r, rope, "original_max_position_embeddings", r->context, &context)))
        return code;
    if (high <= low)
        return engine_json_refuse(r->path, rope, "high_freq_factor", "more than low_freq_factor", r->e);
    const int half = r->head_dim / 2;
    r->out->rope_factors = xcalloc((size_t)half + 1, sizeof *r->out->rope_factors);
    for (int i = 0; i < half; i++) {
        const double wave = 2 * acos(-1) * pow(base, 2.0 * i / r->head_dim), smooth = (context / wave - low) / (high - low);
        const double by = wave < context / high ? 1 : wave > context / low ? factor : 1 / ((1 - smooth) / factor + smooth);
        r->out->rope_factors[i] = (float)by;
    }
    return OK;
}

/* What else YaRN can be told must be what it is taken to be. */
static int check_yarn(const struct reader *r, const json_t *rope)
{
    static const struct {
        const char *key;
        double usual; /* 0: none */
    } knobs[] = {{"beta_fast", 32}, {"beta_slow", 1}, {"attention_factor", 0}, {"mscale", 0}, {"mscale_all_dim", 0}};
    for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++) {
        const json_t *value = json_object_get(rope, knobs[i].key);
        if (value && !json_is_null(value) && !(knobs[i].usual > 0 && json_number_value(value) == knobs[i].usual))
            return engine_json_refuse(r->path, rope, knobs[i].key, "YaRN's usual value, or that it is left out: another is not supported", r->e);
    }
    return OK;
}

static int put_scaling(const struct reader *r, const json_t *rope, double base)
{
    const json_t *type = json_object_get(rope, "rope_type");
    type = type ? type : json_object_get(rope, "type");
    double factor, context;
    char key[96];
    if (!type || json_is_null(type) || is_text(type, "default"))
        return OK;
    if (is_text(type, "llama3"))
        return llama3_factors(r, rope, base);
    if (!is_text(type, "linear") && !is_text(type, "yarn"))
        return engine_json_refuse(r->path, rope, json_object_get(rope, "rope_type") ? "rope_type" : "type",
                                  "\"default\", \"linear\", \"yarn\" or \"llama3\": no other way to scale RoPE is supported", r->e);
    int code = number(r, rope, "factor", 0, &factor);
    engine_keys_text(r->keys, key_of(r, "rope.scaling.type", key), json_string_value(type));
    put_number(r, "rope.scaling.factor", factor);
    if (code || is_text(type, "linear") || (code = check_yarn(r, rope)) ||
        (code = number(r, rope, "original_max_position_embeddings", r->context, &context)))
        return code;
    put_whole(r, "rope.scaling.original_context_length", context < INT32_MAX ? (int)context : INT32_MAX);
    return OK;
}

/* Until transformers 4: rope_theta and rope_scaling; from 5: rope_parameters, Gemma's one for each kind of layer. */
static int put_rope(const struct reader *r)
{
    const json_t *all = get(r, "rope_parameters"), *global = json_object_get(all, "full_attention");
    const json_t *local = json_object_get(all, "sliding_attention");
    const json_t *rope = global ? global : all ? all : get(r, "rope_scaling");
    double base, local_base = 10000;
    const int gemma = r->kind->window != 0;
    int code = number(r, json_object_get(rope, "rope_theta") ? rope : r->config, "rope_theta", gemma ? 1e6 : 10000, &base);
    if (!code && gemma)
        code = local ? number(r, local, "rope_theta", 10000, &local_base) : number(r, r->config, "rope_local_base_freq", 10000, &local_base);
    if (code)
        return code;
    put_number(r, "rope.freq_base", base);
    if (gemma && local_base != 10000) /* what GGUF's gemma3 is known to have */
        put_number(r, "rope.freq_base_swa", local_base);
    return put_scaling(r, rope, base);
}

/* --- all of it ----------------------------------------------------------------------------------------------------- */

/* A window as wide as the context is never felt. Mistral's is every layer's, Qwen's that of some. */
static int put_window(struct reader *r)
{
    const int qwen = !strncmp(r->kind->model_type, "qwen", 4);
    int window;
    if (!strcmp(r->kind->model_type, "llama") || !get(r, "sliding_window") || (qwen && !json_is_true(get(r, "use_sliding_window"))))
        return check_layer_types(r, 0);
    int code = whole(r, "sliding_window", INT32_MAX, 0, &window);
    if (code || window >= r->context)
        return code;
    if (qwen)
        return refuse(r, "use_sliding_window", "false: windows in some layers are not supported for this kind of model");
    put_whole(r, "attention.sliding_window", window);
    return OK;
}

/* Gemma's: the window of most layers, and how they alternate; and what its queries are scaled by. */
static int put_windows(struct reader *r)
{
    int window, period, scalar;
    int code = whole(r, "sliding_window", INT32_MAX, r->kind->window, &window);
    if (code || (code = whole(r, "sliding_window_pattern", LAYERS_MOST, GEMMA_PERIOD, &period)) ||
        (code = whole(r, "query_pre_attn_scalar", SIZE_MOST, GEMMA_SCALAR, &scalar)))
        return code;
    const json_t *types = get(r, "layer_types");
    size_t full = 0;
    while (full < json_array_size(types) && !is_text(json_array_get(types, full), "full_attention"))
        full++;
    if (types && !json_object_get(r->config, "sliding_window_pattern") && full < json_array_size(types))
        period = (int)full + 1;
    put_number(r, "attention.scale", 1 / sqrt(scalar));
    put_whole(r, "attention.sliding_window", window);
    if (period != GEMMA_PERIOD)
        put_whole(r, "attention.sliding_window_pattern", period);
    return check_layer_types(r, period);
}

static int put_sizes(struct reader *r)
{
    const struct kind *k = r->kind;
    struct engine_folder_shape *out = r->out;
    int ff, code;
    double epsilon;
    if ((code = whole(r, "num_hidden_layers", LAYERS_MOST, 0, &out->layers)) || (code = whole(r, "hidden_size", SIZE_MOST, 0, &r->width)) ||
        (code = whole(r, "intermediate_size", SIZE_MOST, 0, &ff)) || (code = whole(r, "num_attention_heads", r->width, k->heads, &r->heads)) ||
        (code = whole(r, "num_key_value_heads", r->heads, k->kv_heads ? k->kv_heads : r->heads, &r->kv_heads)) ||
        (code = whole(r, "head_dim", SIZE_MOST, k->head_dim ? k->head_dim : r->width / r->heads, &r->head_dim)) ||
        (code = whole(r, "vocab_size", SIZE_MOST, k->vocabulary, &out->vocabulary)) ||
        (code = whole(r, "max_position_embeddings", INT32_MAX, k->context, &r->context)) ||
        (code = number(r, r->config, "rms_norm_eps", k->epsilon, &epsilon)))
        return code;
    out->head_dim = r->head_dim;
    put_whole(r, "vocab_size", out->vocabulary);
    put_whole(r, "context_length", r->context);
    put_whole(r, "embedding_length", r->width);
    put_whole(r, "block_count", out->layers);
    put_whole(r, "feed_forward_length", ff);
    put_whole(r, "attention.head_count", r->heads);
    put_whole(r, "attention.head_count_kv", r->kv_heads);
    put_whole(r, "attention.key_length", r->head_dim);
    put_whole(r, "attention.value_length", r->head_dim);
    if (!k->window)
        put_whole(r, "rope.dimension_count", r->head_dim);
    put_number(r, "attention.layer_norm_rms_epsilon", epsilon);
    return OK;
}

/* The text's part of a model that also sees is a gemma3_text. */
static int find_kind(struct reader *r)
{
    const json_t *type = json_object_get(r->whole, "model_type"), *text = json_object_get(r->whole, "text_config");
    if (is_text(type, "gemma3") && json_is_object(text)) {
        r->config = text;
        r->kind = &kinds[KINDS - 1];
        return OK;
    }
    for (int i = 0; i < KINDS; i++)
        if (is_text(type, kinds[i].model_type)) {
            r->kind = &kinds[i];
            return OK;
        }
    struct string known = {0};
    for (int i = 0; i < KINDS; i++)
        string_addf(&known, "%s%s", i ? ", " : "one of ", kinds[i].model_type);
    int code = engine_json_refuse(r->path, r->whole, "model_type", string_text(&known), r->e);
    string_free(&known);
    return code;
}

int engine_folder_config(const json_t *config, const char *path, struct engine_new_keys *keys, struct engine_folder_shape *out, struct error *e)
{
    struct reader r = {.config = config, .whole = config, .path = path, .keys = keys, .out = out, .e = e};
    *out = (struct engine_folder_shape){0};
    int code = find_kind(&r);
    if (code)
        return code;
    const json_t *tied = get(&r, "tie_word_embeddings");
    out->architecture = r.kind->architecture;
    out->tied = tied ? json_is_true(tied) : r.kind->tied;
    out->norms_less_1 = r.kind->norms_less_1;
    engine_keys_text(keys, "general.architecture", out->architecture);
    if (r.kind->neox)
        engine_keys_boolean(keys, "espalier.rope.neox", 1);
    if ((code = check_quantization(&r)) || (code = check_unknown(&r)) || (code = put_sizes(&r)) || (code = put_rope(&r)))
        return code;
    return r.kind->window ? put_windows(&r) : put_window(&r);
}
