/* Views and the panes they stand in: screens compared with stored ones, keys, the mouse, and what is remembered.
 *   test_views          compare with tests/golden/
 *   test_views update   write them anew; read the difference before you commit it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/golden.h"
#include "tui/race.h"

/* --- panes ------------------------------------------------------------------------------------------------------- */

static void mouse(struct tui_screen *s, int what, int x, int y)
{
    assert_int_equal(tui_screen_mouse(s, (struct tui_mouse){what, x, y}).act, TUI_ACT_NONE);
}

static void test_panes(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    tui_screen_draw(&s, 120, 30);
    int split = s.layout.split;
    press(&s, "S"); /* one more at the right, and it has the keys */
    tui_screen_draw(&s, 120, 30);
    assert_true(s.layout.panes[2].w && s.focus == s.places.views[2] && s.layout.split == split);
    int height = s.layout.panes[2].h;
    press(&s, "3+");
    tui_screen_draw(&s, 120, 30);
    assert_int_equal(s.layout.panes[2].h, height + 3);
    press(&s, "-");
    tui_screen_draw(&s, 120, 30);
    assert_int_equal(s.layout.panes[2].h, height + 2);
    press(&s, "5>");
    tui_screen_draw(&s, 120, 30);
    assert_int_equal(s.layout.split, split + 10);
    press(&s, "<");
    tui_screen_draw(&s, 120, 30);
    assert_int_equal(s.layout.split, split + 8);
    press(&s, "z");
    tui_screen_draw(&s, 120, 30);
    assert_true(s.layout.panes[2].w == 118 && !s.layout.panes[0].w);
    press(&s, "\t"); /* the next is shown alone */
    tui_screen_draw(&s, 120, 30);
    assert_true(s.focus == &tui_view_tree && s.layout.panes[0].w == 118);
    press(&s, "\033\t\t");
    tui_screen_draw(&s, 120, 30);
    assert_true(s.layout.panes[0].w && s.layout.panes[2].w);
    press(&s, "X");
    tui_screen_draw(&s, 120, 30);
    assert_true(!s.layout.panes[2].w && s.focus == &tui_view_thought);
    press(&s, "X");
    assert_non_null(strstr(s.notice, "stays"));
    press(&s, "\033X");
    assert_non_null(strstr(s.notice, "stays"));
    tui_screen_free(&s);
}

static void test_list(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    tui_screen_draw(&s, 80, 24);
    press(&s, "V");
    assert_true(shows(&s, "what should stand in this pane"));
    press(&s, "h"); /* it stands at the right: the two change places */
    assert_true(s.places.views[0] == &tui_view_thought && s.places.views[1] == &tui_view_tree && s.focus == &tui_view_thought);
    press(&s, ":view tr\r");
    assert_true(s.places.views[0] == &tui_view_tree && s.focus == &tui_view_tree);
    press(&s, ":view nothing\r");
    assert_non_null(strstr(s.notice, "no view 'nothing'; there are tree"));
    press(&s, "V\033");
    assert_null(s.overlay);
    press(&s, "\tV?"); /* help: in a pane it is left by tab, and other keys are not its own */
    assert_ptr_equal(s.focus, &tui_view_help);
    press(&s, "\033");
    assert_ptr_equal(s.focus, &tui_view_tree);
    press(&s, "\r"); /* the thought is in no pane: it gets the first at the right */
    assert_true(s.focus == &tui_view_thought && s.places.views[1] == &tui_view_thought);
    tui_screen_free(&s);
}

