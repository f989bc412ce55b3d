/* The line after ':' : commands, their completion and help, the history that is kept; and a file watched for being saved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/screen_script.h"
#include "tui/slip.h"
#include "tui/watch.h"
#include "tui/words.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/espalier-words-XXXXXX";

static void type(struct tui_screen *s, const char *keys)
{
    for (; *keys; keys++)
        tui_screen_key(s, *keys);
}

static int shows(struct tui_screen *s, const char *text)
{
    struct string out = {0};
    tui_screen_draw(s, 80, 24);
    tui_canvas_dump(&s->canvas, &out);
    int found = strstr(string_text(&out), text) != NULL;
    string_free(&out);
    return found;
}

/* Typed, tab pressed: this stands in the line, and this part of it in the notice (NULL: nothing does). */
static void completes(struct tui_screen *s, const char *typed, const char *line, const char *notice)
{
    type(s, "\033:");
    type(s, typed);
    type(s, "\t");
    assert_string_equal(s->ask.line.text.text, line);
    if (!notice && s->notice[0])
        printf("%s: %s\n", typed, s->notice);
    assert_int_equal(s->notice[0] != 0, notice != NULL);
    if (notice && !strstr(s->notice, notice))
        printf("%s: %s\n", typed, s->notice);
    assert_true(!notice || strstr(s->notice, notice));
    type(s, "\033");
}

static void test_complete(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    type(&s, "2G");
    completes(&s, "pru", "prune ", NULL);
    completes(&s, "prune ", "prune 2 ", NULL); /* the one selected */
    completes(&s, "prune 2 ", "prune 2 ", "prune THOUGHT");
    completes(&s, "un", "un", "unkeep  undo");
    completes(&s, "xyz", "xyz", "no command");
    completes(&s, "weight p", "weight plurality ", NULL);
    completes(&s, "set te", "set temperature=", NULL);
    completes(&s, "set seed=3 strategy=self", "set seed=3 strategy=self-consistency ", NULL);
    completes(&s, "set evaluate=vo", "set evaluate=vote ", NULL); /* of the strategy there is */
    completes(&s, "set judge=or", "set judge=oracle ", NULL);
    completes(&s, "set n_g", "set n_generate_sample=", NULL);
    completes(&s, "set generate=", "set generate=", "generate=propose  generate=sample");
    completes(&s, "set m", "set min_p=", NULL); /* m is of others */
    completes(&s, "theme nor", "theme nord ", NULL);
    completes(&s, "theme ", "theme ", "colour-blind  dark  gruvbox");
    completes(&s, "theme themes/nor", "theme themes/nord.yaml ", NULL);
    completes(&s, "theme them", "theme them", "theme NAME|FILE");
    completes(&s, "adapter tui/REA", "adapter tui/README.md ", NULL);
    completes(&s, "adapter [tu", "adapter [tu", "FILE"); /* no pattern */
    completes(&s, "help fo", "help fo", "fork  follow");
    completes(&s, "step ", "step ", "step [N]");
    completes(&s, "unbreak ", "unbreak all ", NULL); /* there is nothing else */
    s.now.breakpoints = xstrdup("wrong, value<0.3");
    completes(&s, "unbreak v", "unbreak value<0.3 ", NULL);
    completes(&s, "unbreak ", "unbreak ", "wrong  value<0.3  all");
    completes(&s, "break value", "break value", "value<  value>");
    completes(&s, "break d", "break depth=", NULL);
    tui_screen_free(&s);
}

/* A command for the screen alone: this begins its notice, "": it has none. */
static void says(struct tui_screen *s, const char *command, const char *notice)
{
    s->notice[0] = '\0';
    assert_int_equal(tui_command(s, command).act, TUI_ACT_NONE);
    if (*notice ? !strstr(s->notice, notice) : *s->notice)
        fail_msg("%s: '%s'", command, s->notice);
}

/* What looks at the tree, by keys and by words alike. */
static void test_looking(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    says(&s, "12", "there is no thought 12 in the tree; there are 0 to");
    says(&s, "4", "");
    assert_int_equal(s.selected, 4);
    says(&s, "mark a", "mark a is thought 4");
    says(&s, "mark", "a mark is a letter");
    says(&s, "go 2 ", "");
    assert_int_equal(s.selected, 2);
    says(&s, "go 'a", "");
    assert_int_equal(s.selected, 4);
    says(&s, "go 'b", "there is no such mark");
    says(&s, "go up", "expected the number of a thought");
    says(&s, "go 0", "");
    says(&s, "find 10 - 4", "");
    tui_screen_work(&s);
    assert_non_null(strstr(search_node_text(&s.tree, s.selected), "10 - 4"));
    says(&s, "filter 10 - 4", "");
    assert_true(s.find.filter);
    says(&s, "filter", "");
    assert_false(s.find.filter);
    tui_screen_free(&s);
}

