#include "engine/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Invariants: tensors point into shards, or to what is owned; names and owned are freed with the folder. */
struct engine_folder {
    char *path;
    struct string keys;
    struct engine_safetensors **shards;
    int shard_count, shard_capacity;
    struct engine_tensor *tensors;
    int count, capacity;
    void **owned; /* names of tensors, and numbers that had to be made */
    int owned_count, owned_capacity;
};

struct reader {
    struct engine_folder *f;
    struct engine_folder_texts texts;
    struct engine_folder_shape shape;
    struct engine_new_keys keys;
    json_t *index; /* of shards, or NULL */
    int left_out;  /* tensors */
    struct error *e;
};

static void *own(struct engine_folder *f, void *memory)
{
    ARRAY_RESERVE(f->owned, f->owned_count, f->owned_capacity);
    f->owned[f->owned_count++] = memory;
    return memory;
}

static char *in_folder(const struct engine_folder *f, const char *name)
{
    const size_t n = strlen(f->path);
    return xasprintf("%s%s%s", f->path, n && f->path[n - 1] == '/' ? "" : "/", name);
}

static int is_there(const struct engine_folder *f, const char *name)
{
    char *path = in_folder(f, name);
    const int there = !access(path, F_OK);
    free(path);
    return there;
}

/* --- texts --------------------------------------------------------------------------------------------------------- */

static int read_json(struct reader *r, const char *name, int needed, json_t **out)
{
    char *path = in_folder(r->f, name);
    int code = OK;
    if (needed || is_there(r->f, name))
        code = engine_json_read(out, path, "a folder as transformers saves a model", r->e);
    free(path);
    return code;
}

static int read_template(struct reader *r)
{
    enum { MOST = 1 << 20 };
    if (!is_there(r->f, "chat_template.jinja"))
        return OK;
    char *path = in_folder(r->f, "chat_template.jinja"), *text = input_alloc(MOST + 1, 1);
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a pipe without a writer must not hang us */
    const int plain = fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode);
    const ssize_t n = plain && text ? read(fd, text, MOST + 1) : -1;
    int code = OK;
    if (n < 0 || n > MOST || memchr(text, 0, (size_t)n))
        code = error_set(r->e, ERROR_INPUT, "%.300s: cannot be read; expected a text of at most %d bytes", path, MOST);
    else
        r->texts.template = xstrndup(text, (size_t)n);
    if (fd >= 0)
        close(fd);
    free(text);
    free(path);
    return code;
}

/* What people hand over in its place. */
static int no_model(struct reader *r)
{
    const char *what = is_there(r->f, "adapter_config.json") ? "it is the folder of a PEFT adapter: give the model with -m and this with --adapter"
                                                              : "name a model's GGUF file, or a folder as transformers saves it";
    return error_set(r->e, ERROR_INPUT, "%.300s: there is no config.json in this folder; %s", r->f->path, what);
}

static int no_tokenizer(struct reader *r)
{
    const char *what = is_there(r->f, "tokenizer.model") || is_there(r->f, "vocab.json")
                           ? "; its tokenizer is in another form: load and save it with transformers' AutoTokenizer" : "; get the folder anew";
    return error_set(r->e, ERROR_INPUT, "%.300s: there is no tokenizer.json in this folder%s", r->f->path, what);
}

static int read_texts(struct reader *r)
{
    int code;
    if (!is_there(r->f, "config.json"))
        return no_model(r);
    r->texts.folder = r->f->path;
    if ((code = read_json(r, "config.json", 1, &r->texts.config)) ||
        (code = read_json(r, "generation_config.json", 0, &r->texts.generation_config)) ||
        (code = read_json(r, "tokenizer_config.json", 0, &r->texts.tokenizer_config)))
        return code;
    return read_template(r);
}

/* --- files with weights -------------------------------------------------------------------------------------------- */

static int no_weights(struct reader *r)
{
    const char *what = is_there(r->f, "pytorch_model.bin") || is_there(r->f, "pytorch_model.bin.index.json")
                           ? "; the weights are in PyTorch's own format: save the model as safetensors" : "; get the folder anew";
    return error_set(r->e, ERROR_INPUT, "%.300s: there is no model.safetensors or model.safetensors.index.json in this folder%s", r->f->path, what);
}

