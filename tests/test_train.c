/* Training: lessons are the tokens that a search would send and want back, in an order that is the seed's; steps go on from a checkpoint
 * as if nothing had been between; what is wrong is said and leaves what was there.
 *
 * Run from the root of the repository. */
#include "search/items.h"
#include "search/lessons.h"
#include "tui/recipe.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const char tiny[] = "tests/reference/tiny/tiny-f32.gguf";
static char folder[] = "/tmp/test_train.XXXXXX";

/* --- small things ------------------------------------------------------------------------------------------------ */

static char *in_folder(const char *name)
{
    return xasprintf("%s/%s", folder, name);
}

static char *write_file(const char *name, const char *text, size_t n)
{
    char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    return path;
}

static struct string read_whole(const char *path)
{
    struct string out = {0};
    char part[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;)
        string_append(&out, part, n);
    fclose(file);
    return out;
}

static struct engine *open_tokens(const char *path)
{
    struct engine *engine;
    struct error e;
    if (engine_open(&engine, &(struct engine_options){.model = path, .vocabulary_only = 1}, &e))
        fail_msg("%s", e.message);
    return engine;
}

/* n sums, each with a number of its own so that no two are alike. */
static char *write_sums(const char *name, int n)
{
    struct string text = {0};
    for (int i = 0; i < n; i++)
        string_addf(&text, "{\"prompt\": \"%d + %d =\\n\", \"completion\": \" %d\"}\n", i, i % 7, i + i % 7);
    char *path = write_file(name, text.text, text.length);
    string_free(&text);
    return path;
}

static struct search_lessons *open_lessons(const struct search_lessons_options *o)
{
    struct search_lessons *lessons;
    struct error e;
    if (search_lessons_open(&lessons, o, &e))
        fail_msg("%s", e.message);
    return lessons;
}

static struct search_lessons_options options_of(const struct engine *engine, const struct search_lesson_source *sources, int count)
{
    return (struct search_lessons_options){.engine = engine, .sources = sources, .count = count, .longest = 128, .seed = 3};
}

/* A lesson as text: what is learned is between [ and ]. */
static char *shown(const struct engine *engine, struct engine_document d)
{
    struct string out = {0};
    for (int i = 0, on = 0; i <= d.count; i++) {
        const int learned = i < d.count && d.learned[i];
        if (learned != on)
            string_add(&out, learned ? "[" : "]");
        on = learned;
        if (i < d.count)
            engine_detokenize(engine, &d.tokens[i], 1, 1, &out);
    }
    return out.text;
}

/* --- the schedule ------------------------------------------------------------------------------------------------ */

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12))
        fail_msg("%.15g is not %.15g", a, b);
}

static void test_schedule(void **state)
{
    (void)state;
    struct search_training_options o = {.rate = 2, .schedule = SEARCH_SCHEDULE_COSINE, .warm_up = 10, .floor = 0.1};
    const double share = 1.0 / 110; /* ten steps rise, a hundred fall */
    assert_near(search_training_rate(&o, 0, 0, share), 0.2);
    assert_near(search_training_rate(&o, 4, 4 * share, share), 1);
    assert_near(search_training_rate(&o, 9, 9 * share, share), 2);
    assert_near(search_training_rate(&o, 10, 10 * share, share), 2);
    assert_near(search_training_rate(&o, 60, 60 * share, share), 2 * (0.1 + 0.9 * 0.5));
    assert_near(search_training_rate(&o, 110, 1, share), 0.2);
    o.schedule = SEARCH_SCHEDULE_LINEAR;
    assert_near(search_training_rate(&o, 35, 35 * share, share), 2 * (0.1 + 0.9 * 0.75));
    o.schedule = SEARCH_SCHEDULE_CONSTANT;
    assert_near(search_training_rate(&o, 4, 4 * share, share), 1);
    assert_near(search_training_rate(&o, 109, 109 * share, share), 2);
    o = (struct search_training_options){.rate = 1, .schedule = SEARCH_SCHEDULE_LINEAR, .warm_up = 0.25};
    assert_near(search_training_rate(&o, 0, 0, 0.125), 0.5); /* a quarter of eight steps is two */
    assert_near(search_training_rate(&o, 1, 0.125, 0.125), 1);
    assert_near(search_training_rate(&o, 5, 0.625, 0.125), 0.5);
    o.warm_up = 0;
    assert_near(search_training_rate(&o, 0, 0, 0.1), 1);
}

/* --- what lessons are -------------------------------------------------------------------------------------------- */

static struct string said;

