/* How wide text is on a terminal, and where it may be cut. The only place that knows; everybody else asks here. */
#ifndef ESPALIER_TUI_WIDTH_H
#define ESPALIER_TUI_WIDTH_H

#include <stddef.h>
#include <stdint.h>

enum { TUI_CLUSTER = 4 }; /* a character and at most three marks on it; more are dropped, not drawn over the neighbours */

/* What stands in one cell, or in two side by side. Invariant: width is 1 or 2; scalars[0] is no mark; nothing a terminal
 * would act on is among the scalars, whatever the text was. */
struct tui_cluster {
    int32_t scalars[TUI_CLUSTER];
    int count, width;
};

/* The next cluster of *p (< end), advancing *p beyond it. Text may be any bytes: what utf8_sanitize replaces comes as U+FFFD,
 * newline and tab as a blank. */
void tui_cluster_next(const char **p, const char *end, struct tui_cluster *out);
/* Columns of n bytes of text. */
int tui_width(const char *text, size_t n);
/* The bytes of text that fit in so many columns; *used (may be NULL) is what they take. */
size_t tui_width_fit(const char *text, size_t n, int columns, int *used);
/* The greatest end of text that fits in so many columns: the offset where it begins. */
size_t tui_width_tail(const char *text, size_t n, int columns);

#endif
