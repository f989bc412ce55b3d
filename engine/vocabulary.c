/* A model's tokens: which there are, what kind each is, and the ways between text and ids. The merging is bpe.c's, the
 * cutting into words pretokenizer.c's; here are the special tokens, and the order in which everything happens.
 *
 * The reference is llama.cpp: the same file and text give the same ids.
 */
#include "engine/vocabulary.h"
#include "engine/bpe.h"
#include "engine/chat.h"
#include "engine/pretokenizer.h"

#include <stdlib.h>
#include <string.h>

/* tokenizer.ggml.token_type */
enum kind { KIND_NORMAL = 1, KIND_UNKNOWN, KIND_CONTROL, KIND_USER_DEFINED, KIND_UNUSED, KIND_BYTE };

enum { TOKENS_MOST = 1 << 24 }; /* far above any vocabulary; what is beyond it is damage, and would overflow counts */

enum { FIRST_CONTROL = 1, FIRST_USER_DEFINED = 2 };

struct token {
    size_t at, length; /* in the vocabulary's text */
    enum kind kind;
    int ends;
};

struct special {
    struct engine_text name;
    int id;
};

/* Invariants: text + at .. + length is what a token says (a control token its name), with a '\0' after it; specials are
 * the tokens that are found in text by name, sorted by name; begin, end, turn_begin and turn_end are ids or -1; chat is
 * chatml only where turn_begin and turn_end are there. */
struct engine_vocabulary {
    struct token *tokens;
    int count;
    struct string text;
    struct engine_bpe *bpe;
    struct engine_pretokenizer *pretokenizer;
    struct special *specials;
    int special_count;
    unsigned char first[256]; /* for each byte, whether a special's name begins with it: FIRST_ bits */
    char *about;
    int begin, end;
    int begins; /* begin stands before a text */
    enum engine_chat_family chat;
    int turn_begin, turn_end;
    struct string system; /* what the template says when a conversation begins without a system message; may be empty */
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
};
/* and those that do not. */
static const char *const control_names[] = {
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",   "<PRE>",        "<|fim_suffix|>", "<fim-suffix>",
    "<fim_suffix>",   "<SUF>",        "<|fim_middle|>", "<fim-middle>", "<fim_middle>",   "<MID>",
};

