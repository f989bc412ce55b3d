/* Screens compared with stored ones, cell by cell, and what a stranger's text can do to them.
 *   test_screen          compare with tests/golden/
 *   test_screen update   write them anew; read the difference before you commit it
 *   test_screen hostile  ten times as much of a stranger's text
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/golden.h"
#include "tests/hostile_text.h"
#include "tui/keymap.h"
#include "tui/race.h"
#include "tui/words.h"

static uint64_t strings = 100000;

static void test_running(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    compare(&s, "running", 200, 50);
    compare(&s, "running", 80, 24);
    compare(&s, "running", 40, 12);
    s.canvas.ascii = 1;
    compare(&s, "running-ascii", 80, 24);
    compare(&s, "running-ascii", 40, 12);
    tui_screen_free(&s);
}

static void test_done(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24_done(&s);
    compare(&s, "done", 200, 50);
    compare(&s, "done", 80, 24);
    compare(&s, "done", 40, 12);
    press(&s, "g");
    compare(&s, "done-problem", 80, 24);
    tui_screen_free(&s);
}

static void test_thought(void **state)
{
    (void)state;
    struct tui_screen s;
    script_votes(&s);
    compare(&s, "votes", 80, 24);
    press(&s, "gjj\tllllll");
    compare(&s, "votes-token", 80, 24);
    compare(&s, "votes-token", 40, 12);
    press(&s, "\033g");
    compare(&s, "votes-problem", 80, 24);
    tui_screen_free(&s);
}

/* Of each thought stands there what was decided about that thought: by a choice it is kept or not, by a visit neither; and its star agrees. */
static void test_decisions(void **state)
{
    (void)state;
    struct tui_screen s;
    script_mcts(&s, "mcts,iterations=4,depth=5,select=puct,w=1,q=max,generate=propose,evaluate=value");
    press(&s, "1G");
    assert_true(shows(&s, "latest visit") && shows(&s, "N 2 of 3 visits, Q .80") && shows(&s, "visit 5: reward 0.9"));
    assert_false(shows(&s, "kept"));
    press(&s, "2G");
    assert_true(shows(&s, "N 1 of 3 visits, Q .10") && shows(&s, "visit 2: reward 0.1") && !shows(&s, "★"));
    press(&s, "3G"); /* never visited: nothing was decided about it */
    assert_false(shows(&s, "latest visit") || shows(&s, " visits") || shows(&s, "kept") || shows(&s, "decision"));
    int64_t c = script_completion(&s, 0, 0, "24");
    const int answer = script_thought(&s, 5, c, 0, 1, "24", NULL, "24", 1, NULL);
    script_visit(&s, (int[]){answer, 5, 1, 0}, 4, 1);
    script_decide(&s, "the only answer visited, mean reward 1", &answer, 1);
    script_result(&s, "24", answer, 1, "the only answer visited");
    press(&s, "7G");
    assert_true(shows(&s, "decision: kept ★") && shows(&s, "N 1 of 4 visits") && shows(&s, "the only answer visited, mean"));
    press(&s, "5G");
    assert_true(shows(&s, "latest visit") && shows(&s, "visit 7: reward 1") && shows(&s, "N 2 of 4"));
    tui_screen_free(&s);
    script_game24_done(&s);
    press(&s, "3G");
    assert_true(shows(&s, "decision: not kept") && shows(&s, "kept 3 of 4 by value"));
    press(&s, "5G"); /* kept, and then no other was about it */
    assert_true(shows(&s, "decision: kept ★") && shows(&s, "kept 3 of 4 by value"));
    tui_screen_free(&s);
    script_begin(&s, "game24", "4 5 6 10", "self-consistency,m=2"); /* a vote is about where paths end */
    for (int i = 0, parent = 0; i < 2; i++)
        parent = script_thought(&s, parent, script_completion(&s, 0, 0, "a b"), 0, 2, "a b", NULL, i ? "24" : NULL, 1, NULL);
    script_decide(&s, "plurality 1 of 1: 24", (int[]){2}, 1);
    press(&s, "1G");
    assert_false(shows(&s, "decision"));
    press(&s, "2G");
    assert_true(shows(&s, "decision: kept ★"));
    tui_screen_free(&s);
}

static void test_pruned(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24_done(&s);
    script_prune(&s, 1);
    press(&s, "gjh");
    compare(&s, "pruned", 80, 24);
    press(&s, "l");
    compare(&s, "pruned-open", 80, 24);
    tui_screen_free(&s);
}

