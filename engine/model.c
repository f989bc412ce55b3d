#include "engine/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct engine_architecture architectures[] = {
    {.name = "llama", .rope_divisors = 1, .windows = 1},
    {.name = "qwen2", .neox = 1, .biases = 1},
    {.name = "qwen3", .neox = 1, .head_norms = 1},
    {.name = "gemma3", .neox = 1, .head_norms = 1, .post_norms = 1, .norms_from_one = 1, .gelu = 1, .scaled_embedding = 1, .windows = 1,
     .window_period = 6, .window_base = 10000, .coarse_layers = 62},
};
enum { ARCHITECTURES = sizeof architectures / sizeof *architectures };

const char *const engine_quants[ENGINE_QUANTS] = {"", "nf4", "nf4+head"};

enum engine_quant engine_quant_of(const char *name)
{
    int i = ENGINE_QUANTS - 1;
    while (i > 0 && (!name || strcmp(name, engine_quants[i])))
        i--;
    return (enum engine_quant)i;
}

/* Beyond these a file is damaged, not large; products of two of them fit an int64_t. */
enum { MAX_LAYERS = ENGINE_LAYERS_MOST, MAX_WIDTH = 1 << 18, MAX_CONTEXT_DEFAULT = 8192, MAX_CONTEXT = 1 << 20 };

/* --- metadata ---------------------------------------------------------------------------------------------------- */

struct reader {
    const struct engine_file *file;
    const char *path;
    const char *architecture;
    char key[128];
    int used; /* tensors */
    struct error *e;
};

static const char *key_of(struct reader *r, const char *name)
{
    snprintf(r->key, sizeof r->key, "%s.%s", r->architecture, name);
    return r->key;
}

/* An integer in [1, most]; the default when the key is absent and there is one. */
static int read_integer(struct reader *r, const char *name, int64_t most, int fallback, int *out)
{
    int64_t value = fallback;
    if (!engine_file_integer(r->file, key_of(r, name), &value) && !fallback)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: missing; expected a whole number from 1 to %lld", r->path,
                         r->key, (long long)most);
    if (value < 1 || value > most)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %lld; expected a whole number from 1 to %lld", r->path,
                         r->key, (long long)value, (long long)most);
    *out = (int)value;
    return OK;
}

static int read_number(struct reader *r, const char *name, double least, double most, double fallback, float *out)
{
    double value = fallback;
    if (!engine_file_number(r->file, key_of(r, name), &value) && fallback <= 0)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: missing; expected a number from %g to %g", r->path,
                         r->key, least, most);
    if (!(value >= least && value <= most))
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %g; expected a number from %g to %g", r->path, r->key,
                         value, least, most);
    *out = (float)value;
    return OK;
}

static int read_architecture(struct reader *r, const struct engine_architecture **out)
{
    struct engine_text name;
    if (!engine_file_text(r->file, "general.architecture", &name))
        return error_set(r->e, ERROR_INPUT,
                         "%s: metadata general.architecture: missing; is this the file of a language model?", r->path);
    for (int i = 0; i < ARCHITECTURES; i++)
        if (name.length == strlen(architectures[i].name) && !memcmp(name.bytes, architectures[i].name, name.length)) {
            *out = &architectures[i];
            r->architecture = architectures[i].name;
            return OK;
        }
    struct string known = {0};
    for (int i = 0; i < ARCHITECTURES; i++)
        string_addf(&known, "%s%s", i ? ", " : "", architectures[i].name);
    int code = error_set(r->e, ERROR_INPUT, "%s: metadata general.architecture: \"%.*s\" is not known; known are: %s",
                         r->path, (int)(name.length < 64 ? name.length : 64), name.bytes, string_text(&known));
    string_free(&known);
    return code;
}

/* Of either kind: a writer may have put 12 as an integer. */
static int any_number(struct reader *r, const char *name, double *out)
{
    int64_t whole;
    if (!engine_file_integer(r->file, key_of(r, name), &whole))
        return engine_file_number(r->file, r->key, out);
    *out = (double)whole;
    return 1;
}

