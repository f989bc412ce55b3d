/* Searches with adapters: how they are named, that each search of a race has its own, that attaching, weighing and leaving out are acts
 * that the log says and undo takes back, and that a session goes on with the same bytes or says why not.
 *
 * Run from the root of the repository. */
#include "search/adapters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define ADAPTERS "tests/reference/adapters/"
static const char model[] = "tests/reference/tiny/tiny-f32.gguf";

static struct engine *engine;
static struct search_task *task;

/* --- names ------------------------------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path;
        float weight;
    } good[] = {
        {"a.gguf", "a.gguf", 1}, {"a.gguf:0.5", "a.gguf", 0.5f}, {"a:-2e-1", "a", -0.2f}, {"a:b", "a:b", 1},       {"c:/x:3", "c:/x", 3},
        {"a:1:2", "a:1", 2},     {"a:", "a:", 1},                {"a:0", "a", 0},         {"a: b:1x", "a: b:1x", 1}, {":5", ":5", 1},
    };
    char *path;
    float weight;
    struct error e;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(search_adapter_parse(good[i].text, &path, &weight, &e), OK);
        assert_string_equal(path, good[i].path);
        assert_true(weight == good[i].weight);
        free(path);
    }
    assert_int_equal(search_adapter_parse("", &path, &weight, &e), ERROR_USAGE);
    assert_int_equal(search_adapter_parse("a:nan", &path, &weight, &e), ERROR_USAGE);
    assert_int_equal(search_adapter_parse("a:1e99", &path, &weight, &e), ERROR_USAGE);

    struct search_adapter *list, some[] = {{"a,b:2", 1, 0}, {"c\\d", 0.1f, 0}, {"e", -3, 0}, {"f", 1, 0}};
    struct string spec = {0};
    int count, given;
    string_add(&spec, "tot,b=5");
    search_adapters_append(&spec, some, 4);
    assert_string_equal(spec.text, "tot,b=5,adapter=a\\,b:2:1,adapter=c\\\\d:0.1,adapter=e:-3,adapter=f");
    assert_int_equal(search_adapters_of(spec.text, &list, &count, &given, &e), OK);
    assert_int_equal(count, 4);
    for (int i = 0; i < 4; i++)
        assert_true(!strcmp(list[i].path, some[i].path) && list[i].weight == some[i].weight);
    search_adapters_free(list, count);
    assert_int_equal(search_strategy_check(spec.text, &e), OK);
    assert_int_equal(search_strategy_check("tot,adapter=,b=5", &e), ERROR_USAGE);
    assert_int_equal(search_strategy_check("tot,adapter", &e), ERROR_USAGE);
    string_free(&spec);

    static const char *const typed[] = {"x,y:2", "z"};
    char *out;
    assert_int_equal(search_strategy_adapted("tot,b=5", typed, 2, &out, &e), OK);
    assert_string_equal(out, "tot,b=5,adapter=x\\,y:2,adapter=z");
    free(out);
    assert_int_equal(search_strategy_adapted("tot,adapter=none,b=5", typed, 2, &out, &e), OK);
    assert_string_equal(out, "tot,adapter=none,b=5");
    assert_int_equal(search_adapters_of(out, &list, &count, &given, &e), OK);
    assert_true(!count && given);
    free(out);
}

/* --- searches ---------------------------------------------------------------------------------------------------- */

static void take_event(void *context, struct search_event *event)
{
    search_event_json(event, NULL, context);
}

static struct search *begin(const char *strategy, struct string *log)
{
    struct search *search;
    struct error e;
    struct search_options options = {.task = task, .problem = "count", .strategy = strategy, .seed = 3, .sampling = {-1, -1, -1, -1, -1},
                                     .sink = take_event, .context = log};
    if (search_open(&search, engine, &options, &e))
        fail_msg("%s", e.message);
    return search;
}

static void advance(struct search *search, int64_t events)
{
    enum search_status status = SEARCH_WORKING;
    struct error e;
    while (status != SEARCH_DONE && search_tree(search)->event_count < events)
        if (search_advance(search, &status, &e))
            fail_msg("%s", e.message);
}

static void act(struct search *search, const char *words)
{
    struct error e;
    if (search_do(search, words, &e))
        fail_msg("%s: %s", words, e.message);
}

static const char *const racers[] = {
    "self-consistency,m=4", "self-consistency,m=4,adapter=" ADAPTERS "plain", "self-consistency,m=4,adapter=" ADAPTERS "plain:-1",
    "self-consistency,m=4,adapter=" ADAPTERS "plain:0.5,adapter=" ADAPTERS "other",
};
enum { RACERS = 4 };

/* Everything after the first line, which says what it is of. */
static const char *rest_of(const struct string *log)
{
    return strchr(string_text(log), '\n');
}

static void test_race(void **state)
{
    (void)state;
    struct string alone[RACERS] = {{0}}, together[RACERS] = {{0}};
    struct search *searches[RACERS], *moved;
    struct search_group *group = search_group_open();
    enum search_status status;
    struct error e;
    for (int i = 0; i < RACERS; i++) {
        struct search *search = begin(racers[i], &alone[i]);
        advance(search, INT64_MAX);
        search_close(search);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(rest_of(&alone[i]), rest_of(&alone[k]));
        searches[i] = begin(racers[i], &together[i]);
        search_group_add(group, searches[i]);
    }
    assert_null(strstr(alone[0].text, "adapter"));
    assert_non_null(strstr(alone[2].text, "\"adapters\":[{\"path\":\"" ADAPTERS "plain\",\"weight\":-1"));
    do
        assert_int_equal(search_group_advance(group, &moved, &status, &e), OK);
    while (moved || status != SEARCH_DONE);
    search_group_close(group);
    for (int i = 0; i < RACERS; i++) {
        assert_string_equal(alone[i].text, together[i].text);
        search_close(searches[i]);
        string_free(&alone[i]);
        string_free(&together[i]);
    }
}

