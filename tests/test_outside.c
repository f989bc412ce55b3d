/* A user's program as a judge: what it may say, every way it can fail, and that nothing of it is left behind. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "search/outside.h"

static char folder[64]; /* of the scripts, and where they run: so a process that has it as its own is one of ours */

static void write_file(const char *name, const char *text, mode_t mode)
{
    char *path = xasprintf("%s/%s", folder, name);
    unlink(path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static int exists(const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    int there = !access(path, F_OK);
    free(path);
    return there;
}

/* --- running one ------------------------------------------------------------------------------------------------- */

/* Processes that run in our folder; zombies run nowhere. */
static int strays(void)
{
    DIR *all = opendir("/proc");
    int count = 0;
    assert_non_null(all);
    for (struct dirent *entry; (entry = readdir(all));) {
        char *path = xasprintf("/proc/%s/cwd", entry->d_name), where[256];
        ssize_t n = *entry->d_name >= '1' && *entry->d_name <= '9' ? readlink(path, where, sizeof where - 1) : -1;
        free(path);
        count += n == (ssize_t)strlen(folder) && !memcmp(where, folder, (size_t)n);
    }
    closedir(all);
    return count;
}

/* No child of ours, dead or alive, and nothing that one of them left. A killed process takes a moment to go. */
static void check_nothing_is_left(void)
{
    siginfo_t about;
    errno = 0;
    assert_int_equal(waitid(P_ALL, 0, &about, WEXITED | WNOHANG | WNOWAIT), -1);
    assert_int_equal(errno, ECHILD);
    for (double until = clock_seconds() + 5; strays() && clock_seconds() < until;)
        usleep(1000);
    assert_int_equal(strays(), 0);
}

static struct search_outside *start(char **argv, double seconds, size_t mebibytes, const char *input, size_t n)
{
    struct search_command command = {argv, seconds, mebibytes << 20, folder};
    struct search_outside *outside = NULL;
    struct error e;
    if (search_outside_start(&outside, &command, input, n, &e))
        fail_msg("%s", e.message);
    return outside;
}

/* Polled as the runner does, a little at a time; at most 20 s. */
static struct search_outside_verdict wait_for(struct search_outside *outside)
{
    struct search_outside_verdict verdict;
    double until = clock_seconds() + 20;
    while (!search_outside_poll(outside, 0.02, &verdict))
        if (clock_seconds() > until)
            fail_msg("it never ended");
    return verdict;
}

static struct search_outside_verdict run_argv(char **argv, double seconds, size_t mebibytes, const char *input, size_t n)
{
    struct search_outside *outside = start(argv, seconds, mebibytes, input, n);
    struct search_outside_verdict verdict = wait_for(outside);
    search_outside_stop(outside);
    check_nothing_is_left();
    return verdict;
}

/* The script ./check, with a first line added that names the shell. */
static struct search_outside_verdict run_script(const char *script, double seconds)
{
    char *text = xasprintf("#!/bin/sh\n%s\n", script), *argv[] = {"./check", NULL};
    write_file("check", text, 0755);
    free(text);
    return run_argv(argv, seconds, 256, "{}\n", 3);
}

static void expect_text(struct search_outside_verdict verdict, double score, const char *text)
{
    if (!verdict.ok)
        fail_msg("not ok: %s", verdict.why);
    assert_true(verdict.score == score);
    assert_string_equal(verdict.text, text);
    assert_null(verdict.why);
    search_outside_verdict_free(&verdict);
}

static void expect_why(struct search_outside_verdict verdict, const char *why)
{
    if (verdict.ok)
        fail_msg("ok: %s", verdict.text);
    assert_string_equal(verdict.why, why);
    assert_null(verdict.text);
    search_outside_verdict_free(&verdict);
}

/* --- what it says ------------------------------------------------------------------------------------------------ */

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        double score;
        const char *text;
    } rows[] = {
        {"echo right", 1, "right"},
        {"echo wrong", 0, "wrong"},
        {"echo 1", 1, "1"},
        {"echo 0", 0, "0"},
        {"echo 0.25", 0.25, "0.25"},
        {"echo .5", 0.5, ".5"},
        {"echo 1.", 1, "1."},
        {"echo 25e-2", 0.25, "25e-2"},
        {"echo 0.0025E+2", 0.25, "0.0025E+2"},
        {"printf 1", 1, "1"},
        {"printf 'right\\r\\n'", 1, "right"},
        {"printf '\\n \\t 0.5 nearly there \\nand more\\n'", 0.5, "0.5 nearly there"},
        {"echo 'wrong 4 + 5 is 9'; echo; echo why", 0, "wrong 4 + 5 is 9"},
        {"printf 'right\\tso'", 1, "right\tso"},
        {"echo noise >&2; echo right", 1, "right"},
        {"echo right; exec >&-; sleep 0.05", 1, "right"}, /* it has said all long before it ends */
        {"cat >/dev/null; echo right", 1, "right"},
        /* hostile bytes stay data */
        {"printf 'right \\033[2J\\n'", 1, "right \033[2J"},
        {"printf 'right \\377\\300x'", 1, "right \xef\xbf\xbd\xef\xbf\xbdx"},
        {"printf 'right a\\000b'", 1, "right a\xef\xbf\xbd""b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_text(run_script(rows[i].script, 10), rows[i].score, rows[i].text);
}

#define WANTED "instead of a number from 0 to 1, right or wrong"

static void test_what_is_no_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *script, *why;
    } rows[] = {
        {"true", "said nothing " WANTED},
        {"printf ' \\n\\n'", "said nothing " WANTED},
        {"echo maybe", "said \"maybe\" " WANTED},
        {"echo Right", "said \"Right\" " WANTED},
        {"echo righteous", "said \"righteous\" " WANTED},
        {"echo 1.01", "said \"1.01\" " WANTED},
        {"echo -0.5", "said \"-0.5\" " WANTED},
        {"echo +1", "said \"+1\" " WANTED},
        {"echo 0.5x", "said \"0.5x\" " WANTED},
        {"echo 0,5", "said \"0,5\" " WANTED},
        {"echo 1e", "said \"1e\" " WANTED},
        {"echo 1e+", "said \"1e+\" " WANTED},
        {"echo .", "said \".\" " WANTED},
        {"echo e1", "said \"e1\" " WANTED},
        {"echo 1e999", "said \"1e999\" " WANTED},
        {"echo nan", "said \"nan\" " WANTED},
        {"echo inf", "said \"inf\" " WANTED},
        {"echo 0x1", "said \"0x1\" " WANTED},
        {"echo maybe; echo right", "said \"maybe\" " WANTED},
        {"printf 'right\\000'", "said \"right\xef\xbf\xbd\" " WANTED},
        {"printf '\\0001'", "said \"\xef\xbf\xbd" "1\" " WANTED},
        {"printf '\\033[31mno\\377'", "said \"\xef\xbf\xbd[31mno\xef\xbf\xbd\" " WANTED},
        {"printf '%070d' 7", "said \"000000000000000000000000000000000000000000000000000000000000...\" " WANTED}, /* 60 of 70 digits */
        {"echo right; exit 3", "exit status 3"},
        {"exit 255", "exit status 255"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_why(run_script(rows[i].script, 10), rows[i].why);
}

static void test_how_much_it_may_write(void **state)
{
    (void)state;
    struct string longest = {0};
    string_add(&longest, "right ");
    while (longest.length < 4096)
        string_add(&longest, "x");
    expect_text(run_script("printf 'right '; printf '%04090d' 0 | tr 0 x", 10), 1, longest.text);
    string_free(&longest);
    expect_why(run_script("printf 'right '; printf '%04091d' 0", 10), "wrote more than 4096 bytes");
    expect_why(run_script("exec yes right", 10), "wrote more than 4096 bytes");
    expect_why(run_script("trap '' PIPE; while :; do echo right; done", 10), "wrote more than 4096 bytes");
}

/* --- how it fails ------------------------------------------------------------------------------------------------ */

static void test_it_takes_too_long(void **state)
{
    (void)state;
    double began = clock_seconds();
    expect_why(run_script("echo right; sleep 30", 0.3), "timed out after 0.3 s");
    expect_why(run_script("trap '' TERM INT HUP; echo right; while :; do sleep 30; done", 0.3), "timed out after 0.3 s");
    expect_why(run_script("exec >&- <&-; sleep 30", 0.25), "timed out after 0.25 s");
    expect_why(run_script("kill -STOP $$; echo right", 0.3), "timed out after 0.3 s");
    expect_why(run_script("sleep 30 | sleep 30 | sleep 30", 0.3), "timed out after 0.3 s");
    expect_why(run_script("while :; do :; done", 0.3), "timed out after 0.3 s");
    assert_true(clock_seconds() - began < 25);
}

static void test_it_leaves_others_behind(void **state)
{
    (void)state;
    double began = clock_seconds();
    expect_text(run_script("sleep 30 & echo right", 10), 1, "right"); /* which keeps the pipe open */
    expect_text(run_script("(trap '' TERM HUP; sleep 30; sleep 30) & echo 0.5; exit 0", 10), 0.5, "0.5");
    expect_text(run_script("echo right; (while :; do :; done) &", 10), 1, "right");
    expect_why(run_script("sleep 30 & exit 4", 10), "exit status 4");
    expect_why(run_script("(sleep 30 & sleep 30) & sleep 30", 0.3), "timed out after 0.3 s");
    assert_true(clock_seconds() - began < 25);
}

static void test_it_crashes(void **state)
{
    (void)state;
    expect_why(run_script("echo right; kill -SEGV $$", 10), "killed by signal 11 (Segmentation fault)");
    expect_why(run_script("echo right; kill -KILL $$", 10), "killed by signal 9 (Killed)");
    assert_false(exists("core"));
}

/* Its limits: what each does when it is passed. */
static void test_it_asks_too_much(void **state)
{
    (void)state;
    /* a shell without memory says so and exits with 2; that which one of 16 MiB cannot hold, one of 1 GiB can */
    const char *eats = "#!/bin/sh\nx=0123456789abcdef; i=0; while [ $i -lt 21 ]; do x=$x$x; i=$((i+1)); done; echo right\n"; /* 32 MiB */
    char *argv[] = {"./eats", NULL};
    write_file("eats", eats, 0755);
    expect_why(run_argv(argv, 20, 16, "", 0), "exit status 2");
    expect_text(run_argv(argv, 20, 1024, "", 0), 1, "right");
    /* a processor's seconds: those it has and one more, should nobody look */
    struct search_outside_verdict verdict;
    char *spins[] = {"./spins", NULL};
    write_file("spins", "#!/bin/sh\nwhile :; do :; done\n", 0755);
    struct search_outside *outside = start(spins, 0.5, 256, "", 0);
    siginfo_t about;
    assert_int_equal(waitid(P_ALL, 0, &about, WEXITED | WNOWAIT), 0);
    assert_int_equal(search_outside_poll(outside, 0, &verdict), 1);
    expect_why(verdict, "killed by signal 24 (CPU time limit exceeded)");
    search_outside_stop(outside);
    check_nothing_is_left();
    /* a file may be made, but nothing be written to it */
    expect_why(run_script("echo text >made; echo right", 10), "killed by signal 25 (File size limit exceeded)");
    char *path = xasprintf("%s/made", folder);
    struct stat made;
    assert_int_equal(stat(path, &made), 0);
    assert_int_equal(made.st_size, 0);
    free(path);
}

static void test_it_cannot_be_started(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
    } rows[] = {
        {"./missing", "could not be started: ./missing: No such file or directory (it, or what the first line of a script names)"},
        {"./plain", "could not be started: ./plain: Permission denied; make it executable: chmod +x"},
        {"./.", "could not be started: ./.: Permission denied; make it executable: chmod +x"},
        {"./lost", "could not be started: ./lost: No such file or directory (it, or what the first line of a script names)"},
        {"./bare", "could not be started: ./bare: Exec format error; a script begins with a line such as #!/bin/sh"},
        {"no-such-program-anywhere", "could not be started: no program no-such-program-anywhere on PATH"},
        {"plain", "could not be started: no program plain on PATH"}, /* our folder is none of PATH's */
        {"./a\033[2Jb", "could not be started: ./a\xef\xbf\xbd[2Jb: No such file or directory (it, or what the first line of a script names)"},
    };
    write_file("plain", "#!/bin/sh\necho right\n", 0644);
    write_file("lost", "#!/no/such/shell\necho right\n", 0755);
    write_file("bare", "echo right\n", 0755);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *argv[] = {(char *)rows[i].name, NULL};
        expect_why(run_argv(argv, 10, 256, "", 0), rows[i].why);
    }
    char *argv[] = {"true", NULL};
    struct search_command command = {argv, 1, 1 << 28, "/no/such/folder"};
    struct search_outside *outside;
    struct search_outside_verdict verdict;
    struct error e;
    assert_int_equal(search_outside_start(&outside, &command, "", 0, &e), OK);
    assert_int_equal(search_outside_poll(outside, 0, &verdict), 1);
    expect_why(verdict, "could not be started: its folder /no/such/folder: No such file or directory");
    search_outside_stop(outside);
    check_nothing_is_left();
}

