/* Sessions: events there and back, files that are not what they should be, published logs, and where answers were lost. */
#include "search/session.h"
#include "tests/made_events.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

/* --- there and back ---------------------------------------------------------------------------------------------- */

static const char odd_text[] = "a \"quote\" \\ \x1b[31m \x7f caf\xc3\xa9 \xe2\x80\xae \xf0\x9f\x8c\xb3\nline";

static void check_round_trip(struct search_event *event)
{
    struct string printed = {0}, again = {0};
    struct search_event *read = NULL;
    struct error e;
    search_event_json(event, NULL, &printed);
    if (search_event_parse(printed.text, printed.length, "made", 1, &read, &e))
        fail_msg("%s in %s", e.message, printed.text);
    search_event_json(read, NULL, &again);
    assert_string_equal(again.text, printed.text);
    assert_int_equal(read->kind, event->kind);
    string_free(&printed);
    string_free(&again);
    search_event_release(read);
    search_event_release(event);
}

static struct search_event *full_session(uint64_t seed)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_SESSION, 0, -1);
    event->session.task = xstrdup("game24");
    event->session.problem = xstrdup(odd_text);
    event->session.expected = seed & 1 ? NULL : xstrdup("24");
    event->session.strategy = xstrdup("tot,b=5");
    event->session.model = xstrdup("");
    event->session.seed = seed;
    event->session.sampling = (struct engine_sampling){.temperature = 0.7f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repetition_penalty = 1.1f};
    event->session.budget_tokens = seed & 1 ? INT64_MAX : 0;
    return event;
}

static struct search_event *full_completion(int sample)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_COMPLETION, 7, 2);
    event->completion.item = 3;
    event->completion.sample = sample;
    if (!sample) {
        event->completion.prompt_count = 3;
        event->completion.prompt = xcalloc(3, sizeof(int));
        event->completion.prompt[1] = INT32_MAX;
    }
    event->completion.text = xstrdup(odd_text);
    event->completion.ending = ENGINE_END_CONTEXT;
    event->completion.usage = (struct search_usage){.prompt = 1000, .cached = 17, .completion = 2, .flops = 1.23456789e20};
    event->completion.count = 2;
    event->completion.tokens = xcalloc(2, sizeof *event->completion.tokens);
    for (int t = 0; t < 2; t++) {
        event->completion.tokens[t].id = 49151 - t;
        event->completion.tokens[t].logprob = t ? -INFINITY : -0.1f / 3;
        for (int i = 0; i < ENGINE_TOP; i++)
            event->completion.tokens[t].top[i] = (struct engine_choice){t && i > 2 ? -1 : 100 + i, -1.0f / (float)(7 * (i + 1))};
    }
    return event;
}

static struct search_event *full_thought(int correct)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_THOUGHT, 8, 2);
    event->thought.node = 1;
    event->thought.text = xstrdup("4 + 5 = 9 (left: 6 9 10)");
    event->thought.completion = correct;
    event->thought.first = 2;
    event->thought.count = 11;
    event->thought.illegal = correct < 0;
    event->thought.why = correct < 0 ? xstrdup("6 is not there") : NULL;
    event->thought.state = correct < 0 ? NULL : xstrdup("6 9 10");
    event->thought.final = correct > 0;
    event->thought.answer = correct > 0 ? xstrdup(odd_text) : NULL;
    event->thought.correct = correct;
    return event;
}

static struct search_event *full_judgement(int labels)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_JUDGEMENT, 9, 3);
    event->judgement.item = 1;
    event->judgement.purpose = labels ? SEARCH_VOTE : SEARCH_VALUE;
    event->judgement.count = 3;
    event->judgement.nodes = xcalloc(3, sizeof(int));
    event->judgement.nodes[2] = 5;
    event->judgement.scores = xcalloc(3, sizeof(double));
    event->judgement.scores[0] = 20.001;
    event->judgement.scores[1] = NAN;
    event->judgement.scores[2] = 1.0 / 3;
    event->judgement.samples = labels;
    event->judgement.labels = xcalloc((size_t)labels + 1, sizeof(char *));
    if (labels)
        event->judgement.labels[0] = xstrdup("sure");
    event->judgement.cached = !labels;
    return event;
}

static struct search_event *full_decision(int tally)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_DECISION, 10, 3);
    event->decision.kept_count = 2;
    event->decision.kept = xcalloc(2, sizeof(int));
    event->decision.kept[0] = 4;
    event->decision.why = xstrdup("kept 2 of 3 by value: 20, 1");
    event->decision.tally_count = tally;
    event->decision.tally = xcalloc((size_t)tally + 1, sizeof *event->decision.tally);
    for (int i = 0; i < tally; i++)
        event->decision.tally[i] = (struct search_tally){.answer = xstrdup("56"), .votes = 3 - i, .logprob = -2.5 / 3, .node = i - 1};
    event->decision.tie = tally > 1;
    return event;
}

static struct search_event *full_result(int correct)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_RESULT, INT64_MAX, INT32_MAX);
    event->result.strategy = xstrdup("greedy");
    event->result.answer = correct < 0 ? NULL : xstrdup("56");
    event->result.node = correct;
    event->result.correct = correct;
    event->result.why = xstrdup("");
    event->result.usage = (struct search_usage){.prompt = INT64_MAX, .flops = 0};
    event->result.nodes = 12;
    event->result.illegal = 3;
    return event;
}

