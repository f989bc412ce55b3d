/* The explorer: the loop between the terminal, the screen and the engine thread; and the same screen dumped without any of them. */
#include "tui/bookmark.h"
#include "tui/cast.h"
#include "tui/copy.h"
#include "tui/editor.h"
#include "tui/race.h"
#include "tui/replay.h"
#include "tui/setting.h"
#include "tui/state.h"
#include "tui/terminal.h"
#include "tui/thread.h"
#include "tui/tour.h"
#include "tui/trainer.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double frame_interval = 1.0 / 30, slowest_interval = 0.4;
/* The part of the time that drawing news takes where it costs more than frames so often: the model's threads wait for each other, so what
 * one of them loses to the screen all of them lose. */
static const double share = 1.0 / 100;

static void open_race(struct tui_race *race, const struct tui_setting *s)
{
    const char *slash = strrchr(s->searches.model, '/');
    tui_race_open(race, s->searches.count);
    for (int i = 0; i < s->searches.count; i++) {
        struct tui_screen *screen = &race->screens[i];
        screen->asked = s->searches.problem ? s->searches.problem : "";
        screen->model = slash ? slash + 1 : s->searches.model;
        screen->quant = s->options.quant;
        screen->keymap = &s->config.keys;
        screen->asked_strategy = tui_searches_asked(&s->searches, i);
        screen->token_text = tui_race_token;
        screen->canvas.ascii = s->ascii;
    }
}

/* --- without a terminal ------------------------------------------------------------------------------------------ */

static void fold_event(void *context, struct search_event *event)
{
    tui_screen_event(context, event);
}

/* Search to the end, then print the screen as it would stand there: the same bytes on every run, so without what the clock or the
 * memory has to say. */
static int dump(struct tui_setting *s, int columns, int rows, struct error *e)
{
    struct engine *engine = NULL;
    struct engine *judge = NULL;
    struct tui_race race;
    open_race(&race, s);
    int code = tui_engine_open_at(&s->options, s->searches.model, TUI_MODEL, &engine, e);
    if (!code)
        code = tui_judge_open(&s->options, &judge, e);
    for (int i = 0; i < s->searches.count && !code; i++) {
        struct search *search = NULL;
        enum search_status status = SEARCH_WORKING;
        code = tui_searches_start(&s->searches, i, engine, judge, fold_event, &race.screens[i], &search, e);
        while (!code && status != SEARCH_DONE)
            code = search_advance(search, &status, e);
        race.screens[i].token_owner = engine;
        race.screens[i].now.state = TUI_DONE;
        search_close(search);
    }
    if (!code) {
        struct string text = {0};
        struct tui_screen *screen = tui_race_shown(&race);
        do
            tui_screen_draw(screen, columns, rows);
        while (screen->busy);
        tui_canvas_dump(&screen->canvas, &text);
        fputs(string_text(&text), stdout);
        string_free(&text);
    }
    tui_race_free(&race);
    engine_close(judge);
    engine_close(engine);
    return code;
}

/* --- with one ---------------------------------------------------------------------------------------------------- */

struct explorer {
    struct tui_setting *setting;
    struct tui_race race;
    struct tui_tour tour;
    struct tui_snapshot *snapshots; /* [race.count], empty between the takings */
    struct tui_thread *thread;
    struct tui_replay *replay; /* in its place, or NULL */
    struct tui_cast *cast;     /* that is being written, or NULL */
    struct tui_trainer trainer;
    int learner;     /* the search that its adapter is for */
    char *left;      /* how the session was left, until its trees are there; or NULL */
    int dirty, urgent; /* the screen may look otherwise than it is shown; and that is not to wait */
    int quit, signal; /* signal: the one that ended it, 0: none */
    int warned;      /* it was said what would be lost by leaving, and nothing was done since */
};

