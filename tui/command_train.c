/* train: an adapter, or all weights of a model, from lessons. */
#include "tui/command.h"
#include "tui/curve.h"
#include "tui/plain.h"
#include "tui/recipe.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS = 1024, STEP_TOKENS = 4096, EVERY = 100, PLOT_COLUMNS = 72, PLOT_ROWS = 16, LINES = 50 };

struct work {
    struct tui_recipe recipe;
    struct engine *engine; /* tokens */
    struct search_lessons *lessons;
    struct engine_learner *learner;
    struct search_training *training;
    struct search_lessons_options lessons_options;
    struct engine_learner_options learner_options;
    struct search_training_options options;
    char *checkpoint;
    struct string settings;
    int folder;        /* its descriptor, locked; -1 */
    int made, began;   /* the folder is new; the model in it is */
    double start, last; /* when the line of progress was drawn */
    int terminal, shown;
    int done; /* all of it, with its files */
};

/* --- what is to be done ------------------------------------------------------------------------------------------ */

static float or_else(float given, float otherwise)
{
    return given >= 0 ? given : otherwise;
}

/* A file is known by its size and some of its bytes: all of a large one would take long. */
static uint64_t file_sum(const char *path)
{
    enum { PART = 1 << 20 };
    FILE *file = fopen(path, "rb");
    uint64_t sum = 0;
    if (!file)
        return 0;
    char *part = xmalloc(PART);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    for (int i = 0; i < 3; i++) {
        fseek(file, size > PART ? (size - PART) / 2 * i : 0, SEEK_SET);
        sum = random_stream(sum, hash_bytes(part, fread(part, 1, PART, file)), (uint64_t)size);
    }
    free(part);
    fclose(file);
    return sum;
}

static int choose_learner(struct work *w, struct error *e)
{
    const struct tui_options *o = &w->recipe.o;
    const int all = o->all || o->scratch;
    w->learner_options = (struct engine_learner_options){
        .model = w->recipe.model, .quant = o->quant, .kernels = o->kernels, .threads = o->threads, .all = all, .rank = all ? 0 : o->rank,
        .alpha = all ? 0 : or_else(o->alpha, 0), .rslora = o->rslora, .targets = w->recipe.targets, .checkpoints = o->checkpoints, .rounded = o->int16,
        .moments8 = o->moments8, .beta1 = or_else(o->beta1, 0.9f), .beta2 = or_else(o->beta2, 0.999f), .epsilon = or_else(o->epsilon, 1e-8f),
        .decay = or_else(o->decay, all ? 0.05f : 0), .clip = or_else(o->clip, 1), .seed = o->seed};
    if (all && (o->rank || o->alpha >= 0 || o->rslora || w->recipe.targets))
        return error_set(e, ERROR_USAGE, "rank, alpha, rslora and targets are of an adapter, and all weights are to be learned: leave out one of them");
    return OK;
}

static int choose_lessons(struct work *w, struct error *e)
{
    const struct tui_recipe *r = &w->recipe;
    const struct tui_options *o = &r->o;
    const int trained = engine_info(w->engine)->context_trained, rows = r->rows ? r->rows : o->context > ROWS ? o->context : ROWS;
    const int longest = o->context ? o->context : trained < rows ? trained : rows;
    if (o->train_on && strcmp(o->train_on, "completion") && strcmp(o->train_on, "all"))
        return error_set(e, ERROR_USAGE, "--train-on %.40s: completion or all was expected", o->train_on);
    if (longest > trained || longest < 2)
        return error_set(e, ERROR_USAGE, "--context %d: the model was trained on %d positions; expected at most these", longest, trained);
    if (longest > rows)
        return error_set(e, ERROR_USAGE, "--context %d: a pass has %d positions; give more with --rows", longest, rows);
    w->learner_options.rows = w->options.rows = rows;
    w->lessons_options = (struct search_lessons_options){
        .engine = w->engine, .sources = r->sources, .count = r->source_count, .validation = r->validation,
        .validation_count = r->validation_count, .held_out = r->held_out, .longest = longest, .skip_bad = o->skip_bad, .seed = o->seed,
        .learn_all = o->train_on && !strcmp(o->train_on, "all")};
    return OK;
}

