#include "tui/theme.h"
#include "search/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const role_names[TUI_ROLES + 1] = {
    [TUI_TEXT] = "text",         [TUI_DIM] = "dim",       [TUI_TITLE] = "title",   [TUI_BORDER] = "border",
    [TUI_FOCUS] = "focus",       [TUI_KEY] = "key",       [TUI_FRONTIER] = "frontier",
    [TUI_EXPANDING] = "expanding", [TUI_LIVE] = "live",   [TUI_KEPT] = "kept",     [TUI_BEST] = "best",
    [TUI_PRUNED] = "pruned",     [TUI_ILLEGAL] = "illegal", [TUI_RIGHT] = "right", [TUI_WRONG] = "wrong",
    [TUI_ERROR] = "error",       [TUI_VOTED] = "voted",   [TUI_LOST] = "lost",
    [TUI_COMPARE] = "compare-a", [TUI_COMPARE + 1] = "compare-b", [TUI_COMPARE + 2] = "compare-c", [TUI_COMPARE_LAST] = "compare-d",
};
static const char role_letters[TUI_ROLES] = "tdhbfjgelkapirwxvocmnq"; /* in the order of the enum, no two alike */
static const char *const ground_names[TUI_GROUNDS] = {NULL, "status", "selection", "selection-blurred", "cursor"};
static const char *const gradient_names[TUI_GRADIENTS + 1] = {"value", "probability"};
static const char *const attribute_names[] = {"bold", "faint", "italic", "underline", "reverse", NULL};

#define OWN TUI_DEFAULT_COLOR
#define INHERIT TUI_INHERIT_COLOR
const struct tui_theme tui_theme_builtin = {
    .roles =
        {
            [TUI_TEXT] = {OWN, OWN, 0},
            [TUI_DIM] = {0x8a8a8a, INHERIT, 0},
            [TUI_TITLE] = {0x87af5f, INHERIT, 0},
            [TUI_BORDER] = {0x585858, INHERIT, 0},
            [TUI_FOCUS] = {0xafff87, INHERIT, TUI_BOLD},
            [TUI_KEY] = {0xafd787, INHERIT, TUI_BOLD},
            [TUI_FRONTIER] = {OWN, INHERIT, 0},
            [TUI_EXPANDING] = {0x87d7ff, INHERIT, TUI_BOLD},
            [TUI_LIVE] = {0x5fafd7, INHERIT, TUI_ITALIC},
            [TUI_KEPT] = {0xffd75f, INHERIT, TUI_BOLD},
            [TUI_BEST] = {0xafff87, INHERIT, TUI_BOLD},
            [TUI_PRUNED] = {0x767676, INHERIT, TUI_FAINT | TUI_ITALIC},
            [TUI_ILLEGAL] = {0x878787, INHERIT, TUI_FAINT},
            [TUI_RIGHT] = {0x87ff5f, INHERIT, TUI_BOLD},
            [TUI_WRONG] = {0xff875f, INHERIT, 0},
            [TUI_ERROR] = {0xff5f5f, INHERIT, TUI_BOLD},
            [TUI_VOTED] = {0x87afd7, INHERIT, 0},
            [TUI_LOST] = {0xd787af, INHERIT, 0},
            [TUI_COMPARE] = {0x5fafd7, INHERIT, 0},
            [TUI_COMPARE + 1] = {0xffaf5f, INHERIT, 0},
            [TUI_COMPARE + 2] = {0xaf87ff, INHERIT, 0},
            [TUI_COMPARE_LAST] = {0x5fd700, INHERIT, 0},
        },
    .grounds =
        {
            [TUI_STATUS] = {INHERIT, 0x303030, TUI_REVERSE},
            [TUI_SELECTION] = {INHERIT, 0x3a4a2a, TUI_REVERSE},
            [TUI_SELECTION_BLURRED] = {INHERIT, 0x303030, TUI_BOLD},
            [TUI_CURSOR] = {0x000000, 0xffd75f, TUI_REVERSE},
        },
    .gradients = {{0xd75f5f, 0xd7af5f, 0x87d75f}, {0xff5f5f, 0xffd75f, 0xbcbcbc}},
};

