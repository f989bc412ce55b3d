/* search/: the tree, its log, the strategies that grow it, the judges that score it, the tasks.
 *
 *   task.yaml ─► strategy: a function of the tree, says what to do next ─► items ─► engine requests
 *                    ▲                                                                  │
 *                 the tree = the fold of its events ◄── events, in the order of items ◄─┘
 *
 * - The event log is the truth. An event never changes once made; a struct search_tree is what folding events in order gives,
 *   and anybody may fold their own from the same events (the screen does, in its own thread).
 * - A strategy is a pure function from the tree to the next plan. It keeps nothing between calls, never calls the engine,
 *   never blocks. So pausing, stepping, undo and resuming need no code in any strategy.
 * - Events follow the order of work items, never of completion: the same seed gives the same log, byte for byte.
 */
#ifndef ESPALIER_SEARCH_H
#define ESPALIER_SEARCH_H

#include "engine/engine.h"
#include "search/training.h"
#include "search/yaml.h"

#include <time.h>

/* --- data files that come with the program ----------------------------------------------------------------------- */

/* The path of folder/name ("examples/game24.yaml", "themes/dark.yaml") where it is found first: $XDG_CONFIG_HOME/espalier/,
 * beside the running binary, the installed share/espalier/. malloc'ed, or NULL. */
char *search_data_path(const char *folder, const char *name);
/* The names (without ".yaml") of all *.yaml in that folder of all three places, sorted, each once; NULL-terminated, one free() each and one for the list. */
char **search_data_names(const char *folder);

/* --- tasks ------------------------------------------------------------------------------------------------------- */

struct search_task;
/* `name` is a shipped task's name or a path (it has a '/' or ends in .yaml). Errors carry file, line and column. */
int search_task_open(struct search_task **out, const char *name, struct error *e);
void search_task_close(struct search_task *task);
/* The names of the tasks in examples/: search_data_names without the recipes of models, which lie there too. */
char **search_task_names(void);
const char *search_task_name(const struct search_task *task);
const char *search_task_about(const struct search_task *task);
const char *search_task_path(const struct search_task *task); /* of its file */
uint64_t search_task_sum(const struct search_task *task);     /* of that file's bytes */
const char *search_task_strategy(const struct search_task *task); /* the default, e.g. "tot,b=5" */
const char *search_task_problem_form(const struct search_task *task); /* what a problem looks like: "four numbers, as in 4 5 6 10" */
/* With which of its prompts a model is asked: those of `trained:` where the model's file says that it was trained on them and the task
 * has some (auto), always, or never. */
enum search_prompts { SEARCH_PROMPTS_AUTO, SEARCH_PROMPTS_TRAINED, SEARCH_PROMPTS_PLAIN };
/* The task with these prompts in *out, owned by `task`. ERROR_USAGE: trained ones are asked for, and there are none. */
int search_task_choose(const struct search_task *task, enum search_prompts prompts, const struct engine *engine, const struct search_task **out,
                       struct error *e);
int search_task_has_trained(const struct search_task *task); /* has it prompts for trained models */
/* Problem `row` (from 1) of the task's data, or of the file `data` when not NULL. text and answer (may be NULL) are malloc'ed. */
int search_task_data(const struct search_task *task, const char *data, int row, char **text, char **answer, struct error *e);
/* What opening alone does not find: a default strategy that asks for prompts the task lacks, rows of its data that are no problems of it,
 * a generator that draws others. When all is well, lines about the task for a person are appended to *about. */
int search_task_check(const struct search_task *task, struct string *about, struct error *e);
/* Append a data file of `count` different problems that the task's generator draws by `seed`: CSV with a header, or JSONL, in the columns
 * of the task's data. What is in one split is never in the other (search/generate.h says how); the first n rows are the same for every
 * count. ERROR_INPUT: no generator, or not so many problems. */
enum search_split { SEARCH_SPLIT_TEST, SEARCH_SPLIT_TRAIN };
int search_task_make(const struct search_task *task, enum search_split split, uint64_t seed, int count, int json, struct string *out,
                     struct error *e);

/* What a model learns from: problems that a task's generator draws by `seed`, each made into prompts and the completions they should have,
 * in the task's prompts for trained models. search/traces.c says what is asked of a problem. Row r gives the same whatever was asked for
 * before it, without end. */
struct search_traces;
struct search_trace {
    const char *prompt, *completion; /* theirs until the next call; what ends a completion, the end token, is not in its text */
    uint64_t row;                    /* of the problem, from 0; one problem gives several items, one after the other */
};
struct search_trace_weights { /* how many items a problem gives of each kind, on average, beside its whole solution */
    double three;                    /* countdown: the share of problems that have three numbers; the others have four */
    double step;                     /* the next step alone, from a state on the way */
    double value[4];                 /* value of the problem itself, of states of 1, of 2 and of 3 numbers */
    double chain;                    /* value of a chain's step, each */
    double alive;                    /* of these, the share that can still come to the target, or is right */
    double fractions;                /* of states beside the way, the share that fractions led to where the problem needs none */
    double propose;                  /* a list of different steps */
};
extern const struct search_trace_weights search_trace_weights; /* those that are used where NULL is given */
/* The task must outlive it. ERROR_INPUT: it has no such prompts, or its generator has no traces. */
int search_traces_open(struct search_traces **out, const struct search_task *task, enum search_split split, uint64_t seed,
                       const struct search_trace_weights *weights, struct error *e);