/* The acts of a user, and what stands in an event only where it says something. */
static void check_new_kinds(void)
{
    struct search_event *event = search_event_make(SEARCH_EVENT_KEEP, 9, 2);
    event->keep.node = 4;
    event->keep.on = 1;
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_BACK, 9, 2);
    event->back.target = 7;
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_ASK, 9, 2);
    event->ask.item = search_items_copy(&(struct search_item){SEARCH_SAMPLE, (int[]){4}, 1, 1, 7, 2, 30, 0, 0}, 1);
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_REVOTE, 9, 2);
    event->revote.excluded = xcalloc(2, sizeof(int));
    event->revote.excluded[1] = 5;
    event->revote.count = 2;
    event->revote.weight = xstrdup("normalised");
    check_round_trip(event);
    event = full_session(3);
    event->kind = SEARCH_EVENT_SETTING;
    event->number = 9;
    event->session.budget_flops = 1.5e12;
    event->session.budget_time = 2.25;
    event->session.budget_nodes = 100;
    event->session.judge_model = xstrdup("judge");
    event->session.grammar = 1;
    event->session.adapters = xcalloc(2, sizeof *event->session.adapters);
    event->session.adapters[0] = (struct search_adapter){xstrdup("a\xc3\xa9/b"), 0.1f, UINT64_MAX};
    event->session.adapters[1] = (struct search_adapter){xstrdup("c:1"), -2, 3};
    event->session.adapter_count = 2;
    event->session.trained = event->session.judge_trained = 1;
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_DECISION, 9, 2);
    event->decision.why = xstrdup("w");
    event->decision.backups = xcalloc(2, sizeof *event->decision.backups);
    event->decision.backups[0] = (struct search_backup){7, .123456789};
    event->decision.backups[1] = (struct search_backup){0, 1};
    event->decision.backup_count = 2;
    event->decision.spent = 1;
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_THOUGHT, 9, 2);
    event->thought.node = 3;
    event->thought.completion = -1;
    event->thought.text = xstrdup("mine");
    event->thought.correct = -1;
    event->thought.by_user = 1;
    event->thought.replaces = 2;
    check_round_trip(event);
}

/* Nine digits are what an event keeps: a number that was rounded to them is read back as it was. */
static void test_rounding(void **state)
{
    (void)state;
    struct search_event *event = search_event_make(SEARCH_EVENT_JUDGEMENT, 1, 0), *back;
    struct error e;
    event->judgement.purpose = SEARCH_VALUE;
    event->judgement.nodes = xcalloc(1, sizeof(int));
    event->judgement.scores = xcalloc(1, sizeof(double));
    event->judgement.scores[0] = 1.0 / 3;
    event->judgement.most = 200.0 / 3;
    event->judgement.count = 1;
    search_event_round(event);
    assert_true(event->judgement.scores[0] == .333333333 && event->judgement.most == 66.6666667);
    struct string line = {0};
    search_event_json(event, NULL, &line);
    assert_int_equal(search_event_parse(line.text, line.length, "f", 1, &back, &e), OK);
    assert_true(back->judgement.scores[0] == event->judgement.scores[0] && back->judgement.most == event->judgement.most);
    string_free(&line);
    search_event_release(event);
    search_event_release(back);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct search_event *event;
    check_round_trip(full_session(2));
    check_round_trip(full_session(UINT64_MAX));
    check_round_trip(full_session((uint64_t)INT64_MAX));
    event = search_event_make(SEARCH_EVENT_PLAN, 1, 0);
    event->plan.why = xstrdup("sample");
    event->plan.items = search_items_copy((struct search_item[]){{SEARCH_SAMPLE, (int[]){0}, 1, 16, 0, 0, 0, 0, 0}, {SEARCH_VOTE, (int[]){3, 1, 2}, 3, 5, 0, 0, 0, 1, 0.75f},
                                                                 {SEARCH_VALUE, (int[]){7}, 1, 0, 0, 0, 0, 1, 0}, {SEARCH_PROPOSE, (int[]){7}, 1, 1, 12, 3, 99, 0, 0}}, 4);
    event->plan.count = 4;
    event->plan.ask = 11;
    check_round_trip(event);
    check_new_kinds();
    event = search_event_make(SEARCH_EVENT_PLAN, 1, 0);
    event->plan.why = xstrdup("nothing");
    check_round_trip(event);
    check_round_trip(full_completion(0));
    check_round_trip(full_completion(4));
    for (int correct = -1; correct <= 1; correct++) {
        check_round_trip(full_thought(correct));
        check_round_trip(full_result(correct));
    }
    check_round_trip(full_judgement(0));
    check_round_trip(full_judgement(2));
    check_round_trip(full_decision(0));
    check_round_trip(full_decision(3));
    event = search_event_make(SEARCH_EVENT_PRUNE, 11, 3);
    event->prune.node = 4;
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_RESTORE, 11, 3);
    event->prune.node = 4;
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_UNDO, 12, 3);
    event->undo.target = 11;
    check_round_trip(event);
    event = search_event_make(SEARCH_EVENT_REDO, 13, 3);
    event->undo.target = 11;
    check_round_trip(event);
}

/* --- lines that are wrong ---------------------------------------------------------------------------------------- */

#define SESSION_LINE "{\"event\":\"session\",\"number\":0,\"step\":-1,\"task\":\"game24\",\"problem\":\"4 5 6 10\",\"expected\":\"24\",\"strategy\":\"tot\"," \
                     "\"model\":\"m\",\"seed\":1,\"sampling\":{\"temperature\":0.699999988,\"top_k\":0,\"top_p\":1.0,\"min_p\":0.0,\"repetition_penalty\":1.0}," \
                     "\"budget_tokens\":null}\n"