/* The lessons of one line, each on a line, through `shown`. */
static const char *read_as(const struct engine *engine, const char *line, int longest, int all)
{
    char *path = write_file("line.jsonl", line, strlen(line));
    const struct search_lesson_source source = {.file = path};
    struct search_lessons_options o = options_of(engine, &source, 1);
    o.longest = longest;
    o.learn_all = all;
    struct search_lessons *lessons = open_lessons(&o);
    struct search_lesson_place place = {0};
    struct search_lesson_list list = {0};
    struct string lines[8] = {{0}};
    const int n = (int)search_lessons_epoch(lessons);
    assert_in_range(n, 1, 8);
    for (int i = 0; i < n; i++)
        search_lessons_draw(lessons, &place, &list);
    /* The order is another test's. */
    string_clear(&said);
    for (int i = 0; i < n; i++) {
        char *text = shown(engine, search_lesson_list_at(&list, i));
        string_add(&lines[i], text);
        free(text);
    }
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++)
            if (strcmp(string_text(&lines[k]), string_text(&lines[i])) < 0) {
                struct string other = lines[i];
                lines[i] = lines[k];
                lines[k] = other;
            }
    for (int i = 0; i < n; i++) {
        string_addf(&said, "%s%s", i ? "|" : "", string_text(&lines[i]));
        string_free(&lines[i]);
    }
    search_lesson_list_free(&list);
    search_lessons_close(lessons);
    free(path);
    return string_text(&said);
}

/* A model of this project's own: <s> before a text, </s> after it, no template. */
static char *new_model(const char *name)
{
    static const char *const tokens[] = {" + ", " = ", "sure", " (left: ", ")\n", ": ", "Answer: "};
    const struct engine_shape shape = {.layers = 1, .width = 16, .heads = 2, .kv_heads = 1, .ff_width = 32, .context = 256, .name = "new",
                                       .tokens = tokens, .token_count = 7, .prompts = "trained"};
    struct error e;
    char *path = in_folder(name);
    if (engine_new_model(path, &shape, 1, &e))
        fail_msg("%s", e.message);
    return path;
}

static void test_plain_lessons(void **state)
{
    (void)state;
    char *path = new_model("new.gguf");
    struct engine *engine = open_tokens(path);
    assert_string_equal(read_as(engine, "{\"prompt\": \"24: 4 6\\n\", \"completion\": \"4 + 6 = 10\\n\"}", 100, 0), "<s>24: 4 6\n[4 + 6 = 10\n</s>]");
    assert_string_equal(read_as(engine, "{\"prompt\": \"24: 4 6\\n\", \"completion\": \"sure\"}", 100, 1), "[<s>24: 4 6\nsure</s>]");
    assert_string_equal(read_as(engine, "\xef\xbb\xbf{\"text\": \"ab\", \"more\": 1}\n\n", 100, 0), "[<s>ab</s>]");
    assert_string_equal(read_as(engine, "{\"text\": \"abcdef\"}", 3, 0), "[<s>ab]|[cde]|[f</s>]");
    /* Without a template turns are joined by blank lines, so a second answer is asked for with other tokens than the first ended in. */
    assert_string_equal(read_as(engine,
                                "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, "
                                "{\"role\": \"user\", \"content\": \"c\"}, {\"role\": \"assistant\", \"content\": \"d\"}]}",
                                100, 0),
                        "<s>a\n\nb\n\nc[d</s>]|<s>a[b</s>]");
    /* The names of control tokens in data are text. */
    assert_string_equal(read_as(engine, "{\"prompt\": \"</s>\", \"completion\": \"<s>\"}", 100, 0), "<s></s>[<s></s>]");
    struct search_lesson_list list = {0};
    search_lesson_make(engine, "</s>", "sure", 0, &list);
    assert_int_equal(search_lesson_list_at(&list, 0).count, 1 + 4 + 1 + 1);
    assert_int_equal(search_lesson_list_at(&list, 0).tokens[6], engine_info(engine)->end_token);
    search_lesson_list_free(&list);
    engine_close(engine);
    free(path);
}

/* A real model's template, where one is: the whole conversation is one lesson, and only what the assistant says is learned. */
static void test_chat_lessons(void **state)
{
    (void)state;
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *given = getenv("ESPALIER_MODEL");
    char *path = given && *given   ? xstrdup(given)
                 : cache && *cache ? xasprintf("%s/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf", cache)
                                   : xasprintf("%s/.cache/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf", home ? home : "");
    const int there = access(path, R_OK) == 0;
    struct engine *engine = there ? open_tokens(path) : NULL;
    free(path);
    if (!there || strcmp(engine_info(engine)->chat_template, "chatml")) {
        engine_close(engine);
        skip();
    }
    assert_string_equal(read_as(engine,
                                "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": \"a\"}, "
                                "{\"role\": \"assistant\", \"content\": \"b\"}, {\"role\": \"user\", \"content\": \"c\"}, "
                                "{\"role\": \"assistant\", \"content\": \"d e\"}]}",
                                100, 0),
                        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>]\n"
                        "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n[d e<|im_end|>]");
    /* A prompt is what engine_chat makes of it for a search. */
    const struct engine_message message = {"user", "What is 8 * 7?"};
    struct engine_tokens asked = {0};
    struct search_lesson_list list = {0};
    engine_chat(engine, &message, 1, 0, &asked);
    search_lesson_make(engine, message.text, "56", 0, &list);
    const struct engine_document d = search_lesson_list_at(&list, 0);
    assert_true(d.count > asked.count && !d.learned[asked.count - 1] && d.learned[asked.count]);
    assert_memory_equal(d.tokens, asked.ids, (size_t)asked.count * sizeof *asked.ids);
    assert_true(engine_token_ends(engine, d.tokens[d.count - 1]));
    search_lesson_list_free(&list);
    engine_tokens_free(&asked);
    engine_close(engine);
}