void search_traces_close(struct search_traces *traces);
void search_traces_seek(struct search_traces *traces, uint64_t row); /* next are the items of that row */
void search_traces_next(struct search_traces *traces, struct search_trace *out);

/* --- events ------------------------------------------------------------------------------------------------------ */

/* What an item is for: two ways to grow a node, then the judges. */
enum search_purpose {
    SEARCH_SAMPLE, SEARCH_PROPOSE,
    SEARCH_VALUE,           /* completions that end in a label; the sum of the labels' weights */
    SEARCH_VOTE,            /* completions that name one of several candidates */
    SEARCH_SELF_EVALUATION, /* the probability of the word for yes against that for no, asked after the thought */
    SEARCH_PROCESS_REWARD,  /* the same of a reward model's good token against its bad one */
    SEARCH_LIKELIHOOD,      /* exp of the thought's mean log-probability a token */
    SEARCH_AGREEMENT,       /* the share of the other paths that come to the same: answer, state or text */
    SEARCH_VERIFIER,        /* the task's own exact verdict, or a command of the user's */
    SEARCH_ORACLE,          /* 1: the exact solver says it can still be solved; only ever asked when the user says so */
    SEARCH_PURPOSES,
};
const char *search_purpose_name(enum search_purpose purpose); /* "sample", "propose", "value", "vote", "self-evaluation", ... */

struct search_usage {      /* tokens, by what a search with an unlimited cache of its own would compute: the same on every run */
    int64_t prompt;        /* all tokens of all prompts */
    int64_t cached;        /* of these, already part of an earlier prompt or completion of the same search */
    int64_t completion;
    double flops;          /* of prompt - cached + completion (engine_flops) */
};

struct search_item {       /* one prompt, sampled `samples` times */
    enum search_purpose purpose;
    int *nodes;            /* sample, propose: the node to grow; vote: the candidates, in order; other judges: the node judged */
    int count;
    int samples;
    int64_t fork;          /* 0, or the number of a completion event whose beginning this one shares: its first `token` tokens, */
    int token, id;         /* then this token instead of the one that came */
    int heated;            /* a judge asked again at `temperature` instead of the session's */
    float temperature;
};

enum search_event_kind {
    SEARCH_EVENT_SESSION, SEARCH_EVENT_PLAN, SEARCH_EVENT_COMPLETION, SEARCH_EVENT_THOUGHT, SEARCH_EVENT_JUDGEMENT,
    SEARCH_EVENT_DECISION, SEARCH_EVENT_PRUNE, SEARCH_EVENT_UNDO, SEARCH_EVENT_REDO, SEARCH_EVENT_RESULT,
    SEARCH_EVENT_KEEP, SEARCH_EVENT_REVOTE, SEARCH_EVENT_SETTING, SEARCH_EVENT_BACK, SEARCH_EVENT_ASK,
    SEARCH_EVENT_RESTORE, SEARCH_EVENT_BREAK,
    SEARCH_EVENT_KINDS,
};

/* Immutable once made; shared by counting references (search_event_keep / _release, from any thread). Strings are UTF-8,
 * as the model wrote them except that invalid bytes became U+FFFD: NOT safe for a terminal (utf8_sanitize). */