/* --- reading ----------------------------------------------------------------------------------------------------- */

/* "#RRGGBB", "default" or a name of the palette. */
static int read_color(const struct search_yaml *node, const struct search_yaml *palette, int *out, struct error *e)
{
    if (node->kind != SEARCH_YAML_SCALAR || !node->length)
        return search_yaml_error(node, e, "no colour here; expected \"#RRGGBB\" (in quotes), default, or a name of the palette");
    const char *text = node->text;
    if (!strcmp(text, "default")) {
        *out = TUI_DEFAULT_COLOR;
        return OK;
    }
    if (text[0] == '#') {
        if (strlen(text) != 7 || strspn(text + 1, "0123456789abcdefABCDEF") != 6)
            return search_yaml_error(node, e, "\"%s\" is no colour; expected # and six hexadecimal digits, as in \"#87af5f\"", text);
        *out = (int)strtol(text + 1, NULL, 16);
        return OK;
    }
    const struct search_yaml *named = palette ? search_yaml_get(palette, text) : NULL;
    if (!named)
        return search_yaml_error(node, e, "no colour \"%s\"; expected \"#RRGGBB\" (in quotes), default, or a name of the palette", text);
    return read_color(named, NULL, out, e); /* names of the palette stand for colours, not for other names */
}

static int read_attributes(const struct search_yaml *node, unsigned *out, struct error *e)
{
    int code = search_yaml_expect(node, SEARCH_YAML_LIST, e);
    *out = 0;
    for (int i = 0; !code && i < node->count; i++) {
        int bit;
        code = search_yaml_choice(node->values[i], attribute_names, &bit, e);
        if (!code)
            *out |= 1u << bit;
    }
    return code;
}

/* A role: a colour alone, or a map. What is not said is inherited: the background from `text`, attributes are none. */
static int read_look(const struct search_yaml *node, const struct search_yaml *palette, struct tui_look *out, struct error *e)
{
    static const char *const known[] = {"color", "background", "attributes", NULL};
    *out = (struct tui_look){TUI_INHERIT_COLOR, TUI_INHERIT_COLOR, 0};
    if (node->kind == SEARCH_YAML_SCALAR)
        return read_color(node, palette, &out->color, e);
    int code = search_yaml_expect(node, SEARCH_YAML_MAP, e);
    if (!code)
        code = search_yaml_known(node, known, e);
    const struct search_yaml *value;
    if (!code && (value = search_yaml_get(node, "color")))
        code = read_color(value, palette, &out->color, e);
    if (!code && (value = search_yaml_get(node, "background")))
        code = read_color(value, palette, &out->background, e);
    if (!code && (value = search_yaml_get(node, "attributes")))
        code = read_attributes(value, &out->attributes, e);
    return code;
}

