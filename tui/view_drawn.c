/* The tree as a drawing, from left to right: each thought a label, a short sign or a dot, and beside it a map of the whole. */
#include "tui/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL, SHORT, DOT, ZOOMS };
enum { SLICE = 16384, MAP_LEAST_WIDTH = 50, MAP_LEAST_HEIGHT = 14 };
static const int steps[ZOOMS] = {28, 13, 3}, least_label = 18;
static const char *const zoom_names[ZOOMS] = {"as labels", "in short", "as dots"};

/* A part of the drawing that a pane shows: its first column and row are those of the whole. */
struct window {
    struct tui_rect r;
    int step, box;     /* columns of a level, and of what stands there */
    int x, y;
};

/* Columns from a thought to the next level. Two levels of labels are seen where that leaves something of them. */
static int step_of(const struct tui_screen *s, int w)
{
    int step = steps[s->drawn.zoom], half = w / 2 < least_label ? least_label : w / 2;
    return s->drawn.zoom == LABEL && half < step ? half : step;
}

static struct window window_of(const struct tui_screen *s, struct tui_rect r)
{
    int step = step_of(s, r.w);
    return (struct window){r, step, s->drawn.zoom == DOT ? 1 : step - 4, s->drawn.x, s->drawn.y};
}

/* --- lines between ----------------------------------------------------------------------------------------------- */

enum { LEFT = 1, RIGHT = 2, UP = 4, DOWN = 8 };

static void put_line(struct tui_screen *s, const struct window *w, int x, int y, int parts)
{
    static const char *const signs[16] = {
        [LEFT] = "─", [RIGHT] = "─", [LEFT | RIGHT] = "─", [UP] = "│", [DOWN] = "│", [UP | DOWN] = "│", [RIGHT | DOWN] = "┌", [RIGHT | UP] = "└",
        [LEFT | DOWN] = "┐", [LEFT | UP] = "┘", [UP | DOWN | RIGHT] = "├", [UP | DOWN | LEFT] = "┤", [LEFT | RIGHT | DOWN] = "┬",
        [LEFT | RIGHT | UP] = "┴", [LEFT | RIGHT | UP | DOWN] = "┼",
    };
    if (parts && x >= 0 && x < w->r.w && y >= 0 && y < w->r.h)
        tui_canvas_text(&s->canvas, w->r.x + x, w->r.y + y, 1, tui_style(TUI_BORDER), signs[parts]);
}

/* The line from a node of a level to the one above, in the column of the spine: which parts of each row it takes. */
static void add_spine(const struct window *w, unsigned char *parts, int child, int parent)
{
    int top = child < parent ? child : parent, bottom = child < parent ? parent : child;
    for (int y = top < 0 ? 0 : top; y <= bottom && y < w->r.h; y++)
        parts[y] |= (unsigned char)((y > top ? UP : 0) | (y < bottom ? DOWN : 0));
    if (child >= 0 && child < w->r.h)
        parts[child] |= RIGHT;
    if (parent >= 0 && parent < w->r.h)
        parts[parent] |= LEFT;
}

/* Of a level's nodes those in the window, and the neighbours just outside: a spine that passes through has an end there. */
static void draw_spines(struct tui_screen *s, const struct window *w, int level, int first, int last)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    unsigned char *parts = xcalloc((size_t)w->r.h + 1, 1);
    int x = level * w->step - w->x - 2;
    for (int i = first - 1; i <= last; i++) {
        if (i < 0 || i >= shape->levels[level].count)
            continue;
        int node = shape->levels[level].nodes[i];
        add_spine(w, parts, shape->y[node] - w->y, shape->y[tui_screen_node(s, node)->parent] - w->y);
    }
    if (w->step == steps[DOT]) /* no room for a line of its own beside the dot */
        x++;
    for (int y = 0; y < w->r.h; y++) {
        put_line(s, w, x, y, parts[y]);
        if (w->step != steps[DOT] && parts[y] & RIGHT)
            put_line(s, w, x + 1, y, LEFT | RIGHT);
    }
    free(parts);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