static void test_others(void **state)
{
    (void)state;
    struct tui_screen s;
    tui_screen_open(&s);
    s.asked = "4 5 6 10";
    s.model = "smollm2-135m.gguf";
    compare(&s, "loading", 80, 24);
    compare(&s, "loading", 40, 12);
    compare(&s, "too-small", 39, 12);
    compare(&s, "too-small", 80, 11);
    compare(&s, "too-small", 20, 5);
    compare(&s, "too-small", 1, 1);
    press(&s, "?");
    compare(&s, "help", 80, 24);
    compare(&s, "help", 40, 12);
    tui_screen_free(&s);
    script_game24(&s);
    struct tui_snapshot failed = script_snapshot(TUI_FAILED, 12);
    error_set(&failed.failure, ERROR_ENGINE, "no memory for a single branch: 4096 bytes a token, 64 MB in all");
    tui_screen_snapshot(&s, &failed);
    compare(&s, "failed", 80, 24);
    tui_screen_free(&s);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static void test_keys(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    tui_screen_draw(&s, 80, 24);
    assert_int_equal(tui_screen_key(&s, ' ').act, TUI_ACT_PAUSE); /* it runs */
    press(&s, "5");
    struct tui_action step = tui_screen_key(&s, 's');
    assert_int_equal(step.act, TUI_ACT_STEP);
    assert_int_equal(step.number, 5);
    press(&s, "g");
    assert_int_equal(s.selected, 0);
    assert_false(s.follow);
    assert_int_equal(tui_screen_key(&s, 'p').act, TUI_ACT_NONE); /* not the root, and it says so */
    assert_true(s.notice[0]);
    press(&s, "j");
    assert_int_equal(s.selected, 1);
    struct tui_action prune = tui_screen_key(&s, 'p');
    assert_int_equal(prune.act, TUI_ACT_DO);
    assert_string_equal(prune.words, "prune 1");
    press(&s, "h"); /* folded: the row after it is its sibling */
    press(&s, "j");
    assert_int_equal(s.selected, 2);
    press(&s, "j"); /* the row of what is being written below 2 is passed over */
    assert_int_equal(s.selected, 3);
    press(&s, "kk");
    assert_int_equal(s.selected, 1);
    press(&s, "llhh");
    assert_int_equal(s.selected, 1); /* opened, entered, back, folded */
    assert_false(s.outline.nodes[1].open);
    press(&s, "7G");
    assert_int_equal(s.selected, 7);
    assert_true(s.outline.nodes[1].open);
    press(&s, "999999999j");
    assert_int_equal(s.selected, 5); /* the last node, not what is written below it */
    press(&s, "3k.");
    assert_true(s.follow);
    assert_int_equal(tui_screen_key(&s, 'q').act, TUI_ACT_QUIT);
    assert_int_equal(tui_screen_key(&s, 'C' - TUI_KEY_CONTROL).act, TUI_ACT_PAUSE);
    struct tui_snapshot paused = script_snapshot(TUI_PAUSED, 12);
    tui_screen_snapshot(&s, &paused);
    const struct tui_action quit = tui_screen_key(&s, 'C' - TUI_KEY_CONTROL);
    assert_true(quit.act == TUI_ACT_QUIT && quit.number == 1 && tui_screen_key(&s, 'q').number == 0); /* at once; where something is lost not at once */
    tui_screen_free(&s);
}

/* Any keys in any order, drawn at any size: nothing but the sanitizers to answer to. */
static void test_any_keys(void **state)
{
    (void)state;
    static const int32_t keys[] = {'j', 'k', 'h', 'l', 'g', 'G', ' ', 's', 'p', 'u', 'U', '.', '?', '\t', '\r', 27, '3', '0', 'x', 'K', 'e', 'a', 'E', 'r', 'f', 'w', 'b', 'B', '[', ']', '{', '}', ':', TUI_KEY_BACKSPACE, TUI_KEY_DELETE,
                                   TUI_KEY_PASTE_BEGINS, TUI_KEY_PASTE_ENDS, 0x4e2d, 0x301, TUI_KEY_UP, TUI_KEY_DOWN,
                                   TUI_KEY_LEFT, TUI_KEY_RIGHT, TUI_KEY_HOME, TUI_KEY_END, TUI_KEY_PAGE_UP, TUI_KEY_PAGE_DOWN, TUI_KEY_RESIZE, 0x1f600};
    struct tui_screen s;
    for (int round = 0; round < 4; round++) {
        (round == 0 ? script_game24 : round == 1 ? script_game24_done : script_votes)(&s);
        s.canvas.ascii = round == 3;
        for (uint64_t i = 0; i < 3000; i++) {
            tui_screen_key(&s, keys[(size_t)(random_uniform(1, (uint64_t)round, 3 * i) * (sizeof keys / sizeof *keys))]);
            if (i % 3 == 0)
                tui_screen_draw(&s, 1 + (int)(random_uniform(1, (uint64_t)round, 3 * i + 1) * 120), 1 + (int)(random_uniform(1, (uint64_t)round, 3 * i + 2) * 40));
            if (i % 500 == 0 && round == 1)
                script_prune(&s, 1 + (int)i / 500);
        }
        tui_screen_free(&s);
    }
}

/* --- acts, lines, time -------------------------------------------------------------------------------------------- */

static void does(struct tui_screen *s, int32_t key, const char *words)
{
    struct tui_action a = tui_screen_key(s, key);
    assert_int_equal(a.act, words ? TUI_ACT_DO : TUI_ACT_NONE);
    if (words)
        assert_string_equal(a.words, words);
}

static struct search_event *script_act(struct tui_screen *s, enum search_event_kind kind, int64_t target)
{
    struct search_event *e = script_make(kind);
    if (kind == SEARCH_EVENT_BACK)
        e->back.target = target;
    else
        e->undo.target = target;
    script_emit(s, e);
    return e;
}

static void test_acts(void **state)
{
    (void)state;
    struct tui_screen s;
    script_votes(&s);
    press(&s, "gj");
    does(&s, 'K', "keep 1");
    struct search_event *e = script_make(SEARCH_EVENT_KEEP);
    e->keep.node = e->keep.on = 1;
    script_emit(&s, e);
    assert_true(shows(&s, "◆ Eight"));
    does(&s, 'K', "unkeep 1");
    does(&s, 'x', "exclude 1");
    e = script_make(SEARCH_EVENT_REVOTE);
    e->revote.excluded = xmalloc(sizeof(int));
    e->revote.excluded[0] = e->revote.count = 1;
    e->revote.weight = xstrdup("normalised");
    script_emit(&s, e);
    assert_true(shows(&s, "◆ ⊘ Eight"));
    does(&s, 'x', "include 1");
    does(&s, 'w', "weight plurality");
    does(&s, 'v', NULL);
    assert_non_null(strstr(s.notice, "no judge was asked"));
    does(&s, 'b', "back");
    does(&s, 'u', "undo");
    does(&s, 'U', "redo");
    (void)script_act(&s, SEARCH_EVENT_UNDO, e->number);
    char *text = tui_event_text(&s.tree, s.tree.events[s.tree.event_count - 1]);
    assert_string_equal(text, "revote 1 without a vote, by normalised");
    free(text);
    press(&s, "g");
    does(&s, 'r', "again 0");
    does(&s, 'K', NULL);
    does(&s, 'x', NULL);
    assert_non_null(strstr(s.notice, "no answer"));
    press(&s, "j");
    assert_int_equal(tui_screen_key(&s, 'E').act, TUI_ACT_EDITOR);
    tui_screen_free(&s);
    script_game24(&s);
    press(&s, "gj");
    does(&s, 'w', NULL);
    assert_non_null(strstr(s.notice, "self-consistency"));
    tui_screen_free(&s);
}

static void test_fork(void **state)
{
    (void)state;
    struct tui_screen s;
    script_votes(&s);
    press(&s, "gjfl");
    assert_true(s.thought.forking && s.thought.token == 1);
    const struct engine_token *t = &s.tree.nodes[1].completion->completion.tokens[1];
    int first = t->top[0].id == t->id ? 1 : 0, second = first + 1;
    second += t->top[second].id == t->id;
    assert_int_equal(s.thought.choice, first);
    assert_true(shows(&s, "fork here"));
    press(&s, "j");
    assert_int_equal(s.thought.choice, second);
    press(&s, "k");
    char *words = xasprintf("fork 1 1 %d", t->top[first].id);
    does(&s, '\r', words);
    free(words);
    assert_false(s.thought.forking);
    press(&s, "f\033");
    assert_false(s.thought.forking);
    tui_screen_free(&s);
}

static void test_line(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    press(&s, "gje");
    assert_true(shows(&s, "edit 1 10 - 4 = 6 (left: 5 6 6)"));
    does(&s, '\r', NULL); /* as it was */
    press(&s, "e\025");
    tui_screen_key(&s, 0x4e2d);
    press(&s, "ab cd");
    tui_screen_key(&s, 0x301); /* joins the d */
    tui_screen_key(&s, TUI_KEY_LEFT);
    tui_screen_key(&s, TUI_KEY_DELETE);
    tui_screen_key(&s, TUI_KEY_PASTE_BEGINS);
    press(&s, "x\r\n\tq\033");
    tui_screen_key(&s, TUI_KEY_PASTE_ENDS);
    tui_screen_draw(&s, 40, 12);
    tui_screen_draw(&s, 20, 5);
    tui_screen_draw(&s, 80, 24);
    tui_screen_key(&s, TUI_KEY_RESIZE);
    does(&s, '\r', "edit 1 \xe4\xb8\xad" "ab cx q");
    press(&s, "a1 2");
    tui_screen_key(&s, TUI_KEY_HOME);
    press(&s, "0");
    tui_screen_key(&s, TUI_KEY_END);
    press(&s, "z\027");
    tui_screen_key(&s, TUI_KEY_BACKSPACE);
    does(&s, '\r', "add 1 01");
    press(&s, "ax\033");
    assert_false(s.ask.what);
    tui_screen_key(&s, TUI_KEY_PASTE_BEGINS); /* without a line it is nothing */
    press(&s, "q:p");
    tui_screen_key(&s, TUI_KEY_PASTE_ENDS);
    assert_false(s.ask.what);
    press(&s, ":unk\t7");
    does(&s, '\r', "unkeep 7");
    press(&s, ":x");
    tui_screen_key(&s, TUI_KEY_UP);
    assert_string_equal(s.ask.line.text.text, "unkeep 7");
    tui_screen_key(&s, TUI_KEY_DOWN);
    assert_string_equal(s.ask.line.text.text, "x");
    press(&s, "\033:at 9999\r");
    assert_non_null(strstr(s.notice, "expected the number of an event"));
    press(&s, ":q");
    assert_int_equal(tui_screen_key(&s, '\r').act, TUI_ACT_QUIT);
    tui_screen_free(&s);
}

/* What there is no room for is not dropped without a word. */
static void test_full_line(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    press(&s, ":");
    tui_screen_key(&s, TUI_KEY_PASTE_BEGINS);
    for (int i = 0; i < TUI_LINE_MOST; i++)
        tui_screen_key(&s, 'x');
    assert_string_equal(s.notice, "");
    tui_screen_key(&s, 0xe9);
    tui_screen_key(&s, 'y');
    tui_screen_key(&s, TUI_KEY_PASTE_ENDS);
    assert_non_null(strstr(s.notice, "16 KiB, and 3 bytes more are left out"));
    tui_screen_key(&s, TUI_KEY_BACKSPACE);
    assert_string_equal(s.notice, "");
    assert_int_equal(s.ask.line.text.length, TUI_LINE_MOST - 1);
    char *longer = xmalloc(TUI_LINE_MOST + 3);
    memset(longer, 'x', TUI_LINE_MOST - 1);
    strcpy(longer + TUI_LINE_MOST - 1, "\xe4\xb8\xad"); /* it would be cut in its middle */
    tui_ask_open(&s, TUI_ASKS_EDIT, 1, longer);
    assert_int_equal(s.ask.line.text.length, TUI_LINE_MOST - 1);
    assert_non_null(strstr(s.notice, "16 KiB, and 3 bytes more are left out"));
    free(longer);
    tui_screen_free(&s);
}

/* A line opens where nothing can come of it, too: what one types after e or a is never taken for commands. */
static void write_in_vain(struct tui_screen *s, const char *key, const char *why)
{
    press(s, key);
    for (const char *k = "pqbX! 9\t"; *k; k++)
        does(s, *k, NULL);
    assert_true(s->ask.what);
    assert_true(shows(s, why)); /* as long as one writes */
    does(s, '\r', NULL);
    assert_false(s->ask.what);
    assert_true(shows(s, why)); /* and then */
    press(s, key);
    does(s, '\033', NULL);
    assert_false(s->ask.what);
    assert_false(shows(s, why));
}

/* c goes on where there is one search; o goes to the end of a path. */
static void test_go_on(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_snapshot now = {.state = TUI_PAUSED, .time = 1};
    script_game24(&s);
    tui_screen_snapshot(&s, &now);
    assert_int_equal(tui_screen_key(&s, 'c').act, TUI_ACT_RUN);
    assert_int_equal(tui_screen_key(&s, 'o').act, TUI_ACT_FINISH);
    assert_int_equal(tui_command(&s, "finish").act, TUI_ACT_FINISH);
    now = (struct tui_snapshot){.state = TUI_RUNNING, .time = 2};
    tui_screen_snapshot(&s, &now);
    assert_int_equal(tui_screen_key(&s, 'c').act, TUI_ACT_NONE);
    assert_non_null(strstr(s.notice, "goes on already"));
    press(&s, "[");
    assert_int_equal(tui_screen_key(&s, 'o').act, TUI_ACT_NONE); /* not in the past */
    assert_int_equal(tui_command(&s, "finish").act, TUI_ACT_NONE);
    tui_screen_free(&s);
}

/* Where scores are summed by answer, w is that. */
static void test_weighted(void **state)
{
    (void)state;
    struct tui_screen s;
    script_mcts(&s, "best-of-n,n=4,weighted=0,evaluate=value");
    does(&s, 'w', "set weighted=1");
    tui_screen_free(&s);
    script_mcts(&s, "dvts,n=4,weighted=1");
    does(&s, 'w', "set weighted=0");
    tui_screen_free(&s);
    script_mcts(&s, "mcts,iterations=10");
    does(&s, 'w', NULL);
    tui_screen_free(&s);
}

static void test_in_vain(void **state)
{
    (void)state;
    struct tui_screen s;
    tui_screen_open(&s);
    write_in_vain(&s, "a", "has not begun");
    write_in_vain(&s, "e", "has not begun");
    tui_screen_free(&s);
    script_game24(&s);
    press(&s, "4G");
    write_in_vain(&s, "a", "the path has ended here");
    press(&s, "g");
    write_in_vain(&s, "e", "the problem itself");
    press(&s, "2G");
    struct search_event *e = script_make(SEARCH_EVENT_PRUNE);
    e->prune.node = 2;
    script_emit(&s, e);
    write_in_vain(&s, "a", "it is pruned");
    does(&s, 'P', "restore 2");
    press(&s, "4G");
    does(&s, 'P', NULL);
    assert_non_null(strstr(s.notice, "not pruned"));
    press(&s, "2G");
    press(&s, "1G[");
    write_in_vain(&s, "e", "this is the past");
    press(&s, "}1Ga");
    press(&s, "x");
    does(&s, '\r', "add 1 x"); /* and where it can: */
    tui_screen_free(&s);
}

static void test_past(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24_done(&s);
    int64_t all = s.tree.event_count, last = all - 2; /* the decision before the result */
    int nodes = s.tree.count;
    press(&s, "[");
    assert_true(s.past.on);
    assert_int_equal(s.tree.event_count, last);
    assert_true(shows(&s, "the past") && shows(&s, "kept 1 of 1"));
    does(&s, 'p', NULL);
    assert_non_null(strstr(s.notice, "past"));
    assert_int_equal(tui_screen_key(&s, ' ').act, TUI_ACT_NONE);
    script_prune(&s, 2); /* goes on unseen */
    assert_int_equal(s.tree.event_count, last);
    press(&s, "{");
    assert_int_equal(s.tree.count, 1);
    assert_true(shows(&s, "the beginning"));
    press(&s, "2]");
    assert_int_equal(s.tree.event_count, 25); /* session, plan, completion, five thoughts, plan, 4 * (3 + 1) judged: then the decision */
    press(&s, "}");
    assert_false(s.past.on);
    assert_int_equal(s.tree.count, nodes);
    assert_true(search_tree_is_pruned(&s.tree, 2));
    press(&s, "[");
    char *words = xasprintf("back %d", (int)last);
    does(&s, 'B', words);
    free(words);
    assert_false(s.past.on);
    tui_screen_free(&s);
}

/* --- the past in slices ------------------------------------------------------------------------------------------ */

static void work(struct tui_screen *s)
{
    do
        tui_screen_work(s);
    while (s->busy);
}

/* Of more events than a slice takes: plans, judgements, decisions, tombstones, and steps taken back. */
static void script_large(struct tui_screen *s, int acts)
{
    static const char *const texts[] = {"10 - 4 = 6 (left: 5 6 6)", "4 * 6 = 24 (left: 5 10 24)", "5 + 6 = 11 (left: 4 10 11)"};
    static const char *const labels[3] = {"sure", "likely", "impossible"};
    script_begin(s, "game24", "4 5 6 10", "tot");
    for (int i = 1; i < 6000; i++) {
        const int node = script_thought(s, (i * 7) % ((i + 3) / 4), -1, 0, 0, texts[i % 3], i % 4 ? "5 6 6" : NULL, NULL, -1, NULL);
        if (i % 50 == 0)
            script_plan(s, "value 1 state", SEARCH_VALUE, (int[]){node}, 1, 3);
        if (i % 100 == 0) {
            script_judge(s, 0, node, labels, i % 41);
            script_decide(s, "kept 1", (int[]){node}, 1);
        }
        if (acts && i % 1500 == 0)
            script_prune(s, node);
    }
}

static void check_known(const struct tui_known *k, const struct search_tree *tree, const struct tui_known *plain)
{
    assert_int_equal(k->decision_count, plain->decision_count);
    int decisions = 0; /* those in force, in order */
    for (int64_t i = 0; i < tree->event_count; i++)
        if (tree->events[i]->kind == SEARCH_EVENT_DECISION && !tree->out[i])
            assert_ptr_equal(k->decisions[decisions++], tree->events[i]);
    assert_int_equal(k->decision_count, decisions);
    assert_int_equal(k->progress_count, plain->progress_count);
    assert_true(k->best == plain->best && k->judged == plain->judged && k->tokens == plain->tokens && k->right_at == plain->right_at);
    assert_int_equal(k->to_write, plain->to_write);
}

/* Whatever moment is shown, of now is known what would be without going through time. */
static void check_known_now(const struct tui_screen *s)
{
    const struct search_tree *tree = tui_past_latest(s);
    struct tui_screen plain;
    tui_screen_open(&plain);
    for (int64_t i = 0; i < tree->event_count; i++) {
        tui_screen_event(&plain, tree->events[i]);
        work(&plain);
    }
    check_known(tui_past_known(s), tree, &plain.known);
    tui_screen_free(&plain);
}

/* The same events taken one after the other, without any going through time. */
static void check_same(const struct tui_screen *s, struct search_event *const *events, int64_t count)
{
    struct tui_screen plain;
    struct search_tree folded = {0};
    tui_screen_open(&plain);
    for (int64_t i = 0; i < count; i++) {
        search_tree_fold(&folded, events[i]);
        tui_screen_event(&plain, events[i]);
        work(&plain);
    }
    tui_outline_select(&plain.outline, s->selected);
    const struct search_tree *a = &s->tree, *b = &folded;
    assert_int_equal(a->event_count, count);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->undo_count, b->undo_count);
    assert_int_equal(a->redo_count, b->redo_count);
    assert_int_equal(a->steps, b->steps);
    assert_int_equal(search_tree_steps(a), search_tree_steps(b));
    assert_int_equal(a->step_open, b->step_open);
    assert_int_equal(a->kept_count, b->kept_count);
    assert_memory_equal(a->out, b->out, (size_t)count);
    for (int i = 0; i < a->count; i++) {
        const struct search_node *x = &a->nodes[i], *y = &b->nodes[i];
        assert_true(x->parent == y->parent && x->state == y->state && x->pruned == y->pruned && x->gone == y->gone && x->kept == y->kept &&
                    x->descendants == y->descendants && x->thought == y->thought && x->judgement == y->judgement && x->same == y->same);
        assert_int_equal(s->outline.nodes[i].rows, plain.outline.nodes[i].rows);
    }
    assert_int_equal(s->outline.count, plain.outline.count);
    for (int row = 0; row < tui_outline_rows(&plain.outline); row += 97)
        assert_int_equal(tui_outline_at(&s->outline, row).node, tui_outline_at(&plain.outline, row).node);
    check_known(&s->known, &folded, &plain.known);
    search_tree_free(&folded);
    tui_screen_free(&plain);
}

