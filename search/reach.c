#include "search/reach.h"

#include <stdlib.h>
#include <string.h>

/* --- steps ------------------------------------------------------------------------------------------------------- */

static struct search_rational fraction(int64_t num, int64_t den)
{
    int64_t a = num, b = den;
    if (den == 1)
        return (struct search_rational){num, 1};
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return (struct search_rational){num / a, den / a};
}

static int is_less(struct search_rational a, struct search_rational b)
{
    return a.num * b.den < b.num * a.den;
}

static int is_same(struct search_rational a, struct search_rational b)
{
    return a.num == b.num && a.den == b.den;
}

static void insert(struct search_left *left, struct search_rational x)
{
    int64_t at = left->count++;
    for (; at > 0 && is_less(x, left->list[at - 1]); at--)
        left->list[at] = left->list[at - 1];
    left->list[at] = x;
}

struct search_left search_left_of(const int *numbers, int count)
{
    struct search_left left = {0};
    for (int i = 0; i < count; i++)
        insert(&left, (struct search_rational){numbers[i], 1});
    return left;
}

void search_left_print(struct string *out, const struct search_left *left)
{
    for (int i = 0; i < left->count; i++) {
        string_add(out, i ? " " : "");
        search_rational_print(out, left->list[i], 0);
    }
}

void search_move_print(struct string *out, const struct search_move *move)
{
    search_rational_print(out, move->a, 0);
    string_addf(out, " %c ", move->op);
    search_rational_print(out, move->b, 0);
    string_add(out, " = ");
    search_rational_print(out, move->value, 0);
    string_add(out, " (left: ");
    search_left_print(out, &move->after);
    string_add(out, ")");
}

/* The steps on two numbers, a <= b, beside which `rest` is left. */
static int moves_on(struct search_rational a, struct search_rational b, const struct search_left *rest, int whole, struct search_move *out)
{
    const struct search_move all[] = {
        {a, b, fraction(a.num * b.den + b.num * a.den, a.den * b.den), '+', {0}},
        {a, b, fraction(a.num * b.num, a.den * b.den), '*', {0}},
        {b, a, fraction(b.num * a.den - a.num * b.den, a.den * b.den), '-', {0}},
        {b, a, a.num ? fraction(b.num * a.den, b.den * a.num) : (struct search_rational){0, 0}, '/', {0}},
        {a, b, b.num && !is_same(a, b) ? fraction(a.num * b.den, a.den * b.num) : (struct search_rational){0, 0}, '/', {0}},
    };
    int count = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!all[i].value.den || (whole && all[i].value.den > 1))
            continue;
        out[count] = all[i];
        out[count].after = *rest;
        insert(&out[count++].after, all[i].value);
    }
    return count;
}

int search_left_moves(const struct search_left *left, int whole, struct search_move out[SEARCH_LEFT_MOVES])
{
    const struct search_rational *list = left->list;
    int count = 0;
    for (int i = 0; i < left->count; i++)
        for (int j = i + 1; j < left->count; j++) {
            /* of equal numbers the first, and the one after it as the other operand */
            if ((i && is_same(list[i - 1], list[i])) || (j - 1 > i && is_same(list[j - 1], list[j])))
                continue;
            struct search_left rest = {0};
            for (int k = 0; k < left->count; k++)
                if (k != i && k != j)
                    rest.list[rest.count++] = list[k];
            count += moves_on(list[i], list[j], &rest, whole, out + count);
        }
    return count;
}

/* --- reaching ---------------------------------------------------------------------------------------------------- */

enum { PLACES = 1 << 16 };

struct answer {
    struct search_left left; /* count 0: none yet */
    int64_t target;
    int whole, reached;
};

/* A question has one place, where a later one with the same place replaces it: what is forgotten is worked out again. */
struct search_reach {
    struct answer places[PLACES];
};

struct search_reach *search_reach_open(void)
{
    return xcalloc(1, sizeof(struct search_reach));
}

void search_reach_close(struct search_reach *reach)
{
    free(reach);
}

static struct answer *place_of(struct search_reach *reach, const struct search_left *left, int64_t target, int whole)
{
    uint64_t hash = (uint64_t)target * 2 + (uint64_t)whole;
    for (int i = 0; i < left->count; i++) {
        hash = (hash ^ (uint64_t)left->list[i].num) * 0x9e3779b97f4a7c15u;
        hash = (hash ^ hash >> 29 ^ (uint64_t)left->list[i].den) * 0xbf58476d1ce4e5b9u;
    }
    return &reach->places[hash >> 48];
}

/* Two numbers: the operations need not be done to be compared. */
static int two_reach(struct search_rational a, struct search_rational b, int64_t target)
{
    int64_t x = a.num * b.den, y = b.num * a.den, of = target * a.den * b.den; /* a, b and the target over one denominator, a <= b */
    return x + y == of || y - x == of || a.num * b.num == of || (x && y == target * x) || (y && x == target * y);
}

int search_reach_ask(struct search_reach *reach, const struct search_left *left, int64_t target, int whole)
{
    if (left->count == 1)
        return left->list[0].den == 1 && left->list[0].num == target;
    if (left->count == 2)
        return two_reach(left->list[0], left->list[1], target);
    struct answer *place = place_of(reach, left, target, whole);
    if (!memcmp(&place->left, left, sizeof *left) && place->target == target && place->whole == whole)
        return place->reached;
    struct search_move moves[SEARCH_LEFT_MOVES];
    int count = search_left_moves(left, whole, moves), reached = 0;
    for (int i = 0; i < count && !reached; i++)
        reached = search_reach_ask(reach, &moves[i].after, target, whole);
    *place = (struct answer){*left, target, whole, reached};
    return reached;
}
