/* What is written to the terminal, with the time of it, in a file: asciicast version 2, which asciinema and others play.
 * A header line, then a line for each piece: [seconds, "o", text], or [seconds, "r", "COLUMNSxROWS"] where the size changed.
 */
#ifndef ESPALIER_TUI_RECORD_H
#define ESPALIER_TUI_RECORD_H

#include "kernels/kernels.h"

/* Invariant: every line that was begun in the file is whole, so it can be played after a crash. */
struct tui_record {
    FILE *file;
    char *path;          /* NULL: the file is somebody else's */
    const double *clock; /* seconds, or NULL: the system's */
    double begun;
    int columns, rows;
    char cut[4]; /* the beginning of a character whose rest is to come */
    size_t cut_length;
    int failed; /* errno of what could not be written; nothing is after that */
};
/* A file that is there is refused. ERROR_INPUT. */
int tui_record_open(struct tui_record **out, const char *path, struct error *e);
/* In a file that is open and stays so, by a clock that others move. There is nothing to be closed; `failed` tells of what could not be written. */
void tui_record_begin(struct tui_record *r, FILE *file, const double *clock);
void tui_record_size(struct tui_record *r, int columns, int rows); /* before anything is written, and when it may have changed */
void tui_record_write(struct tui_record *r, const char *bytes, size_t n);
/* NULL: nothing. ERROR_INPUT when something could not be written: the file ends before. */
int tui_record_close(struct tui_record *r, struct error *e);

#endif