/* No key waits for another moment: what was shown stays until it is there, keys go on, and it is what it would be without slices. */
static void test_past_slices(void **state)
{
    (void)state;
    struct tui_screen s;
    script_large(&s, 1);
    const int64_t all = s.tree.event_count;
    press(&s, "[");
    assert_true(s.busy && !s.past.on && s.tree.event_count == all);
    assert_true(shows(&s, "… to"));
    press(&s, "[["); /* from where it is going, not from what is shown */
    const int64_t third = tui_past_at(&s);
    press(&s, "gjj");
    assert_int_equal(s.tree.event_count, all); /* what was shown; and it can be walked */
    work(&s);
    assert_true(s.past.on && s.tree.event_count == third);
    check_same(&s, tui_past_latest(&s)->events, third);
    press(&s, "h"); /* a fold made here stays */
    script_prune(&s, 7);
    script_decide(&s, "kept 1", (int[]){9}, 1);
    check_known_now(&s);
    press(&s, "40[");
    work(&s);
    press(&s, "]20]5[");
    work(&s);
    assert_true(s.past.on);
    press(&s, "}");
    assert_true(s.past.on && s.busy);
    script_prune(&s, 11); /* comes meanwhile, and waits */
    assert_int_equal(tui_past_count(&s), all + 2);
    work(&s);
    assert_false(s.past.on);
    for (int i = 0; i < s.tree.count; i++)
        tui_outline_set_open(&s.outline, i, 1);
    check_same(&s, s.tree.events, all + 3);
    assert_true(s.tree.nodes[7].pruned && s.tree.nodes[11].pruned);
    press(&s, "["); /* and back before it is there */
    press(&s, "}");
    work(&s);
    assert_true(!s.past.on && s.tree.event_count == all + 3);
    tui_screen_free(&s);
}

