/* The runner over an engine that writes what a script says: what is asked, what is recorded, what it costs.
 *
 * The engine here stands in for engine/ as a whole. Its tokens are bytes, its conversations are the texts of the
 * messages, and it ends requests in whatever order a test wants. A request's stream tells what it is for, so a script
 * is a table of "purpose node ordinal" -> completion. */
#include "search/strategy.h"
#include "search/usage.h"
#include "search/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* --- the engine of the script ------------------------------------------------------------------------------------ */

struct line { /* what is written for the ordinal-th sample of a purpose at a node; node -1: at any */
    enum search_purpose purpose;
    int node, ordinal;
    const char *text;
};
struct asked {
    int id, done, cancelled, max_tokens;
    uint64_t stream;
    enum search_purpose purpose;
    struct engine_token *tokens;
    int count;
    enum engine_ending ending;
    int given;                /* the result was fetched */
    struct engine_tokens all; /* prompt and completion */
};
enum order { FIRST, LAST, ANY };
struct engine {
    struct engine_info info;
    const struct line *script;
    enum order order;
    struct asked *asked;
    int count, capacity, cancels, forgotten;
    uint64_t draws;
    int again; /* the search began on another engine */
};

const struct engine_info *engine_info(const struct engine *engine)
{
    return &engine->info;
}

double engine_flops(const struct engine *engine, int64_t past, int64_t tokens, int64_t logits)
{
    (void)engine;
    return (double)(past + 10 * tokens + 100 * logits);
}

void engine_tokens_add(struct engine_tokens *t, int id)
{
    ARRAY_RESERVE(t->ids, t->count, t->capacity);
    t->ids[t->count++] = id;
}

void engine_tokens_append(struct engine_tokens *t, const int *ids, int n)
{
    for (int i = 0; i < n; i++)
        engine_tokens_add(t, ids[i]);
}

void engine_tokens_free(struct engine_tokens *t)
{
    free(t->ids);
    *t = (struct engine_tokens){0};
}

void engine_chat(const struct engine *engine, const struct engine_message *messages, int n, int how, struct engine_tokens *out)
{
    (void)engine;
    for (int i = 0; i < n; i++)
        for (const char *p = messages[i].text; *p; p++)
            engine_tokens_add(out, (unsigned char)*p);
    if (how & ENGINE_BRIEF)
        engine_tokens_add(out, '~');
}

int engine_grammar_compile(struct engine_grammar **out, const struct engine *engine, const char *text, struct error *e)
{
    (void)engine;
    (void)text;
    *out = NULL;
    return error_set(e, ERROR_ENGINE, "the script has no grammars");
}

void engine_tokenize(const struct engine *engine, const char *text, size_t n, int special, struct engine_tokens *out)
{
    (void)engine;
    (void)special;
    for (size_t i = 0; i < n; i++)
        engine_tokens_add(out, (unsigned char)text[i]);
}

void engine_detokenize(const struct engine *engine, const int *ids, int n, int special, struct string *out)
{
    (void)engine;
    (void)special;
    for (int i = 0; i < n; i++)
        string_append(out, (const char[]){(char)ids[i]}, 1);
}

const char *engine_token_text(const struct engine *engine, int id, size_t *bytes)
{
    (void)engine;
    (void)id;
    *bytes = 1;
    return "t";
}

static const char *script_text(const struct engine *engine, uint64_t stream, enum search_purpose *purpose)
{
    for (int node = 0; node < 200; node++)
        for (int p = SEARCH_SAMPLE; p <= SEARCH_PROCESS_REWARD; p++)
            for (int ordinal = 0; ordinal < 40; ordinal++) {
                if (stream != random_stream((uint64_t)node, (uint64_t)p, (uint64_t)ordinal))
                    continue;
                *purpose = p;
                for (const struct line *l = engine->script; l->text; l++)
                    if ((int)l->purpose == p && (l->node == node || l->node < 0) &&
                        (l->ordinal == ordinal || l->ordinal < 0))
                        return l->text;
                fail_msg("the script has no line for %s %d %d", search_purpose_name(p), node, ordinal);
            }
    fail_msg("a request for nothing known");
    return "";
}

int engine_submit(struct engine *engine, const struct engine_request *request, int *id, struct error *e)
{
    if (request->prompt_count >= engine->info.context)
        return error_set(e, ERROR_INPUT, "%d tokens in a context of %d", request->prompt_count, engine->info.context);
    ARRAY_RESERVE(engine->asked, engine->count, engine->capacity);
    struct asked *a = &engine->asked[engine->count++];
    *id = engine->count;
    *a = (struct asked){.id = engine->count, .max_tokens = request->max_tokens, .stream = request->stream};
    const char *text = script_text(engine, request->stream, &a->purpose);
    if (request->score) { /* of what is scored the first token has all of the log-probability that the script says */
        a->count = request->prompt_count - request->score_from;
        a->ending = ENGINE_END_SCORED;
        a->tokens = xcalloc((size_t)a->count + 1, sizeof *a->tokens);
        for (int i = 0; i < a->count; i++)
            a->tokens[i].id = request->prompt[request->score_from + i];
        a->tokens[0].logprob = (float)atof(text);
        engine_tokens_append(&a->all, request->prompt, request->prompt_count);
        return OK;
    }
    const char *stop = request->stop_count ? strstr(text, request->stops[0]) : NULL;
    a->count = stop ? (int)(stop - text + 1) : (int)strlen(text);
    a->ending = stop ? ENGINE_END_STOP : ENGINE_END_TOKEN;
    if (a->count > request->max_tokens) {
        a->count = request->max_tokens;
        a->ending = ENGINE_END_LENGTH;
    }
    a->tokens = xcalloc((size_t)a->count + 1, sizeof *a->tokens);
    engine_tokens_append(&a->all, request->prompt, request->prompt_count);
    for (int i = 0; i < a->count; i++)
        engine_tokens_add(&a->all, (unsigned char)text[i]);
    for (int i = 0; i < a->count; i++)
        a->tokens[i] = (struct engine_token){.id = (unsigned char)text[i], .logprob = -0.5f,
                                             .top = {{(unsigned char)text[i], -0.5f}, {'z', -1.5f}, {'=', -2}, {-1, 0}}};
    *id = a->id;
    return OK;
}

/* One request ends in each pass. */
int engine_step(struct engine *engine, int *live, struct error *e)
{
    (void)e;
    int left = 0, pick = 0;
    for (int i = 0; i < engine->count; i++)
        left += !engine->asked[i].done;
    if (engine->order == ANY && left)
        pick = (int)(random_uniform(5, 5, engine->draws++) * left);
    if (engine->order == LAST)
        pick = left - 1;
    for (int i = 0; i < engine->count; i++)
        if (!engine->asked[i].done && pick-- == 0)
            engine->asked[i].done = 1;
    *live = left > 0 ? left - 1 : 0;
    return OK;
}

