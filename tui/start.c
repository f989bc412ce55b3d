#include "tui/start.h"
#include "tui/keymap.h"
#include "tui/layout.h"
#include "tui/words.h"

#include <stdlib.h>
#include <string.h>

void tui_start_open(struct tui_start *s)
{
    *s = (struct tui_start){.model = -1};
}

void tui_start_free(struct tui_start *s)
{
    for (int i = 0; i < s->count; i++) {
        free(s->rows[i].title);
        free(s->rows[i].about);
        free(s->rows[i].value);
        free(s->rows[i].problem);
    }
    free(s->rows);
    tui_line_free(&s->line);
    tui_canvas_free(&s->canvas);
    tui_canvas_free(&s->help);
    *s = (struct tui_start){0};
}

void tui_start_add(struct tui_start *s, enum tui_start_kind kind, const char *title, const char *about, const char *value, const char *problem)
{
    if (kind == TUI_START_HEADING && s->count && s->rows[s->count - 1].kind == TUI_START_HEADING) { /* there is nothing of that */
        free(s->rows[--s->count].title);
        free(s->rows[s->count].about);
    }
    ARRAY_RESERVE(s->rows, s->count, s->capacity);
    s->rows[s->count++] = (struct tui_start_row){kind, xstrdup(title), xstrdup(about), value ? xstrdup(value) : NULL, problem ? xstrdup(problem) : NULL};
    if (s->rows[s->selected].kind == TUI_START_HEADING && kind != TUI_START_HEADING)
        s->selected = s->count - 1;
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

void tui_start_move(struct tui_start *s, int rows)
{
    const int by = rows < 0 ? -1 : 1;
    for (int at = s->selected + by; rows && at >= 0 && at < s->count; at += by)
        if (s->rows[at].kind != TUI_START_HEADING) {
            s->selected = at;
            rows -= by;
        }
}

/* Each heading's first row, one after the other. */
static void next_heading(struct tui_start *s, int by)
{
    for (int i = 1; i < s->count; i++) {
        const int at = (s->selected + by * i + s->count * 2) % s->count;
        if (at > 0 && s->rows[at - 1].kind == TUI_START_HEADING && s->rows[at].kind != TUI_START_HEADING) {
            s->selected = at;
            return;
        }
    }
}

static enum tui_start_act choose(struct tui_start *s)
{
    const struct tui_start_row *row = &s->rows[s->selected];
    switch (row->kind) {
    case TUI_START_MODEL: /* for what is opened next */
        if (!*row->value) {
            snprintf(s->notice, sizeof s->notice, "%s", row->about);
            return TUI_START_NOTHING;
        }
        s->model = s->model == s->selected ? -1 : s->selected;
        return TUI_START_NOTHING;
    case TUI_START_TASK:
        s->asking = 1;
        tui_line_set(&s->line, row->problem ? row->problem : "");
        return TUI_START_NOTHING;
    default:
        return row->kind == TUI_START_HEADING ? TUI_START_NOTHING : TUI_START_CHOSEN;
    }
}

static enum tui_start_act asking_key(struct tui_start *s, int32_t key)
{
    const char *text = string_text(&s->line.text);
    if (s->line.pasting || key == TUI_KEY_PASTE_BEGINS)
        tui_line_key(&s->line, key);
    else if (key == TUI_KEY_ESCAPE || key == 'C' - TUI_KEY_CONTROL)
        s->asking = 0;
    else if (key == TUI_KEY_ENTER && text[strspn(text, " ")])
        return TUI_START_CHOSEN;
    else if (key == TUI_KEY_ENTER)
        snprintf(s->notice, sizeof s->notice, "a problem is needed, or @1 for the first of the task's data");
    else
        tui_line_key(&s->line, key);
    tui_line_tell(&s->line, s->notice, sizeof s->notice);
    return TUI_START_NOTHING;
}

static int is_quit(int32_t key)
{
    return key == 'q' || key == 'C' - TUI_KEY_CONTROL;
}

static enum tui_start_act helping_key(struct tui_start *s, int32_t key)
{
    const int64_t to = tui_key_place(key, 0, s->page, s->help_top, s->help.h);
    if (to >= 0)
        s->help_top = (int)to;
    else
        s->helping = 0;
    return is_quit(key) ? TUI_START_QUIT : TUI_START_NOTHING;
}

enum tui_start_act tui_start_key(struct tui_start *s, int32_t key)
{
    if (key == TUI_KEY_RESIZE)
        return TUI_START_NOTHING;
    s->notice[0] = '\0';
    if (key == 'Z' - TUI_KEY_CONTROL)
        return TUI_START_SUSPEND;
    if (key == 'L' - TUI_KEY_CONTROL)
        return TUI_START_REPAINT;
    if (s->asking)
        return asking_key(s, key);
    if (s->helping)
        return helping_key(s, key);
    if (is_quit(key))
        return TUI_START_QUIT;
    switch (key) {
    case 'j':
    case TUI_KEY_DOWN:
        tui_start_move(s, 1);
        break;
    case 'k':
    case TUI_KEY_UP:
        tui_start_move(s, -1);
        break;
    case 'g':
    case TUI_KEY_HOME:
        tui_start_move(s, -s->count);
        break;
    case 'G':
    case TUI_KEY_END:
        tui_start_move(s, s->count);
        break;
    case TUI_KEY_PAGE_DOWN:
    case TUI_KEY_PAGE_UP:
        tui_start_move(s, key == TUI_KEY_PAGE_DOWN ? s->page : -s->page);
        break;
    case TUI_KEY_TAB:
        next_heading(s, 1);
        break;
    case TUI_KEY_BACK_TAB:
        next_heading(s, -1);
        break;
    case TUI_KEY_ENTER:
    case 'l':
    case TUI_KEY_RIGHT:
    case ' ':
        return choose(s);
    case '?':
        s->helping = 1;
        s->help_top = 0;
        break;
    default:
        tui_key_refuse(key, s->notice, sizeof s->notice);
        break;
    }
    return TUI_START_NOTHING;
}

enum tui_start_act tui_start_click(struct tui_start *s, int x, int y)
{
    const int row = s->top + y - s->list.y;
    s->helping = 0;
    if (s->asking || x < s->list.x || y < s->list.y || y >= s->list.y + s->list.h || row >= s->count || s->rows[row].kind == TUI_START_HEADING)
        return TUI_START_NOTHING;
    if (row == s->selected)
        return choose(s);
    s->selected = row;
    return TUI_START_NOTHING;
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

static void draw_heading(struct tui_start *s, int y, const char *title)
{
    tui_canvas_fill(&s->canvas, (struct tui_rect){0, y, s->canvas.w, 1}, tui_style(TUI_BORDER), 0x2500);
    int x = 1 + tui_canvas_text(&s->canvas, 1, y, s->canvas.w, tui_style(TUI_TITLE), " ");
    x += tui_canvas_cut(&s->canvas, x, y, s->canvas.w - x - 1, tui_style(TUI_TITLE), title);
    tui_canvas_text(&s->canvas, x, y, s->canvas.w - x, tui_style(TUI_TITLE), " ");
}

static void draw_row(struct tui_start *s, int y, int at)
{
    const struct tui_start_row *row = &s->rows[at];
    const int w = s->canvas.w, title = w < 60 ? w / 2 : w * 3 / 10;
    if (row->kind == TUI_START_HEADING) {
        draw_heading(s, y, row->title);
        return;
    }
    tui_canvas_text(&s->canvas, 1, y, 2, tui_style(TUI_KEPT), at == s->model ? "●" : " ");
    tui_canvas_cut(&s->canvas, 3, y, title - 4, tui_style(TUI_TEXT), row->title);
    tui_canvas_cut(&s->canvas, title, y, w - title - 1, tui_style(TUI_DIM), row->about);
    if (at == s->selected)
        tui_canvas_ground(&s->canvas, 0, y, w, TUI_SELECTION);
}

static int draw_hint(struct tui_start *s, int x, const char *key, const char *does)
{
    const int y = s->canvas.h - 1;
    if (x + tui_width(key, strlen(key)) + 1 + tui_width(does, strlen(does)) > s->canvas.w)
        return x;
    x += tui_canvas_text(&s->canvas, x, y, s->canvas.w - x, tui_style(TUI_KEY), key) + 1;
    return x + tui_canvas_text(&s->canvas, x, y, s->canvas.w - x, tui_style(TUI_DIM), does) + 2;
}

static void draw_last_line(struct tui_start *s)
{
    static const char *const enters[] = {[TUI_START_TOUR] = "begin", [TUI_START_FIRST] = "begin", [TUI_START_SESSION] = "open", [TUI_START_TASK] = "a problem",
                                         [TUI_START_MODEL] = "use this model"};
    const int y = s->canvas.h - 1, w = s->canvas.w;
    int x = 1;
    if (s->notice[0] && !s->asking) {
        tui_paper_note(&s->canvas, y, tui_style(TUI_ERROR), s->notice);
    } else if (s->asking) {
        x += tui_canvas_cut(&s->canvas, x, y, w / 3, tui_style(TUI_KEY), s->rows[s->selected].value) + 1;
        tui_line_draw(&s->line, &s->canvas, x, y, w - 1 - x);
        if (s->notice[0])
            tui_paper_note(&s->canvas, y - 1, tui_style(TUI_ERROR), s->notice);
    } else if (s->helping) {
        x = draw_hint(s, x, "j k", "scroll");
        x = draw_hint(s, x, "esc", "back");
        x = draw_hint(s, x, "q", "quit");
    } else if (s->count) {
        x = draw_hint(s, x, "enter", enters[s->rows[s->selected].kind]);
        x = draw_hint(s, x, "j k", "move");
        x = draw_hint(s, x, "?", "help");
        x = draw_hint(s, x, "q", "quit");
        x = draw_hint(s, x, "tab", "the next part");
    }
}

/* How many lines are below what is shown. */
static void draw_more(struct tui_start *s, int lines)
{
    char more[32];
    snprintf(more, sizeof more, "↓ %d more", lines);
    if (lines > 0)
        tui_canvas_right(&s->canvas, 0, s->canvas.h - 2, s->canvas.w - 2, tui_style(TUI_DIM), more);
}

static void draw_help(struct tui_start *s)
{
    struct tui_paper p;
    tui_paper_open(&p, &s->help, s->list.w - 2, s->canvas.ascii);
    tui_help_write(&p, "the start screen", "the tour explains the explorer, step by step; ? there shows its keys");
    const int lines = tui_paper_lines(&p), last = lines > s->page ? lines - s->page : 0;
    s->help_top = s->help_top < last ? s->help_top : last;
    tui_canvas_paste(&s->canvas, (struct tui_rect){1, s->list.y, s->list.w - 2, s->page}, &s->help, s->help_top);
    draw_more(s, lines - s->help_top - s->page);
}

static void draw_rows(struct tui_start *s)
{
    if (s->selected < s->top + 1) /* with its heading */
        s->top = s->selected > 0 ? s->selected - 1 : 0;
    if (s->selected >= s->top + s->page)
        s->top = s->selected - s->page + 1;
    if (s->top > s->count - s->page)
        s->top = s->count > s->page ? s->count - s->page : 0;
    for (int i = 0; i < s->page && s->top + i < s->count; i++)
        draw_row(s, s->list.y + i, s->top + i);
    draw_more(s, s->count - s->top - s->page);
}

void tui_start_draw(struct tui_start *s, int columns, int rows)
{
    tui_canvas_size(&s->canvas, columns, rows);
    if (columns < TUI_LEAST_COLUMNS || rows < TUI_LEAST_ROWS) {
        tui_canvas_text(&s->canvas, 0, 0, columns, tui_style(TUI_ERROR), "too small");
        return;
    }
    const int x = 1 + tui_canvas_text(&s->canvas, 1, 0, columns, tui_style(TUI_TITLE), "espalier");
    tui_canvas_cut(&s->canvas, x + 2, 0, columns - x - 3, tui_style(TUI_DIM), "the reasoning of a language model, grown as a tree");
    s->list = (struct tui_rect){0, 2, columns, rows - 4};
    s->page = s->list.h;
    if (s->helping)
        draw_help(s);
    else
        draw_rows(s);
    draw_last_line(s);
}
