/* Learning: losses, gradients and steps against PyTorch's (reference/learning*.txt), gradients against central differences, and what must
 * not change a bit: threads, what is kept, which documents lie together, a save and a restore between. */
#include "engine/engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { DOCUMENTS = 3, SOME = 12, STEPS = 10, ROWS = 400, RANK = 4, MOST_PARAMETERS = 100 };

/* --- numbers that learning.py makes likewise --------------------------------------------------------------------- */

static uint64_t hashed(int stream, size_t i)
{
    uint64_t h = (((uint64_t)i + (uint64_t)stream * 1000003) * 2654435761u + 12345) & 0xffffffff;
    h ^= h >> 15;
    h = h * 2246822519u & 0xffffffff;
    return h ^ h >> 13;
}

static float number(int stream, size_t i)
{
    const uint64_t h = hashed(stream, i);
    return ((float)((h & 255) + (h >> 8 & 255) + (h >> 16 & 255) + (h >> 24)) - 510) / 1024;
}

/* --- what is stored ---------------------------------------------------------------------------------------------- */

struct stored_parameter {
    char name[64];
    int rows, cols, some_count;
    double norm, product, some[SOME], *whole; /* whole: or NULL */
};
struct stored_case {
    char model[64];
    int all, count, parameter_count, step_count;
    double loss;
    struct stored_parameter parameters[MOST_PARAMETERS];
    struct {
        double rate, loss, norm;
    } steps[STEPS];
};
static const char *const architectures[] = {"tiny-qwen2", "tiny-qwen3", "tiny-yarn", "tiny-gemma3", "tiny-llama3", "tiny-mistral"};
enum { ARCHITECTURES = sizeof architectures / sizeof *architectures, LLAMAS = 8 /* cases before those */ };
static struct stored_case *cases;
static int case_count;
static struct engine_document documents[DOCUMENTS];
static int document_count;

static double *stored_numbers(const char *text, size_t n)
{
    double *x = xmalloc(n * sizeof *x);
    char *end;
    for (size_t i = 0; i < n; i++, text = end) {
        x[i] = strtod(text, &end);
        assert_true(end != text);
    }
    return x;
}

static void read_document(const char *text)
{
    int *tokens = xcalloc(strlen(text), sizeof *tokens), n = 0;
    for (char *end; *text && *text != '\n'; text = end)
        tokens[n++] = (int)strtol(text, &end, 10);
    documents[document_count].tokens = tokens;
    documents[document_count].count = n;
}

static void read_learned(const char *text)
{
    struct engine_document *d = &documents[document_count++];
    unsigned char *learned = xcalloc((size_t)d->count, 1);
    for (int i = 0; i < d->count; i++)
        learned[i] = text[i] == '1';
    d->learned = learned;
}

static void read_parameter(struct stored_case *c, const char *text)
{
    struct stored_parameter *p = &c->parameters[c->parameter_count++];
    int at = 0;
    assert_int_equal(sscanf(text, "%63s %d %d%n", p->name, &p->rows, &p->cols, &at), 3);
    int n = 0;
    for (const char *space = text + at; (space = strchr(space, ' ')); space++)
        n++;
    assert_in_range(n, 3, 2 + SOME);
    double *x = stored_numbers(text + at, (size_t)n);
    p->norm = x[0], p->product = x[1];
    p->some_count = n - 2;
    memcpy(p->some, x + 2, (size_t)p->some_count * sizeof *x);
    free(x);
}

static void read_line(const char *line)
{
    char kind[16] = "";
    int at = 0;
    struct stored_case *c = case_count ? &cases[case_count - 1] : NULL;
    sscanf(line, "%15s %n", kind, &at);
    const char *text = line + at;
    if (!strcmp(kind, "document"))
        read_document(text);
    else if (!strcmp(kind, "learned"))
        read_learned(text);
    else if (!strcmp(kind, "case")) {
        cases = xrealloc(cases, (size_t)(case_count + 1) * sizeof *cases);
        c = &cases[case_count++];
        memset(c, 0, sizeof *c);
        assert_int_equal(sscanf(text, "%63s %15s", c->model, kind), 2);
        c->all = !strcmp(kind, "all");
    } else if (!strcmp(kind, "loss"))
        assert_int_equal(sscanf(text, "%lf %d", &c->loss, &c->count), 2);
    else if (!strcmp(kind, "parameter"))
        read_parameter(c, text);
    else if (!strcmp(kind, "whole")) {
        struct stored_parameter *p = &c->parameters[c->parameter_count - 1];
        p->whole = stored_numbers(text, (size_t)p->rows * (size_t)p->cols);
    } else if (!strcmp(kind, "step")) {
        assert_true(c->step_count < STEPS);
        assert_int_equal(sscanf(text, "%lf %lf %lf", &c->steps[c->step_count].rate, &c->steps[c->step_count].loss, &c->steps[c->step_count].norm), 3);
        c->step_count++;
    }
}

static int read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    if (!f)
        return -1;
    while (getline(&line, &capacity, f) > 0)
        read_line(line);
    free(line);
    fclose(f);
    return 0;
}