int engine_result(struct engine *engine, struct engine_result *out)
{
    for (int i = 0; i < engine->count; i++) {
        struct asked *a = &engine->asked[i];
        if (!a->done || a->given)
            continue;
        a->given = 1;
        *out = (struct engine_result){.id = a->id, .tokens = a->tokens, .count = a->count};
        out->ending = a->cancelled ? ENGINE_END_CANCELLED : a->ending;
        a->tokens = NULL;
        return 1;
    }
    return 0;
}

void engine_result_free(struct engine_result *result)
{
    free(result->tokens);
    *result = (struct engine_result){0};
}

int engine_so_far(const struct engine *engine, int id, const struct engine_token **tokens, int *count)
{
    const struct asked *a = &engine->asked[id - 1];
    *tokens = a->tokens;
    *count = a->count / 2;
    return !a->done;
}

void engine_cancel(struct engine *engine, int id)
{
    engine->asked[id - 1].cancelled = engine->asked[id - 1].done = 1;
    engine->cancels++;
}

/* What is forgotten is what was asked and written, token for token. */
void engine_forget(struct engine *engine, const int *tokens, int n)
{
    int known = 0;
    for (int i = 0; i < engine->count; i++)
        known = known || (engine->asked[i].all.count == n &&
                          !memcmp(engine->asked[i].all.ids, tokens, (size_t)n * sizeof *tokens));
    assert_true(known || engine->again);
    engine->forgotten++;
}

/* The script has no adapters, and no search here asks for one. */
int engine_adapters(const struct engine *engine)
{
    (void)engine;
    return 0;
}

int engine_adapter_open(struct engine *engine, const char *path, int *id, struct error *e)
{
    (void)engine, (void)path, (void)id;
    return error_set(e, ERROR_INPUT, "the script has no adapters");
}

const struct engine_adapter_about *engine_adapter_about(const struct engine *engine, int id)
{
    (void)engine, (void)id;
    return NULL;
}

int engine_mix(struct engine *engine, const struct engine_adapter_use *uses, int n, int *mix, struct error *e)
{
    (void)engine, (void)uses, (void)n, (void)mix;
    return error_set(e, ERROR_INPUT, "the script has no adapters");
}

static void engine_empty(struct engine *engine)
{
    for (int i = 0; i < engine->count; i++) {
        free(engine->asked[i].tokens);
        engine_tokens_free(&engine->asked[i].all);
    }
    free(engine->asked);
}

/* --- tasks ------------------------------------------------------------------------------------------------------- */

#define HEAD                                                                                                           \
    "name: made\nabout: made\nstrategy: greedy\nproblem: {form: any text}\nsteps: 2\n"                                 \
    "answer: {pattern: '=(\\w+)', otherwise: none}\nverifier: {kind: text}\n"
/* Lines from a state, judged by their last line: the prompts are "G<path>|", "J<last>|" and "E<candidates>". */
static const char lines_task[] = HEAD
    "continues: false\n"
    "sample: {messages: 'S{problem}{path}|', max_tokens: 12}\n"
    "propose: {messages: 'G{path}|', max_tokens: 30}\n"
    "self-evaluation: {messages: 'Y{path}|', words: [yes, no]}\n"
    "value: {messages: 'J{last}|', max_tokens: 10, unreadable: 0.5, labels: {sure: 20, likely: 1, impossible: 0.001}}\n"
    "vote: {messages: 'E{candidates}', max_tokens: 10, candidate: \"({number}){last}\", pattern: 'choice (\\d+)'}\n";
/* One growing turn. */
static const char turn_task[] =
    HEAD "continues: true\nsample: {messages: 'Q{problem}:', max_tokens: 12, stops: [\";\"]}\n";

static struct search_task *open_task(const char *yaml)
{
    char path[] = "/tmp/espalier_test_XXXXXX.yaml";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    struct search_task *task = NULL;
    struct error e;
    int code = search_task_open(&task, path, &e);
    unlink(path);
    if (code)
        fail_msg("%s", e.message);
    return task;
}

/* --- runs -------------------------------------------------------------------------------------------------------- */

struct run {
    const char *yaml, *strategy, *problem;
    const struct line *script;
    enum order order;
    int64_t budget;
    int context;
    /* acts of the user: when the log has so many events, prune (node > 0), undo (-1) or redo (-2) */
    struct act {
        int64_t at;
        int node;
    } acts[6];
    int commands, refused, nodes; /* refused: it is not opened, and `why` is what is said */
    double flops;
    uint64_t fuzz; /* not 0: any acts at any events, which follow from this number and those events */
};
struct outcome {
    struct string log;       /* as JSON, the session left out */
    struct string short_log; /* "propose 0; 3 thoughts; ..." see say_event */
    struct search_usage usage;
    char *answer, *why;
    int requests, cancels, forgotten, node_count;
};

static void take_event(void *context, struct search_event *event)
{
    struct outcome *out = context;
    if (event->kind != SEARCH_EVENT_SESSION)
        search_event_json(event, NULL, &out->log);
    if (event->kind == SEARCH_EVENT_THOUGHT)
        string_addf(&out->short_log, "%d<%d:%s ", event->thought.node, event->thought.parent, event->thought.text);
    if (event->kind == SEARCH_EVENT_JUDGEMENT) {
        string_add(&out->short_log, event->judgement.cached ? "cached" : "judged");
        for (int i = 0; i < event->judgement.count; i++)
            string_addf(&out->short_log, " %d=%g", event->judgement.nodes[i], event->judgement.scores[i]);
        string_add(&out->short_log, " ");
    }
    if (event->kind == SEARCH_EVENT_DECISION || event->kind == SEARCH_EVENT_PLAN)
        string_addf(&out->short_log, "[%s] ", event->kind == SEARCH_EVENT_PLAN ? event->plan.why : event->decision.why);
}

/* All streams of a search are different, or two completions would be one. */
static void check_streams(const struct engine *engine)
{
    for (int i = 0; i < engine->count; i++)
        for (int k = 0; k < i; k++)
            assert_true(engine->asked[i].stream != engine->asked[k].stream || engine->asked[k].cancelled);
}

/* Any act; it may make no sense, and is refused then. */
static void any_act(struct search *search, uint64_t fuzz)
{
    static const char *const forms[] = {"prune %d", "prune %d", "undo", "undo", "redo", "back", "back %d", "keep %d", "unkeep %d", "add %d =w",
                                        "add %d mine", "edit %d =7", "edit %d other", "again %d", "fork %d 0 122", "fork %d 1 61",
                                        "exclude %d", "include %d", "weight normalised", "weight plurality", "set tokens=%d",
                                        "set temperature=0.5", "set seed=%d"};
    const struct search_tree *tree = search_tree(search);
    uint64_t at = (uint64_t)tree->event_count;
    int form = (int)(random_uniform(fuzz, at, 1) * (double)(sizeof forms / sizeof *forms));
    int back = !strncmp(forms[form], "back", 4), tokens = !strncmp(forms[form], "set t", 5);
    int most = back ? (int)tree->event_count : tokens ? 300 : tree->count;
    struct string words = {0};
    struct error e;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    string_addf(&words, forms[form], (int)(random_uniform(fuzz, at, 2) * most));
#pragma GCC diagnostic pop
    int code = search_do(search, words.text, &e);
    if (code && code != ERROR_INPUT)
        fail_msg("%s: %s", words.text, e.message);
    string_free(&words);
}

