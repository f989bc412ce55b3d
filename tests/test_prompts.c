/* Which of a task's prompts a model is asked with: as its file says, as the user says; and a session goes on with those it was begun with. Run
 * from the root of the repository. */
#include "search/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "gguf_writer.h"

static const char plain_model[] = "tests/reference/tiny/tiny-q8_0.gguf";
static char *trained_model, *task_path, *bare_task_path; /* in /tmp */

static const char plain_text[] =
    "name: made\nabout: made\nstrategy: greedy\nproblem: {form: any text}\nsteps: 3\nsampling: {temperature: 0.5}\n"
    "answer: {pattern: '([0-9])', otherwise: text}\nverifier: {kind: text}\n"
    "sample: {messages: 'long {problem}', max_tokens: 9}\n"
    "value: {messages: 'judge {last}', max_tokens: 4, unreadable: 0, labels: {good: 3, bad: 0.1}}\n";
static const char trained_text[] =
    "trained:\n  strategy: best-of-n,n=3\n  sampling: {temperature: 1}\n  sample: {messages: \"{problem}?\\n\", stops: [x], max_tokens: 3}\n";

/* --- files ------------------------------------------------------------------------------------------------------- */

static char *write_file(const char *suffix, const char *bytes, size_t n)
{
    char *path = xasprintf("/tmp/espalier_prompts_XXXXXX%s", suffix);
    int fd = mkstemps(path, (int)strlen(suffix));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    close(fd);
    return path;
}

/* The tiny model with a key more. What is put in is 64 bytes, so that the weights stay aligned as they were. */
static char *write_trained_model(void)
{
    struct string file = {0}, keys = {0}, all = {0};
    char buffer[65536];
    FILE *f = fopen(plain_model, "rb");
    assert_non_null(f);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0;)
        string_append(&file, buffer, n);
    fclose(f);
    put_key_text(&keys, "espalier.prompts", "trained");
    put_number(&keys, "espalier", PUT_U8, 1, 1);
    assert_int_equal(keys.length, 64);
    string_append(&all, file.text, 16);
    put(&all, (uint64_t)(unsigned char)file.text[16] + 2, 8);
    string_append(&all, keys.text, keys.length);
    string_append(&all, file.text + 24, file.length - 24);
    char *path = write_file(".gguf", all.text, all.length);
    string_free(&file);
    string_free(&keys);
    string_free(&all);
    return path;
}

static int make_files(void **state)
{
    (void)state;
    struct string both = {0};
    string_addf(&both, "%s%s", plain_text, trained_text);
    trained_model = write_trained_model();
    task_path = write_file(".yaml", both.text, both.length);
    bare_task_path = write_file(".yaml", plain_text, sizeof plain_text - 1);
    string_free(&both);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    char *paths[] = {trained_model, task_path, bare_task_path};
    for (int i = 0; i < 3; i++) {
        unlink(paths[i]);
        free(paths[i]);
    }
    return 0;
}

/* --- searches ---------------------------------------------------------------------------------------------------- */

struct log {
    struct search_event *events[64];
    int count;
};

static void take(void *context, struct search_event *event)
{
    struct log *log = context;
    assert_true(log->count < 64);
    log->events[log->count++] = search_event_keep(event);
}

static void forget(struct log *log)
{
    for (int i = 0; i < log->count; i++)
        search_event_release(log->events[i]);
    log->count = 0;
}

static struct engine *open_model(const char *path)
{
    struct engine *engine;
    struct error e;
    if (engine_open(&engine, &(struct engine_options){.model = path, .threads = 1}, &e))
        fail_msg("%s", e.message);
    return engine;
}

static struct search_task *open_task(const char *path)
{
    struct search_task *task;
    struct error e;
    if (search_task_open(&task, path, &e))
        fail_msg("%s", e.message);
    return task;
}