static void test_mouse(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    press(&s, "g");
    tui_screen_draw(&s, 80, 24);
    int y = s.layout.panes[0].y, split = s.layout.split;
    mouse(&s, TUI_MOUSE_PRESS, 10, y + 1);
    assert_int_equal(s.selected, 1);
    mouse(&s, TUI_MOUSE_PRESS, 2, y + 1); /* its sign */
    assert_false(s.outline.nodes[1].open);
    mouse(&s, TUI_MOUSE_PRESS, split + 5, y + 1);
    assert_ptr_equal(s.focus, &tui_view_thought);
    mouse(&s, TUI_MOUSE_PRESS, split, y + 3); /* the line between, and off with it */
    assert_ptr_equal(s.focus, &tui_view_thought);
    mouse(&s, TUI_MOUSE_DRAG, split - 9, y + 4);
    mouse(&s, TUI_MOUSE_RELEASE, split - 9, y + 4);
    mouse(&s, TUI_MOUSE_DRAG, 70, y + 4); /* held no more */
    tui_screen_draw(&s, 80, 24);
    assert_int_equal(s.layout.split, split - 9);
    press(&s, "S");
    tui_screen_draw(&s, 80, 24);
    int rule = s.layout.panes[2].y - 1;
    mouse(&s, TUI_MOUSE_PRESS, 70, rule);
    mouse(&s, TUI_MOUSE_DRAG, 70, rule - 2);
    tui_screen_draw(&s, 80, 24);
    assert_int_equal(s.layout.panes[2].y - 1, rule - 2);
    mouse(&s, TUI_MOUSE_RELEASE, 70, rule - 2);
    for (int i = 0; i < 40; i++) /* whoever has the keys, what is under it scrolls */
        mouse(&s, TUI_MOUSE_WHEEL_DOWN, 3, y);
    assert_int_equal(s.selected, 1);
    mouse(&s, TUI_MOUSE_WHEEL_UP, 3, y);
    press(&s, "?");
    mouse(&s, TUI_MOUSE_WHEEL_DOWN, 3, y);
    assert_int_equal(s.overlay_top, 3);
    mouse(&s, TUI_MOUSE_PRESS, 3, y);
    assert_null(s.overlay);
    tui_screen_free(&s);
}

/* What is written is read back; and any line may be wrong. */
static void test_remembered(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_places p;
    struct string text = {0};
    script_game24(&s);
    tui_screen_draw(&s, 100, 30);
    press(&s, "S4+10<:mouse off\r");
    tui_places_write(&s.places, &text);
    tui_places_open(&p);
    tui_places_read(&p, text.text);
    assert_memory_equal(p.views, s.places.views, 3 * sizeof *p.views);
    assert_int_equal(p.arrangement.panes, 3);
    assert_int_equal(p.arrangement.split, s.places.arrangement.split);
    assert_memory_equal(p.arrangement.share, s.places.arrangement.share, sizeof p.arrangement.share);
    assert_int_equal(p.mouse, 0);
    static const char *const wrong[] = {"", "panes", "panes tree", "panes tree tree nothing thought", "panes a b c d e f g h", "split 0", "split -7", "split 99999999999",
                                        "share 1", "share -1 99999999 2", "mouse", "\n\n\n", "\xff\x01 panes", "panes thought", "view tree"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tui_places_open(&s.places);
        tui_places_read(&s.places, wrong[i]);
        s.focus = s.places.views[0];
        for (int a = 0; a < s.places.arrangement.panes; a++) {
            assert_non_null(s.places.views[a]);
            for (int b = 0; b < a; b++)
                assert_ptr_not_equal(s.places.views[a], s.places.views[b]);
        }
        tui_screen_draw(&s, 80, 24);
        tui_screen_draw(&s, 200, 50);
    }
    string_free(&text);
    tui_screen_free(&s);
}

/* Any keys and any mouse, at any size: nothing but the sanitizers to answer to. */
static void test_anything(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct tui_screen s;
        (round == 0 ? script_game24 : round == 1 ? script_game24_done : script_votes)(&s);
        for (uint64_t i = 0; i < 6000; i++) {
            uint64_t at = 6 * i + 100000 * (uint64_t)round;
            double r = random_uniform(7, at, 0);
            int columns = 1 + (int)(random_uniform(7, at, 1) * 150), rows = 1 + (int)(random_uniform(7, at, 2) * 60);
            if (r < 0.3)
                mouse(&s, (int)(6 * random_uniform(7, at, 3)), (int)(160 * random_uniform(7, at, 4)) - 5, (int)(60 * random_uniform(7, at, 5)) - 5);
            else
                tui_screen_key(&s, r < 0.8 ? (int32_t)(' ' + 95 * random_uniform(7, at, 3)) : (int32_t)(TUI_KEY_UP + 12 * random_uniform(7, at, 3)));
            if (r > 0.97)
                tui_screen_key(&s, '\033');
            if (i % 3 == 0) {
                tui_screen_draw(&s, columns, rows);
                if (i % 30 == 0)
                    check_dump(&s.canvas);
            }
        }
        tui_screen_free(&s);
    }
}

