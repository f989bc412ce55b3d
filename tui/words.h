/* What may be said after ':' in the explorer: each command, what it takes, and how it is completed; and what each key does. The help and the
 * manual page show both tables. */
#ifndef ESPALIER_TUI_WORDS_H
#define ESPALIER_TUI_WORDS_H

#include "tui/candidates.h"
#include "tui/paper.h"
#include "tui/screen.h"

struct tui_word {
    const char *verb, *takes, *does, *key; /* key: that does the same on the selected thought; or "" */
    enum tui_takes { TUI_TAKES_NOTHING, TUI_TAKES_NODE, TUI_TAKES_NODE_TEXT, TUI_TAKES_WEIGHT, TUI_TAKES_SETTING, TUI_TAKES_FILE, TUI_TAKES_THEME, TUI_TAKES_OPTIONS, TUI_TAKES_VERB, TUI_TAKES_VIEW, TUI_TAKES_SWITCH, TUI_TAKES_RULE, TUI_TAKES_PART, TUI_TAKES_RULE_SET, TUI_TAKES_TEXT, TUI_TAKES_FILE_NAME } kind;
};
extern const struct tui_word tui_words[]; /* verb NULL at the end */
const struct tui_word *tui_word_find(const char *text, size_t n);
const struct tui_word *tui_word_nearest(const char *text, size_t n); /* of what was meant by another word; NULL: none is near */
/* Keys that do the same or belong together, between blanks; does NULL: a heading. Those after "signs" are no keys. */
struct tui_help_line {
    const char *keys, *does;
};
extern const struct tui_help_line tui_help_lines[]; /* of view_help.c; keys NULL at the end */
/* The part of it under that heading, and what is said beside that. */
void tui_help_write(struct tui_paper *p, const char *title, const char *about);
/* What may stand where the last word of `text` does; its prefix is in `text`. To be freed. */
void tui_words_complete(const struct tui_screen *s, const char *text, struct tui_candidates *out);

#endif