static void test_export(void **state)
{
    (void)state;
    static const struct {
        const char *ending, *begins;
    } kinds[] = {{"json", "{\"event\":\"session\""}, {"dot", "digraph espalier"}, {"md", "# 4 5 6 10"}};
    struct tui_screen s;
    script_game24(&s);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char begins[64] = "", *path = xasprintf("%s/tree.%s", folder, kinds[i].ending), *words = xasprintf("export %s", path);
        says(&s, words, "has the tree as it is shown");
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        assert_true(fread(begins, 1, strlen(kinds[i].begins), f) > 0);
        fclose(f);
        assert_string_equal(begins, kinds[i].begins);
        says(&s, words, "is there already"); /* nothing is lost */
        unlink(path);
        free(path);
        free(words);
    }
    says(&s, "export tree.png", "ends in .json, .dot, .md or .cast");
    says(&s, "export", "ends in .json, .dot, .md or .cast");
    says(&s, "export /no/such/tree.md", "cannot be written: No such file");
    tui_screen_free(&s);
}

static void test_commands(void **state)
{
    (void)state;
    struct tui_screen s;
    script_game24(&s);
    struct tui_action a = tui_command(&s, "  theme ./mine.yaml ");
    assert_int_equal(a.act, TUI_ACT_THEME);
    assert_string_equal(a.words, "./mine.yaml");
    assert_int_equal(tui_command(&s, "theme").act, TUI_ACT_NONE);
    assert_int_equal(tui_command(&s, "run").act, TUI_ACT_RUN);
    assert_int_equal(tui_command(&s, "pause").act, TUI_ACT_PAUSE);
    a = tui_command(&s, "step 12 ");
    assert_int_equal(a.act, TUI_ACT_STEP);
    assert_int_equal(a.number, 12);
    assert_int_equal(tui_command(&s, "step").number, 1);
    assert_int_equal(tui_command(&s, "step x").act, TUI_ACT_NONE);
    a = tui_command(&s, "add 2 some words ");
    assert_int_equal(a.act, TUI_ACT_DO);
    assert_string_equal(a.words, "add 2 some words ");
    assert_int_equal(tui_command(&s, "").act, TUI_ACT_NONE);
    says(&s, "nonsense", "no command 'nonsense'; :help shows");
    says(&s, "prnue 3", "no command 'prnue'; the nearest is prune THOUGHT");
    says(&s, "exp x", "the nearest is export FILE"); /* it begins so */
    a = tui_command(&s, "break depth=2");
    assert_int_equal(a.act, TUI_ACT_DO);
    assert_string_equal(a.words, "break depth=2");
    assert_int_equal(tui_command(&s, "unbreak all").act, TUI_ACT_DO);
    assert_int_equal(tui_command(&s, "break").act, TUI_ACT_NONE);
    assert_true(shows(&s, "it stops nowhere by itself"));
    type(&s, "!");
    assert_string_equal(s.ask.line.text.text, "break ");
    type(&s, "\033");
    tui_command(&s, "at 0");
    assert_true(s.past.on);
    assert_int_equal(tui_command(&s, "run").act, TUI_ACT_NONE); /* not in the past */
    assert_int_equal(tui_command(&s, "prune 1").act, TUI_ACT_NONE);
    assert_int_equal(tui_command(&s, "theme nord").act, TUI_ACT_THEME);
    tui_command(&s, "now");
    assert_false(s.past.on);
    type(&s, "g");
    tui_command(&s, "follow");
    assert_true(s.follow);
    tui_command(&s, "help fork");
    assert_true(shows(&s, "fork THOUGHT TOKEN ID: another token in the place of one; key f"));
    s.notice[0] = '\0';
    tui_command(&s, "help");
    assert_true(shows(&s, "commands, after :") && shows(&s, "prune THOUGHT               cut a thought"));
    assert_false(shows(&s, "signs"));
    assert_false(shows(&s, "quit; asks once where something would be lost"));
    type(&s, "999j");
    assert_true(shows(&s, "q                           quit; asks once where something would be lost"));
    tui_screen_draw(&s, 40, 12);
    tui_screen_free(&s);
}

/* Each command of the table is one: of the screen's own, or an act that the search knows by that name. */
static void test_table(void **state)
{
    (void)state;
    for (const struct tui_word *w = tui_words; w->verb; w++) {
        assert_ptr_equal(tui_word_find(w->verb, strlen(w->verb)), w); /* no two alike */
        assert_true(*w->does);
    }
    assert_null(tui_word_find("pru", 3));
}

