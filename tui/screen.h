/* The explorer's screen without a terminal: what it knows, where the user is, what keys do, and the canvas it draws itself on.
 * Everything here is driven by events, snapshots and keys, so a test or a dump drives it as a terminal does.
 */
#ifndef ESPALIER_TUI_SCREEN_H
#define ESPALIER_TUI_SCREEN_H

#include "tui/canvas.h"
#include "tui/history.h"
#include "tui/key.h"
#include "tui/layout.h"
#include "tui/line.h"
#include "tui/outline.h"
#include "tui/sheet.h"
#include "tui/snapshot.h"
#include "tui/tidy.h"

struct tui_screen;
struct tui_tour;
struct tui_keymap;

/* A view: what a pane or an overlay shows. A file each. */
struct tui_hint {
    const char *key, *does;
};
enum { TUI_HINTS = 12 };
struct tui_view {
    const char *name;      /* as :view takes it; NULL: only ever an overlay */
    char letter;           /* in the list of views */
    const char *about;     /* what it is for, a line */
    const char *help;      /* the heading in the help under which its keys are; NULL: there is none */
    /* Draw in r; the row above it is a rule on which the view writes its title. */
    void (*draw)(struct tui_screen *s, struct tui_rect r);
    /* 1 when the key was the view's; count is the number typed before it, 0: none. */
    int (*key)(struct tui_screen *s, int32_t key, int count, struct tui_action *action);
    int (*hints)(const struct tui_screen *s, struct tui_hint out[TUI_HINTS]); /* what it would take now, the most useful first */
    void (*click)(struct tui_screen *s, int x, int y);  /* on that cell of r, from 0; NULL: it has nothing to click on */
    void (*scroll)(struct tui_screen *s, int lines);    /* by the wheel; NULL: as the keys up and down */
};
extern const struct tui_view tui_view_tree, tui_view_drawn, tui_view_thought, tui_view_judge, tui_view_siblings, tui_view_votes, tui_view_help;
extern const struct tui_view tui_view_path, tui_view_time, tui_view_compare, tui_view_statistics, tui_view_log;
extern const struct tui_view tui_view_list, tui_view_why; /* overlays only */
extern const char tui_help_pages[];         /* the heading of those that are text to be scrolled */

enum { TUI_MOST_TERMS = 100 }; /* of more siblings they are not worked out: it would take too long */
enum { TUI_RATES = 40, TUI_SPEEDS = 60, TUI_DRAWN_MEMO = 4096, TUI_SIBLING_COLUMNS = 7, TUI_SLICE = 1024 }; /* of a slice: events, nodes, rows gone through between two keys */

/* What the line at the bottom is being written for. */
enum tui_asking { TUI_ASKS_NOTHING, TUI_ASKS_EDIT, TUI_ASKS_ADD, TUI_ASKS_COMMAND, TUI_ASKS_FIND, TUI_ASKS_FILTER };
struct tui_ask {
    enum tui_asking what;
    int node;                         /* edit, add: the node it is about */
    struct tui_line line;
    struct tui_history history;
    int history_at;                   /* the one that stands in the line; history.count: one's own, kept in `own` */
    char *own;
};

/* What is known beside a tree, of its events in force (widths of columns are not here: the picture does not jump as one goes through time). */
struct tui_known {
    int64_t tokens;                   /* that all events so far have spent */
    int judged, voted;                /* some node has a score; the latest scores are votes */
    int written, to_write;            /* completions of the present plan */
    const struct search_event **decisions;
    int decision_count, decision_capacity;
    struct tui_progress { int64_t tokens; double best; } *progress; /* each time something better was found */
    int progress_count, progress_capacity;
    double best;                      /* what was found so far, 0 to 1: the judge's, or the share of the votes */
    int64_t right_at;                 /* tokens at which its answer had become the right one; -1: it is not */
};

/* Where the screen shows a moment before now: its tree is the one of that moment, and the search may go on unseen. */
struct tui_past {
    int on;
    struct search_tree latest;        /* the tree as it is now; the screen's own is of its first events */
    struct tui_known known;           /* of that tree */
    struct tui_lives live;            /* what the latest snapshot had */
};

