/* Expressions and exact fractions: hand-worked tables, and random expressions against a brute-force evaluator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "search/expression.h"

/* --- tables ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *text, *value; /* or what is wrong */
} values[] = {
    {"1", "1"},
    {" 7 ", "7"},
    {"1 + 2 * 3", "7"},
    {"(1 + 2) * 3", "9"},
    {"10 - 4 - 3", "3"},
    {"10 - (4 - 3)", "9"},
    {"24 / 4 / 2", "3"},
    {"24 / (4 / 2)", "12"},
    {"2 / 3", "2/3"},
    {"8 / (3 - 8 / 3)", "24"},
    {"1.5 * 4", "6"},
    {"0.1 + 0.2", "3/10"},
    {".5 + .5", "1"},
    {"-4 + 10", "6"},
    {"-(4 + 10)", "-14"},
    {"--4", "4"},
    {"5 - -1", "6"},
    {"2 * -3", "-6"},
    {"4 \xc3\x97 6", "24"},                 /* × */
    {"4\xc2\xb7" "6", "24"},                /* · */
    {"4 x 6", "24"},
    {"4X6", "24"},
    {"48 \xc3\xb7 2", "24"},                /* ÷ */
    {"30 \xe2\x88\x92 6", "24"},            /* − */
    {"30 \xe2\x80\x93 6", "24"},            /* – */
    {"\xe2\x88\x92" "6 + 30", "24"},
    {"6 \xe2\x8b\x85 4", "24"},             /* ⋅ */
    {"48 \xe2\x88\x95 2", "24"},            /* ∕ */
    {"\t( 4 )\t+ ( ( 20 ) )", "24"},
    {"12345678901 * 2", "24691357802"},
    {"9223372036854775807", "9223372036854775807"},
    {"9223372036854775808", "too large"},
    {"9223372036854775807 + 1", "too large"},
    {"9223372036854775807 * 9223372036854775807 / 9223372036854775807", "too large"},
    {"1 / 9223372036854775807 / 2", "too large"},
    {"0.0000000000000000001", "too large"}, /* its denominator is */
    {"1 / 0", "division by zero"},
    {"1 / (3 - 3)", "division by zero"},
    {"0 / 5", "0"},
    {"", "a number is missing"},
    {"   ", "a number is missing"},
    {"4 +", "a number is missing"},
    {"4 + * 5", "not a number"},
    {"* 5", "not a number"},
    {"4 5", "an operator is missing"},
    {"4(5)", "an operator is missing"},
    {"(4 + 5", "unbalanced parenthesis"},
    {"4 + 5)", "unbalanced parenthesis"},
    {"()", "not a number"},
    {"four + 5", "not a number"},
    {"4 + a", "not a number"},
    {"4 = 4", "an operator is missing"},
    {"4 ^ 5", "an operator is missing"},
    {"4 ** 5", "not a number"},
    {"1.2.3", "an operator is missing"},
    {"1,234", "an operator is missing"},
    {"4 + \xff", "not a number"},
    {"4 \xc3", "an operator is missing"},
    {"4.", "an operator is missing"},
};

static char *value_text(const char *text)
{
    struct search_expression x;
    struct search_rational value;
    struct string out = {0};
    const char *wrong = search_expression_parse(text, strlen(text), &x);
    if (!wrong)
        wrong = search_expression_value(&x, &value);
    if (wrong)
        string_add(&out, wrong);
    else
        search_rational_print(&out, value, 0);
    return out.text;
}

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char *found = value_text(values[i].text);
        if (strcmp(found, values[i].value))
            fail_msg("%s: %s, not %s", values[i].text, found, values[i].value);
        free(found);
    }
}

/* Expressions in one row print alike, and unlike those of other rows. */
static const char *const forms[][4] = {
    {"(10 - 4) * (5 - 1)", "(5-1)*(10-4)", "((10 - 4)) \xc3\x97 (5 - 1)", NULL},
    {"10 - 4 * (5 - 1)", "-4 * (5 - 1) + 10", NULL},
    {"5 * 4 + 10 - 6", "10 + (5 * 4) - 6", "10 - (6 - 4 * 5)", NULL},
    {"6 / (1 - 3 / 4)", "6 / (-3/4 + 1)", NULL},
    {"6 * 4 / 2", "6 / 2 * 4", "4 / (2 / 6)", NULL},
    {"1 - (2 - 3)", "3 - 2 + 1", NULL},
    {"-4 * -6", "4 * 6", "6 * 4", NULL},
    {"1.50 + 2", "2 + 1.5", NULL},
    {"-3", "-(3)", NULL},
    {"4 + 4 * 5", "5 * 4 + 4", NULL},
    {"2 * 12", "12 * 2", NULL},
    {"8 * 3", "3 * 8", NULL},
};