static void act(struct search *search, const struct run *r, int *acts_done)
{
    struct error e;
    for (int64_t before = -1; r->fuzz && before != search_tree(search)->event_count && before < 150;) {
        before = search_tree(search)->event_count;
        if (random_uniform(r->fuzz, (uint64_t)before, 0) < .15)
            any_act(search, r->fuzz);
    }
    const struct act *a = &r->acts[*acts_done];
    while (*acts_done < 6 && a->node && search_tree(search)->event_count >= a->at) {
        int code = a->node > 0     ? search_prune(search, a->node, &e)
                   : a->node == -1 ? search_undo(search, &e)
                                   : search_redo(search, &e);
        if (code)
            fail_msg("%s", e.message);
        a = &r->acts[++*acts_done];
    }
}

/* The usage of every completion, and their sum, by comparing each prompt with all that came before it. */
static void check_usage(const struct search_tree *tree)
{
    struct engine_tokens all[400];
    int count = 0;
    struct search_usage sum = {0};
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *event = tree->events[i], *first = event;
        if (event->kind != SEARCH_EVENT_COMPLETION)
            continue;
        for (int64_t k = i; first->completion.sample || first->completion.item != event->completion.item;)
            do
                first = tree->events[--k];
            while (first->kind != SEARCH_EVENT_COMPLETION);
        int cached = event->completion.sample ? first->completion.prompt_count : 0;
        for (int k = 0; k < count; k++) {
            int n = 0;
            while (n < all[k].count && n < first->completion.prompt_count &&
                   all[k].ids[n] == first->completion.prompt[n])
                n++;
            cached = n > cached ? n : cached;
        }
        assert_int_equal(event->completion.usage.prompt, first->completion.prompt_count);
        assert_int_equal(event->completion.usage.cached, cached);
        assert_int_equal(event->completion.usage.completion, event->completion.count);
        sum.prompt += event->completion.usage.prompt;
        sum.cached += cached;
        sum.completion += event->completion.count;
        all[count] = (struct engine_tokens){0};
        engine_tokens_append(&all[count], first->completion.prompt, first->completion.prompt_count);
        for (int k = 0; k < event->completion.count; k++)
            engine_tokens_add(&all[count], event->completion.tokens[k].id);
        count++;
    }
    assert_int_equal(tree->usage.prompt, sum.prompt);
    assert_int_equal(tree->usage.cached, sum.cached);
    assert_int_equal(tree->usage.completion, sum.completion);
    while (count)
        engine_tokens_free(&all[--count]);
}

/* A plan in force may name a thought that is not: then there is nothing to fold it into. */
static int names_gone(const struct search_tree *tree, const struct search_event *event)
{
    for (int i = 0; event->kind == SEARCH_EVENT_PLAN && i < event->plan.count; i++)
        for (int k = 0; k < event->plan.items[i].count; k++)
            if (tree->nodes[event->plan.items[i].nodes[k]].gone)
                return 1;
    return 0;
}

/* The tree is what the events in force give, folded from nothing; but for what is counted over all events. */
static void check_fold(const struct search_tree *tree)
{
    struct search_tree again = {0};
    for (int64_t i = 0; i < tree->event_count; i++)
        if (!tree->out[i] && names_gone(tree, tree->events[i]))
            return;
    for (int64_t i = 0; i < tree->event_count; i++)
        if (!tree->out[i] && tree->events[i]->kind != SEARCH_EVENT_UNDO && tree->events[i]->kind != SEARCH_EVENT_REDO &&
            tree->events[i]->kind != SEARCH_EVENT_BACK)
            search_tree_fold(&again, tree->events[i]);
    for (int i = 0; i < tree->count; i++) {
        const struct search_node *a = &tree->nodes[i], *b = i < again.count ? &again.nodes[i] : NULL;
        if (a->gone) {
            assert_true(!b || b->gone);
            continue;
        }
        assert_non_null(b);
        assert_true(a->parent == b->parent && a->first_child == b->first_child && a->next_sibling == b->next_sibling);
        assert_true(a->state == b->state && a->pruned == b->pruned && a->kept == b->kept && a->depth == b->depth);
        assert_true(a->training == b->training && a->excluded == b->excluded && a->sampled == b->sampled);
        assert_true(a->visits == b->visits && a->descendants == b->descendants && a->same == b->same);
        assert_true(a->decision == b->decision);
        assert_true(a->judgement == b->judgement && a->thought == b->thought && a->on_best_path == b->on_best_path);
    }
    assert_int_equal(tree->kept_count, again.kept_count);
    assert_memory_equal(tree->kept, again.kept, (size_t)tree->kept_count * sizeof *tree->kept);
    assert_true(tree->latest_plan == again.latest_plan && tree->latest_decision == again.latest_decision);
    assert_true(tree->session == again.session && tree->result == again.result && tree->revote == again.revote);
    assert_int_equal(search_tree_steps(tree), search_tree_steps(&again));
    assert_true(tree->step_open == again.step_open && tree->done_count == again.done_count && tree->ask_count == again.ask_count);
    search_tree_free(&again);
}

/* Where a run might have been interrupted: between two calls of its driver. */
struct stop {
    int64_t events;
    int acts;
};

/* Opened again from its first events, a search goes on to the same log, byte for byte. */
static void go_on_from(const struct run *r, struct search_options options, const struct search_tree *tree,
                       struct stop stop, const char *log)
{
    struct engine engine = {
        .info = {.name = "script", .context = r->context ? r->context : 500}, .script = r->script, .order = r->order, .again = 1};
    struct outcome out = {0};
    struct search *search = NULL;
    struct error e;
    enum search_status status = SEARCH_WORKING;
    options.context = &out;
    int code = search_open_again(&search, &engine, &options, tree->events, stop.events, &e);
    while (!code && status != SEARCH_DONE) {
        act(search, r, &stop.acts);
        code = search_advance(search, &status, &e);
    }
    if (code)
        fail_msg("%s", e.message);
    assert_string_equal(string_text(&out.log), log);
    search_close(search);
    engine_empty(&engine);
    string_free(&out.log);
    string_free(&out.short_log);
}

