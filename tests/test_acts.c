/* Every act of the user, at every moment of a search: u brings back the state that was, U the state that the act made; and in the end all of
 * them undone give the search without any. A tiny model that writes noise. Run from the root of the repository.
 */
#include "search/search.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char model[] = "tests/reference/tiny/tiny-f32.gguf", task_file[] = "tests/tiny.yaml";
static struct engine *engine;
static struct search_task *task;

/* Where %d stands: a thought. What cannot be done just then is passed over; each must have been possible somewhere. */
static const char *const acts[] = {
    "prune %d", "back", "keep %d", "unkeep %d", "add %d of my own", "add 0 answer 7", "edit %d another", "again %d", "fork", "exclude %d", "include %d",
    "weight normalised", "weight plurality", "set strategy=self-consistency,m=3", "set strategy=tot,b=2,generate=sample,evaluate=value",
    "set judge=vote", "set b=3 seed=8", "set m=9 weight=normalised", "set temperature=0.5 top_k=5 top_p=0.9 min_p=0.01", "set tokens=20k nodes=300 flops=1e15 time=1e9",
    "set tokens=0 nodes=0 flops=0 time=0", "adapter tests/reference/adapters/plain", "adapter tests/reference/adapters/plain:0.25", "adapter none", "restore %d", "break value<0.1", "break wrong", "unbreak wrong", "unbreak all", "revote %d", "revote temperature=0.5",
};
enum { ACTS = sizeof acts / sizeof *acts };
static int done[ACTS];

/* --- the state of a search --------------------------------------------------------------------------------------- */

static int64_t number(const struct search_event *event)
{
    return event ? event->number : -1;
}

/* All of a tree that is not counted over everything that ever happened. */
static char *state_of(const struct search_tree *t)
{
    struct string out = {0};
    string_addf(&out, "open %d items %d spent %d visits %d iterations %d illegal %d plan %lld decision %lld result %lld\n", t->step_open, t->items_open, t->spent,
                t->visits, t->iterations, t->illegal, (long long)number(t->latest_plan), (long long)number(t->latest_decision), (long long)number(t->result));
    search_event_json(t->session, NULL, &out);
    if (t->revote)
        search_event_json(t->revote, NULL, &out);
    string_addf(&out, "stops at %s\n", t->breaks ? t->breaks->stops.rules : "");
    for (int i = 0; i < t->kept_count; i++)
        string_addf(&out, "kept %d\n", t->kept[i]);
    for (int i = 0; i < t->ask_count; i++)
        string_addf(&out, "ask %lld\n", (long long)t->asks[i]);
    for (int i = 0; i < t->done_count; i++)
        string_addf(&out, "item %d: %d\n", i, t->done[i]);
    for (int i = 0; i < t->count; i++) {
        const struct search_node *n = &t->nodes[i];
        if (!n->gone)
            string_addf(&out, "%d<%d %s: state %d pruned %d kept %d training %d excluded %d visits %d of %g best %d value %g children %d %d depth %d sampled %d same %d\n",
                        i, n->parent, search_node_text(t, i), (int)n->state, n->pruned, n->kept, n->training, n->excluded, n->visits, n->reward_sum,
                        n->on_best_path, isnan(n->value) ? -1 : n->value, n->children, n->descendants, n->depth, n->sampled, n->same);
    }
    return out.text;
}

/* --- acts -------------------------------------------------------------------------------------------------------- */

/* Words that the act may have now, for a thought chosen by `seed`; malloc'ed. */
static char *words_of(const char *act, const struct search_tree *t, uint64_t seed)
{
    int node = 1 + (int)(random_uniform(seed, (uint64_t)t->event_count, 0) * (t->count - 1));
    for (int i = 1; i < t->count; i++) /* these are of thoughts that there are few of */
        if (!t->nodes[i].gone && ((!strncmp(act, "include", 7) && t->nodes[i].excluded) ||
                                  (!strncmp(act, "exclude", 7) && t->nodes[i].thought->thought.answer) ||
                                  (!strncmp(act, "unkeep", 6) && t->nodes[i].training) || (!strncmp(act, "restore", 7) && t->nodes[i].pruned)))
            node = i;
    if (strcmp(act, "fork")) {
        const char *at = strstr(act, "%d");
        return at ? xasprintf("%.*s%d%s", (int)(at - act), act, node, at + 2) : xstrdup(act);
    }
    for (node = 1; node < t->count; node++) {
        const struct search_node *n = &t->nodes[node];
        if (n->gone || !n->completion || !n->tokens || search_tree_is_pruned(t, node))
            continue;
        const struct engine_token *token = &n->completion->completion.tokens[n->thought->thought.first];
        for (int i = 0; i < ENGINE_TOP; i++)
            if (token->top[i].id >= 0 && token->top[i].id != token->id)
                return xasprintf("fork %d 0 %d", node, token->top[i].id);
    }
    return xstrdup("fork 0 0 0");
}