/* A tombstone on it or above it. Those above were mostly asked about just before, as the levels are drawn in order. */
static int is_pruned(struct tui_screen *s, int node)
{
    struct tui_drawn_memo *memo = s->drawn.memo, *own = &memo[node % TUI_DRAWN_MEMO];
    int pruned = 0;
    for (int n = node; n >= 0 && !pruned; n = tui_screen_node(s, n)->parent) {
        const struct tui_drawn_memo *m = &memo[n % TUI_DRAWN_MEMO];
        if (m->node == n + 1) {
            pruned = m->pruned;
            break;
        }
        pruned = tui_screen_node(s, n)->pruned > 0;
    }
    *own = (struct tui_drawn_memo){node + 1, pruned};
    return pruned;
}

static const char *sign_of(struct tui_screen *s, int node, enum tui_role *role)
{
    const struct search_node *n = tui_screen_node(s, node);
    int correct = n->thought && n->thought->thought.final ? n->thought->thought.correct : -1;
    const struct { int is; const char *sign; enum tui_role role; } signs[] = {
        {is_pruned(s, node), "✂", TUI_PRUNED}, {n->state == SEARCH_ILLEGAL, "✗", TUI_ILLEGAL}, {correct == 1, "✓", TUI_RIGHT},
        {correct == 0, "✗", TUI_WRONG}, {n->state == SEARCH_EXPANDING, "»", TUI_EXPANDING}, {search_node_is_kept(n), "★", TUI_KEPT},
        {n->state == SEARCH_FRONTIER, "○", TUI_FRONTIER}, {1, "●", n->on_best_path ? TUI_BEST : TUI_TEXT},
    };
    int i = 0;
    while (!signs[i].is)
        i++;
    *role = n->on_best_path && signs[i].role == TUI_KEPT ? TUI_BEST : signs[i].role;
    return signs[i].sign;
}

/* What a label says: the thought without what is left after it; or the number and the score. */
static char *label_of(const struct tui_screen *s, int node)
{
    const struct search_node *n = tui_screen_node(s, node);
    const char *text = search_node_text(&s->tree, node);
    char number[32];
    if (s->drawn.zoom == LABEL) {
        size_t length = n->thought && n->thought->thought.state ? tui_length_without_state(text, n->thought->thought.state) : strlen(text);
        return xstrndup(text, length);
    }
    if (isfinite(n->value))
        return xasprintf("%d %s", node, tui_score(n->value, number));
    return xasprintf("%d", node);
}

static void draw_node(struct tui_screen *s, const struct window *w, int level, int node)
{
    enum tui_role role;
    const char *sign = sign_of(s, node, &role);
    int x = level * w->step - w->x, y = w->r.y + s->drawn.tidy.shape.y[node] - w->y, from = x < 0 ? 0 : x, used = 1;
    if (x + w->box <= 0 || x >= w->r.w)
        return;
    char copies[40];
    int mark = tui_screen_copies_text(s, node, copies), box = mark ? w->step - 2 : w->box; /* up to the spine, which is its children's */
    int room = x + box < w->r.w ? box : w->r.w - x;
    if (x >= 0)
        tui_canvas_text(&s->canvas, w->r.x + x, y, 1, tui_style(role), sign);
    if (s->drawn.zoom == DOT && mark && x >= 0)
        used += tui_canvas_text(&s->canvas, w->r.x + x + 1, y, room, tui_style(TUI_DIM), "×");
    if (s->drawn.zoom != DOT && x >= 0) {
        char *label = label_of(s, node);
        int gap = s->drawn.zoom == LABEL ? 2 : 1, end = mark ? room - mark - gap : room;
        used = 2 + tui_find_draw(s, w->r.x + x + 2, y, end - 2, tui_style(role == TUI_KEPT ? TUI_TEXT : role), label);
        free(label);
        if (mark)
            used += gap + tui_canvas_text(&s->canvas, w->r.x + x + used + gap, y, mark, tui_style(TUI_DIM), copies);
        int closed = !s->outline.nodes[node].open && tui_screen_node(s, node)->first_child >= 0;
        if (closed && used + 2 <= room)
            used += tui_canvas_text(&s->canvas, w->r.x + x + used, y, 2, tui_style(TUI_BORDER), " ▸");
    }
    const struct search_node *n = tui_screen_node(s, node);
    if (n->first_child >= 0 && s->outline.nodes[node].open && s->drawn.zoom != DOT && x >= 0) /* on to the spine of its children */
        for (int i = x + used + 1; i < x + w->step - 2; i++)
            put_line(s, w, i, y - w->r.y, LEFT | RIGHT);
    if (node == s->selected)
        tui_canvas_ground(&s->canvas, w->r.x + from, y, (used > room ? room : used) - (from - x), s->focus == &tui_view_drawn ? TUI_SELECTION : TUI_SELECTION_BLURRED);
}

