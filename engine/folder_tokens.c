/* tokenizer.json, with tokenizer_config.json and generation_config.json beside it, as GGUF's keys of a tokenizer.
 *
 * Two kinds of byte pair encoding are known: over bytes in GPT-2's alphabet ("gpt2"), and over characters with a token for each byte that
 * none has ("llama", what SentencePiece makes). The second has scores in GGUF in the place of merges: the earlier a token's first merge, the
 * higher. What no GGUF of llama.cpp's says has keys of our own: that text is normalized (espalier.nfc), how it is cut into words where
 * llama.cpp only comes near to it (espalier.pre), and which tokens take white space around them along (espalier.lstrip, espalier.rstrip).
 */
#include "engine/folder.h"

#include <stdlib.h>
#include <string.h>

/* tokenizer.ggml.token_type */
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5, BYTE = 6 };
#define BLANK "\xe2\x96\x81" /* what stands for a blank in the tokens of "llama" */

struct reader {
    const struct engine_folder_texts *texts;
    char *path; /* of tokenizer.json */
    json_t *model, *vocab, *merges;
    int sentencepiece;
    int count;
    struct engine_text *names; /* [count]; bytes NULL: no token has the id */
    int32_t *types;            /* [count] */
    int32_t *strips[2];        /* [strip_counts]: the tokens that take the white space before, and after them along */
    int strip_counts[2], strip_capacities[2];
    char **made;               /* names that are not in the file */
    int made_count, made_capacity;
    struct engine_new_keys *keys;
    struct error *e;
};

#define FAIL(r, ...) error_set((r)->e, ERROR_INPUT, __VA_ARGS__)

static int is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

/* --- tokens -------------------------------------------------------------------------------------------------------- */

static int is_byte(const char *name)
{
    unsigned byte;
    int end = 0;
    return strlen(name) == 6 && sscanf(name, "<0x%2X>%n", &byte, &end) == 1 && end == 6;
}

static int read_vocab(struct reader *r)
{
    const char *name;
    json_t *value;
    json_object_foreach(r->vocab, name, value)
    {
        int id;
        if (!engine_json_whole(value, &id) || id < 0 || id >= r->count)
            return engine_json_refuse(r->path, r->vocab, name, "an id from 0 to below config.json's vocab_size: get the folder anew", r->e);
        if (r->names[id].bytes)
            return FAIL(r, "%.300s: model.vocab: %.100s and %.100s have both the id %d; the file is damaged: get it anew", r->path,
                        r->names[id].bytes, name, id);
        r->names[id] = (struct engine_text){name, strlen(name)};
        r->types[id] = r->sentencepiece && is_byte(name) ? BYTE : NORMAL;
    }
    return OK;
}

static const char *make_name(struct reader *r, char *name)
{
    ARRAY_RESERVE(r->made, r->made_count, r->made_capacity);
    return r->made[r->made_count++] = name;
}

/* Text is looked through for these before it has blanks replaced, so theirs are blanks. */
static const char *with_blanks(struct reader *r, const char *name)
{
    if (!strstr(name, BLANK))
        return name;
    char *copy = xstrdup(name), *to = copy;
    for (const char *from = name; *from;) {
        const int blank = !strncmp(from, BLANK, strlen(BLANK));
        *to++ = blank ? ' ' : *from;
        from += blank ? strlen(BLANK) : 1;
    }
    *to = 0;
    return make_name(r, copy);
}

/* White space around added tokens, as tokenizers takes it; in SentencePiece's text blanks are none any more where it looks for those that are
 * normalized. */