#define PLAN_LINE "{\"event\":\"plan\",\"number\":1,\"step\":0,\"why\":\"w\",\"items\":[{\"purpose\":\"propose\",\"nodes\":[0],\"samples\":1}]}\n"
#define USAGE "\"usage\":{\"tokens\":{\"prompt\":1,\"cached\":0,\"completion\":1},\"flops\":1.0}"
#define COMPLETION_LINE "{\"event\":\"completion\",\"number\":2,\"step\":0,\"item\":0,\"sample\":0,\"prompt\":[1],\"text\":\"t\",\"ending\":\"token\"," USAGE \
                        ",\"tokens\":[{\"id\":1,\"logprob\":-1.0,\"top\":[[1,-1.0]]}]}\n"
#define THOUGHT_LINE "{\"event\":\"thought\",\"number\":3,\"step\":0,\"node\":1,\"parent\":0,\"text\":\"t\",\"completion\":2,\"first\":0,\"count\":1," \
                     "\"illegal\":false,\"why\":null,\"state\":null,\"final\":false,\"answer\":null,\"correct\":null}\n"
#define JUDGEMENT_LINE "{\"event\":\"judgement\",\"number\":4,\"step\":0,\"item\":0,\"purpose\":\"value\",\"nodes\":[1],\"scores\":[20.0],\"labels\":[\"sure\"]," \
                       "\"cached\":false}\n"
#define DECISION_LINE "{\"event\":\"decision\",\"number\":5,\"step\":0,\"kept\":[1],\"why\":\"w\",\"tally\":[],\"tie\":false}\n"
#define PRUNE_LINE "{\"event\":\"prune\",\"number\":6,\"step\":0,\"node\":1}\n"
#define UNDO_LINE "{\"event\":\"undo\",\"number\":7,\"step\":0,\"target\":6}\n"
#define REDO_LINE "{\"event\":\"redo\",\"number\":8,\"step\":0,\"target\":6}\n"
#define RESULT_LINE "{\"event\":\"result\",\"number\":9,\"step\":0,\"strategy\":\"tot\",\"answer\":null,\"correct\":null,\"tokens\":{\"prompt\":1,\"cached\":0," \
                    "\"completion\":1},\"flops\":1.0,\"node\":null,\"why\":\"w\",\"nodes\":2,\"illegal\":0}\n"
static const char whole_log[] = SESSION_LINE PLAN_LINE COMPLETION_LINE THOUGHT_LINE JUDGEMENT_LINE DECISION_LINE PRUNE_LINE UNDO_LINE REDO_LINE RESULT_LINE;

/* The text with the first `from` of it replaced. malloc'ed. */
static char *changed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (!at)
        fail_msg("no '%s' in the log", from);
    return xasprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static int load_text(struct search_sessions *out, const char *text, size_t n, struct error *e)
{
    char path[] = "/tmp/espalier_test_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
    int code = search_sessions_load(out, path, e);
    unlink(path);
    return code;
}

static void check_refused(const char *text, const char *message)
{
    struct search_sessions sessions;
    struct error e = {0};
    int code = load_text(&sessions, text, strlen(text), &e);
    if (code != ERROR_INPUT || !strstr(e.message, message) || strchr(e.message, '\n'))
        fail_msg("code %d, '%s'; expected '%s'", code, e.message, message);
    assert_int_equal(sessions.count, 0);
}