/* What would change the numbers and is not computed here must not be passed over. */
static int refuse_unknown(struct reader *r, const struct engine_model *m)
{
    int64_t value;
    if (engine_file_integer(r->file, key_of(r, "expert_count"), &value) && value > 0)
        return error_set(r->e, ERROR_INPUT,
                         "%s: metadata %s: %lld: mixtures of experts are not supported; use a dense model", r->path,
                         r->key, (long long)value);
    static const char *const head_keys[] = {"attention.value_length", "rope.dimension_count"};
    for (int i = 0; i < 2; i++)
        if (engine_file_integer(r->file, key_of(r, head_keys[i]), &value) && value != m->head_dim)
            return error_set(r->e, ERROR_INPUT,
                             "%s: metadata %s: %lld is not supported; expected the width of a head, %d", r->path,
                             r->key, (long long)value, m->head_dim);
    static const struct {
        const char *name;
        double nothing;
    } numbers[] = {{"attn_logit_softcapping", 0}, {"final_logit_softcapping", 0}, {"logit_scale", 0}, {"rope.scaling.attn_factor", 1},
                   {"rope.scaling.alpha", 0}, {"rope.scaling.yarn_log_multiplier", 0}, {"rope.scaling.yarn_ext_factor", 1},
                   {"rope.scaling.yarn_attn_factor", 1}, {"embedding_scale", 1}, {"residual_scale", 1}, {"attention.clamp_kqv", 0},
                   {"attention.temperature_scale", 0}, {"attention.temperature_length", 0}};
    double number;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (any_number(r, numbers[i].name, &number) && number != numbers[i].nothing && number != 0)
            return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %g is not supported; expected none", r->path, r->key, number);
    int causal = 1, parallel = 0;
    if (engine_file_boolean(r->file, key_of(r, "attention.causal"), &causal) && !causal)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: false: a model that sees what comes after is not supported", r->path, r->key);
    if (engine_file_boolean(r->file, key_of(r, "use_parallel_residual"), &parallel) && parallel)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: true: the two parts of a layer side by side are not supported", r->path, r->key);
    return OK;
}

/* As llama.cpp reads it: a factor without a type is a linear one. */
static int read_scaling(struct reader *r, struct engine_model *m)
{
    struct engine_rope *rope = &m->rope;
    struct engine_text type = {"linear", 6};
    double factor;
    int code = OK, i = 0;
    const int typed = engine_file_text(r->file, key_of(r, "rope.scaling.type"), &type);
    while (i < ENGINE_ROPE_SCALINGS && (type.length != strlen(engine_rope_scalings[i]) || memcmp(type.bytes, engine_rope_scalings[i], type.length)))
        i++;
    if (i == ENGINE_ROPE_SCALINGS)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: \"%.*s\" is not supported; expected none, linear or yarn", r->path,
                         r->key, (int)(type.length < 64 ? type.length : 64), type.bytes);
    rope->factor = 1;
    rope->scaling = ENGINE_ROPE_PLAIN;
    if (i == ENGINE_ROPE_PLAIN)
        return OK;
    if (!engine_file_number(r->file, key_of(r, "rope.scale_linear"), &factor) &&
        !engine_file_number(r->file, key_of(r, "rope.scaling.factor"), &factor))
        return !typed ? OK : error_set(r->e, ERROR_INPUT, "%s: metadata %s: missing; the scaling of RoPE needs it", r->path, r->key);
    if (!(factor >= 1 && factor <= 1e6))
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %g; expected a number from 1 to 1e+06", r->path, r->key, factor);
    if (factor == 1)
        return OK;
    rope->scaling = (enum engine_rope_scaling)i;
    rope->factor = (float)factor;
    if (i == ENGINE_ROPE_YARN && ((code = read_integer(r, "rope.scaling.original_context_length", INT32_MAX, m->context_trained, &rope->original)) ||
                                  (code = read_number(r, "rope.scaling.yarn_beta_fast", 0, 1e6, 32, &rope->fast)) ||
                                  (code = read_number(r, "rope.scaling.yarn_beta_slow", 0, 1e6, 1, &rope->slow))))
        return code;
    return OK;
}

/* Which layers have the window: a flag for each, or the period of those that have none, or the architecture's period. */
static int read_window_layers(struct reader *r, struct engine_model *m)
{
    const char *key = key_of(r, "attention.sliding_window_pattern");
    int64_t period = m->architecture->window_period, count = engine_file_integers(r->file, key);
    if (count >= 0) {
        int64_t *flags = count == m->layers_count ? xmalloc((size_t)count * sizeof *flags) : NULL;
        if (!flags)
            return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %lld values; expected one for each of %d layers", r->path, key, (long long)count,
                             m->layers_count);
        engine_file_integers_get(r->file, key, flags);
        for (int i = 0; i < m->layers_count; i++)
            m->windowed[i] = flags[i] != 0;
        free(flags);
        return OK;
    }
    engine_file_integer(r->file, key, &period);
    if (period < 0)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %lld; expected 0 or more", r->path, key, (long long)period);
    for (int i = 0; i < m->layers_count; i++)
        m->windowed[i] = !period || i % period < period - 1;
    return OK;
}