/* --- pictures ---------------------------------------------------------------------------------------------------- */

/* The view in the pane that has the keys, at three sizes. */
static void picture(struct tui_screen *s, const char *view, const char *name)
{
    char *command = xasprintf(":view %s\r", view);
    press(s, command);
    compare(s, name, 200, 50);
    compare(s, name, 80, 24);
    compare(s, name, 40, 12);
    free(command);
}

static void test_siblings(void **state)
{
    close_script(state); /* made-up probabilities depend on the words before */
    struct tui_screen s;
    script_mcts(&s, "mcts,iterations=10,depth=5,select=uct,w=1,q=mean,evaluate=value");
    press(&s, "gjjjj\t"); /* to the second sibling's number that decides */
    picture(&s, "siblings", "siblings-uct");
    /* Every number says where it comes from. */
    static const struct { const char *keys, *says; } uct[] = {
        {"hhhh", "N = 1 of the 3 visits so far"}, {"l", "Q = rewards backed up / N = .10 / 1 = .10"}, {"l", "1 × √(ln 3 / 1) = 1.05"},
        {"l", "only mcts,select=puct goes by a prior"}, {"l", ".10 + 1.05 = 1.15"}, {"l", "likely, likely, impossible"}, {"l", "nobody voted"},
        {"jhhh", "only mcts"}, {"hh", "Q = its own reward = .033"}, {"j", "not to be chosen now"},
    };
    for (size_t i = 0; i < sizeof uct / sizeof *uct; i++) {
        press(&s, uct[i].keys);
        if (!shows_at(&s, uct[i].says, 400, 24))
            printf("%s: no '%s'\n", uct[i].keys, uct[i].says);
        assert_true(shows_at(&s, uct[i].says, 400, 24));
    }
    tui_screen_free(&s);
    script_mcts(&s, "mcts,iterations=10,depth=5,select=puct,w=1,evaluate=value");
    press(&s, "gj\t:view siblings\rhh");
    assert_true(shows_at(&s, "c × prior × √N(parent) / (1 + N) = 1.25 × ", 400, 24));
    assert_true(shows_at(&s, " … W\n", 40, 12) && !shows_at(&s, "1.25)", 40, 12)); /* it has no room: W says it in full */
    press(&s, "W");
    assert_true(shows_at(&s, "─ why ─", 40, 12) && shows_at(&s, "1.25)", 40, 12));
    assert_true(shows_at(&s, "chose", 40, 12));
    press(&s, "u");
    assert_false(shows_at(&s, "─ why ─", 40, 12));
    tui_screen_free(&s);
    script_mcts(&s, "ab-mcts,iterations=10,depth=5,prior=gaussian,evaluate=value");
    press(&s, "gj\t:view siblings\r");
    picture(&s, "siblings", "siblings-thompson");
    assert_true(shows_at(&s, "posterior NIχ²(m .53, κ 3, ν 3, τ² ", 400, 24));
    tui_screen_free(&s);
    script_game24_done(&s);
    press(&s, "g\t");
    picture(&s, "siblings", "siblings-first");
    press(&s, "j");
    assert_int_equal(s.selected, 1);
    tui_screen_free(&s);
    tui_screen_open(&s);
    press(&s, "\t");
    picture(&s, "siblings", "siblings-none");
    tui_screen_free(&s);
}

static void test_judge(void **state)
{
    close_script(state); /* made-up probabilities depend on the words before */
    struct tui_screen s;
    script_game24_done(&s);
    press(&s, "3G\t");
    picture(&s, "judge", "judge");
    press(&s, "G");
    assert_true(shows(&s, "perhaps it is")); /* what could not be read */
    press(&s, "\033g");
    assert_true(shows(&s, "The problem is not judged"));
    tui_screen_free(&s);
    script_votes(&s);
    press(&s, "gj\t");
    picture(&s, "judge", "judge-none");
    tui_screen_free(&s);
}

