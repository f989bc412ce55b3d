#define _GNU_SOURCE
#include "search/search.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where data files are looked for, in this order: the user's own, those beside the binary, those installed with it.
 * A binary in a build folder has the source tree's, which is told by a header only that tree has. */
enum { PLACES = 6 };

static char *binary_folder(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    return xstrndup(path, slash && slash > path ? (size_t)(slash - path) : 1);
}

static int places(char *out[PLACES])
{
    int n = 0;
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && *config == '/')
        out[n++] = xasprintf("%s/espalier", config);
    else if (home && *home)
        out[n++] = xasprintf("%s/.config/espalier", home);
    char *binary = binary_folder();
    if (!binary)
        return n;
    out[n++] = xstrdup(binary);
    static const char *const up[] = {"..", "../.."};
    for (int i = 0; i < 2; i++) {
        char *mark = xasprintf("%s/%s/search/search.h", binary, up[i]);
        if (!access(mark, R_OK))
            out[n++] = xasprintf("%s/%s", binary, up[i]);
        free(mark);
    }
    out[n++] = xasprintf("%s/../share/espalier", binary);
    free(binary);
#ifdef ESPALIER_SHARE
    out[n++] = xstrdup(ESPALIER_SHARE); /* where it was meant to be installed, should the binary have been moved */
#endif
    return n;
}

char *search_data_path(const char *folder, const char *name)
{
    char *place[PLACES], *found = NULL;
    int n = places(place);
    for (int i = 0; i < n; i++) {
        char *path = found ? NULL : xasprintf("%s/%s/%s", place[i], folder, name);
        if (path && !access(path, R_OK))
            found = path;
        else
            free(path);
        free(place[i]);
    }
    return found;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **search_data_names(const char *folder)
{
    char *place[PLACES], **names = NULL;
    int n = places(place), count = 0, capacity = 0;
    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s", place[i], folder);
        DIR *directory = opendir(path);
        free(path);
        free(place[i]);
        for (struct dirent *entry; directory && (entry = readdir(directory));) {
            size_t length = strlen(entry->d_name);
            if (length <= 5 || strcmp(entry->d_name + length - 5, ".yaml") || entry->d_name[0] == '.')
                continue;
            ARRAY_RESERVE(names, count, capacity);
            names[count++] = xstrndup(entry->d_name, length - 5);
        }
        if (directory)
            closedir(directory);
    }
    if (count)
        qsort(names, (size_t)count, sizeof *names, by_name);
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (kept && !strcmp(names[kept - 1], names[i]))
            free(names[i]);
        else
            names[kept++] = names[i];
    }
    names = xrealloc(names, (size_t)(kept + 1) * sizeof *names);
    names[kept] = NULL;
    return names;
}
