#include "tui/canvas.h"

#include <stdlib.h>
#include <string.h>

static const struct tui_style plain_style = {.role = TUI_TEXT};

/* Signs of ours that have a likeness in ASCII. */
static const struct sign {
    int32_t scalar;
    char ascii;
} signs[] = {
    {0x2500, '-'}, {0x2502, '|'}, {0x250c, '+'}, {0x2510, '+'}, {0x2514, '`'}, {0x2518, '+'}, {0x251c, '|'}, {0x2524, '|'}, {0x252c, '+'},
    {0x2534, '+'}, {0x253c, '+'}, {0x2501, '='}, {0x2578, '-'}, {0x25be, 'v'}, {0x25b8, '>'}, {0x2605, '*'}, {0x2713, '+'}, {0x2717, 'x'},
    {0x2026, '~'}, {0x00b7, '.'}, {0x275a, '|'}, {0x25a0, '#'}, {0x00bb, '>'}, {0x21b5, '$'}, {0x2190, '<'}, {0x2192, '>'}, {0x2191, '^'},
    {0x2193, 'v'}, {0x00d7, 'x'}, {0x25cf, 'o'}, {0x2503, '|'}, {0x25c6, '@'}, {0x270e, '&'}, {0x2298, '!'}, {0x25c2, '<'},
    {0x25cb, '.'}, {0x2702, 'X'}, {0x2591, ':'}, {0x2592, '%'}, {0x2593, '#'}, {0x221a, 'V'}, {0x03ba, 'k'}, {0x03bd, 'n'}, {0x03c4, 't'},
    {0x03c7, 'X'}, {0x00b2, '2'}, {0x25bc, 'v'}, {0x25b2, 'A'}, {0x25cd, '@'}, {0x2581, '_'}, {0x2582, '_'}, {0x2583, '-'}, {0x2584, '-'}, {0x2585, '='}, {0x2586, '='},
    {0x2587, '#'}, {0x2588, '#'},
};

static char ascii_of(int32_t scalar)
{
    if (scalar < 0x7f)
        return (char)scalar;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (signs[i].scalar == scalar)
            return signs[i].ascii;
    return '?';
}

static struct tui_cell *cell_at(const struct tui_canvas *c, int x, int y)
{
    return c->cells + (size_t)y * (size_t)c->w + x;
}

static void blank_cells(struct tui_cell *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cells[i] = (struct tui_cell){.scalars = {' '}, .width = 1, .style = plain_style};
}

void tui_canvas_size(struct tui_canvas *c, int w, int h)
{
    c->w = w;
    c->h = 0;
    tui_canvas_rows(c, h);
}

void tui_canvas_rows(struct tui_canvas *c, int h)
{
    size_t need = (size_t)c->w * (size_t)h, had = (size_t)c->w * (size_t)c->h;
    if (need > (size_t)c->capacity) {
        c->capacity = (int)(need + need / 2);
        c->cells = xrealloc(c->cells, (size_t)c->capacity * sizeof *c->cells);
    }
    c->h = h;
    if (need > had)
        blank_cells(c->cells + had, need - had);
}

void tui_canvas_free(struct tui_canvas *c)
{
    free(c->cells);
    *c = (struct tui_canvas){0};
}

/* What is drawn over half of a wide character takes the other half away too. */
static void clear_half(struct tui_canvas *c, int x, int y)
{
    struct tui_cell *cell = cell_at(c, x, y);
    if (cell->width == 0 && x > 0) {
        cell[-1].scalars[0] = ' ';
        memset(cell[-1].scalars + 1, 0, sizeof cell->scalars - sizeof *cell->scalars);
        cell[-1].width = 1;
    } else if (cell->width == 2 && x + 1 < c->w) {
        cell[1].scalars[0] = ' ';
        cell[1].width = 1;
    }
}

int tui_canvas_cluster(struct tui_canvas *c, int x, int y, struct tui_style style, const struct tui_cluster *cluster)
{
    if (y < 0 || y >= c->h || x < 0 || x + cluster->width > c->w)
        return cluster->width;
    if (c->ascii && cluster->scalars[0] >= 0x7f) {
        struct tui_cluster sign = {{ascii_of(cluster->scalars[0])}, 1, 1};
        for (int i = 0; i < cluster->width; i++)
            tui_canvas_cluster(c, x + i, y, style, &sign);
        return cluster->width;
    }
    for (int i = 0; i < cluster->width; i++)
        clear_half(c, x + i, y);
    struct tui_cell *cell = cell_at(c, x, y);
    *cell = (struct tui_cell){.width = (uint8_t)cluster->width, .style = style};
    int count = c->ascii ? 1 : cluster->count;
    memcpy(cell->scalars, cluster->scalars, (size_t)count * sizeof *cell->scalars);
    if (cluster->width == 2)
        cell[1] = (struct tui_cell){.style = style};
    return cluster->width;
}

int tui_canvas_bytes(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text, size_t n)
{
    int used = 0;
    for (const char *p = text, *end = text + n; p < end;) {
        struct tui_cluster cluster;
        tui_cluster_next(&p, end, &cluster);
        if (cluster.width > limit - used)
            break;
        used += tui_canvas_cluster(c, x + used, y, style, &cluster);
    }
    return used;
}