static char *printed(const char *text)
{
    struct search_expression x;
    struct string out = {0};
    assert_null(search_expression_parse(text, strlen(text), &x));
    search_expression_print(&x, &out);
    return out.text;
}

static void test_forms(void **state)
{
    (void)state;
    enum { N = sizeof forms / sizeof *forms };
    char *first[N];
    for (int i = 0; i < N; i++) {
        first[i] = printed(forms[i][0]);
        for (int k = 1; forms[i][k]; k++) {
            char *other = printed(forms[i][k]);
            assert_string_equal(other, first[i]);
            free(other);
        }
        for (int k = 0; k < i; k++)
            assert_string_not_equal(first[k], first[i]);
        char *again = printed(first[i]);
        assert_string_equal(again, first[i]);
        free(again);
    }
    assert_string_equal(first[0], "(10 - 4) * (5 - 1)");
    assert_string_equal(first[2], "5 * 4 + 10 - 6");
    assert_string_equal(first[8], "-3");
    for (int i = 0; i < N; i++)
        free(first[i]);
}

static void test_numbers_are_listed_in_order(void **state)
{
    (void)state;
    struct search_expression x;
    struct search_rational list[SEARCH_EXPRESSION_NODES];
    const char *text = "(4 + 10) * -2.5 / 4";
    assert_null(search_expression_parse(text, strlen(text), &x));
    assert_int_equal(search_expression_numbers(&x, list), 4);
    assert_true(list[0].num == 4 && list[1].num == 10 && list[2].num == 5 && list[2].den == 2 && list[3].num == 4);
}

static void test_depth_and_length_are_bounded(void **state)
{
    (void)state;
    static const int depths[] = {100, SEARCH_EXPRESSION_DEPTH - 1, SEARCH_EXPRESSION_DEPTH, 100000};
    static char text[200002];
    for (int i = 0; i < 4; i++) {
        size_t depth = (size_t)depths[i];
        const char *expected = depths[i] < SEARCH_EXPRESSION_DEPTH ? "1" : "nested too deep";
        memset(text, '(', depth);
        text[depth] = '1';
        memset(text + depth + 1, ')', depth);
        text[2 * depth + 1] = '\0';
        char *found = value_text(text);
        assert_string_equal(found, expected);
        free(found);
        memset(text, '-', depth);
        text[depth] = depth % 2 ? '0' : '1';
        text[depth + 1] = '\0';
        found = value_text(text);
        assert_string_equal(found, i == 1 ? "0" : expected);
        free(found);
    }
    struct string sum = {0};
    string_add(&sum, "1");
    for (int i = 0; i < 1000; i++) {
        string_add(&sum, "+1");
        char *found = value_text(sum.text);
        int nodes = 2 * (i + 2) - 1;
        if (nodes > SEARCH_EXPRESSION_NODES)
            assert_string_equal(found, "too long");
        else
            assert_int_equal(atoi(found), i + 2);
        free(found);
    }
    string_free(&sum);
}

static void test_rationals(void **state)
{
    (void)state;
    static const struct {
        int64_t num, den;
        const char *fraction, *decimal;
    } rows[] = {
        {0, 1, "0", "0"},
        {-7, 1, "-7", "-7"},
        {3, 2, "3/2", "1.5"},
        {-3, 2, "-3/2", "-1.5"},
        {-1, 8, "-1/8", "-0.125"},
        {2, 3, "2/3", "2/3"},
        {1, 20, "1/20", "0.05"},
        {1, 1000, "1/1000", "0.001"},
        {12345, 100000000, "2469/20000000", "0.00012345"},
        {1, INT64_C(1000000000000000000), "1/1000000000000000000", "0.000000000000000001"},
        {INT64_MAX, 1, "9223372036854775807", "9223372036854775807"},
        {INT64_MAX, 2, "9223372036854775807/2", "4611686018427387903.5"},
        {1, INT64_MAX, "1/9223372036854775807", "1/9223372036854775807"},
        {1, INT64_C(1) << 40, "1/1099511627776", "1/1099511627776"}, /* forty places are not short */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_rational a;
        struct string fraction = {0}, decimal = {0};
        assert_int_equal(search_rational_do((struct search_rational){rows[i].num, 1}, '/', (struct search_rational){rows[i].den, 1}, &a), 0);
        search_rational_print(&fraction, a, 0);
        search_rational_print(&decimal, a, 1);
        assert_string_equal(fraction.text, rows[i].fraction);
        assert_string_equal(decimal.text, rows[i].decimal);
        string_free(&fraction);
        string_free(&decimal);
    }
    struct search_rational third = {1, 3}, near = {INT64_C(3074457345618258602), INT64_MAX};
    assert_true(search_rational_compare(near, third) < 0 && search_rational_compare(third, third) == 0);
    assert_true(search_rational_compare((struct search_rational){-1, 2}, (struct search_rational){-1, 3}) < 0);
}

