/* What is left of a few small numbers: every step from there, and whether a target can still be made, fast enough to be asked millions of
 * times. search_oracle_ask answers the same for up to six numbers of any size, one question at a time. Private to search/.
 *
 * Differences are taken the positive way round, so nothing is ever negative; what can be made at all can be made so. */
#ifndef ESPALIER_SEARCH_REACH_H
#define ESPALIER_SEARCH_REACH_H

#include "search/rational.h"

enum { SEARCH_LEFT_MOST = 4, SEARCH_LEFT_MOVES = 30, SEARCH_LEFT_LARGEST = 999 };

/* Ascending; unused places are 0, so that equal ones are equal in all bytes. Begun from whole numbers up to SEARCH_LEFT_LARGEST, so that all
 * that comes of them, and products of it, fit 64 bits. */
struct search_left {
    int64_t count;
    struct search_rational list[SEARCH_LEFT_MOST];
};
struct search_move { /* a op b = value; of a sum or product a is the smaller, of a difference the greater */
    struct search_rational a, b, value;
    char op;
    struct search_left after;
};
struct search_left search_left_of(const int *numbers, int count);
void search_left_print(struct string *out, const struct search_left *left);      /* "2/3 4 11" */
void search_move_print(struct string *out, const struct search_move *move);      /* "4 + 4 = 8 (left: 8 10)", as the verifier reads it */
/* Every step, no two that read alike; whole: only those that come to a whole number. Returns how many. */
int search_left_moves(const struct search_left *left, int whole, struct search_move out[SEARCH_LEFT_MOVES]);

struct search_reach; /* answers given are remembered, the latest of them */
struct search_reach *search_reach_open(void);
void search_reach_close(struct search_reach *reach);
/* Can the target be made from these, each used once? whole: with whole results all the way. */
int search_reach_ask(struct search_reach *reach, const struct search_left *left, int64_t target, int whole);

#endif
