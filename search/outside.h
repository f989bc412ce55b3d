/* A user's own program as a judge of thoughts: one process a thought, asked and told in one line each. Private to search/.
 *
 * It gets a line of JSON on stdin (search_outside_input) and says, as the first word of its stdout, how good the thought is: a
 * number from 0 to 1, or right (1) or wrong (0). Its exit status must be 0. What it writes to stderr is lost.
 *
 * What it runs under: no shell (its arguments reach it as they are written); a session and process group of its own, without a
 * terminal; only descriptors 0, 1, 2; limits on time, processor time (its seconds and one more), memory, open files (64); it can
 * make no file longer than 0 bytes and dump no core; it gains no rights by running setuid programs. Of the environment it gets
 * PATH (what it is written in must be found), HOME (so are the libraries that a user installed for it) and LANG and LC_ALL
 * (C.UTF-8, so that it reads and writes alike for everybody); nothing else, so no keys or tokens that lie there either. This
 * keeps an honest program from doing harm by mistake. It is no prison: it can read the user's files, delete them, and speak to
 * the network; and what it starts in yet another session outlives it. (Should espalier itself be killed, the program is too, but
 * not what that started.) So commands are run only when the user allows it.
 */
#ifndef ESPALIER_SEARCH_OUTSIDE_H
#define ESPALIER_SEARCH_OUTSIDE_H

#include "search/task.h"

/* As a task's `command:` says it. */
struct search_command {
    char **argv;    /* ends in NULL; a program with a slash in its name is meant from `folder`, one without is looked for on PATH */
    double seconds; /* it is killed then */
    size_t memory;  /* bytes of address space, of each process */
    char *folder;   /* where it runs: that of the task's file */
};

struct search_outside_verdict {
    int ok;
    double score; /* ok: from 0 to 1 */
    char *text;   /* ok: the first line it wrote, malloc'ed; UTF-8, but not safe for a terminal */
    char *why;    /* not ok: what went wrong, for a person, malloc'ed: "timed out after 2 s"; one line, safe for a terminal */
};
void search_outside_verdict_free(struct search_outside_verdict *v);

/* The score that such a text begins with; 0: none. */
int search_outside_score(const char *text, double *score);

/* One program that runs, or has ended. */
struct search_outside;
/* Starts one; it reads these n bytes. Does not wait for it. A program that is not there or cannot be executed is no error here, but
 * a verdict. ERROR_ENGINE: the machine has no process, descriptor or memory left. From any thread; when that thread ends, the program is killed. */
int search_outside_start(struct search_outside **out, const struct search_command *command, const char *input, size_t n, struct error *e);
/* 1 and the verdict when it has ended; it, and what it left in its group, is dead and reaped then. 0: not yet; wait at most so
 * many seconds for it (0: none). Its own time is looked at here, so one that is polled late may have had longer. */
int search_outside_poll(struct search_outside *outside, double wait_seconds, struct search_outside_verdict *out);
/* Kills what still runs, with its group, waits until it is dead, frees. NULL is nothing. */
void search_outside_stop(struct search_outside *outside);

/* What a program is told of a thought that follows `path`, appended as one line of JSON in ASCII, with '\n':
 * {"task","problem","target","thoughts":[those before it],"thought","state","answer"}; null where there is none. */
void search_outside_input(const struct search_task *task, const struct search_path *path, const char *thought, const char *state,
                          const char *answer, struct string *out);

#endif
