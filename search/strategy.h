/* What a strategy is. Private to search/: the runner asks, each strategy's file answers.
 *
 * A strategy is one function from a tree to what is to be done next. It keeps nothing: called twice with the same tree
 * it says the same twice, and a tree that was pruned, restored or read from a log is a tree like any other.
 */
#ifndef ESPALIER_SEARCH_STRATEGY_H
#define ESPALIER_SEARCH_STRATEGY_H

#include "search/search.h"
#include "search/task.h"

/* --- parameters -------------------------------------------------------------------------------------------------- */

enum { SEARCH_PARAMETERS = 12 }; /* of one strategy, at most */

struct search_parameter {
    const char *name;
    const char *aliases; /* other names, with a blank between: "n_generate k"; or NULL */
    const char *choices; /* "propose|sample": the value is the index of one; NULL: a whole number */
    int standard, least, most;
    struct search_real {
        double standard, least, most;
    } real;      /* where most > 0: a number with decimals, in `real` of the parameters */
    int prompts; /* the choices name prompts, or judges; unless given, the first of so many that the task has is meant */
    int quiet;   /* spelled out only where it is not the standard: so what was there before it still reads as it did */
};

struct search_strategy;
struct search_nodes;
struct search_parameters {
    const struct search_strategy *strategy;
    int value[SEARCH_PARAMETERS]; /* in the order of the strategy's table */
    double real[SEARCH_PARAMETERS];
    const char *worst; /* the task's value label of least weight, the task's own (search_task_worst) */
};

/* Read "tot,b=5,generate=propose". With a task, prompts it does not have are refused, or stood in for where nothing was
 * said; without one (NULL) only the words are checked. */
int search_parameters_parse(struct search_parameters *out, const char *spec, const struct search_task *task,
                            struct error *e);
/* The same with every parameter spelled out, malloc'ed. */
char *search_parameters_text(const struct search_parameters *p);
/* And with adapters, which are no parameters of the strategy's. */
char *search_strategy_spelled(const struct search_parameters *p, const struct search_adapter *adapters, int count);

/* --- plans ------------------------------------------------------------------------------------------------------- */

/* What is next. {0} is an empty one, free it with search_plan_free. `why` is a sentence for a person, always there. */
struct search_plan {
    enum { SEARCH_PLAN_ITEMS, SEARCH_PLAN_DECISION, SEARCH_PLAN_DONE } kind;
    char *why;
    struct search_item *items; /* ITEMS: at least one */
    int count, capacity;
    int *kept; /* DECISION */
    int kept_count, kept_capacity;
    struct search_tally *tally;
    int tally_count, tie;
    struct search_backup *backups; /* DECISION: of one visit, the leaf first */
    int backup_count, backup_capacity;
    int node; /* DONE: whose answer is the result's, or -1 */
};
void search_plan_item(struct search_plan *plan, enum search_purpose purpose, const int *nodes, int count, int samples);
void search_plan_keep(struct search_plan *plan, int node);
void search_plan_back_up(struct search_plan *plan, int node, double reward);
void search_plan_done(struct search_plan *plan, int node, char *why); /* takes why */
/* The event of a DECISION, which takes what the plan holds. */
struct search_event *search_plan_decision(struct search_plan *plan, int step);
void search_plan_free(struct search_plan *plan);

/* --- strategies -------------------------------------------------------------------------------------------------- */

struct search_strategy {
    const char *name;
    const struct search_parameter *parameters;
    int parameter_count;
    int samples;     /* it cannot do without the task's sample prompt */
    int temperature; /* -1: as the user and the task say; 0: always the most probable token */
    /* Called when no plan is in progress. With `spent` != 0 nothing more can be asked for: the plan in progress was cut
     * short, and what is next can only be DECISION or DONE, of what there is. Nodes pruned are as if they were not. */
    void (*next)(const struct search_tree *tree, const struct search_parameters *p, int spent,
                 struct search_plan *plan);
    /* For search_tree_terms, of a node above which there is one whose search_choices these are; NULL: it does not go by any. */
    int (*terms)(const struct search_tree *tree, const struct search_parameters *p, const struct search_nodes *choices, int node,
                 struct search_terms *out);
};
/* The strategy of that name, or NULL. */
const struct search_strategy *search_strategy_find(const char *name);
extern const struct search_strategy search_greedy, search_sample, search_self_consistency, search_best_of_n,
    search_beam, search_dvts, search_tot, search_tot_dfs, search_mcts, search_ab_mcts, search_auto;

/* --- what several of them ask of a tree -------------------------------------------------------------------------- */

struct search_nodes {
    int *list;
    int count, capacity;
};
void search_nodes_add(struct search_nodes *nodes, int node);
int search_nodes_hold(const struct search_nodes *nodes, int node);

/* The first child of a node after `after` (-1: of all) that no tombstone stands on, or -1. */
int search_next_child(const struct search_tree *tree, int node, int after);
/* Where the path ends that begins with this node and goes on with each one's first child. */
int search_leaf_of(const struct search_tree *tree, int node);
/* Items that begin `count` paths, make those there are one thought longer, or begin those missing since `count` became more, and why; how many. */
int search_grow_paths(const struct search_tree *tree, int count, struct search_plan *plan);
/* Log-probability of the whole path for each of its tokens: what Wang et al. call normalised by length. */
double search_path_logprob(const struct search_tree *tree, int node);
/* The latest decision kept these nodes in this order, and counted the same votes. */
int search_decided(const struct search_tree *tree, const struct search_plan *decision);
/* The node holds an answer that counts: it is not pruned, nor has the user taken its vote. */
int search_has_answer(const struct search_tree *tree, int node);
/* The paths to the two nodes read the same, word for word. */
int search_same_path(const struct search_tree *tree, int a, int b);

