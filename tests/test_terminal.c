/* The explorer on a terminal that this test holds the other end of: what is recorded is what was written, a terminal that takes nothing
 * does not stop the search, a session plays again without a model.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tui/options.h"
#include "tui/record.h"
#include "tui/replay.h"
#include "tests/screen_script.h"
#include "tui/command.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/espalier-terminal-XXXXXX";

/* --- the other end ----------------------------------------------------------------------------------------------- */

struct other_end {
    int master;
    pid_t child;
    struct string got;
};

/* The explorer in a process of its own, on a terminal of 80x24. */
static void begin(struct other_end *t, const char *command, char **argv)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    int argc = 0;
    *t = (struct other_end){0};
    fflush(NULL);
    t->child = forkpty(&t->master, NULL, NULL, &size);
    assert_true(t->child >= 0);
    if (t->child)
        return;
    const struct tui_command *c = !strcmp(command, "show") ? &tui_command_show : &tui_command_explore;
    struct tui_options o;
    struct error e;
    int help, code;
    while (argv[argc])
        argc++;
    code = tui_options_parse(argc, argv, c->options, &o, &help, &e);
    code = code ? 99 : c->run(&o);
    fflush(stdout);
    _exit(code);
}

/* Read until the output holds this, or for as long as something comes (NULL). */
static int reads(struct other_end *t, const char *text)
{
    char buffer[4096];
    for (int waits = 0; waits < 600; waits++) {
        struct pollfd fd = {.fd = t->master, .events = POLLIN};
        if (text && t->got.length && memmem(t->got.text, t->got.length, text, strlen(text)))
            return 1;
        if (poll(&fd, 1, 100) < 1)
            continue;
        ssize_t n = read(t->master, buffer, sizeof buffer);
        if (n <= 0)
            return !text;
        string_append(&t->got, buffer, (size_t)n);
        waits = 0;
    }
    return 0;
}

static void type(struct other_end *t, const char *keys)
{
    assert_int_equal(write(t->master, keys, strlen(keys)), strlen(keys));
}