static void take_prompt(void *context, struct search_event *event)
{
    struct engine_tokens *out = context;
    if (event->kind == SEARCH_EVENT_COMPLETION && !out->count)
        engine_tokens_append(out, event->completion.prompt, event->completion.prompt_count);
}

/* What a search sends for a problem, and what a trace of that problem has as its prompt: the same tokens. */
static void test_training_is_use(void **state)
{
    (void)state;
    char *path = new_model("used.gguf");
    struct engine *engine;
    struct error e;
    assert_int_equal(engine_open(&engine, &(struct engine_options){.model = path, .threads = 1}, &e), OK);
    static const char *const names[] = {"game24", "countdown", "arithmetic-chain"};
    for (int i = 0; i < 3; i++) {
        struct search_task *task;
        struct search_traces *traces;
        struct search_trace trace;
        struct search *search;
        enum search_status status = SEARCH_WORKING;
        struct engine_tokens sent = {0};
        assert_int_equal(search_task_open(&task, names[i], &e), OK);
        assert_int_equal(search_traces_open(&traces, task, SEARCH_SPLIT_TRAIN, 5, NULL, &e), OK);
        search_traces_next(traces, &trace);
        const char *colon = i == 0 ? strstr(trace.prompt, ": ") + 2 : trace.prompt; /* "24: 4 5 6 10\n" is game24's "4 5 6 10" */
        char *problem = xstrndup(colon, strcspn(colon, "\n"));
        struct search_options o = {.task = task, .problem = problem, .strategy = "sample", .seed = 1, .sampling = {-1, -1, -1, -1, -1},
                                   .sink = take_prompt, .context = &sent};
        if (search_open(&search, engine, &o, &e))
            fail_msg("%s: %s", problem, e.message);
        while (status != SEARCH_DONE)
            assert_int_equal(search_advance(search, &status, &e), OK);
        struct search_lesson_list list = {0};
        search_lesson_make(engine, trace.prompt, trace.completion, 0, &list);
        const struct engine_document d = search_lesson_list_at(&list, 0);
        assert_true(sent.count > 1 && d.count > sent.count);
        assert_memory_equal(d.tokens, sent.ids, (size_t)sent.count * sizeof *sent.ids);
        assert_true(!d.learned[sent.count - 1] && d.learned[sent.count]);
        search_lesson_list_free(&list);
        search_close(search);
        engine_tokens_free(&sent);
        free(problem);
        search_traces_close(traces);
        search_task_close(task);
    }
    engine_close(engine);
    free(path);
}

/* --- lines that are wrong ---------------------------------------------------------------------------------------- */

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"{\"prompt\": \"a\", \"completion\": \"b\"", "not valid JSON"},
        {"[1, 2]", "there is no object"},
        {"7", "there is no object"},
        {"{}", "there is nothing in it"},
        {"{\"question\": \"a\", \"answer\": \"b\"}", "there is question, answer"},
        {"{\"prompt\": \"a\"}", "`completion` is missing"},
        {"{\"completion\": \"a\"}", "`prompt` is missing"},
        {"{\"prompt\": 7, \"completion\": \"b\"}", "`prompt` is not a text"},
        {"{\"prompt\": \"a\", \"completion\": \"\"}", "`completion` is empty"},
        {"{\"prompt\": \"a\", \"prompt\": \"a\", \"completion\": \"b\"}", "not valid JSON: duplicate"},
        {"{\"prompt\": \"a\xff\", \"completion\": \"b\"}", "not valid JSON"},
        {"{\"prompt\": \"a\\u0000\", \"completion\": \"b\"}", "not valid JSON"},
        {"{\"text\": \"\"}", "`text` is empty"},
        {"{\"text\": \"a\", \"prompt\": \"b\"}", "expected an object with one of"},
        {"{\"messages\": \"a\"}", "`messages` is not a list"},
        {"{\"messages\": []}", "`messages` is not a list"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", "no message is the assistant's"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"tool\", \"content\": \"b\"}]}", "message 2: role `tool`"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [1]}]}", "message 1: `content` is not a text"},
    };
    struct engine *engine = open_tokens(tiny);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = xasprintf("{\"text\": \"good\"}\n\n%s\n{\"text\": \"good too\"}\n", cases[i].line), *path = write_file("bad.jsonl", text, strlen(text));
        char *where = xasprintf("%s:3: ", path);
        const struct search_lesson_source source = {.file = path};
        struct search_lessons_options o = options_of(engine, &source, 1);
        struct search_lessons *lessons;
        struct error e;
        assert_int_equal(search_lessons_open(&lessons, &o, &e), ERROR_INPUT);
        if (strncmp(e.message, where, strlen(where)) || !strstr(e.message, cases[i].part) || !strstr(e.message, "--skip-bad"))
            fail_msg("%s: %s", cases[i].line, e.message);
        o.skip_bad = 1;
        lessons = open_lessons(&o);
        const struct search_lessons_about *about = search_lessons_about(lessons);
        assert_int_equal(about->lessons, 2);
        assert_int_equal(about->bad, 1);
        assert_true(!strncmp(about->first_bad, where, strlen(where)) && strstr(about->first_bad, cases[i].part));
        search_lessons_close(lessons);
        free(where);
        free(path);
        free(text);
    }
    engine_close(engine);
}