static void draw_level(struct tui_screen *s, const struct window *w, int level)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    int first = tui_tidy_find(shape, level, w->y), last = tui_tidy_find(shape, level, w->y + w->r.h);
    if (level)
        draw_spines(s, w, level, first, last);
    for (int i = first; i < last; i++)
        draw_node(s, w, level, shape->levels[level].nodes[i]);
}

/* --- the map ----------------------------------------------------------------------------------------------------- */

static int is_map_cell_shown(const struct tui_screen *s, const struct window *w, int x, int y)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    int64_t top = (int64_t)y * shape->rows / TUI_MAP_ROWS, bottom = (int64_t)(y + 1) * shape->rows / TUI_MAP_ROWS;
    int64_t left = (int64_t)x * shape->depth * w->step / TUI_MAP_COLUMNS, right = (int64_t)(x + 1) * shape->depth * w->step / TUI_MAP_COLUMNS;
    return bottom > w->y && top < w->y + w->r.h && right > w->x && left < w->x + w->r.w;
}

/* In the lower right corner: how dense the whole is where, and on another ground what the pane shows of it. */
static void draw_map(struct tui_screen *s, const struct window *w)
{
    static const char *const dense[] = {" ", "·", "░", "▒", "▓"};
    int x0 = w->r.x + w->r.w - TUI_MAP_COLUMNS - 1, y0 = w->r.y + w->r.h - TUI_MAP_ROWS, most = 1;
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    for (int y = 0; y < TUI_MAP_ROWS; y++)
        for (int x = 0; x < TUI_MAP_COLUMNS; x++)
            most = shape->map[y][x] > most ? shape->map[y][x] : most;
    tui_canvas_fill(&s->canvas, (struct tui_rect){x0 - 1, y0 - 1, TUI_MAP_COLUMNS + 2, TUI_MAP_ROWS + 1}, tui_style(TUI_TEXT), ' ');
    tui_canvas_fill(&s->canvas, (struct tui_rect){x0 - 1, y0 - 1, TUI_MAP_COLUMNS + 2, 1}, tui_style(TUI_BORDER), 0x2500);
    tui_canvas_text(&s->canvas, x0, y0 - 1, TUI_MAP_COLUMNS, tui_style(TUI_DIM), " map ");
    for (int y = 0; y < TUI_MAP_ROWS; y++) {
        tui_canvas_text(&s->canvas, x0 - 1, y0 + y, 1, tui_style(TUI_BORDER), "│");
        for (int x = 0; x < TUI_MAP_COLUMNS; x++) {
            int n = shape->map[y][x], level = !n ? 0 : n == 1 ? 1 : 2 + (int)(2 * log((double)n) / log((double)most + 1));
            tui_canvas_text(&s->canvas, x0 + x, y0 + y, 1, tui_style(TUI_TEXT), dense[level > 4 ? 4 : level]);
            if (is_map_cell_shown(s, w, x, y))
                tui_canvas_ground(&s->canvas, x0 + x, y0 + y, 1, TUI_SELECTION);
        }
    }
}

static int shows_map(const struct tui_screen *s, const struct window *w)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    int more = shape->rows > w->r.h || shape->depth * w->step > w->r.w;
    return !s->drawn.no_map && more && w->r.w >= MAP_LEAST_WIDTH && w->r.h >= MAP_LEAST_HEIGHT;
}

