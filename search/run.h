/* A search at work: what the rooms of the runner share. Private to search/.
 *
 * run.c asks the strategy and writes the log, work.c does a plan's items with the engine, acts.c is what a user does to
 * it meanwhile. */
#ifndef ESPALIER_SEARCH_RUN_H
#define ESPALIER_SEARCH_RUN_H

#include "search/items.h"
#include "search/strategy.h"
#include "search/usage.h"

struct search_job { /* one sample of one item */
    enum { SEARCH_JOB_IDLE, SEARCH_JOB_SENT, SEARCH_JOB_ENDED } state;
    int id; /* SENT: of the request */
    int max_tokens;
    struct engine_result result; /* ENDED: not recorded yet */
};

struct search_work { /* one item of the plan in progress */
    struct engine_tokens prompt;
    uint64_t hash;                     /* of the prompt */
    uint64_t first_sample;             /* how often this was asked before: no two requests share random numbers */
    struct search_job *jobs;           /* [samples] */
    struct search_event **completions; /* [samples]: those recorded; the tree keeps them */
    int admitted;                      /* samples up to here belong to the present wave or are recorded */
    int free;                          /* in the present wave as one that needs no completion */
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
    struct search_prefixes prefixes;
    struct search_work *work; /* of the plan in progress: work_count == g.tree.done_count */
    int work_count;
    int unsent; /* something admitted has not been sent */
    struct search_judged *judged;
    int judged_count, judged_capacity;
    int (*asked)[SEARCH_VOTE + 1]; /* by node and purpose: samples planned so far */
    int asked_count;
    int spent; /* the budget is: nothing more is asked for */
    int done;  /* the result stands; an act of the user takes that back */
};

/* Number the event, fold it, give it to the sink, let go of it (run.c). */
void search_emit(struct search *s, struct search_event *event);

/* --- work.c: the plan in progress */
const struct search_item *search_work_item(const struct search *s, int i);
int search_work_make(struct search *s, struct error *e); /* all of it follows from the log up to that plan */
void search_work_drop(struct search *s);                 /* cancels what is in flight */
/* The open item of this wave that is to be recorded next: its next sample, or its judgement where that needs none; -1.
 */
int search_work_next(const struct search *s);
int search_work_admit(struct search *s); /* cut the next wave; 0 when nothing fits the budget */
/* Send what is admitted and was not sent, or was cancelled since. */
int search_work_send(struct search *s, struct error *e);
void search_work_cancel(struct search *s); /* what a tombstone dropped */
/* Take a result that was asked for here; 0 for one of somebody else, or one no longer wanted. */
int search_work_take(struct search *s, const struct engine_result *result);
/* An item that needs no completion takes its scores from this judgement of the same prompt; NULL: they are 0. */
const struct search_event *search_work_source(const struct search *s, int i);

#endif
