/* Paper: a canvas that grows downwards as text is written on it; a pane shows the part it has room for. */
#ifndef ESPALIER_TUI_PAPER_H
#define ESPALIER_TUI_PAPER_H

#include "tui/canvas.h"

/* Writing goes on at (x, y); the canvas has at least y + 1 rows. */
struct tui_paper {
    struct tui_canvas *canvas;
    int x, y, indent; /* indent: where lines begin */
};
void tui_paper_open(struct tui_paper *p, struct tui_canvas *canvas, int w, int ascii);
void tui_paper_newline(struct tui_paper *p);
/* On the present line, cut at its end. */
void tui_paper_put(struct tui_paper *p, struct tui_style style, const char *text);
void tui_paper_putf(struct tui_paper *p, struct tui_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Over as many lines as it takes, broken between words; newlines in the text are kept. Ends on the last of them. */
void tui_paper_wrap(struct tui_paper *p, struct tui_style style, const char *text);
/* The same for text of which each part has its own style: style_of(context, offset of a cluster, where it is drawn). */
typedef struct tui_style tui_paper_style(void *context, size_t offset, int x, int y);
void tui_paper_wrap_styled(struct tui_paper *p, const char *text, size_t n, tui_paper_style *style_of, void *context);
/* A rule with a heading, on a line of its own, and a new line after it. */
void tui_paper_heading(struct tui_paper *p, const char *title);
/* How many lines are written. */
int tui_paper_lines(const struct tui_paper *p);
/* A note that ends on row `bottom` of a canvas and stands on as many rows above it as it takes: what is said there is never cut. */
void tui_paper_note(struct tui_canvas *canvas, int bottom, struct tui_style style, const char *text);

#endif
