/* Themes as files: the shipped ones, what may be wrong with one, and what is left of a colour where there are fewer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tui/theme.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

static int parse(const char *text, struct tui_theme *out, struct error *e)
{
    return tui_theme_parse("t.yaml", text, strlen(text), out, e);
}

static void test_shipped(void **state)
{
    (void)state;
    struct tui_theme dark, light;
    struct error e = {0};
    assert_int_equal(tui_theme_open("themes/dark.yaml", &dark, &e), 0);
    assert_memory_equal(&dark, &tui_theme_builtin, sizeof dark); /* the file spells out what is built in */
    assert_int_equal(tui_theme_open("themes/light.yaml", &light, &e), 0);
    assert_memory_not_equal(&light, &dark, sizeof dark);
    /* A light theme brings its own ground: dark ink on a dark terminal could not be read. */
    for (int role = 0; role < TUI_STYLES; role++)
        assert_true(tui_theme_look(&light, (struct tui_style){.role = (uint8_t)role}).background >= 0);
    assert_int_equal(tui_theme_open("no-such", &dark, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "no theme \"no-such\""));
    assert_int_equal(tui_theme_open("./no-such.yaml", &dark, &e), ERROR_INPUT);
    assert_non_null(strstr(e.message, "no-such.yaml"));
}

