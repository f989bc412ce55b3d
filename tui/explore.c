/* The explorer: the loop between the terminal, the screen and the engine thread; and the same screen dumped without any of them. */
#include "tui/editor.h"
#include "tui/race.h"
#include "tui/state.h"
#include "tui/terminal.h"
#include "tui/thread.h"
#include "tui/tui.h"

#include <langinfo.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const double frame_interval = 1.0 / 30;

/* What a command line amounts to before anything is opened. */
struct setting {
    const struct tui_options *options;
    struct tui_theme theme;
    struct tui_searches searches;
    int ascii;
};

static void setting_free(struct setting *s)
{
    tui_searches_close(&s->searches);
}

static int read_setting(const struct tui_options *o, struct setting *s, struct error *e)
{
    *s = (struct setting){.options = o, .ascii = o->ascii || strcmp(nl_langinfo(CODESET), "UTF-8") != 0};
    int code = tui_theme_open(o->theme, &s->theme, e);
    if (!code)
        code = tui_searches_open(&s->searches, o, !o->dump, e);
    return code;
}

static const char *token_text(const void *owner, int id, size_t *bytes)
{
    return owner ? engine_token_text(owner, id, bytes) : NULL;
}

static void open_race(struct tui_race *race, const struct setting *s)
{
    const char *slash = strrchr(s->searches.model, '/');
    tui_race_open(race, s->searches.count);
    for (int i = 0; i < s->searches.count; i++) {
        struct tui_screen *screen = &race->screens[i];
        screen->asked = s->searches.problem ? s->searches.problem : "";
        screen->model = slash ? slash + 1 : s->searches.model;
        screen->asked_strategy = s->searches.strategies[i];
        screen->token_text = token_text;
        screen->canvas.ascii = s->ascii;
    }
}

/* --- without a terminal ------------------------------------------------------------------------------------------ */

static void fold_event(void *context, struct search_event *event)
{
    tui_screen_event(context, event);
}

static int parse_size(const char *text, int *columns, int *rows, struct error *e)
{
    char *end;
    long w = strtol(text, &end, 10), h = *end == 'x' ? strtol(end + 1, &end, 10) : 0;
    if (*end || w < 1 || h < 1 || w > 1000 || h > 1000)
        return error_set(e, ERROR_USAGE, "--dump %s: expected COLUMNSxROWS, each 1 to 1000, as in 80x24", text);
    *columns = (int)w;
    *rows = (int)h;
    return OK;
}

/* Search to the end, then print the screen as it would stand there: the same bytes on every run, so without what the clock or the
 * memory has to say. */
static int dump(struct setting *s, int columns, int rows, struct error *e)
{
    struct engine *engine = NULL;
    struct engine *judge = NULL;
    struct tui_race race;
    open_race(&race, s);
    int code = tui_engine_open_at(s->options, s->searches.model, TUI_MODEL, &engine, e);
    if (!code)
        code = tui_judge_open(s->options, &judge, e);
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
        tui_screen_draw(screen, columns, rows);
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
    struct tui_race race;
    struct tui_snapshot *snapshots; /* [race.count], empty between the takings */
    struct tui_thread *thread;
    int dirty;       /* the screen may look otherwise than it is shown */
    int quit, signal; /* signal: the one that ended it, 0: none */
};

static void take_news(struct explorer *x)
{
    struct tui_news *news;
    char notice[200];
    int count, fresh = tui_thread_take(x->thread, &news, &count, x->snapshots, notice);
    for (int i = 0; i < count; i++) {
        tui_screen_event(&x->race.screens[news[i].search], news[i].event);
        search_event_release(news[i].event);
    }
    free(news);
    for (int i = 0; i < x->race.count && fresh; i++) {
        x->race.screens[i].token_owner = x->snapshots[i].engine;
        tui_screen_snapshot(&x->race.screens[i], &x->snapshots[i]);
    }
    if (*notice)
        tui_race_notice(&x->race, notice);
    x->dirty |= count || fresh || *notice;
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
        tui_thread_command(x->thread, words);
    }
    string_free(&after);
}

