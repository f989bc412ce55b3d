/* Traces: what a small model learns a task from. A problem is drawn as task make draws it, and then asked in every way that the searches
 * will ask: with the task's own prompts for trained models, filled by the code that fills them for a model.
 *
 *   sample         the whole solution, a step a line, then its answer line; and from states on the way the next step alone
 *   value          can it still be made: sure (in whole numbers), likely (with fractions only), impossible
 *   propose        different steps, a line each: those that keep the target in reach first
 *   a chain        each step from what is left of it; steps that are right, and wrong as a slip would make them
 *
 * Steps are drawn among all that keep the target in reach, so two traces of a problem need not be alike. No item asks about three or more
 * numbers that, as a sorted list, belong to the other split: whatever task they came from, they are never asked about.
 */
#include "search/expression.h"
#include "search/generate.h"
#include "search/reach.h"
#include "search/schema.h"

#include <stdlib.h>
#include <string.h>

const struct search_trace_weights search_trace_weights = {
    .three = 0.29, .step = 0.5, .value = {0.3, 0.1, 0.8, 5.0}, .chain = 0.5, .alive = 0.5, .fractions = 0.1, .propose = 0.3,
};

struct item {
    char *prompt, *completion;
};

struct search_traces {
    const struct search_task *task; /* with its prompts for trained models */
    void (*make)(struct search_traces *);
    struct search_trace_weights weights;
    struct search_reach *reach;
    struct search_draws draws; /* of the row whose items are listed; the next row is its row + 1 */
    int begun;                 /* some row is */
    struct item *items;
    int count, capacity, given;
};

/* --- items ------------------------------------------------------------------------------------------------------- */

static void clear(struct search_traces *t)
{
    for (int i = 0; i < t->count; i++) {
        free(t->items[i].prompt);
        free(t->items[i].completion);
    }
    t->count = t->given = 0;
}

/* The completion is taken over. */
static void add_item(struct search_traces *t, enum search_purpose purpose, const struct search_path *path, char *completion)
{
    struct search_messages messages;
    struct error e;
    search_task_messages(t->task, purpose, path, NULL, 0, &messages, &e); /* open has seen that it is there, and one text */
    ARRAY_RESERVE(t->items, t->count, t->capacity);
    t->items[t->count++] = (struct item){xstrdup(messages.list[0].text), completion};
    search_messages_free(&messages);
}

static int below(struct search_traces *t, int n)
{
    return search_draw_below(&t->draws, n);
}

static int happens(struct search_traces *t, double chance)
{
    return search_draw_uniform(&t->draws) < chance;
}

/* So often, on average. */
static int times(struct search_traces *t, double weight)
{
    int whole = (int)weight;
    return whole + happens(t, weight - whole);
}

/* --- numbers: walks ---------------------------------------------------------------------------------------------- */

struct problem {
    struct search_left start;
    int64_t target;
    int whole; /* it can be made in whole numbers: then it is solved so */
};

struct walk {
    struct search_left at;
    struct search_move moves[SEARCH_LEFT_MOST];
    int count;
};

static int is_ours(const struct search_traces *t, const struct search_left *left)
{
    struct string key = {0};
    if (left->count < 3)
        return 1;
    search_left_print(&key, left);
    int ours = search_split_of(key.text) == t->draws.split;
    string_free(&key);
    return ours;
}

/* A step at random that keeps the target in reach, or one that loses it; where there is none, any. Of two that lose it the one of the smaller
 * result: most are products that anybody sees are too large, and a model does not propose them. */
static void take_step(struct search_traces *t, const struct problem *p, int alive, struct walk *w)
{
    struct search_move moves[SEARCH_LEFT_MOVES];
    int whole = p->whole || (alive && search_reach_ask(t->reach, &w->at, p->target, 1)); /* fractions are for where nothing else will do */
    int wanted[SEARCH_LEFT_MOVES], count = search_left_moves(&w->at, whole, moves), n = 0;
    for (int i = 0; i < count; i++)
        if (search_reach_ask(t->reach, &moves[i].after, p->target, whole) == alive)
            wanted[n++] = i;
    const struct search_move *move = &moves[n ? wanted[below(t, n)] : below(t, count)], *other = &moves[n && !alive ? wanted[below(t, n)] : 0];
    if (n && !alive && search_rational_compare(other->value, move->value) < 0)
        move = other;
    w->moves[w->count++] = *move;
    w->at = move->after;
}