struct search_event {
    int64_t number;        /* 0, 1, 2, ... */
    enum search_event_kind kind;
    int references;        /* atomic */
    int step;              /* number of the plan this belongs to; -1 before the first */
    union {
        struct search_setting { /* session: the first event, everything needed to do the search again; setting: what holds from here on */
            char *task, *problem, *expected; /* expected: the known answer, or NULL */
            char *strategy;                  /* with every parameter spelled out: "tot,b=5,generate=propose,..." */
            char *model;                     /* name */
            uint64_t seed;
            struct engine_sampling sampling;
            int64_t budget_tokens;           /* 0: none; so the others */
            double budget_flops, budget_time; /* time in seconds of work, the one budget that does not repeat */
            int budget_nodes;
            char *judge_model;               /* the name of a second model that judges, or NULL */
            int grammar;                     /* the task's grammars hold */
            struct search_adapter {          /* over the model that grows the tree, not over a second one that judges */
                char *path;
                float weight;
                uint64_t sum;                /* of its bytes */
            } *adapters;
            int adapter_count;
            int trained, judge_trained;      /* the model, the second model, is asked with the task's prompts for trained models */
        } session;
        struct {           /* the strategy's next step: items to be done in this order */
            char *why;     /* "propose from 5 states", for a person */
            struct search_item *items;
            int count;
            int64_t ask;   /* 0, or the number of the user's ask that it does: it is not the strategy's */
        } plan;
        struct {           /* one sample of one item: what the model was asked and what it wrote */
            int item, sample;
            int *prompt;   /* token ids; shared by the samples of an item: NULL when sample > 0 */
            int prompt_count;
            struct engine_token *tokens;
            int count;
            char *text;
            enum engine_ending ending;
            int clipped;   /* it ended because the budget did: nothing more can be asked for */
            int judge;     /* of the judge's model, not of the one that grows the tree */
            struct search_usage usage;
        } completion;
        struct {           /* a new node */
            int node, parent;
            char *text;            /* the thought, trimmed; "4 + 5 = 9 (left: 6 9 10)" */
            int64_t completion;    /* number of the completion event it was cut from; -1: of none */
            int first, count;      /* which tokens of that completion */
            int illegal;           /* a step verifier refused it */
            char *why;             /* of the verifier: "6 is not there"; or NULL */
            char *state;           /* what the task says is left after it: "6 9 10"; or NULL */
            int final;             /* nothing can follow: it holds an answer, or the last step was reached */
            char *answer;          /* canonical; or NULL */
            int correct;           /* 1, 0, or -1 not known */
            int by_user;           /* written by the user */
            int replaces;          /* by_user: the node it stands in for, which is pruned by it; -1: none */
        } thought;
        struct {           /* the parse of one judge item, all its samples together */
            int item;
            enum search_purpose purpose;
            int *nodes;            /* judged nodes, in the item's order */
            double *scores;        /* [count]: value: the sum of the weights; vote: votes for each; others: from 0 to 1 */
            double most;           /* the greatest score there could be; 0: not known */
            int count;
            char **labels;         /* [samples]: what each completion was read as: "sure", "3"; NULL: could not be read */
            int samples;
            int cached;            /* the same prompt was judged before (or a duplicate candidate): no completion was made */
        } judgement;
        struct {           /* a choice among nodes, closing a level or the search */
            int *kept;             /* best first; a node that was drawn twice stands there twice */
            int kept_count;
            char *why;             /* "kept 5 of 38 by value: 60, 41, 22, 21, 3" */
            struct search_tally { char *answer; int votes; double logprob; int node; } *tally; /* self-consistency: by answer, winner first */
            int tally_count;
            int tie;
            struct search_backup { int node; double reward; } *backups; /* tree search: one visit, from the leaf up to the root */
            int backup_count;
            int spent;             /* the budget was: so in the result */
        } decision;
        struct { int node; } prune;          /* tombstone on the node and so on all below it; restore: one taken off */
        struct { int node, on; } keep;       /* the path to the node is to be learned from, or no longer */
        struct { int *excluded, count; char *weight; } revote; /* answers at or below these nodes count no more; weight: of self-consistency, or NULL */
        struct { char *rules; } stops;       /* of break: where the search is to stop by itself from here on, "wrong, value<0.3"; "": nowhere */
        struct { struct search_item *item; } ask; /* one more sample, a fork, or a judge's word once more: done when the plan in progress is */
        struct { int64_t target; } back;     /* number of a plan or decision: the search is again where it was before it */
        struct { int64_t target; } undo;     /* number of the act undone, or done again */
        struct {
            char *strategy, *answer;         /* answer NULL: none */
            int node;                        /* where it stands, or -1 */
            int correct;                     /* 1, 0, -1 not known */
            char *why;                       /* "plurality 6 of 15 votes (1 of 16 paths has none)", "budget spent: ..." */
            struct search_usage usage;
            int nodes, illegal, spent;
        } result;
    };
};
struct search_event *search_event_keep(struct search_event *event);
void search_event_release(struct search_event *event);
/* Append the event as one line of JSON with '\n' (schema: search/README.md). Nothing in it depends on time, threads or batch.
 * The engine gives the texts of tokens; NULL leaves them out. */
void search_event_json(const struct search_event *event, const struct engine *engine, struct string *out);

/* --- the tree ---------------------------------------------------------------------------------------------------- */

enum search_state {
    SEARCH_FRONTIER,   /* could be grown */
    SEARCH_EXPANDING,  /* an item of the present plan grows it */
    SEARCH_EXPANDED,   /* has been grown */
    SEARCH_FINAL,      /* holds an answer or a dead end; nothing follows */
    SEARCH_ILLEGAL,
};

/* Nodes have stable ids 0, 1, 2, ... in order of creation; 0 is the root, whose text is the problem. */
struct search_node {
    int parent, first_child, last_child, next_sibling; /* -1: none */
    int children, descendants, depth;
    enum search_state state;
    int pruned;                   /* tombstones on this very node; see search_tree_is_pruned */
    int gone;                     /* what made it was undone: it has no place in the tree, only its number */
    int kept;                     /* step of the decision that last kept it, or ended its visit there, -1: never */
    int training;                 /* the user keeps the path to it, to learn from */
    int excluded;                 /* its answer, and those below it, have no vote */
    int visits;                   /* N: backups that passed through it; what was backed up from pruned leaves does not count */
    double reward_sum, reward_squares, reward_best; /* of these */
    int on_best_path;             /* lies on the path of the result's answer */
    const struct search_event *thought;    /* NULL for the root */
    const struct search_event *completion; /* its tokens; NULL where there are none */
    const struct search_event *judgement;  /* the latest one about it, or NULL */
    const struct search_event *decision;   /* the latest that kept it, or whose visit passed through it; or NULL */
    double value;                 /* the latest score; NAN: not judged */
    double reward;                /* the same from 0 to 1 (value over the most there could be); NAN: not judged */
    double logprob;               /* sum over its own tokens */
    int tokens;
    int sampled;                  /* samples that plans in force asked for here, to grow it */
    uint64_t path_hash;           /* of the texts of its path */
    int same;                     /* the latest node before it whose path reads the same, -1: none */
};

