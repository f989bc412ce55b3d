/* A line of text being written by the user: where its cursor is, what keys do to it, how it looks in so many columns. */
#ifndef ESPALIER_TUI_LINE_H
#define ESPALIER_TUI_LINE_H

#include "tui/canvas.h"
#include "tui/key.h"

enum { TUI_LINE_MOST = 1 << 14 }; /* bytes; more are not taken */

/* Invariant: cursor <= text.length, at the beginning of a cluster or at the end. Text may be any bytes without NUL. */
struct tui_line {
    struct string text;
    size_t cursor;
    int pasting; /* what comes is text: newlines in a row become one blank */
    size_t left_out; /* bytes for which there was no room, since the last key that was not pasted */
};
void tui_line_set(struct tui_line *l, const char *text); /* and the cursor at its end */
/* Where something was left out, a notice that says so. */
void tui_line_tell(const struct tui_line *l, char *notice, size_t n);
void tui_line_free(struct tui_line *l);
/* 1 when the key was the line's: a character, a move, a deletion. Enter, escape and tab are not, unless they are pasted. */
int tui_line_key(struct tui_line *l, int32_t key);
/* Draw the part around the cursor, and the cursor as a cell. */
void tui_line_draw(const struct tui_line *l, struct tui_canvas *c, int x, int y, int columns);

#endif