static int read_stored(void **state)
{
    (void)state;
    if (read_file("tests/reference/learning.txt") || case_count != LLAMAS || read_file("tests/reference/learning_architectures.txt"))
        return -1;
    return document_count == DOCUMENTS && case_count == LLAMAS + 2 * ARCHITECTURES ? 0 : -1;
}

static int free_stored(void **state)
{
    (void)state;
    for (int i = 0; i < case_count; i++)
        for (int p = 0; p < cases[i].parameter_count; p++)
            free(cases[i].parameters[p].whole);
    free(cases);
    for (int i = 0; i < document_count; i++) {
        free((void *)(uintptr_t)documents[i].tokens);
        free((void *)(uintptr_t)documents[i].learned);
    }
    return 0;
}

/* --- learners ---------------------------------------------------------------------------------------------------- */

/* The options of the stored cases; a model by the name of its file. */
static struct engine_learner_options usual(int all)
{
    return (struct engine_learner_options){.model = "tiny-f32", .threads = 2, .all = all, .rank = RANK, .alpha = 8, .rows = ROWS, .beta2 = 0.98f, .decay = 0.05f, .clip = 1};
}

static struct engine_learner *open_plain(struct engine_learner_options o)
{
    struct engine_learner *l = NULL;
    struct error e;
    char *path = xasprintf("tests/reference/tiny/%s.gguf", o.model);
    o.model = path;
    if (engine_learner_create(&l, &o, &e))
        fail_msg("%s", e.message);
    free(path);
    return l;
}

static size_t numbers_of(const struct engine_parameter *p)
{
    return (size_t)p->rows * (size_t)p->cols;
}

/* An adapter that already does something: B is not zero. */
static void set_hashed(struct engine_learner *l)
{
    struct engine_parameter p;
    for (int i = 0; engine_learner_parameter(l, i, &p); i++) {
        float *w = xmalloc(numbers_of(&p) * sizeof *w);
        for (size_t j = 0; j < numbers_of(&p); j++)
            w[j] = number(i, j);
        engine_learner_set(l, i, w);
        free(w);
    }
}

static struct engine_learner *open_learner(struct engine_learner_options o)
{
    struct engine_learner *l = open_plain(o);
    if (!o.all)
        set_hashed(l);
    return l;
}

static struct engine_loss add(struct engine_learner *l, const struct engine_document *d, int n)
{
    struct engine_loss loss = {0};
    engine_learner_add(l, d, n, &loss);
    return loss;
}

static struct engine_loss loss_of(struct engine_learner *l, const struct engine_document *d, int n)
{
    struct engine_loss loss = {0};
    engine_learner_loss(l, d, n, &loss);
    return loss;
}

static double step(struct engine_learner *l, double rate)
{
    double norm = -1;
    struct error e;
    if (engine_learner_step(l, (float)rate, &norm, &e))
        fail_msg("%s", e.message);
    return norm;
}

static void learn(struct engine_learner *l, int steps)
{
    for (int i = 0; i < steps; i++) {
        add(l, documents, DOCUMENTS);
        step(l, 0.01);
    }
}

/* All weights or gradients, one after the other. */
struct numbers {
    float *x;
    size_t n;
};

static struct numbers numbers_in(const struct engine_learner *l, int gradients)
{
    struct numbers all = {0};
    struct engine_parameter p;
    for (int i = 0; engine_learner_parameter(l, i, &p); i++) {
        all.x = xrealloc(all.x, (all.n + numbers_of(&p)) * sizeof *all.x);
        memcpy(all.x + all.n, gradients ? p.gradient : p.weights, numbers_of(&p) * sizeof *all.x);
        all.n += numbers_of(&p);
    }
    return all;
}

static double norm_of(struct numbers a)
{
    double sum = 0;
    for (size_t i = 0; i < a.n; i++)
        sum += (double)a.x[i] * (double)a.x[i];
    return sqrt(sum);
}

static void assert_same_numbers(struct numbers a, struct numbers b)
{
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++)
        if (memcmp(&a.x[i], &b.x[i], sizeof *a.x))
            fail_msg("number %zu of %zu: %a is not %a", i, a.n, (double)a.x[i], (double)b.x[i]);
}

/* Within fp32's sums: `bound` of the norm of all. */
static void assert_near_numbers(struct numbers a, struct numbers b, double bound)
{
    const double norm = norm_of(a);
    assert_int_equal(a.n, b.n);
    assert_true(norm > 0);
    for (size_t i = 0; i < a.n; i++)
        if (!(fabs((double)a.x[i] - (double)b.x[i]) <= bound * norm))
            fail_msg("number %zu of %zu: %g is not %g, beside a norm of %g", i, a.n, (double)a.x[i], (double)b.x[i], norm);
}

static void assert_same_weights(const struct engine_learner *a, const struct engine_learner *b, int gradients)
{
    struct numbers x = numbers_in(a, gradients), y = numbers_in(b, gradients);
    assert_same_numbers(x, y);
    free(x.x), free(y.x);
}

#define FOR_EACH_SET(set)                                                                                              \
    for (const struct kernel_set *const *s_ = kernel_sets(), *set; (set = *s_) != NULL; s_++)                          \
        if (set->supported())

