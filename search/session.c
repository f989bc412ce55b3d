/* Files of sessions: told apart by their content, read whole, every event checked before a tree takes it. */
#include "search/session.h"

#include "search/event.h"
#include "search/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_BYTES = 1 << 30, MAX_DEPTH = 1000 };

struct search_session *search_sessions_add(struct search_sessions *sessions, const char *title)
{
    int capacity = sessions->count; /* a power of two is when it is full */
    if (!(capacity & (capacity - 1)))
        sessions->list = xrealloc(sessions->list, (size_t)(capacity ? 2 * capacity : 1) * sizeof *sessions->list);
    struct search_session *session = &sessions->list[sessions->count++];
    *session = (struct search_session){.title = xstrdup(title)};
    return session;
}

void search_sessions_free(struct search_sessions *sessions)
{
    for (int i = 0; i < sessions->count; i++) {
        search_tree_free(&sessions->list[i].tree);
        free(sessions->list[i].title);
        free(sessions->list[i].asked);
    }
    free(sessions->list);
    search_journal_close(sessions->journal);
    *sessions = (struct search_sessions){0};
}

/* --- does an event fit the tree? --------------------------------------------------------------------------------- */

static const char *check_nodes(const struct search_tree *tree, const int *nodes, int count)
{
    for (int i = 0; i < count; i++)
        if (nodes[i] >= tree->count)
            return "it names a node that is not there yet";
    return NULL;
}

static const char *check_item(const struct search_tree *tree, const struct search_item *item)
{
    if (item->fork >= tree->event_count || (item->fork && tree->events[item->fork]->kind != SEARCH_EVENT_COMPLETION))
        return "the completion it is a fork of is not one";
    if (item->fork && item->token >= tree->events[item->fork]->completion.count)
        return "it is a fork at a token that is not there";
    if (item->heated && !(item->temperature >= 0 && item->temperature <= 100))
        return "its temperature is not one from 0 to 100";
    return check_nodes(tree, item->nodes, item->count);
}

static const char *check_plan(const struct search_tree *tree, const struct search_event *event)
{
    const char *wrong = NULL;
    for (int i = 0; i < event->plan.count && !wrong; i++)
        wrong = check_item(tree, &event->plan.items[i]);
    int64_t ask = event->plan.ask;
    if (!wrong && (ask >= tree->event_count || (ask && tree->events[ask]->kind != SEARCH_EVENT_ASK)))
        wrong = "what it does for the user was not asked";
    return wrong;
}

static const char *check_thought(const struct search_tree *tree, const struct search_event *event)
{
    if (event->thought.node != tree->count)
        return "its node is not the next one";
    if (event->thought.parent >= tree->count)
        return "its parent is not there";
    if (tree->nodes[event->thought.parent].depth >= MAX_DEPTH)
        return "it stands more than 1,000 deep";
    if (event->thought.replaces >= tree->count)
        return "what it replaces is not there";
    if (event->thought.completion < 0)
        return NULL;
    if (event->thought.completion >= tree->event_count || tree->events[event->thought.completion]->kind != SEARCH_EVENT_COMPLETION)
        return "the completion it names is not one";
    if ((int64_t)event->thought.first + event->thought.count > tree->events[event->thought.completion]->completion.count)
        return "its tokens are not in its completion";
    return NULL;
}

static const char *check_judgement(const struct search_tree *tree, const struct search_event *event)
{
    if (event->judgement.purpose < SEARCH_VALUE)
        return "its purpose is not a judge's";
    return check_nodes(tree, event->judgement.nodes, event->judgement.count);
}

static const char *check_decision(const struct search_tree *tree, const struct search_event *event)
{
    for (int i = 0; i < event->decision.tally_count; i++)
        if (event->decision.tally[i].node >= tree->count)
            return "its tally names a node that is not there";
    for (int i = 0; i < event->decision.backup_count; i++)
        if (event->decision.backups[i].node >= tree->count)
            return "it backs up through a node that is not there";
    return check_nodes(tree, event->decision.kept, event->decision.kept_count);
}

