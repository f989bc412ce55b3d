#include "tui/paper.h"

#include <stdlib.h>
#include <string.h>

void tui_paper_open(struct tui_paper *p, struct tui_canvas *canvas, int w, int ascii)
{
    *p = (struct tui_paper){.canvas = canvas};
    canvas->ascii = ascii;
    tui_canvas_size(canvas, w, 1);
}

void tui_paper_newline(struct tui_paper *p)
{
    p->x = p->indent;
    p->y++;
    if (p->y >= p->canvas->h)
        tui_canvas_rows(p->canvas, p->y + 1);
}

void tui_paper_put(struct tui_paper *p, struct tui_style style, const char *text)
{
    p->x += tui_canvas_cut(p->canvas, p->x, p->y, p->canvas->w - p->x, style, text);
}

void tui_paper_putf(struct tui_paper *p, struct tui_style style, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tui_paper_put(p, style, text);
}

/* Columns of the word that begins here. */
static int word_width(const char *text, const char *end, int most)
{
    int w = 0;
    while (text < end && *text != ' ' && *text != '\n' && w <= most) {
        struct tui_cluster cluster;
        tui_cluster_next(&text, end, &cluster);
        w += cluster.width;
    }
    return w;
}

void tui_paper_wrap_styled(struct tui_paper *p, const char *text, size_t n, tui_paper_style *style_of, void *context)
{
    int w = p->canvas->w, between = 1;
    for (const char *at = text, *end = text + n; at < end;) {
        struct tui_cluster cluster;
        const char *start = at;
        if (between && *at != ' ' && *at != '\n') {
            int word = word_width(at, end, w);
            if (p->x > p->indent && p->x + word > w && word <= w - p->indent)
                tui_paper_newline(p);
        }
        between = *at == ' ' || *at == '\n';
        tui_cluster_next(&at, end, &cluster);
        if (p->x + cluster.width > w) {
            tui_paper_newline(p);
            if (*start == ' ') /* the break stands for it */
                continue;
        }
        struct tui_style style = style_of(context, (size_t)(start - text), p->x, p->y);
        if (*start == '\n') {
            if (style.ground) { /* under the cursor it is seen */
                cluster.scalars[0] = 0x21b5;
                tui_canvas_cluster(p->canvas, p->x, p->y, style, &cluster);
            }
            tui_paper_newline(p);
        } else {
            p->x += tui_canvas_cluster(p->canvas, p->x, p->y, style, &cluster);
        }
    }
}

static struct tui_style same_style(void *context, size_t offset, int x, int y)
{
    (void)offset, (void)x, (void)y;
    return *(struct tui_style *)context;
}

void tui_paper_wrap(struct tui_paper *p, struct tui_style style, const char *text)
{
    tui_paper_wrap_styled(p, text, strlen(text), same_style, &style);
}

void tui_paper_heading(struct tui_paper *p, const char *title)
{
    if (p->x > p->indent)
        tui_paper_newline(p);
    struct tui_style border = {.role = TUI_BORDER}, name = {.role = TUI_TITLE};
    tui_canvas_fill(p->canvas, (struct tui_rect){0, p->y, p->canvas->w, 1}, border, 0x2500);
    int x = tui_canvas_text(p->canvas, 1, p->y, p->canvas->w - 1, name, " ");
    x += tui_canvas_cut(p->canvas, 1 + x, p->y, p->canvas->w - 3, name, title);
    tui_canvas_text(p->canvas, 1 + x, p->y, 1, name, " ");
    tui_paper_newline(p);
}

int tui_paper_lines(const struct tui_paper *p)
{
    return p->y + (p->x > p->indent);
}

void tui_paper_note(struct tui_canvas *canvas, int bottom, struct tui_style style, const char *text)
{
    struct tui_canvas lines = {0};
    struct tui_paper p;
    tui_paper_open(&p, &lines, canvas->w > 2 ? canvas->w - 2 : 1, canvas->ascii);
    tui_paper_wrap(&p, style, text);
    const int most = bottom + 1, rows = tui_paper_lines(&p) < most ? tui_paper_lines(&p) : most, top = bottom + 1 - rows;
    tui_canvas_fill(canvas, (struct tui_rect){0, top, canvas->w, rows}, (struct tui_style){.role = TUI_TEXT}, ' ');
    tui_canvas_paste(canvas, (struct tui_rect){1, top, canvas->w - 2, rows}, &lines, 0);
    tui_canvas_free(&lines);
}