/* The acts of the user (prune, restore, keep, vote again, setting, break, a thought of their own, ask, back) stand on one stack that undo and redo move along.
 * An event is in force unless it is an act that is undone, belongs to the plan of one, or stands between a `back` in force and its target
 * (but for `break`: one goes back to be stopped there the next time).
 * Invariant: equal to folding, from nothing, the events in force; but for what is counted over all events: tokens, steps, numbers of nodes.
 * Events folded are kept alive. */
struct search_tree {
    struct search_node *nodes;
    int count, capacity;
    struct search_event **events; /* all, in order */
    int64_t event_count, event_capacity;
    int *kept;                    /* nodes kept by the latest decision; the root before the first */
    int kept_count;
    int steps;                    /* number of plans so far, undone ones too */
    int made;                     /* of search_tree_steps, those before the plan in progress */
    int step_open;                /* the latest plan is not done: some item of it is not complete and not pruned */
    int *done, done_count, done_capacity; /* of each item of the plan in progress (none: count 0): samples recorded, and one more once judged */
    int items_open;               /* of these items, how many are neither complete nor pruned */
    int64_t *undo;                /* stack of the acts that u would undo, and U would redo: their numbers */
    int undo_count, redo_count, undo_capacity; /* undo[0..undo_count) done, undo[undo_count..undo_count+redo_count) undone */
    unsigned char *out;           /* of each event: it is not in force */
    int64_t out_capacity;
    struct search_usage usage;
    int illegal;
    int spent;                    /* the budget is: nothing more can be asked for */
    int visits;                   /* backups in force, from leaves that are not pruned */
    int iterations;               /* backups in force since the strategy is this one, pruned leaves' too */
    int backups;                  /* decisions so far that backed something up, undone ones too */
    int grown;                    /* items so far that were to grow a node, undone ones too */
    int64_t *asks;                /* the user's that no plan has done yet: their numbers */
    int ask_count, ask_capacity;
    int *paths, paths_capacity;   /* hash table: of each path the latest node, -1: empty; a power of two, at most half full */
    const struct search_event *session, *latest_plan, *latest_decision, *result, *revote, *breaks; /* session: the latest setting. Or NULL */
};
void search_tree_fold(struct search_tree *tree, struct search_event *event); /* keeps the event; {0} is the empty tree */
void search_tree_free(struct search_tree *tree);
/* Steps made, of those in force: plans that came to their end, decisions, results, as search_advance tells them one by one (SEARCH_BETWEEN,
 * SEARCH_DONE). */
int search_tree_steps(const struct search_tree *tree);
int search_tree_is_pruned(const struct search_tree *tree, int node); /* a tombstone on it or above it, or gone */
/* The tree as it was after the first `count` events of this one; *out is {0} or an earlier such tree, to be freed. */
void search_tree_at(const struct search_tree *tree, int64_t count, struct search_tree *out);
/* The same, so many events at a time: begun, then gone on with while that returns 1, then r->tree is it, the caller's. `last` is an event more, not
 * in the log yet (count is one more than it has), or NULL. The log may grow meanwhile. */
struct search_refold {
    struct search_tree tree;
    const struct search_tree *log;
    struct search_event *last;
    int64_t count, at;            /* at: of the phase */
    int phase;
    int *undone, undone_count, undone_capacity; /* steps of the user's plans that are */
};
void search_refold_begin(struct search_refold *r, const struct search_tree *log, int64_t count, struct search_event *last);
int search_refold_go_on(struct search_refold *r, int events);
void search_refold_end(struct search_refold *r); /* before that: what there is of r->tree is the caller's to free */
/* Free a tree that nobody asks any more, so many events at a time; 1: there is more of it. */
int search_tree_shed(struct search_tree *tree, int steps);
/* The latest plan or decision in force, which `back` would take back; -1: none. */
int64_t search_tree_latest_step(const struct search_tree *tree);
int search_node_is_kept(const struct search_node *n); /* what was decided about it last was to keep it; a visit keeps and drops nothing */
const char *search_node_text(const struct search_tree *tree, int node); /* never NULL */

/* --- strategies -------------------------------------------------------------------------------------------------- */

/* "tot,b=5,generate=propose" checked against the table: unknown names and parameters, bad values: ERROR_USAGE with those there are. */
int search_strategy_check(const char *spec, struct error *e);
/* The specification with a judge for its `evaluate` where it names none and takes one: "tot,b=5" and "self-evaluation" give
 * "tot,b=5,evaluate=self-evaluation"; "value,samples=2" also sets n_evaluate_sample. malloc'ed in *out. *judges: it takes one. */
int search_strategy_judged(const char *spec, const char *judge, char **out, int *judges, struct error *e);
/* The specification with the judge of another one, where both take a judge and it names none. malloc'ed in *out. */
int search_strategy_judged_as(const char *spec, const char *other, char **out, struct error *e);
/* The specification with another value for one of its parameters, by any of its names; "judge" is that which says who judges thoughts. The
 * value is checked where the specification is used. malloc'ed in *out. ERROR_USAGE: the strategy has no such parameter. */
int search_strategy_with(const char *spec, const char *name, const char *value, char **out, struct error *e);
/* Any strategy takes `adapter=FILE[:WEIGHT]`, several times, and `adapter=none`; "\," is a comma of the path. Append to the specification
 * what of these it does not say: the adapters of a command line, as they were typed. */