/* To a state of so many numbers: on the way to a solution, or beside it, having left it at some step. 0: none of this split was found. */
static int walk(struct search_traces *t, const struct problem *p, int numbers, int alive, struct walk *out)
{
    enum { ATTEMPTS = 8 };
    for (int i = 0; i < ATTEMPTS; i++) {
        *out = (struct walk){.at = p->start};
        int steps = (int)p->start.count - numbers, leaves = alive ? steps : below(t, steps);
        while (out->count < steps)
            take_step(t, p, out->count < leaves, out);
        if (is_ours(t, &out->at))
            return 1;
    }
    return 0;
}

/* --- numbers: texts ---------------------------------------------------------------------------------------------- */

static char *left_text(const struct search_left *left)
{
    struct string text = {0};
    search_left_print(&text, left);
    return text.text;
}

static void ask(struct search_traces *t, enum search_purpose purpose, const struct problem *p, const struct walk *w, char *completion)
{
    char *numbers = left_text(&p->start), *state = left_text(&w->at), *target = xasprintf("%d", (int)p->target);
    char *text = t->task->target_given ? xasprintf("%s: %s", target, numbers) : xstrdup(numbers);
    char *thoughts[SEARCH_LEFT_MOST];
    for (int i = 0; i < w->count; i++) {
        struct string thought = {0};
        search_move_print(&thought, &w->moves[i]);
        thoughts[i] = thought.text;
    }
    struct search_problem problem = {.text = text, .state = numbers, .expected = target, .target = target};
    struct search_path path = {.problem = &problem, .thoughts = (const char *const *)thoughts, .count = w->count, .state = state};
    add_item(t, purpose, &path, completion);
    for (int i = 0; i < w->count; i++)
        free(thoughts[i]);
    free(text);
    free(target);
    free(state);
    free(numbers);
}

static int place_of(const struct search_left *left, struct search_rational x)
{
    int at = 0;
    while (search_rational_compare(left->list[at], x))
        at++;
    return at;
}

/* The expression of a walk to its end, as the verifier writes answers. */
static void add_answer(struct string *out, const struct problem *p, const struct walk *w)
{
    struct search_left there = p->start;
    struct search_expression x;
    char *texts[SEARCH_LEFT_MOST];
    for (int i = 0; i < there.count; i++)
        texts[i] = xasprintf("%d", (int)there.list[i].num);
    for (int i = 0; i < w->count; i++) {
        const struct search_move *move = &w->moves[i];
        const struct search_rational operands[] = {move->a, move->b};
        char *parts[2];
        for (int k = 0; k < 2; k++) {
            int at = place_of(&there, operands[k]), last = (int)--there.count;
            parts[k] = texts[at];
            texts[at] = texts[last];
            there.list[at] = there.list[last];
        }
        texts[there.count] = xasprintf("(%s %c %s)", parts[0], move->op, parts[1]);
        there.list[there.count++] = move->value;
        free(parts[0]);
        free(parts[1]);
    }
    search_expression_parse(texts[0], strlen(texts[0]), &x);
    string_add(out, "Answer: ");
    search_expression_print(&x, out);
    string_addf(out, " = %d\n", (int)p->target);
    free(texts[0]);
}

/* --- numbers: what is asked -------------------------------------------------------------------------------------- */

static void add_solution(struct search_traces *t, const struct problem *p)
{
    struct walk w = {.at = p->start}, start = w;
    struct string text = {0};
    while (w.at.count > 1) {
        take_step(t, p, 1, &w);
        search_move_print(&text, &w.moves[w.count - 1]);
        string_add(&text, "\n");
    }
    add_answer(&text, p, &w);
    ask(t, SEARCH_SAMPLE, p, &start, text.text);
}

static void add_step(struct search_traces *t, const struct problem *p)
{
    struct walk w, next;
    struct string text = {0};
    if (!walk(t, p, 2 + below(t, (int)p->start.count - 2), 1, &w))
        return;
    next = w;
    take_step(t, p, 1, &next);
    search_move_print(&text, &next.moves[next.count - 1]);
    string_add(&text, "\n");
    ask(t, SEARCH_SAMPLE, p, &w, text.text);
}

static void add_value(struct search_traces *t, const struct problem *p, const struct walk *w)
{
    int whole = search_reach_ask(t->reach, &w->at, p->target, 1);
    const char *label = whole ? "sure" : search_reach_ask(t->reach, &w->at, p->target, 0) ? "likely" : "impossible";
    ask(t, SEARCH_VALUE, p, w, xstrdup(label));
}

