#include "search/expression.h"

#include <stdlib.h>
#include <string.h>

/* --- reading ----------------------------------------------------------------------------------------------------- */

struct reader {
    const char *p, *end;
    struct search_expression *out;
    int depth;
    const char *wrong; /* the first thing wrong, or NULL */
};

char search_expression_operator(const char **p, const char *end)
{
    static const struct {
        int32_t character;
        char op;
    } known[] = {{'+', '+'},    {'-', '-'},    {'*', '*'},    {'/', '/'},    {'x', '*'},    {'X', '*'},   {0xd7, '*'},  {0xb7, '*'},
                 {0x2219, '*'}, {0x22c5, '*'}, {0x2217, '*'}, {0xf7, '/'},   {0x2215, '/'}, {0x2044, '/'}, {0x2212, '-'}, {0x2013, '-'}};
    if (*p >= end)
        return 0;
    const char *next = *p;
    int32_t c = utf8_next(&next, end);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].character == c) {
            *p = next;
            return known[i].op;
        }
    return 0;
}

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
        r->p++;
}

static int fail(struct reader *r, const char *wrong)
{
    if (!r->wrong)
        r->wrong = wrong;
    return -1;
}

static int add(struct reader *r, char op, struct search_rational value, int left, int right)
{
    if (left < 0 || right < 0)
        return -1;
    if (r->out->count == SEARCH_EXPRESSION_NODES)
        return fail(r, "too long");
    r->out->nodes[r->out->count] = (struct search_expression_node){op, value, (short)left, (short)right};
    return r->out->count++;
}

static int read_sum(struct reader *r);

static int read_factor(struct reader *r)
{
    const struct search_rational none = {0, 1};
    if (++r->depth > SEARCH_EXPRESSION_DEPTH)
        return fail(r, "nested too deep");
    skip_blanks(r);
    int node;
    const char *start = r->p;
    if (r->p < r->end && *r->p == '(') {
        r->p++;
        node = read_sum(r);
        skip_blanks(r);
        if (r->p >= r->end || *r->p != ')')
            return fail(r, "unbalanced parenthesis");
        r->p++;
    } else if (search_expression_operator(&r->p, r->end) == '-') {
        node = add(r, 'n', none, read_factor(r), 0);
    } else {
        struct search_rational value;
        r->p = start;
        if (search_rational_read(&r->p, r->end, &value) == SEARCH_RATIONAL_TOO_LARGE)
            return fail(r, "too large");
        node = r->p > start ? add(r, 0, value, 0, 0) : fail(r, r->p < r->end ? "not a number" : "a number is missing");
    }
    r->depth--;
    return node;
}

static int read_product(struct reader *r)
{
    int left = read_factor(r);
    while (left >= 0) {
        skip_blanks(r);
        const char *start = r->p;
        char op = search_expression_operator(&r->p, r->end);
        if (op != '*' && op != '/') {
            r->p = start;
            break;
        }
        left = add(r, op, (struct search_rational){0, 1}, left, read_factor(r));
    }
    return left;
}

static int read_sum(struct reader *r)
{
    int left = read_product(r);
    while (left >= 0) {
        skip_blanks(r);
        const char *start = r->p;
        char op = search_expression_operator(&r->p, r->end);
        if (op != '+' && op != '-') {
            r->p = start;
            break;
        }
        left = add(r, op, (struct search_rational){0, 1}, left, read_product(r));
    }
    return left;
}

const char *search_expression_parse(const char *text, size_t n, struct search_expression *out)
{
    struct reader r = {.p = text, .end = text + n, .out = out};
    out->count = 0;
    if (read_sum(&r) >= 0) {
        skip_blanks(&r);
        if (r.p < r.end)
            fail(&r, *r.p == ')' ? "unbalanced parenthesis" : "an operator is missing");
    }
    return r.wrong;
}

/* --- meaning ----------------------------------------------------------------------------------------------------- */

static const char *const status_words[] = {[SEARCH_RATIONAL_TOO_LARGE] = "too large", [SEARCH_RATIONAL_BY_ZERO] = "division by zero"};

/* Values of all nodes, children before parents, so that no depth of nesting can exhaust the stack. */
static enum search_rational_status evaluate(const struct search_expression *x, struct search_rational *values)
{
    enum search_rational_status status = SEARCH_RATIONAL_OK;
    for (int i = 0; i < x->count && !status; i++) {
        const struct search_expression_node *n = &x->nodes[i];
        if (!n->op)
            values[i] = n->value;
        else if (n->op == 'n')
            values[i] = (struct search_rational){-values[n->left].num, values[n->left].den};
        else
            status = search_rational_do(values[n->left], n->op, values[n->right], &values[i]);
    }
    return status;
}

