/* show: read a file of sessions and say what is in it: an outline of a tree, a list of many, exports, and the audit. */
#include "tui/cast.h"
#include "tui/command.h"
#include "tui/export.h"
#include "tui/plain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void print(struct string *text)
{
    fwrite(string_text(text), 1, text->length, stdout);
    string_free(text);
}

/* --- the audit --------------------------------------------------------------------------------------------------- */

static const char definition[] =
    "alive: every step of the path is exactly legal (operands there, exact rational result, the numbers left exactly right, nothing\n"
    "after it; rounded decimals are illegal) and the target can still be made from what is left, or it is a right answer.\n"
    "generated, selected: something alive was, at that level. right: by the answer alone, among those kept at the end.\n";

struct totals {
    int trees, known, levels, right, right_alive, first, right_first; /* first: with a result chosen */
    int generated[SEARCH_AUDIT_LEVELS + 1], selected[SEARCH_AUDIT_LEVELS + 1];
    int lost[SEARCH_CAUSES][SEARCH_AUDIT_LEVELS + 2];
};

static void add_total(struct totals *t, const struct search_audit *audit)
{
    t->trees++;
    t->known += audit->known;
    if (!audit->known)
        return;
    t->levels = audit->levels > t->levels ? audit->levels : t->levels;
    t->right += audit->right;
    t->right_alive += audit->right_alive;
    t->first += audit->right_first >= 0;
    t->right_first += audit->right_first == 1;
    for (int level = 1; level <= audit->levels; level++) {
        t->generated[level] += audit->generated[level];
        t->selected[level] += audit->selected[level];
    }
    t->lost[audit->cause][audit->level]++;
}

/* A tree that ended right above the deepest level of the others stays alive below. */
static void extend(struct search_audit *audit, int levels)
{
    for (int level = audit->levels + 1; audit->known && level <= levels; level++)
        audit->generated[level] = audit->selected[level] = (char)(audit->right_alive != 0);
    audit->levels = audit->known ? levels : 0;
}

static void add_totals(const struct totals *t, struct string *out)
{
    string_addf(out, "\n%d problem%s", t->trees, t->trees == 1 ? "" : "s");
    if (t->known < t->trees)
        string_addf(out, ", %d without an exact solver", t->trees - t->known);
    string_add(out, "\n   level  generated  selected\n");
    for (int level = 1; level <= t->levels; level++)
        string_addf(out, "%8d %10d %9d\n", level, t->generated[level], t->selected[level]);
    string_addf(out, "   right %10d            (%d of them by an alive path", t->right, t->right_alive);
    if (t->first)
        string_addf(out, "; counting only the first choice: %d", t->right_first);
    string_add(out, ")\n");
    for (int cause = SEARCH_CAUSE_RIGHT + 1; cause < SEARCH_CAUSES; cause++) {
        int sum = 0, first = 1;
        for (int level = 0; level <= SEARCH_AUDIT_LEVELS + 1; level++)
            sum += t->lost[cause][level];
        if (!sum)
            continue;
        string_addf(out, "    lost %10d  %s: ", sum, search_cause_name((enum search_cause)cause));
        for (int level = 0; level <= SEARCH_AUDIT_LEVELS + 1; level++) {
            if (!t->lost[cause][level])
                continue;
            string_addf(out, "%s%d at level %d", first ? "" : ", ", t->lost[cause][level], level);
            first = 0;
        }
        string_add(out, "\n");
    }
    string_add(out, "\n");
    string_add(out, definition);
}

/* "misjudged at level 1: thought 12: 4 + 5 = 9 (left: 6 9 10), value 3" */
static void add_cause(const struct search_tree *tree, const struct search_audit *audit, struct string *out)
{
    if (!audit->known) {
        string_add(out, "no exact solver for this task");
        return;
    }
    string_add(out, search_cause_name(audit->cause));
    if (audit->cause == SEARCH_CAUSE_RIGHT && !audit->right_alive)
        string_add(out, ", after an illegal step");
    if (audit->level)
        string_addf(out, " at level %d", audit->level);
    if (audit->node > 0) {
        string_addf(out, ": thought %d: ", audit->node);
        tui_export_text(out, search_node_text(tree, audit->node));
        if (tree->nodes[audit->node].judgement)
            string_addf(out, ", value %.4g", tree->nodes[audit->node].value);
        if (tree->nodes[audit->node].thought->thought.why) {
            string_add(out, " [");
            tui_export_text(out, tree->nodes[audit->node].thought->thought.why);
            string_add(out, "]");
        }
    }
}

static char *marks_of(struct search_oracle *oracle, const struct search_tree *tree)
{
    char *marks = xcalloc((size_t)tree->count, 1);
    for (int node = 0; node < tree->count; node++)
        marks[node] = (char)search_oracle_mark(oracle, tree, node);
    return marks;
}

/* --- what is printed --------------------------------------------------------------------------------------------- */

