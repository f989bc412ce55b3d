/* Steps: lessons are drawn, packed into passes, and learned from; checkpoints that are gone on with as if nothing had been. */
#include "search/training.h"
#include "search/search.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CURVE = 512, LATEST = 20 };

enum phase { TRAINING, VALIDATING };

/* What goes on from a checkpoint, beside the learner's own state. */
struct state {
    int step;
    struct search_lesson_place place; /* after the last whole step */
    int64_t tokens, learned, lessons;
    double seconds;
    double latest[LATEST]; /* losses of the last steps: step i in i % LATEST */
    double losses[CURVE], open; /* means of `width` steps; open: the sum of those that fill no point yet */
    int loss_count, loss_width, opened;
    struct search_validation *validations;
    int validation_count, validation_capacity;
};

struct search_training {
    struct search_training_options options;
    char *checkpoint, *settings;
    struct state state;
    int steps;       /* in all; 0: it ends by time */
    uint64_t draws;  /* in all; 0: any */
    int saved_step;

    enum phase phase;
    struct search_lesson_list lessons; /* of the step; of the validation: the lessons' own */
    struct search_lesson_place place;  /* after these */
    int done;                          /* of the list */
    struct engine_document *pass;      /* the latest, and how many of what capacity */
    int pass_count, pass_capacity;
    struct engine_loss loss;           /* of the step, or of the validation, so far */

    double rate, norm;
    double began, here; /* seconds of work when this run began; spent in training passes since */
    int64_t here_tokens;
};

/* --- the schedule ------------------------------------------------------------------------------------------------ */

double search_training_rate(const struct search_training_options *o, int i, double done, double share)
{
    /* What is warm-up, in steps and of the whole; by steps where they are told in steps. */
    const double steps = o->warm_up >= 1 ? o->warm_up : share > 0 ? o->warm_up / share : 0;
    const double before = fmin(o->warm_up >= 1 ? o->warm_up * share : o->warm_up, 1);
    if (i < steps)
        return o->rate * fmin((i + 1) / steps, 1);
    const double part = before < 1 ? fmin(fmax((done - before) / (1 - before), 0), 1) : 1;
    const double fall = o->schedule == SEARCH_SCHEDULE_COSINE   ? (1 + cos(acos(-1) * part)) / 2
                        : o->schedule == SEARCH_SCHEDULE_LINEAR ? 1 - part
                                                                : 1;
    return o->rate * (o->floor + (1 - o->floor) * fall);
}

/* How much of the training is done before step i. */
static double part_done(const struct search_training *t, int i)
{
    double done = t->steps ? (double)i / t->steps : 0;
    if (t->options.minutes > 0)
        done = fmax(done, t->state.seconds / (60 * t->options.minutes));
    return fmin(done, 1);
}

/* What a step is of the whole, as far as that is known. */
static double share_of_step(const struct search_training *t)
{
    if (!(t->options.minutes > 0))
        return t->steps ? 1.0 / t->steps : 0;
    return t->state.step ? part_done(t, t->state.step) / t->state.step : t->steps ? 1.0 / t->steps : 1e-3;
}

