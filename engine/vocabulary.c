/* A model's tokens: which there are, what kind each is, and the ways between text and ids. The merging is bpe.c's or
 * sentencepiece.c's, the cutting into words pretokenizer.c's, what is said around a conversation chat.c's; here are the
 * special tokens, and the order in which everything happens.
 *
 * The reference is llama.cpp: the same file and text give the same ids. What only a folder says, and no GGUF of llama.cpp's, is in keys of
 * our own, and tokenizers is the reference: espalier.nfc, espalier.pre, espalier.lstrip and
 * espalier.rstrip.
 */
#include "engine/vocabulary.h"
#include "engine/bpe.h"
#include "engine/chat.h"
#include "engine/pretokenizer.h"
#include "engine/sentencepiece.h"
#include "engine/unicode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* tokenizer.ggml.token_type */
enum kind { KIND_NORMAL = 1, KIND_UNKNOWN, KIND_CONTROL, KIND_USER_DEFINED, KIND_UNUSED, KIND_BYTE };

enum { TOKENS_MOST = 1 << 24 }; /* far above any vocabulary; what is beyond it is damage, and would overflow counts */

enum { FIRST_CONTROL = 1, FIRST_USER_DEFINED = 2 };

enum { EATS_ASCII_AFTER = 1, EATS_BEFORE = 2, EATS_AFTER = 4 };

struct token {
    size_t at, length; /* in the vocabulary's text */
    enum kind kind;
    int ends;
    int eats; /* found in a text, it takes white space along: EATS_ bits */
};

struct special {
    struct engine_text name;
    int id;
};

/* Invariants: text + at .. + length is what a token says (a control token its name), with a '\0' after it; names has the
 * tokens' names by their ids, and beyond count what bpe adds; exactly one of bpe and sentencepiece is there, bpe with a
 * pretokenizer; specials are the tokens that are found in text by name, sorted by name; begin and end are ids or -1. */
struct engine_vocabulary {
    struct token *tokens;
    int count;
    struct string text;
    struct engine_names names;
    struct engine_bpe *bpe;
    struct engine_pretokenizer *pretokenizer;
    struct engine_sentencepiece *sentencepiece;
    int composes;     /* with bpe: text is put in the form NFC first */
    int blank_before; /* with sentencepiece: a text begins as if with a blank */
    struct special *specials;
    int special_count;
    unsigned char first[256]; /* for each byte, whether a special's name begins with it: FIRST_ bits */
    char *about;
    int begin, end, turn_end;
    int begins; /* the begin token stands before a text */
    struct engine_chat chat;
};

/* --- lists of tokens --------------------------------------------------------------------------------------------- */

void engine_tokens_add(struct engine_tokens *t, int id)
{
    ARRAY_RESERVE(t->ids, t->count, t->capacity);
    t->ids[t->count++] = id;
}

void engine_tokens_append(struct engine_tokens *t, const int *ids, int n)
{
    for (int i = 0; i < n; i++)
        engine_tokens_add(t, ids[i]);
}

void engine_tokens_free(struct engine_tokens *t)
{
    free(t->ids);
    *t = (struct engine_tokens){0};
}

/* --- what tokens are there --------------------------------------------------------------------------------------- */

/* Names that llama.cpp takes for control tokens whatever the file says of them: those that end a text or a turn, */
static const char *const ending_names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
    "<｜end▁of▁sentence｜>",
    "<turn|>",
    "<|tool_response>",
    "[e~[",
};
/* and those that do not. */
static const char *const control_names[] = {
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",   "<PRE>",        "<|fim_suffix|>", "<fim-suffix>",
    "<fim_suffix>",   "<SUF>",        "<|fim_middle|>", "<fim-middle>", "<fim_middle>",   "<MID>",
    "<｜fim▁begin｜>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>", "<｜fim▁hole｜>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>",
    "<｜fim▁end｜>", "▁<MID>", "<|code_middle|>", "<|middle|>",
};

