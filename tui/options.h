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
/* The same from YAML: a text, for a flag a truth, for a list of several a list. Errors at the node. */
int tui_options_read(struct tui_options *o, const char *name, const struct search_yaml *node, struct error *e);
/* The same values, with lists of its own; the strings are the other's still. */
void tui_options_copy(struct tui_options *out, const struct tui_options *o);

/* The options that are named in `takes`, one after the other from *at = 0; 0: no more. */
struct tui_option {
    const char *name, *argument, *about; /* argument: NULL for a flag */
    char letter;                         /* 0: none */
};
int tui_options_next(const char *takes, int *at, struct tui_option *out);
int tui_options_given(const struct tui_options *o, const char *name); /* on the command line */
/* Append value i (0; more of a list) as it would be typed; 0: there is none. */
int tui_options_value(const struct tui_options *o, const char *name, int i, struct string *out);
/* What --name says: "80x24". */
int tui_options_size(const char *name, const char *text, int *columns, int *rows, struct error *e);
/* The options the command takes, for --help in so many columns. */
void tui_options_print(const char *takes, int columns);

#endif
