/* Thoughts of reasoning models: cut before the words with which the model turns, so that nothing is lost and nothing said twice. */
#include "search/items.h"
#include "search/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define HEAD                                                                                                                                         \
    "name: made\nabout: made\nstrategy: greedy\nproblem: {form: any text}\ncontinues: true\nsteps: 6\nsampling: {temperature: 1}\n"                  \
    "answer: {pattern: 'is (\\w+)', otherwise: text}\nverifier: {kind: text}\n"
#define SAMPLE "sample: {messages: '{problem}', max_tokens: 24}\n"
#define RULE "thoughts:\n  between: [<think>, </think>]\n  cut: [\"\\n\\nWait\", \" But\", \"\\n\\n\"]\n"

static int open_task(struct search_task **task, const char *yaml, struct error *e)
{
    char path[] = "/tmp/espalier_test_XXXXXX.yaml";
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    close(fd);
    int code = search_task_open(task, path, e);
    unlink(path);
    return code;
}

static struct search_task *need_task(const char *yaml)
{
    struct search_task *task = NULL;
    struct error e;
    if (open_task(&task, yaml, &e))
        fail_msg("%s", e.message);
    return task;
}

/* --- by hand ----------------------------------------------------------------------------------------------------- */

static void test_turns(void **state)
{
    (void)state;
    static const struct {
        const char *before, *text;
        size_t turn, out; /* out: SIZE_MAX, still thinking */
    } cases[] = {
        {"", "So 8 * 7 is 54.\n\nWait, no.", 15, SIZE_MAX},
        {"", "So 8 * 7 is 54. But no\n\nWait", 15, SIZE_MAX}, /* the first turn, whichever it is */
        {"", "nothing turns here", 18, SIZE_MAX},
        {"", "Wait \n\nthere", 5, SIZE_MAX},
        {"", "56.\n</think>\n\nIt is 56.", 4, 12},
        {"56.", "</think>\n\nIt is 56. But\n\nWait", 0, 8},
        {"56.</think>\n\nIt", " is 56. But\n\nWait", 17, 0}, /* an answer is not cut */
        {"56.</thi", "nk>\n\nIt is 56.", 3, 3},              /* a tag that was cut in two is one all the same */
        {"", "", 0, SIZE_MAX},
    };
    struct search_task *task = need_task(HEAD SAMPLE RULE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct search_path path = {.thoughts = &cases[i].before, .count = *cases[i].before != '\0'};
        assert_int_equal(search_task_turn(task, &path, cases[i].text), cases[i].turn);
        assert_int_equal(search_task_thought_out(task, &path, cases[i].text), cases[i].out);
    }
    search_task_close(task);
}

/* What a model takes for the answer while it thinks is none. */
static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *before, *thought;
        int ended, final;
        const char *answer;
    } cases[] = {
        {"", "The answer is 54.", 0, 0, NULL},
        {"", "\n\nWait", 0, 0, NULL},
        {"", "", 0, 0, NULL},
        {"It is 56.", "</think>\n\nThe answer is 56.", 0, 1, "56"},
        {"</think>", "So the answer is 56", 1, 1, "56"},
        {"", "The answer is 54, it is 56", 1, 1, "56"}, /* it never says that it is done */
    };
    struct search_task *task = need_task(HEAD SAMPLE RULE);
    struct search_problem problem = {.text = "8 * 7?"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct search_path path = {.problem = &problem, .thoughts = &cases[i].before, .count = *cases[i].before != '\0', .ended = cases[i].ended};
        struct search_verdict v;
        search_task_verify(task, &path, cases[i].thought, &v);
        assert_false(v.illegal);
        assert_int_equal(v.final, cases[i].final);
        if (cases[i].answer)
            assert_string_equal(v.answer ? v.answer : "none", cases[i].answer);
        else
            assert_null(v.answer);
        search_verdict_free(&v);
    }
    search_task_close(task);
}

/* --- whole searches: a model of noise, cut at common letters ------------------------------------------------------ */

static const char noise[] = HEAD SAMPLE "thoughts: {between: ['<', '>'], cut: [\"e\", \"th\", \" a\", \"1\", \"\\n\"]}\n";
static const char *const turns[] = {">", "e", "th", " a", "1", "\n"};

static void path_texts(const struct search_tree *tree, int node, struct string *thoughts, struct string *written)
{
    if (node <= 0)
        return;
    path_texts(tree, tree->nodes[node].parent, thoughts, written);
    string_add(thoughts, search_node_text(tree, node));
    if (tree->nodes[node].completion)
        string_add(written, tree->nodes[node].completion->completion.text);
}

/* The same as bytes of tokens, which an event's text shows only where they are UTF-8. */
static void path_bytes(const struct search_tree *tree, const struct engine *engine, int node, struct string *out)
{
    if (node <= 0)
        return;
    const struct search_event *completion = tree->nodes[node].completion;
    path_bytes(tree, engine, tree->nodes[node].parent, out);
    for (int i = 0; completion && i < completion->completion.count; i++)
        engine_detokenize(engine, &completion->completion.tokens[i].id, 1, 0, out);
}