/* PATH is looked through from its first place on; what is relative on it is passed by, as it would be meant from our folder. */
static void test_path(void **state)
{
    (void)state;
    char *path = xstrdup(getenv("PATH")), *first = xasprintf("%s/one", folder), *second = xasprintf("%s/two", folder);
    int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdir(first, 0755), 0);
    assert_int_equal(mkdir(second, 0755), 0);
    write_file("one/judge-one", "#!/bin/sh\necho 0.1\n", 0755);
    write_file("one/judge-both", "#!/bin/sh\necho 0.1\n", 0644); /* not executable: the next one is meant */
    write_file("two/judge-both", "#!/bin/sh\necho 0.2\n", 0755);
    write_file("two/judge-one", "#!/bin/sh\necho 0.2\n", 0755);
    char *places = xasprintf("%s:%s:/usr/bin:/bin", first, second), *one[] = {"judge-one", NULL}, *both[] = {"judge-both", NULL},
         *found[] = {"true", NULL};
    setenv("PATH", places, 1);
    expect_text(run_argv(one, 10, 256, "", 0), 0.1, "0.1");
    expect_text(run_argv(both, 10, 256, "", 0), 0.2, "0.2");
    assert_int_equal(chdir(first), 0);
    setenv("PATH", "::.:../one:/usr/bin:", 1);
    expect_why(run_argv(one, 10, 256, "", 0), "could not be started: no program judge-one on PATH");
    assert_int_equal(fchdir(here), 0);
    unsetenv("PATH");
    expect_why(run_argv(found, 10, 256, "", 0), "said nothing " WANTED);
    setenv("PATH", path, 1);
    close(here);
    free(path);
    free(first);
    free(second);
    free(places);
}

