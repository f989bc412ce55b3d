/* Making and reading events. Private to search/. */
#ifndef ESPALIER_SEARCH_EVENT_H
#define ESPALIER_SEARCH_EVENT_H

#include "search/search.h"

/* A new event with one reference, all its fields zero. What its pointers are given is the event's: malloc'ed, freed
 * with it. */
struct search_event *search_event_make(enum search_event_kind kind, int64_t number, int step);

extern const char *const search_event_names[]; /* as in the JSON, by kind */

/* A copy of items with its own lists of nodes, and the end of such a list. */
struct search_item *search_items_copy(const struct search_item *items, int count);
void search_items_free(struct search_item *items, int count);

/* n bytes as events hold them: every invalid byte, and 0, became U+FFFD; all else is left. starts (may be NULL) gives
 * for each of the `count` offsets in it, ascending, at most n, the offset in the result that the byte there moved to.
 */
char *search_text(const char *bytes, size_t n, size_t *starts, int count);

int search_item_grows(const struct search_item *item); /* sample or propose: it makes thoughts */

/* Round the numbers of an event to the nine digits that its line of JSON has, so that a log read back is the same log,
 * and what follows from it too. (Log-probabilities of tokens are floats: nine digits are all they have.) */
void search_event_round(struct search_event *event);
/* Item i of the plan in progress is neither complete nor pruned (tree.c). */
int search_item_open(const struct search_tree *tree, int i);

#endif
