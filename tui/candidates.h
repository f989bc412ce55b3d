/* Completion: what may stand in the place of a word that was begun, and how much of it is sure. Of the shell's words and of the explorer's. */
#ifndef ESPALIER_TUI_CANDIDATES_H
#define ESPALIER_TUI_CANDIDATES_H

#include "kernels/kernels.h"

/* Invariant: each of the list begins with the prefix; no two are alike; in the order they were given. */
struct tui_candidates {
    const char *prefix;
    char **list;
    int count, capacity;
};
void tui_candidate(struct tui_candidates *c, const char *text); /* one more, if it begins so */
void tui_candidates_words(struct tui_candidates *c, const char *words); /* each of "one two three" */
void tui_candidates_names(struct tui_candidates *c, char **names); /* NULL-terminated or NULL; frees them */
void tui_candidates_files(struct tui_candidates *c, const char *ending); /* files that end so (NULL: any), and folders, with '/' */
size_t tui_candidates_common(const struct tui_candidates *c); /* bytes that all have in common; 0: there are none */
void tui_candidates_free(struct tui_candidates *c);

#endif
