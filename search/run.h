/* A search at work: what the rooms of the runner share. Private to search/.
 *
 * run.c asks the strategy and makes events, note.c is what follows from an event (so that a log read back comes to the
 * same place), work.c does a plan's items with the engine, acts.c is what a user does to it meanwhile. */
#ifndef ESPALIER_SEARCH_RUN_H
#define ESPALIER_SEARCH_RUN_H

#include "search/items.h"
#include "search/strategy.h"
#include "search/usage.h"

struct search_job { /* one sample of one item */
    enum { SEARCH_JOB_IDLE, SEARCH_JOB_SENT, SEARCH_JOB_ENDED } state;
    int id; /* SENT: of the request */
    int max_tokens, sent_tokens; /* that it may have; that the request in flight may have */
    struct engine_result result; /* ENDED: not recorded yet */
    struct search_outside *outside; /* SENT: instead of a request, a program that judges */
    char *said;                     /* ENDED: what came of that; result.ending says whether it is a score */
};

struct search_work { /* one item of the plan in progress */
    struct engine_tokens prompt;       /* with what a fork begins with: the last `forced` of it */
    int forced;
    struct engine_grammar *grammar;    /* that its completions are held to; or NULL */
    struct engine_tokens words[2];     /* judged by the probabilities of two words: these, a sample each */
    uint64_t hash;                     /* of the prompt */
    uint64_t first_sample;             /* how often this was asked before: no two requests share random numbers */
    struct search_job *jobs;           /* [samples] */
    struct search_event **completions; /* [samples]: those recorded; the tree keeps them */
    int admitted;                      /* samples up to here belong to the present wave or are recorded */
    int free;                          /* in the present wave as one that needs no completion */
    int earlier;                       /* the latest item before it with the same prompt and purpose, -1 */
};

struct search_judged { /* a prompt that was judged, and what came of it */
    uint64_t hash;
    enum search_purpose purpose;
    const struct search_event *judgement, *completion; /* its first completion, which has the prompt */
};

struct search {
    struct search_ground g;
    struct search_parameters parameters;
    char *strategy; /* spelled out */
    void (*sink)(void *context, struct search_event *event);
    void *context;
    struct search_journal *journal;
    int tree_number;
    struct search_event **made; /* in the tree, not yet given to the sink */
    int made_count, made_capacity;
    struct error failure; /* the first thing that went wrong; code 0: nothing did */

    struct search_prefixes prefixes[2]; /* of the model, of the judges' model */
    const struct search_event *plan;    /* what `work` is of */
    struct search_work *work;           /* [work_count]: none, or the items of the plan in progress */
    int work_count, closed; /* the first `closed` items are neither open nor, without an act, will be */
    const struct search_event **first; /* by item of the latest plan: the completion that has its prompt */
    int first_count;
    struct search_sent {
        int id, item, sample;
    } *sent[2]; /* requests of the work, to the model and to the judges' model, by id, ascending: some may be answered */
    int sent_count[2], sent_capacity[2];
    int unsent; /* something admitted has not been sent */
    struct search_judged *judged;
    int judged_count, judged_capacity;
    int *judged_table, judged_table_size; /* by hash; -1: empty; a power of two, at most half full */
    int (*asked)[SEARCH_PURPOSES];        /* by node and purpose: samples planned so far */
    int asked_count;
    int starved; /* the budget left does not reach for anything more of this plan */
    int mix;     /* of the adapters that hold now, in the engine */
    int done;    /* the result stands; an act of the user takes that back */
    int commands; /* the user allows them */
    double worked, worked_until; /* seconds at work; clock_seconds() when they were counted last, 0: at rest */
    double worked_before;        /* seconds, until it was opened again */
};

/* --- run.c */
/* Number the event, take it into the tree and all that follows from it; it is given to the sink by search_tell. */
void search_emit(struct search *s, struct search_event *event);
/* Give the sink what was made. What went wrong since, or OK. */
int search_tell(struct search *s, struct error *e);
int search_is_spent(const struct search *s); /* nothing more can be asked for */
/* ERROR_USAGE: it would run a command of the task's, which the user did not allow. */
int search_check_commands(const struct search *s, const struct search_parameters *p, struct error *e);
/* Do something that needs no pass of the engine; *waits: nothing is left but what does. */
int search_try(struct search *s, enum search_status *status, const struct search_job **waits, struct error *e);

/* --- note.c: what follows from an event */
void search_note(struct search *s, struct search_event *event);
/* Cut the next wave if all of the present one is recorded. Comes before anything is done next, so that it, too, follows
 * from the log. */
void search_settle(struct search *s);
/* A log made before: the search is then where it was when that ended. */
int search_replay(struct search *s, struct search_event *const *events, int64_t count, struct error *e);
/* The latest judgement of the same prompt; NULL. */
const struct search_event *search_judged_before(const struct search *s, const struct search_work *w,
                                                enum search_purpose purpose);

/* --- work.c: the plan in progress */
const struct search_item *search_work_item(const struct search *s, int i);
int search_work_make(struct search *s, struct error *e); /* all of it follows from the log up to that plan */
void search_work_drop(struct search *s);                 /* cancels what is in flight */
/* The open item of this wave that is to be recorded next: its next sample, or its judgement where that needs none; -1.
 */
int search_work_next(struct search *s);
int search_work_admit(struct search *s); /* cut the next wave; 0 when nothing fits the budget */
/* Send what is admitted and was not sent, or was cancelled since. */
int search_work_send(struct search *s, struct error *e);
/* After an act of the user: what was dropped is cancelled, and the next wave is cut anew from what there is now. */
void search_work_cancel(struct search *s);
/* Take a result that was asked for here; 0 for one of somebody else, or one no longer wanted. */
int search_work_take(struct search *s, const struct engine *engine, const struct engine_result *result);
/* Look after programs that judge, waiting a little for the first; is there one that runs, or has ended just now? */
int search_work_poll(struct search *s, double seconds);
/* The judgement of an item that needs no completion: the same prompt was judged before, or a rule says it. */
struct search_event *search_work_known(const struct search *s, int i);
int search_work_most(const struct search *s, int i, int sample); /* tokens that a sample may have */

#endif