static void add_value_of_state(struct search_traces *t, const struct problem *p, int numbers)
{
    struct problem here = *p;
    struct walk w;
    int alive = happens(t, t->weights.alive);
    here.whole = p->whole && (alive || !happens(t, t->weights.fractions));
    if (walk(t, &here, numbers, alive, &w))
        add_value(t, p, &w);
}

/* As many at most as a model is to write. */
static void add_proposal(struct search_traces *t, const struct problem *p)
{
    enum { MOST = 8 };
    struct walk w = {.at = p->start};
    int later = happens(t, 0.5), numbers = 2 + below(t, (int)p->start.count - 2), alive = happens(t, t->weights.alive);
    if (later && !walk(t, p, numbers, alive, &w))
        return;
    int whole = /* fractions only where they are needed */
        search_reach_ask(t->reach, &w.at, p->target, 1) || (p->whole && !search_reach_ask(t->reach, &w.at, p->target, 0));
    struct search_move moves[SEARCH_LEFT_MOVES];
    struct string text = {0};
    int order[SEARCH_LEFT_MOVES], count = search_left_moves(&w.at, whole, moves), n = 0;
    for (int good = 1; good >= 0; good--)
        for (int i = 0, first = n; i < count; i++)
            if (search_reach_ask(t->reach, &moves[i].after, p->target, whole) == good) {
                int at = first + below(t, n - first + 1);
                order[n] = i;
                order[n++] = order[at];
                order[at] = i;
            }
    for (int i = 0; i < n && i < MOST; i++) {
        search_move_print(&text, &moves[order[i]]);
        string_add(&text, "\n");
    }
    ask(t, SEARCH_PROPOSE, p, &w, text.text);
}

/* --- numbers: problems ------------------------------------------------------------------------------------------- */

/* Numbers that are drawn, and what drawn operations make of them. */
static struct problem draw_countdown(struct search_traces *t)
{
    struct problem p = {.whole = 1};
    int count = happens(t, t->weights.three) ? 3 : 4;
    while (p.target < 10 || p.target > 99) {
        int list[4];
        for (int i = 0; i < count; i++)
            list[i] = 1 + below(t, 99);
        p.start = search_left_of(list, count);
        if (!is_ours(t, &p.start))
            continue;
        struct search_left left = p.start;
        struct search_move moves[SEARCH_LEFT_MOVES];
        while (left.count > 1)
            left = moves[below(t, search_left_moves(&left, 1, moves))].after;
        p.target = left.list[0].num;
    }
    return p;
}

static struct problem draw_game24(struct search_traces *t, int alive)
{
    struct problem p = {.target = 24};
    int list[4];
    do {
        search_draw_four(&t->draws, list);
        p.start = search_left_of(list, 4);
    } while (!is_ours(t, &p.start) || search_reach_ask(t->reach, &p.start, 24, 0) != alive);
    p.whole = search_reach_ask(t->reach, &p.start, 24, 1);
    return p;
}

/* The value of a problem as it is given; one that has no solution has another target, or, where that is always 24, other numbers. */
static void add_value_of_problem(struct search_traces *t, const struct problem *p, int is_game24)
{
    struct problem other = *p;
    int alive = happens(t, t->weights.alive);
    if (!alive && is_game24)
        other = draw_game24(t, 0);
    for (int i = 0; i < 8 && !alive && !is_game24 && search_reach_ask(t->reach, &other.start, other.target, 0); i++)
        other.target = 10 + below(t, 90);
    add_value(t, &other, &(struct walk){.at = other.start});
}

static void make_numbers(struct search_traces *t, const struct problem *p, int is_game24)
{
    const struct search_trace_weights *w = &t->weights;
    int values = search_task_has(t->task, SEARCH_VALUE), proposals = search_task_has(t->task, SEARCH_PROPOSE);
    add_solution(t, p);
    for (int n = times(t, w->step); n > 0; n--)
        add_step(t, p);
    for (int n = values ? times(t, w->value[0]) : 0; n > 0; n--)
        add_value_of_problem(t, p, is_game24);
    for (int numbers = 1; values && numbers < p->start.count; numbers++)
        for (int n = times(t, w->value[numbers]); n > 0; n--)
            add_value_of_state(t, p, numbers);
    for (int n = proposals ? times(t, w->propose) : 0; n > 0; n--)
        add_proposal(t, p);
}

static void make_countdown(struct search_traces *t)
{
    struct problem p = draw_countdown(t);
    make_numbers(t, &p, 0);
}

static void make_game24(struct search_traces *t)
{
    struct problem p = draw_game24(t, 1);
    make_numbers(t, &p, 1);
}

/* --- chains ------------------------------------------------------------------------------------------------------ */