static int read_strips(struct reader *r, const json_t *token, size_t i, int id)
{
    static const char *const keys[] = {"lstrip", "rstrip"};
    if (json_is_true(json_object_get(token, "single_word")))
        return FAIL(r, "%.300s: added_tokens: number %zu: single_word: true; expected false: tokens that are only words are not supported",
                    r->path, i);
    for (int k = 0; k < 2; k++) {
        if (!json_is_true(json_object_get(token, keys[k])))
            continue;
        if (r->sentencepiece && json_is_true(json_object_get(token, "normalized")))
            return FAIL(r, "%.300s: added_tokens: number %zu: %s: true; expected false: it is not supported where normalized is true as well",
                        r->path, i, keys[k]);
        ARRAY_RESERVE(r->strips[k], r->strip_counts[k], r->strip_capacities[k]);
        r->strips[k][r->strip_counts[k]++] = id;
    }
    return OK;
}

static void put_strips(struct reader *r)
{
    static const char *const keys[] = {"espalier.lstrip", "espalier.rstrip"};
    for (int k = 0; k < 2; k++)
        if (r->strip_counts[k])
            engine_keys_integers(r->keys, keys[k], r->strips[k], r->strip_counts[k]);
}

/* Those beyond the embedding have no row that could be looked up: a model that only reads has them of one that also sees. */
static int read_added(struct reader *r)
{
    const json_t *list = json_object_get(r->texts->tokenizer, "added_tokens"), *token;
    size_t i;
    json_array_foreach(list, i, token)
    {
        const char *name = json_string_value(json_object_get(token, "content"));
        int id;
        if (!name || !*name || !engine_json_whole(json_object_get(token, "id"), &id) || id < 0)
            return FAIL(r, "%.300s: added_tokens: number %zu: expected an id and its content; the file is damaged: get it anew", r->path, i);
        if (id >= r->count)
            continue;
        if (read_strips(r, token, i, id))
            return ERROR_INPUT;
        if (r->names[id].bytes && strcmp(r->names[id].bytes, name))
            return FAIL(r, "%.300s: added_tokens: %.100s has the id %d of %.100s; the file is damaged: get it anew", r->path, name, id,
                        r->names[id].bytes);
        const int special = json_is_true(json_object_get(token, "special"));
        if (!special && r->sentencepiece)
            name = with_blanks(r, name);
        r->names[id] = (struct engine_text){name, strlen(name)};
        r->types[id] = special ? CONTROL : USER_DEFINED;
    }
    return OK;
}

/* Rows of the embedding that no token has. */
static void fill_holes(struct reader *r)
{
    for (int i = 0; i < r->count; i++)
        if (!r->names[i].bytes) {
            const char *name = make_name(r, xasprintf("[PAD%d]", i));
            r->names[i] = (struct engine_text){name, strlen(name)};
            r->types[i] = UNUSED;
        }
}

/* The id of a token by its text; -1. */
static int find(const struct reader *r, const char *name)
{
    const json_t *list = json_object_get(r->texts->tokenizer, "added_tokens"), *token;
    size_t i;
    int id;
    json_array_foreach(list, i, token)
        if (is_text(json_object_get(token, "content"), name) && engine_json_whole(json_object_get(token, "id"), &id) && id < r->count)
            return id;
    return engine_json_whole(json_object_get(r->vocab, name), &id) ? id : -1;
}

/* --- merges -------------------------------------------------------------------------------------------------------- */

/* The two halves of a merge: "a b", or ["a", "b"]. */
static int halves(const struct reader *r, size_t i, struct string *left, struct string *right)
{
    const json_t *merge = json_array_get(r->merges, i);
    const char *a = json_string_value(merge), *b = a ? strchr(a, ' ') : NULL;
    string_clear(left);
    string_clear(right);
    if (b) {
        string_append(left, a, (size_t)(b - a));
        string_add(right, b + 1);
    } else if (json_array_size(merge) == 2 && (a = json_string_value(json_array_get(merge, 0))) &&
               (b = json_string_value(json_array_get(merge, 1)))) {
        string_add(left, a);
        string_add(right, b);
    }
    return left->length && right->length;
}

