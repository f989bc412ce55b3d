/* Which view stands in which pane, and what the keys do to the panes; and the lines of a file that remember it. */
#include "tui/screen.h"

#include <stdlib.h>
#include <string.h>

static const struct tui_view *const standard[TUI_PANES] = {&tui_view_tree, &tui_view_thought, &tui_view_judge, &tui_view_siblings};
enum { STANDARD_SPLIT = 580, ROOM_FOR_THREE = 36, ROOM_FOR_TWO = 26, AROUND = 8 }; /* rows; around: those that are no pane's */

void tui_places_open(struct tui_places *p)
{
    *p = (struct tui_places){.arrangement = {.panes = 2, .split = STANDARD_SPLIT}, .mouse = 1};
    memcpy(p->views, standard, sizeof standard);
}

int tui_screen_pane(const struct tui_screen *s, const struct tui_view *view)
{
    for (int i = 0; i < TUI_PANES; i++)
        if (s->places.views[i] == view)
            return i;
    return -1;
}

int tui_screen_shows(const struct tui_screen *s, const struct tui_view *view)
{
    int pane = tui_screen_pane(s, view);
    return pane >= 0 && s->layout.panes[pane].w;
}

/* Where answers are counted there is no judge, but there are votes. */
static void put_votes(struct tui_screen *s)
{
    const struct tui_view **at = &s->places.views[2], *now = *at;
    *at = tui_screen_strategy_is(s, "self-consistency") ? &tui_view_votes : &tui_view_judge;
    if (s->focus == now)
        s->focus = *at;
}

void tui_places_arrange(struct tui_screen *s, int columns, int rows)
{
    struct tui_arrangement *a = &s->places.arrangement;
    int room = rows - AROUND - s->race_count;
    if (!s->places.chosen) {
        a->panes = columns < TUI_WIDE_COLUMNS || room < ROOM_FOR_TWO ? 2 : room < ROOM_FOR_THREE ? 3 : 4;
        put_votes(s);
    }
    a->focus = tui_screen_pane(s, s->focus);
    if (a->focus < 0) {
        a->focus = 0;
        s->focus = s->places.views[0];
    }
    if (a->focus >= a->panes)
        a->panes = a->focus + 1;
}

static void swap(struct tui_places *p, int a, int b)
{
    const struct tui_view *view = p->views[a];
    p->views[a] = p->views[b];
    p->views[b] = view;
}

void tui_places_put(struct tui_screen *s, const struct tui_view *view)
{
    int here = tui_screen_pane(s, s->focus), there = tui_screen_pane(s, view);
    if (there >= 0)
        swap(&s->places, here, there);
    else
        s->places.views[here] = view;
    s->focus = view;
    s->places.chosen = 1;
}