/* A key that holds an id: *out stays where it is absent, an error where no token has it. */
static int read_id(const struct engine_vocabulary *v, const struct engine_file *f, const char *key, int *out,
                   struct error *e)
{
    int64_t id;
    if (!engine_file_integer(f, key, &id))
        return OK;
    if (id < 0 || id >= v->count)
        return error_set(e, ERROR_INPUT,
                         "%.200s: %s is %lld, but the vocabulary has the tokens 0 to %d: the file is damaged",
                         engine_file_path(f), key, (long long)id, v->count - 1);
    *out = (int)id;
    return OK;
}

static int read_kinds(struct engine_vocabulary *v, const struct engine_file *f, struct error *e)
{
    static const char key[] = "tokenizer.ggml.token_type";
    int64_t n = engine_file_integers(f, key);
    for (int i = 0; i < v->count; i++)
        v->tokens[i].kind = KIND_NORMAL;
    if (n < 0)
        return OK;
    if (n < v->count)
        return error_set(e, ERROR_INPUT, "%.200s: %s has %lld entries for %d tokens: the file is damaged",
                         engine_file_path(f), key, (long long)n, v->count);
    int64_t *kinds = input_alloc((size_t)n, sizeof *kinds);
    if (!kinds)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for %s", engine_file_path(f), key);
    engine_file_integers_get(f, key, kinds);
    for (int i = 0; i < v->count; i++)
        v->tokens[i].kind = kinds[i] >= KIND_NORMAL && kinds[i] <= KIND_BYTE ? (enum kind)kinds[i] : KIND_UNUSED;
    free(kinds);
    return OK;
}

static int find_name(const struct engine_vocabulary *v, const char *name)
{
    int64_t id = engine_names_find(&v->names, (struct engine_text){name, strlen(name)});
    return id < v->count ? (int)id : -1;
}

static void claim_names(struct engine_vocabulary *v, const char *const *names, size_t n, int ends)
{
    for (size_t i = 0; i < n; i++) {
        int id = find_name(v, names[i]);
        if (id < 0)
            continue;
        v->tokens[id].kind = KIND_CONTROL;
        v->tokens[id].ends = ends;
    }
}

/* begin and end are what they are where the file does not say. */
static int read_ends(struct engine_vocabulary *v, const struct engine_file *f, struct error *e)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    if (read_id(v, f, "tokenizer.ggml.bos_token_id", &v->begin, e) ||
        read_id(v, f, "tokenizer.ggml.eos_token_id", &v->end, e))
        return ERROR_INPUT;
    claim_names(v, ending_names, sizeof ending_names / sizeof *ending_names, 1);
    claim_names(v, control_names, sizeof control_names / sizeof *control_names, 0);
    if (v->end >= 0)
        v->tokens[v->end].ends = 1;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int id = -1;
        if (read_id(v, f, keys[i], &id, e))
            return ERROR_INPUT;
        if (id >= 0)
            v->tokens[id].ends = 1;
    }
    return OK;
}

/* The byte that a byte token "<0x41>" stands for, or -1. */
static int byte_of_name(struct engine_text name)
{
    unsigned byte;
    int end = 0;
    char text[8] = {0};
    if (name.length != 6)
        return -1;
    memcpy(text, name.bytes, 6);
    return sscanf(text, "<0x%2x>%n", &byte, &end) == 1 && end == 6 ? (int)byte : -1;
}

/* What each token says. Unused tokens say nothing, as in llama.cpp. */
static void write_texts(struct engine_vocabulary *v, const struct engine_text *names)
{
    for (int i = 0; i < v->count; i++) {
        struct token *t = &v->tokens[i];
        int byte = t->kind == KIND_BYTE ? byte_of_name(names[i]) : -1;
        char c = (char)byte;
        t->at = v->text.length;
        if (t->kind == KIND_NORMAL && v->sentencepiece)
            engine_sentencepiece_decode(names[i], &v->text);
        else if (t->kind == KIND_NORMAL)
            engine_bpe_decode(names[i], &v->text);
        else if (byte >= 0)
            string_append(&v->text, &c, 1);
        else if (t->kind != KIND_UNUSED)
            string_append(&v->text, names[i].bytes, names[i].length);
        t->length = v->text.length - t->at;
        string_append(&v->text, "", 1);
    }
}

static int special_order(const void *a, const void *b)
{
    struct engine_text x = ((const struct special *)a)->name, y = ((const struct special *)b)->name;
    size_t n = x.length < y.length ? x.length : y.length;
    int order = memcmp(x.bytes, y.bytes, n);
    return order ? order : x.length < y.length ? -1 : x.length > y.length;
}

