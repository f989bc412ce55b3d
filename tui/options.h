/* The options of the command line: one table for every command. Private to tui/. */
#ifndef ESPALIER_TUI_OPTIONS_H
#define ESPALIER_TUI_OPTIONS_H

#include "tui/tui.h"

/* Parse argv (argv[0] is the command's name) for a command that takes the options `takes` names (blank-separated).
 * Returns OK, or ERROR_USAGE with a line that says what was expected. *help is set when --help was among them. */
int tui_options_parse(int argc, char **argv, const char *takes, struct tui_options *o, int *help, struct error *e);
void tui_options_free(struct tui_options *o); /* the lists; the strings are argv's */
/* An option by its name, from elsewhere: set as if it had been given, unless it was given. Lists are added to. */
int tui_options_otherwise(struct tui_options *o, const char *name, const char *text, struct error *e);
int tui_options_is_flag(const char *name);
/* One line for each option the command takes, for --help. */
void tui_options_print(const char *takes, FILE *to);

#endif