/* --- PyTorch's numbers ------------------------------------------------------------------------------------------- */

static double furthest; /* of a difference, beside the norm of its parameter's gradient */

static void check_number(const char *what, double x, double expected, double norm)
{
    const double away = fabs(x - expected) / norm;
    furthest = away > furthest ? away : furthest;
    if (!(away <= 5e-6))
        fail_msg("%s: %.9g, not %.9g, beside a norm of %.3g", what, x, expected, norm);
}

static void check_gradient(const struct stored_parameter *stored, int i, const struct engine_parameter *p)
{
    const size_t n = numbers_of(p);
    double squares = 0, product = 0;
    assert_string_equal(p->name, stored->name);
    assert_int_equal(p->rows, stored->rows);
    assert_int_equal(p->cols, stored->cols);
    for (size_t j = 0; j < n; j++) {
        squares += (double)p->gradient[j] * (double)p->gradient[j];
        product += (double)p->gradient[j] * (double)number(200 + i, j);
    }
    check_number(p->name, sqrt(squares), stored->norm, stored->norm);
    check_number(p->name, product, stored->product, stored->norm * sqrt((double)n) / 7);
    for (size_t j = 0; j < (size_t)stored->some_count; j++)
        check_number(p->name, (double)p->gradient[hashed(300 + i, j) % n], stored->some[j], stored->norm);
    for (size_t j = 0; j < n && stored->whole; j++)
        check_number(p->name, (double)p->gradient[j], stored->whole[j], stored->norm);
}

static void check_case(const struct stored_case *c, const char *kernels)
{
    struct engine_learner_options o = usual(c->all);
    o.model = c->model, o.kernels = kernels;
    struct engine_learner *l = open_learner(o);
    struct engine_parameter p;
    struct engine_loss loss = add(l, documents, DOCUMENTS);
    double away = 0;
    int i = 0;
    furthest = 0;
    assert_int_equal(loss.count, c->count);
    assert_true(fabs(loss.sum / c->loss - 1) < 1e-6);
    for (; engine_learner_parameter(l, i, &p); i++) {
        assert_true(i < c->parameter_count);
        check_gradient(&c->parameters[i], i, &p);
    }
    assert_int_equal(i, c->parameter_count);
    assert_int_equal(c->step_count, c - cases < LLAMAS ? STEPS : 0);
    for (i = 0; i < c->step_count; i++) {
        const double norm = step(l, c->steps[i].rate);
        const double by_loss = fabs(loss.sum / (double)loss.count / c->steps[i].loss - 1), by_norm = fabs(norm / c->steps[i].norm - 1);
        away = fmax(away, fmax(by_loss, by_norm));
        if (!(by_loss < 2e-4 && by_norm < 4e-4))
            fail_msg("%s, %s, step %d: loss %.9g, norm %.9g; expected %.9g, %.9g", c->model, kernels, i, loss.sum / (double)loss.count, norm, c->steps[i].loss, c->steps[i].norm);
        loss = add(l, documents, DOCUMENTS);
    }
    print_message("%s, %s, %s: gradients within %.1e, %d steps within %.1e\n", c->model, c->all ? "all" : "adapter", kernels, furthest, c->step_count, away);
    engine_learner_free(l);
}

static void test_stored(void **state)
{
    (void)state;
    FOR_EACH_SET(set)
        for (int i = 0; i < case_count; i++)
            check_case(&cases[i], set->name);
}

/* --- central differences ----------------------------------------------------------------------------------------- */

/* Parameter i moved by h along d, which is half its gradient and half anything. */
static double loss_along(struct engine_learner *l, int i, const float *w, const double *d, size_t n, double h)
{
    float *moved = xmalloc(n * sizeof *moved);
    for (size_t j = 0; j < n; j++)
        moved[j] = (float)((double)w[j] + h * d[j]);
    engine_learner_set(l, i, moved);
    free(moved);
    return loss_of(l, documents, DOCUMENTS).sum;
}

static void check_slope(struct engine_learner *l, int i)
{
    struct engine_parameter p;
    assert_true(engine_learner_parameter(l, i, &p));
    const size_t n = numbers_of(&p);
    double *d = xmalloc(n * sizeof *d), norm = 0, random = 0, expected = 0;
    float *w = memcpy(xmalloc(n * sizeof *w), p.weights, n * sizeof *w);
    for (size_t j = 0; j < n; j++) {
        norm += (double)p.gradient[j] * (double)p.gradient[j];
        random += (double)number(400, j) * (double)number(400, j);
    }
    norm = sqrt(norm);
    for (size_t j = 0; j < n; j++) {
        d[j] = (double)p.gradient[j] / norm + (double)number(400, j) / sqrt(random);
        expected += d[j] * (double)p.gradient[j];
    }
    const double h = 2e-3, slope = (loss_along(l, i, w, d, n, h) - loss_along(l, i, w, d, n, -h)) / (2 * h);
    if (!(fabs(slope - expected) < 2e-3 * norm + 0.02))
        fail_msg("%s: the loss rises by %.6g, the gradient says %.6g, its norm is %.3g", p.name, slope, expected, norm);
    furthest = fmax(furthest, fabs(slope - expected) / norm);
    engine_learner_set(l, i, w);
    free(w), free(d);
}