static struct outcome run(const struct run *r)
{
    struct stop stops[2000];
    int stop_count = 0;
    struct engine engine = {
        .info = {.name = "script", .context = r->context ? r->context : 500}, .script = r->script, .order = r->order};
    struct outcome out = {0};
    struct search_task *task = open_task(r->yaml);
    struct search_options options = {.task = task,
                                     .problem = r->problem ? r->problem : "p",
                                     .strategy = r->strategy,
                                     .seed = 1,
                                     .sampling = {-1, -1, -1, -1, -1},
                                     .budget_tokens = r->budget,
                                     .budget_nodes = r->nodes,
                                     .budget_flops = r->flops,
                                     .commands = r->commands,
                                     .sink = take_event,
                                     .context = &out};
    struct search *search = NULL;
    struct error e;
    enum search_status status = SEARCH_WORKING;
    int acts = 0;
    int code = search_open(&search, &engine, &options, &e);
    if (code && r->refused) {
        out.why = xstrdup(e.message);
        search_task_close(task);
        return out;
    }
    for (int calls = 0; !code && status != SEARCH_DONE; calls++) {
        assert_true(calls < 5000);
        act(search, r, &acts);
        if (r->fuzz)
            check_fold(search_tree(search));
        if (!stop_count || stops[stop_count - 1].events < search_tree(search)->event_count)
            stops[stop_count++] = (struct stop){search_tree(search)->event_count, acts};
        const int before = search_tree_steps(search_tree(search));
        code = search_advance(search, &status, &e);
        if (!code && !r->fuzz && !r->acts[0].node) /* what is counted is what is stepped; a prune may end a plan by itself */
            assert_int_equal(search_tree_steps(search_tree(search)) - before, status != SEARCH_WORKING);
    }
    if (code)
        fail_msg("%s", e.message);
    const struct search_tree *tree = search_tree(search);
    check_fold(tree);
    if (!r->fuzz) {
        check_usage(tree);
        check_streams(&engine);
    }
    out.usage = tree->usage;
    out.answer = xstrdup(tree->result->result.answer);
    out.why = xstrdup(tree->result->result.why);
    out.node_count = tree->count;
    out.requests = engine.count;
    out.cancels = engine.cancels;
    out.forgotten = engine.forgotten;
    for (int i = 0; i < stop_count; i++)
        go_on_from(r, options, tree, stops[i], string_text(&out.log));
    search_close(search);
    search_task_close(task);
    engine_empty(&engine);
    return out;
}

static void outcome_free(struct outcome *out)
{
    string_free(&out->log);
    string_free(&out->short_log);
    free(out->answer);
    free(out->why);
}

/* The same run with requests that end in other orders: the same log. Returns the outcome of the first. */
static struct outcome run_in_all_orders(struct run r)
{
    r.order = FIRST;
    struct outcome first = run(&r);
    for (r.order = LAST; r.order <= ANY; r.order++) {
        struct outcome other = run(&r);
        assert_string_equal(string_text(&first.log), string_text(&other.log));
        outcome_free(&other);
    }
    return first;
}

/* --- strategies, end to end -------------------------------------------------------------------------------------- */

/* Level 1: a b a; the copy is worth 0 and costs nothing. Level 2: the states of a and b both lead to "=x": the same
 * prompt, judged once. "=y" is judged on its own, "c" ends without an answer: 0 without being judged. */
static const struct line tot_script[] = {
    {SEARCH_PROPOSE, 0, 0, "a\nb\na\n"},
    {SEARCH_PROPOSE, 1, 0, "=x\n=y\n"},
    {SEARCH_PROPOSE, 2, 0, "=x\nc\n"},
    {SEARCH_VALUE, 1, 0, "sure"},
    {SEARCH_VALUE, 1, 1, "hm\nlikely"}, /* 21 */
    {SEARCH_VALUE, 2, 0, "what?"},
    {SEARCH_VALUE, 2, 1, "sure"}, /* unreadable: 0.5; 20.5 */
    {SEARCH_VALUE, 4, 0, "likely"},
    {SEARCH_VALUE, 4, 1, "impossible"}, /* 1.001 */
    {SEARCH_VALUE, 3, -1, "likely"}, /* only while node 1, which it is a copy of, is pruned */
    {SEARCH_VALUE, 5, 0, "likely"},
    {SEARCH_VALUE, 5, 1, "likely"}, /* 2 */
    {0},
};

static void test_tot_value(void **state)
{
    (void)state;
    struct outcome out =
        run_in_all_orders((struct run){.yaml = lines_task, .strategy = "tot,b=2,n_evaluate=2", .script = tot_script});
    assert_string_equal(string_text(&out.short_log),
                        "[propose from 1 state] 1<0:a 2<0:b 3<0:a "
                        "[value 3 thoughts, 2 samples each] judged 1=21 judged 2=20.5 cached 3=0 "
                        "[kept 2 of 3 by value: 21, 20.5] "
                        "[propose from 2 states] 4<1:=x 5<1:=y 6<2:=x 7<2:c "
                        "[value 4 thoughts, 2 samples each] judged 4=1.001 judged 5=2 cached 6=1.001 cached 7=0 "
                        "[kept 2 of 4 by value: 2, 1.001] ");
    assert_string_equal(out.answer, "y");
    assert_string_equal(out.why, "the best of 2 answers, of value 2");
    assert_int_equal(out.requests, 3 + 2 * 4); /* three proposals, four thoughts judged twice */
    outcome_free(&out);
}

/* Only the section that says so is asked without thoughts, and it in all its prompts. */
static void test_without_thoughts(void **state)
{
    (void)state;
    const char *at = strstr(lines_task, "max_tokens: 10, unreadable");
    char *brief = xasprintf("%.*sthinking: false, %s", (int)(at - lines_task), lines_task, at);
    struct outcome out = run_in_all_orders((struct run){.yaml = brief, .strategy = "tot,b=2,n_evaluate=2", .script = tot_script});
    int judged = 0, grown = 0;
    static const char key[] = "\"prompt\":[";
    for (const char *p = string_text(&out.log); (p = strstr(p, key));) {
        const int first = atoi(p += sizeof key - 1);
        const char *end = strchr(p, ']');
        while (end[-1] >= '0' && end[-1] <= '9')
            end--;
        assert_int_equal(atoi(end), first == 'J' ? '~' : '|');
        *(first == 'J' ? &judged : &grown) += 1;
    }
    assert_true(judged > 0 && grown > 0);
    outcome_free(&out);
    free(brief);
}

static void test_tot_vote(void **state)
{
    (void)state;
    static const struct line script[] = {
        {SEARCH_SAMPLE, 0, 0, "a"},      {SEARCH_SAMPLE, 0, 1, "b"},
        {SEARCH_SAMPLE, 0, 2, "c"},      {SEARCH_VOTE, 1, 0, "choice 2"},
        {SEARCH_VOTE, 1, 1, "choice 9"}, {SEARCH_VOTE, 1, 2, "choice 2"},
        {SEARCH_SAMPLE, 2, -1, "=7"},    {0},
    };
    struct outcome out = run_in_all_orders(
        (struct run){.yaml = lines_task, .strategy = "tot,b=1,generate=sample,k=3,evaluate=vote", .script = script});
    assert_string_equal(
        string_text(&out.short_log),
        "[sample from 1 state] 1<0:a 2<0:b 3<0:c [vote among 3 thoughts, 3 samples] judged 1=0 2=2 3=0 "
        "[kept 1 of 3 by votes: 2] [sample from 1 state] 4<2:=7 5<2:=7 6<2:=7 [kept 1 of 3 by votes: 0] ");
    assert_string_equal(out.answer, "7");
    outcome_free(&out);
}