static void finish(struct search *search)
{
    enum search_status status = SEARCH_WORKING;
    struct error e;
    while (status != SEARCH_DONE)
        if (search_advance(search, &status, &e))
            fail_msg("%s", e.message);
    search_close(search);
}

/* The first completion of a log, of those that judge or of those that do not: its prompt as text, without the names of tokens. */
static char *asked(const struct log *log, const struct engine *engine, int judge)
{
    struct string text = {0};
    for (int i = 0; i < log->count && !text.length; i++)
        if (log->events[i]->kind == SEARCH_EVENT_COMPLETION && log->events[i]->completion.judge == judge)
            engine_detokenize(engine, log->events[i]->completion.prompt, log->events[i]->completion.prompt_count, 0, &text);
    assert_non_null(text.text);
    return text.text;
}

/* strategy: NULL for the default. */
static void run_by(struct log *log, const char *strategy, const char *model, const char *judge, const char *task_file, enum search_prompts prompts)
{
    struct engine *engine = open_model(model), *judges = judge ? open_model(judge) : NULL;
    struct search_task *task = open_task(task_file);
    struct search *search;
    struct error e;
    struct search_options options = {.task = task, .problem = "ab", .strategy = strategy, .seed = 3, .sampling = {-1, -1, -1, -1, -1}, .judge = judges,
                                     .prompts = prompts, .sink = take, .context = log};
    if (search_open(&search, engine, &options, &e))
        fail_msg("%s", e.message);
    finish(search);
    search_task_close(task);
    engine_close(judges);
    engine_close(engine);
}

static void run(struct log *log, const char *model, const char *judge, const char *task_file, enum search_prompts prompts)
{
    run_by(log, "best-of-n,n=2", model, judge, task_file, prompts);
}

static void test_the_models_file_says_which(void **state)
{
    (void)state;
    const struct {
        const char *model, *judge, *task;
        enum search_prompts prompts;
        int trained, judge_trained;
        const char *asked;
        float temperature;
    } rows[] = {
        {plain_model, NULL, task_path, SEARCH_PROMPTS_AUTO, 0, 0, "long ab", .5f},
        {trained_model, NULL, task_path, SEARCH_PROMPTS_AUTO, 1, 0, "ab?\n", 1},
        {trained_model, NULL, bare_task_path, SEARCH_PROMPTS_AUTO, 0, 0, "long ab", .5f}, /* it has no others */
        {trained_model, NULL, task_path, SEARCH_PROMPTS_PLAIN, 0, 0, "long ab", .5f},
        {plain_model, NULL, task_path, SEARCH_PROMPTS_TRAINED, 1, 0, "ab?\n", 1},
        {plain_model, trained_model, task_path, SEARCH_PROMPTS_AUTO, 0, 1, "long ab", .5f}, /* each by its own file */
        {trained_model, plain_model, task_path, SEARCH_PROMPTS_AUTO, 1, 0, "ab?\n", 1},
    };
    struct engine *vocabulary = open_model(plain_model);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct log log = {.count = 0};
        run(&log, rows[i].model, rows[i].judge, rows[i].task, rows[i].prompts);
        const struct search_setting *s = &log.events[0]->session;
        char *text = asked(&log, vocabulary, 0);
        assert_int_equal(s->trained, rows[i].trained);
        assert_int_equal(s->judge_trained, rows[i].judge_trained);
        assert_true(s->sampling.temperature == rows[i].temperature);
        if (!strstr(text, rows[i].asked))
            fail_msg("row %d: asked with '%s'", (int)i, text);
        free(text);
        forget(&log);
    }
    engine_close(vocabulary);
}