/* A machine without descriptors is an error, and loses none. */
static void test_no_descriptors(void **state)
{
    (void)state;
    int taken[64], n = 0, before = open("/dev/null", O_RDONLY);
    struct rlimit usual, few;
    getrlimit(RLIMIT_NOFILE, &usual);
    few = usual;
    few.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &few);
    for (int file; n < 64 && (file = dup(before)) >= 0;)
        taken[n++] = file;
    char *argv[] = {"true", NULL};
    struct search_command command = {argv, 1, 1 << 28, folder};
    struct error e = {0};
    for (int i = 0; i < 6; i++) { /* 6 are needed: the input, /dev/null, two pipes */
        struct search_outside *outside = NULL;
        assert_int_equal(search_outside_start(&outside, &command, "", 0, &e), ERROR_ENGINE);
        assert_string_equal(e.message, "no descriptors or memory to run true: Too many open files");
        assert_null(outside);
        close(taken[--n]);
    }
    struct search_outside *outside;
    assert_int_equal(search_outside_start(&outside, &command, "", 0, &e), OK);
    expect_why(wait_for(outside), "said nothing " WANTED);
    search_outside_stop(outside);
    while (n)
        close(taken[--n]);
    setrlimit(RLIMIT_NOFILE, &usual);
    close(before);
    int after = open("/dev/null", O_RDONLY);
    assert_int_equal(after, before); /* the least that is free: all are closed again */
    close(after);
    check_nothing_is_left();
}