static const char *check_back(const struct search_tree *tree, const struct search_event *event)
{
    int64_t to = event->back.target;
    if (to >= tree->event_count || tree->out[to])
        return "its target is not there";
    return tree->events[to]->kind == SEARCH_EVENT_PLAN || tree->events[to]->kind == SEARCH_EVENT_DECISION
               ? NULL
               : "its target is neither a plan nor a decision";
}

/* Folding trusts its events; so a file's are looked at first. NULL: it fits. */
static const char *check_event(const struct search_tree *tree, const struct search_event *event)
{
    if (event->number != tree->event_count)
        return "its number does not follow the one before";
    if ((event->kind == SEARCH_EVENT_SESSION) != !tree->event_count)
        return "a session event, with number 0, comes first";
    switch (event->kind) {
    case SEARCH_EVENT_SESSION:
    case SEARCH_EVENT_SETTING:
    case SEARCH_EVENT_BREAK:
    case SEARCH_EVENT_KINDS:
        return NULL;
    case SEARCH_EVENT_PLAN:
        return check_plan(tree, event);
    case SEARCH_EVENT_COMPLETION:
        return event->completion.item < tree->done_count ? NULL : "its item is not in the plan in progress";
    case SEARCH_EVENT_THOUGHT:
        return check_thought(tree, event);
    case SEARCH_EVENT_JUDGEMENT:
        return check_judgement(tree, event);
    case SEARCH_EVENT_DECISION:
        return check_decision(tree, event);
    case SEARCH_EVENT_PRUNE:
        return check_nodes(tree, &event->prune.node, 1);
    case SEARCH_EVENT_RESTORE:
        return event->prune.node < tree->count && tree->nodes[event->prune.node].pruned ? NULL : "what it restores is not pruned";
    case SEARCH_EVENT_UNDO:
        return tree->undo_count && tree->undo[tree->undo_count - 1] == event->undo.target ? NULL : "its target is not the latest act";
    case SEARCH_EVENT_REDO:
        return tree->redo_count && tree->undo[tree->undo_count] == event->undo.target ? NULL : "its target is not the act undone last";
    case SEARCH_EVENT_ASK:
        return check_item(tree, event->ask.item);
    case SEARCH_EVENT_KEEP:
        return check_nodes(tree, &event->keep.node, 1);
    case SEARCH_EVENT_REVOTE:
        return check_nodes(tree, event->revote.excluded, event->revote.count);
    case SEARCH_EVENT_BACK:
        return check_back(tree, event);
    case SEARCH_EVENT_RESULT:
        return event->result.node < tree->count ? NULL : "its node is not there";
    }
    return NULL;
}

/* --- our own events ---------------------------------------------------------------------------------------------- */

/* A line of a race begins with the number of the tree it is of: {"tree":2,"event":... 0 where it says none; -1: too many. */
static int tree_of_line(const char *line)
{
    static const char mark[] = "{\"tree\":";
    if (strncmp(line, mark, sizeof mark - 1))
        return 0;
    long tree = strtol(line + sizeof mark - 1, NULL, 10);
    return tree >= 0 && tree < 64 ? (int)tree : -1;
}

static int read_events(struct search_sessions *out, const char *text, size_t n, const char *path, struct error *e)
{
    int64_t line = 0;
    int first = 0; /* session of the race being read */
    out->form = "espalier events";
    for (const char *p = text, *end = text + n; p < end;) {
        const char *next = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)((next ? next : end) - p);
        struct search_event *event;
        line++;
        if (strspn(p, " \t\r") >= length) { /* a blank line; the text ends in a 0 */
            p += length + 1;
            continue;
        }
        int code = search_event_parse(p, length, path, line, &event, e);
        if (code)
            return code;
        int number = tree_of_line(p), begins = event->kind == SEARCH_EVENT_SESSION && !event->number;
        if (begins && !number)
            first = out->count;
        if (begins && number >= 0 && first + number == out->count)
            search_sessions_add(out, event->session.problem);
        struct search_tree *tree = number >= 0 && first + number < out->count ? &out->list[first + number].tree : NULL;
        const char *wrong = tree ? check_event(tree, event) : "a session event, with number 0, comes first";
        if (wrong)
            error_set(e, ERROR_INPUT, "%s: line %lld: event %lld: %s; the log is not as it was written", path, (long long)line,
                      (long long)event->number, wrong);
        else
            search_tree_fold(tree, event);
        search_event_release(event);
        if (wrong)
            return ERROR_INPUT;
        p += length + 1;
    }
    return OK;
}

