/* The commands typed after ':', kept between sessions: a line each in $XDG_STATE_HOME/espalier/history, the latest last. */
#ifndef ESPALIER_TUI_HISTORY_H
#define ESPALIER_TUI_HISTORY_H

#include "kernels/kernels.h"

enum { TUI_HISTORY = 50 };

struct tui_history {
    char *lines[TUI_HISTORY];
    int count;
    char *path; /* NULL: it is not kept */
};
/* What was kept, if anything; what cannot be read or written is done without. */
void tui_history_open(struct tui_history *h);
void tui_history_add(struct tui_history *h, const char *text); /* nothing when it is empty or the latest again */
void tui_history_free(struct tui_history *h);

#endif