static int choose_steps(struct work *w, struct error *e)
{
    static const char *const schedules[] = {"constant", "cosine", "linear"};
    const struct tui_options *o = &w->recipe.o;
    struct search_training_options *t = &w->options;
    if (o->step_tokens && o->step_lessons)
        return error_set(e, ERROR_USAGE, "choose one of --step-tokens and --step-lessons");
    t->schedule = SEARCH_SCHEDULE_COSINE;
    for (int i = 0; i < 3; i++)
        if (o->schedule && !strcmp(o->schedule, schedules[i]))
            t->schedule = (enum search_schedule)i;
    if (o->schedule && strcmp(o->schedule, schedules[t->schedule]))
        return error_set(e, ERROR_USAGE, "--schedule %.40s: cosine, linear or constant was expected", o->schedule);
    t->rate = or_else(o->rate, o->scratch ? 1e-3f : o->all ? 1e-4f : 3e-4f);
    t->warm_up = or_else(o->warm_up, 0.03f);
    t->floor = or_else(o->floor, 0);
    t->lessons_a_step = o->step_lessons;
    t->tokens = o->step_lessons ? 0 : o->step_tokens ? o->step_tokens : STEP_TOKENS;
    t->steps = o->steps;
    t->minutes = o->minutes;
    t->epochs = o->epochs > 0 ? o->epochs : o->steps || o->minutes > 0 ? 0 : 1;
    t->validate_every = o->validate_every ? o->validate_every : EVERY;
    t->save_every = o->save_every ? o->save_every : EVERY;
    return OK;
}

/* What must be the same to go on; a line each, as it would be said to a person. */
static void add_settings(struct work *w)
{
    const struct engine_learner_options *l = &w->learner_options;
    const struct search_training_options *t = &w->options;
    struct engine_learner_info info;
    struct string *s = &w->settings;
    engine_learner_info(w->learner, &info);
    string_addf(s, "the model %s (%016llx)\n", engine_info(w->engine)->name, (unsigned long long)file_sum(w->recipe.model));
    string_addf(s, "%s\n", l->all ? "all weights" : l->quant ? l->quant : "an adapter");
    string_addf(s, "--rank %d\n--alpha %.7g\n--rslora %d\n--targets %x\n", l->rank, (double)l->alpha, l->rslora, l->targets);
    string_addf(s, "--kernels %s\n--seed %llu\n--rows %d\n", info.kernels, (unsigned long long)l->seed, l->rows);
    string_addf(s, "--context %d\n--train-on %s\n", w->lessons_options.longest, w->lessons_options.learn_all ? "all" : "completion");
    string_addf(s, "--step-tokens %lld\n--step-lessons %d\n", (long long)t->tokens, t->lessons_a_step);
    string_addf(s, "--rate %.7g\n--schedule %d\n--warm-up %.7g\n--floor %.7g\n", t->rate, t->schedule, t->warm_up, t->floor);
    string_addf(s, "--beta1 %.7g\n--beta2 %.7g\n--epsilon %.7g\n--decay %.7g\n--clip %.7g\n--moments8 %d\n--int16 %d\n", (double)l->beta1,
                (double)l->beta2, (double)l->epsilon, (double)l->decay, (double)l->clip, l->moments8, l->rounded);
}

/* --- the folder -------------------------------------------------------------------------------------------------- */

static int open_folder(struct work *w, struct error *e)
{
    const struct tui_options *o = &w->recipe.o;
    if (!o->out)
        return error_set(e, ERROR_USAGE, "train needs --out FOLDER, where what is learned is put");
    w->made = !mkdir(o->out, 0777);
    if (!w->made && errno != EEXIST)
        return error_set(e, ERROR_INPUT, "%s: cannot be made: %s; expected a place for a folder", o->out, strerror(errno));
    w->folder = open(o->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->folder < 0)
        return error_set(e, ERROR_INPUT, "%s: %s; expected a folder", o->out, strerror(errno));
    if (flock(w->folder, LOCK_EX | LOCK_NB))
        return error_set(e, ERROR_INPUT, "%s: another espalier trains into it; wait for it, or choose another --out", o->out);
    w->checkpoint = xasprintf("%s/checkpoint", o->out);
    w->options.checkpoint = w->checkpoint;
    const int there = access(w->checkpoint, F_OK) == 0;
    if (there && !o->resume)
        return error_set(e, ERROR_INPUT, "%s: is there already; go on from it with --resume, or choose another --out", w->checkpoint);
    if (!o->scratch)
        return OK;
    w->began = access(w->recipe.model, F_OK) != 0; /* of the same seed and shape it is the same */
    return engine_new_model(w->recipe.model, &w->recipe.shape, o->seed, e);
}

