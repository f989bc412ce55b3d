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

/* Invariant: merges is an open-addressed table of merges by their two symbols, with a power of two of places, at least half of them empty. */
struct engine_bpe {
    struct engine_names *symbols;
    uint32_t token_count;
    struct merge *merges;
    size_t merge_mask;
    uint32_t of_byte[256];  /* the symbol of each byte, where words begin */
    int token_of_byte[256]; /* the token whose name is that one byte, or -1 */
};

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
    uint32_t l = engine_names_put(b->symbols, left), r = engine_names_put(b->symbols, right);
    struct merge *m = merge_place(b, l, r);
    if (m->rank < 0) /* of merges said twice the first counts */
        *m = (struct merge){l, r, rank, engine_names_put(b->symbols, (struct engine_text){joined->text, joined->length})};
}

static int find(const struct engine_bpe *b, struct engine_text name)
{
    int64_t symbol = engine_names_find(b->symbols, name);
    return symbol >= 0 && symbol < b->token_count ? (int)symbol : -1;
}

int engine_bpe_create(struct engine_bpe **out, struct engine_names *names, const struct engine_text *merges, int merge_count, const char *path,
                      struct error *e)
{
    size_t places = 64;
    while (places < 2 * (size_t)merge_count)
        places *= 2;
    struct merge *table = input_alloc(places, sizeof *table);
    *out = NULL;
    if (!table)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for its %d merges", path, merge_count);
    struct engine_bpe *b = xcalloc(1, sizeof *b);
    *b = (struct engine_bpe){.symbols = names, .token_count = names->count, .merges = table, .merge_mask = places - 1};
    for (size_t i = 0; i <= b->merge_mask; i++)
        b->merges[i].rank = -1;
    struct string joined = {0};
    for (int i = 0; i < merge_count; i++)
        add_merge(b, merges[i], i, &joined);
    string_free(&joined);
    for (int byte = 0; byte < 256; byte++) {
        char name[2];
        size_t length = encode_byte(byte, name);
        b->of_byte[byte] = engine_names_put(b->symbols, (struct engine_text){name, length});
    }
    for (int byte = 0; byte < 256; byte++) {
        char name = (char)byte;
        b->token_of_byte[byte] = find(b, (struct engine_text){&name, 1});
    }
    *out = b;
    return OK;
}

void engine_bpe_free(struct engine_bpe *b)
{
    if (!b)
        return;
    free(b->merges);
    free(b);
}

/* --- merging ----------------------------------------------------------------------------------------------------- */

static int merges(const void *context, const struct engine_chain_part *left, const struct engine_chain_part *right, uint32_t *rank,
                  uint32_t *symbol)
{
    const struct merge *m = merge_place(context, left->symbol, right->symbol);
    *rank = (uint32_t)m->rank;
    *symbol = m->result;
    return m->rank >= 0;
}

static void append_symbol(const struct engine_bpe *b, uint32_t symbol, struct engine_tokens *out)
{
    if (symbol < b->token_count) {
        engine_tokens_add(out, (int)symbol);
        return;
    }
    /* Not a token: those bytes of its name that are, and nothing for the others, as in llama.cpp. */
    struct engine_text text = engine_names_text(b->symbols, symbol);
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
    int id = find(b, (struct engine_text){string_text(&name), name.length});
    string_free(&name);
    return id;
}

void engine_bpe_word(const struct engine_bpe *b, const char *bytes, size_t n, int whole, struct engine_chain *c, struct engine_tokens *out)
{
    int id = whole ? whole_token(b, bytes, n) : -1;
    if (id >= 0) {
        engine_tokens_add(out, id);
        return;
    }
    engine_chain_clear(c);
    for (size_t i = 0; i < n; i++)
        engine_chain_add(c, b->of_byte[(unsigned char)bytes[i]], 1);
    engine_chain_merge(c, merges, b);
    for (int i = engine_chain_first(c); i != ENGINE_CHAIN_END; i = c->parts[i].next)
        append_symbol(b, c->parts[i].symbol, out);
}
