/* Running a user's program beside a search that must not wait for it. outside.h says what the program may do.
 *
 * The program is made by vfork: fork would copy the page tables of a whole model, and stop every thread that writes meanwhile.
 * So the child borrows our memory until it executes: it makes system calls on what was prepared before, and nothing else. Its
 * input is a file in memory rather than a pipe: nobody has to feed it, and one that does not read harms nobody.
 */
#define _GNU_SOURCE
#include "search/outside.h"
#include "search/event.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

enum { MOST_OUTPUT = 4096, MOST_FILES = 64 };

/* Invariant: pid is a child of ours that is not reaped, or 0; then the descriptors are closed. */
struct search_outside {
    pid_t pid;                  /* also of its group */
    int output, watch;          /* what it writes, -1 once that is read; readable when it has ended, -1 on kernels before 5.3 */
    double seconds, deadline;
    int killed, late, too_much; /* too_much: it wrote more than MOST_OUTPUT */
    int lost;                   /* somebody else reaped it, or the program that started us told the kernel to */
    int status;                 /* as of waitpid, once pid is 0 */
    char *unstarted;            /* why it never ran, or NULL */
    size_t used;
    char said[MOST_OUTPUT + 1];
};

/* --- the child --------------------------------------------------------------------------------------------------- */

/* All the child needs, made before it is. */
struct start {
    const char *program, *folder;
    char *const *argv, *const *environment;
    int input, output, nothing, report; /* all above 2, all closed by exec */
    rlim_t memory, processor;           /* bytes; seconds */
};

enum stage { STAGE_LIMITS, STAGE_FOLDER, STAGE_PROGRAM };
struct failure {
    int stage, number; /* errno */
};

static int limit(int resource, rlim_t soft, rlim_t hard)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now))
        return -1;
    if (now.rlim_max < hard) /* RLIM_INFINITY is the greatest */
        hard = now.rlim_max;
    struct rlimit set = {soft < hard ? soft : hard, hard};
    return setrlimit((__rlimit_resource_t)resource, &set);
}

/* Memory comes last: by it this process, which has all of ours as long as it borrows it, is beyond its limit already. */
static int set_limits(const struct start *s)
{
    return limit(RLIMIT_CORE, 0, 0) || limit(RLIMIT_FSIZE, 0, 0) || limit(RLIMIT_CPU, s->processor, s->processor + 1) ||
           limit(RLIMIT_NOFILE, MOST_FILES, MOST_FILES) || limit(RLIMIT_AS, s->memory, s->memory);
}

/* What other threads opened meanwhile, or libraries without a word, is closed by exec too. */
static void keep_three_files(void)
{
    struct rlimit files;
    if (!close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) || getrlimit(RLIMIT_NOFILE, &files))
        return;
    for (int i = 3; (rlim_t)i < files.rlim_cur && i < 1 << 20; i++) /* kernels before 5.11 */
        fcntl(i, F_SETFD, FD_CLOEXEC);
}

/* Called between vfork and exec: system calls alone, nothing of ours is changed. All signals are blocked when it begins. */
__attribute__((noreturn)) static void become(const struct start *s)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    setsid(); /* a group of its own, and no terminal to write to behind our screen */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* should we be killed, it must not go on alone */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &usual, NULL);
    /* 32 and 33 are the C library's own, which it leaves as whoever started us did. */
    static const unsigned long standard[8];
    for (int i = 32; i < 34; i++)
        syscall(SYS_rt_sigaction, i, standard, NULL, 8);
    dup2(s->input, 0);
    dup2(s->output, 1);
    dup2(s->nothing, 2);
    keep_three_files();
    struct failure failure = {STAGE_FOLDER, 0};
    if (!chdir(s->folder)) {
        failure.stage = STAGE_LIMITS;
        if (!set_limits(s)) {
            failure.stage = STAGE_PROGRAM;
            sigprocmask(SIG_SETMASK, &none, NULL);
            execve(s->program, s->argv, s->environment);
        }
    }
    failure.number = errno;
    while (write(s->report, &failure, sizeof failure) < 0 && errno == EINTR)
        ;
    _exit(127); /* the child, never the program */
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

/* Descriptors that are to become 0, 1 and 2 must not be among these, which happens where we were started without them. */
static int above_two(int file)
{
    if (file < 0 || file > 2)
        return file;
    int moved = fcntl(file, F_DUPFD_CLOEXEC, 3);
    close(file);
    return moved;
}

static void close_file(int *file)
{
    if (*file >= 0)
        close(*file);
    *file = -1;
}

