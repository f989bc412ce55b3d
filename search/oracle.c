/* Can a target be made from some numbers with + - * /, each used exactly once? In exact fractions.
 *
 * An expression over a set of numbers is an operation on two expressions over a split of that set. So the values of a set are
 * found from those of its subsets, each made once; and whether a set reaches a target is asked backwards: for each split, is there a value a of
 * the smaller part such that the larger one reaches what a lacks? Sets of up to three numbers are listed, larger ones only asked. Six numbers take
 * some hundredths of a second.
 */
#include "search/oracle.h"

#include "search/expression.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* --- values of sets ---------------------------------------------------------------------------------------------- */

struct values { /* ascending, each once */
    struct search_rational *list;
    int count, capacity;
};

struct solver {
    struct search_rational numbers[SEARCH_ORACLE_NUMBERS];
    int count;
    struct values of[1 << SEARCH_ORACLE_NUMBERS]; /* by set, a bit for each number; made when first asked for */
    int too_large;                                /* some value did not fit and was left out */
};

static int ascending(const void *a, const void *b)
{
    return search_rational_compare(*(const struct search_rational *)a, *(const struct search_rational *)b);
}

static void add_value(struct solver *s, struct values *values, struct search_rational a, char op, struct search_rational b)
{
    struct search_rational value;
    enum search_rational_status status = search_rational_do(a, op, b, &value);
    s->too_large |= status == SEARCH_RATIONAL_TOO_LARGE;
    if (status)
        return;
    ARRAY_RESERVE(values->list, values->count, values->capacity);
    values->list[values->count++] = value;
}

static const struct values *values_of(struct solver *s, int set)
{
    struct values *values = &s->of[set];
    if (values->count)
        return values;
    if (!(set & (set - 1))) {
        for (int i = 0; i < s->count; i++)
            if (set == 1 << i)
                add_value(s, values, s->numbers[i], '+', (struct search_rational){0, 1});
        return values;
    }
    for (int part = (set - 1) & set; part; part = (part - 1) & set) {
        if (part < (set ^ part)) /* each split once */
            continue;
        const struct values *x = values_of(s, part), *y = values_of(s, set ^ part);
        for (int i = 0; i < x->count; i++)
            for (int k = 0; k < y->count; k++) {
                add_value(s, values, x->list[i], '+', y->list[k]);
                add_value(s, values, x->list[i], '*', y->list[k]);
                add_value(s, values, x->list[i], '-', y->list[k]);
                add_value(s, values, y->list[k], '-', x->list[i]);
                add_value(s, values, x->list[i], '/', y->list[k]);
                add_value(s, values, y->list[k], '/', x->list[i]);
            }
    }
    qsort(values->list, (size_t)values->count, sizeof *values->list, ascending);
    int kept = 0;
    for (int i = 0; i < values->count; i++)
        if (!kept || search_rational_compare(values->list[kept - 1], values->list[i]))
            values->list[kept++] = values->list[i];
    values->count = kept;
    return values;
}

/* --- reaching a target ------------------------------------------------------------------------------------------- */

static int size_of(int set)
{
    int size = 0;
    for (; set; set &= set - 1)
        size++;
    return size;
}

static int reaches(struct solver *s, int set, struct search_rational target);

/* Is there a value b of the set such that a and b come to the target in one operation? */
static int completes(struct solver *s, struct search_rational a, int set, struct search_rational target)
{
    const struct { char op; int turned; } lacks[] = {
        {'-', 0}, /* a + b = t: b = t - a */
        {'-', 1}, /* a - b = t: b = a - t */
        {'+', 0}, /* b - a = t: b = t + a */
        {'/', 0}, /* a * b = t: b = t / a */
        {'/', 1}, /* a / b = t: b = a / t */
        {'*', 0}, /* b / a = t: b = t * a */
    };
    struct search_rational b;
    if (!a.num && !target.num) /* 0 * b = 0, whatever b is */
        return 1;
    for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++) {
        if (lacks[i].op == '*' && !a.num)
            continue; /* nothing is divided by 0 */
        enum search_rational_status status = lacks[i].turned ? search_rational_do(a, lacks[i].op, target, &b) : search_rational_do(target, lacks[i].op, a, &b);
        s->too_large |= status == SEARCH_RATIONAL_TOO_LARGE;
        if (status || (lacks[i].op == '/' && lacks[i].turned && !b.num))
            continue; /* a / b with b = 0 */
        if (reaches(s, set, b))
            return 1;
    }
    return 0;
}

static int reaches(struct solver *s, int set, struct search_rational target)
{
    if (size_of(set) <= 3) {
        const struct values *values = values_of(s, set);
        return values->count && bsearch(&target, values->list, (size_t)values->count, sizeof target, ascending);
    }
    for (int part = (set - 1) & set; part; part = (part - 1) & set) {
        if (size_of(part) > size_of(set ^ part))
            continue;
        const struct values *values = values_of(s, part);
        for (int i = 0; i < values->count; i++)
            if (completes(s, values->list[i], set ^ part, target))
                return 1;
    }
    return 0;
}

enum search_mark search_oracle_solve(const struct search_rational *numbers, int count, struct search_rational target)
{
    struct solver *s = xcalloc(1, sizeof *s);
    memcpy(s->numbers, numbers, (size_t)count * sizeof *numbers);
    s->count = count;
    int found = reaches(s, (1 << count) - 1, target);
    enum search_mark mark = found ? SEARCH_MARK_ALIVE : s->too_large ? SEARCH_MARK_UNKNOWN : SEARCH_MARK_LOST;
    for (int i = 0; i < 1 << count; i++)
        free(s->of[i].list);
    free(s);
    return mark;
}