static void check_slopes(struct engine_learner_options o)
{
    struct engine_learner *l = open_learner(o);
    struct engine_parameter p;
    furthest = 0;
    add(l, documents, DOCUMENTS);
    for (int i = 0; engine_learner_parameter(l, i, &p); i++)
        check_slope(l, i);
    print_message("%s, %s%s: slopes within %.1e of the gradient's norm\n", o.model, o.all ? "all" : "adapter", o.quant ? " on NF4" : "", furthest);
    engine_learner_free(l);
}

static void test_central_differences(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct engine_learner_options o = usual(all);
        o.model = all ? "tiny-untied-f32" : "tiny-keylength-f32";
        check_slopes(o);
    }
    struct engine_learner_options o = usual(0);
    o.model = "tiny-q8_0", o.quant = "nf4";
    check_slopes(o);
    o.model = "tiny-wide-q4_1", o.quant = NULL;
    check_slopes(o);
}

/* Biases, norms of heads and of what parts give, GELU, a scaled embedding, windows, RoPEs: each has its gradient. */
static void test_slopes_of_architectures(void **state)
{
    (void)state;
    for (int i = 0; i < ARCHITECTURES; i++)
        for (int all = 0; all < 2; all++) {
            struct engine_learner_options o = usual(all);
            o.model = architectures[i];
            check_slopes(o);
        }
}

/* --- documents --------------------------------------------------------------------------------------------------- */

static void test_documents_together(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct engine_learner *together = open_learner(usual(all)), *apart = open_learner(usual(all));
        const struct engine_document turned[] = {documents[2], documents[0], documents[1]};
        const struct engine_loss loss = add(together, documents, DOCUMENTS);
        struct engine_loss sum = {0};
        for (int i = 0; i < DOCUMENTS; i++) {
            const struct engine_loss alone = loss_of(apart, &documents[i], 1), learned = add(apart, &documents[i], 1);
            assert_true(alone.sum == learned.sum && alone.count == learned.count);
            engine_learner_loss(together, &documents[i], 1, &sum); /* which leaves the gradient as it is */
        }
        assert_true(sum.sum == loss.sum && sum.count == loss.count);
        struct numbers a = numbers_in(together, 1), b = numbers_in(apart, 1);
        assert_near_numbers(a, b, 1e-6);
        assert_true(fabs(loss_of(together, turned, DOCUMENTS).sum - loss.sum) < 1e-9 * loss.sum);
        const double norm = step(together, 0.01);
        assert_true(fabs(step(apart, 0.01) / norm - 1) < 1e-5); /* the mean of all tokens, however they were added */
        free(a.x), free(b.x);
        engine_learner_free(together), engine_learner_free(apart);
    }
}

/* What is not learned counts nowhere, and two masks that share nothing add up to both. */
static void test_masks(void **state)
{
    (void)state;
    struct engine_learner *l = open_learner(usual(1));
    const int n = documents[1].count;
    unsigned char *masks[4];
    struct engine_loss losses[4];
    struct numbers gradients[4];
    for (int m = 0; m < 4; m++) { /* even tokens, odd ones, all, none; what the first has means nothing */
        masks[m] = xcalloc((size_t)n, 1);
        for (int i = 0; i < n; i++)
            masks[m][i] = m == 2 || (m < 2 && i % 2 == m) || !i;
        const struct engine_document d = {documents[1].tokens, masks[m], n};
        losses[m] = add(l, &d, 1);
        gradients[m] = numbers_in(l, 1);
        step(l, 0); /* drops the gradient */
    }
    assert_int_equal(losses[0].count, (n - 1) / 2);
    assert_int_equal(losses[0].count + losses[1].count, n - 1);
    assert_int_equal(losses[2].count, n - 1);
    assert_true(losses[3].count == 0 && losses[3].sum == 0 && norm_of(gradients[3]) == 0);
    assert_true(fabs(losses[0].sum + losses[1].sum - losses[2].sum) < 1e-9 * losses[2].sum);
    for (size_t i = 0; i < gradients[0].n; i++)
        gradients[0].x[i] += gradients[1].x[i];
    assert_near_numbers(gradients[2], gradients[0], 1e-6);
    for (int m = 0; m < 4; m++)
        free(masks[m]), free(gradients[m].x);
    engine_learner_free(l);
}

/* Documents of no token, of one, and none at all: nothing to learn, and a step then is none. */
static void test_nothing_to_learn(void **state)
{
    (void)state;
    struct engine_learner *l = open_learner(usual(0)), *fresh = open_learner(usual(0));
    const struct engine_document few[] = {{documents[0].tokens, documents[0].learned, 0}, {documents[0].tokens, documents[0].learned, 1}};
    struct engine_learner_info info;
    assert_int_equal(add(l, few, 0).count, 0);
    assert_int_equal(add(l, few, 2).count, 0);
    assert_true(step(l, 0.1) == 0);
    engine_learner_info(l, &info);
    assert_int_equal(info.steps, 0);
    assert_same_weights(l, fresh, 0);
    const struct engine_document between[] = {few[0], documents[2], few[1], documents[1]}, without[] = {documents[2], documents[1]};
    assert_true(add(l, between, 4).sum == add(fresh, without, 2).sum);
    engine_learner_free(l), engine_learner_free(fresh);
}

