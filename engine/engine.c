#include "engine/grammar.h"
#include "engine/state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 32, MAX_BATCH = 1024, MAX_THREADS = 256 };

/* --- opening ----------------------------------------------------------------------------------------------------- */

static int check_options(const struct engine_options *o, struct error *e)
{
    if (!o->model)
        return error_set(e, ERROR_USAGE, "no model given; expected the path of a GGUF file, or of a model's folder");
    if (o->quant && !engine_quant_of(o->quant))
        return error_set(e, ERROR_USAGE, "--quant %s: expected nf4 or nf4+head, or leave it out for the file's own weights",
                         o->quant);
    if (o->kv_type && strcmp(o->kv_type, "f16") && strcmp(o->kv_type, "q8"))
        return error_set(e, ERROR_USAGE, "--kv-type %s: expected f16 or q8", o->kv_type);
    if (o->threads < 0 || o->threads > MAX_THREADS)
        return error_set(e, ERROR_USAGE, "--threads %d: expected 1 to %d, or 0 for all there are", o->threads,
                         MAX_THREADS);
    if (o->batch < 0 || o->batch > MAX_BATCH)
        return error_set(e, ERROR_USAGE, "--batch %d: expected 1 to %d, or 0 for %d", o->batch, MAX_BATCH, BATCH);
    if (o->context < 0)
        return error_set(e, ERROR_USAGE, "--context %d: expected at least 1, or 0 for the model's own", o->context);
    return OK;
}

static int threads_of(const struct engine_options *o)
{
    const int all = kernel_pool_processors();
    return o->threads ? o->threads : all < MAX_THREADS ? all : MAX_THREADS;
}

static size_t default_kv_memory(void)
{
    size_t most = (size_t)1 << 30;
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t quarter = pages > 0 && page > 0 ? (size_t)pages / 4 * (size_t)page : most;
    return quarter < most ? quarter : most;
}

static char *display_name(const struct engine *engine)
{
    struct engine_text text;
    struct string name = {0};
    if (engine_file_text(engine->file, "general.name", &text) && text.length) {
        utf8_sanitize(&name, text.bytes, text.length, 0);
    } else {
        const char *slash = strrchr(engine->path, '/');
        const char *base = slash ? slash + 1 : engine->path;
        utf8_sanitize(&name, base, strlen(base), 0);
    }
    char *copy = xstrdup(string_text(&name));
    string_free(&name);
    return copy;
}

/* A text of the file's own, sanitised; "" where there is none. */
static char *own_text(const struct engine *engine, const char *key)
{
    struct engine_text text;
    struct string clean = {0};
    if (engine_file_text(engine->file, key, &text))
        utf8_sanitize(&clean, text.bytes, text.length, 0);
    char *copy = xstrdup(string_text(&clean));
    string_free(&clean);
    return copy;
}

static void describe_file(struct engine *engine)
{
    struct engine_info *info = &engine->info;
    const struct engine_vocabulary *v = engine->vocabulary;
    engine->name = display_name(engine);
    engine->prompts = own_text(engine, "espalier.prompts");
    info->path = engine->path;
    info->name = engine->name;
    info->prompts = engine->prompts;
    info->tokenizer = engine_vocabulary_about(v);
    info->chat_template = engine_vocabulary_template(v);
    info->vocabulary = engine_vocabulary_count(v);
    info->begin_token = engine_vocabulary_begin(v);
    info->end_token = engine_vocabulary_end(v);
    info->begins = engine_vocabulary_begins(v);
    info->turn_end_token = engine_vocabulary_turn_end(v);
    info->file_bytes = engine_file_bytes(engine->file);
    int64_t left_out = 0;
    engine_file_integer(engine->file, "espalier.left_out", &left_out);
    info->left_out = (int)left_out;
    info->format = engine_file_is_folder(engine->file) ? "folder" : "GGUF";
    info->architecture = "";
    info->rope_scaling = "";
    info->kernels = "";
    info->quant = "";
}

static void describe_shape(struct engine *engine, const struct engine_model *m)
{
    struct engine_info *info = &engine->info;
    info->architecture = m->architecture->name;
    info->layers = m->layers_count;
    info->width = m->width;
    info->heads = m->heads;
    info->kv_heads = m->kv_heads;
    info->head_dim = m->head_dim;
    info->ff_width = m->ff_width;
    info->context_trained = m->context_trained;
    info->context = m->context;
    info->rope_base = m->rope.base;
    info->rope_scaling = m->rope.divisors ? "of each frequency" : engine_rope_scalings[m->rope.scaling];
    info->rope_factor = m->rope.factor;
    info->window = m->window;
    info->window_rope_base = m->window ? m->window_rope.base : 0;
    for (int i = 0; i < m->layers_count && m->window; i++)
        info->window_layers += m->windowed[i];
    info->norm_epsilon = m->norm_epsilon;
}

