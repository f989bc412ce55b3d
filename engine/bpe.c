/* Merging works on symbols: every token is one, and so is every text that occurs in a merge without being a token, for
 * merges are of texts, and what they make need not be in the vocabulary. Symbols below the number of tokens are tokens.
 */
#include "engine/bpe.h"

#include <stdlib.h>
#include <string.h>

/* --- GPT-2's alphabet -------------------------------------------------------------------------------------------- */

/* Bytes that are printable Latin-1 stand for themselves; the others, 00-20, 7f-a0 and ad, in order for U+0100 on. */
static int stands_for_itself(int byte)
{
    return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
}

static int character_of(int byte)
{
    return stands_for_itself(byte) ? byte : byte <= 0x20 ? 0x100 + byte : byte <= 0xa0 ? 0x121 + byte - 0x7f : 0x143;
}

/* The byte a character stands for, or -1. */
static int byte_of(int32_t c)
{
    if (c >= 0 && c < 0x100)
        return stands_for_itself((int)c) ? (int)c : -1;
    return c < 0 || c > 0x143 ? -1 : c <= 0x120 ? (int)c - 0x100 : c <= 0x142 ? (int)c - 0x121 + 0x7f : 0xad;
}

static size_t encode_byte(int byte, char out[2])
{
    int c = character_of(byte);
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = (char)(0xc0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3f));
    return 2;
}

void engine_bpe_decode(struct engine_text name, struct string *out)
{
    for (const char *p = name.bytes, *end = p + name.length; p < end;) {
        const char *start = p;
        int byte = byte_of(utf8_next(&p, end));
        char c = (char)byte;
        if (byte >= 0)
            string_append(out, &c, 1);
        else
            string_append(out, start, (size_t)(p - start));
    }
}

/* --- symbols and merges ------------------------------------------------------------------------------------------ */

struct merge {
    uint32_t left, right;
    int32_t rank; /* -1: an empty place */
    uint32_t result;
};

struct symbol { /* its text's place in the pool */
    size_t at, length;
};

/* Invariant: index is an open-addressed table of symbol + 1 by the hash of its text (0: an empty place); merges one of
 * merges by their two symbols; both have a power of two of places, at least half of them empty. */
struct engine_bpe {
    struct string pool; /* the symbols' texts */
    struct symbol *symbols;
    uint32_t symbol_count, symbol_capacity, token_count;
    uint32_t *index;
    size_t index_mask;
    struct merge *merges;
    size_t merge_mask;
    uint32_t of_byte[256];  /* the symbol of each byte, where words begin */
    int token_of_byte[256]; /* the token whose name is that one byte, or -1 */
};

enum { NONE = -1 };

static size_t places_for(size_t entries)
{
    size_t places = 64;
    while (places < 2 * entries)
        places *= 2;
    return places;
}

static struct engine_text symbol_text(const struct engine_bpe *b, uint32_t symbol)
{
    return (struct engine_text){b->pool.text + b->symbols[symbol].at, b->symbols[symbol].length};
}

/* The place of the text in the index: its own, or the empty one where it belongs. */
static uint32_t *index_place(const struct engine_bpe *b, struct engine_text text)
{
    size_t i = (size_t)hash_bytes(text.bytes, text.length) & b->index_mask;
    for (; b->index[i]; i = (i + 1) & b->index_mask) {
        struct engine_text there = symbol_text(b, b->index[i] - 1);
        if (there.length == text.length && !memcmp(there.bytes, text.bytes, text.length))
            break;
    }
    return &b->index[i];
}

static uint32_t add_symbol(struct engine_bpe *b, struct engine_text text)
{
    ARRAY_RESERVE(b->symbols, b->symbol_count, b->symbol_capacity);
    b->symbols[b->symbol_count] = (struct symbol){b->pool.length, text.length};
    string_append(&b->pool, text.bytes, text.length);
    return b->symbol_count++;
}

static uint32_t symbol_of(struct engine_bpe *b, struct engine_text text)
{
    uint32_t *place = index_place(b, text);
    if (!*place)
        *place = add_symbol(b, text) + 1;
    return *place - 1;
}

static struct merge *merge_place(const struct engine_bpe *b, uint32_t left, uint32_t right)
{
    uint64_t mixed = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15;
    size_t i = (size_t)(mixed >> 32) & b->merge_mask;
    while (b->merges[i].rank >= 0 && (b->merges[i].left != left || b->merges[i].right != right))
        i = (i + 1) & b->merge_mask;
    return &b->merges[i];
}