static int open_pipe(int *from, int *to)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    *from = above_two(ends[0]);
    *to = above_two(ends[1]);
    return *from < 0 || *to < 0 ? -1 : 0;
}

/* A file in memory that holds the input, of which the child alone keeps a descriptor. */
static int open_input(const char *bytes, size_t n)
{
    int file = memfd_create("thought", MFD_CLOEXEC | MFD_NOEXEC_SEAL); /* machines may refuse any other */
    if (file < 0 && errno == EINVAL)
        file = memfd_create("thought", MFD_CLOEXEC); /* kernels before 6.3 */
    file = above_two(file);
    while (file >= 0 && n) {
        ssize_t done = write(file, bytes, n);
        if (done < 0 && errno != EINTR)
            close_file(&file);
        if (done > 0)
            bytes += done, n -= (size_t)done;
    }
    if (file >= 0 && lseek(file, 0, SEEK_SET))
        close_file(&file);
    return file;
}

static const char *path_of_programs(void)
{
    const char *path = getenv("PATH");
    return path && *path ? path : "/usr/local/bin:/usr/bin:/bin";
}

/* Where a program is. Places on PATH that are relative are passed by: they would be meant from our folder, not from the task's. */
static char *find_program(const char *name)
{
    if (strchr(name, '/'))
        return xstrdup(name);
    for (const char *place = path_of_programs(); *place;) {
        size_t n = strcspn(place, ":");
        char *path = xasprintf("%.*s/%s", (int)n, place, name);
        struct stat about;
        if (*place == '/' && !stat(path, &about) && S_ISREG(about.st_mode) && !access(path, X_OK))
            return path;
        free(path);
        place += n + (place[n] == ':');
    }
    return NULL;
}

enum { VARIABLES = 4 };
static void make_environment(char *out[VARIABLES + 1])
{
    const char *home = getenv("HOME");
    int n = 0;
    out[n++] = xasprintf("PATH=%s", path_of_programs());
    out[n++] = xstrdup("LANG=C.UTF-8");
    out[n++] = xstrdup("LC_ALL=C.UTF-8");
    if (home && *home)
        out[n++] = xasprintf("HOME=%s", home);
    out[n] = NULL;
}

/* The child's id, or -1. No signal is handled in the child, where a handler of ours would run on our memory. */
static pid_t make_child(const struct start *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = vfork();
    if (!pid)
        become(s);
    int number = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = number;
    return pid;
}

static void reap(struct search_outside *o)
{
    while (waitpid(o->pid, &o->status, 0) < 0)
        if (errno != EINTR) {
            o->lost = 1;
            break;
        }
    o->pid = 0;
    close_file(&o->output);
    close_file(&o->watch);
}

__attribute__((format(printf, 2, 3))) static void not_started(struct search_outside *o, const char *format, ...)
{
    char why[512];
    struct string safe = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    string_add(&safe, "could not be started: ");
    utf8_sanitize(&safe, why, strlen(why), 0);
    o->unstarted = safe.text;
}

static void explain(struct search_outside *o, const struct start *s, const struct failure *f)
{
    const char *text = strerrordesc_np(f->number), *hint = "";
    if (f->number == ENOEXEC)
        hint = "; a script begins with a line such as #!/bin/sh";
    else if (f->number == ENOENT && strchr(s->argv[0], '/'))
        hint = " (it, or what the first line of a script names)";
    else if (f->number == EACCES)
        hint = "; make it executable: chmod +x";
    if (f->stage == STAGE_LIMITS)
        not_started(o, "its limits could not be set: %s", text);
    else if (f->stage == STAGE_FOLDER)
        not_started(o, "its folder %.200s: %s", s->folder, text);
    else
        not_started(o, "%.200s: %s%s", s->argv[0], text, hint);
}

/* The descriptors of *s are there. OK also when the program could not be executed. */
static int start_child(struct search_outside *o, const struct start *s, int report, struct error *e)
{
    o->pid = make_child(s);
    if (o->pid < 0) {
        o->pid = 0;
        return error_set(e, ERROR_ENGINE, "no process for %s: %s", s->argv[0], strerrordesc_np(errno));
    }
    o->deadline = clock_seconds() + o->seconds;
    close(s->report); /* exec closed the other one, so that there is nothing to read */
    struct failure failure;
    ssize_t n;
    while ((n = read(report, &failure, sizeof failure)) < 0 && errno == EINTR)
        ;
    if (n == (ssize_t)sizeof failure) {
        explain(o, s, &failure);
        reap(o);
        return OK;
    }
    o->watch = pidfd_open(o->pid, 0);
    return OK;
}