/* --- the view ---------------------------------------------------------------------------------------------------- */

/* The selected node, or what stands for it: the closed one above that hides it. */
static int shown_node(const struct tui_screen *s)
{
    return s->tree.count ? tui_outline_shown(&s->outline, s->selected) : 0;
}

static void bound(int *at, int whole, int shown)
{
    *at = *at > whole - shown ? whole - shown : *at;
    *at = *at < 0 ? 0 : *at;
}

static void scroll_to_selection(struct tui_screen *s, struct tui_rect r)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    int step = step_of(s, r.w), node = shown_node(s), margin = r.h >= 9 ? 3 : 0;
    if (node < shape->count && shape->y[node] >= 0 && !s->scrolled) {
        int y = shape->y[node], x = tui_screen_node(s, node)->depth * step;
        if (y - margin < s->drawn.y)
            s->drawn.y = y - margin;
        if (y + margin >= s->drawn.y + r.h)
            s->drawn.y = y + margin - r.h + 1;
        if (x + step > s->drawn.x + r.w)
            s->drawn.x = (x + step - r.w + step - 1) / step * step;
        if (x < s->drawn.x)
            s->drawn.x = x;
    }
    bound(&s->drawn.y, shape->rows, r.h);
    bound(&s->drawn.x, shape->depth * step, r.w / step * step);
}

static void draw(struct tui_screen *s, struct tui_rect r)
{
    char more[80], a[32];
    struct tui_tidy *tidy = &s->drawn.tidy;
    int busy = tui_tidy_go_on(tidy, SLICE);
    s->busy |= busy;
    const struct tui_tidy_shape *shape = &tidy->shape;
    snprintf(more, sizeof more, "%s thoughts %s%s", tui_number(shape->shown ? shape->shown - 1 + shape->copies : 0, a), zoom_names[s->drawn.zoom],
             busy ? ", more are being placed" : "");
    tui_sheet_title(s, &tui_view_drawn, r, "drawn tree", shape->count ? more : NULL);
    if (!shape->count) {
        snprintf(more, sizeof more, "Placing the thoughts: %.0f %%.", 100 * tui_tidy_done(tidy));
        tui_sheet_says(s, r, s->tree.count ? more : "Nothing has been thought yet: space begins, and the tree is drawn here as it grows.");
        return;
    }
    scroll_to_selection(s, r);
    struct window w = window_of(s, r);
    if (!s->drawn.memo)
        s->drawn.memo = xmalloc(TUI_DRAWN_MEMO * sizeof *s->drawn.memo);
    memset(s->drawn.memo, 0, TUI_DRAWN_MEMO * sizeof *s->drawn.memo);
    s->drawn.rows = r.h;
    int first = w.x / w.step, last = (w.x + r.w) / w.step;
    for (int level = first < 0 ? 0 : first; level <= last && level < shape->depth; level++)
        draw_level(s, &w, level);
    if (shows_map(s, &w))
        draw_map(s, &w);
}

int tui_drawn_work(struct tui_screen *s)
{
    return tui_tidy_go_on(&s->drawn.tidy, SLICE);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

/* So many places down its own level. */
static void move(struct tui_screen *s, int node, int64_t by)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    const struct tui_tidy_level *level = &shape->levels[tui_screen_node(s, node)->depth];
    int64_t at = tui_tidy_find(shape, tui_screen_node(s, node)->depth, shape->y[node]) + by;
    at = at < 0 ? 0 : at >= level->count ? level->count - 1 : at;
    tui_screen_select(s, level->nodes[at]);
}

/* To the child that stands nearest. */
static void go_right(struct tui_screen *s, int node)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    int depth = tui_screen_node(s, node)->depth + 1, best = -1;
    if (!s->outline.nodes[node].open) {
        tui_outline_set_open(&s->outline, node, 1);
        return;
    }
    if (depth >= shape->depth)
        return;
    const struct tui_tidy_level *level = &shape->levels[depth];
    int at = tui_tidy_find(shape, depth, shape->y[node]);
    for (int i = at > 0 ? at - 1 : 0; i < level->count && i <= at; i++) /* its children lie around its own row */
        if (tui_screen_node(s, level->nodes[i])->parent == node && (best < 0 || shape->y[level->nodes[i]] <= shape->y[node]))
            best = level->nodes[i];
    if (best >= 0)
        tui_screen_select(s, best);
}

