/* A tree as text for elsewhere: an outline, Markdown, Graphviz. All text of models is sanitised. Private to tui/. */
#ifndef ESPALIER_TUI_EXPORT_H
#define ESPALIER_TUI_EXPORT_H

#include "search/search.h"

/* Each appends to out. marks holds an enum search_mark for each node, or is NULL. */
void tui_export_outline(const struct search_tree *tree, const char *marks, struct string *out);
void tui_export_markdown(const struct search_tree *tree, const char *marks, struct string *out);
void tui_export_dot(const struct search_tree *tree, const char *marks, struct string *out);

/* A new file that is there under its path when it is whole, and not at all before. ERROR_INPUT: one is there already, or it cannot be written. */
struct tui_fresh {
    FILE *file; /* NULL: none is open */
    char *path, *name;
};
int tui_fresh_open(struct tui_fresh *f, const char *path, struct error *e);
int tui_fresh_close(struct tui_fresh *f, int keep, struct error *e); /* keep 0: as if there had been none */

/* Write the tree to a new file, by its ending: .json or .jsonl (events, as run --json prints them; the engine gives the texts of tokens, or is
 * NULL), .dot, .md; tui/cast.h writes a .cast. ERROR_INPUT: another ending, a file that is there already, or one that cannot be written. */
int tui_export_file(const struct search_tree *tree, const struct engine *engine, const char *path, struct error *e);

/* Append a text as one line that is safe to print; NULL gives nothing. */
void tui_export_text(struct string *out, const char *text);

#endif
