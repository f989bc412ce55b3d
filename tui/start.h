/* The screen that opens when nothing is asked for: a tour, the sessions there are, the tasks, the models. It knows no terminal: keys go in,
 * it draws itself on its canvas.
 */
#ifndef ESPALIER_TUI_START_H
#define ESPALIER_TUI_START_H

#include "tui/canvas.h"
#include "tui/key.h"
#include "tui/line.h"
#include "tui/tui.h"

enum tui_start_kind { TUI_START_HEADING, TUI_START_TOUR, TUI_START_FIRST, TUI_START_SESSION, TUI_START_TASK, TUI_START_MODEL };
struct tui_start_row {
    enum tui_start_kind kind;
    char *title, *about; /* about: the rest of the line; "" */
    char *value;         /* session, model: its path; task: its name; else NULL */
    char *problem;       /* task: one to begin with, or NULL */
};
/* Invariant: 0 <= selected < count, and the selected row is no heading. */
struct tui_start {
    struct tui_start_row *rows;
    int count, capacity;
    int selected, top, page;
    int model;  /* the row of the model that was chosen; -1: each task's own */
    int asking; /* a problem for the selected task is being written */
    int helping, help_top; /* what its keys do is shown in place of the rows, from that line on */
    struct tui_line line;
    char notice[400];
    struct tui_rect list; /* where the rows stood at the last drawing */
    struct tui_canvas canvas, help;
};
void tui_start_open(struct tui_start *s);
void tui_start_free(struct tui_start *s);
/* Rows are added from the top down; a heading without rows below it is not drawn. Texts are copied, NULL stays NULL. */
void tui_start_add(struct tui_start *s, enum tui_start_kind kind, const char *title, const char *about, const char *value, const char *problem);
void tui_start_find(struct tui_start *s, const struct tui_options *o); /* all there is on this machine; o: the model and the task that are preferred */

/* What a key came to. CHOSEN: the selected row, with a problem in `line` where it is a task. */
enum tui_start_act { TUI_START_NOTHING, TUI_START_CHOSEN, TUI_START_QUIT, TUI_START_SUSPEND, TUI_START_REPAINT };
enum tui_start_act tui_start_key(struct tui_start *s, int32_t key);
enum tui_start_act tui_start_click(struct tui_start *s, int x, int y); /* selects; on the selected row: as enter */
void tui_start_move(struct tui_start *s, int rows);
void tui_start_draw(struct tui_start *s, int columns, int rows);

#endif