/* Inference has the same model: its log-probabilities are the loss. */
static void check_loss(const char *model)
{
    struct engine *engine;
    struct error e;
    struct engine_learner_options o = usual(1);
    char *path = xasprintf("tests/reference/tiny/%s.gguf", model);
    o.kernels = "reference";
    o.model = model;
    struct engine_learner *l = open_learner(o);
    assert_int_equal(engine_open(&engine, &(struct engine_options){.model = path, .kernels = "reference"}, &e), OK);
    free(path);
    for (int i = 0, id, live = 1; i < DOCUMENTS; i++, live = 1) {
        struct engine_result r;
        double sum = 0;
        assert_int_equal(engine_submit(engine, &(struct engine_request){.prompt = documents[i].tokens, .prompt_count = documents[i].count, .score = 1}, &id, NULL), OK);
        while (live)
            assert_int_equal(engine_step(engine, &live, &e), OK);
        assert_true(engine_result(engine, &r));
        for (int p = 0; p < r.count; p++)
            sum -= documents[i].learned[p + 1] ? (double)r.tokens[p].logprob : 0;
        assert_true(fabs(loss_of(l, &documents[i], 1).sum / sum - 1) < 1e-5);
        engine_result_free(&r);
    }
    engine_close(engine);
    engine_learner_free(l);
}

static void test_loss_is_inference(void **state)
{
    (void)state;
    check_loss("tiny-f32");
    for (int i = 0; i < ARCHITECTURES; i++)
        check_loss(architectures[i]);
}

/* --- what changes no bit ----------------------------------------------------------------------------------------- */

static void assert_learns_alike(struct engine_learner_options a, struct engine_learner_options b)
{
    struct engine_learner *x = open_learner(a), *y = open_learner(b);
    assert_true(add(x, documents, DOCUMENTS).sum == add(y, documents, DOCUMENTS).sum);
    assert_same_weights(x, y, 1);
    step(x, 0.01), step(y, 0.01);
    learn(x, 2), learn(y, 2);
    assert_same_weights(x, y, 0);
    engine_learner_free(x), engine_learner_free(y);
}

static void test_checkpoints(void **state)
{
    (void)state;
    FOR_EACH_SET(set)
        for (int all = 0; all < 2; all++) {
            struct engine_learner_options o = usual(all), with = o;
            struct engine_learner_info plain, info;
            o.kernels = with.kernels = set->name;
            with.checkpoints = 1;
            assert_learns_alike(o, with);
            for (int i = 0; i < ARCHITECTURES; i++) {
                o.model = with.model = architectures[i];
                assert_learns_alike(o, with);
            }
            struct engine_learner *a = open_plain(o), *b = open_plain(with);
            engine_learner_info(a, &plain), engine_learner_info(b, &info);
            assert_true(info.kept_bytes < plain.kept_bytes);
            engine_learner_free(a), engine_learner_free(b);
        }
}

static void test_threads(void **state)
{
    (void)state;
    FOR_EACH_SET(set)
        for (int all = 0; all < 2; all++)
            for (int threads = 2; threads <= 3; threads++) {
                struct engine_learner_options o = usual(all), more = o;
                o.model = more.model = "tiny-q8_0";
                o.kernels = more.kernels = set->name;
                o.moments8 = more.moments8 = threads == 3;
                o.threads = 1, more.threads = threads;
                assert_learns_alike(o, more);
                o.model = more.model = threads == 3 ? "tiny-gemma3" : "tiny-qwen2";
                assert_learns_alike(o, more);
            }
}

/* Gradients of products that may be rounded, against those that are not: near where sets round, else the same. */
static void test_rounded(void **state)
{
    (void)state;
    FOR_EACH_SET(set)
        for (int all = 0; all < 2; all++) {
            struct engine_learner_options o = usual(all);
            o.model = "tiny-wide-q8_0", o.kernels = set->name;
            struct engine_learner *exact = open_learner(o);
            o.rounded = 1;
            struct engine_learner *rounded = open_learner(o);
            struct engine_loss a = {0}, b = {0};
            struct engine_parameter x, y;
            double worst = 0;
            engine_learner_add(exact, documents, DOCUMENTS, &a);
            engine_learner_add(rounded, documents, DOCUMENTS, &b);
            for (int i = 0; engine_learner_parameter(exact, i, &x); i++) {
                double off = 0, norm = 0;
                assert_true(engine_learner_parameter(rounded, i, &y));
                for (size_t j = 0; j < (size_t)x.rows * (size_t)x.cols; j++) {
                    const double d = (double)x.gradient[j] - (double)y.gradient[j];
                    off += d * d, norm += (double)x.gradient[j] * (double)x.gradient[j];
                }
                worst = off > worst * worst * norm ? sqrt(off / norm) : worst;
            }
            print_message("%s, %s: a gradient is off by %.2g of its norm, the loss by %.2g\n", set->name, all ? "all weights" : "adapter", worst,
                          fabs(a.sum - b.sum) / a.sum);
            assert_true(worst < 1e-2 && fabs(a.sum - b.sum) < 1e-4 * a.sum); /* these logits are large, and what they are off by goes to all */
            assert_true(set->learning->product_words ? worst > 0 : worst == 0);
            engine_learner_free(exact), engine_learner_free(rounded);
            struct engine_learner_options alone = o;
            o.threads = 1, alone.threads = 3;
            assert_learns_alike(o, alone);
        }
}

