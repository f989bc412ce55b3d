#include "tui/editor.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST_WORDS = 32, MOST_BYTES = 1 << 20 };

static char *editor_words(void)
{
    const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
    return xstrdup(visual && visual[strspn(visual, " ")] ? visual : editor && editor[strspn(editor, " ")] ? editor : "vi");
}

/* When the editor is stopped so are we; the shell then has the terminal, and lets both go on. */
static int wait_for(pid_t child, int *status)
{
    int again;
    for (;;) {
        pid_t got = waitpid(child, status, WUNTRACED);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || !WIFSTOPPED(*status))
            return got < 0 ? errno : 0;
        if (waitpid(child, &again, WCONTINUED | WNOHANG) != child) {
            raise(SIGTSTP);
            kill(child, SIGCONT);
        }
    }
}

/* No shell: the words are split at blanks, the file is the last one. */
static int run(char *words, const char *path, int *status)
{
    char *argv[MOST_WORDS + 2], *rest = NULL;
    int count = 0;
    for (char *w = strtok_r(words, " \t", &rest); w && count < MOST_WORDS; w = strtok_r(NULL, " \t", &rest))
        argv[count++] = w;
    argv[count++] = (char *)path;
    argv[count] = NULL;

    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t usual, none;
    sigemptyset(&none);
    sigemptyset(&usual);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGQUIT);
    sigaddset(&usual, SIGTSTP);
    sigaddset(&usual, SIGXFSZ);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO); /* ours goes to a file meanwhile */
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

    struct sigaction ignore = {.sa_handler = SIG_IGN}, stop = {.sa_handler = SIG_DFL}, interrupt, quit, suspend;
    sigaction(SIGINT, &ignore, &interrupt); /* what is typed there is the editor's */
    sigaction(SIGQUIT, &ignore, &quit);
    sigaction(SIGTSTP, &stop, &suspend);
    pid_t child;
    int code = posix_spawnp(&child, argv[0], &files, &attributes, argv, environ);
    if (!code)
        code = wait_for(child, status);
    sigaction(SIGINT, &interrupt, NULL);
    sigaction(SIGQUIT, &quit, NULL);
    sigaction(SIGTSTP, &suspend, NULL);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

static int read_back(const char *path, struct string *out, struct error *e)
{
    FILE *f = fopen(path, "r"); /* by name: editors put a new file in the place of the old one */
    char buffer[4096];
    if (!f)
        return error_set(e, ERROR_INPUT, "what the editor wrote could not be read: %s", strerror(errno));
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, f)) > 0 && out->length <= MOST_BYTES;)
        string_append(out, buffer, n);
    fclose(f);
    if (out->length > MOST_BYTES || memchr(string_text(out), 0, out->length))
        return error_set(e, ERROR_INPUT, "what the editor wrote is no thought: more than 1 MiB, or not text; nothing is changed");
    while (out->length && strchr("\r\n", out->text[out->length - 1]))
        out->text[--out->length] = '\0';
    return OK;
}

int tui_editor_run(const char *text, struct string *out, struct error *e)
{
    const char *folder = getenv("TMPDIR");
    char *path = xasprintf("%s/espalier-XXXXXX.txt", folder && *folder ? folder : "/tmp"), *words = editor_words(), *name = xstrdup(words);
    int fd = mkstemps(path, 4), status = 0, code = OK; /* mode 0600 */
    size_t n = strlen(text);
    if (fd < 0) {
        code = error_set(e, ERROR_INPUT, "no file for the editor at %s: %s", path, strerror(errno));
    } else {
        if (write(fd, text, n) != (ssize_t)n || write(fd, "\n", 1) != 1)
            code = error_set(e, ERROR_INPUT, "no room for the editor's file %s", path);
        close(fd);
        int failed = code ? 0 : run(words, path, &status);
        if (failed)
            code = error_set(e, ERROR_INPUT, "the editor '%.60s' could not be run: %s; set EDITOR", name, strerror(failed));
        else if (!code && status)
            code = error_set(e, ERROR_INPUT, "the editor '%.60s' ended with an error; nothing is changed", name);
        if (!code)
            code = read_back(path, out, e);
        unlink(path);
    }
    free(path);
    free(words);
    free(name);
    return code;
}