/* Another tree to be shown: made in slices, beside the one that is shown until then. */
enum tui_making {
    TUI_MAKES_NOTHING,
    TUI_MAKES_PAST,                   /* the tree of the log's first `count` events */
    TUI_MAKES_FURTHER,                /* the same, where it is shown: of those events the tree has some, and takes one after the other */
    TUI_MAKES_NOW,                    /* back from the past: the tree is there, what is known of it is not */
    TUI_MAKES_ANEW,                   /* the latest tree, after the event that waits first and that changes its past */
};
struct tui_moment {
    enum tui_making what;
    int64_t count, known_to;          /* known_to: events that `known` is of */
    struct search_refold fold;
    struct tui_outline outline;
    struct tui_known known;
    struct search_event **waiting;    /* events that came since one had to wait, [first] to [waiting_count] */
    int first, waiting_count, waiting_capacity;
    struct tui_old { struct search_tree tree; struct tui_outline outline; } *old; /* what was shown: given back in slices */
    int old_count, old_capacity;
};

/* What is searched for. Invariant: 0 <= from <= to <= tree.count, of the outline's tree; `at` is in it while running. */
struct tui_find {
    char *text;                       /* NULL: nothing */
    int fold;                         /* capitals do not matter */
    int filter;                       /* only thoughts that have it, and those above them, stand in the tree */
    int running, at, left, times;     /* 1: forward, -1: backward, from which node, through how many, to the how-manieth */
    int from, to, count;              /* of the nodes [from, to), which grow both ways, so many have it */
    int64_t renewed;                  /* the outline's, when that began */
};

/* Which view each pane shows. Invariant: no view stands in two panes; the one that has the focus stands in one. Until the user has
 * chosen there are as many panes as the screen has room for. */
struct tui_places {
    const struct tui_view *views[TUI_PANES];
    struct tui_arrangement arrangement;
    int chosen;
    int mouse;             /* it is ours, not the terminal's */
};

/* Invariants: 0 <= selected < tree.count unless the tree is empty; the selected node is in the tree (not gone), shown (no closed
 * node above it, not folded as a copy) and the outline's; outline.tree is &tree; live rows of the outline are those of `now`. */
struct tui_screen {
    const char *asked, *model;        /* the problem as typed and the model's file, shown until the session's event; "" : not known */
    const struct tui_keymap *keymap;  /* keys of the user's own, for the help; or NULL */
    const char *quant;                /* the model's weights were made that; NULL: they are as in its file */
    const char *asked_strategy;       /* as typed; NULL: not known. tui_screen_strategy says whether it still holds */
    const struct tui_screen *race;    /* all that are in it, [race_count]; this one among them */
    int race_count;
    const char *(*token_text)(const void *owner, int id, size_t *bytes);
    const void *token_owner;

    struct search_tree tree;
    struct tui_outline outline;
    struct tui_snapshot now;
    double value_most;                /* greatest score so far */
    int state_width;                  /* of the widest state or answer so far, 0: there is none */
    int has_states;
    int text_width;                   /* of the widest thought so far with its guides and without its state */
    struct tui_known known;
    struct { double time; int64_t rows; } rates[TUI_RATES]; /* of the last second, newest last */
    int rate_count;
    int speeds[TUI_SPEEDS], speed_count; /* rows a second, of the latest seconds, newest last */
    struct { double time; int64_t rows; } second; /* when the one at hand began */
    int64_t *moments;                 /* plans, decisions, results and the user's acts of the latest log: indices of the events */
    int moment_count, moment_capacity;