static void must(struct search *search, const char *words)
{
    struct error e;
    if (search_do(search, words, &e))
        fail_msg("%s: %s", words, e.message);
}

static void check_state(const struct search *search, const char *expected, const char *words, const char *what)
{
    char *now = state_of(search_tree(search));
    if (strcmp(now, expected))
        printf("after '%s' and %s:\n%s\ninstead of\n%s\n", words, what, now, expected);
    assert_string_equal(now, expected);
    free(now);
}

/* Do each; leave those done whose turn it is, so that the next ones meet them. Returns how many are left done. */
static int try_all(struct search *search, uint64_t seed)
{
    int left = 0;
    for (int i = 0; i < ACTS; i++) {
        char *words = words_of(acts[i], search_tree(search), seed + (uint64_t)i), *before = state_of(search_tree(search));
        struct error e;
        int code = search_do(search, words, &e);
        if (code) {
            if (code != ERROR_INPUT && strncmp(words, "set ", 4))
                fail_msg("%s: %s", words, e.message);
            check_state(search, before, words, "a refusal");
        } else {
            char *after = state_of(search_tree(search));
            done[i] += strcmp(before, after) != 0;
            must(search, "undo");
            check_state(search, before, words, "undo");
            must(search, "redo");
            check_state(search, after, words, "redo");
            free(after);
            const int leave = random_uniform(seed, (uint64_t)i, 1) < 0.3 || !strncmp(words, "break", 5); /* for those that unbreak */
            if (!leave)
                must(search, "undo");
            left += leave;
        }
        free(words);
        free(before);
    }
    return left;
}

static void check_search(const char *strategy, int64_t from, int64_t by, uint64_t seed)
{
    struct search_options options = {.task = task, .problem = "count", .strategy = strategy, .seed = seed, .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    enum search_status status = SEARCH_WORKING;
    if (search_open(&search, engine, &options, &e))
        fail_msg("%s", e.message);
    for (int64_t at = from; status != SEARCH_DONE; at = search_tree(search)->event_count + by) {
        while (status != SEARCH_DONE && search_tree(search)->event_count < at)
            if (search_advance(search, &status, &e))
                fail_msg("%s", e.message);
        char *without = state_of(search_tree(search)), *with;
        const int left = try_all(search, seed);
        with = state_of(search_tree(search));
        for (int i = 0; i < left; i++)
            must(search, "undo");
        check_state(search, without, "all of them", "undo");
        for (int i = 0; i < left; i++)
            must(search, "redo");
        check_state(search, with, "all of them", "redo");
        for (int i = 0; i < left; i++)
            must(search, "undo");
        free(without);
        free(with);
    }
    search_close(search);
}

static void test_undo(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 4; seed++) {
        check_search("self-consistency,m=5", (int64_t)seed + 1, 5, seed);
        check_search("tot,b=2,generate=sample,evaluate=vote,k=3", (int64_t)seed, 9, seed);
        check_search("mcts,iterations=4,depth=3,generate=sample,evaluate=value", (int64_t)seed, 11, seed);
    }
    for (int i = 0; i < ACTS; i++)
        if (!done[i])
            fail_msg("'%s' was never done, or changed nothing", acts[i]);
}

