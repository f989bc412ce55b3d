#include "tui/bookmark.h"

#include <stdlib.h>
#include <string.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'"; /* the last: where one was before a jump */
enum { LETTERS = sizeof letters - 1 };

/* --- as lines ---------------------------------------------------------------------------------------------------- */

static void write_folds(const struct tui_screen *s, struct string *out)
{
    int any = 0;
    for (int i = 0; i < s->outline.known; i++)
        if (!s->outline.nodes[i].open)
            string_addf(out, any++ ? " %d" : "folded %d", i);
    if (any)
        string_add(out, "\n");
}

static void write_screen(const struct tui_screen *s, struct string *out)
{
    write_folds(s, out);
    if (s->outline.unfolded)
        string_add(out, "copies\n");
    for (int i = 0; i < LETTERS; i++) {
        const int mark = i < LETTERS - 1 ? s->marks[i] : s->mark_before;
        if (mark)
            string_addf(out, "mark %c %d\n", letters[i], mark - 1);
    }
    if (s->find.text && !strchr(s->find.text, '\n'))
        string_addf(out, "%s %s\n", s->find.filter ? "filter" : "find", s->find.text);
    if (s->past.on)
        string_addf(out, "moment %lld\n", (long long)s->tree.event_count);
    string_addf(out, s->follow ? "follow %d\n" : "selected %d\n", s->selected);
    string_addf(out, "top %d %d\n", s->top, s->scrolled);
    if (s->thought.node == s->selected && s->thought.token)
        string_addf(out, "token %d\n", s->thought.token);
    string_addf(out, "column %d\n", s->siblings.column);
    if (s->log.held)
        string_addf(out, "log %lld\n", (long long)s->log.at);
    string_addf(out, "drawn %d %d %d\n", s->drawn.zoom, s->drawn.x, s->drawn.y);
}

/* The order is that in which they are taken: folds and the filter before the moment, all of them before what is selected. */
void tui_bookmark_write(const struct tui_race *race, struct string *out)
{
    for (int i = 0; i < race->count; i++)
        if (race->screens[i].tree.count) {
            string_addf(out, "search %d\n", i);
            write_screen(&race->screens[i], out);
        }
    if (out->length)
        string_addf(out, "shown %d\nfocus %s %d\n", race->shown, tui_race_shown(race)->focus->name, tui_race_shown(race)->places.arrangement.zoom);
}

/* --- taken from them --------------------------------------------------------------------------------------------- */

static int is_there(const struct tui_screen *s, long long node)
{
    return node >= 0 && node < s->tree.count && !tui_screen_node(s, (int)node)->gone;
}

static void fold(struct tui_screen *s, const char *numbers)
{
    char *end;
    for (long long node; node = strtoll(numbers, &end, 10), end != numbers; numbers = end)
        if (is_there(s, node))
            tui_outline_set_open(&s->outline, (int)node, 0);
}

static void mark(struct tui_screen *s, const char *words)
{
    char letter;
    int node;
    if (sscanf(words, "%c %d", &letter, &node) != 2 || node < 0 || node >= s->tree.count)
        return;
    const char *at = letter ? strchr(letters, letter) : NULL;
    if (at && at - letters < LETTERS - 1)
        s->marks[at - letters] = 1 + node;
    else if (at)
        s->mark_before = 1 + node;
}

static void look_for(struct tui_screen *s, const char *text)
{
    if (!*text)
        return;
    tui_find_begin(s, text);
    s->find.running = 0; /* it has been gone to */
}

static void choose_token(struct tui_screen *s, int token)
{
    int count;
    tui_screen_tokens(s, s->selected, &count);
    if (token < 0 || token >= count)
        return;
    s->thought.node = s->selected;
    s->thought.token = token;
    s->thought.token_moved = 1;
}

static void read_numbers(struct tui_screen *s, const char *key, const char *words)
{
    long long n[3] = {0};
    const int count = sscanf(words, "%lld %lld %lld", &n[0], &n[1], &n[2]);
    const int most = 1 << 30, small = count > 0 && n[0] >= 0 && n[0] < most;
    if (!small)
        return;
    if (!strcmp(key, "moment") && n[0] && n[0] < s->tree.event_count)
        tui_past_go(s, n[0]);
    else if ((!strcmp(key, "selected") || !strcmp(key, "follow")) && is_there(s, n[0])) {
        tui_screen_select(s, (int)n[0]);
        s->follow = *key == 'f';
    } else if (!strcmp(key, "top") && count == 2) {
        s->top = (int)n[0];
        s->scrolled = n[1] == 1;
    } else if (!strcmp(key, "token"))
        choose_token(s, (int)n[0]);
    else if (!strcmp(key, "column") && n[0] <= TUI_SIBLING_COLUMNS)
        s->siblings.column = (int)n[0];
    else if (!strcmp(key, "log") && n[0] < s->tree.event_count) {
        s->log.at = n[0];
        s->log.held = 1;
    } else if (!strcmp(key, "drawn") && count == 3 && n[0] <= 2 && llabs(n[1]) < most && llabs(n[2]) < most) {
        s->drawn.zoom = (int)n[0];
        s->drawn.x = (int)n[1];
        s->drawn.y = (int)n[2];
    }
}

static void read_line(struct tui_screen *s, const char *key, const char *words)
{
    if (!strcmp(key, "folded"))
        fold(s, words);
    else if (!strcmp(key, "copies") && !s->outline.unfolded)
        tui_outline_unfold(&s->outline, 1);
    else if (!strcmp(key, "mark"))
        mark(s, words);
    else if (!strcmp(key, "filter"))
        tui_find_filter(s, words);
    else if (!strcmp(key, "find"))
        look_for(s, words);
    else
        read_numbers(s, key, words);
}

static void read_focus(struct tui_screen *s, const char *words)
{
    const size_t n = strcspn(words, " ");
    const struct tui_view *view = n ? tui_view_find(words, n) : NULL;
    const int pane = view ? tui_screen_pane(s, view) : -1;
    if (pane < 0 || pane >= s->places.arrangement.panes)
        return;
    s->focus = view;
    s->places.arrangement.zoom = !strcmp(words + n, " 1");
}

/* From the root: what is selected meanwhile would open what hides it. NULL: there is no tree. */
static struct tui_screen *begin(struct tui_screen *s)
{
    if (!s->tree.count)
        return NULL;
    tui_screen_select(s, 0);
    return s;
}

void tui_bookmark_read(struct tui_race *race, const char *text)
{
    char *copy = xstrdup(text), *rest = NULL;
    struct tui_screen *s = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        const size_t n = strcspn(line, " ");
        char *words = line + n + (line[n] == ' ');
        line[n] = '\0';
        const int number = atoi(words), known = number >= 0 && number < race->count;
        if (!strcmp(line, "search"))
            s = known ? begin(&race->screens[number]) : NULL;
        else if (!strcmp(line, "shown") && known)
            tui_race_show(race, number);
        else if (!strcmp(line, "focus"))
            read_focus(tui_race_shown(race), words);
        else if (s)
            read_line(s, line, words);
    }
    free(copy);
}
