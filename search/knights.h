/* Knights and knaves: two people, each always truthful (a knight) or never (a knave), who speak of each other. Private to search/. */
#ifndef ESPALIER_SEARCH_KNIGHTS_H
#define ESPALIER_SEARCH_KNIGHTS_H

#include "kernels/kernels.h"

enum { SEARCH_KNIGHTS_MOST = 8, SEARCH_KNIGHTS_NAME = 32, SEARCH_KNIGHTS_FORMS = 16 };

/* A case is 0 to 3, in the order in which they are listed: bit 1 says that the first person is a knave, bit 0 that the second is. */
struct search_knights {
    char names[2][SEARCH_KNIGHTS_NAME]; /* of the first to speak, and of the other */
    struct {
        int speaker, form;
    } said[SEARCH_KNIGHTS_MOST];
    int count;
};

/* The cases, a bit each, in which every knight has said nothing false and every knave nothing true. One bit: there is one solution. */
unsigned search_knights_solve(const struct search_knights *k);
/* "Ann says: Bob is a knave. Bob says: we are of the same kind." malloc'ed. */
char *search_knights_text(const struct search_knights *k);
/* "Ann knight, Bob knave". malloc'ed. */
char *search_knights_case(const struct search_knights *k, int which);

#endif