/* What the search names as its acts, each is tried above. */
static void test_table(void **state)
{
    (void)state;
    struct search_options options = {.task = task, .problem = "count", .strategy = "greedy", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    assert_int_equal(search_open(&search, engine, &options, &e), OK);
    assert_int_equal(search_do(search, "nonsense", &e), ERROR_USAGE);
    int count = 0;
    for (const char *p = strstr(e.message, "there are: ") + 11; *p; p += strspn(p, ", "), count++) {
        const size_t n = strcspn(p, ",");
        int found = !strncmp(p, "undo", n) || !strncmp(p, "redo", n);
        for (int i = 0; i < ACTS; i++)
            found |= !strncmp(acts[i], p, n) && (!acts[i][n] || acts[i][n] == ' ');
        if (!found)
            fail_msg("nothing tries to undo '%.*s'", (int)n, p);
        p += n;
    }
    assert_true(count > 10);
    search_close(search);
}

static void advance_to(struct search *search, int64_t count)
{
    struct error e;
    enum search_status status = SEARCH_WORKING;
    while (status != SEARCH_DONE && search_tree(search)->event_count < count)
        if (search_advance(search, &status, &e))
            fail_msg("%s", e.message);
}

/* Breakpoints outlive a step back, are undone after it in their turn, and change nothing of what the search comes to. */
static void test_breakpoints(void **state)
{
    (void)state;
    struct search_options options = {.task = task, .problem = "count", .strategy = "tot,b=2,generate=sample,evaluate=value,k=3", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search, *plain;
    struct error e;
    assert_int_equal(search_open(&search, engine, &options, &e), OK);
    assert_int_equal(search_open(&plain, engine, &options, &e), OK);
    const struct search_tree *tree = search_tree(search);
    must(search, "break wrong");
    advance_to(search, 5);
    must(search, "break value<0.1");
    must(search, "break depth=2");
    must(search, "undo");
    assert_string_equal(tree->breaks->stops.rules, "wrong, value<0.1");
    must(search, "back");
    assert_string_equal(tree->breaks->stops.rules, "wrong, value<0.1");
    must(search, "undo");
    assert_int_equal(tree->redo_count, 1); /* what was undone before it is done anew no more */
    must(search, "undo");
    assert_string_equal(tree->breaks->stops.rules, "wrong");
    must(search, "undo");
    assert_null(tree->breaks);
    must(search, "redo");
    assert_string_equal(tree->breaks->stops.rules, "wrong");
    assert_int_equal(search_do(search, "break wrong", &e), ERROR_INPUT);
    assert_int_equal(search_do(search, "unbreak right", &e), ERROR_INPUT);
    assert_int_equal(search_do(search, "break nonsense", &e), ERROR_USAGE);
    advance_to(search, INT64_MAX);
    advance_to(plain, INT64_MAX);
    must(search, "unbreak all");
    enum search_status status;
    assert_int_equal(search_advance(search, &status, &e), OK);
    assert_int_equal(status, SEARCH_DONE); /* it wakes no search */
    assert_string_equal(tree->result->result.why, search_tree(plain)->result->result.why);
    assert_int_equal(tree->count, search_tree(plain)->count);
    for (int i = 1; i < tree->count; i++)
        assert_string_equal(search_node_text(tree, i), search_node_text(search_tree(plain), i));
    search_close(search);
    search_close(plain);
}

/* The judge asked again draws again, at the temperature it was asked at; undone, it has said what it said. */
static void test_revote(void **state)
{
    (void)state;
    struct search_options options = {.task = task, .problem = "count", .strategy = "tot,b=2,generate=sample,evaluate=value,k=3", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    int node = 0;
    assert_int_equal(search_open(&search, engine, &options, &e), OK);
    const struct search_tree *tree = search_tree(search);
    assert_int_equal(search_do(search, "revote", &e), ERROR_INPUT);
    while (!node && tree->event_count < 500) {
        advance_to(search, tree->event_count + 1);
        for (int i = 1; i < tree->count && !tree->step_open; i++)
            if (tree->nodes[i].judgement && !tree->nodes[i].judgement->judgement.cached)
                node = i;
    }
    assert_true(node);
    assert_int_equal(search_do(search, "revote 99999", &e), ERROR_INPUT);
    assert_int_equal(search_do(search, "revote temperature=hot", &e), ERROR_USAGE);
    assert_int_equal(search_do(search, "revote 1 2", &e), ERROR_USAGE);
    const struct search_event *before = tree->nodes[node].judgement;
    char *words = xasprintf("revote %d temperature=2", node);
    must(search, words);
    free(words);
    while (tree->nodes[node].judgement == before && tree->event_count < 500)
        advance_to(search, tree->event_count + 1);
    const struct search_event *after = tree->nodes[node].judgement;
    assert_true(after != before && !after->judgement.cached && after->judgement.samples == before->judgement.samples);
    assert_true(tree->latest_plan->plan.ask && tree->latest_plan->plan.items[0].heated && tree->latest_plan->plan.items[0].temperature == 2);
    must(search, "undo");
    assert_ptr_equal(tree->nodes[node].judgement, before);
    must(search, "redo");
    assert_ptr_equal(tree->nodes[node].judgement, after);
    advance_to(search, INT64_MAX);
    search_close(search);
}

/* Words that set nothing say what was expected, and change nothing. */
static void test_wrong_settings(void **state)
{
    (void)state;
    static const struct {
        const char *words, *says;
    } wrong[] = {
        {"set", "expected strategy="}, {"set x", "KEY=VALUE"}, {"set seed=-1", "seed=-1: expected a number"}, {"set seed=99999999999999999999", "expected a number"},
        {"set tokens=many", "expected a number"}, {"set tokens=1kk", "expected a number"}, {"set temperature=200", "expected a number"}, {"set top_p=2", "expected a number"},
        {"set m=x", "whole number"}, {"set nothing=1", "unknown parameter 'nothing'; there are: m=16"}, {"set judge=vote", "unknown parameter 'judge'"},
        {"set strategy=no-such", "unknown strategy"}, {"set strategy=tot judge=no-such", "evaluate=no-such: expected one of value"},
    };
    struct search_options options = {.task = task, .problem = "count", .strategy = "self-consistency,m=4", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    assert_int_equal(search_open(&search, engine, &options, &e), OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(search_do(search, wrong[i].words, &e), ERROR_USAGE);
        if (!strstr(e.message, wrong[i].says))
            fail_msg("%s: '%s' instead of '%s'", wrong[i].words, e.message, wrong[i].says);
    }
    assert_int_equal(search_tree(search)->event_count, 1);
    must(search, "set m=9 tokens=1.5k");
    const struct search_setting *now = &search_tree(search)->session->session;
    assert_string_equal(now->strategy, "self-consistency,m=9");
    assert_int_equal(now->budget_tokens, 1500);
    must(search, "set strategy=tot,generate=sample,evaluate=value judge=vote b=7 time=1e3 flops=2e12");
    now = &search_tree(search)->session->session;
    assert_non_null(strstr(now->strategy, "tot,b=7,generate=sample,evaluate=vote"));
    assert_true(now->budget_time == 1000 && now->budget_flops == 2e12);
    must(search, "set strategy=beam,n=4,m=2"); /* the judge goes with it, */
    assert_non_null(strstr(search_tree(search)->session->session.strategy, "evaluate=vote"));
    must(search, "set strategy=tot,generate=sample,evaluate=value"); /* unless another is named, */
    assert_non_null(strstr(search_tree(search)->session->session.strategy, "evaluate=value"));
    must(search, "set judge=vote strategy=beam"); /* before or after it */
    assert_non_null(strstr(search_tree(search)->session->session.strategy, "evaluate=vote"));
    must(search, "set tokens=0 flops=0 time=0 top_k=3");
    now = &search_tree(search)->session->session;
    assert_true(!now->budget_tokens && !now->budget_time && now->budget_flops == 0 && now->sampling.top_k == 3);
    search_close(search);
}

/* As the keys x and w would. */
static void test_no_votes(void **state)
{
    (void)state;
    struct search_options options = {.task = task, .problem = "count", .strategy = "self-consistency,m=4", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    assert_int_equal(search_open(&search, engine, &options, &e), OK);
    must(search, "add 0 answer 7");
    must(search, "exclude 1");
    must(search, "include 1");
    must(search, "weight plurality");
    must(search, "add 0 on the way");
    assert_int_equal(search_do(search, "exclude 2", &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "2 is no answer"));
    assert_int_equal(search_do(search, "exclude 0", &e), ERROR_INPUT);
    must(search, "set strategy=tot,generate=sample,evaluate=value");
    assert_int_equal(search_do(search, "weight plurality", &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "tot does not weigh votes so: only self-consistency"));
    search_close(search);
}

static int open_all(void **state)
{
    (void)state;
    struct error e;
    if (engine_open(&engine, &(struct engine_options){.model = model, .threads = 1, .batch = 4}, &e) || search_task_open(&task, task_file, &e)) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    search_task_close(task);
    engine_close(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undo), cmocka_unit_test(test_no_votes), cmocka_unit_test(test_table), cmocka_unit_test(test_breakpoints),
        cmocka_unit_test(test_revote), cmocka_unit_test(test_wrong_settings),
    };
    return cmocka_run_group_tests_name("acts", tests, open_all, close_all);
}