static void describe_model(struct engine *engine)
{
    struct engine_info *info = &engine->info;
    const struct engine_model *m = engine->model;
    describe_shape(engine, m);
    info->kernels = engine->set->name;
    info->tied = m->tied;
    info->quantized = m->quantized;
    info->kept = m->kept;
    info->parameters = m->parameters;
    info->packed_bytes = m->packed_bytes;
    info->kv_type = kernel_format(engine->cache)->name;
    info->in_place_bytes = m->in_place_bytes;
    info->scratch_bytes = engine_forward_scratch_bytes(m, engine->set, ENGINE_PROMPT_ROWS + info->batch, ENGINE_LOGITS) +
                          engine_schedule_scratch_bytes(engine) +
                          (size_t)engine_model_rotations(m) * (size_t)m->context * (size_t)m->head_dim * sizeof *m->rotations;
    info->kv_bytes_per_token = engine_forward_block_bytes(m, engine->set, engine->cache) / KERNEL_CELLS;
    info->threads = kernel_pool_threads(engine->pool);
    memcpy(info->tensors_by_type, m->tensors_by_type, sizeof info->tensors_by_type);
    memcpy(info->bytes_by_type, m->bytes_by_type, sizeof info->bytes_by_type);
    for (int t = 0; t < KERNEL_TYPES && engine->set->laid_out; t++)
        info->laid_out[t] = engine->set->laid_out((enum kernel_type)t);
}

/* The tokens of a model that we cannot run can be had all the same: its shape is told where it is known. */
static int open_vocabulary(struct engine *engine, const struct engine_options *o)
{
    struct engine_model shape;
    struct error ignored;
    if (!engine_model_shape(&shape, engine->file, o->context, &ignored))
        describe_shape(engine, &shape);
    return OK;
}

/* What keys and values are kept in: as asked, or as the set has it. From the shape alone, before weights are laid out. */
static int choose_cache(struct engine *engine, const struct engine_options *o, struct error *e)
{
    const char *asked = o->kv_type;
    struct engine_model m;
    int code = engine_model_shape(&m, engine->file, o->context, e);
    if (code)
        return code;
    engine->cache = !asked ? engine->set->cache : strcmp(asked, "q8") ? KERNEL_F16 : KERNEL_Q8_0;
    if (engine->set->cache_bytes(engine->cache, m.kv_heads, m.head_dim))
        return OK;
    if (!engine->set->cache_bytes(engine->cache, 1, 32))
        return error_set(e, ERROR_USAGE, "--kv-type %s: the kernels %s keep keys and values in %s only; leave it out", asked,
                         engine->set->name, kernel_format(engine->set->cache)->name);
    return error_set(e, ERROR_INPUT, "--kv-type %s: %s has heads of width %d; expected a multiple of 32; leave it out", asked,
                     engine->path, m.head_dim);
}

static int open_model(struct engine *engine, const struct engine_options *o, struct error *e)
{
    struct engine_info *info = &engine->info;
    int code = kernel_set_find(o->kernels ? o->kernels : "auto", &engine->set, e);
    if (!code)
        code = choose_cache(engine, o, e);
    if (code)
        return code;
    engine->pool = kernel_pool_create(threads_of(o));
    const enum engine_quant quant = engine_quant_of(o->quant);
    code = o->describe ? engine_model_describe(&engine->model, engine->file, info->vocabulary, o->context, quant, engine->set, e)
                       : engine_model_open(&engine->model, engine->file, info->vocabulary, o->context, quant, engine->set,
                                           engine->pool, e);
    if (code)
        return code;
    info->quant = engine_quants[quant];
    info->batch = o->batch ? o->batch : BATCH;
    info->kv_memory = o->kv_memory ? o->kv_memory : default_kv_memory();
    describe_model(engine);
    size_t block_bytes = engine_forward_block_bytes(engine->model, engine->set, engine->cache);
    if (info->kv_memory < block_bytes)
        return error_set(e, ERROR_USAGE,
                         "--kv-memory: %zu bytes; expected at least %zu, what %d tokens of this model take",
                         info->kv_memory, block_bytes, KERNEL_CELLS);
    if (o->describe)
        return OK;
    code = engine_forward_create(&engine->forward, engine->model, engine->set, engine->cache, engine->pool,
                                 ENGINE_PROMPT_ROWS + info->batch, ENGINE_LOGITS, e);
    if (code)
        return code;
    engine->kv = engine_kv_create(block_bytes, info->kv_memory);
    engine->mixes = engine_mixes_create(engine->model);
    engine->schedule = engine_schedule_create(engine);
    return OK;
}

