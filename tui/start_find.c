/* What the start screen offers: the sessions, tasks and models of this machine. */
#include "tui/command.h"
#include "tui/start.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SESSIONS = 6, SESSION_READ = 64 << 20 }; /* so many, and no more bytes of one are read to describe it */

/* --- sessions ---------------------------------------------------------------------------------------------------- */

/* "= 24  game24 tot" */
static void describe_session(struct string *out, const struct search_sessions *sessions)
{
    const struct search_tree *tree = &sessions->list[0].tree;
    if (!tree->result)
        string_add(out, "not finished");
    else if (tree->result->result.answer)
        string_addf(out, "%s %s", tree->result->result.correct == 1 ? "✓" : tree->result->result.correct == 0 ? "✗" : "=", tree->result->result.answer);
    else
        string_add(out, "no answer");
    string_addf(out, "  %s %.*s", tree->session->session.task, (int)strcspn(tree->session->session.strategy, ","), tree->session->session.strategy);
    if (sessions->count > 1)
        string_addf(out, " +%d", sessions->count - 1);
}

static void add_session(struct tui_start *s, const struct search_journal_entry *entry)
{
    struct error e;
    struct search_sessions sessions = {0};
    struct string about = {0};
    struct stat file;
    const time_t when = (time_t)(entry->modified / 1000000000);
    const char *title = strrchr(entry->path, '/') + 1;
    char date[32];
    const int large = !stat(entry->path, &file) && file.st_size > SESSION_READ;
    strftime(date, sizeof date, "  %m-%d %H:%M", localtime(&when));
    if (large) {
        string_addf(&about, "%lld MB", (long long)file.st_size >> 20);
    } else if (!search_sessions_load(&sessions, entry->path, &e)) {
        describe_session(&about, &sessions);
        title = sessions.list[0].tree.session->session.problem;
    }
    string_add(&about, date);
    if (large || sessions.count) /* what cannot be read cannot be opened */
        tui_start_add(s, TUI_START_SESSION, title, string_text(&about), entry->path, NULL);
    search_sessions_free(&sessions);
    string_free(&about);
}

static void add_sessions(struct tui_start *s)
{
    struct error e;
    struct search_journal_entry *list = NULL;
    int count = 0;
    char *folder = search_journal_folder(&e);
    tui_start_add(s, TUI_START_HEADING, "recent sessions", "", NULL, NULL);
    if (folder && !search_journal_list(&list, &count, folder, &e))
        for (int i = 0; i < count && i < SESSIONS; i++)
            add_session(s, &list[i]);
    search_journal_list_free(list, count);
    free(folder);
}

/* --- tasks ------------------------------------------------------------------------------------------------------- */

static void add_tasks(struct tui_start *s, const char *preferred)
{
    char **names = search_task_names();
    tui_start_add(s, TUI_START_HEADING, "tasks", "", NULL, NULL);
    for (char **n = names; n && *n; n++) {
        struct search_task *task;
        struct error e;
        char *problem = NULL, *answer = NULL;
        if (!search_task_open(&task, *n, &e)) {
            if (search_task_data(task, NULL, 1, &problem, &answer, &e))
                problem = answer = NULL;
            tui_start_add(s, TUI_START_TASK, *n, search_task_about(task), *n, problem);
            if (preferred && !strcmp(preferred, *n))
                s->selected = s->count - 1;
            search_task_close(task);
            free(problem);
            free(answer);
        }
        free(*n);
    }
    free(names);
    if (preferred && (strchr(preferred, '/') || strstr(preferred, ".yaml"))) {
        tui_start_add(s, TUI_START_TASK, preferred, "", preferred, NULL);
        s->selected = s->count - 1;
    }
}

/* --- models ------------------------------------------------------------------------------------------------------ */

static int has_model(const struct tui_start *s, const char *path)
{
    for (int i = 0; i < s->count; i++)
        if (s->rows[i].kind == TUI_START_MODEL && !strcmp(s->rows[i].value, path))
            return 1;
    return 0;
}

/* Of a file, or of the weights in a folder; 0: it is no model. */
static long long size_of(const char *path)
{
    struct stat file;
    glob_t found;
    long long all = 0;
    if (stat(path, &file) || !S_ISDIR(file.st_mode))
        return stat(path, &file) ? 0 : (long long)file.st_size;
    char *pattern = xasprintf("%s/model*.safetensors", path);
    if (!glob(pattern, 0, NULL, &found)) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            all += stat(found.gl_pathv[i], &file) ? 0 : (long long)file.st_size;
        globfree(&found);
    }
    free(pattern);
    return all;
}

static void add_model(struct tui_start *s, const char *path, const char *about)
{
    char *real = realpath(path, NULL), *size;
    const long long bytes = real ? size_of(real) : 0;
    if (!bytes || has_model(s, real)) {
        free(real);
        return;
    }
    const char *slash = strrchr(real, '/');
    size = xasprintf("%lld MB  %s%.*s", (bytes + 500000) / 1000000, about, *about ? 0 : (int)(slash - real), real);
    tui_start_add(s, TUI_START_MODEL, slash + 1, size, real, NULL);
    free(size);
    free(real);
}

/* GGUF files, and folders that have a config.json and weights. */
static void add_models_of(struct tui_start *s, const char *folder)
{
    static const char *const ends[] = {"*.gguf", "*/config.json"};
    for (int k = 0; k < 2; k++) {
        glob_t found;
        char *pattern = xasprintf("%s%s", folder, ends[k]);
        const size_t cut = k ? strlen("/config.json") : 0;
        if (!glob(pattern, 0, NULL, &found)) {
            for (size_t i = 0; i < found.gl_pathc; i++) {
                char *path = xstrndup(found.gl_pathv[i], strlen(found.gl_pathv[i]) - cut);
                add_model(s, path, "");
                free(path);
            }
            globfree(&found);
        }
        free(pattern);
    }
}

static void add_models(struct tui_start *s, const struct tui_options *o)
{
    const char *given = o->model ? o->model : getenv("ESPALIER_MODEL");
    char *shipped = search_data_path("examples", "steps.gguf"), *fetched = tui_model_folder(), *within = xasprintf("%s/", fetched);
    tui_start_add(s, TUI_START_HEADING, "models", "", NULL, NULL);
    if (given && *given) {
        const int before = s->count;
        add_model(s, given, "");
        s->model = s->count > before ? before : -1;
    }
    if (shipped)
        add_model(s, shipped, "comes with espalier, for the tasks of numbers");
    add_models_of(s, within);
    add_models_of(s, "");
    free(within);
    free(fetched);
    free(shipped);
}

void tui_start_find(struct tui_start *s, const struct tui_options *o)
{
    const char *task, *problem;
    tui_start_add(s, TUI_START_HEADING, "begin", "", NULL, NULL);
    tui_start_add(s, TUI_START_TOUR, "a tour", "a small search in steps, each number explained", NULL, NULL);
    tui_first_search(o, &task, &problem);
    char *about = xasprintf("%s %s: look around in it", task, problem);
    tui_start_add(s, TUI_START_FIRST, "a first search", about, NULL, NULL);
    free(about);
    add_sessions(s);
    add_tasks(s, o->task);
    add_models(s, o);
    if (s->rows[s->count - 1].kind == TUI_START_HEADING)
        tui_start_add(s, TUI_START_MODEL, "none yet", "`make model` gets a small one, 98 MB; or -m FILE.gguf", "", NULL);
}