/* --- what it is given -------------------------------------------------------------------------------------------- */

static void test_large_input(void **state)
{
    (void)state;
    size_t n = 5 << 20;
    char *input = xmalloc(n);
    memset(input, 'x', n);
    write_file("ignores", "#!/bin/sh\necho right\n", 0755);
    write_file("closes", "#!/bin/sh\nexec <&-\necho right\n", 0755);
    write_file("counts", "#!/bin/sh\necho right $(wc -c)\n", 0755);
    write_file("again", "#!/bin/sh\necho right $(wc -c </dev/stdin)\n", 0755); /* by name too */
    char *ignores[] = {"./ignores", NULL}, *closes[] = {"./closes", NULL}, *counts[] = {"./counts", NULL}, *again[] = {"./again", NULL};
    expect_text(run_argv(ignores, 10, 256, input, n), 1, "right");
    expect_text(run_argv(closes, 10, 256, input, n), 1, "right");
    expect_text(run_argv(counts, 10, 256, input, n), 1, "right 5242880");
    expect_text(run_argv(again, 10, 256, input, n), 1, "right 5242880");
    expect_text(run_argv(counts, 10, 256, "", 0), 1, "right 0");
    free(input);
}

static void test_arguments(void **state)
{
    (void)state;
    static const char script[] = "#!/bin/sh\nprintf right; printf '<%s>' \"$@\"\n";
    write_file("check me; $(echo no)", script, 0755);
    char *argv[] = {"./check me; $(echo no)", "a b", "", "$HOME", "`id`", "; exit 3", "*", "\"'\\", "|&><~#!", "-n", "\xc3\xa9\xff", NULL};
    struct search_outside_verdict verdict = run_argv(argv, 10, 256, "", 0);
    expect_why(verdict, "said \"right<a b><><$HOME><`id`><; exit 3><*><\"'\\><|&><~#!><-n><\xc3\xa9\xef\xbf\xbd...\" " WANTED);
}

