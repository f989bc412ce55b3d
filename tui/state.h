/* The small file in which the explorer remembers how it was left. Private to tui/. */
#ifndef ESPALIER_TUI_STATE_H
#define ESPALIER_TUI_STATE_H

#include "kernels/kernels.h"

/* $XDG_STATE_HOME/espalier/explorer, or ~/.local/state/espalier/explorer; its folders are made when it is written. Nothing depends on it:
 * 0, or the errno that says why not. */
int tui_state_read(struct string *out);
int tui_state_write(const char *text); /* under another name first, so that it is whole or as it was */

#endif
