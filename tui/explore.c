/* The explorer: the loop between the terminal, the screen and the engine thread; and the same screen dumped without any of them. */
#include "tui/screen.h"
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
        code = tui_searches_open(&s->searches, o, 0, e);
    return code;
}

static const char *token_text(const void *owner, int id, size_t *bytes)
{
    return owner ? engine_token_text(owner, id, bytes) : NULL;
}

static void open_screen(struct tui_screen *screen, const struct setting *s)
{
    const char *slash = strrchr(s->searches.model, '/');
    tui_screen_open(screen);
    screen->asked = s->searches.problem ? s->searches.problem : "";
    screen->model = slash ? slash + 1 : s->searches.model;
    screen->token_text = token_text;
    screen->canvas.ascii = s->ascii;
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
    struct search *search = NULL;
    struct tui_screen screen;
    enum search_status status = SEARCH_WORKING;
    open_screen(&screen, s);
    s->searches.options.sink = fold_event;
    s->searches.options.context = &screen;
    int code = tui_engine_open(s->options, 0, &engine, e);
    if (!code)
        code = search_open(&search, engine, &s->searches.options, e);
    while (!code && status != SEARCH_DONE)
        code = search_advance(search, &status, e);
    if (!code) {
        struct string text = {0};
        screen.token_owner = engine;
        screen.now.state = TUI_DONE;
        tui_screen_draw(&screen, columns, rows);
        tui_canvas_dump(&screen.canvas, &text);
        fputs(string_text(&text), stdout);
        string_free(&text);
    }
    tui_screen_free(&screen);
    search_close(search);
    engine_close(engine);
    return code;
}

/* --- with one ---------------------------------------------------------------------------------------------------- */

struct explorer {
    struct tui_screen screen;
    struct tui_thread *thread;
    int dirty;       /* the screen may look otherwise than it is shown */
    int quit, signal; /* signal: the one that ended it, 0: none */
};

static void take_news(struct explorer *x)
{
    struct search_event **events;
    struct tui_snapshot snapshot = {0};
    char notice[200];
    int count, fresh = tui_thread_take(x->thread, &events, &count, &snapshot, notice);
    for (int i = 0; i < count; i++) {
        tui_screen_event(&x->screen, events[i]);
        search_event_release(events[i]);
    }
    free(events);
    if (fresh) {
        x->screen.token_owner = snapshot.engine;
        tui_screen_snapshot(&x->screen, &snapshot);
    }
    if (*notice)
        tui_screen_notice(&x->screen, notice);
    x->dirty |= count || fresh || *notice;
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
        do_action(x, tui_screen_key(&x->screen, 'C' - TUI_KEY_CONTROL));
    else
        x->signal = number;
}

static void draw(struct explorer *x)
{
    int columns, rows;
    tui_terminal_size(&columns, &rows);
    tui_screen_draw(&x->screen, columns, rows);
    tui_terminal_draw(&x->screen.canvas);
    x->dirty = 0;
}

/* Keys are answered at once; news is drawn thirty times a second at most; where there is none of either, the thread sleeps. */
static void live(struct explorer *x)
{
    double drawn = 0;
    draw(x);
    while (!x->quit && !x->signal && !(x->screen.now.state == TUI_FAILED && !x->screen.tree.count)) {
        double wait = x->dirty ? drawn + frame_interval - clock_seconds() : -1;
        if (x->dirty && wait <= 0) {
            draw(x);
            drawn = clock_seconds();
            continue;
        }
        int happened = tui_terminal_wait(x->dirty ? -1 : tui_thread_wake(x->thread), wait), keys = 0;
        if (happened & TUI_WAIT_WAKE)
            take_news(x);
        take_signals(x);
        x->dirty |= happened & TUI_WAIT_SIGNAL;
        for (int32_t key; happened & TUI_WAIT_KEY && !x->quit && (key = tui_terminal_key()) != TUI_KEY_NONE; keys = 1)
            do_action(x, tui_screen_key(&x->screen, key));
        if (keys) {
            take_news(x);
            draw(x);
            drawn = clock_seconds();
        }
    }
}

static int explore(struct setting *s, struct error *e)
{
    static struct explorer x; /* its screen is large for a stack */
    memset(&x, 0, sizeof x);
    int code = tui_terminal_open(&s->theme, e);
    if (code)
        return code;
    open_screen(&x.screen, s);
    code = tui_thread_start(&x.thread, s->options, &s->searches.options, e);
    if (!code)
        live(&x);
    tui_terminal_close();
    if (!code && x.screen.now.state == TUI_FAILED) {
        *e = x.screen.now.failure;
        code = e->code;
    }
    if (x.signal) {
        signal(x.signal, SIG_DFL);
        raise(x.signal); /* whoever waits for us sees what ended us */
    }
    int ended = !x.thread || tui_thread_stop(x.thread);
    tui_screen_free(&x.screen);
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