static void test_history(void **state)
{
    (void)state;
    struct tui_screen s;
    struct tui_history again;
    struct stat about;
    assert_int_equal(setenv("XDG_STATE_HOME", folder, 1), 0);
    script_game24(&s);
    tui_history_open(&s.ask.history);
    type(&s, ":undo\r:undo\r:redo\r:\r");
    tui_history_open(&again);
    assert_int_equal(again.count, 2); /* the same twice in a row is once */
    assert_string_equal(again.lines[1], "redo");
    assert_int_equal(stat(again.path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600); /* nobody else's */
    tui_history_free(&again);
    for (int i = 0; i < 11 * TUI_HISTORY; i++) {
        char text[32];
        snprintf(text, sizeof text, "keep %d", i);
        tui_history_add(&s.ask.history, text);
    }
    tui_history_open(&again);
    assert_int_equal(again.count, TUI_HISTORY);
    assert_string_equal(again.lines[TUI_HISTORY - 1], "keep 549");
    assert_int_equal(stat(again.path, &about), 0);
    assert_in_range(about.st_size, 1, 10 * TUI_HISTORY); /* it was made shorter */
    assert_int_equal(about.st_mode & 0777, 0600);
    tui_history_free(&again);
    type(&s, ":x");
    tui_screen_key(&s, TUI_KEY_UP);
    assert_string_equal(s.ask.line.text.text, "keep 549");
    tui_screen_free(&s);
    assert_int_equal(setenv("XDG_STATE_HOME", "/proc/no", 1), 0); /* nowhere to keep it: it is remembered all the same */
    tui_history_open(&again);
    tui_history_add(&again, "undo");
    assert_int_equal(again.count, 1);
    tui_history_free(&again);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int woken(const struct tui_watch *w)
{
    struct pollfd fd = {.fd = w->fd, .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void test_watch(void **state)
{
    (void)state;
    struct tui_watch w;
    char *path = xasprintf("%s/theme.yaml", folder), *other = xasprintf("%s/other.yaml", folder), *link = xasprintf("%s/link.yaml", folder);
    put(path, "1");
    assert_int_equal(symlink(path, link), 0);
    tui_watch_open(&w, link); /* what it leads to is what is saved */
    assert_true(w.fd >= 0);
    assert_false(woken(&w));
    assert_false(tui_watch_saved(&w));
    put(path, "2");
    assert_true(woken(&w));
    assert_true(tui_watch_saved(&w));
    assert_false(tui_watch_saved(&w));
    put(other, "3");
    assert_false(tui_watch_saved(&w)); /* another file */
    assert_int_equal(rename(other, path), 0); /* as many editors save */
    assert_true(tui_watch_saved(&w));
    put(path, "4");
    assert_true(tui_watch_saved(&w)); /* and again, though it is another file now */
    tui_watch_close(&w);
    tui_watch_open(&w, "no/such/file");
    assert_int_equal(w.fd, -1);
    assert_false(tui_watch_saved(&w));
    tui_watch_close(&w);
    tui_watch_open(&w, NULL);
    tui_watch_close(&w);
    unlink(path);
    unlink(link);
    free(path);
    free(other);
    free(link);
}

/* Worked out by hand: put in, left out, changed, exchanged; and what is no slip any more. */
static void test_slips(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
        int distance;
    } cases[] = {
        {"train", "train", 0}, {"trian", "train", 1}, {"trin", "train", 1}, {"traiin", "train", 1}, {"brain", "train", 1}, {"rtani", "train", 2},
        {"hlep", "help", 1}, {"hlep", "clip", 2}, {"abcd", "badc", 2}, {"cab", "abc", TUI_SLIP_FAR} /* 2, of three letters */, {"rnu", "run", 1},
        {"", "", 0}, {"", "a", 1}, {"a", "", 1}, {"a", "abc", TUI_SLIP_FAR}, {"train", "bench", TUI_SLIP_FAR},
        {"a word that is longer than any name", "a word that is longer than any name", TUI_SLIP_FAR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tui_slip_distance(cases[i].text, strlen(cases[i].text), cases[i].word), cases[i].distance);
    assert_int_equal(tui_slip_distance("seed=3", 4, "seed"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slips),
        cmocka_unit_test(test_complete), cmocka_unit_test(test_commands), cmocka_unit_test(test_looking), cmocka_unit_test(test_export), cmocka_unit_test(test_table),
        cmocka_unit_test(test_history),  cmocka_unit_test(test_watch),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *command = xasprintf("rm -rf '%s'", folder);
    failed |= system(command) != 0;
    free(command);
    return failed;
}