static void refuses(const struct search_lessons_options *o, const char *part)
{
    struct search_lessons *lessons = NULL;
    struct error e;
    if (!search_lessons_open(&lessons, o, &e))
        fail_msg("'%s' was expected", part);
    if (!strstr(e.message, part))
        fail_msg("%s", e.message);
    assert_null(lessons);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct engine *engine = open_tokens(tiny);
    char *empty = write_file("empty.jsonl", "\n \n", 3), *sums = write_sums("few.jsonl", 3);
    struct search_lesson_source source = {.file = "no-such.jsonl"};
    struct search_lessons_options o = options_of(engine, &source, 1);
    refuses(&o, "no-such.jsonl: cannot be read");
    source.file = empty;
    refuses(&o, "there is no lesson in it");
    source.file = sums;
    o.longest = 5;
    refuses(&o, "longer than 5 tokens");
    o.longest = 128;
    o.held_out = 0.9999999;
    refuses(&o, "all lessons are held out");
    source = (struct search_lesson_source){.task = "ask"};
    refuses(&o, "no `trained:` section");
    source = (struct search_lesson_source){.task = "no-such"};
    refuses(&o, "no task 'no-such'");
    o.count = 0;
    refuses(&o, "nothing to learn from");
    free(empty);
    free(sums);
    engine_close(engine);
}

/* --- order ------------------------------------------------------------------------------------------------------- */

static int number_of(const char *text)
{
    return atoi(text + strcspn(text, "0123456789")); /* after the begin token */
}

/* The numbers in front of the sums of so many draws. */
static void draw_numbers(struct search_lessons *lessons, const struct engine *engine, struct search_lesson_place *place, int *out, int n)
{
    struct search_lesson_list list = {0};
    for (int i = 0; i < n; i++) {
        search_lesson_list_clear(&list);
        search_lessons_draw(lessons, place, &list);
        assert_int_equal(list.count, 1);
        char *text = shown(engine, search_lesson_list_at(&list, 0));
        out[i] = number_of(text);
        free(text);
    }
    search_lesson_list_free(&list);
}

static void test_order(void **state)
{
    (void)state;
    enum { N = 50 };
    struct engine *engine = open_tokens(tiny);
    char *path = write_sums("order.jsonl", N);
    const struct search_lesson_source source = {.file = path};
    struct search_lessons_options o = options_of(engine, &source, 1);
    struct search_lessons *lessons = open_lessons(&o);
    struct search_lesson_place place = {0}, middle = {0};
    int order[2 * N], again[2 * N], seen[2][N] = {{0}}, alike = 0, sorted = 1;
    assert_int_equal(search_lessons_epoch(lessons), N);
    draw_numbers(lessons, engine, &place, order, 2 * N);
    assert_int_equal(place.draws, 2 * N);
    for (int i = 0; i < 2 * N; i++)
        seen[i / N][order[i]]++;
    for (int i = 0; i < N; i++) { /* all of them once an epoch, not as they stand in the file, and each epoch otherwise */
        assert_int_equal(seen[0][i], 1);
        assert_int_equal(seen[1][i], 1);
        alike += order[i] == order[N + i];
        sorted = sorted && order[i] == i;
    }
    assert_true(alike < N / 2 && !sorted);
    /* From any place it goes on the same, in other lessons opened alike. */
    draw_numbers(lessons, engine, &middle, again, 33);
    search_lessons_close(lessons);
    lessons = open_lessons(&o);
    draw_numbers(lessons, engine, &middle, again + 33, 2 * N - 33);
    assert_memory_equal(order, again, sizeof order);
    search_lessons_close(lessons);
    o.seed = 4;
    lessons = open_lessons(&o);
    place = (struct search_lesson_place){0};
    draw_numbers(lessons, engine, &place, again, 2 * N);
    assert_memory_not_equal(order, again, sizeof order);
    search_lessons_close(lessons);
    engine_close(engine);
    free(path);
}