static int is_special(const struct engine_vocabulary *v, int id)
{
    enum kind kind = v->tokens[id].kind;
    return kind == KIND_CONTROL || kind == KIND_UNKNOWN || kind == KIND_USER_DEFINED;
}

static void collect_specials(struct engine_vocabulary *v)
{
    int capacity = 0;
    for (int i = 0; i < v->count; i++) {
        if (!is_special(v, i) || !v->tokens[i].length)
            continue;
        struct engine_text name = {v->text.text + v->tokens[i].at, v->tokens[i].length};
        ARRAY_RESERVE(v->specials, v->special_count, capacity);
        v->specials[v->special_count++] = (struct special){name, i};
        v->first[(unsigned char)*name.bytes] |=
            v->tokens[i].kind == KIND_USER_DEFINED ? FIRST_USER_DEFINED : FIRST_CONTROL;
    }
    if (v->special_count)
        qsort(v->specials, (size_t)v->special_count, sizeof *v->specials, special_order);
}

/* What no file says: Phi 3's special tokens take the white space after them along, all but three. */
static void mark_eaters(struct engine_vocabulary *v, const struct engine_file *f)
{
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    struct engine_text name = {0};
    struct string lower = {0};
    engine_file_text(f, "general.name", &name);
    for (size_t i = 0; i < name.length; i++)
        string_append(&lower, &(char){(char)tolower((unsigned char)name.bytes[i])}, 1);
    int eat = strstr(string_text(&lower), "phi-3") || strstr(string_text(&lower), "phi3");
    string_free(&lower);
    for (int i = 0; eat && i < v->count; i++)
        v->tokens[i].eats = is_special(v, i) ? EATS_ASCII_AFTER : 0;
    for (size_t i = 0; eat && i < sizeof others / sizeof *others; i++) {
        int id = find_name(v, others[i]);
        if (id >= 0)
            v->tokens[id].eats = 0;
    }
}

/* What a folder says of them, in a key of ours with a list of ids. */
static int read_eaters(struct engine_vocabulary *v, const struct engine_file *f, const char *key, int bit, struct error *e)
{
    const int64_t n = engine_file_integers(f, key);
    int64_t *ids = n > 0 ? input_alloc((size_t)n, sizeof *ids) : NULL;
    int code = OK;
    if (n > 0 && !ids)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for %s", engine_file_path(f), key);
    if (ids)
        engine_file_integers_get(f, key, ids);
    for (int64_t i = 0; i < n && !code; i++)
        if (ids[i] < 0 || ids[i] >= v->count)
            code = error_set(e, ERROR_INPUT, "%.200s: %s has %lld, but the vocabulary has the tokens 0 to %d: the file is damaged",
                             engine_file_path(f), key, (long long)ids[i], v->count - 1);
        else
            v->tokens[ids[i]].eats |= bit;
    free(ids);
    return code;
}

static int has_name(const void *vocabulary, const char *name)
{
    return find_name(vocabulary, name) >= 0;
}

static void name_of(const struct engine_vocabulary *v, int id, struct string *out)
{
    if (id >= 0)
        string_append(out, v->text.text + v->tokens[id].at, v->tokens[id].length);
}

/* The token that ends an answer: the first with which the family ends one that ends generation too. */
static int turn_end(const struct engine_vocabulary *v)
{
    struct string words = {0};
    struct engine_tokens ids = {0};
    int end = v->end;
    engine_chat_close(&v->chat, &words);
    engine_vocabulary_tokenize(v, string_text(&words), words.length, ENGINE_SPECIAL, &ids);
    for (int i = ids.count; i-- > 0;)
        end = v->tokens[ids.ids[i]].ends ? ids.ids[i] : end;
    engine_tokens_free(&ids);
    string_free(&words);
    return end;
}

