/* Problems drawn by a seed, so that there are always unseen ones. Private to search/.
 *
 * Each problem has a key: one text for all problems that are alike but for what does not matter. Keys whose 64-bit FNV-1a is 0 mod 10
 * are the test split, and so are ranks 901 to 1000 of the Game of 24; nothing else is. A problem belongs to its key's split whatever the seed
 * and the task, so that what was trained on one is never asked in the other.
 *
 *   countdown, game24, sorting   the numbers, ascending
 *   arithmetic-chain             the problem itself
 *   knights                      the puzzle with the names A and B, the same whichever of the two is named first
 */
#ifndef ESPALIER_SEARCH_GENERATE_H
#define ESPALIER_SEARCH_GENERATE_H

#include "search/search.h"

extern const char *const search_generators[]; /* names, NULL at the end */

/* The random numbers of one row, and which split is wanted: draw `index` is random_uniform(seed, row, index). */
struct search_draws {
    enum search_split split;
    uint64_t seed, row, index;
};
struct search_drawn {
    char *key, *problem;
    char *target, *answer; /* or NULL: there is none */
};
/* One attempt at a problem of the split; 0 when the draw came to nothing. Strings are malloc'ed; free them with search_drawn_free. */
int search_draw(const char *generator, struct search_draws *d, struct search_drawn *out);
void search_drawn_free(struct search_drawn *drawn);
enum search_split search_split_of(const char *key);
double search_draw_uniform(struct search_draws *d);        /* from 0 to 1, the next of the row */
int search_draw_below(struct search_draws *d, int below);  /* 0 .. below - 1 */
void search_draw_four(struct search_draws *d, int out[4]); /* one of the 1,820 multisets of four numbers from 1 to 13, each as likely; ascending */

#endif
