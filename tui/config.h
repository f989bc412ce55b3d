/* The user's configuration: $XDG_CONFIG_HOME/espalier/config.yaml, for the explorer alone. Its keys are the options of the explorer by
 * their names, and `keys`, a map of keys. What the command line or $ESPALIER_MODEL says wins.
 *
 * The other commands take theirs from the command line, so that a script does the same on every machine.
 */
#ifndef ESPALIER_TUI_CONFIG_H
#define ESPALIER_TUI_CONFIG_H

#include "tui/keymap.h"
#include "tui/options.h"

struct tui_config {
    char *path;                            /* where it is, or would be; NULL: there is no place for it */
    struct search_yaml_document *document; /* NULL: there is none */
    struct tui_keymap keys;
    int mouse;                             /* whether it is ours at the beginning; -1: as it was left */
    char **owned; /* texts that options point to */
    int owned_count, owned_capacity;
};
/* All of it is checked here. No file is an empty one. To be freed whatever is returned, after the options it was applied to. */
int tui_config_open(struct tui_config *c, struct error *e);
/* What it says and `o` was not given. again: for a session that is there, which has its own model, task, strategies, ...: the rest. */
int tui_config_apply(struct tui_config *c, struct tui_options *o, int again, struct error *e);
/* Where the value of an option in force comes from: "option", "environment", "file" (*line: there) or "default". */
const char *tui_config_origin(const struct tui_config *c, const struct tui_options *o, const char *name, int *line);
char *tui_home_path(const char *text); /* "~/x" as a shell would have it, others as they are; malloc'ed */
void tui_config_free(struct tui_config *c);

#endif