/* --- adapters ---------------------------------------------------------------------------------------------------- */

static void test_adapter_begins_as_nothing(void **state)
{
    (void)state;
    struct engine_learner_options o = usual(0);
    struct engine_learner *l = open_plain(o), *all = open_plain(usual(1)), *same = open_plain(o);
    struct engine_parameter p;
    o.seed = 7;
    struct engine_learner *other = open_plain(o);
    assert_true(add(l, documents, DOCUMENTS).sum == loss_of(all, documents, DOCUMENTS).sum);
    assert_same_weights(l, same, 0);
    for (int i = 0; engine_learner_parameter(l, i, &p); i++) {
        double least = 1, most = -1, gradient = 0;
        for (size_t j = 0; j < numbers_of(&p); j++) {
            least = fmin(least, (double)p.weights[j]), most = fmax(most, (double)p.weights[j]);
            gradient += fabs((double)p.gradient[j]);
        }
        const double bound = 1 / sqrt(p.cols);
        if (i % 2)
            assert_true(least == 0 && most == 0 && gradient > 0);
        else
            assert_true(least < -0.8 * bound && least >= -bound && most > 0.8 * bound && most <= bound && gradient == 0);
    }
    struct numbers a = numbers_in(l, 0), b = numbers_in(other, 0);
    assert_true(memcmp(a.x, b.x, a.n * sizeof *a.x));
    free(a.x), free(b.x);
    engine_learner_free(l), engine_learner_free(all), engine_learner_free(same), engine_learner_free(other);
}

/* Some matrices only have the gradients they have with the others, when those add nothing; alpha and rank make one scale. */
static void test_targets_and_scale(void **state)
{
    (void)state;
    struct engine_learner_options o = usual(0), root = o;
    struct engine_learner *l = open_plain(o);
    struct engine_parameter p, q;
    o.targets = 1u << ENGINE_TARGET_Q | 1u << ENGINE_TARGET_DOWN;
    struct engine_learner *some = open_plain(o);
    const int of[] = {0, 1, 12, 13, 14, 15, 26, 27};
    for (int i = 0; i < 8; i++) {
        assert_true(engine_learner_parameter(some, i, &p) && engine_learner_parameter(l, of[i], &q));
        engine_learner_set(some, i, q.weights);
    }
    assert_false(engine_learner_parameter(some, 8, &p));
    add(l, documents, DOCUMENTS), add(some, documents, DOCUMENTS);
    for (int i = 0; i < 8; i++) {
        assert_true(engine_learner_parameter(some, i, &p) && engine_learner_parameter(l, of[i], &q));
        assert_string_equal(p.name, q.name);
        assert_memory_equal(p.gradient, q.gradient, numbers_of(&p) * sizeof *p.gradient);
    }
    engine_learner_free(l), engine_learner_free(some);
    root.rslora = 1, root.alpha = 4; /* 4 / sqrt(4) = 8 / 4 */
    assert_learns_alike(usual(0), root);
}

/* --- the optimizer ----------------------------------------------------------------------------------------------- */

static void test_two_adds(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct engine_learner *one = open_learner(usual(all)), *two = open_learner(usual(all));
        add(one, documents, DOCUMENTS);
        add(two, documents, 1), add(two, documents + 1, 2);
        const double norm = step(one, 0.01);
        assert_true(fabs(step(two, 0.01) / norm - 1) < 1e-6);
        struct numbers a = numbers_in(one, 0), b = numbers_in(two, 0);
        assert_near_numbers(a, b, 1e-4); /* a gradient near zero may have either sign, and a first step goes by its sign */
        free(a.x), free(b.x);
        engine_learner_free(one), engine_learner_free(two);
    }
}

/* Moments of 8 bits learn as those of 32 do, and take less. */
static void test_moments_of_8_bits(void **state)
{
    (void)state;
    struct engine_learner_options o = usual(1);
    o.model = "tiny-q8_0";
    struct engine_learner *l32 = open_learner(o);
    o.moments8 = 1;
    struct engine_learner *l8 = open_learner(o);
    struct engine_learner_info info32, info8;
    const double before = loss_of(l32, documents, DOCUMENTS).sum;
    learn(l32, 5), learn(l8, 5);
    const double after32 = loss_of(l32, documents, DOCUMENTS).sum, after8 = loss_of(l8, documents, DOCUMENTS).sum;
    print_message("5 steps: from %.1f to %.1f, with 8 bits %.1f\n", before, after32, after8);
    assert_true(after32 < before / 2 && fabs(after8 - after32) < 0.005 * (before - after32));
    engine_learner_info(l32, &info32), engine_learner_info(l8, &info8);
    assert_true(info8.optimizer_bytes < info32.optimizer_bytes * 3 / 4);
    engine_learner_free(l32), engine_learner_free(l8);
}

