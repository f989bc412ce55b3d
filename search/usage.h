/* Counting tokens as a search with an unlimited cache of its own would compute them. Private to search/.
 *
 * What an engine has cached depends on its memory and on what else it does; the bill of a search must not. So it is
 * kept here: a token of a prompt is free when the prompt up to and with it began an earlier prompt, completion
 * included, of the same search. All sequences so far are held in one tree with an edge for each run of tokens that they
 * share.
 */
#ifndef ESPALIER_SEARCH_USAGE_H
#define ESPALIER_SEARCH_USAGE_H

#include "search/search.h"

/* Invariant: edges of siblings begin with different tokens; no edge but the root's is empty. {0} is an empty one. */
struct search_prefixes {
    struct search_edge {
        int first, length;  /* its tokens: pool[first .. first + length) */
        int child, sibling; /* -1: none */
    } * edges;              /* [0] is the root */
    int count, capacity;
    int *pool;
    int pool_count, pool_capacity;
};
/* How many of the first tokens began an earlier sequence. */
int search_prefixes_find(const struct search_prefixes *p, const int *tokens, int n);
void search_prefixes_add(struct search_prefixes *p, const int *tokens, int n);
void search_prefixes_free(struct search_prefixes *p);

/* The bill of one sample of an item, whose first sample pays for the prompt. */
struct search_usage search_usage_of(const struct engine *engine, int prompt, int cached, int completion);

#endif
