/* Learning from the session that is open, beside the search: `espalier train` in a process of its own, and what it says of itself. */
#ifndef ESPALIER_TUI_TRAINER_H
#define ESPALIER_TUI_TRAINER_H

#include "tui/tui.h"

#include <sys/types.h>

/* Invariant: fd >= 0 while the process may still say something, and only then pid is one. */
struct tui_trainer {
    int fd;              /* readable when it said something, or ended; -1: there is none */
    pid_t pid;
    char *out;           /* the folder of the adapter */
    char *command;       /* for a shell: goes on from its checkpoint */
    struct string line;  /* what has come of the present one */
    char said[200];      /* the last line that is no figures: why it failed, if it did */
    int step, steps;     /* steps: 0 while it is not known */
    double first, loss;  /* of a learned token, at its first step and its latest; NAN: not yet */
};
void tui_trainer_open(struct tui_trainer *t);
/* Begin with what is kept in the session, and its right answers. words: options of train after these, blanks between. The adapter goes beside
 * the session. ERROR_USAGE: one is at work already; ERROR_ENGINE: the process could not be made. */
int tui_trainer_start(struct tui_trainer *t, const struct tui_options *o, const char *model, const char *session, const char *words, struct error *e);
/* What it said since. 1: it has ended, *code is its exit code (or 128 and its signal), and it is no more; `out` and figures stay. */
int tui_trainer_read(struct tui_trainer *t, int *code);
void tui_trainer_text(const struct tui_trainer *t, char *out, size_t n); /* "train 12/50 loss 1.23"; "" where there is none */
void tui_trainer_stop(struct tui_trainer *t);                            /* it saves a checkpoint and ends */
void tui_trainer_close(struct tui_trainer *t);                           /* the same, and nobody listens any more */

#endif