/* A key that holds an id: -1 where it is absent, an error where no token has it. */
static int read_id(const struct engine_vocabulary *v, const struct engine_file *f, const char *key, int *out,
                   struct error *e)
{
    int64_t id;
    *out = -1;
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
    return engine_bpe_find(v->bpe, (struct engine_text){name, strlen(name)});
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

static int read_ends(struct engine_vocabulary *v, const struct engine_file *f, struct error *e)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    if (read_id(v, f, "tokenizer.ggml.bos_token_id", &v->begin, e) ||
        read_id(v, f, "tokenizer.ggml.eos_token_id", &v->end, e))
        return ERROR_INPUT;
    int add = 0;
    v->begins = engine_file_boolean(f, "tokenizer.ggml.add_bos_token", &add) && add && v->begin >= 0;
    claim_names(v, ending_names, sizeof ending_names / sizeof *ending_names, 1);
    claim_names(v, control_names, sizeof control_names / sizeof *control_names, 0);
    if (v->end >= 0)
        v->tokens[v->end].ends = 1;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int id;
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
        if (t->kind == KIND_NORMAL)
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

static void read_chat(struct engine_vocabulary *v, const struct engine_file *f)
{
    struct engine_text template;
    v->turn_begin = find_name(v, "<|im_start|>");
    v->turn_end = find_name(v, "<|im_end|>");
    if (!engine_file_text(f, "tokenizer.chat_template", &template) || v->turn_begin < 0 || v->turn_end < 0)
        return;
    v->chat = engine_chat_family_of(template);
    if (v->chat == ENGINE_CHAT_CHATML)
        engine_chat_default_system(template, &v->system);
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

static int read_tokens(struct engine_vocabulary *v, const struct engine_file *f, const struct engine_text *names,
                       const struct engine_text *merges, int merge_count, struct error *e)
{
    v->tokens = input_alloc((size_t)v->count, sizeof *v->tokens);
    if (!v->tokens)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for its %d tokens", engine_file_path(f), v->count);
    int code = engine_bpe_create(&v->bpe, names, v->count, merges, merge_count, engine_file_path(f), e);
    if (code || (code = read_kinds(v, f, e)) || (code = read_ends(v, f, e)))
        return code;
    write_texts(v, names);
    collect_specials(v);
    read_chat(v, f);
    return OK;
}

/* tokenizer.ggml.model "gpt2". */
static int read_bpe(struct engine_vocabulary *v, const struct engine_file *f, struct error *e)
{
    struct engine_text pre = {"default", 7}, *names = NULL, *merges = NULL;
    int merge_count = 0;
    engine_file_text(f, "tokenizer.ggml.pre", &pre);
    int code = engine_pretokenizer_create(&v->pretokenizer, pre, engine_file_path(f), e);
    if (!code)
        code = read_texts(f, "tokenizer.ggml.tokens", &names, &v->count, e);
    if (!code)
        code = read_texts(f, "tokenizer.ggml.merges", &merges, &merge_count, e);
    if (!code)
        code = read_tokens(v, f, names, merges, merge_count, e);
    free(names);
    free(merges);
    return code;
}

static const struct tokenizer {
    const char *name;
    int (*read)(struct engine_vocabulary *v, const struct engine_file *f, struct error *e);
} tokenizers[] = {
    {"gpt2", read_bpe},
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
    int code = tokenizer->read(v, f, e);
    if (code) {
        engine_vocabulary_free(v);
        return code;
    }
    v->about = xasprintf("%s (%s)", tokenizer->name, engine_pretokenizer_name(v->pretokenizer));
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
    free(v->specials);
    free(v->about);
    string_free(&v->system);
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
    return engine_chat_family_name(v->chat);
}

int engine_vocabulary_begin(const struct engine_vocabulary *v)
{
    return v->begin;
}

int engine_vocabulary_end(const struct engine_vocabulary *v)
{
    return v->end;
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
    struct engine_bpe_scratch scratch;
    struct engine_tokens *out;
};

static void write_word(void *argument, const char *bytes, size_t n)
{
    struct writing *w = argument;
    engine_bpe_word(w->v->bpe, bytes, n, engine_pretokenizer_whole_words(w->v->pretokenizer), &w->scratch, w->out);
}

static void write_text(struct writing *w, const char *text, size_t n)
{
    if (n)
        engine_pretokenizer_split(w->v->pretokenizer, text, n, write_word, w);
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

/* Notes every special token whose name begins at text[at]: walks down the sorted names as down a trie. */
static void find_at(const struct engine_vocabulary *v, const char *text, size_t n, size_t at, int special,
                    struct finds *out)
{
    int low = 0, high = v->special_count;
    for (size_t depth = 0; low < high; depth++) {
        const struct special *s = &v->specials[low];
        if (s->name.length == depth) { /* the shortest is the first of those that begin alike */
            if (special || v->tokens[s->id].kind == KIND_USER_DEFINED) {
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

void engine_vocabulary_tokenize(const struct engine_vocabulary *v, const char *text, size_t n, int special,
                                struct engine_tokens *out)
{
    struct writing w = {.v = v, .out = out};
    struct finds found = {0};
    unsigned char looked_for = special ? FIRST_CONTROL | FIRST_USER_DEFINED : FIRST_USER_DEFINED;
    size_t from = 0;
    for (size_t at = 0; at < n; at++)
        if (v->first[(unsigned char)text[at]] & looked_for)
            find_at(v, text, n, at, special, &found);
    settle(&found, n);
    for (int i = 0; i < found.count; i++) {
        write_text(&w, text + from, found.items[i].at - from);
        engine_tokens_add(out, found.items[i].id);
        from = found.items[i].at + found.items[i].length;
    }
    write_text(&w, text + from, n - from);
    free(found.items);
    engine_bpe_scratch_free(&w.scratch);
}

/* --- conversations ----------------------------------------------------------------------------------------------- */

/* <|im_start|>role\ntext, as one text after the token: its beginning may merge with the newline. */
static void open_turn(const struct engine_vocabulary *v, const char *role, const char *text, struct engine_tokens *out)
{
    struct string s = {0};
    string_addf(&s, "%s\n%s", role, text);
    engine_tokens_add(out, v->turn_begin);
    engine_vocabulary_tokenize(v, s.text, s.length, 0, out);
    string_free(&s);
}

static void close_turn(const struct engine_vocabulary *v, struct engine_tokens *out)
{
    engine_tokens_add(out, v->turn_end);
    engine_vocabulary_tokenize(v, "\n", 1, 0, out);
}

/* A conversation whose last message is the assistant's stays open after it, to be continued. */
static void write_chatml(const struct engine_vocabulary *v, const struct engine_message *messages, int n,
                         struct engine_tokens *out)
{
    if (n && v->system.length && strcmp(messages[0].role, "system")) {
        open_turn(v, "system", v->system.text, out);
        close_turn(v, out);
    }
    for (int i = 0; i < n; i++) {
        open_turn(v, messages[i].role, messages[i].text, out);
        if (i + 1 == n && !strcmp(messages[i].role, "assistant"))
            return;
        close_turn(v, out);
    }
    open_turn(v, "assistant", "", out);
}

void engine_vocabulary_chat(const struct engine_vocabulary *v, const struct engine_message *messages, int n,
                            struct engine_tokens *out)
{
    if (v->chat == ENGINE_CHAT_CHATML) {
        write_chatml(v, messages, n, out);
        return;
    }
    struct string s = {0};
    if (v->begins)
        engine_tokens_add(out, v->begin);
    for (int i = 0; i < n; i++)
        string_addf(&s, "%s%s", i ? "\n\n" : "", messages[i].text);
    engine_vocabulary_tokenize(v, string_text(&s), s.length, 0, out);
    string_free(&s);
}
