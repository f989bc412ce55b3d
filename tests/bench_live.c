/* What the explorer costs while it lives: on a terminal that this program holds the other end of and reads at once. From the root of the repository:
 *   make espalier build/tests/bench_live
 *   build/tests/bench_live keys [ESPALIER ARGUMENTS]        from a key to the end of the frame that shows its effect, the search running: a
 *                                                           thousand of them at least, so that a p99 is one, in as many searches as that takes
 *   build/tests/bench_live bytes [ARGUMENTS]                bytes of a frame, frames and bytes a second, the search running
 *   build/tests/bench_live idle [ARGUMENTS]                 wake-ups and processor time in five seconds, the search done
 *   build/tests/bench_live slowdown [PAIRS [ARGUMENTS]]     the same search by `espalier run` and in the explorer, at the same time by turns
 * Arguments are a search that lasts; without them a Game of 24 by a wide tot, a thousand thoughts a second: as much as there ever is to draw.
 */
#define _GNU_SOURCE
#include "kernels/kernels.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char frame_ends[] = "\033[?2026l", done[] = "\xe2\x96\xa0 done";
static char *standard[] = {"-t", "game24", "--temperature", "1.2", "-s", "tot,b=60,generate=sample,n_generate_sample=100,evaluate=self-evaluation", "4 5 6 10", NULL};
static char **search = standard;

struct explorer {
    int master;
    pid_t child;
    struct string got; /* since the latest forget() */
    int64_t bytes, frames; /* frames: whose end was read in one piece */
    int gone;
};

/* `espalier [WORD] SEARCH...`, on a terminal of 200x50 or with its output thrown away. */
static void begin(struct explorer *x, const char *word)
{
    struct winsize size = {.ws_row = 50, .ws_col = 200};
    static int runs;
    char session[32], *argv[64] = {"./espalier", (char *)word, "--session", session};
    int n = word ? 4 : 1; /* the explorer keeps what it does, so the other does as well */
    snprintf(session, sizeof session, "run-%d", ++runs);
    for (char **a = search; *a && n < 63; a++)
        argv[n++] = *a;
    argv[n] = NULL;
    *x = (struct explorer){.master = -1};
    x->child = word ? fork() : forkpty(&x->master, NULL, NULL, &size);
    if (x->child)
        return;
    /* As a user's program is scheduled, whatever we were given: threads of a real-time policy do not make room for each other. */
    sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0});
    setpriority(PRIO_PROCESS, 0, -10); /* where one may */
    if (word) {
        const int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
    }
    execv(argv[0], argv);
    _exit(127);
}

static void forget(struct explorer *x)
{
    string_clear(&x->got);
}

/* Read until that was shown; 0: it took longer than `seconds`, or the explorer is gone. What was looked through is not again: what the
 * reader takes of the processor, the search has not. */
static int reads(struct explorer *x, const char *text, double seconds)
{
    char buffer[65536];
    const double until = clock_seconds() + seconds;
    const size_t length = strlen(text);
    for (size_t seen = 0;;) {
        struct pollfd fd = {.fd = x->master, .events = POLLIN};
        const double left = until - clock_seconds();
        if (x->got.length && memmem(x->got.text + seen, x->got.length - seen, text, length))
            return 1;
        seen = x->got.length < length ? 0 : x->got.length - length + 1;
        if (left <= 0 || poll(&fd, 1, (int)(left * 1000) + 1) < 1)
            return 0;
        const ssize_t n = read(x->master, buffer, sizeof buffer);
        x->gone = n <= 0;
        if (x->gone)
            return 0;
        x->bytes += n;
        x->frames += memmem(buffer, (size_t)n, frame_ends, strlen(frame_ends)) != NULL;
        string_append(&x->got, buffer, (size_t)n);
    }
}

static void end(struct explorer *x)
{
    kill(x->child, SIGTERM);
    while (x->master >= 0 && reads(x, "nothing says this", 5)) {
    }
    waitpid(x->child, NULL, 0);
    close(x->master);
    string_free(&x->got);
}