/* A step taken back and that undone, with events that come meanwhile; now, and while the user looks at the past. */
static void test_back_slices(void **state)
{
    (void)state;
    for (int past = 0; past < 2; past++) {
        struct tui_screen s;
        script_large(&s, 1);
        const int64_t all = s.tree.event_count;
        int64_t place = all - 900;
        while (!tui_past_is_place(&s.tree, place))
            place--;
        if (past)
            press(&s, "9[");
        work(&s);
        (void)script_act(&s, SEARCH_EVENT_BACK, place);
        assert_int_equal(tui_past_count(&s), all); /* not yet */
        (void)script_act(&s, SEARCH_EVENT_UNDO, all);
        script_prune(&s, 5);
        tui_screen_draw(&s, 80, 24);
        work(&s);
        assert_int_equal(tui_past_count(&s), all + 3);
        check_known_now(&s);
        press(&s, "}");
        work(&s);
        assert_false(s.past.on);
        check_same(&s, s.tree.events, all + 3);
        (void)script_act(&s, SEARCH_EVENT_BACK, place);
        press(&s, "["); /* before it is there: that goes first, then this */
        work(&s);
        assert_true(s.past.on);
        assert_int_equal(tui_past_count(&s), all + 4);
        press(&s, "}");
        work(&s);
        check_same(&s, s.tree.events, all + 4);
        (void)script_act(&s, SEARCH_EVENT_UNDO, all + 3); /* given up in the middle */
        tui_screen_work(&s);
        tui_screen_free(&s);
    }
}