/* After the context: a window that is not less changes nothing. */
static int read_window(struct reader *r, struct engine_model *m)
{
    int64_t window = 0;
    int code = OK, layers = 0;
    if (engine_file_integer(r->file, key_of(r, "attention.sliding_window"), &window) && (window < 0 || window > INT32_MAX))
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %lld; expected a whole number from 0 to %d", r->path, r->key, (long long)window,
                         INT32_MAX);
    if (window && !m->architecture->windows && window < m->context)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %lld: windows of \"%s\" are not supported; use --context %lld or less", r->path,
                         r->key, (long long)window, r->architecture, (long long)window);
    if (!window || !m->architecture->windows)
        return OK;
    if ((code = read_window_layers(r, m)))
        return code;
    for (int i = 0; i < m->layers_count; i++)
        layers += m->windowed[i];
    m->window = layers ? (int)window : 0;
    m->window_rope = m->rope;
    if (m->architecture->window_base > 0) {
        m->window_rope = (struct engine_rope){.factor = 1};
        code = read_number(r, "rope.freq_base_swa", 1, 1e12, (double)m->architecture->window_base, &m->window_rope.base);
    }
    return code;
}

static int read_attention_scale(struct reader *r, struct engine_model *m)
{
    const int coarse = m->layers_count == m->architecture->coarse_layers;
    return read_number(r, "attention.scale", 1e-6, 1e6, 1 / sqrt(coarse ? (double)m->width / m->heads : m->head_dim), &m->attention_scale);
}

static int read_shape(struct reader *r, struct engine_model *m, int context)
{
    int code;
    if ((code = read_integer(r, "block_count", MAX_LAYERS, 0, &m->layers_count)) ||
        (code = read_integer(r, "embedding_length", MAX_WIDTH, 0, &m->width)) ||
        (code = read_integer(r, "feed_forward_length", MAX_WIDTH, 0, &m->ff_width)) ||
        (code = read_integer(r, "context_length", INT32_MAX, 0, &m->context_trained)) ||
        (code = read_integer(r, "attention.head_count", m->width, 0, &m->heads)) ||
        (code = read_integer(r, "attention.head_count_kv", m->heads, m->heads, &m->kv_heads)) ||
        (code = read_integer(r, "attention.key_length", m->width, m->width / m->heads, &m->head_dim)) ||
        (code = read_number(r, "rope.freq_base", 1, 1e12, 10000, &m->rope.base)) ||
        (code = read_number(r, "attention.layer_norm_rms_epsilon", 0, 1, 0, &m->norm_epsilon)))
        return code;
    if (m->heads % m->kv_heads)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %d does not divide the %d heads", r->path,
                         key_of(r, "attention.head_count_kv"), m->kv_heads, m->heads);
    if ((int64_t)m->heads * m->head_dim > MAX_WIDTH)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: %d heads of width %d; expected at most %d in all",
                         r->path, key_of(r, "attention.key_length"), m->heads, m->head_dim, MAX_WIDTH);
    if (m->head_dim % 2 || m->head_dim > KERNEL_HEAD_DIM)
        return error_set(r->e, ERROR_INPUT, "%s: metadata %s: heads of width %d; expected an even number up to %d", r->path,
                         key_of(r, "attention.key_length"), m->head_dim, KERNEL_HEAD_DIM);
    if (context > MAX_CONTEXT)
        return error_set(r->e, ERROR_USAGE, "--context %d: expected at most %d", context, MAX_CONTEXT);
    m->neox = m->architecture->neox;
    engine_file_boolean(r->file, "espalier.rope.neox", &m->neox);
    int most = m->context_trained < MAX_CONTEXT_DEFAULT ? m->context_trained : MAX_CONTEXT_DEFAULT;
    m->context = context > 0 ? context : most;
    m->embedding_scale = m->architecture->scaled_embedding ? sqrtf((float)m->width) : 1;
    if ((code = read_scaling(r, m)) || (code = read_window(r, m)) || (code = read_attention_scale(r, m)))
        return code;
    return refuse_unknown(r, m);
}

/* --- tensors ----------------------------------------------------------------------------------------------------- */

/* The sizes that shapes are written in, and what each tensor of a layer is. */
enum size { WIDTH, HEADS, KV_HEADS, FF, HEAD };
static int size_of(const struct engine_model *m, enum size s)
{
    switch (s) {
    case WIDTH:
        return m->width;
    case HEADS:
        return m->heads * m->head_dim;
    case KV_HEADS:
        return m->kv_heads * m->head_dim;
    case FF:
        return m->ff_width;
    case HEAD:
        return m->head_dim;
    }
    return 0;
}