static void take_news(struct explorer *x)
{
    if (x->replay) {
        x->dirty |= tui_replay_go_on(x->replay, &x->race, clock_seconds());
        return;
    }
    struct tui_news *news;
    char notice[TUI_NOTICE];
    int count;
    const enum tui_taken fresh = tui_thread_take(x->thread, &news, &count, x->snapshots, notice);
    for (int i = 0; i < count; i++) {
        tui_screen_event(&x->race.screens[news[i].search], news[i].event);
        search_event_release(news[i].event);
    }
    free(news);
    for (int i = 0; i < x->race.count && fresh; i++) {
        if (x->snapshots[i].broke && x->snapshots[i].hits > x->race.screens[i].now.hits)
            tui_race_show(&x->race, i);
        x->race.screens[i].token_owner = x->snapshots[i].engine;
        tui_screen_snapshot(&x->race.screens[i], &x->snapshots[i]);
    }
    if (fresh && x->left) { /* with the first snapshot all events of before have come */
        tui_bookmark_read(&x->race, x->left);
        free(x->left);
        x->left = NULL;
    }
    if (*notice)
        tui_race_notice(&x->race, notice);
    x->dirty |= count || fresh || *notice;
    x->urgent |= fresh == TUI_TAKEN_URGENT;
}

static void tell_thread(struct explorer *x, struct tui_action action)
{
    if (x->replay)
        tui_replay_command(x->replay, &x->race, action, clock_seconds());
    else
        tui_thread_command(x->thread, action);
}

/* The terminal is the editor's meanwhile; the search goes on. */
static void edit(struct explorer *x, struct tui_action action)
{
    struct tui_screen *s = &x->race.screens[action.search];
    const char *before = search_node_text(&s->tree, action.number);
    struct string after = {0};
    struct error e = {0};
    tui_terminal_leave();
    int code = tui_editor_run(before, &after, &e);
    tui_terminal_resume();
    if (code)
        tui_screen_notice(s, e.message);
    else if (!after.length)
        tui_screen_notice(s, "nothing was written, nothing is changed");
    else if (!strcmp(after.text, before))
        tui_screen_notice(s, "it reads as before, nothing is changed");
    else {
        struct tui_action words = tui_act(s, "edit %d %s", action.number, after.text);
        words.search = action.search;
        tell_thread(x, words);
    }
    string_free(&after);
}

static void copy(struct explorer *x, struct tui_action action)
{
    struct tui_screen *s = &x->race.screens[action.search];
    struct string text = {0}, bytes = {0};
    char notice[120], whole[32], part[32];
    const char *tmux = getenv("TMUX");
    if (x->setting->options.no_copy) {
        tui_screen_notice(s, "copying is off: --no-copy, or no-copy in config.yaml");
    } else if (tui_copy_text(s, action.words, &text)) {
        const size_t n = tui_copy_sequence(&text, tmux && *tmux, &bytes);
        snprintf(notice, sizeof notice, n < text.length ? "copied the first %s of %s bytes" : "copied %s bytes, where the terminal lets programs do that",
                 tui_number((int64_t)n, part), tui_number((int64_t)text.length, whole));
        tui_screen_notice(s, tui_terminal_tell(bytes.text, bytes.length) ? notice : "this terminal has no clipboard that programs can write to");
    }
    string_free(&text);
    string_free(&bytes);
}

/* After `:theme`, or when its file was saved: where it is wrong the old one stays, and the line tells. */
static void change_theme(struct explorer *x, const char *name)
{
    struct error e = {0};
    if (name ? tui_setting_theme(x->setting, name, &e) : tui_theme_open(x->setting->theme_path, &x->setting->theme, &e))
        tui_race_notice(&x->race, e.message);
    else
        tui_terminal_theme(&x->setting->theme);
    x->dirty = 1;
}

/* --- learning from what was kept, and on with what was learned ---------------------------------------------------- */

static void show_training(struct explorer *x)
{
    for (int i = 0; i < x->race.count; i++)
        tui_trainer_text(&x->trainer, x->race.screens[i].training, sizeof x->race.screens[i].training);
    x->dirty = 1;
}

static void train(struct explorer *x, struct tui_action action)
{
    const struct tui_searches *s = &x->setting->searches;
    const struct search_journal *journal = s->journal ? s->journal : s->loaded.journal;
    struct error e = {0};
    if (!strcmp(action.words, "stop"))
        tui_trainer_stop(&x->trainer);
    else if (!journal)
        error_set(&e, ERROR_USAGE, "this search is kept in no session, and so there is nothing to learn from");
    else if (!tui_trainer_start(&x->trainer, &x->setting->options, s->model, search_journal_path(journal), action.words, &e))
        x->learner = action.search;
    if (e.code)
        tui_race_notice(&x->race, e.message);
    show_training(x);
}