static void test_wrong_lines(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *message; } cases[] = {
        /* one line by itself */
        {"\"event\":\"plan\"", "\"event\":\"plant\"", "line 2: \"event\" is \"plant\"; expected one of session, plan"},
        {"\"event\":\"plan\"", "\"event\":null", "line 2: \"event\" is null; expected one of session"},
        {"\"event\":\"plan\",", "", "line 2: \"event\" is missing"},
        {"\"number\":0", "\"number\":\"0\"", "line 1: \"number\" is a string; expected a whole number"},
        {"\"number\":0", "\"number\":-1", "line 1: \"number\" is -1; expected a number from 0"},
        {"\"number\":0", "\"number\":0.0", "line 1: \"number\" is a number; expected a whole number"},
        {"\"number\":0", "\"number\":0,\"number\":0", "line 1: not JSON"},
        {"\"step\":-1", "\"step\":-2", "line 1: \"step\" is -2"},
        {"\"problem\":\"4 5 6 10\"", "\"problem\":null", "line 1: \"problem\" is null; expected a string"},
        {"\"problem\":\"4 5 6 10\"", "\"problem\":\"\\u0000\"", "line 1: not JSON"},
        {"\"expected\":\"24\"", "\"expected\":24", "\"expected\" is a whole number; expected a string or null"},
        {"\"seed\":1", "\"seed\":-1", "\"seed\" is -1"},
        {"\"seed\":1", "\"seed\":\"18446744073709551616\"", "\"seed\" is a string; expected a whole number of at most 64 bits"},
        {"\"seed\":1", "\"seed\":\"\"", "64 bits"},
        {"\"seed\":1", "\"seed\":\"12x\"", "64 bits"},
        {"\"sampling\":{", "\"sampling\":7,\"s\":{", "\"sampling\" is a whole number; expected an object"},
        {"\"top_k\":0,", "", "\"top_k\" is missing"},
        {"\"budget_tokens\":null", "\"budget_tokens\":0", "\"budget_tokens\" is 0"},
        {"\"items\":[", "\"items\":null,\"x\":[", "line 2: \"items\" is null; expected a list"},
        {"\"purpose\":\"propose\"", "\"purpose\":\"prose\"", "expected one of sample, propose, value, vote"},
        {"\"nodes\":[0]", "\"nodes\":[]", "\"nodes\" is a list; expected a list of at least one node"},
        {"\"nodes\":[0]", "\"nodes\":[\"0\"]", "\"nodes\" is a string; expected a whole number"},
        {"\"nodes\":[0]", "\"nodes\":[2147483648]", "\"nodes\" is 2147483648"},
        {"\"prompt\":[1]", "\"prompt\":{}", "line 3: \"prompt\" is an object; expected a list"},
        {"\"ending\":\"token\"", "\"ending\":\"end\"", "expected one of token, stop, length, context"},
        {"\"usage\":{", "\"usage\":null,\"x\":{", "\"usage\" is null; expected an object"},
        {"\"cached\":0", "\"cached\":false", "\"cached\" is false; expected a whole number"},
        {"\"logprob\":-1.0", "\"logprob\":\"-1\"", "\"logprob\" is a string; expected a number or null"},
        {"\"top\":[[1,-1.0]]", "\"top\":[[1]]", "\"top\" is a list; expected pairs"},
        {"\"top\":[[1,-1.0]]", "\"top\":[1]", "\"top\" is a whole number; expected pairs"},
        {"\"top\":[[1,-1.0]]", "\"top\":[[1,1],[1,1],[1,1],[1,1],[1,1],[1,1],[1,1],[1,1],[1,1]]", "at most 8"},
        {"\"illegal\":false", "\"illegal\":0", "line 4: \"illegal\" is a whole number; expected true or false"},
        {"\"correct\":null", "\"correct\":1", "expected true, false or null"},
        {"\"scores\":[20.0]", "\"scores\":[]", "line 5: \"scores\" is a list; expected one for each of the nodes"},
        {"\"labels\":[\"sure\"]", "\"labels\":[1]", "\"labels\" is a whole number; expected a string or null"},
        {"\"tally\":[]", "\"tally\":[{}]", "line 6: \"answer\" is missing"},
        {"\"target\":6", "\"target\":null", "line 8: \"target\" is null"},
        {"\"flops\":1.0,\"node\"", "\"flops\":[],\"node\"", "line 10: \"flops\" is a list"},
        {"{\"event\":\"result\"", "[\"event\",\"result\"", "line 10: not JSON"},
        {"{\"event\":\"result\"", "7{\"event\":\"result\"", "line 10: not JSON"},
        /* events that do not fit together */
        {SESSION_LINE, "", "line 1: event 1: a session event, with number 0, comes first"},
        {PLAN_LINE, "", "line 2: event 2: its number does not follow"},
        {"\"nodes\":[0]", "\"nodes\":[1]", "line 2: event 1: it names a node that is not there"},
        {"\"item\":0", "\"item\":1", "line 3: event 2: its item is not in the plan"},
        {"\"node\":1,\"parent\":0", "\"node\":2,\"parent\":0", "line 4: event 3: its node is not the next one"},
        {"\"node\":1,\"parent\":0", "\"node\":1,\"parent\":1", "line 4: event 3: its parent is not there"},
        {"\"completion\":2,", "\"completion\":1,", "line 4: event 3: the completion it names is not one"},
        {"\"completion\":2,", "\"completion\":3,", "line 4: event 3: the completion it names is not one"},
        {"\"first\":0", "\"first\":1", "line 4: event 3: its tokens are not in its completion"},
        {"\"count\":1", "\"count\":2147483647", "line 4: event 3: its tokens are not in its completion"},
        {"\"purpose\":\"value\"", "\"purpose\":\"sample\"", "line 5: event 4: its purpose is not a judge's"},
        {"\"nodes\":[1]", "\"nodes\":[2]", "line 5: event 4: it names a node"},
        {"\"kept\":[1]", "\"kept\":[2]", "line 6: event 5: it names a node"},
        {"\"tally\":[]", "\"tally\":[{\"answer\":null,\"votes\":1,\"logprob\":0,\"node\":2}]", "line 6: event 5: its tally names a node"},
        {"\"step\":0,\"node\":1}", "\"step\":0,\"node\":2}", "line 7: event 6: it names a node"},
        {"\"step\":0,\"node\":1}", "\"step\":0,\"node\":0}", "line 7: \"node\" is 0"},
        {UNDO_LINE, REDO_LINE, "line 8: event 8: its number does not follow"},
        {"\"undo\",\"number\":7,\"step\":0,\"target\":6", "\"undo\",\"number\":7,\"step\":0,\"target\":5", "line 8: event 7: its target is not the latest act"},
        {"\"event\":\"undo\"", "\"event\":\"redo\"", "line 8: event 7: its target is not the act undone last"},
        {"\"node\":null", "\"node\":2", "line 10: event 9: its node is not there"},
        {RESULT_LINE, SESSION_LINE SESSION_LINE "x", "line 12: not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = changed(whole_log, cases[i].from, cases[i].to);
        check_refused(text, cases[i].message);
        free(text);
    }
    check_refused("", "empty; expected events");
    check_refused("  \n", "empty; expected events");
    check_refused("GGUF", "neither a JSON object a line nor a JSON list");
    struct search_sessions sessions;
    struct error e;
    assert_int_equal(search_sessions_load(&sessions, "/nowhere/at/all", &e), ERROR_INPUT);
    assert_int_equal(search_sessions_load(&sessions, "/tmp", &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "a folder"));
}

