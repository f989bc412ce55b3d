/* A kept session played again: its events go to the screens as they came, at a pace to be read, without a model. */
#ifndef ESPALIER_TUI_REPLAY_H
#define ESPALIER_TUI_REPLAY_H

#include "tui/race.h"
#include "tui/tui.h"

/* A tree of it. Invariant: events before `at` have been shown. */
struct tui_replayed {
    const struct search_tree *tree;
    int64_t at;
    double due;  /* seconds of the clock: when the next is shown */
    int steps;   /* to be shown at once: s */
};
struct tui_replay {
    struct tui_replayed *trees;
    int count;
    double speed;
    int running;
    const struct engine *engine; /* for texts of tokens, or NULL */
};
/* Screens for them, and the texts of their tokens where the session's model is still there (or NULL: it can do without). */
void tui_replay_race(struct tui_race *race, const struct search_tree *const *trees, int count, int ascii);
struct engine *tui_replay_tokens(const struct tui_options *o, const char *path);
/* The trees must outlive it; of each it reads the log, the result and the setting. */
void tui_replay_open(struct tui_replay *r, const struct search_tree *const *trees, int count, double speed, int paused, double now);
void tui_replay_free(struct tui_replay *r);
double tui_replay_wait(const struct tui_replay *r, double now); /* seconds until something is due; below 0: nothing is */
int tui_replay_go_on(struct tui_replay *r, struct tui_race *race, double now); /* show what is due; 1: the screens changed */
/* run, pause, step; anything else is told not to be possible. */
void tui_replay_command(struct tui_replay *r, struct tui_race *race, struct tui_action action, double now);
void tui_replay_speed(struct tui_replay *r, double factor, double now);

#endif