/* Nodes go and come back: the selection is at the nearest that is there. */
/* Stopped by a breakpoint: it is told where and why, once; and the user is where it happened. */
static void test_broke(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24_done(&s);
    press(&s, "g");
    for (int hits = 1; hits < 3; hits++) {
        struct tui_snapshot now = script_snapshot(TUI_PAUSED, 13);
        now.breakpoints = xstrdup("wrong, depth=2");
        now.broke = xstrdup("wrong: thought 4 is illegal: \033[31m");
        now.broke_at = 4;
        now.hits = hits;
        tui_screen_snapshot(&s, &now);
        assert_int_equal(s.selected, hits == 1 ? 4 : 0);
        if (hits == 1) /* in the past a line tells */
            assert_true(shows(&s, "stopped wrong: thought 4 is illegal: ") && shows(&s, "! wrong, depth=2"));
        else
            assert_true(shows(&s, "the past") && shows(&s, "wrong: thought 4 is illegal"));
        press(&s, "g");
        now = script_snapshot(TUI_PAUSED, 14); /* the same, told again: it is not taken there again */
        now.broke = xstrdup("wrong: thought 4 is illegal");
        now.broke_at = 4;
        now.hits = hits;
        tui_screen_snapshot(&s, &now);
        assert_int_equal(s.selected, 0);
        press(&s, "[");
    }
    struct tui_snapshot gone = script_snapshot(TUI_RUNNING, 15);
    press(&s, "}");
    tui_screen_snapshot(&s, &gone);
    assert_false(shows(&s, "broke") || shows(&s, "! wrong"));
    tui_screen_free(&s);
}

/* Where the title has room for the row and how many there are, it has room for all of that. */
static void test_many_rows(void **state)
{
    (void)state;
    struct tui_screen s;
    int told = 0;
    script_begin(&s, "game24", "4 5 6 10", "tot,b=3");
    for (int i = 0; i < 1233; i++) {
        char *text = xasprintf("%d - 4 = 6", i);
        script_thought(&s, 0, -1, 0, 0, text, "5 6 10 12 14 16", NULL, -1, NULL);
        free(text);
    }
    for (int columns = 40; columns < 130; columns++) {
        const int some = shows_at(&s, " tree 1", columns, 24);
        assert_true(!some || shows_at(&s, "1,234 of 1,234 ", columns, 24));
        told += some;
    }
    assert_true(told > 30);
    tui_screen_free(&s);
}

/* Does the key do anything there? */
static int does_something(struct tui_screen *s, int32_t key)
{
    struct string before = {0}, after = {0};
    do
        tui_screen_draw(s, 100, 30);
    while (s->busy);
    tui_screen_key(s, TUI_KEY_OTHER); /* what was told is told no more */
    assert_string_equal(s->notice, s->ask.what ? "" : "this is no key here; ? shows them");
    s->notice[0] = '\0';
    tui_screen_draw(s, 100, 30);
    tui_canvas_dump(&s->canvas, &before);
    tui_canvas_dump_roles(&s->canvas, &before);
    const int acts = tui_screen_key(s, key).act != TUI_ACT_NONE;
    tui_screen_draw(s, 100, 30);
    tui_canvas_dump(&s->canvas, &after);
    tui_canvas_dump_roles(&s->canvas, &after);
    const int changed = strcmp(before.text, after.text) != 0 && !strstr(s->notice, " is no key here; ? shows them");
    string_free(&before);
    string_free(&after);
    return acts || changed;
}

/* Of a view that has the keys, after those of before. */
static int does_in_view(int script, const struct tui_view *view, const char *before, int32_t key)
{
    struct tui_screen s;
    if (script == 0)
        script_game24(&s);
    else if (script == 1)
        script_votes(&s);
    else
        script_mcts(&s, "mcts,iterations=10,depth=5,select=uct,w=1,q=max,generate=propose,evaluate=value,answer=best");
    tui_screen_draw(&s, 100, 30);
    tui_screen_focus(&s, view);
    press(&s, before);
    const int does = does_something(&s, key);
    tui_screen_free(&s);
    return does;
}

static int does_anywhere(int32_t key, size_t most)
{
    static const char *const befores[] = {"", "2G", "2G[", "[[", "/left\r", "S", "maj", "gl", "zGk", "\r", "II", ":a b", ":a b\001"};
    for (int script = 0; script < 3; script++)
        for (int v = 0; tui_view_at(v); v++)
            for (size_t i = 0; i < sizeof befores / sizeof *befores && i < most; i++)
                if (does_in_view(script, tui_view_at(v), befores[i], key))
                    return 1;
    return 0;
}

