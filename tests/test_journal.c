/* The journal: events there and back, files that are wrong, locks, a full disk, and death at any moment. */
#define _GNU_SOURCE
#include "search/journal.h"
#include "tests/any_events.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* --- a folder for a test ----------------------------------------------------------------------------------------- */

static char *folder, *paths[64]; /* the folder of this test, and the paths in it that were asked for */

static int make_folder(void **state)
{
    (void)state;
    const char *where = getenv("TMPDIR");
    folder = xasprintf("%s/espalier-journal-XXXXXX", where ? where : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    char *command = xasprintf("rm -rf '%s'", folder);
    int failed = system(command);
    free(command);
    free(folder);
    for (int i = 0; i < 64; i++) {
        free(paths[i]);
        paths[i] = NULL;
    }
    return failed;
}

/* The path of a file in it, for as long as the test goes on. */
static const char *in_folder(const char *name)
{
    int i = 0;
    while (i < 63 && paths[i] && strcmp(paths[i] + strlen(folder) + 1, name))
        i++;
    if (!paths[i])
        paths[i] = xasprintf("%s/%s", folder, name);
    return paths[i];
}

static void read_bytes(const char *path, struct string *out)
{
    FILE *file = fopen(path, "rb");
    char block[4096];
    size_t n;
    string_clear(out);
    string_append(out, "", 0);
    while (file && (n = fread(block, 1, sizeof block, file)) > 0)
        string_append(out, block, n);
    if (file)
        fclose(file);
}

static void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* Every file in it and what is in them, but for SQLite's index of its log, which belongs to nobody. */
static uint64_t snapshot(void)
{
    struct dirent **files;
    struct string all = {0}, bytes = {0};
    int n = scandir(folder, &files, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (!strstr(files[i]->d_name, "-shm")) {
            struct stat info;
            char *path = xasprintf("%s/%s", folder, files[i]->d_name);
            string_append(&all, files[i]->d_name, strlen(files[i]->d_name) + 1);
            string_clear(&bytes);
            if (!stat(path, &info) && S_ISREG(info.st_mode))
                read_bytes(path, &bytes);
            string_append(&all, string_text(&bytes), bytes.length);
            free(path);
        }
        free(files[i]);
    }
    free(files);
    uint64_t hash = hash_bytes(all.text, all.length);
    string_free(&all);
    string_free(&bytes);
    return hash;
}

static void sql(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void sql(const char *path, const char *format, ...)
{
    sqlite3 *db;
    char text[2048], *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    assert_int_equal(sqlite3_open(path, &db), 0);
    if (sqlite3_exec(db, text, NULL, NULL, &message))
        fail_msg("%s: %s", text, message);
    sqlite3_close(db);
}

static char *sql_value(const char *path, const char *question)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), 0);
    assert_int_equal(sqlite3_prepare_v2(db, question, -1, &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *value = xstrdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

static void check_value(const char *path, const char *question, const char *expected)
{
    char *value = sql_value(path, question);
    assert_string_equal(value, expected);
    free(value);
}

/* --- writing and reading them ------------------------------------------------------------------------------------ */

/* What a reader is told, and whether it is what had been written. */
struct told {
    uint64_t seed;
    int64_t count[3];
    int wrong, stop_after; /* stop_after: give up after so many; 0: never */
    int order[4000], n;
};

static int take(void *context, int tree, struct search_event *event)
{
    struct told *t = context;
    if (tree > 2 || event->number != t->count[tree]) {
        t->wrong++;
    } else {
        struct search_event *expected = event_of(t->seed, tree, t->count[tree]++);
        t->wrong += !is_same(event, expected);
        search_event_release(expected);
    }
    if (t->n < 4000)
        t->order[t->n] = tree;
    t->n++;
    search_event_release(event);
    return t->n == t->stop_after ? 77 : 0;
}

static int append(struct search_journal *j, uint64_t seed, int tree, struct error *e)
{
    struct search_event *event = event_of(seed, tree, search_journal_next(j, tree));
    int code = search_journal_append(j, tree, event, e);
    search_event_release(event);
    return code;
}

static void must(int code, const struct error *e)
{
    if (code)
        fail_msg("%s", e->message);
}

/* A file with this many events in each of three trees, written in turn. */
static void make_file(const char *path, uint64_t seed, int count)
{
    struct search_journal *j;
    struct error e;
    must(search_journal_create(&j, path, &e), &e);
    must(search_journal_set(j, "model", "models/a.gguf", &e), &e);
    for (int i = 0; i < 3 * count; i++)
        must(append(j, seed, i % 3, &e), &e);
    must(search_journal_commit(j, &e), &e);
    search_journal_close(j);
}

/* Opened and read. What it holds has to be what was written; how much is told. */
static int try_file(const char *path, uint64_t seed, int write, struct told *t, struct error *e)
{
    struct search_journal *j;
    *t = (struct told){.seed = seed};
    int code = search_journal_open(&j, path, write, e);
    if (code)
        return code;
    code = search_journal_read(j, take, t, e);
    search_journal_close(j);
    return code;
}

static void check_line(const struct error *e, const char *path, const char *part)
{
    if (e->code != ERROR_INPUT || strncmp(e->message, path, strlen(path)) || !strstr(e->message, part) || strchr(e->message, '\n') ||
        (!strstr(e->message, "; expected ") && !strstr(e->message, "; the ")))
        fail_msg("\"%s\" does not say \"%s\"", e->message, part);
}

/* Refused both ways, saying so, and nothing changed by it. */
static void check_refused(const char *path, const char *part)
{
    struct told t;
    uint64_t before = snapshot();
    for (int write = 0; write < 2; write++) {
        struct error e = {0};
        if (!try_file(path, 1, write, &t, &e))
            fail_msg("%s was not refused for: %s", path, part);
        check_line(&e, path, part);
    }
    assert_int_equal(snapshot(), before);
}

/* --- there and back ---------------------------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
    (void)state;
    const char *path = in_folder("odd ?#%41 name.session");
    struct search_journal *j;
    struct error e;
    struct dice d = {5, 5, 0};
    static int order[3000];
    must(search_journal_create(&j, path, &e), &e);
    assert_string_equal(search_journal_path(j), path);
    must(search_journal_set(j, "model", "\xff not UTF-8", &e), &e);
    must(search_journal_set(j, "task", "", &e), &e);
    must(search_journal_set(j, "model", "models/caf\xc3\xa9 \xff.gguf", &e), &e);
    for (int i = 0; i < 3000; i++) {
        order[i] = die(&d, 3);
        must(append(j, 1, order[i], &e), &e);
        if (!die(&d, 9))
            must(search_journal_commit(j, &e), &e);
        if (!die(&d, 1000)) { /* and gone on with later */
            must(search_journal_commit(j, &e), &e);
            search_journal_close(j);
            must(search_journal_open(&j, path, 1, &e), &e);
            must(search_journal_read(j, NULL, NULL, &e), &e);
        }
    }
    must(search_journal_commit(j, &e), &e);
    must(search_journal_commit(j, &e), &e);
    int64_t next = search_journal_next(j, 1);
    must(append(j, 1, 1, &e), &e);
    must(search_journal_set(j, "late", "x", &e), &e);
    search_journal_close(j); /* without a commit */

    static struct told t;
    t = (struct told){.seed = 1};
    must(search_journal_open(&j, path, 0, &e), &e);
    must(search_journal_read(j, take, &t, &e), &e);
    assert_int_equal(t.wrong, 0);
    assert_int_equal(t.n, 3000);
    assert_memory_equal(t.order, order, sizeof order);
    assert_int_equal(search_journal_next(j, 1), next);
    assert_int_equal(t.count[1], next);
    char *model = search_journal_get(j, "model"), *task = search_journal_get(j, "task");
    assert_string_equal(model, "models/caf\xc3\xa9 \xff.gguf");
    assert_string_equal(task, "");
    assert_null(search_journal_get(j, "late"));
    assert_int_equal(search_journal_set(j, "task", "x", &e), ERROR_INPUT);
    check_line(&e, path, "opened to be read");
    assert_int_equal(append(j, 1, 0, &e), ERROR_INPUT);
    t = (struct told){.seed = 1, .stop_after = 5};
    assert_int_equal(search_journal_read(j, take, &t, &e), 77);
    assert_int_equal(t.n, 5);
    search_journal_close(j);
    free(model);
    free(task);
}

