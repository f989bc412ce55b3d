/* GBNF read the slow way, to hold engine/grammar.c to: the grammar's text is interpreted where it stands, for sets of
 * positions in the text, with no graph, no stacks and no tables. Code points are compared as numbers.
 */
#ifndef ESPALIER_TESTS_NAIVE_GRAMMAR_H
#define ESPALIER_TESTS_NAIVE_GRAMMAR_H

#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 positions; /* bit i: position i of the text, up to 127 */

struct naive {
    const char *grammar;
    const unsigned char *text;
    int n;
    int wanted; /* something could go on where the text ends */
};

static int naive_is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static void naive_blanks(const char **p, int lines)
{
    for (;; ++*p) {
        if (**p == '#')
            while (**p && **p != '\n')
                ++*p;
        if (**p != ' ' && **p != '\t' && **p != '\r' && !(lines && **p == '\n'))
            return;
    }
}

static int32_t naive_character(const char **p)
{
    if (**p != '\\')
        return utf8_next(p, *p + strlen(*p));
    char c = (*p)[1];
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    int32_t value = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
    *p += 2;
    for (int i = 0; i < digits; i++, ++*p) {
        const char *hex = "0123456789abcdef";
        value = (i ? value : 0) * 16 + (int32_t)(strchr(hex, **p | 0x20) - hex);
    }
    return value;
}

struct naive_class {
    int32_t low[64], high[64];
    int count, negated;
};

static int naive_in(const struct naive_class *c, int32_t x)
{
    int in = 0;
    for (int i = 0; i < c->count; i++)
        in |= c->low[i] <= x && x <= c->high[i];
    return in != c->negated && !(x >= 0xd800 && x <= 0xdfff);
}

static int naive_any(const struct naive_class *c, int32_t low, int32_t high)
{
    for (int i = 0; i < c->count || (c->negated && !i); i++) {
        int32_t first = c->negated || low > c->low[i] ? low : c->low[i], last = c->negated || high < c->high[i] ? high : c->high[i];
        for (int32_t x = first; x <= last; x++)
            if (naive_in(c, x))
                return 1;
    }
    return 0;
}

/* One character at each of the positions. */
static positions naive_take(struct naive *m, const struct naive_class *c, positions from)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    positions ends = 0;
    for (int i = 0; i <= m->n && from >> i; i++) {
        if (!(from >> i & 1))
            continue;
        if (i == m->n) {
            m->wanted = 1;
            continue;
        }
        int lead = m->text[i], bytes = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
        if (!bytes)
            continue;
        int32_t low = bytes == 1 ? lead : lead & (0x3f >> (bytes - 1)), high;
        int have = 1, broken = 0;
        for (; have < bytes && i + have < m->n; have++) {
            broken |= (m->text[i + have] & 0xc0) != 0x80;
            low = low << 6 | (m->text[i + have] & 0x3f);
        }
        high = low;
        for (int k = have; k < bytes; k++) {
            low <<= 6;
            high = high << 6 | 0x3f;
        }
        low = low < least[bytes] ? least[bytes] : low;
        high = high > 0x10ffff ? 0x10ffff : high;
        if (broken || low > high || !naive_any(c, low, high))
            continue;
        if (have < bytes)
            m->wanted = 1;
        else
            ends |= (positions)1 << (i + bytes);
    }
    return ends;
}

static positions naive_choice(struct naive *m, const char **p, int inside, positions from);

static positions naive_rule(struct naive *m, const char *name, size_t n, positions from)
{
    for (const char *line = m->grammar; line; line = strchr(line, '\n')) {
        while (*line == '\n' || *line == ' ')
            line++;
        const char *p = line;
        while (naive_is_name(*p))
            p++;
        size_t length = (size_t)(p - line);
        naive_blanks(&p, 0);
        if (length != n || memcmp(line, name, n) || strncmp(p, "::=", 3))
            continue;
        p += 3;
        naive_blanks(&p, 1);
        return naive_choice(m, &p, 0, from);
    }
    return 0;
}

static positions naive_one(struct naive *m, const char **p, positions from)
{
    struct naive_class c = {.count = 0};
    if (**p == '"') {
        for (++*p; **p != '"';) {
            c.low[0] = c.high[0] = naive_character(p);
            c.count = 1;
            from = naive_take(m, &c, from);
        }
        ++*p;
        return from;
    }
    if (**p == '.') {
        ++*p;
        c.negated = 1;
        return naive_take(m, &c, from);
    }
    if (**p == '[') {
        c.negated = *++*p == '^';
        *p += c.negated;
        for (; **p != ']'; c.count++) {
            c.low[c.count] = c.high[c.count] = naive_character(p);
            if (**p == '-' && (*p)[1] != ']') {
                ++*p;
                c.high[c.count] = naive_character(p);
            }
        }
        ++*p;
        return naive_take(m, &c, from);
    }
    if (**p == '(') {
        ++*p;
        naive_blanks(p, 1);
        from = naive_choice(m, p, 1, from);
        ++*p;
        return from;
    }
    const char *name = *p;
    while (naive_is_name(**p))
        ++*p;
    return from ? naive_rule(m, name, (size_t)(*p - name), from) : 0;
}

static positions naive_item(struct naive *m, const char **p, int inside, positions from)
{
    const char *start = *p;
    int low = 1, high = 1;
    naive_one(m, p, 0);
    const char *end = *p;
    naive_blanks(p, inside);
    char c = **p;
    if (c == '*' || c == '+' || c == '?') {
        low = c == '+';
        high = c == '?' ? 1 : 1000;
        end = *p + 1;
    } else if (c == '{') {
        const char *comma = strchr(*p, ','), *close = strchr(*p, '}');
        low = atoi(*p + 1);
        high = !comma || comma > close ? low : comma + 1 == close ? 1000 : atoi(comma + 1);
        end = close + 1;
    }
    positions ends = low ? 0 : from;
    for (int i = 1; i <= high && from; i++) {
        const char *again = start;
        positions before = ends;
        from = naive_one(m, &again, from);
        if (i >= low)
            ends |= from;
        if (i > low && ends == before)
            break;
    }
    *p = end;
    return ends;
}

static positions naive_choice(struct naive *m, const char **p, int inside, positions from)
{
    positions ends = 0;
    for (;;) {
        positions at = from;
        naive_blanks(p, inside);
        while (**p && **p != '|' && **p != ')' && **p != '\n') {
            at = naive_item(m, p, inside, at);
            naive_blanks(p, inside);
        }
        ends |= at;
        if (**p != '|')
            return ends;
        ++*p;
        naive_blanks(p, 1);
    }
}

/* Is the text (at most 127 bytes) a beginning of what the grammar describes; *complete: the whole of it. */
static int naive_begins(const char *grammar, const char *text, size_t n, int *complete)
{
    struct naive m = {.grammar = grammar, .text = (const unsigned char *)text, .n = (int)n};
    *complete = (int)(naive_rule(&m, "root", 4, 1) >> n & 1);
    return m.wanted || *complete;
}

#endif
