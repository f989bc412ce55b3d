#include "tui/screen.h"

#include <ctype.h>
#include <string.h>

static int width_of(struct tui_rect r)
{
    return r.w > 2 ? r.w - 2 : 1;
}

uint64_t tui_sheet_stamp(const struct tui_screen *s, uint64_t more)
{
    uint64_t events = (uint64_t)s->tree.event_count, node = (uint64_t)s->selected;
    return random_stream(events << 1 | (uint64_t)s->past.on, node, more) | 1;
}

int tui_sheet_kept(const struct tui_sheet *sheet, const struct tui_screen *s, struct tui_rect r, uint64_t stamp)
{
    return sheet->stamp == stamp && stamp && sheet->text.w == width_of(r) && sheet->text.ascii == s->canvas.ascii;
}

void tui_sheet_begin(struct tui_sheet *sheet, const struct tui_screen *s, struct tui_rect r, struct tui_paper *p)
{
    tui_paper_open(p, &sheet->text, width_of(r), s->canvas.ascii);
    sheet->at = -1;
}

void tui_sheet_write(struct tui_sheet *sheet, const struct tui_paper *p, uint64_t stamp)
{
    sheet->lines = tui_paper_lines(p);
    sheet->stamp = stamp;
}

void tui_sheet_more(struct tui_screen *s, struct tui_rect row, int lines)
{
    enum { LETTERS = 0xc0, SIGNS = 0x2000 }; /* lines and bars may end anywhere, in ASCII too */
    char more[32];
    snprintf(more, sizeof more, " ↓ %d more ", lines);
    const int x = row.x + row.w - tui_width(more, strlen(more)) - 1;
    tui_canvas_right(&s->canvas, row.x, row.y, row.w, tui_style(TUI_DIM), more);
    if (x < row.x)
        return;
    const int32_t last = s->canvas.cells[row.y * s->canvas.w + x].scalars[0];
    if (last < 0x80 ? isalnum(last) : last >= LETTERS && last < SIGNS)
        tui_canvas_text(&s->canvas, x, row.y, 1, tui_style(TUI_DIM), "…");
}

void tui_sheet_end(struct tui_sheet *sheet, struct tui_screen *s, struct tui_rect r)
{
    sheet->page = r.h;
    if (sheet->at >= 0 && sheet->at < sheet->top)
        sheet->top = sheet->at;
    if (sheet->at >= sheet->top + r.h - (sheet->lines > sheet->at + 1)) /* the last row says that there is more */
        sheet->top = sheet->at - r.h + 1 + (sheet->lines > sheet->at + 1);
    if (sheet->top > sheet->lines - r.h)
        sheet->top = sheet->lines - r.h;
    if (sheet->top < 0)
        sheet->top = 0;
    tui_canvas_paste(&s->canvas, (struct tui_rect){r.x + 1, r.y, r.w - 2, r.h}, &sheet->text, sheet->top);
    if (sheet->lines > sheet->top + r.h)
        tui_sheet_more(s, (struct tui_rect){r.x + 1, r.y + r.h - 1, r.w - 2, 1}, sheet->lines - sheet->top - r.h);
}

int64_t tui_key_place(int32_t key, int count, int64_t page, int64_t at, int64_t last)
{
    const int times = count ? count : 1;
    int64_t to;
    switch (key) {
    case 'j':
    case TUI_KEY_DOWN:
        to = at + times;
        break;
    case 'k':
    case TUI_KEY_UP:
        to = at - times;
        break;
    case TUI_KEY_PAGE_DOWN:
        to = at + page;
        break;
    case TUI_KEY_PAGE_UP:
        to = at - page;
        break;
    case 'g':
    case TUI_KEY_HOME:
        to = 0;
        break;
    case 'G':
    case TUI_KEY_END:
        to = count ? count - 1 : last;
        break;
    default:
        return -1;
    }
    to = to > last ? last : to;
    return to < 0 ? 0 : to;
}

int tui_sheet_key(struct tui_sheet *sheet, int32_t key, int count)
{
    const int page = sheet->page > 2 ? sheet->page - 1 : 1, last = sheet->lines > sheet->page ? sheet->lines - sheet->page : 0;
    const int64_t to = tui_key_place(key, count, page, sheet->top, last);
    if (to >= 0)
        sheet->top = (int)to;
    return to >= 0;
}

int tui_sheet_hints(const struct tui_sheet *sheet, struct tui_hint *out)
{
    if (sheet->lines <= sheet->page)
        return 0;
    out[0] = (struct tui_hint){"j k", "scroll"};
    return 1;
}

void tui_sheet_title(struct tui_screen *s, const struct tui_view *view, struct tui_rect r, const char *title, const char *more)
{
    char text[80];
    snprintf(text, sizeof text, " %.70s ", title);
    int x = tui_canvas_text(&s->canvas, r.x, r.y - 1, r.w, tui_style(s->focus == view ? TUI_FOCUS : TUI_TITLE), text);
    if (!more || !*more)
        return;
    snprintf(text, sizeof text, " %.70s ", more);
    if (x + tui_width(text, strlen(text)) <= r.w)
        tui_canvas_right(&s->canvas, r.x + x, r.y - 1, r.w - x, tui_style(TUI_DIM), text);
}

void tui_sheet_says(struct tui_screen *s, struct tui_rect r, const char *why)
{
    struct tui_canvas text = {0};
    struct tui_paper p;
    tui_paper_open(&p, &text, r.w > 2 ? r.w - 2 : 1, s->canvas.ascii);
    tui_paper_wrap(&p, tui_style(TUI_DIM), why);
    tui_canvas_paste(&s->canvas, (struct tui_rect){r.x + 1, r.y, r.w - 2, r.h}, &text, 0);
    tui_canvas_free(&text);
}

void tui_sheet_fact(struct tui_paper *p, int column, const char *name, const char *value)
{
    tui_paper_putf(p, tui_style(TUI_DIM), "%-*s", column, name);
    p->x = p->indent = column;
    tui_paper_wrap(p, tui_style(TUI_TEXT), value);
    p->indent = 0;
    tui_paper_newline(p);
}