static void type(struct explorer *x, const char *keys)
{
    if (write(x->master, keys, strlen(keys)) < 0)
        perror("the terminal");
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_spread(const char *what, double *list, int count, const char *unit)
{
    qsort(list, (size_t)count, sizeof *list, by_size);
    if (count)
        printf("%s: %d; p50 %.2f, p90 %.2f, p99 %.2f, most %.2f %s\n", what, count, list[count / 2], list[count * 9 / 10], list[count * 99 / 100], list[count - 1], unit);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

enum { MOST = 4000, LEAST_KEYS = 1000 };
static double list[MOST];

/* The help opens and closes: no frame of the search's own has its words. At odd moments, or frames and keys would go in step. Returns how
 * many keys the list has then; as many as before: the search ended, or the explorer, before there was one. */
static int press_keys(struct explorer *x, int count, double until)
{
    while (clock_seconds() < until && count < MOST && !(x->got.length && memmem(x->got.text, x->got.length, done, strlen(done)))) {
        forget(x);
        (void)reads(x, "nothing says this", 0.01 + 0.03 * random_uniform(1, 1, (uint64_t)count));
        if (x->got.length && memmem(x->got.text, x->got.length, done, strlen(done)))
            break;
        forget(x);
        const double start = clock_seconds();
        type(x, "?");
        if (!reads(x, "do it again", 5) || !reads(x, frame_ends, 5))
            break;
        list[count++] = (clock_seconds() - start) * 1e3;
        type(x, "\033");
        forget(x);
        (void)reads(x, "nothing says this", 0.04);
    }
    return count;
}

static void bench_keys(void)
{
    int count = 0, before = -1, searches = 0;
    const double until = clock_seconds() + 240;
    for (; count < LEAST_KEYS && count > before && clock_seconds() < until; searches++) {
        struct explorer x;
        begin(&x, NULL);
        if (!reads(&x, "\xe2\x96\xb8 runn", 30)) {
            fprintf(stderr, "the search does not run: %.300s\n", string_text(&x.got));
            end(&x);
            return;
        }
        before = count;
        count = press_keys(&x, count, until);
        end(&x);
    }
    printf("%d searches%s\n", searches, count < LEAST_KEYS ? ": too few keys for a p99" : "");
    print_spread("keys, from the key to the end of its frame", list, count, "ms");
}

/* --- bytes ------------------------------------------------------------------------------------------------------- */

static void bench_bytes(void)
{
    struct explorer x;
    int count = 0, over = 0;
    begin(&x, NULL);
    if (!reads(&x, "\xe2\x96\xb8 runn", 30))
        return;
    forget(&x);
    x.bytes = 0;
    const double start = clock_seconds();
    while (count < MOST && !over && reads(&x, frame_ends, 10) && clock_seconds() - start < 50) {
        char *at = memmem(x.got.text, x.got.length, frame_ends, strlen(frame_ends));
        const size_t n = (size_t)(at - x.got.text) + strlen(frame_ends);
        over = memmem(x.got.text, n, done, strlen(done)) != NULL;
        list[count++] = (double)n;
        memmove(x.got.text, x.got.text + n, x.got.length - n + 1);
        x.got.length -= n;
    }
    const double took = clock_seconds() - start;
    end(&x);
    printf("%.1f s: %.1f frames and %.0f bytes a second\n", took, count / took, (double)x.bytes / took);
    print_spread("frames", list, count, "bytes");
}

/* --- idle -------------------------------------------------------------------------------------------------------- */

/* Over all threads: how often each went to sleep and was woken, and clock ticks. */
static void read_usage(pid_t pid, long *switches, long *ticks)
{
    char path[300], line[300];
    *switches = *ticks = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (struct dirent *d; folder && (d = readdir(folder));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)pid, d->d_name);
        FILE *f = *d->d_name == '.' ? NULL : fopen(path, "r");
        while (f && fgets(line, sizeof line, f))
            if (!strncmp(line, "voluntary_ctxt_switches:", 24))
                *switches += atol(line + 24);
        if (f)
            fclose(f);
    }
    if (folder)
        closedir(folder);
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    long user, system;
    if (f && fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) == 2)
        *ticks = user + system;
    if (f)
        fclose(f);
}

static void bench_idle(void)
{
    struct explorer x;
    long switches, ticks, more, later;
    begin(&x, NULL);
    if (!reads(&x, done, 50))
        return;
    (void)reads(&x, "nothing says this", 1);
    read_usage(x.child, &switches, &ticks);
    sleep(5);
    read_usage(x.child, &more, &later);
    end(&x);
    printf("idle for 5 s: %ld wake-ups, %ld ms of processor time\n", more - switches, (later - ticks) * 1000 / sysconf(_SC_CLK_TCK));
}

/* --- slowdown ---------------------------------------------------------------------------------------------------- */

/* Of `espalier run` and of the explorer: seconds each has had, until its search was done. */
struct times {
    double plain, shown;
    int64_t frames;
};

/* Let it go on for that long, or to its end (1). */
static int runs_for(struct explorer *x, double seconds, double *took)
{
    const double start = clock_seconds();
    int ended;
    kill(x->child, SIGCONT);
    if (x->master >= 0) {
        ended = reads(x, done, seconds);
        if (!ended)
            forget(x);
    } else {
        struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, x->child, 0), .events = POLLIN};
        ended = poll(&fd, 1, (int)(seconds * 1000)) == 1;
        close(fd.fd);
    }
    *took += clock_seconds() - start;
    if (!ended)
        kill(x->child, SIGSTOP);
    return ended;
}

/* Both searches at once, each standing still in the turns of the other: what the machine's clock does, it does to both. Turns are short
 * beside that, and long beside a frame. What the explorer does because it stood still (it repaints) is counted against it.
 * 0: one of them did not come to its end. */
