/* Grammars in GBNF, and where a text stands in one.
 *
 * A grammar is compiled to a graph over bytes: a code point is the bytes of its UTF-8, so a token that ends inside a
 * character needs no special care. Where a text stands is a set of stacks (what is left of the rules that have begun,
 * one for each way of reading the text so far), all of them moved on by each byte. Private to engine/.
 */
#ifndef ESPALIER_ENGINE_GRAMMAR_H
#define ESPALIER_ENGINE_GRAMMAR_H

#include "engine/engine.h"
#include "engine/trie.h"

enum {
    ENGINE_GRAMMAR_BYTES = 1 << 20, /* of text */
    ENGINE_GRAMMAR_RULES = 4096,
    ENGINE_GRAMMAR_NODES = 1 << 17, /* what repetitions may unfold to */
    ENGINE_GRAMMAR_REPEATS = 4096,  /* the greatest number in {} */
    ENGINE_GRAMMAR_RANGES = 1024,   /* in one [] */
    ENGINE_GRAMMAR_DEPTH = 100,     /* of parentheses */
    ENGINE_GRAMMAR_STACKS = 1 << 15, /* ways of reading one text */
    ENGINE_MATCHER_MEMORY = 4 << 20, /* for each request */
};

/* --- the graph --------------------------------------------------------------------------------------------------- */

enum engine_grammar_kind {
    ENGINE_GRAMMAR_RETURN, /* the end of a rule; node 0, the only one */
    ENGINE_GRAMMAR_MATCH,  /* a byte: edges[a .. a + b) */
    ENGINE_GRAMMAR_SPLIT,  /* go on at a or at b */
    ENGINE_GRAMMAR_CALL,   /* rule a, then node b */
};
struct engine_grammar_node {
    enum engine_grammar_kind kind;
    int a, b;
};
struct engine_grammar_edge {
    unsigned char low, high;
    int next;
};

/* Invariants: no rule can reach itself before a byte (so following SPLIT, CALL and RETURN ends), every rule matches
 * some text (so where a byte can be taken, an end can be reached), classes are such that bytes of one class take the
 * same edges everywhere. */
struct engine_grammar {
    struct engine_grammar_node *nodes;
    int node_count, node_capacity;
    struct engine_grammar_edge *edges;
    int edge_count, edge_capacity;
    int *entries; /* the first node of each rule */
    int rule_count, root;
    unsigned char class_of[256];
    int classes;
    const struct engine_trie *trie; /* NULL: only read, not to be matched with tokens */
};

/* Text to graph. On failure *out is empty, *offset is the byte of the text where it is wrong and the message of *e says
 * what, without the place. What *out holds is freed by engine_grammar_clear. */
int engine_grammar_parse(struct engine_grammar *out, const char *text, size_t *offset, struct error *e);
void engine_grammar_clear(struct engine_grammar *g);
/* As engine_grammar_compile, which calls it; the trie must outlive it. */
int engine_grammar_create(struct engine_grammar **out, const struct engine_trie *trie, const char *text, struct error *e);

/* --- matching ---------------------------------------------------------------------------------------------------- */

/* Where one text stands. One thread at a time. What it finds out it keeps (a deterministic automaton, made as it is
 * walked), so that masks come fast; what it answers does not depend on that. */
struct engine_matcher;
/* At the beginning of a text. The grammar must outlive it. memory: about how many bytes it may remember between masks
 * (four times that in the middle of one); what is beyond is forgotten and found out again. */
struct engine_matcher *engine_matcher_create(const struct engine_grammar *g, size_t memory);
void engine_matcher_free(struct engine_matcher *m);
size_t engine_matcher_bytes(const struct engine_matcher *m); /* memory in use, about */

/* The next n bytes of the text. ERROR_INPUT, and nothing has moved, when they cannot follow, or when there are more
 * than ENGINE_GRAMMAR_STACKS ways to read them. */
int engine_matcher_take(struct engine_matcher *m, const char *bytes, size_t n, struct error *e);
int engine_matcher_can_end(const struct engine_matcher *m);
int engine_matcher_can_go_on(const struct engine_matcher *m); /* some byte can follow */

/* Which tokens can come next: bit id % 64 of bits[id / 64]. All the bytes of a token must fit; endings come exactly
 * where the text can end; tokens without text never. *allowed is how many. The bits are the matcher's, until it is
 * called again. ERROR_INPUT as above. */
int engine_matcher_mask(struct engine_matcher *m, const uint64_t **bits, int *allowed, struct error *e);
/* Append the bytes that can follow, for a person: '0' to '9', '-'. */
void engine_matcher_expected(const struct engine_matcher *m, struct string *out);

#endif