static int begins_with_turn(const char *text)
{
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
        if (!strncmp(text, turns[i], strlen(turns[i])))
            return 1;
    return 0;
}

/* The thoughts of each path are what was written, up to the turn with which the next begins; what is asked goes on from all of it. */
static int check(const struct search_tree *tree, const struct engine *engine)
{
    int more = 0;
    for (int node = 1; node < tree->count; node++) {
        struct string thoughts = {0}, written = {0};
        path_texts(tree, node, &thoughts, &written);
        assert_true(written.length >= thoughts.length && !memcmp(string_text(&written), string_text(&thoughts), thoughts.length));
        const char *rest = string_text(&written) + thoughts.length;
        assert_true(!*rest || begins_with_turn(rest));
        more += *rest != '\0';
        string_free(&thoughts);
        string_free(&written);
    }
    const struct search_event *plan = NULL;
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *event = tree->events[i];
        plan = event->kind == SEARCH_EVENT_PLAN ? event : plan;
        if (event->kind != SEARCH_EVENT_COMPLETION || event->completion.sample || plan->plan.items[event->completion.item].purpose != SEARCH_SAMPLE)
            continue;
        const struct search_item *item = &plan->plan.items[event->completion.item];
        struct string asked = {0}, path = {0};
        engine_detokenize(engine, event->completion.prompt, event->completion.prompt_count, 0, &asked);
        string_add(&path, "<\n");
        path_bytes(tree, engine, item->nodes[0], &path);
        if (!item->fork && (asked.length < path.length || memcmp(asked.text + asked.length - path.length, path.text, path.length)))
            fail_msg("node %d: the prompt does not end with «%s»", item->nodes[0], path.text);
        string_free(&asked);
        string_free(&path);
    }
    return more;
}

static struct engine *open_engine(void)
{
    struct engine *engine;
    struct error e;
    if (engine_open(&engine, &(struct engine_options){.model = "tests/reference/tiny/tiny-q8_0.gguf", .threads = 1}, &e))
        fail_msg("%s", e.message);
    return engine;
}

static struct search *open_search(struct engine *engine, const struct search_task *task, const char *strategy)
{
    struct search *search;
    struct error e;
    struct search_options options = {
        .task = task, .problem = "what grows here?", .strategy = strategy, .seed = 3, .sampling = {-1, -1, -1, -1, -1}, .budget_tokens = 3000};
    if (search_open(&search, engine, &options, &e))
        fail_msg("%s", e.message);
    return search;
}

static void advance(struct search *search, int calls)
{
    enum search_status status = SEARCH_WORKING;
    struct error e;
    while (status != SEARCH_DONE && calls--)
        if (search_advance(search, &status, &e))
            fail_msg("%s", e.message);
}

static void test_every_strategy(void **state)
{
    (void)state;
    static const char *const strategies[] = {"greedy",
                                             "sample",
                                             "self-consistency,m=4",
                                             "best-of-n,n=4,evaluate=likelihood",
                                             "beam,n=4,m=2,evaluate=likelihood",
                                             "dvts,n=4,m=2,evaluate=likelihood",
                                             "tot,b=2,generate=sample,n_generate_sample=3,evaluate=likelihood",
                                             "tot-dfs,generate=sample,n_generate_sample=2,evaluate=likelihood,first=0",
                                             "mcts,generate=sample,evaluate=likelihood",
                                             "ab-mcts,evaluate=likelihood"};
    struct engine *engine = open_engine();
    struct search_task *task = need_task(noise);
    for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++) {
        struct search *search = open_search(engine, task, strategies[i]);
        advance(search, 100000);
        const struct search_tree *tree = search_tree(search);
        int turned = check(tree, engine), deep = 0;
        for (int node = 1; node < tree->count; node++)
            deep = tree->nodes[node].depth > deep ? tree->nodes[node].depth : deep;
        print_message("%s: %d thoughts, %d end at a turn, %d deep\n", strategies[i], tree->count - 1, turned, deep);
        assert_true(deep > 1 && turned > 0);
        search_close(search);
    }
    search_task_close(task);
    engine_close(engine);
}

