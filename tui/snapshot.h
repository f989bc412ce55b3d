/* What the engine thread tells besides events: how it goes right now. Nothing in it is kept, nothing depends on it. */
#ifndef ESPALIER_TUI_SNAPSHOT_H
#define ESPALIER_TUI_SNAPSHOT_H

#include "search/search.h"

enum tui_state { TUI_LOADING, TUI_RUNNING, TUI_STEPPING, TUI_PAUSED, TUI_DONE, TUI_FAILED };

/* A completion being written. */
struct tui_live {
    int node, item, sample;
    enum search_purpose purpose;
    const struct engine_token *tokens;
    int count;
};

/* All of them. There may be thousands, of which one after the other is written no more: the first of those that are left moves on. */
struct tui_lives {
    struct tui_live *list;
    int count, gone;             /* gone: places before list[0], of the same allocation */
    struct engine_token *tokens; /* owned: of all of them */
};
void tui_lives_drop(struct tui_lives *l, int i); /* those before it move up */
void tui_lives_free(struct tui_lives *l);

enum { TUI_NOTICE = 512 }; /* bytes of a notice */

struct tui_snapshot {
    enum tui_state state;
    const struct engine *engine; /* for its constant part: texts of tokens, facts; NULL until loaded */
    struct tui_lives live;       /* owned */
    struct engine_statistics statistics;
    int64_t memory;              /* bytes of the program's that are in memory; 0: not known */
    double time;                 /* when it was taken, seconds */
    double worked;               /* seconds that this search was at work, also before it was opened again; 0: not known */
    struct error failure;        /* state TUI_FAILED */
    char *breakpoints;           /* owned: where it is to stop, "wrong, depth=2"; NULL: nowhere */
    char *broke;                 /* owned: why it has stopped by itself, and since then nothing was begun; or NULL */
    int broke_at, hits;          /* at which node; how often it has stopped so, of all searches */
};
void tui_snapshot_free(struct tui_snapshot *s);

/* What a key may ask of the engine thread, or of the program. */
enum tui_act {
    TUI_ACT_NONE, TUI_ACT_RUN, TUI_ACT_PAUSE, TUI_ACT_STEP,
    TUI_ACT_FINISH, /* run that search until a path of it is complete */
    TUI_ACT_DO,     /* an act on the search, in the words of search_do */
    TUI_ACT_TRAIN,  /* learn from what is kept: options of train, or "stop" */
    TUI_ACT_CAST,   /* the search, played again, into a new file: its path */
    TUI_ACT_THEME,  /* another theme: its name or file */
    TUI_ACT_COPY,   /* to the terminal's clipboard: what of the selected thought */
    TUI_ACT_EDITOR, /* the text of a node in the user's own editor */
    TUI_ACT_QUIT, TUI_ACT_SUSPEND, TUI_ACT_REPAINT,
};
struct tui_action {
    enum tui_act act;
    int number;        /* step: how many; editor: the node; quit: 1, at once */
    const char *words; /* do, theme, cast: valid until the next key */
    int search;        /* which one of a race it is for */
};

#endif