static void test_votes(void **state)
{
    close_script(state); /* made-up probabilities depend on the words before */
    struct tui_screen s;
    script_votes(&s);
    press(&s, "gj\t");
    picture(&s, "votes", "votes-view");
    press(&s, "j"); /* the next answer: its first path is selected */
    assert_int_equal(s.selected, 3);
    assert_string_equal(tui_screen_key(&s, 'x').words, "exclude 3");
    press(&s, "2j");
    assert_int_equal(s.selected, 4);
    tui_screen_free(&s);
    script_game24_done(&s);
    press(&s, "\t");
    picture(&s, "votes", "votes-none");
    tui_screen_free(&s);
}

static void test_drawn(void **state)
{
    close_script(state);
    struct tui_screen s;
    script_game24_done(&s);
    press(&s, "6G");
    picture(&s, "drawn", "drawn");
    press(&s, "I");
    compare(&s, "drawn-short", 80, 24);
    press(&s, "I");
    compare(&s, "drawn-dots", 80, 24);
    s.canvas.ascii = 1;
    compare(&s, "drawn-dots-ascii", 80, 24);
    s.canvas.ascii = 0;
    press(&s, "ii");
    tui_screen_draw(&s, 200, 50);
    press(&s, "j"); /* its level: 6 7 8 */
    assert_int_equal(s.selected, 7);
    press(&s, "kl");
    assert_int_equal(tui_screen_node(&s, s.selected)->parent, 6);
    press(&s, "hhk");
    assert_int_equal(s.selected, 1);
    press(&s, "9j");
    assert_int_equal(s.selected, 5);
    press(&s, "G");
    assert_int_equal(s.selected, 5);
    press(&s, "g");
    assert_int_equal(s.selected, 0);
    script_prune(&s, 1);
    compare(&s, "drawn-pruned", 80, 24);
    mouse(&s, TUI_MOUSE_PRESS, 30, s.layout.panes[0].y + s.drawn.tidy.shape.y[2] - s.drawn.y);
    assert_int_equal(s.selected, 2);
    tui_screen_free(&s);
    tui_screen_open(&s);
    picture(&s, "drawn", "drawn-none");
    tui_screen_free(&s);
}

static void test_others(void **state)
{
    close_script(state);
    struct tui_screen s;
    script_game24_done(&s);
    s.now.statistics = (struct engine_statistics){.prompt_rows = 812, .decode_rows = 4321, .passes = 400, .busy_seconds = 12.5, .live = 3, .waiting = 1,
                                                  .kv_used = 30000000, .kv_limit = 64000000, .kv_segments = 41, .kv_held = 20000000, .kv_apart = 90000000};
    s.now.memory = 250000000;
    for (int i = 0; i < 20; i++)
        s.speeds[s.speed_count++] = 100 + 40 * (i % 7);
    press(&s, "\t");
    picture(&s, "statistics", "statistics");
    picture(&s, "path", "path");
    picture(&s, "log", "log");
    press(&s, "10k");
    assert_int_equal(s.log.at, s.tree.event_count - 11);
    press(&s, "\r"); /* the tree as it was then */
    assert_true(s.past.on && s.tree.event_count == s.log.at + 1);
    compare(&s, "log-past", 80, 24);
    press(&s, "}G");
    assert_false(s.past.on);
    picture(&s, "time", "time");
    press(&s, "2h");
    assert_true(s.past.on);
    compare(&s, "time-past", 80, 24);
    press(&s, "l");
    int64_t at = s.tree.event_count;
    press(&s, "h");
    mouse(&s, TUI_MOUSE_WHEEL_DOWN, 70, 5);
    assert_int_equal(s.tree.event_count, at);
    tui_screen_draw(&s, 80, 24);
    mouse(&s, TUI_MOUSE_PRESS, s.layout.panes[1].x + 1, s.layout.panes[1].y + 1); /* the first mark: the first plan */
    assert_int_equal(s.tree.event_count, 2);
    press(&s, "G");
    assert_false(s.past.on);
    picture(&s, "compare", "compare-none");
    tui_screen_free(&s);
    tui_screen_open(&s);
    press(&s, "\t");
    static const char *const empty[] = {"statistics", "path", "log", "time"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        char *command = xasprintf(":view %s\r", empty[i]);
        press(&s, command);
        assert_true(shows(&s, "Nothing ha")); /* has, have: and what would change that */
        press(&s, "jkhlgG");
        free(command);
    }
    tui_screen_free(&s);
}

