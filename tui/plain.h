/* What commands print for people: how wide standard output is, and lines that keep to that. */
#ifndef ESPALIER_TUI_PLAIN_H
#define ESPALIER_TUI_PLAIN_H

#include "kernels/kernels.h"

/* Columns of the terminal that stdout is, 40 to 120 of them; `otherwise` where it is none. */
int tui_plain_columns(int otherwise);
int tui_plain_fits(int columns); /* so many; also where it is no terminal */
/* Append text, broken between words: the first line begins at column `at`, those after it at `indent`. columns 0: it is one line. */
void tui_plain_wrap(struct string *out, const char *text, int at, int indent, int columns);
/* Print text so, and a newline. */
void tui_plain_print(const char *text, int at, int indent, int columns);

#endif