int search_strategy_adapted(const char *spec, const char *const *adapters, int count, char **out, struct error *e);
/* FILE[:WEIGHT]: only a number after the last colon is a weight; else it is 1. ERROR_USAGE. *path is malloc'ed. */
int search_adapter_parse(const char *text, char **path, float *weight, struct error *e);
struct search_strategy_about {
    const char *name, *about;
    const char *parameters; /* "b=5 generate=propose|sample evaluate=value|vote ..." */
};
const struct search_strategy_about *search_strategies(int *count);
struct search_posterior { /* of an arm's mean reward */
    int beta;             /* 1: Beta(a, b), after Beta(1/2, 1/2) */
    double m, kappa, nu, tau_squared; /* 0: normal-inverse-chi-squared, after m = 0, kappa = 1, nu = 1, tau^2 = 0.1 */
    double a, b;
};
/* The numbers by which the session's strategy would choose this node among its siblings now. mcts: as its formulas name them. ab-mcts: q the mean
 * reward, u what the draw from the arm's posterior for the present iteration adds to it, total the draw. */
struct search_terms {
    int there;             /* 0: it has none, for such a node: its strategy goes by no such numbers, it is pruned, illegal, or a copy, it or a sibling
                            * is yet to be judged */
    int visits;
    double q, u, prior, total; /* total = q + u; prior: of puct, otherwise 0 */
    enum search_form { SEARCH_UCT, SEARCH_PUCT, SEARCH_THOMPSON } form; /* what they are made from: */
    int above;             /* uct, puct: visits of the parent */
    double weight;         /* u = weight * sqrt(ln above / max(1, visits)), and 0 where above is; or weight * prior * sqrt(above) / (1 + visits) */
    int greatest;          /* uct: q is the greatest reward found below, not their mean */
    struct search_posterior posterior; /* thompson: what the total is drawn from */
};
int search_tree_terms(const struct search_tree *tree, int node, struct search_terms *out); /* out->there */
/* Of several nodes with one parent, in the time of one. */
void search_tree_terms_list(const struct search_tree *tree, const int *nodes, int count, struct search_terms *out);

/* --- running ----------------------------------------------------------------------------------------------------- */

struct search;
struct search_options {
    const struct search_task *task; /* must outlive the search */
    const char *problem;            /* as the user typed it; "@901" is row 901 of the task's data */
    const char *data;               /* another data file for @N, or NULL */
    const char *strategy;           /* NULL: the task's */
    uint64_t seed;
    struct engine_sampling sampling; /* fields below 0 (temperature, top_k, ...) mean the task's own */
    int64_t budget_tokens;          /* prompt - cached + completion; 0: none, as of the others */
    double budget_flops, budget_time; /* time: seconds of work since it was opened; the one budget that does not repeat */
    int budget_nodes;               /* thoughts */
    struct engine *judge;           /* a second model that judges, or NULL; must outlive the search */
    int grammar;                    /* hold thoughts to the task's grammars */
    enum search_prompts prompts;    /* of the task, for the model and for the judge */
    int commands;                   /* the judge `verifier` may run the task's command; otherwise it is refused where it would */
    /* Called for each event, in order, in the thread that calls the search; it may search_event_keep it. */
    void (*sink)(void *context, struct search_event *event);
    void *context;
    struct search_journal *journal; /* or NULL; must outlive the search */
    int tree;                       /* the number of this search's tree in it */
};
enum search_status {
    SEARCH_WORKING, /* inside a step: call again */
    SEARCH_BETWEEN, /* a step (one plan, or one decision) has just been completed: the place to pause */
    SEARCH_DONE,    /* the result event has been given */
};
/* Is the problem of these options one of their task's, or a row of its data? Nothing else in them is looked at, and no model is needed. */
int search_problem_check(const struct search_options *options, struct error *e);
/* Bad problem, prompt too long for the context, unknown strategy: an error, and no search. The engine must outlive it. */
int search_open(struct search **out, struct engine *engine, const struct search_options *options, struct error *e);
/* The same from a log made before, whole or up to any event: the search is then where it was, and goes on as it would have gone on, to
 * the same events. Of the options only task, sink, context and judge count; the log says the rest. The sink is given the old events too.
 * ERROR_INPUT: the log is of another task or model, or of somebody else's program. */
int search_open_again(struct search **out, struct engine *engine, const struct search_options *options, struct search_event *const *events,
                      int64_t count, struct error *e);
void search_close(struct search *search); /* cancels what is in flight */
/* Do a little: at most one engine pass. All from the engine's thread. */
int search_advance(struct search *search, enum search_status *status, struct error *e);
/* What a search with these options may cost at most, found without the model's weights (the engine may be one of vocabulary_only): every
 * completion as long as it may be, every path as deep, a proposal of SEARCH_ESTIMATE_PROPOSED thoughts, no two answers that agree. */
enum { SEARCH_ESTIMATE_PROPOSED = 10 };
struct search_estimate {
    struct search_usage usage;
    int64_t requests;
    int nodes;
    int cut; /* it is more than the budget, which would end it */
};
int search_estimate(struct search_estimate *out, struct engine *engine, const struct search_options *options, struct error *e);
void search_rest(struct search *search); /* nothing is done for a while: the time until the next advance does not count */
double search_seconds(const struct search *search); /* at work, rests left out; with a journal those before it was opened again, too */
/* Acts of the user, at any moment between calls of search_advance. Each is an event. ERROR_INPUT when it makes no sense
 * (the root, a node that is not there, nothing to undo). Work in flight at or below a pruned node is cancelled; undo
 * during the same plan has it done after all. After SEARCH_DONE an act wakes the search: search_advance may come to another result. */
