#include "tui/cast.h"
#include "tui/config.h"
#include "tui/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames a second of the recording at most; so its times are whole hundredths. A pause is never cut short by the header's idle_time_limit: the
 * longest is that of a decision, and how long that is is --speed's to say. */
enum { FRAMES = 25 };
static const double begin = 1;  /* of the clock: to the screens 0 is no time */
static const double linger = 3; /* the last screen stays, before the terminal is given back */

/* --- what is replayed -------------------------------------------------------------------------------------------- */

/* The search may go on meanwhile: what is replayed are the events there are now. */
static void copy_log(struct search_tree *out, const struct search_tree *tree)
{
    *out = (struct search_tree){.event_count = tree->event_count, .session = tree->session, .result = tree->result};
    out->events = xcalloc((size_t)tree->event_count + 1, sizeof *out->events);
    for (int64_t i = 0; i < tree->event_count; i++)
        out->events[i] = search_event_keep(tree->events[i]);
}

static void open_screens(struct tui_cast *c, const struct tui_cast_of *of)
{
    const struct search_tree **trees = xcalloc((size_t)of->count, sizeof *trees);
    c->count = of->count;
    c->logs = xcalloc((size_t)of->count, sizeof *c->logs);
    for (int i = 0; i < of->count; i++) {
        copy_log(&c->logs[i], of->trees[i]);
        trees[i] = &c->logs[i];
    }
    tui_replay_race(&c->race, trees, of->count, of->ascii);
    for (int i = 0; of->asked && i < of->count; i++)
        c->race.screens[i].asked_strategy = of->asked[i] ? of->asked[i] : c->race.screens[i].asked_strategy;
    tui_replay_open(&c->replay, trees, of->count, of->speed, 0, c->now);
    c->replay.engine = of->engine;
    c->race.shown = of->shown;
    struct tui_screen *s = tui_race_shown(&c->race);
    if (of->like) {
        s->places = of->like->places;
        s->focus = of->like->focus;
    } else if (of->count > 1) {
        s->focus = s->places.views[1];
        tui_places_put(s, &tui_view_compare);
        s->focus = s->places.views[0];
    }
    free(trees);
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

static void write_frame(struct tui_cast *c)
{
    tui_record_write(&c->record, string_text(&c->bytes), c->bytes.length);
    string_clear(&c->bytes);
}

void tui_cast_open(struct tui_cast *c, const struct tui_cast_of *of, FILE *file)
{
    *c = (struct tui_cast){.file = file, .theme = *of->theme, .columns = of->columns, .rows = of->rows, .now = begin};
    open_screens(c, of);
    tui_record_begin(&c->record, file, &c->now);
    tui_record_size(&c->record, c->columns, c->rows);
    tui_painter_open(&c->painter, &c->theme, of->colors, &c->bytes);
}

int tui_cast_export(struct tui_cast *c, const struct tui_cast_of *of, const char *path, struct error *e)
{
    struct tui_fresh fresh;
    const int code = tui_fresh_open(&fresh, path, e);
    if (code)
        return code;
    tui_cast_open(c, of, fresh.file);
    c->fresh = fresh;
    return OK;
}

/* What goes on in slices is ended first: how far it has come is no part of the session. */
static void settle(struct tui_screen *s)
{
    while (s->busy)
        tui_screen_work(s);
}

static void draw(struct tui_cast *c)
{
    struct tui_screen *s = tui_race_shown(&c->race);
    for (int i = 0; i < c->race.count; i++)
        settle(&c->race.screens[i]);
    do
        tui_screen_draw(s, c->columns, c->rows);
    while (s->busy);
    tui_painter_draw(&c->painter, &s->canvas, &c->bytes);
    write_frame(c);
}

int tui_cast_work(struct tui_cast *c)
{
    if (c->ended || c->record.failed)
        return 0;
    tui_replay_go_on(&c->replay, &c->race, c->now);
    draw(c);
    const double wait = tui_replay_wait(&c->replay, c->now);
    c->ended = wait < 0;
    if (c->ended) {
        c->now += linger;
        tui_painter_close(&c->painter, &c->bytes);
        write_frame(c);
        return 0;
    }
    const int64_t due = (int64_t)ceil((c->now + wait - begin) * FRAMES);
    c->frame = due > c->frame ? due : c->frame + 1;
    c->now = begin + (double)c->frame / FRAMES;
    return 1;
}

double tui_cast_seconds(const struct tui_cast *c)
{
    return c->now - begin;
}

int tui_cast_close(struct tui_cast *c, struct error *e)
{
    const int failed = c->record.failed;
    int code = OK;
    if (!c->ended)
        tui_painter_close(&c->painter, NULL);
    tui_replay_free(&c->replay);
    tui_race_free(&c->race);
    for (int i = 0; i < c->count; i++)
        search_tree_free(&c->logs[i]);
    free(c->logs);
    string_free(&c->bytes);
    if (failed)
        code = error_set(e, ERROR_INPUT, "%s cannot be written: %s", c->fresh.path ? c->fresh.path : "standard output", strerror(failed));
    if (c->fresh.file && tui_fresh_close(&c->fresh, c->ended && !failed, e))
        code = e->code;
    *c = (struct tui_cast){0};
    return code;
}

/* --- show --cast ------------------------------------------------------------------------------------------------- */

int tui_cast_colors(const char *name, int *colors, struct error *e)
{
    const char *none = getenv("NO_COLOR");
    *colors = none && *none ? TUI_MONO : TUI_PALETTE;
    if (!name)
        return OK;
    *colors = !strcmp(name, "none") ? TUI_MONO : !strcmp(name, "true") ? TUI_DIRECT : TUI_PALETTE;
    return *colors == TUI_PALETTE && strcmp(name, "256") ? error_set(e, ERROR_USAGE, "--colours %s: expected 256, true or none", name) : OK;
}

/* The configuration's theme and signs are the explorer's, and so of what is recorded of it. */
static int read_options(struct tui_config *config, struct tui_options *o, struct tui_theme *theme, struct tui_cast_of *of, struct error *e)
{
    int code = tui_config_open(config, e);
    if (!code)
        code = tui_config_apply(config, o, 1, e);
    if (!code)
        code = tui_theme_open(o->theme, theme, e);
    of->ascii = o->ascii;
    of->speed = o->speed > 0 ? (double)o->speed : 1;
    if (!code)
        code = tui_options_size("size", o->size ? o->size : "80x24", &of->columns, &of->rows, e);
    return code ? code : tui_cast_colors(o->colours, &of->colors, e);
}

/* "41 %, 0:12 left", rewriting itself four times a second. */
static int show_progress(const struct tui_cast *c, double start, double *last)
{
    const double now = clock_seconds();
    double at = 0, of = 0;
    if (now - *last < 0.25 || now - start < 1)
        return 0;
    *last = now;
    for (int i = 0; i < c->count; i++) {
        at += (double)c->replay.trees[i].at;
        of += (double)c->logs[i].event_count;
    }
    const int left = (int)((now - start) * (of - at) / at);
    fprintf(stderr, "\r\033[K%.0f %% of %.0f events, %d:%02d left", 100 * at / of, of, left / 60, left % 60);
    return 1;
}

static int write_sessions(const struct tui_cast_of *of, struct error *e)
{
    const double start = clock_seconds();
    const int told = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
    double last = start;
    int shown = 0;
    struct tui_cast c;
    tui_cast_open(&c, of, stdout);
    while (tui_cast_work(&c))
        shown |= told && show_progress(&c, start, &last);
    if (shown)
        fprintf(stderr, "\r\033[K");
    return tui_cast_close(&c, e);
}

int tui_cast_sessions(const struct tui_options *o, const struct search_sessions *sessions, int which, const char *path, struct error *e)
{
    struct tui_config config;
    struct tui_options options;
    struct tui_theme theme;
    const int first = which ? which - 1 : 0, count = which ? 1 : sessions->count;
    const struct search_tree **trees = xcalloc((size_t)count, sizeof *trees);
    const char **asked = xcalloc((size_t)count, sizeof *asked);
    struct tui_cast_of of = {.trees = trees, .asked = asked, .count = count, .theme = &theme};
    for (int i = 0; i < count; i++) {
        trees[i] = &sessions->list[first + i].tree;
        asked[i] = sessions->list[first + i].asked;
    }
    tui_options_copy(&options, o);
    int code = read_options(&config, &options, &theme, &of, e);
    if (!code) {
        struct engine *engine = tui_replay_tokens(&options, path);
        of.engine = engine;
        code = write_sessions(&of, e);
        engine_close(engine);
    }
    tui_options_free(&options);
    tui_config_free(&config);
    free(trees);
    free(asked);
    return code;
}
