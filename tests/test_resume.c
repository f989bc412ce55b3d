/* A search that is killed at any moment: nothing that was shown is lost, and opened again it comes to the log of one that was never
 * interrupted, byte for byte. With a tiny model that writes noise, two strategies racing in one session, and acts of the user on the way.
 *
 * Run from the root of the repository. */
#include "search/search.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const char model[] = "tests/reference/tiny/tiny-q8_0.gguf", task_file[] = "tests/tiny.yaml";

enum { RACERS = 2, KILLS = 200 };
static const char *const strategies[RACERS] = {"tot,b=2,generate=sample,evaluate=vote,k=4", "self-consistency,m=5,weight=normalised"};

/* What the user does when a tree has so many events. */
static const struct {
    int64_t at;
    const char *words;
} acts[RACERS][8] = {
    {{6, "prune 1"}, {9, "undo"}, {14, "keep 2"}, {18, "add 0 answer 7"}, {24, "back"}, {27, "undo"}, {34, "set temperature=0.5"}, {40, "again 0"}},
    {{5, "prune 2"}, {12, "edit 1 answer 3"}, {15, "again 0"}, {19, "undo"}, {21, "redo"}, {24, "exclude 6"}, {28, "weight plurality"}, {30, "back"}},
};
enum { ACTS = 8 };

/* --- one race ---------------------------------------------------------------------------------------------------- */

struct race {
    struct string *logs; /* [RACERS], or NULL */
    int told;            /* a descriptor, or -1: each event given to the sink is told there */
};
struct racer {
    struct race *race;
    int number, acts;
    struct search *search;
};

static void take_event(void *context, struct search_event *event)
{
    struct racer *r = context;
    if (r->race->logs)
        search_event_json(event, NULL, &r->race->logs[r->number]);
    unsigned char number = (unsigned char)r->number;
    if (r->race->told >= 0 && write(r->race->told, &number, 1) != 1)
        raise(SIGKILL);
}

static int is_act(const struct search_event *event)
{
    return event->kind == SEARCH_EVENT_PRUNE || event->kind >= SEARCH_EVENT_KEEP || event->kind == SEARCH_EVENT_UNDO ||
           event->kind == SEARCH_EVENT_REDO || (event->kind == SEARCH_EVENT_THOUGHT && event->thought.by_user);
}

/* Acts are done at their places in the log, so how many of them are done can be read off it. */
static void do_acts(struct racer *r)
{
    const struct search_tree *tree = search_tree(r->search);
    struct error e;
    int done = 0;
    for (int64_t i = 0; i < tree->event_count; i++)
        done += is_act(tree->events[i]);
    r->acts = r->acts > done ? r->acts : done;
    while (r->acts < ACTS && tree->event_count >= acts[r->number][r->acts].at) {
        int code = search_do(r->search, acts[r->number][r->acts].words, &e);
        if (code) {
            fprintf(stderr, "racer %d: %s: %s\n", r->number, acts[r->number][r->acts].words, e.message);
            abort();
        }
        r->acts++;
    }
}

/* Run or go on with the session at `path` (NULL: in none) to the end. */
static int run(const char *path, struct race *race, struct error *e)
{
    struct engine *engine = NULL;
    struct search_task *task = NULL;
    struct search_sessions loaded = {0};
    struct search_journal *journal = NULL;
    struct racer racers[RACERS] = {{0}};
    struct search_group *group = search_group_open();
    struct search *moved = NULL;
    enum search_status status = SEARCH_WORKING;
    int code = engine_open(&engine, &(struct engine_options){.model = model, .threads = 1, .batch = 4}, e);
    if (!code)
        code = search_task_open(&task, task_file, e);
    if (!code && path && access(path, F_OK) == 0)
        code = search_sessions_open(&loaded, path, e);
    else if (!code && path)
        code = search_journal_create(&journal, path, e);
    for (int i = 0; i < RACERS && !code; i++) {
        racers[i] = (struct racer){.race = race, .number = i};
        struct search_options options = {
            .task = task, .problem = "count", .strategy = strategies[i], .seed = 3, .sampling = {-1, -1, -1, -1, -1},
            .budget_tokens = i ? 0 : 400, .sink = take_event, .context = &racers[i], .tree = i,
            .journal = journal ? journal : loaded.journal,
        };
        code = i < loaded.count ? search_open_again(&racers[i].search, engine, &options, loaded.list[i].tree.events, loaded.list[i].tree.event_count, e)
                                : search_open(&racers[i].search, engine, &options, e);
        if (!code)
            search_group_add(group, racers[i].search);
    }
    while (!code && (moved || status != SEARCH_DONE)) {
        for (int i = 0; i < RACERS; i++)
            do_acts(&racers[i]);
        code = search_group_advance(group, &moved, &status, e);
    }
    search_group_close(group);
    for (int i = 0; i < RACERS; i++)
        search_close(racers[i].search);
    search_journal_close(journal);
    search_sessions_free(&loaded);
    search_task_close(task);
    engine_close(engine);
    return code;
}

/* --- killed ------------------------------------------------------------------------------------------------------ */

/* Does the text begin with the lines of the tree? */
static int begins_with(const char *log, const struct search_tree *tree)
{
    struct string lines = {0};
    for (int64_t i = 0; i < tree->event_count; i++)
        search_event_json(tree->events[i], NULL, &lines);
    int same = strncmp(log, string_text(&lines), lines.length) == 0;
    string_free(&lines);
    return same;
}