/* By enum engine_target. */
static const struct layer_matrix {
    const char *name; /* blk.N.name.weight */
    size_t offset;    /* in struct engine_layer */
    enum size rows, cols;
    int fine; /* keys and values are a twentieth of the work, and what they are off by stays in the cache for all that
                 follows */
} layer_matrices[] = {
    {"attn_q", offsetof(struct engine_layer, q), HEADS, WIDTH, 0},
    {"attn_k", offsetof(struct engine_layer, k), KV_HEADS, WIDTH, 1},
    {"attn_v", offsetof(struct engine_layer, v), KV_HEADS, WIDTH, 1},
    {"attn_output", offsetof(struct engine_layer, o), WIDTH, HEADS, 0},
    {"ffn_gate", offsetof(struct engine_layer, gate), FF, WIDTH, 0},
    {"ffn_up", offsetof(struct engine_layer, up), FF, WIDTH, 0},
    {"ffn_down", offsetof(struct engine_layer, down), WIDTH, FF, 0},
};
enum { LAYER_MATRICES = sizeof layer_matrices / sizeof *layer_matrices };

/* By enum engine_norm. */
static const struct layer_norm {
    const char *name;
    enum size size;
} layer_norms[ENGINE_NORMS] = {{"attn_norm", WIDTH}, {"ffn_norm", WIDTH}, {"post_attention_norm", WIDTH},
                               {"post_ffw_norm", WIDTH}, {"attn_q_norm", HEAD}, {"attn_k_norm", HEAD}};

int engine_model_norm_size(const struct engine_model *m, int i)
{
    const int there = i >= ENGINE_NORM_Q ? m->architecture->head_norms : i >= ENGINE_NORM_POST_ATTENTION ? m->architecture->post_norms : 1;
    return there ? size_of(m, layer_norms[i].size) : 0;
}

static int bias_size(const struct engine_model *m, int i)
{
    return m->architecture->biases ? size_of(m, layer_matrices[i].rows) : 0;
}

/* Numbers of all norms and biases of a layer. */
static size_t vector_sizes(const struct engine_model *m)
{
    size_t all = 0;
    for (int j = 0; j < ENGINE_NORMS; j++)
        all += (size_t)engine_model_norm_size(m, j);
    for (int j = 0; j < ENGINE_BIASES; j++)
        all += (size_t)bias_size(m, j);
    return all;
}

struct kernel_matrix *engine_layer_matrix(struct engine_layer *layer, enum engine_target target)
{
    return (struct kernel_matrix *)(void *)((char *)layer + layer_matrices[target].offset);
}

/* A tensor with rows == 0 is a vector. */
static int read_tensor(struct reader *r, struct engine_model *m, const char *name, int rows, int cols,
                       const struct engine_tensor **out)
{
    const struct engine_tensor *t = engine_file_tensor(r->file, name);
    if (!t)
        return error_set(r->e, ERROR_INPUT,
                         "%s: tensor %s: missing; an architecture \"%s\" with these metadata needs it", r->path, name,
                         r->architecture);
    int64_t expected_rows = rows ? rows : 1;
    if (t->size[0] != cols || t->size[1] != expected_rows || t->size[2] != 1 || t->size[3] != 1)
        return error_set(r->e, ERROR_INPUT,
                         "%s: tensor %s: shape %lld x %lld x %lld x %lld; expected %d x %lld by the metadata", r->path,
                         name, (long long)t->size[0], (long long)t->size[1], (long long)t->size[2],
                         (long long)t->size[3], cols, (long long)expected_rows);
    if (!rows && t->type != KERNEL_F32)
        return error_set(r->e, ERROR_INPUT, "%s: tensor %s: type %s; expected F32 for what is no matrix", r->path,
                         name, kernel_format(t->type)->name);
    if (cols % kernel_format(t->type)->block)
        return error_set(r->e, ERROR_INPUT, "%s: tensor %s: rows of %d; expected a multiple of the %d of a %s block",
                         r->path, name, cols, kernel_format(t->type)->block, kernel_format(t->type)->name);
    m->tensors_by_type[t->type]++;
    m->bytes_by_type[t->type] += (int64_t)t->bytes;
    m->parameters += (int64_t)cols * expected_rows;
    r->used++;
    *out = t;
    return OK;
}

static int read_matrix(struct reader *r, struct engine_model *m, const char *name, int rows, int cols,
                       struct kernel_matrix *out)
{
    const struct engine_tensor *t;
    int code = read_tensor(r, m, name, rows, cols, &t);
    if (!code)
        *out = (struct kernel_matrix){.type = t->type, .rows = rows, .cols = cols, .data = t->nf4 ? NULL : t->data, .nf4 = t->nf4};
    return code;
}