static void test_held_out(void **state)
{
    (void)state;
    enum { N = 200 };
    struct engine *engine = open_tokens(tiny);
    char *path = write_sums("held.jsonl", N);
    const struct search_lesson_source source = {.file = path};
    struct search_lessons_options o = options_of(engine, &source, 1);
    o.held_out = 0.25;
    struct search_lessons *lessons = open_lessons(&o);
    const struct search_lesson_list *validation = search_lessons_validation(lessons);
    const int left = (int)search_lessons_epoch(lessons);
    int seen[N] = {0}, *order = xcalloc(N, sizeof *order);
    struct search_lesson_place place = {0};
    assert_int_equal(left + validation->count, N);
    assert_in_range(validation->count, 25, 75);
    draw_numbers(lessons, engine, &place, order, left);
    for (int i = 0; i < left; i++)
        seen[order[i]]++;
    for (int i = 0; i < validation->count; i++) {
        char *text = shown(engine, search_lesson_list_at(validation, i));
        seen[number_of(text)]++;
        free(text);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    search_lessons_close(lessons);
    engine_close(engine);
    free(order);
    free(path);
}

/* Shares of draws are as weights say, and a place is enough to go on. */
static void test_mixture(void **state)
{
    (void)state;
    enum { DRAWS = 400 };
    struct engine *engine = open_tokens(tiny);
    char *one = write_sums("one.jsonl", 10), *two = write_sums("two.jsonl", 20);
    const struct search_lesson_source sources[] = {{.file = one, .weight = 1}, {.file = two, .weight = 2}, {.task = "game24", .weight = 1}};
    struct search_lessons_options o = options_of(engine, sources, 3);
    o.longest = 1000;
    struct search_lessons *lessons = open_lessons(&o), *others;
    struct search_lesson_place place = {0}, kept;
    struct search_lesson_list list = {0}, again = {0};
    assert_int_equal(search_lessons_epoch(lessons), 0);
    for (int i = 0; i < DRAWS; i++) {
        search_lesson_list_clear(&list);
        search_lessons_draw(lessons, &place, &list);
        assert_true(list.count >= 1);
    }
    assert_int_equal(place.of[0] + place.of[1] + place.of[2], DRAWS);
    assert_in_range(place.of[0], 70, 130);
    assert_in_range(place.of[1], 170, 230);
    kept = place;
    others = open_lessons(&o);
    for (int i = 0; i < 30; i++) {
        search_lesson_list_clear(&list);
        search_lesson_list_clear(&again);
        search_lessons_draw(lessons, &place, &list);
        search_lessons_draw(others, &kept, &again);
        assert_int_equal(list.count, again.count);
        assert_int_equal(list.ends[list.count - 1], again.ends[list.count - 1]);
        assert_memory_equal(list.ids, again.ids, list.ends[list.count - 1] * sizeof *list.ids);
        assert_memory_equal(list.learned, again.learned, list.ends[list.count - 1]);
    }
    search_lesson_list_free(&list);
    search_lesson_list_free(&again);
    search_lessons_close(lessons);
    search_lessons_close(others);
    engine_close(engine);
    free(one);
    free(two);
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

struct school {
    struct engine *engine;
    struct search_lessons *lessons;
    struct engine_learner *learner;
    struct search_training *training;
};

static const struct search_training_options usual = {.rows = 96, .rate = 0.01, .schedule = SEARCH_SCHEDULE_COSINE, .warm_up = 0.1, .tokens = 250,
                                                     .steps = 20, .validate_every = 6, .settings = "--a 1\n--b 2\n"};

static struct school open_school(const char *file, const struct search_training_options *with)
{
    struct school s = {.engine = open_tokens(tiny)};
    const struct search_lesson_source source = {.file = file};
    struct search_lessons_options lessons = options_of(s.engine, &source, 1);
    struct search_training_options o = *with;
    struct error e;
    lessons.longest = 60;
    lessons.held_out = 0.1;
    s.lessons = open_lessons(&lessons);
    const struct engine_learner_options learner = {.model = tiny, .rank = 4, .rows = o.rows, .threads = 2, .clip = 1, .seed = 9};
    if (engine_learner_create(&s.learner, &learner, &e))
        fail_msg("%s", e.message);
    o.learner = s.learner;
    o.lessons = s.lessons;
    if (search_training_open(&s.training, &o, &e))
        fail_msg("%s", e.message);
    return s;
}

static void close_school(struct school *s)
{
    search_training_close(s->training);
    engine_learner_free(s->learner);
    search_lessons_close(s->lessons);
    engine_close(s->engine);
}

static struct search_training_figures figures_of(const struct school *s)
{
    struct search_training_figures f;
    search_training_figures(s->training, &f);
    return f;
}

/* Passes until so many steps are done (or all), and `more` passes into the next. */
static void study(struct school *s, int steps, int more)
{
    enum search_training_status status = SEARCH_TRAINING_PASS;
    struct error e;
    while (status != SEARCH_TRAINING_DONE && (figures_of(s).step < steps || more-- > 0))
        if (search_training_advance(s->training, &status, &e))
            fail_msg("%s", e.message);
}

static struct string weights_of(const struct school *s)
{
    struct string out = {0};
    struct engine_parameter p;
    for (int i = 0; engine_learner_parameter(s->learner, i, &p); i++)
        string_append(&out, (const char *)p.weights, (size_t)p.rows * (size_t)p.cols * sizeof *p.weights);
    return out;
}

static void assert_same_end(struct school *a, struct school *b)
{
    struct string x = weights_of(a), y = weights_of(b);
    const struct search_training_figures f = figures_of(a), g = figures_of(b);
    assert_int_equal(x.length, y.length);
    assert_memory_equal(x.text, y.text, x.length);
    assert_int_equal(f.step, g.step);
    assert_int_equal(f.tokens, g.tokens);
    assert_int_equal(f.learned, g.learned);
    assert_int_equal(f.lessons, g.lessons);
    assert_int_equal(f.loss_count, g.loss_count);
    assert_memory_equal(f.losses, g.losses, (size_t)f.loss_count * sizeof *f.losses);
    assert_int_equal(f.validation_count, g.validation_count);
    for (int i = 0; i < f.validation_count; i++) {
        assert_int_equal(f.validations[i].step, g.validations[i].step);
        assert_true(f.validations[i].loss == g.validations[i].loss); /* bits */
    }
    assert_true(f.loss == g.loss && f.best == g.best);
    string_free(&x);
    string_free(&y);
}

static void test_resumed_is_uninterrupted(void **state)
{
    (void)state;
    char *file = write_sums("school.jsonl", 60), *path = in_folder("school");
    struct search_training_options o = usual;
    struct school whole = open_school(file, &o);
    study(&whole, INT_MAX, 0);
    assert_int_equal(figures_of(&whole).step, 20);
    assert_true(figures_of(&whole).validation_count == 5 && figures_of(&whole).losses[19] < figures_of(&whole).losses[0]);
    o.checkpoint = path;
    /* Left after whole steps, in the middle of one, in the middle of a validation. */
    static const int places[][2] = {{10, 0}, {7, 1}, {6, 0}, {6, 1}, {20, 0}, {19, 2}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct error e;
        int previous;
        struct school first = open_school(file, &o);
        study(&first, places[i][0], places[i][1]);
        if (search_training_save(first.training, &e))
            fail_msg("%s", e.message);
        assert_int_equal(figures_of(&first).saved_step, figures_of(&first).step);
        close_school(&first);
        struct school second = open_school(file, &o);
        if (search_training_resume(second.training, &previous, &e))
            fail_msg("%s", e.message);
        assert_int_equal(figures_of(&second).step, places[i][0]);
        assert_int_equal(previous, 0);
        study(&second, INT_MAX, 0);
        assert_same_end(&whole, &second);
        close_school(&second);
        unlink(path);
    }
    close_school(&whole);
    free(path);
    free(file);
}

static void test_damaged_and_other_checkpoints(void **state)
{
    (void)state;
    char *file = write_sums("damage.jsonl", 60), *other = write_sums("other.jsonl", 61), *path = in_folder("damage");
    char *previous_path = xasprintf("%s.previous", path);
    struct search_training_options o = usual;
    struct error e;
    int previous;
    o.checkpoint = path;
    o.save_every = 4;
    struct school s = open_school(file, &o);
    study(&s, 9, 0);
    close_school(&s);
    /* Other settings, other lessons. */
    o.settings = "--a 1\n--b 3\n";
    s = open_school(file, &o);
    assert_int_equal(search_training_resume(s.training, &previous, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "was made with --b 2, and now it is --b 3"));
    close_school(&s);
    o.settings = usual.settings;
    s = open_school(other, &o);
    assert_int_equal(search_training_resume(s.training, &previous, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "other lessons"));
    close_school(&s);
    /* The latest is cut short: the one before it is taken, which is of step 4. */
    assert_int_equal(truncate(path, 1000), 0);
    s = open_school(file, &o);
    assert_int_equal(search_training_resume(s.training, &previous, &e), OK);
    assert_int_equal(previous, 1);
    assert_int_equal(figures_of(&s).step, 4);
    close_school(&s);
    assert_int_equal(truncate(previous_path, 1000), 0);
    s = open_school(file, &o);
    assert_int_equal(search_training_resume(s.training, &previous, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, path));
    study(&s, 2, 0); /* it is as it was before */
    close_school(&s);
    free(previous_path);
    free(path);
    free(other);
    free(file);
}

static void test_not_a_number(void **state)
{
    (void)state;
    char *file = write_sums("nan.jsonl", 60), *path = in_folder("nan");
    struct search_training_options o = usual;
    struct engine_parameter p;
    struct error e;
    enum search_training_status status;
    int code = OK;
    o.checkpoint = path;
    o.save_every = 3;
    struct school s = open_school(file, &o);
    study(&s, 5, 0);
    struct string before = read_whole(path);
    assert_true(engine_learner_parameter(s.learner, 1, &p));
    float *weights = xcalloc((size_t)p.rows * (size_t)p.cols, sizeof *weights);
    weights[0] = NAN;
    engine_learner_set(s.learner, 1, weights);
    free(weights);
    assert_int_equal(search_training_save(s.training, &e), ERROR_ENGINE); /* nothing bad is ever saved */
    for (int i = 0; i < 50 && !code; i++)
        code = search_training_advance(s.training, &status, &e);
    assert_int_equal(code, ERROR_ENGINE);
    assert_non_null(strstr(e.message, "step 6, lessons "));
    assert_non_null(strstr(e.message, "is not a number"));
    assert_non_null(strstr(e.message, "is of step 3"));
    struct string after = read_whole(path);
    assert_int_equal(before.length, after.length);
    assert_memory_equal(before.text, after.text, before.length);
    close_school(&s);
    string_free(&before);
    string_free(&after);
    free(path);
    free(file);
}

/* However a step is cut into passes, it is the same step. */
static void test_passes(void **state)
{
    (void)state;
    char *file = write_sums("passes.jsonl", 60);
    struct search_training_options o = usual;
    o.steps = 6;
    struct school one = open_school(file, &o);
    o.rows = 400;
    struct school other = open_school(file, &o);
    study(&one, INT_MAX, 0);
    study(&other, INT_MAX, 0);
    const struct search_training_figures f = figures_of(&one), g = figures_of(&other);
    assert_int_equal(f.tokens, g.tokens);
    assert_int_equal(f.lessons, g.lessons);
    assert_true(f.tokens >= 6 * 250 && f.tokens < 6 * (250 + 60));
    for (int i = 0; i < 6; i++)
        assert_true(fabs(f.losses[i] - g.losses[i]) < 1e-4);
    close_school(&one);
    close_school(&other);
    free(file);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Weights that do not move: the losses of an epoch are those of all lessons, each once. */
static void test_every_lesson(void **state)
{
    (void)state;
    char *file = write_sums("every.jsonl", 60);
    struct search_training_options o = usual;
    o.rate = 0;
    o.tokens = o.steps = 0;
    o.lessons_a_step = 1;
    o.epochs = 2;
    struct school s = open_school(file, &o);
    study(&s, INT_MAX, 0);
    const int n = (int)search_lessons_epoch(s.lessons);
    assert_int_equal(figures_of(&s).loss_count, 2 * n);
    double *losses = xcalloc(2 * (size_t)n, sizeof *losses);
    memcpy(losses, figures_of(&s).losses, 2 * (size_t)n * sizeof *losses);
    qsort(losses, (size_t)n, sizeof *losses, by_size);
    qsort(losses + n, (size_t)n, sizeof *losses, by_size);
    assert_memory_equal(losses, losses + n, (size_t)n * sizeof *losses);
    for (int i = 1; i < n; i++)
        assert_true(losses[i] > losses[i - 1]);
    free(losses);
    close_school(&s);
    free(file);
}

static void test_ends(void **state)
{
    (void)state;
    char *file = write_sums("ends.jsonl", 60);
    struct search_training_options o = usual;
    o.steps = 0;
    o.epochs = 1.5;
    struct school s = open_school(file, &o);
    const int epoch = (int)search_lessons_epoch(s.lessons);
    study(&s, INT_MAX, 0);
    assert_int_equal(figures_of(&s).lessons, (epoch * 3 + 1) / 2);
    assert_int_equal(figures_of(&s).step, figures_of(&s).steps);
    close_school(&s);
    o.tokens = 0;
    o.lessons_a_step = 7;
    s = open_school(file, &o);
    assert_int_equal(figures_of(&s).steps, ((epoch * 3 + 1) / 2 + 6) / 7);
    study(&s, 1, 0);
    assert_int_equal(figures_of(&s).lessons, 7);
    close_school(&s);
    free(file);
}

/* --- what comes of it -------------------------------------------------------------------------------------------- */

/* The loss of a lesson by the engine that people use, through an adapter where one is given. */
static double scored(const char *model, const char *adapter, const struct engine_document *d)
{
    struct engine *engine;
    struct engine_result result;
    struct error e;
    int id, mix = 0, live;
    double sum = 0;
    if (engine_open(&engine, &(struct engine_options){.model = model, .kernels = "reference", .threads = 1}, &e))
        fail_msg("%s", e.message);
    if (adapter && (engine_adapter_open(engine, adapter, &id, &e) || engine_mix(engine, &(struct engine_adapter_use){id, 1}, 1, &mix, &e)))
        fail_msg("%s", e.message);
    const struct engine_request request = {.prompt = d->tokens, .prompt_count = d->count, .score = 1, .mix = mix, .sampling = ENGINE_SAMPLING_DEFAULT};
    assert_int_equal(engine_submit(engine, &request, &id, &e), OK);
    while (!engine_result(engine, &result))
        assert_int_equal(engine_step(engine, &live, &e), OK);
    for (int i = 0; i < result.count; i++)
        sum -= d->learned[i + 1] ? result.tokens[i].logprob : 0;
    engine_result_free(&result);
    engine_close(engine);
    return sum;
}

static void test_exports(void **state)
{
    (void)state;
    char *file = write_sums("export.jsonl", 60), *gguf = in_folder("export.gguf"), *peft = in_folder("peft"), *model = in_folder("whole.gguf");
    struct search_training_options o = usual;
    struct engine_loss loss = {0};
    struct error e;
    struct school s = open_school(file, &o);
    study(&s, INT_MAX, 0);
    const struct engine_document d = search_lesson_list_at(search_lessons_validation(s.lessons), 0);
    engine_learner_loss(s.learner, &d, 1, &loss);
    if (engine_learner_export_adapter(s.learner, gguf, peft, &e))
        fail_msg("%s", e.message);
    assert_true(fabs(loss.sum - scored(tiny, gguf, &d)) < 1e-3);
    assert_true(fabs(loss.sum - scored(tiny, peft, &d)) < 1e-3);
    assert_true(fabs(loss.sum - scored(tiny, NULL, &d)) > 0.1);
    /* All weights. */
    const struct engine_learner_options all = {.model = tiny, .all = 1, .rows = 96, .threads = 2};
    struct engine_learner *learner;
    assert_int_equal(engine_learner_create(&learner, &all, &e), OK);
    for (int i = 0; i < 5; i++) {
        engine_learner_add(learner, &d, 1, &(struct engine_loss){0});
        assert_int_equal(engine_learner_step(learner, 3e-3f, NULL, &e), OK);
    }
    loss = (struct engine_loss){0};
    engine_learner_loss(learner, &d, 1, &loss);
    assert_int_equal(engine_learner_export(learner, model, "f32", &e), OK);
    assert_true(fabs(loss.sum - scored(model, NULL, &d)) < 1e-3);
    assert_true(fabs(loss.sum - scored(tiny, NULL, &d)) > 0.1);
    engine_learner_free(learner);
    close_school(&s);
    free(file);
    free(gguf);
    free(peft);
    free(model);
}

/* --- recipes ----------------------------------------------------------------------------------------------------- */

static int open_recipe(const char *text, int argc, char **argv, struct tui_options *o, struct tui_recipe *r, struct error *e)
{
    int help;
    char *path = write_file("recipe.yaml", text, strlen(text));
    assert_int_equal(tui_options_parse(argc, argv, "model data validation out all scratch rank targets rate seed context rows steps moments8 threads", o,
                                       &help, e),
                     OK);
    int code = tui_recipe_open(r, o, path, e);
    free(path);
    return code;
}

static void test_recipe(void **state)
{
    (void)state;
    struct tui_options o;
    struct tui_recipe r;
    struct error e;
    char *argv[] = {"train", "--rate", "0.25", "--seed", "7"};
    const char *text = "model: tiny.gguf\nrate: 0.5\nrank: 8\nseed: 3\nmoments8: yes\ncheckpoints: no\ntargets: [q, down]\nrows: 64\n"
                       "validation: [0.1, v.jsonl]\ndata:\n  - a.jsonl\n  - {file: /b.jsonl, weight: 2}\n  - {task: game24, weight: 0.5}\n";
    if (open_recipe(text, 5, argv, &o, &r, &e))
        fail_msg("%s", e.message);
    char *model = in_folder("tiny.gguf"), *first = in_folder("a.jsonl"), *valid = in_folder("v.jsonl");
    assert_string_equal(r.model, model);
    assert_true(r.o.rate == 0.25f && r.o.seed == 7 && r.o.rank == 8 && r.o.moments8 == 1 && r.o.checkpoints == 0); /* the command line wins */
    assert_int_equal(r.targets, 1u << ENGINE_TARGET_Q | 1u << ENGINE_TARGET_DOWN);
    assert_int_equal(r.rows, 64);
    assert_int_equal(r.source_count, 3);
    assert_string_equal(r.sources[0].file, first);
    assert_string_equal(r.sources[1].file, "/b.jsonl");
    assert_true(r.sources[1].weight == 2);
    assert_string_equal(r.sources[2].task, "game24");
    assert_true(r.held_out == 0.1 && r.validation_count == 1);
    assert_string_equal(r.validation[0], valid);
    tui_recipe_free(&r);
    tui_options_free(&o);
    free(model);
    free(first);
    free(valid);
}

static void test_bad_recipes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"rat: 1\n", "recipe.yaml:1:1: "},
        {"rank: 8\nrate: fast\n", "recipe.yaml:2:7: rate fast: a number"},
        {"rank: 0\n", "recipe.yaml:1:7: rank 0: a whole number from 1"},
        {"moments8: 3\n", "recipe.yaml:1:11: "},
        {"targets: [q, x]\n", "recipe.yaml:1:14: targets x: q, k, v"},
        {"validation: 1.5\n", "recipe.yaml:1:13: validation 1.5: a share"},
        {"data:\n  - {file: a, task: b}\n", "recipe.yaml:2:5: expected one of"},
        {"data:\n  - {file: a, weight: -1}\n", "recipe.yaml:2:23: "},
        {"data:\n  - {fil: a}\n", "recipe.yaml:2:6: "},
        {"model: {width: 16, height: 3}\n", "recipe.yaml:1:20: "},
        {"model: {width: wide}\n", "recipe.yaml:1:16: "},
        {"model: {width: 16}\nvocabulary: a\n", "recipe.yaml:2:13: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tui_options o;
        struct tui_recipe r;
        struct error e;
        char *argv[] = {"train", "--out", "x"};
        if (open_recipe(cases[i].text, 3, argv, &o, &r, &e) != ERROR_INPUT || !strstr(e.message, cases[i].part))
            fail_msg("%s%s", cases[i].text, e.message);
        tui_recipe_free(&r);
        tui_options_free(&o);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char *command = xasprintf("rm -rf '%s'", folder);
    const int code = system(command);
    free(command);
    string_free(&said);
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_plain_lessons),
        cmocka_unit_test(test_chat_lessons),
        cmocka_unit_test(test_training_is_use),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_held_out),
        cmocka_unit_test(test_mixture),
        cmocka_unit_test(test_resumed_is_uninterrupted),
        cmocka_unit_test(test_damaged_and_other_checkpoints),
        cmocka_unit_test(test_not_a_number),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_every_lesson),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_exports),
        cmocka_unit_test(test_recipe),
        cmocka_unit_test(test_bad_recipes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
