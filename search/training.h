/* Training: what a model learns from, in which order, and the steps. Included by search.h.
 *
 * A lesson is a text and which of its tokens are learned. Lessons are drawn by number: draw i is a function of the seed and of how
 * often each source was drawn before it, so a training that is gone on with sees what it would have seen.
 */
#ifndef ESPALIER_SEARCH_TRAINING_H
#define ESPALIER_SEARCH_TRAINING_H

#include "engine/engine.h"

/* --- lessons ----------------------------------------------------------------------------------------------------- */

/* Lessons one after the other; {0} is none. Lesson i is tokens [ends[i - 1], ends[i]), from 0. */
struct search_lesson_list {
    int *ids;
    unsigned char *learned; /* as in struct engine_document */
    size_t *ends;
    int count, capacity;
    size_t room; /* of ids and learned */
};
void search_lesson_list_add(struct search_lesson_list *list, const int *ids, const unsigned char *learned, int n);
struct engine_document search_lesson_list_at(const struct search_lesson_list *list, int i); /* until the list grows */
void search_lesson_list_clear(struct search_lesson_list *list); /* keeps the memory */
void search_lesson_list_free(struct search_lesson_list *list);

enum { SEARCH_LESSON_SOURCES = 32 };
struct search_lesson_source { /* one of the first three */
    const char *file;    /* JSONL: an object a line with prompt and completion, text, or messages */
    const char *task;    /* its traces, of the split train, without end */
    const char *session; /* of a search, or a folder of such: what was kept, and what came to a right answer */
    double weight;       /* of how many draws are its own; 0: not given, and then 1 where others are */
};
struct search_lessons_options {
    const struct engine *engine; /* whose tokens they are; must outlive the lessons */
    const struct search_lesson_source *sources;
    int count;
    const char *const *validation; /* files, as above */
    int validation_count;
    double held_out; /* the share of the files' and sessions' lessons that are for validation only; the others never see their prompts */
    int longest;     /* tokens of a lesson: a longer text is cut in pieces, all else that is longer is left out */
    int learn_all;   /* the prompts too */
    int skip_bad;    /* leave out lines that are wrong */
    uint64_t seed;
};
struct search_lessons_about {
    int sources, tasks;
    int64_t lessons, tokens, learned; /* of files and sessions, to train on */
    int validation;                   /* lessons */
    int64_t validation_tokens;
    int others;                       /* searches of other models, whose tokens are not ours: left out */
    int sessions, kept, won;          /* searches; paths in them that are kept, that came to a right answer */
    int bad, too_long, pieces;            /* lines left out; lessons left out; what long texts were cut into */
    char first_bad[256];                  /* "file:line: what is wrong" */
    int end_token;                        /* that ends a completion; -1: the model has none */
    uint64_t sum;                         /* of all that lessons depend on, the seed too */
};
struct search_lessons;
/* ERROR_INPUT: "file:line: what is wrong". ERROR_USAGE: sources that do not go together. */
int search_lessons_open(struct search_lessons **out, const struct search_lessons_options *options, struct error *e);
void search_lessons_close(struct search_lessons *lessons);
const struct search_lessons_about *search_lessons_about(const struct search_lessons *lessons);
const struct search_lesson_list *search_lessons_validation(const struct search_lessons *lessons);

/* Where one is: draws so far, and how many of each source; {0} is the beginning. */
struct search_lesson_place {
    uint64_t draws, of[SEARCH_LESSON_SOURCES];
};
/* Append the lessons of the next draw: one of a file or session, or all of a task's problem. Files and sessions without weights are one
 * source: all its lessons come once an epoch, in an order of the epoch's own. */
void search_lessons_draw(struct search_lessons *lessons, struct search_lesson_place *place, struct search_lesson_list *out);
uint64_t search_lessons_epoch(const struct search_lessons *lessons); /* draws of one; 0: there are several sources, or no end */

/* The tokens of a prompt as a search sends it and of the completion as the model is to write it, with its end. */
void search_lesson_make(const struct engine *engine, const char *prompt, const char *completion, int learn_all, struct search_lesson_list *out);

/* --- steps ------------------------------------------------------------------------------------------------------- */

enum search_schedule { SEARCH_SCHEDULE_CONSTANT, SEARCH_SCHEDULE_COSINE, SEARCH_SCHEDULE_LINEAR };
struct search_training_options {
    struct engine_learner *learner;
    struct search_lessons *lessons;
    int rows;       /* positions of a pass, as the learner has them */
    double rate;    /* the greatest */
    enum search_schedule schedule;
    double warm_up; /* steps that rise to it; below 1: a share of all */
    double floor;   /* the least, as a share of it, at the end */
    int64_t tokens; /* of a step: draws until there are so many; 0: */
    int lessons_a_step;
    /* It ends at the first of these that is reached; 0: none. Epochs where lessons have such. Minutes: of work; what they end, and what
     * they schedule, does not repeat. */
    int steps;
    double epochs, minutes;
    int validate_every, save_every; /* steps; 0: only at the end */
    const char *checkpoint;         /* path; the one before is kept with ".previous". NULL: none is saved */
    const char *settings;           /* lines "name: value" that must be the same to go on from a checkpoint */
};
/* The rate of step i (from 0), when `done` of the training is done; `share`: what a step is of it. */
double search_training_rate(const struct search_training_options *o, int i, double done, double share);

struct search_training_figures {
    int step, steps; /* done; in all, 0: not known */
    double done;     /* from 0 to 1 */
    double loss;     /* a learned token, mean of the last steps; NAN: none yet */
    double validation, best;                  /* likewise, the latest; the least; NAN */
    int validation_step, best_step;
    double rate, norm;                        /* of the last step */
    int64_t tokens, learned, lessons;         /* so far */
    double epoch;                             /* 0 where there is none */
    double seconds, seconds_left;             /* of work, so far; NAN: not known */
    double tokens_a_second;                   /* of this run, training only */
    int saved_step;                           /* -1: none yet */
    /* For a plot: means of `width` steps each. */
    const double *losses;
    int loss_count, loss_width;
    const struct search_validation { int step; double loss; } *validations;
    int validation_count;
};
enum search_training_status { SEARCH_TRAINING_PASS, SEARCH_TRAINING_STEP, SEARCH_TRAINING_VALIDATED, SEARCH_TRAINING_DONE };
struct search_training;
int search_training_open(struct search_training **out, const struct search_training_options *options, struct error *e);
void search_training_close(struct search_training *training);
/* Go on from the checkpoint; from the previous one where the latest is damaged (*previous). ERROR_INPUT: neither can be read, or other settings. */
int search_training_resume(struct search_training *training, int *previous, struct error *e);
/* One pass, or what stands between two. ERROR_ENGINE: a loss or gradient that is not a number; the checkpoints stay as they are. */
int search_training_advance(struct search_training *training, enum search_training_status *status, struct error *e);
/* Save what the last whole step left. ERROR_ENGINE, and nothing is saved: with these weights the loss is not a number. */
int search_training_save(struct search_training *training, struct error *e);
void search_training_figures(const struct search_training *training, struct search_training_figures *out);

#endif
