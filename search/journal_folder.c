/* Where sessions are kept, what a new one is called, and which there are. */
#include "search/journal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char ending[] = ".session";

/* path and the folders above it. 0, or errno. */
static int make_folders(const char *path)
{
    char *part = xstrdup(path);
    int wrong = 0;
    for (char *p = part + 1; !wrong; p++) {
        char was = *p;
        if (was && was != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0700) && errno != EEXIST)
            wrong = errno;
        *p = was;
        if (!was)
            break;
    }
    struct stat info;
    if (!wrong)
        wrong = stat(path, &info) ? errno : S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
    free(part);
    return wrong;
}

char *search_journal_folder(struct error *e)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (data && *data == '/')
        path = xasprintf("%s/espalier/sessions", data);
    else if (home && *home == '/')
        path = xasprintf("%s/.local/share/espalier/sessions", home);
    if (!path) {
        error_set(e, ERROR_INPUT, "no folder for sessions: neither XDG_DATA_HOME nor HOME is a whole path; set one of them");
        return NULL;
    }
    int wrong = make_folders(path);
    if (wrong) {
        error_set(e, ERROR_INPUT, "%s: %s; expected a folder for sessions, or to make it; set XDG_DATA_HOME to a folder that can be written to", path,
                  strerror(wrong));
        free(path);
        return NULL;
    }
    return path;
}

/* A task's name as part of a file's; a task may have been called by anything. */
static char *plain_name(const char *task)
{
    char *name = xasprintf("%.80s", *task ? task : "session");
    for (char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_-", *p))
            *p = '-';
    return name;
}

int search_journal_begin(struct search_journal **out, const char *folder, const char *task, time_t when, struct error *e)
{
    struct tm local;
    char stamp[32] = "";
    char *name = plain_name(task);
    int taken, code;
    if (localtime_r(&when, &local))
        strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local);
    for (int n = 1;; n++) {
        char *path = n == 1 ? xasprintf("%s/%s-%s%s", folder, name, stamp, ending) : xasprintf("%s/%s-%s-%d%s", folder, name, stamp, n, ending);
        code = search_journal_create_untaken(out, path, &taken, e);
        free(path);
        if (!taken)
            break;
    }
    free(name);
    return code;
}

static int64_t modified(const char *path)
{
    struct stat info;
    return stat(path, &info) || !S_ISREG(info.st_mode) ? -1 : (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
}

static int by_time(const void *a, const void *b)
{
    const struct search_journal_entry *x = a, *y = b;
    return x->modified != y->modified ? (x->modified < y->modified) - (x->modified > y->modified) : strcmp(x->path, y->path);
}

int search_journal_list(struct search_journal_entry **out, int *count, const char *folder, struct error *e)
{
    int capacity = 0;
    *out = NULL;
    *count = 0;
    DIR *directory = opendir(folder);
    if (!directory)
        return error_set(e, ERROR_INPUT, "%s: %s; expected a folder of sessions; check it", folder, strerror(errno));
    for (struct dirent *file; (file = readdir(directory));) {
        size_t length = strlen(file->d_name);
        if (length < sizeof ending || strcmp(file->d_name + length - (sizeof ending - 1), ending))
            continue;
        struct search_journal_entry entry = {.path = xasprintf("%s/%s", folder, file->d_name)};
        char *log = xasprintf("%s-wal", entry.path); /* of one that is open, the latest commits are there */
        int64_t latest = modified(log);
        free(log);
        entry.modified = modified(entry.path);
        if (entry.modified < 0) {
            free(entry.path);
            continue;
        }
        entry.modified = latest > entry.modified ? latest : entry.modified;
        ARRAY_RESERVE(*out, *count, capacity);
        (*out)[(*count)++] = entry;
    }
    closedir(directory);
    if (*count)
        qsort(*out, (size_t)*count, sizeof **out, by_time);
    return OK;
}

void search_journal_list_free(struct search_journal_entry *list, int count)
{
    for (int i = 0; i < count; i++)
        free(list[i].path);
    free(list);
}
