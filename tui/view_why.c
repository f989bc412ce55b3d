/* What stands below the panes, in full: the latest decision and its reason, the answer, what is being done; before it, where siblings are looked
 * at, how the number under the cursor is made. */
#include "tui/screen.h"

#include <stdlib.h>

static void write_all(const struct tui_screen *s, struct tui_paper *p)
{
    struct tui_now_line lines[TUI_NOW_LINES];
    if (s->focus == &tui_view_siblings && tui_siblings_write(s, p))
        tui_paper_newline(p);
    const int n = tui_now_lines(s, TUI_NOW_LINES, lines);
    for (int i = 0; i < n; i++) {
        if (i)
            tui_paper_newline(p);
        tui_paper_put(p, tui_style(TUI_DIM), lines[i].label);
        p->x = p->indent = 9;
        tui_paper_wrap(p, tui_style(lines[i].role), lines[i].text);
        p->indent = 0;
        free(lines[i].text);
    }
}

/* As high as its text, on the lines below the panes, and over the panes as far as it must. */
static void draw(struct tui_screen *s, struct tui_rect r)
{
    struct tui_sheet *sheet = &s->why;
    struct tui_paper p;
    tui_sheet_begin(sheet, s, r, &p);
    write_all(s, &p);
    tui_sheet_write(sheet, &p, 0);
    const int rows = sheet->lines < r.h ? sheet->lines : r.h;
    r = (struct tui_rect){r.x, r.y + r.h - rows, r.w, rows};
    tui_canvas_fill(&s->canvas, r, tui_style(TUI_TEXT), ' ');
    tui_canvas_fill(&s->canvas, (struct tui_rect){r.x, r.y - 1, r.w, 1}, tui_style(TUI_BORDER), 0x2500);
    tui_canvas_text(&s->canvas, r.x + 1, r.y - 1, r.w, tui_style(TUI_FOCUS), " why ");
    tui_sheet_end(sheet, s, r);
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    (void)action;
    return s->why.lines > s->why.page && tui_sheet_key(&s->why, k, count);
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    const int n = tui_sheet_hints(&s->why, out);
    out[n] = (struct tui_hint){"esc", "close"};
    return n + 1;
}

static void scroll(struct tui_screen *s, int lines)
{
    s->why.top += lines;
}

const struct tui_view tui_view_why = {.draw = draw, .key = key, .hints = hints, .scroll = scroll};

void tui_why_open(struct tui_screen *s)
{
    s->overlay = &tui_view_why;
    s->why.top = 0;
}