static int read_vector(struct reader *r, struct engine_model *m, const char *name, int size, float *out)
{
    const struct engine_tensor *t;
    int code = read_tensor(r, m, name, 0, size, &t);
    if (code)
        return code;
    memcpy(out, t->data, (size_t)size * sizeof *out);
    for (int i = 0; i < size; i++)
        if (!isfinite(out[i]))
            return error_set(r->e, ERROR_INPUT, "%s: tensor %s: number %d is NaN or infinite: the file is damaged, or its training failed",
                             r->path, name, i);
    return OK;
}

/* Its norms and biases, one after the other. */
static int read_layer_vectors(struct reader *r, struct engine_model *m, int i)
{
    struct engine_layer *layer = &m->layers[i];
    float *to = m->vectors + (size_t)i * vector_sizes(m);
    char name[64];
    int code = OK;
    for (int j = 0; j < ENGINE_NORMS + ENGINE_BIASES && !code; j++) {
        const int bias = j - ENGINE_NORMS, size = bias < 0 ? engine_model_norm_size(m, j) : bias_size(m, bias);
        if (!size)
            continue;
        snprintf(name, sizeof name, bias < 0 ? "blk.%d.%s.weight" : "blk.%d.%s.bias", i, bias < 0 ? layer_norms[j].name : layer_matrices[bias].name);
        code = read_vector(r, m, name, size, to);
        *(bias < 0 ? &layer->norms[j] : &layer->biases[bias]) = to;
        to += size;
    }
    return code;
}

static int read_layer_matrices(struct reader *r, struct engine_model *m, int i)
{
    struct engine_layer *layer = &m->layers[i];
    char name[64];
    int code = OK;
    for (int j = 0; j < LAYER_MATRICES && !code; j++) {
        snprintf(name, sizeof name, "blk.%d.%s.weight", i, layer_matrices[j].name);
        code = read_matrix(r, m, name, size_of(m, layer_matrices[j].rows), size_of(m, layer_matrices[j].cols),
                           engine_layer_matrix(layer, (enum engine_target)j));
        engine_layer_matrix(layer, (enum engine_target)j)->fine = layer_matrices[j].fine;
    }
    layer->window = m->windowed[i] ? m->window : 0;
    return code;
}

static int read_divisors(struct reader *r, struct engine_model *m, float *divisors)
{
    int code = read_vector(r, m, "rope_freqs.weight", m->head_dim / 2, divisors);
    for (int i = 0; i < m->head_dim / 2 && !code; i++)
        if (!(divisors[i] > 0 && divisors[i] <= 1e6f))
            return error_set(r->e, ERROR_INPUT, "%s: tensor rope_freqs.weight: number %d is %g; expected more than 0, up to 1e+06", r->path, i,
                             (double)divisors[i]);
    m->rope.divisors = m->window_rope.divisors = divisors;
    return code;
}

static int no_memory(struct reader *r, const struct engine_model *m)
{
    return error_set(r->e, ERROR_ENGINE, "%s: not enough memory for %d layers of width %d", r->path, m->layers_count, m->width);
}

static int read_tensors(struct reader *r, struct engine_model *m, int tokens)
{
    const struct engine_tensor *embedding = engine_file_tensor(r->file, "token_embd.weight");
    if (embedding && embedding->size[1] != tokens)
        return error_set(r->e, ERROR_INPUT,
                         "%s: tensor token_embd.weight: %lld rows; expected %d, one for each token of the tokenizer",
                         r->path, (long long)embedding->size[1], tokens);
    m->vocabulary = tokens;
    m->layers = input_alloc((size_t)m->layers_count, sizeof *m->layers);
    if (!m->layers)
        return no_memory(r, m);
    int code = read_matrix(r, m, "token_embd.weight", tokens, m->width, &m->embedding);
    for (int i = 0; i < m->layers_count && !code; i++)
        code = read_layer_matrices(r, m, i);
    if (code)
        return code;
    /* Only now, when matrices of these sizes are there: what the metadata say alone could be any number. */
    m->vectors = input_alloc((size_t)m->layers_count * vector_sizes(m) + (size_t)m->width + (size_t)m->head_dim / 2, sizeof *m->vectors);
    if (!m->vectors)
        return no_memory(r, m);
    for (int i = 0; i < m->layers_count && !code; i++)
        code = read_layer_vectors(r, m, i);
    float *output_norm = m->vectors + (size_t)m->layers_count * vector_sizes(m), *divisors = output_norm + m->width;
    m->output_norm = output_norm;
    if (!code)
        code = read_vector(r, m, "output_norm.weight", m->width, output_norm);
    if (!code && m->architecture->rope_divisors && engine_file_tensor(r->file, "rope_freqs.weight"))
        code = read_divisors(r, m, divisors);
    m->tied = !engine_file_tensor(r->file, "output.weight");
    m->head = m->embedding;
    if (!code && !m->tied)
        code = read_matrix(r, m, "output.weight", tokens, m->width, &m->head);
    return code;
}