/* Chains of one growing turn: each prompt is the one before with what was written, so of it nothing is paid twice. */
static const struct line chain_script[] = {
    {SEARCH_SAMPLE, 0, 0, "one;"}, {SEARCH_SAMPLE, 0, 1, "=4;"}, {SEARCH_SAMPLE, 0, 2, "two;"},
    {SEARCH_SAMPLE, 1, 0, "=5"},   {SEARCH_SAMPLE, 3, 0, "=4"},  {0},
};

static void test_self_consistency(void **state)
{
    (void)state;
    struct outcome out =
        run_in_all_orders((struct run){.yaml = turn_task, .strategy = "self-consistency,m=3", .script = chain_script});
    assert_string_equal(string_text(&out.short_log),
                        "[begin 3 paths] 1<0:one 2<0:=4 3<0:two [go on with 2 paths] 4<1:=5 5<3:=4 "
                        "[plurality 2 of 3 votes: 4] ");
    assert_string_equal(out.answer, "4");
    /* "Qp:" three times, then with "one;" and "two;": 3 * 3 + 2 * 7, all but the first three known; 4 + 3 + 4 + 2 + 2
     * written. */
    assert_int_equal(out.usage.prompt, 23);
    assert_int_equal(out.usage.cached, 20);
    assert_int_equal(out.usage.completion, 15);
    outcome_free(&out);
}

/* --- budgets ----------------------------------------------------------------------------------------------------- */

static int64_t spent(const struct search_usage *u)
{
    return u->prompt - u->cached + u->completion;
}

/* Whatever the budget, never more; the same log whatever ends first; and with enough of it, the log of no budget at
 * all. */
static void test_every_budget(void **state)
{
    (void)state;
    struct run runs[] = {
        {.yaml = lines_task, .strategy = "tot,b=2,n_evaluate=2", .script = tot_script},
        {.yaml = turn_task, .strategy = "self-consistency,m=3", .script = chain_script},
    };
    for (int i = 0; i < 2; i++) {
        struct run r = runs[i];
        struct outcome free_run = run(&r);
        int64_t before = 0;
        for (r.budget = 1; r.budget < 200; r.budget++) {
            struct outcome out = run_in_all_orders(r);
            assert_true(spent(&out.usage) <= r.budget);
            if (!strncmp(out.why, "budget spent: ", 14))
                assert_true(spent(&out.usage) >=
                            before - 12); /* it is used up but for what the next prompt would have cost */
            else
                assert_string_equal(string_text(&out.log), string_text(&free_run.log));
            before = spent(&out.usage);
            outcome_free(&out);
        }
        assert_int_equal(before, spent(&free_run.usage));
        outcome_free(&free_run);
    }
}

/* A single path is written to the last token of the budget. */
static void test_budget_to_the_token(void **state)
{
    (void)state;
    static const struct line script[] = {{SEARCH_SAMPLE, -1, -1, "abcdefgh;"}, {0}};
    for (int64_t budget = 4; budget < 3 + 18; budget++) {
        struct outcome out =
            run(&(struct run){.yaml = turn_task, .strategy = "greedy", .script = script, .budget = budget});
        assert_int_equal(spent(&out.usage), budget);
        outcome_free(&out);
    }
    struct outcome out = run(&(struct run){.yaml = turn_task, .strategy = "greedy", .script = script, .budget = 3});
    assert_int_equal(spent(&out.usage), 0);
    assert_string_equal(out.why, "budget spent: the path ends after 0 thoughts without an answer");
    assert_null(out.answer);
    outcome_free(&out);
}

/* --- acts of the user -------------------------------------------------------------------------------------------- */

static const struct line wide_script[] = {
    {SEARCH_SAMPLE, 0, 0, "a;"}, {SEARCH_SAMPLE, 0, 1, "b;"}, {SEARCH_SAMPLE, 0, 2, "c;"},
    {SEARCH_SAMPLE, 0, 3, "d;"}, {SEARCH_SAMPLE, 1, 0, "=1"}, {SEARCH_SAMPLE, 2, 0, "=2"},
    {SEARCH_SAMPLE, 3, 0, "=3"}, {SEARCH_SAMPLE, 4, 0, "=3"}, {0},
};

/* Events: session, plan, 4 completions with a thought each: 10; the plan that goes on: 11; then 4 pairs. */
static void test_prune_in_a_plan(void **state)
{
    (void)state;
    struct run r = {.yaml = turn_task, .strategy = "self-consistency,m=4", .script = wide_script};
    r.acts[0] = (struct act){11, 4};
    struct outcome out = run_in_all_orders(r);
    assert_string_equal(string_text(&out.short_log),
                        "[begin 4 paths] 1<0:a 2<0:b 3<0:c 4<0:d [go on with 4 paths] 5<1:=1 6<2:=2 7<3:=3 "
                        "[plurality 1 of 3 votes, a tie broken by log-probability: 1] ");
    assert_int_equal(out.forgotten, 1); /* the thought itself: nothing was asked below it */
    outcome_free(&out);

    /* Restored within the plan, its work is done after all. */
    r.acts[1] = (struct act){13, -1};
    out = run_in_all_orders(r);
    assert_string_equal(string_text(&out.short_log),
                        "[begin 4 paths] 1<0:a 2<0:b 3<0:c 4<0:d [go on with 4 paths] 5<1:=1 6<2:=2 7<3:=3 8<4:=3 "
                        "[plurality 2 of 4 votes: 3] ");
    outcome_free(&out);

    /* Restored when the others were done: what is missing is done last. */
    r.acts[0] = (struct act){11, 1};
    r.acts[1] = (struct act){18, -1};
    out = run_in_all_orders(r);
    assert_string_equal(string_text(&out.short_log),
                        "[begin 4 paths] 1<0:a 2<0:b 3<0:c 4<0:d [go on with 4 paths] 5<2:=2 6<3:=3 7<4:=3 8<1:=1 "
                        "[plurality 2 of 4 votes: 3] ");
    outcome_free(&out);
}

