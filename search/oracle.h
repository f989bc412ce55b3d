/* The exact solver behind the oracle. Private to search/. */
#ifndef ESPALIER_SEARCH_ORACLE_H
#define ESPALIER_SEARCH_ORACLE_H

#include "search/rational.h"
#include "search/search.h"

enum { SEARCH_ORACLE_NUMBERS = 6 };

/* Numbers with blanks between them: "2/3 -4 1.5". Returns how many, or -1: not that, or more than SEARCH_ORACLE_NUMBERS. */
int search_oracle_read(const char *text, struct search_rational *out);
/* The same as search_oracle_ask, without remembering. count is 1..SEARCH_ORACLE_NUMBERS. */
enum search_mark search_oracle_solve(const struct search_rational *numbers, int count, struct search_rational target);
/* The numbers a tree's problem begins with, within its text, and its target. Returns how many, or 0 when it is not a problem of numbers. */
int search_oracle_problem(const struct search_tree *tree, const char **numbers, const char **target);

#endif
