/* Verdicts: is a thought a legal step, what is left after it, is it an answer, and a right one. All in exact fractions.
 *
 * A step on numbers reads `a op b = c (left: x y z)`. It is legal when a and b are there (each as often as it is used),
 * a op b is exactly c (a rounded decimal is not), x y z, in any order, are exactly the numbers left, and nothing follows.
 * Fractions are written 2/3, which is one number; so `2/3 * 9` has two readings, and a legal one counts.
 * (By this rule the paths alive in the published GPT-4 log of Yao et al. are 95, 83, 75, 75, 73, 73 of 100 after each
 * generation and selection; by the answer line alone 69 are right, as they report.)
 */
#include "search/schema.h"
#include "search/expression.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct numbers {
    struct search_rational list[SEARCH_MAX_NUMBERS];
    int count;
};

/* A part of a text, without the blanks around it. */
struct span {
    const char *text;
    size_t n;
};
static struct span trim(const char *text, size_t n)
{
    while (n && isspace((unsigned char)*text))
        text++, n--;
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    return (struct span){text, n};
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

static int read_numbers(struct span s, struct numbers *out)
{
    const char *p = s.text, *end = s.text + s.n;
    out->count = 0;
    while (p < end) {
        while (p < end && (isspace((unsigned char)*p) || *p == ','))
            p++;
        const char *start = p;
        while (p < end && !isspace((unsigned char)*p) && *p != ',')
            p++;
        if (p == start)
            break;
        if (out->count == SEARCH_MAX_NUMBERS || search_expression_number(start, (size_t)(p - start), &out->list[out->count]))
            return 0;
        out->count++;
    }
    return 1;
}

static int ascending(const void *a, const void *b)
{
    return search_rational_compare(*(const struct search_rational *)a, *(const struct search_rational *)b);
}

static void sort(struct numbers *n)
{
    qsort(n->list, (size_t)n->count, sizeof *n->list, ascending);
}

static int count_of(const struct numbers *n, struct search_rational value)
{
    int count = 0;
    for (int i = 0; i < n->count; i++)
        count += !search_rational_compare(n->list[i], value);
    return count;
}

static int place_of(const struct numbers *n, struct search_rational value)
{
    for (int i = 0; i < n->count; i++)
        if (!search_rational_compare(n->list[i], value))
            return i;
    return -1;
}

static void remove_at(struct numbers *n, int place)
{
    n->count--;
    memmove(n->list + place, n->list + place + 1, (size_t)(n->count - place) * sizeof *n->list);
}

static int same(struct numbers a, struct numbers b)
{
    sort(&a);
    sort(&b);
    int equal = a.count == b.count;
    for (int i = 0; i < a.count && equal; i++)
        equal = !search_rational_compare(a.list[i], b.list[i]);
    return equal;
}

static char *numbers_text(const struct numbers *n)
{
    struct string text = {0};
    string_add(&text, "");
    for (int i = 0; i < n->count; i++) {
        string_add(&text, i ? " " : "");
        search_rational_print(&text, n->list[i], 0);
    }
    return text.text;
}

static char *number_text(struct search_rational value, int decimal)
{
    struct string text = {0};
    search_rational_print(&text, value, decimal);
    return text.text;
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

/* How far a reading of a step got before something was wrong; the reading that got farthest is the one explained. */
enum stage { UNREADABLE, OPERANDS, RESULT, LEFT, LEGAL };
struct step {
    enum stage stage;
    char *why; /* unless LEGAL */
    struct search_rational a, b;
    char op;
    struct numbers after; /* LEGAL: ascending */
};

/* The parts of a step as text: what is before the equals sign, the result, what is in the (left: ...). */
struct step_parts {
    struct span left_side, result, left;
    int has_left, has_more; /* more: text after the step */
};

static const char *find_equals(const char *text, size_t n, size_t *width)
{
    for (const char *p = text, *end = text + n; p < end;) {
        const char *start = p;
        int32_t c = utf8_next(&p, end);
        if (c == '=' || c == 0x2248) { /* also ≈: a step that says it is not exact is judged like any other */
            *width = (size_t)(p - start);
            return start;
        }
    }
    return NULL;
}

/* Past the parenthesis that closes the one at p, or NULL. */
static const char *past_parenthesis(const char *p, const char *end)
{
    for (int depth = 0; p < end; p++) {
        depth += (*p == '(') - (*p == ')');
        if (!depth)
            return p + 1;
    }
    return NULL;
}

/* The "left" in a parenthesis at p, or NULL. */
static const char *left_word(const char *p, const char *end)
{
    for (p++; p < end && *p == ' '; p++)
        ;
    return end - p >= 4 && !strncasecmp(p, "left", 4) ? p : NULL;
}

static const char *split_step(struct span thought, struct step_parts *out)
{
    size_t width = 0;
    const char *end = thought.text + thought.n, *equals = find_equals(thought.text, thought.n, &width);
    if (!equals)
        return "not a step such as 1 + 2 = 3 (left: 3 4)";
    out->left_side = trim(thought.text, (size_t)(equals - thought.text));
    const char *p = equals + width, *inside = NULL, *close = NULL;
    while (p < end && *p == ' ')
        p++;
    const char *result = p;
    if (p < end && *p == '(' && !left_word(p, end) && !(p = past_parenthesis(p, end)))
        return "unbalanced parenthesis";
    while (p < end && *p != '(')
        p++;
    out->result = trim(result, (size_t)(p - result));
    for (; p < end && !inside; p++)
        if (*p == '(' && (inside = left_word(p, end)) && !(close = past_parenthesis(p, end)))
            return "the (left: ...) is not closed";
    out->has_left = inside != NULL;
    if (!inside)
        return NULL;
    struct span rest = trim(close, (size_t)(end - close));
    out->has_more = rest.n > 1 || (rest.n && *rest.text != '.');
    for (inside += 4; *inside == ' ' || *inside == ':'; inside++)
        ;
    out->left = trim(inside, (size_t)(close - 1 - inside));
    return NULL;
}

/* What a op b = c says about the numbers there. */
static void judge_step(const struct step_parts *parts, const struct numbers *there, struct step *step)
{
    struct search_rational exact, claimed;
    struct numbers left, after = *there;
    const struct search_rational operands[] = {step->a, step->b};
    step->stage = OPERANDS;
    for (int i = 0; i < 2; i++) {
        int place = place_of(&after, operands[i]);
        if (place < 0) {
            char *text = number_text(operands[i], 0);
            step->why = count_of(there, operands[i]) ? xasprintf("there is only one %s", text) : xasprintf("%s is not there", text);
            free(text);
            return;
        }
        remove_at(&after, place);
    }
    step->stage = RESULT;
    enum search_rational_status status = search_rational_do(step->a, step->op, step->b, &exact);
    if (status) {
        step->why = xstrdup(status == SEARCH_RATIONAL_BY_ZERO ? "division by zero" : "too large");
        return;
    }
    if (search_expression_number(parts->result.text, parts->result.n, &claimed)) {
        step->why = xstrdup("what follows = is not one number");
        return;
    }
    if (search_rational_compare(exact, claimed)) {
        char *a = number_text(step->a, 0), *b = number_text(step->b, 0), *is = number_text(exact, 0), *not = number_text(claimed, 1);
        step->why = xasprintf("%s %c %s is %s, not %s", a, step->op, b, is, not);
        free(a);
        free(b);
        free(is);
        free(not);
        return;
    }
    step->stage = LEFT;
    after.list[after.count++] = exact;
    sort(&after);
    step->after = after;
    if (!parts->has_left || !read_numbers(parts->left, &left) || !same(left, after)) {
        char *text = numbers_text(&after);
        step->why = xasprintf(parts->has_left ? "left should be %s" : "(left: %s) is missing", text);
        free(text);
        return;
    }
    if (parts->has_more) {
        step->why = xstrdup("more text follows the step");
        return;
    }
    step->stage = LEGAL;
}

/* Every operator with one number on each side is a reading. */
static struct step read_step(struct span thought, const struct numbers *there)
{
    struct step best = {.stage = UNREADABLE};
    struct step_parts parts = {.has_left = 0};
    const char *wrong = split_step(thought, &parts);
    if (wrong) {
        best.why = xstrdup(wrong);
        return best;
    }
    const char *start = parts.left_side.text, *end = start + parts.left_side.n;
    int readings = 0;
    for (const char *p = start; p < end && readings < 8;) {
        const char *operator = p;
        struct step step = {.op = search_expression_operator(&p, end)};
        if (p == operator)
            p++;
        struct span before = trim(start, (size_t)(operator - start)), after = trim(p, (size_t)(end - p));
        if (!step.op || operator == start || search_expression_number(before.text, before.n, &step.a) ||
            search_expression_number(after.text, after.n, &step.b))
            continue;
        readings++;
        judge_step(&parts, there, &step);
        if (step.stage > best.stage) {
            free(best.why);
            best = step;
        } else {
            free(step.why);
        }
    }
    if (best.stage == UNREADABLE)
        best.why = xstrdup("not one operation on two numbers");
    return best;
}

char *search_step_meant(const char *state, const char *thought)
{
    struct numbers there;
    struct search_rational value;
    if (!read_numbers((struct span){state, strlen(state)}, &there) || there.count < 2)
        return NULL;
    struct step step = read_step(trim(thought, strlen(thought)), &there);
    free(step.why);
    if (step.stage < RESULT || search_rational_do(step.a, step.op, step.b, &value))
        return NULL;
    remove_at(&there, place_of(&there, step.a));
    remove_at(&there, place_of(&there, step.b));
    there.list[there.count++] = value;
    sort(&there);
    return numbers_text(&there);
}

char *search_step_moves(const char *state)
{
    static const char operators[] = "+-*/";
    struct string out = {0};
    struct numbers there;
    string_add(&out, "");
    if (!read_numbers((struct span){state, strlen(state)}, &there))
        return out.text;
    sort(&there);
    const struct search_rational *list = there.list;
    for (int i = 0; i < there.count; i++)
        for (int j = 0; j < there.count; j++) {
            /* of equal numbers the first, and the one after it as the other operand */
            if (i == j || (i && !search_rational_compare(list[i - 1], list[i])) ||
                (j && j - 1 != i && !search_rational_compare(list[j - 1], list[j])))
                continue;
            for (const char *op = operators; *op; op++) {
                struct search_rational value;
                if (search_rational_do(list[i], *op, list[j], &value))
                    continue;
                struct numbers after = there;
                remove_at(&after, i > j ? i : j);
                remove_at(&after, i > j ? j : i);
                after.list[after.count++] = value;
                sort(&after);
                char *a = number_text(list[i], 0), *b = number_text(list[j], 0), *is = number_text(value, 0), *left = numbers_text(&after);
                string_addf(&out, "%s%s %c %s = %s (left: %s)", out.length ? "\n" : "", a, *op, b, is, left);
                free(a);
                free(b);
                free(is);
                free(left);
            }
        }
    return out.text;
}

/* --- answers of arithmetic --------------------------------------------------------------------------------------- */

static struct search_rational target_of(const struct search_path *path)
{
    struct search_rational target = {0, 1};
    const char *p = path->problem->target;
    search_rational_read(&p, p + strlen(p), &target);
    return target;
}

/* What keeps the numbers of an expression from being the problem's, each once; or NULL. */
static char *wrong_numbers(const struct search_expression *x, const char *problem_state)
{
    struct search_rational used[SEARCH_EXPRESSION_NODES];
    struct numbers left;
    int count = search_expression_numbers(x, used);
    struct search_rational odd;
    const char *what = NULL;
    read_numbers((struct span){problem_state, strlen(problem_state)}, &left);
    struct numbers all = left;
    for (int i = 0; i < count && !what; i++) {
        int place = place_of(&left, used[i]);
        odd = used[i];
        if (place >= 0)
            remove_at(&left, place);
        else
            what = !count_of(&all, odd) ? "is not among the numbers" : count_of(&all, odd) > 1 ? "is used too often" : "is used twice";
    }
    if (!what && left.count) {
        odd = left.list[0];
        what = "is not used";
    }
    if (!what)
        return NULL;
    char *text = number_text(odd, 0), *why = xasprintf("%s %s", text, what);
    free(text);
    return why;
}

static char *answer_text(const struct search_expression *x)
{
    struct search_rational value;
    struct string text = {0};
    search_expression_print(x, &text);
    if (!search_expression_value(x, &value)) {
        string_add(&text, " = ");
        search_rational_print(&text, value, 0);
    }
    return text.text;
}

/* `Answer: (10 - 4) * (5 - 1) = 24`: the expression is what stands before the first =, or, when that is a bare number,
 * after it; every part must come to the target. */
static void verify_answer(const struct search_path *path, struct span line, struct search_verdict *out)
{
    struct search_expression parts[4];
    int count = 0, main_part = 0;
    const char *wrong = NULL;
    while (line.n && strchr(".*`$ ", line.text[line.n - 1]))
        line.n--;
    for (struct span rest = line; !wrong && count < 4;) {
        size_t width = 0;
        const char *equals = find_equals(rest.text, rest.n, &width);
        struct span part = equals ? trim(rest.text, (size_t)(equals - rest.text)) : trim(rest.text, rest.n);
        wrong = search_expression_parse(part.text, part.n, &parts[count++]);
        if (!equals)
            break;
        rest = (struct span){equals + width, rest.n - (size_t)(equals + width - rest.text)};
        if (count == 4)
            wrong = "too many = signs";
    }
    if (wrong) {
        out->illegal = 1;
        out->why = xasprintf("not an expression: %s", wrong);
        return;
    }
    if (count > 1 && parts[0].count == 1)
        main_part = 1;
    out->final = 1;
    out->answer = answer_text(&parts[main_part]);
    out->state = xstrdup(path->problem->target);
    out->correct = 0;
    out->why = wrong_numbers(&parts[main_part], path->problem->state);
    for (int i = 0; i < count && !out->why; i++) {
        struct search_rational value, target = target_of(path);
        wrong = search_expression_value(&parts[i], &value);
        if (wrong) {
            out->why = xstrdup(wrong);
        } else if (search_rational_compare(value, target)) {
            char *is = number_text(value, 0);
            out->why = xasprintf("it is %s, not %s", is, path->problem->target);
            free(is);
        }
    }
    out->correct = !out->why;
}

/* The expression that the steps of a path make, built by doing them again; NULL when one of them is not a legal step. */
static char *built_answer(const struct search_path *path, struct span last)
{
    struct numbers there;
    char *texts[SEARCH_MAX_NUMBERS] = {0};
    read_numbers((struct span){path->problem->state, strlen(path->problem->state)}, &there);
    int live = there.count;
    for (int i = 0; i < live; i++)
        texts[i] = number_text(there.list[i], 0);
    for (int i = 0; i <= path->count && live > 1; i++) {
        struct step step = read_step(i < path->count ? trim(path->thoughts[i], strlen(path->thoughts[i])) : last, &there);
        free(step.why);
        if (step.stage != LEGAL)
            break;
        char *parts[2];
        struct search_rational operands[] = {step.a, step.b}, value;
        search_rational_do(step.a, step.op, step.b, &value);
        for (int k = 0; k < 2; k++) {
            int place = place_of(&there, operands[k]);
            parts[k] = texts[place];
            remove_at(&there, place);
            memmove(texts + place, texts + place + 1, (size_t)(there.count - place) * sizeof *texts);
        }
        texts[there.count] = xasprintf("(%s %c %s)", parts[0], step.op, parts[1]);
        there.list[there.count++] = value;
        free(parts[0]);
        free(parts[1]);
        live = there.count;
    }
    struct search_expression x;
    char *answer = live == 1 && !search_expression_parse(texts[0], strlen(texts[0]), &x) ? answer_text(&x) : NULL;
    for (int i = 0; i < live; i++)
        free(texts[i]);
    return answer;
}

static void verify_arithmetic(const struct search_task *task, const struct search_path *path, const char *text, size_t n,
                              struct search_verdict *out)
{
    struct span thought = {text, n};
    struct search_cut cut;
    if (search_patterns_find(&task->answer, thought.text, thought.n, NULL, &cut)) {
        verify_answer(path, trim(thought.text + cut.first, cut.length), out);
        return;
    }
    struct numbers there;
    const char *state = path->state ? path->state : path->problem->state;
    if (!read_numbers((struct span){state, strlen(state)}, &there) || there.count < 2) {
        out->illegal = 1;
        out->why = xstrdup("one number is left: an answer line must follow");
        return;
    }
    struct step step = read_step(thought, &there);
    if (step.stage != LEGAL) {
        out->illegal = 1;
        out->why = step.why;
        return;
    }
    out->state = numbers_text(&step.after);
    if (step.after.count > 1 || !task->ends_at_number)
        return;
    out->final = 1;
    out->correct = !search_rational_compare(step.after.list[0], target_of(path));
    if (out->correct) {
        out->answer = built_answer(path, thought);
        if (!out->answer)
            out->answer = xstrdup(out->state);
    } else { /* a dead end: nobody claims that this is an answer */
        out->why = xasprintf("%s is not %s", out->state, path->problem->target);
    }
}

/* --- any task ---------------------------------------------------------------------------------------------------- */

/* What a reasoning model says to the user; NULL while it thinks: what it then takes for the answer it may still take back. */
static const char *after_thoughts(const struct search_task *task, const struct search_path *path, const char *thought)
{
    size_t out = search_task_thought_out(task, path, thought);
    return out == SIZE_MAX ? NULL : thought + out;
}

void search_task_verify(const struct search_task *task, const struct search_path *path, const char *thought,
                        struct search_verdict *out)
{
    static void (*const steps[])(const struct search_task *, const struct search_path *, const char *, size_t, struct search_verdict *) = {
        [SEARCH_VERIFIER_ARITHMETIC] = verify_arithmetic,
        [SEARCH_VERIFIER_SORTING] = search_sorting_verify,
        [SEARCH_VERIFIER_KNIGHTS] = search_knights_verify,
        [SEARCH_VERIFIER_CHAIN] = search_chain_verify,
    };
    struct span s = trim(thought, strlen(thought));
    /* where prompts are made anew each time, the end of a turn is only the end of a step */
    int last = path->count + 1 >= task->steps || (path->ended && task->continues);
    *out = (struct search_verdict){.correct = -1};
    if (!s.n && !(task->opening && !path->ended)) { /* a turn at once is no end */
        out->illegal = 1;
        out->why = xstrdup("nothing was written");
    } else if (steps[task->verifier]) {
        steps[task->verifier](task, path, s.text, s.n, out);
        if (!out->illegal && !out->final && last) {
            out->final = 1;
            out->correct = 0;
            out->why = xstrdup("the last step, and no answer");
        }
    } else {
        const char *answer = task->opening ? after_thoughts(task, path, thought) : thought;
        out->answer = answer ? search_answer_stated(task, answer) : NULL;
        if (!out->answer && last)
            out->answer = search_answer_otherwise(task, path, answer ? answer : thought);
        out->final = last || out->answer;
        if (out->final && path->problem->expected && task->verifier != SEARCH_VERIFIER_NONE)
            out->correct = out->answer && !strcmp(out->answer, path->problem->expected);
    }
}

void search_verdict_free(struct search_verdict *v)
{
    free(v->why);
    free(v->state);
    free(v->answer);
    *v = (struct search_verdict){.correct = -1};
}