/* Without a template the begin token stands before a text where the file says so, with one where the template does. */
static void read_chat(struct engine_vocabulary *v, const struct engine_file *f, int begins)
{
    struct engine_text template;
    int add = begins;
    engine_file_boolean(f, "tokenizer.ggml.add_bos_token", &add);
    v->begins = add && v->begin >= 0;
    name_of(v, v->begin, &v->chat.begin);
    name_of(v, v->end, &v->chat.end);
    if (engine_file_text(f, "tokenizer.chat_template", &template))
        engine_chat_read(&v->chat, template, has_name, v);
    if (!v->chat.family)
        v->chat.begins = v->begins;
    v->turn_end = turn_end(v);
}

/* --- reading it all from the file -------------------------------------------------------------------------------- */

/* An array of texts; *out is freed by the caller. */
static int read_texts(const struct engine_file *f, const char *key, struct engine_text **out, int *count,
                      struct error *e)
{
    int64_t n = engine_file_texts(f, key);
    *out = NULL;
    if (n < 0)
        return error_set(e, ERROR_INPUT, "%.200s: there is no list of texts %s in it: convert the model anew",
                         engine_file_path(f), key);
    if (n > TOKENS_MOST)
        return error_set(e, ERROR_INPUT, "%.200s: %s has %lld entries; this version reads %d at most",
                         engine_file_path(f), key, (long long)n, TOKENS_MOST);
    *out = input_alloc((size_t)n, sizeof **out);
    if (!*out)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for %s", engine_file_path(f), key);
    engine_file_texts_get(f, key, *out);
    *count = (int)n;
    return OK;
}

/* Names and kinds, which are the same for all; `more` names come to be added. *names is freed by the caller. */
static int read_names(struct engine_vocabulary *v, const struct engine_file *f, size_t more, struct engine_text **names, struct error *e)
{
    int code = read_texts(f, "tokenizer.ggml.tokens", names, &v->count, e);
    if (code)
        return code;
    v->tokens = input_alloc((size_t)v->count, sizeof *v->tokens);
    if (!v->tokens)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for its %d tokens", engine_file_path(f), v->count);
    code = engine_names_create(&v->names, *names, v->count, more, engine_file_path(f), e);
    if (code || (code = read_kinds(v, f, e)) || (code = read_ends(v, f, e)))
        return code;
    return OK;
}

/* And what follows from them. */
static int settle_names(struct engine_vocabulary *v, const struct engine_file *f, const struct engine_text *names, int begins, struct error *e)
{
    write_texts(v, names);
    collect_specials(v);
    mark_eaters(v, f);
    int code = read_eaters(v, f, "espalier.lstrip", EATS_BEFORE, e);
    if (!code)
        code = read_eaters(v, f, "espalier.rstrip", EATS_AFTER, e);
    if (!code)
        read_chat(v, f, begins);
    return code;
}

/* tokenizer.ggml.model "gpt2". */
static int read_bpe(struct engine_vocabulary *v, const struct engine_file *f, struct error *e)
{
    struct engine_text pre = {"default", 7}, *names = NULL, *merges = NULL;
    int merge_count = 0;
    if (!engine_file_text(f, "espalier.pre", &pre))
        engine_file_text(f, "tokenizer.ggml.pre", &pre);
    engine_file_boolean(f, "espalier.nfc", &v->composes);
    int code = engine_pretokenizer_create(&v->pretokenizer, pre, engine_file_path(f), e);
    if (!code)
        code = read_texts(f, "tokenizer.ggml.merges", &merges, &merge_count, e);
    if (!code)
        code = read_names(v, f, 3 * (size_t)merge_count + 256, &names, e);
    if (!code)
        code = engine_bpe_create(&v->bpe, &v->names, merges, merge_count, engine_file_path(f), e);
    if (!code)
        code = settle_names(v, f, names, engine_pretokenizer_begins(v->pretokenizer), e);
    free(names);
    free(merges);
    v->about = code ? NULL : xasprintf("gpt2 (%s%s)", engine_pretokenizer_name(v->pretokenizer), v->composes ? ", NFC" : "");
    return code;
}