const char *search_expression_value(const struct search_expression *x, struct search_rational *out)
{
    struct search_rational values[SEARCH_EXPRESSION_NODES];
    enum search_rational_status status = evaluate(x, values);
    if (!status)
        *out = values[x->count - 1];
    return status_words[status];
}

const char *search_expression_number(const char *text, size_t n, struct search_rational *out)
{
    struct search_expression x;
    const char *wrong = search_expression_parse(text, n, &x);
    int divisions = 0;
    for (int i = 0; i < x.count && !wrong; i++) {
        char op = x.nodes[i].op;
        divisions += op == '/';
        if ((op && op != '/' && op != 'n') || divisions > 1)
            wrong = "not a number";
    }
    return wrong ? wrong : search_expression_value(&x, out);
}

int search_expression_numbers(const struct search_expression *x, struct search_rational *out)
{
    int count = 0; /* numbers are added as they are read, so their order is that of the text */
    for (int i = 0; i < x->count; i++)
        if (!x->nodes[i].op)
            out[count++] = x->nodes[i].value;
    return count;
}

/* --- one form ---------------------------------------------------------------------------------------------------- */

/* A term of a sum or a factor of a product. `inverse`: it is subtracted, or divided by. */
struct part {
    char *text;
    struct search_rational value;
    int inverse;
};
struct parts {
    struct part *list;
    int count, capacity;
};
struct printer {
    const struct search_expression *x;
    const struct search_rational *values;
};

static void print_sum(const struct printer *p, int node, struct string *out);

static int by_size(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    if (x->inverse != y->inverse)
        return x->inverse - y->inverse;
    int order = search_rational_compare(y->value, x->value);
    return order ? order : strcmp(x->text, y->text);
}

static void join(struct parts *parts, const char *first, const char *plain, const char *inverse, struct string *out)
{
    qsort(parts->list, (size_t)parts->count, sizeof *parts->list, by_size);
    for (int i = 0; i < parts->count; i++) {
        string_add(out, i ? parts->list[i].inverse ? inverse : plain : parts->list[i].inverse ? first : "");
        string_add(out, parts->list[i].text);
        free(parts->list[i].text);
    }
    free(parts->list);
}

static void add_part(struct parts *parts, struct string *text, struct search_rational value, int inverse)
{
    ARRAY_RESERVE(parts->list, parts->count, parts->capacity);
    parts->list[parts->count++] = (struct part){text->text, value, inverse};
}

/* Gather the factors of a product; each unary minus among them turns the sign of the whole. */
static void gather_factors(const struct printer *p, int node, int inverse, int *negative, struct parts *out)
{
    const struct search_expression_node *n = &p->x->nodes[node];
    if (n->op == '*' || n->op == '/') {
        gather_factors(p, n->left, inverse, negative, out);
        gather_factors(p, n->right, n->op == '/' ? !inverse : inverse, negative, out);
    } else if (n->op == 'n') {
        *negative = !*negative;
        gather_factors(p, n->left, inverse, negative, out);
    } else {
        struct string text = {0};
        if (n->op) {
            string_add(&text, "(");
            print_sum(p, node, &text);
            string_add(&text, ")");
        } else {
            search_rational_print(&text, n->value, 1);
        }
        add_part(out, &text, p->values[node], inverse);
    }
}

static void gather_terms(const struct printer *p, int node, int inverse, struct parts *out)
{
    const struct search_expression_node *n = &p->x->nodes[node];
    if (n->op == '+' || n->op == '-') {
        gather_terms(p, n->left, inverse, out);
        gather_terms(p, n->right, n->op == '-' ? !inverse : inverse, out);
    } else if (n->op == 'n') {
        gather_terms(p, n->left, !inverse, out);
    } else {
        struct parts factors = {0};
        struct string text = {0};
        int negative = 0;
        gather_factors(p, node, 0, &negative, &factors);
        join(&factors, "", " * ", " / ", &text);
        struct search_rational value = p->values[node];
        value.num = negative ? -value.num : value.num;
        add_part(out, &text, value, inverse != negative);
    }
}

static void print_sum(const struct printer *p, int node, struct string *out)
{
    struct parts terms = {0};
    gather_terms(p, node, 0, &terms);
    join(&terms, "-", " + ", " - ", out);
}

void search_expression_print(const struct search_expression *x, struct string *out)
{
    struct search_rational values[SEARCH_EXPRESSION_NODES];
    for (int i = 0; i < SEARCH_EXPRESSION_NODES; i++)
        values[i] = (struct search_rational){0, 1};
    evaluate(x, values); /* where it has no value the order falls back on the texts */
    print_sum(&(struct printer){x, values}, x->count - 1, out);
}