/* The same acts at the same places, the search closed and opened again after so many events (-1: never). */
static void acted(struct string *log, int64_t reopened)
{
    static const struct {
        int64_t at;
        const char *words;
    } acts[] = {{6, "adapter " ADAPTERS "plain"}, {14, "adapter " ADAPTERS "plain:0.25"}, {18, "undo"},
                {22, "set strategy=self-consistency,m=6"}, {30, "adapter none"}, {36, "undo"}};
    struct search *search = begin("self-consistency,m=5", log);
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (reopened >= 0 && acts[i].at > reopened) {
            const struct search_tree *tree = search_tree(search);
            struct search_event **events = xcalloc((size_t)tree->event_count, sizeof *events);
            const int64_t count = tree->event_count;
            struct error e;
            for (int64_t k = 0; k < count; k++)
                events[k] = search_event_keep(tree->events[k]);
            search_close(search);
            engine_close(engine);
            assert_int_equal(engine_open(&engine, &(struct engine_options){.model = model, .threads = 1}, &e), OK);
            string_clear(log);
            struct search_options options = {.task = task, .sink = take_event, .context = log};
            if (search_open_again(&search, engine, &options, events, count, &e))
                fail_msg("%s", e.message);
            for (int64_t k = 0; k < count; k++)
                search_event_release(events[k]);
            free(events);
            reopened = -1;
        }
        advance(search, acts[i].at);
        act(search, acts[i].words);
    }
    advance(search, INT64_MAX);
    search_close(search);
}

static void test_acts(void **state)
{
    (void)state;
    struct string log = {0}, again = {0};
    acted(&log, -1);
    const char *first = strstr(log.text, "\"event\":\"setting\"");
    assert_non_null(first);
    assert_non_null(strstr(first, "\"weight\":0.25"));
    assert_non_null(strstr(log.text, "\"self-consistency,m=6,adapter=" ADAPTERS "plain\""));
    for (int64_t at = 5; at < 36; at += 6) {
        string_clear(&again);
        acted(&again, at);
        assert_string_equal(again.text, log.text);
    }
    string_free(&log);
    string_free(&again);

    struct search *search = begin("greedy", &log);
    struct error e;
    assert_int_equal(search_do(search, "adapter none", &e), ERROR_INPUT);
    assert_int_equal(search_do(search, "adapter", &e), ERROR_USAGE);
    assert_int_equal(search_do(search, "adapter " ADAPTERS "nothing", &e), ERROR_INPUT);
    assert_int_equal(search_do(search, "adapter " ADAPTERS "rslora", &e), ERROR_INPUT); /* of another model */
    act(search, "adapter " ADAPTERS "plain:2");
    act(search, "adapter " ADAPTERS "other");
    assert_int_equal(search_tree(search)->session->session.adapter_count, 2);
    act(search, "adapter " ADAPTERS "plain:0");
    assert_int_equal(search_tree(search)->session->session.adapter_count, 1);
    act(search, "undo");
    assert_int_equal(search_tree(search)->session->session.adapter_count, 2);
    search_close(search);
    string_free(&log);
}

/* Other bytes under the name than the log says, or none. */
static void test_changed(void **state)
{
    (void)state;
    struct string log = {0};
    char path[] = "/tmp/espalier-adapted-XXXXXX", *spec, *command;
    close(mkstemp(path));
    command = xasprintf("cp " ADAPTERS "plain.gguf %s", path);
    assert_int_equal(system(command), 0);
    free(command);
    spec = xasprintf("greedy,adapter=%s", path);
    struct search *search = begin(spec, &log);
    advance(search, 4);
    struct search_event *events[4];
    for (int i = 0; i < 4; i++)
        events[i] = search_event_keep(search_tree(search)->events[i]);
    search_close(search);
    for (int round = 0; round < 3; round++) { /* as it was; another; gone */
        struct engine *fresh;
        struct error e;
        struct search_options options = {.task = task};
        assert_int_equal(engine_open(&fresh, &(struct engine_options){.model = model, .threads = 1}, &e), OK);
        if (round == 1) {
            FILE *f = fopen(path, "r+b");
            assert_true(f && !fseek(f, -64, SEEK_END) && fputc(1, f) == 1 && !fclose(f));
        }
        if (round == 2)
            unlink(path);
        assert_int_equal(search_open_again(&search, fresh, &options, events, 4, &e), round ? ERROR_INPUT : OK);
        if (round)
            assert_non_null(strstr(e.message, round == 1 ? "is not as it was" : "cannot open"));
        search_close(search);
        engine_close(fresh);
    }
    for (int i = 0; i < 4; i++)
        search_event_release(events[i]);
    free(spec);
    string_free(&log);
}

static int set_up(void **state)
{
    (void)state;
    struct error e;
    return engine_open(&engine, &(struct engine_options){.model = model, .threads = 1}, &e) || search_task_open(&task, "tests/tiny.yaml", &e);
}

static int tear_down(void **state)
{
    (void)state;
    search_task_close(task);
    engine_close(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_race),
        cmocka_unit_test(test_acts),
        cmocka_unit_test(test_changed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
