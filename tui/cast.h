/* A session as an asciicast, made without a terminal and without waiting: what is replayed is the session, and time is a number. The same
 * session and the same choices give the same bytes. */
#ifndef ESPALIER_TUI_CAST_H
#define ESPALIER_TUI_CAST_H

#include "tui/export.h"
#include "tui/painter.h"
#include "tui/record.h"
#include "tui/replay.h"

/* What it is of, and how it is to look. Nothing in it need live on, but the engine and what was asked. */
struct tui_cast_of {
    const struct search_tree *const *trees; /* [count], of each the log as it is now */
    const char *const *asked;               /* [count], of each the strategy as asked for; NULL, also of one: the log's */
    int count, shown;                       /* shown: which one of a race */
    const struct engine *engine;            /* for texts of tokens, or NULL */
    const struct tui_screen *like;          /* it has the panes of that; NULL: those of a first start, of a race its comparison */
    const struct tui_theme *theme;
    int colors, ascii, columns, rows;       /* colors: TUI_MONO, TUI_PALETTE or TUI_DIRECT */
    double speed;
};

/* Invariant: all events due at `now` are on the screens, and in the file is what these show. */
struct tui_cast {
    struct tui_fresh fresh; /* of an export */
    FILE *file;
    struct search_tree *logs; /* [count]: of each only the events, the result and the setting, which is what a replay reads */
    int count;
    struct tui_theme theme;
    struct tui_race race;
    struct tui_replay replay;
    struct tui_painter painter;
    struct tui_record record;
    struct string bytes; /* of a frame */
    int columns, rows, ended;
    int64_t frame;
    double now; /* seconds */
};
void tui_cast_open(struct tui_cast *c, const struct tui_cast_of *of, FILE *file);
/* Into a new file, which is there when it is whole. ERROR_INPUT. */
int tui_cast_export(struct tui_cast *c, const struct tui_cast_of *of, const char *path, struct error *e);
int tui_cast_work(struct tui_cast *c); /* a frame more; 0: there is none, or nothing can be written any more */
double tui_cast_seconds(const struct tui_cast *c); /* of the recording, so far */
/* After the work, else nothing is kept of an export. ERROR_INPUT: it could not be written. */
int tui_cast_close(struct tui_cast *c, struct error *e);

int tui_cast_colors(const char *name, int *colors, struct error *e); /* --colours; NULL: by NO_COLOR. ERROR_USAGE */
/* show --cast: what is kept, or a tree of it (which, from 1; 0: all side by side), on standard output. path: its file. */
int tui_cast_sessions(const struct tui_options *o, const struct search_sessions *sessions, int which, const char *path, struct error *e);

#endif