/* Calls each(argument, number, left, right, id of the two together) for all merges; of tokens that are not there it is an error. */
static int each_merge(struct reader *r,
                      void (*each)(void *argument, size_t i, const struct string *left, const struct string *right, int id), void *argument)
{
    struct string left = {0}, right = {0}, both = {0};
    const size_t n = json_array_size(r->merges);
    int code = OK;
    for (size_t i = 0; i < n && !code; i++) {
        int id;
        if (!halves(r, i, &left, &right)) {
            code = FAIL(r, "%.300s: model.merges: number %zu: expected \"left right\" or [\"left\", \"right\"]; the file is damaged: get it anew",
                        r->path, i);
            continue;
        }
        string_clear(&both);
        string_add(&both, string_text(&left));
        string_add(&both, string_text(&right));
        if (!json_object_get(r->vocab, string_text(&left)) || !json_object_get(r->vocab, string_text(&right)) ||
            !engine_json_whole(json_object_get(r->vocab, string_text(&both)), &id))
            code = FAIL(r, "%.300s: model.merges: number %zu: \"%.60s\" and \"%.60s\" and what they make are not all tokens; the file is damaged: "
                        "get it anew", r->path, i, string_text(&left), string_text(&right));
        else
            each(argument, i, &left, &right, id);
    }
    string_free(&left);
    string_free(&right);
    string_free(&both);
    return code;
}

struct texts {
    struct string bytes;
    struct engine_text *list;
};

static void add_merge(void *argument, size_t i, const struct string *left, const struct string *right, int id)
{
    struct texts *t = argument;
    (void)id;
    t->list[i].length = left->length + 1 + right->length;
    string_append(&t->bytes, string_text(left), left->length);
    string_append(&t->bytes, " ", 1);
    string_append(&t->bytes, string_text(right), right->length);
}

static int put_merges(struct reader *r)
{
    const size_t n = json_array_size(r->merges);
    struct texts t = {.list = xcalloc(n + 1, sizeof *t.list)};
    int code = each_merge(r, add_merge, &t);
    const char *at = string_text(&t.bytes);
    for (size_t i = 0; i < n; i++) {
        t.list[i].bytes = at;
        at += t.list[i].length;
    }
    engine_keys_texts(r->keys, "tokenizer.ggml.merges", t.list, (int)n);
    string_free(&t.bytes);
    free(t.list);
    return code;
}

static void add_score(void *argument, size_t i, const struct string *left, const struct string *right, int id)
{
    float *scores = argument;
    (void)left, (void)right;
    if (scores[id] > 0)
        scores[id] = i ? -(float)i : 0; /* and not -0 */
}

/* Of tokens that no merge makes it is the lowest. */
static int put_scores(struct reader *r)
{
    float *scores = xcalloc((size_t)r->count, sizeof *scores);
    for (int i = 0; i < r->count; i++)
        scores[i] = 1;
    int code = each_merge(r, add_score, scores);
    for (int i = 0; i < r->count; i++)
        scores[i] = scores[i] > 0 ? -(float)json_array_size(r->merges) : scores[i];
    engine_keys_floats(r->keys, "tokenizer.ggml.scores", scores, r->count);
    free(scores);
    return code;
}

/* --- cutting into words -------------------------------------------------------------------------------------------- */

#define LLAMA3(digits) "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define TEKKEN "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}" \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* By the expression and whether a word that is a token stays whole: a row of pretokenizer.c's table, and what llama.cpp calls that or what
 * is nearest. */
static const struct {
    const char *expression;
    int whole_words;
    const char *name, *own;
} expressions[] = {
    {LLAMA3("{1,3}"), 1, "llama-bpe", NULL},
    {LLAMA3("{1,3}"), 0, "dbrx", NULL},
    {LLAMA3(""), 0, "qwen2", NULL},
    {TEKKEN, 1, "tekken", "tekken-exact"},
};