static void do_action(struct explorer *x, struct tui_action action)
{
    switch (action.act) {
    case TUI_ACT_NONE:
        break;
    case TUI_ACT_QUIT:
        x->quit = 1;
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
    default:
        tui_thread_command(x->thread, action);
    }
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

static void draw(struct explorer *x)
{
    int columns, rows;
    tui_terminal_size(&columns, &rows);
    tui_terminal_mouse_on(tui_race_shown(&x->race)->places.mouse);
    tui_screen_draw(tui_race_shown(&x->race), columns, rows);
    tui_terminal_draw(&tui_race_shown(&x->race)->canvas);
    x->dirty = 0;
}

/* Keys are answered at once; news is drawn thirty times a second at most; where there is none of either, the thread sleeps. */
static void live(struct explorer *x)
{
    double drawn = 0;
    draw(x);
    while (!x->quit && !x->signal && !(tui_race_shown(&x->race)->now.state == TUI_FAILED && !tui_race_shown(&x->race)->tree.count)) {
        struct tui_screen *s = tui_race_shown(&x->race);
        double wait = x->dirty ? drawn + frame_interval - clock_seconds() : -1;
        if (x->dirty && wait <= 0) {
            draw(x);
            drawn = clock_seconds();
            continue;
        }
        if (s->busy) { /* what takes many frames goes on between two keys, and is shown as news is */
            tui_screen_work(s);
            x->dirty = 1;
            wait = 0;
        }
        int happened = tui_terminal_wait(x->dirty && !s->busy ? -1 : tui_thread_wake(x->thread), wait), keys = 0;
        if (happened & TUI_WAIT_WAKE)
            take_news(x);
        take_signals(x);
        x->dirty |= happened & TUI_WAIT_SIGNAL;
        for (int32_t key; happened & TUI_WAIT_KEY && !x->quit && (key = tui_terminal_key()) != TUI_KEY_NONE; keys = 1)
            do_action(x, key == TUI_KEY_MOUSE ? tui_race_mouse(&x->race, tui_terminal_mouse()) : tui_race_key(&x->race, key));
        if (keys) {
            take_news(x);
            draw(x);
            drawn = clock_seconds();
        }
    }
}

/* Where the panes were left. What cannot be read or written costs nothing but that. */
static void open_places(struct tui_race *race)
{
    struct string text = {0};
    if (!tui_state_read(&text))
        for (int i = 0; i < race->count; i++)
            tui_places_read(&race->screens[i].places, string_text(&text));
    string_free(&text);
}

static void save_places(const struct tui_race *race)
{
    struct string text = {0};
    tui_places_write(&tui_race_shown(race)->places, &text);
    tui_state_write(string_text(&text));
    string_free(&text);
}

static int explore(struct setting *s, struct error *e)
{
    struct explorer x = {0};
    int code = tui_terminal_open(&s->theme, e);
    if (code)
        return code;
    open_race(&x.race, s);
    open_places(&x.race);
    x.snapshots = xcalloc((size_t)s->searches.count, sizeof *x.snapshots);
    code = tui_thread_start(&x.thread, s->options, &s->searches, e);
    if (!code)
        live(&x);
    tui_terminal_close();
    save_places(&x.race);
    if (!code && tui_race_shown(&x.race)->now.state == TUI_FAILED) {
        *e = tui_race_shown(&x.race)->now.failure;
        code = e->code;
    }
    if (x.signal) {
        signal(x.signal, SIG_DFL);
        raise(x.signal); /* whoever waits for us sees what ended us */
    }
    int ended = !x.thread || tui_thread_stop(x.thread);
    tui_race_free(&x.race);
    free(x.snapshots);
    if (!ended) /* the thread still reads its setting: leave it */
        *s = (struct setting){0};
    return code;
}

int tui_explore(const struct tui_options *o, struct error *e)
{
    struct setting s;
    int columns = 0, rows = 0, code = o->dump ? parse_size(o->dump, &columns, &rows, e) : tui_terminal_check(e);
    if (!code) {
        code = read_setting(o, &s, e);
        if (!code)
            code = o->dump ? dump(&s, columns, rows, e) : explore(&s, e);
        setting_free(&s);
    }
    return code;
}
