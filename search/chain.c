/* Chains of arithmetic: `7 +5 *3 -4` is worked from left to right, whatever binds tighter elsewhere. A step is the next operation and its
 * exact result, `7 + 5 = 12`; the state is what remains, `12 *3 -4`. The path ends with the last operation, or at an answer line.
 */
#include "search/schema.h"
#include "search/expression.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 32 };

/* A value, and the operations on it that are still to be done. */
struct chain {
    struct search_rational value;
    struct {
        char op;
        struct search_rational by;
    } list[MOST];
    int count;
};

static char *number_text(struct search_rational value)
{
    struct string text = {0};
    search_rational_print(&text, value, 0);
    return text.text;
}

static char *chain_text(const struct chain *c)
{
    struct string text = {0};
    search_rational_print(&text, c->value, 0);
    for (int i = 0; i < c->count; i++) {
        string_addf(&text, " %c", c->list[i].op);
        search_rational_print(&text, c->list[i].by, 0);
    }
    return text.text;
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && (isspace((unsigned char)*p) || *p == ',' || *p == ';'))
        p++;
    return p;
}

/* Digits at *p: a whole number of at most six. */
static int read_whole(const char **p, const char *end, struct search_rational *out)
{
    const char *s = skip_blanks(*p, end), *digits = s;
    while (s < end && isdigit((unsigned char)*s))
        s++;
    if (s == digits || s - digits > 6)
        return 0;
    const char *q = digits;
    search_rational_read(&q, s, out);
    *p = s;
    return 1;
}

/* Operations, each with a whole number; how far they were read is in *p. */
static void read_operations(const char **p, const char *end, struct chain *out)
{
    for (out->count = 0; out->count < MOST; out->count++) {
        const char *s = skip_blanks(*p, end);
        char op = search_expression_operator(&s, end);
        if (!op || !read_whole(&s, end, &out->list[out->count].by))
            return;
        out->list[out->count].op = op;
        *p = s;
    }
}

/* Do the first operation. */
static enum search_rational_status advance(struct chain *c)
{
    enum search_rational_status status = search_rational_do(c->value, c->list[0].op, c->list[0].by, &c->value);
    memmove(c->list, c->list + 1, (size_t)--c->count * sizeof *c->list);
    return status;
}

int search_chain_parse(const struct search_task *task, const char *text, struct search_problem *out, struct error *e)
{
    struct chain c;
    const char *p = text, *end = text + strlen(text);
    if (!read_whole(&p, end, &c.value))
        return search_problem_wrong(task, text, e, "it does not begin with a whole number of at most six digits");
    read_operations(&p, end, &c);
    p = skip_blanks(p, end);
    if (p < end || !c.count)
        return search_problem_wrong(task, text, e, "'%.20s' is not an operation such as +5", p);
    if (c.count > task->steps)
        return search_problem_wrong(task, text, e, "%d operations, where %d steps are allowed", c.count, task->steps);
    char *canonical = chain_text(&c);
    while (c.count) {
        enum search_rational_status status = advance(&c);
        if (status) {
            free(canonical);
            return search_problem_wrong(task, text, e, "%s", status == SEARCH_RATIONAL_BY_ZERO ? "it divides by zero" : "its numbers grow too large");
        }
    }
    struct string value = {0};
    search_rational_print(&value, c.value, 1); /* as answers are made comparable */
    out->expected = value.text;
    out->text = canonical;
    out->state = xstrdup(canonical);
    return OK;
}

/* A state: the value, which may be a fraction or negative, up to a blank; then the operations. 0: it is none of ours. */
static int read_state(const char *state, struct chain *out)
{
    size_t first = strcspn(state, " ");
    const char *p = state + first;
    out->count = 0;
    if (search_expression_number(state, first, &out->value))
        return 0;
    read_operations(&p, p + strlen(p), out);
    return !*p;
}

static int is_number(const char *from, const char *to, struct search_rational value)
{
    struct search_rational found;
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    return !search_expression_number(from, (size_t)(to - from), &found) && !search_rational_compare(found, value);
}

/* Is the text the first operation of the chain? What is added or multiplied may stand in either order. */
static int is_operation(const char *text, const char *end, const struct chain *c)
{
    char wanted = c->list[0].op;
    for (const char *p = text; p < end;) {
        const char *at = p;
        char op = search_expression_operator(&p, end);
        if (p == at)
            p++;
        if (op == wanted && ((is_number(text, at, c->value) && is_number(p, end, c->list[0].by)) ||
                             ((op == '+' || op == '*') && is_number(text, at, c->list[0].by) && is_number(p, end, c->value))))
            return 1;
    }
    return 0;
}

/* What is wrong with a step; or NULL, with the chain after it in *c. */
static char *wrong_step(const char *text, const char *end, struct chain *c)
{
    const char *equals = memchr(text, '=', (size_t)(end - text));
    struct search_rational claimed;
    if (!equals)
        return xstrdup("not a step such as 7 + 5 = 12");
    while (end > equals + 1 && (end[-1] == '.' || isspace((unsigned char)end[-1])))
        end--;
    const char *result = skip_blanks(equals + 1, end);
    char *a = number_text(c->value), *b = number_text(c->list[0].by), *why = NULL;
    char op = c->list[0].op;
    if (!is_operation(text, equals, c)) {
        why = xasprintf("the next step is %s %c %s", a, op, b);
    } else if (search_expression_number(result, (size_t)(end - result), &claimed)) {
        why = xstrdup("what follows = is not one number");
    } else {
        enum search_rational_status status = advance(c); /* the problem could be worked to its end, so this succeeds */
        if (status || search_rational_compare(c->value, claimed)) {
            char *is = number_text(c->value), *not = number_text(claimed);
            why = xasprintf("%s %c %s is %s, not %s", a, op, b, is, not);
            free(is);
            free(not);
        }
    }
    free(a);
    free(b);
    return why;
}

void search_chain_verify(const struct search_task *task, const struct search_path *path, const char *text, size_t n,
                         struct search_verdict *out)
{
    struct search_cut cut;
    struct chain c;
    if (search_patterns_find(&task->answer, text, n, NULL, &cut)) {
        struct search_rational value;
        out->answer = search_answer_number(text + cut.first, cut.length, 1, &value) ? search_answer_canonical(task, text + cut.first, cut.length) : NULL;
        out->illegal = !out->answer;
        out->why = out->illegal ? xstrdup("no number is given") : NULL;
        out->final = !out->illegal;
        if (out->illegal)
            return;
        out->correct = !strcmp(out->answer, path->problem->expected);
        if (!out->correct)
            out->why = xasprintf("%s is not the value", out->answer);
        return;
    }
    if (!read_state(path->state ? path->state : path->problem->state, &c) || !c.count) {
        out->illegal = 1;
        out->why = xstrdup("no operation is left: an answer line must follow");
        return;
    }
    if ((out->why = wrong_step(text, text + n, &c))) {
        out->illegal = 1;
        return;
    }
    out->state = chain_text(&c);
    if (c.count)
        return;
    out->final = out->correct = 1;
    out->answer = xstrdup(path->problem->expected);
}
