#include "tui/curve.h"

#include <math.h>
#include <stdlib.h>

enum { GUTTER = 8, BELOW = 3 }; /* " 12.34 ┤" on the left; axis, numbers and caption below */

static const struct tui_style ink = {.role = TUI_TEXT};

struct area {
    struct tui_canvas canvas;
    int w, h; /* its cells are at (GUTTER, 0) and on */
    double right, low, high, step;
};

/* 1, 2 or 5 times a power of ten, at least x. */
static double round_up(double x)
{
    const double power = pow(10, floor(log10(x)));
    return x <= power ? power : x <= 2 * power ? 2 * power : x <= 5 * power ? 5 * power : 10 * power;
}

static void choose_scales(struct area *a, const struct tui_curve *c)
{
    double low = INFINITY, high = -INFINITY;
    a->right = (double)c->count * c->width;
    for (int i = 0; i < c->count; i++)
        low = fmin(low, c->y[i]), high = fmax(high, c->y[i]);
    for (int i = 0; i < c->marks; i++) {
        low = fmin(low, c->mark_y[i]), high = fmax(high, c->mark_y[i]);
        a->right = fmax(a->right, c->mark_x[i]);
    }
    if (!(high > low)) /* one value, or none */
        low = isfinite(low) ? low : 0, high = low + 1;
    a->right = fmax(a->right, 1);
    a->step = round_up((high - low) / (a->h > 8 ? 4 : 2));
    a->low = floor(low / a->step) * a->step;
    a->high = ceil(high / a->step) * a->step;
}

static int column_of(const struct area *a, double x)
{
    return (int)lround(x / a->right * (a->w - 1));
}

static int row_of(const struct area *a, double y)
{
    return (int)lround((a->high - y) / (a->high - a->low) * (a->h - 1));
}

static void put(struct area *a, int x, int y, const char *sign)
{
    tui_canvas_text(&a->canvas, x, y, 1, ink, sign);
}

static void draw_axes(struct area *a)
{
    char label[32];
    for (int y = 0; y < a->h; y++)
        put(a, GUTTER - 1, y, "│");
    for (int i = 0; a->low + i * a->step <= a->high + a->step / 2; i++) {
        const int y = row_of(a, a->low + i * a->step);
        snprintf(label, sizeof label, "%6.3g", a->low + i * a->step);
        tui_canvas_text(&a->canvas, 0, y, GUTTER - 1, ink, label);
        put(a, GUTTER - 1, y, "┤");
    }
    put(a, GUTTER - 1, a->h, "└");
    for (int x = 0; x < a->w; x++)
        put(a, GUTTER + x, a->h, "─");
    const double step = round_up(a->right / (a->w > 48 ? 5 : 2.5));
    for (double x = 0; x <= a->right; x += step) {
        const int n = snprintf(label, sizeof label, x >= 1e4 ? "%gk" : "%g", x >= 1e4 ? x / 1e3 : x), at = GUTTER + column_of(a, x);
        const int last = a->canvas.w - n;
        put(a, at, a->h, "┬");
        tui_canvas_text(&a->canvas, at - n / 2 < last ? at - n / 2 : last, a->h + 1, n, ink, label);
    }
}

/* Of the points of a column the mean. */
static void draw_curve(struct area *a, const struct tui_curve *c)
{
    for (int i = 0, n; i < c->count; i += n) {
        const int x = column_of(a, (double)(i + 1) * c->width);
        double sum = 0;
        for (n = 0; i + n < c->count && column_of(a, (double)(i + n + 1) * c->width) == x; n++)
            sum += c->y[i + n];
        put(a, GUTTER + x, row_of(a, sum / n), "•");
    }
}

void tui_curve(const struct tui_curve *c, const char *caption, int columns, int rows, int ascii, struct string *out)
{
    struct area a = {.w = columns - GUTTER, .h = rows - BELOW};
    tui_canvas_size(&a.canvas, columns, rows);
    a.canvas.ascii = ascii;
    choose_scales(&a, c);
    draw_axes(&a);
    draw_curve(&a, c);
    for (int i = 0; i < c->marks; i++)
        put(&a, GUTTER + column_of(&a, c->mark_x[i]), row_of(&a, c->mark_y[i]), "v");
    tui_canvas_cut(&a.canvas, GUTTER, rows - 1, a.w, ink, caption);
    tui_canvas_dump(&a.canvas, out);
    tui_canvas_free(&a.canvas);
}