int search_prune(struct search *search, int node, struct error *e);
/* The tombstone on this very node is taken off again, whatever was done since: an act itself. */
int search_restore(struct search *search, int node, struct error *e);
int search_undo(struct search *search, struct error *e); /* the latest act that is not undone, whatever happened since */
int search_redo(struct search *search, struct error *e);
/* Be again where the search was before its latest plan or decision in force, or (target >= 0) before that one, all acts included. */
int search_back(struct search *search, int64_t target, struct error *e);
int search_keep(struct search *search, int node, int on, struct error *e); /* the path to it is to be learned from, or no longer */
/* A thought of the user's own below a node; or instead of a node, which is pruned. The search goes on from it. */
int search_add(struct search *search, int parent, const char *text, struct error *e);
int search_edit(struct search *search, int node, const char *text, struct error *e);
/* One more sample of the node's thoughts; or a completion that is the node's own up to its token `token` (from 0) and has the alternative
 * `id` there, one of the token's top. Done when the plan in progress is. */
int search_again(struct search *search, int node, struct error *e);
int search_fork(struct search *search, int node, int token, int id, struct error *e);
/* Count votes again: the answers at or below this node count no more (on = 1), or again; by another weight ("plurality", "normalised";
 * NULL: the strategy's own). No token is spent. */
int search_exclude(struct search *search, int node, int on, struct error *e);
int search_weigh(struct search *search, const char *weight, struct error *e);
/* What holds from here on. Fields of o: strategy (NULL: as it is), seed (with_seed), sampling (below 0: as it is), budgets (0: as they are, below 0: none). */
int search_set(struct search *search, const struct search_options *o, int with_seed, struct error *e);
/* From here on with these adapters instead of those there are (sums are not looked at). ERROR_INPUT: one cannot be read, or does not fit. */
int search_adapters(struct search *search, const struct search_adapter *list, int count, struct error *e);
/* In words: "FILE" or "FILE:WEIGHT", one more or another weight of one that is there, 0: without it; "none": without any. */
int search_adapt(struct search *search, const char *words, struct error *e);
/* Ask the judge once more about what it judged with that node (-1: what was judged last), at another temperature where that is not below 0. ERROR_INPUT:
 * it was not judged, or would be told the same again, as by a rule. */
int search_revote(struct search *search, int node, float temperature, struct error *e);
/* From here on it is to stop at that rule, too (on = 1), or no longer; "all": at none. What the search comes to is the same. */
int search_break(struct search *search, const char *rule, int on, struct error *e);
/* Any of these by its words: "prune 12", "restore 12", "undo", "redo", "back", "back 40", "keep 7", "unkeep 7", "add 3 TEXT", "edit 4 TEXT", "again 4",
 * "fork 4 2 11", "exclude 9", "include 9", "weight normalised", "break value<0.1", "unbreak all", "revote 4 temperature=1", "adapter FILE:0.5", "set strategy=... judge=... b=3 seed=..." Unknown ones: ERROR_USAGE with those there are. */
int search_do(struct search *search, const char *words, struct error *e);
const struct search_tree *search_tree(const struct search *search);

/* Where a search is to stop by itself, for whoever advances it: rules that its events are held against; the tree's `breaks` has those that hold. A rule is
 * "wrong" (a step that a verifier refuses, a wrong answer), "right", "answer", "value<X", "value>X" (of a judge, as it is shown; not
 * votes), "depth=N" (the first thought there of each plan). */
enum search_break {
    SEARCH_BREAK_WRONG, SEARCH_BREAK_RIGHT, SEARCH_BREAK_ANSWER, SEARCH_BREAK_BELOW, SEARCH_BREAK_ABOVE, SEARCH_BREAK_DEPTH,
};
enum { SEARCH_BREAKPOINTS = 16 };
struct search_breakpoints {
    struct search_breakpoint { enum search_break kind; double than; int step; } list[SEARCH_BREAKPOINTS]; /* step: the latest plan it stopped */
    int count;
};
int search_breakpoint_add(struct search_breakpoints *list, const char *rule, struct error *e);
int search_breakpoint_remove(struct search_breakpoints *list, const char *rule, struct error *e); /* "all": every one */
void search_breakpoints_text(const struct search_breakpoints *list, struct string *out); /* "wrong, value<0.3" */
/* That text again; where the list had a rule before, it is still known what that stopped. */
int search_breakpoints_read(struct search_breakpoints *list, const char *text, struct error *e);
/* Is it to stop at this event of a tree that has folded it? Which rule and why, malloc'ed, and the node; or NULL. */
char *search_breakpoints_hit(struct search_breakpoints *list, const struct search_tree *tree, const struct search_event *event, int *node);

/* A race: several searches on the same engines, each with its own log, in one batch. None of them comes to anything else than alone. */
struct search_group;
struct search_group *search_group_open(void);
void search_group_close(struct search_group *group); /* the searches are the caller's */
void search_group_add(struct search_group *group, struct search *search);
void search_group_remove(struct search_group *group, struct search *search); /* before it is closed */
void search_group_hold(struct search_group *group, struct search *search, int held); /* it is left out until it is let go */
/* Do a little: one thing of one search (*moved), or a pass of the engines for all (*moved NULL, SEARCH_WORKING). A search that is done is
 * told once. *moved NULL and SEARCH_DONE: all that are not held are done. */
