/* The time line: a mark for each plan, decision and act, and a cursor at the moment that is shown. */
#include "tui/screen.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *sign_of(const struct search_tree *tree, int64_t event, enum tui_role *role)
{
    const struct search_event *e = tree->events[event];
    if (tree->out[event]) {
        *role = TUI_PRUNED;
        return "×";
    }
    switch (e->kind) {
    case SEARCH_EVENT_PLAN:
        *role = TUI_TEXT;
        return "○";
    case SEARCH_EVENT_DECISION:
        *role = TUI_KEPT;
        return "●";
    case SEARCH_EVENT_RESULT:
        *role = TUI_BEST;
        return "■";
    default:
        *role = TUI_FOCUS;
        return "▲";
    }
}

/* The latest mark that has happened in what is shown: its index; -1: none. */
static int cursor_of(const struct tui_screen *s)
{
    return tui_past_moment(s, s->tree.event_count) - 1;
}

static void draw_marks(struct tui_screen *s, struct tui_rect r, int y, int cursor)
{
    const struct search_tree *tree = tui_past_latest(s);
    int columns = r.w - 2, margin = columns / 4;
    if (cursor - margin < s->time.from)
        s->time.from = cursor - margin;
    if (cursor + margin >= s->time.from + columns)
        s->time.from = cursor + margin - columns + 1;
    if (s->time.from > s->moment_count - columns)
        s->time.from = s->moment_count - columns;
    if (s->time.from < 0)
        s->time.from = 0;
    for (int i = 0; i < columns && s->time.from + i < s->moment_count; i++) {
        enum tui_role role;
        int at = s->time.from + i;
        const char *sign = sign_of(tree, s->moments[at], &role);
        struct tui_style style = tui_style(at > cursor ? TUI_DIM : role);
        if (at == cursor) {
            style.ground = TUI_CURSOR;
            if (y > r.y)
                tui_canvas_text(&s->canvas, r.x + 1 + i, y - 1, 1, tui_style(TUI_FOCUS), "▼");
        }
        tui_canvas_text(&s->canvas, r.x + 1 + i, y, 1, style, sign);
    }
    if (s->time.from > 0)
        tui_canvas_text(&s->canvas, r.x, y, 1, tui_style(TUI_DIM), "…");
    if (s->time.from + columns < s->moment_count)
        tui_canvas_text(&s->canvas, r.x + r.w - 1, y, 1, tui_style(TUI_DIM), "…");
}

/* What happened there, and what comes next. */
static void draw_moment(struct tui_screen *s, struct tui_rect r, int cursor)
{
    const struct search_tree *tree = tui_past_latest(s);
    struct tui_canvas canvas = {0};
    struct tui_paper p;
    char a[32], b[32];
    tui_paper_open(&p, &canvas, r.w - 2, s->canvas.ascii);
    const struct search_event *e = tree->events[s->moments[cursor]];
    char *text = tui_event_text(tree, e), *next = s->past.on ? tui_past_next(s) : NULL;
    tui_paper_putf(&p, tui_style(TUI_DIM), "%s %s of %s", tui_event_name(e), tui_number(cursor + 1, a), tui_number(s->moment_count, b));
    if (tree->out[s->moments[cursor]])
        tui_paper_put(&p, tui_style(TUI_PRUNED), ", taken back since");
    tui_paper_newline(&p);
    tui_paper_wrap(&p, tui_style(TUI_TEXT), text);
    tui_paper_newline(&p);
    tui_paper_putf(&p, tui_style(TUI_DIM), "%s thoughts, %s tokens then", tui_number(s->tree.count ? s->tree.count - 1 : 0, a), tui_number(tui_tokens_spent(&s->tree), b));
    tui_paper_newline(&p);
    if (next) {
        tui_paper_put(&p, tui_style(TUI_DIM), "then: ");
        tui_paper_wrap(&p, tui_style(TUI_TEXT), next);
        tui_paper_newline(&p);
    }
    tui_paper_wrap(&p, tui_style(TUI_DIM), "○ plan  ● decision  ■ result  ▲ an act of yours  × taken back");
    tui_canvas_paste(&s->canvas, (struct tui_rect){r.x + 1, r.y, r.w - 2, r.h}, &canvas, 0);
    tui_canvas_free(&canvas);
    free(text);
    free(next);
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    tui_sheet_title(s, &tui_view_time, r, "time", s->past.on ? "the past: } to now" : s->moment_count ? "now" : NULL);
    if (!s->moment_count) {
        tui_sheet_says(s, r, "Nothing has been planned yet: each plan, decision and act will be a mark here, and h l go through them.");
        return;
    }
    int cursor = cursor_of(s), y = r.h > 3 ? r.y + 1 : r.y;
    draw_marks(s, r, y, cursor);
    if (cursor >= 0 && r.h > 1)
        draw_moment(s, (struct tui_rect){r.x, y + 1, r.w, r.y + r.h - y - 1}, cursor);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    int times = count ? count : 1;
    (void)action;
    switch (k) {
    case 'h':
    case TUI_KEY_LEFT:
        tui_past_move(s, -times);
        return 1;
    case 'l':
    case TUI_KEY_RIGHT:
        tui_past_move(s, times);
        return 1;
    case 'g':
    case TUI_KEY_HOME:
        tui_past_move(s, -INT_MAX);
        return 1;
    case 'G':
    case TUI_KEY_END:
        tui_past_go(s, tui_past_count(s));
        return 1;
    default:
        return 0;
    }
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    if (s->moment_count) {
        out[n++] = (struct tui_hint){"h l", "earlier, later"};
        out[n++] = (struct tui_hint){"g G", "beginning, now"};
    }
    out[n++] = (struct tui_hint){"esc", "tree"};
    return n;
}

/* To the tree as it was after that. */
static void click(struct tui_screen *s, int x, int y)
{
    int at = s->time.from + x - 1;
    if (y <= 1 && x >= 1 && at < s->moment_count)
        tui_past_go(s, s->moments[at] + 1);
}

static void scroll(struct tui_screen *s, int lines)
{
    tui_past_move(s, lines < 0 ? -1 : 1);
}

const struct tui_view tui_view_time = {
    .name = "time", .letter = 'i', .about = "plans, decisions and acts in a row, the tree at each", .help = "time, log",
    .draw = draw, .key = key, .hints = hints, .click = click, .scroll = scroll,
};