/* Its adapter is on as soon as it is there. */
static void take_training(struct explorer *x)
{
    struct tui_trainer *t = &x->trainer;
    int code;
    if (tui_trainer_read(t, &code)) {
        char notice[TUI_NOTICE];
        if (code) {
            snprintf(notice, sizeof notice, "%s", code == 128 + 15 ? "learning was stopped; its checkpoint is kept" : *t->said ? t->said : "learning failed");
        } else {
            struct tui_screen *s = &x->race.screens[x->learner];
            struct tui_action words = tui_act(s, "adapter %s", t->out);
            words.search = x->learner;
            tui_thread_command(x->thread, words);
            snprintf(notice, sizeof notice, "learned: loss %.3f, was %.3f; the adapter is on from here: r samples with it, :adapter none takes it off", t->loss,
                     t->first);
        }
        tui_race_notice(&x->race, notice);
    }
    show_training(x);
}

/* --- a recording of what is there, made between keys ------------------------------------------------------------- */

static void begin_cast(struct explorer *x, struct tui_action action)
{
    const struct tui_screen *s = tui_race_shown(&x->race);
    struct error e = {0};
    char notice[TUI_NOTICE];
    if (x->cast) {
        tui_race_notice(&x->race, "one recording is being written; when it is done, ask for another");
        return;
    }
    const struct search_tree **trees = xcalloc((size_t)x->race.count, sizeof *trees);
    const char **asked = xcalloc((size_t)x->race.count, sizeof *asked);
    for (int i = 0; i < x->race.count; i++) {
        trees[i] = &x->race.screens[i].tree;
        asked[i] = x->race.screens[i].asked_strategy;
    }
    struct tui_cast_of of = {.trees = trees, .asked = asked, .count = x->race.count, .shown = x->race.shown, .engine = s->now.engine, .like = s,
                             .theme = &x->setting->theme, .ascii = x->setting->ascii, .columns = s->canvas.w, .rows = s->canvas.h,
                             .speed = x->replay ? x->replay->speed : 1};
    struct tui_cast *cast = xcalloc(1, sizeof *cast);
    tui_cast_colors(NULL, &of.colors, &e);
    const int code = tui_cast_export(cast, &of, action.words, &e);
    snprintf(notice, sizeof notice, "%.120s is being written", action.words);
    tui_race_notice(&x->race, code ? e.message : notice);
    x->cast = code ? NULL : cast;
    free(code ? cast : NULL);
    free(trees);
    free(asked);
}

static int end_cast(struct explorer *x, struct error *e)
{
    const int code = tui_cast_close(x->cast, e);
    free(x->cast);
    x->cast = NULL;
    return code;
}

static void go_on_with_cast(struct explorer *x)
{
    char notice[TUI_NOTICE];
    struct error e;
    if (tui_cast_work(x->cast))
        return;
    const int seconds = (int)tui_cast_seconds(x->cast);
    snprintf(notice, sizeof notice, "%.120s shows how the tree grew, %d:%02d long", x->cast->fresh.path, seconds / 60, seconds % 60);
    tui_race_notice(&x->race, end_cast(x, &e) ? e.message : notice);
    x->dirty = 1;
}

/* Who quits has asked for it; whoever is ended by a signal need not wait. */
static int leave_cast(struct explorer *x, int code, struct error *e)
{
    struct error why;
    while (x->cast && x->quit && tui_cast_work(x->cast))
        ;
    if (!x->cast || !end_cast(x, &why) || code)
        return code;
    *e = why;
    return why.code;
}