/* NAME of "NAME.weight" or "NAME.bias", of a layer. */
static int known_in_layer(const struct engine_model *m, const char *rest)
{
    char name[64];
    for (int j = 0; j < LAYER_MATRICES + ENGINE_NORMS + ENGINE_BIASES; j++) {
        const int norm = j - LAYER_MATRICES, bias = norm - ENGINE_NORMS;
        if (norm < 0)
            snprintf(name, sizeof name, "%s.weight", layer_matrices[j].name);
        else if (bias < 0)
            snprintf(name, sizeof name, "%s.weight", engine_model_norm_size(m, norm) ? layer_norms[norm].name : "");
        else
            snprintf(name, sizeof name, "%s.bias", bias_size(m, bias) ? layer_matrices[bias].name : "");
        if (!strcmp(rest, name))
            return 1;
    }
    return 0;
}

/* A tensor that was not asked for would have changed the result: a bias, a frequency of RoPE, an expert. */
static int refuse_unused(struct reader *r, const struct engine_model *m)
{
    for (int i = 0; i < engine_file_tensor_count(r->file) && engine_file_tensor_count(r->file) > r->used; i++) {
        struct engine_text name = engine_file_tensor_at(r->file, i)->name;
        char copy[64], rest[64];
        int layer, known = 0;
        snprintf(copy, sizeof copy, "%.*s", (int)(name.length < 63 ? name.length : 63), name.bytes);
        if (sscanf(copy, "blk.%d.%63s", &layer, rest) == 2 && layer >= 0 && layer < m->layers_count)
            known = known_in_layer(m, rest);
        known |= !strcmp(copy, "rope_freqs.weight") && m->architecture->rope_divisors;
        if (!known && strcmp(copy, "token_embd.weight") && strcmp(copy, "output_norm.weight") &&
            strcmp(copy, "output.weight"))
            return error_set(
                r->e, ERROR_INPUT,
                "%s: tensor %s: not one that architecture \"%s\" has here; a model with it is not supported", r->path,
                copy, r->architecture);
    }
    return OK;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

int engine_model_rotations(const struct engine_model *m)
{
    return m->window && m->architecture->window_base > 0 ? 2 : 1;
}

/* Layers with a window have a table of their own where they rotate otherwise. */
static int make_rope(struct reader *r, struct engine_model *m, struct kernel_pool *pool)
{
    const size_t numbers = (size_t)m->context * (size_t)m->head_dim, own = engine_model_rotations(m) > 1 ? numbers : 0;
    m->rotations = input_alloc(numbers + own, sizeof *m->rotations);
    if (!m->rotations)
        return error_set(r->e, ERROR_ENGINE, "not enough memory for %d positions; use a smaller --context", m->context);
    engine_rope_fill(&m->rope, m->head_dim, m->context, pool, m->rotations);
    if (own)
        engine_rope_fill(&m->window_rope, m->head_dim, m->context, pool, m->rotations + own);
    for (int i = 0; i < m->layers_count; i++)
        m->layers[i].rope = m->rotations + (m->layers[i].window ? own : 0);
    return OK;
}

static size_t data_bytes(const struct kernel_matrix *matrix)
{
    const struct kernel_format *format = kernel_format(matrix->type);
    return (size_t)matrix->rows * (size_t)(matrix->cols / format->block) * (size_t)format->bytes;
}

/* All matrices that rows are multiplied by: the head, then those of each layer. */
static int matrix_count(const struct engine_model *m)
{
    return 1 + m->layers_count * LAYER_MATRICES;
}

static struct kernel_matrix *matrix_at(struct engine_model *m, int i)
{
    return i ? engine_layer_matrix(&m->layers[(i - 1) / LAYER_MATRICES], (enum engine_target)((i - 1) % LAYER_MATRICES)) : &m->head;
}

/* As the file has it, for messages. */
static const char *name_at(struct reader *r, const struct engine_model *m, int i)
{
    if (!i)
        return m->tied ? "token_embd.weight" : "output.weight";
    snprintf(r->key, sizeof r->key, "blk.%d.%s.weight", (i - 1) / LAYER_MATRICES, layer_matrices[(i - 1) % LAYER_MATRICES].name);
    return r->key;
}

/* One weight that is no number makes all that comes after it none, and who asked would hear of the search, not of the file. */
static int check_weights(struct reader *r, const struct kernel_matrix *matrix, const char *name, struct kernel_pool *pool)
{
    const struct kernel_format *format = kernel_format(matrix->type);
    struct kernel_flaw flaw;
    if (!kernel_matrix_flaw(matrix, pool, &flaw))
        return OK;
    return error_set(r->e, ERROR_INPUT, "%s: tensor %s: row %d, %s %d: %s %s: the file is damaged, or its training failed; get it anew", r->path,
                     name, flaw.row, format->block > 1 ? "block" : "column", flaw.block, format->block > 1 ? "a scale is" : "the weight is",
                     flaw.is_nan ? "NaN" : "infinite");
}

/* Without a pool it is only counted. A tied head leaves the embedding's data where rows are looked up. */
static int quantize_matrix(struct reader *r, struct engine_model *m, int i, struct kernel_pool *pool)
{
    struct kernel_matrix *matrix = matrix_at(m, i);
    const enum kernel_type was = matrix->type;
    const void *data = matrix->data;
    const size_t data_was = data_bytes(matrix);
    if (was == KERNEL_NF4) /* as it was published: quantized before, and not again */
        return OK;
    if (matrix->cols % kernel_format(KERNEL_NF4)->block) {
        m->kept++;
        return OK;
    }
    int code = OK;
    size_t bytes = kernel_nf4_bytes(matrix);
    if (pool)
        code = kernel_matrix_to_nf4(matrix, pool, r->e);
    else
        matrix->type = KERNEL_NF4;
    if (code == ERROR_INPUT) /* it says that there is one; here is where */
        return check_weights(r, matrix, name_at(r, m, i), pool);
    if (code)
        return code;
    m->quantized++;
    m->tensors_by_type[KERNEL_NF4]++;
    m->bytes_by_type[KERNEL_NF4] += (int64_t)bytes;
    if (matrix != &m->head || !m->tied) {
        m->tensors_by_type[was]--;
        m->bytes_by_type[was] -= (int64_t)data_was;
    }
    if (pool)
        engine_file_release(r->file, data, data_was);
    return OK;
}

static int quantize(struct reader *r, struct engine_model *m, enum engine_quant quant, struct kernel_pool *pool)
{
    int code = OK;
    for (int i = 1; i < matrix_count(m) && !code && quant >= ENGINE_QUANT_NF4; i++)
        code = quantize_matrix(r, m, i, pool);
    if (!code && quant >= ENGINE_QUANT_NF4_HEAD)
        code = quantize_matrix(r, m, 0, pool);
    return code;
}

/* How the set will use each matrix. Returns the bytes that the packed ones take side by side. */
static size_t count_weights(struct engine_model *m, const struct kernel_set *set)
{
    size_t all = 0;
    m->packed_bytes = 0;
    m->in_place_bytes = data_bytes(&m->embedding);
    for (int i = 0; i < matrix_count(m); i++) {
        const struct kernel_matrix *matrix = matrix_at(m, i);
        size_t bytes = set->packed_bytes ? set->packed_bytes(matrix) : 0;
        m->packed_bytes += bytes;
        all += (bytes + 63) & ~(size_t)63;
        if (!bytes && matrix->data != m->embedding.data)
            m->in_place_bytes += data_bytes(matrix);
    }
    return all;
}

/* In *at of the memory for all of them. What the file has of it is read once; a tied head's rows come back as they are looked up. */
static int pack(struct reader *r, struct engine_model *m, int i, const struct kernel_set *set, struct kernel_pool *pool, size_t *at)
{
    struct kernel_matrix *matrix = matrix_at(m, i);
    const size_t bytes = set->packed_bytes ? set->packed_bytes(matrix) : 0;
    if (bytes) {
        matrix->packed = (unsigned char *)m->memory + *at;
        matrix->lent = 1;
        *at += (bytes + 63) & ~(size_t)63;
    }
    int code = set->pack(matrix, pool, r->e);
    if (code == ERROR_INPUT && !(code = check_weights(r, matrix, name_at(r, m, i), pool))) /* it says that there is one; here is where */
        return error_set(r->e, ERROR_INPUT, "%s: tensor %s: a scale of more than 65504, which kernels \"%s\" do not hold; use --kernels reference",
                         r->path, name_at(r, m, i), set->name);
    if (matrix->packed)
        engine_file_release(r->file, matrix->nf4 ? matrix->nf4->codes : matrix->data, data_bytes(matrix));
    if (matrix->packed && matrix->type == KERNEL_NF4)
        kernel_matrix_drop_nf4(matrix);
    return code;
}

/* One piece of memory for all packed weights, so that it can be of large pages: most matrices are smaller than one. */
static int pack_all(struct reader *r, struct engine_model *m, const struct kernel_set *set, struct kernel_pool *pool)
{
    const size_t all = count_weights(m, set);
    size_t at = 0;
    int code = OK;
    if (all && !(m->memory = large_alloc(all)))
        return error_set(r->e, ERROR_ENGINE, "not enough memory for %zu MiB of weights; use a smaller model",
                         all >> 20);
    for (int i = 0; i < matrix_count(m) && !code; i++)
        code = pack(r, m, i, set, pool, &at);
    return code;
}

int engine_model_check(struct engine_model *m, const struct engine_file *file, struct kernel_pool *pool, struct error *e)
{
    struct reader r = {.file = file, .path = engine_file_path(file), .e = e};
    int code = check_weights(&r, &m->embedding, "token_embd.weight", pool);
    for (int i = m->tied; i < matrix_count(m) && !code; i++)
        if (!matrix_at(m, i)->packed)
            code = check_weights(&r, matrix_at(m, i), name_at(&r, m, i), pool);
    return code;
}

int engine_model_shape(struct engine_model *m, const struct engine_file *file, int context, struct error *e)
{
    struct reader r = {.file = file, .path = engine_file_path(file), .e = e};
    *m = (struct engine_model){0};
    int code = read_architecture(&r, &m->architecture);
    return code ? code : read_shape(&r, m, context);
}

static int read_model(struct reader *r, struct engine_model *m, int tokens, int context)
{
    int code;
    if ((code = read_architecture(r, &m->architecture)) || (code = read_shape(r, m, context)) ||
        (code = read_tensors(r, m, tokens)))
        return code;
    return refuse_unused(r, m);
}

int engine_model_open(struct engine_model **out, const struct engine_file *file, int tokens, int context,
                      enum engine_quant quant, const struct kernel_set *set, struct kernel_pool *pool, struct error *e)
{
    struct engine_model *m = xcalloc(1, sizeof *m);
    struct reader r = {.file = file, .path = engine_file_path(file), .e = e};
    int code;
    if ((code = read_model(&r, m, tokens, context)) || (code = make_rope(&r, m, pool)) || (code = quantize(&r, m, quant, pool)) ||
        (code = set ? pack_all(&r, m, set, pool) : engine_model_check(m, file, pool, e))) {
        engine_model_close(m);
        return code;
    }
    *out = m;
    return OK;
}

int engine_model_describe(struct engine_model **out, const struct engine_file *file, int tokens, int context,
                          enum engine_quant quant, const struct kernel_set *set, struct error *e)
{
    struct engine_model *m = xcalloc(1, sizeof *m);
    struct reader r = {.file = file, .path = engine_file_path(file), .e = e};
    int code = read_model(&r, m, tokens, context);
    if (!code)
        code = quantize(&r, m, quant, NULL);
    if (code) {
        engine_model_close(m);
        return code;
    }
    count_weights(m, set);
    *out = m;
    return OK;
}

void engine_model_close(struct engine_model *m)
{
    if (!m)
        return;
    for (int i = 0; m->layers && i < matrix_count(m); i++)
        kernel_matrix_free(matrix_at(m, i));
    free(m->memory);
    free(m->layers);
    free(m->vectors);
    free(m->rotations);
    free(m);
}

int engine_model_turned(const struct engine_model *m)
{
    return m->architecture && m->neox != m->architecture->neox;
}

int engine_model_row_of(const struct engine_model *m, int i)
{
    const int half = m->head_dim / 2, in_head = i % m->head_dim;
    return i - in_head + in_head / 2 + in_head % 2 * half;
}

const char *engine_model_matrix_name(int i)
{
    return layer_matrices[i].name;
}

const char *engine_model_norm_name(int i)
{
    return layer_norms[i].name;
}

const struct kernel_matrix *engine_model_matrix(const struct engine_model *m, int layer, int i)
{
    return engine_layer_matrix((struct engine_layer *)(uintptr_t)&m->layers[layer], (enum engine_target)i);
}

void engine_model_embed(const struct engine_model *m, int id, float *out)
{
    const struct kernel_format *format = kernel_format(m->embedding.type);
    size_t row_bytes = (size_t)(m->width / format->block) * (size_t)format->bytes;
    format->dequantize((const char *)m->embedding.data + (size_t)id * row_bytes, out, m->width);
}