static int open_shard(struct reader *r, const char *name)
{
    struct engine_folder *f = r->f;
    char *path = in_folder(f, name);
    ARRAY_RESERVE(f->shards, f->shard_count, f->shard_capacity);
    int code = engine_safetensors_open(&f->shards[f->shard_count], path, r->e);
    f->shard_count += !code;
    free(path);
    return code;
}

static const char *shard_name(const struct engine_safetensors *shard)
{
    const char *path = engine_safetensors_path(shard), *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int find_shard(const struct engine_folder *f, const char *name)
{
    int i = f->shard_count - 1;
    while (i >= 0 && strcmp(shard_name(f->shards[i]), name))
        i--;
    return i;
}

static int index_error(struct reader *r, const char *tensor, const char *what)
{
    return error_set(r->e, ERROR_INPUT, "%.300s/model.safetensors.index.json: weight_map: %.200s: %s", r->f->path, tensor, what);
}

/* Every file that the index names, each a name and no path: nothing outside the folder is opened. */
static int open_shards(struct reader *r)
{
    enum { SHARDS_MOST = 4096 };
    int code = read_json(r, "model.safetensors.index.json", 1, &r->index);
    const json_t *map = json_object_get(r->index, "weight_map");
    const char *tensor;
    json_t *file;
    if (code)
        return code;
    if (!json_is_object(map))
        return index_error(r, "", "missing; expected the file of each tensor: get the folder anew");
    json_object_foreach((json_t *)(uintptr_t)map, tensor, file)
    {
        const char *name = json_string_value(file);
        if (!name || strchr(name, '/') || *name == '.' || !*name)
            return index_error(r, tensor, "expected the name of a file in the folder; the file is damaged: get it anew");
        if (find_shard(r->f, name) >= 0)
            continue;
        if (r->f->shard_count == SHARDS_MOST)
            return index_error(r, tensor, "names more files than a model has");
        if ((code = open_shard(r, name)))
            return code;
    }
    return OK;
}

/* What the index says is what the files have. */
static int check_index(struct reader *r)
{
    const json_t *map = json_object_get(r->index, "weight_map");
    const char *tensor;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)map, tensor, file)
    {
        const int shard = find_shard(r->f, json_string_value(file));
        if (!engine_safetensors_find(r->f->shards[shard], tensor))
            return index_error(r, tensor, "is not in the file that it is said to be in; get the folder anew");
    }
    for (int i = 0; i < r->f->shard_count; i++)
        for (int j = 0; j < engine_safetensors_count(r->f->shards[i]); j++) {
            const char *name = engine_safetensors_at(r->f->shards[i], j)->name;
            const char *said = json_string_value(json_object_get(map, name));
            if (said && strcmp(said, shard_name(r->f->shards[i])))
                return error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s: is in %.100s as well; get the folder anew",
                                 engine_safetensors_path(r->f->shards[i]), name, said);
        }
    return OK;
}

static int open_weights(struct reader *r)
{
    if (is_there(r->f, "model.safetensors"))
        return open_shard(r, "model.safetensors");
    if (!is_there(r->f, "model.safetensors.index.json"))
        return no_weights(r);
    int code = open_shards(r);
    return code ? code : check_index(r);
}

/* --- tensors ------------------------------------------------------------------------------------------------------- */

static int refuse(struct reader *r, const struct engine_safetensors *shard, const char *name, const char *what)
{
    return error_set(r->e, ERROR_INPUT, "%.300s: tensor %.200s: %s", engine_safetensors_path(shard), name, what);
}

/* A vector, or any tensor of one dimension: F32 and aligned. */
static int take_vector(struct reader *r, const struct engine_safetensors *shard, const struct engine_safetensor *t, struct engine_tensor *out)
{
    const size_t n = strlen("norm.weight"), length = out->name.length;
    float *x = input_alloc(t->count, sizeof *x);
    if (!x)
        return error_set(r->e, ERROR_ENGINE, "%.300s: tensor %.200s: not enough memory", engine_safetensors_path(shard), t->name);
    own(r->f, x);
    const int norm = length >= n && !memcmp(out->name.bytes + length - n, "norm.weight", n);
    int code = engine_safetensors_read(shard, t, x, r->e);
    for (size_t i = 0; i < t->count && r->shape.norms_less_1 && norm && !code; i++)
        x[i] += 1;
    out->type = KERNEL_F32;
    out->data = x;
    out->bytes = t->count * sizeof *x;
    return code;
}