static int index_of(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

static int read_roles(const struct search_yaml *roles, const struct search_yaml *palette, struct tui_theme *out, struct error *e)
{
    const char *known[TUI_ROLES + TUI_GROUNDS];
    memcpy(known, role_names, TUI_ROLES * sizeof *known);
    memcpy(known + TUI_ROLES, ground_names + 1, (TUI_GROUNDS - 1) * sizeof *known);
    known[TUI_ROLES + TUI_GROUNDS - 1] = NULL;
    int code = search_yaml_expect(roles, SEARCH_YAML_MAP, e);
    if (!code)
        code = search_yaml_known(roles, known, e);
    for (int i = 0; !code && i < roles->count; i++) {
        int which = index_of(known, roles->keys[i]->text);
        code = read_look(roles->values[i], palette, which < TUI_ROLES ? &out->roles[which] : &out->grounds[which - TUI_ROLES + 1], e);
    }
    return code;
}

static int read_gradients(const struct search_yaml *gradients, const struct search_yaml *palette, struct tui_theme *out, struct error *e)
{
    int code = search_yaml_expect(gradients, SEARCH_YAML_MAP, e);
    if (!code)
        code = search_yaml_known(gradients, gradient_names, e);
    for (int i = 0; !code && i < gradients->count; i++) {
        const struct search_yaml *list = gradients->values[i];
        int *colors = out->gradients[index_of(gradient_names, gradients->keys[i]->text)];
        if (list->kind != SEARCH_YAML_LIST || list->count != 3)
            code = search_yaml_error(list, e, "a gradient is a list of three colours: [least, middle, most]");
        for (int k = 0; !code && k < 3; k++) {
            code = read_color(list->values[k], palette, &colors[k], e);
            if (!code && colors[k] == TUI_DEFAULT_COLOR)
                code = search_yaml_error(list->values[k], e, "a gradient cannot pass through the terminal's own colour; expected \"#RRGGBB\"");
        }
    }
    return code;
}

static int read_theme(const struct search_yaml *root, struct tui_theme *out, struct error *e)
{
    static const char *const known[] = {"palette", "roles", "gradients", NULL};
    *out = tui_theme_builtin;
    int code = search_yaml_known(root, known, e);
    const struct search_yaml *palette = search_yaml_get(root, "palette"), *part;
    if (!code && palette)
        code = search_yaml_expect(palette, SEARCH_YAML_MAP, e);
    for (int i = 0, color; !code && palette && i < palette->count; i++) {
        if (palette->keys[i]->text[0] == '#' || !strcmp(palette->keys[i]->text, "default"))
            code = search_yaml_error(palette->keys[i], e, "\"%s\" cannot be the name of a colour", palette->keys[i]->text);
        else
            code = read_color(palette->values[i], NULL, &color, e);
    }
    if (!code && (part = search_yaml_get(root, "roles")))
        code = read_roles(part, palette, out, e);
    if (!code && (part = search_yaml_get(root, "gradients")))
        code = read_gradients(part, palette, out, e);
    return code;
}

static int read_document(struct search_yaml_document *document, struct tui_theme *out, struct error *e)
{
    struct tui_theme theme;
    int code = read_theme(search_yaml_root(document), &theme, e);
    if (!code)
        *out = theme;
    search_yaml_close(document);
    return code;
}

int tui_theme_parse(const char *name, const char *text, size_t n, struct tui_theme *out, struct error *e)
{
    struct search_yaml_document *document;
    int code = search_yaml_parse(&document, name, text, n, e);
    return code ? code : read_document(document, out, e);
}

static int no_such_theme(const char *name, struct error *e)
{
    struct string list = {0};
    char **names = search_data_names("themes");
    for (char **n = names; n && *n; n++) {
        string_addf(&list, " %s", *n);
        free(*n);
    }
    free(names);
    error_set(e, ERROR_INPUT, "no theme \"%s\"; there are:%s; or give the path of a YAML file", name, list.length ? list.text : " none");
    string_free(&list);
    return ERROR_INPUT;
}

int tui_theme_find(const char *name, char **path, struct error *e)
{
    size_t n = name ? strlen(name) : 0;
    if (name && (strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml")))) {
        *path = xstrdup(name);
        return OK;
    }
    char *file = xasprintf("%s.yaml", name ? name : "dark");
    *path = search_data_path("themes", file);
    free(file);
    return *path || !name ? OK : no_such_theme(name, e);
}

int tui_theme_open(const char *name, struct tui_theme *out, struct error *e)
{
    struct search_yaml_document *document;
    char *path = NULL;
    int code = tui_theme_find(name, &path, e);
    if (!code && !path) { /* a lone binary still has its colours */
        *out = tui_theme_builtin;
        return OK;
    }
    if (!code)
        code = search_yaml_open(&document, path, e);
    free(path);
    return code ? code : read_document(document, out, e);
}

/* --- styles and looks -------------------------------------------------------------------------------------------- */

struct tui_style tui_style_level(enum tui_role gradient, double part)
{
    int level = part > 0 ? (int)(part * TUI_LEVELS) : 0; /* also where part is no number */
    return (struct tui_style){.role = (uint8_t)gradient, .level = (uint8_t)(level < TUI_LEVELS ? level : TUI_LEVELS - 1)};
}

char tui_role_letter(struct tui_style style)
{
    if (style.ground == TUI_CURSOR)
        return '@';
    if (style.role >= TUI_ROLES)
        return (char)('0' + style.level);
    char letter = role_letters[style.role];
    return style.ground ? (char)(letter - 'a' + 'A') : letter;
}

/* In the light's own space: a straight line between two sRGB colours passes through mud. */
static int blend(int a, int b, double part)
{
    int out = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
        double x = pow((a >> shift & 255) / 255.0, 2.2), y = pow((b >> shift & 255) / 255.0, 2.2);
        out |= (int)lround(pow(x + (y - x) * part, 1 / 2.2) * 255) << shift;
    }
    return out;
}

struct tui_look tui_theme_look(const struct tui_theme *theme, struct tui_style style)
{
    const struct tui_look *text = &theme->roles[TUI_TEXT];
    struct tui_look look = {TUI_INHERIT_COLOR, TUI_INHERIT_COLOR, 0};
    if (style.role < TUI_ROLES) {
        look = theme->roles[style.role];
    } else {
        const int *stops = theme->gradients[style.role == TUI_VALUE ? 0 : 1];
        double part = style.level / (double)(TUI_LEVELS - 1) * 2;
        look.color = part < 1 ? blend(stops[0], stops[1], part) : blend(stops[1], stops[2], part - 1);
    }
    if (style.ground) {
        const struct tui_look *ground = &theme->grounds[style.ground];
        if (ground->color != TUI_INHERIT_COLOR)
            look.color = ground->color;
        if (ground->background != TUI_INHERIT_COLOR)
            look.background = ground->background;
        if (ground->background == TUI_INHERIT_COLOR || !(ground->attributes & TUI_REVERSE))
            look.attributes |= ground->attributes;
        else /* reverse is for terminals without colours: the background says it here */
            look.attributes |= ground->attributes & ~(unsigned)TUI_REVERSE;
    }
    if (look.color == TUI_INHERIT_COLOR)
        look.color = text->color == TUI_INHERIT_COLOR ? TUI_DEFAULT_COLOR : text->color;
    if (look.background == TUI_INHERIT_COLOR)
        look.background = text->background == TUI_INHERIT_COLOR ? TUI_DEFAULT_COLOR : text->background;
    return look;
}

unsigned tui_theme_attributes(const struct tui_theme *theme, struct tui_style style)
{
    unsigned attributes = style.role < TUI_ROLES ? theme->roles[style.role].attributes : 0;
    if (style.role == TUI_TOKEN && style.level < TUI_LEVELS / 2)
        attributes |= style.level < TUI_LEVELS / 8 ? TUI_UNDERLINE | TUI_BOLD : TUI_UNDERLINE;
    if (style.ground == TUI_SELECTION || style.ground == TUI_STATUS)
        attributes |= TUI_REVERSE;
    else if (style.ground == TUI_SELECTION_BLURRED)
        attributes |= TUI_BOLD | TUI_UNDERLINE;
    else if (style.ground == TUI_CURSOR)
        attributes = TUI_REVERSE | TUI_BOLD;
    return attributes;
}

/* --- terminals with fewer colours -------------------------------------------------------------------------------- */

static int distance(int a, int b)
{
    int r = (a >> 16 & 255) - (b >> 16 & 255), g = (a >> 8 & 255) - (b >> 8 & 255), bl = (a & 255) - (b & 255);
    return 2 * r * r + 4 * g * g + 3 * bl * bl; /* the eye's weights, roughly */
}

static const double READABLE = 4.5; /* the contrast that WCAG 2 asks of text; 3 of what is only looked at */

/* WCAG 2: relative luminance of an sRGB colour. */
static double luminance(int color)
{
    static const double weights[3] = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double part = (color >> (16 - 8 * i) & 255) / 255.0;
        sum += weights[i] * (part <= 0.04045 ? part / 12.92 : pow((part + 0.055) / 1.055, 2.4));
    }
    return sum;
}