/* Its steps in order, sequences within it gone through; NULL beyond the last. */
static const json_t *step(const json_t *pre, size_t i)
{
    if (!is_text(json_object_get(pre, "type"), "Sequence"))
        return i || json_is_null(pre) ? NULL : pre;
    return json_array_get(json_object_get(pre, "pretokenizers"), i);
}

static int is_byte_level(const json_t *step, int with_expression)
{
    const json_t *uses = json_object_get(step, "use_regex");
    return is_text(json_object_get(step, "type"), "ByteLevel") && json_is_false(json_object_get(step, "add_prefix_space")) &&
           (uses ? json_is_true(uses) : 1) == with_expression;
}

static const char *pretokenizer_name(const struct reader *r, const json_t *pre, const char **own)
{
    const json_t *first = step(pre, 0), *second = step(pre, 1);
    const int whole_words = json_is_true(json_object_get(r->model, "ignore_merges"));
    if (step(pre, 2))
        return NULL;
    if (!second)
        return is_byte_level(first, 1) && !whole_words ? "gpt-2" : NULL;
    if (is_text(json_object_get(first, "type"), "Digits") && json_is_true(json_object_get(first, "individual_digits")))
        return is_byte_level(second, 1) && !whole_words ? "smollm" : NULL;
    const json_t *pattern = json_object_get(json_object_get(first, "pattern"), "Regex");
    if (!is_text(json_object_get(first, "type"), "Split") || !is_text(json_object_get(first, "behavior"), "Isolated") ||
        json_is_true(json_object_get(first, "invert")) || !is_byte_level(second, 0))
        return NULL;
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
        if (is_text(pattern, expressions[i].expression) && expressions[i].whole_words == whole_words) {
            *own = expressions[i].own;
            return expressions[i].name;
        }
    return NULL;
}

/* Text is otherwise taken as it is, or in the form NFC. */
static int put_normalizer(struct reader *r)
{
    const json_t *normalizer = json_object_get(r->texts->tokenizer, "normalizer"), *type = json_object_get(normalizer, "type");
    const int none = is_text(type, "Sequence") && !json_array_size(json_object_get(normalizer, "normalizers"));
    if (!normalizer || json_is_null(normalizer) || none)
        return OK;
    if (is_text(type, "NFC")) {
        engine_keys_boolean(r->keys, "espalier.nfc", 1);
        return OK;
    }
    return engine_json_refuse(r->path, r->texts->tokenizer, "normalizer", "none, or NFC: no other is supported", r->e);
}

static int put_pretokenizer(struct reader *r)
{
    const char *own = NULL, *name = pretokenizer_name(r, json_object_get(r->texts->tokenizer, "pre_tokenizer"), &own);
    int code = put_normalizer(r);
    if (code)
        return code;
    if (!name)
        return engine_json_refuse(r->path, r->texts->tokenizer, "pre_tokenizer", "that of GPT-2, SmolLM, Llama 3, Qwen 2 or Tekken: no other way of "
                                  "cutting text into words is known", r->e);
    engine_keys_text(r->keys, "tokenizer.ggml.pre", name);
    if (own)
        engine_keys_text(r->keys, "espalier.pre", own);
    return OK;
}

/* Blanks become BLANK; a text gets one more at its beginning where a step says so. */
static int is_blank_step(const json_t *step, int *prefix)
{
    const json_t *type = json_object_get(step, "type"), *scheme = json_object_get(step, "prepend_scheme");
    if (is_text(type, "Prepend") && is_text(json_object_get(step, "prepend"), BLANK))
        return *prefix = 1;
    if (is_text(type, "Replace"))
        return is_text(json_object_get(json_object_get(step, "pattern"), "String"), " ") && is_text(json_object_get(step, "content"), BLANK);
    if (is_text(type, "Metaspace") && is_text(json_object_get(step, "replacement"), BLANK)) {
        *prefix = *prefix || (scheme ? !is_text(scheme, "never") : !json_is_false(json_object_get(step, "add_prefix_space")));
        return 1;
    }
    return is_text(type, "Split") && is_text(json_object_get(json_object_get(step, "pattern"), "String"), " ");
}

