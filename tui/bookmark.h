/* Where the user was in a session: kept with it as lines of text, so that it opens as it was left. */
#ifndef ESPALIER_TUI_BOOKMARK_H
#define ESPALIER_TUI_BOOKMARK_H

#include "tui/race.h"

/* Append the lines for all screens; nothing for those that have no tree yet. */
void tui_bookmark_write(const struct tui_race *race, struct string *out);
/* Once the trees are there as far as they are kept. What a line says of what is there no more, and lines of another kind, are passed over. */
void tui_bookmark_read(struct tui_race *race, const char *text);

#endif