/* As many as there are tokens; all 0 where the file has none. */
static int read_scores(const struct engine_vocabulary *v, const struct engine_file *f, double **out, struct error *e)
{
    static const char key[] = "tokenizer.ggml.scores";
    int64_t n = engine_file_numbers(f, key);
    if (n >= 0 && n < v->count)
        return error_set(e, ERROR_INPUT, "%.200s: %s has %lld entries for %d tokens: the file is damaged", engine_file_path(f), key, (long long)n,
                         v->count);
    size_t count = n > v->count ? (size_t)n : (size_t)v->count;
    *out = input_alloc(count, sizeof **out);
    if (!*out)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for %s", engine_file_path(f), key);
    for (size_t i = 0; i < count; i++)
        (*out)[i] = 0;
    if (n >= 0)
        engine_file_numbers_get(f, key, *out);
    return OK;
}

static int create_sentencepiece(struct engine_vocabulary *v, const struct engine_file *f, const double *scores, struct error *e)
{
    unsigned char *mergeable = input_alloc((size_t)v->count, 1);
    int unknown = v->count ? 0 : -1;
    if (!mergeable)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for its %d tokens", engine_file_path(f), v->count);
    for (int i = 0; i < v->count; i++) {
        enum kind kind = v->tokens[i].kind;
        mergeable[i] = kind == KIND_NORMAL || kind == KIND_USER_DEFINED || kind == KIND_UNUSED;
    }
    int code = read_id(v, f, "tokenizer.ggml.unknown_token_id", &unknown, e);
    if (!code)
        code = engine_sentencepiece_create(&v->sentencepiece, &v->names, scores, mergeable, unknown, engine_file_path(f), e);
    free(mergeable);
    return code;
}

/* tokenizer.ggml.model "llama". */
static int read_sentencepiece(struct engine_vocabulary *v, const struct engine_file *f, struct error *e)
{
    struct engine_text *names = NULL;
    double *scores = NULL;
    v->begin = 1; /* where the file does not say: as the first of these files had them */
    v->end = 2;
    v->blank_before = 1;
    engine_file_boolean(f, "tokenizer.ggml.add_space_prefix", &v->blank_before);
    int code = read_names(v, f, 0, &names, e);
    if (!code)
        code = read_scores(v, f, &scores, e);
    if (!code)
        code = create_sentencepiece(v, f, scores, e);
    if (!code)
        code = settle_names(v, f, names, 1, e);
    free(names);
    free(scores);
    v->about = code ? NULL : xasprintf("llama (SentencePiece%s)", v->blank_before ? "" : ", no blank before a text");
    return code;
}

static const struct tokenizer {
    const char *name;
    int (*read)(struct engine_vocabulary *v, const struct engine_file *f, struct error *e);
} tokenizers[] = {
    {"gpt2", read_bpe},
    {"llama", read_sentencepiece},
};
enum { TOKENIZERS = sizeof tokenizers / sizeof *tokenizers };

static int unknown_tokenizer(const struct engine_file *f, struct engine_text name, struct error *e)
{
    struct string known = {0};
    for (int i = 0; i < TOKENIZERS; i++)
        string_addf(&known, "%s%s", i ? ", " : "", tokenizers[i].name);
    if (name.bytes)
        error_set(e, ERROR_INPUT, "%.200s: tokenizer.ggml.model is \"%.*s\"; this version knows %s",
                  engine_file_path(f), (int)(name.length < 80 ? name.length : 80), name.bytes, string_text(&known));
    else
        error_set(e, ERROR_INPUT, "%.200s: no tokenizer (tokenizer.ggml.model) is in it; this version knows %s",
                  engine_file_path(f), string_text(&known));
    string_free(&known);
    return ERROR_INPUT;
}

int engine_vocabulary_create(struct engine_vocabulary **out, const struct engine_file *f, struct error *e)
{
    struct engine_text name = {0};
    const struct tokenizer *tokenizer = NULL;
    *out = NULL;
    engine_file_text(f, "tokenizer.ggml.model", &name);
    for (int i = 0; name.bytes && i < TOKENIZERS; i++)
        if (strlen(tokenizers[i].name) == name.length && !memcmp(tokenizers[i].name, name.bytes, name.length))
            tokenizer = &tokenizers[i];
    if (!tokenizer)
        return unknown_tokenizer(f, name, e);
    struct engine_vocabulary *v = xcalloc(1, sizeof *v);
    v->begin = v->end = -1;
    int code = tokenizer->read(v, f, e);
    if (code) {
        engine_vocabulary_free(v);
        return code;
    }
    *out = v;
    return OK;
}