/* Each key that the help names does something somewhere; each that does something is named there. c and C are a race's, and M a large tree's. */
static void test_help(void **state)
{
    (void)state;
    static const struct { const char *name; int32_t key; } names[] = {
        {"space", ' '}, {"tab", TUI_KEY_TAB}, {"enter", TUI_KEY_ENTER}, {"esc", TUI_KEY_ESCAPE}, {"pgup", TUI_KEY_PAGE_UP}, {"pgdn", TUI_KEY_PAGE_DOWN},
        {"↓", TUI_KEY_DOWN}, {"↑", TUI_KEY_UP}, {"←", TUI_KEY_LEFT}, {"→", TUI_KEY_RIGHT},
    };
    char known[128] = {0};
    int checked = 0;
    for (const struct tui_help_line *line = tui_help_lines; strcmp(line->keys, "signs"); line++) {
        char *keys = xstrdup(line->does && strcmp(line->keys, "mouse") ? line->keys : ""), *rest = NULL;
        for (char *word = strtok_r(keys, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
            int32_t key = !word[1] ? word[0] : *word == '^' ? word[1] - TUI_KEY_CONTROL : 0;
            for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                key = strcmp(names[i].name, word) ? key : names[i].key;
            if (!key || (key != 'c' && key != 'C' && key != 'M' && !does_anywhere(key, SIZE_MAX)))
                fail_msg("the help names '%s', which does nothing: %.60s", word, line->does);
            checked++;
            if (key < 128)
                known[key] = 1;
        }
        free(keys);
    }
    assert_true(checked > 80);
    for (int32_t key = ' '; key < 127; key++)
        if (!known[key] && !(key >= '0' && key <= '9') && key != '=' && does_anywhere(key, 2)) /* =: + without shift */
            fail_msg("'%c' does something, and the help does not name it", key);
}

/* Whatever lies over the panes, keys that begin a text open its line, and what follows is text; other keys only close it, or are its own. */
static void test_over(void **state)
{
    (void)state;
    static const char *const over[] = {"?", "V", "W", ":help\r"};
    struct tui_screen s;
    script_game24_done(&s);
    for (size_t i = 0; i < sizeof over / sizeof *over; i++) {
        const int selected = s.selected;
        press(&s, over[i]);
        tui_screen_draw(&s, 40, 12);
        assert_non_null(s.overlay);
        press(&s, ":prune 5");
        assert_true(!s.overlay && s.ask.what == TUI_ASKS_COMMAND);
        assert_string_equal(string_text(&s.ask.line.text), "prune 5");
        press(&s, "\033");
        press(&s, over[i]);
        press(&s, "/p u");
        assert_true(s.ask.what == TUI_ASKS_FIND);
        press(&s, "\033");
        press(&s, over[i]);
        assert_true(tui_screen_key(&s, 'u').act == TUI_ACT_NONE && !s.overlay && s.selected == selected);
    }
    assert_false(tui_screen_takes_letter(&s)); /* of one's own keys what stands in the list of views, or names a mark, is none */
    press(&s, "V");
    assert_true(tui_screen_takes_letter(&s));
    press(&s, "\033m");
    assert_true(tui_screen_takes_letter(&s));
    press(&s, "a");
    assert_false(tui_screen_takes_letter(&s));
    tui_screen_free(&s);
}

/* What the pane with the keys takes stands first, then the user's own keys, then all others, once each. In a pane of its own the help is what it was. */
static void test_help_here(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_binding own[] = {{.key = 'J', .from = "J", .to = "10j"}, {.key = 'Q', .from = "Q", .to = "none"}};
    const struct tui_keymap keymap = {own, 2, 2};
    script_game24_done(&s);
    s.keymap = &keymap;
    for (int v = 0; tui_view_at(v); v++) {
        const struct tui_view *view = tui_view_at(v);
        struct string out = {0};
        int of_own = 0;
        if (!view->help)
            continue;
        tui_screen_focus(&s, view);
        tui_screen_draw(&s, 120, 24);
        press(&s, "?");
        tui_screen_draw(&s, 120, 24);
        tui_canvas_dump(&s.overlay_text, &out);
        assert_memory_equal(out.text, view->help, strlen(view->help));
        assert_true(strstr(out.text, view->about) && strstr(out.text, "J          10j\nQ          nothing\n"));
        for (const struct tui_help_line *line = tui_help_lines; line->keys; line++) {
            char *title = xasprintf("\n%s\n", line->keys);
            of_own += !line->does && !strstr(out.text, title);
            free(title);
        }
        assert_int_equal(of_own, 1);
        string_free(&out);
        press(&s, "\033\033");
        assert_ptr_equal(s.focus, s.places.views[0]);
    }
    press(&s, "V?");
    assert_true(shows(&s, "keys of your own"));
    tui_screen_free(&s);
}

/* What is told of a key that does nothing, and in full; in the header, whatever else has no room, which adapters are on. */
static void test_told(void **state)
{
    (void)state;
    static const struct { int32_t key; const char *name; } unknown[] = {
        {'Q', "Q"}, {0xe9, "é"}, {0x4e2d, "中"}, {TUI_KEY_F1 + 1, "f2"}, {'X' - TUI_KEY_CONTROL, "^X"}, {TUI_KEY_DELETE, "delete"}, {TUI_KEY_OTHER, "this"},
    };
    struct tui_screen s;
    tui_screen_open(&s);
    press(&s, ":set seed=7\r");
    assert_true(shows(&s, tui_not_begun));
    tui_screen_free(&s);
    script_game24_done(&s);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        char *told = xasprintf("%s is no key here; ? shows them", unknown[i].name);
        assert_int_equal(tui_screen_key(&s, unknown[i].key).act, TUI_ACT_NONE);
        assert_string_equal(s.notice, told);
        assert_true(shows(&s, told));
        free(told);
    }
    press(&s, "2GW");
    compare(&s, "why", 80, 24);
    compare(&s, "why", 40, 12);
    press(&s, "j");
    assert_false(shows(&s, "answer:"));
    press(&s, ":now x\r");
    assert_string_equal(s.notice, "now takes nothing after it, and there is 'x'");
    press(&s, ":view tree x\r");
    assert_ptr_equal(s.places.views[0], &tui_view_tree);
    assert_non_null(strstr(s.notice, "tree x"));
    press(&s, ":help set\r");
    compare(&s, "notice", 80, 24);
    compare(&s, "notice", 40, 12);
    press(&s, ":set \t");
    assert_true(shows(&s, "temperature=") && shows(&s, "time="));
    press(&s, "\033");
    char *long_one = xmalloc(3000);
    memset(long_one, 'x', 2999);
    long_one[2999] = '\0';
    tui_screen_notice(&s, long_one);
    assert_true(shows_at(&s, "…", 40, 12));
    check_dump(&s.canvas);
    free(long_one);
    press(&s, "j");
    s.quant = "nf4";
    struct search_event *e = script_make(SEARCH_EVENT_SETTING);
    e->session.strategy = xstrdup("tot,b=3,generate=propose,evaluate=value,select=greedy,adapter=/far/away/game24.lora");
    e->session.problem = xstrdup("4 5 6 10");
    e->session.task = xstrdup("game24");
    e->session.model = xstrdup("SmolLM2 135M Instruct");
    e->session.adapters = xcalloc(1, sizeof *e->session.adapters);
    e->session.adapters[0] = (struct search_adapter){.path = xstrdup("/far/away/game24.lora"), .weight = 1};
    e->session.adapter_count = 1;
    script_emit(&s, e);
    assert_true(shows(&s, " nf4 + game24.lora"));
    assert_false(shows(&s, "adapter="));
    assert_true(shows_at(&s, "SmolLM2 135M Instruct nf4 + game24.lora", 120, 24));
    tui_screen_free(&s);
}

