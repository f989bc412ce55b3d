/* The engine thread: owns the model and the search. The terminal's thread gives it commands, and takes events and snapshots from it;
 * they share two queues and a descriptor to wake by, nothing else. No lock is held while anything is computed.
 */
#ifndef ESPALIER_TUI_THREAD_H
#define ESPALIER_TUI_THREAD_H

#include "tui/snapshot.h"
#include "tui/tui.h"

struct tui_thread;
/* Start it: it opens the model, then the searches (whose sinks and contexts it sets), and runs unless o->paused. o and the searches must
 * outlive the thread. With more than one search they race: one batch for all, started and paused together. */
int tui_thread_start(struct tui_thread **out, const struct tui_options *o, struct tui_searches *searches, struct error *e);
/* Ask it to end, and wait for that, one second at most: a model being loaded cannot be interrupted. 1: it has ended, and all is freed;
 * 0: it goes on for a while with what it owns, and must be left alone. */
int tui_thread_stop(struct tui_thread *t);
int tui_thread_wake(const struct tui_thread *t); /* a descriptor that is readable when there is something to take */
void tui_thread_hush(struct tui_thread *t, int hushed); /* hushed: it wakes only for what is urgent */
void tui_thread_command(struct tui_thread *t, struct tui_action action); /* its words are copied */

/* An event, and which search it is of. */
struct tui_news {
    int search;
    struct search_event *event;
};
enum tui_taken { TUI_TAKEN_EVENTS, TUI_TAKEN_SNAPSHOTS, TUI_TAKEN_URGENT }; /* urgent: the answer to a command, or another state */
/* Take all events since the last call: an array of *count references, the caller's to release and to free. snapshots[i] becomes the
 * latest one of search i, or stays where events alone have come. notice gets what the latest command could not do, or "". */
enum tui_taken tui_thread_take(struct tui_thread *t, struct tui_news **news, int *count, struct tui_snapshot *snapshots, char notice[TUI_NOTICE]);

#endif