int tui_canvas_text(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text)
{
    return tui_canvas_bytes(c, x, y, limit, style, text, strlen(text));
}

int tui_canvas_cut(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text)
{
    size_t n = strlen(text);
    if (limit <= 0)
        return 0;
    if (tui_width_fit(text, n, limit, NULL) == n)
        return tui_canvas_bytes(c, x, y, limit, style, text, n);
    int used = tui_canvas_bytes(c, x, y, limit - 1, style, text, n);
    return used + tui_canvas_text(c, x + used, y, 1, style, "…");
}

int tui_canvas_right(struct tui_canvas *c, int x, int y, int limit, struct tui_style style, const char *text)
{
    int used, room = limit < 0 ? 0 : limit;
    tui_width_fit(text, strlen(text), room, &used);
    tui_canvas_cut(c, x + room - used, y, used, style, text);
    return used;
}

void tui_canvas_fill(struct tui_canvas *c, struct tui_rect r, struct tui_style style, int32_t scalar)
{
    struct tui_cluster cluster = {{scalar}, 1, 1};
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            tui_canvas_cluster(c, x, y, style, &cluster);
}

void tui_canvas_bar(struct tui_canvas *c, int x, int y, int columns, struct tui_style style, double part)
{
    if (!(part > 0))
        return;
    int halves = (int)((part > 1 ? 1 : part) * columns * 2 + 0.5);
    if (!halves)
        halves = 1; /* something is not nothing */
    for (int i = 0; i < halves / 2; i++)
        tui_canvas_text(c, x + i, y, 1, style, "━");
    if (halves % 2)
        tui_canvas_text(c, x + halves / 2, y, 1, style, "╸");
}

void tui_canvas_ground(struct tui_canvas *c, int x, int y, int w, enum tui_ground ground)
{
    for (int i = x; i < x + w; i++)
        if (y >= 0 && y < c->h && i >= 0 && i < c->w && cell_at(c, i, y)->style.ground != TUI_CURSOR)
            cell_at(c, i, y)->style.ground = (uint8_t)ground;
}

void tui_canvas_paste(struct tui_canvas *c, struct tui_rect r, const struct tui_canvas *source, int from)
{
    for (int i = 0; i < r.h && from + i < source->h; i++) {
        if (r.y + i < 0 || r.y + i >= c->h || from + i < 0)
            continue;
        int w = r.w < source->w ? r.w : source->w;
        if (w > c->w - r.x)
            w = c->w - r.x;
        if (w <= 0)
            return;
        memcpy(cell_at(c, r.x, r.y + i), cell_at(source, 0, from + i), (size_t)w * sizeof *c->cells);
        struct tui_cell *last = cell_at(c, r.x + w - 1, r.y + i);
        if (last->width == 2) /* its other half was not copied */
            blank_cells(last, 1);
    }
}

/* --- as text ----------------------------------------------------------------------------------------------------- */

static void add_scalar(struct string *out, int32_t c)
{
    char b[4];
    size_t n = 0;
    if (c < 0x80) {
        b[n++] = (char)c;
    } else if (c < 0x800) {
        b[n++] = (char)(0xc0 | c >> 6);
        b[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        if (c < 0x10000) {
            b[n++] = (char)(0xe0 | c >> 12);
        } else {
            b[n++] = (char)(0xf0 | c >> 18);
            b[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        }
        b[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        b[n++] = (char)(0x80 | (c & 0x3f));
    }
    string_append(out, b, n);
}

void tui_cell_text(const struct tui_cell *cell, struct string *out)
{
    for (int i = 0; i < TUI_CLUSTER && cell->scalars[i]; i++)
        add_scalar(out, cell->scalars[i]);
}

int tui_cell_is_settled(const struct tui_cell *cell)
{
    const int32_t c = cell->scalars[0];
    return cell->width != 2 && !cell->scalars[1] &&
           (c < 0x300 || (c >= 0x370 && c < 0x530) || (c >= 0x2010 && c < 0x2060) || (c >= 0x2190 && c < 0x2300) || (c >= 0x2500 && c < 0x2900));
}

static int is_blank(const struct tui_cell *cell)
{
    return cell->scalars[0] == ' ' && !cell->scalars[1];
}

void tui_canvas_dump(const struct tui_canvas *c, struct string *out)
{
    for (int y = 0; y < c->h; y++) {
        int last = c->w;
        while (last > 0 && is_blank(cell_at(c, last - 1, y)))
            last--;
        for (int x = 0; x < last; x++)
            tui_cell_text(cell_at(c, x, y), out);
        string_append(out, "\n", 1);
    }
}

void tui_canvas_dump_roles(const struct tui_canvas *c, struct string *out)
{
    for (int y = 0; y < c->h; y++) {
        size_t start = out->length;
        size_t last = start;
        for (int x = 0; x < c->w; x++) {
            const struct tui_cell *cell = cell_at(c, x, y);
            char letter = is_blank(cell) && !cell->style.ground ? ' ' : tui_role_letter(cell->style);
            string_append(out, &letter, 1);
            if (letter != ' ')
                last = out->length;
        }
        out->length = last;
        string_append(out, "\n", 1);
    }
}