int search_group_advance(struct search_group *group, struct search **moved, enum search_status *status, struct error *e);

/* What is being written right now; not events, nothing depends on it. Begin with SEARCH_LIVE_NONE and call it until it returns 0: each call goes on
 * from the one that is in *live. Its tokens are valid until the search is advanced. */
struct search_live {
    int node;               /* the node being grown or judged (the first candidate of a vote) */
    enum search_purpose purpose;
    int item, sample;
    const struct engine_token *tokens;
    int count;
};
#define SEARCH_LIVE_NONE ((struct search_live){.sample = -1})
int search_live(const struct search *search, struct search_live *live);

/* --- sessions, oracle, audit --------------------------------------------------------------------------------------- */

/* One line of JSON, as search_event_json writes it, back into an event with one reference. What is printed from it again (without an
 * engine) is the same line but for the texts of tokens, which are there for people. What is wrong is an ERROR_INPUT that begins with
 * "file: line N: ". That the event fits a tree (its nodes are there, ...) is search_sessions_load's to check. */
int search_event_parse(const char *text, size_t n, const char *file, int64_t line, struct search_event **out, struct error *e);

/* The trees of a file, as they were when it ended. */
struct search_session {
    char *title;             /* for a list: the problem, where it comes from */
    char *asked;             /* its first strategy as it was asked for, before all was spelled out; NULL: not known */
    struct search_tree tree; /* at least the session event */
};
struct search_sessions {
    const char *form;        /* "espalier events", "published Tree of Thoughts log", "published samples" */
    int imported;            /* of somebody else's program: read-only, there is nothing to go on with */
    struct search_journal *journal; /* it is one, kept open for writing: search_sessions_open */
    struct search_session *list;
    int count;
};
/* Told apart by their content: a journal (below), a tree for each of its searches; our own events, one JSON object a line (a session event begins a new tree); or a published Game of 24 log of
 * princeton-nlp/tree-of-thought-llm, a JSON array of records: with steps (a tree each), or with samples only (each a path). */
int search_sessions_load(struct search_sessions *out, const char *path, struct error *e);
/* A journal alone, to go on with: it stays open, locked for writing, in out->journal. It may hold no tree yet (count 0): then nothing was
 * begun in it. */
int search_sessions_open(struct search_sessions *out, const char *path, struct error *e);
void search_sessions_free(struct search_sessions *sessions); /* closes the journal, too */

/* --- journals: sessions on disk ------------------------------------------------------------------------------------- */

/* One SQLite file a session; search/journal.h says what it survives. With one in search_options every event is in it before the sink has it. */
struct search_journal;
/* A new session, open for writing. A file that is there already is refused. */
int search_journal_create(struct search_journal **out, const char *path, struct error *e);
/* A session that is there. write: it is locked, and refused when another espalier (or this one) has it open for writing. */
int search_journal_open(struct search_journal **out, const char *path, int write, struct error *e);
void search_journal_close(struct search_journal *journal); /* what is not committed is lost, and all of a new one without a commit; NULL: nothing */
const char *search_journal_path(const struct search_journal *journal);

/* Texts about the session: the model's path, the task's. Setting is part of the transaction, as appending is. The text is malloc'ed; NULL
 * where there is none of that key. */
int search_journal_set(struct search_journal *journal, const char *key, const char *value, struct error *e);
char *search_journal_get(struct search_journal *journal, const char *key);
int search_journal_commit(struct search_journal *journal, struct error *e); /* search/journal.h says what that means */

/* Append and commit events of a tree that has none yet: the past of another session. */
int search_journal_copy(struct search_journal *journal, int tree, struct search_event *const *events, int64_t count, struct error *e);
/* $XDG_DATA_HOME/espalier/sessions, or ~/.local/share/espalier/sessions; made where it is missing, for its user alone. malloc'ed; NULL: *e
 * says why. */
char *search_journal_folder(struct error *e);
/* A new session folder/task-YYYYMMDD-HHMMSS.session (local time), with -2, -3, ... before the dot where that is taken. */
int search_journal_begin(struct search_journal **out, const char *folder, const char *task, time_t when, struct error *e);
struct search_journal_entry {
    char *path;
    int64_t modified; /* nanoseconds since 1970, of the latest commit */
};
/* The sessions (*.session) of a folder, the latest first. */
int search_journal_list(struct search_journal_entry **out, int *count, const char *folder, struct error *e);
void search_journal_list_free(struct search_journal_entry *list, int count);


/* An exact solver for problems of numbers (game24, countdown). It only ever looks: no strategy asks it. */
enum search_mark { SEARCH_MARK_UNKNOWN, SEARCH_MARK_LOST, SEARCH_MARK_ALIVE };
struct search_oracle;
struct search_oracle *search_oracle_open(void);
void search_oracle_close(struct search_oracle *oracle);
/* Can the target still be made from these numbers ("2/3 4 11"), each used exactly once? Unknown: not a list of at most six numbers, or
 * too large for 64 bits. Answers are remembered. */
