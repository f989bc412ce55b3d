/* The line at the bottom in which the user writes: a thought, or a command in words. */
#include "tui/config.h"
#include "tui/export.h"
#include "tui/words.h"

#include <stdlib.h>
#include <string.h>

void tui_ask_open(struct tui_screen *s, enum tui_asking what, int node, const char *text)
{
    struct tui_ask *a = &s->ask;
    a->what = what;
    a->node = node;
    a->history_at = a->history.count;
    tui_line_set(&a->line, text);
    tui_line_tell(&a->line, s->notice, sizeof s->notice);
}

void tui_ask_free(struct tui_ask *a)
{
    tui_history_free(&a->history);
    free(a->own);
    tui_line_free(&a->line);
    *a = (struct tui_ask){0};
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

/* What one has written oneself is there again after the latest. */
static void go_history(struct tui_ask *a, int by)
{
    int to = a->history_at + by;
    if (a->what != TUI_ASKS_COMMAND || to < 0 || to > a->history.count)
        return;
    if (a->history_at == a->history.count) {
        free(a->own);
        a->own = xstrdup(string_text(&a->line.text));
    }
    a->history_at = to;
    tui_line_set(&a->line, to < a->history.count ? a->history.lines[to] : a->own);
}

/* As much of the last word as all that may stand there have in common; when that is nothing more, those there are, or what is expected. */
static void complete(struct tui_screen *s)
{
    struct tui_ask *a = &s->ask;
    struct tui_candidates c;
    const char *text = string_text(&a->line.text);
    if (a->what != TUI_ASKS_COMMAND)
        return;
    tui_words_complete(s, text, &c);
    const size_t common = tui_candidates_common(&c), n = strlen(c.prefix);
    if (c.count && (c.count == 1 || common > n)) {
        const char last = common ? c.list[0][common - 1] : ' ';
        char *more = xasprintf("%.*s%.*s%s", (int)(c.prefix - text), text, (int)common, c.list[0], c.count == 1 && !strchr("/=<>", last) ? " " : "");
        tui_line_set(&a->line, more);
        free(more);
    } else {
        struct string all = {0};
        for (int i = 0; i < c.count; i++)
            string_addf(&all, "%s%s", i ? "  " : "", c.list[i]);
        const struct tui_word *word = tui_word_find(text, strcspn(text, " "));
        if (!c.count && word)
            string_addf(&all, "%s %s", word->verb, word->takes);
        tui_screen_notice(s, all.length ? all.text : "no command begins so");
        string_free(&all);
    }
    tui_candidates_free(&c);
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

/* "12" or "'a". */
static void go(struct tui_screen *s, const char *rest)
{
    char *end, message[120];
    const long node = strtol(rest, &end, 10);
    if (rest[0] == '\'' && rest[1] && !rest[2])
        tui_marks_take(s, '\'', rest[1]);
    else if (end == rest || *end)
        tui_screen_notice(s, "go THOUGHT: expected the number of a thought, as in 12, or a mark, as in 'a");
    else if (node < 0 || node >= s->tree.count || tui_screen_node(s, (int)node)->gone) {
        snprintf(message, sizeof message, "there is no thought %ld in the tree; there are 0 to %d", node, s->tree.count - 1);
        tui_screen_notice(s, message);
    } else
        tui_marks_jump(s, (int)node);
}

/* A recording takes longer than a key may: it is made between keys. */
static void export(struct tui_screen *s, const char *path, struct tui_action *action)
{
    const char *ending = strrchr(path, '.');
    if (ending && !strcmp(ending, ".cast")) {
        *action = tui_act(s, "%s", path);
        action->act = TUI_ACT_CAST;
        return;
    }
    struct error e;
    char message[sizeof s->notice];
    snprintf(message, sizeof message, "%.120s has the tree as it is shown", path);
    tui_screen_notice(s, tui_export_file(&s->tree, s->now.engine, path, &e) ? e.message : message);
}

/* What looks at the tree, or takes it elsewhere; 0: it is none of these. */
static int do_looking(struct tui_screen *s, const char *verb, const char *rest, struct tui_action *action)
{
    if (strcmp(verb, "find") && strcmp(verb, "filter") && strcmp(verb, "mark") && strcmp(verb, "go") && strcmp(verb, "export"))
        return 0;
    if (!s->tree.count)
        tui_screen_notice(s, tui_not_begun);
    else if (!strcmp(verb, "find"))
        tui_find_begin(s, rest);
    else if (!strcmp(verb, "filter"))
        tui_find_filter(s, rest);
    else if (!strcmp(verb, "mark"))
        tui_marks_take(s, 'm', rest[0] && !rest[1] ? rest[0] : 0);
    else if (!strcmp(verb, "go"))
        go(s, rest);
    else
        export(s, rest, action);
    return 1;
}

static void tell_unknown(struct tui_screen *s, const char *verb, size_t n)
{
    const struct tui_word *nearest = tui_word_nearest(verb, n);
    char text[sizeof s->notice];
    if (nearest)
        snprintf(text, sizeof text, "no command '%.*s'; the nearest is %s %s: %s", n > 40 ? 40 : (int)n, verb, nearest->verb, nearest->takes, nearest->does);
    else
        snprintf(text, sizeof text, "no command '%.*s'; :help shows those there are", n > 40 ? 40 : (int)n, verb);
    tui_screen_notice(s, text);
}

static void tell_takes_nothing(struct tui_screen *s, const struct tui_word *word, const char *rest)
{
    char text[sizeof s->notice];
    snprintf(text, sizeof text, "%s takes nothing after it, and there is '%.40s'", word->verb, rest);
    tui_screen_notice(s, text);
}

/* Everything, from the commands on; or one of them. */
static void help(struct tui_screen *s, const char *rest)
{
    const struct tui_word *word = tui_word_find(rest, strcspn(rest, " "));
    char text[sizeof s->notice];
    if (word) {
        snprintf(text, sizeof text, "%s%s%s: %s%s%s", word->verb, *word->takes ? " " : "", word->takes, word->does, *word->key ? "; key " : "", word->key);
        tui_screen_notice(s, text);
        return;
    }
    if (*rest)
        tui_screen_notice(s, "no such command: these are all");
    s->overlay = &tui_view_help;
    s->overlay_top = TUI_HELP_WORDS;
}

void tui_breakpoints_tell(struct tui_screen *s)
{
    char text[sizeof s->notice];
    snprintf(text, sizeof text, s->now.breakpoints ? "it stops at: %s" : "it stops nowhere by itself: tab shows where it could",
             s->now.breakpoints ? s->now.breakpoints : "");
    tui_screen_notice(s, text);
}

static void breakpoint(struct tui_screen *s, const struct tui_word *word, const char *rest, struct tui_action *action)
{
    if (!*rest) {
        tui_breakpoints_tell(s);
        return;
    }
    *action = tui_act(s, "%s %s", word->verb, rest);
}

/* Commands that ask nothing of the search's tree; 0: it is none. */
static int do_own(struct tui_screen *s, const struct tui_word *word, const char *rest, struct tui_action *action)
{
    const char *const verb = word->verb;
    if (!strcmp(verb, "q"))
        action->act = TUI_ACT_QUIT;
    else if (!strcmp(verb, "at"))
        go_at(s, rest);
    else if (!strcmp(verb, "now"))
        tui_past_go(s, tui_past_count(s));
    else if (!strcmp(verb, "break") || !strcmp(verb, "unbreak"))
        breakpoint(s, word, rest, action);
    else if (!strcmp(verb, "pause"))
        action->act = TUI_ACT_PAUSE;
    else if (!strcmp(verb, "follow"))
        *action = tui_screen_key(s, '.');
    else if (!strcmp(verb, "copies"))
        tui_screen_copies(s);
    else if (!strcmp(verb, "why"))
        tui_why_open(s);
    else if (!strcmp(verb, "help"))
        help(s, rest);
    else if (!strcmp(verb, "theme") && *rest) {
        *action = tui_act(s, "%s", rest);
        action->act = TUI_ACT_THEME;
    } else if (!strcmp(verb, "train")) {
        *action = tui_act(s, "%s", rest);
        action->act = TUI_ACT_TRAIN;
    } else if (!strcmp(verb, "copy")) {
        *action = tui_act(s, "%s", rest);
        action->act = TUI_ACT_COPY;
    } else if (!strcmp(verb, "theme"))
        tui_screen_notice(s, "theme NAME: tab shows those there are; or the path of a YAML file");
    else
        return do_looking(s, verb, rest, action) || tui_places_command(s, verb, rest);
    return 1;
}

static struct tui_action step(struct tui_screen *s, const char *rest)
{
    char *end;
    const long steps = *rest ? strtol(rest, &end, 10) : 1;
    if (*rest && (end == rest || *end || steps < 1 || steps > 1000000)) {
        tui_screen_notice(s, "step N: expected how many, as in 5");
        return (struct tui_action){0};
    }
    return (struct tui_action){.act = TUI_ACT_STEP, .number = (int)steps};
}

struct tui_action tui_command(struct tui_screen *s, const char *text)
{
    struct tui_action action = {0};
    const char *verb = text + strspn(text, " ");
    const size_t n = strcspn(verb, " ");
    const struct tui_word *word = tui_word_find(verb, n);
    const int is_path = word && (word->kind == TUI_TAKES_FILE || word->kind == TUI_TAKES_FILE_NAME || word->kind == TUI_TAKES_THEME);
    text = verb + n + strspn(verb + n, " ");
    char *rest = is_path ? tui_home_path(text) : xstrdup(text);
    for (size_t end = strlen(rest); end && rest[end - 1] == ' ' && (!word || word->kind != TUI_TAKES_NODE_TEXT);) /* of a thought they may be part */
        rest[--end] = '\0';
    if (n && strspn(verb, "0123456789") == n)
        do_looking(s, "go", verb, &action);
    else if (n && !word)
        tell_unknown(s, verb, n);
    else if (n && *rest && !*word->takes)
        tell_takes_nothing(s, word, rest);
    else if (n && !do_own(s, word, rest, &action)) {
        if (s->past.on)
            tui_screen_notice(s, tui_past_refusal);
        else if (!strcmp(word->verb, "run"))
            action.act = TUI_ACT_RUN;
        else if (!strcmp(word->verb, "finish"))
            action.act = TUI_ACT_FINISH;
        else if (!strcmp(word->verb, "step"))
            action = step(s, rest);
        else if (!s->tree.count)
            tui_screen_notice(s, tui_not_begun);
        else
            action = tui_act(s, *rest ? "%s %s" : "%s", word->verb, rest);
    }
    free(rest);
    return action;
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
        tui_history_add(&a->history, text);
        return tui_command(s, text);
    }
    const char *why = tui_act_why_not(s, what, a->node);
    if (why) {
        tui_screen_notice(s, why);
        return (struct tui_action){0};
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
    if (a->what) {
        tui_line_key(&a->line, key);
        tui_line_tell(&a->line, s->notice, sizeof s->notice);
    }
    return 1;
}

/* A word about what has to be known while writing stands in its place at the right, above the line where there is no room for it, until the next
 * key; why it is in vain, as long as it is. */
void tui_ask_draw(struct tui_screen *s)
{
    struct tui_rect r = s->layout.keys;
    const int thought = s->ask.what == TUI_ASKS_EDIT || s->ask.what == TUI_ASKS_ADD;
    const char *why = thought ? tui_act_why_not(s, s->ask.what, s->ask.node) : NULL, *aside = why ? why : s->notice;
    char label[40] = ":";
    if (s->ask.what == TUI_ASKS_FIND || s->ask.what == TUI_ASKS_FILTER)
        snprintf(label, sizeof label, s->ask.what == TUI_ASKS_FIND ? "/" : "only thoughts with ");
    else if (s->ask.what != TUI_ASKS_COMMAND)
        snprintf(label, sizeof label, s->ask.what == TUI_ASKS_EDIT ? "edit %d " : "below %d ", s->ask.node);
    int x = r.x + 1, end = r.x + r.w - 1;
    x += tui_canvas_text(&s->canvas, x, r.y, end - x, tui_style(TUI_KEY), label);
    if (*aside) {
        const int text = tui_width(string_text(&s->ask.line.text), s->ask.line.text.length) + 5, least = (end - x) / 4;
        int w = tui_width(aside, strlen(aside)), most = end - x - (text < end - x - least ? text : end - x - least);
        s->notice_long = aside == s->notice && (w > most || strchr(aside, '\n')); /* then it stands over the panes */
        w = s->notice_long ? 0 : w > most ? most : w;
        tui_canvas_cut(&s->canvas, end - w, r.y, w, tui_style(TUI_KEPT), aside);
        end -= w ? w + 2 : 0;
    }
    tui_line_draw(&s->ask.line, &s->canvas, x, r.y, end - x);
}
