#include "tui/layout.h"

struct tui_layout tui_layout(int columns, int rows, int thought, int searches)
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

    struct tui_rect panes = {frame, l.top + 1, columns - 2 * frame, l.middle - l.top - 1};
    if (l.wide) {
        int tree = (panes.w - 1) * 58 / 100;
        l.tree = (struct tui_rect){panes.x, panes.y, tree, panes.h};
        l.split = panes.x + tree;
        l.thought = (struct tui_rect){l.split + 1, panes.y, panes.w - tree - 1, panes.h};
    } else if (thought) {
        l.thought = panes;
    } else {
        l.tree = panes;
    }
    return l;
}