void tui_screen_focus(struct tui_screen *s, const struct tui_view *view)
{
    int pane = tui_screen_pane(s, view);
    if (pane < 0 || pane >= s->places.arrangement.panes) { /* what it drives out of its place can be had again */
        s->focus = s->places.views[1];
        tui_places_put(s, view);
    }
    s->focus = view;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

/* A view that stands in none of the first `count` panes. */
static const struct tui_view *other_view(const struct tui_places *p, int count)
{
    const struct tui_view *view;
    for (int i = 0; (view = tui_view_at(i)); i++) {
        int there = 0;
        for (int k = 0; k < count; k++)
            there |= p->views[k] == view;
        if (!there)
            return view;
    }
    return NULL;
}

static void split(struct tui_screen *s)
{
    struct tui_arrangement *a = &s->places.arrangement;
    int rows = s->layout.middle - s->layout.top - 1;
    if (a->panes == TUI_PANES || !other_view(&s->places, a->panes))
        tui_screen_notice(s, "there are three panes at the right already: X closes one, V shows another view in it");
    else if (!s->layout.wide)
        tui_screen_notice(s, "here is room for one pane: tab shows the other, V another view");
    else if ((rows + 1) / (TUI_LEAST_HEIGHT + 1) < a->panes)
        tui_screen_notice(s, "there are too few rows for another pane");
    else {
        int last = a->panes++;
        const struct tui_view *view = s->places.views[last];
        for (int i = 0; i < last; i++)
            view = view == s->places.views[i] ? NULL : view;
        s->places.views[last] = view ? view : other_view(&s->places, last);
        s->focus = s->places.views[last];
        a->zoom = 0;
        s->places.chosen = 1;
        tui_screen_notice(s, "V chooses what it shows, - and + how high it is");
    }
}

static void close_pane(struct tui_screen *s)
{
    struct tui_arrangement *a = &s->places.arrangement;
    int at = tui_screen_pane(s, s->focus);
    if (!at || a->panes == 2) {
        tui_screen_notice(s, at ? "the last pane at the right stays; z shows one pane alone" : "the left pane stays; V shows another view in it, z one alone");
        return;
    }
    for (int i = at; i + 1 < a->panes; i++) {
        swap(&s->places, i, i + 1);
        a->share[i] = a->share[i + 1];
    }
    a->panes--;
    s->focus = s->places.views[at < a->panes ? at : a->panes - 1];
    s->places.chosen = 1;
}

static void turn(struct tui_screen *s, int by)
{
    int panes = s->places.arrangement.panes, at = tui_screen_pane(s, s->focus);
    s->focus = s->places.views[(at + by + panes) % panes];
}

/* The line below the pane, or where it is the last, the one above. */
static void grow(struct tui_screen *s, int rows)
{
    const struct tui_layout *l = &s->layout;
    int at = tui_screen_pane(s, s->focus), below = at + 1 < TUI_PANES && at > 0 && l->panes[at + 1].w;
    int line = below ? at + 1 : at;
    if (line < 2 || !l->panes[line - 1].w) {
        tui_screen_notice(s, "no pane stands above or below this one: S splits the right side, < and > move the line between left and right");
        return;
    }
    tui_layout_move(&s->places.arrangement, l, line, 0, l->panes[line].y - 1 + (below ? rows : -rows));
    s->places.chosen = 1;
}

static void zoom(struct tui_screen *s)
{
    s->places.arrangement.zoom = !s->places.arrangement.zoom;
    if (!s->layout.wide)
        tui_screen_notice(s, "one pane has the whole screen already: tab shows the other");
}

int tui_places_key(struct tui_screen *s, int32_t key, int count)
{
    int times = count ? count : 1;
    switch (key) {
    case TUI_KEY_TAB:
    case TUI_KEY_BACK_TAB:
        turn(s, key == TUI_KEY_TAB ? 1 : -1);
        return 1;
    case 'V':
        tui_view_list_open(s);
        return 1;
    case 'S':
        split(s);
        return 1;
    case 'X':
        close_pane(s);
        return 1;
    case 'z':
        zoom(s);
        return 1;
    case '<':
    case '>':
        tui_layout_move(&s->places.arrangement, &s->layout, 0, s->layout.split + (key == '>' ? 2 : -2) * times, 0);
        return 1;
    case '-':
    case '+':
    case '=':
        grow(s, key == '-' ? -times : times);
        return 1;
    default:
        return 0;
    }
}

/* --- in words ---------------------------------------------------------------------------------------------------- */

static void name_views(struct tui_screen *s, const char *word)
{
    struct string all = {0};
    const struct tui_view *view;
    string_addf(&all, *word ? "no view '%.20s'; there are" : "view%s: which? there are", word);
    for (int i = 0; (view = tui_view_at(i)); i++)
        string_addf(&all, " %s", view->name);
    tui_screen_notice(s, all.text);
    string_free(&all);
}

int tui_places_command(struct tui_screen *s, const char *verb, const char *rest)
{
    static const struct { const char *verb; int32_t key; } keys[] = {{"split", 'S'}, {"close", 'X'}, {"zoom", 'z'}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(verb, keys[i].verb))
            return tui_places_key(s, keys[i].key, 0);
    if (!strcmp(verb, "view")) {
        const struct tui_view *view = tui_view_find(rest, strlen(rest));
        if (view)
            tui_places_put(s, view);
        else
            name_views(s, rest);
        return 1;
    }
    if (!strcmp(verb, "mouse")) {
        int on = !strcmp(rest, "on"), off = !strcmp(rest, "off");
        if (on || off)
            s->places.mouse = on;
        else
            tui_screen_notice(s, s->places.mouse ? "the mouse is on: mouse off leaves it to the terminal" : "the mouse is off: mouse on takes it");
        return 1;
    }
    return 0;
}

/* --- as lines of a file ------------------------------------------------------------------------------------------ */

static void read_views(struct tui_places *p, const char *words)
{
    int count = 0;
    while (*(words += strspn(words, " ")) && count < TUI_PANES) {
        size_t n = strcspn(words, " ");
        const struct tui_view *view = tui_view_find(words, n);
        for (int i = 0; i < count && view; i++)
            view = p->views[i] == view ? NULL : view;
        if (view)
            p->views[count++] = view;
        words += n;
    }
    for (int i = count; i < TUI_PANES; i++)
        p->views[i] = other_view(p, i);
    p->arrangement.panes = count < 2 ? 2 : count;
    p->chosen = 1;
}

static void read_line(struct tui_places *p, char *line)
{
    struct tui_arrangement *a = &p->arrangement;
    int split, share[TUI_PANES] = {0};
    if (!strncmp(line, "panes ", 6))
        read_views(p, line + 6);
    else if (sscanf(line, "split %d", &split) == 1 && split > 0 && split < 1000)
        a->split = split;
    else if (sscanf(line, "share %d %d %d", &share[1], &share[2], &share[3]) == 3)
        for (int i = 1; i < TUI_PANES; i++)
            a->share[i] = share[i] < 0 ? 0 : share[i] > 1000 ? 1000 : share[i];
    else if (!strcmp(line, "mouse off"))
        p->mouse = 0;
}

void tui_places_read(struct tui_places *p, const char *text)
{
    char *copy = xstrdup(text), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        read_line(p, line);
    free(copy);
}

void tui_places_restore(struct tui_screen *s, const char *text)
{
    struct tui_places *p = &s->places;
    tui_places_read(p, text);
    if (s->race_count < 2 && p->views[0] == &tui_view_compare) { /* there is nothing to compare, and a tree to see */
        const int tree = tui_screen_pane(s, &tui_view_tree);
        if (tree > 0)
            p->views[tree] = p->views[0];
        p->views[0] = &tui_view_tree;
    }
    const int tree = tui_screen_pane(s, &tui_view_tree);
    s->focus = tree >= 0 && tree < p->arrangement.panes ? &tui_view_tree : p->views[0];
}

void tui_places_write(const struct tui_places *p, struct string *out)
{
    const struct tui_arrangement *a = &p->arrangement;
    string_add(out, "# Where the explorer was left: it writes this file when it ends, and may be without it.\n");
    if (p->chosen) {
        string_add(out, "panes");
        for (int i = 0; i < a->panes; i++)
            string_addf(out, " %s", p->views[i]->name);
        string_addf(out, "\nshare %d %d %d\n", a->share[1], a->share[2], a->share[3]);
    }
    string_addf(out, "split %d\nmouse %s\n", a->split, p->mouse ? "on" : "off");
}
