/* The texts of a vocabulary as a tree of bytes, so that what they have in common is looked at once. Tokens without text
 * (control tokens, unused ones) are not in it, nor are those that end a text or a turn: these are in a list of their own.
 */
#ifndef ESPALIER_ENGINE_TRIE_H
#define ESPALIER_ENGINE_TRIE_H

#include "engine/vocabulary.h"

/* A node of the tree, reached by its byte from its parent. Nodes lie in preorder, siblings by ascending byte: the children
 * of a node come right after it, and what is not below it begins at `end`. The tokens that end at node i are
 * ids[nodes[i].first .. nodes[i + 1].first). */
struct engine_trie_node {
    int end, first;
    int depth; /* of the root 0 */
    unsigned char byte;
};

/* Invariant: nodes[0] is the root, nodes[count] an end mark; nothing changes once it has been built. */
struct engine_trie {
    struct engine_trie_node *nodes;
    int count, deepest;
    int *ids;
    int *endings; /* ids of tokens that end a text or a turn */
    int ending_count, vocabulary;
};

/* Built when it is first asked for, from any thread; one for a vocabulary, which must outlive it. */
struct engine_trie_holder;
struct engine_trie_holder *engine_trie_hold(const struct engine_vocabulary *v);
const struct engine_trie *engine_trie_get(struct engine_trie_holder *holder);
void engine_trie_free(struct engine_trie_holder *holder);

#endif