enum { CHAIN = 8 };

struct chain {
    int value, count; /* so far; operations that are still to be done */
    char ops[CHAIN];
    int by[CHAIN];
};

static int by_size(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* As a sorted list. */
static int are_ours(const struct search_traces *t, const int *numbers, int count)
{
    struct string key = {0};
    int list[CHAIN + 1];
    memcpy(list, numbers, (size_t)count * sizeof *list);
    qsort(list, (size_t)count, sizeof *list, by_size);
    for (int i = 0; i < count; i++)
        string_addf(&key, "%s%d", i ? " " : "", list[i]);
    int ours = count < 3 || search_split_of(key.text) == t->draws.split;
    string_free(&key);
    return ours;
}

static char *chain_text(const struct chain *c)
{
    struct string text = {0};
    string_addf(&text, "%d", c->value);
    for (int i = 0; i < c->count; i++)
        string_addf(&text, " %c%d", c->ops[i], c->by[i]);
    return text.text;
}

/* Chains are told apart by their text too: that is the key of their problems. */
static int chain_is_ours(const struct search_traces *t, const struct chain *c, const char *text)
{
    int numbers[CHAIN + 1] = {c->value};
    memcpy(numbers + 1, c->by, (size_t)c->count * sizeof *numbers);
    return c->count < 2 || (search_split_of(text) == t->draws.split && are_ours(t, numbers, c->count + 1));
}

static struct chain read_chain(const char *text)
{
    struct chain c = {.value = atoi(text)};
    while ((text = strchr(text, ' '))) {
        c.ops[c.count] = text[1];
        c.by[c.count++] = atoi(text + 2);
        text++;
    }
    return c;
}

static struct chain draw_chain(struct search_traces *t)
{
    struct chain c = {0};
    for (int found = 0; !found;) {
        struct search_drawn drawn;
        found = search_draw("arithmetic-chain", &t->draws, &drawn);
        c = read_chain(drawn.problem);
        found = found && chain_is_ours(t, &c, drawn.problem);
        search_drawn_free(&drawn);
    }
    return c;
}

static int done(int a, char op, int b)
{
    return op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
}

/* What somebody who slips writes: one or two off, a ten off, or another operation's result. */
static int slip(struct search_traces *t, int a, char op, int b)
{
    static const int off[] = {1, -1, 2, -2, 10, -10};
    int right = done(a, op, b), wrong = right;
    while (wrong == right || wrong < 0) {
        int way = below(t, 7);
        wrong = way < 6 ? right + off[way] : done(a, op == '+' ? '-' : '+', b);
    }
    return wrong;
}

static void add_value_of_step(struct search_traces *t, struct search_path *path, const struct chain *before)
{
    int right = happens(t, t->weights.alive), a = before->value, b = before->by[0];
    int value = right ? done(a, before->ops[0], b) : slip(t, a, before->ops[0], b);
    char *thought = xasprintf("%d %c %d = %d", a, before->ops[0], b, value);
    const char **thoughts = (const char **)path->thoughts, *kept = thoughts[path->count - 1];
    thoughts[path->count - 1] = thought;
    if (are_ours(t, (int[]){a, b, value}, 3))
        add_item(t, SEARCH_VALUE, path, xstrdup(right ? "right" : "wrong"));
    thoughts[path->count - 1] = kept;
    free(thought);
}

static void make_chain(struct search_traces *t)
{
    struct chain c = draw_chain(t);
    int steps = c.count, result = c.value, values = search_task_has(t->task, SEARCH_VALUE);
    char *thoughts[CHAIN], *texts[CHAIN + 1] = {chain_text(&c)};
    for (int i = 0; i < steps; i++)
        result = done(result, c.ops[i], c.by[i]);
    char *expected = xasprintf("%d", result);
    struct search_problem problem = {.text = texts[0], .state = texts[0], .expected = expected};
    struct search_path path = {.problem = &problem, .thoughts = (const char *const *)thoughts};
    for (int i = 0; i < steps; i++) {
        struct chain before = c;
        c.value = done(c.value, c.ops[0], c.by[0]);
        c.count--;
        memmove(c.ops, c.ops + 1, (size_t)c.count);
        memmove(c.by, c.by + 1, (size_t)c.count * sizeof *c.by);
        texts[i + 1] = chain_text(&c);
        thoughts[i] = xasprintf("%d %c %d = %d", before.value, before.ops[0], before.by[0], c.value);
        path.state = texts[i];
        path.count = i;
        if (chain_is_ours(t, &before, texts[i]))
            add_item(t, SEARCH_SAMPLE, &path, xasprintf("%s\n", thoughts[i]));
        path.state = texts[i + 1];
        path.count = i + 1;
        for (int n = values ? times(t, t->weights.chain) : 0; n > 0; n--)
            add_value_of_step(t, &path, &before);
    }
    for (int i = 0; i < steps; i++)
        free(thoughts[i]);
    for (int i = 0; i <= steps; i++)
        free(texts[i]);
    free(expected);
}

/* --- the whole --------------------------------------------------------------------------------------------------- */

static const struct {
    const char *generator;
    void (*make)(struct search_traces *);
    const char *numbers, *target; /* what problems look like */
} makers[] = {
    {"countdown", make_countdown, "4 5 6 10", "24"},
    {"countdown", make_countdown, "4 6 10", "24"},
    {"game24", make_game24, "4 5 6 10", "24"},
    {"arithmetic-chain", make_chain, "7 +5 *3", NULL},
};

/* Does the task take such problems, with that target? */
static int check_fit(const struct search_task *task, const char *numbers, const char *target, struct error *e)
{
    struct search_problem problem = {0};
    struct error wrong = {0};
    char *text = target && task->target_given ? xasprintf("%s: %s", target, numbers) : xstrdup(numbers);
    int status = search_problem_parse(task, text, NULL, &problem, &wrong), other = !status && target && strcmp(problem.target, target);
    if (status || other)
        status = error_set(e, ERROR_INPUT, "%s: traces of generator %s do not fit this task: %s", task->path, task->generator,
                           status ? wrong.message : "its target is another one than theirs, 24");
    search_problem_free(&problem);
    free(text);
    return status;
}

/* The prompts that are filled must be one text each: what stands between several is the engine's to say. */
static int check_prompts(const struct search_task *task, struct error *e)
{
    static const enum search_purpose purposes[] = {SEARCH_SAMPLE, SEARCH_VALUE, SEARCH_PROPOSE};
    if (!search_task_has(task, SEARCH_SAMPLE))
        return error_set(e, ERROR_INPUT, "%s: no `sample` prompt for trained models; traces need one under `trained:`", task->path);
    for (int i = 0; i < 3; i++)
        if (task->sections[purposes[i]].messages.count > 1)
            return error_set(e, ERROR_INPUT, "%s: the `%s` prompt for trained models has %d messages; traces need one text under `trained:`",
                             task->path, search_purpose_name(purposes[i]), task->sections[purposes[i]].messages.count);
    return OK;
}

int search_traces_open(struct search_traces **out, const struct search_task *task, enum search_split split, uint64_t seed,
                       const struct search_trace_weights *weights, struct error *e)
{
    void (*make)(struct search_traces *) = NULL;
    int status = OK;
    *out = NULL;
    if (!task->trained)
        return error_set(e, ERROR_INPUT, "%s: the task has no `trained:` section; traces are made for the prompts there", task->path);
    for (size_t i = 0; i < sizeof makers / sizeof *makers && task->generator && !status; i++)
        if (!strcmp(makers[i].generator, task->generator)) {
            make = makers[i].make;
            status = check_fit(task->trained, makers[i].numbers, makers[i].target, e);
        }
    if (!status && !make)
        return error_set(e, ERROR_INPUT, "%s: no traces are made of generator %s; expected countdown, game24 or arithmetic-chain", task->path,
                         task->generator ? task->generator : "none");
    if (status || (status = check_prompts(task->trained, e)))
        return status;
    struct search_traces *t = xcalloc(1, sizeof *t);
    t->task = task->trained;
    t->make = make;
    t->weights = weights ? *weights : search_trace_weights;
    t->reach = search_reach_open();
    t->draws = (struct search_draws){.split = split, .seed = seed};
    *out = t;
    return OK;
}

void search_traces_close(struct search_traces *t)
{
    if (!t)
        return;
    clear(t);
    free(t->items);
    search_reach_close(t->reach);
    free(t);
}

void search_traces_seek(struct search_traces *t, uint64_t row)
{
    clear(t);
    t->draws.row = row;
    t->begun = 0;
}

void search_traces_next(struct search_traces *t, struct search_trace *out)
{
    while (t->given == t->count) { /* a chain may come to nothing that is ours */
        clear(t);
        t->draws.row += (uint64_t)t->begun;
        t->draws.index = 0;
        t->begun = 1;
        t->make(t);
    }
    const struct item *item = &t->items[t->given++];
    *out = (struct search_trace){item->prompt, item->completion, t->draws.row};
}
