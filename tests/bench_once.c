/* How long a program runs and what it has in memory at most, for tests/bench and tests/bench-formats: one line, seconds and MiB.
 *   bench_once PROGRAM ARGUMENTS...
 *
 * What it prints is dropped, what it complains of is not. Of a program that fails nothing is said but its exit code. */
#include "kernels/kernels.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: bench_once PROGRAM ARGUMENTS...\n", stderr);
        return ERROR_USAGE;
    }
    const double begin = clock_seconds();
    const pid_t child = fork();
    if (!child) {
        const int nowhere = open("/dev/null", O_WRONLY);
        if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0)
            _exit(ERROR_ENGINE);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(ERROR_INPUT);
    }
    int status;
    struct rusage used; /* of the child: its most is at least this small program's, which it was before */
    if (child < 0 || wait4(child, &status, 0, &used) != child)
        return ERROR_ENGINE;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        return WIFEXITED(status) ? WEXITSTATUS(status) : ERROR_ENGINE;
    printf("%.4f %.1f\n", clock_seconds() - begin, (double)used.ru_maxrss / 1024);
    return OK;
}