/* --- votes by answer (ballots.c) --------------------------------------------------------------------------------- */

struct search_ballots {
    struct search_ballot {
        struct search_tally tally; /* its answer is the tree's; logprob is summed, node is the first */
        double weight;
    } * list;
    int count, capacity;
    double weight; /* of all */
};
void search_ballots_add(struct search_ballots *ballots, const struct search_tree *tree, int leaf, double weight);
/* By weight, then log-probability, then the earliest node. */
void search_ballots_sort(struct search_ballots *ballots);
int search_ballots_tie(const struct search_ballots *ballots);
/* The tally of a decision, and in it the leaves among `leaves` that hold the winner's answer, in their order. */
void search_ballots_decide(const struct search_ballots *ballots, const struct search_tree *tree,
                           const struct search_nodes *leaves, struct search_plan *plan);

/* --- scores (scores.c) ------------------------------------------------------------------------------------------- */

enum { SEARCH_LAST, SEARCH_MIN, SEARCH_PROD }; /* "last|min|prod": of the values along a path */
#define SEARCH_AGGREGATES "last|min|prod"
const char *search_aggregate_name(int aggregate);

/* The judges a strategy may ask, as `evaluate=` names them: choice i is the purpose SEARCH_VALUE + i. The first
 * SEARCH_JUDGES_ASKED have prompts of the task, and may be meant where none was named. */
#define SEARCH_JUDGES "value|vote|self-evaluation|process-reward|likelihood|agreement|verifier|oracle"
enum { SEARCH_JUDGES_ASKED = 2 };
#define SEARCH_EVALUATE                                                                                                    {                                                                                                                          .name = "evaluate", .choices = SEARCH_JUDGES, .most = SEARCH_ORACLE - SEARCH_VALUE,                                    .prompts = SEARCH_JUDGES_ASKED                                                                                     }

/* The first node, of those not pruned, whose path reads like this one's, most often itself. It is judged for all of
 * them: the runner would give the others 0. */
int search_original(const struct search_tree *tree, int node);
/* Items by which the judge (the index in SEARCH_JUDGES) judges those of the nodes that are not judged, copies left out,
 * and why; how many. A vote is one item over all that are new. Samples count for value and vote. */
int search_judge(const struct search_tree *tree, int judge, const struct search_nodes *nodes, int samples,
                 struct search_plan *plan);
/* An item for one vote over all candidates, copies left out, and why; it holds as long as every one was in it. */
int search_vote(const struct search_tree *tree, const struct search_nodes *candidates, int samples,
                struct search_plan *plan);
/* As search_judge, where a vote is search_vote, and copies are worth 0 by themselves: each is told so by a judgement of its own. */
int search_judge_copies(const struct search_tree *tree, int judge, const struct search_nodes *nodes, int samples,
                        struct search_plan *plan);
/* Of the path to a node; what was not judged on it has no part. NAN: nothing was. */
double search_path_score(const struct search_tree *tree, int node, int aggregate);
int search_is_better(double a, double b); /* NAN is below every score */
/* Among leaves, at least one, that hold answers: the one of greatest score, the earlier of equals; or weighted, the
 * first that holds the answer of greatest summed score. The plan becomes the decision for it, without a why: that is in
 * *why, malloc'ed. */
int search_choose(const struct search_tree *tree, const struct search_nodes *leaves, int aggregate, int weighted,
                  struct search_plan *plan, char **why);

/* --- visits (visits.c) ------------------------------------------------------------------------------------------- */

/* The children that a tree search may choose among: legal, not pruned, the first of those that read alike. */
struct search_nodes search_choices(const struct search_tree *tree, int node);
/* It is illegal, or ended without an answer: no judge is asked, it is worth 0. */
int search_is_dead_end(const struct search_tree *tree, int node);
/* From 0 to 1, as its own judgement says (a copy's is its original's). Without one it was the only candidate of a vote,
 * and has every vote: 1. */
double search_reward(const struct search_tree *tree, int node);
/* search_judge for those of the nodes that are no dead end. */
int search_judge_choices(const struct search_tree *tree, int judge, const struct search_nodes *choices, int samples,
                         struct search_plan *plan);
/* "iteration 3 of 10: 4 > 9 > 12, an answer, reward 0.71; Q of 4 now 0.66 after 2 visits", malloc'ed, for the decision
 * that backs a visit up. greatest: Q is the greatest reward, not the mean. */
char *search_visit_why(const struct search_tree *tree, const struct search_plan *visit, int of, const char *ending,
                       int greatest);

/* --- Thompson sampling (thompson.c) ------------------------------------------------------------------------------ */

struct search_seen { /* rewards observed */
    int count;
    double sum, squares;
};
struct search_posterior search_posterior_of(int beta, const struct search_seen *seen);
/* A mean drawn from it: always the same of the same stream. */
double search_posterior_draw(const struct search_posterior *p, uint64_t seed, uint64_t stream);

/* --- step by step, side by side (levels.c) ----------------------------------------------------------------------- */

/* What beam and dvts differ in. The thoughts of a level are in `groups` of their own, each keeping its `keep` best. */
struct search_levels {
    int groups, keep;
    int first, more; /* samples at the root, which the groups share, and at each state kept */
    int aggregate, judge, judges, weighted;
    int widen; /* what was grown before by fewer samples is grown by those that are missing */
};
void search_levels_next(const struct search_tree *tree, const struct search_levels *levels, int spent,
                        struct search_plan *plan);

#endif