static int take_nf4(struct reader *r, const struct engine_safetensors *shard, const struct engine_safetensor *t, struct engine_tensor *out)
{
    if (engine_tensor_is(out, "token_embd.weight"))
        return refuse(r, shard, t->name, "is bitsandbytes'; expected an embedding in BF16, F16 or F32");
    int code = engine_folder_nf4(&out->nf4, shard, t, &out->size[1], &out->size[0], r->e);
    if (code)
        return code;
    out->type = KERNEL_NF4;
    out->dimensions = 2;
    out->bytes = out->nf4->bytes;
    return OK;
}

static int take_tensor(struct reader *r, const struct engine_safetensors *shard, const struct engine_safetensor *t, struct engine_tensor *out)
{
    static const enum kernel_type types[] = {
        [ENGINE_SAFETENSORS_F32] = KERNEL_F32, [ENGINE_SAFETENSORS_F16] = KERNEL_F16, [ENGINE_SAFETENSORS_BF16] = KERNEL_BF16};
    out->data = t->data;
    if (engine_folder_is_nf4(shard, t))
        return r->shape.nf4 ? take_nf4(r, shard, t, out)
                            : refuse(r, shard, t->name, "is bitsandbytes', and config.json has no quantization_config; get the folder anew");
    if (t->type > ENGINE_SAFETENSORS_BF16)
        return refuse(r, shard, t->name, "of a type that is not read here; expected F32, F16 or BF16, or bitsandbytes' nf4");
    if (!t->count || t->count > INT64_MAX || t->dimensions < 1 || t->dimensions > 2)
        return refuse(r, shard, t->name, "of a shape that no weights have; expected one or two dimensions");
    out->dimensions = t->dimensions;
    if (t->dimensions == 1) {
        out->size[0] = t->size[0];
        return take_vector(r, shard, t, out);
    }
    out->size[0] = t->size[1];
    out->size[1] = t->size[0];
    out->type = types[t->type];
    out->bytes = t->bytes;
    return OK;
}

static struct engine_tensor *new_tensor(struct engine_folder *f, char *name)
{
    ARRAY_RESERVE(f->tensors, f->count, f->capacity);
    own(f, name);
    f->tensors[f->count] = (struct engine_tensor){.name = {name, strlen(name)}, .size = {1, 1, 1, 1}};
    return &f->tensors[f->count++];
}

static int take_named(struct reader *r, const struct engine_safetensors *shard, const struct engine_safetensor *t)
{
    int skip;
    char *name = engine_folder_name(t->name, r->shape.architecture, &skip);
    r->left_out += skip;
    if (skip || engine_folder_is_nf4_part(shard, t) || (name && (!*name || (r->shape.tied && !strcmp(name, "output.weight"))))) {
        free(name);
        return OK;
    }
    if (!name)
        return refuse(r, shard, t->name, "not one that such a model has here; a model with it is not supported");
    return take_tensor(r, shard, t, new_tensor(r->f, name));
}

static const struct engine_tensor *find_tensor(const struct engine_folder *f, const char *name)
{
    int i = f->count - 1;
    while (i >= 0 && !engine_tensor_is(&f->tensors[i], name))
        i--;
    return i >= 0 ? &f->tensors[i] : NULL;
}

static int take_tensors(struct reader *r)
{
    struct engine_folder *f = r->f;
    int code = OK;
    for (int i = 0; i < f->shard_count && !code; i++)
        for (int j = 0; j < engine_safetensors_count(f->shards[i]) && !code; j++)
            code = take_named(r, f->shards[i], engine_safetensors_at(f->shards[i], j));
    if (!code && !r->shape.tied && !find_tensor(f, "output.weight"))
        return error_set(r->e, ERROR_INPUT, "%.300s: there is no tensor lm_head.weight, and config.json does not tie it to the embedding", f->path);
    if (!code && r->shape.rope_factors) {
        struct engine_tensor *t = new_tensor(f, xstrdup("rope_freqs.weight"));
        t->dimensions = 1;
        t->size[0] = r->shape.head_dim / 2;
        t->type = KERNEL_F32;
        t->bytes = (size_t)t->size[0] * sizeof(float);
        t->data = own(f, r->shape.rope_factors);
        r->shape.rope_factors = NULL;
    }
    return code;
}

