#include "tui/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- where it is kept -------------------------------------------------------------------------------------------- */

static int make_folders(char *path)
{
    for (char *p = path + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        const int code = mkdir(path, 0700);
        *p = '/';
        if (code && errno != EEXIST)
            return 0;
    }
    return 1;
}

static char *find_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state == '/')
        return xasprintf("%s/espalier/history", state);
    return home && *home == '/' ? xasprintf("%s/.local/state/espalier/history", home) : NULL;
}

/* One write for a line: two explorers at once do not mix theirs. */
static void append(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    char *line = xasprintf("%s\n", text);
    const ssize_t done = write(fd, line, strlen(line));
    (void)done; /* without it the command is remembered as long as the explorer lives */
    free(line);
    close(fd);
}

/* --- what is remembered ------------------------------------------------------------------------------------------ */

static void forget_first(struct tui_history *h)
{
    free(h->lines[0]);
    memmove(h->lines, h->lines + 1, (size_t)(h->count - 1) * sizeof *h->lines);
    h->count--;
}

static int remember(struct tui_history *h, const char *text)
{
    if (!*text || (h->count && !strcmp(h->lines[h->count - 1], text)))
        return 0;
    if (h->count == TUI_HISTORY)
        forget_first(h);
    h->lines[h->count++] = xstrdup(text);
    return 1;
}

void tui_history_add(struct tui_history *h, const char *text)
{
    if (remember(h, text) && h->path)
        append(h->path, text);
}

/* Only as many as are shown are kept: the file does not grow for ever. */
static void shorten(const struct tui_history *h)
{
    char *fresh = xasprintf("%s.new", h->path);
    FILE *f = fopen(fresh, "w");
    int good = f != NULL;
    for (int i = 0; i < h->count && good; i++)
        good = fprintf(f, "%s\n", h->lines[i]) > 0;
    if (f && fclose(f))
        good = 0;
    if (!good || chmod(fresh, 0600) || rename(fresh, h->path))
        unlink(fresh);
    free(fresh);
}

void tui_history_open(struct tui_history *h)
{
    char *line = NULL;
    size_t room = 0;
    int read = 0;
    *h = (struct tui_history){.path = find_path()};
    if (!h->path || !make_folders(h->path))
        return;
    FILE *f = fopen(h->path, "r");
    for (ssize_t n; f && (n = getline(&line, &room, f)) > 0; read++) {
        line[strcspn(line, "\n")] = '\0';
        remember(h, line);
    }
    free(line);
    if (f)
        fclose(f);
    if (read > 10 * TUI_HISTORY)
        shorten(h);
}

void tui_history_free(struct tui_history *h)
{
    while (h->count)
        forget_first(h);
    free(h->path);
    *h = (struct tui_history){0};
}