static int run_by_turns(int shown_first, struct times *out)
{
    static const double turn = 0.5, patience = 300;
    struct explorer plain, shown;
    struct times took = {0};
    int plain_ended = 0, shown_ended = 0;
    begin(&plain, "run");
    kill(plain.child, SIGSTOP);
    begin(&shown, NULL);
    kill(shown.child, SIGSTOP);
    for (int i = shown_first; !(plain_ended && shown_ended) && !shown.gone && took.plain + took.shown < patience; i++) {
        if (i % 2 && !shown_ended)
            shown_ended = runs_for(&shown, turn, &took.shown);
        else if (!(i % 2) && !plain_ended)
            plain_ended = runs_for(&plain, turn, &took.plain);
    }
    took.frames = shown.frames;
    *out = took;
    if (!plain_ended)
        kill(plain.child, SIGKILL);
    if (!shown_ended)
        kill(shown.child, SIGKILL);
    end(&shown);
    end(&plain);
    return plain_ended && shown_ended;
}

/* How long either takes for the search when it may write one token: to start, open the model and leave. Medians. */
static int starts(struct times *out)
{
    enum { TIMES = 9 };
    static char *nothing[64];
    char **whole = search;
    double plain[TIMES], shown[TIMES];
    int n = 0;
    for (; whole[n + 1]; n++) /* the problem stays the last */
        nothing[n] = whole[n];
    nothing[n] = "--budget-tokens", nothing[n + 1] = "1", nothing[n + 2] = whole[n], nothing[n + 3] = NULL;
    search = nothing;
    int ended = 1;
    for (int i = 0; i < TIMES && ended; i++) {
        struct times took;
        ended = run_by_turns(i % 2, &took);
        plain[i] = took.plain;
        shown[i] = took.shown;
    }
    search = whole;
    if (!ended)
        return 0;
    qsort(plain, TIMES, sizeof *plain, by_size);
    qsort(shown, TIMES, sizeof *shown, by_size);
    *out = (struct times){plain[TIMES / 2], shown[TIMES / 2], 0};
    return 1;
}

/* The interval is of the mean of the pairs' ratios, by Student's t. What both take to start is measured by itself and taken off: the engine
 * is not slowed while there is nothing for it to do. */
static int bench_slowdown(int pairs)
{
    static const double t[] = {0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13};
    double sum = 0, squares = 0;
    pairs = pairs < 2 ? 2 : pairs > 16 ? 16 : pairs;
    struct times start, took;
    if (!run_by_turns(0, &took) || !starts(&start)) { /* after the first the model is in memory */
        fprintf(stderr, "the search did not come to its end; try the same by espalier run\n");
        return 1;
    }
    printf("to start: run %.2f s, explorer %.2f s\n", start.plain, start.shown);
    for (int i = 0; i < pairs; i++) {
        if (!run_by_turns(i % 2, &took))
            return 1;
        const double plain = took.plain - start.plain, shown = took.shown - start.shown, ratio = shown / plain - 1;
        printf("run %.2f s, explorer %.2f s (%.0f frames a second): %+.1f %%\n", plain, shown, (double)took.frames / took.shown, 100 * ratio);
        fflush(stdout);
        sum += ratio;
        squares += ratio * ratio;
    }
    const double mean = sum / pairs, deviation = sqrt(fmax(0, (squares - pairs * mean * mean) / (pairs - 1))), half = t[pairs - 1] * deviation / sqrt(pairs);
    printf("the explorer takes %+.1f %% of the time more, 95 %% interval %+.1f to %+.1f, %d pairs\n", 100 * mean, 100 * (mean - half), 100 * (mean + half), pairs);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const int slowdown = !strcmp(what, "slowdown"), pairs = slowdown && argc > 2 ? atoi(argv[2]) : 6;
    if (argc > 2 + slowdown)
        search = argv + 2 + slowdown;
    char folder[] = "/tmp/espalier-live-XXXXXX";
    if (!mkdtemp(folder))
        return 1;
    setenv("TERM", "xterm-256color", 1);
    setenv("XDG_STATE_HOME", folder, 1);
    setenv("XDG_CONFIG_HOME", folder, 1);
    setenv("XDG_DATA_HOME", folder, 1);
    unsetenv("NO_COLOR");
    int known = 1, failed = 0;
    if (!strcmp(what, "keys"))
        bench_keys();
    else if (!strcmp(what, "bytes"))
        bench_bytes();
    else if (!strcmp(what, "idle"))
        bench_idle();
    else if (slowdown)
        failed = bench_slowdown(pairs);
    else
        known = 0;
    char *remove = xasprintf("rm -rf '%s'", folder);
    failed |= system(remove) != 0;
    free(remove);
    if (!known)
        fprintf(stderr, "bench_live keys|bytes|idle|slowdown: see the head of tests/bench_live.c\n");
    return known ? failed : 2;
}