/* What other programs see of it: by hand. */
static void test_layout(void **state)
{
    (void)state;
    const char *path = in_folder("layout.session");
    struct search_journal *j;
    struct error e;
    must(search_journal_create(&j, path, &e), &e);
    struct search_event *event = search_event_make(SEARCH_EVENT_COMPLETION, 0, -1);
    event->completion.prompt = xcalloc(2, sizeof(int));
    event->completion.prompt[0] = 0x01020304;
    event->completion.prompt[1] = 5;
    event->completion.prompt_count = 2;
    event->completion.text = xstrdup("9\n");
    event->completion.count = 2;
    event->completion.tokens = xcalloc(2, sizeof *event->completion.tokens);
    for (int t = 0; t < 2; t++) {
        event->completion.tokens[t].id = 258 + t;
        event->completion.tokens[t].logprob = -1;
        for (int i = 0; i < ENGINE_TOP; i++)
            event->completion.tokens[t].top[i].id = -1;
    }
    event->completion.tokens[1].top[0] = (struct engine_choice){3, -2};
    event->completion.tokens[1].cut = .25f;
    must(search_journal_append(j, 0, event, &e), &e);
    must(search_journal_commit(j, &e), &e);
    check_value(path, "PRAGMA journal_mode", "wal");
    search_journal_close(j);
    search_event_release(event);
    check_value(path, "PRAGMA user_version", "1");
    check_value(path, "PRAGMA application_id", "1165185073"); /* 0x45735031 */
    check_value(path, "SELECT sequence || ' ' || tree || ' ' || number FROM event", "1 0 0");
    check_value(path, "SELECT body FROM event",
                "{\"event\":\"completion\",\"number\":0,\"step\":-1,\"item\":0,\"sample\":0,\"prompt\":null,\"text\":\"9\\n\",\"ending\":\"token\","
                "\"usage\":{\"tokens\":{\"prompt\":0,\"cached\":0,\"completion\":0},\"flops\":0.0},\"tokens\":[]}");
    check_value(path, "SELECT hex(prompt) FROM event", "0403020105000000");
    /* layout 1, two floats, one choice; 258, -1, nothing cut, no choice; 259, -1, 0.25 cut, 3 at -2 */
    check_value(path, "SELECT hex(tokens) FROM event", "01020100" "02010000" "000080BF" "00000000" "FFFFFFFF" "00000000"
                "03010000" "000080BF" "0000803E" "03000000" "000000C0");
}