int engine_open(struct engine **out, const struct engine_options *options, struct error *e)
{
    int code = check_options(options, e);
    if (code)
        return code;
    struct engine *engine = xcalloc(1, sizeof *engine);
    engine->path = xstrdup(options->model);
    if ((code = engine_file_open(&engine->file, options->model, e)) == OK &&
        (code = engine_vocabulary_create(&engine->vocabulary, engine->file, e)) == OK) {
        describe_file(engine);
        engine->trie = engine_trie_hold(engine->vocabulary);
        code = options->vocabulary_only ? open_vocabulary(engine, options) : open_model(engine, options, e);
    }
    if (code) {
        engine_close(engine);
        return code;
    }
    *out = engine;
    return OK;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    engine_schedule_free(engine->schedule);
    engine_mixes_free(engine->mixes);
    engine_kv_free(engine->kv);
    engine_forward_free(engine->forward);
    engine_model_close(engine->model);
    if (engine->pool)
        kernel_pool_free(engine->pool);
    engine_trie_free(engine->trie);
    if (engine->vocabulary)
        engine_vocabulary_free(engine->vocabulary);
    if (engine->file)
        engine_file_close(engine->file);
    free(engine->path);
    free(engine->name);
    free(engine->prompts);
    free(engine);
}

const struct engine_info *engine_info(const struct engine *engine)
{
    return &engine->info;
}

/* --- figures ----------------------------------------------------------------------------------------------------- */

/* Keys that tokens see after `past` others, each at most `window`: 1 + past, 2 + past, ... */
static double attended(int64_t past, int64_t tokens, int64_t window)
{
    int64_t growing = window - past < tokens ? window - past : tokens;
    growing = growing > 0 ? growing : 0;
    return (double)growing * (double)past + 0.5 * (double)growing * ((double)growing + 1) + (double)(tokens - growing) * (double)window;
}

double engine_flops(const struct engine *engine, int64_t past, int64_t tokens, int64_t logits)
{
    const struct engine_info *i = &engine->info;
    double width = i->width, heads = (double)i->heads * i->head_dim, kv = (double)i->kv_heads * i->head_dim;
    double layer = 2 * width * heads + 2 * width * kv + 3 * width * i->ff_width;
    double keys = (i->layers - i->window_layers) * attended(past, tokens, INT64_MAX) + i->window_layers * attended(past, tokens, i->window);
    return 2 * i->layers * layer * (double)tokens + 4 * heads * keys + 2 * width * i->vocabulary * (double)logits;
}

void engine_limits(struct engine *engine, struct kernel_limits *out)
{
    size_t packed = engine->info.packed_bytes; /* 0 where a set takes the weights as they are in the file */
    kernel_limits_measure(engine->set, engine->pool, packed ? packed : engine->info.file_bytes, out);
}

/* --- tokens ------------------------------------------------------------------------------------------------------ */

void engine_tokenize(const struct engine *engine, const char *text, size_t n, int how, struct engine_tokens *out)
{
    engine_vocabulary_tokenize(engine->vocabulary, text, n, how, out);
}

void engine_detokenize(const struct engine *engine, const int *ids, int n, int special, struct string *out)
{
    engine_vocabulary_detokenize(engine->vocabulary, ids, n, special, out);
}

const char *engine_token_text(const struct engine *engine, int id, size_t *bytes)
{
    return engine_vocabulary_text(engine->vocabulary, id, bytes);
}

int engine_token_is_control(const struct engine *engine, int id)
{
    return engine_vocabulary_is_control(engine->vocabulary, id);
}

int engine_token_ends(const struct engine *engine, int id)
{
    return engine_vocabulary_ends(engine->vocabulary, id);
}

void engine_chat(const struct engine *engine, const struct engine_message *messages, int n, int how, struct engine_tokens *out)
{
    engine_vocabulary_chat(engine->vocabulary, messages, n, how, out);
}

/* --- adapters ---------------------------------------------------------------------------------------------------- */

int engine_adapter_open(struct engine *engine, const char *path, int *id, struct error *e)
{
    if (!engine->mixes)
        return error_set(e, ERROR_USAGE, "%s was opened without its weights and takes no adapter", engine->path);
    return engine_mixes_open(engine->mixes, path, id, e);
}

int engine_adapters(const struct engine *engine)
{
    return engine->mixes ? engine_mixes_adapters(engine->mixes) : 0;
}

const struct engine_adapter_about *engine_adapter_about(const struct engine *engine, int id)
{
    return &engine_mixes_adapter(engine->mixes, id)->about;
}

int engine_mix(struct engine *engine, const struct engine_adapter_use *uses, int n, int *mix, struct error *e)
{
    if (!engine->mixes)
        return error_set(e, ERROR_USAGE, "%s was opened without its weights and takes no adapter", engine->path);
    return engine_mixes_mix(engine->mixes, uses, n, engine->kv, mix, e);
}

/* --- grammars ---------------------------------------------------------------------------------------------------- */

int engine_grammar_compile(struct engine_grammar **out, const struct engine *engine, const char *text, struct error *e)
{
    return engine_grammar_create(out, engine_trie_get(engine->trie), text, e);
}