static void test_compare(void **state)
{
    close_script(state);
    static const char *const strategies[] = {"tot,b=3", "self-consistency,m=6", "mcts"};
    struct tui_race race;
    tui_race_open(&race, 3);
    for (int i = 0; i < 3; i++) { /* the script opens its screen itself */
        struct tui_screen *s = &race.screens[i];
        tui_screen_free(s);
        if (i == 2)
            script_mcts(s, "mcts,iterations=10");
        else
            (i ? script_votes : script_game24_done)(s);
        s->race = race.screens;
        s->race_count = 3;
        s->asked_strategy = strategies[i];
    }
    struct tui_screen *s = tui_race_shown(&race);
    assert_true(s->known.right_at > 0 && s->known.progress_count == 2);
    tui_race_key(&race, '\t');
    picture(s, "compare", "compare");
    tui_race_key(&race, 'c'); /* the panes go with the user */
    assert_ptr_equal(tui_race_shown(&race)->focus, &tui_view_compare);
    compare(tui_race_shown(&race), "compare-second", 80, 24);
    tui_race_show(&race, 0);
    tui_past_go(s, 9); /* one looks at its past: here all is of now */
    assert_true(s->past.on && s->known.right_at < 0 && shows(s, "tokens") && tui_past_known(s)->right_at > 0);
    press(s, "z");
    char *right = xasprintf("right at %s tokens", tui_number(tui_past_known(s)->right_at, (char[32]){0}));
    assert_true(shows(s, right));
    free(right);
    tui_race_free(&race);
}

/* What the exact solver calls lost has a word and a role of its own; what is alive keeps its value. */
static void test_lost(void **state)
{
    close_script(state);
    static const char *const lines[] = {"10 - 4 = 6 (left: 5 6 6)|5 6 6", "4 * 6 = 24 (left: 5 10 24)|5 10 24", NULL};
    static const char *const words[] = {"alive", "lost"};
    struct tui_screen s;
    script_begin(&s, "game24", "4 5 6 10", "tot,b=3,evaluate=oracle");
    script_plan(&s, "propose from 1 state", SEARCH_PROPOSE, (int[]){0}, 1, 1);
    script_propose(&s, 0, 0, lines);
    for (int i = 0; i < 2; i++) {
        struct search_event *e = script_make(SEARCH_EVENT_JUDGEMENT);
        e->judgement.purpose = SEARCH_ORACLE;
        e->judgement.nodes = xmalloc(sizeof(int));
        e->judgement.nodes[0] = 1 + i;
        e->judgement.scores = xcalloc(1, sizeof(double));
        e->judgement.scores[0] = !i;
        e->judgement.count = e->judgement.samples = 1;
        e->judgement.most = 1;
        e->judgement.labels = xcalloc(1, sizeof(char *));
        e->judgement.labels[0] = xstrdup(words[i]);
        script_emit(&s, e);
    }
    press(&s, "gjj");
    assert_true(shows(&s, "lost: no answer below"));
    int row = s.layout.panes[0].y + 2, found = 0;
    for (int x = 0; x < s.layout.split; x++)
        found += s.canvas.cells[row * s.canvas.w + x].style.role == TUI_LOST;
    assert_int_equal(found, 4);
    for (int x = 0; x < s.layout.split; x++)
        assert_int_not_equal(s.canvas.cells[(row - 1) * s.canvas.w + x].style.role, TUI_LOST);
    tui_screen_free(&s);
}

/* --- searching --------------------------------------------------------------------------------------------------- */

static void work(struct tui_screen *s)
{
    do
        tui_screen_work(s);
    while (s->busy);
}