/* What would be lost by leaving now: said once, and again when more was done since. */
static int may_quit(struct explorer *x)
{
    const struct tui_searches *s = &x->setting->searches;
    char notice[TUI_NOTICE] = "";
    int thoughts = 0;
    for (int i = 0; i < x->race.count; i++)
        thoughts += x->race.screens[i].tree.count > 1;
    if (x->warned || x->replay)
        return 1;
    if (!s->journal && !s->loaded.journal && thoughts)
        snprintf(notice, sizeof notice, "%s; q again leaves it all the same, :export FILE takes a copy with you", s->notice);
    else if (x->trainer.fd >= 0)
        snprintf(notice, sizeof notice, "it is learning: q again stops that at a checkpoint, and says with which command to go on");
    if (*notice)
        tui_race_notice(&x->race, notice);
    x->warned = *notice != '\0';
    return !x->warned;
}

static void do_action(struct explorer *x, struct tui_action action)
{
    x->warned &= action.act == TUI_ACT_NONE || action.act == TUI_ACT_QUIT;
    if (x->replay && (action.act == TUI_ACT_EDITOR || action.act == TUI_ACT_TRAIN))
        action.act = TUI_ACT_DO; /* as all that cannot be done there */
    switch (action.act) {
    case TUI_ACT_NONE:
        break;
    case TUI_ACT_QUIT:
        x->quit = action.number || may_quit(x);
        break;
    case TUI_ACT_SUSPEND:
        tui_terminal_suspend();
        break;
    case TUI_ACT_REPAINT:
        tui_terminal_repaint();
        break;
    case TUI_ACT_EDITOR:
        edit(x, action);
        break;
    case TUI_ACT_COPY:
        copy(x, action);
        break;
    case TUI_ACT_THEME:
        change_theme(x, action.words);
        break;
    case TUI_ACT_TRAIN:
        train(x, action);
        break;
    case TUI_ACT_CAST:
        begin_cast(x, action);
        break;
    default:
        tell_thread(x, action);
    }
}

/* A key of the user's own stands for others, but where it is text. */
static void take_key(struct explorer *x, int32_t key)
{
    struct tui_screen *s = tui_race_shown(&x->race);
    if (key == TUI_KEY_MOUSE) {
        do_action(x, tui_race_mouse(&x->race, tui_terminal_mouse()));
        return;
    }
    if (x->replay && !s->ask.what && !s->overlay && (key == '+' || key == '-')) {
        char text[40];
        tui_replay_speed(x->replay, key == '+' ? 2 : 0.5, clock_seconds());
        snprintf(text, sizeof text, "%g times as fast", x->replay->speed);
        tui_race_notice(&x->race, text);
        return;
    }
    const struct tui_binding *b = tui_screen_takes_letter(s) ? NULL : tui_keymap_find(&x->setting->config.keys, key);
    if (!b) {
        do_action(x, tui_race_key(&x->race, key));
    } else if (b->command) {
        s->notice[0] = '\0';
        struct tui_action action = tui_command(s, b->command);
        action.search = x->race.shown;
        do_action(x, action);
    }
    for (int i = 0; b && i < b->count; i++)
        do_action(x, tui_race_key(&x->race, b->keys[i]));
}

static void take_signals(struct explorer *x)
{
    int number = tui_terminal_signal();
    if (!number)
        return;
    x->dirty = 1;
    if (number == SIGTSTP)
        tui_terminal_suspend();
    else if (number == SIGCONT)
        tui_terminal_resume();
    else if (number == SIGINT)
        do_action(x, tui_race_key(&x->race, 'C' - TUI_KEY_CONTROL));
    else
        x->signal = number;
}

