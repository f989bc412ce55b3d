/* Lessons: from where they come, and which is next. */
#include "search/lessons.h"

#include <stdlib.h>
#include <string.h>

enum { VALIDATION_ROWS = 200, MIXTURE = 1, ORDER = 2 };

/* Either lists of a file, or traces. */
struct source {
    double end; /* of its part of [0, 1) */
    struct search_lesson_list list;
    int *order; /* of the epoch, or NULL */
    uint64_t epoch;
    struct search_task *task;
    struct search_traces *traces;
};

struct search_lessons {
    struct search_lessons_options options;
    struct source sources[SEARCH_LESSON_SOURCES];
    int count;
    struct search_lesson_list validation;
    struct search_lessons_about about;
};

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* Without weights and tasks all files are one source. */
static int is_mixture(const struct search_lessons_options *o)
{
    int mixture = 0;
    for (int i = 0; i < o->count; i++)
        mixture |= o->sources[i].task || o->sources[i].weight > 0;
    return mixture;
}

static void share_out(struct search_lessons *l)
{
    const struct search_lessons_options *o = &l->options;
    double all = 0, sum = 0;
    for (int i = 0; i < l->count; i++)
        all += o->sources[i].weight > 0 ? o->sources[i].weight : 1;
    for (int i = 0; i < l->count; i++) {
        const double weight = o->sources[i].weight > 0 ? o->sources[i].weight : 1;
        sum += weight;
        l->sources[i].end = i + 1 == l->count ? 1 : sum / all;
        l->about.sum = random_stream(l->about.sum, hash_bytes(&weight, sizeof weight), 0);
    }
}

/* The lessons of a row; those that are too long are left out, as they are of files. */
static void add_row(struct search_lessons *l, struct search_traces *traces, uint64_t row, struct search_lesson_list *out)
{
    struct search_trace trace;
    search_traces_seek(traces, row);
    for (search_traces_next(traces, &trace); trace.row == row; search_traces_next(traces, &trace)) {
        search_lesson_make(l->options.engine, trace.prompt, trace.completion, l->options.learn_all, out);
        if (search_lesson_list_at(out, out->count - 1).count > l->options.longest)
            out->count--;
    }
}

/* A task's lessons are endless; those for validation are of problems that nothing is trained on. */
static int open_task(struct search_lessons *l, struct source *s, const char *name, struct error *e)
{
    struct search_traces *others = NULL;
    int code = search_task_open(&s->task, name, e);
    if (code || (code = search_traces_open(&s->traces, s->task, SEARCH_SPLIT_TRAIN, l->options.seed, NULL, e)))
        return code;
    l->about.tasks++;
    l->about.sum = random_stream(l->about.sum, search_task_sum(s->task), 1);
    if (!(l->options.held_out > 0))
        return OK;
    const double share = s->end - (s == l->sources ? 0 : s[-1].end);
    code = search_traces_open(&others, s->task, SEARCH_SPLIT_TEST, l->options.seed, NULL, e);
    for (int row = 0; !code && row < share * VALIDATION_ROWS; row++)
        add_row(l, others, (uint64_t)row, &l->validation);
    search_traces_close(others);
    return code;
}

static int open_sources(struct search_lessons *l, struct error *e)
{
    const struct search_lessons_options *o = &l->options;
    const int mixture = is_mixture(o);
    int code = OK;
    l->count = mixture ? o->count : 1;
    if (mixture)
        share_out(l);
    else
        l->sources[0].end = 1;
    for (int i = 0; i < o->count && !code; i++) {
        const struct search_lesson_source *from = &o->sources[i];
        struct source *s = &l->sources[mixture ? i : 0];
        struct search_lesson_reader reader = {o, &s->list, &l->validation, &l->about};
        code = from->task ? open_task(l, s, from->task, e)
               : from->session ? search_lessons_read_sessions(&reader, from->session, e)
                               : search_lessons_read(&reader, from->file, e);
    }
    return code;
}

static int read_validation(struct search_lessons *l, struct error *e)
{
    struct search_lessons_options all = l->options;
    struct search_lessons_about about = {0}; /* its sum changes nothing that is trained */
    struct search_lesson_reader reader = {&all, &l->validation, &l->validation, &about};
    int code = OK;
    all.held_out = 0;
    for (int i = 0; i < all.validation_count && !code; i++)
        code = search_lessons_read(&reader, all.validation[i], e);
    if (!l->about.bad)
        memcpy(l->about.first_bad, about.first_bad, sizeof about.first_bad);
    l->about.bad += about.bad;
    l->about.too_long += about.too_long;
    return code;
}

