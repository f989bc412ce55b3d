/* Brute force for problems of numbers, written apart from the program's own solver. */
#ifndef ESPALIER_TESTS_SOLVER_H
#define ESPALIER_TESTS_SOLVER_H

#include <stdlib.h>

#include "search/rational.h"

enum { MOST = 6 };

/* Can the numbers reach the target? whole: with non-negative whole results only. */
static inline int solvable(const struct search_rational *list, int count, struct search_rational target, int whole)
{
    if (count == 1)
        return !search_rational_compare(list[0], target);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            for (const char *op = "+*-/"; i != j && *op; op++) {
                struct search_rational rest[MOST], value;
                int n = 0;
                if ((i > j && (*op == '+' || *op == '*')) || search_rational_do(list[i], *op, list[j], &value) ||
                    (whole && (value.den != 1 || value.num < 0)))
                    continue;
                for (int k = 0; k < count; k++)
                    if (k != i && k != j)
                        rest[n++] = list[k];
                rest[n++] = value;
                if (solvable(rest, n, target, whole))
                    return 1;
            }
    return 0;
}

static inline int solvable_text(const char *numbers, const char *target, int whole)
{
    struct search_rational list[MOST];
    int count = 0;
    for (const char *p = numbers; *p && count < MOST; p += strspn(p, " "))
        list[count++] = (struct search_rational){strtol(p, (char **)&p, 10), 1};
    return solvable(list, count, (struct search_rational){atol(target), 1}, whole);
}

#endif