/* We may have been started without them; then pipes would be made in their places. */
static void test_without_standard_files(void **state)
{
    (void)state;
    int kept[3];
    for (int i = 0; i < 3; i++) {
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    char *argv[] = {"./echoes", NULL};
    write_file("echoes", "#!/bin/sh\nread -r line\necho noise >&2\necho right $line $(ls /proc/self/fd | wc -l)\n", 0755);
    struct search_command command = {argv, 10, 1 << 28, folder};
    struct search_outside_verdict verdict = {0};
    struct search_outside *outside = NULL;
    struct error e = {0};
    int status = search_outside_start(&outside, &command, "given\n", 6, &e);
    for (double until = clock_seconds() + 20; !status && !search_outside_poll(outside, 0.01, &verdict) && clock_seconds() < until;)
        ;
    search_outside_stop(outside);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        assert_int_equal(fcntl(i, F_GETFD), -1); /* nothing of it stays there */
        if (kept[i] >= 0)
            dup2(kept[i], i);
        close(kept[i]);
    }
    assert_int_equal(status, OK);
    expect_text(verdict, 1, "right given 4");
    check_nothing_is_left();
}

/* The child's own descriptors, environment, group and terminal, whatever ours are. */
static void test_surroundings(void **state)
{
    (void)state;
    setenv("ESPALIER_SECRET", "token", 1);
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    setenv("LD_PRELOAD_OF_OURS", "x", 1);
    int file = open("/dev/null", O_RDONLY), high = fcntl(file, F_DUPFD, 200); /* both without O_CLOEXEC */
    assert_true(high >= 200);
    /* ls itself opens one, to list them */
    expect_text(run_script("echo right $(ls /proc/self/fd | tr '\\n' ' ')", 10), 1, "right 0 1 2 3");
    close(file);
    close(high);
    char *expected = xasprintf("right HOME LANG=C.UTF-8 LC_ALL=C.UTF-8 PATH=%s", getenv("PATH"));
    expect_text(run_script("echo right $(env | grep -v '^_=\\|^PWD=\\|^OLDPWD=\\|^SHLVL=' | sed 's/^HOME=.*/HOME/' | sort)", 10), 1, expected);
    free(expected);
    expect_text(run_script("if (: >/dev/tty) 2>/dev/null; then echo wrong; else echo right; fi", 10), 1, "right");
    /* of /proc/PID/stat: pid, then after the name and state: parent, group, session */
    expect_text(run_script("read -r pid name state parent group session rest </proc/$$/stat\n"
                           "[ $group = $$ ] && [ $session = $$ ] && echo right || echo wrong", 10), 1, "right");
    expect_text(run_script("[ \"$(pwd -P)\" = \"$PWD\" ] && [ -x ./check ] && echo right", 10), 1, "right");
    expect_text(run_script("echo right $(ulimit -n) $(ulimit -c) $(ulimit -f) $(ulimit -v) $(ulimit -t)", 2.5), 1, "right 64 0 0 262144 4");
    expect_text(run_script("grep -q '^NoNewPrivs:.1' /proc/self/status && echo right", 10), 1, "right");
    unsetenv("ESPALIER_SECRET");
    unsetenv("LD_PRELOAD_OF_OURS");
    setenv("LC_ALL", "C.UTF-8", 1);
}

/* Blocked and ignored signals of ours are not the child's; ours are left as they were. */
static void test_signals(void **state)
{
    (void)state;
    sigset_t all, before, now;
    sigfillset(&all);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    expect_text(run_script("echo right $(grep -E 'Sig(Blk|Ign)' /proc/$$/status | tr -s '\\t\\n' ' ')", 10), 1,
                "right SigBlk: 0000000000000000 SigIgn: 0000000000000000");
    expect_why(run_script("kill -TERM $$; echo right", 10), "killed by signal 15 (Terminated)");
    pthread_sigmask(SIG_SETMASK, &before, &now);
    assert_int_equal(sigismember(&now, SIGTERM), 1);
    assert_int_equal(sigismember(&now, SIGUSR2), 1);
    assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_IGN);
    assert_ptr_equal(signal(SIGUSR1, SIG_DFL), SIG_IGN);
    expect_text(run_script("echo right", 10), 1, "right");
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    assert_int_equal(sigismember(&now, SIGTERM), 0);
}