static void test_misuse(void **state)
{
    (void)state;
    const char *path = in_folder("misuse.session");
    struct search_journal *j, *other;
    struct error e;
    make_file(path, 1, 4);
    uint64_t before = snapshot();
    assert_int_equal(search_journal_create(&j, path, &e), ERROR_INPUT);
    check_line(&e, path, "is there already");
    assert_null(j);
    assert_int_equal(search_journal_create(&j, in_folder("none/x.session"), &e), ERROR_INPUT);
    check_line(&e, in_folder("none/x.session"), "No such file");
    must(search_journal_open(&j, path, 1, &e), &e);
    assert_int_equal(search_journal_open(&other, path, 1, &e), ERROR_INPUT);
    check_line(&e, path, "open in another espalier");
    must(search_journal_commit(j, &e), &e);
    assert_int_equal(snapshot(), before); /* opening for writing alone writes nothing */
    struct search_event *event = event_of(1, 0, 5);
    assert_int_equal(search_journal_append(j, 0, event, &e), ERROR_INPUT);
    check_line(&e, path, "expected event 4");
    event->number = 0;
    assert_int_equal(search_journal_append(j, -1, event, &e), ERROR_INPUT);
    assert_int_equal(search_journal_append(j, SEARCH_JOURNAL_TREES, event, &e), ERROR_INPUT);
    must(search_journal_append(j, SEARCH_JOURNAL_TREES - 1, event, &e), &e);
    search_event_release(event);
    must(append(j, 1, 0, &e), &e); /* the transaction goes on */
    must(search_journal_commit(j, &e), &e);
    assert_int_equal(search_journal_next(j, 0), 5);
    search_journal_close(j);
    search_journal_close(NULL);
    must(search_journal_open(&j, path, 0, &e), &e);
    must(search_journal_read(j, NULL, NULL, &e), &e);
    assert_int_equal(search_journal_next(j, SEARCH_JOURNAL_TREES - 1), 1);
    search_journal_close(j);
}

/* --- files that are wrong ---------------------------------------------------------------------------------------- */

