/* The reference is llama.cpp, but that a token which is not mergeable is never made: as in SentencePiece itself, and no text can form a
 * control token. */
#include "engine/sentencepiece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLANK "\xe2\x96\x81" /* U+2581 */
enum { NONE = -1 };

struct engine_sentencepiece {
    const struct engine_names *names;
    uint32_t *ranks; /* of each name: lower is earlier; NEVER: not mergeable */
    size_t longest;  /* name, in bytes */
    int of_byte[256]; /* the token of each byte, the unknown one, or NONE */
};

#define NEVER UINT32_MAX

/* Ranks in the order of scores, the greatest first, equal ones alike: the bits of a float sort as integers once those of negative
 * numbers are turned around. */
static uint32_t rank_of(double score)
{
    float f = (float)score + 0.0f; /* -0 is 0 */
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits >> 31 ? bits : 0x7fffffff - bits;
}

static void find_bytes(struct engine_sentencepiece *s, int unknown)
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8], alone = (char)byte;
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        int64_t id = engine_names_find(s->names, (struct engine_text){name, 6});
        if (id < 0)
            id = engine_names_find(s->names, (struct engine_text){&alone, 1});
        s->of_byte[byte] = id < 0 ? unknown : (int)id;
    }
}

int engine_sentencepiece_create(struct engine_sentencepiece **out, const struct engine_names *names, const double *scores,
                                const unsigned char *mergeable, int unknown, const char *path, struct error *e)
{
    uint32_t *ranks = input_alloc(names->count, sizeof *ranks);
    *out = NULL;
    if (!ranks)
        return error_set(e, ERROR_INPUT, "%.200s: not enough memory for its %u tokens", path, names->count);
    struct engine_sentencepiece *s = xcalloc(1, sizeof *s);
    *s = (struct engine_sentencepiece){.names = names, .ranks = ranks};
    for (uint32_t i = 0; i < names->count; i++) {
        if (isnan(scores[i])) {
            engine_sentencepiece_free(s);
            return error_set(e, ERROR_INPUT, "%.200s: tokenizer.ggml.scores has no number for token %u: the file is damaged", path, i);
        }
        ranks[i] = mergeable[i] ? rank_of(scores[i]) : NEVER;
        if (names->items[i].length > s->longest)
            s->longest = names->items[i].length;
    }
    find_bytes(s, unknown);
    *out = s;
    return OK;
}

void engine_sentencepiece_free(struct engine_sentencepiece *s)
{
    if (!s)
        return;
    free(s->ranks);
    free(s);
}

void engine_sentencepiece_decode(struct engine_text name, struct string *out)
{
    for (size_t i = 0; i < name.length;) {
        int blank = name.length - i >= strlen(BLANK) && !memcmp(name.bytes + i, BLANK, strlen(BLANK));
        string_append(out, blank ? " " : name.bytes + i, 1);
        i += blank ? strlen(BLANK) : 1;
    }
}

/* --- text to ids ------------------------------------------------------------------------------------------------- */

struct writing {
    const struct engine_sentencepiece *s;
    const char *text;
};

/* The symbol of a part is its token, or the number of tokens where it is none. */
static uint32_t symbol_at(const struct writing *w, uint32_t at, uint32_t length)
{
    int64_t id = engine_names_find(w->s->names, (struct engine_text){w->text + at, length});
    return id < 0 || w->s->ranks[id] == NEVER ? w->s->names->count : (uint32_t)id;
}

static int merges(const void *context, const struct engine_chain_part *left, const struct engine_chain_part *right, uint32_t *rank,
                  uint32_t *symbol)
{
    const struct writing *w = context;
    uint32_t length = left->length + right->length;
    if (length > w->s->longest)
        return 0;
    *symbol = symbol_at(w, left->at, length);
    if (*symbol == w->s->names->count)
        return 0;
    *rank = w->s->ranks[*symbol];
    return 1;
}

/* The bytes of the character that begins with this one, by its shape alone, as the reference cuts text. */
static uint32_t character_length(char lead)
{
    unsigned char c = (unsigned char)lead;
    return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static void write_part(const struct writing *w, const struct engine_chain_part *part, struct engine_tokens *out)
{
    if (part->symbol < w->s->names->count) {
        engine_tokens_add(out, (int)part->symbol);
        return;
    }
    for (uint32_t i = 0; i < part->length; i++) {
        int id = w->s->of_byte[(unsigned char)w->text[part->at + i]];
        if (id != NONE)
            engine_tokens_add(out, id);
    }
}

void engine_sentencepiece_write(const struct engine_sentencepiece *s, const char *bytes, size_t n, int blank, struct engine_chain *c,
                                struct engine_tokens *out)
{
    struct string text = {0};
    if (blank)
        string_add(&text, BLANK);
    for (size_t i = 0; i < n; i++)
        string_append(&text, bytes[i] == ' ' ? BLANK : bytes + i, bytes[i] == ' ' ? strlen(BLANK) : 1);
    struct writing w = {s, string_text(&text)};
    engine_chain_clear(c);
    for (size_t at = 0; at < text.length;) {
        uint32_t length = character_length(text.text[at]);
        if (length > text.length - at)
            length = (uint32_t)(text.length - at);
        engine_chain_add(c, symbol_at(&w, (uint32_t)at, length), length);
        at += length;
    }
    engine_chain_merge(c, merges, &w);
    for (int i = engine_chain_first(c); i != ENGINE_CHAIN_END; i = c->parts[i].next)
        write_part(&w, &c->parts[i], out);
    string_free(&text);
}