/* Processor time of this thread. */
static double spent(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void draw(struct explorer *x)
{
    int columns, rows;
    tui_terminal_size(&columns, &rows);
    tui_terminal_mouse_on(tui_race_shown(&x->race)->places.mouse);
    tui_screen_draw(tui_race_shown(&x->race), columns, rows);
    tui_terminal_draw(&tui_race_shown(&x->race)->canvas);
    x->dirty = x->urgent = 0;
}

/* The one that is shown, else another of the race: NULL where none has work to go on with. */
static struct tui_screen *busy_screen(struct explorer *x)
{
    struct tui_screen *s = tui_race_shown(&x->race);
    for (int i = 0; i < x->race.count && !s->busy; i++)
        if (x->race.screens[i].busy)
            return &x->race.screens[i];
    return s->busy ? s : NULL;
}

/* What was asked for could not even be begun: there is nothing to look at. */
static int never_began(const struct explorer *x)
{
    const struct tui_screen *s = &x->race.screens[x->race.shown];
    return s->now.state == TUI_FAILED && !s->tree.count;
}

/* Keys are answered at once, and so are what was asked for and another state of the search shown; other news is drawn thirty times a
 * second at most, and less often where that would take too much; where there is none of it, the thread sleeps. */
static void live(struct explorer *x)
{
    double drawn = 0, rest = frame_interval;
    draw(x);
    while (!x->quit && !x->signal && !never_began(x)) {
        struct tui_screen *busy = busy_screen(x);
        double now = clock_seconds(), wait = x->dirty ? drawn + rest - now : x->replay ? tui_replay_wait(x->replay, now) : -1;
        if (x->dirty && (wait <= 0 || x->urgent)) {
            take_news(x); /* what came since, unheard */
            do_action(x, tui_tour_wants(&x->race.screens[0]));
            const double before = spent();
            draw(x);
            rest = fmin(fmax(frame_interval, (spent() - before) / share), slowest_interval);
            drawn = clock_seconds();
            continue;
        }
        if (busy) { /* what takes many frames goes on between two keys, and is shown as news is */
            tui_screen_work(busy);
            x->dirty = 1;
            wait = 0;
        }
        if (x->cast) {
            go_on_with_cast(x);
            wait = 0;
        }
        enum { WAKE, THEME, TRAINER, FDS };
        if (!x->replay)
            tui_thread_hush(x->thread, x->dirty && !busy);
        const int fds[FDS] = {[WAKE] = x->replay ? -1 : tui_thread_wake(x->thread), [THEME] = x->setting->theme_file.fd,
                              [TRAINER] = x->trainer.fd};
        int happened = tui_terminal_wait(fds, FDS, wait), keys = 0;
        if (happened & TUI_WAIT_FD << WAKE || x->replay)
            take_news(x);
        if (happened & TUI_WAIT_FD << TRAINER)
            take_training(x);
        if (happened & TUI_WAIT_FD << THEME && tui_watch_saved(&x->setting->theme_file))
            change_theme(x, NULL);
        take_signals(x);
        x->dirty |= happened & TUI_WAIT_SIGNAL;
        for (int32_t key; happened & TUI_WAIT_KEY && !x->quit && !x->signal && (key = tui_terminal_key()) != TUI_KEY_NONE; keys = 1)
            take_key(x, key);
        if (keys)
            take_news(x);
        do_action(x, tui_tour_wants(&x->race.screens[0])); /* after all news that is taken: nothing else may come to ask again */
        if (keys) {
            draw(x);
            drawn = clock_seconds();
        }
    }
}

/* Where the panes were left, and what the configuration says of the mouse. What cannot be read or written costs nothing but that. */
static void open_places(const struct tui_setting *s, struct tui_race *race)
{
    struct string text = {0};
    if (!tui_state_read(&text))
        for (int i = 0; i < race->count; i++)
            tui_places_restore(&race->screens[i], string_text(&text));
    for (int i = 0; i < race->count && s->config.mouse >= 0; i++)
        race->screens[i].places.mouse = s->config.mouse;
    string_free(&text);
}

/* As it was left: it may be off. */
static int mouse_is_wanted(const struct tui_setting *s)
{
    struct tui_race none;
    tui_race_open(&none, 1);
    open_places(s, &none);
    const int wanted = none.screens[0].places.mouse;
    tui_race_free(&none);
    return wanted;
}

static void save_places(const struct tui_race *race)
{
    struct string text = {0};
    tui_places_write(&tui_race_shown(race)->places, &text);
    tui_state_write(string_text(&text));
    string_free(&text);
}

/* Of the session that is gone on with, or forked. The journal is the engine thread's while it lives. */
static char *read_left(const struct tui_setting *s)
{
    struct search_journal *from = s->searches.loaded.journal ? s->searches.loaded.journal : s->searches.journal;
    return from ? search_journal_get(from, "left") : NULL;
}

/* Where it cannot be written nothing is lost but that. */
static void save_left(const struct tui_setting *s, const struct tui_race *race)
{
    struct search_journal *journal = s->searches.journal ? s->searches.journal : s->searches.loaded.journal;
    struct string text = {0};
    struct error e;
    tui_bookmark_write(race, &text);
    if (journal && text.length && !search_journal_set(journal, "left", text.text, &e))
        search_journal_commit(journal, &e);
    string_free(&text);
}

static void leave_by(int number)
{
    tui_terminal_close();
    signal(number, SIG_DFL);
    raise(number); /* whoever waits for us sees what ended us */
}

/* begun: 0 when it failed before there was anything to see; then the terminal is open still. */
static int explore(struct tui_setting *s, int *begun, struct error *e)
{
    struct explorer x = {.setting = s};
    tui_trainer_open(&x.trainer);
    open_race(&x.race, s);
    if (s->options.tour) /* its pages name panes: they stand where a first start has them */
        x.race.screens[0].places.mouse = mouse_is_wanted(s);
    else
        open_places(s, &x.race);
    tui_history_open(&tui_race_shown(&x.race)->ask.history);
    if (s->options.tour)
        tui_tour_begin(&x.tour, &x.race.screens[0]);
    x.snapshots = xcalloc((size_t)s->searches.count, sizeof *x.snapshots);
    x.left = read_left(s);
    int code = tui_thread_start(&x.thread, &s->options, &s->searches, e);
    if (!code)
        live(&x);
    *begun = !code && !never_began(&x);
    if (*begun)
        tui_terminal_close();
    if (!s->options.tour)
        save_places(&x.race);
    if (!code && tui_race_shown(&x.race)->now.state == TUI_FAILED) {
        *e = tui_race_shown(&x.race)->now.failure;
        code = e->code;
    }
    code = leave_cast(&x, code, e);
    s->busy = x.thread && !tui_thread_stop(x.thread);
    if (!s->busy)
        save_left(s, &x.race);
    if (x.signal)
        leave_by(x.signal);
    if (x.trainer.fd >= 0 && x.trainer.step)
        fprintf(stderr, "learning was stopped; to go on from its checkpoint: %s\n", x.trainer.command);
    tui_trainer_close(&x.trainer);
    tui_race_free(&x.race);
    free(x.left);
    tui_tour_free(&x.tour);
    free(x.snapshots);
    return code;
}

/* --- where nothing is asked for ---------------------------------------------------------------------------------- */

static enum tui_start_act start_signal(void)
{
    const int number = tui_terminal_signal();
    if (number == SIGTSTP)
        return TUI_START_SUSPEND;
    if (number == SIGCONT)
        tui_terminal_resume();
    else if (number == SIGINT)
        return TUI_START_QUIT;
    else if (number)
        leave_by(number);
    return TUI_START_NOTHING;
}

/* A press selects, another opens; the wheel moves. */
static enum tui_start_act start_mouse(struct tui_start *start, struct tui_mouse m)
{
    if (m.what == TUI_MOUSE_PRESS)
        return tui_start_click(start, m.x, m.y);
    if (!start->asking && (m.what == TUI_MOUSE_WHEEL_UP || m.what == TUI_MOUSE_WHEEL_DOWN))
        tui_start_move(start, m.what == TUI_MOUSE_WHEEL_UP ? -1 : 1);
    return TUI_START_NOTHING;
}

/* Until something is chosen (1), or nothing is to be (0). */
static int run_start(struct tui_setting *s, struct tui_start *start)
{
    for (;;) {
        int columns, rows;
        enum tui_start_act act = TUI_START_NOTHING;
        tui_terminal_size(&columns, &rows);
        tui_start_draw(start, columns, rows);
        tui_terminal_draw(&start->canvas);
        const int happened = tui_terminal_wait(&s->theme_file.fd, 1, -1);
        struct error e = {0};
        if (happened & TUI_WAIT_FD && tui_watch_saved(&s->theme_file)) {
            if (tui_theme_open(s->theme_path, &s->theme, &e))
                snprintf(start->notice, sizeof start->notice, "%.199s", e.message);
            tui_terminal_theme(&s->theme);
        }
        act = start_signal();
        for (int32_t key; !act && happened & TUI_WAIT_KEY && (key = tui_terminal_key()) != TUI_KEY_NONE;)
            act = key == TUI_KEY_MOUSE ? start_mouse(start, tui_terminal_mouse()) : tui_start_key(start, key);
        if (act == TUI_START_SUSPEND)
            tui_terminal_suspend();
        else if (act == TUI_START_REPAINT)
            tui_terminal_repaint();
        else if (act)
            return act == TUI_START_CHOSEN;
    }
}

static int choose(struct tui_setting *s, struct error *e)
{
    struct tui_start *start = &s->start;
    tui_start_open(start);
    start->canvas.ascii = s->ascii;
    tui_start_find(start, &s->options);
    for (;;) {
        int begun = 0;
        tui_terminal_mouse_on(mouse_is_wanted(s));
        if (!run_start(s, start))
            return OK;
        int code = tui_setting_choice(s, start, e);
        if (!code)
            code = tui_searches_open(&s->searches, &s->options, 1, e);
        if (!code)
            code = explore(s, &begun, e);
        if (begun || s->busy)
            return code;
        tui_searches_close(&s->searches); /* what was chosen, or written, is there to be put right */
        snprintf(start->notice, sizeof start->notice, "%.*s", (int)sizeof start->notice - 1, e->message);
    }
}

int tui_explore(const struct tui_options *o, struct error *e)
{
    int columns = 0, rows = 0, code = o->dump ? tui_options_size("dump", o->dump, &columns, &rows, e) : tui_terminal_check(e);
    if (code)
        return code;
    struct tui_setting *s = xcalloc(1, sizeof *s);
    code = tui_setting_read(o, s, e);
    int begun;
    const int nothing = !o->word_count && !o->session && !o->dump && !o->tour;
    if (!code && o->tour)
        tui_setting_tour(s);
    if (!code && !nothing)
        code = tui_searches_open(&s->searches, &s->options, !o->dump, e);
    if (!code && o->dump)
        code = dump(s, columns, rows, e);
    else if (!code && !(code = tui_terminal_open(&s->theme, s->record, e)))
        code = nothing ? choose(s, e) : explore(s, &begun, e);
    tui_terminal_close();
    return tui_setting_end(s, code, e);
}

/* --- a session played again -------------------------------------------------------------------------------------- */

static int play(struct tui_setting *s, const struct search_sessions *sessions, int which, const char *path, struct error *e)
{
    const struct tui_options *o = &s->options;
    const int first = which ? which - 1 : 0, count = which ? 1 : sessions->count;
    const struct search_tree **trees = xcalloc((size_t)count, sizeof *trees);
    struct tui_replay replay;
    struct explorer x = {.setting = s, .replay = &replay};
    tui_trainer_open(&x.trainer);
    struct engine *engine = tui_replay_tokens(o, path);
    for (int i = 0; i < count; i++)
        trees[i] = &sessions->list[first + i].tree;
    tui_replay_race(&x.race, trees, count, s->ascii);
    for (int i = 0; i < count; i++)
        x.race.screens[i].asked_strategy = sessions->list[first + i].asked ? sessions->list[first + i].asked : x.race.screens[i].asked_strategy;
    tui_replay_open(&replay, trees, count, o->speed > 0 ? (double)o->speed : 1, o->paused, clock_seconds());
    replay.engine = engine;
    tui_replay_go_on(&replay, &x.race, clock_seconds());
    tui_race_notice(&x.race, "a replay: space stops it, s shows a step, + and - change its speed, [ and ] go through time");
    live(&x);
    tui_terminal_close();
    const int code = leave_cast(&x, OK, e);
    tui_race_free(&x.race);
    tui_replay_free(&replay);
    engine_close(engine);
    free(trees);
    if (x.signal)
        leave_by(x.signal);
    return code;
}

int tui_replay(const struct tui_options *o, const struct search_sessions *sessions, int which, const char *path, struct error *e)
{
    int code = tui_terminal_check(e);
    if (code)
        return code;
    struct tui_setting *s = xcalloc(1, sizeof *s);
    code = tui_setting_read(o, s, e);
    if (!code && !(code = tui_terminal_open(&s->theme, s->record, e)))
        code = play(s, sessions, which, path, e);
    return tui_setting_end(s, code, e);
}
