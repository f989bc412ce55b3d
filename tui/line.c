#include "tui/line.h"

#include <stdlib.h>
#include <string.h>

void tui_line_set(struct tui_line *l, const char *text)
{
    const size_t all = strlen(text);
    size_t n = all < TUI_LINE_MOST ? all : TUI_LINE_MOST;
    while (n < all && n && ((unsigned char)text[n] & 0xc0) == 0x80) /* whole characters */
        n--;
    string_clear(&l->text);
    string_append(&l->text, text, n);
    l->cursor = l->text.length;
    l->pasting = 0;
    l->left_out = all - n;
}

void tui_line_tell(const struct tui_line *l, char *notice, size_t n)
{
    if (l->left_out)
        snprintf(notice, n, "the line is full: it holds %d KiB, and %zu bytes more are left out", TUI_LINE_MOST >> 10, l->left_out);
}

void tui_line_free(struct tui_line *l)
{
    string_free(&l->text);
    *l = (struct tui_line){0};
}

/* --- places ------------------------------------------------------------------------------------------------------ */

/* Where the cluster ends that begins at `at`. */
static size_t end_of(const struct tui_line *l, size_t at)
{
    const char *text = string_text(&l->text), *p = text + at;
    struct tui_cluster cluster;
    tui_cluster_next(&p, text + l->text.length, &cluster);
    return (size_t)(p - text);
}

/* The greatest beginning of a cluster before `at`. */
static size_t before(const struct tui_line *l, size_t at)
{
    size_t last = 0;
    for (size_t i = 0; i < at; i = end_of(l, i))
        last = i;
    return last;
}

/* The least place that is the beginning of a cluster, or the end, and not before `at`: a mark that lost its character joins another.
 * ASCII joins nothing. */
static size_t snap(const struct tui_line *l, size_t at)
{
    size_t i = 0;
    if (at >= l->text.length || (unsigned char)l->text.text[at] < 0x80)
        return at;
    while (i < at && i < l->text.length)
        i = end_of(l, i);
    return i;
}

static size_t word_before(const struct tui_line *l, size_t at)
{
    const char *text = string_text(&l->text);
    while (at > 0 && text[at - 1] == ' ')
        at--;
    while (at > 0 && text[at - 1] != ' ')
        at--;
    return at;
}

/* --- changes ----------------------------------------------------------------------------------------------------- */

static void delete(struct tui_line *l, size_t from, size_t to)
{
    if (from >= to)
        return;
    memmove(l->text.text + from, l->text.text + to, l->text.length - to + 1);
    l->text.length -= to - from;
    l->cursor = snap(l, from);
}

static void insert(struct tui_line *l, int32_t scalar)
{
    char bytes[4];
    int n = scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--, scalar >>= 6)
        bytes[i] = (char)(0x80 | (scalar & 0x3f));
    bytes[0] = (char)(first[n] | scalar);
    if (l->text.length + (size_t)n > TUI_LINE_MOST) {
        l->left_out += (size_t)n;
        return;
    }
    size_t tail = l->text.length - l->cursor;
    string_append(&l->text, bytes, (size_t)n); /* for the room */
    memmove(l->text.text + l->cursor + n, l->text.text + l->cursor, tail);
    memcpy(l->text.text + l->cursor, bytes, (size_t)n);
    l->cursor = snap(l, l->cursor + (size_t)n);
}

static int is_text(int32_t key)
{
    return key >= ' ' && key <= 0x10ffff && (key < 0x7f || key > 0x9f) && (key < 0xd800 || key > 0xdfff);
}

static void paste(struct tui_line *l, int32_t key)
{
    int blank = key == TUI_KEY_ENTER || key == '\n' || key == '\t';
    if (blank && l->cursor && l->text.text[l->cursor - 1] == ' ')
        return;
    if (blank || is_text(key))
        insert(l, blank ? ' ' : key);
}

int tui_line_key(struct tui_line *l, int32_t key)
{
    if (key == TUI_KEY_PASTE_BEGINS || key == TUI_KEY_PASTE_ENDS) {
        l->pasting = key == TUI_KEY_PASTE_BEGINS;
        return 1;
    }
    if (l->pasting) {
        paste(l, key);
        return 1;
    }
    l->left_out = 0;
    switch (key) {
    case TUI_KEY_LEFT:
    case 'B' - TUI_KEY_CONTROL:
        l->cursor = before(l, l->cursor);
        return 1;
    case TUI_KEY_RIGHT:
    case 'F' - TUI_KEY_CONTROL:
        if (l->cursor < l->text.length)
            l->cursor = end_of(l, l->cursor);
        return 1;
    case TUI_KEY_HOME:
    case 'A' - TUI_KEY_CONTROL:
        l->cursor = 0;
        return 1;
    case TUI_KEY_END:
    case 'E' - TUI_KEY_CONTROL:
        l->cursor = l->text.length;
        return 1;
    case TUI_KEY_BACKSPACE:
    case 'H' - TUI_KEY_CONTROL:
    case 0x7f:
        delete(l, before(l, l->cursor), l->cursor);
        return 1;
    case TUI_KEY_DELETE:
    case 'D' - TUI_KEY_CONTROL:
        if (l->cursor < l->text.length)
            delete(l, l->cursor, end_of(l, l->cursor));
        return 1;
    case 'U' - TUI_KEY_CONTROL:
        delete(l, 0, l->cursor);
        return 1;
    case 'K' - TUI_KEY_CONTROL:
        delete(l, l->cursor, l->text.length);
        return 1;
    case 'W' - TUI_KEY_CONTROL:
        delete(l, word_before(l, l->cursor), l->cursor);
        return 1;
    default:
        if (is_text(key))
            insert(l, key);
        return is_text(key);
    }
}

/* --- how it looks ------------------------------------------------------------------------------------------------ */

/* Newlines, which only a text that was there before can have, are seen. */
static int draw_cluster(struct tui_canvas *c, int x, int y, struct tui_style style, char first, struct tui_cluster *cluster)
{
    if (first == '\n')
        cluster->scalars[0] = 0x21b5;
    return tui_canvas_cluster(c, x, y, style, cluster);
}

void tui_line_draw(const struct tui_line *l, struct tui_canvas *c, int x, int y, int columns)
{
    const char *text = string_text(&l->text), *end = text + l->text.length, *cursor = text + l->cursor;
    struct tui_style plain = {.role = TUI_TEXT}, on = {.role = TUI_TEXT, .ground = TUI_CURSOR};
    size_t tail = tui_width_tail(text, l->cursor, columns > 4 ? columns - 3 : 1); /* room for the cursor on a wide one */
    int stop = x + columns;
    for (const char *p = text + tail; p < end;) {
        const char *start = p;
        struct tui_cluster cluster;
        tui_cluster_next(&p, end, &cluster);
        if (x + cluster.width > stop)
            return;
        x += draw_cluster(c, x, y, start == cursor ? on : plain, *start, &cluster);
    }
    if (cursor == end && x < stop)
        tui_canvas_text(c, x, y, 1, on, " ");
}