/* A weight that is not a number, wherever it stands, ends no step. */
static void test_not_finite(void **state)
{
    (void)state;
    FOR_EACH_SET(set)
        for (int all = 0; all < 2; all++) {
            struct engine_learner_options o = usual(all);
            o.kernels = set->name;
            struct engine_learner *l = open_learner(o), *fresh = open_learner(o);
            struct engine_parameter p;
            learn(fresh, 1);
            for (int i = 0; engine_learner_parameter(l, i, &p); i += 3) {
                float *w = memcpy(xmalloc(numbers_of(&p) * sizeof *w), p.weights, numbers_of(&p) * sizeof *w), was = w[0];
                struct error e = {0};
                double norm = 0;
                w[0] = i % 2 ? NAN : INFINITY;
                engine_learner_set(l, i, w);
                struct numbers before = numbers_in(l, 0);
                add(l, documents, DOCUMENTS);
                assert_int_equal(engine_learner_step(l, 0.01f, &norm, &e), ERROR_ENGINE);
                assert_false(isfinite(norm));
                assert_non_null(strstr(e.message, "not finite"));
                struct numbers after = numbers_in(l, 0), gradients = numbers_in(l, 1);
                assert_same_numbers(before, after);
                assert_true(norm_of(gradients) == 0);
                w[0] = was;
                engine_learner_set(l, i, w);
                free(w), free(before.x), free(after.x), free(gradients.x);
            }
            learn(l, 1); /* as if nothing had been */
            assert_same_weights(l, fresh, 0);
            engine_learner_free(l), engine_learner_free(fresh);
        }
}

/* --- in a file --------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/espalier-learning-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static char *file_in_folder(void)
{
    return xasprintf("%s/state", folder);
}

static int drop_folder(void **state)
{
    (void)state;
    char *path = file_in_folder();
    unlink(path);
    free(path);
    return rmdir(folder); /* fails if something was left lying there */
}

static void save(const struct engine_learner *l, const char *note)
{
    char *path = file_in_folder();
    struct string text = {0};
    struct error e;
    string_add(&text, note);
    if (engine_learner_save(l, path, &text, &e))
        fail_msg("%s", e.message);
    string_free(&text);
    free(path);
}

static int restore(struct engine_learner *l, struct string *note, struct error *e)
{
    char *path = file_in_folder();
    const int code = engine_learner_restore(l, path, note, e);
    free(path);
    return code;
}

static void test_saved_and_restored(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct engine_learner_options o = usual(kind % 2);
        struct engine_learner_info info;
        struct string note = {0};
        struct error e;
        o.model = "tiny-q8_0", o.moments8 = kind / 2;
        struct engine_learner *whole = open_learner(o), *first = open_learner(o);
        learn(whole, 6);
        learn(first, 3);
        save(first, "anything\n");
        engine_learner_free(first);
        o.threads = 3;
        struct engine_learner *second = open_plain(o);
        learn(second, 1);
        add(second, documents, 2); /* what was gathered is dropped */
        assert_int_equal(restore(second, &note, &e), OK);
        assert_string_equal(string_text(&note), "anything\n");
        engine_learner_info(second, &info);
        assert_int_equal(info.steps, 3);
        learn(second, 3);
        assert_same_weights(second, whole, 0);
        string_free(&note);
        engine_learner_free(whole), engine_learner_free(second);
    }
}

static struct string read_state(void)
{
    struct string s = {0};
    char *path = file_in_folder(), part[4096];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        string_append(&s, part, n);
    fclose(f);
    free(path);
    return s;
}

static void write_state(const char *bytes, size_t n)
{
    char *path = file_in_folder();
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    free(path);
}

/* It says so in one line that names the file, and the learner goes on as `fresh` does: with its weights, moments and steps. */
static void assert_refused(struct engine_learner *l, const char *word)
{
    struct string note = {0};
    struct error e = {0};
    string_add(&note, "as it was");
    assert_int_equal(restore(l, &note, &e), ERROR_INPUT);
    if (!strstr(e.message, word) || !strstr(e.message, "/state") || strchr(e.message, '\n'))
        fail_msg("%s", e.message);
    assert_string_equal(string_text(&note), "as it was");
    string_free(&note);
}