static void change_zoom(struct tui_screen *s, int by)
{
    int to = s->drawn.zoom + by;
    s->drawn.zoom = to < 0 ? 0 : to >= ZOOMS ? ZOOMS - 1 : to;
}

static int move_key(struct tui_screen *s, int32_t k, int count, int node)
{
    int times = count ? count : 1;
    switch (k) {
    case 'j':
    case TUI_KEY_DOWN:
        move(s, node, times);
        return 1;
    case 'k':
    case TUI_KEY_UP:
        move(s, node, -times);
        return 1;
    case TUI_KEY_PAGE_DOWN:
    case TUI_KEY_PAGE_UP:
        move(s, node, (k == TUI_KEY_PAGE_DOWN ? 1 : -1) * (int64_t)times * (s->drawn.rows > 2 ? s->drawn.rows - 2 : 1));
        return 1;
    case 'h':
    case TUI_KEY_LEFT:
        if (tui_screen_node(s, node)->parent >= 0)
            tui_screen_select(s, tui_screen_node(s, node)->parent);
        return 1;
    case 'l':
    case TUI_KEY_RIGHT:
        go_right(s, node);
        return 1;
    case 'g':
    case TUI_KEY_HOME:
        tui_screen_select(s, 0);
        return 1;
    case 'G':
    case TUI_KEY_END:
        if (!tui_screen_go(s, count))
            move(s, node, INT32_MAX);
        return 1;
    default:
        return 0;
    }
}

static int key(struct tui_screen *s, int32_t k, int count, struct tui_action *action)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    (void)action;
    if (k == 'i' || k == 'I') { /* o is a key of the search's */
        change_zoom(s, k == 'i' ? -1 : 1);
        return 1;
    }
    if (k == 'M') {
        s->drawn.no_map = !s->drawn.no_map;
        return 1;
    }
    int node = shown_node(s), renewed = s->drawn.tidy.renewed != s->outline.renewed; /* places are of another tree until the next drawing */
    if (!shape->count || renewed || node >= shape->count || shape->y[node] < 0)
        return 0;
    return move_key(s, k, count, node);
}

static int hints(const struct tui_screen *s, struct tui_hint out[TUI_HINTS])
{
    int n = 0;
    if (s->drawn.tidy.shape.count) {
        out[n++] = (struct tui_hint){"h j k l", "move"};
        out[n++] = (struct tui_hint){"i I", "nearer, farther"};
        if (s->drawn.tidy.shape.rows > s->drawn.rows)
            out[n++] = (struct tui_hint){"M", "map"};
        if (tui_outline_copies(&s->outline, shown_node(s)))
            out[n++] = (struct tui_hint){"*", "copies"};
    }
    return n;
}

static void click(struct tui_screen *s, int x, int y)
{
    const struct tui_tidy_shape *shape = &s->drawn.tidy.shape;
    int w = s->layout.panes[tui_screen_pane(s, &tui_view_drawn)].w, level = (x + s->drawn.x) / step_of(s, w), row = y + s->drawn.y;
    if (!shape->count || s->drawn.tidy.renewed != s->outline.renewed || level >= shape->depth)
        return;
    int at = tui_tidy_find(shape, level, row);
    if (at < shape->levels[level].count && shape->y[shape->levels[level].nodes[at]] == row) {
        s->scrolled = 1;
        tui_screen_select(s, shape->levels[level].nodes[at]);
    }
}

static void scroll(struct tui_screen *s, int lines)
{
    s->scrolled = 1;
    s->follow = 0;
    s->drawn.y += lines;
}

const struct tui_view tui_view_drawn = {
    .name = "drawn", .letter = 'd', .about = "the tree as a drawing, near or far, with a map", .help = "the drawn tree",
    .draw = draw, .key = key, .hints = hints, .click = click, .scroll = scroll,
};
