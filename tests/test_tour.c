/* The guided tour: on every page it tells of the search that is there, in its own numbers, and asks for no more steps than it needs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/golden.h"
#include "tui/tour.h"

/* The screen as one line: a sentence of the tour may be broken anywhere. */
static int says(struct tui_screen *s, const char *text)
{
    struct string out = {0}, flat = {0};
    tui_screen_draw(s, 80, 24);
    tui_canvas_dump(&s->canvas, &out);
    const char *from = strstr(string_text(&out), "tour ");
    for (const char *p = from ? from : ""; *p; p++)
        if (*p != '\n')
            string_append(&flat, p, 1);
        else if (flat.length && flat.text[flat.length - 1] != ' ' && p[1] != ' ')
            string_append(&flat, " ", 1);
    int found = strstr(string_text(&flat), text) != NULL;
    if (!found)
        printf("no '%s' in:\n%s\n", text, string_text(&flat));
    string_free(&out);
    string_free(&flat);
    return found;
}

static void turn(struct tui_screen *s)
{
    tui_screen_key(s, TUI_KEY_ENTER);
    tui_tour_wants(s);
}

static void test_game24(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_tour t;
    char number[32];
    script_game24_done(&s);
    tui_tour_begin(&t, &s);
    assert_true(says(&s, "tour 1 of 11") && says(&s, "The top line has the task"));
    turn(&s);
    assert_true(says(&s, "a plan") && says(&s, "\"value 2 states\""));
    turn(&s);
    assert_int_equal(s.selected, 1); /* the first thought that is legal */
    int count;
    const struct engine_token *tokens = tui_screen_tokens(&s, 1, &count);
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double)tokens[i].logprob;
    char *mean = xasprintf("Their geometric mean, %s,", tui_probability(exp(sum / count), number));
    assert_true(says(&s, mean));
    free(mean);
    turn(&s);
    assert_ptr_equal(s.focus, &tui_view_thought);
    assert_true(says(&s, "where the model was least sure"));
    for (int i = 0; i < count; i++)
        assert_true(tokens[s.thought.token].logprob <= tokens[i].logprob);
    turn(&s);
    assert_int_equal(s.selected, 4);
    assert_true(says(&s, "1 of 11 thoughts so far are illegal; thought 4: 5 + 6 is 11, not 12"));
    turn(&s);
    assert_true(says(&s, "Of thought 1 it said: sure, sure, likely."));
    assert_true(says(&s, ", 41, is its value"));
    turn(&s);
    assert_ptr_equal(s.focus, &tui_view_siblings);
    assert_true(says(&s, "the judge's value: thought 1 has 41."));
    turn(&s);
    assert_true(tui_screen_shows(&s, &tui_view_thought) && !tui_screen_shows(&s, &tui_view_siblings)); /* what it drove out is back */
    assert_true(says(&s, "\"kept 1 of 1: it holds an answer\""));
    turn(&s);
    assert_true(says(&s, "5*(10-4)-6") && says(&s, "and this is it"));
    turn(&s);
    assert_int_equal(s.selected, 0);
    assert_true(says(&s, "What it cost"));
    turn(&s);
    assert_true(says(&s, "Now it is yours"));
    tui_screen_key(&s, TUI_KEY_BACKSPACE);
    assert_true(says(&s, "What it cost"));
    turn(&s);
    turn(&s);
    assert_null(s.tour);
    tui_tour_free(&t);
    tui_screen_free(&s);
}

static void test_votes(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_tour t;
    script_votes(&s);
    tui_tour_begin(&t, &s);
    for (int i = 0; i < 5; i++)
        turn(&s);
    assert_true(says(&s, "asks no judge"));
    turn(&s);
    assert_true(says(&s, "No judge gave them a number"));
    turn(&s);
    assert_true(says(&s, "56 has 3 of 5"));
    tui_screen_key(&s, TUI_KEY_ESCAPE);
    assert_null(s.tour);
    tui_tour_free(&t);
    tui_screen_free(&s);
}

/* Where a tree is searched, the number it goes down by, of the thought it goes down to. */
static void test_searched(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_tour t;
    script_mcts(&s, "mcts,iterations=10,depth=5,select=uct,w=1,q=mean,evaluate=value");
    tui_tour_begin(&t, &s);
    for (int i = 0; i < 6; i++) {
        assert_true(shows_at(&s, " enter", 40, 12)); /* on the smallest screen, too: how one goes on, and nothing that is not there */
        assert_false(shows_at(&s, "right", 40, 12));
        shows(&s, "");
        turn(&s);
    }
    assert_int_equal(s.selected, 1);
    assert_true(says(&s, "passed through thought 1: 2. Q, .80, is what was found below it, and U, .74,") && says(&s, "Together 1.54."));
    turn(&s);
    assert_true(says(&s, "made a visit: \"visit 2: reward 0.1\"") && says(&s, "a visit keeps and drops nothing"));
    tui_tour_free(&t);
    tui_screen_free(&s);
}