/* Where children are reaped by the kernel their status is lost: that is said, and nothing hangs. */
static void test_ignored_children(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    expect_why(run_script("echo right", 10), "ended, but its exit status is lost: SIGCHLD is ignored here");
    expect_why(run_script("sleep 30", 0.2), "timed out after 0.2 s");
    signal(SIGCHLD, SIG_DFL);
}

/* --- several, and the clock -------------------------------------------------------------------------------------- */

static void test_many_at_once(void **state)
{
    (void)state;
    enum { MANY = 32 };
    struct search_outside *running[MANY];
    int done[MANY] = {0}, left = MANY;
    write_file("many", "#!/bin/sh\nread -r n\n[ $((n % 4)) = 3 ] && exit 1\nsleep 0.0$((n % 7))\necho 0.$n $(ls /proc/self/fd | wc -l)\n", 0755);
    char *argv[] = {"./many", NULL};
    for (int i = 0; i < MANY; i++) {
        char *input = xasprintf("%d\n", 10 + i);
        running[i] = start(argv, 20, 256, input, strlen(input));
        free(input);
    }
    for (double until = clock_seconds() + 30; left && clock_seconds() < until;)
        for (int i = 0; i < MANY; i++) {
            struct search_outside_verdict verdict;
            if (done[i] || !search_outside_poll(running[i], i ? 0 : 0.01, &verdict))
                continue;
            done[i] = 1;
            left--;
            if ((10 + i) % 4 == 3) {
                expect_why(verdict, "exit status 1");
            } else {
                char *text = xasprintf("0.%d 4", 10 + i); /* 0, 1, 2 and that of ls */
                expect_text(verdict, (10 + i) / 100.0, text);
                free(text);
            }
            search_outside_stop(running[i]);
        }
    assert_int_equal(left, 0);
    check_nothing_is_left();
}

static void test_poll_does_not_wait(void **state)
{
    (void)state;
    write_file("waits", "#!/bin/sh\nsleep 30\n", 0755);
    char *argv[] = {"./waits", NULL};
    struct search_outside *outside = start(argv, 20, 256, "", 0);
    struct search_outside_verdict verdict;
    double began = clock_seconds();
    for (int i = 0; i < 100; i++)
        assert_int_equal(search_outside_poll(outside, 0, &verdict), 0);
    assert_true(clock_seconds() - began < 2);
    began = clock_seconds();
    assert_int_equal(search_outside_poll(outside, 0.2, &verdict), 0);
    double took = clock_seconds() - began;
    assert_true(took >= 0.2 && took < 5);
    /* stopped while it runs */
    began = clock_seconds();
    search_outside_stop(outside);
    assert_true(clock_seconds() - began < 5);
    check_nothing_is_left();
    search_outside_stop(NULL);
    /* a long wait ends when the program does, or its time */
    outside = start((char *[]){"true", NULL}, 20, 256, "", 0);
    began = clock_seconds();
    assert_int_equal(search_outside_poll(outside, 30, &verdict), 1);
    assert_true(clock_seconds() - began < 10);
    search_outside_verdict_free(&verdict);
    assert_int_equal(search_outside_poll(outside, 0, &verdict), 1); /* asked again, it says the same */
    expect_why(verdict, "said nothing " WANTED);
    search_outside_stop(outside);
    outside = start(argv, 0.2, 256, "", 0);
    began = clock_seconds();
    assert_int_equal(search_outside_poll(outside, 30, &verdict), 1);
    assert_true(clock_seconds() - began < 10);
    expect_why(verdict, "timed out after 0.2 s");
    search_outside_stop(outside);
    check_nothing_is_left();
}