/* Requests in flight below a pruned node are cancelled; asked again after undo, and after redo not at all. */
static void test_prune_cancels(void **state)
{
    (void)state;
    struct run r = {.yaml = turn_task, .strategy = "self-consistency,m=4", .script = wide_script, .order = FIRST};
    /* In the second plan at 13 events the first of four requests is recorded, so all were sent and three are in flight.
     */
    r.acts[0] = (struct act){13, 4};
    struct outcome out = run(&r);
    assert_int_equal(out.cancels, 1);
    assert_int_equal(out.requests, 8);
    outcome_free(&out);
    r.acts[1] = (struct act){14, -1};
    out = run_in_all_orders(r);
    assert_int_equal(out.cancels, 1);
    assert_int_equal(out.requests, 9);
    outcome_free(&out);
    r.acts[2] = (struct act){15, -2};
    out = run_in_all_orders(r);
    outcome_free(&out);
}

/* With a budget, prune and undo at every event: never more than it, and the same log whatever ends first. */
static void test_acts_under_budgets(void **state)
{
    (void)state;
    for (int budget = 10; budget < 30; budget += 3)
        for (int at = 4; at < 18; at++) {
            struct run r = {
                .yaml = turn_task, .strategy = "self-consistency,m=4", .script = wide_script, .budget = budget};
            r.acts[0] = (struct act){at, 1};
            r.acts[1] = (struct act){at + 3, -1};
            r.acts[2] = (struct act){at + 4, -2};
            r.acts[3] = (struct act){at + 6, -1};
            struct outcome out = run_in_all_orders(r);
            assert_true(spent(&out.usage) <= budget);
            outcome_free(&out);
        }
}

/* The leader of two items with one prompt is pruned before it is judged: the other asks for itself. */
static void test_prune_the_source_of_a_judgement(void **state)
{
    (void)state;
    static const struct line script[] = {
        {SEARCH_PROPOSE, 0, 0, "a\nb\n"}, {SEARCH_VALUE, 1, -1, "sure"},
        {SEARCH_VALUE, 2, -1, "likely"},  {SEARCH_PROPOSE, 1, 0, "=x\n"},
        {SEARCH_PROPOSE, 2, 0, "=x\n"},   {SEARCH_VALUE, 3, -1, "sure"},
        {SEARCH_VALUE, 4, -1, "likely"},  {0},
    };
    /* 0 session, plan, completion, a, b; plan, 2 x (completion, judgement); decision; plan, 2 x (completion, thought);
     * plan: 17 events */
    struct run r = {.yaml = lines_task, .strategy = "tot,b=2,n_evaluate=1", .script = script};
    struct outcome out = run_in_all_orders(r);
    assert_non_null(strstr(string_text(&out.short_log), "judged 3=20 cached 4=20 "));
    outcome_free(&out);
    r.acts[0] = (struct act){17, 3};
    out = run_in_all_orders(r);
    assert_non_null(strstr(string_text(&out.short_log), "[value 2 thoughts, 1 sample each] judged 4=1 "));
    outcome_free(&out);
    r.acts[1] = (struct act){20, -1};
    out = run_in_all_orders(r);
    assert_non_null(strstr(string_text(&out.short_log), "judged 4=1 cached 3=1 "));
    outcome_free(&out);
}

/* Restored between two samples of its judgement: the second is asked for, and the two are judged together. */
static void test_prune_between_samples(void **state)
{
    (void)state;
    struct run r = {.yaml = lines_task, .strategy = "tot,b=2,n_evaluate=2", .script = tot_script};
    r.acts[0] = (struct act){8, 1};
    r.acts[1] = (struct act){11, -1};
    struct outcome out = run_in_all_orders(r);
    assert_non_null(strstr(string_text(&out.short_log),
                           "[value 3 thoughts, 2 samples each] judged 2=20.5 judged 1=21 cached 3=0 "));
    outcome_free(&out);
    /* At the next prune its two samples are found by their own prompt: two of the value, and of what was proposed from
     * it. */
    r.acts[2] = (struct act){18, 1};
    out = run_in_all_orders(r);
    outcome_free(&out);
}

/* Any acts at any events, the past changed again and again: the same log whatever ends first, however often it is interrupted; and the
 * tree is at every event the fold of what is in force. */
static void test_any_acts(void **state)
{
    (void)state;
    static const struct line script[] = {
        {SEARCH_PROPOSE, 0, -1, "a\nb\na\n"}, {SEARCH_PROPOSE, -1, -1, "=x\nc\n=y\n"}, {SEARCH_VALUE, -1, 0, "sure"},
        {SEARCH_VALUE, -1, -1, "likely"},     {SEARCH_VOTE, -1, -1, "choice 1"},      {SEARCH_SELF_EVALUATION, -1, 0, "-1"},
        {SEARCH_SELF_EVALUATION, -1, -1, "-2"}, {SEARCH_SAMPLE, 0, 0, "one;"},        {SEARCH_SAMPLE, 0, 1, "=4;"},
        {SEARCH_SAMPLE, 0, 2, "two;"},        {SEARCH_SAMPLE, 0, -1, "=5;"},          {SEARCH_SAMPLE, -1, -1, "=4"}, {0},
    };
    static const struct {
        const char *yaml, *strategy;
        int64_t budget;
    } kinds[] = {
        {lines_task, "tot,b=2,n_evaluate=2", 0},          {turn_task, "self-consistency,m=3", 0},
        {lines_task, "tot,b=2,evaluate=self-evaluation", 0}, {lines_task, "tot,b=1,n_evaluate=2", 120},
        {turn_task, "self-consistency,m=4,adaptive=1", 60},  {lines_task, "tot-dfs,n_evaluate=1,first=0,limit=4", 0},
        {lines_task, "tot,generate=sample,evaluate=vote,k=3", 0}, {lines_task, "tot,evaluate=agreement", 0},
    };
    for (uint64_t fuzz = 1; fuzz <= 48; fuzz++) {
        struct run r = {.yaml = kinds[fuzz % 8].yaml, .strategy = kinds[fuzz % 8].strategy, .script = script, .fuzz = fuzz,
                        .budget = kinds[fuzz % 8].budget};
        struct outcome out = run_in_all_orders(r);
        outcome_free(&out);
    }
}

/* After its end a search is woken by a prune, comes to another result, and by undo to the first again. */
static void test_acts_after_the_end(void **state)
{
    (void)state;
    struct engine engine = {.info = {.name = "script", .context = 500}, .script = wide_script};
    struct search_task *task = open_task(turn_task);
    struct search_options options = {
        .task = task, .problem = "p", .strategy = "self-consistency,m=4", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    enum search_status status = SEARCH_WORKING;
    assert_int_equal(search_open(&search, &engine, &options, &e), OK);
    const struct search_tree *tree = search_tree(search);
    const char *const answers[] = {"3", "1", "3"};
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            assert_int_equal(search_prune(search, 3, &e), OK);
        if (i == 2)
            assert_int_equal(search_undo(search, &e), OK);
        do
            assert_int_equal(search_advance(search, &status, &e), OK);
        while (status != SEARCH_DONE);
        assert_string_equal(tree->result->result.answer, answers[i]);
    }
    int64_t events = tree->event_count;
    assert_int_equal(search_advance(search, &status, &e), OK);
    assert_int_equal(status, SEARCH_DONE);
    assert_int_equal(tree->event_count, events);

    assert_int_equal(search_prune(search, 0, &e), ERROR_INPUT);
    assert_int_equal(search_prune(search, 99, &e), ERROR_INPUT);
    assert_int_equal(search_prune(search, -1, &e), ERROR_INPUT);
    assert_int_equal(search_undo(search, &e), ERROR_INPUT);
    assert_string_equal(e.message, "there is nothing to undo");
    assert_int_equal(search_redo(search, &e), OK);
    assert_int_equal(search_prune(search, 3, &e), ERROR_INPUT);
    assert_int_equal(search_redo(search, &e), ERROR_INPUT);
    search_close(search);
    search_task_close(task);
    engine_empty(&engine);
}

