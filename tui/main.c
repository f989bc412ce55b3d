/* The front door: which command is meant, its options, its help. */
#include "tui/command.h"
#include "tui/plain.h"
#include "tui/slip.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 80 }; /* of help that no terminal shows */

static void print_usage(void)
{
    const int columns = tui_plain_columns(COLUMNS);
    tui_plain_print("espalier grows the reasoning of a language model as a tree, live, on your own machine.", 0, 0, columns);
    puts("\nusage: espalier [OPTIONS] [PROBLEM]     the explorer: watch, stop, step, prune\n"
         "       espalier COMMAND [OPTIONS] ...\n\ncommands:");
    for (const struct tui_command *const *c = tui_commands; *c; c++)
        if ((*c)->summary) {
            printf("  %-12s ", (*c)->name);
            tui_plain_print((*c)->summary, 15, 15, columns);
        }
    puts("\noptions of the explorer:");
    tui_options_print(tui_command_explore.options, columns);
    printf("\nexample:\n  %s\n\nstrategies:\n", tui_command_explore.example);
    int count;
    const struct search_strategy_about *s = search_strategies(&count);
    for (int i = 0; i < count; i++) {
        printf("  %-18s ", s[i].name);
        tui_plain_print(s[i].about, 21, 21, columns);
        printf("%21s", "");
        tui_plain_print(s[i].parameters, 21, 21, columns);
    }
    char **names = search_task_names();
    printf("\ntasks:");
    for (char **n = names; n && *n; n++) {
        printf(" %s", *n);
        free(*n);
    }
    free(names);
    puts("\n");
    tui_plain_print("espalier COMMAND --help says more. Exit codes: 0 done, 1 no answer, 2 usage, 3 bad input, 4 the engine failed.", 0, 0, columns);
}

static void print_command(const struct tui_command *c)
{
    const int columns = tui_plain_columns(COLUMNS);
    char *usage = xasprintf("espalier %s", c->usage);
    tui_plain_print(c->summary, 0, 0, columns);
    fputs("\nusage: ", stdout);
    tui_plain_print(usage, 7, 16, columns);
    puts("\noptions:");
    tui_options_print(c->options, columns);
    printf("\nexample:\n  %s\n", c->example);
    free(usage);
}

/* A word of letters alone that is nearly a command was meant as one, unless more words follow: then it begins a problem. NULL: it was not. */
static const struct tui_command *misspelt(int argc, char **argv)
{
    const struct tui_command *nearest = NULL;
    int least = TUI_SLIP_FAR;
    const char *word = argc > 1 ? argv[1] : "";
    const size_t n = strlen(word);
    if (!n || strspn(word, "abcdefghijklmnopqrstuvwxyz") < n || (argc > 2 && *argv[2] != '-'))
        return NULL;
    for (const struct tui_command *const *c = tui_commands; *c; c++)
        if ((*c)->summary && tui_slip_nearer(word, n, (*c)->name, &least))
            nearest = *c;
    return nearest;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* only this: numbers are written and read in the C locale */
    signal(SIGXFSZ, SIG_IGN); /* a file over the limit of a shell is an error like a full disk, not a death */
    const struct tui_command *command = &tui_command_explore;
    if (argc > 1 && !strcmp(argv[1], "--version")) {
        puts("espalier " ESPALIER_VERSION);
        return OK;
    }
    for (const struct tui_command *const *c = tui_commands; argc > 1 && *c; c++)
        if (!strcmp(argv[1], (*c)->name))
            command = *c;
    int shift = command != &tui_command_explore;
    struct tui_options o;
    struct error e;
    const struct tui_command *meant = shift ? NULL : misspelt(argc, argv);
    if (meant) {
        error_set(&e, ERROR_USAGE, "no command '%s'; the nearest is %s: %s (as a problem: espalier -- %s)", argv[1], meant->name, meant->summary, argv[1]);
        return tui_fail(&e);
    }
    int help, code = tui_options_parse(argc - shift, argv + shift, command->options, &o, &help, &e);
    if (code)
        tui_fail(&e);
    else if (help && command == &tui_command_explore)
        print_usage();
    else if (help)
        print_command(command);
    else
        code = command->run(&o);
    tui_options_free(&o);
    if (fflush(stdout) && !code)
        code = tui_fail(&(struct error){ERROR_ENGINE, "standard output could not be written"});
    return code;
}