static void show_events(const struct search_tree *tree)
{
    for (int64_t i = 0; i < tree->event_count; i++) {
        struct string line = {0};
        search_event_json(tree->events[i], NULL, &line);
        print(&line);
    }
}

static void show_one(const struct search_session *session, const struct tui_options *o)
{
    struct string out = {0};
    struct search_oracle *oracle = o->audit ? search_oracle_open() : NULL;
    char *marks = oracle ? marks_of(oracle, &session->tree) : NULL;
    if (o->json) {
        show_events(&session->tree);
    } else if (o->dot) {
        tui_export_dot(&session->tree, marks, &out);
    } else if (o->md) {
        tui_export_markdown(&session->tree, marks, &out);
    } else {
        tui_export_outline(&session->tree, marks, &out);
    }
    if (oracle && !o->dot && !o->md) {
        struct search_audit audit;
        struct totals totals = {0};
        search_audit_tree(oracle, &session->tree, &audit);
        add_total(&totals, &audit);
        string_add(&out, "\naudit     ");
        add_cause(&session->tree, &audit, &out);
        string_add(&out, "\n");
        if (audit.known)
            add_totals(&totals, &out);
    }
    print(&out);
    free(marks);
    search_oracle_close(oracle);
}

/* + selected, o generated and not selected, . nothing alive: a sign for each level. */
static void add_trace(const struct search_audit *audit, struct string *out)
{
    for (int level = 1; level <= audit->levels; level++)
        string_add(out, audit->selected[level] ? "+" : audit->generated[level] ? "o" : ".");
}

static void show_list(const struct search_sessions *sessions, const struct tui_options *o)
{
    struct string out = {0};
    struct totals totals = {0};
    struct search_oracle *oracle = o->audit ? search_oracle_open() : NULL;
    struct search_audit *audits = xcalloc((size_t)sessions->count, sizeof *audits);
    int levels = 0;
    for (int i = 0; i < sessions->count && oracle; i++) {
        search_audit_tree(oracle, &sessions->list[i].tree, &audits[i]);
        levels = audits[i].levels > levels ? audits[i].levels : levels;
    }
    string_addf(&out, "%s: %d trees%s\n", sessions->form, sessions->count, oracle ? "; levels: + selected alive, o only generated alive, . neither" : "");
    for (int i = 0; i < sessions->count; i++) {
        const struct search_tree *tree = &sessions->list[i].tree;
        struct string title = {0};
        tui_export_text(&title, sessions->list[i].title);
        string_addf(&out, "%5d  %-20s %5d thoughts %4d illegal  ", i + 1, string_text(&title), tree->count - 1, tree->illegal);
        string_free(&title);
        if (oracle) {
            extend(&audits[i], levels);
            add_total(&totals, &audits[i]);
            add_trace(&audits[i], &out);
            string_add(&out, "  ");
            add_cause(tree, &audits[i], &out);
        } else if (tree->result) {
            tui_export_text(&out, tree->result->result.answer ? tree->result->result.answer : "no answer");
            string_add(&out, tree->result->result.correct < 0 ? "; " : tree->result->result.correct ? " (right); " : " (wrong); ");
            tui_export_text(&out, tree->result->result.why);
        } else {
            string_add(&out, "not finished");
        }
        string_add(&out, "\n");
    }
    if (oracle)
        add_totals(&totals, &out);
    print(&out);
    free(audits);
    search_oracle_close(oracle);
}

/* --- the command ------------------------------------------------------------------------------------------------- */

/* Which tree of the file is asked for: 0 when it is all of them. */
static int chosen_tree(const struct tui_options *o, const struct search_sessions *sessions, int *which, struct error *e)
{
    *which = sessions->count == 1;
    if (o->word_count == 2) {
        char *end;
        errno = 0;
        long number = strtol(o->words[1], &end, 10);
        if (errno || *end || end == o->words[1] || number < 1 || number > sessions->count)
            return error_set(e, ERROR_USAGE, "tree %s: %s holds the trees 1 to %d", o->words[1], o->words[0], sessions->count);
        *which = (int)number;
    }
    if (!*which && (o->dot || o->md))
        return error_set(e, ERROR_USAGE, "%s holds %d trees; say which: espalier show FILE NUMBER --%s", o->words[0], sessions->count, o->dot ? "dot" : "md");
    return OK;
}

/* A file of that name, or a session that is kept. */
static char *find_file(const char *name)
{
    struct error e;
    char *path = NULL;
    if (access(name, F_OK) == 0 || strchr(name, '/') || tui_session_path(name, &path, &e))
        return xstrdup(name);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return xstrdup(name);
}