/* --- other judges ------------------------------------------------------------------------------------------------ */

/* The words' log-probabilities are the script's: a: yes -1, no -2: 1 / (1 + e^-1) = .731; b: -3, -1: 1 / (1 + e^2) = .119. */
static void test_judged_by_words(void **state)
{
    (void)state;
    static const struct line script[] = {
        {SEARCH_PROPOSE, 0, 0, "a\nb\n"},         {SEARCH_SELF_EVALUATION, 1, 0, "-1"}, {SEARCH_SELF_EVALUATION, 1, 1, "-2"},
        {SEARCH_SELF_EVALUATION, 2, 0, "-3"},      {SEARCH_SELF_EVALUATION, 2, 1, "-1"}, {SEARCH_PROPOSE, 1, 0, "=x\n"},
        {SEARCH_SELF_EVALUATION, 3, 0, "-0.5"},    {SEARCH_SELF_EVALUATION, 3, 1, "-0.5"}, {0},
    };
    struct outcome out = run_in_all_orders(
        (struct run){.yaml = lines_task, .strategy = "tot,b=1,evaluate=self-evaluation", .script = script});
    assert_string_equal(string_text(&out.short_log),
                        "[propose from 1 state] 1<0:a 2<0:b [judge 2 thoughts by self-evaluation] judged 1=0.731059 judged 2=0.119203 "
                        "[kept 1 of 2 by value: 0.7311] [propose from 1 state] 3<1:=x [judge 1 thought by self-evaluation] judged 3=0.5 "
                        "[kept the only thought there was] ");
    assert_non_null(strstr(out.log.text, "\"labels\":[\"yes 0.3679\",\"no 0.1353\"]"));
    /* "Yb|": 3 tokens, then its words: the prompt is paid once, each word's tokens as written. */
    assert_non_null(strstr(out.log.text, "\"text\":\"yes\",\"ending\":\"scored\",\"usage\":{\"tokens\":{\"prompt\":3,\"cached\":1,\"completion\":3}"));
    outcome_free(&out);
}

/* Three answers: 7 7 8; agreement is 2/3, 2/3 and 1/3. Likelihood: every token has -0.5, so e^-0.5 = .60653 for all. */
static void test_judged_by_rule(void **state)
{
    (void)state;
    static const struct line script[] = {
        {SEARCH_SAMPLE, 0, 0, "=7;"}, {SEARCH_SAMPLE, 0, 1, "so =7;"}, {SEARCH_SAMPLE, 0, 2, "=8;"}, {0},
    };
    struct outcome out = run((&(struct run){.yaml = turn_task, .strategy = "best-of-n,n=3,evaluate=agreement", .script = script}));
    assert_non_null(strstr(out.short_log.text, "[judge 3 thoughts by agreement] judged 1=0.666667 judged 2=0.666667 judged 3=0.333333 "));
    assert_string_equal(out.answer, "7");
    assert_int_equal(out.requests, 3);
    outcome_free(&out);
    out = run((&(struct run){.yaml = turn_task, .strategy = "best-of-n,n=3,evaluate=likelihood", .script = script}));
    assert_non_null(strstr(out.short_log.text, "judged 1=0.606531 judged 2=0.606531 judged 3=0.606531 "));
    outcome_free(&out);
    out = run((&(struct run){.yaml = turn_task, .strategy = "best-of-n,n=3,evaluate=oracle", .script = NULL, .refused = 1}));
    assert_non_null(strstr(out.why, "needs the judge 'oracle', which task made does not have"));
    outcome_free(&out);
}

/* A program of the user's: right for what it is told of "=7". It runs only when it is allowed. */
static void test_judged_by_command(void **state)
{
    (void)state;
    static const char task[] = HEAD "continues: true\nsample: {messages: 'Q{problem}:', max_tokens: 12, stops: [\";\"]}\n"
        "command: {run: [/bin/sh, -c, 'case \"$(cat)\" in *=7*) echo 0.75 good;; *=8*) echo none;; *) sleep 9;; esac'], seconds: 0.3}\n";
    static const struct line script[] = {
        {SEARCH_SAMPLE, 0, 0, "=9;"}, {SEARCH_SAMPLE, 0, 1, "=7;"}, {SEARCH_SAMPLE, 0, 2, "=8;"}, {0},
    };
    struct run r = {.yaml = task, .strategy = "best-of-n,n=3,evaluate=verifier", .script = script, .refused = 1};
    struct outcome out = run(&r);
    assert_string_equal(out.why, "the judge 'verifier' of task made runs the program /bin/sh; allow that with --allow-commands");
    outcome_free(&out);
    r.refused = 0;
    r.commands = 1;
    out = run(&r);
    assert_non_null(strstr(out.short_log.text, "[judge 3 thoughts by verifier] judged 1=0 judged 2=0.75 judged 3=0 "));
    assert_non_null(strstr(out.log.text, "\"text\":\"timed out after 0.3 s\",\"ending\":\"cancelled\""));
    assert_non_null(strstr(out.log.text, "\"labels\":[\"0.75 good\"]"));
    assert_string_equal(out.answer, "7");
    outcome_free(&out);
}

/* --- other budgets ----------------------------------------------------------------------------------------------- */

/* Thoughts and FLOPs: never more, the same log in every order, and with enough of it that of no budget. */
static void test_other_budgets(void **state)
{
    (void)state;
    struct run runs[] = {
        {.yaml = lines_task, .strategy = "tot,b=2,n_evaluate=2", .script = tot_script},
        {.yaml = turn_task, .strategy = "self-consistency,m=3", .script = chain_script},
    };
    for (int i = 0; i < 2; i++) {
        struct run r = runs[i];
        struct outcome free_run = run(&r);
        int ended = 0;
        for (r.nodes = 1; r.nodes < 10; r.nodes++) {
            struct outcome out = run_in_all_orders(r);
            assert_true(out.node_count - 1 <= r.nodes);
            ended += !strncmp(out.why, "budget spent: ", 14);
            if (r.nodes > free_run.node_count)
                assert_string_equal(string_text(&out.log), string_text(&free_run.log));
            outcome_free(&out);
        }
        assert_true(ended > 2);
        r.nodes = 0;
        for (r.flops = 100; r.flops < 2 * free_run.usage.flops; r.flops *= 1.3) {
            struct outcome out = run_in_all_orders(r);
            assert_true(out.usage.flops <= r.flops);
            if (r.flops > 1.5 * free_run.usage.flops && strncmp(out.why, "budget spent: ", 14))
                assert_string_equal(string_text(&out.log), string_text(&free_run.log));
            outcome_free(&out);
        }
        outcome_free(&free_run);
    }
}

