/* The journal of a session: its events in a file, from where the search goes on after whatever happened. Private to search/; how one is
 * opened and closed is in search.h.
 *
 * One SQLite file a session (tables: search/README.md), with one or several trees. Events are appended and committed, never changed.
 * - What is committed survives the death of the process at any moment. After a power cut the last commits may be missing; nothing is
 *   broken by it.
 * - One writer at a time, held to it by a lock on the file; readers read while it writes, each what was committed when it opened or later.
 * - A file that is wrong in any way is refused by one line (ERROR_INPUT) before anything is written to it: everything is read and checked
 *   first, and it is opened for writing only when there is something to write.
 * A journal is used by one thread at a time. After a fork only one of the two processes may use or close it.
 */
#ifndef ESPALIER_SEARCH_JOURNAL_H
#define ESPALIER_SEARCH_JOURNAL_H

#include "search/search.h"

/* Append the tree's next event. It is in the file once committed (search_journal_commit in search.h); with nothing to commit, that is OK. When either fails (a full disk),
 * everything since the last commit is taken back, and that which was committed is safe: once there is room one may go on with event
 * search_journal_next(). Trees are numbered from 0, below SEARCH_JOURNAL_TREES. */
enum { SEARCH_JOURNAL_TREES = 1024 };
int search_journal_append(struct search_journal *journal, int tree, const struct search_event *event, struct error *e);
/* The number of the event that comes next in that tree. Of a session that was opened, known once it has been read or appended to. */
int64_t search_journal_next(const struct search_journal *journal, int tree);

/* All events in the order they were appended; take gets a reference that is its own. When it returns other than 0, that is returned. The
 * numbers of each tree are 0, 1, 2, ..., each event is what was appended; that it fits its tree is for the caller to check. take NULL: only
 * check the file. */
int search_journal_read(struct search_journal *journal, int (*take)(void *context, int tree, struct search_event *event), void *context,
                        struct error *e);

/* --- where sessions are kept (journal_folder.c) ------------------------------------------------------------------ */

/* search_journal_create that says in *taken whether the path was the reason. */
int search_journal_create_untaken(struct search_journal **out, const char *path, int *taken, struct error *e);

#endif