/* A judge that writes nothing: what it was asked, the two words, and why the value is so small. */
static void test_two_words(void **state)
{
    (void)state;
    static const char *const lines[] = {"4 + 5 = 9 (left: 6 9 10)|6 9 10", NULL};
    static const struct { enum search_purpose purpose; const char *labels[2]; double score; const char *says; } judges[] = {
        {SEARCH_SELF_EVALUATION, {"sure 5.768e-05", "impossible 0.9999"}, 5.768e-5,
         "It read \"24: 6 9 10?\". It writes no answer: how probable the word after it is tells more. Of thought 1: sure 5.768e-05, "
         "impossible 0.9999. The value is the first word's part of the two, P(sure) / (P(sure) + P(impossible)) = .000: it holds this thought for lost."},
        {SEARCH_PROCESS_REWARD, {"good 0.9", "bad 0.1"}, .9, "P(good) / (P(good) + P(bad)) = .90."},
        {SEARCH_LIKELIHOOD, {"0.8405 a token", NULL}, .8405, "asks nobody: the value is the mean probability"},
        {SEARCH_AGREEMENT, {"1 of 8", NULL}, .125, "Thought 1 has .12: 1 of 8."},
        {SEARCH_VERIFIER, {"legal", NULL}, 1, "Thought 1 has 1: legal."},
        {SEARCH_ORACLE, {"lost", NULL}, 0, "0 where it is lost. Thought 1 has 0."},
    };
    for (size_t i = 0; i < sizeof judges / sizeof *judges; i++) {
        struct tui_screen s;
        struct tui_tour t;
        script_begin(&s, "game24", "4 5 6 10", "tot,b=3");
        script_plan(&s, "propose from 1 state", SEARCH_PROPOSE, (int[]){0}, 1, 1);
        script_propose(&s, 0, 0, lines);
        script_plan(&s, "judge 1 state", judges[i].purpose, (int[]){1}, 1, 1);
        struct search_event *c = script_make(SEARCH_EVENT_COMPLETION);
        c->completion.prompt = xmalloc(sizeof(int));
        c->completion.prompt[0] = script_word("24: 6 9 10?\n", 12);
        c->completion.prompt_count = 1;
        c->completion.text = xstrdup("");
        script_emit(&s, c);
        struct search_event *e = script_make(SEARCH_EVENT_JUDGEMENT);
        e->judgement.purpose = judges[i].purpose;
        e->judgement.nodes = xcalloc(1, sizeof(int));
        e->judgement.nodes[0] = 1;
        e->judgement.scores = xcalloc(1, sizeof(double));
        e->judgement.scores[0] = judges[i].score;
        e->judgement.count = 1;
        e->judgement.samples = judges[i].labels[1] ? 2 : 1;
        e->judgement.labels = xcalloc(2, sizeof(char *));
        for (int k = 0; k < e->judgement.samples; k++)
            e->judgement.labels[k] = xstrdup(judges[i].labels[k]);
        script_emit(&s, e);
        tui_tour_begin(&t, &s);
        for (int k = 0; k < 5; k++)
            turn(&s);
        assert_true(says(&s, judges[i].says));
        tui_tour_free(&t);
        tui_screen_free(&s);
    }
}

/* It steps only while what a page tells of is not there, and never while the search works. */
static void test_wants(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_tour t;
    struct tui_snapshot paused = script_snapshot(TUI_PAUSED, 1), running = script_snapshot(TUI_STEPPING, 2), again = script_snapshot(TUI_PAUSED, 3);
    script_begin(&s, "game24", "4 5 6 10", "tot,b=3");
    tui_tour_begin(&t, &s);
    tui_screen_snapshot(&s, &paused);
    assert_int_equal(tui_tour_wants(&s).act, TUI_ACT_NONE);
    tui_screen_key(&s, TUI_KEY_ENTER);
    assert_int_equal(tui_tour_wants(&s).act, TUI_ACT_STEP);
    assert_int_equal(tui_tour_wants(&s).act, TUI_ACT_NONE); /* it has not begun yet */
    tui_screen_snapshot(&s, &running);
    assert_int_equal(tui_tour_wants(&s).act, TUI_ACT_NONE);
    assert_true(says(&s, "steps until there is something"));
    tui_screen_key(&s, TUI_KEY_ENTER); /* not yet */
    assert_int_equal(t.page, 1);
    tui_screen_snapshot(&s, &again);
    assert_int_equal(tui_tour_wants(&s).act, TUI_ACT_STEP); /* enter asks again; */
    assert_int_equal(tui_tour_wants(&s).act, TUI_ACT_NONE);
    script_plan(&s, "a step that made no thought", SEARCH_PROPOSE, (int[]){0}, 1, 1);
    assert_int_equal(tui_tour_wants(&s).act, TUI_ACT_STEP); /* so does a step that has shown nothing */
    assert_int_equal(tui_screen_key(&s, 's').act, TUI_ACT_STEP); /* the user's own keys */
    tui_screen_key(&s, ':');
    tui_screen_key(&s, TUI_KEY_ESCAPE); /* leaves the line, not the tour */
    assert_non_null(s.tour);
    tui_tour_free(&t);
    tui_screen_free(&s);
}

static void test_sizes(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_tour t;
    script_game24_done(&s);
    tui_tour_begin(&t, &s);
    for (int page = 0, guard = 0; s.tour && guard < 500; guard++) {
        for (int columns = 1; columns < 130 && !t.top; columns += 13) /* a larger screen shows all of it */
            for (int rows = 1; rows < 40; rows += 3)
                tui_screen_draw(&s, columns, rows);
        tui_screen_draw(&s, 40, 12); /* where a page does not fit, enter shows the rest of it first */
        const int unread = t.lines - t.top - t.rows + 1;
        turn(&s);
        if (s.tour)
            assert_int_equal(t.page, page + (unread <= 0));
        page = t.page;
    }
    assert_null(s.tour);
    tui_tour_free(&t);
    tui_screen_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_game24), cmocka_unit_test(test_votes), cmocka_unit_test(test_searched),
                                       cmocka_unit_test(test_two_words), cmocka_unit_test(test_wants), cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