static void end(struct other_end *t, int code)
{
    int status;
    assert_true(reads(t, NULL));
    assert_int_equal(waitpid(t->child, &status, 0), t->child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
    close(t->master);
}

/* --- recordings -------------------------------------------------------------------------------------------------- */

/* shown: what came at the other end, in which each piece must stand, in order; or NULL. */
static void read_cast(const char *path, const struct string *shown, struct string *out, int *resizes)
{
    const char *from = shown ? shown->text : NULL;
    char *line = NULL;
    size_t room = 0;
    double last = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    *resizes = 0;
    for (int i = 0; getline(&line, &room, f) > 0; i++) {
        json_error_t error;
        json_t *value = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        assert_non_null(value);
        if (!i) {
            int version, width, height;
            json_int_t when;
            const char *term;
            assert_int_equal(json_unpack(value, "{s:i, s:i, s:i, s:I, s:{s:s}}", "version", &version, "width", &width, "height", &height, "timestamp", &when,
                                         "env", "TERM", &term), 0);
            assert_true(version == 2 && width == 80 && height == 24 && when > 1700000000);
            assert_string_equal(term, "xterm-256color");
        } else {
            double time;
            const char *kind, *data;
            size_t n;
            assert_int_equal(json_unpack(value, "[F, s, s%]", &time, &kind, &data, &n), 0);
            assert_true(time >= last);
            last = time;
            if (*kind == 'o') {
                string_append(out, data, n);
                from = from ? memmem(from, shown->length - (size_t)(from - shown->text), data, n) : NULL;
                assert_true(from || !shown);
                from = from ? from + n : NULL;
            } else
                assert_string_equal(data, ++*resizes ? "100x30" : "");
        }
        json_decref(value);
    }
    free(line);
    fclose(f);
}

static void test_record(void **state)
{
    (void)state;
    struct other_end t;
    struct string cast = {0};
    int resizes;
    char *path = xasprintf("%s/a.cast", folder), *session = xasprintf("%s/a.session", folder);
    char *argv[] = {"espalier", "-m", "tests/reference/tiny/tiny-q8_0.gguf", "--kernels", "reference", "-t", "ask", "-s", "self-consistency,m=3",
                    "--session", session, "--record", path, "What is it?", NULL};
    begin(&t, "explore", argv);
    assert_true(reads(&t, "\xe2\x96\xa0 done"));
    struct winsize size = {.ws_row = 30, .ws_col = 100};
    assert_int_equal(ioctl(t.master, TIOCSWINSZ, &size), 0);
    type(&t, "gj\r");
    assert_true(reads(&t, "token 1 of"));
    type(&t, "?");
    assert_true(reads(&t, "the search"));
    type(&t, "\033q");
    type(&t, "q");
    end(&t, 0);
    read_cast(path, &t.got, &cast, &resizes);
    assert_int_equal(resizes, 1);
    assert_true(t.got.length >= cast.length && 10 * cast.length > 8 * t.got.length); /* at a new size curses draws something of its own */
    assert_true(!strncmp(cast.text, "\033[?1049h", 8) && strstr(cast.text, "\033[?1049l")); /* who plays it has their screen back */
    assert_true(strstr(cast.text, "the search") && strstr(cast.text, "\xe2\x96\xa0 done"));
    string_free(&t.got);
    char *again[] = {"espalier", "-m", "tests/reference/tiny/tiny-q8_0.gguf", "-t", "ask", "--record", path, "What is it?", NULL};
    begin(&t, "explore", again); /* what is there is not written over */
    end(&t, ERROR_INPUT);
    assert_non_null(memmem(t.got.text, t.got.length, "a.cast: it is there already", 27));
    string_free(&t.got);
    string_free(&cast);
    free(path);
    free(session);
}

static void test_record_cuts(void **state)
{
    (void)state;
    struct tui_record *r;
    struct error e;
    struct string out = {0};
    int resizes;
    char *path = xasprintf("%s/b.cast", folder), *nowhere = xasprintf("%s/none/b.cast", folder);
    assert_int_equal(tui_record_open(&r, nowhere, &e), ERROR_INPUT);
    assert_int_equal(tui_record_open(&r, path, &e), 0);
    tui_record_size(r, 80, 24);
    tui_record_write(r, "a\xe4\xb8", 3); /* a character in two pieces */
    tui_record_write(r, "\xad\033[m\xff\xf0\x9f", 7);
    tui_record_size(r, 80, 24);
    tui_record_write(r, "\x98\x80z", 3);
    tui_record_size(r, 100, 30);
    assert_int_equal(tui_record_close(r, &e), 0);
    read_cast(path, NULL, &out, &resizes);
    assert_int_equal(resizes, 1);
    assert_string_equal(out.text, "a\xe4\xb8\xad\033[m\xef\xbf\xbd\xf0\x9f\x98\x80z");
    string_free(&out);
    if (!access("/dev/full", W_OK)) {
        r = xcalloc(1, sizeof *r);
        r->file = fopen("/dev/full", "w");
        r->path = xstrdup("full.cast");
        tui_record_size(r, 80, 24);
        tui_record_write(r, "x", 1);
        assert_int_equal(tui_record_close(r, &e), ERROR_INPUT);
        assert_non_null(strstr(e.message, "ends early"));
    }
    free(path);
    free(nowhere);
}

/* --- slow terminals ---------------------------------------------------------------------------------------------- */

static int is_finished(const char *session)
{
    struct search_sessions sessions;
    struct error e;
    int finished = 0;
    if (!search_sessions_load(&sessions, session, &e)) {
        finished = sessions.count && sessions.list[0].tree.result;
        search_sessions_free(&sessions);
    }
    return finished;
}

/* Nobody reads what is drawn, and far more is drawn than fits on the way. */
static void test_slow(void **state)
{
    (void)state;
    struct other_end t;
    char *session = xasprintf("%s/slow.session", folder), keys[300];
    char *argv[] = {"espalier", "-m", "tests/reference/tiny/tiny-q8_0.gguf", "--kernels", "reference", "-t", "ask", "-s", "self-consistency,m=6",
                    "--session", session, "What is it?", NULL};
    memset(keys, 'L' - TUI_KEY_CONTROL, sizeof keys - 1); /* each draws all of it */
    keys[sizeof keys - 1] = '\0';
    begin(&t, "explore", argv);
    assert_true(reads(&t, "\033[?2004h")); /* it has the terminal, and keys come as they are typed */
    type(&t, keys);
    int waits = 0, status, bytes = 0;
    while (!is_finished(session) && waits++ < 600)
        usleep(100000);
    assert_true(is_finished(session));
    assert_int_equal(waitpid(t.child, &status, WNOHANG), 0);
    assert_int_equal(ioctl(t.master, FIONREAD, &bytes), 0);
    assert_true(bytes > 0); /* waiting to be read */
    assert_true(reads(&t, "\xe2\x96\xa0 done"));
    type(&t, "q");
    end(&t, 0);
    string_free(&t.got);
    free(session);
}

/* And it is ended: by a signal, though nobody reads; with what it has found. */
static void test_slow_ended(void **state)
{
    (void)state;
    struct other_end t;
    char *session = xasprintf("%s/ended.session", folder), keys[300];
    char *argv[] = {"espalier", "-m", "tests/reference/tiny/tiny-q8_0.gguf", "--kernels", "reference", "-t", "ask", "-s", "self-consistency,m=6",
                    "--session", session, "What is it?", NULL};
    memset(keys, 'L' - TUI_KEY_CONTROL, sizeof keys - 1);
    keys[sizeof keys - 1] = '\0';
    begin(&t, "explore", argv);
    assert_true(reads(&t, "\033[?2004h"));
    type(&t, keys);
    for (int waits = 0; !is_finished(session) && waits < 600; waits++)
        usleep(100000);
    int status, waits = 0;
    kill(t.child, SIGTERM);
    while (!waitpid(t.child, &status, WNOHANG) && waits++ < 600)
        usleep(100000);
    assert_true(waits < 600 && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    assert_true(is_finished(session));
    struct search_journal *journal;
    struct error e;
    assert_int_equal(search_journal_open(&journal, session, 0, &e), 0);
    char *left = search_journal_get(journal, "left");
    assert_non_null(left); /* it came to its own end */
    search_journal_close(journal);
    close(t.master);
    string_free(&t.got);
    char *show[] = {"show", session, "--json", NULL};
    begin(&t, "show", show);
    end(&t, 0);
    assert_non_null(memmem(t.got.text, t.got.length, "\"event\":\"result\"", 16));
    string_free(&t.got);
    free(left);
    free(session);
}

/* --- the clipboard ----------------------------------------------------------------------------------------------- */

static void test_copy(void **state)
{
    (void)state;
    static const char sent[] = "\033]52;c;V2hhdCBpcyBpdD8=\a"; /* What is it? */
    struct other_end t;
    struct string cast = {0};
    int resizes;
    char *path = xasprintf("%s/copy.cast", folder);
    char *argv[] = {"espalier", "-m", "tests/reference/tiny/tiny-q8_0.gguf", "--kernels", "reference", "--paused", "-t", "ask", "-s", "greedy", "--record", path,
                    "What is it?", NULL};
    begin(&t, "explore", argv);
    assert_true(reads(&t, "paused"));
    type(&t, "y");
    assert_true(reads(&t, "copied 11 bytes"));
    assert_non_null(memmem(t.got.text, t.got.length, sent, sizeof sent - 1));
    assert_null(memmem(t.got.text, t.got.length, "tmux;", 5));
    type(&t, "q");
    end(&t, 0);
    read_cast(path, NULL, &cast, &resizes);
    assert_null(memmem(cast.text, cast.length, "]52;", 4)); /* who plays it keeps their own */
    string_free(&cast);
    string_free(&t.got);
    char *off[] = {"espalier", "-m", "tests/reference/tiny/tiny-q8_0.gguf", "--kernels", "reference", "--paused", "--no-copy", "-t", "ask", "What is it?", NULL};
    begin(&t, "explore", off);
    assert_true(reads(&t, "paused"));
    type(&t, "y");
    assert_true(reads(&t, "copying is off"));
    type(&t, "q");
    end(&t, 0);
    assert_null(memmem(t.got.text, t.got.length, "]52;", 4));
    string_free(&t.got);
    free(path);
}

/* --- replays ----------------------------------------------------------------------------------------------------- */

static void test_replay_command(void **state)
{
    (void)state;
    struct other_end t;
    char *session = xasprintf("%s/a.session", folder); /* of test_record */
    char *argv[] = {"show", session, "--replay", "--speed", "100", NULL};
    begin(&t, "show", argv);
    assert_true(reads(&t, "a replay"));
    assert_true(reads(&t, "\xe2\x96\xa0 done"));
    type(&t, "p");
    assert_true(reads(&t, "espalier --session"));
    type(&t, "q");
    end(&t, 0);
    string_free(&t.got);
    free(session);
}

static void test_replay(void **state)
{
    (void)state;
    struct tui_screen whole;
    struct tui_race race;
    struct tui_replay r;
    script_game24_done(&whole);
    const struct search_tree *trees[] = {&whole.tree};
    tui_race_open(&race, 1);
    tui_replay_open(&r, trees, 1, 1, 1, 100);
    tui_replay_go_on(&r, &race, 100);
    struct tui_screen *s = &race.screens[0];
    assert_int_equal(s->tree.event_count, 1); /* paused: the session alone */
    assert_int_equal(s->now.state, TUI_PAUSED);
    assert_true(tui_replay_wait(&r, 100) < 0);
    assert_false(tui_replay_go_on(&r, &race, 500)); /* nothing is due */
    tui_replay_command(&r, &race, (struct tui_action){TUI_ACT_STEP, 2, NULL, 0}, 500);
    assert_true(tui_replay_go_on(&r, &race, 500));
    const struct search_event *next = whole.tree.events[s->tree.event_count];
    assert_true(next->kind == SEARCH_EVENT_PLAN || next->kind == SEARCH_EVENT_DECISION);
    int64_t at = s->tree.event_count;
    tui_replay_command(&r, &race, (struct tui_action){.act = TUI_ACT_RUN}, 500);
    tui_replay_go_on(&r, &race, 500);
    assert_int_equal(s->now.state, TUI_RUNNING);
    assert_in_range(s->tree.event_count, at, at + 1);
    const double slow = tui_replay_wait(&r, 500);
    tui_replay_speed(&r, 2, 500);
    assert_true(slow > 0 && fabs(tui_replay_wait(&r, 500) - slow / 2) < 1e-9);
    tui_replay_command(&r, &race, (struct tui_action){.act = TUI_ACT_DO, .words = "prune 1"}, 500);
    assert_non_null(strstr(s->notice, "a replay"));
    double now = 500;
    for (int i = 0; i < 10000 && s->now.state != TUI_DONE; i++) {
        const double wait = tui_replay_wait(&r, now);
        assert_true(wait >= 0);
        now += wait + 1e-6;
        at = s->tree.event_count;
        tui_replay_go_on(&r, &race, now);
        assert_true(s->tree.event_count - at <= 1); /* one after the other */
    }
    assert_int_equal(s->tree.event_count, whole.tree.event_count);
    assert_true(tui_replay_wait(&r, now) < 0); /* and then it sleeps */
    tui_replay_free(&r);
    tui_race_free(&race);
    tui_screen_free(&whole);
}

/* Each step is one more of those that the screen counts, the result too. */
static void test_replay_steps(void **state)
{
    (void)state;
    struct tui_screen whole;
    struct tui_race race;
    struct tui_replay r;
    script_votes(&whole);
    const struct search_tree *trees[] = {&whole.tree};
    tui_race_open(&race, 1);
    tui_replay_open(&r, trees, 1, 1, 1, 100);
    const struct tui_screen *s = &race.screens[0];
    for (int made = 0; s->now.state != TUI_DONE; made++) {
        tui_replay_go_on(&r, &race, 100);
        assert_int_equal(search_tree_steps(&s->tree), made);
        tui_replay_command(&r, &race, (struct tui_action){TUI_ACT_STEP, 1, NULL, 0}, 100);
    }
    assert_int_equal(search_tree_steps(&s->tree), 3);
    tui_replay_free(&r);
    tui_race_free(&race);
    tui_screen_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record), cmocka_unit_test(test_record_cuts), cmocka_unit_test(test_slow),
        cmocka_unit_test(test_slow_ended), cmocka_unit_test(test_copy), cmocka_unit_test(test_replay_command),
        cmocka_unit_test(test_replay), cmocka_unit_test(test_replay_steps),
    };
    setenv("TERM", "xterm-256color", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
    setlocale(LC_CTYPE, "");
    unsetenv("NO_COLOR");
    unsetenv("TMUX");
    if (!mkdtemp(folder))
        return 1;
    setenv("XDG_CONFIG_HOME", folder, 1);
    setenv("XDG_STATE_HOME", folder, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char *command = xasprintf("rm -rf '%s'", folder);
    failed |= system(command) != 0;
    free(command);
    return failed;
}
