/* Arithmetic as models write it: + - * / ( ), also × · ÷ − and x between numbers, whole numbers and decimals, unary
 * minus; read into a tree, evaluated exactly. Private to search/.
 */
#ifndef ESPALIER_SEARCH_EXPRESSION_H
#define ESPALIER_SEARCH_EXPRESSION_H

#include "search/rational.h"

enum { SEARCH_EXPRESSION_DEPTH = 200, SEARCH_EXPRESSION_NODES = 512 };

/* Invariant: the children of a node come before it, so the last node is the root; op is 0 for a number (value), 'n' for
 * a unary minus (left only), or + - * /. */
struct search_expression {
    int count;
    struct search_expression_node {
        char op;
        struct search_rational value;
        short left, right;
    } nodes[SEARCH_EXPRESSION_NODES];
};

/* The operator at *p (before end) as + - * or /, *p advanced past it; or 0, *p as it was. */
char search_expression_operator(const char **p, const char *end);

/* All n bytes must be one expression. Returns NULL, or what is wrong, for a person: "unbalanced parenthesis". */
const char *search_expression_parse(const char *text, size_t n, struct search_expression *out);

/* NULL and the value, or "division by zero", "too large". */
const char *search_expression_value(const struct search_expression *x, struct search_rational *out);

/* All n bytes must be one number: 7, -7, 1.5, 2/3, (-2/3). NULL and its value, or what is wrong. */
const char *search_expression_number(const char *text, size_t n, struct search_rational *out);

/* The numbers in it, as written, left to right; at most SEARCH_EXPRESSION_NODES. Returns how many. */
int search_expression_numbers(const struct search_expression *x, struct search_rational *out);

/* Append one form of it that ignores what does not matter: the order of what is added or multiplied, and parentheses
 * around it. (5 - 1) * (10 - 4) and (10-4)*(5-1) print alike; different ways of reaching a value do not. */
void search_expression_print(const struct search_expression *x, struct string *out);

#endif
