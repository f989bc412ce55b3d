/* A tree as text for elsewhere: an outline, Markdown, Graphviz. All text of models is sanitised. Private to tui/. */
#ifndef ESPALIER_TUI_EXPORT_H
#define ESPALIER_TUI_EXPORT_H

#include "search/search.h"

/* Each appends to out. marks holds an enum search_mark for each node, or is NULL. */
void tui_export_outline(const struct search_tree *tree, const char *marks, struct string *out);
void tui_export_markdown(const struct search_tree *tree, const char *marks, struct string *out);
void tui_export_dot(const struct search_tree *tree, const char *marks, struct string *out);

/* Append a text as one line that is safe to print; NULL gives nothing. */
void tui_export_text(struct string *out, const char *text);

#endif