/* Whatever is cut off or changed, a log is read or refused. */
static void test_damaged_logs(void **state)
{
    (void)state;
    struct search_sessions sessions;
    struct error e;
    size_t n = sizeof whole_log - 1;
    for (size_t cut = 1; cut < n; cut += 13)
        if (!load_text(&sessions, whole_log, cut, &e))
            search_sessions_free(&sessions);
    for (uint64_t i = 0; i < 400; i++) {
        char *text = xstrdup(whole_log);
        for (uint64_t k = 0; k <= i % 3; k++)
            text[(size_t)(random_uniform(1, i, 2 * k) * (double)n)] = "0123456789[]{},:\"-n\\"[(int)(random_uniform(1, i, 2 * k + 1) * 20)];
        if (!load_text(&sessions, text, n, &e))
            search_sessions_free(&sessions);
        free(text);
    }
}

static void test_whole_log(void **state)
{
    (void)state;
    struct search_sessions sessions;
    struct error e;
    struct string text = {0}, again = {0};
    string_add(&text, "\n");
    string_add(&text, whole_log);
    string_add(&text, " \n");
    string_append(&text, whole_log, sizeof whole_log - 2); /* the last line need not end */
    if (load_text(&sessions, text.text, text.length, &e))
        fail_msg("%s", e.message);
    assert_int_equal(sessions.count, 2);
    assert_int_equal(sessions.imported, 0);
    const struct search_tree *tree = &sessions.list[1].tree;
    assert_int_equal(tree->event_count, 10);
    assert_int_equal(tree->count, 2);
    assert_true(tree->nodes[1].pruned && tree->nodes[1].value == 20 && tree->nodes[1].logprob == -1);
    assert_non_null(tree->result);
    for (int64_t i = 0; i < tree->event_count; i++)
        search_event_json(tree->events[i], NULL, &again);
    assert_string_equal(again.text, whole_log);
    search_sessions_free(&sessions);
    string_free(&text);
    string_free(&again);
}

/* --- published logs ---------------------------------------------------------------------------------------------- */

static const char excerpt[] = "tests/reference/tot_game24_excerpt.json";

/* + selected, o generated, . neither: a sign a level. */
static void trace_of(const struct search_audit *audit, char *out)
{
    for (int level = 1; level <= audit->levels; level++)
        *out++ = audit->selected[level] ? '+' : audit->generated[level] ? 'o' : '.';
    *out = '\0';
}

/* By hand, from the records:
 * 1  3 4 4 13: 13 - 4 = 9 is kept, then 9 - 3 = 6, 4 * 6 = 24, and the right answer line.
 * 2  4 6 6 9: 6 - 4 = 2 (left: 2 6 9) is kept, but 2 * 9 = 18, the only way from there, is not proposed.
 * 3  4 7 9 13: 4 * 7 = 28 was valued 0.003 where the five kept have 3; the other ways begin with 13 and 9, which are not proposed.
 * 4  1 6 6 6: 5 * 6 = 30 is kept, and 30 - 6 = 24 proposed, but with (left: 6 24).
 * 5  8 8 10 12: 8 + 8 * (12 - 10) is the only way; neither 12 - 10 is proposed nor anything else that keeps it open.
 * 6  1 3 8 13: the step kept says (repeated), so nothing below it is legal; the answer is right all the same.
 * 7  2 3 10 12: 24 alone is left twice, and both answer lines use a number twice.
 * 8  2 6 7 11: 11 - 6 = 5 (left: 2 5 7) has value 3, like the five kept before it. */
