#include "tui/trainer.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST_WORDS = 64, MOST_LINE = 1 << 16 };

void tui_trainer_open(struct tui_trainer *t)
{
    *t = (struct tui_trainer){.fd = -1, .first = NAN, .loss = NAN};
}

/* --- beginning --------------------------------------------------------------------------------------------------- */

/* A folder that is not there yet, beside the session. */
static char *folder_beside(const char *session)
{
    const char *dot = strrchr(session, '.');
    const int n = dot && !strcmp(dot, ".session") ? (int)(dot - session) : (int)strlen(session);
    for (int i = 1;; i++) {
        char *path = i == 1 ? xasprintf("%.*s.adapter", n, session) : xasprintf("%.*s.adapter-%d", n, session, i);
        if (access(path, F_OK))
            return path;
        free(path);
    }
}

/* Keys are the terminal's: the process is a group of its own, which ^C does not reach. What it says goes to one pipe. */
static int spawn(struct tui_trainer *t, char *const argv[], struct error *e)
{
    int ends[2];
    if (pipe(ends))
        return error_set(e, ERROR_ENGINE, "training could not be begun: %s", strerror(errno));
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, usual;
    sigemptyset(&none);
    sigfillset(&usual);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&files, ends[0]);
    posix_spawn_file_actions_addclose(&files, ends[1]);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    const int failed = posix_spawn(&t->pid, "/proc/self/exe", &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        return error_set(e, ERROR_ENGINE, "training could not be begun: %s", strerror(failed));
    }
    t->fd = ends[0];
    fcntl(t->fd, F_SETFL, O_NONBLOCK);
    fcntl(t->fd, F_SETFD, FD_CLOEXEC);
    return OK;
}

/* A word that a shell takes as it is. */
static void add_word(struct string *out, const char *word)
{
    const int plain = *word && !word[strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.,:/+@")];
    string_add(out, plain ? "" : "'");
    for (const char *p = word; *p; p++)
        string_append(out, *p == '\'' ? "'\\''" : p, *p == '\'' ? 4 : 1);
    string_add(out, plain ? " " : "' ");
}

/* What a person types for the same, to go on. */
static char *as_command(char *const argv[])
{
    struct string out = {0};
    for (int i = 0; argv[i]; i++)
        if (strcmp(argv[i], "--json"))
            add_word(&out, argv[i]);
    string_add(&out, "--resume");
    return out.text;
}

int tui_trainer_start(struct tui_trainer *t, const struct tui_options *o, const char *model, const char *session, const char *words, struct error *e)
{
    if (t->fd >= 0)
        return error_set(e, ERROR_USAGE, "it learns already; :train stop ends that");
    tui_trainer_close(t);
    t->out = folder_beside(session);
    char *argv[MOST_WORDS + 16] = {"espalier", "train", "-m", (char *)model, "--from-sessions", (char *)session, "--out", t->out, "--json"};
    int count = 9;
    if (o->quant)
        argv[count++] = "--quant", argv[count++] = (char *)o->quant;
    if (o->kernels)
        argv[count++] = "--kernels", argv[count++] = (char *)o->kernels;
    char *own = xstrdup(words), *rest = NULL;
    for (char *w = strtok_r(own, " ", &rest); w && count < MOST_WORDS; w = strtok_r(NULL, " ", &rest))
        argv[count++] = w;
    const int code = spawn(t, argv, e);
    t->command = as_command(argv);
    free(own);
    return code;
}

/* --- what it says ------------------------------------------------------------------------------------------------ */

static void take_figures(struct tui_trainer *t, json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    if (!event || strcmp(event, "step"))
        return;
    t->step = (int)json_integer_value(json_object_get(line, "step"));
    t->steps = (int)json_integer_value(json_object_get(line, "steps")); /* null: 0 */
    t->loss = json_number_value(json_object_get(line, "loss"));
    if (isnan(t->first))
        t->first = t->loss;
}

/* Of what is told as an error the part that is not known where it is read: not who tells it, nor of which session. */
static void take_line(struct tui_trainer *t, const char *text, size_t n)
{
    json_t *line = n && *text == '{' ? json_loadb(text, n, 0, NULL) : NULL;
    if (line) {
        take_figures(t, line);
    } else if (n) {
        const char *said = strstr(text, ".session: ");
        said = said ? said + strlen(".session: ") : !strncmp(text, "espalier: ", 10) ? text + 10 : text;
        snprintf(t->said, sizeof t->said, "%.199s", said);
    }
    json_decref(line);
}

int tui_trainer_read(struct tui_trainer *t, int *code)
{
    char buffer[4096];
    ssize_t n = -1;
    while (t->fd >= 0 && (n = read(t->fd, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < n; i++)
            if (buffer[i] == '\n') {
                take_line(t, string_text(&t->line), t->line.length);
                string_free(&t->line);
            } else if (t->line.length < MOST_LINE) {
                string_append(&t->line, buffer + i, 1);
            }
    if (t->fd < 0 || n || !t->pid)
        return 0;
    int status = 0;
    while (waitpid(t->pid, &status, 0) < 0 && errno == EINTR)
        ;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    close(t->fd);
    t->fd = -1;
    t->pid = 0;
    string_free(&t->line);
    return 1;
}

void tui_trainer_text(const struct tui_trainer *t, char *out, size_t n)
{
    *out = '\0';
    if (t->fd >= 0 && !t->step)
        snprintf(out, n, "train begins");
    else if (t->fd >= 0)
        snprintf(out, n, t->steps ? "train %d/%d loss %.3f" : "train %d%.0d loss %.3f", t->step, t->steps, t->loss);
}

void tui_trainer_stop(struct tui_trainer *t)
{
    if (t->fd >= 0)
        kill(t->pid, SIGTERM);
}

void tui_trainer_close(struct tui_trainer *t)
{
    tui_trainer_stop(t);
    if (t->fd >= 0)
        close(t->fd);
    string_free(&t->line);
    free(t->out);
    free(t->command);
    tui_trainer_open(t);
}
