/* The journal of a session, in SQLite. The tables are described in README.md. */
#define _GNU_SOURCE
#include "search/journal.h"

#include "search/event.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION = 0x45735031, /* "EsP1", in the file's header: tells a session from other SQLite files */
    FORMAT = 1,               /* user_version */
    TOKEN_LAYOUT = 1,
    WAIT = 1000,              /* milliseconds, for a sqlite3 shell to let go of the file */
};

/* A file whose tables are others is not read at all, so that nothing in it (a view, a trigger) is ever run. */
static const char schema[] =
    "CREATE TABLE session (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE event (sequence INTEGER PRIMARY KEY, tree INTEGER NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL, prompt BLOB, "
    "tokens BLOB, sum INTEGER NOT NULL);";

/* How far a file goes. Invariant: tree t has the events 0 to next[t] - 1, and all trees together `sequence` of them. */
struct place {
    int64_t sequence;
    int64_t next[SEARCH_JOURNAL_TREES];
};

struct search_journal {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *insert, *set; /* while db is open for writing, else NULL */
    int lock;             /* a descriptor of the file, locked for its one writer; -1: a reader */
    int quiet;            /* db is opened as a file that nobody writes: SQLite locks nothing, and leaves nothing beside it */
    struct stat opened;   /* the file as it was then */
    int known;            /* at and safe are: all events have been read, or the file is new */
    int unused;           /* it was made here, and nothing was ever committed to it */
    struct place at, safe; /* what comes next; and were the transaction taken back */
};

/* --- what is wrong, in a line ------------------------------------------------------------------------------------ */