static void test_partial(void **state)
{
    (void)state;
    struct tui_theme theme;
    struct error e = {0};
    assert_int_equal(parse("palette: {leaf: \"#123456\"}\nroles:\n  dim: leaf\n  kept: {background: \"#00ff00\", attributes: [bold, underline]}\n"
                           "gradients: {value: [leaf, \"#ffffff\", leaf]}\n", &theme, &e), 0);
    assert_int_equal(theme.roles[TUI_DIM].color, 0x123456);
    assert_int_equal(theme.roles[TUI_KEPT].background, 0x00ff00);
    assert_int_equal(theme.roles[TUI_KEPT].attributes, TUI_BOLD | TUI_UNDERLINE);
    assert_int_equal(theme.gradients[0][1], 0xffffff);
    assert_int_equal(theme.roles[TUI_RIGHT].color, tui_theme_builtin.roles[TUI_RIGHT].color);
    assert_memory_equal(theme.gradients[1], tui_theme_builtin.gradients[1], sizeof theme.gradients[1]);
    assert_int_equal(parse("roles: {}", &theme, &e), 0);
    assert_memory_equal(&theme, &tui_theme_builtin, sizeof theme);
    assert_int_equal(parse("# nothing yet\n", &theme, &e), 0);
    assert_memory_equal(&theme, &tui_theme_builtin, sizeof theme);
    /* YAML's own names for things work as well */
    assert_int_equal(parse("palette: {leaf: &leaf \"#010203\"}\nroles: {dim: *leaf}\n", &theme, &e), 0);
    assert_int_equal(theme.roles[TUI_DIM].color, 0x010203);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct { const char *text, *where, *what; } wrong[] = {
        {"colours: {}", "t.yaml:1:1: ", "colours"},
        {"roles:\n  dimm: default", "t.yaml:2:3: ", "dimm"},
        {"roles:\n  dim: \"#12345\"", "t.yaml:2:8: ", "#87af5f"},
        {"roles:\n  dim: \"#12345g\"", "t.yaml:2:8: ", "#12345g"},
        {"roles:\n  dim: #87af5f", "t.yaml:2:", "quotes"}, /* unquoted, it is a comment */
        {"roles:\n  dim: leaf", "t.yaml:2:8: ", "leaf"},
        {"roles:\n  dim: {colour: default}", "t.yaml:2:9: ", "colour"},
        {"roles:\n  dim: {attributes: bold}", "t.yaml:2:21: ", "list"},
        {"roles:\n  dim: {attributes: [blod]}", "t.yaml:2:22: ", "blod"},
        {"roles:\n  dim: [default]", "t.yaml:2:8: ", "keys"},
        {"roles:\n  dim: default\n  dim: default", "t.yaml:3:3: ", "dim"},
        {"roles: default", "t.yaml:1:8: ", "keys"},
        {"palette: {a: b, b: \"#000000\"}", "t.yaml:1:14: ", "b"}, /* a name of a name */
        {"palette: {default: \"#000000\"}", "t.yaml:1:11: ", "default"},
        {"palette: [\"#000000\"]", "t.yaml:1:10: ", "keys"},
        {"gradients: {value: [\"#000000\"]}", "t.yaml:1:20: ", "three"},
        {"gradients: {value: [\"#000000\", default, \"#000000\"]}", "t.yaml:1:32: ", "terminal's own"},
        {"gradients: {heat: []}", "t.yaml:1:13: ", "heat"},
        {"roles: {dim: \"#000000\"", "t.yaml:", ""},
        {"roles: &a {dim: *a}", "t.yaml:1:", ""},
        {"\x01", "t.yaml:", ""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct tui_theme theme, before;
        struct error e = {0};
        memset(&theme, 0x55, sizeof theme);
        before = theme;
        int code = parse(wrong[i].text, &theme, &e);
        if (code != ERROR_INPUT || strncmp(e.message, wrong[i].where, strlen(wrong[i].where)) || !strstr(e.message, wrong[i].what))
            printf("%s\n  gives %d: %s\n", wrong[i].text, code, e.message);
        assert_int_equal(code, ERROR_INPUT);
        assert_memory_equal(e.message, wrong[i].where, strlen(wrong[i].where));
        assert_non_null(strstr(e.message, wrong[i].what));
        assert_memory_equal(&theme, &before, sizeof theme); /* no partial theme */
    }
}

/* A theme being written is wrong most of the time: bytes are changed, taken out and doubled. It is read whole, or not at all with a place. */
static void test_any(void **state)
{
    (void)state;
    char text[8192], any[8192 + 64];
    FILE *f = fopen("themes/dark.yaml", "r");
    assert_non_null(f);
    const size_t whole = fread(text, 1, sizeof text, f);
    int good = 0, bad = 0;
    fclose(f);
    for (uint64_t i = 0; i < 20000; i++) {
        size_t n = whole;
        memcpy(any, text, n);
        for (uint64_t k = 0; k < 1 + i % 4; k++) {
            const size_t at = (size_t)(random_uniform(1, i, 3 * k) * (double)n);
            switch ((int)(random_uniform(1, i, 3 * k + 1) * 3)) {
            case 0:
                any[at] = (char)(random_uniform(1, i, 3 * k + 2) * 256);
                break;
            case 1:
                memmove(any + at, any + at + 1, --n - at);
                break;
            default:
                memmove(any + at + 1, any + at, n++ - at);
            }
        }
        struct tui_theme theme, before;
        struct error e = {0};
        memset(&theme, 0x55, sizeof theme);
        before = theme;
        if (tui_theme_parse("t.yaml", any, n, &theme, &e)) {
            assert_int_equal(strncmp(e.message, "t.yaml", 6), 0);
            assert_memory_equal(&theme, &before, sizeof theme);
            bad++;
        } else {
            for (int role = 0; role < TUI_STYLES; role++)
                tui_theme_mapped(&theme, (struct tui_style){.role = (uint8_t)role, .ground = (uint8_t)(i % TUI_GROUNDS)}, i % 2 ? 256 : 16);
            good++;
        }
    }
    assert_true(good > 100 && bad > 100);
}

static void test_looks(void **state)
{
    (void)state;
    const struct tui_theme *t = &tui_theme_builtin;
    struct tui_look look = tui_theme_look(t, (struct tui_style){.role = TUI_DIM});
    assert_int_equal(look.color, t->roles[TUI_DIM].color);
    assert_int_equal(look.background, TUI_DEFAULT_COLOR);
    look = tui_theme_look(t, (struct tui_style){.role = TUI_DIM, .ground = TUI_SELECTION});
    assert_int_equal(look.color, t->roles[TUI_DIM].color); /* the ground changes, the ink stays */
    assert_int_equal(look.background, t->grounds[TUI_SELECTION].background);
    assert_int_equal(look.attributes & TUI_REVERSE, 0); /* the colour says it */
    assert_int_equal(tui_theme_look(t, tui_style_level(TUI_VALUE, 0)).color, t->gradients[0][0]);
    assert_int_equal(tui_theme_look(t, tui_style_level(TUI_VALUE, 1)).color, t->gradients[0][2]);
    assert_int_equal(tui_style_level(TUI_VALUE, -1).level, 0);
    assert_int_equal(tui_style_level(TUI_VALUE, 0.0 / 0.0).level, 0);
    assert_int_equal(tui_style_level(TUI_VALUE, 7).level, TUI_LEVELS - 1);
    /* Without colours the selection, the cursor and improbable tokens are still told apart. */
    assert_true(tui_theme_attributes(t, (struct tui_style){.role = TUI_TEXT, .ground = TUI_SELECTION}) & TUI_REVERSE);
    assert_true(tui_theme_attributes(t, (struct tui_style){.role = TUI_TEXT, .ground = TUI_CURSOR}) & TUI_REVERSE);
    assert_int_not_equal(tui_theme_attributes(t, tui_style_level(TUI_TOKEN, 0)), tui_theme_attributes(t, tui_style_level(TUI_TOKEN, 1)));
}

static void test_nearest(void **state)
{
    (void)state;
    assert_int_equal(tui_theme_nearest(0x000000, 256), 16);
    assert_int_equal(tui_theme_nearest(0xffffff, 256), 231);
    assert_int_equal(tui_theme_nearest(0x87af5f, 256), 107);
    assert_int_equal(tui_theme_nearest(0x808080, 256), 244);
    assert_int_equal(tui_theme_nearest(0xff0000, 16), 9);
    assert_int_equal(tui_theme_nearest(0xff0000, 8), 1);
    for (int i = 0; i < 4096; i++) {
        int color = (i >> 8) * 0x110000 | (i >> 4 & 15) * 0x1100 | (i & 15) * 0x11;
        assert_in_range(tui_theme_nearest(color, 256), 16, 255); /* never one that users redefine */
        assert_in_range(tui_theme_nearest(color, 16), 0, 15);
        assert_in_range(tui_theme_nearest(color, 8), 0, 7);
    }
}

/* --- every theme of themes/ -------------------------------------------------------------------------------------- */

static const int few[] = {16, 8};

/* Lines are only looked at, and stand on no ground. */
static double least_contrast(const char *name, struct tui_style style)
{
    const int lines = style.role == TUI_BORDER || style.role == TUI_FOCUS;
    return lines && style.ground ? 0 : lines ? 3 : !strcmp(name, "themes/high-contrast.yaml") ? 7 : 4.5;
}

static int pale; /* how many were not enough */

static void check_contrast(const char *name, struct tui_look look, int entries, struct tui_style style, double least)
{
    int color = entries ? tui_theme_color_of(look.color) : look.color, background = entries ? tui_theme_color_of(look.background) : look.background;
    double contrast = tui_theme_contrast(color, background);
    pale += contrast < least;
    if (contrast < least)
        printf("%s: role %d level %d ground %d: %06x on %06x%s is %.2f, below %.1f\n", name, style.role, style.level, style.ground, (unsigned)color,
               (unsigned)background, entries ? " of 256" : "", contrast, least);
}

/* A theme that brings its own ground can be read on it, in its own colours and in the nearest of 256. */
static void check_theme(const char *name, const struct tui_theme *t)
{
    for (int role = 0; role < TUI_STYLES; role++)
        for (int level = 0; level < (role < TUI_ROLES ? 1 : TUI_LEVELS); level++)
            for (int ground = 0; ground < TUI_GROUNDS; ground++) {
                struct tui_style style = {(uint8_t)role, (uint8_t)level, (uint8_t)ground};
                struct tui_look look = tui_theme_look(t, style);
                if (t->roles[TUI_TEXT].background >= 0) {
                    assert_true(look.color >= 0 && look.background >= 0);
                    check_contrast(name, look, 0, style, least_contrast(name, style));
                    check_contrast(name, tui_theme_mapped(t, style, 256), 1, style, least_contrast(name, style));
                }
                for (size_t i = 0; i < sizeof few / sizeof *few; i++) { /* with fewer: it is seen, and the grounds are told apart */
                    look = tui_theme_mapped(t, style, few[i]);
                    assert_in_range(look.color + 1, 0, few[i]);
                    assert_in_range(look.background + 1, 0, few[i]);
                    if (look.background >= 0)
                        check_contrast(name, look, 1, style, 3);
                    else
                        assert_true(look.color != 0 && look.color != 7 && look.color != 15); /* the ground itself, perhaps */
                    assert_int_equal(!!(look.attributes & TUI_REVERSE), ground == TUI_SELECTION || ground == TUI_STATUS || ground == TUI_CURSOR);
                }
                look = tui_theme_mapped(t, style, 0);
                assert_int_equal(look.color, TUI_DEFAULT_COLOR);
                assert_int_equal(look.background, TUI_DEFAULT_COLOR);
            }
}

/* The searches of a race are told apart by colour with 256 of them; with 16 where the theme is not a muted one, whose colours all become
 * white there: their letters say the same. */
static void check_racers(const char *name, const struct tui_theme *t)
{
    const int muted = strstr(name, "/gruvbox.") || strstr(name, "/nord.") || strstr(name, "/solarized.");
    for (int a = TUI_COMPARE; a <= TUI_COMPARE_LAST; a++)
        for (int b = TUI_COMPARE; b < a; b++) {
            struct tui_style one = {.role = (uint8_t)a}, other = {.role = (uint8_t)b};
            if (!muted && tui_theme_mapped(t, one, 16).color == tui_theme_mapped(t, other, 16).color)
                printf("%s: of 16 colours compare %d and %d have the same\n", name, a - TUI_COMPARE, b - TUI_COMPARE);
            assert_int_not_equal(tui_theme_look(t, one).color, tui_theme_look(t, other).color);
            assert_int_not_equal(tui_theme_mapped(t, one, 256).color, tui_theme_mapped(t, other, 256).color);
            assert_true(muted || tui_theme_mapped(t, one, 16).color != tui_theme_mapped(t, other, 16).color);
        }
}

static void test_all(void **state)
{
    (void)state;
    static const char *const needed[] = {"/colour-blind.", "/dark.", "/gruvbox.", "/high-contrast.", "/light.", "/nord.", "/projector.", "/solarized."};
    glob_t files;
    size_t found = 0;
    assert_int_equal(glob("themes/*.yaml", 0, NULL, &files), 0);
    for (size_t n = 0; n < files.gl_pathc; n++) {
        const char *path = files.gl_pathv[n];
        struct tui_theme theme;
        struct error e = {0};
        if (tui_theme_open(path, &theme, &e))
            printf("%s\n", e.message);
        assert_int_equal(e.code, 0);
        check_theme(path, &theme);
        for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
            found += strstr(path, needed[i]) != NULL;
        /* What is right, wrong, best and pruned is not all one. */
        assert_true(theme.roles[TUI_RIGHT].color != theme.roles[TUI_WRONG].color);
        assert_true(theme.roles[TUI_PRUNED].color != theme.roles[TUI_FRONTIER].color);
        assert_true(theme.roles[TUI_LOST].color != theme.roles[TUI_FRONTIER].color && theme.roles[TUI_LOST].color != theme.roles[TUI_VOTED].color);
        check_racers(path, &theme);
    }
    globfree(&files);
    assert_int_equal(pale, 0);
    assert_int_equal(found, sizeof needed / sizeof *needed);
}

/* Meant for terminals without colours: there, too, each state has a look of its own. */
static void test_mono_safe(void **state)
{
    (void)state;
    static const enum tui_role states[] = {TUI_FRONTIER, TUI_EXPANDING, TUI_LIVE, TUI_KEPT, TUI_BEST, TUI_PRUNED, TUI_ILLEGAL};
    struct tui_theme theme;
    struct error e = {0};
    assert_int_equal(tui_theme_open("themes/high-contrast.yaml", &theme, &e), 0);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        for (size_t k = 0; k < i; k++)
            if (!(states[i] == TUI_BEST && states[k] == TUI_EXPANDING)) /* one is over when the other begins */
                assert_int_not_equal(tui_theme_attributes(&theme, (struct tui_style){.role = (uint8_t)states[i]}),
                                     tui_theme_attributes(&theme, (struct tui_style){.role = (uint8_t)states[k]}));
    assert_int_not_equal(theme.roles[TUI_RIGHT].attributes, theme.roles[TUI_WRONG].attributes);
}

static void test_contrast(void **state)
{
    (void)state;
    assert_float_equal(tui_theme_contrast(0x000000, 0xffffff), 21, 1e-9);
    assert_float_equal(tui_theme_contrast(0x777777, 0xffffff), 4.478, 1e-3); /* the grey that just fails on white */
    assert_float_equal(tui_theme_contrast(0xff0000, 0x0000ff), 2.149, 1e-3);
    assert_float_equal(tui_theme_contrast(0x123456, 0x123456), 1, 1e-9);
}

/* Every role has a letter of its own in the dumps. */
static void test_letters(void **state)
{
    (void)state;
    char seen[256] = {0};
    for (int role = 0; role < TUI_ROLES; role++) {
        char letter = tui_role_letter((struct tui_style){.role = (uint8_t)role});
        assert_in_range(letter, 'a', 'z');
        assert_int_equal(seen[(unsigned char)letter]++, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped), cmocka_unit_test(test_partial), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_looks),   cmocka_unit_test(test_nearest), cmocka_unit_test(test_letters),
        cmocka_unit_test(test_contrast), cmocka_unit_test(test_all),     cmocka_unit_test(test_mono_safe),
        cmocka_unit_test(test_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