/* Twelve samples from the problem, of which four texts are left; one of the copies is grown, another one's fellow is illegal. */
static void script_copies(struct tui_screen *s)
{
    static const char *const first[] = {"10 - 4 = 6 (left: 5 6 6)|5 6 6", "4 * 6 = 24 (left: 5 10 24)|5 10 24", "10 - 4 = 6 (left: 5 6 6)|5 6 6",
                                        "10 - 4 = 6 (left: 5 6 6)|5 6 6", "5 + 6 = 12 (left: 4 10 12)!5 + 6 is 11, not 12", "4 * 6 = 24 (left: 5 10 24)|5 10 24",
                                        "10 - 4 = 6 (left: 5 6 6)|5 6 6", "5 + 6 = 12 (left: 4 10 12)!5 + 6 is 11, not 12", "10 - 4 = 6 (left: 5 6 6)|5 6 6",
                                        "6 + 10 = 16 (left: 4 5 16)|4 5 16", "10 - 4 = 6 (left: 5 6 6)|5 6 6", "10 - 4 = 6 (left: 5 6 6)|5 6 6", NULL};
    static const char *const second[] = {"5 * 6 = 30 (left: 6 30)|6 30", "5 * 6 = 30 (left: 6 30)|6 30", NULL};
    static const char *const sure[] = {"sure", "sure", "likely"}, *const no[] = {"impossible", "impossible", "impossible"};
    script_begin(s, "game24", "4 5 6 10", "tot,b=2,generate=sample,evaluate=value,select=greedy,n_generate_sample=12,n_evaluate_sample=3");
    script_plan(s, "sample from 1 state", SEARCH_SAMPLE, (int[]){0}, 1, 12);
    script_propose(s, 0, 0, first);
    script_plan(s, "value 3 states", SEARCH_VALUE, (int[]){1, 2, 10}, 3, 3);
    script_judge(s, 0, 1, sure, 41);
    script_judge(s, 1, 2, no, 0.003);
    script_judge(s, 2, 10, no, 0.003);
    script_decide(s, "kept 2 of 10 by value: 41, 0", (int[]){1, 4}, 2);
    script_plan(s, "sample from 2 states", SEARCH_SAMPLE, (int[]){1, 4}, 2, 2);
    script_propose(s, 0, 1, second);
    script_propose(s, 1, 4, second);
    struct tui_snapshot now = script_snapshot(TUI_PAUSED, 12);
    tui_screen_snapshot(s, &now);
}

/* What reads the same has a row together, in the outline and in the drawing, until one asks for each. */
static void test_copies(void **state)
{
    close_script(state);
    struct tui_screen s;
    script_copies(&s);
    assert_int_equal(s.selected, 15); /* what is followed is who stands for the one that came */
    press(&s, "gj");
    compare(&s, "copies", 80, 24);
    compare(&s, "copies", 40, 12);
    s.canvas.ascii = 1;
    compare(&s, "copies-ascii", 80, 24);
    s.canvas.ascii = 0;
    assert_true(shows_at(&s, "written 6 times (thoughts 1, 3, 7, 9, 11, 12)", 200, 50));
    assert_true(shows(&s, "×6") && shows(&s, "×2  illegal") && shows_at(&s, "* copies", 200, 50));
    assert_int_equal(tui_outline_rows(&s.outline), 8);
    press(&s, "7G"); /* it has a row as long as it is selected */
    assert_int_equal(s.selected, 7);
    assert_int_equal(tui_outline_rows(&s.outline), 9);
    assert_true(shows(&s, "×5") && shows(&s, "written before, as thought 1"));
    press(&s, "j");
    assert_int_equal(tui_outline_rows(&s.outline), 8);
    press(&s, "mag7Gmbg'b");
    assert_int_equal(s.selected, 7);
    press(&s, "g/10 - 4\r"); /* those behind another are passed over, but counted */
    work(&s);
    assert_int_equal(s.selected, 1);
    press(&s, "n");
    work(&s);
    assert_int_equal(s.selected, 4);
    assert_int_equal(s.find.count, 7);
    press(&s, "n");
    work(&s);
    assert_int_equal(s.selected, 1);
    press(&s, "\\\r"); /* what a filter lets through is folded, too */
    work(&s);
    assert_int_equal(tui_outline_rows(&s.outline), 3);
    press(&s, "*");
    work(&s);
    assert_int_equal(tui_outline_rows(&s.outline), 8);
    press(&s, "\\\r");
    work(&s);
    assert_int_equal(tui_outline_rows(&s.outline), 17);
    assert_false(shows(&s, "×6"));
    press(&s, ":copies\r");
    assert_int_equal(tui_outline_rows(&s.outline), 8);
    script_prune(&s, 1); /* the others go on without it */
    assert_true(shows(&s, "×5") && shows(&s, "pruned"));
    struct search_event *undo = script_make(SEARCH_EVENT_UNDO);
    undo->undo.target = undo->number - 1;
    script_emit(&s, undo);
    assert_true(shows(&s, "×6"));
    press(&s, "[[");
    assert_true(shows(&s, "×7")); /* before one of them was kept */
    press(&s, "}");
    tui_screen_free(&s);
}