static void test_they_have_a_strategy_of_their_own(void **state)
{
    (void)state;
    const struct {
        const char *model, *task, *strategy;
        enum search_prompts prompts;
    } rows[] = {
        {plain_model, task_path, "greedy", SEARCH_PROMPTS_AUTO},
        {trained_model, task_path, "best-of-n,n=3", SEARCH_PROMPTS_AUTO},
        {trained_model, task_path, "greedy", SEARCH_PROMPTS_PLAIN},
        {plain_model, task_path, "best-of-n,n=3", SEARCH_PROMPTS_TRAINED},
        {trained_model, bare_task_path, "greedy", SEARCH_PROMPTS_AUTO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct log log = {.count = 0};
        run_by(&log, NULL, rows[i].model, NULL, rows[i].task, rows[i].prompts);
        assert_memory_equal(log.events[0]->session.strategy, rows[i].strategy, strlen(rows[i].strategy));
        forget(&log);
    }
}

static void test_the_file_is_read_whole_or_for_its_tokens(void **state)
{
    (void)state;
    for (int only = 0; only < 2; only++) {
        struct engine *engine;
        struct error e;
        assert_int_equal(engine_open(&engine, &(struct engine_options){.model = trained_model, .threads = 1, .vocabulary_only = only}, &e), OK);
        assert_string_equal(engine_info(engine)->prompts, "trained");
        engine_close(engine);
        assert_int_equal(engine_open(&engine, &(struct engine_options){.model = plain_model, .threads = 1, .vocabulary_only = only}, &e), OK);
        assert_string_equal(engine_info(engine)->prompts, "");
        engine_close(engine);
    }
}

/* The log's own prompts, though the file that is given now says otherwise: the same events to the end. */
static void test_a_session_keeps_its_prompts(void **state)
{
    (void)state;
    for (int trained = 0; trained < 2; trained++) {
        struct log whole = {.count = 0}, again = {.count = 0};
        run(&whole, trained ? trained_model : plain_model, NULL, task_path, SEARCH_PROMPTS_AUTO);
        struct engine *other = open_model(trained ? plain_model : trained_model);
        struct search_task *task = open_task(task_path), *bare = open_task(bare_task_path);
        struct search *search;
        struct error e;
        for (int cut = 1; cut < whole.count; cut++) {
            struct search_options options = {.task = task, .sink = take, .context = &again};
            if (whole.events[cut]->kind == SEARCH_EVENT_THOUGHT || whole.events[cut]->kind == SEARCH_EVENT_JUDGEMENT)
                continue; /* committed with what they were read from */
            if (search_open_again(&search, other, &options, whole.events, cut, &e))
                fail_msg("%s", e.message);
            finish(search);
            assert_int_equal(again.count, whole.count);
            for (int i = 0; i < whole.count; i++) {
                struct string a = {0}, b = {0};
                search_event_json(whole.events[i], NULL, &a);
                search_event_json(again.events[i], NULL, &b);
                assert_string_equal(a.text, b.text);
                string_free(&a);
                string_free(&b);
            }
            forget(&again);
        }
        assert_int_equal(search_open_again(&search, other, &(struct search_options){.task = bare}, whole.events, 1, &e), trained ? ERROR_INPUT : OK);
        if (trained)
            assert_non_null(strstr(e.message, "its `trained:` is gone"));
        else
            search_close(search);
        search_task_close(bare);
        search_task_close(task);
        engine_close(other);
        forget(&whole);
    }
}

static void test_trained_prompts_that_are_not_there(void **state)
{
    (void)state;
    struct engine *engine = open_model(plain_model);
    struct search_task *task = open_task(bare_task_path);
    struct search *search;
    struct error e;
    struct search_options options = {.task = task, .problem = "ab", .prompts = SEARCH_PROMPTS_TRAINED, .sampling = {-1, -1, -1, -1, -1}};
    assert_int_equal(search_open(&search, engine, &options, &e), ERROR_USAGE);
    assert_non_null(strstr(e.message, "task made has no prompts for trained models"));
    search_task_close(task);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_models_file_says_which),
        cmocka_unit_test(test_they_have_a_strategy_of_their_own),
        cmocka_unit_test(test_the_file_is_read_whole_or_for_its_tokens),
        cmocka_unit_test(test_a_session_keeps_its_prompts),
        cmocka_unit_test(test_trained_prompts_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