/* "left right": the first blank that is not the first byte divides them. Without one, as in llama.cpp, it is none. */
static void add_merge(struct engine_bpe *b, struct engine_text text, int rank, struct string *joined)
{
    const char *blank = text.length > 1 ? memchr(text.bytes + 1, ' ', text.length - 1) : NULL;
    if (!blank)
        return;
    struct engine_text left = {text.bytes, (size_t)(blank - text.bytes)};
    struct engine_text right = {blank + 1, text.length - left.length - 1};
    string_clear(joined);
    string_append(joined, left.bytes, left.length);
    string_append(joined, right.bytes, right.length);
    uint32_t l = symbol_of(b, left), r = symbol_of(b, right);
    struct merge *m = merge_place(b, l, r);
    if (m->rank < 0) /* of merges said twice the first counts */
        *m = (struct merge){l, r, rank, symbol_of(b, (struct engine_text){joined->text, joined->length})};
}

static int add_tokens(struct engine_bpe *b, const struct engine_text *names, int n, const char *path, struct error *e)
{
    for (int i = 0; i < n; i++) {
        uint32_t *place = names[i].length ? index_place(b, names[i]) : NULL;
        if (place && *place)
            return error_set(e, ERROR_INPUT, "%.200s: tokens %u and %d are both \"%.*s\": the file is damaged", path,
                             *place - 1, i, (int)(names[i].length < 80 ? names[i].length : 80), names[i].bytes);
        uint32_t symbol = add_symbol(b, names[i]);
        if (place)
            *place = symbol + 1;
    }
    b->token_count = (uint32_t)n;
    return OK;
}

int engine_bpe_create(struct engine_bpe **out, const struct engine_text *names, int n, const struct engine_text *merges,
                      int merge_count, const char *path, struct error *e)
{
    struct engine_bpe *b = xcalloc(1, sizeof *b);
    *out = NULL;
    b->index_mask = places_for((size_t)n + 3 * (size_t)merge_count + 256) - 1;
    b->merge_mask = places_for((size_t)merge_count) - 1;
    b->index = input_alloc(b->index_mask + 1, sizeof *b->index);
    b->merges = input_alloc(b->merge_mask + 1, sizeof *b->merges);
    int code = b->index && b->merges
                   ? add_tokens(b, names, n, path, e)
                   : error_set(e, ERROR_INPUT, "%.200s: not enough memory for its %d tokens", path, n);
    if (code) {
        engine_bpe_free(b);
        return code;
    }
    for (size_t i = 0; i <= b->merge_mask; i++)
        b->merges[i].rank = -1;
    struct string joined = {0};
    for (int i = 0; i < merge_count; i++)
        add_merge(b, merges[i], i, &joined);
    string_free(&joined);
    for (int byte = 0; byte < 256; byte++) {
        char name[2];
        size_t length = encode_byte(byte, name);
        b->of_byte[byte] = symbol_of(b, (struct engine_text){name, length});
    }
    for (int byte = 0; byte < 256; byte++) {
        char name = (char)byte;
        b->token_of_byte[byte] = engine_bpe_find(b, (struct engine_text){&name, 1});
    }
    *out = b;
    return OK;
}

void engine_bpe_free(struct engine_bpe *b)
{
    if (!b)
        return;
    string_free(&b->pool);
    free(b->symbols);
    free(b->index);
    free(b->merges);
    free(b);
}

int engine_bpe_find(const struct engine_bpe *b, struct engine_text name)
{
    uint32_t place = *index_place(b, name);
    return place && place <= b->token_count ? (int)place - 1 : -1;
}

/* --- merging ----------------------------------------------------------------------------------------------------- */

/* A word as a chain. Invariant: the parts that are alive, from part 0 on by next, spell the word. */
struct engine_bpe_part {
    uint32_t symbol;
    int previous, next; /* NONE at the ends */
    int alive;
};

/* Two neighbours that can merge, as they were when this was noted. Order: rank, then place. */
struct engine_bpe_pair {
    uint64_t order; /* rank << 32 | place of the left one */
    uint32_t left, right, result;
};