/* --- random expressions ------------------------------------------------------------------------------------------ */

enum { TRIALS = 20000 };
static uint64_t position;
static int below(int n)
{
    return (int)(random_uniform(7, 11, position++) * n);
}

/* Written while it is evaluated, by the plainest arithmetic there is: unreduced fractions of wide integers. */
struct plain {
    __int128 num, den; /* den == 0: no value */
};
static struct plain write_random(struct string *out, int depth)
{
    static const char *const spelled[4][4] = {{"+", " + ", "+ ", " +"},
                                              {"-", " - ", "\xe2\x88\x92", " \xe2\x80\x93 "},
                                              {"*", " \xc3\x97 ", " x ", "\xc2\xb7"},
                                              {"/", " / ", "\xc3\xb7", " \xe2\x88\x95 "}};
    if (!depth || below(4) == 0) {
        int value = below(20);
        if (below(8) == 0) {
            string_addf(out, "%d.%d", value, value % 10);
            return (struct plain){value * 10 + value % 10, 10};
        }
        string_addf(out, "%d", value);
        return (struct plain){value, 1};
    }
    if (below(10) == 0) {
        string_add(out, "-(");
        struct plain inside = write_random(out, depth - 1);
        string_add(out, ")");
        inside.num = -inside.num;
        return inside;
    }
    int op = below(4);
    string_add(out, below(2) ? "((" : " ( ( ");
    struct plain a = write_random(out, depth - 1);
    string_addf(out, ")%s(", spelled[op][below(4)]);
    struct plain b = write_random(out, depth - 1);
    string_add(out, "))");
    if (!a.den || !b.den)
        return (struct plain){0, 0};
    switch (op) {
    case 0:
        return (struct plain){a.num * b.den + b.num * a.den, a.den * b.den};
    case 1:
        return (struct plain){a.num * b.den - b.num * a.den, a.den * b.den};
    case 2:
        return (struct plain){a.num * b.num, a.den * b.den};
    default:
        return (struct plain){a.num * b.den, a.den * b.num};
    }
}

static void test_random_expressions(void **state)
{
    (void)state;
    int valued = 0;
    for (int i = 0; i < TRIALS; i++) {
        struct string text = {0}, form = {0}, again = {0};
        struct search_expression x, y;
        struct search_rational value, same;
        struct plain expected = write_random(&text, 3);
        assert_null(search_expression_parse(text.text, text.length, &x));
        const char *wrong = search_expression_value(&x, &value);
        if (!expected.den) {
            assert_string_equal(wrong, "division by zero");
        } else {
            assert_null(wrong);
            if (value.num * expected.den != expected.num * value.den)
                fail_msg("%s: %lld/%lld", text.text, (long long)value.num, (long long)value.den);
            search_expression_print(&x, &form);
            assert_null(search_expression_parse(form.text, form.length, &y));
            assert_null(search_expression_value(&y, &same));
            if (search_rational_compare(value, same))
                fail_msg("%s prints as %s, which is another number", text.text, form.text);
            search_expression_print(&y, &again);
            assert_string_equal(again.text, form.text);
            valued++;
        }
        string_free(&text);
        string_free(&form);
        string_free(&again);
    }
    assert_true(valued > TRIALS / 2);
}

/* Any bytes whatever end in a value or a reason, never in a crash. */
static void test_random_bytes(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789+-*/()()..  x=\xc3\x97\xb7\xe2\x88\x92\n\xff";
    for (int i = 0; i < TRIALS; i++) {
        char text[64];
        int n = below((int)sizeof text);
        for (int k = 0; k < n; k++)
            text[k] = alphabet[below((int)sizeof alphabet - 1)];
        struct search_expression x;
        struct search_rational value;
        struct string form = {0};
        if (!search_expression_parse(text, (size_t)n, &x)) {
            search_expression_value(&x, &value);
            search_expression_print(&x, &form);
            string_free(&form);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_numbers_are_listed_in_order),
        cmocka_unit_test(test_depth_and_length_are_bounded),
        cmocka_unit_test(test_rationals),
        cmocka_unit_test(test_random_expressions),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