/* As many tokens as rows: what more there were said to be would only be made up. */
static int check_vocabulary(struct reader *r)
{
    const struct engine_tensor *embedding = find_tensor(r->f, "token_embd.weight");
    if (!embedding)
        return error_set(r->e, ERROR_INPUT, "%.300s: there is no tensor model.embed_tokens.weight; get the folder anew", r->f->path);
    if (embedding->size[1] != r->shape.vocabulary)
        return error_set(r->e, ERROR_INPUT, "%.300s/config.json: vocab_size: %d; the embedding has %lld rows: get the folder anew", r->f->path,
                         r->shape.vocabulary, (long long)embedding->size[1]);
    return OK;
}

/* --- all of it ----------------------------------------------------------------------------------------------------- */

/* Of the folder, whatever way it was named. */
static void put_name(struct reader *r)
{
    char *real = realpath(r->f->path, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    engine_keys_text(&r->keys, "general.name", slash && slash[1] ? slash + 1 : r->f->path);
    free(real);
}

static int read_folder(struct reader *r)
{
    char *config = in_folder(r->f, "config.json");
    int code = read_texts(r);
    if (!code)
        code = engine_folder_config(r->texts.config, config, &r->keys, &r->shape, r->e);
    put_name(r);
    free(config);
    if (code || (code = open_weights(r)) || (code = take_tensors(r)) || (code = check_vocabulary(r)))
        return code;
    if (!is_there(r->f, "tokenizer.json"))
        return no_tokenizer(r);
    if ((code = read_json(r, "tokenizer.json", 1, &r->texts.tokenizer)))
        return code;
    if (r->left_out)
        engine_keys_u32(&r->keys, "espalier.left_out", (uint32_t)r->left_out);
    return engine_folder_tokens(&r->texts, r->shape.vocabulary, &r->keys, r->e);
}

int engine_folder_open(struct engine_folder **out, const char *path, struct error *e)
{
    struct reader r = {.f = xcalloc(1, sizeof *r.f), .e = e};
    r.f->path = xstrdup(path);
    int code = read_folder(&r);
    engine_keys_head(&r.keys, &r.f->keys);
    engine_keys_free(&r.keys);
    json_decref(r.texts.config);
    json_decref(r.texts.generation_config);
    json_decref(r.texts.tokenizer_config);
    json_decref(r.texts.tokenizer);
    json_decref(r.index);
    free(r.texts.template);
    free(r.shape.rope_factors);
    if (code)
        engine_folder_close(r.f);
    *out = code ? NULL : r.f;
    return code;
}

void engine_folder_close(struct engine_folder *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->count; i++)
        engine_folder_nf4_free(f->tensors[i].nf4);
    for (int i = 0; i < f->shard_count; i++)
        engine_safetensors_close(f->shards[i]);
    for (int i = 0; i < f->owned_count; i++)
        free(f->owned[i]);
    string_free(&f->keys);
    free(f->owned);
    free(f->shards);
    free(f->tensors);
    free(f->path);
    free(f);
}

const struct string *engine_folder_keys(const struct engine_folder *f)
{
    return &f->keys;
}

const struct engine_tensor *engine_folder_tensors(const struct engine_folder *f, int *count)
{
    *count = f->count;
    return f->tensors;
}

size_t engine_folder_bytes(const struct engine_folder *f)
{
    size_t all = 0;
    for (int i = 0; i < f->shard_count; i++)
        all += engine_safetensors_bytes(f->shards[i]);
    return all;
}

uint64_t engine_folder_sum(const struct engine_folder *f)
{
    uint64_t all = 0;
    for (int i = 0; i < f->shard_count; i++)
        all = random_stream(all, engine_safetensors_sum(f->shards[i]), (uint64_t)i);
    return all;
}

int engine_folder_maps(const struct engine_folder *f, const void *data)
{
    for (int i = 0; i < f->shard_count; i++)
        if (engine_safetensors_maps(f->shards[i], data))
            return 1;
    return 0;
}