void engine_bpe_scratch_free(struct engine_bpe_scratch *s)
{
    free(s->parts);
    free(s->heap);
    *s = (struct engine_bpe_scratch){0};
}

static void heap_push(struct engine_bpe_scratch *s, struct engine_bpe_pair pair)
{
    ARRAY_RESERVE(s->heap, s->heap_count, s->heap_capacity);
    int i = s->heap_count++;
    for (; i && s->heap[(i - 1) / 2].order > pair.order; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = pair;
}

static struct engine_bpe_pair heap_pop(struct engine_bpe_scratch *s)
{
    struct engine_bpe_pair top = s->heap[0], last = s->heap[--s->heap_count];
    int i = 0;
    for (int child; (child = 2 * i + 1) < s->heap_count; i = child) {
        child += child + 1 < s->heap_count && s->heap[child + 1].order < s->heap[child].order;
        if (s->heap[child].order >= last.order)
            break;
        s->heap[i] = s->heap[child];
    }
    s->heap[i] = last;
    return top;
}

static void note_pair(const struct engine_bpe *b, struct engine_bpe_scratch *s, int left, int right)
{
    if (left == NONE || right == NONE)
        return;
    const struct merge *m = merge_place(b, s->parts[left].symbol, s->parts[right].symbol);
    if (m->rank >= 0)
        heap_push(s, (struct engine_bpe_pair){(uint64_t)m->rank << 32 | (uint32_t)left, m->left, m->right, m->result});
}

static void chain(const struct engine_bpe *b, const char *bytes, int n, struct engine_bpe_scratch *s)
{
    if ((size_t)n > s->parts_capacity) {
        s->parts_capacity = (size_t)n * 2;
        s->parts = xrealloc(s->parts, s->parts_capacity * sizeof *s->parts);
    }
    for (int i = 0; i < n; i++)
        s->parts[i] = (struct engine_bpe_part){b->of_byte[(unsigned char)bytes[i]], i - 1, i + 1 < n ? i + 1 : NONE, 1};
    s->heap_count = 0;
    for (int i = 1; i < n; i++)
        note_pair(b, s, i - 1, i);
}

static void append_symbol(const struct engine_bpe *b, uint32_t symbol, struct engine_tokens *out)
{
    if (symbol < b->token_count) {
        engine_tokens_add(out, (int)symbol);
        return;
    }
    /* Not a token: those bytes of its name that are, and nothing for the others, as in llama.cpp. */
    struct engine_text text = symbol_text(b, symbol);
    for (size_t i = 0; i < text.length; i++) {
        int id = b->token_of_byte[(unsigned char)text.bytes[i]];
        if (id >= 0)
            engine_tokens_add(out, id);
    }
}

static int whole_token(const struct engine_bpe *b, const char *bytes, size_t n)
{
    struct string name = {0};
    for (size_t i = 0; i < n; i++) {
        char encoded[2];
        string_append(&name, encoded, encode_byte((unsigned char)bytes[i], encoded));
    }
    int id = engine_bpe_find(b, (struct engine_text){string_text(&name), name.length});
    string_free(&name);
    return id;
}

void engine_bpe_word(const struct engine_bpe *b, const char *bytes, size_t n, int whole, struct engine_bpe_scratch *s,
                     struct engine_tokens *out)
{
    int id = whole ? whole_token(b, bytes, n) : -1;
    if (id >= 0) {
        engine_tokens_add(out, id);
        return;
    }
    chain(b, bytes, (int)n, s);
    while (s->heap_count) {
        struct engine_bpe_pair pair = heap_pop(s);
        struct engine_bpe_part *left = &s->parts[(uint32_t)pair.order];
        if (!left->alive || left->symbol != pair.left || left->next == NONE ||
            s->parts[left->next].symbol != pair.right)
            continue; /* one of the two has merged with another since */
        struct engine_bpe_part *right = &s->parts[left->next];
        right->alive = 0;
        left->symbol = pair.result;
        left->next = right->next;
        if (left->next != NONE)
            s->parts[left->next].previous = (int)(left - s->parts);
        note_pair(b, s, left->previous, (int)(left - s->parts));
        note_pair(b, s, (int)(left - s->parts), left->next);
    }
    for (int i = n ? 0 : NONE; i != NONE; i = s->parts[i].next)
        append_symbol(b, s->parts[i].symbol, out);
}