static int is_done(const struct search_training *t)
{
    return (t->steps && t->state.step >= t->steps) || (t->options.minutes > 0 && t->state.seconds >= 60 * t->options.minutes);
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

static int is_enough(const struct search_training_options *o, const struct search_lesson_list *l)
{
    return l->count && (o->tokens ? (int64_t)l->ends[l->count - 1] >= o->tokens : l->count >= o->lessons_a_step);
}

/* The lessons of the next step. A draw of a task may give none. */
static void draw_step(const struct search_training *t, struct search_lesson_place *place, struct search_lesson_list *out)
{
    search_lesson_list_clear(out);
    while (!is_enough(&t->options, out) && (!t->draws || place->draws < t->draws))
        search_lessons_draw(t->options.lessons, place, out);
}

/* An epoch's steps are counted by making them, but for the learning. */
static int count_steps(struct search_training *t, struct error *e)
{
    const uint64_t epoch = search_lessons_epoch(t->options.lessons);
    t->steps = t->options.steps;
    if (!(t->options.epochs > 0))
        return OK;
    if (!epoch)
        return error_set(e, ERROR_USAGE, "--epochs %g: these lessons have no end, or weights; give --steps or --minutes", t->options.epochs);
    t->draws = (uint64_t)ceil(t->options.epochs * (double)epoch);
    struct search_lesson_place place = {0};
    int steps = 0;
    while (place.draws < t->draws && steps < 1 << 30) {
        draw_step(t, &place, &t->lessons);
        steps++;
    }
    search_lesson_list_clear(&t->lessons);
    t->steps = t->steps && t->steps < steps ? t->steps : steps;
    return OK;
}

/* --- figures ----------------------------------------------------------------------------------------------------- */

/* Points of the curve are means of as many steps as let it fit. */
static void add_to_curve(struct state *s, double loss)
{
    s->open += loss;
    if (++s->opened < s->loss_width)
        return;
    if (s->loss_count == CURVE) {
        for (int i = 0; i < CURVE / 2; i++)
            s->losses[i] = (s->losses[2 * i] + s->losses[2 * i + 1]) / 2;
        s->loss_count = CURVE / 2;
        s->loss_width *= 2;
        return; /* what is open fills half of a point now */
    }
    s->losses[s->loss_count++] = s->open / s->opened;
    s->open = 0;
    s->opened = 0;
}

static double latest_loss(const struct state *s)
{
    const int n = s->step < LATEST ? s->step : LATEST;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += s->latest[i];
    return n ? sum / n : NAN;
}

void search_training_figures(const struct search_training *t, struct search_training_figures *out)
{
    const struct state *s = &t->state;
    const uint64_t epoch = search_lessons_epoch(t->options.lessons);
    *out = (struct search_training_figures){
        .step = s->step, .steps = t->steps, .done = part_done(t, s->step), .loss = latest_loss(s), .validation = NAN, .best = NAN,
        .rate = t->rate, .norm = t->norm, .tokens = s->tokens, .learned = s->learned, .lessons = s->lessons, .seconds = s->seconds,
        .epoch = epoch ? (double)s->place.draws / (double)epoch : 0, .seconds_left = NAN, .saved_step = t->saved_step,
        .tokens_a_second = t->here > 0 ? (double)t->here_tokens / t->here : 0,
        .losses = s->losses, .loss_count = s->loss_count, .loss_width = s->loss_width,
        .validations = s->validations, .validation_count = s->validation_count};
    for (int i = 0; i < s->validation_count; i++) {
        out->validation = s->validations[i].loss;
        out->validation_step = s->validations[i].step;
        if (!(s->validations[i].loss >= out->best)) {
            out->best = s->validations[i].loss;
            out->best_step = s->validations[i].step;
        }
    }
    if (out->done > 0 && s->step)
        out->seconds_left = s->seconds / out->done * (1 - out->done);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

int search_training_open(struct search_training **out, const struct search_training_options *options, struct error *e)
{
    *out = NULL;
    if (options->steps < 1 && !(options->epochs > 0) && !(options->minutes > 0))
        return error_set(e, ERROR_USAGE, "no end is given: --steps, --epochs or --minutes");
    if (options->tokens < 1 && options->lessons_a_step < 1)
        return error_set(e, ERROR_USAGE, "no size of a step is given: --step-tokens or --step-lessons");
    struct search_training *t = xcalloc(1, sizeof *t);
    t->options = *options;
    t->checkpoint = options->checkpoint ? xstrdup(options->checkpoint) : NULL;
    t->settings = xstrdup(options->settings ? options->settings : "");
    t->saved_step = -1;
    t->state.loss_width = 1;
    t->phase = search_lessons_validation(options->lessons)->count ? VALIDATING : TRAINING;
    int code = count_steps(t, e);
    if (code) {
        search_training_close(t);
        return code;
    }
    *out = t;
    return OK;
}

void search_training_close(struct search_training *t)
{
    if (!t)
        return;
    search_lesson_list_free(&t->lessons);
    free(t->state.validations);
    free(t->pass);
    free(t->checkpoint);
    free(t->settings);
    free(t);
}

/* --- passes ------------------------------------------------------------------------------------------------------ */

/* Lessons from `done` on, as many as fit. */
static void pack(struct search_training *t, const struct search_lesson_list *list)
{
    int rows = 0;
    for (t->pass_count = 0; t->done < list->count; t->done++) {
        const struct engine_document d = search_lesson_list_at(list, t->done);
        if (t->pass_count && rows + d.count > t->options.rows)
            break;
        ARRAY_RESERVE(t->pass, t->pass_count, t->pass_capacity);
        t->pass[t->pass_count++] = d;
        rows += d.count;
    }
}

/* Says where, and what there is to go back to. */
static int not_a_number(const struct search_training *t, const char *what, struct error *e)
{
    struct string where = {0};
    if (t->lessons.count)
        string_addf(&where, "step %d, lessons %lld to %lld", t->state.step + 1, (long long)t->state.lessons + 1,
                    (long long)t->state.lessons + t->lessons.count);
    else
        string_addf(&where, "after step %d", t->state.step);
    if (t->saved_step >= 0)
        error_set(e, ERROR_ENGINE, "%s: %s is not a number; %s is of step %d: begin anew with a lower --rate or --clip, or end there with --resume --steps %d",
                  string_text(&where), what, t->checkpoint, t->saved_step, t->saved_step);
    else
        error_set(e, ERROR_ENGINE, "%s: %s is not a number, and nothing was saved before; begin anew with a lower --rate or --clip", string_text(&where),
                  what);
    string_free(&where);
    return ERROR_ENGINE;
}

static int finish_step(struct search_training *t, struct error *e)
{
    struct state *s = &t->state;
    struct error why;
    t->rate = search_training_rate(&t->options, s->step, part_done(t, s->step), share_of_step(t));
    if (engine_learner_step(t->options.learner, (float)t->rate, &t->norm, &why))
        return not_a_number(t, "the gradient", e);
    const double loss = t->loss.count ? t->loss.sum / (double)t->loss.count : 0;
    s->latest[s->step % LATEST] = loss;
    add_to_curve(s, loss);
    s->step++;
    s->place = t->place;
    s->lessons += t->lessons.count;
    s->tokens += (int64_t)t->lessons.ends[t->lessons.count - 1];
    s->learned += t->loss.count;
    return OK;
}

static int is_due(const struct search_training *t, int every)
{
    return is_done(t) || (every > 0 && t->state.step % every == 0);
}

static void begin(struct search_training *t, enum phase phase)
{
    t->phase = phase;
    t->done = 0;
    t->loss = (struct engine_loss){0};
    search_lesson_list_clear(&t->lessons);
}

/* One pass of the step; *whole: it was the last. */
static int train_pass(struct search_training *t, int *whole, struct error *e)
{
    if (!t->lessons.count) {
        t->place = t->state.place;
        draw_step(t, &t->place, &t->lessons);
    }
    const double start = clock_seconds();
    const int first = t->done;
    pack(t, &t->lessons);
    engine_learner_add(t->options.learner, t->pass, t->pass_count, &t->loss);
    if (!isfinite(t->loss.sum))
        return not_a_number(t, "the loss", e);
    *whole = t->done == t->lessons.count;
    int code = *whole ? finish_step(t, e) : OK;
    t->here += clock_seconds() - start;
    t->here_tokens += (int64_t)(t->lessons.ends[t->done - 1] - (first ? t->lessons.ends[first - 1] : 0));
    t->state.seconds += clock_seconds() - start;
    return code;
}

static int validate_pass(struct search_training *t, int *whole, struct error *e)
{
    const struct search_lesson_list *list = search_lessons_validation(t->options.lessons);
    struct state *s = &t->state;
    const double start = clock_seconds();
    pack(t, list);
    engine_learner_loss(t->options.learner, t->pass, t->pass_count, &t->loss);
    if (!isfinite(t->loss.sum))
        return not_a_number(t, "the loss on lessons for validation", e);
    *whole = t->done == list->count;
    if (*whole) {
        ARRAY_RESERVE(s->validations, s->validation_count, s->validation_capacity);
        s->validations[s->validation_count++] = (struct search_validation){s->step, t->loss.count ? t->loss.sum / (double)t->loss.count : 0};
    }
    s->seconds += clock_seconds() - start;
    return OK;
}

static int save_when_due(struct search_training *t, struct error *e)
{
    return t->checkpoint && t->state.step && is_due(t, t->options.save_every) ? search_training_save(t, e) : OK;
}

int search_training_advance(struct search_training *t, enum search_training_status *status, struct error *e)
{
    int whole = 0, code = OK;
    *status = SEARCH_TRAINING_PASS;
    if (t->phase == VALIDATING) {
        code = validate_pass(t, &whole, e);
        if (code || !whole)
            return code;
        begin(t, TRAINING);
        *status = SEARCH_TRAINING_VALIDATED;
        return save_when_due(t, e);
    }
    if (is_done(t)) {
        *status = SEARCH_TRAINING_DONE;
        return OK;
    }
    code = train_pass(t, &whole, e);
    if (code || !whole)
        return code;
    *status = SEARCH_TRAINING_STEP;
    const int validates = search_lessons_validation(t->options.lessons)->count && is_due(t, t->options.validate_every);
    begin(t, validates ? VALIDATING : TRAINING);
    return validates ? OK : save_when_due(t, e);
}

/* --- checkpoints ------------------------------------------------------------------------------------------------- */

static json_t *numbers(const double *list, int n)
{
    json_t *out = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(out, json_real(list[i]));
    return out;
}

/* Numbers of 64 bits as texts: JSON's own have 63. */
static json_t *wide(uint64_t n)
{
    return json_sprintf("%llu", (unsigned long long)n);
}

static void write_note(const struct search_training *t, struct string *out)
{
    const struct state *s = &t->state;
    json_t *of = json_array(), *validations = json_array();
    for (int i = 0; i < SEARCH_LESSON_SOURCES; i++)
        json_array_append_new(of, wide(s->place.of[i]));
    for (int i = 0; i < s->validation_count; i++)
        json_array_append_new(validations, json_pack("[i, f]", s->validations[i].step, s->validations[i].loss));
    json_t *note = json_pack("{s:s, s:o, s:i, s:o, s:o, s:I, s:I, s:I, s:f, s:o, s:o, s:i, s:f, s:i, s:o}", "settings", t->settings, "lessons_sum",
                             wide(search_lessons_about(t->options.lessons)->sum), "step", s->step, "draws", wide(s->place.draws), "of", of,
                             "tokens", (json_int_t)s->tokens, "learned", (json_int_t)s->learned, "lessons", (json_int_t)s->lessons, "seconds",
                             s->seconds, "latest", numbers(s->latest, LATEST), "losses", numbers(s->losses, s->loss_count), "loss_width",
                             s->loss_width, "open", s->open, "opened", s->opened, "validations", validations);
    char *text = json_dumps(note, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    string_add(out, text ? text : "");
    free(text);
    json_decref(note);
}

/* `path`.previous becomes what is at the path, which stays there until it is replaced. */
static void keep_previous(const char *path)
{
    char *previous = xasprintf("%s.previous", path), *next = xasprintf("%s.kept", path);
    unlink(next);
    if (!link(path, next))
        rename(next, previous);
    free(previous);
    free(next);
}

int search_training_save(struct search_training *t, struct error *e)
{
    struct engine_loss loss = {0};
    struct string note = {0};
    if (!t->checkpoint || t->saved_step == t->state.step)
        return OK;
    if (t->pass_count) /* the step that led here may be the one that went too far */
        engine_learner_loss(t->options.learner, t->pass, t->pass_count, &loss);
    if (!isfinite(loss.sum))
        return not_a_number(t, "the loss", e);
    write_note(t, &note);
    keep_previous(t->checkpoint);
    int code = engine_learner_save(t->options.learner, t->checkpoint, &note, e);
    string_free(&note);
    if (!code)
        t->saved_step = t->state.step;
    return code;
}

/* --- going on ---------------------------------------------------------------------------------------------------- */

/* The first line of the settings that is another one. */
static int check_settings(const struct search_training *t, const char *path, const char *was, struct error *e)
{
    const char *a = was, *b = t->settings;
    while (*a && *b) {
        const size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n))
            return error_set(e, ERROR_INPUT, "%s: was made with %.*s, and now it is %.*s; give what it was made with, or begin anew in another --out",
                             path, (int)n, a, (int)m, b);
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
    return OK;
}

static int read_numbers(const json_t *list, double *out, int most)
{
    const int n = (int)json_array_size(list);
    for (int i = 0; i < n && i < most; i++)
        out[i] = json_number_value(json_array_get(list, (size_t)i));
    return n < most ? n : most;
}

static uint64_t read_wide(const json_t *value)
{
    return json_is_string(value) ? strtoull(json_string_value(value), NULL, 10) : 0;
}

/* The checkpoint is whole, so its note is one of ours; only what it is of may be another. */
static int read_note(struct search_training *t, const char *path, const struct string *text, struct state *s, struct error *e)
{
    json_t *note = json_loadb(string_text(text), text->length, 0, NULL);
    const char *settings = json_string_value(json_object_get(note, "settings"));
    int code = settings ? check_settings(t, path, settings, e) : error_set(e, ERROR_INPUT, "%s: is not a checkpoint of a training", path);
    if (!code && read_wide(json_object_get(note, "lessons_sum")) != search_lessons_about(t->options.lessons)->sum)
        code = error_set(e, ERROR_INPUT, "%s: was made with other lessons: files have changed, or --data; begin anew in another --out", path);
    if (!code) {
        const json_t *of = json_object_get(note, "of"), *validations = json_object_get(note, "validations");
        s->step = (int)json_integer_value(json_object_get(note, "step"));
        s->place.draws = read_wide(json_object_get(note, "draws"));
        for (int i = 0; i < SEARCH_LESSON_SOURCES; i++)
            s->place.of[i] = read_wide(json_array_get(of, (size_t)i));
        s->tokens = json_integer_value(json_object_get(note, "tokens"));
        s->learned = json_integer_value(json_object_get(note, "learned"));
        s->lessons = json_integer_value(json_object_get(note, "lessons"));
        s->seconds = json_number_value(json_object_get(note, "seconds"));
        read_numbers(json_object_get(note, "latest"), s->latest, LATEST);
        s->loss_count = read_numbers(json_object_get(note, "losses"), s->losses, CURVE);
        s->loss_width = (int)json_integer_value(json_object_get(note, "loss_width"));
        s->open = json_number_value(json_object_get(note, "open"));
        s->opened = (int)json_integer_value(json_object_get(note, "opened"));
        for (size_t i = 0; i < json_array_size(validations); i++) {
            const json_t *v = json_array_get(validations, i);
            ARRAY_RESERVE(s->validations, s->validation_count, s->validation_capacity);
            s->validations[s->validation_count++] = (struct search_validation){(int)json_integer_value(json_array_get(v, 0)),
                                                                              json_number_value(json_array_get(v, 1))};
        }
    }
    json_decref(note);
    return code;
}

static int resume_from(struct search_training *t, const char *path, struct error *e)
{
    struct string note = {0};
    struct state s = {0};
    int code = engine_learner_restore(t->options.learner, path, &note, e);
    if (!code)
        code = read_note(t, path, &note, &s, e);
    string_free(&note);
    if (code) {
        free(s.validations);
        return code;
    }
    free(t->state.validations);
    t->state = s;
    t->saved_step = s.step;
    const int count = s.validation_count, validated = count && s.validations[count - 1].step == s.step;
    const int validates = search_lessons_validation(t->options.lessons)->count && (is_due(t, t->options.validate_every) || !s.step);
    begin(t, validates && !validated ? VALIDATING : TRAINING);
    return OK;
}

int search_training_resume(struct search_training *t, int *previous, struct error *e)
{
    struct error why;
    char *path = xasprintf("%s.previous", t->checkpoint);
    *previous = 0;
    int code = resume_from(t, t->checkpoint, e);
    if (code && !access(path, R_OK) && !resume_from(t, path, &why)) {
        *previous = 1;
        code = OK;
    }
    free(path);
    return code;
}
