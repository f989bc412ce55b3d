#include "tui/layout.h"

/* The panes at the right: as many as have room, one after the other, the focused one among them. */
static void stack(struct tui_layout *l, const struct tui_arrangement *a, struct tui_rect r)
{
    int fits = (r.h + 1) / (TUI_LEAST_HEIGHT + 1), count = a->panes - 1, first = 1, total = 0, sum = 0, y = r.y;
    if (count > fits) {
        count = fits;
        first = a->focus > count ? a->focus - count + 1 : 1;
    }
    for (int i = first; i < first + count; i++)
        total += a->share[i];
    int rest = r.h - (count - 1) - count * TUI_LEAST_HEIGHT, given = 0;
    for (int i = first; i < first + count; i++) {
        sum += total ? a->share[i] : 1;
        int upto = (int)((int64_t)rest * sum / (total ? total : count));
        l->panes[i] = (struct tui_rect){r.x, y, r.w, TUI_LEAST_HEIGHT + upto - given};
        y += l->panes[i].h + 1;
        given = upto;
    }
}

static int bounded(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

struct tui_layout tui_layout(int columns, int rows, const struct tui_arrangement *a, int searches)
{
    struct tui_layout l = {.too_small = columns < TUI_LEAST_COLUMNS || rows < TUI_LEAST_ROWS, .split = -1, .bottom = -1};
    if (l.too_small)
        return l;
    l.wide = columns >= TUI_WIDE_COLUMNS;
    int lines = searches > 1 && rows - searches >= TUI_LEAST_ROWS ? searches : 0;
    int tall = rows - lines >= 18; /* room for a frame around `now` and for what was decided before */
    int frame = l.wide;    /* lines at the left and right edge */

    l.header = (struct tui_rect){0, 0, columns, 1};
    l.keys = (struct tui_rect){0, rows - 1, columns, 1};
    l.status = (struct tui_rect){0, rows - 2, columns, 1};
    if (lines)
        l.race = (struct tui_rect){0, 1, columns, lines};
    l.top = 1 + lines;
    l.bottom = tall ? rows - 3 : -1;
    int below = tall ? rows - 3 : rows - 2; /* the first row that `now` has not */
    l.now = (struct tui_rect){frame, below - (tall ? 2 : 1), columns - 2 * frame, tall ? 2 : 1};
    l.middle = l.now.y - 1;

    struct tui_rect all = {frame, l.top + 1, columns - 2 * frame, l.middle - l.top - 1};
    if (!l.wide || a->zoom) {
        l.panes[a->focus] = all;
        return l;
    }
    int left = bounded((all.w - 1) * a->split / 1000, TUI_LEAST_WIDTH, all.w - 1 - TUI_LEAST_WIDTH);
    l.split = all.x + left;
    l.panes[0] = (struct tui_rect){all.x, all.y, left, all.h};
    stack(&l, a, (struct tui_rect){l.split + 1, all.y, all.w - left - 1, all.h});
    return l;
}

int tui_layout_pane(const struct tui_layout *l, int x, int y)
{
    for (int i = 0; i < TUI_PANES; i++)
        if (x >= l->panes[i].x && x < l->panes[i].x + l->panes[i].w && y >= l->panes[i].y && y < l->panes[i].y + l->panes[i].h)
            return i;
    return -1;
}

int tui_layout_line(const struct tui_layout *l, int x, int y)
{
    if (l->too_small || l->split < 0 || y <= l->top || y >= l->middle)
        return -1;
    if (x == l->split)
        return 0;
    for (int i = 2; i < TUI_PANES; i++)
        if (l->panes[i].w && l->panes[i - 1].w && y == l->panes[i].y - 1 && x > l->split && x < l->panes[i].x + l->panes[i].w)
            return i;
    return -1;
}

void tui_layout_move(struct tui_arrangement *a, const struct tui_layout *l, int line, int x, int y)
{
    if (line < 0 || l->split < 0)
        return;
    if (!line) {
        int edge = l->panes[0].x, all = l->keys.w - 2 * edge - 1;
        int left = bounded(x - edge, TUI_LEAST_WIDTH, all - TUI_LEAST_WIDTH);
        a->split = (left * 1000 + all - 1) / all; /* rounded up: the column comes out again */
        return;
    }
    const struct tui_rect *above = &l->panes[line - 1], *below = &l->panes[line];
    if (line < 2 || !above->w || !below->w)
        return;
    for (int i = 1; i < TUI_PANES; i++)
        a->share[i] = l->panes[i].w ? l->panes[i].h - TUI_LEAST_HEIGHT : a->share[i];
    int rule = bounded(y, above->y + TUI_LEAST_HEIGHT, below->y + below->h - TUI_LEAST_HEIGHT - 1);
    a->share[line - 1] = rule - above->y - TUI_LEAST_HEIGHT;
    a->share[line] = below->y + below->h - rule - 1 - TUI_LEAST_HEIGHT;
}
