/* The line at the bottom in which the user writes: a thought, or a command in words. */
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

static const char *const verbs[] = {
    "prune", "undo", "redo", "back", "keep", "unkeep", "add", "edit", "again", "fork", "exclude", "include", "weight", "set", "adapter", "at",
    "view", "split", "close", "zoom", "mouse", "q",
};
enum { VERBS = sizeof verbs / sizeof *verbs };

void tui_ask_open(struct tui_screen *s, enum tui_asking what, int node, const char *text)
{
    struct tui_ask *a = &s->ask;
    a->what = what;
    a->node = node;
    a->history_at = a->history_count;
    tui_line_set(&a->line, text);
}

void tui_ask_free(struct tui_ask *a)
{
    for (int i = 0; i < a->history_count; i++)
        free(a->history[i]);
    free(a->own);
    tui_line_free(&a->line);
    *a = (struct tui_ask){0};
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static void remember(struct tui_ask *a, const char *text)
{
    if (!*text || (a->history_count && !strcmp(a->history[a->history_count - 1], text)))
        return;
    if (a->history_count == TUI_HISTORY) {
        free(a->history[0]);
        memmove(a->history, a->history + 1, (TUI_HISTORY - 1) * sizeof *a->history);
        a->history_count--;
    }
    a->history[a->history_count++] = xstrdup(text);
}

/* What one has written oneself is there again after the latest. */
static void go_history(struct tui_ask *a, int by)
{
    int to = a->history_at + by;
    if (a->what != TUI_ASKS_COMMAND || to < 0 || to > a->history_count)
        return;
    if (a->history_at == a->history_count) {
        free(a->own);
        a->own = xstrdup(string_text(&a->line.text));
    }
    a->history_at = to;
    tui_line_set(&a->line, to < a->history_count ? a->history[to] : a->own);
}

static int begins(const char *verb, const char *text, size_t n)
{
    return !strncmp(verb, text, n);
}

/* As much of the verb as all that begin so have in common; when that is nothing more, those there are. */
static void complete(struct tui_screen *s)
{
    struct tui_ask *a = &s->ask;
    const char *text = string_text(&a->line.text), *first = NULL;
    size_t n = strlen(text), common = 0;
    int count = 0;
    struct string all = {0};
    if (a->what != TUI_ASKS_COMMAND || strchr(text, ' '))
        return;
    for (int i = 0; i < VERBS; i++) {
        if (!begins(verbs[i], text, n))
            continue;
        if (!first)
            common = strlen(first = verbs[i]);
        while (!begins(verbs[i], first, common))
            common--;
        string_addf(&all, "%s%s", count++ ? "  " : "", verbs[i]);
    }
    if (count && (count == 1 || common > n)) {
        char *more = xasprintf("%.*s%s", (int)common, first, count == 1 ? " " : "");
        tui_line_set(&a->line, more);
        free(more);
    } else {
        tui_screen_notice(s, count ? all.text : "no command begins so");
    }
    string_free(&all);
}

static void go_at(struct tui_screen *s, const char *rest)
{
    char *end, message[120];
    long long event = strtoll(rest, &end, 10);
    if (end == rest || end[strspn(end, " ")] || event < 0 || event >= tui_past_count(s)) {
        snprintf(message, sizeof message, "at %.40s: expected the number of an event, 0 to %lld", rest, (long long)tui_past_count(s) - 1);
        tui_screen_notice(s, message);
        return;
    }
    tui_past_go(s, event + 1);
}

static struct tui_action do_command(struct tui_screen *s, const char *text)
{
    text += strspn(text, " ");
    size_t n = strcspn(text, " ");
    const char *rest = text + n + strspn(text + n, " ");
    if (n == 1 && *text == 'q')
        return (struct tui_action){.act = TUI_ACT_QUIT};
    if (n == 2 && begins("at", text, n))
        go_at(s, rest);
    else if (tui_places_command(s, text))
        ;
    else if (n && s->past.on)
        tui_screen_notice(s, "this is the past: } to now, or B to go on from here");
    else if (n && !s->tree.count)
        tui_screen_notice(s, "the search has not begun yet");
    else if (n)
        return tui_act(s, "%s", text);
    return (struct tui_action){0};
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static struct tui_action accept(struct tui_screen *s)
{
    struct tui_ask *a = &s->ask;
    enum tui_asking what = a->what;
    const char *text = string_text(&a->line.text);
    a->what = TUI_ASKS_NOTHING;
    if (what == TUI_ASKS_FIND || what == TUI_ASKS_FILTER) {
        (what == TUI_ASKS_FIND ? tui_find_begin : tui_find_filter)(s, text);
        return (struct tui_action){0};
    }
    if (what == TUI_ASKS_COMMAND) {
        remember(a, text);
        return do_command(s, text);
    }
    if (!text[strspn(text, " \n")]) {
        tui_screen_notice(s, "nothing was written, nothing is changed");
        return (struct tui_action){0};
    }
    if (what == TUI_ASKS_EDIT && !strcmp(text, search_node_text(&s->tree, a->node))) {
        tui_screen_notice(s, "it reads as before, nothing is changed");
        return (struct tui_action){0};
    }
    return tui_act(s, "%s %d %s", what == TUI_ASKS_EDIT ? "edit" : "add", a->node, text);
}

int tui_ask_key(struct tui_screen *s, int32_t key, struct tui_action *action)
{
    struct tui_ask *a = &s->ask;
    switch (key) {
    case TUI_KEY_ENTER:
        *action = accept(s);
        return 1;
    case TUI_KEY_ESCAPE:
    case 'C' - TUI_KEY_CONTROL:
        a->what = TUI_ASKS_NOTHING;
        s->interrupted = 0;
        return 1;
    case TUI_KEY_UP:
    case TUI_KEY_DOWN:
        go_history(a, key == TUI_KEY_UP ? -1 : 1);
        return 1;
    case TUI_KEY_TAB:
        complete(s);
        return 1;
    case 'Z' - TUI_KEY_CONTROL:
    case 'L' - TUI_KEY_CONTROL:
        return 0;
    case TUI_KEY_BACKSPACE:
    case 'H' - TUI_KEY_CONTROL:
    case 0x7f:
        if (a->what >= TUI_ASKS_COMMAND && !a->line.text.length) /* the colon itself */
            a->what = TUI_ASKS_NOTHING;
        break;
    default:
        break;
    }
    if (a->what)
        tui_line_key(&a->line, key);
    return 1;
}

/* A word about what has to be known while writing stands in its place at the right, until the next key. */
void tui_ask_draw(struct tui_screen *s)
{
    struct tui_rect r = s->layout.keys;
    char label[40] = ":";
    if (s->ask.what == TUI_ASKS_FIND || s->ask.what == TUI_ASKS_FILTER)
        snprintf(label, sizeof label, s->ask.what == TUI_ASKS_FIND ? "/" : "only thoughts with ");
    else if (s->ask.what != TUI_ASKS_COMMAND)
        snprintf(label, sizeof label, s->ask.what == TUI_ASKS_EDIT ? "edit %d " : "below %d ", s->ask.node);
    int x = r.x + 1, end = r.x + r.w - 1;
    x += tui_canvas_text(&s->canvas, x, r.y, end - x, tui_style(TUI_KEY), label);
    if (s->notice[0]) {
        int w = tui_width(s->notice, strlen(s->notice)), most = (end - x) * 3 / 4;
        w = w > most ? most : w;
        tui_canvas_cut(&s->canvas, end - w, r.y, w, tui_style(TUI_KEPT), s->notice);
        end -= w + 2;
    }
    tui_line_draw(&s->ask.line, &s->canvas, x, r.y, end - x);
}