static void test_copies_drawn(void **state)
{
    close_script(state);
    struct tui_screen s;
    script_copies(&s);
    press(&s, ":view drawn\r");
    compare(&s, "drawn-copies", 80, 24);
    compare(&s, "drawn-copies", 40, 12);
    press(&s, "I");
    compare(&s, "drawn-copies-short", 80, 24);
    press(&s, "I");
    compare(&s, "drawn-copies-dots", 80, 24);
    assert_true(shows(&s, "16 thoughts"));
    int rows = s.drawn.tidy.shape.rows;
    press(&s, "7G");
    tui_screen_draw(&s, 80, 24);
    assert_int_equal(s.drawn.tidy.shape.rows, rows + 1);
    press(&s, "*");
    tui_screen_draw(&s, 80, 24);
    assert_int_equal(s.drawn.tidy.shape.shown, 17);
    tui_screen_free(&s);
}

static void test_find(void **state)
{
    close_script(state);
    struct tui_screen s;
    script_game24_done(&s);
    press(&s, "[}"); /* the tree was another one before */
    press(&s, "g/= 6\r");
    work(&s);
    assert_int_equal(s.selected, 1);
    compare(&s, "find", 80, 24);
    press(&s, "n"); /* no other: round and back */
    work(&s);
    assert_int_equal(s.selected, 1);
    press(&s, "/ 6\r"); /* in the order of the rows, through what is folded */
    int order[20], count = 0;
    for (press(&s, "g"); count < 20; count++) {
        press(&s, "n");
        work(&s);
        order[count] = s.selected;
        if (count && order[count] == order[0])
            break;
    }
    assert_int_equal(s.find.count, count);
    for (int i = count - 1; i > 0; i--) {
        press(&s, "N");
        work(&s);
        assert_int_equal(s.selected, order[i]);
    }
    press(&s, "g2n");
    work(&s);
    assert_int_equal(s.selected, order[1]);
    press(&s, "/ANSWER\r"); /* capitals matter now */
    work(&s);
    assert_non_null(strstr(s.notice, "no thought says \"ANSWER\""));
    press(&s, "/answer\r");
    work(&s);
    assert_int_equal(s.selected, 11);
    press(&s, "\033\033");
    assert_null(s.find.text);
    press(&s, "n");
    assert_non_null(strstr(s.notice, "/ asks what"));
    /* Only what has it, and what stands above that. */
    press(&s, "\\30\r");
    work(&s);
    compare(&s, "filter", 80, 24);
    press(&s, "g");
    int rows = tui_outline_rows(&s.outline);
    press(&s, "j");
    assert_int_equal(s.selected, 1);
    script_own(&s, 1, -1, "30 + 1");
    work(&s);
    assert_int_equal(tui_outline_rows(&s.outline), rows + 1);
    script_own(&s, 2, -1, "nothing of it");
    work(&s);
    assert_int_equal(tui_outline_rows(&s.outline), rows + 1);
    press(&s, "4G"); /* whoever is gone to is seen */
    assert_false(s.outline.nodes[4].hidden);
    press(&s, "[["); /* another moment, the same filter */
    work(&s);
    assert_true(s.outline.filtered && tui_outline_rows(&s.outline) < s.tree.count);
    press(&s, "}\\\r");
    work(&s);
    assert_int_equal(tui_outline_rows(&s.outline), s.tree.count);
    tui_screen_free(&s);
}

