/* Themes: what a cell means (a style) becomes how it looks (a look). Panes know styles only; the terminal knows looks only.
 *
 * A theme is a YAML file: palette (names for colours), roles (a colour, a background, attributes), gradients (three colours
 * each). What it leaves out is as in the built-in theme, which themes/dark.yaml spells out.
 */
#ifndef ESPALIER_TUI_THEME_H
#define ESPALIER_TUI_THEME_H

#include "kernels/kernels.h"

enum tui_role {
    TUI_TEXT, TUI_DIM, TUI_TITLE, TUI_BORDER, TUI_FOCUS, TUI_KEY,
    TUI_FRONTIER, TUI_EXPANDING, TUI_LIVE, TUI_KEPT, TUI_BEST, TUI_PRUNED, TUI_ILLEGAL, TUI_RIGHT, TUI_WRONG, TUI_ERROR,
    TUI_VOTED, TUI_LOST,
    TUI_COMPARE, TUI_COMPARE_LAST = TUI_COMPARE + 3, /* four: the searches of a race; a fifth has the first's again */
    TUI_ROLES,
    /* Gradients: their style has a level. A token in a text is coloured as a probability is, and shows it without colours too. */
    TUI_VALUE = TUI_ROLES, TUI_PROBABILITY, TUI_TOKEN, TUI_STYLES,
};
enum { TUI_LEVELS = 16, TUI_GRADIENTS = 2 };

/* What a cell stands on; drawn over the look of its role. */
enum tui_ground { TUI_PLAIN, TUI_STATUS, TUI_SELECTION, TUI_SELECTION_BLURRED, TUI_CURSOR, TUI_GROUNDS };

struct tui_style {
    uint8_t role, level, ground; /* level: 0..TUI_LEVELS-1, 0 for roles that are no gradients */
};
/* A gradient's style for a number from 0 to 1; what is no number counts as 0. */
struct tui_style tui_style_level(enum tui_role gradient, double part);
/* The letter a dump of roles shows for a style: a letter for a role, upper case on a ground; 0-9 : ; < = > ? for levels; @ under the cursor. */
char tui_role_letter(struct tui_style style);

enum { TUI_DEFAULT_COLOR = -1, TUI_INHERIT_COLOR = -2 };
enum { TUI_BOLD = 1, TUI_FAINT = 2, TUI_ITALIC = 4, TUI_UNDERLINE = 8, TUI_REVERSE = 16 };
struct tui_look {
    int color, background; /* 0xRRGGBB, TUI_DEFAULT_COLOR: the terminal's own; inherit: of the role `text`, or of what it is drawn over */
    unsigned attributes;
};

/* Invariant: complete; whatever the file left out was filled in from the built-in theme. */
struct tui_theme {
    struct tui_look roles[TUI_ROLES], grounds[TUI_GROUNDS];
    int gradients[TUI_GRADIENTS][3];
};
extern const struct tui_theme tui_theme_builtin;

/* A theme by name ("light") or by file (it has a '/' or ends in .yaml); NULL: "dark". Errors: ERROR_INPUT with file, line, column. */
int tui_theme_find(const char *name, char **path, struct error *e); /* the file of such a name, malloc'ed; NULL and OK: the built-in theme */
int tui_theme_open(const char *name, struct tui_theme *out, struct error *e);
int tui_theme_parse(const char *name, const char *text, size_t n, struct tui_theme *out, struct error *e);

/* How a style looks. color and background are never inherited here. */
struct tui_look tui_theme_look(const struct tui_theme *theme, struct tui_style style);
/* The same where there are no colours: attributes alone. Improbable tokens are underlined, the selection is reversed. */
unsigned tui_theme_attributes(const struct tui_theme *theme, struct tui_style style);
/* The same on a terminal of 256, 16 or 8 colours, or of none: color and background are entries of its palette. With fewer than 256 the
 * grounds are attributes, and what the nearest colour would hide is drawn in one that shows. */
struct tui_look tui_theme_mapped(const struct tui_theme *theme, struct tui_style style, int colors);
/* The entry of xterm's fixed 256 (16..255, as users redefine the first 16) nearest to a colour; of the usual first 16 or 8. */
int tui_theme_nearest(int color, int colors);
int tui_theme_color_of(int entry); /* 0xRRGGBB, as xterm has it unless told otherwise */
double tui_theme_contrast(int a, int b); /* of two colours, 1 to 21, by WCAG 2 */

#endif