static void test_excerpt(void **state)
{
    (void)state;
    static const struct { const char *problem, *trace; enum search_cause cause; int level, right, right_alive, node; } expected[] = {
        {"3 4 4 13", "++++", SEARCH_CAUSE_RIGHT, 0, 1, 1, -1},
        {"4 6 6 9", "+...", SEARCH_CAUSE_NEVER_GENERATED, 2, 0, 0, -1},
        {"4 7 9 13", "o...", SEARCH_CAUSE_MISJUDGED, 1, 0, 0, 4},
        {"1 6 6 6", "++..", SEARCH_CAUSE_ILLEGAL_STEP, 3, 0, 0, 23},
        {"8 8 10 12", "....", SEARCH_CAUSE_NEVER_GENERATED, 1, 0, 0, -1},
        {"1 3 8 13", "....", SEARCH_CAUSE_RIGHT, 0, 1, 0, -1},
        {"2 3 10 12", "+++.", SEARCH_CAUSE_NEVER_GENERATED, 4, 0, 0, -1},
        {"2 6 7 11", "o...", SEARCH_CAUSE_UNSELECTED, 1, 0, 0, 6},
    };
    struct search_sessions sessions;
    struct error e;
    struct search_oracle *oracle = search_oracle_open();
    if (search_sessions_load(&sessions, excerpt, &e))
        fail_msg("%s", e.message);
    assert_int_equal(sessions.count, 8);
    assert_int_equal(sessions.imported, 1);
    for (int i = 0; i < sessions.count; i++) {
        struct search_audit audit;
        char trace[SEARCH_AUDIT_LEVELS + 1];
        search_audit_tree(oracle, &sessions.list[i].tree, &audit);
        trace_of(&audit, trace);
        assert_string_equal(sessions.list[i].title, expected[i].problem);
        assert_string_equal(trace, expected[i].trace);
        assert_string_equal(search_cause_name(audit.cause), search_cause_name(expected[i].cause));
        assert_int_equal(audit.level, expected[i].level);
        assert_int_equal(audit.right, expected[i].right);
        assert_int_equal(audit.right_alive, expected[i].right_alive);
        assert_int_equal(audit.node, expected[i].node);
    }
    /* The first record, as a tree. */
    const struct search_tree *tree = &sessions.list[0].tree;
    assert_string_equal(search_node_text(tree, 0), "3 4 4 13");
    assert_string_equal(search_node_text(tree, 1), "3 + 4 = 7 (left: 4 7 13)");
    assert_string_equal(tree->nodes[1].thought->thought.state, "4 7 13");
    assert_int_equal(tree->kept_count, 5);
    assert_int_equal(tree->steps, 8);
    assert_string_equal(tree->result->result.answer, "(13 - 4 - 3) * 4 = 24");
    assert_int_equal(tree->result->result.correct, 1);
    /* What was read prints as events that are read alike. */
    struct string text = {0}, again = {0};
    for (int64_t i = 0; i < tree->event_count; i++)
        search_event_json(tree->events[i], NULL, &text);
    struct search_sessions copy;
    if (load_text(&copy, text.text, text.length, &e))
        fail_msg("%s", e.message);
    for (int64_t i = 0; i < copy.list[0].tree.event_count; i++)
        search_event_json(copy.list[0].tree.events[i], NULL, &again);
    assert_string_equal(again.text, text.text);
    string_free(&text);
    string_free(&again);
    search_sessions_free(&copy);
    search_sessions_free(&sessions);
    search_oracle_close(oracle);
}

#define STEP(ys, new_ys, values, selected) \
    "{\"step\":0,\"x\":\"4 5 6 10\",\"ys\":" ys ",\"new_ys\":" new_ys ",\"values\":" values ",\"select_new_ys\":" selected "}"
#define RECORD(steps) "[{\"steps\":[" steps "],\"infos\":[]}]"

static void test_wrong_published(void **state)
{
    (void)state;
    check_refused("[", "not JSON");
    check_refused("[]", "an empty list");
    check_refused("[7]", "record 1: not an object");
    check_refused("[{}]", "record 1: neither steps, nor idx, ys and infos");
    check_refused("[{\"steps\":[]}]", "record 1: a first step without a puzzle x");
    check_refused("[{\"steps\":7}]", "record 1: a first step without a puzzle x");
    check_refused("[{\"steps\":[{\"x\":\"a b c d\"}]}]", "'a' is not a whole number");
    check_refused("[{\"steps\":[{\"x\":\"4 5 6 10\"}]}]", "lists of texts");
    check_refused(RECORD(STEP("[\"\"]", "[7]", "[3]", "[]")), "lists of texts");
    check_refused(RECORD(STEP("[\"\"]", "[\"a\"]", "[]", "[]")), "not one number for each");
    check_refused(RECORD(STEP("[\"\"]", "[\"a\"]", "[\"3\"]", "[]")), "not one number for each");
    check_refused(RECORD(STEP("[\"b\"]", "[\"a\"]", "[3]", "[]")), "ys are not those selected before");
    check_refused(RECORD(STEP("[\"\"]", "[\"a\"]", "[3]", "[\"b\"]")), "not one of the new_ys");
    check_refused(RECORD(STEP("[\"\"]", "[\"a\"]", "[3]", "[\"a\",\"a\"]")), "not one of the new_ys");
    check_refused(RECORD(STEP("[\"\"]", "[\"a\"]", "[3]", "[\"a\"]") "," STEP("[\"a\"]", "[\"ab\"]", "[3]", "[]")), "not numbered");
    check_refused("[{\"idx\":900,\"ys\":[\"x\"],\"infos\":[]}]", "neither steps, nor idx, ys and infos");
    check_refused("[{\"idx\":900,\"ys\":[\"a poem\"],\"infos\":[{\"r\":0}]}]", "not of the Game of 24");
    check_refused("[{\"idx\":90000,\"ys\":[\"(left: 4)\"],\"infos\":[{\"r\":0}]}]", "1362");
}

/* Samples without a search: the puzzle is row idx + 1 of the task's data. */
static void test_samples(void **state)
{
    (void)state;
    static const char log[] =
        "[{\"idx\":900,\"ys\":["
        "\"Steps:\\n10 - 4 = 6 (left: 5 6 6)\\n6 / 6 = 1 (left: 1 5)\\n1 * 5 = 5 (left: 5)\\nAnswer: None\","
        "\"Steps:\\n10 - 6 = 4 (left: 4 4 5)\\n4 * 5 = 20 (left: 4 20)\\n4 + 20 = 24 (left: 24)\\nAnswer: 4 * 5 + (10 - 6) = 24\\nDone.\","
        "\"Steps:\\n10 - 6 = 5 (left: 4 5 5)\\n4 + 5 = 9 (left: 5 9)\"],"
        "\"infos\":[{\"r\":0},{\"r\":1},{\"r\":0}]}]";
    struct search_sessions sessions;
    struct error e;
    struct search_audit audit;
    struct search_oracle *oracle = search_oracle_open();
    if (load_text(&sessions, log, sizeof log - 1, &e))
        fail_msg("%s", e.message);
    const struct search_tree *tree = &sessions.list[0].tree;
    assert_string_equal(search_node_text(tree, 0), "4 5 6 10");
    assert_int_equal(tree->nodes[0].children, 3);
    assert_int_equal(tree->count, 1 + 4 + 4 + 2);
    assert_string_equal(search_node_text(tree, 8), "Answer: 4 * 5 + (10 - 6) = 24\nDone.");
    assert_int_equal(tree->nodes[8].thought->thought.correct, 1);
    assert_int_equal(tree->nodes[4].state, SEARCH_ILLEGAL);
    assert_int_equal(tree->nodes[9].state, SEARCH_ILLEGAL);
    assert_string_equal(tree->nodes[9].thought->thought.why, "10 - 6 is 4, not 5");
    assert_string_equal(tree->nodes[10].thought->thought.why, "it follows an illegal step");
    search_audit_tree(oracle, tree, &audit);
    assert_true(audit.right && audit.right_alive && audit.right_first == -1);
    search_sessions_free(&sessions);
    search_oracle_close(oracle);
}