/* Rows of a tree of which only what has the text stands, and what is above it or selected: asked of each node's whole subtree. */
static int rows_with(const struct tui_screen *s, const char *text)
{
    char *stands = xcalloc((size_t)s->tree.count, 1);
    int rows = 0;
    for (int node = s->tree.count - 1; node >= 0; node--) {
        stands[node] |= !node || node == s->selected || strstr(search_node_text(&s->tree, node), text) != NULL;
        rows += stands[node];
        if (node && stands[node])
            stands[s->tree.nodes[node].parent] = 1;
    }
    free(stands);
    return rows;
}

/* A filter over more thoughts than a slice takes: no key waits for it, the selected thought stays where it is on the screen, and what one
 * does meanwhile (another filter, none, a thought that comes) ends as it would without slices. */
static void test_filter_slices(void **state)
{
    (void)state;
    struct tui_screen s;
    char text[32];
    script_begin(&s, "game24", "4 5 6 10", "mcts");
    for (int i = 1; i < 20000; i++) {
        snprintf(text, sizeof text, "%d is a number", i % 1000);
        script_thought(&s, i < 4000 ? 0 : (i * 7) % (i / 2), -1, 0, 0, text, NULL, NULL, -1, NULL);
    }
    press(&s, "*");
    work(&s);
    press(&s, "2000G");
    tui_screen_draw(&s, 80, 24);
    const int line = tui_outline_row(&s.outline, s.selected) - s.top;
    press(&s, "\\77 is\r");
    assert_int_equal(tui_outline_rows(&s.outline), 20000); /* the key has done none of it */
    int slices = 0;
    for (tui_screen_work(&s); s.busy; slices++, tui_screen_work(&s)) {
        tui_screen_draw(&s, 80, 24);
        assert_int_equal(tui_outline_row(&s.outline, s.selected) - s.top, line);
    }
    assert_true(slices > 3);
    assert_int_equal(s.find.count, 200);
    const int rows = tui_outline_rows(&s.outline);
    assert_int_equal(rows, rows_with(&s, "77 is"));
    press(&s, "\\\r");
    assert_int_equal(tui_outline_rows(&s.outline), rows);
    tui_screen_work(&s);
    assert_true(s.busy && tui_outline_rows(&s.outline) > rows);
    script_thought(&s, 19999, -1, 0, 0, "one more 123 is", NULL, NULL, -1, NULL); /* below what may be hidden still */
    press(&s, "\\\02512");
    press(&s, "3 is\r");
    tui_screen_work(&s);
    script_thought(&s, 500, -1, 0, 0, "and one 123 is", NULL, NULL, -1, NULL);
    script_thought(&s, 0, -1, 0, 0, "nothing", NULL, NULL, -1, NULL);
    work(&s);
    assert_int_equal(s.find.count, 22);
    assert_int_equal(tui_outline_rows(&s.outline), rows_with(&s, "123 is"));
    press(&s, "\\\r");
    work(&s);
    assert_int_equal(tui_outline_rows(&s.outline), 20003);
    tui_screen_free(&s);
}

static void test_marks(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24_done(&s);
    press(&s, "3Gma5G'a");
    assert_int_equal(s.selected, 3);
    press(&s, "''");
    assert_int_equal(s.selected, 5);
    press(&s, "''");
    assert_int_equal(s.selected, 3);
    press(&s, "'z");
    assert_non_null(strstr(s.notice, "no such mark"));
    press(&s, "m\033");
    assert_false(s.mark_asked);
    press(&s, "m1");
    assert_non_null(strstr(s.notice, "letter"));
    assert_int_equal(s.count, 0);
    tui_screen_free(&s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_panes), cmocka_unit_test(test_list), cmocka_unit_test(test_mouse), cmocka_unit_test(test_remembered), cmocka_unit_test(test_anything),
        cmocka_unit_test(test_siblings), cmocka_unit_test(test_judge), cmocka_unit_test(test_votes), cmocka_unit_test(test_drawn), cmocka_unit_test(test_others), cmocka_unit_test(test_compare), cmocka_unit_test(test_lost), cmocka_unit_test(test_copies), cmocka_unit_test(test_copies_drawn), cmocka_unit_test(test_find), cmocka_unit_test(test_filter_slices), cmocka_unit_test(test_marks),
    };
    golden_updating = argc > 1 && !strcmp(argv[1], "update");
    return cmocka_run_group_tests(tests, NULL, close_script);
}
