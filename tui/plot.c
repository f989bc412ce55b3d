#include "tui/plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUTTER = 7, BELOW = 3, ASIDE = 4 }; /* "100 % ┤" on the left; axis, numbers and caption below; how far a mark may be moved */

static const struct tui_style ink = {.role = TUI_TEXT};

struct mark {
    int x, y, top, bottom; /* cells of the plot's own area */
    char letter;
    enum tui_role role;
};

struct plot {
    struct tui_canvas *canvas;
    int w, h; /* of the area: its cells are at (GUTTER, 0) and on */
    double left, right; /* logarithms of x at its first and last column */
    double low, high;   /* y at its last and first row: multiples of step */
    double step;
    struct mark *marks;
    int count;
};

char tui_plot_letter(int series)
{
    return series < 26 ? (char)('a' + series) : series < 52 ? (char)('A' + series - 26) : '?';
}

/* --- scales ------------------------------------------------------------------------------------------------------ */

static double logarithm(double x)
{
    return log10(x >= 1 ? x : 1);
}

/* 1, 2, 5, 10, 20, ...: the n-th, from 1 on. */
static double round_number(int n)
{
    static const double digits[] = {1, 2, 5};
    return digits[n % 3] * pow(10, n / 3);
}

static void choose_scales(struct plot *p, const struct tui_plot_series *series, int count)
{
    double least = INFINITY, most = 0, low = 1, high = 0;
    for (int s = 0; s < count; s++)
        for (int i = 0; i < series[s].count; i++) {
            const struct tui_plot_point *point = &series[s].points[i];
            least = fmin(least, logarithm(point->x));
            most = fmax(most, logarithm(point->x));
            low = fmin(low, fmin(point->low, point->y));
            high = fmax(high, fmax(point->high, point->y));
        }
    int first = 0, last;
    while (isfinite(least) && log10(round_number(first + 1)) <= least)
        first++;
    for (last = first + 1; log10(round_number(last)) < most; last++)
        ;
    p->left = log10(round_number(first));
    p->right = log10(round_number(last));
    static const int parts[] = {10, 5, 2, 1};
    for (int i = 0; i < 4; i++) { /* as fine as leaves a row between two numbers; at least two tenths */
        p->step = 1.0 / parts[i];
        p->low = floor(fmin(low, 0.8) * parts[i] + 1e-9) / parts[i];
        p->high = ceil(fmax(high, p->low + 0.2) * parts[i] - 1e-9) / parts[i];
        if (lround((p->high - p->low) * parts[i]) * 2 <= p->h)
            break;
    }
}

static int column_of(const struct plot *p, double x)
{
    return (int)lround((logarithm(x) - p->left) / (p->right - p->left) * (p->w - 1));
}

static int row_of(const struct plot *p, double y)
{
    return (int)lround((p->high - y) / (p->high - p->low) * (p->h - 1));
}

/* --- drawing ----------------------------------------------------------------------------------------------------- */

static void put(struct plot *p, int x, int y, enum tui_role role, const char *sign)
{
    tui_canvas_text(p->canvas, x, y, 1, (struct tui_style){.role = (uint8_t)role}, sign);
}

static int is_blank(const struct plot *p, int x, int y, int w)
{
    for (int i = x; i < x + w; i++)
        if (i < 0 || i >= p->canvas->w || p->canvas->cells[y * p->canvas->w + i].scalars[0] != ' ')
            return 0;
    return 1;
}

static void draw_y_axis(struct plot *p)
{
    for (int y = 0; y < p->h; y++)
        put(p, GUTTER - 1, y, TUI_TEXT, "│");
    for (int i = 0; p->low + i * p->step <= p->high + 1e-9; i++) {
        char label[32];
        int y = row_of(p, p->low + i * p->step);
        snprintf(label, sizeof label, "%3.0f %%", 100 * (p->low + i * p->step));
        tui_canvas_text(p->canvas, 0, y, GUTTER - 2, ink, label);
        put(p, GUTTER - 1, y, TUI_TEXT, "┤");
    }
}