int tui_theme_color_of(int entry)
{
    static const int first[16] = {0x000000, 0xcd0000, 0x00cd00, 0xcdcd00, 0x0000ee, 0xcd00cd, 0x00cdcd, 0xe5e5e5,
                                  0x7f7f7f, 0xff0000, 0x00ff00, 0xffff00, 0x5c5cff, 0xff00ff, 0x00ffff, 0xffffff};
    static const int steps[6] = {0, 95, 135, 175, 215, 255};
    if (entry < 16)
        return first[entry];
    if (entry >= 232)
        return (8 + 10 * (entry - 232)) * 0x010101;
    entry -= 16;
    return steps[entry / 36] << 16 | steps[entry / 6 % 6] << 8 | steps[entry % 6];
}

double tui_theme_contrast(int a, int b)
{
    double x = luminance(a), y = luminance(b);
    return x > y ? (x + 0.05) / (y + 0.05) : (y + 0.05) / (x + 0.05);
}

int tui_theme_nearest(int color, int colors)
{
    int from = colors >= 256 ? 16 : 0, end = colors >= 256 ? 256 : colors >= 16 ? 16 : 8, best = from;
    for (int i = from; i < end; i++)
        if (distance(color, tui_theme_color_of(i)) < distance(color, tui_theme_color_of(best)))
            best = i;
    return best;
}