static int damaged(const struct search_journal *j, struct error *e, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int damaged(const struct search_journal *j, struct error *e, const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return error_set(e, ERROR_INPUT, "%s: damaged: %s; expected a session as espalier wrote it; take a copy of it from before (this file was not changed)",
                     j->path, what);
}

static const char not_a_session[] = "expected a session that espalier wrote; give another file";

static int not_read(const struct search_journal *j, int rc, struct error *e)
{
    int number = sqlite3_system_errno(j->db);
    switch (rc & 0xff) {
    case SQLITE_NOTADB:
        return error_set(e, ERROR_INPUT, "%s: not an SQLite file; %s", j->path, not_a_session);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(e, ERROR_INPUT, "%s: another program keeps it locked; expected a file that can be read; close it there", j->path);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return error_set(e, ERROR_INPUT, "%s: %s; expected a session that can be read, in a folder that can be written to; check both", j->path,
                         number ? strerror(number) : sqlite3_errmsg(j->db));
    case SQLITE_IOERR:
        if (rc != SQLITE_IOERR_SHORT_READ)
            return error_set(e, ERROR_INPUT, "%s: cannot be read: %s; expected a session on a disk that works; copy it to another", j->path,
                             number ? strerror(number) : sqlite3_errmsg(j->db));
    }
    return damaged(j, e, "%s", sqlite3_errmsg(j->db));
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* The path as SQLite's URIs want it: anything may be in a file's name. */
static int open_database(struct search_journal *j, const char *mode, int flags)
{
    struct string uri = {0};
    const char *path = j->path;
    string_add(&uri, "file:");
    while (path[0] == '/' && path[1] == '/') /* after two, a host's name would be expected */
        path++;
    for (; *path; path++)
        string_addf(&uri, strchr("%?#", *path) ? "%%%02X" : "%c", (unsigned char)*path);
    string_addf(&uri, "?%s", mode);
    int rc = sqlite3_open_v2(uri.text, &j->db, flags | SQLITE_OPEN_URI, NULL);
    string_free(&uri);
    if (!j->db)
        return SQLITE_NOMEM;
    sqlite3_extended_result_codes(j->db, 1);
    sqlite3_busy_timeout(j->db, WAIT);
    return rc;
}

static void close_database(struct search_journal *j)
{
    sqlite3_stmt **const statements[] = {&j->begin, &j->commit, &j->insert, &j->set};
    for (int i = 0; i < 4; i++) {
        sqlite3_finalize(*statements[i]);
        *statements[i] = NULL;
    }
    sqlite3_close(j->db); /* rolls back what is open */
    j->db = NULL;
}

/* Nothing of a session that could not be made, or was never begun, is left. */
static void remove_files(const char *path, int itself)
{
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = !itself; i < 3; i++) {
        char *file = xasprintf("%s%s", path, endings[i]);
        unlink(file);
        free(file);
    }
}

/* Commits that are not in the file itself yet are beside it. */
static int has_log(const struct search_journal *j)
{
    struct stat info;
    char *path = xasprintf("%s-wal", j->path);
    int has = !stat(path, &info) && info.st_size > 0;
    free(path);
    return has;
}

/* A file that nobody writes is opened as one that cannot change, so that nothing is made beside it and a folder that cannot be written to
 * is good enough. Whether somebody began to write after all is looked at when all is read. */
static int open_reading(struct search_journal *j, int quiet, struct error *e)
{
    close_database(j);
    j->quiet = quiet && !has_log(j);
    if (stat(j->path, &j->opened))
        return error_set(e, ERROR_INPUT, "%s: %s; %s", j->path, strerror(errno), not_a_session);
    int rc = open_database(j, j->quiet ? "mode=ro&immutable=1" : "mode=ro", SQLITE_OPEN_READONLY);
    if (!rc)
        rc = sqlite3_exec(j->db, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON", NULL, NULL, NULL);
    return rc ? not_read(j, rc, e) : OK;
}

static int written_meanwhile(const struct search_journal *j)
{
    struct stat now;
    if (!j->quiet || j->lock >= 0)
        return 0;
    return has_log(j) || stat(j->path, &now) || now.st_size != j->opened.st_size || now.st_mtim.tv_sec != j->opened.st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != j->opened.st_mtim.tv_nsec;
}

/* The lock is on a descriptor of our own, which is closed after SQLite has closed the file: closing any descriptor of a file drops the locks
 * that SQLite has on it in this process. */
static int lock_file(struct search_journal *j, struct error *e)
{
    j->lock = open(j->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (j->lock < 0)
        return error_set(e, ERROR_INPUT, "%s: %s; expected a file that can be written to; check its permissions, or only read it", j->path,
                         strerror(errno));
    if (!flock(j->lock, LOCK_EX | LOCK_NB))
        return OK;
    if (errno == EWOULDBLOCK)
        return error_set(e, ERROR_INPUT, "%s: open in another espalier; expected to be its only writer; close it there, or only read it", j->path);
    return error_set(e, ERROR_INPUT, "%s: cannot be locked: %s; expected a file system with locks; copy the session to another", j->path,
                     strerror(errno));
}

/* In a log beside the file (WAL) a commit is one append, and readers do not wait for the writer. synchronous=NORMAL: the log is brought to the
 * disk only before it is folded into the file, so a commit costs no wait for the disk, and outlives the process, not a power cut. */
static int open_writing(struct search_journal *j)
{
    close_database(j);
    int rc = open_database(j, "mode=rw", SQLITE_OPEN_READWRITE);
    if (!rc)
        rc = sqlite3_exec(j->db, "PRAGMA trusted_schema=OFF; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
    return rc;
}

static int prepare(struct search_journal *j)
{
    const struct { sqlite3_stmt **to; const char *sql; } statements[] = {
        {&j->begin, "BEGIN IMMEDIATE"},
        {&j->commit, "COMMIT"},
        {&j->insert, "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)"},
        {&j->set, "INSERT OR REPLACE INTO session VALUES (?, ?, ?)"},
    };
    int rc = SQLITE_OK;
    for (int i = 0; i < 4 && !rc; i++)
        rc = sqlite3_prepare_v3(j->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT, statements[i].to, NULL);
    return rc;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

struct bytes {
    const void *data; /* NULL: there are none, which is not the same as no byte */
    size_t n;
};
struct row {
    int64_t sequence, tree, number;
    struct bytes body, prompt, tokens;
};

static void put32(struct string *out, uint32_t x)
{
    const char bytes[] = {(char)x, (char)(x >> 8), (char)(x >> 16), (char)(x >> 24)};
    string_append(out, bytes, sizeof bytes);
}

static uint32_t get32(const unsigned char **p)
{
    uint32_t x = (uint32_t)(*p)[0] | (uint32_t)(*p)[1] << 8 | (uint32_t)(*p)[2] << 16 | (uint32_t)(*p)[3] << 24;
    *p += 4;
    return x;
}

/* The sum of a row is the hash of its whole numbers and of the hashes of its bytes, 8 bytes each, little-endian. Any one changed byte changes it. */
static int64_t sum_of(const uint64_t *values, int count)
{
    struct string all = {0};
    for (int i = 0; i < count; i++) {
        put32(&all, (uint32_t)values[i]);
        put32(&all, (uint32_t)(values[i] >> 32));
    }
    uint64_t sum = hash_bytes(all.text, all.length);
    string_free(&all);
    return (int64_t)sum;
}

static uint64_t hash_of(struct bytes b)
{
    return b.data ? hash_bytes(b.data, b.n) : 0;
}

static int64_t row_sum(const struct row *row)
{
    const uint64_t values[] = {(uint64_t)row->sequence, (uint64_t)row->tree, (uint64_t)row->number,
                               hash_of(row->body), hash_of(row->prompt), hash_of(row->tokens)};
    return sum_of(values, 6);
}

static int64_t text_sum(struct bytes key, struct bytes value)
{
    return sum_of((const uint64_t[]){hash_of(key), hash_of(value)}, 2);
}

/* Column i, which has to be of this type, or NULL when that is allowed. */
static int column(sqlite3_stmt *statement, int i, int type, int may_miss, struct bytes *out)
{
    int found = sqlite3_column_type(statement, i);
    *out = (struct bytes){0};
    if (found == SQLITE_NULL && may_miss)
        return 1;
    if (found != type)
        return 0;
    const void *data = sqlite3_column_blob(statement, i);
    *out = (struct bytes){data ? data : "", (size_t)sqlite3_column_bytes(statement, i)};
    return 1;
}

/* --- prompts and tokens as bytes --------------------------------------------------------------------------------- */

/* The floats of a token beside its choices. A new one comes last: tokens that were written without it get 0 there. */
static const size_t token_floats[] = {
    offsetof(struct engine_token, logprob),
    offsetof(struct engine_token, cut),
};
enum { TOKEN_FLOATS = sizeof token_floats / sizeof *token_floats };

static void put_float(struct string *out, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put32(out, bits);
}

static float get_float(const unsigned char **p)
{
    uint32_t bits = get32(p);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void put_prompt(struct string *out, const int *prompt, int count)
{
    string_append(out, "", 0);
    for (int i = 0; i < count; i++)
        put32(out, (uint32_t)prompt[i]);
}

static int choices_of(const struct engine_token *token)
{
    int n = 0;
    while (n < ENGINE_TOP && token->top[n].id >= 0)
        n++;
    return n;
}

static void put_tokens(struct string *out, const struct engine_token *tokens, int count)
{
    int choices = 0; /* as many as the token with the most has */
    for (int t = 0; t < count; t++)
        choices = choices_of(&tokens[t]) > choices ? choices_of(&tokens[t]) : choices;
    const char head[] = {TOKEN_LAYOUT, TOKEN_FLOATS, (char)choices, 0};
    string_append(out, head, sizeof head);
    for (int t = 0; t < count; t++) {
        put32(out, (uint32_t)tokens[t].id);
        for (int i = 0; i < TOKEN_FLOATS; i++)
            put_float(out, *(const float *)((const char *)&tokens[t] + token_floats[i]));
        for (int i = 0; i < choices; i++) {
            put32(out, (uint32_t)tokens[t].top[i].id);
            put_float(out, tokens[t].top[i].logprob);
        }
    }
}

/* What is wrong with them, or NULL. */
static const char *get_prompt(struct bytes from, struct search_event *event)
{
    const unsigned char *p = from.data;
    if (!p)
        return NULL;
    if (from.n % 4 || from.n / 4 > INT_MAX)
        return "its prompt is not a list of tokens";
    event->completion.prompt_count = (int)(from.n / 4);
    event->completion.prompt = xmalloc(from.n + 1);
    for (int i = 0; i < event->completion.prompt_count; i++)
        if ((event->completion.prompt[i] = (int)get32(&p)) < 0)
            return "its prompt has a token below 0";
    return NULL;
}

static const char *get_tokens(struct bytes from, struct search_event *event)
{
    const unsigned char *p = from.data;
    if (!p || from.n < 4)
        return "its tokens are missing";
    int layout = p[0], floats = p[1], choices = p[2];
    if (layout != TOKEN_LAYOUT || floats > TOKEN_FLOATS || choices > ENGINE_TOP)
        return "its tokens are of a newer espalier";
    size_t width = 4 + 4 * (size_t)floats + 8 * (size_t)choices, n = (from.n - 4) / width;
    if ((from.n - 4) % width || n > INT_MAX)
        return "its tokens are not a list of tokens";
    struct engine_token *tokens = event->completion.tokens = xrealloc(event->completion.tokens, (n + 1) * sizeof *tokens);
    memset(tokens, 0, (n + 1) * sizeof *tokens);
    event->completion.count = (int)n;
    p += 4;
    for (size_t t = 0; t < n; t++) {
        if ((tokens[t].id = (int)get32(&p)) < 0)
            return "it has a token below 0";
        for (int i = 0; i < floats; i++)
            *(float *)((char *)&tokens[t] + token_floats[i]) = get_float(&p);
        for (int i = 0; i < ENGINE_TOP; i++)
            tokens[t].top[i].id = -1;
        for (int i = 0; i < choices; i++) {
            tokens[t].top[i].id = (int)get32(&p);
            tokens[t].top[i].logprob = get_float(&p);
        }
    }
    return NULL;
}

/* --- checking and reading ---------------------------------------------------------------------------------------- */

static int query(struct search_journal *j, sqlite3_stmt **statement, const char *sql, struct error *e)
{
    int rc = sqlite3_prepare_v2(j->db, sql, -1, statement, NULL);
    return rc ? not_read(j, rc, e) : OK;
}

/* The one value of a question, as text; "" for NULL. */
static int ask(struct search_journal *j, const char *sql, char **answer, struct error *e)
{
    sqlite3_stmt *statement;
    *answer = NULL;
    int code = query(j, &statement, sql, e);
    if (code)
        return code;
    int rc = sqlite3_step(statement);
    const char *text = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (rc == SQLITE_ROW)
        *answer = xstrdup(text ? text : "");
    else
        code = not_read(j, rc, e);
    sqlite3_finalize(statement);
    return code;
}

static int check_header(struct search_journal *j, struct error *e)
{
    char *application = NULL, *format = NULL, *tables = NULL;
    int code = ask(j, "PRAGMA application_id", &application, e);
    if (!code && strtoll(application, NULL, 10) != APPLICATION)
        code = error_set(e, ERROR_INPUT, "%s: an SQLite file of another program; %s", j->path, not_a_session);
    if (!code)
        code = ask(j, "PRAGMA user_version", &format, e);
    if (!code && strtoll(format, NULL, 10) > FORMAT)
        code = error_set(e, ERROR_INPUT, "%s: written by a newer espalier, in format %s; expected format %d; open it with that one", j->path, format,
                         FORMAT);
    if (!code && strtoll(format, NULL, 10) != FORMAT)
        code = damaged(j, e, "its format is %s", format);
    if (!code)
        code = ask(j, "SELECT group_concat(sql || ';', '') FROM (SELECT sql FROM sqlite_master ORDER BY rowid)", &tables, e);
    if (!code && strcmp(tables, schema))
        code = damaged(j, e, "its tables are not a session's");
    free(application);
    free(format);
    free(tables);
    return code;
}

static int check_texts(struct search_journal *j, struct error *e)
{
    sqlite3_stmt *statement;
    struct bytes key, value;
    int rc = SQLITE_DONE, code = query(j, &statement, "SELECT key, value, sum FROM session", e);
    while (!code && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        if (!column(statement, 0, SQLITE_TEXT, 0, &key) || !column(statement, 1, SQLITE_TEXT, 0, &value) ||
            sqlite3_column_int64(statement, 2) != text_sum(key, value))
            code = damaged(j, e, "the check sum of a text about the session is wrong");
    if (!code && rc != SQLITE_DONE)
        code = not_read(j, rc, e);
    sqlite3_finalize(statement);
    return code;
}

/* Everything but the events. What SQLite finds comes first: rows that fell out of its pages have no sum to be wrong. */
static int check(struct search_journal *j, struct error *e)
{
    char *found = NULL;
    int code = check_header(j, e);
    if (!code)
        code = ask(j, "PRAGMA quick_check(1)", &found, e);
    if (!code && strcmp(found, "ok"))
        code = damaged(j, e, "%s", found);
    free(found);
    return code ? code : check_texts(j, e);
}

/* A row, which has to be the next one. */
static int get_row(const struct search_journal *j, sqlite3_stmt *statement, const struct place *at, struct row *row, struct error *e)
{
    int whole = 1;
    for (int i = 0; i < 3; i++)
        whole = whole && sqlite3_column_type(statement, i) == SQLITE_INTEGER;
    row->sequence = sqlite3_column_int64(statement, 0);
    row->tree = sqlite3_column_int64(statement, 1);
    row->number = sqlite3_column_int64(statement, 2);
    if (row->sequence != at->sequence + 1)
        return damaged(j, e, "row %lld of its events is missing", (long long)at->sequence + 1);
    if (!whole || !column(statement, 3, SQLITE_TEXT, 0, &row->body) || !column(statement, 4, SQLITE_BLOB, 1, &row->prompt) ||
        !column(statement, 5, SQLITE_BLOB, 1, &row->tokens) || sqlite3_column_type(statement, 6) != SQLITE_INTEGER ||
        sqlite3_column_int64(statement, 6) != row_sum(row))
        return damaged(j, e, "the check sum of row %lld of its events is wrong", (long long)row->sequence);
    if (row->tree < 0 || row->tree >= SEARCH_JOURNAL_TREES)
        return damaged(j, e, "row %lld of its events is of tree %lld", (long long)row->sequence, (long long)row->tree);
    if (row->number != at->next[row->tree])
        return damaged(j, e, "event %lld of tree %lld is missing", (long long)at->next[row->tree], (long long)row->tree);
    return OK;
}

static int get_event(const struct search_journal *j, const struct row *row, struct search_event **out, struct error *e)
{
    struct error inner;
    if (search_event_parse(row->body.data, row->body.n, j->path, row->sequence, out, &inner))
        return error_set(e, ERROR_INPUT, "%s; the espalier that wrote this session opens it", inner.message);
    const char *wrong = (*out)->number == row->number ? NULL : "its number is another one";
    if ((*out)->kind != SEARCH_EVENT_COMPLETION)
        wrong = wrong || (!row->prompt.data && !row->tokens.data) ? wrong : "it has tokens, but is no completion";
    else {
        wrong = wrong ? wrong : get_prompt(row->prompt, *out);
        wrong = wrong ? wrong : get_tokens(row->tokens, *out);
    }
    if (!wrong)
        return OK;
    search_event_release(*out);
    return damaged(j, e, "event %lld of tree %lld: %s", (long long)row->number, (long long)row->tree, wrong);
}

static void advance(struct place *at, int tree)
{
    at->sequence++;
    at->next[tree]++;
}

/* The rows after *at. */
static int read_rows(struct search_journal *j, struct place *at, int (*take)(void *, int, struct search_event *), void *context, int *stopped,
                     struct error *e)
{
    sqlite3_stmt *statement;
    int rc = SQLITE_DONE;
    int code = query(j, &statement,
                     "SELECT sequence, tree, number, body, prompt, tokens, sum FROM event WHERE sequence > ? ORDER BY sequence", e);
    if (!code)
        sqlite3_bind_int64(statement, 1, at->sequence);
    while (!code && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        struct row row;
        struct search_event *event;
        if ((code = get_row(j, statement, at, &row, e)) || (code = get_event(j, &row, &event, e)))
            break;
        advance(at, (int)row.tree);
        if (!take)
            search_event_release(event);
        else
            *stopped = (code = take(context, (int)row.tree, event)) != 0;
    }
    if (!code && rc != SQLITE_DONE)
        code = not_read(j, rc, e);
    sqlite3_finalize(statement);
    return code;
}

int search_journal_read(struct search_journal *j, int (*take)(void *context, int tree, struct search_event *event), void *context, struct error *e)
{
    struct place *at = xcalloc(1, sizeof *at);
    int stopped = 0, code = read_rows(j, at, take, context, &stopped, e);
    /* What was given already stays: events are only ever added. */
    if (!stopped && written_meanwhile(j)) {
        code = open_reading(j, 0, e);
        code = code ? code : read_rows(j, at, take, context, &stopped, e);
    }
    if (!code) {
        j->at = *at;
        if (!j->known)
            j->safe = *at;
        j->known = 1;
    }
    free(at);
    return code;
}

char *search_journal_get(struct search_journal *j, const char *key)
{
    sqlite3_stmt *statement = NULL;
    struct bytes value = {0};
    char *text = NULL;
    if (!sqlite3_prepare_v2(j->db, "SELECT value FROM session WHERE key = ?", -1, &statement, NULL) &&
        !sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC) && sqlite3_step(statement) == SQLITE_ROW &&
        column(statement, 0, SQLITE_TEXT, 0, &value))
        text = xstrndup(value.data, value.n);
    sqlite3_finalize(statement);
    return text;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

/* The transaction is gone, whether SQLite took it back itself or not. */
static int not_written(struct search_journal *j, struct error *e)
{
    int number = sqlite3_system_errno(j->db), rc = sqlite3_errcode(j->db) & 0xff;
    const char *cure = rc == SQLITE_FULL || rc == SQLITE_IOERR ? "make room on the disk"
                       : rc == SQLITE_BUSY                     ? "close it in the other program"
                                                               : "check the file and its folder";
    int code = error_set(e, ERROR_INPUT, "%s: cannot be written to: %s%s%s; the %lld events up to its last commit are safe; %s, then go on", j->path,
                         sqlite3_errmsg(j->db), number ? ": " : "", number ? strerror(number) : "", (long long)j->safe.sequence, cure);
    if (j->db && !sqlite3_get_autocommit(j->db))
        sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL);
    j->at = j->safe;
    return code;
}

static int run(sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    return rc != SQLITE_DONE;
}

/* The file is opened for writing when all of it has been found good, and there is something to write. */
static int begin(struct search_journal *j, struct error *e)
{
    if (j->lock < 0)
        return error_set(e, ERROR_INPUT, "%s: was opened to be read; expected one opened for writing; open it again", j->path);
    int code = j->known ? OK : search_journal_read(j, NULL, NULL, e);
    if (code)
        return code;
    if (!j->set && (open_writing(j) || prepare(j)))
        code = not_written(j, e);
    else if (sqlite3_get_autocommit(j->db) && run(j->begin))
        code = not_written(j, e);
    if (code && !j->set)
        open_reading(j, 1, NULL);
    return code;
}

int search_journal_set(struct search_journal *j, const char *key, const char *value, struct error *e)
{
    int code = begin(j, e);
    if (code)
        return code;
    struct bytes name = {key, strlen(key)}, text = {value, strlen(value)};
    sqlite3_bind_text(j->set, 1, key, -1, SQLITE_STATIC);
    sqlite3_bind_text(j->set, 2, value, -1, SQLITE_STATIC);
    sqlite3_bind_int64(j->set, 3, text_sum(name, text));
    int failed = run(j->set);
    sqlite3_clear_bindings(j->set);
    return failed ? not_written(j, e) : OK;
}

static int insert(struct search_journal *j, const struct row *row)
{
    sqlite3_stmt *s = j->insert;
    sqlite3_bind_int64(s, 1, row->sequence);
    sqlite3_bind_int64(s, 2, row->tree);
    sqlite3_bind_int64(s, 3, row->number);
    sqlite3_bind_text64(s, 4, row->body.data, row->body.n, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_blob64(s, 5, row->prompt.data, row->prompt.n, SQLITE_STATIC); /* NULL: is NULL there too */
    sqlite3_bind_blob64(s, 6, row->tokens.data, row->tokens.n, SQLITE_STATIC);
    sqlite3_bind_int64(s, 7, row_sum(row));
    int failed = run(s);
    sqlite3_clear_bindings(s);
    return failed;
}

int search_journal_append(struct search_journal *j, int tree, const struct search_event *event, struct error *e)
{
    int code = begin(j, e);
    if (code)
        return code;
    if (tree < 0 || tree >= SEARCH_JOURNAL_TREES || event->number != j->at.next[tree])
        return error_set(e, ERROR_INPUT, "%s: event %lld of tree %d cannot be added; expected event %lld; read the session again", j->path,
                         (long long)event->number, tree, (long long)search_journal_next(j, tree));
    struct string body = {0}, prompt = {0}, tokens = {0};
    struct search_event bare = *event; /* its line without what has a column of its own */
    if (event->kind == SEARCH_EVENT_COMPLETION) {
        if (event->completion.prompt)
            put_prompt(&prompt, event->completion.prompt, event->completion.prompt_count);
        put_tokens(&tokens, event->completion.tokens, event->completion.count);
        bare.completion.prompt = NULL;
        bare.completion.count = 0;
    }
    search_event_json(&bare, NULL, &body);
    const struct row row = {
        .sequence = j->at.sequence + 1, .tree = tree, .number = event->number,
        .body = {body.text, body.length - 1}, /* without its '\n' */
        .prompt = {prompt.text, prompt.length}, .tokens = {tokens.text, tokens.length},
    };
    if (insert(j, &row))
        code = not_written(j, e);
    else
        advance(&j->at, tree);
    string_free(&body);
    string_free(&prompt);
    string_free(&tokens);
    return code;
}

int search_journal_commit(struct search_journal *j, struct error *e)
{
    if (!j->set || sqlite3_get_autocommit(j->db))
        return OK;
    if (run(j->commit))
        return not_written(j, e);
    j->safe = j->at;
    j->unused = 0;
    return OK;
}

int64_t search_journal_next(const struct search_journal *j, int tree)
{
    return tree >= 0 && tree < SEARCH_JOURNAL_TREES ? j->at.next[tree] : 0;
}

/* --- journals ---------------------------------------------------------------------------------------------------- */

static struct search_journal *new_journal(const char *path)
{
    struct search_journal *j = xcalloc(1, sizeof *j);
    j->path = xstrdup(path);
    j->lock = -1;
    return j;
}

void search_journal_close(struct search_journal *j)
{
    if (!j)
        return;
    close_database(j);
    if (j->unused)
        remove_files(j->path, 1);
    if (j->lock >= 0)
        close(j->lock);
    free(j->path);
    free(j);
}

const char *search_journal_path(const struct search_journal *j)
{
    return j->path;
}

static int check_kind(const char *path, struct error *e)
{
    struct stat info;
    const char *what = NULL;
    if (stat(path, &info))
        what = strerror(errno);
    else if (S_ISDIR(info.st_mode))
        what = "a folder";
    else if (!S_ISREG(info.st_mode))
        what = "not a file";
    else if (!info.st_size)
        what = "empty";
    return what ? error_set(e, ERROR_INPUT, "%s: %s; %s", path, what, not_a_session) : OK;
}

int search_journal_open(struct search_journal **out, const char *path, int write, struct error *e)
{
    int code = check_kind(path, e);
    *out = NULL;
    if (code)
        return code;
    struct search_journal *j = new_journal(path);
    code = write ? lock_file(j, e) : OK;
    code = code ? code : open_reading(j, 1, e);
    code = code ? code : check(j, e);
    if (j->db && written_meanwhile(j)) {
        code = open_reading(j, 0, e);
        code = code ? code : check(j, e);
    }
    if (code)
        search_journal_close(j);
    else
        *out = j;
    return code;
}

/* The empty tables, in a file of their own: whoever is killed here leaves nothing under the session's name. */
static int lay_out(struct search_journal *j, char *path, struct error *e)
{
    struct search_journal *draft = new_journal(path);
    int fd = mkstemp(draft->path), code = OK;
    strcpy(path, draft->path);
    if (fd < 0) {
        code = error_set(e, ERROR_INPUT, "%s: %s; expected a folder that can be written to; choose another", j->path, strerror(errno));
        search_journal_close(draft);
        return code;
    }
    close(fd);
    char *sql = xasprintf("PRAGMA journal_mode=MEMORY; BEGIN; PRAGMA application_id=%d; PRAGMA user_version=%d; %s COMMIT", APPLICATION, FORMAT, schema);
    if (open_database(draft, "mode=rw", SQLITE_OPEN_READWRITE) || sqlite3_exec(draft->db, sql, NULL, NULL, NULL)) {
        code = not_written(draft, e);
        close_database(draft);
        remove_files(path, 1);
    }
    free(sql);
    search_journal_close(draft);
    return code;
}

int search_journal_create_untaken(struct search_journal **out, const char *path, int *taken, struct error *e)
{
    struct search_journal *j = new_journal(path);
    char *draft = xasprintf("%s.XXXXXX", path);
    *out = NULL;
    *taken = 0;
    int code = lay_out(j, draft, e);
    if (!code && link(draft, path)) { /* unlike renaming, this never replaces a file */
        *taken = errno == EEXIST;
        code = *taken ? error_set(e, ERROR_INPUT, "%s: is there already; expected the name of a new session; choose another", path)
                      : error_set(e, ERROR_INPUT, "%s: %s; expected a folder that a session can be made in; choose another", path, strerror(errno));
    }
    unlink(draft);
    free(draft);
    if (!code)
        code = lock_file(j, e);
    if (!code)
        remove_files(path, 0); /* of a file that had this name before */
    j->known = 1;
    if (!code && (open_database(j, "mode=rw", SQLITE_OPEN_READWRITE) || open_writing(j) || prepare(j))) {
        code = not_written(j, e);
        close_database(j);
        remove_files(path, 1);
    }
    j->unused = !code;
    if (code)
        search_journal_close(j);
    else
        *out = j;
    return code;
}

int search_journal_create(struct search_journal **out, const char *path, struct error *e)
{
    int taken;
    return search_journal_create_untaken(out, path, &taken, e);
}

int search_journal_copy(struct search_journal *j, int tree, struct search_event *const *events, int64_t count, struct error *e)
{
    int code = OK;
    for (int64_t i = 0; i < count && !code; i++)
        code = search_journal_append(j, tree, events[i], e);
    return code ? code : search_journal_commit(j, e);
}