/* The whole log, where somebody has it. */
static void test_published_log(void **state)
{
    (void)state;
    const char *path = getenv("ESPALIER_TOT_LOG");
    if (!path)
        skip();
    static const int generated[] = {0, 95, 75, 73, 68}, selected[] = {0, 83, 75, 73, 68};
    static const int causes[SEARCH_CAUSES] = {[SEARCH_CAUSE_RIGHT] = 69,    [SEARCH_CAUSE_NEVER_GENERATED] = 17, [SEARCH_CAUSE_ILLEGAL_STEP] = 2,
                                              [SEARCH_CAUSE_MISJUDGED] = 2, [SEARCH_CAUSE_UNSELECTED] = 10};
    struct search_sessions sessions;
    struct error e;
    struct search_oracle *oracle = search_oracle_open();
    int counts[SEARCH_CAUSES] = {0}, g[5] = {0}, s[5] = {0}, right_alive = 0, right_first = 0;
    if (search_sessions_load(&sessions, path, &e))
        fail_msg("%s", e.message);
    assert_int_equal(sessions.count, 100);
    for (int i = 0; i < sessions.count; i++) {
        struct search_audit audit;
        search_audit_tree(oracle, &sessions.list[i].tree, &audit);
        assert_int_equal(audit.levels, 4);
        for (int level = 1; level <= 4; level++) {
            g[level] += audit.generated[level];
            s[level] += audit.selected[level];
        }
        counts[audit.cause]++;
        right_alive += audit.right_alive;
        right_first += audit.right_first;
    }
    assert_memory_equal(g, generated, sizeof g);
    assert_memory_equal(s, selected, sizeof s);
    assert_memory_equal(counts, causes, sizeof counts);
    assert_int_equal(right_alive, 68);
    assert_int_equal(right_first, 62); /* as the log's own infos[0] count */
    search_sessions_free(&sessions);
    search_oracle_close(oracle);
}

/* --- audits of trees made by hand -------------------------------------------------------------------------------- */

static struct search_tree new_tree(const char *problem)
{
    struct search_tree tree = {0};
    struct search_event *event = made(&tree, SEARCH_EVENT_SESSION);
    event->session.problem = xstrdup(problem);
    event->session.expected = xstrdup("24");
    fold(&tree, event);
    return tree;
}

static void grow(struct search_tree *tree, int node)
{
    made_plan(tree, (struct search_item[]){{.purpose = SEARCH_PROPOSE, .nodes = &node, .count = 1, .samples = 1}}, 1);
    made_completion(tree, 0, 0, 1, -1);
}

/* state NULL: illegal; correct >= 0: final. */
static int step(struct search_tree *tree, int parent, const char *text, const char *left, int correct)
{
    struct search_event *event = made(tree, SEARCH_EVENT_THOUGHT);
    event->thought.node = tree->count;
    event->thought.parent = parent;
    event->thought.text = xstrdup(text);
    event->thought.completion = -1;
    event->thought.illegal = left == NULL;
    event->thought.state = xstrdup(left);
    event->thought.final = correct >= 0;
    event->thought.answer = correct >= 0 ? xstrdup(text) : NULL;
    event->thought.correct = correct;
    fold(tree, event);
    return tree->count - 1;
}

static void check_audit(struct search_tree *tree, enum search_cause cause, int level, int node, const char *trace)
{
    struct search_oracle *oracle = search_oracle_open();
    struct search_audit audit;
    char got[SEARCH_AUDIT_LEVELS + 1];
    search_audit_tree(oracle, tree, &audit);
    trace_of(&audit, got);
    assert_true(audit.known);
    assert_string_equal(search_cause_name(audit.cause), search_cause_name(cause));
    assert_int_equal(audit.level, level);
    assert_int_equal(audit.node, node);
    assert_string_equal(got, trace);
    search_oracle_close(oracle);
    search_tree_free(tree);
}

