/* Copying to the clipboard of the terminal that shows us, wherever it runs: OSC 52, which is only ever written. Pure functions. */
#ifndef ESPALIER_TUI_COPY_H
#define ESPALIER_TUI_COPY_H

#include "tui/screen.h"

enum { TUI_COPY_MOST = 48 << 10 }; /* bytes of text: the longest that terminals take, as 64 KiB of base64 */

/* "thought", "path" (its thoughts, a line each, the problem first) or "prompt" (that the selected thought was written to, as it was sent) as text
 * that may be pasted anywhere: nothing in it acts on a terminal. 0: there is none, and a notice says so. */
int tui_copy_text(struct tui_screen *s, const char *what, struct string *out);
/* The bytes to send: at most TUI_COPY_MOST of the text, whole characters. Under tmux they go around it too, for where it keeps such to itself.
 * Returns how many bytes of the text those are. */
size_t tui_copy_sequence(const struct string *text, int tmux, struct string *out);

#endif
