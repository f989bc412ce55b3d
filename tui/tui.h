/* tui/: the front door. main, the commands, and the explorer's screens. Only this floor includes curses. Private to tui/. */
#ifndef ESPALIER_TUI_H
#define ESPALIER_TUI_H

#include "search/search.h"

/* --- what every command understands ------------------------------------------------------------------------------ */

/* Values as the command line gave them; what was not given holds the value in the comment. Strings are argv's own. */
struct tui_options {
    const char *model, *kernels, *quant, *kv_type, *task, *strategy, *data, *theme; /* NULL */
    int threads, batch, context;                                  /* 0 */
    size_t kv_memory;                                             /* 0 */
    int n;                                                        /* 0 */
    uint64_t seed;                                                /* 1 */
    struct engine_sampling sampling;                              /* every field -1 */
    int64_t budget_tokens;                                        /* 0 */
    double budget_flops, budget_time;                             /* 0 */
    int budget_nodes;                                             /* 0 */
    const char **strategies;                                      /* every -s, in order; strategy is the last */
    int strategy_count;                                           /* 0 */
    const char *judge, *judge_model, *session;                    /* NULL */
    const char **adapters;                                        /* every --adapter */
    int adapter_count;                                            /* 0 */
    const char **acts;                                            /* run: every --act */
    int act_count;                                                /* 0 */
    int grammar, allow_commands, estimate;                        /* 0 */
    const char *prompts;                                          /* NULL */
    int64_t at;                                                   /* show, run: -1; so many events of a session */
    int replay, cast;                                             /* show: 0 */
    const char *size, *colours;                                   /* show: NULL */
    float speed;                                                  /* show: -1 */
    const char *record;                                           /* explorer, show: NULL */
    int audit, dot, md;                                           /* show: 0 */
    int json, ascii, no_copy, paused;                             /* 0; paused: the explorer does not start the search by itself */
    const char *split;                                            /* task make: NULL; "test" or "train" */
    int traces;                                                   /* task make: 0 */
    int prefix, branches, runs;                                   /* speed: 0 */
    const char *only;                                             /* speed: NULL */
    int tour;                                                     /* explorer: 0; begin with the guided tour */
    const char *dump;                                             /* explorer: NULL; "COLSxROWS": draw the final screen as text, no terminal */
    int64_t *budgets;                                             /* every --budget-tokens, in order; budget_tokens is the last */
    int budget_count;                                             /* 0 */
    int seeds;                                                    /* bench: 0 */
    const char *out, *rows, *trees;                               /* bench: NULL; out: quantize, too */
    const char *type;                                             /* quantize: NULL */
    int csv;                                                      /* bench: 0 */
    const char **all_data;                                        /* every --data, in order; data is the last */
    int data_count;                                               /* 0 */
    /* train: 0, NULL, and -1 of the numbers */
    int all, scratch, rank, rslora, moments8, checkpoints, int16, step_lessons, steps, validate_every, save_every, skip_bad, resume, chat, no_thinking;
    float alpha, rate, warm_up, floor, beta1, beta2, epsilon, decay, clip;
    const char *targets, *train_on, *schedule;
    int64_t step_tokens;
    double epochs, minutes;
    const char **validation;
    int validation_count;
    const char **from_sessions;
    int from_sessions_count;
    uint64_t given[4];                                            /* bit i: row i of the table of options was */
    char **words;                                                 /* what is not an option */
    int word_count;
};

/* One row of the table of commands; a file each. Returns the exit code, having printed its own error. */
struct tui_command {
    const char *name, *summary, *usage, *example; /* summary NULL: it is for other programs, and not listed */
    const char *options; /* names of the options it takes, blank-separated: "model kernels json" */
    int (*run)(const struct tui_options *o);
};
int tui_fail(const struct error *e); /* print "espalier: message" on stderr, return its code */

/* The path of the model: o->model, $ESPALIER_MODEL, the one in examples/ for tasks it was trained on, or the one `make model` keeps under
 * the XDG cache. task: NULL where there is none. malloc'ed. */