static int put_blanks(struct reader *r)
{
    static const char *const keys[] = {"normalizer", "pre_tokenizer"}, *const lists[] = {"normalizers", "pretokenizers"};
    int prefix = 0;
    for (int k = 0; k < 2; k++) {
        const json_t *value = json_object_get(r->texts->tokenizer, keys[k]), *list = json_object_get(value, lists[k]);
        const size_t n = list ? json_array_size(list) : value && !json_is_null(value);
        for (size_t i = 0; i < n; i++)
            if (!is_blank_step(list ? json_array_get(list, i) : value, &prefix))
                return engine_json_refuse(r->path, r->texts->tokenizer, keys[k], "that of Llama 2, Mistral or Gemma: no other is known", r->e);
    }
    engine_keys_boolean(r->keys, "tokenizer.ggml.add_space_prefix", prefix);
    return OK;
}

/* --- what stands beside it ----------------------------------------------------------------------------------------- */

/* "bos_token": a text, or an object with it as its content. */
static int named(const struct reader *r, const char *key)
{
    const json_t *value = json_object_get(r->texts->tokenizer_config, key);
    value = json_is_object(value) ? json_object_get(value, "content") : value;
    return json_is_string(value) ? find(r, json_string_value(value)) : -1;
}

/* Number i of a configuration's id, or list of ids; -1. */
static int listed(const struct reader *r, const json_t *config, const char *key, size_t i)
{
    const json_t *value = json_object_get(config, key);
    int id;
    value = json_is_array(value) ? json_array_get(value, i) : i ? NULL : value;
    return engine_json_whole(value, &id) && id >= 0 && id < r->count ? id : -1;
}

static int put_id(struct reader *r, const char *key, int id)
{
    if (id >= 0)
        engine_keys_u32(r->keys, key, (uint32_t)id);
    return id;
}

/* Whether the post-processor's template for one text begins (or ends) with the token. */
static int is_in_template(const json_t *processor, const char *token, int at_end)
{
    const json_t *list = json_object_get(processor, "processors"), *inner;
    size_t i;
    json_array_foreach(list, i, inner)
        if (is_text(json_object_get(inner, "type"), "TemplateProcessing") && is_in_template(inner, token, at_end))
            return 1;
    const json_t *single = json_object_get(processor, "single");
    const size_t n = json_array_size(single);
    return n && is_text(json_object_get(json_object_get(json_array_get(single, at_end ? n - 1 : 0), "SpecialToken"), "id"), token);
}

static void put_adds(struct reader *r, const char *their_key, const char *our_key, int id, int at_end)
{
    const json_t *says = json_object_get(r->texts->tokenizer_config, their_key);
    char *name = id < 0 ? NULL : xstrndup(r->names[id].bytes, r->names[id].length);
    int adds = json_is_true(says);
    if (name && !json_is_boolean(says))
        adds = is_in_template(json_object_get(r->texts->tokenizer, "post_processor"), name, at_end);
    engine_keys_boolean(r->keys, our_key, adds);
    free(name);
}

