/* The keys of the terminal, and what its mouse does: from the bytes and codes that curses gives to what a screen knows (key.h). terminal.c has the
 * one there is. */
#ifndef ESPALIER_TUI_KEYBOARD_H
#define ESPALIER_TUI_KEYBOARD_H

#include "tui/key.h"

#include <stdint.h>

enum { TUI_MOVES = 8 }; /* as many as curses keeps */
struct tui_keyboard {
    void *window;                            /* of curses, read from: nothing is ever drawn there, so reading refreshes nothing */
    struct tui_mouse moved, moves[TUI_MOVES]; /* what it did last, and what came with that and is to be told next */
    int move_count;
    char bytes[4];                           /* of text, the first of a character that is not whole yet */
    int byte_count;
    int code;                                /* a key of curses' that came after them, 0: none */
};
/* paste_begins, paste_ends: what the terminal sends around what is pasted, or NULL. Curses is open, and is closed after it. */
void tui_keyboard_open(struct tui_keyboard *k, const char *paste_begins, const char *paste_ends);
void tui_keyboard_close(struct tui_keyboard *k);
int32_t tui_keyboard_key(struct tui_keyboard *k); /* the next that waits, or TUI_KEY_NONE */

#endif
