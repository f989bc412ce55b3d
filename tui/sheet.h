/* A sheet: a paper of which a pane shows the part it is scrolled to. What the views of text have in common. */
#ifndef ESPALIER_TUI_SHEET_H
#define ESPALIER_TUI_SHEET_H

#include "tui/paper.h"

struct tui_screen;
struct tui_view;
struct tui_hint;

struct tui_sheet {
    struct tui_canvas text; /* drawn in full */
    int top, page, lines;   /* first line shown; lines that fit at the last drawing, and that there are */
    int at;                 /* the line that must be seen, -1: none */
    uint64_t stamp;         /* of what it was written from; 0: of nothing that is known */
};
/* What the sheet says is still so where neither this number nor the width has changed: then it need not be written again. more: what else
 * it depends on beside the events and the selection. Never 0. */
uint64_t tui_sheet_stamp(const struct tui_screen *s, uint64_t more);
int tui_sheet_kept(const struct tui_sheet *sheet, const struct tui_screen *s, struct tui_rect r, uint64_t stamp);
void tui_sheet_begin(struct tui_sheet *sheet, const struct tui_screen *s, struct tui_rect r, struct tui_paper *p);
void tui_sheet_write(struct tui_sheet *sheet, const struct tui_paper *p, uint64_t stamp); /* it is written */
void tui_sheet_end(struct tui_sheet *sheet, struct tui_screen *s, struct tui_rect r);     /* show it in r */
/* Which of the places 0 .. last a key leads to from `at`: j k, arrows, pages of `page`, g, G (with a count that one, from 1). -1: it leads
 * nowhere. */
int64_t tui_key_place(int32_t key, int count, int64_t page, int64_t at, int64_t last);
/* 1: the key scrolled it: j k g G, arrows, pages. */
int tui_sheet_key(struct tui_sheet *sheet, int32_t key, int count);
int tui_sheet_hints(const struct tui_sheet *sheet, struct tui_hint *out); /* how many: none where all is seen */

/* At the right end of the row: so many lines are below it. A word that this cuts shows that it is cut. */
void tui_sheet_more(struct tui_screen *s, struct tui_rect row, int lines);
/* On the rule above the pane: what it shows, bright where the view has the keys, and at the right what more is to be said. */
void tui_sheet_title(struct tui_screen *s, const struct tui_view *view, struct tui_rect r, const char *title, const char *more);
/* Why there is nothing, and what would change that. */
void tui_sheet_says(struct tui_screen *s, struct tui_rect r, const char *why);
/* A name of `column` columns and what is to be said of it, over as many lines as that takes. */
void tui_sheet_fact(struct tui_paper *p, int column, const char *name, const char *value);

#endif