enum search_mark search_oracle_ask(struct search_oracle *oracle, const char *numbers, const char *target);
/* Alive: every step of the node's path is legal, and the target can still be made from what is left, or it holds a right answer. */
enum search_mark search_oracle_mark(struct search_oracle *oracle, const struct search_tree *tree, int node);

/* Where a search lost the answer. */
enum search_cause {
    SEARCH_CAUSE_RIGHT,
    SEARCH_CAUSE_NEVER_GENERATED, /* from what was alive and kept came nothing alive */
    SEARCH_CAUSE_ILLEGAL_STEP,    /* likewise, but one step did the right thing and said it wrongly: rounded, numbers left out, more text */
    SEARCH_CAUSE_MISJUDGED,       /* what was alive was valued below everything kept */
    SEARCH_CAUSE_UNSELECTED,      /* what was alive was valued as high as something kept, and not kept: a tie, or a draw */
    SEARCH_CAUSE_PRUNED,          /* by the user */
    SEARCH_CAUSE_UNFINISHED,      /* something kept is alive, and was not grown any more */
    SEARCH_CAUSE_UNSOLVABLE,      /* the problem has no solution */
    SEARCH_CAUSES,
};
const char *search_cause_name(enum search_cause cause);
enum { SEARCH_AUDIT_LEVELS = 6 };
struct search_audit {
    int known;                   /* 0: no exact solver for this task; nothing else is said then */
    int levels;                  /* depth of the tree, as far as legal steps can go */
    char generated[SEARCH_AUDIT_LEVELS + 1], selected[SEARCH_AUDIT_LEVELS + 1]; /* [1..levels]: something alive was generated, was gone on with */
    int right;                   /* an answer that is right is among those kept at the end (among all, where nothing was ever chosen) */
    int right_alive;             /* and its path is legal step by step: by luck a right answer may follow an illegal one */
    int right_first;             /* the answer given as the result is right; -1: none was chosen */
    enum search_cause cause;
    int level;                   /* where it was lost; 0 unless lost */
    int node;                    /* the one lost: the best alive, or the illegal step; -1 */
};
void search_audit_tree(struct search_oracle *oracle, const struct search_tree *tree, struct search_audit *out);

/* --- benchmark ----------------------------------------------------------------------------------------------------- */

/* Strategies over the problems of a data set: every strategy, budget and seed at every problem, a search each. */
struct search_bench_options {
    struct search_options each;    /* of every search; `seed` is the first of `seeds`; problem, strategy and budget_tokens are not looked at */
    const char *const *strategies; /* none: the task's own */
    int strategy_count;
    const int64_t *budgets;        /* in tokens; none: without one */
    int budget_count;
    int first, last, seeds;        /* rows from 1; last 0: as many as there are, at most 100 */
    const char *path;              /* of the results; NULL: a file under $XDG_DATA_HOME that is named for the settings */
    const char *trees;             /* the events of each search that ends are appended there, a tree after the other; NULL: nowhere */
    int together;                  /* searches side by side at most; 0: as many as fill the batch. It changes nothing but times */
};
struct search_bench_run {
    int strategy, budget, row;     /* indices of the options' lists; the row */
    uint64_t seed;
    int finished;
    char *problem, *answer, *why;  /* answer NULL: none */
    char *failed;                  /* the message when there was no such search (the row is no problem of the task, too long a prompt), or NULL */
    int correct;                   /* 1, 0, -1: it has an answer, and the right one is not known. No answer is 0 */
    int nodes;
    struct search_usage usage;
    double seconds;                /* of the engine: each pass's, shared by the requests that the searches had in it. Does not repeat */
};
/* A strategy at a budget. What counts are the problems whose every run is finished; one that failed in all of them is left out, elsewhere
 * a run that failed is wrong. */
struct search_bench_line {
    int strategy, budget;
    int problems, runs, correct, failed;
    double accuracy, low, high;    /* with its 95 % interval by bootstrap over problems, all runs of a problem drawn together */
    double prompt, cached, completion, flops, seconds, nodes; /* means over the runs that did not fail */
    double difference, difference_low, difference_high;       /* of accuracy, to the first strategy at the same budget, likewise */
    int wins, losses;              /* problems of which more runs, or fewer, are right than of the first strategy's */
    double p;                      /* two-sided exact sign test over these; with one seed: McNemar's */
};
struct search_bench;
/* Reads what of it is done already. ERROR_USAGE, ERROR_INPUT: a strategy, rows that are not there, a file of other settings. */
int search_bench_open(struct search_bench **out, struct engine *engine, const struct search_bench_options *options, struct error *e);
void search_bench_close(struct search_bench *bench); /* what is finished is in the file */
/* Do a little: at most one engine pass. A run that ends is written to the file at once. */
int search_bench_advance(struct search_bench *bench, int *done, struct error *e);
const struct search_bench_run *search_bench_runs(const struct search_bench *bench, int *count, int *finished); /* by row, seed, budget, strategy */
const char *search_bench_strategy(const struct search_bench *bench, int strategy); /* every parameter spelled out */
const char *search_bench_path(const struct search_bench *bench);
/* By budget, then strategy; malloc'ed. unknown, left_out: problems without a known answer; that failed in all runs. */
struct search_bench_line *search_bench_lines(const struct search_bench *bench, int *count, int *unknown, int *left_out);

#endif