    struct tui_past past;
    struct tui_moment moment;
    struct tui_tour *tour;            /* that explains what is shown, or NULL; not the screen's own */
    struct tui_ask ask;
    struct string words;              /* of the latest act */
    struct {
        int *path, count, capacity;   /* the node the user was at, and those above it, up to the root */
        int selected;                 /* what is selected while that is not in the tree */
    } wanted;
    int selected, follow;             /* follow: the selection goes where something happens */
    int top;                          /* first row of the outline on the screen */
    int page;                         /* rows of the tree pane at the last drawing */
    int scrolled;                     /* the wheel left the selection behind; a key brings it back */
    struct tui_places places;
    const struct tui_view *focus;     /* the view that has the keys */
    int busy;                         /* there is work to go on with */
    int dragged;                      /* the line between panes that the mouse holds, -1: none */
    const struct tui_view *overlay;   /* drawn over the panes and given the keys, or NULL */
    int overlay_top, overlay_at, overlay_page; /* page: rows that a page key of the help moves */
    struct tui_canvas overlay_text;
    int count;                        /* number typed so far, 0: none */
    int interrupted;                  /* the key before was ^C: the next one need not wait for its effect */
    int pasting;                      /* keys are text until the paste ends */
    char training[48];                /* what learning beside the search has come to, "" : there is none */
    char notice[TUI_NOTICE];          /* until the next key: in place of the hints, or where it is longer over the panes */
    int notice_long;                  /* it did not fit its line at the last drawing */
    struct {
        int node;                     /* the position below is within this node's thought */
        int token, lines;             /* cursor; lines of the text at the last drawing */
        int forking, choice;          /* the keys choose among the token's alternatives; which of them: index into `top` */
        int text_top, text_page, detail_top, detail_page, detail_lines;
        int choice_line;              /* where the detail tells of the choice */
        int token_line, token_moved;  /* where the detail tells of the token; the cursor moved since the last drawing */
        struct tui_canvas text, detail; /* drawn in full, shown in part */
        struct tui_token_cell {
            int x, y;
        } *cells;                     /* where each token begins */
        int cell_count, cell_capacity;
    } thought;
    struct {
        int column;                   /* the number under the cursor, from 1; 0: the one that decides */
        int top, rows;                /* first sibling shown, and how many are */
    } siblings;
    struct {
        struct tui_tidy tidy;
        int zoom, x, y, rows;         /* first column and row of the drawing that are shown, rows at the last drawing */
        int no_map;
        struct tui_drawn_memo {
            int node, pruned;         /* 1 + the node; 0: nothing is known */
        } *memo;                      /* [TUI_DRAWN_MEMO], of one drawing */
    } drawn;
    struct tui_find find;
    int marks[52], mark_before;       /* 1 + the node; 0: none */
    int32_t mark_asked;               /* m or ' : the next key is its letter */
    struct tui_sheet judge, votes, path, statistics, compare, why;
    struct { int64_t at, top; int rows, held; } log; /* the event under the cursor; held: it stays there, else it is the newest */
    struct { int from; } time;        /* the first mark shown */
    int votes_shown;                  /* the row of it that was selected at the last drawing */
    struct tui_canvas canvas;
    struct tui_layout layout;
};

void tui_screen_open(struct tui_screen *s);
void tui_screen_free(struct tui_screen *s);
void tui_screen_event(struct tui_screen *s, struct search_event *event);         /* fold; keeps the event */
void tui_screen_snapshot(struct tui_screen *s, struct tui_snapshot *snapshot);   /* takes what it owns; leaves it {0} */
void tui_screen_notice(struct tui_screen *s, const char *text);
struct tui_action tui_screen_key(struct tui_screen *s, int32_t key);
int tui_screen_takes_letter(const struct tui_screen *s);                         /* the next key stands for itself, whatever the user's own keys are */
struct tui_action tui_screen_mouse(struct tui_screen *s, struct tui_mouse mouse);
void tui_screen_draw(struct tui_screen *s, int columns, int rows);               /* on s->canvas */
/* Go on a little with what takes longer than a frame may (a drawing placed, a search), while s->busy. Drawing does as much. */
void tui_screen_work(struct tui_screen *s);
int tui_drawn_work(struct tui_screen *s);

/* --- which view stands where (views.c) ------------------------------------------------------------------------------ */

const struct tui_view *tui_view_find(const char *name, size_t n); /* by the beginning of its name, or NULL */
const struct tui_view *tui_view_at(int i);                        /* all that a pane may show; NULL after the last */
int tui_screen_pane(const struct tui_screen *s, const struct tui_view *view); /* the pane it stands in, -1: none */
int tui_screen_shows(const struct tui_screen *s, const struct tui_view *view); /* it was drawn, the last time */
void tui_screen_focus(struct tui_screen *s, const struct tui_view *view);     /* where it stands; else in the first pane at the right */
void tui_view_list_open(struct tui_screen *s);
void tui_places_open(struct tui_places *p);
void tui_places_put(struct tui_screen *s, const struct tui_view *view);       /* in the pane that has the focus */
void tui_places_arrange(struct tui_screen *s, int columns, int rows);         /* before a drawing: as many panes as there is room for */
int tui_places_key(struct tui_screen *s, int32_t key, int count);             /* 1: the key moved, split or changed panes */
/* "view NAME", "split", "close", "zoom", "mouse on|off": 1 when it was one of these. */
int tui_places_command(struct tui_screen *s, const char *verb, const char *rest);
/* Their lines in a file: what they say is taken where it can be, and the rest left as it is. */
void tui_places_read(struct tui_places *p, const char *text);
void tui_places_restore(struct tui_screen *s, const char *text); /* read as a screen opens: what shows nothing there gives way to the tree */
void tui_places_write(const struct tui_places *p, struct string *out);

/* --- searching and marks (find.c) ---------------------------------------------------------------------------------- */