void engine_vocabulary_free(struct engine_vocabulary *v)
{
    if (!v)
        return;
    free(v->tokens);
    string_free(&v->text);
    engine_bpe_free(v->bpe);
    engine_pretokenizer_free(v->pretokenizer);
    engine_sentencepiece_free(v->sentencepiece);
    engine_names_free(&v->names);
    free(v->specials);
    free(v->about);
    engine_chat_free(&v->chat);
    free(v);
}

/* --- what is known of them --------------------------------------------------------------------------------------- */

int engine_vocabulary_count(const struct engine_vocabulary *v)
{
    return v->count;
}

const char *engine_vocabulary_about(const struct engine_vocabulary *v)
{
    return v->about;
}

const char *engine_vocabulary_template(const struct engine_vocabulary *v)
{
    return engine_chat_name(&v->chat);
}

int engine_vocabulary_begin(const struct engine_vocabulary *v)
{
    return v->begin;
}

int engine_vocabulary_end(const struct engine_vocabulary *v)
{
    return v->end;
}

int engine_vocabulary_begins(const struct engine_vocabulary *v)
{
    return v->begins;
}

int engine_vocabulary_turn_end(const struct engine_vocabulary *v)
{
    return v->turn_end;
}

static int is_token(const struct engine_vocabulary *v, int id)
{
    return id >= 0 && id < v->count;
}

const char *engine_vocabulary_text(const struct engine_vocabulary *v, int id, size_t *bytes)
{
    *bytes = is_token(v, id) ? v->tokens[id].length : 0;
    return is_token(v, id) ? v->text.text + v->tokens[id].at : NULL;
}

int engine_vocabulary_is_control(const struct engine_vocabulary *v, int id)
{
    return is_token(v, id) && v->tokens[id].kind == KIND_CONTROL;
}

int engine_vocabulary_ends(const struct engine_vocabulary *v, int id)
{
    return is_token(v, id) && v->tokens[id].ends;
}

/* --- ids to text ------------------------------------------------------------------------------------------------- */

void engine_vocabulary_detokenize(const struct engine_vocabulary *v, const int *ids, int n, int special,
                                  struct string *out)
{
    for (int i = 0; i < n; i++) {
        if (!is_token(v, ids[i]))
            continue;
        const struct token *t = &v->tokens[ids[i]];
        if (special || (t->kind != KIND_CONTROL && t->kind != KIND_UNKNOWN))
            string_append(out, v->text.text + t->at, t->length);
    }
}

/* --- text to ids ------------------------------------------------------------------------------------------------- */

struct writing {
    const struct engine_vocabulary *v;
    int continues; /* what is written next goes on from other text */
    struct engine_chain chain;
    struct engine_tokens *out;
};

static void write_word(void *argument, const char *bytes, size_t n)
{
    struct writing *w = argument;
    engine_bpe_word(w->v->bpe, bytes, n, engine_pretokenizer_whole_words(w->v->pretokenizer), &w->chain, w->out);
}

/* A text between special tokens, or the ends of all. */
static void write_text(struct writing *w, const char *text, size_t n)
{
    if (n && w->v->bpe && w->v->composes) {
        struct string composed = {0};
        engine_unicode_compose(text, n, &composed);
        engine_pretokenizer_split(w->v->pretokenizer, string_text(&composed), composed.length, write_word, w);
        string_free(&composed);
    } else if (n && w->v->bpe)
        engine_pretokenizer_split(w->v->pretokenizer, text, n, write_word, w);
    else if (n)
        engine_sentencepiece_write(w->v->sentencepiece, text, n, w->v->blank_before && !w->continues, &w->chain, w->out);
}

/* A place in the text where a special token's name stands. */
struct found {
    size_t at, length;
    int id;
};

struct finds {
    struct found *items;
    int count, capacity;
};

/* Notes every special token whose name begins at text[at]: walks down the sorted names as down a trie. Names of control
 * tokens stand in the first `named` bytes from there at most. */