static void test_audits(void **state)
{
    (void)state;
    /* 4 4 10: only 10 - 4 = 6, 4 * 6 = 24 */
    struct search_tree tree = new_tree("4 4 10");
    check_audit(&tree, SEARCH_CAUSE_UNFINISHED, 1, 0, ""); /* nothing was done yet */

    tree = new_tree("4 4 11");
    check_audit(&tree, SEARCH_CAUSE_UNSOLVABLE, 0, 0, "");

    tree = new_tree("4 4 10");
    grow(&tree, 0);
    step(&tree, 0, "4 + 4 = 8 (left: 8 10)", "8 10", -1);
    check_audit(&tree, SEARCH_CAUSE_NEVER_GENERATED, 1, -1, ".");

    tree = new_tree("4 4 10");
    grow(&tree, 0);
    step(&tree, 0, "4 + 4 = 8 (left: 8 10)", "8 10", -1);
    int illegal = step(&tree, 0, "10 - 4 = 6 (left: 4 4 6)", NULL, -1);
    check_audit(&tree, SEARCH_CAUSE_ILLEGAL_STEP, 1, illegal, ".");

    tree = new_tree("4 4 10");
    grow(&tree, 0);
    int bad = step(&tree, 0, "4 + 4 = 8 (left: 8 10)", "8 10", -1), good = step(&tree, 0, "10 - 4 = 6 (left: 4 6)", "4 6", -1);
    made_value(&tree, 0, bad, 20);
    made_value(&tree, 0, good, 1);
    made_decision(&tree, &bad, 1);
    check_audit(&tree, SEARCH_CAUSE_MISJUDGED, 1, good, "o");

    tree = new_tree("4 4 10");
    grow(&tree, 0);
    bad = step(&tree, 0, "4 + 4 = 8 (left: 8 10)", "8 10", -1), good = step(&tree, 0, "10 - 4 = 6 (left: 4 6)", "4 6", -1);
    made_value(&tree, 0, bad, 20);
    made_value(&tree, 0, good, 20);
    made_decision(&tree, &bad, 1);
    check_audit(&tree, SEARCH_CAUSE_UNSELECTED, 1, good, "o");

    tree = new_tree("4 4 10");
    grow(&tree, 0);
    bad = step(&tree, 0, "4 + 4 = 8 (left: 8 10)", "8 10", -1), good = step(&tree, 0, "10 - 4 = 6 (left: 4 6)", "4 6", -1);
    made_prune(&tree, good);
    made_decision(&tree, &bad, 1);
    check_audit(&tree, SEARCH_CAUSE_PRUNED, 1, good, "o");

    /* kept, then pruned before it was grown */
    tree = new_tree("4 4 10");
    grow(&tree, 0);
    good = step(&tree, 0, "10 - 4 = 6 (left: 4 6)", "4 6", -1);
    made_decision(&tree, &good, 1);
    made_prune(&tree, good);
    check_audit(&tree, SEARCH_CAUSE_PRUNED, 1, good, "+");

    /* kept, and the budget ended there */
    tree = new_tree("4 4 10");
    grow(&tree, 0);
    good = step(&tree, 0, "10 - 4 = 6 (left: 4 6)", "4 6", -1);
    made_decision(&tree, &good, 1);
    made_result(&tree, -1);
    check_audit(&tree, SEARCH_CAUSE_UNFINISHED, 2, good, "+");

    /* a right answer above the last level keeps its place, then loses it */
    tree = new_tree("4 4 10");
    grow(&tree, 0);
    bad = step(&tree, 0, "4 + 4 = 8 (left: 8 10)", "8 10", -1), good = step(&tree, 0, "Answer: (10 - 4) * 4", "24", 1);
    made_value(&tree, 0, bad, 1);
    made_value(&tree, 0, good, 2);
    made_decision(&tree, (int[]){bad, good}, 2);
    grow(&tree, bad);
    int worse = step(&tree, bad, "8 + 10 = 18 (left: 18)", "18", 0);
    made_value(&tree, 0, worse, 20);
    made_decision(&tree, &worse, 1);
    check_audit(&tree, SEARCH_CAUSE_MISJUDGED, 2, good, "++");

    /* chains side by side, and a vote at the end that the wrong answer wins */
    tree = new_tree("4 4 10");
    grow(&tree, 0);
    bad = step(&tree, 0, "4 + 4 = 8 (left: 8 10)", "8 10", -1), good = step(&tree, 0, "10 - 4 = 6 (left: 4 6)", "4 6", -1);
    int wrong = step(&tree, bad, "8 + 10 = 18 (left: 18)", "18", 0), right = step(&tree, good, "4 * 6 = 24 (left: 24)", "24", 1);
    made_decision(&tree, &wrong, 1);
    check_audit(&tree, SEARCH_CAUSE_UNSELECTED, 2, right, "+o");

    /* the same, and the right one wins */
    tree = new_tree("4 4 10");
    grow(&tree, 0);
    good = step(&tree, 0, "10 - 4 = 6 (left: 4 6)", "4 6", -1);
    right = step(&tree, good, "4 * 6 = 24 (left: 24)", "24", 1);
    made_decision(&tree, &right, 1);
    check_audit(&tree, SEARCH_CAUSE_RIGHT, 0, -1, "++");

    /* a task without an exact solver */
    struct search_oracle *oracle = search_oracle_open();
    struct search_audit audit;
    made_session(&tree, "What is 8 * 7?", 1);
    search_audit_tree(oracle, &tree, &audit);
    assert_false(audit.known);
    search_tree_free(&tree);
    search_oracle_close(oracle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_rounding),      cmocka_unit_test(test_wrong_lines), cmocka_unit_test(test_damaged_logs),
        cmocka_unit_test(test_whole_log),       cmocka_unit_test(test_excerpt),     cmocka_unit_test(test_wrong_published),
        cmocka_unit_test(test_samples),         cmocka_unit_test(test_published_log),
        cmocka_unit_test(test_audits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