/* It holds only until then. */
static void test_begins(void **state)
{
    (void)state;
    struct tui_screen s;
    tui_screen_open(&s);
    press(&s, ":set seed=7\r");
    assert_string_equal(s.notice, tui_not_begun);
    script_session(&s, "game24", "4 5 6 10", "tot,b=3");
    assert_string_equal(s.notice, "");
    tui_screen_free(&s);
}

static void test_gone(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    press(&s, "7G"); /* a child of 1, of the second proposal */
    script_own(&s, 1, 7, "mine");
    assert_int_equal(s.selected, 9);
    assert_true(shows(&s, "✎ mine"));
    int64_t own = s.tree.event_count - 1;
    script_act(&s, SEARCH_EVENT_UNDO, own);
    assert_true(s.tree.nodes[9].gone);
    assert_int_equal(s.selected, 1);
    assert_false(shows(&s, "mine"));
    struct tui_snapshot now = script_snapshot(TUI_PAUSED, 9);
    tui_screen_snapshot(&s, &now);
    press(&s, "."); /* to the newest there is */
    assert_int_equal(s.selected, 8);
    press(&s, "1G");
    script_act(&s, SEARCH_EVENT_REDO, own);
    assert_int_equal(s.selected, 9);
    assert_true(shows(&s, "✎ mine"));
    script_act(&s, SEARCH_EVENT_BACK, 1); /* before the first plan */
    assert_int_equal(s.selected, 0);
    assert_int_equal(tui_outline_rows(&s.outline), 1);
    assert_false(shows(&s, "10 - 4"));
    press(&s, "2G"); /* there is no such node now */
    assert_int_equal(s.selected, 0);
    script_act(&s, SEARCH_EVENT_UNDO, s.tree.event_count - 1);
    assert_int_equal(s.selected, 9);
    assert_true(shows(&s, "10 - 4"));
    tui_screen_free(&s);
}

static void set_strategy(struct tui_screen *s, const char *strategy)
{
    struct search_event *e = script_make(SEARCH_EVENT_SETTING);
    const struct search_setting *old = &s->tree.session->session;
    e->session = *old;
    e->session.task = xstrdup(old->task);
    e->session.problem = xstrdup(old->problem);
    e->session.model = xstrdup(old->model);
    e->session.strategy = xstrdup(strategy);
    script_emit(s, e);
}

/* What was asked for stands first in the header, the rest of what holds after it; once it is another, that does, and not in the past before. */
static void test_asked(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    s.asked_strategy = "tot,select=greedy,b=3,adapter=a\\,b.gguf:0.5";
    tui_screen_draw(&s, 80, 24);
    assert_true(shows_at(&s, " tot select=greedy b=3 generate=propose evaluate=value n_generate_sample=1", 160, 30));
    assert_true(shows_at(&s, " tot select=greedy b=3 ", 80, 24) && shows_at(&s, " model SmolLM2", 80, 24));
    set_strategy(&s, "tot,b=7,generate=propose,evaluate=value,select=greedy");
    assert_true(shows_at(&s, " tot b=7 generate=propose", 80, 24));
    press(&s, "[");
    assert_true(shows_at(&s, " tot select=greedy b=3", 80, 24));
    press(&s, "}");
    s.asked_strategy = NULL;
    assert_true(shows_at(&s, " tot b=7 generate=propose", 80, 24));
    tui_screen_free(&s);
}

static void test_race(void **state)
{
    (void)state;
    static const char *const strategies[] = {"tot,b=3", "self-consistency"};
    struct tui_race race;
    tui_race_open(&race, 2);
    for (int i = 0; i < 2; i++) { /* the script opens its screen itself */
        tui_screen_free(&race.screens[i]);
        (i ? script_votes : script_game24)(&race.screens[i]);
        race.screens[i].race = race.screens;
        race.screens[i].race_count = 2;
        race.screens[i].asked_strategy = strategies[i];
    }
    struct tui_screen *s = tui_race_shown(&race);
    assert_true(shows(s, "1 of 2: tot b=3 generate=p") && shows(s, "▸ 1 tot,b=3 ") && shows(s, "  2 self-consistency ") && shows(s, "= 56"));
    tui_screen_draw(s, 40, 12); /* no room for the lines */
    assert_int_equal(s->layout.race.h, 0);
    tui_race_key(&race, ':');
    tui_race_key(&race, 'c'); /* text */
    assert_int_equal(race.shown, 0);
    tui_race_key(&race, 27);
    tui_race_key(&race, '\t');
    tui_race_key(&race, 'c');
    assert_int_equal(race.shown, 1);
    assert_ptr_equal(tui_race_shown(&race)->focus, &tui_view_thought); /* goes with the user */
    assert_true(shows(tui_race_shown(&race), "2 of 2: self-consistency m=6"));
    struct tui_action a = tui_race_key(&race, 'u');
    assert_int_equal(a.search, 1);
    tui_race_key(&race, 'C');
    assert_int_equal(race.shown, 0);
    tui_race_free(&race);
}

/* --- hostile text ------------------------------------------------------------------------------------------------ */

static void test_hostile_strings(void **state)
{
    (void)state;
    struct tui_canvas c = {0};
    char text[300];
    for (uint64_t i = 0; i < strings; i++) {
        size_t n = hostile_text(i, text, sizeof text);
        int w = 1 + (int)(random_uniform(96, i, 0) * 30), used;
        c.ascii = i % 4 == 3;
        tui_canvas_size(&c, w, 1);
        int drawn = tui_canvas_bytes(&c, 0, 0, w, (struct tui_style){0}, text, n);
        size_t fits = tui_width_fit(text, n, w, &used);
        assert_int_equal(drawn, used);
        assert_int_equal(tui_width(text, fits), used);
        assert_true(tui_width(text + tui_width_tail(text, n, w), n - tui_width_tail(text, n, w)) <= w);
        check_dump(&c);
        struct string dump = {0}, clean = {0};
        tui_canvas_dump(&c, &dump);
        dump.length -= 1; /* its newline */
        utf8_sanitize(&clean, dump.text, dump.length, 0);
        assert_int_equal(clean.length, dump.length); /* what has been cleaned stays as it is */
        assert_memory_equal(clean.text, dump.text, dump.length);
        assert_true(tui_width(dump.text, dump.length) <= w);
        string_free(&dump);
        string_free(&clean);
    }
    tui_canvas_free(&c);
}

