#include "search/rational.h"

#include <inttypes.h>

/* Products and sums of two 64-bit fractions fit 128 bits: |a*d + c*b| <= 2 * (2^63 - 1)^2 < 2^127. */
static enum search_rational_status reduce(__int128 num, __int128 den, struct search_rational *out)
{
    if (den < 0)
        num = -num, den = -den;
    unsigned __int128 a = num < 0 ? -(unsigned __int128)num : (unsigned __int128)num, b = (unsigned __int128)den;
    while (b) {
        unsigned __int128 rest = a % b;
        a = b;
        b = rest;
    }
    num /= (__int128)a;
    den /= (__int128)a;
    if (num > INT64_MAX || num < -INT64_MAX || den > INT64_MAX)
        return SEARCH_RATIONAL_TOO_LARGE;
    *out = (struct search_rational){(int64_t)num, (int64_t)den};
    return SEARCH_RATIONAL_OK;
}

enum search_rational_status search_rational_do(struct search_rational a, char op, struct search_rational b,
                                               struct search_rational *out)
{
    __int128 an = a.num, ad = a.den, bn = b.num, bd = b.den;
    switch (op) {
    case '+':
        return reduce(an * bd + bn * ad, ad * bd, out);
    case '-':
        return reduce(an * bd - bn * ad, ad * bd, out);
    case '*':
        return reduce(an * bn, ad * bd, out);
    default:
        return bn ? reduce(an * bd, ad * bn, out) : SEARCH_RATIONAL_BY_ZERO;
    }
}

int search_rational_compare(struct search_rational a, struct search_rational b)
{
    __int128 left = (__int128)a.num * b.den, right = (__int128)b.num * a.den;
    return (left > right) - (left < right);
}

enum search_rational_status search_rational_read(const char **p, const char *end, struct search_rational *out)
{
    const char *s = *p;
    int64_t num = 0, den = 1;
    int digits = 0, point = 0;
    for (; s < end && ((*s >= '0' && *s <= '9') || (*s == '.' && !point)); s++) {
        if (*s == '.') {
            if (s + 1 >= end || s[1] < '0' || s[1] > '9')
                break; /* the full stop after a number, not a decimal point */
            point = 1;
            continue;
        }
        digits++;
        if (__builtin_mul_overflow(num, 10, &num) || __builtin_add_overflow(num, *s - '0', &num) ||
            (point && __builtin_mul_overflow(den, 10, &den)))
            return SEARCH_RATIONAL_TOO_LARGE;
    }
    if (!digits)
        return SEARCH_RATIONAL_OK;
    *p = s;
    return reduce(num, den, out);
}

void search_rational_print(struct string *out, struct search_rational a, int decimal)
{
    int64_t den = a.den, scale = 1;
    int places = 0, fits = 1;
    for (; decimal && fits && places < 18 && a.den > 1; places++) {
        if (den == 1)
            break;
        fits = !__builtin_mul_overflow(scale, 10, &scale);
        int64_t factor = den % 10 == 0 ? 10 : den % 5 == 0 ? 5 : den % 2 == 0 ? 2 : 1;
        den /= factor;
    }
    uint64_t size = a.num < 0 ? -(uint64_t)a.num : (uint64_t)a.num;
    if (a.den == 1) {
        string_addf(out, "%" PRId64, a.num);
    } else if (decimal && fits && den == 1) {
        unsigned __int128 digits = (unsigned __int128)size * (uint64_t)scale / (uint64_t)a.den;
        string_addf(out, "%s%" PRIu64 ".%0*" PRIu64, a.num < 0 ? "-" : "", (uint64_t)(digits / (uint64_t)scale), places,
                    (uint64_t)(digits % (uint64_t)scale));
    } else {
        string_addf(out, "%" PRId64 "/%" PRId64, a.num, a.den);
    }
}