void tui_find_begin(struct tui_screen *s, const char *text);   /* forward from the selected; "": what was searched for before */
void tui_find_filter(struct tui_screen *s, const char *text);  /* leave only what has it; "": all again */
void tui_find_end(struct tui_screen *s);                       /* no more of it: no filter, nothing bright */
void tui_find_free(struct tui_find *f);
int tui_find_key(struct tui_screen *s, int32_t key, int count);
int tui_find_work(struct tui_screen *s);                       /* a slice; 1: there is more to do */
void tui_find_text(const struct tui_screen *s, char out[96]);
/* As tui_canvas_cut, and where the text has what is searched for it is on the cursor's ground. */
int tui_find_draw(struct tui_screen *s, int x, int y, int limit, struct tui_style style, const char *text);
void tui_marks_take(struct tui_screen *s, int32_t asked, int32_t key); /* the letter after m (set it) or ' (go there) */
void tui_marks_jump(struct tui_screen *s, int node);           /* select it, and remember where one was */

/* --- where in time (past.c) -------------------------------------------------------------------------------------- */

extern const char tui_past_refusal[];                      /* a notice: what changes the search is not done there */
void tui_past_go(struct tui_screen *s, int64_t count);     /* show the tree of so many events; all of them, or more: now */
void tui_past_move(struct tui_screen *s, int steps);       /* plans and decisions, backward where below 0 */
struct tui_action tui_past_go_on(struct tui_screen *s);    /* ask the search to be there, and show it */
char *tui_past_text(const struct tui_screen *s);           /* "41 of 97: kept 5 of 38"; malloc'ed */
char *tui_past_next(const struct tui_screen *s);           /* what the search did next, or NULL */
int64_t tui_past_at(const struct tui_screen *s);           /* of how many events what is shown is, or what is being made */
int64_t tui_past_count(const struct tui_screen *s);        /* of events, all there are */
const struct search_tree *tui_past_latest(const struct tui_screen *s); /* the tree as it is now, whatever moment is shown */
const struct tui_known *tui_past_known(const struct tui_screen *s);    /* and what is known of it */
int tui_past_moment(const struct tui_screen *s, int64_t event);        /* the index of the first moment at that event or after it */
int tui_past_is_place(const struct search_tree *tree, int64_t count);  /* one steps to it: it is before a plan or a decision */

/* --- another tree (moment.c), and what is known of it (known.c) ---------------------------------------------------- */

void tui_moment_make(struct tui_screen *s, enum tui_making what, int64_t count); /* begin; what was being made no longer is */
int tui_moment_work(struct tui_screen *s, int steps);      /* a slice; 1: there is more to do. What is ready is shown */
int tui_moment_holds(struct tui_screen *s, struct search_event *event); /* 1: the event has to wait, and is kept */
void tui_moment_free(struct tui_screen *s);
/* An event more. s: its widths grow with it; NULL: it is not shown. */
void tui_known_take(struct tui_screen *s, struct tui_known *k, const struct search_tree *tree, const struct search_event *event);
void tui_known_pass(struct tui_known *k, const struct search_event *event); /* the same where it is not in force */
void tui_known_free(struct tui_known *k);
void tui_past_enter(struct tui_screen *s);                 /* s->tree becomes the latest one, and empty */
void tui_past_leave(struct tui_screen *s);                 /* s->tree, which is given away, becomes the latest one */

/* --- acts (acts.c), and the line they are written on (ask.c) ------------------------------------------------------- */