/* The trees as they were after `at` events. */
static int rewind_trees(struct search_sessions *sessions, int which, int64_t at, struct error *e)
{
    struct search_tree *tree = &sessions->list[which ? which - 1 : 0].tree, past = {0};
    if (!which)
        return error_set(e, ERROR_USAGE, "--at: there are %d trees; say which: espalier show FILE NUMBER --at %lld", sessions->count, (long long)at);
    if (at < 1 || at > tree->event_count)
        return error_set(e, ERROR_USAGE, "--at %lld: it has the events 1 to %lld", (long long)at, (long long)tree->event_count);
    search_tree_at(tree, at, &past);
    search_tree_free(tree);
    *tree = past;
    return OK;
}

/* The sessions that are kept, a line each, the latest first. */
static int list_kept(void)
{
    struct error e;
    struct search_journal_entry *list = NULL;
    int count = 0;
    char *folder = search_journal_folder(&e);
    int code = folder ? search_journal_list(&list, &count, folder, &e) : e.code;
    for (int i = 0; i < count; i++) {
        struct search_sessions sessions;
        struct string line = {0};
        char when[32];
        time_t seconds = (time_t)(list[i].modified / 1000000000);
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", localtime(&seconds));
        const char *name = strrchr(list[i].path, '/') + 1;
        string_addf(&line, "%-36.*s %s  ", (int)(strlen(name) - strlen(".session")), name, when);
        if (search_sessions_load(&sessions, list[i].path, &e)) {
            string_addf(&line, "%s", e.message);
        } else {
            const struct search_tree *tree = &sessions.list[0].tree;
            tui_export_text(&line, sessions.list[0].title);
            string_addf(&line, "; %.*s", (int)strcspn(tree->session->session.strategy, ","), tree->session->session.strategy);
            if (sessions.count > 1)
                string_addf(&line, " and %d more", sessions.count - 1);
            string_addf(&line, "; %d thought%s; ", tree->count - 1, tree->count == 2 ? "" : "s");
            if (!tree->result)
                string_add(&line, "not finished");
            else
                tui_export_text(&line, tree->result->result.answer ? tree->result->result.answer : "no answer");
            search_sessions_free(&sessions);
        }
        tui_plain_print(string_text(&line), 0, 4, tui_plain_columns(0));
        string_free(&line);
    }
    if (!code && !count)
        printf("no sessions are kept in %s yet; the explorer keeps each of its own\n", folder);
    search_journal_list_free(list, count);
    free(folder);
    return code ? tui_fail(&e) : OK;
}

static int run(const struct tui_options *o)
{
    struct error e;
    struct search_sessions sessions = {0};
    int which = 0, code = OK;
    if (!o->word_count && !o->json && !o->dot && !o->md && !o->audit && !o->replay && !o->cast)
        return list_kept();
    char *path = o->word_count ? find_file(o->words[0]) : NULL;
    if (o->word_count < 1 || o->word_count > 2)
        code = error_set(&e, ERROR_USAGE, "show takes a file or a session, and the number of a tree in it; as in espalier show run.jsonl");
    else if (o->cast && o->json + o->dot + o->md + o->audit + o->replay)
        code = error_set(&e, ERROR_USAGE, "--cast goes with --at, --speed, --size, --colours, --theme and --ascii");
    else if (o->replay && o->json + o->dot + o->md + o->audit)
        code = error_set(&e, ERROR_USAGE, "--replay goes with --at, --speed, --theme, --ascii, --paused and --record");
    else if (o->json + o->dot + o->md > 1 || (o->json && o->audit))
        code = error_set(&e, ERROR_USAGE, "choose one of --json, --dot and --md; --audit goes with --dot, --md or alone");
    if (!code)
        code = search_sessions_load(&sessions, path, &e);
    if (!code)
        code = chosen_tree(o, &sessions, &which, &e);
    if (!code && o->at >= 0)
        code = rewind_trees(&sessions, which, o->at, &e);
    if (!code && o->replay)
        code = tui_replay(o, &sessions, which, path, &e);
    if (!code && o->cast)
        code = tui_cast_sessions(o, &sessions, which, path, &e);
    if (code) {
        tui_fail(&e);
    } else if (o->replay || o->cast) {
        ; /* it was seen, or is written */
    } else if (which) {
        show_one(&sessions.list[which - 1], o);
    } else if (o->json) {
        for (int i = 0; i < sessions.count; i++)
            show_events(&sessions.list[i].tree);
    } else {
        show_list(&sessions, o);
    }
    search_sessions_free(&sessions);
    free(path);
    return code;
}

const struct tui_command tui_command_show = {
    .name = "show",
    .summary = "sessions that are kept; what is in one, or in a file: outline, --audit, exports",
    .usage = "show [SESSION|FILE [NUMBER]] [--at N] [--audit] [--json | --dot | --md | --cast | --replay] [--speed X]",
    .example = "espalier run -t game24 --json '4 5 6 10' >run.jsonl; espalier show run.jsonl --audit",
    .options = "at audit json dot md cast size colours replay speed theme ascii no-copy paused record",
    .run = run,
};