/* 7, -7, 1.5 or 2/3; an expression such as 3+4 is not one number. */
static int read_number(const char *text, size_t n, struct search_rational *out)
{
    struct search_expression x;
    if (search_expression_parse(text, n, &x) || search_expression_value(&x, out))
        return 0;
    int numbers = 0, divisions = 0, signs = 0;
    for (int i = 0; i < x.count; i++) {
        numbers += !x.nodes[i].op;
        divisions += x.nodes[i].op == '/';
        signs += x.nodes[i].op == 'n';
    }
    return divisions <= 1 && numbers == divisions + 1 && x.count == numbers + divisions + signs;
}

int search_oracle_read(const char *text, struct search_rational *out)
{
    int count = 0;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " \t\n");
        if (n && (count == SEARCH_ORACLE_NUMBERS || !read_number(p, n, &out[count++])))
            return -1;
        p += n + strspn(p + n, " \t\n");
    }
    return count;
}

/* --- remembering ------------------------------------------------------------------------------------------------- */

struct entry {
    char *question; /* NULL: free */
    enum search_mark mark;
};

/* Invariant: capacity is a power of two and more than twice the count; an entry stands at the first free place from its hash on. */
struct search_oracle {
    struct entry *entries;
    size_t count, capacity;
};

struct search_oracle *search_oracle_open(void)
{
    struct search_oracle *oracle = xcalloc(1, sizeof *oracle);
    oracle->capacity = 1024;
    oracle->entries = xcalloc(oracle->capacity, sizeof *oracle->entries);
    return oracle;
}

void search_oracle_close(struct search_oracle *oracle)
{
    if (!oracle)
        return;
    for (size_t i = 0; i < oracle->capacity; i++)
        free(oracle->entries[i].question);
    free(oracle->entries);
    free(oracle);
}

static struct entry *find(const struct search_oracle *oracle, const char *question)
{
    size_t i = (size_t)hash_bytes(question, strlen(question)) & (oracle->capacity - 1);
    while (oracle->entries[i].question && strcmp(oracle->entries[i].question, question))
        i = (i + 1) & (oracle->capacity - 1);
    return &oracle->entries[i];
}

static void grow(struct search_oracle *oracle)
{
    struct search_oracle larger = {.capacity = 2 * oracle->capacity, .count = oracle->count};
    larger.entries = xcalloc(larger.capacity, sizeof *larger.entries);
    for (size_t i = 0; i < oracle->capacity; i++)
        if (oracle->entries[i].question)
            *find(&larger, oracle->entries[i].question) = oracle->entries[i];
    free(oracle->entries);
    *oracle = larger;
}

enum search_mark search_oracle_ask(struct search_oracle *oracle, const char *numbers, const char *target)
{
    struct search_rational list[SEARCH_ORACLE_NUMBERS], wanted[SEARCH_ORACLE_NUMBERS];
    int count = search_oracle_read(numbers, list);
    if (count < 1 || search_oracle_read(target, wanted) != 1)
        return SEARCH_MARK_UNKNOWN;
    qsort(list, (size_t)count, sizeof *list, ascending);
    struct string question = {0};
    search_rational_print(&question, wanted[0], 0);
    for (int i = 0; i < count; i++) {
        string_add(&question, " ");
        search_rational_print(&question, list[i], 0);
    }
    if (2 * oracle->count + 2 > oracle->capacity)
        grow(oracle);
    struct entry *entry = find(oracle, question.text);
    if (!entry->question) {
        *entry = (struct entry){question.text, search_oracle_solve(list, count, wanted[0])};
        oracle->count++;
    } else {
        string_free(&question);
    }
    return entry->mark;
}

/* --- marks on a tree --------------------------------------------------------------------------------------------- */

int search_oracle_problem(const struct search_tree *tree, const char **numbers, const char **target)
{
    if (!tree->session || !tree->session->session.problem || !tree->session->session.expected)
        return 0;
    struct search_rational list[SEARCH_ORACLE_NUMBERS];
    const char *problem = tree->session->session.problem, *mark = strchr(problem, ':');
    *numbers = mark ? mark + 1 : problem; /* "24: 4 4 10" */
    *target = tree->session->session.expected;
    int count = search_oracle_read(*numbers, list);
    return count >= 2 && search_oracle_read(*target, list) == 1 ? count : 0;
}

enum search_mark search_oracle_mark(struct search_oracle *oracle, const struct search_tree *tree, int node)
{
    const char *numbers, *target;
    if (node < 0 || node >= tree->count || !search_oracle_problem(tree, &numbers, &target))
        return SEARCH_MARK_UNKNOWN;
    for (int above = node; above > 0; above = tree->nodes[above].parent)
        if (tree->nodes[above].thought->thought.illegal)
            return SEARCH_MARK_LOST;
    if (node > 0) {
        const struct search_event *thought = tree->nodes[node].thought;
        if (thought->thought.final || thought->thought.answer)
            return thought->thought.correct < 0 ? SEARCH_MARK_UNKNOWN : thought->thought.correct ? SEARCH_MARK_ALIVE : SEARCH_MARK_LOST;
        numbers = thought->thought.state;
    }
    return numbers ? search_oracle_ask(oracle, numbers, target) : SEARCH_MARK_UNKNOWN;
}
