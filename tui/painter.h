/* From a canvas, and the one before, to the bytes that make a terminal show it: a pure function, without a terminal or its description. For
 * whatever plays them later: the sequences are those that every emulator of our days knows. */
#ifndef ESPALIER_TUI_PAINTER_H
#define ESPALIER_TUI_PAINTER_H

#include "tui/canvas.h"

enum { TUI_MONO = 0, TUI_PALETTE = 256, TUI_DIRECT = 1 << 24 }; /* attributes alone; xterm's fixed 256; colours as the theme has them */

/* Invariant: who was given all bytes so far shows `shown`, and draws on in `look`. */
struct tui_painter {
    const struct tui_theme *theme;
    int colors;
    struct tui_canvas shown;
    struct tui_look look;
    struct {
        int ready;
        struct tui_look look;
    } looks[TUI_STYLES][TUI_LEVELS][TUI_GROUNDS];
};
/* The theme must outlive it. out: the other screen, no cursor. */
void tui_painter_open(struct tui_painter *p, const struct tui_theme *theme, int colors, struct string *out);
void tui_painter_draw(struct tui_painter *p, const struct tui_canvas *canvas, struct string *out); /* what changed; nothing where nothing did */
void tui_painter_close(struct tui_painter *p, struct string *out); /* all as it was before open; out may be NULL */

#endif
