/* The terminal: with keyboard.* the only files that know curses. Opens it, draws canvases on it, reads its keys, and gives it back as it was on every
 * way out: a return, exit(), a signal that ends the program, a crash.
 */
#ifndef ESPALIER_TUI_TERMINAL_H
#define ESPALIER_TUI_TERMINAL_H

#include "tui/canvas.h"
#include "tui/key.h"
#include "tui/record.h"

/* Is there a terminal that can show a screen? ERROR_INPUT with what to do instead. Writes nothing. */
int tui_terminal_check(struct error *e);
/* From here until close, standard error goes to a file; close prints what has come there. The theme must outlive the terminal, and the record
 * (or NULL) into which all goes that is written. */
int tui_terminal_open(const struct tui_theme *theme, struct tui_record *record, struct error *e);
void tui_terminal_close(void); /* does nothing when it is not open */
void tui_terminal_theme(const struct tui_theme *theme); /* another one from here on, or the same that has changed */
void tui_terminal_size(int *columns, int *rows);
/* Send what differs from what is shown; nothing when nothing does. */
void tui_terminal_draw(const struct tui_canvas *canvas);
/* Send these bytes as they are, which show nothing; not into the record. 0: this terminal may show what it does not know. */
int tui_terminal_tell(const char *bytes, size_t n);
void tui_terminal_repaint(void); /* the next draw sends everything */

/* Sleep until a key, one of TUI_WAIT_FDS descriptors at most that is readable (-1: none), a signal or the time (seconds; below 0: for ever). */
enum { TUI_WAIT_KEY = 1, TUI_WAIT_SIGNAL = 2, TUI_WAIT_FD = 4, TUI_WAIT_FDS = 4 }; /* of descriptor i: TUI_WAIT_FD << i */
int tui_terminal_wait(const int *fds, int count, double seconds);
int32_t tui_terminal_key(void); /* the next key that waits, or TUI_KEY_NONE; what is pasted comes between two keys that say so */
struct tui_mouse tui_terminal_mouse(void); /* what it did, after TUI_KEY_MOUSE */
void tui_terminal_mouse_on(int on);        /* take it from the terminal, or leave it: text is selected with it there. It begins left */
/* The signal that asks the program to end or to stop (SIGTERM, SIGHUP, SIGQUIT, SIGINT, SIGTSTP), or tells that it goes on (SIGCONT);
 * or 0. Each is told once. */
int tui_terminal_signal(void);
void tui_terminal_suspend(void); /* stops the process; returns when it goes on */
void tui_terminal_leave(void);   /* to another program, until resume */
void tui_terminal_resume(void);  /* take the terminal again, after that or after SIGCONT */

/* For a thread that may crash: memory for the handler of its faults, which lives as long as the thread. */
enum { TUI_GUARD_STACK = 1 << 16 };
void tui_terminal_guard_stack(void *memory, size_t bytes);

#endif