/* A character with very many marks, or very many that would be one, costs its length and no more than a cell or two. */
static void test_hostile_clusters(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    static const char *const units[] = {"\xcc\x81", "\xe2\x80\x8d", "\xf0\x9f\x91\xa9\xe2\x80\x8d", "\xef\xb8\x8f", "\xe0\xbe\x90", "\xe1\x84\x80", "\xf0\x9f\x8f\xbf", "\xff"};
    struct tui_canvas c = {0};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        struct string text = {0};
        struct tui_screen s;
        string_add(&text, "a");
        for (int i = 0; i < MANY; i++)
            string_add(&text, units[u]);
        tui_canvas_size(&c, 40, 1);
        tui_canvas_cut(&c, 0, 0, 40, (struct tui_style){0}, text.text);
        check_dump(&c);
        assert_in_range(tui_width(text.text, text.length), 1, 3 * MANY + 1);
        script_begin(&s, "ask", text.text, "greedy");
        script_thought(&s, 0, -1, 0, 0, text.text, NULL, text.text, -1, NULL);
        tui_screen_select(&s, 1);
        tui_screen_draw(&s, 80, 24);
        check_dump(&s.canvas);
        tui_screen_free(&s);
        string_free(&text);
    }
    tui_canvas_free(&c);
}

static void test_hostile_screens(void **state)
{
    (void)state;
    char text[300], other[300];
    for (uint64_t i = 0; i < 300; i++) {
        struct tui_screen s;
        hostile_text(3 * i, text, sizeof text);
        script_begin(&s, text, text, text);
        s.canvas.ascii = i % 5 == 4;
        script_plan(&s, text, SEARCH_SAMPLE, (int[]){0}, 1, 3);
        hostile_text(3 * i + 1, other, sizeof other);
        int64_t c = script_completion(&s, 0, 0, other);
        int count;
        free(script_tokens(other, &count));
        script_thought(&s, 0, c, 0, count, other, text, NULL, -1, NULL);
        script_thought(&s, 1, -1, 0, 0, text, NULL, other, i % 3 - 1, NULL);
        script_thought(&s, 1, -1, 0, 0, other, NULL, NULL, -1, text);
        script_decide(&s, other, (int[]){1}, 1);
        struct tui_snapshot now = script_snapshot(TUI_RUNNING, 1);
        script_live(&now, 0, SEARCH_SAMPLE, 0, 1, text);
        script_live(&now, 2, SEARCH_VALUE, 0, 2, other);
        error_set(&now.failure, 3, "%s", text);
        tui_screen_snapshot(&s, &now);
        for (int selected = 0; selected < 4; selected++) {
            tui_screen_select(&s, selected);
            press(&s, selected % 2 ? "\tllj" : "\033");
            if (selected == 3)
                tui_ask_open(&s, TUI_ASKS_EDIT, 3, other);
            static const int sizes[][2] = {{200, 50}, {80, 24}, {79, 20}, {41, 13}, {40, 12}};
            for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
                tui_screen_draw(&s, sizes[k][0], sizes[k][1]);
                check_dump(&s.canvas);
            }
        }
        tui_screen_free(&s);
    }
}

/* Samples are done in any order: those that are left stand as they stood, each with its own tokens, in the list and in the tree's rows. */
static void test_written(void **state)
{
    (void)state;
    enum { SAMPLES = 40 };
    for (uint64_t round = 0; round < 50; round++) {
        struct tui_screen s;
        int left[SAMPLES], count = 0;
        script_begin(&s, "ask", "What is it?", "sample");
        script_plan(&s, "forty at once", SEARCH_SAMPLE, (int[]){0}, 1, SAMPLES);
        struct tui_snapshot now = script_snapshot(TUI_RUNNING, 1);
        for (int i = 0; i < SAMPLES; i++) {
            char text[4] = {(char)('a' + i % 26), (char)('0' + i / 26), '\0'};
            script_live(&now, 0, SEARCH_SAMPLE, 0, i, text);
            left[count++] = i;
        }
        tui_screen_snapshot(&s, &now);
        while (count) {
            const int which = (int)(random_uniform(5, round, (uint64_t)count) * count);
            script_completion(&s, 0, left[which], "done");
            memmove(left + which, left + which + 1, (size_t)(--count - which) * sizeof *left);
            assert_int_equal(s.now.live.count, count);
            assert_int_equal(s.outline.nodes[0].live, count);
            for (int i = 0; i < count; i++) {
                int tokens;
                char text[4] = {(char)('a' + left[i] % 26), (char)('0' + left[i] / 26), '\0'};
                struct engine_token *expected = script_tokens(text, &tokens);
                assert_int_equal(s.now.live.list[i].sample, left[i]);
                assert_int_equal(s.now.live.list[i].count, tokens);
                for (int t = 0; t < tokens; t++)
                    assert_int_equal(s.now.live.list[i].tokens[t].id, expected[t].id);
                free(expected);
            }
        }
        tui_screen_free(&s);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running), cmocka_unit_test(test_done), cmocka_unit_test(test_thought), cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_asked), cmocka_unit_test(test_pruned),
        cmocka_unit_test(test_others), cmocka_unit_test(test_keys), cmocka_unit_test(test_acts), cmocka_unit_test(test_fork), cmocka_unit_test(test_line), cmocka_unit_test(test_full_line), cmocka_unit_test(test_in_vain),
        cmocka_unit_test(test_past), cmocka_unit_test(test_past_slices), cmocka_unit_test(test_back_slices), cmocka_unit_test(test_go_on), cmocka_unit_test(test_weighted), cmocka_unit_test(test_broke), cmocka_unit_test(test_many_rows), cmocka_unit_test(test_help), cmocka_unit_test(test_help_here), cmocka_unit_test(test_over), cmocka_unit_test(test_told), cmocka_unit_test(test_begins), cmocka_unit_test(test_gone), cmocka_unit_test(test_race), cmocka_unit_test(test_any_keys), cmocka_unit_test(test_hostile_strings),
        cmocka_unit_test(test_hostile_clusters), cmocka_unit_test(test_hostile_screens), cmocka_unit_test(test_written),
    };
    if (argc > 1 && !strcmp(argv[1], "hostile")) {
        strings *= 10;
        cmocka_set_test_filter("test_hostile*");
    }
    golden_updating = argc > 1 && !strcmp(argv[1], "update");
    return cmocka_run_group_tests(tests, NULL, close_script);
}