/* What the user writes stands after the thought before, not after the turn with which the model's next one would have begun. */
static void test_own_thoughts(void **state)
{
    (void)state;
    struct engine *engine = open_engine();
    struct search_task *task = need_task(noise);
    struct search *search = open_search(engine, task, "beam,n=4,m=2,evaluate=likelihood");
    const struct search_tree *tree = search_tree(search);
    struct error e;
    int parent = 0, edited = 0, seen = 0;
    while (!edited && tree->event_count < 200) {
        advance(search, 1);
        for (int node = 1; node < tree->count && !edited; node++) {
            parent = tree->nodes[node].parent;
            if (tree->nodes[node].depth == 2 && tree->nodes[parent].completion->completion.ending == ENGINE_END_STOP)
                edited = node;
        }
    }
    assert_true(edited);
    if (search_edit(search, edited, "MINE", &e))
        fail_msg("%s", e.message);
    int own = tree->count - 1;
    assert_string_equal(search_node_text(tree, own), "MINE");
    if (search_again(search, own, &e))
        fail_msg("%s", e.message);
    advance(search, 100000);
    const struct search_event *plan = NULL, *before = tree->nodes[parent].completion, *thought = tree->nodes[parent].thought;
    struct string end = {0};
    string_add(&end, "<\n");
    for (int i = 0; i < thought->thought.first + thought->thought.count; i++)
        engine_detokenize(engine, &before->completion.tokens[i].id, 1, 0, &end);
    string_add(&end, "MINE");
    for (int64_t i = 0; i < tree->event_count; i++) {
        const struct search_event *event = tree->events[i];
        plan = event->kind == SEARCH_EVENT_PLAN ? event : plan;
        if (event->kind != SEARCH_EVENT_COMPLETION || event->completion.sample || plan->plan.items[event->completion.item].purpose != SEARCH_SAMPLE ||
            plan->plan.items[event->completion.item].nodes[0] != own)
            continue;
        struct string asked = {0};
        engine_detokenize(engine, event->completion.prompt, event->completion.prompt_count, 0, &asked);
        assert_true(asked.length >= end.length && !memcmp(asked.text + asked.length - end.length, end.text, end.length));
        string_free(&asked);
        seen++;
    }
    assert_true(seen);
    string_free(&end);
    search_close(search);
    search_task_close(task);
    engine_close(engine);
}

/* Whether the model is told not to think: by the task, or by a section against it. */
static void test_thinking(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        int sample, words;
    } cases[] = {
        {"", 0, 0},
        {"thinking: false\n", 1, 1},
        {"thinking: true\n", 0, 0},
        {"thinking: false\nself-evaluation: {messages: x, words: [a, b], thinking: true}\n", 1, 0},
        {"self-evaluation: {messages: x, words: [a, b], thinking: false}\n", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *yaml = xasprintf(HEAD SAMPLE "%s%s", cases[i].yaml,
                               strstr(cases[i].yaml, "self-") ? "" : "self-evaluation: {messages: x, words: [a, b]}\n");
        struct search_task *task = need_task(yaml);
        assert_int_equal(search_task_brief(task, SEARCH_SAMPLE), cases[i].sample);
        assert_int_equal(search_task_brief(task, SEARCH_SELF_EVALUATION), cases[i].words);
        search_task_close(task);
        free(yaml);
    }
}

/* --- rules that are wrong ---------------------------------------------------------------------------------------- */

static void test_wrong_rules(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *why;
    } cases[] = {
        {HEAD SAMPLE "thoughts: 7\n", "11:11: "},
        {HEAD SAMPLE "thoughts: {cut: [a]}\n", "11:11: `between` is missing"},
        {HEAD SAMPLE "thoughts: {between: [a, b]}\n", "11:11: `cut` is missing"},
        {HEAD SAMPLE "thoughts: {between: [a, b], cut: [c], at: d}\n", "11:39: unknown key `at`; known here: between, cut"},
        {HEAD SAMPLE "thoughts: {between: [a], cut: [c]}\n", "11:21: expected the words before and after the thoughts, as in [<think>, </think>]"},
        {HEAD SAMPLE "thoughts: {between: [a, ''], cut: [c]}\n", "11:25: an empty text is everywhere; expected words"},
        {HEAD SAMPLE "thoughts: {between: [a, b], cut: c}\n", "11:34: expected a list of the words with which a thought begins"},
        {HEAD SAMPLE "thoughts: {between: [a, b], cut: []}\n", "11:34: expected a list of the words"},
        {HEAD SAMPLE "thoughts: {between: [a, b], cut: [c, '']}\n", "11:38: an empty text is everywhere; expected words"},
        {HEAD SAMPLE "thoughts: {between: [a, b], cut: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}\n", "11:71: more than 15 words to cut at"},
        {HEAD "sample: {messages: x, max_tokens: 9, stops: [y]}\n" RULE, "12:3: `thoughts` cuts what is sampled; expected a `sample:` without stops"},
        {HEAD "thinking: false\n" SAMPLE RULE, "13:3: `thoughts` cuts what is thought, and with `thinking: false` nothing is"},
        {HEAD "sample: {messages: x, max_tokens: 9, thinking: 3}\n", "10:48: "},
        {HEAD SAMPLE "propose: {messages: x, max_tokens: 9}\n" RULE, "13:3: `thoughts` cuts what is sampled"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct search_task *task;
        struct error e = {0};
        assert_int_equal(open_task(&task, cases[i].yaml, &e), ERROR_INPUT);
        if (!strstr(e.message, cases[i].why) || strchr(e.message, '\n'))
            fail_msg("case %zu: expected «%s», got «%s»", i, cases[i].why, e.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns), cmocka_unit_test(test_thinking),        cmocka_unit_test(test_answers),     cmocka_unit_test(test_every_strategy),
        cmocka_unit_test(test_own_thoughts), cmocka_unit_test(test_wrong_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