/* What ends a text, and what else ends a turn. */
static void put_ids(struct reader *r)
{
    const struct engine_folder_texts *t = r->texts;
    static const char *const more[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    int begin = named(r, "bos_token"), end = named(r, "eos_token"), used = 0, unknown = named(r, "unk_token");
    put_id(r, "tokenizer.ggml.bos_token_id", begin = begin < 0 ? listed(r, t->config, "bos_token_id", 0) : begin);
    put_id(r, "tokenizer.ggml.eos_token_id", end = end < 0 ? listed(r, t->config, "eos_token_id", 0) : end);
    for (size_t i = 0; i < 16 && used < 2; i++) {
        const int id = listed(r, t->generation_config ? t->generation_config : t->config, "eos_token_id", i);
        if (id >= 0 && id != end)
            put_id(r, more[used++], id);
    }
    if (unknown >= 0 && r->sentencepiece)
        r->types[unknown] = UNKNOWN;
    put_id(r, "tokenizer.ggml.unknown_token_id", unknown);
    put_id(r, "tokenizer.ggml.padding_token_id", named(r, "pad_token"));
    put_adds(r, "add_bos_token", "tokenizer.ggml.add_bos_token", begin, 0);
    put_adds(r, "add_eos_token", "tokenizer.ggml.add_eos_token", end, 1);
}

/* chat_template.jinja before what tokenizer_config.json says; of several templates the one named "default". */
static void put_template(struct reader *r)
{
    const json_t *value = json_object_get(r->texts->tokenizer_config, "chat_template"), *one;
    const char *text = r->texts->template ? r->texts->template : json_string_value(value);
    size_t i;
    json_array_foreach(value, i, one)
        if (!r->texts->template && (!text || is_text(json_object_get(one, "name"), "default")))
            text = json_string_value(json_object_get(one, "template"));
    if (text)
        engine_keys_text(r->keys, "tokenizer.chat_template", text);
}

/* --- all of it ----------------------------------------------------------------------------------------------------- */

static int open_model(struct reader *r)
{
    r->model = json_object_get(r->texts->tokenizer, "model");
    r->vocab = json_object_get(r->model, "vocab");
    r->merges = json_object_get(r->model, "merges");
    const json_t *type = json_object_get(r->model, "type");
    if (type && !is_text(type, "BPE"))
        return engine_json_refuse(r->path, r->model, "type", "\"BPE\": no other tokenizer is supported", r->e);
    if (!json_is_object(r->vocab) || !json_is_array(r->merges))
        return FAIL(r, "%.300s: model: expected vocab and merges of a byte pair encoding; get the folder anew", r->path);
    r->sentencepiece = json_is_true(json_object_get(r->model, "byte_fallback"));
    return OK;
}

static int read_tokens(struct reader *r)
{
    r->names = input_alloc((size_t)r->count, sizeof *r->names);
    r->types = input_alloc((size_t)r->count, sizeof *r->types);
    if (!r->names || !r->types)
        return error_set(r->e, ERROR_ENGINE, "%.300s: not enough memory for %d tokens", r->path, r->count);
    int code = read_vocab(r);
    if (!code)
        code = read_added(r);
    if (!code)
        fill_holes(r);
    return code;
}

static int put_all(struct reader *r)
{
    engine_keys_text(r->keys, "tokenizer.ggml.model", r->sentencepiece ? "llama" : "gpt2");
    int code = r->sentencepiece ? put_blanks(r) : put_pretokenizer(r);
    if (code)
        return code;
    put_ids(r);
    put_strips(r);
    put_template(r);
    engine_keys_texts(r->keys, "tokenizer.ggml.tokens", r->names, r->count);
    engine_keys_integers(r->keys, "tokenizer.ggml.token_type", r->types, r->count);
    return r->sentencepiece ? put_scores(r) : put_merges(r);
}

int engine_folder_tokens(const struct engine_folder_texts *texts, int vocabulary, struct engine_new_keys *keys, struct error *e)
{
    struct reader r = {.texts = texts, .path = xasprintf("%.300s/tokenizer.json", texts->folder), .count = vocabulary, .keys = keys, .e = e};
    int code = open_model(&r);
    if (!code)
        code = read_tokens(&r);
    if (!code)
        code = put_all(&r);
    for (int i = 0; i < r.made_count; i++)
        free(r.made[i]);
    free(r.made);
    free(r.names);
    free(r.types);
    free(r.strips[0]);
    free(r.strips[1]);
    free(r.path);
    return code;
}