char *tui_model_folder(void); /* where that is, and others may be; malloc'ed */
int tui_model_path(const struct tui_options *o, const struct search_task *task, char **path, struct error *e);
void tui_first_search(const struct tui_options *o, const char **task, const char **problem); /* what opens when nothing is asked */
int tui_model_is_shipped(const struct tui_options *o); /* the one in examples/ is there, and no other given */
/* engine_open with the options and that path, or another one: all of the model, its tokens (vocabulary_only), or what is said of it
 * (describe). */
enum tui_part { TUI_MODEL, TUI_TOKENS, TUI_DESCRIPTION };
int tui_engine_open(const struct tui_options *o, const struct search_task *task, enum tui_part part, struct engine **out, struct error *e);
int tui_engine_open_at(const struct tui_options *o, const char *path, enum tui_part part, struct engine **out, struct error *e);
/* --prompts: which of a task's prompts. */
int tui_prompts(const struct tui_options *o, enum search_prompts *out, struct error *e);
/* What the searches of a command line have in common (task, problem joined from the words, seed, sampling, budgets), and each one's
 * strategy, with the judge chosen for it. */
struct tui_searches {
    struct search_task *task;
    struct search_options options; /* of all; its strategy is the first one's */
    char *problem, *model;
    char **strategies; /* [count], at least one */
    int count;
    struct search_journal *journal; /* a new session they are kept in; NULL: in none, or in the one they come from */
    struct search_sessions loaded;  /* the session that was there, with its journal */
    int resumed, forked;            /* they come from one; they begin with its past, and leave it as it is */
    int budgets;                    /* the command line gives some, which hold from here on though the searches come from one */
    char notice[200];               /* why they are not kept, though asked to be; or "" */
};
/* keep: in a session of their own where --session names none. */
int tui_searches_open(struct tui_searches *out, const struct tui_options *o, int keep, struct error *e);
/* Open search i of them, new or where it was. */
int tui_searches_start(struct tui_searches *s, int i, struct engine *engine, struct engine *judge,
                       void (*sink)(void *context, struct search_event *event), void *context, struct search **out, struct error *e);
/* The strategy it was begun with, as it was asked for then. NULL, "": not known. */
const char *tui_searches_asked(const struct tui_searches *s, int i);
void tui_searches_close(struct tui_searches *s); /* after the searches */
/* The file of a session: a path as it is, a name where sessions are kept. malloc'ed. */
int tui_session_path(const char *name, char **path, struct error *e);
/* That of the options' session, NULL: they name none; and whether it is there to be gone on with. */
int tui_session_find(const struct tui_options *o, char **path, int *there, struct error *e);
/* The strategies of a command line, or the task's (with the prompts that the model is asked with); each with the judge where it takes one and names none. Each malloc'ed, and the list,
 * whatever this returns. */
int tui_strategies_choose(const struct tui_options *o, const struct search_task *task, char ***out, int *count, struct error *e);
/* A line for each adapter that is open over other weights than it says it was trained on; and the same on stderr. */
void tui_adapters_note(const struct engine *engine, struct string *out);
void tui_adapters_warn(const struct engine *engine);
/* The mix of every --adapter, for a command that makes requests of its own. */
int tui_adapters_open(const struct tui_options *o, struct engine *engine, int *mix, struct error *e);
/* The second model that judges, where one was given: *out is NULL otherwise. */
int tui_judge_open(const struct tui_options *o, struct engine **out, struct error *e);

/* --- the explorer ------------------------------------------------------------------------------------------------ */

/* Opens the screen, loads the model in the engine thread, and lets the user live in the tree until q. Returns an exit code;
 * errors before the screen opens and after it closes are in *e. */
int tui_explore(const struct tui_options *o, struct error *e);
/* The same screen for a session that is kept, or a tree of it (which, from 1; 0: all side by side), playing by itself. path: its file. */
int tui_replay(const struct tui_options *o, const struct search_sessions *sessions, int which, const char *path, struct error *e);

#endif
