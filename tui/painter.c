#include "tui/painter.h"

#include <string.h>

static const struct tui_look plain = {TUI_DEFAULT_COLOR, TUI_DEFAULT_COLOR, 0};

void tui_painter_open(struct tui_painter *p, const struct tui_theme *theme, int colors, struct string *out)
{
    *p = (struct tui_painter){.theme = theme, .colors = colors, .look = plain};
    string_add(out, "\033[?1049h\033[?25l\033[?7l"); /* no wrapping: what is wider than we think must not move the rows below */
}

void tui_painter_close(struct tui_painter *p, struct string *out)
{
    if (out)
        string_add(out, "\033[0m\033[?7h\033[?25h\033[?1049l");
    tui_canvas_free(&p->shown);
}

/* --- looks ------------------------------------------------------------------------------------------------------- */

static struct tui_look look_of(struct tui_painter *p, struct tui_style style)
{
    __typeof__(&p->looks[0][0][0]) known = &p->looks[style.role][style.level][style.ground];
    if (!known->ready)
        known->look = p->colors >= TUI_DIRECT ? tui_theme_look(p->theme, style) : tui_theme_mapped(p->theme, style, p->colors);
    known->ready = 1;
    return known->look;
}

static void add_color(const struct tui_painter *p, int first, int color, struct string *out)
{
    if (color < 0) /* the terminal's own, as after the reset */
        return;
    if (p->colors >= TUI_DIRECT)
        string_addf(out, ";%d;2;%d;%d;%d", first, color >> 16 & 255, color >> 8 & 255, color & 255);
    else
        string_addf(out, ";%d;5;%d", first, color);
}

static void set_look(struct tui_painter *p, struct tui_look look, struct string *out)
{
    static const char *const codes[] = {";1", ";2", ";3", ";4", ";7"}; /* by the bits of attributes */
    if (look.color == p->look.color && look.background == p->look.background && look.attributes == p->look.attributes)
        return;
    string_add(out, "\033[0");
    for (size_t bit = 0; bit < sizeof codes / sizeof *codes; bit++)
        if (look.attributes & 1u << bit)
            string_add(out, codes[bit]);
    add_color(p, 38, look.color, out);
    add_color(p, 48, look.background, out);
    string_add(out, "m");
    p->look = look;
}

/* --- cells ------------------------------------------------------------------------------------------------------- */

static void move_to(int x, int y, struct string *out)
{
    string_addf(out, "\033[%d;%dH", y + 1, x + 1);
}

/* As wide as a terminal may find it, blanks first: one that finds it narrower than we do shows nothing of before in the rest. */
static void put_unsettled(const struct tui_cell *row, int x, int y, int w, struct string *out)
{
    int reach = 0;
    while (reach < TUI_CLUSTER && row[x].scalars[reach])
        reach++;
    for (int i = 0; i < 2 * reach && x + i < w; i++)
        string_add(out, " ");
    move_to(x, y, out);
    tui_cell_text(&row[x], out);
}

/* Nobody knows what a cell that is not settled left behind, nor how far it reaches: then all of the row is sent, from left to right. */
static int is_all_new(const struct tui_cell *row, const struct tui_cell *shown, int w)
{
    int settled = 1;
    for (int x = 0; x < w && settled; x++)
        settled = (!row[x].width || tui_cell_is_settled(&row[x])) && (!shown[x].width || tui_cell_is_settled(&shown[x]));
    return !settled && memcmp(row, shown, (size_t)w * sizeof *row);
}

static void draw_row(struct tui_painter *p, const struct tui_cell *row, const struct tui_cell *shown, int y, int w, struct string *out)
{
    const int all = is_all_new(row, shown, w);
    int cursor = -1; /* the column it is known to be in */
    for (int x = 0; x < w; x++) {
        if (!row[x].width || (!all && !memcmp(&row[x], &shown[x], sizeof *row)))
            continue;
        if (cursor != x)
            move_to(x, y, out);
        set_look(p, look_of(p, row[x].style), out);
        if (tui_cell_is_settled(&row[x])) {
            tui_cell_text(&row[x], out);
            cursor = x + 1;
        } else {
            put_unsettled(row, x, y, w, out);
            cursor = -1;
        }
    }
}

void tui_painter_draw(struct tui_painter *p, const struct tui_canvas *canvas, struct string *out)
{
    struct tui_canvas *shown = &p->shown;
    const size_t w = (size_t)canvas->w, cells = w * (size_t)canvas->h;
    if (shown->w != canvas->w || shown->h != canvas->h) {
        tui_canvas_size(shown, canvas->w, canvas->h);
        memset(shown->cells, 0, cells * sizeof *shown->cells); /* like no cell there is */
    }
    for (int y = 0; y < canvas->h; y++)
        draw_row(p, canvas->cells + w * (size_t)y, shown->cells + w * (size_t)y, y, canvas->w, out);
    memcpy(shown->cells, canvas->cells, cells * sizeof *shown->cells);
}