static int open_files(struct search_outside *o, struct start *s, int *report, const char *input, size_t n)
{
    s->input = open_input(input, n);
    s->nothing = above_two(open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (s->input < 0 || s->nothing < 0 || open_pipe(&o->output, &s->output) || open_pipe(report, &s->report))
        return -1;
    return fcntl(o->output, F_SETFL, O_NONBLOCK);
}

int search_outside_start(struct search_outside **out, const struct search_command *command, const char *input, size_t n, struct error *e)
{
    struct search_outside *o = xcalloc(1, sizeof *o);
    char *environment[VARIABLES + 1], *program = find_program(command->argv[0]);
    o->output = o->watch = -1;
    o->seconds = command->seconds;
    if (!program) {
        not_started(o, "no program %.200s on PATH", command->argv[0]);
        *out = o;
        return OK;
    }
    make_environment(environment);
    struct start s = {.program = program, .folder = command->folder, .argv = command->argv, .environment = environment, .input = -1,
                      .output = -1, .nothing = -1, .report = -1, .memory = command->memory,
                      .processor = (rlim_t)ceil(command->seconds) + 1};
    int report = -1, status;
    if (open_files(o, &s, &report, input, n)) {
        status = error_set(e, ERROR_ENGINE, "no descriptors or memory to run %s: %s", s.argv[0], strerrordesc_np(errno));
    } else {
        status = start_child(o, &s, report, e);
        s.report = -1;
    }
    int *mine[] = {&s.input, &s.output, &s.nothing, &s.report, &report};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        close_file(mine[i]);
    for (int i = 0; environment[i]; i++)
        free(environment[i]);
    free(program);
    if (status) {
        search_outside_stop(o);
        return status;
    }
    *out = o;
    return OK;
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

/* Takes what there is; at the end, or when it is too much, closes. */
static void read_output(struct search_outside *o)
{
    while (o->output >= 0) {
        ssize_t n = read(o->output, o->said + o->used, sizeof o->said - o->used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n > 0)
            o->used += (size_t)n;
        o->too_much = o->used > MOST_OUTPUT;
        if (n <= 0 || o->too_much)
            close_file(&o->output);
    }
}

/* It is left unreaped, so that its number stays its group's. */
static int has_ended(struct search_outside *o)
{
    siginfo_t about = {.si_pid = 0};
    if (waitid(P_PID, (id_t)o->pid, &about, WEXITED | WNOHANG | WNOWAIT))
        return errno != EINTR;
    return about.si_pid == o->pid;
}

static void kill_group(struct search_outside *o)
{
    kill(-o->pid, SIGKILL);
    o->killed = 1;
}

static void end(struct search_outside *o)
{
    kill_group(o); /* what it left behind */
    read_output(o);
    reap(o);
}

/* Until something may have changed, or `seconds` have passed. */
static void wait_for(const struct search_outside *o, double seconds)
{
    struct pollfd files[] = {{.fd = o->output, .events = POLLIN}, {.fd = o->watch, .events = POLLIN}};
    double most = o->watch < 0 ? 0.005 : 1;
    if (!(seconds < most))
        seconds = most;
    struct timespec time = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    ppoll(files, 2, &time, NULL);
}

/* --- the verdict ------------------------------------------------------------------------------------------------- */

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* 1, 0.5, .5, 5e-1: a decimal number and nothing more. */
static int read_score(const char *word, double *out)
{
    if (!strcmp(word, "right") || !strcmp(word, "wrong")) {
        *out = *word == 'r';
        return 1;
    }
    const char *p = word;
    size_t whole = digits(p), part = 0;
    p += whole;
    if (*p == '.') {
        part = digits(++p);
        p += part;
    }
    if (whole + part && (*p == 'e' || *p == 'E')) {
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        if (!digits(p))
            return 0;
        p += digits(p);
    }
    if (*p || !(whole + part))
        return 0;
    *out = strtod(word, NULL);
    return *out >= 0 && *out <= 1;
}

int search_outside_score(const char *text, double *score)
{
    char *word = xstrndup(text, strcspn(text, " \t\r\n\v\f"));
    int found = read_score(word, score);
    free(word);
    return found;
}

/* The first line that is not blank, trimmed: n bytes at *line. */
static size_t first_line(const struct search_outside *o, const char **line)
{
    static const char blanks[] = {' ', '\t', '\r', '\n', '\v', '\f'};
    const char *p = o->said, *end = o->said + o->used;
    while (p < end && memchr(blanks, *p, sizeof blanks))
        p++;
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    if (stop)
        end = stop;
    while (end > p && memchr(blanks, end[-1], sizeof blanks))
        end--;
    *line = p;
    return (size_t)(end - p);
}

/* said "..." instead of what it should. A word is cut where it is long, between characters. */
static char *said_wrong(const char *line, size_t n)
{
    const char *wanted = "instead of a number from 0 to 1, right or wrong", *p = line;
    if (!n)
        return xasprintf("said nothing %s", wanted);
    struct string quote = {0}, why = {0};
    while (p < line + n && p - line < 60)
        utf8_next(&p, line + n);
    utf8_sanitize(&quote, line, (size_t)(p - line), 0);
    string_addf(&why, "said \"%s%s\" %s", string_text(&quote), p < line + n ? "..." : "", wanted);
    string_free(&quote);
    return why.text;
}

static void read_verdict(const struct search_outside *o, struct search_outside_verdict *out)
{
    const char *line;
    size_t n = first_line(o, &line), word = 0;
    while (word < n && line[word] != ' ' && line[word] != '\t')
        word++;
    char *copy = xstrndup(line, word);
    double score = 0;
    out->ok = word && strlen(copy) == word && read_score(copy, &score); /* a NUL is part of a word, not its end */
    free(copy);
    if (!out->ok) {
        out->why = said_wrong(line, n);
        return;
    }
    out->score = score;
    out->text = search_text(line, n, NULL, 0);
}

static void tell(const struct search_outside *o, struct search_outside_verdict *out)
{
    *out = (struct search_outside_verdict){0};
    if (o->unstarted)
        out->why = xstrdup(o->unstarted);
    else if (o->late)
        out->why = xasprintf("timed out after %g s", o->seconds);
    else if (o->too_much)
        out->why = xasprintf("wrote more than %d bytes", MOST_OUTPUT);
    else if (o->lost)
        out->why = xstrdup("ended, but its exit status is lost: SIGCHLD is ignored here");
    else if (WIFSIGNALED(o->status))
        out->why = xasprintf("killed by signal %d (%s)", WTERMSIG(o->status),
                             sigdescr_np(WTERMSIG(o->status)) ? sigdescr_np(WTERMSIG(o->status)) : "of no name");
    else if (WEXITSTATUS(o->status))
        out->why = xasprintf("exit status %d", WEXITSTATUS(o->status));
    else
        read_verdict(o, out);
}

int search_outside_poll(struct search_outside *outside, double wait_seconds, struct search_outside_verdict *out)
{
    double until = clock_seconds() + wait_seconds;
    while (outside->pid) {
        read_output(outside);
        if (has_ended(outside)) {
            end(outside);
            break;
        }
        double now = clock_seconds(), next = until;
        if (!outside->killed && (outside->too_much || now >= outside->deadline)) {
            outside->late = !outside->too_much;
            kill_group(outside);
        }
        if (now >= until)
            return 0;
        if (!outside->killed && outside->deadline < next)
            next = outside->deadline;
        wait_for(outside, next - now);
    }
    tell(outside, out);
    return 1;
}

void search_outside_stop(struct search_outside *outside)
{
    if (!outside)
        return;
    if (outside->pid)
        end(outside);
    close_file(&outside->output);
    free(outside->unstarted);
    free(outside);
}

void search_outside_verdict_free(struct search_outside_verdict *v)
{
    free(v->text);
    free(v->why);
    *v = (struct search_outside_verdict){0};
}

/* --- the question ------------------------------------------------------------------------------------------------ */

static json_t *text_or_null(const char *s)
{
    if (!s)
        return json_null();
    json_t *value = json_string(s);
    if (value)
        return value;
    char *clean = search_text(s, strlen(s), NULL, 0); /* a problem need not be UTF-8 */
    value = json_string(clean);
    free(clean);
    return value;
}

static int append(const char *bytes, size_t n, void *out)
{
    string_append(out, bytes, n);
    return 0;
}

void search_outside_input(const struct search_task *task, const struct search_path *path, const char *thought, const char *state,
                          const char *answer, struct string *out)
{
    json_t *o = json_object(), *thoughts = json_array();
    for (int i = 0; i < path->count; i++)
        json_array_append_new(thoughts, text_or_null(path->thoughts[i]));
    json_object_set_new(o, "task", text_or_null(search_task_name(task)));
    json_object_set_new(o, "problem", text_or_null(path->problem->text));
    json_object_set_new(o, "target", text_or_null(path->problem->target));
    json_object_set_new(o, "thoughts", thoughts);
    json_object_set_new(o, "thought", text_or_null(thought));
    json_object_set_new(o, "state", text_or_null(state));
    json_object_set_new(o, "answer", text_or_null(answer));
    json_dump_callback(o, append, out, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
    string_add(out, "\n");
    json_decref(o);
}
