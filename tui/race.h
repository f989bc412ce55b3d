/* A race: a screen for each search, one of them shown. With one search it is that screen and nothing more. */
#ifndef ESPALIER_TUI_RACE_H
#define ESPALIER_TUI_RACE_H

#include "tui/screen.h"

/* Invariant: 0 <= shown < count. Screens stay where they are: they know each other by address. */
struct tui_race {
    struct tui_screen *screens;
    int count, shown;
};
void tui_race_open(struct tui_race *r, int count);
/* For screens whose owner of texts is an engine, or NULL. */
const char *tui_race_token(const void *engine, int id, size_t *bytes);
void tui_race_free(struct tui_race *r);
struct tui_screen *tui_race_shown(const struct tui_race *r);
struct tui_action tui_race_key(struct tui_race *r, int32_t key); /* the action is for the search shown */
struct tui_action tui_race_mouse(struct tui_race *r, struct tui_mouse mouse);
void tui_race_show(struct tui_race *r, int which); /* and where the user is goes with it */
void tui_race_notice(struct tui_race *r, const char *text);

#endif
