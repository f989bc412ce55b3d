/* All the views there are, and the list from which one is chosen for a pane. */
#include "tui/screen.h"

#include <string.h>

static const struct tui_view *const views[] = {
    &tui_view_tree, &tui_view_drawn, &tui_view_thought, &tui_view_judge, &tui_view_siblings, &tui_view_votes, &tui_view_path,
    &tui_view_time, &tui_view_compare, &tui_view_statistics, &tui_view_log, &tui_view_help,
};
enum { VIEWS = sizeof views / sizeof *views };

const struct tui_view *tui_view_at(int i)
{
    return i >= 0 && i < VIEWS ? views[i] : NULL;
}

const struct tui_view *tui_view_find(const char *name, size_t n)
{
    for (int i = 0; i < VIEWS && n; i++)
        if (!strncmp(views[i]->name, name, n))
            return views[i];
    return NULL;
}

/* --- the list ---------------------------------------------------------------------------------------------------- */

static void choose(struct tui_screen *s, const struct tui_view *view)
{
    s->overlay = NULL;
    tui_places_put(s, view);
}

static void draw_view(struct tui_screen *s, struct tui_rect r, int i)
{
    const struct tui_view *view = views[s->overlay_top + i];
    char letter[] = {view->letter, '\0'};
    int x = r.x + 1, y = r.y + i, end = r.x + r.w - 1, pane = tui_screen_pane(s, view);
    x += tui_canvas_text(&s->canvas, x, y, 2, tui_style(TUI_KEY), letter) + 1;
    tui_canvas_text(&s->canvas, x, y, 1, tui_style(TUI_FOCUS), view == s->focus ? "▸" : pane >= 0 && s->layout.panes[pane].w ? "·" : " ");
    x += 2;
    tui_canvas_text(&s->canvas, x, y, end - x, tui_style(TUI_TITLE), view->name);
    x += 12;
    tui_canvas_cut(&s->canvas, x, y, end - x, tui_style(TUI_TEXT), view->about);
    if (s->overlay_top + i == s->overlay_at)
        tui_canvas_ground(&s->canvas, r.x, y, r.w, TUI_SELECTION);
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    if (s->overlay_at < s->overlay_top)
        s->overlay_top = s->overlay_at;
    if (s->overlay_at >= s->overlay_top + r.h)
        s->overlay_top = s->overlay_at - r.h + 1;
    tui_canvas_fill(&s->canvas, r, tui_style(TUI_TEXT), ' ');
    tui_canvas_fill(&s->canvas, (struct tui_rect){r.x, r.y - 1, r.w, 1}, tui_style(TUI_BORDER), 0x2500);
    int x = r.x + 1 + tui_canvas_text(&s->canvas, r.x + 1, r.y - 1, r.w, tui_style(TUI_FOCUS), " views ");
    tui_canvas_cut(&s->canvas, x, r.y - 1, r.x + r.w - 1 - x, tui_style(TUI_DIM), "what should stand in this pane?  ▸ what does  · in another ");
    for (int i = 0; i < r.h && s->overlay_top + i < VIEWS; i++)
        draw_view(s, r, i);
}

static void move(struct tui_screen *s, int by)
{
    int to = s->overlay_at + by;
    s->overlay_at = to < 0 ? 0 : to >= VIEWS ? VIEWS - 1 : to;
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    int times = count ? count : 1;
    (void)action;
    switch (k) {
    case 'j':
    case TUI_KEY_DOWN:
        move(s, times);
        return 1;
    case 'k':
    case TUI_KEY_UP:
        move(s, -times);
        return 1;
    case TUI_KEY_ENTER:
        choose(s, views[s->overlay_at]);
        return 1;
    default:
        for (int i = 0; i < VIEWS; i++)
            if (views[i]->letter == k) {
                choose(s, views[i]);
                return 1;
            }
        return 0;
    }
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    (void)s;
    out[0] = (struct tui_hint){"enter", "or its letter: show it"};
    out[1] = (struct tui_hint){"j k", "move"};
    out[2] = (struct tui_hint){"esc", "close"};
    return 3;
}

static void click(struct tui_screen *s, int x, int y)
{
    (void)x;
    if (y >= 0 && s->overlay_top + y < VIEWS)
        choose(s, views[s->overlay_top + y]);
}

const struct tui_view tui_view_list = {.draw = draw, .key = key, .hints = hints, .click = click};

void tui_view_list_open(struct tui_screen *s)
{
    s->overlay = &tui_view_list;
    s->overlay_top = s->overlay_at = 0;
    for (int i = 0; i < VIEWS; i++)
        if (views[i] == s->focus)
            s->overlay_at = i;
}