extern const char tui_not_begun[];                          /* a notice that holds until the first event */
/* 1: the key is that of an act, done or refused. */
int tui_act_key(struct tui_screen *s, int32_t key, struct tui_action *action);
/* Why that thought cannot be edited, or nothing can be added below it: a line for the user; NULL: it can. */
const char *tui_act_why_not(const struct tui_screen *s, enum tui_asking what, int node);
struct tui_action tui_act(struct tui_screen *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
int tui_fork_key(struct tui_screen *s, int32_t key, struct tui_action *action); /* while s->thought.forking */
void tui_ask_open(struct tui_screen *s, enum tui_asking what, int node, const char *text);
int tui_ask_key(struct tui_screen *s, int32_t key, struct tui_action *action);
void tui_ask_draw(struct tui_screen *s);
void tui_ask_free(struct tui_ask *a);
void tui_breakpoints_tell(struct tui_screen *s);               /* a notice of where it is to stop */
struct tui_action tui_command(struct tui_screen *s, const char *text); /* as typed after ':' */
enum { TUI_HELP_WORDS = 1 << 20 }; /* as overlay_top: where the help tells of them */

/* --- for panes --------------------------------------------------------------------------------------------------- */

struct tui_style tui_style(enum tui_role role);
/* What the judge was asked, as text; returns the completions there are of it, 0: nobody was asked, or it is not in the log. */
int tui_judge_asked(struct tui_screen *s, const struct search_event *judgement, struct string *out);
int tui_screen_is_lost(const struct search_node *n); /* the exact solver was its judge: no answer is left below it */
int64_t tui_tokens_spent(const struct search_tree *tree); /* what counts against a budget */
const struct search_node *tui_screen_node(const struct tui_screen *s, int node);
void tui_screen_select(struct tui_screen *s, int node);        /* by the user: opens what hides it, ends following */
int tui_screen_go(struct tui_screen *s, int node);             /* select the thought of that number, as 12G does; 0: there is none */
void tui_screen_copies(struct tui_screen *s);                  /* a row for each that reads as a sibling does, or for all of them one */
int tui_screen_copies_text(const struct tui_screen *s, int node, char out[40]); /* "×9", "" where it stands for itself alone: its width */
void tui_screen_before(struct tui_screen *s);                  /* another tree is about to stand in s->tree, with its outline; */
void tui_screen_after(struct tui_screen *s);                   /* it does: the selection and what is being written follow */
int tui_screen_takes(const struct search_tree *tree, const struct search_event *event); /* it can be folded at once: it changes little */
void tui_screen_fold(struct tui_screen *s, struct search_event *event); /* into what is shown */
void tui_screen_take(struct tui_screen *s, struct search_event *event); /* the same with the log, and the selection follows */
void tui_screen_took(struct tui_screen *s, const struct search_event *event); /* what was made has it: for the log's sake */
int tui_screen_line(const struct tui_screen *s);               /* of the pane, that the selection stands on: */
void tui_screen_keep_line(struct tui_screen *s, int line);     /* rows that come and go above it must not move it */
void tui_screen_follow(struct tui_screen *s, const struct search_event *event); /* to where it happened, when following */
const struct engine_token *tui_screen_tokens(const struct tui_screen *s, int node, int *count); /* of a thought; NULL and 0: none */
const char *tui_screen_strategy(const struct tui_screen *s, const struct search_tree *tree); /* as asked for; if it is another by then, in full */
int tui_screen_strategy_is(const struct tui_screen *s, const char *name);
const char *tui_screen_token(const struct tui_screen *s, int id, size_t *bytes); /* "" where it is not known */
int tui_screen_writes_below(const struct tui_live *live);      /* it grows a node (rather than judging one) */
const struct search_event *tui_screen_decision(const struct tui_screen *s, int node); /* what was decided about the node, or NULL */
/* How many bytes of a thought are not already said by its state: "10 - 4 = 6 (left: 5 6 6)" next to "5 6 6". */
size_t tui_length_without_state(const char *text, const char *state);
/* Numbers for people. They write into `out` and return it. */
const char *tui_number(int64_t n, char out[32]);        /* 1,031 */
const char *tui_score(double score, char out[32]);      /* 41 or .92 or .003; at most 5 columns below 100,000 */
const char *tui_probability(double p, char out[32]);    /* .981, 1.00, <.001 */
const char *tui_flops(double flops, char out[64]);      /* 3.10 GFLOP: the unit that leaves one to three digits */
/* An event of the tree's log in words, for the log and the time line: its kind; what it says (malloc'ed); the node it is about, -1: of none. */
const char *tui_event_name(const struct search_event *e);
char *tui_event_text(const struct search_tree *tree, const struct search_event *e);
int tui_event_node(const struct search_event *e);
/* What the judge said of a node, and the vote by answer, as parts of a page: in the thought where they have no pane of their own. */
void tui_judge_write(struct tui_screen *s, struct tui_paper *p, const struct search_node *n);
struct search_terms tui_siblings_terms(const struct tui_screen *s); /* of the selected; of too many siblings, or of the problem, none is known */
int tui_siblings_write(const struct tui_screen *s, struct tui_paper *p); /* how the number under their cursor is made; 0: there is none */
void tui_votes_write(struct tui_screen *s, struct tui_paper *p);
void tui_draw_header(struct tui_screen *s);
void tui_draw_race(struct tui_screen *s);
void tui_draw_now(struct tui_screen *s);
void tui_draw_status(struct tui_screen *s);
void tui_draw_keys(struct tui_screen *s);
void tui_draw_notice(struct tui_screen *s);             /* one that is longer than its line: above `now`, over the panes */
struct tui_now_line {
    const char *label;
    enum tui_role role;
    char *text; /* malloc'ed */
};
enum { TUI_NOW_LINES = 2 };
int tui_now_lines(const struct tui_screen *s, int most, struct tui_now_line out[TUI_NOW_LINES]); /* how many; most: there is room for */
void tui_why_open(struct tui_screen *s);                /* over the panes, what the lines of `now` are cut from */

#endif