/* --- what is being written --------------------------------------------------------------------------------------- */

static void test_live(void **state)
{
    (void)state;
    struct engine engine = {.info = {.name = "script", .context = 500}, .script = wide_script, .order = LAST};
    struct search_task *task = open_task(turn_task);
    struct search_options options = {
        .task = task, .problem = "p", .strategy = "self-consistency,m=4", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct search_live live = SEARCH_LIVE_NONE;
    struct error e;
    enum search_status status;
    assert_int_equal(search_open(&search, &engine, &options, &e), OK);
    assert_int_equal(search_live(search, &live), 0);
    assert_int_equal(search_advance(search, &status, &e), OK); /* the plan */
    assert_int_equal(search_advance(search, &status, &e), OK); /* the last of the four ends first, and is shown whole */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(search_live(search, &live), 1);
        assert_true(live.node == 0 && live.item == 0 && live.sample == i && live.count == (i < 3 ? 1 : 2) && live.purpose == SEARCH_SAMPLE);
    }
    assert_int_equal(search_live(search, &live), 0);
    search_close(search); /* cancels what is in flight */
    assert_int_equal(engine.cancels, 3);
    search_task_close(task);
    engine_empty(&engine);
}

/* --- prefixes ---------------------------------------------------------------------------------------------------- */

static void test_prefixes(void **state)
{
    (void)state;
    enum { SEQUENCES = 400, LONGEST = 14 };
    static int tokens[SEQUENCES][LONGEST], lengths[SEQUENCES];
    struct search_prefixes p = {0};
    uint64_t draws = 0;
    for (int i = 0; i < SEQUENCES; i++) {
        lengths[i] = (int)(random_uniform(3, 3, draws++) * (LONGEST + 1));
        for (int k = 0; k < lengths[i]; k++)
            tokens[i][k] = (int)(random_uniform(3, 3, draws++) * 3);
        int longest = 0;
        for (int before = 0; before < i; before++) {
            int n = 0;
            while (n < lengths[i] && n < lengths[before] && tokens[i][n] == tokens[before][n])
                n++;
            longest = n > longest ? n : longest;
        }
        assert_int_equal(search_prefixes_find(&p, tokens[i], lengths[i]), longest);
        search_prefixes_add(&p, tokens[i], lengths[i]);
        assert_int_equal(search_prefixes_find(&p, tokens[i], lengths[i]), lengths[i]);
    }
    search_prefixes_free(&p);
}

/* --- errors ------------------------------------------------------------------------------------------------------ */

static void open_fails(const char *yaml, const char *strategy, const char *problem, int context, int code,
                       const char *part)
{
    struct engine engine = {.info = {.name = "script", .context = context}};
    struct search_task *task = open_task(yaml);
    struct search_options options = {
        .task = task, .problem = problem, .strategy = strategy, .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    assert_int_equal(search_open(&search, &engine, &options, &e), code);
    assert_null(search);
    if (!strstr(e.message, part))
        fail_msg("'%s' does not say '%s'", e.message, part);
    search_task_close(task);
}

static void test_errors(void **state)
{
    (void)state;
    open_fails(turn_task, "bfs", "p", 500, ERROR_USAGE,
               "unknown strategy 'bfs'; there are: greedy, sample, self-consistency, best-of-n, beam, dvts, tot, tot-dfs, mcts, ab-mcts, auto");
    open_fails(turn_task, "tot", "p", 500, ERROR_USAGE,
               "tot needs the prompt 'value', which task made does not have; it has: sample");
    open_fails(turn_task, "tot,generate=propose", "p", 500, ERROR_USAGE, "needs the prompt 'propose'");
    open_fails(turn_task, "greedy", "@0", 500, ERROR_INPUT, "'@0'");
    open_fails(turn_task, "greedy", "@1x", 500, ERROR_INPUT, "'@1x'");
    open_fails(turn_task, "greedy", "@1", 500, ERROR_INPUT, "");
    open_fails(turn_task, "greedy", "a long problem", 16, ERROR_INPUT, "has 16 tokens, but the context holds 16");
}

/* A prompt that outgrows the context half-way is answered by nothing: a judgement that cannot be read, a path that ends;
 * and the search comes to its end. */
static void test_too_long_half_way(void **state)
{
    (void)state;
    struct engine engine = {.info = {.name = "script", .context = 8},
                            .script = (const struct line[]){{SEARCH_PROPOSE, -1, -1, "abcdefgh"}, {0}}};
    struct search_task *task = open_task(lines_task);
    struct search_options options = {.task = task, .problem = "p", .strategy = "tot", .sampling = {-1, -1, -1, -1, -1}};
    struct search *search;
    struct error e;
    enum search_status status;
    assert_int_equal(search_open(&search, &engine, &options, &e), OK);
    do
        assert_int_equal(search_advance(search, &status, &e), OK);
    while (status != SEARCH_DONE);
    const struct search_tree *tree = search_tree(search);
    assert_int_equal(tree->nodes[1].judgement->judgement.samples, 3);
    assert_null(tree->nodes[1].judgement->judgement.labels[0]);
    assert_true(tree->nodes[1].value == 1.5); /* unreadable, three times */
    assert_int_equal(tree->count, 2);         /* node 1 was grown from a prompt without room for an answer */
    assert_non_null(tree->result);
    search_close(search);
    search_task_close(task);
    engine_empty(&engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tot_value),
        cmocka_unit_test(test_tot_vote), cmocka_unit_test(test_without_thoughts),
        cmocka_unit_test(test_self_consistency),
        cmocka_unit_test(test_every_budget),
        cmocka_unit_test(test_budget_to_the_token),
        cmocka_unit_test(test_prune_in_a_plan),
        cmocka_unit_test(test_prune_cancels),
        cmocka_unit_test(test_acts_under_budgets),
        cmocka_unit_test(test_prune_the_source_of_a_judgement),
        cmocka_unit_test(test_prune_between_samples),
        cmocka_unit_test(test_acts_after_the_end),
        cmocka_unit_test(test_any_acts),
        cmocka_unit_test(test_judged_by_words),
        cmocka_unit_test(test_judged_by_rule),
        cmocka_unit_test(test_judged_by_command),
        cmocka_unit_test(test_other_budgets),
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_too_long_half_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
