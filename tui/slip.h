/* What was meant by a word that is none. */
#ifndef ESPALIER_TUI_SLIP_H
#define ESPALIER_TUI_SLIP_H

#include <stddef.h>

enum { TUI_SLIP_FAR = 3 };
/* How many letters of the first n of text are put in, left out, changed, or exchanged with the next, to make the word (Damerau, 1964; no letter
 * is touched twice); TUI_SLIP_FAR: too many, for so short a text, to be a slip. */
int tui_slip_distance(const char *text, size_t n, const char *word);
/* Is the word nearer than *so_far, which begins as TUI_SLIP_FAR? Then that becomes its distance. */
int tui_slip_nearer(const char *text, size_t n, const char *word, int *so_far);

#endif
