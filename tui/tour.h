/* A guided tour: pages below the panes that step a small search and say what each number on the screen is, from the search's own numbers.
 * All keys work meanwhile; enter, backspace and escape are the tour's.
 */
#ifndef ESPALIER_TUI_TOUR_H
#define ESPALIER_TUI_TOUR_H

#include "tui/screen.h"

struct tui_tour {
    int page;
    int entered;  /* the page has been shown what it is about */
    int64_t asked; /* events there were when it asked for a step; 0: it has not */
    int rows, lines, top; /* it took at the last drawing; of its text; the first of them that is shown */
    struct tui_canvas text;
};
void tui_tour_begin(struct tui_tour *t, struct tui_screen *s); /* from here on s->tour is t */
void tui_tour_free(struct tui_tour *t);
int tui_tour_key(struct tui_screen *s, int32_t key); /* 1: it was the tour's */
/* What the page would have the search do, now that it rests; to be asked after keys and news. */
struct tui_action tui_tour_wants(struct tui_screen *s);
int tui_tour_rows(struct tui_screen *s, int columns, int rows); /* at the bottom of such a screen; they are written here */
void tui_tour_draw(struct tui_screen *s, int y);                /* below the panes, or over them where there is no room for both */

#endif
