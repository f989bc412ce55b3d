/* A text in the user's own editor. */
#ifndef ESPALIER_TUI_EDITOR_H
#define ESPALIER_TUI_EDITOR_H

#include "kernels/kernels.h"

/* Run $VISUAL, or $EDITOR, or vi, on a file of the user's alone with this text; *out gets what it became, without the newlines at its
 * end. The terminal must be left to it (tui_terminal_leave). ERROR_INPUT: it could not be run, or ended with an error. */
int tui_editor_run(const char *text, struct string *out, struct error *e);

#endif