static void remove_session(const char *path)
{
    char *wal = xasprintf("%s-wal", path), *shm = xasprintf("%s-shm", path);
    unlink(path);
    unlink(wal);
    unlink(shm);
    free(wal);
    free(shm);
}

/* What the child told before it was killed, by tree. */
static void count_told(int fd, int64_t *told)
{
    unsigned char buffer[4096];
    ssize_t n;
    memset(told, 0, RACERS * sizeof *told);
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < n; i++)
            told[buffer[i]]++;
    close(fd);
}

static void test_kill(void **state)
{
    (void)state;
    struct string logs[RACERS] = {{0}};
    struct error e;
    char path[] = "/tmp/espalier_test_XXXXXX";
    assert_non_null(mkdtemp(path));
    char *file = xasprintf("%s/race.session", path);
    double start = clock_seconds();
    if (run(NULL, &(struct race){.logs = logs, .told = -1}, &e))
        fail_msg("%s", e.message);
    double whole = clock_seconds() - start;
    int ended = 0, half_way = 0;
    for (int kill_number = 0; kill_number < KILLS; kill_number++) {
        int pipes[2], status;
        assert_int_equal(pipe(pipes), 0);
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (!child) {
            close(pipes[0]);
            int code = run(file, &(struct race){.told = pipes[1]}, &e);
            if (code)
                fprintf(stderr, "%s\n", e.message);
            signal(SIGTERM, SIG_DFL);
            raise(code ? SIGABRT : SIGTERM); /* nothing of the test framework's runs here */
        }
        close(pipes[1]);
        usleep((useconds_t)(random_uniform(9, 9, (uint64_t)kill_number) * whole * 1.1 * 1e6));
        kill(child, SIGKILL);
        int64_t told[RACERS];
        count_told(pipes[0], told);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT);
        struct search_sessions sessions = {0};
        if (access(file, F_OK) == 0 && search_sessions_load(&sessions, file, &e) && !strstr(e.message, "empty"))
            fail_msg("kill %d: %s", kill_number, e.message);
        for (int i = 0; i < RACERS; i++) {
            int64_t kept = i < sessions.count ? sessions.list[i].tree.event_count : 0;
            assert_true(kept >= told[i]);
            assert_true(!kept || begins_with(logs[i].text, &sessions.list[i].tree));
            half_way += kept > 0;
        }
        int empty = !sessions.count;
        search_sessions_free(&sessions);
        whole *= WTERMSIG(status) == SIGTERM ? 0.9 : empty ? 1.1 : 1; /* the machine may have other work than when it was measured */
        if (WTERMSIG(status) == SIGTERM || empty) { /* it came to its end, or hardly to a beginning */
            ended += WTERMSIG(status) == SIGTERM;
            remove_session(file);
        }
    }
    assert_true(half_way > KILLS / 4);
    print_message("%d killed, %d of them at the end\n", KILLS, ended);
    /* What is left is gone on with, to the same end. */
    struct string again[RACERS] = {{0}};
    if (run(file, &(struct race){.logs = again, .told = -1}, &e))
        fail_msg("%s", e.message);
    for (int i = 0; i < RACERS; i++) {
        assert_string_equal(again[i].text, logs[i].text);
        string_free(&again[i]);
        string_free(&logs[i]);
    }
    remove_session(file);
    rmdir(path);
    free(file);
}

/* --- how long it worked ------------------------------------------------------------------------------------------ */

static void advance(struct search *search, int64_t events)
{
    enum search_status status = SEARCH_WORKING;
    struct error e;
    while (search_tree(search)->event_count < events && status != SEARCH_DONE)
        if (search_advance(search, &status, &e))
            fail_msg("%s", e.message);
}

/* Rests do not count, and what was counted is there when the session is opened again. */
static void test_time(void **state)
{
    (void)state;
    char path[] = "/tmp/espalier_test_XXXXXX";
    assert_non_null(mkdtemp(path));
    char *file = xasprintf("%s/a.session", path);
    struct engine *engine = NULL;
    struct search_task *task = NULL;
    struct search *search = NULL;
    struct search_journal *journal = NULL;
    struct search_sessions loaded = {0};
    struct error e;
    assert_int_equal(engine_open(&engine, &(struct engine_options){.model = model, .threads = 1, .batch = 4}, &e), OK);
    assert_int_equal(search_task_open(&task, task_file, &e), OK);
    assert_int_equal(search_journal_create(&journal, file, &e), OK);
    struct search_options options = {.task = task, .problem = "count", .strategy = strategies[0], .seed = 3, .sampling = {-1, -1, -1, -1, -1},
                                     .budget_tokens = 400, .journal = journal};
    assert_int_equal(search_open(&search, engine, &options, &e), OK);
    advance(search, 6);
    search_rest(search);
    const double before = search_seconds(search);
    assert_true(before > 0);
    usleep(20000);
    enum search_status status;
    assert_int_equal(search_advance(search, &status, &e), OK);
    assert_true(search_seconds(search) == before);
    advance(search, INT64_MAX);
    const double all = search_seconds(search);
    assert_true(all > before);
    search_close(search);
    search_journal_close(journal);
    assert_int_equal(search_sessions_open(&loaded, file, &e), OK);
    options.journal = loaded.journal;
    assert_int_equal(search_open_again(&search, engine, &options, loaded.list[0].tree.events, loaded.list[0].tree.event_count, &e), OK);
    assert_true(search_seconds(search) > all - 0.001 && search_seconds(search) < all + 0.001);
    search_close(search);
    search_sessions_free(&loaded);
    search_task_close(task);
    engine_close(engine);
    remove_session(file);
    rmdir(path);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill), cmocka_unit_test(test_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