static void find_at(const struct engine_vocabulary *v, const char *text, size_t n, size_t at, size_t named, struct finds *out)
{
    int low = 0, high = v->special_count;
    for (size_t depth = 0; low < high; depth++) {
        const struct special *s = &v->specials[low];
        if (s->name.length == depth) { /* the shortest is the first of those that begin alike */
            if (depth <= named || v->tokens[s->id].kind == KIND_USER_DEFINED) {
                ARRAY_RESERVE(out->items, out->count, out->capacity);
                out->items[out->count++] = (struct found){at, depth, s->id};
            }
            low++;
        }
        if (at + depth >= n)
            return;
        unsigned char c = (unsigned char)text[at + depth];
        while (low < high && (unsigned char)v->specials[low].name.bytes[depth] < c)
            low++;
        while (low < high && (unsigned char)v->specials[high - 1].name.bytes[depth] > c)
            high--;
    }
}

/* The order in which they claim the text: the longest name first wherever it is, then from the left. (Which of two
 * names of one length goes first llama.cpp leaves to its sort; here it is the lower id.) */
static int claim_order(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->length != y->length)
        return x->length > y->length ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int place_order(const void *a, const void *b)
{
    size_t x = ((const struct found *)a)->at, y = ((const struct found *)b)->at;
    return x < y ? -1 : x > y;
}

/* Keeps those that no earlier claim overlaps, and puts them in the order of the text. */
static void settle(struct finds *f, size_t n)
{
    if (!f->count)
        return;
    unsigned char *taken = xcalloc(n, 1);
    int kept = 0;
    qsort(f->items, (size_t)f->count, sizeof *f->items, claim_order);
    for (int i = 0; i < f->count; i++) {
        struct found found = f->items[i];
        if (memchr(taken + found.at, 1, found.length))
            continue;
        memset(taken + found.at, 1, found.length);
        f->items[kept++] = found;
    }
    f->count = kept;
    qsort(f->items, (size_t)kept, sizeof *f->items, place_order);
    free(taken);
}

/* own: for each byte whether the name of a control token may stand there; NULL: everywhere with ENGINE_SPECIAL, else nowhere. */
static void tokenize(const struct engine_vocabulary *v, const char *text, size_t n, int how, const char *own, struct engine_tokens *out)
{
    struct writing w = {.v = v, .out = out, .continues = how & ENGINE_CONTINUES};
    struct finds found = {0};
    const int special = how & ENGINE_SPECIAL;
    unsigned char looked_for = special || own ? FIRST_CONTROL | FIRST_USER_DEFINED : FIRST_USER_DEFINED;
    size_t from = 0, named = special ? n : 0;
    for (size_t at = 0; at < n; at++) {
        if (own && named <= at)
            for (named = at; named < n && own[named];)
                named++;
        if (v->first[(unsigned char)text[at]] & looked_for)
            find_at(v, text, n, at, named > at ? named - at : 0, &found);
    }
    settle(&found, n);
    for (int i = 0; i < found.count; i++) {
        const int eats = v->tokens[found.items[i].id].eats;
        size_t before = found.items[i].at - from;
        if (eats & EATS_BEFORE)
            before -= engine_unicode_space_last(text + from, before);
        write_text(&w, text + from, before);
        engine_tokens_add(out, found.items[i].id);
        w.continues = 0; /* after a special token a text begins */
        from = found.items[i].at + found.items[i].length;
        size_t until = i + 1 < found.count ? found.items[i + 1].at : n;
        while (eats & EATS_ASCII_AFTER && from < until && isspace((unsigned char)text[from]))
            from++;
        if (eats & EATS_AFTER)
            from += engine_unicode_space_first(text + from, until - from);
    }
    write_text(&w, text + from, n - from);
    free(found.items);
    engine_chain_free(&w.chain);
}

void engine_vocabulary_tokenize(const struct engine_vocabulary *v, const char *text, size_t n, int how, struct engine_tokens *out)
{
    tokenize(v, text, n, how, NULL, out);
}

/* --- conversations ----------------------------------------------------------------------------------------------- */

void engine_vocabulary_chat(const struct engine_vocabulary *v, const struct engine_message *messages, int n, int how,
                            struct engine_tokens *out)
{
    struct string text = {0}, own = {0};
    engine_chat_render(&v->chat, messages, n, how, &text, &own);
    tokenize(v, string_text(&text), text.length, 0, string_text(&own), out);
    string_free(&text);
    string_free(&own);
}
