/* Exact fractions of 64-bit whole numbers. What does not fit is said, never rounded. Private to search/. */
#ifndef ESPALIER_SEARCH_RATIONAL_H
#define ESPALIER_SEARCH_RATIONAL_H

#include "kernels/kernels.h"

/* Invariant: den > 0, no common divisor, |num| and den at most INT64_MAX. */
struct search_rational {
    int64_t num, den;
};

enum search_rational_status { SEARCH_RATIONAL_OK, SEARCH_RATIONAL_TOO_LARGE, SEARCH_RATIONAL_BY_ZERO };

/* op is one of + - * /. */
enum search_rational_status search_rational_do(struct search_rational a, char op, struct search_rational b,
                                               struct search_rational *out);
int search_rational_compare(struct search_rational a, struct search_rational b); /* <0, 0, >0 */

/* Read digits[.digits] from *p (before end), exactly; advances *p past it. SEARCH_RATIONAL_OK with *p where it was when
 * no digit is there. */
enum search_rational_status search_rational_read(const char **p, const char *end, struct search_rational *out);

/* Append "7", "-7", "2/3"; decimal: "1.5" where that is exact in at most 18 places. */
void search_rational_print(struct string *out, struct search_rational a, int decimal);

#endif