/* The same for ink on a ground that was mapped so: what could be read before can be read after. */
static int nearest_on(int color, int background, int ground)
{
    const int entry = tui_theme_nearest(color, 256), under = tui_theme_color_of(ground);
    double least = tui_theme_contrast(color, background);
    int best = -1;
    least = least < READABLE ? least : READABLE;
    if (tui_theme_contrast(tui_theme_color_of(entry), under) >= least)
        return entry;
    for (int i = 16; i < 256; i++)
        if (tui_theme_contrast(tui_theme_color_of(i), under) >= least &&
            (best < 0 || distance(color, tui_theme_color_of(i)) < distance(color, tui_theme_color_of(best))))
            best = i;
    return best < 0 ? entry : best;
}

/* Of the first 16, whatever the user has made of them: something that can be read. On the terminal's own ground black or white may be that
 * ground; on one of ours the nearest colour may be the same. */
static int readable(int color, int background, int colors)
{
    enum { BLACK = 0, WHITE = 7, BRIGHT_WHITE = 15 };
    if (background < 0)
        return color == BLACK || color == WHITE || color == BRIGHT_WHITE ? TUI_DEFAULT_COLOR : color;
    int ground = tui_theme_color_of(background), white = colors >= 16 ? BRIGHT_WHITE : WHITE;
    if (color >= 0 && tui_theme_contrast(tui_theme_color_of(color), ground) >= 3)
        return color;
    return tui_theme_contrast(0, ground) > tui_theme_contrast(tui_theme_color_of(white), ground) ? BLACK : white;
}

struct tui_look tui_theme_mapped(const struct tui_theme *theme, struct tui_style style, int colors)
{
    struct tui_look look = {TUI_DEFAULT_COLOR, TUI_DEFAULT_COLOR, tui_theme_attributes(theme, style)};
    if (colors < 8)
        return look;
    if (colors >= 256) {
        look = tui_theme_look(theme, style);
        const int ground = look.background < 0 ? look.background : tui_theme_nearest(look.background, 256);
        if (look.color >= 0)
            look.color = ground < 0 ? tui_theme_nearest(look.color, 256) : nearest_on(look.color, look.background, ground);
        look.background = ground;
        return look;
    }
    struct tui_style bare = {.role = style.role, .level = style.level}; /* grounds are told by attributes: too few colours are theirs */
    struct tui_look full = tui_theme_look(theme, bare);
    look.background = full.background < 0 ? full.background : tui_theme_nearest(full.background, colors);
    look.color = readable(full.color < 0 ? full.color : tui_theme_nearest(full.color, colors), look.background, colors);
    return look;
}