static void test_damaged(void **state)
{
    (void)state;
    struct engine_learner *l = open_learner(usual(0)), *fresh = open_learner(usual(0));
    learn(l, 2), learn(fresh, 2);
    struct engine_learner *saved = open_learner(usual(0));
    learn(saved, 4);
    save(saved, "note");
    engine_learner_free(saved);
    struct string whole = read_state();
    char *bytes = memcpy(xmalloc(whole.length + 1), whole.text, whole.length);
    for (size_t i = 0; i < whole.length; i += i < 80 ? 1 : 997) {
        bytes[i] ^= 4;
        write_state(bytes, whole.length);
        /* The magic; shape and sizes, of which 51 to 55 make the note larger than any; all else only the sum tells. */
        assert_refused(l, i < 24 ? "is not a checkpoint" : i < 48 || (i >= 51 && i < 56) ? "another model" : "damaged");
        bytes[i] ^= 4;
    }
    for (size_t n = 0; n < whole.length; n += n < 100 ? 13 : 1999) {
        write_state(bytes, n);
        assert_refused(l, n < 64 ? "is not a checkpoint" : "cut short");
    }
    write_state(bytes, whole.length - 1);
    assert_refused(l, "cut short");
    bytes[whole.length] = 0;
    write_state(bytes, whole.length + 1);
    assert_refused(l, "damaged");
    learn(l, 2), learn(fresh, 2);
    assert_same_weights(l, fresh, 0);
    string_free(&whole);
    free(bytes);
    engine_learner_free(l), engine_learner_free(fresh);
}

static void test_of_another_learner(void **state)
{
    (void)state;
    struct engine_learner_options o = usual(0);
    o.model = "tiny-q8_0";
    struct engine_learner *l = open_learner(o), *saved, *fresh = open_learner(o);
    for (int i = 0; i < 9; i++) {
        struct engine_learner_options other = o;
        other.all = i == 0;
        other.rank = i == 1 ? RANK + 1 : RANK;
        other.alpha = i == 2 ? 9 : 8;
        other.rslora = i == 3;
        other.targets = i == 4 ? 3 : 0;
        other.moments8 = i == 5;
        other.quant = i == 6 ? "nf4" : NULL;
        other.model = i == 7 ? "tiny-q4_1" : i == 8 ? "tiny-keylength-f32" : "tiny-q8_0";
        saved = open_learner(other);
        save(saved, "");
        engine_learner_free(saved);
        assert_refused(l, "another model");
    }
    learn(l, 1), learn(fresh, 1);
    assert_same_weights(l, fresh, 0);
    engine_learner_free(l), engine_learner_free(fresh);
}

static void test_places_that_are_not_there(void **state)
{
    (void)state;
    struct engine_learner *l = open_learner(usual(0));
    struct string note = {0};
    struct error e = {0};
    assert_int_equal(restore(l, &note, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "No such file"));
    assert_int_equal(engine_learner_save(l, "/tmp/espalier-no-such-folder/state", &note, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "No such file"));
    assert_int_equal(engine_learner_save(l, folder, &note, &e), ERROR_INPUT); /* a folder is in its place, and the draft is gone */
    char *draft = xasprintf("%s.draft", folder);
    assert_int_equal(access(draft, F_OK), -1);
    free(draft);
    string_free(&note);
    engine_learner_free(l);
}

/* --- options ----------------------------------------------------------------------------------------------------- */

static void refuse(struct engine_learner_options o, int code, const char *word)
{
    struct engine_learner *l = NULL;
    struct error e = {0};
    assert_int_equal(engine_learner_create(&l, &o, &e), code);
    if (l || !strstr(e.message, word) || strchr(e.message, '\n'))
        fail_msg("%s", e.message);
}

static void test_options(void **state)
{
    (void)state;
    const char *model = "tests/reference/tiny/tiny-f32.gguf";
    refuse((struct engine_learner_options){.rank = 4}, ERROR_USAGE, "no model");
    refuse((struct engine_learner_options){.model = "no-such.gguf"}, ERROR_INPUT, "no-such.gguf");
    refuse((struct engine_learner_options){.model = model, .quant = "int3"}, ERROR_USAGE, "nf4");
    refuse((struct engine_learner_options){.model = model, .quant = "nf4", .all = 1}, ERROR_USAGE, "--quant nf4");
    refuse((struct engine_learner_options){.model = model, .rank = -1}, ERROR_USAGE, "--rank -1");
    refuse((struct engine_learner_options){.model = model, .rank = KERNEL_RANK + 1}, ERROR_USAGE, "--rank 513");
    refuse((struct engine_learner_options){.model = model, .rank = 17}, ERROR_INPUT, "expected at most 16");
    refuse((struct engine_learner_options){.model = model, .threads = -1}, ERROR_USAGE, "--threads");
    refuse((struct engine_learner_options){.model = model, .rows = -1}, ERROR_USAGE, "--rows");
    refuse((struct engine_learner_options){.model = model, .kernels = "abacus"}, ERROR_INPUT, "abacus");
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_central_differences),
        cmocka_unit_test(test_slopes_of_architectures),
        cmocka_unit_test(test_documents_together),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_nothing_to_learn),
        cmocka_unit_test(test_loss_is_inference),
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_rounded),
        cmocka_unit_test(test_adapter_begins_as_nothing),
        cmocka_unit_test(test_targets_and_scale),
        cmocka_unit_test(test_two_adds),
        cmocka_unit_test(test_moments_of_8_bits),
        cmocka_unit_test(test_not_finite),
        IN_FOLDER(test_saved_and_restored),
        IN_FOLDER(test_damaged),
        IN_FOLDER(test_of_another_learner),
        IN_FOLDER(test_places_that_are_not_there),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, read_stored, free_stored);
}