/* A round number on the axis where there is room for it: powers of ten first. */
static void draw_tick(struct plot *p, double value)
{
    char label[32];
    if (value >= 1e6)
        snprintf(label, sizeof label, "%gM", value / 1e6);
    else if (value >= 1e3)
        snprintf(label, sizeof label, "%gk", value / 1e3);
    else
        snprintf(label, sizeof label, "%g", value);
    int n = (int)strlen(label), x = GUTTER + column_of(p, value), at = x - n / 2;
    if (at + n > p->canvas->w)
        at = p->canvas->w - n;
    if (!is_blank(p, at, p->h + 1, n) || (at > GUTTER && !is_blank(p, at - 1, p->h + 1, 1)) ||
        (at + n < p->canvas->w && !is_blank(p, at + n, p->h + 1, 1)))
        return;
    tui_canvas_text(p->canvas, at, p->h + 1, n, ink, label);
    put(p, x, p->h, TUI_TEXT, "┬");
}

static void draw_x_axis(struct plot *p)
{
    put(p, GUTTER - 1, p->h, TUI_TEXT, "└");
    for (int x = 0; x < p->w; x++)
        put(p, GUTTER + x, p->h, TUI_TEXT, "─");
    for (int rest = 0; rest < 2; rest++)
        for (int n = 0; log10(round_number(n)) <= p->right + 1e-9; n++)
            if (log10(round_number(n)) >= p->left - 1e-9 && (n % 3 != 0) == rest)
                draw_tick(p, round_number(n));
}

/* --- marks ------------------------------------------------------------------------------------------------------- */

static int is_free(const struct plot *p, const struct mark *mark, int x)
{
    for (int i = 0; i < p->count; i++)
        if (p->marks[i].x == x && p->marks[i].top <= mark->bottom && p->marks[i].bottom >= mark->top)
            return 0;
    return x >= 0 && x < p->w;
}

static void add_mark(struct plot *p, const struct tui_plot_point *point, char letter, enum tui_role role)
{
    struct mark mark = {.x = column_of(p, point->x), .y = row_of(p, point->y), .letter = letter, .role = role};
    mark.top = row_of(p, fmax(point->high, point->y));
    mark.bottom = row_of(p, fmin(point->low, point->y));
    for (int i = 0; i <= 2 * ASIDE; i++) { /* here, then one to the right, one to the left, two to the right, ... */
        int x = mark.x + (i % 2 ? (i + 1) / 2 : -i / 2);
        if (is_free(p, &mark, x)) {
            mark.x = x;
            break;
        }
    }
    p->marks[p->count++] = mark;
}

static void join(struct plot *p, const struct mark *a, const struct mark *b)
{
    for (int x = a->x + 1; x < b->x; x++) {
        int y = a->y + (int)lround((double)(b->y - a->y) * (x - a->x) / (b->x - a->x));
        if (is_blank(p, GUTTER + x, y, 1))
            put(p, GUTTER + x, y, a->role, "·");
    }
}

static void draw_marks(struct plot *p)
{
    for (int i = 0; i < p->count; i++)
        for (int y = p->marks[i].top; y <= p->marks[i].bottom; y++)
            put(p, GUTTER + p->marks[i].x, y, p->marks[i].role, "│");
    for (int i = 0; i < p->count; i++)
        put(p, GUTTER + p->marks[i].x, p->marks[i].y, p->marks[i].role, (char[]){p->marks[i].letter, '\0'});
    for (int i = 1; i < p->count; i++)
        if (p->marks[i].letter == p->marks[i - 1].letter)
            join(p, &p->marks[i - 1], &p->marks[i]);
}

void tui_plot_draw(const struct tui_plot_series *series, int count, const char *caption, struct tui_canvas *out)
{
    struct plot p = {.canvas = out, .w = out->w - GUTTER, .h = out->h - BELOW};
    int points = 0;
    for (int s = 0; s < count; s++)
        points += series[s].count;
    p.marks = xcalloc((size_t)points + 1, sizeof *p.marks);
    choose_scales(&p, series, count);
    draw_y_axis(&p);
    draw_x_axis(&p);
    for (int s = 0; s < count; s++)
        for (int i = 0; i < series[s].count; i++)
            add_mark(&p, &series[s].points[i], tui_plot_letter(s), series[s].role);
    draw_marks(&p);
    tui_canvas_cut(out, GUTTER, out->h - 1, p.w, ink, caption);
    free(p.marks);
}

void tui_plot(const struct tui_plot_series *series, int count, const char *caption, int columns, int rows, int ascii, struct string *out)
{
    struct tui_canvas canvas = {.ascii = ascii};
    tui_canvas_size(&canvas, columns, rows);
    tui_plot_draw(series, count, caption, &canvas);
    tui_canvas_dump(&canvas, out);
    tui_canvas_free(&canvas);
}