/* kill -9 of the program that started one: nobody polls then, and it must not go on alone. */
static void test_we_are_killed(void **state)
{
    (void)state;
    int ready[2];
    char byte;
    write_file("stays", "#!/bin/sh\nexec sleep 60\n", 0755);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        start((char *[]){"./stays", NULL}, 60, 256, "", 0);
        if (strays() == 1 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    check_nothing_is_left();
}

/* Threads that allocate and lock while others start programs. */
static void *start_some(void *wrong)
{
    char *argv[] = {"./threads", NULL};
    struct search_command command = {argv, 20, 1 << 28, folder};
    for (int i = 0; i < 12; i++) {
        struct search_outside *outside;
        struct search_outside_verdict verdict;
        struct error e;
        if (search_outside_start(&outside, &command, "", 0, &e)) {
            __atomic_add_fetch((int *)wrong, 1, __ATOMIC_RELAXED);
            continue;
        }
        for (double until = clock_seconds() + 20; !search_outside_poll(outside, 0.01, &verdict) && clock_seconds() < until;)
            free(xmalloc(1 << 12));
        if (!verdict.ok || strcmp(verdict.text, "right 4"))
            __atomic_add_fetch((int *)wrong, 1, __ATOMIC_RELAXED);
        search_outside_verdict_free(&verdict);
        search_outside_stop(outside);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    int wrong = 0;
    write_file("threads", "#!/bin/sh\necho right $(ls /proc/self/fd | wc -l)\n", 0755);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_some, &wrong), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
    check_nothing_is_left();
}

/* --- the question ------------------------------------------------------------------------------------------------ */

static struct search_task *open_task(const char *name)
{
    struct search_task *task;
    struct error e;
    if (search_task_open(&task, name, &e))
        fail_msg("%s", e.message);
    return task;
}

static void test_input(void **state)
{
    (void)state;
    struct search_task *task = open_task("examples/game24.yaml");
    struct search_problem problem = {.text = "4 5 6 10", .state = "4 5 6 10", .target = "24"};
    const char *const thoughts[] = {"10 - 4 = 6 (left: 5 6 6)", "say \"hi\"\n\\ \xc3\xa9 \xf0\x9f\x8c\xb3 \033\x7f"};
    struct search_path path = {.problem = &problem, .thoughts = thoughts, .count = 2};
    struct string line = {0};
    search_outside_input(task, &path, "5 * 6 = 30 (left: 6 30)", "6 30", NULL, &line);
    assert_string_equal(line.text, "{\"task\":\"game24\",\"problem\":\"4 5 6 10\",\"target\":\"24\",\"thoughts\":[\"10 - 4 = 6 (left: 5 6 6)\","
                                   "\"say \\\"hi\\\"\\n\\\\ \\u00E9 \\uD83C\\uDF33 \\u001B\x7f\"],\"thought\":\"5 * 6 = 30 (left: 6 30)\","
                                   "\"state\":\"6 30\",\"answer\":null}\n");
    string_clear(&line);
    struct search_problem plain = {.text = "what?\xff"};
    struct search_path root = {.problem = &plain};
    search_outside_input(task, &root, "Answer: 3", NULL, "3", &line);
    assert_string_equal(line.text, "{\"task\":\"game24\",\"problem\":\"what?\\uFFFD\",\"target\":null,\"thoughts\":[],"
                                   "\"thought\":\"Answer: 3\",\"state\":null,\"answer\":\"3\"}\n");
    /* and a program gets just that */
    write_file("takes", "#!/bin/sh\nread -r line\ncase $line in *'\"answer\":\"3\"}') echo right ${#line};; *) echo wrong;; esac\n", 0755);
    char *argv[] = {"./takes", NULL}, *text = xasprintf("right %zu", line.length - 1); /* without the line end */
    expect_text(run_argv(argv, 10, 256, line.text, line.length), 1, text);
    free(text);
    string_free(&line);
    search_task_close(task);
}

/* --- the key of a task ------------------------------------------------------------------------------------------- */

static const char task_text[] = "name: mine\n"
                                "about: a task\n"
                                "strategy: greedy\n"
                                "problem: {form: anything}\n"
                                "steps: 2\n"
                                "verifier: {kind: none}\n"
                                "answer: {pattern: 'is (.*)', otherwise: none}\n"
                                "sample: {messages: '{problem}', max_tokens: 8}\n";

/* The task with these lines at its end, from line 9 on. */
static int open_with(const char *lines, struct search_task **task, struct error *e)
{
    char *text = xasprintf("%s%s", task_text, lines), *path = xasprintf("%s/task.yaml", folder);
    write_file("task.yaml", text, 0644);
    *task = NULL;
    int status = search_task_open(task, path, e);
    free(text);
    free(path);
    return status;
}

static void test_task_key(void **state)
{
    (void)state;
    struct search_task *task;
    struct error e;
    assert_int_equal(open_with("", &task, &e), OK);
    assert_null(search_task_command(task));
    search_task_close(task);
    if (open_with("command:\n  run: [./missing tool, '', '$HOME *', 7]\n", &task, &e)) /* which nobody looks for yet */
        fail_msg("%s", e.message);
    const struct search_command *command = search_task_command(task);
    static const char *const argv[] = {"./missing tool", "", "$HOME *", "7"};
    for (int i = 0; i < 4; i++)
        assert_string_equal(command->argv[i], argv[i]);
    assert_null(command->argv[4]);
    assert_true(command->seconds == 2);
    assert_int_equal(command->memory, 268435456);
    assert_string_equal(command->folder, folder);
    search_task_close(task);
    assert_int_equal(open_with("command: {run: [x], seconds: 0.1, memory: 16}\n", &task, &e), OK);
    assert_true(search_task_command(task)->seconds == 0.1);
    assert_int_equal(search_task_command(task)->memory, 16777216);
    search_task_close(task);
    assert_int_equal(open_with("command: {run: [x], seconds: 60, memory: 65536}\n", &task, &e), OK);
    assert_true(search_task_command(task)->seconds == 60);
    assert_true(search_task_command(task)->memory == (size_t)65536 * 1048576);
    search_task_close(task);
}

static void test_task_key_errors(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *error;
    } rows[] = {
        {"command: ./check\n", "9:10: expected keys and values, not text"},
        {"command: {}\n", "9:10: `run` is missing; add `run:` here"},
        {"command: {runs: [x]}\n", "9:11: unknown key `runs`; known here: run, seconds, memory"},
        {"command:\n  run: python3 check.py\n", "10:8: expected a list, the program and its arguments, as in [python3, check.py]"},
        {"command:\n  run: []\n", "10:8: expected a list, the program and its arguments, as in [python3, check.py]"},
        {"command:\n  run: ['', x]\n", "10:9: an empty name; expected a program, as in ./check.sh"},
        {"command:\n  run: [x, [y]]\n", "10:12: expected text, not a list"},
        {"command:\n  run: [x]\n  seconds: 0.09\n", "11:12: 0.09 is out of range; expected a number from 0.1 to 60"},
        {"command:\n  run: [x]\n  seconds: 61\n", "11:12: 61 is out of range; expected a number from 0.1 to 60"},
        {"command:\n  run: [x]\n  seconds: soon\n", "11:12: `soon` is not a number; expected one from 0.1 to 60"},
        {"command:\n  run: [x]\n  memory: 15\n", "11:11: 15 is out of range; expected a number from 16 to 65536"},
        {"command:\n  run: [x]\n  memory: 65537\n", "11:11: 65537 is out of range; expected a number from 16 to 65536"},
        {"command:\n  run: [x]\n  memory: 20.5\n", "11:11: 20.5 is not whole; expected a whole number from 16 to 65536"},
        {"command:\n  run: [x, \"a\\0b\"]\n", "10:12: this text holds a NUL character; take out the \\0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct search_task *task;
        struct error e;
        char *expected = xasprintf("%s/task.yaml:%s", folder, rows[i].error);
        if (open_with(rows[i].lines, &task, &e) != ERROR_INPUT)
            fail_msg("%s was accepted", rows[i].lines);
        assert_string_equal(e.message, expected);
        free(expected);
    }
}

/* A program beside the task's file, by a relative path, wherever we are. */
static void test_task_to_verdict(void **state)
{
    (void)state;
    struct search_task *task;
    struct error e;
    write_file("beside", "#!/bin/sh\n[ -r ./task.yaml ] && echo 0.75 \"$1\"\n", 0755);
    assert_int_equal(open_with("command: {run: [./beside, a  b], seconds: 10}\n", &task, &e), OK);
    struct search_outside *outside;
    assert_int_equal(search_outside_start(&outside, search_task_command(task), "{}\n", 3, &e), OK);
    expect_text(wait_for(outside), 0.75, "0.75 a  b");
    search_outside_stop(outside);
    search_task_close(task);
    check_nothing_is_left();
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/espalier-outside-XXXXXX");
    alarm(300); /* a test that hangs is a test that fails */
    return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
    (void)state;
    char *command = xasprintf("rm -rf %s", folder);
    int status = system(command);
    free(command);
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_what_is_no_verdict),
        cmocka_unit_test(test_how_much_it_may_write),
        cmocka_unit_test(test_it_takes_too_long),
        cmocka_unit_test(test_it_leaves_others_behind),
        cmocka_unit_test(test_it_crashes),
        cmocka_unit_test(test_it_asks_too_much),
        cmocka_unit_test(test_it_cannot_be_started),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_no_descriptors),
        cmocka_unit_test(test_large_input),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_without_standard_files),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_ignored_children),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_poll_does_not_wait),
        cmocka_unit_test(test_we_are_killed),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_task_key),
        cmocka_unit_test(test_task_key_errors),
        cmocka_unit_test(test_task_to_verdict),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