/* What came to nothing leaves nothing. */
static void leave_folder(struct work *w)
{
    if (w->began)
        unlink(w->recipe.model);
    if (w->made)
        rmdir(w->recipe.o.out);
}

/* --- progress ---------------------------------------------------------------------------------------------------- */

static void add_time(struct string *out, double seconds)
{
    if (seconds < 100)
        string_addf(out, "%.0f s", seconds);
    else if (seconds < 6000)
        string_addf(out, "%.0f min", seconds / 60);
    else
        string_addf(out, "%.1f h", seconds / 3600);
}

static void add_progress(const struct search_training_figures *f, struct string *out)
{
    string_addf(out, f->steps ? "step %d of %d" : "step %d", f->step, f->steps);
    if (isfinite(f->loss))
        string_addf(out, "  loss %.4f", f->loss);
    if (isfinite(f->validation))
        string_addf(out, "  validation %.4f", f->validation);
    if (f->tokens_a_second > 0)
        string_addf(out, "  %.0f tokens/s", f->tokens_a_second);
    if (isfinite(f->seconds_left)) {
        string_add(out, "  ");
        add_time(out, f->seconds_left);
        string_add(out, " left");
    }
    string_addf(out, "  %.0f MB", (double)memory_peak() / 1e6);
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static void print_json(const char *event, const struct search_training_figures *f)
{
    tui_print_json(json_pack("{s:s, s:i, s:o, s:o, s:o, s:f, s:f, s:I, s:I, s:I, s:f, s:f, s:o, s:I}", "event", event, "step", f->step, "steps",
                             f->steps ? json_integer(f->steps) : json_null(), "loss", number(f->loss), "validation", number(f->validation), "rate",
                             f->rate, "norm", f->norm, "tokens", (json_int_t)f->tokens, "learned", (json_int_t)f->learned, "lessons",
                             (json_int_t)f->lessons, "seconds", f->seconds, "tokens_per_second", f->tokens_a_second, "seconds_left",
                             number(f->seconds_left), "peak_bytes", (json_int_t)memory_peak()));
    fflush(stdout);
}

static void clear_line(struct work *w)
{
    if (w->shown)
        fputs("\r\033[K", stderr);
    w->shown = 0;
}

/* A line a second on a terminal; else one for some of the steps, so that a file of them can be read. */
static void show_progress(struct work *w, enum search_training_status status)
{
    struct search_training_figures f;
    struct string line = {0};
    const double now = clock_seconds();
    search_training_figures(w->training, &f);
    const int stepped = status == SEARCH_TRAINING_STEP, every = f.steps > LINES ? f.steps / LINES : f.steps ? 1 : 10;
    if (w->recipe.o.json && (stepped || status == SEARCH_TRAINING_VALIDATED))
        print_json(stepped ? "step" : "validation", &f);
    add_progress(&f, &line);
    if (w->terminal && now - w->last >= 1) {
        fprintf(stderr, "\r\033[K%s", string_text(&line));
        w->shown = 1;
        w->last = now;
    } else if (!w->terminal && ((stepped && f.step % every == 0) || status == SEARCH_TRAINING_VALIDATED)) {
        fprintf(stderr, "%s\n", string_text(&line));
    }
    string_free(&line);
}

static void print_beginning(const struct work *w)
{
    const struct search_lessons_about *a = search_lessons_about(w->lessons);
    struct search_training_figures f;
    struct engine_learner_info info;
    struct string clean = {0};
    engine_learner_info(w->learner, &info);
    search_training_figures(w->training, &f);
    utf8_sanitize(&clean, a->first_bad, strlen(a->first_bad), 0);
    fprintf(stderr, "%s: %s, %.2f M of %.2f M numbers; %s, %d thread%s; %.0f MB of weights, %.0f of activations, %.0f of gradients and moments\n",
            engine_info(w->engine)->name, w->learner_options.all ? "all weights" : w->learner_options.quant ? "an adapter on NF4" : "an adapter",
            (double)info.learned / 1e6, (double)info.parameters / 1e6, info.kernels, info.threads, info.threads == 1 ? "" : "s",
            (double)info.weight_bytes / 1e6, (double)(info.kept_bytes + info.scratch_bytes) / 1e6, (double)info.optimizer_bytes / 1e6);
    if (a->lessons)
        fprintf(stderr, "%lld lesson%s of %lld tokens, %lld of them learned", (long long)a->lessons, a->lessons == 1 ? "" : "s", (long long)a->tokens, (long long)a->learned);
    if (a->tasks)
        fprintf(stderr, "%straces of %d task%s", a->lessons ? "; " : "", a->tasks, a->tasks == 1 ? "" : "s");
    if (a->validation)
        fprintf(stderr, "; %d lesson%s of %lld tokens for validation", a->validation, a->validation == 1 ? "" : "s", (long long)a->validation_tokens);
    fputc('\n', stderr);
    if (a->sessions)
        fprintf(stderr, "%d search%s: %d path%s kept, %d with a right answer", a->sessions, a->sessions == 1 ? "" : "es", a->kept,
                a->kept == 1 ? "" : "s", a->won);
    if (a->others)
        fprintf(stderr, "; %d of another model left out", a->others);
    if (a->sessions)
        fputc('\n', stderr);
    if (a->bad)
        fprintf(stderr, "%d wrong line%s left out, the first is %s\n", a->bad, a->bad == 1 ? "" : "s", string_text(&clean));
    if (a->too_long)
        fprintf(stderr, "%d lesson%s left out, longer than %d tokens (--context)\n", a->too_long, a->too_long == 1 ? "" : "s",
                w->lessons_options.longest);
    if (a->pieces)
        fprintf(stderr, "texts longer than %d tokens are cut into %d pieces (--context)\n", w->lessons_options.longest, a->pieces);
    if (a->end_token < 0)
        fprintf(stderr, "the model has no end token: it will not learn where to stop\n");
    if (f.step)
        fprintf(stderr, "going on after step %d\n", f.step);
    string_free(&clean);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void print_end(const struct work *w)
{
    struct search_training_figures f;
    struct string out = {0};
    search_training_figures(w->training, &f);
    double *x = xcalloc((size_t)f.validation_count + 1, 2 * sizeof *x), *y = x + f.validation_count + 1;
    for (int i = 0; i < f.validation_count; i++)
        x[i] = f.validations[i].step, y[i] = f.validations[i].loss;
    const struct tui_curve curve = {.y = f.losses, .count = f.loss_count, .width = f.loss_width, .mark_x = x, .mark_y = y, .marks = f.validation_count};
    tui_curve(&curve, f.validation_count ? "loss of a learned token, by step; v: validation" : "loss of a learned token, by step", tui_plain_columns(PLOT_COLUMNS),
              PLOT_ROWS, w->recipe.o.ascii, &out);
    string_addf(&out, "%d steps, %lld tokens, ", f.step, (long long)f.tokens);
    add_time(&out, f.seconds);
    string_addf(&out, ": loss %.4f", f.loss);
    if (f.validation_count)
        string_addf(&out, ", validation %.4f (least %.4f, at step %d)", f.validation, f.best, f.best_step);
    string_addf(&out, "\n%s: ", w->recipe.o.out);
    string_add(&out, w->learner_options.all ? "model.gguf" : "adapter.gguf, and a folder as PEFT has it (adapter_config.json, adapter_model.safetensors)");
    string_add(&out, "\n");
    fputs(string_text(&out), stdout);
    string_free(&out);
    free(x);
}

/* What came of it, beside the checkpoint. */
static int write_result(const struct work *w, struct error *e)
{
    const struct tui_options *o = &w->recipe.o;
    const int all = w->learner_options.all;
    char *path = xasprintf("%s/%s.gguf", o->out, all ? "model" : "adapter");
    int code = all ? engine_learner_export(w->learner, path, o->type ? o->type : "f16", e) : engine_learner_export_adapter(w->learner, path, o->out, e);
    free(path);
    return code;
}

/* Saves, and says how to go on. */
static int stop(struct work *w)
{
    struct error e;
    struct search_training_figures f;
    clear_line(w);
    if (search_training_save(w->training, &e))
        return tui_fail(&e);
    search_training_figures(w->training, &f);
    fprintf(stderr, "espalier: interrupted; step %d is saved in %s: the same command with --resume goes on from there", f.step, w->checkpoint);
    if (f.step)
        fprintf(stderr, ", and with --resume --steps %d ends there", f.step);
    fputc('\n', stderr);
    return 128 + tui_interrupted();
}

/* --- the command ------------------------------------------------------------------------------------------------- */

static int prepare(struct work *w, const struct tui_options *o, struct error *e)
{
    int code, previous;
    if (o->word_count > 1)
        return error_set(e, ERROR_USAGE, "train takes one recipe; see espalier train --help");
    if ((code = tui_recipe_open(&w->recipe, o, o->word_count ? o->words[0] : NULL, e)) || (code = choose_learner(w, e)) || (code = open_folder(w, e)) ||
        (code = tui_engine_open_at(&w->recipe.o, w->recipe.model, TUI_TOKENS, &w->engine, e)) || (code = choose_lessons(w, e)) ||
        (code = choose_steps(w, e)) || (code = search_lessons_open(&w->lessons, &w->lessons_options, e)) ||
        (code = engine_learner_create(&w->learner, &w->learner_options, e)))
        return code;
    add_settings(w);
    w->options.learner = w->learner;
    w->options.lessons = w->lessons;
    w->options.settings = string_text(&w->settings);
    if ((code = search_training_open(&w->training, &w->options, e)))
        return code;
    if (w->recipe.o.resume && !(code = search_training_resume(w->training, &previous, e)) && previous)
        fprintf(stderr, "%s cannot be read: going on from the one before it\n", w->checkpoint);
    return code;
}

static int train(struct work *w, struct error *e)
{
    enum search_training_status status = SEARCH_TRAINING_PASS;
    int code = OK;
    print_beginning(w);
    tui_interrupts_listen((const int[]){SIGINT, SIGTERM, SIGHUP, SIGPIPE, 0}); /* after the pass under way, with a checkpoint */
    w->terminal = isatty(STDERR_FILENO);
    while (!code && status != SEARCH_TRAINING_DONE && !tui_interrupted()) {
        code = search_training_advance(w->training, &status, e);
        if (!code)
            show_progress(w, status);
    }
    clear_line(w);
    if (code || status != SEARCH_TRAINING_DONE)
        return code;
    if ((code = search_training_save(w->training, e)) || (code = write_result(w, e)))
        return code;
    w->done = 1;
    if (!w->recipe.o.json) {
        print_end(w);
    } else {
        struct search_training_figures f;
        search_training_figures(w->training, &f);
        print_json("done", &f);
    }
    return OK;
}

static int run(const struct tui_options *o)
{
    struct error e;
    struct work w = {.folder = -1};
    int code = prepare(&w, o, &e);
    if (code)
        leave_folder(&w);
    else
        code = train(&w, &e);
    if (code)
        tui_fail(&e);
    else if (!w.done)
        code = stop(&w);
    search_training_close(w.training);
    engine_learner_free(w.learner);
    search_lessons_close(w.lessons);
    engine_close(w.engine);
    string_free(&w.settings);
    free(w.checkpoint);
    if (w.folder >= 0)
        close(w.folder);
    tui_recipe_free(&w.recipe);
    return code;
}

const struct tui_command tui_command_train = {
    .name = "train",
    .summary = "learn an adapter, or all weights, from texts, the traces of tasks, or sessions",
    .usage = "train [RECIPE.yaml] [-m MODEL] [--data FILE.jsonl] --out FOLDER",
    .example = "espalier train --data mine.jsonl --validation 0.05 --quant nf4 --epochs 3 --out mine",
    .options = "model data from-sessions validation out quant all scratch type rank alpha rslora targets train-on rate schedule warm-up floor beta1 beta2 epsilon "
               "decay clip moments8 checkpoints int16 context rows step-tokens step-lessons steps epochs minutes validate-every save-every skip-bad seed "
               "resume threads kernels ascii json",
    .run = run,
};