/* --- journals ---------------------------------------------------------------------------------------------------- */

struct loading {
    struct search_sessions *out;
    const char *path;
    struct error *e;
};

static int take_event(void *context, int number, struct search_event *event)
{
    struct loading *l = context;
    const char *wrong = NULL;
    if (number == l->out->count)
        search_sessions_add(l->out, event->kind == SEARCH_EVENT_SESSION ? event->session.problem : "");
    if (number >= l->out->count)
        wrong = "the trees before its own are missing";
    else
        wrong = check_event(&l->out->list[number].tree, event);
    if (wrong)
        error_set(l->e, ERROR_INPUT, "%s: tree %d: event %lld: %s; the log is not as it was written", l->path, number,
                  (long long)event->number, wrong);
    else
        search_tree_fold(&l->out->list[number].tree, event);
    search_event_release(event);
    return wrong ? ERROR_INPUT : OK;
}

static void read_asked(struct search_sessions *out, struct search_journal *journal)
{
    for (int i = 0; i < out->count; i++) {
        char *key = xasprintf("strategy %d", i);
        out->list[i].asked = search_journal_get(journal, key);
        free(key);
    }
}

static int read_journal(struct search_sessions *out, const char *path, int write, struct error *e)
{
    struct loading loading = {out, path, e};
    struct search_journal *journal;
    int code = search_journal_open(&journal, path, write, e);
    if (code)
        return code;
    out->form = "espalier session";
    code = search_journal_read(journal, take_event, &loading, e);
    if (!code && !out->count && !write)
        code = error_set(e, ERROR_INPUT, "%s: the session is empty: it was not even begun; begin another", path);
    if (!code)
        read_asked(out, journal);
    if (!code && write)
        out->journal = journal;
    else
        search_journal_close(journal);
    return code;
}

int search_sessions_open(struct search_sessions *out, const char *path, struct error *e)
{
    *out = (struct search_sessions){0};
    int code = read_journal(out, path, 1, e);
    if (code)
        search_sessions_free(out);
    return code;
}

static int is_journal(const char *path)
{
    char head[16] = "";
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    return n == sizeof head && !memcmp(head, "SQLite format 3", sizeof head);
}

/* --- any file ---------------------------------------------------------------------------------------------------- */

static int read_file(const char *path, struct string *out, struct error *e)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set(e, ERROR_INPUT, "%s: %s; expected a session (`espalier show` lists them), a file of events or a published log", path, strerror(errno));
    if (fstat(fileno(file), &info) || S_ISDIR(info.st_mode)) {
        fclose(file);
        return error_set(e, ERROR_INPUT, "%s: a folder; expected a file of events or a published log", path);
    }
    char block[1 << 14];
    size_t n;
    while ((n = fread(block, 1, sizeof block, file)) > 0 && out->length <= MAX_BYTES)
        string_append(out, block, n);
    int failed = ferror(file);
    fclose(file);
    if (failed)
        return error_set(e, ERROR_INPUT, "%s: cannot be read", path);
    if (out->length > MAX_BYTES)
        return error_set(e, ERROR_INPUT, "%s: more than 1 GiB; cut it into files of fewer sessions", path);
    return OK;
}

int search_sessions_load(struct search_sessions *out, const char *path, struct error *e)
{
    struct string text = {0};
    *out = (struct search_sessions){0};
    int journal = is_journal(path), code = journal ? read_journal(out, path, 0, e) : read_file(path, &text, e);
    if (!code && !journal) {
        const char *bytes = string_text(&text);
        char first = bytes[strspn(bytes, " \t\r\n")];
        if (first == '{')
            code = read_events(out, bytes, text.length, path, e);
        else if (first == '[')
            code = search_published_read(out, bytes, text.length, path, e);
        else
            code = error_set(e, ERROR_INPUT, "%s: %s; expected events as espalier run --json prints them, or a published Tree of Thoughts log",
                             path, first ? "neither a JSON object a line nor a JSON list" : "empty");
    }
    string_free(&text);
    if (code)
        search_sessions_free(out);
    return code;
}