static void count_tokens(const struct search_lesson_list *list, int64_t *tokens, int64_t *learned)
{
    for (int i = 0; i < list->count; i++) {
        const struct engine_document d = search_lesson_list_at(list, i);
        *tokens += d.count;
        for (int k = 1; k < d.count; k++)
            *learned += d.learned[k];
    }
}

static int finish(struct search_lessons *l, struct error *e)
{
    struct search_lessons_about *about = &l->about;
    int64_t ignored = 0;
    for (int i = 0; i < l->count; i++) {
        const struct source *s = &l->sources[i];
        if (!s->traces && !s->list.count)
            return error_set(e, ERROR_INPUT, "all lessons are held out for validation; hold out fewer");
        about->lessons += s->list.count;
        count_tokens(&s->list, &about->tokens, &about->learned);
    }
    about->sources = l->options.count;
    about->validation = l->validation.count;
    count_tokens(&l->validation, &about->validation_tokens, &ignored);
    about->end_token = search_lesson_end(l->options.engine);
    about->sum = random_stream(about->sum, l->options.seed, (uint64_t)l->options.longest);
    about->sum = random_stream(about->sum, (uint64_t)l->options.learn_all, hash_bytes(&l->options.held_out, sizeof l->options.held_out));
    return OK;
}

int search_lessons_open(struct search_lessons **out, const struct search_lessons_options *options, struct error *e)
{
    *out = NULL;
    if (!options->count)
        return error_set(e, ERROR_USAGE, "nothing to learn from: give --data FILE.jsonl, or `data:` in the recipe");
    if (options->count > SEARCH_LESSON_SOURCES)
        return error_set(e, ERROR_USAGE, "%d sources of lessons; expected at most %d", options->count, SEARCH_LESSON_SOURCES);
    struct search_lessons *l = xcalloc(1, sizeof *l);
    l->options = *options;
    int code = open_sources(l, e);
    if (code || (code = read_validation(l, e)) || (code = finish(l, e))) {
        search_lessons_close(l);
        return code;
    }
    *out = l;
    return OK;
}

void search_lessons_close(struct search_lessons *l)
{
    if (!l)
        return;
    for (int i = 0; i < SEARCH_LESSON_SOURCES; i++) {
        search_lesson_list_free(&l->sources[i].list);
        search_traces_close(l->sources[i].traces);
        search_task_close(l->sources[i].task);
        free(l->sources[i].order);
    }
    search_lesson_list_free(&l->validation);
    free(l);
}

const struct search_lessons_about *search_lessons_about(const struct search_lessons *l)
{
    return &l->about;
}

const struct search_lesson_list *search_lessons_validation(const struct search_lessons *l)
{
    return &l->validation;
}

/* --- which is next ----------------------------------------------------------------------------------------------- */

/* The order of an epoch (Fisher and Yates). */
static void shuffle(struct search_lessons *l, struct source *s, uint64_t epoch)
{
    const int n = s->list.count;
    const uint64_t stream = random_stream(ORDER, (uint64_t)(s - l->sources), epoch);
    if (s->order && s->epoch == epoch)
        return;
    if (!s->order)
        s->order = xmalloc((size_t)n * sizeof *s->order);
    s->epoch = epoch;
    for (int i = 0; i < n; i++)
        s->order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        const int k = (int)(random_uniform(l->options.seed, stream, (uint64_t)i) * (i + 1)), other = s->order[i];
        s->order[i] = s->order[k];
        s->order[k] = other;
    }
}

void search_lessons_draw(struct search_lessons *l, struct search_lesson_place *place, struct search_lesson_list *out)
{
    const double u = l->count > 1 ? random_uniform(l->options.seed, random_stream(MIXTURE, 0, 0), place->draws) : 0;
    int i = 0;
    while (i + 1 < l->count && u >= l->sources[i].end)
        i++;
    struct source *s = &l->sources[i];
    const uint64_t number = place->of[i]++;
    place->draws++;
    if (s->traces) {
        add_row(l, s->traces, number, out);
        return;
    }
    shuffle(l, s, number / (uint64_t)s->list.count);
    const struct engine_document d = search_lesson_list_at(&s->list, s->order[number % (uint64_t)s->list.count]);
    search_lesson_list_add(out, d.tokens, d.learned, d.count);
}

uint64_t search_lessons_epoch(const struct search_lessons *l)
{
    return l->count == 1 && !l->sources[0].traces ? (uint64_t)l->sources[0].list.count : 0;
}