static void test_not_a_session(void **state)
{
    (void)state;
    const char *path = in_folder("wrong.session");
    check_refused(path, "No such file");
    check_refused(folder, "a folder");
    write_bytes(path, "", 0);
    check_refused(path, "empty");
    write_bytes(path, "{\"event\":\"session\"}\n", 20);
    check_refused(path, "not an SQLite file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    check_refused(path, "not a file");
    assert_int_equal(unlink(path), 0);
    sql(path, "CREATE TABLE event (x); INSERT INTO event VALUES (1)");
    check_refused(path, "of another program");
    sql(path, "PRAGMA journal_mode=WAL; INSERT INTO event VALUES (2)");
    check_refused(path, "of another program");
    sql(path, "PRAGMA application_id=1165185073; PRAGMA user_version=1");
    check_refused(path, "tables are not a session's");
}

static void test_other_versions(void **state)
{
    (void)state;
    const char *path = in_folder("version.session");
    make_file(path, 1, 4);
    sql(path, "PRAGMA user_version=2");
    check_refused(path, "newer espalier");
    sql(path, "PRAGMA user_version=0");
    check_refused(path, "its format is 0");
    sql(path, "PRAGMA user_version=1; CREATE VIEW more AS SELECT 1");
    check_refused(path, "tables are not a session's");
}

/* The sum of a row as README.md has it, worked out apart. */
static void put_le64(unsigned char *at, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(x >> (8 * i));
}

static void craft(const char *path, int64_t sequence, int64_t tree, int64_t number, const char *body, const char *tokens, size_t n)
{
    unsigned char bytes[48];
    uint64_t values[] = {(uint64_t)sequence, (uint64_t)tree, (uint64_t)number, hash_bytes(body, strlen(body)), 0, tokens ? hash_bytes(tokens, n) : 0};
    struct string hex = {0};
    for (int i = 0; i < 6; i++)
        put_le64(bytes + 8 * i, values[i]);
    for (size_t i = 0; i < n; i++)
        string_addf(&hex, "%02x", (unsigned char)tokens[i]);
    sql(path, "INSERT INTO event VALUES (%lld, %lld, %lld, '%s', NULL, %s%s%s, %lld)", (long long)sequence, (long long)tree, (long long)number, body,
        tokens ? "x'" : "", tokens ? string_text(&hex) : "NULL", tokens ? "'" : "", (long long)hash_bytes(bytes, sizeof bytes));
    string_free(&hex);
}

static const char prune_0[] = "{\"event\":\"prune\",\"number\":0,\"step\":-1,\"node\":3}";
static const char completion_0[] = "{\"event\":\"completion\",\"number\":0,\"step\":-1,\"item\":0,\"sample\":1,\"prompt\":null,\"text\":\"\",\"ending\":\"stop\","
                                   "\"usage\":{\"tokens\":{\"prompt\":1,\"cached\":0,\"completion\":1},\"flops\":2.0},\"tokens\":[]}";

static int take_older(void *context, int tree, struct search_event *event)
{
    const struct engine_token *t = event->completion.tokens;
    *(int *)context = tree == 0 && event->completion.count == 1 && t->id == 7 && t->logprob == 0 && t->top[0].id == 8 && t->top[0].logprob == -2 &&
                      t->top[1].id == -1;
    search_event_release(event);
    return 0;
}

static void test_crafted_rows(void **state)
{
    (void)state;
    const char *path = in_folder("craft.session");
    struct search_journal *j;
    struct error e;
    int good = 0;
    make_file(path, 1, 0);
    /* a token without its float, as a program that had none would have written it */
    craft(path, 1, 0, 0, completion_0, "\1\0\1\0\7\0\0\0\10\0\0\0\0\0\0\xc0", 16);
    must(search_journal_open(&j, path, 0, &e), &e);
    must(search_journal_read(j, take_older, &good, &e), &e);
    search_journal_close(j);
    assert_true(good);
    static const struct { int64_t sequence, tree, number; const char *body, *tokens; size_t n; const char *says; } rows[] = {
        {1, 0, 0, completion_0, "\1\x14\0\0", 4, "newer espalier"},
        {1, 0, 0, completion_0, "\2\1\0\0", 4, "newer espalier"},
        {1, 0, 0, completion_0, "\1\1\x09\0", 4, "newer espalier"},
        {1, 0, 0, completion_0, "\1\1\0\0\7\0\0\0\0\0\0", 11, "not a list"},
        {1, 0, 0, completion_0, "\1\0\0\0\7\0\0\x80", 8, "below 0"},
        {1, 0, 0, completion_0, "\1\1\0", 3, "missing"},
        {1, 0, 0, completion_0, NULL, 0, "tokens are missing"},
        {1, 0, 0, prune_0, "\1\1\0\0", 4, "no completion"},
        {1, 0, 0, "{\"event\":\"prune\",\"number\":0,\"step\":-1}", NULL, 0, "\"node\" is missing"},
        {1, 0, 0, "{\"event\":\"feast\",\"number\":0,\"step\":-1}", NULL, 0, "feast"},
        {1, 0, 0, "[", NULL, 0, "not JSON"},
        {1, 0, 0, "{\"event\":\"prune\",\"number\":1,\"step\":-1,\"node\":3}", NULL, 0, "another one"},
        {1, 0, 1, "{\"event\":\"prune\",\"number\":1,\"step\":-1,\"node\":3}", NULL, 0, "event 0 of tree 0 is missing"},
        {1, 1024, 0, prune_0, NULL, 0, "of tree 1024"},
        {1, -1, 0, prune_0, NULL, 0, "of tree -1"},
        {2, 0, 0, prune_0, NULL, 0, "row 1 of its events is missing"},
        {-1, 0, 0, prune_0, NULL, 0, "row"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unlink(path);
        make_file(path, 1, 0);
        craft(path, rows[i].sequence, rows[i].tree, rows[i].number, rows[i].body, rows[i].tokens, rows[i].n);
        if (rows[i].sequence > 0)
            check_refused(path, rows[i].says);
    }
}

static void test_tampered(void **state)
{
    (void)state;
    const char *path = in_folder("tamper.session");
    static const struct { const char *sql, *says; } changes[] = {
        {"DELETE FROM event WHERE sequence = 7", "row 7 of its events is missing"},
        {"DELETE FROM event WHERE sequence = 1", "row 1 of its events is missing"},
        {"UPDATE event SET number = number + 1 WHERE sequence = 30", "check sum of row 30"},
        {"UPDATE event SET tree = 0 WHERE sequence = 2", "check sum of row 2"},
        {"UPDATE event SET body = body || ' ' WHERE sequence = 9", "check sum of row 9"},
        {"UPDATE event SET body = NULLIF(1, 2) || body, tokens = x'' WHERE sequence = 1 AND 0; UPDATE event SET tokens = x'' WHERE sequence = 10",
         "check sum of row 10"},
        {"UPDATE event SET body = CAST(body AS BLOB) WHERE sequence = 9", "check sum of row 9"},
        {"UPDATE event SET sum = sum + 1 WHERE sequence = 30", "check sum of row 30"},
        {"UPDATE session SET value = 'models/b.gguf'", "a text about the session"},
        {"UPDATE session SET key = 'task'", "a text about the session"},
        {"DROP TABLE session", "tables are not a session's"},
        {"CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event; END", "tables are not a session's"},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        unlink(path);
        make_file(path, 1, 10);
        sql(path, "%s", changes[i].sql);
        check_refused(path, changes[i].says);
    }
    /* What a person may do to a file without harm. */
    unlink(path);
    make_file(path, 1, 10);
    sql(path, "VACUUM; PRAGMA journal_mode=DELETE");
    static struct told t;
    struct error e;
    must(try_file(path, 1, 1, &t, &e), &e);
    assert_true(t.n == 30 && !t.wrong);
}

/* Whatever bit is flipped: refused, with nothing changed; or all is there as it was (the bit meant nothing). */
static void test_flipped_bits(void **state)
{
    (void)state;
    const char *path = in_folder("flip.session");
    struct string bytes = {0};
    struct dice d = {9, 9, 0};
    int refused = 0, rounds = 700;
    make_file(path, 1, 20);
    read_bytes(path, &bytes);
    for (int i = 0; i < rounds; i++) {
        static struct told t;
        struct error e;
        size_t at = i < 200 ? (size_t)i : (size_t)die(&d, (int)bytes.length);
        char mask = (char)(1 << die(&d, 8));
        bytes.text[at] ^= mask;
        write_bytes(path, bytes.text, bytes.length);
        uint64_t before = i % 8 ? 0 : snapshot();
        int code = try_file(path, 1, 1, &t, &e);
        refused += code != 0;
        if (code)
            check_line(&e, path, "");
        if (t.wrong || (!code && t.n != 60))
            fail_msg("byte %zu ^ %02x: %d events, %d wrong", at, (unsigned char)mask, t.n, t.wrong);
        if (!(i % 8))
            assert_int_equal(snapshot(), before);
        bytes.text[at] ^= mask;
    }
    /* Of the 60 events with their tokens most of the file's bytes are made; the rest is room in its pages, and counters. */
    assert_in_range(refused, 2 * rounds / 5, rounds);
    string_free(&bytes);
}

static void test_truncated(void **state)
{
    (void)state;
    const char *path = in_folder("short.session");
    struct string bytes = {0};
    struct dice d = {10, 10, 0};
    make_file(path, 1, 20);
    read_bytes(path, &bytes);
    for (int i = 0; i < 150; i++) {
        size_t n = i < 20 ? bytes.length - 1 - (size_t)i : (size_t)i < 20 + bytes.length / 4096 ? 4096 * (size_t)(i - 20) : (size_t)die(&d, (int)bytes.length);
        write_bytes(path, bytes.text, n);
        check_refused(path, "");
    }
    string_free(&bytes);
}

/* Beside a session that was left open stands a log. What is wrong with the one leaves both untouched; a log that breaks off is a session that
 * is shorter. */
static void test_log_left_behind(void **state)
{
    (void)state;
    const char *path = in_folder("left.session"), *log = in_folder("left.session-wal");
    static struct told t;
    struct error e;
    struct string bytes = {0}, logged = {0};
    struct dice d = {11, 11, 0};
    pid_t child = fork();
    if (!child) {
        struct search_journal *j;
        if (search_journal_create(&j, path, &e))
            _exit(1);
        for (int i = 0; i < 40; i++)
            if (append(j, 1, 0, &e) || search_journal_commit(j, &e))
                _exit(1);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    read_bytes(path, &bytes);
    read_bytes(log, &logged);
    assert_true(logged.length > 40 * 4096);
    uint64_t before = snapshot();
    must(try_file(path, 1, 0, &t, &e), &e);
    assert_true(t.n == 40 && !t.wrong);
    must(try_file(path, 1, 1, &t, &e), &e); /* read, and closed without a word written */
    assert_true(t.n == 40 && !t.wrong);
    assert_int_equal(snapshot(), before);
    for (int i = 0; i < 60; i++) {
        size_t at = (size_t)die(&d, (int)logged.length);
        unlink(in_folder("left.session-shm"));
        logged.text[at] ^= 4;
        write_bytes(log, logged.text, logged.length);
        before = snapshot();
        int code = try_file(path, 1, i & 1, &t, &e);
        assert_int_equal(t.wrong, 0);
        assert_true(code || t.n <= 40);
        assert_int_equal(snapshot(), before);
        logged.text[at] ^= 4;
    }
    write_bytes(in_folder("new.session-wal"), logged.text, logged.length); /* of a file that is gone */
    make_file(in_folder("new.session"), 1, 4);
    must(try_file(in_folder("new.session"), 1, 0, &t, &e), &e);
    assert_true(t.n == 12 && !t.wrong);
    write_bytes(log, logged.text, logged.length);
    unlink(in_folder("left.session-shm"));
    bytes.text[30] ^= 1; /* of the file itself, whose first page the log replaces */
    bytes.text[60] ^= 1;
    write_bytes(path, bytes.text, bytes.length);
    before = snapshot();
    assert_true(try_file(path, 1, 1, &t, &e) || t.n == 40);
    assert_int_equal(snapshot(), before);
    string_free(&bytes);
    string_free(&logged);
}

static void test_no_permission(void **state)
{
    (void)state;
    const char *path = in_folder("private.session"), *readable = in_folder("readable.session");
    make_file(path, 1, 4);
    make_file(readable, 1, 4);
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(chmod(readable, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    pid_t child = fork();
    if (!child) { /* root may do everything: be nobody */
        static struct told t;
        struct error e;
        if (!geteuid() && setuid(65534))
            _exit(9);
        int good = try_file(path, 1, 0, &t, &e) == ERROR_INPUT && strstr(e.message, "Permission denied");
        good = good && try_file(path, 1, 1, &t, &e) == ERROR_INPUT && strstr(e.message, "Permission denied");
        good = good && try_file(readable, 1, 1, &t, &e) == ERROR_INPUT && strstr(e.message, "Permission denied");
        good = good && !try_file(readable, 1, 0, &t, &e) && t.n == 12 && !t.wrong; /* nothing has to be made beside it */
        struct search_journal *j;
        good = good && search_journal_create(&j, in_folder("new.session"), &e) == ERROR_INPUT && strstr(e.message, "Permission denied");
        _exit(!good);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    chmod(folder, 0700);
    assert_int_equal(status, 0);
}

/* --- others ------------------------------------------------------------------------------------------------------ */

static void test_one_writer(void **state)
{
    (void)state;
    const char *path = in_folder("locked.session");
    int ready[2];
    static struct told t;
    struct error e = {0};
    struct search_journal *j;
    make_file(path, 1, 4);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (!child) {
        if (search_journal_open(&j, path, 1, &e) || append(j, 1, 0, &e) == OK || search_journal_read(j, NULL, NULL, &e) || append(j, 1, 0, &e) ||
            search_journal_commit(j, &e) || write(ready[1], "x", 1) != 1)
            _exit(1);
        alarm(60); /* should nobody kill it */
        pause();
        _exit(0);
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    uint64_t before = snapshot();
    assert_int_equal(search_journal_open(&j, path, 1, &e), ERROR_INPUT);
    check_line(&e, path, "open in another espalier");
    must(try_file(path, 1, 0, &t, &e), &e);
    assert_true(t.n == 13 && !t.wrong);
    assert_int_equal(snapshot(), before);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    must(try_file(path, 1, 1, &t, &e), &e);
    assert_true(t.n == 13 && !t.wrong);
}

/* A program that knows nothing of our lock has SQLite's. */
static void test_busy(void **state)
{
    (void)state;
    const char *path = in_folder("busy.session");
    static struct told t;
    struct search_journal *j;
    struct error e;
    sqlite3 *db;
    make_file(path, 1, 4);
    must(search_journal_open(&j, path, 1, &e), &e);
    must(search_journal_read(j, NULL, NULL, &e), &e);
    must(append(j, 1, 0, &e), &e);
    must(search_journal_commit(j, &e), &e);
    assert_int_equal(sqlite3_open(path, &db), 0);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), 0);
    assert_int_equal(append(j, 1, 0, &e), ERROR_INPUT);
    check_line(&e, path, "close it in the other program");
    sqlite3_close(db);
    must(append(j, 1, 0, &e), &e);
    must(search_journal_commit(j, &e), &e);
    search_journal_close(j);
    must(try_file(path, 1, 0, &t, &e), &e);
    assert_true(t.count[0] == 6 && !t.wrong);
}

/* A reader that opened the file when nobody wrote it, before somebody did. */
static void test_written_meanwhile(void **state)
{
    (void)state;
    const char *path = in_folder("meanwhile.session");
    static struct told t;
    struct search_journal *reader, *writer;
    struct error e;
    make_file(path, 1, 30);
    for (int round = 1; round < 5; round++) {
        must(search_journal_open(&reader, path, 0, &e), &e);
        must(search_journal_open(&writer, path, 1, &e), &e);
        must(search_journal_read(writer, NULL, NULL, &e), &e);
        for (int i = 0; i < 300; i++)
            must(append(writer, 1, 0, &e), &e);
        must(search_journal_commit(writer, &e), &e);
        if (round & 1)
            search_journal_close(writer);
        t = (struct told){.seed = 1};
        must(search_journal_read(reader, take, &t, &e), &e);
        assert_true(t.n == 90 + 300 * round && !t.wrong);
        search_journal_close(reader);
        if (!(round & 1))
            search_journal_close(writer);
    }
}

/* A reader sees all that was told to be committed before it opened the file, at any moment of the writer's life. */
static void test_readers(void **state)
{
    (void)state;
    const char *path = in_folder("shared.session");
    static struct told t;
    struct error e;
    make_file(path, 1, 1);
    for (int round = 0; round < 3; round++) {
        int said[2];
        int64_t last = 0, heard = 0;
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        if (!child) {
            struct search_journal *j;
            if (search_journal_open(&j, path, 1, &e) || search_journal_read(j, NULL, NULL, &e))
                _exit(1);
            for (int i = 0; i < 60; i++) {
                int64_t next;
                if (append(j, 1, 0, &e) || search_journal_commit(j, &e))
                    _exit(1);
                next = search_journal_next(j, 0);
                if (write(said[1], &next, sizeof next) != sizeof next)
                    _exit(1);
            }
            search_journal_close(j);
            _exit(0);
        }
        close(said[1]);
        while (read(said[0], &heard, sizeof heard) == sizeof heard) {
            must(try_file(path, 1, 0, &t, &e), &e);
            if (t.wrong || t.count[0] < heard || t.count[0] < last)
                fail_msg("%d wrong; %lld events of %lld said", t.wrong, (long long)t.count[0], (long long)heard);
            last = t.count[0];
        }
        close(said[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    must(try_file(path, 1, 0, &t, &e), &e);
    assert_true(t.count[0] == 1 + 3 * 60 && !t.wrong);
}

/* --- a full disk ------------------------------------------------------------------------------------------------- */

static int fill_disk(const char *path, rlim_t bytes)
{
    struct search_journal *j;
    struct error e;
    struct rlimit limit, before;
    if (search_journal_open(&j, path, 1, &e) || search_journal_read(j, NULL, NULL, &e))
        return 1;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
    int code = OK;
    int64_t committed = search_journal_next(j, 0);
    for (int i = 0; i < 20000 && !code; i++) {
        code = append(j, 1, 0, &e);
        if (!code && i % 5 == 4 && !(code = search_journal_commit(j, &e)))
            committed = search_journal_next(j, 0);
    }
    if (code != ERROR_INPUT || !strstr(e.message, "up to its last commit are safe") || strchr(e.message, '\n'))
        return 2;
    if (search_journal_next(j, 0) != committed)
        return 3;
    if (!append(j, 1, 0, &e) && !search_journal_commit(j, &e)) /* it may fit, being smaller */
        committed++;
    /* Room again: it goes on. */
    setrlimit(RLIMIT_FSIZE, &before);
    for (int i = 0; i < 5; i++)
        if (append(j, 1, 0, &e))
            return 4;
    if (search_journal_commit(j, &e) || search_journal_next(j, 0) != committed + 5)
        return 5;
    static struct told t;
    t = (struct told){.seed = 1};
    if (search_journal_read(j, take, &t, &e) || t.wrong || t.count[0] != committed + 5)
        return 6;
    search_journal_close(j);
    return try_file(path, 1, 1, &t, &e) || t.wrong || t.count[0] != committed + 5 ? 7 : 0;
}

static void test_full_disk(void **state)
{
    (void)state;
    const char *path = in_folder("full.session");
    for (int i = 0; i < 6; i++) {
        unlink(path);
        make_file(path, 1, 10);
        pid_t child = fork();
        if (!child)
            _exit(fill_disk(path, (rlim_t)(100000 << i) + 777 * (rlim_t)i));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    /* no room for a new one at all: nothing of it is left */
    uint64_t before = snapshot();
    pid_t child = fork();
    if (!child) {
        struct search_journal *j;
        struct error e;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){5000, 5000});
        _exit(search_journal_create(&j, in_folder("none.session"), &e) != ERROR_INPUT || !strstr(e.message, "make room"));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(snapshot(), before);
}

/* --- kill -9 ----------------------------------------------------------------------------------------------------- */

/* Appends and commits, and says after each commit how many events there are now; what was said, a person has seen. */
static void write_until_killed(const char *path, int say)
{
    struct search_journal *j;
    struct error e;
    if (access(path, F_OK) ? search_journal_create(&j, path, &e) : search_journal_open(&j, path, 1, &e))
        _exit(1);
    if (search_journal_read(j, NULL, NULL, &e))
        _exit(2);
    for (;;) {
        int64_t next = search_journal_next(j, 0);
        for (int i = 0; i <= next % 4; i++)
            if (append(j, 1, 0, &e))
                _exit(3);
        if (search_journal_commit(j, &e))
            _exit(4);
        next = search_journal_next(j, 0);
        if (write(say, &next, sizeof next) != sizeof next)
            _exit(5);
    }
}

static void test_killed(void **state)
{
    (void)state;
    struct dice d = {12, 12, 0};
    char path[512];
    int rounds_heard = 0;
    int64_t before = 0;
    for (int round = 0; round < 200; round++) {
        static struct told t;
        struct error e;
        int said[2], status;
        if (!(round % 5)) { /* a file of its own, five times killed */
            snprintf(path, sizeof path, "%s/killed-%d.session", folder, round);
            before = 0;
        }
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        if (!child)
            write_until_killed(path, said[1]);
        close(said[1]);
        int64_t heard = before, n;
        if (round & 2 && read(said[0], &n, sizeof n) == sizeof n) /* else it may die while it opens the file */
            heard = n;
        usleep((useconds_t)die(&d, round & 2 ? 4000 : 8000));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status)); /* it ended for no other reason */
        while (read(said[0], &n, sizeof n) == sizeof n)
            heard = n;
        close(said[0]);
        rounds_heard += heard > before;
        int code = try_file(path, 1, round & 1, &t, &e);
        if (code && !heard) { /* killed while it was made; there was nothing in it */
            unlink(path);
            continue;
        }
        must(code, &e);
        if (t.wrong || t.count[0] < heard || t.count[0] > heard + 4)
            fail_msg("round %d: %lld events said, %lld there, %d wrong", round, (long long)heard, (long long)t.count[0], t.wrong);
        before = t.count[0];
    }
    assert_in_range(rounds_heard, 100, 200);
}

/* --- the folder -------------------------------------------------------------------------------------------------- */

static void check_folder(const char *expected)
{
    struct error e;
    char *found = search_journal_folder(&e);
    if (!found)
        fail_msg("%s", e.message);
    assert_string_equal(found, expected);
    struct stat info;
    assert_int_equal(stat(found, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    free(found);
}

static void test_folder(void **state)
{
    (void)state;
    char *home = xstrdup(getenv("HOME") ? getenv("HOME") : ""), *data = getenv("XDG_DATA_HOME") ? xstrdup(getenv("XDG_DATA_HOME")) : NULL;
    struct error e = {0};
    setenv("HOME", in_folder("home"), 1);
    unsetenv("XDG_DATA_HOME");
    check_folder(in_folder("home/.local/share/espalier/sessions"));
    check_folder(in_folder("home/.local/share/espalier/sessions"));
    setenv("XDG_DATA_HOME", "relative", 1); /* which the specification says to leave alone */
    check_folder(in_folder("home/.local/share/espalier/sessions"));
    setenv("XDG_DATA_HOME", in_folder("data/deep"), 1);
    check_folder(in_folder("data/deep/espalier/sessions"));
    write_bytes(in_folder("file"), "x", 1);
    setenv("XDG_DATA_HOME", in_folder("file"), 1);
    assert_null(search_journal_folder(&e));
    check_line(&e, in_folder("file/espalier/sessions"), "Not a directory");
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    assert_null(search_journal_folder(&e));
    assert_non_null(strstr(e.message, "XDG_DATA_HOME"));
    setenv("HOME", home, 1);
    if (data)
        setenv("XDG_DATA_HOME", data, 1);
    free(home);
    free(data);
}

static void check_begun(const char *task, const char *expected)
{
    struct search_journal *j;
    struct error e;
    must(search_journal_begin(&j, folder, task, 1700000000, &e), &e);
    assert_string_equal(search_journal_path(j), in_folder(expected));
    must(search_journal_set(j, "model", "a.gguf", &e), &e);
    must(search_journal_commit(j, &e), &e);
    search_journal_close(j);
}

/* What was never begun leaves no file; what was there before is left alone. */
static void test_never_begun(void **state)
{
    (void)state;
    struct search_journal *j;
    struct error e;
    const char *path = in_folder("never.session");
    const uint64_t before = snapshot();
    must(search_journal_create(&j, path, &e), &e);
    must(search_journal_set(j, "model", "a.gguf", &e), &e);
    must(append(j, 1, 0, &e), &e);
    search_journal_close(j);
    assert_int_equal(snapshot(), before);
    must(search_journal_create(&j, path, &e), &e);
    must(search_journal_set(j, "model", "a.gguf", &e), &e);
    must(search_journal_commit(j, &e), &e);
    must(append(j, 1, 0, &e), &e);
    search_journal_close(j);
    assert_int_equal(access(path, F_OK), 0);
    must(search_journal_open(&j, path, 1, &e), &e);
    must(append(j, 1, 0, &e), &e);
    search_journal_close(j);
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
}

static void set_modified(const char *name, time_t seconds)
{
    const struct timespec times[2] = {{seconds, 0}, {seconds, 5}};
    assert_int_equal(utimensat(AT_FDCWD, in_folder(name), times, 0), 0);
}

static void test_names(void **state)
{
    (void)state;
    struct search_journal_entry *list;
    struct search_journal *j;
    struct error e;
    int count;
    const char *zone = getenv("TZ");
    char *before = zone ? xstrdup(zone) : NULL;
    setenv("TZ", "UTC", 1);
    tzset();
    must(search_journal_list(&list, &count, folder, &e), &e);
    assert_int_equal(count, 0);
    search_journal_list_free(list, count);
    check_begun("game24", "game24-20231114-221320.session"); /* 1,700,000,000 seconds: 14 November 2023, 22:13:20 */
    check_begun("game24", "game24-20231114-221320-2.session");
    check_begun("game24", "game24-20231114-221320-3.session");
    check_begun("../my tasks/x.yaml", "---my-tasks-x-yaml-20231114-221320.session");
    check_begun("", "session-20231114-221320.session");
    assert_int_equal(search_journal_begin(&j, in_folder("none"), "x", 0, &e), ERROR_INPUT);
    assert_int_equal(search_journal_list(&list, &count, in_folder("none"), &e), ERROR_INPUT);
    check_line(&e, in_folder("none"), "No such file");
    write_bytes(in_folder("game24-20231114-221320.session-wal"), "", 0);
    write_bytes(in_folder("other.txt"), "", 0);
    write_bytes(in_folder(".session"), "", 0);
    mkdir(in_folder("folder.session"), 0700);
    set_modified("game24-20231114-221320.session", 100);
    set_modified("game24-20231114-221320.session-wal", 300);
    set_modified("game24-20231114-221320-2.session", 200);
    set_modified("game24-20231114-221320-3.session", 200);
    set_modified("---my-tasks-x-yaml-20231114-221320.session", 400);
    set_modified("session-20231114-221320.session", 50);
    must(search_journal_list(&list, &count, folder, &e), &e);
    static const char *const expected[] = {"---my-tasks-x-yaml-20231114-221320.session", "game24-20231114-221320.session",
                                           "game24-20231114-221320-2.session", "game24-20231114-221320-3.session",
                                           "session-20231114-221320.session"};
    assert_int_equal(count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(list[i].path, in_folder(expected[i]));
    assert_int_equal(list[1].modified, 300000000005);
    search_journal_list_free(list, count);
    if (before)
        setenv("TZ", before, 1);
    else
        unsetenv("TZ");
    tzset();
    free(before);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_round_trip), IN_FOLDER(test_layout), IN_FOLDER(test_misuse), IN_FOLDER(test_not_a_session),
        IN_FOLDER(test_other_versions), IN_FOLDER(test_crafted_rows), IN_FOLDER(test_tampered), IN_FOLDER(test_flipped_bits),
        IN_FOLDER(test_truncated), IN_FOLDER(test_log_left_behind), IN_FOLDER(test_no_permission), IN_FOLDER(test_one_writer),
        IN_FOLDER(test_busy), IN_FOLDER(test_written_meanwhile), IN_FOLDER(test_readers), IN_FOLDER(test_full_disk),
        IN_FOLDER(test_killed), IN_FOLDER(test_folder), IN_FOLDER(test_never_begun), IN_FOLDER(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
