/* What the explorer is opened with: the command line, the configuration, the theme, what was chosen on the start screen. */
#ifndef ESPALIER_TUI_SETTING_H
#define ESPALIER_TUI_SETTING_H

#include "tui/config.h"
#include "tui/options.h"
#include "tui/record.h"
#include "tui/start.h"
#include "tui/theme.h"
#include "tui/watch.h"

/* What a command line amounts to before anything is opened. */
struct tui_setting {
    const struct tui_options *given; /* on the command line */
    struct tui_config config;
    struct tui_options options; /* of the command line and the configuration */
    struct tui_theme theme;
    struct tui_watch theme_file; /* the theme's, read again as it is saved */
    char *theme_path;            /* or NULL: the built-in one */
    struct tui_record *record;   /* or NULL */
    struct tui_start start;      /* options may point to what was chosen there */
    struct tui_searches searches;
    int ascii;
    int busy; /* a thread that could not be ended in time reads it still */
};
int tui_setting_read(const struct tui_options *o, struct tui_setting *s, struct error *e);
/* After the terminal is closed: gives all back, the setting itself too, and returns the code: a recording that is not whole is told of, if nothing
 * else is. */
int tui_setting_end(struct tui_setting *s, int code, struct error *e);
int tui_setting_theme(struct tui_setting *s, const char *name, struct error *e); /* another theme, and its file to be watched; or all stays as it is */
void tui_setting_tour(struct tui_setting *s);                                    /* a small search for the tour, where none was asked for */
/* The options for what was chosen: as on the command line, the configuration where it still holds, and the choice. */
int tui_setting_choice(struct tui_setting *s, const struct tui_start *start, struct error *e);

#endif
